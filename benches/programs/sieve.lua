-- Sieve: the sieve of Eratosthenes over an array of flags, with a global
-- function as a script would have.
--
-- size: the greatest number that is looked at (default 500000).

function sieve(limit)
  local flags = {}
  for number = 1, limit do
    flags[number] = true
  end
  flags[1] = false
  local count, last_prime = 0, 0
  for number = 2, limit do
    if flags[number] then
      count = count + 1
      last_prime = number
      for multiple = number * number, limit, number do
        flags[multiple] = false
      end
    end
  end
  return count, last_prime
end

function is_prime(number)
  local divisor = 2
  while divisor * divisor <= number do
    if number % divisor == 0 then
      return false
    end
    divisor = divisor + 1
  end
  return number >= 2
end

local known_results = { [10000] = 1229, [50000] = 5133, [100000] = 9592, [200000] = 17984, [500000] = 41538, [1000000] = 78498 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 500000

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result, last_prime = sieve(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected or not is_prime(last_prime) then
    error(string.format("sieve: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("sieve: ok %d", expected))
