-- Programs for `surmise_tests::stress`. Each is a function of a small number, and calls `strike` wherever everything may be deoptimized
-- just then: in plain frames, coroutines, callbacks, metamethods, on the way of errors and of variables that are closed.
local strike = strike
local programs = {}

function programs.frames(n)
  local function leaf(x) strike() return x + 1 end
  local function middle(x) local a = leaf(x); strike(); return a + leaf(a) end
  local sum = 0
  for i = 1, n + 2 do sum = sum + middle(i) end
  return sum
end

function programs.recursion(n)
  local function down(k, x)
    if k == 0 then strike() return x end
    return down(k - 1, x + k) + 1
  end
  return down(2 * n + 3, n) + down(n, 1.5)
end

function programs.loops(n)
  local sum, text = 0, ""
  for i = 1, 3 * n + 5 do
    sum = sum + i
    if i % 3 == 0 then strike() end
    text = text .. i % 10
    while #text > 7 do text = text:sub(3) end
  end
  return sum .. ":" .. text
end

function programs.generator(n)
  local values = coroutine.wrap(function(a)
    while true do
      strike()
      a = coroutine.yield(a * 2) + 1
      strike()
    end
  end)
  local sum = 0
  for i = 1, n + 3 do sum = sum + values(i) end
  return sum
end

-- Frames of many coroutines are parked, each a few deep, while others strike.
function programs.parked(n)
  local function deep(k, x)
    if k == 0 then strike() return coroutine.yield(x) + 1 end
    return deep(k - 1, x + 1) + k
  end
  local workers, sum = {}, 0
  for k = 1, 4 do
    workers[k] = coroutine.wrap(function(a) while true do a = deep(k, a) end end)
  end
  for round = 1, n % 4 + 2 do
    for k = 1, 4 do sum = sum + workers[k](round) end
    strike()
  end
  return sum
end

-- A coroutine that resumes others is struck while it waits for them.
function programs.resumed(n)
  local function nest(k)
    return coroutine.wrap(function(x)
      strike()
      local inner = k > 0 and nest(k - 1)
      while true do
        if inner then x = inner(x) + 1 end
        strike()
        x = coroutine.yield(x + k)
      end
    end)
  end
  local outer, sum = nest(3), 0
  for i = 1, n % 5 + 2 do sum = sum + outer(i) end
  return sum
end

function programs.closed(n)
  local log = 0
  local function body(a)
    local guard <close> = setmetatable({}, { __close = function() strike(); log = log * 3 + a end })
    strike()
    coroutine.yield(a)
    return a + 1
  end
  for i = 1, n % 6 + 2 do
    local co = coroutine.create(body)
    local _, first = coroutine.resume(co, i)
    log = log + first
    if i % 2 == 0 then coroutine.close(co) else coroutine.resume(co) end
    log = log % 100003
  end
  return log
end

function programs.sorted(n)
  local list = {}
  for i = 1, n % 8 + 4 do list[i] = (i * 7919 + n) % 31 end
  table.sort(list, function(a, b) strike() return a < b end)
  return table.concat(list, ",")
end

function programs.replaced(n)
  local count = 0
  local text = string.gsub(("a1b2c3"):rep(n % 3 + 1), "%a", function(letter)
    strike()
    count = count + letter:byte()
    return letter:upper() .. count % 10
  end)
  return text .. count
end

local number = {}
number.__index = function(_, key) strike() return #key end
number.__add = function(a, b) strike() return (a.value or a) + 2 * (b.value or 1) end
number.__lt = function(a, b) strike() return rawget(a, "value") < rawget(b, "value") end
number.__call = function(self, x) strike() return rawget(self, "value") - x end
number.__concat = function(a, b) strike() return "<" .. (type(a) == "table" and rawget(a, "value") or a) .. ">" end
function programs.metamethods(n)
  local a, b = setmetatable({ value = n }, number), setmetatable({ value = n + 2 }, number)
  local sum = 0
  for i = 1, n % 4 + 2 do
    sum = sum + (a + b) + a.missing + a(i)
    if a < b then sum = sum + 1 end
    sum = sum + #(a .. "x")
  end
  return sum
end

function programs.errors(n)
  local function fails(x)
    strike()
    if x % 3 == 0 then error({ code = x }) end
    if x % 3 == 1 then local _ = nil + x end
    return x
  end
  local function through(x) local r = fails(x); strike(); return r + 1 end
  local sum = 0
  for i = 1, n % 6 + 3 do
    local ok, result = pcall(through, i)
    if ok then sum = sum + result
    elseif type(result) == "table" then sum = sum + 10 * result.code
    else sum = sum + 100; strike() end
  end
  return sum
end

function programs.yields_through(n)
  local co = coroutine.wrap(function()
    local sum = 0
    for i = 1, n % 5 + 2 do
      local _, got = pcall(function() strike(); return coroutine.yield(i) + 1 end)
      strike()
      sum = sum + got
    end
    return sum
  end)
  local value, rounds = co(), 0
  for i = 1, n % 5 + 1 do value = co(i); rounds = rounds + 1 end
  return co(rounds) + value
end

function programs.variable(n)
  local function count(...) strike() return select("#", ...), ... end
  local function pass(...) return count(...) end
  local sum = 0
  for i = 1, n % 4 + 2 do
    local many, first, second = pass(i, i + 1, nil)
    sum = sum + many + first + second
    sum = sum + (select(2, count(i * 2)))
    sum = sum + #{ count(1, 2, 3) }
  end
  return sum
end

function programs.tail_calls(n)
  local function last(k, x)
    if k == 0 then strike() return x end
    return last(k - 1, x + k)
  end
  return last(3 * n + 1, 0)
end

function programs.kinds(n)
  local function twice(x) strike() return x + x end
  local sum = 0
  for i = 1, n % 5 + 3 do
    sum = sum + twice(i) + twice(i / 4)
    if i % 4 == 3 then sum = sum + twice(tostring(i)) end
  end
  return sum
end

function programs.closures(n)
  local made = {}
  for i = 1, n % 6 + 3 do
    local count = i
    made[i] = function(x) strike(); count = count + x; return count end
  end
  local sum = 0
  for round = 1, 2 do
    for i = 1, #made do sum = sum + made[i](round) end
  end
  return sum
end

-- A global that is reassigned now and then: what rests on its value breaks.
stress_global = function(x) return x + 1 end
function programs.reassigned(n)
  local before, sum = stress_global, 0
  for i = 1, n % 4 + 3 do
    sum = sum + stress_global(i)
    strike()
    if n == 13 and i == 2 then stress_global = function(x) strike() return x * 2 end end
  end
  stress_global = before
  return sum
end

-- Iterators of natives and of Lua, and a call back into a loaded chunk.
function programs.iterators(n)
  local function from(limit, i) strike(); if i < limit then return i + 1, i * i end end
  local sum = 0
  for _, square in from, n % 6 + 2, 0 do sum = sum + square end
  for word in string.gmatch("one two three", "%a+") do strike(); sum = sum + #word end
  for k, v in pairs({ a = 1, b = 2 }) do sum = sum + #k + v; strike() end
  return sum
end

-- Calls a global all the time, which `redefine` makes another function.
stress_scale = function(x) return x + 1 end
function programs.scaled(n)
  local sum = 0
  for i = 1, n do sum = sum + stress_scale(i) end
  return sum
end
function programs.redefine(factor)
  stress_scale = function(x) return x * factor end
  return factor
end

function programs.collect(_)
  collectgarbage()
  collectgarbage()
  return 0
end

return programs
