//! Random programs in a small register bytecode.

use super::Random;
use super::language::{NIL, boolean, float, int};
use crate::analysis::registers::{Bytecode, LiveRegisters, RegisterSink};
use crate::entity::{Pc, Register, UnitId};
use crate::evaluate::Boxed;

/// What a conditional jump asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    /// Whether the first register is less than the second.
    Less(u16, u16),
    /// Whether the register holds neither nil nor false.
    Truthy(u16),
}

/// An instruction. Numbers are registers, the first one the destination; jump targets are pcs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Code {
    /// A constant (never a cell).
    Constant(u16, Boxed),
    /// A copy.
    Move(u16, u16),
    /// One of the operations `add`, `sub`, `mul`, `div` by name.
    Binary(&'static str, u16, u16, u16),
    /// A new cell that holds the second register's value.
    NewCell(u16, u16),
    /// What the cell in the second register holds; nil for other values.
    Get(u16, u16),
    /// Puts the second register's value into the cell in the first; an error for other values.
    Set(u16, u16),
    /// Shows a register's value to the outside.
    Observe(u16),
    /// Calls a guest function with registers `first..first + count`; the result goes to `result`, if it is wanted.
    Call {
        /// Where the result goes.
        result: Option<u16>,
        /// The first argument.
        first: u16,
        /// How many arguments (at most 2).
        count: u16,
    },
    /// Goes to the pc.
    Jump(u32),
    /// Goes to the pc if the test's answer is this.
    JumpIf(Test, bool, u32),
    /// Leaves with the register's value.
    Return(u16),
}

/// A random program.
#[derive(Clone, PartialEq, Debug)]
pub struct Program {
    /// Its identity: made from the seed.
    pub unit: UnitId,
    /// The instructions.
    pub code: Vec<Code>,
    /// The first registers are its arguments.
    pub parameter_count: u16,
    /// All registers.
    pub register_count: u16,
}

/// Registers that programs compute with; loop counters come after them.
const REGISTERS: u16 = 6;
/// Loops are nested at most this deep, so that programs end soon.
const DEPTH: u16 = 3;

struct Writer<'r> {
    random: &'r mut Random,
    code: Vec<Code>,
    depth: u16,
    counters: u16,
}

impl Program {
    /// The program of a seed, of about `size` instructions. It ends: loops have counters.
    pub fn random(seed: u64, size: usize) -> Program {
        let mut random = Random::new(seed);
        let parameter_count = random.below(3) as u16 + 1;
        let mut writer = Writer { random: &mut random, code: Vec::new(), depth: 0, counters: 0 };
        writer.statements(size);
        let result = writer.register();
        writer.code.push(Code::Return(result));
        let (code, counters) = (writer.code, writer.counters);
        Program { unit: UnitId(seed), code, parameter_count, register_count: REGISTERS + counters * 2 + 3 }
    }
    /// Arguments for the program.
    pub fn random_arguments(&self, random: &mut Random) -> Vec<Boxed> {
        (0..self.parameter_count).map(|_| constant(random)).collect()
    }
    /// Where a call at this program's end of the window puts callee and arguments.
    pub(super) fn call_window(&self) -> Register {
        Register(self.register_count - 3)
    }
    /// Targets of backward jumps.
    pub fn loop_headers(&self) -> Vec<Pc> {
        let target = |(pc, code): (usize, &Code)| match *code {
            Code::Jump(target) | Code::JumpIf(_, _, target) if target as usize <= pc => Some(Pc(target)),
            _ => None,
        };
        self.code.iter().enumerate().filter_map(target).collect()
    }
    /// The registers live around each instruction.
    pub fn live_registers(&self) -> LiveRegisters {
        LiveRegisters::new(self)
    }
}

fn constant(random: &mut Random) -> Boxed {
    match random.below(8) {
        0 => NIL,
        1 => boolean(random.one_in(2)),
        2 | 3 => float(random.float()),
        _ => int(random.integer()),
    }
}

