//! Tables without metamethods: stores whose case was proved, metatables, traversal, and write barriers.

use super::frame::{allocated, attempt, state_of};
use super::{Context, Value};
use crate::heap::Heap;
use crate::interpreter::copy;
use crate::metamethod::Event;
use crate::object::{Buffer, Header, Table};
use crate::shape::Shape;
use crate::table::{self, InvalidKey};

/// Room for properties when the first one comes.
const FIRST_SLOTS: u32 = 4;

/// Moves a table along a transition: one more property, in the last slot of the new shape.
///
/// # Safety
/// The table and the shape are live, and the shape is the table's with one key more.
unsafe fn add_field(heap: &mut Heap, object: *mut Table, shape: *mut Shape, slot: u32, value: Value) {
    // SAFETY: the slot exists before the shape says so.
    unsafe {
        if slot >= (*object).slot_capacity {
            table::reserve_slots(heap, object, (slot * 2).max(FIRST_SLOTS));
        }
        Buffer::values((*object).slots).add(slot as usize).write(value);
        (*object).shape = shape;
        heap.barrier_value(object as *mut Header, value);
    }
}

host_functions! {
    /// `t[index] = value` for a table without `__newindex`, and a value that is not nil: at the end of the array part or
    /// anywhere else.
    fn lua_append(context, window; object: ref Table, index: i64, value: any) {
        table::set_int(&mut state_of(context).heap, object, index, value);
        allocated(context, window, Value::NIL);
    }

    /// Adds a property, not nil, to a table whose shape is the one before `shape` and which is no one's metatable.
    fn lua_add_field(context, window; object: ref Table, shape: raw Shape, slot: i64, value: any) {
        add_field(&mut state_of(context).heap, object, shape, slot as u32, value);
        allocated(context, window, Value::NIL);
    }

    /// `t[first_index + i] = from[i - 1]` for `1 <= i <= count`, as a table constructor does.
    fn lua_set_list(context, window; object: any, from: raw Value, count: i64, first_index: i64) {
        let heap = &mut state_of(context).heap;
        table::set_list(heap, object.as_table(), first_index + 1, from, count as usize);
        allocated(context, window, Value::NIL);
    }

    /// The key behind `key` in the table, nil at the end. Key and value are left at `to[0]` and `to[1]`, and nil at `to[2]`.
    fn lua_next(context, window; object: ref Table, key: any, to: raw Value) -> any {
        if let Some((index, value)) = table::next_element(object, key) {
            to.write(Value::int(index));
            copy(to.add(1), value);
            to.add(2).write(Value::NIL);
            return Value::int(index);
        }
        let (key, value) = match table::next(object, key) {
            Ok(found) => found.unwrap_or((Value::NIL, Value::NIL)),
            Err(InvalidKey) => {
                attempt(context, window, |state| Err(state.runtime_error("invalid key to 'next'")))
            }
        };
        to.write(key);
        to.add(1).write(value);
        to.add(2).write(Value::NIL);
        key
    }

    /// `setmetatable(object, metatable)`.
    fn lua_set_metatable(context, window; object: ref Table, metatable: ref Table) {
        let state = state_of(context);
        let before = (*object).metatable;
        if !before.is_null() && !table::metamethod(&state.heap, before, Event::Metatable).is_nil() {
            attempt(context, window, |state| -> Result<(), _> {
                Err(state.runtime_error("cannot change a protected metatable"))
            });
        }
        table::set_metatable(&mut state.heap, object, metatable);
        allocated(context, window, Value::NIL);
    }

    /// The write barrier, behind a store of anything to `object`.
    fn lua_barrier(context; object: ref Header) {
        state_of(context).heap.barrier(object);
    }

    /// The write barrier, behind a store of `value` to an element of a table's array part; `index` counts from zero.
    fn lua_barrier_element(context; object: ref Table, index: i64, value: any) {
        state_of(context).heap.barrier_element(object, index as usize, value);
    }
}
