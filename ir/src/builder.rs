//! SSA construction on the fly, for lifters.
//!
//! The host's lifter walks a unit's bytecode once and says what each instruction does in terms of *registers*; the builder
//! turns register reads and writes into SSA values and block parameters (Braun, Buchwald, Hack, Leißa, Mallon, Zwinkau:
//! "Simple and Efficient Construction of Static Single Assignment Form", CC 2013). Telling the builder where it is, with
//! [`FunctionBuilder::at`], gives every instruction that may leave compiled code its frame states for free.
//!
//! Protocol: create blocks; for each, `switch_to`, then instructions, then a terminator; `seal` a block once all jumps to it
//! are there (a loop's header after its back-edges); `finish` seals what is left.

use crate::entity::{
    Block, ExternId, FrameId, FrameStateId, Inst, KindId, OperationId, Pc, Register, UnitId, Value,
};
use crate::frame_state::{FrameState, ResumePoint, When};
use crate::function::{BlockCall, CallInfo, Entry, Function, Immediate, InstData, ValueDef, Wanted};
use crate::language::{Language, Recipe};
use crate::opcode::Opcode;
use crate::types::Type;
use cranelift_entity::{EntityRef, SecondaryMap};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

#[derive(Clone, Default)]
struct BlockState {
    sealed: bool,
    filled: bool,
    predecessors: Vec<Block>,
    definitions: FxHashMap<Register, Value>,
    incomplete: Vec<(Register, Value)>,
}

/// Where the lifter is: the bytecode instruction and what is live around it.
#[derive(Clone, Default)]
struct Place {
    pc: Option<Pc>,
    live_before: Vec<Register>,
    live_after: Vec<Register>,
    before: Option<FrameStateId>,
    /// The open run is in the state after, too.
    keeps_open: bool,
}

/// Builds a function from a walk over bytecode.
pub struct FunctionBuilder<'a> {
    /// The function so far.
    pub function: Function,
    language: &'a Language,
    block: Block,
    states: SecondaryMap<Block, BlockState>,
    place: Place,
    open: Option<(Register, Value)>,
    /// Values that turned out to be the same as another: `removed -> replacement`.
    aliases: FxHashMap<Value, Value>,
}

impl<'a> FunctionBuilder<'a> {
    /// A builder for a unit with this many registers, standing in the entry block.
    pub fn new(language: &'a Language, name: &str, unit: UnitId, entry: Entry, register_count: u16) -> Self {
        let mut function = Function::new(name, unit, entry, register_count);
        let block = function.add_block();
        let mut states: SecondaryMap<Block, BlockState> = SecondaryMap::new();
        states[block].sealed = true;
        FunctionBuilder {
            function,
            language,
            block,
            states,
            place: Place::default(),
            open: None,
            aliases: FxHashMap::default(),
        }
    }

