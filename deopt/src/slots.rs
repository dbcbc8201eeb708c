//! Spesh slots: what a candidate's code needs from one guest heap, by number.
//!
//! One array per (isolate, candidate). Its base address is the candidate's entry in the isolate's table of effective slots;
//! compiled code loads it at function entry and keeps it for the activation, so an array outlives every frame of its candidate.
//!
//! ```text
//! pair encoding, 16 bytes a slot        word encoding, 8 bytes a slot
//! ┌──────────┬──────────┐               ┌──────────┐
//! │ tag      │ payload  │ any           │ word     │ any
//! │ 0        │ address  │ ref, raw      │ address  │ ref, raw
//! └──────────┴──────────┘               └──────────┘
//! ```
//!
//! Slots of type `ref` and `any` are roots; a moving collector writes them in place.

use crate::frames::RootWord;
use std::cell::UnsafeCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use surmise_ir::language::Encoding;
use surmise_ir::types::Type;

/// What a slot holds: words as in memory. Of `raw` and `ref` slots only the payload counts, of `any` slots in word encoding too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotValue {
    /// The tag word of a boxed pair.
    pub tag: u64,
    /// The payload of a boxed pair, the boxed word, or the address.
    pub payload: u64,
}

impl SlotValue {
    /// A word: an address, an object pointer, or a boxed value in word encoding.
    pub fn word(word: u64) -> SlotValue {
        SlotValue { tag: 0, payload: word }
    }
    /// A boxed value in pair encoding.
    pub fn pair(tag: u64, payload: u64) -> SlotValue {
        SlotValue { tag, payload }
    }
}

/// Distance in bytes from the base of the effective slots to the first word of a slot: the tag in pair encoding.
pub const fn slot_offset(encoding: Encoding, slot: u32) -> u32 {
    match encoding {
        Encoding::Word => slot * 8,
        Encoding::Pair => slot * 16,
    }
}

/// Distance in bytes from the base of the effective slots to a slot's payload: the word of `raw` and `ref` slots, the payload of
/// a boxed pair, the boxed word.
pub const fn payload_offset(encoding: Encoding, slot: u32) -> u32 {
    match encoding {
        Encoding::Word => slot * 8,
        Encoding::Pair => slot * 16 + 8,
    }
}

/// The address of a page that can't be read, written or run; the middle of it, so that fields and elements of what would be there can't
/// be touched either. Where there is none, an address that no page has.
pub fn protected_page() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    const BYTES: usize = 1 << 20;
    *PAGE.get_or_init(|| {
        // SAFETY: a fresh mapping, which nobody can touch and which is never given back.
        let page = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(std::ptr::null_mut(), BYTES, libc::PROT_NONE, flags, -1, 0)
        };
        if page == libc::MAP_FAILED { 1 << 62 } else { page as usize + BYTES / 2 }
    })
}

/// The slots of one candidate in one isolate.
pub struct SlotArray {
    words: Box<[UnsafeCell<u64>]>,
    types: Box<[Type]>,
    encoding: Encoding,
    /// Slots from here on are not filled yet, and no roots.
    filled: AtomicUsize,
}

// SAFETY: the words are written only by `fill` (by the one installer, before publication) and by the collector, which stops
// every runloop of the isolate first; compiled code only reads them.
unsafe impl Sync for SlotArray {}

