//! Functions in the language of random programs, run as machine code in a world like the reference evaluator's.
//!
//! ```text
//!  model world (evaluator's objects, window) ──copy──▶ heap, guest stack ──▶ machine code, runtime, landing pads
//!        ▲                                                                              │
//!        └──────────────── copy: results, rebuilt frames, what they refer to ◀──────────┘
//! ```
//!
//! Both worlds share what the externs do and what was observed, so that a run here and one in the evaluator can be compared by
//! what they did and where they ended. Every object moves at every safepoint.
#![allow(unsafe_code, reason = "machine code is run")]

mod externs;
pub mod heap;
mod host;

use heap::Heap;
use host::ModelMachine;
use std::ptr::NonNull;
use std::sync::Arc;
use surmise::deopt::entry::EntryCell;
use surmise::deopt::isolate::Isolate;
use surmise::deopt::loaded::CodeSpace;
use surmise::deopt::runloop::{Outcome, Runloop, RunloopGuard};
use surmise::deopt::slots::SlotValue;
use surmise::deopt::table::ExitReason;
use surmise::ir::entity::UnitId;
use surmise::ir::evaluate::model::WINDOW;
use surmise::ir::evaluate::{Boxed, Exit, LeaveReason, RebuiltFrame, Results};
use surmise::ir::frame_state::When;
use surmise::ir::function::Function;
use surmise::ir::generate::{Copier, Objects, World};
use surmise::ir::language::{Language, Recipe};
use surmise::lower::{LowerSettings, Lowered, Redirection, Target, lower};

/// How a run ended, in terms that both kinds of runs have.
#[derive(Clone, PartialEq, Debug)]
pub enum Ending {
    /// With these boxed results.
    Returned(Vec<Boxed>),
    /// With a guest error.
    Thrown,
    /// In the interpreter, with these frames, innermost first.
    Left(ExitReason, Vec<RebuiltFrame>),
}

impl Ending {
    /// How the evaluator says it. `None` for what machine code does not do (open returns, running out of steps).
    pub fn of_exit(exit: Exit, function: &Function, language: &Language) -> Option<Ending> {
        Some(match exit {
            Exit::Returned(values) => {
                Ending::Returned(values.into_iter().map(|value| value.boxed()).collect::<Option<_>>()?)
            }
            Exit::Thrown => Ending::Thrown,
            Exit::Deoptimized { reason, mut frames } => {
                let resume = frames.first()?.resume;
                let reason = match reason {
                    LeaveReason::Guard { inst, reason, .. } => {
                        ExitReason::Guard(reason, function.insts[inst].site.unwrap_or(resume.pc))
                    }
                    LeaveReason::Deoptimize(reason) => ExitReason::Guard(reason, resume.pc),
                    LeaveReason::Invalidated => ExitReason::Invalidated,
                };
                for frame in &mut frames {
                    // The runtime delivers all results boxed, unboxed ones as the first kind that has such a payload.
                    if let Results::Extern(result) = frame.results {
                        let of_type = |ty| {
                            language.kinds.iter().find(|(_, kind)| kind.payload == Some(ty)).map(|(id, _)| id)
                        };
                        let boxed = result.and_then(|result| match result.boxed() {
                            Some(boxed) => Some(boxed),
                            None => surmise::ir::evaluate::boxing::boxed(
                                language,
                                of_type(result.ty())?,
                                Some(result),
                            ),
                        });
                        frame.results = Results::Values(boxed.into_iter().collect());
                    }
                }
                Ending::Left(reason, frames)
            }
            Exit::ReturnedOpen { .. } | Exit::OutOfSteps => return None,
        })
    }
    /// The other way round, for who goes on with the frames. The guard that failed is not known.
    pub fn into_exit(self) -> Exit {
        match self {
            Ending::Returned(values) => {
                Exit::Returned(values.into_iter().map(surmise::ir::evaluate::Datum::Any).collect())
            }
            Ending::Thrown => Exit::Thrown,
            Ending::Left(_, frames) => Exit::Deoptimized { reason: LeaveReason::Invalidated, frames },
        }
    }
}

