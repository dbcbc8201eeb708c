//! A syntax tree of Lua, as written: what the shrinker takes apart.
//!
//! [`parse()`] reads any Lua 5.4 text, [`print()`] writes a tree out again; that gives the same program, apart from lines and
//! superfluous parentheses. Nothing is resolved, folded or checked: whether a tree is a program is for Lua to say.

mod parse;
mod print;
mod words;

pub use parse::{ParseError, parse};
pub use print::print;

/// Statements in a scope of their own.
pub type Block = Vec<Statement>;

/// A statement.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // each is what it is called
pub enum Statement {
    /// Names with their attributes.
    Local(Vec<String>, Vec<Expression>),
    LocalFunction(String, Function),
    Assign(Vec<Expression>, Vec<Expression>),
    Call(Expression),
    Do(Block),
    While(Expression, Block),
    Repeat(Block, Expression),
    /// Conditions with their blocks, and the block of `else`.
    If(Vec<(Expression, Block)>, Option<Block>),
    /// Start, limit and perhaps a step.
    NumericFor(String, Vec<Expression>, Block),
    GenericFor(Vec<String>, Vec<Expression>, Block),
    Return(Vec<Expression>),
    Break,
    Goto(String),
    Label(String),
}

/// An expression.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // each is what it is called
pub enum Expression {
    /// `nil`, `true`, a number, a string, `...`: as written.
    Literal(String),
    Name(String),
    Function(Box<Function>),
    Index(Box<Expression>, Box<Expression>),
    Field(Box<Expression>, String),
    Call(Box<Expression>, Vec<Expression>),
    Method(Box<Expression>, String, Vec<Expression>),
    Unary(String, Box<Expression>),
    Binary(String, Box<Expression>, Box<Expression>),
    Table(Vec<Item>),
    /// Around what would otherwise be several values.
    Parentheses(Box<Expression>),
}

/// An entry of a table constructor.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // each is what it is called
pub enum Item {
    Positional(Expression),
    Named(String, Expression),
    Keyed(Expression, Expression),
}

/// A function.
#[derive(Clone, PartialEq, Debug)]
pub struct Function {
    /// Names, and `...` at the end of a variadic one's.
    pub parameters: Vec<String>,
    /// What it does.
    pub body: Block,
}

impl Expression {
    /// A literal.
    pub fn literal(text: &str) -> Expression {
        Expression::Literal(text.to_owned())
    }
    /// Whether it can be a statement.
    pub fn is_call(&self) -> bool {
        matches!(self, Expression::Call(..) | Expression::Method(..))
    }
    /// Whether it stands for as many values as its context wants.
    pub fn is_multiple(&self) -> bool {
        match self {
            Expression::Call(..) | Expression::Method(..) => true,
            Expression::Literal(text) => text == "...",
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
