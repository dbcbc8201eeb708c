//! Step 3: the lifter, from a function's instructions to generic IR.
//!
//! It says what each instruction does to registers; the builder makes SSA form and frame states of that. Here is no guess and no
//! kind of operand: those come from the log, later, when the optimizer chooses among the cases of `tally.sir`.

use crate::program::{Code, Op, Program};
use std::sync::Arc;
use surmise::ir::analysis::registers::{Bytecode, LiveRegisters, RegisterSink};
use surmise::ir::builder::FunctionBuilder;
use surmise::ir::entity::{Block, KindId, Pc, Register, UnitId, Value};
use surmise::ir::frame_state::{ResumePoint, When};
use surmise::ir::function::{Entry, Function, Immediate, Wanted};
use surmise::ir::language::{Language, Recipe};
use surmise::ir::opcode::Opcode;
use surmise::unit::{LiftError, UnitSource};

/// A function as a unit: its code, and which registers are live where.
pub struct Unit {
    code: Arc<Code>,
    id: UnitId,
    live: LiveRegisters,
}

impl Unit {
    /// The unit of a function.
    pub fn new(code: Arc<Code>) -> Unit {
        // The FNV-1a hash of all that is in it.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let id = UnitId(format!("{code:?}").bytes().fold(0xcbf2_9ce4_8422_2325, hash));
        let live = LiveRegisters::new(&*code);
        Unit { code, id, live }
    }
}

/// The units of a program's functions.
pub fn units(program: &Program) -> Vec<Arc<dyn UnitSource>> {
    let unit = |code: &Arc<Code>| -> Arc<dyn UnitSource> { Arc::new(Unit::new(code.clone())) };
    program.functions.iter().map(unit).collect()
}

impl Bytecode for Code {
    fn instruction_count(&self) -> u32 {
        self.instructions.len() as u32
    }
    fn register_count(&self) -> u16 {
        self.registers
    }
    fn successors(&self, pc: Pc, visit: &mut dyn FnMut(Pc)) {
        let pc = pc.0 as usize;
        self.instructions[pc].op.successors(pc).for_each(|next| visit(Pc(next as u32)));
    }
    fn uses(&self, pc: Pc, registers: &mut RegisterSink<'_>) {
        let (op, top) = (self.instructions[pc.0 as usize].op, self.top_at(pc.0 as usize));
        let (pops, _) = op.effect();
        registers.range(Register(top.saturating_sub(pops)), pops);
        if let Op::Get(local) = op {
            registers.register(Register(local));
        }
    }
    fn definitions(&self, pc: Pc, registers: &mut RegisterSink<'_>) {
        let (op, top) = (self.instructions[pc.0 as usize].op, self.top_at(pc.0 as usize));
        let (pops, pushes) = op.effect();
        registers.range(Register(top.saturating_sub(pops)), pushes);
        if let Op::Set(local) = op {
            registers.register(Register(local));
        }
    }
}

impl UnitSource for Unit {
    fn id(&self) -> UnitId {
        self.id
    }
    fn name(&self) -> &str {
        &self.code.name
    }
    fn live_registers(&self, resume: ResumePoint) -> Option<Vec<Register>> {
        Some(match resume.when {
            When::Before => self.live.before(resume.pc),
            When::After => self.live.after(resume.pc),
        })
    }
    fn lift(&self, language: &Language, entry: Entry) -> Result<Function, LiftError> {
        let builder = FunctionBuilder::new(language, &self.code.name, self.id, entry, self.code.registers);
        Lifter {
            unit: self,
            code: &self.code,
            language,
            builder,
            blocks: vec![None; self.code.instructions.len()],
        }
        .run(entry)
    }
}

struct Lifter<'a> {
    unit: &'a Unit,
    code: &'a Code,
    language: &'a Language,
    builder: FunctionBuilder<'a>,
    /// The block that begins at an instruction.
    blocks: Vec<Option<Block>>,
}

