//! The control-flow graph: successors, predecessors and orders of the blocks.
//!
//! [`ControlFlow`] is itself a graph in petgraph's sense (`&ControlFlow` implements its graph traits), so petgraph's walks and
//! algorithms run on it without a copy.

use crate::entity::Block;
use crate::function::Function;
use cranelift_entity::{EntityRef, SecondaryMap};
use petgraph::visit::{
    DfsPostOrder, GraphBase, IntoNeighbors, NodeCount, NodeIndexable, VisitMap, Visitable,
};
use smallvec::SmallVec;

/// Blocks, without repetition: a branch with both ways to one block counts once.
type BlockList = SmallVec<[Block; 2]>;

/// The control-flow graph of a function.
#[derive(Clone, Debug)]
pub struct ControlFlow {
    entry: Option<Block>,
    block_count: usize,
    successors: SecondaryMap<Block, BlockList>,
    predecessors: SecondaryMap<Block, BlockList>,
    post_order: Vec<Block>,
    /// Position in the reverse post-order, `u32::MAX` for blocks that can't be reached.
    order: SecondaryMap<Block, u32>,
}

impl ControlFlow {
    /// The graph of a function's layout. Only blocks of the layout that can be reached have predecessors or an order.
    pub fn new(function: &Function) -> ControlFlow {
        let mut graph = ControlFlow {
            entry: function.layout.first().copied(),
            block_count: function.blocks.len(),
            successors: SecondaryMap::with_capacity(function.blocks.len()),
            predecessors: SecondaryMap::with_capacity(function.blocks.len()),
            post_order: Vec::with_capacity(function.layout.len()),
            order: SecondaryMap::with_default(u32::MAX),
        };
        for &block in &function.layout {
            for successor in function.successors(block) {
                if function.blocks.is_valid(successor) && !graph.successors[block].contains(&successor) {
                    graph.successors[block].push(successor);
                }
            }
        }
        if let Some(entry) = graph.entry {
            let mut walk = DfsPostOrder::new(&graph, entry);
            let mut post_order = Vec::with_capacity(function.layout.len());
            while let Some(block) = walk.next(&graph) {
                post_order.push(block);
            }
            graph.post_order = post_order;
        }
        for position in 0..graph.post_order.len() {
            let block = graph.post_order[graph.post_order.len() - 1 - position];
            graph.order[block] = position as u32;
            for successor in graph.successors[block].clone() {
                graph.predecessors[successor].push(block);
            }
        }
        graph
    }

    /// The entry block, if the function has any block.
    pub fn entry(&self) -> Option<Block> {
        self.entry
    }
    /// The blocks that may follow a block, each once.
    pub fn successors(&self, block: Block) -> &[Block] {
        &self.successors[block]
    }
    /// The blocks that can be reached and that may precede a block, each once, in reverse post-order.
    pub fn predecessors(&self, block: Block) -> &[Block] {
        &self.predecessors[block]
    }
    /// The blocks that can be reached, successors first but for back-edges.
    pub fn post_order(&self) -> &[Block] {
        &self.post_order
    }
    /// The blocks that can be reached, predecessors first but for back-edges.
    pub fn reverse_post_order(&self) -> impl DoubleEndedIterator<Item = Block> + '_ {
        self.post_order.iter().rev().copied()
    }
    /// A block's position in the reverse post-order.
    pub fn order(&self, block: Block) -> Option<u32> {
        Some(self.order[block]).filter(|&order| order != u32::MAX)
    }
    /// Whether control can get to a block.
    pub fn is_reachable(&self, block: Block) -> bool {
        self.order[block] != u32::MAX
    }
    /// Whether the edge goes back in the reverse post-order: in a loop, to its header.
    pub fn is_retreating(&self, from: Block, to: Block) -> bool {
        self.order[to] <= self.order[from]
    }
}

/// petgraph's set of visited blocks.
#[derive(Clone, Debug, Default)]
pub struct VisitedBlocks(super::BitSet<Block>);

impl VisitMap<Block> for VisitedBlocks {
    fn visit(&mut self, block: Block) -> bool {
        self.0.insert(block)
    }
    fn is_visited(&self, block: &Block) -> bool {
        self.0.contains(*block)
    }
    fn unvisit(&mut self, block: Block) -> bool {
        self.0.remove(block)
    }
}
impl GraphBase for ControlFlow {
    type EdgeId = (Block, Block);
    type NodeId = Block;
}
impl<'a> IntoNeighbors for &'a ControlFlow {
    type Neighbors = std::iter::Copied<std::slice::Iter<'a, Block>>;
    fn neighbors(self, block: Block) -> Self::Neighbors {
        self.successors[block].iter().copied()
    }
}
impl Visitable for ControlFlow {
    type Map = VisitedBlocks;
    fn visit_map(&self) -> VisitedBlocks {
        VisitedBlocks::default()
    }
    fn reset_map(&self, map: &mut VisitedBlocks) {
        map.0.clear();
    }
}
impl NodeCount for ControlFlow {
    fn node_count(&self) -> usize {
        self.block_count
    }
}
impl NodeIndexable for ControlFlow {
    fn node_bound(&self) -> usize {
        self.block_count
    }
    fn to_index(&self, block: Block) -> usize {
        block.index()
    }
    fn from_index(&self, index: usize) -> Block {
        Block::new(index)
    }
}