impl SlotArray {
    /// An array of empty slots of these types.
    pub fn new(encoding: Encoding, types: impl Iterator<Item = Type>) -> SlotArray {
        let types: Box<[Type]> = types.collect();
        let bytes = slot_offset(encoding, types.len() as u32) as usize;
        // One word too many, so that the base of an empty array is an address of its own and not null.
        let words = (0..bytes / 8 + 1).map(|_| UnsafeCell::new(0)).collect();
        SlotArray { words, types, encoding, filled: AtomicUsize::new(0) }
    }
    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.types.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
    /// What compiled code reads its slots through.
    pub fn base(&self) -> *const u8 {
        self.words.as_ptr().cast()
    }
    fn word(&self, byte_offset: u32) -> *mut u64 {
        self.words[byte_offset as usize / 8].get()
    }
    /// Fills the next slot. Slots are filled in order, by the installer alone, before the array is published.
    pub(crate) fn fill(&self, value: SlotValue) {
        let slot = self.filled.load(Ordering::Relaxed);
        assert!(slot < self.types.len(), "slot {slot} of {} is filled", self.types.len());
        // SAFETY: both words lie inside the array (`word` checks the index); nobody reads a slot that is not filled yet.
        unsafe {
            if self.encoding == Encoding::Pair {
                *self.word(slot_offset(self.encoding, slot as u32)) = value.tag;
            }
            *self.word(payload_offset(self.encoding, slot as u32)) = value.payload;
        }
        self.filled.store(slot + 1, Ordering::Release);
    }
    /// Has every word be an address that can't be touched: a read that should not happen any more faults at once instead of going on with
    /// what the slot held. Nothing in it is a root from here on.
    ///
    /// The caller sees to it that no frame reads the slots again.
    pub(crate) fn poison(&self) {
        self.filled.store(0, Ordering::Release);
        for word in &self.words {
            // SAFETY: nobody reads the words (the caller sees to it), and none is a root.
            unsafe { *word.get() = protected_page() as u64 };
        }
    }
    /// What a filled slot holds now.
    pub fn get(&self, slot: u32) -> Option<SlotValue> {
        if slot as usize >= self.filled.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: the slot is filled, and `word` checks the index. The collector runs on this thread or while it is stopped.
        unsafe {
            let payload = *self.word(payload_offset(self.encoding, slot));
            let tag = if self.encoding == Encoding::Pair {
                *self.word(slot_offset(self.encoding, slot))
            } else {
                0
            };
            Some(SlotValue { tag, payload })
        }
    }
    /// Reports the filled slots that are collector-managed.
    ///
    /// # Safety
    /// Every runloop of the isolate is stopped at a safepoint, and nothing else visits the array meanwhile.
    pub unsafe fn visit_roots(&self, visit: &mut dyn FnMut(RootWord<'_>)) {
        for (slot, ty) in self.types.iter().enumerate().take(self.filled.load(Ordering::Acquire)) {
            let (first, payload) =
                (slot_offset(self.encoding, slot as u32), payload_offset(self.encoding, slot as u32));
            match ty {
                // SAFETY: inside the array; nobody else reads or writes it now (the function's contract).
                Type::Ref => visit(RootWord::Ref(unsafe { &mut *self.word(payload) })),
                Type::Any => {
                    let length = (payload - first) as usize / 8 + 1;
                    let start = self.words[first as usize / 8..][..length].as_ptr() as *mut u64;
                    // SAFETY: `length` words from `start` on lie inside the array (sliced above); exclusive as above.
                    visit(RootWord::Any(unsafe { std::slice::from_raw_parts_mut(start, length) }));
                }
                _ => {}
            }
        }
    }
}

/// An isolate's table of effective slots, by candidate number.
///
/// It is made in its full size, so that it never moves: contexts hold its address, and compiled code reads it unsynchronized.
/// Its untouched part costs no memory.
pub struct EffectiveSlots {
    table: table::Table,
}

impl EffectiveSlots {
    /// How many candidates can be loaded at a time: far above what a code budget holds, 2 MiB of address space for an isolate.
    pub const CAPACITY: u32 = 1 << 18;

    /// A table of null pointers.
    pub fn new() -> EffectiveSlots {
        EffectiveSlots { table: table::Table::new(EffectiveSlots::CAPACITY as usize) }
    }
    /// The table's address, for contexts.
    pub fn address(&self) -> *const *const u8 {
        self.table.as_ptr().cast()
    }
    /// Sets what a candidate reads its slots through. Release: who sees the pointer sees the filled slots.
    pub fn set(&self, number: u32, base: *const u8) {
        self.table[number as usize].store(base.cast_mut(), Ordering::Release);
    }
    /// What a candidate reads its slots through; null when it must not run here.
    pub fn get(&self, number: u32) -> *const u8 {
        self.table[number as usize].load(Ordering::Acquire)
    }
}

impl Default for EffectiveSlots {
    fn default() -> EffectiveSlots {
        EffectiveSlots::new()
    }
}
/// Memory for the table straight from the operating system: allocators that reuse memory would fill all of it with zeros, which
/// costs a short program more than all it does with it.
#[cfg(unix)]
mod table {
    use std::alloc::{Layout, handle_alloc_error};
    use std::ops::Deref;
    use std::ptr::NonNull;
    use std::sync::atomic::AtomicPtr;

    pub struct Table(NonNull<[AtomicPtr<u8>]>);

    // SAFETY: the table is owned memory full of atomics, like a boxed slice of them.
    unsafe impl Send for Table {}
    // SAFETY: as above.
    unsafe impl Sync for Table {}

    impl Table {
        /// So many null pointers.
        pub fn new(count: usize) -> Table {
            let layout = Layout::array::<AtomicPtr<u8>>(count).expect("the table's size is a small constant");
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a new mapping at an address of the system's choice; it replaces nothing.
            let memory = unsafe { libc::mmap(std::ptr::null_mut(), layout.size(), protection, flags, -1, 0) };
            let first = NonNull::new(memory.cast::<AtomicPtr<u8>>());
            match first.filter(|_| memory != libc::MAP_FAILED) {
                // New pages are zero, and zero is the null pointer.
                Some(first) => Table(NonNull::slice_from_raw_parts(first, count)),
                None => handle_alloc_error(layout),
            }
        }
    }

    impl Deref for Table {
        type Target = [AtomicPtr<u8>];
        fn deref(&self) -> &[AtomicPtr<u8>] {
            // SAFETY: mapped in `new` with this length, unmapped by `drop` alone.
            unsafe { self.0.as_ref() }
        }
    }

    impl Drop for Table {
        fn drop(&mut self) {
            // SAFETY: the mapping of `new`; nobody has a reference to it any more.
            unsafe { libc::munmap(self.0.as_ptr().cast(), size_of_val(&**self)) };
        }
    }
}

#[cfg(not(unix))]
mod table {
    use std::sync::atomic::AtomicPtr;

    pub struct Table(Box<[AtomicPtr<u8>]>);

    impl Table {
        /// So many null pointers.
        pub fn new(count: usize) -> Table {
            Table((0..count).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect())
        }
    }

    impl std::ops::Deref for Table {
        type Target = [AtomicPtr<u8>];
        fn deref(&self) -> &[AtomicPtr<u8>] {
            &self.0
        }
    }
}
