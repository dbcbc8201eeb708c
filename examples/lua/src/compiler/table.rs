//! Table constructors.

use super::assignment::Source;
use super::{Generate, Generator};
use crate::ast::*;
use crate::bytecode::{Instruction, Op};

/// How many elements are collected in registers before they are stored. Lua's choice: enough to make the instruction
/// cheap per element, few enough to leave registers for what is inside the elements.
const BATCH: u32 = 50;

impl Generator<'_> {
    /// Makes a table.
    pub(super) fn table(&mut self, items: Run, line: u32, target: u8) -> Generate<()> {
        let ast = self.ast;
        let table = self.reserve(1)?;
        let creation = self.position() as usize;
        self.state.line = line;
        self.emit(Instruction::ad(Op::NewTable, table, 0));
        let (mut elements, mut stored, mut fields) = (0u32, 0u32, 0u32);
        let items = &ast.items[items.range()];
        for (number, item) in items.iter().enumerate() {
            match *item {
                Item::Positional(value) => {
                    if number + 1 == items.len() && ast.expression(value).is_multiple() {
                        self.multiple(value, 0)?;
                        self.store_elements(table, 0, stored);
                        stored = elements;
                        continue;
                    }
                    self.push(value)?;
                    elements += 1;
                    if elements - stored == BATCH {
                        self.store_elements(table, BATCH, stored);
                        stored = elements;
                    }
                }
                Item::Keyed { key, value, line } => {
                    fields += u32::from(self.field_name(key).is_some());
                    self.keyed_item(table, key, value, line)?;
                }
            }
        }
        if elements > stored {
            self.store_elements(table, elements - stored, stored);
        }
        let creation = &mut self.state.code[creation];
        creation.d = elements as i32;
        creation.c = fields.min(u32::from(u8::MAX)) as u8;
        if table != target {
            self.emit_abc(Op::Move, target, table, 0);
        }
        Ok(())
    }

    /// Stores the elements that stand behind the table (`count` of them, or all up to the top if it is 0).
    fn store_elements(&mut self, table: u8, count: u32, stored: u32) {
        self.emit(Instruction { op: Op::SetList, a: table, b: count as u8, c: 0, d: stored as i32 });
        self.state.free = u32::from(table) + 1;
    }

    fn keyed_item(&mut self, table: u8, key: ExpressionId, value: ExpressionId, line: u32) -> Generate<()> {
        let free = self.state.free;
        let place = self.place_in(Source::Register(table), key, &[])?;
        self.store(place, value, line)?;
        self.state.free = free;
        Ok(())
    }
}
