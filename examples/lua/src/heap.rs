//! The heap of one isolate: a copying nursery and a non-moving old space, collected at safepoints only.
//!
//! ```text
//!   nursery  | objects ........ | free ............ |       bump allocation; a minor collection copies what is alive
//!                               ^ next              ^ end   into the old space, and the nursery is empty again
//!   old space   blocks of equal cells, large objects        mark and sweep by full collections (after a minor one)
//! ```
//!
//! Allocation never collects: when the nursery is full, objects are made in the old space, and [`Heap::requested`] asks the
//! interpreter to call [`Heap::collect`] at its next safepoint. An object is therefore only ever moved between two bytecode
//! instructions or across a call back into Lua, and code between safepoints may hold plain pointers.
//!
//! What must hold at every safepoint:
//! * an old object that points to a young one is in the remembered list (see `barrier.rs`);
//! * tables own their buffers and hash part: nothing else keeps a pointer to one across a collection;
//! * the parts of an object that its counts cover are initialized with valid values; the rest is never read.
//!
//! Not here: the roots (the interpreter implements [`Roots`]), and what finalizers do (the interpreter calls them; the heap
//! only says which objects' turn it is).

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

mod barrier;
mod full;
mod minor;
mod old;
mod roots;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verify;
mod weak;

use std::any::Any;
use std::collections::VecDeque;

use crate::bytecode::Prototype;
use crate::cache::{FieldCache, LookupCache};
use crate::claims::Claims;
use crate::metamethod::Event;
use crate::object::{
    BUFFER_CARDED, Buffer, CARD_VALUES, Cell, FLAG_OLD, FLAG_REMEMBERED, Header, LuaClosure, LuaString,
    NO_OWNER_INDEX, NativeFunction, ObjectKind, Table, Thread, Userdata, closure_size, header_word,
    native_size,
};
use crate::shape::{SHAPE_GLOBALS, Shape, Shapes};
use crate::state::NativeEntry;
use crate::string::InternTable;
use crate::table::HashPart;
use crate::value::Value;

use old::OldSpace;
pub use roots::{Roots, ThreadPayload, Visitor, WeakVisitor};
pub use settings::{HeapSettings, HeapStatistics, POISON};

/// The guest uses more memory than it may, even after a full collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// A table's array part has cards from this capacity on; smaller ones are scanned whole when their table is remembered.
pub(crate) const CARDED_CAPACITY: u32 = 1024;
/// In [`Heap::requested`]: nothing is to be collected, but there are finalizers to be called.
pub const FINALIZERS_ONLY: u8 = 2;
/// In [`Heap::requested`]: nothing is to be done but to leave the run loop and to choose it anew.
pub const RELOAD_ONLY: u8 = 3;
/// With weak tables or finalizers in use, a full collection is due when so many times the old space's size, and so many bytes at
/// least, were allocated in the nursery since the last one. What is dead is found in time though the old space does not grow, and
/// marking it costs a fraction of that allocation.
const WATCHED_GROWTH: (u64, u64) = (4, 16 << 20);
/// Buffers above this are never made in the nursery: copying them costs more than the old space does.
const YOUNG_BUFFER_LIMIT: usize = 16 << 10;
// A carded buffer is always old.
const _: () = assert!(Buffer::size(CARDED_CAPACITY, false) > YOUNG_BUFFER_LIMIT);
/// The smallest nursery that still holds a few objects.
const MINIMUM_NURSERY: usize = 256;

