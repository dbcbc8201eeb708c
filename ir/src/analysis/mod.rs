//! Analyses of functions: who comes before whom, what is a loop, what is still needed.
//!
//! Each analysis is a value computed from a [`crate::function::Function`] and holds no reference to it; a pass that changes
//! blocks or jumps computes it again. Blocks that can't be reached from the entry are in no order, in no loop, dominate nothing
//! and are dominated by nothing.
//!
//! | module | what it answers |
//! |---|---|
//! | [`control_flow`] | successors, predecessors, post-order |
//! | [`entry`] | what every activation does first |
//! | [`dominators`] | the dominator tree, in constant time per question |
//! | [`positions`] | where instructions and values stand, and which comes before which |
//! | [`loops`] | natural loops with headers, back-edges, preheaders, exits and nesting |
//! | [`preheader`] | makes a preheader where a loop has none |
//! | [`liveness`] | which SSA values are still needed, frame states counted |
//! | [`registers`] | which registers of a host's bytecode are live, for lifters |
//! | [`bit_set`] | sets of entities as bits |

pub mod bit_set;
pub mod control_flow;
pub mod dominators;
pub mod entry;
pub mod liveness;
pub mod loops;
#[cfg(test)]
mod petgraph_view;
pub mod positions;
pub mod preheader;
pub mod registers;

pub use bit_set::BitSet;
pub use control_flow::ControlFlow;
pub use dominators::Dominators;
pub use liveness::Liveness;
pub use loops::{Loop, LoopForest};
pub use positions::Positions;

#[cfg(test)]
mod tests;
