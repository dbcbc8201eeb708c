//! Coroutines whose bodies are Rust functions.

use super::compiled::{Departure, Switching, call};
use super::{Coroutine, Handle, NativeStack, Progress, ResumeError, StackSize, Status};
use crate::context::Context;
use crate::host::GuestResults;
use std::hint::black_box;

const SIZE: StackSize = StackSize { native: 256 << 10, room: 4096 };

/// What a body and its test share.
struct Shared {
    coroutine: *mut Coroutine,
    numbers: Vec<u64>,
    rounds: u64,
}

fn coroutine() -> Box<Coroutine> {
    Box::new(Coroutine::new(NativeStack::map(SIZE).expect("there is memory for a stack")))
}

fn suspended(progress: Result<Progress, ResumeError>) -> super::Handle {
    match progress {
        Ok(Progress::Suspended(handle)) => handle,
        other => panic!("expected a suspension, got {other:?}"),
    }
}

/// Adds what it is told and suspends itself, so often.
unsafe fn count(data: *mut u8, message: *mut u8) {
    let shared: *mut Shared = data.cast();
    let (mut told, mut own) = (message as u64, 1.5f64);
    // SAFETY: the test keeps its data until the body has ended or is given up.
    unsafe {
        for round in 0..(*shared).rounds {
            (*shared).numbers.push(told + round + own as u64);
            own *= 1.0;
            told = Coroutine::suspend((*shared).coroutine, data) as u64;
        }
        (*shared).numbers.push(told);
    }
}

#[test]
fn control_goes_back_and_forth() {
    let mut coroutine = coroutine();
    let this: *mut Coroutine = &mut *coroutine;
    let mut shared = Shared { coroutine: this, numbers: Vec::new(), rounds: 3 };
    let data = (&raw mut shared).cast();
    // SAFETY: coroutine and data outlive the body; one thread.
    unsafe {
        let mut handle = Coroutine::start(this, count, data).expect("it is idle");
        for message in [10, 20, 30] {
            handle = suspended(Coroutine::resume(this, handle, message as *mut u8));
        }
        assert!(matches!(Coroutine::resume(this, handle, 40 as *mut u8), Ok(Progress::Finished)));
        assert_eq!(shared.numbers, [11, 22, 33, 40]);
        assert_eq!((*this).status(), Status::Idle);
    }
}

#[test]
fn a_handle_is_good_for_one_resume() {
    let (mut coroutine, mut other) = (coroutine(), coroutine());
    let this: *mut Coroutine = &mut *coroutine;
    let mut shared = Shared { coroutine: this, numbers: Vec::new(), rounds: 1 };
    let data = (&raw mut shared).cast();
    // SAFETY: as above.
    unsafe {
        let first = Coroutine::start(this, count, data).expect("it is idle");
        let second = suspended(Coroutine::resume(this, first, data));
        assert_eq!(
            Coroutine::resume(this, first, data).expect_err("it was used").to_string(),
            "a stale coroutine handle: its revision is 1, the coroutine's is 2"
        );
        let of_another = Coroutine::resume(&mut *other, second, data);
        assert!(matches!(of_another, Err(ResumeError::OfAnother { .. })));
        assert!(matches!(Coroutine::resume(this, second, data), Ok(Progress::Finished)));
        assert!(matches!(Coroutine::resume(this, second, data), Err(ResumeError::Stale { .. })));
        // The stack is used again: no handle of its first life fits.
        let third = Coroutine::start(this, count, data).expect("it is idle again");
        assert!(matches!(Coroutine::resume(this, second, data), Err(ResumeError::Stale { .. })));
        suspended(Coroutine::resume(this, third, data));
    }
}

/// Resumes itself, with the handle that its test has left in the numbers: refused, since it runs.
unsafe fn resume_itself(data: *mut u8, _: *mut u8) {
    let shared: *mut Shared = data.cast();
    // SAFETY: as in `count`.
    unsafe {
        let this = (*shared).coroutine;
        let is_refused =
            matches!(Coroutine::start(this, count, data), Err(ResumeError::Wrong(Status::Running)));
        (*shared).numbers.push(is_refused as u64);
    }
}

