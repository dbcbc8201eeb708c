//! One compile: from a unit's snapshot and profile to a candidate image. A pure function but for the measured times.

use crate::config::{self, Config};
use crate::lower::{LowerSettings, Target};
use crate::passes::{self, Environment, Fuel, Pipeline};
use crate::profile::{Map, UnitProfile};
use crate::unit::UnitSource;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use surmise_deopt::candidate::{Image, PortableImage};
use surmise_ir::entity::UnitId;
use surmise_ir::function::{Entry, Function};
use surmise_ir::language::Language;
use thiserror::Error;

/// What to compile.
#[derive(Clone)]
pub struct Job {
    /// The unit.
    pub unit: Arc<dyn UnitSource>,
    /// How the candidate is entered.
    pub entry: Entry,
    /// What was seen of the unit, as a snapshot.
    pub profile: UnitProfile,
    /// The same of the units that are inlined into it.
    pub inlined: Map<UnitId, UnitProfile>,
    /// Number of the candidate, in the order of planning.
    pub serial: u64,
    /// Set to give the compile up; looked at between passes.
    pub cancelled: Arc<AtomicBool>,
}

/// Why there is no candidate. The program runs on without it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Rejection {
    /// The host's lifter can't lift the unit.
    #[error("lifter: {0}")]
    Lift(String),
    /// Too many IR instructions.
    #[error("{instructions} IR instructions, at most {limit} are compiled")]
    TooLarge {
        /// How many there were.
        instructions: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The verifier found the IR wrong.
    #[error("verifier after {pass}: {violations}")]
    Verifier {
        /// After which pass.
        pass: String,
        /// All violations, a line each.
        violations: String,
    },
    /// Lowering can't express something.
    #[error("lowering: {0}")]
    Lower(String),
    /// The compile panicked: a bug of Surmise, which the program survives.
    #[error("panic: {0}")]
    Panic(String),
    /// The compile was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// It was not compiled but came from a file, and does not fit what was seen here.
    #[error("preload: {0}")]
    Unbound(#[from] crate::preload::Unbound),
}

/// What a compile tells besides its result. Asking changes nothing of the result, but that the verifier runs for a story.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// The story: IR behind each pass, machine code.
    pub story: bool,
    /// Fingerprints behind each pass, and the lifted function.
    pub trail: bool,
}

/// Sizes and times of a compile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Figures {
    /// IR instructions as lifted.
    pub lifted: usize,
    /// IR instructions handed to lowering.
    pub optimized: usize,
    /// Guards in the optimized IR.
    pub guards: usize,
    /// Generic operations left in the optimized IR.
    pub generic: usize,
    /// Nanoseconds from plan to image.
    pub nanoseconds: u64,
    /// Of those, in lowering (Cranelift included).
    pub lowering_nanoseconds: u64,
}

/// A finished compile.
#[derive(Clone)]
pub struct Compiled {
    /// The candidate, or why there is none.
    pub result: Result<Image, Rejection>,
    /// Sizes and times.
    pub figures: Figures,
    /// The candidate's story, if it was asked for.
    pub story: Option<String>,
    /// Fingerprints of the function, if they were asked for: as lifted (at the pipeline's length), then behind each pass that changed
    /// it, with the pass's position in the pipeline.
    pub trail: Vec<(u8, u64)>,
    /// The lifted function, if the trail was asked for and there is one.
    pub lifted: Option<Function>,
}

/// Compiles, to machine code for the target; without one, for the portable backend. Never panics: a panic inside is a rejection.
pub fn compile(
    job: &Job,
    language: &Language,
    config: &Config,
    target: Option<&Target>,
    asked: Asked,
) -> Compiled {
    let start = Instant::now();
    let attempt = catch_unwind(AssertUnwindSafe(|| Attempt::new(job, language, config, asked).run(target)));
    let mut compiled = attempt.unwrap_or_else(|panic| Compiled {
        result: Err(Rejection::Panic(message(&*panic))),
        figures: Figures::default(),
        story: None,
        trail: Vec::new(),
        lifted: None,
    });
    compiled.figures.nanoseconds = nanoseconds(start.elapsed());
    compiled
}

