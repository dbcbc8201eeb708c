//! The functions of the library.

use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::methods::{close_file, flush_stream, write_arguments};
use super::read::{make_line_reader, read_formats};
use super::stream::{Owner, Stream};
use super::{INPUT, OUTPUT, default_stream, handle_of, new_library_file, shared};
use crate::lib::system::error_text;
use crate::state::{Call, NativeEntry, State, Throw};
use crate::table;
use crate::value::{Tag, Value};

pub(super) const FUNCTIONS: &[(&str, NativeEntry)] = &[
    ("close", close),
    ("flush", flush),
    ("input", input),
    ("lines", lines),
    ("open", open),
    ("output", output),
    ("popen", popen),
    ("read", read),
    ("tmpfile", tmpfile),
    ("type", type_),
    ("write", write),
];

/// How a mode opens a file: a letter, perhaps a plus, perhaps a b.
fn options(mode: &[u8]) -> Option<OpenOptions> {
    let (letter, rest) = mode.split_first()?;
    let (is_update, rest) = match rest.split_first() {
        Some((b'+', rest)) => (true, rest),
        _ => (false, rest),
    };
    if !rest.iter().all(|c| *c == b'b') {
        return None;
    }
    let mut options = OpenOptions::new();
    match letter {
        b'r' => options.read(true).write(is_update),
        b'w' => options.write(true).create(true).truncate(true).read(is_update),
        b'a' => options.append(true).create(true).read(is_update),
        _ => return None,
    };
    Some(options)
}

fn path(name: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(name))
}

fn open(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = state.check_bytes(call, 0)?;
    let mode = state.opt_bytes(call, 1, b"r")?;
    let Some(options) = options(mode) else {
        return Err(state.argument_error(call, 1, "invalid mode"));
    };
    match options.open(path(name)) {
        Ok(file) => {
            let file = new_library_file(state, call, Stream::new(file, Owner::File));
            call.return_one(file)
        }
        Err(error) => state.return_failure(call, &error, Some(name)),
    }
}

/// Opens a file, or throws.
fn open_or_throw(state: &mut State, call: Call, name: &[u8], mode: &[u8]) -> Result<Value, Throw> {
    let opened = options(mode)
        .map_or_else(|| Err(super::stream::bad_descriptor()), |options| options.open(path(name)));
    match opened {
        Ok(file) => Ok(new_library_file(state, call, Stream::new(file, Owner::File))),
        Err(error) => {
            let mut message = b"cannot open file '".to_vec();
            message.extend_from_slice(name);
            message.extend_from_slice(format!("' ({})", error_text(&error)).as_bytes());
            Err(state.throw_message(message))
        }
    }
}

fn tmpfile(state: &mut State, call: Call) -> Result<u32, Throw> {
    match make_temporary() {
        Ok(file) => {
            let file = new_library_file(state, call, Stream::new(file, Owner::File));
            call.return_one(file)
        }
        Err(error) => state.return_failure(call, &error, None),
    }
}

/// A file that is gone as soon as it is closed.
fn make_temporary() -> std::io::Result<File> {
    let (file, name) = crate::lib::os::make_temporary()?;
    std::fs::remove_file(path(&name))?;
    Ok(file)
}

fn popen(state: &mut State, call: Call) -> Result<u32, Throw> {
    let command = state.check_bytes(call, 0)?;
    let mode = state.opt_bytes(call, 1, b"r")?;
    let is_reading = match mode {
        b"r" => true,
        b"w" => false,
        _ => return Err(state.argument_error(call, 1, "invalid mode")),
    };
    state.flush_output();
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(std::ffi::OsStr::from_bytes(command));
    if is_reading {
        shell.stdout(Stdio::piped());
    } else {
        shell.stdin(Stdio::piped());
    }
    let spawned = shell.spawn();
    match spawned {
        Ok(mut child) => {
            let output = child.stdout.take().map(|pipe| File::from(std::os::fd::OwnedFd::from(pipe)));
            let input = child.stdin.take().map(|pipe| File::from(std::os::fd::OwnedFd::from(pipe)));
            let pipe = output.or(input).expect("one of the two is piped");
            let file = new_library_file(state, call, Stream::new(pipe, Owner::Pipe(child)));
            call.return_one(file)
        }
        Err(error) => state.return_failure(call, &error, Some(command)),
    }
}

fn close(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.is_none(0) {
        let file = table::get_int(shared(call), OUTPUT);
        default_stream(state, call, OUTPUT)?;
        return close_file(state, call, file);
    }
    super::check_stream(state, call, 0)?;
    close_file(state, call, call.arg(0))
}

fn flush(state: &mut State, call: Call) -> Result<u32, Throw> {
    let stream = default_stream(state, call, OUTPUT)?;
    let outcome = flush_stream(state, &stream);
    state.return_outcome(call, outcome, None)
}

fn input(state: &mut State, call: Call) -> Result<u32, Throw> {
    default_file(state, call, INPUT, b"r")
}

fn output(state: &mut State, call: Call) -> Result<u32, Throw> {
    default_file(state, call, OUTPUT, b"w")
}

/// Sets, if there is an argument, and returns a default file.
fn default_file(state: &mut State, call: Call, place: i64, mode: &[u8]) -> Result<u32, Throw> {
    let shared = shared(call);
    let argument = call.arg(0);
    if !argument.is_nil() {
        let file = if argument.is(Tag::String) || argument.is_int() || argument.is_float() {
            let name = state.check_bytes(call, 0)?;
            open_or_throw(state, call, name, mode)?
        } else {
            super::check_stream(state, call, 0)?;
            argument
        };
        table::set_int(&mut state.heap, shared, place, file);
    }
    call.return_one(table::get_int(shared, place))
}

fn lines(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.is_none_or_nil(0) {
        let file = table::get_int(shared(call), INPUT);
        if handle_of(file).is_none_or(|handle| handle.stream.is_none()) {
            return Err(state.throw_message("attempt to use a closed file"));
        }
        let reader = make_line_reader(state, call, file, false)?;
        return call.return_one(reader);
    }
    let name = state.check_bytes(call, 0)?;
    let file = open_or_throw(state, call, name, b"r")?;
    let reader = make_line_reader(state, call, file, true)?;
    call.return_slice(&[reader, Value::NIL, Value::NIL, file])
}

fn read(state: &mut State, call: Call) -> Result<u32, Throw> {
    let stream = default_stream(state, call, INPUT)?;
    read_formats(state, call, &stream, 0)
}

fn write(state: &mut State, call: Call) -> Result<u32, Throw> {
    let file = table::get_int(shared(call), OUTPUT);
    let stream = default_stream(state, call, OUTPUT)?;
    write_arguments(state, call, &stream, 0, file)
}

fn type_(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    let text: &[u8] = match handle_of(value) {
        Some(handle) if handle.stream.is_some() => b"file",
        Some(_) => b"closed file",
        None => return call.return_one(Value::NIL),
    };
    let text = state.string_value(text);
    call.return_one(text)
}