/// What somebody outside can see of a run's end, in words: objects by what they hold.
pub fn describe_ending(ending: &Ending, language: &Language, objects: &impl Objects) -> String {
    use std::fmt::Write as _;
    let show = |value: Boxed| surmise::ir::generate::describe(language, objects, value);
    let list = |values: &[Boxed]| values.iter().map(|&value| show(value)).collect::<Vec<_>>().join(", ");
    let (reason, frames) = match ending {
        Ending::Returned(values) => return format!("  returns {}\n", list(values)),
        Ending::Thrown => return "  throws\n".to_owned(),
        Ending::Left(reason, frames) => (reason, frames),
    };
    let mut text = match reason {
        ExitReason::Guard(reason, site) => format!("  leaves: {reason} at {site}\n"),
        ExitReason::Invalidated => "  leaves: invalidated\n".to_owned(),
    };
    for frame in frames {
        let _ = write!(text, "    {} window {} {}", frame.unit, frame.window, frame.resume);
        if let Some(callee) = frame.callee {
            let _ = write!(text, " callee {}", show(callee));
        }
        let registers: Vec<String> =
            frame.registers.iter().map(|&(register, value)| format!("{register}: {}", show(value))).collect();
        let _ = write!(text, " {{{}}}", registers.join(", "));
        match &frame.results {
            Results::Values(values) if values.is_empty() => {}
            Results::Values(values) => {
                let _ = write!(text, " results {}", list(values));
            }
            Results::Extern(result) => {
                let _ = write!(text, " result {result:?}");
            }
            Results::Guest { first, count } => {
                let first: Vec<Boxed> = first.filter(|_| *count > 0).into_iter().collect();
                let _ = write!(text, " call gave {count}: {}", list(&first));
            }
        }
        if let Some((register, length)) = frame.open {
            let _ = write!(text, " open {register} {length}");
        }
        text.push('\n');
    }
    text
}

/// How to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RunSettings {
    /// Every n-th guard fails by force.
    pub fail_every: Option<u32>,
    /// The candidate becomes invalid at the n-th safepoint at which it may.
    pub invalidate_at: Option<u64>,
    /// How it is kept from going on then.
    pub redirection: Redirection,
    /// Room on the guest stack, in registers from the function's first one.
    pub window_limit: Option<usize>,
}

/// Registers below and above the window.
const ROOM: usize = 256;

/// A machine with nothing installed.
pub struct Native {
    language: Arc<Language>,
    isolate: Arc<Isolate>,
    runloop: RunloopGuard<ModelMachine>,
    target: Target,
}

impl Native {
    /// A machine for functions in *mini*.
    ///
    /// # Errors
    /// Why there is none on this target.
    pub fn new(language: &Language) -> Result<Native, String> {
        let language = Arc::new(language.clone());
        let space = CodeSpace::new(1 << 20).map_err(|error| error.to_string())?;
        // SAFETY: the externs are as the language declares them.
        let isolate = unsafe { Isolate::new(&space, &language, &externs::addresses()) };
        let isolate = isolate.map_err(|error| error.to_string())?;
        let runloop = Runloop::register(&isolate).map_err(|error| error.to_string())?;
        let target = Target::with_verifier(true).map_err(|error| error.to_string())?;
        Ok(Native { language, isolate, runloop, target })
    }
    /// Lowers a function.
    ///
    /// # Errors
    /// What lowering can't express.
    pub fn lower(&self, function: &Function, settings: RunSettings) -> Result<Lowered, String> {
        let settings = LowerSettings {
            force_failures: settings.fail_every.is_some(),
            listing: false,
            redirection: settings.redirection,
            without_landing_pads: false,
        };
        lower(function, &self.language, &settings, &self.target).map_err(|error| error.to_string())
    }

