-- Coroutines are closed while compiled frames of theirs are parked: what is pending is closed, in the interpreter, in order.
local log = {}
local function guard(name)
  return setmetatable({}, { __close = function(_, e)
    log[#log + 1] = below(depth, function() return name .. tostring(e) end)
  end })
end
local function body(k)
  local a <close> = guard("a" .. k)
  for i = 1, 5 do
    local b <close> = guard("b" .. k)
    coroutine.yield(i)
  end
  return k
end
for k = 1, 10 do
  local co = coroutine.create(body)
  for _ = 1, k % 4 + 1 do coroutine.resume(co, k) end
  log[#log + 1] = tostring(coroutine.close(co)) .. coroutine.status(co)
end
print(table.concat(log, " "))