impl Lifter<'_> {
    fn run(mut self, entry: Entry) -> Result<Function, LiftError> {
        let start = match entry {
            Entry::Loop(header) => header.0 as usize,
            Entry::Call | Entry::Template => 0,
        };
        let targets = |pc: usize| {
            let op = self.code.instructions[pc].op;
            // Behind a jump begins a block as well.
            op.target().into_iter().flat_map(move |target| [target, pc + 1])
        };
        let leaders: Vec<usize> =
            (0..self.code.instructions.len()).flat_map(targets).chain([start]).collect();
        for leader in leaders {
            if let Some(block @ None) = self.blocks.get_mut(leader) {
                *block = Some(self.builder.create_block());
            }
        }
        self.entry_block(entry, start)?;
        let reachable = self.reachable(start);
        for pc in (0..self.code.instructions.len()).filter(|&pc| reachable[pc]) {
            if let Some(block) = self.blocks[pc] {
                if !self.builder.is_filled() {
                    self.builder.jump(block);
                }
                self.begin_block(pc, block);
            }
            self.at(pc);
            self.instruction(pc)?;
        }
        Ok(self.builder.finish())
    }

    /// The instructions that can be reached from the entry.
    fn reachable(&self, start: usize) -> Vec<bool> {
        let mut reachable = vec![false; self.code.instructions.len()];
        let mut work = vec![start];
        while let Some(pc) = work.pop() {
            if !std::mem::replace(&mut reachable[pc], true) {
                work.extend(self.code.instructions[pc].op.successors(pc));
            }
        }
        reachable
    }

    /// Tells the builder where we are and what is live there, which becomes the frame states.
    fn at(&mut self, pc: usize) {
        let pc = Pc(pc as u32);
        self.builder.at(pc, &self.unit.live.before(pc), &self.unit.live.after(pc));
    }

    /// Registers get what is in the window, then comes a poll.
    fn entry_block(&mut self, entry: Entry, start: usize) -> Result<(), LiftError> {
        let given = match entry {
            Entry::Loop(header) => self.unit.live.before(header),
            Entry::Call | Entry::Template => (0..self.code.parameters).map(Register).collect(),
        };
        for register in given {
            let value = self.builder.value(Opcode::Argument, &[], Immediate::Register(register));
            self.builder.write_register(register, value);
        }
        if entry == Entry::Call {
            let none = self.kind("none")?;
            let none = self.builder.boxed(none, None);
            for local in self.code.parameters..self.code.locals {
                self.builder.write_register(Register(local), none);
            }
        }
        self.at(start);
        self.builder.poll();
        self.builder.jump(self.block(start));
        Ok(())
    }

    /// Goes on in the block that begins at an instruction.
    fn begin_block(&mut self, pc: usize, block: Block) {
        self.builder.switch_to(block);
        let is_back_edge = |(from, op): (usize, Op)| op.target() == Some(pc) && from >= pc;
        let ops = self.code.instructions.iter().map(|instruction| instruction.op);
        if ops.enumerate().any(is_back_edge) {
            // A loop's header: its back-edges are still to come. Loops poll.
            self.at(pc);
            self.builder.poll();
        } else {
            self.builder.seal(block);
        }
    }

    /// One instruction, with the builder told where it is.
    fn instruction(&mut self, pc: usize) -> Result<(), LiftError> {
        let top = self.code.top_at(pc);
        let line = self.code.instructions[pc].line;
        // The n-th operand from the top, from 1 on.
        let operand = |n: u16| Register(top - n);
        match self.code.instructions[pc].op {
            Op::PushInt(value) => {
                let value = self.int(value);
                let value = self.boxed("int", value)?;
                self.builder.write_register(Register(top), value);
            }
            Op::PushText(text) => {
                let object = self.slot("text", [self.code.number as u64, text as u64])?;
                let value = self.boxed("string", object)?;
                self.builder.write_register(Register(top), value);
            }
            Op::PushFunction(function) => {
                let object = self.slot("function", [function as u64, 0])?;
                let value = self.boxed("function", object)?;
                self.builder.write_register(Register(top), value);
            }
            Op::Get(local) => self.copy(Register(local), Register(top)),
            Op::Set(local) => self.copy(operand(1), Register(local)),
            Op::Pop => {}
            Op::Binary(binary) => {
                let operands =
                    [self.builder.read_register(operand(2)), self.builder.read_register(operand(1))];
                let value = self.operation(binary.name(), &operands, Some(line))?;
                self.builder.write_register(operand(2), value);
            }
            Op::Length => {
                let text = self.builder.read_register(operand(1));
                let value = self.operation("length", &[text], Some(line))?;
                self.builder.write_register(operand(1), value);
            }
            Op::Jump(target) => self.builder.jump(self.block(target)),
            op @ (Op::JumpIf(target) | Op::JumpUnless(target)) => {
                let value = self.builder.read_register(operand(1));
                let condition = self.operation("truth", &[value], None)?;
                let (target, next) = (self.block(target), self.block(pc + 1));
                let (yes, no) = if matches!(op, Op::JumpIf(_)) { (target, next) } else { (next, target) };
                self.builder.branch(condition, yes, no);
            }
            Op::Call(count) => {
                let window = operand(count + 1);
                let callee = self.builder.read_register(window);
                let mut values = vec![self.operation("callee", &[callee], Some(line))?];
                for argument in 0..count {
                    values.push(self.builder.read_register(operand(count - argument)));
                }
                let result = self.builder.call_guest(window, &values, Wanted::Fixed(1), false);
                self.builder.write_register(window, result.expect("one result is wanted"));
            }
            Op::Return => {
                let value = self.builder.read_register(operand(1));
                self.builder.return_(&[value]);
            }
            Op::Print => {
                let value = self.builder.read_register(operand(1));
                let print = self.language.extern_("tally_print").ok_or_else(|| missing("tally_print"))?;
                self.builder.call_extern(print, &[value]);
            }
        }
        Ok(())
    }

    fn block(&self, pc: usize) -> Block {
        self.blocks[pc].expect("where a jump may lead begins a block")
    }
    fn copy(&mut self, from: Register, to: Register) {
        let value = self.builder.read_register(from);
        self.builder.write_register(to, value);
    }
    fn int(&mut self, value: i64) -> Value {
        self.builder.value(Opcode::Iconst, &[], Immediate::Integer(value))
    }
    fn kind(&self, name: &str) -> Result<KindId, LiftError> {
        self.language.kind(name).ok_or_else(|| missing(name))
    }
    fn boxed(&mut self, kind: &str, payload: Value) -> Result<Value, LiftError> {
        let kind = self.kind(kind)?;
        Ok(self.builder.boxed(kind, Some(payload)))
    }
    /// An object that the machine finds when the candidate is installed.
    fn slot(&mut self, class: &str, words: [u64; 2]) -> Result<Value, LiftError> {
        let class = self.language.recipe_class(class).ok_or_else(|| missing(class))?;
        Ok(self.builder.slot(Recipe { class, words }))
    }
    /// A generic operation on values, and on the line if it may fail.
    fn operation(&mut self, name: &str, values: &[Value], line: Option<u32>) -> Result<Value, LiftError> {
        let operation = self.language.operation(name).ok_or_else(|| missing(name))?;
        let mut operands = values.to_vec();
        operands.extend(line.map(|line| self.int(line.into())));
        self.builder.operation(operation, &operands).ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> LiftError {
    LiftError(format!("tally.sir declares no {name}"))
}
