//! What the optimizer hands over: a candidate as position-independent data.

use crate::table::{CallSites, DeoptTable};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use surmise_ir::entity::{KindId, Register, UnitId};
use surmise_ir::function::{Entry, Function};
use surmise_ir::language::Recipe;
use surmise_ir::premise::Premise;

/// A candidate's number: the index of its effective slots. Unique among the candidates that are loaded in one code space; used
/// again only after the candidate's code was freed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct CandidateId(pub u32);

impl std::fmt::Display for CandidateId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "candidate{}", self.0)
    }
}

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
    /// Offset of an aligned 8-byte word behind the code that receives the candidate's number when it is installed. The code
    /// reads it relative to its own address, to find its effective slots.
    pub number_offset: u32,
    /// Native frame size: `frame pointer - stack pointer` at every call.
    pub frame_size: u32,
    /// Home of the window's address (the second argument at entry), in words of 8 bytes from the frame pointer (negative).
    /// Stored at entry, never changed: frames are rebuilt relative to it.
    pub window_home: i16,
    /// Home of the argument count, likewise, where the host's frames need it (functions with variable arguments).
    pub argument_count_home: Option<i16>,
    /// Home of the frame's mark, for code that looks after each call whether it may go on: zero from its entry on, until the frame is
    /// redirected. Without it, frames are redirected by their return addresses (see [`crate::deopt_all`]).
    pub mark_home: Option<i16>,
    /// Size of its window on the guest stack, in registers, inlined frames included.
    pub window_size: u16,
    /// What its spesh slots hold.
    pub slots: Vec<Recipe>,
    /// What it rests on without checking it: the host names an [`crate::deopt_all::Assumption`] for each.
    pub assumptions: Vec<Recipe>,
    /// The facts of the log from which slots and assumptions come.
    pub premises: Vec<Premise>,
    /// How frames are rebuilt.
    pub deopt: DeoptTable,
    /// Calls: landing pads and roots.
    pub calls: CallSites,
}

/// One specialization of one unit that the portable backend runs: the optimized function itself, run by the reference evaluator. Like a
/// [`CandidateImage`], it is in no isolate yet and holds no address.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PortableImage {
    /// The function, with all that it says about itself: name, unit, entry, slots, guards and frame states.
    pub function: Function,
    /// What it rests on without checking it: the host names an [`crate::deopt_all::Assumption`] for each.
    pub assumptions: Vec<Recipe>,
}

impl PortableImage {
    /// The image of an optimized function, which says itself what it rests on.
    pub fn new(function: Function) -> PortableImage {
        let assumptions = function.assumptions().collect();
        PortableImage { function, assumptions }
    }
}

/// A candidate in the form of one of the backends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Image {
    /// Machine code.
    Native(CandidateImage),
    /// A function for the evaluator.
    Portable(PortableImage),
}

impl Image {
    /// The candidate's name, for people.
    pub fn name(&self) -> &str {
        match self {
            Image::Native(image) => &image.name,
            Image::Portable(image) => &image.function.name,
        }
    }
    /// Its unit.
    pub fn unit(&self) -> UnitId {
        match self {
            Image::Native(image) => image.unit,
            Image::Portable(image) => image.function.unit,
        }
    }
}

impl From<CandidateImage> for Image {
    fn from(image: CandidateImage) -> Image {
        Image::Native(image)
    }
}

impl From<PortableImage> for Image {
    fn from(image: PortableImage) -> Image {
        Image::Portable(image)
    }
}
