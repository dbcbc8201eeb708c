//! Errors: messages in the words of PUC Lua, positions, tracebacks.
//!
//! An error on its way is a [`Throw`]; its value is in `State::error_value`. A run-time error gets the position of the current
//! function if that is a Lua function; an error that a native function raises gets that of the function that called it.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

use std::fmt::Write;

use crate::bytecode::{Instruction, Op, Prototype};
use crate::interpreter::arithmetic::Failure;
use crate::lexer::chunk_display_name;
use crate::metamethod::Event;
use crate::names;
use crate::number;
use crate::object::LuaString;
use crate::stack::{FRAME_NATIVE, FRAME_TAIL, Frame};
use crate::state::{Call, State, Throw};
use crate::surmise::externs::frame::FRAME_COMPILED;
use crate::table;
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

/// The first and last levels that a long traceback shows.
const TRACEBACK_FIRST: usize = 10;
const TRACEBACK_LAST: usize = 11;

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
        Operand::None => return None,
    };
    Some((kind, String::from_utf8_lossy(name).into_owned()))
}

/// Kind and name of the function that the instruction at `pc` calls.
fn name_called(prototype: &Prototype, pc: usize) -> Option<(&'static str, String)> {
    let (kind, name) = names::called_name(prototype, pc)?;
    Some((kind, String::from_utf8_lossy(name).into_owned()))
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

    /// The error of a full value stack.
    #[cold]
    pub fn stack_overflow(&mut self) -> Throw {
        self.runtime_error("stack overflow")
    }

    /// The frame of a level: 0 is the running function (for a native function that calls in no frame, its caller).
    pub(crate) fn level(&self, level: usize) -> Option<*mut Frame> {
        // SAFETY: frames from the first to the current one are valid; the first is no function's.
        unsafe {
            let frame = self.runloop.frame;
            let depth = frame.offset_from(self.runloop.frames.start) as usize;
            if level < depth { Some(frame.sub(level)) } else { None }
        }
    }

    /// `source:line: ` of a level, or nothing if that is no Lua function. Level 1 of a Lua function is itself: natives
    /// have levels of their own.
    pub fn position(&self, level: usize) -> String {
        self.show_compiled_frames();
        // SAFETY: frames are valid.
        unsafe {
            let is_native = (*self.runloop.frame).flags & FRAME_NATIVE != 0;
            let level = if is_native { level } else { level.saturating_sub(1) };
            match self.level(level) {
                Some(frame) => self.frame_position(frame),
                None => String::new(),
            }
        }
    }

    /// `source:line: ` of a frame, or nothing.
    fn frame_position(&self, frame: *mut Frame) -> String {
        match self.frame_line(frame) {
            Some((source, line)) => format!("{source}:{line}: "),
            None => String::new(),
        }
    }

    /// The display name of a Lua frame's source, and the line it is at.
    pub fn frame_line(&self, frame: *mut Frame) -> Option<(String, u32)> {
        // SAFETY: the frame is valid; a Lua frame's pc lies in its prototype's code.
        unsafe {
            if (*frame).flags & FRAME_NATIVE != 0 {
                return None;
            }
            let prototype = &*(*frame).prototype;
            let line = prototype.lines.get(self.frame_pc(frame)).copied().unwrap_or(prototype.line_defined);
            Some((chunk_display_name(&prototype.source), line))
        }
    }

    /// The index of the instruction that a Lua frame is at.
    pub fn frame_pc(&self, frame: *mut Frame) -> usize {
        // SAFETY: as in `frame_line`.
        unsafe {
            let at = (*frame).pc.offset_from((*(*frame).prototype).code.as_ptr());
            (at as usize).saturating_sub(1)
        }
    }

    /// ` (local 'x')` or the like, for an operand of the current Lua frame's instruction.
    pub fn operand_name(&self, operand: Operand) -> String {
        self.show_compiled_frames();
        let frame = self.runloop.frame;
        // SAFETY: the current frame is valid.
        unsafe {
            if (*frame).flags & FRAME_NATIVE != 0 {
                return String::new();
            }
            let prototype = &*(*frame).prototype;
            let pc = self.frame_pc(frame);
            let operand = match operand {
                // Compiled code knows values only; the instruction knows where this one came from.
                Operand::None if (*frame).flags & FRAME_COMPILED != 0 => operand_of(prototype.code[pc]),
                operand => operand,
            };
            match name_operand(prototype, pc, operand) {
                Some((kind, name)) => format!(" ({kind} '{name}')"),
                None => String::new(),
            }
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
        self.show_compiled_frames();
        let frame = self.runloop.frame;
        let mut name = String::new();
        // SAFETY: the current frame is valid.
        unsafe {
            if (*frame).flags & FRAME_NATIVE == 0 {
                let prototype = &*(*frame).prototype;
                let pc = self.frame_pc(frame);
                let register = function.offset_from((*frame).base);
                let i = prototype.code[pc];
                let found = match i.op {
                    Op::Call | Op::TailCall
                        if register == i.a as isize || (*frame).flags & FRAME_COMPILED != 0 =>
                    {
                        name_operand(prototype, pc, Operand::Register(i.a))
                    }
                    Op::Call | Op::TailCall => None,
                    _ => name_called(prototype, pc),
                };
                if let Some((kind, found)) = found {
                    name = format!(" ({kind} '{found}')");
                }
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
        match failure {
            Failure::DivideByZero => return self.runtime_error("attempt to divide by zero"),
            Failure::ModuloByZero => return self.runtime_error("attempt to perform 'n%0'"),
            Failure::Operands => {}
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

    /// The error of a to-be-closed variable without `__close`.
    #[cold]
    pub fn not_closable(&mut self, register: u8) -> Throw {
        let frame = self.runloop.frame;
        // SAFETY: the current frame is a Lua frame.
        let prototype = unsafe { &*(*frame).prototype };
        let name =
            names::local_name(prototype, self.frame_pc(frame) + 1, register).unwrap_or("?").to_string();
        self.runtime_error(&format!("variable '{name}' got a non-closable value"))
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
        let frame = self.runloop.frame;
        let name = match self.called_name(frame) {
            Some((kind, name)) => {
                if kind == "method" {
                    number -= 1;
                    if number == 0 {
                        return self.throw_message(format!("calling '{name}' on bad self ({message})"));
                    }
                }
                name
            }
            None => self.global_function_name(frame).unwrap_or_else(|| "?".to_string()),
        };
        self.throw_message(format!("bad argument #{number} to '{name}' ({message})"))
    }

    /// How the function of a frame was called, from the instruction that called it.
    pub(crate) fn called_name(&self, frame: *mut Frame) -> Option<(&'static str, String)> {
        self.show_compiled_frames();
        // SAFETY: frames are valid, and there is one below each function's.
        unsafe {
            if (*frame).flags & FRAME_TAIL != 0 {
                return None;
            }
            let caller = frame.sub(1);
            if (*caller).flags & FRAME_NATIVE != 0 {
                return None;
            }
            name_called(&*(*caller).prototype, self.frame_pc(caller))
        }
    }

    /// The name under which a loaded module has the function of a frame: `string.rep`, or without prefix for globals.
    fn global_function_name(&self, frame: *mut Frame) -> Option<String> {
        // SAFETY: frames are valid.
        let function = unsafe { (*frame).base.sub(1).read() };
        let text = |v: Value| String::from_utf8_lossy(LuaString::bytes(v.as_string())).into_owned();
        let mut module = Value::NIL;
        while let Ok(Some((name, content))) = table::next(self.registry, module) {
            module = name;
            if !name.is(Tag::String) || !content.is(Tag::Table) {
                continue;
            }
            let mut key = Value::NIL;
            while let Ok(Some((field, value))) = table::next(content.as_table(), key) {
                key = field;
                if field.is(Tag::String) && value.same_bits(function) {
                    let (module, field) = (text(name), text(field));
                    return Some(if module == "_G" { field } else { format!("{module}.{field}") });
                }
            }
        }
        None
    }

    /// The traceback from a level on, behind `message` if there is one.
    pub fn traceback(&self, message: Option<&[u8]>, first_level: usize) -> Vec<u8> {
        self.show_compiled_frames();
        let mut out = String::new();
        // SAFETY: frames from the first to the current one are valid.
        unsafe {
            let levels = self.runloop.frame.offset_from(self.runloop.frames.start) as usize;
            let mut level = first_level;
            let skip = levels.saturating_sub(first_level) > TRACEBACK_FIRST + TRACEBACK_LAST;
            while level < levels {
                if skip && level == first_level + TRACEBACK_FIRST {
                    let skipped = levels - level - TRACEBACK_LAST;
                    let _ = write!(out, "\n\t...\t(skipping {skipped} levels)");
                    level += skipped;
                    continue;
                }
                let frame = self.runloop.frame.sub(level);
                match self.frame_line(frame) {
                    Some((source, line)) => {
                        let _ = write!(out, "\n\t{source}:{line}: in ");
                    }
                    None => out.push_str("\n\t[C]: in "),
                }
                self.describe_function(frame, &mut out);
                if (*frame).flags & FRAME_TAIL != 0 {
                    out.push_str("\n\t(...tail calls...)");
                }
                level += 1;
            }
        }
        let mut text = Vec::new();
        if let Some(message) = message {
            text.extend_from_slice(message);
            text.push(b'\n');
        }
        text.extend_from_slice(b"stack traceback:");
        text.extend_from_slice(out.as_bytes());
        text
    }

    fn describe_function(&self, frame: *mut Frame, out: &mut String) {
        if let Some(name) = self.global_function_name(frame) {
            let _ = write!(out, "function '{name}'");
        } else if let Some((kind, name)) = self.called_name(frame) {
            let _ = write!(out, "{kind} '{name}'");
        } else {
            // SAFETY: the frame is valid.
            unsafe {
                let prototype = (*frame).prototype;
                if prototype.is_null() {
                    out.push('?');
                } else if (*prototype).line_defined == 0 {
                    out.push_str("main chunk");
                } else {
                    let source = chunk_display_name(&(*prototype).source);
                    let _ = write!(out, "function <{source}:{}>", (*prototype).line_defined);
                }
            }
        }
    }
}
