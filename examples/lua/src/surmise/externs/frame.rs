//! Between compiled code and the interpreter: what the interpreter sees of a compiled frame, how guest errors leave, and safepoints.
//!
//! A compiled frame has no record on the frame stack, though its window is on the value stack. Whoever calls back into the
//! interpreter pushes a record in its place:
//!
//! ```text
//! frames   | ... | entered by the interpreter | stands for the compiled frame | metamethod, native, nested run ...
//!                                               FRAME_NATIVE | FRAME_COMPILED
//! values   | ... | windows of compiled frames ........... |◀─ window = top      | their windows
//! ```
//!
//! For the interpreter it is a native function's frame: calls from Rust find the free slots above it, and a level of its own
//! counts for the compiled function. Its `pc` is the address at which compiled code goes on, from which its place in the
//! bytecode can be found; nil stands where its function would.
//!
//! At a guest error the records stay where they are, as everywhere in the interpreter: whoever catches goes back to its own.

use surmise::deopt::context::Context;
use surmise::deopt::host::Thrown;
use surmise::deopt::runloop::{Runloop, guarded};

use crate::stack::{FRAME_NATIVE, Frame};
use crate::state::{State, Throw};
use crate::value::Value;

/// The frame stands for a compiled frame: `pc` is the return address in its code, or null.
pub const FRAME_COMPILED: u32 = 1 << 16;

/// What stands where a record's function and first slot would be: compiled frames have theirs elsewhere.
struct Nothing([Value; 2]);

// SAFETY: nobody writes it: a native frame's window is written by its function alone, and there is none.
unsafe impl Sync for Nothing {}

static NOTHING: Nothing = Nothing([Value::NIL; 2]);

/// The state that entered compiled code.
///
/// # Safety
/// Called in a function that compiled code called, with the context that it passed. The reference is not used after a later
/// call of this function in the same one, nor after that has returned.
#[inline(always)]
pub unsafe fn state_of<'a>(context: *mut Context) -> &'a mut State {
    // SAFETY: handed on.
    unsafe { Runloop::<State>::host(context) }
}

/// Pushes the record that stands for the compiled frame whose window ends at `window`.
///
/// # Safety
/// The context is one whose compiled code has called the running function, after recording where it was left (every function
/// but those without effects), and everything live lies below `window`.
#[inline(always)]
pub unsafe fn push_frame(context: *mut Context, state: &mut State, window: *mut Value) {
    // SAFETY: the return address stands just below the recorded stack pointer; there is none while no compiled frame has
    // recorded one. Frame records lie in reserved memory, of which there is more than of slots.
    unsafe {
        let pc = if (*context).exit_frame_pointer == 0 {
            std::ptr::null()
        } else {
            (((*context).exit_stack_pointer - 8) as *const usize).read() as *const _
        };
        let frame = state.runloop.frame.add(1);
        frame.write(Frame {
            pc,
            base: NOTHING.0.as_ptr().add(1).cast_mut(),
            prototype: std::ptr::null_mut(),
            flags: FRAME_NATIVE | FRAME_COMPILED,
            shift: 0,
            top: window,
        });
        state.runloop.frame = frame;
    }
}

/// Makes sure that a native function, or the arguments of a metamethod, can be laid out at `window`.
///
/// # Errors
/// "stack overflow".
#[inline(always)]
pub fn check_room(state: &mut State, window: *mut Value) -> Result<(), Throw> {
    if window <= state.runloop.limit || state.runloop.raise_limit(window) {
        return Ok(());
    }
    Err(state.stack_overflow())
}

/// Does work that may raise errors or run guest code, with a record in place of the compiled frame whose window ends at
/// `window`.
///
/// The nested run loops of metamethods don't count as nested natives: the interpreter would have pushed frames for them.
/// What bounds them is the check of the native stack in every compiled function.
///
/// # Errors
/// Those of the work.
///
/// # Safety
/// As for [`push_frame`].
#[inline]
pub unsafe fn with_frame<R>(
    context: *mut Context,
    state: &mut State,
    window: *mut Value,
    work: impl FnOnce(&mut State) -> Result<R, Throw>,
) -> Result<R, Throw> {
    let depth = state.runloop.native_depth;
    // SAFETY: handed on; the frame that is current when the work is done is the one that was pushed for it.
    unsafe {
        push_frame(context, state, window);
        let frame = state.runloop.frame;
        check_room(state, window)?;
        state.runloop.native_depth = depth.saturating_sub(1);
        let result = work(state);
        state.runloop.native_depth = depth;
        if result.is_ok() {
            debug_assert_eq!(
                state.runloop.frame, frame,
                "calls from Rust leave the frames as they found them"
            );
            state.runloop.frame = frame.sub(1);
        }
        result
    }
}

