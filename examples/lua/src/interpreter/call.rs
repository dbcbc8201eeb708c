//! Calls and returns: frames are pushed and popped here, unless the run loop's fast paths did it.
//!
//! A call is laid out as `function, arguments..`; its results replace it, from the function's slot on. What happens to them
//! then depends on who waits: a call instruction, an instruction that needed a metamethod (`FRAME_FINISH`), a native frame with
//! a continuation (`FRAME_TO_NATIVE`), or Rust code (`FRAME_FRESH`).

use crate::bytecode::Op;
use crate::interpreter::run::run_loop;
use crate::interpreter::{EXIT, Next, RELOAD, THROW, copy};
use crate::metamethod::Event;
use crate::stack::{
    FRAME_CLOSING, FRAME_CONTINUES, FRAME_FINISH, FRAME_FRESH, FRAME_NATIVE, FRAME_TAIL, FRAME_TO_NATIVE,
    FRAME_YIELDABLE, Frame, NATIVE_DEPTH,
};
use crate::state::{Call, FRAMES_CHANGED, State, Throw, Values};
use crate::surmise::enter::enter_compiled;
use crate::surmise::externs::frame::FRAME_COMPILED;
use crate::value::{Tag, Value};

/// What [`State::enter`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entered {
    /// The current frame is new and must be run.
    Frame,
    /// A native function has run: so many results are at the function's slot.
    Done(u32),
}

/// The code that a native frame with `FRAME_CONTINUES` goes on with: `count` results of its callee are at `results`. As a native
/// function, it writes its results from the frame's `base[-1]` on and returns their number, or changes the frames again.
pub type Continuation = fn(&mut State, Call, *mut Value, u32) -> Result<u32, Throw>;

impl State {
    /// Calls the value at `function`, with `count` arguments behind it: pushes a Lua function's frame, or runs a native one.
    ///
    /// # Safety
    /// The slots must lie above everything live, and the current frame's pc must be saved.
    pub unsafe fn enter(
        &mut self,
        function: *mut Value,
        mut count: u32,
        flags: u32,
    ) -> Result<Entered, Throw> {
        // SAFETY: promised by the caller; every case keeps the slots above `function` valid.
        unsafe {
            loop {
                let callee = function.read();
                if callee.is(Tag::LuaClosure) {
                    if (*(*callee.as_closure()).prototype).unit.entry.is_compiled() {
                        return enter_compiled(self, function, count, flags);
                    }
                    self.push_lua_frame(function, count, flags)?;
                    return Ok(Entered::Frame);
                }
                if callee.is(Tag::Native) {
                    let frame = self.runloop.frame.add(1);
                    frame.write(Frame {
                        pc: std::ptr::null(),
                        base: function.add(1),
                        prototype: std::ptr::null_mut(),
                        flags: FRAME_NATIVE | flags,
                        shift: 0,
                        top: function.add(1 + count as usize),
                    });
                    self.runloop.frame = frame;
                    if self.runloop.hooks.is_on() {
                        self.hook_native_call(count)?;
                    }
                    let entry = (*callee.as_native()).entry;
                    let results = entry(self, Call { base: function.add(1), count })?;
                    if results == FRAMES_CHANGED {
                        return Ok(Entered::Frame);
                    }
                    if self.runloop.hooks.is_on() {
                        self.hook_native_return(callee, results)?;
                    }
                    self.runloop.frame = frame.sub(1);
                    return Ok(Entered::Done(results));
                }
                count = self.insert_call_metamethod(function, count)?;
            }
        }
    }

    /// Replaces a called value that is no function by its `__call`, with the value as first argument.
    ///
    /// # Safety
    /// As for [`State::enter`].
    #[cold]
    unsafe fn insert_call_metamethod(&mut self, function: *mut Value, count: u32) -> Result<u32, Throw> {
        // SAFETY: one more slot is always there.
        unsafe {
            let callee = function.read();
            let handler = self.metamethod(callee, Event::Call);
            if handler.is_nil() {
                return Err(self.call_error(function, callee));
            }
            self.check_stack(function, count as usize + 2, "")?;
            std::ptr::copy(function, function.add(1), count as usize + 1);
            function.write(handler);
            Ok(count + 1)
        }
    }