    /// Runs a function's machine code with the window of a model world as its own. Results and frames are in terms of the model
    /// world, to which everything they refer to is copied.
    ///
    /// # Errors
    /// What went wrong besides the function: it can't be lowered or installed, or the runtime did what it never does.
    pub fn run(
        &mut self,
        function: &Function,
        lowered: &Lowered,
        world: &mut World<'_>,
        settings: RunSettings,
    ) -> Result<Ending, String> {
        let mut installed = self.install(function, lowered, world, settings)?;
        let outcome = installed.enter();
        installed.finish(outcome, world)
    }

    /// Installs a function's machine code, with the window of a model world as its own.
    ///
    /// # Errors
    /// Why it can't be installed.
    pub fn install(
        &mut self,
        function: &Function,
        lowered: &Lowered,
        world: &World<'_>,
        settings: RunSettings,
    ) -> Result<Installed<'_>, String> {
        let language = self.language.clone();
        let mut machine = ModelMachine {
            epoch: 0,
            heap: Heap::default(),
            observations: world.observations.clone(),
            language: language.clone(),
            is_quick: false,
            invalidate_at: settings.invalidate_at,
            committed: None,
            exits: 0,
            fault: None,
        };
        let mut stack = vec![[0xbad_u64, 0xbad]; 2 * ROOM];
        {
            let mut copier = Copier::new(&language, &world.host.memory, &mut machine.heap);
            for (&address, &value) in &world.host.registers {
                let register = (address.wrapping_sub(WINDOW) as i64) / i64::from(language.encoding.size());
                let place = stack.get_mut((ROOM as i64 + register) as usize);
                *place.ok_or("the window is larger than the stack")? = copier.copy(value);
            }
        }
        let cell = Box::new(EntryCell::new());
        // SAFETY: `Installed` keeps the cell, and unregisters it when it is dropped.
        unsafe { self.isolate.register_unit(function.unit, NonNull::from(&*cell)) };
        let arguments = world.host.argument_count;
        let mut installed = Installed {
            native: self,
            unit: function.unit,
            cell,
            machine,
            stack,
            settings,
            start: 0,
            arguments,
        };
        let heap = &mut installed.machine.heap;
        let isolate = &installed.native.isolate;
        // SAFETY: the image comes from lowering, for this language; what is resolved is of the recipes' types.
        let candidate = unsafe {
            isolate.install(lowered.image.clone(), &mut |recipe| match recipe.class {
                class if Some(class) == language.recipe_class("promise") => {
                    Some(isolate.assume().as_slot_value())
                }
                _ => resolve(&language, heap, recipe),
            })
        };
        installed.start = candidate.map_err(|error| error.to_string())?.start();
        Ok(installed)
    }
}

/// A function whose machine code can be entered.
pub struct Installed<'n> {
    native: &'n mut Native,
    unit: UnitId,
    cell: Box<EntryCell>,
    machine: ModelMachine,
    stack: Vec<Boxed>,
    settings: RunSettings,
    start: usize,
    arguments: u64,
}

