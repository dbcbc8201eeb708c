//! From SSA values of the IR to values of the code generator.
//!
//! `i64`, `ref`, `raw` and boxed words are one 64-bit word, `f64` is a float, `i1` a byte that is 0 or 1, a boxed pair is two
//! words. Values with a home are *variables* of the code generator's frontend, since each reload after a safepoint is a new
//! definition of them; all others are plain values.

use super::Translator;
use super::error::LowerError;
use cranelift_codegen::ir::{self, InstBuilder, types};
use cranelift_frontend::Variable;
use smallvec::{SmallVec, smallvec};
use surmise_ir::entity::Value;
use surmise_ir::function::{Immediate, InstData};
use surmise_ir::language::Encoding;
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;

/// The machine words of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Words {
    /// One word, float or byte.
    One(ir::Value),
    /// Tag and payload.
    Pair(ir::Value, ir::Value),
}

impl Words {
    /// The words in order.
    pub fn list(self) -> SmallVec<[ir::Value; 2]> {
        match self {
            Words::One(word) => smallvec![word],
            Words::Pair(tag, payload) => smallvec![tag, payload],
        }
    }
    /// The last word: the payload of a pair, or the word itself.
    pub fn last(self) -> ir::Value {
        match self {
            Words::One(word) | Words::Pair(_, word) => word,
        }
    }
}

/// How a value of the IR is represented.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Mapped {
    /// Not yet defined; or a box that is made where it is used.
    #[default]
    Nothing,
    /// By plain values.
    Words(Words),
    /// By one variable.
    Variable(Variable),
    /// By a variable for the tag and one for the payload.
    Variables(Variable, Variable),
}

impl Translator<'_> {
    /// Whether the language boxes values as pairs.
    pub fn is_pair(&self) -> bool {
        self.language.encoding == Encoding::Pair
    }
    /// The code generator's type of a value that is no boxed pair.
    pub fn machine_type(ty: Type) -> ir::Type {
        match ty {
            Type::F64 => types::F64,
            Type::I1 => types::I8,
            Type::I64 | Type::Ref | Type::Raw | Type::Any => types::I64,
        }
    }
    /// The code generator's types of a value.
    pub fn machine_types(&self, ty: Type) -> SmallVec<[ir::Type; 2]> {
        match ty {
            Type::Any if self.is_pair() => smallvec![types::I64, types::I64],
            _ => smallvec![Self::machine_type(ty)],
        }
    }
    /// The instruction that makes a box where it is used, if the value is such a box: in pair encoding every box, which costs
    /// nothing then; in word encoding those of objects, which may move.
    pub fn lazy_box(&self, value: Value) -> Option<&InstData> {
        let function = self.function;
        function.def_with(value, Opcode::Box).filter(|data| {
            self.is_pair() || data.args.first().is_some_and(|&payload| function.ty(payload) == Type::Ref)
        })
    }
    /// The words of a value, as they are here.
    pub fn words(&mut self, value: Value) -> Result<Words, LowerError> {
        let lazy = self.lazy_box(value).map(|data| (data.immediate, data.args.first().copied()));
        if let Some((Immediate::Kind(kind), payload)) = lazy {
            let payload = payload.map(|payload| self.single(payload)).transpose()?;
            return self.box_payload(kind, payload);
        }
        match self.values[value] {
            Mapped::Words(words) => Ok(words),
            Mapped::Variable(variable) => Ok(Words::One(self.builder.use_var(variable))),
            Mapped::Variables(tag, payload) => {
                Ok(Words::Pair(self.builder.use_var(tag), self.builder.use_var(payload)))
            }
            Mapped::Nothing => Err(self.unsupported(format!("{value} is used before it is defined"))),
        }
    }
    /// The word of a value that is no boxed pair.
    pub fn single(&mut self, value: Value) -> Result<ir::Value, LowerError> {
        match self.words(value)? {
            Words::One(word) => Ok(word),
            Words::Pair(..) => {
                Err(self.unsupported(format!("{value} is a boxed pair where one word is due")))
            }
        }
    }
    /// Says what a value is from here on.
    pub fn define(&mut self, value: Value, words: Words) {
        let Some(home) = self.roots.home(value) else {
            self.values[value] = Mapped::Words(words);
            return;
        };
        self.homes.defined(home, value);
        // A value is defined at one place, but the place may be a loop's: its variables are declared once.
        if matches!(self.values[value], Mapped::Nothing) {
            self.values[value] = match words {
                Words::One(word) => {
                    let ty = self.builder.func.dfg.value_type(word);
                    Mapped::Variable(self.builder.declare_var(ty))
                }
                Words::Pair(..) => Mapped::Variables(
                    self.builder.declare_var(types::I64),
                    self.builder.declare_var(types::I64),
                ),
            };
        }
        self.redefine(value, words);
        if self.home_flow.is_stored_early(value) {
            self.store_to_home(value, home, words);
        }
    }
    /// Gives a value with a home new words, after its object may have moved.
    pub fn redefine(&mut self, value: Value, words: Words) {
        match (self.values[value], words) {
            (Mapped::Variable(variable), Words::One(word)) => self.builder.def_var(variable, word),
            (Mapped::Variables(tag_variable, payload_variable), Words::Pair(tag, payload)) => {
                self.builder.def_var(tag_variable, tag);
                self.builder.def_var(payload_variable, payload);
            }
            _ => unreachable!("a value with a home is represented by variables, as many as it has words"),
        }
    }
    /// A 64-bit constant.
    pub fn constant(&mut self, bits: u64) -> ir::Value {
        self.builder.ins().iconst(types::I64, bits as i64)
    }
    /// A value of a type as a 64-bit word: `i1` zero-extended, `f64` as its bits.
    pub fn as_word(&mut self, ty: Type, value: ir::Value) -> ir::Value {
        match ty {
            Type::F64 => self.builder.ins().bitcast(types::I64, ir::MemFlagsData::new(), value),
            Type::I1 => self.builder.ins().uextend(types::I64, value),
            Type::I64 | Type::Ref | Type::Raw | Type::Any => value,
        }
    }
    /// The inverse of [`Self::as_word`].
    pub fn value_of_word(&mut self, ty: Type, word: ir::Value) -> ir::Value {
        match ty {
            Type::F64 => self.builder.ins().bitcast(types::F64, ir::MemFlagsData::new(), word),
            Type::I1 => self.builder.ins().ireduce(types::I8, word),
            Type::I64 | Type::Ref | Type::Raw | Type::Any => word,
        }
    }
}
