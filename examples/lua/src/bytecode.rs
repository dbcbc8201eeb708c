//! The register bytecode: what the compiler makes, the interpreter runs and the lifter reads.
//!
//! An instruction is eight bytes, `op a b c d`: three register-sized operands and a 32-bit one that holds a constant's index,
//! an inline cache's index, an immediate or a jump distance. Eight bytes are more than the four of Lua's own machine, but every
//! operand is a load of its own width from the instruction: nothing is shifted or masked, jumps reach everywhere, and caches
//! need no side lookup.
//!
//! Jumps are relative to the *next* instruction. `R` is the frame's register window, `K` the constants, `U` the upvalues.
//! The key of cache `d` is a string of at most 40 bytes: longer ones take the way over a register.
//!
//! A conditional instruction only ever jumps forward: every way back goes over `JumpBack`, `ForLoop` or `ForGenericLoop`.
//! `R[a..]` "to top" means up to the frame's dynamic top, which a preceding open call or vararg set.

#![allow(rustdoc::broken_intra_doc_links, reason = "R[a] and its like are registers, no links")]

use crate::value::Value;

/// One instruction.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// The operation.
    pub op: Op,
    /// Usually the destination register.
    pub a: u8,
    /// First operand.
    pub b: u8,
    /// Second operand.
    pub c: u8,
    /// Constant, cache, immediate or jump distance.
    pub d: i32,
}

