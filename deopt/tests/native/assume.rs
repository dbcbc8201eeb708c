//! Assumptions: what rests on one is deoptimized when it is broken, and nothing else.

use crate::assembler::*;
use crate::deopt_all::{deopt_all, interpreting, sum};
use crate::host::*;
use crate::units::machine_code::{asking, recursive, summing};
use crate::units::{ASSUMPTION, Method};
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::check::check_image;
use surmise_deopt::deopt_all::{Assumption, AssumptionError, Report};
use surmise_deopt::isolate::{InstallError, NoAssumption};
use surmise_deopt::slots::SlotValue;
use surmise_deopt::stacks::{Coroutine, NativeStack, Progress, StackSize};
use surmise_ir::entity::UnitId;
use surmise_ir::language::Recipe;

fn resting(image: CandidateImage, on: &[u64]) -> CandidateImage {
    let assumptions = on.iter().map(|&word| Recipe { class: ASSUMPTION, words: [word, 0] }).collect();
    CandidateImage { assumptions, ..image }
}

fn install(host: &TestHost, image: CandidateImage, known: &[Assumption]) -> Result<(), InstallError> {
    let mut resolve =
        |recipe: &Recipe| known.get(recipe.words[0] as usize).map(|known| known.as_slot_value());
    // SAFETY: the tests' images are what they say.
    unsafe { host.isolate.install(image, &mut resolve) }.map(drop)
}

fn invalidate(host: &TestHost, assumption: Assumption) -> Report {
    // SAFETY: asked for in a callback, or outside of compiled code, by the only thread.
    unsafe { host.isolate.invalidate(assumption) }.expect("the isolate's own")
}

#[test]
fn only_what_rests_on_it_is_deoptimized() {
    let (runloop, mut host) = TestHost::new();
    host.isolate.set_checked(true);
    let known = [host.isolate.assume(), host.isolate.assume()];
    let cells: Vec<_> = (0..3).map(|n| host.unit(UnitId(n)).0).collect();
    install(&host, asking(Method::Return, UnitId(0)), &known).expect("it is installed");
    install(&host, resting(summing(Method::Return, UnitId(1), cells[0]), &[0]), &known)
        .expect("it is installed");
    install(&host, resting(summing(Method::Return, UnitId(2), cells[1]), &[1, 1]), &known)
        .expect("it is installed");
    interpreting(&mut host);
    host.callback = Some(Box::new(move |host, _, argument| {
        let unused = host.isolate.assume();
        assert_eq!(invalidate(host, unused).runloops, 0);
        let report = invalidate(host, known[0]);
        assert_eq!((report.frames, report.candidates), (1, 1));
        assert_eq!(invalidate(host, known[0]).runloops, 0);
        Ok(argument)
    }));
    assert_eq!(sum(&mut host, &runloop, cells[2], 1, 10), Ok(33));
    assert_eq!(host.committed.len(), 1);
    assert_eq!(host.committed[0].0[0].unit, UnitId(1));
    assert_eq!(cells.iter().map(|cell| cell.is_compiled()).collect::<Vec<_>>(), [true, false, true]);
    // SAFETY: no runloop is active.
    assert_eq!(unsafe { host.isolate.reclaim() }.reclaimed, 1);
    assert!(host.isolate.dependents(known[0]).is_empty());
    assert_eq!(host.isolate.dependents(known[1]).len(), 1);
}

