//! Deopt one: a compiled frame is left for good, and interpreter frames take its place.
//!
//! ```text
//! compiled code ─▶ guard_exit / landing_exit ─▶ deoptimize
//!                                                 1. return address → candidate, deopt point
//!                                                 2. places → boxed values, into a rebuild plan (a root from here on)
//!                                                 3. host.allocate_frames(plan)      may collect, may throw
//!                                                 4. host.commit_frames(plan)        can't fail; the plan is given up
//!                                                 5a. entered by a runloop: leave, Outcome::Resumed
//!                                                 5b. called by compiled code: host.resume(), its results are the frame's
//! ```
//!
//! From 1 on the compiled frame runs no further instruction but the return of its cold block. While it is on the stack, walks
//! meet it as [`crate::frames::FrameSite::Exit`]: without roots, and with its code kept in memory.

use crate::boxed::{Boxed, box_payload};
use crate::context::Context;
use crate::events::DeoptEvent;
use crate::host::{Activation, GuestResults};
use crate::loaded::Candidate;
use crate::rebuild::{FrameRecord, RebuildPlan};
use crate::runloop::RunloopState;
use crate::stop::loud_stop;
use crate::stubs::{ExitFrame, Status, enter_return_address};
use crate::table::{Boxing, FrameHeader, Located, Place};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use surmise_ir::entity::KindId;
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::language::Encoding;

/// The Rust part of the exit stubs.
///
/// # Safety
/// Called by the stubs alone: `exit` is what they pushed, its context is alive and on its own thread.
pub(crate) unsafe extern "C" fn deoptimize(exit: *mut ExitFrame) -> u64 {
    // SAFETY: the stub's frame, written by nobody else until this function returns.
    let exit = unsafe { &mut *exit };
    let context = exit.context;
    // SAFETY: the runtime state lives as long as the context. It is used through the raw pointer: host calls below may come back
    // to it (nested exits, a collector asking for roots).
    let state = unsafe { RunloopState::of(context) };
    // SAFETY: as above; the isolate is not replaced during the life of the runloop, which the stack frame below us keeps alive.
    let isolate = unsafe { &*Arc::as_ptr(&(*state).isolate) };
    let (candidate, point) =
        locate(isolate.space().map().snapshot().find(exit.return_address), exit.return_address);
    // A guard that failed on purpose has used up the countdown: the next one is due after as many again.
    // SAFETY: as above; only this thread writes the field.
    unsafe {
        if (*context).forced_failure_countdown == 0 {
            (*context).forced_failure_countdown = (*state).forced_failures;
        }
    }
    // SAFETY: the return address into the caller stands above the frame's saved frame pointer.
    let entered = unsafe { *((exit.frame_pointer + 8) as *const usize) } == enter_return_address();
    let activation = if entered { Activation::Entered } else { Activation::Called };
    // SAFETY: the stub's context; the frame is one of the candidate.
    let (status, results) = unsafe {
        rebuild(context, candidate, activation, |plan, candidate| capture(plan, candidate, point, exit))
    };
    if status == Status::Returned as u64 {
        exit.results = [results.first, results.second];
    }
    status
}

