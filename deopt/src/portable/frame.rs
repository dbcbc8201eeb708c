//! The frame of a portable candidate on the native stack.

use super::activation::Activation;
use crate::context::Context;

/// Words of arguments beyond those that fit into registers. The longest host function takes four boxed pairs, and a few words more.
pub(crate) const STACK_WORDS: usize = 16;
/// Arguments that are passed in integer registers.
pub(crate) const INTEGER_REGISTERS: usize = 6;
/// Arguments that are passed in float registers.
pub(crate) const FLOAT_REGISTERS: usize = 8;

/// A call, as it is to be made: what each register holds before it, and the result registers after it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct CallBlock {
    /// Arguments on the stack, the first at the lowest address.
    pub stack: [u64; STACK_WORDS],
    /// The function.
    pub target: *const u8,
    /// rdi, rsi, rdx, rcx, r8, r9.
    pub integers: [u64; INTEGER_REGISTERS],
    /// xmm0 to xmm7, as bits.
    pub floats: [u64; FLOAT_REGISTERS],
    /// rax and rdx after the call. When the candidate returns, its own results.
    pub results: [u64; 2],
    /// xmm0 after the call, as bits.
    pub float_result: u64,
}

/// A frame, lowest address first; its frame pointer is the address behind it.
#[repr(C)]
pub(crate) struct PortableFrame {
    /// At the stack pointer, so that the stack arguments are where a callee looks for them.
    pub call: CallBlock,
    /// Keeps the size a multiple of 16.
    padding: u64,
    /// The evaluator's side; null until the first step.
    pub activation: *mut Activation,
    /// Not zero: everything was deoptimized. The frame leaves when its call returns.
    pub mark: u64,
    /// How many arguments were passed.
    pub argument_count: u64,
    pub context: *mut Context,
    /// Its window on the guest stack.
    pub window: *mut u8,
}

/// The frame's size in bytes.
pub(crate) const FRAME_SIZE: u32 = size_of::<PortableFrame>() as u32;
const _: () = assert!(FRAME_SIZE.is_multiple_of(16));

/// Homes, in words from the frame pointer.
pub(crate) const WINDOW_HOME: i16 = -1;
pub(crate) const CONTEXT_HOME: i16 = -2;
pub(crate) const ARGUMENT_COUNT_HOME: i16 = -3;
pub(crate) const MARK_HOME: i16 = -4;
pub(crate) const ACTIVATION_HOME: i16 = -5;

impl PortableFrame {
    /// The frame below a frame pointer.
    pub(crate) fn below(frame_pointer: usize) -> *mut PortableFrame {
        (frame_pointer - FRAME_SIZE as usize) as *mut PortableFrame
    }
    /// The frame pointer of a frame.
    pub(crate) fn pointer(frame: *const PortableFrame) -> usize {
        frame as usize + FRAME_SIZE as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn homes_are_where_the_fields_are() {
        for (home, offset) in [
            (WINDOW_HOME, offset_of!(PortableFrame, window)),
            (CONTEXT_HOME, offset_of!(PortableFrame, context)),
            (ARGUMENT_COUNT_HOME, offset_of!(PortableFrame, argument_count)),
            (MARK_HOME, offset_of!(PortableFrame, mark)),
            (ACTIVATION_HOME, offset_of!(PortableFrame, activation)),
        ] {
            assert_eq!(offset as i64, i64::from(FRAME_SIZE) + 8 * i64::from(home));
        }
        assert_eq!(offset_of!(PortableFrame, call), 0);
    }
}
