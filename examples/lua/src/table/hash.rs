//! The hash part: a compact dictionary in the order of insertion.
//!
//! ```text
//! header | capacity used index_mask cursor owner - | entry * capacity | index: u32 * (index_mask + 1)
//!                                                    key, value         place + 1 | upper bits of the hash
//! ```
//!
//! Small parts have no index and are searched from the start. In an index word, the bits under `index_mask` are the entry's
//! place plus one (0: free), those above repeat the hash, so that nearly only the right entry is looked at.
//!
//! A field that becomes nil keeps its entry, so a traversal can go on from it, and the key that comes back finds its old
//! place; entries without value go when the part is full and rebuilt. Objects hash by their identity number, since
//! addresses change.

use super::array;
use super::slots::note_class_change;
use crate::heap::Heap;
use crate::object::{FLAG_CLASS_LIKE, Header, Table};
use crate::string;
use crate::value::{Tag, Value};

/// (Hash parts, `extra`) There may be integer keys.
const HAS_INTS: u16 = 1;
/// Up to here there is no index: comparing a few keys is faster than hashing.
const LINEAR_CAPACITY: u32 = 8;
const FIRST_CAPACITY: u32 = 4;
/// Index words must have room for place + 1 below the mask.
const MAXIMUM_CAPACITY: usize = 1 << 29;

/// The hash part of a table, owned by exactly one.
#[repr(C)]
pub struct HashPart {
    /// Header.
    pub header: Header,
    /// Room for how many entries.
    pub capacity: u32,
    /// Entries in use, including those without value.
    pub used: u32,
    /// Size of the index minus 1; 0 when there is no index.
    pub index_mask: u32,
    /// The entry that a traversal was at last.
    pub cursor: u32,
    /// Place in the heap's list of old parts whose owner is still young, or [`crate::object::NO_OWNER_INDEX`].
    pub owner_index: u32,
    /// Zero.
    pub reserved: u32,
}

/// A key with its value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Entry {
    /// The key; nil if it died and had no value.
    pub key: Value,
    /// The value; nil if the field is absent.
    pub value: Value,
}

/// What is left of an entry whose key is no longer the hash part's: its place, and a word in the index.
pub(super) const NO_ENTRY: Entry = Entry { key: Value::NIL, value: Value::NIL };

const fn index_words(capacity: u32) -> usize {
    if capacity <= LINEAR_CAPACITY { 0 } else { capacity as usize * 2 }
}

impl HashPart {
    /// Bytes that a part with room for `capacity` entries occupies.
    pub const fn size(capacity: u32) -> usize {
        size_of::<HashPart>()
            + capacity as usize * size_of::<Entry>()
            + index_words(capacity) * size_of::<u32>()
    }
    /// The first entry.
    #[inline(always)]
    pub fn entries(this: *mut HashPart) -> *mut Entry {
        this.wrapping_add(1) as *mut Entry
    }
    #[inline(always)]
    unsafe fn index(this: *mut HashPart) -> *mut u32 {
        // SAFETY: the caller's part is live.
        unsafe { HashPart::entries(this).add((*this).capacity as usize) as *mut u32 }
    }
    /// Whether there may be integer keys in it. Null has none.
    #[inline(always)]
    pub(super) fn has_ints(this: *mut HashPart) -> bool {
        // SAFETY: null or a live part.
        unsafe { !this.is_null() && (*this).header.extra & HAS_INTS != 0 }
    }
}

#[inline(always)]
fn hash_word(word: u64) -> u32 {
    let mixed = word.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as u32
}

/// The hash of a key that is in a table already, or can't be in one: an object without identity number is in none.
#[inline]
fn hash_if_known(key: Value) -> Option<u32> {
    if key.is(Tag::String) {
        return Some(string::hash(key.as_string()));
    }
    if !key.is_heap() {
        return Some(hash_word(key.payload ^ key.tag << 56));
    }
    // SAFETY: a heap value is a live object.
    let identity = unsafe { (*key.as_header()).identity };
    (identity != 0).then_some(identity)
}

#[inline]
fn hash_key(heap: &mut Heap, key: Value) -> u32 {
    if key.is_heap() && !key.is(Tag::String) {
        return heap.identity(key.as_header());
    }
    hash_if_known(key).expect("only objects can be without hash")
}

/// Whether an entry's key, which is not the same word for word, is an equal long string.
#[inline(always)]
fn same_key(a: Value, b: Value) -> bool {
    a.same_bits(b) || (a.is(Tag::String) && b.is(Tag::String) && string::equals(a.as_string(), b.as_string()))
}

