//! From bytes to tokens.
//!
//! The lexer works on bytes; a source need not be UTF-8. It counts lines as Lua does (`\n`, `\r`, `\r\n` and `\n\r` each end
//! one) and decodes strings and numerals. Errors carry Lua's own words, with the offending piece of source behind `near`.

pub mod symbols;
pub mod token;

use std::fmt;

use crate::number;
use symbols::{Symbol, Symbols};
use token::{RESERVED, Token};

/// Why a chunk could not be compiled: the whole message, as `load` returns it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyntaxError {
    /// `chunk:line: what near 'where'`. Bytes, since it quotes the source.
    pub message: Box<[u8]>,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message))
    }
}

impl std::error::Error for SyntaxError {}

/// What a message quotes behind `near`.
pub enum Near<'t> {
    /// Nothing.
    Nothing,
    /// Text, as it stands.
    Plain(&'t [u8]),
    /// Text, put between quotes.
    Quoted(&'t [u8]),
}

/// Longest form of a chunk's name in messages.
const DISPLAY_NAME_ROOM: usize = 59;

/// How messages call a chunk: the rest of `=name` and `@file` (shortened), else the first line as `[string "..."]`.
pub fn chunk_display_name(chunk_name: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let bytes = chunk_name.as_bytes();
    match bytes.first() {
        Some(b'=') => text(&bytes[1..bytes.len().min(DISPLAY_NAME_ROOM + 1)]),
        Some(b'@') if bytes.len() - 1 <= DISPLAY_NAME_ROOM => text(&bytes[1..]),
        Some(b'@') => format!("...{}", text(&bytes[bytes.len() - (DISPLAY_NAME_ROOM - 3)..])),
        _ => {
            let room = DISPLAY_NAME_ROOM - "[string \"...\"]".len();
            let line = bytes.iter().position(|c| *c == b'\n');
            match line {
                None if bytes.len() < room => format!("[string \"{chunk_name}\"]"),
                _ => {
                    let end = line.unwrap_or(bytes.len()).min(room);
                    format!("[string \"{}...\"]", text(&bytes[..end]))
                }
            }
        }
    }
}

/// The lexer's state.
pub struct Lexer<'s> {
    source: &'s [u8],
    position: usize,
    token_start: usize,
    /// The line that `position` is in.
    pub line: u32,
    /// All names and strings seen so far.
    pub symbols: Symbols,
    display_name: String,
    buffer: Vec<u8>,
}

const SPACE: u8 = 1;
const NAME_START: u8 = 2;
const DIGIT: u8 = 4;
const HEXADECIMAL: u8 = 8;
const NAME: u8 = NAME_START | DIGIT;

/// What each byte may be part of.
static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut c = 0;
    while c < 256 {
        let byte = c as u8;
        if matches!(byte, b' ' | b'\t' | 11 | 12) {
            table[c] |= SPACE;
        }
        if byte.is_ascii_alphabetic() || byte == b'_' {
            table[c] |= NAME_START;
        }
        if byte.is_ascii_digit() {
            table[c] |= DIGIT;
        }
        if byte.is_ascii_hexdigit() {
            table[c] |= HEXADECIMAL;
        }
        c += 1;
    }
    table
};

fn is(class: u8, byte: Option<u8>) -> bool {
    byte.is_some_and(|b| CLASS[b as usize] & class != 0)
}

