//! The reference evaluator: slow, checked, obviously right. It is the oracle for everything that changes or lowers IR, and it
//! is the portable backend.
//!
//! A [`Machine`] runs one activation of one function, generic, specialized, or after all passes. It is resumable: at every call
//! that may collect, run guest code or throw, and at every poll, [`Machine::run`] hands out a [`Pause`] and stands still, its values
//! visible to a moving collector ([`Machine::visit_roots`]), until the answer is delivered. So guest code that calls guest code
//! needs no recursion here, and a parked machine can be invalidated in place ([`Machine::invalidate`]): what it does next is to
//! leave with the frames *after* its call. [`evaluate`] is the simple driver: it lets the host answer each pause at once.
//!
//! ```text
//!   run ──▶ Pause::Call ──(host: collects, calls, invalidates)──▶ deliver ──▶ run ──▶ … ──▶ Pause::Exit
//! ```
//!
//! Boxed values are `[u64; 2]`: tag and payload in pair encoding, the word and 0 in word encoding.
//!
//! Checked at every step: operands are defined and of their type; what was dead at a pause is gone after it; `unbox` gets a
//! value of its kind; divisors are not zero; addresses are not null; what the host gives is of the type that the language
//! says. A failed check is a [`Fault`], never a guess: it names the instruction, and means that a pass, a lifter or a host is
//! wrong. What pure instructions compute is in [`crate::semantics`] alone.

pub mod boxing;
mod datum;
mod exit;
mod host;
mod machine;
pub mod model;
mod prepared;
mod pure;

pub use datum::{Boxed, Datum};
pub use exit::{Exit, LeaveReason, RebuiltFrame, Results};
pub use host::{Access, Call, Delivery, EvaluatorHost, ExternCall, GuestCall, Stop};
pub use machine::{Machine, RootMut};
pub use prepared::Prepared;
pub use pure::compute;

use crate::entity::{Block, Inst};
use crate::function::Function;
use crate::language::Language;

/// A check that failed: a bug of whoever made the function, or of the host.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{function}, {block}, `{inst}`: {message}")]
pub struct Fault {
    /// The function's name.
    pub function: String,
    /// The block.
    pub block: Block,
    /// The instruction's text.
    pub inst: String,
    /// What is wrong.
    pub message: String,
}

/// A step that was taken, for traces.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Step {
    /// The block.
    pub block: Block,
    /// The instruction.
    pub inst: Inst,
    /// Its result.
    pub result: Option<Datum>,
}

/// How to evaluate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// Leave with [`Exit::OutOfSteps`] after this many instructions.
    pub step_limit: Option<u64>,
    /// Every n-th guard fails, whatever it checks (n is at least 1).
    pub fail_every: Option<u64>,
}

/// What a machine stands still for.
#[derive(Clone, PartialEq, Debug)]
pub enum Pause {
    /// A call or poll; [`Machine::deliver`] goes on.
    Call(Call),
    /// The end.
    Exit(Exit),
}

/// Runs a function to its end. `window` is the address of its first register, in the host's sense.
pub fn evaluate<H: EvaluatorHost + ?Sized>(
    function: &Function,
    language: &Language,
    window: u64,
    settings: Settings,
    host: &mut H,
) -> Result<Exit, Fault> {
    let prepared = Prepared::new(function);
    let mut machine = Machine::new(function, &prepared, language, window, settings);
    loop {
        match machine.run(host)? {
            Pause::Exit(exit) => return Ok(exit),
            Pause::Call(call) => match host.call(&call, &mut machine) {
                Ok(delivery) => machine.deliver(delivery)?,
                Err(Stop::Throw) => return Ok(Exit::Thrown),
                Err(Stop::Fault(message)) => return Err(machine.fault(message)),
            },
        }
    }
}

#[cfg(test)]
mod tests;
