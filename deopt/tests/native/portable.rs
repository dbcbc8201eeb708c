//! Candidates of the portable backend: the same doors, walks and deopts as those of machine code.

use crate::deopt_all::deopt_all;
use crate::enter::{caller, identity};
use crate::host::*;
use crate::units::portable::{asking, function, holder, image_of, summing};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use surmise_deopt::boxed::Boxed;
use surmise_deopt::candidate::PortableImage;
use surmise_deopt::frames::{FrameSite, FrameWalk};
use surmise_deopt::host::{Activation, GuestResults, Thrown};
use surmise_deopt::isolate::{InstallError, Isolate};
use surmise_deopt::loaded::CodeSpace;
use surmise_deopt::runloop::Outcome;
use surmise_deopt::table::ExitReason;
use surmise_ir::entity::{Pc, Register, UnitId};
use surmise_ir::frame_state::When;
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Encoding;
use surmise_ir::text::parse_language;

/// Gives its argument plus one if that is an integer.
fn guarded(unit: UnitId) -> PortableImage {
    function(
        unit,
        "block0: v0 = argument r0; state0 = before @0 {r0: v0}; v1 = guard_kind int argument v0 [state0]
         v2 = iconst 1; v3 = iadd v1, v2; v4 = box int v3; return v4",
    )
}

#[test]
fn units_of_both_backends_call_each_other() {
    let (runloop, mut host) = TestHost::new();
    let cells: Vec<_> = (0..4).map(|n| host.unit(UnitId(n)).0).collect();
    host.install(identity(UnitId(0)));
    host.install(summing(UnitId(1), cells[0]));
    host.install(caller(UnitId(2), cells[1]));
    host.install(summing(UnitId(3), cells[2]));
    // In turns: 5; 5 + 5 + 1; one more; 5 more and one.
    host.set(1, int(5));
    host.set(5, int(5));
    assert!(cells.iter().all(|cell| cell.is_compiled()));
    assert_eq!(host.enter(&runloop, cells[0], 1, 1), returned(int(5)));
    assert_eq!(host.enter(&runloop, cells[1], 1, 1), returned(int(11)));
    assert_eq!(host.enter(&runloop, cells[3], 1, 1), returned(int(18)));
    // A unit without code is interpreted for a portable caller as for any.
    let (hop, _) = host.unit(UnitId(9));
    let (outer, _) = host.unit(UnitId(11));
    host.install(summing(UnitId(11), hop));
    host.call_unit = Some(Box::new(|host, runloop, window, count| {
        assert!(runloop.is_active());
        assert_eq!((window, count), (host.window(3), 1));
        Ok(GuestResults::pair(INT as u32, 20, 0))
    }));
    assert_eq!(host.enter(&runloop, outer, 1, 1), returned(int(26)));
    assert!(!runloop.is_active());
}

#[test]
fn a_failed_guard_goes_on_in_the_interpreter() {
    let (runloop, mut host) = TestHost::new();
    let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    let candidate = host.install(guarded(UnitId(1)));
    host.install(summing(UnitId(2), inner));
    host.set(1, int(5));
    assert_eq!(host.enter(&runloop, inner, 1, 1), returned(int(6)));
    let object = Boxed::pair(OBJECT, 7);
    host.set(1, object);
    assert_eq!(host.enter(&runloop, inner, 1, 1), Outcome::Resumed);
    let (frames, activation) = host.committed.pop().expect("the frame");
    assert_eq!((frames.len(), activation, frames[0].unit), (1, Activation::Entered, UnitId(1)));
    assert_eq!((frames[0].resume, frames[0].window), (resume_at(0, When::Before), host.window(1)));
    assert_eq!(frames[0].registers, [(Register(0), object)]);
    // Called, its results are the caller's as if nothing had happened.
    host.resume = Some(Box::new(|_, runloop| {
        assert_eq!(runloop.rebuilds_in_progress(), 0);
        Ok(GuestResults::pair(INT as u32, 100, 0))
    }));
    assert_eq!(host.enter(&runloop, outer, 1, 1), returned(int(108)));
    assert_eq!(host.committed.pop().expect("the frame").1, Activation::Called);
    let events = runloop.events();
    let [.., last] = &events[..] else { panic!("two deopts") };
    assert_eq!(last.reason, ExitReason::Guard(GuardReason::Argument, Pc(0)));
    let known = host.isolate.candidates();
    let left = known.iter().find(|known| known.id() == candidate).expect("it is installed");
    assert!(left.is_portable());
    assert_eq!((left.deopt_count(last.point as usize), left.total_deopts()), (2, 2));
    assert_eq!(left.expects(), [(Register(0), kind(INT))]);
}

