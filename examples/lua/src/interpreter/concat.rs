//! Concatenation: right to left, as many strings and numbers at once as stand together.

use smallvec::SmallVec;

use crate::error::Operand;
use crate::interpreter::call::call_metamethod;
use crate::interpreter::{Next, THROW};
use crate::metamethod::Event;
use crate::number;
use crate::object::LuaString;
use crate::state::{State, Throw};
use crate::string::MAXIMUM_LENGTH;
use crate::value::{Tag, Value};

#[inline(always)]
fn is_text(value: Value) -> bool {
    value.is(Tag::String) || value.is_int() || value.is_float()
}

/// `Concat`.
///
/// # Safety
/// A [`super::Slow`] path.
#[inline(never)]
pub unsafe fn slow(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: `pc` is behind an instruction of the current Lua frame; operands are temporaries that may be overwritten.
    unsafe {
        let count = (*pc.sub(1)).c as usize;
        proceed(state, pc, base, count)
    }
}

/// Goes on with `left` operands left: `R[b] ..= R[b + left - 1]`.
///
/// # Safety
/// As for [`slow`].
pub unsafe fn proceed(state: &mut State, pc: Next, base: *mut Value, mut left: usize) -> Next {
    // SAFETY: as in `slow`.
    unsafe {
        let i = &*pc.sub(1);
        let operands = base.add(i.b as usize);
        let frame = state.runloop.frame;
        while left > 1 {
            let (x, y) = (operands.add(left - 2).read(), operands.add(left - 1).read());
            if is_text(x) && is_text(y) {
                let mut run = 2;
                while run < left && is_text(*operands.add(left - run - 1)) {
                    run += 1;
                }
                let first = operands.add(left - run);
                (*frame).pc = pc;
                match state.concatenate_run(std::slice::from_raw_parts(first, run)) {
                    Ok(text) => first.write(Value::string(text)),
                    Err(Throw) => return THROW,
                }
                left -= run - 1;
                continue;
            }
            (*frame).pc = pc;
            let handler = state.binary_metamethod(Event::Concat, x, y);
            if handler.is_nil() {
                let register = i.b as usize + left - 2;
                state.concat_error(
                    x,
                    y,
                    Operand::Register(register as u8),
                    Operand::Register(register as u8 + 1),
                );
                return THROW;
            }
            // The result will take the place of the two (see `finish_instruction`).
            (*frame).top = (left - 1) as *mut Value;
            return call_metamethod(state, pc, handler, &[x, y]);
        }
        base.add(i.a as usize).write(operands.read());
        if state.heap.requested != 0 {
            return super::hook(state, pc, base);
        }
        pc
    }
}

impl State {
    /// The string of several strings and numbers.
    pub fn concatenate_run(&mut self, values: &[Value]) -> Result<*mut LuaString, Throw> {
        if let [x, y] = values {
            // Nothing is gained by copying one operand.
            if x.is(Tag::String) && y.is(Tag::String) {
                if LuaString::bytes(y.as_string()).is_empty() {
                    return Ok(x.as_string());
                }
                if LuaString::bytes(x.as_string()).is_empty() {
                    return Ok(y.as_string());
                }
            }
        }
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let mut pieces: SmallVec<[&[u8]; 8]> = SmallVec::new();
        let mut length = 0;
        // Numbers are spelled into the scratch space first: it must not move once pieces point into it.
        text.reserve(values.len() * 32);
        for value in values {
            let piece = if value.is(Tag::String) {
                LuaString::bytes(value.as_string())
            } else {
                let start = text.len();
                number::write(&mut text, *value);
                // SAFETY: room for all numbers was reserved, so the bytes stay where they are.
                unsafe { std::slice::from_raw_parts(text.as_ptr().add(start), text.len() - start) }
            };
            length += piece.len();
            pieces.push(piece);
        }
        let result = if length > MAXIMUM_LENGTH {
            Err(self.runtime_error("string length overflow"))
        } else if length > 4096 && self.heap.would_exceed_limit(length) {
            Err(self.memory_error())
        } else {
            Ok(self.heap.concatenate(&pieces))
        };
        drop(pieces);
        self.scratch = text;
        result
    }

    /// `x .. y`.
    pub fn concat(&mut self, x: Value, y: Value) -> Result<Value, Throw> {
        self.concat_at(x, y, 0)
    }

    /// `x .. y`, as the operands of the running concatenation from the `place`-th on, for compiled code.
    pub fn concat_at(&mut self, x: Value, y: Value, place: u8) -> Result<Value, Throw> {
        if is_text(x) && is_text(y) {
            return self.concatenate_run(&[x, y]).map(Value::string);
        }
        let handler = self.binary_metamethod(Event::Concat, x, y);
        if handler.is_nil() {
            return Err(self.concat_error(
                x,
                y,
                Operand::Concatenated(place),
                Operand::Concatenated(place + 1),
            ));
        }
        self.call_one(handler, &[x, y])
    }
}
