//! Takes out loads that nobody uses.
//!
//! Translation reads whole pairs, reads a payload once more as a float where that may be wanted, and reloads every root after
//! each safepoint. The code generator removes what is unused only among instructions that it may move, and loads here never may
//! be. So they are counted here: a load without uses goes, and whatever computed its address for nothing goes with it.

use cranelift_codegen::ir::{Function, Inst, Opcode, Value, ValueDef};
use cranelift_entity::SecondaryMap;

/// Whether an instruction can go when its results are unused.
fn is_removable(opcode: Opcode) -> bool {
    // No load traps: all are marked so.
    !(opcode.is_call()
        || opcode.is_branch()
        || opcode.is_terminator()
        || opcode.can_store()
        || opcode.other_side_effects()
        || (opcode.can_trap() && !opcode.can_load()))
}

/// Removes unused loads, and what only they use.
pub(super) fn remove(function: &mut Function) {
    let mut uses: SecondaryMap<Value, u32> = SecondaryMap::with_capacity(function.dfg.num_values());
    let mut loads: Vec<Inst> = Vec::new();
    for block in function.layout.blocks() {
        for inst in function.layout.block_insts(block) {
            if function.dfg.insts[inst].opcode().can_load() {
                loads.push(inst);
            }
            for value in function.dfg.inst_values(inst) {
                uses[function.dfg.resolve_aliases(value)] += 1;
            }
        }
    }
    let mut work = loads;
    while let Some(inst) = work.pop() {
        let is_unused = function.dfg.inst_results(inst).iter().all(|&result| uses[result] == 0);
        if !is_unused
            || !is_removable(function.dfg.insts[inst].opcode())
            || function.layout.inst_block(inst).is_none()
        {
            continue;
        }
        for index in 0..function.dfg.inst_args(inst).len() {
            let value = function.dfg.resolve_aliases(function.dfg.inst_args(inst)[index]);
            uses[value] -= 1;
            if uses[value] == 0
                && let ValueDef::Result(definition, _) = function.dfg.value_def(value)
            {
                work.push(definition);
            }
        }
        function.layout.remove_inst(inst);
    }
}
