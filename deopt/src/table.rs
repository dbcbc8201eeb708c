//! Deopt tables and root maps: data beside the code, in a few small words.
//!
//! A *deopt point* is a return address in the candidate: of a call to the guard exit stub, or of a call to the landing exit
//! stub in a landing pad. It costs 8 bytes ([`DeoptPoint`]) plus 4 bytes for each live value ([`Located`]; 8 for a boxed pair of
//! which nothing is known and whose words are in two places); what is the same for many points (states, the frames' units, resume
//! points and parents, reasons) is shared. [`DeoptTable::figures`] adds it up.
//!
//! ```text
//! points   [return offset:24 | state:24 | exit:16]*            sorted by return offset
//! states   [(Located u32)* ]                                   a state is a run of words: its values, then, if the header has
//!                                                              a parent, that one's number and values, and so on
//! exits    Exit {reason, header}*                              shared
//! headers  FrameHeader {unit, pc, when, counts, parent?}*      shared
//! constants  u64*                                              what `Place::Constant` refers to
//! ```

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use surmise_ir::entity::{FrameStateId, Pc, Register, UnitId};
use surmise_ir::frame_state::When;
use surmise_ir::function::Function;
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Encoding;

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
/// An `any` value in pair encoding takes one entry if its words are side by side; else two with `Boxing::Whole`, tag first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Boxing {
    /// The word is (part of) a boxed value, or a number as it is (counts of open runs).
    Whole,
    /// The word is the tag of a boxed pair whose payload is in the next word: of the frame, or of the results.
    Pair,
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
    const PAIR: u32 = 62;

    /// Packs the parts. Register numbers above 255 and kinds above 61 can't be expressed: the compile is rejected.
    pub fn pack(register: Register, boxing: Boxing, place: Place) -> Option<Located> {
        let register = u8::try_from(register.0).ok()? as u32;
        let boxing = match boxing {
            Boxing::Whole => Located::WHOLE,
            Boxing::Pair => Located::PAIR,
            Boxing::Kind(kind) if (kind as u32) < Located::PAIR => kind as u32,
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
            Located::PAIR => Boxing::Pair,
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

impl FrameHeader {
    /// The activations that a frame stands for while it is in a call with this state after it, innermost first: headers without
    /// entries, for messages and tracebacks.
    pub fn origin(function: &Function, state: FrameStateId) -> SmallVec<[FrameHeader; 2]> {
        let header = |id| {
            let state = &function.states[id];
            let frame = &function.frames[state.frame];
            FrameHeader {
                unit: frame.unit,
                pc: state.resume.pc,
                when: state.resume.when,
                window: frame.window,
                register_entries: 0,
                result_entries: 0,
                call_results: false,
                open: None,
                has_callee: false,
                has_parent: state.parent.is_some(),
            }
        };
        function.state_chain(state).map(header).collect()
    }
}

/// A deopt point, in 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeoptPoint(u64);

impl DeoptPoint {
    /// Return offsets, and places in [`DeoptTable::states`], are below this.
    pub const OFFSETS: u32 = 1 << 24;

    /// Packs the parts. `None` if the offset or the state is too large: the compile is rejected.
    pub fn pack(return_offset: u32, state: u32, exit: u16) -> Option<DeoptPoint> {
        let fits = return_offset < DeoptPoint::OFFSETS && state < DeoptPoint::OFFSETS;
        let word = u64::from(return_offset) | u64::from(state) << 24 | u64::from(exit) << 48;
        fits.then_some(DeoptPoint(word))
    }
    /// The return address, as an offset in the candidate's code.
    pub fn return_offset(self) -> u32 {
        self.0 as u32 & (DeoptPoint::OFFSETS - 1)
    }
    /// Index of the point's first word in [`DeoptTable::states`].
    pub fn state(self) -> u32 {
        (self.0 >> 24) as u32 & (DeoptPoint::OFFSETS - 1)
    }
    /// Number in [`DeoptTable::exits`] of why one leaves there, and to where.
    pub fn exit(self) -> u16 {
        (self.0 >> 48) as u16
    }
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

/// What is the same for many deopt points about leaving there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Exit {
    /// Why.
    pub reason: ExitReason,
    /// Number of the innermost frame's header.
    pub header: u32,
}

/// All deopt points of a candidate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DeoptTable {
    /// Sorted by return offset.
    pub points: Vec<DeoptPoint>,
    /// Why and to where one leaves, each once.
    pub exits: Vec<Exit>,
    /// Runs of words, see the module comment.
    pub states: Vec<u32>,
    /// Shared frame headers.
    pub headers: Vec<FrameHeader>,
    /// Constants.
    pub constants: Vec<u64>,
}

/// What deopt tables cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TableFigures {
    /// Deopt points.
    pub points: usize,
    /// Live values, summed over the points: registers, results, callees and lengths of open runs of all their frames.
    pub values: usize,
    /// Bytes of points and states.
    pub bytes: usize,
    /// Bytes of what is shared: frame headers, exits, constants.
    pub shared_bytes: usize,
}

impl TableFigures {
    /// What points and states may cost: 8 bytes a point and 4 a live value.
    pub fn allowance(&self) -> usize {
        8 * self.points + 4 * self.values
    }
    /// Both together.
    pub fn plus(self, other: TableFigures) -> TableFigures {
        TableFigures {
            points: self.points + other.points,
            values: self.values + other.values,
            bytes: self.bytes + other.bytes,
            shared_bytes: self.shared_bytes + other.shared_bytes,
        }
    }
}

impl DeoptTable {
    /// Why, and to where, one leaves at a point.
    pub fn exit(&self, point: usize) -> Exit {
        self.exits[usize::from(self.points[point].exit())]
    }
    /// What the table of a checked candidate costs.
    pub fn figures(&self, encoding: Encoding) -> TableFigures {
        TableFigures {
            points: self.points.len(),
            values: self.points.iter().map(|point| self.values_at(*point, encoding)).sum(),
            bytes: size_of_val(&self.points[..]) + size_of_val(&self.states[..]),
            shared_bytes: size_of_val(&self.headers[..])
                + size_of_val(&self.exits[..])
                + size_of_val(&self.constants[..]),
        }
    }
    fn values_at(&self, point: DeoptPoint, encoding: Encoding) -> usize {
        let (mut at, mut values) = (point.state() as usize, 0);
        // How many words the value at a place takes.
        let words = |at: usize| {
            let is_half = encoding == Encoding::Pair && Located(self.states[at]).boxing() == Boxing::Whole;
            if is_half { 2 } else { 1 }
        };
        let mut header = self.headers[self.exits[usize::from(point.exit())].header as usize];
        loop {
            let end = at + usize::from(header.register_entries) + usize::from(header.result_entries);
            while at < end {
                values += 1;
                at += words(at);
            }
            if header.open.is_some() {
                values += 1;
                at += 1;
            }
            if header.has_callee {
                values += 1;
                at += words(at);
            }
            if !header.has_parent {
                return values;
            }
            header = self.headers[self.states[at] as usize];
            at += 1;
        }
    }
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
