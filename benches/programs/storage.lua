-- Storage: builds a tree of arrays and drops it again, which is work for the
-- allocator and the collector.
--
-- size: the depth of the tree, whose nodes have four children (default 8).

local Random = {}
Random.__index = Random

function Random.new()
  return setmetatable({ seed = 74755 }, Random)
end

function Random:next()
  self.seed = (self.seed * 1309 + 13849) % 65536
  return self.seed
end

local TreeBuilder = {}
TreeBuilder.__index = TreeBuilder

function TreeBuilder.new()
  return setmetatable({ random = Random.new(), node_count = 0, cell_count = 0 }, TreeBuilder)
end

function TreeBuilder:build(depth)
  self.node_count = self.node_count + 1
  if depth == 1 then
    local leaf = {}
    for i = 1, self.random:next() % 10 + 1 do
      leaf[i] = false
      self.cell_count = self.cell_count + 1
    end
    return leaf
  end
  local node = {}
  for i = 1, 4 do
    node[i] = self:build(depth - 1)
  end
  return node
end

local function count_cells(node, depth)
  if depth == 1 then
    return #node
  end
  local count = 0
  for i = 1, #node do
    count = count + count_cells(node[i], depth - 1)
  end
  return count
end

local function run(size)
  local builder = TreeBuilder.new()
  local tree = builder:build(size)
  if builder.node_count ~= (4 ^ size - 1) / 3 then
    error(string.format("storage: wrong result, a tree of %d nodes", builder.node_count))
  end
  if count_cells(tree, size) ~= builder.cell_count then
    error("storage: wrong result, the leaves do not have what was put into them")
  end
  return builder.cell_count
end

local known_results = { [8] = 89608 }

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 8

local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error(string.format("storage: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("storage: ok %d", expected))
