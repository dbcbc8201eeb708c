//! Specialize: generic operations become their cases, chosen by facts and by the log.
//!
//! The walk goes down the dominator tree. When a value's kind is not proved but the log saw only one, a `guard_kind` is
//! inserted, and in everything that the guard dominates the value is known as `box kind payload`: the data dependence on the
//! payload *is* the proof (verifier rule 6). Guards without a result that a case's template makes are named as proofs by the
//! template's later instructions.
//!
//! * Operands: the first case whose patterns are proved, or seen and not refused, is inlined.
//! * Results of calls and of operations that read memory are guarded to be of the kind that was seen, with the state *after*
//!   the bytecode instruction and the value as pending result. Those guards, and those of arguments, exist only to know more:
//!   `dead_code` removes them when nothing depends on them. Guards of operands stay, since they also prove that the operation
//!   has no other effect (an error, a metamethod).
//! * A site that the log never saw, in a unit that it saw well, becomes `deoptimize`.
//! * Calls of closures go through the unit's entry cell; calls of known natives become the intrinsic's case.

use super::{Environment, edit};
use crate::profile::SiteProfile;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use surmise_ir::analysis::{ControlFlow, Dominators};
use surmise_ir::entity::{Block, FrameStateId, Inst, KindId, Pc, Value};
use surmise_ir::frame_state::When;
use surmise_ir::function::{Entry, Function, Immediate, InstData, ValueDef, Wanted};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::{Case, Language, OperandPattern, Recipe, WordUse};
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;

/// Runs the pass.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    let flow = ControlFlow::new(function);
    let dominators = Dominators::new(&flow);
    let entry = function.entry_block();
    let mut walk = Walk {
        language: environment.language,
        profile: environment.profile,
        fuel: environment.fuel,
        function,
        flow: &flow,
        renamed: FxHashMap::default(),
        undo: Vec::new(),
        mapped_states: FxHashMap::default(),
        out: Vec::new(),
        well_seen: false,
    };
    walk.well_seen = walk.is_well_seen();
    // Explicit stack: functions may be deep in blocks.
    enum Step {
        Enter(Block),
        Leave(usize),
    }
    let mut steps = vec![Step::Enter(entry)];
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(block) => {
                steps.push(Step::Leave(walk.undo.len()));
                walk.block(block);
                steps.extend(dominators.children(block).iter().rev().map(|&child| Step::Enter(child)));
            }
            Step::Leave(mark) => walk.undo_to(mark),
        }
    }
    edit::drop_unreachable(function);
}

struct Walk<'a, 'b> {
    language: &'a Language,
    profile: &'a crate::profile::UnitProfile,
    fuel: &'b mut super::Fuel,
    function: &'b mut Function,
    flow: &'b ControlFlow,
    /// What a value is known as here.
    renamed: FxHashMap<Value, Value>,
    /// What to restore when the walk leaves a block's subtree.
    undo: Vec<(Value, Option<Value>)>,
    /// States whose values have been renamed already.
    mapped_states: FxHashMap<FrameStateId, ()>,
    /// The current block's new instructions.
    out: Vec<Inst>,
    well_seen: bool,
}

/// A choice for one operation.
struct Choice<'a> {
    case: &'a Case,
    words: SmallVec<[u32; 4]>,
}

