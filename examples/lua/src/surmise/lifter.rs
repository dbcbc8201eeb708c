//! The lifter: from a function's bytecode to generic IR.
//!
//! It works on a [`Snapshot`], a copy of the parts of a prototype that matter, which holds no pointer into the heap and can be
//! read on any thread. Each bytecode instruction becomes at most one operation of the language (`language.sir`); registers
//! become SSA values in the builder. Constants of the heap, caches and child prototypes are spesh slots with recipes.
//!
//! Not lifted, so left to the interpreter: entries by call into variadic functions (their loops are lifted).

use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::sync::OnceLock;
use surmise::ir::analysis::registers::{Bytecode, LiveRegisters, RegisterSink};
use surmise::ir::builder::FunctionBuilder;
use surmise::ir::entity::{Block, ExternId, KindId, OperationId, Pc, Register, UnitId, Value};
use surmise::ir::frame_state::{ResumePoint, When};
use surmise::ir::function::{Entry, Function, Immediate, InstData, Wanted};
use surmise::ir::guard::GuardReason;
use surmise::ir::language::{Language, Recipe};
use surmise::ir::opcode::Opcode;
use surmise::unit::{LiftError, UnitSource};

use crate::bytecode::{Instruction, Op, UpvalueSource};

/// A constant as the lifter sees it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Constant {
    /// `nil`.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float, by its bits.
    Float(u64),
    /// A short string: equal ones are the same object.
    ShortString,
    /// A long string.
    LongString,
}

/// What the lifter needs of a child prototype.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Child {
    /// Where its upvalues come from.
    pub upvalues: Vec<UpvalueSource>,
}

/// The parts of a prototype that matter to the optimizer.
pub struct Snapshot {
    /// Hash of the content.
    pub id: UnitId,
    /// A name for people.
    pub name: String,
    /// The prototype's number in its state.
    pub number: u32,
    /// The instructions.
    pub code: Vec<Instruction>,
    /// The constants.
    pub constants: Vec<Constant>,
    /// For each cache the index of its key among the constants' recipes: the cache's own number.
    pub cache_count: u32,
    /// Functions inside this one.
    pub children: Vec<Child>,
    /// Whether each upvalue is a cell.
    pub upvalue_is_cell: Vec<bool>,
    /// Fixed parameters.
    pub parameter_count: u8,
    /// Whether it takes further arguments.
    pub is_vararg: bool,
    /// Registers of its window.
    pub register_count: u8,
    /// Registers live around each instruction, when somebody has asked: most functions are never lifted.
    pub(super) live: OnceLock<LiveRegisters>,
    /// The targets of back-edges.
    pub headers: BTreeSet<u32>,
}

/// The bytecode as the register analysis sees it.
pub struct Registers<'a> {
    /// The instructions.
    pub code: &'a [Instruction],
    /// Functions inside.
    pub children: &'a [Child],
    /// Registers of the window.
    pub register_count: u8,
}

fn target(pc: u32, instruction: Instruction) -> u32 {
    (pc as i64 + 1 + i64::from(instruction.d)) as u32
}

