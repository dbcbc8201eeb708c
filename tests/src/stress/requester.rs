//! A thread that asks for deoptimization of others' isolates, at random, until it is told to stop.

use super::Figures;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use surmise::deopt::deopt_all::{Reason, Request, Which};
use surmise::deopt::isolate::Isolate;
use surmise::ir::generate::Random;

/// Everything, to see whether it works.
pub const EVERYTHING: Request = Request { which: Which::All, reason: Reason::Stress };

/// An isolate whose code may be deoptimized.
pub struct Seat {
    isolate: Arc<Isolate>,
    /// Held by who asks, and by who closes it.
    is_open: RwLock<bool>,
}

impl Seat {
    /// Ends requests of others: none is going on when this returns. Its own threads are away meanwhile, or a request would wait for them.
    ///
    /// # Panics
    /// If a requester has.
    pub fn close(&self) {
        *self.is_open.write().expect("no requester panics") = false;
    }
}

/// What requesters and those whom they disturb share.
#[derive(Default)]
pub struct Desk {
    seats: Mutex<Vec<Arc<Seat>>>,
    /// Requests so far that concerned something.
    pub requests: AtomicU64,
    /// Set to end it.
    pub is_over: AtomicBool,
}

impl Desk {
    /// Has an isolate's code deoptimized from now on.
    ///
    /// # Panics
    /// If a holder of the list has.
    pub fn add(&self, isolate: &Arc<Isolate>) -> Arc<Seat> {
        let seat = Arc::new(Seat { isolate: isolate.clone(), is_open: RwLock::new(true) });
        let mut seats = self.seats.lock().expect("nobody panics with the list");
        seats.retain(|seat| *seat.is_open.read().expect("no requester panics"));
        seats.push(seat.clone());
        seat
    }
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
    /// Asks until it is over, with decisions from a seed.
    ///
    /// # Panics
    /// If a holder of the list of isolates has.
    pub fn ask(&self, seed: u64) -> Figures {
        let (mut random, mut figures) = (Random::new(seed), Figures::default());
        while !self.is_over() {
            (0..random.below(200)).for_each(|_| std::hint::spin_loop());
            let seat = {
                let seats = self.seats.lock().expect("nobody panics with the list");
                (!seats.is_empty()).then(|| random.pick(&seats).clone())
            };
            let report = seat.and_then(|seat| {
                let is_open = seat.is_open.read().expect("nobody panics who closes it");
                // SAFETY: this thread has no runloop.
                is_open.then(|| unsafe { seat.isolate.deopt_all(EVERYTHING) })
            });
            match report.filter(|report| report.candidates > 0) {
                Some(report) => {
                    self.requests.fetch_add(1, Ordering::Relaxed);
                    figures.requests += 1;
                    figures.from_outside += 1;
                    figures.frames += report.frames as u64;
                }
                None => std::thread::yield_now(),
            }
        }
        figures
    }
}