/// The entry of a key, with or without value, or null.
#[inline]
unsafe fn find(part: *mut HashPart, key: Value, hash: impl FnOnce() -> Option<u32>) -> *mut Entry {
    // SAFETY: the caller's part is live; `used` entries are initialized, and index words name such entries.
    unsafe {
        let entries = HashPart::entries(part);
        let mask = (*part).index_mask;
        if mask == 0 {
            for place in 0..(*part).used as usize {
                let entry = entries.add(place);
                if same_key((*entry).key, key) {
                    return entry;
                }
            }
            return std::ptr::null_mut();
        }
        let Some(hash) = hash() else { return std::ptr::null_mut() };
        let index = HashPart::index(part);
        let mut at = hash & mask;
        loop {
            let word = *index.add(at as usize);
            if word == 0 {
                return std::ptr::null_mut();
            }
            if (word ^ hash) & !mask == 0 {
                let entry = entries.add((word & mask) as usize - 1);
                if same_key((*entry).key, key) {
                    return entry;
                }
            }
            at = (at + 1) & mask;
        }
    }
}

/// The entry of a key in a table, or null. The key is normalized.
#[inline]
pub(super) fn find_entry(table: *mut Table, key: Value) -> *mut Entry {
    // SAFETY: the table is live, and its hash part with it.
    unsafe {
        let part = (*table).hash;
        if part.is_null() {
            return std::ptr::null_mut();
        }
        find(part, key, || hash_if_known(key))
    }
}

/// The value of a normalized key.
#[inline]
pub(super) fn get(table: *mut Table, key: Value) -> Value {
    let entry = find_entry(table, key);
    // SAFETY: an entry that was found is initialized.
    if entry.is_null() { Value::NIL } else { unsafe { (*entry).value } }
}

/// The entry of an integer key.
#[inline]
pub(super) fn find_int(table: *mut Table, key: i64) -> Option<*mut Entry> {
    // SAFETY: the table is live, and its hash part with it.
    unsafe {
        let part = (*table).hash;
        if !HashPart::has_ints(part) {
            return None;
        }
        let key = Value::int(key);
        let entry = find_bits(part, key, hash_word(key.payload ^ key.tag << 56));
        (!entry.is_null()).then_some(entry)
    }
}

/// As [`find`], for keys that are equal exactly when they are the same word for word.
#[inline(always)]
unsafe fn find_bits(part: *mut HashPart, key: Value, hash: u32) -> *mut Entry {
    // SAFETY: as in `find`.
    unsafe {
        let entries = HashPart::entries(part);
        let mask = (*part).index_mask;
        if mask == 0 {
            for place in 0..(*part).used as usize {
                let entry = entries.add(place);
                if (*entry).key.same_bits(key) {
                    return entry;
                }
            }
            return std::ptr::null_mut();
        }
        let index = HashPart::index(part);
        let mut at = hash & mask;
        loop {
            let word = *index.add(at as usize);
            if word == 0 {
                return std::ptr::null_mut();
            }
            if (word ^ hash) & !mask == 0 {
                let entry = entries.add((word & mask) as usize - 1);
                if (*entry).key.same_bits(key) {
                    return entry;
                }
            }
            at = (at + 1) & mask;
        }
    }
}

/// `t[key]` for an integer outside the array part.
#[inline(never)]
pub(super) fn get_int(table: *mut Table, key: i64) -> Value {
    // SAFETY: an entry that was found is initialized.
    find_int(table, key).map_or(Value::NIL, |entry| unsafe { (*entry).value })
}

/// `t[key] = value` for a normalized key that belongs to the hash part, or to the array part if the table is reorganized.
#[inline(never)]
pub(super) fn set(heap: &mut Heap, table: *mut Table, key: Value, value: Value) {
    let entry = find_entry(table, key);
    // SAFETY: the table is live, and the entry its own.
    unsafe {
        if !entry.is_null() {
            let before = (*entry).value;
            (*entry).value = value;
            if (*table).header.flags & FLAG_CLASS_LIKE != 0 && key.is(Tag::String) {
                note_class_change(heap, key.as_string(), before, value);
            }
            heap.barrier_value(table as *mut Header, value);
            return;
        }
        if value.is_nil() {
            return;
        }
        let part = (*table).hash;
        if part.is_null() || (*part).used == (*part).capacity {
            if key.is_int() || HashPart::has_ints(part) {
                let coming = if key.is_int() { key.as_int() as u64 } else { 0 };
                let size = array::reorganize(heap, table, coming);
                if coming != 0 && (coming <= size || coming == (*table).array_length as u64 + 1) {
                    array::put(heap, table, coming, value);
                    return;
                }
            }
            rebuild(heap, table, 1);
        }
        insert(heap, table, key, value);
        if (*table).header.flags & FLAG_CLASS_LIKE != 0 && key.is(Tag::String) {
            note_class_change(heap, key.as_string(), Value::NIL, value);
        }
    }
}

