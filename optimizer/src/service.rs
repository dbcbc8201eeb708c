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

use crate::compile::{self, Compiled, Figures, Job, Rejection};
use crate::config::{self, Backend, Config};
use crate::log::{Log, Record, UnitIndex};
use crate::lower::Target;
use crate::profile::{Profile, UnitProfile};
use crate::profile_text::ProfileText;
use crate::unit::UnitSource;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use surmise_deopt::candidate::Image;
use surmise_ir::entity::Pc;
use surmise_ir::function::Entry;
use surmise_ir::guard::GuardReason;
use surmise_ir::language::{Language, Recipe};
use thiserror::Error;

/// Log batches that may wait. Each is at most 64 KiB.
const QUEUED_BATCHES: usize = 64;

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
}

/// A guess that failed too often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    Log(Vec<Record>),
    Request(Request),
    Failed(FailedGuess),
    Broken(UnitIndex, Recipe),
    Compiled(Box<Finished>),
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
}

/// What compiles: [`compile::compile`], or what stands before it, such as a memory of what was compiled. Compiles are pure: equal units,
/// entries, profiles and settings give equal candidates, but for their numbers.
pub type Compiler = Arc<dyn Fn(&Job, &Language, &Config, Option<&Target>) -> Compiled + Send + Sync>;

/// Who is shown every compile before it starts.
pub type JobWatcher = Box<dyn Fn(&Job) + Send>;

/// The service. Dropping it stops its threads; clients then get no more deliveries.
pub struct Service {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    log_sender: Sender<Vec<Record>>,
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
        let shared = Arc::new(Shared {
            language,
            config,
            target,
            totals: Mutex::default(),
            dropped_batches: AtomicU64::new(0),
            next_unit: AtomicU64::new(0),
            cancelled: Arc::default(),
            watcher: Mutex::default(),
            compiler,
        });
        let (sender, receiver) = unbounded();
        let (log_sender, log_receiver) = bounded(QUEUED_BATCHES);
        let worker = Worker {
            shared: shared.clone(),
            sender: sender.clone(),
            units: IndexMap::default(),
            profile: Profile::default(),
            planned: IndexMap::default(),
            serial: 0,
            running: 0,
            story,
            stopping: None,
            compilers: None,
        };
        let thread = std::thread::Builder::new()
            .name("surmise".to_owned())
            .spawn(move || worker.run(&receiver, &log_receiver))
            .map_err(|error| StartError::Thread(error.to_string()))?;
        Ok(Service { shared, sender, log_sender, thread: Some(thread) })
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
    totals
}

