//! The methods of files.

use std::cell::RefCell;
use std::io::SeekFrom;
use std::rc::Rc;

use super::read::{make_line_reader, read_formats};
use super::stream::{Buffering, Stream};
use super::{check_handle, check_stream, handle_of};
use crate::number;
use crate::object::LuaString;
use crate::state::{Call, NativeEntry, State, Throw};
use crate::value::{Tag, Value};

pub(super) const FUNCTIONS: &[(&str, NativeEntry)] = &[
    ("close", close),
    ("flush", flush),
    ("lines", lines),
    ("read", read),
    ("seek", seek),
    ("setvbuf", setvbuf),
    ("write", write),
];

pub(super) const METAMETHODS: &[(&str, NativeEntry)] =
    &[("__close", collect), ("__gc", collect), ("__tostring", to_string)];

/// Writes arguments from `first` on to a stream; returns `file`.
pub(super) fn write_arguments(
    state: &mut State,
    call: Call,
    stream: &Rc<RefCell<Stream>>,
    first: u32,
    file: Value,
) -> Result<u32, Throw> {
    let mut outcome = Ok(());
    for i in first..call.count {
        let value = call.arg(i);
        let written = if value.is(Tag::String) {
            write_bytes(state, stream, LuaString::bytes(value.as_string()))
        } else if value.is_int() || value.is_float() {
            let mut text = std::mem::take(&mut state.scratch);
            text.clear();
            if value.is_int() {
                number::write_int(&mut text, value.as_int());
            } else {
                // Without the ".0" that `tostring` gives to whole floats.
                number::write_general(&mut text, value.as_float(), 14);
            }
            let written = write_bytes(state, stream, &text);
            state.scratch = text;
            written
        } else {
            return Err(state.type_error(call, i, "string"));
        };
        outcome = outcome.and(written);
    }
    match outcome {
        Ok(()) => call.return_one(file),
        Err(error) => state.return_failure(call, &error, None),
    }
}

/// Writes to a stream, or to the state's buffer if it is standard output.
fn write_bytes(state: &mut State, stream: &Rc<RefCell<Stream>>, bytes: &[u8]) -> std::io::Result<()> {
    let mut stream = stream.borrow_mut();
    if !stream.is_standard_output {
        return stream.write(bytes);
    }
    state.write_output(bytes);
    match stream.buffering() {
        Buffering::No => {
            state.flush_output();
        }
        Buffering::Line if bytes.contains(&b'\n') => {
            state.flush_output();
        }
        _ if bytes.contains(&b'\n') => state.end_of_line(),
        _ => {}
    }
    Ok(())
}

/// Writes what is buffered.
pub(super) fn flush_stream(state: &mut State, stream: &Rc<RefCell<Stream>>) -> std::io::Result<()> {
    let mut stream = stream.borrow_mut();
    if stream.is_standard_output && !state.flush_output() {
        return Err(std::io::Error::last_os_error());
    }
    stream.flush()
}

/// Closes a file that is open.
pub(super) fn close_file(state: &mut State, call: Call, file: Value) -> Result<u32, Throw> {
    let Some(handle) = handle_of(file) else { return call.return_none() };
    let Some(stream) = handle.stream.take() else { return call.return_none() };
    if stream.borrow().is_standard() {
        handle.stream = Some(stream);
        let message = state.string_value(b"cannot close standard file");
        return call.return_two(Value::NIL, message);
    }
    let outcome = match Rc::try_unwrap(stream) {
        Ok(stream) => {
            if stream.borrow().is_pipe() {
                // The child may be waiting for its input to end, or write where we do.
                state.flush_output();
            }
            stream.into_inner().close()
        }
        // Somebody is in the middle of using it: it closes when they are done.
        Err(_) => Ok(None),
    };
    match outcome {
        Ok(Some(status)) => state.return_exit_status(call, status),
        Ok(None) => call.return_one(Value::TRUE),
        Err(error) => state.return_failure(call, &error, None),
    }
}

fn close(state: &mut State, call: Call) -> Result<u32, Throw> {
    check_stream(state, call, 0)?;
    close_file(state, call, call.arg(0))
}

/// `__gc` and `__close`: closes what is open and not the process's own.
fn collect(state: &mut State, call: Call) -> Result<u32, Throw> {
    let handle = check_handle(state, call, 0)?;
    let is_ours = handle.stream.as_ref().is_some_and(|stream| !stream.borrow().is_standard());
    if is_ours {
        // An error has nowhere to go; `close` reports it.
        close_file(state, call, call.arg(0))?;
    }
    call.return_none()
}

fn to_string(state: &mut State, call: Call) -> Result<u32, Throw> {
    let text = match &check_handle(state, call, 0)?.stream {
        Some(_) => format!("file ({})", state.heap.address_text(call.arg(0)).unwrap_or_default()),
        None => "file (closed)".to_string(),
    };
    let text = state.string_value(text.as_bytes());
    call.return_one(text)
}

fn flush(state: &mut State, call: Call) -> Result<u32, Throw> {
    let stream = check_stream(state, call, 0)?;
    let outcome = flush_stream(state, &stream);
    state.return_outcome(call, outcome, None)
}

fn lines(state: &mut State, call: Call) -> Result<u32, Throw> {
    check_stream(state, call, 0)?;
    let reader = make_line_reader(state, call, call.arg(0), false)?;
    call.return_one(reader)
}

fn read(state: &mut State, call: Call) -> Result<u32, Throw> {
    let stream = check_stream(state, call, 0)?;
    read_formats(state, call, &stream, 1)
}

fn write(state: &mut State, call: Call) -> Result<u32, Throw> {
    let stream = check_stream(state, call, 0)?;
    write_arguments(state, call, &stream, 1, call.arg(0))
}

fn seek(state: &mut State, call: Call) -> Result<u32, Throw> {
    let stream = check_stream(state, call, 0)?;
    let whence = state.check_option(call, 1, Some("cur"), &["set", "cur", "end"])?;
    let offset = state.opt_int(call, 2, 0)?;
    let to = match whence {
        // A negative position is refused by the system, as it would be in C.
        0 if offset < 0 => {
            let error = std::io::Error::from_raw_os_error(libc::EINVAL);
            return state.return_failure(call, &error, None);
        }
        0 => SeekFrom::Start(offset as u64),
        1 => SeekFrom::Current(offset),
        _ => SeekFrom::End(offset),
    };
    if stream.borrow().is_standard_output {
        state.flush_output();
    }
    let outcome = stream.borrow_mut().seek(to);
    match outcome {
        Ok(position) => call.return_one(Value::int(position as i64)),
        Err(error) => state.return_failure(call, &error, None),
    }
}

fn setvbuf(state: &mut State, call: Call) -> Result<u32, Throw> {
    let stream = check_stream(state, call, 0)?;
    const MODES: [Buffering; 3] = [Buffering::No, Buffering::Full, Buffering::Line];
    let mode = state.check_option(call, 1, None, &["no", "full", "line"])?;
    let size = if call.is_none_or_nil(2) { None } else { Some(state.check_int(call, 2)?) };
    if stream.borrow().is_standard_output {
        state.flush_output();
    }
    let outcome = stream.borrow_mut().set_buffering(MODES[mode], size.map(|size| size.max(0) as usize));
    state.return_outcome(call, outcome, None)
}
