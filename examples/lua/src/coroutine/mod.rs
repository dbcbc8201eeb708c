//! Coroutines: each runs on a native stack of its own, with a value stack, frame records, handlers and to-be-closed variables of its
//! own, and with a runloop of its own as far as compiled code is concerned.
//!
//! | file | what it does |
//! |---|---|
//! | here | the coroutine object; resuming, yielding, closing |
//! | [`line`](mod@line) | what belongs to a line of execution; going from one to another |
//! | [`fiber`] | stacks: made, kept for the next coroutine, given up |
//! | [`roots`] | what coroutines show to the collector |
//!
//! To resume is to make the coroutine's line of execution the running one, and to switch the native stack. Values go
//! from value stack to value stack: arguments become the results of the `yield` in which the coroutine waits, whose arguments become
//! the results of the `resume`. Between compiled code and compiled code the one who leaves puts them there
//! (`surmise/externs/switching.rs`); else who arrives takes them.
//!
//! Interpreter and compiled frames of a coroutine stand on its native stack like those of a program on its own. A yield would work
//! across everything; what PUC Lua refuses is refused here as well: a native function that called back, unless it is one of those
//! that can go on ([`FRAME_YIELDABLE`]). So nothing stands on the stack of a suspended coroutine that
//! has to be dropped, and one that nobody can resume any more is freed with it. For the same reason a run loop that an embedder
//! starts in a native function is a barrier.

pub mod fiber;
pub mod line;
pub mod roots;

use std::any::Any;
use std::rc::Rc;

use surmise::deopt::stacks::{Coroutine as Stack, Progress, switch};
use surmise::deopt::stop::loud_stop;

use crate::hooks::Mask;
use crate::object::Thread;
use crate::roots::Collection;
use crate::stack::{FRAME_YIELDABLE, NATIVE_SLOTS};
use crate::state::{Call, State, Throw};
use crate::value::Value;
use fiber::{Fiber, Pool};
use line::Wait;

/// How deeply coroutines may resume coroutines. PUC counts a resume as a native call, of which it allows 200.
pub const RESUME_DEPTH: u32 = 196;

/// What a coroutine is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It can be resumed.
    Suspended,
    /// It is what runs.
    Running,
    /// It has resumed another one.
    Normal,
    /// It has ended.
    Dead,
}

impl Status {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Status::Suspended => "suspended",
            Status::Running => "running",
            Status::Normal => "normal",
            Status::Dead => "dead",
        }
    }
}

/// What a coroutine object owns.
pub struct Coroutine {
    /// It has ended, or its closing has begun.
    is_dead: bool,
    /// Before it runs for the first time: its function.
    function: Value,
    /// The error that has ended it, until it is closed.
    error: Option<Value>,
    /// Its stacks, from its first resume on until it has ended. One that an error has ended keeps them: tracebacks are made from them,
    /// and there may be variables to be closed.
    fiber: Option<Box<Fiber>>,
    /// The hook that it had when it ended, which programs may still ask for.
    last_hook: Option<Box<(Value, Mask)>>,
    pool: Rc<Pool>,
}

/// The state's part.
pub struct Coroutines {
    /// The main coroutine, which is an object too.
    pub main: *mut Thread,
    /// The panic of a coroutine, on its way through those that resumed it.
    panic: Option<Box<dyn Any + Send>>,
    pool: Rc<Pool>,
}

/// Why a resume has no results.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// The coroutine panicked: [`State::go_on_panicking`].
    Panicked,
    /// It was refused, with this message; the coroutine is what it was.
    Refused(Value),
    /// The coroutine ended with this error.
    Failed(Value),
}

impl Coroutines {
    /// None yet.
    pub fn new() -> Coroutines {
        Coroutines { main: std::ptr::null_mut(), panic: None, pool: Rc::default() }
    }
}

impl Default for Coroutines {
    fn default() -> Self {
        Coroutines::new()
    }
}