impl<'a> Walk<'a, '_> {
    /// Whether the log saw enough of the unit, in the way in which it is entered, to believe that what it never saw is rare.
    fn is_well_seen(&self) -> bool {
        match self.function.entry {
            Entry::Call => self.profile.entered > 0,
            Entry::Loop(header) => self.profile.loops.get(&header).is_some_and(|&rounds| rounds > 0),
            Entry::Template => false,
        }
    }
    fn rename(&mut self, value: Value, known_as: Value) {
        let old = self.renamed.insert(value, known_as);
        self.undo.push((value, old));
    }
    fn undo_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            let (value, old) = self.undo.pop().expect("the mark is below");
            match old {
                Some(old) => self.renamed.insert(value, old),
                None => self.renamed.remove(&value),
            };
        }
    }
    fn known(&self, mut value: Value) -> Value {
        while let Some(&next) = self.renamed.get(&value) {
            value = next;
        }
        value
    }
    fn map_state(&mut self, state: Option<FrameStateId>) {
        let mut next = state;
        while let Some(state) = next {
            if self.mapped_states.insert(state, ()).is_some() {
                return;
            }
            let mut data = self.function.states[state].clone();
            data.map_values(|value| self.known(value));
            next = data.parent;
            self.function.states[state] = data;
        }
    }

    fn emit(&mut self, data: InstData) -> Inst {
        let result = self.function.result_type(self.language, &data);
        let inst = self.function.make_inst(data, result);
        self.out.push(inst);
        inst
    }

    fn block(&mut self, block: Block) {
        self.out = Vec::with_capacity(self.function.blocks[block].insts.len() * 2);
        for inst in std::mem::take(&mut self.function.blocks[block].insts) {
            self.map_state(self.function.insts[inst].state);
            self.map_state(self.function.insts[inst].after);
            let mut data = self.function.insts[inst].clone();
            data.map_operands(|value| self.known(value));
            self.function.insts[inst] = data.clone();
            let go_on = match data.opcode {
                Opcode::Operation => self.operation(inst, data),
                Opcode::CallGuest => self.call(inst, data),
                Opcode::Poll => self.poll(inst, data, block),
                _ => {
                    self.out.push(inst);
                    true
                }
            };
            if !go_on {
                break;
            }
        }
        self.function.blocks[block].insts = std::mem::take(&mut self.out);
    }

    /// Keeps a poll; behind it, arguments (at the entry) or loop variables (at a loop's header) are guarded to be what they were
    /// seen to be.
    fn poll(&mut self, inst: Inst, data: InstData, block: Block) -> bool {
        self.out.push(inst);
        let state = data.state.expect("a poll has a state");
        let resume = self.function.states[state].resume;
        if resume.when != When::Before || self.profile.is_refused(resume.pc, GuardReason::Argument) {
            return true;
        }
        for (register, value) in self.function.states[state].registers.clone() {
            let is_new_here = match self.function.values[value].def {
                ValueDef::Param(of, _) => of == block,
                ValueDef::Result(inst) => self.function.insts[inst].opcode == Opcode::Argument,
                ValueDef::Removed => false,
            };
            let Some(kind) = self.profile.register_kind(resume.pc, register) else { continue };
            if is_new_here
                && self.language.kinds[kind].payload.is_some()
                && !self.is_passed_otherwise(value, kind)
                && self.fuel.step()
            {
                self.guard_kind(value, kind, GuardReason::Argument, state);
            }
        }
        true
    }

    /// Whether some jump passes a value of another kind for a parameter: a loop that was not peeled, or the round that was.
    fn is_passed_otherwise(&self, param: Value, kind: KindId) -> bool {
        let ValueDef::Param(block, position) = self.function.values[param].def else { return false };
        self.flow.predecessors(block).iter().any(|&from| {
            // A block whose instructions are being rewritten has none: what it passes round is not known yet.
            let Some(inst) = self.function.terminator(from) else { return false };
            let targets = self.function.insts[inst].targets.iter().filter(|target| target.block == block);
            targets.into_iter().any(|target| {
                self.proved_kind(self.known(target.args[position as usize]))
                    .is_some_and(|proved| proved != kind)
            })
        })
    }

    /// Guards a boxed value to be of a kind and makes it known as such from here on. Returns the payload, or for kinds
    /// without one the value itself.
    fn guard_kind(&mut self, value: Value, kind: KindId, reason: GuardReason, state: FrameStateId) -> Value {
        let mut guard = InstData::new(Opcode::GuardKind, &[value], Immediate::KindReason(kind, reason));
        guard.state = Some(state);
        let guard = self.emit(guard);
        let payload = self.function.insts[guard].result;
        let boxed = self.emit(InstData::new(Opcode::Box, payload.as_slice(), Immediate::Kind(kind)));
        let boxed = self.function.result(boxed);
        self.rename(value, boxed);
        payload.unwrap_or(boxed)
    }

    fn proved_kind(&self, value: Value) -> Option<KindId> {
        match self.function.def_with(value, Opcode::Box)?.immediate {
            Immediate::Kind(kind) => Some(kind),
            _ => None,
        }
    }
    /// A boxed value of a proved kind: its payload, or itself for kinds without one.
    fn payload(&self, value: Value) -> Value {
        self.function
            .def_with(value, Opcode::Box)
            .and_then(|data| data.args.first().copied())
            .unwrap_or(value)
    }

    /// The first case that is proved, or seen and not refused.
    fn choose(
        &self,
        cases: &'a [Case],
        args: &[Value],
        pc: Pc,
        site: Option<&SiteProfile>,
    ) -> Option<Choice<'a>> {
        cases.iter().find_map(|case| {
            if case.operands.len() != args.len() || self.is_template_refused(case, pc) {
                return None;
            }
            let mut words = SmallVec::new();
            if let Some(variant) = case.variant {
                let (seen, fact) = site?.fact()?;
                if *seen != variant || fact.len() < case.words.len() || self.is_case_refused(pc) {
                    return None;
                }
                words.extend(fact.iter().copied().take(case.words.len()));
            } else if !case.words.is_empty() {
                return None;
            }
            for (index, (&pattern, &arg)) in case.operands.iter().zip(args).enumerate() {
                let OperandPattern::Kind(kind) = pattern else { continue };
                let matches = match self.proved_kind(arg) {
                    Some(proved) => proved == kind,
                    None => {
                        site.and_then(|site| site.operand_kind(index)) == Some(kind)
                            && !self.profile.is_refused(pc, GuardReason::Kind)
                    }
                };
                if !matches {
                    return None;
                }
            }
            Some(Choice { case, words })
        })
    }
    fn is_case_refused(&self, pc: Pc) -> bool {
        [
            GuardReason::Shape,
            GuardReason::Callee,
            GuardReason::Epoch,
            GuardReason::Present,
            GuardReason::Condition,
        ]
        .into_iter()
        .any(|reason| self.profile.is_refused(pc, reason))
    }

    /// Whether a guard of the case's own template has failed too often here: the next case, or the fallback, does without it.
    fn is_template_refused(&self, case: &Case, pc: Pc) -> bool {
        case.template.insts.values().any(|data| match data.immediate {
            Immediate::Reason(reason) | Immediate::KindReason(_, reason) => {
                self.profile.is_refused(pc, reason)
            }
            _ => false,
        })
    }

    /// Inlines a case. `args` are the operands; returns what the template returns.
    fn inline(
        &mut self,
        choice: &Choice<'a>,
        args: &[Value],
        state: FrameStateId,
        first_proofs: &[Inst],
    ) -> Option<Value> {
        let case = choice.case;
        let template = &case.template;
        let mut values: FxHashMap<Value, Value> = FxHashMap::default();
        let mut insts: FxHashMap<Inst, Inst> = FxHashMap::default();
        let block = template.entry_block();
        let params = &template.blocks[block].params;
        for (index, (&pattern, &arg)) in case.operands.iter().zip(args).enumerate() {
            let value = match pattern {
                OperandPattern::Anything => self.known(arg),
                OperandPattern::Kind(kind) => {
                    let arg = self.known(arg);
                    match self.proved_kind(arg) {
                        Some(proved) if proved == kind => {
                            // That the operation has no other effect rests on what proved the kind.
                            let payload = self.payload(arg);
                            super::edit::pin_guard(self.function, payload);
                            payload
                        }
                        // Another kind is proved only where the log is wrong about the site: then the guard leaves for good.
                        _ => self.guard_kind(arg, kind, GuardReason::Kind, state),
                    }
                }
            };
            values.insert(params[index], value);
        }
        for (index, (&word_use, &word)) in case.words.iter().zip(&choice.words).enumerate() {
            let value = match word_use {
                WordUse::Integer => {
                    self.emit(InstData::new(Opcode::Iconst, &[], Immediate::Integer(i64::from(word))))
                }
                WordUse::Slot(class) => self.emit_slot(Recipe { class, words: [u64::from(word), 0] }),
            };
            values.insert(params[case.operands.len() + index], self.function.result(value));
        }
        let mut proofs: SmallVec<[Inst; 2]> = SmallVec::from_slice(first_proofs);
        for &inst in &template.blocks[block].insts {
            let source = &template.insts[inst];
            if source.opcode == Opcode::Return {
                return source.args.first().map(|value| values[value]);
            }
            let mut data = source.clone();
            data.map_operands(|value| values[&value]);
            if let Immediate::Slot(slot) = data.immediate {
                let recipe = template.slots[slot];
                data.immediate = Immediate::Slot(self.function.slot(recipe));
            }
            if data.opcode.is_guard() {
                data.state = Some(state);
            }
            data.proofs = proofs.clone();
            let old_result = data.result;
            data.result = None;
            let new = self.emit(data);
            if source.opcode.is_guard() && source.result.is_none() {
                proofs.push(new);
            }
            if let Some(old) = old_result {
                values.insert(old, self.function.result(new));
            }
            insts.insert(inst, new);
        }
        None
    }
    fn emit_slot(&mut self, recipe: Recipe) -> Inst {
        let slot = self.function.slot(recipe);
        self.emit(InstData::new(Opcode::Slot, &[], Immediate::Slot(slot)))
    }

    /// Whether to give up the path here: the log, which saw the unit well, never saw this site.
    fn is_never_reached(&self, pc: Pc, site: Option<&SiteProfile>) -> bool {
        self.well_seen
            && self.profile.expects_no_surprise()
            && !site.is_some_and(SiteProfile::was_reached)
            && !self.profile.is_refused(pc, GuardReason::Branch)
    }
    fn deoptimize(&mut self, state: FrameStateId) -> bool {
        let mut data = InstData::new(Opcode::Deoptimize, &[], Immediate::Reason(GuardReason::Branch));
        data.state = Some(state);
        self.emit(data);
        false
    }

    fn operation(&mut self, inst: Inst, data: InstData) -> bool {
        let Immediate::Operation(id, pc) = data.immediate else {
            unreachable!("the verifier checked the immediate")
        };
        let language = self.language;
        let operation = &language.operations[id];
        let profile = self.profile;
        let site = profile.site(pc);
        let state = data.state.expect("an operation has a state");
        if !self.fuel.step() {
            self.out.push(inst);
            return true;
        }
        let choice = self.choose(&operation.cases, &data.args, pc, site);
        if choice.is_none() && self.is_never_reached(pc, site) {
            return self.deoptimize(state);
        }
        let value = match choice {
            Some(choice) => {
                let needs_site = choice.case.variant.is_some()
                    || choice.case.operands.iter().zip(&data.args).any(|(&pattern, &arg)| {
                        pattern != OperandPattern::Anything && self.proved_kind(self.known(arg)).is_none()
                    });
                if needs_site && self.is_never_reached(pc, site) {
                    return self.deoptimize(state);
                }
                self.inline(&choice, &data.args, state, &[])
            }
            None => {
                self.out.push(inst);
                data.result
            }
        };
        if let (Some(old), Some(new)) = (data.result, value) {
            if old != new {
                self.rename(old, new);
            }
            if operation.result_is_observed {
                self.guard_result(new, pc, site, data.after);
            }
        }
        true
    }

    /// Guards a result to be of the one kind that was seen.
    fn guard_result(
        &mut self,
        value: Value,
        pc: Pc,
        site: Option<&SiteProfile>,
        after: Option<FrameStateId>,
    ) {
        if self.function.ty(value) != Type::Any || self.proved_kind(value).is_some() {
            return;
        }
        let Some(kind) = site.and_then(SiteProfile::result_kind) else { return };
        let Some(after) = after else { return };
        if self.language.kinds[kind].payload.is_none() || self.profile.is_refused(pc, GuardReason::Result) {
            return;
        }
        let mut state = self.function.states[after].clone();
        state.results = SmallVec::from_slice(&[value]);
        let state = self.function.states.push(state);
        self.mapped_states.insert(state, ());
        self.guard_kind(value, kind, GuardReason::Result, state);
    }

    fn call(&mut self, inst: Inst, mut data: InstData) -> bool {
        let Immediate::Call(info) = data.immediate else {
            unreachable!("the verifier checked the immediate")
        };
        let pc = info.site;
        let profile = self.profile;
        let site = profile.site(pc);
        let state = data.state.expect("a call has a state");
        let protocol = self.language.calls.as_ref();
        if self.is_never_reached(pc, site) {
            return self.deoptimize(state);
        }
        let refused = self.profile.is_refused(pc, GuardReason::Callee);
        if let (Some(protocol), Some(site), false) = (protocol, site, refused)
            && self.fuel.step()
        {
            let callee = data.args[0];
            if !site.facts.is_empty()
                && site.facts.iter().all(|((variant, _), _)| *variant == protocol.closure_variant)
            {
                let closure = match self.proved_kind(callee) {
                    Some(kind) if kind == protocol.closure => Some(self.payload(callee)),
                    Some(_) => None,
                    None => Some(self.guard_kind(callee, protocol.closure, GuardReason::Callee, state)),
                };
                if let Some(closure) = closure {
                    data.opcode = Opcode::CallUnit;
                    data.args[0] = closure;
                    self.function.insts[inst] = data.clone();
                }
            } else if let Some(value) = self.intrinsic(&data, site) {
                if let (Some(old), Some(new)) = (data.result, value) {
                    self.rename(old, new);
                }
                return true;
            }
        }
        self.out.push(inst);
        if let Some(result) = data.result {
            self.guard_result(result, pc, site, data.after);
        }
        true
    }

    /// A call of a native function with code of its own. `Some(result)` when the call was replaced.
    fn intrinsic(&mut self, data: &InstData, site: &SiteProfile) -> Option<Option<Value>> {
        let Immediate::Call(info) = data.immediate else { return None };
        let language = self.language;
        let natives = language.calls.as_ref()?.natives.as_ref()?;
        let (variant, words) = site.fact()?;
        let &[native, number, ..] = &words[..] else { return None };
        let wanted_one_at_most = matches!(info.wanted, Wanted::Fixed(0 | 1));
        if *variant != natives.variant || info.open_arguments || !wanted_one_at_most {
            return None;
        }
        let intrinsic = language.intrinsics.iter().find(|intrinsic| intrinsic.number == number)?;
        let args = &data.args[1..];
        // The site's operands are the arguments.
        let choice = self.choose(&intrinsic.cases, args, info.site, Some(site))?;
        let state = data.state?;
        let callee = match self.proved_kind(data.args[0]) {
            Some(kind) if kind == natives.kind => self.payload(data.args[0]),
            Some(_) => return None,
            None => self.guard_kind(data.args[0], natives.kind, GuardReason::Callee, state),
        };
        let slot = self.emit_slot(Recipe { class: natives.recipe, words: [u64::from(native), 0] });
        let expected = self.function.result(slot);
        let same = self.emit(InstData::new(Opcode::RefEqual, &[callee, expected], Immediate::None));
        let same = self.function.result(same);
        let mut guard = InstData::new(Opcode::GuardTrue, &[same], Immediate::Reason(GuardReason::Callee));
        guard.state = Some(state);
        let guard = self.emit(guard);
        let value = self.inline(&choice, args, state, &[guard]);
        Some(if data.result.is_some() { value } else { None })
    }
}
