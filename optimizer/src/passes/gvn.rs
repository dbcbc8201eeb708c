//! Global value numbering over the dominator tree: an instruction that an equal one dominates is that one.
//!
//! Equal means: same opcode, operands and immediate. It holds for pure instructions, and for guards: a guard on the same SSA
//! value has already been passed, whatever its state and reason. Loads are for the pass `memory`.

use super::Environment;
use super::edit::{ProofReplacements, Replacements};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::hash_map::Entry;
use surmise_ir::analysis::{ControlFlow, Dominators};
use surmise_ir::entity::{Block, Inst, KindId, Value};
use surmise_ir::function::{Function, Immediate};
use surmise_ir::opcode::{EffectClass, Opcode};

/// What makes two instructions equal.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    opcode: Opcode,
    args: SmallVec<[Value; 3]>,
    immediate: ImmediateKey,
}

/// An immediate as a key. Guards' reasons don't count.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum ImmediateKey {
    None,
    Bits(u64),
    Kind(KindId),
    Other(u32),
}

fn key(function: &Function, inst: Inst, replacements: &Replacements) -> Option<Key> {
    let data = &function.insts[inst];
    let comparable = matches!(data.opcode.effect(), EffectClass::Pure | EffectClass::Guard);
    if !comparable {
        return None;
    }
    let immediate = match data.immediate {
        Immediate::None | Immediate::Reason(_) => ImmediateKey::None,
        Immediate::Integer(value) => ImmediateKey::Bits(value as u64),
        Immediate::Float(bits) => ImmediateKey::Bits(bits),
        Immediate::Boolean(value) => ImmediateKey::Bits(value as u64),
        Immediate::Kind(kind) | Immediate::KindReason(kind, _) => ImmediateKey::Kind(kind),
        Immediate::IntCondition(condition) => ImmediateKey::Other(condition as u32),
        Immediate::FloatCondition(condition) => ImmediateKey::Other(condition as u32),
        Immediate::Slot(slot) => ImmediateKey::Other(slot.as_u32()),
        Immediate::Register(register) => ImmediateKey::Other(register.0 as u32),
        // A function names each assumption once.
        Immediate::Field(_)
        | Immediate::Extern(_)
        | Immediate::Operation(..)
        | Immediate::Call(_)
        | Immediate::Recipe(_) => {
            return None;
        }
    };
    let mut args: SmallVec<[Value; 3]> = data.args.iter().map(|&arg| replacements.resolve(arg)).collect();
    if is_commutative(data.opcode) {
        args.sort_unstable();
    }
    Some(Key { opcode: data.opcode, args, immediate })
}

fn is_commutative(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::Iadd
            | Opcode::Imul
            | Opcode::Iand
            | Opcode::Ior
            | Opcode::Ixor
            | Opcode::RefEqual
            | Opcode::RawEqual
            | Opcode::AnyEqual
            | Opcode::Band
            | Opcode::Bor
    )
}

/// Runs the pass.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    let flow = ControlFlow::new(function);
    let dominators = Dominators::new(&flow);
    // The newest of its kind, with its block. Dominators come first, and a block is met only after all that is below an earlier
    // one: what does not dominate the present block dominates no later one either, and gives way.
    let mut known: FxHashMap<Key, (Block, Inst)> = FxHashMap::default();
    let mut replacements = Replacements::default();
    let mut proofs = ProofReplacements::default();
    for &block in dominators.preorder() {
        let mut insts = std::mem::take(&mut function.blocks[block].insts);
        insts.retain(|&inst| {
            let Some(key) = key(function, inst, &replacements) else { return true };
            let earlier = match known.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert((block, inst));
                    return true;
                }
                Entry::Occupied(mut entry) => {
                    let (from, earlier) = *entry.get();
                    if !dominators.dominates(from, block) {
                        entry.insert((block, inst));
                        return true;
                    }
                    earlier
                }
            };
            if !environment.fuel.step() {
                return true;
            }
            if let (Some(old), Some(new)) = (function.insts[inst].result, function.insts[earlier].result) {
                replacements.replace(old, new);
            }
            if function.insts[inst].opcode.is_guard() {
                proofs.replace(inst, Some(earlier));
            }
            false
        });
        function.blocks[block].insts = insts;
    }
    replacements.apply(function);
    proofs.apply(function);
}
