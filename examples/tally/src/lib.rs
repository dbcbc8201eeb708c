//! Tally: a host of Surmise that is small enough to be read in one sitting.
//!
//! A stack machine with 63-bit integers, strings and functions, in the *word* encoding. Its source is the tutorial on plugging
//! Surmise into an interpreter, in this order (`docs/plug-in.md` walks through it):
//!
//! | step | file | what it does |
//! |---|---|---|
//! | 1 | [`value`], [`program`], [`assemble`], [`machine`], [`collector`] | the interpreter itself |
//! | 2 | `tally.sir`, [`language`] | the language as text, and the functions that it declares |
//! | 3 | [`lifter`] | from instructions to generic IR |
//! | 4 | [`counters`] | counters and the type log |
//! | 5 | [`connect`], [`enter`] | plugging in; into compiled code and out of it |
//! | 6 | [`frames`] | frames rebuilt where a guess failed, resumed and called |

pub mod assemble;
pub mod collector;
pub mod connect;
pub mod counters;
pub mod enter;
pub mod frames;
pub mod language;
pub mod lifter;
pub mod machine;
pub mod program;
pub mod run;
pub mod value;