#[test]
fn every_third_guard_fails_whoever_runs_it() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    host.install(guarded(UnitId(1)));
    runloop.set_forced_failure_countdown(3);
    host.set(1, int(1));
    let outcomes: Vec<bool> = (0..9).map(|_| host.enter(&runloop, cell, 1, 1) == Outcome::Resumed).collect();
    assert_eq!(outcomes, [false, false, true, false, false, true, false, false, true]);
}

#[test]
fn without_room_a_frame_is_the_interpreter_s() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    host.install(guarded(UnitId(1)));
    // The stack's last registers.
    let last = host.stack.len() / 2 - 5;
    for (register, outcome) in [(last - 1, returned(int(2))), (last, Outcome::Resumed)] {
        host.set(register, int(1));
        assert_eq!(host.enter(&runloop, cell, register, 1), outcome);
    }
    assert_eq!(runloop.events()[0].reason, ExitReason::Guard(GuardReason::Stack, Pc(0)));
}

#[test]
fn a_collector_moves_what_frames_hold() {
    let (runloop, mut host) = TestHost::new();
    let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    // After the call the object is needed, and its boxed value by the frame state; the numbers are no roots.
    host.install(function(
        UnitId(1),
        "block0: v0 = argument r0; state0 = before @3 {r0: v0}; state1 = after @3 {r0: v0}
         v1 = guard_kind object argument v0 [state0]; v2 = any_payload v0
         v3 = call_extern callback v2 [state0] after [state1]
         v4 = box object v1; v5 = any_payload v4; v6 = any_payload v0
         v7 = iadd v5, v6; v8 = iadd v7, v2; v9 = box int v8; return v9",
    ));
    host.install(summing(UnitId(2), inner));
    host.callback = Some(Box::new(|host, runloop, argument| {
        assert_eq!(argument, 40);
        let map = host.isolate.space().map().snapshot();
        // SAFETY: the only runloop, in a callback.
        let frames: Vec<_> = unsafe { FrameWalk::new(runloop.context(), &map) }
            .map(|frame| (frame.candidate.unit(), frame.site, frame.is_redirected))
            .collect();
        let site = FrameSite::Call(0);
        assert_eq!(frames, [(UnitId(1), site, false), (UnitId(2), site, false)]);
        assert_eq!(host.move_roots(1000), [40, 40, 40]);
        Ok(0)
    }));
    host.set(1, Boxed::pair(OBJECT, 40));
    assert_eq!(host.enter(&runloop, outer, 1, 1), returned(int(1040 + 1040 + 40 + 40 + 1)));
}

#[test]
fn frames_say_where_they_are() {
    let (runloop, mut host) = TestHost::new();
    let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    host.install(asking(UnitId(1)));
    host.install(summing(UnitId(2), inner));
    host.callback = Some(Box::new(|host, runloop, argument| {
        let map = host.isolate.space().map().snapshot();
        // SAFETY: the only runloop, in a callback.
        let places: Vec<_> = unsafe { FrameWalk::new(runloop.context(), &map) }
            .map(|frame| {
                let FrameSite::Call(site) = frame.site else { panic!("it is in a call") };
                let places: Vec<_> =
                    frame.candidate.activations_at(site).map(|at| (at.unit, at.pc, at.when)).collect();
                // SAFETY: as above.
                (places, unsafe { (frame.window(), frame.is_entered()) })
            })
            .collect();
        let place = |unit, pc| vec![(UnitId(unit), Pc(pc), When::After)];
        let (inner, outer) = (host.window(3), host.window(1));
        assert_eq!(places, [(place(1, 3), (inner, false)), (place(2, 5), (outer, true))]);
        // SAFETY: as above. Six registers from the third on.
        assert_eq!(unsafe { runloop.window_end() }, host.window(9));
        Ok(argument)
    }));
    host.set(1, int(1));
    assert_eq!(host.enter(&runloop, outer, 1, 1), returned(int(4)));
}

