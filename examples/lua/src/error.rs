//! Errors: messages in the words of PUC Lua, positions, tracebacks.
//!
//! An error on its way is a [`Throw`]; its value is in `State::error_value`. A run-time error gets the position of the current
//! function if that is a Lua function; an error that a native function raises gets that of the function that called it.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

use crate::bytecode::{Instruction, Op, Prototype};
use crate::interpreter::arithmetic::Failure;
use crate::levels::Level;
use crate::lexer::chunk_display_name;
use crate::metamethod::Event;
use crate::names;
use crate::number;
use crate::object::LuaString;
use crate::stack::{FRAME_FINALIZER, FRAME_HOOK};
use crate::state::{Call, State, Throw};
use crate::value::{Tag, Value};

/// Where an instruction took an operand from, so that a message can name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A register.
    Register(u8),
    /// A constant.
    Constant(u32),
    /// An upvalue.
    Upvalue(u8),
    /// An operand of the running concatenation, counted from its first.
    Concatenated(u8),
    /// Not known.
    None,
}

/// The operand that an instruction with one operand to complain about would name.
fn operand_of(instruction: Instruction) -> Operand {
    match instruction.op {
        Op::GetField | Op::GetMethod | Op::GetIndex | Op::GetInt | Op::Length | Op::Negate | Op::BitNot => {
            Operand::Register(instruction.b)
        }
        Op::SetField | Op::SetFieldConstant | Op::SetIndex | Op::SetIndexConstant | Op::SetInt => {
            Operand::Register(instruction.a)
        }
        Op::GetGlobal | Op::SetGlobal | Op::GetUpvalueField => Operand::Upvalue(instruction.b),
        _ => Operand::None,
    }
}

/// The name of a basic type.
pub fn type_name(value: Value) -> &'static str {
    const NAMES: [&str; 12] = [
        "nil", "boolean", "number", "number", "userdata", "string", "table", "function", "function",
        "userdata", "thread", "cell",
    ];
    NAMES[value.tag as usize]
}

/// Kind and name of an operand of the instruction at `pc`.
fn name_operand(prototype: &Prototype, pc: usize, operand: Operand) -> Option<(&'static str, String)> {
    let (kind, name) = match operand {
        Operand::Register(register) => names::register_name(prototype, pc, register)?,
        Operand::Constant(constant) => {
            ("constant", names::Code::string_constant(prototype, constant as usize)?)
        }
        Operand::Upvalue(index) => ("upvalue", names::Code::upvalue_name(prototype, index).as_bytes()),
        Operand::Concatenated(place) => {
            names::register_name(prototype, pc, prototype.code[pc].b.checked_add(place)?)?
        }
        Operand::None => return None,
    };
    Some((kind, in_message(name)))
}

/// A name as messages have it: PUC formats them in C, where a text ends at a zero.
fn in_message(name: &[u8]) -> String {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    String::from_utf8_lossy(&name[..end]).into_owned()
}

/// Kind and name of the function that the instruction at `pc` calls.
fn name_called(prototype: &Prototype, pc: usize) -> Option<(&'static str, String)> {
    let (kind, name) = names::called_name(prototype, pc)?;
    Some((kind, in_message(name)))
}

impl State {
    /// The error of indexing what can't be indexed.
    #[cold]
    pub fn index_error(&mut self, object: Value, _key: Value, operand: Operand) -> Throw {
        self.type_error_at("index", object, operand)
    }

    /// Throws a value.
    #[cold]
    pub fn throw_value(&mut self, value: Value) -> Throw {
        self.error_value = value;
        self.error_handled = false;
        Throw
    }

    /// Throws a message with the position of the function that called the running native function (or of the running Lua
    /// function).
    #[cold]
    pub fn throw_message(&mut self, message: impl AsRef<[u8]>) -> Throw {
        let mut text = self.position(1).into_bytes();
        text.extend_from_slice(message.as_ref());
        let value = self.string_value(&text);
        self.throw_value(value)
    }

    /// Throws a message with the position of the running function if that is a Lua function.
    #[cold]
    pub fn runtime_error(&mut self, message: &str) -> Throw {
        let text = format!("{}{message}", self.position(0));
        let value = self.string_value(text.as_bytes());
        self.throw_value(value)
    }

