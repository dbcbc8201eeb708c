//! Deopt all on the requester's own thread: redirected frames, in both ways to redirect.

use crate::assembler::*;
use crate::exit::{header, located};
use crate::host::*;
use crate::portable;
use surmise_deopt::candidate::{CandidateImage, Image, PortableImage};
use surmise_deopt::deopt_all::{Reason, Report, Request, Which};
use surmise_deopt::entry::EntryCell;
use surmise_deopt::frames::{FrameSite, FrameWalk};
use surmise_deopt::host::{Activation, GuestResults, Thrown};
use surmise_deopt::runloop::{Outcome, Runloop};
use surmise_deopt::table::{Boxing, FrameHeader, Place, RootKind};
use surmise_ir::entity::{Register, UnitId};
use surmise_ir::frame_state::When;

/// How frames are redirected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Return,
    Mark,
    /// In place, by the portable backend.
    Portable,
}

pub const METHODS: [Method; 3] = [Method::Return, Method::Mark, Method::Portable];

/// The image for a method: machine code, or what does the same in the portable backend.
fn image(
    method: Method,
    native: impl FnOnce() -> CandidateImage,
    portable: impl FnOnce() -> PortableImage,
) -> Image {
    if method == Method::Portable { portable().into() } else { native().into() }
}

pub fn assembler(method: Method) -> Assembler {
    match method {
        Method::Return => Assembler::new(),
        Method::Mark => Assembler::marked(),
        Method::Portable => unreachable!("it has no machine code"),
    }
}

/// Keeps its first argument, calls a cell with it, and gives the sum of the result, the argument and one.
pub fn summing(method: Method, unit: UnitId, cell: &'static EntryCell) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.store_at(RAX, RSI, 40).load_home(RAX, -6).store_at(RAX, RSI, 32);
    code.call_cell((&raw const *cell).cast(), 32, 1, &[(-6, RootKind::Any)])
        .add_home(RDX, -5)
        .add(RDX, 1)
        .return_();
    let entries = [
        located(0, Boxing::Whole, Place::Frame(-6)),
        located(0, Boxing::Whole, Place::Frame(-5)),
        located(0, Boxing::Whole, Place::Result(0)),
        located(0, Boxing::Whole, Place::Result(1)),
    ];
    let header = FrameHeader { call_results: true, ..header(unit, 5, When::After, 2, 2) };
    code.landing_pad(0).landing_exit(&[(header, &entries)]);
    code.finish("summing", unit, &[])
}

/// Gives its argument to the extern, and returns what that gives plus one, as an integer.
pub fn asking(method: Method, unit: UnitId) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.load_home(RSI, -5).call_extern(CALLBACK, &[(-6, RootKind::Any)]);
    code.bytes(&[0x48, 0x89, 0xc2]).add(RDX, 1).constant(RAX, INT).return_();
    let entries = [
        located(0, Boxing::Whole, Place::Frame(-6)),
        located(0, Boxing::Whole, Place::Frame(-5)),
        located(0, Boxing::Kind(INT as u8), Place::Result(0)),
    ];
    code.landing_pad(0).landing_exit(&[(header(unit, 3, When::After, 2, 1), &entries)]);
    code.finish("asking", unit, &[])
}

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
    host.install(image(method, || asking(method, UnitId(0)), || portable::asking(UnitId(0))));
    for n in 1..cells.len() {
        host.install(image(
            method,
            || summing(method, UnitId(n as u64), cells[n - 1]),
            || portable::summing(UnitId(n as u64), cells[n - 1]),
        ));
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

/// Polls, then returns one more than its argument.
fn polling(method: Method, unit: UnitId) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.poll(&[(-6, RootKind::Any)]).load_home(RDX, -5).add(RDX, 1).load_home(RAX, -6).return_();
    let entries = [located(0, Boxing::Whole, Place::Frame(-6)), located(0, Boxing::Whole, Place::Frame(-5))];
    code.landing_pad(0).landing_exit(&[(header(unit, 0, When::Before, 2, 0), &entries)]);
    code.finish("polling", unit, &[])
}

