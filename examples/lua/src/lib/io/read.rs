//! Reading: formats, and iterators over lines.

use std::cell::RefCell;
use std::rc::Rc;

use smallvec::SmallVec;

use super::stream::Stream;
use super::{handle_of, shared};
use crate::lib::system::error_text;
use crate::number;
use crate::object::NativeFunction;
use crate::state::{Call, State, Throw};
use crate::value::Value;

/// Formats that an iterator over lines takes at most.
const LINE_FORMATS: u32 = 250;

/// One thing to be read.
#[derive(Clone, Copy)]
enum Format {
    Number,
    Line,
    LineWithEnd,
    All,
    Bytes(usize),
}

/// What came of reading: the values, the last of which is nil if its format failed; or what the system said.
type Outcome = std::io::Result<SmallVec<[Value; 4]>>;

/// Reads what one format says. None: there was nothing (more) of the kind.
fn read_one(state: &mut State, stream: &mut Stream, format: Format) -> std::io::Result<Option<Value>> {
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    let outcome = match format {
        Format::Line => stream.read_line(&mut out, false),
        Format::LineWithEnd => stream.read_line(&mut out, true),
        Format::All => stream.read_all(&mut out).map(|()| true),
        Format::Bytes(0) => stream.is_at_end().map(|at_end| !at_end),
        Format::Bytes(count) => stream.read_bytes(&mut out, count),
        Format::Number => stream.read_numeral(&mut out).map(|()| true),
    };
    let value = match (&outcome, format) {
        (Ok(true), Format::Number) => number::parse(&out),
        (Ok(true), _) => Some(state.string_value(&out)),
        _ => None,
    };
    state.scratch = out;
    outcome.map(|_| value)
}

/// The format in argument `i`.
fn check_format(state: &mut State, call: Call, i: u32) -> Result<Format, Throw> {
    let value = call.arg(i);
    if value.is_int() || value.is_float() {
        let count = state.check_int(call, i)?;
        return match usize::try_from(count).ok().filter(|count| *count <= crate::string::MAXIMUM_LENGTH) {
            Some(count) => Ok(Format::Bytes(count)),
            None => Err(state.memory_error()),
        };
    }
    let text = state.check_bytes(call, i)?;
    match text.strip_prefix(b"*").unwrap_or(text).first() {
        Some(b'n') => Ok(Format::Number),
        Some(b'l') => Ok(Format::Line),
        Some(b'L') => Ok(Format::LineWithEnd),
        Some(b'a') => Ok(Format::All),
        _ => Err(state.argument_error(call, i, "invalid format")),
    }
}

/// Reads by the formats in the arguments from `first` on; a line if there are none.
fn read_values(
    state: &mut State,
    call: Call,
    stream: &Rc<RefCell<Stream>>,
    first: u32,
) -> Result<Outcome, Throw> {
    if stream.borrow().is_standard() && state.output_is_terminal {
        // Who is asked a question should see it.
        state.flush_output();
    }
    let mut values = SmallVec::new();
    let count = (call.count.max(first) - first).max(1);
    for i in 0..count {
        let format =
            if first + i < call.count { check_format(state, call, first + i)? } else { Format::Line };
        let outcome = read_one(state, &mut stream.borrow_mut(), format);
        match outcome {
            Ok(Some(value)) => values.push(value),
            Ok(None) => {
                values.push(Value::NIL);
                break;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(values))
}

/// `read`: as above, with the values as results.
pub(super) fn read_formats(
    state: &mut State,
    call: Call,
    stream: &Rc<RefCell<Stream>>,
    first: u32,
) -> Result<u32, Throw> {
    match read_values(state, call, stream, first)? {
        Ok(values) => {
            state.check_stack(call.base, values.len(), "too many arguments")?;
            call.return_slice(&values)
        }
        Err(error) => state.return_failure(call, &error, None),
    }
}

/// Upvalues of an iterator over lines: after the library's table the file, whether it is to be closed at the end, and the
/// formats.
const FILE: usize = 1;
const CLOSES: usize = 2;
const FORMATS: usize = 3;

/// An iterator that reads by the formats in the arguments from 1 on.
pub(super) fn make_line_reader(
    state: &mut State,
    call: Call,
    file: Value,
    closes: bool,
) -> Result<Value, Throw> {
    if call.count > LINE_FORMATS + 1 {
        return Err(state.argument_error(call, LINE_FORMATS + 1, "too many arguments"));
    }
    let mut upvalues = vec![Value::table(shared(call)), file, Value::bool(closes)];
    upvalues.extend((1..call.count).map(|i| call.arg(i)));
    Ok(Value::native(state.heap.new_native(next_line, "for iterator", 0, &upvalues)))
}

fn next_line(state: &mut State, call: Call) -> Result<u32, Throw> {
    let function = call.function().as_native();
    let upvalues = NativeFunction::upvalues(function);
    // SAFETY: the function is an iterator made above: it has these upvalues.
    let (file, closes, format_count) = unsafe {
        (
            upvalues.add(FILE).read(),
            !(*upvalues.add(CLOSES)).is_falsy(),
            (*function).upvalue_count - FORMATS as u32,
        )
    };
    let Some(stream) = handle_of(file).and_then(|handle| handle.stream.clone()) else {
        return Err(state.throw_message("file is already closed"));
    };
    // The formats become the arguments; the function's slot stays as it is for now.
    state.check_stack(call.base, format_count as usize, "too many arguments")?;
    let call = Call { base: call.base, count: format_count };
    for i in 0..format_count {
        // SAFETY: one of the formats.
        call.set_arg(i, unsafe { upvalues.add(FORMATS + i as usize).read() });
    }
    match read_values(state, call, &stream, 0)? {
        Ok(values) if values.first().is_some_and(|value| !value.is_nil()) => call.return_slice(&values),
        Ok(_) => {
            if closes {
                drop(stream);
                super::methods::close_file(state, call, file)?;
            }
            call.return_none()
        }
        Err(error) => Err(state.throw_message(error_text(&error))),
    }
}
