//! A line of execution: what of the state belongs to the coroutine that runs. Each coroutine has one in its fiber, at an address that it
//! keeps, and the main one's is the state's. The state knows the one that runs: to switch is to store a pointer.
//!
//! ```text
//!                 the state's line    resumer of A    resumer of B
//! main runs       main                                                A and B are suspended
//! main resumes A  A                   main                            A is running, main is normal
//! A resumes B     B                   main            A               B is running, A is normal
//! B yields        A                   main
//! ```
//!
//! Who leaves a stack does all that has to be done before somebody else runs ([`State::go_to`], [`State::park`]): those who wait have
//! nothing to put right.

use std::ops::{Deref, DerefMut};
use std::ptr::{NonNull, null_mut};

use surmise::deopt::runloop::{Runloop as CompiledRunloop, RunloopGuard};
use surmise::deopt::stacks::{Coroutine as Stack, Link};
use surmise::deopt::stop::loud_stop;

use super::fiber::Fiber;
use super::of;
use crate::heap::RELOAD_ONLY;
use crate::hooks::Hooks;
use crate::object::{Header, Thread};
use crate::stack::{Frame, Runloop};
use crate::state::State;
use crate::value::Value;

/// How a line that does not run waits for its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// In a Rust function, which takes them itself; or it has not begun.
    InRust,
    /// In a call of `coroutine.yield` by compiled code: they are its results.
    InYield,
    /// In such a call of `coroutine.resume`: they are its results, behind `true`.
    InResume,
    /// In such a call of what `coroutine.wrap` returns: they are its results.
    InWrapped,
}

/// See the module comment.
pub struct Line {
    /// Value stack, frames, handlers, to-be-closed variables.
    pub runloop: Runloop,
    /// Who resumed it; null for the main one, and as long as it is suspended or dead.
    pub resumer: *mut Line,
    /// How it waits, while it does.
    pub wait: Wait,
    /// How many resumes it is away from the main one, while it runs or has resumed another.
    pub depth: u32,
    /// Its coroutine's object.
    pub thread: *mut Thread,
    /// Its stacks; null for the main one.
    pub fiber: *mut Fiber,
    /// Values that Rust code holds across collections.
    pub pins: Vec<Value>,
    /// Native stack addresses below this are reserved for what runs on top of compiled code.
    pub native_limit: usize,
    /// The registration, once compiled code was entered.
    pub guard: Option<RunloopGuard<State>>,
    /// The hook of `debug.sethook`.
    pub hooks: Hooks,
    /// Flags for the frame that a compiled frame entered by the interpreter turns into, should it be rebuilt.
    pub entered_flags: u32,
    /// The outermost of the frames that were rebuilt last.
    pub rebuilt: *mut Frame,
}

impl Line {
    /// One that has not begun.
    pub fn new(runloop: Runloop, native_limit: usize) -> Line {
        Line {
            runloop,
            resumer: null_mut(),
            wait: Wait::InRust,
            depth: 0,
            thread: null_mut(),
            fiber: null_mut(),
            pins: Vec::new(),
            native_limit,
            guard: None,
            hooks: Hooks::default(),
            entered_flags: 0,
            rebuilt: null_mut(),
        }
    }

    /// A suspended coroutine becomes one that this line has resumed. Returns where it is.
    ///
    /// # Safety
    /// The line runs. The fiber's coroutine is suspended, and is alive.
    #[inline(always)]
    pub unsafe fn depart(line: *mut Line, fiber: *mut Fiber) -> *mut Link {
        // SAFETY: the function's contract.
        unsafe {
            (*fiber).line.resumer = line;
            (*fiber).line.depth = (*line).depth + 1;
            let Some(handle) = (*fiber).handle else {
                loud_stop(format_args!("a coroutine is resumed that does not wait for it"))
            };
            match Stack::depart(&raw mut (*fiber).stack, handle) {
                Ok(link) => link,
                Err(error) => loud_stop(format_args!("a coroutine is lost: {error}")),
            }
        }
    }

    /// A coroutine is suspended. Returns where who resumed it is.
    ///
    /// # Safety
    /// The line runs, and is not the main one.
    #[inline(always)]
    pub unsafe fn park(line: *mut Line) -> *mut Link {
        // SAFETY: a coroutine that runs has its fiber.
        unsafe {
            (*line).resumer = null_mut();
            let fiber = (*line).fiber;
            let (handle, link) = Stack::park(&raw mut (*fiber).stack);
            (*fiber).handle = Some(handle);
            link
        }
    }

    /// Tells compiled code where windows may end, if there is any.
    #[inline]
    pub fn follow_limit(&self) {
        if let Some(guard) = &self.guard {
            guard.set_limits(self.runloop.limit.cast(), self.native_limit);
        }
    }
}

impl Deref for Line {
    type Target = Runloop;
    #[inline(always)]
    fn deref(&self) -> &Runloop {
        &self.runloop
    }
}
impl DerefMut for Line {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Runloop {
        &mut self.runloop
    }
}

/// The line that runs.
pub struct Running(NonNull<Line>);

impl Running {
    /// Its address.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut Line {
        self.0.as_ptr()
    }
    /// Another one runs.
    ///
    /// # Safety
    /// It is alive for as long as it is the running one.
    #[inline(always)]
    pub unsafe fn set(&mut self, line: *mut Line) {
        // SAFETY: what is alive has an address.
        self.0 = unsafe { NonNull::new_unchecked(line) };
    }
}

