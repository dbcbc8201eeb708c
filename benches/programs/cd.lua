-- CD: collision detection between moving aircraft. Each frame, all motions are
-- drawn on a voxel map, and only those that share a voxel are compared.
-- After Kalibera et al., "CDx: A Family of Real-time Java Benchmarks" (2009).
--
-- size: the number of frames, a tenth of a second apart, that ten aircraft
--       are simulated for (default 100).

local AIRCRAFT_COUNT = 10

local MIN_X, MIN_Y, MIN_Z = 0, 0, 0
local MAX_X, MAX_Y, MAX_Z = 1000, 1000, 10
local PROXIMITY_RADIUS = 1
local VOXEL_SIZE = PROXIMITY_RADIUS * 2

-- Vectors.

local Vector2 = {}
Vector2.__index = Vector2

function Vector2.new(x, y)
  return setmetatable({ x = x, y = y }, Vector2)
end

function Vector2:plus(other)
  return Vector2.new(self.x + other.x, self.y + other.y)
end

function Vector2:minus(other)
  return Vector2.new(self.x - other.x, self.y - other.y)
end

local function compare_numbers(left, right)
  if left < right then
    return -1
  elseif left > right then
    return 1
  end
  return 0
end

function Vector2:compare(other)
  local by_x = compare_numbers(self.x, other.x)
  if by_x ~= 0 then
    return by_x
  end
  return compare_numbers(self.y, other.y)
end

local Vector3 = {}
Vector3.__index = Vector3

function Vector3.new(x, y, z)
  return setmetatable({ x = x, y = y, z = z }, Vector3)
end

function Vector3:plus(other)
  return Vector3.new(self.x + other.x, self.y + other.y, self.z + other.z)
end

function Vector3:minus(other)
  return Vector3.new(self.x - other.x, self.y - other.y, self.z - other.z)
end

function Vector3:dot(other)
  return self.x * other.x + self.y * other.y + self.z * other.z
end

function Vector3:squared_magnitude()
  return self:dot(self)
end

function Vector3:magnitude()
  return math.sqrt(self:squared_magnitude())
end

function Vector3:times(factor)
  return Vector3.new(self.x * factor, self.y * factor, self.z * factor)
end

local CallSign = {}
CallSign.__index = CallSign

function CallSign.new(number)
  return setmetatable({ number = number }, CallSign)
end

function CallSign:compare(other)
  return compare_numbers(self.number, other.number)
end

-- A red-black tree whose keys compare themselves.

local RED = "red"
local BLACK = "black"

local Node = {}
Node.__index = Node

function Node.new(key, value)
  return setmetatable({
    key = key,
    value = value,
    left = nil,
    right = nil,
    parent = nil,
    color = RED,
  }, Node)
end

function Node:minimum()
  local node = self
  while node.left do
    node = node.left
  end
  return node
end

function Node:successor()
  if self.right then
    return self.right:minimum()
  end
  local node, parent = self, self.parent
  while parent and node == parent.right do
    node = parent
    parent = parent.parent
  end
  return parent
end

local RedBlackTree = {}
RedBlackTree.__index = RedBlackTree

function RedBlackTree.new()
  return setmetatable({ root = nil }, RedBlackTree)
end

function RedBlackTree:find(key)
  local node = self.root
  while node do
    local order = key:compare(node.key)
    if order == 0 then
      return node
    elseif order < 0 then
      node = node.left
    else
      node = node.right
    end
  end
  return nil
end

function RedBlackTree:get(key)
  local node = self:find(key)
  if node then
    return node.value
  end
  return nil
end

function RedBlackTree:rotate_left(node)
  local pivot = node.right
  node.right = pivot.left
  if pivot.left then
    pivot.left.parent = node
  end
  self:replace_child(node, pivot)
  pivot.left = node
  node.parent = pivot
end

function RedBlackTree:rotate_right(node)
  local pivot = node.left
  node.left = pivot.right
  if pivot.right then
    pivot.right.parent = node
  end
  self:replace_child(node, pivot)
  pivot.right = node
  node.parent = pivot
end

