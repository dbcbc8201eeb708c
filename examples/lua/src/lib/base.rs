//! The basic functions.

use crate::dump::SIGNATURE;
use crate::handler::{pcall, xpcall};
use crate::interpreter::loops::{INTRINSIC_IPAIRS, INTRINSIC_NEXT};
use crate::lib::collect::collectgarbage;
use crate::lib::warn::warn;
use crate::metamethod::Event;
use crate::number;
use crate::object::{LuaString, NativeFunction};
use crate::state::{Call, NativeEntry, State, Throw};
use crate::table::{self, KeyError};
use crate::value::{Tag, Value};

const FUNCTIONS: &[(&str, NativeEntry)] = &[
    ("assert", assert),
    ("collectgarbage", collectgarbage),
    ("dofile", dofile),
    ("error", error),
    ("getmetatable", getmetatable),
    ("load", load),
    ("loadfile", loadfile),
    ("next", next),
    ("pcall", pcall),
    ("print", print),
    ("rawequal", rawequal),
    ("rawget", rawget),
    ("rawlen", rawlen),
    ("rawset", rawset),
    ("select", select),
    ("setmetatable", setmetatable),
    ("tonumber", tonumber),
    ("tostring", tostring),
    ("type", type_of),
    ("warn", warn),
    ("xpcall", xpcall),
];

/// Opens the library: its functions are globals.
pub fn open(state: &mut State) {
    let globals = state.globals;
    state.add_functions(globals, FUNCTIONS);
    state.set_named(globals, "_G", Value::table(globals));
    let version = state.string_value(b"Lua 5.4");
    state.set_named(globals, "_VERSION", version);
    let loaded = state.registry;
    state.set_named(loaded, "_G", Value::table(globals));
    let key = state.string_value(b"next");
    let next = table::get(globals, key);
    let step = Value::native(state.heap.new_native(ipairs_step, "for iterator", INTRINSIC_IPAIRS, &[]));
    // SAFETY: the value is the native function `next`.
    unsafe { (*next.as_native()).intrinsic = INTRINSIC_NEXT };
    // `pairs` and `ipairs` find their iterators as their own upvalues.
    for (name, entry, iterator) in [("pairs", pairs as NativeEntry, next), ("ipairs", ipairs, step)] {
        let function = state.heap.new_native(entry, name, 0, &[iterator]);
        state.set_named(globals, name, Value::native(function));
    }
}

fn print(state: &mut State, call: Call) -> Result<u32, Throw> {
    for i in 0..call.count {
        let value = call.arg(i);
        if i > 0 {
            state.write_output(b"\t");
        }
        let text = state.to_display_string(value)?;
        state.write_output(LuaString::bytes(text));
    }
    state.write_output(b"\n");
    state.end_of_line();
    call.return_none()
}

fn type_of(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    let name = state.string_value(crate::error::type_name(value).as_bytes());
    call.return_one(name)
}

fn tostring(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    let text = state.to_display_string(value)?;
    call.return_one(Value::string(text))
}

fn tonumber(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.is_none_or_nil(1) {
        let value = state.check_any(call, 0)?;
        return call.return_one(number::to_number(value).unwrap_or(Value::NIL));
    }
    let base = state.check_int(call, 1)?;
    if !call.arg(0).is(Tag::String) {
        return Err(state.type_error(call, 0, "string"));
    }
    if !(2..=36).contains(&base) {
        return Err(state.argument_error(call, 1, "base out of range"));
    }
    let text = LuaString::bytes(call.arg(0).as_string());
    call.return_one(parse_in_base(text, base as u32).map_or(Value::NIL, Value::int))
}

