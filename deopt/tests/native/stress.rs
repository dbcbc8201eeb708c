//! Deoptimization of everything at the worst moments: while frames are rebuilt, while a candidate is installed, and from other threads at
//! random. (While one is compiled: `tests/tests/stress.rs`, with a service.)
//!
//! `SEED=n cargo test --release -p surmise-deopt --test native stress` repeats what threads do at random; a failure says its seed.

use crate::deopt_all::{chain, deopt_all, everything, interpret, interpreting, sum};
use crate::host::*;
use crate::random::{Figures, Plan, run_world};
use crate::units::{self, ASSUMPTION, METHODS, Method};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use surmise_deopt::candidate::{CandidateId, Image};
use surmise_deopt::deopt_all::{Assumption, Report};
use surmise_deopt::host::GuestResults;
use surmise_deopt::isolate::{InstallError, Isolate, NoAssumption};
use surmise_deopt::rebuild::RebuildPlan;
use surmise_deopt::runloop::Runloop;
use surmise_deopt::slots::SlotValue;
use surmise_ir::entity::UnitId;
use surmise_ir::language::Recipe;

/// A number from the environment.
fn number(variable: &str, usual: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text}: expected a number")),
        Err(_) => usual,
    }
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// The thread itself.
    Own,
    /// Another one, while the thread is away in native code.
    OtherWhileAway,
    /// Another one, which waits for the thread's poll.
    OtherUntilPolled,
}

const ALL: [Who; 3] = [Who::Own, Who::OtherWhileAway, Who::OtherUntilPolled];

/// Has everything deoptimized now, at a safepoint of the runloop.
fn strike(who: Who, runloop: &Runloop<TestHost>) -> Report {
    let isolate = runloop.isolate().clone();
    // SAFETY: of the thread that asks no runloop is registered.
    let other =
        |isolate: Arc<Isolate>| std::thread::spawn(move || unsafe { isolate.deopt_all(everything()) });
    let report = match who {
        // SAFETY: at a safepoint (the caller sees to it).
        Who::Own => return unsafe { isolate.deopt_all(everything()) },
        Who::OtherWhileAway => {
            // SAFETY: as above.
            unsafe { runloop.leave() };
            let report = other(isolate).join();
            runloop.come_back();
            report
        }
        Who::OtherUntilPolled => {
            let asker = other(isolate);
            while !asker.is_finished() {
                runloop.take_poll();
                std::thread::yield_now();
            }
            asker.join()
        }
    };
    report.expect("who asks does not panic")
}

