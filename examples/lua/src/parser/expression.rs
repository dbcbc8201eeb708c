//! Expressions.

use super::{Parse, Parser, fold, move_run};
use crate::ast::*;
use crate::lexer::token::Token;
use crate::resolve::Meaning;

/// How tightly unary operators bind.
const UNARY_PRIORITY: u8 = 12;

/// An operator between two operands.
#[derive(Clone, Copy)]
enum Infix {
    Binary(BinaryOperator),
    And,
    Or,
}

/// The operator that a token is, with its priorities to the left and to the right: a higher one on the right makes it
/// associate to the left.
fn infix(token: Token) -> Option<(Infix, u8, u8)> {
    use BinaryOperator::*;
    let (operator, left, right) = match token {
        Token::Or => return Some((Infix::Or, 1, 1)),
        Token::And => return Some((Infix::And, 2, 2)),
        Token::Equal => (Equal, 3, 3),
        Token::NotEqual => (NotEqual, 3, 3),
        Token::Character(b'<') => (Less, 3, 3),
        Token::LessEqual => (LessEqual, 3, 3),
        Token::Character(b'>') => (Greater, 3, 3),
        Token::GreaterEqual => (GreaterEqual, 3, 3),
        Token::Character(b'|') => (BitOr, 4, 4),
        Token::Character(b'~') => (BitXor, 5, 5),
        Token::Character(b'&') => (BitAnd, 6, 6),
        Token::ShiftLeft => (ShiftLeft, 7, 7),
        Token::ShiftRight => (ShiftRight, 7, 7),
        Token::Concat => (Concat, 9, 8),
        Token::Character(b'+') => (Add, 10, 10),
        Token::Character(b'-') => (Sub, 10, 10),
        Token::Character(b'*') => (Mul, 11, 11),
        Token::Character(b'%') => (Mod, 11, 11),
        Token::Character(b'/') => (Div, 11, 11),
        Token::FloorDiv => (FloorDiv, 11, 11),
        Token::Character(b'^') => (Pow, 14, 13),
        _ => return None,
    };
    Some((Infix::Binary(operator), left, right))
}

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Parse<ExpressionId> {
        self.operation(0)
    }

    /// One or more expressions.
    pub(super) fn expression_list(&mut self) -> Parse<Run> {
        let start = self.open_list.len();
        loop {
            let expression = self.expression()?;
            self.open_list.push(expression);
            if !self.accept_character(b',')? {
                return Ok(self.finish_list(start));
            }
            self.index_here(expression);
        }
    }

    /// An operand and all operators behind it that bind more tightly than `limit`.
    fn operation(&mut self, limit: u8) -> Parse<ExpressionId> {
        self.enter()?;
        let unary = match self.token {
            Token::Not => Some(UnaryOperator::Not),
            Token::Character(b'-') => Some(UnaryOperator::Negate),
            Token::Character(b'~') => Some(UnaryOperator::BitNot),
            Token::Character(b'#') => Some(UnaryOperator::Length),
            _ => None,
        };
        let mut left = match unary {
            None => self.simple_expression()?,
            Some(operator) => {
                let line = self.line();
                self.advance()?;
                let operand = self.operation(UNARY_PRIORITY)?;
                match fold::unary(operator, self.get(operand)) {
                    Some(value) => self.push(value),
                    None => self.push(Expression::Unary { operator, operand, line }),
                }
            }
        };
        while let Some((operator, left_priority, right_priority)) = infix(self.token) {
            if left_priority <= limit {
                break;
            }
            let line = self.line();
            self.advance()?;
            self.index_here(left);
            let right = self.operation(right_priority)?;
            left = self.combine(operator, left, right, line);
        }
        self.leave();
        Ok(left)
    }

    /// An index belongs to the line of the last token before its value is needed, as in PUC's Lua: behind it there may have been an
    /// operator, a comma or a `then`.
    pub(super) fn index_here(&mut self, indexed: ExpressionId) {
        if let Expression::Index { line, .. } = &mut self.expressions[indexed.0 as usize] {
            *line = self.last_line;
        }
    }

    fn combine(
        &mut self,
        operator: Infix,
        left: ExpressionId,
        right: ExpressionId,
        line: u32,
    ) -> ExpressionId {
        match operator {
            Infix::Binary(operator) => {
                let line = if operator.is_comparison() { self.last_line } else { line };
                match fold::binary(operator, self.get(left), self.get(right)) {
                    Some(value) => self.push(value),
                    None => self.push(Expression::Binary { operator, left, right, line }),
                }
            }
            Infix::And => match self.get(left).constant_truth() {
                Some(true) => self.single(right),
                _ => self.push(Expression::And { left, right }),
            },
            Infix::Or => match self.get(left).constant_truth() {
                Some(false) => self.single(right),
                _ => self.push(Expression::Or { left, right }),
            },
        }
    }

    /// The expression as exactly one value that can't be assigned to.
    fn single(&mut self, inner: ExpressionId) -> ExpressionId {
        let expression = self.get(inner);
        if expression.is_multiple() || expression.is_place() {
            return self.push(Expression::Parentheses(inner));
        }
        if self.constant_name.is_some_and(|(id, _)| id == inner) {
            self.constant_name = None;
        }
        inner
    }

    fn simple_expression(&mut self) -> Parse<ExpressionId> {
        let expression = match self.token {
            Token::Int(int) => Expression::Int(int),
            Token::Float(float) => Expression::Float(float),
            Token::String(symbol) => Expression::String(symbol),
            Token::Nil => Expression::Nil,
            Token::True => Expression::True,
            Token::False => Expression::False,
            Token::Dots => {
                if !self.is_vararg {
                    return Err(self.error("cannot use '...' outside a vararg function"));
                }
                Expression::VarArg
            }
            Token::Character(b'{') => return self.table(),
            Token::Function => {
                let line = self.line();
                self.advance()?;
                let function = self.function_body(false, line)?;
                return Ok(self.push(Expression::Function(function)));
            }
            _ => return self.suffixed_expression(),
        };
        self.advance()?;
        Ok(self.push(expression))
    }

    /// A name or parentheses, with any number of indices and calls behind it.
    pub(super) fn suffixed_expression(&mut self) -> Parse<ExpressionId> {
        let start_line = self.line();
        let mut expression = match self.token {
            Token::Name(name) => {
                self.advance()?;
                self.name_expression(name)?
            }
            Token::Character(b'(') => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect_match(Token::Character(b')'), Token::Character(b'('), start_line)?;
                self.single(inner)
            }
            _ => return Err(self.error("unexpected symbol")),
        };
        loop {
            expression = match self.token {
                Token::Character(b'.') => self.field(expression)?,
                Token::Character(b'[') => {
                    self.advance()?;
                    let key = self.expression()?;
                    self.expect(Token::Character(b']'))?;
                    let line = self.last_line;
                    self.push(Expression::Index { object: expression, key, line })
                }
                Token::Character(b':') => {
                    self.advance()?;
                    let name = self.expect_name()?;
                    let line = self.last_line;
                    let function = self.push(Expression::Method { object: expression, name, line });
                    self.call(function)?
                }
                Token::Character(b'(' | b'{') | Token::String(_) => self.call(expression)?,
                _ => return Ok(expression),
            };
        }
    }

    /// At the dot of `object.name`.
    pub(super) fn field(&mut self, object: ExpressionId) -> Parse<ExpressionId> {
        self.advance()?;
        let name = self.expect_name()?;
        let key = self.push(Expression::String(name));
        Ok(self.push(Expression::Index { object, key, line: self.last_line }))
    }

    /// What a name stands for.
    pub(super) fn name_expression(&mut self, name: crate::lexer::symbols::Symbol) -> Parse<ExpressionId> {
        let line = self.last_line;
        let object = match self.meaning(name)? {
            Meaning::Local(variable) => return Ok(self.push(Expression::Local(variable))),
            Meaning::Upvalue(index) => return Ok(self.push(Expression::Upvalue(index))),
            Meaning::Constant(value) => {
                let id = self.push(value);
                self.constant_name = Some((id, name));
                return Ok(id);
            }
            Meaning::Global => match self.meaning(self.environment)? {
                Meaning::Local(variable) => Expression::Local(variable),
                Meaning::Upvalue(index) => Expression::Upvalue(index),
                Meaning::Constant(value) => value,
                Meaning::Global => Expression::Nil, // the main function always has `_ENV`
            },
        };
        let object = self.push(object);
        let key = self.push(Expression::String(name));
        Ok(self.push(Expression::Index { object, key, line }))
    }

    fn meaning(&mut self, name: crate::lexer::symbols::Symbol) -> Parse<Meaning> {
        let result = self.scopes.resolve(name);
        self.scoped(result)
    }

    /// At the arguments of a call, whose line is that of their first token.
    fn call(&mut self, function: ExpressionId) -> Parse<ExpressionId> {
        let line = self.line();
        let start = self.open_list.len();
        match self.token {
            Token::String(symbol) => {
                let argument = self.push(Expression::String(symbol));
                self.open_list.push(argument);
                self.advance()?;
            }
            Token::Character(b'{') => {
                let argument = self.table()?;
                self.open_list.push(argument);
            }
            Token::Character(b'(') => {
                self.advance()?;
                if !self.is(b')') {
                    let arguments = self.expression_list()?;
                    self.expect_match(Token::Character(b')'), Token::Character(b'('), line)?;
                    return Ok(self.push(Expression::Call { function, arguments, line }));
                }
                self.advance()?;
            }
            _ => return Err(self.error("function arguments expected")),
        }
        let arguments = self.finish_list(start);
        Ok(self.push(Expression::Call { function, arguments, line }))
    }

    fn table(&mut self) -> Parse<ExpressionId> {
        let line = self.line();
        self.advance()?;
        let start = self.open_items.len();
        while !self.is(b'}') {
            let token = self.token;
            let item = match token {
                Token::Name(name) if self.look_ahead()? == Token::Character(b'=') => {
                    self.advance()?;
                    let key = self.push(Expression::String(name));
                    self.advance()?;
                    self.keyed_item(key)?
                }
                Token::Character(b'[') => {
                    self.advance()?;
                    let key = self.expression()?;
                    self.expect(Token::Character(b']'))?;
                    self.expect(Token::Character(b'='))?;
                    self.keyed_item(key)?
                }
                _ => Item::Positional(self.expression()?),
            };
            self.open_items.push(item);
            if !self.accept_character(b',')? && !self.accept_character(b';')? {
                break;
            }
            if let Item::Positional(value) = item {
                self.index_here(value);
            }
        }
        self.expect_match(Token::Character(b'}'), Token::Character(b'{'), line)?;
        let items = move_run(&mut self.open_items, start, &mut self.items);
        Ok(self.push(Expression::Table { items, line }))
    }

    fn keyed_item(&mut self, key: ExpressionId) -> Parse<Item> {
        let value = self.expression()?;
        Ok(Item::Keyed { key, value, line: self.last_line })
    }

    /// Parameters and body of a function whose `function` stands at `line`.
    pub(super) fn function_body(&mut self, is_method: bool, line: u32) -> Parse<FunctionId> {
        let id = FunctionId(self.functions.len() as u32);
        self.functions.push(None);
        let outer_is_vararg = std::mem::replace(&mut self.is_vararg, false);
        self.scopes.open_function(line);
        self.expect(Token::Character(b'('))?;
        let mut parameters = Run { first: self.scopes.variables.len() as u32, count: 0 };
        if is_method {
            let name = self.lexer.symbols.intern(b"self");
            self.declare(name)?;
            parameters.count = 1;
        }
        if !self.is(b')') {
            loop {
                match self.token {
                    Token::Name(name) => {
                        self.advance()?;
                        self.declare(name)?;
                        parameters.count += 1;
                    }
                    Token::Dots => {
                        self.advance()?;
                        self.is_vararg = true;
                    }
                    _ => return Err(self.error("<name> or '...' expected")),
                }
                if self.is_vararg || !self.accept_character(b',')? {
                    break;
                }
            }
        }
        self.scopes.activate();
        self.expect(Token::Character(b')'))?;
        let body = self.statements_until_end()?;
        let last_line = self.line();
        self.expect_match(Token::End, Token::Function, line)?;
        let upvalues = self.close_function()?;
        let is_vararg = std::mem::replace(&mut self.is_vararg, outer_is_vararg);
        self.functions[id.0 as usize] =
            Some(FunctionNode { parameters, is_vararg, body, upvalues, line_defined: line, last_line });
        Ok(id)
    }

    pub(super) fn declare(&mut self, name: crate::lexer::symbols::Symbol) -> Parse<VariableId> {
        let result = self.scopes.declare(name);
        self.scoped(result)
    }
}
