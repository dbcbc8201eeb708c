//! Several threads in one isolate, and isolates on many threads that share code.

use crate::deopt_all::{everything, interpreting, sum};
use crate::host::*;
use crate::units::{self, METHODS, Method};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;
use surmise_deopt::candidate::Image;
use surmise_deopt::deopt_all::{Reason, Report};
use surmise_deopt::entry::EntryCell;
use surmise_deopt::host::GuestResults;
use surmise_deopt::isolate::Isolate;
use surmise_deopt::loaded::CodeSpace;
use surmise_deopt::runloop::Outcome;
use surmise_deopt::runloop::Runloop;
use surmise_deopt::slots::SlotValue;
use surmise_ir::entity::UnitId;

/// What the busy unit's slot holds.
const SLOT: u64 = 0x5107;

fn install(isolate: &Isolate, image: impl Into<Image>) {
    // SAFETY: the image is what it says; its slot holds an integer.
    unsafe { isolate.install(image, &mut |_| Some(SlotValue::pair(INT, SLOT))) }.expect("it is installed");
}

/// A unit of an isolate that outlives the test.
fn cell_of(isolate: &Isolate, unit: UnitId) -> &'static EntryCell {
    let cell: &'static EntryCell = Box::leak(Box::new(EntryCell::new()));
    // SAFETY: the cell lives for ever.
    unsafe { isolate.register_unit(unit, std::ptr::NonNull::from(cell)) };
    cell
}

fn isolate_of(space: &Arc<CodeSpace>) -> Arc<Isolate> {
    // SAFETY: nothing that is compiled here calls the extern.
    unsafe { Isolate::new(space, &language(), &[("callback", std::ptr::null())]) }.expect("an isolate")
}

/// Runs the busy unit until it is told to stop. Returns how often it was run, and how often its frame went on in the interpreter.
fn run_busily(isolate: Arc<Isolate>, cell: &'static EntryCell, is_over: &AtomicBool) -> (usize, usize) {
    let (runloop, mut host) = TestHost::of(isolate);
    host.poll = Some(Box::new(|_, _| Ok(())));
    // The cell may be empty by the time its code is read.
    host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::pair(INT as u32, SLOT, 0))));
    let (mut runs, mut rebuilt) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        runloop.take_poll();
        if !cell.is_compiled() {
            std::thread::yield_now();
            continue;
        }
        host.set(1, int(20_000));
        runs += 1;
        match host.enter(&runloop, cell, 1, 1) {
            Outcome::Returned(words) => assert_eq!(words, [INT, SLOT]),
            Outcome::Resumed => {
                rebuilt += 1;
                let left = host.committed.pop().expect("a frame").0[0].registers[0].1;
                assert!(left.payload() <= 20_000);
            }
            Outcome::Thrown => panic!("nothing throws"),
        }
    }
    (runs, rebuilt)
}

/// Requests from this thread against so many busy ones; what each took.
fn requests(threads: usize, count: usize, method: Method) -> Vec<Duration> {
    let space = CodeSpace::new(1 << 20).expect("an arena");
    let isolate = isolate_of(&space);
    isolate.set_checked(true);
    let cell = cell_of(&isolate, UnitId(1));
    let is_over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (isolate, is_over) = (isolate.clone(), is_over.clone());
            std::thread::spawn(move || run_busily(isolate, cell, &is_over))
        })
        .collect();
    while isolate.runloop_count() < threads {
        std::thread::yield_now();
    }
    let mut times = Vec::new();
    let mut frames = 0;
    for _ in 0..count {
        install(&isolate, units::busy(method, UnitId(1)));
        std::thread::sleep(Duration::from_micros(200));
        // SAFETY: this thread has no runloop here.
        let report = unsafe { isolate.deopt_all(everything()) };
        assert_eq!((report.candidates, report.runloops), (1, threads));
        assert!(report.frames <= threads && !cell.is_compiled());
        frames += report.frames;
        times.push(report.time);
    }
    is_over.store(true, Ordering::Relaxed);
    let (mut runs, mut rebuilt) = (0, 0);
    for worker in workers {
        let (r, b) = worker.join().expect("no thread panics");
        runs += r;
        rebuilt += b;
    }
    assert_eq!(
        frames, rebuilt,
        "each redirected frame goes on in the interpreter, and no other one; {runs} runs"
    );
    // SAFETY: no runloop is left.
    unsafe { isolate.reclaim() };
    assert_eq!(space.statistics().blocks, 0);
    times.sort();
    times
}

#[test]
fn busy_threads_answer_at_their_polls() {
    for method in METHODS {
        for threads in [1, 2, 5] {
            requests(threads, 60, method);
        }
    }
}

