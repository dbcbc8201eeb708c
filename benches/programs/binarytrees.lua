-- Binary trees: builds and walks many perfect trees while one long-lived tree
-- stays. After the binary-trees problem of the Computer Language Benchmarks Game.
--
-- size: the greatest depth of the trees, at least 6 (default 10).

local MINIMUM_DEPTH = 4

local function bottom_up_tree(depth)
  if depth == 0 then
    return {}
  end
  return { left = bottom_up_tree(depth - 1), right = bottom_up_tree(depth - 1) }
end

local function count_nodes(tree)
  if tree.left then
    return 1 + count_nodes(tree.left) + count_nodes(tree.right)
  end
  return 1
end

local function nodes_of_depth(depth)
  return 2 ^ (depth + 1) - 1
end

local function check(count, expected)
  if count ~= expected then
    error(string.format("binarytrees: wrong result, %d nodes instead of %d", count, expected))
  end
  return count
end

local function run(size)
  local total = check(count_nodes(bottom_up_tree(size + 1)), nodes_of_depth(size + 1))
  local long_lived = bottom_up_tree(size)
  for depth = MINIMUM_DEPTH, size, 2 do
    local trees = 2 ^ (size - depth + MINIMUM_DEPTH)
    local count = 0
    for _ = 1, trees do
      count = count + count_nodes(bottom_up_tree(depth))
    end
    total = total + check(count, trees * nodes_of_depth(depth))
  end
  return total + check(count_nodes(long_lived), nodes_of_depth(size))
end

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 10

local expected = nil
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error(string.format("binarytrees: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("binarytrees: ok %d", expected))
