//! Tests of lowering: machine code is run on a small machine of its own (`machine`), without the runtime.
#![allow(unsafe_code)]

mod calls;
mod cost;
mod guards;
mod languages;
mod machine;
mod memory;
mod pure;
mod safepoints;