impl Writer<'_> {
    fn register(&mut self) -> u16 {
        self.random.below(REGISTERS.into()) as u16
    }
    fn pc(&self) -> u32 {
        self.code.len() as u32
    }
    fn test(&mut self) -> Test {
        match self.random.one_in(3) {
            true => Test::Truthy(self.register()),
            false => Test::Less(self.register(), self.register()),
        }
    }
    fn statements(&mut self, size: usize) {
        let end = self.code.len() + size;
        while self.code.len() < end {
            let left = end - self.code.len();
            match self.random.below(12) {
                0 | 1 if left > 6 => self.branch(left / 2),
                2 if left > 8 && self.depth < DEPTH => self.repeat(left / 2),
                _ => {
                    let code = self.simple();
                    self.code.push(code);
                }
            }
        }
    }
    fn simple(&mut self) -> Code {
        let (a, b, c) = (self.register(), self.register(), self.register());
        match self.random.below(16) {
            0 | 1 => Code::Constant(a, constant(self.random)),
            2 => Code::Move(a, b),
            3 => Code::NewCell(a, b),
            4 => Code::Get(a, b),
            5 => Code::Observe(a),
            6 => {
                let result = if self.random.one_in(4) { None } else { Some(a) };
                Code::Call { result, first: b.min(REGISTERS - 2), count: self.random.below(3) as u16 }
            }
            7 if self.random.one_in(3) => Code::Set(a, b),
            _ => Code::Binary(self.random.pick::<&str>(&["add", "add", "add", "sub", "mul", "div"]), a, b, c),
        }
    }
    fn branch(&mut self, size: usize) {
        let test = self.test();
        let wanted = self.random.one_in(2);
        let start = self.code.len();
        self.code.push(Code::Jump(0));
        self.statements(size / 2 + 1);
        if self.random.one_in(2) {
            self.code[start] = Code::JumpIf(test, wanted, self.pc());
            return;
        }
        let middle = self.code.len();
        self.code.push(Code::Jump(0));
        self.code[start] = Code::JumpIf(test, wanted, self.pc());
        self.statements(size / 2 + 1);
        self.code[middle] = Code::Jump(self.pc());
    }
    /// Counts down in registers of its own.
    fn repeat(&mut self, size: usize) {
        let (counter, one) = (REGISTERS + self.counters * 2, REGISTERS + self.counters * 2 + 1);
        self.counters += 1;
        self.depth += 1;
        let rounds = self.random.below(5) as i64 + 1;
        self.code.push(Code::Constant(counter, int(rounds)));
        self.code.push(Code::Constant(one, int(1)));
        let header = self.pc();
        self.statements(size);
        self.code.push(Code::Binary("sub", counter, counter, one));
        self.code.push(Code::JumpIf(Test::Less(counter, one), false, header));
        self.depth -= 1;
    }
}

impl Bytecode for Program {
    fn instruction_count(&self) -> u32 {
        self.code.len() as u32
    }
    fn register_count(&self) -> u16 {
        self.register_count
    }
    fn successors(&self, pc: Pc, visit: &mut dyn FnMut(Pc)) {
        match self.code[pc.0 as usize] {
            Code::Return(_) => {}
            Code::Jump(target) => visit(Pc(target)),
            Code::JumpIf(_, _, target) => {
                visit(Pc(pc.0 + 1));
                visit(Pc(target));
            }
            _ => visit(Pc(pc.0 + 1)),
        }
    }
    fn uses(&self, pc: Pc, registers: &mut RegisterSink) {
        let mut use_ = |register: u16| registers.register(Register(register));
        match self.code[pc.0 as usize] {
            Code::Constant(..) | Code::Jump(_) => {}
            Code::Move(_, a) | Code::NewCell(_, a) | Code::Get(_, a) | Code::Observe(a) | Code::Return(a) => {
                use_(a)
            }
            Code::Binary(_, _, a, b) | Code::Set(a, b) | Code::JumpIf(Test::Less(a, b), ..) => {
                use_(a);
                use_(b);
            }
            Code::JumpIf(Test::Truthy(a), ..) => use_(a),
            Code::Call { first, count, .. } => registers.range(Register(first), count),
        }
    }
    fn definitions(&self, pc: Pc, registers: &mut RegisterSink) {
        match self.code[pc.0 as usize] {
            Code::Constant(a, _)
            | Code::Move(a, _)
            | Code::Binary(_, a, ..)
            | Code::NewCell(a, _)
            | Code::Get(a, _) => {
                registers.register(Register(a));
            }
            Code::Call { result: Some(a), .. } => registers.register(Register(a)),
            _ => {}
        }
    }
}
