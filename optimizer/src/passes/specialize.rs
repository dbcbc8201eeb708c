//! Specialize: generic operations become their cases, chosen by facts and by the log.
//!
//! The walk goes down the dominator tree. When a value's kind is not proved but the log saw only one, a `guard_kind` is
//! inserted, and in everything that the guard dominates the value is known as `box kind payload`: the data dependence on the
//! payload *is* the proof (verifier rule 6). Guards without a result that a case's template makes are named as proofs by the
//! template's later instructions.
//!
//! * Operands: the first case whose patterns are proved, or seen and not refused, is inlined.
//! * Several behaviours at one site (up to [`BEHAVIOURS_PER_SITE`]), or one that has failed as a guess: a chain of cases. Each tests
//!   what it needs; what fails goes to the next; the last one is guarded, or is the operation itself once such guards have failed.
//!   In a chain, what a test proves is proved by its branch.
//! * Results of calls and of operations that read memory are guarded to be of the kind that was seen, with the state *after*
//!   the bytecode instruction and the value as pending result. Those guards, and those of arguments, exist only to know more:
//!   `dead_code` removes them when nothing depends on them. Guards of operands stay, since they also prove that the operation
//!   has no other effect (an error, a metamethod).
//! * A site that the log never saw, in a unit that it saw well, becomes `deoptimize`.
//! * Calls of closures go through the unit's entry cell; calls of known natives become the intrinsic's case.
//! * Where code of another unit was spliced in, its log counts: what was seen at its sites, and what of it is no longer guessed.
//! * A case may rest on an assumption that a word of its fact names. The function says so in its entry block (`assume`), and the
//!   case's instructions name that as their proof. What was seen under an assumption that has broken is not looked at any more.

use super::{Environment, edit};
use crate::profile::{SiteProfile, UnitProfile};
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use surmise_ir::analysis::{BitSet, ControlFlow, Dominators};
use surmise_ir::entity::{Block, FrameStateId, Inst, KindId, Pc, UnitId, Value};
use surmise_ir::frame_state::When;
use surmise_ir::function::{BlockCall, Entry, Function, Immediate, InstData, ValueDef, Wanted};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::{Case, Language, OperandPattern, Recipe, WordUse};
use surmise_ir::opcode::Opcode;
use surmise_ir::premise::{Premise, PremiseWord};
use surmise_ir::types::Type;

/// How many behaviours of one site get code of their own: beyond, tests cost more than the host's function, which has a cache.
const BEHAVIOURS_PER_SITE: usize = 4;

/// Runs the pass.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    let language = environment.language;
    let profiles = Profiles::new(function, environment, |profile| profile.without_broken(language));
    walk(function, language, &profiles, environment.fuel);
}

/// Operations that were left get the cases that are proved by now: nothing more is guessed.
pub fn settle(function: &mut Function, environment: &mut Environment<'_>) {
    let failed = |profile: &UnitProfile| {
        Cow::Owned(UnitProfile { failed: profile.failed.clone(), ..UnitProfile::default() })
    };
    let profiles = Profiles::new(function, environment, failed);
    walk(function, environment.language, &profiles, environment.fuel);
}

/// What is known of the units whose code is in the function.
struct Profiles<'a> {
    units: FxHashMap<UnitId, Cow<'a, UnitProfile>>,
    /// Of a unit of which nothing is known.
    nothing: UnitProfile,
}

impl<'a> Profiles<'a> {
    fn new(
        function: &Function,
        environment: &Environment<'a>,
        view: impl Fn(&'a UnitProfile) -> Cow<'a, UnitProfile>,
    ) -> Profiles<'a> {
        let inlined = environment.inlined.iter().map(|(&unit, profile)| (unit, profile));
        let all = inlined.chain([(function.unit, environment.profile)]);
        let units = all.map(|(unit, profile)| (unit, view(profile))).collect();
        Profiles { units, nothing: UnitProfile::default() }
    }
    fn of(&self, unit: UnitId) -> &UnitProfile {
        self.units.get(&unit).map_or(&self.nothing, |profile| &**profile)
    }
}