-- Hangs `replacement` where `node` hangs below its parent.
function RedBlackTree:replace_child(node, replacement)
  local parent = node.parent
  if replacement then
    replacement.parent = parent
  end
  if not parent then
    self.root = replacement
  elseif node == parent.left then
    parent.left = replacement
  else
    parent.right = replacement
  end
end

-- Sets the value of a key and returns the one it had, or nil.
function RedBlackTree:put(key, value)
  local parent, node, order = nil, self.root, 0
  while node do
    parent = node
    order = key:compare(node.key)
    if order == 0 then
      local previous = node.value
      node.value = value
      return previous
    elseif order < 0 then
      node = node.left
    else
      node = node.right
    end
  end
  local added = Node.new(key, value)
  added.parent = parent
  if not parent then
    self.root = added
  elseif order < 0 then
    parent.left = added
  else
    parent.right = added
  end
  self:balance_after_insertion(added)
  return nil
end

function RedBlackTree:balance_after_insertion(node)
  while node ~= self.root and node.parent.color == RED do
    local parent = node.parent
    local grandparent = parent.parent
    if parent == grandparent.left then
      local uncle = grandparent.right
      if uncle and uncle.color == RED then
        parent.color = BLACK
        uncle.color = BLACK
        grandparent.color = RED
        node = grandparent
      else
        if node == parent.right then
          node = parent
          self:rotate_left(node)
          parent = node.parent
        end
        parent.color = BLACK
        grandparent.color = RED
        self:rotate_right(grandparent)
      end
    else
      local uncle = grandparent.left
      if uncle and uncle.color == RED then
        parent.color = BLACK
        uncle.color = BLACK
        grandparent.color = RED
        node = grandparent
      else
        if node == parent.left then
          node = parent
          self:rotate_right(node)
          parent = node.parent
        end
        parent.color = BLACK
        grandparent.color = RED
        self:rotate_left(grandparent)
      end
    end
  end
  self.root.color = BLACK
end

local function is_black(node)
  return node == nil or node.color == BLACK
end

-- Removes a key and returns the value it had, or nil.
function RedBlackTree:remove(key)
  local node = self:find(key)
  if not node then
    return nil
  end
  local value = node.value
  local removed = node
  if node.left and node.right then
    removed = node:successor()
    node.key, node.value = removed.key, removed.value
  end
  local child = removed.left or removed.right
  local parent = removed.parent
  self:replace_child(removed, child)
  if removed.color == BLACK then
    self:balance_after_removal(child, parent)
  end
  return value
end

function RedBlackTree:balance_after_removal(node, parent)
  while node ~= self.root and is_black(node) do
    if node == parent.left then
      local sibling = parent.right
      if sibling.color == RED then
        sibling.color = BLACK
        parent.color = RED
        self:rotate_left(parent)
        sibling = parent.right
      end
      if is_black(sibling.left) and is_black(sibling.right) then
        sibling.color = RED
        node, parent = parent, parent.parent
      else
        if is_black(sibling.right) then
          sibling.left.color = BLACK
          sibling.color = RED
          self:rotate_right(sibling)
          sibling = parent.right
        end
        sibling.color = parent.color
        parent.color = BLACK
        sibling.right.color = BLACK
        self:rotate_left(parent)
        node = self.root
      end
    else
      local sibling = parent.left
      if sibling.color == RED then
        sibling.color = BLACK
        parent.color = RED
        self:rotate_right(parent)
        sibling = parent.left
      end
      if is_black(sibling.left) and is_black(sibling.right) then
        sibling.color = RED
        node, parent = parent, parent.parent
      else
        if is_black(sibling.left) then
          sibling.right.color = BLACK
          sibling.color = RED
          self:rotate_left(sibling)
          sibling = parent.left
        end
        sibling.color = parent.color
        parent.color = BLACK
        sibling.left.color = BLACK
        self:rotate_right(parent)
        node = self.root
      end
    end
  end
  if node then
    node.color = BLACK
  end
end

function RedBlackTree:for_each(action)
  local node = self.root and self.root:minimum()
  while node do
    action(node.key, node.value)
    node = node:successor()
  end
