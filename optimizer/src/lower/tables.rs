//! The tables beside the code: deopt points, frame headers, constants, call sites, roots.
//!
//! While code is made, each exit and each call that somebody may have to find by its return address leaves a [`Record`]. The
//! number of the record is the source location of its call instruction, which is how it is found again among the code
//! generator's call sites. Where a value is (which register, which spill slot) is known only then: until then a place is a
//! [`Spot`].

use super::error::LowerError;
use cranelift_codegen::{CompiledCode, ExceptionContextLoc, FinalizedMachExceptionHandler, ir};
use rustc_hash::FxHashMap;
use surmise_deopt::table::{
    Boxing, CallSite, CallSites, DeoptPoint, DeoptTable, Exit, ExitReason, FrameHeader, Located, Place, Root,
    RootKind,
};
use surmise_ir::entity::Register;

/// Where a machine word is, as far as it is known before register allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spot {
    /// Where the code generator has put this context item of the exit's call.
    Item(u32),
    /// In this word of the frame's slot of homes.
    Home(u32),
    /// In the table of constants.
    Constant(u16),
    /// In a result register of the call that the landing pad belongs to.
    Result(u8),
}

/// A word of a state's run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StateWord {
    /// Number of a frame header.
    Header(u32),
    /// A value.
    Value(Register, Boxing, Spot),
}

/// What is known of a call instruction before it has an address.
pub(super) enum Record {
    /// A call of an exit stub.
    Exit {
        /// Range in [`Records::words`].
        words: (u32, u32),
        /// Why.
        reason: ExitReason,
    },
    /// A call at which the frame may be walked.
    Call {
        /// Range in [`Records::roots`].
        roots: (u32, u32),
        /// The header of the frame that calls; those of the frames around it follow.
        origin: Option<u32>,
        /// Its result comes in a float register.
        gives_float: bool,
    },
}

/// All records of a function in the making, with what they share.
#[derive(Default)]
pub(super) struct Records {
    list: Vec<Record>,
    words: Vec<StateWord>,
    roots: Vec<(u32, RootKind)>,
    headers: Vec<FrameHeader>,
    header_numbers: FxHashMap<FrameHeader, u32>,
    chain_numbers: FxHashMap<Box<[FrameHeader]>, u32>,
    constants: Vec<u64>,
    constant_numbers: FxHashMap<u64, u16>,
}

/// The source location of code that belongs to no record.
pub(super) fn no_location() -> ir::SourceLoc {
    ir::SourceLoc::default()
}

impl Records {
    fn location(&self) -> ir::SourceLoc {
        ir::SourceLoc::new(self.list.len() as u32 - 1)
    }
    /// Adds an exit; gives the location for its call instruction.
    pub fn exit(&mut self, words: &[StateWord], reason: ExitReason) -> ir::SourceLoc {
        let start = self.words.len() as u32;
        self.words.extend_from_slice(words);
        self.list.push(Record::Exit { words: (start, self.words.len() as u32), reason });
        self.location()
    }
    /// Adds a call with these roots (words of the slot of homes); gives the location for its instruction.
    pub fn call(
        &mut self,
        roots: impl Iterator<Item = (u32, RootKind)>,
        origin: &[FrameHeader],
        gives_float: bool,
    ) -> ir::SourceLoc {
        let origin = self.chain(origin);
        let start = self.roots.len() as u32;
        self.roots.extend(roots);
        self.list.push(Record::Call { roots: (start, self.roots.len() as u32), origin, gives_float });
        self.location()
    }
    /// The number of a frame header.
    pub fn header(&mut self, header: FrameHeader) -> u32 {
        let headers = &mut self.headers;
        *self.header_numbers.entry(header).or_insert_with(|| {
            headers.push(header);
            headers.len() as u32 - 1
        })
    }
    /// The number of the first of these headers of an activation and those around it, which stand one after another.
    fn chain(&mut self, headers: &[FrameHeader]) -> Option<u32> {
        let &[header] = headers else {
            if headers.is_empty() {
                return None;
            }
            if let Some(&number) = self.chain_numbers.get(headers) {
                return Some(number);
            }
            let number = self.headers.len() as u32;
            self.headers.extend_from_slice(headers);
            self.chain_numbers.insert(headers.into(), number);
            return Some(number);
        };
        Some(self.header(header))
    }
    /// The number of a constant.
    pub fn constant(&mut self, bits: u64) -> Result<u16, LowerError> {
        if let Some(&number) = self.constant_numbers.get(&bits) {
            return Ok(number);
        }
        let limit = u16::MAX as usize;
        let number = u16::try_from(self.constants.len()).map_err(|_| LowerError::TooLarge {
            what: "constants of one candidate's frame states",
            found: self.constants.len() + 1,
            limit: limit + 1,
        })?;
        self.constants.push(bits);
        self.constant_numbers.insert(bits, number);
        Ok(number)
    }
    /// The record that a location stands for.
    pub fn at(&self, location: ir::SourceLoc) -> Option<&Record> {
        if location.is_default() { None } else { self.list.get(location.bits() as usize) }
    }
    /// How many exits and how many calls there are.
    pub fn counts(&self) -> (u32, u32) {
        let exits = self.list.iter().filter(|record| matches!(record, Record::Exit { .. })).count();
        (exits as u32, (self.list.len() - exits) as u32)
    }
}

