//! Strings: making them, interning short ones, hashing, equality.
//!
//! Strings of up to [`MAXIMUM_INTERNED`] bytes exist once: equal ones have equal addresses. The table that finds them holds
//! them weakly: a full collection drops the dead. Longer strings are compared by content, and hashed when first used as a key.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

use crate::heap::Heap;
use crate::object::{
    FLAG_OLD, LuaString, ObjectKind, STRING_HASHED, STRING_INTERNED, header_word, string_size,
};

/// The longest string that is interned, as in PUC's `LUAI_MAXSHORTLEN`.
pub const MAXIMUM_INTERNED: usize = 40;
/// The longest string at all: lengths are 32 bits wide.
pub const MAXIMUM_LENGTH: usize = i32::MAX as usize - 64;

const MINIMUM_WORDS: usize = 1024;
const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;

/// The set of interned strings: open addressing, one word per string, whose upper 16 bits repeat the upper bits of the hash.
pub struct InternTable {
    words: Box<[u64]>,
    count: usize,
}

impl InternTable {
    /// An empty table.
    pub fn new() -> InternTable {
        InternTable { words: vec![0; MINIMUM_WORDS].into_boxed_slice(), count: 0 }
    }

    /// How many strings it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    fn find(&self, bytes: &[u8], hash: u32) -> Option<*mut LuaString> {
        let mask = self.words.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let word = self.words[place];
            if word == 0 {
                return None;
            }
            if (word >> ADDRESS_BITS) as u32 == hash >> 16 {
                let string = (word & ADDRESS_MASK) as *mut LuaString;
                if same_bytes(LuaString::bytes(string), bytes) {
                    return Some(string);
                }
            }
            place = (place + 1) & mask;
        }
    }

    #[inline]
    fn place(words: &mut [u64], string: *mut LuaString, hash: u32) {
        let mask = words.len() - 1;
        let mut place = hash as usize & mask;
        while words[place] != 0 {
            place = (place + 1) & mask;
        }
        words[place] = string as u64 | (hash as u64 >> 16) << ADDRESS_BITS;
    }

    fn insert(&mut self, string: *mut LuaString, hash: u32) {
        debug_assert!(string as u64 <= ADDRESS_MASK);
        if (self.count + 1) * 2 > self.words.len() {
            self.grow();
        }
        InternTable::place(&mut self.words, string, hash);
        self.count += 1;
    }

    #[cold]
    fn grow(&mut self) {
        let size = self.words.len() * 2;
        let old = std::mem::replace(&mut self.words, vec![0; size].into_boxed_slice());
        for word in old {
            if word != 0 {
                let string = (word & ADDRESS_MASK) as *mut LuaString;
                // SAFETY: strings in the table are live.
                InternTable::place(&mut self.words, string, unsafe { (*string).hash });
            }
        }
    }

    /// Forgets all strings: the sweep is going to enter those that live. The dead are never looked at, which is what makes
    /// temporary strings cheap.
    pub(crate) fn begin_sweep(&mut self) {
        // As many will be there again before the next sweep, so the size stays.
        if self.count * 8 < self.words.len() && self.words.len() > MINIMUM_WORDS {
            self.words = vec![0; self.words.len() / 2].into_boxed_slice();
        } else {
            self.words.fill(0);
        }
        self.count = 0;
    }

    /// Enters a string that the sweep found alive.
    #[inline]
    pub(crate) fn keep(&mut self, string: *mut LuaString) {
        // SAFETY: the string is live.
        unsafe {
            if (*string).header.extra & STRING_INTERNED != 0 {
                self.insert(string, (*string).hash);
            }
        }
    }
}

impl Default for InternTable {
    fn default() -> Self {
        Self::new()
    }
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[inline(always)]
fn half(bytes: &[u8], at: usize) -> u64 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as u64
}

/// Whether two texts are the same. For short ones, for which a call of `memcmp` costs more than the comparison.
#[inline]
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let length = a.len();
    if length != b.len() {
        return false;
    }
    if length >= 8 {
        let mut at = 0;
        while at + 8 < length {
            if word(a, at) != word(b, at) {
                return false;
            }
            at += 8;
        }
        word(a, length - 8) == word(b, length - 8)
    } else if length >= 4 {
        half(a, 0) == half(b, 0) && half(a, length - 4) == half(b, length - 4)
    } else {
        length == 0 || (a[0] == b[0] && a[length / 2] == b[length / 2] && a[length - 1] == b[length - 1])
    }
}

