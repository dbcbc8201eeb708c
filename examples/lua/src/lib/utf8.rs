//! The `utf8` library.

use crate::state::{Call, State, Throw};
use crate::value::Value;

/// Largest code of the original encoding, with sequences of up to six bytes.
const MAXIMUM_LAX: u32 = 0x7FFF_FFFF;
/// Largest code of Unicode.
const MAXIMUM_STRICT: u32 = 0x10_FFFF;
const INVALID: &str = "invalid UTF-8 code";

/// Makes the library.
pub fn open(state: &mut State) {
    let library = state.register_library(
        "utf8",
        &[("char", char), ("codepoint", codepoint), ("codes", codes), ("len", len), ("offset", offset)],
    );
    let pattern = state.string_value(b"[\0-\x7F\xC2-\xFD][\x80-\xBF]*");
    state.set_named(library, "charpattern", pattern);
}

fn is_continuation(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte & 0xC0 == 0x80)
}

/// The code at the start of `text`, and how many bytes it takes. None: it is malformed, or no Unicode (unless `lax`).
fn decode(text: &[u8], lax: bool) -> Option<(u32, usize)> {
    /// Least codes of sequences with so many further bytes: longer sequences than needed are malformed.
    const LEAST: [u32; 6] = [0, 0x80, 0x800, 0x1_0000, 0x20_0000, 0x400_0000];
    let first = *text.first()?;
    if first < 0x80 {
        return Some((u32::from(first), 1));
    }
    let further = match first.leading_ones() {
        ones @ 2..=6 => ones as usize - 1,
        _ => return None,
    };
    let mut code = u32::from(first) & (0x3F >> further);
    for byte in text.get(1..=further)? {
        if !is_continuation(Some(byte)) {
            return None;
        }
        code = code << 6 | u32::from(byte & 0x3F);
    }
    let is_surrogate = (0xD800..0xE000).contains(&code);
    if code < LEAST[further] || (!lax && (code > MAXIMUM_STRICT || is_surrogate)) {
        return None;
    }
    Some((code, further + 1))
}

/// Appends the encoding of a code up to `MAXIMUM_LAX`.
fn encode(out: &mut Vec<u8>, code: u32) {
    if code < 0x80 {
        out.push(code as u8);
        return;
    }
    let mut further = 1;
    while further < 5 && code >= 1 << (5 * further + 6) {
        further += 1;
    }
    out.push(!(0x7F >> further) | (code >> (6 * further)) as u8);
    for place in (0..further).rev() {
        out.push(0x80 | (code >> (6 * place)) as u8 & 0x3F);
    }
}

/// A position as the functions here take it: one-based, negative from the end; 0 if that is before the start.
fn position(position: i64, length: usize) -> i64 {
    if position >= 0 {
        position
    } else if position < -(length as i64) {
        0
    } else {
        length as i64 + position + 1
    }
}

fn char(state: &mut State, call: Call) -> Result<u32, Throw> {
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    for i in 0..call.count {
        let code = state.check_int(call, i)? as u64;
        if code > u64::from(MAXIMUM_LAX) {
            return Err(state.argument_error(call, i, "value out of range"));
        }
        encode(&mut out, code as u32);
    }
    let value = state.string_value(&out);
    state.scratch = out;
    call.return_one(value)
}

fn codepoint(state: &mut State, call: Call) -> Result<u32, Throw> {
    let text = state.check_bytes(call, 0)?;
    let first = position(state.opt_int(call, 1, 1)?, text.len());
    let last = position(state.opt_int(call, 2, first)?, text.len());
    let lax = !call.arg(3).is_falsy();
    if first < 1 {
        return Err(state.argument_error(call, 1, "out of bounds"));
    }
    if last > text.len() as i64 {
        return Err(state.argument_error(call, 2, "out of bounds"));
    }
    if first > last {
        return call.return_none();
    }
    state.check_stack(call.base, (last - first) as usize + 2, "string slice too long")?;
    let (mut at, mut count) = (first as usize - 1, 0);
    while at < last as usize {
        let Some((code, size)) = decode(&text[at..], lax) else {
            return Err(state.throw_message(INVALID));
        };
        call.put_result(count, Value::int(i64::from(code)));
        at += size;
        count += 1;
    }
    Ok(count)
}

