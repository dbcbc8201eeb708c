-- Deep recursion inside of coroutines: a full stack is an error there, and the program goes on.

local create, resume, yield, wrap = coroutine.create, coroutine.resume, coroutine.yield, coroutine.wrap
-- A stack overflow inside is an error there.
local function endless(n) return 1 + endless(n + 1) end
local ok, message = resume(create(endless), 1)
print(ok, (message:gsub(":.*", "")))
co = wrap(function()
  local ok, message = pcall(endless, 1)
  yield(ok, message:match("stack overflow"))
  return "goes on"
end)
print(co()) print(co())
local function sumto(n) if n == 0 then yield("bottom") return 0 end return n + sumto(n - 1) end
co = wrap(sumto)
print(co(5000), co())

