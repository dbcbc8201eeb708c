//! The reference host of Surmise: a Lua 5.4 interpreter.

pub mod bytecode;
pub mod cache;
pub mod error;
pub mod handler;
pub mod heap;
pub mod interpreter;
pub mod lib;
pub mod load;
pub mod metamethod;
pub mod number;
pub mod object;
pub mod shape;
pub mod stack;
pub mod state;
pub mod string;
pub mod table;
pub mod unit;
pub mod value;
