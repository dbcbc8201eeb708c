-- To-be-closed variables, in functions that are called often and in loops that are entered in the middle.
local log = {}
local function note(text) log[#log + 1] = text end
local Closer = { __close = function(self, e) note(self.name .. (e and ":" .. tostring(e):gsub("^.-:%d+: ", "") or "")) end }
local function closer(name) return setmetatable({ name = name }, Closer) end

local function returns_one(n)
  local a <close> = closer("a")
  if n % 3 == 0 then return n end
  local b <close> = closer("b")
  return n + 1
end
local function returns_open(n, ...)
  local a <close> = closer("open")
  return n, ...
end
local function returns_call(n)
  local a <close> = n % 2 == 0 and closer("call") or nil
  return returns_open(n, n + 1, n + 2)
end
local function loops(n)
  local s = 0
  for i = 1, n do
    local c <close> = closer("c")
    if i % 5 == 0 then goto continue end
    if i == n - 1 then break end
    s = s + i
    ::continue::
  end
  return s
end
local function iterates(n)
  local s = 0
  for i in function(limit, i) if i < limit then return i + 1 end end, n, 0, closer("iterator") do
    s = s + i
    if i == 7 then return s end
  end
  return -s
end
local function plain(t)
  local s = 0
  for k, v in pairs(t) do
    if v == 3 then goto next end
    s = s + v
    for i, w in ipairs(t) do s = s + w if w == 4 then break end end
    ::next::
  end
  return s
end
local function fails(n)
  local a <close> = closer("outer")
  do
    local b <close> = closer("inner")
    if n % 4 == 0 then error("failed " .. n) end
  end
  return n
end
local function fails_closing(n)
  local a <close> = closer("first")
  local b <close> = setmetatable({}, { __close = function() if n % 2 == 0 then error("closing", 0) end end })
  return n
end
local results = {}
for i = 1, 120 do
  results = { returns_one(i), returns_call(i) }
  results[#results + 1] = loops(i % 9)
  results[#results + 1] = iterates(i % 12)
  results[#results + 1] = plain({ 1, 2, 3, 4, 5 })
  results[#results + 1] = tostring(pcall(fails, i))
  results[#results + 1] = tostring(pcall(fails_closing, i))
  results[#results + 1] = tostring(pcall(function() local x <close> = i end))
  if i % 40 == 0 or i < 4 then
    print(i, table.unpack(results))
    print(table.concat(log, " "))
  end
  log = {}
end
-- The values that are returned survive what closing them makes.
local function keeps(...)
  local a <close> = setmetatable({}, { __close = function() local t = {} for i = 1, 50 do t[i] = { i } end return t end })
  return { ... }, ...
end
local n = 0
for i = 1, 300 do
  local t, a, b = keeps({ i }, "x" .. i)
  n = n + #t + a[1] + #b
end
print(n)
-- One long loop with a variable to be closed around it.
do
  local a <close> = closer("around")
  local s = 0
  for i = 1, 3000 do
    local t = { i }
    s = s + t[1]
    for k, v in pairs(t) do s = s + k + v end
  end
  print(s)
end
print(table.concat(log, " "))
