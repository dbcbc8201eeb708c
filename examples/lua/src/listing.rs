//! Bytecode as text, one line per instruction, for golden tests and for people.
//!
//! ```text
//! function f at line 3: 1 parameter, 4 registers
//!    0  [3]  GetGlobal  r1 = _ENV.print
//!    1  [3]  Test       r0 if true -> 4
//! ```

use std::fmt::{self, Write};

use crate::bytecode::{Instruction, Op, UpvalueSource};
use crate::compiler::{Constant, Function};

/// The listing of a function and of all functions inside it.
pub fn list(function: &Function) -> String {
    let mut out = String::new();
    write_function(&mut out, function, "main").expect("writing to a string can't fail");
    out
}

fn write_function(out: &mut String, function: &Function, name: &str) -> fmt::Result {
    let vararg = if function.is_vararg { ", ..." } else { "" };
    writeln!(
        out,
        "function {name} at line {}: {} parameters{vararg}, {} registers",
        function.line_defined, function.parameter_count, function.register_count
    )?;
    for (number, upvalue) in function.upvalues.iter().enumerate() {
        let source = match upvalue.source {
            UpvalueSource::Register(register) => format!("r{register}"),
            UpvalueSource::Upvalue(outer) => format!("u{outer}"),
            UpvalueSource::Itself => "itself".to_owned(),
        };
        let cell = if upvalue.is_cell { ", a cell" } else { "" };
        writeln!(out, "  u{number} {} = {source}{cell}", upvalue.name)?;
    }
    for local in &function.locals {
        let cell = if local.is_cell { ", a cell" } else { "" };
        writeln!(out, "  r{} {} at {}..{}{cell}", local.register, local.name, local.start, local.end)?;
    }
    for (pc, (instruction, line)) in function.code.iter().zip(&function.lines).enumerate() {
        let text = describe(function, pc, *instruction);
        writeln!(out, "{pc:5}  [{line}]  {:<18} {text}", format!("{:?}", instruction.op))?;
    }
    for (number, child) in function.children.iter().enumerate() {
        writeln!(out)?;
        let name = if name == "main" { format!("{number}") } else { format!("{name}.{number}") };
        write_function(out, child, &name)?;
    }
    Ok(())
}

