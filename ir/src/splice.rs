//! Splicing: a guest call whose callee is known becomes the callee's own code.
//!
//! ```text
//!   block1:                              block1:
//!     …                                    …
//!     v7 = call_guest v3(v4)               the callee's entry block, its argument r0 being v4
//!     v8 = … v7                            jump block2 / branch …
//!     return v8                          block2:              the callee's other blocks
//!                                          jump block3(v9)    where it returned v9
//!                                        block3(v7: any):
//!                                          v8 = … v7
//!                                          return v8
//! ```
//!
//! The callee's activations become frames of the function, around them the caller's: their windows lie where the call would have put
//! them, and their states get the caller's state *after* the call as parent. Instructions keep the bytecode instructions of their own
//! unit, so that its log is theirs. A callee may have been spliced into itself, to any depth.
//!
//! What must hold before: both are right generic functions (of the caller this much: the call is a `call_guest`), and whatever
//! is called there is a closure of the callee's unit, always. Nothing is guarded here: a caller that guesses guards first.
//! What holds afterwards: the function is as right as it was, and does the same; its polls, calls and operations are those of both.
//!
//! Calls with an open run of arguments, and callees that count their arguments or return an open run, are refused: what they need
//! stands in a window, in a number that is not known here.

use crate::builder::drop_unreachable;
use crate::entity::{Block, FrameId, FrameStateId, Inst, Register, Value};
use crate::frame_state::FrameInfo;
use crate::function::{BlockCall, CallInfo, Entry, Function, Immediate, InstData, ValueDef, Wanted};
use crate::language::Language;
use crate::opcode::Opcode;
use crate::types::Type;
use cranelift_entity::EntityRef;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use thiserror::Error;

/// Why a call stays a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum NotSpliced {
    /// The instruction is something else, or stands in no block.
    #[error("it is no guest call of the function")]
    NoCall,
    /// How many arguments there are is not known.
    #[error("its arguments are an open run")]
    OpenArguments,
    /// The callee is entered at a loop's header, or not at all.
    #[error("the callee is not entered by call")]
    NotEnteredByCall,
    /// The callee has guards, assumptions, or calls of units.
    #[error("the callee is not generic")]
    NotGeneric,
    /// The callee asks how many arguments it was called with.
    #[error("the callee counts its arguments")]
    CountsArguments,
    /// The callee returns an open run of results.
    #[error("the callee returns an open run")]
    OpenResults,
    /// The language has no kind without payload for arguments and results that are missing.
    #[error("the language has no absent value")]
    NoAbsentValue,
    /// The callee's window ends beyond what windows can be.
    #[error("the callee's window ends beyond 65535 registers")]
    WindowTooLarge,
}

/// Replaces a call by the code of the unit that it calls.
///
/// # Errors
/// Why it can't be replaced; then nothing has changed.
pub fn splice(
    function: &mut Function,
    call: Inst,
    callee: &Function,
    language: &Language,
) -> Result<(), NotSpliced> {
    let (block, position) = place_of(function, call).ok_or(NotSpliced::NoCall)?;
    let data = function.insts[call].clone();
    let (Opcode::CallGuest, Immediate::Call(info), Some(after)) = (data.opcode, data.immediate, data.after)
    else {
        return Err(NotSpliced::NoCall);
    };
    if info.open_arguments {
        return Err(NotSpliced::OpenArguments);
    }
    check(callee)?;
    let window = info.window.0.checked_add(1).ok_or(NotSpliced::WindowTooLarge)?;
    window.checked_add(callee.window_size()).ok_or(NotSpliced::WindowTooLarge)?;
    let absent = language.kinds.iter().find(|(_, kind)| kind.payload.is_none()).map(|(id, _)| id);
    let absent = Immediate::Kind(absent.ok_or(NotSpliced::NoAbsentValue)?);
    let mut splice = Splice {
        info,
        callee,
        window,
        closure: data.args[0],
        passed: SmallVec::from_slice(&data.args[1..]),
        after,
        first_frame: function.frames.len(),
        absent,
        values: FxHashMap::default(),
        insts: FxHashMap::default(),
        blocks: FxHashMap::default(),
        states: FxHashMap::default(),
        function,
    };
    splice.add_frames();
    let rest = splice.split(block, position, data.result);
    splice.add_blocks(block, rest.block);
    splice.add_values(block);
    splice.fill(&rest);
    drop_unreachable(splice.function);
    Ok(())
}

fn place_of(function: &Function, inst: Inst) -> Option<(Block, usize)> {
    function.layout.iter().find_map(|&block| {
        let position = function.blocks[block].insts.iter().position(|&other| other == inst)?;
        Some((block, position))
    })
}

