//! Delivering a result to an instruction that waits for one: a metamethod returned, or compiled code gave up in the middle.

use crate::bytecode::Op;
use crate::interpreter::{THROW, concat};
use crate::stack::Frame;
use crate::state::{State, Throw};
use crate::value::Value;

impl State {
    /// Completes the instruction before the pc of `frame` (the current, Lua frame) with the first result of what it called.
    /// May push a frame: a concatenation can need several metamethods.
    ///
    /// # Safety
    /// The frame must be the current one, its instruction one that calls metamethods.
    pub unsafe fn finish_instruction(&mut self, frame: *mut Frame, value: Value) -> Result<(), Throw> {
        // SAFETY: registers lie in the frame's window; jumps stay inside the code.
        unsafe {
            let pc = (*frame).pc;
            let base = (*frame).base;
            let i = &*pc.sub(1);
            match i.op {
                Op::SetGlobal
                | Op::SetField
                | Op::SetFieldConstant
                | Op::SetIndex
                | Op::SetIndexConstant
                | Op::SetInt => {}
                Op::Equal
                | Op::Less
                | Op::LessEqual
                | Op::LessInt
                | Op::LessEqualInt
                | Op::GreaterInt
                | Op::GreaterEqualInt => {
                    if value.is_falsy() == (i.c & 1 == 0) {
                        (*frame).pc = pc.offset(i.d as isize);
                    }
                }
                // There may be more variables to close: the instruction runs again.
                Op::Close | Op::Return => (*frame).pc = pc.sub(1),
                Op::Concat => {
                    let left = (*frame).top as usize;
                    base.add(i.b as usize + left - 1).write(value);
                    match concat::proceed(self, pc, base, left) {
                        THROW => return Err(Throw),
                        _ => return Ok(()),
                    }
                }
                _ => base.add(i.a as usize).write(value),
            }
            Ok(())
        }
    }
}
