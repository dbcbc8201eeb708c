//! Step 2: the language. `tally.sir` is the text; here are the offsets that it names and the functions that it declares.

use crate::assemble::Error;
use crate::counters::Plugged;
use crate::machine::{self, Machine};
use crate::program::{Binary, Function};
use crate::value::{Text, Word};
use std::mem::offset_of;
use surmise::deopt::context::Context;
use surmise::deopt::host::{GuestResults, Thrown};
use surmise::deopt::runloop::{Runloop, guarded};
use surmise::ir::language::Language;
use surmise::ir::text::{ParseError, parse_language};

/// The language of this build.
pub fn language() -> Result<Language, ParseError> {
    parse_language(include_str!("tally.sir"), &|name| {
        let offset = match name.trim_start_matches('@') {
            "Text.length" => offset_of!(Text, length),
            "Function.unit" => offset_of!(Function, plugged) + offset_of!(Plugged, unit),
            "Function.entry" => offset_of!(Function, plugged) + offset_of!(Plugged, entry),
            _ => return None,
        };
        u32::try_from(offset).ok()
    })
}

/// The functions that `tally.sir` declares.
pub fn externs() -> [(&'static str, *const u8); 13] {
    [
        ("tally_add", binary::<{ Binary::Add as usize }> as *const u8),
        ("tally_sub", binary::<{ Binary::Sub as usize }> as *const u8),
        ("tally_mul", binary::<{ Binary::Mul as usize }> as *const u8),
        ("tally_less", binary::<{ Binary::Less as usize }> as *const u8),
        ("tally_less_equal", binary::<{ Binary::LessEqual as usize }> as *const u8),
        ("tally_equal", binary::<{ Binary::Equal as usize }> as *const u8),
        ("tally_concat", binary::<{ Binary::Concat as usize }> as *const u8),
        ("tally_concat_strings", concat_strings as *const u8),
        ("tally_length", length_of as *const u8),
        ("tally_truth", truth as *const u8),
        ("tally_callee", callee as *const u8),
        ("tally_print", print as *const u8),
        ("tally_call", call as *const u8),
    ]
}

impl Machine {
    /// Keeps an error while compiled code is left.
    pub fn throw(&mut self, error: Error) -> Thrown {
        self.error = Some(error);
        Thrown
    }
}

/// Runs the body of a function that compiled code calls. An error leaves compiled code: whoever entered it gets the error.
///
/// # Safety
/// `context` is what compiled code passed. The caller has nothing to drop.
unsafe fn with_machine<R: Copy>(
    context: *mut Context,
    body: impl FnOnce(&mut Machine) -> Result<R, Error>,
) -> R {
    // SAFETY: compiled code runs in `enter`, which has borrowed the machine and lent it.
    unsafe {
        guarded(context, || {
            let machine = Runloop::<Machine>::host(context);
            body(machine).map_err(|error| machine.throw(error))
        })
    }
}

unsafe extern "C" fn binary<const BINARY: usize>(
    context: *mut Context,
    left: Word,
    right: Word,
    line: i64,
) -> Word {
    // SAFETY: called by compiled code.
    unsafe { with_machine(context, |machine| machine.binary(Binary::ALL[BINARY], left, right, line as u32)) }
}

unsafe extern "C" fn concat_strings(context: *mut Context, left: Word, right: Word) -> Word {
    // SAFETY: called by compiled code. The word of a string is its address.
    unsafe { with_machine(context, |machine| machine.binary(Binary::Concat, left, right, 0)) }
}

unsafe extern "C" fn length_of(context: *mut Context, text: Word, line: i64) -> Word {
    // SAFETY: called by compiled code.
    unsafe { with_machine(context, |_| machine::length(text, line as u32)) }
}

unsafe extern "C" fn truth(_: *mut Context, value: Word) -> u64 {
    value.is_true().into()
}

unsafe extern "C" fn callee(context: *mut Context, callee: Word, line: i64) -> Word {
    // SAFETY: called by compiled code.
    unsafe { with_machine(context, |_| machine::callee(callee, line as u32).map(|_| callee)) }
}

unsafe extern "C" fn print(context: *mut Context, value: Word) {
    // SAFETY: called by compiled code.
    unsafe {
        with_machine(context, |machine| {
            machine.print(value);
            Ok(())
        })
    }
}

/// The generic call of the protocol: the callee stands at `callee`, its arguments behind it.
unsafe extern "C" fn call(context: *mut Context, callee: *mut u8, count: u64, _wanted: i64) -> GuestResults {
    // SAFETY: called by compiled code.
    let result = unsafe {
        with_machine(context, |machine| {
            let result = machine.call_from_compiled(machine.index_of(callee) + 1, count as usize);
            machine.stress_point();
            result
        })
    };
    GuestResults::word(result.0, 0)
}
