-- Tail calls leave no level behind, in compiled code neither.
local function last(n, word)
  if n == 0 then error("the end of " .. word) end
  return n
end
local function second(n, word)
  if n % 2 == 0 then return last(n, word) end
  return last(n - 1, word)
end
local function first(n, word) return second(n, word) end
for i = 1, 500 do first(i + 2, "loop") end
local function start(word)
  local r = first(0, word)
  return r
end
start("tail calls")
