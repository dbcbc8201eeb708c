//! One run of one function in one world.

use super::draw::Question;
use super::world::{Event, World, canonical, canonical_boxed};
use cranelift_entity::SecondaryMap;
use rustc_hash::{FxHashMap, FxHashSet};
use surmise_ir::entity::{Block, Inst, Value};
use surmise_ir::evaluate::{
    Call, Datum, EvaluatorHost, Exit, Fault, LeaveReason, Machine, Pause, Prepared, RebuiltFrame, Results,
    Settings, Stop,
};
use surmise_ir::function::{Function, Immediate, InstData};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Language;
use surmise_ir::opcode::Opcode;

/// A function with what is found out about it once.
pub struct Subject {
    /// The function.
    pub function: Function,
    prepared: Prepared,
    /// The block of each instruction.
    blocks: SecondaryMap<Inst, Option<Block>>,
}

impl Subject {
    /// Looks at a function.
    pub fn new(function: Function) -> Subject {
        let mut blocks = SecondaryMap::new();
        for &block in &function.layout {
            for &inst in &function.blocks[block].insts {
                blocks[inst] = Some(block);
            }
        }
        Subject { prepared: Prepared::new(&function), function, blocks }
    }
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// By itself; values as they are compared.
    Exit(Exit),
    /// It was cut off: it is long.
    Cut,
    /// A check of the evaluator failed.
    Fault(Fault),
}

/// What a run did.
#[derive(Clone, PartialEq, Debug)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// What could be seen.
    pub events: Vec<Event>,
    /// How many calls were not pure.
    pub effects: u64,
    /// It ended with a fault, at an `unbox` that nothing proves: the lifter knows the kind, and this world contradicts it.
    pub is_contradicted: bool,
    /// How many instructions were run.
    pub steps: u64,
    /// How many of them were guards.
    pub guards: u64,
}

/// How long runs may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In instructions.
    pub steps: u64,
    /// In events.
    pub events: usize,
}

/// Runs a function; guard number `fails` that it comes to fails, whatever it checks. `watch` is told of each instruction before it runs.
pub fn run<'a>(
    subject: &'a Subject,
    language: &'a Language,
    mut world: World<'_>,
    limits: Limits,
    fails: Option<u64>,
    watch: &mut dyn FnMut(&Machine<'a>, Inst, &World<'_>),
) -> Ran {
    let settings = Settings { fail_every: fails, step_limit: None };
    let mut machine = Machine::new(&subject.function, &subject.prepared, language, World::WINDOW, settings);
    let mut is_contradicted = false;
    let end = loop {
        if machine.steps() >= limits.steps || world.events.len() >= limits.events {
            break End::Cut;
        }
        if let Some(inst) = machine.standing_at() {
            watch(&machine, inst, &world);
        }
        match turn(subject, language, &mut machine, &mut world) {
            Ok(None) => {}
            Ok(Some(exit)) => break End::Exit(canonical_exit(language, exit)),
            Err(fault) => {
                is_contradicted = machine.standing_at().is_some_and(|inst| {
                    let data = &subject.function.insts[inst];
                    data.opcode == Opcode::Unbox && data.proofs.is_empty()
                });
                break End::Fault(fault);
            }
        }
    };
    Ran {
        end,
        steps: machine.steps(),
        guards: machine.guards(),
        effects: world.effects(),
        is_contradicted,
        events: world.events,
    }
}

fn turn(
    subject: &Subject,
    language: &Language,
    machine: &mut Machine<'_>,
    world: &mut World<'_>,
) -> Result<Option<Exit>, Fault> {
    match machine.advance(world)? {
        None => Ok(None),
        Some(Pause::Exit(exit)) => Ok(Some(exit)),
        Some(Pause::Call(call)) => {
            if call == Call::Poll
                && let Some(inst) = machine.standing_at()
                && let Some(state) = subject.function.insts[inst].state
            {
                let frames = canonical_frames(language, machine.frames(state)?);
                world.events.push(Event::Poll(frames));
            }
            match world.call(&call, machine) {
                Ok(delivery) => machine.deliver(delivery).map(|()| None),
                Err(Stop::Throw) => Ok(Some(Exit::Thrown)),
                Err(Stop::Fault(message)) => Err(machine.fault(message)),
            }
        }
    }
}

/// An exit as it is compared.
fn canonical_exit(language: &Language, exit: Exit) -> Exit {
    match exit {
        Exit::Returned(values) => {
            Exit::Returned(values.into_iter().map(|value| canonical(language, value)).collect())
        }
        Exit::Deoptimized { reason, frames } => {
            Exit::Deoptimized { reason, frames: canonical_frames(language, frames) }
        }
        exit => exit,
    }
}

