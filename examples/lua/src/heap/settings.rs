//! What can be set about a heap, and what it reports about itself.

use std::time::Duration;

/// Settings of a heap.
#[derive(Clone, Copy, Debug)]
pub struct HeapSettings {
    /// Size of the nursery in bytes; at least 256.
    pub nursery_bytes: usize,
    /// Bytes that the guest may use. When a full collection leaves more, [`super::OutOfMemory`] is reported.
    pub memory_limit: usize,
    /// No full collection is started by growth as long as the old space is smaller than this.
    pub full_minimum: usize,
    /// A full collection is due when the old space has grown to this many percent of what the last one left.
    pub full_growth_percent: usize,
    /// Verify the heap around every collection, and overwrite the nursery after each with [`POISON`].
    pub stress: bool,
}

/// What the nursery is filled with after a collection under stress: no valid tag, no valid header, no mapped address.
pub const POISON: u8 = 0xDA;

/// One nursery should stay in the second-level cache together with what a program touches beside it, and be large enough
/// that most temporary objects are dead when it is full.
const DEFAULT_NURSERY: usize = 1 << 20;
/// Strings are old from the start, so this is how many bytes of temporary ones are made before their memory is used again. It
/// should stay in the cache: with 16 MiB, making strings takes twice the time. Much less, and a full collection comes often
/// while there is little to free.
const DEFAULT_FULL_MINIMUM: usize = 4 << 20;

impl Default for HeapSettings {
    fn default() -> Self {
        HeapSettings {
            nursery_bytes: DEFAULT_NURSERY,
            memory_limit: usize::MAX,
            full_minimum: DEFAULT_FULL_MINIMUM,
            full_growth_percent: 200,
            stress: false,
        }
    }
}

/// What a heap did so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeapStatistics {
    /// Bytes in use: old space, nursery and shapes.
    pub used_bytes: usize,
    /// Bytes allocated in the nursery since the heap was made.
    pub young_allocated_bytes: u64,
    /// Bytes that survived the nursery.
    pub promoted_bytes: u64,
    /// Minor collections, including the one that each full collection begins with.
    pub minor_count: u64,
    /// Full collections.
    pub full_count: u64,
    /// Time in minor collections.
    pub minor_time: Duration,
    /// Time in full collections, without the minor ones that they begin with.
    pub full_time: Duration,
    /// The longest minor collection.
    pub longest_minor: Duration,
    /// The longest full collection.
    pub longest_full: Duration,
    /// Live shapes.
    pub shapes: usize,
    /// Interned strings.
    pub interned_strings: usize,
}
