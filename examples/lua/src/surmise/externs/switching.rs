//! Calls by compiled code of the functions that switch stacks: `coroutine.yield`, `coroutine.resume`, and what `coroutine.wrap` returns.
//!
//! To others they look like calls of any native function: there is the function's frame record while they last. How the stack is left
//! and come back to is in [`surmise::deopt::stacks::compiled`]; here is what happens in between. When compiled code leaves
//! for compiled code that waits in such a call itself, and nothing else is to be done, it puts the values where they are wanted,
//! and takes the record of that call away: the other side just goes on. Else the other side takes its values
//! itself ([`Switching::arrive`], [`State::take_over`], or a `yield` in the interpreter).

use std::ptr::{null, null_mut};

use surmise::deopt::host::GuestResults;
use surmise::deopt::runloop::guarded;
use surmise::deopt::stacks::Link;
use surmise::deopt::stacks::compiled::{Departure, Switching};

use super::calls::{call_other, called, native_ended};
use super::frame::{leave, state_of};
use super::{Context, Value};
use crate::coroutine::line::{Line, Wait};
use crate::coroutine::{RESUME_DEPTH, copy_words, quickly_resumed};
use crate::lib::coroutine::{
    INTRINSIC_RESUME, INTRINSIC_RESUME_WRAPPED, INTRINSIC_YIELD, resume_failed, wrapped_failed,
};
use crate::object::{NativeFunction, Thread};
use crate::stack::{FRAME_FRESH, FRAME_NATIVE, NATIVE_SLOTS};
use crate::state::{Call, State};
use crate::value::Tag;

/// Lua, as a host whose compiled code switches stacks. The slot is the function's, with its arguments behind it.
pub(super) struct Lua;

/// What compiled code has called.
#[derive(Clone, Copy)]
struct Asked {
    slot: *mut Value,
    count: u32,
    /// How the caller waits.
    wait: Wait,
    /// The coroutine that is resumed; null for a yield.
    thread: *mut Thread,
}

impl Asked {
    /// `None`: it is not for this module.
    ///
    /// # Safety
    /// The function at `slot` is a native one, with so many arguments behind it.
    #[inline(always)]
    unsafe fn at(slot: *mut Value, count: u64) -> Option<Asked> {
        if count > NATIVE_SLOTS as u64 {
            return None;
        }
        let count = count as u32;
        // SAFETY: the function's contract; what `wrap` returns has one upvalue.
        let (wait, thread) = unsafe {
            let native = (*slot).as_native();
            match (*native).intrinsic {
                INTRINSIC_YIELD => (Wait::InYield, null_mut()),
                INTRINSIC_RESUME if count > 0 && (*slot.add(1)).is(Tag::Thread) => {
                    (Wait::InResume, (*slot.add(1)).as_thread())
                }
                INTRINSIC_RESUME_WRAPPED => {
                    (Wait::InWrapped, (*NativeFunction::upvalues(native)).as_thread())
                }
                _ => return None,
            }
        };
        Some(Asked { slot, count, wait, thread })
    }

    /// What is handed over: `resume` has the coroutine before it.
    #[inline(always)]
    fn values(&self) -> (*const Value, u32) {
        let own = u32::from(self.wait == Wait::InResume);
        (self.slot.wrapping_add(1 + own as usize), self.count - own)
    }

    /// Pushes the function's record: its line waits. The compiled frame below needs none: nothing is called from here that would have
    /// to find free slots above it.
    ///
    /// # Safety
    /// As for [`Asked::at`], in a call by compiled code.
    #[inline(always)]
    unsafe fn push(&self, line: *mut Line) {
        // SAFETY: the record is the next free one.
        unsafe {
            let frame = (*line).runloop.frame.add(1);
            let base = self.slot.add(1);
            (*frame).pc = null();
            (*frame).base = base;
            (*frame).prototype = null_mut();
            (*frame).flags = FRAME_NATIVE | FRAME_FRESH;
            (*frame).shift = 0;
            (*frame).top = base.add(self.count as usize);
            (*line).runloop.frame = frame;
            (*line).wait = self.wait;
        }
    }
}

/// Results that compiled code waits for are put where they belong, and its call ends.
///
/// # Safety
/// The line waits in a call by compiled code, whose record is its newest; so many values stand there, at most [`NATIVE_SLOTS`].
#[inline(always)]
unsafe fn deliver(line: *mut Line, (values, count): (*const Value, u32)) -> GuestResults {
    // SAFETY: the function's contract. The results replace the function.
    unsafe {
        let slot = (*line).runloop.results_of_native();
        (*line).runloop.frame = (*line).runloop.frame.sub(1);
        let wait = std::mem::replace(&mut (*line).wait, Wait::InRust);
        if wait == Wait::InResume {
            copy_words(values, slot.add(1), count);
            (*slot).tag = Value::TRUE.tag;
            (*slot).payload = Value::TRUE.payload;
            return GuestResults::pair(Value::TRUE.tag as u32, Value::TRUE.payload, count as i32);
        }
        copy_words(values, slot, count);
        match count {
            0 => GuestResults::pair(Tag::Nil as u32, 0, -1),
            _ => GuestResults::pair((*values).tag as u32, (*values).payload, count as i32 - 1),
        }
    }
}

