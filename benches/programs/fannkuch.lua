-- Fannkuch: the greatest number of flips that brings any permutation's 1 to the
-- front, and a checksum over all. After the fannkuch-redux problem of the
-- Computer Language Benchmarks Game.
--
-- size: the length of the permutations, from 2 to 10 (default 8).

local function count_flips(permutation, scratch, length)
  for i = 1, length do
    scratch[i] = permutation[i]
  end
  local flips = 0
  local first = scratch[1]
  while first ~= 1 do
    local low, high = 1, first
    while low < high do
      scratch[low], scratch[high] = scratch[high], scratch[low]
      low = low + 1
      high = high - 1
    end
    flips = flips + 1
    first = scratch[1]
  end
  return flips
end

-- Moves the first element behind the following ones, up to `last`.
local function rotate(permutation, last)
  local first = permutation[1]
  for i = 1, last - 1 do
    permutation[i] = permutation[i + 1]
  end
  permutation[last] = first
end

-- Makes the next permutation; false after the last one.
local function advance(permutation, counters, length)
  for position = 2, length do
    rotate(permutation, position)
    counters[position] = counters[position] - 1
    if counters[position] > 0 then
      return true
    end
    counters[position] = position
  end
  return false
end

local function fannkuch(length)
  local permutation, scratch, counters = {}, {}, {}
  for i = 1, length do
    permutation[i] = i
    scratch[i] = i
    counters[i] = i
  end
  local checksum, most_flips = 0, 0
  local sign = 1
  repeat
    local flips = count_flips(permutation, scratch, length)
    if flips > most_flips then
      most_flips = flips
    end
    checksum = checksum + sign * flips
    sign = -sign
  until not advance(permutation, counters, length)
  return checksum, most_flips
end

local known_checksums = { [7] = 228, [8] = 1616, [9] = 8629, [10] = 73196 }
local known_flips = { 0, 1, 2, 4, 7, 10, 16, 22, 30, 38 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 8

local expected = known_checksums[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result, most_flips = fannkuch(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected or most_flips ~= known_flips[size] then
    error(string.format("fannkuch: wrong result %d, %d", result, most_flips))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("fannkuch: ok %d", expected))
