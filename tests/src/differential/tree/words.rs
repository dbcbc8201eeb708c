//! The words of a Lua text.

use super::ParseError;

/// A word, and the line it stands in.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Word {
    pub class: Class,
    pub text: String,
    pub line: usize,
}

/// What kind of word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Name,
    Keyword,
    /// A number or a string.
    Constant,
    Symbol,
    End,
}

const KEYWORDS: &[&str] = &[
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
    "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// Longer ones first.
const SYMBOLS: &[&str] = &[
    "...", "<<", ">>", "//", "==", "~=", "<=", ">=", "::", "..", "+", "-", "*", "/", "%", "^", "#", "&", "~",
    "|", "<", ">", "=", "(", ")", "{", "}", "[", "]", ";", ":", ",", ".",
];

/// Splits a text into words; the last one is [`Class::End`].
pub(super) fn words(text: &str) -> Result<Vec<Word>, ParseError> {
    let mut words = Vec::new();
    let (mut at, mut line) = (0, 1);
    let bytes = text.as_bytes();
    if bytes.starts_with(b"#") {
        at = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    }
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        let error = |what: &str| ParseError { line, what: what.to_owned() };
        let (class, length) = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => {
                line += usize::from(byte == b'\n');
                at += 1;
                continue;
            }
            b'-' if rest.starts_with("--") => {
                let length = match long_bracket(&rest[2..]) {
                    Some(length) => 2 + length.ok_or_else(|| error("unfinished comment"))?,
                    None => rest.find('\n').unwrap_or(rest.len()),
                };
                line += rest[..length].matches('\n').count();
                at += length;
                continue;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let length =
                    rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
                let class = if KEYWORDS.contains(&&rest[..length]) { Class::Keyword } else { Class::Name };
                (class, length)
            }
            b'0'..=b'9' => (Class::Constant, number(rest)),
            b'.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => (Class::Constant, number(rest)),
            b'"' | b'\'' => (Class::Constant, quoted(rest).ok_or_else(|| error("unfinished string"))?),
            _ => match long_bracket(rest) {
                Some(length) => (Class::Constant, length.ok_or_else(|| error("unfinished string"))?),
                None => {
                    let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
                    (Class::Symbol, symbol.ok_or_else(|| error("a character that is no part of Lua"))?.len())
                }
            },
        };
        words.push(Word { class, text: rest[..length].to_owned(), line });
        line += rest[..length].matches('\n').count();
        at += length;
    }
    words.push(Word { class: Class::End, text: "<end>".to_owned(), line });
    Ok(words)
}

/// Length of a number.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let exponents: &[u8] = if text.starts_with("0x") || text.starts_with("0X") { b"pP" } else { b"eE" };
    let mut length = 0;
    while let Some(byte) = bytes.get(length) {
        if exponents.contains(byte) && matches!(bytes.get(length + 1), Some(b'+' | b'-')) {
            length += 1;
        } else if !byte.is_ascii_alphanumeric() && *byte != b'.' {
            break;
        }
        length += 1;
    }
    length
}

/// Length of a quoted string.
fn quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            byte if *byte == bytes[0] => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Length of what stands between long brackets, brackets included; `Some(None)` if they are not closed.
fn long_bracket(text: &str) -> Option<Option<usize>> {
    let inner = text.strip_prefix('[')?;
    let level = inner.bytes().take_while(|&byte| byte == b'=').count();
    if inner.as_bytes().get(level) != Some(&b'[') {
        return None;
    }
    let close = format!("]{}]", "=".repeat(level));
    Some(text.find(&close).map(|start| start + close.len()))
}
