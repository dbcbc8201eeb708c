//! Functions in SSA form.
//!
//! A function is a list of blocks in layout order (the first is the entry and has no parameters); a block has parameters
//! instead of phi instructions and ends with one terminator. Values are defined by instructions (at most one result each) or by
//! block parameters. Instructions are one uniform record, so that generic code (printing, renaming, dominance checks) is
//! written once; what they mean is in [`crate::opcode`].

use crate::columns;
use crate::entity::{
    Block, ExternId, FieldId, FrameId, FrameStateId, Inst, KindId, OperationId, Pc, Register, SlotId, UnitId,
    Value,
};
use crate::frame_state::{FrameInfo, FrameState};
use crate::guard::GuardReason;
use crate::language::{Language, Recipe};
use crate::opcode::{FloatCondition, ImmediateForm, IntCondition, Opcode};
use crate::premise::Premise;
use crate::types::Type;
use cranelift_entity::PrimaryMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// How many results a call site wants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Wanted {
    /// Exactly this many; missing ones are the language's absent value. One result is the instruction's result; two or more are
    /// left in the window.
    Fixed(u8),
    /// As many as there are, left in the window; `result_count` says how many.
    Open,
}

/// The immediate of a call instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CallInfo {
    /// Register of the outermost frame's window where the callee's value goes; its arguments follow.
    pub window: Register,
    /// How many results are wanted.
    pub wanted: Wanted,
    /// The last operand is an `i64`: that many further arguments already stand in the window behind the fixed ones.
    pub open_arguments: bool,
    /// The bytecode instruction, in the unit of the instruction's frame state.
    pub site: Pc,
}

/// What an instruction carries besides operands.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Immediate {
    /// Nothing.
    None,
    /// An integer constant or raw word.
    Integer(i64),
    /// A float constant's bits.
    Float(u64),
    /// A truth constant.
    Boolean(bool),
    /// A kind.
    Kind(KindId),
    /// A kind and why the guess was made.
    KindReason(KindId, GuardReason),
    /// Why a guess was made.
    Reason(GuardReason),
    /// A comparison of integers.
    IntCondition(IntCondition),
    /// A comparison of floats.
    FloatCondition(FloatCondition),
    /// A field.
    Field(FieldId),
    /// An extern.
    Extern(ExternId),
    /// A spesh slot.
    Slot(SlotId),
    /// An operation at a site.
    Operation(OperationId, Pc),
    /// A register of the outermost frame's window.
    Register(Register),
    /// A guest call.
    Call(CallInfo),
    /// What an assumption is about.
    Recipe(Recipe),
}

impl Immediate {
    /// What kind of immediate this is.
    pub fn form(&self) -> ImmediateForm {
        match self {
            Immediate::None => ImmediateForm::None,
            Immediate::Integer(_) => ImmediateForm::Integer,
            Immediate::Float(_) => ImmediateForm::Float,
            Immediate::Boolean(_) => ImmediateForm::Boolean,
            Immediate::Kind(_) => ImmediateForm::Kind,
            Immediate::KindReason(..) => ImmediateForm::KindReason,
            Immediate::Reason(_) => ImmediateForm::Reason,
            Immediate::IntCondition(_) => ImmediateForm::IntCondition,
            Immediate::FloatCondition(_) => ImmediateForm::FloatCondition,
            Immediate::Field(_) => ImmediateForm::Field,
            Immediate::Extern(_) => ImmediateForm::Extern,
            Immediate::Slot(_) => ImmediateForm::Slot,
            Immediate::Operation(..) => ImmediateForm::Operation,
            Immediate::Register(_) => ImmediateForm::Register,
            Immediate::Call(_) => ImmediateForm::Call,
            Immediate::Recipe(_) => ImmediateForm::Recipe,
        }
    }
}

/// A jump's target with the values for its parameters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockCall {
    /// The target.
    pub block: Block,
    /// One value for each of the target's parameters.
    pub args: SmallVec<[Value; 4]>,
}

