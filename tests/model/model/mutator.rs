//! A mutator: an isolate's own thread, which calls its units, interpreted or compiled, and does all that a program may do meanwhile.

use crate::code::{ADDRESS, ASSUMPTION, SLOT, pack};
use crate::host::{INT, TestHost};
use crate::world::{CHANGED_BY_OWN, FAILING, Fault, Source, UNITS, World};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread::yield_now;
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use surmise_deopt::deopt_all::{Reason, Request, Which};
use surmise_deopt::entry::EntryCell;
use surmise_deopt::host::GuestResults;
use surmise_deopt::isolate::Isolate;
use surmise_deopt::runloop::{Outcome, Runloop};
use surmise_deopt::slots::SlotValue;
use surmise_ir::entity::Pc;
use surmise_ir::function::Entry;
use surmise_ir::language::Recipe;
use surmise_model::log::UnitIndex;
use surmise_model::plug::{Plug, PlugHost};
use surmise_model::service::Client;

/// Calls that a mutator makes before it waits for its units to be compiled at last, beyond those until the first candidate is there.
const CALLS: usize = 25;
/// Rounds of calls, when nobody disturbs any more, after which everything is compiled whoever was slow.
const ROUNDS: u64 = 2_000;

/// The header of a loop.
const LOOP: Pc = Pc(2);

/// What a callback does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Nothing,
    Poll,
    DeoptAll,
    Break,
    NativeCode,
    FailGuard,
}

/// What the plug is told of the host.
struct Units {
    isolate: Arc<Isolate>,
    sources: [Arc<Source>; UNITS],
    indices: Vec<UnitIndex>,
    counters: [i32; UNITS],
    is_logging: [bool; UNITS],
    /// The retirements that the candidates know of that were resolved since the last look.
    resolved: Vec<(u64, u64)>,
}

impl PlugHost for Units {
    fn arm(&mut self, unit: UnitIndex, counter: i32, logging: bool) {
        let unit = self.indices.iter().position(|&index| index == unit).expect("a unit of this isolate");
        self.counters[unit] = counter;
        self.is_logging[unit] = logging;
    }
    fn resolve(&mut self, recipe: &Recipe) -> Option<SlotValue> {
        // Whatever resolves may take its time.
        yield_now();
        let [unit, word] = recipe.words;
        match recipe.class {
            ADDRESS => {
                self.resolved.push((unit, word));
                Some(SlotValue::word(SLOT))
            }
            ASSUMPTION => {
                let source = self.sources.iter().find(|source| source.id.0 == unit)?;
                Some(source.global.claim(word)?.as_slot_value())
            }
            _ => None,
        }
    }
}