/// The IR of a job behind so many steps of the pipeline, as text; `None` if there is none.
pub fn text_behind(job: &Job, language: &Language, config: &Config, steps: usize) -> Option<String> {
    let asked = Asked { story: true, trail: false };
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let mut attempt = Attempt::new(job, language, config, asked);
        let mut function = job.unit.lift(language, job.entry).ok()?;
        attempt.passes(&mut function, steps).ok()?;
        Some(attempt.text(&function))
    }));
    attempt.ok().flatten()
}

/// The functions of a job: as lifted, then behind each pass that changed it, with the pass's position in the pipeline.
///
/// # Errors
/// If the unit can't be lifted, or a pass panics.
pub fn functions_behind(
    job: &Job,
    language: &Language,
    config: &Config,
) -> Result<(Function, Vec<(usize, Function)>), Rejection> {
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let mut function = job.unit.lift(language, job.entry).map_err(|error| Rejection::Lift(error.0))?;
        check_size(function.inst_count())?;
        let lifted = function.clone();
        let mut versions: Vec<(usize, Function)> = Vec::new();
        let attempt = Attempt::new(job, language, config, Asked::default());
        let mut fuel = Fuel::new(config.fuel_of(job.serial));
        let mut pipeline = Pipeline::default();
        for (step, &(name, _)) in passes::PIPELINE.iter().enumerate() {
            if attempt.pass(&mut pipeline, name, &mut function, &mut fuel)
                && versions.last().map_or(&lifted, |(_, last)| last) != &function
            {
                versions.push((step, function.clone()));
            }
        }
        Ok((lifted, versions))
    }));
    attempt.unwrap_or_else(|panic| Err(Rejection::Panic(message(&*panic))))
}

fn check_size(instructions: usize) -> Result<(), Rejection> {
    let limit = config::INSTRUCTIONS_PER_UNIT;
    if instructions > limit { Err(Rejection::TooLarge { instructions, limit }) } else { Ok(()) }
}

/// What a panic says.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "with no message".to_owned())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

struct Attempt<'a> {
    job: &'a Job,
    language: &'a Language,
    config: &'a Config,
    figures: Figures,
    story: Option<String>,
    trail: Option<Vec<(u8, u64)>>,
    lifted: Option<Function>,
}

impl<'a> Attempt<'a> {
    fn new(job: &'a Job, language: &'a Language, config: &'a Config, asked: Asked) -> Self {
        let story = asked.story.then(String::new);
        let trail = asked.trail.then(Vec::new);
        Attempt { job, language, config, figures: Figures::default(), story, trail, lifted: None }
    }

    fn run(mut self, target: Option<&Target>) -> Compiled {
        let result = self.stages(target);
        if let (Some(story), Err(rejection)) = (&mut self.story, &result) {
            let _ = writeln!(story, "rejected: {rejection}");
        }
        let trail = self.trail.unwrap_or_default();
        Compiled { result, figures: self.figures, story: self.story, trail, lifted: self.lifted }
    }

    fn tell(&mut self, title: &str, text: &str) {
        if let Some(story) = &mut self.story {
            let _ = writeln!(story, "--- {title}\n{text}");
        }
    }

    /// Notes the function's fingerprint behind a step, if it has changed.
    fn mark(&mut self, step: usize, function: &Function) {
        if let Some(trail) = &mut self.trail {
            let fingerprint = crate::record::fingerprint::of_function(function);
            if trail.last().is_none_or(|&(_, last)| last != fingerprint) {
                trail.push((step as u8, fingerprint));
            }
        }
    }

