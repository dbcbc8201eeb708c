//! A file's events, joined by unit and candidate.

use super::Step;
use crate::log::UnitIndex;
use crate::plan::Decision;
use crate::profile::Map;
use crate::record::event::{self, End, Event, Fate, Header};
use crate::record::{ReadError, Reader};
use crate::unit::{LiftError, UnitSource};
use std::io::Read;
use std::sync::Arc;
use surmise_ir::entity::{Register, UnitId};
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::function::{Entry, Function};
use surmise_ir::language::Language;

/// A unit as the recording has it: what it was lifted to, for each entry that was compiled.
#[derive(Clone, Debug)]
pub struct RecordedUnit {
    /// The hash of its content.
    pub id: UnitId,
    /// Its name.
    pub name: String,
    /// Its lifted functions.
    pub functions: Map<Entry, Result<Function, String>>,
}

impl UnitSource for RecordedUnit {
    fn id(&self) -> UnitId {
        self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn lift(&self, _: &Language, entry: Entry) -> Result<Function, LiftError> {
        match self.functions.get(&entry) {
            Some(Ok(function)) => Ok(function.clone()),
            // Recorded with the rejection's text in front.
            Some(Err(error)) => Err(LiftError(error.strip_prefix("lifter: ").unwrap_or(error).to_owned())),
            None => Err(LiftError("the recording has no function for this entry".to_owned())),
        }
    }
    fn live_registers(&self, _: ResumePoint) -> Option<Vec<Register>> {
        None
    }
}

/// A candidate that was planned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planned {
    /// Its number.
    pub serial: u64,
    /// Its unit.
    pub unit: UnitIndex,
    /// How it is entered.
    pub entry: Entry,
    /// It was not compiled but came from a preload file.
    pub preloaded: bool,
}

/// A recording in memory.
pub struct Recording {
    /// What all else rests on.
    pub header: Header,
    /// Units by number.
    pub units: Map<UnitIndex, Arc<RecordedUnit>>,
    /// What the planner was told.
    pub steps: Vec<Step>,
    /// What compiles gave, by candidate.
    pub compiles: Map<u64, event::Compile>,
    /// What became of candidates, in order.
    pub fates: Vec<event::Happened>,
    /// Frames that left their candidates, in order.
    pub deopts: Vec<event::Deopt>,
    /// What registers held in runs that were logged, in order.
    pub arguments: Vec<event::Arguments>,
    /// The last record, if the process ended in order.
    pub end: Option<End>,
    /// The file ended within a chunk.
    pub is_torn: bool,
    /// Kinds of records that are unknown here, and how many were skipped.
    pub skipped: Map<String, u64>,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// If it is damaged, or says what can't be: which chunk and which record.
    pub fn read(source: impl Read) -> Result<Recording, ReadError> {
        let mut reader = Reader::new(source)?;
        let mut recording = Recording {
            header: reader.header().clone(),
            units: Map::default(),
            steps: Vec::new(),
            compiles: Map::default(),
            fates: Vec::new(),
            deopts: Vec::new(),
            arguments: Vec::new(),
            end: None,
            is_torn: false,
            skipped: Map::default(),
            bytes: 0,
        };
        while let Some(event) = reader.next_event()? {
            let wrong = |kind: &str, reason: &str| Err(reader.wrong(kind, reason.to_owned()));
            match event {
                Event::Header(_) => return wrong("header", "there is one already"),
                Event::Unit(event::Unit { unit, id, name }) => {
                    let functions = Map::default();
                    let made = Arc::new(RecordedUnit { id, name, functions });
                    if recording.units.insert(unit, made).is_some() {
                        return wrong("unit", "there is one of this number already");
                    }
                }
                Event::Lifted(lifted) => {
                    let event::Lifted { unit, entry, function } = *lifted;
                    let Some(recorded) = recording.units.get_mut(&unit).and_then(Arc::get_mut) else {
                        return wrong("lifted", "there is no unit of this number");
                    };
                    if function.as_ref().is_ok_and(|function| function.unit != recorded.id) {
                        return wrong("lifted", "the function is another unit's");
                    }
                    if recorded.functions.insert(entry, function).is_some() {
                        return wrong("lifted", "the entry was lifted already");
                    }
                }
                Event::Inlined(event::Inlined { unit, units }) => {
                    let id = |unit: UnitIndex| Some((recording.units.get(&unit)?.id, unit));
                    match units.into_iter().map(id).collect() {
                        Some(inlined) => recording.steps.push(Step::Inlined(unit, inlined)),
                        None => return wrong("inlined", "there is no unit of this number"),
                    }
                }
                Event::Log(columns) => recording.steps.push(Step::Log(columns)),
                Event::Request(request) => recording.steps.push(Step::Request(request)),
                Event::Failed(guess) => recording.steps.push(Step::Failed(guess)),
                Event::Learnt(learnt) => recording.steps.push(Step::Learnt(learnt)),
                Event::Preloaded(preloaded) => recording.steps.push(Step::Preloaded(preloaded)),
                Event::Broken(broken) => recording.steps.push(Step::Broken(broken)),
                Event::Compile(compile) => {
                    if recording.compiles.insert(compile.serial, *compile).is_some() {
                        return wrong("compile", "the candidate was compiled already");
                    }
                }
                Event::Happened(happened) => recording.fates.push(happened),
                Event::Deopt(deopt) => recording.deopts.push(deopt),
                Event::Arguments(arguments) => recording.arguments.push(arguments),
                Event::End(end) => recording.end = Some(end),
            }
        }
        recording.is_torn = reader.is_torn();
        recording.bytes = reader.bytes_read();
        recording.skipped = reader.skipped().clone();
        Ok(recording)
    }

    /// The name of a unit.
    pub fn unit_name(&self, unit: UnitIndex) -> String {
        self.units.get(&unit).map_or_else(|| format!("unit {}", unit.0), |unit| unit.name.clone())
    }
    /// The candidates that were planned or preloaded, in order.
    pub fn planned(&self) -> impl Iterator<Item = Planned> + '_ {
        self.steps.iter().filter_map(|step| match step {
            Step::Request(event::Request { unit, entry, decision: Decision::Planned(serial), .. }) => {
                Some(Planned { serial: *serial, unit: *unit, entry: *entry, preloaded: false })
            }
            Step::Preloaded(event::Preloaded { unit, entry, serial, .. }) => {
                Some(Planned { serial: *serial, unit: *unit, entry: *entry, preloaded: true })
            }
            _ => None,
        })
    }
    /// What became of a candidate, in order.
    pub fn fates_of(&self, serial: u64) -> impl Iterator<Item = Fate> + '_ {
        self.fates.iter().filter(move |happened| happened.serial == serial).map(|happened| happened.fate)
    }
    /// How often frames left a candidate.
    pub fn deopts_of(&self, serial: u64) -> usize {
        self.deopts.iter().filter(|deopt| deopt.serial == serial).count()
    }
    /// How many events of the log there are.
    pub fn logged_records(&self) -> usize {
        self.steps.iter().map(|step| if let Step::Log(columns) = step { columns.len() } else { 0 }).sum()
    }
}
