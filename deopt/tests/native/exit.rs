//! Deopt one.

use crate::assembler::*;
use crate::enter::{caller, calling_back};
use crate::host::*;
use crate::units::machine_code::{header, located};
use std::sync::{Arc, Mutex};
use surmise_deopt::boxed::Boxed;
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::events::{DeoptEvent, DeoptObserver};
use surmise_deopt::host::{Activation, GuestResults, Thrown};
use surmise_deopt::loaded::Candidate;
use surmise_deopt::rebuild::RebuildPlan;
use surmise_deopt::runloop::Outcome;
use surmise_deopt::table::{Boxing, ExitReason, FrameHeader, Located, Place};
use surmise_ir::entity::{Register, UnitId};
use surmise_ir::frame_state::When;
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Encoding;

fn of_kind(register: u16, kind: u64, place: Place) -> Located {
    located(register, Boxing::Kind(kind as u8), place)
}

/// Fails a guard at once: an integer in home 5, an object in rbx, a float constant, a truth value in home 6, a whole pair in
/// homes 8 and 7, and nil.
pub fn failing(unit: UnitId) -> CandidateImage {
    let mut code = Assembler::new();
    code.constant(RAX, -7i64 as u64).store_home(RAX, -5);
    code.constant(RAX, 0xaaaa_aa01).store_home(RAX, -6);
    code.constant(RAX, INT).store_home(RAX, -8).constant(RAX, 1234).store_home(RAX, -7);
    code.constant(RBX, 0x5000);
    let float = code.state_constant(1.5f64.to_bits());
    let entries = [
        of_kind(0, INT, Place::Frame(-5)),
        of_kind(1, OBJECT, Place::Register(RBX)),
        of_kind(2, FLOAT, Place::Constant(float)),
        of_kind(3, BOOL, Place::Frame(-6)),
        located(4, Boxing::Whole, Place::Frame(-8)),
        located(4, Boxing::Whole, Place::Frame(-7)),
        of_kind(5, NIL, Place::Frame(-6)),
    ];
    code.guard_exit(&[(header(unit, 9, When::Before, entries.len(), 0), &entries)]);
    code.finish("failing", unit, &[])
}

fn failing_registers() -> Vec<(Register, Boxed)> {
    let values = [
        int(-7),
        Boxed::pair(OBJECT, 0x5000),
        Boxed::pair(FLOAT, 1.5f64.to_bits()),
        Boxed::pair(BOOL, 1),
        int(1234),
        Boxed::pair(NIL, 0),
    ];
    values.into_iter().enumerate().map(|(n, value)| (Register(n as u16), value)).collect()
}

#[test]
fn a_frame_that_a_runloop_entered_is_left() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    let id = host.install(failing(UnitId(1)));
    let window = host.window(4);
    host.allocate = Some(Box::new(move |_, runloop, plan| {
        assert_eq!((plan.window(), plan.argument_count()), (window, Some(2)));
        assert_eq!(runloop.rebuilds_in_progress(), 1);
        Ok(())
    }));
    assert_eq!(host.enter(&runloop, cell, 4, 2), Outcome::Resumed);
    assert_eq!((runloop.is_active(), runloop.rebuilds_in_progress()), (false, 0));
    let (frames, activation) = host.committed.pop().expect("frames were committed");
    assert_eq!(activation, Activation::Entered);
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].unit, frames[0].resume), (UnitId(1), resume_at(9, When::Before)));
    assert_eq!((frames[0].window, frames[0].callee, frames[0].open), (window, None, None));
    assert_eq!(frames[0].registers, failing_registers());
    let event = runloop.events().pop().expect("the exit was noted");
    assert_eq!(
        (event.candidate, event.point, event.reason),
        (id, 0, ExitReason::Guard(GuardReason::Kind, surmise_ir::entity::Pc(0)))
    );
    assert_eq!((event.unit, event.resume), (UnitId(1), resume_at(9, When::Before)));
}

#[test]
fn a_compiled_caller_gets_the_results_of_the_rebuilt_frame() {
    let (runloop, mut host) = TestHost::new();
    let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    host.install(failing(UnitId(1)));
    host.install(caller(UnitId(2), inner));
    host.resume = Some(Box::new(|host, runloop| {
        assert_eq!(runloop.rebuilds_in_progress(), 0);
        assert_eq!(host.committed.len(), 1);
        Ok(GuestResults::pair(INT as u32, 40, 0))
    }));
    assert_eq!(host.enter(&runloop, outer, 1, 0), returned(int(41)));
    let (frames, activation) = host.committed.pop().expect("frames were committed");
    assert_eq!((activation, &frames[0].registers), (Activation::Called, &failing_registers()));
    assert_eq!(frames[0].window, host.window(3));
    // An error in the interpreter goes through the compiled caller.
    host.resume = Some(Box::new(|_, _| Err(Thrown)));
    assert_eq!(host.enter(&runloop, outer, 1, 0), Outcome::Thrown);
    // So does one while the frames are made.
    host.committed.clear();
    host.allocate = Some(Box::new(|_, _, _| Err(Thrown)));
    assert_eq!(host.enter(&runloop, outer, 1, 0), Outcome::Thrown);
    assert!(host.committed.is_empty());
    assert_eq!((runloop.is_active(), runloop.rebuilds_in_progress()), (false, 0));
}

