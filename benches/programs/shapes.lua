-- Shapes: method calls on objects of several classes. Shapes are measured,
-- transformed, hit by random points and put into groups; most calls see four to
-- seven receiver classes, some of which inherit their methods over two levels.
--
-- size: the number of shapes (default 1500).

local function class(parent)
  local new_class = {}
  new_class.__index = new_class
  if parent then
    setmetatable(new_class, { __index = parent })
  end
  return new_class
end

local Random = class()

function Random.new(seed)
  return setmetatable({ seed = seed }, Random)
end

function Random:next(limit)
  self.seed = (self.seed * 1309 + 13849) % 65536
  return self.seed % limit
end

-- A number from `low` to `high`.
function Random:between(low, high)
  return low + (high - low) * self:next(4096) / 4096
end

local Shape = class()

function Shape:place(x, y)
  self.x, self.y = x, y
  return self
end

function Shape:move(dx, dy)
  self.x = self.x + dx
  self.y = self.y + dy
end

function Shape:name()
  return "shape"
end

function Shape:count()
  return 1
end

-- How much of a circle's roundness the shape has: 1 for the circle itself.
function Shape:compactness()
  local perimeter = self:perimeter()
  return 4 * math.pi * self:area() / (perimeter * perimeter)
end

local Circle = class(Shape)

function Circle.new(x, y, radius)
  return setmetatable({ radius = radius }, Circle):place(x, y)
end

function Circle:name()
  return "circle"
end

function Circle:area()
  return math.pi * self.radius * self.radius
end

function Circle:perimeter()
  return 2 * math.pi * self.radius
end

function Circle:scale(factor)
  self.radius = self.radius * factor
end

function Circle:contains(x, y)
  local dx, dy = x - self.x, y - self.y
  return dx * dx + dy * dy <= self.radius * self.radius
end

local Ring = class(Circle)

function Ring.new(x, y, radius, hole)
  local self = setmetatable({ radius = radius, hole = hole }, Ring)
  return self:place(x, y)
end

function Ring:name()
  return "ring"
end

function Ring:area()
  return Circle.area(self) - math.pi * self.hole * self.hole
end

function Ring:perimeter()
  return Circle.perimeter(self) + 2 * math.pi * self.hole
end

function Ring:scale(factor)
  Circle.scale(self, factor)
  self.hole = self.hole * factor
end

function Ring:contains(x, y)
  local dx, dy = x - self.x, y - self.y
  return Circle.contains(self, x, y) and dx * dx + dy * dy >= self.hole * self.hole
end

local Rectangle = class(Shape)

function Rectangle.new(x, y, width, height)
  return setmetatable({ width = width, height = height }, Rectangle):place(x, y)
end

function Rectangle:name()
  return "rectangle"
end

function Rectangle:area()
  return self.width * self.height
end

function Rectangle:perimeter()
  return 2 * (self.width + self.height)
end

function Rectangle:scale(factor)
  self.width = self.width * factor
  self.height = self.height * factor
end

function Rectangle:contains(x, y)
  return math.abs(x - self.x) <= self.width / 2 and math.abs(y - self.y) <= self.height / 2
end

local Square = class(Rectangle)

function Square.new(x, y, side)
  return setmetatable({ width = side, height = side }, Square):place(x, y)
end

function Square:name()
  return "square"
end

function Square:perimeter()
  return 4 * self.width
end

-- A triangle with one side level, at `x, y` in its middle.
local Triangle = class(Shape)

function Triangle.new(x, y, base, height)
  return setmetatable({ base = base, height = height }, Triangle):place(x, y)
end

function Triangle:name()
  return "triangle"
end

function Triangle:area()
  return self.base * self.height / 2
end

function Triangle:perimeter()
  local half = self.base / 2
  return self.base + 2 * math.sqrt(half * half + self.height * self.height)
end

function Triangle:scale(factor)
  self.base = self.base * factor
  self.height = self.height * factor
end

function Triangle:contains(x, y)
  local dy = y - self.y
  if dy < 0 or dy > self.height then
    return false
  end
  return math.abs(x - self.x) <= self.base / 2 * (1 - dy / self.height)
end

local Polygon = class(Shape)

function Polygon.new(x, y, radius, corners)
  return setmetatable({ radius = radius, corners = corners }, Polygon):place(x, y)
end

function Polygon:name()
  return "polygon"
end

function Polygon:area()
  return self.corners / 2 * self.radius * self.radius * math.sin(2 * math.pi / self.corners)
end

function Polygon:perimeter()
  return 2 * self.corners * self.radius * math.sin(math.pi / self.corners)
end

function Polygon:scale(factor)
  self.radius = self.radius * factor
