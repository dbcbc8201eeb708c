//! Step 5: into compiled code and out of it.

use crate::assemble::Error;
use crate::machine::{Called, Machine, callee};
use crate::value::Word;
use surmise::deopt::runloop::Outcome;

impl Machine {
    /// Runs compiled code with its window at `base`: a function from its beginning, or from a loop's header on in the middle of it,
    /// with its locals and operands where the interpreter has left them. It has no frame here.
    ///
    /// # Safety
    /// `code` was read from the function's entry or from the plug just now, and the window holds what that asks for.
    pub unsafe fn enter(
        &mut self,
        code: *const u8,
        base: usize,
        argument_count: usize,
    ) -> Result<Called, Error> {
        let Some(connection) = &self.surmise else { unreachable!("code comes from the plug") };
        // SAFETY: the guard is a field of the machine, which stays where it is during the call.
        let runloop = unsafe { connection.guard.alias() };
        let window = self.address_of(base);
        // SAFETY: handed on. The code itself checks that there is room for the rest of its window.
        match unsafe { runloop.enter(self, code, window, argument_count as u64) } {
            Outcome::Returned([result, _]) => Ok(Called::Returned(Word(result))),
            // A guess failed: step 6 has made frames of it.
            Outcome::Resumed => Ok(Called::Frame),
            Outcome::Thrown => Err(self.error.take().expect("who throws has left the error")),
        }
    }

    /// Compiled code calls the function below `window`, which has no code. Runs it to its end.
    pub fn call_from_compiled(&mut self, window: usize, argument_count: usize) -> Result<Word, Error> {
        let until = self.frames.len();
        let function = callee(self.get(window - 1), 0)?;
        match self.call(function, window, argument_count)? {
            Called::Returned(result) => Ok(result),
            Called::Frame => self.run(until),
        }
    }
}
