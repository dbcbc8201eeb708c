-- DeltaBlue: an incremental solver for one-way dataflow constraints with
-- strengths. After Freeman-Benson, Maloney and Borning, "An Incremental
-- Constraint Solver" (1990), and Maloney's benchmark of it.
--
-- size: the length of the chain, and the number of projections (default 700).

-- Strengths, from the strongest to the weakest.

local REQUIRED = 1
local STRONG_PREFERRED = 2
local PREFERRED = 3
local STRONG_DEFAULT = 4
local NORMAL = 5
local WEAK_DEFAULT = 6
local WEAKEST = 7

local function is_stronger(left, right)
  return left < right
end

local function is_weaker(left, right)
  return left > right
end

local function weakest_of(left, right)
  if left > right then
    return left
  end
  return right
end

local Variable = {}
Variable.__index = Variable

function Variable.new(value)
  return setmetatable({
    value = value,
    constraints = {},
    determined_by = nil,
    mark = 0,
    walk_strength = WEAKEST,
    stay = true,
  }, Variable)
end

function Variable:add_constraint(constraint)
  self.constraints[#self.constraints + 1] = constraint
end

function Variable:remove_constraint(constraint)
  local constraints = self.constraints
  for i = 1, #constraints do
    if constraints[i] == constraint then
      table.remove(constraints, i)
      break
    end
  end
  if self.determined_by == constraint then
    self.determined_by = nil
  end
end

-- What all constraints have in common.

local Constraint = {}
Constraint.__index = Constraint

function Constraint:attach(planner)
  self:add_to_graph()
  planner:incremental_add(self)
end

function Constraint:destroy(planner)
  if self:is_satisfied() then
    planner:incremental_remove(self)
  else
    self:remove_from_graph()
  end
end

function Constraint:is_input()
  return false
end

-- Tries to enforce the constraint, and returns the one that it displaced.
function Constraint:satisfy(mark, planner)
  self:choose_method(mark)
  if not self:is_satisfied() then
    if self.strength == REQUIRED then
      error("deltablue: a required constraint can't be satisfied")
    end
    return nil
  end
  self:mark_inputs(mark)
  local output = self:output()
  local overridden = output.determined_by
  if overridden then
    overridden:mark_unsatisfied()
  end
  output.determined_by = self
  if not planner:add_propagate(self, mark) then
    error("deltablue: the constraints form a cycle")
  end
  output.mark = mark
  return overridden
end

-- Constraints on one variable.

local UnaryConstraint = setmetatable({}, { __index = Constraint })
UnaryConstraint.__index = UnaryConstraint

function UnaryConstraint:initialize(variable, strength, planner)
  self.variable = variable
  self.strength = strength
  self.satisfied = false
  self:attach(planner)
  return self
end

function UnaryConstraint:add_to_graph()
  self.variable:add_constraint(self)
  self.satisfied = false
end

function UnaryConstraint:remove_from_graph()
  self.variable:remove_constraint(self)
  self.satisfied = false
end

function UnaryConstraint:choose_method(mark)
  self.satisfied = self.variable.mark ~= mark and is_stronger(self.strength, self.variable.walk_strength)
end

function UnaryConstraint:is_satisfied()
  return self.satisfied
end

function UnaryConstraint:mark_unsatisfied()
  self.satisfied = false
end

function UnaryConstraint:mark_inputs()
end

function UnaryConstraint:inputs_known()
  return true
end

function UnaryConstraint:output()
  return self.variable
end

function UnaryConstraint:recalculate()
  self.variable.walk_strength = self.strength
  self.variable.stay = not self:is_input()
  if self.variable.stay then
    self:execute()
  end
end

local StayConstraint = setmetatable({}, { __index = UnaryConstraint })
StayConstraint.__index = StayConstraint

function StayConstraint.new(variable, strength, planner)
  return setmetatable({}, StayConstraint):initialize(variable, strength, planner)
end

function StayConstraint:execute()
end

local EditConstraint = setmetatable({}, { __index = UnaryConstraint })
EditConstraint.__index = EditConstraint

function EditConstraint.new(variable, strength, planner)
  return setmetatable({}, EditConstraint):initialize(variable, strength, planner)
end

function EditConstraint:is_input()
  return true
end

function EditConstraint:execute()
end

-- Constraints between two variables, which can flow either way.

local FORWARD = "forward"
local BACKWARD = "backward"
local NOWHERE = "nowhere"

local BinaryConstraint = setmetatable({}, { __index = Constraint })
BinaryConstraint.__index = BinaryConstraint

function BinaryConstraint:initialize(first, second, strength, planner)
  self.first = first
  self.second = second
  self.strength = strength
  self.direction = NOWHERE
  self:attach(planner)
  return self
end

function BinaryConstraint:add_to_graph()
  self.first:add_constraint(self)
  self.second:add_constraint(self)
  self.direction = NOWHERE
end

function BinaryConstraint:remove_from_graph()
  self.first:remove_constraint(self)
  self.second:remove_constraint(self)
  self.direction = NOWHERE
end

function BinaryConstraint:choose_method(mark)
  local first, second = self.first, self.second
  if first.mark == mark then
    if second.mark ~= mark and is_stronger(self.strength, second.walk_strength) then
      self.direction = FORWARD
    else
      self.direction = NOWHERE
    end
  elseif second.mark == mark then
    if is_stronger(self.strength, first.walk_strength) then
      self.direction = BACKWARD
    else
      self.direction = NOWHERE
    end
  elseif is_weaker(first.walk_strength, second.walk_strength) then
    if is_stronger(self.strength, first.walk_strength) then
      self.direction = BACKWARD
    else
      self.direction = NOWHERE
    end
  elseif is_stronger(self.strength, second.walk_strength) then
    self.direction = FORWARD
  else
    self.direction = NOWHERE
  end
end

function BinaryConstraint:is_satisfied()
  return self.direction ~= NOWHERE
end

function BinaryConstraint:mark_unsatisfied()
  self.direction = NOWHERE
end

function BinaryConstraint:input()
  if self.direction == FORWARD then
    return self.first
  end
  return self.second
end

function BinaryConstraint:output()
  if self.direction == FORWARD then
    return self.second
  end
  return self.first
end

function BinaryConstraint:mark_inputs(mark)
  self:input().mark = mark
end

function BinaryConstraint:inputs_known(mark)
  local input = self:input()
  return input.mark == mark or input.stay or input.determined_by == nil
end

function BinaryConstraint:recalculate()
  local input, output = self:input(), self:output()
  output.walk_strength = weakest_of(self.strength, input.walk_strength)
  output.stay = input.stay
  if output.stay then
    self:execute()
  end
end

local EqualityConstraint = setmetatable({}, { __index = BinaryConstraint })
EqualityConstraint.__index = EqualityConstraint

function EqualityConstraint.new(first, second, strength, planner)
  return setmetatable({}, EqualityConstraint):initialize(first, second, strength, planner)
end

function EqualityConstraint:execute()
  self:output().value = self:input().value
end

-- second = first * scale + offset

local ScaleConstraint = setmetatable({}, { __index = BinaryConstraint })
ScaleConstraint.__index = ScaleConstraint

function ScaleConstraint.new(first, scale, offset, second, strength, planner)
  local self = setmetatable({ scale = scale, offset = offset }, ScaleConstraint)
  return self:initialize(first, second, strength, planner)
end

function ScaleConstraint:add_to_graph()
  BinaryConstraint.add_to_graph(self)
  self.scale:add_constraint(self)
  self.offset:add_constraint(self)
end

function ScaleConstraint:remove_from_graph()
  BinaryConstraint.remove_from_graph(self)
  self.scale:remove_constraint(self)
  self.offset:remove_constraint(self)
end

function ScaleConstraint:mark_inputs(mark)
  BinaryConstraint.mark_inputs(self, mark)
  self.scale.mark = mark
  self.offset.mark = mark
end

function ScaleConstraint:execute()
  if self.direction == FORWARD then
    self.second.value = self.first.value * self.scale.value + self.offset.value
  else
    self.first.value = (self.second.value - self.offset.value) / self.scale.value
  end
end

function ScaleConstraint:recalculate()
  local input, output = self:input(), self:output()
  output.walk_strength = weakest_of(self.strength, input.walk_strength)
  output.stay = input.stay and self.scale.stay and self.offset.stay
  if output.stay then
    self:execute()
  end
end

-- A plan is a list of constraints in the order in which they are executed.

local Plan = {}
Plan.__index = Plan

function Plan.new()
  return setmetatable({ steps = {} }, Plan)
end

function Plan:add(constraint)
  self.steps[#self.steps + 1] = constraint
end

function Plan:execute()
  local steps = self.steps
  for i = 1, #steps do
    steps[i]:execute()
  end
end

local Planner = {}
Planner.__index = Planner

function Planner.new()
  return setmetatable({ current_mark = 0 }, Planner)
end

function Planner:new_mark()
  self.current_mark = self.current_mark + 1
  return self.current_mark
end

function Planner:incremental_add(constraint)
  local mark = self:new_mark()
  local overridden = constraint:satisfy(mark, self)
  while overridden do
    overridden = overridden:satisfy(mark, self)
  end
end

function Planner:incremental_remove(constraint)
  local output = constraint:output()
  constraint:mark_unsatisfied()
  constraint:remove_from_graph()
  local unsatisfied = self:remove_propagate_from(output)
  for strength = REQUIRED, WEAKEST do
    for _, candidate in ipairs(unsatisfied) do
      if candidate.strength == strength then
        self:incremental_add(candidate)
      end
    end
  end
end

-- Adds to `list` the satisfied constraints that read the variable.
local function add_consumers(variable, list)
  local determining = variable.determined_by
  for _, constraint in ipairs(variable.constraints) do
    if constraint ~= determining and constraint:is_satisfied() then
      list[#list + 1] = constraint
    end
  end
end

function Planner:make_plan(sources)
  local mark = self:new_mark()
  local plan = Plan.new()
  local todo = sources
  while #todo > 0 do
    local constraint = table.remove(todo)
    local output = constraint:output()
    if output.mark ~= mark and constraint:inputs_known(mark) then
      plan:add(constraint)
      output.mark = mark
      add_consumers(output, todo)
    end
  end
  return plan
end

function Planner:plan_from(constraints)
  local sources = {}
  for _, constraint in ipairs(constraints) do
    if constraint:is_input() and constraint:is_satisfied() then
      sources[#sources + 1] = constraint
    end
  end
  return self:make_plan(sources)
end

-- Recomputes everything downstream of a constraint. False if that leads back
-- to the constraint itself.
function Planner:add_propagate(constraint, mark)
  local todo = { constraint }
  while #todo > 0 do
    local current = table.remove(todo)
    local output = current:output()
    if output.mark == mark then
      self:incremental_remove(constraint)
      return false
    end
    current:recalculate()
    add_consumers(output, todo)
  end
  return true
end

-- Forgets the values that a variable determined, and returns the constraints
-- that may be satisfied now.
function Planner:remove_propagate_from(start)
  start.determined_by = nil
  start.walk_strength = WEAKEST
  start.stay = true
  local unsatisfied = {}
  local todo = { start }
  while #todo > 0 do
    local variable = table.remove(todo)
    for _, constraint in ipairs(variable.constraints) do
      if not constraint:is_satisfied() then
        unsatisfied[#unsatisfied + 1] = constraint
      end
    end
    local consumers = {}
    add_consumers(variable, consumers)
    for _, constraint in ipairs(consumers) do
      constraint:recalculate()
      todo[#todo + 1] = constraint:output()
    end
  end
  return unsatisfied
end

local function check(what, value, expected)
  if value ~= expected then
    error(string.format("deltablue: wrong result of %s: %.9f, expected %.9f", what, value, expected))
  end
end

-- A long chain of equalities, changed at one end and read at the other.
local function chain(length)
  local planner = Planner.new()
  local first = Variable.new(0)
  local last = first
  for _ = 1, length do
    local following = Variable.new(0)
    EqualityConstraint.new(last, following, REQUIRED, planner)
    last = following
  end
  StayConstraint.new(last, STRONG_DEFAULT, planner)
  local edit = EditConstraint.new(first, PREFERRED, planner)
  local plan = planner:plan_from({ edit })
  local sum = 0
  for value = 1, 100 do
    first.value = value
    plan:execute()
    check("chain", last.value, value)
    sum = sum + last.value
  end
  edit:destroy(planner)
  return sum
end

local function change(variable, value, planner)
  local edit = EditConstraint.new(variable, STRONG_PREFERRED, planner)
  local plan = planner:plan_from({ edit })
  for _ = 1, 10 do
    variable.value = value
    plan:execute()
  end
  edit:destroy(planner)
end

-- Pairs of variables related by one scale and one offset, changed from each side.
local function projection(count)
  local planner = Planner.new()
  local scale = Variable.new(10)
  local offset = Variable.new(1000)
  local source, destination
  local destinations = {}
  for i = 1, count do
    source = Variable.new(i)
    destination = Variable.new(i)
    destinations[i] = destination
    StayConstraint.new(source, NORMAL, planner)
    ScaleConstraint.new(source, scale, offset, destination, REQUIRED, planner)
  end
  StayConstraint.new(destination, WEAK_DEFAULT, planner)
  change(source, 17, planner)
  check("projection, source", destination.value, 1170)
  change(destination, 1050, planner)
  check("projection, destination", source.value, 5)
  change(scale, 5, planner)
  for i = 1, count - 1 do
    check("projection, scale", destinations[i].value, i * 5 + 1000)
  end
  change(offset, 2000, planner)
  local sum = 0
  for i = 1, count - 1 do
    check("projection, offset", destinations[i].value, i * 5 + 2000)
    sum = sum + destinations[i].value
  end
  return sum
end

local function run(size)
  return chain(size) + projection(size)
end

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 700

local expected = 5050 + (size - 1) * 2000 + 5 * (size - 1) * size / 2
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  if result ~= expected then
    error(string.format("deltablue: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("deltablue: ok %d", expected))
