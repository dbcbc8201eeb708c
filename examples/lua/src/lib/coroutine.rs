//! The `coroutine` library. What coroutines do is in [`crate::coroutine`].

use crate::coroutine::{Failure, Status};
use crate::object::{LuaString, NativeFunction, Thread};
use crate::state::{Call, State, Throw};
use crate::value::{Tag, Value};

/// Opens the library.
pub fn open(state: &mut State) {
    state.register_library(
        "coroutine",
        &[
            ("close", close),
            ("create", create),
            ("isyieldable", isyieldable),
            ("resume", resume),
            ("running", running),
            ("status", status),
            ("wrap", wrap),
            ("yield", yield_values),
        ],
    );
}

fn check_coroutine(state: &mut State, call: Call) -> Result<*mut Thread, Throw> {
    let value = call.arg(0);
    if value.is(Tag::Thread) { Ok(value.as_thread()) } else { Err(state.type_error(call, 0, "thread")) }
}

fn create(state: &mut State, call: Call) -> Result<u32, Throw> {
    let function = state.check_function(call, 0)?;
    let thread = state.new_coroutine(function);
    call.return_one(Value::thread(thread))
}

fn wrap(state: &mut State, call: Call) -> Result<u32, Throw> {
    let function = state.check_function(call, 0)?;
    let thread = state.new_coroutine(function);
    let native =
        state.heap.new_native(resume_wrapped, "wrap", INTRINSIC_RESUME_WRAPPED, &[Value::thread(thread)]);
    call.return_one(Value::native(native))
}

/// How calls of these functions are told from others: compiled code makes them in a way of its own
/// (`surmise/externs/switching.rs`), and all that have a number from here on.
pub const INTRINSIC_YIELD: u32 = 30;
/// `coroutine.resume`.
pub const INTRINSIC_RESUME: u32 = 31;
/// What `coroutine.wrap` returns.
pub const INTRINSIC_RESUME_WRAPPED: u32 = 32;

fn resume(state: &mut State, call: Call) -> Result<u32, Throw> {
    let thread = check_coroutine(state, call)?;
    // SAFETY: the arguments follow the coroutine; the results start behind the first one, `true`, which is the function's slot.
    match unsafe { state.resume(thread, call.base.add(1), call.count - 1, call.base) } {
        Ok(count) => {
            call.put_result(0, Value::TRUE);
            Ok(count + 1)
        }
        Err(failure) => resume_failed(state, call, failure),
    }
}

/// The results of a `coroutine.resume` that failed.
///
/// # Errors
/// None: the failure is the result.
#[cold]
pub fn resume_failed(state: &mut State, call: Call, failure: Failure) -> Result<u32, Throw> {
    match failure {
        Failure::Refused(error) | Failure::Failed(error) => call.return_two(Value::FALSE, error),
        Failure::Panicked => state.go_on_panicking(),
    }
}

/// The function that `wrap` returns.
fn resume_wrapped(state: &mut State, call: Call) -> Result<u32, Throw> {
    // SAFETY: the running function was made by `wrap`, with one upvalue.
    let thread = unsafe { (*NativeFunction::upvalues(call.function().as_native())).as_thread() };
    // SAFETY: the arguments are the whole window, and the results start at the function's slot.
    let resumed = unsafe { state.resume(thread, call.base, call.count, call.base.sub(1)) };
    resumed.or_else(|failure| wrapped_failed(state, thread, failure))
}

/// What a function made by `wrap` does when its coroutine fails.
///
/// # Errors
/// The failure.
#[cold]
pub fn wrapped_failed(state: &mut State, thread: *mut Thread, failure: Failure) -> Result<u32, Throw> {
    let error = match failure {
        Failure::Refused(message) => message,
        Failure::Failed(error) => {
            // Whoever called the wrapper has nothing with which it could be closed.
            state.close_coroutine(thread).err().unwrap_or(error)
        }
        Failure::Panicked => state.go_on_panicking(),
    };
    if error.is(Tag::String) {
        return Err(state.throw_message(LuaString::bytes(error.as_string())));
    }
    Err(state.throw_value(error))
}

fn yield_values(state: &mut State, call: Call) -> Result<u32, Throw> {
    state.suspend(call)
}

fn status(state: &mut State, call: Call) -> Result<u32, Throw> {
    let thread = check_coroutine(state, call)?;
    let name = state.status_of(thread).name();
    let name = state.string_value(name.as_bytes());
    call.return_one(name)
}

fn running(state: &mut State, call: Call) -> Result<u32, Throw> {
    let current = state.runloop.thread;
    call.return_two(Value::thread(current), Value::bool(current == state.coroutines.main))
}

fn isyieldable(state: &mut State, call: Call) -> Result<u32, Throw> {
    let is_yieldable = if call.is_none(0) {
        state.is_yieldable()
    } else {
        let thread = check_coroutine(state, call)?;
        state.is_coroutine_yieldable(thread)
    };
    call.return_one(Value::bool(is_yieldable))
}

fn close(state: &mut State, call: Call) -> Result<u32, Throw> {
    let thread = check_coroutine(state, call)?;
    match state.status_of(thread) {
        Status::Suspended | Status::Dead => match state.close_coroutine(thread) {
            Ok(()) => call.return_one(Value::TRUE),
            Err(error) => call.return_two(Value::FALSE, error),
        },
        other => Err(state.throw_message(format!("cannot close a {} coroutine", other.name()))),
    }
}