fn parse_in_base(text: &[u8], base: u32) -> Option<i64> {
    let space = |c: &u8| matches!(c, b' ' | 9..=13);
    let start = text.iter().position(|c| !space(c))?;
    let end = text.iter().rposition(|c| !space(c))?;
    let text = &text[start..=end];
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = (*digit as char).to_digit(36).filter(|digit| *digit < base)?;
        value = value.wrapping_mul(i64::from(base)).wrapping_add(i64::from(digit));
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

fn assert(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.count > 0 && !call.arg(0).is_falsy() {
        // SAFETY: the arguments are the results; they move down by one slot.
        unsafe { std::ptr::copy(call.base, call.base.sub(1), call.count as usize) };
        return Ok(call.count);
    }
    state.check_any(call, 0)?;
    if call.count == 1 {
        return Err(state.throw_message("assertion failed!"));
    }
    let message = call.arg(1);
    if message.is(Tag::String) {
        // As `error` does it at level 1.
        return Err(state.throw_message(LuaString::bytes(message.as_string())));
    }
    Err(state.throw_value(message))
}

fn error(state: &mut State, call: Call) -> Result<u32, Throw> {
    let level = state.opt_int(call, 1, 1)?;
    let value = call.arg(0);
    if value.is(Tag::String) && level > 0 {
        let mut text = state.position(level as usize).into_bytes();
        text.extend_from_slice(LuaString::bytes(value.as_string()));
        let message = state.string_value(&text);
        return Err(state.throw_value(message));
    }
    Err(state.throw_value(value))
}

fn select(state: &mut State, call: Call) -> Result<u32, Throw> {
    let first = call.arg(0);
    if first.is(Tag::String) && LuaString::bytes(first.as_string()) == b"#" {
        return call.return_one(Value::int(i64::from(call.count) - 1));
    }
    let mut n = state.check_int(call, 0)?;
    let count = i64::from(call.count);
    if n < 0 {
        n += count;
    } else if n > count {
        n = count;
    }
    if n < 1 {
        return Err(state.argument_error(call, 0, "index out of range"));
    }
    let results = count - n;
    // SAFETY: the last arguments are the results; they move down to the function's slot.
    unsafe { std::ptr::copy(call.base.add(n as usize), call.base.sub(1), results as usize) };
    Ok(results as u32)
}

fn next(state: &mut State, call: Call) -> Result<u32, Throw> {
    let table = state.check_table(call, 0)?;
    match table::next(table, call.arg(1)) {
        Ok(Some((key, value))) => call.return_two(key, value),
        Ok(None) => call.return_one(Value::NIL),
        Err(table::InvalidKey) => Err(state.runtime_error("invalid key to 'next'")),
    }
}

/// The iterator that `pairs` or `ipairs` keeps.
fn own_iterator(call: Call) -> Value {
    // SAFETY: the running function is a native one, made with one upvalue.
    unsafe { *NativeFunction::upvalues(call.function().as_native()) }
}

fn pairs(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    let handler = state.metamethod(value, Event::Pairs);
    if handler.is_nil() {
        return call.return_slice(&[own_iterator(call), value, Value::NIL]);
    }
    state.allow_yields();
    let results = state.call(handler, &[value], Some(3))?;
    call.return_slice(&results)
}

fn ipairs(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    call.return_slice(&[own_iterator(call), value, Value::int(0)])
}

fn ipairs_step(state: &mut State, call: Call) -> Result<u32, Throw> {
    let index = state.check_int(call, 1)?.wrapping_add(1);
    let value = state.index(call.arg(0), Value::int(index))?;
    if value.is_nil() { call.return_one(Value::NIL) } else { call.return_two(Value::int(index), value) }
}

fn rawequal(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (a, b) = (state.check_any(call, 0)?, state.check_any(call, 1)?);
    call.return_one(Value::bool(table::raw_equals(a, b)))
}

fn rawlen(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = call.arg(0);
    if value.is(Tag::Table) {
        call.return_one(Value::int(table::length(value.as_table())))
    } else if value.is(Tag::String) {
        call.return_one(Value::int(LuaString::bytes(value.as_string()).len() as i64))
    } else {
        Err(state.type_error(call, 0, "table or string"))
    }
}

fn rawget(state: &mut State, call: Call) -> Result<u32, Throw> {
    let table = state.check_table(call, 0)?;
    let key = state.check_any(call, 1)?;
    call.return_one(table::get(table, key))
}

fn rawset(state: &mut State, call: Call) -> Result<u32, Throw> {
    let table = state.check_table(call, 0)?;
    let key = state.check_any(call, 1)?;
    let value = state.check_any(call, 2)?;
    match table::set(&mut state.heap, table, key, value) {
        Ok(()) => call.return_one(call.arg(0)),
        Err(KeyError::Nil) => Err(state.runtime_error("table index is nil")),
        Err(KeyError::Nan) => Err(state.runtime_error("table index is NaN")),
    }
}

fn getmetatable(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    let metatable = state.metatable_of(value);
    if metatable.is_null() {
        return call.return_one(Value::NIL);
    }
    let shown = state.metamethod(value, Event::Metatable);
    call.return_one(if shown.is_nil() { Value::table(metatable) } else { shown })
}

fn setmetatable(state: &mut State, call: Call) -> Result<u32, Throw> {
    let table = state.check_table(call, 0)?;
    let metatable = call.arg(1);
    if call.is_none(1) || !(metatable.is_nil() || metatable.is(Tag::Table)) {
        return Err(state.type_error(call, 1, "nil or table"));
    }
    // SAFETY: the table is an argument.
    if unsafe { !(*table).metatable.is_null() } && !state.metamethod(call.arg(0), Event::Metatable).is_nil() {
        return Err(state.throw_message("cannot change a protected metatable"));
    }
    let metatable = if metatable.is_nil() { std::ptr::null_mut() } else { metatable.as_table() };
    table::set_metatable(&mut state.heap, table, metatable);
    call.return_one(call.arg(0))
}

fn load(state: &mut State, call: Call) -> Result<u32, Throw> {
    let chunk = call.arg(0);
    let mut source = Vec::new();
    let name;
    if chunk.is(Tag::String) || chunk.is_int() || chunk.is_float() {
        source.extend_from_slice(state.check_bytes(call, 0)?);
        name = if call.is_none_or_nil(1) {
            String::from_utf8_lossy(&source).into_owned()
        } else {
            String::from_utf8_lossy(state.check_bytes(call, 1)?).into_owned()
        };
    } else {
        name = String::from_utf8_lossy(state.opt_bytes(call, 1, b"=(load)")?).into_owned();
        state.check_function(call, 0)?;
        // The reader is read from its slot each time: it may move.
        loop {
            let piece = match state.protected_call(call.arg(0), &[]) {
                Ok(values) => values.first().copied().unwrap_or(Value::NIL),
                Err(error) => return call.return_two(Value::NIL, error),
            };
            if piece.is(Tag::String) && !LuaString::bytes(piece.as_string()).is_empty() {
                source.extend_from_slice(LuaString::bytes(piece.as_string()));
            } else if piece.is_nil() || piece.is(Tag::String) {
                break;
            } else {
                let message = state.string_value(b"reader function must return a string");
                return call.return_two(Value::NIL, message);
            }
        }
    }
    let mode = state.opt_bytes(call, 2, b"bt")?;
    let environment = if call.is_none(3) { Value::table(state.globals) } else { call.arg(3) };
    finish_load(state, call, &source, &name, mode, environment)
}

fn finish_load(
    state: &mut State,
    call: Call,
    source: &[u8],
    name: &str,
    mode: &[u8],
    environment: Value,
) -> Result<u32, Throw> {
    let kind = if source.first() == SIGNATURE.first() { "binary" } else { "text" };
    if !mode.contains(&kind.as_bytes()[0]) {
        let mode = String::from_utf8_lossy(mode);
        let message =
            state.string_value(format!("attempt to load a {kind} chunk (mode is '{mode}')").as_bytes());
        return call.return_two(Value::NIL, message);
    }
    match state.load(source, name, environment) {
        Ok(closure) => call.return_one(Value::closure(closure)),
        Err(Throw) => {
            let message = state.error_value;
            call.return_two(Value::NIL, message)
        }
    }
}

/// Reads a file, or standard input when there is no name: the chunk in it, and its name.
pub fn read_source(name: Option<&str>) -> Result<(Vec<u8>, String), String> {
    use std::io::Read;
    let Some(name) = name else {
        let mut source = Vec::new();
        return match std::io::stdin().read_to_end(&mut source) {
            Ok(_) => Ok((without_shell_line(source), "=stdin".to_string())),
            Err(error) => Err(format!("cannot read stdin: {}", system_words(&error))),
        };
    };
    match std::fs::read(name) {
        Ok(source) => Ok((without_shell_line(source), format!("@{name}"))),
        Err(error) => {
            let what = if error.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" };
            Err(format!("cannot {what} {name}: {}", system_words(&error)))
        }
    }
}

/// The chunk in a file: it may start with a byte order mark, and with a line for the shell (`#!...`), whose line end still counts in
/// a text.
pub fn without_shell_line(mut source: Vec<u8>) -> Vec<u8> {
    let mark: &[u8] = b"\xEF\xBB\xBF";
    let mut start = if source.starts_with(mark) { mark.len() } else { 0 };
    if source.get(start) == Some(&b'#') {
        let rest = &source[start..];
        start += rest.iter().position(|c| *c == b'\n').unwrap_or(rest.len());
        if source.get(start + 1) == SIGNATURE.first() {
            start += 1;
        }
    }
    source.drain(..start);
    source
}

/// The system's words for an error, without Rust's "(os error n)".
fn system_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

fn file_argument(state: &mut State, call: Call) -> Result<Option<String>, Throw> {
    if call.is_none_or_nil(0) {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(state.check_bytes(call, 0)?).into_owned()))
}

fn loadfile(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = file_argument(state, call)?;
    let mode = state.opt_bytes(call, 1, b"bt")?;
    let environment = if call.is_none(2) { Value::table(state.globals) } else { call.arg(2) };
    match read_source(name.as_deref()) {
        Ok((source, chunk_name)) => finish_load(state, call, &source, &chunk_name, mode, environment),
        Err(message) => {
            let message = state.string_value(message.as_bytes());
            call.return_two(Value::NIL, message)
        }
    }
}

fn dofile(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = file_argument(state, call)?;
    match read_source(name.as_deref()) {
        Ok((source, chunk_name)) => {
            let globals = Value::table(state.globals);
            let closure = state.load(&source, &chunk_name, globals)?;
            // What it calls may yield, and never be resumed.
            drop((source, chunk_name));
            state.allow_yields();
            let results = state.call(Value::closure(closure), &[], None)?;
            state.check_stack(call.base, results.len(), "too many results")?;
            call.return_slice(&results)
        }
        Err(message) => {
            let message = state.string_value(message.as_bytes());
            Err(state.throw_value(message))
        }
    }
}
