//! What every activation of a function does first.

use crate::entity::{Inst, KindId, Register};
use crate::frame_state::When;
use crate::function::{Function, Immediate};
use crate::guard::GuardReason;
use crate::opcode::{EffectClass, Opcode};
use smallvec::SmallVec;

/// The instruction of the entry block before which it is checked whether there is room for one more frame on the stacks: the
/// first with a state *before* its bytecode instruction, which is the state to leave with. Nothing has happened until then. A
/// function whose entry block acts before it has any state, or has none, is not checked.
pub fn room_check(function: &Function) -> Option<Inst> {
    for &inst in &function.blocks[*function.layout.first()?].insts {
        let data = &function.insts[inst];
        if data.state.is_some_and(|state| function.states[state].resume.when == When::Before) {
            return Some(inst);
        }
        if matches!(data.opcode.effect(), EffectClass::Write | EffectClass::Call) {
            return None;
        }
    }
    None
}

/// The kinds that the entry block's argument guards check: what callers choose candidates by.
pub fn expectations(function: &Function) -> SmallVec<[(Register, KindId); 4]> {
    let mut expected = SmallVec::new();
    for &inst in &function.blocks[function.entry_block()].insts {
        let data = &function.insts[inst];
        let (Opcode::GuardKind, Immediate::KindReason(kind, GuardReason::Argument)) =
            (data.opcode, data.immediate)
        else {
            continue;
        };
        if let Some(argument) =
            data.args.first().and_then(|&value| function.def_with(value, Opcode::Argument))
            && let Immediate::Register(register) = argument.immediate
            && !expected.contains(&(register, kind))
        {
            expected.push((register, kind));
        }
    }
    expected
}

/// Whether a function asks how many arguments it was called with: then its interpreter frames need to know as well.
pub fn counts_arguments(function: &Function) -> bool {
    function.insts.values().any(|data| data.opcode == Opcode::ArgumentCount)
}
