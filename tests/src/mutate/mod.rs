//! Mutated sources: whatever comes in is a syntax error or runs, and neither panics, hangs, nor takes memory without end.
//!
//! [`Mutator`] makes a text from a seed: a piece of a real program, or a random one, with bytes changed, words moved, deep nesting or
//! something very long put in. [`run`](fn@run) compiles it, and runs what compiles under limits: so many instructions, so many bytes, no libraries
//! that see the world outside.

mod mutator;
mod sources;

pub use mutator::Mutator;

use crate::differential::host::{Ending, Host, Limits};
use std::io::Write;
use std::ops::Range;

/// Instructions that a mutant may run.
const STEPS: u64 = 20_000;
/// Bytes that it may use.
const MEMORY: usize = 32 << 20;
/// Bytes that it may print.
const OUTPUT: usize = 64 << 10;
/// What a mutant turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// No program.
    Rejected,
    /// It came to its end, or failed with an error, which is here.
    Ran(Option<String>),
    /// It was stopped.
    Stopped,
}

/// Compiles a text, and runs it if it is a program.
///
/// # Errors
/// If no state can be made.
pub fn run(host: &Host, text: &[u8]) -> Result<Outcome, String> {
    // Most are no programs: a state is not needed to find that out. Precompiled chunks are for `load` to look at.
    if text.first() != Some(&0x1b) && surmise_lua::compiler::compile(text, "=mutant").is_err() {
        return Ok(Outcome::Rejected);
    }
    let limits = Limits { steps: Some(STEPS), memory: MEMORY, output: OUTPUT };
    Ok(match host.run_bytes(text, None, limits)?.ending {
        Ending::Invalid => Outcome::Rejected,
        Ending::OutOfSteps => Outcome::Stopped,
        Ending::Returned => Outcome::Ran(None),
        Ending::Failed(message) => Outcome::Ran(Some(message)),
    })
}

/// Tries seeds, and says where it is.
///
/// # Errors
/// If there are no sources, or nobody listens.
pub fn work(seeds: Range<u64>) -> Result<(), String> {
    let mutator = Mutator::new()?;
    crate::differential::host::with_host(|host| {
        let mut output = std::io::stdout().lock();
        for seed in seeds {
            let mut say = |line: String| {
                output.write_all(line.as_bytes()).and_then(|()| output.flush()).map_err(|e| e.to_string())
            };
            say(format!("at {seed} mutant\n"))?;
            let outcome = match run(host, &mutator.mutant(seed))? {
                Outcome::Rejected => "rejected",
                Outcome::Ran(_) => "done",
                Outcome::Stopped => "stopped",
            };
            say(format!("{outcome} {seed}\n"))?;
        }
        Ok(())
    })?
}
