//! Rule 16: templates of cases.

use super::effects::has_effect;
use super::{Report, Rule, Violation, dominance, structure, types};
use crate::analysis::{ControlFlow, Dominators, Positions};
use crate::entity::{Block, Inst};
use crate::function::{Entry, Function, Immediate, InstData};
use crate::language::Language;
use crate::opcode::{EffectClass, Opcode};
use crate::types::Type;

/// All violations of rules 1, 2, 4 to 7, 14 and 16 in a template with these parameters and this result.
pub fn verify_template(
    template: &Function,
    language: &Language,
    params: &[Type],
    result: Option<Type>,
) -> Vec<Violation> {
    let mut report = Report { function: template, language, violations: Vec::new() };
    structure::check(&mut report);
    if !report.violations.is_empty() {
        return report.violations;
    }
    check_form(&mut report, params);
    let graph = ControlFlow::new(template);
    types::check(&mut report);
    // What a template returns is its operation's result, which need not be boxed.
    report
        .violations
        .retain(|violation| !(violation.rule == Rule::Types && violation.place.starts_with("return")));
    let (dominators, positions) = (Dominators::new(&graph), Positions::new(template));
    dominance::check(&mut report, &graph, &dominators, &positions);
    let mut effect = false;
    for &block in &template.layout {
        let is_first = block == template.entry_block();
        if !graph.is_reachable(block) {
            report.add(Rule::Templates, Some(block), String::new(), "nothing leads to this block".to_owned());
        }
        for &inst in &template.blocks[block].insts {
            let data = &template.insts[inst];
            check_inst(&mut report, block, inst, data);
            if data.opcode == Opcode::Return {
                check_return(&mut report, block, inst, data, result);
            }
            if data.opcode.is_guard() && (effect || !is_first) {
                report.at_inst(
                    Rule::Templates,
                    block,
                    inst,
                    "a guard stands in the first block, before any effect",
                );
            }
            if data.targets.iter().any(|target| graph.is_retreating(block, target.block)) {
                report.at_inst(Rule::Templates, block, inst, "a template makes no loops");
            }
            effect |= has_effect(language, data);
        }
    }
    report.violations
}

fn check_form(report: &mut Report, params: &[Type]) {
    let template = report.function;
    let entry = template.entry_block();
    let mut wrong = Vec::new();
    if template.entry != Entry::Template {
        wrong.push("the function is no template".to_owned());
    }
    let types: Vec<Type> = template.blocks[entry].params.iter().map(|&param| template.ty(param)).collect();
    if types != params {
        let names = |types: &[Type]| types.iter().map(|ty| ty.name()).collect::<Vec<_>>().join(", ");
        wrong.push(format!("parameters ({}) instead of ({})", names(&types), names(params)));
    }
    if template.frames.len() != 1 || !template.slots.is_empty() {
        wrong.push("a template has no frames and no slots".to_owned());
    }
    if template.blocks[entry].insts.is_empty() {
        wrong.push("the template is empty".to_owned());
    }
    for message in wrong {
        report.add(Rule::Templates, Some(entry), String::new(), message);
    }
}

fn check_inst(report: &mut Report, block: Block, inst: Inst, data: &InstData) {
    if data.state.is_some()
        || data.after.is_some()
        || data.site.is_some()
        || data.pinned
        || !data.proofs.is_empty()
    {
        report.at_inst(
            Rule::Templates,
            block,
            inst,
            "states, sites and proofs come when the case is inlined",
        );
    }
    let is_allowed = match data.opcode.effect() {
        EffectClass::Call => data.opcode == Opcode::CallExtern,
        EffectClass::Terminator => matches!(data.opcode, Opcode::Return | Opcode::Jump | Opcode::Branch),
        EffectClass::Pure | EffectClass::Read | EffectClass::Write | EffectClass::Guard => {
            !matches!(data.immediate, Immediate::Register(_) | Immediate::Slot(_) | Immediate::Recipe(_))
                && !matches!(data.opcode, Opcode::SelfClosure | Opcode::ArgumentCount)
        }
    };
    if !is_allowed {
        report.at_inst(Rule::Templates, block, inst, "a template can't have this instruction");
    }
    if let Immediate::Extern(id) = data.immediate
        && report.language.externs.get(id).is_some_and(|function| function.effects.may_deoptimize())
    {
        report.at_inst(
            Rule::Templates,
            block,
            inst,
            "a template can't call an extern that may run guest code",
        );
    }
}

fn check_return(report: &mut Report, block: Block, inst: Inst, data: &InstData, result: Option<Type>) {
    let types: Vec<Type> = data.args.iter().map(|&value| report.function.ty(value)).collect();
    if types != result.as_slice() {
        let expected = result.map_or("nothing".to_owned(), |ty| format!("one value of type {ty}"));
        report.at_inst(Rule::Templates, block, inst, format!("the case returns {expected}"));
    }
}
