//! Deopt all on the requester's own thread: redirected frames, in both ways to redirect.

use crate::host::*;
use crate::units::{self, METHODS, Method};
use surmise_deopt::deopt_all::{Reason, Report, Request, Which};
use surmise_deopt::entry::EntryCell;
use surmise_deopt::frames::{FrameSite, FrameWalk};
use surmise_deopt::host::{Activation, GuestResults, Thrown};
use surmise_deopt::runloop::{Outcome, Runloop};
use surmise_ir::entity::{Register, UnitId};
use surmise_ir::frame_state::When;

/// What the interpreter makes of the frame that was committed last: the same sums.
pub fn interpret(host: &mut TestHost) -> i64 {
    let (frames, _) = host.committed.last().expect("a frame was committed");
    let frame = &frames[0];
    let argument = frame.registers[0].1.payload() as i64;
    assert_eq!(frame.registers[0].0, Register(0));
    match frame.call_results {
        Some(results) => results.second as i64 + argument + 1,
        None => frame.results[0].payload() as i64 + 1,
    }
}

pub fn interpreting(host: &mut TestHost) {
    host.resume = Some(Box::new(|host, _| Ok(GuestResults::pair(INT as u32, interpret(host) as u64, 0))));
}

/// Enters a cell with an argument, and gives the result, whoever comes to it.
pub fn sum(
    host: &mut TestHost,
    runloop: &Runloop<TestHost>,
    cell: &EntryCell,
    register: usize,
    argument: i64,
) -> Result<i64, Thrown> {
    host.set(register, int(argument));
    match host.enter(runloop, cell, register, 1) {
        Outcome::Returned([tag, payload]) => {
            assert_eq!(tag, INT);
            Ok(payload as i64)
        }
        Outcome::Resumed => Ok(interpret(host)),
        Outcome::Thrown => Err(Thrown),
    }
}

pub fn everything() -> Request {
    Request { which: Which::All, reason: Reason::Requested }
}

pub fn deopt_all(host: &TestHost) -> Report {
    // SAFETY: asked for in a function that compiled code called, or outside of it, by the only thread.
    unsafe { host.isolate.deopt_all(everything()) }
}

/// So many units that call each other down to one that asks the host.
pub fn chain(host: &TestHost, method: Method, length: usize) -> Vec<&'static EntryCell> {
    host.isolate.set_checked(true);
    let cells: Vec<_> = (0..length).map(|n| host.unit(UnitId(n as u64)).0).collect();
    install_chain(host, method, &cells);
    cells
}

