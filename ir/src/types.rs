//! The types of SSA values.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The type of an SSA value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Type {
    /// A 64-bit integer, two's complement.
    I64,
    /// An IEEE double.
    F64,
    /// A truth value.
    I1,
    /// A pointer to an object that the host's collector manages: it may move at every safepoint.
    Ref,
    /// A machine address or word that the collector ignores.
    Raw,
    /// A boxed value in the host's encoding: one word or a (tag, payload) pair.
    Any,
}

impl Type {
    /// All types, in the order of their declaration.
    pub const ALL: [Type; 6] = [Type::I64, Type::F64, Type::I1, Type::Ref, Type::Raw, Type::Any];

    /// The type's name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Type::I64 => "i64",
            Type::F64 => "f64",
            Type::I1 => "i1",
            Type::Ref => "ref",
            Type::Raw => "raw",
            Type::Any => "any",
        }
    }

    /// The type with this name.
    pub fn from_name(name: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|ty| ty.name() == name)
    }

    /// Whether the collector has to know of values of this type.
    pub fn is_collected(self) -> bool {
        matches!(self, Type::Ref | Type::Any)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
