//! A request from beginning to end, and how a runloop answers it.

use super::handshake::Handshake;
use super::presence::Presence;
use super::redirect::{Settled, Visit, check, visit};
use super::{Assumptions, Report, Request, Retired, Which};
use crate::candidate::CandidateId;
use crate::code_map::Snapshot;
use crate::context::Context;
use crate::isolate::{Contents, Installed, Isolate, Reclaimed, Registered};
use crate::loaded::CodeSpace;
use crate::runloop::RunloopState;
use crate::sync::{
    self, AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError, Thread, TryLockError, yield_now,
};
use arc_swap::ArcSwap;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often a requester looks again before it sleeps in between: a runloop in a hot loop polls within a microsecond.
const LOOKS_BEFORE_SLEEP: u32 = 100;
/// How long it sleeps at most: who answers wakes it, but who goes away doesn't.
const SLEEP: Duration = Duration::from_micros(50);

/// An isolate's side of all requests.
pub(crate) struct Protocol {
    /// Held by the one whose turn it is.
    turn: Mutex<()>,
    /// The last ticket. Release when it is drawn, so that who answers (acquire) sees which candidates are invalid.
    ticket: AtomicU64,
    /// Published whole: who answers takes no lock.
    retired: ArcSwap<Retired>,
    /// How many requests invalidated something.
    generation: AtomicU64,
    /// The threads that have runloops in the isolate.
    threads: Mutex<FxHashMap<u64, Weak<Presence>>>,
    /// Who waits for answers.
    waiting: Mutex<Option<Thread>>,
    is_checked: AtomicBool,
}

impl Default for Protocol {
    fn default() -> Protocol {
        Protocol {
            turn: Mutex::default(),
            ticket: AtomicU64::new(0),
            retired: ArcSwap::default(),
            generation: AtomicU64::new(0),
            threads: Mutex::default(),
            waiting: Mutex::default(),
            is_checked: AtomicBool::new(cfg!(debug_assertions)),
        }
    }
}

impl Protocol {
    /// This thread, for a runloop that is registered now.
    pub(crate) fn presence(&self) -> Arc<Presence> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let me = this_thread();
        if let Some(known) = threads.get(&me).and_then(Weak::upgrade) {
            return known;
        }
        threads.retain(|_, known| known.strong_count() > 0);
        let presence = Arc::new(Presence::new(Handshake::new(self.ticket.load(Ordering::Acquire))));
        threads.insert(me, Arc::downgrade(&presence));
        presence
    }
    /// The threads that have runloops.
    fn presences(&self) -> Vec<Arc<Presence>> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.values().filter_map(Weak::upgrade).collect()
    }
    /// Publishes which candidates are retired. The caller holds the isolate's contents.
    pub(crate) fn publish(&self, contents: &Contents) {
        let list = contents.retired.iter();
        let retired: Retired = list.map(|r| (r.installed.loaded.candidate().id(), r.is_invalid)).collect();
        self.retired.store(Arc::new(retired));
    }
}

/// A number of this thread, from 1 on.
#[inline]
pub(crate) fn this_thread() -> u64 {
    static THREADS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    sync::thread_local! {
        // Relaxed: only the number itself matters.
        static NUMBER: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|&number| number)
}

/// What a visit of all runloops found.
struct Visits {
    runloops: usize,
    frames: usize,
    /// The candidates that were retired before it began. Only for them it is known that nobody enters them any more.
    retired: Arc<Retired>,
    /// Those of them in which there are frames.
    left: FxHashSet<CandidateId>,
}

/// What visits leave in a runloop.
#[derive(Default)]
pub(crate) struct Visited {
    /// What the last one found.
    found: Visit,
    /// What the next one may leave out.
    settled: Settled,
}

impl Visited {
    /// A frame was redirected outside of visits.
    pub(crate) fn forget_settled(&mut self) {
        self.settled = Settled::default();
    }
}

/// Stops the process if a frame of this thread's runloops was missed.
///
/// # Safety
/// As for [`visit_thread`], which has visited them.
unsafe fn check_thread(presence: &Presence, runloops: &[Registered], map: &Snapshot, retired: &Retired) {
    for runloop in runloops {
        // SAFETY: as in `visit_thread`.
        unsafe {
            if is_of(runloop, presence) {
                let context = runloop.context.as_ptr();
                let visited = &(*RunloopState::of(context)).visited;
                let visited = visited.lock().unwrap_or_else(PoisonError::into_inner);
                check(context, map, retired, &visited.settled);
            }
        }
    }
}

