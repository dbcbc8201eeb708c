//! The candidates of the model's units, written by hand.

use crate::assembler::*;
use crate::host::{CALLBACK, INT};
use crate::world::Source;
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::table::{Boxing, FrameHeader, Located, Place};
use surmise_ir::entity::{Pc, Register};
use surmise_ir::frame_state::When;
use surmise_ir::language::Recipe;

/// Classes of recipes in the tests' language.
pub const ADDRESS: u32 = 0;
pub const ASSUMPTION: u32 = 3;
/// What slots hold.
pub const SLOT: u64 = 0x5107;

/// What the callback is told: whose candidate calls it, and which value was compiled into it.
pub fn pack(unit: u64, value: u64) -> u64 {
    unit << 32 | value
}

/// Calls the host back, fails its guard if that gives zero, and gives the value of its global and what its slot holds.
pub fn reading(source: &Source, value: u64, retirements: u32) -> CandidateImage {
    let unit = source.id;
    let header = FrameHeader {
        unit,
        pc: Pc(3),
        when: When::After,
        window: 0,
        register_entries: 0,
        result_entries: 1,
        call_results: false,
        open: None,
        has_callee: false,
        has_parent: false,
    };
    let integer = |place| Located::pack(Register(0), Boxing::Kind(INT as u8), place).expect("small numbers");
    let mut code = Assembler::new();
    code.constant(RSI, pack(unit.0, value)).call_extern(CALLBACK, &[]).store_home(RAX, -5);
    let fails = code.jump_if_zero(-5);
    code.slots_base(RSI).load(RDX, RSI, 8).add(RDX, value as i32).constant(RAX, INT).return_();
    code.bind(fails).guard_exit(&[(header, &[integer(Place::Frame(-5))])]);
    code.landing_pad(0).landing_exit(&[(header, &[integer(Place::Result(0))])]);
    let slots = [Recipe { class: ADDRESS, words: [unit.0, retirements.into()] }];
    let mut image = code.finish("reading", unit, &slots);
    image.assumptions = vec![Recipe { class: ASSUMPTION, words: [unit.0, value] }];
    image
}
