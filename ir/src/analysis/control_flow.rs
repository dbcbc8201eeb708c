//! The control-flow graph: successors, predecessors and orders of the blocks.
//!
//! Passes compute it again and again, so it is made in one walk over arrays. In tests it is a graph in petgraph's sense, whose
//! answers it is held against.

use super::BitSet;
use crate::entity::Block;
use crate::function::Function;
use cranelift_entity::SecondaryMap;
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
        let count = function.blocks.len();
        let mut graph = ControlFlow {
            entry: function.layout.first().copied(),
            block_count: count,
            successors: SecondaryMap::new(),
            predecessors: SecondaryMap::new(),
            post_order: Vec::with_capacity(function.layout.len()),
            order: SecondaryMap::with_default(u32::MAX),
        };
        graph.successors.resize(count);
        graph.predecessors.resize(count);
        graph.order.resize(count);
        for &block in &function.layout {
            let successors = &mut graph.successors[block];
            for successor in function.successors(block) {
                if function.blocks.is_valid(successor) && !successors.contains(&successor) {
                    successors.push(successor);
                }
            }
        }
        graph.walk();
        graph
    }

    /// Puts the blocks that can be reached in order, and finds their predecessors.
    fn walk(&mut self) {
        let Some(entry) = self.entry else { return };
        let mut found: BitSet<Block> = BitSet::with_capacity(self.block_count);
        found.insert(entry);
        // Each with the number of its successors that are still to be looked at, the last of them first.
        let mut path = vec![(entry, self.successors[entry].len())];
        while let Some((block, left)) = path.last_mut() {
            if *left == 0 {
                self.post_order.push(*block);
                path.pop();
                continue;
            }
            *left -= 1;
            let successor = self.successors[*block][*left];
            if found.insert(successor) {
                path.push((successor, self.successors[successor].len()));
            }
        }
        for (position, &block) in self.post_order.iter().rev().enumerate() {
            self.order[block] = position as u32;
            for &successor in &self.successors[block] {
                self.predecessors[successor].push(block);
            }
        }
    }

    /// The entry block, if the function has any block.
    pub fn entry(&self) -> Option<Block> {
        self.entry
    }
    /// A number above those of all blocks.
    pub fn block_bound(&self) -> usize {
        self.block_count
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