/// A guard fails on top of two frames; everything is deoptimized while the frame is rebuilt, between its values' reading and its
/// commit, and again while it runs: the frames below leave behind their calls, the one being rebuilt is what it was.
#[test]
fn while_a_failed_frame_is_rebuilt() {
    for method in METHODS {
        for who in ALL {
            let (runloop, mut host) = TestHost::new();
            host.isolate.set_checked(true);
            let cells: Vec<_> = (0..3).map(|n| host.unit(UnitId(n)).0).collect();
            let failing = host.install(units::failing(method, UnitId(0)));
            let install_above = move |host: &TestHost| {
                host.install(units::summing(method, UnitId(1), cells[0]));
                host.install(units::summing(method, UnitId(2), cells[1]))
            };
            let outer = host.unit(UnitId(2)).0;
            install_above(&host);
            let strikes = Rc::new(Cell::new(0));
            let struck = strikes.clone();
            host.allocate = Some(Box::new(move |host, runloop, plan: &RebuildPlan| {
                assert_eq!(runloop.rebuilds_in_progress(), 1);
                if plan.frames().next().expect("a frame").unit() != UnitId(0) {
                    return Ok(());
                }
                let before = copy(plan);
                let report = strike(who, runloop);
                assert_eq!((report.candidates, report.frames), (3, 2), "{method:?}, {who:?}");
                // The code that the frame stands in is needed until it has returned.
                assert_eq!(report.reclaimed, 0);
                assert_eq!(copy(plan), before);
                // Values that a collection moves meanwhile are moved in the plan too.
                host.move_roots(0);
                struck.set(struck.get() + 1);
                Ok(())
            }));
            let struck = strikes.clone();
            host.resume = Some(Box::new(move |host, runloop| {
                assert_eq!(runloop.rebuilds_in_progress(), 0);
                let (frames, _) = host.committed.last().expect("the frame");
                if frames[0].unit != UnitId(0) {
                    return Ok(GuestResults::pair(INT as u32, interpret(host) as u64, 0));
                }
                assert_eq!(frames[0].registers[0].1, int(5));
                // While it runs: of the old frames none is left to be redirected; new candidates have none yet.
                install_above(host);
                let report = strike(who, runloop);
                assert_eq!((report.candidates, report.frames), (2, 0), "{method:?}, {who:?}");
                struck.set(struck.get() + 1);
                Ok(GuestResults::pair(INT as u32, 20, 0))
            }));
            assert_eq!(sum(&mut host, &runloop, outer, 1, 5), Ok(20 + 6 + 6), "{method:?}, {who:?}");
            assert_eq!(strikes.get(), 2, "both strikes came while the frame was rebuilt and run");
            let order: Vec<_> = host.committed.iter().map(|(frames, _)| frames[0].unit).collect();
            assert_eq!(order, [UnitId(0), UnitId(1), UnitId(2)]);
            assert!(!host.isolate.candidates().iter().any(|candidate| candidate.id() == failing));
            is_empty(&host);
        }
    }
}

/// The frame that is rebuilt is one that the first request has redirected: a second one strikes while it lands.
#[test]
fn while_a_redirected_frame_is_rebuilt() {
    for method in METHODS {
        for who in ALL {
            let (runloop, mut host) = TestHost::new();
            let cells = chain(&host, method, 3);
            interpreting(&mut host);
            host.callback = Some(Box::new(|host, _, argument| {
                assert_eq!(deopt_all(host).frames, 3);
                Ok(argument)
            }));
            let (strikes, outermost) = (Rc::new(Cell::new(0)), cells[2]);
            let (struck, all) = (strikes.clone(), cells.clone());
            host.allocate = Some(Box::new(move |host, runloop, plan| {
                assert_eq!(runloop.rebuilds_in_progress(), 1);
                let before = copy(plan);
                crate::deopt_all::install_chain(host, method, &all);
                let report = strike(who, runloop);
                assert_eq!((report.candidates, report.frames), (3, 0), "{method:?}, {who:?}");
                // And one strikes the frames of a call that is made at this moment, as a finalizer makes one.
                if struck.get() == 1 {
                    crate::deopt_all::install_chain(host, method, &all);
                    let outer = (host.callback.take(), host.allocate.take(), host.committed.len());
                    host.callback = Some(Box::new(move |_, runloop, argument| {
                        assert_eq!(runloop.rebuilds_in_progress(), 1);
                        assert_eq!(strike(who, runloop).frames, 3);
                        Ok(argument)
                    }));
                    assert_eq!(sum(host, runloop, outermost, 200, 1), Ok(2 + 2 + 2));
                    assert_eq!(host.committed.len(), outer.2 + 3);
                    host.committed.truncate(outer.2);
                    (host.callback, host.allocate) = (outer.0, outer.1);
                }
                assert_eq!(copy(plan), before);
                struck.set(struck.get() + 1);
                Ok(())
            }));
            assert_eq!(sum(&mut host, &runloop, cells[2], 1, 7), Ok(8 + 8 + 8), "{method:?}, {who:?}");
            assert_eq!(strikes.get(), 3, "each of the three frames was struck while it was rebuilt");
            assert_eq!(host.committed.len(), 3);
            is_empty(&host);
        }
    }
}

