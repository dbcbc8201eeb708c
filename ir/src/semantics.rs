//! What pure instructions compute: the one definition, used by the evaluator and by constant folding.

use crate::function::Immediate;
use crate::opcode::Opcode;
use crate::types::Type;
use serde::{Deserialize, Serialize};

/// A value that is known at compile time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Constant {
    /// An integer.
    I64(i64),
    /// A float, by its bits.
    F64(u64),
    /// A truth value.
    I1(bool),
    /// A word that the collector ignores.
    Raw(u64),
}

impl Constant {
    /// The constant's type.
    pub fn ty(self) -> Type {
        match self {
            Constant::I64(_) => Type::I64,
            Constant::F64(_) => Type::F64,
            Constant::I1(_) => Type::I1,
            Constant::Raw(_) => Type::Raw,
        }
    }
}

/// A quotient rounded towards minus infinity. `None` for a divisor of zero, which the instruction excludes.
pub fn floor_div(a: i64, b: i64) -> Option<i64> {
    if b == 0 {
        return None;
    }
    let quotient = a.wrapping_div(b);
    Some(if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

/// A remainder with the divisor's sign. `None` for a divisor of zero, which the instruction excludes.
pub fn floor_mod(a: i64, b: i64) -> Option<i64> {
    if b == 0 {
        return None;
    }
    let rest = a.wrapping_rem(b);
    Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
}

/// The result of a pure instruction on constant operands. `None` if the instruction is not pure, its result or an operand is no
/// constant of this kind (references, boxed values), or it is not defined for these operands.
pub fn evaluate_pure(opcode: Opcode, immediate: Immediate, operands: &[Constant]) -> Option<Constant> {
    use Constant::{F64, I1, I64, Raw};
    let float = |value: f64| Some(F64(value.to_bits()));
    match (opcode, immediate, operands) {
        (Opcode::Iconst, Immediate::Integer(value), []) => Some(I64(value)),
        (Opcode::Fconst, Immediate::Float(bits), []) => Some(F64(bits)),
        (Opcode::Bconst, Immediate::Boolean(value), []) => Some(I1(value)),
        (Opcode::RawConst, Immediate::Integer(value), []) => Some(Raw(value as u64)),

        (Opcode::Iadd, _, &[I64(a), I64(b)]) => Some(I64(a.wrapping_add(b))),
        (Opcode::Isub, _, &[I64(a), I64(b)]) => Some(I64(a.wrapping_sub(b))),
        (Opcode::Imul, _, &[I64(a), I64(b)]) => Some(I64(a.wrapping_mul(b))),
        (Opcode::Ineg, _, &[I64(a)]) => Some(I64(a.wrapping_neg())),
        (Opcode::FloorDiv, _, &[I64(a), I64(b)]) => floor_div(a, b).map(I64),
        (Opcode::FloorMod, _, &[I64(a), I64(b)]) => floor_mod(a, b).map(I64),
        (Opcode::Iand, _, &[I64(a), I64(b)]) => Some(I64(a & b)),
        (Opcode::Ior, _, &[I64(a), I64(b)]) => Some(I64(a | b)),
        (Opcode::Ixor, _, &[I64(a), I64(b)]) => Some(I64(a ^ b)),
        (Opcode::Inot, _, &[I64(a)]) => Some(I64(!a)),
        (Opcode::ShiftLeft, _, &[I64(a), I64(b)]) => Some(I64(a.wrapping_shl(b as u32 & 63))),
        (Opcode::ShiftRight, _, &[I64(a), I64(b)]) => {
            Some(I64((a as u64).wrapping_shr(b as u32 & 63) as i64))
        }
        (Opcode::ShiftRightSigned, _, &[I64(a), I64(b)]) => Some(I64(a.wrapping_shr(b as u32 & 63))),

        (Opcode::Fadd, _, &[F64(a), F64(b)]) => float(f64::from_bits(a) + f64::from_bits(b)),
        (Opcode::Fsub, _, &[F64(a), F64(b)]) => float(f64::from_bits(a) - f64::from_bits(b)),
        (Opcode::Fmul, _, &[F64(a), F64(b)]) => float(f64::from_bits(a) * f64::from_bits(b)),
        (Opcode::Fdiv, _, &[F64(a), F64(b)]) => float(f64::from_bits(a) / f64::from_bits(b)),
        (Opcode::Fneg, _, &[F64(a)]) => Some(F64(a ^ 1 << 63)),
        (Opcode::Fabs, _, &[F64(a)]) => Some(F64(a & !(1 << 63))),
        (Opcode::Fsqrt, _, &[F64(a)]) => float(f64::from_bits(a).sqrt()),
        (Opcode::Ffloor, _, &[F64(a)]) => float(f64::from_bits(a).floor()),
        (Opcode::Fceil, _, &[F64(a)]) => float(f64::from_bits(a).ceil()),

        (Opcode::IntToFloat, _, &[I64(a)]) => float(a as f64),
        // Rust's conversion saturates, and gives 0 for a NaN.
        (Opcode::FloatToInt, _, &[F64(a)]) => Some(I64(f64::from_bits(a) as i64)),
        (Opcode::FloatBits, _, &[F64(a)]) => Some(I64(a as i64)),
        (Opcode::BitsFloat, _, &[I64(a)]) => Some(F64(a as u64)),
        (Opcode::BoolToInt, _, &[I1(a)]) => Some(I64(a.into())),

        (Opcode::Icmp, Immediate::IntCondition(condition), &[I64(a), I64(b)]) => {
            Some(I1(condition.holds(a, b)))
        }
        (Opcode::Fcmp, Immediate::FloatCondition(condition), &[F64(a), F64(b)]) => {
            Some(I1(condition.holds(f64::from_bits(a), f64::from_bits(b))))
        }
        (Opcode::RawEqual, _, &[Raw(a), Raw(b)]) => Some(I1(a == b)),
        (Opcode::Band, _, &[I1(a), I1(b)]) => Some(I1(a && b)),
        (Opcode::Bor, _, &[I1(a), I1(b)]) => Some(I1(a || b)),
        (Opcode::Bnot, _, &[I1(a)]) => Some(I1(!a)),
        (Opcode::Select, _, &[I1(condition), a, b]) if a.ty() == b.ty() => {
            Some(if condition { a } else { b })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_rounds_down_and_survives_the_extremes() {
        for (a, b, quotient, rest) in [
            (7, 2, 3, 1),
            (-7, 2, -4, 1),
            (7, -2, -4, -1),
            (-7, -2, 3, -1),
            (6, -2, -3, 0),
            (i64::MIN, -1, i64::MIN, 0),
            (i64::MIN, 1, i64::MIN, 0),
            (0, -5, 0, 0),
        ] {
            assert_eq!((floor_div(a, b), floor_mod(a, b)), (Some(quotient), Some(rest)), "{a} by {b}");
        }
        assert_eq!((floor_div(1, 0), floor_mod(1, 0)), (None, None));
    }

    #[test]
    fn conversions_saturate() {
        let to_int = |value: f64| {
            evaluate_pure(Opcode::FloatToInt, Immediate::None, &[Constant::F64(value.to_bits())])
        };
        assert_eq!(to_int(1e300), Some(Constant::I64(i64::MAX)));
        assert_eq!(to_int(-1e300), Some(Constant::I64(i64::MIN)));
        assert_eq!(to_int(f64::NAN), Some(Constant::I64(0)));
        assert_eq!(to_int(-1.9), Some(Constant::I64(-1)));
    }

    #[test]
    fn shifts_count_modulo_64() {
        let shift =
            |opcode, a, b| evaluate_pure(opcode, Immediate::None, &[Constant::I64(a), Constant::I64(b)]);
        assert_eq!(shift(Opcode::ShiftLeft, 1, 65), Some(Constant::I64(2)));
        assert_eq!(shift(Opcode::ShiftRight, -1, 63), Some(Constant::I64(1)));
        assert_eq!(shift(Opcode::ShiftRightSigned, -8, -63), Some(Constant::I64(-4)));
    }
}
