//! Runloops: activations of the host's interpreter loop, as far as compiled code is concerned.
//!
//! A runloop owns the context of one native stack. It is registered by a guard object; the isolate's registry is the only list of
//! activations. Runloops that nest on the same native stack (the host called by compiled code enters compiled code again) share
//! the context: each `enter` is an entry record in it.
//!
//! # Rules for functions that compiled code calls
//! * They run on the thread and native stack of the runloop, with its context as first argument; [`Runloop::from_context`] and
//!   [`Runloop::host`] make the host of it.
//! * One that can fail raises the error in the host's state and calls [`throw`], with nothing left to drop in its own frame. It
//!   is only called directly under the compiled frame: host functions further up return [`Thrown`] to it.
//! * One declared without effects (it neither allocates nor calls guest code) must not reach anything that walks frames:
//!   compiled code did not record where it was left.
//! * A panic must not leave it: [`guarded`] passes it to the function that entered compiled code.

use crate::context::Context;
use crate::deopt_all::presence::Presence;
use crate::deopt_all::{Visited, answer};
use crate::events::{DeoptEvent, EventRing};
use crate::frames::{FrameWalk, RootWord};
use crate::host::{Glue, Host, Thrown};
use crate::isolate::{Isolate, Registered, visit_runloop};
use crate::portable::activation::{self, Activation};
use crate::rebuild::RebuildStack;
use crate::stop::loud_stop;
use crate::stubs::{self, Status};
use crate::sync::{Mutex, PoisonError};
use std::any::Any;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use thiserror::Error;

/// How an activation of compiled code ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With results in machine form.
    Returned([u64; 2]),
    /// The frame that was entered goes on in the interpreter: the host committed its frames.
    Resumed,
    /// With a guest error, in the host's state.
    Thrown,
}

/// The runtime's side of a context.
pub(crate) struct RunloopState {
    pub isolate: Arc<Isolate>,
    /// Its place in the isolate's registry; changed under the registry's lock.
    pub place: usize,
    pub glue: &'static Glue,
    pub rebuilds: RebuildStack,
    /// A host function's panic on its way through compiled frames.
    pub panic: Option<Box<dyn Any + Send>>,
    pub events: EventRing,
    /// Its thread, whose own it is to visit while that is not away.
    pub presence: Arc<Presence>,
    /// What visits have left.
    pub visited: Mutex<Visited>,
    /// How many regions of native code the thread is in by way of this runloop.
    pub away_depth: u32,
    /// After how many guards one fails on purpose; 0: never.
    pub forced_failures: u32,
}

impl RunloopState {
    /// The state of a context.
    ///
    /// # Safety
    /// The context is a registered runloop's.
    pub(crate) unsafe fn of(context: *const Context) -> *mut RunloopState {
        // SAFETY: set at registration, never changed.
        unsafe { (*context).runtime.cast() }
    }
}

/// A runloop of a host of type `H`. Can't be copied: who has one by reference has it while it is alive.
#[repr(transparent)]
pub struct Runloop<H> {
    context: NonNull<Context>,
    host: PhantomData<fn(&mut H)>,
}

/// The registration of a runloop; it ends when this is dropped.
pub struct RunloopGuard<H> {
    runloop: Runloop<H>,
}

/// Why a runloop can't be registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RegisterError {
    /// There is no native code on this target: entry code, which the portable backend has too, can't run.
    #[error("native code is not supported on this target")]
    Unsupported,
}

impl<H: Host> Runloop<H> {
    /// Registers a runloop of the isolate on this thread and native stack.
    pub fn register(isolate: &Arc<Isolate>) -> Result<RunloopGuard<H>, RegisterError> {
        if !crate::supported() {
            return Err(RegisterError::Unsupported);
        }
        // Asked for once here, so that walks and exits find the answer.
        stubs::enter_return_address();
        let glue = Glue::of::<H>();
        let state = RunloopState {
            isolate: isolate.clone(),
            place: 0,
            glue,
            rebuilds: RebuildStack::default(),
            panic: None,
            events: EventRing::default(),
            presence: isolate.protocol.presence(),
            visited: Mutex::default(),
            away_depth: 0,
            forced_failures: 0,
        };
        let context = Box::new(Context {
            poll: AtomicU32::new(0),
            forced_failure_countdown: 0,
            exit_frame_pointer: 0,
            exit_stack_pointer: 0,
            effective_slots: isolate.effective_slots().address(),
            externs: isolate.externs(),
            host_state: null_mut(),
            window_limit: null_mut(),
            native_limit: 0,
            entry_record: null_mut(),
            guard_exit: stubs::guard_exit as *const u8,
            landing_exit: stubs::landing_exit as *const u8,
            poll_stub: stubs::poll_stub as *const u8,
            runtime: Box::into_raw(Box::new(state)).cast(),
            portable_step: stubs::portable_step as *const u8,
            activations: null_mut(),
            exit_results: [0; 2],
            call_unit: glue.call_unit as *const u8,
        });
        // SAFETY: a box's pointer is not null.
        let context = unsafe { NonNull::new_unchecked(Box::into_raw(context)) };
        let mut runloops = isolate.runloops();
        // SAFETY: the state was made just now, and is not shared yet.
        unsafe { (*RunloopState::of(context.as_ptr())).place = runloops.len() };
        runloops.push(Registered { context });
        drop(runloops);
        Ok(RunloopGuard { runloop: Runloop { context, host: PhantomData } })
    }

