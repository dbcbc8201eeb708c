//! Comparisons off the fast path: numbers of different kinds, strings, metamethods, errors.

use std::cmp::Ordering;

use crate::bytecode::{Instruction, Op};
use crate::interpreter::call::call_metamethod;
use crate::interpreter::{Next, THROW};
use crate::metamethod::Event;
use crate::number;
use crate::object::LuaString;
use crate::state::{State, Throw};
use crate::table::raw_equals;
use crate::value::{Tag, Value};

/// Where a conditional instruction goes on.
#[inline(always)]
unsafe fn branch(i: &Instruction, pc: Next, condition: bool) -> Next {
    // SAFETY: the compiler's jumps stay inside the code.
    unsafe { if condition == (i.c & 1 != 0) { pc.offset(i.d as isize) } else { pc } }
}

/// `a < b` or `a <= b` of two numbers or two strings.
#[inline]
fn order(or_equal: bool, a: Value, b: Value) -> Option<bool> {
    Some(match (a.is_int(), a.is_float(), b.is_int(), b.is_float()) {
        (true, _, true, _) => {
            if or_equal {
                a.as_int() <= b.as_int()
            } else {
                a.as_int() < b.as_int()
            }
        }
        (_, true, _, true) => {
            if or_equal {
                a.as_float() <= b.as_float()
            } else {
                a.as_float() < b.as_float()
            }
        }
        (true, _, _, true) => {
            if or_equal {
                number::int_less_equal_float(a.as_int(), b.as_float())
            } else {
                number::int_less_float(a.as_int(), b.as_float())
            }
        }
        (_, true, true, _) => {
            if or_equal {
                number::float_less_equal_int(a.as_float(), b.as_int())
            } else {
                number::float_less_int(a.as_float(), b.as_int())
            }
        }
        _ => {
            if !(a.is(Tag::String) && b.is(Tag::String)) {
                return None;
            }
            let ordering = LuaString::bytes(a.as_string()).cmp(LuaString::bytes(b.as_string()));
            ordering == Ordering::Less || (or_equal && ordering == Ordering::Equal)
        }
    })
}

/// `Less`, `LessEqual` and the forms with a small constant.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_order(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind an instruction of the current Lua frame.
    unsafe {
        let i = &*pc.sub(1);
        let x = base.add(i.a as usize).read();
        let small = || {
            let int = i.b as i8;
            if i.c & 2 != 0 { Value::float(f64::from(int)) } else { Value::int(i64::from(int)) }
        };
        let (or_equal, x, y) = match i.op {
            Op::Less => (false, x, base.add(i.b as usize).read()),
            Op::LessEqual => (true, x, base.add(i.b as usize).read()),
            Op::LessInt => (false, x, small()),
            Op::LessEqualInt => (true, x, small()),
            Op::GreaterInt => (false, small(), x),
            _ => (true, small(), x),
        };
        if let Some(condition) = order(or_equal, x, y) {
            return branch(i, pc, condition);
        }
        (*state.runloop.frame).pc = pc;
        let handler = state.binary_metamethod(if or_equal { Event::LessEqual } else { Event::Less }, x, y);
        if handler.is_nil() {
            state.compare_error(x, y);
            return THROW;
        }
        call_metamethod(state, pc, handler, &[x, y])
    }
}

/// `Equal`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_equal(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind an instruction of the current Lua frame.
    unsafe {
        let i = &*pc.sub(1);
        let (x, y) = (base.add(i.a as usize).read(), base.add(i.b as usize).read());
        if raw_equals(x, y) {
            return branch(i, pc, true);
        }
        let handler = state.equality_metamethod(x, y);
        if handler.is_nil() {
            return branch(i, pc, false);
        }
        (*state.runloop.frame).pc = pc;
        call_metamethod(state, pc, handler, &[x, y])
    }
}

/// `EqualConstant`: never a metamethod's business.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_equal_constant(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind an instruction of the current Lua frame.
    unsafe {
        let i = &*pc.sub(1);
        let constant = (&(*(*state.runloop.frame).prototype).constants)[i.b as usize];
        branch(i, pc, raw_equals(base.add(i.a as usize).read(), constant))
    }
}

impl State {
    /// The `__eq` that decides about two different values, or nil.
    fn equality_metamethod(&self, x: Value, y: Value) -> Value {
        if x.tag == y.tag && (x.is(Tag::Table) || x.is(Tag::Userdata)) {
            self.binary_metamethod(Event::Equal, x, y)
        } else {
            Value::NIL
        }
    }

    /// `x == y`.
    pub fn equals(&mut self, x: Value, y: Value) -> Result<bool, Throw> {
        if raw_equals(x, y) {
            return Ok(true);
        }
        let handler = self.equality_metamethod(x, y);
        if handler.is_nil() {
            return Ok(false);
        }
        Ok(!self.call_one(handler, &[x, y])?.is_falsy())
    }

    /// `x < y`.
    #[inline]
    pub fn less_than(&mut self, x: Value, y: Value) -> Result<bool, Throw> {
        self.ordered(false, x, y)
    }

    /// `x <= y`.
    #[inline]
    pub fn less_equal(&mut self, x: Value, y: Value) -> Result<bool, Throw> {
        self.ordered(true, x, y)
    }

    fn ordered(&mut self, or_equal: bool, x: Value, y: Value) -> Result<bool, Throw> {
        if let Some(condition) = order(or_equal, x, y) {
            return Ok(condition);
        }
        let handler = self.binary_metamethod(if or_equal { Event::LessEqual } else { Event::Less }, x, y);
        if handler.is_nil() {
            return Err(self.compare_error(x, y));
        }
        Ok(!self.call_one(handler, &[x, y])?.is_falsy())
    }
}