/// What a coroutine object owns.
///
/// # Safety
/// The object is alive, and was made by this module, as all are that a program can have. No other reference to it is in use.
pub unsafe fn of<'a>(thread: *mut Thread) -> &'a mut Coroutine {
    // SAFETY: a thread's payload is a `Coroutine` and stays as long as the object lives.
    unsafe {
        let payload = (*thread).payload.as_mut().expect("a coroutine object owns one");
        &mut *(&raw mut **payload).cast::<Coroutine>()
    }
}

/// The stacks of a coroutine that waits in a `yield` which compiled code has called, as long as [`Wait::InYield`] says so: then it is
/// suspended and can be resumed at once.
///
/// # Safety
/// As for [`of`].
#[inline(always)]
pub unsafe fn quickly_resumed(thread: *mut Thread) -> Option<*mut Fiber> {
    // SAFETY: the function's contract.
    let fiber = unsafe { of(thread).fiber.as_mut() }?;
    (fiber.line.wait == Wait::InYield).then_some(&raw mut **fiber)
}

/// Copies values to another value stack, word by word: that is how they were stored just now, and a larger load would wait until they
/// are in the cache.
///
/// # Safety
/// So many stand there, and there is room for them; there are few.
#[inline(always)]
pub unsafe fn copy_words(from: *const Value, to: *mut Value, count: u32) {
    // SAFETY: the function's contract. Volatile: as it stands.
    unsafe {
        for i in 0..count as usize {
            let (from, to) = (from.add(i), to.add(i));
            (&raw mut (*to).tag).write_volatile((*from).tag);
            (&raw mut (*to).payload).write_volatile((*from).payload);
        }
    }
}

/// Copies values to another value stack.
///
/// # Safety
/// So many stand there, and there is room for them.
#[inline(always)]
unsafe fn copy_values(from: *const Value, to: *mut Value, count: u32) {
    // SAFETY: the function's contract.
    unsafe {
        if count as usize <= NATIVE_SLOTS {
            copy_words(from, to, count);
        } else {
            std::ptr::copy_nonoverlapping(from, to, count as usize);
        }
    }
}

/// A coroutine has ended, in whatever way, when this is dropped.
struct Ending(*mut State);

impl Drop for Ending {
    fn drop(&mut self) {
        // SAFETY: made by what runs on a coroutine's native stack; nobody else uses the state then.
        unsafe { (*self.0).end_line() }
    }
}

/// What runs on the native stack of a coroutine: its function is laid out on its value stack, with its arguments.
///
/// # Safety
/// `data` is the fiber that runs it, whose line is the running one.
unsafe fn run_function(data: *mut u8, _message: *mut u8) {
    // SAFETY: as the function says; the fiber is used by way of its pointer, since others have it while this waits.
    unsafe {
        let fiber = data.cast::<Fiber>();
        let _ending = Ending((*fiber).state);
        let state = &mut *(*fiber).state;
        let function = state.runloop.top();
        (*fiber).ended = Some(state.call_at(function, (*fiber).passed));
    }
}

/// What runs on the native stack of a coroutine that is closed: the variables that are pending.
///
/// # Safety
/// As for [`run_function`]; what it did before has been given up.
unsafe fn run_closing(data: *mut u8, _message: *mut u8) {
    // SAFETY: as in `run_function`.
    unsafe {
        let fiber = data.cast::<Fiber>();
        let _ending = Ending((*fiber).state);
        let state = &mut *(*fiber).state;
        let had_failed = state.error_handled;
        state.runloop.barriers += 1;
        let failed = state.close_pending(0);
        state.runloop.barriers -= 1;
        (*fiber).ended = Some(if failed || had_failed { Err(Throw) } else { Ok(0) });
    }
}

