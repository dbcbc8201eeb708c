//! Unbox parameters: a block parameter that is boxed from one kind on every way in carries the payload instead.
//!
//! The kinds of all boxed parameters are found together, optimistically: each starts as "not known yet", and takes the kind of
//! what comes in; a loop's parameter that comes back as a box of itself plus one is an integer because nothing says otherwise.
//! Where the only ways in that are not boxes come from outside a loop and the loop guards the parameter, the guard moves to
//! those ways: once per loop instead of once per round, with the state of the header's poll.

use super::Environment;
use super::edit::{self, Replacements};
use cranelift_entity::SecondaryMap;
use rustc_hash::{FxHashMap, FxHashSet};
use surmise_ir::analysis::{ControlFlow, Dominators, LoopForest};
use surmise_ir::entity::{Block, FrameStateId, Inst, KindId, Pc, UnitId, Value};
use surmise_ir::frame_state::When;
use surmise_ir::function::{Function, Immediate, InstData, ValueDef};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Language;
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;

/// What is known of a boxed value.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Fact {
    /// Nothing has come in yet.
    #[default]
    Unseen,
    /// Always this kind.
    Kind(KindId),
    /// Different things.
    Mixed,
}

impl Fact {
    fn meet(self, other: Fact) -> Fact {
        match (self, other) {
            (Fact::Unseen, fact) | (fact, Fact::Unseen) => fact,
            (Fact::Kind(a), Fact::Kind(b)) if a == b => self,
            _ => Fact::Mixed,
        }
    }
}

/// Runs the pass.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    let (flow, dominators, forest) = edit::make_preheaders(function);
    if !forest.loops.is_empty() {
        guard_loop_entries(function, environment, &flow, &dominators, &forest);
    }
    let facts = facts(function);
    let mut chosen: Vec<(Block, Value, KindId)> = Vec::new();
    let mut ran_out = false;
    for &block in &function.layout {
        for &param in &function.blocks[block].params {
            if let Fact::Kind(kind) = facts[param]
                && environment.language.kinds[kind].payload.is_some()
            {
                if environment.fuel.step() {
                    chosen.push((block, param, kind));
                } else {
                    ran_out = true;
                }
            }
        }
    }
    if ran_out {
        drop_unsupported(function, &mut chosen);
    }
    if !chosen.is_empty() {
        unbox(function, environment.language, &chosen);
    }
}

/// When fuel ran out in the middle, parameters that were not chosen stay boxed: what is passed from them is no payload.
fn drop_unsupported(function: &Function, chosen: &mut Vec<(Block, Value, KindId)>) {
    let jumps = jumps(function);
    loop {
        let taken: FxHashSet<Value> = chosen.iter().map(|&(_, param, _)| param).collect();
        let before = chosen.len();
        chosen.retain(|&(block, param, _)| {
            let ValueDef::Param(_, position) = function.values[param].def else { return false };
            jumps.iter().filter(|&&(_, target, _)| target == block).all(|&(inst, _, index)| {
                let arg = function.insts[inst].targets[index].args[position as usize];
                taken.contains(&arg) || function.def_with(arg, Opcode::Box).is_some()
            })
        });
        if chosen.len() == before {
            return;
        }
    }
}

fn fact_of(function: &Function, facts: &SecondaryMap<Value, Fact>, value: Value) -> Fact {
    match function.values[value].def {
        ValueDef::Param(..) => facts[value],
        ValueDef::Result(inst) => match (function.insts[inst].opcode, function.insts[inst].immediate) {
            (Opcode::Box, Immediate::Kind(kind)) => Fact::Kind(kind),
            _ => Fact::Mixed,
        },
        ValueDef::Removed => Fact::Mixed,
    }
}

/// All jumps into blocks: (source's terminator, target, position among the terminator's targets).
fn jumps(function: &Function) -> Vec<(Inst, Block, usize)> {
    let mut jumps = Vec::new();
    for &block in &function.layout {
        let Some(inst) = function.terminator(block) else { continue };
        for (index, target) in function.insts[inst].targets.iter().enumerate() {
            jumps.push((inst, target.block, index));
        }
    }
    jumps
}