#[test]
fn inlined_frames_are_rebuilt_innermost_first() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    let mut code = Assembler::new();
    code.constant(RAX, 77).store_home(RAX, -5);
    let object = code.state_constant(0x9000);
    let inner = FrameHeader {
        window: 6,
        has_callee: true,
        open: Some(Register(2)),
        ..header(UnitId(2), 3, When::After, 1, 2)
    };
    let inner_entries = [
        of_kind(1, INT, Place::Frame(-5)),
        of_kind(0, INT, Place::Frame(-5)),
        of_kind(0, NIL, Place::Constant(object)),
        located(2, Boxing::Whole, Place::Frame(-5)),
        of_kind(0, OBJECT, Place::Constant(object)),
    ];
    let outer_entries = [of_kind(0, OBJECT, Place::Constant(object))];
    code.guard_exit(&[(inner, &inner_entries), (header(UnitId(1), 8, When::After, 1, 0), &outer_entries)]);
    host.install(code.finish("inlined", UnitId(1), &[]));
    assert_eq!(host.enter(&runloop, cell, 10, 0), Outcome::Resumed);
    let object = Boxed::pair(OBJECT, 0x9000);
    let expected = [
        Committed {
            unit: UnitId(2),
            resume: resume_at(3, When::After),
            window: host.window(16),
            callee: Some(object),
            registers: vec![(Register(1), int(77))],
            results: vec![int(77), Boxed::pair(NIL, 0)],
            call_results: None,
            open: Some((Register(2), 77)),
        },
        Committed {
            unit: UnitId(1),
            resume: resume_at(8, When::After),
            window: host.window(10),
            callee: None,
            registers: vec![(Register(0), object)],
            results: vec![],
            call_results: None,
            open: None,
        },
    ];
    assert_eq!(host.committed[0].0, expected);
}

#[test]
fn a_landing_pad_delivers_the_results_of_its_guest_call() {
    let (runloop, mut host) = TestHost::new();
    let ((hop, _), (cell, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    let mut code = Assembler::new();
    code.call_cell((&raw const *hop).cast(), 32, 0, &[]);
    let entries = [located(0, Boxing::Whole, Place::Result(0)), located(0, Boxing::Whole, Place::Result(1))];
    let header = FrameHeader { call_results: true, ..header(UnitId(2), 5, When::After, 0, 2) };
    code.landing_exit(&[(header, &entries)]);
    host.install(code.finish("landing", UnitId(2), &[]));
    // Three results: their number is beside the first one's tag.
    host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::pair(OBJECT as u32, 0x7000, 2))));
    host.allocate = Some(Box::new(|host, _, plan| {
        assert_eq!(host.move_roots(0x10), [0x7000]);
        assert_eq!(plan.reason(), ExitReason::Invalidated);
        Ok(())
    }));
    assert_eq!(host.enter(&runloop, cell, 1, 0), Outcome::Resumed);
    assert_eq!(host.committed[0].0[0].results, []);
    let results = host.committed[0].0[0].call_results.expect("a guest call's landing pad has results");
    assert_eq!(results.count(Encoding::Pair), 3);
    assert_eq!(results.first(Encoding::Pair), Boxed::pair(OBJECT, 0x7010));
    // No result at all.
    host.allocate = None;
    host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::pair(NIL as u32, 0, -1))));
    assert_eq!(host.enter(&runloop, cell, 1, 0), Outcome::Resumed);
    assert_eq!(host.committed[1].0[0].call_results.map(|results| results.count(Encoding::Pair)), Some(0));
}

#[test]
fn a_landing_pad_delivers_the_result_of_its_extern() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    let mut code = Assembler::new();
    code.constant(RSI, 1).call_extern(CALLBACK, &[]);
    let entries = [of_kind(0, INT, Place::Result(0))];
    code.landing_exit(&[(header(UnitId(1), 5, When::After, 0, 1), &entries)]);
    host.install(code.finish("landing", UnitId(1), &[]));
    host.callback = Some(Box::new(|_, _, _| Ok(-3i64 as u64)));
    assert_eq!(host.enter(&runloop, cell, 1, 0), Outcome::Resumed);
    assert_eq!(host.committed[0].0[0].results, [int(-3)]);
    assert_eq!(host.committed[0].0[0].call_results, None);
}

#[test]
fn a_collection_while_frames_are_made_is_seen() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    host.install(failing(UnitId(1)));
    host.allocate = Some(Box::new(|host, _, plan| {
        let before = copy(plan);
        assert_eq!(
            host.move_roots(1),
            failing_registers().iter().map(|(_, v)| v.payload()).collect::<Vec<_>>()
        );
        assert_ne!(copy(plan), before);
        Ok(())
    }));
    assert_eq!(host.enter(&runloop, cell, 1, 0), Outcome::Resumed);
    let moved = failing_registers().into_iter().map(|(r, v)| (r, Boxed::pair(v.tag(), v.payload() + 1)));
    assert_eq!(host.committed[0].0[0].registers, moved.collect::<Vec<_>>());
}

