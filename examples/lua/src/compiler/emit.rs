//! The function under construction: instructions, registers, constants, jumps and the lives of locals.

use rustc_hash::FxHashMap;

use super::{Constant, Function, Generate, Generator, TooManyRegisters};
use crate::ast::*;
use crate::bytecode::{Instruction, LocalInfo, Op};
use crate::lexer::symbols::Symbol;

/// Registers that a function may use: numbers are bytes, and the count must be one, too.
const MAX_REGISTERS: u32 = 255;

/// Jumps that wait for their target, chained through their distance fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JumpList(i32);

impl JumpList {
    /// No jump.
    pub const EMPTY: JumpList = JumpList(-1);

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == JumpList::EMPTY
    }
}

/// A loop that is being compiled.
pub struct Loop {
    /// The jumps of its `break` statements.
    pub breaks: JumpList,
    /// How many variables to be closed were in scope around it.
    pub to_be_closed: usize,
}

/// What identifies a constant: values are equal exactly when their kinds and bits are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum ConstantKey {
    Nil,
    Bool(bool),
    Int(i64),
    Float(u64),
    String(u32),
}

/// Everything about the function that is being compiled.
pub struct FunctionState {
    pub code: Vec<Instruction>,
    pub lines: Vec<u32>,
    /// Line of the next instruction.
    pub line: u32,
    pub constants: Vec<Constant>,
    constant_numbers: FxHashMap<ConstantKey, u32>,
    pub caches: Vec<u32>,
    pub children: Vec<Function>,
    pub locals: Vec<LocalInfo>,
    /// The locals in scope, as entries of `locals`.
    open_locals: Vec<u32>,
    /// The first free register.
    pub free: u32,
    /// Registers below this one belong to locals in scope.
    pub active: u32,
    pub register_count: u32,
    /// Registers of the variables in scope that must be closed.
    pub to_be_closed: Vec<u8>,
    pub loops: Vec<Loop>,
    /// The latest position that some jump leads to: what stands before it can't be combined with what follows.
    last_target: u32,
    pub upvalue_is_cell: Vec<bool>,
    pub upvalue_is_environment: Vec<bool>,
}

impl FunctionState {
    pub fn new() -> FunctionState {
        FunctionState {
            code: Vec::new(),
            lines: Vec::new(),
            line: 0,
            constants: Vec::new(),
            constant_numbers: FxHashMap::default(),
            caches: Vec::new(),
            children: Vec::new(),
            locals: Vec::new(),
            open_locals: Vec::new(),
            free: 0,
            active: 0,
            register_count: 0,
            to_be_closed: Vec::new(),
            loops: Vec::new(),
            last_target: 0,
            upvalue_is_cell: Vec::new(),
            upvalue_is_environment: Vec::new(),
        }
    }

    /// Lets jumps to jumps lead to where those lead.
    pub fn thread_jumps(&mut self) {
        for pc in 0..self.code.len() {
            let op = self.code[pc].op;
            if op != Op::Jump && !is_conditional_jump(op) {
                continue;
            }
            let mut target = pc as i64 + 1 + i64::from(self.code[pc].d);
            // Jumps lead forward here, so the chain ends.
            while let Some(next) = self.code.get(target as usize).filter(|next| next.op == Op::Jump) {
                target += 1 + i64::from(next.d);
            }
            if let Some(next) = self.code.get(target as usize)
                && next.op == Op::JumpBack
                && op == Op::Jump
            {
                let back = target + 1 + i64::from(next.d);
                if back <= pc as i64 {
                    self.code[pc].op = Op::JumpBack;
                    target = back;
                }
            }
            self.code[pc].d = (target - pc as i64 - 1) as i32;
        }
    }
}

/// Whether an operation jumps forward or not, depending on a value.
pub fn is_conditional_jump(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Test | TestSet
            | Equal
            | Less
            | LessEqual
            | EqualConstant
            | EqualInt
            | LessInt
            | LessEqualInt
            | GreaterInt
            | GreaterEqualInt
    )
}

