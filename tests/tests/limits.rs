//! A program that keeps changing what its compiled code rests on is not compiled all the time.

use std::path::Path;
use std::time::Duration;
use surmise_tests::{Mode, run};

/// What `--stats` says of a program's run.
fn statistics(
    settings: &'static [(&'static str, &'static str)],
    program: &str,
    rounds: &str,
) -> serde_json::Value {
    let mode = Mode { name: "statistics", arguments: &["--stats=json"], settings };
    let command = Path::new(env!("CARGO_BIN_EXE_lua-under-test"));
    let ran = run(command, mode, Path::new(program), &[rounds], Duration::from_secs(120)).expect("it runs");
    serde_json::from_str(&ran.errors).unwrap_or_else(|error| panic!("{error}\n{}", ran.errors))
}

#[test]
fn a_loop_whose_globals_are_redefined_is_compiled_a_few_times() {
    for settings in [&[("SURMISE_BLOCKING", "1")][..], &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1")]]
    {
        let report =
            statistics(settings, concat!(env!("CARGO_MANIFEST_DIR"), "/programs/reassigned.lua"), "3000");
        let figure = |name: &str| report["surmise"][name].as_u64().expect("a figure");
        // Of 48 functions that the loop rests on each is redefined, and one 48 times more.
        let limit = u64::from(surmise::config::BREAKS_PER_UNIT);
        assert_eq!(figure("invalidated"), limit, "{report}");
        let candidates = figure("candidates");
        assert!((limit..=3 * limit).contains(&candidates), "{candidates} candidates");
        assert!(figure("installed") > limit / 2 && figure("given_up") == 0, "{report}");
    }
}