impl Bytecode for Registers<'_> {
    fn instruction_count(&self) -> u32 {
        self.code.len() as u32
    }
    fn register_count(&self) -> u16 {
        u16::from(self.register_count)
    }
    fn successors(&self, pc: Pc, visit: &mut dyn FnMut(Pc)) {
        let instruction = self.code[pc.0 as usize];
        let next = Pc(pc.0 + 1);
        let jump = Pc(target(pc.0, instruction));
        match instruction.op {
            Op::Return | Op::ReturnNone | Op::ReturnOne | Op::TailCall => {}
            Op::Jump | Op::JumpBack | Op::ForGenericPrepare => visit(jump),
            Op::LoadFalseSkip => visit(Pc(pc.0 + 2)),
            op if is_conditional(op) => {
                visit(next);
                visit(jump);
            }
            _ => visit(next),
        }
    }
    fn uses(&self, pc: Pc, out: &mut RegisterSink<'_>) {
        let i = self.code[pc.0 as usize];
        let (a, b, c) = (Register(i.a.into()), Register(i.b.into()), Register(i.c.into()));
        // Everything from a register on, for open lists: what of it is live is below the window's end.
        let rest = |from: u8| u16::from(self.register_count.saturating_sub(from));
        use Op::*;
        match i.op {
            Move | GetCell | GetField | GetInt | GetMethod | AddConstant | SubConstant | MulConstant
            | DivConstant | ModConstant | FloorDivConstant | PowConstant | BitAndConstant | BitOrConstant
            | BitXorConstant | AddInt | SubInt | ShiftLeftInt | ShiftRightInt | Negate | Not | Length
            | BitNot | TestSet => out.register(b),
            LoadNil | LoadBool | LoadFalseSkip | LoadInt | LoadConstant | GetUpvalue | GetUpvalueCell
            | GetGlobal | GetUpvalueField | NewTable | Jump | JumpBack | ReturnNone | VarArg => {}
            SetUpvalueCell | NewCell | SetGlobal | SetFieldConstant | Test | EqualConstant | EqualInt
            | LessInt | LessEqualInt | GreaterInt | GreaterEqualInt | ReturnOne | ToBeClosed | Close => {
                out.register(a)
            }
            SetCell | SetField | SetInt => {
                out.register(a);
                out.register(b);
            }
            SetIndexConstant => {
                out.register(a);
                out.register(b);
            }
            SetIndex => {
                out.register(a);
                out.register(b);
                out.register(c);
            }
            GetIndex | Add | Sub | Mul | Div | Mod | Pow | FloorDiv | BitAnd | BitOr | BitXor | ShiftLeft
            | ShiftRight => {
                out.register(b);
                out.register(c);
            }
            Equal | Less | LessEqual => {
                out.register(a);
                out.register(b);
            }
            SetList => {
                out.register(a);
                let count = if i.b == 0 { rest(i.a + 1) } else { u16::from(i.b) };
                out.range(Register(u16::from(i.a) + 1), count);
            }
            Concat => out.range(b, i.c.into()),
            Call | TailCall => {
                let count = if i.b == 0 { rest(i.a) } else { u16::from(i.b) };
                out.range(a, count);
            }
            Return => {
                let count = if i.b == 0 { rest(i.a) } else { u16::from(i.b) - 1 };
                out.range(a, count);
            }
            ForPrepare | ForLoop => out.range(a, 3),
            ForGenericPrepare => out.range(a, 4),
            ForCall => out.range(a, 3),
            ForGenericLoop => out.register(Register(u16::from(i.a) + 4)),
            Closure => {
                for &source in &self.children[i.d as usize].upvalues {
                    if let UpvalueSource::Register(register) = source {
                        out.register(Register(register.into()));
                    }
                }
            }
        }
    }
    fn definitions(&self, pc: Pc, out: &mut RegisterSink<'_>) {
        let i = self.code[pc.0 as usize];
        let a = Register(i.a.into());
        use Op::*;
        match i.op {
            LoadNil => out.range(a, u16::from(i.b) + 1),
            GetMethod => out.range(a, 2),
            Call => {
                let count = if i.c == 0 {
                    u16::from(self.register_count.saturating_sub(i.a))
                } else {
                    u16::from(i.c) - 1
                };
                out.range(a, count);
            }
            VarArg => {
                let count = if i.c == 0 {
                    u16::from(self.register_count.saturating_sub(i.a))
                } else {
                    u16::from(i.c) - 1
                };
                out.range(a, count);
            }
            ForPrepare => {
                // On the way past the loop nothing of the loop's registers is wanted.
                out.range(a, 2);
                out.register(Register(u16::from(i.a) + 3));
            }
            ForCall => out.range(Register(u16::from(i.a) + 4), i.c.into()),
            Move | LoadBool | LoadFalseSkip | LoadInt | LoadConstant | GetUpvalue | GetUpvalueCell
            | NewCell | GetCell | GetGlobal | GetUpvalueField | GetField | GetIndex | GetInt | NewTable
            | Add | Sub | Mul | Div | Mod | Pow | FloorDiv | BitAnd | BitOr | BitXor | ShiftLeft
            | ShiftRight | AddConstant | SubConstant | MulConstant | DivConstant | ModConstant
            | FloorDivConstant | PowConstant | BitAndConstant | BitOrConstant | BitXorConstant | AddInt
            | SubInt | ShiftLeftInt | ShiftRightInt | Negate | Not | Length | BitNot | Concat | Closure => {
                out.register(a)
            }
            _ => {}
        }
    }
}

/// Whether an instruction goes on with the next one or jumps.
pub fn is_conditional(op: Op) -> bool {
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
            | ForPrepare
            | ForLoop
            | ForGenericLoop
    )
}

/// The targets of back-edges: loop headers, in order.
pub fn loop_headers(code: &[Instruction]) -> BTreeSet<u32> {
    (0..code.len() as u32)
        .filter(|&pc| matches!(code[pc as usize].op, Op::JumpBack | Op::ForLoop | Op::ForGenericLoop))
        .map(|pc| target(pc, code[pc as usize]))
        .collect()
}

impl UnitSource for Snapshot {
    fn id(&self) -> UnitId {
        self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn live_registers(&self, resume: ResumePoint) -> Option<Vec<Register>> {
        Some(match resume.when {
            When::Before => self.live().before(resume.pc),
            When::After => self.live_after(resume.pc),
        })
    }
    fn lift(&self, language: &Language, entry: Entry) -> Result<Function, LiftError> {
        if entry == Entry::Call && self.is_vararg {
            return Err(LiftError("entry of a variadic function".to_owned()));
        }
        if self.code.len() > LARGEST_UNIT {
            return Err(LiftError(format!("{} instructions, {LARGEST_UNIT} at most", self.code.len())));
        }
        Lifter::new(self, language, entry)?.run()
    }
}

/// Units of more instructions are not compiled: such are tables of data rather than programs, and a compile would take seconds.
const LARGEST_UNIT: usize = 20_000;

impl Snapshot {
    /// Registers live around each instruction.
    pub fn live(&self) -> &LiveRegisters {
        self.live.get_or_init(|| {
            LiveRegisters::new(&Registers {
                code: &self.code,
                children: &self.children,
                register_count: self.register_count,
            })
        })
    }
    /// The registers live after an instruction. A `Return` that has closed variables runs again.
    fn live_after(&self, pc: Pc) -> Vec<Register> {
        let instruction = self.code[pc.0 as usize];
        if instruction.op == Op::Return && instruction.c != 0 {
            self.live().before(pc)
        } else {
            self.live().after(pc)
        }
    }
}

/// The names that the lifter needs of the language.
struct Names {
    int: KindId,
    float: KindId,
    nil: KindId,
    bool: KindId,
    string: KindId,
    table: KindId,
    closure: KindId,
    cell: KindId,
    constant: u32,
    prototype: u32,
    cache: u32,
}

struct Lifter<'a> {
    unit: &'a Snapshot,
    language: &'a Language,
    builder: FunctionBuilder<'a>,
    names: Names,
    entry: Entry,
    /// The block of each instruction that starts one.
    blocks: Vec<Option<Block>>,
    headers: BTreeSet<u32>,
    /// The frame's own closure: boxed, and as an object.
    closure_any: Value,
    closure: Value,
    /// The open run in the window.
    open: Option<(Register, Value)>,
}

