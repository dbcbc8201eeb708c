//! Fold: what is decided at compile time is not computed at run time.
//!
//! * pure instructions with constant operands, by the reference semantics of `surmise_ir::semantics`;
//! * `guard_kind k (box k x)` is `x`; a guard that contradicts what is proved leaves for good;
//! * branches, selects and guards on constants;
//! * a few identities that hold for every operand (none on floats that a NaN or a signed zero would break).
//!
//! What uses the payload of a box depends on whatever proved the kind; where only the kind is used, the guard that proved it is
//! pinned.

use super::Environment;
use super::edit::{self, ProofReplacements, Replacements};
use smallvec::SmallVec;
use surmise_ir::entity::{Block, Inst, Value};
use surmise_ir::function::{Function, Immediate, InstData};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::{KindForm, Language};
use surmise_ir::opcode::{EffectClass, IntCondition, Opcode};
use surmise_ir::semantics::{self, Constant};

/// Runs the pass until nothing changes.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    loop {
        let mut replacements = Replacements::default();
        let mut proofs = ProofReplacements::default();
        let mut changed = false;
        for block in function.layout.clone() {
            changed |= fold_block(function, environment, block, &mut replacements, &mut proofs);
        }
        replacements.apply(function);
        proofs.apply(function);
        if changed {
            edit::drop_unreachable(function);
            edit::pass_single_ways(function);
        } else {
            return;
        }
    }
}

/// Where the kind of a box decides something and its payload is not used for it: the guard behind the payload must stay.
fn pin_guards_behind(function: &mut Function, inst: Inst) {
    let data = &function.insts[inst];
    let decides_by_kind = matches!(
        data.opcode,
        Opcode::IsKind
            | Opcode::AnyTag
            | Opcode::AnyPayload
            | Opcode::GuardKind
            | Opcode::GuardNotKind
            | Opcode::AnyEqual
    );
    if !decides_by_kind {
        return;
    }
    for arg in data.args.clone() {
        let payload = function.def_with(arg, Opcode::Box).and_then(|data| data.args.first().copied());
        if let Some(payload) = payload {
            edit::pin_guard(function, payload);
        }
    }
}

/// What an instruction turns out to be.
enum Folded {
    /// Its result is this value.
    Value(Value),
    /// Its result is this constant.
    Constant(Constant),
    /// Another instruction with the same result.
    Instead(InstData),
    /// A guard that always holds; its result, if it has one, is not used or is the given value.
    Holds(Option<Value>),
    /// A guard that never holds.
    Fails(GuardReason),
}

fn fold_block(
    function: &mut Function,
    environment: &mut Environment<'_>,
    block: Block,
    replacements: &mut Replacements,
    proofs: &mut ProofReplacements,
) -> bool {
    let mut changed = false;
    let insts = std::mem::take(&mut function.blocks[block].insts);
    let mut kept = Vec::with_capacity(insts.len());
    for inst in insts {
        if !replacements.is_empty() {
            function.insts[inst].map_operands(|value| replacements.resolve(value));
        }
        let Some(folded) = fold(function, environment.language, inst) else {
            kept.push(inst);
            continue;
        };
        if !environment.fuel.step() {
            kept.push(inst);
            continue;
        }
        changed = true;
        pin_guards_behind(function, inst);
        match folded {
            Folded::Value(value) => {
                let result = function.result(inst);
                replacements.replace(result, value);
            }
            Folded::Constant(constant) => {
                let data = constant_inst(constant);
                let ty = function.ty(function.result(inst));
                let new = function.make_inst(data, Some(ty));
                kept.push(new);
                let (old, new) = (function.result(inst), function.result(new));
                replacements.replace(old, new);
            }
            Folded::Instead(data) => {
                if function.insts[inst].opcode == Opcode::Branch {
                    // What it proved is proved by what decided it.
                    proofs.replace(inst, None);
                }
                let ty = function.insts[inst].result.map(|result| function.ty(result));
                let new = function.make_inst(data, ty);
                kept.push(new);
                if let (Some(old), Some(new)) = (function.insts[inst].result, function.insts[new].result) {
                    replacements.replace(old, new);
                }
            }
            Folded::Holds(value) => {
                if let (Some(old), Some(new)) = (function.insts[inst].result, value) {
                    replacements.replace(old, new);
                }
                proofs.replace(inst, None);
            }
            Folded::Fails(reason) => {
                let state = function.insts[inst].state.expect("a guard has a state");
                let mut data = edit::deoptimize(reason, state);
                data.site = function.insts[inst].site;
                kept.push(function.make_inst(data, None));
                break;
            }
        }
    }
    function.blocks[block].insts = kept;
    changed
}

