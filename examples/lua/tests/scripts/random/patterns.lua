-- Random differential inputs for patterns.
math.randomseed(tonumber(SEED) or 11)
local r = math.random
local function pick(t) return t[r(#t)] end
local letters = {"a", "b", "c", "A", "1", "2", " ", "_", "-", "(", ")", "[", "]", "%", ".", "\n", "\0", "\200", "=", ","}
local function subject()
  local t = {}
  for i = 1, r(0, 25) do t[i] = pick(letters) end
  return table.concat(t)
end
local function class()
  local k = r(12)
  if k <= 4 then return pick{"a", "b", "c", "1", " "} end
  if k == 5 then return "." end
  if k <= 8 then return "%" .. pick{"a", "d", "l", "s", "u", "w", "x", "p", "g", "c", "A", "D", "S", "W", "z", "Z", ".", "%", "(", "-", "]"} end
  local t = {"["}
  if r(3) == 1 then t[#t + 1] = "^" end
  if r(6) == 1 then t[#t + 1] = "]" end
  for i = 1, r(3) do
    t[#t + 1] = pick{"a", "b", "1-3", "a-c", "%a", "%d", "%]", "-", "_", "^", "%s", "%w", "z-a", "."}
  end
  if r(15) > 1 then t[#t + 1] = "]" end
  return table.concat(t)
end
local function pattern()
  local t = {}
  if r(6) == 1 then t[1] = "^" end
  local open = 0
  for i = 1, r(0, 5) do
    local k = r(20)
    if k == 1 then t[#t + 1] = "()"
    elseif k == 2 then t[#t + 1] = "(" open = open + 1
    elseif k == 3 and open > 0 then t[#t + 1] = ")" open = open - 1
    elseif k == 4 then t[#t + 1] = "%b" .. pick{"()", "[]", "ab", "aa", "(", ""}
    elseif k == 5 then t[#t + 1] = "%f" .. class()
    elseif k == 6 then t[#t + 1] = "%" .. r(0, 3)
    elseif k == 7 then t[#t + 1] = pick{"$", ")", "*", "%"}
    else t[#t + 1] = class() .. pick{"", "", "*", "+", "-", "?"}
    end
  end
  for i = 1, open do if r(15) > 1 then t[#t + 1] = ")" end end
  if r(8) == 1 then t[#t + 1] = "$" end
  return table.concat(t)
end
local function show(...)
  local t = table.pack(...)
  for i = 1, t.n do t[i] = tostring(t[i]) end
  return table.concat(t, "|")
end
for i = 1, 12000 do
  local s, p = subject(), pattern()
  local k = r(6)
  if k == 1 then print(show(s, p, pcall(string.find, s, p, r(-5, 10))))
  elseif k == 2 then print(show(s, p, pcall(string.match, s, p, r(-5, 10))))
  elseif k == 3 then
    print(show(s, p, pcall(function()
      local t = {}
      for a, b, c in string.gmatch(s, p) do t[#t + 1] = show(a, b, c) end
      return table.concat(t, ";")
    end)))
  elseif k == 4 then print(show(s, p, pcall(string.gsub, s, p, pick{"x", "<%0>", "%1", "%2", "", "%%", "%", "a%1b%0"}, pick{nil, 1, 2, 0, 100})))
  elseif k == 5 then print(show(s, p, pcall(string.gsub, s, p, function(...) if r(3) == 1 then return nil end return show(...) end)))
  else print(show(s, p, pcall(string.gsub, s, p, {a = "1", b = true, ab = "AB", [" "] = "_", ["1"] = 7, [1] = 5.5})))
  end
end
