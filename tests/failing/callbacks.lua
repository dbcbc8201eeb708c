-- An error in a callback of a native function that compiled code called.
local function compare(a, b)
  if a == 40 then error("no order for " .. a) end
  return a < b
end
local function sorted(n)
  local list = {}
  for i = 1, n do list[i] = (i * 7) % 41 end
  table.sort(list, compare)
  return list
end
for i = 1, 100 do sorted(20) end
local function replace(word)
  local n = #word
  return (word:gsub("%w", function(c)
    if c == "z" then sorted(40) end
    return c
  end))
end
for i = 1, 100 do replace("hello") end
replace("buzz")
