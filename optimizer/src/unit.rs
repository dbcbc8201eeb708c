//! Units, as the optimizer sees them: immutable bytecode that can be lifted.

use std::sync::Arc;
use surmise_ir::entity::{Register, UnitId};
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::function::{Entry, Function};
use surmise_ir::language::Language;
use thiserror::Error;

/// A unit that the host's lifter can't lift, and why. The unit stays in the interpreter.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct LiftError(pub String);

/// An immutable snapshot of one unit's bytecode, made by the host when it registers the unit. It is read on the service's
/// threads, so it holds no pointer into the guest heap.
pub trait UnitSource: Send + Sync {
    /// The hash of the unit's content.
    fn id(&self) -> UnitId;
    /// A name for people, such as `file:line function`.
    fn name(&self) -> &str;
    /// Generic IR for one entry: a pure function of the snapshot. The entry block starts with the arguments and a poll.
    fn lift(&self, language: &Language, entry: Entry) -> Result<Function, LiftError>;
    /// The registers that are live at a resume point, ascending, for the verifier.
    fn live_registers(&self, resume: ResumePoint) -> Option<Vec<Register>>;
    /// Other units whose code is in what this one is lifted to ([`surmise_ir::splice`]), at any depth, each once. What the log saw of
    /// them decides about their part of it. The host registers them in the same isolate, since their frames may be rebuilt.
    fn inlined(&self) -> &[Arc<dyn UnitSource>] {
        &[]
    }
}