/// The instruction for a constant.
pub fn constant_inst(constant: Constant) -> InstData {
    match constant {
        Constant::I64(value) => InstData::new(Opcode::Iconst, &[], Immediate::Integer(value)),
        Constant::F64(bits) => InstData::new(Opcode::Fconst, &[], Immediate::Float(bits)),
        Constant::I1(value) => InstData::new(Opcode::Bconst, &[], Immediate::Boolean(value)),
        Constant::Raw(value) => InstData::new(Opcode::RawConst, &[], Immediate::Integer(value as i64)),
    }
}

/// The constant that a value is.
pub fn constant_of(function: &Function, value: Value) -> Option<Constant> {
    let data = &function.insts[function.def(value)?];
    Some(match (data.opcode, data.immediate) {
        (Opcode::Iconst, Immediate::Integer(value)) => Constant::I64(value),
        (Opcode::Fconst, Immediate::Float(bits)) => Constant::F64(bits),
        (Opcode::Bconst, Immediate::Boolean(value)) => Constant::I1(value),
        (Opcode::RawConst, Immediate::Integer(value)) => Constant::Raw(value as u64),
        _ => return None,
    })
}

/// The kind and the payload of a boxed value whose box is known.
fn boxed(function: &Function, value: Value) -> Option<(surmise_ir::entity::KindId, Option<Value>)> {
    let data = function.def_with(value, Opcode::Box)?;
    match data.immediate {
        Immediate::Kind(kind) => Some((kind, data.args.first().copied())),
        _ => None,
    }
}