/// Where the words of a compiled frame are, relative to its frame pointer.
#[derive(Clone, Copy)]
pub(super) struct FrameShape {
    /// Frame pointer minus stack pointer.
    pub size: u32,
    /// Distance of the slot of homes from the stack pointer.
    pub homes: u32,
}

impl FrameShape {
    /// The shape of a compiled function whose homes are in this slot.
    pub fn new(code: &CompiledCode, homes: ir::StackSlot) -> Result<FrameShape, LowerError> {
        let layout = code
            .buffer
            .frame_layout()
            .ok_or_else(|| LowerError::Cranelift("no frame layout was reported".to_owned()))?;
        Ok(FrameShape { size: layout.frame_to_fp_offset, homes: layout.stackslots[homes].offset })
    }
    /// The place of a word `offset` bytes above the stack pointer, in words from the frame pointer.
    fn word_at(self, offset: u32) -> Result<i16, LowerError> {
        let bytes = i64::from(offset) - i64::from(self.size);
        i16::try_from(bytes / 8).map_err(|_| LowerError::TooLarge {
            what: "native frame size in words",
            found: self.size as usize / 8,
            limit: -(i16::MIN as isize) as usize,
        })
    }
    /// The place of a word of the slot of homes.
    pub fn home(self, word: u32) -> Result<i16, LowerError> {
        self.word_at(self.homes + 8 * word)
    }
}

/// The tables, as far as they are known before the code is complete.
pub(super) struct Tables {
    pub deopt: DeoptTable,
    pub calls: CallSites,
    /// The call sites whose landing pads wait for a result that comes in a float register.
    pub float_sites: Vec<usize>,
}