/// The heap of one isolate.
#[repr(C)]
pub struct Heap {
    /// Where the next young object goes.
    pub next: *mut u8,
    /// End of the nursery.
    pub end: *mut u8,
    /// Not zero: the interpreter is to call [`Heap::collect`] at the next safepoint, or, if this is [`FINALIZERS_ONLY`], finalizers
    /// at the next one where guest code may run.
    pub requested: u8,
    /// Not zero: [`Heap::take_finalizable`] has something.
    pub finalizers_pending: u8,
    /// Grows whenever a table that others' cached lookups went through changes in a way that matters to them.
    pub class_epoch: u64,
    /// What has not changed for a while.
    pub claims: Claims,
    /// Shape of empty tables without metatable.
    pub root_shape: *mut Shape,
    /// Names of the metamethods, by [`Event`].
    pub event_names: [*mut LuaString; Event::COUNT],
    /// Second level of the field caches.
    pub(crate) lookups: LookupCache,
    nursery_start: u64,
    nursery_size: u64,
    nursery_memory: Box<[u64]>,
    young_buffer_limit: usize,
    old: OldSpace,
    pub(crate) strings: InternTable,
    pub(crate) shapes: Shapes,
    globals_shape: *mut Shape,
    remembered: Vec<*mut Header>,
    /// Buffers and hash parts in the old space whose table is still young.
    young_owned: Vec<*mut Header>,
    pub(crate) young_caches: Vec<*mut FieldCache>,
    /// Objects copied or marked, whose fields were not visited yet.
    worklist: Vec<*mut Header>,
    weak: weak::WeakLists,
    finalizable: Vec<*mut Header>,
    /// Objects before this place in `finalizable` are old.
    finalizable_old: usize,
    to_finalize: VecDeque<*mut Header>,
    /// Whether the state is being closed.
    is_closing: bool,
    /// Whether there were weak tables, or tables with finalizers.
    watched: bool,
    /// Bytes allocated in the nursery until the last full collection.
    allocated_at_full: u64,
    next_identity: u32,
    settings: HeapSettings,
    statistics: HeapStatistics,
}

impl Heap {
    /// An empty heap.
    pub fn new(settings: HeapSettings) -> Heap {
        let nursery_bytes = settings.nursery_bytes.max(MINIMUM_NURSERY).next_multiple_of(8);
        let mut nursery_memory = vec![0u64; nursery_bytes / 8].into_boxed_slice();
        let start = nursery_memory.as_mut_ptr() as *mut u8;
        let mut shapes = Shapes::new();
        let root_shape = shapes.make_root(0, std::ptr::null_mut());
        let globals_shape = shapes.make_root(SHAPE_GLOBALS, std::ptr::null_mut());
        let mut heap = Heap {
            next: start,
            end: start.wrapping_add(nursery_bytes),
            requested: 0,
            finalizers_pending: 0,
            class_epoch: 1,
            claims: Claims::default(),
            root_shape,
            event_names: [std::ptr::null_mut(); Event::COUNT],
            lookups: LookupCache::new(),
            nursery_start: start as u64,
            nursery_size: nursery_bytes as u64,
            nursery_memory,
            young_buffer_limit: YOUNG_BUFFER_LIMIT.min(nursery_bytes / 4),
            old: OldSpace::new(settings.full_minimum.min(settings.memory_limit)),
            strings: InternTable::new(),
            shapes,
            globals_shape,
            remembered: Vec::new(),
            young_owned: Vec::new(),
            young_caches: Vec::new(),
            worklist: Vec::new(),
            weak: weak::WeakLists::default(),
            finalizable: Vec::new(),
            finalizable_old: 0,
            to_finalize: VecDeque::new(),
            is_closing: false,
            watched: false,
            allocated_at_full: 0,
            next_identity: 0,
            settings,
            statistics: HeapStatistics::default(),
        };
        for (place, name) in Event::NAMES.iter().enumerate() {
            heap.event_names[place] = heap.intern(name.as_bytes());
        }
        heap
    }

    /// The settings.
    pub fn settings(&self) -> &HeapSettings {
        &self.settings
    }

    /// Bytes in use, including what is dead but not collected yet.
    pub fn used_bytes(&self) -> usize {
        self.old.bytes + self.shapes.bytes + (self.next as u64 - self.nursery_start) as usize
    }

    /// What the heap did so far.
    pub fn statistics(&self) -> HeapStatistics {
        HeapStatistics {
            used_bytes: self.used_bytes(),
            young_allocated_bytes: self.statistics.young_allocated_bytes
                + (self.next as u64 - self.nursery_start),
            shapes: self.shapes.len(),
            interned_strings: self.strings.len(),
            ..self.statistics
        }
    }

