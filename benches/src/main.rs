//! Side-by-side measurements of Lua engines on the programs of `programs/`.
//!
//! `compare` reports the time per iteration once an engine has warmed up; `warmup` what speculation
//! costs a program that is over before it can pay; `preload` how soon a program is at its full speed with what an earlier run
//! learnt. In all of them, the runs of different engines are
//! interleaved, so that whatever else the machine does falls on all of them alike, and medians are
//! reported. Nothing here judges the numbers; a program that fails makes the command fail.

#![forbid(unsafe_code)]

mod compare;
mod comparison;
mod engines;
mod error;
mod machine;
mod options;
mod output;
mod preload;
mod process;
mod programs;
mod samples;
mod statistics;
mod table;
mod warmup;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Command, CommandLine};

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Warmup(options) => warmup::run(&options),
        Command::Preload(options) => preload::run(&options),
    };
    match outcome {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            process::report(&failures);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
