//! A host language as data.
//!
//! A host says once, as a value that can be written to a file, everything that the optimizer has to know about it. That is what
//! lets a recorded log be replayed without the host, and what keeps the optimizer free of any host's rules.
//!
//! * **Kinds** are the run-time types that can be told apart cheaply. A kind says how a boxed value of it is recognized, and
//!   how its payload is taken out and put back.
//! * **Operations** are what bytecode does to values: `add`, `index`, `truthy`. Each has an ordered list of *cases*, guarded by
//!   the kinds of the operands and by what the log observed at the site, and a fallback that is right for everything.
//! * **Intrinsics** are native functions of the host with cases of their own, chosen when the log saw one being called.
//! * **Externs** are functions of the host that compiled code may call, with their effects.
//! * **Layouts** are the fields of host objects that compiled code may touch, with alias classes.
//! * **Recipes** are the classes of things that a spesh slot can hold; the host turns a recipe into a word at installation.
//!
//! The text form is read by [`crate::text`] and is how hosts usually write it.

use crate::entity::{AliasClass, ExternId, FieldId, KindId, LayoutId, OperationId};
use crate::function::Function;
use crate::types::Type;
use cranelift_entity::PrimaryMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// How the host boxes values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Encoding {
    /// 8 bytes: NaN-boxing, tagged pointers.
    Word,
    /// 16 bytes: a tag word, then a payload word.
    Pair,
}

impl Encoding {
    /// Size of a boxed value in bytes.
    pub fn size(self) -> u32 {
        match self {
            Encoding::Word => 8,
            Encoding::Pair => 16,
        }
    }
}

/// A run-time type that can be told apart cheaply.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Kind {
    /// Its name, unique in the language.
    pub name: String,
    /// The type of the unboxed value; `None` for kinds with a single value, such as `nil`.
    pub payload: Option<Type>,
    /// How boxed values look.
    pub form: KindForm,
}

/// How boxed values of a kind look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KindForm {
    /// Pair encoding: the tag word equals this; the payload word is the payload's bits (0 or 1 for `i1`, 0 without payload).
    Tag(u64),
    /// Word encoding: `word & mask == pattern`; the payload is found by `unbox`.
    Word {
        /// Which bits tell the kind.
        mask: u64,
        /// What they are.
        pattern: u64,
        /// Where the payload is.
        unbox: WordPayload,
    },
}

/// Where the payload of a boxed word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WordPayload {
    /// There is none: the pattern is the whole word.
    None,
    /// `payload = word >> n` (arithmetic); `word = payload << n | pattern`.
    Shifted(u8),
    /// `payload = word - pattern`; `word = payload + pattern`. For tagged pointers, whose low bits are clear.
    Offset,
    /// `payload = word & !mask`; `word = payload | pattern`.
    Masked,
}

/// What of memory an extern may touch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub enum Reach {
    /// Nothing that compiled code can see.
    #[default]
    Nothing,
    /// Places of these alias classes.
    Classes(SmallVec<[AliasClass; 4]>),
    /// Anything.
    Everything,
}

/// What an extern may do besides computing its result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct Effects {
    /// Memory that it may read.
    pub reads: Reach,
    /// Memory that it may write.
    pub writes: Reach,
    /// It may allocate, and so the collector may run: a safepoint.
    pub allocates: bool,
    /// It may leave by raising a guest error.
    pub throws: bool,
    /// It may run guest code: a safepoint at which anything may happen, deoptimization of everything included.
    pub calls_guest: bool,
}

impl Effects {
    /// Whether collector-managed values that live across a call must be findable and may move.
    pub fn is_safepoint(&self) -> bool {
        self.allocates || self.calls_guest
    }
    /// Whether it does nothing but compute and touch memory: nobody looks at the calling frame meanwhile, and it returns.
    pub fn is_leaf(&self) -> bool {
        !self.is_safepoint() && !self.throws
    }
    /// Whether the calling frame may find itself invalidated when the call returns: the call needs a landing pad.
    pub fn may_deoptimize(&self) -> bool {
        self.calls_guest
    }
    /// Whether calls without used results may be dropped, and equal calls merged if nothing is written in between.
    pub fn is_pure(&self) -> bool {
        self.writes == Reach::Nothing && !self.allocates && !self.throws && !self.calls_guest
    }
}

/// A function of the host that compiled code may call.
///
/// The machine signature is `extern "C" fn(context, [window,] operands...) -> result`: the first argument is the context, the
/// second, for externs with `needs_window`, the address of the first register behind the calling frame's window, from where on
/// the host may use the guest stack. `any` operands in pair encoding are two words, tag first; an `any` result comes back in
/// the two integer result registers. `i1` is a word, 0 or 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Extern {
    /// Its name, by which the host gives the address.
    pub name: String,
    /// Types of the operands, context and window not counted.
    pub params: SmallVec<[Type; 4]>,
    /// Type of the result.
    pub result: Option<Type>,
    /// Whether the window's end is passed as second argument.
    pub needs_window: bool,
    /// What it may do.
    pub effects: Effects,
}