fn facts(function: &Function) -> SecondaryMap<Value, Fact> {
    let mut facts: SecondaryMap<Value, Fact> = SecondaryMap::new();
    for &param in &function.blocks[function.entry_block()].params {
        facts[param] = Fact::Mixed;
    }
    let jumps = jumps(function);
    // The lattice has three levels: each parameter changes at most twice.
    loop {
        let mut changed = false;
        for &(inst, target, index) in &jumps {
            for (&param, &arg) in
                function.blocks[target].params.iter().zip(&function.insts[inst].targets[index].args)
            {
                if function.ty(param) != Type::Any {
                    continue;
                }
                let met = facts[param].meet(fact_of(function, &facts, arg));
                if met != facts[param] {
                    facts[param] = met;
                    changed = true;
                }
            }
        }
        if !changed {
            return facts;
        }
    }
}

/// Replaces the chosen parameters by parameters of their payloads' types.
fn unbox(function: &mut Function, language: &Language, chosen: &[(Block, Value, KindId)]) {
    let mut replacements = Replacements::default();
    let mut payloads: FxHashMap<Value, Value> = FxHashMap::default();
    let mut by_block: FxHashMap<Block, Vec<(Value, KindId)>> = FxHashMap::default();
    for &(block, param, kind) in chosen {
        let ty = language.kinds[kind].payload.expect("only kinds with a payload are chosen");
        let payload = function.add_param(block, ty);
        payloads.insert(param, payload);
        by_block.entry(block).or_default().push((param, kind));
    }
    // Arguments: payloads of what is passed for the boxed parameter, appended in the order in which the parameters were added.
    for (inst, target, index) in jumps(function) {
        let Some(params) = by_block.get(&target) else { continue };
        for &(param, _) in params {
            let ValueDef::Param(_, position) = function.values[param].def else { continue };
            let arg = function.insts[inst].targets[index].args[position as usize];
            let payload = match payloads.get(&arg) {
                Some(&payload) => payload,
                None => function.def_with(arg, Opcode::Box).expect("the fact came from a box").args[0],
            };
            function.insts[inst].targets[index].args.push(payload);
        }
    }
    // The boxed parameters go; a box at the block's head stands for them.
    for (&block, params) in &by_block {
        let mut heads = Vec::new();
        for &(param, kind) in params {
            let ValueDef::Param(_, position) = function.values[param].def else { continue };
            for (inst, target, index) in jumps(function) {
                if target == block {
                    function.insts[inst].targets[index].args.remove(position as usize);
                }
            }
            function.remove_param(block, position as usize);
            let head = function.make_inst(
                InstData::new(Opcode::Box, &[payloads[&param]], Immediate::Kind(kind)),
                Some(Type::Any),
            );
            replacements.replace(param, function.result(head));
            heads.push(head);
        }
        function.blocks[block].insts.splice(0..0, heads);
    }
    replacements.apply(function);
}

/// The state with which a loop's header starts: that of its poll.
pub(super) fn header_state(function: &Function, header: Block) -> Option<FrameStateId> {
    let &first =
        function.blocks[header].insts.iter().find(|&&inst| function.insts[inst].opcode != Opcode::Box)?;
    let data = &function.insts[first];
    let state = data.state.filter(|_| data.opcode == Opcode::Poll)?;
    (function.states[state].resume.when == When::Before).then_some(state)
}

