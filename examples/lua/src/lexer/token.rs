//! Tokens, and how messages name them.

use super::symbols::Symbol;

/// One token.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)] // each is what it is called
pub enum Token {
    // The reserved words, in the order of `RESERVED`.
    And,
    Break,
    Do,
    Else,
    ElseIf,
    End,
    False,
    For,
    Function,
    Goto,
    If,
    In,
    Local,
    Nil,
    Not,
    Or,
    Repeat,
    Return,
    Then,
    True,
    Until,
    While,
    // Operators of several characters.
    FloorDiv,
    Concat,
    Dots,
    Equal,
    GreaterEqual,
    LessEqual,
    NotEqual,
    ShiftLeft,
    ShiftRight,
    DoubleColon,
    /// The end of the source.
    EndOfSource,
    /// Any other character: an operator, a delimiter, or one that no program can contain.
    Character(u8),
    Name(Symbol),
    String(Symbol),
    Int(i64),
    Float(f64),
}

/// The reserved words with their tokens.
pub const RESERVED: [(&str, Token); 22] = [
    ("and", Token::And),
    ("break", Token::Break),
    ("do", Token::Do),
    ("else", Token::Else),
    ("elseif", Token::ElseIf),
    ("end", Token::End),
    ("false", Token::False),
    ("for", Token::For),
    ("function", Token::Function),
    ("goto", Token::Goto),
    ("if", Token::If),
    ("in", Token::In),
    ("local", Token::Local),
    ("nil", Token::Nil),
    ("not", Token::Not),
    ("or", Token::Or),
    ("repeat", Token::Repeat),
    ("return", Token::Return),
    ("then", Token::Then),
    ("true", Token::True),
    ("until", Token::Until),
    ("while", Token::While),
];

impl Token {
    /// The token as messages name it when its text is not at hand: `'while'`, `<eof>`, `<name>`.
    pub fn describe(self) -> String {
        let text = match self {
            Token::FloorDiv => "//",
            Token::Concat => "..",
            Token::Dots => "...",
            Token::Equal => "==",
            Token::GreaterEqual => ">=",
            Token::LessEqual => "<=",
            Token::NotEqual => "~=",
            Token::ShiftLeft => "<<",
            Token::ShiftRight => ">>",
            Token::DoubleColon => "::",
            Token::EndOfSource => return "<eof>".to_owned(),
            Token::Name(_) => return "<name>".to_owned(),
            Token::String(_) => return "<string>".to_owned(),
            Token::Int(_) => return "<integer>".to_owned(),
            Token::Float(_) => return "<number>".to_owned(),
            Token::Character(c @ 32..=126) => return format!("'{}'", c as char),
            Token::Character(c) => return format!("'<\\{c}>'"),
            word => RESERVED.iter().find(|(_, token)| *token == word).map_or("?", |(text, _)| text),
        };
        format!("'{text}'")
    }
}
