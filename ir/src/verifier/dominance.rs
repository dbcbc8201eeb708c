//! Rules 7 and 14: definitions come before uses, proofs before what they prove.

use super::{Report, Rule};
use crate::analysis::{ControlFlow, Dominators, Positions};

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
            if !function.insts[proof].opcode.is_guard() {
                report.at_inst(Rule::Provenance, block, inst, format!("proof {proof} is no guard"));
            }
            if !positions.dominates(dominators, proof, inst) {
                report.at_inst(Rule::Provenance, block, inst, format!("proof {proof} does not dominate it"));
            }
        }
    }
}
