//! Installing, choosing, retiring, reclaiming; images that are refused.

use crate::assembler::*;
use crate::enter::{calling_back, identity};
use crate::exit::failing;
use crate::host::*;
use crate::units::machine_code::{header, located};
use std::ptr::NonNull;
use std::sync::Arc;
use surmise_deopt::arena::ArenaError;
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::check::check_image;
use surmise_deopt::entry::EntryCell;
use surmise_deopt::isolate::{InstallError, Isolate, IsolateError, Reclaimed};
use surmise_deopt::loaded::{CodeSpace, LoadError};
use surmise_deopt::slots::SlotValue;
use surmise_deopt::table::{Boxing, DeoptPoint, Place};
use surmise_ir::entity::{Pc, Register, UnitId};
use surmise_ir::frame_state::When;
use surmise_ir::function::Entry;
use surmise_ir::language::Recipe;

#[test]
fn threads_can_share_isolates_and_code() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Isolate>();
    is_shared::<CodeSpace>();
}

#[test]
fn retired_code_goes_when_no_frame_is_left() {
    let (runloop, mut host) = TestHost::new();
    let (cell, entries) = host.unit(UnitId(1));
    let id = host.install(calling_back(UnitId(1), 0));
    let code = cell.code();
    host.callback = Some(Box::new(move |host, _, _| {
        assert!(host.isolate.retire(id) && !host.isolate.retire(id));
        assert!(!cell.is_compiled() && entries.is_empty());
        // SAFETY: the only runloop, in a callback.
        assert_eq!(unsafe { host.isolate.reclaim() }, Reclaimed { reclaimed: 0, waiting: 1 });
        assert!(!host.isolate.effective_slots().get(id.0).is_null());
        assert_eq!(host.isolate.space().statistics().blocks, 1);
        Ok(5)
    }));
    assert_eq!(host.enter(&runloop, cell, 1, 0), returned(int(5)));
    // SAFETY: no runloop is active.
    assert_eq!(unsafe { host.isolate.reclaim() }, Reclaimed { reclaimed: 1, waiting: 0 });
    assert!(host.isolate.effective_slots().get(id.0).is_null());
    assert_eq!(host.isolate.space().statistics().blocks, 0);
    // SAFETY: the arena's memory stays mapped and readable.
    assert_eq!(unsafe { *code }, 0xcc);
    // Place and number are used again.
    host.set(1, int(8));
    assert_eq!(host.install(identity(UnitId(1))), id);
    assert_eq!(cell.code(), code);
    assert_eq!(host.enter(&runloop, cell, 1, 1), returned(int(8)));
}

#[test]
fn a_frame_at_its_exit_keeps_its_code() {
    // Retired while its frames are made, and again while they run in the interpreter: the return of its cold block needs the code.
    let (runloop, mut host) = TestHost::new();
    let ((inner, _), (outer, _)) = (host.unit(UnitId(1)), host.unit(UnitId(2)));
    let id = host.install(failing(UnitId(1)));
    host.install(crate::enter::caller(UnitId(2), inner));
    host.allocate = Some(Box::new(move |host, _, _| {
        host.isolate.retire(id);
        // SAFETY: the only runloop, in a callback.
        assert_eq!(unsafe { host.isolate.reclaim() }.waiting, 1);
        Ok(())
    }));
    host.resume = Some(Box::new(|host, _| {
        // SAFETY: the only runloop, in a callback.
        assert_eq!(unsafe { host.isolate.reclaim() }.waiting, 1);
        Ok(surmise_deopt::host::GuestResults::pair(INT as u32, 1, 0))
    }));
    assert_eq!(host.enter(&runloop, outer, 1, 0), returned(int(2)));
    // SAFETY: no runloop is active.
    assert_eq!(unsafe { host.isolate.reclaim() }.reclaimed, 1);
}

