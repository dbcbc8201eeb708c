//! The units as machine code.

use super::{Method, VALUE};
use crate::assembler::*;
use crate::host::{CALLBACK, INT};
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::entry::EntryCell;
use surmise_deopt::table::{Boxing, FrameHeader, Located, Place, RootKind};
use surmise_ir::entity::{Pc, Register, UnitId};
use surmise_ir::frame_state::When;
use surmise_ir::language::Recipe;

pub fn header(
    unit: UnitId,
    pc: u32,
    when: When,
    register_entries: usize,
    result_entries: usize,
) -> FrameHeader {
    FrameHeader {
        unit,
        pc: Pc(pc),
        when,
        window: 0,
        register_entries: register_entries as u16,
        result_entries: result_entries as u16,
        call_results: false,
        open: None,
        has_callee: false,
        has_parent: false,
    }
}

pub fn located(register: u16, boxing: Boxing, place: Place) -> Located {
    Located::pack(Register(register), boxing, place).expect("small numbers")
}

pub fn assembler(method: Method) -> Assembler {
    match method {
        Method::Return => Assembler::new(),
        Method::Mark => Assembler::marked(),
        Method::Portable => unreachable!("it has no machine code"),
    }
}

/// Where frames keep their argument.
const KEPT: &[(i16, RootKind)] = &[(-6, RootKind::Any)];

/// Keeps its first argument, calls a cell with it, and gives the sum of the result, the argument and one.
pub fn summing(method: Method, unit: UnitId, cell: &'static EntryCell) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.store_at(RAX, RSI, 40).load_home(RAX, -6).store_at(RAX, RSI, 32);
    code.call_cell((&raw const *cell).cast(), 32, 1, KEPT).add_home(RDX, -5).add(RDX, 1).return_();
    let entries = [
        located(0, Boxing::Whole, Place::Frame(-6)),
        located(0, Boxing::Whole, Place::Frame(-5)),
        located(0, Boxing::Whole, Place::Result(0)),
        located(0, Boxing::Whole, Place::Result(1)),
    ];
    let header = FrameHeader { call_results: true, ..header(unit, 5, When::After, 2, 2) };
    code.landing_pad(0).landing_exit(&[(header, &entries)]);
    code.finish("summing", unit, &[])
}

/// Gives its argument to the extern, and returns what that gives plus one, as an integer.
pub fn asking(method: Method, unit: UnitId) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.load_home(RSI, -5).call_extern(CALLBACK, KEPT);
    code.bytes(&[0x48, 0x89, 0xc2]).add(RDX, 1).constant(RAX, INT).return_();
    let entries = [
        located(0, Boxing::Whole, Place::Frame(-6)),
        located(0, Boxing::Whole, Place::Frame(-5)),
        located(0, Boxing::Kind(INT as u8), Place::Result(0)),
    ];
    code.landing_pad(0).landing_exit(&[(header(unit, 3, When::After, 2, 1), &entries)]);
    code.finish("asking", unit, &[])
}

/// Polls, then returns one more than its argument.
pub fn polling(method: Method, unit: UnitId) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.poll(KEPT).load_home(RDX, -5).add(RDX, 1).load_home(RAX, -6).return_();
    let entries = [located(0, Boxing::Whole, Place::Frame(-6)), located(0, Boxing::Whole, Place::Frame(-5))];
    code.landing_pad(0).landing_exit(&[(header(unit, 0, When::Before, 2, 0), &entries)]);
    code.finish("polling", unit, &[])
}

/// Calls itself with one less until its argument is zero, then asks the host; gives one more than it gets.
pub fn recursive(method: Method, unit: UnitId, cell: &'static EntryCell) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    let bottom = code.jump_if_zero(-5);
    code.add(RAX, -1).store_at(RAX, RSI, 40).load_home(RAX, -6).store_at(RAX, RSI, 32);
    code.call_cell((&raw const *cell).cast(), 32, 1, KEPT).add(RDX, 1).return_();
    code.bind(bottom).load_home(RSI, -5).call_extern(CALLBACK, &[]);
    code.bytes(&[0x48, 0x89, 0xc2]).add(RDX, 1).constant(RAX, INT).return_();
    let kept = [located(0, Boxing::Whole, Place::Frame(-6)), located(0, Boxing::Whole, Place::Frame(-5))];
    let results = [located(0, Boxing::Whole, Place::Result(0)), located(0, Boxing::Whole, Place::Result(1))];
    let called = FrameHeader { call_results: true, ..header(unit, 5, When::After, 2, 2) };
    code.landing_pad(0).landing_exit(&[(called, &[kept, results].concat())]);
    let result = [located(0, Boxing::Kind(INT as u8), Place::Result(0))];
    code.landing_pad(1).landing_exit(&[(header(unit, 3, When::After, 2, 1), &[&kept[..], &result].concat())]);
    code.finish("recursive", unit, &[])
}

/// Counts its argument down to zero, with a poll in each round, and reads its slot each time; gives the last thing that it read.
pub fn busy(method: Method, unit: UnitId) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.slots_base(RSI).store_home(RSI, -7);
    let round = code.position();
    code.poll_if_asked(KEPT);
    code.load_home(RSI, -7).load(RDX, RSI, 8).store_home(RDX, -8);
    let done = code.jump_if_zero(-5);
    code.load_home(RAX, -5).add(RAX, -1).store_home(RAX, -5).jump_back(round);
    code.bind(done).load_home(RDX, -8).constant(RAX, INT).return_();
    let entries = [located(0, Boxing::Whole, Place::Frame(-6)), located(0, Boxing::Whole, Place::Frame(-5))];
    code.landing_pad(0).landing_exit(&[(header(unit, 0, When::Before, 2, 0), &entries)]);
    code.finish("busy", unit, &[Recipe { class: VALUE, words: [0, 0] }])
}

/// Fails a guard.
pub fn failing(method: Method, unit: UnitId) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    let entries = [located(0, Boxing::Whole, Place::Frame(-6)), located(0, Boxing::Whole, Place::Frame(-5))];
    code.guard_exit(&[(header(unit, 9, When::Before, 2, 0), &entries)]);
    code.finish("failing", unit, &[])
}

/// Gives its argument to the extern, and returns the sum of what that gives and what its slots hold, which it reads behind the call.
pub fn slotted(method: Method, unit: UnitId) -> CandidateImage {
    let mut code = assembler(method);
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.slots_base(RSI).store_home(RSI, -7);
    code.load_home(RSI, -5).call_extern(CALLBACK, KEPT).store_home(RAX, -8);
    code.load_home(RSI, -7).load(RDX, RSI, 8).store_home(RDX, -5).load(RDX, RSI, 24);
    code.add_home(RDX, -5).add_home(RDX, -8).constant(RAX, INT).return_();
    let entries = [
        located(0, Boxing::Whole, Place::Frame(-6)),
        located(0, Boxing::Whole, Place::Frame(-5)),
        located(0, Boxing::Kind(INT as u8), Place::Result(0)),
    ];
    code.landing_pad(0).landing_exit(&[(header(unit, 3, When::After, 2, 1), &entries)]);
    let slot = |number| Recipe { class: VALUE, words: [number, 0] };
    code.finish("slotted", unit, &[slot(0), slot(1)])
}