/// The operations. In the comments, `jump` means `pc += d` after the fetch of the next instruction's address.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Op {
    /// R[a] = R[b]
    Move,
    /// R[a..=a+b] = nil
    LoadNil,
    /// R[a] = (b != 0)
    LoadBool,
    /// R[a] = false, then the next instruction is skipped: the false end of a comparison whose value is wanted
    LoadFalseSkip,
    /// R[a] = d as integer
    LoadInt,
    /// R[a] = K[d]
    LoadConstant,
    /// R[a] = U[b], a variable captured by value
    GetUpvalue,
    /// R[a] = content of the cell U[b]
    GetUpvalueCell,
    /// content of the cell U[b] = R[a]
    SetUpvalueCell,
    /// R[a] = a new cell holding R[a]
    NewCell,
    /// R[a] = content of the cell R[b]
    GetCell,
    /// content of the cell R[a] = R[b]
    SetCell,
    /// R[a] = U[b][key of cache d]; U[b] is `_ENV` captured by value
    GetGlobal,
    /// U[b][key of cache d] = R[a]
    SetGlobal,
    /// R[a] = U[b][key of cache d]; U[b] is any variable captured by value but `_ENV`, such as a module's table
    GetUpvalueField,
    /// R[a] = R[b][key of cache d]
    GetField,
    /// R[a][key of cache d] = R[b]
    SetField,
    /// R[a][key of cache d] = K[b + 256 * c], any constant
    SetFieldConstant,
    /// R[a] = R[b][R[c]]
    GetIndex,
    /// R[a][R[b]] = R[c]
    SetIndex,
    /// R[a][R[b]] = K[d], any constant
    SetIndexConstant,
    /// R[a] = R[b][d], d an integer
    GetInt,
    /// R[a][d] = R[b]
    SetInt,
    /// R[a+1] = R[b]; R[a] = R[b][key of cache d]
    GetMethod,
    /// R[a] = {} with room for d array elements and c properties
    NewTable,
    /// R[a][d+i] = R[a+i] for 1 <= i <= b; b == 0: to top
    SetList,
    /// R[a] = R[b] + R[c]
    Add,
    /// R[a] = R[b] - R[c]
    Sub,
    /// R[a] = R[b] * R[c]
    Mul,
    /// R[a] = R[b] / R[c]
    Div,
    /// R[a] = R[b] % R[c]
    Mod,
    /// R[a] = R[b] ^ R[c]
    Pow,
    /// R[a] = R[b] // R[c]
    FloorDiv,
    /// R[a] = R[b] & R[c]
    BitAnd,
    /// R[a] = R[b] | R[c]
    BitOr,
    /// R[a] = R[b] ~ R[c]
    BitXor,
    /// R[a] = R[b] << R[c]
    ShiftLeft,
    /// R[a] = R[b] >> R[c]
    ShiftRight,
    /// R[a] = R[b] + K[d], a number. In this and the following operations with a constant, c != 0 says that the constant
    /// was the left operand: it matters to metamethods alone, and is set for commutative operations only.
    AddConstant,
    /// R[a] = R[b] - K[d]
    SubConstant,
    /// R[a] = R[b] * K[d]; c as in `AddConstant`
    MulConstant,
    /// R[a] = R[b] / K[d]
    DivConstant,
    /// R[a] = R[b] % K[d]
    ModConstant,
    /// R[a] = R[b] // K[d]
    FloorDivConstant,
    /// R[a] = R[b] ^ K[d]
    PowConstant,
    /// R[a] = R[b] & K[d], an integer; c as in `AddConstant`
    BitAndConstant,
    /// R[a] = R[b] | K[d], an integer; c as in `AddConstant`
    BitOrConstant,
    /// R[a] = R[b] ~ K[d], an integer; c as in `AddConstant`
    BitXorConstant,
    /// R[a] = R[b] + d, d an integer; c as in `AddConstant`
    AddInt,
    /// R[a] = R[b] - d, d an integer
    SubInt,
    /// R[a] = R[b] << d, d an integer with 0 <= d <= 63
    ShiftLeftInt,
    /// R[a] = R[b] >> d, d an integer with 0 <= d <= 63
    ShiftRightInt,
    /// R[a] = -R[b]
    Negate,
    /// R[a] = not R[b]
    Not,
    /// R[a] = #R[b]
    Length,
    /// R[a] = ~R[b]
    BitNot,
    /// R[a] = R[b] .. ... .. R[b+c-1]
    Concat,
    /// jump, forward only
    Jump,
    /// jump, backward only: a loop's back-edge (counted, polls)
    JumpBack,
    /// if truthy(R[a]) == (c != 0) then jump
    Test,
    /// if truthy(R[b]) == (c != 0) then R[a] = R[b], jump
    TestSet,
    /// if (R[a] == R[b]) == (c != 0) then jump
    Equal,
    /// if (R[a] < R[b]) == (c != 0) then jump
    Less,
    /// if (R[a] <= R[b]) == (c != 0) then jump
    LessEqual,
    /// if (R[a] == K[b]) == (c != 0) then jump; K[b] is nil, a boolean, a number or a string, compared raw
    EqualConstant,
    /// if (R[a] == i8(b)) == (c != 0) then jump
    EqualInt,
    /// if (R[a] < i8(b)) == (c & 1 != 0) then jump. In this and the following three, c & 2 says that the constant was
    /// written as a float (`x < 4.0`): it matters to metamethods alone, which receive it as such.
    LessInt,
    /// if (R[a] <= i8(b)) == (c & 1 != 0) then jump
    LessEqualInt,
    /// if (R[a] > i8(b)) == (c & 1 != 0) then jump (for metamethods: i8(b) < R[a])
    GreaterInt,
    /// if (R[a] >= i8(b)) == (c & 1 != 0) then jump (for metamethods: i8(b) <= R[a])
    GreaterEqualInt,
    /// Call R[a] with b-1 arguments from R[a+1] (b == 0: to top); results to R[a..], c-1 of them (c == 0: all, sets top)
    Call,
    /// return R[a](R[a+1..]); b as in `Call`. A `Return` of all from R[a] on follows.
    TailCall,
    /// return R[a..], b-1 values (b == 0: to top); closes to-be-closed variables first when c != 0
    Return,
    /// return no value
    ReturnNone,
    /// return R[a]
    ReturnOne,
    /// Prepare a numeric loop: R[a] start, R[a+1] limit, R[a+2] step; R[a+3] is the visible variable.
    /// Integer loop: R[a+1] becomes the unsigned count of further iterations. If it does not run: jump (past the ForLoop).
    ForPrepare,
    /// Next iteration of a numeric loop: advances R[a] and copies it to R[a+3]; if it goes on: jump (back)
    ForLoop,
    /// Prepare a generic loop: R[a] iterator, R[a+1] state, R[a+2] control, R[a+3] closing value (made to-be-closed when not
    /// nil); then jump (to the ForCall)
    ForGenericPrepare,
    /// R[a+4], ..., R[a+3+c] = R[a](R[a+1], R[a+2]); R[a+4] to R[a+6] may be used to make the call. `ForGenericLoop` follows.
    ForCall,
    /// if R[a+4] != nil then R[a+2] = R[a+4], jump (back)
    ForGenericLoop,
    /// R[a] = closure of prototype d
    Closure,
    /// R[a..] = the variable arguments, c-1 of them (c == 0: all, sets top)
    VarArg,
    /// Mark R[a] as to-be-closed
    ToBeClosed,
    /// Close all to-be-closed variables >= R[a]
    Close,
}