/// Visits all runloops of one thread, and says that they were visited.
///
/// # Safety
/// They are at safepoints, and this thread alone visits them: they are its own, or it has claimed the presence. The registry is
/// locked.
unsafe fn visit_thread(
    presence: &Presence,
    runloops: &[Registered],
    map: &Snapshot,
    retired: &Retired,
    ticket: u64,
) {
    for runloop in runloops {
        // SAFETY: registered contexts are alive; only parts that are made for sharing are touched. Their stacks stand still (the
        // function's contract).
        unsafe {
            let context = runloop.context.as_ptr();
            let state = RunloopState::of(context);
            if is_of(runloop, presence) {
                let mut visited = (*state).visited.lock().unwrap_or_else(PoisonError::into_inner);
                let visited = &mut *visited;
                visited.found = visit(context, map, retired, &mut visited.settled);
            }
        }
    }
    presence.handshake.answer(ticket);
}

/// Has a thread poll: to answer, or, when others have visited it, to take notice of what has become of its candidates.
///
/// # Safety
/// The registry is locked.
unsafe fn ask_to_poll(presence: &Presence, runloops: &[Registered]) {
    // SAFETY: registered contexts are alive while the registry is locked, and their flags are made for sharing.
    for runloop in runloops.iter().filter(|runloop| unsafe { is_of(runloop, presence) }) {
        // SAFETY: as above. Release: who polls (acquire) sees the ticket.
        unsafe { runloop.context.as_ref().poll.store(1, Ordering::Release) };
    }
}

/// Whether a runloop is of a thread.
///
/// # Safety
/// It is registered.
unsafe fn is_of(runloop: &Registered, presence: &Presence) -> bool {
    // SAFETY: its context is alive, and the presence is never replaced.
    unsafe { std::ptr::eq(Arc::as_ptr(&(*RunloopState::of(runloop.context.as_ptr())).presence), presence) }
}

/// Answers for all runloops of this thread, if somebody waits for it.
///
/// # Safety
/// The context's runloop is on this thread, and all runloops of this thread are at a safepoint.
#[inline]
pub(crate) unsafe fn answer(context: *mut Context) {
    // SAFETY: a registered context; its isolate and its thread are never replaced, and live as long as the runloop.
    let (isolate, presence) = unsafe {
        let state = RunloopState::of(context);
        (&*Arc::as_ptr(&(*state).isolate), &*Arc::as_ptr(&(*state).presence))
    };
    let ticket = isolate.protocol.ticket.load(Ordering::Acquire);
    if !presence.handshake.has_answered(ticket) {
        // SAFETY: handed on.
        unsafe { answer_slowly(isolate, presence, ticket) };
    }
}

/// # Safety
/// As for [`answer`].
#[cold]
unsafe fn answer_slowly(isolate: &Isolate, presence: &Presence, ticket: u64) {
    let (map, retired) = (isolate.space().map().snapshot(), isolate.protocol.retired.load());
    let runloops = isolate.runloops();
    // Whoever is away is visited by others.
    if !presence.handshake.is_away() && !presence.handshake.has_answered(ticket) {
        // SAFETY: this thread's own, which is not away: nobody else visits them.
        unsafe {
            visit_thread(presence, &runloops, &map, &retired, ticket);
            if isolate.protocol.is_checked.load(Ordering::Relaxed) {
                check_thread(presence, &runloops, &map, &retired);
            }
        }
    }
    drop(runloops);
    if let Some(thread) = &*isolate.protocol.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
        thread.unpark();
    }
}

impl Isolate {
    /// Deoptimizes everything that the request concerns, in every runloop of the isolate, and waits until it is done. A runloop that
    /// is away ([`crate::runloop::Runloop::leave`]) delays nothing.
    ///
    /// # Safety
    /// The runloops of this thread are at safepoints, as [`crate::deopt_all`] says; the thread has no address of code at hand that it
    /// read from an entry cell before.
    pub unsafe fn deopt_all(&self, request: Request) -> Report {
        let start = Instant::now();
        let mut report = Report::default();
        if !self.concerns_any(request.which) {
            report.time = start.elapsed();
            return report;
        }
        let turn = self.take_turn();
        let chosen = self.stop_entries(request.which);
        report.candidates = chosen.len();
        if !chosen.is_empty() {
            self.protocol.generation.fetch_add(1, Ordering::Release);
            // SAFETY: handed on; it is our turn.
            let visits = unsafe { self.visit_all() };
            // SAFETY: handed on.
            unsafe { self.check_stacks() };
            report.runloops = visits.runloops;
            report.frames = visits.frames;
            for &candidate in &chosen {
                self.effective_slots().set(candidate.0, std::ptr::null());
            }
            if self.protocol.is_checked.load(Ordering::Relaxed) {
                self.poison(&chosen);
            }
            report.reclaimed = self.reclaim_after(&visits).reclaimed;
        }
        drop(turn);
        report.time = start.elapsed();
        report
    }

