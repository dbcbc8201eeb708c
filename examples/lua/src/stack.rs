//! The memory of one runloop: value slots, frame records, handlers and to-be-closed variables.
//!
//! ```text
//! values   | ... | function | R0 R1 .. Rn |              | function | arguments |   ...        | reserve | guard |
//!                  ^ base[-1]  ^ base (a Lua frame)         ^ base[-1]  ^ base (a native's frame)   ^ limit
//! ```
//!
//! Both stacks are reserved address space that is committed on first touch, so a slot and a frame never move: windows are plain
//! pointers. A callee's function slot always lies above its caller's, so there are never more frames than slots and only the
//! slots are checked for overflow.
//!
//! Slots above the live window hold stale values, which must be valid when a later window contains them: a collection sets
//! everything from the end of the live slots on to nil. It knows where to stop since `limit` is a soft one: nothing is ever written
//! `SLACK_SLOTS` above it. A window that does not fit moves it up, a collection moves it down again.
//!
//! A variadic function's frame stands above its actual arguments: `function, actual arguments, function again, R0..`.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

use crate::bytecode::{Instruction, Prototype};
use crate::value::Value;

/// Slots that a program may use, as in PUC's `LUAI_MAXSTACK`.
pub const STACK_SLOTS: usize = 1_000_000;
/// Slots above the hard limit: the slack, and room for an error handler after an overflow.
pub const RESERVE_SLOTS: usize = 8_192;
/// Of those, what an error handler may use.
pub const HANDLER_SLOTS: usize = 4_096;
/// Slots that may be written above the limit without asking: a native's own results, the arguments of a metamethod.
pub const SLACK_SLOTS: usize = 512;
/// How far the soft limit is moved at once: small enough to be cleared at every minor collection, large enough for moves to be rare.
pub const LIMIT_STEP: usize = 1_024;
/// Slots that a native function may write above its arguments without asking (`LUA_MINSTACK` is 20).
pub const NATIVE_SLOTS: usize = 40;
/// Nested native calls, as in PUC's `LUAI_MAXCCALLS`.
pub const NATIVE_DEPTH: u32 = 200;

/// The frame is a native function's.
pub const FRAME_NATIVE: u32 = 1;
/// The run loop that runs this frame returns to Rust when the frame returns.
pub const FRAME_FRESH: u32 = 2;
/// The frame's first result completes the instruction before the caller's pc (a metamethod's frame).
pub const FRAME_FINISH: u32 = 4;
/// The frame replaced its caller (for tracebacks).
pub const FRAME_TAIL: u32 = 8;
/// A native frame with a [`Handler`].
pub const FRAME_HANDLER: u32 = 16;
/// A native frame that goes on with `continuation` when its callee returns.
pub const FRAME_CONTINUES: u32 = 32;
/// The frame is in an open `Return` that closes variables; the end of its values is in `top`.
pub const FRAME_CLOSING: u32 = 256;
/// The frame returns to the continuation of the native frame below it.
pub const FRAME_TO_NATIVE: u32 = 128;
/// The frame is a finalizer's (for names in tracebacks).
pub const FRAME_FINALIZER: u32 = 64;
/// The frame is a hook's (for names in tracebacks).
pub const FRAME_HOOK: u32 = 512;

/// One activation of a Lua or native function.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Frame {
    /// Lua: the next instruction, as of the last time it was saved. Native: the continuation (`FRAME_CONTINUES`).
    pub pc: *const Instruction,
    /// R0, or the first argument. The function is at `base[-1]`.
    pub base: *mut Value,
    /// Lua: the function. Null for native frames.
    pub prototype: *mut Prototype,
    /// `FRAME_*`.
    pub flags: u32,
    /// How many slots the base was moved up for varargs: actual arguments + 1, or 0.
    pub shift: u32,
    /// Native: end of the slots in use. Lua: end of the values of an open return that closes variables.
    pub top: *mut Value,
}

/// A `pcall` or `xpcall` that is active.
#[derive(Clone, Copy)]
pub struct Handler {
    /// Its native frame.
    pub frame: *mut Frame,
    /// How many to-be-closed variables there were.
    pub to_be_closed: u32,
    /// Whether there is a message handler (at the frame's `base[-1]`).
    pub has_message_handler: bool,
}