#[test]
fn nothing_is_installed_that_rests_on_what_does_not_hold() {
    let (_runloop, host) = TestHost::new();
    let (_, other) = TestHost::new();
    let known = [host.isolate.assume(), other.isolate.assume()];
    host.unit(UnitId(1));
    let problem = |on: u64| match install(&host, resting(asking(Method::Return, UnitId(1)), &[on]), &known) {
        Err(InstallError::Assumption { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(1), NoAssumption::Unusable(AssumptionError::Foreign(known[1])));
    assert_eq!(problem(2), NoAssumption::Unresolved);
    invalidate(&host, known[0]);
    assert_eq!(problem(0), NoAssumption::Unusable(AssumptionError::Broken(known[0])));
    // SAFETY: no runloop is active.
    assert_eq!(unsafe { host.isolate.invalidate(known[1]) }, Err(AssumptionError::Foreign(known[1])));
    assert_eq!((host.isolate.holds(known[0]), other.isolate.holds(known[1])), (Ok(false), Ok(true)));
    assert!(host.isolate.holds(known[1]).is_err());
    assert_eq!(deopt_all(&host).candidates, 0);
}

#[test]
fn what_is_broken_during_the_installation_is_noticed() {
    let (_runloop, host) = TestHost::new();
    let assumption = host.isolate.assume();
    let (cell, _) = host.unit(UnitId(1));
    let mut code = Assembler::new();
    code.return_();
    let slots = [Recipe { class: 0, words: [0, 0] }];
    let image = resting(code.finish("with a slot", UnitId(1), &slots), &[0]);
    let mut resolve = |recipe: &Recipe| {
        if recipe.class == ASSUMPTION {
            // The host answers what it knows, and guest code that it runs breaks it.
            let answer = assumption.as_slot_value();
            invalidate(&host, assumption);
            return Some(answer);
        }
        Some(SlotValue::word(1))
    };
    // SAFETY: the tests' images are what they say.
    let result = unsafe { host.isolate.install(image, &mut resolve) };
    assert!(matches!(result, Err(InstallError::Assumption { .. })));
    assert!(!cell.is_compiled());
}

#[test]
fn a_recipe_that_is_no_assumption_is_malformed() {
    let mut image = asking(Method::Return, UnitId(1));
    image.assumptions.push(Recipe { class: 1, words: [0, 0] });
    assert_eq!(check_image(&image, &language()).expect_err("it is malformed").what, "assumption");
}

/// Runs something on another native stack.
fn on_stack(stack: NativeStack, work: &mut dyn FnMut()) {
    unsafe fn body(data: *mut u8, _message: *mut u8) {
        // SAFETY: what it was started with, which waits for it.
        unsafe { (*data.cast::<&mut dyn FnMut()>())() }
    }
    let (mut coroutine, mut work) = (Box::new(Coroutine::new(stack)), work);
    let this: *mut Coroutine = &mut *coroutine;
    // SAFETY: coroutine and work outlive the body, on this thread.
    unsafe {
        let handle = Coroutine::start(this, body, (&raw mut work).cast()).expect("it is idle");
        let progress = Coroutine::resume(this, handle, std::ptr::null_mut());
        assert!(matches!(progress, Ok(Progress::Finished)), "{progress:?}");
    }
}

/// A host that switches stacks below a runloop: its frames are not in the order of their addresses. The first request redirects many old
/// frames on the lower stack, and the newest one, on the higher stack, but not the one in between; the second one has to find that.
#[test]
fn what_settled_on_one_stack_hides_nothing_on_another() {
    const DEPTH: usize = 300;
    let size = StackSize { native: 8 << 20, room: 0 };
    let mut stacks = [0, 1].map(|_| NativeStack::map(size).expect("there is memory for a stack"));
    stacks.sort_by_key(|stack| stack.bottom());
    let [low, high] = stacks;
    let (runloop, mut host) = TestHost::new();
    let known = [host.isolate.assume(), host.isolate.assume()];
    let cells: Vec<_> = (0..3).map(|n| host.unit(UnitId(n)).0).collect();
    let old = recursive(Method::Return, UnitId(0), cells[0]);
    install(&host, resting(old, &[0]), &known).expect("it is installed");
    install(&host, resting(asking(Method::Return, UnitId(1)), &[1]), &known).expect("it is installed");
    install(&host, resting(asking(Method::Return, UnitId(2)), &[0]), &known).expect("it is installed");
    interpreting(&mut host);
    let (mut high, oldest) = (Some(high), cells[0]);
    host.callback = Some(Box::new(move |host, runloop, argument| {
        let (mut high, newest) = (high.take(), cells[2]);
        host.callback = Some(Box::new(move |host, runloop, argument| {
            host.callback = Some(Box::new(move |host, _, argument| {
                assert_eq!(invalidate(host, known[0]).frames, DEPTH + 2);
                assert_eq!(invalidate(host, known[1]).frames, 1);
                Ok(argument)
            }));
            let (stack, mut result) = (high.take().expect("it is called once"), Ok(0));
            on_stack(stack, &mut || result = sum(host, runloop, newest, 6000, argument as i64));
            Ok(result? as u64)
        }));
        Ok(sum(host, runloop, cells[1], 5000, argument as i64)? as u64)
    }));
    let mut result = Ok(0);
    on_stack(low, &mut || result = sum(&mut host, &runloop, oldest, 1, DEPTH as i64));
    assert!(result.is_ok());
    assert_eq!(host.committed.len(), DEPTH + 3);
}
