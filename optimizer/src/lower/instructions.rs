//! The one exhaustive match over instructions.

use super::Translator;
use super::error::LowerError;
use super::values::Words;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, types};
use smallvec::SmallVec;
use surmise_deopt::context::offsets;
use surmise_deopt::slots::payload_offset;
use surmise_deopt::slots::slot_offset;
use surmise_deopt::table::ExitReason;
use surmise_ir::entity::{Inst, Value};
use surmise_ir::function::{BlockCall, Immediate, InstData};
use surmise_ir::language::MemoryType;
use surmise_ir::opcode::{FloatCondition, IntCondition, Opcode};
use surmise_ir::types::Type;

fn int_condition(condition: IntCondition) -> IntCC {
    match condition {
        IntCondition::Equal => IntCC::Equal,
        IntCondition::NotEqual => IntCC::NotEqual,
        IntCondition::Less => IntCC::SignedLessThan,
        IntCondition::LessEqual => IntCC::SignedLessThanOrEqual,
        IntCondition::Greater => IntCC::SignedGreaterThan,
        IntCondition::GreaterEqual => IntCC::SignedGreaterThanOrEqual,
        IntCondition::UnsignedLess => IntCC::UnsignedLessThan,
        IntCondition::UnsignedLessEqual => IntCC::UnsignedLessThanOrEqual,
        IntCondition::UnsignedGreater => IntCC::UnsignedGreaterThan,
        IntCondition::UnsignedGreaterEqual => IntCC::UnsignedGreaterThanOrEqual,
    }
}

/// With a NaN only [`FloatCC::NotEqual`] is true: the others of these are the ordered comparisons.
fn float_condition(condition: FloatCondition) -> FloatCC {
    match condition {
        FloatCondition::Equal => FloatCC::Equal,
        FloatCondition::NotEqual => FloatCC::NotEqual,
        FloatCondition::Less => FloatCC::LessThan,
        FloatCondition::LessEqual => FloatCC::LessThanOrEqual,
        FloatCondition::Greater => FloatCC::GreaterThan,
        FloatCondition::GreaterEqual => FloatCC::GreaterThanOrEqual,
    }
}