#[test]
fn rebuilding_nests() {
    // While frames are made, the host runs guest code (a finalizer), which fails a guard of its own, throws, and is entered again.
    let (runloop, mut host) = TestHost::new();
    let ((cell, _), (thrower, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    host.install(failing(UnitId(1)));
    host.install(calling_back(UnitId(2), 0));
    host.callback = Some(Box::new(|_, _, _| Err(Thrown)));
    host.allocate = Some(Box::new(move |host, runloop, plan| {
        let before = copy(plan);
        host.allocate = Some(Box::new(move |host, runloop, _| {
            assert_eq!(runloop.rebuilds_in_progress(), 2);
            assert_eq!(host.move_roots(1).len(), 2 * failing_registers().len());
            assert_eq!(host.enter(runloop, thrower, 50, 0), Outcome::Thrown);
            Ok(())
        }));
        assert_eq!(host.enter(runloop, cell, 40, 0), Outcome::Resumed);
        assert_eq!(runloop.rebuilds_in_progress(), 1);
        assert_ne!(copy(plan), before);
        Ok(())
    }));
    assert_eq!(host.enter(&runloop, cell, 1, 0), Outcome::Resumed);
    assert_eq!(host.committed.len(), 2);
    assert_eq!(host.committed[0].0[0].registers, host.committed[1].0[0].registers);
    let window = host.window(1);
    assert_eq!(host.committed[1].0[0].window, window);
}

#[test]
fn deopts_are_counted_and_the_observer_is_told_when_it_wants() {
    struct Observer(Mutex<Vec<(u32, DeoptEvent)>>);
    impl DeoptObserver for Observer {
        fn on_deopt(
            &self,
            candidate: &Arc<Candidate>,
            event: &DeoptEvent,
            _: &RebuildPlan,
            count: u32,
        ) -> u32 {
            assert_eq!(candidate.id(), event.candidate);
            self.0.lock().expect("no panic").push((count, *event));
            count * 4
        }
    }
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    host.install(failing(UnitId(1)));
    let observer = Arc::new(Observer(Mutex::default()));
    host.isolate.set_observer(Some(observer.clone()));
    for _ in 0..40 {
        assert_eq!(host.enter(&runloop, cell, 1, 0), Outcome::Resumed);
    }
    let candidate = &host.isolate.candidates()[0];
    assert_eq!((candidate.deopt_count(0), candidate.total_deopts()), (40, 40));
    let told: Vec<u32> = observer.0.lock().expect("no panic").iter().map(|told| told.0).collect();
    assert_eq!(told, [1, 4, 16]);
    assert_eq!(runloop.events().len(), surmise_deopt::events::REMEMBERED_EVENTS);
}

#[test]
fn values_of_one_word() {
    use surmise_ir::language::{Kind, KindForm, Language, WordPayload};
    use surmise_ir::types::Type;
    let mut language = Language::new("words", Encoding::Word);
    let mut kind = |name: &str, payload, pattern, unbox| {
        let form = KindForm::Word { mask: 3, pattern, unbox };
        language.kinds.push(Kind { name: name.to_owned(), payload: Some(payload), form });
    };
    kind("small", Type::I64, 1, WordPayload::Shifted(2));
    kind("object", Type::Ref, 2, WordPayload::Offset);
    let (runloop, mut host) = TestHost::without_externs(language);
    let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    let mut code = Assembler::new();
    code.constant(RBX, 0x100).constant(RAX, -2i64 as u64).store_home(RAX, -5);
    let entries = [
        of_kind(0, 0, Place::Frame(-5)),
        of_kind(1, 1, Place::Register(RBX)),
        located(2, Boxing::Whole, Place::Frame(-5)),
    ];
    code.guard_exit(&[(header(UnitId(1), 1, When::Before, 3, 0), &entries)]);
    host.install(code.finish("inner", UnitId(1), &[]));
    let mut code = Assembler::new();
    code.call_cell((&raw const *inner).cast(), 16, 0, &[]);
    let header = FrameHeader { call_results: true, ..header(UnitId(2), 5, When::After, 0, 1) };
    code.landing_exit(&[(header, &[located(0, Boxing::Whole, Place::Result(0))])]);
    host.install(code.finish("outer", UnitId(2), &[]));
    host.resume = Some(Box::new(|_, _| Ok(GuestResults::word(0x202, 4))));
    host.allocate = Some(Box::new(|host, _, _| {
        host.move_roots(0x100);
        Ok(())
    }));
    assert_eq!(host.enter(&runloop, outer, 1, 0), Outcome::Resumed);
    let words: Vec<u64> = host.committed[0].0[0].registers.iter().map(|(_, value)| value.word()).collect();
    assert_eq!(words, [0xf9, 0x202, 0xfe]);
    let results = host.committed[1].0[0].call_results.expect("a guest call's landing pad has results");
    assert_eq!((results.count(Encoding::Word), results.first(Encoding::Word).word()), (5, 0x302));
}
