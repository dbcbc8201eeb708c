-- The stack overflows in compiled code.
local function deep(n) return 1 + deep(n + 1) end
local ok, text = pcall(deep, 1)
print(ok, (text:gsub("\n.*", ""):gsub("C stack", "stack")))
local function mutual(n) local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[n] end
local ok, text = pcall(mutual, 1)
print(ok, (text:gsub("\n.*", ""):gsub("C stack", "stack")))
print(select(2, xpcall(deep, function(m) return #m < 100 and "handled" end, 1)))
