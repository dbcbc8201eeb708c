//! The doors between host and compiled code, in assembly: x86-64, System V calling convention.
//!
//! A native stack with one activation (`enter`), two compiled frames, and a call back to the host:
//!
//! ```text
//! higher addresses
//! ┌──────────────────────────────┐
//! │ host function                │
//! │ return address into the host │
//! │ saved rbp                    │◀─ rbp of `enter` ◀──────────────────────────────┐
//! │ saved rbx r12 r13 r14 r15    │                                                 │
//! │ results: *mut [u64; 2]       │  entry record                                   │
//! │ previous exit frame pointer  │                                                 │
//! │ previous exit stack pointer  │                                                 │
//! │ previous entry record        │                                                 │
//! │ context                      │◀─ context.entry_record                          │
//! ├──────────────────────────────┤                                                 │
//! │ return address into `enter`  │   known by value: the walk ends at it           │
//! │ saved rbp                    │───────────────────────────────────────────────▶─┘
//! │ first compiled frame         │◀─ its rbp ◀─┐
//! ├──────────────────────────────┤             │
//! │ return address into code     │ a call site │
//! │ saved rbp                    │───────────▶─┘
//! │ second compiled frame        │◀─ its rbp = context.exit_frame_pointer
//! │   homes, spills …            │◀─ its rsp at the call = context.exit_stack_pointer
//! ├──────────────────────────────┤
//! │ return address into code     │ at exit_stack_pointer - 8: a call site, or a deopt point
//! │ stub, host function …        │
//! └──────────────────────────────┘
//! ```
//!
//! What must hold: compiled code keeps frame pointers and the stack aligned to 16 bytes at calls. `enter` has the stack aligned
//! when it calls, so has every stub. Control flags (direction, rounding) are as the convention wants them on both sides.
//!
//! `leave` gives up everything between the newest entry record and the present. Compiled frames have nothing to clean up; Rust
//! frames in between must not have either, which is why the stubs themselves call it, after the Rust part has returned.
//! An unknown status of the Rust part can't be left over: the codes are those of [`Status`].

use crate::context::Context;

/// How the Rust part of a stub ended, and how an activation ended. The numbers are known to the stubs: zero goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Status {
    /// With results.
    Returned = 0,
    /// The frame that was entered goes on in the interpreter.
    Resumed = 1,
    /// With a guest error.
    Thrown = 2,
    /// A function of the host panicked.
    Panicked = 3,
}

/// What `enter` pushes, lowest address first. See the drawing.
#[repr(C)]
pub struct EntryRecord {
    /// The context.
    pub context: *mut Context,
    /// The entry record before this one, or null.
    pub previous: *mut EntryRecord,
    /// The exit stack pointer at entry.
    pub exit_stack_pointer: usize,
    /// The exit frame pointer at entry; 0 when no compiled frame was below.
    pub exit_frame_pointer: usize,
    /// Where the results go.
    pub results: *mut [u64; 2],
    /// r15, r14, r13, r12, rbx.
    pub callee_saved: [u64; 5],
    /// rbp of the host's function. Its address is the frame pointer of `enter`.
    pub saved_frame_pointer: usize,
    /// Into the host.
    pub return_address: usize,
}

impl EntryRecord {
    /// The frame pointer of the activation of `enter` that pushed the record at this address.
    pub fn frame_pointer(record: *const EntryRecord) -> usize {
        record as usize + std::mem::offset_of!(EntryRecord, saved_frame_pointer)
    }
}

/// What an exit stub pushes, lowest address first: the registers of the compiled frame as they were at the call.
#[repr(C)]
pub struct ExitFrame {
    /// In: the results that a landing pad received (zero for guards). Out: the frame's results, if the status is [`Status::Returned`].
    pub results: [u64; 2],
    /// The context.
    pub context: *mut Context,
    /// rbx, r12, r13, r14, r15.
    pub callee_saved: [u64; 5],
    /// rbp: the frame pointer of the compiled frame.
    pub frame_pointer: usize,
    /// Which deopt point.
    pub return_address: usize,
}