impl Generator<'_> {
    /// Appends an instruction, at the current line.
    pub(super) fn emit(&mut self, instruction: Instruction) {
        self.state.code.push(instruction);
        self.state.lines.push(self.state.line);
    }

    pub(super) fn emit_abc(&mut self, op: Op, a: u8, b: u8, c: u8) {
        self.emit(Instruction::abc(op, a, b, c));
    }

    /// The position of the next instruction.
    pub(super) fn position(&self) -> u32 {
        self.state.code.len() as u32
    }

    // Registers.

    /// Takes the next `count` registers and returns the first.
    pub(super) fn reserve(&mut self, count: u32) -> Generate<u8> {
        let first = self.state.free;
        self.need(count)?;
        self.state.free += count;
        Ok(first as u8)
    }

    /// Makes sure that `count` registers behind those in use exist.
    pub(super) fn need(&mut self, count: u32) -> Generate<()> {
        let end = self.state.free.saturating_add(count);
        if end >= MAX_REGISTERS {
            return Err(TooManyRegisters);
        }
        self.state.register_count = self.state.register_count.max(end);
        Ok(())
    }

    /// The next register that `reserve` will take.
    pub(super) fn next_register(&self) -> u8 {
        self.state.free as u8
    }

    // Locals.

    /// Brings a variable into scope that no name in the source means.
    pub(super) fn declare_hidden(&mut self, register: u8) {
        self.declare_named("(for state)".into(), register, false);
    }

    fn declare_named(&mut self, name: Box<str>, register: u8, is_cell: bool) {
        let start = self.position();
        let state = &mut self.state;
        state.active = state.active.max(u32::from(register) + 1);
        state.open_locals.push(state.locals.len() as u32);
        state.locals.push(LocalInfo { name, register, start, end: start, is_cell });
    }

    /// Brings variables into scope whose values are in registers from `first` on; those that need one get a cell.
    pub(super) fn declare_run(&mut self, variables: Run, first: u8) {
        // All cells first, so that debug information shows no variable half made.
        for (offset, number) in variables.range().enumerate() {
            let register = first + offset as u8;
            if self.ast.variables[number].is_cell() {
                self.emit_abc(Op::NewCell, register, 0, 0);
            }
        }
        for (offset, number) in variables.range().enumerate() {
            let register = first + offset as u8;
            self.registers[number] = register;
            let info = self.ast.variables[number];
            let name = self.ast.symbols.name(info.name).into();
            self.declare_named(name, register, info.is_cell());
        }
    }

    /// How many locals are in scope.
    pub(super) fn open_locals(&self) -> usize {
        self.state.open_locals.len()
    }

    /// Ends the scope of all locals but the first `keep`.
    pub(super) fn close_locals(&mut self, keep: usize) {
        let end = self.position();
        let state = &mut self.state;
        for local in state.open_locals.drain(keep..) {
            state.locals[local as usize].end = end;
        }
        let last = state.open_locals.last().map(|local| &state.locals[*local as usize]);
        state.active = last.map_or(0, |local| u32::from(local.register) + 1);
        state.free = state.active;
    }

    /// The register that holds a local's value; none if it is in a cell.
    pub(super) fn plain_local(&self, expression: Expression) -> Option<u8> {
        match expression {
            Expression::Local(variable) if !self.ast.variable(variable).is_cell() => {
                Some(self.registers[variable.0 as usize])
            }
            _ => None,
        }
    }

    // Constants.

    /// The number of a constant.
    fn constant(&mut self, key: ConstantKey, make: impl FnOnce(&Ast) -> Constant) -> u32 {
        let ast = self.ast;
        let state = &mut self.state;
        *state.constant_numbers.entry(key).or_insert_with(|| {
            state.constants.push(make(ast));
            state.constants.len() as u32 - 1
        })
    }

    /// The number of a string constant.
    pub(super) fn string_constant(&mut self, symbol: Symbol) -> u32 {
        self.constant(ConstantKey::String(symbol.0), |ast| Constant::String(ast.symbols.bytes(symbol).into()))
    }

    /// The number of the constant that an expression is, if it is one.
    pub(super) fn constant_of(&mut self, expression: Expression) -> Option<u32> {
        Some(match expression {
            Expression::Nil => self.constant(ConstantKey::Nil, |_| Constant::Nil),
            Expression::True => self.constant(ConstantKey::Bool(true), |_| Constant::Bool(true)),
            Expression::False => self.constant(ConstantKey::Bool(false), |_| Constant::Bool(false)),
            Expression::Int(int) => self.constant(ConstantKey::Int(int), |_| Constant::Int(int)),
            Expression::Float(float) => {
                self.constant(ConstantKey::Float(float.to_bits()), |_| Constant::Float(float))
            }
            Expression::String(symbol) => self.string_constant(symbol),
            _ => return None,
        })
    }

    /// A new cache for accesses with the key `name`.
    pub(super) fn cache(&mut self, name: Symbol) -> i32 {
        let key = self.string_constant(name);
        self.state.caches.push(key);
        self.state.caches.len() as i32 - 1
    }

    // Jumps.

    /// Appends a jump, forward, to a target that is not known yet.
    pub(super) fn jump(&mut self, list: &mut JumpList) {
        self.jump_with(list, Instruction::ad(Op::Jump, 0, 0));
    }

    /// Appends an instruction that jumps, or may jump.
    pub(super) fn jump_with(&mut self, list: &mut JumpList, instruction: Instruction) {
        let pc = self.position() as i32;
        self.emit(Instruction { d: list.0, ..instruction });
        *list = JumpList(pc);
    }

    /// Lets all jumps of a list lead to the next instruction.
    pub(super) fn patch_here(&mut self, list: JumpList) {
        if list.is_empty() {
            return;
        }
        let target = self.target_here();
        let mut pc = list.0;
        while pc >= 0 {
            let instruction = &mut self.state.code[pc as usize];
            let next = instruction.d;
            instruction.d = target as i32 - pc - 1;
            pc = next;
        }
    }

    /// The position of the next instruction, to which something will jump.
    pub(super) fn target_here(&mut self) -> u32 {
        self.state.last_target = self.position();
        self.state.last_target
    }

    /// Appends the back-edge of a loop.
    pub(super) fn jump_back(&mut self, target: u32) {
        let distance = target as i32 - self.position() as i32 - 1;
        self.emit(Instruction::ad(Op::JumpBack, 0, distance));
    }

    /// Whether control can come to the next instruction.
    pub(super) fn is_reachable(&self) -> bool {
        use Op::*;
        if self.state.last_target == self.position() {
            return true;
        }
        !self.state.code.last().is_some_and(|last| {
            matches!(last.op, Jump | JumpBack | Return | ReturnNone | ReturnOne | TailCall)
        })
    }

    /// Sets registers to nil, together with those that the previous instruction set.
    pub(super) fn load_nil(&mut self, first: u8, count: u32) {
        if count == 0 {
            return;
        }
        if self.state.last_target != self.position()
            && let Some(last) = self.state.code.last_mut()
            && last.op == Op::LoadNil
            && u32::from(last.a) + u32::from(last.b) + 1 == u32::from(first)
        {
            last.b += count as u8;
            return;
        }
        self.emit_abc(Op::LoadNil, first, (count - 1) as u8, 0);
    }
}
