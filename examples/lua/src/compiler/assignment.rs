//! Assignments and the adjustment of lists of values.

use smallvec::SmallVec;

use super::suffix::Operand;
use super::{Generate, Generator};
use crate::ast::*;
use crate::bytecode::{Instruction, Op};
use crate::lexer::symbols::Symbol;

/// Where a value is stored: what was evaluated of an assignment's left side.
#[derive(Clone, Copy)]
pub enum Place {
    Local(u8),
    Cell(u8),
    Upvalue(u8),
    Global { upvalue: u8, name: Symbol },
    Field { object: Source, name: Symbol },
    Int { object: Source, key: i32 },
    Index { object: Source, key: Source },
}

/// An operand of a store. A local's value is read when the store is executed, as in Lua, where that needs no instruction.
#[derive(Clone, Copy)]
pub enum Source {
    Register(u8),
    /// A local that lives in a cell.
    Cell(u8),
}

impl Generator<'_> {
    pub(super) fn assignment(&mut self, targets: Run, values: Run, line: u32) -> Generate<()> {
        let ast = self.ast;
        let (targets, list) = (ast.list(targets), ast.list(values));
        self.state.line = line;
        // Before anything is stored, all that the left side needs is evaluated. Locals are used in place, unless a
        // target further right, which is stored earlier, is that very local.
        let mut places: SmallVec<[Place; 4]> = SmallVec::new();
        for (number, target) in targets.iter().enumerate() {
            let place = self.place(*target, &targets[number + 1..])?;
            places.push(place);
        }
        self.state.line = line;
        if list.len() != places.len() {
            let first = self.push_adjusted(values, places.len() as u32)?;
            for (number, place) in places.iter().enumerate().rev() {
                self.store_register(*place, first + number as u8, line)?;
            }
            return Ok(());
        }
        let first = self.next_register();
        let (Some((last_value, values)), Some((last_place, places))) =
            (list.split_last(), places.split_last())
        else {
            return Ok(());
        };
        for value in values {
            self.push(*value)?;
        }
        self.store(*last_place, *last_value, line)?;
        for (number, place) in places.iter().enumerate().rev() {
            self.store_register(*place, first + number as u8, line)?;
        }
        Ok(())
    }

    /// Evaluates what is needed to store to `target`, while the targets behind it are going to be stored first.
    fn place(&mut self, target: ExpressionId, later: &[ExpressionId]) -> Generate<Place> {
        let (object, key) = match self.ast.expression(target) {
            Expression::Local(variable) => {
                let register = self.registers[variable.0 as usize];
                let is_cell = self.ast.variable(variable).is_cell();
                return Ok(if is_cell { Place::Cell(register) } else { Place::Local(register) });
            }
            Expression::Upvalue(index) => return Ok(Place::Upvalue(index)),
            Expression::Index { object, key, .. } => (object, key),
            _ => unreachable!("the parser accepts only places as targets"),
        };
        if let (Some(upvalue), Some(name)) =
            (self.plain_upvalue(Operand::Expression(object)), self.field_name(key))
            && self.state.upvalue_is_environment[upvalue as usize]
        {
            return Ok(Place::Global { upvalue, name });
        }
        let is_index = self.field_name(key).is_none() && self.integer_key(key).is_none();
        if is_index && self.is_read_after(object, key) {
            let key = self.source(key, later)?;
            let object = self.source(object, later)?;
            return Ok(Place::Index { object, key });
        }
        let object = self.source(object, later)?;
        self.place_in(object, key, later)
    }

    /// Evaluates an operand of a store, so that none of the stores to `later` changes it.
    fn source(&mut self, id: ExpressionId, later: &[ExpressionId]) -> Generate<Source> {
        let expression = self.ast.expression(id);
        let is_changed = later.iter().any(|target| self.ast.expression(*target) == expression);
        match expression {
            Expression::Local(variable) if !is_changed => {
                let register = self.registers[variable.0 as usize];
                let is_cell = self.ast.variable(variable).is_cell();
                Ok(if is_cell { Source::Cell(register) } else { Source::Register(register) })
            }
            _ => Ok(Source::Register(self.push(id)?)),
        }
    }

    /// The register of an operand, at the time of the store.
    fn load(&mut self, source: Source) -> Generate<u8> {
        match source {
            Source::Register(register) => Ok(register),
            Source::Cell(cell) => {
                let register = self.reserve(1)?;
                self.emit_abc(Op::GetCell, register, cell, 0);
                Ok(register)
            }
        }
    }

    /// The place of a key in a table.
    pub(super) fn place_in(
        &mut self,
        object: Source,
        key: ExpressionId,
        later: &[ExpressionId],
    ) -> Generate<Place> {
        if let Some(name) = self.field_name(key) {
            return Ok(Place::Field { object, name });
        }
        if let Some(key) = self.integer_key(key) {
            return Ok(Place::Int { object, key });
        }
        Ok(Place::Index { object, key: self.source(key, later)? })
    }

    /// Evaluates an expression and stores its value.
    pub(super) fn store(&mut self, place: Place, value: ExpressionId, line: u32) -> Generate<()> {
        let expression = self.ast.expression(value);
        match place {
            Place::Local(register) => return self.value(value, register),
            Place::Field { object, name } if expression.constant_truth().is_some() => {
                if let Some(constant) =
                    self.constant_of(expression).and_then(|number| u16::try_from(number).ok())
                {
                    let [b, c] = constant.to_le_bytes();
                    let a = self.load(object)?;
                    let d = self.cache(name);
                    self.state.line = line;
                    self.emit(Instruction { op: Op::SetFieldConstant, a, b, c, d });
                    return Ok(());
                }
            }
            Place::Index { object, key } => {
                if let Some(constant) = self.constant_of(expression) {
                    let (a, b) = (self.load(object)?, self.load(key)?);
                    self.state.line = line;
                    self.emit(Instruction { op: Op::SetIndexConstant, a, b, c: 0, d: constant as i32 });
                    return Ok(());
                }
            }
            _ => {}
        }
        let register = self.any(value)?;
        self.store_register(place, register, line)
    }

    fn store_register(&mut self, place: Place, register: u8, line: u32) -> Generate<()> {
        let free = self.state.free;
        let instruction = match place {
            Place::Local(local) => Instruction::abc(Op::Move, local, register, 0),
            Place::Cell(cell) => Instruction::abc(Op::SetCell, cell, register, 0),
            Place::Upvalue(index) => Instruction::abc(Op::SetUpvalueCell, register, index, 0),
            Place::Global { upvalue, name } => {
                Instruction { op: Op::SetGlobal, a: register, b: upvalue, c: 0, d: self.cache(name) }
            }
            Place::Field { object, name } => {
                let a = self.load(object)?;
                Instruction { op: Op::SetField, a, b: register, c: 0, d: self.cache(name) }
            }
            Place::Int { object, key } => {
                Instruction { op: Op::SetInt, a: self.load(object)?, b: register, c: 0, d: key }
            }
            Place::Index { object, key } => {
                Instruction::abc(Op::SetIndex, self.load(object)?, self.load(key)?, register)
            }
        };
        self.state.line = line;
        self.emit(instruction);
        self.state.free = free;
        Ok(())
    }

    /// Evaluates a list into exactly `wanted` consecutive registers, takes them and returns the first.
    pub(super) fn push_adjusted(&mut self, values: Run, wanted: u32) -> Generate<u8> {
        let ast = self.ast;
        let first = self.next_register();
        let end = self.state.free + wanted;
        let list = ast.list(values);
        for (number, value) in list.iter().enumerate() {
            if number + 1 == list.len() && ast.expression(*value).is_multiple() {
                let missing = wanted.saturating_sub(number as u32);
                self.need(missing)?;
                self.multiple(*value, missing as u8 + 1)?;
                self.reserve(missing)?;
            } else {
                self.push(*value)?;
            }
        }
        // Values in excess have been evaluated all the same.
        self.state.free = self.state.free.min(end);
        let missing = end - self.state.free;
        let register = self.reserve(missing)?;
        self.load_nil(register, missing);
        Ok(first)
    }
}
