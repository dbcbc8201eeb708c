//! The run loop: one `match` over the operations, with the fast path of each.
//!
//! `pc`, `base`, `constants` and `prototype` are locals that the compiler keeps in registers; everything else is in the frame. A slow
//! path is a call that takes `pc` and `base` and returns the next `pc`, or one of three small numbers ([`RELOAD`], [`THROW`],
//! [`EXIT`]): one comparison at the site, and the rest of the loop's state survives in callee-saved registers.
//!
//! The operations are dispatched by one indirect jump through the table that the compiler makes of the `match`. Measured against
//! it, on loops of a dozen of these operations: handlers of the same code in a table, each ending in a call of the next one,
//! which the compiler turned into jumps. A loop over array elements with unpredictable branches took 12 % less time that way, one of
//! arithmetic took 24 % more. That is no gain to pay for with what stable Rust does not promise: that the calls become
//! jumps in every profile (the stack would overflow where they don't).

use crate::bytecode::{Instruction, Op, Prototype};
use crate::cache::{CACHE_EVENT_KEY, CacheKind};
use crate::hooks::trace;
use crate::interpreter::{
    EXIT, Next, RELOAD, THROW, access, arithmetic, call, compare, concat, copy, hook, loops, make_closure,
    upvalue,
};
use crate::number;
use crate::object::{Buffer, Header, Table};
use crate::stack::{FRAME_NATIVE, FRAME_RELOADS, Frame, Runloop};
use crate::state::{Call, FRAMES_CHANGED, State, Throw};
use crate::surmise::enter::call_compiled;
use crate::surmise::facts::log_instruction;
use crate::table;
use crate::unit::UNIT_LOGGED;
use crate::value::{Tag, Value};

const NIL: u64 = Tag::Nil as u64;
const INT: u64 = Tag::Int as u64;
const FLOAT: u64 = Tag::Float as u64;
const STRING: u64 = Tag::String as u64;
const TABLE: u64 = Tag::Table as u64;
const CLOSURE: u64 = Tag::LuaClosure as u64;
const NATIVE: u64 = Tag::Native as u64;

/// The word at the start of a `Call` that wants exactly one result, without its `a` and `b`.
const CALL_FOR_ONE: u32 = Op::Call as u32 | 2 << 24;
/// What of an instruction's first word `CALL_FOR_ONE` speaks about.
const CALL_MASK: u32 = 0xff00_00ff;

/// The number that a value is, as a float.
#[inline(always)]
unsafe fn float_of(value: *const Value, to: &mut f64) -> bool {
    // SAFETY: the caller gives a valid slot.
    unsafe {
        if (*value).tag == FLOAT {
            *to = f64::from_bits((*value).payload);
            true
        } else if (*value).tag == INT {
            *to = (*value).payload as i64 as f64;
            true
        } else {
            false
        }
    }
}

/// Whether somebody wants to know of each instruction of a frame: the type log, a hook, a limit on steps. (While one unit is being
/// logged most instructions are others', at full speed.)
#[inline(always)]
unsafe fn is_observed(state: &State, prototype: *const Prototype) -> bool {
    // SAFETY: the caller gives a prototype that is alive.
    let is_logged = unsafe { (*prototype).unit.flags & UNIT_LOGGED != 0 };
    is_logged | state.all_observed
}

/// Tells those who want to know of the next instruction.
///
/// # Safety
/// The current frame is a Lua frame of the prototype at `pc`.
#[cold]
#[inline(never)]
unsafe fn observe(
    state: &mut State,
    pc: Next,
    base: *mut Value,
    prototype: *mut Prototype,
) -> Result<(), Throw> {
    // SAFETY: the function's contract.
    unsafe {
        if (*prototype).unit.flags & UNIT_LOGGED != 0 {
            log_instruction(state, pc, base, prototype);
        }
        if state.steps_left.is_some() {
            state.take_step(pc)?;
        }
        if state.runloop.hooks.is_on() { trace(state, pc) } else { Ok(()) }
    }
}

/// [`run`] gives this instead of a number of results when the other instantiation has to take over.
const SWITCH: u32 = u32::MAX;

