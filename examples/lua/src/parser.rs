//! From tokens to the syntax tree: recursive descent, one token of lookahead (two in table constructors).
//!
//! The order in which tokens are taken, names resolved and rules checked is that of Lua's own compiler, so that of several
//! errors the same one is found, at the same token. Recursion is bounded: no source, however nested, overflows the
//! native stack here or in the passes over the tree.

mod expression;
mod fold;
mod statement;

use crate::ast::*;
use crate::lexer::symbols::Symbol;
use crate::lexer::token::Token;
use crate::lexer::{Lexer, Near, SyntaxError};
use crate::resolve::{ScopeError, Scopes};

/// Nesting that the parser accepts. Lua allows 200 levels of C calls, of which `load` and its callers take some: in a
/// plain script, three.
const MAX_LEVELS: u32 = 197;

/// Functions of `debug` for which a captured variable is a thing of its own. A chunk that mentions one gets no variables captured by
/// value.
const CHANGES_VARIABLES: &[&[u8]] = &[b"upvalueid", b"upvaluejoin", b"setupvalue", b"setlocal"];
/// Functions of `debug` that look into frames or follow their steps.
pub const INSPECTS_FRAMES: &[&[u8]] = &[b"getlocal", b"setlocal", b"sethook"];

type Parse<T> = Result<T, SyntaxError>;

struct Parser<'s> {
    lexer: Lexer<'s>,
    token: Token,
    /// Where `token` lies in the source.
    span: std::ops::Range<usize>,
    lookahead: Option<(Token, std::ops::Range<usize>)>,
    /// Line of the last token taken.
    last_line: u32,
    levels: u32,
    scopes: Scopes,
    environment: Symbol,
    is_vararg: bool,
    /// The latest expression that came from the name of a compile-time constant: assigning to it needs its own message.
    constant_name: Option<(ExpressionId, Symbol)>,
    /// Where to stop with an error: behind the token that follows this expression.
    stop_behind: Option<(ExpressionId, &'s str)>,
    expressions: Vec<Expression>,
    lists: Vec<ExpressionId>,
    items: Vec<Item>,
    statements: Vec<Statement>,
    clauses: Vec<Clause>,
    functions: Vec<Option<FunctionNode>>,
    /// Lists that are being collected; each moves to its vector when it is complete, so that its entries stand together.
    open_list: Vec<ExpressionId>,
    open_items: Vec<Item>,
    open_statements: Vec<Statement>,
    open_clauses: Vec<Clause>,
}

/// Parses a chunk.
pub fn parse(source: &[u8], chunk_name: &str) -> Result<Ast, SyntaxError> {
    let mut parser = Parser::new(source, chunk_name)?;
    parser.main_function()?;
    let mentions = |names: &[&[u8]]| names.iter().any(|name| parser.lexer.symbols.contains(name));
    if mentions(CHANGES_VARIABLES) {
        parser.scopes.assign_captured();
    }
    Ok(Ast {
        inspects_frames: mentions(INSPECTS_FRAMES),
        symbols: parser.lexer.symbols,
        expressions: parser.expressions,
        lists: parser.lists,
        items: parser.items,
        statements: parser.statements,
        clauses: parser.clauses,
        functions: parser.functions,
        variables: parser.scopes.variables,
        labels: parser.scopes.labels,
        gotos: parser.scopes.gotos,
    })
}

/// The error that only the code generator finds: when the expression is put into a register, which Lua does as soon as the
/// token behind it has been taken. The tree does not know where that is, so the source is parsed again up to there.
pub fn error_behind<'s>(
    source: &'s [u8],
    chunk_name: &str,
    expression: ExpressionId,
    message: &'s str,
) -> SyntaxError {
    let mut parser = match Parser::new(source, chunk_name) {
        Ok(parser) => parser,
        Err(error) => return error,
    };
    parser.stop_behind = Some((expression, message));
    parser.main_function().err().unwrap_or_else(|| parser.error(message))
}

impl<'s> Parser<'s> {
    fn new(source: &'s [u8], chunk_name: &str) -> Parse<Parser<'s>> {
        let mut lexer = Lexer::new(source, chunk_name);
        if source.len() > i32::MAX as usize {
            return Err(lexer.error("chunk too large", Near::Nothing));
        }
        let environment = lexer.symbols.intern(b"_ENV");
        // A token of Lua is a few bytes long: a vector that starts at a fraction of the source's length seldom has to grow.
        let guess = source.len() / 8;
        Ok(Parser {
            lexer,
            token: Token::EndOfSource,
            span: 0..0,
            lookahead: None,
            last_line: 1,
            levels: 0,
            scopes: Scopes::new(environment),
            environment,
            is_vararg: true,
            constant_name: None,
            stop_behind: None,
            expressions: Vec::with_capacity(guess),
            lists: Vec::with_capacity(guess / 2),
            items: Vec::new(),
            statements: Vec::with_capacity(guess / 4),
            clauses: Vec::new(),
            functions: vec![None],
            open_list: Vec::new(),
            open_items: Vec::new(),
            open_statements: Vec::new(),
            open_clauses: Vec::new(),
        })
    }
}

impl Parser<'_> {
    fn main_function(&mut self) -> Parse<()> {
        self.scopes.open_function(0);
        self.advance()?;
        let body = self.statements_until_end()?;
        self.check(Token::EndOfSource)?;
        let upvalues = self.close_function()?;
        self.functions[0] = Some(FunctionNode {
            parameters: Run::default(),
            is_vararg: true,
            body,
            upvalues,
            line_defined: 0,
            last_line: 0,
        });
        Ok(())
    }

