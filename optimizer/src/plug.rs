//! The plug: what a host holds of Surmise, one for each isolate.
//!
//! The host counts calls and back-edges per unit in a counter of its own. When a counter runs out it asks [`Plug::fired`] what
//! to do, and does it:
//!
//! ```text
//!  cold ──counter──▶ learning ──windows──▶ requested ──delivery──▶ installed
//!   ▲                 (in windows, the host                           │ a guess failed too often
//!   └──────────────────runs its logging loop) ◀──── back-off ◀────────┘
//! ```
//!
//! A unit is learnt in several short windows with growing pauses between them: one window would see a few rounds of the
//! innermost loop and nothing of what is around it. What the log did not see shows itself when a guess fails: the frames that are
//! rebuilt then are logged for a moment ([`Plug::frames_left`]), so that the next candidate knows what the last one missed.
//!
//! At its next poll the host calls [`Plug::service`], which installs what has been delivered and throws away candidates whose
//! guesses failed too often. Everything here runs on the isolate's own thread; the compiles run on the service's.
#![allow(
    unsafe_code,
    reason = "installing candidates is unsafe: the host's resolver decides what their slots hold"
)]

mod invalidated;
mod preloaded;

use crate::config::{self, Config};
use crate::log::{Log, UnitIndex, Words};
use crate::profile::Map;
use crate::record::event::Fate;
use crate::service::{Client, Delivery, DeoptRecorder, FailedGuess};
use crate::snapshot::Snapshots;
use crate::sync::Mutex;
use crate::unit::UnitSource;
use invalidated::Stress;
use preloaded::Asked;
use rustc_hash::FxHashMap;
use std::ptr::NonNull;
use std::sync::Arc;
use surmise_deopt::candidate::{CandidateId, Image};
use surmise_deopt::entry::EntryCell;
use surmise_deopt::events::{DeoptEvent, DeoptObserver};
use surmise_deopt::isolate::{EntryPoint, InstallError, Isolate, UnitEntries};
use surmise_deopt::loaded::Candidate;
use surmise_deopt::rebuild::RebuildPlan;
use surmise_deopt::slots::SlotValue;
use surmise_deopt::table::ExitReason;
use surmise_ir::entity::{Pc, UnitId};
use surmise_ir::function::Entry;
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Recipe;

/// Runs between two looks at a unit that has been requested or has a candidate: rarely enough to cost nothing, often enough to
/// enter a loop soon after its candidate arrived.
const RUNS_BETWEEN_LOOKS: i32 = 1_000;
/// An inner loop goes round this often at most while an outer one's candidate waits to be entered.
const LOOKS_FOR_LOOP: u32 = 10_000;
/// A unit that was given up is looked at no more than this often.
const RUNS_WHEN_GIVEN_UP: i32 = 1 << 30;
/// Windows for a loop that became hot when its unit was known already.
const WINDOWS_PER_FURTHER_LOOP: u32 = 2;
/// Calls or rounds for which rebuilt frames are logged.
const WATCHED_RUNS: i32 = 1;
/// Each time that a unit loses its candidates makes it wait this many times longer.
const BACK_OFF: u32 = 2;

/// What a host does after its counter ran out.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// What the counter starts from again.
    pub counter: i32,
    /// Whether the unit's runs are logged from here on.
    pub logging: bool,
    /// Code to enter now, at the loop's header.
    pub enter: Option<EntryPoint>,
}

/// What a host says of a fact that was not logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Foreseen {
    /// It holds now, as long as what it rests on: all its words.
    Holds(Words),
    /// It can't be: what the known words name is not like that.
    Never,
    /// It has to be waited for.
    Unknown,
}

