//! Rules 8 to 12 and 15: frame states, where they are due and what is in them; window registers.

use super::{LiveOracle, Report, Rule, Stage};
use crate::analysis::{BitSet, ControlFlow};
use crate::entity::{Block, FrameStateId, Inst, Register};
use crate::frame_state::When;
use crate::function::{Immediate, InstData, Wanted};
use crate::opcode::{EffectClass, Opcode};
use crate::text::state_text;
use crate::types::Type;

pub(super) fn check(report: &mut Report, graph: &ControlFlow, stage: Stage, live: Option<LiveOracle<'_>>) {
    let function = report.function;
    let mut seen: BitSet<FrameStateId> = BitSet::new();
    for (block, inst, data) in report.insts() {
        if !graph.is_reachable(block) || !function.immediate_exists(report.language, &data.immediate) {
            continue;
        }
        check_due(report, block, inst, data);
        check_stage(report, block, inst, data, stage);
        check_window(report, block, inst, data);
        for start in data.state.into_iter().chain(data.after) {
            for state in function.state_chain(start) {
                if seen.insert(state) {
                    check_state(report, block, state, live);
                }
            }
        }
    }
}

/// Whether an instruction has a state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Never,
    Optional,
    Before,
    Always,
}

fn check_due(report: &mut Report, block: Block, inst: Inst, data: &InstData) {
    let language = report.language;
    let after_call = |may_deoptimize| if may_deoptimize { Due::Always } else { Due::Optional };
    let (state, after) = match (data.opcode, data.immediate) {
        (opcode, _) if opcode.is_guard() => (Due::Always, Due::Never),
        (Opcode::Poll, _) => (Due::Before, Due::Never),
        (Opcode::Deoptimize, _) => (Due::Always, Due::Never),
        (Opcode::Branch, _) => (Due::Optional, Due::Never),
        (Opcode::CallGuest | Opcode::CallUnit, _) => (Due::Before, Due::Always),
        (Opcode::Operation, Immediate::Operation(id, _)) => {
            let fallback = language.externs.get(language.operations[id].fallback);
            (Due::Before, after_call(fallback.is_some_and(|fallback| fallback.effects.may_deoptimize())))
        }
        (Opcode::CallExtern, Immediate::Extern(id)) => {
            (Due::Optional, after_call(language.externs[id].effects.may_deoptimize()))
        }
        _ => (Due::Never, Due::Never),
    };
    let function = report.function;
    let when = |state: FrameStateId| function.states[state].resume.when;
    match (state, data.state) {
        (Due::Never, Some(_)) => {
            report.at_inst(Rule::StatesDue, block, inst, "it never leaves, but has a state")
        }
        (Due::Always | Due::Before, None) => {
            report.at_inst(Rule::StatesDue, block, inst, "it has no state to leave with")
        }
        (Due::Before, Some(state)) if when(state) != When::Before => {
            report.at_inst(
                Rule::StatesDue,
                block,
                inst,
                "its state is not one before its bytecode instruction",
            );
        }
        _ => {}
    }
    match (after, data.after) {
        (Due::Never, Some(_)) => {
            report.at_inst(Rule::StatesDue, block, inst, "it has a state after, which it never leaves with")
        }
        (Due::Always | Due::Before, None) => {
            report.at_inst(Rule::StatesDue, block, inst, "it may run guest code, but has no state after");
        }
        (_, Some(after)) => {
            if when(after) != When::After {
                report.at_inst(
                    Rule::StatesDue,
                    block,
                    inst,
                    "its state after is not one after a bytecode instruction",
                );
            }
            if !function.states[after].results.is_empty() {
                report.at_inst(
                    Rule::States,
                    block,
                    inst,
                    "the results of its state after are what it gives itself",
                );
            }
        }
        _ => {}
    }
    // A guard that is known to fail became a `deoptimize`: it still speaks of the same guess.
    let is_guess = data.opcode.is_guard() || data.opcode == Opcode::Deoptimize;
    if data.site.is_some() && !is_guess {
        report.at_inst(Rule::StatesDue, block, inst, "only guards have sites");
    }
    if data.pinned && !is_guess && data.opcode != Opcode::Assume {
        report.at_inst(Rule::StatesDue, block, inst, "only guards and assumptions are pinned");
    }
}

fn check_stage(report: &mut Report, block: Block, inst: Inst, data: &InstData, stage: Stage) {
    if stage != Stage::Generic {
        return;
    }
    if data.opcode.is_guard() || matches!(data.opcode, Opcode::CallUnit | Opcode::Assume) {
        report.at_inst(Rule::Stages, block, inst, "a guess in a generic function");
    }
    if !data.proofs.is_empty() {
        report.at_inst(Rule::Stages, block, inst, "a proof in a generic function");
    }
}

