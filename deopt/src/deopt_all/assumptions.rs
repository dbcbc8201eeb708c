//! Assumptions: guesses that compiled code does not check, since whoever breaks one invalidates every candidate that rests on it.
//!
//! The host makes an assumption when it has something that holds until further notice ("this global was never reassigned"), and
//! breaks it with [`Isolate::invalidate`] before compiled code runs again that could see the change. A candidate image names what it rests on by recipes, as it
//! does for its slots; at installation the host says which assumption of its own each recipe means. A candidate that rests on a
//! broken assumption is not installed.

use super::{Reason, Report, Request, Which};
use crate::candidate::CandidateId;
use crate::isolate::{Contents, Installed, Isolate};
use crate::slots::SlotValue;
use smallvec::SmallVec;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use surmise_ir::entity::UnitId;
use surmise_ir::language::Recipe;
use thiserror::Error;

/// Something that holds in one isolate until it is invalidated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Assumption {
    isolate: u32,
    number: u32,
}

impl Assumption {
    /// As a resolver returns it for a recipe of a candidate's list of assumptions.
    pub fn as_slot_value(self) -> SlotValue {
        SlotValue::word(u64::from(self.isolate) << 32 | u64::from(self.number))
    }
    fn from_slot_value(value: SlotValue) -> Assumption {
        Assumption { isolate: (value.payload >> 32) as u32, number: value.payload as u32 }
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "assumption{}", self.number)
    }
}

/// An assumption that can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AssumptionError {
    /// It was made by another isolate, or by none.
    #[error("{0} does not belong to this isolate")]
    Foreign(Assumption),
    /// It does not hold any more.
    #[error("{0} does not hold any more")]
    Broken(Assumption),
}

struct Record {
    holds: bool,
    dependents: SmallVec<[CandidateId; 2]>,
}

/// All assumptions of an isolate, with the candidates that rest on each.
pub(crate) struct Assumptions {
    isolate: u32,
    records: Vec<Record>,
}

impl Assumptions {
    pub(crate) fn new() -> Assumptions {
        static ISOLATES: AtomicU32 = AtomicU32::new(1);
        // Relaxed: only the number itself matters.
        Assumptions { isolate: ISOLATES.fetch_add(1, Ordering::Relaxed), records: Vec::new() }
    }
    fn make(&mut self) -> Assumption {
        self.records.push(Record { holds: true, dependents: SmallVec::new() });
        Assumption { isolate: self.isolate, number: self.records.len() as u32 - 1 }
    }
    fn record(&mut self, assumption: Assumption) -> Result<&mut Record, AssumptionError> {
        let is_own = assumption.isolate == self.isolate;
        let record = self.records.get_mut(assumption.number as usize).filter(|_| is_own);
        record.ok_or(AssumptionError::Foreign(assumption))
    }
    /// The assumption that a resolver named, if a candidate may rest on it.
    pub(crate) fn named(&mut self, value: SlotValue) -> Result<Assumption, AssumptionError> {
        let assumption = Assumption::from_slot_value(value);
        match self.record(assumption)?.holds {
            true => Ok(assumption),
            false => Err(AssumptionError::Broken(assumption)),
        }
    }
    /// A candidate rests on assumptions that hold.
    pub(crate) fn add(&mut self, candidate: CandidateId, assumptions: &[Assumption]) {
        for &assumption in assumptions {
            if let Ok(record) = self.record(assumption)
                && !record.dependents.contains(&candidate)
            {
                record.dependents.push(candidate);
            }
        }
    }
    /// A candidate that rested on assumptions is gone.
    pub(crate) fn remove(&mut self, candidate: CandidateId, assumptions: &[Assumption]) {
        for &assumption in assumptions {
            if let Ok(record) = self.record(assumption) {
                record.dependents.retain(|&mut dependent| dependent != candidate);
            }
        }
    }
    pub(crate) fn dependents(&self, assumption: Assumption) -> &[CandidateId] {
        let is_own = assumption.isolate == self.isolate;
        let record = self.records.get(assumption.number as usize).filter(|_| is_own);
        record.map_or(&[], |record| &record.dependents)
    }
}

impl Isolate {
    /// A new assumption, which holds.
    pub fn assume(&self) -> Assumption {
        self.contents().assumptions.make()
    }
    /// Whether an assumption holds.
    pub fn holds(&self, assumption: Assumption) -> Result<bool, AssumptionError> {
        Ok(self.contents().assumptions.record(assumption)?.holds)
    }
    /// The candidates that rest on an assumption, retired ones with frames included.
    pub fn dependents(&self, assumption: Assumption) -> Vec<CandidateId> {
        self.contents().assumptions.dependents(assumption).to_vec()
    }
    /// The units whose candidates rest on an assumption, each with the recipe by which it names it.
    ///
    /// # Errors
    /// If it is another isolate's.
    pub fn resting_on(&self, assumption: Assumption) -> Result<Vec<(UnitId, Recipe)>, AssumptionError> {
        let mut contents = self.contents();
        contents.assumptions.record(assumption)?;
        let Contents { installed, retired, .. } = &*contents;
        let all = installed.values().chain(retired.iter().map(|retired| &retired.installed));
        let mut found = Vec::new();
        for Installed { loaded, assumptions, .. } in all {
            let candidate = loaded.candidate();
            // The host names one assumption for each recipe, in their order.
            for (&named, &recipe) in assumptions.iter().zip(candidate.assumptions()) {
                let resting = (candidate.unit(), recipe);
                if named == assumption && !found.contains(&resting) {
                    found.push(resting);
                }
            }
        }
        Ok(found)
    }
    /// An assumption does not hold any more: what rests on it is deoptimized, in every runloop. To be called before anything runs that
    /// rests on it, once the thing has changed that was assumed. A second call does nothing.
    ///
    /// # Safety
    /// As for [`Isolate::deopt_all`].
    pub unsafe fn invalidate(&self, assumption: Assumption) -> Result<Report, AssumptionError> {
        self.contents().assumptions.record(assumption)?.holds = false;
        // SAFETY: handed on.
        Ok(unsafe {
            self.deopt_all(Request {
                which: Which::RestingOn(assumption),
                reason: Reason::Broken(assumption),
            })
        })
    }
}
