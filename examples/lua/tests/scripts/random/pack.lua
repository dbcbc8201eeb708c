-- Random differential inputs for string.pack and unpack.
math.randomseed(tonumber(SEED) or 13)
local r = math.random
local function pick(t) return t[r(#t)] end
local function hex(s) return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end)) end
for i = 1, 4000 do
  local f, v = {}, {}
  for j = 1, r(0, 6) do
    local k = r(14)
    if k <= 4 then
      f[#f + 1] = pick{"b", "B", "h", "H", "l", "L", "j", "J", "T", "i", "I", "i" .. r(1, 16), "I" .. r(1, 16), "i" .. r(0, 20)}
      v[#v + 1] = pick{0, 1, -1, 127, -128, 255, 256, r(-1000, 1000), r(0), 1.5, "7"}
    elseif k <= 6 then f[#f + 1] = pick{"f", "d", "n"} v[#v + 1] = pick{0, 1.5, -1e300, r(), 1/0, "2.5"}
    elseif k == 7 then f[#f + 1] = pick{"s", "s1", "s2", "s4", "s16"} v[#v + 1] = ("ab"):rep(r(0, 150))
    elseif k == 8 then f[#f + 1] = "z" v[#v + 1] = pick{"", "abc", "a\0b"}
    elseif k == 9 then f[#f + 1] = "c" .. r(0, 5) v[#v + 1] = pick{"", "abc", "hello!"}
    elseif k == 10 then f[#f + 1] = pick{"<", ">", "="}
    elseif k == 11 then f[#f + 1] = "!" .. pick{"", "1", "2", "4", "8", "16", "3"}
    elseif k == 12 then f[#f + 1] = "X" .. pick{"b", "h", "i", "d", "j", "c1", "z", "i3", ""}
    elseif k == 13 then f[#f + 1] = pick{"x", " "}
    else f[#f + 1] = pick{"c", "y", "i", "c10"} v[#v + 1] = 1 end
  end
  local format = table.concat(f, pick{"", " "})
  local ok, packed = pcall(string.pack, format, table.unpack(v))
  print(format, ok, ok and hex(packed) or packed, pcall(string.packsize, format))
  if ok then
    local t = table.pack(pcall(string.unpack, format, packed, pick{1, 1, 1, 2, -3}))
    for k = 1, t.n do t[k] = tostring(t[k]) end
    print(table.concat(t, "|", 1, t.n))
  end
end