impl ExitFrame {
    /// A callee-saved register by its hardware number, as it was at the exit call.
    pub fn register(&self, number: u8) -> Option<u64> {
        match number {
            3 => Some(self.callee_saved[0]),
            12..=15 => Some(self.callee_saved[number as usize - 11]),
            _ => None,
        }
    }
}

/// Whether a place can be in the register with this hardware number: rbx, r12 to r15.
pub fn is_saved_register(number: u8) -> bool {
    matches!(number, 3 | 12..=15)
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use native::*;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod native {
    use super::{Context, EntryRecord, ExitFrame};
    use crate::exit;
    use crate::portable::step;
    use core::arch::naked_asm;
    use std::mem::offset_of;
    use std::sync::OnceLock;

    /// Calls compiled code, or any entry cell's content. Returns a [`super::Status`].
    ///
    /// # Safety
    /// `context` is a registered runloop's context, on its own thread; `code` is the entry point of a candidate that is installed
    /// in its isolate, or `interpret_entry`; `window` is what that code expects; `results` can be written.
    #[unsafe(naked)]
    pub unsafe extern "C" fn enter(
        context: *mut Context,
        code: *const u8,
        window: *mut u8,
        argument_count: u64,
        results: *mut [u64; 2],
    ) -> u64 {
        naked_asm!(
            "push rbp",
            "mov rbp, rsp",
            "push rbx",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "push r8",
            "push qword ptr [rdi + {exit_frame_pointer}]",
            "push qword ptr [rdi + {exit_stack_pointer}]",
            "push qword ptr [rdi + {entry_record}]",
            "push rdi",
            "mov [rdi + {entry_record}], rsp",
            "mov qword ptr [rdi + {exit_frame_pointer}], 0",
            "mov rax, rsi",
            "mov rsi, rdx",
            "mov rdx, rcx",
            "call rax",
            "mov rcx, [rsp + {results}]",
            "mov [rcx], rax",
            "mov [rcx + 8], rdx",
            "xor eax, eax",
            "jmp {unlink_entry}",
            exit_frame_pointer = const offset_of!(Context, exit_frame_pointer),
            exit_stack_pointer = const offset_of!(Context, exit_stack_pointer),
            entry_record = const offset_of!(Context, entry_record),
            results = const offset_of!(EntryRecord, results),
            unlink_entry = sym unlink_entry,
        )
    }

    /// The end of `enter`, with rsp at the entry record and the status in rax: restores the context and the registers.
    #[unsafe(naked)]
    unsafe extern "C" fn unlink_entry() {
        naked_asm!(
            "pop rdi",
            "pop qword ptr [rdi + {entry_record}]",
            "pop qword ptr [rdi + {exit_stack_pointer}]",
            "pop qword ptr [rdi + {exit_frame_pointer}]",
            "add rsp, 8",
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbx",
            "pop rbp",
            "ret",
            exit_frame_pointer = const offset_of!(Context, exit_frame_pointer),
            exit_stack_pointer = const offset_of!(Context, exit_stack_pointer),
            entry_record = const offset_of!(Context, entry_record),
        )
    }

    /// Ends the newest activation with this status: `enter` returns it. The results are not written.
    ///
    /// # Safety
    /// The context has an entry record, on this native stack; no frame above it has anything left to clean up.
    #[unsafe(naked)]
    pub unsafe extern "C" fn leave(context: *mut Context, status: u64) -> ! {
        naked_asm!(
            "mov rsp, [rdi + {entry_record}]",
            "mov rax, rsi",
            "jmp {unlink_entry}",
            entry_record = const offset_of!(Context, entry_record),
            unlink_entry = sym unlink_entry,
        )
    }

    /// Where compiled code goes when a guard fails. Called with the context alone; returns, with the frame's results in the context, or leaves.
    ///
    /// # Safety
    /// Called by compiled code at a deopt point.
    #[unsafe(naked)]
    pub unsafe extern "C" fn guard_exit(context: *mut Context) {
        naked_asm!(
            "xor esi, esi",
            "xor edx, edx",
            "jmp {exit}",
            exit = sym exit,
        )
    }

    /// Where landing pads go, with the call's results in machine form. Returns, with the frame's results in the context, or leaves.
    ///
    /// # Safety
    /// Called by compiled code at a deopt point.
    #[unsafe(naked)]
    pub unsafe extern "C" fn landing_exit(context: *mut Context, first: u64, second: u64) {
        naked_asm!(
            "jmp {exit}",
            exit = sym exit,
        )
    }

    /// Both exits: pushes an [`ExitFrame`], with the call's results from rsi and rdx, and lets the Rust part rebuild the frames.
    #[unsafe(naked)]
    unsafe extern "C" fn exit() {
        naked_asm!(
            "mov [rdi + {exit_frame_pointer}], rbp",
            "lea rax, [rsp + 8]",
            "mov [rdi + {exit_stack_pointer}], rax",
            "push rbp",
            "mov rbp, rsp",
            "push r15",
            "push r14",
            "push r13",
            "push r12",
            "push rbx",
            "push rdi",
            "push rdx",
            "push rsi",
            "mov rdi, rsp",
            "call {deoptimize}",
            "test rax, rax",
            "jnz 2f",
            "pop rax",
            "pop rdx",
            "pop rdi",
            "mov [rdi + {exit_results}], rax",
            "mov [rdi + {exit_results} + 8], rdx",
            "pop rbx",
            "pop r12",
            "pop r13",
            "pop r14",
            "pop r15",
            "pop rbp",
            "ret",
            "2:",
            "mov rdi, [rsp + {context}]",
            "mov rsi, rax",
            "jmp {leave}",
            exit_frame_pointer = const offset_of!(Context, exit_frame_pointer),
            exit_stack_pointer = const offset_of!(Context, exit_stack_pointer),
            exit_results = const offset_of!(Context, exit_results),
            context = const offset_of!(ExitFrame, context),
            deoptimize = sym exit::deoptimize,
            leave = sym leave,
        )
    }

    /// A safepoint of compiled code, called when `context.poll` is not zero. Returns nothing.
    ///
    /// # Safety
    /// Called by compiled code at a call site.
    #[unsafe(naked)]
    pub unsafe extern "C" fn poll_stub(context: *mut Context) {
        naked_asm!(
            "mov [rdi + {exit_frame_pointer}], rbp",
            "lea rax, [rsp + 8]",
            "mov [rdi + {exit_stack_pointer}], rax",
            "push rbp",
            "mov rbp, rsp",
            "push rdi",
            "sub rsp, 8",
            "call {poll}",
            "test rax, rax",
            "jnz 2f",
            "leave",
            "ret",
            "2:",
            "mov rdi, [rsp + 8]",
            "mov rsi, rax",
            "jmp {leave}",
            exit_frame_pointer = const offset_of!(Context, exit_frame_pointer),
            exit_stack_pointer = const offset_of!(Context, exit_stack_pointer),
            poll = sym exit::poll,
            leave = sym leave,
        )
    }

    /// What the entry code of portable candidates calls for each step, with its frame. Returns [`step::MAKE_CALL`], or zero when the
    /// frame's results are in it, or leaves.
    ///
    /// # Safety
    /// Called by that entry code.
    #[unsafe(naked)]
    pub unsafe extern "C" fn portable_step(context: *mut Context, frame: *mut u8) {
        naked_asm!(
            "mov [rdi + {exit_frame_pointer}], rbp",
            "lea rax, [rsp + 8]",
            "mov [rdi + {exit_stack_pointer}], rax",
            "push rbp",
            "mov rbp, rsp",
            "push rdi",
            "sub rsp, 8",
            "call {step}",
            "test rax, rax",
            "jz 2f",
            "cmp rax, {make_call}",
            "jne 3f",
            "2:",
            "leave",
            "ret",
            "3:",
            "mov rdi, [rsp + 8]",
            "mov rsi, rax",
            "jmp {leave}",
            exit_frame_pointer = const offset_of!(Context, exit_frame_pointer),
            exit_stack_pointer = const offset_of!(Context, exit_stack_pointer),
            make_call = const step::MAKE_CALL,
            step = sym step::step,
            leave = sym leave,
        )
    }

    /// What entry cells hold while their unit has no code: lets the host interpret the call. A compiled unit's signature.
    ///
    /// # Safety
    /// Called by compiled code at a call site, or by `enter`.
    #[unsafe(naked)]
    pub unsafe extern "C" fn interpret_entry(context: *mut Context, window: *mut u8, argument_count: u64) {
        naked_asm!(
            "mov [rdi + {exit_frame_pointer}], rbp",
            "lea rax, [rsp + 8]",
            "mov [rdi + {exit_stack_pointer}], rax",
            "push rbp",
            "mov rbp, rsp",
            "push rdi",
            "sub rsp, 24",
            "mov rcx, rsp",
            "call [rdi + {call_unit}]",
            "test rax, rax",
            "jnz 2f",
            "mov rax, [rsp]",
            "mov rdx, [rsp + 8]",
            "leave",
            "ret",
            "2:",
            "mov rdi, [rsp + 24]",
            "mov rsi, rax",
            "jmp {leave}",
            exit_frame_pointer = const offset_of!(Context, exit_frame_pointer),
            exit_stack_pointer = const offset_of!(Context, exit_stack_pointer),
            call_unit = const offset_of!(Context, call_unit),
            leave = sym leave,
        )
    }

    /// Code that returns its own return address.
    #[unsafe(naked)]
    unsafe extern "C" fn report_return_address() {
        naked_asm!("mov rax, [rsp]", "xor edx, edx", "ret")
    }

    /// The return address of every frame that `enter` called directly: it is asked once, by entering code that reports it.
    pub fn enter_return_address() -> usize {
        static ADDRESS: OnceLock<usize> = OnceLock::new();
        *ADDRESS.get_or_init(|| {
            let mut context = std::mem::MaybeUninit::<Context>::zeroed();
            let mut results = [0; 2];
            let code = report_return_address as *const u8;
            // SAFETY: `enter` touches only three fields of the context, all of them integers or pointers for which zero is
            // valid; the code entered reads nothing but its return address.
            unsafe { enter(context.as_mut_ptr(), code, std::ptr::null_mut(), 0, &raw mut results) };
            results[0] as usize
        })
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub use foreign::*;

/// The same names on targets without native code. None of them can be reached: no code can be loaded there.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
#[allow(missing_docs, clippy::missing_safety_doc)]
mod foreign {
    use super::Context;
    use crate::stop::loud_stop;

    pub unsafe extern "C" fn enter(
        _: *mut Context,
        _: *const u8,
        _: *mut u8,
        _: u64,
        _: *mut [u64; 2],
    ) -> u64 {
        loud_stop(format_args!("compiled code is entered on a target without native code"))
    }
    pub unsafe extern "C" fn leave(_: *mut Context, _: u64) -> ! {
        loud_stop(format_args!("compiled code is left on a target without native code"))
    }
    pub unsafe extern "C" fn guard_exit(_: *mut Context) {}
    pub unsafe extern "C" fn landing_exit(_: *mut Context, _: u64, _: u64) {}
    pub unsafe extern "C" fn poll_stub(_: *mut Context) {}
    pub unsafe extern "C" fn portable_step(_: *mut Context, _: *mut u8) {}
    pub unsafe extern "C" fn interpret_entry(_: *mut Context, _: *mut u8, _: u64) {}
    pub fn enter_return_address() -> usize {
        0
    }
}