impl State {
    /// A new coroutine that will run a function.
    pub fn new_coroutine(&mut self, function: Value) -> *mut Thread {
        let pool = self.coroutines.pool.clone();
        let coroutine = Coroutine {
            is_dead: false,
            function,
            error: None,
            fiber: None,
            last_hook: None,
            pool,
        };
        self.heap.new_thread(Box::new(coroutine))
    }

    /// Makes the object of the main coroutine.
    pub fn make_main_coroutine(&mut self) {
        let main = self.new_coroutine(Value::NIL);
        self.coroutines.main = main;
        self.runloop.thread = main;
    }

    /// What a coroutine is doing.
    pub fn status_of(&self, thread: *mut Thread) -> Status {
        if thread == self.runloop.thread {
            return Status::Running;
        }
        // SAFETY: an argument is alive.
        let coroutine = unsafe { of(thread) };
        if thread == self.coroutines.main || coroutine.is_active() {
            Status::Normal
        } else if coroutine.is_dead {
            Status::Dead
        } else {
            Status::Suspended
        }
    }

    /// Whether the running coroutine can yield here.
    pub fn is_yieldable(&self) -> bool {
        !self.runloop.fiber.is_null() && self.runloop.barriers == 0
    }

    /// Whether a coroutine can yield where it is.
    pub fn is_coroutine_yieldable(&mut self, thread: *mut Thread) -> bool {
        thread != self.coroutines.main
            && self.with_line_of(thread, |state| state.runloop.barriers == 0).unwrap_or(true)
    }

    /// What the running native function calls from here on may yield: it can go on, and holds nothing that has to be dropped.
    pub fn allow_yields(&mut self) {
        // SAFETY: the current frame is the native's own.
        unsafe { (*self.runloop.frame).flags |= FRAME_YIELDABLE };
    }

    fn refuse(&mut self, message: &str) -> Failure {
        Failure::Refused(self.string_value(message.as_bytes()))
    }

    /// Runs a coroutine with `count` arguments until it yields or ends. Its values are copied to `results`; returns how many.
    /// May collect: the arguments are in the current frame's window.
    ///
    /// # Errors
    /// The message or error that `coroutine.resume` returns.
    ///
    /// It is part of whoever calls it, as the switch is: see [`surmise::deopt::stacks`].
    ///
    /// # Safety
    /// The arguments are there; `results` is in the current frame's window, and there is room for `NATIVE_SLOTS` values above it.
    #[inline(always)]
    pub unsafe fn resume(
        &mut self,
        thread: *mut Thread,
        arguments: *mut Value,
        count: u32,
        results: *mut Value,
    ) -> Result<u32, Failure> {
        // SAFETY: handed on; the state is given to the other side, which uses it until it comes back.
        unsafe {
            let fiber = self.hand_over(thread, arguments, count)?;
            self.runloop.wait = Wait::InRust;
            let link = self.go_to(fiber);
            let state: *mut State = self;
            switch(link, state.cast());
            self.take_over(thread, results)
        }
    }

    /// The first part of a [`State::resume`]: what the coroutine is given is on its value stack. Its fiber, for [`State::go_to`].
    ///
    /// # Errors
    /// Why it can't be resumed.
    ///
    /// # Safety
    /// As for [`State::resume`].
    #[inline(always)]
    pub unsafe fn hand_over(
        &mut self,
        thread: *mut Thread,
        arguments: *const Value,
        count: u32,
    ) -> Result<*mut Fiber, Failure> {
        // SAFETY: the object is alive: it is an argument or an upvalue of the running function. References to what it owns end before
        // other code runs.
        unsafe {
            let coroutine = of(thread);
            if coroutine.is_dead && !coroutine.is_active() {
                return Err(self.refuse("cannot resume dead coroutine"));
            }
            if coroutine.is_active() || thread == self.coroutines.main {
                return Err(self.refuse("cannot resume non-suspended coroutine"));
            }
            if self.runloop.depth >= RESUME_DEPTH {
                return Err(self.refuse("C stack overflow"));
            }
            let fiber: *mut Fiber = match &mut coroutine.fiber {
                Some(fiber) => &raw mut **fiber,
                None => self.give_fiber(thread)?,
            };
            let is_first = !of(thread).function.is_nil();
            // Behind the function, or in the function's slot of the `yield` that waits.
            let to = match is_first {
                true => (*fiber).line.top().add(1),
                false => (*fiber).line.results_of_native(),
            };
            if !(*fiber).line.has_room(to, count as usize) {
                return Err(self.refuse("too many arguments to resume"));
            }
            if is_first {
                to.sub(1).write(std::mem::replace(&mut of(thread).function, Value::NIL));
            }
            copy_values(arguments, to, count);
            (*fiber).passed = count;
            Ok(fiber)
        }
    }

