//! Native stacks for coroutines, and switching between them.
//!
//! A stack is one mapping, with pages below and above it that can't be touched. A host can have memory of its own in the same
//! mapping, behind the stack:
//!
//! ```text
//! lower addresses
//! ┌──────────────┬─────────────────────────────────┬──────────────────────┬──────────────┐
//! │ guard page   │   ◀── native stack grows down   │ the host's room      │ guard page   │
//! └──────────────┴─────────────────────────────────┴──────────────────────┴──────────────┘
//!                ▲ bottom                           ▲ top
//! ```
//!
//! A coroutine that does not run is a [`Link`]: three words, as in Cranelift's basic `stack_switch` model. While it runs, the same
//! three words are whoever resumed it: a switch exchanges them with the present.
//!
//! ```text
//!   suspended: link = { stack pointer, frame pointer, resume address } of the coroutine
//!                 │
//!     resume ─────┼──▶ switch(link): pushes what has to be kept, exchanges, jumps
//!                 ▼
//!   running:   link = the same of the one who resumed it          suspend = switch(link) again
//!
//!   native stack of a coroutine that suspended itself:
//!   │ host frames, entry records, compiled frames … │
//!   │ what the function that suspends has to keep   │◀─ link.stack_pointer
//! ```
//!
//! A fresh stack holds nothing but the coroutine's address; its resume address is a trampoline, which calls the body and never
//! returns.
//!
//! What must hold:
//! * a coroutine is resumed on the thread that started it: thread-local variables are the thread's;
//! * what stands on a stack that is given up ([`Coroutine::start`] again, or a drop) is never dropped: a body holds nothing in its
//!   frames, at the points at which it can be suspended, whose loss would be more than a leak;
//! * control flags (direction, rounding) are as the calling convention wants them on both sides; they are not exchanged.
//!
//! Functions of the host that compiled code calls to switch are in [`compiled`].
//!
//! Not here: runloops. A coroutine that runs compiled code has one of its own ([`crate::runloop::Runloop::register`]), with the
//! native limit that [`NativeStack::limit`] says; walks find its frames by the registry, whether it runs or not.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

use crate::stop::loud_stop;

pub mod compiled;

/// How large a stack is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackSize {
    /// Bytes of the native stack. Only what is touched is committed.
    pub native: usize,
    /// Bytes of the host's room behind it.
    pub room: usize,
}

/// Why there is no stack.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StackError {
    /// This target can't switch stacks.
    #[error("coroutines with native stacks are not supported on this target")]
    Unsupported,
    /// The system gives no address space, or no further mapping.
    #[error("no native stack of {bytes} bytes: {reason}")]
    NoMemory {
        /// What was asked for, guard pages included.
        bytes: usize,
        /// What the system says.
        reason: String,
    },
}

/// Granularity of guard pages.
const PAGE: usize = 4096;

/// The mapping of one stack. See the drawing in the module comment.
#[derive(Debug)]
pub struct NativeStack {
    mapping: *mut u8,
    native: usize,
    room: usize,
}

impl NativeStack {
    /// A fresh stack. Sizes are rounded up to pages.
    pub fn map(size: StackSize) -> Result<NativeStack, StackError> {
        if !crate::supported() {
            return Err(StackError::Unsupported);
        }
        let native = size.native.max(PAGE).next_multiple_of(PAGE);
        let room = size.room.next_multiple_of(PAGE);
        let bytes = PAGE + native + room + PAGE;
        let error = || StackError::NoMemory { bytes, reason: std::io::Error::last_os_error().to_string() };
        // SAFETY: a fresh anonymous mapping, whose inner part is made accessible; nothing else knows it.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let mapping = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0);
            if mapping == libc::MAP_FAILED {
                return Err(error());
            }
            let stack = NativeStack { mapping: mapping.cast(), native, room };
            let access = libc::PROT_READ | libc::PROT_WRITE;
            if libc::mprotect(stack.mapping.add(PAGE).cast(), native + room, access) != 0 {
                return Err(error());
            }
            Ok(stack)
        }
    }
    /// The lowest usable address.
    pub fn bottom(&self) -> *mut u8 {
        self.mapping.wrapping_add(PAGE)
    }
    /// Where the native stack starts, and the host's room: its first byte.
    pub fn top(&self) -> *mut u8 {
        self.bottom().wrapping_add(self.native)
    }
    /// What a runloop on this stack has as its native limit, when so many bytes are kept for what runs on top of compiled code.
    pub fn limit(&self, reserve: usize) -> usize {
        self.bottom() as usize + reserve.min(self.native)
    }
    /// Gives memory back to the system: all of the native stack but the `keep` bytes nearest to its top. What stood there is lost.
    ///
    /// # Safety
    /// Nothing below is needed any more.
    pub unsafe fn trim(&mut self, keep: usize) {
        let bytes = self.native.saturating_sub(keep) & !(PAGE - 1);
        // SAFETY: pages of the mapping, whose content is given up (the function's contract).
        unsafe { libc::madvise(self.bottom().cast(), bytes, libc::MADV_DONTNEED) };
    }
}

