local function leaf(x) return x end
local function at_once(x) return (below(depth, leaf, x)) end
local function outer(x) return at_once(x) + at_once(x + 1) end
local s = 0
for i = 1, 40 do s = s + outer(i) end
print(s)
