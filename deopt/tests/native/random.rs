//! Threads of one isolate that call units, while they and others ask for deoptimization at random.
//!
//! Each thread draws from a stream of its own what it calls and what its callbacks do: nothing, a request, a poll, a stay in native
//! code, which others' requests meet, an error, further calls, candidates installed anew. Requesters have no runloop, and only ask.
//! Whatever happens, each call gives what the interpreter gives ([`Unit::interpreted`]), or the error that its callback raised; in the
//! end nothing is left of code and slots.
//!
//! The seed decides what each thread does. In which order the threads do it is the machine's business.

use crate::host::*;
use crate::units::{self, Method};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use surmise_deopt::candidate::Image;
use surmise_deopt::deopt_all::{Reason, Request, Which};
use surmise_deopt::entry::{EntryCell, interpret_entry};
use surmise_deopt::frames::FrameWalk;
use surmise_deopt::host::{GuestResults, Thrown};
use surmise_deopt::isolate::Isolate;
use surmise_deopt::loaded::CodeSpace;
use surmise_deopt::runloop::{Outcome, Runloop};
use surmise_deopt::slots::SlotValue;
use surmise_ir::entity::UnitId;
use surmise_ir::generate::Random;

/// What slots hold.
const SLOT: u64 = 0x5107;
/// Registers of a frame's window that a callee's does not share.
const WINDOW: usize = 16;
/// Callbacks call further units down to this depth.
const DEPTH: usize = 3;

/// A unit of the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Asking,
    /// So many sums above `Asking`.
    Summing(u64),
    Recursive,
    Polling,
    Busy,
    Slotted,
}

const UNITS: [Unit; 8] = [
    Unit::Asking,
    Unit::Summing(1),
    Unit::Summing(2),
    Unit::Summing(3),
    Unit::Recursive,
    Unit::Polling,
    Unit::Busy,
    Unit::Slotted,
];

/// What callbacks give for an argument, whatever they do.
fn answer(argument: i64) -> i64 {
    argument.wrapping_mul(3) + 1
}

impl Unit {
    fn index(self) -> usize {
        UNITS.iter().position(|&unit| unit == self).expect("all units are listed")
    }
    fn id(self) -> UnitId {
        UnitId(self.index() as u64)
    }
    /// What the interpreter gives.
    fn interpreted(self, argument: i64) -> i64 {
        match self {
            Unit::Asking => answer(argument) + 1,
            Unit::Summing(1) => Unit::Asking.interpreted(argument) + argument + 1,
            Unit::Summing(n) => Unit::Summing(n - 1).interpreted(argument) + argument + 1,
            Unit::Recursive => answer(0) + 1 + argument,
            Unit::Polling => argument + 1,
            Unit::Busy => SLOT as i64,
            Unit::Slotted => answer(argument) + 2 * SLOT as i64,
        }
    }
    /// What it calls, and with which argument.
    fn calls(self, argument: i64) -> (Unit, i64) {
        match self {
            Unit::Summing(1) => (Unit::Asking, argument),
            Unit::Summing(n) => (Unit::Summing(n - 1), argument),
            Unit::Recursive => (Unit::Recursive, argument - 1),
            other => panic!("{other:?} calls no unit"),
        }
    }
    fn image(self, method: Method, cells: &[&'static EntryCell]) -> Image {
        let id = self.id();
        match self {
            Unit::Asking => units::asking(method, id),
            Unit::Summing(_) => units::summing(method, id, cells[self.calls(0).0.index()]),
            Unit::Recursive => units::recursive(method, id, cells[self.index()]),
            Unit::Polling => units::polling(method, id),
            Unit::Busy => units::busy(method, id),
            Unit::Slotted => units::slotted(method, id),
        }
    }
    fn install(self, world: &World) {
        let image = world.images[self.index()].clone();
        // SAFETY: the units are what they say; their slots hold integers.
        let installed = unsafe { world.isolate.install(image, &mut |_| Some(SlotValue::pair(INT, SLOT))) };
        installed.expect("it is installed");
    }
}

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub method: Method,
    pub seed: u64,
    pub threads: usize,
    pub requesters: usize,
    /// The world ends when so many requests have concerned something.
    pub requests: u64,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Requests that concerned something.
    pub requests: u64,
    /// Of those, by threads without a runloop.
    pub from_outside: u64,
    /// Frames that they redirected.
    pub frames: u64,
    /// Frames that went on in the interpreter.
    pub left: u64,
    /// Calls that were checked.
    pub calls: u64,
    /// Of those, ended by an error.
    pub errors: u64,
    /// Stays in native code.
    pub stays: u64,
}

