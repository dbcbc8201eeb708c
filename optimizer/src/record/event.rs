//! What a recording says: the events, in the order in which the service's thread worked them off.

use crate::compile::Compiled;
use crate::log::{Columns, UnitIndex};
use crate::plan::Decision;
use crate::profile::UnitProfile;
use crate::service::FailedGuess;
use serde::{Deserialize, Serialize};
use surmise_deopt::candidate::Image;
use surmise_deopt::table::ExitReason;
use surmise_ir::entity::{KindId, Register, UnitId};
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::function::{Entry, Function};
use surmise_ir::language::{Language, Recipe};

/// What all else rests on; the first record of a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Names of the kinds of records, by number.
    pub kinds: Vec<String>,
    /// The version of Surmise that wrote the file.
    pub surmise: String,
    /// Names of the passes, in the order in which they ran.
    pub pipeline: Vec<String>,
    /// Features of the machine that code was made for; none where the portable backend ran candidates.
    pub target: Option<Vec<String>>,
    /// The settings that are not as they are by default, as environment variables. No files.
    pub settings: Vec<(String, String)>,
    /// The host's language.
    pub language: Language,
}

/// A unit became known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unit {
    /// Its number.
    pub unit: UnitIndex,
    /// The hash of its content.
    pub id: UnitId,
    /// Its name, without folders.
    pub name: String,
}

/// What the host's lifter made of a unit, written before the first compile of it that ends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lifted {
    /// The unit.
    pub unit: UnitIndex,
    /// How the function is entered.
    pub entry: Entry,
    /// The function, or why there is none.
    pub function: Result<Function, String>,
}

/// What a unit is lifted to has code of other units in it, from now on. Such as have none are not mentioned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inlined {
    /// The unit.
    pub unit: UnitIndex,
    /// The others, of the same isolate.
    pub units: Vec<UnitIndex>,
}

/// A request for a candidate, and what was decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The unit.
    pub unit: UnitIndex,
    /// How the candidate is to be entered.
    pub entry: Entry,
    /// How often the unit was thrown back, and how often it was learnt since.
    pub knowledge: (u32, u32),
    /// What was decided.
    pub decision: Decision,
}

/// What many recordings know of a unit, in place of their logs: see [`crate::merge`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Learnt {
    /// The unit.
    pub unit: UnitIndex,
    /// What is known.
    pub profile: UnitProfile,
}

/// A candidate from a file was bound to a unit: it was not compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Preloaded {
    /// The unit.
    pub unit: UnitIndex,
    /// How the candidate is entered.
    pub entry: Entry,
    /// As in a request.
    pub knowledge: (u32, u32),
    /// Number of the candidate.
    pub serial: u64,
}

/// An assumption has broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Broken {
    /// The unit whose candidate rested on it, or would have.
    pub unit: UnitIndex,
    /// The assumption.
    pub recipe: Recipe,
}

/// A compile ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Compile {
    /// Number of the candidate.
    pub serial: u64,
    /// IR instructions as lifted, and as handed to lowering.
    pub lifted: u32,
    /// See `lifted`.
    pub optimized: u32,
    /// Guards in the optimized IR.
    pub guards: u32,
    /// Generic operations left in it.
    pub generic: u32,
    /// The lifted function's fingerprint, then those behind each pass that changed it, with the pass's position.
    pub trail: Vec<(u8, u64)>,
    /// The candidate, or why it was rejected.
    pub result: Result<Candidate, String>,
}

/// A candidate in figures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// Hash of its code and tables, without its name.
    pub fingerprint: [u8; 32],
    /// Bytes of machine code; none in the portable backend.
    pub code_bytes: u32,
    /// Deopt points.
    pub points: u32,
    /// Spesh slots.
    pub slots: u32,
}

/// What became of a candidate in an isolate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Fate {
    /// It was installed.
    Installed,
    /// It came too late: better ones, or better knowledge, were there.
    Outdated,
    /// There is nothing any more that one of its slots should hold, or no room for its code.
    NotInstallable,
    /// It was thrown away: its guesses failed, or a better one took its place.
    Retired,
    /// Deoptimization of everything threw it away.
    Invalidated,
}

/// Something happened to a candidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Happened {
    /// The candidate.
    pub serial: u64,
    /// What.
    pub fate: Fate,
}

/// A compiled frame was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deopt {
    /// The candidate.
    pub serial: u64,
    /// At which of its points.
    pub point: u32,
    /// Why.
    pub reason: ExitReason,
    /// The innermost frame's unit.
    pub unit: UnitId,
    /// Where it went on.
    pub resume: ResumePoint,
    /// Hash of the frames that took its place: units, resume points, registers, kinds, numbers. Objects count by kind only.
    pub frames: u64,
}

/// What registers held when a unit was called, or when a loop went round: for executing the recording.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Arguments {
    /// The unit.
    pub unit: UnitIndex,
    /// Which of its entries.
    pub entry: Entry,
    /// The parameters, or the live registers.
    pub values: Vec<(Register, Argument)>,
}

/// A value of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Argument {
    /// Its kind.
    pub kind: KindId,
    /// The bits of a number or truth value. Objects are numbered within the snapshot, from 1; 0 is the null address.
    pub word: u64,
}