    /// The last part of a [`State::resume`]: what the coroutine has given, or how it has ended.
    ///
    /// # Errors
    /// As of [`State::resume`].
    ///
    /// # Safety
    /// As for [`State::resume`]; the coroutine was gone to, and came back.
    #[inline(always)]
    pub unsafe fn take_over(&mut self, thread: *mut Thread, results: *mut Value) -> Result<u32, Failure> {
        // SAFETY: as in `hand_over`; its resumer alone can have made it end.
        unsafe {
            let Some(fiber) = &mut of(thread).fiber else {
                loud_stop(format_args!("a coroutine comes back without stacks"))
            };
            let fiber: *mut Fiber = &raw mut **fiber;
            if let Progress::Panicked(payload) = Stack::progress(&raw mut (*fiber).stack) {
                of(thread).is_dead = true;
                self.coroutines.panic = Some(payload);
                return Err(Failure::Panicked);
            }
            match (*fiber).ended.take() {
                None => {
                    let (values, count) = (*fiber).line.take_arguments_of_native();
                    self.take_values(values, count, results)
                }
                Some(Ok(count)) => {
                    let values = (*fiber).line.top();
                    let taken = self.take_values(values, count, results);
                    of(thread).end(self.heap.collection_count());
                    taken
                }
                Some(Err(Throw)) => Err(self.ended_by_error(thread)),
            }
        }
    }

    /// A coroutine has ended with the error that is on its way.
    #[cold]
    fn ended_by_error(&mut self, thread: *mut Thread) -> Failure {
        let error = std::mem::replace(&mut self.error_value, Value::NIL);
        // SAFETY: as in `resume`.
        let coroutine = unsafe { of(thread) };
        coroutine.is_dead = true;
        coroutine.error = Some(error);
        self.heap.barrier(thread.cast());
        Failure::Failed(error)
    }

    /// What to do about a [`Failure::Panicked`], where a panic may pass.
    pub fn go_on_panicking(&mut self) -> ! {
        match self.coroutines.panic.take() {
            Some(payload) => std::panic::resume_unwind(payload),
            None => surmise::deopt::stop::loud_stop(format_args!("a coroutine's panic is lost")),
        }
    }

    /// Gives a coroutine that has not run yet its stacks. May collect.
    ///
    /// # Errors
    /// As of [`State::resume`].
    fn give_fiber(&mut self, thread: *mut Thread) -> Result<*mut Fiber, Failure> {
        let fiber = match self.take_fiber() {
            Ok(fiber) => fiber,
            Err(Throw) => {
                return Err(Failure::Refused(std::mem::replace(&mut self.error_value, Value::NIL)));
            }
        };
        // SAFETY: the object is alive; the fiber is boxed, so it stays at its address while it runs.
        unsafe {
            let fiber: *mut Fiber = &raw mut **of(thread).fiber.insert(fiber);
            (*fiber).line.thread = thread;
            let handle = Stack::start(&raw mut (*fiber).stack, run_function, fiber.cast());
            (*fiber).handle = Some(handle.expect("a fiber at rest can be started"));
            Ok(fiber)
        }
    }