    /// How many collections there were; a full one begins with a minor one.
    pub fn collection_count(&self) -> u64 {
        self.statistics.minor_count
    }

    /// Changes how many bytes the guest may use.
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.settings.memory_limit = bytes;
        self.old.threshold = self.old.threshold.min(bytes);
        self.request_if_full();
    }

    /// Whether an allocation of `bytes` would leave the guest's limit. To be asked before a single large one (string
    /// repetition, large tables); the many small ones are found by [`Heap::collect`].
    pub fn would_exceed_limit(&self, bytes: usize) -> bool {
        self.used_bytes().saturating_add(bytes) > self.settings.memory_limit
    }

    /// What a safepoint does when `requested` is set: a minor collection, and a full one if the old space has grown enough.
    ///
    /// # Errors
    /// When the guest uses more memory than its limit even after a full collection. The heap is intact then.
    pub fn collect(&mut self, roots: &mut dyn Roots) -> Result<(), OutOfMemory> {
        if self.old.bytes + self.shapes.bytes > self.old.threshold {
            return self.collect_full(roots);
        }
        self.collect_minor(roots);
        if self.old.bytes + self.shapes.bytes > self.old.threshold || self.is_watch_due() {
            return self.collect_full(roots);
        }
        Ok(())
    }

    /// Whether weak tables and finalizers ask for a full collection.
    fn is_watch_due(&self) -> bool {
        let (times, least) = WATCHED_GROWTH;
        let allocated = self.statistics.young_allocated_bytes - self.allocated_at_full;
        self.watched && allocated > (self.old.bytes as u64 * times).max(least)
    }

    /// The identity hash of an object: given out at first use, never 0, unchanged when the object moves.
    #[inline]
    pub fn identity(&mut self, object: *mut Header) -> u32 {
        // SAFETY: the object is live.
        unsafe {
            if (*object).identity == 0 {
                self.next_identity = self.next_identity.wrapping_add(1).max(1);
                // An odd factor keeps the numbers distinct, and spreads them.
                (*object).identity = self.next_identity.wrapping_mul(0x9E37_79B1);
            }
            (*object).identity
        }
    }

    /// Whether an address is in the nursery.
    #[inline(always)]
    pub fn is_young(&self, address: u64) -> bool {
        address.wrapping_sub(self.nursery_start) < self.nursery_size
    }

    /// Memory in the nursery, or null when it is full. `size` is a multiple of 8.
    #[inline(always)]
    fn bump(&mut self, size: usize) -> *mut u8 {
        let start = self.next;
        if size as u64 <= self.end as u64 - start as u64 {
            self.next = start.wrapping_add(size);
            start
        } else {
            std::ptr::null_mut()
        }
    }

    /// Memory in the old space, not initialized.
    #[inline]
    pub(crate) fn allocate_old(&mut self, size: usize) -> *mut u8 {
        let memory = self.old.allocate_fast(size);
        if !memory.is_null() {
            return memory;
        }
        self.allocate_old_slow(size)
    }

    #[cold]
    #[inline(never)]
    fn allocate_old_slow(&mut self, size: usize) -> *mut u8 {
        let memory = self.old.allocate_slow(size);
        self.request_if_full();
        memory
    }

    fn request_if_full(&mut self) {
        if self.old.bytes + self.shapes.bytes > self.old.threshold {
            self.requested = 1;
        }
    }

    /// Memory for an object that should be young but does not fit: old, and remembered since its fields are about to be
    /// written without a barrier.
    #[cold]
    #[inline(never)]
    fn allocate_overflow(&mut self, kind: ObjectKind, size: usize) -> *mut u8 {
        self.requested = 1;
        let memory = self.allocate_old(size);
        // SAFETY: fresh memory, at least eight bytes.
        unsafe { (memory as *mut u64).write(header_word(kind, FLAG_OLD | FLAG_REMEMBERED)) };
        self.remembered.push(memory as *mut Header);
        memory
    }

    /// An old object whose fields are about to be written without a barrier.
    fn allocate_remembered(&mut self, kind: ObjectKind, size: usize) -> *mut u8 {
        let memory = self.allocate_old(size);
        // SAFETY: fresh memory, at least eight bytes.
        unsafe { (memory as *mut u64).write(header_word(kind, FLAG_OLD | FLAG_REMEMBERED)) };
        self.remembered.push(memory as *mut Header);
        memory
    }

    /// A new cell.
    #[inline(always)]
    pub fn new_cell(&mut self, value: Value) -> *mut Cell {
        let mut cell = self.bump(size_of::<Cell>()) as *mut Cell;
        // SAFETY: fresh memory of the right size.
        unsafe {
            if cell.is_null() {
                cell = self.allocate_overflow(ObjectKind::Cell, size_of::<Cell>()) as *mut Cell;
            } else {
                (cell as *mut u64).write(header_word(ObjectKind::Cell, 0));
            }
            (*cell).value = value;
        }
        cell
    }

    /// A new closure. Its upvalues must be written before the next safepoint.
    #[inline(always)]
    pub fn new_closure(&mut self, prototype: *mut Prototype, upvalue_count: u32) -> *mut LuaClosure {
        let size = closure_size(upvalue_count as usize);
        let mut closure = self.bump(size) as *mut LuaClosure;
        // SAFETY: fresh memory of the right size.
        unsafe {
            if closure.is_null() {
                closure = self.allocate_overflow(ObjectKind::LuaClosure, size) as *mut LuaClosure;
            } else {
                (closure as *mut u64).write(header_word(ObjectKind::LuaClosure, 0));
            }
            (*closure).prototype = prototype;
            (*closure).upvalue_count = upvalue_count;
            (*closure).reserved = 0;
        }
        closure
    }

    /// A new table with room for array elements and properties.
    #[inline(always)]
    pub fn new_table(&mut self, array_capacity: u32, slot_capacity: u32) -> *mut Table {
        if array_capacity | slot_capacity == 0 {
            self.new_empty_table()
        } else {
            self.new_sized_table(array_capacity, slot_capacity)
        }
    }

    /// A new table without any room.
    #[inline(always)]
    pub fn new_empty_table(&mut self) -> *mut Table {
        let mut table = self.bump(size_of::<Table>()) as *mut Table;
        // SAFETY: fresh memory of the right size.
        unsafe {
            if table.is_null() {
                table = self.allocate_overflow(ObjectKind::Table, size_of::<Table>()) as *mut Table;
            } else {
                (table as *mut u64).write(header_word(ObjectKind::Table, 0));
            }
            self.write_empty_table(table);
        }
        table
    }

    /// Writes all fields but the header.
    #[inline(always)]
    unsafe fn write_empty_table(&self, table: *mut Table) {
        // SAFETY: the caller gives fresh memory of the right size.
        unsafe {
            (*table).shape = self.root_shape;
            (*table).slots = std::ptr::null_mut();
            (*table).array = std::ptr::null_mut();
            (*table).array_length = 0;
            (*table).slot_capacity = 0;
            (*table).hash = std::ptr::null_mut();
            (*table).metatable = std::ptr::null_mut();
        }
    }

    /// Table and buffers with one bump.
    #[inline(never)]
    fn new_sized_table(&mut self, array_capacity: u32, slot_capacity: u32) -> *mut Table {
        #[inline(always)]
        fn part(capacity: u32) -> usize {
            if capacity == 0 { 0 } else { Buffer::size(capacity, false) }
        }
        let slots_at = size_of::<Table>();
        let array_at = slots_at + part(slot_capacity);
        let size = array_at + part(array_capacity);
        if size > self.young_buffer_limit {
            return self.new_large_table(array_capacity, slot_capacity);
        }
        let memory = self.bump(size);
        if memory.is_null() {
            return self.new_large_table(array_capacity, slot_capacity);
        }
        let table = memory as *mut Table;
        // SAFETY: fresh memory for all three.
        unsafe {
            memory.cast::<u64>().write(header_word(ObjectKind::Table, 0));
            self.write_empty_table(table);
            if slot_capacity != 0 {
                let slots = memory.add(slots_at) as *mut Buffer;
                write_buffer(slots, slot_capacity, 0);
                (*table).slots = slots;
                (*table).slot_capacity = slot_capacity;
            }
            if array_capacity != 0 {
                let array = memory.add(array_at) as *mut Buffer;
                write_buffer(array, array_capacity, 0);
                (*table).array = array;
            }
        }
        table
    }

    #[cold]
    #[inline(never)]
    fn new_large_table(&mut self, array_capacity: u32, slot_capacity: u32) -> *mut Table {
        let table = self.new_empty_table();
        if array_capacity != 0 {
            crate::table::reserve_array(self, table, array_capacity);
        }
        if slot_capacity != 0 {
            crate::table::reserve_slots(self, table, slot_capacity);
        }
        table
    }

    /// A new table that may have many properties: the table of globals.
    pub fn new_globals_table(&mut self) -> *mut Table {
        let table = self.new_empty_table();
        // SAFETY: just made.
        unsafe {
            (*table).shape = self.globals_shape;
            (*table).header.extra |= crate::object::TABLE_GLOBALS;
        }
        table
    }

    /// Shape of an empty table of globals.
    pub(crate) fn globals_shape(&self) -> *mut Shape {
        self.globals_shape
    }

    /// A new native function.
    pub fn new_native(
        &mut self,
        entry: NativeEntry,
        name: &'static str,
        intrinsic: u32,
        upvalues: &[Value],
    ) -> *mut NativeFunction {
        let size = native_size(upvalues.len());
        let memory = if upvalues.iter().any(|value| value.may_be_young()) {
            self.allocate_remembered(ObjectKind::Native, size)
        } else {
            let memory = self.allocate_old(size);
            // SAFETY: fresh memory.
            unsafe { (memory as *mut u64).write(header_word(ObjectKind::Native, FLAG_OLD)) };
            memory
        };
        let native = memory as *mut NativeFunction;
        // SAFETY: fresh memory of the right size.
        unsafe {
            (*native).entry = entry;
            (*native).name = name;
            (*native).intrinsic = intrinsic;
            (*native).upvalue_count = upvalues.len() as u32;
            std::ptr::copy_nonoverlapping(
                upvalues.as_ptr(),
                NativeFunction::upvalues(native),
                upvalues.len(),
            );
        }
        native
    }

    /// A new userdata.
    pub fn new_userdata(&mut self, metatable: *mut Table, payload: Box<dyn Any>) -> *mut Userdata {
        let memory = self.allocate_remembered(ObjectKind::Userdata, size_of::<Userdata>());
        let userdata = memory as *mut Userdata;
        // SAFETY: fresh memory of the right size; fields are written, not assigned.
        unsafe {
            (*userdata).metatable = std::ptr::null_mut();
            std::ptr::addr_of_mut!((*userdata).payload).write(Some(payload));
        }
        self.set_userdata_metatable(userdata, metatable);
        userdata
    }

    /// Gives a userdata a metatable, or null.
    pub fn set_userdata_metatable(&mut self, userdata: *mut Userdata, metatable: *mut Table) {
        // SAFETY: both are live.
        unsafe { (*userdata).metatable = metatable };
        self.barrier(userdata as *mut Header);
        if !metatable.is_null() {
            self.watch_finalizer(userdata as *mut Header, metatable);
        }
    }

    /// A new coroutine object.
    pub fn new_thread(&mut self, payload: Box<dyn ThreadPayload>) -> *mut Thread {
        let thread = self.allocate_remembered(ObjectKind::Thread, size_of::<Thread>()) as *mut Thread;
        // SAFETY: fresh memory of the right size; the field is written, not assigned.
        unsafe { std::ptr::addr_of_mut!((*thread).payload).write(Some(payload)) };
        thread
    }

    /// A buffer for a table: young if the table is and it is small. With `cards`, a large one gets cards.
    pub(crate) fn new_buffer(&mut self, owner: *mut Table, capacity: u32, cards: bool) -> *mut Buffer {
        // SAFETY: the owner is live; the new memory has the size that is asked for.
        unsafe {
            let owner_is_old = (*owner).header.flags & FLAG_OLD != 0;
            if !owner_is_old {
                let size = Buffer::size(capacity, false);
                if size <= self.young_buffer_limit {
                    let buffer = self.bump(size) as *mut Buffer;
                    if !buffer.is_null() {
                        write_buffer(buffer, capacity, 0);
                        return buffer;
                    }
                    self.requested = 1;
                }
            }
            let cards = cards && capacity >= CARDED_CAPACITY;
            let buffer = self.allocate_old(Buffer::size(capacity, cards)) as *mut Buffer;
            write_buffer(buffer, capacity, FLAG_OLD);
            if cards {
                (*buffer).header.extra = BUFFER_CARDED;
                std::ptr::write_bytes(Buffer::cards(buffer), 0, Buffer::card_count(capacity));
            }
            if !owner_is_old {
                (*buffer).owner_index = self.young_owned.len() as u32;
                self.young_owned.push(buffer as *mut Header);
            }
            buffer
        }
    }

    /// A hash part for a table; everything but header and capacity is for the caller to write.
    pub(crate) fn new_hash_part(&mut self, owner: *mut Table, capacity: u32) -> *mut HashPart {
        let size = HashPart::size(capacity);
        // SAFETY: as in `new_buffer`.
        unsafe {
            let owner_is_old = (*owner).header.flags & FLAG_OLD != 0;
            let mut part: *mut HashPart = std::ptr::null_mut();
            if !owner_is_old && size <= self.young_buffer_limit {
                part = self.bump(size) as *mut HashPart;
                if part.is_null() {
                    self.requested = 1;
                }
            }
            let flags = if part.is_null() { FLAG_OLD } else { 0 };
            if part.is_null() {
                part = self.allocate_old(size) as *mut HashPart;
            }
            (part as *mut u64).write(header_word(ObjectKind::HashPart, flags));
            (*part).capacity = capacity;
            (*part).owner_index = NO_OWNER_INDEX;
            if flags != 0 && !owner_is_old {
                (*part).owner_index = self.young_owned.len() as u32;
                self.young_owned.push(part as *mut Header);
            }
            part
        }
    }

    /// Gives back a buffer or hash part that its table replaced.
    pub(crate) fn free_part(&mut self, part: *mut Header) {
        // SAFETY: the part is live, and its only owner gives it up.
        unsafe {
            if part.is_null() || (*part).flags & FLAG_OLD == 0 {
                return;
            }
            let place = *owner_index(part);
            if place != NO_OWNER_INDEX {
                self.young_owned.swap_remove(place as usize);
                if let Some(&moved) = self.young_owned.get(place as usize) {
                    *owner_index(moved) = place;
                }
            }
            self.old.free(part, crate::object::object_size(part));
        }
    }
}

