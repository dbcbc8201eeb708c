-- Loops with more variables than their iterators give.
local function sum(t)
  local s, extra = 0, 0
  for k, v, third, fourth, fifth in next, t do
    s = s + v
    if third ~= nil or fourth ~= nil or fifth ~= nil then extra = extra + 1 end
  end
  for i, v, third, fourth in ipairs(t) do
    s = s + i
    if third ~= nil or fourth ~= nil then extra = extra + 1 end
  end
  return s, extra
end
local function three(t, i)
  i = i + 1
  if i <= #t then return i, t[i], i * 2 end
end
local function other(t)
  local s = 0
  for i, v, double, none in three, t, 0 do
    s = s + double + v
    if none then s = s + 1000 end
  end
  return s
end
local t = { 5, 6, 7, 8, 9 }
for i = 1, 200 do
  local s, extra = sum(t)
  local o = other(t)
  if i % 50 == 0 then print(s, extra, o) end
end
