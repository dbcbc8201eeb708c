//! Deopt all: every frame of every active runloop that stands in an invalid candidate goes on in the interpreter.
//!
//! ```text
//! request ─▶ 1. entries stop      entry cells go back to the interpreter; what was chosen is called invalid
//!            2. visits            every runloop's frames, each by its own thread or while that is away:
//!                                 frames in invalid candidates are redirected to their landing pads
//!            3. slots             effective slots of what is invalid become null: nobody enters it or goes on in it any more
//!            4. reclamation       what has no frame left is gone; the rest follows at a later request or `Isolate::reclaim`
//!            ─▶ report
//! ```
//!
//! A native stack before and after a request in the callback of the second frame:
//!
//! ```text
//!  │ first frame, of candidate 1   │              │ first frame, of candidate 1   │
//!  ├───────────────────────────────┤              ├───────────────────────────────┤
//!  │ return address: behind call 3 │      ──▶     │ return address: pad of call 3 │
//!  │ second frame, of candidate 2  │              │ second frame, of candidate 2  │
//!  ├───────────────────────────────┤              ├───────────────────────────────┤
//!  │ return address: behind call 0 │      ──▶     │ return address: pad of call 0 │
//!  │ host function: the request    │              │ host function: goes on        │
//! ```
//!
//! When the host function returns, the second frame's pad leaves to the interpreter with the function's result, which runs the frame
//! to its end; then the first one's does, with the second one's result. Nothing was run twice, nothing was left out.
//!
//! There is no record of redirected frames besides the stack itself: a return address that is a pad's names its call site. So a
//! frame that an error leaves takes its redirection with it, and a later frame at the same place has nothing to do with it.
//!
//! # What must hold
//! * A request is made at a safepoint: in a function that compiled code called and that was declared to run guest code, in a poll,
//!   or outside of compiled code.
//! * A runloop answers at a safepoint too, and holds no address of code then that it read from an entry cell before.
//! * After a request no frame of an invalid candidate runs another instruction of it but a return that was under way, the test of its
//!   mark, and its landing pad. With [`set_checked`](crate::isolate::Isolate::set_checked), and in debug builds, all stacks are walked after each request to see
//!   that it is so.
//! * No lock is held while host code runs, and a thread that waits for its turn is away meanwhile: two threads that ask at once
//!   don't wait for each other.
//!
//! Not here: what a host does to make its units compiled again.

mod assumptions;
pub mod handshake;
pub(crate) mod presence;
mod redirect;
mod request;

pub(crate) use assumptions::Assumptions;
pub use assumptions::{Assumption, AssumptionError};
pub(crate) use redirect::redirect_newest;
pub(crate) use request::{Protocol, Visited, answer};

use crate::candidate::CandidateId;
use rustc_hash::FxHashMap;
use std::fmt;
use std::time::Duration;

/// The candidates that are retired and not reclaimed, and whether each is invalid.
pub(crate) type Retired = FxHashMap<CandidateId, bool>;

/// Which candidates a request concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// All of the isolate.
    All,
    /// Those that rest on this assumption.
    RestingOn(Assumption),
}

/// Why everything is deoptimized.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The host wants it.
    Requested,
    /// An assumption does not hold any more.
    Broken(Assumption),
    /// To see whether it works, at every so-many-th safepoint.
    Stress,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Requested => f.write_str("requested by the host"),
            Reason::Broken(assumption) => write!(f, "{assumption} was broken"),
            Reason::Stress => f.write_str("stress"),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Which candidates.
    pub which: Which,
    /// Why.
    pub reason: Reason,
}

/// What a request did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// How many runloops were visited; none if no candidate was concerned.
    pub runloops: usize,
    /// How many frames were redirected.
    pub frames: usize,
    /// How many candidates became invalid.
    pub candidates: usize,
    /// How many candidates, of these and earlier ones, had no frame left and are gone.
    pub reclaimed: usize,
    /// How long it took.
    pub time: Duration,
}

impl Report {
    /// Adds what was done in another isolate.
    pub fn add(&mut self, other: &Report) {
        self.runloops += other.runloops;
        self.frames += other.frames;
        self.candidates += other.candidates;
        self.reclaimed += other.reclaimed;
        self.time += other.time;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} candidates invalidated, {} frames redirected on {} runloops, {} candidates reclaimed, in {:?}",
            self.candidates, self.frames, self.runloops, self.reclaimed, self.time
        )
    }
}