/// An instruction's operands.
fn describe(function: &Function, pc: usize, instruction: Instruction) -> String {
    use Op::*;
    let Instruction { op, a, b, c, d } = instruction;
    let target = pc as i64 + 1 + i64::from(d);
    let constant = |number: usize| function.constants.get(number).map_or("?".to_owned(), constant_text);
    let key = || function.caches.get(d as usize).map_or("?".to_owned(), |number| constant(*number as usize));
    let upvalue = |number: u8| function.upvalues.get(number as usize).map_or("?", |upvalue| &upvalue.name);
    let when = |c: u8| if c & 1 != 0 { "" } else { "not " };
    let small = b as i8;
    let upto = |first: u32, count: u8| match count {
        0 => format!("r{first}..top"),
        1 => "nothing".to_owned(),
        2 => format!("r{first}"),
        _ => format!("r{first}..r{}", first + u32::from(count) - 2),
    };
    let a32 = u32::from(a);
    match op {
        Move => format!("r{a} = r{b}"),
        LoadNil => format!("r{a}..r{} = nil", a32 + u32::from(b)),
        LoadBool => format!("r{a} = {}", b != 0),
        LoadFalseSkip => format!("r{a} = false -> {}", pc + 2),
        LoadInt => format!("r{a} = {d}"),
        LoadConstant => format!("r{a} = {}", constant(d as usize)),
        GetUpvalue => format!("r{a} = {}", upvalue(b)),
        GetUpvalueCell => format!("r{a} = [{}]", upvalue(b)),
        SetUpvalueCell => format!("[{}] = r{a}", upvalue(b)),
        NewCell => format!("r{a} = [r{a}]"),
        GetCell => format!("r{a} = [r{b}]"),
        SetCell => format!("[r{a}] = r{b}"),
        GetGlobal | GetUpvalueField => format!("r{a} = {}[{}]", upvalue(b), key()),
        SetGlobal => format!("{}[{}] = r{a}", upvalue(b), key()),
        GetField => format!("r{a} = r{b}[{}]", key()),
        SetField => format!("r{a}[{}] = r{b}", key()),
        SetFieldConstant => format!("r{a}[{}] = {}", key(), constant(usize::from(b) + 256 * usize::from(c))),
        GetIndex => format!("r{a} = r{b}[r{c}]"),
        SetIndex => format!("r{a}[r{b}] = r{c}"),
        SetIndexConstant => format!("r{a}[r{b}] = {}", constant(d as usize)),
        GetInt => format!("r{a} = r{b}[{d}]"),
        SetInt => format!("r{a}[{d}] = r{b}"),
        GetMethod => format!("r{a} = r{b}[{}], r{} = r{b}", key(), a32 + 1),
        NewTable => format!("r{a} = {{}} for {d} elements, {c} fields"),
        SetList => {
            format!("r{a}[{}..] = {}", i64::from(d) + 1, upto(a32 + 1, if b == 0 { 0 } else { b + 1 }))
        }
        Add => format!("r{a} = r{b} + r{c}"),
        Sub => format!("r{a} = r{b} - r{c}"),
        Mul => format!("r{a} = r{b} * r{c}"),
        Div => format!("r{a} = r{b} / r{c}"),
        Mod => format!("r{a} = r{b} % r{c}"),
        Pow => format!("r{a} = r{b} ^ r{c}"),
        FloorDiv => format!("r{a} = r{b} // r{c}"),
        BitAnd => format!("r{a} = r{b} & r{c}"),
        BitOr => format!("r{a} = r{b} | r{c}"),
        BitXor => format!("r{a} = r{b} ~ r{c}"),
        ShiftLeft => format!("r{a} = r{b} << r{c}"),
        ShiftRight => format!("r{a} = r{b} >> r{c}"),
        AddConstant | SubConstant | MulConstant | DivConstant | ModConstant | FloorDivConstant
        | PowConstant | BitAndConstant | BitOrConstant | BitXorConstant => {
            with_constant(a, b, c, operator_text(op), &constant(d as usize))
        }
        AddInt | SubInt | ShiftLeftInt | ShiftRightInt => {
            with_constant(a, b, c, operator_text(op), &d.to_string())
        }
        Negate => format!("r{a} = -r{b}"),
        Not => format!("r{a} = not r{b}"),
        Length => format!("r{a} = #r{b}"),
        BitNot => format!("r{a} = ~r{b}"),
        Concat => format!("r{a} = r{b} .. r{}", u32::from(b) + u32::from(c) - 1),
        Jump | JumpBack => format!("-> {target}"),
        Test => format!("if {}r{a} -> {target}", when(c)),
        TestSet => format!("if {}r{b} then r{a} = r{b} -> {target}", when(c)),
        Equal => format!("if {}r{a} == r{b} -> {target}", when(c)),
        Less => format!("if {}r{a} < r{b} -> {target}", when(c)),
        LessEqual => format!("if {}r{a} <= r{b} -> {target}", when(c)),
        EqualConstant => format!("if {}r{a} == {} -> {target}", when(c), constant(b as usize)),
        EqualInt => format!("if {}r{a} == {small} -> {target}", when(c)),
        LessInt => format!("if {}r{a} < {small}{} -> {target}", when(c), float_mark(c)),
        LessEqualInt => format!("if {}r{a} <= {small}{} -> {target}", when(c), float_mark(c)),
        GreaterInt => format!("if {}r{a} > {small}{} -> {target}", when(c), float_mark(c)),
        GreaterEqualInt => format!("if {}r{a} >= {small}{} -> {target}", when(c), float_mark(c)),
        Call => format!("{} = r{a}({})", upto(a32, c), upto(a32 + 1, b)),
        TailCall => format!("r{a}({})", upto(a32 + 1, b)),
        Return => format!("{}{}", upto(a32, b), if c != 0 { ", closing" } else { "" }),
        ReturnNone => String::new(),
        ReturnOne => format!("r{a}"),
        ForPrepare => format!("r{a} else -> {target}"),
        ForLoop => format!("r{a} -> {target}"),
        ForGenericPrepare => format!("r{a} -> {target}"),
        ForCall => format!("{} = r{a}(r{}, r{})", upto(a32 + 4, c + 1), a32 + 1, a32 + 2),
        ForGenericLoop => format!("r{a} -> {target}"),
        Closure => format!("r{a} = function {d}"),
        VarArg => format!("{} = ...", upto(a32, c)),
        ToBeClosed => format!("r{a}"),
        Close => format!("r{a}.."),
    }
}

fn with_constant(a: u8, b: u8, c: u8, operator: &str, constant: &str) -> String {
    match c {
        0 => format!("r{a} = r{b} {operator} {constant}"),
        _ => format!("r{a} = {constant} {operator} r{b}"),
    }
}

fn operator_text(op: Op) -> &'static str {
    match op {
        Op::AddConstant | Op::AddInt => "+",
        Op::SubConstant | Op::SubInt => "-",
        Op::MulConstant => "*",
        Op::DivConstant => "/",
        Op::ModConstant => "%",
        Op::FloorDivConstant => "//",
        Op::PowConstant => "^",
        Op::BitAndConstant => "&",
        Op::BitOrConstant => "|",
        Op::BitXorConstant => "~",
        Op::ShiftLeftInt => "<<",
        _ => ">>",
    }
}

fn float_mark(c: u8) -> &'static str {
    if c & 2 != 0 { ".0" } else { "" }
}

fn constant_text(constant: &Constant) -> String {
    match constant {
        Constant::Nil => "nil".to_owned(),
        Constant::Bool(truth) => truth.to_string(),
        Constant::Int(int) => int.to_string(),
        Constant::Float(float) => format!("{float:?}"),
        Constant::String(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}