#[test]
fn errors_and_panics_leave_all_frames() {
    let (runloop, mut host) = TestHost::new();
    let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    host.install(asking(UnitId(1)));
    host.install(summing(UnitId(2), inner));
    host.set(1, int(1));
    for _ in 0..3 {
        host.callback = Some(Box::new(|_, _, _| Err(Thrown)));
        assert_eq!(host.enter(&runloop, outer, 1, 1), Outcome::Thrown);
        host.callback = Some(Box::new(|_, _, _| std::panic::resume_unwind(Box::new("in an extern"))));
        let payload = catch_unwind(AssertUnwindSafe(|| host.enter(&runloop, outer, 1, 1)));
        assert_eq!(payload.expect_err("it panics").downcast_ref::<&str>(), Some(&"in an extern"));
        assert!(!runloop.is_active());
    }
    // An error of an inner activation is the business of the function that entered it.
    host.callback = Some(Box::new(move |host, runloop, argument| {
        host.callback = Some(Box::new(|_, _, _| Err(Thrown)));
        assert_eq!(host.enter(runloop, outer, 50, 1), Outcome::Thrown);
        assert_eq!(host.move_roots(0), [1, 1]);
        Ok(argument)
    }));
    assert_eq!(host.enter(&runloop, outer, 1, 1), returned(int(4)));
}

