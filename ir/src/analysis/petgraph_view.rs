//! [`ControlFlow`] as a graph in petgraph's sense, so that its orders and dominators can be held against petgraph's.

use super::{BitSet, ControlFlow};
use crate::entity::Block;
use cranelift_entity::EntityRef;
use petgraph::visit::{GraphBase, IntoNeighbors, NodeCount, NodeIndexable, VisitMap, Visitable};

/// petgraph's set of visited blocks.
#[derive(Clone, Debug, Default)]
pub struct VisitedBlocks(BitSet<Block>);

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
        self.successors(block).iter().copied()
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
        self.block_bound()
    }
}
impl NodeIndexable for ControlFlow {
    fn node_bound(&self) -> usize {
        self.block_bound()
    }
    fn to_index(&self, block: Block) -> usize {
        block.index()
    }
    fn from_index(&self, index: usize) -> Block {
        Block::new(index)
    }
}