    fn close_function(&mut self) -> Parse<Vec<Upvalue>> {
        let result = self.scopes.close_function(&self.lexer.symbols);
        self.scoped(result)
    }

    /// Takes the current token and reads the next one.
    fn advance(&mut self) -> Parse<()> {
        self.last_line = self.lexer.line;
        match self.lookahead.take() {
            Some((token, span)) => {
                self.token = token;
                self.span = span;
            }
            None => {
                self.token = self.lexer.next_token()?;
                self.span = self.lexer.token_span();
            }
        }
        match self.stop_behind {
            Some((expression, message)) if self.expressions.len() > expression.0 as usize => {
                Err(self.error(message))
            }
            _ => Ok(()),
        }
    }

    /// The token behind the current one.
    fn look_ahead(&mut self) -> Parse<Token> {
        let token = self.lexer.next_token()?;
        self.lookahead = Some((token, self.lexer.token_span()));
        Ok(token)
    }

    /// The current line.
    fn line(&self) -> u32 {
        self.lexer.line
    }

    /// An error at the current token.
    fn error(&self, message: &str) -> SyntaxError {
        if self.token == Token::Character(0) {
            return self.lexer.error(message, Near::Nothing); // Lua takes the number of this token for none
        }
        self.lexer.error(message, Near::Plain(&self.lexer.token_text(self.token, self.span.clone())))
    }

    fn scoped<T>(&self, result: Result<T, ScopeError>) -> Parse<T> {
        result.map_err(|error| match error {
            ScopeError::Semantic(message) => self.lexer.error(&message, Near::Nothing),
            ScopeError::Limit(message) => self.error(&message),
        })
    }

    fn is(&self, character: u8) -> bool {
        self.token == Token::Character(character)
    }

    /// Takes the current token if it is `token`.
    fn accept(&mut self, token: Token) -> Parse<bool> {
        let found = self.token == token;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn accept_character(&mut self, character: u8) -> Parse<bool> {
        self.accept(Token::Character(character))
    }

    /// Fails unless the current token is `token`.
    fn check(&self, token: Token) -> Parse<()> {
        if self.token == token {
            return Ok(());
        }
        Err(self.error(&format!("{} expected", token.describe())))
    }

    /// Takes the current token, which must be `token`.
    fn expect(&mut self, token: Token) -> Parse<()> {
        self.check(token)?;
        self.advance()
    }

    /// Takes the current token, which must be `close`, the counterpart of an `open` at `line`.
    fn expect_match(&mut self, close: Token, open: Token, line: u32) -> Parse<()> {
        if self.token != close && line != self.line() {
            let (close, open) = (close.describe(), open.describe());
            return Err(self.error(&format!("{close} expected (to close {open} at line {line})")));
        }
        self.expect(close)
    }

    fn expect_name(&mut self) -> Parse<Symbol> {
        match self.token {
            Token::Name(symbol) => {
                self.advance()?;
                Ok(symbol)
            }
            _ => Err(self.error("<name> expected")),
        }
    }

    /// Goes one level deeper, until [`Parser::leave`].
    fn enter(&mut self) -> Parse<()> {
        self.levels += 1;
        if self.levels > MAX_LEVELS {
            // The position is missing in Lua's message, too.
            return Err(SyntaxError { message: b"C stack overflow".as_slice().into() });
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.levels -= 1;
    }

    fn push(&mut self, expression: Expression) -> ExpressionId {
        self.expressions.push(expression);
        ExpressionId(self.expressions.len() as u32 - 1)
    }

    fn get(&self, id: ExpressionId) -> Expression {
        self.expressions[id.0 as usize]
    }

    /// Completes the list that was begun when `open_list` had length `start`.
    fn finish_list(&mut self, start: usize) -> Run {
        move_run(&mut self.open_list, start, &mut self.lists)
    }
}

/// Moves everything from `start` on to the end of another vector.
fn move_run<T>(from: &mut Vec<T>, start: usize, to: &mut Vec<T>) -> Run {
    let run = Run { first: to.len() as u32, count: (from.len() - start) as u32 };
    to.extend(from.drain(start..));
    run
}
