//! The array part: appending, growing, and deciding what belongs into it.
//!
//! The array part doubles when a value is appended to a full one. When half of it or more is nil at that moment, and whenever
//! the hash part is full, all integer keys are counted and the size is chosen as PUC's `computesizes` does: the largest power
//! of two of which more than half is in use.

use super::hash::{self, HashPart};
use crate::heap::Heap;
use crate::object::{Buffer, Header, Table};
use crate::value::Value;

const FIRST_ELEMENTS: u32 = 4;
/// Array parts have fewer elements than this; further ones go to the hash part.
const MAXIMUM_ELEMENTS: u64 = 1 << 30;

/// The element `index` (from 1) of the array part, or null if it is not there.
#[inline(always)]
pub fn element(table: *mut Table, index: i64) -> *mut Value {
    // SAFETY: the table is live.
    unsafe {
        let place = (index as u64).wrapping_sub(1);
        if place < (*table).array_length as u64 {
            Buffer::values((*table).array).add(place as usize)
        } else {
            std::ptr::null_mut()
        }
    }
}

/// The array part: its first element and how many there are. Whoever stores heap values calls
/// [`Heap::barrier_element`] or [`Heap::barrier_elements`], and does not store nil to the last one.
#[inline(always)]
pub fn array(table: *mut Table) -> (*mut Value, usize) {
    // SAFETY: the table is live.
    unsafe {
        if (*table).array_length == 0 {
            (std::ptr::null_mut(), 0)
        } else {
            (Buffer::values((*table).array), (*table).array_length as usize)
        }
    }
}

/// `t[array_length + 1] = value`, which is not nil.
#[inline]
pub fn append(heap: &mut Heap, table: *mut Table, value: Value) {
    // SAFETY: the table is live.
    unsafe {
        let array = (*table).array;
        let length = (*table).array_length;
        if array.is_null() || length == (*array).capacity {
            append_to_full(heap, table, value);
            return;
        }
        *Buffer::values(array).add(length as usize) = value;
        (*table).array_length = length + 1;
        heap.barrier_element(table, length as usize, value);
        if HashPart::has_ints((*table).hash) {
            take_following(heap, table);
        }
    }
}

#[cold]
#[inline(never)]
fn append_to_full(heap: &mut Heap, table: *mut Table, value: Value) {
    // SAFETY: the table is live.
    unsafe {
        let length = (*table).array_length;
        if length as u64 >= MAXIMUM_ELEMENTS {
            hash::set(heap, table, Value::int(length as i64 + 1), value);
            return;
        }
        if length > FIRST_ELEMENTS && is_half_empty(table) {
            let coming = length as u64 + 1;
            let size = reorganize(heap, table, coming);
            if coming <= size || coming == (*table).array_length as u64 + 1 {
                put(heap, table, coming, value);
            } else {
                hash::set(heap, table, Value::int(coming as i64), value);
            }
            return;
        }
        reserve_array(heap, table, (length * 2).max(FIRST_ELEMENTS));
        append(heap, table, value);
    }
}

/// `t[index] = value`, not nil, for an index that is to be in the array part; what is between becomes nil.
pub(super) fn put(heap: &mut Heap, table: *mut Table, index: u64, value: Value) {
    // SAFETY: the table is live, and has room for the element when it is written.
    unsafe {
        let length = (*table).array_length as u64;
        if index > length {
            reserve_array(heap, table, index as u32);
            let values = Buffer::values((*table).array);
            for hole in length..index - 1 {
                *values.add(hole as usize) = Value::NIL;
            }
            (*table).array_length = index as u32;
        }
        let place = index as usize - 1;
        *Buffer::values((*table).array).add(place) = value;
        heap.barrier_element(table, place, value);
        hash::drain_ints(table, index, &mut |_, _| {
            unreachable!("the keys up to the new one were taken before")
        });
        if HashPart::has_ints((*table).hash) {
            take_following(heap, table);
        }
    }
}

/// Whether at least half of the array part is nil.
fn is_half_empty(table: *mut Table) -> bool {
    let (values, length) = array(table);
    let mut live = 0;
    for place in 0..length {
        // SAFETY: the elements are initialized.
        if unsafe { !(*values.add(place)).is_nil() } {
            live += 1;
            if live * 2 > length {
                return false;
            }
        }
    }
    true
}

