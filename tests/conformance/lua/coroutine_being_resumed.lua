-- A coroutine is thrown out of its code while it is being resumed: values go both ways, of every number and kind, errors too.
local function echo(...)
  local values = table.pack(...)
  while true do
    values = table.pack(coroutine.yield(table.unpack(values, 1, values.n)))
  end
end
local co = coroutine.create(echo)
local texts = {}
for i = 1, 15 do
  local _, a, b, c = coroutine.resume(co, i, i + 0.5, "s" .. i)
  local ok, none = coroutine.resume(co)
  texts[#texts + 1] = below(depth, function() return tostring(a) .. tostring(b) .. tostring(c) .. tostring(none) end)
end
print(table.concat(texts, " "))
local failing = coroutine.wrap(function(x)
  for i = 1, 8 do x = coroutine.yield(x + i) end
  error("ended", 0)
end)
local seen = {}
for i = 1, 10 do
  local ok, value = pcall(failing, i)
  seen[#seen + 1] = tostring(ok) .. ":" .. tostring(value)
end
print(table.concat(seen, " "))
