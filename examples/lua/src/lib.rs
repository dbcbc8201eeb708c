//! The reference host of Surmise: a Lua 5.4 interpreter.

pub mod ast;
pub mod bytecode;
pub mod cache;
pub mod compiler;
pub mod error;
pub mod handler;
pub mod heap;
pub mod interpreter;
pub mod lexer;
pub mod lib;
pub mod listing;
pub mod load;
pub mod metamethod;
pub mod names;
pub mod number;
pub mod object;
pub mod parser;
pub mod resolve;
pub mod shape;
pub mod stack;
pub mod state;
pub mod string;
pub mod table;
pub mod unit;
pub mod value;