impl<'a> Lifter<'a> {
    fn new(unit: &'a Snapshot, language: &'a Language, entry: Entry) -> Result<Self, LiftError> {
        let missing = |name: &str| LiftError(format!("the language has no `{name}`"));
        let kind = |name: &str| language.kind(name).ok_or_else(|| missing(name));
        let recipe = |name: &str| language.recipe_class(name).ok_or_else(|| missing(name));
        let names = Names {
            int: kind("int")?,
            float: kind("float")?,
            nil: kind("nil")?,
            bool: kind("bool")?,
            string: kind("string")?,
            table: kind("table")?,
            closure: kind("closure")?,
            cell: kind("cell")?,
            constant: recipe("constant")?,
            prototype: recipe("prototype")?,
            cache: recipe("cache")?,
        };
        let builder = FunctionBuilder::new(language, &unit.name, unit.id, entry, unit.register_count.into());
        let placeholder = Value::from_u32(0);
        Ok(Lifter {
            unit,
            language,
            builder,
            names,
            entry,
            blocks: vec![None; unit.code.len() + 1],
            headers: unit.headers.clone(),
            closure_any: placeholder,
            closure: placeholder,
            open: None,
        })
    }

    fn run(mut self) -> Result<Function, LiftError> {
        let start = match self.entry {
            Entry::Loop(header) => header.0,
            Entry::Call | Entry::Template => 0,
        };
        self.find_blocks(start);
        self.entry_block(start)?;
        let reachable = self.reachable(start);
        for pc in 0..self.unit.code.len() as u32 {
            if !reachable[pc as usize] {
                continue;
            }
            if let Some(block) = self.blocks[pc as usize] {
                // Falling into a block is a jump to it; behind a terminator there is nothing to fall from.
                if !self.builder.is_filled() {
                    self.builder.jump(block);
                }
                self.start_block(pc, block);
            }
            if !self.builder.is_filled() {
                self.place(pc);
                self.instruction(pc)?;
            }
        }
        Ok(self.builder.finish())
    }

    /// The instructions that can be reached from the entry.
    fn reachable(&self, start: u32) -> Vec<bool> {
        let registers = Registers {
            code: &self.unit.code,
            children: &self.unit.children,
            register_count: self.unit.register_count,
        };
        let mut reachable = vec![false; self.unit.code.len()];
        let mut work = vec![start];
        while let Some(pc) = work.pop() {
            if !std::mem::replace(&mut reachable[pc as usize], true) {
                registers.successors(Pc(pc), &mut |next| work.push(next.0));
            }
        }
        reachable
    }

    fn find_blocks(&mut self, start: u32) {
        let code = &self.unit.code;
        let mut leaders = vec![false; code.len() + 1];
        leaders[start as usize] = true;
        for &header in &self.headers {
            leaders[header as usize] = true;
        }
        for (pc, &instruction) in code.iter().enumerate() {
            let pc = pc as u32;
            match instruction.op {
                Op::Jump | Op::JumpBack | Op::ForGenericPrepare => {
                    leaders[target(pc, instruction) as usize] = true
                }
                Op::LoadFalseSkip => leaders[pc as usize + 2] = true,
                op if is_conditional(op) => {
                    leaders[target(pc, instruction) as usize] = true;
                    leaders[pc as usize + 1] = true;
                }
                _ => {}
            }
        }
        for (pc, leader) in leaders.iter().enumerate() {
            if *leader && pc < code.len() {
                self.blocks[pc] = Some(self.builder.create_block());
            }
        }
    }

    fn live_before(&self, pc: u32) -> Vec<Register> {
        self.unit.live().before(Pc(pc))
    }
    fn place(&mut self, pc: u32) {
        let mut before = self.live_before(pc);
        let mut after = self.unit.live_after(Pc(pc));
        let instruction = self.unit.code[pc as usize];
        let runs_again = instruction.op == Op::Return && instruction.c != 0;
        // What stands in an open run is in memory only.
        if let Some((start, _)) = self.open {
            before.retain(|&register| register < start);
            if runs_again {
                after.retain(|&register| register < start);
            }
        }
        // When the method arrives late, the object already stands in its place.
        if instruction.op == Op::GetMethod {
            let object = Register(u16::from(instruction.a) + 1);
            if let Err(position) = after.binary_search(&object) {
                after.insert(position, object);
            }
        }
        self.builder.at(Pc(pc), &before, &after);
        self.builder.set_open(self.open);
        if runs_again {
            self.builder.keep_open();
        }
    }