    /// The runloop of a context that compiled code passed to a function of the host.
    ///
    /// # Safety
    /// The context is of a runloop registered for `H`, on this thread, and what is returned is not used after its guard is gone.
    pub unsafe fn from_context(context: *mut Context) -> Runloop<H> {
        // SAFETY: contexts are never null.
        Runloop { context: unsafe { NonNull::new_unchecked(context) }, host: PhantomData }
    }
    /// A second name for the runloop, for hosts that keep the guard inside of themselves and have to lend themselves to `enter`.
    ///
    /// # Safety
    /// It is not used after the guard is gone.
    pub unsafe fn alias(&self) -> Runloop<H> {
        Runloop { context: self.context, host: PhantomData }
    }
    /// The host that the innermost `enter` borrowed, for functions that compiled code calls.
    ///
    /// # Safety
    /// Called in a function that compiled code called, once, with the context that it passed; the reference is not used after
    /// that function has returned or thrown.
    pub unsafe fn host<'a>(context: *mut Context) -> &'a mut H {
        // SAFETY: `enter` put it there and lent it to the compiled code, which lends it to its callee (the function's contract).
        unsafe { &mut *(*context).host_state.cast() }
    }

    /// The context.
    pub fn context(&self) -> *mut Context {
        self.context.as_ptr()
    }
    fn state(&self) -> *mut RunloopState {
        // SAFETY: a live runloop has a registered context.
        unsafe { RunloopState::of(self.context()) }
    }
    /// The isolate.
    pub fn isolate(&self) -> &Arc<Isolate> {
        // SAFETY: the isolate of a state is never replaced, and no exclusive reference to the whole state is ever made.
        unsafe { &(*self.state()).isolate }
    }
    /// Sets the ends of the guest stack and of the native stack, which compiled code tests before it makes a frame.
    pub fn set_limits(&self, window_limit: *mut u8, native_limit: usize) {
        // SAFETY: only this thread reads and writes these fields, and compiled code is not running now.
        unsafe {
            (*self.context()).window_limit = window_limit;
            (*self.context()).native_limit = native_limit;
        }
    }
    /// Sets after how many guards compiled code fails one on purpose (0: never).
    pub fn set_forced_failure_countdown(&self, guards: u32) {
        // SAFETY: as in `set_limits`.
        unsafe {
            (*self.context()).forced_failure_countdown = guards;
            (*self.state()).forced_failures = guards;
        }
    }
    /// Gives up all compiled frames of the runloop, and what is remembered of them: its native stack is abandoned.
    ///
    /// # Safety
    /// The runloop's native stack is not the one that this is called on, and nothing on it runs again.
    pub unsafe fn abandon(&self) {
        if self.is_active() {
            let map = self.isolate().space().map().snapshot();
            // SAFETY: the stack stands still at a safepoint, or it could not be left; it is not used after this walk.
            unsafe {
                for frame in FrameWalk::new(self.context(), &map) {
                    if frame.candidate.is_portable() {
                        activation::give_up(frame.frame_pointer);
                    }
                }
            }
        }
        // SAFETY: only this thread uses these parts; no frame is left that would (the function's contract).
        unsafe {
            let context = self.context();
            (*context).entry_record = null_mut();
            (*context).exit_frame_pointer = 0;
            (*context).exit_stack_pointer = 0;
            (*context).activations = null_mut();
            (*self.state()).rebuilds.abandon();
            for _ in 0..std::mem::take(&mut (*self.state()).away_depth) {
                (*self.state()).presence.come_back();
            }
        }
    }
    /// Whether compiled frames are on this runloop's stack.
    pub fn is_active(&self) -> bool {
        // SAFETY: only this thread writes the field.
        unsafe { !(*self.context()).entry_record.is_null() }
    }
    /// The last deopts, oldest first.
    pub fn events(&self) -> Vec<DeoptEvent> {
        // SAFETY: events are pushed on this thread alone, not during this call.
        unsafe { (*self.state()).events.iter().copied().collect() }
    }
    /// How many frames are being rebuilt right now (between allocation and commit).
    pub fn rebuilds_in_progress(&self) -> usize {
        // SAFETY: changed on this thread alone, not during this call.
        unsafe { (*self.state()).rebuilds.depth() }
    }
    /// Asks the runloop to poll at its next safepoint. From other threads: [`Isolate::request_poll`].
    pub fn request_poll(&self) {
        // SAFETY: an atomic of a live context.
        unsafe { (*self.context()).poll.store(1, Ordering::Release) };
    }

