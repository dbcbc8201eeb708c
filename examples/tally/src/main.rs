//! The `tally` command: `tally PROGRAM.tally [--no-surmise] [--stats]`.
//!
//! `--no-surmise` interprets only; `--stats` reports on standard error at exit. Surmise's settings are variables of the environment
//! (`SURMISE_…`). Exit code 1: the program failed. 2: it could not be started.

use std::process::ExitCode;
use surmise::config::Config;
use surmise_tally::assemble::assemble;
use surmise_tally::run::run;

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(message) => {
            eprintln!("tally: {message}");
            ExitCode::from(2)
        }
    }
}

fn start() -> Result<ExitCode, String> {
    let (mut path, mut is_plugged, mut reports) = (None, true, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--no-surmise" => is_plugged = false,
            "--stats" => reports = true,
            option if option.starts_with('-') => return Err(format!("unknown option '{option}'")),
            _ if path.is_none() => path = Some(argument),
            _ => return Err("more than one program".to_owned()),
        }
    }
    let path = path.ok_or("usage: tally PROGRAM.tally [--no-surmise] [--stats]")?;
    let source = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let program = assemble(&source).map_err(|error| format!("{path}: {error}"))?;
    let config = match is_plugged {
        true => Some(Config::from_env().map_err(|error| error.to_string())?),
        false => None,
    };
    let (result, statistics) = run(&program, config, Box::new(std::io::LineWriter::new(std::io::stdout())));
    if reports && let Some(statistics) = statistics {
        eprintln!("{statistics:#?}");
    }
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("tally: {path}: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}