    /// Pushes the frame of the Lua closure at `function`.
    ///
    /// # Safety
    /// As for [`State::enter`]; the value must be a Lua closure.
    pub unsafe fn push_lua_frame(
        &mut self,
        function: *mut Value,
        mut count: u32,
        flags: u32,
    ) -> Result<(), Throw> {
        // SAFETY: the window is checked against the limit before it is touched.
        unsafe {
            let prototype = (*(*function).as_closure()).prototype;
            let parameters = u32::from((*prototype).parameter_count);
            let mut base = function.add(1);
            let mut shift = 0;
            if (*prototype).is_vararg {
                shift = count + 1;
                base = base.add(shift as usize);
            }
            let end = base.add((*prototype).register_count as usize);
            if end > self.runloop.limit && !self.runloop.raise_limit(end) {
                return Err(self.stack_overflow());
            }
            if shift != 0 {
                copy(base.sub(1), function);
                for i in 0..parameters.min(count) as usize {
                    copy(base.add(i), function.add(1 + i));
                    function.add(1 + i).write(Value::NIL);
                }
            }
            while count < parameters {
                base.add(count as usize).write(Value::NIL);
                count += 1;
            }
            let frame = self.runloop.frame.add(1);
            frame.write(Frame { pc: (*prototype).code.as_ptr(), base, prototype, flags, shift, top: base });
            self.runloop.frame = frame;
            let unit = &mut (*prototype).unit;
            unit.counter -= 1;
            if unit.counter < 0 {
                crate::surmise::enter::counter_fired_at_call(self, (*prototype).code.as_ptr());
            }
            Ok(())
        }
    }

    /// Pushes the frame of a function that was being interpreted or compiled somewhere else, to go on at `pc`: its window at `base`
    /// is filled in already, `base[-1]` holds the closure.
    ///
    /// # Safety
    /// The window must lie above the current frame's, end below the limit, and hold valid values only.
    pub unsafe fn push_rebuilt_frame(&mut self, base: *mut Value, pc: Next, flags: u32, shift: u32) {
        // SAFETY: promised by the caller.
        unsafe {
            let prototype = (*(*base.sub(1)).as_closure()).prototype;
            let frame = self.runloop.frame.add(1);
            frame.write(Frame { pc, base, prototype, flags, shift, top: base });
            self.runloop.frame = frame;
        }
    }

    /// Calls a value with arguments from Rust, in a nested run loop; `wanted` results, or all. May collect.
    pub fn call(
        &mut self,
        function: Value,
        arguments: &[Value],
        wanted: Option<u32>,
    ) -> Result<Values, Throw> {
        // SAFETY: the slots are above the current frame's window; results are read before anything else runs.
        unsafe {
            let at = self.free_slots();
            self.check_stack(at, arguments.len() + 1, "")?;
            at.write(function);
            for (i, value) in arguments.iter().enumerate() {
                at.add(1 + i).write(*value);
            }
            let count = self.call_at(at, arguments.len() as u32)?;
            let mut results = Values::new();
            for i in 0..wanted.unwrap_or(count) {
                results.push(if i < count { at.add(i as usize).read() } else { Value::NIL });
            }
            Ok(results)
        }
    }

    /// [`State::call`] for exactly one result.
    #[inline]
    pub fn call_one(&mut self, function: Value, arguments: &[Value]) -> Result<Value, Throw> {
        // SAFETY: as in `call`.
        unsafe {
            let at = self.free_slots();
            at.write(function);
            for (i, value) in arguments.iter().enumerate() {
                at.add(1 + i).write(*value);
            }
            let count = self.call_at(at, arguments.len() as u32)?;
            Ok(if count > 0 { at.read() } else { Value::NIL })
        }
    }

