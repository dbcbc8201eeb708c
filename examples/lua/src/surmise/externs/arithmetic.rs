//! Arithmetic and bit operations, `#`, and functions of `math`.
//!
//! Operands of the same kind come first; mixed numbers, strings that spell numbers, metamethods and errors are the
//! interpreter's business.

use super::frame::guest;
use super::{Context, Value};
use crate::metamethod::Event;
use crate::number;
use crate::object::{LuaString, Table};
use crate::table;
use crate::value::Tag;

/// Any operation of two operands (of one: twice the same).
///
/// # Safety
/// As for [`guest`].
#[cold]
#[inline(never)]
unsafe fn slow(context: *mut Context, window: *mut Value, event: Event, x: Value, y: Value) -> Value {
    // SAFETY: handed on.
    unsafe { guest(context, window, |state| state.arithmetic(event, x, y)) }
}

/// The two integers, if both are.
#[inline(always)]
fn ints(x: Value, y: Value) -> Option<(i64, i64)> {
    (x.is_int() && y.is_int()).then(|| (x.as_int(), y.as_int()))
}

/// The two floats, if both are.
#[inline(always)]
fn floats(x: Value, y: Value) -> Option<(f64, f64)> {
    (x.is_float() && y.is_float()).then(|| (x.as_float(), y.as_float()))
}

host_functions! {
    /// `x + y`.
    fn lua_add(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y) {
            return Value::int(a.wrapping_add(b));
        }
        if let Some((a, b)) = floats(x, y) {
            return Value::float(a + b);
        }
        slow(context, window, Event::Add, x, y)
    }

    /// `x - y`.
    fn lua_sub(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y) {
            return Value::int(a.wrapping_sub(b));
        }
        if let Some((a, b)) = floats(x, y) {
            return Value::float(a - b);
        }
        slow(context, window, Event::Sub, x, y)
    }

    /// `x * y`.
    fn lua_mul(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y) {
            return Value::int(a.wrapping_mul(b));
        }
        if let Some((a, b)) = floats(x, y) {
            return Value::float(a * b);
        }
        slow(context, window, Event::Mul, x, y)
    }

    /// `x / y`.
    fn lua_div(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = floats(x, y) {
            return Value::float(a / b);
        }
        slow(context, window, Event::Div, x, y)
    }

    /// `x % y`.
    fn lua_mod(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y)
            && b != 0
        {
            return Value::int(number::modulo(a, b));
        }
        slow(context, window, Event::Mod, x, y)
    }

    /// `x ^ y`.
    fn lua_pow(context, window; x: any, y: any) -> any {
        slow(context, window, Event::Pow, x, y)
    }

    /// `x // y`.
    fn lua_floor_div(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y)
            && b != 0
        {
            return Value::int(number::floor_divide(a, b));
        }
        slow(context, window, Event::FloorDiv, x, y)
    }

    /// `x & y`.
    fn lua_bit_and(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y) {
            return Value::int(a & b);
        }
        slow(context, window, Event::BitAnd, x, y)
    }

    /// `x | y`.
    fn lua_bit_or(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y) {
            return Value::int(a | b);
        }
        slow(context, window, Event::BitOr, x, y)
    }

    /// `x ~ y`.
    fn lua_bit_xor(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y) {
            return Value::int(a ^ b);
        }
        slow(context, window, Event::BitXor, x, y)
    }

    /// `x << y`.
    fn lua_shift_left(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y) {
            return Value::int(number::shift_left(a, b));
        }
        slow(context, window, Event::ShiftLeft, x, y)
    }

    /// `x >> y`.
    fn lua_shift_right(context, window; x: any, y: any) -> any {
        if let Some((a, b)) = ints(x, y) {
            return Value::int(number::shift_left(a, b.saturating_neg()));
        }
        slow(context, window, Event::ShiftRight, x, y)
    }

    /// `-x`.
    fn lua_negate(context, window; x: any) -> any {
        if x.is_int() {
            return Value::int(x.as_int().wrapping_neg());
        }
        if x.is_float() {
            return Value::float(-x.as_float());
        }
        slow(context, window, Event::Negate, x, x)
    }

    /// `~x`.
    fn lua_bit_not(context, window; x: any) -> any {
        if x.is_int() {
            return Value::int(!x.as_int());
        }
        slow(context, window, Event::BitNot, x, x)
    }

    /// `#x`.
    fn lua_length(context, window; x: any) -> any {
        if x.is(Tag::String) {
            return Value::int(LuaString::bytes(x.as_string()).len() as i64);
        }
        if x.is(Tag::Table) && (*x.as_table()).metatable.is_null() {
            return Value::int(table::length(x.as_table()));
        }
        guest(context, window, |state| state.length(x))
    }

    /// `#t` of a table without `__len`.
    fn lua_table_length(_; object: ref Table) -> i64 {
        table::length(object)
    }

    /// `x % y` of floats.
    fn lua_float_mod(_; x: f64, y: f64) -> f64 {
        number::float_modulo(x, y)
    }

    /// `x ^ y` of floats.
    fn lua_pow_float(_; x: f64, y: f64) -> f64 {
        number::power(x, y)
    }

    /// `math.sin(x)`.
    fn lua_sin(_; x: f64) -> f64 {
        x.sin()
    }

    /// `math.cos(x)`.
    fn lua_cos(_; x: f64) -> f64 {
        x.cos()
    }

    /// `math.exp(x)`.
    fn lua_exp(_; x: f64) -> f64 {
        x.exp()
    }

    /// `math.log(x)`.
    fn lua_log(_; x: f64) -> f64 {
        x.ln()
    }
}
