-- Names of variables in messages from compiled code.
local function attempt(f, ...) print(select(2, pcall(f, ...))) end
local upper = nil
local functions = {
  function(a, b) return a .. b end,
  function(a, b) return "x" .. a .. b.name .. "y" end,
  function(a, b) local t = { 1 } return "x" .. a .. t end,
  function(a, b) return a + b end,
  function(a, b) return a.x.y end,
  function(a, b) a.x.y = 1 end,
  function(a, b) return b.x() end,
  function(a, b) return b:method() end,
  function(a, b) return upper.x end,
  function(a, b) return upper() end,
  function(a, b) return undefined.x end,
  function(a, b) return undefinedfunction(a) end,
  function(a, b) return a < b end,
  function(a, b) return #a + #upper end,
  function(a, b) return -b end,
  function(a, b) return a & 1.5 end,
  function(a, b) return a // 0 end,
  function(a, b) return 1 // (b and 0) end,
  function(a, b) return 1 % (b and 0) end,
  function(a, b) for i = 1, b do end end,
  function(a, b) for k in b do end end,
  function(a, b) return a[b][b] end,
  function(a, b) a[nil] = 1 end,
  function(a, b) return ("x"):rep(b) end,
  function(a, b) return string.rep(a) end,
  function(a, b) return math.floor(b) end,
  function(a, b) return a .. upper end,
  function(a, b) return 2^53 | b end,
  function(a, b) return 1.5 | 1 end,
  function(a, b) local x <close> = 42 end,
}
for round = 1, 60 do
  if round == 60 or round == 1 then print("round", round) end
  for number, f in ipairs(functions) do
    local a, b = "text", { name = "n", x = {}, method = 3 }
    if round == 1 or round == 60 then
      attempt(f, a, b)
      attempt(f, nil, nil)
      attempt(f, {}, 1)
    else
      pcall(f, a, b)
      pcall(f, 1, 2)
      pcall(f, {}, {})
    end
  end
end
