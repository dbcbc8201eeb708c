local function leaf(x) return x + 1 end
local function inner(x) return below(depth, leaf, x) + below(depth, leaf, x) end
local function middle(x) local a = below(1, inner, x); local b = below(2, inner, a); return a + b end
local function outer(x) return middle(x) - inner(x) end
local s = 0
for i = 1, 30 do s = s + outer(i) end
print(s)
