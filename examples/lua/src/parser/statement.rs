//! Statements.

use super::{Parse, Parser, move_run};
use crate::ast::*;
use crate::lexer::Near;
use crate::lexer::symbols::Symbol;
use crate::lexer::token::Token;
use crate::resolve::Scopes;

impl Parser<'_> {
    /// Statements in a block of their own.
    fn block(&mut self) -> Parse<Block> {
        self.scopes.open_block(false);
        let block = self.statements_until_end()?;
        self.scopes.close_block();
        Ok(block)
    }

    /// Whether the current token ends a block. `until` does, but its condition still sees the block's variables.
    fn at_block_end(&self, with_until: bool) -> bool {
        match self.token {
            Token::Else | Token::ElseIf | Token::End | Token::EndOfSource => true,
            Token::Until => with_until,
            _ => false,
        }
    }

    /// The statements up to the token that ends the block.
    pub(super) fn statements_until_end(&mut self) -> Parse<Block> {
        let start = self.open_statements.len();
        while !self.at_block_end(true) {
            let is_return = self.token == Token::Return;
            self.statement()?;
            if is_return {
                break;
            }
        }
        let statements = move_run(&mut self.open_statements, start, &mut self.statements);
        Ok(Block { statements, last_line: self.last_line, end_line: self.line() })
    }

    fn statement(&mut self) -> Parse<()> {
        let line = self.line();
        self.enter()?;
        match self.token {
            Token::Character(b';') => self.advance()?,
            Token::If => self.if_statement(line)?,
            Token::While => self.while_statement(line)?,
            Token::Do => {
                self.advance()?;
                let body = self.block()?;
                self.expect_match(Token::End, Token::Do, line)?;
                self.open_statements.push(Statement::Do(body));
            }
            Token::For => self.for_statement(line)?,
            Token::Repeat => self.repeat_statement(line)?,
            Token::Function => self.function_statement(line)?,
            Token::Local => {
                self.advance()?;
                if self.accept(Token::Function)? {
                    self.local_function()?;
                } else {
                    self.local_statement()?;
                }
            }
            Token::DoubleColon => {
                self.advance()?;
                let name = self.expect_name()?;
                self.label(name, line)?;
            }
            Token::Return => self.return_statement()?,
            Token::Break => {
                self.scopes.break_loop(line);
                self.advance()?;
                self.open_statements.push(Statement::Break);
            }
            Token::Goto => {
                self.advance()?;
                let line = self.line();
                let name = self.expect_name()?;
                let goto = self.scopes.goto(name, line);
                self.open_statements.push(Statement::Goto(goto));
            }
            _ => self.expression_statement()?,
        }
        self.leave();
        Ok(())
    }

    fn if_statement(&mut self, line: u32) -> Parse<()> {
        let start = self.open_clauses.len();
        loop {
            self.advance()?;
            let condition = self.expression()?;
            self.expect(Token::Then)?;
            let then_line = self.last_line;
            self.index_here(condition);
            let body = self.block()?;
            self.open_clauses.push(Clause { condition, line: then_line, body });
            if self.token != Token::ElseIf {
                break;
            }
        }
        let otherwise = if self.accept(Token::Else)? { Some(self.block()?) } else { None };
        self.expect_match(Token::End, Token::If, line)?;
        let clauses = move_run(&mut self.open_clauses, start, &mut self.clauses);
        self.open_statements.push(Statement::If { clauses, otherwise });
        Ok(())
    }

    fn while_statement(&mut self, line: u32) -> Parse<()> {
        self.advance()?;
        let condition = self.expression()?;
        self.scopes.open_block(true);
        self.expect(Token::Do)?;
        let do_line = self.last_line;
        let body = self.block()?;
        self.expect_match(Token::End, Token::While, line)?;
        self.scopes.close_block();
        self.open_statements.push(Statement::While { condition, line: do_line, body });
        Ok(())
    }

    fn repeat_statement(&mut self, line: u32) -> Parse<()> {
        self.scopes.open_block(true);
        self.scopes.open_block(false);
        self.advance()?;
        let body = self.statements_until_end()?;
        self.expect_match(Token::Until, Token::Repeat, line)?;
        let condition = self.expression()?;
        self.scopes.close_block();
        self.scopes.close_block();
        self.open_statements.push(Statement::Repeat { body, condition, line: self.last_line });
        Ok(())
    }

    fn for_statement(&mut self, line: u32) -> Parse<()> {
        self.scopes.open_block(true);
        self.advance()?;
        let name = self.expect_name()?;
        match self.token {
            Token::Character(b'=') => self.numeric_for(name, line)?,
            Token::Character(b',') | Token::In => self.generic_for(name, line)?,
            _ => return Err(self.error("'=' or 'in' expected")),
        }
        self.scopes.close_block();
        Ok(())
    }

    /// Declares the loop's own variables, which no name can mean.
    fn declare_loop_state(&mut self, count: usize) -> Parse<()> {
        let name = self.lexer.symbols.intern(b"(for state)");
        for _ in 0..count {
            self.declare(name)?;
        }
        Ok(())
    }

    fn numeric_for(&mut self, name: Symbol, line: u32) -> Parse<()> {
        self.declare_loop_state(3)?;
        let variable = self.declare(name)?;
        self.advance()?;
        let start = self.expression()?;
        self.expect(Token::Character(b','))?;
        let limit = self.expression()?;
        let step = if self.accept_character(b',')? { Some(self.expression()?) } else { None };
        self.scopes.activate_some(3);
        let (do_line, body) = self.for_body(line)?;
        self.open_statements.push(Statement::NumericFor {
            variable,
            start,
            limit,
            step,
            line,
            do_line,
            body,
        });
        Ok(())
    }

    fn generic_for(&mut self, name: Symbol, line: u32) -> Parse<()> {
        self.declare_loop_state(4)?;
        let first = self.declare(name)?;
        let mut variables = Run { first: first.0, count: 1 };
        while self.accept_character(b',')? {
            let name = self.expect_name()?;
            self.declare(name)?;
            variables.count += 1;
        }
        self.expect(Token::In)?;
        let call_line = self.line();
        let values = self.expression_list()?;
        self.scopes.activate_some(4);
        self.scopes.add_to_be_closed();
        let (do_line, body) = self.for_body(line)?;
        self.open_statements.push(Statement::GenericFor {
            variables,
            values,
            line: call_line,
            do_line,
            body,
        });
        Ok(())
    }

    /// The body, in which the declared variables come into scope, and the line of `do`.
    fn for_body(&mut self, line: u32) -> Parse<(u32, Block)> {
        self.expect(Token::Do)?;
        let do_line = self.last_line;
        self.scopes.open_block(false);
        self.scopes.activate();
        let body = self.block()?;
        self.scopes.close_block();
        self.expect_match(Token::End, Token::For, line)?;
        Ok((do_line, body))
    }

    fn function_statement(&mut self, line: u32) -> Parse<()> {
        self.advance()?;
        let name = self.expect_name()?;
        let mut target = self.name_expression(name)?;
        while self.is(b'.') {
            target = self.field(target)?;
        }
        let is_method = self.is(b':');
        if is_method {
            target = self.field(target)?;
        }
        let function = self.function_body(is_method, line)?;
        self.check_assignable(target)?;
        let value = self.push(Expression::Function(function));
        let targets = self.list_of_one(target);
        let values = self.list_of_one(value);
        self.open_statements.push(Statement::Assign { targets, values, line });
        Ok(())
    }

    fn list_of_one(&mut self, expression: ExpressionId) -> Run {
        self.lists.push(expression);
        Run { first: self.lists.len() as u32 - 1, count: 1 }
    }

    fn local_function(&mut self) -> Parse<()> {
        let name = self.expect_name()?;
        let variable = self.declare(name)?;
        self.scopes.activate();
        let line = self.line();
        let function = self.function_body(false, line)?;
        self.open_statements.push(Statement::LocalFunction { variable, function });
        Ok(())
    }

    fn local_statement(&mut self) -> Parse<()> {
        let mut variables = Run { first: self.scopes.variables.len() as u32, count: 0 };
        let mut to_be_closed = None;
        let mut is_last_constant;
        loop {
            let name = self.expect_name()?;
            let variable = self.declare(name)?;
            variables.count += 1;
            is_last_constant = false;
            if self.accept_character(b'<')? {
                let attribute = self.expect_name()?;
                self.expect(Token::Character(b'>'))?;
                match self.lexer.symbols.bytes(attribute) {
                    b"const" => is_last_constant = true,
                    b"close" => {
                        if to_be_closed.replace(variable).is_some() {
                            let message = "multiple to-be-closed variables in local list";
                            return Err(self.lexer.error(message, Near::Nothing));
                        }
                    }
                    _ => {
                        let attribute = self.lexer.symbols.name(attribute);
                        return Err(self
                            .lexer
                            .error(&format!("unknown attribute '{attribute}'"), Near::Nothing));
                    }
                }
                self.scopes.make_read_only();
            }
            if !self.accept_character(b',')? {
                break;
            }
        }
        let mut values = if self.accept_character(b'=')? { self.expression_list()? } else { Run::default() };
        if is_last_constant && values.count == variables.count {
            let value = self.get(self.lists[values.range().end - 1]);
            if value.constant_truth().is_some() {
                // It needs no register: every use is its value.
                self.scopes.make_constant(value);
                values.count -= 1;
                variables.count -= 1;
            }
        }
        self.scopes.activate();
        if to_be_closed.is_some() {
            self.scopes.add_to_be_closed();
        }
        if variables.count > 0 {
            let line = self.last_line;
            self.open_statements.push(Statement::Local { variables, values, to_be_closed, line });
        }
        Ok(())
    }

    fn label(&mut self, name: Symbol, line: u32) -> Parse<()> {
        self.expect(Token::DoubleColon)?;
        while matches!(self.token, Token::Character(b';') | Token::DoubleColon) {
            self.statement()?;
        }
        let is_last = self.at_block_end(false);
        let result = self.scopes.label(name, line, is_last, &self.lexer.symbols);
        let label = self.scoped(result)?;
        self.open_statements.push(Statement::Label(label));
        Ok(())
    }

    fn return_statement(&mut self) -> Parse<()> {
        self.advance()?;
        let values =
            if self.at_block_end(true) || self.is(b';') { Run::default() } else { self.expression_list()? };
        let line = self.last_line;
        self.accept_character(b';')?;
        self.open_statements.push(Statement::Return { values, line });
        Ok(())
    }

    fn expression_statement(&mut self) -> Parse<()> {
        let first = self.suffixed_expression()?;
        if !self.is(b'=') && !self.is(b',') {
            if !matches!(self.get(first), Expression::Call { .. }) {
                return Err(self.error("syntax error"));
            }
            self.open_statements.push(Statement::Call(first));
            return Ok(());
        }
        let start = self.open_list.len();
        let levels = self.levels;
        self.check_place(first)?;
        self.open_list.push(first);
        while self.accept_character(b',')? {
            let next = self.suffixed_expression()?;
            // Lua handles one target inside the other; so its limit counts here as well.
            self.enter()?;
            self.check_place(next)?;
            self.open_list.push(next);
        }
        self.expect(Token::Character(b'='))?;
        let targets = self.finish_list(start);
        let values = self.expression_list()?;
        self.levels = levels;
        self.open_statements.push(Statement::Assign { targets, values, line: self.last_line });
        Ok(())
    }

    /// Fails unless the expression is a place that may be assigned to.
    fn check_place(&mut self, target: ExpressionId) -> Parse<()> {
        if !self.get(target).is_place() && self.constant_name.is_none_or(|(id, _)| id != target) {
            return Err(self.error("syntax error"));
        }
        self.check_assignable(target)
    }

    fn check_assignable(&mut self, target: ExpressionId) -> Parse<()> {
        let result = match self.constant_name {
            Some((id, name)) if id == target => Err(Scopes::constant_assigned(name, &self.lexer.symbols)),
            _ => self.scopes.assign(self.get(target), &self.lexer.symbols),
        };
        self.scoped(result)
    }
}