fn walk(function: &mut Function, language: &Language, profiles: &Profiles<'_>, fuel: &mut super::Fuel) {
    let flow = ControlFlow::new(function);
    let dominators = Dominators::new(&flow);
    let entry = function.entry_block();
    let unit = function.unit;
    let mut walk = Walk {
        language,
        profiles,
        unit,
        profile: profiles.of(unit),
        well_seen: false,
        fuel,
        function,
        flow: &flow,
        renamed: SecondaryMap::new(),
        undo: Vec::new(),
        mapped_states: BitSet::new(),
        out: Vec::new(),
        current: entry,
        tails: FxHashMap::default(),
        assumptions: Vec::new(),
    };
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
    let assumptions = walk.assumptions;
    function.blocks[entry].insts.splice(0..0, assumptions);
    edit::drop_unreachable(function);
}

struct Walk<'a, 'b> {
    language: &'a Language,
    profiles: &'a Profiles<'a>,
    /// The unit that the instruction at hand belongs to, and what is known of that.
    unit: UnitId,
    profile: &'a UnitProfile,
    well_seen: bool,
    fuel: &'b mut super::Fuel,
    function: &'b mut Function,
    flow: &'b ControlFlow,
    /// What a value is known as here.
    renamed: SecondaryMap<Value, PackedOption<Value>>,
    /// What to restore when the walk leaves a block's subtree.
    undo: Vec<(Value, PackedOption<Value>)>,
    /// States whose values have been renamed already.
    mapped_states: BitSet<FrameStateId>,
    /// The current block's new instructions.
    out: Vec<Inst>,
    /// The block that is being filled.
    current: Block,
    /// For blocks that were split: the block that has the terminator now.
    tails: FxHashMap<Block, Block>,
    /// New assumptions, for the beginning of the entry block.
    assumptions: Vec<Inst>,
}

/// A choice for one operation.
struct Choice<'a> {
    case: &'a Case,
    words: SmallVec<[u32; 4]>,
}

/// What becomes of one operation.
struct Plan<'a> {
    /// Cases in the order in which they are tried.
    choices: SmallVec<[Choice<'a>; 4]>,
    /// Whether the last of them is guarded; otherwise the operation itself comes behind it.
    leaves: bool,
}

/// What stands for what in an inlined template.
#[derive(Default)]
struct TemplateCopy {
    values: SecondaryMap<Value, PackedOption<Value>>,
    blocks: FxHashMap<Block, Block>,
    /// What proves what comes next. Only a template's first block has guards.
    proofs: SmallVec<[Inst; 2]>,
}

impl TemplateCopy {
    /// What stands for a value of the template.
    fn value(&self, value: Value) -> Value {
        self.values[value].expect("a template's values are defined before they are used")
    }
}

/// Where a failing test goes.
#[derive(Clone, Copy)]
enum Otherwise {
    /// To the interpreter.
    Leave(FrameStateId),
    /// To the next case.
    GoTo(Block),
}

/// What a value is known as.
fn known(renamed: &SecondaryMap<Value, PackedOption<Value>>, mut value: Value) -> Value {
    while let Some(next) = renamed.get(value).and_then(|next| next.expand()) {
        value = next;
    }
    value
}

