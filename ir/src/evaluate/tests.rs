//! The evaluator on functions given as text, in the model world.

use super::model::{Event, ModelHost, WINDOW};
use super::*;
use crate::entity::{FrameId, Pc, Register};
use crate::frame_state::ResumePoint;
use crate::guard::GuardReason;
use crate::opcode::Opcode;
use crate::text::{parse_function, parse_functions, parse_language};
use crate::verifier::{Stage, verify, violations_text};
use std::cell::RefCell;
use std::rc::Rc;

const LANGUAGE: &str = include_str!("../../tests/sample_language.sir");
const FUNCTIONS: &str = include_str!("../../tests/sample_functions.sir");

fn language() -> Language {
    parse_language(LANGUAGE, &|_| Some(2)).unwrap()
}
fn int(value: i64) -> Boxed {
    [2, value as u64]
}
fn function(language: &Language, text: &str) -> Function {
    let function = parse_function(text, language).unwrap_or_else(|error| panic!("{error}"));
    let found = verify(&function, language, Stage::Specialized, None);
    assert!(found.is_empty(), "{}", violations_text(&found));
    function
}
/// A function whose entry block starts with this text.
fn straight(language: &Language, body: &str) -> Function {
    let text = format!(
        "function \"f\" call registers 4 {{ slot0 = constant 1 0\nblock0: v0 = argument r0; v1 = argument r1\n\
         state0 = before @0 {{r0: v0, r1: v1}}\nstate1 = after @0 {{r0: v0}}\n{body}\n}}"
    );
    function(language, &text)
}
fn adding(host: &mut ModelHost<'_>) {
    let add = |_: &mut model::Memory, args: &[Datum]| match args {
        [Datum::Any([2, a]), Datum::Any([2, b])] => {
            Ok(Some(Datum::Any(int((*a as i64).wrapping_add(*b as i64)))))
        }
        _ => Err(Stop::Throw),
    };
    host.externs.insert("add_slow".to_owned(), Box::new(add));
}

#[test]
fn a_loop_and_its_specialization_agree() {
    let language = language();
    let functions = parse_functions(FUNCTIONS, &language).unwrap();
    for count in [1, 2, 10, 100] {
        let mut results = Vec::new();
        for function in &functions[..2] {
            let mut host = ModelHost::new(&language, &[int(count)]);
            adding(&mut host);
            results.push(evaluate(function, &language, WINDOW, Settings::default(), &mut host).unwrap());
        }
        assert_eq!(results[0], Exit::Returned(vec![Datum::Any(int(count * (count - 1) / 2))]));
        assert_eq!(results[0], results[1]);
    }
    let mut host = ModelHost::new(&language, &[int(1 << 40)]);
    let limited = Settings { step_limit: Some(1000), ..Settings::default() };
    assert_eq!(evaluate(&functions[1], &language, WINDOW, limited, &mut host), Ok(Exit::OutOfSteps));
}

#[test]
fn a_failed_guard_rebuilds_inlined_frames() {
    let language = language();
    let text = r#"function "inlined" unit: 1 call registers 3 {
        frame1 = unit: 2 parent frame0 window 2 registers 2
        block0:
          v0 = argument r0
          state0 = before @0 {r0: v0}
          v1 = guard_kind int argument v0 [state0]
          v2 = iadd v1, v1
          v3 = box int v2
          v4 = iconst 3
          state1 = after @5 {r1: v3} open r2 v4
          state2 = frame1 callee v0 before @9 {r0: v3, r1: v0} parent state1
          v5 = icmp gt v2, v4
          guard_false overflow v5 [state2] site @7
          return v3 }"#;
    let function = function(&language, text);
    let run = |arg, settings| {
        let mut host = ModelHost::new(&language, &[arg]);
        evaluate(&function, &language, WINDOW, settings, &mut host).unwrap()
    };
    assert_eq!(run(int(1), Settings::default()), Exit::Returned(vec![Datum::Any(int(2))]));
    let frames = |exit: Exit| match exit {
        Exit::Deoptimized { reason, frames } => (reason, frames),
        other => panic!("{other:?}"),
    };
    let (reason, rebuilt) = frames(run([3, 0], Settings::default()));
    assert!(matches!(reason, LeaveReason::Guard { reason: GuardReason::Argument, forced: false, .. }));
    assert_eq!(rebuilt.len(), 1);
    assert_eq!(rebuilt[0].registers, [(Register(0), [3, 0])]);
    for (arg, settings, is_forced) in [
        (int(2), Settings::default(), false),
        (int(1), Settings { fail_every: Some(2), step_limit: None }, true),
    ] {
        let (reason, rebuilt) = frames(run(arg, settings));
        assert!(
            matches!(reason, LeaveReason::Guard { reason: GuardReason::Overflow, forced, .. } if forced == is_forced)
        );
        let doubled = int(arg[1] as i64 * 2);
        let [inner, outer] = &rebuilt[..] else { panic!("{rebuilt:?}") };
        assert_eq!((inner.frame, inner.unit.0, inner.window), (FrameId::from_u32(1), 2, 2));
        assert_eq!((inner.resume, inner.callee), (ResumePoint::before(Pc(9)), Some(arg)));
        assert_eq!(inner.registers, [(Register(0), doubled), (Register(1), arg)]);
        assert_eq!((outer.resume, outer.open), (ResumePoint::after(Pc(5)), Some((Register(2), 3))));
        assert_eq!(
            (&outer.registers[..], &outer.results),
            (&[(Register(1), doubled)][..], &Results::Values(vec![]))
        );
    }
}

