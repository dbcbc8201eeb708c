//! What keeps a command from starting, or its results from being written. A program that fails in an
//! engine is a result of the measurement, not one of these.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::programs::PROGRAMS;

#[derive(Debug)]
pub enum HarnessError {
    UnknownProgram { name: String },
    MissingHost { executable: PathBuf, build_command: &'static str },
    CurrentExecutable(io::Error),
    WriteJson { file: PathBuf, cause: io::Error },
    Emit { program: &'static str, reason: String },
}

impl fmt::Display for HarnessError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownProgram { name } => {
                let known: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
                write!(formatter, "there is no program '{name}'; there are {}", known.join(", "))
            }
            Self::MissingHost { executable, build_command } => {
                write!(formatter, "{} is missing; build it with: {build_command}", executable.display())
            }
            Self::CurrentExecutable(cause) => {
                write!(formatter, "can't find the folder that the lua executable should be in: {cause}")
            }
            Self::Emit { program, reason } => write!(formatter, "{program}: surmise emit: {reason}"),
            Self::WriteJson { file, cause } => write!(formatter, "can't write {}: {cause}", file.display()),
        }
    }
}