/// What the host does for the plug.
pub trait PlugHost {
    /// Sets a unit's counter, and whether its runs are logged.
    fn arm(&mut self, unit: UnitIndex, counter: i32, logging: bool);
    /// What the log would say at a site of a unit's own bytecode, in a fact of this variant of which some words are known: for candidates
    /// from files, which rest on facts of sites that are reached rarely.
    fn foresee(&mut self, unit: UnitIndex, pc: Pc, variant: u8, known: &[Option<u32>]) -> Foreseen {
        let _ = (unit, pc, variant, known);
        Foreseen::Unknown
    }
    /// A fact of this variant about things that no value of the guest is or ever will be, so that the guard of the case for it always
    /// fails: for candidates from files, until the site is reached. The words that are known stay as they are; the others are of things
    /// made for this, whole ones of their kind (a preloaded candidate may read their fields before the guard), other ones for each `number`. `None`
    /// if that can't be: where a known word alone lets the guard pass, or the case has no guard.
    fn stand_in(&mut self, variant: u8, known: &[Option<u32>], number: usize) -> Option<Words> {
        let _ = (variant, known, number);
        None
    }
    /// What a spesh slot of this recipe holds here; `None` when there is no such thing any more.
    fn resolve(&mut self, recipe: &Recipe) -> Option<SlotValue>;
}

/// How far an entry has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It is hot; its unit is being learnt.
    Waiting,
    Requested,
    Installed,
    GivenUp,
}

/// How much of a unit is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Knowledge {
    /// Nothing since the start or the last retirement.
    #[default]
    None,
    /// It is being learnt; so many windows were closed.
    Learning { window_open: bool, closed: u32 },
    /// Enough to compile any of its entries.
    Enough,
    /// Enough; and rebuilt frames are being logged.
    Watching,
}

/// A candidate that is installed, or was when this was last looked at. The candidate itself, not its number, which others get later.
struct Installed {
    candidate: Arc<Candidate>,
    origin: Origin,
    /// Under stress: its image, to be installed again.
    image: Option<Arc<Image>>,
}

struct UnitRecord {
    id: UnitId,
    entries: Arc<UnitEntries>,
    cell: NonNull<EntryCell>,
    /// What is going on for each entry, in the order in which they became hot.
    phases: Map<Entry, Phase>,
    /// The candidate of each entry.
    installed: Map<Entry, Installed>,
    knowledge: Knowledge,
    /// How often the unit was learnt since the last retirement (each of its loops adds to what is known of it), or lost its candidates
    /// to a deoptimization of everything: then the same is asked for again.
    lessons: u32,
    /// How often deoptimizations of everything took its candidates.
    invalidations: u32,
    /// How often guesses that failed had its candidates thrown away.
    retirements: u32,
    /// How often an assumption broke on which it rested, or would have.
    breaks: u32,
    variadic: bool,
    /// How often the unit looks at every back-edge for the loop that its new candidate enters.
    looks: u32,
    /// Entries for which there are candidates in a file, as long as they may still fit, and how far the asking has come.
    preloaded: Map<Entry, Asked>,
    /// How often it was asked whether stand-ins can be replaced.
    replacements: u32,
    /// Its counter ran out the first time: see [`Plug::first_counter`].
    was_counted: bool,
    /// The units that it inlines, and of how many of them the service knows.
    inlined: Vec<UnitId>,
    inlined_told: usize,
}

impl UnitRecord {
    /// How often what was known of it turned out wrong: what was requested before the last time is not wanted any more.
    fn revision(&self) -> u32 {
        self.retirements + self.breaks
    }
    /// What requests say of what is known: see [`Client::request`].
    fn knowledge(&self) -> (u32, u32) {
        (self.revision(), self.lessons)
    }
    /// Whether it stays in the interpreter.
    fn is_given_up(&self) -> bool {
        self.retirements >= config::RETIREMENTS_PER_UNIT
            || self.invalidations >= config::INVALIDATIONS_PER_UNIT
    }
    /// How often all that was made of it was for nothing.
    fn setbacks(&self) -> u32 {
        self.revision() + self.invalidations
    }
    /// Nothing is known any more, and nothing is on its way.
    fn forget(&mut self) {
        self.phases.clear();
        self.knowledge = Knowledge::None;
        self.lessons = 0;
    }
}

