//! The front end: listings, messages, names, and sources that are broken in every way.

mod check;
mod fuzz;
mod listings;
mod messages;
mod names;

use surmise_lua::compiler::{Function, compile};

/// Compiles a source that must be right, and checks the code.
fn compiled(source: &str) -> Function {
    let function = compile(source.as_bytes(), "=test").unwrap_or_else(|error| panic!("{error}\n{source}"));
    check::check(&function).unwrap_or_else(|error| panic!("{error}\n{source}"));
    function
}
