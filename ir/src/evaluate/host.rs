//! What the evaluator asks of the world.

use super::datum::{Boxed, Datum};
use super::machine::Machine;
use crate::entity::{ExternId, FieldId, Pc, Register, SlotId};
use crate::function::Wanted;
use crate::language::{Field, MemoryType, Recipe};

/// Why a host's answer ends the evaluation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// A guest error was raised: the host has it.
    Throw,
    /// Something is wrong, in these words.
    Fault(String),
}

impl Stop {
    /// A fault with these words.
    pub fn fault(message: impl Into<String>) -> Stop {
        Stop::Fault(message.into())
    }
}

/// One access to a host object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// The field.
    pub field: FieldId,
    /// The object's address; not null.
    pub base: u64,
    /// The element's index, for element fields.
    pub index: Option<i64>,
    /// The byte's address: base, offset, index times stride.
    pub address: u64,
    /// How the value lies there.
    pub memory: MemoryType,
}

impl Access {
    /// The access to a field of the object at `base`.
    pub fn new(id: FieldId, field: &Field, base: u64, index: Option<i64>) -> Access {
        let distance = index.unwrap_or(0).wrapping_mul(field.stride.into()).wrapping_add(field.offset.into());
        Access { field: id, base, index, address: base.wrapping_add(distance as u64), memory: field.memory }
    }
}

/// A call of an extern.
#[derive(Clone, PartialEq, Debug)]
pub struct ExternCall {
    /// Which.
    pub id: ExternId,
    /// The operands.
    pub args: Vec<Datum>,
    /// The address behind the calling frame's window, for externs that ask for it.
    pub window_end: Option<u64>,
}

/// A call of a guest value.
#[derive(Clone, PartialEq, Debug)]
pub struct GuestCall {
    /// The callee: boxed, or for `call_unit` the closure object (`ref`).
    pub callee: Datum,
    /// The fixed arguments.
    pub args: Vec<Boxed>,
    /// How many further arguments stand in the window behind the fixed ones.
    pub open_arguments: Option<u64>,
    /// The address of the calling frame's first register.
    pub window: u64,
    /// The register of that window where the callee stands and results go.
    pub register: Register,
    /// How many results are wanted.
    pub wanted: Wanted,
    /// The bytecode instruction.
    pub site: Pc,
}

/// What a machine waits for.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    /// An extern that may collect or run guest code.
    Extern(ExternCall),
    /// A guest call.
    Guest(GuestCall),
    /// A poll.
    Poll,
}

/// What a call gave.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Delivery {
    /// An extern's result.
    Extern(Option<Datum>),
    /// A guest call's results: the first, if there is one or one is wanted, and how many there are. Unless exactly one is wanted,
    /// the host has left them in the window, from the call's register on.
    Guest {
        /// The first result (the absent value, where one is wanted and there is none).
        first: Option<Boxed>,
        /// How many there are.
        count: u64,
    },
    /// A poll was looked after.
    Poll,
}

/// The world of a machine. Addresses, windows and objects are the host's: the evaluator only adds up offsets.
pub trait EvaluatorHost {
    /// Loads from an object. The result is of the field's value type.
    fn load(&mut self, access: &Access) -> Result<Datum, Stop>;
    /// Stores to an object.
    fn store(&mut self, access: &Access, value: Datum) -> Result<(), Stop>;
    /// The write barrier, after `value` was stored into the object.
    fn barrier(&mut self, object: u64, value: Datum) -> Result<(), Stop>;
    /// What a spesh slot holds here.
    fn slot(&mut self, slot: SlotId, recipe: &Recipe) -> Result<Datum, Stop>;
    /// Whether an assumption holds: what rests on it begins to run.
    fn holds(&mut self, recipe: &Recipe) -> bool {
        let _ = recipe;
        true
    }
    /// The address of the host's own state.
    fn host_state(&mut self) -> u64;
    /// How many arguments the activation with this window was called with.
    fn argument_count(&mut self, window: u64) -> Result<u64, Stop>;
    /// The boxed value in a register of a window; -1 is the callee's place.
    fn load_window(&mut self, window: u64, register: i32) -> Result<Boxed, Stop>;
    /// Sets a register of a window.
    fn store_window(&mut self, window: u64, register: i32, value: Boxed) -> Result<(), Stop>;
    /// The address of a register of a window.
    fn window_address(&mut self, window: u64, register: i32) -> u64;
    /// Whether there is room for an activation on the stacks: its window, of so many registers, and what it takes elsewhere.
    fn has_room(&mut self, window: u64, registers: u16) -> bool {
        let _ = (window, registers);
        true
    }
    /// Whether the next poll has to stand still: somebody has asked for it.
    fn is_polled(&mut self) -> bool {
        true
    }
    /// Calls an extern that neither allocates, nor throws, nor runs guest code.
    fn call_leaf(&mut self, call: &ExternCall) -> Result<Option<Datum>, Stop>;
    /// Does what a machine waits for: collector-managed values may move ([`Machine::visit_roots`]; those in `call` are the
    /// callee's to keep), and the machine may be invalidated. Only [`super::evaluate`] asks this; who drives machines by
    /// [`Machine::run`] does it in its own way.
    fn call(&mut self, call: &Call, machine: &mut Machine<'_>) -> Result<Delivery, Stop>;
}