pub fn install_chain(host: &TestHost, method: Method, cells: &[&'static EntryCell]) {
    host.install(units::asking(method, UnitId(0)));
    for n in 1..cells.len() {
        host.install(units::summing(method, UnitId(n as u64), cells[n - 1]));
    }
}

#[test]
fn every_frame_goes_on_in_the_interpreter_after_its_call() {
    for method in METHODS {
        for length in [1, 2, 3, 20] {
            let (runloop, mut host) = TestHost::new();
            let cells = chain(&host, method, length);
            interpreting(&mut host);
            host.callback = Some(Box::new(|_, _, argument| Ok(argument * 100)));
            let expected = sum(&mut host, &runloop, cells[length - 1], 1, 7);
            assert!(host.committed.is_empty());
            host.callback = Some(Box::new(move |host, _, argument| {
                let report = deopt_all(host);
                assert_eq!(
                    (report.runloops, report.frames, report.candidates),
                    (1, length, length),
                    "{method:?}"
                );
                assert_eq!(report.reclaimed, 0);
                Ok(argument * 100)
            }));
            assert_eq!(
                sum(&mut host, &runloop, cells[length - 1], 1, 7),
                expected,
                "{method:?}, {length} frames"
            );
            let order: Vec<_> =
                host.committed.iter().map(|(frames, activation)| (frames[0].unit, *activation)).collect();
            let activation = |n| if n + 1 == length { Activation::Entered } else { Activation::Called };
            let expected: Vec<_> = (0..length).map(|n| (UnitId(n as u64), activation(n))).collect();
            assert_eq!(order, expected);
            assert!(cells.iter().all(|cell| !cell.is_compiled()));
            // SAFETY: no runloop is active.
            assert_eq!(unsafe { host.isolate.reclaim() }.reclaimed, length);
            assert_eq!(host.isolate.space().statistics().blocks, 0);
        }
    }
}

#[test]
fn a_request_that_concerns_nothing_does_nothing() {
    let (runloop, mut host) = TestHost::new();
    let cells = chain(&host, Method::Return, 2);
    host.callback = Some(Box::new(move |host, _, argument| {
        assert_eq!(deopt_all(host).frames, 2);
        let again = deopt_all(host);
        assert_eq!(Report { time: Default::default(), ..again }, Report::default());
        assert_eq!(host.isolate.generation(), 1);
        Ok(argument)
    }));
    interpreting(&mut host);
    assert_eq!(sum(&mut host, &runloop, cells[1], 1, 1), Ok(4));
}

#[test]
fn a_second_request_finds_new_frames_only() {
    for method in METHODS {
        // In the callback new candidates are installed and entered, which ask again.
        let (runloop, mut host) = TestHost::new();
        let cells = chain(&host, method, 3);
        let again = cells.clone();
        interpreting(&mut host);
        host.callback = Some(Box::new(move |host, runloop, argument| {
            assert_eq!(deopt_all(host).frames, 3);
            install_chain(host, method, &again);
            host.callback = Some(Box::new(|host, _, argument| {
                assert_eq!(deopt_all(host).frames, 3);
                Ok(argument)
            }));
            sum(host, runloop, again[2], 100, 1).map(|sum| sum as u64 + argument)
        }));
        // Inside: 1 + 1, + 1 + 1, + 1 + 1; outside the same from 6 + 10 on.
        assert_eq!(sum(&mut host, &runloop, cells[2], 1, 10), Ok(16 + 1 + 11 + 11), "{method:?}");
        // SAFETY: no runloop is active.
        assert_eq!(unsafe { host.isolate.reclaim() }.waiting, 0);
    }
}

#[test]
fn an_error_takes_redirected_frames_with_it() {
    for method in METHODS {
        let (runloop, mut host) = TestHost::new();
        let cells = chain(&host, method, 4);
        interpreting(&mut host);
        host.callback = Some(Box::new(|host, _, _| {
            assert_eq!(deopt_all(host).frames, 4);
            Err(Thrown)
        }));
        assert_eq!(sum(&mut host, &runloop, cells[3], 1, 1), Err(Thrown));
        assert!(host.committed.is_empty());
        // Frames of new candidates at the very same places are not redirected.
        install_chain(&host, method, &cells);
        host.callback = Some(Box::new(|host, runloop, argument| {
            let map = host.isolate.space().map().snapshot();
            // SAFETY: the only runloop, in a callback.
            assert!(unsafe { FrameWalk::new(runloop.context(), &map) }.all(|frame| !frame.is_redirected));
            Ok(argument)
        }));
        assert_eq!(sum(&mut host, &runloop, cells[3], 1, 1), Ok(8));
        assert!(host.committed.is_empty());
    }
}

#[test]
fn frames_below_nested_runloops_are_redirected_too() {
    for method in METHODS {
        for depth in 1..=3 {
            let (runloop, mut host) = TestHost::new();
            let cells = chain(&host, method, 3);
            interpreting(&mut host);
            fn nest(cell: &'static EntryCell, depth: usize, all: usize) -> Callback {
                Box::new(move |host, runloop, argument| {
                    if depth == 0 {
                        assert_eq!(deopt_all(host).frames, all);
                        return Ok(argument);
                    }
                    host.callback = Some(nest(cell, depth - 1, all));
                    Ok(sum(host, runloop, cell, depth * 50, argument as i64)? as u64)
                })
            }
            let expected = (0..=depth as i64).fold(1, |sum, _| sum + 1 + 2 * 2);
            host.callback = Some(nest(cells[2], depth, 3 * (depth + 1)));
            assert_eq!(sum(&mut host, &runloop, cells[2], 1, 1), Ok(expected), "{method:?} at depth {depth}");
            assert_eq!(host.committed.len(), 3 * (depth + 1));
        }
    }
}

#[test]
fn the_collector_finds_the_roots_of_redirected_frames() {
    for method in METHODS {
        let (runloop, mut host) = TestHost::new();
        let cells = chain(&host, method, 3);
        interpreting(&mut host);
        host.callback = Some(Box::new(|host, runloop, argument| {
            deopt_all(host);
            assert_eq!(host.move_roots(1000), [5, 5, 5]);
            let map = host.isolate.space().map().snapshot();
            // SAFETY: the only runloop, in a callback.
            for frame in unsafe { FrameWalk::new(runloop.context(), &map) } {
                assert!(frame.is_redirected && frame.site == FrameSite::Call(0));
            }
            Ok(argument)
        }));
        assert_eq!(sum(&mut host, &runloop, cells[2], 1, 5), Ok(6 + 1006 + 1006));
    }
}

#[test]
fn a_frame_at_a_poll_goes_on_before_it() {
    for method in METHODS {
        let (runloop, mut host) = TestHost::new();
        let (cell, _) = host.unit(UnitId(1));
        host.install(units::polling(method, UnitId(1)));
        host.poll = Some(Box::new(|_, _| Ok(())));
        host.isolate.request_poll();
        assert_eq!(sum(&mut host, &runloop, cell, 1, 4), Ok(5));
        host.poll = Some(Box::new(|host, _| {
            assert_eq!(deopt_all(host).frames, 1);
            Ok(())
        }));
        host.isolate.request_poll();
        host.set(1, int(4));
        assert_eq!(host.enter(&runloop, cell, 1, 1), Outcome::Resumed);
        let frame = &host.committed[0].0[0];
        assert_eq!(
            (frame.resume, &frame.registers[..]),
            (resume_at(0, When::Before), &[(Register(0), int(4))][..])
        );
    }
}

#[test]
fn a_deep_recursion_is_redirected() {
    const DEPTH: usize = 10_000;
    for method in METHODS {
        let work = move || {
            let (runloop, mut host) = TestHost::new();
            host.isolate.set_checked(true);
            host.stack = vec![0; (DEPTH + 8) * 4].into();
            let (cell, _) = host.unit(UnitId(1));
            host.install(units::recursive(method, UnitId(1), cell));
            host.callback = Some(Box::new(move |host, _, _| {
                assert_eq!(deopt_all(host).frames, DEPTH + 1, "{method:?}");
                Ok(0)
            }));
            host.resume = Some(Box::new(|host, _| {
                let (frames, _) = host.committed.pop().expect("a frame was committed");
                let result = match frames[0].call_results {
                    Some(results) => results.second + 1,
                    None => frames[0].results[0].payload() + 1,
                };
                Ok(GuestResults::pair(INT as u32, result, 0))
            }));
            host.set(1, int(DEPTH as i64));
            assert_eq!(host.enter(&runloop, cell, 1, 1), Outcome::Resumed);
            let outermost = &host.committed.pop().expect("the outermost frame").0[0];
            let results = outermost.call_results.expect("it was in a call");
            assert_eq!(results.second, DEPTH as u64);
            assert_eq!(outermost.registers[0].1, int(DEPTH as i64));
        };
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(work);
        thread.expect("a thread").join().expect("the recursion comes back");
    }
}

/// Where stacks are checked, the slots of an invalid candidate are poisoned as long as its frames keep them: a read would fault.
#[test]
fn slots_that_may_not_be_read_are_poisoned() {
    let (runloop, mut host) = TestHost::new();
    let cells = chain(&host, Method::Return, 1);
    interpreting(&mut host);
    let number = host.isolate.candidates()[0].id().0;
    host.callback = Some(Box::new(move |host, _, argument| {
        // An array has one word more than its slots.
        let slots = host.isolate.effective_slots().get(number).cast::<u64>();
        assert!(!slots.is_null());
        let poison = surmise_deopt::slots::protected_page();
        // SAFETY: the candidate's frame is there, and keeps the array.
        let before = unsafe { slots.read() };
        assert_eq!(deopt_all(host).frames, 1);
        // SAFETY: as above.
        let after = unsafe { slots.read() };
        assert!(before != poison as u64 && after == poison as u64);
        let maps = std::fs::read_to_string("/proc/self/maps").expect("this is Linux");
        let page = maps.lines().find(|line| {
            let (range, _) = line.split_once(' ').expect("a line of mappings");
            let (start, end) = range.split_once('-').expect("a range");
            let address = |text| usize::from_str_radix(text, 16).expect("an address");
            (address(start)..address(end)).contains(&poison)
        });
        assert!(page.expect("the page is mapped").contains("---p"));
        Ok(argument)
    }));
    assert_eq!(sum(&mut host, &runloop, cells[0], 1, 5), Ok(6));
}
