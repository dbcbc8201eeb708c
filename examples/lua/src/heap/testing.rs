//! What the tests of heap, tables and caches share: roots that are plain lists, a generator of random numbers, settings under
//! which everything moves all the time.

use super::{Heap, HeapSettings, Roots, Visitor, WeakVisitor};
use crate::cache::FieldCache;
use crate::object::Table;
use crate::value::Value;

/// Roots that a test keeps itself.
#[derive(Default)]
pub(crate) struct TestRoots {
    /// Strong references.
    pub(crate) values: Vec<Value>,
    /// Sites' caches.
    #[allow(clippy::vec_box, reason = "caches must not move")]
    pub(crate) caches: Vec<Box<FieldCache>>,
}

impl Roots for TestRoots {
    fn visit(&mut self, visitor: &mut Visitor) {
        visitor.range(self.values.as_mut_ptr(), self.values.len());
        for cache in &mut self.caches {
            visitor.string(&mut cache.key);
        }
    }
    fn visit_weak(&mut self, visitor: &mut WeakVisitor) {
        for cache in &mut self.caches {
            visitor.cache(cache);
        }
    }
}

impl TestRoots {
    /// Keeps a value; returns its place.
    pub(crate) fn push(&mut self, value: Value) -> usize {
        self.values.push(value);
        self.values.len() - 1
    }
    /// The table at a place.
    pub(crate) fn table(&self, place: usize) -> *mut Table {
        self.values[place].as_table()
    }
}

/// Marsaglia's xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub(crate) fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.word() >> 33) % bound
    }
    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A heap whose nursery holds a handful of objects, and that checks itself around every collection.
pub(crate) fn stressed_heap() -> Heap {
    Heap::new(HeapSettings {
        nursery_bytes: 256,
        full_minimum: 64 << 10,
        stress: true,
        ..HeapSettings::default()
    })
}

/// A safepoint.
pub(crate) fn safepoint(heap: &mut Heap, roots: &mut TestRoots) {
    if heap.requested != 0 {
        heap.collect(roots).expect("no memory limit is set");
    }
}