/// Nothing is left of code and slots.
fn is_empty(host: &TestHost) {
    deopt_all(host);
    // SAFETY: no runloop is active.
    unsafe { host.isolate.reclaim() };
    let statistics = host.isolate.space().statistics();
    assert_eq!((statistics.blocks, statistics.used, host.isolate.retired_count()), (0, 0, 0));
}

/// The moments of an installation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// The code is in memory, the candidate is not installed.
    Loaded,
    /// So many of its slots are filled.
    Filled(usize),
    /// All slots are filled, and the host is asked for the assumption.
    Named,
    /// It can be entered.
    Published,
}

const MOMENTS: [Moment; 5] =
    [Moment::Loaded, Moment::Filled(0), Moment::Filled(1), Moment::Named, Moment::Published];

/// The unit with two slots, resting on an assumption.
fn resting(method: Method, unit: UnitId) -> Image {
    let recipe = Recipe { class: ASSUMPTION, words: [0, 0] };
    match units::slotted(method, unit) {
        Image::Native(mut image) => {
            image.assumptions.push(recipe);
            image.into()
        }
        Image::Portable(mut image) => {
            image.assumptions.push(recipe);
            image.into()
        }
    }
}

/// Installs it in a callback, and does something at a moment of that.
fn install_at(
    host: &TestHost,
    method: Method,
    unit: UnitId,
    assumption: Assumption,
    moment: Moment,
    deed: &dyn Fn(),
) -> Result<CandidateId, InstallError> {
    // SAFETY: the image is what it says.
    let loaded = unsafe { host.isolate.space().load(resting(method, unit), &language()) }?;
    if moment == Moment::Loaded {
        deed();
    }
    let mut resolve = |recipe: &Recipe| {
        if recipe.class == ASSUMPTION {
            let value = assumption.as_slot_value();
            if moment == Moment::Named {
                deed();
            }
            return Some(value);
        }
        let slot = recipe.words[0] as usize;
        if moment == Moment::Filled(slot) {
            deed();
            // What is filled so far is found by the collector, and no more.
            let mut filled = 0;
            // SAFETY: the only runloop is on this thread, at a safepoint.
            unsafe { host.isolate.visit_slots(&mut |_| filled += 1) };
            assert_eq!(filled, slot);
        }
        Some(SlotValue::pair(INT, 100 + slot as u64))
    };
    // SAFETY: as above; the slots are values.
    let id = unsafe { host.isolate.install_loaded(&loaded, &mut resolve) }?;
    if moment == Moment::Published {
        deed();
    }
    Ok(id)
}

/// Everything is deoptimized while a candidate is being installed in a callback: the frames below are redirected, and the
/// candidate, which rests on nothing that has changed, is none of the request's unless it was published.
#[test]
fn while_a_candidate_is_installed() {
    for method in METHODS {
        for moment in MOMENTS {
            for who in ALL {
                let place = format!("{method:?}, {moment:?}, {who:?}");
                let (runloop, mut host) = TestHost::new();
                let cells = chain(&host, method, 3);
                let (cell, _) = host.unit(UnitId(9));
                let assumption = host.isolate.assume();
                interpreting(&mut host);
                let strikes = Rc::new(Cell::new(0));
                let struck = strikes.clone();
                host.callback = Some(Box::new(move |host, runloop, argument| {
                    host.callback = Some(Box::new(|_, _, argument| Ok(argument * 2)));
                    let deed = || {
                        let report = strike(who, runloop);
                        let published = usize::from(moment == Moment::Published);
                        assert_eq!((report.candidates, report.frames), (3 + published, 3), "{moment:?}");
                        struck.set(struck.get() + 1);
                    };
                    let installed = install_at(host, method, UnitId(9), assumption, moment, &deed);
                    assert_eq!(cell.is_compiled(), moment != Moment::Published);
                    assert!(installed.is_ok());
                    if cell.is_compiled() {
                        // Its slots are what they were filled with, and what rests on the assumption is known.
                        assert_eq!(sum(host, runloop, cell, 100, 4), Ok(100 + 101 + 8));
                        assert_eq!(host.isolate.dependents(assumption).len(), 1);
                    }
                    Ok(argument)
                }));
                assert_eq!(sum(&mut host, &runloop, cells[2], 1, 7), Ok(8 + 8 + 8), "{place}");
                assert_eq!(strikes.get(), 1, "{place}");
                assert_eq!(host.committed.len(), 3, "{place}");
                is_empty(&host);
            }
        }
    }
}

