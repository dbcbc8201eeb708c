//! The atomics that the handshake is made of. A test puts a model checker's in their place.

pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Somebody else has to do something first, which takes about as long as a walk over a stack.
pub fn pause() {
    std::thread::yield_now();
}
