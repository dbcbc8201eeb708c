-- An error below functions that are compiled, inlined or not, in the middle of other calls.
local function inner(t, n)
  if n == 0 then return t.missing.field end
  return (inner(t, n - 1))
end
local function middle(t, n)
  local r = inner(t, n)
  return r
end
local good = { missing = { field = 1 } }
for i = 1, 300 do middle(good, 5) end
function outer(t)
  local x = middle(t, 5)
  return x
end
outer({})