impl<'s> Lexer<'s> {
    /// A lexer at the start of a source.
    pub fn new(source: &'s [u8], chunk_name: &str) -> Lexer<'s> {
        let mut symbols = Symbols::new();
        for (word, _) in RESERVED {
            symbols.intern(word.as_bytes());
        }
        Lexer {
            source,
            position: 0,
            token_start: 0,
            line: 1,
            symbols,
            display_name: chunk_display_name(chunk_name),
            buffer: Vec::new(),
        }
    }

    /// Where the latest token lies in the source.
    pub fn token_span(&self) -> std::ops::Range<usize> {
        self.token_start..self.position
    }

    /// An error at the current line.
    pub fn error(&self, message: &str, near: Near<'_>) -> SyntaxError {
        self.error_at(self.line, message, near)
    }

    /// An error at a line.
    pub fn error_at(&self, line: u32, message: &str, near: Near<'_>) -> SyntaxError {
        // Lua formats the quoted text as a C string: it ends at a zero byte.
        let until_zero = |text: &[u8]| text.iter().position(|c| *c == 0).unwrap_or(text.len());
        let mut text = format!("{}:{line}: {message}", self.display_name).into_bytes();
        match near {
            Near::Nothing => {}
            Near::Plain(what) => {
                text.extend_from_slice(b" near ");
                text.extend_from_slice(what);
            }
            Near::Quoted(what) => {
                text.extend_from_slice(b" near '");
                text.extend_from_slice(&what[..until_zero(what)]);
                text.push(b'\'');
            }
        }
        SyntaxError { message: text.into() }
    }

    /// What a message quotes for a token: its text where the kind alone would not say enough.
    pub fn token_text(&self, token: Token, span: std::ops::Range<usize>) -> Vec<u8> {
        let quoted = |text: &[u8]| {
            let end = text.iter().position(|c| *c == 0).unwrap_or(text.len());
            [b"'", &text[..end], b"'"].concat()
        };
        match token {
            Token::Name(_) | Token::Int(_) | Token::Float(_) => quoted(&self.source[span]),
            Token::String(symbol) => {
                // The delimiters as written, the content decoded.
                let raw = &self.source[span];
                let delimiter = match raw[0] {
                    b'[' => raw[1..].iter().position(|c| *c == b'[').map_or(1, |i| i + 2),
                    _ => 1,
                };
                let content = self.symbols.bytes(symbol);
                quoted(&[&raw[..delimiter], content, &raw[raw.len() - delimiter..]].concat())
            }
            other => other.describe().into_bytes(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.position).copied()
    }

    fn peek_at(&self, offset: usize) -> Option<u8> {
        self.source.get(self.position + offset).copied()
    }

    /// Takes the next byte if it is `byte`.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    /// Takes a line end: one or two characters.
    fn take_newline(&mut self) {
        let first = self.source[self.position];
        self.position += 1;
        if let Some(second @ (b'\n' | b'\r')) = self.peek()
            && second != first
        {
            self.position += 1;
        }
        self.line += 1;
    }

    /// The next token.
    pub fn next_token(&mut self) -> Result<Token, SyntaxError> {
        loop {
            let Some(byte) = self.peek() else {
                self.token_start = self.position;
                return Ok(Token::EndOfSource);
            };
            if CLASS[byte as usize] & SPACE != 0 {
                self.position += 1;
                continue;
            }
            self.token_start = self.position;
            if CLASS[byte as usize] & NAME_START != 0 {
                return Ok(self.name());
            }
            match byte {
                b'\n' | b'\r' => {
                    self.take_newline();
                    continue;
                }
                b'-' if self.peek_at(1) == Some(b'-') => {
                    self.skip_comment()?;
                    continue;
                }
                b'[' => return self.bracket(),
                b'"' | b'\'' => return self.string(byte),
                b'0'..=b'9' => return self.numeral(),
                b'.' if is(DIGIT, self.peek_at(1)) => return self.numeral(),
                _ => {}
            }
            self.position += 1;
            return Ok(match byte {
                b'=' if self.take(b'=') => Token::Equal,
                b'<' if self.take(b'=') => Token::LessEqual,
                b'<' if self.take(b'<') => Token::ShiftLeft,
                b'>' if self.take(b'=') => Token::GreaterEqual,
                b'>' if self.take(b'>') => Token::ShiftRight,
                b'/' if self.take(b'/') => Token::FloorDiv,
                b'~' if self.take(b'=') => Token::NotEqual,
                b':' if self.take(b':') => Token::DoubleColon,
                b'.' if self.take(b'.') => {
                    if self.take(b'.') {
                        Token::Dots
                    } else {
                        Token::Concat
                    }
                }
                other => Token::Character(other),
            });
        }
    }

    fn name(&mut self) -> Token {
        let start = self.position;
        while is(NAME, self.peek()) {
            self.position += 1;
        }
        let symbol = self.symbols.intern(&self.source[start..self.position]);
        match RESERVED.get(symbol.0 as usize) {
            Some((_, token)) => *token,
            None => Token::Name(symbol),
        }
    }

    fn numeral(&mut self) -> Result<Token, SyntaxError> {
        let start = self.position;
        let mut int = 0i64;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            int = int.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
            self.position += 1;
        }
        let plain = !is(NAME, self.peek()) && self.peek() != Some(b'.');
        // Eighteen digits always fit.
        if plain && self.position - start <= 18 {
            return Ok(Token::Int(int));
        }
        self.position = start;
        let hexadecimal = self.peek() == Some(b'0') && matches!(self.peek_at(1), Some(b'x' | b'X'));
        if hexadecimal {
            self.position += 2;
        }
        let exponent = if hexadecimal { b'p' } else { b'e' };
        while let Some(byte) = self.peek() {
            if byte | 32 == exponent {
                self.position += 1;
                if matches!(self.peek(), Some(b'+' | b'-')) {
                    self.position += 1;
                }
            } else if CLASS[byte as usize] & HEXADECIMAL != 0 || byte == b'.' {
                self.position += 1;
            } else {
                break;
            }
        }
        if is(NAME_START, self.peek()) {
            self.position += 1; // a numeral that touches a letter is none
        }
        let text = &self.source[start..self.position];
        match number::parse(text) {
            Some(value) if value.is_int() => Ok(Token::Int(value.as_int())),
            Some(value) => Ok(Token::Float(value.as_float())),
            None => Err(self.error("malformed number", Near::Quoted(text))),
        }
    }

    /// At `[`: a long string or just a bracket.
    fn bracket(&mut self) -> Result<Token, SyntaxError> {
        match self.long_bracket(b'[') {
            Some(level) => Ok(Token::String(self.long_string(level, "string")?)),
            None if self.peek_at(1) == Some(b'=') => {
                let equals = self.source[self.position + 1..].iter().take_while(|c| **c == b'=').count();
                let text = &self.source[self.position..self.position + 1 + equals];
                Err(self.error("invalid long string delimiter", Near::Quoted(text)))
            }
            None => {
                self.position += 1;
                Ok(Token::Character(b'['))
            }
        }
    }

    /// The level of the long bracket (`[==[` or `]==]`) that starts here, if one does.
    fn long_bracket(&self, bracket: u8) -> Option<usize> {
        let rest = &self.source[self.position + 1..];
        let level = rest.iter().take_while(|c| **c == b'=').count();
        (rest.get(level) == Some(&bracket)).then_some(level)
    }

    fn skip_comment(&mut self) -> Result<(), SyntaxError> {
        self.position += 2;
        if self.peek() == Some(b'[')
            && let Some(level) = self.long_bracket(b'[')
        {
            self.long_text(level, "comment")?;
            return Ok(());
        }
        let rest = &self.source[self.position..];
        self.position += rest.iter().position(|c| matches!(c, b'\n' | b'\r')).unwrap_or(rest.len());
        Ok(())
    }

    fn long_string(&mut self, level: usize, what: &str) -> Result<Symbol, SyntaxError> {
        let content = self.long_text(level, what)?;
        let text = &self.source[content];
        if !text.contains(&b'\r') {
            return Ok(self.symbols.intern(text));
        }
        // Every line end counts as one `\n`.
        let mut decoded = Vec::with_capacity(text.len());
        let mut i = 0;
        while i < text.len() {
            let byte = text[i];
            i += 1;
            if matches!(byte, b'\n' | b'\r') {
                if text.get(i).is_some_and(|c| matches!(c, b'\n' | b'\r') && *c != byte) {
                    i += 1;
                }
                decoded.push(b'\n');
            } else {
                decoded.push(byte);
            }
        }
        Ok(self.symbols.intern(&decoded))
    }

    /// Skips a long text and says where its content lies; a line end right behind the opening bracket is left out.
    fn long_text(&mut self, level: usize, what: &str) -> Result<std::ops::Range<usize>, SyntaxError> {
        let line = self.line;
        self.position += level + 2;
        if matches!(self.peek(), Some(b'\n' | b'\r')) {
            self.take_newline();
        }
        let start = self.position;
        loop {
            match self.peek() {
                None => {
                    let message = format!("unfinished long {what} (starting at line {line})");
                    return Err(self.error(&message, Near::Plain(b"<eof>")));
                }
                Some(b']') => {
                    if self.long_bracket(b']') == Some(level) {
                        let end = self.position;
                        self.position += level + 2;
                        return Ok(start..end);
                    }
                    self.position += 1;
                }
                Some(b'\n' | b'\r') => self.take_newline(),
                Some(_) => self.position += 1,
            }
        }
    }

    fn string(&mut self, delimiter: u8) -> Result<Token, SyntaxError> {
        self.position += 1;
        let start = self.position;
        let rest = &self.source[start..];
        let plain = rest.iter().position(|c| *c == delimiter || matches!(c, b'\\' | b'\n' | b'\r'));
        let plain = plain.unwrap_or(rest.len());
        self.position += plain;
        if self.peek() == Some(delimiter) {
            self.position += 1;
            return Ok(Token::String(self.symbols.intern(&self.source[start..start + plain])));
        }
        let mut decoded = std::mem::take(&mut self.buffer);
        decoded.clear();
        decoded.push(delimiter); // messages quote it
        decoded.extend_from_slice(&self.source[start..self.position]);
        loop {
            match self.peek() {
                None => return Err(self.error("unfinished string", Near::Plain(b"<eof>"))),
                Some(b'\n' | b'\r') => return Err(self.error("unfinished string", Near::Quoted(&decoded))),
                Some(b'\\') => self.escape(&mut decoded)?,
                Some(byte) => {
                    self.position += 1;
                    if byte == delimiter {
                        break;
                    }
                    decoded.push(byte);
                }
            }
        }
        let symbol = self.symbols.intern(&decoded[1..]);
        self.buffer = decoded;
        Ok(Token::String(symbol))
    }

    /// At a backslash: appends what the escape sequence stands for.
    fn escape(&mut self, decoded: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let backslash = self.position;
        self.position += 1;
        let Some(byte) = self.peek() else { return Ok(()) }; // the string is unfinished: the caller sees it
        let simple = match byte {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'"' | b'\'' => byte,
            b'\n' | b'\r' => {
                self.take_newline();
                decoded.push(b'\n');
                return Ok(());
            }
            b'x' => {
                let high = self.hexadecimal_digit(backslash, decoded)?;
                let low = self.hexadecimal_digit(backslash, decoded)?;
                (high * 16 + low) as u8
            }
            b'z' => {
                self.position += 1;
                while let Some(space) = self.peek() {
                    match space {
                        b'\n' | b'\r' => self.take_newline(),
                        b' ' | b'\t' | 11 | 12 => self.position += 1,
                        _ => break,
                    }
                }
                return Ok(());
            }
            b'u' => return self.utf8_escape(backslash, decoded),
            b'0'..=b'9' => {
                let mut value = 0;
                for _ in 0..3 {
                    match self.peek() {
                        Some(digit @ b'0'..=b'9') => {
                            value = value * 10 + u32::from(digit - b'0');
                            self.position += 1;
                        }
                        _ => break,
                    }
                }
                if value > 255 {
                    return Err(self.escape_error("decimal escape too large", backslash, decoded));
                }
                decoded.push(value as u8);
                return Ok(());
            }
            _ => return Err(self.escape_error("invalid escape sequence", backslash, decoded)),
        };
        self.position += 1;
        decoded.push(simple);
        Ok(())
    }

    /// Steps on to the next byte, which must be a hexadecimal digit, and stays there.
    fn hexadecimal_digit(&mut self, backslash: usize, decoded: &[u8]) -> Result<u32, SyntaxError> {
        self.position += 1;
        match self.peek().and_then(|c| (c as char).to_digit(16)) {
            Some(digit) => Ok(digit),
            None => Err(self.escape_error("hexadecimal digit expected", backslash, decoded)),
        }
    }

    fn utf8_escape(&mut self, backslash: usize, decoded: &mut Vec<u8>) -> Result<(), SyntaxError> {
        self.position += 1;
        if self.peek() != Some(b'{') {
            return Err(self.escape_error("missing '{'", backslash, decoded));
        }
        let mut value = self.hexadecimal_digit(backslash, decoded)?;
        self.position += 1;
        while let Some(digit) = self.peek().and_then(|c| (c as char).to_digit(16)) {
            if value > 0x7FFF_FFFF >> 4 {
                return Err(self.escape_error("UTF-8 value too large", backslash, decoded));
            }
            value = value << 4 | digit;
            self.position += 1;
        }
        if self.peek() != Some(b'}') {
            return Err(self.escape_error("missing '}'", backslash, decoded));
        }
        self.position += 1;
        push_utf8(decoded, value);
        Ok(())
    }

    /// Quotes the string so far and the sequence as written, up to and including the byte that broke it.
    fn escape_error(&self, message: &str, backslash: usize, decoded: &[u8]) -> SyntaxError {
        let end = (self.position + 1).min(self.source.len());
        let text = [decoded, &self.source[backslash..end]].concat();
        self.error(message, Near::Quoted(&text))
    }
}

/// Appends a number below 2^31 in UTF-8 as it was first defined, with up to six bytes.
fn push_utf8(out: &mut Vec<u8>, value: u32) {
    if value < 0x80 {
        out.push(value as u8);
        return;
    }
    // Continuation bytes, six bits each, until the rest fits behind the length marks of the first byte.
    let mut bytes = [0u8; 6];
    let mut at = bytes.len();
    let mut rest = value;
    let mut room = 0x3F;
    while rest > room {
        at -= 1;
        bytes[at] = 0x80 | (rest & 0x3F) as u8;
        rest >>= 6;
        room >>= 1;
    }
    at -= 1;
    bytes[at] = (!room << 1) as u8 | rest as u8;
    out.extend_from_slice(&bytes[at..]);
}
