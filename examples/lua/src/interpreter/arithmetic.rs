//! Arithmetic and bitwise operations off the fast path: mixed numbers, strings that spell numbers, metamethods, errors; and `#`.

use crate::bytecode::{Instruction, Op};
use crate::error::Operand;
use crate::interpreter::call::call_metamethod;
use crate::interpreter::{Next, THROW};
use crate::metamethod::Event;
use crate::number::{self, to_integer};
use crate::object::LuaString;
use crate::state::{State, Throw};
use crate::table;
use crate::value::{Tag, Value};

/// Why a computation has no result by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// An operand is no number.
    Operands,
    /// `// 0` of integers.
    DivideByZero,
    /// `% 0` of integers.
    ModuloByZero,
}

/// Computes without metamethods. In arithmetic, strings that spell numbers count as numbers.
#[inline]
pub fn compute(event: Event, x: Value, y: Value) -> Result<Value, Failure> {
    match event {
        Event::BitAnd
        | Event::BitOr
        | Event::BitXor
        | Event::ShiftLeft
        | Event::ShiftRight
        | Event::BitNot => {
            // Strings are no operands here, whatever they spell.
            let bits = |v: Value| if v.is(Tag::String) { None } else { to_integer(v) };
            let (Some(a), Some(b)) = (bits(x), bits(y)) else { return Err(Failure::Operands) };
            Ok(Value::int(match event {
                Event::BitAnd => a & b,
                Event::BitOr => a | b,
                Event::BitXor => a ^ b,
                Event::ShiftLeft => number::shift_left(a, b),
                Event::ShiftRight => number::shift_left(a, b.saturating_neg()),
                _ => !a,
            }))
        }
        _ => {
            let (Some(x), Some(y)) = (number::to_number(x), number::to_number(y)) else {
                return Err(Failure::Operands);
            };
            if x.is_int() && y.is_int() {
                let (a, b) = (x.as_int(), y.as_int());
                match event {
                    Event::Add => return Ok(Value::int(a.wrapping_add(b))),
                    Event::Sub => return Ok(Value::int(a.wrapping_sub(b))),
                    Event::Mul => return Ok(Value::int(a.wrapping_mul(b))),
                    Event::Negate => return Ok(Value::int(a.wrapping_neg())),
                    Event::FloorDiv if b == 0 => return Err(Failure::DivideByZero),
                    Event::FloorDiv => return Ok(Value::int(number::floor_divide(a, b))),
                    Event::Mod if b == 0 => return Err(Failure::ModuloByZero),
                    Event::Mod => return Ok(Value::int(number::modulo(a, b))),
                    _ => {}
                }
            }
            let float = |v: Value| if v.is_int() { v.as_int() as f64 } else { v.as_float() };
            let (a, b) = (float(x), float(y));
            Ok(Value::float(match event {
                Event::Add => a + b,
                Event::Sub => a - b,
                Event::Mul => a * b,
                Event::Div => a / b,
                Event::Mod => number::float_modulo(a, b),
                Event::Pow => number::power(a, b),
                Event::FloorDiv => (a / b).floor(),
                _ => -a,
            }))
        }
    }
}

/// The operation and operands of an instruction; whether a constant operand was the left one.
unsafe fn decode(
    i: &Instruction,
    base: *mut Value,
    constants: *const Value,
) -> (Event, Value, Value, Operand, Operand, bool) {
    // SAFETY: the instruction is one of the current frame's.
    unsafe {
        let register = |n: u8| (base.add(n as usize).read(), Operand::Register(n));
        let constant = || (constants.offset(i.d as isize).read(), Operand::Constant(i.d as u32));
        let int = || (Value::int(i64::from(i.d)), Operand::None);
        let (event, second) = match i.op {
            Op::Add => (Event::Add, register(i.c)),
            Op::Sub => (Event::Sub, register(i.c)),
            Op::Mul => (Event::Mul, register(i.c)),
            Op::Div => (Event::Div, register(i.c)),
            Op::Mod => (Event::Mod, register(i.c)),
            Op::Pow => (Event::Pow, register(i.c)),
            Op::FloorDiv => (Event::FloorDiv, register(i.c)),
            Op::BitAnd => (Event::BitAnd, register(i.c)),
            Op::BitOr => (Event::BitOr, register(i.c)),
            Op::BitXor => (Event::BitXor, register(i.c)),
            Op::ShiftLeft => (Event::ShiftLeft, register(i.c)),
            Op::ShiftRight => (Event::ShiftRight, register(i.c)),
            Op::AddConstant => (Event::Add, constant()),
            Op::SubConstant => (Event::Sub, constant()),
            Op::MulConstant => (Event::Mul, constant()),
            Op::DivConstant => (Event::Div, constant()),
            Op::ModConstant => (Event::Mod, constant()),
            Op::FloorDivConstant => (Event::FloorDiv, constant()),
            Op::PowConstant => (Event::Pow, constant()),
            Op::BitAndConstant => (Event::BitAnd, constant()),
            Op::BitOrConstant => (Event::BitOr, constant()),
            Op::BitXorConstant => (Event::BitXor, constant()),
            Op::AddInt => (Event::Add, int()),
            Op::SubInt => (Event::Sub, int()),
            Op::ShiftLeftInt => (Event::ShiftLeft, int()),
            Op::ShiftRightInt => (Event::ShiftRight, int()),
            Op::Negate => (Event::Negate, register(i.b)),
            _ => (Event::BitNot, register(i.b)),
        };
        let (x, x_operand) = register(i.b);
        let commutes = matches!(
            i.op,
            Op::AddConstant
                | Op::MulConstant
                | Op::BitAndConstant
                | Op::BitOrConstant
                | Op::BitXorConstant
                | Op::AddInt
        );
        (event, x, second.0, x_operand, second.1, commutes && i.c != 0)
    }
}

