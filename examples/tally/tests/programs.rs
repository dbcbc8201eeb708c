//! Programs give the same output, and the same error, whichever way they run.
//!
//! A program in `programs/` says in its comments what it prints (`#= line`) and with which error it ends (`#! error`).

use std::io::Write;
use std::sync::{Arc, Mutex};
use surmise::config::Config;
use surmise_tally::assemble::assemble;
use surmise_tally::run::{Statistics, run};

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What it printed, then its error.
fn output(source: &str, config: Option<Config>) -> (String, Option<Statistics>) {
    let output = Output::default();
    let program = assemble(source).unwrap();
    let (result, statistics) = run(&program, config, Box::new(output.clone()));
    let mut text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    if let Err(error) = result {
        text += &format!("! {error}\n");
    }
    (text, statistics)
}

/// The ways in which programs run with Surmise.
fn modes() -> Vec<(&'static str, Config)> {
    let default = Config::default;
    let blocking = || Config { blocking: true, ..default() };
    let at_once = || Config { no_delay: true, ..blocking() };
    vec![
        ("default", default()),
        ("blocking", blocking()),
        ("blocking, no delay", at_once()),
        ("every 3rd guard fails", Config { deopt_every: Some(3), ..blocking() }),
        ("every guard fails, no delay", Config { deopt_every: Some(1), ..at_once() }),
        ("a collection at almost every string", Config { nursery: Some(256), ..at_once() }),
        (
            "the same, and every 7th guard fails",
            Config { nursery: Some(256), deopt_every: Some(7), ..at_once() },
        ),
        ("no specialization", Config { disabled_passes: vec!["specialize".to_owned()], ..at_once() }),
        ("disabled", Config { disabled: true, ..default() }),
    ]
}

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
