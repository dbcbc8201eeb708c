//! The units for the portable backend: each does what the function of the same name in machine code does.

use crate::host::language;
use surmise_deopt::candidate::PortableImage;
use surmise_deopt::entry::EntryCell;
use surmise_ir::entity::UnitId;
use surmise_ir::language::Language;
use surmise_ir::text::parse_function;

/// A function of the tests' language with this body.
pub fn image_of(language: &Language, unit: UnitId, body: &str) -> PortableImage {
    let text = format!("function \"f\" unit: {} call registers 6 {{\n{body}\n}}", unit.0);
    PortableImage::new(parse_function(&text, language).unwrap_or_else(|error| panic!("{error}\n{text}")))
}
pub fn function(unit: UnitId, body: &str) -> PortableImage {
    image_of(&language(), unit, body)
}
/// The address of a place that holds a closure whose unit has this cell; it is never freed.
pub fn holder(cell: &'static EntryCell) -> u64 {
    let closure: &'static [u64; 1] = Box::leak(Box::new([(&raw const *cell) as u64]));
    let holder: &'static [u64; 1] = Box::leak(Box::new([closure.as_ptr() as u64]));
    holder.as_ptr() as u64
}

pub fn summing(unit: UnitId, cell: &'static EntryCell) -> PortableImage {
    let holder = holder(cell);
    let body = format!(
        "block0: v0 = argument r0; v1 = any_payload v0; v2 = rawconst {holder}; v3 = load Holder.closure v2
         state0 = before @5 {{r0: v0}}; state1 = after @5 {{r0: v0}}
         v4 = call_unit v3(v0) window r1 wants 1 @5 [state0] after [state1]
         v5 = any_payload v4; v6 = iadd v5, v1; v7 = iconst 1; v8 = iadd v6, v7; v9 = box int v8; return v9"
    );
    function(unit, &body)
}

pub fn asking(unit: UnitId) -> PortableImage {
    function(
        unit,
        "block0: v0 = argument r0; v1 = any_payload v0; state0 = before @3 {r0: v0}; state1 = after @3 {r0: v0}
         v2 = call_extern callback v1 [state0] after [state1]
         v3 = iconst 1; v4 = iadd v2, v3; v5 = box int v4; return v5",
    )
}

pub fn polling(unit: UnitId) -> PortableImage {
    function(
        unit,
        "block0: v0 = argument r0; state0 = before @0 {r0: v0}; poll [state0]
         v1 = any_payload v0; v2 = iconst 1; v3 = iadd v1, v2; v4 = box int v3; return v4",
    )
}

pub fn recursive(unit: UnitId, cell: &'static EntryCell) -> PortableImage {
    let holder = holder(cell);
    let body = format!(
        "block0: v0 = argument r0; v1 = any_payload v0; v2 = iconst 0; v3 = icmp eq v1, v2; v4 = iconst 1
         branch v3 -> block1, block2
         block1: state0 = before @3 {{r0: v0}}; state1 = after @3 {{r0: v0}}
         v5 = call_extern callback v1 [state0] after [state1]; v6 = iadd v5, v4; v7 = box int v6; return v7
         block2: v8 = isub v1, v4; v9 = box int v8; v10 = rawconst {holder}; v11 = load Holder.closure v10
         state2 = before @5 {{r0: v0}}; state3 = after @5 {{r0: v0}}
         v12 = call_unit v11(v9) window r1 wants 1 @5 [state2] after [state3]
         v13 = any_payload v12; v14 = iadd v13, v4; v15 = box int v14; return v15"
    );
    function(unit, &body)
}

pub fn busy(unit: UnitId) -> PortableImage {
    function(
        unit,
        "slot0 = value 0 0
         block0: v0 = argument r0; v1 = any_payload v0; v2 = iconst 0; v3 = iconst 1; jump block1(v1)
         block1(v4: i64): v5 = box int v4; state0 = before @0 {r0: v5}; poll [state0]
         v6 = slot slot0; v7 = icmp eq v4, v2; branch v7 -> block2, block3
         block2: return v6
         block3: v8 = isub v4, v3; jump block1(v8)",
    )
}

pub fn failing(unit: UnitId) -> PortableImage {
    function(
        unit,
        "block0: v0 = argument r0; state0 = before @9 {r0: v0}; v1 = guard_kind object kind v0 [state0]; return v0",
    )
}

pub fn slotted(unit: UnitId) -> PortableImage {
    function(
        unit,
        "slot0 = value 0 0; slot1 = value 1 0
         block0: v0 = argument r0; v1 = any_payload v0; state0 = before @3 {r0: v0}; state1 = after @3 {r0: v0}
         v2 = call_extern callback v1 [state0] after [state1]
         v3 = slot slot0; v4 = any_payload v3; v5 = slot slot1; v6 = any_payload v5
         v7 = iadd v4, v6; v8 = iadd v7, v2; v9 = box int v8; return v9",
    )
}
