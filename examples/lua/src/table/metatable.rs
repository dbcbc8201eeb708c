//! Metatables of tables: setting one, and finding its metamethods.

use super::hash;
use super::slots::{property_limit, to_dictionary};
use crate::heap::Heap;
use crate::metamethod::Event;
use crate::object::{Buffer, FLAG_CLASS_LIKE, Header, TABLE_GLOBALS, Table};
use crate::shape::Shape;
use crate::value::Value;

/// Gives a table a metatable, or null. If that has `__gc`, the table will be finalized.
pub fn set_metatable(heap: &mut Heap, table: *mut Table, metatable: *mut Table) {
    // SAFETY: both are live. The new shape counts the same keys in the same order, so slots stay as they are.
    unsafe {
        if (*table).metatable != metatable {
            super::leave_own_tree(heap, table);
            let from = (*table).shape;
            let mut to = heap.shapes.remembered_move(metatable, from);
            if to.is_null() {
                to = find_shape(heap, table, metatable);
            }
            (*table).shape = to;
            (*table).metatable = metatable;
            if (*table).header.flags & FLAG_CLASS_LIKE != 0 {
                heap.chains_changed();
            }
            if !metatable.is_null() {
                heap.barrier_value(table as *mut Header, Value::table(metatable));
            }
        }
        if !metatable.is_null() {
            heap.watch_finalizer(table as *mut Header, metatable);
        }
    }
}

/// The shape that the table will have. Makes it a dictionary if there is none with its keys.
#[inline(never)]
unsafe fn find_shape(heap: &mut Heap, table: *mut Table, metatable: *mut Table) -> *mut Shape {
    // SAFETY: the caller's tables are live.
    unsafe {
        let from = (*table).shape;
        let root = if !metatable.is_null() {
            let is_young = heap.is_young(metatable as u64);
            heap.shapes.root_of(metatable, is_young)
        } else if (*table).header.extra & TABLE_GLOBALS != 0 {
            heap.globals_shape()
        } else {
            heap.root_shape
        };
        if (*from).is_dictionary() {
            return heap.shapes.dictionary_of(root);
        }
        let limit = property_limit(table);
        let mut to = root;
        for slot in 0..(*from).count {
            to = heap.shapes.with_key(to, (*from).key(slot), limit);
            if to.is_null() {
                to_dictionary(heap, table);
                return heap.shapes.dictionary_of(root);
            }
        }
        heap.shapes.remember_move(metatable, from, to);
        to
    }
}

/// A metamethod of a metatable (not null), or nil. Shapes remember which events their tables do not have.
#[inline(always)]
pub fn metamethod(heap: &Heap, metatable: *mut Table, event: Event) -> Value {
    // SAFETY: the metatable is live, and its shape with it.
    if unsafe { (*(*metatable).shape).absent_events } >> event as u32 & 1 != 0 {
        return Value::NIL;
    }
    find_metamethod(heap, metatable, event)
}

#[inline(never)]
fn find_metamethod(heap: &Heap, metatable: *mut Table, event: Event) -> Value {
    // SAFETY: the metatable is live, and its shape with it.
    unsafe {
        let shape = (*metatable).shape;
        let name = heap.event_names[event as usize];
        if let Some(slot) = (*shape).lookup(name) {
            return *Buffer::values((*metatable).slots).add(slot as usize);
        }
        if (*shape).is_dictionary() {
            return hash::get(metatable, Value::string(name));
        }
        (*shape).absent_events |= 1 << event as u32;
        Value::NIL
    }
}