    /// Arguments, the closure, and a poll: its state is the one that argument guards leave with.
    fn entry_block(&mut self, start: u32) -> Result<(), LiftError> {
        self.closure_any = self.builder.value(Opcode::SelfClosure, &[], Immediate::None);
        self.closure =
            self.builder.value(Opcode::Unbox, &[self.closure_any], Immediate::Kind(self.names.closure));
        let nil = self.builder.boxed(self.names.nil, None);
        match self.entry {
            Entry::Loop(_) => {
                for register in self.live_before(start) {
                    let value = self.builder.value(Opcode::Argument, &[], Immediate::Register(register));
                    self.builder.write_register(register, value);
                }
            }
            Entry::Call | Entry::Template => self.parameters(),
        }
        // Registers that nobody has written are nil: they are in no state, but a merge may read them.
        for register in 0..u16::from(self.unit.register_count) {
            let register = Register(register);
            let is_given = match self.entry {
                Entry::Loop(_) => self.unit.live().is_live_before(Pc(start), register),
                Entry::Call | Entry::Template => register.0 < u16::from(self.unit.parameter_count),
            };
            if !is_given {
                self.builder.write_register(register, nil);
            }
        }
        self.place(start);
        self.builder.poll();
        let block = self.blocks[start as usize].expect("the entry starts a block");
        self.builder.jump(block);
        Ok(())
    }

    /// Parameters: what was passed, or nil.
    fn parameters(&mut self) {
        for parameter in 0..u16::from(self.unit.parameter_count) {
            let register = Register(parameter);
            let value = self.builder.value(Opcode::Argument, &[], Immediate::Register(register));
            self.builder.write_register(register, value);
        }
    }

    fn start_block(&mut self, pc: u32, block: Block) {
        self.builder.switch_to(block);
        // Bytecode is in an order in which all forward jumps to a place come before it.
        if !self.headers.contains(&pc) {
            self.builder.seal(block);
        } else {
            self.place(pc);
            self.builder.poll();
        }
    }

    fn read(&mut self, register: u8) -> Value {
        self.builder.read_register(Register(register.into()))
    }
    fn write(&mut self, register: u8, value: Value) {
        self.builder.write_register(Register(register.into()), value);
    }
    fn int(&mut self, value: i64) -> Value {
        self.builder.value(Opcode::Iconst, &[], Immediate::Integer(value))
    }
    fn boxed_int(&mut self, value: i64) -> Value {
        let value = self.int(value);
        self.builder.boxed(self.names.int, Some(value))
    }
    fn boxed_bool(&mut self, value: bool) -> Value {
        let value = self.builder.value(Opcode::Bconst, &[], Immediate::Boolean(value));
        self.builder.boxed(self.names.bool, Some(value))
    }
    fn recipe(&mut self, class: u32, index: u32) -> Value {
        self.builder.slot(Recipe { class, words: [self.unit.number.into(), index.into()] })
    }
    fn constant(&mut self, index: u32) -> Value {
        match self.unit.constants[index as usize] {
            Constant::Nil => self.builder.boxed(self.names.nil, None),
            Constant::Bool(value) => self.boxed_bool(value),
            Constant::Int(value) => self.boxed_int(value),
            Constant::Float(bits) => {
                let value = self.builder.value(Opcode::Fconst, &[], Immediate::Float(bits));
                self.builder.boxed(self.names.float, Some(value))
            }
            Constant::ShortString | Constant::LongString => {
                let object = self.recipe(self.names.constant, index);
                self.builder.boxed(self.names.string, Some(object))
            }
        }
    }
    /// The key of a cache, boxed: a short string. Its recipe is the cache's.
    fn key(&mut self, cache: u32) -> Value {
        let class = self.language.recipe_class("key").expect("the language was checked at start");
        let object = self.recipe(class, cache);
        self.builder.boxed(self.names.string, Some(object))
    }
    fn cache(&mut self, cache: u32) -> Value {
        self.recipe(self.names.cache, cache)
    }
    fn operation_id(&self, name: &str) -> OperationId {
        self.language.operation(name).unwrap_or_else(|| panic!("language.sir declares the operation {name}"))
    }
    fn extern_id(&self, name: &str) -> ExternId {
        self.language.extern_(name).unwrap_or_else(|| panic!("language.sir declares the extern {name}"))
    }
    fn operation(&mut self, name: &str, args: &[Value]) -> Option<Value> {
        self.builder.operation(self.operation_id(name), args)
    }
    fn value(&mut self, name: &str, args: &[Value]) -> Value {
        self.operation(name, args).unwrap_or_else(|| panic!("the operation {name} has a result"))
    }
    fn call_extern(&mut self, name: &str, args: &[Value]) -> Option<Value> {
        self.builder.call_extern(self.extern_id(name), args)
    }
    fn window(&mut self, register: u8) -> Value {
        self.builder.value(Opcode::WindowAddress, &[], Immediate::Register(Register(register.into())))
    }
    fn store_window(&mut self, register: u8, value: Value) {
        self.builder.emit(InstData::new(
            Opcode::StoreWindow,
            &[value],
            Immediate::Register(Register(register.into())),
        ));
    }
    fn load_window(&mut self, register: u8) -> Value {
        self.builder.value(Opcode::LoadWindow, &[], Immediate::Register(Register(register.into())))
    }
    fn upvalue(&mut self, index: u8) -> Value {
        let index = self.int(index.into());
        self.value("get_upvalue", &[self.closure, index])
    }
    fn upvalue_cell(&mut self, index: u8) -> Value {
        let index = self.int(index.into());
        let cell = self.value("get_upvalue_cell", &[self.closure, index]);
        self.builder.value(Opcode::Unbox, &[cell], Immediate::Kind(self.names.cell))
    }
    fn block_at(&self, pc: u32) -> Block {
        self.blocks[pc as usize].expect("jump targets start blocks")
    }
    /// Jumps to the instruction's target if `condition` is `wanted`.
    fn branch(&mut self, pc: u32, condition: Value, wanted: bool) {
        let taken = self.block_at(target(pc, self.unit.code[pc as usize]));
        let next = self.block_at(pc + 1);
        let (then_block, else_block) = if wanted { (taken, next) } else { (next, taken) };
        self.builder.branch(condition, then_block, else_block);
    }