impl Drop for NativeStack {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this size; who drops it has no frames on it that go on.
        unsafe { libc::munmap(self.mapping.cast(), PAGE + self.native + self.room + PAGE) };
    }
}

/// Where a suspended stack goes on. The layout of Cranelift's basic stack-switch model.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Link {
    stack_pointer: usize,
    frame_pointer: usize,
    resume_address: usize,
}

/// What runs on a stack. The pointers are what [`Coroutine::start`] and the first [`Coroutine::resume`] were given.
pub type Body = unsafe fn(data: *mut u8, message: *mut u8);

/// What a coroutine is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It has no body, or its body has ended.
    Idle,
    /// It waits to be resumed: it was started, or has suspended itself.
    Suspended,
    /// It runs, or has resumed another one that does.
    Running,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Idle => "idle",
            Status::Suspended => "suspended",
            Status::Running => "running",
        })
    }
}

/// The right to resume a coroutine once, from one suspension. A copy that is used later is stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle {
    coroutine: u64,
    revision: u64,
}

/// Why a coroutine is not resumed, or not started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ResumeError {
    /// The handle is of an earlier suspension.
    #[error("a stale coroutine handle: its revision is {handle}, the coroutine's is {coroutine}")]
    Stale {
        /// The handle's revision.
        handle: u64,
        /// The coroutine's.
        coroutine: u64,
    },
    /// The handle is another coroutine's.
    #[error("the handle is of coroutine {handle}, this is coroutine {coroutine}")]
    OfAnother {
        /// The handle's coroutine.
        handle: u64,
        /// This one.
        coroutine: u64,
    },
    /// There is nothing to resume, or nothing may be started.
    #[error("the coroutine is {0}")]
    Wrong(Status),
}

/// How a resumed coroutine came back.
#[derive(Debug)]
pub enum Progress {
    /// It has suspended itself.
    Suspended(Handle),
    /// Its body has ended.
    Finished,
    /// Its body panicked.
    Panicked(Box<dyn Any + Send>),
}

/// A native stack with what runs on it. It stays at its address from `start` to the end of its body.
#[derive(Debug)]
pub struct Coroutine {
    link: Link,
    stack: NativeStack,
    number: u64,
    revision: u64,
    status: Status,
    body: Body,
    data: *mut u8,
    panic: Option<Box<dyn Any + Send>>,
}

unsafe fn no_body(_: *mut u8, _: *mut u8) {}

