//! Tables: raw access.
//!
//! ```text
//! Table ── shape ──▶ keys and positions of named properties, metatable
//!       ├─ slots ──▶ their values                    interned string keys, unless the table is a dictionary
//!       ├─ array ──▶ values of 1..=array_length
//!       └─ hash  ──▶ everything else (table/hash.rs)
//! ```
//!
//! What must hold between any two calls:
//! * `array_length` is 0, or the last element of the array part is not nil;
//! * the hash part has no value for `array_length + 1`: the array length is a border;
//! * an integer key `1..=array_length` is in the array part only; float keys with integer values are integers;
//! * in a table that is no dictionary, interned strings are never keys of the hash part;
//! * assigning nil never moves or removes anything (a traversal may do it): slots and entries stay, with value nil.
//!
//! Nothing here looks at metamethods; `cache.rs` walks `__index` and `__newindex` chains.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

mod array;
mod hash;
mod kept;
mod metatable;
mod next;
mod slots;
#[cfg(test)]
mod tests;

pub(crate) use array::shrink_array;
pub use array::{append, array, element, insert_element, remove_element, reserve_array, set_list};
pub use hash::{Entry, HashPart};
pub(crate) use kept::leave_own_tree;
pub use kept::{claim, note_store};
pub use metatable::{metamethod, set_metatable};
pub use next::{InvalidKey, Position, advance, next, next_element};
pub use slots::reserve_slots;
use slots::{add_property, note_class_change};
pub(crate) use slots::{clear_property, grow_slots};

use crate::heap::Heap;
use crate::object::{Buffer, FLAG_CLASS_LIKE, FLAG_KEPT_FIELDS, Header, LuaString, Table};
use crate::value::{Tag, Value};

/// Why a value can't be a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyError {
    /// nil.
    Nil,
    /// Not a number.
    Nan,
}

/// The integer that a float key stands for, if there is one.
#[inline(always)]
pub fn float_key(float: f64) -> Option<i64> {
    // The cast saturates, so the comparison fails for everything that has a fraction or is out of range, except 2^63.
    let int = float as i64;
    (int as f64 == float && int != i64::MAX).then_some(int)
}

/// `t[key]`, nil if there is no such field.
#[inline]
pub fn get(table: *mut Table, key: Value) -> Value {
    if key.is(Tag::String) {
        get_string(table, key.as_string())
    } else if key.is_int() {
        get_int(table, key.as_int())
    } else {
        get_other(table, key)
    }
}

#[inline(never)]
fn get_other(table: *mut Table, key: Value) -> Value {
    if key.is_float()
        && let Some(int) = float_key(key.as_float())
    {
        return get_int(table, int);
    }
    hash::get(table, key)
}

/// `t[index]`.
#[inline(always)]
pub fn get_int(table: *mut Table, index: i64) -> Value {
    // SAFETY: the table is live; elements below the array length are initialized.
    unsafe {
        let place = (index as u64).wrapping_sub(1);
        if place < (*table).array_length as u64 {
            return *Buffer::values((*table).array).add(place as usize);
        }
        if (*table).hash.is_null() {
            return Value::NIL;
        }
        hash::get_int(table, index)
    }
}

/// `t[key]`.
#[inline]
pub fn get_string(table: *mut Table, key: *mut LuaString) -> Value {
    let slot = property(table, key);
    if !slot.is_null() {
        // SAFETY: the slot belongs to the table.
        return unsafe { *slot };
    }
    // SAFETY: the table is live.
    if unsafe { (*table).hash.is_null() } {
        return Value::NIL;
    }
    hash::get(table, Value::string(key))
}

/// Where the shape says that a property is, or null: the key is absent, or not of a kind that shapes know.
#[inline]
pub fn property(table: *mut Table, key: *mut LuaString) -> *mut Value {
    // SAFETY: the table is live; its slots have room for what its shape counts.
    unsafe {
        if LuaString::is_interned(key)
            && let Some(slot) = (*(*table).shape).lookup(key)
        {
            return Buffer::values((*table).slots).add(slot as usize);
        }
        std::ptr::null_mut()
    }
}

