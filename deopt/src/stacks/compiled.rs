//! Functions of the host that compiled code calls to switch stacks.
//!
//! Such a call is like that of any other function of the host: it has an exit record and a landing pad. The function does not return but
//! goes on elsewhere, and its caller waits in it until somebody comes back to its stack. [`call`] is that function, as far as it is the
//! same for all hosts:
//!
//! ```text
//!   native stack of a caller that waits:
//!   │ compiled frame                          │
//!   │ return address, behind the call         │  what a deoptimization of everything overwrites
//!   │ rbp rbx r12 r13 r14 r15 of the caller   │
//!   │ count, slot, context                    │
//!   │ Departure                               │◀─ link.stack_pointer
//! ```
//!
//! Who comes back from compiled code has delivered the results already, and passes them in the registers in which the caller wants
//! them; then nothing is left to be done but to go on. Who has something else to say, or comes from a Rust function ([`super::switch`]),
//! passes a message, and [`Switching::arrive`] makes results of that.
//!
//! # Why it does not return
//! The processor expects each `ret` to go where the last call came from that has not returned, and behind a switch that is a place on
//! the other stack: two wrong guesses a round. So this one goes back by a jump, whose aim the processor guesses from where it has been
//! lately. The calls that it believes to be under way are forgotten as new ones come.

use super::Link;
use crate::context::Context;
use crate::host::GuestResults;

/// How a caller leaves its stack.
#[repr(C)]
#[derive(Debug)]
pub struct Departure {
    /// Where to go on, for which the calling stack is ready ([`super::Coroutine::depart`], [`super::Coroutine::park`]). Null: the call
    /// is made in another way.
    pub link: *mut Link,
    /// For whoever is there, see [`super::Coroutine::resume`]. Null: compiled code waits there in a call of the same function, and
    /// these are its results.
    pub message: *mut u8,
    /// See `message`.
    pub results: GuestResults,
}

/// A host whose compiled code switches stacks. Called by [`call`] alone, with the operands that it was called with.
pub trait Switching {
    /// Gets everything ready, and says where to go. Must not panic.
    ///
    /// # Safety
    /// Called for compiled code, which has recorded where it is; `departure` can be written.
    unsafe extern "C" fn leave(departure: *mut Departure, context: *mut Context, slot: *mut u8, count: u64);
    /// Somebody came back with a message. The results of the call.
    ///
    /// # Safety
    /// As for [`Self::leave`], of which it is the second half.
    unsafe extern "C" fn arrive(context: *mut Context, slot: *mut u8, count: u64) -> GuestResults;
    /// The call in another way: [`Self::leave`] gave no link, and has changed nothing.
    ///
    /// # Safety
    /// As for [`Self::leave`].
    unsafe extern "C" fn decline(context: *mut Context, slot: *mut u8, count: u64) -> GuestResults;
}

/// See the module comment.
///
/// # Safety
/// Called by compiled code, with its context, like a function that may run guest code and throw. What the other operands are is between
/// the host and its code.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[unsafe(naked)]
pub unsafe extern "C" fn call<S: Switching>(
    context: *mut Context,
    slot: *mut u8,
    count: u64,
) -> GuestResults {
    use std::mem::offset_of;
    core::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdx",
        "push rsi",
        "push rdi",
        "sub rsp, {departure}",
        "mov rcx, rdx",
        "mov rdx, rsi",
        "mov rsi, rdi",
        "mov rdi, rsp",
        "call {leave}",
        "mov rcx, [rsp + {link}]",
        "test rcx, rcx",
        "jz 4f",
        // As `switch` does, with the results besides.
        "mov rdi, [rsp + {message}]",
        "mov rax, [rsp + {first}]",
        "mov rdx, [rsp + {second}]",
        "lea r8, [rip + 2f]",
        "mov r9, [rcx + {resume_address}]",
        "mov r10, [rcx + {stack_pointer}]",
        "mov r11, [rcx + {frame_pointer}]",
        "mov [rcx + {resume_address}], r8",
        "mov [rcx + {stack_pointer}], rsp",
        "mov [rcx + {frame_pointer}], rbp",
        "mov rsp, r10",
        "mov rbp, r11",
        "jmp r9",
        // Back.
        "2:",
        "test rdi, rdi",
        "jnz 5f",
        "3:",
        "add rsp, {departure} + 24",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "pop rcx",
        "jmp rcx",
        "4:",
        "add rsp, {departure}",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "jmp {decline}",
        "5:",
        "mov rdi, [rsp + {departure}]",
        "mov rsi, [rsp + {departure} + 8]",
        "mov rdx, [rsp + {departure} + 16]",
        "call {arrive}",
        "jmp 3b",
        // The stack is aligned at the calls: the return address and nine words were pushed.
        departure = const size_of::<Departure>(),
        link = const offset_of!(Departure, link),
        message = const offset_of!(Departure, message),
        first = const offset_of!(Departure, results) + offset_of!(GuestResults, first),
        second = const offset_of!(Departure, results) + offset_of!(GuestResults, second),
        resume_address = const offset_of!(Link, resume_address),
        stack_pointer = const offset_of!(Link, stack_pointer),
        frame_pointer = const offset_of!(Link, frame_pointer),
        leave = sym S::leave,
        arrive = sym S::arrive,
        decline = sym S::decline,
    )
}

const _: () = assert!(size_of::<Departure>().is_multiple_of(16));

/// On targets without machine code nothing calls it.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub unsafe extern "C" fn call<S: Switching>(
    context: *mut Context,
    slot: *mut u8,
    count: u64,
) -> GuestResults {
    // SAFETY: handed on.
    unsafe { S::decline(context, slot, count) }
}