impl Coroutine {
    /// An idle coroutine on a stack.
    pub fn new(stack: NativeStack) -> Coroutine {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        Coroutine {
            link: Link { stack_pointer: 0, frame_pointer: 0, resume_address: 0 },
            stack,
            // Relaxed: only the number itself matters.
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            revision: 0,
            status: Status::Idle,
            body: no_body,
            data: std::ptr::null_mut(),
            panic: None,
        }
    }
    /// Its stack.
    pub fn stack(&self) -> &NativeStack {
        &self.stack
    }
    /// Its stack, to be trimmed while it is idle.
    pub fn stack_mut(&mut self) -> &mut NativeStack {
        &mut self.stack
    }
    /// What it is doing.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Gives it a body, which runs from the first resume on. What a suspended one had on its stack is given up.
    ///
    /// # Safety
    /// * The coroutine stays at its address until its body has ended or it is given another one or dropped;
    /// * of a body that is given up, nothing on the stack is needed any more, and a runloop whose frames are there was abandoned
    ///   ([`crate::runloop::Runloop::abandon`]);
    /// * the body may be called with `data`.
    pub unsafe fn start(this: *mut Coroutine, body: Body, data: *mut u8) -> Result<Handle, ResumeError> {
        // SAFETY: the coroutine is alive, and nobody else uses it: if it ran, that would be found here.
        let coroutine = unsafe { &mut *this };
        if coroutine.status == Status::Running {
            return Err(ResumeError::Wrong(coroutine.status));
        }
        let stack_pointer = coroutine.stack.top().wrapping_sub(16);
        // SAFETY: the highest words of the native stack, which is not in use.
        unsafe { stack_pointer.cast::<*mut Coroutine>().write(this) };
        coroutine.link = Link {
            stack_pointer: stack_pointer as usize,
            frame_pointer: 0,
            resume_address: trampoline as *const u8 as usize,
        };
        coroutine.body = body;
        coroutine.data = data;
        coroutine.revision += 1;
        coroutine.status = Status::Suspended;
        Ok(Handle { coroutine: coroutine.number, revision: coroutine.revision })
    }

    /// Runs the coroutine until it suspends itself or ends. `message` is given to its body, or is what [`Coroutine::suspend`] returns.
    ///
    /// Passing whatever both sides change by reference as the message keeps the compiler from assuming that it does not change.
    ///
    /// # Safety
    /// This is the thread on which it was started, and the coroutine is alive.
    #[inline(always)]
    pub unsafe fn resume(
        this: *mut Coroutine,
        handle: Handle,
        message: *mut u8,
    ) -> Result<Progress, ResumeError> {
        // SAFETY: handed on; the link is a suspended stack's.
        unsafe {
            let link = Coroutine::depart(this, handle)?;
            switch(link, message);
            Ok(Coroutine::progress(this))
        }
    }

    /// The first half of [`Coroutine::resume`]: the coroutine runs. Who asks has to go on at the link, with [`switch`] or from compiled
    /// code ([`compiled`]), before anything else is asked of the coroutine.
    ///
    /// # Safety
    /// As for [`Coroutine::resume`].
    #[inline(always)]
    pub unsafe fn depart(this: *mut Coroutine, handle: Handle) -> Result<*mut Link, ResumeError> {
        // SAFETY: the coroutine is alive. It is used by way of the raw pointer: its body has it as well.
        unsafe {
            if (*this).number != handle.coroutine {
                return Err(ResumeError::OfAnother { handle: handle.coroutine, coroutine: (*this).number });
            }
            if (*this).revision != handle.revision {
                return Err(ResumeError::Stale { handle: handle.revision, coroutine: (*this).revision });
            }
            if (*this).status != Status::Suspended {
                return Err(ResumeError::Wrong((*this).status));
            }
            (*this).revision += 1;
            (*this).status = Status::Running;
            Ok(&raw mut (*this).link)
        }
    }

    /// The second half of [`Coroutine::resume`]: how the coroutine came back.
    ///
    /// # Safety
    /// As for [`Coroutine::resume`], behind the switch.
    #[inline(always)]
    pub unsafe fn progress(this: *mut Coroutine) -> Progress {
        // SAFETY: as in `depart`.
        unsafe {
            match (*this).status {
                Status::Suspended => {
                    Progress::Suspended(Handle { coroutine: (*this).number, revision: (*this).revision })
                }
                _ => match (*this).panic.take() {
                    None => Progress::Finished,
                    Some(payload) => Progress::Panicked(payload),
                },
            }
        }
    }

    /// Suspends the coroutine that runs; returns the message of who resumes it. `message` is only shown to the compiler, see
    /// [`Coroutine::resume`].
    ///
    /// # Safety
    /// Called on the coroutine's own stack, by code that is allowed to be given up here.
    #[inline(always)]
    pub unsafe fn suspend(this: *mut Coroutine, message: *mut u8) -> *mut u8 {
        // SAFETY: handed on; the link is the stack of who resumed it.
        unsafe {
            let (_, link) = Coroutine::park(this);
            switch(link, message)
        }
    }

