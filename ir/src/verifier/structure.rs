//! Rules 1 to 3: that the function is one, and what its blocks are like.

use super::{Report, Rule, Stage};
use crate::analysis::{BitSet, ControlFlow};
use crate::entity::{Block, Inst, Value};
use crate::frame_state::FrameState;
use crate::function::{Entry, Immediate, InstData, ValueDef};
use crate::opcode::Opcode;
use crate::text::state_text;

/// Rule 1. Everything after this may index without fear.
pub(super) fn check(report: &mut Report) {
    let function = report.function;
    if function.layout.is_empty() {
        report.add(Rule::Entry, None, String::new(), "there is no entry block");
    }
    let mut seen_blocks = BitSet::new();
    let mut seen_insts = BitSet::new();
    for &block in &function.layout {
        if !function.blocks.is_valid(block) {
            report.add(
                Rule::Structure,
                Some(block),
                String::new(),
                "the layout names a block that does not exist",
            );
            continue;
        }
        if !seen_blocks.insert(block) {
            report.add(Rule::Structure, Some(block), String::new(), "the block is in the layout twice");
            continue;
        }
        for (position, &param) in function.blocks[block].params.iter().enumerate() {
            let definition = function.values.get(param).map(|value| value.def);
            if definition != Some(ValueDef::Param(block, position as u32)) {
                let message = format!("parameter {param} is defined as {definition:?}");
                report.add(Rule::Structure, Some(block), String::new(), message);
            }
        }
        for &inst in &function.blocks[block].insts {
            if !function.insts.is_valid(inst) {
                report.add(Rule::Structure, Some(block), inst.to_string(), "the instruction does not exist");
            } else if !seen_insts.insert(inst) {
                report.at_inst(Rule::Structure, block, inst, "the instruction stands in two places");
            } else {
                check_inst(report, block, inst);
            }
        }
    }
    check_frames(report);
    check_states(report);
}

fn check_inst(report: &mut Report, block: Block, inst: Inst) {
    let function = report.function;
    let data = &function.insts[inst];
    if let Some(result) = data.result
        && function.values.get(result).map(|value| value.def) != Some(ValueDef::Result(inst))
    {
        report.at_inst(Rule::Structure, block, inst, format!("{result} is not recorded as its result"));
    }
    for value in data.operands() {
        if !is_defined(report, value) {
            report.at_inst(Rule::Structure, block, inst, format!("operand {value} has no definition"));
        }
    }
    for target in &data.targets {
        if !function.layout.contains(&target.block) {
            report.at_inst(
                Rule::Structure,
                block,
                inst,
                format!("target {} is not in the layout", target.block),
            );
        }
    }
    for state in data.state.into_iter().chain(data.after) {
        if !function.states.is_valid(state) {
            report.at_inst(Rule::Structure, block, inst, format!("{state} does not exist"));
        }
    }
    for &proof in &data.proofs {
        if !function.insts.is_valid(proof) {
            report.at_inst(Rule::Structure, block, inst, format!("proof {proof} does not exist"));
        }
    }
}
fn is_defined(report: &Report, value: Value) -> bool {
    report.function.values.get(value).is_some_and(|value| value.def != ValueDef::Removed)
}

fn check_frames(report: &mut Report) {
    let function = report.function;
    if function.frames.is_empty() {
        report.add(Rule::Structure, None, String::new(), "frame 0, the function itself, is missing");
    }
    for (id, frame) in &function.frames {
        let place = format!("{id}");
        match frame.parent {
            None if id.as_u32() == 0 => {}
            // Parents with lower numbers: no chain has a circle.
            Some(parent) if id.as_u32() > 0 && parent < id => {}
            parent => report.add(
                Rule::Structure,
                None,
                place,
                format!("the frame's parent is {parent:?}, not a frame before it"),
            ),
        }
    }
}

