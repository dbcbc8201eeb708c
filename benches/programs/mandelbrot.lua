-- Mandelbrot: which points of a square grid belong to the set? As in the
-- Computer Language Benchmarks Game, the bits are put together into the bytes
-- of a bitmap, which is summed up here instead of being written.
--
-- size: the width and height of the grid (default 150).

local LIMIT = 50

local function run(size)
  local checksum = 0
  local inside = 0
  for row = 0, size - 1 do
    local cy = 2 * row / size - 1
    local byte, bits = 0, 0
    for column = 0, size - 1 do
      local cx = 2 * column / size - 1.5
      local x, y, x_squared, y_squared = 0, 0, 0, 0
      local bit = 1
      for _ = 1, LIMIT do
        y = 2 * x * y + cy
        x = x_squared - y_squared + cx
        x_squared = x * x
        y_squared = y * y
        if x_squared + y_squared > 4 then
          bit = 0
          break
        end
      end
      inside = inside + bit
      byte = byte * 2 + bit
      bits = bits + 1
      if bits == 8 or column == size - 1 then
        checksum = (checksum * 31 + byte) % 1000003
        byte, bits = 0, 0
      end
    end
  end
  -- The set is symmetrical, and its area is about 1.507.
  local area = inside / (size * size) * 4
  if size >= 50 and (area < 1.5 or area > 1.65) then
    error(string.format("mandelbrot: wrong result, an area of %.9f", area))
  end
  return checksum
end

local known_results = { [150] = 189071 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 150

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error(string.format("mandelbrot: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("mandelbrot: ok %d", expected))