#[test]
fn a_running_one_is_not_started_again() {
    let mut coroutine = coroutine();
    let this: *mut Coroutine = &mut *coroutine;
    let mut shared = Shared { coroutine: this, numbers: Vec::new(), rounds: 0 };
    let data = (&raw mut shared).cast();
    // SAFETY: as above.
    unsafe {
        let handle = Coroutine::start(this, resume_itself, data).expect("it is idle");
        assert!(matches!(Coroutine::resume(this, handle, data), Ok(Progress::Finished)));
    }
    assert_eq!(shared.numbers, [1]);
}

/// Recursion as compiled code does it: it looks at the limit before each frame.
#[inline(never)]
fn recurse(limit: usize, depth: u64) -> Result<u64, u64> {
    let frame = black_box([depth; 16]);
    if (&raw const frame as usize) < limit {
        return Err(depth);
    }
    let deeper = recurse(limit, depth + 1)?;
    Ok(black_box(frame)[3] + deeper)
}

unsafe fn recurse_without_end(data: *mut u8, _: *mut u8) {
    let shared: *mut Shared = data.cast();
    // SAFETY: as in `count`.
    unsafe {
        let limit = (*(*shared).coroutine).stack().limit(64 << 10);
        (*shared).numbers.push(recurse(limit, 0).expect_err("recursion has no other end"));
    }
}

#[test]
fn a_full_stack_is_found_before_the_guard_page() {
    let mut coroutine = coroutine();
    let this: *mut Coroutine = &mut *coroutine;
    let mut shared = Shared { coroutine: this, numbers: Vec::new(), rounds: 0 };
    // SAFETY: as above.
    unsafe {
        for _ in 0..2 {
            let handle =
                Coroutine::start(this, recurse_without_end, (&raw mut shared).cast()).expect("it is idle");
            assert!(matches!(Coroutine::resume(this, handle, this.cast()), Ok(Progress::Finished)));
            (*this).stack_mut().trim(4096);
        }
    }
    // 192 KiB of frames of some hundred bytes, twice the same.
    assert!(shared.numbers[0] > 300, "{:?}", shared.numbers);
    assert_eq!(shared.numbers[0], shared.numbers[1]);
}

#[test]
fn a_suspended_one_can_be_dropped_or_started_again() {
    let mut shared = Shared { coroutine: std::ptr::null_mut(), numbers: Vec::new(), rounds: 2 };
    for _ in 0..100 {
        let mut coroutine = coroutine();
        let this: *mut Coroutine = &mut *coroutine;
        shared.coroutine = this;
        let data = (&raw mut shared).cast();
        // SAFETY: as above; `count` has nothing to drop.
        unsafe {
            for _ in 0..2 {
                let handle = Coroutine::start(this, count, data).expect("it does not run");
                suspended(Coroutine::resume(this, handle, std::ptr::null_mut()));
            }
        }
    }
    assert_eq!(shared.numbers, [1; 200]);
}

unsafe fn fail(_: *mut u8, _: *mut u8) {
    panic!("in the body");
}

#[test]
fn a_panic_comes_out_where_it_was_resumed() {
    let mut coroutine = coroutine();
    let this: *mut Coroutine = &mut *coroutine;
    // SAFETY: as above.
    unsafe {
        let handle = Coroutine::start(this, fail, std::ptr::null_mut()).expect("it is idle");
        match Coroutine::resume(this, handle, std::ptr::null_mut()) {
            Ok(Progress::Panicked(payload)) => {
                assert_eq!(payload.downcast_ref::<&str>(), Some(&"in the body"));
            }
            other => panic!("expected a panic, got {other:?}"),
        }
        assert_eq!((*this).status(), Status::Idle);
    }
}

#[test]
fn the_room_is_the_hosts() {
    let stack = NativeStack::map(SIZE).expect("there is memory for a stack");
    // SAFETY: inside the mapping.
    unsafe {
        stack.top().write_bytes(0xff, SIZE.room);
        stack.bottom().write_bytes(0xff, SIZE.native);
    }
    assert_eq!(stack.top() as usize - stack.bottom() as usize, SIZE.native);
    let huge = NativeStack::map(StackSize { native: 1 << 60, room: 0 });
    assert!(huge.expect_err("so much address space does not exist").to_string().contains("bytes:"));
}

