//! The lifter of random programs: also a small example of how lifters use the builder.

use super::program::{Code, Program, Test};
use crate::analysis::registers::{Bytecode, LiveRegisters};
use crate::builder::FunctionBuilder;
use crate::entity::{Block, Pc, Register, Value};
use crate::evaluate::{Boxed, Datum, boxing};
use crate::function::{Entry, Function, Immediate, Wanted};
use crate::language::{Language, Recipe};
use crate::opcode::Opcode;

struct Lifter<'a> {
    program: &'a Program,
    language: &'a Language,
    live: LiveRegisters,
    builder: FunctionBuilder<'a>,
    blocks: Vec<Option<Block>>,
    headers: Vec<Pc>,
}

impl Program {
    /// Generic IR for an entry.
    pub fn lift(&self, language: &Language, entry: Entry) -> Function {
        let name = format!("program {}", self.unit.0);
        let builder = FunctionBuilder::new(language, &name, self.unit, entry, self.register_count);
        let blocks = vec![None; self.code.len()];
        let live = self.live_registers();
        let lifter = Lifter { program: self, language, live, builder, blocks, headers: self.loop_headers() };
        lifter.run(entry)
    }
}

impl Lifter<'_> {
    fn run(mut self, entry: Entry) -> Function {
        let start = match entry {
            Entry::Loop(pc) => pc,
            Entry::Call | Entry::Template => Pc(0),
        };
        self.find_blocks(start);
        self.entry(start, entry);
        for pc in 0..self.program.code.len() as u32 {
            if let Some(block) = self.blocks[pc as usize] {
                if !self.builder.is_filled() {
                    self.builder.jump(block);
                }
                self.builder.switch_to(block);
                if !self.headers.contains(&Pc(pc)) && Pc(pc) != start {
                    // All jumps forward come from above.
                    self.builder.seal(block);
                }
                self.place(Pc(pc));
                if self.headers.contains(&Pc(pc)) {
                    self.builder.poll();
                }
            }
            if !self.builder.is_filled() {
                self.place(Pc(pc));
                self.code(Pc(pc));
            }
        }
        self.builder.finish()
    }
    fn find_blocks(&mut self, start: Pc) {
        let mut leaders = vec![false; self.program.code.len()];
        leaders[start.0 as usize] = true;
        for (pc, code) in self.program.code.iter().enumerate() {
            let is_jump = matches!(code, Code::Jump(_) | Code::JumpIf(..) | Code::Return(_));
            if is_jump {
                self.program.successors(Pc(pc as u32), &mut |next| leaders[next.0 as usize] = true);
            }
            // What can't be reached gets a block too, so that there is always one to write to.
            if is_jump && pc + 1 < leaders.len() {
                leaders[pc + 1] = true;
            }
        }
        for (block, _) in self.blocks.iter_mut().zip(leaders).filter(|(_, is_leader)| *is_leader) {
            *block = Some(self.builder.create_block());
        }
    }
    fn entry(&mut self, start: Pc, entry: Entry) {
        let nil = self.constant([0, 0]);
        for register in (0..self.program.register_count).map(Register) {
            let is_given = match entry {
                Entry::Loop(_) => self.live.is_live_before(start, register),
                Entry::Call | Entry::Template => register.0 < self.program.parameter_count,
            };
            let value = match is_given {
                true => self.builder.value(Opcode::Argument, &[], Immediate::Register(register)),
                false => nil,
            };
            self.builder.write_register(register, value);
        }
        self.place(start);
        self.builder.poll();
        let block = self.block(start);
        self.builder.jump(block);
    }
    fn place(&mut self, pc: Pc) {
        self.builder.at(pc, &self.live.before(pc), &self.live.after(pc));
    }
    fn block(&self, pc: Pc) -> Block {
        self.blocks[pc.0 as usize].expect("jump targets start blocks")
    }
    fn constant(&mut self, value: Boxed) -> Value {
        let kind = boxing::kind_of(self.language, value).expect("constants are of kinds");
        let payload = boxing::unboxed(self.language, kind, value).flatten().map(|payload| match payload {
            Datum::I64(value) => self.builder.value(Opcode::Iconst, &[], Immediate::Integer(value)),
            Datum::F64(bits) => self.builder.value(Opcode::Fconst, &[], Immediate::Float(bits)),
            Datum::I1(value) => self.builder.value(Opcode::Bconst, &[], Immediate::Boolean(value)),
            other => unreachable!("{other:?} is no constant"),
        });
        self.builder.boxed(kind, payload)
    }
    fn read(&mut self, register: u16) -> Value {
        self.builder.read_register(Register(register))
    }
    fn write(&mut self, register: u16, value: Value) {
        self.builder.write_register(Register(register), value);
    }
    fn operation(&mut self, name: &str, args: &[Value]) -> Option<Value> {
        let operation = self.language.operation(name).expect("mini has the operation");
        self.builder.operation(operation, args)
    }
    fn value(&mut self, name: &str, args: &[Value]) -> Value {
        self.operation(name, args).expect("the operation has a result")
    }
    fn call_extern(&mut self, name: &str, args: &[Value]) -> Option<Value> {
        let id = self.language.extern_(name).expect("mini has the extern");
        self.builder.call_extern(id, args)
    }

    fn code(&mut self, pc: Pc) {
        match self.program.code[pc.0 as usize] {
            Code::Constant(a, value) => {
                let value = self.constant(value);
                self.write(a, value);
            }
            Code::Move(a, b) => {
                let value = self.read(b);
                self.write(a, value);
            }
            Code::Binary(name, a, b, c) => {
                let (b, c) = (self.read(b), self.read(c));
                let value = self.value(name, &[b, c]);
                self.write(a, value);
            }
            Code::NewCell(a, b) => {
                let value = self.read(b);
                let object = self.call_extern("new_cell", &[value]).expect("it has a result");
                let cell = self.language.kind("cell").expect("mini has cells");
                let value = self.builder.boxed(cell, Some(object));
                self.write(a, value);
            }
            Code::Get(a, b) => {
                let cell = self.read(b);
                let value = self.value("get", &[cell]);
                self.write(a, value);
            }
            Code::Set(a, b) => {
                let (cell, value) = (self.read(a), self.read(b));
                self.operation("set", &[cell, value]);
            }
            Code::Observe(a) => {
                let value = self.read(a);
                self.call_extern("observe", &[value]);
            }
            Code::Call { result, first, count } => {
                let class = self.language.recipe_class("callee").expect("mini has callees");
                let callee = self.builder.slot(Recipe { class, words: [0, 0] });
                let mut args = vec![callee];
                args.extend((first..first + count).map(|register| self.read(register)));
                let wanted = Wanted::Fixed(result.is_some().into());
                let value = self.builder.call_guest(self.program.call_window(), &args, wanted, false);
                if let (Some(register), Some(value)) = (result, value) {
                    self.write(register, value);
                }
            }
            Code::Jump(target) => {
                let target = self.block(Pc(target));
                self.builder.jump(target);
            }
            Code::JumpIf(test, wanted, target) => {
                let condition = match test {
                    Test::Less(a, b) => {
                        let (a, b) = (self.read(a), self.read(b));
                        self.value("less", &[a, b])
                    }
                    Test::Truthy(a) => {
                        let value = self.read(a);
                        self.value("truthy", &[value])
                    }
                };
                let (taken, next) = (self.block(Pc(target)), self.block(Pc(pc.0 + 1)));
                let (yes, no) = if wanted { (taken, next) } else { (next, taken) };
                self.builder.branch(condition, yes, no);
            }
            Code::Return(a) => {
                let value = self.read(a);
                self.builder.return_(&[value]);
            }
        }
    }
}