/// Counts for the statistics.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct PlugTotals {
    /// Units that the host registered.
    pub units: u64,
    /// Units that became hot.
    pub hot_units: u64,
    /// Candidates that were installed.
    pub installed: u64,
    /// Of those, candidates that came from a file.
    pub preloaded: u64,
    /// Candidates that could not be installed.
    pub not_installed: u64,
    /// Times that a guess which failed had a unit learnt again.
    pub learnt_again: u64,
    /// Times that a unit lost candidates to what the host invalidated, or because it rested on what has changed.
    pub invalidated: u64,
    /// Units that stay in the interpreter because they lost their candidates too often.
    pub given_up: u64,
    /// Candidates that came too late: what they were made from had turned out wrong, or newer ones had overtaken them.
    pub outdated: u64,
    /// Candidates that were thrown away.
    pub retired: u64,
    /// Deoptimizations of everything that concerned some candidate.
    pub deopt_alls: u64,
    /// Frames that they redirected.
    pub redirected_frames: u64,
    /// Deopts, by guard reason, in the order of the table of reasons; the last is "invalidated".
    pub deopts: [u64; GuardReason::ALL.len() + 1],
    /// Inlined frames that were rebuilt because a guard failed.
    pub inlined_failed: u64,
    /// Inlined frames that were rebuilt because their candidate was invalidated.
    pub inlined_invalidated: u64,
}

/// A candidate's guess that failed too often, or any exit to count: filled by the observer, read at the next poll.
#[derive(Default)]
struct Observed {
    retire: Vec<(Arc<Candidate>, UnitId, surmise_ir::entity::Pc, GuardReason, u32)>,
    deopts: [u64; GuardReason::ALL.len() + 1],
    inlined_failed: u64,
    inlined_invalidated: u64,
}

struct Observer {
    observed: Mutex<Observed>,
    failures_before_retirement: u32,
    forced: bool,
    wake: Box<dyn Fn() + Send + Sync>,
    recorder: Option<DeoptRecorder>,
    /// Where the candidates come from that were installed last under their numbers.
    origins: Mutex<FxHashMap<CandidateId, Origin>>,
}

/// Where a candidate comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Origin {
    /// Its number in the order of planning.
    serial: u64,
    /// It comes from a file; so many of its premises have stand-ins.
    preloaded: Option<u32>,
}

impl Observer {
    fn remember(&self, candidate: CandidateId, origin: Origin) {
        self.origins.lock().expect("no holder of the origins panics").insert(candidate, origin);
    }
    fn origin(&self, candidate: CandidateId) -> Option<Origin> {
        self.origins.lock().expect("no holder of the origins panics").get(&candidate).copied()
    }
    /// How often one of a candidate's guesses may fail before the candidate is thrown away.
    fn failures_before_retirement(&self, candidate: CandidateId) -> u32 {
        match self.origin(candidate) {
            Some(Origin { preloaded: Some(_), .. }) => {
                self.failures_before_retirement.max(config::FAILURES_OF_PRELOADED)
            }
            _ => self.failures_before_retirement,
        }
    }
}

impl DeoptObserver for Observer {
    fn on_deopt(
        &self,
        candidate: &Arc<Candidate>,
        event: &DeoptEvent,
        plan: &RebuildPlan,
        count: u32,
    ) -> u32 {
        if let Some(recorder) = &self.recorder
            && let Some(Origin { serial, .. }) = self.origin(event.candidate)
        {
            recorder.add(crate::record::event::Deopt {
                serial,
                point: event.point,
                reason: event.reason,
                unit: event.unit,
                resume: event.resume,
                frames: crate::record::fingerprint::of_frames(plan, recorder.language()),
            });
        }
        let mut observed = self.observed.lock().expect("no holder of the observations panics");
        let inlined = plan.frames().len() as u64 - 1;
        match event.reason {
            ExitReason::Invalidated => {
                observed.deopts[GuardReason::ALL.len()] += 1;
                observed.inlined_invalidated += inlined;
            }
            ExitReason::Guard(reason, site) => {
                observed.inlined_failed += inlined;
                observed.deopts[reason as usize] += 1;
                let failures = candidate.deopt_count(event.point as usize);
                if reason != GuardReason::Stack
                    && !self.forced
                    && failures >= self.failures_before_retirement(candidate.id())
                {
                    observed.retire.push((candidate.clone(), event.unit, site, reason, failures));
                    (self.wake)();
                }
            }
        }
        count.wrapping_add(1)
    }
}