fn check(callee: &Function) -> Result<(), NotSpliced> {
    if callee.entry != Entry::Call {
        return Err(NotSpliced::NotEnteredByCall);
    }
    for data in callee.layout.iter().flat_map(|&block| &callee.blocks[block].insts).map(|&i| &callee.insts[i])
    {
        match data.opcode {
            Opcode::ArgumentCount => return Err(NotSpliced::CountsArguments),
            Opcode::ReturnOpen => return Err(NotSpliced::OpenResults),
            Opcode::Assume | Opcode::CallUnit => return Err(NotSpliced::NotGeneric),
            opcode if opcode.is_guard() || !data.proofs.is_empty() => return Err(NotSpliced::NotGeneric),
            _ => {}
        }
    }
    Ok(())
}

/// Where the caller goes on.
struct Rest {
    block: Block,
    /// The call's result, and numbers of its results, as the block's parameters.
    results: usize,
    counts: usize,
}

struct Splice<'a> {
    function: &'a mut Function,
    callee: &'a Function,
    info: CallInfo,
    /// Where the callee's window begins in the outermost one.
    window: u16,
    /// The callee's boxed value.
    closure: Value,
    passed: SmallVec<[Value; 4]>,
    /// The caller's state after the call.
    after: FrameStateId,
    /// The number of the callee's own activation; those inlined into it follow in their order.
    first_frame: usize,
    /// The kind of what is missing.
    absent: Immediate,
    // What stands for what of the callee.
    values: FxHashMap<Value, Value>,
    insts: FxHashMap<Inst, Inst>,
    blocks: FxHashMap<Block, Block>,
    states: FxHashMap<FrameStateId, FrameStateId>,
}