/// After an append to a table that may have integer keys in its hash part: forgets the appended key there, and moves the
/// values that follow.
#[inline(never)]
pub(super) fn take_following(heap: &mut Heap, table: *mut Table) {
    // SAFETY: the table is live.
    unsafe {
        let length = (*table).array_length as i64;
        if length > 0
            && let Some(entry) = hash::find_int(table, length)
        {
            *entry = hash::NO_ENTRY;
        }
        loop {
            let index = (*table).array_length as i64 + 1;
            let Some(entry) = hash::find_int(table, index) else { return };
            let value = (*entry).value;
            if value.is_nil() || index as u64 > MAXIMUM_ELEMENTS {
                return;
            }
            let array = (*table).array;
            if array.is_null() || (*table).array_length == (*array).capacity {
                reserve_array(heap, table, ((*table).array_length * 2).max(FIRST_ELEMENTS));
            }
            *entry = hash::NO_ENTRY;
            let place = (*table).array_length as usize;
            *Buffer::values((*table).array).add(place) = value;
            (*table).array_length += 1;
            heap.barrier_element(table, place, value);
        }
    }
}

/// Makes room for at least `capacity` array elements.
pub fn reserve_array(heap: &mut Heap, table: *mut Table, capacity: u32) {
    // SAFETY: the table is live; elements below its length are initialized.
    unsafe {
        let before = (*table).array;
        if !before.is_null() && capacity <= (*before).capacity {
            return;
        }
        let capacity = (capacity as u64).min(MAXIMUM_ELEMENTS) as u32;
        let array = heap.new_buffer(table, capacity, true);
        (*table).array = array;
        if before.is_null() {
            heap.array_replaced(table, None);
            return;
        }
        std::ptr::copy_nonoverlapping(
            Buffer::values(before),
            Buffer::values(array),
            (*table).array_length as usize,
        );
        let cards = Buffer::is_carded(before).then(|| {
            std::slice::from_raw_parts(Buffer::cards(before), Buffer::card_count((*before).capacity))
        });
        heap.array_replaced(table, cards);
        heap.free_part(before as *mut Header);
    }
}

/// Takes nils off the end of the array part.
pub(crate) fn shrink_array(table: *mut Table) {
    // SAFETY: the table is live; elements below its length are initialized.
    unsafe {
        let mut length = (*table).array_length as usize;
        if length == 0 {
            return;
        }
        let values = Buffer::values((*table).array);
        while length > 0 && (*values.add(length - 1)).is_nil() {
            length -= 1;
        }
        (*table).array_length = length as u32;
    }
}

/// Counts of integer keys: `bins[b]` of those in `2^(b-1)+1 ..= 2^b` (`bins[0]`: the key 1).
struct Bins([u32; 31]);

impl Bins {
    fn add(&mut self, key: u64) {
        if key.wrapping_sub(1) < MAXIMUM_ELEMENTS {
            self.0[bin_of(key)] += 1;
        }
    }
    /// The largest power of two of which more than half is in use, or 0.
    fn best_size(&self) -> u64 {
        let mut below = 0u64;
        let mut best = 0;
        for (bin, &count) in self.0.iter().enumerate() {
            below += count as u64;
            if below > (1u64 << bin) / 2 {
                best = 1u64 << bin;
            }
        }
        best
    }
}

fn bin_of(key: u64) -> usize {
    (64 - (key - 1).leading_zeros()) as usize
}

/// Chooses anew which integer keys belong to the array part, for a table that is about to get `coming` (0: none). The array
/// part afterwards has the keys up to the chosen size, which is returned; the one that is coming is left to the caller.
pub(super) fn reorganize(heap: &mut Heap, table: *mut Table, coming: u64) -> u64 {
    let mut bins = Bins([0; 31]);
    bins.add(coming);
    let (values, length) = array(table);
    for place in 0..length {
        // SAFETY: the elements are initialized.
        if unsafe { !(*values.add(place)).is_nil() } {
            bins.add(place as u64 + 1);
        }
    }
    hash::each_int(table, &mut |key| bins.add(key));
    let size = bins.best_size();
    if size < length as u64 {
        spill(heap, table, size as usize);
    }
    fill_from_hash(heap, table, size);
    size
}

