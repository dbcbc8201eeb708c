//! Preparing loops, calling iterators, and variables that are to be closed.

use crate::interpreter::call::{Entered, call_metamethod, deliver};
use crate::interpreter::{Next, RELOAD, THROW, copy, hook};
use crate::metamethod::Event;
use crate::number;
use crate::state::{State, Throw};
use crate::table;
use crate::value::{Tag, Value};

/// The native function `next`, which loops call without a frame.
pub const INTRINSIC_NEXT: u32 = 20;
/// The iterator of `ipairs`, likewise.
pub const INTRINSIC_IPAIRS: u32 = 21;

/// `ForPrepare`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn for_prepare(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the four registers of the loop lie in the frame's window.
    unsafe {
        let i = &*pc.sub(1);
        let at = base.add(i.a as usize);
        let (start, limit, step) = (at.read(), at.add(1).read(), at.add(2).read());
        let past = pc.offset(i.d as isize);
        (*state.runloop.frame).pc = pc;
        if start.is_int() && step.is_int() {
            let (first, by) = (start.as_int(), step.as_int());
            if by == 0 {
                state.runtime_error("'for' step is zero");
                return THROW;
            }
            let Some(limit_number) = number::to_number(limit) else {
                state.for_error("limit", limit);
                return THROW;
            };
            let last = if limit_number.is_int() {
                limit_number.as_int()
            } else {
                let float = limit_number.as_float();
                // Beyond the integers the loop ends at their end, or does not begin.
                if float.is_nan() {
                    return past;
                } else if float >= 9_223_372_036_854_775_808.0 {
                    if by < 0 {
                        return past;
                    }
                    i64::MAX
                } else if float < -9_223_372_036_854_775_808.0 {
                    if by > 0 {
                        return past;
                    }
                    i64::MIN
                } else if by < 0 {
                    float.ceil() as i64
                } else {
                    float.floor() as i64
                }
            };
            if if by > 0 { first > last } else { first < last } {
                return past;
            }
            let further = if by > 0 {
                let distance = (last as u64).wrapping_sub(first as u64);
                if by == 1 { distance } else { distance / by as u64 }
            } else {
                (first as u64).wrapping_sub(last as u64) / by.unsigned_abs()
            };
            at.add(1).write(Value::int(further as i64));
            at.add(3).write(start);
            return pc;
        }
        let Some(last) = number::to_float(limit) else {
            state.for_error("limit", limit);
            return THROW;
        };
        let Some(by) = number::to_float(step) else {
            state.for_error("step", step);
            return THROW;
        };
        let Some(first) = number::to_float(start) else {
            state.for_error("initial value", start);
            return THROW;
        };
        if by == 0.0 {
            state.runtime_error("'for' step is zero");
            return THROW;
        }
        // What is no number is never beyond the limit: such a loop runs once.
        if if by > 0.0 { last < first } else { first < last } {
            return past;
        }
        at.write(Value::float(first));
        at.add(1).write(Value::float(last));
        at.add(2).write(Value::float(by));
        at.add(3).write(Value::float(first));
        pc
    }
}

/// `ForGenericPrepare`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn for_generic_prepare(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: as in `for_prepare`.
    unsafe {
        let i = &*pc.sub(1);
        (*state.runloop.frame).pc = pc;
        if state.mark_to_be_closed(base.add(i.a as usize + 3)).is_err() {
            return THROW;
        }
        pc.offset(i.d as isize)
    }
}

/// `ForCall`: for `next` and the iterator of `ipairs` the whole step, and the `ForGenericLoop` behind it.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn for_call(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: as in `for_prepare`; the instruction behind is a `ForGenericLoop`.
    unsafe {
        let i = &*pc.sub(1);
        let at = base.add(i.a as usize);
        let iterator = at.read();
        if iterator.is(Tag::Native) && (*at.add(1)).is(Tag::Table) {
            let table = (*at.add(1)).as_table();
            match (*iterator.as_native()).intrinsic {
                INTRINSIC_NEXT => {
                    (*state.runloop.frame).pc = pc;
                    if let Some((index, value)) = table::next_element(table, at.add(2).read()) {
                        at.add(2).write(Value::int(index));
                        at.add(4).write(Value::int(index));
                        if i.c >= 2 {
                            copy(at.add(5), value);
                            deliver(state, at.add(4), 2, i32::from(i.c));
                        }
                        return loop_back(state, pc, base);
                    }
                    return match table::next(table, at.add(2).read()) {
                        Ok(Some((key, value))) => {
                            at.add(2).write(key);
                            at.add(4).write(key);
                            if i.c >= 2 {
                                at.add(5).write(value);
                                deliver(state, at.add(4), 2, i32::from(i.c));
                            }
                            loop_back(state, pc, base)
                        }
                        Ok(None) => pc.add(1),
                        Err(table::InvalidKey) => {
                            state.runtime_error("invalid key to 'next'");
                            THROW
                        }
                    };
                }
                INTRINSIC_IPAIRS if (*at.add(2)).is_int() => {
                    let index = (*at.add(2)).as_int().wrapping_add(1);
                    let value = table::get_int(table, index);
                    if !value.is_nil() || (*table).metatable.is_null() {
                        if value.is_nil() {
                            return pc.add(1);
                        }
                        at.add(2).write(Value::int(index));
                        at.add(4).write(Value::int(index));
                        if i.c >= 2 {
                            at.add(5).write(value);
                            deliver(state, at.add(4), 2, i32::from(i.c));
                        }
                        return loop_back(state, pc, base);
                    }
                }
                _ => {}
            }
        }
        (*state.runloop.frame).pc = pc;
        copy(at.add(4), at);
        copy(at.add(5), at.add(1));
        copy(at.add(6), at.add(2));
        match state.enter(at.add(4), 2, 0) {
            Ok(Entered::Frame) => RELOAD,
            Ok(Entered::Done(count)) => {
                deliver(state, at.add(4), count, i32::from(i.c));
                if state.heap.requested != 0 { hook(state, pc, base) } else { pc }
            }
            Err(Throw) => THROW,
        }
    }
}

