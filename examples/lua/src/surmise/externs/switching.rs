//! Calls by compiled code of the functions that switch stacks: `coroutine.yield`, `coroutine.resume`, and what `coroutine.wrap` returns.
//!
//! They do what calls of other native functions do, in one function. The processor remembers where calls came from, to go on there
//! before a return is read; behind a switch it remembers the other stack's calls, and each return waits until it is known to be wrong.
//! So there is one return here, to compiled code, where the general way has six.

use surmise::deopt::host::GuestResults;
use surmise::deopt::runloop::guarded;

use super::calls::{call_other, called, native_ended, push_native, results_at};
use super::frame::{leave, push_frame, state_of};
use super::{Context, Value};
use crate::coroutine::Failure;
use crate::lib::coroutine::{
    INTRINSIC_RESUME, INTRINSIC_RESUME_WRAPPED, INTRINSIC_YIELD, resume_failed, wrapped_failed,
};
use crate::object::{NativeFunction, Thread};
use crate::stack::Frame;
use crate::state::{Call, State, Throw};
use crate::value::Tag;

/// How a call has ended that can't just return.
enum Ending {
    Failed(Failure),
    /// So many results, or an error on its way.
    Ended(Result<u32, Throw>),
}

/// `lua_call` of a native function with a number from [`INTRINSIC_YIELD`] on.
///
/// # Safety
/// As for `lua_call`.
pub(super) unsafe extern "C" fn call_switching(
    context: *mut Context,
    slot: *mut Value,
    count: u64,
) -> GuestResults {
    // SAFETY: handed on. Other code that has the state runs during the switch alone.
    unsafe {
        let state = state_of(context);
        let native = (*slot).as_native();
        let base = slot.add(1);
        let is_resume = (*native).intrinsic == INTRINSIC_RESUME;
        let resumed: *mut Thread = match (*native).intrinsic {
            INTRINSIC_YIELD => std::ptr::null_mut(),
            INTRINSIC_RESUME_WRAPPED => (*NativeFunction::upvalues(native)).as_thread(),
            INTRINSIC_RESUME if count > 0 && (*base).is(Tag::Thread) => (*base).as_thread(),
            _ => return call_other(context, slot, count),
        };
        if base.add(count as usize) > state.runloop.limit {
            return call_other(context, slot, count);
        }
        let below = state.runloop.frame;
        push_frame(context, state, slot);
        let count = count as u32;
        let frame = push_native(state, slot, count);
        let ending = if resumed.is_null() {
            Ending::Ended(state.suspend(Call { base, count }))
        } else {
            // `true` comes before the values of `resume`, and the coroutine before its arguments.
            let own = u32::from(is_resume);
            let first = base.add(own as usize);
            match state.resume(resumed, first, count - own, slot.add(own as usize)) {
                Ok(values) => {
                    if is_resume {
                        slot.write(Value::TRUE);
                    }
                    Ending::Ended(Ok(values + own))
                }
                Err(failure) => Ending::Failed(failure),
            }
        };
        if let Ending::Ended(Ok(results)) = ending
            && state.heap.requested == 0
        {
            state.runloop.frame = below;
            state.guest_point();
            return results_at(slot, results);
        }
        end(context, slot, Frames { frame, below }, ending)
    }
}

struct Frames {
    /// The native function's.
    frame: *mut Frame,
    /// The one below the record that stands for the compiled frame.
    below: *mut Frame,
}

/// # Safety
/// As for [`call_switching`], at its end.
#[cold]
#[inline(never)]
unsafe fn end(context: *mut Context, slot: *mut Value, frames: Frames, ending: Ending) -> GuestResults {
    // SAFETY: handed on.
    unsafe {
        guarded(context, move || {
            let state: &mut State = state_of(context);
            let native = (*slot).as_native();
            let call = Call { base: slot.add(1), count: 0 };
            let result = match ending {
                Ending::Ended(result) => result,
                // The slot still holds the function: nothing was written over it.
                Ending::Failed(failure) if (*native).intrinsic == INTRINSIC_RESUME => {
                    resume_failed(state, call, failure)
                }
                Ending::Failed(failure) => {
                    wrapped_failed(state, (*NativeFunction::upvalues(native)).as_thread(), failure)
                }
            };
            let result = native_ended(state, frames.frame, result)
                .and_then(|count| called(context, state, slot, frames.below, count));
            leave(state, result)
        })
    }
}
