-- Libraries that call back, while everything around them is garbage. To be run with a tiny nursery too.
local function waste() local t = {} for i = 1, 20 do t[i] = {i, tostring(i) .. "x"} end return #t end
local words = {}
for i = 1, 200 do words[i] = {key = ("k%03d"):format((i * 73) % 200), n = i} end
table.sort(words, function(a, b) waste() return a.key < b.key end)
for i = 2, 200 do assert(words[i - 1].key <= words[i].key) end
local sum = 0 for i = 1, 200 do sum = sum * 31 % 1000003 + words[i].n end print(sum)
local objects = {} for i = 1, 100 do objects[i] = setmetatable({v = i * 37 % 101}, {__lt = function(a, b) waste() return a.v < b.v end}) end
table.sort(objects) for i = 2, 100 do assert(objects[i - 1].v <= objects[i].v) end
print(math.max(table.unpack(objects)).v, math.min(table.unpack(objects)).v)
print((("the quick brown fox"):gsub("%w+", function(w) waste() return w:reverse() end)))
print((("a b c"):gsub("(%w)", setmetatable({}, {__index = function(_, k) waste() return k .. k end}))))
print((("x=1, y=2"):gsub("(%w)=(%w)", function(a, b) waste() return {} and b .. "=" .. a end)))
local lazy = setmetatable({}, {__index = function(t, k) waste() return k <= 50 and {k} or nil end, __len = function() waste() return 50 end, __newindex = function(t, k, v) waste() rawset(t, k, v) end})
local values = {table.unpack(lazy)} print(#values, values[1][1], values[50][1])
local texts = setmetatable({}, {__index = function(t, k) waste() return "v" .. k end, __len = function() return 30 end}) print(table.concat(texts, ","))
table.insert(lazy, {51}) table.insert(lazy, 1, {0}) print(lazy[1][1], lazy[2][1], lazy[51][1]) print(table.remove(lazy, 1)[1], lazy[1][1]) print(table.move(lazy, 1, 10, 3)[12][1])
print(string.format("%s|%5s|%.3s|%d", setmetatable({}, {__tostring = function() waste() return "long text " .. waste() end}), setmetatable({}, {__tostring = function() return "abc" .. waste() end}), setmetatable({}, {__tostring = function() return ("y"):rep(waste()) end}), 7))
local parts = {} for w in ("one two three"):gmatch("%a+") do waste() parts[#parts + 1] = w end print(table.concat(parts, "+"))
local t = {} for i = 1, 300 do table.insert(t, {i}) if i % 3 == 0 then table.insert(t, i // 2, {-i}) end if i % 5 == 0 then table.remove(t, 1) end end local s = 0 for i = 1, #t do s = s + t[i][1] * i end print(#t, s)
local packed = {} for i = 1, 100 do packed[i] = table.pack(i, {i}, tostring(i)) end for i = 1, 100 do assert(packed[i][2][1] == i and packed[i].n == 3 and packed[i][3] == tostring(i)) end
local big = {} for i = 1, 3000 do big[i] = {i} end for i = 1, 3000, 7 do big[i] = {-i} end table.sort(big, function(a, b) return a[1] > b[1] end) print(big[1][1], big[3000][1]) waste() for i = 2, 3000 do assert(big[i - 1][1] >= big[i][1]) end
for p, c in utf8.codes(("€"):rep(20)) do waste() assert(c == 8364) end for line in io.lines(arg[0]) do waste() assert(#line > 0) end
print(select("#", table.unpack(big, 1, 250)), #string.rep("ab", 5000), pcall(string.rep, "x", 3, {}))
