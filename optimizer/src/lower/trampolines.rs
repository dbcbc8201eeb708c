//! What exits and polls call: a few bytes of machine code behind the candidate's own, by way of which it gets to the stubs.
//!
//! A cold block that passed the context to a stub itself would tie the context to the argument's register, and move it to and
//! fro in the hot code around. So it calls a trampoline, without operands and relative to its own address, which takes the
//! context from its home in the frame (the frame pointer is the compiled frame's) and jumps to the stub that the context names.
//! The stub finds the return address of the cold block, as if called directly.

use super::error::LowerError;
use super::tables::FrameShape;
use surmise_deopt::context::offsets;

/// Word of the context's home in the frame's slot.
pub(super) const CONTEXT_HOME: u32 = 1;

/// The stubs that trampolines lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stub {
    /// `guard_exit(context)`, called without operands.
    Guard,
    /// `landing_exit(context, first, second)`, called with the two results.
    Landing,
    /// `poll_stub(context)`, called without operands.
    Poll,
}

impl Stub {
    /// All stubs, by number.
    pub const ALL: [Stub; 3] = [Stub::Guard, Stub::Landing, Stub::Poll];

    /// How many words it is called with.
    pub fn operands(self) -> usize {
        if self == Stub::Landing { 2 } else { 0 }
    }
    /// How many words it returns.
    pub fn results(self) -> usize {
        if self == Stub::Poll { 0 } else { 2 }
    }
    fn offset(self) -> i32 {
        match self {
            Stub::Guard => offsets::GUARD_EXIT,
            Stub::Landing => offsets::LANDING_EXIT,
            Stub::Poll => offsets::POLL_STUB,
        }
    }
    /// Appends the trampoline's code.
    pub fn assemble(self, shape: FrameShape, code: &mut Vec<u8>) -> Result<(), LowerError> {
        if self == Stub::Landing {
            // mov rdx, rsi; mov rsi, rdi
            code.extend([0x48, 0x89, 0xf2, 0x48, 0x89, 0xfe]);
        }
        // mov rdi, [rbp + home]
        code.extend([0x48, 0x8b, 0xbd]);
        code.extend((i32::from(shape.home(CONTEXT_HOME)?) * 8).to_le_bytes());
        // jmp [rdi + stub]
        code.extend([0xff, 0xa7]);
        code.extend(self.offset().to_le_bytes());
        Ok(())
    }
}