/// `t[key] = value`, without metamethods.
///
/// # Errors
/// When the key is nil or not a number.
#[inline]
pub fn set(heap: &mut Heap, table: *mut Table, key: Value, value: Value) -> Result<(), KeyError> {
    if key.is(Tag::String) {
        set_string(heap, table, key.as_string(), value);
    } else if key.is_int() {
        set_int(heap, table, key.as_int(), value);
    } else {
        return set_other(heap, table, key, value);
    }
    Ok(())
}

#[inline(never)]
fn set_other(heap: &mut Heap, table: *mut Table, key: Value, value: Value) -> Result<(), KeyError> {
    if key.is_nil() {
        return Err(KeyError::Nil);
    }
    if key.is_float() {
        let float = key.as_float();
        if let Some(int) = float_key(float) {
            set_int(heap, table, int, value);
            return Ok(());
        }
        if float.is_nan() {
            return Err(KeyError::Nan);
        }
    }
    hash::set(heap, table, key, value);
    Ok(())
}

/// `t[index] = value`.
#[inline(always)]
pub fn set_int(heap: &mut Heap, table: *mut Table, index: i64, value: Value) {
    // SAFETY: the table is live; the place is inside its array part.
    unsafe {
        let place = (index as u64).wrapping_sub(1);
        if place < (*table).array_length as u64 && !value.is_nil() {
            *Buffer::values((*table).array).add(place as usize) = value;
            heap.barrier_element(table, place as usize, value);
            return;
        }
    }
    set_int_slow(heap, table, index, value);
}

#[inline(never)]
fn set_int_slow(heap: &mut Heap, table: *mut Table, index: i64, value: Value) {
    // SAFETY: the table is live; the place is inside its array part.
    unsafe {
        let place = (index as u64).wrapping_sub(1);
        let length = (*table).array_length as u64;
        if place == length && !value.is_nil() {
            append(heap, table, value);
        } else if place < length {
            // nil: other values were stored before.
            *Buffer::values((*table).array).add(place as usize) = value;
            if place + 1 == length {
                shrink_array(table);
            }
        } else {
            hash::set(heap, table, Value::int(index), value);
        }
    }
}

/// `t[key] = value`.
#[inline]
pub fn set_string(heap: &mut Heap, table: *mut Table, key: *mut LuaString, value: Value) {
    let slot = property(table, key);
    if !slot.is_null() {
        // SAFETY: the slot belongs to the table, which is live.
        unsafe {
            let before = *slot;
            *slot = value;
            let flags = (*table).header.flags;
            if flags & FLAG_CLASS_LIKE != 0 {
                note_class_change(heap, key, before, value);
            }
            if flags & FLAG_KEPT_FIELDS != 0 {
                note_store(heap, table, slot.offset_from(Buffer::values((*table).slots)) as u32);
            }
        }
        heap.barrier_value(table as *mut Header, value);
        return;
    }
    set_absent_string(heap, table, key, value);
}

#[inline(never)]
fn set_absent_string(heap: &mut Heap, table: *mut Table, key: *mut LuaString, value: Value) {
    // SAFETY: the table is live.
    if LuaString::is_interned(key) && unsafe { !(*(*table).shape).is_dictionary() } {
        if !value.is_nil() {
            add_property(heap, table, key, value);
        }
    } else {
        hash::set(heap, table, Value::string(key), value);
    }
}

/// `#t` without metamethod: a border. Constant time.
#[inline(always)]
pub fn length(table: *mut Table) -> i64 {
    // SAFETY: the table is live. That the array length is a border is in the module comment.
    unsafe { (*table).array_length as i64 }
}

/// Whether two values are equal without metamethods.
#[inline]
pub fn raw_equals(a: Value, b: Value) -> bool {
    if a.tag != b.tag {
        if a.is_int() && b.is_float() {
            return a.as_int() as f64 == b.as_float() && float_key(b.as_float()) == Some(a.as_int());
        }
        if a.is_float() && b.is_int() {
            return raw_equals(b, a);
        }
        return false;
    }
    if a.is_float() {
        return a.as_float() == b.as_float();
    }
    if a.is(Tag::String) {
        return crate::string::equals(a.as_string(), b.as_string());
    }
    a.payload == b.payload
}
