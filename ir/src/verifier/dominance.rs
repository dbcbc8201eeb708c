//! Rules 7 and 14: definitions come before uses, proofs before what they prove.

use super::{Report, Rule};
use crate::analysis::{ControlFlow, Dominators, Positions};
use crate::opcode::Opcode;

pub(super) fn check(
    report: &mut Report,
    graph: &ControlFlow,
    dominators: &Dominators,
    positions: &Positions,
) {
    let function = report.function;
    for (block, inst, data) in report.insts() {
        if !graph.is_reachable(block) {
            continue;
        }
        let is_defined = |value| positions.defines_before(function, dominators, value, inst);
        for value in data.operands() {
            if !is_defined(value) {
                report.at_inst(
                    Rule::Dominance,
                    block,
                    inst,
                    format!("operand {value} is not defined on every way to here"),
                );
            }
        }
        for start in data.state.into_iter().chain(data.after) {
            for state in function.state_chain(start) {
                for value in function.states[state].values().filter(|&value| !is_defined(value)) {
                    let message = format!("{value} in {state} is not defined on every way to here");
                    report.at_inst(Rule::Dominance, block, inst, message);
                }
            }
        }
        for &proof in &data.proofs {
            let by = &function.insts[proof];
            if !by.opcode.may_prove() {
                let message = format!("proof {proof} is neither a guard nor an assumption nor a branch");
                report.at_inst(Rule::Provenance, block, inst, message);
            }
            if !positions.dominates(dominators, proof, inst) {
                report.at_inst(Rule::Provenance, block, inst, format!("proof {proof} does not dominate it"));
            }
            if let (Opcode::Branch, [holds, fails]) = (by.opcode, &by.targets[..]) {
                let is_only_way = graph.predecessors(holds.block).len() == 1 && holds.block != fails.block;
                if !is_only_way || !dominators.dominates(holds.block, block) {
                    let message = format!("the first way of the branch {proof} does not dominate it");
                    report.at_inst(Rule::Provenance, block, inst, message);
                }
            }
        }
    }
}
