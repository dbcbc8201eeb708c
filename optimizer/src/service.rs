//! The background service: one thread that owns the profile and the plan, a pool for the compiles, and for each isolate a
//! client with an inbox.
//!
//! ```text
//!  client (runloop's thread)                    service thread                        pool
//!  flush(log) ──────── bounded queue ─────────▶ profile.add
//!  request(unit, entry) ──────────────────────▶ plan: once per (unit, entry) ───────▶ compile
//!  failed(guess), broken(assumption) ─────────▶ profile: not guessed again               │
//!  take() ◀── inbox, poll flag raised ◀──────── deliver ◀───────────────────────────────┘
//! ```
//!
//! * The service takes no lock that a running program holds for longer than it takes to push to a queue.
//! * A full queue drops log batches, and counts them; requests are never dropped, for they are few (one per hot unit).
//! * In blocking mode a request returns when what it led to stands in the inbox.
//! * A compile that fails or panics is a rejection: delivered, counted, and the program runs on.

mod preload;

use crate::compile::{self, Asked, Compiled, Figures, Job, Rejection};
use crate::config::{Backend, Config};
use crate::log::{Columns, Log, Record, UnitIndex};
use crate::lower::Target;
use crate::plan::{Decision, Planner, Refusal, Task, why};
use crate::preload::{PreloadFile, Preloaded};
use crate::profile_text::ProfileText;
use crate::record::event::{self, Event, Fate, Happened};
use crate::record::{Progress, Recorder};
use crate::sync::{
    self, AtomicU64, JoinHandle, Mutex, Ordering, Receiver, Sender, TrySendError, bounded, unbounded,
};
use crate::unit::UnitSource;
use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use surmise_deopt::candidate::Image;
use surmise_ir::entity::{Pc, UnitId};
use surmise_ir::function::{Entry, Function};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::{Language, Recipe};
use thiserror::Error;

pub use preload::PreloadTotals;
pub use preload::Wish;
use preload::{Bind, open_preload};

/// Deopts that may wait to be recorded.
const QUEUED_DEOPTS: usize = 4096;

/// Log batches that may wait. Most are the few hundred events of a window, none is more than 64 KiB. On a machine that is busy with
/// other things the service gets to them late, and a unit whose windows were dropped is compiled from too little.
const QUEUED_BATCHES: usize = 512;

/// Threads that compile, at most: the hot units of one program are few, and come one after the other.
const COMPILE_THREADS: usize = 4;

