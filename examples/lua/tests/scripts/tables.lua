-- The table library: results, metamethods and messages.
local function show(v) if type(v) == "table" then return "table" end return tostring(v) end
local function t(f, ...)
  local r = table.pack(pcall(f, ...))
  for i = 2, r.n do r[i] = show(r[i]) end
  print(table.concat(r, "\t", 2, r.n))
end
local function list(x) local r = {} for i = 1, #x do r[i] = show(x[i]) end return table.concat(r, ",") end
local log = {}
local function traced(raw, n)
  return setmetatable({}, {
    __index = function(_, k) log[#log + 1] = "get " .. k return raw[k] end,
    __newindex = function(_, k, v) log[#log + 1] = "set " .. k .. "=" .. show(v) raw[k] = v end,
    __len = function() log[#log + 1] = "len" return n or #raw end,
  })
end
local function flush() print(table.concat(log, " ")) log = {} end
-- insert, remove
local x = {} table.insert(x, "a") table.insert(x, 1, "b") table.insert(x, 3, "c") table.insert(x, 2, "d") print(list(x))
print(table.remove(x), table.remove(x, 1), table.remove(x, 3), table.remove(x, 2), table.remove(x), table.remove(x), #x)
t(table.insert, nil, 1) t(table.insert, {}) t(table.insert, {}, 1, 2, 3) t(table.insert, {}, 3, 1) t(table.insert, {}, 0, 1) t(table.insert, {}, "x", 1) t(table.insert, {}, 1.5, 1) t(table.insert, {1, 2}, nil) t(table.insert, 1, 1) t(table.insert, {}, "1", "v") t(table.insert, "s", 1)
t(table.remove, {}, 5) t(table.remove, {}, 0) t(table.remove, {}, 1) t(table.remove, {1, 2, 3}, 5) t(table.remove, {1, 2, 3}, 4) t(table.remove, {1, 2, 3}, 0) t(table.remove, {[0] = 7}, 0) t(table.remove, {[0] = 7}) t(table.remove, 5)
do local raw = {1, 2, 3} local p = traced(raw) table.insert(p, 4) table.insert(p, 1, 0) print(list(raw)) flush() print(table.remove(p), table.remove(p, 1)) print(list(raw)) flush() end
do local x = {} for i = 1, 100 do table.insert(x, 1, i) end for i = 1, 50 do table.remove(x, 1) end print(#x, x[1], x[50], x[51]) for i = 1, 50 do table.remove(x) end print(#x, next(x)) end
do local x = {n = 1, [5] = 5} table.insert(x, 1) table.insert(x, 2) print(#x, x[5], x.n) end
-- concat
t(table.concat, {1, 2, {}}) t(table.concat, {1, 2, 3}, ",", 2) t(table.concat, {1, 2, 3}, ",", 2, 5) t(table.concat, {}, "x", 1, 0) t(table.concat, {1, 2.5, "x"}, 1) t(table.concat, {1}, {}) t(table.concat, {1, nil, 3}) t(table.concat, {}, "", math.maxinteger, math.maxinteger) t(table.concat, {"a", "b"}, ", ") t(table.concat, {}) t(table.concat, {[5] = "e"}, "", 5, 5) t(table.concat, 3) t(table.concat, {true}) t(table.concat, {10, 20.0, -0.0}, " ")
t(table.concat, traced({"x", "y", "z"}), "-") flush()
-- pack, unpack
print(table.pack().n, table.pack(nil, nil).n, #table.pack(1, 2, 3), table.pack(1, 2, 3).n)
t(table.unpack, {1, 2, 3}, 2) t(table.unpack, {1, 2}, 1, 3) t(table.unpack, {1, 2, 3}, -1, 1) t(table.unpack, {}, 1, 1e7) t(table.unpack, 1) t(table.unpack, "abc") t(table.unpack, {}, math.mininteger, math.maxinteger) t(table.unpack, nil) t(table.unpack) t(table.unpack, {1, 2}, 2, 1) t(table.unpack, {}, math.maxinteger, math.maxinteger) t(table.unpack, nil, 1, 2) t(table.unpack, {}, "x") print(select("#", table.unpack({}, 1, 5000)))
t(table.unpack, traced({1, 2, 3})) flush()
-- move
print(list(table.move({1, 2, 3}, 1, 3, 2)), list(table.move({1, 2, 3}, 2, 3, 1)), list(table.move({1, 2, 3}, 1, 0, 5)), list(table.move({1, 2, 3}, 1, 3, 1, {})), list(table.move({1, 2, 3}, 1, 3, 3)))
t(table.move, {}, 1, math.maxinteger, 2) t(table.move, {}, -1, math.maxinteger, 2) t(table.move, 1, 1, 2, 3) t(table.move, {}, 1, 2, 3, 4) t(table.move, {}) t(table.move, {}, math.mininteger, 0, 1) t(table.move, {}, 1, 2, math.maxinteger)
table.move(traced({1, 2, 3}), 1, 3, 2, traced({})) flush() do local p = traced({1, 2, 3}) table.move(p, 1, 3, 2) flush() end
-- sort
t(table.sort, {3, 1, "x"}) t(table.sort, {3, 1, {}}) t(table.sort, {{}, {}}) t(table.sort, {3, 2, 1}, 1) t(table.sort, {1, 2, 3, 4, 5}, function() return true end) t(table.sort, {1, 2, 3}, function(a, b) error("boo", 0) end) t(table.sort, nil) t(table.sort, {1}, 1) t(table.sort, {}, 1) t(table.sort, {3, 2, nil, 1}) t(table.sort, setmetatable({}, {__len = function() return math.maxinteger end})) t(table.sort, setmetatable({}, {__len = function() return 2.5 end}))
t(table.insert, setmetatable({}, {__len = function() return "x" end}), 1)
for _, n in ipairs{0, 1, 2, 3, 4, 5, 10, 99, 100, 101, 500, 2000} do
  local seed = n local function random() seed = (seed * 1103515245 + 12345) % 2147483648 return seed // 65536 end
  local ints, floats, strings, mixed, keyed = {}, {}, {}, {}, {}
  for i = 1, n do ints[i] = random() % 100 floats[i] = random() / 7 strings[i] = tostring(random()) mixed[i] = i % 2 == 0 and random() % 50 or random() % 50 + 0.0 keyed[i] = {k = random() % 10, i = i} end
  table.sort(ints) table.sort(floats) table.sort(strings) table.sort(mixed) table.sort(keyed, function(a, b) return a.k < b.k end)
  local down = table.move(ints, 1, n, 1, {}) table.sort(down, function(a, b) return a > b end)
  local sum = 0
  for i = 1, n do sum = (sum * 31 + ints[i] + keyed[i].i * 7 + #strings[i] + (math.type(mixed[i]) == "integer" and 1 or 0) + down[i]) % 1000000007 end
  print(n, sum, ints[1], ints[n], strings[1], strings[n], mixed[1], mixed[n], n > 0 and string.format("%.6g", floats[1]), n > 0 and keyed[1].i)
end
do local raw = {3, 1, 2} table.sort(traced(raw)) print(list(raw)) log = {} end
do local objects = {} for i = 1, 50 do objects[i] = setmetatable({v = (i * 37) % 11, i = i}, {__lt = function(a, b) return a.v < b.v end}) end table.sort(objects) local r = {} for i = 1, 50 do r[i] = objects[i].i end print(table.concat(r, " ")) end
t(table.insert, setmetatable({}, {__len = function() return math.maxinteger end}), 1) t(table.remove, setmetatable({}, {__len = function() return 0 end}), 0)
