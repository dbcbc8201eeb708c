//! `os.time` and `os.date`: calendar time, with the system's rules.

use crate::number;
use crate::object::Table;
use crate::state::{Call, State, Throw};
use crate::table;
use crate::value::Value;

/// Conversion letters of C99's `strftime`, and those that may follow `E` and `O`.
const PLAIN: &[u8] = b"aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%";
const AFTER_E: &[u8] = b"cCxXyY";
const AFTER_O: &[u8] = b"deHImMSuUVwWy";
/// No conversion gives more bytes.
const CONVERTED: usize = 250;

/// The specifier at the start of `text` (which is behind a percent sign): how many bytes it has. None: it is none.
fn specifier(text: &[u8]) -> Option<usize> {
    match text {
        [b'E', letter, ..] if AFTER_E.contains(letter) => Some(2),
        [b'O', letter, ..] if AFTER_O.contains(letter) => Some(2),
        [letter, ..] if PLAIN.contains(letter) => Some(1),
        _ => None,
    }
}

fn empty_calendar() -> libc::tm {
    // SAFETY: integers, and a pointer that may be null.
    unsafe { std::mem::zeroed() }
}

unsafe extern "C" {
    /// Of the C library (the `libc` crate doesn't declare it): makes `localtime_r` see a changed `TZ`.
    fn tzset();
}

pub(super) fn date(state: &mut State, call: Call) -> Result<u32, Throw> {
    let format = state.opt_bytes(call, 0, b"%c")?;
    let time = if call.is_none_or_nil(1) { now() } else { state.check_int(call, 1)? };
    let (is_utc, format) = match format.strip_prefix(b"!") {
        Some(format) => (true, format),
        None => (false, format),
    };
    let mut calendar = empty_calendar();
    // SAFETY: both write to the structure that they are given, and return null if the year doesn't fit.
    let is_representable = unsafe {
        if is_utc {
            !libc::gmtime_r(&time, &mut calendar).is_null()
        } else {
            tzset();
            !libc::localtime_r(&time, &mut calendar).is_null()
        }
    };
    if !is_representable {
        return Err(state.throw_message("date result cannot be represented in this installation"));
    }
    if format == b"*t" {
        let fields = state.new_table(0, 9);
        set_fields(state, fields, &calendar);
        return call.return_one(Value::table(fields));
    }
    let mut out = Vec::new();
    let mut rest = format;
    while let Some((c, tail)) = rest.split_first() {
        if *c != b'%' {
            out.push(*c);
            rest = tail;
            continue;
        }
        let Some(length) = specifier(tail) else {
            let text = String::from_utf8_lossy(tail).into_owned();
            return Err(state.argument_error(call, 0, &format!("invalid conversion specifier '%{text}'")));
        };
        convert(&mut out, &tail[..length], &calendar);
        rest = &tail[length..];
    }
    let value = state.string_value(&out);
    call.return_one(value)
}

/// Writes what one specifier stands for.
fn convert(out: &mut Vec<u8>, specifier: &[u8], calendar: &libc::tm) {
    let mut format = [0u8; 4];
    format[0] = b'%';
    format[1..1 + specifier.len()].copy_from_slice(specifier);
    let mut text = [0u8; CONVERTED];
    // SAFETY: the format is terminated, and the length is that of the text.
    let length =
        unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr().cast(), calendar) };
    out.extend_from_slice(&text[..length]);
}

fn now() -> i64 {
    // SAFETY: null asks for the result only.
    unsafe { libc::time(std::ptr::null_mut()) }
}

pub(super) fn time(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.is_none_or_nil(0) {
        return call.return_one(Value::int(now()));
    }
    state.check_table(call, 0)?;
    let mut calendar = empty_calendar();
    calendar.tm_year = field(state, call, "year", None, 1900)?;
    calendar.tm_mon = field(state, call, "month", None, 1)?;
    calendar.tm_mday = field(state, call, "day", None, 0)?;
    calendar.tm_hour = field(state, call, "hour", Some(12), 0)?;
    calendar.tm_min = field(state, call, "min", Some(0), 0)?;
    calendar.tm_sec = field(state, call, "sec", Some(0), 0)?;
    let is_summer = get(state, call, "isdst")?;
    calendar.tm_isdst = if is_summer.is_nil() { -1 } else { i32::from(!is_summer.is_falsy()) };
    // SAFETY: reads and corrects the structure that it is given.
    let time = unsafe { libc::mktime(&mut calendar) };
    let fields = call.arg(0).as_table();
    set_fields(state, fields, &calendar);
    if time == -1 {
        return Err(state.throw_message("time result cannot be represented in this installation"));
    }
    call.return_one(Value::int(time))
}

fn get(state: &mut State, call: Call, name: &str) -> Result<Value, Throw> {
    let key = state.string_value(name.as_bytes());
    let value = table::get(call.arg(0).as_table(), key);
    if value.is_nil() { state.index(call.arg(0), key) } else { Ok(value) }
}

/// A field of a date table, less `base`.
fn field(state: &mut State, call: Call, name: &str, default: Option<i32>, base: i64) -> Result<i32, Throw> {
    let value = get(state, call, name)?;
    let message = match (number::to_integer(value), default) {
        (Some(int), _) => match i32::try_from(i128::from(int) - i128::from(base)) {
            Ok(int) => return Ok(int),
            Err(_) => format!("field '{name}' is out-of-bound"),
        },
        (None, _) if !value.is_nil() => format!("field '{name}' is not an integer"),
        (None, Some(default)) => return Ok(default),
        (None, None) => format!("field '{name}' missing in date table"),
    };
    Err(state.throw_message(message))
}

fn set_fields(state: &mut State, fields: *mut Table, calendar: &libc::tm) {
    for (name, value) in [
        ("year", i64::from(calendar.tm_year) + 1900),
        ("month", i64::from(calendar.tm_mon) + 1),
        ("day", i64::from(calendar.tm_mday)),
        ("hour", i64::from(calendar.tm_hour)),
        ("min", i64::from(calendar.tm_min)),
        ("sec", i64::from(calendar.tm_sec)),
        ("yday", i64::from(calendar.tm_yday) + 1),
        ("wday", i64::from(calendar.tm_wday) + 1),
    ] {
        state.set_named(fields, name, Value::int(value));
    }
    if calendar.tm_isdst >= 0 {
        state.set_named(fields, "isdst", Value::bool(calendar.tm_isdst != 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers() {
        assert_eq!(specifier(b"Y-%m"), Some(1));
        assert_eq!(specifier(b"Ey"), Some(2));
        assert_eq!(specifier(b"Oy"), Some(2));
        assert_eq!(specifier(b"Ez"), None);
        assert_eq!(specifier(b"Q"), None);
        assert_eq!(specifier(b""), None);
        let mut out = Vec::new();
        convert(&mut out, b"Y", &libc::tm { tm_year: 120, ..empty_calendar() });
        assert_eq!(out, b"2020");
    }
}
