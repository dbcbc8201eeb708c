local log = {}
local function closer(n) return setmetatable({}, { __close = function(_, e) log[#log + 1] = n .. (e and "!" or "") end }) end
local function leaf(x) if x % 5 == 0 then error("five") end return x end
local function closing(x)
  local a <close> = closer(x)
  local y = below(depth, leaf, x)
  do local b <close> = closer(-x) end
  return y, x
end
for i = 1, 30 do log[#log + 1] = tostring(select("#", pcall(closing, i))) end
print(table.concat(log, " "))
