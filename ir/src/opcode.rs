//! The one table of instructions.
//!
//! Each row gives the opcode, its name in the text form, what its immediate is, its fixed operand types (`*` for any number or
//! types that depend on the immediate), its result, its class of effect, and its meaning. The printer, the parser, the
//! verifier, the evaluator and the passes read this table; the compiler's exhaustive matches lead to the rest.
//!
//! Result column: a type, `none`, or `by immediate` (the immediate decides: a kind's payload, a field's type, an extern's
//! result, a slot's type, an operation's result, a constant's type).

use serde::{Deserialize, Serialize};

/// What an instruction may do besides computing its result, in classes that passes ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectClass {
    /// Nothing: it may be dropped, duplicated, merged and moved (down to its proofs' dominance).
    Pure,
    /// It reads memory of its field's alias class.
    Read,
    /// It writes memory of its field's alias class.
    Write,
    /// It may leave to the interpreter before any effect of its bytecode instruction.
    Guard,
    /// As its extern, operation or callee declares.
    Call,
    /// It ends a block.
    Terminator,
}

/// What kind of immediate an instruction carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImmediateForm {
    /// None.
    None,
    /// A 64-bit integer.
    Integer,
    /// A double.
    Float,
    /// A truth value.
    Boolean,
    /// A kind.
    Kind,
    /// A kind and a guard reason.
    KindReason,
    /// A guard reason.
    Reason,
    /// A comparison of integers.
    IntCondition,
    /// A comparison of floats.
    FloatCondition,
    /// A field.
    Field,
    /// An extern.
    Extern,
    /// A spesh slot.
    Slot,
    /// An operation and its site.
    Operation,
    /// A register.
    Register,
    /// A call's window position, wanted results and site.
    Call,
    /// A recipe: what an assumption is about.
    Recipe,
}

/// What the result is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResultForm {
    /// No result.
    None,
    /// A value of this type.
    Type(crate::types::Type),
    /// The immediate (or the operands) decide.
    ByImmediate,
}

/// The operand types of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperandForm {
    /// Exactly these.
    Fixed(&'static [crate::types::Type]),
    /// The immediate decides, or anything goes: the verifier has a rule of its own.
    Special,
}

macro_rules! opcodes {
    ($($name:ident = $text:literal, $immediate:ident, $operands:tt, $result:tt, $effect:ident: $doc:literal;)*) => {
        /// An instruction's operation.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        pub enum Opcode { $(#[doc = $doc] $name,)* }

        impl Opcode {
            /// All opcodes, in the order of the table.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$name,)*];
            /// The name in the text form.
            pub fn name(self) -> &'static str { match self { $(Opcode::$name => $text,)* } }
            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str { match self { $(Opcode::$name => $doc,)* } }
            /// What its immediate is.
            pub fn immediate(self) -> ImmediateForm { match self { $(Opcode::$name => ImmediateForm::$immediate,)* } }
            /// What its operands are.
            pub fn operands(self) -> OperandForm { match self { $(Opcode::$name => opcodes!(@operands $operands),)* } }
            /// What its result is.
            pub fn result(self) -> ResultForm { match self { $(Opcode::$name => opcodes!(@result $result),)* } }
            /// Its class of effect.
            pub fn effect(self) -> EffectClass { match self { $(Opcode::$name => EffectClass::$effect,)* } }
        }
    };
    (@operands *) => { OperandForm::Special };
    (@operands [$($ty:ident)*]) => { OperandForm::Fixed(&[$(crate::types::Type::$ty),*]) };
    (@result none) => { ResultForm::None };
    (@result *) => { ResultForm::ByImmediate };
    (@result $ty:ident) => { ResultForm::Type(crate::types::Type::$ty) };
}

