-- Phases: the same few functions meet other types in each phase of the program.
-- Integers come first, then floats, strings, and objects with operators. Classes
-- of receivers appear one after the other, methods and global functions are
-- replaced while they are in use, and then everything starts again. What was a
-- good guess in one phase is a wrong one in the next.
--
-- size: the length of the lists that the phases work on (default 500).

local function check(what, value, expected)
  if value ~= expected then
    error(string.format("phases: wrong result of %s: %s, expected %s", what, tostring(value), tostring(expected)))
  end
end

-- The functions that all phases share.

local function sum(list, start)
  local total = start
  for i = 1, #list do
    total = total + list[i]
  end
  return total
end

local function greatest(list)
  local best = list[1]
  for i = 2, #list do
    if best < list[i] then
      best = list[i]
    end
  end
  return best
end

local function count_equal(list, value)
  local count = 0
  for i = 1, #list do
    if list[i] == value then
      count = count + 1
    end
  end
  return count
end

local function map(list, action)
  local mapped = {}
  for i = 1, #list do
    mapped[i] = action(list[i])
  end
  return mapped
end

-- Insertion into a sorted list, by `<` alone.
local function insertion_sort(list)
  local sorted = {}
  for i = 1, #list do
    local value = list[i]
    local position = i
    while position > 1 and value < sorted[position - 1] do
      sorted[position] = sorted[position - 1]
      position = position - 1
    end
    sorted[position] = value
  end
  return sorted
end

-- A polynomial with the given coefficients, from the highest power down.
local function polynomial(coefficients, x)
  local value = coefficients[1]
  for i = 2, #coefficients do
    value = value * x + coefficients[i]
  end
  return value
end

-- Numbers in an order that is neither sorted nor random.
local function scattered(size)
  local list = {}
  for i = 1, size do
    list[i] = (i * 7919) % 1009
  end
  return list
end

-- Phase one: integers.

local function integers(size)
  local list = scattered(size)
  local total = sum(list, 0)
  local sorted = insertion_sort(list)
  check("sorting integers", sum(sorted, 0), total)
  check("greatest integer", greatest(list), sorted[size])
  check("counting integers", count_equal(list, sorted[1]) > 0, true)
  local doubled = map(list, function(value)
    return value * 2
  end)
  check("mapping integers", sum(doubled, 0), 2 * total)
  local value = 0
  for x = 1, size do
    value = value + polynomial({ 1, -2, 3, -4 }, x % 50)
  end
  return total + value
end

-- Phase two: floats, and at its end integers and floats in one list.

local function floats(size)
  local list = map(scattered(size), function(value)
    return value / 4 + 0.125
  end)
  local total = sum(list, 0.0)
  local sorted = insertion_sort(list)
  check("sorting floats", sum(sorted, 0.0), total)
  check("greatest float", greatest(list), sorted[size])
  local value = 0.5
  for x = 1, size do
    value = value + polynomial({ 0.5, -0.25, 0.125 }, x / 8)
  end
  local mixed = {}
  for i = 1, size do
    if i % 3 == 0 then
      mixed[i] = i + 0.5
    else
      mixed[i] = i
    end
  end
  local mixed_total = size * (size + 1) / 2 + 0.5 * math.floor(size / 3)
  check("adding integers and floats", sum(mixed, 0), mixed_total)
  return total + value
end

-- Phase three: strings.

