//! Runs of a filetest's function: in the reference evaluator and as machine code, which have to do the same.

use super::given::Reader;
use crate::native::{Ending, Native, RunSettings, describe_ending, fill_slots};
use surmise::ir::evaluate::model::WINDOW;
use surmise::ir::evaluate::{Datum, Settings, evaluate};
use surmise::ir::function::Function;
use surmise::ir::generate::{World, world};
use surmise::ir::language::Language;
use surmise::lower::Redirection;

/// No filetest needs more: a function that does not end is an error.
const STEPS: u64 = 1_000_000;

/// A run as its line says it.
pub struct Run {
    /// The line, without `run`.
    line: String,
    arguments: String,
    settings: RunSettings,
}

impl Run {
    /// Reads what stands behind `run`: arguments, then settings behind `|`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(line: &str) -> Result<Run, String> {
        let (arguments, settings) = line.split_once('|').unwrap_or((line, ""));
        let mut run = Run {
            line: line.trim().to_owned(),
            arguments: arguments.trim().to_owned(),
            settings: RunSettings::default(),
        };
        let mut words = settings.split_whitespace();
        while let Some(word) = words.next() {
            let number = words.next().and_then(|number| number.parse::<u32>().ok()).filter(|&n| n > 0);
            let number = number.ok_or_else(|| format!("expected a number from 1 on behind `{word}`"))?;
            match word {
                "every" => run.settings.fail_every = Some(number),
                "invalidate" => run.settings.invalidate_at = Some(number.into()),
                "room" => run.settings.window_limit = Some(number as usize),
                _ => return Err(format!("expected `every`, `invalidate` or `room`, found `{word}`")),
            }
        }
        Ok(run)
    }
    fn world<'l>(&self, function: &Function, language: &'l Language) -> Result<World<'l>, String> {
        let mut world = world(language, &[]);
        // The model's first object is the host's own state.
        let state = world.host.memory.object();
        world.host.memory.set(language, state, "World.epoch", None, Datum::I64(0));
        world.host.externs.insert(
            "change".to_owned(),
            Box::new(move |memory, args| {
                memory.set(language, state, "World.epoch", None, args[0]);
                Ok(None)
            }),
        );
        let values = Reader::values(&self.arguments, language, &mut world.host.memory)?;
        world.host.argument_count = values.len() as u64;
        for (register, value) in values.into_iter().enumerate() {
            let distance = register as u64 * u64::from(language.encoding.size());
            world.host.registers.insert(WINDOW + distance, value);
        }
        fill_slots(function, language, &mut world);
        Ok(world)
    }

    /// Runs, and tells what happened.
    ///
    /// # Errors
    /// What went wrong, or what machine code and evaluator did differently.
    pub fn run(&self, function: &Function, language: &Language) -> Result<String, String> {
        let mut native = Native::new(language)?;
        let mut run = |redirection| {
            let settings = RunSettings { redirection, ..self.settings };
            let lowered = native.lower(function, settings)?;
            let mut world = self.world(function, language)?;
            let ending = native.run(function, &lowered, &mut world, settings)?;
            Ok::<_, String>(told(&ending, language, &world))
        };
        let found = run(Redirection::ReturnAddress)?;
        if self.settings.invalidate_at.is_some() {
            let marked = run(Redirection::Mark)?;
            if found != marked {
                return Err(format!("by return address:\n{found}by mark:\n{marked}"));
            }
        }

        // The evaluator has no stacks that could be full: where machine code says so, it is believed.
        if self.settings.window_limit.is_none() {
            let mut world = self.world(function, language)?;
            world.host.invalidate_at = self.settings.invalidate_at;
            let settings =
                Settings { fail_every: self.settings.fail_every.map(u64::from), step_limit: Some(STEPS) };
            let exit = evaluate(function, language, WINDOW, settings, &mut world.host)
                .map_err(|fault| format!("evaluator: {fault}"))?;
            let ending = Ending::of_exit(exit, function, language).ok_or("the evaluator ends otherwise")?;
            let expected = told(&ending, language, &world);
            if found != expected {
                return Err(format!("evaluator:\n{expected}machine code:\n{found}"));
            }
        }
        Ok(format!("run {}\n{found}", self.line))
    }
}

fn told(ending: &Ending, language: &Language, world: &World<'_>) -> String {
    let seen: String = world.observations.borrow().iter().map(|seen| format!("  sees {seen}\n")).collect();
    seen + &describe_ending(ending, language, &world.host.memory)
}
