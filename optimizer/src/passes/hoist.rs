//! Hoist: what is the same in every round of a loop is done once, before it.
//!
//! Innermost loops first, so that an instruction can leave several loops. Moved to the preheader are
//! * pure instructions whose operands are defined outside;
//! * loads of places that the loop does not write, once everything that proves them is outside;
//! * guards that every round reaches before anything else can happen to them, with operands defined outside. A hoisted guard
//!   leaves with the state of the loop's entry: the state of the header's poll, with the values that the preheader passes. It
//!   may fail where the loop would have been left before the guard; that costs a deoptimization, and is never wrong. A guess about
//!   an inlined unit stays where a frame of that unit is on top: what fails is looked for in the log of the unit that is left.
//!
//! Calls, stores and everything that reads the window stay.

use super::Environment;
use super::edit;
use super::memory::{Written, written};
use super::unbox_params::{header_boxes, header_state};
use rustc_hash::FxHashMap;
use surmise_ir::analysis::Dominators;
use surmise_ir::analysis::bit_set::BitSet;
use surmise_ir::analysis::loops::{Loop, LoopForest};
use surmise_ir::entity::{Block, FrameStateId, Inst, Value};
use surmise_ir::function::{Function, Immediate, InstData, ValueDef};
use surmise_ir::opcode::{EffectClass, Opcode};
use surmise_ir::types::Type;

/// Runs the pass.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    let (_, dominators, forest) = edit::make_preheaders(function);
    // Inner loops come after the loops around them.
    for id in forest.loops.keys().rev() {
        hoist_from(function, environment, &forest, &dominators, id);
    }
}

/// A loop while it is being emptied.
struct Candidate {
    preheader: Block,
    /// Blocks of the loop.
    inside: BitSet<Block>,
    /// Values defined in the loop, those already moved excepted.
    defined: BitSet<Value>,
    /// Guards, and branches, still in the loop: what proves something.
    guards: BitSet<Inst>,
    written: Written,
    /// The state for hoisted guards, made when the first is hoisted.
    entry_state: Option<FrameStateId>,
}

fn hoist_from(
    function: &mut Function,
    environment: &mut Environment<'_>,
    forest: &LoopForest,
    dominators: &Dominators,
    id: Loop,
) {
    let info = &forest.loops[id];
    let Some(preheader) = info.preheader else { return };
    let mut candidate = Candidate {
        preheader,
        inside: BitSet::new(),
        defined: BitSet::new(),
        guards: BitSet::new(),
        written: Written::default(),
        entry_state: None,
    };
    for &block in &info.blocks {
        candidate.inside.insert(block);
        for &param in &function.blocks[block].params {
            candidate.defined.insert(param);
        }
        for &inst in &function.blocks[block].insts {
            written(function, environment.language, inst, &mut candidate.written);
            if let Some(result) = function.insts[inst].result {
                candidate.defined.insert(result);
            }
            if function.insts[inst].opcode.may_prove() {
                candidate.guards.insert(inst);
            }
        }
    }
    let header = info.header;
    for &block in &info.blocks {
        // A guard in this block is met in every round.
        let every_round = info.back_edges.iter().all(|&from| dominators.dominates(block, from));
        // The block keeps its instructions meanwhile: the header's poll is looked for.
        let insts = function.blocks[block].insts.clone();
        let mut kept = Vec::with_capacity(insts.len());
        for inst in insts {
            if is_invariant(function, environment, &candidate, inst, every_round)
                && environment.fuel.step()
                && prepare(function, &mut candidate, header, inst)
            {
                let preheader = candidate.preheader;
                let end = function.blocks[preheader].insts.len() - 1;
                function.blocks[preheader].insts.insert(end, inst);
                if let Some(result) = function.insts[inst].result {
                    candidate.defined.remove(result);
                }
                candidate.guards.remove(inst);
            } else {
                kept.push(inst);
            }
        }
        function.blocks[block].insts = kept;
    }
}

fn is_invariant(
    function: &Function,
    environment: &Environment<'_>,
    candidate: &Candidate,
    inst: Inst,
    every_round: bool,
) -> bool {
    let data = &function.insts[inst];
    let operands_outside = data.args.iter().all(|&arg| !candidate.defined.contains(arg));
    let proved_outside = data.proofs.iter().all(|&proof| !candidate.guards.contains(proof));
    if !operands_outside {
        return false;
    }
    match (data.opcode.effect(), data.immediate) {
        (EffectClass::Pure, _) => proved_outside,
        (EffectClass::Read, Immediate::Field(field)) => {
            proved_outside && !candidate.written.touches(environment.language, field)
        }
        (EffectClass::Guard, _) => every_round && proved_outside,
        _ => false,
    }
}

/// Gives a guard that is about to be hoisted the state of the loop's entry. False if there is none.
fn prepare(function: &mut Function, candidate: &mut Candidate, header: Block, inst: Inst) -> bool {
    if !function.insts[inst].opcode.is_guard() {
        return true;
    }
    if candidate.entry_state.is_none() {
        candidate.entry_state = entry_state(function, candidate, header);
    }
    let Some(state) = candidate.entry_state else { return false };
    let own = function.insts[inst].state.expect("a guard has a state");
    if edit::unit_at(function, own) != edit::unit_at(function, state) {
        return false;
    }
    let pc = function.states[own].resume.pc;
    function.insts[inst].site.get_or_insert(pc);
    function.insts[inst].state = Some(state);
    true
}

/// The state of the header's poll, as seen from the end of the preheader.
fn entry_state(function: &mut Function, candidate: &Candidate, header: Block) -> Option<FrameStateId> {
    let state = header_state(function, header)?;
    let jump = function.terminator(candidate.preheader)?;
    let passed: FxHashMap<Value, Value> = function.blocks[header]
        .params
        .iter()
        .copied()
        .zip(function.insts[jump].targets[0].args.iter().copied())
        .collect();
    let mut remade: FxHashMap<Value, Value> = FxHashMap::default();
    let mut made = Vec::new();
    for (boxed, payload, kind) in header_boxes(function, header) {
        let payload = passed.get(&payload).copied().unwrap_or(payload);
        let inst = function
            .make_inst(InstData::new(Opcode::Box, &[payload], Immediate::Kind(kind)), Some(Type::Any));
        remade.insert(boxed, function.result(inst));
        made.push(inst);
    }
    // Every value of the state must exist in the preheader.
    let exists = function.state_values(state).all(|value| {
        passed.contains_key(&value)
            || remade.contains_key(&value)
            || !is_defined_inside(function, candidate, value)
    });
    if !exists {
        return None;
    }
    // The boxes go first: guards that are hoisted later come behind them.
    let block = candidate.preheader;
    let end = function.blocks[block].insts.len() - 1;
    function.blocks[block].insts.splice(end..end, made);
    let map = |value: Value| passed.get(&value).or_else(|| remade.get(&value)).copied().unwrap_or(value);
    Some(edit::copy_state(function, state, &map))
}

fn is_defined_inside(function: &Function, candidate: &Candidate, value: Value) -> bool {
    match function.values[value].def {
        ValueDef::Param(block, _) => candidate.inside.contains(block),
        ValueDef::Result(_) => candidate.defined.contains(value),
        ValueDef::Removed => true,
    }
}