opcodes! {
    // Constants.
    Iconst = "iconst", Integer, [], I64, Pure: "An integer constant.";
    Fconst = "fconst", Float, [], F64, Pure: "A float constant, given by its bits.";
    Bconst = "bconst", Boolean, [], I1, Pure: "A truth constant.";
    RawConst = "rawconst", Integer, [], Raw, Pure: "A word that the collector ignores; 0 is the null address.";

    // Integers wrap around.
    Iadd = "iadd", None, [I64 I64], I64, Pure: "Sum, modulo 2^64.";
    Isub = "isub", None, [I64 I64], I64, Pure: "Difference, modulo 2^64.";
    Imul = "imul", None, [I64 I64], I64, Pure: "Product, modulo 2^64.";
    Ineg = "ineg", None, [I64], I64, Pure: "Negation, modulo 2^64.";
    FloorDiv = "floor_div", None, [I64 I64], I64, Pure: "Quotient rounded towards minus infinity; the divisor is not 0; MIN / -1 is MIN.";
    FloorMod = "floor_mod", None, [I64 I64], I64, Pure: "Remainder with the divisor's sign; the divisor is not 0; MIN % -1 is 0.";
    Iand = "iand", None, [I64 I64], I64, Pure: "Bitwise and.";
    Ior = "ior", None, [I64 I64], I64, Pure: "Bitwise or.";
    Ixor = "ixor", None, [I64 I64], I64, Pure: "Bitwise exclusive or.";
    Inot = "inot", None, [I64], I64, Pure: "Bitwise complement.";
    ShiftLeft = "shl", None, [I64 I64], I64, Pure: "Shift left by a count taken modulo 64.";
    ShiftRight = "ushr", None, [I64 I64], I64, Pure: "Logical shift right by a count taken modulo 64.";
    ShiftRightSigned = "sshr", None, [I64 I64], I64, Pure: "Arithmetic shift right by a count taken modulo 64.";

    // Floats, IEEE double, round to nearest even.
    Fadd = "fadd", None, [F64 F64], F64, Pure: "Sum.";
    Fsub = "fsub", None, [F64 F64], F64, Pure: "Difference.";
    Fmul = "fmul", None, [F64 F64], F64, Pure: "Product.";
    Fdiv = "fdiv", None, [F64 F64], F64, Pure: "Quotient.";
    Fneg = "fneg", None, [F64], F64, Pure: "Negation: flips the sign bit.";
    Fabs = "fabs", None, [F64], F64, Pure: "Absolute value: clears the sign bit.";
    Fsqrt = "fsqrt", None, [F64], F64, Pure: "Square root.";
    Ffloor = "ffloor", None, [F64], F64, Pure: "Rounded towards minus infinity.";
    Fceil = "fceil", None, [F64], F64, Pure: "Rounded towards plus infinity.";

    // Conversions.
    IntToFloat = "int_to_float", None, [I64], F64, Pure: "The nearest double.";
    FloatToInt = "float_to_int", None, [F64], I64, Pure: "Truncated towards zero; saturates at both ends; NaN gives 0.";
    FloatBits = "float_bits", None, [F64], I64, Pure: "The double's bits.";
    BitsFloat = "bits_float", None, [I64], F64, Pure: "The double with these bits.";
    BoolToInt = "bool_to_int", None, [I1], I64, Pure: "0 or 1.";

    // Comparisons and truth values.
    Icmp = "icmp", IntCondition, [I64 I64], I1, Pure: "Compares integers.";
    Fcmp = "fcmp", FloatCondition, [F64 F64], I1, Pure: "Compares floats; with a NaN only `ne` is true.";
    RefEqual = "ref_eq", None, [Ref Ref], I1, Pure: "Whether two collector-managed pointers are the same object.";
    RawEqual = "raw_eq", None, [Raw Raw], I1, Pure: "Whether two words are equal.";
    AnyEqual = "any_eq", None, [Any Any], I1, Pure: "Whether two boxed values have the same bits.";
    Band = "band", None, [I1 I1], I1, Pure: "Both.";
    Bor = "bor", None, [I1 I1], I1, Pure: "At least one.";
    Bnot = "bnot", None, [I1], I1, Pure: "Not.";
    Select = "select", None, *, *, Pure: "`select c, a, b`: a if c, else b; a and b have the result's type.";

    // Boxed values.
    Box = "box", Kind, *, Any, Pure: "The boxed value of a kind with this payload (no operand for kinds without payload).";
    Unbox = "unbox", Kind, [Any], *, Pure: "The payload of a boxed value that is known to be of the kind; a proof names why.";
    IsKind = "is_kind", Kind, [Any], I1, Pure: "Whether a boxed value is of the kind.";
    AnyTag = "any_tag", None, [Any], I64, Pure: "The tag word of a boxed pair.";
    AnyPayload = "any_payload", None, [Any], I64, Pure: "The payload word of a boxed pair, as bits.";

    // Guards. Each carries a frame state with a resume point before any effect of its bytecode instruction, or after it.
    GuardKind = "guard_kind", KindReason, [Any], *, Guard: "Leaves unless the value is of the kind; the result is its payload (none for kinds without payload).";
    GuardNotKind = "guard_not_kind", KindReason, [Any], Any, Guard: "Leaves if the value is of the kind; the result is the value.";
    GuardTrue = "guard_true", Reason, [I1], none, Guard: "Leaves unless the condition holds.";
    GuardFalse = "guard_false", Reason, [I1], none, Guard: "Leaves if the condition holds.";

    // Assumptions.
    Assume = "assume", Recipe, [], none, Pure: "The function rests on what the recipe names, without checking it: whoever breaks it invalidates the candidate. Only in the entry block.";

    // Memory of host objects. `base` is a `ref` or a `raw`.
    Load = "load", Field, *, *, Read: "`load f, base`: the field's value.";
    Store = "store", Field, *, none, Write: "`store f, base, value`: sets the field.";
    LoadElement = "load_element", Field, *, *, Read: "`load_element f, base, index`: element number index (from 0) of an element field.";
    StoreElement = "store_element", Field, *, none, Write: "`store_element f, base, index, value`.";
    Barrier = "barrier", None, *, none, Write: "`barrier object, value`: the write barrier, after value (any or ref) was stored into object.";

    // The frame and its surroundings.
    Slot = "slot", Slot, [], *, Pure: "What a spesh slot holds.";
    HostState = "host_state", None, [], Raw, Pure: "The address of the host's own state, as given at registration of the runloop.";
    Argument = "argument", Register, [], Any, Read: "The boxed value in this register of the window, at entry; the absent value (the first kind without payload) for an argument that was not passed. Only in the entry block.";
    ArgumentCount = "argument_count", None, [], I64, Pure: "How many arguments the caller passed. Only in function entries.";
    SelfClosure = "self_closure", None, [], Any, Read: "The boxed callee of this frame (register -1 of the window), at entry. Only in the entry block.";
    WindowAddress = "window_address", Register, [], Raw, Pure: "The address of this register in the frame's window on the guest stack.";
    LoadWindow = "load_window", Register, [], Any, Read: "The boxed value in this register of the window, where a call or extern left it.";
    StoreWindow = "store_window", Register, [Any], none, Write: "Puts a boxed value into this register of the window, for a call or extern to find.";

    // Calls. They carry the frame state *after* their bytecode instruction, whose results are still to be delivered.
    Operation = "op", Operation, *, *, Call: "A generic operation of the language, not yet specialized. Carries the state before its bytecode instruction.";
    CallExtern = "call_extern", Extern, *, *, Call: "Calls an extern of the language.";
    CallGuest = "call_guest", Call, *, *, Call: "`call_guest callee, args...`: calls any value. Results: one `any` when one is wanted, none for zero, else they are left in the window.";
    CallUnit = "call_unit", Call, *, *, Call: "`call_unit closure(ref), args...`: calls a value known to be of the closure kind through its unit's entry cell.";
    ResultCount = "result_count", None, [], I64, Read: "How many results the call just before left in the window. Only right after a call with open results.";
    Poll = "poll", None, [], none, Call: "A safepoint: if somebody asked, calls the service. Carries the state to resume before.";

    // Terminators.
    Jump = "jump", None, [], none, Terminator: "`jump block(args)`.";
    Branch = "branch", None, [I1], none, Terminator: "`branch c, then(args), else(args)`.";
    Return = "return", None, *, none, Terminator: "Leaves the unit with these boxed results (in templates: with the result, of the operation's type).";
    ReturnOpen = "return_open", Register, [I64], none, Terminator: "Leaves the unit with as many results as the operand says, found in the window from the register on.";
    Deoptimize = "deoptimize", Reason, [], none, Terminator: "Leaves to the interpreter for good.";
    Unreachable = "unreachable", None, [], none, Terminator: "Control never gets here.";
}

