//! The memory of one runloop: value slots, frame records, handlers and to-be-closed variables.
//!
//! ```text
//! values   | ... | function | R0 R1 .. Rn |              | function | arguments |   ...        | reserve | guard |
//!                  ^ base[-1]  ^ base (a Lua frame)         ^ base[-1]  ^ base (a native's frame)   ^ limit
//! ```
//!
//! Both stacks are reserved address space that is committed on first touch, so a slot and a frame never move: windows are plain
//! pointers. A callee's function slot always lies above its caller's, so there are never more frames than slots and only the
//! slots are checked for overflow. Slots above the live window hold stale but valid values (see the collector).
//!
//! A variadic function's frame stands above its actual arguments: `function, actual arguments, function again, R0..`.

use crate::bytecode::{Instruction, Prototype};
use crate::value::Value;

/// Slots that a program may use, as in PUC's `LUAI_MAXSTACK`.
pub const STACK_SLOTS: usize = 1_000_000;
/// Slots above the limit: room for an error handler after an overflow, for a native's own results, and for metamethod calls
/// above the topmost window. A window check is only made against the limit.
pub const RESERVE_SLOTS: usize = 8_192;
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
/// The frame calls a finalizer or a closing metamethod (for names in tracebacks).
pub const FRAME_CLOSE: u32 = 64;

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
    /// Native depth to go back to.
    pub native_depth: u32,
    /// Whether there is a message handler (at the frame's `base[-1]`).
    pub has_message_handler: bool,
}

/// Everything that belongs to one line of execution; a coroutine has one of its own.
#[repr(C)]
pub struct Runloop {
    /// The current frame.
    pub frame: *mut Frame,
    /// No window may end above this.
    pub limit: *mut Value,
    /// End of the last open list of values (call results, varargs).
    pub open_top: *mut Value,
    /// How many native activations of the run loop and native functions are nested.
    pub native_depth: u32,
    /// The reserved slots.
    pub slots: Reserve<Value>,
    /// The reserved frames.
    pub frames: Reserve<Frame>,
    /// Everything at and above this slot is nil: the collector cleared it, and nothing above was in use since.
    pub high_water: *mut Value,
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
                limit: slots.start.add(STACK_SLOTS),
                open_top: base,
                native_depth: 0,
                high_water: base,
                slots,
                frames,
                handlers: Vec::new(),
                to_be_closed: Vec::new(),
            }
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
