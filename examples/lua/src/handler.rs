//! Protected calls: `pcall`, `xpcall`, and where an error on its way is caught.
//!
//! `pcall` is a native frame with a continuation: it calls its argument in the same run loop, and when that returns, puts `true` in
//! front of the results. It stands in the list of handlers meanwhile. An error goes to the innermost handler whose frame belongs
//! to the running loop; loops without one return [`Throw`] to whoever started them, which ends in a loop further out.
//!
//! A message handler runs where the error was raised, before any frame is gone.

use crate::interpreter::call::{Continuation, Entered, return_values};
use crate::interpreter::{Next, THROW};
use crate::metamethod::Event;
use crate::stack::{FRAME_CONTINUES, FRAME_HANDLER, FRAME_TO_NATIVE, Frame, Handler, NATIVE_DEPTH};
use crate::state::{Call, FRAMES_CHANGED, State, Throw, Values};
use crate::value::Value;

/// Errors in message handlers, one after another, before nothing more is tried.
const HANDLER_TRIES: u32 = 12;
/// Native depth at which even message handlers don't run any more.
const LAST_NATIVE_DEPTH: u32 = NATIVE_DEPTH + 20;

/// `pcall(f, ...)`.
pub fn pcall(state: &mut State, call: Call) -> Result<u32, Throw> {
    state.check_any(call, 0)?;
    // SAFETY: the function and its arguments are the window already.
    unsafe { protect(state, call, call.base, call.count - 1, false) }
}

/// `xpcall(f, message handler, ...)`: the handler's slot becomes the frame's `base[0]`, the function follows.
pub fn xpcall(state: &mut State, call: Call) -> Result<u32, Throw> {
    state.check_function(call, 1)?;
    // SAFETY: the window has at least two slots.
    unsafe {
        let function = call.base.read();
        call.base.write(call.base.add(1).read());
        call.base.add(1).write(function);
        protect(state, call, call.base.add(1), call.count - 2, true)
    }
}

/// Calls `function` under a handler; the current frame is the native that does it.
unsafe fn protect(
    state: &mut State,
    call: Call,
    function: *mut Value,
    count: u32,
    has_message_handler: bool,
) -> Result<u32, Throw> {
    // SAFETY: the current frame is the caller's own; the callee's window lies inside and above it.
    unsafe {
        let frame = state.runloop.frame;
        let finish: Continuation = succeed;
        (*frame).pc = finish as Next;
        (*frame).flags |= FRAME_CONTINUES | FRAME_HANDLER;
        let to_be_closed = state.runloop.to_be_closed.len() as u32;
        state.runloop.handlers.push(Handler { frame, to_be_closed, has_message_handler });
        // A native that is called right here takes native stack. What is protected counts though it takes none: a program finds the
        // limit where PUC has it.
        let depth = state.runloop.native_depth + state.runloop.handlers.len() as u32;
        if depth >= NATIVE_DEPTH {
            state.native_overflow(depth)?;
        }
        state.runloop.native_depth += 1;
        let entered = state.enter(function, count, FRAME_TO_NATIVE);
        state.runloop.native_depth -= 1;
        match entered {
            Ok(Entered::Frame) => Ok(FRAMES_CHANGED),
            Ok(Entered::Done(results)) => succeed(state, call, function, results),
            // The run loop catches it: this native's frame is the innermost handler's.
            Err(Throw) => Err(Throw),
        }
    }
}

/// The callee has returned: `true` and its results.
fn succeed(state: &mut State, call: Call, results: *mut Value, count: u32) -> Result<u32, Throw> {
    state.runloop.handlers.pop();
    // SAFETY: the results lie at or above `base`, and move to `base`, behind `true`.
    unsafe {
        if results != call.base {
            std::ptr::copy(results, call.base, count as usize);
        }
        call.base.sub(1).write(Value::TRUE);
    }
    Ok(count + 1)
}

