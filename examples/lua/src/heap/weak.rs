//! Weak tables, ephemerons and finalizers: the part of a full collection between marking and sweep.
//!
//! The order is that of the reference manual (§2.5.3, §2.5.4): values that are about to be finalized leave weak values before
//! their finalizers run, but leave weak keys only when they are really freed, so that a finalizer finds what its object was
//! associated with. An object is resurrected once: its mark as finalizable goes when it is queued.
//!
//! Minor collections treat weak tables as strong ones. Young finalizable objects that they find dead are queued, too.

use super::Heap;
use super::full::{is_cleared, is_marked};
use crate::metamethod::Event;
use crate::object::{
    Buffer, FLAG_CLASS_LIKE, FLAG_FINALIZER, FLAG_MARKED, Header, LuaString, ObjectKind, Table,
};
use crate::table::{self, HashPart};
use crate::value::{Tag, Value};

/// What a table holds weakly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Weakness {
    keys: bool,
    values: bool,
}

impl Weakness {
    /// Nothing.
    pub(super) const STRONG: Weakness = Weakness { keys: false, values: false };

    /// Whether it holds anything weakly.
    pub(super) fn any(self) -> bool {
        self.keys | self.values
    }
}

/// Tables that marking has put aside.
#[derive(Default)]
pub(super) struct WeakLists {
    /// Weak values, strong keys.
    values: Vec<*mut Table>,
    /// Weak keys, strong values.
    ephemerons: Vec<*mut Table>,
    /// Both weak.
    both: Vec<*mut Table>,
    /// Strong tables with keys without values.
    pub(super) dead_keys: Vec<*mut Table>,
}

impl Heap {
    /// What tables with this metatable hold weakly.
    pub(super) fn weakness(&mut self, metatable: *mut Table) -> Weakness {
        let mode = table::metamethod(self, metatable, Event::Mode);
        if !mode.is(Tag::String) {
            return Weakness::STRONG;
        }
        let mode = LuaString::bytes(mode.as_string());
        Weakness { keys: mode.contains(&b'k'), values: mode.contains(&b'v') }
    }

    /// Marks what a weak table keeps alive, and puts it aside.
    pub(super) unsafe fn mark_weak_table(&mut self, table: *mut Table, weak: Weakness) {
        // SAFETY: the caller's table is live; counts cover initialized values.
        unsafe {
            if !weak.values {
                if !(*table).slots.is_null() {
                    self.mark_range(Buffer::values((*table).slots), (*(*table).shape).count as usize);
                }
                if !(*table).array.is_null() {
                    self.mark_range(Buffer::values((*table).array), (*table).array_length as usize);
                }
                self.mark_ephemeron(table);
                self.weak.ephemerons.push(table);
            } else if weak.keys {
                self.weak.both.push(table);
            } else {
                let hash = (*table).hash;
                if !hash.is_null() {
                    for place in 0..(*hash).used as usize {
                        let entry = HashPart::entries(hash).add(place);
                        if !(*entry).value.is_nil() {
                            self.mark_value((*entry).key);
                        }
                    }
                }
                self.weak.values.push(table);
            }
        }
    }

    /// Marks the values of marked keys; whether there was something to mark.
    unsafe fn mark_ephemeron(&mut self, table: *mut Table) -> bool {
        let mut any = false;
        // SAFETY: the caller's table is live.
        unsafe {
            let hash = (*table).hash;
            if hash.is_null() {
                return false;
            }
            for place in 0..(*hash).used as usize {
                let entry = HashPart::entries(hash).add(place);
                if (*entry).value.is_heap() && !is_marked((*entry).value) && !is_cleared((*entry).key) {
                    self.mark_value((*entry).value);
                    any = true;
                }
            }
        }
        any
    }

    /// Marks until no ephemeron has anything to add.
    fn converge_ephemerons(&mut self) {
        loop {
            self.drain_marks();
            let mut any = false;
            // Draining may put further tables on the list; they have been looked at when they were put there.
            for place in 0..self.weak.ephemerons.len() {
                // SAFETY: the tables are live.
                any |= unsafe { self.mark_ephemeron(self.weak.ephemerons[place]) };
            }
            if !any {
                return;
            }
        }
    }

    /// All that comes between marking and the sweep.
    pub(super) fn finish_weak(&mut self) {
        self.converge_ephemerons();
        for place in 0..self.weak.values.len() {
            self.clear_values(self.weak.values[place]);
        }
        for place in 0..self.weak.both.len() {
            self.clear_values(self.weak.both[place]);
        }
        let (values_before, both_before) = (self.weak.values.len(), self.weak.both.len());
        self.queue_unreachable();
        self.converge_ephemerons();
        for place in 0..self.weak.ephemerons.len() {
            self.clear_keys(self.weak.ephemerons[place]);
        }
        for place in 0..self.weak.both.len() {
            self.clear_keys(self.weak.both[place]);
        }
        // Tables that only resurrection has reached.
        for place in values_before..self.weak.values.len() {
            self.clear_values(self.weak.values[place]);
        }
        for place in both_before..self.weak.both.len() {
            self.clear_values(self.weak.both[place]);
        }
        for place in 0..self.weak.values.len() {
            self.forget_dead_keys(self.weak.values[place]);
        }
        for place in 0..self.weak.dead_keys.len() {
            self.forget_dead_keys(self.weak.dead_keys[place]);
        }
        self.weak.values.clear();
        self.weak.ephemerons.clear();
        self.weak.both.clear();
        self.weak.dead_keys.clear();
    }