/// Lets the array part end at `size` or earlier, and moves the values above to the hash part.
fn spill(heap: &mut Heap, table: *mut Table, size: usize) {
    // SAFETY: the table is live; the old buffer's values are read before it is freed.
    unsafe {
        let before = (*table).array;
        let length = (*table).array_length as usize;
        (*table).array_length = size as u32;
        shrink_array(table);
        let kept = (*table).array_length;
        (*table).array = std::ptr::null_mut();
        if kept > 0 {
            let array = heap.new_buffer(table, size as u32, true);
            std::ptr::copy_nonoverlapping(Buffer::values(before), Buffer::values(array), kept as usize);
            (*table).array = array;
        }
        // The barrier's state belongs to the buffer that is going: start anew, with everything dirty.
        heap.array_spilled(table);
        for place in size..length {
            let value = *Buffer::values(before).add(place);
            if !value.is_nil() {
                hash::insert_int(heap, table, place as i64 + 1, value);
            }
        }
        heap.free_part(before as *mut Header);
    }
}

/// Moves integer keys `..= size` from the hash part to the array part; there may be nils between them.
fn fill_from_hash(heap: &mut Heap, table: *mut Table, size: u64) {
    // SAFETY: the table is live; the array part has room for `size` elements when they are written.
    unsafe {
        let length = (*table).array_length as u64;
        let mut last = 0;
        hash::each_int(table, &mut |key| {
            if key <= size && key > last {
                last = key;
            }
        });
        if size > length {
            reserve_array(heap, table, size as u32);
        }
        if last > length {
            let values = Buffer::values((*table).array);
            for place in length..last {
                *values.add(place as usize) = Value::NIL;
            }
            (*table).array_length = last as u32;
            hash::drain_ints(table, last, &mut |key, value| {
                *values.add(key as usize - 1) = value;
            });
            heap.barrier_elements(table, length as usize, (last - length) as usize);
        }
        if HashPart::has_ints((*table).hash) {
            take_following(heap, table);
        }
    }
}

/// `t[start + i] = values[i]`, as a table constructor does.
pub fn set_list(heap: &mut Heap, table: *mut Table, start: i64, values: *const Value, count: usize) {
    // SAFETY: the table is live, the values are the caller's.
    unsafe {
        let length = (*table).array_length as i64;
        if start == length + 1 && count > 0 && count < 1 << 20 && (*table).hash.is_null() {
            let end = length as u32 + count as u32;
            if (*table).array.is_null() || (*(*table).array).capacity < end {
                reserve_array(heap, table, end);
            }
            let mut target = Buffer::values((*table).array).add(length as usize);
            let mut source = values;
            let stop = values.add(count);
            while source != stop {
                // Word by word: the values were just written so.
                (*target).tag = (*source).tag;
                (*target).payload = (*source).payload;
                target = target.add(1);
                source = source.add(1);
            }
            (*table).array_length = end;
            heap.barrier_elements(table, length as usize, count);
            if (*stop.sub(1)).is_nil() {
                shrink_array(table);
            }
            return;
        }
        for place in 0..count {
            super::set_int(heap, table, start + place as i64, *values.add(place));
        }
    }
}

/// `table.insert(t, index, value)` for a value that is not nil, if `index..=#t` are all in the array part: moves them up.
/// Returns whether it was done.
pub fn insert_element(heap: &mut Heap, table: *mut Table, index: i64, value: Value) -> bool {
    let (_, length) = array(table);
    if index < 1 || index > length as i64 || value.is_nil() {
        return false;
    }
    // SAFETY: the table is live; after appending the last element again, there are `length + 1` elements at least.
    unsafe {
        let place = index as usize - 1;
        let last = *array(table).0.add(length - 1);
        append(heap, table, last);
        let (values, new_length) = array(table);
        if new_length <= length {
            // The table was reorganized and the elements are elsewhere now: undo.
            super::set_int(heap, table, length as i64 + 1, Value::NIL);
            return false;
        }
        std::ptr::copy(values.add(place), values.add(place + 1), length - 1 - place);
        *values.add(place) = value;
        heap.barrier_elements(table, place, length + 1 - place);
        true
    }
}

/// `table.remove(t, index)` if `index..=#t` are all in the array part: moves those above down, and returns what was there.
pub fn remove_element(heap: &mut Heap, table: *mut Table, index: i64) -> Option<Value> {
    let (values, length) = array(table);
    if index < 1 || index > length as i64 {
        return None;
    }
    // SAFETY: the table is live, and the element in its array part.
    unsafe {
        let place = index as usize - 1;
        let removed = *values.add(place);
        std::ptr::copy(values.add(place + 1), values.add(place), length - 1 - place);
        heap.barrier_elements(table, place, length - 1 - place);
        *values.add(length - 1) = Value::NIL;
        shrink_array(table);
        Some(removed)
    }
}
