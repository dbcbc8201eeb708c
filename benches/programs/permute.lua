-- Permute: visits all permutations of an array by exchanging its elements in
-- place, recursively. The functions and their data live in one module table.
--
-- size: the length of the array (default 8).

local permute = {
  values = {},
  call_count = 0,
  exchange_count = 0,
  checksum = 0,
}

function permute.exchange(i, j)
  local values = permute.values
  values[i], values[j] = values[j], values[i]
  permute.exchange_count = permute.exchange_count + 1
end

-- Takes the whole permutation into the checksum.
function permute.visit()
  local values = permute.values
  local hash = permute.checksum
  for i = 1, #values do
    hash = (hash * 7 + values[i] * i) % 16777213
  end
  permute.checksum = hash
end

function permute.generate(length)
  permute.call_count = permute.call_count + 1
  if length == 1 then
    permute.visit()
    return
  end
  permute.generate(length - 1)
  for i = length - 1, 1, -1 do
    permute.exchange(length, i)
    permute.generate(length - 1)
    permute.exchange(length, i)
  end
end

function permute.run(size)
  permute.values = {}
  permute.call_count = 0
  permute.exchange_count = 0
  permute.checksum = 0
  for i = 1, size do
    permute.values[i] = i
  end
  permute.generate(size)
  for i = 1, size do
    if permute.values[i] ~= i then
      error("permute: wrong result, the array was not restored")
    end
  end
  return permute.checksum
end

-- How many calls and exchanges it takes: calls(n) = 1 + n * calls(n - 1).
local function expected_counts(size)
  local calls, exchanges = 1, 0
  for length = 2, size do
    exchanges = length * exchanges + 2 * (length - 1)
    calls = length * calls + 1
  end
  return calls, exchanges
end

local known_results = { [8] = 14313436 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 8

local calls, exchanges = expected_counts(size)
local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = permute.run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected or permute.call_count ~= calls or permute.exchange_count ~= exchanges then
    error(string.format("permute: wrong result %d after %d calls", result, permute.call_count))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("permute: ok %d", expected))
