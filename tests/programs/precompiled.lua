-- Functions as precompiled chunks: whole, stripped, cut short, damaged.
local function f(a, ...)
  local t = { x = 1, y = { 2 }, ["a longer key"] = 0x7fffffffffffffff }
  local g = function() a = a + 1 return a end
  for i = 1, 3 do local c <const> = i; a = a + c end
  return g() + t.x + t.y[1] + select("#", ...), ("s"):rep(3), 1.5, -7, nil, true, t["a longer key"]
end
local d = string.dump(f)
print(load(d, "d", "b", { select = select })(1, 2, 3))
print(load(string.dump(f, true))(1, 2, 3))
print(load(d, "d", "t"))
local cut, damaged = 0, 0
for i = 1, #d - 1 do
  local chunk, text = load(d:sub(1, i))
  if not chunk and text:find("truncated") then cut = cut + 1 end
end
for i = 1, #d do
  if not load(d:sub(1, i - 1) .. string.char((d:byte(i) + 1) % 256) .. d:sub(i + 1)) then damaged = damaged + 1 end
end
print(cut == #d - 1, damaged == #d)
print(pcall(load(string.dump(load("local x = ... ; return x.y.z", "=name"), true)), {}))
local hot = load(string.dump(function(n) local s = 0 for i = 1, n do s = s + i end return s end))
for i = 1, 300 do hot(100) end
print(hot(1000))
print(pcall(string.dump, print))
