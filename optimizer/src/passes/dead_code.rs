//! Dead code: what nothing needs goes.
//!
//! Needed are terminators, stores, calls that do more than compute, polls, and guards; and what those need: operands, the
//! values of their frame states, and the guards that prove them. Guards of arguments and of results exist only to know more:
//! they go when their payload is used for nothing but boxing it again (verifier rule 7), unless something was decided because they
//! hold (`pinned`). The guards of an operation's
//! operands stay: they also stand for "the operation had no other effect". Assumptions go when nothing rests on them.

use super::Environment;
use super::edit::Replacements;
use cranelift_entity::SecondaryMap;
use smallvec::SmallVec;
use surmise_ir::analysis::bit_set::BitSet;
use surmise_ir::entity::{Block, FrameStateId, Inst, Value};
use surmise_ir::function::{Function, Immediate, ValueDef};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Language;
use surmise_ir::opcode::{EffectClass, Opcode};

/// Runs the pass.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    remove_dead_params(function);
    sweep(function, environment.language);
    // Dropping a guess can make others useless: an argument guard behind a result guard, and so on. Each round is linear.
    while drop_unneeded_guesses(function, environment) {
        sweep(function, environment.language);
    }
    remove_dead_params(function);
    sweep(function, environment.language);
}

fn is_droppable_guess(function: &Function, inst: Inst) -> bool {
    let data = &function.insts[inst];
    data.opcode == Opcode::GuardKind
        && !data.pinned
        && matches!(data.immediate, Immediate::KindReason(_, GuardReason::Argument | GuardReason::Result))
}

/// Whether an instruction is there for what it does and not for its result.
fn is_needed_for_itself(function: &Function, language: &Language, inst: Inst) -> bool {
    let data = &function.insts[inst];
    match data.opcode.effect() {
        EffectClass::Pure | EffectClass::Read => data.pinned,
        EffectClass::Guard => true,
        EffectClass::Write | EffectClass::Terminator => true,
        EffectClass::Call => match data.immediate {
            Immediate::Extern(id) => !language.externs[id].effects.is_pure(),
            _ => data.opcode != Opcode::ResultCount,
        },
    }
}

/// Replaces the boxes of guesses' payloads by the guarded values where the payload is used for nothing else.
fn drop_unneeded_guesses(function: &mut Function, environment: &mut Environment<'_>) -> bool {
    let mut used_unboxed: BitSet<Value> = BitSet::with_capacity(function.values.len());
    let mut states: BitSet<FrameStateId> = BitSet::with_capacity(function.states.len());
    let mut boxes: SecondaryMap<Value, SmallVec<[Value; 1]>> = SecondaryMap::new();
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            let data = &function.insts[inst];
            let is_box = data.opcode == Opcode::Box;
            for value in data.operands() {
                if is_box {
                    boxes[value].extend(data.result);
                } else {
                    used_unboxed.insert(value);
                }
            }
            for state in [data.state, data.after].into_iter().flatten() {
                for state in function.state_chain(state) {
                    if !states.insert(state) {
                        break;
                    }
                    used_unboxed.extend(function.states[state].values());
                }
            }
        }
    }
    let mut replacements = Replacements::default();
    let mut dropped: BitSet<Inst> = BitSet::new();
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            if !is_droppable_guess(function, inst) {
                continue;
            }
            let data = &function.insts[inst];
            let Some(payload) = data.result else { continue };
            if used_unboxed.contains(payload) || !environment.fuel.step() {
                continue;
            }
            for &boxed in &boxes[payload] {
                if replacements.resolve(boxed) == boxed && replacements.resolve(data.args[0]) != boxed {
                    replacements.replace(boxed, data.args[0]);
                }
            }
            dropped.insert(inst);
        }
    }
    if dropped.is_empty() {
        return false;
    }
    for block in function.layout.clone() {
        let mut insts = std::mem::take(&mut function.blocks[block].insts);
        insts.retain(|&inst| {
            let gone = dropped.contains(inst)
                || function.insts[inst].opcode == Opcode::Box
                    && function.insts[inst]
                        .result
                        .is_some_and(|result| replacements.resolve(result) != result);
            !gone
        });
        function.blocks[block].insts = insts;
    }
    replacements.apply(function);
    true
}

/// Removes instructions that nothing needs.
fn sweep(function: &mut Function, language: &Language) {
    let mut needed: BitSet<Inst> = BitSet::with_capacity(function.insts.len());
    let mut states: BitSet<FrameStateId> = BitSet::with_capacity(function.states.len());
    let mut work: Vec<Inst> = Vec::new();
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            if is_needed_for_itself(function, language, inst) && needed.insert(inst) {
                work.push(inst);
            }
        }
    }
    while let Some(inst) = work.pop() {
        let data = &function.insts[inst];
        let mut need_value = |value: Value| {
            if let Some(def) = function.def(value)
                && needed.insert(def)
            {
                work.push(def);
            }
        };
        data.operands().for_each(&mut need_value);
        for state in [data.state, data.after].into_iter().flatten() {
            for state in function.state_chain(state) {
                if !states.insert(state) {
                    break;
                }
                function.states[state].values().for_each(&mut need_value);
            }
        }
        for &proof in &data.proofs {
            if needed.insert(proof) {
                work.push(proof);
            }
        }
    }
    for block in function.layout.clone() {
        let mut insts = std::mem::take(&mut function.blocks[block].insts);
        insts.retain(|&inst| needed.contains(inst));
        function.blocks[block].insts = insts;
    }
}

/// Removes block parameters that nothing uses but other such parameters.
fn remove_dead_params(function: &mut Function) {
    let mut needed: BitSet<Value> = BitSet::with_capacity(function.values.len());
    let mut states: BitSet<FrameStateId> = BitSet::with_capacity(function.states.len());
    let mut work: Vec<Value> = Vec::new();
    // The jumps to each block: terminators with positions of targets.
    let mut jumps: SecondaryMap<Block, SmallVec<[(Inst, u32); 2]>> = SecondaryMap::new();
    jumps.resize(function.blocks.len());
    let is_param = |value: Value| matches!(function.values[value].def, ValueDef::Param(..));
    let mut need = |value: Value, work: &mut Vec<Value>| {
        if is_param(value) && needed.insert(value) {
            work.push(value);
        }
    };
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            let data = &function.insts[inst];
            data.args.iter().for_each(|&value| need(value, &mut work));
            for state in [data.state, data.after].into_iter().flatten() {
                for state in function.state_chain(state) {
                    if !states.insert(state) {
                        break;
                    }
                    function.states[state].values().for_each(|value| need(value, &mut work));
                }
            }
            for (index, target) in data.targets.iter().enumerate() {
                jumps[target.block].push((inst, index as u32));
            }
        }
    }
    while let Some(value) = work.pop() {
        let ValueDef::Param(block, position) = function.values[value].def else { continue };
        for &(inst, index) in &jumps[block] {
            need(function.insts[inst].targets[index as usize].args[position as usize], &mut work);
        }
    }
    for block in function.layout.clone() {
        for position in (0..function.blocks[block].params.len()).rev() {
            if needed.contains(function.blocks[block].params[position]) {
                continue;
            }
            function.remove_param(block, position);
            for &(inst, index) in &jumps[block] {
                function.insts[inst].targets[index as usize].args.remove(position);
            }
        }
    }
}