fn fold(function: &Function, language: &Language, inst: Inst) -> Option<Folded> {
    let data = &function.insts[inst];
    if data.opcode.effect() == EffectClass::Pure && data.result.is_some() && !data.args.is_empty() {
        let constants: Option<SmallVec<[Constant; 3]>> =
            data.args.iter().map(|&arg| constant_of(function, arg)).collect();
        if let Some(constant) =
            constants.and_then(|args| semantics::evaluate_pure(data.opcode, data.immediate, &args))
        {
            return Some(Folded::Constant(constant));
        }
    }
    let arg = |index: usize| data.args[index];
    let integer = |index: usize| match constant_of(function, data.args[index]) {
        Some(Constant::I64(value)) => Some(value),
        _ => None,
    };
    let truth = |index: usize| match constant_of(function, data.args[index]) {
        Some(Constant::I1(value)) => Some(value),
        _ => None,
    };
    match (data.opcode, data.immediate) {
        (Opcode::GuardKind, Immediate::KindReason(kind, reason)) => {
            let (known, payload) = boxed(function, arg(0))?;
            Some(if known == kind { Folded::Holds(payload) } else { Folded::Fails(reason) })
        }
        (Opcode::GuardNotKind, Immediate::KindReason(kind, reason)) => {
            let (known, _) = boxed(function, arg(0))?;
            Some(if known == kind { Folded::Fails(reason) } else { Folded::Holds(Some(arg(0))) })
        }
        (Opcode::GuardTrue, Immediate::Reason(reason)) => {
            Some(if truth(0)? { Folded::Holds(None) } else { Folded::Fails(reason) })
        }
        (Opcode::GuardFalse, Immediate::Reason(reason)) => {
            Some(if truth(0)? { Folded::Fails(reason) } else { Folded::Holds(None) })
        }
        (Opcode::Unbox, Immediate::Kind(kind)) => {
            let (known, payload) = boxed(function, arg(0))?;
            (known == kind).then_some(Folded::Value(payload?))
        }
        (Opcode::IsKind, Immediate::Kind(kind)) => {
            let (known, _) = boxed(function, arg(0))?;
            Some(Folded::Constant(Constant::I1(known == kind)))
        }
        (Opcode::AnyTag, _) => {
            let (known, _) = boxed(function, arg(0))?;
            match language.kinds[known].form {
                KindForm::Tag(tag) => Some(Folded::Constant(Constant::I64(tag as i64))),
                KindForm::Word { .. } => None,
            }
        }
        (Opcode::AnyPayload, _) => {
            let (_, payload) = boxed(function, arg(0))?;
            let Some(payload) = payload else { return Some(Folded::Constant(Constant::I64(0))) };
            match function.ty(payload) {
                surmise_ir::types::Type::I64 => Some(Folded::Value(payload)),
                surmise_ir::types::Type::I1 => {
                    Some(Folded::Instead(InstData::new(Opcode::BoolToInt, &[payload], Immediate::None)))
                }
                surmise_ir::types::Type::F64 => {
                    Some(Folded::Instead(InstData::new(Opcode::FloatBits, &[payload], Immediate::None)))
                }
                _ => None,
            }
        }
        (Opcode::Select, _) => {
            if arg(1) == arg(2) {
                return Some(Folded::Value(arg(1)));
            }
            Some(Folded::Value(if truth(0)? { arg(1) } else { arg(2) }))
        }
        (Opcode::Branch, _) => {
            let taken = truth(0)?;
            let mut jump = InstData::new(Opcode::Jump, &[], Immediate::None);
            jump.targets.push(data.targets[usize::from(!taken)].clone());
            Some(Folded::Instead(jump))
        }
        (Opcode::Bnot, _) => {
            let inner = function.def_with(arg(0), Opcode::Bnot)?;
            Some(Folded::Value(inner.args[0]))
        }
        (Opcode::Band | Opcode::Bor, _) => {
            // What the other operand is when this one decides nothing: true for `and`, false for `or`.
            let neutral = data.opcode == Opcode::Band;
            let (constant, other) = match (truth(0), truth(1)) {
                (Some(constant), _) => (constant, arg(1)),
                (_, Some(constant)) => (constant, arg(0)),
                (None, None) => return (arg(0) == arg(1)).then_some(Folded::Value(arg(0))),
            };
            if constant == neutral {
                return Some(Folded::Value(other));
            }
            Some(Folded::Constant(Constant::I1(constant)))
        }
        (
            Opcode::Icmp,
            Immediate::IntCondition(condition @ (IntCondition::Equal | IntCondition::NotEqual)),
        ) if integer(1) == Some(0) && function.def_with(arg(0), Opcode::BoolToInt).is_some() => {
            let truth = function.def_with(arg(0), Opcode::BoolToInt)?.args[0];
            Some(match condition {
                IntCondition::NotEqual => Folded::Value(truth),
                _ => Folded::Instead(InstData::new(Opcode::Bnot, &[truth], Immediate::None)),
            })
        }
        (Opcode::RefEqual | Opcode::RawEqual | Opcode::AnyEqual, _) => {
            (arg(0) == arg(1)).then_some(Folded::Constant(Constant::I1(true)))
        }
        (Opcode::Icmp, Immediate::IntCondition(condition)) => {
            if arg(0) != arg(1) {
                return None;
            }
            Some(Folded::Constant(Constant::I1(condition.holds(0, 0))))
        }
        (Opcode::Iadd | Opcode::Isub | Opcode::Ior | Opcode::Ixor, _) if integer(1) == Some(0) => {
            Some(Folded::Value(arg(0)))
        }
        (Opcode::Iadd, _) if integer(0) == Some(0) => Some(Folded::Value(arg(1))),
        (Opcode::Imul, _) if integer(1) == Some(1) => Some(Folded::Value(arg(0))),
        (Opcode::Imul, _) if integer(0) == Some(1) => Some(Folded::Value(arg(1))),
        (Opcode::FloorMod, _) => {
            let divisor = integer(1)?;
            if divisor == 1 || divisor == -1 {
                return Some(Folded::Constant(Constant::I64(0)));
            }
            None
        }
        _ => None,
    }
}