#[test]
fn memory_slots_windows_and_calls() {
    let language = language();
    let function = straight(
        &language,
        "v2 = guard_kind table argument v0 [state0]; v3 = load Table.array v2; v4 = iconst 1\n\
         store_element Buffer.element v3, v4, v1; barrier v3, v1; v5 = load_element Buffer.element v3, v4\n\
         v6 = slot slot0; store_window r2 v5; v7 = load_window r2; v8 = iconst 300; store Table.count v2, v8; v9 = load Table.count v2\n\
         v10 = box int v9; state2 = before @1 {r0: v0}; state3 = after @1 {r0: v0}\n\
         call_guest v6(v7, v10) window r1 wants open @1 [state2] after [state3]; v11 = result_count; v12 = box int v11\n\
         state4 = before @2 {r0: v0} open r1 v11; state5 = after @2 {r0: v0}\n\
         v13 = call_guest v6(v12, open v11) window r1 wants 1 @2 [state4] after [state5]; return v13, v12",
    );
    let run = |invalidate_at| {
        let mut host = ModelHost::new(&language, &[[4, 0], int(5)]);
        let (table, buffer) = (host.memory.object(), host.memory.object());
        host.registers.insert(WINDOW, [4, table]);
        host.memory.set(&language, table, "Table.array", None, Datum::Ref(buffer));
        host.guest = Some(Box::new(|_, call| match call.site {
            Pc(1) => Ok(vec![int(7), call.args[0], call.args[1]]),
            _ => Ok(vec![int(call.open_arguments.unwrap_or(0) as i64 * 100)]),
        }));
        host.invalidate_at = invalidate_at;
        let exit = evaluate(&function, &language, WINDOW, Settings::default(), &mut host).unwrap();
        assert_eq!(host.memory.get(&language, buffer, "Buffer.element", Some(1)), Some(Datum::Any(int(5))));
        assert_eq!(host.barriers, [buffer]);
        (exit, host.registers, host.events)
    };
    let (exit, registers, events) = run(None);
    assert_eq!(exit, Exit::Returned(vec![Datum::Any(int(300)), Datum::Any(int(3))]));
    assert_eq!((registers[&(WINDOW + 16)], registers[&(WINDOW + 48)]), (int(7), int(300)));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Store(..))).count(), 2);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Guest(..))).count(), 2);
    let (exit, ..) = run(Some(2));
    let Exit::Deoptimized { reason: LeaveReason::Invalidated, frames } = exit else { panic!("{exit:?}") };
    assert_eq!(frames[0].resume, ResumePoint::after(Pc(2)));
    assert_eq!(frames[0].results, Results::Guest { first: Some(int(300)), count: 1 });
    let (exit, ..) = run(Some(1));
    let Exit::Deoptimized { frames, .. } = exit else { panic!("{exit:?}") };
    assert_eq!((frames[0].resume, frames.len()), (ResumePoint::after(Pc(1)), 1));
    assert_eq!(frames[0].results, Results::Guest { first: Some(int(7)), count: 3 });
}

#[test]
fn a_collector_finds_and_moves_exactly_what_is_needed() {
    let language = language();
    let function = straight(
        &language,
        "v2 = guard_kind table argument v0 [state0]; v3 = box table v2; v4 = iconst 1; v5 = box int v4\n\
         v6 = call_extern new_table v4; v7 = load Table.count v2; v8 = box int v7; v9 = box table v6; return v8, v9",
    );
    let mut host = ModelHost::new(&language, &[[4, 0], int(5)]);
    let (table, moved) = (host.memory.object(), host.memory.object());
    host.registers.insert(WINDOW, [4, table]);
    host.memory.set(&language, moved, "Table.count", None, Datum::I64(11));
    let prepared = Prepared::new(&function);
    let mut machine = Machine::new(&function, &prepared, &language, WINDOW, Settings::default());
    let pause = machine.run(&mut host).unwrap();
    assert!(matches!(pause, Pause::Call(Call::Extern(_))));
    let mut roots = 0;
    machine.visit_roots(&mut |root| match root {
        RootMut::Ref(word) => {
            roots += 1;
            assert_eq!(*word, table);
            *word = moved;
        }
        RootMut::Any(value) => panic!("{value:?} is not needed any more"),
    });
    assert_eq!(roots, 1);
    assert!(machine.run(&mut host).is_err(), "it stands still");
    assert!(machine.deliver(Delivery::Poll).is_err());
    machine.deliver(Delivery::Extern(Some(Datum::Ref(table)))).unwrap();
    let exit = machine.run(&mut host).unwrap();
    assert_eq!(exit, Pause::Exit(Exit::Returned(vec![Datum::Any(int(11)), Datum::Any([4, table])])));
}