end

-- The straight way of an aircraft during one frame.

local Motion = {}
Motion.__index = Motion

function Motion.new(call_sign, from, to)
  return setmetatable({ call_sign = call_sign, from = from, to = to }, Motion)
end

local function is_in_space(position)
  return position.x >= MIN_X
    and position.x <= MAX_X
    and position.y >= MIN_Y
    and position.y <= MAX_Y
    and position.z >= MIN_Z
    and position.z <= MAX_Z
end

-- The place where two aircraft come too close during the frame, or nil.
function Motion:find_collision(other)
  local step, other_step = self.to:minus(self.from), other.to:minus(other.from)
  local distance = self.from:minus(other.from)
  local relative = step:minus(other_step)
  local a = relative:squared_magnitude()
  if a == 0 then
    if distance:magnitude() <= PROXIMITY_RADIUS then
      return self.from:plus(other.from):times(0.5)
    end
    return nil
  end
  -- When is |distance + t * relative| the radius?
  local b = 2 * distance:dot(relative)
  local c = distance:squared_magnitude() - PROXIMITY_RADIUS * PROXIMITY_RADIUS
  local discriminant = b * b - 4 * a * c
  if discriminant < 0 then
    return nil
  end
  local root = math.sqrt(discriminant)
  local enter, leave = (-b - root) / (2 * a), (-b + root) / (2 * a)
  if enter > 1 or leave < 0 then
    return nil
  end
  local time = math.max(enter, 0)
  local place = self.from:plus(step:times(time))
  local other_place = other.from:plus(other_step:times(time))
  local middle = place:plus(other_place):times(0.5)
  if is_in_space(middle) then
    return middle
  end
  return nil
end

-- The times at which one coordinate of the motion enters and leaves the voxel,
-- widened by the proximity radius.
local function crossing_times(low_edge, from, step)
  local enter = (low_edge - PROXIMITY_RADIUS / 2 - from) / step
  local leave = (low_edge + VOXEL_SIZE + PROXIMITY_RADIUS / 2 - from) / step
  if step < 0 then
    return leave, enter
  end
  return enter, leave
end

local function touches_frame(low_edge, from, step, enter, leave)
  if step == 0 then
    return low_edge <= from + PROXIMITY_RADIUS / 2 and from - PROXIMITY_RADIUS / 2 <= low_edge + VOXEL_SIZE
  end
  return enter <= 1 and leave >= 0
end

function Motion:is_in_voxel(voxel)
  if voxel.x > MAX_X or voxel.x < MIN_X or voxel.y > MAX_Y or voxel.y < MIN_Y then
    return false
  end
  local from, to = self.from, self.to
  local step_x, step_y = to.x - from.x, to.y - from.y
  local enter_x, leave_x = crossing_times(voxel.x, from.x, step_x)
  local enter_y, leave_y = crossing_times(voxel.y, from.y, step_y)
  if not touches_frame(voxel.x, from.x, step_x, enter_x, leave_x) then
    return false
  end
  if not touches_frame(voxel.y, from.y, step_y, enter_y, leave_y) then
    return false
  end
  return step_x == 0 or step_y == 0 or (enter_x <= leave_y and enter_y <= leave_x)
end

-- The voxel map.

local HORIZONTAL = Vector2.new(VOXEL_SIZE, 0)
local VERTICAL = Vector2.new(0, VOXEL_SIZE)

local function voxel_edge(coordinate)
  return VOXEL_SIZE * math.floor(coordinate / VOXEL_SIZE)
end

local VoxelMap = {}
VoxelMap.__index = VoxelMap

function VoxelMap.new()
  return setmetatable({ motions = RedBlackTree.new() }, VoxelMap)
end

