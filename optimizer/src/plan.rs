//! The plan: what is known, and for which requests that is worth a compile.
//!
//! The planner is a pure function of what it is told, in the order in which it is told: the service and a replay of its recording
//! come to the same decisions.

use crate::config;
use crate::log::{LogError, Record, UnitIndex};
use crate::profile::{Map, Profile, UnitProfile};
use crate::service::FailedGuess;
use serde::{Deserialize, Serialize};
use std::fmt;
use surmise_ir::entity::UnitId;
use surmise_ir::function::Entry;
use surmise_ir::language::Recipe;

/// What is decided of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Decision {
    /// It is compiled, as the candidate of this number.
    Planned(u64),
    /// It is not.
    Refused(Refusal),
}

impl Decision {
    /// What was decided, from the planner's answer.
    pub fn of(planned: &Result<Task, Refusal>) -> Decision {
        match planned {
            Ok(task) => Decision::Planned(task.serial),
            Err(refusal) => Decision::Refused(*refusal),
        }
    }
}

/// Why a request leads to no compile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// Nobody has heard of the unit.
    UnknownUnit,
    /// The service stops.
    Stopping,
    /// There are as many candidates as the settings allow.
    Limit,
    /// Its candidates were thrown away so often that the unit stays in the interpreter.
    GivenUp,
    /// The entry was planned, and nothing was learnt since.
    NothingNew,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::UnknownUnit => "nobody has heard of the unit",
            Refusal::Stopping => "the service stops",
            Refusal::Limit => "there are as many candidates as the settings allow",
            Refusal::GivenUp => "its candidates were thrown away too often",
            Refusal::NothingNew => "it was planned, and nothing was learnt since",
        })
    }
}

/// What is to be compiled, and what the compile is to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// The candidate's number.
    pub serial: u64,
    /// What was seen of the unit.
    pub profile: UnitProfile,
    /// What was seen of the units that are inlined into it.
    pub inlined: Map<UnitId, UnitProfile>,
}

/// What is known, and what was decided.
#[derive(Default)]
pub struct Planner {
    profile: Profile,
    /// The units that are inlined into a unit.
    inlined: Map<UnitIndex, Vec<(UnitId, UnitIndex)>>,
    /// What was known when an entry was planned last.
    planned: Map<(UnitIndex, Entry), (u32, u32)>,
    serial: u64,
    limit: Option<u64>,
}

impl Planner {
    /// Plans at most so many candidates.
    pub fn new(limit: Option<u64>) -> Planner {
        Planner { limit, ..Planner::default() }
    }
    /// What is known.
    pub fn profile(&mut self) -> &mut Profile {
        &mut self.profile
    }
    /// Joins a batch of the log; returns how many events it had.
    ///
    /// # Errors
    /// If the batch makes no sense; then nothing of it counts.
    pub fn log(&mut self, batch: &[Record]) -> Result<usize, LogError> {
        let events = crate::log::read(batch)?;
        let count = events.len();
        self.profile.add(events);
        Ok(count)
    }
    /// A guess failed so often that its candidate was thrown away.
    pub fn failed(&mut self, guess: FailedGuess) {
        self.profile.unit_mut(guess.unit).retire(guess.pc, guess.reason, guess.failures);
    }
    /// An assumption has broken on which a candidate of the unit rested, or would have.
    pub fn broken(&mut self, unit: UnitIndex, recipe: Recipe) {
        self.profile.unit_mut(unit).break_assumption(recipe);
    }
    /// What a unit is lifted to has code of these other ones in it, from now on.
    pub fn inlines(&mut self, unit: UnitIndex, inlined: Vec<(UnitId, UnitIndex)>) {
        self.inlined.insert(unit, inlined);
    }
    /// What was seen of a unit, if anything was.
    pub fn known(&self, unit: UnitIndex) -> Option<&UnitProfile> {
        self.profile.unit(unit)
    }
    /// What was seen of a unit that is inlined into another one.
    pub fn seen(&self, unit: UnitIndex, inlined: UnitId) -> Option<&UnitProfile> {
        let known = self.inlined.get(&unit)?;
        known.iter().find(|(id, _)| *id == inlined).and_then(|&(_, index)| self.profile.unit(index))
    }
    /// Decides on a request for a unit that is known.
    ///
    /// # Errors
    /// If nothing is to be compiled.
    pub fn request(&mut self, unit: UnitIndex, entry: Entry, knowledge: (u32, u32)) -> Result<Task, Refusal> {
        let profile = self.profile.unit(unit).cloned().unwrap_or_default();
        if self.is_at_limit() {
            return Err(Refusal::Limit);
        }
        if profile.retirements >= config::RETIREMENTS_PER_UNIT {
            return Err(Refusal::GivenUp);
        }
        if self.is_planned(unit, entry, knowledge) {
            return Err(Refusal::NothingNew);
        }
        let inlined = self.inlined.get(&unit).into_iter().flatten();
        let inlined =
            inlined.filter_map(|&(id, index)| Some((id, self.profile.unit(index)?.clone()))).collect();
        Ok(Task { serial: self.take_serial(unit, entry, knowledge), profile, inlined })
    }
    /// A candidate from a file takes the place of one that would have been planned; its number, unless there is one already, or one too many.
    pub fn preloaded(&mut self, unit: UnitIndex, entry: Entry, knowledge: (u32, u32)) -> Option<u64> {
        let is_wanted = !self.is_at_limit() && !self.is_planned(unit, entry, knowledge);
        is_wanted.then(|| self.take_serial(unit, entry, knowledge))
    }
    fn is_planned(&self, unit: UnitIndex, entry: Entry, knowledge: (u32, u32)) -> bool {
        self.planned.get(&(unit, entry)).is_some_and(|&planned| planned >= knowledge)
    }
    fn is_at_limit(&self) -> bool {
        self.limit.is_some_and(|limit| self.serial >= limit)
    }
    fn take_serial(&mut self, unit: UnitIndex, entry: Entry, knowledge: (u32, u32)) -> u64 {
        let serial = self.serial;
        self.serial += 1;
        self.planned.insert((unit, entry), knowledge);
        serial
    }
}

/// Why an entry was planned, in words.
pub fn why(profile: &UnitProfile, entry: Entry) -> String {
    let seen = match entry {
        Entry::Call => format!("hot calls, {} logged", profile.entered),
        Entry::Loop(header) => {
            format!(
                "hot loop at {header}, {} rounds logged",
                profile.loops.get(&header).copied().unwrap_or(0)
            )
        }
        Entry::Template => "a template".to_owned(),
    };
    let refused: Vec<String> = profile
        .failed
        .keys()
        .filter(|&&(pc, reason)| profile.is_refused(pc, reason))
        .map(|(pc, reason)| format!("{reason} at {pc}"))
        .collect();
    let mut why = seen;
    if !refused.is_empty() {
        why += &format!("; no longer guessed: {}", refused.join(", "));
    }
    if profile.assumes_nothing() {
        why += &format!("; nothing is assumed any more: {} assumptions broke", profile.broken.len());
    }
    why
}