/// From compiled code to compiled code, if nothing else is to be done. Returns the link and the results of whoever waits there.
///
/// # Safety
/// As for [`Switching::leave`].
#[inline(always)]
unsafe fn leave_quickly(state: &mut State, asked: Asked) -> Option<(*mut Link, GuestResults)> {
    if state.heap.requested != 0 || state.heap.claims.have_ended() || state.stressed {
        return None;
    }
    let line = state.runloop.as_ptr();
    // SAFETY: lines that run or wait are alive, and so are the objects of their coroutines.
    unsafe {
        let (next, link) = if asked.wait == Wait::InYield {
            let next = (*line).resumer;
            let is_quick = !next.is_null()
                && (*next).wait != Wait::InRust
                && (*line).runloop.barriers == 0
                && !state.heap.is_barrier_due((*line).thread.cast());
            if !is_quick {
                return None;
            }
            asked.push(line);
            (next, Line::park(line))
        } else {
            let fiber = quickly_resumed(asked.thread)?;
            if (*line).depth >= RESUME_DEPTH {
                return None;
            }
            asked.push(line);
            (&raw mut (*fiber).line, Line::depart(line, fiber))
        };
        state.runloop.set(next);
        Some((link, deliver(next, asked.values())))
    }
}

/// Any other way. Returns the link, unless the general way is needed.
///
/// # Safety
/// As for [`Switching::leave`].
#[cold]
#[inline(never)]
unsafe fn leave_slowly(state: &mut State, asked: Asked) -> *mut Link {
    let line = state.runloop.as_ptr();
    // SAFETY: handed on.
    unsafe {
        let (values, count) = asked.values();
        let end = asked.slot.add(1 + asked.count as usize);
        if end > (*line).runloop.limit || asked.wait == Wait::InYield && !state.is_yieldable() {
            return null_mut();
        }
        asked.push(line);
        if asked.wait == Wait::InYield {
            return state.park();
        }
        match state.hand_over(asked.thread, values, count) {
            Ok(fiber) => state.go_to(fiber),
            Err(_) => {
                // The general way fails in the same way, and says so.
                (*line).runloop.frame = (*line).runloop.frame.sub(1);
                (*line).wait = Wait::InRust;
                null_mut()
            }
        }
    }
}

impl Switching for Lua {
    unsafe extern "C" fn leave(departure: *mut Departure, context: *mut Context, slot: *mut u8, count: u64) {
        // SAFETY: handed on. Nobody else has the state until the stack is left.
        unsafe {
            let state = state_of(context);
            let Some(asked) = Asked::at(slot.cast(), count) else {
                (*departure).link = null_mut();
                return;
            };
            match leave_quickly(state, asked) {
                Some((link, results)) => {
                    (*departure).link = link;
                    (*departure).message = null_mut();
                    (*departure).results = results;
                }
                None => {
                    (*departure).message = std::ptr::from_mut(state).cast();
                    (*departure).link = leave_slowly(state, asked);
                }
            }
        }
    }

    unsafe extern "C" fn arrive(context: *mut Context, slot: *mut u8, _count: u64) -> GuestResults {
        // SAFETY: handed on. Where something was resumed, the slot still holds the function, and its arguments are there.
        unsafe {
            guarded(context, move || {
                let slot: *mut Value = slot.cast();
                let state: &mut State = state_of(context);
                let frame = state.runloop.frame;
                let call = Call { base: slot.add(1), count: 0 };
                let wait = std::mem::replace(&mut state.runloop.wait, Wait::InRust);
                let result = match wait {
                    Wait::InResume => {
                        let thread = (*slot.add(1)).as_thread();
                        match state.take_over(thread, slot.add(1)) {
                            Ok(count) => {
                                slot.write(Value::TRUE);
                                Ok(count + 1)
                            }
                            Err(failure) => resume_failed(state, call, failure),
                        }
                    }
                    Wait::InWrapped => {
                        let thread = (*NativeFunction::upvalues((*slot).as_native())).as_thread();
                        let taken = state.take_over(thread, slot);
                        taken.or_else(|failure| wrapped_failed(state, thread, failure))
                    }
                    Wait::InYield | Wait::InRust => Ok((*state.runloop.fiber).passed),
                };
                let result = native_ended(state, frame, result)
                    .and_then(|count| called(context, state, slot, frame.sub(1), count));
                leave(state, result)
            })
        }
    }

    unsafe extern "C" fn decline(context: *mut Context, slot: *mut u8, count: u64) -> GuestResults {
        // SAFETY: handed on.
        unsafe { call_other(context, slot.cast(), count) }
    }
}
