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
/// (Natives) What the frame calls may yield: the function can go on, and has nothing to drop meanwhile.
pub const FRAME_YIELDABLE: u32 = 1024;
/// The frame is a hook's (for names in tracebacks).
pub const FRAME_HOOK: u32 = 512;
/// The frame that this one returns to is loaded anew: another run loop may have to go on with it.
pub const FRAME_RELOADS: u32 = 2048;

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

/// The stacks of one line of execution; a coroutine has its own.
pub struct Runloop {
    /// The current frame.
    pub frame: *mut Frame,
    /// No window may end above this without moving it ([`Runloop::raise_limit`]).
    pub limit: *mut Value,
    /// End of the last open list of values (call results, varargs).
    pub open_top: *mut Value,
    /// How many native activations of the run loop and native functions are nested.
    pub native_depth: u32,
    /// How many of those are natives that can't go on after a yield of what they called.
    pub barriers: u32,
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
        // SAFETY: the reserves were just made.
        unsafe { Runloop::on(slots, frames) }
    }

    /// Bytes that a runloop needs which lies in memory of somebody else.
    pub fn room() -> usize {
        (STACK_SLOTS + RESERVE_SLOTS) * (size_of::<Value>() + size_of::<Frame>())
    }

    /// An empty runloop in memory of somebody else.
    ///
    /// # Safety
    /// [`Runloop::room`] bytes of zeros start there, which nobody else uses, and which live longer than the runloop.
    pub unsafe fn within(room: *mut u8) -> Runloop {
        let slots: *mut Value = room.cast();
        let frames = slots.wrapping_add(STACK_SLOTS + RESERVE_SLOTS).cast();
        // SAFETY: handed on.
        unsafe { Runloop::on(Reserve { start: slots, bytes: 0 }, Reserve { start: frames, bytes: 0 }) }
    }

    /// # Safety
    /// The reserves are zeros, and have room for all slots and frames.
    unsafe fn on(slots: Reserve<Value>, frames: Reserve<Frame>) -> Runloop {
        let frame = frames.start;
        // SAFETY: the reserves are larger than what is written; zeroed slots are nils.
        unsafe {
            let base = slots.start.add(1);
            frame.write(Frame {
                pc: std::ptr::null(),
                base,
                prototype: std::ptr::null_mut(),
                flags: FRAME_NATIVE | FRAME_FRESH | FRAME_YIELDABLE,
                shift: 0,
                top: base,
            });
            Runloop {
                frame,
                limit: base.add(LIMIT_STEP),
                open_top: base,
                native_depth: 0,
                barriers: 0,
                hard_limit: slots.start.add(STACK_SLOTS),
                live_end: base,
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

    /// Whether a message handler may use what no program may: the stack was full before.
    pub fn is_extended(&self) -> bool {
        self.hard_limit > self.slots.start.wrapping_add(STACK_SLOTS)
    }

    /// Lets a message handler run when the stack, which is in use up to `end`, is full.
    pub fn extend(&mut self, end: *mut Value) {
        if end > self.slots.start.wrapping_add(STACK_SLOTS - HANDLER_SLOTS) {
            self.hard_limit = self.slots.start.wrapping_add(STACK_SLOTS + HANDLER_SLOTS);
        }
    }

    /// After the hard limit was lowered: the other one may be above it, and what is there is nobody's.
    pub fn lower_limit(&mut self) {
        let end = self.hard_limit.max(self.top());
        if self.limit > end {
            // SAFETY: both ends are inside the reserve; nothing was written above the slack.
            unsafe {
                let last = self.limit.add(SLACK_SLOTS);
                std::ptr::write_bytes(end, 0, last.offset_from(end) as usize);
            }
            self.limit = end;
        }
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

    /// Sets every slot from `end` on to nil, and lowers the limit, without touching memory that holds nothing: for stacks of which there
    /// are many.
    pub fn clear_sparsely(&mut self, end: *mut Value) {
        self.live_end = end;
        // SAFETY: both ends are inside the reserve; nothing was written above the slack.
        unsafe {
            let last = self.limit.add(SLACK_SLOTS);
            let mut start = end;
            while start < last {
                let count = CLEARED_AT_ONCE.min(last.offset_from(start) as usize);
                let is_used = std::slice::from_raw_parts(start.cast::<u64>(), count * 2)
                    .iter()
                    .fold(0, |all, word| all | word);
                if is_used != 0 {
                    std::ptr::write_bytes(start, 0, count);
                }
                start = start.add(count);
            }
            self.limit = end.add(LIMIT_STEP).min(self.limit);
        }
    }

    /// Gives up all frames but the first, with their handlers. What is to be closed stays pending.
    pub fn give_up_frames(&mut self) {
        self.frame = self.frames.start;
        self.handlers.clear();
        self.native_depth = 0;
        self.barriers = 0;
        self.open_top = self.top();
    }

    /// Whether so much of it was used that its memory is worth giving back.
    pub fn has_grown(&self) -> bool {
        self.limit > self.slots.start.wrapping_add(1 + 2 * LIMIT_STEP)
    }

    /// Gives the memory of all slots and frames back but what a fresh runloop uses. There is only the first frame.
    pub fn trim(&mut self) {
        self.slots.trim();
        self.frames.trim();
        self.limit = self.top().wrapping_add(LIMIT_STEP);
    }

    /// Makes room for `count` values at a slot of the current native's window; false when the stack is full.
    #[inline]
    pub fn has_room(&mut self, slot: *mut Value, count: usize) -> bool {
        if count <= NATIVE_SLOTS {
            return true;
        }
        let end = slot.wrapping_add(count.min(2 * STACK_SLOTS));
        end <= self.limit || self.raise_limit(end)
    }

    /// The slot where the results of the current, native frame belong.
    #[inline]
    pub fn results_of_native(&self) -> *mut Value {
        // SAFETY: the current frame is valid.
        unsafe { (*self.frame).base.wrapping_sub(1) }
    }

    /// The arguments of the current, native frame, and their number; it has none any more.
    #[inline]
    pub fn take_arguments_of_native(&mut self) -> (*mut Value, u32) {
        // SAFETY: the current frame is valid, and its arguments are below its end.
        unsafe {
            let frame = &mut *self.frame;
            let count = frame.top.offset_from(frame.base) as u32;
            frame.top = frame.base;
            (frame.base, count)
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

/// Slots that are looked at together before they are cleared: a page.
const CLEARED_AT_ONCE: usize = 4096 / size_of::<Value>();

/// Address space for `T`s, zeroed and committed on first touch.
pub struct Reserve<T> {
    /// The first one.
    pub start: *mut T,
    /// Of the mapping; 0 in memory of somebody else.
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

impl<T> Reserve<T> {
    /// Gives the memory back, but for the part that is used by everybody: all is zero there.
    fn trim(&mut self) {
        const KEPT: usize = 32 << 10;
        let start = (self.start as usize + KEPT).next_multiple_of(4096);
        let end = (self.start as usize + (STACK_SLOTS + RESERVE_SLOTS) * size_of::<T>()) & !4095;
        // SAFETY: pages of this reserve alone, with nothing on them that is needed.
        unsafe { libc::madvise(start as *mut _, end - start, libc::MADV_DONTNEED) };
    }
}

impl<T> Drop for Reserve<T> {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        // SAFETY: mapped by `new` with this size.
        unsafe {
            libc::munmap(self.start.cast(), self.bytes);
        }
    }
}
