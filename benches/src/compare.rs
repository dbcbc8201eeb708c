//! `compare`: the steady state of all engines, side by side.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::comparison::{
    Column, ColumnSummary, Measurement, Metric, ProgramMeasurements, columns, summarize, table,
};
use crate::engines::{self, Engine, EngineDescription, EngineKind};
use crate::error::HarnessError;
use crate::machine::Machine;
use crate::options::CompareOptions;
use crate::process::{self, RunFailure, Timing, Workload};
use crate::programs::Program;
use crate::samples::{Sample, Summary};

/// Measures, prints the tables and writes the file. Returns the runs that failed.
pub fn run(options: &CompareOptions) -> Result<Vec<RunFailure>, HarnessError> {
    let programs = options.common.chosen_programs()?;
    let mut engines: Vec<Engine> = engines::host()?.into();
    let mut peers = vec![EngineKind::Lua, EngineKind::LuaJit];
    if options.with_joff {
        peers.push(EngineKind::LuaJitInterpreter);
    }
    engines.extend(engines::installed_peers(&peers));
    let machine = Machine::detect();
    print_conditions(options, &machine, &engines);

    let mut failures = Vec::new();
    let mut measured = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        eprintln!("[{}/{}] {}", index + 1, programs.len(), program.name);
        measured.push(measure(program, &engines, options, &mut failures));
    }

    let kinds: Vec<EngineKind> = engines.iter().map(|engine| engine.kind).collect();
    let columns = columns(&kinds);
    for metric in Metric::ALL {
        println!("\n{}\n\n{}", metric.title(), table(&columns, metric, &measured));
    }
    if let Some(file) = &options.common.json {
        let report = Report {
            machine: &machine,
            engines: engines.iter().map(EngineDescription::from).collect(),
            rounds: options.rounds(),
            iterations: options.iterations(),
            programs: measured.iter().map(ProgramReport::of).collect(),
            summary: summaries(&columns, &measured),
            failures: &failures,
        };
        write_json(file, &report)?;
    }
    Ok(failures)
}

fn print_conditions(options: &CompareOptions, machine: &Machine, engines: &[Engine]) {
    machine.print();
    for engine in engines {
        println!("engine: {} ({})", engine.kind.name(), engine.version);
    }
    println!("{} rounds of {} iterations", options.rounds(), options.iterations());
    warn_of_debug_build();
}

/// Says so if the executable, and so the host beside it, was built without optimization.
pub fn warn_of_debug_build() {
    if cfg!(debug_assertions) {
        println!("warning: this is a debug build, and its lua is one too; measure with --release");
    }
}

/// All rounds of one program. An engine in which it failed is left out of the rounds that follow.
fn measure(
    program: &'static Program,
    engines: &[Engine],
    options: &CompareOptions,
    failures: &mut Vec<RunFailure>,
) -> ProgramMeasurements {
    let workload =
        Workload { program, iterations: options.iterations(), size: None, timing: Timing::EachIteration };
    let mut measurements: Vec<Measurement> =
        engines.iter().map(|engine| Measurement { engine: engine.kind, samples: Vec::new() }).collect();
    let mut has_failed = vec![false; engines.len()];
    for round in 0..options.rounds() as usize {
        // Each round begins with another engine, so that none always follows the same one.
        for turn in 0..engines.len() {
            let index = (round + turn) % engines.len();
            if has_failed[index] {
                continue;
            }
            match process::run(&engines[index], &workload, Some(program.result_line)) {
                Ok((sample, _)) => measurements[index].samples.push(sample),
                Err(failure) => {
                    failure.print();
                    failures.push(failure);
                    has_failed[index] = true;
                }
            }
        }
    }
    ProgramMeasurements { program, measurements }
}

#[derive(Serialize)]
struct Report<'run> {
    machine: &'run Machine,
    engines: Vec<EngineDescription<'run>>,
    rounds: u32,
    iterations: u32,
    programs: Vec<ProgramReport<'run>>,
    summary: Vec<ColumnSummary>,
    failures: &'run [RunFailure],
}

#[derive(Serialize)]
struct ProgramReport<'run> {
    name: &'static str,
    engines: Vec<EngineReport<'run>>,
}

#[derive(Serialize)]
struct EngineReport<'run> {
    engine: &'static str,
    median_milliseconds: Option<Summary>,
    runs: &'run [Sample],
}

impl<'run> ProgramReport<'run> {
    fn of(measured: &'run ProgramMeasurements) -> Self {
        let engine_report = |measurement: &'run Measurement| EngineReport {
            engine: measurement.engine.name(),
            median_milliseconds: Summary::of(&measurement.samples),
            runs: &measurement.samples,
        };
        Self {
            name: measured.program.name,
            engines: measured.measurements.iter().map(engine_report).collect(),
        }
    }
}

fn summaries(columns: &[Column], measured: &[ProgramMeasurements]) -> Vec<ColumnSummary> {
    let of_metric = |metric| columns.iter().map(move |&column| summarize(column, metric, measured));
    Metric::ALL.into_iter().flat_map(of_metric).collect()
}

/// Writes the value, readable and with a final newline.
pub fn write_json(file: &Path, value: &impl Serialize) -> Result<(), HarnessError> {
    let mut text = serde_json::to_string_pretty(value).expect("reports hold nothing that JSON can't express");
    text.push('\n');
    fs::write(file, text).map_err(|cause| HarnessError::WriteJson { file: file.to_owned(), cause })
}
