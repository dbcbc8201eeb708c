//! Runs random Lua programs in the interpreter, in every mode and in Lua itself, and compares what they print.
//!
//! `cargo run --release -p surmise-tests --bin lua-differential -- --count 20000 --seed 1`. The first failure ends it, unless it is told
//! to go on; failures are shrunk and stored in `tests/programs/found`, where they are tests.
#![forbid(unsafe_code)]

/// As in the `lua` command: compiles allocate a lot.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::Parser;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use surmise_tests::differential::found::{DIFFERS, Failure};
use surmise_tests::differential::worker::{self, Verdict};
use surmise_tests::differential::{MODES, PEER, generate};
use surmise_tests::driver::{Place, Plan, Report, drive};

#[derive(Parser)]
#[command(about = "Compares random Lua programs in all modes")]
struct Options {
    /// How many programs
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only in this mode; may be given several times
    #[arg(long = "mode")]
    modes: Vec<String>,
    /// Goes on after a failure
    #[arg(long)]
    keep_going: bool,
    /// Processes at a time
    #[arg(long)]
    jobs: Option<usize>,
    /// Failures are not shrunk
    #[arg(long)]
    no_shrink: bool,
    /// Where failures are stored
    #[arg(long)]
    found: Option<PathBuf>,
    /// Prints the first seed's program, and ends
    #[arg(long)]
    print: bool,
    /// Lists the modes, and ends
    #[arg(long)]
    list: bool,
    /// Shrinks the program in this file, which fails in the mode that is given, and prints it
    #[arg(long)]
    shrink: Option<PathBuf>,
    /// Tries seeds and says where it is: for the process that started this one
    #[arg(long, hide = true)]
    worker: bool,
    /// Compares the program on standard input in one mode: likewise
    #[arg(long, hide = true)]
    check: Option<String>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lua-differential: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, String> {
    let seeds = options.seed..options.seed.saturating_add(options.count);
    if options.worker {
        worker::work(seeds, &options.modes)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(way) = &options.check {
        return check(way);
    }
    if options.print {
        print!("{}", generate::program(options.seed).text);
        return Ok(ExitCode::SUCCESS);
    }
    if options.list {
        MODES.iter().for_each(|mode| println!("{}", mode.name));
        println!("{PEER}");
        return Ok(ExitCode::SUCCESS);
    }
    let command = std::env::current_exe().map_err(|error| error.to_string())?;
    if let Some(file) = &options.shrink {
        let program =
            std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let [way] = &options.modes[..] else { return Err("--shrink needs one --mode".to_owned()) };
        let mut failure = Failure { seed: 0, way: way.clone(), class: None, program };
        failure.shrink(&command)?;
        let class = failure.class.map_or("it does not fail".to_owned(), |class| class.to_string());
        print!("-- {class}\n{}", failure.program);
        return Ok(ExitCode::SUCCESS);
    }
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let mut arguments = vec!["--worker".to_owned()];
    arguments.extend(options.modes.iter().flat_map(|mode| ["--mode".to_owned(), mode.clone()]));
    let plan = Plan {
        command: &command,
        arguments: &arguments,
        seeds,
        batch: 100,
        memory: None,
        jobs: options.jobs.unwrap_or(processors),
        keeps_going: options.keep_going,
    };
    let start = Instant::now();
    let (told, known) = (AtomicU64::new(0), AtomicUsize::new(0));
    let report = drive(&plan, &|report| {
        let new = known.swap(report.failures.len(), Ordering::Relaxed);
        for failure in &report.failures[new.min(report.failures.len())..] {
            println!("failed: seed {}, {}", failure.seed, failure.way);
        }
        let seconds = start.elapsed().as_secs();
        if seconds >= told.load(Ordering::Relaxed) + 10 {
            told.store(seconds, Ordering::Relaxed);
            println!("{seconds} s: {} programs, {} failures", report.total(), report.failures.len());
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    summarize(options, &report, seconds);
    for place in &report.failures {
        tell(place, options, &command)?;
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares the program on standard input in one mode.
fn check(way: &str) -> Result<ExitCode, String> {
    let mut program = String::new();
    std::io::stdin().read_to_string(&mut program).map_err(|error| error.to_string())?;
    Ok(match worker::check(&program, way)? {
        Verdict::Same | Verdict::Unfit => ExitCode::SUCCESS,
        Verdict::Differs(what) => {
            println!("{what}");
            ExitCode::from(DIFFERS)
        }
    })
}

fn summarize(options: &Options, report: &Report, seconds: f64) {
    let ways = if options.modes.is_empty() { "all modes".to_owned() } else { options.modes.join(", ") };
    println!(
        "seeds {} to {}: {} programs in {ways}, {} more that ran for too long, {:.0} s, {} failures",
        options.seed,
        options.seed + options.count - 1,
        report.count("done"),
        report.count("unfit"),
        seconds,
        report.failures.len()
    );
}

/// Shrinks and stores a failure, and says what it is.
fn tell(place: &Place, options: &Options, command: &Path) -> Result<(), String> {
    let program = generate::program(place.seed).text;
    let mut failure = Failure { seed: place.seed, way: place.way.clone(), class: None, program };
    if !options.no_shrink {
        failure.shrink(command)?;
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/found");
    let path = failure.store(options.found.as_deref().unwrap_or(&usual))?;
    let class = failure.class.as_ref().map_or(place.how.clone(), |class| class.to_string());
    println!("seed {}, {}: {class}\n  {}", failure.seed, failure.way, path.display());
    Ok(())
}
