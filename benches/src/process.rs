//! Runs one program in one engine, with a time limit.
//!
//! The end of a run is noticed by the end of its standard output, not by asking again and again, so
//! that the measured time is exact and waiting takes no processor from the engine.

use std::io::{self, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engines::Engine;
use crate::output::{self, ProgramOutput};
use crate::programs::Program;
use crate::samples::Sample;

/// Far beyond what any program needs in any engine: whoever takes longer hangs.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Between the end of the output and the end of the process there is next to no time.
const EXIT_POLL_INTERVAL: Duration = Duration::from_micros(50);

/// A process that is gone has closed its pipes, unless it leaves children behind that hold them.
const PIPE_GRACE: Duration = Duration::from_secs(1);

/// What a program is told to do.
pub struct Workload {
    pub program: &'static Program,
    pub iterations: u32,
    /// `None`: the program's own default.
    pub size: Option<u32>,
    pub timing: Timing,
}

/// Whether the program measures its iterations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    EachIteration,
    /// The host measures how long the program's own thread runs.
    WithStatistics,
}

/// A run that failed: the reason, and what the engine wrote to standard error.
#[derive(Serialize)]
pub struct RunFailure {
    program: &'static str,
    engine: &'static str,
    reason: String,
    stderr: String,
}

impl RunFailure {
    pub fn print(&self) {
        eprintln!("FAILED: {} in {}: {}", self.program, self.engine, self.reason);
        for line in self.stderr.lines() {
            eprintln!("    {line}");
        }
    }
}

/// Prints all failures again, after the tables.
pub fn report(failures: &[RunFailure]) {
    eprintln!();
    failures.iter().for_each(RunFailure::print);
}

/// Runs the workload and checks that its result line is `expected_line`. The line is returned too,
/// for whoever does not know it yet.
pub fn run(
    engine: &Engine,
    workload: &Workload,
    expected_line: Option<&str>,
) -> Result<(Sample, String), RunFailure> {
    let fail = |reason: String, stderr: String| RunFailure {
        program: workload.program.name,
        engine: engine.kind.name(),
        reason,
        stderr,
    };
    let finished =
        execute(engine, workload).map_err(|error| fail(format!("can't be run: {error}"), String::new()))?;
    match finished.end {
        End::TimedOut => {
            let reason = format!("killed after {} s", TIME_LIMIT.as_secs());
            return Err(fail(reason, finished.stderr));
        }
        End::Exited(status) if !status.success() => return Err(fail(status.to_string(), finished.stderr)),
        // What a host has to say, of a preload file that it refuses for instance, is about another run than the one that is meant.
        End::Exited(_) if workload.timing == Timing::EachIteration && !finished.stderr.is_empty() => {
            return Err(fail("wrote to standard error".to_owned(), finished.stderr));
        }
        End::Exited(_) => {}
    }
    let ProgramOutput { iteration_microseconds, result_line } = match output::parse(&finished.stdout) {
        Ok(output) => output,
        Err(error) => return Err(fail(format!("malformed output: {error}"), finished.stderr)),
    };
    if expected_line.is_some_and(|expected| expected != result_line) {
        let reason = format!("printed '{result_line}' instead of '{}'", expected_line.unwrap_or_default());
        return Err(fail(reason, finished.stderr));
    }
    let measured = iteration_microseconds.len();
    if workload.timing == Timing::EachIteration && measured != workload.iterations as usize {
        let reason = format!("measured {measured} iterations instead of {}", workload.iterations);
        return Err(fail(reason, finished.stderr));
    }
    let wall_microseconds = u64::try_from(finished.wall.as_micros()).unwrap_or(u64::MAX);
    let processor_microseconds = match workload.timing {
        Timing::WithStatistics => Some(processor_microseconds(&finished.stderr).ok_or_else(|| {
            fail("its statistics do not say how long its thread ran".to_owned(), finished.stderr.clone())
        })?),
        Timing::EachIteration => None,
    };
    Ok((Sample { wall_microseconds, iteration_microseconds, processor_microseconds }, result_line))
}

/// From the statistics that the host writes at the end.
fn processor_microseconds(statistics: &str) -> Option<u64> {
    let report: serde_json::Value = serde_json::from_str(statistics).ok()?;
    Some((report.get("processor_seconds")?.as_f64()? * 1e6) as u64)
}

enum End {
    Exited(ExitStatus),
    TimedOut,
}

struct Finished {
    end: End,
    wall: Duration,
    stdout: String,
    stderr: String,
}

fn execute(engine: &Engine, workload: &Workload) -> io::Result<Finished> {
    let size = workload.size.map_or("default".to_owned(), |size| size.to_string());
    let mut command = engine.command();
    if workload.timing == Timing::WithStatistics {
        command.arg("--stats=json");
    }
    command.arg(workload.program.path()).arg(workload.iterations.to_string()).arg(size);
    if workload.timing == Timing::EachIteration {
        command.arg("times");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());

    let start = Instant::now();
    let mut child = command.spawn()?;
    let stdout = read_in_background(child.stdout.take());
    let stderr = read_in_background(child.stderr.take());
    let printed = stdout.recv_timeout(TIME_LIMIT);
    let end = wait_or_kill(&mut child, start + TIME_LIMIT)?;
    let wall = start.elapsed();
    let printed = printed.or_else(|_| stdout.recv_timeout(PIPE_GRACE)).unwrap_or_default();
    let complaint = stderr.recv_timeout(PIPE_GRACE).unwrap_or_default();
    Ok(Finished { end, wall, stdout: printed, stderr: complaint })
}

/// Waits for the exit of a process that has nothing more to say.
fn wait_or_kill(child: &mut Child, deadline: Instant) -> io::Result<End> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exited(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(End::TimedOut);
        }
        thread::sleep(EXIT_POLL_INTERVAL);
    }
}

/// Reads all there is, and sends it when there is no more.
fn read_in_background<Source: Read + Send + 'static>(source: Option<Source>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut source) = source {
            // What was read before an error is kept: it is all that can be reported.
            let _ = source.read_to_end(&mut bytes);
        }
        // Nobody listens any more if the run was given up.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
