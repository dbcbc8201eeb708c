-- Kinds of values in loops: integers and floats mixed, strings, closures, varargs, multiple results, goto, nested tables.
local function mixed(n)
  local a, b, c = 0, 0.5, ""
  for i = 1, n do
    a = a + i % 7
    b = b * 1.0001 + i / 3
    if i % 100 == 0 then c = c .. i end
  end
  return a, b, c
end
for _ = 1, 5 do mixed(300) end
local a, b, c = mixed(1000)
print(a, string.format("%.6f", b), c)

local function counter()
  local n = 0
  return function(d) n = n + (d or 1); return n end
end
local tick = counter()
for i = 1, 1000 do tick(i % 3) end
print(tick(0))

local function many(...)
  local n = select("#", ...)
  local total = 0
  for i = 1, n do total = total + (select(i, ...)) end
  return total, n, ...
end
local t, n
for i = 1, 300 do t, n = many(i, i + 1, i + 2) end
print(t, n, (many(1, 2, 3)))
print(many(4, 5))

local function results(i) if i % 2 == 0 then return i, i + 1 end return i end
local collected = {}
for i = 1, 200 do
  local x, y = results(i)
  collected[#collected + 1] = x + (y or 0)
end
local s = 0
for _, v in ipairs(collected) do s = s + v end
print(s, #collected)

local out = {}
for i = 1, 500 do
  if i % 3 == 0 then goto continue end
  out[#out + 1] = i
  ::continue::
end
print(#out, out[#out])

local keys = {}
for k, v in pairs({ a = 1, b = 2, c = 3, 10, 20, 30 }) do keys[#keys + 1] = tostring(k) .. "=" .. tostring(v) end
table.sort(keys)
print(table.concat(keys, " "))

local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(18))
local function loop(n, acc) if n == 0 then return acc end return loop(n - 1, acc + 1) end
print(loop(300000, 0))

local function deep(n) if n == 0 then return 0 end return 1 + deep(n - 1) end
print(deep(10000))

local words = {}
for w in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do words[#words + 1] = w:upper() end
print(table.concat(words, ","))
local parts = {}
for i = 1, 300 do parts[i % 10 + 1] = ("x"):rep(i % 5) .. i end
print(table.concat(parts, "|"))

local grid = {}
for y = 1, 30 do
  grid[y] = {}
  for x = 1, 30 do grid[y][x] = x * y end
end
local diagonal = 0
for i = 1, 30 do diagonal = diagonal + grid[i][i] end
print(diagonal)

for x = 1.0, 2.0, 0.25 do io.write(x, " ") end
for x = 10, 1, -3 do io.write(x, " ") end
for x = math.maxinteger - 2, math.maxinteger do io.write(x, " ") end
print()
print(1 << 62, 1 << 63, 1 << 64, -1 >> 1, -1 >> 63, 3 & 5, 3 | 5, 3 ~ 5, ~0)
print(7 // 2, -7 // 2, 7 // -2, 7 % -3, -7 % 3, 7.5 // 2, -7.5 % 2, 1e15 % 7)
print(1 == 1.0, "1" == 1, 0.1 + 0.2 == 0.3, -0.0 == 0.0)
print(10 / 2, 3 // 0.0, -3 // 0.0, 0 / 0 ~= 0 / 0)
