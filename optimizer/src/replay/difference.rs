//! Where a replay comes out otherwise than its recording, and why.

use super::{Recording, World};
use crate::compile;
use crate::passes::PIPELINE;
use crate::plan::Decision;
use crate::record::event;
use std::fmt;
use surmise_ir::function::Entry;

/// Something that came out otherwise.
#[derive(Clone, PartialEq, Debug)]
pub enum Difference {
    /// A request was decided otherwise.
    Decision {
        /// Which step of the recording it is.
        position: usize,
        /// The unit's name.
        unit: String,
        /// How the candidate would be entered.
        entry: Entry,
        /// What was decided.
        recorded: Decision,
        /// What is decided now.
        replayed: Decision,
    },
    /// A compile gave something else.
    Compile {
        /// The candidate.
        serial: u64,
        /// The unit's name.
        unit: String,
        /// How it is entered.
        entry: Entry,
        /// What it gave.
        recorded: Box<event::Compile>,
        /// What it gives now.
        replayed: Box<event::Compile>,
    },
}

/// The step of a compile where it parts from its recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Parting {
    /// The lifted function.
    Lift,
    /// The pass at this position.
    Pass(u8),
    /// Code and tables, from equal IR.
    Lowering,
    /// Whether there is a candidate at all, or why not.
    Verdict,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decided = |decision: &Decision| match decision {
            Decision::Planned(serial) => format!("candidate {serial} was planned"),
            Decision::Refused(refusal) => format!("nothing was planned ({refusal})"),
        };
        match self {
            Difference::Decision { position, unit, entry, recorded, replayed } => write!(
                f,
                "step {position}, request for {unit} as {entry}: recorded that {}, now {}",
                decided(recorded),
                decided(replayed)
            ),
            Difference::Compile { serial, unit, entry, recorded, replayed } => {
                write!(f, "candidate {serial}, {unit} as {entry}: ")?;
                match parting(recorded, replayed) {
                    Parting::Lift => f.write_str("the lifted function differs"),
                    Parting::Pass(step) => {
                        let name = PIPELINE.get(usize::from(step)).map_or("?", |&(name, _)| name);
                        write!(f, "pass {name} (number {step} of the pipeline) gives something else")
                    }
                    Parting::Lowering => write!(
                        f,
                        "equal IR gives other code or tables ({} bytes of code, now {})",
                        code_bytes(recorded),
                        code_bytes(replayed)
                    ),
                    Parting::Verdict => {
                        write!(f, "recorded {}, now {}", verdict(recorded), verdict(replayed))
                    }
                }
            }
        }
    }
}

fn code_bytes(compile: &event::Compile) -> u32 {
    compile.result.as_ref().map_or(0, |candidate| candidate.code_bytes)
}

fn verdict(compile: &event::Compile) -> String {
    match &compile.result {
        Ok(_) => "a candidate".to_owned(),
        Err(rejection) => format!("a rejection ({rejection})"),
    }
}

fn parting(recorded: &event::Compile, replayed: &event::Compile) -> Parting {
    // A trail has the steps that changed something: the first entry that differs belongs to the earlier of two steps.
    let mut pairs = recorded.trail.iter().zip(&replayed.trail);
    if let Some((a, b)) = pairs.find(|(a, b)| a != b) {
        let step = if a.0 == b.0 { a.0 } else { earlier(a.0, b.0) };
        return if usize::from(step) == PIPELINE.len() { Parting::Lift } else { Parting::Pass(step) };
    }
    let (a, b) = (recorded.trail.len(), replayed.trail.len());
    let longer = if a > b { recorded } else { replayed };
    if let (Some(&(step, _)), true) =
        (longer.trail.get(a.min(b)), recorded.result.is_ok() && replayed.result.is_ok())
    {
        return Parting::Pass(step);
    }
    if recorded.result.is_ok() && replayed.result.is_ok() { Parting::Lowering } else { Parting::Verdict }
}

/// Lifting, which is numbered last, comes first.
fn earlier(a: u8, b: u8) -> u8 {
    let order = |step: u8| if usize::from(step) == PIPELINE.len() { 0 } else { step + 1 };
    if order(a) <= order(b) { a } else { b }
}

/// A difference with what there is to see of it.
pub struct Explained {
    /// In a sentence.
    pub summary: String,
    /// The IR before and behind the pass where the replay parts from the recording, as it is now.
    pub texts: Option<(String, String)>,
}

impl Difference {
    /// Compiles once more and takes the IR at the place where the replay parts from the recording.
    pub fn explain(&self, recording: &Recording, world: &World) -> Explained {
        let summary = self.to_string();
        let Difference::Compile { serial, recorded, replayed, .. } = self else {
            return Explained { summary, texts: None };
        };
        let Parting::Pass(step) = parting(recorded, replayed) else {
            return Explained { summary, texts: None };
        };
        let job = super::plan(recording, &world.config).jobs.into_iter().find(|job| job.serial == *serial);
        let texts = job.and_then(|job| {
            let header = &recording.header;
            let upto = |steps: usize| compile::text_behind(&job, &header.language, &world.config, steps);
            Some((upto(usize::from(step))?, upto(usize::from(step) + 1)?))
        });
        Explained { summary, texts }
    }
}
