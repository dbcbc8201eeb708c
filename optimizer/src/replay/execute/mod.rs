//! Execute on replay: recorded units are run, and what the passes made of them must do the same.
//!
//! A recording has no heap and no host. So the functions are run in the reference evaluator, in worlds that answer every question
//! they ask ([`world`]), from recorded arguments where there are any, else from drawn ones. Compared are the results, all that can
//! be seen from outside in order (stores, calls that are not pure, the frames at every poll), and the frames that are rebuilt where
//! a run leaves.
//!
//! ```text
//!   lifted ──peel──▶ · │ specialize ▶ base ──fold … ──▶ · │ settle ▶ base ──fold … dead_code──▶ ·
//!        generic       │   what the log says              │   what is proved by then
//! ```
//!
//! Operations have no meaning without their host; `specialize` and `settle` give them one. So a function is compared with the one
//! behind the last of these: what they choose is the log's word, all that comes behind them is held to it. In front of them,
//! operations are calls of functions of which nothing is known.
//!
//! A guess may fail earlier than it did in the base (guards are merged, and leave loops). So frames that are rebuilt must be those of
//! a moment that the base goes through as well, behind the same effects; and where the base leaves, for another reason than a guess
//! that was made only to know more, what was made of it must not go on.
//!
//! Where a run of the base leaves by a guard, the next world is the same one with an answer by which that guard holds ([`run`]'s leader):
//! so one start leads through all guards of a path, each of which fails once and then holds, and then to blocks that no run came to. Calls that make everything invalid,
//! and calls that raise errors, come behind.
//!
//! | file | what it does |
//! |---|---|
//! | `draw` | values out of numbers |
//! | `world` | the oracle |
//! | `run` | one run; the search for a moment; the way past a guard |
//! | `verdict` | two runs compared |

mod draw;
mod run;
mod verdict;
mod world;

pub use world::Start;

use super::{Recording, World as Replayed};
use crate::compile::{self, Job, Rejection};
use crate::passes::PIPELINE;
use draw::Draw;
use rayon::prelude::*;
use run::{Amendment, End, History, Leader, Limits, Ran, Reached, Subject};
use rustc_hash::FxHashSet;
use serde::Serialize;
use std::cell::{Cell, OnceCell, RefCell};
use surmise_ir::entity::{Inst, KindId, Pc};
use surmise_ir::evaluate::{Exit, LeaveReason, Machine};
use surmise_ir::function::{Entry, Function, Immediate};
use surmise_ir::language::Language;
use surmise_ir::opcode::Opcode;
use surmise_ir::text::print_function;
use verdict::{Pair, Verdict};
use world::{Answers, Makings, World};

/// Passes that give operations a meaning: what is behind one of them is compared with what it gave.
const MEANING: [&str; 2] = ["specialize", "settle"];
/// Worlds that each start is run in, before guards are led past: each has another rate of change.
const SEEDS: u64 = 8;
/// Guards that are led past from one start in one world.
const GUARDS_PER_START: usize = 96;
/// Calls of one run that make everything invalid, or raise errors, once each.
const INTERRUPTIONS: u64 = 3;
/// Guards of one run that fail by force, once each: whatever a guard checks, leaving there has to be right.
const FORCED: u64 = 32;
/// How long the base may run: some rounds of its loops.
const LIMITS: Limits = Limits { steps: 3_000, events: 120 };
/// So much longer may run what was made of it.
const SLACK: u64 = 8;

/// The functions of one candidate, as one pass after the other made them.
pub struct Versions {
    /// As lifted.
    pub lifted: Function,
    /// Behind each pass that changed it, with the pass's position in the pipeline.
    pub behind: Vec<(usize, Function)>,
}

impl Versions {
    /// What the passes make of a job.
    ///
    /// # Errors
    /// If nothing is made.
    pub fn new(job: &Job, replayed: &Replayed, language: &Language) -> Result<Versions, Rejection> {
        let (lifted, behind) = compile::functions_behind(job, language, &replayed.config)?;
        Ok(Versions { lifted, behind })
    }
}

