local function leaf(x, ...) return x, ... end
local function last(x) return below(depth, leaf, x, x + 1, x + 2) end
local function middle(x) return last(x) end
local function first(x) local a, b, c = middle(x); return a + b + c end
local function count(n, s) if n == 0 then return s end return count(n - 1, s + (below(depth, leaf, 1))) end
local s = 0
for i = 1, 30 do s = s + first(i) + count(i, 0) end
print(s)
