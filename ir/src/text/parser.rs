//! The parser's walk over tokens, and what functions and languages have in common.

use super::ParseError;
use super::lexer::{Placed, Token, tokens};
use crate::entity::{Pc, Register, UnitId};
use crate::types::Type;

/// Entity numbers above this plus the text's length are refused: gaps are filled, and a number must not cost memory that the
/// text doesn't pay for.
const ENTITY_NUMBERS: usize = 1 << 16;

/// A walk over the tokens of a text.
pub(super) struct Parser<'t> {
    tokens: Vec<Placed<'t>>,
    position: usize,
    bind: &'t dyn Fn(&str) -> Option<u32>,
    /// Entity numbers have to be below this.
    pub entity_limit: u32,
}

/// Where something was said, for errors that turn up later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub line: u32,
    pub column: u32,
}

impl Mark {
    pub fn fail<T>(self, found: impl Into<String>, expected: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError {
            line: self.line,
            column: self.column,
            found: found.into(),
            expected: expected.into(),
        })
    }
}

impl<'t> Parser<'t> {
    pub fn new(text: &'t str, bind: &'t dyn Fn(&str) -> Option<u32>) -> Result<Parser<'t>, ParseError> {
        let entity_limit = u32::try_from(ENTITY_NUMBERS.saturating_add(text.len())).unwrap_or(u32::MAX / 2);
        Ok(Parser { tokens: tokens(text)?, position: 0, bind, entity_limit })
    }

    fn placed(&self) -> &Placed<'t> {
        // The last token is the end, and nothing steps over it.
        &self.tokens[self.position]
    }
    pub fn peek(&self) -> &Token<'t> {
        &self.placed().token
    }
    pub fn mark(&self) -> Mark {
        Mark { line: self.placed().line, column: self.placed().column }
    }
    pub fn step(&mut self) {
        if self.position + 1 < self.tokens.len() {
            self.position += 1;
        }
    }
    pub fn fail<T>(&self, expected: impl Into<String>) -> Result<T, ParseError> {
        let found = match self.peek() {
            Token::Name(name) => format!("`{name}`"),
            Token::Text(text) => format!("{text:?}"),
            Token::Number(number) => format!("`{number}`"),
            Token::Unit(id) => format!("`{}`", UnitId(*id)),
            Token::Pc(pc) => format!("`@{pc}`"),
            Token::Symbol(name) => format!("`@{name}`"),
            Token::Mark(mark) => format!("`{mark}`"),
            Token::End => "the end of the text".to_owned(),
        };
        self.mark().fail(found, expected)
    }

    pub fn at_end(&self) -> bool {
        *self.peek() == Token::End
    }
    pub fn expect_end(&self, expected: &str) -> Result<(), ParseError> {
        if self.at_end() { Ok(()) } else { self.fail(expected) }
    }
    /// Whether an instruction ends here.
    pub fn at_line_end(&self) -> bool {
        self.placed().starts_line || matches!(self.peek(), Token::End | Token::Mark(";" | "}"))
    }
    /// Skips `;`s.
    pub fn skip_separators(&mut self) {
        while self.eat(";") {}
    }
    pub fn at(&self, mark: &str) -> bool {
        matches!(self.peek(), Token::Mark(found) if *found == mark)
    }
    pub fn eat(&mut self, mark: &str) -> bool {
        let found = self.at(mark);
        if found {
            self.step();
        }
        found
    }
    pub fn expect(&mut self, mark: &str) -> Result<(), ParseError> {
        if self.eat(mark) { Ok(()) } else { self.fail(format!("`{mark}`")) }
    }
    pub fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if *found == word)
    }
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.step();
        }
        found
    }
    pub fn expect_word(&mut self, word: &str) -> Result<(), ParseError> {
        if self.eat_word(word) { Ok(()) } else { self.fail(format!("`{word}`")) }
    }

    /// A name, quoted or not.
    pub fn name(&mut self, expected: &str) -> Result<String, ParseError> {
        let name = match self.peek() {
            Token::Name(name) => (*name).to_owned(),
            Token::Text(text) => text.clone(),
            _ => return self.fail(expected),
        };
        self.step();
        Ok(name)
    }
    /// A name that `find` knows.
    pub fn known<T>(
        &mut self,
        expected: &str,
        find: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ParseError> {
        let found = match self.peek() {
            Token::Name(name) => find(name),
            Token::Text(text) => find(text),
            _ => None,
        };
        match found {
            Some(found) => {
                self.step();
                Ok(found)
            }
            None => self.fail(expected),
        }
    }
    pub fn ty(&mut self) -> Result<Type, ParseError> {
        self.known("a type (i64, f64, i1, ref, raw or any)", Type::from_name)
    }

    /// An integer that fits 64 bits, signed or not; or a bound name.
    fn wide(&mut self, expected: &str) -> Result<i128, ParseError> {
        let value = match *self.peek() {
            Token::Number(text) => integer(text),
            Token::Symbol(name) => match (self.bind)(name) {
                Some(number) => Some(number as i128),
                None => {
                    return self.fail(format!(
                        "{expected}, or a name that the host binds to a number (this one is not bound)"
                    ));
                }
            },
            _ => None,
        };
        match value {
            Some(value) => {
                self.step();
                Ok(value)
            }
            None => self.fail(expected),
        }
    }
    /// An integer of this type.
    pub fn number<T: TryFrom<i128>>(&mut self, expected: &str) -> Result<T, ParseError> {
        let position = self.position;
        let value = self.wide(expected)?;
        T::try_from(value).or_else(|_| {
            self.position = position;
            self.fail(expected)
        })
    }
    /// A word: from `-2^63` to `2^64 - 1`.
    pub fn word(&mut self) -> Result<u64, ParseError> {
        let position = self.position;
        let value = self.wide("an integer of 64 bits")?;
        if value < i64::MIN as i128 || value > u64::MAX as i128 {
            self.position = position;
            return self.fail("an integer of 64 bits");
        }
        Ok(value as u64)
    }
    /// A float, as bits.
    pub fn float(&mut self) -> Result<u64, ParseError> {
        let expected = "a float: `1.5`, `inf`, `-inf` or `nan:0x7ff8000000000000`";
        if self.eat_word("nan") {
            if !self.eat(":") {
                return Ok(f64::NAN.to_bits());
            }
            let mark = self.mark();
            let bits = self.word()?;
            return if f64::from_bits(bits).is_nan() {
                Ok(bits)
            } else {
                mark.fail("bits of a number", "bits of a NaN")
            };
        }
        let value = match *self.peek() {
            Token::Name("inf") => Some(f64::INFINITY),
            Token::Number("-inf") => Some(f64::NEG_INFINITY),
            Token::Number(text) => text.parse::<f64>().ok().filter(|value| value.is_finite()),
            _ => None,
        };
        match value {
            Some(value) => {
                self.step();
                Ok(value.to_bits())
            }
            None => self.fail(expected),
        }
    }
    pub fn pc(&mut self) -> Result<Pc, ParseError> {
        match *self.peek() {
            Token::Pc(pc) => {
                self.step();
                Ok(Pc(pc))
            }
            _ => self.fail("`@` and the number of a bytecode instruction"),
        }
    }
    /// A unit's id, if one is here: `unit:` and hexadecimal digits, or `unit: 12`.
    pub fn unit(&mut self) -> Result<Option<UnitId>, ParseError> {
        if let Token::Unit(id) = *self.peek() {
            self.step();
            return Ok(Some(UnitId(id)));
        }
        if !self.eat_word("unit") {
            return Ok(None);
        }
        self.expect(":")?;
        self.number("a unit's number").map(|id| Some(UnitId(id)))
    }

    /// The number of an entity that is here, if its name is the prefix and a number.
    pub fn peek_entity(&self, prefix: &str) -> Option<&'t str> {
        match *self.peek() {
            Token::Name(name) => {
                let digits = name.strip_prefix(prefix)?;
                (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
            }
            _ => None,
        }
    }
    /// An entity's number, below [`Self::entity_limit`].
    pub fn entity(&mut self, prefix: &str, expected: &str) -> Result<u32, ParseError> {
        let Some(digits) = self.peek_entity(prefix) else { return self.fail(expected) };
        match digits.parse::<u32>() {
            Ok(number) if number < self.entity_limit => {
                self.step();
                Ok(number)
            }
            _ => self.fail(format!("a number below {} here", self.entity_limit)),
        }
    }
    pub fn register(&mut self) -> Result<Register, ParseError> {
        match self.peek_entity("r").map(str::parse::<u16>) {
            Some(Ok(number)) => {
                self.step();
                Ok(Register(number))
            }
            Some(Err(_)) => self.fail("a register's number below 65536"),
            None => self.fail("a register, such as `r3`"),
        }
    }
    /// A list in marks, separated by commas; the opening mark is already taken.
    pub fn list<T>(
        &mut self,
        close: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let mut items = Vec::new();
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(close) {
                return Ok(items);
            }
            if !self.eat(",") {
                return self.fail(format!("`,` or `{close}`"));
            }
        }
    }
}

/// The integer that a text says, in decimal or hexadecimal digits, if it has at most 64 bits.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let magnitude = match digits.strip_prefix("0x") {
        // `from_str_radix` would take a sign here.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()?
        }
        Some(_) => return None,
        None => digits.parse().ok()?,
    } as i128;
    Some(if negative { -magnitude } else { magnitude })
}
