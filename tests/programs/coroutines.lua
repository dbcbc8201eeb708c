-- Coroutines: values both ways, errors, closing, and guesses that fail inside of them.

local create, resume, yield, wrap = coroutine.create, coroutine.resume, coroutine.yield, coroutine.wrap

-- Generators, hot enough to be compiled on both sides.
local function range(n)
  return wrap(function()
    for i = 1, n do yield(i) end
  end)
end
local sum = 0
for round = 1, 20 do
  for i in range(100) do sum = sum + i * round end
end
print("range", sum)

-- Recursion inside: a yield deep in a tree of calls.
local function tree(depth)
  if depth == 0 then return nil end
  return { left = tree(depth - 1), value = depth, right = tree(depth - 1) }
end
local function walk(node)
  if node then
    walk(node.left)
    yield(node.value)
    walk(node.right)
  end
end
local function total(node)
  local sum, count = 0, 0
  for value in wrap(function() walk(node) end) do
    sum, count = sum + value * count % 7, count + 1
  end
  return sum, count
end
print("tree", total(tree(7)))

-- Permutations, with a recursion that changes what it yields.
local function permute(a, n)
  n = n or #a
  if n <= 1 then
    yield(a)
  else
    for i = 1, n do
      a[n], a[i] = a[i], a[n]
      permute(a, n - 1)
      a[n], a[i] = a[i], a[n]
    end
  end
end
local count, check = 0, 0
for p in wrap(function() permute({ 1, 2, 3, 4, 5 }) end) do
  count = count + 1
  check = (check * 31 + p[1] * 6 + p[3]) % 1000003
end
print("permutations", count, check)

-- Producer, filter, consumer.
local function producer(n)
  return create(function()
    for i = 1, n do yield("line " .. i) end
    return nil
  end)
end
local function filter(source)
  return create(function()
    local number = 1
    while true do
      local ok, line = resume(source)
      if not (ok and line) then return nil end
      yield(string.format("%3d: %s", number, line))
      number = number + 1
    end
  end)
end
local consumed, last = 0, nil
local pipe = filter(producer(200))
while true do
  local ok, line = resume(pipe)
  if not line then break end
  consumed, last = consumed + #line, line
end
print("pipe", consumed, last, coroutine.status(pipe))

-- Any number of values both ways.
local function many(...)
  local got = select("#", ...)
  while got < 60 do
    got = got + select("#", yield(got, ...))
  end
  return got, "end"
end
local co = create(many)
print("many", select("#", resume(co, 1, 2, 3)), resume(co))
print("many", resume(co, table.unpack({}, 1, 50)))
local status, a, b, c = resume(co, nil, nil, nil, nil, nil, nil, nil)
print("many", status, a, b, c, coroutine.status(co))
co = wrap(function(...)
  local n = select("#", ...)
  while true do n = n + select("#", yield(table.unpack({}, 1, n))) end
end)
print("wide", select("#", co(table.unpack({}, 1, 1000))), select("#", co(table.unpack({}, 1, 200))), select("#", co()))

-- What a coroutine knows of itself.
print(coroutine.isyieldable(), select(2, coroutine.running()), pcall(yield, 1))
local outer
outer = create(function()
  local me, is_main = coroutine.running()
  print("self", me == outer, is_main, coroutine.isyieldable(), coroutine.status(me), resume(me))
  local inner = create(function()
    print("outer is", coroutine.status(outer), resume(outer))
    print(pcall(coroutine.close, outer))
    print(pcall(coroutine.close, coroutine.running()))
  end)
  print(resume(inner))
  print("inner is", coroutine.status(inner), coroutine.isyieldable(inner))
end)
print(resume(outer))
for _, bad in ipairs({ { resume, 1 }, { create, 1 }, { wrap }, { coroutine.status, {} }, { coroutine.close } }) do
  print(pcall(table.unpack(bad)))
end

-- Errors across.
local function fails(n)
  for i = 1, n do yield(i) end
  local t = nil
  return t.field
end
co = create(fails)
print(resume(co, 2)) print(resume(co)) print(resume(co)) print(resume(co))
print(pcall(wrap(fails), 0))
print(pcall(wrap(function() error({ 1 }) end)) == false)
print(pcall(wrap(function() error("no position", 0) end)))
print(select("#", resume(create(function() error() end))), resume(create(function() error(nil) end)))
local gone = wrap(function() return 1 end)
print(gone(), pcall(gone))
local handled = 0
for i = 1, 300 do
  local ok, message = pcall(wrap(function(i)
    if i % 3 == 0 then error("third " .. i, 0) end
    yield(i)
  end), i)
  if not ok then handled = handled + #message end
end
print("handled", handled)
print(xpcall(function()
  wrap(function() error("deep", 0) end)()
end, function(m) return "handler: " .. m end))