fn check_window(report: &mut Report, block: Block, inst: Inst, data: &InstData) {
    let function = report.function;
    let window = usize::from(function.window_size());
    let end = match (data.opcode, data.immediate) {
        (Opcode::LoadWindow | Opcode::StoreWindow, Immediate::Register(register)) => {
            usize::from(register.0) + 1
        }
        (Opcode::WindowAddress | Opcode::ReturnOpen, Immediate::Register(register)) => {
            usize::from(register.0)
        }
        (_, Immediate::Call(info)) => {
            usize::from(info.window.0) + data.args.len()
                - usize::from(info.open_arguments).min(data.args.len())
        }
        _ => 0,
    };
    if end > window {
        report.at_inst(Rule::Window, block, inst, format!("the window has {window} registers"));
    }
    if data.opcode == Opcode::ResultCount {
        let insts = &function.blocks[block].insts;
        let before = insts.iter().take_while(|&&other| other != inst);
        let call = before
            .map(|&inst| &function.insts[inst])
            .filter(|data| data.opcode.effect() == EffectClass::Call && data.opcode != Opcode::ResultCount)
            .last();
        let is_open =
            |data: &InstData| matches!(data.immediate, Immediate::Call(info) if info.wanted == Wanted::Open);
        if !call.is_some_and(is_open) {
            report.at_inst(Rule::Window, block, inst, "the last call in its block is none with open results");
        }
    }
}

fn check_state(report: &mut Report, block: Block, id: FrameStateId, live: Option<LiveOracle<'_>>) {
    let function = report.function;
    let state = &function.states[id];
    let frame = &function.frames[state.frame];
    let mut wrong = Vec::new();
    match (frame.parent, state.parent) {
        (None, None) => {
            if state.callee.is_some() {
                wrong.push((Rule::Frames, "frame 0 finds its callee in its window".to_owned()));
            }
        }
        (None, Some(_)) => wrong.push((Rule::Frames, "no frame is around frame 0".to_owned())),
        (Some(parent), None) => {
            wrong.push((Rule::Frames, format!("the state of {parent} around it is missing")))
        }
        (Some(parent), Some(around)) => {
            let around = &function.states[around];
            if around.frame != parent {
                wrong.push((
                    Rule::Frames,
                    format!("its parent is a state of {}, not of {parent}", around.frame),
                ));
            }
            if around.resume.when != When::After {
                wrong.push((Rule::Frames, "its parent goes on before a call, not after it".to_owned()));
            }
            if !around.results.is_empty() {
                wrong
                    .push((Rule::Frames, "its parent has results, which the call is yet to give".to_owned()));
            }
            if state.callee.is_none() {
                wrong.push((Rule::Frames, "an inlined frame needs its callee".to_owned()));
            }
        }
    }
    let boxed = state
        .registers
        .iter()
        .map(|&(_, value)| value)
        .chain(state.callee)
        .chain(state.results.iter().copied());
    for value in boxed.filter(|&value| function.ty(value) != Type::Any) {
        wrong.push((Rule::States, format!("{value} is of type {}, not boxed", function.ty(value))));
    }
    if !state.registers.is_sorted_by(|a, b| a.0 < b.0) {
        wrong.push((Rule::States, "the registers don't ascend".to_owned()));
    }
    let inside = |register: Register| register.0 < frame.register_count;
    for &(register, _) in state.registers.iter().filter(|&&(register, _)| !inside(register)) {
        wrong.push((
            Rule::States,
            format!("{register} is outside the frame's {} registers", frame.register_count),
        ));
    }
    if let Some((register, count)) = state.open {
        if register.0 > frame.register_count {
            wrong.push((
                Rule::States,
                format!("the open run starts outside the frame's {} registers", frame.register_count),
            ));
        }
        if function.ty(count) != Type::I64 {
            wrong.push((
                Rule::States,
                format!("the open run's length {count} is of type {}", function.ty(count)),
            ));
        }
    }
    if state.resume.when == When::Before && !state.results.is_empty() {
        wrong.push((Rule::States, "results in a state before its bytecode instruction".to_owned()));
    }
    if let Some(live) = live.and_then(|live| live(frame.unit, state.resume)) {
        let in_window = |register: Register| state.open.is_some_and(|(start, _)| register >= start);
        let is_mapped = |register: Register| state.registers.iter().any(|&(mapped, _)| mapped == register);
        for register in live.into_iter().filter(|&register| !is_mapped(register) && !in_window(register)) {
            wrong.push((Rule::Completeness, format!("{register} is live there and not mapped")));
        }
    }
    for (rule, message) in wrong {
        report.add(rule, Some(block), state_text(function, id), message);
    }
}