impl Op {
    /// The operation of a number.
    pub fn from_number(number: u8) -> Option<Op> {
        // SAFETY: the operations are numbered from zero on without gaps, and `Close` is the last one.
        (number <= Op::Close as u8).then(|| unsafe { std::mem::transmute::<u8, Op>(number) })
    }
}

impl Instruction {
    /// An instruction with register operands.
    pub const fn abc(op: Op, a: u8, b: u8, c: u8) -> Instruction {
        Instruction { op, a, b, c, d: 0 }
    }
    /// An instruction with a register and a wide operand.
    pub const fn ad(op: Op, a: u8, d: i32) -> Instruction {
        Instruction { op, a, b: 0, c: 0, d }
    }
}

/// Where a closure takes one of its upvalues from when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpvalueSource {
    /// R[n] of the enclosing function at that moment: a value, or the cell that lives in that register.
    Register(u8),
    /// U[n] of the enclosing function.
    Upvalue(u8),
    /// The closure that is being made: `local function f` whose name is never assigned again.
    Itself,
}

/// A captured variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpvalueInfo {
    /// The variable's name, for messages and `debug`.
    pub name: Box<str>,
    /// Where it comes from.
    pub source: UpvalueSource,
    /// Whether the upvalue holds a cell (the variable is assigned after its capture) or the value itself.
    pub is_cell: bool,
}

/// A local variable's life, for messages and `debug`: visible for `start <= pc < end`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalInfo {
    /// The name.
    pub name: Box<str>,
    /// Its register.
    pub register: u8,
    /// First instruction at which it is visible.
    pub start: u32,
    /// First instruction at which it no longer is.
    pub end: u32,
    /// Whether the register holds a cell.
    pub is_cell: bool,
}

/// A compiled function. Never moves, owned by the state.
pub struct Prototype {
    /// The instructions.
    pub code: Box<[Instruction]>,
    /// The constants.
    pub constants: Box<[Value]>,
    /// One per property access instruction: the key is fixed, the rest is the interpreter's cache.
    pub caches: Box<[crate::cache::FieldCache]>,
    /// Functions inside this one.
    pub children: Box<[*mut Prototype]>,
    /// Captured variables.
    pub upvalues: Box<[UpvalueInfo]>,
    /// How many fixed parameters.
    pub parameter_count: u8,
    /// Whether it takes further arguments.
    pub is_vararg: bool,
    /// Registers that the window needs.
    pub register_count: u8,
    /// The chunk's name, as `load` received it.
    pub source: std::rc::Rc<str>,
    /// Line of `function`; 0 for a main chunk.
    pub line_defined: u32,
    /// Line of the closing `end`.
    pub last_line: u32,
    /// Line of each instruction.
    pub lines: Box<[u32]>,
    /// Local variables, in order of their starts.
    pub locals: Box<[LocalInfo]>,
    /// What Surmise knows about the function (counters, entry cell, id).
    pub unit: crate::unit::UnitState,
}
