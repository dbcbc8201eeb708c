//! A thread in an isolate: all runloops that it registered there are present or away together.
//!
//! A thread runs one of its runloops at a time; the others are parked, or wait for it. So a thread that is blocked in native code can't
//! run any of them, and a request needs none of them to poll. The registry's runloops of one thread share their [`Presence`].

use super::handshake::Handshake;
use super::request::this_thread;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module comment.
pub(crate) struct Presence {
    thread: u64,
    /// Who may visit the frames of the thread's runloops, and for which requests they were visited.
    pub handshake: Handshake,
    /// How many regions of native code the thread is in. Relaxed: only the thread itself uses it.
    away_depth: AtomicU32,
}

impl Presence {
    /// Of this thread.
    pub fn new(handshake: Handshake) -> Presence {
        Presence { thread: this_thread(), handshake, away_depth: AtomicU32::new(0) }
    }
    /// Whether this is the thread.
    #[inline]
    pub fn is_mine(&self) -> bool {
        self.thread == this_thread()
    }
    /// The thread goes into a region of native code.
    #[inline]
    pub fn leave(&self) {
        let depth = self.away_depth.load(Ordering::Relaxed);
        self.away_depth.store(depth + 1, Ordering::Relaxed);
        if depth == 0 {
            self.handshake.leave();
        }
    }
    /// It comes out of the innermost one.
    #[inline]
    pub fn come_back(&self) {
        let depth = self.away_depth.load(Ordering::Relaxed) - 1;
        self.away_depth.store(depth, Ordering::Relaxed);
        if depth == 0 {
            self.handshake.come_back();
        }
    }
}