/// Everything that belongs to one line of execution; a coroutine has one of its own.
#[repr(C)]
pub struct Runloop {
    /// The current frame.
    pub frame: *mut Frame,
    /// No window may end above this without moving it ([`Runloop::raise_limit`]).
    pub limit: *mut Value,
    /// End of the last open list of values (call results, varargs).
    pub open_top: *mut Value,
    /// How many native activations of the run loop and native functions are nested.
    pub native_depth: u32,
    /// The reserved slots.
    pub slots: Reserve<Value>,
    /// The reserved frames.
    pub frames: Reserve<Frame>,
    /// Where `limit` must stop.
    pub hard_limit: *mut Value,
    /// End of the live slots, as the collection that is going on was told.
    pub live_end: *mut Value,
    /// Active protected calls, innermost last.
    pub handlers: Vec<Handler>,
    /// Slots of the pending to-be-closed variables, innermost last.
    pub to_be_closed: Vec<*mut Value>,
}

impl Runloop {
    /// An empty runloop whose first frame is a native one without function.
    pub fn new() -> Runloop {
        let slots = Reserve::<Value>::new(STACK_SLOTS + RESERVE_SLOTS);
        let frames = Reserve::<Frame>::new(STACK_SLOTS + RESERVE_SLOTS);
        let frame = frames.start;
        // SAFETY: the reserves were just made and are larger than what is written; zeroed slots are nils.
        unsafe {
            let base = slots.start.add(1);
            frame.write(Frame {
                pc: std::ptr::null(),
                base,
                prototype: std::ptr::null_mut(),
                flags: FRAME_NATIVE | FRAME_FRESH,
                shift: 0,
                top: base,
            });
            Runloop {
                frame,
                limit: base.add(LIMIT_STEP),
                hard_limit: slots.start.add(STACK_SLOTS),
                live_end: base,
                open_top: base,
                native_depth: 0,
                slots,
                frames,
                handlers: Vec::new(),
                to_be_closed: Vec::new(),
            }
        }
    }

    /// Makes room for a window that ends at `end`; false when the stack is full.
    #[cold]
    #[inline(never)]
    pub fn raise_limit(&mut self, end: *mut Value) -> bool {
        if end > self.hard_limit {
            return false;
        }
        // SAFETY: the limits are inside the reserve.
        self.limit = unsafe { end.max(self.limit).add(LIMIT_STEP) }.min(self.hard_limit.max(self.limit));
        true
    }

    /// Sets every slot from `end` on to nil, and lowers the limit.
    pub fn clear_above(&mut self, end: *mut Value) {
        self.live_end = end;
        // SAFETY: both ends are inside the reserve; nothing was written above the slack.
        unsafe {
            let last = self.limit.add(SLACK_SLOTS);
            if end < last {
                std::ptr::write_bytes(end, 0, last.offset_from(end) as usize);
            }
            self.limit = end.add(LIMIT_STEP).min(self.limit);
        }
    }

    /// End of the slots that the current frame may use: everything from here on is free.
    #[inline]
    pub fn top(&self) -> *mut Value {
        // SAFETY: the current frame is always valid, and its prototype is while it runs.
        unsafe {
            let frame = &*self.frame;
            if frame.prototype.is_null() {
                frame.top
            } else {
                frame.base.add((*frame.prototype).register_count as usize)
            }
        }
    }
}

impl Default for Runloop {
    fn default() -> Self {
        Self::new()
    }
}

/// Address space for `T`s, zeroed and committed on first touch.
pub struct Reserve<T> {
    /// The first one.
    pub start: *mut T,
    bytes: usize,
}

impl<T> Reserve<T> {
    /// Reserves room for `count` and a guard page behind it.
    pub fn new(count: usize) -> Reserve<T> {
        const PAGE: usize = 4096;
        let body = (count * size_of::<T>()).next_multiple_of(PAGE);
        let bytes = body + PAGE;
        // SAFETY: a fresh anonymous mapping; the last page is made inaccessible.
        unsafe {
            let start = libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            );
            assert!(start != libc::MAP_FAILED, "address space for a Lua stack must be available");
            libc::mprotect(start.cast::<u8>().add(body).cast(), PAGE, libc::PROT_NONE);
            Reserve { start: start.cast(), bytes }
        }
    }
}

impl<T> Drop for Reserve<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size.
        unsafe {
            libc::munmap(self.start.cast(), self.bytes);
        }
    }
}