#[test]
fn threads_that_ask_at_once_wait_for_each_other_and_not_for_ever() {
    let space = CodeSpace::new(1 << 20).expect("an arena");
    let isolate = isolate_of(&space);
    let cell = cell_of(&isolate, UnitId(1));
    const THREADS: usize = 4;
    let (start, asked) = (Arc::new(Barrier::new(THREADS)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (isolate, start, asked) = (isolate.clone(), start.clone(), asked.clone());
            std::thread::spawn(move || {
                let (runloop, mut host) = TestHost::of(isolate.clone());
                host.poll = Some(Box::new(|_, _| Ok(())));
                host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::default())));
                start.wait();
                for round in 0..200 {
                    if round % 3 == 0 {
                        install(&isolate, units::busy(Method::Return, UnitId(1)));
                    }
                    host.set(1, int(50));
                    // With several candidates installed, none is in the cell.
                    if cell.is_compiled() {
                        host.enter(&runloop, cell, 1, 1);
                        host.committed.clear();
                    }
                    // SAFETY: outside of compiled code, and the cell is read anew.
                    let report: Report = unsafe { isolate.deopt_all(everything()) };
                    asked.fetch_add(usize::from(report.candidates > 0), Ordering::Relaxed);
                }
                // Others may still ask.
                // SAFETY: outside of compiled code.
                unsafe { runloop.leave() };
                start.wait();
                runloop.come_back();
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no thread panics");
    }
    assert!(asked.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_thread_that_was_visited_by_another_is_asked_to_poll() {
    let space = CodeSpace::new(1 << 20).expect("an arena");
    let isolate = isolate_of(&space);
    cell_of(&isolate, UnitId(1));
    install(&isolate, units::busy(Method::Return, UnitId(1)));
    let (runloop, _host) = TestHost::of(isolate.clone());
    let asked = isolate.clone();
    // SAFETY: outside of compiled code.
    unsafe { runloop.leave() };
    // SAFETY: that thread has no runloop here.
    let asker = std::thread::spawn(move || unsafe { asked.deopt_all(everything()) });
    assert_eq!(asker.join().expect("it does not panic").candidates, 1);
    runloop.come_back();
    assert!(runloop.take_poll(), "it does not learn that its candidates are gone");
}

#[test]
fn a_thread_in_native_code_is_visited_where_it_stands() {
    for method in METHODS {
        let (tell, hear) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let worker = std::thread::spawn(move || {
            let (runloop, mut host) = TestHost::new();
            host.isolate.set_checked(true);
            let (cell, _) = host.unit(UnitId(0));
            host.install(units::asking(method, UnitId(0)));
            interpreting(&mut host);
            tell.send(host.isolate.clone()).expect("the test listens");
            host.callback = Some(Box::new(move |_, runloop, argument| {
                // SAFETY: in a function that may run guest code.
                unsafe { runloop.leave() };
                tell.send(runloop.isolate().clone()).expect("the test listens");
                wait.recv().expect("the test goes on");
                runloop.come_back();
                Ok(argument * 3)
            }));
            let result = sum(&mut host, &runloop, cell, 1, 5);
            (result, host.committed.len())
        });
        hear.recv().expect("the isolate");
        let isolate = hear.recv().expect("the thread is away");
        // SAFETY: this thread has no runloop here.
        let report = unsafe { isolate.deopt_all(everything()) };
        assert_eq!((report.frames, report.candidates, report.runloops), (1, 1, 1), "{method:?}");
        assert!(report.time < Duration::from_secs(5));
        go_on.send(()).expect("the thread waits");
        assert_eq!(worker.join().expect("it does not panic"), (Ok(16), 1));
    }
}

/// A runloop that is parked, as a coroutine's is, does not keep a request waiting for its thread, which is blocked in native code by way
/// of another runloop.
#[test]
fn parked_runloops_of_a_blocked_thread_delay_nothing() {
    for method in METHODS {
        let (tell, hear) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let worker = std::thread::spawn(move || {
            let (runloop, mut host) = TestHost::new();
            let (cell, _) = host.unit(UnitId(0));
            host.install(units::asking(method, UnitId(0)));
            interpreting(&mut host);
            // The frame of the first one waits in its callback, in which the second one goes away.
            let mut parked =
                Some(Runloop::<TestHost>::register(&host.isolate).expect("this machine is supported"));
            host.callback = Some(Box::new(move |_, runloop, argument| {
                if let Some(second) = parked.take() {
                    // SAFETY: outside of its compiled code.
                    unsafe { second.leave() };
                    tell.send(runloop.isolate().clone()).expect("the test listens");
                    wait.recv().expect("the test goes on");
                    second.come_back();
                }
                Ok(argument * 3)
            }));
            let result = sum(&mut host, &runloop, cell, 1, 5);
            (result, host.committed.len())
        });
        let isolate = hear.recv().expect("the thread is away");
        // SAFETY: this thread has no runloop here.
        let report = unsafe { isolate.deopt_all(everything()) };
        assert_eq!((report.frames, report.candidates, report.runloops), (1, 1, 2), "{method:?}");
        assert!(report.time < Duration::from_secs(5));
        go_on.send(()).expect("the thread waits");
        assert_eq!(worker.join().expect("it does not panic"), (Ok(16), 1));
    }
}

#[test]
fn everywhere_is_every_isolate() {
    let space = CodeSpace::new(1 << 20).expect("an arena");
    let image = units::busy(Method::Return, UnitId(1));
    // SAFETY: the image is what it says.
    let loaded = unsafe { space.load(image, &language()) }.expect("it is loaded");
    let isolates: Vec<_> = (0..3).map(|_| isolate_of(&space)).collect();
    let cells: Vec<_> = isolates.iter().map(|isolate| cell_of(isolate, UnitId(1))).collect();
    for isolate in &isolates {
        // SAFETY: as above; the slot holds an integer.
        unsafe { isolate.install_loaded(&loaded, &mut |_| Some(SlotValue::pair(INT, SLOT))) }
            .expect("it is installed");
    }
    let id = loaded.candidate().id();
    // SAFETY: no runloop is registered.
    let report = unsafe { isolates[1].deopt_all(everything()) };
    assert_eq!((report.candidates, report.reclaimed), (1, 1));
    assert_eq!(cells.iter().map(|cell| cell.is_compiled()).collect::<Vec<_>>(), [true, false, true]);
    assert!(
        isolates[1].effective_slots().get(id.0).is_null()
            && !isolates[2].effective_slots().get(id.0).is_null()
    );
    drop(loaded);
    // SAFETY: as above.
    assert_eq!(unsafe { space.deopt_everywhere(Reason::Requested) }.candidates, 2);
    assert_eq!(space.statistics().blocks, 0);
}