/// How much of what happened is not in the recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct End {
    /// Deopts that were too many to be written.
    pub lost_deopts: u64,
    /// Log batches that the service had no time for: no decision rests on them.
    pub dropped_batches: u64,
}

/// One thing that a recording says.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// Behind the magic number.
    Header(Box<Header>),
    /// A unit became known.
    Unit(Unit),
    /// A unit was lifted.
    Lifted(Box<Lifted>),
    /// A unit inlines others.
    Inlined(Inlined),
    /// A batch of the type log was read.
    Log(Columns),
    /// A candidate was asked for.
    Request(Request),
    /// A guess failed so often that its candidate was thrown away.
    Failed(FailedGuess),
    /// An assumption has broken.
    Broken(Broken),
    /// A candidate came from a file.
    Preloaded(Preloaded),
    /// What was learnt of a unit elsewhere.
    Learnt(Box<Learnt>),
    /// A compile ended.
    Compile(Box<Compile>),
    /// A candidate's fate.
    Happened(Happened),
    /// A frame left its candidate.
    Deopt(Deopt),
    /// What registers held.
    Arguments(Arguments),
    /// The process ended in order. What is missing at a recording's end if not.
    End(End),
}

/// Names of the kinds of records: a kind's number is its position. Those that begin with `~` may be skipped by readers that
/// don't know them: no decision rests on them.
pub const KINDS: &[&str] = &[
    "header",
    "unit",
    "lifted",
    "log",
    "request",
    "failed",
    "compile",
    "~happened",
    "~deopt",
    "~end",
    "broken",
    "~arguments",
    "preloaded",
    "learnt",
    "inlined",
];

impl Event {
    /// Position of its kind in [`KINDS`].
    pub fn kind(&self) -> u8 {
        match self {
            Event::Header(_) => 0,
            Event::Unit(_) => 1,
            Event::Lifted(_) => 2,
            Event::Log(_) => 3,
            Event::Request(_) => 4,
            Event::Failed(_) => 5,
            Event::Compile(_) => 6,
            Event::Happened(_) => 7,
            Event::Deopt(_) => 8,
            Event::End(_) => 9,
            Event::Broken(_) => 10,
            Event::Arguments(_) => 11,
            Event::Preloaded(_) => 12,
            Event::Learnt(_) => 13,
            Event::Inlined(_) => 14,
        }
    }
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        use super::codec::encode;
        match self {
            Event::Header(content) => encode(content),
            Event::Unit(content) => encode(content),
            Event::Lifted(content) => encode(content),
            Event::Log(content) => encode(content),
            Event::Request(content) => encode(content),
            Event::Failed(content) => encode(content),
            Event::Compile(content) => encode(content),
            Event::Happened(content) => encode(content),
            Event::Deopt(content) => encode(content),
            Event::End(content) => encode(content),
            Event::Broken(content) => encode(content),
            Event::Arguments(content) => encode(content),
            Event::Preloaded(content) => encode(content),
            Event::Learnt(content) => encode(content),
            Event::Inlined(content) => encode(content),
        }
    }
    /// The event of a kind's name and bytes; `None` for names that are unknown here.
    pub fn decode(kind: &str, bytes: &[u8]) -> Option<Result<Event, super::codec::DecodeError>> {
        use super::codec::decode;
        Some(match kind {
            "header" => decode(bytes).map(|content| Event::Header(Box::new(content))),
            "unit" => decode(bytes).map(Event::Unit),
            "lifted" => decode(bytes).map(|content| Event::Lifted(Box::new(content))),
            "log" => decode(bytes).map(Event::Log),
            "request" => decode(bytes).map(Event::Request),
            "failed" => decode(bytes).map(Event::Failed),
            "compile" => decode(bytes).map(|content| Event::Compile(Box::new(content))),
            "~happened" => decode(bytes).map(Event::Happened),
            "~deopt" => decode(bytes).map(Event::Deopt),
            "~end" => decode(bytes).map(Event::End),
            "broken" => decode(bytes).map(Event::Broken),
            "~arguments" => decode(bytes).map(Event::Arguments),
            "preloaded" => decode(bytes).map(Event::Preloaded),
            "learnt" => decode(bytes).map(|content| Event::Learnt(Box::new(content))),
            "inlined" => decode(bytes).map(Event::Inlined),
            _ => return None,
        })
    }
}

impl Compile {
    /// What is recorded of a compile.
    pub fn new(serial: u64, compiled: &Compiled) -> Compile {
        let figures = &compiled.figures;
        let result = match &compiled.result {
            Ok(image) => Ok(Candidate::new(image)),
            Err(rejection) => Err(rejection.to_string()),
        };
        Compile {
            serial,
            lifted: figures.lifted as u32,
            optimized: figures.optimized as u32,
            guards: figures.guards as u32,
            generic: figures.generic as u32,
            trail: compiled.trail.clone(),
            result,
        }
    }
}

impl Candidate {
    fn new(image: &Image) -> Candidate {
        let fingerprint = super::fingerprint::of_image(image);
        match image {
            Image::Native(image) => Candidate {
                fingerprint,
                code_bytes: image.code.len() as u32,
                points: image.deopt.points.len() as u32,
                slots: image.slots.len() as u32,
            },
            Image::Portable(image) => Candidate {
                fingerprint,
                code_bytes: 0,
                points: image.function.states.len() as u32,
                slots: image.function.slots.len() as u32,
            },
        }
    }
}