/// One isolate's connection to Surmise.
pub struct Plug {
    client: Client,
    isolate: Arc<Isolate>,
    /// The ring of this isolate's thread.
    pub log: Log,
    /// By number. Isolates that share a service have numbers between each other's.
    units: Map<UnitIndex, UnitRecord>,
    by_id: FxHashMap<UnitId, Vec<UnitIndex>>,
    observer: Arc<Observer>,
    totals: PlugTotals,
    /// Units whose rebuilt frames are being logged.
    watched: Vec<UnitIndex>,
    stress: Option<Stress>,
    /// Up to where what was invalidated is known here.
    seen_generation: u64,
    /// Polls until the next look for candidates to reclaim, and from the one look to the other.
    polls_before_reclaim: u32,
    reclaim_pause: u32,
}

impl Plug {
    /// Connects an isolate. Its runloops are woken by their poll flags when something is delivered.
    pub fn new(client: Client, isolate: Arc<Isolate>) -> Plug {
        let config = client.config().clone();
        let woken = isolate.clone();
        client.set_waker(Box::new(move || woken.request_poll()));
        let woken = isolate.clone();
        let observer = Arc::new(Observer {
            observed: Mutex::default(),
            failures_before_retirement: config.failures_before_retirement(),
            forced: config.deopt_every.is_some(),
            wake: Box::new(move || woken.request_poll()),
            recorder: client.deopt_recorder(),
            origins: Mutex::default(),
        });
        isolate.set_observer(Some(observer.clone()));
        isolate.set_checked(config.deopt_all_every.is_some());
        let snapshots = Snapshots::new(client.recorded_arguments());
        Plug {
            client,
            isolate,
            log: Log::new(snapshots),
            units: Map::default(),
            by_id: Default::default(),
            observer,
            totals: PlugTotals::default(),
            watched: Vec::new(),
            stress: config.deopt_all_every.map(Stress::new),
            seen_generation: 0,
            polls_before_reclaim: 0,
            reclaim_pause: 0,
        }
    }
    /// The settings.
    pub fn config(&self) -> &Arc<Config> {
        self.client.config()
    }
    /// The service's client.
    pub fn client(&self) -> &Client {
        &self.client
    }
    /// The isolate.
    pub fn isolate(&self) -> &Arc<Isolate> {
        &self.isolate
    }
    /// What was counted so far.
    pub fn totals(&self) -> PlugTotals {
        let mut totals = self.totals;
        let observed = self.observer.observed.lock().expect("no holder of the observations panics");
        totals.deopts = observed.deopts;
        totals.inlined_failed = observed.inlined_failed;
        totals.inlined_invalidated = observed.inlined_invalidated;
        totals
    }

    /// Makes a unit known and returns its number and what its counter starts from.
    ///
    /// # Safety
    /// The entry cell stays where it is as long as the plug's isolate lives.
    pub unsafe fn register(
        &mut self,
        unit: Arc<dyn UnitSource>,
        cell: NonNull<EntryCell>,
        variadic: bool,
    ) -> (UnitIndex, i32) {
        let id = unit.id();
        let inlined = unit.inlined().iter().map(|unit| unit.id()).collect();
        let index = self.client.register(unit);
        // SAFETY: handed on.
        let entries = unsafe { self.isolate.register_unit(id, cell) };
        let record = UnitRecord {
            id,
            entries,
            cell,
            phases: Map::default(),
            installed: Map::default(),
            knowledge: Knowledge::None,
            lessons: 0,
            invalidations: 0,
            retirements: 0,
            breaks: 0,
            variadic,
            looks: 0,
            preloaded: self.client.preloaded(id).iter().map(|&entry| (entry, Asked::Not)).collect(),
            replacements: 0,
            was_counted: false,
            inlined,
            inlined_told: 0,
        };
        self.units.insert(index, record);
        self.by_id.entry(id).or_default().push(index);
        self.totals.units += 1;
        (index, self.first_counter())
    }
    fn record(&mut self, unit: UnitIndex) -> &mut UnitRecord {
        &mut self.units[&unit]
    }

    /// What the counter starts from of a function that is registered only when it runs out: hosts that load far more than they run do so.
    pub fn first_counter(&self) -> i32 {
        match self.client.has_preload() {
            true => (crate::config::CALLS_BEFORE_BINDING as i32).min(self.cold_counter(0)),
            false => self.cold_counter(0),
        }
    }

