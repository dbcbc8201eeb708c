//! Traversal: array part, then properties in the order in which they were added, then the hash part in that order.
//!
//! Fields may be set to nil, or to other values, during a traversal: nothing moves then. The array part may get shorter,
//! so an integer key that is nowhere but has room in the array part was an element of it.

use super::float_key;
use super::hash::{self, HashPart};
use crate::object::{Buffer, LuaString, Table};
use crate::value::{Tag, Value};

/// The key given to `next` is not one of the table's: "invalid key to 'next'".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidKey;

/// A place in a traversal: what is to be looked at next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// An element of the array part, from zero.
    Element(u32),
    /// A property slot.
    Slot(u32),
    /// An entry of the hash part.
    Entry(u32),
}

impl Position {
    /// The beginning of every table.
    pub const START: Position = Position::Element(0);
}

/// The element behind `key`, if that is nil or a place of the array part, and the next one is not nil: its index, and where it is.
/// (Values that come through memory as a pair of pairs are waited for; a place is not.)
///
/// # Safety
/// The table is live.
#[inline(always)]
pub unsafe fn next_element(table: *mut Table, key: Value) -> Option<(i64, *const Value)> {
    // SAFETY: the function's contract; `array_length` elements are initialized.
    unsafe {
        let place = if key.is_int() {
            key.payload
        } else if key.is_nil() {
            0
        } else {
            return None;
        };
        if place >= u64::from((*table).array_length) {
            return None;
        }
        let value = Buffer::values((*table).array).add(place as usize);
        if (*value).tag == Tag::Nil as u64 { None } else { Some((place as i64 + 1, value)) }
    }
}

/// The next field at or behind a position: the position behind it, key and value.
#[inline]
pub fn advance(table: *mut Table, position: Position) -> Option<(Position, Value, Value)> {
    // SAFETY: the table is live; counts cover initialized values.
    unsafe {
        let mut slot = 0;
        match position {
            Position::Element(start) => {
                let length = (*table).array_length;
                for place in start..length {
                    let value = *Buffer::values((*table).array).add(place as usize);
                    if !value.is_nil() {
                        return Some((Position::Element(place + 1), Value::int(place as i64 + 1), value));
                    }
                }
            }
            Position::Slot(start) => slot = start,
            Position::Entry(start) => return advance_entry(table, start),
        }
        let shape = (*table).shape;
        while slot < (*shape).count {
            let value = *Buffer::values((*table).slots).add(slot as usize);
            if !value.is_nil() {
                return Some((Position::Slot(slot + 1), Value::string((*shape).key(slot)), value));
            }
            slot += 1;
        }
        advance_entry(table, 0)
    }
}

#[inline]
unsafe fn advance_entry(table: *mut Table, start: u32) -> Option<(Position, Value, Value)> {
    // SAFETY: the caller's table is live; `used` entries are initialized.
    unsafe {
        let part = (*table).hash;
        if part.is_null() {
            return None;
        }
        for place in start..(*part).used {
            let entry = &*HashPart::entries(part).add(place as usize);
            if !entry.value.is_nil() {
                (*part).cursor = place;
                return Some((Position::Entry(place + 1), entry.key, entry.value));
            }
        }
        None
    }
}

/// The field behind `key` in the order of traversal, the first one for nil; nothing at the end.
///
/// # Errors
/// When the key is not one of the table's.
pub fn next(table: *mut Table, key: Value) -> Result<Option<(Value, Value)>, InvalidKey> {
    let position = position_behind(table, key)?;
    Ok(advance(table, position).map(|(_, key, value)| (key, value)))
}

#[inline]
fn position_behind(table: *mut Table, key: Value) -> Result<Position, InvalidKey> {
    let mut key = key;
    if key.is_nil() {
        return Ok(Position::START);
    }
    // SAFETY: the table is live; `used` entries are initialized.
    unsafe {
        if key.is_float()
            && let Some(int) = float_key(key.as_float())
        {
            key = Value::int(int);
        }
        if key.is_int() && (key.payload).wrapping_sub(1) < (*table).array_length as u64 {
            return Ok(Position::Element(key.payload as u32));
        }
        if key.is(Tag::String)
            && LuaString::is_interned(key.as_string())
            && let Some(slot) = (*(*table).shape).lookup(key.as_string())
        {
            return Ok(Position::Slot(slot + 1));
        }
        let part = (*table).hash;
        if !part.is_null() {
            let cursor = (*part).cursor;
            if cursor < (*part).used && (*HashPart::entries(part).add(cursor as usize)).key.same_bits(key) {
                return Ok(Position::Entry(cursor + 1));
            }
            let entry = hash::find_entry(table, key);
            if !entry.is_null() {
                return Ok(Position::Entry(entry.offset_from(HashPart::entries(part)) as u32 + 1));
            }
        }
        let array = (*table).array;
        if key.is_int() && !array.is_null() && key.payload.wrapping_sub(1) < (*array).capacity as u64 {
            return Ok(Position::Slot(0));
        }
        Err(InvalidKey)
    }
}
