//! Programs give the same output, and the same error, whichever way they run.
//!
//! A program in `programs/` says in its comments what it prints (`#= line`) and with which error it ends (`#! error`).

mod common;

use common::{modes, output};
use surmise::config::Config;

fn check(name: &str, source: &str) {
    let expected: String = (source.lines())
        .filter_map(|line| {
            line.strip_prefix("#= ")
                .map(str::to_owned)
                .or(line.strip_prefix("#!").map(|error| format!("!{error}")))
        })
        .map(|line| line + "\n")
        .collect();
    assert_eq!(output(source, None).0, expected, "{name}, interpreted");
    for (mode, config) in modes() {
        let compiles = config.blocking;
        let (text, statistics) = output(source, Some(config));
        assert_eq!(text, expected, "{name}, {mode}");
        let statistics = statistics.expect("Surmise is plugged in");
        assert!(statistics.service.rejected.is_empty(), "{name}, {mode}: {statistics:#?}");
        assert!(!compiles || statistics.plug.installed > 0, "{name}, {mode}: {statistics:#?}");
        assert_eq!(statistics.plug.not_installed, 0, "{name}, {mode}");
    }
}

macro_rules! programs {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name), include_str!(concat!("../programs/", stringify!($name), ".tally"))); })*
    };
}

programs! { sum fibonacci text change overflow }

/// What one run made is what the next one starts with, in word encoding too.
#[test]
fn programs_start_warm() {
    let folder = std::env::temp_dir();
    let path = |name: &str| folder.join(format!("surmise-tally-{}-{name}", std::process::id()));
    let (recorded, emitted) = (path("run.surmise"), path("app.spesh"));
    let source = include_str!("../programs/fibonacci.tally");
    let config = || Config { blocking: true, ..Config::default() };
    let (text, _) = output(source, Some(Config { record: Some(recorded.clone()), ..config() }));
    let file = std::fs::read(&recorded).expect("the recording was written");
    let recording = surmise::replay::Recording::read(&file[..]).expect("it can be read");
    let world = surmise::replay::World::new(&recording.header, &[]).expect("its settings can be read");
    let made = surmise::preload::emit(&recording, &world, &|| ());
    made.write(&emitted, None).expect("there is room");
    let (again, statistics) = output(source, Some(Config { preload: Some(emitted.clone()), ..config() }));
    for file in [recorded, emitted] {
        std::fs::remove_file(file).expect("it is ours");
    }
    assert_eq!(again, text);
    let statistics = statistics.expect("Surmise is plugged in");
    assert!(!made.candidates.is_empty() && made.skipped.is_empty());
    assert_eq!(statistics.plug.preloaded, made.candidates.len() as u64, "{statistics:#?}");
}

/// A guess of a case's template (products stay small) that keeps failing is given up, and the function is compiled without it.
#[test]
fn an_overflow_guard_that_keeps_failing_is_given_up() {
    let source = "function main\nlocal round product\npush 0\nset round\n\
                  again:\nget round\npush 3000000000\nmul\nset product\n\
                  get round\npush 1\nadd\nset round\nget round\npush 100000\nless\njump_if again\nget product\nprint\nreturn_\n"
        .replace("return_", "push 0\nreturn\nend");
    let config = Config { blocking: true, ..Config::default() };
    let (text, statistics) = output(&source, Some(config));
    assert_eq!(text, "299997000000000\n");
    let statistics = statistics.expect("Surmise is plugged in");
    // Each candidate that makes the guess is thrown away after some failures; the last one does without it.
    assert!(statistics.plug.deopts.iter().sum::<u64>() < 40, "{statistics:#?}");
    assert!(statistics.plug.installed > statistics.plug.retired, "{statistics:#?}");
}