    /// Has the slots of invalid candidates fault when they are read. All frames were visited: none goes on in one of them.
    fn poison(&self, candidates: &[CandidateId]) {
        for retired in &self.contents().retired {
            if candidates.contains(&retired.installed.loaded.candidate().id()) {
                retired.installed.slots.poison();
            }
        }
    }

    /// How many requests have invalidated something so far: who keeps account of candidates looks again when it has changed. Threads that
    /// did not ask themselves are asked to poll.
    pub fn generation(&self) -> u64 {
        self.protocol.generation.load(Ordering::Acquire)
    }
    /// Whether all stacks are walked after each request, to see that no frame was missed, and slots are poisoned that no frame may read
    /// any more. In debug builds they are anyway.
    pub fn set_checked(&self, is_checked: bool) {
        self.protocol.is_checked.store(is_checked || cfg!(debug_assertions), Ordering::Relaxed);
    }

    /// Gives up the retired candidates in which no frame is left. Waits for runloops of other threads like a request, if anything is
    /// retired.
    ///
    /// # Safety
    /// As for [`Isolate::deopt_all`].
    pub unsafe fn reclaim(&self) -> Reclaimed {
        if self.contents().retired.is_empty() {
            return Reclaimed::default();
        }
        let turn = self.take_turn();
        // SAFETY: handed on; it is our turn.
        let visits = unsafe { self.visit_all() };
        let reclaimed = self.reclaim_after(&visits);
        drop(turn);
        reclaimed
    }

    fn concerns_any(&self, which: Which) -> bool {
        let contents = self.contents();
        match which {
            Which::All => !contents.installed.is_empty() || contents.retired.iter().any(|r| !r.is_invalid),
            Which::RestingOn(assumption) => !contents.assumptions.dependents(assumption).is_empty(),
        }
    }

    /// Waits for the turn to make a request. Meanwhile this thread's runloops are away: whoever has the turn can visit them.
    fn take_turn(&self) -> MutexGuard<'_, ()> {
        match self.protocol.turn.try_lock() {
            Ok(turn) => return turn,
            Err(TryLockError::Poisoned(turn)) => return turn.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
        let own = self.protocol.presences().into_iter().find(|presence| presence.is_mine());
        if let Some(own) = &own {
            own.leave();
        }
        let turn = self.protocol.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = &own {
            own.come_back();
        }
        turn
    }

    /// First phase: what the request concerns is entered no more, and called invalid. Candidates that were retired before and may
    /// have frames are among it.
    fn stop_entries(&self, which: Which) -> Vec<CandidateId> {
        let mut contents = self.contents();
        let is_chosen = |assumptions: &Assumptions, candidate: CandidateId| match which {
            Which::All => true,
            Which::RestingOn(assumption) => assumptions.dependents(assumption).contains(&candidate),
        };
        let installed: Vec<CandidateId> = (contents.installed.keys().copied())
            .filter(|&candidate| is_chosen(&contents.assumptions, candidate))
            .collect();
        for &candidate in &installed {
            self.retire_in(&mut contents, candidate);
        }
        // What was retired and not called invalid may have frames.
        let mut chosen = Vec::with_capacity(installed.len());
        let Contents { retired, assumptions, .. } = &mut *contents;
        for retired in retired {
            let candidate = retired.installed.loaded.candidate().id();
            if !retired.is_invalid && is_chosen(assumptions, candidate) {
                retired.is_invalid = true;
                chosen.push(candidate);
            }
        }
        self.protocol.publish(&contents);
        chosen
    }

