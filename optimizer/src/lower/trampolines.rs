//! By what way compiled code gets to the runtime and the host: a few bytes of machine code behind the candidate's own.
//!
//! *To the stubs.* A cold block that passed the context to a stub itself would tie the context to the argument's register, and
//! move it to and fro in the hot code around. So it calls a trampoline, without operands and relative to its own address, which
//! takes the context from its home in the frame (the frame pointer is the compiled frame's) and jumps to the stub that the
//! context names. The stub finds the return address of the cold block, as if called directly.
//!
//! *To externs.* The trampoline is called like the extern, with the context in the first argument's register. It leaves frame and
//! stack pointer in the context, if the frame may have to be walked from, and jumps to the extern by its number. It keeps all
//! registers but r11, which is nobody's over a call.

use super::error::LowerError;
use super::tables::FrameShape;
use cranelift_codegen::ir::UserExternalName;
use surmise_deopt::context::offsets;
use surmise_ir::entity::ExternId;

/// Word of the context's home in the frame's slot.
pub(super) const CONTEXT_HOME: u32 = 1;

/// Where a trampoline leads to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Trampoline {
    /// `guard_exit(context)`, called without operands.
    Guard,
    /// `landing_exit(context, first, second)`, called with the two results.
    Landing,
    /// `poll_stub(context)`, called without operands.
    Poll,
    /// An extern that never needs the frame to be walked.
    Leaf(ExternId),
    /// Any other extern.
    Extern(ExternId),
}

const RBP: u8 = 5;
const RDI: u8 = 7;
const R11: u8 = 11;
const LOAD: u8 = 0x8b;
const STORE: u8 = 0x89;

/// `opcode register, [base + displacement]` with 64-bit operands.
fn memory(code: &mut Vec<u8>, opcode: u8, register: u8, base: u8, displacement: i32) {
    code.extend([0x48 | (register >> 3) << 2 | base >> 3, opcode]);
    address(code, register, base, displacement);
}
/// `jmp [base + displacement]`.
fn jump(code: &mut Vec<u8>, base: u8, displacement: i32) {
    code.extend([0x40 | base >> 3, 0xff]);
    address(code, 4, base, displacement);
}
/// The bytes that say `register, [base + displacement]`. The base is neither rsp nor r12, which are said otherwise.
fn address(code: &mut Vec<u8>, register: u8, base: u8, displacement: i32) {
    let parts = (register & 7) << 3 | base & 7;
    match i8::try_from(displacement) {
        Ok(short) => code.extend([0x40 | parts, short as u8]),
        Err(_) => {
            code.push(0x80 | parts);
            code.extend(displacement.to_le_bytes());
        }
    }
}

impl Trampoline {
    /// The name that code refers to it by.
    pub fn name(self) -> UserExternalName {
        let (namespace, index) = match self {
            Trampoline::Guard => (1, 0),
            Trampoline::Landing => (1, 1),
            Trampoline::Poll => (1, 2),
            Trampoline::Leaf(id) => (2, id.as_u32()),
            Trampoline::Extern(id) => (3, id.as_u32()),
        };
        UserExternalName::new(namespace, index)
    }
    /// The trampoline of a name.
    pub fn from_name(name: &UserExternalName) -> Option<Trampoline> {
        match (name.namespace, name.index) {
            (1, 0) => Some(Trampoline::Guard),
            (1, 1) => Some(Trampoline::Landing),
            (1, 2) => Some(Trampoline::Poll),
            (2, index) => Some(Trampoline::Leaf(ExternId::from_u32(index))),
            (3, index) => Some(Trampoline::Extern(ExternId::from_u32(index))),
            _ => None,
        }
    }
    /// Appends its code.
    pub fn assemble(self, shape: FrameShape, code: &mut Vec<u8>) -> Result<(), LowerError> {
        let stub = match self {
            Trampoline::Guard => offsets::GUARD_EXIT,
            Trampoline::Landing => offsets::LANDING_EXIT,
            Trampoline::Poll => offsets::POLL_STUB,
            Trampoline::Leaf(id) | Trampoline::Extern(id) => {
                if matches!(self, Trampoline::Extern(_)) {
                    memory(code, STORE, RBP, RDI, offsets::EXIT_FRAME_POINTER);
                    // lea r11, [rsp + 8]
                    code.extend([0x4c, 0x8d, 0x5c, 0x24, 0x08]);
                    memory(code, STORE, R11, RDI, offsets::EXIT_STACK_POINTER);
                }
                memory(code, LOAD, R11, RDI, offsets::EXTERNS);
                jump(code, R11, 8 * id.as_u32() as i32);
                return Ok(());
            }
        };
        if self == Trampoline::Landing {
            // mov rdx, rsi; mov rsi, rdi
            code.extend([0x48, 0x89, 0xf2, 0x48, 0x89, 0xfe]);
        }
        memory(code, LOAD, RDI, RBP, i32::from(shape.home(CONTEXT_HOME)?) * 8);
        jump(code, RDI, stub);
        Ok(())
    }
}
