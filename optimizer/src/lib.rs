//! Surmise: a speculative optimizer and deoptimization service for interpreters.
//!
//! An interpreter plugs Surmise in and keeps being an interpreter. Its hot-path counters and a cheap log of the types it sees
//! go to a background thread, which builds SSA specializations, compiles them and hands them back as guarded candidates. When
//! a guess turns out wrong, the frame goes on in the interpreter.
//!
//! ```text
//!  host ─counters─▶ log ─▶ profile ─▶ plan ─▶ lift ─▶ passes ─▶ lower ─▶ candidate ─▶ installed at the host's next poll
//! ```
#![deny(unsafe_code)]

pub use surmise_deopt as deopt;
pub use surmise_ir as ir;

pub mod compile;
pub mod config;
pub mod log;
pub mod lower;
pub mod merge;
pub mod passes;
pub mod plan;
pub mod plug;
pub mod preload;
pub mod profile;
pub mod profile_text;
pub mod record;
pub mod replay;
pub mod service;
pub mod snapshot;
mod sync;
pub mod unit;