end

function Polygon:contains(x, y)
  local dx, dy = x - self.x, y - self.y
  local step = 2 * math.pi / self.corners
  local from_x, from_y = self.radius, 0
  for corner = 1, self.corners do
    local to_x, to_y = self.radius * math.cos(corner * step), self.radius * math.sin(corner * step)
    if (to_x - from_x) * (dy - from_y) - (to_y - from_y) * (dx - from_x) < 0 then
      return false
    end
    from_x, from_y = to_x, to_y
  end
  return true
end

local Group = class(Shape)

function Group.new()
  return setmetatable({ members = {} }, Group):place(0, 0)
end

function Group:add(shape)
  self.members[#self.members + 1] = shape
end

function Group:name()
  return "group"
end

function Group:count()
  local count = 0
  for _, member in ipairs(self.members) do
    count = count + member:count()
  end
  return count
end

function Group:area()
  local area = 0
  for _, member in ipairs(self.members) do
    area = area + member:area()
  end
  return area
end

function Group:perimeter()
  local perimeter = 0
  for _, member in ipairs(self.members) do
    perimeter = perimeter + member:perimeter()
  end
  return perimeter
end

function Group:scale(factor)
  for _, member in ipairs(self.members) do
    member:scale(factor)
  end
end

function Group:move(dx, dy)
  Shape.move(self, dx, dy)
  for _, member in ipairs(self.members) do
    member:move(dx, dy)
  end
end

function Group:contains(x, y)
  for _, member in ipairs(self.members) do
    if member:contains(x, y) then
      return true
    end
  end
  return false
end

local makers = {
  function(x, y, random)
    return Circle.new(x, y, random:between(1, 5))
  end,
  function(x, y, random)
    return Rectangle.new(x, y, random:between(1, 8), random:between(1, 8))
  end,
  function(x, y, random)
    return Square.new(x, y, random:between(1, 8))
  end,
  function(x, y, random)
    return Triangle.new(x, y, random:between(2, 9), random:between(2, 9))
  end,
  function(x, y, random)
    local radius = random:between(2, 6)
    return Ring.new(x, y, radius, radius / 2)
  end,
  function(x, y, random)
    return Polygon.new(x, y, random:between(2, 6), 3 + random:next(5))
  end,
}

local function make_shapes(size, random)
  local shapes = {}
  local group = nil
  for i = 1, size do
    -- The later shapes come from more classes than the earlier ones.
    local variety = math.min(#makers, 2 + math.floor(i * #makers / size))
    local shape = makers[random:next(variety) + 1](random:next(100), random:next(100), random)
    if i % 10 == 0 then
      group = Group.new()
      shapes[#shapes + 1] = group
    end
    if group and i % 10 < 3 then
      group:add(shape)
    else
      shapes[#shapes + 1] = shape
    end
  end
  return shapes
end

local function count_hits(shapes, random, points)
  local hits = 0
  for _ = 1, points do
    local x, y = random:between(0, 100), random:between(0, 100)
    for _, shape in ipairs(shapes) do
      if shape:contains(x, y) then
        hits = hits + shape:count()
      end
    end
  end
  return hits
end

local function total_area(shapes)
  local total = 0
  for _, shape in ipairs(shapes) do
    total = total + shape:area()
  end
  return total
end

local function check(condition, message)
  if not condition then
    error("shapes: wrong result, " .. message)
  end
end

local function run(size)
  local random = Random.new(74755)
  local shapes = make_shapes(size, random)
  local count = 0
  local names = {}
  for _, shape in ipairs(shapes) do
    count = count + shape:count()
    names[shape:name()] = (names[shape:name()] or 0) + 1
    check(shape:compactness() <= 1.000000001, "a shape rounder than a circle")
  end
  check(count == size, "shapes were lost")
  local area = total_area(shapes)
  local hits = 0
  for round = 1, 5 do
    for _, shape in ipairs(shapes) do
      shape:scale(1.125)
      shape:move(round, -round)
    end
    hits = hits + count_hits(shapes, random, 20)
  end
  local growth = total_area(shapes) / area
  check(math.abs(growth - 1.125 ^ 10) < 0.000001, "the areas did not grow as the square of the scale")
  table.sort(shapes, function(left, right)
    return left:area() < right:area()
  end)
  for i = 2, #shapes do
    check(shapes[i - 1]:area() <= shapes[i]:area(), "the shapes are not sorted")
  end
  return string.format("%d %d %.9f", hits, names.group or 0, area)
end

local known_results = { [1500] = "1192 150 42943.164211454" }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 1500

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error("shapes: wrong result " .. result .. ", expected " .. expected)
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print("shapes: ok " .. expected)
