//! Typed indices. An index of one table can't be used for another.

use cranelift_entity::entity_impl;
use serde::{Deserialize, Serialize};

macro_rules! entities {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(u32);
        entity_impl!($name, $prefix);
    )*};
}

entities! {
    /// A basic block of a function.
    Block = "block";
    /// An instruction of a function.
    Inst = "inst";
    /// An SSA value of a function.
    Value = "v";
    /// A frame state of a function.
    FrameStateId = "state";
    /// A node of a function's tree of inlined frames. Number 0 is the function itself.
    FrameId = "frame";
    /// A spesh slot of a candidate.
    SlotId = "slot";
    /// A kind of a language.
    KindId = "kind";
    /// An operation of a language.
    OperationId = "operation";
    /// An extern function of a language.
    ExternId = "extern";
    /// An object layout of a language.
    LayoutId = "layout";
    /// A field of a layout, numbered through all layouts of the language.
    FieldId = "field";
    /// A set of memory places that no access of another class touches.
    AliasClass = "alias";
}

/// The identity of a unit: a hash of its content, so that the same script loaded twice is one unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, Default)]
pub struct UnitId(pub u64);

/// A place in a unit's bytecode, in the host's own counting of instructions (an index, no byte offset).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Pc(pub u32);

/// A register of the host's frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Register(pub u16);

impl std::fmt::Display for UnitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unit:{:016x}", self.0)
    }
}
impl std::fmt::Display for Pc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "@{}", self.0)
    }
}
impl std::fmt::Display for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "r{}", self.0)
    }
}
