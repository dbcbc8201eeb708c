//! What a register's value is called in the source, for messages such as `attempt to call a nil value (global 'f')`.
//!
//! Nothing is recorded for it but the locals. Any other name is found by going through the code up to the instruction that
//! fails, to find the one that put the value into its register: a load of a field names the field, and so on. Where the value
//! may have come from more than one instruction, it has no name. (The method is that of Lua's own `ldebug.c`.)

use crate::bytecode::{Instruction, LocalInfo, Op};
use crate::compiler::{Constant, Function};

/// A function's code, as a prototype or the compiler holds it.
pub trait Code {
    /// The instructions.
    fn code(&self) -> &[Instruction];
    /// The local variables.
    fn locals(&self) -> &[LocalInfo];
    /// The name of an upvalue.
    fn upvalue_name(&self, index: u8) -> &str;
    /// A constant, if it is a string.
    fn string_constant(&self, number: usize) -> Option<&[u8]>;
    /// The key of a cache.
    fn cache_key(&self, cache: usize) -> &[u8];
}

impl Code for Function {
    fn code(&self) -> &[Instruction] {
        &self.code
    }

    fn locals(&self) -> &[LocalInfo] {
        &self.locals
    }

    fn upvalue_name(&self, index: u8) -> &str {
        self.upvalues.get(index as usize).map_or("?", |upvalue| &upvalue.name)
    }

    fn string_constant(&self, number: usize) -> Option<&[u8]> {
        match self.constants.get(number) {
            Some(Constant::String(bytes)) => Some(bytes),
            _ => None,
        }
    }

    fn cache_key(&self, cache: usize) -> &[u8] {
        self.caches.get(cache).and_then(|number| self.string_constant(*number as usize)).unwrap_or(b"?")
    }
}

/// The local variable in a register while the instruction at `pc` runs.
pub fn local_name<C: Code + ?Sized>(code: &C, pc: usize, register: u8) -> Option<&str> {
    let pc = pc as u32;
    // The innermost declaration of a register is the last one.
    let mut locals = code.locals().iter().rev();
    locals
        .find(|local| local.register == register && local.start <= pc && pc < local.end)
        .map(|local| &*local.name)
}

/// Kind and name of the value in a register when the instruction at `pc` is about to run: `("global", "print")`. The kinds
/// are `local`, `upvalue`, `global`, `field`, `method` and `constant`.
pub fn register_name<C: Code + ?Sized>(code: &C, pc: usize, register: u8) -> Option<(&'static str, &[u8])> {
    if let Some(name) = local_name(code, pc, register) {
        return Some(("local", name.as_bytes()));
    }
    let pc = setting_instruction(code.code(), pc, register)?;
    let Instruction { op, b, c, d, .. } = code.code()[pc];
    let key = || code.cache_key(d as usize);
    match op {
        Op::Move | Op::GetCell => register_name(code, pc, b),
        Op::GetUpvalue | Op::GetUpvalueCell => Some(("upvalue", code.upvalue_name(b).as_bytes())),
        Op::LoadConstant => code.string_constant(d as usize).map(|name| ("constant", name)),
        Op::GetGlobal | Op::GetUpvalueField => Some((field_kind(code.upvalue_name(b).as_bytes()), key())),
        Op::GetField => Some((field_kind_of(code, pc, b), key())),
        Op::GetIndex => {
            let name = match register_name(code, pc, c) {
                Some(("constant", name)) => name,
                _ => b"?",
            };
            Some((field_kind_of(code, pc, b), name))
        }
        // Lua has an instruction of its own for small keys only, and names those.
        Op::GetInt if (0..=255).contains(&d) => Some(("field", b"integer index")),
        Op::GetInt => Some(("field", b"?")),
        Op::GetMethod => Some(("method", key())),
        _ => None,
    }
}

