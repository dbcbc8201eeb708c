//! The threads, locks and atomics of the crate: the standard library's, or a model checker's.
//!
//! `tests/model` builds these sources once more with the checker's in their place. What machine code reads (poll flags, entry cells,
//! effective slots, counts of deopts) is the processor's own in both.

#[cfg(not(feature = "shuttle"))]
mod chosen {
    pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    pub use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
    pub use std::thread::{Thread, current, park_timeout, yield_now};
    pub use std::thread_local;
}

#[cfg(feature = "shuttle")]
mod chosen {
    pub use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    pub use shuttle::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
    pub use shuttle::thread::{Thread, current, yield_now};
    pub use shuttle::thread_local;

    /// The checker has no time: whoever sleeps for a while may go on at any moment.
    pub fn park_timeout(_: std::time::Duration) {
        yield_now();
    }
}

pub use chosen::*;

/// Somebody else has to do something first, which takes about as long as a walk over a stack.
pub fn pause() {
    yield_now();
}
