//! Every program prints the same in every mode.

use std::path::Path;
use std::time::Duration;
use surmise::ir::generate::Random;
use surmise::passes::PASSES;
use surmise_tests::{
    INTERPRETER, MODES, Mode, REFERENCE, SMALL_MODES, difference, differences, programs, reference, run,
};

const COMMAND: &str = env!("CARGO_BIN_EXE_lua-under-test");
const LIMIT: Duration = Duration::from_secs(120);

fn check(folder: &str, modes: &[&[Mode]], arguments: &[&str]) {
    let programs = programs(folder);
    assert!(!programs.is_empty(), "no programs in {folder}");
    let differences = differences(Path::new(COMMAND), modes, &programs, arguments, LIMIT);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn benchmark_programs() {
    check("benches/programs", &[MODES], &["2"]);
}

#[test]
fn small_programs() {
    check("tests/programs", &[MODES, SMALL_MODES], &[]);
}

/// What the differential runner has found.
#[test]
fn found_programs() {
    check("tests/programs/found", &[MODES, SMALL_MODES], &[]);
}

#[test]
fn failing_programs() {
    check("tests/failing", &[MODES, SMALL_MODES], &[]);
}

/// What fails, fails with the words of Lua, in all tiers.
#[test]
fn failing_programs_as_in_lua() {
    let Some(lua) = reference() else {
        println!("skipped: there is no lua5.4 here");
        return;
    };
    let mut differences = Vec::new();
    for program in programs("tests/failing") {
        let expected = run(&lua, REFERENCE, &program, &[], LIMIT).expect("lua5.4 runs");
        // The name of the command comes first.
        let errors = expected.errors.replacen("lua5.4: ", "lua: ", 1);
        let ran = run(Path::new(COMMAND), INTERPRETER, &program, &[], LIMIT).expect("lua runs");
        if (&ran.output, &ran.errors, ran.code) != (&expected.output, &errors, expected.code) {
            differences.push(format!("{}: expected {expected:?}, got {ran:?}", program.display()));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Settings that no mode has, from a seed.
fn random_settings(random: &mut Random) -> Vec<(&'static str, String)> {
    let mut settings = vec![("SURMISE_BLOCKING", "1".to_owned())];
    if random.one_in(2) {
        settings.push(("SURMISE_NODELAY", "1".to_owned()));
    }
    if random.one_in(2) {
        settings.push(("SURMISE_DEOPT_EVERY", (1 + random.below(100)).to_string()));
    }
    if random.one_in(2) {
        settings.push(("SURMISE_NURSERY", (256 << random.below(8)).to_string()));
    }
    if random.one_in(3) {
        settings.push(("SURMISE_DEOPT_ALL_EVERY", (1 + random.below(2000)).to_string()));
    }
    if random.one_in(4) {
        settings.push(("SURMISE_BACKEND", "portable".to_owned()));
    }
    if random.one_in(4) {
        let passes: Vec<String> = PASSES
            .iter()
            .filter(|pass| pass.optional && random.one_in(3))
            .map(|pass| format!("-{}", pass.name))
            .collect();
        settings.push(("SURMISE_PASSES", passes.join(",")));
    }
    if random.one_in(4) {
        settings.push(("SURMISE_FUEL", random.below(3000).to_string()));
    }
    settings
}

/// All programs with settings from a seed, `SOAK_SEED`: for `.ci/soak`.
#[test]
#[ignore = "for the soak, with new seeds each time"]
fn programs_with_random_settings() {
    let seed = std::env::var("SOAK_SEED").map_or(0, |text| text.parse().expect("SOAK_SEED is a number"));
    let mut random = Random::new(seed);
    let folders: [(&str, &[&str]); 3] =
        [("benches/programs", &["2"]), ("tests/programs", &[]), ("tests/failing", &[])];
    for (folder, arguments) in folders {
        for program in programs(folder) {
            // What the environment holds is not known at compile time; a test may keep it for good.
            let settings: Vec<(&str, &str)> = random_settings(&mut random)
                .into_iter()
                .map(|(name, value)| (name, &*String::leak(value)))
                .collect();
            let mode = Mode { name: "random settings", arguments: &[], settings: Vec::leak(settings) };
            let expected =
                run(Path::new(COMMAND), INTERPRETER, &program, arguments, LIMIT).expect("lua runs");
            let ran = run(Path::new(COMMAND), mode, &program, arguments, LIMIT).expect("lua runs");
            assert!(
                ran == expected,
                "seed {seed}, {}, {:?}:\n{}",
                program.display(),
                mode.settings,
                difference(&expected, &ran)
            );
        }
    }
}
