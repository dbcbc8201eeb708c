local function leaf(x) return x end
local function guess(x) local y = below(depth, leaf, x); return y + y end
local s = 0
for i = 1, 40 do s = s + guess(i % 7 == 0 and i + 0.5 or i % 11 == 0 and tostring(i) or i) end
print(s)
