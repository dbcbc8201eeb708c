//! Replay: a recording's decisions and compiles again, in a closed world.
//!
//! Nothing outside the recording is asked: no interpreter, no clock, no feature of this machine. The events go through a
//! [`Planner`] of its own, in the recorded order; each request must be decided as it was. What was planned is then compiled, on as
//! many threads as there are, and must give the recorded fingerprints: of the function behind each pass, and of the code and tables
//! to the last byte.
//!
//! | file | what it does |
//! |---|---|
//! | `recording` | a file's events, joined by unit and candidate |
//! | `difference` | where a replay comes out otherwise, explained |

mod difference;
pub mod execute;
mod recording;

pub use difference::{Difference, Explained};
pub use recording::{Planned, RecordedUnit, Recording};

use crate::compile::{self, Asked, Compiled, Job};
use crate::config::{Backend, Config, ConfigError};
use crate::log::UnitIndex;
use crate::lower::Target;
use crate::plan::{Decision, Planner};
use crate::record::event::{self, Header};
use crate::service::FailedGuess;
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use surmise_ir::entity::UnitId;
use thiserror::Error;

/// What of a recording the planner is told, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A batch of the log.
    Log(crate::log::Columns),
    /// A unit inlines others: their ids and numbers.
    Inlined(UnitIndex, Vec<(UnitId, UnitIndex)>),
    /// A request, with the recorded decision.
    Request(event::Request),
    /// A guess that failed too often.
    Failed(FailedGuess),
    /// An assumption that has broken.
    Broken(event::Broken),
    /// A candidate that came from a file.
    Preloaded(event::Preloaded),
    /// What was learnt of a unit elsewhere.
    Learnt(Box<event::Learnt>),
}

impl Step {
    /// Tells the planner, as the service did. Requests are for the caller to ask.
    pub fn tell(&self, planner: &mut Planner) {
        match self {
            Step::Log(columns) => {
                // A batch that made no sense when it was recorded makes none now.
                let _ = columns.records().and_then(|records| planner.log(&records));
            }
            Step::Inlined(unit, inlined) => planner.inlines(*unit, inlined.clone()),
            Step::Failed(guess) => planner.failed(*guess),
            Step::Broken(event::Broken { unit, recipe }) => planner.broken(*unit, *recipe),
            Step::Preloaded(event::Preloaded { unit, entry, knowledge, .. }) => {
                planner.preloaded(*unit, *entry, *knowledge);
            }
            Step::Learnt(learnt) => *planner.profile().unit_mut(learnt.unit) = learnt.profile.clone(),
            Step::Request(_) => {}
        }
    }
}

/// Why a recording can't be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// A setting in its header.
    #[error("header, settings: {0}")]
    Setting(#[from] ConfigError),
    /// The machine in its header.
    #[error("header, target: {0}")]
    Target(String),
}

/// The world in which a recording is replayed.
pub struct World {
    /// The recorded settings, and what was changed of them.
    pub config: Config,
    /// What code is made for; none for the portable backend.
    pub target: Option<Target>,
    /// The passes are those of the recording.
    pub same_pipeline: bool,
}

impl World {
    /// The recorded one, with these settings in place of the recorded ones of their names.
    ///
    /// # Errors
    /// If a setting can't be read, or code for the recorded machine can't be made here.
    pub fn new(header: &Header, changes: &[(String, String)]) -> Result<World, ReplayError> {
        let recorded =
            header.settings.iter().filter(|(name, _)| !changes.iter().any(|(other, _)| other == name));
        let config = Config::from_variables(recorded.chain(changes).cloned())?;
        let target = match (config.backend, &header.target) {
            (Backend::Portable, _) => None,
            (Backend::Native, Some(features)) => Some(Target::with_features(features)),
            (Backend::Native, None) => Some(Target::host()),
        };
        let target = target.transpose().map_err(|error| ReplayError::Target(error.to_string()))?;
        let pipeline = crate::passes::PIPELINE.iter().map(|&(name, _)| name);
        Ok(World { config, target, same_pipeline: pipeline.eq(header.pipeline.iter().map(String::as_str)) })
    }
}