#[test]
fn a_frame_at_a_poll_goes_on_before_it() {
    for method in METHODS {
        let (runloop, mut host) = TestHost::new();
        let (cell, _) = host.unit(UnitId(1));
        host.install(image(method, || polling(method, UnitId(1)), || portable::polling(UnitId(1))));
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
fn a_request_while_frames_are_made_leaves_them_alone() {
    for method in METHODS {
        // The innermost frame fails a guard; while its frames are made everything is deoptimized, and again while they run.
        let (runloop, mut host) = TestHost::new();
        let cells = chain(&host, method, 3);
        let (failing, _) = host.unit(UnitId(9));
        host.install(crate::exit::failing(UnitId(9)));
        let (outer, _) = host.unit(UnitId(10));
        host.install(image(
            method,
            || summing(method, UnitId(10), failing),
            || portable::summing(UnitId(10), failing),
        ));
        let asks = cells[2];
        host.allocate = Some(Box::new(|host, _, plan| {
            let before = copy(plan);
            host.allocate = Some(Box::new(|_, _, _| Ok(())));
            assert_eq!(deopt_all(host).frames, 1);
            assert_eq!(copy(plan), before);
            Ok(())
        }));
        host.resume = Some(Box::new(move |host, runloop| {
            assert_eq!(host.committed.pop().expect("the frame").0[0].unit, UnitId(9));
            interpreting(host);
            install_chain(host, method, &[asks]);
            assert_eq!(deopt_all(host).frames, 0);
            assert_eq!(runloop.rebuilds_in_progress(), 0);
            Ok(GuestResults::pair(INT as u32, 20, 0))
        }));
        assert_eq!(sum(&mut host, &runloop, outer, 1, 3), Ok(24), "{method:?}");
        assert_eq!(host.committed.len(), 1);
        assert_eq!(host.committed[0].1, Activation::Entered);
    }
}

/// Calls itself with one less until its argument is zero, then asks the host; gives one more than it gets.
pub fn recursive(method: Method, unit: UnitId, cell: &'static EntryCell) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    let bottom = code.jump_if_zero(-5);
    code.add(RAX, -1).store_at(RAX, RSI, 40).load_home(RAX, -6).store_at(RAX, RSI, 32);
    code.call_cell((&raw const *cell).cast(), 32, 1, &[(-6, RootKind::Any)]).add(RDX, 1).return_();
    code.bind(bottom).load_home(RSI, -5).call_extern(CALLBACK, &[]);
    code.bytes(&[0x48, 0x89, 0xc2]).add(RDX, 1).constant(RAX, INT).return_();
    let kept = [located(0, Boxing::Whole, Place::Frame(-6)), located(0, Boxing::Whole, Place::Frame(-5))];
    let results = [located(0, Boxing::Whole, Place::Result(0)), located(0, Boxing::Whole, Place::Result(1))];
    let called = FrameHeader { call_results: true, ..header(unit, 5, When::After, 2, 2) };
    code.landing_pad(0).landing_exit(&[(called, &[kept, results].concat())]);
    let result = [located(0, Boxing::Kind(INT as u8), Place::Result(0))];
    code.landing_pad(1).landing_exit(&[(header(unit, 3, When::After, 2, 1), &[&kept[..], &result].concat())]);
    code.finish("recursive", unit, &[])
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
            host.install(image(
                method,
                || recursive(method, UnitId(1), cell),
                || portable::recursive(UnitId(1), cell),
            ));
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

/// Run with `cargo test --release -p surmise-deopt --test native deopt_all::costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn costs() {
    fn best(depth: usize) -> (f64, f64) {
        let (runloop, mut host) = TestHost::new();
        host.stack = vec![0; (depth + 8) * 4].into();
        let (cell, _) = host.unit(UnitId(1));
        let (mut request, mut nothing) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..50 {
            host.install(recursive(Method::Return, UnitId(1), cell));
            let (send, receive) = std::sync::mpsc::channel();
            host.callback = Some(Box::new(move |host, _, _| {
                let report = deopt_all(host);
                assert_eq!(report.frames, depth + 1);
                let idle = deopt_all(host);
                send.send((report.time, idle.time)).expect("somebody listens");
                Err(Thrown)
            }));
            host.set(1, int(depth as i64));
            assert_eq!(host.enter(&runloop, cell, 1, 1), Outcome::Thrown);
            let (time, idle) = receive.recv().expect("it was measured");
            request = request.min(time.as_nanos() as f64);
            nothing = nothing.min(idle.as_nanos() as f64);
            // SAFETY: no runloop is active.
            unsafe { host.isolate.reclaim() };
        }
        (request, nothing)
    }
    let work = || {
        for depth in [10, 100, 1_000, 10_000] {
            let (request, nothing) = best(depth);
            let each = request / (depth + 1) as f64;
            println!(
                "{depth:6} frames: {request:9.0} ns, {each:5.1} ns a frame; a request that concerns nothing: {nothing:.0} ns"
            );
        }
    };
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(work);
    thread.expect("a thread").join().expect("it comes to its end");
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
