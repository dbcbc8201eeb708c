//! What `compare` has measured, and its tables.
//!
//! A column is either the time of one engine or the ratio of two; below all programs stand its
//! geometric mean and its worst value. A program that failed in one of the engines has a gap there,
//! and does not count in that column.

use serde::Serialize;

use crate::engines::EngineKind;
use crate::programs::Program;
use crate::samples::{Sample, Summary};
use crate::statistics::{geometric_mean, greatest};
use crate::table::{Table, number};

/// All runs of one program in one engine. After a failure there are fewer than rounds.
pub struct Measurement {
    pub engine: EngineKind,
    pub samples: Vec<Sample>,
}

pub struct ProgramMeasurements {
    pub program: &'static Program,
    pub measurements: Vec<Measurement>,
}

impl ProgramMeasurements {
    fn time(&self, engine: EngineKind, metric: Metric) -> Option<f64> {
        let measurement = self.measurements.iter().find(|measurement| measurement.engine == engine)?;
        Summary::of(&measurement.samples).map(|summary| metric.of(&summary))
    }
}

#[derive(Clone, Copy)]
pub enum Metric {
    SteadyState,
    FirstIteration,
    WholeRun,
}

impl Metric {
    pub const ALL: [Self; 3] = [Self::SteadyState, Self::FirstIteration, Self::WholeRun];

    pub fn title(self) -> &'static str {
        match self {
            Self::SteadyState => "steady state: milliseconds per iteration (lower is faster)",
            Self::FirstIteration => "first iteration: milliseconds (lower is faster)",
            Self::WholeRun => "whole run: milliseconds of wall time (lower is faster)",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SteadyState => "steady_state",
            Self::FirstIteration => "first_iteration",
            Self::WholeRun => "whole_run",
        }
    }

    fn of(self, summary: &Summary) -> f64 {
        match self {
            Self::SteadyState => summary.steady_state,
            Self::FirstIteration => summary.first_iteration,
            Self::WholeRun => summary.whole_run,
        }
    }
}

#[derive(Clone, Copy)]
pub enum Column {
    Time(EngineKind),
    Ratio(EngineKind, EngineKind),
}

impl Column {
    fn name(self) -> String {
        match self {
            Self::Time(engine) => engine.name().to_owned(),
            Self::Ratio(engine, reference) => format!("{}/{}", engine.name(), reference.name()),
        }
    }

    fn value(self, program: &ProgramMeasurements, metric: Metric) -> Option<f64> {
        match self {
            Self::Time(engine) => program.time(engine, metric),
            // A time below the clock's resolution would make an infinite ratio.
            Self::Ratio(engine, reference) => {
                let reference_time = program.time(reference, metric).filter(|&time| time > 0.0)?;
                program.time(engine, metric).map(|time| time / reference_time)
            }
        }
    }
}

/// The columns for these engines: their times, their ratios to Lua 5.4, and Surmise's to LuaJIT.
pub fn columns(engines: &[EngineKind]) -> Vec<Column> {
    let mut columns: Vec<Column> = engines.iter().copied().map(Column::Time).collect();
    if engines.contains(&EngineKind::Lua) {
        let others = engines.iter().copied().filter(|&engine| engine != EngineKind::Lua);
        columns.extend(others.map(|engine| Column::Ratio(engine, EngineKind::Lua)));
    }
    if engines.contains(&EngineKind::LuaJit) {
        columns.push(Column::Ratio(EngineKind::Surmise, EngineKind::LuaJit));
    }
    columns
}

/// What stands below a column.
#[derive(Serialize)]
pub struct ColumnSummary {
    metric: &'static str,
    column: String,
    geometric_mean: Option<f64>,
    worst: Option<f64>,
}

pub fn summarize(column: Column, metric: Metric, programs: &[ProgramMeasurements]) -> ColumnSummary {
    let values: Vec<f64> = programs.iter().filter_map(|program| column.value(program, metric)).collect();
    ColumnSummary {
        metric: metric.name(),
        column: column.name(),
        geometric_mean: geometric_mean(&values),
        worst: greatest(&values),
    }
}

pub fn table(columns: &[Column], metric: Metric, programs: &[ProgramMeasurements]) -> Table {
    let row = |title: &str, cells: Vec<Option<f64>>| {
        let mut row = vec![title.to_owned()];
        row.extend(cells.into_iter().map(number));
        row
    };
    let mut header = vec!["program".to_owned()];
    header.extend(columns.iter().map(|column| column.name()));
    let mut table = Table::new(header);
    for program in programs {
        let values = columns.iter().map(|column| column.value(program, metric)).collect();
        table.row(row(program.program.name, values));
    }
    table.rule();
    let summaries: Vec<_> = columns.iter().map(|&column| summarize(column, metric, programs)).collect();
    table.row(row("geometric mean", summaries.iter().map(|summary| summary.geometric_mean).collect()));
    table.row(row("worst", summaries.iter().map(|summary| summary.worst).collect()));
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::PROGRAMS;

    fn measured(program: usize, times: &[(EngineKind, u64)]) -> ProgramMeasurements {
        let sample = |time| Sample {
            wall_microseconds: 10 * time,
            iteration_microseconds: vec![2 * time, time],
            processor_microseconds: None,
        };
        let measurements =
            times.iter().map(|&(engine, time)| Measurement { engine, samples: vec![sample(time)] }).collect();
        ProgramMeasurements { program: &PROGRAMS[program], measurements }
    }

    fn names(engines: &[EngineKind]) -> Vec<String> {
        columns(engines).into_iter().map(Column::name).collect()
    }

    #[test]
    fn columns_need_the_engines_they_speak_of() {
        use EngineKind::{Interpreter, Lua, LuaJit, Surmise};
        assert_eq!(names(&[Interpreter, Surmise]), ["interpreter", "surmise"]);
        let with_lua = ["surmise", "lua5.4", "luajit", "surmise/lua5.4", "luajit/lua5.4", "surmise/luajit"];
        assert_eq!(names(&[Surmise, Lua, LuaJit]), with_lua);
        assert_eq!(names(&[Surmise, LuaJit]), ["surmise", "luajit", "surmise/luajit"]);
    }

    #[test]
    fn a_gap_does_not_count_in_its_column() {
        use EngineKind::{Lua, Surmise};
        let programs = [
            measured(0, &[(Surmise, 2000), (Lua, 8000)]),
            measured(1, &[(Lua, 5000)]),
            measured(2, &[(Surmise, 4000), (Lua, 4000)]),
        ];
        let ratio = summarize(Column::Ratio(Surmise, Lua), Metric::SteadyState, &programs);
        assert!((ratio.geometric_mean.unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(ratio.worst, Some(1.0));
        let whole_run = summarize(Column::Time(Lua), Metric::WholeRun, &programs);
        assert_eq!(whole_run.worst, Some(80.0));
        let text = table(&columns(&[Surmise, Lua]), Metric::FirstIteration, &programs).to_string();
        let gap = text.lines().find(|line| line.starts_with("deltablue")).unwrap();
        assert_eq!(gap.split_whitespace().collect::<Vec<_>>(), ["deltablue", "-", "10.0", "-"]);
    }
}
