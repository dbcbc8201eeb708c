//! `preload`: how soon a program is at its full speed, with and without the candidates of an earlier run.
//!
//! Each program runs at its small size, many short iterations long. One run is recorded, and `surmise emit` makes a preload file of
//! it; then cold and warm runs take turns. *Full speed* is 90 % of the steady state of the cold runs; a run has reached it with the
//! first iteration from which the median of a few is as fast.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::compare::{warn_of_debug_build, write_json};
use crate::engines::{self, Engine};
use crate::error::HarnessError;
use crate::machine::Machine;
use crate::options::PreloadOptions;
use crate::process::{self, RunFailure, Timing, Workload};
use crate::programs::Program;
use crate::samples::Sample;
use crate::statistics::{geometric_mean, greatest, median};
use crate::table::{Table, number};

/// How fast is fast enough.
const FULL_SPEED: f64 = 0.9;
/// Iterations whose median has to be.
const STRETCH: usize = 5;

#[derive(Serialize)]
struct PreloadMeasurement {
    name: &'static str,
    size: u32,
    iterations: u32,
    /// In milliseconds, of the cold runs.
    steady_state: f64,
    cold: Vec<Sample>,
    warm: Vec<Sample>,
}

/// Milliseconds until a run is at full speed, none if it never is.
fn time_to(steady_state: f64, sample: &Sample) -> Option<f64> {
    let times: Vec<f64> = sample.iteration_microseconds.iter().map(|&time| time as f64 / 1000.0).collect();
    let fast = |stretch: &[f64]| median(stretch).is_some_and(|median| median * FULL_SPEED <= steady_state);
    let first = times.windows(STRETCH).position(fast)?;
    Some(times[..first].iter().sum())
}

impl PreloadMeasurement {
    fn time_to_full_speed(&self, runs: &[Sample]) -> Option<f64> {
        let times: Vec<f64> = runs.iter().filter_map(|run| time_to(self.steady_state, run)).collect();
        median(&times)
    }
    fn cold(&self) -> Option<f64> {
        self.time_to_full_speed(&self.cold)
    }
    fn warm(&self) -> Option<f64> {
        self.time_to_full_speed(&self.warm)
    }
    fn ratio(&self) -> Option<f64> {
        // Less than an iteration can't be told apart.
        Some(self.warm()?.max(self.steady_state / 10.0) / self.cold()?.max(self.steady_state))
    }
    /// Steady state of warm runs to that of cold ones.
    fn steady_ratio(&self) -> Option<f64> {
        let times: Vec<f64> = self.warm.iter().filter_map(Sample::steady_state).collect();
        Some(median(&times)? / self.steady_state)
    }
}

#[derive(Serialize)]
struct Report<'run> {
    machine: &'run Machine,
    rounds: u32,
    programs: &'run [PreloadMeasurement],
    failures: &'run [RunFailure],
}

/// Measures, prints the table and writes the file. Returns the runs that failed.
pub fn run(options: &PreloadOptions) -> Result<Vec<RunFailure>, HarnessError> {
    let programs = options.common.chosen_programs()?;
    let command = engines::command()?;
    let folder = std::env::temp_dir().join(format!("surmise-preload-{}", std::process::id()));
    std::fs::create_dir_all(&folder)
        .map_err(|cause| HarnessError::WriteJson { file: folder.clone(), cause })?;
    let machine = Machine::detect();
    machine.print();
    println!("{} rounds of {} ms each, cold and warm", options.rounds(), options.milliseconds);
    warn_of_debug_build();
    let (mut measured, mut failures) = (Vec::new(), Vec::new());
    for (index, program) in programs.iter().enumerate() {
        eprintln!("[{}/{}] {}", index + 1, programs.len(), program.name);
        let files = Files { command: command.clone(), folder: folder.clone() };
        match measure(program, &files, options)? {
            Ok(measurement) => measured.push(measurement),
            Err(failure) => {
                failure.print();
                failures.push(failure);
            }
        }
    }
    // What is left behind is small, and in a folder for such things.
    let _ = std::fs::remove_dir_all(&folder);
    println!("\nmilliseconds to {} % of the steady state\n\n{}", FULL_SPEED * 100.0, table(&measured));
    if let Some(file) = &options.common.json {
        let report =
            Report { machine: &machine, rounds: options.rounds(), programs: &measured, failures: &failures };
        write_json(file, &report)?;
    }
    Ok(failures)
}

struct Files {
    command: PathBuf,
    folder: PathBuf,
}