/// An isolate's connection to the service.
pub struct Client {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    log_sender: Sender<Vec<Record>>,
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
    /// Sends what was logged.
    pub fn flush(&self, log: &mut Log) {
        if log.is_empty() {
            return;
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
        let (done, wait) = match self.shared.config.blocking {
            true => {
                let (done, wait) = bounded(1);
                (Some(done), Some(wait))
            }
            false => (None, None),
        };
        let request = Request { client: self.inbox.clone(), unit, entry, knowledge, done };
        let sent = self.sender.send(Message::Request(request));
        if let (Ok(()), Some(wait)) = (sent, wait) {
            // An error means that the request was dropped: there is nothing to wait for.
            let _ = wait.recv();
        }
    }
    /// Says that a guess failed so often that its candidate was thrown away.
    pub fn failed(&self, guess: FailedGuess) {
        let _ = self.sender.send(Message::Failed(guess));
    }
    /// Says that an assumption has broken on which a candidate of the unit rested, or would have.
    pub fn broken(&self, unit: UnitIndex, recipe: Recipe) {
        let _ = self.sender.send(Message::Broken(unit, recipe));
    }
    /// Takes the next delivery.
    pub fn take(&self) -> Option<Delivery> {
        self.inbox.deliveries.lock().expect("no holder of the inbox panics").pop_front()
    }
}

struct Worker {
    shared: Arc<Shared>,
    sender: Sender<Message>,
    units: IndexMap<UnitIndex, Arc<dyn UnitSource>, FxBuildHasher>,
    profile: Profile,
    /// What was known when an entry was planned last.
    planned: IndexMap<(UnitIndex, Entry), (u32, u32), FxBuildHasher>,
    serial: u64,
    running: usize,
    story: Option<std::io::BufWriter<std::fs::File>>,
    stopping: Option<Sender<()>>,
    compilers: Option<rayon::ThreadPool>,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Message>, logs: &Receiver<Vec<Record>>) {
        loop {
            // Requests come after the log batches that they rest on: drain those first.
            let message = crossbeam_channel::select! {
                recv(logs) -> batch => match batch {
                    Ok(batch) => Message::Log(batch),
                    Err(_) => return,
                },
                recv(receiver) -> message => match message {
                    Ok(message) => message,
                    Err(_) => return,
                },
            };
            if matches!(message, Message::Request(_)) {
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
                let _ = done.send(());
                return;
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Unit(index, unit) => {
                self.units.insert(index, unit);
            }
            Message::Log(batch) => self.log(&batch),
            Message::Request(request) => self.plan(request),
            Message::Failed(guess) => {
                self.shared.totals.lock().expect("no holder of the totals panics").failed_guesses += 1;
                let profile = self.profile.unit_mut(guess.unit);
                profile.retire(guess.pc, guess.reason, guess.failures);
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
                self.profile.unit_mut(unit).break_assumption(recipe);
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

    fn log(&mut self, batch: &[Record]) {
        let events = crate::log::read(batch);
        let mut totals = self.shared.totals.lock().expect("no holder of the totals panics");
        match events {
            Ok(events) => {
                totals.events += events.len() as u64;
                drop(totals);
                self.profile.add(events);
            }
            Err(_) => totals.unreadable_batches += 1,
        }
    }

    fn plan(&mut self, request: Request) {
        let Request { unit: index, entry, knowledge, .. } = request;
        let limited = self.shared.config.limit.is_some_and(|limit| self.serial >= limit);
        let Some(unit) = self.units.get(&index).cloned() else { return };
        let profile: UnitProfile = self.profile.unit(index).cloned().unwrap_or_default();
        if self.stopping.is_some()
            || limited
            || profile.retirements >= config::RETIREMENTS_PER_UNIT
            || self.planned.get(&(index, entry)).is_some_and(|&planned| planned >= knowledge)
        {
            return;
        }
        let serial = self.serial;
        self.serial += 1;
        self.planned.insert((index, entry), knowledge);
        self.running += 1;
        let reason = why(&profile, entry);
        if self.story.is_some() {
            let known = ProfileText { profile: &profile, language: &self.shared.language }.to_string();
            self.tell(&format!("=== candidate {serial}: {} as {entry:?}: {reason}\n{known}", unit.name()));
        }
        let job = Job { unit, entry, profile, serial, cancelled: self.shared.cancelled.clone() };
        if let Some(watcher) = &*self.shared.watcher.lock().expect("no holder of the watcher panics") {
            watcher(&job);
        }
        let shared = self.shared.clone();
        let sender = self.sender.clone();
        let work = move || {
            let compiled = (shared.compiler)(&job, &shared.language, &shared.config, shared.target.as_ref());
            let _ = sender.send(Message::Compiled(Box::new(Finished { request, serial, compiled })));
        };
        match self.compilers() {
            Some(compilers) => compilers.spawn(work),
            None => work(),
        }
    }

    /// The threads that compile, started when the first compile is due. One processor is left to the program, which would wait for
    /// it just when it is slowest. `None` if no thread can be started: then the service's own has to do it.
    fn compilers(&mut self) -> Option<&rayon::ThreadPool> {
        if self.compilers.is_none() {
            let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
            let builder = rayon::ThreadPoolBuilder::new()
                .num_threads((processors - 1).clamp(1, COMPILE_THREADS))
                .thread_name(|number| format!("surmise {number}"));
            self.compilers = builder.build().ok();
        }
        self.compilers.as_ref()
    }

    fn finish(&mut self, finished: Finished) {
        self.running -= 1;
        let Finished { request, serial, compiled } = finished;
        let Request { client, unit, entry, knowledge, done } = request;
        let Compiled { result, figures, story } = compiled;
        self.count(&result, &figures);
        if let Some(story) = story {
            self.tell(&format!("=== story of candidate {serial}\n{story}"));
        }
        let result = result.map(Arc::new);
        let delivery = Delivery { unit, entry, knowledge, serial, result };
        client.deliveries.lock().expect("no holder of the inbox panics").push_back(delivery);
        if let Some(waker) = &*client.waker.lock().expect("no holder of the waker panics") {
            waker();
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
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

/// Why an entry was planned, in words.
fn why(profile: &UnitProfile, entry: Entry) -> String {
    let seen = match entry {
        Entry::Call => format!("hot calls, {} logged", profile.entered),
        Entry::Loop(header) => {
            format!(
                "hot loop at {header}, {} rounds logged",
                profile.loops.get(&header).copied().unwrap_or(0)
            )
        }
        Entry::Template => "a template".to_owned(),
    };
    let refused: Vec<String> = profile
        .failed
        .keys()
        .filter(|&&(pc, reason)| profile.is_refused(pc, reason))
        .map(|(pc, reason)| format!("{reason} at {pc}"))
        .collect();
    if refused.is_empty() { seen } else { format!("{seen}; no longer guessed: {}", refused.join(", ")) }
}
