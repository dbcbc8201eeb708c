//! Numbers: between text and value, between float and integer, and the arithmetic that is more than one instruction.

use std::io::Write;

use crate::object::LuaString;
use crate::value::{Tag, Value};

/// Integers up to here are floats without loss.
const EXACT: i64 = 1 << 53;
/// Longest text of a number, with room to spare.
const TEXT: usize = 48;

/// The number that a value is or that a string spells.
#[inline]
pub fn to_number(value: Value) -> Option<Value> {
    if value.is_int() || value.is_float() {
        return Some(value);
    }
    if value.is(Tag::String) {
        return parse(LuaString::bytes(value.as_string()));
    }
    None
}

/// The float that a number is, or that a string spells.
#[inline]
pub fn to_float(value: Value) -> Option<f64> {
    match to_number(value) {
        Some(number) if number.is_int() => Some(number.as_int() as f64),
        Some(number) => Some(number.as_float()),
        None => None,
    }
}

/// The integer that a value is, or stands for exactly (floats with an integral value, strings that spell one).
#[inline]
pub fn to_integer(value: Value) -> Option<i64> {
    if value.is_int() {
        return Some(value.as_int());
    }
    match to_number(value) {
        Some(number) if number.is_int() => Some(number.as_int()),
        Some(number) => float_to_integer(number.as_float()),
        None => None,
    }
}

/// The integer that equals a float, if there is one.
#[inline]
pub fn float_to_integer(float: f64) -> Option<i64> {
    // The bounds are exact floats: -2^63 is an integer, 2^63 is not.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float) {
        let int = float as i64;
        if int as f64 == float {
            return Some(int);
        }
    }
    None
}

/// `a // b` of integers. `b` must not be zero.
#[inline(always)]
pub fn floor_divide(a: i64, b: i64) -> i64 {
    if b == -1 {
        return a.wrapping_neg();
    }
    let quotient = a / b;
    if (a ^ b) < 0 && quotient * b != a { quotient - 1 } else { quotient }
}

/// `a % b` of integers, with the sign of `b`. `b` must not be zero.
#[inline(always)]
pub fn modulo(a: i64, b: i64) -> i64 {
    if b == -1 {
        return 0;
    }
    let rest = a % b;
    if rest != 0 && (rest ^ b) < 0 { rest + b } else { rest }
}

/// `a % b` of floats, with the sign of `b`.
#[inline]
pub fn float_modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

/// `a ^ b`.
#[inline]
pub fn power(a: f64, b: f64) -> f64 {
    if b == 2.0 { a * a } else { a.powf(b) }
}

/// `a << b` of integers; negative distances shift right, and bits come from nowhere.
#[inline(always)]
pub fn shift_left(a: i64, b: i64) -> i64 {
    if b <= -64 || b >= 64 {
        0
    } else if b >= 0 {
        ((a as u64) << b) as i64
    } else {
        ((a as u64) >> -b) as i64
    }
}

/// `a < b` of an integer and a float, exactly.
pub fn int_less_float(a: i64, b: f64) -> bool {
    if (-EXACT..=EXACT).contains(&a) {
        return (a as f64) < b;
    }
    if b >= 9_223_372_036_854_775_808.0 {
        true
    } else if b > -9_223_372_036_854_775_808.0 {
        // a < b exactly when a < ceil(b), an integer in range or 2^63.
        let ceiling = b.ceil();
        ceiling >= 9_223_372_036_854_775_808.0 || a < ceiling as i64
    } else {
        false // also NaN
    }
}

/// `a <= b` of an integer and a float, exactly.
pub fn int_less_equal_float(a: i64, b: f64) -> bool {
    if (-EXACT..=EXACT).contains(&a) {
        return (a as f64) <= b;
    }
    if b >= 9_223_372_036_854_775_808.0 {
        true
    } else if b >= -9_223_372_036_854_775_808.0 {
        a <= b.floor() as i64
    } else {
        false
    }
}

/// `a < b` of a float and an integer, exactly.
pub fn float_less_int(a: f64, b: i64) -> bool {
    !a.is_nan() && !int_less_equal_float(b, a)
}

/// `a <= b` of a float and an integer, exactly.
pub fn float_less_equal_int(a: f64, b: i64) -> bool {
    !a.is_nan() && !int_less_float(b, a)
}

/// The number that a text spells, with spaces around it, as `tonumber` and arithmetic on strings understand it.
pub fn parse(text: &[u8]) -> Option<Value> {
    let text = trim(text);
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.len() >= 2 && digits[0] == b'0' && (digits[1] | 32) == b'x' {
        return parse_hexadecimal(negative, &digits[2..]);
    }
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        let mut value: u64 = 0;
        let mut fits = true;
        for digit in digits {
            let next = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(u64::from(digit - b'0')))
                .filter(|v| *v <= i64::MAX as u64 + u64::from(negative));
            match next {
                Some(next) => value = next,
                None => {
                    fits = false;
                    break;
                }
            }
        }
        if fits {
            let int = value as i64;
            return Some(Value::int(if negative { int.wrapping_neg() } else { int }));
        }
    }
    // What is left is a decimal float; Rust's parser also takes names, which Lua doesn't.
    if digits.is_empty()
        || !digits.iter().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return None;
    }
    if matches!(digits[0], b'+' | b'-') {
        return None;
    }
    let float: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Value::float(if negative { -float } else { float }))
}