impl Files {
    /// A run of the workload, recorded, as a preload file.
    fn emit(
        &self,
        surmise: Engine,
        workload: &Workload,
    ) -> Result<Result<PathBuf, RunFailure>, HarnessError> {
        let recording = self.folder.join(workload.program.name).with_extension("surmise");
        let preload = recording.with_extension("spesh");
        let recorded = process::run(&surmise.with("SURMISE_RECORD", &recording), workload, None);
        if let Err(failure) = recorded {
            return Ok(Err(failure));
        }
        let mut emit = Command::new(&self.command);
        emit.arg("emit").arg(&recording).arg("-o").arg(&preload).stdout(Stdio::null());
        let status = emit.status();
        match status {
            Ok(status) if status.success() => Ok(Ok(preload)),
            Ok(status) => {
                Err(HarnessError::Emit { program: workload.program.name, reason: status.to_string() })
            }
            Err(cause) => {
                Err(HarnessError::Emit { program: workload.program.name, reason: cause.to_string() })
            }
        }
    }
}

fn measure(
    program: &'static Program,
    files: &Files,
    options: &PreloadOptions,
) -> Result<Result<PreloadMeasurement, RunFailure>, HarnessError> {
    let size = program.small_size;
    let workload =
        |iterations| Workload { program, iterations, size: Some(size), timing: Timing::EachIteration };
    let [interpreter, cold] = engines::host()?;
    let (probe, expected_line) = match process::run(&interpreter, &workload(9), None) {
        Ok(probed) => probed,
        Err(failure) => return Ok(Err(failure)),
    };
    let iterations = crate::warmup::iterations_for(options.milliseconds, probe.steady_state());
    let workload = workload(iterations.max(20));
    let preload = match files.emit(cold.clone(), &workload)? {
        Ok(preload) => preload,
        Err(failure) => return Ok(Err(failure)),
    };
    let warm = cold.clone().with("SURMISE_PRELOAD", &preload);
    let (mut cold_runs, mut warm_runs) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds() {
        for (engine, runs) in [(&cold, &mut cold_runs), (&warm, &mut warm_runs)] {
            match process::run(engine, &workload, Some(&expected_line)) {
                Ok((sample, _)) => runs.push(sample),
                Err(failure) => return Ok(Err(failure)),
            }
        }
    }
    let steady: Vec<f64> = cold_runs.iter().filter_map(Sample::steady_state).collect();
    Ok(Ok(PreloadMeasurement {
        name: program.name,
        size,
        iterations: workload.iterations,
        steady_state: median(&steady).unwrap_or_default(),
        cold: cold_runs,
        warm: warm_runs,
    }))
}

fn table(measured: &[PreloadMeasurement]) -> Table {
    let header = ["program", "iterations", "iteration", "cold", "warm", "warm/cold", "steady, warm/cold"];
    let mut table = Table::new(header.map(str::to_owned).to_vec());
    for program in measured {
        table.row(vec![
            program.name.to_owned(),
            program.iterations.to_string(),
            number(Some(program.steady_state)),
            number(program.cold()),
            number(program.warm()),
            number(program.ratio()),
            number(program.steady_ratio()),
        ]);
    }
    table.rule();
    let ratios: Vec<f64> = measured.iter().filter_map(PreloadMeasurement::ratio).collect();
    let steady: Vec<f64> = measured.iter().filter_map(PreloadMeasurement::steady_ratio).collect();
    for (title, summary) in
        [("geometric mean", geometric_mean as fn(&[f64]) -> Option<f64>), ("worst", greatest)]
    {
        let empty = || String::new();
        table.row(vec![
            title.to_owned(),
            empty(),
            empty(),
            empty(),
            empty(),
            number(summary(&ratios)),
            number(summary(&steady)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(iteration_microseconds: Vec<u64>) -> Sample {
        Sample { wall_microseconds: 0, iteration_microseconds, processor_microseconds: None }
    }

    #[test]
    fn full_speed_is_reached_when_a_stretch_is_fast() {
        let slow_then_fast = [vec![4000, 3000, 2000], vec![1000; 10]].concat();
        // The stretch from the second on has three fast ones of five.
        assert_eq!(time_to(1.0, &sample(slow_then_fast)), Some(4.0));
        assert_eq!(time_to(1.0, &sample(vec![1100; 9])), Some(0.0));
        assert_eq!(time_to(1.0, &sample(vec![1200; 9])), None);
        assert_eq!(time_to(1.0, &sample(vec![1000; 4])), None, "too short to be told");
    }
}
