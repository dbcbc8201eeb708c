//! Memory: the context, the frame's homes, the window, fields and elements of host objects, the write barrier.
//!
//! No access may fault where it stands, but none may be moved either: what makes it safe is often a guard before it, which its
//! operands don't show. So no load is marked as movable; moving loads is the optimizer's business, which sees the guards. The
//! context and the homes are alias regions of their own (nothing else points there); everything of the host is one region, since
//! a host's field may well describe a place in the window.

use super::Translator;
use super::error::LowerError;
use super::roots::Home;
use super::trampolines::Trampoline;
use super::values::Words;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, types};
use surmise_ir::entity::{FieldId, Register, Value};
use surmise_ir::language::MemoryType;
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;

/// The flags of the accesses to each region.
#[derive(Clone, Copy)]
pub(super) struct Regions {
    /// Fields of the context.
    pub context: MemFlagsData,
    /// The frame's slot of homes.
    pub homes: MemFlagsData,
    /// Objects of the host and the guest stack.
    pub host: MemFlagsData,
}

impl Regions {
    /// Declares the regions in a function.
    pub fn new(function: &mut ir::Function) -> Regions {
        let mut region = |user_id, description: &'static str| {
            let data = ir::AliasRegionData { user_id, description: description.into() };
            MemFlagsData::trusted().with_alias_region(Some(function.dfg.alias_regions.insert(data)))
        };
        Regions { context: region(0, "context"), homes: region(1, "homes"), host: MemFlagsData::trusted() }
    }
}

