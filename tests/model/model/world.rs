//! What the threads of a model share: one service, one code space, and isolates whose units read a global each.
//!
//! A unit's candidate gives the value that its global had when it was compiled, and rests on the assumption that this is the value
//! still. A break ends the assumption and then changes the value. So a candidate that runs when it must not shows: it gives a value that
//! its global does not have.

use crate::code::reading;
use crate::host::{TestHost, language};
use shuttle::sync::Mutex;
use shuttle::thread::yield_now;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use surmise_deopt::deopt_all::Assumption;
use surmise_deopt::isolate::Isolate;
use surmise_deopt::loaded::CodeSpace;
use surmise_ir::entity::{Register, UnitId};
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::function::{Entry, Function};
use surmise_ir::language::Language;
use surmise_model::compile::{Asked, Compiled, Figures, Job, Rejection};
use surmise_model::config::Config;
use surmise_model::service::{Compiler, Service};
use surmise_model::unit::{LiftError, UnitSource};

/// A global that one unit reads.
#[derive(Default)]
pub struct Global {
    /// Not a place where threads are switched: what is read of it is what it is now.
    value: AtomicU64,
    /// The assumption that it has a value, by value.
    claims: Mutex<Vec<Assumption>>,
}

impl Global {
    pub fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
    /// The assumption that it has this value.
    pub fn claim(&self, value: u64) -> Option<Assumption> {
        self.claims.lock().expect("no holder panics").get(value as usize).copied()
    }
    /// It gets its next value, whose claim is made; before that, `end_claim` ends the last one.
    pub fn change(&self, isolate: &Isolate, end_claim: impl FnOnce(Assumption)) {
        let value = self.value();
        if let Some(claim) = self.claim(value) {
            end_claim(claim);
        }
        self.claims.lock().expect("no holder panics").push(isolate.assume());
        self.value.store(value + 1, Ordering::Relaxed);
    }
}

/// A unit with its global. The model's compiler needs no more of it.
pub struct Source {
    pub id: UnitId,
    pub global: Arc<Global>,
    /// Whether a guard of its candidates may fail.
    pub is_guarded: bool,
}

impl UnitSource for Source {
    fn id(&self) -> UnitId {
        self.id
    }
    fn name(&self) -> &str {
        "unit"
    }
    fn lift(&self, _: &Language, _: Entry) -> Result<Function, LiftError> {
        Err(LiftError("the model has its own compiler".to_owned()))
    }
    fn live_registers(&self, _: ResumePoint) -> Option<Vec<Register>> {
        None
    }
}

/// Units of each isolate: one whose guard may fail, one whose global other threads change, one whose global its own does.
pub const UNITS: usize = 3;
pub const FAILING: usize = 0;
pub const CHANGED_BY_OTHERS: usize = 1;
pub const CHANGED_BY_OWN: usize = 2;

/// What can be planted, to see that the checks see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A global changes before what rests on its value has ended.
    ChangesFirst,
    /// Candidates don't say what they rest on.
    RestsOnNothing,
    /// A thread that is asked to poll does not look why.
    PollsForNothing,
}

pub struct World {
    fault: Option<Fault>,
    /// What was found wrong.
    complaints: std::sync::Mutex<Vec<String>>,
    pub language: Arc<Language>,
    pub space: Arc<CodeSpace>,
    pub isolates: Vec<Arc<Isolate>>,
    /// By isolate.
    pub sources: Vec<[Arc<Source>; UNITS]>,
    /// Candidates that the compiler made.
    pub compiled: Arc<AtomicU64>,
    /// Candidates that isolates have taken, whatever became of them.
    pub accounted: AtomicU64,
    /// Threads that break and deoptimize what others run, and have not ended.
    pub disturbers: AtomicU64,
    pub has_stopped: std::sync::atomic::AtomicBool,
}

impl World {
    pub fn new(isolates: usize, fault: Option<Fault>) -> Arc<World> {
        let language = language();
        let space = CodeSpace::new(1 << 16).expect("an arena");
        let isolates: Vec<_> = (0..isolates).map(|_| TestHost::isolate(&space, &language)).collect();
        let sources = (isolates.iter().enumerate())
            .map(|(number, isolate)| {
                std::array::from_fn(|unit| {
                    let global: Arc<Global> = Arc::default();
                    global.claims.lock().expect("no holder panics").push(isolate.assume());
                    let id = UnitId((number * UNITS + unit) as u64);
                    Arc::new(Source { id, global, is_guarded: unit == FAILING })
                })
            })
            .collect();
        isolates.iter().for_each(|isolate| isolate.set_checked(true));
        Arc::new(World {
            fault,
            complaints: Default::default(),
            language,
            space,
            isolates,
            sources,
            compiled: Arc::default(),
            accounted: AtomicU64::new(0),
            disturbers: AtomicU64::new(0),
            has_stopped: Default::default(),
        })
    }

    /// The service, with a compiler that takes its time: globals change while it works.
    pub fn start(self: &Arc<World>, config: Config) -> Service {
        let sources: Vec<Arc<Source>> = self.sources.iter().flatten().cloned().collect();
        let (made, rests_on_nothing) = (self.compiled.clone(), self.has_fault(Fault::RestsOnNothing));
        let compiler: Compiler = Arc::new(move |job: &Job, _: &_, _: &Config, _: Option<&_>, _: Asked| {
            let source = &sources[job.unit.id().0 as usize];
            assert!(job.profile.entered > 0, "a request is planned before the log that came with it is read");
            let value = source.global.value();
            yield_now();
            let mut image = reading(source, value, job.profile.retirements);
            image.entry = job.entry;
            if rests_on_nothing {
                image.assumptions.clear();
            }
            let result = match job.cancelled.load(Ordering::Relaxed) {
                true => Err(Rejection::Cancelled),
                false => Ok(image.into()),
            };
            made.fetch_add(result.is_ok().into(), Ordering::Relaxed);
            Compiled { result, figures: Figures::default(), story: None, trail: Vec::new(), lifted: None }
        });
        Service::start_with(self.language.clone(), Arc::new(config), compiler).expect("it starts")
    }
    pub fn has_fault(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
    /// Notes what is wrong. The run goes on to its end: stacks with compiled frames can't be unwound by a panic.
    pub fn check(&self, holds: bool, complaint: impl FnOnce() -> String) {
        if !holds {
            // Before the lock, which is none of the checker's: threads may be switched in it.
            let complaint = complaint();
            self.complaints.lock().expect("no holder panics").push(complaint);
        }
    }
    /// Whether nothing was found wrong so far.
    pub fn is_sound(&self) -> bool {
        self.complaints.lock().expect("no holder panics").is_empty()
    }
    /// The first thing that was found wrong.
    pub fn first_complaint(&self) -> Option<String> {
        self.complaints.lock().expect("no holder panics").first().cloned()
    }
    pub fn is_disturbed(&self) -> bool {
        self.disturbers.load(Ordering::Relaxed) > 0
    }
}
