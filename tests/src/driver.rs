//! Keeps workers busy: processes that try seeds and say on standard output where they are, so that whoever reads it knows what they died of.
//! A worker gets a batch of seeds; if it dies or hangs, what it was doing is a failure, and the rest of the batch goes to a new one.
//!
//! ```text
//! at SEED WAY         it is about to try this seed in this way
//! differs SEED WAY    that was not as it should be
//! WORD SEED           it is done with the seed, which is counted under this word
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long a worker may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// What to try.
pub struct Plan<'a> {
    /// The program that works when it is told to.
    pub command: &'a Path,
    /// What tells it, before `--seed` and `--count`.
    pub arguments: &'a [String],
    /// Seeds to try.
    pub seeds: Range<u64>,
    /// Seeds that a worker is given at once: few enough for what a process leaves behind not to matter.
    pub batch: u64,
    /// Bytes of address space that a worker may have.
    pub memory: Option<u64>,
    /// Workers at a time.
    pub jobs: usize,
    /// Whether a failure is no reason to stop.
    pub keeps_going: bool,
}

/// Where something failed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The seed.
    pub seed: u64,
    /// The way in which it was tried.
    pub way: String,
    /// What the driver saw.
    pub how: String,
}

/// What was tried.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Seeds by what workers said of them.
    pub counts: BTreeMap<String, u64>,
    /// What failed, by seed.
    pub failures: Vec<Place>,
}

impl Report {
    /// Seeds of which a worker said this.
    pub fn count(&self, word: &str) -> u64 {
        self.counts.get(word).copied().unwrap_or(0)
    }
    /// All seeds that were tried.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Tries all seeds of a plan. `tell` hears of progress now and then.
///
/// # Errors
/// If there can be no workers, or one of them has a reason not to work.
pub fn drive(plan: &Plan<'_>, tell: &(dyn Fn(&Report) + Sync)) -> Result<Report, String> {
    let next = AtomicU64::new(plan.seeds.start);
    let stop = AtomicBool::new(false);
    let report = Mutex::new(Report::default());
    let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let runner = || {
            while !stop.load(Ordering::Relaxed) {
                let first = next.fetch_add(plan.batch, Ordering::Relaxed);
                if first >= plan.seeds.end {
                    break;
                }
                let seeds = first..(first + plan.batch).min(plan.seeds.end);
                run_batch(plan, seeds, &report, &stop)
                    .inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                tell(&report.lock().expect("nobody panics with the report"));
            }
            Ok(())
        };
        let threads: Vec<_> = (0..plan.jobs.max(1)).map(|_| scope.spawn(runner)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a driver's thread does not panic")).collect()
    });
    results.into_iter().collect::<Result<(), String>>()?;
    let mut report = report.into_inner().expect("nobody panics with the report");
    report.failures.sort();
    Ok(report)
}

fn run_batch(
    plan: &Plan<'_>,
    mut seeds: Range<u64>,
    report: &Mutex<Report>,
    stop: &AtomicBool,
) -> Result<(), String> {
    while !seeds.is_empty() && !stop.load(Ordering::Relaxed) {
        let mut worker = Worker::start(plan, &seeds)?;
        let mut place: Option<(u64, String)> = None;
        let end = loop {
            let line = match worker.lines.recv_timeout(SILENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => break End::Silent,
                Err(RecvTimeoutError::Disconnected) => break worker.end()?,
            };
            let mut words = line.split(' ');
            let (what, seed, way) = (words.next(), words.next(), words.next().unwrap_or_default());
            let Some(seed) = seed.and_then(|seed| seed.parse().ok()) else {
                return Err(format!("a worker said '{line}'"));
            };
            let mut report = report.lock().expect("nobody panics with the report");
            match what {
                Some("at") => place = Some((seed, way.to_owned())),
                Some("differs") => {
                    report.add(plan, Place { seed, way: way.to_owned(), how: "it differs".to_owned() }, stop)
                }
                Some(word) => *report.counts.entry(word.to_owned()).or_default() += 1,
                None => return Err(format!("a worker said '{line}'")),
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        };
        match (&end, place) {
            (End::Finished, _) => return Ok(()),
            (_, None) => return Err("a worker ended before it began".to_owned()),
            (End::Refused, Some((seed, way))) => {
                return Err(format!("a worker gave up at seed {seed}, {way}"));
            }
            (End::Silent | End::Died(_), Some((seed, way))) => {
                let how = match &end {
                    End::Died(how) => format!("the process died: {how}"),
                    _ => "it does not end".to_owned(),
                };
                let mut report = report.lock().expect("nobody panics with the report");
                *report.counts.entry("failed".to_owned()).or_default() += 1;
                report.add(plan, Place { seed, way, how }, stop);
                seeds.start = seed + 1;
            }
        }
    }
    Ok(())
}

impl Report {
    fn add(&mut self, plan: &Plan<'_>, place: Place, stop: &AtomicBool) {
        self.failures.push(place);
        if !plan.keeps_going {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

/// How a worker ended.
enum End {
    Finished,
    /// It said why on standard error.
    Refused,
    Died(String),
    Silent,
}

struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(plan: &Plan<'_>, seeds: &Range<u64>) -> Result<Worker, String> {
        let count = seeds.end - seeds.start;
        let mut command = match plan.memory {
            None => Command::new(plan.command),
            Some(bytes) => {
                let mut shell = Command::new("sh");
                let limited = format!("ulimit -v {} && exec \"$0\" \"$@\"", bytes >> 10);
                shell.args(["-c", &limited]).arg(plan.command);
                shell
            }
        };
        command.args(plan.arguments);
        command.args(["--seed", &seeds.start.to_string(), "--count", &count.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("{}: {error}", plan.command.display()))?;
        let output = child.stdout.take().ok_or("a worker has no output")?;
        Ok(Worker { child, lines: read_lines(output) })
    }
    fn end(&mut self) -> Result<End, String> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        Ok(match status.code() {
            Some(0) => End::Finished,
            // What a worker has to say against its orders.
            Some(2) => End::Refused,
            _ => End::Died(status.to_string()),
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
