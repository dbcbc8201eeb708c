//! The interpreter: the run loop, its slow paths, and the same operations for callers outside of it.
//!
//! ```text
//! run.rs         the loop: one `match` over the operations, fast paths only
//! call.rs        frames: pushing, returning, varargs, tail calls, `State::call`
//! finish.rs      delivering a result to the instruction that a frame was made for
//! arithmetic.rs  compare.rs  access.rs  concat.rs  loops.rs     slow paths
//! ```
//!
//! A slow path has the signature of [`Slow`]: it saves the pc into the frame, does its work and says with a [`Next`] how the loop
//! goes on. A metamethod that is a Lua function is not called: its frame is pushed (`FRAME_FINISH`) and the loop goes on in it;
//! when it returns, `finish` completes the instruction. The Rust stack does not grow with the guest's.
//!
//! The functions that machine code calls back (`State::index`, `arithmetic`, `call`, …) take values and return a result; where they
//! meet a metamethod, they run a nested loop.

use crate::bytecode::{Instruction, UpvalueSource};
use crate::object::LuaClosure;
use crate::state::State;
use crate::value::Value;

pub mod access;
pub mod arithmetic;
pub mod call;
pub mod compare;
pub mod concat;
pub mod finish;
pub mod loops;
pub mod run;

/// Where the loop goes on: at an instruction of the same frame, or one of `RELOAD`, `THROW`, `EXIT`.
pub type Next = *const Instruction;

/// The current frame has changed: load it.
pub const RELOAD: Next = std::ptr::null();
/// An error is on its way ([`State::error_value`]).
pub const THROW: Next = 1 as Next;
/// The loop's first frame has returned; the number of results is in [`State::result_count`].
pub const EXIT: Next = 2 as Next;

/// A slow path. `pc` is behind the instruction.
pub type Slow = unsafe fn(&mut State, Next, *mut Value) -> Next;

/// Copies a value as two words. (A copy as one vector would wait for the two separate stores of a value just computed.)
///
/// # Safety
/// Both must be valid slots.
#[inline(always)]
pub unsafe fn copy(to: *mut Value, from: *const Value) {
    // SAFETY: promised by the caller; volatile reads only keep the two loads apart.
    unsafe {
        let tag = std::ptr::read_volatile(&raw const (*from).tag);
        let payload = std::ptr::read_volatile(&raw const (*from).payload);
        (*to).tag = tag;
        (*to).payload = payload;
    }
}

/// The upvalue `index` of a closure.
///
/// # Safety
/// The closure must be live and have that many upvalues.
#[inline(always)]
pub unsafe fn upvalue(closure: *mut LuaClosure, index: usize) -> *mut Value {
    // SAFETY: the upvalues follow the closure.
    unsafe { closure.add(1).cast::<Value>().add(index) }
}

/// What runs when a unit's counter falls below zero or somebody requests attention: collections, and later the optimizer.
///
/// # Safety
/// Called by the run loop at function entries and back-edges of the current Lua frame.
#[cold]
#[inline(never)]
pub unsafe fn hook(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the current frame is a Lua frame.
    unsafe {
        let frame = state.runloop.frame;
        (*frame).pc = pc;
        let requested = state.heap.requested;
        if requested != 0 && state.collect(state.runloop.top()).is_err() {
            return THROW;
        }
        if requested != 0 && state.is_reload_due(requested) {
            return RELOAD;
        }
        if (*(*frame).prototype).unit.counter < 0 {
            return crate::surmise::enter::counter_fired(state, pc, base);
        }
        pc
    }
}

/// Makes a closure of the running function's child `d` (`Op::Closure`).
///
/// # Safety
/// `base` is the current frame's, `pc` behind its `Closure` instruction.
pub unsafe fn make_closure(state: &mut State, pc: Next, base: *mut Value) {
    // SAFETY: see above; allocation never collects.
    unsafe {
        let instruction = &*pc.sub(1);
        let parent = (*base.sub(1)).as_closure();
        let child = (&(*(*parent).prototype).children)[instruction.d as usize];
        let infos = &(*child).upvalues;
        let closure = state.heap.new_closure(child, infos.len() as u32);
        for (i, info) in infos.iter().enumerate() {
            let to = upvalue(closure, i);
            match info.source {
                UpvalueSource::Register(register) => copy(to, base.add(register as usize)),
                UpvalueSource::Upvalue(index) => copy(to, upvalue(parent, index as usize)),
                UpvalueSource::Itself => to.write(Value::closure(closure)),
            }
        }
        base.add(instruction.a as usize).write(Value::closure(closure));
    }
}
