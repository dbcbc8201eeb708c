//! Properties of generated programs and functions, over many seeds.

use super::*;
use crate::analysis::{ControlFlow, Dominators, LoopForest};
use crate::entity::UnitId;
use crate::evaluate::model::WINDOW;
use crate::evaluate::{Boxed, Exit, LeaveReason, Machine, Pause, Prepared, Settings, evaluate};
use crate::function::{Entry, Function};
use crate::language::Language;
use crate::text::{parse_function, print_function};
use crate::verifier::{Stage, verify, verify_language, violations_text};

fn check_text(function: &Function, language: &Language) {
    let text = print_function(function, language);
    let again = parse_function(&text, language).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(print_function(&again, language), text);
    assert_eq!(again.compacted(), function.compacted(), "{text}");
}

fn check_rules(function: &Function, language: &Language, stage: Stage, program: Option<&Program>) {
    let live = program.map(|program| (program.unit, program.live_registers()));
    let oracle = |unit: UnitId, resume: crate::frame_state::ResumePoint| match &live {
        Some((id, live)) if *id == unit => Some(match resume.when {
            crate::frame_state::When::Before => live.before(resume.pc),
            crate::frame_state::When::After => live.after(resume.pc),
        }),
        _ => None,
    };
    let found = verify(function, language, stage, Some(&oracle));
    assert!(found.is_empty(), "{}\n{}", violations_text(&found), print_function(function, language));
}

#[test]
fn mini_is_a_right_language() {
    let found = verify_language(&language());
    assert!(found.is_empty(), "{}", violations_text(&found));
}

#[test]
fn lifted_programs_do_what_the_interpreter_does() {
    let language = language();
    let (mut returned, mut thrown, mut loops, mut invalidated) = (0, 0, 0, 0);
    for seed in 0..400 {
        let trial = Trial::random(seed, 10 + seed as usize % 60);
        let expected = trial.interpret(&language);
        assert_ne!(expected.end, "out of steps", "seed {seed}");
        returned += usize::from(expected.end != "error");
        thrown += usize::from(expected.end == "error");
        let function = trial.program.lift(&language, Entry::Call);
        check_rules(&function, &language, Stage::Generic, Some(&trial.program));
        check_text(&function, &language);
        let run = |function: &Function, invalidate_at| {
            let outcome = trial.run(&language, function, Settings::default(), invalidate_at);
            outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}"))
        };
        assert_eq!(run(&function, None), expected, "seed {seed}");
        assert_eq!(run(&function.compacted(), None), expected, "seed {seed}");
        for call in [1, 2, 3, 5, 9, 14, 30] {
            assert_eq!(run(&function, Some(call)), expected, "seed {seed}, invalidated at call {call}");
            invalidated += 1;
        }
        for header in trial.program.loop_headers() {
            let function = trial.program.lift(&language, Entry::Loop(header));
            check_rules(&function, &language, Stage::Generic, Some(&trial.program));
            check_text(&function, &language);
            let outcome = trial.run_from_loop(&language, &function, header, Settings::default());
            if let Some(outcome) = outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}")) {
                assert_eq!(outcome, expected, "seed {seed} from {header}");
                loops += 1;
            }
        }
    }
    assert!(returned > 200 && thrown > 5 && loops > 100 && invalidated > 1000, "{returned} {thrown} {loops}");
}

const ARGUMENTS: [Boxed; 3] = [[2, 5], [3, 0x4000_0000_0000_0000], [1, 1]];

fn run(function: &Function, language: &Language, settings: Settings) -> (Exit, Vec<String>) {
    let mut world = world(language, &ARGUMENTS);
    let exit = evaluate(function, language, WINDOW, settings, &mut world.host);
    let exit = exit.unwrap_or_else(|fault| panic!("{fault}\n{}", print_function(function, language)));
    (exit, world.observations.take())
}

#[test]
fn random_functions_are_right_and_round_trip() {
    let language = language();
    let mut blocks = 0;
    for seed in 0..500 {
        let function = random_function(&language, seed, 20 + seed as usize % 100, Reach::Everything);
        check_rules(&function, &language, Stage::Lowerable, None);
        check_text(&function, &language);
        check_rules(&function.compacted(), &language, Stage::Lowerable, None);
        assert_eq!(random_function(&language, seed, 20 + seed as usize % 100, Reach::Everything), function);
        let graph = ControlFlow::new(&function);
        let forest = LoopForest::new(&graph, &Dominators::new(&graph));
        assert!(forest.irreducible.is_empty());
        blocks += function.layout.len();
    }
    assert!(blocks > 1000, "{blocks}");
}

#[test]
fn random_functions_evaluate_the_same_each_time() {
    let language = language();
    let (mut returned, mut left) = (0, 0);
    for seed in 0..500 {
        let function = random_function(&language, seed, 20 + seed as usize % 100, Reach::Everything);
        let (exit, seen) = run(&function, &language, Settings::default());
        // NaNs compare unequal as floats, but these are bits.
        assert_eq!(
            (&exit, &seen),
            (
                &run(&function, &language, Settings::default()).0,
                &run(&function, &language, Settings::default()).1
            )
        );
        let (compact, compact_seen) = run(&function.compacted(), &language, Settings::default());
        assert_eq!(seen, compact_seen);
        match (&exit, &compact) {
            (Exit::Deoptimized { frames, .. }, Exit::Deoptimized { frames: compact, .. }) => {
                assert_eq!(frames, compact, "seed {seed}");
                left += 1;
            }
            _ => {
                assert_eq!(exit, compact, "seed {seed}");
                returned += 1;
            }
        }
    }
    assert!(returned > 50 && left > 100, "{returned} returned, {left} left");
}

#[test]
fn forced_failures_strike_the_guard_that_was_counted() {
    let language = language();
    let mut struck = 0;
    for seed in 0..300 {
        let function = random_function(&language, seed, 60, Reach::Everything);
        let mut world = world(&language, &ARGUMENTS);
        let prepared = Prepared::new(&function);
        let mut machine = Machine::new(&function, &prepared, &language, WINDOW, Settings::default());
        let exit = loop {
            match machine.run(&mut world.host).unwrap() {
                Pause::Exit(exit) => break exit,
                Pause::Call(call) => {
                    let delivery = crate::evaluate::EvaluatorHost::call(&mut world.host, &call, &mut machine);
                    match delivery {
                        Ok(delivery) => machine.deliver(delivery).unwrap(),
                        Err(_) => break Exit::Thrown,
                    }
                }
            }
        };
        let natural = u64::from(matches!(exit, Exit::Deoptimized { reason: LeaveReason::Guard { .. }, .. }));
        for every in 1..=machine.guards() - natural.min(machine.guards()) {
            let settings = Settings { fail_every: Some(every), step_limit: None };
            let (exit, _) = run(&function, &language, settings);
            assert!(
                matches!(exit, Exit::Deoptimized { reason: LeaveReason::Guard { forced: true, .. }, .. }),
                "seed {seed}, guard {every}: {exit:?}"
            );
            struck += 1;
        }
    }
    assert!(struck > 300, "{struck}");
}