/// Makes interpreter frames of a frame that leaves: fills a plan, counts, lets the host allocate and commit. Who entered the frame goes
/// on with them, or they are run to their end; then the status is [`Status::Returned`], and there are results.
///
/// # Safety
/// The context is inside `enter`, on its own thread; the frame on top is one of the candidate, runs no further, and is at rest for
/// everybody who walks the stack.
///
/// The candidate is given up before the frames are run: a coroutine that is abandoned meanwhile must not keep it.
pub(crate) unsafe fn rebuild(
    context: *mut Context,
    candidate: Arc<Candidate>,
    activation: Activation,
    fill: impl FnOnce(&mut RebuildPlan, &Candidate),
) -> (u64, GuestResults) {
    // SAFETY: as in `deoptimize`.
    let state = unsafe { RunloopState::of(context) };
    // SAFETY: as in `deoptimize`.
    let isolate = unsafe { &*Arc::as_ptr(&(*state).isolate) };
    // SAFETY: no reference into the state is held; a plan that was pushed stays in place until it is popped below.
    let plan = unsafe {
        let plan = (*state).rebuilds.push(candidate.language.encoding);
        fill(&mut *plan, &candidate);
        &*plan
    };
    let glue = {
        // SAFETY: as for `isolate`; the glue is a constant.
        let glue = unsafe { (*state).glue };
        let event = event(plan, activation);
        // SAFETY: no reference into the state is held.
        unsafe { (*state).events.push(event) };
        count(&candidate, isolate, &event, plan);
        glue
    };
    drop(candidate);
    let mut results = GuestResults::default();
    // SAFETY: the context is inside `enter` with the host that the glue was made for: compiled code is running.
    let allocated = unsafe { (glue.allocate_frames)(context, plan) };
    if allocated == Status::Returned {
        // SAFETY: as above.
        unsafe { (glue.commit_frames)(context, plan, activation) };
    }
    // SAFETY: nested rebuilds are over, so the plan on top is ours; `plan` is not used any more.
    unsafe { (*state).rebuilds.pop() };
    if allocated != Status::Returned {
        return (allocated as u64, results);
    }
    if activation == Activation::Entered {
        return (Status::Resumed as u64, results);
    }
    // SAFETY: as for `allocate_frames`.
    let status = unsafe { (glue.resume)(context, &mut results) };
    (status as u64, results)
}

/// The Rust part of the poll stub.
///
/// # Safety
/// As for [`deoptimize`].
pub(crate) unsafe extern "C" fn poll(context: *mut Context) -> u64 {
    // SAFETY: `poll` is an atomic, and may be written by other threads at any time. Acquire: what the asker wrote before is seen.
    unsafe { (*context).poll.swap(0, Ordering::Acquire) };
    // SAFETY: see `deoptimize`; a poll is a safepoint.
    unsafe {
        crate::deopt_all::answer(context);
        ((*RunloopState::of(context)).glue.poll)(context) as u64
    }
}

fn locate(candidate: Option<&Arc<Candidate>>, return_address: usize) -> (Arc<Candidate>, u32) {
    let Some(candidate) = candidate else {
        loud_stop(format_args!("an exit from {return_address:#x}, which is in no candidate"));
    };
    let offset = return_address - candidate.start();
    match candidate.point_at(offset as u32) {
        Some(point) => (candidate.clone(), point),
        None => loud_stop(format_args!(
            "an exit from offset {offset:#x} of {candidate}, where there is no deopt point"
        )),
    }
}

fn event(plan: &RebuildPlan, activation: Activation) -> DeoptEvent {
    let innermost = &plan.frames[0];
    DeoptEvent {
        candidate: plan.candidate,
        point: plan.point,
        reason: plan.reason,
        unit: innermost.unit,
        resume: innermost.resume,
        activation,
    }
}

/// Counts the exit, and tells the observer when he asked for this count. Relaxed: the counters order nothing.
fn count(
    candidate: &Arc<Candidate>,
    isolate: &crate::isolate::Isolate,
    event: &DeoptEvent,
    plan: &RebuildPlan,
) {
    candidate.count_deopt(event.point as usize);
    let total = candidate.total.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    if total == candidate.report_at.load(Ordering::Relaxed)
        && let Some(observer) = isolate.observer()
    {
        let next = observer.on_deopt(candidate, event, plan, total);
        candidate.report_at.store(next, Ordering::Relaxed);
    }
}

/// Reads places of one compiled frame.
struct Places<'a> {
    candidate: &'a Candidate,
    exit: &'a ExitFrame,
    point: u32,
}

