//! Indices, calls and method calls, and chains of them.

use smallvec::SmallVec;

use super::{Generate, Generator, MAX_FIELD_NAME};
use crate::ast::*;
use crate::bytecode::{Instruction, Op};
use crate::lexer::symbols::Symbol;

/// What a chain is evaluated for.
#[derive(Clone, Copy)]
pub enum Want {
    /// One value in this register, as in [`Generator::value`].
    Value(u8),
    /// The results of the call that it ends with, from the next free register on; the number as in `Op::Call`'s `c`.
    Results(u8),
    /// The function returns what the call at its end returns.
    Return,
}

/// An operand.
#[derive(Clone, Copy)]
pub enum Operand {
    /// Still to be evaluated.
    Expression(ExpressionId),
    /// The result of what was evaluated before.
    Register(u8),
}

impl Generator<'_> {
    /// The register of an operand, evaluated if need be.
    pub(super) fn operand(&mut self, operand: Operand) -> Generate<u8> {
        match operand {
            Operand::Register(register) => Ok(register),
            Operand::Expression(id) => self.any(id),
        }
    }

    /// The registers of two operands. A local is read at the operation itself, as in Lua, where that needs no instruction
    /// before: a call on the right may have changed it. So one that lives in a cell is read after the right operand.
    pub(super) fn operands(&mut self, left: Operand, right: ExpressionId) -> Generate<(u8, u8)> {
        if let Operand::Expression(id) = left
            && matches!(self.ast.expression(id), Expression::Local(_))
        {
            let right = self.any(right)?;
            return Ok((self.any(id)?, right));
        }
        Ok((self.operand(left)?, self.any(right)?))
    }

    /// Whether an indexed object is read only after its key has been evaluated: an upvalue whose key is no constant.
    pub(super) fn is_read_after(&self, object: ExpressionId, key: ExpressionId) -> bool {
        matches!(self.ast.expression(object), Expression::Upvalue(_))
            && !matches!(self.ast.expression(key), Expression::Local(_))
    }

    /// Evaluates an index or a call. What it applies to is nested on the left to any depth: the chain is taken from the
    /// inside out in a loop, with every intermediate result in the same register.
    pub(super) fn suffixed(&mut self, id: ExpressionId, want: Want) -> Generate<()> {
        let start = self.next_register();
        let mut suffixes: SmallVec<[Expression; 8]> = SmallVec::new();
        let mut base = id;
        loop {
            let suffix = self.ast.expression(base);
            base = match suffix {
                Expression::Index { object, .. } | Expression::Method { object, .. } => object,
                Expression::Call { function, .. } => function,
                _ => break,
            };
            suffixes.push(suffix);
        }
        let mut operand = Operand::Expression(base);
        while let Some(suffix) = suffixes.pop() {
            let want = if suffixes.is_empty() { want } else { Want::Value(start) };
            let mut taken = 1;
            match suffix {
                Expression::Index { key, line, .. } => {
                    let target = if let Want::Value(target) = want { target } else { start };
                    self.index(operand, key, line, target)?;
                }
                Expression::Method { name, line, .. } => {
                    self.method(operand, name, line, start)?;
                    taken = 2;
                }
                Expression::Call { function, arguments, line } => {
                    if let Operand::Expression(function) = operand {
                        self.push(function)?;
                    }
                    let is_method = matches!(self.ast.expression(function), Expression::Method { .. });
                    self.call(start, is_method, arguments, line, want)?;
                }
                _ => {}
            }
            self.state.free = u32::from(start);
            if !suffixes.is_empty() {
                self.reserve(taken)?;
                operand = Operand::Register(start);
            }
        }
        Ok(())
    }

    /// The name of a field that an instruction with a cache can access.
    pub(super) fn field_name(&self, key: ExpressionId) -> Option<Symbol> {
        match self.ast.expression(key) {
            Expression::String(symbol) if self.ast.symbols.bytes(symbol).len() <= MAX_FIELD_NAME => {
                Some(symbol)
            }
            _ => None,
        }
    }

    /// The upvalue that an operand is, if it is held by value.
    pub(super) fn plain_upvalue(&self, operand: Operand) -> Option<u8> {
        let Operand::Expression(id) = operand else { return None };
        match self.ast.expression(id) {
            Expression::Upvalue(index) if !self.state.upvalue_is_cell[index as usize] => Some(index),
            _ => None,
        }
    }

    /// The immediate that a key is.
    pub(super) fn integer_key(&self, key: ExpressionId) -> Option<i32> {
        match self.ast.expression(key) {
            Expression::Int(int) => i32::try_from(int).ok(),
            _ => None,
        }
    }

    fn index(&mut self, object: Operand, key: ExpressionId, line: u32, target: u8) -> Generate<()> {
        let name = self.field_name(key);
        if let (Some(name), Some(upvalue)) = (name, self.plain_upvalue(object)) {
            let is_global = self.state.upvalue_is_environment[upvalue as usize];
            let op = if is_global { Op::GetGlobal } else { Op::GetUpvalueField };
            let d = self.cache(name);
            self.state.line = line;
            self.emit(Instruction { op, a: target, b: upvalue, c: 0, d });
            return Ok(());
        }
        let instruction = if let Some(name) = name {
            Instruction { op: Op::GetField, a: 0, b: self.operand(object)?, c: 0, d: self.cache(name) }
        } else if let Some(int) = self.integer_key(key) {
            Instruction { op: Op::GetInt, a: 0, b: self.operand(object)?, c: 0, d: int }
        } else {
            let (object, key) = match object {
                Operand::Expression(id) if self.is_read_after(id, key) => {
                    let key = self.any(key)?;
                    (self.any(id)?, key)
                }
                _ => self.operands(object, key)?,
            };
            Instruction::abc(Op::GetIndex, 0, object, key)
        };
        self.state.line = line;
        self.emit(Instruction { a: target, ..instruction });
        Ok(())
    }

    /// Puts the method into `start` and the object behind it.
    fn method(&mut self, object: Operand, name: Symbol, line: u32, start: u8) -> Generate<()> {
        let object = self.operand(object)?;
        self.state.free = u32::from(start);
        self.reserve(2)?;
        if self.ast.symbols.bytes(name).len() <= MAX_FIELD_NAME {
            let d = self.cache(name);
            self.state.line = line;
            self.emit(Instruction { op: Op::GetMethod, a: start, b: object, c: 0, d });
            return Ok(());
        }
        self.emit_abc(Op::Move, start + 1, object, 0);
        let key = self.reserve(1)?;
        let constant = self.string_constant(name);
        self.emit(Instruction::ad(Op::LoadConstant, key, constant as i32));
        self.state.line = line;
        self.emit_abc(Op::GetIndex, start, start + 1, key);
        Ok(())
    }

    /// Calls the function in `start`; for a method, its object stands behind it.
    fn call(&mut self, start: u8, is_method: bool, arguments: Run, line: u32, want: Want) -> Generate<()> {
        let (_, count) = self.push_list(arguments)?;
        let b = count.map_or(0, |count| count as u8 + u8::from(is_method) + 1);
        self.state.line = line;
        match want {
            Want::Value(target) => {
                self.emit_abc(Op::Call, start, b, 2);
                if start != target {
                    self.emit_abc(Op::Move, target, start, 0);
                }
            }
            Want::Results(c) => self.emit_abc(Op::Call, start, b, c),
            Want::Return => {
                self.emit_abc(Op::TailCall, start, b, 0);
                // Compiled code keeps the frame: if it is rebuilt after the call, it still has to return the results.
                self.emit_abc(Op::Return, start, 0, 0);
            }
        }
        Ok(())
    }
}
