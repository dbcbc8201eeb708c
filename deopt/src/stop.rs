//! Loud stops: what must never happen ends the process, with the names in it, before anything runs on with wrong values.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

static STOPPING: AtomicBool = AtomicBool::new(false);

/// Prints what went wrong to standard error and aborts. A stop while another is being printed aborts at once.
#[cold]
pub fn loud_stop(what: fmt::Arguments<'_>) -> ! {
    // Relaxed: only this flag's own order matters, and every way ends in an abort.
    if !STOPPING.swap(true, Ordering::Relaxed) {
        eprintln!("surmise: stopped: {what}");
    }
    std::process::abort()
}