impl Places<'_> {
    fn frame_word(&self, offset: i16) -> u64 {
        let address = self.exit.frame_pointer.wrapping_add_signed(offset as isize * 8);
        // SAFETY: a word of the compiled frame, which is still on the stack: the offset was checked against the frame's size when
        // the candidate was loaded.
        unsafe { *(address as *const u64) }
    }
    fn word(&self, place: Place) -> u64 {
        match place {
            Place::Frame(offset) => self.frame_word(offset),
            Place::Register(number) => self.exit.register(number).unwrap_or_else(|| {
                loud_stop(format_args!(
                    "deopt point {} of {} reads register {number}",
                    self.point, self.candidate
                ))
            }),
            Place::Constant(index) => self.candidate.deopt.constants[index as usize],
            Place::Result(number) => self.exit.results[number as usize],
        }
    }
}

/// The place beside a place that is in memory or in the result registers.
fn next_word(place: Place) -> Place {
    match place {
        Place::Frame(offset) => Place::Frame(offset + 1),
        Place::Result(number) => Place::Result(number + 1),
        Place::Register(_) | Place::Constant(_) => {
            unreachable!("the image was checked: {place:?} has no neighbour")
        }
    }
}

/// Reads one state: its values go to the plan, its frames as well.
struct Reader<'a> {
    places: Places<'a>,
    plan: &'a mut RebuildPlan,
    words: &'a [u32],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Located {
        let word = self.words[self.at];
        self.at += 1;
        Located(word)
    }
    /// The next value: one entry, or two for a whole pair.
    fn value(&mut self) {
        let entry = self.next();
        let word = self.places.word(entry.place());
        let value = match (entry.boxing(), self.plan.encoding) {
            (Boxing::Kind(kind), _) => {
                box_payload(&self.places.candidate.language.kinds[KindId::from_u32(kind as u32)], word)
            }
            (Boxing::Pair, _) => Boxed::pair(word, self.places.word(next_word(entry.place()))),
            (Boxing::Whole, Encoding::Word) => Boxed::from_word(word),
            (Boxing::Whole, Encoding::Pair) => {
                let payload = self.next();
                Boxed::pair(word, self.places.word(payload.place()))
            }
        };
        self.plan.push(entry.register(), value);
    }
    /// A run of values in so many entries, as a range of the plan's values.
    fn values(&mut self, entries: u16) -> std::ops::Range<u32> {
        let (first, end) = (self.plan.value_count(), self.at + entries as usize);
        while self.at < end {
            self.value();
        }
        first..self.plan.value_count()
    }
    /// The frame with this header. Returns the number of the header of the frame around it.
    fn frame(&mut self, header: u32) -> Option<u32> {
        let header: FrameHeader = self.places.candidate.deopt.headers[header as usize];
        let registers = self.values(header.register_entries);
        let mut results = self.values(header.result_entries);
        let call_results = header.call_results.then(|| {
            let [first, second] = self.places.exit.results;
            let machine = GuestResults { first, second };
            // The machine form has the number of further results in the tag's upper half.
            self.plan.replace(results.start, machine.first(self.plan.encoding));
            (std::mem::replace(&mut results.start, results.end), machine.further(self.plan.encoding) as u64)
        });
        let open = header.open.map(|register| {
            let entry = self.next();
            (register, self.places.word(entry.place()))
        });
        let callee = header.has_callee.then(|| {
            self.value();
            self.plan.value_count() - 1
        });
        self.plan.frames.push(FrameRecord {
            unit: header.unit,
            resume: ResumePoint { pc: header.pc, when: header.when },
            window: header.window,
            registers,
            results,
            callee,
            open,
            call_results,
        });
        header.has_parent.then(|| self.next().0)
    }
}

/// Fills a plan from a compiled frame.
fn capture(plan: &mut RebuildPlan, candidate: &Candidate, point: u32, exit: &ExitFrame) {
    let places = Places { candidate, exit, point };
    let window = places.frame_word(candidate.window_home) as *mut u8;
    let argument_count = candidate.argument_count_home.map(|home| places.frame_word(home));
    plan.describe(candidate, point, window, argument_count);
    let at = candidate.deopt.points[point as usize].state() as usize;
    let mut reader = Reader { places, plan, words: &candidate.deopt.states, at };
    let mut header = Some(candidate.deopt.exit(point as usize).header);
    while let Some(number) = header {
        header = reader.frame(number);
    }
}
