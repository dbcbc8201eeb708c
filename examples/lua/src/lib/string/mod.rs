//! The `string` library.

use crate::object::LuaString;
use crate::state::{Call, State, Throw};
use crate::string::MAXIMUM_LENGTH;
use crate::value::{Tag, Value};

pub mod cache;
pub mod format;
pub mod number_format;
pub mod pack;
pub mod pack_options;
pub mod pattern;
pub mod search;
pub mod specification;

/// Makes the library and the metatable of strings.
pub fn open(state: &mut State) {
    let library = state.register_library(
        "string",
        &[
            ("byte", byte),
            ("char", char),
            ("dump", dump),
            ("find", search::find),
            ("format", format::format),
            ("gmatch", search::gmatch),
            ("gsub", search::gsub),
            ("len", len),
            ("lower", lower),
            ("match", search::match_),
            ("pack", pack::pack),
            ("packsize", pack::packsize),
            ("rep", rep),
            ("reverse", reverse),
            ("sub", sub),
            ("unpack", pack::unpack),
            ("upper", upper),
        ],
    );
    let metatable = state.new_table(0, 1);
    state.set_named(metatable, "__index", Value::table(library));
    state.type_metatables[Tag::String as usize] = metatable;
}

/// A start position as `sub` and `byte` take it: one-based, negative from the end; at least 1.
#[inline(always)]
pub(super) fn start_position(position: i64, length: usize) -> usize {
    if position > 0 {
        position as usize
    } else if position == 0 || position < -(length as i64) {
        1
    } else {
        (length as i64 + position + 1) as usize
    }
}

/// An end position: one-based, inclusive, negative from the end; between 0 and the length.
#[inline(always)]
pub(super) fn end_position(position: i64, length: usize) -> usize {
    if position > length as i64 {
        length
    } else if position >= 0 {
        position as usize
    } else if position < -(length as i64) {
        0
    } else {
        (length as i64 + position + 1) as usize
    }
}

fn byte(state: &mut State, call: Call) -> Result<u32, Throw> {
    let bytes = state.check_bytes(call, 0)?;
    let first = state.opt_int(call, 1, 1)?;
    if call.count < 3 {
        let start = start_position(first, bytes.len());
        return match bytes.get(start - 1) {
            // A position before the string is moved to its start as a first one, but not as a last one.
            Some(_) if start > end_position(first, bytes.len()) => call.return_none(),
            Some(byte) => call.return_one(Value::int(i64::from(*byte))),
            None => call.return_none(),
        };
    }
    let start = start_position(first, bytes.len());
    let last = state.opt_int(call, 2, first)?;
    let end = end_position(last, bytes.len());
    if start > end {
        return call.return_none();
    }
    state.check_stack(call.base, end - start + 1, "string slice too long")?;
    for (i, byte) in bytes[start - 1..end].iter().enumerate() {
        call.put_result(i as u32, Value::int(i64::from(*byte)));
    }
    Ok((end - start + 1) as u32)
}

fn char(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.count == 1 && call.arg(0).is_int() && (0..256).contains(&call.arg(0).as_int()) {
        let value = state.string_value(&[call.arg(0).as_int() as u8]);
        return call.return_one(value);
    }
    for i in 0..call.count {
        let code = state.check_int(call, i)?;
        if !(0..256).contains(&code) {
            return Err(state.argument_error(call, i, "value out of range"));
        }
        call.set_arg(i, Value::int(code));
    }
    let string = state.heap.new_string_with(call.count as usize, |bytes| {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = call.arg(i as u32).as_int() as u8;
        }
    });
    call.return_one(Value::string(string))
}

fn dump(state: &mut State, call: Call) -> Result<u32, Throw> {
    let function = state.check_function(call, 0)?;
    if !function.is(Tag::LuaClosure) {
        return Err(state.throw_message("unable to dump given function"));
    }
    let strip = !call.arg(1).is_falsy();
    // SAFETY: the function is an argument, and its prototype lives as long as the state.
    let chunk = crate::dump::dump(unsafe { &*(*function.as_closure()).prototype }, strip);
    let chunk = state.string_value(&chunk);
    call.return_one(chunk)
}

fn len(state: &mut State, call: Call) -> Result<u32, Throw> {
    let bytes = state.check_bytes(call, 0)?;
    call.return_one(Value::int(bytes.len() as i64))
}

fn sub(state: &mut State, call: Call) -> Result<u32, Throw> {
    let bytes = state.check_bytes(call, 0)?;
    let first = state.check_int(call, 1)?;
    let last = state.opt_int(call, 2, -1)?;
    let (start, end) = (start_position(first, bytes.len()), end_position(last, bytes.len()));
    if start == 1 && end == bytes.len() {
        return call.return_one(call.arg(0));
    }
    let value = state.string_value(if start <= end { &bytes[start - 1..end] } else { b"" });
    call.return_one(value)
}

fn lower(state: &mut State, call: Call) -> Result<u32, Throw> {
    map(state, call, |byte| byte.to_ascii_lowercase())
}

fn upper(state: &mut State, call: Call) -> Result<u32, Throw> {
    map(state, call, |byte| byte.to_ascii_uppercase())
}

#[inline(always)]
fn map(state: &mut State, call: Call, change: impl Fn(&u8) -> u8) -> Result<u32, Throw> {
    let source = state.check_bytes(call, 0)?;
    let string = state.heap.new_string_with(source.len(), |bytes| {
        for (to, from) in bytes.iter_mut().zip(source) {
            *to = change(from);
        }
    });
    call.return_one(Value::string(string))
}

fn reverse(state: &mut State, call: Call) -> Result<u32, Throw> {
    let source = state.check_bytes(call, 0)?;
    let string = state.heap.new_string_with(source.len(), |bytes| {
        bytes.copy_from_slice(source);
        bytes.reverse();
    });
    call.return_one(Value::string(string))
}

fn rep(state: &mut State, call: Call) -> Result<u32, Throw> {
    let unit = state.check_bytes(call, 0)?;
    let count = state.check_int(call, 1)?;
    let separator = state.opt_bytes(call, 2, b"")?;
    if count <= 0 {
        let value = state.string_value(b"");
        return call.return_one(value);
    }
    let total = (unit.len() as u128 + separator.len() as u128) * count as u128 - separator.len() as u128;
    if total > MAXIMUM_LENGTH as u128 {
        return Err(state.throw_message("resulting string too large"));
    }
    let string = new_large_string(state, total as usize, |bytes| {
        if let ([byte], []) = (unit, separator) {
            bytes.fill(*byte);
            return;
        }
        // The first unit with its separator, then what is there already again and again.
        let mut filled = unit.len().min(bytes.len());
        bytes[..filled].copy_from_slice(&unit[..filled]);
        if filled < bytes.len() {
            bytes[filled..filled + separator.len()].copy_from_slice(separator);
            filled += separator.len();
        }
        while filled < bytes.len() {
            let more = filled.min(bytes.len() - filled);
            bytes.copy_within(..more, filled);
            filled += more;
        }
    })?;
    call.return_one(Value::string(string))
}

/// A string of a length that the guest chose: within its memory limit.
pub(super) fn new_large_string(
    state: &mut State,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Result<*mut LuaString, Throw> {
    state.check_room(length)?;
    Ok(state.heap.new_string_with(length, fill))
}
