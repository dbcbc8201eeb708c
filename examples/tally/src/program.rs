//! Programs: what the assembler makes, and what the machine makes of it.
//!
//! A frame's *registers* are its locals (the parameters first), then its operand stack. How many operands there are before each
//! instruction is the same on every path to it, so an operand, too, has a fixed register:
//!
//! ```text
//!  callee │ local 0 │ local 1 │ operand 0 │ operand 1 │ …
//! base - 1  base
//! ```

use crate::counters::Plugged;
use crate::value::Text;
use std::sync::Arc;

/// An operation on two values. Its name is the same in programs and in `tally.sir`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Less,
    LessEqual,
    Equal,
    Concat,
}

impl Binary {
    /// All of them.
    pub const ALL: [Binary; 7] = {
        use Binary::*;
        [Add, Sub, Mul, Less, LessEqual, Equal, Concat]
    };
    /// Its name.
    pub fn name(self) -> &'static str {
        ["add", "sub", "mul", "less", "less_equal", "equal", "concat"][self as usize]
    }
}

/// What an instruction does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Pushes an integer.
    PushInt(i64),
    /// Pushes a string of the function.
    PushText(usize),
    /// Pushes a function of the program.
    PushFunction(usize),
    /// Pushes a local.
    Get(u16),
    /// Pops a value into a local.
    Set(u16),
    /// Pops a value.
    Pop,
    /// Pops the right operand, then the left one, and pushes the result.
    Binary(Binary),
    /// Pops a string and pushes how many bytes it has.
    Length,
    /// Goes on elsewhere.
    Jump(usize),
    /// Pops a value and goes on elsewhere if it is true.
    JumpIf(usize),
    /// Pops a value and goes on elsewhere unless it is true.
    JumpUnless(usize),
    /// Pops so many arguments and the function below them, and pushes the function's result.
    Call(u16),
    /// Pops the function's result and leaves it.
    Return,
    /// Pops a value and prints it on a line of its own.
    Print,
}

impl Op {
    /// How many operands it pops, and then pushes.
    pub fn effect(self) -> (u16, u16) {
        match self {
            Op::PushInt(_) | Op::PushText(_) | Op::PushFunction(_) | Op::Get(_) => (0, 1),
            Op::Set(_) | Op::Pop | Op::JumpIf(_) | Op::JumpUnless(_) | Op::Return | Op::Print => (1, 0),
            Op::Binary(_) => (2, 1),
            Op::Length => (1, 1),
            Op::Jump(_) => (0, 0),
            Op::Call(arguments) => (arguments + 1, 1),
        }
    }
    /// Where it may jump to.
    pub fn target(self) -> Option<usize> {
        match self {
            Op::Jump(target) | Op::JumpIf(target) | Op::JumpUnless(target) => Some(target),
            _ => None,
        }
    }
    /// The instructions that may follow it.
    pub fn successors(self, pc: usize) -> impl Iterator<Item = usize> {
        let next = (!matches!(self, Op::Jump(_) | Op::Return)).then_some(pc + 1);
        next.into_iter().chain(self.target())
    }
}

/// An instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What it does.
    pub op: Op,
    /// Its line in the source.
    pub line: u32,
}

/// A function as the assembler made it. Immutable, and without any pointer into a heap.
#[derive(Debug)]
pub struct Code {
    /// Its name.
    pub name: String,
    /// Its position in the program.
    pub number: usize,
    /// Where it begins in the source.
    pub line: u32,
    /// How many of its locals are parameters.
    pub parameters: u16,
    /// How many locals it has.
    pub locals: u16,
    /// How many registers it has: locals and operands.
    pub registers: u16,
    /// Its instructions.
    pub instructions: Vec<Instruction>,
    /// How many operands there are before each instruction; `None` if it can't be reached.
    pub depths: Vec<Option<u16>>,
    /// The strings that it pushes.
    pub texts: Vec<String>,
}

impl Code {
    /// The first free register before an instruction that can be reached: locals and operands are below it.
    pub fn top_at(&self, pc: usize) -> u16 {
        self.locals + self.depths[pc].unwrap_or(0)
    }
}

/// A program. Its first function without parameters that is called `main` is where it starts.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its functions.
    pub functions: Vec<Arc<Code>>,
}

/// A function as an object of the machine. It never moves.
#[repr(C)]
pub struct Function {
    /// What Surmise needs.
    pub plugged: Plugged,
    /// Its code.
    pub code: Arc<Code>,
    /// Its strings.
    pub texts: Vec<Box<Text>>,
}
