//! Minor collections: what is alive in the nursery moves to the old space, then the nursery is empty.
//!
//! An object moves when the first pointer to it is found: it is copied, its header in the nursery becomes the new address
//! (lowest bit clear: a header has it set), and it is put on the worklist so that its own fields are visited later. A
//! table's parts move with it; their headers too become the new addresses, for whoever kept a pointer into one.

use std::time::Instant;

use super::{Heap, POISON, Roots, Visitor};
use crate::object::{
    Buffer, CARD_VALUES, Cell, FLAG_FINALIZER, FLAG_LISTED, FLAG_OLD, FLAG_REMEMBERED, Header, LuaClosure,
    NO_OWNER_INDEX, NativeFunction, ObjectKind, Table, Thread, Userdata, closure_size,
};
use crate::table::HashPart;
use crate::value::Value;

impl Heap {
    /// Collects the nursery.
    pub fn collect_minor(&mut self, roots: &mut dyn Roots) {
        let start = Instant::now();
        if self.settings.stress {
            self.verify_or_stop(roots, "before a minor collection");
        }
        let old_bytes = self.old.bytes;
        let heap: *mut Heap = self;
        roots.visit(&mut Visitor::new(heap, false));
        let mut remembered = std::mem::take(&mut self.remembered);
        for object in remembered.drain(..) {
            // SAFETY: objects on the list are old, so they are alive until a full collection, which begins with this.
            unsafe {
                (*object).flags &= !(FLAG_REMEMBERED | FLAG_LISTED);
                self.scan(object);
            }
            self.drain();
        }
        // The list keeps its memory. Scanning remembers nothing: the heap has no young objects afterwards.
        debug_assert!(self.remembered.is_empty());
        self.remembered = remembered;
        self.forward_finalizable();
        self.drain();
        self.forward_weak_knowledge();
        self.free_orphans();
        if self.settings.stress {
            let used = (self.next as u64 - self.nursery_start) as usize;
            // SAFETY: nothing in the nursery is alive any more.
            unsafe { std::ptr::write_bytes(self.nursery_start as *mut u8, POISON, used) };
        }
        self.statistics.young_allocated_bytes += self.next as u64 - self.nursery_start;
        self.statistics.promoted_bytes += self.old.bytes.saturating_sub(old_bytes) as u64;
        self.next = self.nursery_start as *mut u8;
        self.requested = 0;
        let time = start.elapsed();
        self.statistics.minor_count += 1;
        self.statistics.minor_time += time;
        self.statistics.longest_minor = self.statistics.longest_minor.max(time);
        if self.settings.stress {
            self.verify_or_stop(roots, "after a minor collection");
        }
    }

    /// Old objects with finalizers are left to full collections. Of the young ones, those that nothing has reached are queued,
    /// latest first, and live on until their finalizers have run.
    fn forward_finalizable(&mut self) {
        for place in 0..self.to_finalize.len() {
            self.to_finalize[place] = self.forward_object(self.to_finalize[place]);
        }
        self.drain();
        let mut dead = Vec::new();
        for object in self.finalizable.split_off(self.finalizable_old) {
            // SAFETY: an object in the nursery has a header, or the address that it moved to.
            let is_dead = self.is_young(object as u64) && unsafe { (object as *const u64).read() } & 1 != 0;
            if is_dead {
                dead.push(object);
            } else {
                let object = self.forward_object(object);
                self.finalizable.push(object);
            }
        }
        self.finalizable_old = self.finalizable.len();
        for object in dead.into_iter().rev() {
            let object = self.forward_object(object);
            // SAFETY: it has just been copied.
            unsafe { (*object).flags &= !FLAG_FINALIZER };
            self.to_finalize.push_back(object);
        }
        self.finalizers_pending = !self.to_finalize.is_empty() as u8;
    }

    /// Caches and shapes that know young tables without keeping them alive.
    fn forward_weak_knowledge(&mut self) {
        let (start, size) = (self.nursery_start, self.nursery_size);
        let forwarded = |table: *mut Table| -> *mut Table {
            if (table as u64).wrapping_sub(start) >= size {
                return table;
            }
            // SAFETY: the table was in the nursery: its header is its own, or the address that it moved to.
            let word = unsafe { (table as *const u64).read() };
            if word & 1 == 0 { word as *mut Table } else { std::ptr::null_mut() }
        };
        self.shapes.forward_metatables(forwarded);
        for cache in self.young_caches.drain(..) {
            // SAFETY: caches live in prototypes, which live as long as the state.
            unsafe { (*cache).forward_holder(forwarded) };
        }
        self.lookups.forward_holders(forwarded);
    }

