//! The host's side of deoptimization: frames rebuilt, resumed and called.
//!
//! Compiled frames have no record on the frame stack. When one is left, its records are pushed on top of what is there: the
//! record of the last interpreted frame, or of the native that compiled code called. Their windows lie where they always did.

use surmise::deopt::host::{Activation, GuestResults, Host, Thrown};
use surmise::deopt::rebuild::{FrameImage, RebuildPlan};
use surmise::deopt::runloop::Runloop;
use surmise::ir::entity::UnitId;
use surmise::ir::frame_state::When;
use surmise::ir::function::Entry;
use surmise::ir::language::Encoding;

use crate::bytecode::{Op, Prototype};
use crate::heap::FINALIZERS_ONLY;
use crate::interpreter::call::deliver;
use crate::interpreter::run::run_loop;
use crate::stack::{FRAME_FRESH, FRAME_RELOADS, Frame};
use crate::stale::{clear, clear_newest_window, first_used};
use crate::state::{State, Throw};
use crate::surmise::externs::frame::push_frame;
use crate::value::Value;

/// A boxed value of the runtime as a Lua value.
fn value(boxed: surmise::deopt::boxed::Boxed) -> Value {
    Value { tag: boxed.tag(), payload: boxed.payload() }
}

/// The first result of a call in machine form.
fn machine_result(results: GuestResults) -> Value {
    Value { tag: results.first & 0xffff_ffff, payload: results.second }
}

/// Results that stand at `results`, in machine form.
///
/// # Safety
/// So many values stand there.
pub unsafe fn guest_results(results: *mut Value, count: u32) -> GuestResults {
    if count == 0 {
        return GuestResults::pair(0, 0, -1);
    }
    // SAFETY: the function's contract.
    let first = unsafe { results.read() };
    GuestResults::pair(first.tag as u32, first.payload, count as i32 - 1)
}

impl State {
    /// The prototype of a unit that has compiled code.
    pub fn prototype_of(&self, unit: UnitId) -> *mut Prototype {
        let connection = self.surmise.as_ref().expect("compiled code runs only when Surmise is plugged in");
        *connection.units.get(&unit).expect("compiled units were registered")
    }

    /// Makes one frame's record; its registers are written to its window.
    ///
    /// # Safety
    /// As for `commit_frames`.
    unsafe fn commit_frame(&mut self, image: &FrameImage<'_>, existing: bool, flags: u32) {
        let base: *mut Value = image.window().cast();
        let prototype = self.prototype_of(image.unit());
        // SAFETY: the window lies on the guest stack, below the limit (checked when the compiled frame was made); the record is
        // the next free one.
        unsafe {
            if let Some(callee) = image.callee() {
                base.sub(1).write(value(callee));
            }
            self.clear_unused(image, &*prototype);
            for (register, boxed) in image.registers() {
                base.add(register.0 as usize).write(value(boxed));
            }
            let mut pc = (*prototype).code.as_ptr().add(image.resume().pc.0 as usize);
            if image.resume().when == When::After {
                pc = match (*pc).op {
                    // One that has closed variables runs again.
                    Op::Return => pc,
                    Op::ForGenericPrepare => pc.offset(1 + (*pc).d as isize),
                    _ => pc.add(1),
                };
            }
            if existing {
                (*self.runloop.frame).pc = pc;
            } else {
                let frame = self.runloop.frame.add(1);
                frame.write(Frame { pc, base, prototype, flags, shift: 0, top: base });
                self.runloop.frame = frame;
            }
            if let Some((register, count)) = image.open() {
                self.runloop.open_top = base.add(register.0 as usize + count as usize);
            }
            if image.resume().when == When::After && image.results().len() > 0
                || image.call_results().is_some()
            {
                self.deliver_after(image, base);
            }
        }
    }

    /// Sets the part of a frame's window to nil in which nothing waits: what compiled code has left there, the interpreter would
    /// keep alive.
    ///
    /// # Safety
    /// As for `commit_frames`; the live registers are still to be written.
    unsafe fn clear_unused(&mut self, image: &FrameImage<'_>, prototype: &Prototype) {
        let base: *mut Value = image.window().cast();
        let at = image.resume();
        let instruction = prototype.code[at.pc.0 as usize];
        let end = match (at.when, instruction.op) {
            // There may be frames above, or results.
            (When::After, Op::Call | Op::TailCall | Op::ForCall) => {
                first_used(instruction, prototype.register_count)
            }
            _ => image.open().map_or(prototype.register_count.into(), |(register, _)| register.0.into()),
        };
        // SAFETY: handed on: these are slots of the window, which is the frame's alone.
        unsafe { clear(base, end, &self.runloop.to_be_closed) };
    }

    /// Gives a frame that goes on *after* an instruction that instruction's results.
    unsafe fn deliver_after(&mut self, image: &FrameImage<'_>, base: *mut Value) {
        if image.resume().when == When::Before {
            return;
        }
        // SAFETY: the frame is the current one and its pc is behind the instruction.
        unsafe {
            let frame = self.runloop.frame;
            let i = &*(*frame).pc.sub(1);
            let first = image.results().next().map(value);
            match i.op {
                Op::Call | Op::TailCall => {
                    let results = base.add(i.a as usize);
                    // A single result of a compiled function is nowhere but here.
                    let (count, first) = match image.call_results() {
                        Some(results) => {
                            (results.count(Encoding::Pair) as u32, Some(machine_result(results)))
                        }
                        None => (1, first),
                    };
                    if let (1, Some(first)) = (count, first) {
                        results.write(first);
                    }
                    let wanted = if i.op == Op::Call { i32::from(i.c) - 1 } else { -1 };
                    deliver(self, results, count, wanted);
                }
                Op::Equal
                | Op::Less
                | Op::LessEqual
                | Op::EqualConstant
                | Op::EqualInt
                | Op::LessInt
                | Op::LessEqualInt
                | Op::GreaterInt
                | Op::GreaterEqualInt => {
                    let truth = first.is_some_and(|value| !value.is_falsy());
                    if truth == (i.c & 1 != 0) {
                        (*frame).pc = (*frame).pc.offset(i.d as isize);
                    }
                }
                Op::ForCall => {
                    if let Some(first) = first {
                        base.add(i.a as usize + 4).write(first);
                    }
                }
                Op::SetGlobal
                | Op::SetField
                | Op::SetFieldConstant
                | Op::SetIndex
                | Op::SetIndexConstant
                | Op::SetInt => {}
                _ => {
                    if let Some(first) = first {
                        base.add(i.a as usize).write(first);
                    }
                }
            }
        }
    }
}

