//! One activation, step by step.

use super::datum::{Boxed, Datum};
use super::exit::{Exit, LeaveReason, RebuiltFrame, Results};
use super::host::{Access, Call, Delivery, EvaluatorHost, ExternCall, GuestCall, Stop};
use super::{Fault, Pause, Prepared, Settings, Step, boxing, pure};
use crate::entity::{Block, ExternId, FrameStateId, Inst, Value};
use crate::function::{CallInfo, Entry, Function, Immediate, InstData, Wanted};
use crate::guard::GuardReason;
use crate::language::Language;
use crate::opcode::Opcode;
use crate::text::inst_text;
use crate::types::Type;
use cranelift_entity::SecondaryMap;
use smallvec::SmallVec;

/// A place that a collector may have to update.
#[derive(Debug)]
pub enum RootMut<'m> {
    /// An object's address.
    Ref(&'m mut u64),
    /// A boxed value.
    Any(&'m mut Boxed),
}

type Trace<'a> = Box<dyn FnMut(&Step) + 'a>;

/// Where a machine is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Position {
    /// At an instruction.
    At(Block, usize),
    /// In a call that stands at this place.
    Waiting(Block, usize),
    /// Behind its end.
    Ended,
}

/// One activation of a function.
pub struct Machine<'a> {
    pub(super) function: &'a Function,
    prepared: &'a Prepared,
    language: &'a Language,
    /// The address of the first register.
    window: u64,
    settings: Settings,
    position: Position,
    /// The place of the last instruction, for faults.
    last: (Block, usize),
    values: SecondaryMap<Value, Option<Datum>>,
    steps: u64,
    guards: u64,
    result_count: Option<u64>,
    invalidated: bool,
    /// An exit that was found while delivering.
    pending: Option<Exit>,
    trace: Option<Trace<'a>>,
}

/// What a step leads to.
enum Next {
    /// The next instruction, with a result.
    Result(Option<Datum>),
    /// Another block.
    Block(Block),
    /// Standing still.
    Wait(Box<Call>),
    /// The end.
    Exit(Box<Exit>),
}

#[cold]
fn undefined(value: Value) -> String {
    format!("{value} is not defined here, or was dead at a call before")
}

/// Why a step can't be taken.
enum Halt {
    Fault(String),
    Throw,
}

impl From<String> for Halt {
    fn from(message: String) -> Halt {
        Halt::Fault(message)
    }
}
impl From<Stop> for Halt {
    fn from(stop: Stop) -> Halt {
        match stop {
            Stop::Throw => Halt::Throw,
            Stop::Fault(message) => Halt::Fault(message),
        }
    }
}

