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
use surmise_ir::analysis::bit_set::BitSet;
use surmise_ir::entity::{FrameStateId, Inst, Value};
use surmise_ir::function::{Function, Immediate};
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
    let mut used_unboxed: BitSet<Value> = BitSet::new();
    let mut boxes: SecondaryMap<Value, Vec<Value>> = SecondaryMap::new();
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
                for value in function.state_values(state) {
                    used_unboxed.insert(value);
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
    let mut needed: BitSet<Inst> = BitSet::new();
    let mut states: BitSet<FrameStateId> = BitSet::new();
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
    let mut needed: BitSet<Value> = BitSet::new();
    let mut work: Vec<Value> = Vec::new();
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            let data = &function.insts[inst];
            let states =
                [data.state, data.after].into_iter().flatten().flat_map(|state| function.state_values(state));
            work.extend(data.args.iter().copied().chain(states));
        }
    }
    let mut incoming: SecondaryMap<Value, Vec<Value>> = SecondaryMap::new();
    for &block in &function.layout {
        let Some(inst) = function.terminator(block) else { continue };
        for target in &function.insts[inst].targets {
            for (&param, &arg) in function.blocks[target.block].params.iter().zip(&target.args) {
                incoming[param].push(arg);
            }
        }
    }
    while let Some(value) = work.pop() {
        if needed.insert(value) {
            work.extend(incoming[value].iter().copied());
        }
    }
    let mut terminators: Vec<Inst> =
        function.layout.iter().filter_map(|&block| function.terminator(block)).collect();
    terminators.dedup();
    for block in function.layout.clone() {
        for position in (0..function.blocks[block].params.len()).rev() {
            if needed.contains(function.blocks[block].params[position]) {
                continue;
            }
            function.remove_param(block, position);
            for &inst in &terminators {
                for target in &mut function.insts[inst].targets {
                    if target.block == block {
                        target.args.remove(position);
                    }
                }
            }
        }
    }
}