/// One instruction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct InstData {
    /// What it does.
    pub opcode: Opcode,
    /// Its operands.
    pub args: SmallVec<[Value; 3]>,
    /// What else it needs.
    pub immediate: Immediate,
    /// Its result.
    pub result: Option<Value>,
    /// The frame state before its bytecode instruction: for guards, polls, `deoptimize`, generic operations and calls.
    /// A guard may carry a state *after* an instruction here, with that instruction's results in it.
    pub state: Option<FrameStateId>,
    /// The frame state after its bytecode instruction: for calls that may run guest code. Its results are what the call gives.
    pub after: Option<FrameStateId>,
    /// Where control may go, for terminators.
    pub targets: SmallVec<[BlockCall; 2]>,
    /// For guards that were moved away from the bytecode instruction whose guess they check: that instruction. Otherwise the
    /// resume point of the state says it. (In text: `site @12`.)
    pub site: Option<Pc>,
    /// For guards and assumptions: something was decided at compile time because this holds, and no operand shows it. It must
    /// stay. (In text: `pinned`.)
    pub pinned: bool,
    /// Provenance: the guards and assumptions that prove what this instruction takes for granted. Each dominates it.
    pub proofs: SmallVec<[Inst; 2]>,
}

impl InstData {
    /// An instruction with operands and an immediate, nothing else yet.
    pub fn new(opcode: Opcode, args: &[Value], immediate: Immediate) -> InstData {
        InstData {
            opcode,
            args: SmallVec::from_slice(args),
            immediate,
            result: None,
            state: None,
            after: None,
            targets: SmallVec::new(),
            site: None,
            pinned: false,
            proofs: SmallVec::new(),
        }
    }
    /// All operands, those for block parameters included (frame states not included).
    pub fn operands(&self) -> impl Iterator<Item = Value> + '_ {
        self.args.iter().copied().chain(self.targets.iter().flat_map(|target| target.args.iter().copied()))
    }
    /// Replaces all operands.
    pub fn map_operands(&mut self, mut map: impl FnMut(Value) -> Value) {
        for arg in &mut self.args {
            *arg = map(*arg);
        }
        for target in &mut self.targets {
            for arg in &mut target.args {
                *arg = map(*arg);
            }
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ValueDef {
    /// The result of an instruction.
    Result(Inst),
    /// A parameter of a block, by position.
    Param(Block, u32),
    /// Nothing any more: the value was replaced. No instruction may use it.
    Removed,
}

/// A value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ValueData {
    /// Its type.
    pub ty: Type,
    /// Where it comes from.
    pub def: ValueDef,
}

/// A block.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BlockData {
    /// Its parameters.
    pub params: SmallVec<[Value; 4]>,
    /// Its instructions; the last is its terminator.
    pub insts: Vec<Inst>,
    /// It is expected to be run rarely.
    pub cold: bool,
}

/// How a function is entered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Entry {
    /// As a call of its unit: arguments in the window.
    Call,
    /// At a loop's header, from a frame that the interpreter has been running: all live registers in the window.
    Loop(Pc),
    /// Not at all: the template of an operation's case.
    Template,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Entry::Call => f.write_str("call"),
            Entry::Loop(header) => write!(f, "loop {header}"),
            Entry::Template => f.write_str("template"),
        }
    }
}

/// A function in SSA form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// A name for people.
    pub name: String,
    /// The unit that it specializes.
    pub unit: UnitId,
    /// How it is entered.
    pub entry: Entry,
    /// Blocks in layout order; the first is the entry.
    #[serde(with = "columns::steps")]
    pub layout: Vec<Block>,
    /// All blocks, also those no longer in the layout.
    #[serde(with = "columns::blocks")]
    pub blocks: PrimaryMap<Block, BlockData>,
    /// All instructions, also those no longer in a block.
    #[serde(with = "columns::insts")]
    pub insts: PrimaryMap<Inst, InstData>,
    /// All values.
    #[serde(with = "columns::values")]
    pub values: PrimaryMap<Value, ValueData>,
    /// All frame states.
    pub states: PrimaryMap<FrameStateId, FrameState>,
    /// The tree of activations; number 0 is the function itself.
    pub frames: PrimaryMap<FrameId, FrameInfo>,
    /// The spesh slots.
    pub slots: PrimaryMap<SlotId, Recipe>,
    /// The facts of the log that it rests on, as far as they name what slots hold or assumptions are about. Different ones.
    pub premises: Vec<Premise>,
}