struct State {
    world: Arc<World>,
    plug: Plug,
    units: Units,
    cells: [&'static EntryCell; UNITS],
    /// Whether callbacks do something.
    is_lively: bool,
}

/// Everything in this isolate, asked for by its host.
pub fn everything() -> Request {
    Request { which: Which::All, reason: Reason::Requested }
}

impl State {
    fn service(&mut self) {
        self.plug.service(&mut self.units);
        self.look_at_installations();
    }
    /// What was installed knew of all retirements. One unit is retired alone: that whose guard fails.
    fn look_at_installations(&mut self) {
        let retirements = self.plug.totals().learnt_again;
        for (unit, knows) in self.units.resolved.drain(..) {
            if unit % UNITS as u64 == FAILING as u64 {
                self.world.check(knows == retirements, || {
                    format!("a candidate is installed that knows of {knows} of {retirements} retirements")
                });
            }
        }
    }
    /// A poll of the runloop.
    fn poll(&mut self, runloop: &Runloop<TestHost>) {
        yield_now();
        if runloop.take_poll() && !self.world.has_fault(Fault::PollsForNothing) {
            self.service();
        }
    }
    fn deopt_all(&mut self) {
        // SAFETY: the runloop is at a safepoint: outside of compiled code, or in a function that may run guest code.
        unsafe { self.plug.deopt_all(everything(), &mut self.units) };
    }
    fn change_own(&mut self) {
        let State { plug, units, .. } = self;
        let global = units.sources[CHANGED_BY_OWN].global.clone();
        let isolate = units.isolate.clone();
        // SAFETY: as in `deopt_all`.
        global.change(&isolate, |claim| unsafe {
            plug.invalidate(claim, units).expect("it is this isolate's");
        });
    }
    /// A call that the interpreter runs. Returns what the unit gives.
    fn interpret(&mut self, unit: usize) -> u64 {
        if self.units.is_logging[unit] {
            self.plug.log.enter(self.units.indices[unit]);
        }
        self.units.counters[unit] -= 1;
        if self.units.counters[unit] <= 0 {
            // One unit has a loop as well: what is made for it is on its way when a candidate for calls fails.
            let is_in_loop = unit == FAILING && thread_rng().gen_range(0..2) == 0;
            let entry = if is_in_loop { Entry::Loop(LOOP) } else { Entry::Call };
            let decision = self.plug.fired(self.units.indices[unit], entry, &mut self.units);
            self.units.counters[unit] = decision.counter.min(2);
            self.units.is_logging[unit] = decision.logging;
            self.look_at_installations();
        }
        self.units.sources[unit].global.value()
    }
}

/// What compiled code calls.
fn call_back(state: &RefCell<State>, host: &mut TestHost, runloop: &Runloop<TestHost>, argument: u64) -> u64 {
    let mut state = state.borrow_mut();
    let (unit, value) = ((argument >> 32) as usize % UNITS, argument & 0xffff_ffff);
    let source = state.units.sources[unit].clone();
    assert_eq!(argument, pack(source.id.0, value), "the candidate is of this isolate");
    state.world.check(value == source.global.value(), || {
        format!("a candidate was entered that rests on what has changed: {value}")
    });
    if !state.is_lively {
        return 1;
    }
    let deeds = [Deed::Nothing, Deed::Poll, Deed::DeoptAll, Deed::Break, Deed::NativeCode, Deed::FailGuard];
    match deeds[thread_rng().gen_range(0..deeds.len())] {
        Deed::Nothing => {}
        Deed::Poll => state.poll(runloop),
        Deed::DeoptAll => state.deopt_all(),
        Deed::Break => state.change_own(),
        Deed::NativeCode => {
            // SAFETY: the function that compiled code called may run guest code, and does nothing until it comes back.
            unsafe { runloop.leave() };
            (0..3).for_each(|_| yield_now());
            runloop.come_back();
            state.poll(runloop);
        }
        Deed::FailGuard if source.is_guarded => return 0,
        Deed::FailGuard => {}
    }
    host.committed.clear();
    1
}

/// Calls a unit as a host does: by its entry cell.
fn call(state: &RefCell<State>, host: &mut TestHost, runloop: &Runloop<TestHost>, unit: usize) {
    let (cell, global) = {
        let mut state = state.borrow_mut();
        state.poll(runloop);
        (state.cells[unit], state.units.sources[unit].global.clone())
    };
    if !cell.is_compiled() {
        state.borrow_mut().interpret(unit);
        return;
    }
    // Who asks for a deoptimization now waits for this thread, which holds the code's address.
    let code = cell.code();
    yield_now();
    let window = host.window(0);
    runloop.set_limits(host.stack.as_mut_ptr_range().end.cast(), 0);
    // SAFETY: the code was read since the last safepoint; it stays inside of the guest stack.
    match unsafe { runloop.enter(host, code, window, 0) } {
        Outcome::Returned([tag, sum]) if tag == INT => {
            let (value, world) = (sum.wrapping_sub(SLOT), state.borrow().world.clone());
            world.check(value == global.value(), || {
                format!("a frame went on in a candidate that rests on what has changed: {value}")
            });
        }
        // The interpreter goes on behind the call.
        Outcome::Resumed => host.committed.clear(),
        // The cell led to the interpreter when it was read.
        Outcome::Returned(_) => {}
        Outcome::Thrown => panic!("nothing throws"),
    }
}

/// Runs an isolate until nobody disturbs it any more and all of its units are compiled, or the service has stopped.
pub fn run(world: &Arc<World>, number: usize, client: Client) {
    let isolate = world.isolates[number].clone();
    let (runloop, mut host) = TestHost::of(isolate.clone());
    let sources = world.sources[number].clone();
    let cells = std::array::from_fn(|_| &*Box::leak(Box::new(EntryCell::new())));
    let mut units = Units {
        isolate: isolate.clone(),
        sources: sources.clone(),
        indices: Vec::new(),
        counters: [0; UNITS],
        is_logging: [false; UNITS],
        resolved: Vec::new(),
    };
    let mut plug = Plug::new(client, isolate.clone());
    for (unit, source) in sources.into_iter().enumerate() {
        // SAFETY: the cells live for ever.
        let (index, counter) = unsafe { plug.register(source, NonNull::from(cells[unit]), false) };
        units.indices.push(index);
        units.counters[unit] = counter;
    }
    let state = Rc::new(RefCell::new(State { world: world.clone(), plug, units, cells, is_lively: true }));
    let called = state.clone();
    host.callback =
        Some(Box::new(move |host, runloop, argument| Ok(call_back(&called, host, runloop, argument))));
    let polled = state.clone();
    host.poll = Some(Box::new(move |_, runloop| {
        polled.borrow_mut().poll(runloop);
        Ok(())
    }));
    host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::default())));

    let (mut calls, mut rounds) = (0, 0);
    while calls < CALLS && !world.has_stopped.load(Ordering::Relaxed) && world.is_sound() {
        rounds += 1;
        world.check(rounds < ROUNDS, || "nothing is ever compiled".to_owned());
        calls += usize::from(isolate.generation() > 0 || !isolate.candidates().is_empty());
        call(&state, &mut host, &runloop, thread_rng().gen_range(0..UNITS));
    }
    state.borrow_mut().is_lively = false;
    // Whatever has happened: units that are called get compiled, as long as there is a service.
    rounds = 0;
    while !world.has_stopped.load(Ordering::Relaxed)
        && world.is_sound()
        && (world.is_disturbed() || !cells.iter().all(|cell| cell.is_compiled()))
    {
        for unit in 0..UNITS {
            call(&state, &mut host, &runloop, unit);
        }
        rounds += u64::from(!world.is_disturbed());
        world.check(rounds < ROUNDS, || {
            let compiled = cells.map(|cell| cell.is_compiled());
            format!(
                "units that are called are not compiled: {compiled:?}, {:?}",
                state.borrow().plug.totals()
            )
        });
    }
    // Who has to visit this thread need not wait for it.
    // SAFETY: outside of compiled code.
    unsafe { runloop.leave() };
    while !world.has_stopped.load(Ordering::Relaxed) {
        yield_now();
    }
    runloop.come_back();
    let mut state = state.borrow_mut();
    state.service();
    let totals = state.plug.totals();
    world.accounted.fetch_add(totals.installed + totals.not_installed + totals.outdated, Ordering::Relaxed);
    state.deopt_all();
    // SAFETY: outside of compiled code.
    let left = unsafe { isolate.reclaim() };
    assert_eq!(left.waiting, 0, "no frame is left");
    host.callback = None;
    host.poll = None;
}