    /// Throws "not enough memory".
    #[cold]
    pub fn memory_error(&mut self) -> Throw {
        let message = Value::string(self.memory_message);
        self.throw_value(message)
    }

    /// The error of a full value stack. A message handler that fills what was left to it as well is not told of that.
    #[cold]
    pub fn stack_overflow(&mut self) -> Throw {
        if self.runloop.is_extended() {
            let message = self.string_value(b"error in error handling");
            let thrown = self.throw_value(message);
            self.error_handled = true;
            return thrown;
        }
        self.runtime_error("stack overflow")
    }

    /// `source:line: ` of a level, or nothing if that is no Lua function. Level 1 of a Lua function is itself: natives
    /// have levels of their own.
    pub fn position(&self, level: usize) -> String {
        let levels = self.levels(level + 1);
        let is_native = levels.first().is_some_and(Level::is_native);
        let level = if is_native { level } else { level.saturating_sub(1) };
        match levels.get(level).and_then(|level| level.prototype().zip(level.line())) {
            // Natives say nothing about places without lines.
            Some((_, ..=0)) if is_native => String::new(),
            Some((prototype, line)) => format!("{}:{line}: ", chunk_display_name(&prototype.source)),
            None => String::new(),
        }
    }

    /// ` (local 'x')` or the like, for an operand of the running Lua function's instruction.
    pub fn operand_name(&self, operand: Operand) -> String {
        let Some(level) = self.level(0) else { return String::new() };
        let Some(prototype) = level.prototype() else { return String::new() };
        let operand = match operand {
            // Compiled code knows values only; the instruction knows where this one came from.
            Operand::None if level.is_compiled => operand_of(prototype.code[level.pc]),
            operand => operand,
        };
        match name_operand(prototype, level.pc, operand) {
            Some((kind, name)) => format!(" ({kind} '{name}')"),
            None => String::new(),
        }
    }

    /// The type's name for messages: `__name` of the metatable if that is a string.
    pub fn type_name_of(&self, value: Value) -> String {
        if value.is(Tag::LightUserdata) {
            return "light userdata".to_string();
        }
        if value.is(Tag::Table) || value.is(Tag::Userdata) {
            let name = self.metamethod(value, Event::Name);
            if name.is(Tag::String) {
                return String::from_utf8_lossy(LuaString::bytes(name.as_string())).into_owned();
            }
        }
        type_name(value).to_string()
    }

    /// "attempt to `what` a … value (…)".
    #[cold]
    pub fn type_error_at(&mut self, what: &str, value: Value, operand: Operand) -> Throw {
        let message =
            format!("attempt to {what} a {} value{}", self.type_name_of(value), self.operand_name(operand));
        self.runtime_error(&message)
    }

    /// The error of calling a value that is no function; `function` is its slot.
    #[cold]
    pub fn call_error(&mut self, function: *mut Value, callee: Value) -> Throw {
        let mut name = String::new();
        if let Some(level) = self.level(0)
            && let Some(prototype) = level.prototype()
        {
            let i = prototype.code[level.pc];
            let called = level.base.wrapping_add(i.a as usize);
            let found = match i.op {
                Op::Call | Op::TailCall if called == function || level.is_compiled => {
                    name_operand(prototype, level.pc, Operand::Register(i.a))
                }
                Op::Call | Op::TailCall => None,
                _ => name_called(prototype, level.pc),
            };
            if let Some((kind, found)) = found {
                name = format!(" ({kind} '{found}')");
            }
        }
        let message = format!("attempt to call a {} value{name}", self.type_name_of(callee));
        self.runtime_error(&message)
    }

