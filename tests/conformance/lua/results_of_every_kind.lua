local object = {}
local function give(n, ...) if n == 0 then return end return ... end
local function kinds(i)
  local out = {}
  local one = below(depth, give, 1, i)
  local a, b, c = below(depth, give, 1, i, i + 0.5)
  local none = below(depth, give, 0)
  local t = { below(depth, give, 1, i, "s", true, nil, object) }
  local function forward(...) return below(depth, give, 1, ...) end
  local n = select("#", forward(1, nil, nil))
  below(depth, give, 1, 2, 3)
  local x = setmetatable({}, { __index = function(_, k) return k .. i end, __add = function(_, v) return v end,
    __eq = function() return i % 2 == 0 end, __lt = function() return i % 3 == 0 end, __concat = function() return "cat" end,
    __len = function() return i / 2 end, __unm = function() return nil end, __call = function(_, ...) return ... end })
  local y = setmetatable({}, getmetatable(x))
  return table.concat({ one, a, b, tostring(c), tostring(none), #t, t[2], tostring(t[3]), tostring(t[5] == object), n,
    x.k, x + 7, tostring(x == y), tostring(x ~= y), tostring(x < y), tostring(not (x < y)), x .. "a", #x, tostring(-x), (x(1, 2)), select("#", x()) }, ",")
end
for i = 1, 30 do print(kinds(i)) end
