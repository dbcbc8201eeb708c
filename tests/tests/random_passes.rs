//! Random programs through the passes: after each pass the IR obeys the verifier, round-trips, and does what the interpreter
//! does, with guards that fail by themselves or by force and with machines that are invalidated in their calls.

use surmise::ir::analysis::registers::LiveRegisters;
use surmise::ir::entity::UnitId;
use surmise::ir::evaluate::Settings;
use surmise::ir::frame_state::{ResumePoint, When};
use surmise::ir::function::{Entry, Function};
use surmise::ir::generate::{self, Outcome, Random, Trial};
use surmise::ir::language::Language;
use surmise::ir::text::{parse_function, print_function};
use surmise::ir::verifier::{Stage, verify, violations_text};
use surmise::passes::{self, Environment, Fuel};
use surmise_tests::random::{Seeds, profile};

fn check(function: &Function, language: &Language, unit: UnitId, live: &LiveRegisters, place: &str) {
    let oracle = |id: UnitId, resume: ResumePoint| {
        (id == unit).then(|| match resume.when {
            When::Before => live.before(resume.pc),
            When::After => live.after(resume.pc),
        })
    };
    let found = verify(function, language, Stage::Specialized, Some(&oracle));
    let text = print_function(function, language);
    assert!(found.is_empty(), "{place}\n{}\n{text}", violations_text(&found));
    let again = parse_function(&text, language).unwrap_or_else(|error| panic!("{place}: {error}\n{text}"));
    assert_eq!(print_function(&again, language), text, "{place}");
    assert_eq!(again.compacted(), function.compacted(), "{place}");
}

#[test]
fn programs_do_the_same_after_each_pass() {
    let language = generate::language();
    for seed in Seeds::from_env(150).range() {
        let trial = Trial::random(seed, 8 + seed as usize % 50);
        let expected = trial.interpret(&language);
        let live = trial.program.live_registers();
        let mut random = Random::new(seed ^ 0xF00D);
        let profile = profile(&language, &trial, &mut random);
        let mut entries = vec![Entry::Call];
        entries.extend(trial.program.loop_headers().into_iter().map(Entry::Loop));
        for entry in entries {
            let mut function = trial.program.lift(&language, entry);
            let lifted = print_function(&function, &language);
            let mut fuel = Fuel::new(random.one_in(4).then(|| random.below(60) as u64));
            let mut environment = Environment {
                language: &language,
                profile: &profile,
                inlined: &surmise::profile::Map::default(),
                fuel: &mut fuel,
            };
            let mut number = 0;
            passes::run_pipeline(&mut function, &mut environment, &[], |name, function| {
                number += 1;
                let place = format!("seed {seed}, {entry:?}, after pass {number}, {name}");
                check(function, &language, trial.program.unit, &live, &place);
                for fail_every in [None, Some(1), Some(2), Some(3), Some(7)] {
                    let settings = Settings { fail_every, step_limit: None };
                    let outcome = match entry {
                        Entry::Loop(header) => trial.run_from_loop(&language, function, header, settings),
                        _ => trial.run(&language, function, settings, None).map(Some),
                    };
                    agree(
                        outcome,
                        &expected,
                        &format!("{place}, {fail_every:?}"),
                        function,
                        &language,
                        &lifted,
                    );
                }
                if entry == Entry::Call {
                    for call in [1, 2, 4] {
                        let outcome =
                            trial.run(&language, function, Settings::default(), Some(call)).map(Some);
                        agree(
                            outcome,
                            &expected,
                            &format!("{place}, call {call}"),
                            function,
                            &language,
                            &lifted,
                        );
                    }
                }
            });
        }
    }
}

fn agree(
    outcome: Result<Option<Outcome>, String>,
    expected: &Outcome,
    place: &str,
    function: &Function,
    language: &Language,
    lifted: &str,
) {
    let text = || format!("{}\nlifted\n{lifted}", print_function(function, language));
    match outcome {
        Ok(None) => {}
        Ok(Some(outcome)) => assert!(outcome == *expected, "{place}\n{outcome:?}\n{expected:?}\n{}", text()),
        Err(error) => panic!("{place}\n{error}\n{}", text()),
    }
}
