//! What the evaluator sees of the world: memory by address, windows on the guest stack, slots, the host's functions.

use super::entry_code::invoke;
use super::frame::{CallBlock, FLOAT_REGISTERS, INTEGER_REGISTERS, PortableFrame, STACK_WORDS};
use crate::context::Context;
use crate::slots::{payload_offset, slot_offset};
use std::sync::atomic::Ordering;
use surmise_ir::entity::{ExternId, FieldId, SlotId};
use surmise_ir::evaluate::{
    Access, Boxed, Call, Datum, Delivery, EvaluatorHost, ExternCall, Machine, Stop, boxing,
};
use surmise_ir::language::{Encoding, Language, MemoryType, Recipe};
use surmise_ir::types::Type;

/// The world of one activation, between two safepoints.
///
/// What must hold while there is one: the frame is on the stack and its context alive, on this thread; what the function that is
/// evaluated does is what its candidate may do with the guest's heap and stack.
pub(crate) struct World<'a> {
    pub frame: *mut PortableFrame,
    pub slots: *const u8,
    pub language: &'a Language,
}

impl CallBlock {
    /// A call of a function, without arguments yet.
    pub fn new(target: *const u8) -> CallBlock {
        CallBlock {
            stack: [0; STACK_WORDS],
            target,
            integers: [0; INTEGER_REGISTERS],
            floats: [0; FLOAT_REGISTERS],
            results: [0; 2],
            float_result: 0,
        }
    }
}

/// Puts arguments where the calling convention (System V) wants them.
struct Arguments {
    block: CallBlock,
    integers: usize,
    floats: usize,
    stack: usize,
}

impl Arguments {
    fn on_stack(&mut self, word: u64) {
        self.block.stack[self.stack] = word;
        self.stack += 1;
    }
    fn word(&mut self, word: u64) {
        match self.block.integers.get_mut(self.integers) {
            Some(register) => *register = word,
            None => self.on_stack(word),
        }
        self.integers += 1;
    }
    fn float(&mut self, bits: u64) {
        match self.block.floats.get_mut(self.floats) {
            Some(register) => *register = bits,
            None => self.on_stack(bits),
        }
        self.floats += 1;
    }
}

