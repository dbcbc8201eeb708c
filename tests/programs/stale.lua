-- What a function has handed to another one is not kept by what compiled code leaves on the stack.
local weak = setmetatable({}, { __mode = "k" })
local function left()
  collectgarbage()
  local n = 0
  for _ in pairs(weak) do n = n + 1 end
  return n
end
local function hold(object) weak[object] = true return object end

-- Dropped while the frame goes on.
local function drop(times)
  local sum = 0
  for i = 1, times do
    local object = hold(setmetatable({ i }, {}))
    sum = sum + object[1]
    object = nil
    sum = sum + left()
  end
  return sum
end
for i = 1, 5 do print("drop", drop(4)) end

-- In the frames of callers.
local function deep(n, object)
  hold(object)
  object = nil
  if n == 0 then return left() end
  return (deep(n - 1, {})) + 0
end
for i = 1, 5 do print("deep", deep(6, {})) end

-- In suspended coroutines.
local function waits()
  hold({})
  while true do
    hold({})
    coroutine.yield()
  end
end
local some = {}
for i = 1, 5 do
  some[i] = coroutine.create(waits)
  for j = 1, 3 do coroutine.resume(some[i]) end
end
print("suspended", left(), #some)

-- Variables to be closed are kept, and so are lists that are being made.
local function closes(n)
  local closed = 0
  for i = 1, n do
    local object <close> = hold(setmetatable({}, { __close = function() closed = closed + 1 end }))
    closed = closed + left() * 100
  end
  return closed
end
for i = 1, 3 do print("closes", closes(3)) end
local function values(...) return left(), ... end
local function list(n)
  local made = { hold({}), hold({}), values(hold({}), hold({})) }
  return #made, made[3], #made[1] + #made[5] + n
end
for i = 1, 3 do print("list", list(i)) end
local function joins(text)
  local join = setmetatable({}, { __concat = function(a, b) return type(a) .. left() .. type(b) end })
  return "a" .. text .. hold({ 1 })[1] .. (join .. "x")
end
for i = 1, 3 do print("joins", joins("t")) end
local function each(n)
  local seen = 0
  for object, number in function(_, last) if (last and last[1] or 0) < n then return hold({ (last and last[1] or 0) + 1 }), left() end end do
    seen = seen + object[1] * 10 + number
  end
  return seen
end
for i = 1, 3 do print("each", each(3)) end