    /// What a counter starts from whose unit was set back so often.
    fn cold_counter(&self, setbacks: u32) -> i32 {
        if self.config().disabled {
            return RUNS_WHEN_GIVEN_UP;
        }
        let factor = BACK_OFF.saturating_pow(setbacks.min(10));
        i32::try_from(self.config().calls_before_logging().saturating_mul(factor))
            .unwrap_or(RUNS_WHEN_GIVEN_UP)
    }

    /// What a counter starts from of a unit that is requested or has a candidate.
    fn runs_between_looks(&self) -> i32 {
        if self.config().no_delay { 1 } else { RUNS_BETWEEN_LOOKS }
    }

    /// Has the host count a unit's runs from the beginning: it has lost its candidates.
    fn start_again(&mut self, unit: UnitIndex, host: &mut dyn PlugHost) {
        let record = self.record(unit);
        let (is_given_up, setbacks) = (record.is_given_up(), record.setbacks());
        self.totals.given_up += u64::from(is_given_up);
        let counter = if is_given_up { RUNS_WHEN_GIVEN_UP } else { self.cold_counter(setbacks) };
        host.arm(unit, counter, false);
    }

    /// The unit's counter ran out, at a call of it or at the back-edge to a loop's header.
    pub fn fired(&mut self, unit: UnitIndex, at: Entry, host: &mut dyn PlugHost) -> Decision {
        self.end_watches(host);
        let has_preload = self.client.has_preload();
        let record = self.record(unit);
        if has_preload && !std::mem::replace(&mut record.was_counted, true) && record.preloaded.is_empty() {
            // It was counted for a file that has nothing for it: now as if there were none.
            return Decision { counter: self.cold_counter(0), logging: false, enter: None };
        }
        let pause = self.advance(unit, at, host);
        let runs = self.config().logged_runs() as i32;
        let record = self.record(unit);
        let enter = match at {
            Entry::Loop(header) => record.entries.loop_entry(header),
            _ => None,
        };
        if enter.is_some() {
            record.looks = 0;
        }
        if let Knowledge::Learning { window_open, .. } = record.knowledge {
            let counter = if window_open { runs } else { pause };
            return Decision { counter, logging: window_open, enter };
        }
        let mut counter = self.runs_between_looks();
        let record = self.record(unit);
        if record.looks > 0 {
            record.looks -= 1;
            counter = 0;
        }
        Decision { counter, logging: false, enter }
    }

    /// Takes what is known of a unit a step further, and the entry that became hot with it. Returns the pause to the next
    /// window.
    fn advance(&mut self, unit: UnitIndex, at: Entry, host: &mut dyn PlugHost) -> i32 {
        let windows = self.config().windows();
        let first_pause = self.config().calls_before_logging();
        let record = self.record(unit);
        if record.phases.is_empty() && record.setbacks() == 0 {
            self.totals.hot_units += 1;
        }
        let record = self.record(unit);
        let is_new = !record.phases.contains_key(&at);
        if is_new {
            let gives_up = at == Entry::Call && record.variadic;
            record.phases.insert(at, if gives_up { Phase::GivenUp } else { Phase::Waiting });
        }
        let retirements = record.retirements;
        match record.knowledge {
            Knowledge::None if record.phases[&at] == Phase::Waiting => {
                record.looks = 0;
                record.knowledge = Knowledge::Learning { window_open: true, closed: 0 };
            }
            Knowledge::Enough if is_new && matches!(at, Entry::Loop(_)) => {
                // What the log saw was before this loop began.
                record.looks = 0;
                record.knowledge = Knowledge::Learning {
                    window_open: true,
                    closed: windows - windows.min(WINDOWS_PER_FURTHER_LOOP),
                };
            }
            Knowledge::Learning { window_open: false, closed } => {
                record.knowledge = Knowledge::Learning { window_open: true, closed };
            }
            Knowledge::Learning { window_open: true, closed } => {
                let closed = closed + 1;
                // What was learnt too quickly once is looked at for longer.
                let enough = closed >= windows + 2 * retirements.min(4);
                record.knowledge = if enough {
                    Knowledge::Enough
                } else {
                    Knowledge::Learning { window_open: false, closed }
                };
                record.lessons += u32::from(enough);
                if enough
                    && matches!(record.phases.get(&Entry::Call), Some(Phase::Requested | Phase::Installed))
                    && record.installed.get(&Entry::Call).is_none_or(|known| known.origin.preloaded.is_none())
                {
                    record.phases.insert(Entry::Call, Phase::Waiting);
                }
                self.client.flush(&mut self.log);
                self.bind_preloaded(unit, enough, host);
                self.replace_stand_ins(unit, host);
                if enough {
                    self.request_waiting(unit, host);
                }
                return i32::try_from(first_pause << closed.min(6)).unwrap_or(RUNS_BETWEEN_LOOKS);
            }
            Knowledge::Enough if is_new => self.request_waiting(unit, host),
            Knowledge::None | Knowledge::Enough | Knowledge::Watching => {}
        }
        0
    }