/// How a field lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum MemoryType {
    /// One byte, zero-extended to `i64`.
    U8,
    /// Two bytes, zero-extended to `i64`.
    U16,
    /// Four bytes, zero-extended to `i64`.
    U32,
    /// Four bytes, sign-extended to `i64`.
    I32,
    /// A value of this type, in its full size (`i1` in one byte, `any` in the encoding's size).
    Full(Type),
}

impl MemoryType {
    /// The SSA type of a loaded value.
    pub fn value_type(self) -> Type {
        match self {
            MemoryType::Full(ty) => ty,
            _ => Type::I64,
        }
    }
    /// The name in the text form.
    pub fn name(self) -> &'static str {
        match self {
            MemoryType::U8 => "u8",
            MemoryType::U16 => "u16",
            MemoryType::U32 => "u32",
            MemoryType::I32 => "i32",
            MemoryType::Full(ty) => ty.name(),
        }
    }
    /// The memory type with this name.
    pub fn from_name(name: &str) -> Option<MemoryType> {
        match name {
            "u8" => Some(MemoryType::U8),
            "u16" => Some(MemoryType::U16),
            "u32" => Some(MemoryType::U32),
            "i32" => Some(MemoryType::I32),
            _ => Type::from_name(name).map(MemoryType::Full),
        }
    }
}

/// A field of an object, or the elements that follow it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Field {
    /// The layout that it belongs to.
    pub layout: LayoutId,
    /// Its name, unique in the layout.
    pub name: String,
    /// Distance from the object's address, in bytes.
    pub offset: i32,
    /// Its form in memory.
    pub memory: MemoryType,
    /// For element fields the distance between elements in bytes; 0 for plain fields.
    pub stride: u32,
    /// What else may be the same place.
    pub alias: AliasClass,
    /// The field never changes once the object exists.
    pub immutable: bool,
}

/// An object form.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Layout {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<FieldId>,
}

/// What one operand of a case must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OperandPattern {
    /// Anything; the template receives the operand as it is.
    Anything,
    /// A value of this kind; the template receives its payload (or the boxed value, for kinds without payload).
    Kind(KindId),
}

/// How a template uses a word that the log observed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WordUse {
    /// As an `i64` constant.
    Integer,
    /// As a spesh slot with a recipe of this class (index into [`Language::recipes`]).
    Slot(u32),
    /// Not as a parameter: the case rests on the assumption that a recipe of this class names, and needs no check of it.
    Assumption(u32),
}

/// One way to do an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What the operands must be.
    pub operands: SmallVec<[OperandPattern; 3]>,
    /// Which variant of fact the log must have seen at the site, if any.
    pub variant: Option<u8>,
    /// How the fact's words become the template's further parameters, or what the case rests on.
    pub words: SmallVec<[WordUse; 4]>,
    /// The code: its first block's parameters are the operands, then the words (but for assumptions); it ends with `return`.
    pub template: Function,
}

/// Something that bytecode does to values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name, unique in the language.
    pub name: String,
    /// Types of the operands. Only `any` operands can be specialized.
    pub params: SmallVec<[Type; 3]>,
    /// Type of the result.
    pub result: Option<Type>,
    /// The kind of the result is worth a guess: it comes from memory or from a call, where only the log can know it.
    pub result_is_observed: bool,
    /// The ways to do it, best first.
    pub cases: Vec<Case>,
    /// What does it for every operand: called with all operands.
    pub fallback: ExternId,
}

/// A native function with code of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intrinsic {
    /// Its name.
    pub name: String,
    /// The number under which the log reports it.
    pub number: u32,
    /// The ways to do it by the kinds of the arguments; the number of operands is the number of arguments.
    pub cases: Vec<Case>,
}

/// A class of things that spesh slots hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecipeClass {
    /// Its name.
    pub name: String,
    /// The slot's type: `raw`, `ref` or `any`.
    pub ty: Type,
}

/// What a spesh slot holds, said so that any isolate, also in another process, can find it again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Recipe {
    /// Index into [`Language::recipes`].
    pub class: u32,
    /// What the host's resolver is asked for; the meaning is the host's.
    pub words: [u64; 2],
}

