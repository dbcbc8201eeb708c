//! Liveness of SSA values: which values are still needed where.
//!
//! A value is needed by the operands of instructions, by arguments of jumps (at the jump, not in the target), and by the frame
//! states that instructions carry, with the states around them. A state *before* is needed when its instruction runs; a state
//! *after* is needed when the instruction's call has returned: its values live *across* the instruction.
//!
//! Sets are kept per block; [`Liveness::walk_back`] gives the sets in between on demand.

use super::{BitSet, ControlFlow};
use crate::entity::{Block, FrameStateId, Inst, Value};
use crate::function::Function;
use cranelift_entity::SecondaryMap;

/// The live values at the borders of blocks.
#[derive(Clone, Debug)]
pub struct Liveness {
    live_in: SecondaryMap<Block, BitSet<Value>>,
    live_out: SecondaryMap<Block, BitSet<Value>>,
}

impl Liveness {
    /// The live values of a function.
    pub fn new(function: &Function, graph: &ControlFlow) -> Liveness {
        let mut liveness = Liveness { live_in: SecondaryMap::new(), live_out: SecondaryMap::new() };
        let mut work: Vec<Block> = graph.reverse_post_order().collect();
        let mut waiting: BitSet<Block> = work.iter().copied().collect();
        let mut first_visit: BitSet<Block> = waiting.clone();
        let mut live = BitSet::with_capacity(function.values.len());
        while let Some(block) = work.pop() {
            waiting.remove(block);
            live.clear();
            for &successor in graph.successors(block) {
                live.union_with(&liveness.live_in[successor]);
            }
            let changed = liveness.live_out[block].union_with(&live) | first_visit.remove(block);
            if !changed {
                continue;
            }
            for &inst in function.blocks[block].insts.iter().rev() {
                step_back(function, inst, &mut live);
            }
            for &param in &function.blocks[block].params {
                live.remove(param);
            }
            if liveness.live_in[block].union_with(&live) {
                work.extend(graph.predecessors(block).iter().copied().filter(|&block| waiting.insert(block)));
            }
        }
        liveness
    }
    /// The values that a block needs from before it, its own parameters not counted.
    pub fn live_in(&self, block: Block) -> &BitSet<Value> {
        &self.live_in[block]
    }
    /// The values that are needed behind a block's end.
    pub fn live_out(&self, block: Block) -> &BitSet<Value> {
        &self.live_out[block]
    }
    /// Visits a block's instructions from the last to the first, each with the values that are needed *after* it: its own
    /// result is among them if anything uses it; what only its own states use is not.
    pub fn walk_back(&self, function: &Function, block: Block, mut visit: impl FnMut(Inst, &BitSet<Value>)) {
        let mut live = self.live_out[block].clone();
        for &inst in function.blocks[block].insts.iter().rev() {
            visit(inst, &live);
            step_back(function, inst, &mut live);
        }
    }
    /// The values that live across an instruction: needed after it, or by its *after* state, and not its result. `live_after` is
    /// what [`Self::walk_back`] gives for it.
    pub fn across(function: &Function, inst: Inst, live_after: &BitSet<Value>) -> BitSet<Value> {
        let mut live = live_after.clone();
        add_state(function, function.insts[inst].after, &mut live);
        if let Some(result) = function.insts[inst].result {
            live.remove(result);
        }
        live
    }
    /// The values that are needed just before an instruction.
    pub fn live_before(&self, function: &Function, block: Block, at: Inst) -> BitSet<Value> {
        let mut live = self.live_out[block].clone();
        for &inst in function.blocks[block].insts.iter().rev() {
            step_back(function, inst, &mut live);
            if inst == at {
                break;
            }
        }
        live
    }
}

/// Turns what is needed after an instruction into what is needed before it.
pub fn step_back(function: &Function, inst: Inst, live: &mut BitSet<Value>) {
    let data = &function.insts[inst];
    add_state(function, data.after, live);
    if let Some(result) = data.result {
        live.remove(result);
    }
    add_state(function, data.state, live);
    live.extend(data.operands());
}

fn add_state(function: &Function, state: Option<FrameStateId>, live: &mut BitSet<Value>) {
    if let Some(state) = state {
        live.extend(function.state_values(state));
    }
}
