//! The reference host of Surmise: a Lua 5.4 interpreter.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

pub mod ast;
pub mod bytecode;
pub mod cache;
pub mod claims;
pub mod command;
pub mod compiler;
pub mod coroutine;
pub mod dump;
pub mod error;
pub mod finalizers;
pub mod handler;
pub mod heap;
pub mod hooks;
pub mod interpreter;
pub mod levels;
pub mod lexer;
#[path = "lib/mod.rs"]
pub mod lib;
pub mod limits;
pub mod listing;
pub mod load;
pub mod metamethod;
pub mod names;
pub mod number;
pub mod object;
pub mod parser;
pub mod resolve;
pub mod roots;
pub mod shape;
pub mod stack;
pub mod stale;
pub mod state;
pub mod string;
pub mod surmise;
pub mod table;
pub mod traceback;
pub mod unit;
pub mod value;