impl World<'_> {
    fn context(&self) -> *mut Context {
        // SAFETY: the frame is on the stack.
        unsafe { (*self.frame).context }
    }
    fn register(&self, window: u64, register: i32) -> *mut u8 {
        let distance = i64::from(register) * i64::from(self.language.encoding.size());
        window.wrapping_add_signed(distance) as *mut u8
    }
    /// A call of a function with words, the context before them.
    pub fn call_words(&self, target: *const u8, words: &[u64]) -> CallBlock {
        let mut block = CallBlock::new(target);
        block.integers[0] = self.context() as u64;
        block.integers[1..=words.len()].copy_from_slice(words);
        block
    }
    /// The address of an extern.
    pub fn extern_address(&self, id: ExternId) -> *const u8 {
        // SAFETY: the context's table has an address for each extern of the language.
        unsafe { *(*self.context()).externs.add(id.as_u32() as usize) }
    }
    /// A call of an extern.
    pub fn call_block(&self, call: &ExternCall) -> CallBlock {
        let block = CallBlock::new(self.extern_address(call.id));
        let mut arguments = Arguments { block, integers: 0, floats: 0, stack: 0 };
        arguments.word(self.context() as u64);
        if let Some(window_end) = call.window_end {
            arguments.word(window_end);
        }
        for &arg in &call.args {
            match (arg, self.language.encoding) {
                (Datum::F64(bits), _) => arguments.float(bits),
                (Datum::Any([tag, payload]), Encoding::Pair) => {
                    arguments.word(tag);
                    arguments.word(payload);
                }
                (Datum::Any([word, _]), Encoding::Word) => arguments.word(word),
                (Datum::I64(value), _) => arguments.word(value as u64),
                (Datum::I1(truth), _) => arguments.word(truth.into()),
                (Datum::Ref(word) | Datum::Raw(word), _) => arguments.word(word),
            }
        }
        arguments.block
    }
    /// What an extern has left in the result registers.
    pub fn extern_result(&self, id: ExternId, block: &CallBlock) -> Result<Option<Datum>, String> {
        let declared = &self.language.externs[id];
        let [first, second] = block.results;
        let datum = match declared.result {
            None => return Ok(None),
            Some(Type::F64) => Some(Datum::F64(block.float_result)),
            Some(Type::Any) => Some(Datum::Any(self.boxed(first, second))),
            Some(ty) => Datum::from_bits(ty, first),
        };
        match datum {
            Some(datum) => Ok(Some(datum)),
            None => Err(format!("{} gives {first:#x}, which is no truth value", declared.name)),
        }
    }
    /// A boxed value from its words, of which there is only one in word encoding.
    pub fn boxed(&self, first: u64, second: u64) -> Boxed {
        match self.language.encoding {
            Encoding::Pair => [first, second],
            Encoding::Word => [first, 0],
        }
    }

    /// A field of an object, for the host's protocols.
    pub fn field(&mut self, field: FieldId, base: u64) -> Result<Datum, Stop> {
        self.load(&Access::new(field, &self.language.fields[field], base, None))
    }
    fn read(&self, address: u64, memory: MemoryType) -> Result<Datum, Stop> {
        // SAFETY: a place that the function may read (see `World`), of this form; hosts' layouts need not be aligned.
        Ok(unsafe {
            match memory {
                MemoryType::U8 => Datum::I64((address as *const u8).read().into()),
                MemoryType::U16 => Datum::I64((address as *const u16).read_unaligned().into()),
                MemoryType::U32 => Datum::I64((address as *const u32).read_unaligned().into()),
                MemoryType::I32 => Datum::I64((address as *const i32).read_unaligned().into()),
                MemoryType::Full(Type::I1) => match (address as *const u8).read() {
                    byte @ 0..=1 => Datum::I1(byte == 1),
                    byte => return Err(Stop::fault(format!("{byte} at {address:#x} is no truth value"))),
                },
                MemoryType::Full(Type::Any) => {
                    let words = address as *const u64;
                    let second = match self.language.encoding {
                        Encoding::Pair => words.add(1).read_unaligned(),
                        Encoding::Word => 0,
                    };
                    Datum::Any([words.read_unaligned(), second])
                }
                MemoryType::Full(ty) => {
                    let word = (address as *const u64).read_unaligned();
                    Datum::from_bits(ty, word).ok_or_else(|| Stop::fault("it is not loaded as a word"))?
                }
            }
        })
    }
    fn write(&mut self, address: u64, memory: MemoryType, value: Datum) -> Result<(), Stop> {
        let wrong = || Stop::fault(format!("{value:?} can't be stored as {}", memory.name()));
        // SAFETY: a place that the function may write (see `World`), of this form.
        unsafe {
            match (memory, value) {
                (MemoryType::U8, Datum::I64(value)) => (address as *mut u8).write(value as u8),
                (MemoryType::U16, Datum::I64(value)) => (address as *mut u16).write_unaligned(value as u16),
                (MemoryType::U32, Datum::I64(value)) => (address as *mut u32).write_unaligned(value as u32),
                (MemoryType::I32, Datum::I64(value)) => (address as *mut i32).write_unaligned(value as i32),
                (MemoryType::Full(Type::I1), Datum::I1(truth)) => (address as *mut u8).write(truth.into()),
                (MemoryType::Full(Type::Any), Datum::Any([first, second])) => {
                    (address as *mut u64).write_unaligned(first);
                    if self.language.encoding == Encoding::Pair {
                        (address as *mut u64).add(1).write_unaligned(second);
                    }
                }
                (MemoryType::Full(ty), value) if value.ty() == ty => {
                    (address as *mut u64).write_unaligned(value.bits().ok_or_else(wrong)?);
                }
                _ => return Err(wrong()),
            }
        }
        Ok(())
    }
    /// The object that a value refers to, if it may be one for the write barrier.
    fn is_object(&self, value: Datum) -> bool {
        match value {
            Datum::Ref(_) => true,
            Datum::Any(boxed) => boxing::kind_of(self.language, boxed)
                .is_none_or(|kind| self.language.kinds[kind].payload == Some(Type::Ref)),
            _ => false,
        }
    }
}

