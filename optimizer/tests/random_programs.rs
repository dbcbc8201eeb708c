//! Random programs through the passes: after each pass the IR obeys the verifier, round-trips, and does what the interpreter
//! does, with guards that fail by themselves or by force and with machines that are invalidated in their calls.

use smallvec::SmallVec;
use surmise::log::Event;
use surmise::passes::{self, Environment, Fuel};
use surmise::profile::UnitProfile;
use surmise_ir::analysis::registers::LiveRegisters;
use surmise_ir::entity::{KindId, Pc, Register, UnitId};
use surmise_ir::evaluate::{Boxed, Settings, boxing};
use surmise_ir::frame_state::{ResumePoint, When};
use surmise_ir::function::{Entry, Function};
use surmise_ir::generate::{self, Code, Frame, Outcome, Random, Trial};
use surmise_ir::language::Language;
use surmise_ir::text::{parse_function, print_function};
use surmise_ir::verifier::{Stage, verify, violations_text};

/// What a log of the first `steps` operations would have shown, with some lies: guesses are only guesses.
fn profile(language: &Language, trial: &Trial, random: &mut Random) -> UnitProfile {
    let kinds: Vec<KindId> =
        ["int", "float", "bool", "cell"].iter().filter_map(|name| language.kind(name)).collect();
    let lies = random.one_in(3);
    let mut kind = |value: Boxed| match boxing::kind_of(language, value) {
        Some(kind) if !(lies && random.one_in(6)) => kind,
        _ => *random.pick(&kinds),
    };
    let mut profile = UnitProfile::default();
    profile.add(Event::Enter);
    for (index, &arg) in trial.args.iter().enumerate() {
        profile.add(Event::RegisterKind(Pc(0), Register(index as u16), kind(arg)));
    }
    let mut world = generate::world(language, &trial.args);
    world.log = Some(Vec::new());
    let mut frame = Frame::new(&trial.program, &trial.args);
    generate::interpret(&trial.program, language, &mut world, &mut frame, None, 1_000_000);
    let log = world.log.unwrap_or_default();
    let kept = if lies { log.len() / 2 } else { log.len() };
    for logged in &log[..kept] {
        let mut operands: SmallVec<[KindId; 3]> = logged.operands.iter().map(|&value| kind(value)).collect();
        // No log says that a value is of two kinds at once.
        if let [a, b] = logged.operands[..]
            && a == b
        {
            operands[1] = operands[0];
        }
        profile.add(Event::Operands(logged.pc, operands));
        if let Some(result) = logged.result.and_then(|result| result.boxed()) {
            profile.add(Event::Result(logged.pc, kind(result)));
        }
        if matches!(trial.program.code[logged.pc.0 as usize], Code::JumpIf(..)) {
            let jumped = logged.result == Some(surmise_ir::evaluate::Datum::I1(true));
            profile.add(Event::Branch(logged.pc, jumped));
        }
    }
    for header in trial.program.loop_headers() {
        profile.add(Event::Loop(header));
    }
    profile
}

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
    let seeds: u64 = std::env::var("RANDOM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let first: u64 = std::env::var("RANDOM_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
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
            let mut environment = Environment { language: &language, profile: &profile, fuel: &mut fuel };
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