    /// Runs compiled code: a candidate's entry point, or the content of an entry cell.
    ///
    /// # Safety
    /// * `code` was read from an entry cell or from [`crate::isolate::UnitEntries`] of this runloop's isolate, with no safepoint
    ///   since;
    /// * `window` is where the frame's first register stands on the guest stack, with the callee below it, as many arguments as
    ///   `argument_count` says (for a loop entry: all live registers) in it, and room for the candidate's window.
    pub unsafe fn enter(
        &self,
        host: &mut H,
        code: *const u8,
        window: *mut u8,
        argument_count: u64,
    ) -> Outcome {
        let context = self.context();
        // SAFETY: the state is alive; the presence is made for sharing.
        let presence = unsafe { &(*self.state()).presence };
        if !presence.is_mine() {
            loud_stop(format_args!(
                "compiled code is entered on another thread than its runloop was registered on"
            ));
        }
        if presence.handshake.is_away() {
            loud_stop(format_args!(
                "compiled code is entered by a runloop whose thread is away in native code"
            ));
        }
        let mut results = [0; 2];
        // SAFETY: the context is alive and on this thread; the rest is the function's contract. The host is lent to compiled code
        // for exactly the time of the call: each nested function makes its reference from this pointer.
        let status = unsafe {
            let outer = std::mem::replace(&mut (*context).host_state, (&raw mut *host).cast());
            let activations = std::mem::replace(&mut (*context).activations, null_mut());
            let status = stubs::enter(context, code, window, argument_count, &raw mut results);
            Activation::give_up_all(context);
            (*context).activations = activations;
            (*context).host_state = outer;
            status
        };
        const RETURNED: u64 = Status::Returned as u64;
        const RESUMED: u64 = Status::Resumed as u64;
        const THROWN: u64 = Status::Thrown as u64;
        match status {
            RETURNED => Outcome::Returned(results),
            RESUMED => Outcome::Resumed,
            THROWN => Outcome::Thrown,
            // SAFETY: the state is alive and not borrowed.
            _ => match unsafe { (*self.state()).panic.take() } {
                Some(payload) => resume_unwind(payload),
                None => loud_stop(format_args!("compiled code was left with the unknown status {status}")),
            },
        }
    }

    /// Whether somebody has asked for this runloop and it has not polled since.
    #[inline]
    pub fn is_polled(&self) -> bool {
        // SAFETY: an atomic of a live context.
        unsafe { (*self.context()).poll.load(Ordering::Relaxed) != 0 }
    }
    /// Takes the request back, for a runloop that polls outside of compiled code, at a safepoint. Returns whether there was one. A
    /// deoptimization of everything that waits for this thread is answered.
    pub fn take_poll(&self) -> bool {
        // SAFETY: an atomic of a live context. Acquire: what the asker wrote before is seen.
        let is_polled = unsafe { (*self.context()).poll.swap(0, Ordering::Acquire) != 0 };
        if is_polled {
            // SAFETY: the runloop is on this thread; a runloop that polls outside of compiled code is at a safepoint.
            unsafe { answer(self.context()) };
        }
        is_polled
    }

    /// The thread goes into native code for a while: until [`Runloop::come_back`] it runs no guest code and touches neither frames nor
    /// guest heap. Deoptimizations of everything don't wait for it, nor for its other runloops: those of coroutines that are parked.
    /// Regions may nest.
    ///
    /// # Safety
    /// The runloop is at a safepoint on this thread: outside of compiled code, or in a function that compiled code called and that
    /// was declared to run guest code.
    #[inline]
    pub unsafe fn leave(&self) {
        let state = self.state();
        // SAFETY: only this thread uses the field; the handshake is made for sharing.
        unsafe {
            (*state).away_depth += 1;
            (*state).presence.leave();
        }
    }
    /// Ends the innermost region of native code. Waits if somebody is visiting the runloop's frames.
    #[inline]
    pub fn come_back(&self) {
        let state = self.state();
        // SAFETY: as in `leave`.
        unsafe {
            if (*state).away_depth == 0 {
                loud_stop(format_args!("a runloop comes back from native code that it did not go into"));
            }
            (*state).away_depth -= 1;
            (*state).presence.come_back();
        }
    }
    /// End of the window of the newest compiled frame on the guest stack; null if there is none.
    ///
    /// # Safety
    /// The runloop is at a safepoint: in a function that compiled code called, on this thread.
    pub unsafe fn window_end(&self) -> *mut u8 {
        let map = self.isolate().space().map().snapshot();
        // SAFETY: handed on.
        let newest = unsafe { FrameWalk::new(self.context(), &map) }.next();
        newest.map_or(null_mut(), |frame| {
            let bytes =
                frame.candidate.window_size as usize * frame.candidate.language.encoding.size() as usize;
            // SAFETY: the walk met the frame just now.
            unsafe { frame.window() }.wrapping_add(bytes)
        })
    }