    fn stages(&mut self, target: Option<&Target>) -> Result<Image, Rejection> {
        let job = self.job;
        let mut function =
            job.unit.lift(self.language, job.entry).map_err(|error| Rejection::Lift(error.0))?;
        function.name = format!("{} #{}", job.unit.name(), job.serial);
        self.figures.lifted = function.inst_count();
        check_size(self.figures.lifted)?;
        self.verify("lift", &function, surmise_ir::verifier::Stage::Generic)?;
        self.tell("lifted", &self.text(&function));
        if self.trail.is_some() {
            self.mark(passes::PIPELINE.len(), &function);
            self.lifted = Some(function.clone());
        }
        self.passes(&mut function, passes::PIPELINE.len())?;
        self.figures.optimized = function.inst_count();
        for &block in &function.layout {
            for &inst in &function.blocks[block].insts {
                let opcode = function.insts[inst].opcode;
                self.figures.guards += usize::from(opcode.is_guard());
                self.figures.generic += usize::from(opcode == surmise_ir::opcode::Opcode::Operation);
            }
        }
        match target {
            Some(target) => self.lower(&function, target),
            None => {
                self.tell("portable", "run by the evaluator as it stands");
                Ok(PortableImage::new(function).into())
            }
        }
    }

    fn lower(&mut self, function: &Function, target: &Target) -> Result<Image, Rejection> {
        let settings = LowerSettings {
            force_failures: self.config.deopt_every.is_some(),
            listing: self.story.is_some(),
            redirection: self.config.redirection,
            without_landing_pads: false,
        };
        let start = Instant::now();
        let lowered = crate::lower::lower(function, self.language, &settings, target);
        self.figures.lowering_nanoseconds = nanoseconds(start.elapsed());
        let lowered = lowered.map_err(|error| Rejection::Lower(error.to_string()))?;
        if let Some(listing) = &lowered.listing {
            self.tell("machine code", listing);
        }
        Ok(lowered.image.into())
    }

    /// A step of the pipeline. Returns whether anything ran.
    fn pass(&self, pipeline: &mut Pipeline, name: &str, function: &mut Function, fuel: &mut Fuel) -> bool {
        let mut environment = Environment {
            language: self.language,
            profile: &self.job.profile,
            inlined: &self.job.inlined,
            fuel,
        };
        let is_on = !self.config.disabled_passes.iter().any(|disabled| disabled == name);
        is_on && pipeline.step(name, function, &mut environment)
    }

    /// The first so many steps of the pipeline.
    fn passes(&mut self, function: &mut Function, steps: usize) -> Result<(), Rejection> {
        let mut fuel = Fuel::new(self.config.fuel_of(self.job.serial));
        let mut pipeline = Pipeline::default();
        let mut last = self.text(function);
        let mut unmarked = None;
        for (step, &(name, _)) in passes::PIPELINE.iter().enumerate().take(steps) {
            if self.job.cancelled.load(Ordering::Relaxed) {
                return Err(Rejection::Cancelled);
            }
            let changes = pipeline.changes();
            if !self.pass(&mut pipeline, name, function, &mut fuel) {
                continue;
            }
            // Fingerprints cost as much as a pass: most steps have nothing to do.
            unmarked = (pipeline.changes() == changes).then_some(step);
            if unmarked.is_none() {
                self.mark(step, function);
            }
            if self.story.is_some() {
                let text = self.text(function);
                if text != last {
                    self.tell(&format!("after {name}"), &text);
                    last = text;
                }
            }
            self.verify(name, function, surmise_ir::verifier::Stage::Specialized)?;
        }
        if let Some(step) = unmarked {
            self.mark(step, function);
        }
        Ok(())
    }

    fn text(&self, function: &Function) -> String {
        if self.story.is_some() {
            surmise_ir::text::print_function(function, self.language)
        } else {
            String::new()
        }
    }

    /// In checked builds, and whenever a story is written: the verifier.
    fn verify(
        &self,
        pass: &str,
        function: &Function,
        stage: surmise_ir::verifier::Stage,
    ) -> Result<(), Rejection> {
        if !cfg!(debug_assertions) && self.story.is_none() {
            return Ok(());
        }
        let unit = &self.job.unit;
        let live = |id, resume| {
            let mut units = std::iter::once(unit).chain(unit.inlined());
            units.find(|unit| unit.id() == id)?.live_registers(resume)
        };
        let violations = surmise_ir::verifier::verify(function, self.language, stage, Some(&live));
        if violations.is_empty() {
            return Ok(());
        }
        let violations =
            violations.iter().map(|violation| violation.to_string()).collect::<Vec<_>>().join("\n");
        Err(Rejection::Verifier { pass: pass.to_owned(), violations })
    }
}