/// What was run of a candidate.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Executed {
    /// The candidate.
    pub serial: u64,
    /// Its unit.
    pub unit: String,
    /// How it is entered.
    pub entry: String,
    /// Recorded arguments that it was run from.
    pub recorded_starts: usize,
    /// Pairs of runs that were compared.
    pub runs: u64,
    /// Runs that left, whose frames were compared.
    pub exits: u64,
    /// Stores, calls and polls that were compared.
    pub events: u64,
    /// Runs in which the base left by a guess that need not be made, or one of the two was cut off: compared up to there.
    pub partly: u64,
    /// Worlds in which the base can't be run: they contradict what it takes for granted.
    pub impossible: u64,
    /// The first reason for that.
    pub impossible_because: Option<String>,
    /// Instructions of the function that is compiled, and how many of them were run.
    pub instructions: usize,
    /// See `instructions`.
    pub instructions_run: usize,
    /// Its guards, and how many of them failed in some run.
    pub guards: usize,
    /// See `guards`.
    pub guards_failed: usize,
    /// Why it was not run.
    pub not_run: Option<String>,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// A candidate that does something else than its base.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Difference {
    /// The first pass behind which it does, and its position in the pipeline.
    pub pass: String,
    /// See `pass`.
    pub position: usize,
    /// The seed of the world.
    pub seed: u64,
    /// Which start, in the order of recorded ones; none if it was drawn.
    pub start: Option<usize>,
    /// What is different.
    pub what: String,
    /// The IR in front of the pass, and behind it.
    pub before: String,
    /// See `before`.
    pub behind: String,
}

/// Runs all candidates of a recording. `done` is called after each, on any thread.
pub fn execute(recording: &Recording, replayed: &Replayed, done: &(dyn Fn() + Sync)) -> Vec<Executed> {
    let language = &recording.header.language;
    let jobs = super::plan(recording, &replayed.config).jobs;
    let run = |job: Job| {
        let result = match Versions::new(&job, replayed, language) {
            Ok(versions) => check(&job, &versions, language, &starts(recording, &job)),
            Err(rejection) => Executed { not_run: Some(rejection.to_string()), ..Executed::named(&job) },
        };
        done();
        result
    };
    jobs.into_par_iter().map(run).collect()
}

/// The recorded arguments of a candidate.
fn starts(recording: &Recording, job: &Job) -> Vec<Start> {
    let planned = recording.planned().find(|planned| planned.serial == job.serial);
    let all = recording.arguments.iter();
    let own = all.filter(|arguments| {
        planned.is_some_and(|planned| (planned.unit, planned.entry) == (arguments.unit, arguments.entry))
    });
    own.map(|arguments| Start::recorded(arguments, &recording.header.language)).collect()
}

impl Executed {
    fn named(job: &Job) -> Executed {
        Executed {
            serial: job.serial,
            unit: job.unit.name().to_owned(),
            entry: job.entry.to_string(),
            ..Executed::default()
        }
    }
}

/// Runs one candidate from these starts, and from drawn ones.
pub fn check(job: &Job, versions: &Versions, language: &Language, starts: &[Start]) -> Executed {
    let mut executed = Executed { recorded_starts: starts.len(), ..Executed::named(job) };
    let drawn = Start { argument_count: parameters(&versions.lifted), ..Start::default() };
    let starts: Vec<(Option<usize>, &Start)> = starts
        .iter()
        .enumerate()
        .map(|(number, start)| (Some(number), start))
        .chain([(None, &drawn)])
        .collect();
    let seen = seen_kinds(job);
    for segment in segments(versions) {
        let trial = |version: usize| Trial {
            job,
            language,
            segment: &segment,
            version,
            seen: &seen,
            granted: Cell::new(None),
            covered: RefCell::default(),
        };
        let last = segment.versions.len() - 1;
        let whole = trial(last);
        let found = whole.all(&starts, &mut executed);
        whole.covered.into_inner().note(&segment, &mut executed);
        if let Some(found) = found {
            // Which pass it was: the first behind which anything differs, in whatever world that shows.
            let earlier = (0..last).find_map(|version| {
                let found = trial(version).all(&starts, &mut Executed::default())?;
                Some((version, found))
            });
            let (version, found) = earlier.unwrap_or((last, found));
            executed.difference = Some(segment.difference(version, found, language));
            return executed;
        }
    }
    executed
}

/// A difference, and where it shows.
struct Found {
    what: String,
    seed: u64,
    start: Option<usize>,
}

impl Segment {
    fn difference(&self, version: usize, found: Found, language: &Language) -> Difference {
        let (position, behind) = &self.versions[version];
        let before = version.checked_sub(1).map_or(&self.base, |earlier| &self.versions[earlier].1);
        let text = |subject: &Subject| print_function(&subject.function, language);
        Difference {
            pass: PIPELINE.get(*position).map_or("?", |&(name, _)| name).to_owned(),
            position: *position,
            seed: found.seed,
            start: found.start,
            what: found.what,
            before: text(before),
            behind: text(behind),
        }
    }
}

