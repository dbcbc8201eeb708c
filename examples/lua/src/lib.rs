//! The reference host of Surmise: a Lua 5.4 interpreter.
