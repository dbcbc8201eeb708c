//! The dominator tree.
//!
//! petgraph computes the immediate dominators (Cooper, Harvey, Kennedy: "A Simple, Fast Dominance Algorithm"); numbering the
//! tree on the way in and out of each node answers "does a dominate b" with two comparisons.

use super::ControlFlow;
use crate::entity::Block;
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;
use smallvec::SmallVec;

/// The dominator tree of a function.
#[derive(Clone, Debug)]
pub struct Dominators {
    immediate: SecondaryMap<Block, PackedOption<Block>>,
    children: SecondaryMap<Block, SmallVec<[Block; 4]>>,
    /// Numbers given on the way into and out of a node of the tree; (0, 0) for blocks that can't be reached.
    span: SecondaryMap<Block, (u32, u32)>,
    preorder: Vec<Block>,
}

impl Dominators {
    /// The dominator tree of a control-flow graph.
    pub fn new(graph: &ControlFlow) -> Dominators {
        let mut tree = Dominators {
            immediate: SecondaryMap::new(),
            children: SecondaryMap::new(),
            span: SecondaryMap::new(),
            preorder: Vec::with_capacity(graph.post_order().len()),
        };
        let Some(entry) = graph.entry() else { return tree };
        let found = petgraph::algo::dominators::simple_fast(graph, entry);
        for block in graph.reverse_post_order() {
            if let Some(dominator) = found.immediate_dominator(block) {
                tree.immediate[block] = dominator.into();
                tree.children[dominator].push(block);
            }
        }
        tree.number(entry);
        tree
    }
    fn number(&mut self, entry: Block) {
        let mut next = 1;
        let mut path = vec![(entry, 0)];
        while let Some((block, visited)) = path.last_mut() {
            let block = *block;
            if *visited == 0 {
                self.span[block].0 = next;
                next += 1;
                self.preorder.push(block);
            }
            match self.children[block].get(*visited) {
                Some(&child) => {
                    *visited += 1;
                    path.push((child, 0));
                }
                None => {
                    self.span[block].1 = next;
                    next += 1;
                    path.pop();
                }
            }
        }
    }

    /// The closest block, other than itself, through which every way to `block` goes.
    pub fn immediate(&self, block: Block) -> Option<Block> {
        self.immediate[block].expand()
    }
    /// The blocks whose immediate dominator is `block`.
    pub fn children(&self, block: Block) -> &[Block] {
        &self.children[block]
    }
    /// The blocks of the tree, dominators first.
    pub fn preorder(&self) -> &[Block] {
        &self.preorder
    }
    /// Whether every way to `b` goes through `a`. A block dominates itself.
    pub fn dominates(&self, a: Block, b: Block) -> bool {
        let (a, b) = (self.span[a], self.span[b]);
        a.0 != 0 && b.0 != 0 && a.0 <= b.0 && b.1 <= a.1
    }
    /// The closest block that dominates both, if both can be reached.
    pub fn common(&self, a: Block, b: Block) -> Option<Block> {
        if self.span[b].0 == 0 {
            return None;
        }
        let mut dominator = a;
        while !self.dominates(dominator, b) {
            dominator = self.immediate(dominator)?;
        }
        Some(dominator)
    }
}