impl Splice<'_> {
    fn add_frames(&mut self) {
        let (caller, callee) = (self.function.states[self.after].frame, self.callee);
        for info in callee.frames.values() {
            self.function.frames.push(FrameInfo {
                parent: Some(info.parent.map_or(caller, |parent| self.frame(parent))),
                window: self.window + info.window,
                ..info.clone()
            });
        }
    }
    fn frame(&self, frame: FrameId) -> FrameId {
        FrameId::new(self.first_frame + frame.index())
    }

    /// Takes the call out of its block, and what follows it into a block of its own.
    fn split(&mut self, block: Block, position: usize, result: Option<Value>) -> Rest {
        let function = &mut *self.function;
        let rest = function.blocks.push(Default::default());
        let mut insts = function.blocks[block].insts.split_off(position);
        insts.remove(0);
        let mut params: SmallVec<[Value; 4]> = result.into_iter().collect();
        let results = params.len();
        // How many results there are is known where they are returned.
        let is_call = |opcode| matches!(opcode, Opcode::CallGuest | Opcode::CallUnit);
        let next_call = insts.iter().position(|&inst| is_call(function.insts[inst].opcode));
        let mut index = 0;
        insts.retain(|&inst| {
            let is_ours = self.info.wanted == Wanted::Open && next_call.is_none_or(|next| index < next);
            index += 1;
            let data = &function.insts[inst];
            let count = data.result.filter(|_| is_ours && data.opcode == Opcode::ResultCount);
            params.extend(count);
            count.is_none()
        });
        let counts = params.len() - results;
        for (position, &param) in params.iter().enumerate() {
            function.values[param].def = ValueDef::Param(rest, position as u32);
        }
        let cold = function.blocks[block].cold;
        let data = &mut function.blocks[rest];
        (data.params, data.insts, data.cold) = (params, insts, cold);
        Rest { block: rest, results, counts }
    }

    /// Blocks for the callee's, between the call's and the one where the caller goes on. The entry block's code goes to the call's.
    fn add_blocks(&mut self, call: Block, rest: Block) {
        let is_cold = self.function.blocks[call].cold;
        let callee = self.callee;
        let mut added = Vec::with_capacity(callee.layout.len());
        for &block in &callee.layout[1..] {
            let made = self.function.blocks.push(Default::default());
            self.function.blocks[made].cold = is_cold || callee.blocks[block].cold;
            for &param in &callee.blocks[block].params {
                let value = self.function.add_param(made, callee.ty(param));
                self.values.insert(param, value);
            }
            self.blocks.insert(block, made);
            added.push(made);
        }
        added.push(rest);
        self.blocks.insert(callee.entry_block(), call);
        let at = self.function.layout.iter().position(|&block| block == call);
        let at = at.expect("the call's block is in the layout") + 1;
        self.function.layout.splice(at..at, added);
    }

    /// Copies the instructions, as they are, so that each value of the callee has one that stands for it. Its arguments are what was
    /// passed; returns are left out.
    fn add_values(&mut self, call: Block) {
        let callee = self.callee;
        for &block in &callee.layout {
            for &inst in &callee.blocks[block].insts {
                let data = &callee.insts[inst];
                let given = match (data.opcode, data.immediate) {
                    (Opcode::Return, _) => continue,
                    (Opcode::SelfClosure, _) => Some(self.closure),
                    (Opcode::Argument, Immediate::Register(register)) => {
                        let passed = self.passed.get(usize::from(register.0)).copied();
                        Some(passed.unwrap_or_else(|| self.absent_value(call)))
                    }
                    _ => None,
                };
                if let (Some(given), Some(result)) = (given, data.result) {
                    self.values.insert(result, given);
                    continue;
                }
                let ty = data.result.map(|result| callee.ty(result));
                let made = self.function.make_inst(data.clone(), ty);
                if let (Some(result), Some(copy)) = (data.result, self.function.insts[made].result) {
                    self.values.insert(result, copy);
                }
                self.insts.insert(inst, made);
            }
        }
    }
    fn absent_value(&mut self, block: Block) -> Value {
        let absent = InstData::new(Opcode::Box, &[], self.absent);
        let absent = self.function.append(block, absent, Some(Type::Any));
        self.function.result(absent)
    }

    /// Puts the instructions into their blocks, about what they are about here.
    fn fill(&mut self, rest: &Rest) {
        let callee = self.callee;
        for &block in &callee.layout {
            let to = self.blocks[&block];
            for inst in &callee.blocks[block].insts {
                let data = &callee.insts[*inst];
                if data.opcode == Opcode::Return {
                    self.go_on(to, &data.args, rest);
                } else if let Some(&made) = self.insts.get(inst) {
                    self.translate(made);
                    self.function.blocks[to].insts.push(made);
                }
            }
        }
    }
    fn value(&self, value: Value) -> Value {
        self.values.get(&value).copied().expect("the callee's values have all been copied")
    }
    fn translate(&mut self, made: Inst) {
        let mut data = self.function.insts[made].clone();
        data.map_operands(|value| self.value(value));
        for target in &mut data.targets {
            target.block = self.blocks[&target.block];
        }
        data.state = data.state.map(|state| self.state(state));
        data.after = data.after.map(|state| self.state(state));
        match &mut data.immediate {
            Immediate::Slot(slot) => *slot = self.function.slot(self.callee.slots[*slot]),
            Immediate::Register(register) | Immediate::Call(CallInfo { window: register, .. }) => {
                register.0 += self.window;
            }
            _ => {}
        }
        self.function.insts[made] = data;
    }
    /// A state of the callee with those of the caller around it.
    fn state(&mut self, state: FrameStateId) -> FrameStateId {
        if let Some(&known) = self.states.get(&state) {
            return known;
        }
        let mut data = self.callee.states[state].clone();
        data.map_values(|value| self.value(value));
        data.callee.get_or_insert(self.closure);
        data.frame = self.frame(data.frame);
        data.parent = Some(data.parent.map_or(self.after, |parent| self.state(parent)));
        let made = self.function.states.push(data);
        self.states.insert(state, made);
        made
    }

    /// Where the callee returned: its results go where the call would have left them.
    fn go_on(&mut self, from: Block, returned: &[Value], rest: &Rest) {
        let mut values: SmallVec<[Value; 4]> = returned.iter().map(|&value| self.value(value)).collect();
        if let Wanted::Fixed(wanted) = self.info.wanted {
            values.truncate(wanted.into());
            while values.len() < wanted.into() {
                let absent = self.absent_value(from);
                values.push(absent);
            }
        }
        let mut args: SmallVec<[Value; 4]> = SmallVec::new();
        if rest.results > 0 {
            args.extend(values.first().copied());
        } else {
            for (position, &value) in values.iter().enumerate() {
                let register = Immediate::Register(Register(self.info.window.0 + position as u16));
                self.function.append(from, InstData::new(Opcode::StoreWindow, &[value], register), None);
            }
        }
        for _ in 0..rest.counts {
            let count = Immediate::Integer(values.len() as i64);
            let count =
                self.function.append(from, InstData::new(Opcode::Iconst, &[], count), Some(Type::I64));
            args.push(self.function.result(count));
        }
        let mut jump = InstData::new(Opcode::Jump, &[], Immediate::None);
        jump.targets.push(BlockCall { block: rest.block, args });
        self.function.append(from, jump, None);
    }
}

#[cfg(test)]
mod tests;
