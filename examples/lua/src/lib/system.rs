//! Results of system calls, as Lua functions return them.

use std::ffi::CStr;

use crate::state::{Call, State, Throw};
use crate::value::Value;

/// What the system says about an error, as C programs put it.
pub fn error_text(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => {
            // SAFETY: `strerror` returns a string that is valid until the next call, and is copied at once. Should another
            // thread call it at the same moment for an unknown code, the text may be wrong, but it stays terminated.
            let text = unsafe { CStr::from_ptr(libc::strerror(code)) };
            text.to_string_lossy().into_owned()
        }
        None => error.to_string(),
    }
}

/// How long this thread has run, without the times that it waited for a processor.
pub fn thread_time() -> std::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is there to be written.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    match status {
        0 => std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
        _ => std::time::Duration::ZERO,
    }
}

impl State {
    /// Returns true, or nil, a message (about `name`, if there is one) and the system's number of the error.
    pub fn return_outcome(
        &mut self,
        call: Call,
        outcome: std::io::Result<()>,
        name: Option<&[u8]>,
    ) -> Result<u32, Throw> {
        match outcome {
            Ok(()) => call.return_one(Value::TRUE),
            Err(error) => self.return_failure(call, &error, name),
        }
    }

    /// Returns nil, a message and a number.
    pub fn return_failure(
        &mut self,
        call: Call,
        error: &std::io::Error,
        name: Option<&[u8]>,
    ) -> Result<u32, Throw> {
        let mut text = Vec::new();
        if let Some(name) = name {
            text.extend_from_slice(name);
            text.extend_from_slice(b": ");
        }
        text.extend_from_slice(error_text(error).as_bytes());
        let message = self.string_value(&text);
        let code = error.raw_os_error().unwrap_or(0);
        call.return_slice(&[Value::NIL, message, Value::int(i64::from(code))])
    }

    /// Returns how a process ended: true or nil, "exit" or "signal", and the code.
    pub fn return_exit_status(&mut self, call: Call, status: std::process::ExitStatus) -> Result<u32, Throw> {
        use std::os::unix::process::ExitStatusExt;
        let (kind, code): (&[u8], i32) = match status.code() {
            Some(code) => (b"exit", code),
            None => (b"signal", status.signal().unwrap_or(0)),
        };
        let success = if status.success() { Value::TRUE } else { Value::NIL };
        let kind = self.string_value(kind);
        call.return_slice(&[success, kind, Value::int(i64::from(code))])
    }
}
