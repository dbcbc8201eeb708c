//! Guards and exits.
//!
//! A guard is one compare and one branch that is not taken, to a cold block whose one call goes to the exit stub. The live
//! values of the frame state are context items of that call, so the hot path stores nothing and the exit costs few bytes. All
//! exits share one block that returns what the stub has left in the context: the frame's results.
//!
//! At function entry stands one more guard: whether the guest stack has room for the window and the native stack for the frame.
//! Where it stands, and with which frame state, says [`surmise_ir::analysis::entry::room_check`]; a lifter that emits a poll first
//! gets it for certain.

use super::Translator;
use super::error::LowerError;
use super::states::{Description, ExitForm};
use super::tables::no_location;
use super::trampolines::{CONTEXT_HOME, Trampoline};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, ExceptionTableData, ExceptionTableItem, InstBuilder, types};
use surmise_deopt::context::offsets;
use surmise_deopt::table::ExitReason;
use surmise_ir::entity::FrameStateId;
use surmise_ir::function::InstData;
use surmise_ir::guard::GuardReason;

impl Translator<'_> {
    /// A fresh block that is rarely run.
    pub fn cold_block(&mut self) -> ir::Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }
    /// Goes on in a block that all jumps to it are there for.
    pub fn start_block(&mut self, block: ir::Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }
    /// The frame state before the current instruction.
    pub fn state_before(&self, data: &InstData) -> Result<FrameStateId, LowerError> {
        data.state.ok_or(LowerError::MissingState { inst: self.inst, when: "before" })
    }

    /// Leaves with a state unless the condition is `wanted`; goes on in a new block.
    pub fn guard(
        &mut self,
        condition: ir::Value,
        wanted: bool,
        state: FrameStateId,
        reason: GuardReason,
    ) -> Result<(), LowerError> {
        let site = self.function.insts[self.inst].site.unwrap_or(self.function.states[state].resume.pc);
        let exit = self.cold_block();
        if self.settings.force_failures {
            let count = self.load_context(types::I32, offsets::FORCED_FAILURE_COUNTDOWN);
            let count = self.builder.ins().iadd_imm_s(count, -1);
            self.store_context(count, offsets::FORCED_FAILURE_COUNTDOWN);
            let go_on = self.builder.create_block();
            self.builder.ins().brif(count, go_on, &[], exit, &[]);
            self.start_block(go_on);
        }
        let go_on = self.builder.create_block();
        if wanted {
            self.builder.ins().brif(condition, go_on, &[], exit, &[]);
        } else {
            self.builder.ins().brif(condition, exit, &[], go_on, &[]);
        }
        self.start_block(exit);
        self.exit(state, ExitReason::Guard(reason, site))?;
        self.start_block(go_on);
        Ok(())
    }
    /// Leaves for good, ending the current block.
    pub fn exit(&mut self, state: FrameStateId, reason: ExitReason) -> Result<(), LowerError> {
        let description = self.describe(state, ExitForm::Guard)?;
        self.call_exit_stub(Trampoline::Guard, &[], description, reason);
        Ok(())
    }
    /// Calls an exit stub and returns the results that it leaves, ending the current block.
    pub fn call_exit_stub(
        &mut self,
        stub: Trampoline,
        args: &[ir::Value],
        description: Description,
        reason: ExitReason,
    ) {
        let exit = match self.exit_block {
            Some(block) => block,
            None => {
                let block = self.cold_block();
                self.exit_block = Some(block);
                block
            }
        };
        let location = self.records.exit(&description.words, reason);
        let signature = self.signatures.words(&mut self.builder, args.len(), 0);
        let function = self.trampoline(stub, signature);
        let items: Vec<ExceptionTableItem> =
            description.items.into_iter().map(ExceptionTableItem::Context).collect();
        let dfg = &mut self.builder.func.dfg;
        let normal = dfg.block_call(exit, &[]);
        let table = dfg.exception_tables.push(ExceptionTableData::new(signature, normal, items));
        self.builder.set_srcloc(location);
        self.builder.ins().try_call(function, args, table);
        self.builder.set_srcloc(no_location());
    }
    /// Fills the block that all exits share.
    pub fn finish_exits(&mut self) {
        if let Some(block) = self.exit_block {
            self.start_block(block);
            // The context is where the trampolines find it, too: exits keep no register for it.
            let context = self.load_home(types::I64, CONTEXT_HOME);
            let flags = self.regions.context;
            let [first, second] = [0, 8].map(|offset| {
                self.builder.ins().load(types::I64, flags, context, offsets::EXIT_RESULTS + offset)
            });
            self.builder.ins().return_(&[first, second]);
        }
    }

    /// At the instruction before which it is due: the check for room on both stacks.
    pub fn check_stacks_before(&mut self, data: &InstData) -> Result<(), LowerError> {
        if self.room_check != Some(self.inst) {
            return Ok(());
        }
        let state = self.state_before(data)?;
        let exit = self.cold_block();
        let size = i64::from(self.function.window_size()) * i64::from(self.language.encoding.size());
        let end = self.builder.ins().iadd_imm_s(self.window, size);
        let limit = self.load_context(types::I64, offsets::WINDOW_LIMIT);
        let is_full = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, limit);
        let go_on = self.builder.create_block();
        self.builder.ins().brif(is_full, exit, &[], go_on, &[]);
        self.start_block(go_on);
        let stack_pointer = self.builder.ins().get_stack_pointer(types::I64);
        let limit = self.load_context(types::I64, offsets::NATIVE_LIMIT);
        let is_full = self.builder.ins().icmp(IntCC::UnsignedLessThan, stack_pointer, limit);
        let go_on = self.builder.create_block();
        self.builder.ins().brif(is_full, exit, &[], go_on, &[]);
        self.start_block(exit);
        let pc = self.function.states[state].resume.pc;
        self.exit(state, ExitReason::Guard(GuardReason::Stack, pc))?;
        self.start_block(go_on);
        Ok(())
    }
}
