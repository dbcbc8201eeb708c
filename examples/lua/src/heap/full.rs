//! Full collections: mark and sweep of the old space, after a minor collection has emptied the nursery.
//!
//! Order of the steps, and why:
//! 1. minor collection: all objects are old, nothing moves any more;
//! 2. mark from the roots, with an explicit stack; weak tables, ephemerons and finalizers (`weak.rs`);
//! 3. find dead shapes (their metatable is not marked); only now is it known which caches must let go;
//! 4. caches are cleared of what dies ([`Roots::visit_weak`]);
//! 5. dead shapes are freed; the keys of the others are marked (strings have no fields, so nothing follows from it);
//! 6. sweep, which makes the table of interned strings anew from those that live.

use std::time::Instant;

use super::old::SweepObserver;
use super::{Heap, OutOfMemory, Roots, Visitor, WeakVisitor};
use crate::object::{
    Buffer, Cell, FLAG_MARKED, Header, LuaClosure, LuaString, NativeFunction, ObjectKind, Table, Thread,
    Userdata,
};
use crate::shape::SHAPE_MARKED;
use crate::string::InternTable;
use crate::table::HashPart;
use crate::value::{Tag, Value};

impl Heap {
    /// Collects everything.
    ///
    /// # Errors
    /// When the guest uses more memory than its limit afterwards. The heap is intact then.
    pub fn collect_full(&mut self, roots: &mut dyn Roots) -> Result<(), OutOfMemory> {
        self.collect_minor(roots);
        let start = Instant::now();
        let heap: *mut Heap = self;
        for name in self.event_names {
            self.mark_object(name as *mut Header);
        }
        roots.visit(&mut Visitor::new(heap, true));
        for place in 0..self.to_finalize.len() {
            self.mark_object(self.to_finalize[place]);
        }
        self.drain_marks();
        self.finish_weak();
        // SAFETY: metatables of shapes are live until the sweep.
        self.shapes.find_dead(|table| unsafe { (*table).header.flags & FLAG_MARKED != 0 });
        roots.visit_weak(&mut WeakVisitor {});
        self.lookups.clear();
        self.shapes.free_dead(|key| {
            // SAFETY: keys of live shapes are live until the sweep.
            unsafe { (*key).header.flags |= FLAG_MARKED };
        });
        self.strings.begin_sweep();
        self.old.sweep(&mut Survivors(&mut self.strings));
        self.allocated_at_full = self.statistics.young_allocated_bytes;
        let live = self.old.bytes + self.shapes.bytes;
        self.old.threshold = (live / 100)
            .saturating_mul(self.settings.full_growth_percent)
            .max(self.settings.full_minimum)
            .min(self.settings.memory_limit);
        let time = start.elapsed();
        self.statistics.full_count += 1;
        self.statistics.full_time += time;
        self.statistics.longest_full = self.statistics.longest_full.max(time);
        if self.settings.stress {
            self.verify_or_stop(roots, "after a full collection");
        }
        if live > self.settings.memory_limit { Err(OutOfMemory) } else { Ok(()) }
    }

    /// Marks an object, and has its fields visited later.
    #[inline]
    pub(super) fn mark_object(&mut self, object: *mut Header) {
        // SAFETY: the object is live, and everything is old.
        unsafe {
            let flags = (*object).flags;
            if flags & FLAG_MARKED == 0 {
                (*object).flags = flags | FLAG_MARKED;
                if (*object).kind != ObjectKind::String as u8 {
                    self.worklist.push(object);
                }
            }
        }
    }

    /// Marks a value.
    #[inline(always)]
    pub(super) fn mark_value(&mut self, value: Value) {
        if value.is_heap() {
            self.mark_object(value.as_header());
        }
    }

    /// Marks `count` values.
    #[inline]
    pub(super) unsafe fn mark_range(&mut self, start: *mut Value, count: usize) {
        for i in 0..count {
            // SAFETY: the caller's values are valid.
            self.mark_value(unsafe { *start.add(i) });
        }
    }

