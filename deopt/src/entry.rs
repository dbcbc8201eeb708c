//! Entry cells: where callers find the code of a unit.
//!
//! The host has one in each of its units, at the offset that its language declares as the unit's entry field. Compiled code
//! loads it and calls what it finds, without any test: a unit without code has the stub that lets the host interpret the call.

use crate::stubs;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A pointer to machine code, of the size and form of a pointer. Never null.
#[repr(transparent)]
#[derive(Debug)]
pub struct EntryCell(AtomicPtr<u8>);

/// The code of an entry cell whose unit has none.
pub fn interpret_entry() -> *const u8 {
    stubs::interpret_entry as *const u8
}

impl EntryCell {
    /// A cell of a unit without code.
    pub fn new() -> EntryCell {
        EntryCell(AtomicPtr::new(interpret_entry().cast_mut()))
    }
    /// What to call. Acquire: who gets a candidate's code sees its slots.
    pub fn code(&self) -> *const u8 {
        self.0.load(Ordering::Acquire)
    }
    /// Whether there is code.
    pub fn is_compiled(&self) -> bool {
        self.code() != interpret_entry()
    }
    /// Publishes code, or takes it back. Release: see `code`.
    pub(crate) fn set(&self, code: *const u8) {
        self.0.store(code.cast_mut(), Ordering::Release);
    }
}

impl Default for EntryCell {
    fn default() -> EntryCell {
        EntryCell::new()
    }
}
