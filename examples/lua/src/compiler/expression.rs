//! Expressions as values in registers.

use super::condition::is_logical;
use super::suffix::Want;
use super::{Generate, Generator};
use crate::ast::*;
use crate::bytecode::{Instruction, Op};

impl Generator<'_> {
    /// Evaluates an expression into the next free register and takes that.
    pub(super) fn push(&mut self, id: ExpressionId) -> Generate<u8> {
        let register = self.next_register();
        self.latest = id;
        self.need(1)?;
        self.value(id, register)?;
        self.reserve(1)
    }

    /// Evaluates an expression into some register: that of the local it is, or the next free one.
    pub(super) fn any(&mut self, id: ExpressionId) -> Generate<u8> {
        match self.plain_local(self.ast.expression(id)) {
            Some(register) => Ok(register),
            None => self.push(id),
        }
    }

    /// Evaluates an expression to one value in `target`, which is either the next free register, not taken yet (so that
    /// temporaries may pass through it), or the register of a local, which is written last. Takes no register.
    pub(super) fn value(&mut self, id: ExpressionId, target: u8) -> Generate<()> {
        debug_assert!(u32::from(target) == self.state.free || u32::from(target) < self.state.active);
        let free = self.state.free;
        let expression = self.ast.expression(id);
        match expression {
            Expression::Nil => self.load_nil(target, 1),
            Expression::True => self.emit_abc(Op::LoadBool, target, 1, 0),
            Expression::False => self.emit_abc(Op::LoadBool, target, 0, 0),
            Expression::Int(_) | Expression::Float(_) | Expression::String(_) => {
                self.load_constant(expression, target);
            }
            Expression::VarArg => self.emit_abc(Op::VarArg, target, 0, 2),
            Expression::Function(function) => self.closure(function, None, target)?,
            Expression::Local(variable) => {
                let register = self.registers[variable.0 as usize];
                if self.ast.variable(variable).is_cell() {
                    self.emit_abc(Op::GetCell, target, register, 0);
                } else if register != target {
                    self.emit_abc(Op::Move, target, register, 0);
                }
            }
            Expression::Upvalue(index) => {
                let is_cell = self.state.upvalue_is_cell[index as usize];
                let op = if is_cell { Op::GetUpvalueCell } else { Op::GetUpvalue };
                self.emit_abc(op, target, index, 0);
            }
            Expression::Index { .. } | Expression::Call { .. } | Expression::Method { .. } => {
                self.suffixed(id, Want::Value(target))?;
            }
            Expression::Binary { operator: BinaryOperator::Concat, .. } => self.concatenation(id, target)?,
            Expression::Binary { .. } => self.operation(id, target)?,
            _ if is_logical(self.ast, expression) => self.logical_value(id, target)?,
            Expression::Unary { operator, operand, line } => {
                let operand = self.any(operand)?;
                let op = match operator {
                    UnaryOperator::Negate => Op::Negate,
                    UnaryOperator::Not => Op::Not,
                    UnaryOperator::Length => Op::Length,
                    UnaryOperator::BitNot => Op::BitNot,
                };
                self.state.line = line;
                self.emit_abc(op, target, operand, 0);
            }
            Expression::Table { items, line } => self.table(items, line, target)?,
            Expression::Parentheses(inner) => self.value(inner, target)?,
            Expression::And { .. } | Expression::Or { .. } => {}
        }
        self.state.free = free;
        Ok(())
    }

    /// Loads a number or a string.
    fn load_constant(&mut self, constant: Expression, target: u8) {
        if let Expression::Int(int) = constant
            && let Ok(d) = i32::try_from(int)
        {
            self.emit(Instruction::ad(Op::LoadInt, target, d));
        } else if let Some(number) = self.constant_of(constant) {
            self.emit(Instruction::ad(Op::LoadConstant, target, number as i32));
        }
    }

    /// Makes a closure. `name` is the variable of the `local function` statement that it belongs to.
    pub(super) fn closure(&mut self, id: FunctionId, name: Option<VariableId>, target: u8) -> Generate<()> {
        let function = self.function(id, name)?;
        self.state.line = function.last_line;
        let number = self.state.children.len() as i32;
        self.state.children.push(function);
        self.emit(Instruction::ad(Op::Closure, target, number));
        Ok(())
    }

    /// Evaluates a list into consecutive registers and takes them. Returns the first and how many there are, or `None` for
    /// the number when the last expression stands for all its values.
    pub(super) fn push_list(&mut self, values: Run) -> Generate<(u8, Option<u32>)> {
        let ast = self.ast;
        let first = self.next_register();
        let values = ast.list(values);
        let Some((last, others)) = values.split_last() else { return Ok((first, Some(0))) };
        for value in others {
            self.push(*value)?;
        }
        if ast.expression(*last).is_multiple() {
            self.multiple(*last, 0)?;
            return Ok((first, None));
        }
        self.push(*last)?;
        Ok((first, Some(values.len() as u32)))
    }

    /// Evaluates a call or `...` into registers from the next free one on, without taking them. `c` as in `Op::Call`.
    pub(super) fn multiple(&mut self, id: ExpressionId, c: u8) -> Generate<()> {
        match self.ast.expression(id) {
            Expression::VarArg => {
                let register = self.next_register();
                self.need(1)?;
                self.emit_abc(Op::VarArg, register, 0, c);
                Ok(())
            }
            _ => self.suffixed(id, Want::Results(c)),
        }
    }

    /// The concatenation of everything in a chain of `..`.
    fn concatenation(&mut self, id: ExpressionId, target: u8) -> Generate<()> {
        let first = self.next_register();
        let mut count = 1;
        let mut rest = id;
        let mut concat_line = self.state.line;
        while let Expression::Binary { operator: BinaryOperator::Concat, left, right, line } =
            self.ast.expression(rest)
        {
            if count == 1 {
                concat_line = line;
            }
            self.push(left)?;
            count += 1;
            rest = right;
        }
        self.push(rest)?;
        self.state.line = concat_line;
        self.emit_abc(Op::Concat, target, first, count);
        Ok(())
    }
}
