//! Calls of any value, iterators, variable arguments.
//!
//! Closures are entered where compiled code enters them, through their unit's entry cell, and from the calling frame itself: so
//! a call that no case was chosen for costs little more than one whose callee is known, and its caller can be walked like any
//! other. Native functions are called right here. For everything else there is a nested run loop.

use surmise::deopt::host::GuestResults;
use surmise::deopt::runloop::guarded;
use surmise::deopt::stop::loud_stop;

use super::frame::{FRAME_COMPILED, attempt, check_room, keep, leave, push_frame, state_of};
use super::{Context, HostFunction, Value};
use crate::interpreter::loops::{INTRINSIC_IPAIRS, INTRINSIC_NEXT};
use crate::interpreter::run::run_loop;
use crate::interpreter::{RELOAD, copy};
use crate::stack::{FRAME_FRESH, FRAME_NATIVE, Frame, STACK_SLOTS};
use crate::state::{Call, FRAMES_CHANGED, State, Throw};
use crate::table::{self, InvalidKey};
use crate::value::Tag;

/// Calls the value at `slot`, with the `count` arguments behind it. The results replace it.
///
/// # Safety
/// The slots are the end of what is in use, and there is room for a native function's window; the current frame is one that
/// [`push_frame`] made.
unsafe fn call(state: &mut State, slot: *mut Value, count: u32) -> Result<u32, Throw> {
    // SAFETY: handed on; the record is the next free one.
    unsafe {
        let callee = slot.read();
        if !callee.is(Tag::Native) {
            let depth = state.runloop.native_depth;
            // As in `with_frame`.
            state.runloop.native_depth = depth.saturating_sub(1);
            let result = state.call_at(slot, count);
            state.runloop.native_depth = depth;
            return result;
        }
        let frame = push_native(state, slot, count);
        let entry = (*callee.as_native()).entry;
        let result = entry(state, Call { base: slot.add(1), count });
        native_ended(state, frame, result)
    }
}

/// Pushes the frame of the native function at `slot`.
///
/// # Safety
/// As for [`call`].
#[inline(always)]
unsafe fn push_native(state: &mut State, slot: *mut Value, count: u32) -> *mut Frame {
    // SAFETY: handed on; the record is the next free one.
    unsafe {
        let below = state.runloop.frame;
        debug_assert!((*below).flags & FRAME_COMPILED != 0, "the caller has pushed its record");
        let frame = below.add(1);
        frame.write(Frame {
            pc: std::ptr::null(),
            base: slot.add(1),
            prototype: std::ptr::null_mut(),
            flags: FRAME_NATIVE | FRAME_FRESH,
            shift: 0,
            top: slot.add(1 + count as usize),
        });
        state.runloop.frame = frame;
        frame
    }
}

/// So many results at `slot`, in machine form.
///
/// # Safety
/// They stand there.
pub(super) unsafe fn results_at(slot: *mut Value, count: u32) -> GuestResults {
    if count == 0 {
        return GuestResults::pair(Tag::Nil as u32, 0, -1);
    }
    // SAFETY: handed on.
    let first = unsafe { slot.read() };
    GuestResults::pair(first.tag as u32, first.payload, count as i32 - 1)
}

/// `lua_call` for everything but Lua functions.
///
/// # Safety
/// As for [`lua_call`].
pub(super) unsafe extern "C" fn call_other(
    context: *mut Context,
    slot: *mut Value,
    count: u64,
) -> GuestResults {
    // SAFETY: handed on. Nothing above the arguments is in use.
    unsafe {
        guarded(context, move || {
            let state = state_of(context);
            push_frame(context, state, slot);
            let below = state.runloop.frame.sub(1);
            let result = check_room(state, slot.add(1 + count as usize))
                .and_then(|()| call(state, slot, count as u32))
                .and_then(|count| called(context, state, slot, below, count));
            leave(state, result)
        })
    }
}

/// The end of a call that was made for compiled code: `count` results are at `slot`, `below` is the frame below the compiled one's
/// record.
///
/// # Errors
/// "not enough memory".
///
/// # Safety
/// As for [`lua_call`].
#[inline(always)]
pub(super) unsafe fn called(
    context: *mut Context,
    state: &mut State,
    slot: *mut Value,
    below: *mut Frame,
    count: u32,
) -> Result<GuestResults, Throw> {
    state.runloop.frame = below;
    state.guest_point();
    // SAFETY: handed on.
    unsafe {
        keep(context, state, slot.add(count as usize), Value::NIL)?;
        Ok(results_at(slot, count))
    }
}

