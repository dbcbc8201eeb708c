-- Coroutines that are parked in compiled frames while others run: they go on in the interpreter when their turn comes.
local function deep(n, x)
  if n == 0 then
    return coroutine.yield(x) + 1
  end
  return deep(n - 1, x + 1) + n
end
local workers = {}
for k = 1, 6 do
  workers[k] = coroutine.wrap(function(a)
    while true do a = deep(k, a) end
  end)
end
local sum = 0
for round = 1, 12 do
  for k = 1, 6 do sum = sum + workers[k](round) end
  sum = sum + below(depth, function(x) return x * 2 end, round)
end
print(sum)