    /// Visits the fields of all marked objects.
    pub(super) fn drain_marks(&mut self) {
        while let Some(object) = self.worklist.pop() {
            // SAFETY: objects on the worklist are live, so their kind says which struct they are.
            unsafe {
                match (*object).kind {
                    k if k == ObjectKind::Table as u8 => self.mark_table(object as *mut Table),
                    k if k == ObjectKind::LuaClosure as u8 => {
                        let closure = object as *mut LuaClosure;
                        self.mark_range(LuaClosure::upvalues(closure), (*closure).upvalue_count as usize);
                    }
                    k if k == ObjectKind::Cell as u8 => self.mark_value((*(object as *mut Cell)).value),
                    k if k == ObjectKind::Native as u8 => {
                        let native = object as *mut NativeFunction;
                        self.mark_range(NativeFunction::upvalues(native), (*native).upvalue_count as usize);
                    }
                    k if k == ObjectKind::Userdata as u8 => {
                        let metatable = (*(object as *mut Userdata)).metatable;
                        if !metatable.is_null() {
                            self.mark_object(metatable as *mut Header);
                        }
                    }
                    k if k == ObjectKind::Thread as u8 => {
                        let heap: *mut Heap = self;
                        if let Some(payload) = &mut (*(object as *mut Thread)).payload {
                            payload.visit(&mut Visitor::new(heap, true));
                        }
                    }
                    kind => unreachable!("an object of kind {kind} is not marked by itself"),
                }
            }
        }
    }

    /// Marks what a table keeps alive, and its parts.
    unsafe fn mark_table(&mut self, table: *mut Table) {
        // SAFETY: the caller's table is live; counts cover initialized values.
        unsafe {
            (*(*table).shape).flags |= SHAPE_MARKED;
            let metatable = (*table).metatable;
            let mut weak = super::weak::Weakness::STRONG;
            if !metatable.is_null() {
                self.mark_object(metatable as *mut Header);
                weak = self.weakness(metatable);
            }
            self.mark_parts(table);
            if weak.any() {
                self.mark_weak_table(table, weak);
                return;
            }
            if !(*table).slots.is_null() {
                self.mark_range(Buffer::values((*table).slots), (*(*table).shape).count as usize);
            }
            if !(*table).array.is_null() {
                self.mark_range(Buffer::values((*table).array), (*table).array_length as usize);
            }
            if !(*table).hash.is_null() {
                self.mark_hash_part(table);
            }
        }
    }

    /// Sets the mark of a table's buffers and hash part.
    unsafe fn mark_parts(&mut self, table: *mut Table) {
        // SAFETY: the caller's table is live, and its parts with it.
        unsafe {
            for part in
                [(*table).slots as *mut Header, (*table).array as *mut Header, (*table).hash as *mut Header]
            {
                if !part.is_null() {
                    (*part).flags |= FLAG_MARKED;
                }
            }
        }
    }

    /// Marks keys and values of a hash part. A key without value is not kept alive by it: it is forgotten if it dies.
    unsafe fn mark_hash_part(&mut self, table: *mut Table) {
        // SAFETY: the caller's table is live and has a hash part.
        unsafe {
            let hash = (*table).hash;
            let mut has_dead_keys = false;
            for place in 0..(*hash).used as usize {
                let entry = HashPart::entries(hash).add(place);
                if (*entry).value.is_nil() {
                    has_dead_keys |= (*entry).key.is_heap();
                } else {
                    self.mark_value((*entry).key);
                    self.mark_value((*entry).value);
                }
            }
            if has_dead_keys {
                self.weak.dead_keys.push(table);
            }
        }
    }
}

/// What the sweep tells the table of interned strings.
struct Survivors<'a>(&'a mut InternTable);

impl SweepObserver for Survivors<'_> {
    #[inline]
    fn keep_string(&mut self, string: *mut LuaString) {
        self.0.keep(string);
    }
    fn drop_owner(&mut self, object: *mut Header) {
        drop_payload(object);
    }
}

/// Drops the Rust value that a dead object owns, if it owns one.
pub(super) fn drop_payload(object: *mut Header) {
    // SAFETY: the object dies; its kind says which struct it is; nobody looks at its payload again.
    unsafe {
        if (*object).kind == ObjectKind::Userdata as u8 {
            drop((*(object as *mut Userdata)).payload.take());
        } else if (*object).kind == ObjectKind::Thread as u8 {
            drop((*(object as *mut Thread)).payload.take());
        }
    }
}

/// Whether an object, or a value, survives the current full collection as far as marking has got.
#[inline]
pub(super) fn is_marked(value: Value) -> bool {
    // SAFETY: heap values are live objects until the sweep.
    !value.is_heap() || unsafe { (*value.as_header()).flags & FLAG_MARKED != 0 }
}

/// Strings count as values: they are never removed from weak tables, so they are marked when asked about.
#[inline]
pub(super) fn is_cleared(value: Value) -> bool {
    if value.is(Tag::String) {
        // SAFETY: as above.
        unsafe { (*(value.payload as *mut LuaString)).header.flags |= FLAG_MARKED };
        return false;
    }
    !is_marked(value)
}
