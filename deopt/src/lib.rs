//! Candidates, spesh slots, runloops, and the ways back into the interpreter.
//!
//! All `unsafe` frame work of Surmise lives here; no code generator is known here. The optimizer hands over a
//! [`candidate::CandidateImage`]; this crate installs it, lets the host enter it, and gets the host's frames back when a guess
//! fails.
//!
//! ```text
//!  host runloop ──enter──▶ compiled frame ──call──▶ compiled frame ──extern call──▶ host
//!       ▲                        │                        │ guard fails
//!       │                        │                        ▼
//!       │                        │              exit stub: registers saved, point found, values read
//!       │                        │                        │ rebuild: allocate, then commit
//!       │                        │                        ▼
//!       │                        └──result──◀── host.resume(): a nested runloop runs the frame to its end
//!       └── Outcome::Resumed: when the frame was entered directly by a runloop, that runloop itself goes on with the frame
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`context`] | what compiled code can reach |
//! | [`candidate`], [`table`] | what the optimizer hands over |
//! | [`check`] | whether it is well formed |
//! | [`arena`], [`code_map`], [`loaded`] | code in memory, and from addresses back to candidates |
//! | [`slots`] | what candidates need from a guest heap |
//! | [`isolate`], [`entry`], [`guard_tree`] | candidates on one guest heap, and how they are found by callers |
//! | [`runloop`], [`host`] | entering compiled code, and what a host implements |
//! | [`stubs`] | the doors between host and compiled code |
//! | [`stacks`] | native stacks of coroutines |
//! | [`frames`] | walking compiled frames |
//! | [`exit`], [`rebuild`], [`boxed`] | deopt one |
//! | [`deopt_all`] | deopt all: requests, visits, assumptions |
//! | [`portable`] | candidates that the reference evaluator runs |
//! | [`events`] | what is remembered of deopts |
//! | [`stop`] | what happens when something must never happen |
//!
//! On targets other than x86-64 Linux everything compiles, [`supported`] is false, and no code can be loaded.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod arena;
pub mod boxed;
pub mod candidate;
pub mod check;
pub mod code_map;
pub mod context;
pub mod deopt_all;
pub mod entry;
pub mod events;
#[cfg_attr(
    not(all(target_arch = "x86_64", target_os = "linux")),
    expect(dead_code, reason = "only the stubs call it")
)]
pub mod exit;
pub mod frames;
pub mod guard_tree;
pub mod host;
pub mod isolate;
pub mod loaded;
#[cfg_attr(
    not(all(target_arch = "x86_64", target_os = "linux")),
    expect(dead_code, reason = "only the stubs call it")
)]
pub mod portable;
pub mod rebuild;
pub mod runloop;
pub mod slots;
pub mod stacks;
pub mod stop;
pub mod stubs;
mod sync;
pub mod table;

/// Whether this target runs native code.
pub const fn supported() -> bool {
    cfg!(all(target_arch = "x86_64", target_os = "linux"))
}