    fn binary(&mut self, name: &str, a: u8, left: Value, right: Value) {
        let result = self.value(name, &[left, right]);
        self.write(a, result);
    }
    /// An operation with a constant operand, which was the left one if `swapped`.
    fn with_constant(&mut self, name: &str, i: Instruction, swapped: bool) {
        let constant = self.constant(i.d as u32);
        let value = self.read(i.b);
        let (left, right) = if swapped { (constant, value) } else { (value, constant) };
        self.binary(name, i.a, left, right);
    }

    fn instruction(&mut self, pc: u32) -> Result<(), LiftError> {
        let i = self.unit.code[pc as usize];
        use Op::*;
        match i.op {
            Move => {
                let value = self.read(i.b);
                self.write(i.a, value);
            }
            LoadNil => {
                let nil = self.builder.boxed(self.names.nil, None);
                for register in i.a..=i.a + i.b {
                    self.write(register, nil);
                }
            }
            LoadBool => {
                let value = self.boxed_bool(i.b != 0);
                self.write(i.a, value);
            }
            LoadFalseSkip => {
                let value = self.boxed_bool(false);
                self.write(i.a, value);
                let next = self.block_at(pc + 2);
                self.builder.jump(next);
            }
            LoadInt => {
                let value = self.boxed_int(i.d.into());
                self.write(i.a, value);
            }
            LoadConstant => {
                let value = self.constant(i.d as u32);
                self.write(i.a, value);
            }
            GetUpvalue => {
                let value = self.upvalue(i.b);
                self.write(i.a, value);
            }
            GetUpvalueCell => {
                let cell = self.upvalue_cell(i.b);
                let value = self.value("get_cell", &[cell]);
                self.write(i.a, value);
            }
            SetUpvalueCell => {
                let cell = self.upvalue_cell(i.b);
                let value = self.read(i.a);
                self.operation("set_cell", &[cell, value]);
            }
            NewCell => {
                let value = self.read(i.a);
                let cell = self.call_extern("lua_new_cell", &[value]).expect("it has a result");
                let cell = self.builder.boxed(self.names.cell, Some(cell));
                self.write(i.a, cell);
            }
            GetCell => {
                let cell = self.cell(i.b);
                let value = self.value("get_cell", &[cell]);
                self.write(i.a, value);
            }
            SetCell => {
                let cell = self.cell(i.a);
                let value = self.read(i.b);
                self.operation("set_cell", &[cell, value]);
            }
            GetGlobal | GetUpvalueField => {
                let table = self.upvalue_quietly(i.b);
                let (key, cache) = (self.key(i.d as u32), self.cache(i.d as u32));
                let value = self.value("get_field", &[table, key, cache]);
                self.write(i.a, value);
            }
            SetGlobal => {
                let table = self.upvalue_quietly(i.b);
                let value = self.read(i.a);
                self.set_field(table, i.d, value);
            }
            GetField => {
                let table = self.read(i.b);
                let (key, cache) = (self.key(i.d as u32), self.cache(i.d as u32));
                let value = self.value("get_field", &[table, key, cache]);
                self.write(i.a, value);
            }
            SetField => {
                let (table, value) = (self.read(i.a), self.read(i.b));
                self.set_field(table, i.d, value);
            }
            SetFieldConstant => {
                let table = self.read(i.a);
                let value = self.constant(u32::from(i.b) + 256 * u32::from(i.c));
                self.set_field(table, i.d, value);
            }
            GetIndex => {
                let (table, key) = (self.read(i.b), self.read(i.c));
                self.binary("get_index", i.a, table, key);
            }
            SetIndex => {
                let (table, key, value) = (self.read(i.a), self.read(i.b), self.read(i.c));
                self.operation("set_index", &[table, key, value]);
            }
            SetIndexConstant => {
                let (table, key) = (self.read(i.a), self.read(i.b));
                let value = self.constant(i.d as u32);
                self.operation("set_index", &[table, key, value]);
            }
            GetInt => {
                let table = self.read(i.b);
                let key = self.boxed_int(i.d.into());
                self.binary("get_index", i.a, table, key);
            }
            SetInt => {
                let (table, value) = (self.read(i.a), self.read(i.b));
                let key = self.boxed_int(i.d.into());
                self.operation("set_index", &[table, key, value]);
            }
            GetMethod => {
                let object = self.read(i.b);
                let (key, cache) = (self.key(i.d as u32), self.cache(i.d as u32));
                self.builder.pin_state();
                self.write(i.a + 1, object);
                let method = self.value("get_field", &[object, key, cache]);
                self.write(i.a, method);
            }
            NewTable => {
                let (array, properties) = (self.int(i.d.into()), self.int(i.c.into()));
                let table = self.call_extern("lua_new_table", &[array, properties]).expect("it has a result");
                let table = self.builder.boxed(self.names.table, Some(table));
                self.write(i.a, table);
            }
            SetList => self.set_list(i),
            Add | Sub | Mul | Div | Mod | Pow | FloorDiv | BitAnd | BitOr | BitXor | ShiftLeft
            | ShiftRight => {
                let (left, right) = (self.read(i.b), self.read(i.c));
                self.binary(arithmetic_name(i.op), i.a, left, right);
            }
            AddConstant | SubConstant | MulConstant | DivConstant | ModConstant | FloorDivConstant
            | PowConstant | BitAndConstant | BitOrConstant | BitXorConstant => {
                self.with_constant(arithmetic_name(i.op), i, i.c != 0)
            }
            AddInt | SubInt | ShiftLeftInt | ShiftRightInt => {
                let constant = self.boxed_int(i.d.into());
                let value = self.read(i.b);
                let (left, right) =
                    if i.op == AddInt && i.c != 0 { (constant, value) } else { (value, constant) };
                self.binary(arithmetic_name(i.op), i.a, left, right);
            }
            Negate | BitNot | Length => {
                let value = self.read(i.b);
                let name = match i.op {
                    Negate => "negate",
                    BitNot => "bit_not",
                    _ => "length",
                };
                let result = self.value(name, &[value]);
                self.write(i.a, result);
            }
            Not => {
                let value = self.read(i.b);
                let truth = self.value("truthy", &[value]);
                let negated = self.builder.value(Opcode::Bnot, &[truth], Immediate::None);
                let result = self.builder.boxed(self.names.bool, Some(negated));
                self.write(i.a, result);
            }
            Concat => self.concat(i),
            Jump | JumpBack => {
                let to = self.block_at(target(pc, i));
                self.builder.jump(to);
            }
            Test => {
                let value = self.read(i.a);
                let truth = self.value("truthy", &[value]);
                self.branch(pc, truth, i.c != 0);
            }
            TestSet => self.test_set(pc, i),
            Equal | Less | LessEqual => {
                let (left, right) = (self.read(i.a), self.read(i.b));
                let name = match i.op {
                    Equal => "equal",
                    Less => "less",
                    _ => "less_equal",
                };
                let truth = self.value(name, &[left, right]);
                self.branch(pc, truth, i.c != 0);
            }
            EqualConstant => self.equal_constant(pc, i),
            EqualInt => {
                let left = self.read(i.a);
                let right = self.boxed_int((i.b as i8).into());
                let truth = self.value("equal", &[left, right]);
                self.branch(pc, truth, i.c != 0);
            }
            LessInt | LessEqualInt | GreaterInt | GreaterEqualInt => self.compare_int(pc, i),
            Call => self.call(i),
            TailCall => self.tail_call(i),
            Return => {
                if i.c != 0 {
                    self.close(pc, 0);
                }
                match (i.b, self.open.take()) {
                    (0, Some((start, count))) => self.return_open(i.a, start, count),
                    (0, None) => {
                        return Err(LiftError(format!("open return without an open list at pc {pc}")));
                    }
                    (count, _) => {
                        let values: Vec<Value> =
                            (i.a..i.a + (count - 1)).map(|register| self.read(register)).collect();
                        self.builder.return_(&values);
                    }
                }
            }
            ReturnNone => self.builder.return_(&[]),
            ReturnOne => {
                let value = self.read(i.a);
                self.builder.return_(&[value]);
            }
            ForPrepare => self.for_prepare(pc, i),
            ForLoop => self.for_loop(pc, i),
            ForGenericPrepare => {
                let closing = self.read(i.a + 3);
                let absent = self.builder.value(Opcode::IsKind, &[closing], Immediate::Kind(self.names.nil));
                let ok = self.block_at(target(pc, i));
                let other = self.builder.create_block();
                self.builder.branch(absent, ok, other);
                self.builder.switch_to(other);
                self.builder.seal(other);
                self.place(pc);
                self.mark_to_be_closed(i.a + 3);
                self.builder.jump(ok);
            }
            ForCall => self.for_call(i),
            ForGenericLoop => {
                let value = self.read(i.a + 4);
                let done = self.builder.value(Opcode::IsKind, &[value], Immediate::Kind(self.names.nil));
                self.write(i.a + 2, value);
                self.branch(pc, done, false);
            }
            Closure => self.closure(i),
            VarArg => self.varargs(i),
            ToBeClosed => self.mark_to_be_closed(i.a),
            Close => self.close(pc, i.a),
        }
        Ok(())
    }