#[test]
fn errors_throw_and_bugs_are_faults() {
    let language = language();
    let run = |body: &str, args: &[Boxed]| {
        let function = straight(&language, body);
        let mut host = ModelHost::new(&language, args);
        adding(&mut host);
        evaluate(&function, &language, WINDOW, Settings::default(), &mut host)
    };
    let sum = "v2 = op \"+\" v0, v1 @0 [state0] after [state1]; return v2";
    assert_eq!(run(sum, &[int(1), int(2)]), Ok(Exit::Returned(vec![Datum::Any(int(3))])));
    assert_eq!(run(sum, &[int(1), [0, 0]]), Ok(Exit::Thrown));
    let fault = |body: &str, message: &str| {
        let fault = run(body, &[int(1), int(0)]).unwrap_err();
        assert!(fault.message.contains(message), "{fault}");
    };
    fault("v2 = unbox float v0; return v0", "not defined for [any 0x2:0x1]");
    fault(
        "v2 = unbox int v0; v3 = unbox int v1; v4 = floor_div v2, v3; return v0",
        "not defined for [i64 1, i64 0]",
    );
    fault("v2 = rawconst 0; v3 = load Table.shape v2; return v0", "the address is");
    fault("v2 = rawconst 64; v3 = load Table.shape v2; return v0", "in no object");
    fault("v2 = load_window r2; return v0", "was never set");
    assert_eq!(
        run("v2 = argument r2; return v2", &[int(1), int(2)]),
        Ok(Exit::Returned(vec![Datum::Any([0, 0])]))
    );
    fault("unreachable", "control got here");
    let mut found = run("deoptimize branch [state0]", &[int(1), int(0)]).unwrap();
    assert!(matches!(
        &mut found,
        Exit::Deoptimized { reason: LeaveReason::Deoptimize(GuardReason::Branch), .. }
    ));
}

#[test]
fn templates_run_and_traces_show_every_step() {
    let language = language();
    let case = &language.operations[language.operation("+").unwrap()].cases[0];
    let prepared = Prepared::new(&case.template);
    let mut machine = Machine::new(&case.template, &prepared, &language, WINDOW, Settings::default());
    machine.set_parameters(&[Datum::I64(i64::MAX), Datum::I64(1)]);
    let steps = Rc::new(RefCell::new(Vec::new()));
    let seen = steps.clone();
    machine.set_trace(move |step| seen.borrow_mut().push(*step));
    let mut host = ModelHost::new(&language, &[]);
    assert_eq!(machine.run(&mut host), Ok(Pause::Exit(Exit::Returned(vec![Datum::Any(int(i64::MIN))]))));
    let opcodes: Vec<Opcode> =
        steps.borrow().iter().map(|step| case.template.insts[step.inst].opcode).collect();
    assert_eq!(opcodes, [Opcode::Iadd, Opcode::Box, Opcode::Return]);
    assert_eq!(steps.borrow()[0].result, Some(Datum::I64(i64::MIN)));
}

#[test]
fn words_box_and_unbox() {
    let text = "language words word\nkind small word mask 1 pattern 1 shifted 1 i64\nkind object word mask 7 pattern 2 offset ref\n\
                kind flag word mask 15 pattern 4 shifted 4 i1\nkind nil word mask 0xff pattern 8";
    let language = parse_language(text, &|_| None).unwrap();
    assert!(crate::verifier::verify_language(&language).is_empty());
    let kind = |name| language.kind(name).unwrap();
    for (name, payload, word) in [
        ("small", Some(Datum::I64(-3)), (-5i64) as u64),
        ("small", Some(Datum::I64(i64::MAX >> 1)), i64::MAX as u64),
        ("object", Some(Datum::Ref(0x1000)), 0x1002),
        ("flag", Some(Datum::I1(true)), 20),
        ("nil", None, 8),
    ] {
        assert_eq!(boxing::boxed(&language, kind(name), payload), Some([word, 0]), "{name}");
        assert_eq!(boxing::unboxed(&language, kind(name), [word, 0]), Some(payload), "{name}");
        assert_eq!(boxing::kind_of(&language, [word, 0]), Some(kind(name)));
    }
    assert_eq!(boxing::unboxed(&language, kind("small"), [2, 0]), None);
    assert_eq!(boxing::boxed(&language, kind("small"), Some(Datum::I1(true))), None);
}

#[test]
fn what_rests_on_a_broken_assumption_is_not_run() {
    let language = language();
    let function = straight(&language, "assume shape 7 0; return v0");
    let mut host = ModelHost::new(&language, &[int(1), int(2)]);
    let exit = evaluate(&function, &language, WINDOW, Settings::default(), &mut host).unwrap();
    assert_eq!(exit, Exit::Returned(vec![Datum::Any(int(1))]));
    host.broken
        .insert(crate::language::Recipe { class: language.recipe_class("shape").unwrap(), words: [7, 0] });
    let fault = evaluate(&function, &language, WINDOW, Settings::default(), &mut host).unwrap_err();
    assert!(fault.to_string().contains("does not hold any more"), "{fault}");
}