impl State {
    /// Lets the innermost handler that belongs to the loop of `entry` catch the error on its way: its frame returns `false` and
    /// the error. The answer is as of [`return_values`].
    ///
    /// # Errors
    /// When there is no such handler.
    ///
    /// # Safety
    /// `entry` must be the first frame of the running loop.
    pub unsafe fn catch(&mut self, entry: *mut Frame) -> Result<Next, Throw> {
        loop {
            self.handle_error();
            let Some(&handler) = self.runloop.handlers.last() else { return Err(Throw) };
            if handler.frame < entry {
                return Err(Throw);
            }
            // SAFETY: the handler's frame is a native one below the current frame.
            unsafe {
                self.runloop.frame = handler.frame;
                self.close_pending(handler.to_be_closed);
                self.runloop.handlers.pop();
                let base = (*handler.frame).base;
                base.sub(1).write(Value::FALSE);
                base.write(self.error_value);
                // What the failed call left in the caller's window must not be kept alive by it.
                let caller = handler.frame.sub(1);
                if !(*caller).prototype.is_null() {
                    let end = (*caller).base.add((*(*caller).prototype).register_count as usize);
                    let mut slot = base.add(1);
                    while slot < end {
                        slot.write(Value::NIL);
                        slot = slot.add(1);
                    }
                }
                self.error_value = Value::NIL;
                match return_values(self, base.sub(1), 2) {
                    THROW => {}
                    next => return Ok(next),
                }
            }
        }
    }

    /// Calls a value from native code that goes on when the call fails; the error's value is the other result. May collect.
    pub fn protected_call(&mut self, function: Value, arguments: &[Value]) -> Result<Values, Value> {
        let frame = self.runloop.frame;
        let keep = self.runloop.to_be_closed.len() as u32;
        match self.call(function, arguments, None) {
            Ok(values) => Ok(values),
            Err(Throw) => {
                self.runloop.frame = frame;
                self.close_pending(keep);
                Err(std::mem::replace(&mut self.error_value, Value::NIL))
            }
        }
    }

    /// Closes the variables above the first `keep`, with the error on its way; an error in doing so replaces it. Returns whether there
    /// was one. The current frame is a native one below them.
    pub fn close_pending(&mut self, keep: u32) -> bool {
        let frame = self.runloop.frame;
        let mut has_failed = false;
        while self.runloop.to_be_closed.len() > keep as usize {
            let Some(slot) = self.runloop.to_be_closed.pop() else { break };
            // SAFETY: the slot still holds the variable: what runs in between runs above it. A closing function that fails leaves
            // its frames, and variables of its own, which are closed next.
            unsafe {
                let top = (*frame).top;
                (*frame).top = slot.add(1);
                let value = slot.read();
                let error = self.error_value;
                let handler = self.metamethod(value, Event::Close);
                // The error is a root only as long as it stands there: the call keeps it as an argument.
                self.runloop.pins.push(error);
                let result = self.call(handler, &[value, error], Some(0));
                let error = self.runloop.pins.pop().unwrap_or(Value::NIL);
                if result.is_ok() {
                    self.error_value = error;
                    self.error_handled = true;
                }
                has_failed |= result.is_err();
                self.runloop.frame = frame;
                (*frame).top = top;
            }
        }
        has_failed
    }

    /// Shows the error on its way to the innermost message handler, once.
    pub fn handle_error(&mut self) {
        if self.error_handled {
            return;
        }
        self.error_handled = true;
        let Some(&handler) = self.runloop.handlers.last() else { return };
        if !handler.has_message_handler {
            return;
        }
        let limit = self.runloop.hard_limit;
        // SAFETY: inside the reserve; the handler's frame is valid.
        unsafe {
            let end = self.compiled_window_end();
            self.runloop.extend(end);
            self.runloop.native_depth += 1;
            self.runloop.barriers += 1;
            let mut tries = 0;
            loop {
                let function = (*handler.frame).base.read();
                let error = self.error_value;
                if self.runloop.native_depth >= LAST_NATIVE_DEPTH || tries == HANDLER_TRIES {
                    self.error_value = self.string_value(b"error in error handling");
                    break;
                }
                // Errors inside are this loop's business, not the message handler's again.
                let handlers = std::mem::take(&mut self.runloop.handlers);
                let frame = self.runloop.frame;
                let result = self.call_one(function, &[error]);
                self.runloop.frame = frame;
                self.runloop.handlers = handlers;
                if let Ok(value) = result {
                    self.error_value = value;
                    break;
                }
                tries += 1;
            }
            self.runloop.native_depth -= 1;
            self.runloop.barriers -= 1;
            self.runloop.hard_limit = limit;
        }
        self.runloop.lower_limit();
        self.runloop.follow_limit();
        self.error_handled = true;
    }

    /// The error of natives nested too deeply; above that a little is left for message handlers.
    #[cold]
    pub fn native_overflow(&mut self, depth: u32) -> Result<(), Throw> {
        if depth == NATIVE_DEPTH {
            return Err(self.runtime_error("C stack overflow"));
        }
        if depth >= LAST_NATIVE_DEPTH {
            let value = self.string_value(b"error in error handling");
            return Err(self.throw_value(value));
        }
        Ok(())
    }
}
