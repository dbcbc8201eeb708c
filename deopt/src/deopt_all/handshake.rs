//! The handshake: who may look at a runloop's stack, its own thread or somebody else.
//!
//! ```text
//!            leave (own thread)              try_claim (requester)
//!  Present ───────────────────▶ Away ──────────────────────────▶ Claimed
//!     ▲                          │ ▲                                │
//!     └──────────────────────────┘ └────────────────────────────────┘
//!       come_back (own thread)           release (requester)
//! ```
//!
//! *Present*: the thread may run compiled code; nobody else reads or writes its frames. *Away*: it is at a safepoint and stays
//! there; its frames are at rest. *Claimed*: a requester walks and changes them, and the thread can't come back meanwhile.
//!
//! A request has a ticket. A runloop has answered it when its frames were visited for it: by a requester who claimed it, or by its
//! own thread at its next poll.
//!
//! # Orderings
//! | atomic | stored by | order | so that |
//! |---|---|---|---|
//! | `state` to Away | own thread | release | who claims (acquire) sees all frames and exit pointers that it wrote |
//! | `state` to Claimed | requester | acquire | see above |
//! | `state` from Claimed to Away | requester | release | the thread that comes back (acquire) sees the redirected frames |
//! | `state` to Present | own thread | acquire | see above |
//! | `answered` | whoever visited | release | the requester (acquire) sees what the visit found, and that its frames were left behind: what they read before happened before the requester gives up slots and code |
//!
//! The word `state` is written with compare-exchange wherever two could write it. There is no ordering between two runloops:
//! requests are one at a time, under the isolate's lock.
//!
//! This file holds atomics alone, and takes them from `sync`, so that a test can put it under a model checker.

use crate::sync::{AtomicU32, AtomicU64, Ordering, pause};

const PRESENT: u32 = 0;
const AWAY: u32 = 1;
const CLAIMED: u32 = 2;

/// One runloop's side of all requests.
#[derive(Debug)]
pub struct Handshake {
    state: AtomicU32,
    answered: AtomicU64,
}

impl Handshake {
    /// Of a runloop that is registered now: it has no frames, so requests up to `ticket` don't concern it.
    pub fn new(ticket: u64) -> Handshake {
        Handshake { state: AtomicU32::new(PRESENT), answered: AtomicU64::new(ticket) }
    }
    /// The own thread is at a safepoint, and touches neither frames nor guest heap until it comes back.
    pub fn leave(&self) {
        self.state.store(AWAY, Ordering::Release);
    }
    /// The own thread goes on; it waits while somebody visits its frames.
    pub fn come_back(&self) {
        while self.state.compare_exchange(AWAY, PRESENT, Ordering::Acquire, Ordering::Relaxed).is_err() {
            pause();
        }
    }
    /// Whether the own thread is away (or claimed).
    pub fn is_away(&self) -> bool {
        self.state.load(Ordering::Relaxed) != PRESENT
    }
    /// Takes the frames of a thread that is away. Whoever gets `true` has to `release`.
    pub fn try_claim(&self) -> bool {
        self.state.compare_exchange(AWAY, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
    /// Gives them back.
    pub fn release(&self) {
        self.state.store(AWAY, Ordering::Release);
    }
    /// The frames were visited for all requests up to this one.
    pub fn answer(&self, ticket: u64) {
        self.answered.store(ticket, Ordering::Release);
    }
    /// Whether they were.
    pub fn has_answered(&self, ticket: u64) -> bool {
        self.answered.load(Ordering::Acquire) >= ticket
    }
}
