local function leaf(x) return x end
local function deep(n) if n == 0 then return below(depth, leaf, 0) end return 1 + deep(n - 1) end
for i = 1, 4 do print(deep(10), deep(2500)) end
print(deep(10000))
