//! The portable backend: candidates that are optimized functions, run by the reference evaluator.
//!
//! For everybody else a portable candidate is a candidate like any other. It is installed, chosen, retired and reclaimed in the same
//! way; its entry point is code that can be jumped to from wherever code is called; its frames stand on the native stack, are walked,
//! redirected by deoptimization of everything, and left by errors like those of machine code. What is different is what happens
//! inside of a frame: its code, the same few instructions for all candidates, asks [`step`] what to do, and does it.
//!
//! ```text
//!                 entry code (one frame on the native stack)              runtime
//! caller ──call──▶ frame made, homes stored
//!                  ┌▶ portable_step ─────────────────────────────────────▶ the machine runs until it stands still
//!                  │   test: done? ──────────▶ results, return               │ a poll: the host's poll; it runs on
//!                  │   registers loaded from the frame ◀─────────────────────┤ a call: laid out in the frame
//!                  │   call ──▶ host function, unit's entry code             │ a return: results in machine form
//!                  └── results stored in the frame                           └ a deopt: frames rebuilt, as for machine code
//! ```
//!
//! So the calls are made by the frame's own code: a host function finds the return address where it finds it under machine code, and
//! an error that leaves the frame skips no Rust frame. What the evaluator knows of an activation is in the runloop ([`activation`]), with
//! the place where it stands still: for the collector, who finds every value that is still needed and may move it, and for
//! deoptimization of everything, which sets the frame's mark. A marked frame leaves as soon as its call has given its results, with the
//! frame state *after* the call.
//!
//! | file | what it holds |
//! |---|---|
//! | [`code`] | what is known of a portable candidate: points, calls, states' headers |
//! | [`frame`] | the frame on the native stack |
//! | [`entry_code`] | the code of all portable candidates, and calls of functions by address |
//! | [`activation`] | the evaluator's side of a frame |
//! | [`step`] | from one stop of the machine to the next |
//! | [`world`] | memory, windows, slots and host functions as the evaluator sees them |
//! | [`leave`] | a deopt: from the evaluator's frames to a rebuild plan |
//!
//! What must hold: no reference to an activation lives while host code runs. A check of the evaluator that fails ends the process with
//! the instruction in the message: a pass, a lifter or a host is wrong, and that is what this backend is for.
//!
//! Not here: targets without native code. The entry code and the calls of functions by address are written for x86-64; everything else
//! is Rust.

pub(crate) mod activation;
pub(crate) mod code;
pub(crate) mod entry_code;
pub(crate) mod frame;
mod leave;
pub(crate) mod step;
mod world;