/// The service can't be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// No code for this machine.
    #[error("no native code for this machine: {0}")]
    Target(String),
    /// The story file can't be written.
    #[error("SURMISE_LOG={path}: {error}")]
    Log {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The recording can't be written.
    #[error("SURMISE_RECORD={path}: {error}")]
    Record {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The preload file, or its key, can't be read.
    #[error("{setting}={path}: {error}")]
    Preload {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A thread can't be started.
    #[error("can't start the service's threads: {0}")]
    Thread(String),
}

/// What the service hands to an isolate.
pub struct Delivery {
    /// The unit.
    pub unit: UnitIndex,
    /// How the candidate is entered.
    pub entry: Entry,
    /// As in the request.
    pub knowledge: (u32, u32),
    /// Number of the candidate, in the order of planning.
    pub serial: u64,
    /// The candidate, or why there is none.
    pub result: Result<Arc<Image>, Rejection>,
    /// It comes from a file; so many of its premises have stand-ins.
    pub preloaded: Option<u32>,
}

/// A guess that failed too often.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct FailedGuess {
    /// The unit in whose bytecode the guess stands.
    pub unit: UnitIndex,
    /// The site.
    pub pc: Pc,
    /// The kind of guess.
    pub reason: GuardReason,
    /// How often it failed.
    pub failures: u64,
}

enum Message {
    Unit(UnitIndex, Arc<dyn UnitSource>),
    Inlined(UnitIndex, Vec<(UnitId, UnitIndex)>),
    Log(Vec<Record>),
    Request(Request),
    Bind(Bind),
    Failed(FailedGuess),
    Broken(UnitIndex, Recipe),
    Compiled(Box<Finished>),
    Happened(Happened),
    Deopt(event::Deopt),
    Arguments(Vec<event::Arguments>),
    Stop(Sender<()>),
}

/// A wish for a candidate.
struct Request {
    client: Arc<Inbox>,
    unit: UnitIndex,
    entry: Entry,
    /// See [`Client::request`].
    knowledge: (u32, u32),
    /// Told when the wish is fulfilled; dropped when it won't be.
    done: Option<Sender<()>>,
}

struct Finished {
    request: Request,
    serial: u64,
    compiled: Compiled,
}

/// Deliveries that wait for an isolate.
#[derive(Default)]
pub struct Inbox {
    deliveries: Mutex<VecDeque<Delivery>>,
    /// Raised after a delivery: the isolate's poll flag.
    waker: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Inbox {
    fn deliver(&self, delivery: Delivery) {
        self.deliveries.lock().expect("no holder of the inbox panics").push_back(delivery);
        if let Some(waker) = &*self.waker.lock().expect("no holder of the waker panics") {
            waker();
        }
    }
}

/// What the service has done so far.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Totals {
    /// Compiles that gave a candidate.
    pub candidates: u64,
    /// Compiles that did not, by reason.
    pub rejected: IndexMap<String, u64, FxBuildHasher>,
    /// Sums over all compiles.
    pub lifted: usize,
    /// See [`Figures`].
    pub optimized: usize,
    /// See [`Figures`].
    pub guards: usize,
    /// See [`Figures`].
    pub nanoseconds: u64,
    /// See [`Figures`].
    pub lowering_nanoseconds: u64,
    /// Log events that were read.
    pub events: u64,
    /// Log batches that were dropped because the queue was full.
    pub dropped_batches: u64,
    /// Log batches that could not be read.
    pub unreadable_batches: u64,
    /// Guesses that brought a candidate down.
    pub failed_guesses: u64,
    /// Assumptions that broke, counted for each unit that rested on them.
    pub broken_assumptions: u64,
    /// How the recording goes, if there is one.
    pub recording: Option<RecordingTotals>,
    /// How the candidates of the preload file fare, if there is one.
    pub preload: Option<PreloadTotals>,
}

/// A recording in figures.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct RecordingTotals {
    /// Records that were handed over to be written.
    pub records: u64,
    /// Bytes in the file.
    pub bytes: u64,
    /// Why it ended early, if it did.
    pub failure: Option<String>,
}

struct Shared {
    language: Arc<Language>,
    config: Arc<Config>,
    /// Where machine code is made for; none, where the portable backend runs candidates.
    target: Option<Target>,
    totals: Mutex<Totals>,
    dropped_batches: AtomicU64,
    next_unit: AtomicU64,
    cancelled: Arc<AtomicBool>,
    watcher: Mutex<Option<JobWatcher>>,
    compiler: Compiler,
    /// How the recording goes, if there is one.
    recording: Option<Arc<Progress>>,
    lost_deopts: AtomicU64,
    /// What the preload file has candidates for.
    preloaded: FxHashMap<UnitId, Vec<Entry>>,
}

/// What compiles: [`compile::compile`], or what stands before it, such as a memory of what was compiled. Compiles are pure: equal units,
/// entries, profiles and settings give equal candidates, but for their numbers.
pub type Compiler = Arc<dyn Fn(&Job, &Language, &Config, Option<&Target>, Asked) -> Compiled + Send + Sync>;

/// Who is shown every compile before it starts.
pub type JobWatcher = Box<dyn Fn(&Job) + Send>;

