//! Every program prints the same in every mode.

use std::path::Path;
use std::time::Duration;
use surmise_tests::{INTERPRETER, REFERENCE, differences, programs, reference, run};

const COMMAND: &str = env!("CARGO_BIN_EXE_lua-under-test");
const LIMIT: Duration = Duration::from_secs(120);

fn check(folder: &str, arguments: &[&str]) {
    let programs = programs(folder);
    assert!(!programs.is_empty(), "no programs in {folder}");
    let differences = differences(Path::new(COMMAND), &programs, arguments, LIMIT);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn benchmark_programs() {
    check("benches/programs", &["2"]);
}

#[test]
fn small_programs() {
    check("tests/programs", &[]);
}

#[test]
fn failing_programs() {
    check("tests/failing", &[]);
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
