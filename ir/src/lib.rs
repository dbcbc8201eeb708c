//! The language that all parts of Surmise share.
//!
//! A host interpreter describes itself once as data ([`language::Language`]): its kinds of values, its operations with their
//! specialized cases, the functions and object layouts that compiled code may touch. Its lifter turns bytecode into a
//! [`function::Function`]: SSA over blocks with parameters, in which every instruction that may leave compiled code carries a
//! *frame state*, the recipe for the interpreter frames at that point. Everything here prints, parses and round-trips.
//!
//! There are no threads, no machine code and no I/O in this crate, and it knows no host.
//!
//! | module | what it holds |
//! |---|---|
//! | [`types`] | the six types of SSA values |
//! | [`entity`] | typed indices |
//! | [`language`] | a host language as data |
//! | [`opcode`] | the one table of instructions |
//! | [`guard`] | the one table of guard reasons |
//! | [`function`] | functions, blocks, instructions, values |
//! | [`frame_state`] | how interpreter frames are rebuilt |
//! | [`analysis`] | control flow, dominators, loops, liveness |
//! | [`text`] | printer and parser |
//! | [`verifier`] | what must hold |
//! | [`evaluate`] | the reference evaluator, which is also the portable backend |
//! | [`generate`] | random programs and functions for tests |
//! | [`builder`] | SSA construction on the fly, used by lifters |
//! | [`splice`] | a call of a known unit becomes that unit's code |
#![forbid(unsafe_code)]

pub mod analysis;
pub mod builder;
mod columns;
mod compact;
pub mod entity;
pub mod evaluate;
pub mod frame_state;
pub mod function;
pub mod generate;
pub mod guard;
pub mod language;
pub mod opcode;
pub mod premise;
pub mod semantics;
pub mod splice;
pub mod text;
pub mod types;
pub mod verifier;
