//! `warmup`: what speculation costs, or gains, in programs that are over soon.
//!
//! Each program runs at its small size for as many iterations as fill the wanted time without
//! Surmise; a probe on the spot says how many those are. Then runs without and with Surmise take turns.
//!
//! Besides wall time, the processor time of the program's own thread is reported: what logging, installing and leaving code cost,
//! without the compiles, which have a thread of their own, and without what else a busy machine does.

use serde::Serialize;

use crate::compare::{warn_of_debug_build, write_json};
use crate::engines::{self, Engine, EngineDescription};
use crate::error::HarnessError;
use crate::machine::Machine;
use crate::options::WarmupOptions;
use crate::process::{self, RunFailure, Timing, Workload};
use crate::programs::Program;
use crate::samples::{Sample, median_processor_time, median_whole_run};
use crate::statistics::{geometric_mean, greatest};
use crate::table::{Table, number};

/// Enough for a median that a single interruption does not move.
const PROBE_ITERATIONS: u32 = 9;

/// Units are logged when they are hot, and planned, but no candidate is made.
const LOG_ONLY: (&str, &str) = ("SURMISE_LIMIT", "0");

/// Measures, prints the table and writes the file. Returns the runs that failed.
pub fn run(options: &WarmupOptions) -> Result<Vec<RunFailure>, HarnessError> {
    let programs = options.common.chosen_programs()?;
    let [interpreter, surmise] = engines::host()?;
    let engines =
        [interpreter, if options.log_only { surmise.with(LOG_ONLY.0, LOG_ONLY.1) } else { surmise }];
    let machine = Machine::detect();
    machine.print();
    println!("{} rounds of about {} ms each", options.rounds(), options.milliseconds);
    warn_of_debug_build();

    let mut failures = Vec::new();
    let mut measured = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        eprintln!("[{}/{}] {}", index + 1, programs.len(), program.name);
        match measure(program, &engines, options) {
            Ok(measurement) => measured.push(measurement),
            Err(failure) => {
                failure.print();
                failures.push(failure);
            }
        }
    }

    println!(
        "\nwhole run: milliseconds of wall time, and ratios (below 1: Surmise gains)\n\n{}",
        table(&measured)
    );
    if let Some(file) = &options.common.json {
        let engines = engines.iter().map(EngineDescription::from).collect();
        write_json(
            file,
            &Report {
                machine: &machine,
                engines,
                rounds: options.rounds(),
                programs: &measured,
                failures: &failures,
            },
        )?;
    }
    Ok(failures)
}

#[derive(Serialize)]
struct WarmupMeasurement {
    name: &'static str,
    size: u32,
    iterations: u32,
    interpreter_runs: Vec<Sample>,
    surmise_runs: Vec<Sample>,
}

impl WarmupMeasurement {
    fn interpreter(&self) -> Option<f64> {
        median_whole_run(&self.interpreter_runs)
    }

    fn surmise(&self) -> Option<f64> {
        median_whole_run(&self.surmise_runs)
    }

    fn ratio(&self) -> Option<f64> {
        Some(self.surmise()? / self.interpreter()?)
    }

    fn processor_ratio(&self) -> Option<f64> {
        Some(median_processor_time(&self.surmise_runs)? / median_processor_time(&self.interpreter_runs)?)
    }
}

#[derive(Serialize)]
struct Report<'run> {
    machine: &'run Machine,
    engines: Vec<EngineDescription<'run>>,
    rounds: u32,
    programs: &'run [WarmupMeasurement],
    failures: &'run [RunFailure],
}

fn measure(
    program: &'static Program,
    [interpreter, surmise]: &[Engine; 2],
    options: &WarmupOptions,
) -> Result<WarmupMeasurement, RunFailure> {
    let size = program.small_size;
    let workload = |iterations, timing| Workload { program, iterations, size: Some(size), timing };
    let probe = workload(PROBE_ITERATIONS, Timing::EachIteration);
    let (sample, expected_line) = process::run(interpreter, &probe, None)?;
    let iterations = iterations_for(options.milliseconds, sample.steady_state());

    let short = workload(iterations, Timing::WithStatistics);
    let run = |engine| process::run(engine, &short, Some(&expected_line)).map(|(sample, _)| sample);
    let mut interpreter_runs = Vec::new();
    let mut surmise_runs = Vec::new();
    for round in 0..options.rounds() {
        // Who goes first changes, so that the order favours neither.
        if round % 2 == 0 {
            interpreter_runs.push(run(interpreter)?);
            surmise_runs.push(run(surmise)?);
        } else {
            surmise_runs.push(run(surmise)?);
            interpreter_runs.push(run(interpreter)?);
        }
    }
    Ok(WarmupMeasurement { name: program.name, size, iterations, interpreter_runs, surmise_runs })
}

/// How many iterations of the given length, in milliseconds, come closest to the wanted time.
pub fn iterations_for(milliseconds: u32, iteration: Option<f64>) -> u32 {
    let iterations = f64::from(milliseconds) / iteration.unwrap_or(f64::from(milliseconds));
    // The cast saturates, also for an iteration too short to be measured.
    (iterations.round() as u32).clamp(1, 10_000)
}

fn table(measured: &[WarmupMeasurement]) -> Table {
    let header =
        ["program", "iterations", "interpreter", "surmise", "surmise/interpreter", "processor, own thread"];
    let mut table = Table::new(header.map(str::to_owned).to_vec());
    for program in measured {
        table.row(vec![
            program.name.to_owned(),
            program.iterations.to_string(),
            number(program.interpreter()),
            number(program.surmise()),
            number(program.ratio()),
            number(program.processor_ratio()),
        ]);
    }
    table.rule();
    let values =
        |of: fn(&WarmupMeasurement) -> Option<f64>| measured.iter().filter_map(of).collect::<Vec<_>>();
    let columns = [
        WarmupMeasurement::interpreter,
        WarmupMeasurement::surmise,
        WarmupMeasurement::ratio,
        WarmupMeasurement::processor_ratio,
    ]
    .map(values);
    for (title, summary) in
        [("geometric mean", geometric_mean as fn(&[f64]) -> Option<f64>), ("worst", greatest)]
    {
        let figures = columns.each_ref().map(|column| number(summary(column)));
        table.row([vec![title.to_owned(), String::new()], figures.to_vec()].concat());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_iterations_fill_the_time() {
        assert_eq!(iterations_for(50, Some(4.9)), 10);
        assert_eq!(iterations_for(50, Some(200.0)), 1);
        assert_eq!(iterations_for(50, Some(0.0)), 10_000);
        assert_eq!(iterations_for(50, None), 1);
    }
}
