//! Programs give the same output, and the same error, whichever way they run.
//!
//! A program in `programs/` says in its comments what it prints (`#= line`) and with which error it ends (`#! error`).

mod common;

use common::{modes, output};

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