    /// Frees old buffers and hash parts whose young table died.
    fn free_orphans(&mut self) {
        for part in std::mem::take(&mut self.young_owned) {
            // SAFETY: parts on the list are alive; a table that moved has cleared its parts' index.
            unsafe {
                if *super::owner_index(part) != NO_OWNER_INDEX {
                    self.old.free(part, crate::object::object_size(part));
                }
            }
        }
    }

    /// Visits the fields of all objects on the worklist.
    fn drain(&mut self) {
        while let Some(object) = self.worklist.pop() {
            // SAFETY: objects on the worklist were just copied, and are complete.
            unsafe { self.scan(object) };
        }
    }

    /// The address of an object after this collection.
    #[inline(always)]
    pub(super) fn forward_object(&mut self, object: *mut Header) -> *mut Header {
        if !self.is_young(object as u64) {
            return object;
        }
        // SAFETY: an object in the nursery has a header, or the address that it moved to.
        unsafe {
            let word = (object as *const u64).read();
            if word & 1 == 0 { word as *mut Header } else { self.evacuate(object) }
        }
    }

    #[inline(always)]
    unsafe fn forward_value(&mut self, slot: *mut Value) {
        // SAFETY: the caller's slot holds a valid value.
        unsafe {
            if (*slot).may_be_young() {
                let object = (*slot).payload as *mut Header;
                if self.is_young(object as u64) {
                    (*slot).payload = self.forward_object(object) as u64;
                }
            }
        }
    }

    /// Forwards `count` values.
    #[inline]
    pub(super) unsafe fn forward_range(&mut self, start: *mut Value, count: usize) {
        // SAFETY: the caller's values are valid.
        unsafe {
            for i in 0..count {
                self.forward_value(start.add(i));
            }
        }
    }

    /// Copies an object to the old space.
    #[inline(never)]
    unsafe fn evacuate(&mut self, object: *mut Header) -> *mut Header {
        // SAFETY: the caller's object is in the nursery and was not copied yet.
        unsafe {
            let kind = (*object).kind;
            let copy = if kind == ObjectKind::Table as u8 {
                self.evacuate_table(object as *mut Table)
            } else if kind == ObjectKind::LuaClosure as u8 {
                let size = closure_size((*(object as *mut LuaClosure)).upvalue_count as usize);
                self.copy_words(object, size, size)
            } else {
                debug_assert_eq!(kind, ObjectKind::Cell as u8, "only tables, closures and cells are young");
                self.copy_words(object, size_of::<Cell>(), size_of::<Cell>())
            };
            self.worklist.push(copy);
            copy
        }
    }

    /// Copies the first `used` bytes of an object of `size` bytes, and leaves the new address behind.
    #[inline(always)]
    unsafe fn copy_words(&mut self, object: *mut Header, size: usize, used: usize) -> *mut Header {
        let copy = self.allocate_old(size) as *mut Header;
        // SAFETY: the copy is fresh memory of the object's size.
        unsafe {
            for word in 0..used / 8 {
                (copy as *mut u64).add(word).write((object as *const u64).add(word).read());
            }
            (*copy).flags |= FLAG_OLD;
            (object as *mut u64).write(copy as u64);
        }
        copy
    }

    #[inline]
    unsafe fn evacuate_table(&mut self, table: *mut Table) -> *mut Header {
        // SAFETY: the caller's table is in the nursery; its parts are its own.
        unsafe {
            let copy =
                self.copy_words(table as *mut Header, size_of::<Table>(), size_of::<Table>()) as *mut Table;
            if !(*copy).slots.is_null() {
                (*copy).slots = self.evacuate_buffer((*copy).slots, (*(*copy).shape).count);
            }
            if !(*copy).array.is_null() {
                (*copy).array = self.evacuate_buffer((*copy).array, (*copy).array_length);
            }
            let hash = (*copy).hash;
            if !hash.is_null() {
                if (*hash).header.flags & FLAG_OLD != 0 {
                    (*hash).owner_index = NO_OWNER_INDEX;
                } else {
                    let size = HashPart::size((*hash).capacity);
                    (*copy).hash = self.copy_words(hash as *mut Header, size, size) as *mut HashPart;
                }
            }
            copy as *mut Header
        }
    }