    /// Second phase: every runloop is visited, by its own thread or by this one.
    ///
    /// # Safety
    /// This thread's runloops are at safepoints, and it is its turn.
    unsafe fn visit_all(&self) -> Visits {
        let retired = self.protocol.retired.load_full();
        // Release: see the field. Nobody else draws tickets now.
        let ticket = self.protocol.ticket.fetch_add(1, Ordering::Release) + 1;
        let mut looks = 0;
        loop {
            let mut is_waiting = false;
            // Whoever registers a runloop from here on has none of the frames that this is about.
            for presence in self.protocol.presences() {
                let runloops = self.runloops();
                if presence.handshake.has_answered(ticket) {
                    continue;
                }
                if presence.handshake.try_claim() {
                    // Asked for now: before it went away it may have entered what was installed since the request began.
                    let map = self.space().map().snapshot();
                    // SAFETY: the thread is away at a safepoint, and can't come back before the release.
                    unsafe { visit_thread(&presence, &runloops, &map, &retired, ticket) };
                    // SAFETY: the registry is locked.
                    unsafe { ask_to_poll(&presence, &runloops) };
                    presence.handshake.release();
                } else if presence.is_mine() {
                    let map = self.space().map().snapshot();
                    // SAFETY: this thread's own, at safepoints.
                    unsafe { visit_thread(&presence, &runloops, &map, &retired, ticket) };
                } else {
                    // SAFETY: the registry is locked.
                    unsafe { ask_to_poll(&presence, &runloops) };
                    is_waiting = true;
                }
            }
            if !is_waiting {
                break;
            }
            looks += 1;
            self.wait_for_answers(looks);
        }
        *self.protocol.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut visits = Visits { runloops: 0, frames: 0, retired, left: FxHashSet::default() };
        for runloop in self.runloops().iter() {
            // SAFETY: as above.
            let visited = unsafe { &(*RunloopState::of(runloop.context.as_ptr())).visited };
            let mut visited = visited.lock().unwrap_or_else(PoisonError::into_inner);
            let Visit { redirected, left } = std::mem::take(&mut visited.found);
            visits.runloops += 1;
            visits.frames += redirected;
            visits.left.extend(left);
        }
        visits
    }

    fn wait_for_answers(&self, looks: u32) {
        if looks < LOOKS_BEFORE_SLEEP {
            return yield_now();
        }
        let mut waiting = self.protocol.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get_or_insert_with(sync::current);
        drop(waiting);
        sync::park_timeout(SLEEP);
    }

    /// Stops the process if a frame at rest would go on in an invalid candidate. Frames of other threads that are not away were
    /// looked at by their own threads.
    ///
    /// # Safety
    /// As for [`Isolate::visit_all`].
    unsafe fn check_stacks(&self) {
        if !self.protocol.is_checked.load(Ordering::Relaxed) {
            return;
        }
        let retired = self.protocol.retired.load();
        for presence in self.protocol.presences() {
            let runloops = self.runloops();
            let is_claimed = presence.handshake.try_claim();
            if is_claimed || presence.is_mine() {
                // As in `visit_all`.
                let map = self.space().map().snapshot();
                // SAFETY: claimed, or this thread's own.
                unsafe { check_thread(&presence, &runloops, &map, &retired) };
            }
            if is_claimed {
                presence.handshake.release();
            }
        }
    }

    /// Fourth phase: candidates in which the visits found no frame are gone.
    fn reclaim_after(&self, visits: &Visits) -> Reclaimed {
        let mut contents = self.contents();
        let is_gone =
            |candidate| visits.retired.contains_key(&candidate) && !visits.left.contains(&candidate);
        let (gone, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut contents.retired)
            .into_iter()
            .partition(|retired| is_gone(retired.installed.loaded.candidate().id()));
        let result = Reclaimed { reclaimed: gone.len(), waiting: waiting.len() };
        contents.retired = waiting;
        for retired in &gone {
            let Installed { loaded, assumptions, .. } = &retired.installed;
            let candidate = loaded.candidate().id();
            self.effective_slots().set(candidate.0, std::ptr::null());
            contents.assumptions.remove(candidate, assumptions);
        }
        self.protocol.publish(&contents);
        drop(contents);
        drop(gone);
        result
    }
}

impl CodeSpace {
    /// Deoptimizes everything in every isolate that shares the code, one isolate after the other.
    ///
    /// # Safety
    /// As for [`Isolate::deopt_all`], for each isolate.
    pub unsafe fn deopt_everywhere(&self, reason: super::Reason) -> Report {
        let mut report = Report::default();
        for isolate in self.isolates() {
            // SAFETY: handed on.
            report.add(&unsafe { isolate.deopt_all(Request { which: Which::All, reason }) });
        }
        report
    }
}
