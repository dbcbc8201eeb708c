//! Compiles mutated Lua sources, and runs what compiles under limits: nothing may panic, hang, or take memory without end.
//!
//! `cargo run --release -p surmise-tests --bin lua-mutate -- --count 1000000 --seed 1`
#![forbid(unsafe_code)]

use clap::Parser;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use surmise_tests::differential::host::with_host;
use surmise_tests::driver::{Plan, drive};
use surmise_tests::mutate;

/// As in the `lua` command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Compiles and runs mutated Lua sources")]
struct Options {
    /// How many mutants
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Processes at a time
    #[arg(long)]
    jobs: Option<usize>,
    /// Goes on after a failure
    #[arg(long)]
    keep_going: bool,
    /// Prints the first seed's mutant, and ends
    #[arg(long)]
    print: bool,
    /// Runs this file under the limits that mutants have, says how it ended, and ends
    #[arg(long)]
    file: Option<PathBuf>,
    /// Tries seeds and says where it is: for the process that started this one
    #[arg(long, hide = true)]
    worker: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lua-mutate: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let seeds = options.seed..options.seed.saturating_add(options.count);
    if options.worker {
        mutate::work(seeds)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(file) = &options.file {
        let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let outcome = with_host(|host| mutate::run(host, &text))??;
        println!("{outcome:?}");
        return Ok(ExitCode::SUCCESS);
    }
    if options.print {
        let text = mutate::Mutator::new()?.mutant(options.seed);
        std::io::stdout().write_all(&text).map_err(|error| error.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let command = std::env::current_exe().map_err(|error| error.to_string())?;
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let plan = Plan {
        command: &command,
        arguments: &["--worker".to_owned()],
        seeds,
        batch: 5000,
        // More than a mutant may use, with all that a process reserves.
        memory: Some(6 << 30),
        jobs: options.jobs.unwrap_or(processors),
        keeps_going: options.keep_going,
    };
    let (start, told, known) = (Instant::now(), AtomicU64::new(0), AtomicUsize::new(0));
    let report = drive(&plan, &|report| {
        let new = known.swap(report.failures.len(), Ordering::Relaxed);
        for place in &report.failures[new.min(report.failures.len())..] {
            println!("failed: seed {}: {}", place.seed, place.how);
        }
        let seconds = start.elapsed().as_secs();
        if seconds >= told.load(Ordering::Relaxed) + 10 {
            told.store(seconds, Ordering::Relaxed);
            println!("{seconds} s: {} mutants, {} failures", report.total(), report.failures.len());
        }
    })?;
    println!(
        "seeds {} to {}: {} mutants, {:.0} s: {} rejected, {} ran, {} stopped, {} failures",
        options.seed,
        options.seed + options.count - 1,
        report.total(),
        start.elapsed().as_secs_f64(),
        report.count("rejected"),
        report.count("done"),
        report.count("stopped"),
        report.failures.len()
    );
    for place in &report.failures {
        println!("seed {}: {}; lua-mutate --print --seed {}", place.seed, place.how, place.seed);
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
