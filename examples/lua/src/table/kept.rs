//! Fields that keep their values: a table with a tree of shapes of its own, in which each store to a field that was not stored to
//! before is noticed.
//!
//! Such a table is alone in its tree, so its shape says which table it is. *What must hold:* no cache, and no compiled code, knows how
//! to store to a field of such a shape before [`note_store`] was told of a store to it. Caches learn a store by doing it slowly once.

use super::slots::property_limit;
use crate::heap::Heap;
use crate::object::{FLAG_KEPT_FIELDS, LuaString, TABLE_GLOBALS, Table};
use crate::shape::SHAPE_GLOBALS;

/// The claim that a property keeps its value: of a table that is no dictionary, in a slot that it has. `None` if none can be made.
pub fn claim(heap: &mut Heap, table: *mut Table, slot: u32) -> Option<u32> {
    // SAFETY: the table is live, and so is its shape.
    unsafe {
        if (*table).header.flags & FLAG_KEPT_FIELDS == 0 && !take_own_tree(heap, table) {
            return None;
        }
        heap.claims.field((*(*table).shape).root, slot)
    }
}

/// Moves a table to a tree of its own. Its slots stay as they are.
unsafe fn take_own_tree(heap: &mut Heap, table: *mut Table) -> bool {
    // SAFETY: the caller's table is live and no dictionary.
    unsafe {
        let from = (*table).shape;
        let metatable = (*table).metatable;
        // A young metatable's trees are looked for by the metatable when it moves: they are one for each.
        if !heap.claims.has_room() || !metatable.is_null() && heap.is_young(metatable as u64) {
            return false;
        }
        let of_globals = (*table).header.extra & TABLE_GLOBALS != 0;
        let root = heap.shapes.make_root(if of_globals { SHAPE_GLOBALS } else { 0 }, metatable);
        let mut to = root;
        for slot in 0..(*from).count {
            to = heap.shapes.with_key(to, (*from).key(slot), property_limit(table));
            if to.is_null() {
                return false;
            }
        }
        heap.claims.tree_made(root);
        (*table).shape = to;
        (*table).header.flags |= FLAG_KEPT_FIELDS;
        true
    }
}

/// A property of a table with a tree of its own is stored to.
#[cold]
#[inline(never)]
pub fn note_store(heap: &mut Heap, table: *mut Table, slot: u32) {
    // SAFETY: the table is live, and so is its shape.
    heap.claims.field_changed(unsafe { (*(*table).shape).root }, slot);
}

/// A table that may have a tree of its own is about to leave it, or what its slots hold has changed unseen.
pub(crate) fn leave_own_tree(heap: &mut Heap, table: *mut Table) {
    // SAFETY: the table is live, and so is its shape.
    unsafe {
        if (*table).header.flags & FLAG_KEPT_FIELDS != 0 {
            (*table).header.flags &= !FLAG_KEPT_FIELDS;
            heap.claims.tree_left((*(*table).shape).root);
        }
    }
}

impl Heap {
    /// Lookups that went through class-like tables, or through the metatables of types, may lead elsewhere.
    pub(crate) fn chains_changed(&mut self) {
        self.class_epoch += 1;
        self.claims.chains_changed();
    }
    /// A class-like table has got or lost a field with this key.
    pub(crate) fn class_key_changed(&mut self, key: *mut LuaString) {
        self.class_epoch += 1;
        self.claims.key_changed(key);
    }
}
