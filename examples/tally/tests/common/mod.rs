//! What the tests share: running programs in every mode.

use std::io::Write;
use std::sync::{Arc, Mutex};
use surmise::config::{Backend, Config};
use surmise::lower::Redirection;
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
pub fn output(source: &str, config: Option<Config>) -> (String, Option<Statistics>) {
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
pub fn modes() -> Vec<(&'static str, Config)> {
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
        ("everything thrown away at every 50th safepoint", Config { deopt_all_every: Some(50), ..at_once() }),
        (
            "the same at every 33rd by marks, every 7th guard fails, many collections",
            Config {
                deopt_all_every: Some(33),
                redirection: Redirection::Mark,
                deopt_every: Some(7),
                nursery: Some(256),
                ..at_once()
            },
        ),
        ("no specialization", Config { disabled_passes: vec!["specialize".to_owned()], ..at_once() }),
        ("portable", Config { backend: Backend::Portable, ..at_once() }),
        (
            "portable, every 2nd guard fails",
            Config { backend: Backend::Portable, deopt_every: Some(2), ..at_once() },
        ),
        (
            "portable, a collection at almost every string, every 7th guard fails",
            Config { backend: Backend::Portable, nursery: Some(256), deopt_every: Some(7), ..at_once() },
        ),
        (
            "portable, everything thrown away at every 21st safepoint, every 5th guard fails",
            Config {
                backend: Backend::Portable,
                deopt_all_every: Some(21),
                deopt_every: Some(5),
                ..at_once()
            },
        ),
        ("disabled", Config { disabled: true, ..default() }),
    ]
}