fn canonical_frames(language: &Language, mut frames: Vec<RebuiltFrame>) -> Vec<RebuiltFrame> {
    for frame in &mut frames {
        for (_, value) in &mut frame.registers {
            *value = canonical_boxed(language, *value);
        }
        match &mut frame.results {
            Results::Values(values) => {
                values.iter_mut().for_each(|value| *value = canonical_boxed(language, *value));
            }
            Results::Extern(result) => *result = result.map(|value| canonical(language, value)),
            Results::Guest { first, .. } => *first = first.map(|value| canonical_boxed(language, value)),
        }
    }
    frames
}

/// The frames that leaving would have given, at every moment of a run at which some instruction could leave.
#[derive(Default)]
pub struct History {
    /// With the number of effects until then.
    moments: Vec<(u64, Vec<RebuiltFrame>)>,
}

impl History {
    /// The history of a run.
    pub fn new<'a>(
        subject: &'a Subject,
        language: &'a Language,
        world: World<'_>,
        limits: Limits,
    ) -> History {
        let mut history = History::default();
        let function = &subject.function;
        let ran = run(subject, language, world, limits, None, &mut |machine, inst, world| {
            if let Some(state) = function.insts[inst].state
                && let Ok(frames) = machine.frames(state)
            {
                history.moments.push((world.effects(), canonical_frames(language, frames)));
            }
        });
        if let End::Exit(Exit::Deoptimized { frames, .. }) = ran.end {
            history.moments.push((ran.effects, frames));
        }
        history
    }
    /// Whether there was a moment with these frames behind so many effects.
    pub fn has(&self, effects: u64, frames: &[RebuiltFrame]) -> bool {
        self.moments.iter().any(|(at, known)| *at == effects && known == frames)
    }
    /// The last frames at the same resume point behind as many effects.
    pub fn nearest(&self, effects: u64, frames: &[RebuiltFrame]) -> Option<&[RebuiltFrame]> {
        let resume = frames.first().map(|frame| frame.resume);
        let mut moments = self.moments.iter().rev();
        let found =
            moments.find(|(at, known)| *at == effects && known.first().map(|frame| frame.resume) == resume);
        found.map(|(_, frames)| &frames[..])
    }
}

/// Follows where the values of a run come from, and finds for a guess that is about to fail an answer with which it would not.
pub struct Leader<'a> {
    subject: &'a Subject,
    language: &'a Language,
    /// The question whose answer a value is; with the kind whose payload it is, if it was taken out of a box.
    origins: SecondaryMap<Value, Option<Origin>>,
    previous: Option<Inst>,
    /// The last branch.
    branch: Option<Inst>,
    /// Blocks that were run, in this run or an earlier one, or that it was tried to come to.
    reached: &'a mut Reached,
    /// What to lay down so that the guess that was made last holds; nothing if it does.
    amendment: Option<Amendment>,
    /// What to lay down so that a block is run that was not run yet.
    detour: Option<(Block, Amendment)>,
}

/// Blocks that runs came to.
#[derive(Default)]
pub struct Reached {
    run: FxHashSet<Block>,
    /// How often it was tried to come to others.
    tried: FxHashMap<Block, u32>,
}

/// How often it is tried to come to a block: for some, several answers have to change.
const TRIES: u32 = 3;

/// An answer to be laid down.
pub type Amendment = (Question, Datum);

#[derive(Clone, Copy)]
struct Origin {
    question: Question,
    unboxed: Option<surmise_ir::entity::KindId>,
}

/// How deep conditions are looked into.
const DEPTH: u32 = 8;

