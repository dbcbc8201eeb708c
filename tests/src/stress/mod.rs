//! Deoptimization of everything at random, on real hosts: what the named tests (`tests/tests/stress.rs`) and the soak
//! (`deopt-all-soak`) have in common.
//!
//! | file | what it does |
//! |---|---|
//! | `programs.lua` | programs that call `strike` wherever they may be struck |
//! | [`lua`] | a Lua state that runs them; what `strike` does |
//! | [`requester`] | a thread that asks for deoptimization of others' isolates |
#![allow(unsafe_code, reason = "requests are unsafe: who asks is at a safepoint")]

pub mod lua;
pub mod requester;

use surmise::config::{Backend, Config};
use surmise::lower::Redirection;

/// A backend with a way to redirect its frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// Its name.
    pub name: &'static str,
    /// What runs candidates.
    pub backend: Backend,
    /// How frames are redirected. In the portable backend there is one way.
    pub redirection: Redirection,
}

/// All of them.
pub const WAYS: [Way; 3] = [
    Way { name: "native, return", backend: Backend::Native, redirection: Redirection::ReturnAddress },
    Way { name: "native, mark", backend: Backend::Native, redirection: Redirection::Mark },
    Way { name: "portable", backend: Backend::Portable, redirection: Redirection::ReturnAddress },
];

impl Way {
    /// Settings under which candidates come at once, and are installed again after each request. Requests are made by who is told to,
    /// not at every so-many-th safepoint. All stacks are checked after each, and slots that may not be read any more fault.
    pub fn config(self) -> Config {
        Config {
            blocking: true,
            no_delay: true,
            backend: self.backend,
            redirection: self.redirection,
            deopt_all_every: Some(u32::MAX),
            ..Config::default()
        }
    }
}

/// The seed that `SEED` names, or the usual one.
///
/// # Panics
/// If that is no number.
pub fn seed() -> u64 {
    match std::env::var("SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("SEED={text}: expected a number")),
        Err(_) => 1,
    }
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Requests that concerned something.
    pub requests: u64,
    /// Of those, by other threads.
    pub from_outside: u64,
    /// Frames that they redirected.
    pub frames: u64,
    /// Frames that went on in the interpreter because of them.
    pub left: u64,
    /// Programs whose result was compared.
    pub runs: u64,
    /// Times that a thread was away in native code.
    pub stays: u64,
    /// The most bytes of code at a time.
    pub peak_code: u64,
}

impl Figures {
    /// Adds another thread's.
    pub fn add(&mut self, other: Figures) {
        let Figures { requests, from_outside, frames, left, runs, stays, peak_code } = other;
        self.requests += requests;
        self.from_outside += from_outside;
        self.frames += frames;
        self.left += left;
        self.runs += runs;
        self.stays += stays;
        self.peak_code = self.peak_code.max(peak_code);
    }
}
