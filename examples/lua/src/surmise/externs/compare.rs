//! Comparisons and truth.

use super::frame::{guest, state_of};
use super::{Context, Value};
use crate::heap::Heap;
use crate::metamethod::Event;
use crate::object::{LuaString, Table};
use crate::string;
use crate::table;

/// Whether a table lacks `__eq`.
fn lacks_equal(heap: &Heap, object: *mut Table) -> bool {
    // SAFETY: the caller's table is live.
    let metatable = unsafe { (*object).metatable };
    metatable.is_null() || table::metamethod(heap, metatable, Event::Equal).is_nil()
}

host_functions! {
    /// `x == y`.
    fn lua_equal(context, window; x: any, y: any) -> i1 {
        if table::raw_equals(x, y) {
            return 1;
        }
        guest(context, window, |state| state.equals(x, y).map(Value::bool)).payload
    }

    /// `x < y`.
    fn lua_less(context, window; x: any, y: any) -> i1 {
        if x.is_int() && y.is_int() {
            return u64::from(x.as_int() < y.as_int());
        }
        if x.is_float() && y.is_float() {
            return u64::from(x.as_float() < y.as_float());
        }
        guest(context, window, |state| state.less_than(x, y).map(Value::bool)).payload
    }

    /// `x <= y`.
    fn lua_less_equal(context, window; x: any, y: any) -> i1 {
        if x.is_int() && y.is_int() {
            return u64::from(x.as_int() <= y.as_int());
        }
        if x.is_float() && y.is_float() {
            return u64::from(x.as_float() <= y.as_float());
        }
        guest(context, window, |state| state.less_equal(x, y).map(Value::bool)).payload
    }

    /// `x < y` of strings.
    fn lua_less_string(_; x: ref LuaString, y: ref LuaString) -> i1 {
        u64::from(LuaString::bytes(x) < LuaString::bytes(y))
    }

    /// `x <= y` of strings.
    fn lua_less_equal_string(_; x: ref LuaString, y: ref LuaString) -> i1 {
        u64::from(LuaString::bytes(x) <= LuaString::bytes(y))
    }

    /// `x == y` of strings.
    fn lua_equal_string(_; x: ref LuaString, y: ref LuaString) -> i1 {
        u64::from(string::equals(x, y))
    }

    /// Whether neither of two tables has `__eq`: they are equal if they are the same.
    fn lua_without_equal(context; x: ref Table, y: ref Table) -> i1 {
        let heap = &state_of(context).heap;
        u64::from(lacks_equal(heap, x) && lacks_equal(heap, y))
    }

    /// Whether a value counts as true.
    fn lua_truthy(_; x: any) -> i1 {
        u64::from(!x.is_falsy())
    }
}