local function strings(size)
  local list = map(scattered(size), function(value)
    return string.format("%04d", value)
  end)
  local sorted = insertion_sort(list)
  check("greatest string", greatest(list), sorted[size])
  check("counting strings", count_equal(list, sorted[size]), count_equal(sorted, greatest(sorted)))
  local joined = table.concat(sorted)
  check("length of all strings", #joined, 4 * size)
  local letters = map(list, function(value)
    return "<" .. value .. ">"
  end)
  check("mapping strings", #table.concat(letters), 6 * size)
  -- Strings that look like numbers take part in arithmetic.
  return sum(list, 0)
end

-- Phase four: objects with operators.

local Money = {}
Money.__index = Money

local function money(cents)
  return setmetatable({ cents = cents }, Money)
end

function Money.__add(left, right)
  return money(left.cents + right.cents)
end

function Money.__mul(left, factor)
  if type(factor) == "number" then
    return money(left.cents * factor)
  end
  return money(left.cents * factor.cents % 1000003)
end

function Money.__lt(left, right)
  return left.cents < right.cents
end

function Money.__eq(left, right)
  return left.cents == right.cents
end

local Pair = {}
Pair.__index = Pair

local function pair(first, second)
  return setmetatable({ first = first, second = second }, Pair)
end

function Pair.__add(left, right)
  return pair(left.first + right.first, left.second + right.second)
end

function Pair.__mul(left, right)
  return pair(left.first * right.first % 1009, left.second * right.second % 1013)
end

function Pair.__lt(left, right)
  if left.first == right.first then
    return left.second < right.second
  end
  return left.first < right.first
end

function Pair.__eq(left, right)
  return left.first == right.first and left.second == right.second
end

local function objects(size)
  local amounts = map(scattered(size), money)
  local total = sum(amounts, money(0)).cents
  local sorted = insertion_sort(amounts)
  check("sorting objects", sum(sorted, money(0)).cents, total)
  check("greatest object", greatest(amounts), sorted[size])
  check("counting objects", count_equal(amounts, money(sorted[1].cents)) > 0, true)
  local pairs_of_numbers = map(scattered(size), function(value)
    return pair(value % 7, value)
  end)
  local sum_of_pairs = sum(pairs_of_numbers, pair(0, 0))
  check("adding pairs", sum_of_pairs.second, total)
  check("greatest pair", greatest(pairs_of_numbers).first <= 6, true)
  local value = 0
  for x = 1, size do
    value = value + polynomial({ pair(1, 2), pair(3, 4), pair(5, 6) }, pair(x, x)).second
    value = value + polynomial({ money(3), money(2), money(1) }, money(x)).cents
  end
  return total + value + sum_of_pairs.first
end

-- Phase five: receivers of ever more classes, which are made while the program
-- runs. The fields come in another order in each class.

local function make_animal_class(legs)
  local Animal = {}
  Animal.__index = Animal

  function Animal.new(weight)
    local self = setmetatable({}, Animal)
    if legs % 2 == 0 then
      self.weight = weight
      self.legs = legs
    else
      self.legs = legs
      self.extra = true
      self.weight = weight
    end
    return self
  end

  function Animal:load()
    return self.weight * self.legs
  end

  if legs > 4 then
    -- The leggier classes know the number by heart.
    function Animal:load()
      return self.weight * legs
    end
  end

  return Animal
end

local function total_load(animals)
  local total = 0
  for _, animal in ipairs(animals) do
    total = total + animal:load()
  end
  return total
end

local function receivers(size)
  local animals = {}
  local result, expected = 0, 0
  for legs = 1, 8 do
    local Animal = make_animal_class(legs)
    for i = 1, math.floor(size / 10) do
      animals[#animals + 1] = Animal.new(i)
      expected = expected + i * legs
    end
    for _ = 1, 5 do
      check("loads", total_load(animals), expected)
    end
    result = result + expected
    -- The method of a class that is in use is replaced.
    if legs == 4 then
      local load = Animal.load
      function Animal:load()
        return load(self) + 1
      end
      expected = expected + math.floor(size / 10)
    end
  end
  return result
end

-- Phase six: a global function is assigned again and again.

function phases_step(value)
  return value + 1
end

local function repeat_step(value, count)
  for _ = 1, count do
    value = phases_step(value)
  end
  return value
end

local function reassigned_globals(size)
  local steps = {
    function(value)
      return value + 1
    end,
    function(value)
      return value + 0.5
    end,
    function(value)
      return value - 0.25
    end,
    setmetatable({}, {
      __call = function(_, value)
        return value + 2
      end,
    }),
  }
  local original = phases_step
  local value = 0
  for _, step in ipairs(steps) do
    phases_step = step
    value = repeat_step(value, size)
  end
  phases_step = original
  check("reassigned functions", value, size * 3.25)
  return value
end

local PHASES = { integers, floats, strings, objects, receivers, reassigned_globals }

local function run(size)
  local result = 0
  for _ = 1, 2 do
    for _, phase in ipairs(PHASES) do
      result = result + phase(size)
    end
  end
  return string.format("%.9f", result)
end

local known_results = { [500] = "282824450.968750000" }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 500

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error("phases: wrong result " .. result .. ", expected " .. expected)
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print("phases: ok " .. expected)
