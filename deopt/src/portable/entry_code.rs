//! The code of all portable candidates, and calls of functions by address.
//!
//! Each candidate has a copy of the code in the arena, so that an address of it names the candidate. It is position-independent, and
//! reaches the runtime through the context alone, like machine code that was generated.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) use native::*;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod native {
    use crate::context::Context;
    use crate::portable::frame::{
        ACTIVATION_HOME, ARGUMENT_COUNT_HOME, CONTEXT_HOME, CallBlock, FRAME_SIZE, MARK_HOME, STACK_WORDS,
        WINDOW_HOME,
    };
    use core::arch::{global_asm, naked_asm};
    use std::mem::offset_of;

    global_asm!(
        ".pushsection .text.surmise_portable, \"ax\", @progbits",
        ".hidden surmise_portable_entry",
        ".globl surmise_portable_entry",
        ".hidden surmise_portable_end",
        ".globl surmise_portable_end",
        "surmise_portable_entry:",
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, {frame_size}",
        "mov [rbp + {window}], rsi",
        "mov [rbp + {context}], rdi",
        "mov [rbp + {argument_count}], rdx",
        "mov qword ptr [rbp + {mark}], 0",
        "mov qword ptr [rbp + {activation}], 0",
        "2:",
        "mov rdi, [rbp + {context}]",
        "mov rsi, rsp",
        "call [rdi + {portable_step}]",
        "test rax, rax",
        "jz 3f",
        "movsd xmm0, qword ptr [rsp + {floats}]",
        "movsd xmm1, qword ptr [rsp + {floats} + 8]",
        "movsd xmm2, qword ptr [rsp + {floats} + 16]",
        "movsd xmm3, qword ptr [rsp + {floats} + 24]",
        "movsd xmm4, qword ptr [rsp + {floats} + 32]",
        "movsd xmm5, qword ptr [rsp + {floats} + 40]",
        "movsd xmm6, qword ptr [rsp + {floats} + 48]",
        "movsd xmm7, qword ptr [rsp + {floats} + 56]",
        "mov rdi, [rsp + {integers}]",
        "mov rsi, [rsp + {integers} + 8]",
        "mov rdx, [rsp + {integers} + 16]",
        "mov rcx, [rsp + {integers} + 24]",
        "mov r8, [rsp + {integers} + 32]",
        "mov r9, [rsp + {integers} + 40]",
        // Every callee's first argument is the context.
        "mov [rdi + {exit_frame_pointer}], rbp",
        "mov [rdi + {exit_stack_pointer}], rsp",
        "call [rsp + {target}]",
        "mov [rsp + {results}], rax",
        "mov [rsp + {results} + 8], rdx",
        "movsd qword ptr [rsp + {float_result}], xmm0",
        "jmp 2b",
        "3:",
        "mov rax, [rsp + {results}]",
        "mov rdx, [rsp + {results} + 8]",
        "leave",
        "ret",
        "surmise_portable_end:",
        ".popsection",
        frame_size = const FRAME_SIZE,
        window = const WINDOW_HOME as i32 * 8,
        context = const CONTEXT_HOME as i32 * 8,
        argument_count = const ARGUMENT_COUNT_HOME as i32 * 8,
        mark = const MARK_HOME as i32 * 8,
        activation = const ACTIVATION_HOME as i32 * 8,
        portable_step = const offset_of!(Context, portable_step),
        exit_frame_pointer = const offset_of!(Context, exit_frame_pointer),
        exit_stack_pointer = const offset_of!(Context, exit_stack_pointer),
        floats = const offset_of!(CallBlock, floats),
        integers = const offset_of!(CallBlock, integers),
        target = const offset_of!(CallBlock, target),
        results = const offset_of!(CallBlock, results),
        float_result = const offset_of!(CallBlock, float_result),
    );

    unsafe extern "C" {
        safe static surmise_portable_entry: u8;
        safe static surmise_portable_end: u8;
    }

    /// The code, to be copied.
    pub(crate) fn entry_code() -> &'static [u8] {
        let (start, end) = (&raw const surmise_portable_entry, &raw const surmise_portable_end);
        // SAFETY: both are labels in one piece of the program's code, the second behind the first's last instruction. Code can be
        // read.
        unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
    }

    /// Makes a call from Rust: for host functions that nobody looks at the stack from.
    ///
    /// # Safety
    /// The block describes a call of a function as its declaration wants it; the function returns.
    #[unsafe(naked)]
    pub(crate) unsafe extern "C" fn invoke(block: *mut CallBlock) {
        naked_asm!(
            "push rbp",
            "mov rbp, rsp",
            "push rbx",
            "sub rsp, {stack_size} + 8",
            "mov rbx, rdi",
            "mov rsi, rdi",
            "mov rdi, rsp",
            "mov ecx, {stack_words}",
            "rep movsq",
            "movsd xmm0, qword ptr [rbx + {floats}]",
            "movsd xmm1, qword ptr [rbx + {floats} + 8]",
            "movsd xmm2, qword ptr [rbx + {floats} + 16]",
            "movsd xmm3, qword ptr [rbx + {floats} + 24]",
            "movsd xmm4, qword ptr [rbx + {floats} + 32]",
            "movsd xmm5, qword ptr [rbx + {floats} + 40]",
            "movsd xmm6, qword ptr [rbx + {floats} + 48]",
            "movsd xmm7, qword ptr [rbx + {floats} + 56]",
            "mov rdi, [rbx + {integers}]",
            "mov rsi, [rbx + {integers} + 8]",
            "mov rdx, [rbx + {integers} + 16]",
            "mov rcx, [rbx + {integers} + 24]",
            "mov r8, [rbx + {integers} + 32]",
            "mov r9, [rbx + {integers} + 40]",
            "call [rbx + {target}]",
            "mov [rbx + {results}], rax",
            "mov [rbx + {results} + 8], rdx",
            "movsd qword ptr [rbx + {float_result}], xmm0",
            "mov rbx, [rbp - 8]",
            "leave",
            "ret",
            stack_size = const STACK_WORDS * 8,
            stack_words = const STACK_WORDS,
            floats = const offset_of!(CallBlock, floats),
            integers = const offset_of!(CallBlock, integers),
            target = const offset_of!(CallBlock, target),
            results = const offset_of!(CallBlock, results),
            float_result = const offset_of!(CallBlock, float_result),
        )
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) use foreign::*;

/// The same names on targets without native code, where no runloop can be registered.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod foreign {
    use crate::portable::frame::CallBlock;
    use crate::stop::loud_stop;

    pub(crate) fn entry_code() -> &'static [u8] {
        &[]
    }
    pub(crate) unsafe extern "C" fn invoke(_: *mut CallBlock) {
        loud_stop(format_args!("a host function is called by address on a target without native code"))
    }
}