    /// A guess failed, and frames of this unit were rebuilt: what they do now is what the log has not seen. To be called when
    /// the frames are committed, once for each of them.
    pub fn frames_left(&mut self, unit: UnitIndex, host: &mut dyn PlugHost) {
        // Guesses that fail on purpose tell nothing.
        let watches = self.config().deopt_every.is_none();
        let record = self.record(unit);
        if watches && record.knowledge == Knowledge::Enough {
            record.knowledge = Knowledge::Watching;
            self.watched.push(unit);
            host.arm(unit, WATCHED_RUNS, true);
        }
    }
    fn end_watches(&mut self, host: &mut dyn PlugHost) {
        if self.watched.is_empty() {
            return;
        }
        self.client.flush(&mut self.log);
        let counter = self.runs_between_looks();
        for unit in std::mem::take(&mut self.watched) {
            let record = self.record(unit);
            // A retirement may have come meanwhile.
            if record.knowledge == Knowledge::Watching {
                record.knowledge = Knowledge::Enough;
                host.arm(unit, counter, false);
                self.replace_stand_ins(unit, host);
            }
        }
    }

    /// Asks for candidates for the unit's hot entries.
    fn request_waiting(&mut self, unit: UnitIndex, host: &mut dyn PlugHost) {
        let record = self.record(unit);
        let waiting: Vec<Entry> = record
            .phases
            .iter()
            // What the file may have is waited for.
            .filter(|(entry, phase)| **phase == Phase::Waiting && !record.preloaded.contains_key(*entry))
            .map(|(&entry, _)| entry)
            .collect();
        for entry in waiting {
            self.request(unit, entry);
        }
        if self.config().blocking {
            self.service(host);
        }
    }
    fn request(&mut self, unit: UnitIndex, entry: Entry) {
        let record = self.record(unit);
        if record.is_given_up() {
            record.phases.insert(entry, Phase::GivenUp);
            return;
        }
        record.phases.insert(entry, Phase::Requested);
        self.tell_inlined(unit);
        let knowledge = self.record(unit).knowledge();
        self.client.request(unit, entry, knowledge);
    }

    /// Says whose logs count for a unit besides its own: those of the units that it inlines, as far as they are registered by now.
    fn tell_inlined(&mut self, unit: UnitIndex) {
        let record = &self.units[&unit];
        let registered = |&id: &UnitId| Some((id, *self.by_id.get(&id)?.first()?));
        let known: Vec<_> = record.inlined.iter().filter_map(registered).collect();
        if known.len() > record.inlined_told {
            self.record(unit).inlined_told = known.len();
            self.client.inlines(unit, known);
        }
    }

    /// To be called at a poll: installs deliveries, throws failed candidates away.
    pub fn service(&mut self, host: &mut dyn PlugHost) {
        self.end_watches(host);
        self.look_for_invalidated(host);
        self.retire_failed(host);
        while let Some(delivery) = self.client.take() {
            self.deliver(delivery, host);
        }
    }

