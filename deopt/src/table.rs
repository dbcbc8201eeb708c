//! Deopt tables and root maps: data beside the code, in a few small words.
//!
//! A *deopt point* is a return address in the candidate: of a call to the guard exit stub, or of a call to the landing exit
//! stub in a landing pad. It costs 8 bytes ([`DeoptPoint`]) plus 4 bytes for each live value ([`Located`]); what is the same for
//! many points (the frames' units, resume points and parents) is shared through [`FrameHeader`]s.
//!
//! ```text
//! points   [return offset u32 | state u32]*                    sorted by return offset
//! states   [header u32 | (Located u32)* ]                      a state is a run of words: its header's number, then its values,
//!                                                              then, if the header has a parent, the parent's run, and so on
//! headers  FrameHeader {unit, pc, when, counts, parent?}*      shared
//! constants  u64*                                              what `Place::Constant` refers to
//! ```

use serde::{Deserialize, Serialize};
use surmise_ir::entity::{Pc, Register, UnitId};
use surmise_ir::frame_state::When;
use surmise_ir::guard::GuardReason;

/// Where a machine word is at a deopt point.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Place {
    /// At `frame pointer + 8 * n`.
    Frame(i16),
    /// In a callee-saved register, by its hardware number.
    Register(u8),
    /// In the candidate's table of constants.
    Constant(u16),
    /// In the machine results of the call that the landing pad belongs to: 0 is the first result word, 1 the second. With
    /// [`FrameHeader::call_results`] set, only the low 32 bits of word 0 count as the tag of a pair.
    Result(u8),
}

/// How the word becomes a boxed value.
///
/// `any` values in pair encoding take two entries, tag first; both have `Boxing::Whole`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Boxing {
    /// The word is (part of) a boxed value, or a number as it is (counts of open runs).
    Whole,
    /// The word is the payload of a value of this kind (number in the language, below 62).
    Kind(u8),
}

/// Where a register's value is and how it is boxed: 4 bytes, `register:8 | boxing:6 | place class:2 | place:16`.
///
/// In a run of `any` pairs the second entry repeats the register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Located(pub u32);

impl Located {
    const WHOLE: u32 = 63;

    /// Packs the parts. Register numbers above 255 and kinds above 61 can't be expressed: the compile is rejected.
    pub fn pack(register: Register, boxing: Boxing, place: Place) -> Option<Located> {
        let register = u8::try_from(register.0).ok()? as u32;
        let boxing = match boxing {
            Boxing::Whole => Located::WHOLE,
            Boxing::Kind(kind) if (kind as u32) < Located::WHOLE => kind as u32,
            Boxing::Kind(_) => return None,
        };
        let (class, operand) = match place {
            Place::Frame(offset) => (0, offset as u16),
            Place::Register(number) => (1, number as u16),
            Place::Constant(index) => (2, index),
            Place::Result(number) => (3, number as u16),
        };
        Some(Located(register << 24 | boxing << 18 | class << 16 | operand as u32))
    }
    /// The register of the host's frame.
    pub fn register(self) -> Register {
        Register((self.0 >> 24) as u16)
    }
    /// How the word is boxed.
    pub fn boxing(self) -> Boxing {
        match self.0 >> 18 & 63 {
            Located::WHOLE => Boxing::Whole,
            kind => Boxing::Kind(kind as u8),
        }
    }
    /// Where the word is.
    pub fn place(self) -> Place {
        let operand = self.0 as u16;
        match self.0 >> 16 & 3 {
            0 => Place::Frame(operand as i16),
            1 => Place::Register(operand as u8),
            2 => Place::Constant(operand),
            _ => Place::Result(operand as u8),
        }
    }
}

/// What is the same for many deopt points about one frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FrameHeader {
    /// The frame's unit.
    pub unit: UnitId,
    /// Where it goes on: the bytecode instruction.
    pub pc: Pc,
    /// Before or after it.
    pub when: When,
    /// Position of the frame's window in the outermost frame's window, in registers.
    pub window: u16,
    /// How many of the entries are register values (a pair counts as two entries).
    pub register_entries: u16,
    /// How many entries after those are pending results.
    pub result_entries: u16,
    /// The frame is in a guest call, whose results are pending: the one result entry is the first of them, how many there are
    /// is told by the machine form in the result registers ([`crate::context`]), and further ones stand in the window. (After the
    /// call of an extern its result is an ordinary entry, and this is not set.)
    pub call_results: bool,
    /// Whether one more entry is the length of an open run, and the register where it starts.
    pub open: Option<Register>,
    /// Whether entries for the callee's boxed value follow (inlined frames).
    pub has_callee: bool,
    /// Whether the run of the frame around it follows.
    pub has_parent: bool,
}

/// A deopt point.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeoptPoint {
    /// The return address, as an offset in the candidate's code.
    pub return_offset: u32,
    /// Index of the point's first word in [`DeoptTable::states`].
    pub state: u32,
}

/// Why control leaves at a point.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ExitReason {
    /// A guard of this reason failed; its guess belongs to this bytecode instruction (of the innermost frame's unit), which is
    /// another than the resume point's for guards that were moved.
    Guard(GuardReason, Pc),
    /// The candidate was invalidated while the frame was in a call.
    Invalidated,
}

/// All deopt points of a candidate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DeoptTable {
    /// Sorted by return offset.
    pub points: Vec<DeoptPoint>,
    /// For each point, why one leaves there.
    pub reasons: Vec<ExitReason>,
    /// Runs of words, see the module comment.
    pub states: Vec<u32>,
    /// Shared frame headers.
    pub headers: Vec<FrameHeader>,
    /// Constants.
    pub constants: Vec<u64>,
}

/// Which words of a compiled frame are collector-managed while it is in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RootKind {
    /// An object pointer (type `ref`), 8 bytes.
    Ref,
    /// A boxed value in the host's encoding, 8 or 16 bytes.
    Any,
}

/// One root of a frame: `frame pointer + 8 * offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Root {
    /// In words of 8 bytes from the frame pointer (negative).
    pub offset: i16,
    /// What is there.
    pub kind: RootKind,
}

/// A call site: its return address, its landing pad, and the frame's roots during the call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallSite {
    /// The return address, as an offset in the candidate's code.
    pub return_offset: u32,
    /// The landing pad, as an offset in the code: where the call returns to instead when the frame may not go on. It receives the
    /// results in rax and rdx; no other call site has it. `None` for calls after which the candidate can't be invalid.
    pub landing_pad: Option<u32>,
    /// Range in [`CallSites::roots`].
    pub roots: (u32, u32),
    /// Where the frame is in its unit's bytecode, for messages and tracebacks: the innermost frame's header in
    /// [`DeoptTable::headers`], if that is known. While a header has a parent, that is the next one.
    pub origin: Option<u32>,
}

/// All call sites of a candidate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CallSites {
    /// Sorted by return offset.
    pub sites: Vec<CallSite>,
    /// Roots, shared between sites with the same set.
    pub roots: Vec<Root>,
}
