//! The collector as the interpreter runs it: safepoints, finalizers, and what `collectgarbage` may set.
//!
//! Finalizers are guest code. They run at safepoints at which any guest code may run, right after the collection that found their
//! objects dead. Compiled code has others: polls and allocations, of which it knows that they change nothing it sees. There
//! the heap keeps asking ([`FINALIZERS_ONLY`]), and the compiled frame leaves to the interpreter at its next poll.
//!
//! An error in a finalizer is a warning, as in PUC Lua; it never reaches the program that was interrupted.

use crate::heap::{FINALIZERS_ONLY, RELOAD_ONLY};
use crate::metamethod::Event;
use crate::object::LuaString;
use crate::roots::Collection;
use crate::stack::{FRAME_FINALIZER, FRAME_FRESH};
use crate::stale::clear_windows;
use crate::state::{State, Throw};
use crate::value::{Tag, Value};

/// What a program may set about the collector, and where it stands.
#[derive(Debug)]
pub struct Collector {
    /// `collectgarbage("stop")`: nothing is collected unless the program says so.
    pub is_stopped: bool,
    /// Finalizers are running.
    pub is_finalizing: bool,
    /// Whether the mode is called generational. There is one only: it is that.
    pub is_generational: bool,
    /// What `setpause` and `setstepmul` have set. They mean nothing to this collector.
    pub pause: i64,
    /// As `pause`.
    pub step_multiplier: i64,
    /// Bytes of work that steps have paid for since the last full collection.
    pub stepped_bytes: usize,
}

impl Default for Collector {
    fn default() -> Self {
        // The values with which PUC Lua starts.
        Collector {
            is_stopped: false,
            is_finalizing: false,
            is_generational: false,
            pause: 200,
            step_multiplier: 100,
            stepped_bytes: 0,
        }
    }
}

impl State {
    /// Collects if somebody has asked for it. `end` is the end of the live slots. Guest code may run.
    #[inline(always)]
    pub fn safepoint(&mut self, end: *mut Value) -> Result<(), Throw> {
        if self.heap.requested != 0 { self.collect(end) } else { Ok(()) }
    }

    /// Collects, with everything below `end` as roots; clears the stale slots above. Runs finalizers, thus guest code.
    ///
    /// # Errors
    /// "not enough memory", when the guest uses more than it may.
    #[cold]
    #[inline(never)]
    pub fn collect(&mut self, end: *mut Value) -> Result<(), Throw> {
        self.collect_quietly(end)?;
        self.run_finalizers(end);
        Ok(())
    }

    /// [`State::collect`] where no guest code may run: finalizers wait.
    ///
    /// # Errors
    /// As of [`State::collect`].
    #[cold]
    #[inline(never)]
    pub fn collect_quietly(&mut self, end: *mut Value) -> Result<(), Throw> {
        if self.heap.requested == FINALIZERS_ONLY {
            return Ok(());
        }
        if self.collector.is_stopped || self.heap.requested == RELOAD_ONLY {
            self.heap.requested = 0;
            return Ok(());
        }
        self.collect_now(end, Collection::Requested)
    }

    /// Collects in any case, and asks for finalizers to be run if there are some.
    ///
    /// # Errors
    /// As of [`State::collect`].
    pub fn collect_now(&mut self, end: *mut Value, collection: Collection) -> Result<(), Throw> {
        self.runloop.clear_above(end);
        self.runloop.follow_limit();
        if let Some(guard) = &self.runloop.guard {
            // SAFETY: this is a safepoint; nothing has moved yet.
            unsafe { clear_windows(guard, &self.runloop.to_be_closed, 1) };
        }
        let full_count = self.heap.statistics().full_count;
        self.collect_garbage(collection)?;
        if self.heap.finalizers_pending != 0 {
            self.heap.requested = FINALIZERS_ONLY;
        }
        // Compiled code is to leave to the interpreter, and what its windows keep alive is to go before the next full collection.
        if let Some(guard) = &self.runloop.guard
            && (self.heap.requested != 0 || self.heap.statistics().full_count != full_count)
        {
            guard.request_poll();
        }
        Ok(())
    }

    /// Calls the finalizers that are due. They find nothing of theirs below `end`.
    pub fn run_finalizers(&mut self, end: *mut Value) {
        if self.heap.requested == FINALIZERS_ONLY {
            self.heap.requested = 0;
        }
        if self.heap.finalizers_pending == 0 || self.collector.is_finalizing {
            return;
        }
        let at = end.max(self.free_slots());
        if self.check_stack(at, 8, "").is_err() {
            // They are asked for again after the next collection.
            self.error_value = Value::NIL;
            return;
        }
        self.collector.is_finalizing = true;
        self.runloop.barriers += 1;
        // Errors are this function's business, not that of the program's handlers; one on its way waits.
        let handlers = std::mem::take(&mut self.runloop.handlers);
        let error_handled = self.error_handled;
        self.runloop.pins.push(self.error_value);
        while let Some(object) = self.heap.take_finalizable() {
            self.finalize(at, object);
        }
        self.error_value = self.runloop.pins.pop().unwrap_or(Value::NIL);
        self.error_handled = error_handled;
        self.runloop.handlers = handlers;
        self.runloop.barriers -= 1;
        self.collector.is_finalizing = false;
    }

    /// Calls an object's finalizer, laid out at `at`.
    fn finalize(&mut self, at: *mut Value, object: Value) {
        let finalizer = self.metamethod(object, Event::Collect);
        if finalizer.is_nil() {
            return;
        }
        let (frame, open_top) = (self.runloop.frame, self.runloop.open_top);
        let keep = self.runloop.to_be_closed.len() as u32;
        // SAFETY: there is room for the call, and nothing above it is in use.
        let result = unsafe {
            at.write(finalizer);
            at.add(1).write(object);
            self.call_at_as(at, 1, FRAME_FRESH | FRAME_FINALIZER)
        };
        if result.is_err() {
            self.runloop.frame = frame;
            self.close_pending(keep);
            let error = std::mem::replace(&mut self.error_value, Value::NIL);
            let message: &[u8] = if error.is(Tag::String) {
                LuaString::bytes(error.as_string())
            } else {
                b"error object is not a string"
            };
            self.warn(b"error in __gc (", true);
            self.warn(message, true);
            self.warn(b")", false);
        }
        self.runloop.open_top = open_top;
    }

    /// Ends the program's life: all objects with finalizers are finalized.
    pub fn close(&mut self) {
        self.runloop.frame = self.runloop.frames.start;
        self.runloop.handlers.clear();
        self.close_pending(0);
        self.heap.queue_all_finalizers();
        self.run_finalizers(self.runloop.top());
    }
}
