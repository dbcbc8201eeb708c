//! The functions of the host that compiled code calls, exactly those that `language.sir` declares.
//!
//! | file | what it holds |
//! |---|---|
//! | [`declare`] | the notation in which the functions are written, and their machine signatures |
//! | [`frame`] | the interpreter's view of a compiled frame; guest errors; safepoints |
//! | [`arithmetic`] | arithmetic and bit operations, `#`, functions of `math` |
//! | [`compare`] | equality, order, truth |
//! | [`fields`] | fields and elements with everything that belongs to them |
//! | [`tables`] | raw stores to tables, metatables, traversal, write barriers |
//! | [`objects`] | new tables, cells and closures; upvalues |
//! | [`text`] | concatenation and strings |
//! | [`loops`] | numeric `for` |
//! | [`calls`] | calls of any value, iterators, variable arguments |
//! | [`switching`] | calls of the functions that switch stacks |
//! | [`closing`] | to-be-closed variables |
//!
//! What each does is the Lua operation of the same name; where it may run guest code that includes metamethods. Cheap cases
//! come first and touch nothing but the heap; the rest goes through [`frame`].
//!
//! What must hold of every function here:
//! * it does no more than its declaration says: without `calls_guest` it runs no guest code, without `allocates` it does not
//!   collect, without `throws` it returns;
//! * it collects only at its very end, when nothing but its result matters;
//! * at a guest error it has nothing to drop: fallible work is done in closures given to [`frame`].

use surmise::deopt::context::Context;

use crate::value::Value;

#[macro_use]
mod declare;
mod arithmetic;
mod calls;
mod closing;
mod compare;
mod fields;
pub mod frame;
mod loops;
mod objects;
mod switching;
mod tables;
mod text;

/// A function for compiled code, as it is written here.
#[derive(Clone, Copy, Debug)]
pub struct HostFunction {
    /// Its name in the language.
    pub name: &'static str,
    /// Types of its operands.
    pub parameters: &'static [&'static str],
    /// Type of its result.
    pub result: Option<&'static str>,
    /// Whether it receives the end of the calling frame's window.
    pub needs_window: bool,
    /// Its code.
    pub address: *const u8,
}

/// All of them.
pub fn functions() -> impl Iterator<Item = HostFunction> {
    let groups = [
        arithmetic::FUNCTIONS,
        calls::FUNCTIONS,
        closing::FUNCTIONS,
        compare::FUNCTIONS,
        fields::FUNCTIONS,
        loops::FUNCTIONS,
        objects::FUNCTIONS,
        tables::FUNCTIONS,
        text::FUNCTIONS,
    ];
    groups.into_iter().flatten().copied().chain([calls::CALL])
}

/// Names and addresses of all of them.
pub fn table() -> Vec<(&'static str, *const u8)> {
    functions().map(|function| (function.name, function.address)).collect()
}

#[cfg(test)]
mod tests;