impl Translator<'_> {
    /// Reads a field of the context.
    pub fn load_context(&mut self, ty: ir::Type, offset: i32) -> ir::Value {
        self.builder.ins().load(ty, self.regions.context, self.context, offset)
    }
    /// Writes a field of the context.
    pub fn store_context(&mut self, value: ir::Value, offset: i32) {
        self.builder.ins().store(self.regions.context, value, self.context, offset);
    }
    /// Writes a word of the frame's slot of homes.
    pub fn store_home(&mut self, word: u32, value: ir::Value) {
        self.builder.ins().store(self.regions.homes, value, self.home_base, 8 * word as i32);
    }
    /// Brings a value's home up to date.
    pub fn store_to_home(&mut self, value: Value, home: Home, words: Words) {
        for (index, word) in words.list().into_iter().enumerate() {
            self.store_home(home.word + index as u32, word);
        }
        self.homes.stored(home, value);
    }
    /// Reads a word of the frame's slot of homes.
    pub fn load_home(&mut self, ty: ir::Type, word: u32) -> ir::Value {
        self.builder.ins().load(ty, self.regions.homes, self.home_base, 8 * word as i32)
    }

    /// Distance of a register from the window's address, in bytes; the callee's register is number -1.
    pub fn register_offset(&self, register: i32) -> i32 {
        register * self.language.encoding.size() as i32
    }
    /// The address of a register of the window.
    pub fn register_address(&mut self, register: i32) -> ir::Value {
        let offset = self.register_offset(register);
        self.builder.ins().iadd_imm_s(self.window, i64::from(offset))
    }
    /// Reads a register of the window.
    pub fn load_register(&mut self, register: i32) -> Words {
        let offset = self.register_offset(register);
        self.load_any(self.regions.host, self.window, offset)
    }
    /// Writes a register of the window.
    pub fn store_register(&mut self, register: i32, words: Words) {
        let offset = self.register_offset(register);
        self.store_words(words, self.window, offset);
    }

    /// Reads a boxed value.
    pub fn load_any(&mut self, flags: MemFlagsData, base: ir::Value, offset: i32) -> Words {
        if self.is_pair() {
            // The tag last: what follows most often is a guard that compares it.
            let payload = self.builder.ins().load(types::I64, flags, base, offset + 8);
            let tag = self.builder.ins().load(types::I64, flags, base, offset);
            Words::Pair(tag, payload)
        } else {
            Words::One(self.builder.ins().load(types::I64, flags, base, offset))
        }
    }
    /// Writes words one after the other to memory of the host.
    pub fn store_words(&mut self, words: Words, base: ir::Value, offset: i32) {
        for (index, word) in words.list().into_iter().enumerate() {
            self.builder.ins().store(self.regions.host, word, base, offset + 8 * index as i32);
        }
    }
    /// Notes that a boxed pair which is about to be read may be wanted as a float: its payload is read into a float register
    /// too. The read that nobody uses is taken out again.
    pub fn also_as_float(&mut self, value: Value, base: ir::Value, offset: i32) {
        if self.is_pair() && self.float_uses.contains(value) {
            let float = self.builder.ins().load(types::F64, self.regions.host, base, offset + 8);
            self.float_forms.insert(value, float);
        }
    }

    /// The address that a field's offset counts from, for an element field with its index.
    pub fn element_base(
        &mut self,
        field: FieldId,
        base: Value,
        index: Option<Value>,
    ) -> Result<ir::Value, LowerError> {
        let base = self.single(base)?;
        let Some(index) = index else { return Ok(base) };
        let index = self.single(index)?;
        let stride = self.language.fields[field].stride;
        let distance = if stride.is_power_of_two() {
            self.builder.ins().ishl_imm_u(index, i64::from(stride.trailing_zeros()))
        } else {
            self.builder.ins().imul_imm_s(index, i64::from(stride))
        };
        Ok(self.builder.ins().iadd(base, distance))
    }
    /// Reads a field.
    pub fn load_field(&mut self, field: FieldId, base: ir::Value) -> Words {
        let (flags, offset) = (self.regions.host, self.language.fields[field].offset);
        let ins = self.builder.ins();
        Words::One(match self.language.fields[field].memory {
            MemoryType::U8 => ins.uload8(types::I64, flags, base, offset),
            MemoryType::U16 => ins.uload16(types::I64, flags, base, offset),
            MemoryType::U32 => ins.uload32(flags, base, offset),
            MemoryType::I32 => ins.sload32(flags, base, offset),
            MemoryType::Full(Type::Any) => return self.load_any(flags, base, offset),
            MemoryType::Full(ty) => ins.load(Self::machine_type(ty), flags, base, offset),
        })
    }
    /// Writes a field.
    pub fn store_field(&mut self, field: FieldId, base: ir::Value, value: Value) -> Result<(), LowerError> {
        let words = self.words(value)?;
        let (flags, offset) = (self.regions.host, self.language.fields[field].offset);
        let ins = self.builder.ins();
        match self.language.fields[field].memory {
            MemoryType::U8 => ins.istore8(flags, words.last(), base, offset),
            MemoryType::U16 => ins.istore16(flags, words.last(), base, offset),
            MemoryType::U32 | MemoryType::I32 => ins.istore32(flags, words.last(), base, offset),
            MemoryType::Full(Type::Any) => {
                self.store_words(words, base, offset);
                return Ok(());
            }
            MemoryType::Full(_) => ins.store(flags, words.last(), base, offset),
        };
        Ok(())
    }

    /// The write barrier: nothing for a value that is known to be no object; else a test of the object's flags, and the slow
    /// path in a cold block.
    pub fn barrier(&mut self, object: Value, value: Value) -> Result<(), LowerError> {
        let language = self.language;
        let Some(barrier) = &language.barrier else { return Ok(()) };
        if let Some(data) = self.function.def_with(value, Opcode::Box)
            && data.args.first().is_none_or(|&payload| self.function.ty(payload) != Type::Ref)
        {
            return Ok(());
        }
        // A boxed object: its payload is the object in pair encoding only.
        let object = match (self.function.ty(object), self.is_pair()) {
            (Type::Any, false) => return Err(self.unsupported("the barrier's object has to be unboxed")),
            _ => self.words(object)?.last(),
        };
        let flags = self.load_field(barrier.flags, object).last();
        let bits = self.builder.ins().band_imm_s(flags, barrier.mask as i64);
        // `x & m == m` for one bit, or `== 0`, is a single test instruction as a comparison with zero.
        let is_due = if barrier.mask == barrier.trigger && barrier.mask.is_power_of_two() {
            self.builder.ins().icmp_imm_s(IntCC::NotEqual, bits, 0)
        } else {
            self.builder.ins().icmp_imm_s(IntCC::Equal, bits, barrier.trigger as i64)
        };
        let (slow, go_on) = (self.cold_block(), self.builder.create_block());
        self.builder.ins().brif(is_due, slow, &[], go_on, &[]);
        self.start_block(slow);
        let signature = self.signatures.words(&mut self.builder, 2, 0);
        let function = self.trampoline(Trampoline::Leaf(barrier.slow), signature);
        let context = self.context;
        self.builder.ins().call(function, &[context, object]);
        self.builder.ins().jump(go_on, &[]);
        self.start_block(go_on);
        Ok(())
    }
    /// The address of a register, as an operand of instructions.
    pub fn window_address(&mut self, register: Register) -> ir::Value {
        self.register_address(i32::from(register.0))
    }
}