    fn deliver(&mut self, delivery: Delivery, host: &mut dyn PlugHost) {
        let Delivery { unit, entry, knowledge: (revision, _), serial, result, preloaded } = delivery;
        let origin = Origin { serial, preloaded };
        let record = self.record(unit);
        let is_outdone = record.installed.get(&entry).is_some_and(|newer| newer.origin.serial > serial);
        if revision != record.revision() || is_outdone {
            // Made from knowledge that has turned out wrong since, or overtaken by a candidate that knows more.
            if let Some(asked) = record.preloaded.get_mut(&entry) {
                *asked = Asked::Not;
            }
            self.totals.outdated += u64::from(result.is_ok());
            if result.is_ok() || preloaded.is_none() {
                self.client.happened(serial, Fate::Outdated);
            }
            return;
        }
        if preloaded.is_some() {
            let asked = record.preloaded.shift_remove(&entry);
            if let Err(rejection) = result {
                return self.go_on_without(unit, entry, asked, &rejection, host);
            }
        }
        let phase = match result {
            Err(_) => Phase::GivenUp,
            Ok(image) => match self.install(image, origin, host) {
                Ok(installed) => {
                    self.totals.installed += 1;
                    self.totals.preloaded += u64::from(preloaded.is_some());
                    if let Some(older) = self.record(unit).installed.insert(entry, installed) {
                        self.retire(&older.candidate);
                    }
                    Phase::Installed
                }
                // It broke while the candidate was made.
                Err(InstallError::Assumption { recipe, .. }) => {
                    self.totals.not_installed += 1;
                    self.client.happened(serial, Fate::NotInstallable);
                    return self.learn_without(unit, recipe, host);
                }
                Err(_) => {
                    self.totals.not_installed += 1;
                    self.client.happened(serial, Fate::NotInstallable);
                    Phase::GivenUp
                }
            },
        };
        if preloaded.is_some() && phase != Phase::Installed {
            // It is compiled as if there had been none.
            return;
        }
        let record = self.record(unit);
        record.phases.insert(entry, phase);
        let has_all = record.phases.values().all(|phase| *phase != Phase::Waiting);
        if preloaded.is_some() && has_all && matches!(record.knowledge, Knowledge::Learning { .. }) {
            // What is hot has its candidate: nothing more is to be learnt for now.
            record.knowledge = Knowledge::Enough;
            let counter = self.runs_between_looks();
            host.arm(unit, counter, false);
        }
        let record = self.record(unit);
        if phase == Phase::Installed && matches!(entry, Entry::Loop(_)) {
            // Have the loop look at once, and the next call too: a unit with a hot loop is hot. Its sites are known by now.
            record.looks = LOOKS_FOR_LOOP;
            let calls = preloaded.is_none() && !record.variadic && !record.phases.contains_key(&Entry::Call);
            if calls {
                self.request(unit, Entry::Call);
            }
            host.arm(unit, 0, false);
        }
    }

    /// Retires a candidate, if it is installed still.
    fn retire(&self, candidate: &Arc<Candidate>) -> bool {
        // Only this thread installs here: what is gone meanwhile has not made room for another of its number.
        let is_retired = self.isolate.is_installed(candidate) && self.isolate.retire(candidate.id());
        if is_retired && let Some(origin) = self.observer.origin(candidate.id()) {
            self.client.happened(origin.serial, Fate::Retired);
        }
        is_retired
    }

    fn retire_failed(&mut self, host: &mut dyn PlugHost) {
        let failed = std::mem::take(
            &mut self.observer.observed.lock().expect("no holder of the observations panics").retire,
        );
        for (candidate, unit, pc, reason, failures) in failed {
            if !self.retire(&candidate) {
                continue;
            }
            self.totals.retired += 1;
            let of = |unit: UnitId| self.by_id.get(&unit).cloned().unwrap_or_default();
            let mut concerned = of(unit);
            for &index in &concerned {
                self.client.failed(FailedGuess { unit: index, pc, reason, failures: failures.into() });
            }
            if candidate.unit() != unit {
                // The guess was about a unit that it inlines: it loses its candidates, too.
                concerned.extend(of(candidate.unit()));
            }
            for index in concerned {
                self.totals.learnt_again += 1;
                let record = self.record(index);
                record.retirements += 1;
                record.forget();
                // Others of the file were made from the same knowledge.
                record.preloaded.clear();
                // What was compiled from the same knowledge goes too: the next ones are made from more of it.
                let others: Vec<Installed> = record.installed.drain(..).map(|(_, other)| other).collect();
                for other in others {
                    self.totals.retired += u64::from(self.retire(&other.candidate));
                }
                self.start_again(index, host);
            }
        }
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        self.isolate.set_observer(None);
        for record in self.units.values() {
            self.isolate.unregister_unit(record.id, record.cell);
        }
    }
}
