local function fail(x) if x % 3 == 0 then error({ x }) end return x end
local function through(x) local y = below(depth, fail, x); return y + 1 end
local function caught_above(x) local ok, e = pcall(through, x); return ok and e or -e[1] end
local function caught_in_it(x)
  local ok, e = pcall(function() return below(depth, fail, x) + 1 end)
  return ok and e or -e[1]
end
local function caught_below(x) return (below(depth, function(x) local ok, e = pcall(fail, x); return ok and x or -x end, x)) end
local s = {}
for i = 1, 30 do s[#s + 1] = caught_above(i) .. "/" .. caught_in_it(i) .. "/" .. caught_below(i) end
print(table.concat(s, " "))
print(select(2, xpcall(through, function(e) return "handled " .. e[1] end, 3)))
