//! Splits a text into tokens.

use super::ParseError;

/// What a token is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token<'t> {
    /// An identifier or keyword.
    Name(&'t str),
    /// A quoted text.
    Text(String),
    /// A number: `12`, `-3`, `0x1f`, `1.5e-7`, `-inf`.
    Number(&'t str),
    /// `unit:` and sixteen hexadecimal digits.
    Unit(u64),
    /// `@12`.
    Pc(u32),
    /// `@Table.shape`: a name that the host binds to a number.
    Symbol(&'t str),
    /// One of `( ) { } [ ] , : ; . = ->`.
    Mark(&'static str),
    /// The end of the text.
    End,
}

/// A token and where it is.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Placed<'t> {
    pub token: Token<'t>,
    pub line: u32,
    pub column: u32,
    /// It is the first of its line.
    pub starts_line: bool,
}

const MARKS: [&str; 12] = ["->", "(", ")", "{", "}", "[", "]", ",", ":", ";", ".", "="];

struct Lexer<'t> {
    text: &'t str,
    offset: usize,
    line: u32,
    column: u32,
}

/// All tokens of a text; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, ParseError> {
    let mut lexer = Lexer { text, offset: 0, line: 1, column: 1 };
    let mut tokens: Vec<Placed> = Vec::new();
    let mut last_line = 0;
    loop {
        lexer.skip_space();
        let (line, column) = (lexer.line, lexer.column);
        let token = lexer.token()?;
        let is_end = token == Token::End;
        tokens.push(Placed { token, line, column, starts_line: line != last_line });
        last_line = lexer.line;
        if is_end {
            return Ok(tokens);
        }
    }
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.offset..]
    }
    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }
    /// Takes characters as long as they fit.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.advance(length)
    }
    /// Takes `length` bytes, none of which is a line end.
    fn advance(&mut self, length: usize) -> &'t str {
        let taken = &self.rest()[..length];
        self.offset += length;
        self.column += taken.chars().count() as u32;
        taken
    }
    fn skip_space(&mut self) {
        loop {
            if self.rest().starts_with("//") {
                self.take(|c| c != '\n');
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.bump();
            } else {
                return;
            }
        }
    }
    fn fail(&self, found: impl Into<String>, expected: impl Into<String>) -> ParseError {
        ParseError { line: self.line, column: self.column, found: found.into(), expected: expected.into() }
    }

    fn token(&mut self) -> Result<Token<'t>, ParseError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        if is_name_start(first) {
            return Ok(self.name());
        }
        let rest = self.rest();
        let negative_digits =
            rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if first.is_ascii_digit() || negative_digits {
            let length = number_length(rest);
            return Ok(Token::Number(self.advance(length)));
        }
        if rest.starts_with("-inf") {
            return Ok(Token::Number(self.advance(4)));
        }
        match first {
            '"' => self.quoted(),
            '@' => self.at(),
            _ => match MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
                Some(mark) => {
                    self.advance(mark.len());
                    Ok(Token::Mark(mark))
                }
                None => Err(self
                    .fail(format!("the character {first:?}"), "a name, a number, a quoted text or a mark")),
            },
        }
    }
    fn name(&mut self) -> Token<'t> {
        let name = self.take(is_name);
        if name == "unit"
            && let Some(digits) = self.rest().strip_prefix(':')
        {
            let length = digits.find(|c: char| !is_name(c)).unwrap_or(digits.len());
            if length == 16
                && let Ok(id) = u64::from_str_radix(&digits[..length], 16)
            {
                self.advance(1 + length);
                return Token::Unit(id);
            }
        }
        Token::Name(name)
    }
    fn at(&mut self) -> Result<Token<'t>, ParseError> {
        let (line, column) = (self.line, self.column);
        self.advance(1);
        let rest = self.rest();
        let length = rest.find(|c: char| !is_name(c) && c != '.').unwrap_or(rest.len());
        let name = self.advance(length);
        if name.starts_with(is_name_start) {
            return Ok(Token::Symbol(name));
        }
        name.parse().map(Token::Pc).map_err(|_| ParseError {
            line,
            column,
            found: format!("`@{name}`"),
            expected: "`@` and the number of a bytecode instruction, or a name such as `@Table.shape`"
                .to_owned(),
        })
    }
    fn quoted(&mut self) -> Result<Token<'t>, ParseError> {
        let start = self.fail("a quoted text without an end", "a closing `\"`");
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                None | Some('\n') => return Err(start),
                Some('"') => return Ok(Token::Text(text)),
                Some('\\') => text.push(self.escape()?),
                Some(c) => text.push(c),
            }
        }
    }
    fn escape(&mut self) -> Result<char, ParseError> {
        match self.peek() {
            Some(c @ ('"' | '\\')) => {
                self.bump();
                Ok(c)
            }
            Some('u') => {
                self.bump();
                let hex = self.take(|c| c == '{' || c.is_ascii_hexdigit());
                let code = hex
                    .strip_prefix('{')
                    .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                    .and_then(char::from_u32);
                match code {
                    Some(c) if self.peek() == Some('}') => {
                        self.bump();
                        Ok(c)
                    }
                    _ => Err(self.fail(format!("`\\u{hex}`"), "`\\u{…}` with the number of a character")),
                }
            }
            other => Err(self.fail(format!("`\\` and {other:?}"), "`\\\"`, `\\\\` or `\\u{…}`")),
        }
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
/// Whether a name can be written without quotes. (`_` alone is a pattern.)
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(is_name_start) && name.chars().all(is_name) && name != "_"
}

/// The length of the number that a text starts with. Letters that follow are taken along, so that `12ab` is one wrong number.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut length = 1;
    let is_hexadecimal = text.trim_start_matches('-').starts_with("0x");
    while let Some(&byte) = bytes.get(length) {
        let after_exponent = !is_hexadecimal && matches!(bytes[length - 1], b'e' | b'E');
        let fits = byte.is_ascii_alphanumeric()
            || byte == b'_'
            || byte == b'.' && bytes.get(length + 1).is_some_and(u8::is_ascii_digit)
            || matches!(byte, b'+' | b'-') && after_exponent;
        if !fits {
            break;
        }
        length += 1;
    }
    length
}