/// The back-edge of the `ForGenericLoop` at `pc`.
#[inline(always)]
unsafe fn loop_back(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: as in `for_call`.
    unsafe {
        let next = pc.add(1).offset((*pc).d as isize);
        let unit = &mut (*(*state.runloop.frame).prototype).unit;
        unit.counter -= 1;
        if unit.counter < 0 || state.heap.requested != 0 { hook(state, next, base) } else { next }
    }
}

/// `ToBeClosed`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn to_be_closed(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the register lies in the frame's window.
    unsafe {
        let i = &*pc.sub(1);
        (*state.runloop.frame).pc = pc;
        match state.mark_to_be_closed(base.add(i.a as usize)) {
            Ok(()) => pc,
            Err(Throw) => THROW,
        }
    }
}

/// `Close`: one variable, then the instruction runs again; none left, and it is done.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn close(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the register lies in the frame's window.
    unsafe {
        let from = base.add((*pc.sub(1)).a as usize);
        close_one(state, pc, from).unwrap_or(pc)
    }
}

/// Calls `__close` of the innermost to-be-closed variable at or above `from`, if there is one.
///
/// # Safety
/// `pc` must be behind a `Close` or `Return` of the current frame.
pub unsafe fn close_one(state: &mut State, pc: Next, from: *mut Value) -> Option<Next> {
    match state.runloop.to_be_closed.last() {
        Some(&slot) if slot >= from => {
            state.runloop.to_be_closed.pop();
            // SAFETY: the slot is a register of the current frame.
            unsafe {
                let value = slot.read();
                (*state.runloop.frame).pc = pc;
                let handler = state.metamethod(value, Event::Close);
                if handler.is_nil() {
                    state.not_callable_close(value);
                    return Some(THROW);
                }
                Some(call_metamethod(state, pc, handler, &[value, Value::NIL]))
            }
        }
        _ => None,
    }
}

impl State {
    /// Puts a variable on the list of those to be closed, unless its value is nil or false.
    ///
    /// # Errors
    /// When its value has no `__close`.
    ///
    /// # Safety
    /// The slot is a register of the running Lua function.
    pub unsafe fn mark_to_be_closed(&mut self, slot: *mut Value) -> Result<(), Throw> {
        // SAFETY: the function's contract.
        let value = unsafe { slot.read() };
        if value.is_falsy() {
            return Ok(());
        }
        if self.metamethod(value, Event::Close).is_nil() {
            return Err(self.not_closable(slot));
        }
        self.runloop.to_be_closed.push(slot);
        Ok(())
    }

    /// Whether variables at or above `from` are to be closed.
    pub fn is_close_due(&self, from: *mut Value) -> bool {
        self.runloop.to_be_closed.last().is_some_and(|&slot| slot >= from)
    }

    /// Closes the variables at or above `from`, innermost first, in nested run loops.
    ///
    /// # Errors
    /// Those of the closing functions; what is left is for whoever catches it to close.
    ///
    /// # Safety
    /// The slots still hold the variables.
    pub unsafe fn close_from(&mut self, from: *mut Value) -> Result<(), Throw> {
        while self.is_close_due(from)
            && let Some(slot) = self.runloop.to_be_closed.pop()
        {
            // SAFETY: the function's contract.
            let value = unsafe { slot.read() };
            let handler = self.metamethod(value, Event::Close);
            if handler.is_nil() {
                return Err(self.not_callable_close(value));
            }
            self.call(handler, &[value, Value::NIL], Some(0))?;
        }
        Ok(())
    }
}