    /// Where a call from Rust may be laid out.
    #[inline]
    pub fn free_slots(&self) -> *mut Value {
        let top = self.runloop.top();
        // A Lua frame may have an open list of values above its window.
        // SAFETY: the current frame is valid.
        if unsafe { (*self.runloop.frame).flags & FRAME_NATIVE } == 0 {
            top.max(self.runloop.open_top)
        } else {
            top
        }
    }

    /// Calls the value at `function` with the `count` arguments behind it, in a nested run loop. The results replace it.
    ///
    /// # Safety
    /// As for [`State::enter`].
    #[inline]
    pub unsafe fn call_at(&mut self, function: *mut Value, count: u32) -> Result<u32, Throw> {
        // SAFETY: handed on.
        unsafe { self.call_at_as(function, count, FRAME_FRESH) }
    }

    /// [`State::call_at`] with the flags of the function's frame, `FRAME_FRESH` among them. A Lua function with others is
    /// interpreted: compiled frames have no flags.
    ///
    /// # Safety
    /// As for [`State::enter`].
    pub unsafe fn call_at_as(&mut self, function: *mut Value, count: u32, flags: u32) -> Result<u32, Throw> {
        if self.runloop.native_depth >= NATIVE_DEPTH {
            self.native_overflow(self.runloop.native_depth)?;
        }
        self.runloop.native_depth += 1;
        // A native function that calls back can't go on after a yield, unless it says so.
        const ON_ITS_OWN: u32 = FRAME_NATIVE | FRAME_COMPILED | FRAME_CONTINUES | FRAME_YIELDABLE;
        // SAFETY: the current frame is valid.
        let is_barrier = unsafe { (*self.runloop.frame).flags & ON_ITS_OWN == FRAME_NATIVE };
        self.runloop.barriers += u32::from(is_barrier);
        let open_top = self.runloop.open_top;
        // SAFETY: promised by the caller. The frame that `enter` pushes is the one at which the nested loop ends.
        let result = unsafe {
            let entry = self.runloop.frame.add(1);
            let entered = if flags != FRAME_FRESH && (*function).is(Tag::LuaClosure) {
                self.push_lua_frame(function, count, flags).map(|()| Entered::Frame)
            } else {
                self.enter(function, count, flags)
            };
            match entered {
                Ok(Entered::Done(results)) => Ok(results),
                Ok(Entered::Frame) => run_loop(self, entry),
                // A protected call may have failed before the loop began.
                Err(Throw) => match self.catch(entry) {
                    Ok(RELOAD) => run_loop(self, entry),
                    Ok(_) => Ok(self.result_count),
                    Err(Throw) => Err(Throw),
                },
            }
        };
        self.runloop.open_top = open_top;
        self.runloop.native_depth -= 1;
        self.runloop.barriers -= u32::from(is_barrier);
        self.guest_point();
        result
    }
}

/// `Op::Call` in every case that the run loop doesn't handle itself.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn call_slow(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind a `Call` of the current frame.
    unsafe {
        let instruction = &*pc.sub(1);
        let function = base.add(instruction.a as usize);
        let count = if instruction.b != 0 {
            u32::from(instruction.b) - 1
        } else {
            state.runloop.open_top.offset_from(function) as u32 - 1
        };
        (*state.runloop.frame).pc = pc;
        match state.enter(function, count, 0) {
            Ok(Entered::Frame) => RELOAD,
            Ok(Entered::Done(results)) => {
                deliver(state, function, results, i32::from(instruction.c) - 1);
                if state.heap.requested != 0 { collect_after_call(state, pc, base) } else { pc }
            }
            Err(Throw) => THROW,
        }
    }
}

impl State {
    /// End of the live slots behind a call.
    #[inline]
    pub(super) fn free_slots_for(&self, open: bool) -> *mut Value {
        if open { self.runloop.top().max(self.runloop.open_top) } else { self.runloop.top() }
    }
}