    fn mark_to_be_closed(&mut self, register: u8) {
        let slot = self.window(register);
        let value = self.read(register);
        self.call_extern("lua_mark_to_be_closed", &[slot, value]);
    }
    /// Closes the variables from a register on, if there are some.
    fn close(&mut self, pc: u32, register: u8) {
        let from = self.window(register);
        let is_due = self.call_extern("lua_is_close_due", &[from]).expect("it has a result");
        let (closing, closed) = (self.builder.create_block(), self.builder.create_block());
        self.builder.branch(is_due, closing, closed);
        self.builder.switch_to(closing);
        self.builder.seal(closing);
        self.place(pc);
        let (open, count) = match self.open {
            Some((start, count)) => (self.window(start.0 as u8), count),
            None => (from, self.int(0)),
        };
        self.call_extern("lua_close", &[from, open, count]);
        self.builder.jump(closed);
        self.builder.switch_to(closed);
        self.builder.seal(closed);
        self.place(pc);
    }

    /// A register's cell as an object. The register of a captured variable always holds a cell.
    fn cell(&mut self, register: u8) -> Value {
        let cell = self.read(register);
        self.builder.value(Opcode::Unbox, &[cell], Immediate::Kind(self.names.cell))
    }
    /// An upvalue whose kind the operation that uses it observes.
    fn upvalue_quietly(&mut self, index: u8) -> Value {
        let field = self.language.field("LuaClosure.upvalue").expect("the language was checked at start");
        let index = self.int(index.into());
        self.builder.value(Opcode::LoadElement, &[self.closure, index], Immediate::Field(field))
    }
    fn set_field(&mut self, table: Value, cache: i32, value: Value) {
        let (key, cache) = (self.key(cache as u32), self.cache(cache as u32));
        self.operation("set_field", &[table, key, cache, value]);
    }
    fn set_list(&mut self, i: Instruction) {
        let table = self.read(i.a);
        let mut count = if i.b == 0 { None } else { Some(i.b) };
        let fixed_end = match (count, self.open.take()) {
            (Some(count), _) => u16::from(i.a) + 1 + u16::from(count),
            (None, Some((start, length))) => {
                let fixed = i64::from(start.0) - i64::from(i.a) - 1;
                let fixed_value = self.int(fixed);
                let total = self.builder.value(Opcode::Iadd, &[fixed_value, length], Immediate::None);
                self.finish_set_list(i, table, total, start.0);
                return;
            }
            (None, None) => u16::from(i.a) + 1,
        };
        let total = self.int(count.take().unwrap_or(0).into());
        self.finish_set_list(i, table, total, fixed_end);
    }
    fn finish_set_list(&mut self, i: Instruction, table: Value, total: Value, fixed_end: u16) {
        for register in u16::from(i.a) + 1..fixed_end {
            let value = self.read(register as u8);
            self.store_window(register as u8, value);
        }
        let from = self.window(i.a + 1);
        let first = self.int(i.d.into());
        self.call_extern("lua_set_list", &[table, from, total, first]);
        self.builder.set_open(None);
    }
    fn concat(&mut self, i: Instruction) {
        let result = if i.c == 2 {
            let (left, right) = (self.read(i.b), self.read(i.b + 1));
            self.value("concat", &[left, right])
        } else {
            self.builder.pin_state();
            for register in i.b..i.b + i.c {
                let value = self.read(register);
                self.store_window(register, value);
            }
            let from = self.window(i.b);
            let count = self.int(i.c.into());
            self.value("concat_many", &[from, count])
        };
        self.write(i.a, result);
    }
    fn test_set(&mut self, pc: u32, i: Instruction) {
        let value = self.read(i.b);
        let truth = self.value("truthy", &[value]);
        // R[a] is written only on the way that jumps.
        let jump = self.block_at(target(pc, i));
        let next = self.block_at(pc + 1);
        let set = self.builder.create_block();
        let (then_block, else_block) = if i.c != 0 { (set, next) } else { (next, set) };
        self.builder.branch(truth, then_block, else_block);
        self.builder.switch_to(set);
        self.builder.seal(set);
        self.write(i.a, value);
        self.builder.jump(jump);
    }
    fn equal_constant(&mut self, pc: u32, i: Instruction) {
        let left = self.read(i.a);
        let truth = match self.unit.constants[i.b as usize] {
            Constant::Nil => self.builder.value(Opcode::IsKind, &[left], Immediate::Kind(self.names.nil)),
            Constant::Bool(_) | Constant::ShortString => {
                let right = self.constant(i.b.into());
                self.builder.value(Opcode::AnyEqual, &[left, right], Immediate::None)
            }
            Constant::Int(_) | Constant::Float(_) | Constant::LongString => {
                let right = self.constant(i.b.into());
                self.value("equal", &[left, right])
            }
        };
        self.branch(pc, truth, i.c != 0);
    }
    fn compare_int(&mut self, pc: u32, i: Instruction) {
        let value = self.read(i.a);
        let constant = i64::from(i.b as i8);
        let constant = if i.c & 2 != 0 {
            let bits = (constant as f64).to_bits();
            let value = self.builder.value(Opcode::Fconst, &[], Immediate::Float(bits));
            self.builder.boxed(self.names.float, Some(value))
        } else {
            self.boxed_int(constant)
        };
        let (name, left, right) = match i.op {
            Op::LessInt => ("less", value, constant),
            Op::LessEqualInt => ("less_equal", value, constant),
            Op::GreaterInt => ("less", constant, value),
            _ => ("less_equal", constant, value),
        };
        let truth = self.value(name, &[left, right]);
        self.branch(pc, truth, i.c & 1 != 0);
    }

