//! The official tests of Lua 5.4 (5.4.8), run file by file in every mode.
//!
//! They are not part of this repository: [`fetch`] has pip download the source distribution of lupa, which contains them, and checks
//! what came. [`files`] says how each file is run, and which are not, by name and with the reason; [`matrix`] runs them, each in a
//! process and a copy of the folder of its own, with a time limit.
//!
//! Nothing is made easy: `_soft`, `_port` and `_U`, with which the tests may be told to leave something out, are not set. The parts
//! that need `T`, the C API's internal test library, leave themselves out; the few others that are not run are listed by their lines.

pub mod fetch;
pub mod files;
pub mod matrix;
