//! Mutated sources are syntax errors or run; nothing panics, hangs, or takes memory without end.
//!
//! `cargo run --release -p surmise-tests --bin lua-mutate -- --count 1000000 --seed 1` tries more.

use std::path::Path;
use surmise_tests::driver::{Plan, drive};

/// Mutants that are tried here: some seconds.
const MUTANTS: u64 = 10_000;

#[test]
fn mutated_sources_do_no_harm() {
    let plan = Plan {
        command: Path::new(env!("CARGO_BIN_EXE_lua-mutate")),
        arguments: &["--worker".to_owned()],
        seeds: 0..MUTANTS,
        batch: MUTANTS / 2,
        memory: Some(6 << 30),
        jobs: 2,
        keeps_going: true,
    };
    let report = drive(&plan, &|_| {}).expect("workers work");
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    // The mutants are of all sorts: some are no programs, some run to their end, some are stopped.
    for outcome in ["rejected", "done", "stopped"] {
        assert!(report.count(outcome) > MUTANTS / 50, "{:?}", report.counts);
    }
}