impl<'a> Leader<'a> {
    /// Follows a run of this function from its beginning.
    pub fn new(subject: &'a Subject, language: &'a Language, reached: &'a mut Reached) -> Leader<'a> {
        let (origins, previous, branch) = (SecondaryMap::new(), None, None);
        Leader { subject, language, origins, previous, branch, reached, amendment: None, detour: None }
    }
    /// What to lay down for the next run: past the guess that ended this one, or else to where no run was yet.
    pub fn amendment(self, has_left: bool) -> Option<Amendment> {
        self.amendment.filter(|_| has_left).or_else(|| {
            let (block, amendment) = self.detour?;
            *self.reached.tried.entry(block).or_default() += 1;
            Some(amendment)
        })
    }

    /// Looks at the machine before an instruction: what the last one gave is known now.
    pub fn look(&mut self, machine: &Machine<'_>, inst: Inst, world: &World<'_>) {
        let function = &self.subject.function;
        if let Some(previous) = self.previous.replace(inst) {
            self.follow(previous, inst, world);
        }
        self.reached.run.extend(self.subject.blocks[inst]);
        let data = &function.insts[inst];
        self.amendment = match data.opcode {
            // What a lifter knows is not guarded.
            Opcode::GuardKind | Opcode::GuardNotKind | Opcode::Unbox => self.of_kind(machine, data),
            Opcode::GuardTrue => self.of_condition(machine, data.args[0], true),
            Opcode::GuardFalse => self.of_condition(machine, data.args[0], false),
            Opcode::Deoptimize => self.branch.and_then(|branch| {
                let condition = function.insts[branch].args[0];
                match machine.peek(condition) {
                    Some(Datum::I1(was)) => self.solve(machine, condition, !was),
                    _ => None,
                }
            }),
            _ => None,
        };
        if data.opcode == Opcode::Branch {
            self.branch = Some(inst);
            self.consider(machine, data);
        }
    }
    /// Whether the other way of a branch leads to where no run was yet.
    fn consider(&mut self, machine: &Machine<'_>, data: &InstData) {
        let Some(Datum::I1(condition)) = machine.peek(data.args[0]) else { return };
        let other = data.targets[usize::from(condition)].block;
        let is_given_up = self.reached.tried.get(&other).is_some_and(|&tries| tries >= TRIES);
        if self.detour.is_none() && !is_given_up && !self.reached.run.contains(&other) {
            self.detour = self.solve(machine, data.args[0], !condition).map(|amendment| (other, amendment));
        }
    }

    fn follow(&mut self, previous: Inst, now: Inst, world: &World<'_>) {
        let function = &self.subject.function;
        let data = &function.insts[previous];
        if data.opcode.is_terminator() {
            let block = self.subject.blocks[now];
            let taken = data.targets.iter().find(|target| Some(target.block) == block);
            if let (Some(target), Some(block)) = (taken, block) {
                let origins: Vec<_> = target.args.iter().map(|&arg| self.origins[arg]).collect();
                for (&param, origin) in function.blocks[block].params.iter().zip(origins) {
                    self.origins[param] = origin;
                }
            }
            return;
        }
        let Some(result) = data.result else { return };
        self.origins[result] = match (data.opcode, data.immediate) {
            (
                Opcode::Load
                | Opcode::LoadElement
                | Opcode::Argument
                | Opcode::LoadWindow
                | Opcode::SelfClosure
                | Opcode::Operation
                | Opcode::CallExtern
                | Opcode::CallGuest
                | Opcode::CallUnit,
                _,
            ) => world.asked.map(|question| Origin { question, unboxed: None }),
            (Opcode::GuardKind | Opcode::Unbox, Immediate::KindReason(kind, _) | Immediate::Kind(kind)) => {
                self.origins[data.args[0]].filter(|origin| origin.unboxed.is_none()).map(|origin| Origin {
                    unboxed: self.language.kinds[kind].payload.map(|_| kind),
                    ..origin
                })
            }
            (Opcode::GuardNotKind, _) => self.origins[data.args[0]],
            (Opcode::Box, _) => {
                let payload = data.args.first().and_then(|&payload| self.origins[payload]);
                payload
                    .filter(|origin| origin.unboxed.is_some())
                    .map(|origin| Origin { unboxed: None, ..origin })
            }
            _ => None,
        };
    }

    fn of_kind(&self, machine: &Machine<'_>, data: &InstData) -> Option<Amendment> {
        let (Immediate::KindReason(kind, _) | Immediate::Kind(kind)) = data.immediate else { return None };
        let wanted = data.opcode != Opcode::GuardNotKind;
        let Datum::Any(value) = machine.peek(data.args[0])? else { return None };
        if surmise_ir::evaluate::boxing::is_kind(self.language, kind, value) == wanted {
            return None;
        }
        let origin = self.origins[data.args[0]].filter(|origin| origin.unboxed.is_none())?;
        let kinds = self.language.kinds.keys();
        let kind = match wanted {
            true => kind,
            false => kinds.into_iter().find(|&other| {
                other != kind && self.language.kinds[other].payload == Some(surmise_ir::types::Type::I64)
            })?,
        };
        Some((origin.question, Datum::Any(self.sample(kind)?)))
    }
    /// Some boxed value of a kind.
    fn sample(&self, kind: surmise_ir::entity::KindId) -> Option<surmise_ir::evaluate::Boxed> {
        use surmise_ir::types::Type;
        let payload = match self.language.kinds[kind].payload {
            None => None,
            Some(Type::I64) => Some(Datum::I64(3)),
            Some(Type::F64) => Some(Datum::F64(1.5f64.to_bits())),
            Some(Type::I1) => Some(Datum::I1(true)),
            Some(Type::Raw | Type::Any) => Some(Datum::Raw(0)),
            Some(Type::Ref) => Some(Datum::Ref(super::draw::object_of_kind(kind))),
        };
        surmise_ir::evaluate::boxing::boxed(self.language, kind, payload)
    }

    fn of_condition(&self, machine: &Machine<'_>, condition: Value, wanted: bool) -> Option<Amendment> {
        if machine.peek(condition)? == Datum::I1(wanted) {
            return None;
        }
        self.solve(machine, condition, wanted)
    }

    /// An answer with which a condition would come out as wanted.
    fn solve(&self, machine: &Machine<'_>, condition: Value, wanted: bool) -> Option<Amendment> {
        let mut values = Vec::new();
        self.collect(condition, DEPTH, &mut values);
        for &leaf in &values {
            let Some(origin) = self.origins[leaf] else { continue };
            let old = machine.peek(leaf)?;
            for candidate in self.candidates(machine, &values, old) {
                if self.evaluate(machine, condition, leaf, candidate, DEPTH) == Some(Datum::I1(wanted)) {
                    let answer = match origin.unboxed {
                        None => candidate,
                        Some(kind) => Datum::Any(surmise_ir::evaluate::boxing::boxed(
                            self.language,
                            kind,
                            Some(candidate),
                        )?),
                    };
                    return Some((origin.question, answer));
                }
            }
        }
        // One answer alone can't do it: a step on the way.
        let inst = self.subject.function.def(condition)?;
        let data = &self.subject.function.insts[inst];
        match (data.opcode, wanted) {
            (Opcode::Band, true) | (Opcode::Bor, false) => data
                .args
                .iter()
                .filter(|&&arg| machine.peek(arg) == Some(Datum::I1(!wanted)))
                .find_map(|&arg| self.solve(machine, arg, wanted)),
            _ => None,
        }
    }
    /// The values that a condition is computed from, as far down as they are computed.
    fn collect(&self, value: Value, depth: u32, into: &mut Vec<Value>) {
        if into.contains(&value) {
            return;
        }
        into.push(value);
        if let Some(inst) = self.subject.function.def(value)
            && self.origins[value].is_none()
            && depth > 0
        {
            for &arg in &self.subject.function.insts[inst].args {
                self.collect(arg, depth - 1, into);
            }
        }
    }
    /// Values of the same type that are worth a try.
    fn candidates(&self, machine: &Machine<'_>, values: &[Value], old: Datum) -> Vec<Datum> {
        let mut candidates = Vec::new();
        for known in values.iter().filter_map(|&value| machine.peek(value)) {
            match (old, known) {
                (Datum::I64(_), Datum::I64(n)) => {
                    candidates.extend([n, n.wrapping_add(1), n.wrapping_sub(1)].map(Datum::I64));
                }
                (Datum::F64(_), Datum::F64(bits)) => {
                    let n = f64::from_bits(bits);
                    candidates.extend([n, n + 1.0, n - 1.0].map(|n| Datum::F64(n.to_bits())));
                }
                (old, known) if old.ty() == known.ty() => candidates.push(known),
                _ => {}
            }
        }
        match old {
            Datum::I64(_) => candidates.extend([0, 1, 2, 8, 100, -1].map(Datum::I64)),
            Datum::F64(_) => candidates.extend([0.0, 1.0, 100.0, -1.0].map(|n: f64| Datum::F64(n.to_bits()))),
            Datum::I1(_) => candidates.extend([false, true].map(Datum::I1)),
            Datum::Raw(_) => candidates.extend([Datum::Raw(0), Datum::Raw(0x77_7700)]),
            Datum::Ref(_) => candidates.push(Datum::Ref(0x77_7700)),
            Datum::Any(_) => {
                candidates
                    .extend(self.language.kinds.keys().filter_map(|kind| self.sample(kind)).map(Datum::Any));
            }
        }
        candidates
    }
    /// What a value would be if `leaf` were something else.
    fn evaluate(
        &self,
        machine: &Machine<'_>,
        value: Value,
        leaf: Value,
        changed: Datum,
        depth: u32,
    ) -> Option<Datum> {
        if value == leaf {
            return Some(changed);
        }
        let inst = match self.subject.function.def(value) {
            Some(inst) if depth > 0 && self.origins[value].is_none() => inst,
            _ => return machine.peek(value),
        };
        let data = &self.subject.function.insts[inst];
        let operands: Option<Vec<Datum>> =
            data.args.iter().map(|&arg| self.evaluate(machine, arg, leaf, changed, depth - 1)).collect();
        surmise_ir::evaluate::compute(self.language, data, &operands?).or_else(|| machine.peek(value))
    }
}

/// Whether a run that left there may as well have gone on: the guess is only made to know more, and passes may drop it.
pub fn is_droppable(function: &Function, reason: &LeaveReason) -> bool {
    match *reason {
        LeaveReason::Guard { inst, reason: GuardReason::Argument | GuardReason::Result, .. } => {
            function.insts[inst].opcode == Opcode::GuardKind && !function.insts[inst].pinned
        }
        _ => false,
    }
}
