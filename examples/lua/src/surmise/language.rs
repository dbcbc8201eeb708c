//! The Lua language, as data for the optimizer: `language.sir` with the offsets of this build.

use std::mem::offset_of;

use surmise::ir::language::Language;
use surmise::ir::text::{ParseError, parse_language};

use crate::bytecode::Prototype;
use crate::object::{Cell, Header, LuaClosure, LuaString, Table};
use crate::unit::UnitState;

/// The text.
pub const SOURCE: &str = include_str!("language.sir");

/// What a name with `@` is in this build.
fn offset(name: &str) -> Option<u32> {
    let offset = match name {
        "Header.flags" => offset_of!(Header, flags),
        "Table.shape" => offset_of!(Table, shape),
        "Table.slots" => offset_of!(Table, slots),
        "Table.array" => offset_of!(Table, array),
        "Table.array_length" => offset_of!(Table, array_length),
        "Table.hash" => offset_of!(Table, hash),
        "Table.metatable" => offset_of!(Table, metatable),
        "Buffer.capacity" => offset_of!(crate::object::Buffer, capacity),
        "Buffer.element" => size_of::<crate::object::Buffer>(),
        "LuaClosure.prototype" => offset_of!(LuaClosure, prototype),
        "LuaClosure.upvalue" => size_of::<LuaClosure>(),
        "Prototype.entry" => offset_of!(Prototype, unit) + offset_of!(UnitState, entry),
        "Cell.value" => offset_of!(Cell, value),
        "LuaString.length" => offset_of!(LuaString, length),
        _ => return None,
    };
    u32::try_from(offset).ok()
}

/// The language.
///
/// # Errors
/// Where `language.sir` is wrong; a test sees to it that it is not.
pub fn language() -> Result<Language, ParseError> {
    parse_language(SOURCE, &|name| offset(name.trim_start_matches('@')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_right() {
        let language = language().unwrap_or_else(|error| panic!("language.sir: {error}"));
        let violations = surmise::ir::verifier::verify_language(&language);
        let text: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(text.is_empty(), "{}", text.join("\n"));
    }
}