/// What a candidate rests on breaks while it is installed: it is not, and nothing of it is left; once it is published, it is
/// deoptimized.
#[test]
fn while_a_candidate_is_installed_what_it_rests_on_breaks() {
    for method in METHODS {
        for moment in MOMENTS {
            let place = format!("{method:?}, {moment:?}");
            let (_runloop, host) = TestHost::new();
            host.isolate.set_checked(true);
            let (cell, _) = host.unit(UnitId(9));
            let assumption = host.isolate.assume();
            let broken = Cell::new(0);
            let deed = || {
                // SAFETY: outside of compiled code, by the only thread.
                let report = unsafe { host.isolate.invalidate(assumption) }.expect("the isolate's own");
                assert_eq!(report.candidates, usize::from(moment == Moment::Published), "{place}");
                broken.set(broken.get() + 1);
            };
            let installed = install_at(&host, method, UnitId(9), assumption, moment, &deed);
            assert_eq!(broken.get(), 1, "{place}");
            match installed {
                Ok(_) => assert_eq!(moment, Moment::Published),
                Err(InstallError::Assumption { problem: NoAssumption::Unusable(_), .. }) => {
                    assert_ne!(moment, Moment::Published, "{place}");
                }
                Err(other) => panic!("{place}: {other}"),
            }
            assert!(!cell.is_compiled() && host.isolate.candidates().is_empty(), "{place}");
            // SAFETY: no runloop is active.
            unsafe { host.isolate.reclaim() };
            assert_eq!(host.isolate.space().statistics().blocks, 0, "{place}");
            assert!(host.isolate.effective_slots().get(0).is_null(), "{place}");
            assert!(host.isolate.dependents(assumption).is_empty(), "{place}");
            let mut filled = 0;
            // SAFETY: as above.
            unsafe { host.isolate.visit_slots(&mut |_| filled += 1) };
            assert_eq!(filled, 0, "{place}");
        }
    }
}

/// Threads that call, install, ask, throw, stay away and call back, and others that only ask. `STRESS_REQUESTS` asks for more.
#[test]
fn from_other_threads_at_random() {
    let (seed, requests) = (number("SEED", 1), number("STRESS_REQUESTS", 3_000));
    for method in METHODS {
        for (threads, requesters) in [(1, 1), (3, 0), (3, 2)] {
            let plan = Plan { method, seed, threads, requesters, requests };
            let figures = run_world(plan);
            println!("{plan:?}: {figures:?}");
            assert!(
                figures.requests >= requests && figures.frames > 0 && figures.left > 0,
                "{plan:?}: {figures:?}"
            );
            assert!(figures.stays > 0 && figures.errors > 0, "{plan:?}: {figures:?}");
            assert_eq!(figures.from_outside > 0, requesters > 0, "{plan:?}: {figures:?}");
        }
    }
}

/// One thread alone does the same each time that it is given the same seed, and something else with another one.
#[test]
fn a_seed_repeats_a_run() {
    for method in METHODS {
        let run = |seed| run_world(Plan { method, seed, threads: 1, requesters: 0, requests: 500 });
        let first: Figures = run(7);
        assert_eq!(run(7), first, "{method:?}");
        assert_ne!(run(8), first, "{method:?}");
    }
}
