//! Fibers: the stacks of coroutines, native and guest in one mapping, and the pool of those that are used again.
//!
//! ```text
//! │ guard │ ◀── native stack │ value slots ──▶ │ frame records ──▶ │ guard │
//! ```
//!
//! All of it is reserved address space, committed on first touch. A coroutine may use as many value slots as a program outside.

use std::cell::{Cell, RefCell};

use surmise::deopt::stacks::{Coroutine as Stack, Handle, NativeStack, StackError, StackSize};

use super::line::{Line, Wait};
use crate::stack::Runloop;
use crate::state::{State, Throw};

/// Bytes of a native stack: compiled frames of a recursion that fills a third of the value slots. What does not fit is interpreted,
/// which needs none.
const NATIVE_BYTES: usize = 64 << 20;
/// Bytes of it that are left to what runs on top of compiled code: 200 nested natives.
const NATIVE_RESERVE: usize = 24 << 20;
/// Bytes of native stack that a fiber keeps for its next coroutine after one that used many value slots.
const KEPT_NATIVE_BYTES: usize = 64 << 10;
/// How many fibers are kept for later coroutines: some megabytes.
const KEPT_FIBERS: usize = 256;
/// Fibers in use before unreachable coroutines are looked for the first time.
const FIRST_THRESHOLD: usize = 512;

/// The stacks of one coroutine.
pub struct Fiber {
    /// Its native stack and where it goes on.
    pub stack: Stack,
    /// With which it can be resumed, while it is suspended.
    pub handle: Option<Handle>,
    /// Its line of execution.
    pub line: Line,
    /// The state that it is of.
    pub state: *mut State,
    /// How many values were passed by the last resume.
    pub passed: u32,
    /// How its body has ended: so many results are on its value stack, or there is an error on its way.
    pub ended: Option<Result<u32, Throw>>,
    /// As of which collection the unused part of its value stack holds no pointers that have become invalid.
    clean_at: u64,
}

impl State {
    /// New stacks.
    pub(super) fn make_fiber(&mut self) -> Result<Box<Fiber>, StackError> {
        let stack = NativeStack::map(StackSize { native: NATIVE_BYTES, room: Runloop::room() })?;
        let native_limit = stack.limit(NATIVE_RESERVE);
        // SAFETY: the room is fresh, as large as a runloop's, and lives as long as the fiber.
        let runloop = unsafe { Runloop::within(stack.top()) };
        let mut fiber = Box::new(Fiber {
            stack: Stack::new(stack),
            handle: None,
            line: Line::new(runloop, native_limit),
            state: self,
            passed: 0,
            ended: None,
            clean_at: 0,
        });
        fiber.line.fiber = &raw mut *fiber;
        Ok(fiber)
    }
}

impl Fiber {
    /// Nothing on the native stack runs again, and no frame is left but the first. What is to be closed stays pending.
    pub fn give_up_native_stack(&mut self) {
        if let Some(guard) = &self.line.guard {
            // SAFETY: the coroutine is not running: its frames are on a stack that nobody is on.
            unsafe { guard.abandon() };
        }
        self.line.runloop.give_up_frames();
        self.line.wait = Wait::InRust;
        self.line.pins.clear();
        if !self.line.hooks.function.is_nil() {
            self.line.hooks = Default::default();
        }
        self.ended = None;
        self.handle = None;
    }
}

impl Drop for Fiber {
    fn drop(&mut self) {
        // A registration must not end with frames on its stack.
        self.give_up_native_stack();
    }
}

/// Fibers that wait for a coroutine, and how many do not.
pub struct Pool {
    #[expect(clippy::vec_box, reason = "fibers know themselves by their addresses")]
    free: RefCell<Vec<Box<Fiber>>>,
    used: Cell<usize>,
    threshold: Cell<usize>,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            free: RefCell::default(),
            used: Cell::new(0),
            threshold: Cell::new(FIRST_THRESHOLD),
        }
    }
}

impl Pool {
    /// One that was used before, after so many collections.
    #[inline]
    pub fn take(&self, collections: u64) -> Option<Box<Fiber>> {
        let mut fiber = self.free.borrow_mut().pop()?;
        self.used.set(self.used.get() + 1);
        if fiber.clean_at != collections {
            fiber.clean_at = collections;
            let end = fiber.line.runloop.top();
            fiber.line.runloop.clear_sparsely(end);
        }
        Some(fiber)
    }
    /// One was made.
    pub fn count_new(&self) {
        self.used.set(self.used.get() + 1);
    }
    /// Gives one back, whatever is on its stacks, which is valid as of so many collections.
    pub fn put(&self, mut fiber: Box<Fiber>, collections: u64) {
        self.used.set(self.used.get().saturating_sub(1));
        fiber.give_up_native_stack();
        fiber.line.runloop.to_be_closed.clear();
        let mut free = self.free.borrow_mut();
        if free.len() >= KEPT_FIBERS {
            return;
        }
        if fiber.line.runloop.has_grown() {
            // SAFETY: nothing is left on the stack.
            unsafe { fiber.stack.stack_mut().trim(KEPT_NATIVE_BYTES) };
            fiber.line.runloop.trim();
        }
        fiber.clean_at = collections;
        free.push(fiber);
    }
    /// Whether so many are in use that some may be unreachable.
    pub fn is_crowded(&self) -> bool {
        self.used.get() >= self.threshold.get()
    }
    /// After a full collection: those that are in use now are reachable.
    pub fn set_threshold(&self) {
        self.threshold.set((self.used.get() * 2).max(FIRST_THRESHOLD));
    }
}
