-- Coroutines are parked in compiled frames and then forgotten: they are freed with what they hold.
local function inner(x)
  coroutine.yield(x)
  return x
end
local count = 0
for k = 1, 40 do
  local co = coroutine.wrap(function(a)
    local b = inner(a)
    return inner(b + 1)
  end)
  count = count + co(k)
  if k % 3 == 0 then count = count + (co(k) or 0) end
  count = count + below(depth, function(x) return x end, k)
end
collectgarbage()
print(count)