/// Every arithmetic or bitwise instruction.
///
/// # Safety
/// A [`super::Slow`] path.
#[cold]
#[inline(never)]
pub unsafe fn slow(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind an instruction of the current Lua frame.
    unsafe {
        let i = &*pc.sub(1);
        let frame = state.runloop.frame;
        (*frame).pc = pc;
        let constants = (*(*frame).prototype).constants.as_ptr();
        let (event, mut x, mut y, mut x_operand, mut y_operand, swapped) = decode(i, base, constants);
        let failure = match compute(event, x, y) {
            Ok(value) => {
                base.add(i.a as usize).write(value);
                return pc;
            }
            Err(failure) => failure,
        };
        if swapped {
            std::mem::swap(&mut x, &mut y);
            std::mem::swap(&mut x_operand, &mut y_operand);
        }
        if failure == Failure::Operands {
            let handler = state.binary_metamethod(event, x, y);
            if !handler.is_nil() {
                return call_metamethod(state, pc, handler, &[x, y]);
            }
        }
        state.arithmetic_error(failure, event, x, y, x_operand, y_operand);
        THROW
    }
}

/// `Length`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow_length(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind an instruction of the current Lua frame.
    unsafe {
        let i = &*pc.sub(1);
        let value = base.add(i.b as usize).read();
        if value.is(Tag::String) {
            base.add(i.a as usize).write(Value::int(LuaString::bytes(value.as_string()).len() as i64));
            return pc;
        }
        (*state.runloop.frame).pc = pc;
        let handler = state.metamethod(value, Event::Length);
        if !handler.is_nil() {
            return call_metamethod(state, pc, handler, &[value, value]);
        }
        if value.is(Tag::Table) {
            base.add(i.a as usize).write(Value::int(table::length(value.as_table())));
            return pc;
        }
        state.type_error_at("get length of", value, Operand::Register(i.b));
        THROW
    }
}

impl State {
    /// The handler of a binary operation: the first operand's, or else the second's.
    pub fn binary_metamethod(&self, event: Event, x: Value, y: Value) -> Value {
        let handler = self.metamethod(x, event);
        if handler.is_nil() { self.metamethod(y, event) } else { handler }
    }

    /// An arithmetic or bitwise operation with everything that belongs to it (unary ones take their operand twice).
    pub fn arithmetic(&mut self, event: Event, x: Value, y: Value) -> Result<Value, Throw> {
        let failure = match compute(event, x, y) {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        if failure == Failure::Operands {
            let handler = self.binary_metamethod(event, x, y);
            if !handler.is_nil() {
                return self.call_one(handler, &[x, y]);
            }
        }
        let (x_operand, y_operand) = self.running_operands();
        Err(self.arithmetic_error(failure, event, x, y, x_operand, y_operand))
    }

    /// The operands of the arithmetic instruction that compiled code is at, in the program's order.
    fn running_operands(&self) -> (Operand, Operand) {
        let Some(level) = self.level(0) else { return (Operand::None, Operand::None) };
        let Some(prototype) = level.prototype() else { return (Operand::None, Operand::None) };
        // SAFETY: the instruction is one of the level's prototype, whose window is at its base.
        let (_, _, _, x, y, swapped) =
            unsafe { decode(&prototype.code[level.pc], level.base, prototype.constants.as_ptr()) };
        if swapped { (y, x) } else { (x, y) }
    }

    /// `#value`.
    pub fn length(&mut self, value: Value) -> Result<Value, Throw> {
        if value.is(Tag::String) {
            return Ok(Value::int(LuaString::bytes(value.as_string()).len() as i64));
        }
        let handler = self.metamethod(value, Event::Length);
        if !handler.is_nil() {
            return self.call_one(handler, &[value, value]);
        }
        if value.is(Tag::Table) {
            return Ok(Value::int(table::length(value.as_table())));
        }
        Err(self.type_error_at("get length of", value, Operand::None))
    }
}