impl Figures {
    pub fn add(&mut self, other: Figures) {
        let Figures { requests, from_outside, frames, left, calls, errors, stays } = other;
        self.requests += requests;
        self.from_outside += from_outside;
        self.frames += frames;
        self.left += left;
        self.calls += calls;
        self.errors += errors;
        self.stays += stays;
    }
}

struct World {
    isolate: Arc<Isolate>,
    cells: [&'static EntryCell; UNITS.len()],
    images: [Image; UNITS.len()],
    /// Held while a unit's candidate is made: a second one would hide the first.
    installing: Mutex<()>,
    requests: AtomicU64,
    wanted: u64,
    is_over: AtomicBool,
}

impl World {
    fn new(plan: Plan) -> Arc<World> {
        let space = CodeSpace::new(1 << 20).expect("an arena");
        let isolate = TestHost::isolate(&space, &language());
        isolate.set_checked(true);
        let cells = std::array::from_fn(|_| &*Box::leak(Box::new(EntryCell::new())));
        for unit in UNITS {
            // SAFETY: the cells live for ever.
            unsafe { isolate.register_unit(unit.id(), NonNull::from(cells[unit.index()])) };
        }
        Arc::new(World {
            images: UNITS.map(|unit| unit.image(plan.method, &cells)),
            isolate,
            cells,
            installing: Mutex::default(),
            requests: AtomicU64::new(0),
            wanted: plan.requests,
            is_over: AtomicBool::new(false),
        })
    }
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
    /// Asks. Returns how many frames were redirected if it concerned anything.
    ///
    /// # Safety
    /// This thread's runloops, if there are any, are at safepoints.
    unsafe fn ask(&self) -> Option<u64> {
        let request = Request { which: Which::All, reason: Reason::Stress };
        // SAFETY: handed on.
        let report = unsafe { self.isolate.deopt_all(request) };
        if report.candidates == 0 {
            return None;
        }
        if self.requests.fetch_add(1, Ordering::Relaxed) + 1 >= self.wanted {
            self.is_over.store(true, Ordering::Relaxed);
        }
        Some(report.frames as u64)
    }
}

/// A thread with a runloop.
struct Mutator {
    world: Arc<World>,
    random: Random,
    figures: Figures,
    /// Calls that run in each other.
    depth: usize,
    /// An error is on its way that a callback raised.
    has_thrown: bool,
}

type Shared = Rc<RefCell<Mutator>>;

/// Calls a unit with its window at a register, and compares.
fn call(
    this: &Shared,
    host: &mut TestHost,
    runloop: &Runloop<TestHost>,
    register: usize,
    unit: Unit,
    argument: i64,
) {
    let result = run(this, host, runloop, register, unit, argument);
    let mut this = this.borrow_mut();
    this.figures.calls += 1;
    let has_thrown = std::mem::take(&mut this.has_thrown);
    let expected = if has_thrown { Err(Thrown) } else { Ok(unit.interpreted(argument)) };
    this.figures.errors += u64::from(has_thrown);
    assert_eq!(result, expected, "{unit:?} of {argument}");
}

/// Runs a unit: compiled, if there is code for it.
fn run(
    this: &Shared,
    host: &mut TestHost,
    runloop: &Runloop<TestHost>,
    register: usize,
    unit: Unit,
    argument: i64,
) -> Result<i64, Thrown> {
    // Read once: others may take it away at any moment.
    let code = this.borrow().world.cells[unit.index()].code();
    if code == interpret_entry() {
        return interpret(this, host, runloop, register, unit, argument);
    }
    host.set(register, int(argument));
    let window = host.window(register);
    runloop.set_limits(host.stack.as_mut_ptr_range().end.cast(), 0);
    // SAFETY: the code was read since the last safepoint; it stays inside of the guest stack.
    match unsafe { runloop.enter(host, code, window, 1) } {
        Outcome::Returned([tag, payload]) => {
            assert_eq!(tag & 0xffff_ffff, INT);
            Ok(payload as i64)
        }
        Outcome::Resumed => Ok(go_on(this, host)),
        Outcome::Thrown => Err(Thrown),
    }
}

/// Runs a unit in the interpreter; what it calls may be compiled.
fn interpret(
    this: &Shared,
    host: &mut TestHost,
    runloop: &Runloop<TestHost>,
    register: usize,
    unit: Unit,
    argument: i64,
) -> Result<i64, Thrown> {
    let ask = |host: &mut TestHost, argument: i64| {
        call_back(this, host, runloop, argument as u64).map(|answer| answer as i64)
    };
    Ok(match unit {
        Unit::Asking => ask(host, argument)? + 1,
        Unit::Recursive if argument == 0 => ask(host, 0)? + 1,
        Unit::Slotted => ask(host, argument)? + 2 * SLOT as i64,
        Unit::Summing(_) | Unit::Recursive => {
            let (called, given) = unit.calls(argument);
            let result = run(this, host, runloop, register + 2, called, given)?;
            if unit == Unit::Recursive { result + 1 } else { result + argument + 1 }
        }
        Unit::Polling | Unit::Busy => unit.interpreted(argument),
    })
}

/// What the interpreter makes of the frame that was committed last.
fn go_on(this: &Shared, host: &mut TestHost) -> i64 {
    let (frames, _) = host.committed.pop().expect("a frame was committed");
    this.borrow_mut().figures.left += 1;
    let frame = &frames[0];
    let argument = frame.registers[0].1.payload() as i64;
    let called = frame.call_results.map(|results| results.second as i64);
    let given = || frame.results[0].payload() as i64;
    match UNITS[frame.unit.0 as usize] {
        Unit::Asking => given() + 1,
        Unit::Summing(_) => called.expect("it was in a call") + argument + 1,
        Unit::Recursive => called.unwrap_or_else(given) + 1,
        Unit::Polling => argument + 1,
        Unit::Busy => SLOT as i64,
        Unit::Slotted => given() + 2 * SLOT as i64,
    }
}

/// What compiled code calls: does something at random, and answers.
fn call_back(
    this: &Shared,
    host: &mut TestHost,
    runloop: &Runloop<TestHost>,
    argument: u64,
) -> Result<u64, Thrown> {
    let (deed, world) = {
        let mut this = this.borrow_mut();
        (this.random.below(16), this.world.clone())
    };
    match deed {
        0..=4 => {
            // SAFETY: in a function that may run guest code.
            let frames = unsafe { world.ask() };
            let figures = &mut this.borrow_mut().figures;
            figures.requests += u64::from(frames.is_some());
            figures.frames += frames.unwrap_or(0);
        }
        5..=6 => {
            runloop.take_poll();
        }
        7 => {
            // SAFETY: in a function that may run guest code, which touches nothing until it comes back.
            unsafe { runloop.leave() };
            let turns = {
                let mut this = this.borrow_mut();
                this.figures.stays += 1;
                this.random.below(4)
            };
            (0..turns).for_each(|_| std::thread::yield_now());
            runloop.come_back();
        }
        8 => install_some(this),
        9..=12 if this.borrow().depth < DEPTH => {
            let register = {
                let mut this = this.borrow_mut();
                this.depth += 1;
                this.depth * 40 * WINDOW
            };
            listen(this, host);
            call_some(this, host, runloop, register);
            this.borrow_mut().depth -= 1;
        }
        _ => {}
    }
    let mut this = this.borrow_mut();
    if this.random.one_in(16) {
        this.has_thrown = true;
        return Err(Thrown);
    }
    Ok(answer(argument as i64) as u64)
}

/// Installs candidates of units that have none.
fn install_some(this: &Shared) {
    let world = this.borrow().world.clone();
    for unit in UNITS {
        if this.borrow_mut().random.one_in(3) {
            continue;
        }
        let _one_at_a_time = world.installing.lock().expect("no installer panics");
        if !world.cells[unit.index()].is_compiled() {
            unit.install(&world);
        }
    }
}

fn call_some(this: &Shared, host: &mut TestHost, runloop: &Runloop<TestHost>, register: usize) {
    let (unit, argument) = {
        let mut this = this.borrow_mut();
        (*this.random.pick(&UNITS), this.random.below(30) as i64)
    };
    call(this, host, runloop, register, unit, argument);
}

/// Has the host do what this thread does. A method that is running has been taken out of the host: what it calls finds it again.
fn listen(this: &Shared, host: &mut TestHost) {
    let me = this.clone();
    host.callback.get_or_insert_with(|| {
        Box::new(move |host, runloop, argument| call_back(&me, host, runloop, argument))
    });
    let me = this.clone();
    host.resume.get_or_insert_with(|| {
        Box::new(move |host, _| Ok(GuestResults::pair(INT as u32, go_on(&me, host) as u64, 0)))
    });
    let me = this.clone();
    host.call_unit.get_or_insert_with(|| {
        Box::new(move |host, runloop, window, _| {
            listen(&me, host);
            let (register, argument) = argument_at(host, window);
            let result = interpret(&me, host, runloop, register, callee(runloop), argument)?;
            Ok(GuestResults::pair(INT as u32, result as u64, 0))
        })
    });
    host.poll.get_or_insert_with(|| Box::new(|_, _| Ok(())));
}

/// The register at an address of the guest stack, and the integer in it.
fn argument_at(host: &mut TestHost, window: *mut u8) -> (usize, i64) {
    let register = (window as usize - host.window(0) as usize) / 16;
    (register, host.stack[register * 2 + 1] as i64)
}

/// Which unit without code compiled code calls: what its newest frame's unit calls.
fn callee(runloop: &Runloop<TestHost>) -> Unit {
    let map = runloop.isolate().space().map().snapshot();
    // SAFETY: in a function that compiled code called.
    let newest = unsafe { FrameWalk::new(runloop.context(), &map) }.next();
    let caller = newest.expect("compiled code called").candidate.unit();
    UNITS[caller.0 as usize].calls(0).0
}

/// Runs a thread until the world is over.
fn mutate(world: &Arc<World>, seed: u64, started: &Barrier) -> Figures {
    let (runloop, mut host) = TestHost::of(world.isolate.clone());
    let this: Shared = Rc::new(RefCell::new(Mutator {
        world: world.clone(),
        random: Random::new(seed),
        figures: Figures::default(),
        depth: 0,
        has_thrown: false,
    }));
    listen(&this, &mut host);
    // SAFETY: outside of compiled code.
    unsafe { runloop.leave() };
    started.wait();
    runloop.come_back();
    let result = catch_unwind(AssertUnwindSafe(|| {
        while !world.is_over() {
            runloop.take_poll();
            if this.borrow_mut().random.one_in(2) {
                install_some(&this);
            }
            call_some(&this, &mut host, &runloop, 1);
            assert!(host.committed.is_empty(), "a frame was committed and not run");
        }
    }));
    // If this thread has failed, the others are not to wait for it.
    world.is_over.store(true, Ordering::Relaxed);
    // They may still ask.
    // SAFETY: outside of compiled code.
    unsafe { runloop.leave() };
    started.wait();
    runloop.come_back();
    (host.callback, host.resume, host.call_unit) = (None, None, None);
    match result {
        Ok(()) => this.borrow().figures,
        Err(panic) => resume_unwind(panic),
    }
}

/// Asks until the world is over, without a runloop.
fn request(world: &World, seed: u64, started: &Barrier) -> Figures {
    let (mut random, mut figures) = (Random::new(seed), Figures::default());
    started.wait();
    while !world.is_over() {
        (0..random.below(64)).for_each(|_| std::hint::spin_loop());
        if random.one_in(4) {
            std::thread::yield_now();
        }
        // SAFETY: this thread has no runloop.
        let Some(frames) = (unsafe { world.ask() }) else {
            std::thread::yield_now();
            continue;
        };
        figures.requests += 1;
        figures.from_outside += 1;
        figures.frames += frames;
    }
    started.wait();
    figures
}

/// Runs a world to its end.
///
/// # Panics
/// If a call gave what it should not, or something is left of code or slots. The message has the seed.
pub fn run_world(plan: Plan) -> Figures {
    let world = World::new(plan);
    let started = Barrier::new(plan.threads + plan.requesters);
    let mut figures = Figures::default();
    std::thread::scope(|scope| {
        let (world, started) = (&world, &started);
        let mut workers = Vec::new();
        for number in 0..plan.threads + plan.requesters {
            // Streams of neighbouring seeds have nothing to do with each other.
            let seed = plan.seed.wrapping_mul(1000).wrapping_add(number as u64);
            workers.push(scope.spawn(move || match number < plan.threads {
                true => mutate(world, seed, started),
                false => request(world, seed, started),
            }));
        }
        for worker in workers {
            match worker.join() {
                Ok(some) => figures.add(some),
                Err(panic) => {
                    eprintln!("failed: {plan:?}");
                    resume_unwind(panic)
                }
            }
        }
    });
    assert!(
        figures.left <= figures.frames && (figures.errors > 0 || figures.left == figures.frames),
        "each redirected frame goes on in the interpreter, unless an error takes it away: {figures:?}, {plan:?}"
    );
    // SAFETY: no runloop is left.
    unsafe {
        world.isolate.deopt_all(Request { which: Which::All, reason: Reason::Requested });
        world.isolate.reclaim();
    }
    let statistics = world.isolate.space().statistics();
    assert_eq!((statistics.blocks, statistics.used, world.isolate.retired_count()), (0, 0, 0), "{plan:?}");
    let numbers = 0..u32::try_from(statistics.freed).expect("fewer candidates than that").min(1 << 12);
    assert!(
        numbers.into_iter().all(|number| world.isolate.effective_slots().get(number).is_null()),
        "{plan:?}"
    );
    figures
}
