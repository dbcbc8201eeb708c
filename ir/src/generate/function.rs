//! Random specialized functions, over the whole opcode table.

use super::Random;
use crate::entity::{Block, FrameId, FrameStateId, Inst, Pc, Register, UnitId, Value};
use crate::frame_state::{FrameInfo, FrameState, ResumePoint, When};
use crate::function::{BlockCall, Entry, Function, Immediate, InstData, Wanted};
use crate::guard::GuardReason;
use crate::language::{Language, Recipe};
use crate::opcode::{
    EffectClass, FloatCondition, ImmediateForm, IntCondition, Opcode, OperandForm, ResultForm,
};
use crate::types::Type;
use smallvec::{SmallVec, smallvec};

/// Registers of the outermost frame.
const REGISTERS: u16 = 8;

/// How much of the opcode table a random function reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All of it.
    Everything,
    /// What does not depend on the addresses of objects and the bits of NaNs: it means the same in every world.
    Portable,
}

impl Reach {
    fn covers(self, opcode: Opcode) -> bool {
        let depends = matches!(opcode, Opcode::AnyPayload | Opcode::AnyEqual | Opcode::FloatBits);
        self == Reach::Everything || !depends
    }
}

struct Writer<'a> {
    language: &'a Language,
    reach: Reach,
    random: Random,
    function: Function,
    block: Block,
    /// Values that are defined here, by type.
    scope: [Vec<Value>; Type::ALL.len()],
    /// Payloads with the guards that gave them: `(value, guard, kind's immediate)`.
    proved: Vec<(Value, Inst, Immediate)>,
    next_pc: u32,
    depth: u32,
}

/// The function of a seed, of about `size` instructions, in the language *mini* ([`super::language()`]). It passes the verifier
/// as specialized, ends, and is entered with 3 arguments.
pub fn random_function(language: &Language, seed: u64, size: usize, reach: Reach) -> Function {
    let mut function = Function::new(&format!("random {seed}"), UnitId(seed), Entry::Call, REGISTERS);
    function.frames.push(FrameInfo {
        unit: UnitId(seed + 1),
        parent: Some(FrameId::from_u32(0)),
        window: REGISTERS - 1,
        register_count: 4,
    });
    let block = function.add_block();
    let mut writer = Writer {
        language,
        reach,
        random: Random::new(seed),
        function,
        block,
        scope: Default::default(),
        proved: Vec::new(),
        next_pc: 0,
        depth: 0,
    };
    for register in 0..3 {
        writer.emit(InstData::new(Opcode::Argument, &[], Immediate::Register(Register(register))));
    }
    writer.region(size);
    let results: Vec<Value> = (0..writer.random.below(3)).map(|_| writer.value(Type::Any)).collect();
    writer.emit(InstData::new(Opcode::Return, &results, Immediate::None));
    writer.function
}