/// States that instructions carry, and the states around them.
fn check_states(report: &mut Report) {
    let function = report.function;
    let mut seen = BitSet::new();
    for (_, _, data) in report.insts() {
        for start in data.state.into_iter().chain(data.after) {
            let mut length = 0;
            let mut next = Some(start);
            while let Some(id) = next {
                let Some(state) = function.states.get(id) else {
                    report.add(Rule::Structure, None, id.to_string(), "the frame state does not exist");
                    break;
                };
                if length > function.frames.len() {
                    let message = "the chain of states around it is longer than the tree of frames is high";
                    report.add(Rule::Structure, None, state_text(function, start), message);
                    break;
                }
                length += 1;
                if seen.insert(id) {
                    check_state(report, state_text(function, id), state);
                }
                next = state.parent;
            }
        }
    }
}
fn check_state(report: &mut Report, text: String, state: &FrameState) {
    if !report.function.frames.is_valid(state.frame) {
        report.add(Rule::Structure, None, text.clone(), format!("{} does not exist", state.frame));
    }
    for value in state.values() {
        if !is_defined(report, value) {
            report.add(Rule::Structure, None, text.clone(), format!("{value} has no definition"));
        }
    }
}

/// Rules 2 and 3, and what of rule 8 concerns blocks.
pub(super) fn check_blocks(report: &mut Report, graph: &ControlFlow, stage: Stage) {
    let function = report.function;
    let entry = function.entry_block();
    if !function.blocks[entry].params.is_empty() {
        report.add(Rule::Entry, Some(entry), String::new(), "the entry block has parameters");
    }
    for &block in &function.layout {
        if stage == Stage::Lowerable && !graph.is_reachable(block) {
            report.add(Rule::Stages, Some(block), String::new(), "the block can't be reached");
        }
        let insts = &function.blocks[block].insts;
        if insts.is_empty() {
            report.add(Rule::Terminators, Some(block), String::new(), "the block is empty");
        }
        for (position, &inst) in insts.iter().enumerate() {
            let data = &function.insts[inst];
            let is_last = position + 1 == insts.len();
            if data.opcode.is_terminator() && !is_last {
                report.at_inst(Rule::Terminators, block, inst, "a terminator in the middle of a block");
            } else if !data.opcode.is_terminator() && is_last {
                report.at_inst(Rule::Terminators, block, inst, "the block does not end with a terminator");
            }
            let targets = match data.opcode {
                Opcode::Jump => 1,
                Opcode::Branch => 2,
                _ => 0,
            };
            if data.targets.len() != targets {
                let message = format!("{} targets instead of {targets}", data.targets.len());
                report.at_inst(Rule::Terminators, block, inst, message);
            }
            if data.targets.iter().any(|target| target.block == entry) {
                report.at_inst(Rule::Entry, block, inst, "a jump to the entry block");
            }
            check_entry_only(report, block, inst, data);
        }
    }
}
fn check_entry_only(report: &mut Report, block: Block, inst: Inst, data: &InstData) {
    let function = report.function;
    if !matches!(data.opcode, Opcode::Argument | Opcode::SelfClosure | Opcode::ArgumentCount | Opcode::Assume)
    {
        return;
    }
    let entry = function.entry_block();
    if block != entry {
        report.at_inst(Rule::Entry, block, inst, "only the entry block may have this instruction");
    }
    let is_same = |&other: &Inst| {
        other != inst
            && function.insts[other].opcode == Opcode::Assume
            && function.insts[other].immediate == data.immediate
    };
    if data.opcode == Opcode::Assume && function.blocks[entry].insts.iter().any(is_same) {
        report.at_inst(Rule::Entry, block, inst, "the assumption is named twice");
    }
    if data.opcode == Opcode::ArgumentCount && function.entry != Entry::Call {
        report.at_inst(
            Rule::Entry,
            block,
            inst,
            "only a function that is entered by call has a number of arguments",
        );
    }
    let own = function.frames.values().next();
    if let (Immediate::Register(register), Some(frame)) = (data.immediate, own)
        && register.0 >= frame.register_count
    {
        report.at_inst(Rule::Entry, block, inst, format!("the frame has {} registers", frame.register_count));
    }
}