    /// The first half of [`Coroutine::suspend`]: the coroutine is suspended, and can be resumed by the handle. Who asks has to go on
    /// at the link, with [`switch`] or from compiled code ([`compiled`]), before anything else is asked of the coroutine.
    ///
    /// # Safety
    /// As for [`Coroutine::suspend`].
    #[inline(always)]
    pub unsafe fn park(this: *mut Coroutine) -> (Handle, *mut Link) {
        // SAFETY: it runs, so its link is the stack of who resumed it.
        unsafe {
            if (*this).status != Status::Running {
                loud_stop(format_args!(
                    "coroutine {} suspends itself but is {}",
                    (*this).number,
                    (*this).status
                ));
            }
            (*this).status = Status::Suspended;
            (Handle { coroutine: (*this).number, revision: (*this).revision }, &raw mut (*this).link)
        }
    }
}

/// What the trampoline calls on a fresh stack.
///
/// # Safety
/// Called by the trampoline alone.
unsafe extern "C" fn run(this: *mut Coroutine, message: *mut u8) -> ! {
    // SAFETY: `start` was given a body that may be called with its data; the coroutine is at its address until that has ended.
    unsafe {
        let (body, data) = ((*this).body, (*this).data);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(data, message))) {
            (*this).panic = Some(payload);
        }
        (*this).status = Status::Idle;
        // A message, so that compiled code asks what has become of its call.
        switch(&raw mut (*this).link, this.cast());
    }
    loud_stop(format_args!("a coroutine goes on whose body has ended"))
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use native::switch;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use native::trampoline;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod native {
    use super::{Link, run};
    use core::arch::{asm, naked_asm};
    use std::mem::offset_of;

    /// Goes on at the link, which becomes the present. Returns the message of whoever comes back, which may be compiled code.
    ///
    /// It is part of whoever calls it, however deep: the processor expects each return to go where the last call came from, and behind a
    /// switch it is wrong about every one.
    ///
    /// # Safety
    /// The link is of a suspended stack of this thread, and both stacks are still there.
    #[inline(always)]
    pub unsafe fn switch(link: *mut Link, message: *mut u8) -> *mut u8 {
        let answer;
        // SAFETY: the other side comes back to the label, with the stack and frame pointers of here: what a function has to keep was
        // pushed, or is said to be changed, and is back then.
        unsafe {
            asm!(
                "push rbx",
                "push rbp",
                "lea rax, [rip + 2f]",
                "mov rcx, [rdi + {resume_address}]",
                "mov rdx, [rdi + {stack_pointer}]",
                "mov r8, [rdi + {frame_pointer}]",
                "mov [rdi + {stack_pointer}], rsp",
                "mov [rdi + {frame_pointer}], rbp",
                "mov [rdi + {resume_address}], rax",
                "mov rsp, rdx",
                "mov rbp, r8",
                // The message, where the model has it.
                "mov rdi, rsi",
                "jmp rcx",
                "2:",
                "pop rbp",
                "pop rbx",
                stack_pointer = const offset_of!(Link, stack_pointer),
                frame_pointer = const offset_of!(Link, frame_pointer),
                resume_address = const offset_of!(Link, resume_address),
                inout("rdi") link => answer,
                inout("rsi") message => _,
                out("r12") _,
                out("r13") _,
                out("r14") _,
                out("r15") _,
                clobber_abi("sysv64"),
            );
        }
        answer
    }

    /// Where a fresh stack starts: its highest word but one is the coroutine's address, and the stack is aligned.
    ///
    /// # Safety
    /// Only `switch` goes here.
    #[unsafe(naked)]
    pub unsafe extern "C" fn trampoline() {
        naked_asm!(
            "mov rsi, rdi",
            "mov rdi, [rsp]",
            "call {run}",
            "ud2",
            run = sym run,
        )
    }
}

/// No stack can be made on these targets, so nothing here is reached.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
#[allow(missing_docs, clippy::missing_safety_doc)]
pub unsafe fn switch(_: *mut Link, _: *mut u8) -> *mut u8 {
    loud_stop(format_args!("stacks are switched on a target where that is not supported"))
}
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
unsafe fn trampoline() {
    let _ = run;
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests;