    #[inline(always)]
    unsafe fn evacuate_buffer(&mut self, buffer: *mut Buffer, used: u32) -> *mut Buffer {
        // SAFETY: the caller's buffer belongs to a table that is being copied; `used` of its values are initialized.
        unsafe {
            if (*buffer).header.flags & FLAG_OLD != 0 {
                (*buffer).owner_index = NO_OWNER_INDEX;
                if Buffer::is_carded(buffer) {
                    super::barrier::dirty_all_cards(buffer);
                }
                return buffer;
            }
            let size = Buffer::size((*buffer).capacity, false);
            self.copy_words(buffer as *mut Header, size, Buffer::size(used, false)) as *mut Buffer
        }
    }

    /// Forwards all fields of an old object.
    unsafe fn scan(&mut self, object: *mut Header) {
        // SAFETY: the caller's object is live, so its kind says which struct it is.
        unsafe {
            match (*object).kind {
                k if k == ObjectKind::Table as u8 => self.scan_table(object as *mut Table),
                k if k == ObjectKind::LuaClosure as u8 => {
                    let closure = object as *mut LuaClosure;
                    self.forward_range(LuaClosure::upvalues(closure), (*closure).upvalue_count as usize);
                }
                k if k == ObjectKind::Cell as u8 => {
                    self.forward_value(std::ptr::addr_of_mut!((*(object as *mut Cell)).value));
                }
                k if k == ObjectKind::Native as u8 => {
                    let native = object as *mut NativeFunction;
                    self.forward_range(NativeFunction::upvalues(native), (*native).upvalue_count as usize);
                }
                k if k == ObjectKind::Userdata as u8 => {
                    let userdata = object as *mut Userdata;
                    (*userdata).metatable =
                        self.forward_object((*userdata).metatable as *mut Header) as *mut Table;
                }
                k if k == ObjectKind::Thread as u8 => {
                    let heap: *mut Heap = self;
                    if let Some(payload) = &mut (*(object as *mut Thread)).payload {
                        payload.visit(&mut Visitor::new(heap, false));
                    }
                }
                kind => unreachable!("an object of kind {kind} has no fields to visit by itself"),
            }
        }
    }

    unsafe fn scan_table(&mut self, table: *mut Table) {
        // SAFETY: the caller's table is live and old; counts cover initialized values.
        unsafe {
            if !(*table).metatable.is_null() {
                (*table).metatable = self.forward_object((*table).metatable as *mut Header) as *mut Table;
            }
            if !(*table).slots.is_null() {
                self.forward_range(Buffer::values((*table).slots), (*(*table).shape).count as usize);
            }
            let array = (*table).array;
            if !array.is_null() {
                let length = (*table).array_length as usize;
                if Buffer::is_carded(array) {
                    self.scan_cards(array, length);
                } else {
                    self.forward_range(Buffer::values(array), length);
                }
            }
            let hash = (*table).hash;
            if !hash.is_null() {
                self.forward_range(HashPart::entries(hash) as *mut Value, (*hash).used as usize * 2);
            }
        }
    }

    /// Forwards the elements behind dirty cards, and cleans the cards.
    unsafe fn scan_cards(&mut self, array: *mut Buffer, length: usize) {
        // SAFETY: the caller's buffer is carded, and has `length` elements.
        unsafe {
            let cards = Buffer::cards(array);
            let words = Buffer::card_count((*array).capacity) / 8;
            for word in 0..words {
                if (cards as *const u64).add(word).read_unaligned() == 0 {
                    continue;
                }
                for card in word * 8..word * 8 + 8 {
                    if *cards.add(card) != 0 {
                        *cards.add(card) = 0;
                        let start = card * CARD_VALUES;
                        if start < length {
                            let count = CARD_VALUES.min(length - start);
                            self.forward_range(Buffer::values(array).add(start), count);
                        }
                    }
                }
            }
        }
    }
}
