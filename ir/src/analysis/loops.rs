//! The loop forest: natural loops and how they nest.
//!
//! A *back-edge* goes to a block that dominates its source, the loop's *header*. A loop is all blocks that get to one of its
//! back-edges without passing its header; loops with the same header are one. Retreating edges to blocks that don't dominate
//! their source make irreducible cycles, which are no loops here but are listed.

use super::{ControlFlow, Dominators};
use crate::entity::Block;
use cranelift_entity::packed_option::PackedOption;
use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl};

/// A loop of a [`LoopForest`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Loop(u32);
entity_impl!(Loop, "loop");

/// What is known of a loop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoopInfo {
    /// The block through which it is entered.
    pub header: Block,
    /// The closest loop around it.
    pub parent: Option<Loop>,
    /// 1 for loops in no other loop.
    pub depth: u32,
    /// Sources of its back-edges.
    pub back_edges: Vec<Block>,
    /// Its blocks with those of inner loops, in reverse post-order: the header is the first.
    pub blocks: Vec<Block>,
    /// Edges that leave it: from a block inside to one outside.
    pub exits: Vec<(Block, Block)>,
    /// The only block from which it is entered, if that block has no other successor.
    pub preheader: Option<Block>,
}

/// The loops of a function.
#[derive(Clone, Debug)]
pub struct LoopForest {
    /// The loops, outer ones before inner ones.
    pub loops: PrimaryMap<Loop, LoopInfo>,
    /// Retreating edges that are no back-edges.
    pub irreducible: Vec<(Block, Block)>,
    innermost: SecondaryMap<Block, PackedOption<Loop>>,
}

impl LoopForest {
    /// The loops of a control-flow graph.
    pub fn new(graph: &ControlFlow, dominators: &Dominators) -> LoopForest {
        let mut forest =
            LoopForest { loops: PrimaryMap::new(), irreducible: Vec::new(), innermost: SecondaryMap::new() };
        // An outer header dominates, and so precedes, an inner one: parents are made before their children.
        for header in graph.reverse_post_order() {
            let mut back_edges = Vec::new();
            for &source in graph.predecessors(header) {
                if dominators.dominates(header, source) {
                    back_edges.push(source);
                } else if graph.is_retreating(source, header) {
                    forest.irreducible.push((source, header));
                }
            }
            if !back_edges.is_empty() {
                forest.add(graph, header, back_edges);
            }
        }
        forest
    }

    fn add(&mut self, graph: &ControlFlow, header: Block, back_edges: Vec<Block>) {
        let mut inside = super::BitSet::new();
        inside.insert(header);
        let mut blocks = vec![header];
        let mut work = back_edges.clone();
        while let Some(block) = work.pop() {
            if inside.insert(block) {
                blocks.push(block);
                work.extend_from_slice(graph.predecessors(block));
            }
        }
        blocks.sort_by_key(|&block| graph.order(block));
        let mut exits = Vec::new();
        for &block in &blocks {
            exits.extend(
                graph
                    .successors(block)
                    .iter()
                    .filter(|&&next| !inside.contains(next))
                    .map(|&next| (block, next)),
            );
        }
        let mut entering =
            graph.predecessors(header).iter().copied().filter(|&block| !inside.contains(block));
        let preheader = match (entering.next(), entering.next()) {
            (Some(only), None) if graph.successors(only).len() == 1 => Some(only),
            _ => None,
        };
        let parent = self.innermost[header].expand();
        let depth = parent.map_or(0, |parent| self.loops[parent].depth) + 1;
        let id = self.loops.next_key();
        for &block in &blocks {
            self.innermost[block] = id.into();
        }
        self.loops.push(LoopInfo { header, parent, depth, back_edges, blocks, exits, preheader });
    }

    /// The innermost loop that a block is in.
    pub fn innermost(&self, block: Block) -> Option<Loop> {
        self.innermost[block].expand()
    }
    /// How many loops a block is in.
    pub fn depth(&self, block: Block) -> u32 {
        self.innermost(block).map_or(0, |id| self.loops[id].depth)
    }
    /// The loop whose header a block is.
    pub fn headed_by(&self, block: Block) -> Option<Loop> {
        self.innermost(block).filter(|&id| self.loops[id].header == block)
    }
    /// A loop and the loops around it, innermost first.
    pub fn around(&self, id: Loop) -> impl Iterator<Item = Loop> + '_ {
        std::iter::successors(Some(id), |&id| self.loops[id].parent)
    }
    /// Whether a block is in a loop (or in a loop inside it).
    pub fn contains(&self, id: Loop, block: Block) -> bool {
        self.innermost(block).is_some_and(|innermost| self.around(innermost).any(|around| around == id))
    }
}
