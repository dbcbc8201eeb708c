local function leaf(x) return x * 2 end
local function top(x) local y = below(depth, leaf, x); return y + 1 end
local s = 0
for i = 1, 40 do s = s + top(i) end
print(s)