fn trim(text: &[u8]) -> &[u8] {
    let space = |c: &u8| matches!(c, b' ' | 9..=13);
    let start = text.iter().position(|c| !space(c)).unwrap_or(text.len());
    let end = text.iter().rposition(|c| !space(c)).map_or(start, |i| i + 1);
    &text[start..end]
}

fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<Value> {
    let digit = |c: u8| (c as char).to_digit(16);
    if !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit) {
        // Integers wrap around.
        let value = text.iter().fold(0u64, |v, c| v.wrapping_shl(4) | u64::from(digit(*c).unwrap_or(0)));
        let int = value as i64;
        return Some(Value::int(if negative { int.wrapping_neg() } else { int }));
    }
    let (mut mantissa, mut exponent, mut any) = (0u64, 0i32, false);
    let mut sticky = false;
    let mut i = 0;
    let mut after_point = false;
    while i < text.len() {
        let c = text[i];
        if c == b'.' && !after_point {
            after_point = true;
        } else if let Some(d) = digit(c) {
            any = true;
            if mantissa >> 59 == 0 {
                mantissa = mantissa << 4 | u64::from(d);
                if after_point {
                    exponent -= 4;
                }
            } else {
                sticky |= d != 0;
                if !after_point {
                    exponent += 4;
                }
            }
        } else {
            break;
        }
        i += 1;
    }
    if !any {
        return None;
    }
    if i < text.len() && (text[i] | 32) == b'p' {
        let rest = &text[i + 1..];
        let (minus, digits) = match rest.first()? {
            b'-' => (true, &rest[1..]),
            b'+' => (false, &rest[1..]),
            _ => (false, rest),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let power = digits.iter().fold(0i32, |v, c| v.saturating_mul(10).saturating_add(i32::from(c - b'0')));
        exponent = exponent.saturating_add(if minus { -power } else { power });
        i = text.len();
    }
    if i != text.len() {
        return None;
    }
    if mantissa == 0 {
        // Whatever the exponent.
        return Some(Value::float(if negative { -0.0 } else { 0.0 }));
    }
    let mut float = (mantissa | u64::from(sticky)) as f64;
    // Two steps, so that results near the ends of the range are neither lost nor infinite too early.
    let exponent = exponent.clamp(-2200, 2200);
    for part in [exponent / 2, exponent - exponent / 2] {
        float *= 2f64.powi(part);
    }
    Some(Value::float(if negative { -float } else { float }))
}

/// A number's text, as `tostring` and `..` write it.
pub fn write(out: &mut Vec<u8>, number: Value) {
    if number.is_int() {
        write_int(out, number.as_int());
    } else {
        write_float(out, number.as_float());
    }
}

/// An integer's decimal digits.
pub fn write_int(out: &mut Vec<u8>, int: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = int.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if int < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// A float as `%.14g` writes it, with `.0` behind what would read back as an integer.
pub fn write_float(out: &mut Vec<u8>, float: f64) {
    let start = out.len();
    write_general(out, float, 14);
    if out[start..].iter().all(|c| c.is_ascii_digit() || *c == b'-') {
        out.extend_from_slice(b".0");
    }
}

/// A float as C's `%.{precision}g` writes it.
pub fn write_general(out: &mut Vec<u8>, float: f64, precision: usize) {
    if float.is_nan() {
        out.extend_from_slice(if float.is_sign_negative() { b"-nan" } else { b"nan" });
        return;
    }
    if float.is_infinite() {
        out.extend_from_slice(if float < 0.0 { b"-inf" } else { b"inf" });
        return;
    }
    let precision = precision.max(1);
    let mut text: Vec<u8> = Vec::with_capacity(TEXT);
    // Writing to a vector can't fail.
    let _ = write!(text, "{:.*e}", precision - 1, float);
    let e = text.iter().rposition(|c| *c == b'e').unwrap_or(text.len() - 1);
    let exponent: i32 = std::str::from_utf8(&text[e + 1..]).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
    let mantissa = &text[..e];
    let (sign, mantissa) = match mantissa.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, mantissa),
    };
    let digits: Vec<u8> = mantissa.iter().copied().filter(u8::is_ascii_digit).collect();
    let significant = digits.iter().rposition(|c| *c != b'0').map_or(1, |i| i + 1);
    let digits = &digits[..significant];
    if sign {
        out.push(b'-');
    }
    if exponent < -4 || exponent >= precision as i32 {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.extend_from_slice(digits);
            out.resize(out.len() + whole - digits.len(), b'0');
        } else {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
}
