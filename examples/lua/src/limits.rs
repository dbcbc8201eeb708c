//! What an embedder may set so that programs nobody has read do no harm: a limit of steps, output that is kept instead of written, and
//! libraries without the outside world. The limit of memory is a setting of the heap.

use crate::heap::RELOAD_ONLY;
use crate::interpreter::Next;
use crate::lib;
use crate::state::{State, Throw};
use crate::value::Value;

/// Functions of the basic library and of `debug` that read files or standard input.
const OUTSIDE: &[(&str, &str)] = &[("_G", "dofile"), ("_G", "loadfile"), ("debug", "debug")];

/// What is less than this is found by the next collection.
const LARGE: usize = 1 << 16;

impl State {
    /// From now on the program may run so many instructions; then each one fails with an error, so no protected call lets it go on. Rounds
    /// that native functions make on their own, as many as the program says, count as well. The program is interpreted from here on;
    /// `None` ends the limit, not that.
    pub fn limit_steps(&mut self, steps: Option<u64>) {
        self.steps_left = steps;
        self.interpret_only();
        self.choose_loop();
        self.heap.requested = RELOAD_ONLY;
    }

    /// Whether the program has used up its steps.
    pub fn is_out_of_steps(&self) -> bool {
        self.steps_left == Some(0)
    }

    /// Keeps what is written to standard output in [`State::output`], up to so many bytes; what comes then is dropped.
    pub fn keep_output(&mut self, at_most: usize) {
        self.kept_output = Some(at_most);
    }

    /// Opens the libraries that see nothing of the world outside: no files, no processes, no modules, no clock.
    pub fn open_inner_libraries(&mut self) {
        lib::base::open(self);
        lib::coroutine::open(self);
        lib::string::open(self);
        lib::table::open(self);
        lib::math::open(self);
        lib::utf8::open(self);
        lib::debug::open(self);
        for (library, function) in OUTSIDE {
            let key = self.new_string(library.as_bytes());
            let table = crate::table::get_string(self.globals, key);
            self.set_named(table.as_table(), function, Value::NIL);
        }
        self.number_intrinsics();
    }

    /// Counts a round of a native function's loop.
    ///
    /// # Errors
    /// When there are no steps left.
    #[inline]
    pub fn take_round(&mut self) -> Result<(), Throw> {
        match &mut self.steps_left {
            None => Ok(()),
            Some(0) => Err(self.out_of_steps()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// The error of a program that has used up its steps, if it had not before.
    #[cold]
    pub fn out_of_steps(&mut self) -> Throw {
        self.steps_left = self.steps_left.map(|_| 0);
        self.throw_message("step limit reached")
    }

    /// Before a native function makes something of so many bytes, outside of the heap or in it.
    ///
    /// # Errors
    /// "not enough memory", where that is more than the program may use.
    #[inline]
    pub fn check_room(&mut self, bytes: usize) -> Result<(), Throw> {
        if bytes > LARGE && self.heap.would_exceed_limit(bytes) { Err(self.memory_error()) } else { Ok(()) }
    }

    /// Counts the instruction at `pc`, which is about to run in the current frame.
    ///
    /// # Errors
    /// When there are no steps left.
    ///
    /// # Safety
    /// The current frame is a Lua frame; `pc` is in its code.
    #[cold]
    #[inline(never)]
    pub unsafe fn take_step(&mut self, pc: Next) -> Result<(), Throw> {
        match &mut self.steps_left {
            None => Ok(()),
            Some(0) => {
                // SAFETY: the function's contract; the message names this instruction's line.
                unsafe { (*self.runloop.frame).pc = pc.add(1) };
                Err(self.runtime_error("step limit reached"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
