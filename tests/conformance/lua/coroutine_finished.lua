-- Coroutines end, and their stacks serve the next ones: nothing of the old frames is left to be redirected.
local function work(n)
  local sum = 0
  for i = 1, n do sum = sum + below(depth, function(x) return x + i end, 1) end
  coroutine.yield(sum)
  return -sum
end
local total = 0
for k = 1, 30 do
  local co = coroutine.wrap(work)
  total = total + co(k % 5 + 1) + co()
end
print(total)
