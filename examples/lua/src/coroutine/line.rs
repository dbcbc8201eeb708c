//! A line of execution: what of the state belongs to the coroutine that runs. The state has that of the running one; the others' are
//! in fibers.

use std::mem::swap;

use surmise::deopt::runloop::RunloopGuard;

use super::{Status, of};
use crate::hooks::Hooks;
use crate::heap::RELOAD_ONLY;
use crate::object::Thread;
use crate::stack::{Frame, Runloop};
use crate::state::State;
use crate::value::Value;

/// See the module comment.
pub struct Line {
    /// Value stack, frames, handlers, to-be-closed variables.
    pub runloop: Runloop,
    /// [`State::pins`].
    pub pins: Vec<Value>,
    /// [`State::native_limit`].
    pub native_limit: usize,
    /// The registration, if Surmise is plugged in.
    pub guard: Option<RunloopGuard<State>>,
    /// [`State::hooks`].
    pub hooks: Hooks,
    /// Of the connection.
    pub entered_flags: u32,
    /// Of the connection.
    pub rebuilt: *mut Frame,
}

impl State {
    /// Exchanges the running line of execution with another one.
    #[inline(always)]
    pub(super) fn exchange(&mut self, line: &mut Line) {
        swap(&mut self.runloop, &mut line.runloop);
        if !self.pins.is_empty() || !line.pins.is_empty() {
            swap(&mut self.pins, &mut line.pins);
        }
        swap(&mut self.native_limit, &mut line.native_limit);
        if !self.hooks.function.is_nil() || !line.hooks.function.is_nil() {
            self.exchange_hooks(line);
        }
        if let Some(connection) = &mut self.surmise
            && let Some(guard) = &mut line.guard
        {
            swap(&mut connection.guard, guard);
            swap(&mut connection.entered_flags, &mut line.entered_flags);
            swap(&mut connection.rebuilt, &mut line.rebuilt);
            // Both the last logged instruction and the next one are of one frame, or nothing is known.
            connection.pending.forget();
            // Somebody asked another line for a collection: this one sees it at its next poll.
            if self.heap.requested != 0 {
                connection.guard.request_poll();
            }
        }
    }

    #[cold]
    fn exchange_hooks(&mut self, line: &mut Line) {
        swap(&mut self.hooks, &mut line.hooks);
        self.choose_loop();
        if self.heap.requested == 0 {
            self.heap.requested = RELOAD_ONLY;
        }
    }

    /// Looks at a coroutine's frames, as if its line of execution were the running one. It has none before its first resume and after
    /// its end.
    pub fn with_line_of<R>(
        &mut self,
        thread: *mut Thread,
        look: impl FnOnce(&mut State) -> R,
    ) -> Option<R> {
        if thread == self.coroutines.current {
            return Some(look(self));
        }
        let line = self.line_of(thread)?;
        // SAFETY: the line is in a fiber, which nobody touches while something only looks.
        unsafe {
            self.exchange(&mut *line);
            let result = look(self);
            self.exchange(&mut *line);
            Some(result)
        }
    }

    /// Where the line of execution of a coroutine is that is not the running one.
    fn line_of(&self, thread: *mut Thread) -> Option<*mut Line> {
        // SAFETY: coroutine objects that are reachable are alive, and so are those that wait for the running one.
        unsafe {
            if of(thread).status != Status::Normal {
                return of(thread).fiber.as_mut().map(|fiber| &raw mut fiber.line);
            }
            // It is held by the one that it has resumed.
            let mut holder = self.coroutines.current;
            while of(holder).resumer != thread {
                holder = of(holder).resumer;
            }
            of(holder).fiber.as_mut().map(|fiber| &raw mut fiber.line)
        }
    }
}