impl Installed<'_> {
    /// For measurements: objects stay where they are, polls are not asked for, and frames are read but not kept.
    pub fn be_quick(&mut self) {
        self.machine.is_quick = true;
    }
    /// How many times frames were rebuilt.
    pub fn exits(&self) -> u64 {
        self.machine.exits
    }
    /// Enters it. With guards that fail by force, the count starts anew.
    pub fn enter(&mut self) -> Outcome {
        let runloop = &self.native.runloop;
        let end = ROOM + self.settings.window_limit.unwrap_or(ROOM);
        runloop.set_limits(self.stack[..end].as_mut_ptr_range().end.cast(), 0);
        runloop.set_forced_failure_countdown(self.settings.fail_every.unwrap_or(0));
        if !self.machine.is_quick {
            runloop.request_poll();
        }
        // SAFETY: the candidate is installed; the window has room below and above.
        unsafe {
            let window = self.stack.as_mut_ptr().add(ROOM);
            runloop.enter(&mut self.machine, self.start as *const u8, window.cast(), self.arguments)
        }
    }
    /// How a run ended, in terms of a model world.
    ///
    /// # Errors
    /// What the runtime never does.
    pub fn finish(mut self, outcome: Outcome, world: &mut World<'_>) -> Result<Ending, String> {
        let language = self.machine.language.clone();
        if let Some(fault) = self.machine.fault.take() {
            return Err(fault);
        }
        let committed = self.machine.committed.take();
        let mut copier = Copier::new(&language, &self.machine.heap, &mut world.host.memory);
        match (outcome, committed) {
            (Outcome::Thrown, None) => Ok(Ending::Thrown),
            (Outcome::Returned([first, second]), None) => {
                let results = surmise::deopt::host::GuestResults { first, second };
                let count = results.count(language.encoding) as usize;
                if count == 1 {
                    return Ok(Ending::Returned(vec![copier.copy([first & 0xffff_ffff, second])]));
                }
                // All results stand from the callee's place on.
                let values = &self.stack[ROOM - 1..][..count];
                Ok(Ending::Returned(values.iter().map(|&value| copier.copy(value)).collect()))
            }
            (Outcome::Resumed, Some((reason, mut frames))) => {
                for frame in &mut frames {
                    frame.callee = frame.callee.map(|value| copier.copy(value));
                    for (_, value) in &mut frame.registers {
                        *value = copier.copy(*value);
                    }
                    match &mut frame.results {
                        Results::Values(values) => {
                            for value in values {
                                *value = copier.copy(*value);
                            }
                        }
                        Results::Guest { first, .. } => *first = first.map(|value| copier.copy(value)),
                        Results::Extern(_) => {}
                    }
                }
                Ok(Ending::Left(reason, frames))
            }
            (outcome, committed) => Err(format!("{outcome:?} with frames {committed:?}")),
        }
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        self.native.isolate.unregister_unit(self.unit, NonNull::from(&*self.cell));
        // SAFETY: no compiled frame is left: there is one runloop, which is here.
        unsafe { self.native.isolate.reclaim() };
    }
}

/// Gives a model world what the slots of a function refer to: the same that [`Native::run`] puts into them.
pub fn fill_slots(function: &Function, language: &Language, world: &mut World<'_>) {
    use surmise::ir::evaluate::Datum;
    for recipe in function.slots.values() {
        let number = recipe.words[0];
        let value = match language.recipes[recipe.class as usize].name.as_str() {
            "shape" | "promise" => Datum::Raw(number),
            // In the model a function's unit is its number.
            "unit" => Datum::Raw(number),
            "function" => Datum::Ref(world.host.memory.new_function(language, number)),
            _ => Datum::Any([5, world.host.memory.new_function(language, number)]),
        };
        world.host.slots.insert(*recipe, value);
    }
}

fn resolve(language: &Language, heap: &mut Heap, recipe: &Recipe) -> Option<SlotValue> {
    let number = recipe.words[0];
    Some(match language.recipes.get(recipe.class as usize)?.name.as_str() {
        "shape" => SlotValue::word(number),
        "unit" => SlotValue::word(heap.unit(number)),
        "function" => SlotValue::word(heap.new_function(language, number)),
        "callee" => SlotValue::pair(5, heap.new_function(language, number)),
        _ => return None,
    })
}

/// For programs: a landing pad's result as the interpreter wants it, which takes truth values from comparisons.
pub fn unbox_truth(ending: &mut Ending, is_comparison: impl Fn(surmise::ir::entity::Pc) -> bool) {
    if let Ending::Left(ExitReason::Invalidated, frames) = ending
        && let Some(frame) = frames.first_mut()
        && frame.resume.when == When::After
        && is_comparison(frame.resume.pc)
        && let Results::Values(values) = &frame.results
        && let [[1, truth]] = values[..]
    {
        frame.results = Results::Extern(Some(surmise::ir::evaluate::Datum::I1(truth == 1)));
    }
}
