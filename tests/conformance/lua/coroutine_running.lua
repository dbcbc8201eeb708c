-- A coroutine that runs, with compiled frames of its own and of who resumed it: both are left.
local function step(i)
  return below(depth, function(x) return x + i end, i)
end
local co = coroutine.wrap(function()
  while true do
    local sum = 0
    for i = 1, 10 do sum = sum + step(i) end
    coroutine.yield(sum)
  end
end)
local total = 0
for i = 1, 20 do total = total + co() + step(i) end
print(total)