/// Hash of some bytes: folded multiplication of eight bytes at a time.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u32 {
    const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
    const FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;
    #[inline(always)]
    fn fold(a: u64, b: u64) -> u64 {
        let wide = a as u128 * b as u128;
        wide as u64 ^ (wide >> 64) as u64
    }
    let length = bytes.len();
    let mut hash = SEED ^ (length as u64).wrapping_mul(FACTOR);
    if length >= 8 {
        let mut at = 0;
        while at + 8 < length {
            hash = fold(hash ^ word(bytes, at), FACTOR);
            at += 8;
        }
        hash = fold(hash ^ word(bytes, length - 8), FACTOR);
    } else if length >= 4 {
        hash = fold(hash ^ (half(bytes, 0) | half(bytes, length - 4) << 32), FACTOR);
    } else if length > 0 {
        let tail = bytes[0] as u64 | (bytes[length / 2] as u64) << 8 | (bytes[length - 1] as u64) << 16;
        hash = fold(hash ^ tail, FACTOR);
    }
    (hash ^ hash >> 32) as u32
}

/// The hash of a string, computed now if it is a long one and was not before.
#[inline]
pub fn hash(string: *mut LuaString) -> u32 {
    // SAFETY: the string is live; nothing else reads its hash meanwhile.
    unsafe {
        if (*string).header.extra & STRING_HASHED == 0 {
            (*string).hash = hash_bytes(LuaString::bytes(string));
            (*string).header.extra |= STRING_HASHED;
        }
        (*string).hash
    }
}

/// Whether two strings have the same bytes.
#[inline(always)]
pub fn equals(a: *mut LuaString, b: *mut LuaString) -> bool {
    a == b || (!LuaString::is_interned(a) && equals_long(a, b))
}

#[inline(never)]
fn equals_long(a: *mut LuaString, b: *mut LuaString) -> bool {
    LuaString::bytes(a) == LuaString::bytes(b)
}

impl Heap {
    /// The string with these bytes: the one that exists if it is short, else a new one.
    ///
    /// # Panics
    /// If there are more than [`MAXIMUM_LENGTH`] bytes: who can make such a string checks before.
    pub fn intern(&mut self, bytes: &[u8]) -> *mut LuaString {
        if bytes.len() > MAXIMUM_INTERNED {
            let string = self.allocate_string(bytes.len());
            // SAFETY: the new string has room for the bytes and one more.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), string.add(1) as *mut u8, bytes.len());
            }
            return string;
        }
        let hash = hash_bytes(bytes);
        if let Some(string) = self.strings.find(bytes, hash) {
            return string;
        }
        let string = self.allocate_string(bytes.len());
        // SAFETY: as above; the string is not known to anybody yet.
        unsafe {
            (*string).hash = hash;
            (*string).header.extra = STRING_INTERNED | STRING_HASHED;
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), string.add(1) as *mut u8, bytes.len());
        }
        self.strings.insert(string, hash);
        string
    }

    /// A string of `length` bytes that `fill` writes, without a copy of long ones. `fill` gets zeroed bytes if the string is
    /// short, arbitrary ones else, and must write all of them.
    ///
    /// # Panics
    /// As [`Heap::intern`].
    pub fn new_string_with(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> *mut LuaString {
        if length <= MAXIMUM_INTERNED {
            let mut bytes = [0u8; MAXIMUM_INTERNED];
            fill(&mut bytes[..length]);
            return self.intern(&bytes[..length]);
        }
        let string = self.allocate_string(length);
        // SAFETY: the new string has room for `length` bytes, which are plain memory.
        fill(unsafe { std::slice::from_raw_parts_mut(string.add(1) as *mut u8, length) });
        string
    }

    /// The concatenation of some pieces.
    pub fn concatenate(&mut self, pieces: &[&[u8]]) -> *mut LuaString {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.new_string_with(length, |bytes| {
            let mut at = 0;
            for piece in pieces {
                bytes[at..at + piece.len()].copy_from_slice(piece);
                at += piece.len();
            }
        })
    }

    /// Memory for a string: header, length and the terminating zero are written.
    #[inline]
    fn allocate_string(&mut self, length: usize) -> *mut LuaString {
        assert!(length <= MAXIMUM_LENGTH, "string length overflow");
        let string = self.allocate_old(string_size(length)) as *mut LuaString;
        // SAFETY: fresh memory of the right size.
        unsafe {
            (string as *mut u64).write(header_word(ObjectKind::String, FLAG_OLD));
            (*string).hash = 0;
            (*string).length = length as u32;
            (string.add(1) as *mut u8).add(length).write(0);
        }
        string
    }
}
