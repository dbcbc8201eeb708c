//! The `os` library.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::state::{Call, State, Throw};
use crate::value::{Tag, Value};

mod date;

/// Makes the library.
pub fn open(state: &mut State) {
    state.register_library(
        "os",
        &[
            ("clock", clock),
            ("date", date::date),
            ("difftime", difftime),
            ("execute", execute),
            ("exit", exit),
            ("getenv", getenv),
            ("remove", remove),
            ("rename", rename),
            ("setlocale", setlocale),
            ("time", date::time),
            ("tmpname", tmpname),
        ],
    );
}

fn clock(_state: &mut State, call: Call) -> Result<u32, Throw> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // The program is what its thread does. The process also compiles in the background, on another processor: counted in, everything
    // that a program measures would seem twice as slow while it gets faster.
    // SAFETY: writes to the structure that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    // C's `clock` counts microseconds.
    let microseconds = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
    call.return_one(Value::float(microseconds as f64 / 1e6))
}

fn difftime(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (later, earlier) = (state.check_int(call, 0)?, state.check_int(call, 1)?);
    call.return_one(Value::float(later as f64 - earlier as f64))
}

fn execute(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.is_none_or_nil(0) {
        return call.return_one(Value::bool(std::path::Path::new("/bin/sh").exists()));
    }
    let command = state.check_bytes(call, 0)?;
    state.flush_output();
    match Command::new("/bin/sh").arg("-c").arg(OsStr::from_bytes(command)).status() {
        Ok(status) => state.return_exit_status(call, status),
        Err(error) => state.return_failure(call, &error, None),
    }
}

fn exit(state: &mut State, call: Call) -> Result<u32, Throw> {
    let code = match call.arg(0) {
        value if value.is_nil() => 0,
        value if value.is(Tag::Bool) => i32::from(value.is_falsy()),
        _ => state.check_int(call, 0)? as i32,
    };
    if !call.arg(1).is_falsy() {
        state.close();
    }
    state.flush_output();
    state.libraries.streams.flush();
    state.end_files_of_service();
    std::process::exit(code)
}

fn getenv(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = state.check_bytes(call, 0)?;
    // Names with a zero or an equals sign are nobody's.
    let is_name = !name.is_empty() && !name.contains(&0) && !name.contains(&b'=');
    let value = if is_name { std::env::var_os(OsStr::from_bytes(name)) } else { None };
    let value = value.map_or(Value::NIL, |value| state.string_value(value.as_bytes()));
    call.return_one(value)
}

/// A name for the system, up to the first zero as in C.
fn c_string(name: &[u8]) -> CString {
    let end = name.iter().position(|c| *c == 0).unwrap_or(name.len());
    CString::new(&name[..end]).expect("no zero is left")
}

fn outcome(code: i32) -> std::io::Result<()> {
    if code == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn remove(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = state.check_bytes(call, 0)?;
    let path = c_string(name);
    // SAFETY: a terminated string. (C's function also removes empty directories.)
    let outcome = outcome(unsafe { libc::remove(path.as_ptr()) });
    state.return_outcome(call, outcome, Some(name))
}

fn rename(state: &mut State, call: Call) -> Result<u32, Throw> {
    let from = c_string(state.check_bytes(call, 0)?);
    let to = c_string(state.check_bytes(call, 1)?);
    // SAFETY: terminated strings.
    let outcome = outcome(unsafe { libc::rename(from.as_ptr(), to.as_ptr()) });
    state.return_outcome(call, outcome, None)
}

/// Only the C locale is there: what the libraries do depends on none.
fn setlocale(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = state.opt_bytes(call, 0, b"C")?;
    state.check_option(call, 1, Some("all"), &["all", "collate", "ctype", "monetary", "numeric", "time"])?;
    if !matches!(name, b"" | b"C" | b"POSIX") {
        return call.return_one(Value::NIL);
    }
    let name = state.string_value(b"C");
    call.return_one(name)
}

fn tmpname(state: &mut State, call: Call) -> Result<u32, Throw> {
    match make_temporary() {
        Ok((_, name)) => {
            let name = state.string_value(&name);
            call.return_one(name)
        }
        Err(_) => Err(state.throw_message("unable to generate a unique filename")),
    }
}

/// Makes an empty file with a name of its own.
pub(super) fn make_temporary() -> std::io::Result<(File, Vec<u8>)> {
    use std::os::fd::FromRawFd;
    let mut name = *b"/tmp/lua_XXXXXX\0";
    // SAFETY: a terminated string that the function changes in place; the descriptor is new and nobody else's.
    let file = unsafe {
        let descriptor = libc::mkstemp(name.as_mut_ptr().cast());
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error());
        }
        File::from_raw_fd(descriptor)
    };
    Ok((file, name[..name.len() - 1].to_vec()))
}