impl Function {
    /// A function without any block, with its own activation as frame 0.
    pub fn new(name: &str, unit: UnitId, entry: Entry, register_count: u16) -> Function {
        let mut frames = PrimaryMap::new();
        frames.push(FrameInfo { unit, parent: None, window: 0, register_count });
        Function {
            name: name.to_owned(),
            unit,
            entry,
            layout: Vec::new(),
            blocks: PrimaryMap::new(),
            insts: PrimaryMap::new(),
            values: PrimaryMap::new(),
            states: PrimaryMap::new(),
            frames,
            slots: PrimaryMap::new(),
            premises: Vec::new(),
        }
    }

    /// Adds a block at the end of the layout.
    pub fn add_block(&mut self) -> Block {
        let block = self.blocks.push(BlockData::default());
        self.layout.push(block);
        block
    }
    /// Adds a parameter to a block.
    pub fn add_param(&mut self, block: Block, ty: Type) -> Value {
        let position = self.blocks[block].params.len() as u32;
        let value = self.values.push(ValueData { ty, def: ValueDef::Param(block, position) });
        self.blocks[block].params.push(value);
        value
    }
    /// Removes a block's parameter by position; the arguments of the jumps to it are the caller's to remove.
    pub fn remove_param(&mut self, block: Block, position: usize) -> Value {
        let removed = self.blocks[block].params.remove(position);
        self.values[removed].def = ValueDef::Removed;
        for (index, &param) in self.blocks[block].params.iter().enumerate() {
            self.values[param].def = ValueDef::Param(block, index as u32);
        }
        removed
    }
    /// Makes an instruction, with a fresh result value if `result` is given, in no block yet.
    pub fn make_inst(&mut self, mut data: InstData, result: Option<Type>) -> Inst {
        let inst = self.insts.next_key();
        data.result = result.map(|ty| self.values.push(ValueData { ty, def: ValueDef::Result(inst) }));
        self.insts.push(data)
    }
    /// Makes an instruction at the end of a block.
    pub fn append(&mut self, block: Block, data: InstData, result: Option<Type>) -> Inst {
        let inst = self.make_inst(data, result);
        self.blocks[block].insts.push(inst);
        inst
    }
    /// An instruction's result. The instruction must have one.
    pub fn result(&self, inst: Inst) -> Value {
        self.insts[inst].result.expect("the instruction has a result")
    }
    /// A value's type.
    pub fn ty(&self, value: Value) -> Type {
        self.values[value].ty
    }
    /// The instruction that defines a value, unless it is a block parameter.
    pub fn def(&self, value: Value) -> Option<Inst> {
        match self.values[value].def {
            ValueDef::Result(inst) => Some(inst),
            ValueDef::Param(..) | ValueDef::Removed => None,
        }
    }
    /// The instruction that defines a value, if it has this opcode.
    pub fn def_with(&self, value: Value, opcode: Opcode) -> Option<&InstData> {
        self.def(value).map(|inst| &self.insts[inst]).filter(|data| data.opcode == opcode)
    }
    /// The entry block.
    pub fn entry_block(&self) -> Block {
        self.layout[0]
    }
    /// A block's terminator, if the block is finished.
    pub fn terminator(&self, block: Block) -> Option<Inst> {
        self.blocks[block].insts.last().copied().filter(|&inst| self.insts[inst].opcode.is_terminator())
    }
    /// The blocks that may follow a block.
    pub fn successors(&self, block: Block) -> impl Iterator<Item = Block> + '_ {
        self.terminator(block)
            .into_iter()
            .flat_map(|inst| self.insts[inst].targets.iter().map(|target| target.block))
    }
    /// The slot with this recipe, a new one if there is none yet.
    pub fn slot(&mut self, recipe: Recipe) -> SlotId {
        match self.slots.iter().find(|&(_, &known)| known == recipe) {
            Some((slot, _)) => slot,
            None => self.slots.push(recipe),
        }
    }
    /// Notes that it rests on a fact. One that names nothing of the process is not kept: the code checks it.
    pub fn rest_on(&mut self, premise: Premise) {
        if premise.recipes().next().is_some() && !self.premises.contains(&premise) {
            self.premises.push(premise);
        }
    }
    /// The instructions that say so: at the beginning of the entry block, so that they dominate all that follows from them.
    pub fn assumption_insts(&self) -> impl Iterator<Item = Inst> + '_ {
        let entry = &self.blocks[self.entry_block()].insts;
        entry.iter().copied().filter(|&inst| self.insts[inst].opcode == Opcode::Assume)
    }
    /// What the function rests on without checking it: the recipes of its `assume` instructions.
    pub fn assumptions(&self) -> impl Iterator<Item = Recipe> + '_ {
        self.assumption_insts().filter_map(|inst| match self.insts[inst].immediate {
            Immediate::Recipe(recipe) => Some(recipe),
            _ => None,
        })
    }
    /// The states of the frames at a state, innermost first.
    pub fn state_chain(&self, state: FrameStateId) -> impl Iterator<Item = FrameStateId> + '_ {
        std::iter::successors(Some(state), |&state| self.states[state].parent)
    }
    /// All values that a state and its parents refer to.
    pub fn state_values(&self, state: FrameStateId) -> impl Iterator<Item = Value> + '_ {
        self.state_chain(state).flat_map(|state| self.states[state].values())
    }
    /// How many instructions are in blocks.
    pub fn inst_count(&self) -> usize {
        self.layout.iter().map(|&block| self.blocks[block].insts.len()).sum()
    }
    /// The size of the outermost window with all inlined windows, in registers.
    pub fn window_size(&self) -> u16 {
        self.frames.values().map(|frame| frame.window + frame.register_count).max().unwrap_or(0)
    }

    /// Whether what an immediate names is there.
    pub fn immediate_exists(&self, language: &Language, immediate: &Immediate) -> bool {
        match *immediate {
            Immediate::Kind(kind) | Immediate::KindReason(kind, _) => language.kinds.is_valid(kind),
            Immediate::Field(field) => language.fields.is_valid(field),
            Immediate::Extern(id) => language.externs.is_valid(id),
            Immediate::Slot(slot) => {
                self.slots.get(slot).is_some_and(|recipe| (recipe.class as usize) < language.recipes.len())
            }
            Immediate::Operation(operation, _) => language.operations.is_valid(operation),
            Immediate::Recipe(recipe) => {
                language.recipes.get(recipe.class as usize).is_some_and(|class| class.ty == Type::Raw)
            }
            _ => true,
        }
    }
    /// [`Self::result_type`] for instructions that may be wrong: nothing where what they name isn't there.
    pub fn checked_result_type(&self, language: &Language, data: &InstData) -> Option<Option<Type>> {
        let has_known_operands = data.opcode != Opcode::Select
            || data.args.get(1).is_some_and(|&value| self.values.is_valid(value));
        (has_known_operands && self.immediate_exists(language, &data.immediate))
            .then(|| self.result_type(language, data))
    }

    /// The type of an instruction's result, from the table, its immediate and its operands.
    pub fn result_type(&self, language: &Language, data: &InstData) -> Option<Type> {
        use crate::opcode::ResultForm;
        match data.opcode.result() {
            ResultForm::None => None,
            ResultForm::Type(ty) => Some(ty),
            ResultForm::ByImmediate => match (data.opcode, data.immediate) {
                (Opcode::Select, _) => data.args.get(1).map(|&value| self.ty(value)),
                (_, Immediate::Kind(kind) | Immediate::KindReason(kind, _)) => language.kinds[kind].payload,
                (_, Immediate::Field(field)) => Some(language.fields[field].memory.value_type()),
                (_, Immediate::Extern(id)) => language.externs[id].result,
                (_, Immediate::Slot(slot)) => Some(language.recipes[self.slots[slot].class as usize].ty),
                (_, Immediate::Operation(id, _)) => language.operations[id].result,
                (_, Immediate::Call(call)) => (call.wanted == Wanted::Fixed(1)).then_some(Type::Any),
                _ => None,
            },
        }
    }
}