/// The rest of the call of a native function whose frame is `frame`, which is current: it has given results, or has failed.
///
/// # Errors
/// The error, unless a handler of the native's own has caught it.
///
/// # Safety
/// As for [`lua_call`].
pub(super) unsafe fn native_ended(
    state: &mut State,
    frame: *mut Frame,
    result: Result<u32, Throw>,
) -> Result<u32, Throw> {
    // SAFETY: handed on.
    unsafe {
        let next = match result {
            Ok(FRAMES_CHANGED) => RELOAD,
            Ok(results) => {
                state.runloop.frame = frame.sub(1);
                return Ok(results);
            }
            // A protected call may have failed before its loop began.
            Err(Throw) => state.catch(frame)?,
        };
        if next == RELOAD { run_loop(state, frame) } else { Ok(state.result_count) }
    }
}

/// Calls the value at `slot`, with the `count` arguments behind it. The results, in machine form, replace it.
///
/// # Safety
/// Called by compiled code, as the language declares it: `slot` is in its window, and nothing above the arguments is in use.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[unsafe(naked)]
unsafe extern "C" fn lua_call(
    context: *mut Context,
    slot: *mut Value,
    count: u64,
    wanted: i64,
) -> GuestResults {
    use crate::bytecode::Prototype;
    use crate::object::{LuaClosure, NativeFunction};
    use crate::unit::UnitState;
    use std::mem::offset_of;
    // A Lua function's machine code has this function's results, and is entered with the address of its first register. It
    // returns to the caller, which has recorded where it is. Parameters without arguments are nil.
    core::arch::naked_asm!(
        "cmp qword ptr [rsi], {closure}",
        "jne 4f",
        "mov rax, [rsi + 8]",
        "mov rax, [rax + {prototype}]",
        "add rsi, 16",
        "movzx ecx, byte ptr [rax + {parameter_count}]",
        "cmp rdx, rcx",
        "jae 3f",
        "mov r8, rdx",
        "shl r8, 4",
        "add r8, rsi",
        "2:",
        "mov qword ptr [r8], {nil}",
        "mov qword ptr [r8 + 8], 0",
        "add r8, 16",
        "add rdx, 1",
        "cmp rdx, rcx",
        "jb 2b",
        "3:",
        "jmp qword ptr [rax + {entry}]",
        // Functions that switch stacks are called with as little as possible in between.
        "4:",
        "cmp qword ptr [rsi], {native}",
        "jne {call_other}",
        "mov rax, [rsi + 8]",
        "cmp dword ptr [rax + {intrinsic}], {first_switching}",
        "jb {call_other}",
        "jmp {call_switching}",
        native = const Tag::Native as u64,
        intrinsic = const offset_of!(NativeFunction, intrinsic),
        first_switching = const crate::lib::coroutine::INTRINSIC_YIELD,
        call_switching = sym surmise::deopt::stacks::compiled::call::<super::switching::Lua>,
        closure = const Tag::LuaClosure as u64,
        nil = const Tag::Nil as u64,
        call_other = sym call_other,
        prototype = const offset_of!(LuaClosure, prototype),
        parameter_count = const offset_of!(Prototype, parameter_count),
        entry = const offset_of!(Prototype, unit) + offset_of!(UnitState, entry),
    )
}

/// On targets without machine code nothing calls it.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
unsafe extern "C" fn lua_call(
    context: *mut Context,
    slot: *mut Value,
    count: u64,
    _wanted: i64,
) -> GuestResults {
    // SAFETY: handed on.
    unsafe { call_other(context, slot, count) }
}

/// [`lua_call`] has the form that the call protocol says: without window, since there is nothing above its arguments.
pub(super) const CALL: HostFunction = HostFunction {
    name: "lua_call",
    parameters: &["raw", "i64", "i64"],
    result: Some("any"),
    needs_window: false,
    address: lua_call as *const u8,
};