function VoxelMap:add(voxel, motion)
  local motions = self.motions:get(voxel)
  if not motions then
    motions = {}
    self.motions:put(voxel, motions)
  end
  motions[#motions + 1] = motion
end

-- Draws the motion on this voxel and, as far as it reaches, on its neighbours.
function VoxelMap:spread(voxel, motion, seen)
  if not motion:is_in_voxel(voxel) then
    return
  end
  if seen:put(voxel, true) then
    return
  end
  self:add(voxel, motion)
  local left, right = voxel:minus(HORIZONTAL), voxel:plus(HORIZONTAL)
  self:spread(left, motion, seen)
  self:spread(right, motion, seen)
  self:spread(voxel:plus(VERTICAL), motion, seen)
  self:spread(voxel:minus(VERTICAL), motion, seen)
  self:spread(left:plus(VERTICAL), motion, seen)
  self:spread(left:minus(VERTICAL), motion, seen)
  self:spread(right:plus(VERTICAL), motion, seen)
  self:spread(right:minus(VERTICAL), motion, seen)
end

function VoxelMap:draw(motion)
  local voxel = Vector2.new(voxel_edge(motion.from.x), voxel_edge(motion.from.y))
  self:spread(voxel, motion, RedBlackTree.new())
end

function VoxelMap:crowded()
  local crowded = {}
  self.motions:for_each(function(_, motions)
    if #motions > 1 then
      crowded[#crowded + 1] = motions
    end
  end)
  return crowded
end

local CollisionDetector = {}
CollisionDetector.__index = CollisionDetector

function CollisionDetector.new()
  return setmetatable({ positions = RedBlackTree.new() }, CollisionDetector)
end

function CollisionDetector:motions_of(frame)
  local motions = {}
  local seen = RedBlackTree.new()
  for _, aircraft in ipairs(frame) do
    local previous = self.positions:put(aircraft.call_sign, aircraft.position)
    seen:put(aircraft.call_sign, true)
    motions[#motions + 1] = Motion.new(aircraft.call_sign, previous or aircraft.position, aircraft.position)
  end
  local gone = {}
  self.positions:for_each(function(call_sign)
    if not seen:get(call_sign) then
      gone[#gone + 1] = call_sign
    end
  end)
  for _, call_sign in ipairs(gone) do
    self.positions:remove(call_sign)
  end
  return motions
end

function CollisionDetector:handle_frame(frame)
  local map = VoxelMap.new()
  for _, motion in ipairs(self:motions_of(frame)) do
    map:draw(motion)
  end
  local collisions = {}
  for _, motions in ipairs(map:crowded()) do
    for i = 1, #motions - 1 do
      for j = i + 1, #motions do
        local place = motions[i]:find_collision(motions[j])
        if place then
          collisions[#collisions + 1] = { first = motions[i], second = motions[j], place = place }
        end
      end
    end
  end
  return collisions
end

local Simulator = {}
Simulator.__index = Simulator

function Simulator.new(count)
  local call_signs = {}
  for i = 1, count do
    call_signs[i] = CallSign.new(i)
  end
  return setmetatable({ call_signs = call_signs }, Simulator)
end

function Simulator:frame_at(time)
  local frame = {}
  for i = 1, #self.call_signs, 2 do
    local lane = (i - 1) * 3
    local first = Vector3.new(time, math.cos(time) * 2 + lane, 10)
    local second = Vector3.new(time, math.sin(time) * 2 + lane, 10)
    frame[i] = { call_sign = self.call_signs[i], position = first }
    frame[i + 1] = { call_sign = self.call_signs[i + 1], position = second }
  end
  return frame
end

local function run(size)
  local simulator = Simulator.new(AIRCRAFT_COUNT)
  local detector = CollisionDetector.new()
  local collision_count = 0
  for i = 0, size - 1 do
    collision_count = collision_count + #detector:handle_frame(simulator:frame_at(i / 10))
  end
  -- Everybody lands but one: the tree of positions must lose its other nodes.
  local last_frame = simulator:frame_at(size / 10)
  detector:handle_frame({ last_frame[1] })
  if detector.positions.root.key ~= last_frame[1].call_sign or detector.positions.root:successor() then
    error("cd: wrong result, aircraft that have landed still have a position")
  end
  return collision_count
end

local known_results = { [60] = 104, [100] = 157, [200] = 390 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 100

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error(string.format("cd: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("cd: ok %d", expected))
