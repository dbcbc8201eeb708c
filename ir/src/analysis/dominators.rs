//! The dominator tree.
//!
//! The immediate dominators are found as in Cooper, Harvey, Kennedy: "A Simple, Fast Dominance Algorithm", on positions in the
//! reverse post-order; numbering the tree on the way in and out of each node answers "does a dominate b" with two comparisons.

use super::ControlFlow;
use crate::entity::Block;
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;
use smallvec::SmallVec;

/// By position in the reverse post-order: the position of the immediate dominator (of the first block: its own).
fn immediate_dominators(graph: &ControlFlow) -> Vec<usize> {
    const UNKNOWN: usize = usize::MAX;
    let mut found = vec![UNKNOWN; graph.post_order().len()];
    found[0] = 0;
    // A second round only confirms the first, but where loops have several ways in.
    loop {
        let mut changed = false;
        for (position, block) in graph.reverse_post_order().enumerate().skip(1) {
            let mut dominator = UNKNOWN;
            for &predecessor in graph.predecessors(block) {
                let mut other = graph.order(predecessor).expect("predecessors can be reached") as usize;
                if found[other] == UNKNOWN {
                    continue;
                }
                if dominator == UNKNOWN {
                    dominator = other;
                }
                while dominator != other {
                    if dominator > other {
                        dominator = found[dominator];
                    } else {
                        other = found[other];
                    }
                }
            }
            if found[position] != dominator {
                found[position] = dominator;
                changed = true;
            }
        }
        if !changed {
            return found;
        }
    }
}

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
        let count = graph.post_order().len();
        let mut tree = Dominators {
            immediate: SecondaryMap::new(),
            children: SecondaryMap::new(),
            span: SecondaryMap::new(),
            preorder: Vec::with_capacity(count),
        };
        let Some(entry) = graph.entry() else { return tree };
        let blocks = graph.block_bound();
        tree.immediate.resize(blocks);
        tree.children.resize(blocks);
        tree.span.resize(blocks);
        let found = immediate_dominators(graph);
        for (position, block) in graph.reverse_post_order().enumerate().skip(1) {
            let dominator = graph.post_order()[count - 1 - found[position]];
            tree.immediate[block] = dominator.into();
            tree.children[dominator].push(block);
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
