//! Values at run time.

use crate::semantics::Constant;
use crate::types::Type;
use std::fmt;

/// A boxed value: tag and payload in pair encoding, the word and 0 in word encoding.
pub type Boxed = [u64; 2];

/// An SSA value at run time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Datum {
    /// An integer.
    I64(i64),
    /// A float, by its bits.
    F64(u64),
    /// A truth value.
    I1(bool),
    /// The address of an object.
    Ref(u64),
    /// A word that the collector ignores.
    Raw(u64),
    /// A boxed value.
    Any(Boxed),
}

impl Datum {
    /// The type.
    pub fn ty(self) -> Type {
        match self {
            Datum::I64(_) => Type::I64,
            Datum::F64(_) => Type::F64,
            Datum::I1(_) => Type::I1,
            Datum::Ref(_) => Type::Ref,
            Datum::Raw(_) => Type::Raw,
            Datum::Any(_) => Type::Any,
        }
    }
    /// The word of an unboxed value.
    pub fn bits(self) -> Option<u64> {
        match self {
            Datum::I64(value) => Some(value as u64),
            Datum::F64(bits) => Some(bits),
            Datum::I1(value) => Some(value.into()),
            Datum::Ref(word) | Datum::Raw(word) => Some(word),
            Datum::Any(_) => None,
        }
    }
    /// The value of this type that a word stands for. `None` for `any`, and for truth values other than 0 and 1.
    pub fn from_bits(ty: Type, bits: u64) -> Option<Datum> {
        Some(match ty {
            Type::I64 => Datum::I64(bits as i64),
            Type::F64 => Datum::F64(bits),
            Type::I1 if bits <= 1 => Datum::I1(bits == 1),
            Type::Ref => Datum::Ref(bits),
            Type::Raw => Datum::Raw(bits),
            Type::I1 | Type::Any => return None,
        })
    }
    /// As a constant, unless it is a reference or boxed.
    pub fn constant(self) -> Option<Constant> {
        Some(match self {
            Datum::I64(value) => Constant::I64(value),
            Datum::F64(bits) => Constant::F64(bits),
            Datum::I1(value) => Constant::I1(value),
            Datum::Raw(word) => Constant::Raw(word),
            Datum::Ref(_) | Datum::Any(_) => return None,
        })
    }
    /// The boxed value, if it is one.
    pub fn boxed(self) -> Option<Boxed> {
        match self {
            Datum::Any(value) => Some(value),
            _ => None,
        }
    }
}

impl From<Constant> for Datum {
    fn from(constant: Constant) -> Datum {
        match constant {
            Constant::I64(value) => Datum::I64(value),
            Constant::F64(bits) => Datum::F64(bits),
            Constant::I1(value) => Datum::I1(value),
            Constant::Raw(word) => Datum::Raw(word),
        }
    }
}

impl fmt::Debug for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Datum::I64(value) => write!(f, "i64 {value}"),
            Datum::F64(bits) => write!(f, "f64 {:?}", f64::from_bits(bits)),
            Datum::I1(value) => write!(f, "i1 {value}"),
            Datum::Ref(word) => write!(f, "ref {word:#x}"),
            Datum::Raw(word) => write!(f, "raw {word:#x}"),
            Datum::Any([first, second]) => write!(f, "any {first:#x}:{second:#x}"),
        }
    }
}
