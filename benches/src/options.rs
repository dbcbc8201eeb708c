//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::error::HarnessError;
use crate::programs::{PROGRAMS, Program};

#[derive(Parser)]
#[command(about = "Compares Lua engines, with and without Surmise, on the programs of benches/programs")]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Compare the time per iteration after warm-up with that of the peers
    Compare(CompareOptions),
    /// Compare whole short runs with and without Surmise
    Warmup(WarmupOptions),
    /// How soon programs are at full speed with the candidates of an earlier run, and without
    Preload(PreloadOptions),
}

#[derive(Args)]
pub struct CompareOptions {
    #[command(flatten)]
    pub common: CommonOptions,
    /// How often each engine runs each program [default: 3, or 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Iterations of each run [default: 60, or 6 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub iterations: Option<u32>,
    /// Also run luajit with its compiler off
    #[arg(long)]
    pub with_joff: bool,
}

impl CompareOptions {
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.common.quick { 1 } else { 3 })
    }

    pub fn iterations(&self) -> u32 {
        self.iterations.unwrap_or(if self.common.quick { 6 } else { 60 })
    }
}

#[derive(Args)]
pub struct WarmupOptions {
    #[command(flatten)]
    pub common: CommonOptions,
    /// How often each program runs with, and as often without, Surmise [default: 25, or 5 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// How long a run should last without Surmise; the number of iterations follows from it
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub milliseconds: u32,
    /// Log, but compile nothing: what counters and the type log cost
    #[arg(long)]
    pub log_only: bool,
}

impl WarmupOptions {
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.common.quick { 5 } else { 25 })
    }
}

#[derive(Args)]
pub struct PreloadOptions {
    #[command(flatten)]
    pub common: CommonOptions,
    /// How often each program runs cold, and as often warm [default: 11, or 3 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// How long a run would last without Surmise; the number of iterations follows from it
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    pub milliseconds: u32,
}

impl PreloadOptions {
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.common.quick { 3 } else { 11 })
    }
}

#[derive(Args)]
pub struct CommonOptions {
    /// Only these programs, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub programs: Vec<String>,
    /// Write all raw numbers to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Few and short runs: does everything work, and roughly how fast?
    #[arg(long)]
    pub quick: bool,
}

impl CommonOptions {
    /// The chosen programs, all of them if none was named, in the order of the table.
    pub fn chosen_programs(&self) -> Result<Vec<&'static Program>, HarnessError> {
        let unknown = self.programs.iter().find(|name| PROGRAMS.iter().all(|program| program.name != **name));
        if let Some(name) = unknown {
            return Err(HarnessError::UnknownProgram { name: name.clone() });
        }
        let is_chosen = |program: &&Program| {
            self.programs.is_empty() || self.programs.iter().any(|name| name == program.name)
        };
        Ok(PROGRAMS.iter().filter(is_chosen).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(arguments: &[&str]) -> CommonOptions {
        let command_line = CommandLine::parse_from([&["surmise-benches", "compare"], arguments].concat());
        match command_line.command {
            Command::Compare(options) => options.common,
            Command::Warmup(_) | Command::Preload(_) => unreachable!("the command line says compare"),
        }
    }

    #[test]
    fn programs_come_in_the_order_of_the_table() {
        let chosen = common(&["--programs", "nbody,richards"]).chosen_programs().unwrap();
        let names: Vec<_> = chosen.iter().map(|program| program.name).collect();
        assert_eq!(names, ["richards", "nbody"]);
    }

    #[test]
    fn all_programs_are_chosen_unless_some_are_named() {
        assert_eq!(common(&[]).chosen_programs().unwrap().len(), PROGRAMS.len());
    }

    #[test]
    fn an_unknown_program_is_an_error_that_lists_the_known_ones() {
        let message = common(&["--programs", "nbodies"]).chosen_programs().err().unwrap().to_string();
        assert!(message.contains("nbodies") && message.contains("richards"), "{message}");
    }
}