fn codes(state: &mut State, call: Call) -> Result<u32, Throw> {
    let text = state.check_bytes(call, 0)?;
    if is_continuation(text.first()) {
        return Err(state.argument_error(call, 0, INVALID));
    }
    let entry = if call.arg(1).is_falsy() { next_strict } else { next_lax };
    let iterator = state.heap.new_native(entry, "for iterator", 0, &[]);
    let text = call.arg(0);
    call.return_slice(&[Value::native(iterator), text, Value::int(0)])
}

fn next_strict(state: &mut State, call: Call) -> Result<u32, Throw> {
    next(state, call, false)
}

fn next_lax(state: &mut State, call: Call) -> Result<u32, Throw> {
    next(state, call, true)
}

/// The code behind the one at a position.
fn next(state: &mut State, call: Call, lax: bool) -> Result<u32, Throw> {
    let text = state.check_bytes(call, 0)?;
    let before = crate::number::to_integer(call.arg(1)).unwrap_or(0);
    // The one-based position is the place of the next byte.
    let Some(mut at) = usize::try_from(before).ok().filter(|at| *at < text.len()) else {
        return call.return_none();
    };
    while is_continuation(text.get(at)) {
        at += 1;
    }
    if at >= text.len() {
        return call.return_none();
    }
    match decode(&text[at..], lax) {
        Some((code, size)) if !is_continuation(text.get(at + size)) => {
            call.return_two(Value::int(at as i64 + 1), Value::int(i64::from(code)))
        }
        _ => Err(state.throw_message(INVALID)),
    }
}

fn len(state: &mut State, call: Call) -> Result<u32, Throw> {
    let text = state.check_bytes(call, 0)?;
    let first = position(state.opt_int(call, 1, 1)?, text.len());
    let last = position(state.opt_int(call, 2, -1)?, text.len());
    let lax = !call.arg(3).is_falsy();
    if first < 1 || first - 1 > text.len() as i64 {
        return Err(state.argument_error(call, 1, "initial position out of bounds"));
    }
    if last > text.len() as i64 {
        return Err(state.argument_error(call, 2, "final position out of bounds"));
    }
    let (mut at, mut count) = (first as usize - 1, 0);
    while (at as i64) < last {
        match decode(&text[at..], lax) {
            Some((_, size)) => at += size,
            None => return call.return_two(Value::NIL, Value::int(at as i64 + 1)),
        }
        count += 1;
    }
    call.return_one(Value::int(count))
}

fn offset(state: &mut State, call: Call) -> Result<u32, Throw> {
    let text = state.check_bytes(call, 0)?;
    let mut n = state.check_int(call, 1)?;
    let default = if n >= 0 { 1 } else { text.len() as i64 + 1 };
    let start = position(state.opt_int(call, 2, default)?, text.len());
    if start < 1 || start - 1 > text.len() as i64 {
        return Err(state.argument_error(call, 2, "position out of bounds"));
    }
    let mut at = start as usize - 1;
    let continues = |at: usize| is_continuation(text.get(at));
    if n == 0 {
        while at > 0 && continues(at) {
            at -= 1;
        }
        return call.return_one(Value::int(at as i64 + 1));
    }
    if continues(at) {
        return Err(state.throw_message("initial position is a continuation byte"));
    }
    if n < 0 {
        while n < 0 && at > 0 {
            at -= 1;
            while at > 0 && continues(at) {
                at -= 1;
            }
            n += 1;
        }
    } else {
        n -= 1;
        while n > 0 && at < text.len() {
            at += 1;
            while continues(at) {
                at += 1;
            }
            n -= 1;
        }
    }
    call.return_one(if n == 0 { Value::int(at as i64 + 1) } else { Value::NIL })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for code in [
            0,
            0x7F,
            0x80,
            0x7FF,
            0x800,
            0xFFFF,
            0x1_0000,
            0x10_FFFF,
            0x1F_FFFF,
            0x20_0000,
            0x3FF_FFFF,
            MAXIMUM_LAX,
        ] {
            let mut out = Vec::new();
            encode(&mut out, code);
            assert_eq!(decode(&out, true), Some((code, out.len())), "{code:#x}");
        }
        assert_eq!(decode(b"\xC0\x80", true), None);
        assert_eq!(decode(b"\xED\xA0\x80", false), None);
        assert_eq!(decode(b"\xED\xA0\x80", true), Some((0xD800, 3)));
        assert_eq!(decode(b"\x80", true), None);
        assert_eq!(decode(b"\xE2\x82", true), None);
    }
}