-- Yields across protected calls, both ways of ending.
co = wrap(function()
  local log = {}
  log[#log + 1] = { pcall(function() return yield("in pcall") + 1 end) }
  log[#log + 1] = { pcall(function() yield("before error") error("after yield", 0) end) }
  log[#log + 1] = { xpcall(function(x) yield("in xpcall" .. x) error("E", 0) end, function(m) return m .. "!" end, 7) }
  log[#log + 1] = { pcall(pcall, pcall, yield, "nested") }
  for i, entry in ipairs(log) do
    for j, value in ipairs(entry) do entry[j] = tostring(value) end
    log[i] = table.concat(entry, ",")
  end
  return table.concat(log, ";")
end)
print(co()) print(co(41)) print(co()) print(co()) print(co("result"))

-- Yields across metamethods, iterators and closing.
local meta = {
  __add = function(a, b) return yield("add") end,
  __sub = function(a, b) yield("sub") return 7 end,
  __index = function(t, k) return yield("index " .. tostring(k)) end,
  __newindex = function(t, k, v) yield("newindex " .. tostring(k)) rawset(t, k, v) end,
  __call = function(self, x) return yield("call " .. tostring(x)) end,
  __eq = function() return yield("eq") end,
  __lt = function() return yield("lt") end,
  __le = function() return yield("le") end,
  __concat = function() return yield("concat") end,
  __len = function() return yield("len") end,
  __unm = function() return yield("unm") end,
  __close = function() yield("close") end,
  __pairs = function(t) yield("pairs") return next, { 1, 2 }, nil end,
}
local function object() return setmetatable({}, meta) end
local function all()
  local x, y = object(), object()
  local r = {}
  r[1] = x + 1
  r[2] = x - y
  r[3] = x.name
  x.other = 5
  r[4] = x.other
  r[5] = y(3)
  r[6] = x == y
  r[7] = x < y
  r[8] = not (x <= y)
  r[9] = "a" .. x .. "b" .. y
  r[10] = #x
  r[11] = -x
  do
    local z <close> = object()
    r[12] = "body"
  end
  for k, v in pairs(x) do r[#r + 1] = k * v end
  local function inner()
    local z <close> = object()
    return "returned", 2
  end
  r[#r + 1], r[#r + 2] = inner()
  for i = 1, #r do r[i] = tostring(r[i]) end
  return table.concat(r, " ")
end
for round = 1, 15 do
  local co, names, result = wrap(all), {}, nil
  local value = co()
  local i = 0
  while true do
    names[#names + 1] = value
    i = i + 1
    value = co(i % 4 ~= 0 and i)
    if value:find("body") then result = value break end
  end
  if round % 15 == 0 then print(table.concat(names, ","), result) end
end
local function steps(n, i)
  i = i + 1
  yield("step " .. i)
  if i <= n then return i end
end
co = wrap(function()
  local s = 0
  for i in steps, 3, 0 do s = s + i end
  return s
end)
print(co(), co(), co(), co(), co())

-- What can't go on after a yield says so.
local boundary = wrap(function()
  print(pcall(table.sort, { 3, 2, 1 }, function(a, b) yield() return a < b end))
  print(pcall(string.gsub, "abc", "%w", function(c) yield(c) end))
  print(pcall(tostring, setmetatable({}, { __tostring = function() yield() end })))
  print(pcall(load, function() yield() end))
  print(coroutine.isyieldable(), pcall(table.sort, { 2, 1 }, function() print(coroutine.isyieldable()) end))
  print(xpcall(function() error("x", 0) end, function(m) return (select(2, pcall(yield, m))) end))
  return "boundary"
end)
print(boundary())
-- But coroutines may be used inside.
local words = { "pear", "fig", "apple", "plum" }
table.sort(words, function(a, b)
  return wrap(function() yield(#a < #b or #a == #b and a < b) end)()
end)
print(table.concat(words, " "))
print((string.gsub("abc", "%w", function(c) return wrap(function() return yield(c:upper() .. c) end)() end)))

-- Closing.
local function guarded(log, name, fails)
  return setmetatable({}, { __close = function(_, e)
    log[#log + 1] = name .. "(" .. tostring(e) .. ")"
    if fails then error(name .. " failed", 0) end
  end })
end
local function closing(log, how)
  local a <close> = guarded(log, "a")
  local b <close> = guarded(log, "b", how == "b")
  local c <close> = guarded(log, "c", how == "c")
  yield("open")
  if how == "error" then error("body", 0) end
  yield("second")
end
for _, how in ipairs({ "none", "b", "c", "error" }) do
  local log = {}
  local co = create(closing)
  resume(co, log, how)
  local resumed = how == "error" and tostring(select(2, resume(co))) or "-"
  print(how, resumed, coroutine.status(co), coroutine.close(co))
  print(how, table.concat(log, " "), coroutine.status(co), coroutine.close(co))
  log = {}
  local w = wrap(closing)
  w(log, how)
  print(how, pcall(w)) print(how, pcall(w)) print(how, table.concat(log, " "))
end
print(coroutine.close(create(print)))
co = create(function()
  local x <close> = setmetatable({}, { __close = function()
    print("in close", coroutine.isyieldable(), coroutine.status(co), select(2, coroutine.running()), pcall(yield))
  end })
  yield()
end)
resume(co)
print(coroutine.close(co))

-- Types change by phase: guards fail inside, in both.
local function adder()
  local sum = 0
  while true do
    local value = yield(sum)
    if value == nil then return sum end
    sum = sum + value
  end
end
local function feed(co, values, n)
  local last
  for i = 1, n do last = co(values[(i - 1) % #values + 1]) end
  return last
end
co = wrap(adder)
co()
print("phases", feed(co, { 1, 2, 3 }, 600), feed(co, { 1.5 }, 300), feed(co, { "2" }, 20), feed(co, { 2 ^ 53, 1 }, 20))
local function shape(i)
  if i < 300 then return { x = i, y = 1 } end
  if i < 500 then return { y = 1, x = i } end
  return setmetatable({}, { __index = function(_, k) return k == "x" and i or yield("missing") end })
end
local points = wrap(function()
  local sum = 0
  for i = 1, 600 do
    local p = shape(i)
    sum = sum + p.x + p.y
    if i % 50 == 0 then yield(sum) end
  end
  return sum
end)
local seen, missing = {}, 0
repeat
  local value = points(3)
  if value == "missing" then missing = missing + 1 else seen[#seen + 1] = value end
until #seen == 12
print(missing, table.concat(seen, " "))

-- Many of them, abandoned in the middle, with garbage around.
local kept, alive = {}, 0
for i = 1, 600 do
  local co = wrap(function(a)
    local t = { a, tostring(a) }
    for j = 1, 3 do
      local u = { t, j }
      yield(u[1][1] + u[2], t[2])
    end
  end)
  co(i)
  if i % 10 == 0 then kept[#kept + 1] = co end
end
collectgarbage()
for i, co in ipairs(kept) do
  local n, text = co()
  alive = alive + n + #text
end
print("kept", #kept, alive)
local weak = setmetatable({}, { __mode = "k" })
local function abandon(n)
  local keep
  for i = 1, n do
    local co = wrap(function()
      local held = {}
      weak[held] = true
      yield(i)
      return held
    end)
    co()
    if i == 7 then keep = co end
  end
  return keep
end
local keeper = abandon(50)
collectgarbage() collectgarbage()
local left = 0
for _ in pairs(weak) do left = left + 1 end
-- A wrapped coroutine may be what compiled code expects to be called.
print("weak", left >= 1 and left <= 5, weak[keeper()])

-- Nests: coroutines that resume coroutines.
local function nest(n)
  return wrap(function(x)
    if n == 0 then
      for i = 1, 3 do x = yield(x + i) end
      return x
    end
    local inner = nest(n - 1)
    local value = inner(x)
    for i = 1, 3 do value = inner(yield(value + 1)) end
    return value
  end)
end
co = nest(100)
print("nest", co(1), co(2), co(3), co(4))
local depth = 0
local function deeper()
  depth = depth + 1
  local ok, message = resume(create(deeper))
  if not ok then error(message, 0) end
end
print(pcall(deeper)) print(depth > 150 and depth < 250)

-- Finished ones are used again, with what they left behind.
local total = 0
for i = 1, 600 do
  total = total + wrap(function(a, b) return a * b end)(i, 2)
  if i % 7 == 0 then total = total + wrap(function(...) local a, b, c, d = ... return b or 1 end)(i) end
end
print("again", total)

-- Upvalues are shared with whoever made them.
local shared = 0
local makers = {}
for i = 1, 4 do
  makers[i] = wrap(function() while true do shared = shared + i yield(shared) end end)
end
for round = 1, 100 do for i = 1, 4 do makers[i]() end end
print("shared", shared)

-- Frames from outside.
local function level1() local inner = 42 yield("here") return inner end
co = create(function() level1() end)
resume(co)
print(debug.traceback(co)) print(debug.traceback(co, "text", 1)) print(debug.traceback(co, {}) ~= nil)
print(debug.getinfo(co, 1, "l").currentline, debug.getinfo(co, 0, "S").what, debug.getinfo(co, 9))
co = create(function() local t = nil; t() end)
print(resume(co)) print(debug.traceback(co)) print(coroutine.close(co)) print(debug.traceback(co))