/// Makes `count` results at `results` exactly `wanted` ones, or the open list when `wanted` is negative.
///
/// # Safety
/// The results must be on the stack.
#[inline(always)]
pub unsafe fn deliver(state: &mut State, results: *mut Value, count: u32, wanted: i32) {
    // SAFETY: at most 254 slots behind the results are written, inside the caller's window.
    unsafe {
        if wanted < 0 {
            state.runloop.open_top = results.add(count as usize);
        } else {
            let mut i = count as usize;
            while i < wanted as usize {
                results.add(i).write(Value::NIL);
                i += 1;
            }
        }
    }
}

/// `Op::TailCall`: the callee takes over the frame.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn tail_call(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind a `TailCall` of the current frame.
    unsafe {
        let instruction = &*pc.sub(1);
        let function = base.add(instruction.a as usize);
        let count = if instruction.b != 0 {
            u32::from(instruction.b) - 1
        } else {
            state.runloop.open_top.offset_from(function) as u32 - 1
        };
        let frame = state.runloop.frame;
        (*frame).pc = pc;
        if (*function).is(Tag::LuaClosure) {
            let to = base.sub(1 + (*frame).shift as usize);
            for i in 0..=count as usize {
                copy(to.add(i), function.add(i));
            }
            let flags = (*frame).flags;
            state.runloop.frame = frame.sub(1);
            if state.push_lua_frame(to, count, flags | FRAME_TAIL).is_err() {
                return THROW;
            }
            if state.heap.requested != 0 && state.collect(state.runloop.top()).is_err() {
                return THROW;
            }
            return RELOAD;
        }
        match state.enter(function, count, 0) {
            Ok(Entered::Done(results)) => {
                if state.heap.requested != 0
                    && state.collect(state.runloop.top().max(function.add(results as usize))).is_err()
                {
                    return THROW;
                }
                return_values(state, function, results)
            }
            // The callee's results come back to this instruction, which returns them (see `return_values`).
            Ok(Entered::Frame) => RELOAD,
            Err(Throw) => THROW,
        }
    }
}

/// The current frame returns `count` values from `results` on.
///
/// # Safety
/// The values must be above the frame's function slot.
#[inline(never)]
pub unsafe fn return_values(state: &mut State, mut results: *mut Value, mut count: u32) -> Next {
    // SAFETY: frames are popped one by one, the first has `FRAME_FRESH`, so there always is a caller.
    unsafe {
        loop {
            let frame = state.runloop.frame;
            let flags = (*frame).flags;
            let to = (*frame).base.sub(1 + (*frame).shift as usize);
            let caller = frame.sub(1);
            state.runloop.frame = caller;
            if flags & FRAME_FINISH != 0 {
                let value = if count > 0 { results.read() } else { Value::NIL };
                return match state.finish_instruction(caller, value) {
                    Ok(()) => RELOAD,
                    Err(Throw) => THROW,
                };
            }
            if to != results {
                for i in 0..count as usize {
                    copy(to.add(i), results.add(i));
                }
            }
            if flags & FRAME_FRESH != 0 {
                state.result_count = count;
                return EXIT;
            }
            if flags & FRAME_TO_NATIVE != 0 {
                debug_assert!(
                    (*caller).flags & FRAME_CONTINUES != 0,
                    "a callee returns to a native that goes on"
                );
                // SAFETY: a frame with `FRAME_CONTINUES` keeps its continuation in `pc`.
                let continuation = std::mem::transmute::<Next, Continuation>((*caller).pc);
                let arguments = (*caller).top.offset_from((*caller).base) as u32;
                let call = Call { base: (*caller).base, count: arguments };
                match continuation(state, call, to, count) {
                    Ok(FRAMES_CHANGED) => return RELOAD,
                    Ok(n) => {
                        results = (*caller).base.sub(1);
                        count = n;
                        continue;
                    }
                    Err(Throw) => return THROW,
                }
            }
            let instruction = &*(*caller).pc.sub(1);
            match instruction.op {
                Op::ForCall => deliver(state, to, count, i32::from(instruction.c)),
                // A tail call of a native that pushed frames: what it called returns for it, and so does the frame.
                Op::TailCall => {
                    results = to;
                    continue;
                }
                _ => deliver(state, to, count, i32::from(instruction.c) - 1),
            }
            return RELOAD;
        }
    }
}