/// Adds an entry for a key that has none. There is room.
#[inline]
unsafe fn insert(heap: &mut Heap, table: *mut Table, key: Value, value: Value) {
    // SAFETY: the caller's table has a hash part with room.
    unsafe {
        let part = (*table).hash;
        let place = (*part).used;
        *HashPart::entries(part).add(place as usize) = Entry { key, value };
        (*part).used = place + 1;
        if (*part).index_mask != 0 {
            let hash = hash_key(heap, key);
            enter(part, hash, place);
        }
        if key.is_int() {
            (*part).header.extra |= HAS_INTS;
        }
        heap.barrier_value(table as *mut Header, value);
        heap.barrier_value(table as *mut Header, key);
    }
}

#[inline(always)]
unsafe fn enter(part: *mut HashPart, hash: u32, place: u32) {
    // SAFETY: the caller's part has an index with free words.
    unsafe {
        let mask = (*part).index_mask;
        let index = HashPart::index(part);
        let mut at = hash & mask;
        while *index.add(at as usize) != 0 {
            at = (at + 1) & mask;
        }
        *index.add(at as usize) = (place + 1) | hash & !mask;
    }
}

/// Inserts an integer key that is in no part of the table, without thinking about the array part.
pub(super) unsafe fn insert_int(heap: &mut Heap, table: *mut Table, key: i64, value: Value) {
    // SAFETY: the caller's table is live.
    unsafe {
        if let Some(entry) = find_int(table, key) {
            (*entry).value = value;
            heap.barrier_value(table as *mut Header, value);
            return;
        }
        let part = (*table).hash;
        if part.is_null() || (*part).used == (*part).capacity {
            rebuild(heap, table, 1);
        }
        insert(heap, table, Value::int(key), value);
    }
}

/// Makes a new hash part of fitting size with the entries that have values, and room for `more`.
pub(super) fn rebuild(heap: &mut Heap, table: *mut Table, more: usize) {
    // SAFETY: the table is live; `used` entries of its part are initialized.
    unsafe {
        let before = (*table).hash;
        let mut live = 0;
        if !before.is_null() {
            for place in 0..(*before).used as usize {
                live += !(*HashPart::entries(before).add(place)).value.is_nil() as usize;
            }
        }
        let needed = live + more;
        // At least a quarter stays free, or the next rebuild would come too soon.
        let mut capacity = needed.next_power_of_two().max(FIRST_CAPACITY as usize);
        if capacity > LINEAR_CAPACITY as usize && needed > capacity / 4 * 3 {
            capacity *= 2;
        }
        assert!(capacity <= MAXIMUM_CAPACITY, "table overflow");
        let capacity = capacity as u32;
        let part = heap.new_hash_part(table, capacity);
        (*part).used = 0;
        (*part).cursor = 0;
        (*part).reserved = 0;
        let words = index_words(capacity);
        (*part).index_mask = if words == 0 { 0 } else { words as u32 - 1 };
        std::ptr::write_bytes(HashPart::index(part), 0, words);
        let mut used = 0;
        let mut extra = 0;
        if !before.is_null() {
            for place in 0..(*before).used as usize {
                let entry = *HashPart::entries(before).add(place);
                if entry.value.is_nil() {
                    continue;
                }
                *HashPart::entries(part).add(used as usize) = entry;
                if entry.key.is_int() {
                    extra = HAS_INTS;
                }
                if words != 0 {
                    enter(part, hash_key(heap, entry.key), used);
                }
                used += 1;
            }
        }
        (*part).used = used;
        (*part).header.extra = extra;
        (*table).hash = part;
        heap.free_part(before as *mut Header);
    }
}

/// Calls `visit` for all positive integer keys that have values.
pub(super) fn each_int(table: *mut Table, visit: &mut dyn FnMut(u64)) {
    // SAFETY: the table is live; `used` entries of its part are initialized.
    unsafe {
        let part = (*table).hash;
        if !HashPart::has_ints(part) {
            return;
        }
        for place in 0..(*part).used as usize {
            let entry = &*HashPart::entries(part).add(place);
            if entry.key.is_int() && !entry.value.is_nil() && entry.key.as_int() > 0 {
                visit(entry.key.as_int() as u64);
            }
        }
    }
}

/// Takes all integer keys `1..=last` out of the hash part; `take` gets those that have values.
pub(super) fn drain_ints(table: *mut Table, last: u64, take: &mut dyn FnMut(u64, Value)) {
    // SAFETY: as above.
    unsafe {
        let part = (*table).hash;
        if !HashPart::has_ints(part) {
            return;
        }
        for place in 0..(*part).used as usize {
            let entry = &mut *HashPart::entries(part).add(place);
            if entry.key.is_int() && (entry.key.as_int() as u64).wrapping_sub(1) < last {
                if !entry.value.is_nil() {
                    take(entry.key.as_int() as u64, entry.value);
                }
                *entry = NO_ENTRY;
            }
        }
    }
}

// The collector visits entries as pairs of values.
const _: () = assert!(size_of::<Entry>() == 2 * size_of::<Value>() && size_of::<HashPart>() == 32);
