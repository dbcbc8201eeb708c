//! Named properties: adding keys, dictionary mode, and what a change means for others' cached lookups.

use super::hash;
use crate::heap::Heap;
use crate::object::{Buffer, FLAG_CLASS_LIKE, FLAG_OLD, Header, LuaString, TABLE_GLOBALS, Table};
use crate::shape::{MAXIMUM_GLOBALS, MAXIMUM_PROPERTIES};
use crate::value::Value;

/// Room for properties when the first one comes without a hint.
const FIRST_SLOTS: u32 = 4;
/// Properties that a table may have when one more is added with value nil.
const MAXIMUM_ADDED_NIL: u32 = 32;
/// How many times more than doubling asks for may be reserved because other tables of the shape have got that far.
const EXPECTED_FACTOR: u32 = 4;

/// To be called when a field with a string key of a class-like table changes: if it comes, goes, or is a metamethod's, cached
/// lookups through the table are void.
#[inline]
pub(crate) fn note_class_change(heap: &mut Heap, key: *mut LuaString, before: Value, after: Value) {
    if LuaString::bytes(key).starts_with(b"__") {
        heap.chains_changed();
    }
    if before.is_nil() != after.is_nil() {
        heap.class_key_changed(key);
    }
}

/// The number of properties that a table may have.
pub(crate) fn property_limit(table: *mut Table) -> u32 {
    // SAFETY: the table is live.
    if unsafe { (*table).header.extra } & TABLE_GLOBALS != 0 { MAXIMUM_GLOBALS } else { MAXIMUM_PROPERTIES }
}

/// Adds a property to a table that is no dictionary and does not have it. The key is interned, the value not nil.
pub(crate) fn add_property(heap: &mut Heap, table: *mut Table, key: *mut LuaString, value: Value) {
    // SAFETY: the table is live; the slot exists before the shape says so.
    unsafe {
        let shape = heap.shapes.with_key((*table).shape, key, property_limit(table));
        if shape.is_null() {
            to_dictionary(heap, table);
            hash::set(heap, table, Value::string(key), value);
            return;
        }
        let slot = (*(*table).shape).count;
        if slot >= (*table).slot_capacity {
            grow_slots(heap, table);
        }
        *Buffer::values((*table).slots).add(slot as usize) = value;
        (*table).shape = shape;
        if (*table).header.flags & FLAG_CLASS_LIKE != 0 {
            note_class_change(heap, key, Value::NIL, value);
        }
        heap.barrier_value(table as *mut Header, value);
    }
}

/// `t[key] = nil`, for a key that the program names (`self.next = nil`). If there is no such property yet, it is added, with
/// value nil: objects of a kind have one shape then, whichever of their fields they begin with.
pub(crate) fn clear_property(heap: &mut Heap, table: *mut Table, key: *mut LuaString) {
    // SAFETY: the table is live; the slot exists before the shape says so.
    unsafe {
        let shape = (*table).shape;
        let count = (*shape).count;
        let adds = LuaString::is_interned(key)
            && !(*shape).is_dictionary()
            && count < MAXIMUM_ADDED_NIL
            && (*shape).lookup(key).is_none();
        if adds {
            let with_key = heap.shapes.with_key(shape, key, MAXIMUM_ADDED_NIL);
            if !with_key.is_null() {
                if count >= (*table).slot_capacity {
                    grow_slots(heap, table);
                }
                *Buffer::values((*table).slots).add(count as usize) = Value::NIL;
                (*table).shape = with_key;
            }
            return;
        }
        super::set_string(heap, table, key, Value::NIL);
    }
}

/// Makes room for at least one property more: for as many as tables of this shape have had, within reason.
pub(crate) fn grow_slots(heap: &mut Heap, table: *mut Table) {
    // SAFETY: the table is live, and so is its shape.
    unsafe {
        let shape = (*table).shape;
        let count = (*shape).count;
        let doubled = (count * 2).max(FIRST_SLOTS);
        // The root of tables without metatable has descendants of all sorts, which say nothing.
        let says_something = count > 0 || !(*shape).metatable.is_null();
        let expected = if says_something { (*shape).deepest.min(doubled * EXPECTED_FACTOR) } else { 0 };
        reserve_slots(heap, table, doubled.max(expected));
    }
}

/// Makes room for at least `capacity` properties.
pub fn reserve_slots(heap: &mut Heap, table: *mut Table, capacity: u32) {
    // SAFETY: the table is live; its shape counts how many slots are initialized.
    unsafe {
        if capacity <= (*table).slot_capacity {
            return;
        }
        let before = (*table).slots;
        let slots = heap.new_buffer(table, capacity, false);
        if !before.is_null() {
            let count = (*(*table).shape).count as usize;
            std::ptr::copy_nonoverlapping(Buffer::values(before), Buffer::values(slots), count);
        }
        (*table).slots = slots;
        (*table).slot_capacity = capacity;
        heap.free_part(before as *mut Header);
    }
}

/// Moves all properties to the hash part.
pub(crate) fn to_dictionary(heap: &mut Heap, table: *mut Table) {
    // SAFETY: the table is live; its shape counts how many slots are initialized.
    unsafe {
        let shape = (*table).shape;
        let slots = (*table).slots;
        debug_assert!(!(*shape).is_dictionary());
        super::leave_own_tree(heap, table);
        (*table).shape = heap.shapes.dictionary_of(shape);
        (*table).slots = std::ptr::null_mut();
        (*table).slot_capacity = 0;
        for slot in 0..(*shape).count {
            let value = *Buffer::values(slots).add(slot as usize);
            if !value.is_nil() {
                hash::set(heap, table, Value::string((*shape).key(slot)), value);
            }
        }
        heap.free_part(slots as *mut Header);
        if (*table).header.flags & FLAG_CLASS_LIKE != 0 {
            heap.chains_changed();
        }
        debug_assert!((*table).header.flags & FLAG_OLD == 0 || (*table).slots.is_null());
    }
}