impl Opcode {
    /// The opcode with this name.
    pub fn from_name(name: &str) -> Option<Opcode> {
        Opcode::ALL.iter().copied().find(|op| op.name() == name)
    }
    /// Whether it ends a block.
    pub fn is_terminator(self) -> bool {
        self.effect() == EffectClass::Terminator
    }
    /// Whether instructions may name it as what proves something: a guard, an assumption, or a branch in what its first way dominates.
    pub fn may_prove(self) -> bool {
        self.is_guard() || matches!(self, Opcode::Assume | Opcode::Branch)
    }
    /// Whether it is a guard: an instruction that leaves to the interpreter when a guess fails.
    pub fn is_guard(self) -> bool {
        self.effect() == EffectClass::Guard
    }
}

/// A comparison of integers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum IntCondition {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    UnsignedLess,
    UnsignedLessEqual,
    UnsignedGreater,
    UnsignedGreaterEqual,
}

impl IntCondition {
    /// All of them with their names.
    pub const ALL: [(IntCondition, &'static str); 10] = [
        (IntCondition::Equal, "eq"),
        (IntCondition::NotEqual, "ne"),
        (IntCondition::Less, "lt"),
        (IntCondition::LessEqual, "le"),
        (IntCondition::Greater, "gt"),
        (IntCondition::GreaterEqual, "ge"),
        (IntCondition::UnsignedLess, "ult"),
        (IntCondition::UnsignedLessEqual, "ule"),
        (IntCondition::UnsignedGreater, "ugt"),
        (IntCondition::UnsignedGreaterEqual, "uge"),
    ];
    /// The name in the text form.
    pub fn name(self) -> &'static str {
        IntCondition::ALL[self as usize].1
    }
    /// Whether it holds between two integers.
    pub fn holds(self, a: i64, b: i64) -> bool {
        match self {
            IntCondition::Equal => a == b,
            IntCondition::NotEqual => a != b,
            IntCondition::Less => a < b,
            IntCondition::LessEqual => a <= b,
            IntCondition::Greater => a > b,
            IntCondition::GreaterEqual => a >= b,
            IntCondition::UnsignedLess => (a as u64) < b as u64,
            IntCondition::UnsignedLessEqual => a as u64 <= b as u64,
            IntCondition::UnsignedGreater => a as u64 > b as u64,
            IntCondition::UnsignedGreaterEqual => a as u64 >= b as u64,
        }
    }
}

/// A comparison of floats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum FloatCondition {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl FloatCondition {
    /// All of them with their names.
    pub const ALL: [(FloatCondition, &'static str); 6] = [
        (FloatCondition::Equal, "eq"),
        (FloatCondition::NotEqual, "ne"),
        (FloatCondition::Less, "lt"),
        (FloatCondition::LessEqual, "le"),
        (FloatCondition::Greater, "gt"),
        (FloatCondition::GreaterEqual, "ge"),
    ];
    /// The name in the text form.
    pub fn name(self) -> &'static str {
        FloatCondition::ALL[self as usize].1
    }
    /// Whether it holds between two floats.
    pub fn holds(self, a: f64, b: f64) -> bool {
        match self {
            FloatCondition::Equal => a == b,
            FloatCondition::NotEqual => a != b,
            FloatCondition::Less => a < b,
            FloatCondition::LessEqual => a <= b,
            FloatCondition::Greater => a > b,
            FloatCondition::GreaterEqual => a >= b,
        }
    }
}
