//! Global value numbering over the dominator tree: an instruction that an equal one dominates is that one.
//!
//! Equal means: same opcode, operands and immediate. It holds for pure instructions, and for guards: a guard on the same SSA
//! value has already been passed, whatever its state and reason. Loads are for the pass `memory`.

use super::Environment;
use super::edit::{ProofReplacements, Replacements};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
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
    let mut known: FxHashMap<Key, Inst> = FxHashMap::default();
    let mut replacements = Replacements::default();
    let mut proofs = ProofReplacements::default();
    let mut undo: Vec<Key> = Vec::new();
    enum Step {
        Enter(Block),
        Leave(usize),
    }
    let mut steps = vec![Step::Enter(function.entry_block())];
    while let Some(step) = steps.pop() {
        let block = match step {
            Step::Leave(mark) => {
                for key in undo.drain(mark..) {
                    known.remove(&key);
                }
                continue;
            }
            Step::Enter(block) => block,
        };
        steps.push(Step::Leave(undo.len()));
        let insts = std::mem::take(&mut function.blocks[block].insts);
        let mut kept = Vec::with_capacity(insts.len());
        for inst in insts {
            let Some(key) = key(function, inst, &replacements) else {
                kept.push(inst);
                continue;
            };
            match known.get(&key) {
                Some(&earlier) if environment.fuel.step() => {
                    if let (Some(old), Some(new)) =
                        (function.insts[inst].result, function.insts[earlier].result)
                    {
                        replacements.replace(old, new);
                    }
                    if function.insts[inst].opcode.is_guard() {
                        proofs.replace(inst, Some(earlier));
                    }
                }
                Some(_) => kept.push(inst),
                None => {
                    known.insert(key.clone(), inst);
                    undo.push(key);
                    kept.push(inst);
                }
            }
        }
        function.blocks[block].insts = kept;
        steps.extend(dominators.children(block).iter().rev().map(|&child| Step::Enter(child)));
    }
    replacements.apply(function);
    proofs.apply(function);
}
