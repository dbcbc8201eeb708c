//! What the collector sees: compiled frames, slots.

use crate::assembler::*;
use crate::host::*;
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::entry::EntryCell;
use surmise_deopt::frames::{FrameSite, FrameWalk};
use surmise_deopt::host::GuestResults;
use surmise_deopt::runloop::Outcome;
use surmise_deopt::slots::SlotValue;
use surmise_deopt::table::RootKind;
use surmise_ir::entity::UnitId;
use surmise_ir::language::Recipe;

/// Keeps its first argument in homes 6 and 5 (a boxed value) and a pointer in home 7, calls a cell with that argument one up, and
/// adds both to the result.
fn keeping(unit: UnitId, cell: &'static EntryCell, pointer: u64) -> CandidateImage {
    let mut code = Assembler::new();
    code.load(RAX, RSI, 0).store_home(RAX, -6).load(RAX, RSI, 8).store_home(RAX, -5);
    code.constant(RAX, pointer).store_home(RAX, -7);
    // The argument, for the callee.
    code.load_home(RAX, -6).store_at(RAX, RSI, 32).load_home(RAX, -5).add(RAX, 1).store_at(RAX, RSI, 40);
    code.call_cell((&raw const *cell).cast(), 32, 1, &[(-6, RootKind::Any), (-7, RootKind::Ref)]);
    code.add_home(RDX, -5).add_home(RDX, -7).return_();
    code.finish("keeping", unit, &[])
}

#[test]
fn homes_of_all_frames_are_roots_that_move() {
    let (runloop, mut host) = TestHost::new();
    let ((bottom, _), (a, _), (b, _)) = (host.unit(UnitId(0)), host.unit(UnitId(1)), host.unit(UnitId(2)));
    // b calls a; a calls the host, which enters b once more before it collects.
    host.install(keeping(UnitId(1), bottom, 0x100));
    host.install(keeping(UnitId(2), a, 0x200));
    host.call_unit = Some(Box::new(move |host, runloop, window, _| {
        let register = (window as usize - host.window(0) as usize) / 16;
        host.call_unit = Some(Box::new(|host, runloop, _, _| {
            let map = runloop.isolate().space().map().snapshot();
            // SAFETY: the only runloop, in a callback.
            let frames: Vec<_> = unsafe { FrameWalk::new(runloop.context(), &map) }
                .map(|frame| {
                    assert_eq!(frame.site, FrameSite::Call(0));
                    // SAFETY: the frames are on the stack.
                    (frame.candidate.unit().0, unsafe { frame.is_entered() })
                })
                .collect();
            assert_eq!(frames, [(1, false), (2, true), (1, false), (2, true)]);
            assert_eq!(host.move_roots(0x1000), [13, 0x100, 12, 0x200, 11, 0x100, 10, 0x200]);
            Ok(GuestResults::pair(INT as u32, 0, 0))
        }));
        match host.enter(runloop, b, register, 1) {
            Outcome::Returned([first, second]) => Ok(GuestResults { first, second }),
            other => panic!("{other:?}"),
        }
    }));
    host.set(1, int(10));
    let sum = 13 + 12 + 11 + 10 + 2 * 0x300 + 8 * 0x1000;
    assert_eq!(host.enter(&runloop, b, 1, 1), returned(int(sum)));
    // With no frame left there is no root.
    assert_eq!(host.move_roots(1), [] as [u64; 0]);
}

#[test]
fn slots_are_read_through_the_number_and_move() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    // Another candidate first, so that the number is not zero.
    host.unit(UnitId(9));
    host.install(crate::enter::identity(UnitId(9)));
    let recipes: Vec<Recipe> = (0..3).map(|class| Recipe { class, words: [class as u64 * 7, 0] }).collect();
    let mut code = Assembler::new();
    // rax, rdx: the boxed value in slot 2; plus the object's address in slot 1.
    code.slots_base(RSI).load(RAX, RSI, 32).load(RDX, RSI, 40);
    code.load(RCX, RSI, 24).store_home(RCX, -5).add_home(RDX, -5).return_();
    let image = code.finish("slots", UnitId(1), &recipes);
    let isolate = host.isolate.clone();
    let resolver_isolate = isolate.clone();
    let mut resolve = |recipe: &Recipe| {
        // A collection in the middle: the slots filled so far are roots.
        if recipe.class == 2 {
            let mut seen = Vec::new();
            // SAFETY: no runloop is active.
            unsafe {
                resolver_isolate.visit_roots(&mut |root| match root {
                    surmise_deopt::frames::RootWord::Ref(word) => {
                        seen.push(*word);
                        *word += 1;
                    }
                    surmise_deopt::frames::RootWord::Any(_) => panic!("not filled yet"),
                })
            };
            assert_eq!(seen, [0x50]);
        }
        Some(match recipe.class {
            0 => SlotValue::word(0x123),
            1 => SlotValue::word(0x50),
            _ => SlotValue::pair(INT, 0x1000),
        })
    };
    // SAFETY: the image is what it says.
    let id = unsafe { isolate.install(image, &mut resolve) }.expect("it is installed").id();
    assert_eq!(isolate.slots(id).and_then(|slots| slots.get(0)), Some(SlotValue::word(0x123)));
    assert_eq!(host.enter(&runloop, cell, 1, 0), returned(int(0x1051)));
    assert_eq!(host.move_roots(0x20), [0x51, 0x1000]);
    assert_eq!(host.enter(&runloop, cell, 1, 0), returned(int(0x1091)));
}
