//! From text to tree: recursive descent.

use super::words::{Class, Word, words};
use super::{Block, Expression, Function, Item, Statement};
use std::fmt;

/// What is wrong with a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// Where.
    pub line: usize,
    /// What.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

type Parse<T> = Result<T, ParseError>;

/// Operators by how tightly they bind to their left, and to their right.
const BINARY: &[(&str, u8, u8)] = &[
    ("or", 1, 1),
    ("and", 2, 2),
    ("<", 3, 3),
    (">", 3, 3),
    ("<=", 3, 3),
    (">=", 3, 3),
    ("~=", 3, 3),
    ("==", 3, 3),
    ("|", 4, 4),
    ("~", 5, 5),
    ("&", 6, 6),
    ("<<", 7, 7),
    (">>", 7, 7),
    ("..", 9, 8),
    ("+", 10, 10),
    ("-", 10, 10),
    ("*", 11, 11),
    ("/", 11, 11),
    ("//", 11, 11),
    ("%", 11, 11),
    ("^", 14, 13),
];
const UNARY: u8 = 12;
/// Nesting that is read: more than the programs that are shrunk have, less than the native stack bears.
const MAX_DEPTH: usize = 150;

struct Parser {
    words: Vec<Word>,
    at: usize,
    depth: usize,
}

/// Reads a Lua text.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(text: &str) -> Result<Block, ParseError> {
    let mut parser = Parser { words: words(text)?, at: 0, depth: 0 };
    let block = parser.block()?;
    match parser.word().class {
        Class::End => Ok(block),
        _ => Err(parser.expected("a statement")),
    }
}