    /// Makes the newest compiled frame go on in the interpreter after the safepoint at which it is, a poll or a call that may run guest
    /// code: for what only the interpreter can do there. Its candidate stays what it is. Returns whether there is such a frame.
    ///
    /// # Safety
    /// As for [`Self::window_end`].
    pub unsafe fn leave_newest_frame(&self) -> bool {
        let map = self.isolate().space().map().snapshot();
        // SAFETY: a live runloop's state; the field is made for sharing.
        let visited = unsafe { &(*self.state()).visited };
        visited.lock().unwrap_or_else(PoisonError::into_inner).forget_settled();
        // SAFETY: handed on.
        unsafe { crate::deopt_all::redirect_newest(self.context(), &map) }
    }

    /// Reports the collector-managed values of this runloop alone: its compiled frames, and frames being rebuilt.
    /// [`Isolate::visit_roots`] reports those of all runloops, and the slots.
    ///
    /// # Safety
    /// As for [`Isolate::visit_roots`].
    pub unsafe fn visit_roots(&self, visit: &mut dyn FnMut(RootWord<'_>)) {
        let map = self.isolate().space().map().snapshot();
        // SAFETY: handed on.
        unsafe { visit_runloop(self.context(), &map, visit) };
    }
}

impl<H> Deref for RunloopGuard<H> {
    type Target = Runloop<H>;
    fn deref(&self) -> &Runloop<H> {
        &self.runloop
    }
}

impl<H> Drop for RunloopGuard<H> {
    fn drop(&mut self) {
        let context = self.runloop.context.as_ptr();
        // SAFETY: the guard's own context, made from boxes at registration and freed only here; nobody finds it any more once it
        // is out of the registry.
        unsafe {
            if !(*context).entry_record.is_null() {
                loud_stop(format_args!("a runloop is dropped while compiled frames are on its stack"));
            }
            let state = Box::from_raw(RunloopState::of(context));
            let mut runloops = state.isolate.runloops();
            runloops.swap_remove(state.place);
            if let Some(moved) = runloops.get(state.place) {
                (*RunloopState::of(moved.context.as_ptr())).place = state.place;
            }
            drop(runloops);
            drop(Box::from_raw(context));
        }
    }
}

/// Leaves all compiled frames of the newest activation with a guest error, which the host's state holds: its `enter` returns
/// [`Outcome::Thrown`].
///
/// # Safety
/// Called by a function that compiled code called directly, with the context that it passed; that function has nothing left to
/// drop.
pub unsafe fn throw(context: *mut Context) -> ! {
    // SAFETY: handed on.
    unsafe { leave(context, Status::Thrown) }
}

/// # Safety
/// As for [`throw`].
unsafe fn leave(context: *mut Context, status: Status) -> ! {
    // SAFETY: the context is alive.
    if unsafe { (*context).entry_record.is_null() } {
        loud_stop(format_args!("compiled code is left ({status:?}), but none is active on this runloop"));
    }
    // SAFETY: there is an entry record; the frames above it are compiled ones, stubs, and the caller's, which has nothing to drop.
    unsafe { stubs::leave(context, status as u64) }
}

/// The body of a host function that compiled code calls: an error becomes [`throw`], a panic goes on in the host function that
/// entered compiled code.
///
/// # Safety
/// As for [`throw`]: everything that has to be dropped belongs to the closure.
pub unsafe fn guarded<R: Copy>(context: *mut Context, body: impl FnOnce() -> Result<R, Thrown>) -> R {
    let status = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(Thrown)) => Status::Thrown,
        Err(payload) => {
            // SAFETY: a registered context's state; not borrowed now.
            unsafe { (*RunloopState::of(context)).panic = Some(payload) };
            Status::Panicked
        }
    };
    // SAFETY: the closure is gone, and with it all that had to be dropped; the rest is the function's contract.
    unsafe { leave(context, status) }
}