#[test]
fn several_candidates_are_chosen_by_kinds() {
    let (_runloop, mut host) = TestHost::new();
    let (cell, entries) = host.unit(UnitId(1));
    let expecting = |expects: &[(u16, u64)]| CandidateImage {
        expects: expects.iter().map(|&(r, k)| (Register(r), kind(k))).collect(),
        ..identity(UnitId(1))
    };
    let ints = host.install(expecting(&[(0, INT)]));
    assert!(cell.is_compiled());
    let any = host.install(expecting(&[]));
    let pair = host.install(expecting(&[(0, INT), (1, FLOAT)]));
    host.install(CandidateImage { entry: Entry::Loop(Pc(4)), ..identity(UnitId(1)) });
    assert!(!cell.is_compiled());
    let language = host.isolate.language().clone();
    for (tags, count, expected) in [
        ([INT, FLOAT], 2, pair),
        ([INT, FLOAT], 1, ints),
        ([INT, INT], 2, ints),
        ([NIL, INT], 2, any),
        ([INT, INT], 0, any),
    ] {
        host.set(1, surmise_deopt::boxed::Boxed::pair(tags[0], 0));
        host.set(2, surmise_deopt::boxed::Boxed::pair(tags[1], 0));
        // SAFETY: two values stand there.
        let chosen = unsafe { entries.choose(&language, host.window(1), count) };
        assert_eq!(chosen.map(|entry| entry.candidate), Some(expected));
    }
    assert!(entries.loop_entry(Pc(4)).is_some() && entries.loop_entry(Pc(5)).is_none());
    host.isolate.retire(any);
    host.isolate.retire(pair);
    assert!(cell.is_compiled());
    let second: &'static EntryCell = Box::leak(Box::new(EntryCell::new()));
    // SAFETY: the cell lives for ever.
    unsafe { host.isolate.register_unit(UnitId(1), NonNull::from(second)) };
    assert_eq!(second.code(), cell.code());
    host.isolate.unregister_unit(UnitId(1), NonNull::from(cell));
    host.isolate.unregister_unit(UnitId(1), NonNull::from(second));
    // SAFETY: no runloop is active.
    assert_eq!(unsafe { host.isolate.reclaim() }.reclaimed, 4);
}

#[test]
fn isolates_share_code() {
    let (runloop, mut host) = TestHost::new();
    let (cell, _) = host.unit(UnitId(1));
    let space = host.isolate.space().clone();
    // SAFETY: the image is what it says.
    let loaded = unsafe { space.load(identity(UnitId(1)), host.isolate.language()) }.expect("it is loaded");
    let externs = [("callback", std::ptr::null())];
    // SAFETY: no code runs in the second isolate.
    let other = unsafe { Isolate::new(&space, host.isolate.language(), &externs) }.expect("a second isolate");
    let second: &'static EntryCell = Box::leak(Box::new(EntryCell::new()));
    // SAFETY: the cell lives for ever; the image is what it says.
    unsafe {
        other.register_unit(UnitId(1), NonNull::from(second));
        host.isolate.install_loaded(&loaded, &mut |_| None).expect("no slots");
        other.install_loaded(&loaded, &mut |_| None).expect("no slots");
        let again = other.install_loaded(&loaded, &mut |_| None).expect_err("twice");
        assert!(matches!(again, InstallError::Refused { .. }), "{again}");
    }
    assert_eq!(second.code(), cell.code());
    let id = loaded.candidate().id();
    drop(loaded);
    other.retire(id);
    // SAFETY: it has no runloop.
    assert_eq!(unsafe { other.reclaim() }.reclaimed, 1);
    host.set(1, int(3));
    assert_eq!(host.enter(&runloop, cell, 1, 1), returned(int(3)));
    assert_eq!(space.statistics().blocks, 1);
}

#[test]
fn what_can_not_be_installed_is_an_error() {
    let (_runloop, host) = TestHost::with(language(), 4096);
    let install = |image, value: Option<SlotValue>| {
        // SAFETY: no image here is ever run.
        unsafe { host.isolate.install(image, &mut |_| value) }.map(|candidate| candidate.id())
    };
    let error = install(identity(UnitId(1)), None).expect_err("no such unit");
    assert!(matches!(error, InstallError::UnknownUnit { unit: UnitId(1), .. }), "{error}");
    host.unit(UnitId(1));
    let recipe = Recipe { class: 1, words: [3, 4] };
    let error =
        install(CandidateImage { slots: vec![recipe], ..identity(UnitId(1)) }, None).expect_err("unresolved");
    assert!(matches!(error, InstallError::Unresolved { slot: 0, .. }), "{error}");
    let large = CandidateImage { code: vec![0xcc; 5000], ..identity(UnitId(1)) };
    let error = install(large, None).expect_err("too large");
    assert!(
        matches!(
            error,
            InstallError::Load(LoadError::Memory { error: ArenaError::Full { budget: 4096, .. }, .. })
        ),
        "{error}"
    );
    // What failed left nothing behind.
    assert_eq!(host.isolate.space().statistics().used, 0);
    assert!(install(identity(UnitId(1)), None).is_ok());
    let space = CodeSpace::new(4096).expect("an arena");
    // SAFETY: never used.
    let errors = unsafe {
        let missing = Isolate::new(&space, &language(), &[]).err();
        (missing, Isolate::new(&space, &language(), &[("nothing", std::ptr::null())]).err())
    };
    assert!(matches!(
        errors,
        (Some(IsolateError::MissingExtern { .. }), Some(IsolateError::UnknownExtern { .. }))
    ));
}