impl<'a> Machine<'a> {
    /// An activation that stands before its first instruction. The function has passed the verifier; `prepared` is made of it.
    pub fn new(
        function: &'a Function,
        prepared: &'a Prepared,
        language: &'a Language,
        window: u64,
        settings: Settings,
    ) -> Machine<'a> {
        let entry = function.entry_block();
        Machine {
            function,
            prepared,
            language,
            window,
            settings,
            position: Position::At(entry, 0),
            last: (entry, 0),
            values: SecondaryMap::with_capacity(function.values.len()),
            steps: 0,
            guards: 0,
            result_count: None,
            invalidated: false,
            pending: None,
            trace: None,
        }
    }
    /// Lets `trace` see every step from here on.
    pub fn set_trace(&mut self, trace: impl FnMut(&Step) + 'a) {
        self.trace = Some(Box::new(trace));
    }
    /// How many instructions have been run.
    pub fn steps(&self) -> u64 {
        self.steps
    }
    /// How many guards have been run.
    pub fn guards(&self) -> u64 {
        self.guards
    }
    /// Goes on as if so many guards had been run: forced failures are counted over several activations then.
    pub fn set_guards(&mut self, guards: u64) {
        self.guards = guards;
    }
    /// The instruction that it stands at, or stood at when it ended.
    pub fn place(&self) -> Option<Inst> {
        let (block, index) = self.last;
        self.function.blocks[block].insts.get(index).copied()
    }
    /// The function.
    pub fn function(&self) -> &'a Function {
        self.function
    }
    /// The address of its first register.
    pub fn window(&self) -> u64 {
        self.window
    }
    /// Sets the values of the entry block's parameters, for templates.
    pub fn set_parameters(&mut self, values: &[Datum]) {
        for (&param, &value) in self.function.blocks[self.function.entry_block()].params.iter().zip(values) {
            self.values[param] = Some(value);
        }
    }
    /// A fault at the current instruction.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        let (block, index) = self.last;
        let inst = self.function.blocks[block].insts.get(index);
        Fault {
            function: self.function.name.clone(),
            block,
            inst: inst.map_or_else(String::new, |&inst| inst_text(self.function, self.language, inst)),
            message: message.into(),
        }
    }
    /// Says that the code must not go on: the machine leaves to the interpreter as soon as its call has given its results. Only
    /// a machine that stands still can be invalidated.
    pub fn invalidate(&mut self) {
        self.invalidated = true;
    }
    /// Visits every collector-managed value that is still needed. Only for machines that stand still.
    pub fn visit_roots(&mut self, visit: &mut dyn FnMut(RootMut<'_>)) {
        for value in self.values.values_mut().flatten() {
            match value {
                Datum::Ref(word) => visit(RootMut::Ref(word)),
                Datum::Any(boxed) => visit(RootMut::Any(boxed)),
                Datum::I64(_) | Datum::F64(_) | Datum::I1(_) | Datum::Raw(_) => {}
            }
        }
    }

    /// Runs until something is due that the evaluator does not do itself.
    pub fn run<H: EvaluatorHost + ?Sized>(&mut self, host: &mut H) -> Result<Pause, Fault> {
        loop {
            if let Some(pause) = self.advance(host)? {
                return Ok(pause);
            }
        }
    }
    /// Runs one instruction.
    pub fn advance<H: EvaluatorHost + ?Sized>(&mut self, host: &mut H) -> Result<Option<Pause>, Fault> {
        if let Some(exit) = self.pending.take() {
            return Ok(Some(self.end(exit)));
        }
        let Position::At(block, index) = self.position else {
            return Err(self.fault(format!("the machine can't run: it is {:?}", self.position)));
        };
        if self.settings.step_limit.is_some_and(|limit| self.steps >= limit) {
            return Ok(Some(self.end(Exit::OutOfSteps)));
        }
        self.last = (block, index);
        let Some(&inst) = self.function.blocks[block].insts.get(index) else {
            return Err(self.fault("the block has no terminator"));
        };
        self.steps += 1;
        match self.step(inst, host) {
            Ok(Next::Result(result)) => {
                self.finish(inst, result)?;
                self.position = Position::At(block, index + 1);
            }
            Ok(Next::Block(target)) => {
                self.tell(inst, None);
                self.position = Position::At(target, 0);
            }
            Ok(Next::Wait(call)) => {
                self.forget_dead(inst)?;
                self.position = Position::Waiting(block, index);
                return Ok(Some(Pause::Call(*call)));
            }
            Ok(Next::Exit(exit)) => {
                self.tell(inst, None);
                return Ok(Some(self.end(*exit)));
            }
            Err(Halt::Throw) => return Ok(Some(self.end(Exit::Thrown))),
            Err(Halt::Fault(message)) => return Err(self.fault(message)),
        }
        Ok(None)
    }
    /// The instruction that runs next, or whose call is being waited for; none behind the end.
    pub fn standing_at(&self) -> Option<Inst> {
        match self.position {
            Position::At(block, index) | Position::Waiting(block, index) => {
                self.function.blocks[block].insts.get(index).copied()
            }
            Position::Ended => None,
        }
    }
    /// What a value is now; nothing if it is not defined here, or was dead at a call before.
    pub fn peek(&self, value: Value) -> Option<Datum> {
        self.values[value]
    }
    /// The frames that leaving here with this state would give, innermost first.
    ///
    /// # Errors
    /// If a value of the state is not defined here.
    pub fn frames(&self, state: FrameStateId) -> Result<Vec<RebuiltFrame>, Fault> {
        self.rebuild(state, None).map_err(|message| self.fault(message))
    }
    fn end(&mut self, exit: Exit) -> Pause {
        self.position = Position::Ended;
        self.values.clear();
        Pause::Exit(exit)
    }

    /// Gives a machine what it waits for.
    pub fn deliver(&mut self, delivery: Delivery) -> Result<(), Fault> {
        let Position::Waiting(block, index) = self.position else {
            return Err(self.fault("nothing was asked for"));
        };
        let inst = self.function.blocks[block].insts[index];
        let data = &self.function.insts[inst];
        self.check_delivery(data, delivery).map_err(|message| self.fault(message))?;
        self.position = Position::At(block, index + 1);
        if self.invalidated {
            let (state, results) = match delivery {
                Delivery::Extern(result) => (data.after, Results::Extern(result)),
                Delivery::Guest { first, count } => (data.after, Results::Guest { first, count }),
                Delivery::Poll => (data.state, Results::Values(Vec::new())),
            };
            let state =
                state.ok_or_else(|| self.fault("invalidated in a call that has no state after it"))?;
            let frames = self.rebuild(state, Some(results)).map_err(|message| self.fault(message))?;
            self.pending = Some(Exit::Deoptimized { reason: LeaveReason::Invalidated, frames });
            return Ok(());
        }
        let result = match delivery {
            Delivery::Extern(result) => result,
            Delivery::Guest { first, count } => {
                self.result_count = Some(count);
                data.result.and(first).map(Datum::Any)
            }
            Delivery::Poll => None,
        };
        self.finish(inst, result)
    }
    fn check_delivery(&self, data: &InstData, delivery: Delivery) -> Result<(), String> {
        match (data.opcode, data.immediate, delivery) {
            (Opcode::Poll, _, Delivery::Poll) => Ok(()),
            (
                Opcode::CallGuest | Opcode::CallUnit,
                Immediate::Call(info),
                Delivery::Guest { first, count },
            ) => match info.wanted {
                // The interpreter receives them as after any call.
                _ if self.invalidated => Ok(()),
                Wanted::Fixed(1) if first.is_none() => Err("one result is wanted, none was given".to_owned()),
                Wanted::Fixed(wanted) if wanted > 1 && count != wanted.into() => {
                    Err(format!("{wanted} results are wanted, {count} were given"))
                }
                _ => Ok(()),
            },
            (Opcode::CallExtern | Opcode::Operation, _, Delivery::Extern(_)) => Ok(()),
            _ => Err(format!("{delivery:?} is not what was asked for")),
        }
    }

    /// Keeps a result and tells the trace.
    fn finish(&mut self, inst: Inst, result: Option<Datum>) -> Result<(), Fault> {
        let place = self.function.insts[inst].result;
        match (place, result) {
            (Some(place), Some(result)) if result.ty() == self.function.ty(place) => {
                self.values[place] = Some(result)
            }
            (None, None) => {}
            (place, result) => {
                let expected = place.map(|place| self.function.ty(place).name()).unwrap_or("none");
                return Err(self.fault(format!("the result is {result:?}, its type should be {expected}")));
            }
        }
        self.tell(inst, result);
        Ok(())
    }
    fn tell(&mut self, inst: Inst, result: Option<Datum>) {
        let block = self.last.0;
        if let Some(trace) = &mut self.trace {
            trace(&Step { block, inst, result });
        }
    }
    /// Forgets every value that is not needed across a call: a collector must not see it, and no later step may use it.
    fn forget_dead(&mut self, inst: Inst) -> Result<(), Fault> {
        let Some(needed) = self.prepared.needed(inst) else {
            return Err(self.fault("it is not prepared as a call"));
        };
        for (value, place) in self.values.iter_mut() {
            if !needed.contains(value) {
                *place = None;
            }
        }
        Ok(())
    }

    /// What a value is now.
    pub(super) fn value(&self, value: Value) -> Result<Datum, String> {
        self.values[value].ok_or_else(|| undefined(value))
    }

    fn step<H: EvaluatorHost + ?Sized>(&mut self, inst: Inst, host: &mut H) -> Result<Next, Halt> {
        let data = &self.function.insts[inst];
        if self.prepared.room_check() == Some(inst)
            && let Some(state) = data.state
            && !host.has_room(self.window, self.function.window_size())
        {
            return self.leave(state, LeaveReason::Guard { inst, reason: GuardReason::Stack, forced: false });
        }
        let mut operands = SmallVec::<[Datum; 4]>::new();
        for &arg in &data.args {
            match self.values[arg] {
                Some(datum) => operands.push(datum),
                None => return Err(Halt::Fault(undefined(arg))),
            }
        }
        let wrong = || Halt::Fault(format!("it is not defined for {operands:?}"));
        let result = |datum| Ok(Next::Result(Some(datum)));
        match (data.opcode, data.immediate, &operands[..]) {
            (Opcode::GuardKind | Opcode::GuardNotKind | Opcode::GuardTrue | Opcode::GuardFalse, ..) => {
                self.guard(inst, data, &operands)
            }

            (Opcode::Load, ..) | (Opcode::LoadElement, ..) => {
                let access = self.access(data, &operands)?;
                result(host.load(&access)?)
            }
            (Opcode::Store | Opcode::StoreElement, _, [.., value]) => {
                let access = self.access(data, &operands)?;
                if value.ty() != access.memory.value_type() {
                    return Err(wrong());
                }
                host.store(&access, *value)?;
                Ok(Next::Result(None))
            }
            (Opcode::Barrier, _, &[Datum::Ref(object), value]) => {
                host.barrier(object, value)?;
                Ok(Next::Result(None))
            }

            (Opcode::Slot, Immediate::Slot(slot), []) => result(host.slot(slot, &self.function.slots[slot])?),
            (Opcode::Assume, Immediate::Recipe(recipe), []) => match host.holds(&recipe) {
                true => Ok(Next::Result(None)),
                false => {
                    Err(Halt::Fault("the function rests on this, and it does not hold any more".to_owned()))
                }
            },
            (Opcode::HostState, _, []) => result(Datum::Raw(host.host_state())),
            (Opcode::Argument, Immediate::Register(register), [])
                if self.function.entry == Entry::Call
                    && u64::from(register.0) >= host.argument_count(self.window)? =>
            {
                let absent = boxing::absent(self.language);
                result(Datum::Any(
                    absent.ok_or_else(|| Halt::Fault("the language has no absent value".to_owned()))?,
                ))
            }
            (Opcode::Argument | Opcode::LoadWindow, Immediate::Register(register), []) => {
                result(Datum::Any(host.load_window(self.window, register.0.into())?))
            }
            (Opcode::SelfClosure, _, []) => result(Datum::Any(host.load_window(self.window, -1)?)),
            (Opcode::ArgumentCount, _, []) => result(Datum::I64(host.argument_count(self.window)? as i64)),
            (Opcode::WindowAddress, Immediate::Register(register), []) => {
                result(Datum::Raw(host.window_address(self.window, register.0.into())))
            }
            (Opcode::StoreWindow, Immediate::Register(register), &[Datum::Any(value)]) => {
                host.store_window(self.window, register.0.into(), value)?;
                Ok(Next::Result(None))
            }

            (Opcode::Operation, Immediate::Operation(id, _), _) => {
                self.call_extern(self.language.operations[id].fallback, &operands, host)
            }
            (Opcode::CallExtern, Immediate::Extern(id), _) => self.call_extern(id, &operands, host),
            (Opcode::CallGuest | Opcode::CallUnit, Immediate::Call(info), _) => {
                self.call_guest(info, &operands)
            }
            (Opcode::ResultCount, _, []) => match self.result_count {
                Some(count) => result(Datum::I64(count as i64)),
                None => Err(Halt::Fault("no call came before".to_owned())),
            },
            (Opcode::Poll, _, []) if !host.is_polled() => Ok(Next::Result(None)),
            (Opcode::Poll, _, []) => Ok(Next::Wait(Box::new(Call::Poll))),

            (Opcode::Jump, ..) => self.jump(data, 0),
            (Opcode::Branch, _, &[Datum::I1(condition)]) => self.jump(data, usize::from(!condition)),
            (Opcode::Return, ..) => Ok(Next::Exit(Box::new(Exit::Returned(operands.into_vec())))),
            (Opcode::ReturnOpen, Immediate::Register(register), &[Datum::I64(count)]) if count >= 0 => {
                Ok(Next::Exit(Box::new(Exit::ReturnedOpen { register, count: count as u64 })))
            }
            (Opcode::Deoptimize, Immediate::Reason(reason), _) => {
                self.leave(Self::state_before(data)?, LeaveReason::Deoptimize(reason))
            }
            (Opcode::Unreachable, ..) => Err(Halt::Fault("control got here".to_owned())),

            _ => match pure::compute(self.language, data, &operands) {
                Some(datum) => result(datum),
                None => Err(wrong()),
            },
        }
    }

    fn guard(&mut self, inst: Inst, data: &InstData, operands: &[Datum]) -> Result<Next, Halt> {
        let kind_reason = |immediate| match immediate {
            Immediate::KindReason(_, reason) | Immediate::Reason(reason) => Some(reason),
            _ => None,
        };
        let reason: GuardReason =
            kind_reason(data.immediate).ok_or_else(|| Halt::Fault("a guard without a reason".to_owned()))?;
        let (holds, result) = match (data.opcode, data.immediate, operands) {
            (Opcode::GuardKind, Immediate::KindReason(kind, _), &[Datum::Any(value)]) => {
                let holds = boxing::is_kind(self.language, kind, value);
                let payload = boxing::unboxed(self.language, kind, value);
                if holds && payload.is_none() {
                    return Err(Halt::Fault(format!("the payload of {:?} is broken", Datum::Any(value))));
                }
                (holds, payload.flatten())
            }
            (Opcode::GuardNotKind, Immediate::KindReason(kind, _), &[Datum::Any(value)]) => {
                (!boxing::is_kind(self.language, kind, value), Some(Datum::Any(value)))
            }
            (Opcode::GuardTrue, _, &[Datum::I1(condition)]) => (condition, None),
            (Opcode::GuardFalse, _, &[Datum::I1(condition)]) => (!condition, None),
            _ => return Err(Halt::Fault(format!("it is not defined for {operands:?}"))),
        };
        self.guards += 1;
        let forced = self.settings.fail_every.is_some_and(|every| self.guards.is_multiple_of(every.max(1)));
        if holds && !forced {
            return Ok(Next::Result(result));
        }
        self.leave(Self::state_before(data)?, LeaveReason::Guard { inst, reason, forced: holds })
    }
    fn state_before(data: &InstData) -> Result<FrameStateId, Halt> {
        data.state.ok_or_else(|| Halt::Fault("it has no frame state to leave with".to_owned()))
    }
    fn leave(&self, state: FrameStateId, reason: LeaveReason) -> Result<Next, Halt> {
        let frames = self.rebuild(state, None)?;
        Ok(Next::Exit(Box::new(Exit::Deoptimized { reason, frames })))
    }

    fn access(&self, data: &InstData, operands: &[Datum]) -> Result<Access, Halt> {
        let Immediate::Field(id) = data.immediate else { return Err(Halt::Fault("no field".to_owned())) };
        let base = match operands.first() {
            Some(&(Datum::Ref(base) | Datum::Raw(base))) if base != 0 => base,
            other => return Err(Halt::Fault(format!("the address is {other:?}"))),
        };
        let is_element = matches!(data.opcode, Opcode::LoadElement | Opcode::StoreElement);
        let index = match operands.get(1) {
            Some(&Datum::I64(index)) if is_element => Some(index),
            _ if is_element => return Err(Halt::Fault("no index".to_owned())),
            _ => None,
        };
        Ok(Access::new(id, &self.language.fields[id], base, index))
    }

    fn call_extern<H: EvaluatorHost + ?Sized>(
        &mut self,
        id: ExternId,
        args: &[Datum],
        host: &mut H,
    ) -> Result<Next, Halt> {
        let callee = &self.language.externs[id];
        if !args.iter().map(|arg| arg.ty()).eq(callee.params.iter().copied()) {
            return Err(Halt::Fault(format!("{} can't be called with {args:?}", callee.name)));
        }
        let end = i32::from(self.function.window_size());
        let window_end = callee.needs_window.then(|| host.window_address(self.window, end));
        let call = ExternCall { id, args: args.to_vec(), window_end };
        if !callee.effects.is_leaf() {
            return Ok(Next::Wait(Box::new(Call::Extern(call))));
        }
        Ok(Next::Result(host.call_leaf(&call)?))
    }
    fn call_guest(&self, info: CallInfo, operands: &[Datum]) -> Result<Next, Halt> {
        let wrong = || Halt::Fault(format!("it is not defined for {operands:?}"));
        let (&callee, args) = operands.split_first().ok_or_else(wrong)?;
        let (args, open_arguments) = match (info.open_arguments, args.split_last()) {
            (false, _) => (args, None),
            (true, Some((&Datum::I64(count), args))) if count >= 0 => (args, Some(count as u64)),
            (true, _) => return Err(wrong()),
        };
        if !matches!(callee.ty(), Type::Any | Type::Ref) {
            return Err(wrong());
        }
        let args: Option<Vec<Boxed>> = args.iter().map(|arg| arg.boxed()).collect();
        Ok(Next::Wait(Box::new(Call::Guest(GuestCall {
            callee,
            args: args.ok_or_else(wrong)?,
            open_arguments,
            window: self.window,
            register: info.window,
            wanted: info.wanted,
            site: info.site,
        }))))
    }

    fn jump(&mut self, data: &InstData, way: usize) -> Result<Next, Halt> {
        let target = data.targets.get(way).ok_or_else(|| Halt::Fault("no such target".to_owned()))?;
        let params = &self.function.blocks[target.block].params;
        // All values are read before any is set: a loop may pass its parameters in another order.
        let mut values = SmallVec::<[Datum; 4]>::new();
        for &arg in &target.args {
            match self.values[arg] {
                Some(datum) => values.push(datum),
                None => return Err(Halt::Fault(undefined(arg))),
            }
        }
        if values.len() != params.len() {
            return Err(Halt::Fault("as many values as parameters".to_owned()));
        }
        for (&param, &value) in params.iter().zip(&values) {
            if value.ty() != self.function.ty(param) {
                return Err(Halt::Fault(format!("{value:?} is passed for {param}")));
            }
            self.values[param] = Some(value);
        }
        Ok(Next::Block(target.block))
    }
}