impl Parser {
    fn word(&self) -> &Word {
        &self.words[self.at]
    }
    fn expected(&self, what: &str) -> ParseError {
        let word = self.word();
        ParseError { line: word.line, what: format!("expected {what}, found '{}'", word.text) }
    }
    /// Whether the next word is this keyword or symbol.
    fn is(&self, text: &str) -> bool {
        matches!(self.word().class, Class::Keyword | Class::Symbol) && self.word().text == text
    }
    fn accept(&mut self, text: &str) -> bool {
        let is = self.is(text);
        self.at += usize::from(is);
        is
    }
    fn expect(&mut self, text: &str) -> Parse<()> {
        if self.accept(text) { Ok(()) } else { Err(self.expected(text)) }
    }
    fn name(&mut self) -> Parse<String> {
        if self.word().class != Class::Name {
            return Err(self.expected("a name"));
        }
        self.at += 1;
        Ok(self.words[self.at - 1].text.clone())
    }
    /// Things with commas between them.
    fn list<T>(&mut self, one: fn(&mut Parser) -> Parse<T>) -> Parse<Vec<T>> {
        let mut list = vec![one(self)?];
        while self.accept(",") {
            list.push(one(self)?);
        }
        Ok(list)
    }
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Parser) -> Parse<T>) -> Parse<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.expected("less nesting"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn block(&mut self) -> Parse<Block> {
        self.nested(|parser| {
            let mut block = Block::new();
            loop {
                if parser.accept(";") {
                    continue;
                }
                let ends = ["end", "else", "elseif", "until"].iter().any(|word| parser.is(word));
                if ends || parser.word().class == Class::End {
                    return Ok(block);
                }
                let statement = parser.statement()?;
                let is_last = matches!(statement, Statement::Return(_));
                block.push(statement);
                if is_last {
                    parser.accept(";");
                    return Ok(block);
                }
            }
        })
    }
    fn block_to(&mut self, end: &str) -> Parse<Block> {
        let block = self.block()?;
        self.expect(end)?;
        Ok(block)
    }

    fn statement(&mut self) -> Parse<Statement> {
        if self.accept("if") {
            return self.branches();
        }
        if self.accept("while") {
            let condition = self.expression()?;
            self.expect("do")?;
            return Ok(Statement::While(condition, self.block_to("end")?));
        }
        if self.accept("do") {
            return Ok(Statement::Do(self.block_to("end")?));
        }
        if self.accept("for") {
            return self.loop_over();
        }
        if self.accept("repeat") {
            let block = self.block_to("until")?;
            return Ok(Statement::Repeat(block, self.expression()?));
        }
        if self.accept("function") {
            return self.function_statement();
        }
        if self.accept("local") {
            return self.local();
        }
        if self.accept("::") {
            let name = self.name()?;
            self.expect("::")?;
            return Ok(Statement::Label(name));
        }
        if self.accept("return") {
            let ends = [";", "end", "else", "elseif", "until"].iter().any(|word| self.is(word));
            let is_empty = ends || self.word().class == Class::End;
            return Ok(Statement::Return(if is_empty { Vec::new() } else { self.list(Parser::expression)? }));
        }
        if self.accept("break") {
            return Ok(Statement::Break);
        }
        if self.accept("goto") {
            return Ok(Statement::Goto(self.name()?));
        }
        let first = self.suffixed()?;
        if self.is("=") || self.is(",") {
            let mut targets = vec![first];
            while self.accept(",") {
                targets.push(self.suffixed()?);
            }
            self.expect("=")?;
            return Ok(Statement::Assign(targets, self.list(Parser::expression)?));
        }
        match first {
            Expression::Call(..) | Expression::Method(..) => Ok(Statement::Call(first)),
            _ => Err(self.expected("a statement")),
        }
    }

    fn branches(&mut self) -> Parse<Statement> {
        let mut clauses = Vec::new();
        loop {
            let condition = self.expression()?;
            self.expect("then")?;
            clauses.push((condition, self.block()?));
            if self.accept("elseif") {
                continue;
            }
            let otherwise = if self.accept("else") { Some(self.block()?) } else { None };
            self.expect("end")?;
            return Ok(Statement::If(clauses, otherwise));
        }
    }

    fn loop_over(&mut self) -> Parse<Statement> {
        let mut names = self.list(Parser::name)?;
        let is_numeric = self.accept("=");
        if !is_numeric {
            self.expect("in")?;
        }
        let values = self.list(Parser::expression)?;
        self.expect("do")?;
        let block = self.block_to("end")?;
        if !is_numeric {
            return Ok(Statement::GenericFor(names, values, block));
        }
        match (names.pop(), names.is_empty()) {
            (Some(name), true) => Ok(Statement::NumericFor(name, values, block)),
            _ => Err(self.expected("one name for '='")),
        }
    }

    /// `function a.b:c() end` is `a.b.c = function(self) end`.
    fn function_statement(&mut self) -> Parse<Statement> {
        let mut target = Expression::Name(self.name()?);
        while self.accept(".") {
            target = Expression::Field(Box::new(target), self.name()?);
        }
        let is_method = self.accept(":");
        if is_method {
            target = Expression::Field(Box::new(target), self.name()?);
        }
        let mut function = self.function()?;
        if is_method {
            function.parameters.insert(0, "self".to_owned());
        }
        Ok(Statement::Assign(vec![target], vec![Expression::Function(Box::new(function))]))
    }

    fn local(&mut self) -> Parse<Statement> {
        if self.accept("function") {
            let name = self.name()?;
            return Ok(Statement::LocalFunction(name, self.function()?));
        }
        let names = self.list(|parser| {
            let mut name = parser.name()?;
            if parser.accept("<") {
                name = format!("{name} <{}>", parser.name()?);
                parser.expect(">")?;
            }
            Ok(name)
        })?;
        let values = if self.accept("=") { self.list(Parser::expression)? } else { Vec::new() };
        Ok(Statement::Local(names, values))
    }

    fn function(&mut self) -> Parse<Function> {
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.accept(")") {
            parameters.push(if self.accept("...") { "...".to_owned() } else { self.name()? });
            if !self.accept(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(Function { parameters, body: self.block_to("end")? })
    }

    fn expression(&mut self) -> Parse<Expression> {
        self.operation(0)
    }

    /// An expression whose operators bind more tightly than `limit`.
    fn operation(&mut self, limit: u8) -> Parse<Expression> {
        self.nested(|parser| {
            let unary = ["not", "-", "#", "~"].into_iter().find(|operator| parser.accept(operator));
            let mut left = match unary {
                Some(operator) => Expression::Unary(operator.to_owned(), Box::new(parser.operation(UNARY)?)),
                None => parser.simple()?,
            };
            while let Some(&(operator, to_left, to_right)) =
                BINARY.iter().find(|(operator, to_left, _)| parser.is(operator) && *to_left > limit)
            {
                debug_assert!(to_left > limit);
                parser.at += 1;
                let right = parser.operation(to_right)?;
                left = Expression::Binary(operator.to_owned(), Box::new(left), Box::new(right));
            }
            Ok(left)
        })
    }

    fn simple(&mut self) -> Parse<Expression> {
        let word = self.word().clone();
        let is_literal = word.class == Class::Constant
            || ["nil", "true", "false", "..."].iter().any(|literal| self.is(literal));
        if is_literal {
            self.at += 1;
            return Ok(Expression::Literal(word.text));
        }
        if self.accept("function") {
            return Ok(Expression::Function(Box::new(self.function()?)));
        }
        if self.is("{") {
            return self.table();
        }
        self.suffixed()
    }

    fn suffixed(&mut self) -> Parse<Expression> {
        let mut object = if self.accept("(") {
            let inner = self.expression()?;
            self.expect(")")?;
            if inner.is_multiple() { Expression::Parentheses(Box::new(inner)) } else { inner }
        } else {
            Expression::Name(self.name()?)
        };
        loop {
            if self.accept(".") {
                object = Expression::Field(Box::new(object), self.name()?);
            } else if self.accept("[") {
                let key = self.expression()?;
                self.expect("]")?;
                object = Expression::Index(Box::new(object), Box::new(key));
            } else if self.accept(":") {
                let name = self.name()?;
                object = Expression::Method(Box::new(object), name, self.arguments()?);
            } else if self.is("(") || self.is("{") || self.is_text() {
                object = Expression::Call(Box::new(object), self.arguments()?);
            } else {
                return Ok(object);
            }
        }
    }

    fn is_text(&self) -> bool {
        self.word().class == Class::Constant && self.word().text.starts_with(['"', '\'', '['])
    }

    fn arguments(&mut self) -> Parse<Vec<Expression>> {
        if self.is("{") {
            return Ok(vec![self.table()?]);
        }
        if self.is_text() {
            return Ok(vec![self.simple()?]);
        }
        self.expect("(")?;
        if self.accept(")") {
            return Ok(Vec::new());
        }
        let arguments = self.list(Parser::expression)?;
        self.expect(")")?;
        Ok(arguments)
    }

    fn table(&mut self) -> Parse<Expression> {
        self.expect("{")?;
        let mut items = Vec::new();
        while !self.accept("}") {
            let is_named = self.word().class == Class::Name
                && self
                    .words
                    .get(self.at + 1)
                    .is_some_and(|next| next.class == Class::Symbol && next.text == "=");
            items.push(if is_named {
                let name = self.name()?;
                self.expect("=")?;
                Item::Named(name, self.expression()?)
            } else if self.accept("[") {
                let key = self.expression()?;
                self.expect("]")?;
                self.expect("=")?;
                Item::Keyed(key, self.expression()?)
            } else {
                Item::Positional(self.expression()?)
            });
            if !self.accept(",") && !self.accept(";") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Expression::Table(items))
    }
}