/// The service. Dropping it stops its threads; clients then get no more deliveries.
pub struct Service {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    log_sender: Sender<Vec<Record>>,
    deopt_sender: Sender<event::Deopt>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts the service's threads.
    pub fn start(language: Arc<Language>, config: Arc<Config>) -> Result<Service, StartError> {
        Service::start_with(language, config, Arc::new(compile::compile))
    }
    /// The same, with something else that compiles.
    pub fn start_with(
        language: Arc<Language>,
        config: Arc<Config>,
        compiler: Compiler,
    ) -> Result<Service, StartError> {
        let target = match config.backend {
            Backend::Native => Some(Target::host().map_err(|error| StartError::Target(error.to_string()))?),
            Backend::Portable => None,
        };
        let story = match &config.log {
            None => None,
            Some(path) => Some(std::io::BufWriter::new(
                std::fs::File::create(path)
                    .map_err(|error| StartError::Log { path: path.display().to_string(), error })?,
            )),
        };
        let recorder = match &config.record {
            None => None,
            Some(path) => Some(
                Recorder::create(path, header(&language, &config, target.as_ref()))
                    .map_err(|error| StartError::Record { path: path.display().to_string(), error })?,
            ),
        };
        let (preload, totals) = open_preload(&language, &config, target.as_ref())?;
        let mut preloaded: FxHashMap<UnitId, Vec<Entry>> = FxHashMap::default();
        for &(unit, entry) in preload.iter().flat_map(|file| &file.header().candidates) {
            preloaded.entry(unit).or_default().push(entry);
        }
        let shared = Arc::new(Shared {
            language,
            config,
            target,
            totals: Mutex::new(Totals { preload: totals, ..Totals::default() }),
            dropped_batches: AtomicU64::new(0),
            next_unit: AtomicU64::new(0),
            cancelled: Arc::default(),
            watcher: Mutex::default(),
            compiler,
            recording: recorder.as_ref().map(|recorder| recorder.progress().clone()),
            lost_deopts: AtomicU64::new(0),
            preloaded,
        });
        let (sender, receiver) = unbounded();
        let (log_sender, log_receiver) = bounded(QUEUED_BATCHES);
        let (deopt_sender, deopt_receiver) = bounded(QUEUED_DEOPTS);
        let worker = Worker {
            shared: shared.clone(),
            sender: sender.clone(),
            units: IndexMap::default(),
            planner: Planner::new(shared.config.limit),
            running: 0,
            story,
            recorder,
            recorded: FxHashSet::default(),
            stopping: None,
            compilers: None,
            preload,
            preloaded: Preloaded::default(),
        };
        let thread = sync::Builder::new()
            .name("surmise".to_owned())
            .spawn(move || worker.run(&receiver, &log_receiver, &deopt_receiver))
            .map_err(|error| StartError::Thread(error.to_string()))?;
        Ok(Service { shared, sender, log_sender, deopt_sender, thread: Some(thread) })
    }