impl Writer<'_> {
    fn emit(&mut self, data: InstData) -> Option<Value> {
        let ty = self.function.result_type(self.language, &data);
        let inst = self.function.append(self.block, data, ty);
        let result = self.function.insts[inst].result;
        if let (Some(result), Some(ty)) = (result, ty) {
            self.scope[ty as usize].push(result);
        }
        result
    }
    /// A value of a type: one that is there, or a new one.
    fn value(&mut self, ty: Type) -> Value {
        let known = &self.scope[ty as usize];
        if !known.is_empty() && !self.random.one_in(6) {
            return *self.random.pick(known);
        }
        let data = match ty {
            Type::I64 => InstData::new(Opcode::Iconst, &[], Immediate::Integer(self.random.integer())),
            Type::F64 => InstData::new(Opcode::Fconst, &[], Immediate::Float(self.random.float().to_bits())),
            Type::I1 => InstData::new(Opcode::Bconst, &[], Immediate::Boolean(self.random.one_in(2))),
            Type::Raw => InstData::new(Opcode::RawConst, &[], Immediate::Integer(self.random.integer())),
            Type::Ref => {
                let contents = self.value(Type::Any);
                let id = self.language.extern_("new_cell").expect("mini has cells");
                InstData::new(Opcode::CallExtern, &[contents], Immediate::Extern(id))
            }
            Type::Any => {
                let kinds = ["nil", "bool", "int", "float"].map(|name| self.language.kind(name));
                let kind = self.random.pick(&kinds).expect("mini has the kind");
                let payload = self.language.kinds[kind].payload.map(|ty| self.value(ty));
                InstData::new(Opcode::Box, payload.as_slice(), Immediate::Kind(kind))
            }
        };
        self.emit(data).expect("the instruction has a result")
    }

    fn registers(&mut self, limit: u16) -> Vec<(Register, Value)> {
        let mapped: Vec<u16> = (0..limit).filter(|_| self.random.one_in(2)).collect();
        mapped.into_iter().map(|register| (Register(register), self.value(Type::Any))).collect()
    }
    fn push_state(&mut self, frame: u32, resume: ResumePoint, parent: Option<FrameStateId>) -> FrameStateId {
        let registers = self.registers(if frame == 0 { REGISTERS - 1 } else { 3 });
        let callee = (frame > 0).then(|| self.value(Type::Any));
        let open = self.random.one_in(12).then(|| (Register(3), self.counted()));
        let frame = FrameId::from_u32(frame);
        self.function.states.push(FrameState {
            frame,
            resume,
            callee,
            registers,
            results: SmallVec::new(),
            open,
            parent,
        })
    }
    /// A number of values: not negative.
    fn counted(&mut self) -> Value {
        let count = self.random.below(3) as i64;
        let data = InstData::new(Opcode::Iconst, &[], Immediate::Integer(count));
        self.emit(data).expect("a constant has a result")
    }
    fn pc(&mut self) -> Pc {
        self.next_pc += 1;
        Pc(self.next_pc)
    }
    /// A state before a new bytecode instruction, sometimes of an inlined frame.
    fn state(&mut self, pc: Pc) -> FrameStateId {
        if self.random.one_in(4) {
            let parent = self.push_state(0, ResumePoint::after(pc), None);
            self.push_state(1, ResumePoint::before(pc), Some(parent))
        } else {
            self.push_state(0, ResumePoint::before(pc), None)
        }
    }
    fn after(&mut self, pc: Pc) -> FrameStateId {
        self.push_state(0, ResumePoint { pc, when: When::After }, None)
    }

    fn region(&mut self, size: usize) {
        let end = self.function.inst_count() + size;
        while self.function.inst_count() < end {
            let left = end.saturating_sub(self.function.inst_count());
            match self.random.below(20) {
                0 | 1 if left > 10 && self.depth < 4 => self.fork(left / 2),
                2 if left > 10 && self.depth < 3 => self.repeat(left / 2),
                3..=5 => self.guard(),
                6 => self.call(),
                7 => self.memory(),
                8 => self.poll(),
                _ => self.pure(),
            }
        }
    }
    /// Any pure instruction of the table whose operand types are fixed.
    fn pure(&mut self) {
        let is_simple = |opcode: &&Opcode| {
            opcode.effect() == EffectClass::Pure
                && matches!(opcode.operands(), OperandForm::Fixed(_))
                && matches!(opcode.result(), ResultForm::Type(_))
                && !matches!(opcode, Opcode::WindowAddress | Opcode::ArgumentCount)
                && self.reach.covers(**opcode)
        };
        let opcodes: Vec<&Opcode> = Opcode::ALL.iter().filter(is_simple).collect();
        match self.random.below(8) {
            0 => self.unbox(),
            1 => {
                let ty = *self.random.pick(&Type::ALL);
                let args = [self.value(Type::I1), self.value(ty), self.value(ty)];
                self.emit(InstData::new(Opcode::Select, &args, Immediate::None));
            }
            2 => {
                let class = self.random.below(self.language.recipes.len()) as u32;
                let words = [self.random.below(3) as u64, 0];
                let slot = self.function.slot(Recipe { class, words });
                // Addresses of the model's slots lead nowhere: they stay out of scope.
                let data = InstData::new(Opcode::Slot, &[], Immediate::Slot(slot));
                let ty = self.function.result_type(self.language, &data);
                self.function.append(self.block, data, ty);
            }
            _ => {
                let opcode = **self.random.pick(&opcodes);
                self.simple(opcode);
            }
        }
    }
    fn simple(&mut self, opcode: Opcode) {
        let OperandForm::Fixed(types) = opcode.operands() else { return };
        let mut args: SmallVec<[Value; 3]> = types.iter().map(|&ty| self.value(ty)).collect();
        if matches!(opcode, Opcode::FloorDiv | Opcode::FloorMod) {
            let one = self.emit(InstData::new(Opcode::Iconst, &[], Immediate::Integer(1)));
            let odd = [args[1], one.expect("a constant has a result")];
            args[1] =
                self.emit(InstData::new(Opcode::Ior, &odd, Immediate::None)).expect("a sum has a result");
        }
        let immediate = match opcode.immediate() {
            ImmediateForm::None => Immediate::None,
            ImmediateForm::Integer => Immediate::Integer(self.random.integer()),
            ImmediateForm::Float => Immediate::Float(self.random.float().to_bits()),
            ImmediateForm::Boolean => Immediate::Boolean(self.random.one_in(2)),
            ImmediateForm::IntCondition => Immediate::IntCondition(self.random.pick(&IntCondition::ALL).0),
            ImmediateForm::FloatCondition => {
                Immediate::FloatCondition(self.random.pick(&FloatCondition::ALL).0)
            }
            ImmediateForm::Kind => {
                let kinds: Vec<_> = self.language.kinds.keys().collect();
                Immediate::Kind(*self.random.pick(&kinds))
            }
            _ => return,
        };
        self.emit(InstData::new(opcode, &args, immediate));
    }
    /// An `unbox` that a guard proves.
    fn unbox(&mut self) {
        if self.proved.is_empty() {
            return;
        }
        let (value, guard, kind) = *self.random.pick(&self.proved);
        let mut data = InstData::new(Opcode::Unbox, &[value], kind);
        data.proofs = smallvec![guard];
        self.emit(data);
    }
    fn guard(&mut self) {
        let pc = self.pc();
        let state = self.state(pc);
        let reason = *self.random.pick(GuardReason::ALL);
        let kinds: Vec<_> = self.language.kinds.keys().collect();
        let kind = *self.random.pick(&kinds);
        let mut data = match self.random.below(4) {
            0 => InstData::new(Opcode::GuardTrue, &[self.value(Type::I1)], Immediate::Reason(reason)),
            1 => InstData::new(Opcode::GuardFalse, &[self.value(Type::I1)], Immediate::Reason(reason)),
            2 => InstData::new(
                Opcode::GuardNotKind,
                &[self.value(Type::Any)],
                Immediate::KindReason(kind, reason),
            ),
            _ => {
                // Mostly a guard that holds.
                let boxes = |value: &Value| {
                    self.function.def_with(*value, Opcode::Box).map(|data| (*value, data.immediate))
                };
                let boxes: Vec<_> = self.scope[Type::Any as usize].iter().filter_map(boxes).collect();
                let (value, kind) = match boxes.is_empty() || self.random.one_in(5) {
                    true => (self.value(Type::Any), kind),
                    false => match *self.random.pick(&boxes) {
                        (value, Immediate::Kind(kind)) => (value, kind),
                        (value, _) => (value, kind),
                    },
                };
                InstData::new(Opcode::GuardKind, &[value], Immediate::KindReason(kind, reason))
            }
        };
        data.state = Some(state);
        data.site = self.random.one_in(5).then(|| Pc(pc.0 + 100));
        data.pinned = self.random.one_in(5);
        let inst = self.function.insts.next_key();
        self.emit(data.clone());
        if let (Opcode::GuardKind, Immediate::KindReason(kind, _)) = (data.opcode, data.immediate)
            && self.language.kinds[kind].payload.is_some()
        {
            self.proved.push((data.args[0], inst, Immediate::Kind(kind)));
        }
    }
    fn call(&mut self) {
        let pc = self.pc();
        let args: Vec<Value> = (0..3).map(|_| self.value(Type::Any)).collect();
        let before = self.push_state(0, ResumePoint::before(pc), None);
        let after = self.after(pc);
        let mut data = match self.random.below(3) {
            0 => {
                let operations: Vec<_> = self.language.operations.keys().collect();
                // `set` throws.
                let operation = *self.random.pick(&operations[..operations.len() - 1]);
                let count = self.language.operations[operation].params.len();
                InstData::new(Opcode::Operation, &args[..count], Immediate::Operation(operation, pc))
            }
            1 => {
                let id = self.language.extern_("observe").expect("mini has it");
                InstData::new(Opcode::CallExtern, &args[..1], Immediate::Extern(id))
            }
            _ => {
                let wanted = if self.random.one_in(3) { Wanted::Fixed(0) } else { Wanted::Fixed(1) };
                let info = crate::function::CallInfo {
                    window: Register(4),
                    wanted,
                    open_arguments: false,
                    site: pc,
                };
                InstData::new(Opcode::CallGuest, &args, Immediate::Call(info))
            }
        };
        data.state = Some(before);
        data.after = Some(after);
        let result = self.emit(data);
        // A guess on the result goes on after the call, which has given it.
        if let Some(result) =
            result.filter(|&result| self.function.ty(result) == Type::Any && self.random.one_in(2))
        {
            let state = self.after(pc);
            self.function.states[state].results.push(result);
            let kind = self.language.kind("int").expect("mini has integers");
            let mut guard =
                InstData::new(Opcode::GuardKind, &[result], Immediate::KindReason(kind, GuardReason::Result));
            guard.state = Some(state);
            self.emit(guard);
        }
    }
    fn memory(&mut self) {
        let field = self.language.field("Cell.value").expect("mini has cells");
        let cell = self.value(Type::Ref);
        if self.random.one_in(2) {
            self.emit(InstData::new(Opcode::Load, &[cell], Immediate::Field(field)));
        } else {
            let value = self.value(Type::Any);
            self.emit(InstData::new(Opcode::Store, &[cell, value], Immediate::Field(field)));
            self.emit(InstData::new(Opcode::Barrier, &[cell, value], Immediate::None));
        }
    }
    fn poll(&mut self) {
        let pc = self.pc();
        let mut data = InstData::new(Opcode::Poll, &[], Immediate::None);
        data.state = Some(self.state(pc));
        self.emit(data);
    }

    /// What is in scope before a region that other paths don't pass.
    fn scoped(&mut self, run: impl FnOnce(&mut Self)) {
        let (scope, proved) = (self.scope.clone(), self.proved.clone());
        self.depth += 1;
        run(self);
        self.depth -= 1;
        (self.scope, self.proved) = (scope, proved);
    }
    fn enter(&mut self, block: Block) {
        self.block = block;
        for param in self.function.blocks[block].params.clone() {
            let ty = self.function.ty(param);
            self.scope[ty as usize].push(param);
        }
    }
    fn jump_data(&mut self, target: Block, types: &[Type]) -> BlockCall {
        BlockCall { block: target, args: types.iter().map(|&ty| self.value(ty)).collect() }
    }
    fn jump(&mut self, target: Block, types: &[Type]) {
        let mut data = InstData::new(Opcode::Jump, &[], Immediate::None);
        data.targets = smallvec![self.jump_data(target, types)];
        self.emit(data);
    }
    fn types(&mut self) -> Vec<Type> {
        (0..self.random.below(3)).map(|_| *self.random.pick(&Type::ALL)).collect()
    }
    fn new_block(&mut self, types: &[Type]) -> Block {
        let block = self.function.add_block();
        for &ty in types {
            self.function.add_param(block, ty);
        }
        self.function.blocks[block].cold = self.random.one_in(8);
        block
    }
    /// Two ways that meet again; one may end.
    fn fork(&mut self, size: usize) {
        let (left_types, right_types, types) = (self.types(), self.types(), self.types());
        let (left, right, join) =
            (self.new_block(&left_types), self.new_block(&right_types), self.new_block(&types));
        let condition = self.value(Type::I1);
        let mut data = InstData::new(Opcode::Branch, &[condition], Immediate::None);
        data.targets = smallvec![self.jump_data(left, &left_types), self.jump_data(right, &right_types)];
        self.emit(data);
        self.scoped(|this| {
            this.enter(left);
            this.region(size / 2);
            this.jump(join, &types);
        });
        self.scoped(|this| {
            this.enter(right);
            this.region(size / 2);
            match this.random.below(8) {
                0 => {
                    let pc = this.pc();
                    let mut data =
                        InstData::new(Opcode::Deoptimize, &[], Immediate::Reason(GuardReason::Branch));
                    data.state = Some(this.state(pc));
                    this.emit(data);
                }
                _ => this.jump(join, &types),
            }
        });
        self.enter(join);
    }
    /// A loop with a counter and other parameters.
    fn repeat(&mut self, size: usize) {
        let mut types = vec![Type::I64];
        types.extend(self.types());
        let header = self.new_block(&types);
        let done = self.new_block(&[]);
        let rounds = self.random.below(4) as i64 + 1;
        let start = self.emit(InstData::new(Opcode::Iconst, &[], Immediate::Integer(rounds)));
        let mut data = InstData::new(Opcode::Jump, &[], Immediate::None);
        data.targets = smallvec![self.jump_data(header, &types)];
        data.targets[0].args[0] = start.expect("a constant has a result");
        self.emit(data);
        // The blocks of the loop dominate what follows, but not for the generator.
        self.scoped(|this| {
            this.enter(header);
            let counter = this.function.blocks[header].params[0];
            this.region(size);
            let constant = |value| InstData::new(Opcode::Iconst, &[], Immediate::Integer(value));
            let one = this.emit(constant(1)).expect("a constant has a result");
            let next = this.emit(InstData::new(Opcode::Isub, &[counter, one], Immediate::None));
            let next = next.expect("a difference has a result");
            let condition = Immediate::IntCondition(IntCondition::GreaterEqual);
            let again = this.emit(InstData::new(Opcode::Icmp, &[next, one], condition));
            let mut data =
                InstData::new(Opcode::Branch, &[again.expect("a comparison has a result")], Immediate::None);
            let back = this.jump_data(header, &types);
            data.targets = smallvec![back, BlockCall { block: done, args: smallvec![] }];
            data.targets[0].args[0] = next;
            this.emit(data);
        });
        self.enter(done);
    }
}