    /// Callee and fixed arguments of a call, and whether an open list follows them.
    fn call_operands(&mut self, i: Instruction) -> (SmallVec<[Value; 8]>, bool) {
        let mut args = SmallVec::new();
        if i.b != 0 {
            for register in i.a..i.a + i.b {
                args.push(self.read(register));
            }
            return (args, false);
        }
        let (start, count) = self.open.take().unwrap_or((Register(u16::from(i.a) + 1), Value::from_u32(0)));
        for register in u16::from(i.a)..start.0 {
            args.push(self.read(register as u8));
        }
        args.push(count);
        (args, true)
    }
    fn call(&mut self, i: Instruction) {
        let (args, open) = self.call_operands(i);
        let wanted = if i.c == 0 { Wanted::Open } else { Wanted::Fixed(i.c - 1) };
        let result = self.builder.call_guest(Register(i.a.into()), &args, wanted, open);
        match wanted {
            Wanted::Fixed(0) => {}
            Wanted::Fixed(1) => self.write(i.a, result.expect("one result is the call's result")),
            Wanted::Fixed(count) => {
                for register in i.a..i.a + count {
                    let value = self.load_window(register);
                    self.write(register, value);
                }
            }
            Wanted::Open => {
                let count = self.builder.value(Opcode::ResultCount, &[], Immediate::None);
                self.open = Some((Register(i.a.into()), count));
            }
        }
    }
    /// A call whose results are the frame's. The interpreter replaces the frame; machine code stacks frames, and leaves it to
    /// the interpreter when the stacks are half full, so that endless tail calls need no endless stack.
    fn tail_call(&mut self, i: Instruction) {
        let window = self.window(i.a);
        let room = self.call_extern("lua_tail_room", &[window]).expect("it has a result");
        self.builder.pin_state();
        let go = self.builder.create_block();
        let full = self.builder.create_block();
        let pc = self.current_pc();
        self.builder.branch(room, go, full);
        self.builder.switch_to(full);
        self.builder.seal(full);
        self.place(pc);
        self.builder.deoptimize(GuardReason::Stack);
        self.builder.switch_to(go);
        self.builder.seal(go);
        self.place(pc);
        let (args, open) = self.call_operands(i);
        self.builder.call_guest(Register(i.a.into()), &args, Wanted::Open, open);
        let count = self.builder.value(Opcode::ResultCount, &[], Immediate::None);
        self.builder.return_open(Register(i.a.into()), count);
    }
    fn current_pc(&self) -> u32 {
        self.builder.current_pc().map_or(0, |pc| pc.0)
    }
    fn return_open(&mut self, from: u8, start: Register, count: Value) {
        for register in u16::from(from)..start.0 {
            let value = self.read(register as u8);
            self.store_window(register as u8, value);
        }
        let fixed = self.int(i64::from(start.0) - i64::from(from));
        let total = self.builder.value(Opcode::Iadd, &[fixed, count], Immediate::None);
        self.builder.return_open(Register(from.into()), total);
    }

