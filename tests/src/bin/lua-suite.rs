//! Runs the official tests of Lua 5.4 and prints how each file did in each mode.
//!
//! `cargo run --release -p surmise-tests --bin lua-suite` runs all modes; `--quick` a few, `--mode NAME` those whose names contain that;
//! `--file NAME`, or just names, choose files.
#![forbid(unsafe_code)]

use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use surmise_tests::Mode;
use surmise_tests::suite::files::{FILES, Run};
use surmise_tests::suite::matrix::{FURTHER, QUICK, Setup, Verdict, failures};

#[derive(Parser)]
#[command(about = "Runs the official tests of Lua 5.4, file by file in every mode")]
struct Options {
    /// Only the modes that take little time
    #[arg(long)]
    quick: bool,
    /// Only modes whose names contain this
    #[arg(long = "mode", value_name = "NAME")]
    modes: Vec<String>,
    /// Only this file
    #[arg(long = "file", value_name = "NAME")]
    chosen: Vec<String>,
    /// Seconds that a file may take in a mode
    #[arg(long, default_value_t = 300)]
    limit: u64,
    /// The command to test; the one built with this program if not given
    #[arg(long)]
    lua: Option<PathBuf>,
    /// Only these files
    files: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/lua-suite");
    let folder = match surmise_tests::suite::fetch::fetch(&cache) {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("lua-suite: {error}");
            return ExitCode::from(2);
        }
    };
    let beside = std::env::current_exe().map(|path| path.with_file_name("lua-under-test"));
    let Some(command) = options.lua.clone().or(beside.ok()).filter(|path| path.exists()) else {
        eprintln!(
            "lua-suite: there is no lua-under-test beside this program; build it or name one with --lua"
        );
        return ExitCode::from(2);
    };
    let mut modes: Vec<Mode> = if options.quick { QUICK.to_vec() } else { [QUICK, FURTHER].concat() };
    modes.retain(|mode| {
        options.modes.is_empty() || options.modes.iter().any(|name| mode.name.contains(name.as_str()))
    });
    let names = [options.files, options.chosen].concat();
    let unknown = names.iter().find(|name| !FILES.iter().any(|file| file.name == name.as_str()));
    if let Some(name) = unknown {
        eprintln!("lua-suite: there is no {name} in the suite");
        return ExitCode::from(2);
    }
    if modes.is_empty() {
        let known: Vec<&str> = [QUICK, FURTHER].concat().iter().map(|mode| mode.name).collect();
        eprintln!("lua-suite: no such mode; there are: {}", known.join(", "));
        return ExitCode::from(2);
    }
    let scratch = cache.join("runs");
    let setup = Setup {
        command: &command,
        folder: &folder,
        scratch: &scratch,
        limit: Duration::from_secs(options.limit),
    };
    let heads: String = modes.iter().map(|mode| format!("{:>12}", mode.name)).collect();
    println!("{:<16}{heads}", "file");
    let rows = setup.run(&names, &modes, &mut |file, verdicts| {
        let cells: String = verdicts.iter().map(|verdict| format!("{:>12}", verdict.cell())).collect();
        println!("{:<16}{cells}", file.name);
    });
    for file in FILES {
        if let Run::Excluded(reason) = file.run {
            println!("excluded: {}: {reason}", file.name);
        }
        for part in file.without {
            let mode = part.mode.map_or_else(String::new, |mode| format!(" in mode {mode}"));
            println!("excluded: {}, lines {} to {}{mode}: {}", file.name, part.first, part.last, part.reason);
        }
    }
    let sum = |column: usize| -> f64 {
        let times = rows.iter().filter_map(|(_, verdicts)| match verdicts[column] {
            Verdict::Passed(time) => Some(time.as_secs_f64()),
            _ => None,
        });
        times.sum()
    };
    let sums: String = (0..modes.len()).map(|column| format!("{:>10.2} s", sum(column))).collect();
    println!("{:<16}{sums}", "time");
    let failures = failures(&rows, &modes);
    for failure in &failures {
        println!("{failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
