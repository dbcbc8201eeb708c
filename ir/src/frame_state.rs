//! Frame states: how interpreter frames are rebuilt at a point of compiled code.
//!
//! A frame state names one interpreter frame: which (possibly inlined) activation it belongs to, where that frame goes on, and
//! which SSA value each of its live registers holds. The states of the activations around it form a chain through `parent`:
//! the parent's resume point is always *after* the call that the inner frame is in.
//!
//! Invariants (checked by the verifier):
//! * complete: every register that is live at the resume point is mapped, on every path; nothing is inherited from elsewhere;
//! * the mapped values dominate every instruction that carries the state;
//! * `results` is only used with [`When::After`]: what the bytecode instruction has already produced and the frame has yet to
//!   receive. It is empty where the results come from outside: at a landing pad (the call's results) and in parents.

use crate::entity::{FrameId, FrameStateId, Pc, Register, UnitId, Value};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Whether a frame goes on before or after a bytecode instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum When {
    /// The instruction runs (again): nothing of it has happened yet.
    Before,
    /// The instruction has happened but for the delivery of its results.
    After,
}

/// Where a frame goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ResumePoint {
    /// The bytecode instruction.
    pub pc: Pc,
    /// Which side of it.
    pub when: When,
}

impl ResumePoint {
    /// Before the instruction.
    pub fn before(pc: Pc) -> ResumePoint {
        ResumePoint { pc, when: When::Before }
    }
    /// After the instruction.
    pub fn after(pc: Pc) -> ResumePoint {
        ResumePoint { pc, when: When::After }
    }
}

impl std::fmt::Display for ResumePoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.when {
            When::Before => write!(f, "before {}", self.pc),
            When::After => write!(f, "after {}", self.pc),
        }
    }
}

/// One activation in a function: the function itself (number 0) or an inlined call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameInfo {
    /// The unit that runs in it.
    pub unit: UnitId,
    /// The activation that it was called from; `None` for number 0.
    pub parent: Option<FrameId>,
    /// Position of its window in the outermost frame's window, in registers.
    pub window: u16,
    /// How many registers its window has.
    pub register_count: u16,
}

/// The recipe for one interpreter frame.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FrameState {
    /// Which activation.
    pub frame: FrameId,
    /// Where it goes on.
    pub resume: ResumePoint,
    /// The callee of the activation (boxed); `None` in number 0, whose callee stands in its window already.
    pub callee: Option<Value>,
    /// What its live registers hold, ascending by register. Boxed values, or unboxed ones by way of a `box` instruction.
    pub registers: Vec<(Register, Value)>,
    /// Results that the frame has yet to receive.
    pub results: SmallVec<[Value; 1]>,
    /// When the frame has an open run of values in its window (from a call or varargs with open results): the register where it
    /// starts and its length (i64).
    pub open: Option<(Register, Value)>,
    /// The state of the frame around it.
    pub parent: Option<FrameStateId>,
}

impl FrameState {
    /// All values that this state itself refers to (parents not included).
    pub fn values(&self) -> impl Iterator<Item = Value> + '_ {
        self.callee
            .into_iter()
            .chain(self.registers.iter().map(|&(_, value)| value))
            .chain(self.results.iter().copied())
            .chain(self.open.iter().map(|&(_, count)| count))
    }
    /// Replaces the values that this state itself refers to.
    pub fn map_values(&mut self, mut map: impl FnMut(Value) -> Value) {
        if let Some(callee) = &mut self.callee {
            *callee = map(*callee);
        }
        for (_, value) in &mut self.registers {
            *value = map(*value);
        }
        for value in &mut self.results {
            *value = map(*value);
        }
        if let Some((_, count)) = &mut self.open {
            *count = map(*count);
        }
    }
}