    /// Sets a coroutine's hook, or none. May collect.
    ///
    /// # Errors
    /// "not enough memory".
    pub fn set_hook_of(&mut self, thread: *mut Thread, function: Value, mask: Mask) -> Result<(), Throw> {
        // SAFETY: an argument is alive.
        let is_fresh = unsafe { !of(thread).function.is_nil() && of(thread).fiber.is_none() };
        self.runloop.pins.push(function);
        let given = if is_fresh { self.give_fiber(thread).map(|_| ()) } else { Ok(()) };
        let function = self.runloop.pins.pop().unwrap_or(Value::NIL);
        if let Err(Failure::Refused(error) | Failure::Failed(error)) = given {
            return Err(self.throw_value(error));
        }
        if self.with_line_of(thread, |state| state.set_hook(function, mask)).is_none() {
            // SAFETY: as above.
            unsafe { of(thread).last_hook = Some(Box::new((function, mask))) };
        }
        self.heap.barrier(thread.cast());
        Ok(())
    }

    /// A coroutine's hook.
    pub fn hook_of(&mut self, thread: *mut Thread) -> (Value, Mask) {
        // SAFETY: an argument is alive.
        let last = unsafe { of(thread).last_hook.as_deref().copied() };
        let hook = self.with_line_of(thread, |state| (state.runloop.hooks.function, state.runloop.hooks.mask));
        hook.or(last).unwrap_or((Value::NIL, Mask::default()))
    }

    /// Copies a coroutine's values to the stack of who resumed it.
    ///
    /// # Safety
    /// The values are there; the destination is as [`State::resume`] says.
    #[inline(always)]
    unsafe fn take_values(
        &mut self,
        values: *mut Value,
        count: u32,
        results: *mut Value,
    ) -> Result<u32, Failure> {
        // SAFETY: handed on.
        unsafe {
            if !self.runloop.has_room(results, count as usize) {
                return Err(self.refuse("too many results to resume"));
            }
            copy_values(values, results, count);
        }
        Ok(count)
    }

    #[cold]
    fn refuse_yield(&mut self) -> Throw {
        let message = if self.runloop.fiber.is_null() {
            "attempt to yield from outside a coroutine"
        } else {
            "attempt to yield across a C-call boundary"
        };
        let message = self.string_value(message.as_bytes());
        self.throw_value(message)
    }

    /// `coroutine.yield`: the arguments are what `resume` returns; what the next one is given are the results.
    ///
    /// # Errors
    /// Where the running coroutine can't yield.
    #[inline(always)]
    pub fn suspend(&mut self, call: Call) -> Result<u32, Throw> {
        if !self.is_yieldable() {
            return Err(self.refuse_yield());
        }
        // SAFETY: the running coroutine is alive, with the fiber whose native stack this is. The arguments are its current frame's,
        // where whoever resumed it finds them.
        unsafe {
            (*self.runloop.frame).top = call.base.add(call.count as usize);
            self.runloop.wait = Wait::InRust;
            let fiber = self.runloop.fiber;
            let link = self.park();
            let state: *mut State = self;
            switch(link, state.cast());
            Ok((*fiber).passed)
        }
    }

