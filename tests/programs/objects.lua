-- Objects: classes, inheritance, metamethods, polymorphic sites, fields that come and go.
local Point = {}
Point.__index = Point
Point.__add = function(a, b) return Point.new(a.x + b.x, a.y + b.y) end
Point.__eq = function(a, b) return a.x == b.x and a.y == b.y end
Point.__lt = function(a, b) return a.x < b.x end
Point.__le = function(a, b) return a.x <= b.x end
Point.__len = function(a) return a.x end
Point.__tostring = function(a) return "(" .. a.x .. "," .. a.y .. ")" end
Point.__concat = function(a, b) return tostring(a) .. tostring(b) end
Point.__unm = function(a) return Point.new(-a.x, -a.y) end
Point.__call = function(self, d) return self.x + d end
function Point.new(x, y) return setmetatable({ x = x, y = y }, Point) end
function Point:norm() return self.x * self.x + self.y * self.y end

local p = Point.new(0, 0)
for i = 1, 1000 do p = p + Point.new(1, i % 2) end
print(tostring(p), p:norm(), #p, p == Point.new(1000, 500), p < Point.new(2000, 0), p <= p, p .. p, tostring(-p), p(5))

local shapes = {}
local Circle, Square, Triangle = {}, {}, {}
Circle.__index, Square.__index, Triangle.__index = Circle, Square, Triangle
function Circle:area() return 3 * self.r * self.r end
function Square:area() return self.s * self.s end
function Triangle:area() return self.b * self.h / 2 end
for i = 1, 300 do
  local kind = i % 3
  if kind == 0 then shapes[i] = setmetatable({ r = i }, Circle)
  elseif kind == 1 then shapes[i] = setmetatable({ s = i }, Square)
  else shapes[i] = setmetatable({ b = i, h = 2 }, Triangle) end
end
local total = 0
for _ = 1, 20 do for i = 1, #shapes do total = total + shapes[i]:area() end end
print(total)

local Base = {}
Base.__index = Base
function Base.new(class, name) return setmetatable({ name = name, count = 0 }, class) end
function Base:bump(n) self.count = self.count + n; return self end
local Derived = setmetatable({}, { __index = Base })
Derived.__index = Derived
function Derived:twice() return self:bump(2):bump(2) end
local d = Base.new(Derived, "d")
for _ = 1, 1000 do d:twice() end
print(d.name, d.count, d.missing)

local list
for i = 1, 500 do list = { value = i, next = list } end
local n, s = 0, 0
for _ = 1, 10 do
  local node = list
  while node do n = n + 1; s = s + node.value; node = node.next end
end
print(n, s)

local proxy = setmetatable({}, { __index = function(_, k) return k .. "!" end, __newindex = function(t, k, v) rawset(t, k, v * 2) end })
for i = 1, 200 do proxy["k" .. i] = i end
print(proxy.k100, proxy.other, rawget(proxy, "k7"))

local record = {}
for i = 1, 300 do
  record.a = i
  record.b = record.a + 1
  if i % 50 == 0 then record.b = nil end
  record.c = (record.b or -1) + (record.c or 0)
end
print(record.a, record.b, record.c)

local counts = {}
for i = 1, 1000 do
  local key = "key" .. i % 37
  counts[key] = (counts[key] or 0) + 1
end
local keys = {}
for k in pairs(counts) do keys[#keys + 1] = k end
table.sort(keys)
print(#keys, keys[1], counts[keys[1]], counts.key36)
local removed = 0
for k in pairs(counts) do counts[k] = nil; removed = removed + 1 end
print(removed, next(counts))

for phase = 1, 6 do
  local Class = {}
  Class.__index = Class
  function Class:get() return self.v * phase end
  local sum = 0
  local o = setmetatable({ v = phase % 2 == 0 and 1.5 or 2 }, Class)
  for _ = 1, 500 do sum = sum + o:get() end
  print(phase, sum)
end
