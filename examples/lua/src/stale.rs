//! What compiled frames have left in their windows.
//!
//! Compiled code keeps a function's registers in machine registers and homes; it writes its window, a part of the value stack, to hand
//! values to calls and to some externs. What is left there afterwards is dead, but the collector visits the whole stack: an object
//! would be kept as long as the frame that has passed it to somebody once. So collections set to nil what nobody will read:
//! everything below the slots that the instruction uses in which the frame is waiting, but for variables to be closed, whose place the
//! window is. Full ones do so for all frames, every one for the newest: a loop that makes short-lived objects alone never needs more.

use surmise::deopt::frames::{FrameSite, FrameWalk};
use surmise::deopt::runloop::{Runloop, RunloopGuard};

use crate::bytecode::{Instruction, Op};
use crate::state::State;
use crate::value::{Tag, Value};

/// The first register that compiled code may still read from its window, or callees have in theirs, while this instruction is under
/// way; the number of registers, if there is none.
pub fn first_used(instruction: Instruction, register_count: u8) -> usize {
    let Instruction { op, a, b, .. } = instruction;
    match op {
        Op::Call | Op::TailCall => a.into(),
        Op::ForCall => usize::from(a) + 4,
        Op::SetList => usize::from(a) + 1,
        Op::Concat => b.into(),
        // Lists of values: not worth knowing more exactly.
        Op::VarArg | Op::Return | Op::Close | Op::ToBeClosed | Op::ForGenericPrepare => 0,
        // What others need is in machine registers, or was read before there is a safepoint (captured variables).
        _ => register_count.into(),
    }
}

/// Sets the first `count` slots of a window to nil, but for those that are on a list, which is in order.
///
/// # Safety
/// They are slots of the value stack that nobody reads any more.
pub unsafe fn clear(window: *mut Value, count: usize, kept: &[*mut Value]) {
    for number in 0..count {
        let slot = window.wrapping_add(number);
        if kept.binary_search(&slot).is_err() {
            // SAFETY: the function's contract.
            unsafe { slot.write(Value::NIL) };
        }
    }
}

/// Clears the windows of the newest frames of a runloop.
///
/// # Safety
/// The runloop is at a safepoint, on this thread, and no object has moved that its frames see. Slots of variables to be closed are
/// those of its line of execution, innermost last.
pub unsafe fn clear_windows(guard: &RunloopGuard<State>, to_be_closed: &[*mut Value], frames: usize) {
    let map = guard.isolate().space().map().snapshot();
    // SAFETY: the function's contract.
    for frame in unsafe { FrameWalk::new(guard.context(), &map) }.take(frames) {
        let FrameSite::Call(site) = frame.site else { continue };
        // The outermost activation: those inlined into it have their windows above what it uses. There is none for externs that nobody
        // can ask about: they have read all that they need when they come to collect.
        let header = frame.candidate.activations_at(site).last();
        // SAFETY: the frame is on the stack. Its function stands below its window; a window's registers can be written, and those
        // that are written are not read any more.
        unsafe {
            let window: *mut Value = frame.window().cast();
            let function = window.sub(1).read();
            if !function.is(Tag::LuaClosure) {
                continue;
            }
            let prototype = &*(*function.as_closure()).prototype;
            let instruction = header.and_then(|header| prototype.code.get(header.pc.0 as usize));
            let end = instruction.map_or(prototype.register_count.into(), |&instruction| {
                first_used(instruction, prototype.register_count)
            });
            clear(window, end, to_be_closed);
        }
    }
}

/// Clears the whole window of the newest frame.
///
/// # Safety
/// That frame is in a poll: no call of it is under way, and its arguments have been read. Otherwise as for [`clear_windows`].
pub unsafe fn clear_newest_window(runloop: &Runloop<State>, to_be_closed: &[*mut Value]) {
    let map = runloop.isolate().space().map().snapshot();
    // SAFETY: the function's contract; a window of that size is below the stack's limit.
    unsafe {
        if let Some(frame) = FrameWalk::new(runloop.context(), &map).next() {
            clear(frame.window().cast(), frame.candidate.window_size(), to_be_closed);
        }
    }
}
