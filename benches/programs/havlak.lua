-- Havlak: finds the loops of a generated control flow graph, reducible or not.
-- After Paul Havlak, "Nesting of Reducible and Irreducible Loops" (1997), and
-- Robert Hundt's benchmark of it.
--
-- size: the number of generated regions in the graph (default 40).

local BasicBlock = {}
BasicBlock.__index = BasicBlock

function BasicBlock.new(id)
  return setmetatable({ id = id, predecessors = {}, successors = {} }, BasicBlock)
end

local ControlFlowGraph = {}
ControlFlowGraph.__index = ControlFlowGraph

function ControlFlowGraph.new()
  return setmetatable({ blocks = {}, edge_count = 0 }, ControlFlowGraph)
end

function ControlFlowGraph:add_block()
  local block = BasicBlock.new(#self.blocks + 1)
  self.blocks[block.id] = block
  return block
end

function ControlFlowGraph:add_edge(from, to)
  from.successors[#from.successors + 1] = to
  to.predecessors[#to.predecessors + 1] = from
  self.edge_count = self.edge_count + 1
end

function ControlFlowGraph:entry()
  return self.blocks[1]
end

-- The builder makes pieces of a graph; each starts at a block and returns the
-- block where the piece ends. It counts the loops that it makes.

local GraphBuilder = {}
GraphBuilder.__index = GraphBuilder

function GraphBuilder.new()
  return setmetatable({ graph = ControlFlowGraph.new(), loop_count = 0 }, GraphBuilder)
end

function GraphBuilder:follow(from)
  local block = self.graph:add_block()
  self.graph:add_edge(from, block)
  return block
end

function GraphBuilder:straight(from, length)
  for _ = 1, length do
    from = self:follow(from)
  end
  return from
end

function GraphBuilder:diamond(from)
  local left = self:follow(from)
  local right = self:follow(from)
  local join = self:follow(left)
  self.graph:add_edge(right, join)
  return join
end

-- Ends a loop with an edge from `from` back to `header`.
function GraphBuilder:close_loop(from, header)
  self.graph:add_edge(from, header)
  self.loop_count = self.loop_count + 1
end

function GraphBuilder:nested_loops(from, depth)
  local header = self:follow(from)
  local last = self:diamond(header)
  if depth > 1 then
    last = self:nested_loops(last, depth - 1)
    last = self:straight(last, 1)
    last = self:nested_loops(last, depth - 1)
  end
  last = self:follow(last)
  self:close_loop(last, header)
  return self:follow(last)
end

function GraphBuilder:self_loop(from)
  local block = self:follow(from)
  self:close_loop(block, block)
  return self:follow(block)
end

-- A loop with two entries: neither block dominates the other.
function GraphBuilder:irreducible_loop(from)
  local left = self:follow(from)
  local right = self:follow(from)
  self.graph:add_edge(left, right)
  self:close_loop(right, left)
  return self:follow(right)
end

function GraphBuilder:region(from)
  local last = self:straight(from, 2)
  last = self:nested_loops(last, 3)
  last = self:diamond(last)
  last = self:self_loop(last)
  last = self:irreducible_loop(last)
  return last
end

local function build_graph(size)
  local builder = GraphBuilder.new()
  local last = builder.graph:add_block()
  -- One loop around every four regions keeps the nesting interesting.
  local header = nil
  for region = 1, size do
    if region % 4 == 1 then
      header = builder:follow(last)
      last = header
    end
    last = builder:region(last)
    if region % 4 == 0 then
      last = builder:follow(last)
      builder:close_loop(last, header)
    end
  end
  builder:straight(last, 2)
  return builder
end

-- Loops and the forest they form.

local Loop = {}
Loop.__index = Loop

function Loop.new(header, is_reducible)
  return setmetatable({
    header = header,
    is_reducible = is_reducible,
    blocks = {},
    children = {},
    parent = nil,
    nesting = 0,
    depth = 0,
  }, Loop)
end

function Loop:add_block(block)
  self.blocks[#self.blocks + 1] = block
end

function Loop:set_parent(parent)
  self.parent = parent
  parent.children[#parent.children + 1] = self
end

local LoopForest = {}
LoopForest.__index = LoopForest

function LoopForest.new()
  return setmetatable({ root = Loop.new(nil, true), loops = {} }, LoopForest)
end

function LoopForest:add_loop(header, is_reducible)
  local loop = Loop.new(header, is_reducible)
  loop:add_block(header)
  self.loops[#self.loops + 1] = loop
  return loop
end

function LoopForest:compute_nesting()
  for _, loop in ipairs(self.loops) do
    if not loop.parent then
      loop:set_parent(self.root)
    end
  end
  self:visit(self.root, 0)
end

-- The depth counts from the root, the nesting from the innermost loop.
function LoopForest:visit(loop, depth)
  loop.depth = depth
  for _, child in ipairs(loop.children) do
    self:visit(child, depth + 1)
    loop.nesting = math.max(loop.nesting, child.nesting + 1)
  end
end

-- Sets of blocks that were collapsed into one loop, with path compression.

local UnionFindNode = {}
UnionFindNode.__index = UnionFindNode

function UnionFindNode.new(block, number)
  local self = setmetatable({ block = block, number = number, loop = nil }, UnionFindNode)
  self.parent = self
  return self
end

function UnionFindNode:find()
  local root = self
  while root.parent ~= root do
    root = root.parent
  end
  local node = self
  while node.parent ~= root do
    local parent = node.parent
    node.parent = root
    node = parent
  end
  return root
end

function UnionFindNode:union(root)
  self.parent = root
end

-- The finder itself. Blocks are known by their number in depth-first order.

local NO_HEADER = "no header"
local REDUCIBLE = "reducible"
local SELF = "self"
local IRREDUCIBLE = "irreducible"

local LoopFinder = {}
LoopFinder.__index = LoopFinder

function LoopFinder.new(graph, forest)
  return setmetatable({
    graph = graph,
    forest = forest,
    nodes = {},
    numbers = {},
    last_descendants = {},
    kinds = {},
    back_predecessors = {},
    other_predecessors = {},
  }, LoopFinder)
end

function LoopFinder:number_blocks(block)
  local node = UnionFindNode.new(block, #self.nodes + 1)
  self.nodes[node.number] = node
  self.numbers[block] = node.number
  for _, successor in ipairs(block.successors) do
    if not self.numbers[successor] then
      self:number_blocks(successor)
    end
  end
  self.last_descendants[node.number] = #self.nodes
end

function LoopFinder:is_ancestor(ancestor, number)
  return ancestor <= number and number <= self.last_descendants[ancestor]
end

function LoopFinder:classify_edges()
  for number, node in ipairs(self.nodes) do
    local back, other = {}, {}
    for _, predecessor in ipairs(node.block.predecessors) do
      local from = self.numbers[predecessor]
      if from then
        if self:is_ancestor(number, from) then
          back[#back + 1] = from
        else
          other[#other + 1] = from
        end
      end
    end
    self.back_predecessors[number] = back
    self.other_predecessors[number] = other
    self.kinds[number] = NO_HEADER
  end
end

-- The nodes from which a back edge leads to the header, each once.
function LoopFinder:back_edge_sources(number)
  local body, in_body = {}, {}
  for _, from in ipairs(self.back_predecessors[number]) do
    if from == number then
      self.kinds[number] = SELF
    else
      local node = self.nodes[from]:find()
      if not in_body[node] then
        in_body[node] = true
        body[#body + 1] = node
      end
    end
  end
  return body, in_body
end

-- Walks the edges backwards from the ends of the loop to its header.
function LoopFinder:collect_body(number)
  local body, in_body = self:back_edge_sources(number)
  if #body > 0 then
    self.kinds[number] = REDUCIBLE
  end
  local next_index = 1
  while next_index <= #body do
    local node = body[next_index]
    next_index = next_index + 1
    for _, from in ipairs(self.other_predecessors[node.number]) do
      local source = self.nodes[from]:find()
      if not self:is_ancestor(number, source.number) then
        self.kinds[number] = IRREDUCIBLE
        local entries = self.other_predecessors[number]
        entries[#entries + 1] = source.number
      elseif source.number ~= number and not in_body[source] then
        in_body[source] = true
        body[#body + 1] = source
      end
    end
  end
  return body
end

function LoopFinder:make_loop(number, body)
  local header = self.nodes[number]
  local loop = self.forest:add_loop(header.block, self.kinds[number] ~= IRREDUCIBLE)
  header.loop = loop
  for _, node in ipairs(body) do
    node:union(header)
    if node.loop then
      node.loop:set_parent(loop)
    else
      loop:add_block(node.block)
    end
  end
end

function LoopFinder:run()
  self:number_blocks(self.graph:entry())
  self:classify_edges()
  for number = #self.nodes, 1, -1 do
    local body = self:collect_body(number)
    if self.kinds[number] ~= NO_HEADER then
      self:make_loop(number, body)
    end
  end
  self.forest:compute_nesting()
end

local function check(what, value, expected)
  if value ~= expected then
    error(string.format("havlak: wrong result, %d %s instead of %d", value, what, expected))
  end
end

local function run(size)
  local builder = build_graph(size)
  local blocks, nesting, irreducible
  -- The graph is analyzed several times, as a compiler would between its passes.
  for _ = 1, 3 do
    local forest = LoopForest.new()
    LoopFinder.new(builder.graph, forest):run()
    check("loops", #forest.loops, builder.loop_count)
    blocks, nesting, irreducible = 0, 0, 0
    for _, loop in ipairs(forest.loops) do
      blocks = blocks + #loop.blocks
      nesting = nesting + loop.nesting * loop.depth
      if not loop.is_reducible then
        irreducible = irreducible + 1
      end
    end
    check("irreducible loops", irreducible, size)
  end
  return builder.loop_count * 1000000 + blocks * 100 + nesting % 100
end

local iterations, size, mode = ...
iterations = tonumber(iterations) or 10
size = tonumber(size) or 40

local known_results = { [40] = 370222030 }
local expected = known_results[size]
for iteration = 1, iterations do
  local start = os.clock()
  local result = run(size)
  local elapsed = os.clock() - start
  expected = expected or result
  if result ~= expected then
    error(string.format("havlak: wrong result %d, expected %d", result, expected))
  end
  if mode == "times" then
    print(string.format("iteration %d %d", iteration, math.floor(elapsed * 1000000 + 0.5)))
  end
end
print(string.format("havlak: ok %d", expected))