/// For parameters of loop headers that are a kind on all back-edges but not on the ways in from outside, and that the loop
/// guards to be of that kind: guards them on the ways in.
fn guard_loop_entries(
    function: &mut Function,
    environment: &mut Environment<'_>,
    flow: &ControlFlow,
    dominators: &Dominators,
    forest: &LoopForest,
) {
    // What each parameter is guarded to be, if the guard stands in its block's dominance region: any such guard will do that is a
    // guess about the same unit.
    let mut guarded: FxHashMap<(Value, UnitId), (KindId, GuardReason, Option<Pc>)> = FxHashMap::default();
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            let data = &function.insts[inst];
            if let (Opcode::GuardKind, Immediate::KindReason(kind, reason)) = (data.opcode, data.immediate) {
                let Some(state) = data.state else { continue };
                let site = data.site.unwrap_or(function.states[state].resume.pc);
                let guess = (data.args[0], edit::unit_at(function, state));
                guarded.entry(guess).or_insert((kind, reason, Some(site)));
            }
        }
    }
    for header in function.layout.clone() {
        if forest.headed_by(header).is_none() {
            continue;
        }
        let (inside, outside): (Vec<Block>, Vec<Block>) =
            flow.predecessors(header).iter().copied().partition(|&from| dominators.dominates(header, from));
        let Some(state) = header_state(function, header) else { continue };
        for param in function.blocks[header].params.clone() {
            let guess = (param, edit::unit_at(function, state));
            let Some(&(kind, reason, site)) = guarded.get(&guess) else { continue };
            let ValueDef::Param(_, position) = function.values[param].def else { continue };
            let is_kind = |function: &Function, value: Value| {
                function
                    .def_with(value, Opcode::Box)
                    .is_some_and(|data| data.immediate == Immediate::Kind(kind))
            };
            let arg_of = |function: &Function, from: Block| -> Option<Value> {
                let inst = function.terminator(from)?;
                let mut targets = function.insts[inst].targets.iter().filter(|target| target.block == header);
                let arg = targets.next()?.args[position as usize];
                targets.next().is_none().then_some(arg)
            };
            let all_inside = inside.iter().all(|&from| {
                arg_of(function, from).is_some_and(|arg| arg == param || is_kind(function, arg))
            });
            if !all_inside || environment.language.kinds[kind].payload.is_none() {
                continue;
            }
            for &from in &outside {
                // Only where the way in is the block's only way out is its end the loop's entry.
                if flow.successors(from).len() != 1 {
                    continue;
                }
                let Some(arg) = arg_of(function, from) else { continue };
                if is_kind(function, arg) || !environment.fuel.step() {
                    continue;
                }
                guard_edge(
                    function,
                    environment.language,
                    from,
                    header,
                    position as usize,
                    state,
                    kind,
                    reason,
                    site,
                );
            }
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn guard_edge(
    function: &mut Function,
    language: &Language,
    from: Block,
    header: Block,
    position: usize,
    state: FrameStateId,
    kind: KindId,
    reason: GuardReason,
    site: Option<Pc>,
) {
    let terminator = function.terminator(from).expect("a predecessor has its terminator");
    let args = function.insts[terminator].targets[0].args.clone();
    let params = function.blocks[header].params.clone();
    let passed: FxHashMap<Value, Value> = params.into_iter().zip(args.iter().copied()).collect();
    let boxes = header_boxes(function, header);
    // The header's own boxes are not made yet at the edge: their payloads are found through the parameters.
    let mut made: Vec<Inst> = Vec::new();
    let mut remade: FxHashMap<Value, Value> = FxHashMap::default();
    for (boxed, payload, boxed_kind) in boxes {
        let payload = passed.get(&payload).copied().unwrap_or(payload);
        let inst = function
            .make_inst(InstData::new(Opcode::Box, &[payload], Immediate::Kind(boxed_kind)), Some(Type::Any));
        remade.insert(boxed, function.result(inst));
        made.push(inst);
    }
    let map = |value: Value| passed.get(&value).or_else(|| remade.get(&value)).copied().unwrap_or(value);
    let state = edit::copy_state(function, state, &map);
    let mut guard = InstData::new(Opcode::GuardKind, &[args[position]], Immediate::KindReason(kind, reason));
    guard.state = Some(state);
    guard.site = site;
    let guard = function.make_inst(guard, language.kinds[kind].payload);
    let payload = function.result(guard);
    let boxed =
        function.make_inst(InstData::new(Opcode::Box, &[payload], Immediate::Kind(kind)), Some(Type::Any));
    function.insts[terminator].targets[0].args[position] = function.result(boxed);
    made.extend([guard, boxed]);
    let end = function.blocks[from].insts.len() - 1;
    function.blocks[from].insts.splice(end..end, made);
}

/// The boxes at the head of a block, before anything else: (boxed, payload, kind).
pub(super) fn header_boxes(function: &Function, header: Block) -> Vec<(Value, Value, KindId)> {
    function.blocks[header]
        .insts
        .iter()
        .map_while(|&inst| {
            let data = &function.insts[inst];
            match (data.opcode, data.immediate, data.result) {
                (Opcode::Box, Immediate::Kind(kind), Some(boxed)) => {
                    Some((boxed, data.args.first().copied(), kind))
                }
                _ => None,
            }
        })
        .filter_map(|(boxed, payload, kind)| Some((boxed, payload?, kind)))
        .collect()
}
