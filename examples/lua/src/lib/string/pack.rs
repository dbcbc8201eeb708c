//! `pack`, `packsize`, `unpack`.

use smallvec::SmallVec;

use super::pack_options::{FormatError, Kind, PackOption, Reader, fits, read_int, write_int};
use super::start_position;
use crate::state::{Call, State, Throw};
use crate::string::MAXIMUM_LENGTH;
use crate::value::Value;

#[cold]
fn format_error(state: &mut State, call: Call, error: FormatError) -> Throw {
    match error {
        FormatError::Plain(message) => state.throw_message(message.as_bytes()),
        FormatError::Argument(message) => state.argument_error(call, 0, message),
    }
}

fn next(
    state: &mut State,
    call: Call,
    reader: &mut Reader,
    total: usize,
) -> Result<Option<PackOption>, Throw> {
    reader.next(total).map_err(|error| format_error(state, call, error))
}

pub(super) fn pack(state: &mut State, call: Call) -> Result<u32, Throw> {
    let format = state.check_bytes(call, 0)?;
    // PUC has a nil behind the arguments, which its messages speak of when one is missing.
    let call = state.reserve(call, call.count + 1);
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    let result = pack_all(state, call, Reader::new(format), &mut out);
    let value = result.map(|()| state.string_value(&out));
    state.scratch = out;
    call.return_one(value?)
}

fn pack_all(state: &mut State, call: Call, mut reader: Reader, out: &mut Vec<u8>) -> Result<(), Throw> {
    let mut i = 0;
    while let Some(PackOption { kind, size, padding }) = next(state, call, &mut reader, out.len())? {
        if out.len() + padding + size > MAXIMUM_LENGTH {
            return Err(state.throw_message("resulting string too large"));
        }
        out.resize(out.len() + padding, 0);
        let is_little = reader.is_little;
        match kind {
            Kind::Padding => {
                out.push(0);
                continue;
            }
            Kind::Align | Kind::Nothing => continue,
            _ => i += 1,
        }
        match kind {
            Kind::Int | Kind::Unsigned => {
                let is_signed = kind == Kind::Int;
                let value = state.check_int(call, i)?;
                if !fits(value, size, is_signed) {
                    let message = if is_signed { "integer overflow" } else { "unsigned overflow" };
                    return Err(state.argument_error(call, i, message));
                }
                write_int(out, value, size, is_little, is_signed);
            }
            Kind::Single => {
                let value = state.check_number(call, i)? as f32;
                let bytes = if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
                out.extend_from_slice(&bytes);
            }
            Kind::Double => {
                let value = state.check_number(call, i)?;
                let bytes = if is_little { value.to_le_bytes() } else { value.to_be_bytes() };
                out.extend_from_slice(&bytes);
            }
            Kind::Fixed => {
                let text = state.check_bytes(call, i)?;
                if text.len() > size {
                    return Err(state.argument_error(call, i, "string longer than given size"));
                }
                out.extend_from_slice(text);
                out.resize(out.len() + size - text.len(), 0);
            }
            Kind::Counted => {
                let text = state.check_bytes(call, i)?;
                if !fits(text.len() as i64, size, false) {
                    return Err(state.argument_error(call, i, "string length does not fit in given size"));
                }
                write_int(out, text.len() as i64, size, is_little, false);
                out.extend_from_slice(text);
            }
            _ => {
                let text = state.check_bytes(call, i)?;
                if text.contains(&0) {
                    return Err(state.argument_error(call, i, "string contains zeros"));
                }
                out.extend_from_slice(text);
                out.push(0);
            }
        }
        if out.len() > MAXIMUM_LENGTH {
            return Err(state.throw_message("resulting string too large"));
        }
    }
    Ok(())
}

pub(super) fn packsize(state: &mut State, call: Call) -> Result<u32, Throw> {
    let mut reader = Reader::new(state.check_bytes(call, 0)?);
    let mut total = 0usize;
    while let Some(option) = next(state, call, &mut reader, total)? {
        if matches!(option.kind, Kind::Counted | Kind::ZeroTerminated) {
            return Err(state.argument_error(call, 0, "variable-length format"));
        }
        total += option.padding + option.size;
        if total > i32::MAX as usize {
            return Err(state.argument_error(call, 0, "format result too large"));
        }
    }
    call.return_one(Value::int(total as i64))
}

pub(super) fn unpack(state: &mut State, call: Call) -> Result<u32, Throw> {
    let mut reader = Reader::new(state.check_bytes(call, 0)?);
    let data = state.check_bytes(call, 1)?;
    let mut at = start_position(state.opt_int(call, 2, 1)?, data.len()) - 1;
    if at > data.len() {
        return Err(state.argument_error(call, 2, "initial position out of string"));
    }
    let mut results: SmallVec<[Value; 16]> = SmallVec::new();
    while let Some(PackOption { kind, size, padding }) = next(state, call, &mut reader, at)? {
        if padding + size > data.len() - at {
            return Err(state.argument_error(call, 1, "data string too short"));
        }
        at += padding;
        let field = &data[at..at + size];
        at += size;
        let is_little = reader.is_little;
        let value = match kind {
            Kind::Int | Kind::Unsigned => match read_int(field, is_little, kind == Kind::Int) {
                Some(value) => Value::int(value),
                None => return Err(too_wide(state, size)),
            },
            Kind::Single => {
                let bytes = field.try_into().expect("a single has four bytes");
                Value::float(f64::from(if is_little {
                    f32::from_le_bytes(bytes)
                } else {
                    f32::from_be_bytes(bytes)
                }))
            }
            Kind::Double => {
                let bytes = field.try_into().expect("a double has eight bytes");
                Value::float(if is_little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
            }
            Kind::Fixed => state.string_value(field),
            Kind::Counted => {
                let Some(length) = read_int(field, is_little, false) else {
                    return Err(too_wide(state, size));
                };
                if length as u64 > (data.len() - at) as u64 {
                    return Err(state.argument_error(call, 1, "data string too short"));
                }
                let text = &data[at..at + length as usize];
                at += length as usize;
                state.string_value(text)
            }
            Kind::ZeroTerminated => match memchr::memchr(0, &data[at..]) {
                Some(length) => {
                    let text = &data[at..at + length];
                    at += length + 1;
                    state.string_value(text)
                }
                None => return Err(state.argument_error(call, 1, "unfinished string for format 'z'")),
            },
            Kind::Padding | Kind::Align | Kind::Nothing => continue,
        };
        results.push(value);
    }
    results.push(Value::int(at as i64 + 1));
    state.check_stack(call.base, results.len(), "too many results")?;
    call.return_slice(&results)
}

#[cold]
fn too_wide(state: &mut State, size: usize) -> Throw {
    state.throw_message(format!("{size}-byte integer does not fit into Lua Integer"))
}
