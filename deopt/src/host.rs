//! What a host implements, so that compiled code can come back to it.
//!
//! The methods are called with the host that was given to [`Runloop::enter`], on its thread. A method may run guest code in
//! nested runloops, and enter compiled code again. A panic in one of them passes through: the compiled frames are given up, and
//! `enter` goes on panicking in the host function that called it. Only `commit_frames` must not panic: it stops the process.

use crate::context::Context;
use crate::rebuild::RebuildPlan;
use crate::runloop::{Runloop, RunloopState};
use crate::stubs::Status;
use std::panic::{AssertUnwindSafe, catch_unwind};
use surmise_ir::language::Encoding;

/// A guest error was raised. What it is stands in the host's own state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thrown;

/// The results of a guest call in machine form, see [`crate::context`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct GuestResults {
    /// What rax holds.
    pub first: u64,
    /// What rdx holds.
    pub second: u64,
}

impl GuestResults {
    /// Pair encoding: the first result (the absent value's tag if there is none), and the number of further ones (-1 if there is
    /// none at all).
    pub fn pair(tag: u32, payload: u64, further: i32) -> GuestResults {
        GuestResults { first: tag as u64 | (further as u32 as u64) << 32, second: payload }
    }
    /// Word encoding: the first result (the absent value if there is none), and the number of further ones.
    pub fn word(word: u64, further: i64) -> GuestResults {
        GuestResults { first: word, second: further as u64 }
    }
    /// How many results there are besides the first; -1 if there is none at all.
    pub fn further(self, encoding: Encoding) -> i64 {
        match encoding {
            Encoding::Pair => (self.first as i64) >> 32,
            Encoding::Word => self.second as i64,
        }
    }
    /// How many results there are.
    pub fn count(self, encoding: Encoding) -> u64 {
        (self.further(encoding) + 1) as u64
    }
    /// The first result.
    pub fn first(self, encoding: Encoding) -> crate::boxed::Boxed {
        match encoding {
            Encoding::Pair => crate::boxed::Boxed::pair(self.first & 0xffff_ffff, self.second),
            Encoding::Word => crate::boxed::Boxed::from_word(self.first),
        }
    }
}

/// Who goes on with rebuilt frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// The compiled frame was entered directly by a runloop: `enter` returns [`crate::runloop::Outcome::Resumed`], and that
    /// runloop goes on with the frames. At a loop entry it still has the interpreter frame of the outermost one.
    Entered,
    /// A compiled caller waits for the results: [`Host::resume`] follows.
    Called,
}

/// A host, as the runtime sees it.
pub trait Host: Sized {
    /// First step of rebuilding: everything that may fail or allocate. The collector may run: the plan's values are roots
    /// meanwhile, and the plan reads them as the collector left them.
    ///
    /// Room must be made for the frames on the host's stacks; nothing that guest code can see may change. An error (such as a
    /// stack overflow) ends the activation like an error thrown by the frame.
    fn allocate_frames(&mut self, runloop: &Runloop<Self>, plan: &RebuildPlan) -> Result<(), Thrown>;

    /// Second step: makes the frames, outermost to innermost. Can't fail, and neither collects nor runs guest code.
    fn commit_frames(&mut self, plan: &RebuildPlan, activation: Activation);

    /// Runs the frames that were committed last, in a nested runloop, until the outermost of them returns, and gives its results.
    /// As after a call, all results but a single one stand in the window, from the callee's place on.
    fn resume(&mut self, runloop: &Runloop<Self>) -> Result<GuestResults, Thrown>;

    /// Compiled code calls a unit that has no code: `window` is where its first argument stands, its callee just below. Also
    /// where a host counts calls and chooses among several candidates.
    ///
    /// # Safety
    /// Called by the runtime alone: `window` lies in the guest stack of this runloop and holds that many arguments.
    unsafe fn call_unit(
        &mut self,
        runloop: &Runloop<Self>,
        window: *mut u8,
        argument_count: u64,
    ) -> Result<GuestResults, Thrown>;

