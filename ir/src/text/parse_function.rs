//! Reads functions.

use super::ParseError;
use super::lexer::Token;
use super::parse_body::Body;
use super::parser::Parser;
use crate::entity::UnitId;
use crate::function::{Entry, Function};
use crate::language::Language;

/// `function "name" unit:… call registers 5 { … }`
pub(super) fn function(parser: &mut Parser, language: &Language) -> Result<Function, ParseError> {
    parser.expect_word("function")?;
    let Token::Text(name) = parser.peek().clone() else {
        return parser.fail("the function's name in quotes");
    };
    parser.step();
    let unit = parser.unit()?.unwrap_or(UnitId::default());
    let entry = parser.known("how it is entered: `call`, `loop @pc` or `template`", |name| match name {
        "call" => Some(Entry::Call),
        "loop" => Some(Entry::Loop(crate::entity::Pc(0))),
        "template" => Some(Entry::Template),
        _ => None,
    })?;
    let entry = match entry {
        Entry::Loop(_) => Entry::Loop(parser.pc()?),
        entry => entry,
    };
    parser.expect_word("registers")?;
    let register_count = parser.number("a number of registers, below 65536")?;
    parser.expect("{")?;
    Body::new(language, Function::new(&name, unit, entry, register_count)).parse(parser, None)
}