impl Host for State {
    fn allocate_frames(&mut self, runloop: &Runloop<Self>, plan: &RebuildPlan) -> Result<(), Thrown> {
        // Records and windows lie in reserved memory: there is nothing to allocate. Each record has its function's slot, so
        // the window check of the compiled frame covers the records too.
        let Some(outermost) = plan.frames().next_back() else { return Ok(()) };
        let prototype = self.prototype_of(outermost.unit());
        let base: *mut Value = outermost.window().cast();
        // SAFETY: the prototype lives as long as the state.
        let end = base.wrapping_add(unsafe { (*prototype).register_count } as usize);
        if end > self.runloop.limit && !self.runloop.raise_limit(end) {
            let Throw = self.stack_overflow();
            // A message handler sees the compiled frames that are left: like a call that finds the stack full, this one is not there yet.
            // SAFETY: this is an exit of the compiled frame whose window that is; its values are in the plan.
            unsafe { push_frame(runloop.context(), self, base.sub(1)) };
            self.handle_error();
            return Err(Thrown);
        }
        self.runloop.follow_limit();
        Ok(())
    }

    fn commit_frames(&mut self, plan: &RebuildPlan, activation: Activation) {
        if let Some(connection) = &mut self.surmise {
            // Of another line of execution, perhaps: compiled code goes from one to another without notice.
            connection.pending.forget();
        }
        let is_loop = self.is_loop_candidate(plan);
        let flags = match activation {
            Activation::Entered => self.runloop.entered_flags,
            Activation::Called => FRAME_FRESH,
        };
        for (index, image) in plan.frames().rev().enumerate() {
            let existing = index == 0 && activation == Activation::Entered && is_loop;
            // What called it may be observed.
            let flags = if index == 0 { flags | FRAME_RELOADS } else { FRAME_RELOADS };
            // SAFETY: the runtime calls this with a plan of frames of this state.
            unsafe {
                self.commit_frame(&image, existing, flags);
                self.watch_current_frame();
            }
            if index == 0 {
                self.runloop.rebuilt = self.runloop.frame;
            }
        }
    }

    fn resume(&mut self, _runloop: &Runloop<Self>) -> Result<GuestResults, Thrown> {
        let entry = self.runloop.rebuilt;
        // SAFETY: the frames were committed just now; the outermost is marked to end the nested loop.
        unsafe {
            let results = (*entry).base.sub(1);
            match run_loop(self, entry) {
                Ok(count) => {
                    self.guest_point();
                    Ok(guest_results(results, count))
                }
                Err(Throw) => Err(Thrown),
            }
        }
    }

    unsafe fn call_unit(
        &mut self,
        _runloop: &Runloop<Self>,
        window: *mut u8,
        argument_count: u64,
    ) -> Result<GuestResults, Thrown> {
        // SAFETY: the caller has laid the call out like any other.
        unsafe {
            let function = window.cast::<Value>().sub(1);
            let entry = self.runloop.frame.add(1);
            if self.push_lua_frame(function, argument_count as u32, FRAME_FRESH).is_err() {
                return Err(Thrown);
            }
            match run_loop(self, entry) {
                Ok(count) => {
                    self.guest_point();
                    Ok(guest_results(function, count))
                }
                Err(Throw) => Err(Thrown),
            }
        }
    }

    fn poll(&mut self, runloop: &Runloop<Self>) -> Result<(), Thrown> {
        self.serve();
        self.guest_point();
        // SAFETY: this is a poll.
        unsafe { clear_newest_window(runloop, &self.runloop.to_be_closed) };
        if self.heap.requested != 0 {
            let end = self.compiled_window_end();
            // A poll runs no guest code.
            if self.collect_quietly(end).is_err() {
                return Err(Thrown);
            }
            // The interpreter does: at the next safepoint, which is near.
            if self.heap.requested == FINALIZERS_ONLY {
                // SAFETY: this is a poll.
                unsafe { runloop.leave_newest_frame() };
            }
        }
        Ok(())
    }
}

impl State {
    fn is_loop_candidate(&self, plan: &RebuildPlan) -> bool {
        let Some(connection) = &self.surmise else { return false };
        let map = connection.plug.isolate().space().map().snapshot();
        map.candidates()
            .iter()
            .find(|candidate| candidate.id() == plan.candidate())
            .is_some_and(|candidate| matches!(candidate.entry(), Entry::Loop(_)))
    }

    /// End of the guest stack in use, with the windows of compiled frames.
    pub fn compiled_window_end(&self) -> *mut Value {
        let top = self.runloop.top();
        let Some(guard) = &self.runloop.guard else { return top };
        // SAFETY: this thread is the runloop's, at a safepoint.
        let end: *mut Value = unsafe { guard.window_end() }.cast();
        top.max(end)
    }
}