/// Runs from the current frame on until the frame `entry` has returned; the number of its results, which are at its function's
/// slot. Frames that somebody observes run in the observing loop.
///
/// # Safety
/// The current frame must be complete, `entry` at or below it and marked `FRAME_FRESH`.
pub unsafe fn run_loop(state: &mut State, entry: *mut Frame) -> Result<u32, Throw> {
    loop {
        // SAFETY: handed on.
        let result = unsafe {
            match is_observed(state, (*state.runloop.frame).prototype) {
                true => run::<true>(state, entry),
                false => run::<false>(state, entry),
            }
        };
        match result {
            Ok(SWITCH) => {}
            result => return result,
        }
    }
}

/// Runs from the current frame on until the frame `entry` has returned; the number of its results, which are at its function's
/// slot. `LOG` runs frames that are observed: each instruction is told to whom it concerns.
///
/// Which of the two is to run is looked at where a frame is loaded, which costs the other loop nothing: what it does not load anew it
/// need not look at. Units that are logged have their counters run out at each turn, and what is called from a frame that is
/// observed comes back to it by way of [`FRAME_RELOADS`].
///
/// # Safety
/// The current frame must be complete, `entry` at or below it and marked `FRAME_FRESH`.
#[allow(clippy::cognitive_complexity, reason = "one arm per operation; each is a few lines")]
unsafe fn run<const LOG: bool>(state: &mut State, entry: *mut Frame) -> Result<u32, Throw> {
    // SAFETY: registers named by an instruction lie in the frame's window, constants and caches in its prototype; the compiler
    // guarantees that, as well as that jumps stay inside the code. Heap objects are live while they are in a window, and
    // nothing moves between two safepoints. Tags are checked before payloads are used.
    unsafe {
        'frames: loop {
            let mut prototype = (*state.runloop.frame).prototype;
            if is_observed(state, prototype) != LOG {
                return Ok(SWITCH);
            }
            let mut pc = (*state.runloop.frame).pc;
            let mut base = (*state.runloop.frame).base;
            let mut constants = (*prototype).constants.as_ptr();

            macro_rules! leave {
                ($next:expr) => {{
                    let next: Next = $next;
                    if next == THROW {
                        match state.catch(entry) {
                            Ok(RELOAD) => {}
                            Ok(_) => return Ok(state.result_count),
                            Err(Throw) => return Err(Throw),
                        }
                    } else if next == EXIT {
                        return Ok(state.result_count);
                    }
                    continue 'frames;
                }};
            }
            // Takes a slow path.
            macro_rules! slow {
                ($function:path) => {{
                    let next = $function(state, pc, base);
                    if (next as usize) <= EXIT as usize {
                        leave!(next);
                    }
                    pc = next;
                }};
            }
            // Collects, if somebody has asked for it.
            macro_rules! safepoint {
                () => {
                    if state.heap.requested != 0 {
                        slow!(hook);
                    }
                };
            }
            // Counts a back-edge and looks for requests.
            macro_rules! back_edge {
                () => {
                    (*prototype).unit.counter -= 1;
                    // One branch for both.
                    if u8::from((*prototype).unit.counter < 0) | state.heap.requested != 0 {
                        slow!(hook);
                    }
                };
            }

            loop {
                if LOG && observe(state, pc, base, prototype).is_err() {
                    leave!(THROW);
                }
                let i: &Instruction = &*pc;
                pc = pc.add(1);

                macro_rules! reg {
                    ($n:expr) => {
                        base.add($n as usize)
                    };
                }
                macro_rules! jump_if {
                    ($condition:expr, $wanted:expr) => {{
                        let (condition, wanted): (bool, bool) = ($condition, $wanted);
                        if condition == wanted {
                            pc = pc.offset(i.d as isize);
                        }
                    }};
                }
                macro_rules! set_int {
                    ($a:expr, $value:expr) => {{
                        let value: i64 = $value;
                        let to = reg!($a);
                        (*to).tag = INT;
                        (*to).payload = value as u64;
                    }};
                }
                macro_rules! set_float {
                    ($a:expr, $value:expr) => {{
                        let value: f64 = $value;
                        let to = reg!($a);
                        (*to).tag = FLOAT;
                        (*to).payload = value.to_bits();
                    }};
                }
                // An operation on two numbers that is the same for both kinds of operands.
                macro_rules! arithmetic {
                    ($y:expr, $int:expr, $float:expr) => {{
                        let (x, y): (*const Value, *const Value) = (reg!(i.b), $y);
                        if (*x).tag == INT && (*y).tag == INT {
                            set_int!(i.a, $int((*x).payload as i64, (*y).payload as i64));
                            continue;
                        }
                        if (*x).tag == FLOAT && (*y).tag == FLOAT {
                            set_float!(i.a, $float((*x).as_float(), (*y).as_float()));
                            continue;
                        }
                        let (mut a, mut b) = (0.0, 0.0);
                        if float_of(x, &mut a) && float_of(y, &mut b) {
                            set_float!(i.a, $float(a, b));
                            continue;
                        }
                        slow!(arithmetic::slow);
                    }};
                }
                // One that always makes a float.
                macro_rules! float_arithmetic {
                    ($y:expr, $float:expr) => {{
                        let (mut a, mut b) = (0.0, 0.0);
                        if float_of(reg!(i.b), &mut a) && float_of($y, &mut b) {
                            set_float!(i.a, $float(a, b));
                            continue;
                        }
                        slow!(arithmetic::slow);
                    }};
                }
                // Division and modulo: not by zero.
                macro_rules! division {
                    ($y:expr, $int:expr, $float:expr) => {{
                        let (x, y): (*const Value, *const Value) = (reg!(i.b), $y);
                        if (*x).tag == INT && (*y).tag == INT && (*y).payload != 0 {
                            set_int!(i.a, $int((*x).payload as i64, (*y).payload as i64));
                            continue;
                        }
                        if (*x).tag == FLOAT && (*y).tag == FLOAT {
                            set_float!(i.a, $float((*x).as_float(), (*y).as_float()));
                            continue;
                        }
                        slow!(arithmetic::slow);
                    }};
                }
                macro_rules! bitwise {
                    ($y:expr, $int:expr) => {{
                        let (x, y): (*const Value, *const Value) = (reg!(i.b), $y);
                        if (*x).tag == INT && (*y).tag == INT {
                            set_int!(i.a, $int((*x).payload as i64, (*y).payload as i64));
                            continue;
                        }
                        slow!(arithmetic::slow);
                    }};
                }
                macro_rules! compare {
                    ($operator:tt) => {{
                        let (x, y) = (reg!(i.a), reg!(i.b));
                        if (*x).tag == INT && (*y).tag == INT {
                            jump_if!(((*x).payload as i64) $operator ((*y).payload as i64), i.c != 0);
                        } else if (*x).tag == FLOAT && (*y).tag == FLOAT {
                            jump_if!(f64::from_bits((*x).payload) $operator f64::from_bits((*y).payload), i.c != 0);
                        } else {
                            slow!(compare::slow_order);
                        }
                    }};
                }
                macro_rules! compare_int {
                    ($operator:tt) => {{
                        let x = reg!(i.a);
                        if (*x).tag == INT {
                            jump_if!(((*x).payload as i64) $operator i64::from(i.b as i8), i.c & 1 != 0);
                        } else if (*x).tag == FLOAT {
                            jump_if!(f64::from_bits((*x).payload) $operator f64::from(i.b as i8), i.c & 1 != 0);
                        } else {
                            slow!(compare::slow_order);
                        }
                    }};
                }
                macro_rules! constant {
                    ($n:expr) => {
                        constants.offset($n as isize)
                    };
                }
                macro_rules! cache {
                    ($n:expr) => {
                        &mut *(*prototype).caches.as_mut_ptr().offset($n as isize)
                    };
                }
                // A named property of a table, when the cache knows the shape.
                macro_rules! get_field {
                    ($object:expr, $slow:path) => {{
                        let object: *const Value = $object;
                        if (*object).tag == TABLE {
                            let object = (*object).payload as *mut Table;
                            let cache = cache!(i.d);
                            if (*object).shape == cache.shape {
                                let value = Buffer::values((*object).slots).add(cache.slot as usize);
                                if (*value).tag != NIL {
                                    copy(reg!(i.a), value);
                                    continue;
                                }
                            }
                        }
                        slow!($slow);
                    }};
                }
                macro_rules! set_field {
                    ($object:expr, $value:expr, $slow:path) => {{
                        let object: *const Value = $object;
                        let value: *const Value = $value;
                        if (*object).tag == TABLE {
                            let object = (*object).payload as *mut Table;
                            let cache = cache!(i.d);
                            if (*object).shape == cache.shape && cache.flags & CACHE_EVENT_KEY == 0 {
                                let slot = Buffer::values((*object).slots).add(cache.slot as usize);
                                if (*slot).tag != NIL && (*value).tag != NIL {
                                    copy(slot, value);
                                    state.heap.barrier_value(object as *mut Header, *value);
                                    continue;
                                }
                            }
                        }
                        slow!($slow);
                    }};
                }
                macro_rules! get_element {
                    ($object:expr, $index:expr, $slow:path) => {{
                        let object: *const Value = $object;
                        let place = ($index as u64).wrapping_sub(1);
                        if (*object).tag == TABLE {
                            let object = (*object).payload as *mut Table;
                            if place < u64::from((*object).array_length) {
                                let value = Buffer::values((*object).array).add(place as usize);
                                if (*value).tag != NIL {
                                    copy(reg!(i.a), value);
                                    continue;
                                }
                            }
                        }
                        slow!($slow);
                    }};
                }
                // Overwriting an element with anything but nil; a new one is the slow path's.
                macro_rules! set_element {
                    ($object:expr, $index:expr, $value:expr, $slow:path) => {{
                        let object: *const Value = $object;
                        let place = ($index as u64).wrapping_sub(1);
                        let value: *const Value = $value;
                        if (*object).tag == TABLE && (*value).tag != NIL {
                            let object = (*object).payload as *mut Table;
                            let length = u64::from((*object).array_length);
                            if place < length {
                                let slot = Buffer::values((*object).array).add(place as usize);
                                if (*slot).tag != NIL {
                                    copy(slot, value);
                                    state.heap.barrier_element(object, place as usize, *value);
                                    continue;
                                }
                            } else if place == length && (*object).metatable.is_null() {
                                table::append(&mut state.heap, object, *value);
                                safepoint!();
                                continue;
                            }
                        }
                        slow!($slow);
                    }};
                }

                match i.op {
                    Op::Move => copy(reg!(i.a), reg!(i.b)),
                    Op::LoadNil => {
                        for n in 0..=i.b as usize {
                            reg!(i.a).add(n).write(Value::NIL);
                        }
                    }
                    Op::LoadBool => reg!(i.a).write(Value::bool(i.b != 0)),
                    Op::LoadFalseSkip => {
                        reg!(i.a).write(Value::FALSE);
                        pc = pc.add(1);
                    }
                    Op::LoadInt => set_int!(i.a, i64::from(i.d)),
                    Op::LoadConstant => copy(reg!(i.a), constant!(i.d)),
                    Op::GetUpvalue => {
                        copy(reg!(i.a), upvalue((*base.sub(1)).payload as *mut _, i.b as usize))
                    }
                    Op::GetUpvalueCell => {
                        let cell = (*upvalue((*base.sub(1)).payload as *mut _, i.b as usize)).as_cell();
                        copy(reg!(i.a), &raw const (*cell).value);
                    }
                    Op::SetUpvalueCell => {
                        let cell = (*upvalue((*base.sub(1)).payload as *mut _, i.b as usize)).as_cell();
                        copy(&raw mut (*cell).value, reg!(i.a));
                        state.heap.barrier_value(cell as *mut Header, *reg!(i.a));
                    }
                    Op::NewCell => {
                        let cell = state.heap.new_cell(*reg!(i.a));
                        reg!(i.a).write(Value::cell(cell));
                        safepoint!();
                    }
                    Op::GetCell => {
                        let cell = (*reg!(i.b)).as_cell();
                        copy(reg!(i.a), &raw const (*cell).value);
                    }
                    Op::SetCell => {
                        let cell = (*reg!(i.a)).as_cell();
                        copy(&raw mut (*cell).value, reg!(i.b));
                        state.heap.barrier_value(cell as *mut Header, *reg!(i.b));
                    }

                    Op::GetGlobal | Op::GetUpvalueField => get_field!(
                        upvalue((*base.sub(1)).payload as *mut _, i.b as usize),
                        access::slow_get_upvalue_field
                    ),
                    Op::SetGlobal => set_field!(
                        upvalue((*base.sub(1)).payload as *mut _, i.b as usize),
                        reg!(i.a),
                        access::slow_set_field
                    ),
                    Op::GetField => get_field!(reg!(i.b), access::slow_get_field),
                    Op::SetField => set_field!(reg!(i.a), reg!(i.b), access::slow_set_field),
                    Op::SetFieldConstant => set_field!(
                        reg!(i.a),
                        constant!(i.b as usize | (i.c as usize) << 8),
                        access::slow_set_field
                    ),
                    Op::GetIndex => {
                        let key = reg!(i.c);
                        if (*key).tag == INT {
                            get_element!(reg!(i.b), (*key).payload, access::slow_get_int);
                        } else {
                            slow!(access::slow_get_index);
                        }
                    }
                    Op::SetIndex => {
                        let key = reg!(i.b);
                        if (*key).tag == INT {
                            set_element!(reg!(i.a), (*key).payload, reg!(i.c), access::slow_set_index);
                        } else {
                            slow!(access::slow_set_index);
                        }
                    }
                    Op::SetIndexConstant => {
                        let key = reg!(i.b);
                        if (*key).tag == INT {
                            set_element!(reg!(i.a), (*key).payload, constant!(i.d), access::slow_set_index);
                        } else {
                            slow!(access::slow_set_index);
                        }
                    }
                    Op::GetInt => get_element!(reg!(i.b), i64::from(i.d), access::slow_get_int),
                    Op::SetInt => {
                        set_element!(reg!(i.a), i64::from(i.d), reg!(i.b), access::slow_set_index)
                    }
                    Op::GetMethod => {
                        let object = reg!(i.b);
                        if (*object).tag == TABLE {
                            let table = (*object).payload as *mut Table;
                            let cache = cache!(i.d);
                            let mut value = std::ptr::null_mut::<Value>();
                            if (*table).shape == cache.through {
                                // An inherited slot is never nil as long as the epoch lasts.
                                if cache.kind == CacheKind::Inherited && cache.epoch == state.heap.class_epoch
                                {
                                    value = Buffer::values((*cache.holder).slots).add(cache.slot as usize);
                                }
                            } else if (*table).shape == cache.shape {
                                value = Buffer::values((*table).slots).add(cache.slot as usize);
                                if (*value).tag == NIL {
                                    value = std::ptr::null_mut();
                                }
                            }
                            if !value.is_null() {
                                copy(reg!(i.a as usize + 1), object);
                                copy(reg!(i.a), value);
                                continue;
                            }
                        }
                        slow!(access::slow_get_method);
                    }
                    Op::NewTable => {
                        let table = state.heap.new_table(i.d as u32, u32::from(i.c));
                        reg!(i.a).write(Value::table(table));
                        safepoint!();
                    }
                    Op::SetList => slow!(access::set_list),

                    Op::Add => arithmetic!(reg!(i.c), i64::wrapping_add, |a: f64, b: f64| a + b),
                    Op::Sub => arithmetic!(reg!(i.c), i64::wrapping_sub, |a: f64, b: f64| a - b),
                    Op::Mul => arithmetic!(reg!(i.c), i64::wrapping_mul, |a: f64, b: f64| a * b),
                    Op::Div => float_arithmetic!(reg!(i.c), |a: f64, b: f64| a / b),
                    Op::Mod => division!(reg!(i.c), number::modulo, number::float_modulo),
                    Op::Pow => float_arithmetic!(reg!(i.c), number::power),
                    Op::FloorDiv => {
                        division!(reg!(i.c), number::floor_divide, |a: f64, b: f64| (a / b).floor())
                    }
                    Op::BitAnd => bitwise!(reg!(i.c), |a: i64, b: i64| a & b),
                    Op::BitOr => bitwise!(reg!(i.c), |a: i64, b: i64| a | b),
                    Op::BitXor => bitwise!(reg!(i.c), |a: i64, b: i64| a ^ b),
                    Op::ShiftLeft => bitwise!(reg!(i.c), number::shift_left),
                    Op::ShiftRight => {
                        bitwise!(reg!(i.c), |a: i64, b: i64| number::shift_left(a, b.saturating_neg()))
                    }
                    Op::AddConstant => arithmetic!(constant!(i.d), i64::wrapping_add, |a: f64, b: f64| a + b),
                    Op::SubConstant => arithmetic!(constant!(i.d), i64::wrapping_sub, |a: f64, b: f64| a - b),
                    Op::MulConstant => arithmetic!(constant!(i.d), i64::wrapping_mul, |a: f64, b: f64| a * b),
                    Op::DivConstant => float_arithmetic!(constant!(i.d), |a: f64, b: f64| a / b),
                    Op::ModConstant => division!(constant!(i.d), number::modulo, number::float_modulo),
                    Op::FloorDivConstant => {
                        division!(constant!(i.d), number::floor_divide, |a: f64, b: f64| (a / b).floor())
                    }
                    Op::PowConstant => float_arithmetic!(constant!(i.d), number::power),
                    Op::BitAndConstant => bitwise!(constant!(i.d), |a: i64, b: i64| a & b),
                    Op::BitOrConstant => bitwise!(constant!(i.d), |a: i64, b: i64| a | b),
                    Op::BitXorConstant => bitwise!(constant!(i.d), |a: i64, b: i64| a ^ b),
                    Op::AddInt => {
                        let x = reg!(i.b);
                        if (*x).tag == INT {
                            set_int!(i.a, ((*x).payload as i64).wrapping_add(i64::from(i.d)));
                        } else if (*x).tag == FLOAT {
                            set_float!(i.a, (*x).as_float() + f64::from(i.d));
                        } else {
                            slow!(arithmetic::slow);
                        }
                    }
                    Op::SubInt => {
                        let x = reg!(i.b);
                        if (*x).tag == INT {
                            set_int!(i.a, ((*x).payload as i64).wrapping_sub(i64::from(i.d)));
                        } else if (*x).tag == FLOAT {
                            set_float!(i.a, (*x).as_float() - f64::from(i.d));
                        } else {
                            slow!(arithmetic::slow);
                        }
                    }
                    Op::ShiftLeftInt => {
                        let x = reg!(i.b);
                        if (*x).tag == INT {
                            set_int!(i.a, ((*x).payload << (i.d & 63)) as i64);
                        } else {
                            slow!(arithmetic::slow);
                        }
                    }
                    Op::ShiftRightInt => {
                        let x = reg!(i.b);
                        if (*x).tag == INT {
                            set_int!(i.a, ((*x).payload >> (i.d & 63)) as i64);
                        } else {
                            slow!(arithmetic::slow);
                        }
                    }
                    Op::Negate => {
                        let x = reg!(i.b);
                        if (*x).tag == INT {
                            set_int!(i.a, ((*x).payload as i64).wrapping_neg());
                        } else if (*x).tag == FLOAT {
                            set_float!(i.a, -(*x).as_float());
                        } else {
                            slow!(arithmetic::slow);
                        }
                    }
                    Op::Not => {
                        let falsy = (*reg!(i.b)).is_falsy();
                        reg!(i.a).write(Value::bool(falsy));
                    }
                    Op::Length => {
                        let x = reg!(i.b);
                        if (*x).tag == TABLE && (*(*x).as_table()).metatable.is_null() {
                            set_int!(i.a, table::length((*x).as_table()));
                        } else {
                            slow!(arithmetic::slow_length);
                        }
                    }
                    Op::BitNot => {
                        let x = reg!(i.b);
                        if (*x).tag == INT {
                            set_int!(i.a, !(*x).payload as i64);
                        } else {
                            slow!(arithmetic::slow);
                        }
                    }
                    Op::Concat => slow!(concat::slow),

                    Op::Jump => pc = pc.offset(i.d as isize),
                    Op::JumpBack => {
                        pc = pc.offset(i.d as isize);
                        back_edge!();
                    }
                    Op::Test => jump_if!((*reg!(i.a)).is_falsy(), i.c == 0),
                    Op::TestSet => {
                        let x = reg!(i.b);
                        if (*x).is_falsy() == (i.c == 0) {
                            copy(reg!(i.a), x);
                            pc = pc.offset(i.d as isize);
                        }
                    }
                    Op::Equal => {
                        let (x, y) = (reg!(i.a), reg!(i.b));
                        if (*x).tag == (*y).tag && (*x).tag != FLOAT && (*x).payload == (*y).payload {
                            jump_if!(true, i.c != 0);
                        } else if (*x).tag == INT && (*y).tag == INT {
                            jump_if!(false, i.c != 0);
                        } else {
                            slow!(compare::slow_equal);
                        }
                    }
                    Op::Less => compare!(<),
                    Op::LessEqual => compare!(<=),
                    Op::EqualConstant => {
                        let (x, y) = (reg!(i.a), constant!(i.b));
                        if (*x).tag == (*y).tag && (*x).tag != FLOAT {
                            // Constant strings are interned when they are short; long ones are compared out of line.
                            if (*x).payload == (*y).payload {
                                jump_if!(true, i.c != 0);
                            } else if (*x).tag == STRING {
                                slow!(compare::slow_equal_constant);
                            } else {
                                jump_if!(false, i.c != 0);
                            }
                        } else if (*x).tag == INT || (*x).tag == FLOAT {
                            slow!(compare::slow_equal_constant);
                        } else {
                            jump_if!(false, i.c != 0);
                        }
                    }
                    Op::EqualInt => {
                        let x = reg!(i.a);
                        if (*x).tag == INT {
                            jump_if!((*x).payload as i64 == i64::from(i.b as i8), i.c != 0);
                        } else if (*x).tag == FLOAT {
                            jump_if!((*x).as_float() == f64::from(i.b as i8), i.c != 0);
                        } else {
                            jump_if!(false, i.c != 0);
                        }
                    }
                    Op::LessInt => compare_int!(<),
                    Op::LessEqualInt => compare_int!(<=),
                    Op::GreaterInt => compare_int!(>),
                    Op::GreaterEqualInt => compare_int!(>=),

                    Op::Call => {
                        // A run loop stays on its native stack, which belongs to one line of execution.
                        let runloop: *mut Runloop = &raw mut state.runloop.runloop;
                        let function = reg!(i.a);
                        let count = if i.b != 0 {
                            i.b as usize - 1
                        } else {
                            (*runloop).open_top.offset_from(function) as usize - 1
                        };
                        if (*function).tag == CLOSURE {
                            let callee = (*(*function).as_closure()).prototype;
                            let new_base = function.add(1);
                            let end = new_base.add((*callee).register_count as usize);
                            if (*callee).unit.entry.is_compiled() {
                                slow!(call_compiled);
                                continue;
                            }
                            if !(*callee).is_vararg && end <= (*runloop).limit {
                                let mut given = count;
                                while given < (*callee).parameter_count as usize {
                                    new_base.add(given).write(Value::NIL);
                                    given += 1;
                                }
                                let frame = (*runloop).frame;
                                (*frame).pc = pc;
                                let frame = frame.add(1);
                                (*frame).base = new_base;
                                (*frame).prototype = callee;
                                (*frame).flags = if LOG { FRAME_RELOADS } else { 0 };
                                (*frame).shift = 0;
                                (*runloop).frame = frame;
                                prototype = callee;
                                base = new_base;
                                pc = (*callee).code.as_ptr();
                                constants = (*callee).constants.as_ptr();
                                (*callee).unit.counter -= 1;
                                if (*callee).unit.counter < 0 {
                                    slow!(hook);
                                }
                                if LOG {
                                    (*(*runloop).frame).pc = pc;
                                    continue 'frames;
                                }
                                continue;
                            }
                        } else if (*function).tag == NATIVE && !(LOG && state.runloop.hooks.is_on()) {
                            let frame = (*runloop).frame;
                            (*frame).pc = pc;
                            let inner = frame.add(1);
                            let arguments = function.add(1);
                            (*inner).base = arguments;
                            (*inner).prototype = std::ptr::null_mut();
                            (*inner).flags = FRAME_NATIVE;
                            (*inner).shift = 0;
                            (*inner).top = arguments.add(count);
                            (*runloop).frame = inner;
                            let entry = (*(*function).as_native()).entry;
                            match entry(state, Call { base: arguments, count: count as u32 }) {
                                Ok(results) if results != FRAMES_CHANGED => {
                                    (*runloop).frame = frame;
                                    if i.c == 2 {
                                        if results == 0 {
                                            function.write(Value::NIL);
                                        }
                                        safepoint!();
                                        continue;
                                    }
                                    call::deliver(state, function, results, i32::from(i.c) - 1);
                                    if state.heap.requested != 0 {
                                        slow!(call::collect_after_call);
                                    }
                                    continue;
                                }
                                Ok(_) => leave!(RELOAD),
                                Err(Throw) => leave!(THROW),
                            }
                        }
                        slow!(call::call_slow);
                    }
                    Op::TailCall => leave!(call::tail_call(state, pc, base)),
                    Op::Return => slow!(call::return_slow),
                    Op::ReturnNone => {
                        let runloop: *mut Runloop = &raw mut state.runloop.runloop;
                        let frame = (*runloop).frame;
                        if (*frame).flags | (*frame).shift == 0 {
                            let caller = frame.sub(1);
                            let to = (*caller).pc;
                            // No result wanted: the usual case.
                            if (*to.sub(1)).op as u8 == Op::Call as u8 && (*to.sub(1)).c == 1 {
                                (*runloop).frame = caller;
                                if LOG {
                                    continue 'frames;
                                }
                                pc = to;
                                base = (*caller).base;
                                prototype = (*caller).prototype;
                                constants = (*prototype).constants.as_ptr();
                                continue;
                            }
                        }
                        leave!(call::return_values(state, base, 0));
                    }
                    Op::ReturnOne => {
                        let runloop: *mut Runloop = &raw mut state.runloop.runloop;
                        let frame = (*runloop).frame;
                        let value = reg!(i.a);
                        if (*frame).flags | (*frame).shift == 0 {
                            let caller = frame.sub(1);
                            let to = (*caller).pc;
                            if (to.sub(1) as *const u32).read() & CALL_MASK == CALL_FOR_ONE {
                                copy(base.sub(1), value);
                                (*runloop).frame = caller;
                                if LOG {
                                    continue 'frames;
                                }
                                pc = to;
                                base = (*caller).base;
                                prototype = (*caller).prototype;
                                constants = (*prototype).constants.as_ptr();
                                continue;
                            }
                        }
                        leave!(call::return_values(state, value, 1));
                    }

                    Op::ForPrepare => slow!(loops::for_prepare),
                    Op::ForLoop => {
                        let index = reg!(i.a);
                        if (*index).tag == INT {
                            let left = (*index.add(1)).payload;
                            if left != 0 {
                                let next = ((*index).payload).wrapping_add((*index.add(2)).payload);
                                (*index.add(1)).payload = left - 1;
                                (*index).payload = next;
                                (*index.add(3)).tag = INT;
                                (*index.add(3)).payload = next;
                                pc = pc.offset(i.d as isize);
                                back_edge!();
                            }
                        } else {
                            let step = (*index.add(2)).as_float();
                            let next = (*index).as_float() + step;
                            let limit = (*index.add(1)).as_float();
                            if if step > 0.0 { next <= limit } else { limit <= next } {
                                (*index).payload = next.to_bits();
                                (*index.add(3)).tag = FLOAT;
                                (*index.add(3)).payload = next.to_bits();
                                pc = pc.offset(i.d as isize);
                                back_edge!();
                            }
                        }
                    }
                    Op::ForGenericPrepare => slow!(loops::for_generic_prepare),
                    Op::ForCall => slow!(loops::for_call),
                    Op::ForGenericLoop => {
                        let control = reg!(i.a as usize + 4);
                        if (*control).tag != NIL {
                            copy(reg!(i.a as usize + 2), control);
                            pc = pc.offset(i.d as isize);
                            back_edge!();
                        }
                    }
                    Op::Closure => {
                        make_closure(state, pc, base);
                        safepoint!();
                    }
                    Op::VarArg => slow!(call::var_arg),
                    Op::ToBeClosed => slow!(loops::to_be_closed),
                    Op::Close => slow!(loops::close),
                }
            }
        }
    }
}
