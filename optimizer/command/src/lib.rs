//! `surmise`: what one asks of a recording.
//!
//! Exit codes: 0 for a plain answer (a replay: identical), 1 for a replay that differs, 2 for a file or a setting that can't be used.
#![forbid(unsafe_code)]

/// Prints a line. Who reads no further (`| head`) ends the command, and is no error.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::open::print_line(format_args!($($argument)*))
    };
}

mod bisect;
mod diff;
mod emit;
mod execute;
mod merge;
mod open;
mod replay;
mod show;
mod stats;
mod table;
mod why;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Replays recordings of Surmise, and says what was decided in them and why.
#[derive(Parser)]
#[command(name = "surmise", version, arg_required_else_help = true)]
struct Arguments {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes all decisions and compiles of a recording again: identical?
    Replay {
        /// The recording.
        file: PathBuf,
        /// Threads that compile; all processors unless told.
        #[arg(long)]
        threads: Option<usize>,
        /// Run instead what the passes made of recorded units, against what it was made of: the same results, effects and rebuilt
        /// frames?
        #[arg(long)]
        execute: bool,
        /// A setting other than the recorded one, as NAME=VALUE (SURMISE_ may be left out).
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
    /// What is in a recording: units and candidates, one unit, or one candidate with its plan, IR and machine code.
    Show {
        /// The recording.
        file: PathBuf,
        /// Units whose name contains this.
        #[arg(long)]
        unit: Option<String>,
        /// The candidate of this number.
        #[arg(long)]
        candidate: Option<u64>,
        /// A setting other than the recorded one, as NAME=VALUE (SURMISE_ may be left out).
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
    /// A recording in figures: units, candidates, guards that failed, sorted by weight.
    Stats {
        /// The recording.
        file: PathBuf,
    },
    /// Why a unit was specialized as it was, or was not, and why its candidates were left.
    Why {
        /// The recording.
        file: PathBuf,
        /// Units whose name contains this.
        unit: String,
    },
    /// Finds the candidate, the step and the pass that make a program go wrong: runs a check again and again, with fewer and fewer
    /// candidates and steps.
    Bisect {
        /// A recording of the program going wrong, made in blocking mode.
        file: PathBuf,
        /// The check: a command that ends with another code than 0 when the program goes wrong. It gets its settings as environment.
        #[arg(last = true, required = true)]
        check: Vec<String>,
    },
    /// Writes the candidates that were installed at a recording's end to a file with which later processes start (SURMISE_PRELOAD).
    Emit {
        /// The recording.
        file: PathBuf,
        /// The file to write.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Seal it with the key in this file: 16 bytes or more that nobody else knows.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// A setting other than the recorded one, as NAME=VALUE (SURMISE_ may be left out).
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
    /// Makes one recording of many: what each process learnt, by unit. It can be emitted, so that a fleet warms its next process.
    Merge {
        /// Recordings, or folders of which all files named *.surmise are taken.
        #[arg(required = true)]
        inputs: Vec<PathBuf>,
        /// The recording to write.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// What differs between two recordings, or between a recording and itself under other settings.
    Diff {
        /// The recording.
        file: PathBuf,
        /// The other one; the same unless told.
        other: Option<PathBuf>,
        /// A setting for the other side, as NAME=VALUE (SURMISE_ may be left out).
        #[arg(long = "set", value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
}

/// Why the command can't be carried out, in a line.
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Runs the command with the process's arguments.
pub fn main() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    let result = match command {
        Command::Replay { file, threads, execute, settings } => {
            let work = if execute { execute::run } else { replay::run };
            open::replayed(&file, threads, &settings)
                .and_then(|(recording, world, pool)| work(&recording, &world, &pool, json))
        }
        Command::Show { file, unit, candidate, settings } => {
            show::run(&file, unit.as_deref(), candidate, &settings, json)
        }
        Command::Stats { file } => stats::run(&file, json),
        Command::Bisect { file, check } => bisect::run(&file, &check, json),
        Command::Emit { file, output, key, settings } => {
            emit::run(&file, &output, key.as_deref(), &settings, json)
        }
        Command::Merge { inputs, output } => merge::run(&inputs, &output, json),
        Command::Why { file, unit } => why::run(&file, &unit, json),
        Command::Diff { file, other, settings } => diff::run(&file, other.as_deref(), &settings, json),
    };
    match result {
        Ok(code) => code,
        Err(Failure(message)) => {
            eprintln!("surmise: {message}");
            ExitCode::from(2)
        }
    }
}
