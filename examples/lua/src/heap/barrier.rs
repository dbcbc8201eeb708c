//! The write barrier: how the collector learns which old objects point to young ones.
//!
//! An old object is put on the remembered list when a heap value is stored into it; the flag [`FLAG_REMEMBERED`] makes the
//! inline test fail from then on. A table's buffers and hash part count as parts of it.
//!
//! A table with a *carded* array part (a large one) would be scanned whole because of one store. It never carries
//! `FLAG_REMEMBERED`, so every store of a heap value takes the cold path, which marks the card of the element;
//! [`FLAG_LISTED`] says that the table is on the list. A listed table is scanned except for the clean cards of its array.

use super::{Heap, card_of};
use crate::object::{Buffer, FLAG_LISTED, FLAG_OLD, FLAG_REMEMBERED, Header, ObjectKind, Table};
use crate::value::Value;

impl Heap {
    /// To be called after, or right before, a value of unknown kind is stored anywhere in an object (for a table: shape
    /// slots, array, hash, metatable).
    #[inline(always)]
    pub fn barrier(&mut self, object: *mut Header) {
        if self.is_barrier_due(object) {
            self.remember(object);
        }
    }

    /// Whether [`Heap::barrier`] has something to do.
    #[inline(always)]
    pub fn is_barrier_due(&self, object: *const Header) -> bool {
        // SAFETY: the object is live.
        unsafe { (*object).flags & (FLAG_OLD | FLAG_REMEMBERED) == FLAG_OLD }
    }

    /// The same for an object that is no table, or a store into a table's shape slots or hash part, when the value is known.
    #[inline(always)]
    pub fn barrier_value(&mut self, object: *mut Header, value: Value) {
        // SAFETY: the object is live.
        if value.may_be_young() && unsafe { (*object).flags } & (FLAG_OLD | FLAG_REMEMBERED) == FLAG_OLD {
            self.remember_value(object, value);
        }
    }

    /// The same for a store to an element of a table's array part; `index` counts from zero.
    #[inline(always)]
    pub fn barrier_element(&mut self, table: *mut Table, index: usize, value: Value) {
        // SAFETY: the table is live.
        let flags = unsafe { (*table).header.flags };
        if value.may_be_young() && flags & (FLAG_OLD | FLAG_REMEMBERED) == FLAG_OLD {
            self.remember_element(table, index, value);
        }
    }

    /// The same for stores to several elements of the array part.
    #[inline]
    pub fn barrier_elements(&mut self, table: *mut Table, start: usize, count: usize) {
        // SAFETY: the table is live; cards are counted by its buffer's capacity.
        unsafe {
            if (*table).header.flags & (FLAG_OLD | FLAG_REMEMBERED) != FLAG_OLD || count == 0 {
                return;
            }
            if Buffer::is_carded((*table).array) {
                let first = card_of(start);
                let last = card_of(start + count - 1);
                std::ptr::write_bytes(Buffer::cards((*table).array).add(first), 1, last - first + 1);
                self.list(table);
            } else {
                self.remember(table as *mut Header);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn remember(&mut self, object: *mut Header) {
        // SAFETY: the object is live, and old.
        unsafe {
            if (*object).kind == ObjectKind::Table as u8 {
                let table = object as *mut Table;
                if Buffer::is_carded((*table).array) {
                    dirty_all_cards((*table).array);
                    self.list(table);
                    return;
                }
            }
            (*object).flags |= FLAG_REMEMBERED;
            self.remembered.push(object);
        }
    }

    #[cold]
    #[inline(never)]
    fn remember_value(&mut self, object: *mut Header, value: Value) {
        if !self.is_young(value.payload) {
            return;
        }
        // SAFETY: the object is live, and old.
        unsafe {
            if (*object).kind == ObjectKind::Table as u8 && Buffer::is_carded((*(object as *mut Table)).array)
            {
                self.list(object as *mut Table);
                return;
            }
            (*object).flags |= FLAG_REMEMBERED;
            self.remembered.push(object);
        }
    }

    #[cold]
    #[inline(never)]
    fn remember_element(&mut self, table: *mut Table, index: usize, value: Value) {
        if !self.is_young(value.payload) {
            return;
        }
        // SAFETY: the table is live, and old; the index is inside its array part.
        unsafe {
            if Buffer::is_carded((*table).array) {
                *Buffer::cards((*table).array).add(card_of(index)) = 1;
                self.list(table);
                return;
            }
            (*table).header.flags |= FLAG_REMEMBERED;
            self.remembered.push(table as *mut Header);
        }
    }

    /// Puts a table with a carded array part on the list.
    unsafe fn list(&mut self, table: *mut Table) {
        // SAFETY: the caller's table is live.
        unsafe {
            if (*table).header.flags & FLAG_LISTED == 0 {
                (*table).header.flags |= FLAG_LISTED;
                self.remembered.push(table as *mut Header);
            }
        }
    }

    /// To be called when a table has got a new array buffer, in place of one that was carded or not (`was_carded`). The
    /// elements are those of the old one.
    pub(crate) fn array_replaced(&mut self, table: *mut Table, dirty: Option<&[u8]>) {
        // SAFETY: the table is live.
        unsafe {
            let flags = (*table).header.flags;
            if flags & FLAG_OLD == 0 || !Buffer::is_carded((*table).array) {
                // From carded to plain: what was listed is remembered now.
                if flags & FLAG_LISTED != 0 {
                    (*table).header.flags = flags & !FLAG_LISTED | FLAG_REMEMBERED;
                }
                return;
            }
            match dirty {
                Some(cards) => {
                    let count = cards.len().min(Buffer::card_count((*(*table).array).capacity));
                    std::ptr::copy_nonoverlapping(cards.as_ptr(), Buffer::cards((*table).array), count);
                }
                None => {
                    if flags & FLAG_REMEMBERED != 0 {
                        dirty_all_cards((*table).array);
                        (*table).header.flags = flags & !FLAG_REMEMBERED | FLAG_LISTED;
                    }
                }
            }
        }
    }
}

impl Heap {
    /// To be called when a table's array buffer was replaced, and elements have moved elsewhere in the table.
    pub(crate) fn array_spilled(&mut self, table: *mut Table) {
        // SAFETY: the table is live.
        unsafe {
            let flags = (*table).header.flags;
            if flags & (FLAG_LISTED | FLAG_REMEMBERED) == 0 {
                return;
            }
            let other = flags & !(FLAG_LISTED | FLAG_REMEMBERED);
            if Buffer::is_carded((*table).array) {
                dirty_all_cards((*table).array);
                (*table).header.flags = other | FLAG_LISTED;
            } else {
                (*table).header.flags = other | FLAG_REMEMBERED;
            }
        }
    }
}

/// Marks all cards of a carded buffer.
pub(super) unsafe fn dirty_all_cards(array: *mut Buffer) {
    // SAFETY: the caller's buffer is live and carded.
    unsafe { std::ptr::write_bytes(Buffer::cards(array), 1, Buffer::card_count((*array).capacity)) }
}
