//! `string.format`.

use super::number_format::{write_float, write_signed, write_unsigned};
use super::specification::{Raw, Specification};
use crate::number;
use crate::object::LuaString;
use crate::state::{Call, State, Throw};
use crate::value::Tag;

/// Strings of this length or more are not padded (they are longer than any width).
const LONG_STRING: usize = 100;

pub(super) fn format(state: &mut State, call: Call) -> Result<u32, Throw> {
    let text = state.check_bytes(call, 0)?;
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    let result = write_all(state, call, text, &mut out).map(|()| out.as_slice());
    let result = match result {
        Ok(text) if text.len() > crate::string::MAXIMUM_LENGTH => {
            Err(state.throw_message("resulting string too large"))
        }
        Ok(text) => Ok(state.string_value(text)),
        Err(Throw) => Err(Throw),
    };
    state.scratch = out;
    call.return_one(result?)
}

fn write_all(state: &mut State, call: Call, text: &[u8], out: &mut Vec<u8>) -> Result<(), Throw> {
    let mut rest = text;
    let mut argument = 0;
    loop {
        state.check_room(out.len())?;
        let percent = rest.iter().position(|c| *c == b'%').unwrap_or(rest.len());
        out.extend_from_slice(&rest[..percent]);
        if percent == rest.len() {
            return Ok(());
        }
        rest = &rest[percent + 1..];
        if rest.first() == Some(&b'%') {
            out.push(b'%');
            rest = &rest[1..];
            continue;
        }
        argument += 1;
        if argument >= call.count {
            return Err(state.argument_error(call, argument, "no value"));
        }
        // The two conversions of nearly all formats, without modifiers.
        let value = call.arg(argument);
        match rest.first() {
            Some(b's') if value.is(Tag::String) => {
                out.extend_from_slice(LuaString::bytes(value.as_string()));
                rest = &rest[1..];
                continue;
            }
            Some(b'd') if value.is_int() => {
                number::write_int(out, value.as_int());
                rest = &rest[1..];
                continue;
            }
            _ => {}
        }
        let Some(raw) = Raw::read(rest) else {
            return Err(state.throw_message("invalid format (too long)"));
        };
        rest = &rest[(raw.modifiers.len() + 1).min(rest.len())..];
        convert(state, call, argument, raw, out)?;
    }
}

fn parse(state: &mut State, raw: Raw, flags: &[u8], takes_precision: bool) -> Result<Specification, Throw> {
    match raw.parse(flags, takes_precision) {
        Some(specification) => Ok(specification),
        None => Err(state.throw_message(format!("invalid conversion specification: '{}'", raw.text()))),
    }
}

/// Writes argument `i` as the specification says.
fn convert(state: &mut State, call: Call, i: u32, raw: Raw, out: &mut Vec<u8>) -> Result<(), Throw> {
    match raw.conversion {
        b'c' => {
            let specification = parse(state, raw, b"-", false)?;
            let start = out.len();
            out.push(state.check_int(call, i)? as u8);
            specification.pad(out, start, 0, false);
        }
        b'd' | b'i' => {
            let value = state.check_int(call, i)?;
            write_signed(out, &parse(state, raw, b"-+0 ", true)?, value);
        }
        b'u' | b'o' | b'x' | b'X' => {
            let flags: &[u8] = if raw.conversion == b'u' { b"-0" } else { b"-#0" };
            let value = state.check_int(call, i)?;
            write_unsigned(out, &parse(state, raw, flags, true)?, value as u64, raw.conversion);
        }
        b'a' | b'A' => {
            let specification = parse(state, raw, b"-+ #0", true)?;
            write_float(out, &specification, state.check_number(call, i)?, raw.conversion);
        }
        b'e' | b'E' | b'f' | b'g' | b'G' => {
            let value = state.check_number(call, i)?;
            write_float(out, &parse(state, raw, b"-+ #0", true)?, value, raw.conversion);
        }
        b'p' => {
            let specification = parse(state, raw, b"-", false)?;
            let value = call.arg(i);
            let start = out.len();
            match state.heap.address_text(value) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => out.extend_from_slice(b"(null)"),
            }
            specification.pad(out, start, 0, false);
        }
        b'q' => {
            if !raw.modifiers.is_empty() {
                return Err(state.throw_message("specifier '%q' cannot have modifiers"));
            }
            write_literal(state, call, i, out)?;
        }
        b's' => {
            let string = state.to_display_string(call.arg(i))?;
            let text = LuaString::bytes(string);
            if raw.modifiers.is_empty() {
                out.extend_from_slice(text);
                return Ok(());
            }
            if text.contains(&0) {
                return Err(state.argument_error(call, i, "string contains zeros"));
            }
            let specification = parse(state, raw, b"-", true)?;
            if specification.precision.is_none() && text.len() >= LONG_STRING {
                out.extend_from_slice(text);
                return Ok(());
            }
            let start = out.len();
            out.extend_from_slice(&text[..text.len().min(specification.precision.unwrap_or(usize::MAX))]);
            specification.pad(out, start, 0, false);
        }
        _ => {
            return Err(state.throw_message(format!("invalid conversion '{}' to 'format'", raw.text())));
        }
    }
    Ok(())
}

/// `%q`: a literal that reads back as the value.
fn write_literal(state: &mut State, call: Call, i: u32, out: &mut Vec<u8>) -> Result<(), Throw> {
    let value = call.arg(i);
    if value.is(Tag::String) {
        write_quoted(out, LuaString::bytes(value.as_string()));
    } else if value.is_int() {
        match value.as_int() {
            // Its decimal digits would read back as a float.
            i64::MIN => out.extend_from_slice(b"0x8000000000000000"),
            int => number::write_int(out, int),
        }
    } else if value.is_float() {
        let float = value.as_float();
        if float.is_nan() {
            out.extend_from_slice(b"(0/0)");
        } else if float.is_infinite() {
            out.extend_from_slice(if float > 0.0 { b"1e9999" } else { b"-1e9999" });
        } else {
            write_float(out, &Specification::default(), float, b'a');
        }
    } else if value.is_nil() {
        out.extend_from_slice(b"nil");
    } else if value.is(Tag::Bool) {
        out.extend_from_slice(if value.is_falsy() { b"false" } else { b"true" });
    } else {
        return Err(state.argument_error(call, i, "value has no literal form"));
    }
    Ok(())
}

fn write_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for (i, c) in text.iter().enumerate() {
        match c {
            b'"' | b'\\' | b'\n' => out.extend_from_slice(&[b'\\', *c]),
            c if c.is_ascii_control() => {
                out.push(b'\\');
                let is_digit_next = text.get(i + 1).is_some_and(u8::is_ascii_digit);
                if is_digit_next {
                    out.extend_from_slice(&[b'0' + c / 100, b'0' + c / 10 % 10, b'0' + c % 10]);
                } else {
                    number::write_int(out, i64::from(*c));
                }
            }
            c => out.push(*c),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        let mut out = Vec::new();
        write_quoted(&mut out, b"a\n\"\\\0\x001\r2\x7f3");
        assert_eq!(out, b"\"a\\\n\\\"\\\\\\0\\0001\\0132\\1273\"");
    }
}
