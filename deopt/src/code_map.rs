//! From an address to the candidate whose code it lies in. Readers take no lock: a map is an immutable sorted vector, published
//! whole.

use crate::loaded::Candidate;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;

/// The candidates whose code is in the arena.
#[derive(Default)]
pub struct CodeMap {
    sorted: ArcSwap<Vec<Arc<Candidate>>>,
}

/// One published state of the map.
pub struct Snapshot(Guard<Arc<Vec<Arc<Candidate>>>>);

impl CodeMap {
    /// The map as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.sorted.load())
    }
    /// Adds a candidate, before any address of its code is published.
    pub(crate) fn add(&self, candidate: &Arc<Candidate>) {
        self.sorted.rcu(|sorted| {
            let mut sorted = Vec::clone(sorted);
            let at = sorted.partition_point(|other| other.start() < candidate.start());
            sorted.insert(at, candidate.clone());
            sorted
        });
    }
    /// Removes a candidate, once no frame is left in its code.
    pub(crate) fn remove(&self, candidate: &Candidate) {
        self.sorted.rcu(|sorted| {
            let mut sorted = Vec::clone(sorted);
            sorted.retain(|other| other.start() != candidate.start());
            sorted
        });
    }
}

impl Snapshot {
    /// The candidate that a return address belongs to: a call can be the last instruction, so the byte before it decides.
    pub fn find(&self, return_address: usize) -> Option<&Arc<Candidate>> {
        let last = return_address.checked_sub(1)?;
        let after = self.0.partition_point(|candidate| candidate.start() <= last);
        self.0[..after].last().filter(|candidate| last < candidate.end())
    }
    /// All candidates, by address.
    pub fn candidates(&self) -> &[Arc<Candidate>] {
        &self.0
    }
}
