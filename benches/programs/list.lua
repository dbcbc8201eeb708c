-- List: Takeuchi's function on linked lists, where the length of a list takes
-- the place of a number.
--
-- size: the lists have 3, 2 and 1 times this length (default 6).

local Element = {}
Element.__index = Element

function Element.new(value, rest)
  return setmetatable({ value = value, rest = rest }, Element)
end

function Element:length()
  if self.rest then
    return 1 + self.rest:length()
  end
  return 1
end

local function make_list(length)
  if length == 0 then
    return nil
  end
  return Element.new(length, make_list(length - 1))
end

local function is_shorter(left, right)
  while right do
    if not left then
      return true
    end
    left, right = left.rest, right.rest
  end
  return false
end

local function takeuchi(x, y, z)
  if not is_shorter(y, x) then
    return z
  end
  return takeuchi(takeuchi(x.rest, y, z), takeuchi(y.rest, z, x), takeuchi(z.rest, x, y))
end

local function run(size)
  local result = takeuchi(make_list(3 * size), make_list(2 * size), make_list(size))
  if result.value ~= result:length() then
    error("list: wrong result, the list is damaged")
  end
  return result:length()
end

-- The same function on numbers, where each result is computed once.
local function takeuchi_of_numbers(x, y, z, known)
  if y >= x then
    return z
  end
  local key = (x * 100 + y) * 100 + z
  local result = known[key]
  if not result then
    result = takeuchi_of_numbers(
      takeuchi_of_numbers(x - 1, y, z, known),
      takeuchi_of_numbers(y - 1, z, x, known),
      takeuchi_of_numbers(z - 1, x, y, known),
      known
    )
    known[key] = result
  end
  return result
end

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 6

local expected = takeuchi_of_numbers(3 * size, 2 * size, size, {})
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  if result ~= expected then
    error(string.format("list: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("list: ok %d", expected))