/// Sets the results from `count` on that are wanted to nil.
///
/// # Safety
/// They lie in the window.
#[inline(always)]
unsafe fn fill(to: *mut Value, count: usize, wanted: usize) {
    // SAFETY: handed on.
    unsafe {
        for index in count..wanted {
            to.add(index).write(Value::NIL);
        }
    }
}

/// One step of `next` or of the iterator of `ipairs`, without a call: whether it was done, at `to[0]` and `to[1]`.
///
/// # Safety
/// The slots lie in the window.
#[inline]
unsafe fn step(iterator: Value, over: Value, control: Value, to: *mut Value) -> bool {
    if !iterator.is(Tag::Native) || !over.is(Tag::Table) {
        return false;
    }
    // SAFETY: handed on; the values are live.
    unsafe {
        let object = over.as_table();
        if (*iterator.as_native()).intrinsic == INTRINSIC_NEXT
            && let Some((index, value)) = table::next_element(object, control)
        {
            to.write(Value::int(index));
            copy(to.add(1), value);
            return true;
        }
        let (key, value) = match (*iterator.as_native()).intrinsic {
            INTRINSIC_NEXT => match table::next(object, control) {
                Ok(found) => found.unwrap_or((Value::NIL, Value::NIL)),
                // The call says what is wrong.
                Err(InvalidKey) => return false,
            },
            INTRINSIC_IPAIRS if control.is_int() => {
                let index = control.as_int().wrapping_add(1);
                let value = table::get_int(object, index);
                if value.is_nil() && !(*object).metatable.is_null() {
                    return false;
                }
                (if value.is_nil() { Value::NIL } else { Value::int(index) }, value)
            }
            _ => return false,
        };
        to.write(key);
        to.add(1).write(value);
        true
    }
}

/// The record of the interpreted frame whose loop was entered, with its registers at `base`.
///
/// # Safety
/// There is one: only such frames of variadic functions are compiled.
unsafe fn entered_frame(state: &State, base: *mut Value) -> *mut Frame {
    let mut frame = state.runloop.frame;
    // SAFETY: records down to the first are valid.
    unsafe {
        while (*frame).base != base {
            if frame == state.runloop.frames.start {
                loud_stop(format_args!(
                    "a compiled frame asks for variable arguments, but was not entered at a loop"
                ));
            }
            frame = frame.sub(1);
        }
    }
    frame
}

host_functions! {
    /// Calls an iterator: the first result. The others that are wanted are left behind `to[0]`; up to `to[2]` the slots are used
    /// to make the call.
    fn lua_for_call(
        context, window; iterator: any, over: any, control: any, to: raw Value, wanted: i64
    ) -> any {
        let wanted = wanted as usize;
        if step(iterator, over, control, to) {
            fill(to, 2, wanted);
            return to.read();
        }
        guarded(context, move || {
            let state = state_of(context);
            push_frame(context, state, window);
            let below = state.runloop.frame.sub(1);
            to.write(iterator);
            to.add(1).write(over);
            to.add(2).write(control);
            let result = check_room(state, window).and_then(|()| call(state, to, 2)).and_then(|count| {
                state.runloop.frame = below;
                state.guest_point();
                fill(to, count as usize, wanted.max(1));
                keep(context, state, window, to.read())
            });
            leave(state, result)
        })
    }

    /// Copies the variable arguments of the frame with its registers at `base` to `to`: as many as are wanted, all of them if
    /// that is negative. Returns how many.
    fn lua_varargs(context, window; base: raw Value, to: raw Value, wanted: i64) -> i64 {
        let state = state_of(context);
        let frame = entered_frame(state, base);
        let parameters = (*(*frame).prototype).parameter_count as usize;
        let shift = (*frame).shift as usize;
        let given = shift.saturating_sub(1);
        let extra = given.saturating_sub(parameters);
        let from = base.sub(shift).add(parameters);
        let count = if wanted < 0 { extra } else { wanted as usize };
        let end = to.add(count);
        if end > window && end > state.runloop.limit {
            attempt(context, window, |state| check_room(state, end));
        }
        std::ptr::copy_nonoverlapping(from, to, count.min(extra));
        fill(to, extra, count);
        count as i64
    }

    /// Whether less than half of the value stack is used below `window`.
    fn lua_tail_room(context; window: raw Value) -> i1 {
        let start = state_of(context).runloop.slots.start;
        u64::from(window < start.add(STACK_SLOTS / 2))
    }
}
