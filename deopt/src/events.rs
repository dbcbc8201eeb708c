//! What is remembered of deopts: counters per point (in [`crate::loaded::Candidate`]), the last events of a runloop, and the
//! observer who is told when a candidate's count gets as far as he asked.

use crate::candidate::CandidateId;
use crate::host::Activation;
use crate::loaded::Candidate;
use crate::rebuild::RebuildPlan;
use crate::table::ExitReason;
use std::sync::Arc;
use surmise_ir::entity::UnitId;
use surmise_ir::frame_state::ResumePoint;

/// One exit of a compiled frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeoptEvent {
    /// Which candidate was left.
    pub candidate: CandidateId,
    /// At which of its points.
    pub point: u32,
    /// Why.
    pub reason: ExitReason,
    /// The unit of the innermost frame.
    pub unit: UnitId,
    /// Where it goes on.
    pub resume: ResumePoint,
    /// Who goes on with it.
    pub activation: Activation,
}

/// Somebody who wants to know of deopts: the service.
pub trait DeoptObserver: Send + Sync {
    /// The candidate was left for the `count`-th time. Returns at which count to be told next; a count in the past means never.
    ///
    /// Called on the thread that runs the guest, while the frame's values are in flight in `plan`: it must not touch the guest heap.
    fn on_deopt(&self, candidate: &Arc<Candidate>, event: &DeoptEvent, plan: &RebuildPlan, count: u32)
    -> u32;
}

/// How many events a runloop remembers: a screenful for a report.
pub const REMEMBERED_EVENTS: usize = 32;

/// The last events.
#[derive(Default)]
pub(crate) struct EventRing {
    events: Vec<DeoptEvent>,
    next: usize,
}

impl EventRing {
    pub(crate) fn push(&mut self, event: DeoptEvent) {
        if self.events.len() < REMEMBERED_EVENTS {
            self.events.push(event);
        } else {
            self.events[self.next] = event;
        }
        self.next = (self.next + 1) % REMEMBERED_EVENTS;
    }
    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &DeoptEvent> {
        let start = if self.events.len() < REMEMBERED_EVENTS { 0 } else { self.next };
        self.events[start..].iter().chain(&self.events[..start])
    }
}
