//! Values: one word each, told apart by their lowest bits (the *word* encoding of `surmise-ir`).
//!
//! ```text
//! ...xxx1   a 63-bit integer, shifted left by one
//! ...x000   the address of a Text
//! ...x010   the address of a Function, plus 2
//!       4   none: a local that nothing was assigned to
//! ```

use crate::program::Function;

/// What a word is. In the order of the kinds in `tally.sir`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An integer of 63 bits.
    Int,
    /// A string.
    String,
    /// A function.
    Function,
    /// No value.
    None,
}

/// A string. It never moves, and is freed when no root refers to it.
#[repr(C)]
#[derive(Debug)]
pub struct Text {
    /// How many bytes it has.
    pub length: i64,
    /// The bytes.
    pub characters: Box<str>,
}

impl Text {
    /// A string at an address of its own.
    pub fn new(characters: String) -> Box<Text> {
        Box::new(Text { length: characters.len() as i64, characters: characters.into() })
    }
}

/// A value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Word(pub u64);

impl Word {
    /// What a local holds before something is assigned to it.
    pub const NONE: Word = Word(4);

    /// The integer, if it fits into 63 bits.
    pub fn checked_int(value: i64) -> Option<Word> {
        (value << 1 >> 1 == value).then(|| Word::int(value))
    }
    /// A small integer.
    pub fn int(value: i64) -> Word {
        Word((value << 1 | 1) as u64)
    }
    /// A string.
    pub fn text(text: &Text) -> Word {
        Word(std::ptr::from_ref(text) as u64)
    }
    /// A function.
    pub fn function(function: &Function) -> Word {
        Word(std::ptr::from_ref(function) as u64 | 2)
    }
    /// What it is.
    pub fn kind(self) -> Kind {
        match self.0 & 7 {
            0 => Kind::String,
            2 => Kind::Function,
            4 => Kind::None,
            _ => Kind::Int,
        }
    }
    /// The integer. The word must be one.
    pub fn as_int(self) -> i64 {
        self.0 as i64 >> 1
    }
    /// Whether a conditional jump takes it for true.
    pub fn is_true(self) -> bool {
        self != Word::int(0) && self != Word::NONE
    }
    /// The string.
    ///
    /// # Safety
    /// The word is a string that a root refers to, now and as long as the result is used.
    pub unsafe fn as_text<'a>(self) -> &'a Text {
        // SAFETY: such a word is the address of a text, which lives as long as a root refers to it.
        unsafe { &*(self.0 as *const Text) }
    }
    /// The function.
    ///
    /// # Safety
    /// The word is a function of a machine that lives as long as the result is used.
    pub unsafe fn as_function<'a>(self) -> &'a Function {
        // SAFETY: such a word is the address of a function plus 2; functions live as long as their machine.
        unsafe { &*((self.0 - 2) as *const Function) }
    }
}
