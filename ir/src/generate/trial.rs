//! Runs of programs that have to come to the same.

use super::interpret::{End, Frame, interpret};
use super::language::{World, describe, world};
use super::program::Program;
use crate::entity::{Pc, Register};
use crate::evaluate::model::WINDOW;
use crate::evaluate::{Boxed, Exit, Settings, evaluate};
use crate::function::Function;
use crate::language::Language;

/// What can be seen of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What was observed on the way.
    pub observations: Vec<String>,
    /// The result, `error`, or `out of steps`.
    pub end: String,
}

/// A program with arguments.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// The program.
    pub program: Program,
    /// Its arguments.
    pub args: Vec<Boxed>,
}

/// No program of the generator comes near this.
const STEPS: u64 = 10_000_000;

impl Trial {
    /// The trial of a seed: a program of about `size` instructions, and arguments.
    pub fn random(seed: u64, size: usize) -> Trial {
        let program = Program::random(seed, size);
        let args = program.random_arguments(&mut super::Random::new(seed ^ 0x5EED));
        Trial { program, args }
    }
    /// Interprets the program.
    pub fn interpret(&self, language: &Language) -> Outcome {
        let mut world = world(language, &self.args);
        let mut frame = Frame::new(&self.program, &self.args);
        let end = interpret(&self.program, language, &mut world, &mut frame, None, STEPS);
        outcome(language, &world, &end)
    }
    /// Evaluates a function made from the program's entry by call; what deoptimizes goes on in the interpreter. With
    /// `invalidate_at`, the machine is invalidated at its n-th call or poll.
    ///
    /// # Errors
    /// A fault's text, or what is wrong with rebuilt frames.
    pub fn run(
        &self,
        language: &Language,
        function: &Function,
        settings: Settings,
        invalidate_at: Option<u64>,
    ) -> Result<Outcome, String> {
        self.run_by(language, |world| {
            world.host.invalidate_at = invalidate_at;
            evaluate(function, language, WINDOW, settings, &mut world.host).map_err(|fault| fault.to_string())
        })
    }
    /// [`Self::run`], with something else than the evaluator: it is given a world with the arguments in the window, and says how
    /// the function ended.
    ///
    /// # Errors
    /// What `run` says, or what is wrong with rebuilt frames.
    pub fn run_by(
        &self,
        language: &Language,
        run: impl FnOnce(&mut World<'_>) -> Result<Exit, String>,
    ) -> Result<Outcome, String> {
        let mut world = world(language, &self.args);
        let exit = run(&mut world)?;
        self.finish(language, exit, &mut world)
    }
    /// Interprets the program until it comes to a loop's header, and evaluates a function made for that entry from there.
    /// `None` if it does not come there.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_from_loop(
        &self,
        language: &Language,
        function: &Function,
        header: Pc,
        settings: Settings,
    ) -> Result<Option<Outcome>, String> {
        self.run_from_loop_by(language, header, |world| {
            evaluate(function, language, WINDOW, settings, &mut world.host).map_err(|fault| fault.to_string())
        })
    }
    /// [`Self::run_from_loop`], with something else than the evaluator, as in [`Self::run_by`].
    ///
    /// # Errors
    /// As [`Self::run_by`].
    pub fn run_from_loop_by(
        &self,
        language: &Language,
        header: Pc,
        run: impl FnOnce(&mut World<'_>) -> Result<Exit, String>,
    ) -> Result<Option<Outcome>, String> {
        let mut world = world(language, &self.args);
        let mut frame = Frame::new(&self.program, &self.args);
        if interpret(&self.program, language, &mut world, &mut frame, Some(header), STEPS) != End::Stopped {
            return Ok(None);
        }
        let live = self.program.live_registers();
        world.host.registers.clear();
        for Register(register) in live.before(header) {
            let address = WINDOW + u64::from(register) * u64::from(language.encoding.size());
            world.host.registers.insert(address, frame.registers[usize::from(register)]);
        }
        let exit = run(&mut world)?;
        self.finish(language, exit, &mut world).map(Some)
    }

    fn finish(&self, language: &Language, exit: Exit, world: &mut World<'_>) -> Result<Outcome, String> {
        let end = match exit {
            Exit::Returned(values) => match values[..] {
                [value] => value.boxed().map(End::Returned).ok_or("the result is not boxed")?,
                _ => return Err(format!("{} results", values.len())),
            },
            Exit::Thrown => End::Thrown,
            Exit::OutOfSteps => End::OutOfSteps,
            Exit::ReturnedOpen { .. } => return Err("an open return".to_owned()),
            Exit::Deoptimized { frames, .. } => {
                let [frame] = &frames[..] else { return Err(format!("{} frames", frames.len())) };
                let mut resumed =
                    Frame::resumed(&self.program, frame).ok_or_else(|| format!("wrong frame {frame:?}"))?;
                interpret(&self.program, language, world, &mut resumed, None, STEPS)
            }
        };
        Ok(outcome(language, world, &end))
    }
}

fn outcome(language: &Language, world: &World<'_>, end: &End) -> Outcome {
    let end = match *end {
        End::Returned(value) => describe(language, &world.host.memory, value),
        End::Thrown => "error".to_owned(),
        End::Stopped => "stopped".to_owned(),
        End::OutOfSteps => "out of steps".to_owned(),
    };
    Outcome { observations: world.observations.borrow().clone(), end }
}