    /// The language.
    pub fn language(&self) -> &'a Language {
        self.language
    }
    /// A new block, at the end of the layout.
    pub fn create_block(&mut self) -> Block {
        self.function.add_block()
    }
    /// Goes on in `block`, which must be empty.
    pub fn switch_to(&mut self, block: Block) {
        self.block = block;
        self.place = Place::default();
        self.open = None;
    }
    /// The block that instructions go to.
    pub fn current_block(&self) -> Block {
        self.block
    }
    /// The bytecode instruction that was named last, if one was named in this block.
    pub fn current_pc(&self) -> Option<Pc> {
        self.place.pc
    }
    /// Whether the current block already has its terminator.
    pub fn is_filled(&self) -> bool {
        self.states[self.block].filled
    }
    /// Says that all jumps to `block` are there.
    pub fn seal(&mut self, block: Block) {
        if std::mem::replace(&mut self.states[block].sealed, true) {
            return;
        }
        for (register, param) in std::mem::take(&mut self.states[block].incomplete) {
            self.complete_param(block, register, param);
        }
    }

    /// Says which bytecode instruction comes next: `live_before` are the registers live before it, `live_after` those live
    /// after it, its own results not counted.
    pub fn at(&mut self, pc: Pc, live_before: &[Register], live_after: &[Register]) {
        self.place = Place {
            pc: Some(pc),
            live_before: live_before.to_vec(),
            live_after: live_after.to_vec(),
            before: None,
            keeps_open: false,
        };
    }
    /// Says that an open run of `count` values stands in the window from `register` on; `None` when it was consumed. It
    /// becomes part of the frame states made from here on.
    pub fn set_open(&mut self, open: Option<(Register, Value)>) {
        self.open = open;
        self.place.before = None;
    }
    /// Says that the current instruction runs again after what it calls, so that the open run stands after it, too.
    pub fn keep_open(&mut self) {
        self.place.keeps_open = true;
    }
    fn state(&mut self, when: When) -> FrameStateId {
        let pc = self
            .place
            .pc
            .expect("the lifter says where it is before it emits an instruction that needs a frame state");
        if when == When::Before
            && let Some(state) = self.place.before
        {
            return state;
        }
        let live = match when {
            When::Before => self.place.live_before.clone(),
            When::After => self.place.live_after.clone(),
        };
        let registers = live.into_iter().map(|register| (register, self.read_register(register))).collect();
        let open = if when == When::Before || self.place.keeps_open { self.open } else { None };
        let state = self.function.states.push(FrameState {
            frame: FrameId::new(0),
            resume: ResumePoint { pc, when },
            callee: None,
            registers,
            results: SmallVec::new(),
            open,
            parent: None,
        });
        if when == When::Before {
            self.place.before = Some(state);
        }
        state
    }

    /// What a register holds here.
    pub fn read_register(&mut self, register: Register) -> Value {
        self.read_in(self.block, register)
    }
    /// Sets what a register holds from here on.
    ///
    /// The frame state *before* the current instruction is taken at its first use; a lifter that writes a register before it
    /// emits the instruction's guards takes it first with [`Self::pin_state`].
    pub fn write_register(&mut self, register: Register, value: Value) {
        self.states[self.block].definitions.insert(register, value);
    }
    /// Takes the frame state before the current instruction now.
    pub fn pin_state(&mut self) {
        self.state(When::Before);
    }

    fn resolve(&self, mut value: Value) -> Value {
        while let Some(&next) = self.aliases.get(&value) {
            value = next;
        }
        value
    }
    fn read_in(&mut self, block: Block, register: Register) -> Value {
        if let Some(&value) = self.states[block].definitions.get(&register) {
            return self.resolve(value);
        }
        let value = if !self.states[block].sealed {
            let param = self.function.add_param(block, Type::Any);
            self.states[block].incomplete.push((register, param));
            param
        } else if let [single] = self.states[block].predecessors[..] {
            self.read_in(single, register)
        } else {
            let param = self.function.add_param(block, Type::Any);
            self.states[block].definitions.insert(register, param);
            self.complete_param(block, register, param)
        };
        self.states[block].definitions.insert(register, value);
        value
    }
    fn complete_param(&mut self, block: Block, register: Register, param: Value) -> Value {
        for predecessor in self.states[block].predecessors.clone() {
            let value = self.read_in(predecessor, register);
            let inst = self.function.terminator(predecessor).expect("a predecessor has its terminator");
            for target in &mut self.function.insts[inst].targets {
                // A branch with both ways to the same block passes the value on both.
                if target.block == block {
                    target.args.push(value);
                }
            }
        }
        self.remove_if_trivial(block, param)
    }
    /// A parameter that is always itself or one other value is that value.
    fn remove_if_trivial(&mut self, block: Block, param: Value) -> Value {
        let ValueDef::Param(_, position) = self.function.values[param].def else {
            return self.resolve(param);
        };
        let position = position as usize;
        let mut same = None;
        for predecessor in self.states[block].predecessors.clone() {
            let inst = self.function.terminator(predecessor).expect("a predecessor has its terminator");
            for target in &self.function.insts[inst].targets {
                if target.block != block {
                    continue;
                }
                let Some(&arg) = target.args.get(position) else { return param };
                let arg = self.resolve(arg);
                if arg == param || Some(arg) == same {
                    continue;
                }
                if same.is_some() {
                    return param;
                }
                same = Some(arg);
            }
        }
        // No value at all: the block can't be reached, or the register was never written. The finish step drops such blocks.
        let Some(same) = same else { return param };
        self.function.remove_param(block, position);
        for predecessor in self.states[block].predecessors.clone() {
            let inst = self.function.terminator(predecessor).expect("a predecessor has its terminator");
            for target in &mut self.function.insts[inst].targets {
                if target.block == block {
                    target.args.remove(position);
                }
            }
        }
        self.aliases.insert(param, same);
        same
    }

    /// Emits an instruction; the result's type comes from the table.
    pub fn emit(&mut self, data: InstData) -> Inst {
        let result = self.function.result_type(self.language, &data);
        self.function.append(self.block, data, result)
    }
    /// Emits an instruction with a result.
    pub fn value(&mut self, opcode: Opcode, args: &[Value], immediate: Immediate) -> Value {
        let inst = self.emit(InstData::new(opcode, args, immediate));
        self.function.result(inst)
    }
    /// A boxed value of a kind.
    pub fn boxed(&mut self, kind: KindId, payload: Option<Value>) -> Value {
        self.value(Opcode::Box, payload.as_slice(), Immediate::Kind(kind))
    }
    /// What the slot with this recipe holds.
    pub fn slot(&mut self, recipe: Recipe) -> Value {
        let slot = self.function.slot(recipe);
        self.value(Opcode::Slot, &[], Immediate::Slot(slot))
    }
    /// A generic operation at the current bytecode instruction.
    pub fn operation(&mut self, operation: OperationId, args: &[Value]) -> Option<Value> {
        let pc = self.place.pc.expect("the lifter says where it is before it emits an operation");
        let mut data = InstData::new(Opcode::Operation, args, Immediate::Operation(operation, pc));
        data.state = Some(self.state(When::Before));
        data.after = Some(self.state(When::After));
        let inst = self.emit(data);
        self.function.insts[inst].result
    }
    /// A call of an extern at the current bytecode instruction, which is also where an interrupted call goes on.
    pub fn call_extern(&mut self, id: ExternId, args: &[Value]) -> Option<Value> {
        let mut data = InstData::new(Opcode::CallExtern, args, Immediate::Extern(id));
        if self.language.externs[id].effects.may_deoptimize() {
            data.after = Some(self.state(When::After));
        }
        let inst = self.emit(data);
        self.function.insts[inst].result
    }
    /// A call of a guest value. `args` are the callee, the fixed arguments, and with `open_arguments` the number of further ones.
    pub fn call_guest(
        &mut self,
        window: Register,
        args: &[Value],
        wanted: Wanted,
        open_arguments: bool,
    ) -> Option<Value> {
        let site = self.place.pc.expect("the lifter says where it is before it emits a call");
        let info = CallInfo { window, wanted, open_arguments, site };
        let mut data = InstData::new(Opcode::CallGuest, args, Immediate::Call(info));
        data.state = Some(self.state(When::Before));
        data.after = Some(self.state(When::After));
        let inst = self.emit(data);
        self.function.insts[inst].result
    }
    /// A safepoint with the state before the current bytecode instruction.
    pub fn poll(&mut self) {
        let mut data = InstData::new(Opcode::Poll, &[], Immediate::None);
        data.state = Some(self.state(When::Before));
        self.emit(data);
    }
    fn terminate(&mut self, mut data: InstData, targets: &[Block]) {
        data.targets = targets.iter().map(|&block| BlockCall { block, args: smallvec![] }).collect();
        self.emit(data);
        let block = self.block;
        self.states[block].filled = true;
        for (index, &target) in targets.iter().enumerate() {
            // A branch with both ways to one block is one predecessor.
            if !targets[..index].contains(&target) {
                self.states[target].predecessors.push(block);
            }
        }
    }
    /// Ends the block with a jump.
    pub fn jump(&mut self, target: Block) {
        self.terminate(InstData::new(Opcode::Jump, &[], Immediate::None), &[target]);
    }
    /// Ends the block with a conditional branch.
    pub fn branch(&mut self, condition: Value, then_block: Block, else_block: Block) {
        let mut data = InstData::new(Opcode::Branch, &[condition], Immediate::None);
        if self.place.pc.is_some() {
            data.state = Some(self.state(When::Before));
        }
        self.terminate(data, &[then_block, else_block]);
    }
    /// Ends the block and the unit with these results.
    pub fn return_(&mut self, values: &[Value]) {
        self.terminate(InstData::new(Opcode::Return, values, Immediate::None), &[]);
    }
    /// Ends the block and the unit with the open run of results that starts at `register` of the window.
    pub fn return_open(&mut self, register: Register, count: Value) {
        self.terminate(InstData::new(Opcode::ReturnOpen, &[count], Immediate::Register(register)), &[]);
    }
    /// Ends the block by going on in the interpreter for good, before the current bytecode instruction.
    pub fn deoptimize(&mut self, reason: crate::guard::GuardReason) {
        let mut data = InstData::new(Opcode::Deoptimize, &[], Immediate::Reason(reason));
        data.state = Some(self.state(When::Before));
        self.terminate(data, &[]);
    }

    /// Seals what is left, drops blocks that can't be reached, and hands the function out.
    pub fn finish(mut self) -> Function {
        for block in self.function.layout.clone() {
            self.seal(block);
        }
        // Removing one trivial parameter may make another trivial.
        loop {
            let before = self.aliases.len();
            for block in self.function.layout.clone() {
                for param in self.function.blocks[block].params.clone() {
                    self.remove_if_trivial(block, param);
                }
            }
            if self.aliases.len() == before {
                break;
            }
        }
        let mut function =
            std::mem::replace(&mut self.function, Function::new("", UnitId::default(), Entry::Template, 0));
        for data in function.insts.values_mut() {
            data.map_operands(|value| self.resolve(value));
        }
        for state in function.states.values_mut() {
            state.map_values(|value| self.resolve(value));
        }
        drop_unreachable(&mut function);
        function
    }
}

/// Takes blocks that can't be reached from the entry out of the layout.
pub(crate) fn drop_unreachable(function: &mut Function) {
    let mut reached: SecondaryMap<Block, bool> = SecondaryMap::new();
    let mut work = vec![function.entry_block()];
    while let Some(block) = work.pop() {
        if !std::mem::replace(&mut reached[block], true) {
            work.extend(function.successors(block));
        }
    }
    function.layout.retain(|&block| reached[block]);
}
