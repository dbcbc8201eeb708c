-- Tracebacks of frames that go on.
local depth = 0
local function f(n)
  if n == 0 then return debug.traceback("here") end
  local t = f(n - 1)
  return t
end
local g = function(...) local r = f(...) return r end
local last
for i = 1, 200 do last = g(i % 4) end
print(last)
print(f(30))
local function info(level)
  local i = debug.getinfo(level, "Slnt")
  return i and (i.name or "?") .. ":" .. i.namewhat .. ":" .. i.currentline .. ":" .. i.short_src:match("[^/]*$") .. tostring(i.istailcall)
end
local function ask(n) local r = info(n) return r end
local function asks() local t = {} for i = 1, 6 do t[i] = tostring(ask(i)) end return table.concat(t, " ") end
for i = 1, 100 do last = asks() end
print(last)