    /// `coroutine.close` of a coroutine that is suspended or dead: pending variables are closed. May run guest code.
    ///
    /// # Errors
    /// The error that ended it, or that of closing a variable.
    pub fn close_coroutine(&mut self, thread: *mut Thread) -> Result<(), Value> {
        // SAFETY: as in `resume`; what its native stack holds needs no drop (see the module comment).
        unsafe {
            let coroutine = of(thread);
            coroutine.is_dead = true;
            coroutine.function = Value::NIL;
            let error = coroutine.error.take();
            let Some(fiber) = &mut coroutine.fiber else { return error.map_or(Ok(()), Err) };
            let fiber: *mut Fiber = &mut **fiber;
            if (*fiber).line.runloop.to_be_closed.is_empty() {
                coroutine.end(self.heap.collection_count());
                return error.map_or(Ok(()), Err);
            }
            if self.runloop.depth >= RESUME_DEPTH {
                // As if the call of the first variable's `__close`, and of every other one, had failed.
                coroutine.end(self.heap.collection_count());
                return Err(self.string_value(b"C stack overflow"));
            }
            of(thread).keep_hook();
            (*fiber).give_up_native_stack();
            let handle = Stack::start(&raw mut (*fiber).stack, run_closing, fiber.cast());
            (*fiber).handle = Some(handle.expect("a fiber at rest can be started"));
            let outer = (self.error_value, self.error_handled);
            self.runloop.pins.push(outer.0);
            self.error_value = error.unwrap_or(Value::NIL);
            // What an error came before is told by this flag: `nil` is an error too.
            self.error_handled = error.is_some();
            self.runloop.wait = Wait::InRust;
            let link = self.go_to(fiber);
            let state: *mut State = self;
            switch(link, state.cast());
            if let Progress::Panicked(payload) = Stack::progress(&raw mut (*fiber).stack) {
                std::panic::resume_unwind(payload);
            }
            let error = std::mem::replace(&mut self.error_value, Value::NIL);
            self.error_value = self.runloop.pins.pop().unwrap_or(Value::NIL);
            self.error_handled = outer.1;
            let failed = (*fiber).ended.take() == Some(Err(Throw));
            of(thread).end(self.heap.collection_count());
            if failed { Err(error) } else { Ok(()) }
        }
    }

    /// Stacks for a coroutine: used ones, or new ones. When there are many, unreachable coroutines are collected first. May collect.
    fn take_fiber(&mut self) -> Result<Box<Fiber>, Throw> {
        let collections = self.heap.collection_count();
        let pool = self.coroutines.pool.clone();
        if let Some(fiber) = pool.take(collections) {
            return Ok(fiber);
        }
        if pool.is_crowded() {
            self.collect_coroutines()?;
            if let Some(fiber) = pool.take(self.heap.collection_count()) {
                return Ok(fiber);
            }
        }
        let fiber = match self.make_fiber() {
            Ok(fiber) => fiber,
            Err(_) => {
                self.collect_coroutines()?;
                if let Some(fiber) = pool.take(self.heap.collection_count()) {
                    return Ok(fiber);
                }
                match self.make_fiber() {
                    Ok(fiber) => fiber,
                    Err(_) => return Err(self.memory_error()),
                }
            }
        };
        pool.count_new();
        Ok(fiber)
    }

    fn collect_coroutines(&mut self) -> Result<(), Throw> {
        let end = self.free_slots();
        self.collect_now(end, Collection::Full)?;
        self.coroutines.pool.set_threshold();
        Ok(())
    }
}

impl Coroutine {
    /// Whether it runs, or has resumed another one. (Of the main one this says nothing.)
    #[inline(always)]
    fn is_active(&self) -> bool {
        self.fiber.as_ref().is_some_and(|fiber| !fiber.line.resumer.is_null())
    }

    /// It has ended: its stacks are for others. What is on them is valid as of so many collections.
    fn end(&mut self, collections: u64) {
        self.is_dead = true;
        self.function = Value::NIL;
        self.keep_hook();
        if let Some(fiber) = self.fiber.take() {
            self.pool.put(fiber, collections);
        }
    }

    /// Its hook is remembered: its stacks are given up.
    fn keep_hook(&mut self) {
        if let Some(hooks) = self.fiber.as_ref().map(|fiber| &fiber.line.hooks)
            && !hooks.function.is_nil()
        {
            self.last_hook = Some(Box::new((hooks.function, hooks.mask)));
        }
    }
}

impl Drop for Coroutine {
    fn drop(&mut self) {
        // What is on its stacks has died with it.
        self.end(u64::MAX);
    }
}