    /// The settings.
    pub fn config(&self) -> &Arc<Config> {
        &self.shared.config
    }
    /// The language.
    pub fn language(&self) -> &Arc<Language> {
        &self.shared.language
    }
    /// A client for an isolate.
    pub fn connect(&self) -> Client {
        Client {
            shared: self.shared.clone(),
            sender: self.sender.clone(),
            log_sender: self.log_sender.clone(),
            deopt_sender: self.deopt_sender.clone(),
            inbox: Arc::default(),
        }
    }
    /// Shows every compile to `watcher` (on the service's thread) before it starts: to repeat it elsewhere, for measurements.
    pub fn set_watcher(&self, watcher: JobWatcher) {
        *self.shared.watcher.lock().expect("no holder of the watcher panics") = Some(watcher);
    }
    /// What was done so far.
    pub fn totals(&self) -> Totals {
        totals(&self.shared)
    }
    /// Waits until everything that was sent so far has been worked off, stories written.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.cancelled.store(true, Ordering::Relaxed);
            let (done, wait) = bounded(1);
            if self.sender.send(Message::Stop(done)).is_ok() {
                let _ = wait.recv();
            }
            // A panic on the service's thread has nothing to add here: the program ran on without the service.
            let _ = thread.join();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

fn totals(shared: &Shared) -> Totals {
    let mut totals = shared.totals.lock().expect("no holder of the totals panics").clone();
    totals.dropped_batches = shared.dropped_batches.load(Ordering::Relaxed);
    totals.recording = shared.recording.as_ref().map(|progress| RecordingTotals {
        records: progress.records(),
        bytes: progress.bytes(),
        failure: progress.failure(),
    });
    totals
}

/// An isolate's connection to the service.
pub struct Client {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    log_sender: Sender<Vec<Record>>,
    deopt_sender: Sender<event::Deopt>,
    inbox: Arc<Inbox>,
}

impl Client {
    /// The settings.
    pub fn config(&self) -> &Arc<Config> {
        &self.shared.config
    }
    /// The language.
    pub fn language(&self) -> &Arc<Language> {
        &self.shared.language
    }
    /// What the service has done so far.
    pub fn totals(&self) -> Totals {
        totals(&self.shared)
    }
    /// Has `waker` called (on a thread of the service) after each delivery.
    pub fn set_waker(&self, waker: Box<dyn Fn() + Send>) {
        *self.inbox.waker.lock().expect("no holder of the waker panics") = Some(waker);
    }
    /// Makes a unit known.
    pub fn register(&self, unit: Arc<dyn UnitSource>) -> UnitIndex {
        let index = self.shared.next_unit.fetch_add(1, Ordering::Relaxed);
        let index = UnitIndex(u32::try_from(index).expect("fewer than four billion units"));
        // The service may be gone at exit; then nobody needs the unit.
        let _ = self.sender.send(Message::Unit(index, unit));
        index
    }
    /// Says which other units' code is in what a unit is lifted to: see [`UnitSource::inlined`].
    pub fn inlines(&self, unit: UnitIndex, inlined: Vec<(UnitId, UnitIndex)>) {
        let _ = self.sender.send(Message::Inlined(unit, inlined));
    }
    /// Sends what was logged.
    pub fn flush(&self, log: &mut Log) {
        if log.is_empty() {
            return;
        }
        let arguments = log.snapshots.take(self.language());
        if !arguments.is_empty() {
            let _ = self.sender.send(Message::Arguments(arguments));
        }
        let batch = log.take();
        if self.shared.config.blocking {
            let _ = self.sender.send(Message::Log(batch));
            return;
        }
        if let Err(TrySendError::Full(_)) = self.log_sender.try_send(batch) {
            self.shared.dropped_batches.fetch_add(1, Ordering::Relaxed);
        }
    }
    /// Asks for a candidate. In blocking mode, returns when it (or its rejection) is delivered.
    ///
    /// `knowledge` is how often the unit was thrown back, and how often it was learnt since: an entry is planned again only when
    /// that has grown. It comes back with the delivery.
    pub fn request(&self, unit: UnitIndex, entry: Entry, knowledge: (u32, u32)) {
        self.ask(|client, done| Message::Request(Request { client, unit, entry, knowledge, done }));
    }
    /// Sends a wish. In blocking mode, returns when it is fulfilled or dropped.
    fn ask(&self, wish: impl FnOnce(Arc<Inbox>, Option<Sender<()>>) -> Message) {
        let (done, wait) = self.shared.config.blocking.then(|| bounded(1)).unzip();
        let sent = self.sender.send(wish(self.inbox.clone(), done));
        if let (Ok(()), Some(wait)) = (sent, wait) {
            // An error means that the wish was dropped: there is nothing to wait for.
            let _ = wait.recv();
        }
    }
    /// The entries for which the preload file has candidates of a unit.
    pub fn preloaded(&self, unit: UnitId) -> &[Entry] {
        self.shared.preloaded.get(&unit).map_or(&[], Vec::as_slice)
    }
    /// Whether there is a preload file with anything in it.
    pub fn has_preload(&self) -> bool {
        !self.shared.preloaded.is_empty()
    }
    /// Asks for the file's candidate for an entry of a unit. The answer is a delivery: of the candidate, if it fits what was logged of the
    /// unit, with stand-ins for what was not, or of [`Rejection::Unbound`]. Then it may be asked for again when more was logged; not if the wish is the last
    /// one, when it is counted as refused. In blocking mode, returns when it has been answered. `knowledge` is that of [`Client::request`].
    pub fn bind(&self, unit: UnitIndex, knowledge: (u32, u32), wish: Wish) {
        self.ask(|client, done| Message::Bind(Bind { client, unit, knowledge, wish, done }));
    }
    /// Says that a guess failed so often that its candidate was thrown away.
    pub fn failed(&self, guess: FailedGuess) {
        let _ = self.sender.send(Message::Failed(guess));
    }
    /// Says that an assumption has broken on which a candidate of the unit rested, or would have.
    pub fn broken(&self, unit: UnitIndex, recipe: Recipe) {
        let _ = self.sender.send(Message::Broken(unit, recipe));
    }
    /// Whether what happens to candidates is recorded.
    pub fn is_recording(&self) -> bool {
        self.shared.recording.is_some()
    }
    /// How many runs of each entry have their arguments recorded.
    pub fn recorded_arguments(&self) -> u32 {
        if self.is_recording() { self.config().record_arguments } else { 0 }
    }
    /// Says what became of a candidate, for the recording.
    pub fn happened(&self, serial: u64, fate: Fate) {
        if self.is_recording() {
            let _ = self.sender.send(Message::Happened(Happened { serial, fate }));
        }
    }
    /// Where deopts are sent to, for the recording.
    pub(crate) fn deopt_recorder(&self) -> Option<DeoptRecorder> {
        self.is_recording().then(|| DeoptRecorder {
            shared: self.shared.clone(),
            sender: self.deopt_sender.clone(),
            in_order: self.config().blocking.then(|| self.sender.clone()),
        })
    }
    /// Takes the next delivery.
    pub fn take(&self) -> Option<Delivery> {
        self.inbox.deliveries.lock().expect("no holder of the inbox panics").pop_front()
    }
}

/// Takes deopts for the recording. When they come faster than they can be written, the rest is counted.
pub(crate) struct DeoptRecorder {
    shared: Arc<Shared>,
    sender: Sender<event::Deopt>,
    /// In blocking mode they keep their place among all else, so that the same program gives the same recording.
    in_order: Option<Sender<Message>>,
}

impl DeoptRecorder {
    /// The host's language.
    pub fn language(&self) -> &Language {
        &self.shared.language
    }
    /// Adds one.
    pub fn add(&self, deopt: event::Deopt) {
        if let Some(sender) = &self.in_order {
            while sender.len() > QUEUED_DEOPTS {
                sync::yield_now();
            }
            let _ = sender.send(Message::Deopt(deopt));
        } else if self.sender.try_send(deopt).is_err() {
            self.shared.lost_deopts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a recording begins with.
fn header(language: &Language, config: &Config, target: Option<&Target>) -> Event {
    Event::Header(Box::new(event::Header {
        kinds: event::KINDS.iter().map(|&kind| kind.to_owned()).collect(),
        surmise: env!("CARGO_PKG_VERSION").to_owned(),
        pipeline: crate::passes::PIPELINE.iter().map(|&(name, _)| name.to_owned()).collect(),
        target: target.map(Target::features),
        settings: config.variables(),
        language: language.clone(),
    }))
}

struct Worker {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    units: IndexMap<UnitIndex, Arc<dyn UnitSource>, FxBuildHasher>,
    planner: Planner,
    running: usize,
    story: Option<std::io::BufWriter<std::fs::File>>,
    recorder: Option<Recorder>,
    /// What was lifted and stands in the recording.
    recorded: FxHashSet<(UnitIndex, Entry)>,
    stopping: Option<Sender<()>>,
    compilers: Option<sync::ThreadPool>,
    /// The preload file, until its candidates have been decoded.
    preload: Option<PreloadFile>,
    preloaded: Preloaded,
}

impl Worker {
    fn run(
        mut self,
        receiver: &Receiver<Message>,
        logs: &Receiver<Vec<Record>>,
        deopts: &Receiver<event::Deopt>,
    ) {
        self.decode_preload();
        loop {
            // Requests come after the log batches that they rest on: drain those first.
            let message = sync::first_of(
                (logs, Message::Log),
                (receiver, std::convert::identity),
                (deopts, Message::Deopt),
            );
            let Some(message) = message else { return };
            if matches!(message, Message::Request(_) | Message::Bind(_)) {
                while let Ok(batch) = logs.try_recv() {
                    self.log(&batch);
                }
            }
            self.handle(message);
            if self.running == 0
                && let Some(done) = self.stopping.take()
            {
                if let Some(story) = &mut self.story {
                    let _ = story.flush();
                }
                while let Ok(deopt) = deopts.try_recv() {
                    self.handle(Message::Deopt(deopt));
                }
                if let Some(recorder) = self.recorder.take() {
                    recorder.finish(event::End {
                        lost_deopts: self.shared.lost_deopts.load(Ordering::Relaxed),
                        dropped_batches: self.shared.dropped_batches.load(Ordering::Relaxed),
                    });
                }
                let _ = done.send(());
                return;
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Unit(index, unit) => {
                let name = || crate::record::without_folders(unit.name());
                self.record(|| Event::Unit(event::Unit { unit: index, id: unit.id(), name: name() }));
                self.units.insert(index, unit);
            }
            Message::Inlined(unit, inlined) => {
                let units = || inlined.iter().map(|&(_, index)| index).collect();
                self.record(|| Event::Inlined(event::Inlined { unit, units: units() }));
                self.planner.inlines(unit, inlined);
            }
            Message::Log(batch) => self.log(&batch),
            Message::Request(request) => self.plan(request),
            Message::Bind(bind) => self.bind(bind),
            Message::Failed(guess) => {
                self.shared.totals.lock().expect("no holder of the totals panics").failed_guesses += 1;
                self.record(|| Event::Failed(guess));
                self.planner.failed(guess);
                self.tell(&format!(
                    "=== {}: guess {} at {} failed {} times, candidate thrown away\n",
                    self.units.get(&guess.unit).map_or("?", |unit| unit.name()),
                    guess.reason,
                    guess.pc,
                    guess.failures
                ));
            }
            Message::Broken(unit, recipe) => {
                self.shared.totals.lock().expect("no holder of the totals panics").broken_assumptions += 1;
                self.record(|| Event::Broken(event::Broken { unit, recipe }));
                self.planner.broken(unit, recipe);
                let class = self.shared.language.recipes.get(recipe.class as usize);
                self.tell(&format!(
                    "=== {}: assumption {} {} {} has broken\n",
                    self.units.get(&unit).map_or("?", |unit| unit.name()),
                    class.map_or("?", |class| &class.name),
                    recipe.words[0],
                    recipe.words[1],
                ));
            }
            Message::Compiled(finished) => self.finish(*finished),
            Message::Happened(happened) => self.record(|| Event::Happened(happened)),
            Message::Deopt(deopt) => self.record(|| Event::Deopt(deopt)),
            Message::Arguments(all) => {
                all.into_iter().for_each(|arguments| self.record(|| Event::Arguments(arguments)));
            }
            Message::Stop(done) => self.stopping = Some(done),
        }
    }

    fn tell(&mut self, text: &str) {
        if let Some(story) = &mut self.story {
            // A full disk ends the story, not the program.
            if story.write_all(text.as_bytes()).and_then(|()| story.flush()).is_err() {
                self.story = None;
            }
        }
    }

    fn record(&self, event: impl FnOnce() -> Event) {
        if let Some(recorder) = &self.recorder {
            recorder.add(&event());
        }
    }

    fn log(&mut self, batch: &[Record]) {
        self.record(|| Event::Log(Columns::new(batch)));
        let read = self.planner.log(batch);
        let mut totals = self.shared.totals.lock().expect("no holder of the totals panics");
        match read {
            Ok(events) => totals.events += events as u64,
            Err(_) => totals.unreadable_batches += 1,
        }
    }

    fn plan(&mut self, request: Request) {
        let Request { unit: index, entry, knowledge, .. } = request;
        let unit = self.units.get(&index).cloned();
        let planned = match &unit {
            None => Err(Refusal::UnknownUnit),
            Some(_) if self.stopping.is_some() => Err(Refusal::Stopping),
            Some(_) => self.planner.request(index, entry, knowledge),
        };
        let decision = Decision::of(&planned);
        self.record(|| Event::Request(event::Request { unit: index, entry, knowledge, decision }));
        let (Some(unit), Ok(Task { serial, profile, inlined })) = (unit, planned) else { return };
        self.running += 1;
        let reason = why(&profile, entry);
        if self.story.is_some() {
            let known = ProfileText { profile: &profile, language: &self.shared.language }.to_string();
            self.tell(&format!("=== candidate {serial}: {} as {entry:?}: {reason}\n{known}", unit.name()));
        }
        let job = Job { unit, entry, profile, inlined, serial, cancelled: self.shared.cancelled.clone() };
        if let Some(watcher) = &*self.shared.watcher.lock().expect("no holder of the watcher panics") {
            watcher(&job);
        }
        let shared = self.shared.clone();
        let sender = self.sender.clone();
        let asked = Asked { story: self.story.is_some(), trail: self.recorder.is_some() };
        let work = move || {
            let target = shared.target.as_ref();
            let compiled = (shared.compiler)(&job, &shared.language, &shared.config, target, asked);
            let _ = sender.send(Message::Compiled(Box::new(Finished { request, serial, compiled })));
        };
        match self.compilers() {
            Some(compilers) => compilers.spawn(work),
            None => work(),
        }
    }

    /// The threads that compile, started when the first compile is due. One processor is left to the program, which would wait for
    /// it just when it is slowest. `None` if no thread can be started: then the service's own has to do it.
    fn compilers(&mut self) -> Option<&sync::ThreadPool> {
        if self.compilers.is_none() {
            let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
            self.compilers = sync::pool((processors - 1).clamp(1, COMPILE_THREADS));
        }
        self.compilers.as_ref()
    }

    fn finish(&mut self, finished: Finished) {
        self.running -= 1;
        let Finished { request, serial, compiled } = finished;
        let Request { client, unit, entry, knowledge, done } = request;
        // What was given up because the process ends is as unfinished as what had not begun.
        if self.recorder.is_some() && !matches!(compiled.result, Err(Rejection::Cancelled)) {
            self.record_compile(unit, entry, serial, &compiled);
        }
        let Compiled { result, figures, story, .. } = compiled;
        self.count(&result, &figures);
        if let Some(story) = story {
            self.tell(&format!("=== story of candidate {serial}\n{story}"));
        }
        let result = result.map(Arc::new);
        client.deliver(Delivery { unit, entry, knowledge, serial, result, preloaded: None });
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    fn record_compile(&mut self, unit: UnitIndex, entry: Entry, serial: u64, compiled: &Compiled) {
        if self.recorded.insert((unit, entry)) {
            let function = match (&compiled.lifted, &compiled.result) {
                (Some(function), _) => Ok(nameless(function)),
                (None, Err(rejection)) => Err(rejection.to_string()),
                (None, Ok(_)) => Err("not recorded".to_owned()),
            };
            self.record(|| Event::Lifted(Box::new(event::Lifted { unit, entry, function })));
        }
        self.record(|| Event::Compile(Box::new(event::Compile::new(serial, compiled))));
    }

    fn count(&self, result: &Result<Image, Rejection>, figures: &Figures) {
        let mut totals = self.shared.totals.lock().expect("no holder of the totals panics");
        match result {
            Ok(_) => totals.candidates += 1,
            Err(rejection) => {
                let reason = rejection.to_string();
                let reason = reason.lines().next().unwrap_or("").to_owned();
                *totals.rejected.entry(reason).or_default() += 1;
            }
        }
        totals.lifted += figures.lifted;
        totals.optimized += figures.optimized;
        totals.guards += figures.guards;
        totals.nanoseconds += figures.nanoseconds;
        totals.lowering_nanoseconds += figures.lowering_nanoseconds;
    }
}

/// The function without its name, which holds the unit's.
fn nameless(function: &Function) -> Function {
    Function { name: String::new(), ..function.clone() }
}