/// Calls `function` with `arguments` as a metamethod for the instruction before `pc`.
///
/// # Safety
/// `pc` must be behind an instruction of the current Lua frame that `finish_instruction` knows.
#[inline(never)]
pub unsafe fn call_metamethod(state: &mut State, pc: Next, function: Value, arguments: &[Value]) -> Next {
    // SAFETY: the slots above the window are free (an open list is in use by no instruction with metamethods but `Close`
    // and `Return`, for which `free_slots` looks above it).
    unsafe {
        let frame = state.runloop.frame;
        (*frame).pc = pc;
        let instruction = &*pc.sub(1);
        let at = if matches!(instruction.op, Op::Close | Op::Return) {
            state.free_slots()
        } else {
            state.runloop.top()
        };
        at.write(function);
        for (i, value) in arguments.iter().enumerate() {
            at.add(1 + i).write(*value);
        }
        match state.enter(at, arguments.len() as u32, FRAME_FINISH) {
            Ok(Entered::Frame) => RELOAD,
            Ok(Entered::Done(count)) => {
                let value = if count > 0 { at.read() } else { Value::NIL };
                if state.finish_instruction(frame, value).is_err() {
                    return THROW;
                }
                // What lies above the frame's window, if anything, lies below the call's slots.
                if state.heap.requested != 0 && state.collect(at.max(state.runloop.top())).is_err() {
                    return THROW;
                }
                RELOAD
            }
            Err(Throw) => THROW,
        }
    }
}

/// `Return`: closes variables first, one at a time (the instruction runs again after each).
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn return_slow(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind a `Return` of the current frame.
    unsafe {
        let i = &*pc.sub(1);
        let first = base.add(i.a as usize);
        if i.c != 0 {
            let frame = state.runloop.frame;
            // Closing functions have open lists of their own: the end of the values is kept in the frame.
            if (*frame).flags & FRAME_CLOSING == 0 {
                (*frame).flags |= FRAME_CLOSING;
                (*frame).top = if i.b == 0 { state.runloop.open_top } else { first.add(i.b as usize - 1) };
            }
            state.runloop.open_top = (*frame).top;
            if let Some(next) = super::loops::close_one(state, pc, base) {
                return next;
            }
        }
        let count =
            if i.b != 0 { u32::from(i.b) - 1 } else { state.runloop.open_top.offset_from(first) as u32 };
        return_values(state, first, count)
    }
}

/// `VarArg`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn var_arg(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the actual arguments lie below the frame's base; room for a copy of all of them is asked for.
    unsafe {
        let i = &*pc.sub(1);
        let frame = state.runloop.frame;
        let parameters = (*(*frame).prototype).parameter_count as usize;
        let given = ((*frame).shift as usize).saturating_sub(1);
        let extra = given.saturating_sub(parameters);
        let from = base.sub(1 + (*frame).shift as usize).add(1 + parameters);
        let to = base.add(i.a as usize);
        let wanted = if i.c == 0 { extra } else { i.c as usize - 1 };
        if i.c == 0 {
            (*frame).pc = pc;
            if state.check_stack(to, extra, "").is_err() {
                return THROW;
            }
            state.runloop.open_top = to.add(extra);
        }
        for n in 0..wanted.min(extra) {
            copy(to.add(n), from.add(n));
        }
        for n in extra..wanted {
            to.add(n).write(Value::NIL);
        }
        pc
    }
}

/// A collection right behind a `Call`.
///
/// # Safety
/// A [`super::Slow`] path.
#[cold]
#[inline(never)]
pub unsafe fn collect_after_call(state: &mut State, pc: Next, _base: *mut Value) -> Next {
    // SAFETY: `pc` is behind a `Call` of the current frame.
    unsafe {
        (*state.runloop.frame).pc = pc;
        let end = state.free_slots_for((*pc.sub(1)).c == 0);
        let requested = state.heap.requested;
        match state.collect(end) {
            Ok(()) if state.is_reload_due(requested) => RELOAD,
            Ok(()) => pc,
            Err(Throw) => THROW,
        }
    }
}