/// Turns records into tables, with the places that the code generator chose.
pub(super) fn build_tables(
    code: &CompiledCode,
    records: Records,
    shape: FrameShape,
) -> Result<Tables, LowerError> {
    let mut table =
        DeoptTable { headers: records.headers, constants: records.constants, ..DeoptTable::default() };
    let (mut calls, mut float_sites) = (CallSites::default(), Vec::new());
    let mut runs: FxHashMap<Vec<u32>, u32> = FxHashMap::default();
    let mut exits: FxHashMap<Exit, usize> = FxHashMap::default();
    let mut root_runs: FxHashMap<Vec<(i16, bool)>, (u32, u32)> = FxHashMap::default();
    let locations = code.buffer.get_srclocs_sorted();
    let mut next = 0;
    for site in code.buffer.call_sites() {
        while next < locations.len() && locations[next].end < site.ret_addr {
            next += 1;
        }
        let Some(location) = locations.get(next).filter(|location| location.start < site.ret_addr) else {
            continue;
        };
        if location.loc.is_default() {
            continue;
        }
        match records.list.get(location.loc.bits() as usize) {
            None => {
                return Err(LowerError::Cranelift(format!(
                    "call site {:#x} has an unknown location",
                    site.ret_addr
                )));
            }
            Some(Record::Exit { words, reason }) => {
                let mut items = Vec::new();
                for handler in site.exception_handlers {
                    if let FinalizedMachExceptionHandler::Context(place) = handler {
                        items.push(match *place {
                            ExceptionContextLoc::SPOffset(offset) => Place::Frame(shape.word_at(offset)?),
                            ExceptionContextLoc::GPR(number) => Place::Register(number),
                        });
                    }
                }
                let words = &records.words[words.0 as usize..words.1 as usize];
                let Some((&StateWord::Header(header), words)) = words.split_first() else {
                    return Err(LowerError::Cranelift(format!("exit {:#x} has no frame", site.ret_addr)));
                };
                let mut run = Vec::with_capacity(words.len());
                for word in words {
                    run.push(match *word {
                        StateWord::Header(number) => number,
                        StateWord::Value(register, boxing, spot) => {
                            let place = match spot {
                                Spot::Item(index) => *items.get(index as usize).ok_or_else(|| {
                                    LowerError::Cranelift(format!("item {index} of exit {:#x} has no place", site.ret_addr))
                                })?,
                                Spot::Home(word) => Place::Frame(shape.home(word)?),
                                Spot::Constant(index) => Place::Constant(index),
                                Spot::Result(number) => Place::Result(number),
                            };
                            let located = Located::pack(register, boxing, place).ok_or(LowerError::TooLarge {
                                what: "a register's number (or a kind's, with a limit of 61) in a frame state",
                                found: register.0 as usize,
                                limit: 255,
                            })?;
                            located.0
                        }
                    });
                }
                let states = &mut table.states;
                let state = *runs.entry(run).or_insert_with_key(|run| {
                    states.extend_from_slice(run);
                    (states.len() - run.len()) as u32
                });
                let exit = Exit { reason: *reason, header };
                let exit_list = &mut table.exits;
                let number = *exits.entry(exit).or_insert_with(|| {
                    exit_list.push(exit);
                    exit_list.len() - 1
                });
                let exit = u16::try_from(number).map_err(|_| LowerError::TooLarge {
                    what: "reasons and places to leave",
                    found: number,
                    limit: u16::MAX as usize,
                })?;
                let point = DeoptPoint::pack(site.ret_addr, state, exit);
                table.points.push(point.ok_or(LowerError::TooLarge {
                    what: "code bytes or words of frame states",
                    found: site.ret_addr.max(state) as usize,
                    limit: DeoptPoint::OFFSETS as usize,
                })?);
            }
            Some(Record::Call { roots, origin, gives_float }) => {
                if *gives_float {
                    float_sites.push(calls.sites.len());
                }
                let landing_pad = site.exception_handlers.iter().find_map(|handler| match handler {
                    FinalizedMachExceptionHandler::Default(offset) => Some(*offset),
                    _ => None,
                });
                let mut run = Vec::new();
                for &(word, kind) in &records.roots[roots.0 as usize..roots.1 as usize] {
                    run.push((shape.home(word)?, kind == RootKind::Any));
                }
                let list = &mut calls.roots;
                let roots = *root_runs.entry(run).or_insert_with_key(|run| {
                    let start = list.len() as u32;
                    list.extend(run.iter().map(|&(offset, any)| Root {
                        offset,
                        kind: if any { RootKind::Any } else { RootKind::Ref },
                    }));
                    (start, list.len() as u32)
                });
                calls.sites.push(CallSite {
                    return_offset: site.ret_addr,
                    landing_pad,
                    roots,
                    origin: *origin,
                });
            }
        }
    }
    // The buffer lists call sites in the order of their addresses.
    debug_assert!(table.points.is_sorted_by_key(|point| point.return_offset()));
    debug_assert!(calls.sites.is_sorted_by_key(|site| site.return_offset));
    Ok(Tables { deopt: table, calls, float_sites })
}
