-- Spectral norm: of an infinite matrix, by the power method on a finite part.
-- After the spectral-norm problem of the Computer Language Benchmarks Game.
--
-- size: the number of rows and columns (default 100).

local function element(i, j)
  local diagonal = i + j - 1
  return 1 / (diagonal * (diagonal - 1) / 2 + i)
end

local function multiply(vector, result, size)
  for i = 1, size do
    local sum = 0
    for j = 1, size do
      sum = sum + element(i, j) * vector[j]
    end
    result[i] = sum
  end
end

local function multiply_transposed(vector, result, size)
  for i = 1, size do
    local sum = 0
    for j = 1, size do
      sum = sum + element(j, i) * vector[j]
    end
    result[i] = sum
  end
end

local function multiply_both(vector, result, scratch, size)
  multiply(vector, scratch, size)
  multiply_transposed(scratch, result, size)
end

local function run(size)
  local u, v, scratch = {}, {}, {}
  for i = 1, size do
    u[i] = 1
    v[i] = 0
    scratch[i] = 0
  end
  for _ = 1, 10 do
    multiply_both(u, v, scratch, size)
    multiply_both(v, u, scratch, size)
  end
  local uv, vv = 0, 0
  for i = 1, size do
    uv = uv + u[i] * v[i]
    vv = vv + v[i] * v[i]
  end
  return string.format("%.9f", math.sqrt(uv / vv))
end

local known_results = { [100] = "1.274219991" }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 100

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error("spectralnorm: wrong result " .. result .. ", expected " .. expected)
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print("spectralnorm: ok " .. expected)
