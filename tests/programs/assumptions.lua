-- What compiled code takes for granted without checking it is broken while frames rest on it: in loops, in callbacks, in functions
-- that were called from there, and in coroutines that are parked. Each kind of assumption, each way to break it.

local ROUNDS = 120

-- Runs `body(i)` in a hot loop; in the round `at`, `change` is called from deep inside.
local function hot(body, at, change)
  local seen, last = {}, nil
  for i = 1, ROUNDS do
    local value = body(i, at, change)
    if value ~= last then
      seen[#seen + 1] = i .. ":" .. tostring(value)
      last = value
    end
  end
  return table.concat(seen, " ")
end

local function at_round(i, at, change)
  if i == at then change() end
end

-- Globals that are never reassigned: Lua functions, native functions, tables.
function scale(x) return 2 end
local function use_scale(i, at, change)
  at_round(i, at, change)
  return scale(i)
end
print("global function", hot(use_scale, 60, function() function scale(x) return 3 end end))
print("global function again", hot(use_scale, 60, function() scale = function(x) return 4 end end))
print("through _G", hot(use_scale, 60, function() _G.scale = function(x) return 5 end end))
print("by rawset", hot(use_scale, 60, function() rawset(_G, "scale", function(x) return 6 end) end))
print("by a computed key", hot(use_scale, 60, function() _G["sca" .. "le"] = function(x) return 7 end end))

function shift(x) return 1 end
print("to something else", hot(function(i, at, change)
  at_round(i, at, change)
  local ok, value = pcall(shift, i)
  return ok and value or "no function"
end, 70, function() shift = "a string" end))

-- The global changes between its use as a callee and the call's arguments.
function pair(a, b) return a * 10 + b end
print("in an argument", hot(function(i, at, change)
  return pair((function() at_round(i, at, change); return 1 end)(), 2) + pair(3, 4)
end, 50, function() pair = function(a, b) return a * 100 + b end end))

-- Library functions, with code of their own and without.
local floor, ipairs_before = math.floor, ipairs
print("library function", hot(function(i, at, change)
  at_round(i, at, change)
  return math.floor(2.5)
end, 40, function() math.floor = function(x) return x + 100 end end))
math.floor = floor
print("library table", hot(function(i, at, change)
  at_round(i, at, change)
  return math.max(i, 500)
end, 40, function() math = { max = function(a, b) return -b end } end))
print("ipairs", hot(function(i, at, change)
  at_round(i, at, change)
  local sum = 0
  for _, v in ipairs({ 1, 2, 3 }) do sum = sum + v end
  return sum
end, 40, function() ipairs = function(t) return ipairs_before({ #t }) end end))
ipairs = ipairs_before

-- In a callback of a native function, the frames that called it rest on what is broken.
function weight(x) return x end
local function sorted(i, at, change)
  local list = { 3, 1, 2 }
  table.sort(list, function(a, b)
    at_round(i, at, change)
    return weight(a) < weight(b)
  end)
  return table.concat(list, ",") .. weight(1)
end
print("in a callback", hot(sorted, 45, function() weight = function(x) return -x end end))
function upper(s) return s:upper() end
print("in gsub", hot(function(i, at, change)
  local text = ("abc"):gsub("%w", function(c) at_round(i, at, change); return upper(c) end)
  return text .. upper("z")
end, 45, function() upper = function(s) return s .. s end end))

-- Methods of class-like tables.
local Shape = {}
Shape.__index = Shape
function Shape.new() return setmetatable({ n = 1 }, Shape) end
function Shape:area() return 1 end
function Shape:name() return "shape" end
local Square = setmetatable({}, { __index = Shape })
Square.__index = Square
function Square.new() return setmetatable({ n = 2 }, Square) end
function Square:area() return 4 end

local one, two = Shape.new(), Square.new()
local function areas(i, at, change)
  at_round(i, at, change)
  return one:area() .. two:area() .. two:name()
end
print("method replaced", hot(areas, 60, function() function Shape:area() return 7 end end))
print("inherited method overridden", hot(areas, 60, function() function Square:name() return "square" end end))
print("inherited method uncovered", hot(areas, 60, function() Square.area = nil end))
print("own field before the method", hot(areas, 60, function() two.area = function() return "own" end end))
two.area = nil
print("__index replaced", hot(areas, 60, function()
  Square.__index = { area = function() return "other" end, name = function() return "index" end }
end))
print("__index a function", hot(areas, 60, function()
  Square.__index = function(_, key) return function() return key end end
end))
Square.__index = Square
print("metatable of the class", hot(areas, 60, function()
  setmetatable(Square, { __index = { area = function() return "meta" end, name = function() return "class" end } })
end))
print("metatable of the object", hot(areas, 60, function() setmetatable(two, Shape) end))
print("metatable removed", hot(function(i, at, change)
  at_round(i, at, change)
  local ok, value = pcall(function() return one:name() end)
  return ok and value or "no method"
end, 60, function() setmetatable(one, nil) end))
setmetatable(one, Shape)

-- Fields that are absent along the whole chain, and new fields of objects whose class has no __newindex.
local Plain = {}
Plain.__index = Plain
print("absent field", hot(function(i, at, change)
  local object = setmetatable({ a = 1 }, Plain)
  at_round(i, at, change)
  object.b = i
  return tostring(object.missing) .. tostring(rawget(object, "b") ~= nil)
end, 50, function() Plain.missing = "found" end))
print("__newindex", hot(function(i, at, change)
  local object = setmetatable({ a = 1 }, Plain)
  at_round(i, at, change)
  object.c = i
  return tostring(rawget(object, "c") ~= nil)
end, 50, function() Plain.__newindex = function() end end))

-- The metatable of strings, and what it leads to.
local len = string.len
print("string method", hot(function(i, at, change)
  at_round(i, at, change)
  return ("abc"):len()
end, 50, function() string.len = function() return "mine" end end))
string.len = len
local strings = getmetatable("")
print("string metatable's __index", hot(function(i, at, change)
  at_round(i, at, change)
  return ("abc"):len()
end, 50, function() strings.__index = { len = function() return "index" end } end))
strings.__index = string
if debug then
  print("string metatable", hot(function(i, at, change)
    at_round(i, at, change)
    return ("abc"):len()
  end, 50, function() debug.setmetatable("", { __index = { len = function() return "new" end } }) end))
  debug.setmetatable("", strings)
end

-- Coroutines that are parked in frames which rest on what is broken, each in its own loop.
function step(x) return 1 end
local Class = {}
Class.__index = Class
function Class:get() return 1 end
local object = setmetatable({}, Class)
local function worker()
  local sum = 0
  while true do
    sum = sum + step(sum) + object:get()
    coroutine.yield(sum)
  end
end
local workers = {}
for i = 1, 5 do
  workers[i] = coroutine.wrap(worker)
  for _ = 1, ROUNDS do workers[i]() end
end
local function rounds()
  local sums = {}
  for i = 1, 5 do sums[i] = workers[i]() end
  return table.concat(sums, " ")
end
print("parked", rounds())
step = function(x) return 1000 end
print("parked, function replaced", rounds())
for _ = 1, ROUNDS do rounds() end
function Class:get() return 100000 end
print("parked, method replaced", rounds())
for _ = 1, ROUNDS do rounds() end
coroutine.wrap(function() Class.get = nil; Class.__index = { get = function() return 7 end } end)()
print("parked, changed by a coroutine", rounds())

-- A frame deep in a recursion breaks what all frames above it rest on.
function depth_value() return 1 end
local function descend(n)
  if n == 0 then
    depth_value = function() return 1000 end
    return 0
  end
  local before = depth_value()
  return before + descend(n - 1) + depth_value()
end
for _ = 1, 20 do
  depth_value = function() return 1 end
  descend(5)
end
depth_value = function() return 1 end
print("recursion", descend(100))

-- An error thrown past frames that rest on what it broke.
function risky(i) return i end
local function thrower(i, at)
  local ok, value = pcall(function()
    if i == at then
      risky = function(j) return -1 end
      error("broken", 0)
    end
    return risky(1)
  end)
  return tostring(value) .. risky(1)
end
print("error", hot(thrower, 60))

-- Things that change all the time are no longer taken for granted, and stay right.
function flip() return 0 end
local function flips()
  local sum = 0
  for i = 1, ROUNDS do
    local n = i
    flip = function() return n end
    sum = sum + flip()
    Plain["m" .. i % 7] = i
    Plain.mm = i % 3 ~= 0 and i or nil
    sum = sum + (setmetatable({}, Plain).mm or 0)
    setmetatable(Plain, i % 2 == 0 and { __index = { deep = i } } or nil)
    sum = sum + (setmetatable({}, Plain).deep or 0)
  end
  return sum
end
print("all the time", flips(), flips(), flips())

-- The table of globals gets a metatable, many more names, and loses some.
function kept() return "kept" end
print("globals' metatable", hot(function(i, at, change)
  at_round(i, at, change)
  return kept() .. tostring(undefined_name)
end, 50, function() setmetatable(_G, { __index = function(_, key) return "no " .. key end }) end))
print("global removed", hot(function(i, at, change)
  at_round(i, at, change)
  return type(kept) == "function" and kept() or tostring(kept)
end, 50, function() kept = nil end))
setmetatable(_G, nil)
function kept() return "kept" end
print("a thousand globals", hot(function(i, at, change)
  at_round(i, at, change)
  return kept()
end, 50, function()
  for i = 1, 1500 do _G["name" .. i] = i end
  kept = function() return "in a dictionary" end
end))
