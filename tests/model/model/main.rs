//! The service with mutators under a model checker.
//!
//! What is checked are the sources of `optimizer` and `deopt`, built with the checker's threads, locks and queues (`sync.rs` of either).
//! One operating system thread runs all of a model's threads, and the checker decides at each lock, queue and yield who goes on:
//! at random, or by priorities that change at so many points (PCT), each run from its own seed. Not every order is seen, as `loom` would;
//! but the whole service takes part, with plugs, isolates, machine code on real stacks, and frames that are redirected.
//!
//! The threads of a model:
//! * mutators, each with an isolate, a plug and units whose candidates rest on a global's value. They call, poll, break what their
//!   candidates rest on, deoptimize, go away into native code, and fail guards;
//! * disturbers, which break what a mutator's candidates rest on and deoptimize its isolate, or everything;
//! * the service, its compiles, and who stops it, at any moment or at the end.
//!
//! What must hold stands where it is checked: no candidate is entered, and no frame goes on, that rests on what has changed; what is
//! installed knows of all retirements; units that are called get compiled as long as there is a service (nothing is lost, nobody is
//! not woken); every candidate that was made arrives, also when the service stops; nothing is left of code and slots.
//!
//! That it can fail: three faults of hosts and compilers are planted and found at each run (`what_is_planted_is_found`). In the sources these
//! were planted by hand, and found within 150 runs:
//!
//! | planted | found as |
//! |---|---|
//! | the service stops without waiting for its compiles | of 6 candidates that were made, 5 arrived |
//! | the isolate is woken before its delivery lies in the inbox | units that are called are not compiled |
//! | log batches that wait are dropped when a request comes | a request is planned before its log is read |
//! | `Plug::deliver` does not ask whether the unit was retired meanwhile | a candidate is installed that knows of 0 of 1 retirements |
//! | `Isolate::install` does not ask whether assumptions hold | a candidate was entered that rests on what has changed |
//! | a thread that others visited is not asked to poll | units that are called are not compiled |
//! | units that requests invalidated ask for what was planned already | units that are called are not compiled |
//! | a request walks stacks with the code map of its beginning | a loud stop: an address that belongs to no candidate |
//!
//! The last three were in the sources when the model was made.
//!
//! `MODEL_SEED` and `MODEL_RUNS` choose other and more runs; a failure prints the schedule, which `shuttle::replay` repeats.

#![allow(unsafe_code, reason = "compiled code is entered")]

#[path = "../../../deopt/tests/native/assembler.rs"]
#[allow(dead_code, reason = "not every instruction is needed here")]
mod assembler;
mod code;
#[path = "../../../deopt/tests/native/host.rs"]
#[allow(dead_code, reason = "not every method is needed here")]
mod host;
mod mutator;
mod world;

use mutator::everything;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{spawn, yield_now};
use shuttle::{MaxSteps, Runner};

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use surmise_deopt::deopt_all::Reason;
use surmise_model::config::Config;
use world::{CHANGED_BY_OTHERS, Fault, World};

/// What a model is made of.
#[derive(Clone, Copy)]
struct Model {
    isolates: usize,
    is_blocking: bool,
    /// The service stops at any moment, not at the end.
    stops_early: bool,
    /// What a disturber does wrong.
    fault: Option<Fault>,
}

const MODEL: Model = Model { isolates: 2, is_blocking: false, stops_early: false, fault: None };

/// Breaks what one mutator's candidates rest on, deoptimizes it, or everything.
fn disturb(world: &World, number: usize) {
    let isolate = &world.isolates[number];
    let global = &world.sources[number][CHANGED_BY_OTHERS].global;
    while isolate.candidates().is_empty() && world.is_sound() && !world.has_stopped.load(Ordering::Relaxed) {
        yield_now();
    }
    for _ in 0..3 {
        (0..thread_rng().gen_range(0..20)).for_each(|_| yield_now());
        match thread_rng().gen_range(0..4) {
            0 => {
                // SAFETY: this thread has no runloop.
                unsafe { isolate.deopt_all(everything()) };
            }
            1 => {
                // SAFETY: this thread has no runloop.
                unsafe { world.space.deopt_everywhere(Reason::Requested) };
            }
            _ if world.has_fault(Fault::ChangesFirst) => {
                let mut last = None;
                global.change(isolate, |claim| last = Some(claim));
                yield_now();
                // SAFETY: as above.
                unsafe { isolate.invalidate(last.expect("it had a claim")) }.expect("it is the isolate's");
            }
            _ => global.change(isolate, |claim| {
                // SAFETY: as above.
                unsafe { isolate.invalidate(claim) }.expect("it is the isolate's");
            }),
        }
    }
    world.disturbers.fetch_sub(1, Ordering::Relaxed);
}