/// Kind and name of the function that the instruction at `pc` calls, directly or as a metamethod.
pub fn called_name<C: Code + ?Sized>(code: &C, pc: usize) -> Option<(&'static str, &[u8])> {
    use Op::*;
    let instruction = code.code().get(pc)?;
    let event: &[u8] = match instruction.op {
        Call | TailCall => return register_name(code, pc, instruction.a),
        ForCall => return Some(("for iterator", b"for iterator")),
        GetGlobal | GetUpvalueField | GetField | GetIndex | GetInt | GetMethod => b"index",
        SetGlobal | SetField | SetFieldConstant | SetIndex | SetIndexConstant | SetInt => b"newindex",
        Add | AddConstant | AddInt => b"add",
        Sub | SubConstant | SubInt => b"sub",
        Mul | MulConstant => b"mul",
        Div | DivConstant => b"div",
        Mod | ModConstant => b"mod",
        Pow | PowConstant => b"pow",
        FloorDiv | FloorDivConstant => b"idiv",
        BitAnd | BitAndConstant => b"band",
        BitOr | BitOrConstant => b"bor",
        BitXor | BitXorConstant => b"bxor",
        ShiftLeft | ShiftLeftInt => b"shl",
        ShiftRight | ShiftRightInt => b"shr",
        Negate => b"unm",
        BitNot => b"bnot",
        Length => b"len",
        Concat => b"concat",
        Equal => b"eq",
        Less | LessInt | GreaterInt => b"lt",
        LessEqual | LessEqualInt | GreaterEqualInt => b"le",
        Close | Return => b"close",
        _ => return None,
    };
    Some(("metamethod", event))
}

fn field_kind(table: &[u8]) -> &'static str {
    if table == b"_ENV" { "global" } else { "field" }
}

fn field_kind_of<C: Code + ?Sized>(code: &C, pc: usize, table: u8) -> &'static str {
    match register_name(code, pc, table) {
        Some(("local" | "upvalue", name)) => field_kind(name),
        _ => "field",
    }
}

/// The last instruction before `end` that set the register, if that is certain.
fn setting_instruction(code: &[Instruction], end: usize, register: u8) -> Option<usize> {
    let mut setter = None;
    // What stands before this position may have been jumped over.
    let mut certain_from = 0;
    for (pc, instruction) in code.iter().enumerate().take(end) {
        if sets(*instruction, register) {
            setter = (pc >= certain_from).then_some(pc);
        }
        if let Some(target) = forward_target(pc, *instruction)
            && target <= end
        {
            certain_from = certain_from.max(target);
        }
    }
    setter
}

fn forward_target(pc: usize, instruction: Instruction) -> Option<usize> {
    use Op::*;
    match instruction.op {
        Jump | Test | TestSet | Equal | Less | LessEqual | EqualConstant | EqualInt | LessInt
        | LessEqualInt | GreaterInt | GreaterEqualInt => Some(pc + 1 + instruction.d as usize),
        LoadFalseSkip => Some(pc + 2),
        _ => None,
    }
}

/// Whether an instruction sets a register.
fn sets(instruction: Instruction, register: u8) -> bool {
    use Op::*;
    let Instruction { op, a, b, c, .. } = instruction;
    // The register's place, counted from `a`.
    let Some(offset) = register.checked_sub(a) else { return false };
    match op {
        LoadNil => offset <= b,
        GetMethod => offset <= 1,
        VarArg => c == 0 || offset + 1 < c,
        Call | TailCall => true,
        ForPrepare => offset <= 3,
        ForLoop => offset == 0 || offset == 3,
        ForCall => offset >= 4,
        ForGenericLoop => offset == 2,
        SetUpvalueCell | NewCell | SetCell | SetGlobal | SetField | SetFieldConstant | SetIndex
        | SetIndexConstant | SetInt | SetList | Jump | JumpBack | Test | Equal | Less | LessEqual
        | EqualConstant | EqualInt | LessInt | LessEqualInt | GreaterInt | GreaterEqualInt | Return
        | ReturnNone | ReturnOne | ForGenericPrepare | ToBeClosed | Close => false,
        _ => offset == 0,
    }
}