    fn for_prepare(&mut self, pc: u32, i: Instruction) {
        let (start, limit, step) = (self.read(i.a), self.read(i.a + 1), self.read(i.a + 2));
        self.builder.pin_state();
        // The first of these raises what there is to raise; the others only compute.
        let runs = self.value("for_runs", &[start, limit, step]);
        let first = self.value("for_first", &[start, limit, step]);
        let last = self.value("for_limit", &[start, limit, step]);
        let step = self.value("for_step", &[start, limit, step]);
        self.write(i.a, first);
        self.write(i.a + 1, last);
        self.write(i.a + 2, step);
        self.write(i.a + 3, first);
        self.branch(pc, runs, false);
        // `branch` goes to the target, past the loop, when it does not run.
    }
    fn for_loop(&mut self, pc: u32, i: Instruction) {
        let (index, limit, step) = (self.read(i.a), self.read(i.a + 1), self.read(i.a + 2));
        self.builder.pin_state();
        let goes_on = self.value("for_goes_on", &[index, limit, step]);
        let next = self.value("for_next", &[index, step]);
        let rest = self.value("for_rest", &[index, limit]);
        self.write(i.a, next);
        self.write(i.a + 1, rest);
        self.write(i.a + 3, next);
        self.branch(pc, goes_on, true);
    }
    fn for_call(&mut self, i: Instruction) {
        let (iterator, state, control) = (self.read(i.a), self.read(i.a + 1), self.read(i.a + 2));
        if i.c > 2 {
            // A step without a call gives two values at most.
            self.builder.pin_state();
            let nil = self.builder.boxed(self.names.nil, None);
            for register in i.a + 6..i.a + 4 + i.c {
                self.store_window(register, nil);
            }
        }
        let to = self.window(i.a + 4);
        let wanted = self.int(i.c.into());
        let first = self.value("for_call", &[iterator, state, control, to, wanted]);
        self.write(i.a + 4, first);
        for register in i.a + 5..i.a + 4 + i.c {
            let value = self.load_window(register);
            self.write(register, value);
        }
    }
    fn closure(&mut self, i: Instruction) {
        let sources = self.unit.children[i.d as usize].upvalues.clone();
        for source in sources {
            if let UpvalueSource::Register(register) = source {
                let value = self.read(register);
                self.store_window(register, value);
            }
        }
        let prototype = self.recipe(self.names.prototype, i.d as u32);
        let window = self.window(0);
        let closure =
            self.call_extern("lua_new_closure", &[self.closure, prototype, window]).expect("it has a result");
        let closure = self.builder.boxed(self.names.closure, Some(closure));
        self.write(i.a, closure);
    }
    fn varargs(&mut self, i: Instruction) {
        let (base, to) = (self.window(0), self.window(i.a));
        let wanted = self.int(i64::from(i.c) - 1);
        let count = self.call_extern("lua_varargs", &[base, to, wanted]).expect("it has a result");
        if i.c == 0 {
            self.open = Some((Register(i.a.into()), count));
        } else {
            for register in i.a..i.a + (i.c - 1) {
                let value = self.load_window(register);
                self.write(register, value);
            }
        }
    }
}

fn arithmetic_name(op: Op) -> &'static str {
    use Op::*;
    match op {
        Add | AddConstant | AddInt => "add",
        Sub | SubConstant | SubInt => "sub",
        Mul | MulConstant => "mul",
        Div | DivConstant => "div",
        Mod | ModConstant => "mod",
        Pow | PowConstant => "pow",
        FloorDiv | FloorDivConstant => "floor_div",
        BitAnd | BitAndConstant => "bit_and",
        BitOr | BitOrConstant => "bit_or",
        BitXor | BitXorConstant => "bit_xor",
        ShiftLeft | ShiftLeftInt => "shift_left",
        _ => "shift_right",
    }
}
