//! Statements and scopes.

use super::emit::JumpList;
use super::suffix::Want;
use super::{Generate, Generator};
use crate::ast::*;
use crate::bytecode::Op;

/// What was in scope when a scope was opened.
#[derive(Clone, Copy)]
pub struct Scope {
    locals: usize,
    to_be_closed: usize,
}

impl Scope {
    /// The register of the scope's first variable to be closed.
    pub fn first_to_be_closed(self, registers: &[u8]) -> Option<u8> {
        registers.get(self.to_be_closed).copied()
    }
}

impl Generator<'_> {
    pub(super) fn open_scope(&self) -> Scope {
        Scope { locals: self.open_locals(), to_be_closed: self.state.to_be_closed.len() }
    }

    /// Ends a scope where control may fall through its end: closes what is to be closed.
    pub(super) fn close_scope(&mut self, scope: Scope) {
        if let Some(first) = scope.first_to_be_closed(&self.state.to_be_closed)
            && self.is_reachable()
        {
            self.emit_abc(Op::Close, first, 0, 0);
        }
        self.forget_scope(scope);
    }

    /// Ends a scope where everything is closed already.
    pub(super) fn forget_scope(&mut self, scope: Scope) {
        self.state.to_be_closed.truncate(scope.to_be_closed);
        self.close_locals(scope.locals);
    }

    /// Statements in a scope of their own.
    pub(super) fn block(&mut self, block: Block) -> Generate<()> {
        let scope = self.open_scope();
        self.statements(block)?;
        self.state.line = block.last_line;
        self.close_scope(scope);
        Ok(())
    }

    pub(super) fn statements(&mut self, block: Block) -> Generate<()> {
        let ast = self.ast;
        for statement in &ast.statements[block.statements.range()] {
            self.statement(statement)?;
            self.state.free = self.state.active;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Generate<()> {
        match *statement {
            Statement::Call(call) => {
                if let Expression::Call { line, .. } = self.ast.expression(call) {
                    self.state.line = line;
                }
                self.suffixed(call, Want::Results(1))
            }
            Statement::Local { variables, values, to_be_closed, line } => {
                self.local(variables, values, to_be_closed, line)
            }
            Statement::LocalFunction { variable, function } => self.local_function(variable, function),
            Statement::Assign { targets, values, line } => self.assignment(targets, values, line),
            Statement::Do(body) => self.block(body),
            Statement::While { condition, line, body } => self.while_loop(condition, line, body),
            Statement::Repeat { body, condition, line } => self.repeat_loop(body, condition, line),
            Statement::If { clauses, otherwise } => self.if_statement(clauses, otherwise),
            Statement::NumericFor { variable, start, limit, step, line, do_line, body } => {
                self.numeric_for(variable, [Some(start), Some(limit), step], (line, do_line), body)
            }
            Statement::GenericFor { variables, values, line, do_line, body } => {
                self.generic_for(variables, values, (line, do_line), body)
            }
            Statement::Return { values, line } => self.return_statement(values, line),
            Statement::Break | Statement::Goto(_) => {
                self.leave(statement);
                Ok(())
            }
            Statement::Label(label) => {
                let position = self.target_here();
                self.label_positions[label.0 as usize] = Some(position);
                self.patch_here(self.label_jumps[label.0 as usize]);
                Ok(())
            }
        }
    }

    fn local(
        &mut self,
        variables: Run,
        values: Run,
        to_be_closed: Option<VariableId>,
        line: u32,
    ) -> Generate<()> {
        self.state.line = line;
        let first = self.push_adjusted(values, variables.count)?;
        self.declare_run(variables, first);
        if let Some(variable) = to_be_closed {
            let register = self.registers[variable.0 as usize];
            self.emit_abc(Op::ToBeClosed, register, 0, 0);
            self.state.to_be_closed.push(register);
        }
        Ok(())
    }

    fn local_function(&mut self, variable: VariableId, function: FunctionId) -> Generate<()> {
        let register = self.reserve(1)?;
        let variables = Run { first: variable.0, count: 1 };
        if self.ast.variable(variable).is_cell() {
            // The closure captures the cell, so there must be one before.
            self.load_nil(register, 1);
            self.declare_run(variables, register);
            let closure = self.reserve(1)?;
            self.closure(function, None, closure)?;
            self.emit_abc(Op::SetCell, register, closure, 0);
        } else {
            self.closure(function, Some(variable), register)?;
            self.declare_run(variables, register);
        }
        Ok(())
    }

    fn if_statement(&mut self, clauses: Run, otherwise: Option<Block>) -> Generate<()> {
        let ast = self.ast;
        let clauses = &ast.clauses[clauses.range()];
        let mut ends = JumpList::EMPTY;
        for (number, clause) in clauses.iter().enumerate() {
            self.state.line = clause.line;
            match ast.expression(clause.condition).constant_truth() {
                Some(false) => {
                    // The body is left out; what is left is the line, for those who follow the program's steps.
                    let mut next = JumpList::EMPTY;
                    self.jump(&mut next);
                    self.patch_here(next);
                    continue;
                }
                Some(true) => {
                    // Whatever follows is never reached.
                    self.block(clause.body)?;
                    self.patch_here(ends);
                    return Ok(());
                }
                None => {}
            }
            if self.conditional_leave(clause)? {
                continue;
            }
            let mut next = JumpList::EMPTY;
            self.condition(clause.condition, false, &mut next)?;
            self.block(clause.body)?;
            let is_last = number + 1 == clauses.len() && otherwise.is_none();
            if !is_last && self.is_reachable() {
                // To be on its way past the others is no new line.
                self.state.line = self.state.lines.last().copied().unwrap_or(self.state.line);
                self.jump(&mut ends);
            }
            self.patch_here(next);
        }
        if let Some(body) = otherwise {
            self.block(body)?;
        }
        self.patch_here(ends);
        Ok(())
    }

    /// `if condition then break` (or `goto`, forward) is one jump, if nothing is to be closed on the way.
    fn conditional_leave(&mut self, clause: &Clause) -> Generate<bool> {
        let ast = self.ast;
        let [statement] = &ast.statements[clause.body.statements.range()] else { return Ok(false) };
        if !matches!(statement, Statement::Break | Statement::Goto(_))
            || self.left_to_be_closed(statement).is_some()
        {
            return Ok(false);
        }
        let Some(list) = self.leaving_jumps(statement) else { return Ok(false) };
        let mut jumps = *list;
        self.condition(clause.condition, true, &mut jumps)?;
        if let Some(list) = self.leaving_jumps(statement) {
            *list = jumps;
        }
        Ok(true)
    }

    /// The list that a forward jump of a `break` or `goto` belongs to; none for a jump back.
    fn leaving_jumps(&mut self, statement: &Statement) -> Option<&mut JumpList> {
        let Statement::Goto(goto) = statement else {
            return self.state.loops.last_mut().map(|inner| &mut inner.breaks);
        };
        let label = self.ast.gotos[goto.0 as usize]?;
        if self.label_positions[label.0 as usize].is_some() {
            return None;
        }
        Some(&mut self.label_jumps[label.0 as usize])
    }

    /// The first variable to be closed that a `break` or `goto` takes out of scope.
    fn left_to_be_closed(&self, statement: &Statement) -> Option<u8> {
        let kept = match statement {
            Statement::Goto(goto) => {
                let label = self.ast.gotos[goto.0 as usize]?;
                self.ast.labels[label.0 as usize].to_be_closed as usize
            }
            _ => self.state.loops.last()?.to_be_closed,
        };
        self.state.to_be_closed.get(kept).copied()
    }

    fn leave(&mut self, statement: &Statement) {
        if !self.is_reachable() {
            return;
        }
        if let Some(first) = self.left_to_be_closed(statement) {
            self.emit_abc(Op::Close, first, 0, 0);
        }
        if let Some(list) = self.leaving_jumps(statement) {
            let mut jumps = *list;
            self.jump(&mut jumps);
            if let Some(list) = self.leaving_jumps(statement) {
                *list = jumps;
            }
        } else if let Statement::Goto(goto) = statement
            && let Some(label) = self.ast.gotos[goto.0 as usize]
            && let Some(position) = self.label_positions[label.0 as usize]
        {
            self.jump_back(position);
        }
    }

    fn return_statement(&mut self, values: Run, line: u32) -> Generate<()> {
        let ast = self.ast;
        let must_close = !self.state.to_be_closed.is_empty();
        self.state.line = line;
        match *ast.list(values) {
            [] if !must_close => self.emit_abc(Op::ReturnNone, 0, 0, 0),
            [value] if !must_close && matches!(ast.expression(value), Expression::Call { .. }) => {
                self.suffixed(value, Want::Return)?;
            }
            [value] if !ast.expression(value).is_multiple() => {
                let register = self.any(value)?;
                self.state.line = line;
                if must_close {
                    self.emit_abc(Op::Return, register, 2, 1);
                } else {
                    self.emit_abc(Op::ReturnOne, register, 0, 0);
                }
            }
            _ => {
                let (first, count) = self.push_list(values)?;
                self.state.line = line;
                self.emit_abc(
                    Op::Return,
                    first,
                    count.map_or(0, |count| count as u8 + 1),
                    u8::from(must_close),
                );
            }
        }
        Ok(())
    }

    /// The return at the end of a function, if control gets there.
    pub(super) fn final_return(&mut self) {
        if self.is_reachable() {
            self.emit_abc(Op::ReturnNone, 0, 0, 0);
        }
    }
}
