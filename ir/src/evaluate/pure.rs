//! Instructions that only compute.

use super::boxing;
use super::datum::Datum;
use crate::function::{Immediate, InstData};
use crate::language::Language;
use crate::opcode::Opcode;
use crate::semantics::{Constant, evaluate_pure};
use smallvec::SmallVec;

/// What a pure instruction computes from its operands. `None` if it is no such instruction, or not defined for them.
pub fn compute(language: &Language, data: &InstData, operands: &[Datum]) -> Option<Datum> {
    match (data.opcode, data.immediate, operands) {
        (Opcode::Select, _, &[Datum::I1(condition), a, b]) if a.ty() == b.ty() => {
            Some(if condition { a } else { b })
        }
        (Opcode::RefEqual, _, &[Datum::Ref(a), Datum::Ref(b)]) => Some(Datum::I1(a == b)),
        (Opcode::AnyEqual, _, &[Datum::Any(a), Datum::Any(b)]) => Some(Datum::I1(a == b)),
        (Opcode::AnyTag, _, &[Datum::Any(value)]) => Some(Datum::I64(value[0] as i64)),
        (Opcode::AnyPayload, _, &[Datum::Any(value)]) => Some(Datum::I64(value[1] as i64)),
        (Opcode::Box, Immediate::Kind(kind), payload) if payload.len() <= 1 => {
            boxing::boxed(language, kind, payload.first().copied()).map(Datum::Any)
        }
        (Opcode::Unbox, Immediate::Kind(kind), &[Datum::Any(value)]) => {
            boxing::unboxed(language, kind, value)?
        }
        (Opcode::IsKind, Immediate::Kind(kind), &[Datum::Any(value)]) => {
            Some(Datum::I1(boxing::is_kind(language, kind, value)))
        }
        _ => {
            let mut constants = SmallVec::<[Constant; 3]>::new();
            for operand in operands {
                constants.push(operand.constant()?);
            }
            evaluate_pure(data.opcode, data.immediate, &constants).map(Datum::from)
        }
    }
}