impl EvaluatorHost for World<'_> {
    fn load(&mut self, access: &Access) -> Result<Datum, Stop> {
        self.read(access.address, access.memory)
    }
    fn store(&mut self, access: &Access, value: Datum) -> Result<(), Stop> {
        self.write(access.address, access.memory, value)
    }
    fn barrier(&mut self, object: u64, value: Datum) -> Result<(), Stop> {
        let language = self.language;
        let Some(barrier) = language.barrier.as_ref().filter(|_| self.is_object(value)) else {
            return Ok(());
        };
        let flags = match self.field(barrier.flags, object)? {
            Datum::I64(flags) => flags as u64,
            Datum::Raw(flags) => flags,
            other => return Err(Stop::fault(format!("an object's flags are {other:?}"))),
        };
        if flags & barrier.mask == barrier.trigger {
            let mut block = self.call_words(self.extern_address(barrier.slow), &[object]);
            // SAFETY: `slow(object)`, which neither allocates nor throws.
            unsafe { invoke(&mut block) };
        }
        Ok(())
    }
    fn slot(&mut self, slot: SlotId, recipe: &Recipe) -> Result<Datum, Stop> {
        let encoding = self.language.encoding;
        let ty = self.language.recipes[recipe.class as usize].ty;
        let offset = match ty {
            Type::Any => slot_offset(encoding, slot.as_u32()),
            _ => payload_offset(encoding, slot.as_u32()),
        };
        self.read(self.slots as u64 + u64::from(offset), MemoryType::Full(ty))
    }
    fn host_state(&mut self) -> u64 {
        // SAFETY: the context is alive.
        unsafe { (*self.context()).host_state as u64 }
    }
    fn argument_count(&mut self, _: u64) -> Result<u64, Stop> {
        // SAFETY: the frame is on the stack.
        Ok(unsafe { (*self.frame).argument_count })
    }
    fn load_window(&mut self, window: u64, register: i32) -> Result<Boxed, Stop> {
        match self.read(self.register(window, register) as u64, MemoryType::Full(Type::Any))? {
            Datum::Any(boxed) => Ok(boxed),
            other => Err(Stop::fault(format!("{other:?} is not boxed"))),
        }
    }
    fn store_window(&mut self, window: u64, register: i32, value: Boxed) -> Result<(), Stop> {
        self.write(self.register(window, register) as u64, MemoryType::Full(Type::Any), Datum::Any(value))
    }
    fn window_address(&mut self, window: u64, register: i32) -> u64 {
        self.register(window, register) as u64
    }
    fn has_room(&mut self, window: u64, registers: u16) -> bool {
        let end = self.register(window, registers.into());
        // SAFETY: the context is alive; the limits are read on its own thread.
        let (window_limit, native_limit) =
            unsafe { ((*self.context()).window_limit, (*self.context()).native_limit) };
        end <= window_limit && self.frame as usize >= native_limit
    }
    fn is_polled(&mut self) -> bool {
        // SAFETY: an atomic of a live context. Relaxed: the poll acquires.
        unsafe { (*self.context()).poll.load(Ordering::Relaxed) != 0 }
    }
    fn call_leaf(&mut self, call: &ExternCall) -> Result<Option<Datum>, Stop> {
        let mut block = self.call_block(call);
        // SAFETY: the function has the signature that the language declares (`Isolate::new`), by which the arguments were laid
        // out; a leaf returns, and nobody looks at the stack from it.
        unsafe { invoke(&mut block) };
        self.extern_result(call.id, &block).map_err(Stop::Fault)
    }
    fn call(&mut self, call: &Call, _: &mut Machine<'_>) -> Result<Delivery, Stop> {
        Err(Stop::fault(format!("{call:?} is made by the frame's code")))
    }
}
