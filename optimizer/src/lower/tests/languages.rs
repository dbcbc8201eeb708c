//! A small language in each encoding, and short ways to build functions.

use cranelift_entity::EntityRef;
use surmise_ir::entity::*;
use surmise_ir::frame_state::{FrameState, ResumePoint};
use surmise_ir::function::*;
use surmise_ir::guard::GuardReason;
use surmise_ir::language::*;
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;

pub const TAGS: [u64; 6] = [0, 1, 2, 3, 5, 6];

/// Kinds nil, bool, int, float, object, address, in this order; alias class 0; layouts are added by the tests.
pub fn language(encoding: Encoding) -> Language {
    let mut language = Language::new("test", encoding);
    let word = |mask, pattern, unbox| KindForm::Word { mask, pattern, unbox };
    let forms = match encoding {
        Encoding::Pair => TAGS.map(KindForm::Tag),
        Encoding::Word => [
            word(!0, 0x0e, WordPayload::None),
            word(0xff, 0x1e, WordPayload::Shifted(8)),
            word(1, 1, WordPayload::Shifted(1)),
            // A float loses its lowest bits: good enough for tests, which use few of them.
            word(0xf, 0x4, WordPayload::Masked),
            word(0xf, 0x2, WordPayload::Offset),
            word(0xf, 0x6, WordPayload::Offset),
        ],
    };
    let payloads = [None, Some(Type::I1), Some(Type::I64), Some(Type::F64), Some(Type::Ref), Some(Type::Raw)];
    for ((name, form), payload) in
        ["nil", "bool", "int", "float", "object", "address"].into_iter().zip(forms).zip(payloads)
    {
        language.kinds.push(Kind { name: name.to_owned(), payload, form });
    }
    language.alias_classes.push("all".to_owned());
    language
}

pub fn kind(name: &str) -> KindId {
    KindId::new(["nil", "bool", "int", "float", "object", "address"].iter().position(|&n| n == name).unwrap())
}
pub fn kind_of(ty: Type) -> KindId {
    kind(match ty {
        Type::I1 => "bool",
        Type::I64 => "int",
        Type::F64 => "float",
        Type::Ref => "object",
        Type::Raw => "address",
        Type::Any => unreachable!(),
    })
}
/// Boxes a payload as the host would.
pub fn boxed(language: &Language, name: &str, payload: u64) -> Vec<u64> {
    let value = surmise_deopt::boxed::box_payload(&language.kinds[kind(name)], payload);
    match language.encoding {
        Encoding::Pair => vec![value.tag(), value.payload()],
        Encoding::Word => vec![value.word()],
    }
}
pub fn extern_(language: &mut Language, params: &[Type], result: Option<Type>, effects: Effects) -> ExternId {
    let number = language.externs.len();
    language.externs.push(Extern {
        name: format!("extern{number}"),
        params: params.iter().copied().collect(),
        result,
        needs_window: false,
        effects,
    })
}
pub fn allocating() -> Effects {
    Effects { allocates: true, ..Effects::default() }
}
pub fn calling() -> Effects {
    Effects { calls_guest: true, allocates: true, throws: true, ..Effects::default() }
}

/// A function in the making.
pub struct Maker {
    pub function: Function,
    pub language: Language,
    pub block: Block,
}

impl Maker {
    pub fn new(language: &Language, registers: u16) -> Maker {
        let mut function = Function::new("test", UnitId(7), Entry::Call, registers);
        let block = function.add_block();
        Maker { function, language: language.clone(), block }
    }
    pub fn add(&mut self, data: InstData) -> Inst {
        let result = self.function.result_type(&self.language, &data);
        self.function.append(self.block, data, result)
    }
    pub fn value(&mut self, opcode: Opcode, args: &[Value], immediate: Immediate) -> Value {
        let inst = self.add(InstData::new(opcode, args, immediate));
        self.function.result(inst)
    }
    pub fn op(&mut self, opcode: Opcode, args: &[Value]) -> Value {
        self.value(opcode, args, Immediate::None)
    }
    pub fn argument(&mut self, register: u16) -> Value {
        self.value(Opcode::Argument, &[], Immediate::Register(Register(register)))
    }
    pub fn int(&mut self, value: i64) -> Value {
        self.value(Opcode::Iconst, &[], Immediate::Integer(value))
    }
    pub fn unbox(&mut self, name: &str, value: Value) -> Value {
        self.value(Opcode::Unbox, &[value], Immediate::Kind(kind(name)))
    }
    /// The payload of an argument.
    pub fn parameter(&mut self, name: &str, register: u16) -> Value {
        let value = self.argument(register);
        self.unbox(name, value)
    }
    pub fn boxed(&mut self, value: Value) -> Value {
        let kind = kind_of(self.function.ty(value));
        self.value(Opcode::Box, &[value], Immediate::Kind(kind))
    }
    pub fn nil(&mut self) -> Value {
        self.value(Opcode::Box, &[], Immediate::Kind(kind("nil")))
    }
    /// A state with these values in registers 0, 1, …
    pub fn state(&mut self, resume: ResumePoint, values: &[Value]) -> FrameStateId {
        let registers =
            values.iter().enumerate().map(|(index, &value)| (Register(index as u16), value)).collect();
        self.function.states.push(FrameState {
            frame: FrameId::new(0),
            resume,
            callee: None,
            registers,
            results: Default::default(),
            open: None,
            parent: None,
        })
    }
    pub fn guard(&mut self, opcode: Opcode, condition: Value, state: FrameStateId) -> Inst {
        let mut data = InstData::new(opcode, &[condition], Immediate::Reason(GuardReason::Condition));
        data.state = Some(state);
        self.add(data)
    }
    pub fn guard_kind(&mut self, name: &str, value: Value, state: FrameStateId) -> Value {
        let immediate = Immediate::KindReason(kind(name), GuardReason::Kind);
        let mut data = InstData::new(Opcode::GuardKind, &[value], immediate);
        data.state = Some(state);
        let inst = self.add(data);
        self.function.insts[inst].result.unwrap_or(value)
    }
    pub fn ret(&mut self, values: &[Value]) {
        self.add(InstData::new(Opcode::Return, values, Immediate::None));
    }
    pub fn jump(&mut self, block: Block, args: &[Value]) {
        let mut data = InstData::new(Opcode::Jump, &[], Immediate::None);
        data.targets.push(BlockCall { block, args: args.iter().copied().collect() });
        self.add(data);
    }
    pub fn branch(&mut self, condition: Value, then_block: (Block, &[Value]), else_block: (Block, &[Value])) {
        let mut data = InstData::new(Opcode::Branch, &[condition], Immediate::None);
        for (block, args) in [then_block, else_block] {
            data.targets.push(BlockCall { block, args: args.iter().copied().collect() });
        }
        self.add(data);
    }
}