#[test]
fn an_abandoned_frame_goes_on_after_its_call_whatever_that_gives() {
    // Three results to a call that wants two: the interpreter receives what the call gave.
    let (runloop, mut host) = TestHost::new();
    let ((three, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    let place = holder(three);
    host.install(function(
        UnitId(2),
        &format!(
            "block0: v0 = argument r0; v1 = rawconst {place}; v2 = load Holder.closure v1
             state0 = before @5 {{r0: v0}}; state1 = after @5 {{r0: v0}}
             call_unit v2(v0) window r1 wants 2 @5 [state0] after [state1]; v3 = load_window r2; return v3"
        ),
    ));
    host.call_unit = Some(Box::new(|host, _, _, _| {
        for register in 0..3 {
            host.set(2 + register, int(10 + register as i64));
        }
        let report = deopt_all(host);
        assert_eq!((report.frames, report.candidates), (1, 1));
        Ok(GuestResults::pair(INT as u32, 10, 2))
    }));
    host.set(1, int(1));
    assert_eq!(host.enter(&runloop, outer, 1, 1), Outcome::Resumed);
    let frame = &host.committed[0].0[0];
    assert_eq!((frame.resume, &frame.results[..]), (resume_at(5, When::After), &[][..]));
    assert_eq!(frame.call_results, Some(GuestResults::pair(INT as u32, 10, 2)));
    assert_eq!([2, 3, 4].map(|register| host.stack[register * 2 + 1]), [10, 11, 12]);
}

/// Results of an activation that was entered at register 1.
fn results(host: &TestHost, outcome: Outcome) -> Vec<Boxed> {
    let Outcome::Returned([first, second]) = outcome else { panic!("{outcome:?}") };
    let machine = GuestResults { first, second };
    match machine.count(Encoding::Pair) {
        1 => vec![machine.first(Encoding::Pair)],
        count => {
            let values: Vec<Boxed> =
                host.stack.chunks(2).take(count as usize).map(|pair| Boxed::pair(pair[0], pair[1])).collect();
            assert_eq!(machine.first(Encoding::Pair), values.first().copied().unwrap_or_default());
            values
        }
    }
}

#[test]
fn results_in_all_forms() {
    for given in 0..=4usize {
        for open in [false, true] {
            for wanted in ["0", "1", "3", "open"] {
                let (runloop, mut host) = TestHost::new();
                let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
                let values: Vec<String> = (0..given).map(|n| format!("v{}", 4 + n)).collect();
                let made: String =
                    (0..given).map(|n| format!("v{n} = iconst 7{n}; v{} = box int v{n};", 4 + n)).collect();
                let end = if open {
                    let stored: String =
                        (0..given).map(|n| format!("store_window r{} v{};", 1 + n, 4 + n)).collect();
                    format!("{stored} v9 = iconst {given}; return_open r1 v9")
                } else {
                    format!("return {}", values.join(", "))
                };
                host.install(function(UnitId(1), &format!("block0: {made} {end}")));
                let end = match wanted {
                    "0" => "return",
                    "1" => "return v4",
                    "3" => "v5 = load_window r1; v6 = load_window r2; v7 = load_window r3; return v5, v6, v7",
                    _ => "v4 = result_count; return_open r1 v4",
                };
                let result = if wanted == "1" { "v4 = " } else { "" };
                host.install(function(
                    UnitId(2),
                    &format!(
                        "block0: v0 = argument r0; v2 = rawconst {}; v3 = load Holder.closure v2
                         state0 = before @5 {{r0: v0}}; state1 = after @5 {{r0: v0}}
                         {result}call_unit v3(v0) window r1 wants {wanted} @5 [state0] after [state1]; {end}",
                        holder(inner)
                    ),
                ));
                let all: Vec<Boxed> = (0..given).map(|n| int(70 + n as i64)).collect();
                let place = format!("{given} given, open: {open}, {wanted} wanted");
                let outcome = host.enter(&runloop, inner, 1, 0);
                assert_eq!(results(&host, outcome), all, "{place}");
                host.stack.fill(0xdead);
                let outcome = host.enter(&runloop, outer, 1, 0);
                let expected: Vec<Boxed> = match wanted.parse::<usize>() {
                    Ok(wanted) => {
                        all.into_iter().chain(std::iter::repeat(Boxed::pair(NIL, 0))).take(wanted).collect()
                    }
                    Err(_) => all,
                };
                assert_eq!(results(&host, outcome), expected, "{place}");
            }
        }
    }
}

const BY_ADDRESS: &str = "language addresses pair
kind nil tag 0
kind bool tag 1 i1
kind int tag 2 i64
kind float tag 3 f64
layout Thing {
  byte: u8 at 0 alias thing; half: u16 at 2 alias thing; word: u32 at 4 alias thing; signed: i32 at 8 alias thing
  truth: i1 at 12 alias thing; number: i64 at 16 alias thing; float: f64 at 24 alias thing; value: any at 32 alias thing
  element: any at 48 stride 16 alias thing
}
extern mix(any, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, any, i1, any) -> f64
extern mix_throwing(any, f64, f64, f64, f64, f64, f64, f64, f64, f64, f64, any, i1, any) -> f64 throws
extern is_odd(i64) -> i1";

/// Weighs each argument by its place.
unsafe extern "C" fn mix(
    _: *mut surmise_deopt::context::Context,
    tag: u64,
    payload: u64,
    f0: f64,
    f1: f64,
    f2: f64,
    f3: f64,
    f4: f64,
    f5: f64,
    f6: f64,
    f7: f64,
    f8: f64,
    f9: f64,
    second_tag: u64,
    second: u64,
    truth: u64,
    third_tag: u64,
    third: u64,
) -> f64 {
    let floats = [f0, f1, f2, f3, f4, f5, f6, f7, f8, f9];
    let integers = [tag, payload, second_tag, second, truth, third_tag, third];
    let weighed = floats.into_iter().chain(integers.map(|integer| integer as f64));
    weighed.enumerate().map(|(place, value)| value * (place + 1) as f64).sum()
}

unsafe extern "C" fn is_odd(_: *mut surmise_deopt::context::Context, value: i64) -> u64 {
    value as u64 & 1
}

#[test]
fn memory_and_functions_by_address() {
    let language = Arc::new(parse_language(BY_ADDRESS, &|_| None).expect("it is a language"));
    let space = CodeSpace::new(1 << 20).expect("an arena");
    let mix = mix as *const u8;
    let externs = [("mix", mix), ("mix_throwing", mix), ("is_odd", is_odd as *const u8)];
    // SAFETY: they are as the language declares them.
    let isolate = unsafe { Isolate::new(&space, &language, &externs) }.expect("an isolate");
    let (runloop, mut host) = TestHost::of(isolate);
    let (cell, _) = host.unit(UnitId(1));
    let mut thing = [0u64; 10];
    let place = (&raw mut thing) as u64;
    let floats: String = (0..10).map(|n| format!("v1{n} = fconst {}.5;", n + 1)).collect();
    let body = |function: &str| {
        format!(
            "block0: v0 = rawconst {place}; v1 = iconst -2; store Thing.byte v0, v1; store Thing.half v0, v1
             store Thing.word v0, v1; store Thing.signed v0, v1; store Thing.number v0, v1
             v2 = load Thing.byte v0; v3 = load Thing.half v0; v4 = load Thing.word v0; v5 = load Thing.signed v0
             v6 = iadd v2, v3; v7 = iadd v4, v5; v8 = iadd v6, v7; v9 = box int v8
             v31 = call_extern is_odd v8; store Thing.truth v0, v31; v32 = load Thing.truth v0
             {floats}
             store Thing.float v0, v12; v33 = load Thing.float v0; v34 = box float v33; store Thing.value v0, v34
             v35 = load Thing.value v0; v36 = iconst 1; store_element Thing.element v0, v36, v9
             v37 = load_element Thing.element v0, v36
             v38 = call_extern {function} v9, v10, v11, v12, v13, v14, v15, v16, v17, v18, v19, v35, v32, v37
             v39 = box float v38; return v39"
        )
    };
    let sum = 0xfe + 0xfffe + 0xffff_fffe_i64 - 2;
    let weighed: f64 = (0..10).map(|n| (f64::from(n) + 1.5) * f64::from(n + 1)).sum();
    let integers = [2.0, sum as f64, 3.0, 3.5f64.to_bits() as f64, (sum & 1) as f64, 2.0, sum as f64];
    let weighed: f64 =
        (10..).zip(integers).fold(weighed, |all, (place, value)| all + value * f64::from(place + 1));
    for function in ["mix", "mix_throwing"] {
        host.install(image_of(&language, UnitId(1), &body(function)));
        assert_eq!(
            host.enter(&runloop, cell, 1, 0),
            returned(Boxed::pair(FLOAT, weighed.to_bits())),
            "{function}"
        );
        // SAFETY: no runloop is active.
        unsafe { host.isolate.deopt_all(crate::deopt_all::everything()) };
    }
    assert_eq!((thing[0], thing[2]), (0xffff_fffe_fffe_00fe, -2i64 as u64));
}

#[test]
fn what_can_not_be_run_is_an_error() {
    let (_runloop, host) = TestHost::new();
    host.unit(UnitId(1));
    let problem = |host: &TestHost, image: PortableImage| -> String {
        // SAFETY: nothing is installed.
        match unsafe { host.isolate.install(image, &mut |_| None) } {
            Err(InstallError::Load(error)) => error.to_string(),
            other => panic!("{:?}", other.map(|candidate| candidate.id())),
        }
    };
    let mut image = guarded(UnitId(1));
    let entry = image.function.entry_block();
    image.function.blocks[entry].insts.remove(0);
    let message = problem(&host, image);
    assert!(
        message.starts_with("candidate 'f' is malformed: function 0:") && message.contains("v0"),
        "{message}"
    );

    let language = parse_language(
        "language wide pair\nkind nil tag 0\nextern wide(any, any, any, any, any, any, any, any, any, any, any) throws",
        &|_| None,
    )
    .expect("it is a language");
    let args = ["v0"; 11].join(", ");
    let body = format!("block0: v0 = argument r0; call_extern wide {args}; return v0");
    let space = CodeSpace::new(4096).expect("an arena");
    // SAFETY: it is never called.
    let isolate =
        unsafe { Isolate::new(&space, &Arc::new(language.clone()), &[("wide", is_odd as *const u8)]) };
    let (_wide_runloop, wide) = TestHost::of(isolate.expect("an isolate"));
    wide.unit(UnitId(1));
    let message = problem(&wide, image_of(&language, UnitId(1), &body));
    assert!(message.ends_with("wide takes 23 words of arguments"), "{message}");
}