impl Translator<'_> {
    fn one(&mut self, data: &InstData) -> Result<ir::Value, LowerError> {
        let Some(&value) = data.args.first() else { return Err(self.unsupported("an operand is missing")) };
        self.single(value)
    }
    fn two(&mut self, data: &InstData) -> Result<(ir::Value, ir::Value), LowerError> {
        let &[a, b] = &data.args[..] else { return Err(self.unsupported("it takes two operands")) };
        Ok((self.single(a)?, self.single(b)?))
    }
    /// The arguments of a jump, as machine words in the order of the target's parameters.
    fn block_args(&mut self, target: &BlockCall) -> Result<(ir::Block, SmallVec<[BlockArg; 8]>), LowerError> {
        let mut args = SmallVec::new();
        for &value in &target.args {
            args.extend(self.words(value)?.list().into_iter().map(BlockArg::Value));
        }
        Ok((
            self.blocks[target.block].expect("every block of the layout that can be reached has been made"),
            args,
        ))
    }
    fn malformed(&self) -> LowerError {
        self.unsupported("its immediate or its operands are not those of its opcode")
    }

    /// Translates one instruction.
    pub fn instruction(&mut self, inst: Inst) -> Result<(), LowerError> {
        let function = self.function;
        let data = &function.insts[inst];
        self.inst = inst;
        self.check_stacks_before(data)?;
        let (args, immediate) = (&data.args[..], data.immediate);
        let flags = self.regions.host;
        macro_rules! unary {
            ($method:ident) => {{
                let a = self.one(data)?;
                self.builder.ins().$method(a)
            }};
        }
        macro_rules! binary {
            ($method:ident) => {{
                let (a, b) = self.two(data)?;
                self.builder.ins().$method(a, b)
            }};
        }
        // Results of one word; instructions that define their result themselves, or have none, return.
        let word = match (data.opcode, immediate, args) {
            (Opcode::Iconst | Opcode::RawConst, Immediate::Integer(constant), _) => {
                self.constant(constant as u64)
            }
            (Opcode::Fconst, Immediate::Float(bits), _) => {
                self.builder.ins().f64const(ir::immediates::Ieee64::with_bits(bits))
            }
            (Opcode::Bconst, Immediate::Boolean(truth), _) => {
                self.builder.ins().iconst(types::I8, i64::from(truth))
            }

            (Opcode::Iadd, ..) => binary!(iadd),
            (Opcode::Isub, ..) => binary!(isub),
            (Opcode::Imul, ..) => binary!(imul),
            (Opcode::Ineg, ..) => unary!(ineg),
            (Opcode::FloorDiv, _, &[a, b]) => self.floor_div(a, b)?,
            (Opcode::FloorMod, _, &[a, b]) => self.floor_mod(a, b)?,
            (Opcode::Iand, ..) => binary!(band),
            (Opcode::Ior, ..) => binary!(bor),
            (Opcode::Ixor, ..) => binary!(bxor),
            (Opcode::Inot, ..) => unary!(bnot),
            (Opcode::ShiftLeft, ..) => binary!(ishl),
            (Opcode::ShiftRight, ..) => binary!(ushr),
            (Opcode::ShiftRightSigned, ..) => binary!(sshr),

            (Opcode::Fadd, ..) => binary!(fadd),
            (Opcode::Fsub, ..) => binary!(fsub),
            (Opcode::Fmul, ..) => binary!(fmul),
            (Opcode::Fdiv, ..) => binary!(fdiv),
            (Opcode::Fneg, ..) => unary!(fneg),
            (Opcode::Fabs, ..) => unary!(fabs),
            (Opcode::Fsqrt, ..) => unary!(sqrt),
            (Opcode::Ffloor, ..) => unary!(floor),
            (Opcode::Fceil, ..) => unary!(ceil),

            (Opcode::IntToFloat, ..) => {
                let a = self.one(data)?;
                self.builder.ins().fcvt_from_sint(types::F64, a)
            }
            (Opcode::FloatToInt, ..) => {
                let a = self.one(data)?;
                self.builder.ins().fcvt_to_sint_sat(types::I64, a)
            }
            (Opcode::FloatBits, ..) => {
                let a = self.one(data)?;
                self.as_word(Type::F64, a)
            }
            (Opcode::BitsFloat, ..) => {
                let a = self.one(data)?;
                self.value_of_word(Type::F64, a)
            }
            (Opcode::BoolToInt, ..) => {
                let a = self.one(data)?;
                self.as_word(Type::I1, a)
            }

            (Opcode::Icmp, Immediate::IntCondition(condition), _) => {
                let (a, b) = self.two(data)?;
                self.builder.ins().icmp(int_condition(condition), a, b)
            }
            (Opcode::Fcmp, Immediate::FloatCondition(condition), _) => {
                let (a, b) = self.two(data)?;
                self.builder.ins().fcmp(float_condition(condition), a, b)
            }
            (Opcode::RefEqual | Opcode::RawEqual, ..) => {
                let (a, b) = self.two(data)?;
                self.builder.ins().icmp(IntCC::Equal, a, b)
            }
            (Opcode::AnyEqual, _, &[a, b]) => match (self.words(a)?, self.words(b)?) {
                (Words::Pair(tag_a, payload_a), Words::Pair(tag_b, payload_b)) => {
                    let tags = self.builder.ins().icmp(IntCC::Equal, tag_a, tag_b);
                    let payloads = self.builder.ins().icmp(IntCC::Equal, payload_a, payload_b);
                    self.builder.ins().band(tags, payloads)
                }
                (a, b) => self.builder.ins().icmp(IntCC::Equal, a.last(), b.last()),
            },
            (Opcode::Band, ..) => binary!(band),
            (Opcode::Bor, ..) => binary!(bor),
            (Opcode::Bnot, ..) => {
                let a = self.one(data)?;
                self.builder.ins().icmp_imm_s(IntCC::Equal, a, 0)
            }
            (Opcode::Select, _, &[condition, a, b]) => {
                let condition = self.single(condition)?;
                match (self.words(a)?, self.words(b)?) {
                    (Words::Pair(tag_a, payload_a), Words::Pair(tag_b, payload_b)) => {
                        let tag = self.builder.ins().select(condition, tag_a, tag_b);
                        let payload = self.builder.ins().select(condition, payload_a, payload_b);
                        return self.result(data, Words::Pair(tag, payload));
                    }
                    (a, b) => self.builder.ins().select(condition, a.last(), b.last()),
                }
            }

            (Opcode::Box, Immediate::Kind(kind), _) => {
                if data.result.is_some_and(|result| self.lazy_box(result).is_some()) {
                    return Ok(());
                }
                let payload = args.first().map(|&payload| self.single(payload)).transpose()?;
                let words = self.box_payload(kind, payload)?;
                return self.result(data, words);
            }
            (Opcode::Unbox, Immediate::Kind(kind), &[value]) => match self.unbox(value, kind)? {
                Some(payload) => payload,
                None => return Ok(()),
            },
            (Opcode::IsKind, Immediate::Kind(kind), &[value]) => self.is_kind(value, kind)?,
            (Opcode::AnyTag, _, &[value]) => match self.words(value)? {
                Words::Pair(tag, _) => tag,
                Words::One(_) => return Err(self.unsupported("boxed words have no tag word")),
            },
            (Opcode::AnyPayload, _, &[value]) => match self.words(value)? {
                Words::Pair(_, payload) => payload,
                Words::One(_) => return Err(self.unsupported("boxed words have no payload word")),
            },

            (Opcode::GuardKind, Immediate::KindReason(kind, reason), &[value]) => {
                let is_kind = self.is_kind(value, kind)?;
                self.guard(is_kind, true, self.state_before(data)?, reason)?;
                match self.unbox(value, kind)? {
                    Some(payload) if data.result.is_some() => payload,
                    _ => return Ok(()),
                }
            }
            (Opcode::GuardNotKind, Immediate::KindReason(kind, reason), &[value]) => {
                let is_kind = self.is_kind(value, kind)?;
                self.guard(is_kind, false, self.state_before(data)?, reason)?;
                let words = self.words(value)?;
                return self.result(data, words);
            }
            (Opcode::GuardTrue | Opcode::GuardFalse, Immediate::Reason(reason), _) => {
                let condition = self.one(data)?;
                return self.guard(
                    condition,
                    data.opcode == Opcode::GuardTrue,
                    self.state_before(data)?,
                    reason,
                );
            }

            (Opcode::Load, Immediate::Field(field), &[base]) => return self.load(data, field, base, None),
            (Opcode::LoadElement, Immediate::Field(field), &[base, index]) => {
                return self.load(data, field, base, Some(index));
            }
            (Opcode::Store, Immediate::Field(field), &[base, value]) => {
                let base = self.element_base(field, base, None)?;
                return self.store_field(field, base, value);
            }
            (Opcode::StoreElement, Immediate::Field(field), &[base, index, value]) => {
                let base = self.element_base(field, base, Some(index))?;
                return self.store_field(field, base, value);
            }
            (Opcode::Barrier, _, &[object, value]) => return self.barrier(object, value),

            // The image names it.
            (Opcode::Assume, ..) => return Ok(()),
            (Opcode::Slot, Immediate::Slot(slot), _) => {
                let encoding = self.language.encoding;
                let Some(slots) = self.slots else { return Err(self.malformed()) };
                let Some(result) = data.result else { return Ok(()) };
                if function.ty(result) == Type::Any {
                    let words = self.load_any(flags, slots, slot_offset(encoding, slot.as_u32()) as i32);
                    return self.result(data, words);
                }
                self.builder.ins().load(
                    types::I64,
                    flags,
                    slots,
                    payload_offset(encoding, slot.as_u32()) as i32,
                )
            }
            (Opcode::HostState, ..) => self.load_context(types::I64, offsets::HOST_STATE),
            (Opcode::Argument | Opcode::LoadWindow, Immediate::Register(register), _) => {
                return self.load_window(data, i32::from(register.0));
            }
            (Opcode::SelfClosure, ..) => return self.load_window(data, -1),
            (Opcode::ArgumentCount, ..) => self.argument_count,
            (Opcode::WindowAddress, Immediate::Register(register), _) => self.window_address(register),
            (Opcode::StoreWindow, Immediate::Register(register), &[value]) => {
                let words = self.words(value)?;
                self.store_register(i32::from(register.0), words);
                return Ok(());
            }

            (Opcode::Operation, Immediate::Operation(id, _), _) => {
                return self.call_extern(inst, data, self.language.operations[id].fallback);
            }
            (Opcode::CallExtern, Immediate::Extern(id), _) => return self.call_extern(inst, data, id),
            (Opcode::CallGuest, Immediate::Call(info), _) => return self.call_guest(inst, data, info),
            (Opcode::CallUnit, Immediate::Call(info), _) => return self.call_unit(inst, data, info),
            (Opcode::ResultCount, ..) => match self.open_results {
                Some(count) => count,
                None => return Err(self.unsupported("it does not follow a call with open results")),
            },
            (Opcode::Poll, ..) => return self.poll(inst, data),

            (Opcode::Jump | Opcode::Branch | Opcode::Return | Opcode::ReturnOpen, ..)
            | (Opcode::Deoptimize | Opcode::Unreachable, ..) => return self.terminator(data),

            (
                Opcode::Iconst
                | Opcode::RawConst
                | Opcode::Fconst
                | Opcode::Bconst
                | Opcode::FloorDiv
                | Opcode::FloorMod
                | Opcode::Icmp
                | Opcode::Fcmp
                | Opcode::AnyEqual
                | Opcode::Select
                | Opcode::Box
                | Opcode::Unbox
                | Opcode::IsKind
                | Opcode::AnyTag
                | Opcode::AnyPayload
                | Opcode::GuardKind
                | Opcode::GuardNotKind
                | Opcode::GuardTrue
                | Opcode::GuardFalse
                | Opcode::Load
                | Opcode::LoadElement
                | Opcode::Store
                | Opcode::StoreElement
                | Opcode::Barrier
                | Opcode::Slot
                | Opcode::Argument
                | Opcode::LoadWindow
                | Opcode::WindowAddress
                | Opcode::StoreWindow
                | Opcode::Operation
                | Opcode::CallExtern
                | Opcode::CallGuest
                | Opcode::CallUnit,
                ..,
            ) => return Err(self.malformed()),
        };
        self.result(data, Words::One(word))
    }

    fn result(&mut self, data: &InstData, words: Words) -> Result<(), LowerError> {
        if let Some(value) = data.result {
            self.define(value, words);
        }
        Ok(())
    }
    fn load(
        &mut self,
        data: &InstData,
        field: surmise_ir::entity::FieldId,
        base: Value,
        index: Option<Value>,
    ) -> Result<(), LowerError> {
        let base = self.element_base(field, base, index)?;
        if let (Some(value), MemoryType::Full(Type::Any)) = (data.result, self.language.fields[field].memory)
        {
            self.also_as_float(value, base, self.language.fields[field].offset);
        }
        let words = self.load_field(field, base);
        self.result(data, words)
    }
    fn load_window(&mut self, data: &InstData, register: i32) -> Result<(), LowerError> {
        if let Some(value) = data.result {
            self.also_as_float(value, self.window, self.register_offset(register));
        }
        let words = self.load_register(register);
        self.result(data, words)
    }

    fn terminator(&mut self, data: &InstData) -> Result<(), LowerError> {
        match (data.opcode, data.immediate, &data.targets[..]) {
            (Opcode::Jump, _, [target]) => {
                let (block, args) = self.block_args(target)?;
                self.builder.ins().jump(block, &args);
            }
            (Opcode::Branch, _, [then_target, else_target]) => {
                let condition = self.one(data)?;
                let (then_block, then_args) = self.block_args(then_target)?;
                let (else_block, else_args) = self.block_args(else_target)?;
                self.builder.ins().brif(condition, then_block, &then_args, else_block, &else_args);
            }
            (Opcode::Return, ..) => self.return_values(&data.args)?,
            (Opcode::ReturnOpen, Immediate::Register(register), _) => {
                let Some(&count) = data.args.first() else { return Err(self.malformed()) };
                self.return_open(register, count)?;
            }
            (Opcode::Deoptimize, Immediate::Reason(reason), _) => {
                let state = self.state_before(data)?;
                let site = data.site.unwrap_or(self.function.states[state].resume.pc);
                self.exit(state, ExitReason::Guard(reason, site))?;
            }
            (Opcode::Unreachable, ..) => {
                self.builder.ins().trap(ir::TrapCode::unwrap_user(1));
            }
            _ => return Err(self.malformed()),
        }
        Ok(())
    }
}