/// The `owner_index` of a buffer or hash part.
unsafe fn owner_index(part: *mut Header) -> *mut u32 {
    // SAFETY: the caller says that it is one of the two.
    unsafe {
        if (*part).kind == ObjectKind::Buffer as u8 {
            std::ptr::addr_of_mut!((*(part as *mut Buffer)).owner_index)
        } else {
            std::ptr::addr_of_mut!((*(part as *mut HashPart)).owner_index)
        }
    }
}

/// Writes a buffer's fields, not its values.
#[inline(always)]
unsafe fn write_buffer(buffer: *mut Buffer, capacity: u32, flags: u8) {
    // SAFETY: the caller gives fresh memory.
    unsafe {
        (buffer as *mut u64).write(header_word(ObjectKind::Buffer, flags));
        (*buffer).capacity = capacity;
        (*buffer).owner_index = NO_OWNER_INDEX;
    }
}

/// The card of an array element, counted from zero.
#[inline(always)]
pub(crate) fn card_of(index: usize) -> usize {
    index / CARD_VALUES
}

impl Drop for Heap {
    fn drop(&mut self) {
        let mut with_payload = Vec::new();
        self.old.each(&mut |object| with_payload.push(object));
        for object in with_payload {
            full::drop_payload(object);
        }
    }
}
