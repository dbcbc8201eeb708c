-- One function for each reason of a guard: hot with one behaviour, then the guess fails in the middle of a loop, with other
-- values alive around it. What is printed tells whether every register came back.

local function check(name, got, expected)
  if got ~= expected then
    error(name .. ": got " .. tostring(got) .. ", expected " .. tostring(expected))
  end
  print(name, got)
end

-- argument: integers, then a float
local function twice(a, b) local s = a + b; local t = s * 2; return t - a end
local sum = 0
for i = 1, 2000 do sum = sum + twice(i, 1) end
check("argument", sum + twice(0.5, 1), 2005002.5)

-- kind: an operand changes its kind inside the loop
local function kinds(n, values)
  local before, total, after = 7, 0, "kept"
  for i = 1, n do
    local v = values[i]
    total = total + v
  end
  return before .. ":" .. total .. ":" .. after
end
local ints = {}
for i = 1, 1000 do ints[i] = i end
for _ = 1, 20 do kinds(1000, ints) end
ints[500] = 500.25
check("kind", kinds(1000, ints), "7:500500.25:kept")

-- result: a call gives another kind
local function give(i) if i == 900 then return "10" end return 1 end
local function results(n)
  local total = 0
  for i = 1, n do total = total + give(i) end
  return total
end
for _ = 1, 10 do results(800) end
check("result", results(1000), 1009)

-- shape: another shape comes along
local function area(shape) return shape.w * shape.h end
local function areas(list)
  local total = 0
  for i = 1, #list do total = total + area(list[i]) end
  return total
end
local boxes = {}
for i = 1, 500 do boxes[i] = { w = i, h = 2 } end
for _ = 1, 20 do areas(boxes) end
boxes[250] = { h = 3, w = 1, name = "odd" }
check("shape", areas(boxes), 250500 - 500 + 3)

-- callee: a function value changes
local function apply(f, n)
  local total = 0
  for i = 1, n do total = total + f(i) end
  return total
end
local function inc(i) return i + 1 end
for _ = 1, 20 do apply(inc, 300) end
check("callee closure", apply(function(i) return i * 2 end, 300), 90300)
check("callee native", apply(math.abs, 300), 45150)
check("callee table", apply(setmetatable({}, { __call = function(_, i) return i end }), 300), 45150)

-- bounds: reading past the end
local function count(t)
  local n = 0
  while t[n + 1] do n = n + 1 end
  return n
end
for _ = 1, 20 do count(ints) end
check("bounds", count(ints), 1000)

-- present: holes in an array with a metatable
local holes = setmetatable({}, { __index = function(_, k) return k * 1000 end })
for i = 1, 300 do holes[i] = i end
local function read(t, n)
  local total = 0
  for i = 1, n do total = total + t[i] end
  return total
end
for _ = 1, 20 do read(holes, 300) end
holes[150] = nil
check("present", read(holes, 300), 45150 - 150 + 150000)

-- nonzero: a division by zero inside
local function divide(list, d)
  local total = 0
  for i = 1, #list do total = total + list[i] // d[i] end
  return total
end
local ones, divisors = {}, {}
for i = 1, 300 do ones[i] = 6; divisors[i] = 2 end
for _ = 1, 20 do divide(ones, divisors) end
divisors[200] = 0
local ok, message = pcall(divide, ones, divisors)
check("nonzero", tostring(ok) .. " " .. tostring(message:find("attempt to") ~= nil), "false true")

-- branch: a way never taken before
local function branch(n, special)
  local log = {}
  local total = 0
  for i = 1, n do
    if i == special then
      log[#log + 1] = "special at " .. i
      total = total - i
    else
      total = total + i
    end
  end
  return total .. " " .. #log .. " " .. (log[1] or "none")
end
for _ = 1, 20 do branch(500, -1) end
check("branch", branch(500, 321), (125250 - 642) .. " 1 special at 321")

-- epoch: a class changes
local Animal = {}
Animal.__index = Animal
function Animal.new(n) return setmetatable({ n = n }, Animal) end
function Animal:speak() return self.n end
local Dog = setmetatable({}, { __index = Animal })
Dog.__index = Dog
function Dog.new(n) return setmetatable({ n = n }, Dog) end
local function speak(a, n)
  local total = 0
  for i = 1, n do
    if i == 700 and a.change then function Dog:speak() return self.n + 1 end end
    total = total + a:speak()
  end
  return total
end
for _ = 1, 10 do speak(Dog.new(1), 500) end
local changing = Dog.new(1)
changing.change = true
check("epoch", speak(changing, 1000), 699 + 602)

-- condition: a table gets a metatable
local function sum_of(t, n)
  local total = 0
  for i = 1, n do total = total + (t[i] or 0) end
  return total
end
local plain = {}
for i = 1, 300 do plain[i] = i end
for _ = 1, 20 do sum_of(plain, 300) end
check("condition", sum_of(setmetatable(plain, { __index = function() return 5 end }), 302), 45150 + 10)

-- exact: floor of something out of range
local function floors(list)
  local total = 0
  for i = 1, #list do total = total + math.floor(list[i]) end
  return total
end
local floats = {}
for i = 1, 300 do floats[i] = i + 0.5 end
for _ = 1, 20 do floors(floats) end
floats[100] = 1e300
check("exact", floors(floats) > 1e299, true)

-- overflow: integers wrap around
local function wrap(n)
  local x = math.maxinteger - 500
  for i = 1, n do x = x + 1 end
  return x
end
for _ = 1, 20 do wrap(400) end
check("wrap", wrap(501), math.mininteger)