/// One run. Returns the first thing that was found wrong.
fn run(model: Model) -> Option<String> {
    let world = World::new(model.isolates, model.fault);
    world.disturbers.store(model.isolates as u64, Ordering::Relaxed);
    let config = Config { no_delay: true, blocking: model.is_blocking, ..Config::default() };
    let mut service = world.start(config);
    let mut mutators = Vec::new();
    let mut disturbers = Vec::new();
    for number in 0..model.isolates {
        let (shared, client) = (world.clone(), service.connect());
        mutators.push(spawn(move || mutator::run(&shared, number, client)));
        let shared = world.clone();
        disturbers.push(spawn(move || disturb(&shared, number)));
    }
    if model.stops_early {
        (0..thread_rng().gen_range(0..400)).for_each(|_| yield_now());
    } else {
        disturbers.drain(..).for_each(|thread| thread.join().expect("no disturber panics"));
        let is_compiled =
            |world: &World| world.isolates.iter().all(|isolate| isolate.candidates().len() >= world::UNITS);
        while !is_compiled(&world) && world.is_sound() {
            yield_now();
        }
    }
    service.stop();
    world.has_stopped.store(true, Ordering::Relaxed);
    for thread in mutators.into_iter().chain(disturbers) {
        thread.join().expect("no thread panics");
    }
    drop(service);
    let made = world.compiled.load(Ordering::Relaxed);
    let accounted = world.accounted.load(Ordering::Relaxed);
    world.check(accounted == made, || format!("of {made} candidates that were made, {accounted} arrived"));
    for isolate in &world.isolates {
        // SAFETY: no runloop is left.
        unsafe { isolate.reclaim() };
        assert_eq!((isolate.runloop_count(), isolate.retired_count()), (0, 0));
    }
    assert_eq!(world.space.statistics().blocks, 0, "code is left");
    world.first_complaint()
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value}: expected a number")))
}

fn check_with(scheduler: impl Scheduler + 'static, run: impl Fn() + Send + Sync + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 18;
    config.max_steps = MaxSteps::FailAfter(400_000);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(run);
}

/// Runs a model so many times with threads chosen at random, and as often with priorities.
fn check(model: Model, runs: u64) {
    let seed = number("MODEL_SEED").unwrap_or(1);
    let runs = number("MODEL_RUNS").unwrap_or(runs) as usize;
    let run = move || {
        if let Some(complaint) = run(model) {
            panic!("{complaint}");
        }
    };
    check_with(RandomScheduler::new_from_seed(seed, runs), run);
    check_with(PctScheduler::new_from_seed(seed, 4, runs), run);
}

/// Sees that something planted is found within so many runs, and what is said of it.
fn finds(fault: Fault, runs: usize, complaint: &str) {
    let found: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = found.clone();
    check_with(RandomScheduler::new_from_seed(1, runs), move || {
        all.lock().expect("no holder panics").extend(run(Model { fault: Some(fault), ..MODEL }));
    });
    let found = found.lock().expect("no holder panics");
    assert!(found.iter().any(|found| found.contains(complaint)), "{fault:?} in {runs} runs: {found:?}");
}

#[test]
fn mutators_and_the_service() {
    check(MODEL, 400);
}

#[test]
fn three_isolates() {
    check(Model { isolates: 3, ..MODEL }, 100);
}

#[test]
fn blocking() {
    check(Model { is_blocking: true, ..MODEL }, 200);
}

#[test]
fn the_service_stops_at_any_moment() {
    check(Model { stops_early: true, ..MODEL }, 400);
    check(Model { stops_early: true, is_blocking: true, ..MODEL }, 200);
}

#[test]
fn what_is_planted_is_found() {
    finds(Fault::ChangesFirst, 100, "rests on what has changed");
    finds(Fault::RestsOnNothing, 100, "rests on what has changed");
    finds(Fault::PollsForNothing, 20, "ever compiled");
}