    /// Sets fields with dead values to nil.
    fn clear_values(&mut self, table: *mut Table) {
        let mut cleared = false;
        // SAFETY: the table is live; counts cover initialized values.
        unsafe {
            let mut clear = |start: *mut Value, count: usize, step: usize| {
                for place in 0..count {
                    let value = start.add(place * step);
                    if is_cleared(*value) {
                        *value = Value::NIL;
                        cleared = true;
                    }
                }
            };
            if !(*table).slots.is_null() {
                clear(Buffer::values((*table).slots), (*(*table).shape).count as usize, 1);
            }
            if !(*table).array.is_null() {
                clear(Buffer::values((*table).array), (*table).array_length as usize, 1);
            }
            let hash = (*table).hash;
            if !hash.is_null() {
                let values = (HashPart::entries(hash) as *mut Value).add(1);
                clear(values, (*hash).used as usize, 2);
            }
        }
        if cleared {
            self.after_clearing(table);
        }
        self.forget_dead_keys(table);
    }

    /// Removes entries with dead keys.
    fn clear_keys(&mut self, table: *mut Table) {
        let mut cleared = false;
        // SAFETY: the table is live.
        unsafe {
            let hash = (*table).hash;
            if !hash.is_null() {
                for place in 0..(*hash).used as usize {
                    let entry = HashPart::entries(hash).add(place);
                    if !(*entry).value.is_nil() && is_cleared((*entry).key) {
                        (*entry).value = Value::NIL;
                        cleared = true;
                    }
                }
            }
        }
        if cleared {
            self.after_clearing(table);
        }
        self.forget_dead_keys(table);
    }

    fn after_clearing(&mut self, table: *mut Table) {
        table::shrink_array(table);
        // SAFETY: the table is live.
        if unsafe { (*table).header.flags } & FLAG_CLASS_LIKE != 0 {
            self.chains_changed();
        }
        table::leave_own_tree(self, table);
    }

    /// Overwrites keys that die and have no value: the sweep will free them. Their places stay taken.
    fn forget_dead_keys(&mut self, table: *mut Table) {
        // SAFETY: the table is live.
        unsafe {
            let hash = (*table).hash;
            if hash.is_null() {
                return;
            }
            for place in 0..(*hash).used as usize {
                let entry = HashPart::entries(hash).add(place);
                if (*entry).value.is_nil() && !is_marked((*entry).key) {
                    (*entry).key = Value::NIL;
                }
            }
        }
    }

    /// If the metatable has `__gc` now, the object (which has just got it) will be finalized.
    pub(crate) fn watch_finalizer(&mut self, object: *mut Header, metatable: *mut Table) {
        self.watched |= !table::metamethod(self, metatable, Event::Mode).is_nil();
        if table::metamethod(self, metatable, Event::Collect).is_nil() || self.is_closing {
            return;
        }
        // SAFETY: the object is live.
        self.watched |= unsafe { (*object).kind } == ObjectKind::Table as u8;
        // SAFETY: the object is live.
        unsafe {
            if (*object).flags & FLAG_FINALIZER == 0 {
                (*object).flags |= FLAG_FINALIZER;
                self.finalizable.push(object);
            }
        }
    }

    /// Moves dead finalizable objects to the queue, latest first, and marks them.
    fn queue_unreachable(&mut self) {
        // SAFETY: the objects are live until the sweep.
        unsafe {
            let mut kept = Vec::with_capacity(self.finalizable.len());
            let mut dead = Vec::new();
            for object in std::mem::take(&mut self.finalizable) {
                if (*object).flags & FLAG_MARKED != 0 {
                    kept.push(object);
                } else {
                    dead.push(object);
                }
            }
            self.finalizable_old = kept.len();
            self.finalizable = kept;
            for object in dead.into_iter().rev() {
                (*object).flags &= !FLAG_FINALIZER;
                self.to_finalize.push_back(object);
                self.mark_object(object);
            }
        }
        self.finalizers_pending = !self.to_finalize.is_empty() as u8;
    }

    /// The next object whose finalizer is to be called, or nothing. The caller keeps it alive during the call.
    pub fn take_finalizable(&mut self) -> Option<Value> {
        let object = self.to_finalize.pop_front();
        self.finalizers_pending = !self.to_finalize.is_empty() as u8;
        object.map(super::verify::value_of)
    }

    /// Queues all objects with finalizers, latest first: the state is about to be closed.
    /// Objects that get finalizers from here on are not finalized.
    pub fn queue_all_finalizers(&mut self) {
        self.is_closing = true;
        self.finalizable_old = 0;
        while let Some(object) = self.finalizable.pop() {
            // SAFETY: objects on the list are alive.
            unsafe { (*object).flags &= !FLAG_FINALIZER };
            self.to_finalize.push_back(object);
        }
        self.finalizers_pending = !self.to_finalize.is_empty() as u8;
    }
}