    /// Somebody asked for this runloop: a safepoint. Collect, install, retire, reclaim, stop the program.
    fn poll(&mut self, runloop: &Runloop<Self>) -> Result<(), Thrown>;
}

/// The host's methods as plain functions, one constant for each type of host.
pub(crate) struct Glue {
    pub allocate_frames: unsafe fn(*mut Context, &RebuildPlan) -> Status,
    pub commit_frames: unsafe fn(*mut Context, &RebuildPlan, Activation),
    pub resume: unsafe fn(*mut Context, &mut GuestResults) -> Status,
    pub poll: unsafe fn(*mut Context) -> Status,
    pub call_unit: unsafe extern "C" fn(*mut Context, *mut u8, u64, *mut GuestResults) -> u64,
}

impl Glue {
    pub(crate) const fn of<H: Host>() -> &'static Glue {
        &Glue {
            allocate_frames: allocate_frames::<H>,
            commit_frames: commit_frames::<H>,
            resume: resume::<H>,
            poll: poll::<H>,
            call_unit: call_unit::<H>,
        }
    }
}

/// Runs a method of the host, with its panic kept in the runloop's state if there is one.
///
/// # Safety
/// `context` is of a live runloop registered for `H`, on this thread, inside `enter`: so its `host_state` is the host that
/// `enter` borrowed, and nothing else uses that borrow until the method returns.
unsafe fn with_host<H: Host, R>(
    context: *mut Context,
    method: impl FnOnce(&mut H, &Runloop<H>) -> Result<R, Thrown>,
) -> Result<R, Status> {
    // SAFETY: the function's contract.
    let (host, runloop) =
        unsafe { (&mut *(*context).host_state.cast::<H>(), Runloop::<H>::from_context(context)) };
    match catch_unwind(AssertUnwindSafe(|| method(host, &runloop))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Thrown)) => Err(Status::Thrown),
        Err(payload) => {
            // SAFETY: the runtime state lives as long as the context; no reference to it is held across host calls.
            unsafe { (*RunloopState::of(context)).panic = Some(payload) };
            Err(Status::Panicked)
        }
    }
}

unsafe fn allocate_frames<H: Host>(context: *mut Context, plan: &RebuildPlan) -> Status {
    // SAFETY: handed on.
    match unsafe { with_host::<H, _>(context, |host, runloop| host.allocate_frames(runloop, plan)) } {
        Ok(()) => Status::Returned,
        Err(status) => status,
    }
}

unsafe fn commit_frames<H: Host>(context: *mut Context, plan: &RebuildPlan, activation: Activation) {
    // SAFETY: as for `with_host`. A panic gets no further than the stub's `extern "C"` function, which aborts.
    unsafe { (*(*context).host_state.cast::<H>()).commit_frames(plan, activation) }
}

unsafe fn resume<H: Host>(context: *mut Context, results: &mut GuestResults) -> Status {
    // SAFETY: handed on.
    match unsafe { with_host::<H, _>(context, |host, runloop| host.resume(runloop)) } {
        Ok(values) => {
            *results = values;
            Status::Returned
        }
        Err(status) => status,
    }
}

unsafe fn poll<H: Host>(context: *mut Context) -> Status {
    // SAFETY: handed on.
    match unsafe { with_host::<H, _>(context, |host, runloop| host.poll(runloop)) } {
        Ok(()) => Status::Returned,
        Err(status) => status,
    }
}

unsafe extern "C" fn call_unit<H: Host>(
    context: *mut Context,
    window: *mut u8,
    argument_count: u64,
    results: *mut GuestResults,
) -> u64 {
    // SAFETY: handed on; the window is what compiled code passed, as `call_unit` asks.
    match unsafe {
        with_host::<H, _>(context, |host, runloop| host.call_unit(runloop, window, argument_count))
    } {
        Ok(values) => {
            // SAFETY: the stub's own two words.
            unsafe { *results = values };
            Status::Returned as u64
        }
        Err(status) => status as u64,
    }
}
