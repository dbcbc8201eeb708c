//! What the optimizer hands over: a candidate as position-independent data.

use crate::table::{CallSites, DeoptTable};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use surmise_ir::entity::{KindId, Register, UnitId};
use surmise_ir::function::Entry;
use surmise_ir::language::Recipe;

/// One specialization of one unit, compiled, in no isolate yet. It holds no address: it can be written to a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CandidateImage {
    /// A name for people.
    pub name: String,
    /// The unit.
    pub unit: UnitId,
    /// How it is entered.
    pub entry: Entry,
    /// What the registers must hold at the entry, as far as the candidate guessed (checked by its own code as well; used to
    /// choose between candidates).
    pub expects: SmallVec<[(Register, KindId); 4]>,
    /// Machine code; the entry point is its first byte. Free of relocations: calls go through the context.
    pub code: Vec<u8>,
    /// Native frame size: `frame pointer - stack pointer` at every call.
    pub frame_size: u32,
    /// Size of its window on the guest stack, in registers, inlined frames included.
    pub window_size: u16,
    /// What its spesh slots hold.
    pub slots: Vec<Recipe>,
    /// How frames are rebuilt.
    pub deopt: DeoptTable,
    /// Calls: landing pads and roots.
    pub calls: CallSites,
}
