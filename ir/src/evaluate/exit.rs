//! How evaluations end, and the frames that they leave.

use super::datum::{Boxed, Datum};
use super::machine::Machine;
use crate::entity::{FrameId, FrameStateId, Inst, Register, UnitId};
use crate::frame_state::ResumePoint;
use crate::guard::GuardReason;

/// How an evaluation ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Exit {
    /// With these results: boxed, or in templates of the operation's type.
    Returned(Vec<Datum>),
    /// With as many results, in the window from a register on.
    ReturnedOpen {
        /// Where they start.
        register: Register,
        /// How many there are.
        count: u64,
    },
    /// In the interpreter, with these frames, innermost first.
    Deoptimized {
        /// Why.
        reason: LeaveReason,
        /// The frames.
        frames: Vec<RebuiltFrame>,
    },
    /// With a guest error, which the host has.
    Thrown,
    /// Not yet: the step limit was reached.
    OutOfSteps,
}

/// Why control left to the interpreter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaveReason {
    /// A guard failed.
    Guard {
        /// The guard.
        inst: Inst,
        /// Its reason.
        reason: GuardReason,
        /// It failed because failures are forced; its check held.
        forced: bool,
    },
    /// A `deoptimize`.
    Deoptimize(GuardReason),
    /// The machine was invalidated while it stood still.
    Invalidated,
}

/// What a rebuilt frame has yet to receive from its bytecode instruction.
#[derive(Clone, PartialEq, Debug)]
pub enum Results {
    /// Boxed values from the frame state (none for resume points before an instruction, and for outer frames).
    Values(Vec<Boxed>),
    /// What an extern or operation gave.
    Extern(Option<Datum>),
    /// What a guest call gave; unless one was wanted, the values are in the window.
    Guest {
        /// The first.
        first: Option<Boxed>,
        /// How many there are.
        count: u64,
    },
}

/// An interpreter frame as it would have been.
#[derive(Clone, PartialEq, Debug)]
pub struct RebuiltFrame {
    /// The activation.
    pub frame: FrameId,
    /// Its unit.
    pub unit: UnitId,
    /// Position of its window in the outermost frame's window, in registers.
    pub window: u16,
    /// Where it goes on.
    pub resume: ResumePoint,
    /// Its callee, for inlined activations.
    pub callee: Option<Boxed>,
    /// Its live registers, ascending.
    pub registers: Vec<(Register, Boxed)>,
    /// An open run in its window: where it starts and how long it is.
    pub open: Option<(Register, u64)>,
    /// What it has yet to receive.
    pub results: Results,
}

impl Machine<'_> {
    /// The frames of a state, innermost first. `results` are what the innermost one's instruction was given from outside: with
    /// results in the state itself it has no use for them.
    pub(super) fn rebuild(
        &self,
        state: FrameStateId,
        results: Option<Results>,
    ) -> Result<Vec<RebuiltFrame>, String> {
        let mut frames = Vec::new();
        let mut results = results;
        for id in self.function.state_chain(state) {
            let state = &self.function.states[id];
            let info = &self.function.frames[state.frame];
            let boxed = |value| match self.value(value)? {
                Datum::Any(value) => Ok(value),
                other => Err(format!("{value} in {id} is {other:?}, not boxed")),
            };
            let mut registers = Vec::with_capacity(state.registers.len());
            for &(register, value) in &state.registers {
                registers.push((register, boxed(value)?));
            }
            let open = match state.open {
                None => None,
                Some((register, count)) => match self.value(count)? {
                    Datum::I64(count) if count >= 0 => Some((register, count as u64)),
                    other => return Err(format!("the length {count} of the open run in {id} is {other:?}")),
                },
            };
            let own = state.results.iter().map(|&value| boxed(value)).collect::<Result<Vec<_>, _>>()?;
            frames.push(RebuiltFrame {
                frame: state.frame,
                unit: info.unit,
                window: info.window,
                resume: state.resume,
                callee: state.callee.map(boxed).transpose()?,
                registers,
                open,
                results: match results.take() {
                    Some(results) if own.is_empty() => results,
                    _ => Results::Values(own),
                },
            });
        }
        Ok(frames)
    }
}