/// How guest functions are called from compiled code.
///
/// A call at window position `p` finds the callee's boxed value in register `p` and the arguments from `p + 1` on; the callee's
/// own window starts at `p + 1`. Results replace the callee's value and what follows it. Machine code of a unit is
/// `fn(context, window, argument_count) -> (first result, count)`, with `window` the address of the callee's first register.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallProtocol {
    /// The kind of callable values that have machine code.
    pub closure: KindId,
    /// In a closure object: its unit (a `raw` field).
    pub unit: FieldId,
    /// In the unit: the entry cell, machine code to call (a `raw` field). Never null.
    pub entry: FieldId,
    /// Called for every other callee: `(context, window + p, argument_count, wanted)`, see [`crate::opcode::Opcode::CallGuest`].
    pub generic: ExternId,
    /// The log's fact variant "a closure of unit w0 was called"; w0 is a slot of recipe class `unit_recipe`.
    pub closure_variant: u8,
    /// The recipe class of units (type `raw`).
    pub unit_recipe: u32,
    /// Native functions as values, if the language has such.
    pub natives: Option<NativeProtocol>,
}

/// How calls of native functions are told apart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NativeProtocol {
    /// The log's fact variant "native function w0 with intrinsic number w1 was called"; w0 is a slot of class `recipe`.
    pub variant: u8,
    /// The recipe class of native functions (type `ref`).
    pub recipe: u32,
    /// The kind of native functions.
    pub kind: KindId,
}

/// The write barrier: after a collector-managed value was stored into `object`, if `object.flags & mask == trigger` then
/// `slow(object)` is called, which neither allocates nor throws.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WriteBarrier {
    /// The object's flags.
    pub flags: FieldId,
    /// Which flags decide.
    pub mask: u64,
    /// What they must be for the slow path.
    pub trigger: u64,
    /// The slow path, `(ref)`.
    pub slow: ExternId,
}

/// A host language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Language {
    /// Its name.
    pub name: String,
    /// How it boxes values.
    pub encoding: Encoding,
    /// Its kinds. Patterns of different kinds never recognize the same boxed value.
    pub kinds: PrimaryMap<KindId, Kind>,
    /// Names of the alias classes.
    pub alias_classes: PrimaryMap<AliasClass, String>,
    /// Object forms.
    pub layouts: PrimaryMap<LayoutId, Layout>,
    /// The fields of all layouts.
    pub fields: PrimaryMap<FieldId, Field>,
    /// Functions of the host.
    pub externs: PrimaryMap<ExternId, Extern>,
    /// Operations.
    pub operations: PrimaryMap<OperationId, Operation>,
    /// Native functions with code of their own.
    pub intrinsics: Vec<Intrinsic>,
    /// What spesh slots can hold.
    pub recipes: Vec<RecipeClass>,
    /// How guest functions are called, if compiled code can call them.
    pub calls: Option<CallProtocol>,
    /// The write barrier, if the collector needs one.
    pub barrier: Option<WriteBarrier>,
}

impl Language {
    /// A language without anything in it.
    pub fn new(name: &str, encoding: Encoding) -> Language {
        Language {
            name: name.to_owned(),
            encoding,
            kinds: PrimaryMap::new(),
            alias_classes: PrimaryMap::new(),
            layouts: PrimaryMap::new(),
            fields: PrimaryMap::new(),
            externs: PrimaryMap::new(),
            operations: PrimaryMap::new(),
            intrinsics: Vec::new(),
            recipes: Vec::new(),
            calls: None,
            barrier: None,
        }
    }
    /// The kind with this name.
    pub fn kind(&self, name: &str) -> Option<KindId> {
        self.kinds.iter().find(|(_, kind)| kind.name == name).map(|(id, _)| id)
    }
    /// The extern with this name.
    pub fn extern_(&self, name: &str) -> Option<ExternId> {
        self.externs.iter().find(|(_, e)| e.name == name).map(|(id, _)| id)
    }
    /// The operation with this name.
    pub fn operation(&self, name: &str) -> Option<OperationId> {
        self.operations.iter().find(|(_, o)| o.name == name).map(|(id, _)| id)
    }
    /// The field `layout.field` by its full name.
    pub fn field(&self, full_name: &str) -> Option<FieldId> {
        let (layout, name) = full_name.split_once('.')?;
        self.fields
            .iter()
            .find(|(_, f)| f.name == name && self.layouts[f.layout].name == layout)
            .map(|(id, _)| id)
    }
    /// The recipe class with this name.
    pub fn recipe_class(&self, name: &str) -> Option<u32> {
        self.recipes.iter().position(|r| r.name == name).map(|i| i as u32)
    }
    /// The field's full name, `layout.field`.
    pub fn field_name(&self, field: FieldId) -> String {
        let f = &self.fields[field];
        format!("{}.{}", self.layouts[f.layout].name, f.name)
    }
}
