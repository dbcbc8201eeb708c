//! Every program prints the same in every mode.

use std::path::Path;
use std::time::Duration;
use surmise_tests::{differences, programs};

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
