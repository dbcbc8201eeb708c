local function leaf(...) return select("#", ...), ... end
local function variadic(...)
  local s = 0
  for i = 1, select("#", ...) do s = s + (select(i, below(depth, select, 2, leaf(...))) or 0) end
  return s, ...
end
local s = 0
for i = 1, 30 do local a, b = variadic(i, i + 1, nil, i + 2); s = s + a + b end
print(s)
