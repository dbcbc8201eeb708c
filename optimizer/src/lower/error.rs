//! What can go wrong in lowering. None of it is the guest program's fault: the candidate is rejected, the program goes on.

use std::fmt;
use surmise_ir::entity::Inst;

/// Why a function could not be lowered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LowerError {
    /// An instruction asks for something that machine code does not do.
    #[error("{inst}: {what}")]
    Unsupported {
        /// The instruction.
        inst: Inst,
        /// What it asks for, and what would be right.
        what: String,
    },
    /// An instruction has no frame state although it may leave compiled code.
    #[error("{inst}: no frame state {when} its bytecode instruction, which it needs to leave compiled code")]
    MissingState {
        /// The instruction.
        inst: Inst,
        /// `before` or `after`.
        when: &'static str,
    },
    /// The language says something that machine code can't follow.
    #[error("language: {0}")]
    Language(String),
    /// A number does not fit the tables beside the code.
    #[error("{what}: {found} is more than the {limit} that the deopt table can express")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The code generator refused.
    #[error("cranelift: {0}")]
    Cranelift(String),
    /// The machine code refers to something by address.
    #[error("the code would need a relocation of {0}, but candidates are position-independent")]
    Relocation(String),
    /// This machine has no code generator.
    #[error("no code generator for this machine: {0}")]
    Target(String),
}

impl LowerError {
    pub(super) fn unsupported(inst: Inst, what: impl fmt::Display) -> LowerError {
        LowerError::Unsupported { inst, what: what.to_string() }
    }
}