/// What the two sides of calls that switch share. They find it where compiled code has its context.
struct Meeting {
    coroutine: *mut Coroutine,
    handle: Option<Handle>,
    /// For the next one to leave.
    message: *mut u8,
    /// Results that the body got, and operands of arrivals.
    results: Vec<u64>,
    arrivals: Vec<u64>,
}

/// What a call asks for, in the place of the slot.
const RESUME: *mut u8 = std::ptr::without_provenance_mut(1);
const YIELD: *mut u8 = std::ptr::without_provenance_mut(2);
const NEITHER: *mut u8 = std::ptr::without_provenance_mut(3);

struct TestHost;

impl Switching for TestHost {
    unsafe extern "C" fn leave(departure: *mut Departure, context: *mut Context, slot: *mut u8, count: u64) {
        // SAFETY: the context is the meeting.
        unsafe {
            let meeting = &mut *context.cast::<Meeting>();
            let link = match slot {
                RESUME => {
                    let handle = meeting.handle.take().expect("it is suspended");
                    Coroutine::depart(meeting.coroutine, handle).expect("it is suspended")
                }
                YIELD => {
                    let (handle, link) = Coroutine::park(meeting.coroutine);
                    meeting.handle = Some(handle);
                    link
                }
                _ => std::ptr::null_mut(),
            };
            let results = GuestResults { first: count, second: count + 1 };
            departure.write(Departure { link, message: meeting.message, results });
        }
    }
    unsafe extern "C" fn arrive(context: *mut Context, slot: *mut u8, count: u64) -> GuestResults {
        // SAFETY: as above.
        unsafe { (*context.cast::<Meeting>()).arrivals.push(count) };
        GuestResults { first: 1000 + count, second: slot as u64 }
    }
    unsafe extern "C" fn decline(_: *mut Context, slot: *mut u8, count: u64) -> GuestResults {
        GuestResults { first: 2000 + count, second: slot as u64 }
    }
}

/// Yields 100, 101, 102.
unsafe fn yield_thrice(data: *mut u8, _: *mut u8) {
    for count in 100..103 {
        // SAFETY: the meeting is there as long as the body.
        unsafe {
            let results = call::<TestHost>(data.cast(), YIELD, count);
            (*data.cast::<Meeting>()).results.extend([results.first, results.second]);
        }
    }
}

#[test]
fn compiled_code_gets_results_or_a_message() {
    let mut coroutine = coroutine();
    let this: *mut Coroutine = &mut *coroutine;
    let nothing = std::ptr::null_mut();
    let mut meeting = Meeting {
        coroutine: this,
        handle: None,
        message: nothing,
        results: Vec::new(),
        arrivals: Vec::new(),
    };
    let context: *mut Context = (&raw mut meeting).cast();
    let meeting: *mut Meeting = context.cast();
    // SAFETY: as in the other tests; the meeting is used by way of its pointer.
    unsafe {
        (*meeting).handle = Some(Coroutine::start(this, yield_thrice, context.cast()).expect("it is idle"));
        let ask = |what, count| {
            let results = call::<TestHost>(context, what, count);
            (results.first, results.second)
        };
        assert_eq!(ask(RESUME, 10), (100, 101));
        // The one who leaves has put the results there: both ways.
        assert_eq!(ask(RESUME, 11), (101, 102));
        assert_eq!((*meeting).results, [11, 12]);
        assert_eq!((*meeting).arrivals, []);
        // A message: whoever gets it asks, with the operands of the call it waits in.
        (*meeting).message = this.cast();
        assert_eq!(ask(RESUME, 12), (1012, RESUME as u64));
        assert_eq!((*meeting).results, [11, 12, 1101, YIELD as u64]);
        assert_eq!((*meeting).arrivals, [101, 12]);
        // So does whoever waits when the body ends.
        (*meeting).message = nothing;
        assert_eq!(ask(RESUME, 13), (1013, RESUME as u64));
        assert_eq!(&(&(*meeting).results)[4..], &[13, 14]);
        assert!(matches!(Coroutine::progress(this), Progress::Finished));
        assert_eq!(ask(NEITHER, 14), (2014, NEITHER as u64));
    }
}
