//! Entering and leaving compiled code.

use crate::assembler::*;
use crate::host::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::entry::EntryCell;
use surmise_deopt::host::{GuestResults, Thrown};
use surmise_deopt::runloop::Outcome;
use surmise_ir::entity::UnitId;

/// Returns its first argument.
pub fn identity(unit: UnitId) -> CandidateImage {
    let mut code = Assembler::new();
    code.load_home(RSI, WINDOW).load(RAX, RSI, 0).load(RDX, RSI, 8).return_();
    code.finish("identity", unit, &[])
}

/// Calls a cell with its own arguments one register further up, and adds one to the result.
pub fn caller(unit: UnitId, cell: &'static EntryCell) -> CandidateImage {
    let mut code = Assembler::new();
    code.call_cell((&raw const *cell).cast(), 32, 1, &[]).add(RDX, 1).return_();
    code.finish("caller", unit, &[])
}

/// Gives a number to the extern and returns what it gives, as an integer.
pub fn calling_back(unit: UnitId, argument: u64) -> CandidateImage {
    let mut code = Assembler::new();
    code.constant(RSI, argument).call_extern(CALLBACK, &[]);
    // mov rdx, rax
    code.bytes(&[0x48, 0x89, 0xc2]).constant(RAX, INT).return_();
    code.finish("calling back", unit, &[])
}

#[test]
fn code_returns_its_argument() {
    let (runloop, mut host) = TestHost::new();
    let (cell, entries) = host.unit(UnitId(1));
    assert!(!cell.is_compiled() && entries.is_empty());
    host.install(identity(UnitId(1)));
    assert!(cell.is_compiled() && !entries.is_empty());
    host.set(1, int(42));
    assert_eq!(host.enter(&runloop, cell, 1, 1), returned(int(42)));
    assert!(!runloop.is_active());
}

#[test]
fn a_unit_without_code_is_interpreted() {
    let (runloop, mut host) = TestHost::new();
    let ((callee, _), (cell, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    host.install(caller(UnitId(2), callee));
    host.call_unit = Some(Box::new(|host, runloop, window, count| {
        assert!(runloop.is_active());
        assert_eq!((window, count), (host.window(3), 1));
        Ok(GuestResults::pair(INT as u32, 10, 0))
    }));
    assert_eq!(host.enter(&runloop, cell, 1, 0), returned(int(11)));
    // The stub itself can be entered too.
    host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::pair(NIL as u32, 0, -1))));
    let Outcome::Returned([first, second]) = host.enter(&runloop, callee, 1, 0) else { panic!("it returns") };
    assert_eq!(GuestResults { first, second }.count(surmise_ir::language::Encoding::Pair), 0);
    // Once the unit has code, its callers find it.
    host.install(identity(UnitId(1)));
    host.set(3, int(5));
    assert_eq!(host.enter(&runloop, cell, 1, 0), returned(int(6)));
}