/// A recording's decisions, made again.
pub struct Plan {
    /// What is to be compiled, in the order of planning.
    pub jobs: Vec<Job>,
    /// Decisions that come out otherwise.
    pub differences: Vec<Difference>,
}

/// Makes a recording's decisions again.
pub fn plan(recording: &Recording, config: &Config) -> Plan {
    let mut planner = Planner::new(config.limit);
    let mut plan = Plan { jobs: Vec::new(), differences: Vec::new() };
    let never: Arc<AtomicBool> = Arc::default();
    for (position, step) in recording.steps.iter().enumerate() {
        step.tell(&mut planner);
        let Step::Request(request) = step else { continue };
        let planned = match (&request.decision, recording.units.get(&request.unit)) {
            // Whether the service was about to stop is nothing that it knew from what is recorded.
            (Decision::Refused(crate::plan::Refusal::Stopping), _) => continue,
            (_, None) => Err(crate::plan::Refusal::UnknownUnit),
            (_, Some(_)) => planner.request(request.unit, request.entry, request.knowledge),
        };
        let decision = Decision::of(&planned);
        if decision != request.decision {
            plan.differences.push(Difference::Decision {
                position,
                unit: recording.unit_name(request.unit),
                entry: request.entry,
                recorded: request.decision,
                replayed: decision,
            });
        }
        if let (Ok(task), Some(unit)) = (planned, recording.units.get(&request.unit)) {
            plan.jobs.push(Job {
                unit: unit.clone(),
                entry: request.entry,
                profile: task.profile,
                inlined: task.inlined,
                serial: task.serial,
                cancelled: never.clone(),
            });
        }
    }
    plan
}

/// A compile of a replay.
pub struct Replayed {
    /// The job.
    pub job: Job,
    /// What it gave.
    pub compiled: Compiled,
    /// The same as it would be recorded.
    pub summary: event::Compile,
}

/// Compiles jobs, on the threads of the current rayon pool. `done` is called after each, on any thread.
pub fn compile_all(
    header: &Header,
    world: &World,
    jobs: Vec<Job>,
    asked: Asked,
    done: &(dyn Fn() + Sync),
) -> Vec<Replayed> {
    let compile = |job: Job| {
        let compiled = compile::compile(&job, &header.language, &world.config, world.target.as_ref(), asked);
        let summary = event::Compile::new(job.serial, &compiled);
        done();
        Replayed { job, compiled, summary }
    };
    jobs.into_par_iter().map(compile).collect()
}

/// What a replay found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that were decided.
    pub decisions: usize,
    /// Compiles that were compared with recorded ones.
    pub compared: usize,
    /// Compiles whose end is not in the recording: the process stopped first.
    pub unfinished: usize,
    /// What came out otherwise, in the order of the recording.
    pub differences: Vec<Difference>,
}

/// Makes all decisions and compiles of a recording again, and compares.
pub fn replay(recording: &Recording, world: &World, done: &(dyn Fn() + Sync)) -> Outcome {
    let plan = plan(recording, &world.config);
    let mut outcome = Outcome {
        decisions: recording.steps.iter().filter(|step| matches!(step, Step::Request(_))).count(),
        differences: plan.differences,
        ..Outcome::default()
    };
    let (jobs, unfinished): (Vec<Job>, Vec<Job>) =
        plan.jobs.into_iter().partition(|job| recording.compiles.contains_key(&job.serial));
    outcome.unfinished = unfinished.len();
    let asked = Asked { story: false, trail: true };
    for replayed in compile_all(&recording.header, world, jobs, asked, done) {
        let recorded = &recording.compiles[&replayed.job.serial];
        outcome.compared += 1;
        if *recorded != replayed.summary {
            outcome.differences.push(Difference::Compile {
                serial: replayed.job.serial,
                unit: replayed.job.unit.name().to_owned(),
                entry: replayed.job.entry,
                recorded: Box::new(recorded.clone()),
                replayed: Box::new(replayed.summary),
            });
        }
    }
    outcome
}
