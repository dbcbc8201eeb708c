-- Comparisons that run metamethods or the host's equality: what they decide is decided once, also when the frame is rebuilt in them.
local Number = {}
Number.__index = Number
Number.__eq = function(a, b) return a.n == b.n end
Number.__lt = function(a, b) return (type(a) == "table" and a.n or a) < (type(b) == "table" and b.n or b) end
Number.__le = function(a, b) return (type(a) == "table" and a.n or a) <= (type(b) == "table" and b.n or b) end
local function number(n) return setmetatable({ n = n }, Number) end

local function decide(a, b)
  local s = 0
  if a == b then s = s + 1 end
  if a ~= b then s = s + 2 end
  if a < b then s = s + 4 end
  if a <= b then s = s + 8 end
  if not (a < b) then s = s + 16 end
  if a < 5 then s = s + 32 end
  if a <= 5 then s = s + 64 end
  if a > 5 then s = s + 128 end
  if a >= 5.0 then s = s + 256 end
  if a == 5 then s = s + 512 end
  if a == "x" then s = s + 1024 end
  if a == nil then s = s + 2048 end
  return s
end
local all = {}
for i = 1, 60 do
  all[#all + 1] = decide(number(i % 10), number(5)) + decide(i % 10, 5) + decide(i % 10 + 0.5, 5)
end
print(table.concat(all, " "))

-- A value that has several kinds at the same site.
local record, sum = {}, 0
for i = 1, 300 do
  record.b = i + 1
  if i % 50 == 0 then record.b = nil end
  sum = (record.b or -1) + sum
  for _, x in ipairs { 1, "1", 1.0, true } do
    if x == 1 then sum = sum + 1 elseif x == "1" then sum = sum + 2 elseif x == true then sum = sum + 4 end
  end
end
print(sum)
for n, v in next, { a = 1 }, nil, nil do print(n, v) end