impl Deref for Running {
    type Target = Line;
    #[inline(always)]
    fn deref(&self) -> &Line {
        // SAFETY: the running line is alive (`set`), and by way of the state alone it is reached.
        unsafe { self.0.as_ref() }
    }
}
impl DerefMut for Running {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Line {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}

/// The main line, which lives as long as the state.
pub struct MainLine(NonNull<Line>);

impl MainLine {
    /// A fresh one.
    pub fn new() -> MainLine {
        MainLine(NonNull::from(Box::leak(Box::new(Line::new(Runloop::new(), 0)))))
    }
    /// Its address.
    pub fn as_ptr(&self) -> *mut Line {
        self.0.as_ptr()
    }
    /// Gives it its registration.
    pub fn set_guard(&mut self, guard: RunloopGuard<State>) {
        // SAFETY: the line is alive, and used by way of the state alone, which this is a part of.
        unsafe {
            (*self.as_ptr()).guard = Some(guard);
            (*self.as_ptr()).follow_limit();
        }
    }
    /// It runs.
    pub fn running(&self) -> Running {
        Running(self.0)
    }
}

impl Default for MainLine {
    fn default() -> Self {
        MainLine::new()
    }
}

impl Drop for MainLine {
    fn drop(&mut self) {
        // SAFETY: made from a box by `new`, and given back once.
        drop(unsafe { Box::from_raw(self.as_ptr()) });
    }
}

impl State {
    /// The registration of the running line: compiled code is to be entered.
    #[inline(always)]
    pub fn registered(&mut self) -> &RunloopGuard<State> {
        if self.runloop.guard.is_none() {
            self.register();
        }
        match &self.runloop.guard {
            Some(guard) => guard,
            None => loud_stop(format_args!("compiled code is entered, but Surmise is not plugged in")),
        }
    }

    #[cold]
    fn register(&mut self) {
        let Some(connection) = &self.surmise else { return };
        // It could be made for the main line, when the connection was.
        let Ok(guard) = CompiledRunloop::register(connection.plug.isolate()) else { return };
        if let Some(every) = connection.plug.config().deopt_every {
            guard.set_forced_failure_countdown(every);
        }
        self.runloop.guard = Some(guard);
        self.runloop.follow_limit();
    }

    /// A suspended coroutine becomes the running one. Returns where it is.
    ///
    /// # Safety
    /// As for [`Line::depart`]; it is gone to at once.
    #[inline(always)]
    pub unsafe fn go_to(&mut self, fiber: *mut Fiber) -> *mut Link {
        // SAFETY: handed on; the fiber is alive: its object is, which is an argument of the running function.
        unsafe {
            let link = Line::depart(self.runloop.as_ptr(), fiber);
            self.run(&raw mut (*fiber).line);
            link
        }
    }

    /// The running coroutine is suspended, and who resumed it runs. Returns where that is.
    ///
    /// # Safety
    /// It is not the main one; the stack is left at once.
    #[inline(always)]
    pub unsafe fn park(&mut self) -> *mut Link {
        // SAFETY: handed on; who resumed a coroutine is alive, in a call of `resume`.
        unsafe {
            let line = self.runloop.as_ptr();
            let next = (*line).resumer;
            let link = Line::park(line);
            // Its stack was written without barriers.
            self.heap.barrier((*line).thread.cast::<Header>());
            self.run(next);
            link
        }
    }

    /// The running coroutine has ended, and who resumed it runs.
    ///
    /// # Safety
    /// As for [`State::park`].
    pub(super) unsafe fn end_line(&mut self) {
        // SAFETY: as in `park`.
        unsafe {
            let line = self.runloop.as_ptr();
            let next = std::mem::replace(&mut (*line).resumer, null_mut());
            self.heap.barrier((*line).thread.cast::<Header>());
            self.run(next);
        }
    }

    /// # Safety
    /// It is alive.
    #[inline(always)]
    unsafe fn run(&mut self, next: *mut Line) {
        // SAFETY: the function's contract.
        unsafe { self.runloop.set(next) };
        if let Some(connection) = &mut self.surmise {
            // Both the last logged instruction and the next one are of one frame, or nothing is known.
            connection.pending.forget();
        }
        if self.heap.requested != 0 || self.has_hooks {
            self.look_around();
        }
    }

    /// What this line has to know that others were told.
    #[cold]
    #[inline(never)]
    fn look_around(&mut self) {
        if self.has_hooks {
            self.choose_loop();
            if self.heap.requested == 0 {
                self.heap.requested = RELOAD_ONLY;
            }
        }
        // A collection was asked for: this one sees it at its next poll.
        if let Some(guard) = &self.runloop.guard {
            guard.request_poll();
        }
    }

    /// Looks at a coroutine's frames, as if its line of execution were the running one. It has none before its first resume and after
    /// its end.
    pub fn with_line_of<R>(
        &mut self,
        thread: *mut Thread,
        look: impl FnOnce(&mut State) -> R,
    ) -> Option<R> {
        let line = self.line_of(thread)?;
        let running = self.runloop.as_ptr();
        // SAFETY: both are alive, and nothing runs meanwhile.
        unsafe {
            self.runloop.set(line);
            let result = look(self);
            self.runloop.set(running);
            // It may have been given another hook.
            if line != running {
                self.choose_loop();
            }
            Some(result)
        }
    }

    /// Where the line of execution of a coroutine is.
    fn line_of(&self, thread: *mut Thread) -> Option<*mut Line> {
        if thread == self.coroutines.main {
            return Some(self.main_line.as_ptr());
        }
        // SAFETY: coroutine objects that are reachable are alive.
        unsafe { of(thread).fiber.as_mut().map(|fiber| &raw mut fiber.line) }
    }
}