#[test]
fn recursion_through_the_host() {
    const DEPTH: usize = 100;
    let (runloop, mut host) = TestHost::new();
    let ((hop, _), (cell, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    host.install(caller(UnitId(2), hop));
    // The unit behind `hop` is interpreted: it enters the compiled caller again, in its own place on the guest stack.
    host.call_unit = Some(Box::new(move |host, runloop, window, _| {
        fn interpret(
            host: &mut TestHost,
            runloop: &surmise_deopt::runloop::Runloop<TestHost>,
            window: *mut u8,
            cell: &'static EntryCell,
        ) -> Result<GuestResults, Thrown> {
            let register = (window as usize - host.window(0) as usize) / 16;
            if register > 2 * DEPTH {
                return Ok(GuestResults::pair(INT as u32, 0, 0));
            }
            host.call_unit =
                Some(Box::new(move |host, runloop, window, _| interpret(host, runloop, window, cell)));
            match host.enter(runloop, cell, register, 1) {
                Outcome::Returned([first, second]) => Ok(GuestResults { first, second }),
                other => panic!("{other:?}"),
            }
        }
        interpret(host, runloop, window, cell)
    }));
    assert_eq!(host.enter(&runloop, cell, 1, 0), returned(int(DEPTH as i64)));
}

#[test]
fn an_error_passes_through_compiled_frames() {
    let (runloop, mut host) = TestHost::new();
    let cells: Vec<_> = (0..4).map(|n| host.unit(UnitId(n)).0).collect();
    host.install(calling_back(UnitId(0), 7));
    for n in 1..4 {
        host.install(caller(UnitId(n), cells[n as usize - 1]));
    }
    host.callback = Some(Box::new(|_, _, argument| if argument == 7 { Err(Thrown) } else { Ok(argument) }));
    assert_eq!(host.enter(&runloop, cells[3], 1, 0), Outcome::Thrown);
    assert!(!runloop.is_active());
    host.callback = Some(Box::new(|_, _, argument| Ok(argument)));
    assert_eq!(host.enter(&runloop, cells[3], 1, 0), returned(int(10)));
}

#[test]
fn an_error_ends_the_innermost_activation_alone() {
    let (runloop, mut host) = TestHost::new();
    let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    host.install(calling_back(UnitId(1), 1));
    host.install(calling_back(UnitId(2), 2));
    host.callback = Some(Box::new(move |host, runloop, argument| {
        assert_eq!(argument, 2);
        host.callback =
            Some(Box::new(|_, _, argument| if argument == 1 { Err(Thrown) } else { unreachable!() }));
        assert_eq!(host.enter(runloop, inner, 5, 0), Outcome::Thrown);
        assert!(runloop.is_active());
        host.callback = None;
        Ok(99)
    }));
    assert_eq!(host.enter(&runloop, outer, 1, 0), returned(int(99)));
    assert!(!runloop.is_active());
}

#[test]
fn callee_saved_registers_survive_an_error() {
    // The compiled frame changes rbx, then an error gives it up: the host's rbx must come back from the entry record.
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    let mut code = Assembler::new();
    code.constant(RBX, 0xdead).call_extern(CALLBACK, &[]).return_();
    host.install(code.finish("clobber", UnitId(1), &[]));
    host.callback = Some(Box::new(|_, _, _| Err(Thrown)));
    let mut sum = 0u64;
    for round in 0..100u64 {
        assert_eq!(host.enter(&runloop, cell, 1, 0), Outcome::Thrown);
        sum += round;
    }
    assert_eq!(sum, 4950);
}

#[test]
fn a_panic_of_the_host_goes_on_in_the_host() {
    let (runloop, mut host) = TestHost::new();
    let ((hop, _), (cell, _), (back, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)), host.unit(UnitId(3)));
    host.install(caller(UnitId(2), hop));
    host.install(calling_back(UnitId(3), 0));
    host.call_unit = Some(Box::new(|_, _, _, _| std::panic::resume_unwind(Box::new("in call_unit"))));
    host.callback = Some(Box::new(|_, _, _| std::panic::resume_unwind(Box::new("in an extern"))));
    for (cell, message) in [(cell, "in call_unit"), (back, "in an extern")] {
        let payload =
            catch_unwind(AssertUnwindSafe(|| host.enter(&runloop, cell, 1, 0))).expect_err("it panics");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&message));
        assert!(!runloop.is_active());
    }
}

#[test]
fn a_poll_calls_the_host() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    let mut code = Assembler::new();
    code.poll(&[]).constant(RAX, INT).constant(RDX, 3).return_();
    host.install(code.finish("polls", UnitId(1), &[]));
    host.poll = Some(Box::new(|_, _| Ok(())));
    host.isolate.request_poll();
    assert_eq!(host.enter(&runloop, cell, 1, 0), returned(int(3)));
    // SAFETY: this thread's own context.
    assert_eq!(unsafe { (*runloop.context()).poll.load(std::sync::atomic::Ordering::Relaxed) }, 0);
    host.poll = Some(Box::new(|_, _| Err(Thrown)));
    assert_eq!(host.enter(&runloop, cell, 1, 0), Outcome::Thrown);
}
