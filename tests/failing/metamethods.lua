-- An error in a metamethod, called by compiled code.
local Vector = {}
Vector.__index = function(t, key) return rawget(t, 1)[key] end
Vector.__add = function(a, b) return setmetatable({ { x = a.x + b.x } }, Vector) end
local function sum(list)
  local total = setmetatable({ { x = 0 } }, Vector)
  for i = 1, #list do
    total = total + list[i]
  end
  return total.x
end
local list = {}
for i = 1, 50 do list[i] = setmetatable({ { x = i } }, Vector) end
for i = 1, 50 do sum(list) end
list[51] = setmetatable({ {} }, Vector)
print(sum(list))