#[test]
fn malformed_images_are_refused() {
    let language = Arc::new((*language()).clone());
    let good = failing(UnitId(1));
    assert_eq!(check_image(&good, &language), Ok(()));
    type Damage = fn(&mut CandidateImage);
    fn point(return_offset: u32, state: u32) -> DeoptPoint {
        DeoptPoint::pack(return_offset, state, 0).expect("small numbers")
    }
    let damages: &[(&str, Damage)] = &[
        ("number offset", |image| image.number_offset += 4),
        ("number offset", |image| image.number_offset = u32::MAX - 7),
        ("window home", |image| image.window_home = 0),
        ("window home", |image| image.window_home = -17),
        ("argument count home", |image| image.argument_count_home = Some(3)),
        ("slot", |image| image.slots.push(Recipe { class: 9, words: [0, 0] })),
        ("expected kind", |image| image.expects.push((Register(0), kind(77)))),
        ("deopt point", |image| image.deopt.exits.clear()),
        ("deopt point", |image| image.deopt.points[0] = point(0, 0)),
        ("deopt point", |image| image.deopt.points[0] = point(1 << 20, 0)),
        ("deopt point", |image| image.deopt.points[0] = point(image.deopt.points[0].return_offset(), 100)),
        ("deopt point", |image| image.deopt.states.truncate(4)),
        ("deopt point", |image| image.deopt.headers[0].has_parent = true),
        ("deopt point", |image| image.deopt.constants.clear()),
        ("deopt point", |image| image.deopt.states[0] = located(0, Boxing::Kind(50), Place::Frame(-5)).0),
        ("deopt point", |image| image.deopt.states[0] = located(0, Boxing::Kind(2), Place::Frame(5)).0),
        ("deopt point", |image| image.deopt.states[0] = located(0, Boxing::Kind(2), Place::Register(0)).0),
        ("deopt point", |image| image.deopt.states[0] = located(0, Boxing::Kind(2), Place::Result(2)).0),
        ("deopt point", |image| image.deopt.states[0] = located(0, Boxing::Whole, Place::Frame(-5)).0),
        ("deopt point", |image| image.deopt.states[0] = located(0, Boxing::Pair, Place::Frame(-1)).0),
        ("deopt point", |image| image.deopt.states[0] = located(0, Boxing::Pair, Place::Register(3)).0),
        ("deopt point", |image| image.deopt.states[0] = located(0, Boxing::Pair, Place::Result(1)).0),
        // A state that is its own parent.
        ("deopt point", |image| {
            let base = image.deopt.states.len() as u32;
            let mut parent = header(UnitId(1), 0, When::After, 0, 0);
            parent.has_parent = true;
            image.deopt.headers.push(parent);
            image.deopt.states.extend(std::iter::repeat_n(1, 1000));
            image.deopt.points[0] = point(image.deopt.points[0].return_offset(), base);
        }),
    ];
    for (index, (what, damage)) in damages.iter().enumerate() {
        let mut image = good.clone();
        damage(&mut image);
        let error = check_image(&image, &language).expect_err(&format!("damage {index} is found"));
        assert_eq!(&error.what, what, "damage {index}: {error}");
    }
    let good = calling_back(UnitId(1), 0);
    let damages: &[(&str, Damage)] = &[
        ("call site", |image| image.calls.sites[0].return_offset = 1 << 20),
        ("call site", |image| image.calls.sites[0].roots = (0, 1)),
        ("call site", |image| image.calls.sites[0].landing_pad = Some(1 << 20)),
        ("call site", |image| image.calls.sites[0].landing_pad = Some(image.calls.sites[0].return_offset)),
        ("call site", |image| image.calls.sites[0].landing_pad = Some(0)),
        ("mark home", |image| image.mark_home = Some(1)),
        ("root", |image| {
            use surmise_deopt::table::{Root, RootKind};
            image.calls.roots.push(Root { offset: -1, kind: RootKind::Any });
        }),
    ];
    for (what, damage) in damages {
        let mut image = good.clone();
        damage(&mut image);
        let error = check_image(&image, &language).expect_err("damaged");
        assert_eq!(&error.what, what, "{error}");
    }
    assert_eq!(CONTEXT, -1);
}
