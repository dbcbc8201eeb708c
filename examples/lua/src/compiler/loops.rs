//! Loops.

use super::emit::{JumpList, Loop};
use super::{Generate, Generator};
use crate::ast::*;
use crate::bytecode::{Instruction, Op};

impl Generator<'_> {
    /// `while`: the condition at the top, one way back at the bottom.
    pub(super) fn while_loop(&mut self, condition: ExpressionId, line: u32, body: Block) -> Generate<()> {
        if self.ast.expression(condition).constant_truth() == Some(false) {
            return Ok(());
        }
        let start = self.target_here();
        let mut exits = JumpList::EMPTY;
        self.state.line = line;
        self.condition(condition, false, &mut exits)?;
        self.open_loop();
        self.block(body)?;
        if self.is_reachable() {
            self.jump_back(start);
        }
        self.patch_here(exits);
        self.close_loop();
        Ok(())
    }

    /// `repeat`: the condition sees the body's variables.
    pub(super) fn repeat_loop(&mut self, body: Block, condition: ExpressionId, line: u32) -> Generate<()> {
        let start = self.target_here();
        self.open_loop();
        let scope = self.open_scope();
        self.statements(body)?;
        self.state.line = line;
        let mut exits = JumpList::EMPTY;
        let is_always_true = self.ast.expression(condition).constant_truth() == Some(true);
        if let Some(first) = scope.first_to_be_closed(&self.state.to_be_closed) {
            let mut again = JumpList::EMPTY;
            self.condition(condition, false, &mut again)?;
            self.emit_abc(Op::Close, first, 0, 0);
            self.jump(&mut exits);
            self.patch_here(again);
            self.emit_abc(Op::Close, first, 0, 0);
            self.jump_back(start);
        } else if !is_always_true && self.is_reachable() {
            self.condition(condition, true, &mut exits)?;
            self.jump_back(start);
        }
        self.forget_scope(scope);
        self.patch_here(exits);
        self.close_loop();
        Ok(())
    }

    pub(super) fn numeric_for(
        &mut self,
        variable: VariableId,
        range: [Option<ExpressionId>; 3],
        (line, do_line): (u32, u32),
        body: Block,
    ) -> Generate<()> {
        let scope = self.open_scope();
        let base = self.next_register();
        self.state.line = line;
        for bound in range {
            match bound {
                Some(bound) => {
                    self.push(bound)?;
                }
                None => {
                    let step = self.reserve(1)?;
                    self.emit(Instruction::ad(Op::LoadInt, step, 1));
                }
            }
        }
        for register in base..base + 3 {
            self.declare_hidden(register);
        }
        let mut exits = JumpList::EMPTY;
        self.state.line = do_line;
        self.jump_with(&mut exits, Instruction::ad(Op::ForPrepare, base, 0));
        let start = self.target_here();
        self.open_loop();
        let visible = self.open_scope();
        self.reserve(1)?;
        self.declare_run(Run { first: variable.0, count: 1 }, base + 3);
        self.block(body)?;
        self.close_scope(visible);
        self.state.line = line;
        let distance = start as i32 - self.position() as i32 - 1;
        self.emit(Instruction::ad(Op::ForLoop, base, distance));
        self.patch_here(exits);
        self.close_loop();
        self.close_scope(scope);
        Ok(())
    }

    pub(super) fn generic_for(
        &mut self,
        variables: Run,
        values: Run,
        (line, do_line): (u32, u32),
        body: Block,
    ) -> Generate<()> {
        let scope = self.open_scope();
        self.state.line = line;
        let base = self.push_adjusted(values, 4)?;
        for register in base..base + 4 {
            self.declare_hidden(register);
        }
        // The fourth value is closed by whatever leaves the loop; ways out by `break` lead to the `Close` behind it.
        self.state.to_be_closed.push(base + 3);
        self.open_loop();
        self.need(3)?; // the call's own window
        let mut entry = JumpList::EMPTY;
        self.state.line = do_line;
        self.jump_with(&mut entry, Instruction::ad(Op::ForGenericPrepare, base, 0));
        let start = self.target_here();
        let visible = self.open_scope();
        self.reserve(variables.count)?;
        self.declare_run(variables, base + 4);
        self.block(body)?;
        self.close_scope(visible);
        self.state.line = line;
        self.patch_here(entry);
        self.emit_abc(Op::ForCall, base, 0, variables.count as u8);
        let distance = start as i32 - self.position() as i32 - 1;
        self.emit(Instruction::ad(Op::ForGenericLoop, base, distance));
        self.state.line = body.end_line;
        self.close_loop();
        self.close_scope(scope);
        Ok(())
    }

    fn open_loop(&mut self) {
        let to_be_closed = self.state.to_be_closed.len();
        self.state.loops.push(Loop { breaks: JumpList::EMPTY, to_be_closed });
    }

    /// Ends the loop: here is where its `break` statements lead.
    fn close_loop(&mut self) {
        if let Some(ended) = self.state.loops.pop() {
            self.patch_here(ended.breaks);
        }
    }
}