/// What of a segment's last version was run.
#[derive(Default)]
struct Covered {
    run: FxHashSet<Inst>,
    failed: FxHashSet<Inst>,
}

impl Covered {
    fn note(&self, segment: &Segment, executed: &mut Executed) {
        let Some((_, Subject { function, .. })) = segment.versions.last() else { return };
        let insts = function.layout.iter().flat_map(|&block| &function.blocks[block].insts);
        let guards = insts.filter(|&&inst| function.insts[inst].opcode.is_guard());
        executed.instructions = function.inst_count();
        executed.instructions_run = self.run.len();
        executed.guards = guards.count();
        executed.guards_failed = self.failed.len();
    }
}

/// A base, and what passes that must not change its meaning made of it.
struct Segment {
    base: Subject,
    versions: Vec<(usize, Subject)>,
}

fn segments(versions: &Versions) -> Vec<Segment> {
    let subject = |function: &Function| Subject::new(function.clone());
    let mut segments = vec![Segment { base: subject(&versions.lifted), versions: Vec::new() }];
    for (step, function) in &versions.behind {
        let name = PIPELINE.get(*step).map_or("", |&(name, _)| name);
        if MEANING.contains(&name) {
            segments.push(Segment { base: subject(function), versions: Vec::new() });
        } else if let Some(segment) = segments.last_mut() {
            segment.versions.push((*step, subject(function)));
        }
    }
    segments.retain(|segment| !segment.versions.is_empty());
    segments
}

/// How many parameters are read.
fn parameters(function: &Function) -> u64 {
    let registers = function.insts.values().filter(|data| data.opcode == Opcode::Argument);
    let registers = registers.filter_map(|data| match data.immediate {
        Immediate::Register(register) => Some(u64::from(register.0) + 1),
        _ => None,
    });
    registers.max().unwrap_or(0)
}

/// The kinds that the log saw in the unit, ascending.
fn seen_kinds(job: &Job) -> Vec<KindId> {
    let registers = job.profile.registers.values().flatten().map(|&(kind, _)| kind);
    let sites = job.profile.sites.values();
    let sites = sites.flat_map(|site| {
        let operands = site.operands.iter().flat_map(|(kinds, _)| kinds.iter().copied());
        operands.chain(site.results.iter().map(|&(kind, _)| kind))
    });
    let mut kinds: Vec<KindId> = registers.chain(sites).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

struct Trial<'a> {
    job: &'a Job,
    language: &'a Language,
    segment: &'a Segment,
    /// Which of its versions is compared with the base.
    version: usize,
    seen: &'a [KindId],
    /// What the version takes for granted where the base does not come to: to be laid down.
    granted: Cell<Option<Amendment>>,
    covered: RefCell<Covered>,
}

