//! Warnings: `warn`, and those of the interpreter itself. They are off until a program says `warn("@on")`, or `-W` was given.

use crate::state::{Call, State, Throw};

/// Where warnings stand.
#[derive(Default, Debug)]
pub struct Warnings {
    /// Whether they are shown.
    pub are_on: bool,
    /// Whether the last piece was one to be continued.
    continues: bool,
}

impl State {
    /// Shows a warning, or a piece of one, if warnings are on. One that begins with `@` is for the warnings themselves.
    pub fn warn(&mut self, message: &[u8], to_be_continued: bool) {
        let is_first = !std::mem::replace(&mut self.warnings.continues, to_be_continued);
        if is_first && !to_be_continued && message.first() == Some(&b'@') {
            match &message[1..] {
                b"on" => self.warnings.are_on = true,
                b"off" => self.warnings.are_on = false,
                _ => {}
            }
            return;
        }
        if !self.warnings.are_on {
            return;
        }
        let mut text = Vec::new();
        if is_first {
            text.extend_from_slice(b"Lua warning: ");
        }
        text.extend_from_slice(message);
        if !to_be_continued {
            text.push(b'\n');
        }
        use std::io::Write;
        // Nobody is left to be told when standard error is gone.
        let _ = std::io::stderr().write_all(&text);
    }
}

/// `warn(message, ...)`.
pub fn warn(state: &mut State, call: Call) -> Result<u32, Throw> {
    state.check_string(call, 0)?;
    for i in 1..call.count {
        state.check_string(call, i)?;
    }
    for i in 0..call.count {
        let piece = state.check_bytes(call, i)?;
        state.warn(piece, i + 1 < call.count);
    }
    call.return_none()
}
