//! Checks the corpus of recordings; with `--bless`, writes its texts anew; with `--record`, the recordings too.
#![forbid(unsafe_code)]

use clap::Parser;
use std::path::Path;
use std::process::{Command, ExitCode};
use surmise_tests::corpus::{PROGRAMS, describe, files, folder, read};

/// So many runs of each entry have their arguments recorded: a few are enough to begin from, and cost little.
const ARGUMENTS: &str = "2";

/// Checks the corpus of recordings.
#[derive(Parser)]
struct Arguments {
    /// Write the texts anew.
    #[arg(long)]
    bless: bool,
    /// Record the programs anew, with the `lua` beside this command, and bless.
    #[arg(long)]
    record: bool,
}

fn record(program: &str) -> Result<(), String> {
    let lua = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("lua-under-test");
    let script = folder().join("../../benches/programs").join(program).with_extension("lua");
    let output = Command::new(&lua)
        .arg(&script)
        .arg("1")
        .env("SURMISE_BLOCKING", "1")
        .env("SURMISE_RECORD", files(program).0)
        .env("SURMISE_RECORD_ARGUMENTS", ARGUMENTS)
        .output()
        .map_err(|error| format!("{}: {error}", lua.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{}: {errors}", script.display())) }
}

fn check(program: &str, arguments: &Arguments) -> Result<bool, String> {
    if arguments.record {
        record(program)?;
    }
    let (recording, expected) = files(program);
    let text = describe(&read(&recording)?)?;
    if arguments.bless || arguments.record {
        std::fs::write(&expected, text).map_err(|error| format!("{}: {error}", expected.display()))?;
        return Ok(true);
    }
    let known =
        std::fs::read_to_string(&expected).map_err(|error| format!("{}: {error}", expected.display()))?;
    if known == text {
        return Ok(true);
    }
    println!("{}:", Path::new(program).display());
    for (old, new) in known.lines().zip(text.lines()).filter(|(old, new)| old != new) {
        println!("  - {old}\n  + {new}");
    }
    Ok(false)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut code = ExitCode::SUCCESS;
    for program in PROGRAMS {
        match check(program, &arguments) {
            Ok(true) => println!("{program}: as expected"),
            Ok(false) => code = ExitCode::from(1),
            Err(error) => {
                eprintln!("corpus: {error}");
                return ExitCode::from(2);
            }
        }
    }
    code
}