impl<'a> Walk<'a, '_> {
    /// Turns to an instruction of the unit whose frame is on top in a state.
    fn turn_to(&mut self, state: FrameStateId) {
        let frame = &self.function.frames[self.function.states[state].frame];
        self.unit = frame.unit;
        self.profile = self.profiles.of(frame.unit);
        let entry = if frame.parent.is_some() { Entry::Call } else { self.function.entry };
        self.well_seen = self.is_well_seen(entry);
    }
    /// Whether the log saw enough of the unit, in the way in which it is entered, to believe that what it never saw is rare.
    fn is_well_seen(&self, entry: Entry) -> bool {
        match entry {
            Entry::Call => self.profile.entered > 0,
            Entry::Loop(header) => self.profile.loops.get(&header).is_some_and(|&rounds| rounds > 0),
            Entry::Template => false,
        }
    }
    fn rename(&mut self, value: Value, known_as: Value) {
        let old = std::mem::replace(&mut self.renamed[value], known_as.into());
        self.undo.push((value, old));
    }
    fn undo_to(&mut self, mark: usize) {
        for (value, old) in self.undo.drain(mark..).rev() {
            self.renamed[value] = old;
        }
    }
    fn known(&self, value: Value) -> Value {
        known(&self.renamed, value)
    }
    fn map_state(&mut self, state: Option<FrameStateId>) {
        let mut next = state;
        while let Some(state) = next {
            if !self.mapped_states.insert(state) {
                return;
            }
            let data = &mut self.function.states[state];
            data.map_values(|value| known(&self.renamed, value));
            next = data.parent;
        }
    }

    fn emit(&mut self, data: InstData) -> Inst {
        let result = self.function.result_type(self.language, &data);
        let inst = self.function.make_inst(data, result);
        self.out.push(inst);
        inst
    }

    /// Ends the current block and goes on with another one.
    fn go_on_in(&mut self, block: Block) {
        self.function.blocks[self.current].insts = std::mem::take(&mut self.out);
        self.current = block;
    }
    fn add_block(&mut self) -> Block {
        self.function.add_block()
    }
    fn jump(&mut self, to: Block, args: &[Value]) {
        let mut jump = InstData::new(Opcode::Jump, &[], Immediate::None);
        jump.targets.push(BlockCall { block: to, args: SmallVec::from_slice(args) });
        self.emit(jump);
    }
    /// Goes on in a new block if the condition holds. Returns the branch, which proves it there.
    fn branch(&mut self, condition: Value, otherwise: Block) -> Inst {
        let mut branch = InstData::new(Opcode::Branch, &[condition], Immediate::None);
        let holds = self.add_block();
        branch.targets.push(BlockCall { block: holds, args: SmallVec::new() });
        branch.targets.push(BlockCall { block: otherwise, args: SmallVec::new() });
        let branch = self.emit(branch);
        self.go_on_in(holds);
        branch
    }

    fn block(&mut self, block: Block) {
        self.current = block;
        self.out = Vec::with_capacity(self.function.blocks[block].insts.len() * 2);
        for inst in std::mem::take(&mut self.function.blocks[block].insts) {
            self.map_state(self.function.insts[inst].state);
            self.map_state(self.function.insts[inst].after);
            let data = &mut self.function.insts[inst];
            data.map_operands(|value| known(&self.renamed, value));
            let go_on = match data.opcode {
                Opcode::Operation => {
                    let data = data.clone();
                    self.operation(inst, data)
                }
                Opcode::CallGuest => {
                    let data = data.clone();
                    self.call(inst, data)
                }
                Opcode::Poll => {
                    let state = data.state.expect("a poll has a state");
                    self.poll(inst, state, block)
                }
                _ => {
                    self.out.push(inst);
                    true
                }
            };
            if !go_on {
                break;
            }
        }
        self.function.blocks[self.current].insts = std::mem::take(&mut self.out);
        if self.current != block {
            self.tails.insert(block, self.current);
        }
    }

    /// Keeps a poll; behind it, arguments (at the entry) or loop variables (at a loop's header) are guarded to be what they were
    /// seen to be.
    fn poll(&mut self, inst: Inst, state: FrameStateId, block: Block) -> bool {
        self.out.push(inst);
        self.turn_to(state);
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
            let from = self.tails.get(&from).copied().unwrap_or(from);
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

    /// Tests a boxed value to be of a kind and makes it known as such in what follows. Returns the payload, or for kinds without
    /// one the value itself.
    fn test_kind(&mut self, value: Value, kind: KindId, reason: GuardReason, otherwise: Otherwise) -> Value {
        let next = match otherwise {
            Otherwise::Leave(state) => return self.guard_kind(value, kind, reason, state),
            Otherwise::GoTo(next) => next,
        };
        let is_kind = self.emit(InstData::new(Opcode::IsKind, &[value], Immediate::Kind(kind)));
        let is_kind = self.function.result(is_kind);
        let branch = self.branch(is_kind, next);
        let payload = self.language.kinds[kind].payload.map(|_| {
            let mut unbox = InstData::new(Opcode::Unbox, &[value], Immediate::Kind(kind));
            unbox.proofs.push(branch);
            let unbox = self.emit(unbox);
            self.function.result(unbox)
        });
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

    /// What to make of an operation: the first case that is proved, or seen and not refused; or else a chain.
    fn plan(
        &self,
        cases: &'a [Case],
        args: &[Value],
        pc: Pc,
        site: Option<&'a SiteProfile>,
    ) -> Option<Plan<'a>> {
        if let Some(choice) = self.choose(cases, args, pc, site) {
            return Some(Plan { choices: smallvec![choice], leaves: true });
        }
        let site = site?;
        let mut choices: SmallVec<[Choice<'a>; 4]> = SmallVec::new();
        let mut covers_all = !site.overflowed;
        // The most frequent behaviours first. What was seen as often keeps the order in which it came up.
        if site.facts.is_empty() {
            let mut seen: SmallVec<[_; 8]> = site.operands.iter().collect();
            seen.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            for (kinds, _) in seen {
                match cases.iter().find(|case| self.fits(case, args, None, |index| kinds.get(index).copied()))
                {
                    Some(case) if choices.len() < BEHAVIOURS_PER_SITE => {
                        choices.push(Choice { case, words: SmallVec::new() });
                    }
                    _ => covers_all = false,
                }
            }
        } else {
            let mut seen: SmallVec<[_; 8]> = site.facts.iter().collect();
            seen.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            for ((variant, words), _) in seen {
                let fact = Some((*variant, words.len()));
                match cases.iter().find(|case| self.fits(case, args, fact, |index| site.operand_kind(index)))
                {
                    Some(case) if choices.len() < BEHAVIOURS_PER_SITE => {
                        let used = if case.variant.is_some() { case.words.len() } else { 0 };
                        let words = words.iter().copied().take(used).collect();
                        choices.push(Choice { case, words });
                    }
                    _ => covers_all = false,
                }
            }
        }
        if choices.is_empty() {
            return None;
        }
        let may_leave = choices.iter().all(|choice| {
            !self.is_template_refused(choice.case, pc)
                && (choice.case.variant.is_none() || !self.is_case_refused(pc))
        });
        let leaves = covers_all && may_leave && !self.profile.is_refused(pc, GuardReason::Kind);
        Some(Plan { choices, leaves })
    }
    /// Whether a case is for this fact and these operands.
    fn fits(
        &self,
        case: &Case,
        args: &[Value],
        fact: Option<(u8, usize)>,
        seen: impl Fn(usize) -> Option<KindId>,
    ) -> bool {
        let fits_fact = match (case.variant, fact) {
            (None, _) => case.words.is_empty(),
            (Some(variant), Some((seen, words))) => variant == seen && words >= case.words.len(),
            (Some(_), None) => false,
        };
        fits_fact
            && case.operands.len() == args.len()
            && case.operands.iter().zip(args).enumerate().all(|(index, (&pattern, &arg))| match pattern {
                OperandPattern::Anything => true,
                OperandPattern::Kind(kind) => self.proved_kind(arg).or_else(|| seen(index)) == Some(kind),
            })
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
            let mut words = SmallVec::new();
            let mut fact = None;
            if case.variant.is_some() {
                let (seen, known) = site?.fact()?;
                if self.is_case_refused(pc) {
                    return None;
                }
                fact = Some((*seen, known.len()));
                words.extend(known.iter().copied().take(case.words.len()));
            }
            let is_refused = self.profile.is_refused(pc, GuardReason::Kind);
            let seen = |index| site.and_then(|site| site.operand_kind(index)).filter(|_| !is_refused);
            let fits = self.fits(case, args, fact, seen) && !self.is_template_refused(case, pc);
            fits.then_some(Choice { case, words })
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
        let has_failed = !self.profile.failed.is_empty();
        has_failed
            && case.template.insts.values().any(|data| match data.immediate {
                Immediate::Reason(reason) | Immediate::KindReason(_, reason) => {
                    self.profile.is_refused(pc, reason)
                }
                _ => false,
            })
    }

    /// Inlines a case at a site. `args` are the operands; returns what the template returns.
    fn inline(
        &mut self,
        pc: Pc,
        choice: &Choice<'a>,
        args: &[Value],
        otherwise: Otherwise,
        first_proofs: &[Inst],
    ) -> Option<Value> {
        let case = choice.case;
        let template = &case.template;
        let mut copy = TemplateCopy { proofs: SmallVec::from_slice(first_proofs), ..TemplateCopy::default() };
        let entry = template.entry_block();
        let params = &template.blocks[entry].params;
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
                        _ => self.test_kind(arg, kind, GuardReason::Kind, otherwise),
                    }
                }
            };
            copy.values[params[index]] = value.into();
        }
        if let Some(variant) = case.variant {
            let uses = case.words.iter().zip(&choice.words);
            self.rest_on(
                pc,
                variant,
                uses.map(|(&word_use, &word)| PremiseWord::new(word_use, word)).collect(),
            );
        }
        let mut params = params[case.operands.len()..].iter();
        for (&word_use, &word) in case.words.iter().zip(&choice.words) {
            let recipe = |class| Recipe { class, words: [u64::from(word), 0] };
            let value = match word_use {
                WordUse::Integer => {
                    self.emit(InstData::new(Opcode::Iconst, &[], Immediate::Integer(i64::from(word))))
                }
                WordUse::Slot(class) => self.emit_slot(recipe(class)),
                WordUse::Assumption(class) => {
                    copy.proofs.push(self.assume(recipe(class)));
                    continue;
                }
            };
            let &param = params.next().expect("a parameter for each word that is a value");
            copy.values[param] = self.function.result(value).into();
        }
        if template.layout.len() == 1 {
            return self.inline_block(template, entry, &mut copy, otherwise);
        }
        self.inline_blocks(template, &mut copy, otherwise)
    }

    /// A template with several blocks: what they return meets in a new block.
    fn inline_blocks(
        &mut self,
        template: &Function,
        copy: &mut TemplateCopy,
        otherwise: Otherwise,
    ) -> Option<Value> {
        for &block in &template.layout[1..] {
            let made = self.add_block();
            self.function.blocks[made].cold = template.blocks[block].cold;
            for &param in &template.blocks[block].params {
                let value = self.function.add_param(made, template.ty(param));
                copy.values[param] = value.into();
            }
            copy.blocks.insert(block, made);
        }
        let end = self.add_block();
        let mut result = None;
        let flow = ControlFlow::new(template);
        for block in flow.reverse_post_order() {
            if let Some(&made) = copy.blocks.get(&block) {
                self.go_on_in(made);
            }
            let value = self.inline_block(template, block, copy, otherwise);
            let terminator = template.terminator(block).map(|inst| &template.insts[inst]);
            match terminator {
                Some(data) if data.opcode == Opcode::Return => {
                    if let (Some(value), None) = (value, result) {
                        let ty = self.function.ty(value);
                        result = Some(self.function.add_param(end, ty));
                    }
                    self.jump(end, value.as_slice());
                }
                Some(data) => {
                    let mut data = data.clone();
                    data.map_operands(|value| copy.value(value));
                    for target in &mut data.targets {
                        target.block = copy.blocks[&target.block];
                    }
                    self.emit(data);
                }
                None => unreachable!("the verifier checked the template"),
            }
        }
        self.go_on_in(end);
        result
    }

    /// The instructions of a template's block but for its terminator. Returns what it returns.
    fn inline_block(
        &mut self,
        template: &Function,
        block: Block,
        copy: &mut TemplateCopy,
        otherwise: Otherwise,
    ) -> Option<Value> {
        for &inst in &template.blocks[block].insts {
            let source = &template.insts[inst];
            if source.opcode.is_terminator() {
                return source
                    .args
                    .first()
                    .filter(|_| source.opcode == Opcode::Return)
                    .map(|&value| copy.value(value));
            }
            let mut data = source.clone();
            data.map_operands(|value| copy.value(value));
            if let Immediate::Slot(slot) = data.immediate {
                let recipe = template.slots[slot];
                data.immediate = Immediate::Slot(self.function.slot(recipe));
            }
            data.proofs = copy.proofs.clone();
            data.result = None;
            let result = match otherwise {
                Otherwise::GoTo(next) if source.opcode.is_guard() => self.test(data, next, &mut copy.proofs),
                Otherwise::Leave(state) if source.opcode.is_guard() => {
                    data.state = Some(state);
                    let new = self.emit(data);
                    if source.result.is_none() {
                        copy.proofs.push(new);
                    }
                    self.function.insts[new].result
                }
                _ => {
                    let new = self.emit(data);
                    self.function.insts[new].result
                }
            };
            if let (Some(old), Some(new)) = (source.result, result) {
                copy.values[old] = new.into();
            }
        }
        None
    }

    /// A guard as a test that goes to the next case. Returns what the guard would give.
    fn test(&mut self, guard: InstData, next: Block, proofs: &mut SmallVec<[Inst; 2]>) -> Option<Value> {
        let value = guard.args[0];
        let condition = match (guard.opcode, guard.immediate) {
            (Opcode::GuardKind | Opcode::GuardNotKind, Immediate::KindReason(kind, _)) => {
                let mut is_kind = InstData::new(Opcode::IsKind, &[value], Immediate::Kind(kind));
                is_kind.proofs = guard.proofs.clone();
                let is_kind = self.emit(is_kind);
                self.function.result(is_kind)
            }
            _ => value,
        };
        let condition = if matches!(guard.opcode, Opcode::GuardFalse | Opcode::GuardNotKind) {
            let not = self.emit(InstData::new(Opcode::Bnot, &[condition], Immediate::None));
            self.function.result(not)
        } else {
            condition
        };
        let branch = self.branch(condition, next);
        proofs.push(branch);
        match (guard.opcode, guard.immediate) {
            (Opcode::GuardKind, Immediate::KindReason(kind, _)) => {
                self.language.kinds[kind].payload?;
                let mut unbox = InstData::new(Opcode::Unbox, &[value], Immediate::Kind(kind));
                unbox.proofs = proofs.clone();
                let unbox = self.emit(unbox);
                self.function.insts[unbox].result
            }
            (Opcode::GuardNotKind, _) => Some(value),
            _ => None,
        }
    }

    /// A plan's cases one behind the other; all results meet in a new block, where the walk goes on.
    fn chain(
        &mut self,
        pc: Pc,
        plan: &Plan<'a>,
        inst: Inst,
        data: &InstData,
        state: FrameStateId,
    ) -> Option<Value> {
        if let ([only], true) = (&plan.choices[..], plan.leaves) {
            return self.inline(pc, only, &data.args, Otherwise::Leave(state), &[]);
        }
        self.guard_common_kinds(plan, data, state);
        let end = self.add_block();
        let result = data.result.map(|result| {
            let ty = self.function.ty(result);
            self.function.add_param(end, ty)
        });
        for (index, choice) in plan.choices.iter().enumerate() {
            let is_last = plan.leaves && index + 1 == plan.choices.len();
            let next = (!is_last).then(|| self.add_block());
            let mark = self.undo.len();
            let otherwise = next.map_or(Otherwise::Leave(state), Otherwise::GoTo);
            let value = self.inline(pc, choice, &data.args, otherwise, &[]);
            let value = if result.is_some() { value } else { None };
            self.jump(end, value.as_slice());
            self.undo_to(mark);
            self.go_on_in(next.unwrap_or(end));
        }
        if !plan.leaves {
            self.out.push(inst);
            self.jump(end, data.result.as_slice());
            self.go_on_in(end);
        }
        result
    }

    /// Operands of which all cases of a plan ask the same kind are guarded once, before the cases.
    fn guard_common_kinds(&mut self, plan: &Plan<'a>, data: &InstData, state: FrameStateId) {
        if !plan.leaves {
            return;
        }
        for (index, &arg) in data.args.iter().enumerate() {
            let mut patterns = plan.choices.iter().map(|choice| choice.case.operands[index]);
            let Some(OperandPattern::Kind(kind)) = patterns.next() else { continue };
            let arg = self.known(arg);
            if patterns.all(|pattern| pattern == OperandPattern::Kind(kind))
                && self.proved_kind(arg).is_none()
            {
                self.guard_kind(arg, kind, GuardReason::Kind, state);
            }
        }
    }
    /// The instruction that says that the function rests on an assumption. What is decided because of it is not always seen in operands,
    /// so it stays.
    fn assume(&mut self, recipe: Recipe) -> Inst {
        let names = |inst: &Inst| self.function.insts[*inst].immediate == Immediate::Recipe(recipe);
        let known = self.assumptions.iter().copied().find(names);
        if let Some(known) = known.or_else(|| self.function.assumption_insts().find(names)) {
            return known;
        }
        let mut data = InstData::new(Opcode::Assume, &[], Immediate::Recipe(recipe));
        data.pinned = true;
        let inst = self.function.make_inst(data, None);
        self.assumptions.push(inst);
        inst
    }
    /// Notes that the function rests on a fact of the unit's log.
    fn rest_on(&mut self, pc: Pc, variant: u8, words: SmallVec<[PremiseWord; 4]>) {
        self.function.rest_on(Premise { unit: self.unit, pc, variant, words });
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
        let state = data.state.expect("an operation has a state");
        self.turn_to(state);
        let profile = self.profile;
        let site = profile.site(pc);
        if !self.fuel.step() {
            self.out.push(inst);
            return true;
        }
        let plan = self.plan(&operation.cases, &data.args, pc, site);
        let rests_on_log = plan.as_ref().is_none_or(|plan| {
            plan.choices.iter().any(|choice| {
                choice.case.variant.is_some()
                    || choice.case.operands.iter().zip(&data.args).any(|(&pattern, &arg)| {
                        pattern != OperandPattern::Anything && self.proved_kind(self.known(arg)).is_none()
                    })
            })
        });
        if rests_on_log && self.is_never_reached(pc, site) {
            return self.deoptimize(state);
        }
        let value = match plan {
            Some(plan) => self.chain(pc, &plan, inst, &data, state),
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
        self.mapped_states.insert(state);
        self.guard_kind(value, kind, GuardReason::Result, state);
    }

    fn call(&mut self, inst: Inst, mut data: InstData) -> bool {
        let Immediate::Call(info) = data.immediate else {
            unreachable!("the verifier checked the immediate")
        };
        let pc = info.site;
        let state = data.state.expect("a call has a state");
        self.turn_to(state);
        let profile = self.profile;
        let site = profile.site(pc);
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
        let recipe = Recipe { class: natives.recipe, words: [u64::from(native), 0] };
        let words = smallvec![PremiseWord::Slot(recipe), PremiseWord::Integer(number)];
        self.rest_on(info.site, natives.variant, words);
        let slot = self.emit_slot(recipe);
        let expected = self.function.result(slot);
        let same = self.emit(InstData::new(Opcode::RefEqual, &[callee, expected], Immediate::None));
        let same = self.function.result(same);
        let mut guard = InstData::new(Opcode::GuardTrue, &[same], Immediate::Reason(GuardReason::Callee));
        guard.state = Some(state);
        let guard = self.emit(guard);
        let value = self.inline(info.site, &choice, args, Otherwise::Leave(state), &[guard]);
        Some(if data.result.is_some() { value } else { None })
    }
}