impl<'a> Trial<'a> {
    fn makings(&self, start: &'a Start, seed: u64, answers: &'a Answers) -> Makings<'a> {
        let entry = match self.job.entry {
            Entry::Loop(header) => header,
            Entry::Call | Entry::Template => Pc(0),
        };
        let draw = Draw::new(self.language, &self.job.profile, entry, self.seen, seed);
        Makings { language: self.language, draw, answers, start, invalidates: None, throws: None }
    }

    /// Runs from all starts, in all worlds. Ends with the first difference.
    fn all(&self, starts: &[(Option<usize>, &Start)], executed: &mut Executed) -> Option<Found> {
        starts.iter().find_map(|&(number, start)| {
            (0..SEEDS).find_map(|seed| {
                let what = self.run_from(start, seed, executed)?;
                Some(Found { what, seed, start: number })
            })
        })
    }

    /// Runs from one start in one world, and in those that lead past its guards.
    fn run_from(&self, start: &Start, seed: u64, executed: &mut Executed) -> Option<String> {
        let (mut answers, mut reached) = (Answers::default(), Reached::default());
        for _ in 0..GUARDS_PER_START {
            let makings = self.makings(start, seed, &answers);
            let mut leader = Leader::new(&self.segment.base, self.language, &mut reached);
            let base = self.run_base(makings, &mut |machine, inst, world| leader.look(machine, inst, world));
            let amendment = leader.amendment(verdict::has_left(&base));
            let is_possible = !matches!(base.end, End::Fault(_)) || amendment.is_none();
            if is_possible && let Some(what) = self.compare(makings, &base, executed) {
                return Some(what);
            }
            match self.granted.take().or(amendment) {
                Some((question, answer)) if answers.insert(question, answer) != Some(answer) => {}
                _ => break,
            }
        }
        self.interrupted(self.makings(start, seed, &answers), seed, executed)
    }

    fn run_base(&self, makings: Makings<'_>, watch: &mut dyn FnMut(&Machine<'a>, Inst, &World<'_>)) -> Ran {
        run::run(&self.segment.base, self.language, World::new(makings), LIMITS, None, watch)
    }

    /// Runs in which calls make everything invalid or raise errors, and in which each guard fails.
    fn interrupted(&self, makings: Makings<'_>, seed: u64, executed: &mut Executed) -> Option<String> {
        let base = self.run_base(makings, &mut |_, _, _| ());
        for effect in some_of(base.effects, INTERRUPTIONS, seed) {
            let invalid = Makings { invalidates: Some(effect), ..makings };
            for makings in [invalid, Makings { throws: Some(effect), ..makings }] {
                let base = self.run_base(makings, &mut |_, _, _| ());
                if let Some(what) = self.compare(makings, &base, executed) {
                    return Some(what);
                }
            }
        }
        let history = OnceCell::new();
        let guards = self.run_version(makings, &base, None).guards;
        some_of(guards, FORCED, seed).find_map(|guard| {
            let ran = self.run_version(makings, &base, Some(guard));
            self.note(self.pair(makings, &base, &ran, &history).verdict(), executed)
        })
    }

    /// Compares what was made of the base with a run of the base. Returns what differs.
    fn compare(&self, makings: Makings<'_>, base: &Ran, executed: &mut Executed) -> Option<String> {
        let ran = self.run_version(makings, base, None);
        if ran.is_contradicted {
            self.granted.set(self.amendment_of_version(makings));
        }
        self.note(self.pair(makings, base, &ran, &OnceCell::new()).verdict(), executed)
    }

    fn note(&self, verdict: Verdict, executed: &mut Executed) -> Option<String> {
        executed.runs += 1;
        match verdict {
            Verdict::Same { events, left } => {
                executed.events += events;
                executed.exits += u64::from(left);
            }
            Verdict::Partly { events } => {
                executed.events += events;
                executed.partly += 1;
            }
            Verdict::Impossible(reason) => {
                executed.impossible += 1;
                executed.impossible_because.get_or_insert(reason);
            }
            Verdict::Different(what) => return Some(what),
        }
        None
    }

    /// The answer with which a run of the version would not end with a fault.
    fn amendment_of_version(&self, makings: Makings<'_>) -> Option<Amendment> {
        let mut reached = Reached::default();
        let mut leader = Leader::new(self.version(), self.language, &mut reached);
        let watch = &mut |machine: &Machine<'a>, inst: Inst, world: &World<'_>| {
            leader.look(machine, inst, world);
        };
        run::run(self.version(), self.language, World::new(makings), LIMITS, None, watch);
        leader.amendment(true)
    }

    fn version(&self) -> &'a Subject {
        &self.segment.versions[self.version].1
    }

    fn run_version(&self, makings: Makings<'_>, base: &Ran, fails: Option<u64>) -> Ran {
        let steps = base.steps.saturating_mul(SLACK) + LIMITS.steps;
        let limits = Limits { steps, ..LIMITS };
        let mut covered = self.covered.borrow_mut();
        let watch = &mut |_: &Machine<'a>, inst: Inst, _: &World<'_>| {
            covered.run.insert(inst);
        };
        let ran = run::run(self.version(), self.language, World::new(makings), limits, fails, watch);
        if let End::Exit(Exit::Deoptimized { reason: LeaveReason::Guard { inst, .. }, .. }) = ran.end {
            covered.failed.insert(inst);
        }
        ran
    }

    fn pair<'p>(
        &'p self,
        makings: Makings<'p>,
        base: &'p Ran,
        ran: &'p Ran,
        history: &'p OnceCell<History>,
    ) -> Pair<'p> {
        let (base, version) = ((&self.segment.base, base), (self.version(), ran));
        Pair { language: self.language, base, version, makings, limits: LIMITS, history }
    }
}

/// About so many of `count` things that are numbered from 1; for each seed others.
fn some_of(count: u64, wanted: u64, seed: u64) -> impl Iterator<Item = u64> {
    let step = count.div_ceil(wanted).max(1);
    (1 + seed % step..=count).step_by(step as usize)
}