/// The body of a function that may raise errors and runs no guest code: an error leaves compiled code.
///
/// # Safety
/// As for [`push_frame`]; there is nothing to drop in the calling function.
#[inline]
pub unsafe fn attempt<R: Copy>(
    context: *mut Context,
    window: *mut Value,
    work: impl FnOnce(&mut State) -> Result<R, Throw>,
) -> R {
    // SAFETY: handed on.
    unsafe {
        guarded(context, || with_frame(context, state_of(context), window, work).map_err(|Throw| Thrown))
    }
}

/// The body of a function that may run guest code. Its result is a root if there is a collection at the end; a message handler
/// sees an error before the compiled frames are gone.
///
/// # Safety
/// As for [`attempt`]. Compiled code is ready for everything: the function is declared `calls_guest`.
#[inline]
pub unsafe fn guest(
    context: *mut Context,
    window: *mut Value,
    work: impl FnOnce(&mut State) -> Result<Value, Throw>,
) -> Value {
    // SAFETY: handed on.
    unsafe {
        guarded(context, || {
            let state = state_of(context);
            let result = match with_frame(context, state, window, work) {
                Ok(value) => {
                    state.guest_point();
                    keep(context, state, window, value)
                }
                Err(Throw) => Err(Throw),
            };
            leave(state, result)
        })
    }
}

/// Passes a result on; an error is shown to the message handler first, if there is one.
///
/// # Errors
/// The error that there is.
#[inline(always)]
pub fn leave<R>(state: &mut State, result: Result<R, Throw>) -> Result<R, Thrown> {
    result.map_err(|Throw| {
        state.handle_error();
        Thrown
    })
}

/// A safepoint at the end of a function that may run guest code: collects if somebody has asked for it, keeping `value`, and runs
/// finalizers.
///
/// # Errors
/// "not enough memory".
///
/// # Safety
/// As for [`push_frame`].
#[inline(always)]
pub unsafe fn keep(
    context: *mut Context,
    state: &mut State,
    window: *mut Value,
    value: Value,
) -> Result<Value, Throw> {
    if state.heap.requested == 0 {
        return Ok(value);
    }
    // SAFETY: handed on.
    unsafe { collect_and_finalize(context, state, window, value) }
}

/// # Safety
/// As for [`keep`].
#[cold]
#[inline(never)]
unsafe fn collect_and_finalize(
    context: *mut Context,
    state: &mut State,
    window: *mut Value,
    value: Value,
) -> Result<Value, Throw> {
    let value = collect_keeping(state, window, value)?;
    state.runloop.pins.push(value);
    // SAFETY: handed on.
    let done = unsafe {
        with_frame(context, state, window, |state| {
            state.run_finalizers(window);
            Ok(())
        })
    };
    let value = state.runloop.pins.pop().expect("the pin that was just pushed");
    done.map(|()| value)
}

/// [`keep`] where no guest code may run.
///
/// # Errors
/// "not enough memory".
#[inline(always)]
pub fn keep_quietly(state: &mut State, window: *mut Value, value: Value) -> Result<Value, Throw> {
    if state.heap.requested == 0 { Ok(value) } else { collect_keeping(state, window, value) }
}

#[cold]
#[inline(never)]
fn collect_keeping(state: &mut State, window: *mut Value, value: Value) -> Result<Value, Throw> {
    // The slots up to the end of the window may have been written; the limit says how far a collection has to clear.
    check_room(state, window)?;
    state.runloop.pins.push(value);
    let result = state.collect_quietly(window);
    let value = state.runloop.pins.pop().expect("the pin that was just pushed");
    // Weak tables were cleared that others inherit from; compiled code is not ready for it here.
    if state.heap.claims.have_ended()
        && let Some(connection) = &state.surmise
    {
        connection.plug.isolate().request_poll();
    }
    result.map(|()| value)
}

/// The end of a function that has allocated: collects if somebody has asked for it, and gives the value back.
///
/// # Safety
/// As for [`attempt`]; the function is declared `allocates` and `throws`.
#[inline(always)]
pub unsafe fn allocated(context: *mut Context, window: *mut Value, value: Value) -> Value {
    // SAFETY: handed on.
    unsafe {
        if state_of(context).heap.requested == 0 { value } else { collect_at_end(context, window, value) }
    }
}

/// # Safety
/// As for [`allocated`].
#[cold]
#[inline(never)]
unsafe fn collect_at_end(context: *mut Context, window: *mut Value, value: Value) -> Value {
    // SAFETY: handed on.
    unsafe { guarded(context, || collect_keeping(state_of(context), window, value).map_err(|Throw| Thrown)) }
}