    /// The error of an arithmetic or bitwise operation.
    #[cold]
    pub fn arithmetic_error(
        &mut self,
        failure: Failure,
        event: Event,
        x: Value,
        y: Value,
        x_operand: Operand,
        y_operand: Operand,
    ) -> Throw {
        let by_zero = match failure {
            Failure::DivideByZero => Some("attempt to divide by zero"),
            Failure::ModuloByZero => Some("attempt to perform 'n%0'"),
            Failure::Operands => None,
        };
        if let Some(message) = by_zero {
            if x.is(Tag::String) || y.is(Tag::String) {
                // Raised in the string library's metamethods in PUC, which have no lines.
                let message = self.string_value(message.as_bytes());
                return self.throw_value(message);
            }
            return self.runtime_error(message);
        }
        let is_number = |v: Value| v.is_int() || v.is_float();
        let bitwise = matches!(
            event,
            Event::BitAnd
                | Event::BitOr
                | Event::BitXor
                | Event::ShiftLeft
                | Event::ShiftRight
                | Event::BitNot
        );
        if bitwise && is_number(x) && is_number(y) {
            let operand = if number::to_integer(x).is_none() { x_operand } else { y_operand };
            let message = format!("number{} has no integer representation", self.operand_name(operand));
            return self.runtime_error(&message);
        }
        if !bitwise && (x.is(Tag::String) || y.is(Tag::String)) {
            // Raised by the string library's metamethods in PUC: no operand names.
            let message =
                format!("attempt to {} a '{}' with a '{}'", event.short_name(), type_name(x), type_name(y));
            return self.runtime_error(&message);
        }
        let (culprit, operand) = if is_number(x) { (y, y_operand) } else { (x, x_operand) };
        let what = if bitwise { "perform bitwise operation on" } else { "perform arithmetic on" };
        self.type_error_at(what, culprit, operand)
    }

    /// The error of a concatenation.
    #[cold]
    pub fn concat_error(&mut self, x: Value, y: Value, x_operand: Operand, y_operand: Operand) -> Throw {
        let is_text = x.is(Tag::String) || x.is_int() || x.is_float();
        let (culprit, operand) = if is_text { (y, y_operand) } else { (x, x_operand) };
        self.type_error_at("concatenate", culprit, operand)
    }

    /// The error of a comparison.
    #[cold]
    pub fn compare_error(&mut self, x: Value, y: Value) -> Throw {
        let (a, b) = (self.type_name_of(x), self.type_name_of(y));
        if a == b {
            self.runtime_error(&format!("attempt to compare two {a} values"))
        } else {
            self.runtime_error(&format!("attempt to compare {a} with {b}"))
        }
    }

    /// The error of a numeric loop's start.
    #[cold]
    pub fn for_error(&mut self, what: &str, value: Value) -> Throw {
        let got = self.type_name_of(value);
        self.runtime_error(&format!("bad 'for' {what} (number expected, got {got})"))
    }

    /// The error of a to-be-closed variable without `__close`, a register of the running function.
    #[cold]
    pub fn not_closable(&mut self, slot: *mut Value) -> Throw {
        let level = self.level(0);
        let name = level
            .as_ref()
            .and_then(|level| {
                let register = (slot as usize).checked_sub(level.base as usize)? / size_of::<Value>();
                names::local_name(level.prototype()?, level.pc + 1, u8::try_from(register).ok()?)
            })
            .unwrap_or("?");
        let message = format!("variable '{name}' got a non-closable value");
        self.runtime_error(&message)
    }

    /// The error of a to-be-closed variable whose `__close` has gone.
    #[cold]
    pub fn not_callable_close(&mut self, _value: Value) -> Throw {
        self.runtime_error("attempt to call a nil value (metamethod 'close')")
    }

    /// "bad argument #i to 'f' (message)". `i` counts from zero.
    #[cold]
    pub fn argument_error(&mut self, _call: Call, i: u32, message: &str) -> Throw {
        let mut number = i + 1;
        let levels = self.levels(2);
        let name = match self.called_name(&levels, 0) {
            Some((kind, name)) => {
                if kind == "method" {
                    number -= 1;
                    if number == 0 {
                        return self.throw_message(format!("calling '{name}' on bad self ({message})"));
                    }
                }
                name
            }
            None => levels
                .first()
                .and_then(|level| self.global_function_name(level))
                .unwrap_or_else(|| "?".to_string()),
        };
        self.throw_message(format!("bad argument #{number} to '{name}' ({message})"))
    }

    /// How the function of a level was called, from the instruction that called it in the level below.
    pub fn called_name(&self, levels: &[Level], number: usize) -> Option<(&'static str, String)> {
        let level = levels.get(number)?;
        if level.is_tail() {
            return None;
        }
        if level.flags & FRAME_FINALIZER != 0 {
            return Some(("metamethod", "__gc".to_string()));
        }
        if level.flags & FRAME_HOOK != 0 {
            return Some(("hook", "?".to_string()));
        }
        let caller = levels.get(number + 1)?;
        name_called(caller.prototype()?, caller.pc)
    }
}
