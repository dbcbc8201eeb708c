//! Copies a loop, so that some ways into it get a version of their own.
//!
//! ```text
//!      a    b            a     b               a      b
//!       \  /             |     |               |      |
//!  ┌──▶ header      ┌▶ copy  header ◀┐        copy ─▶ header ◀┐
//!  └─── … exit      └── …      … ────┘         …      … ──────┘
//!                         \   /                  \   /
//!                         exit                    exit
//!     before         BackEdges::ToCopy      BackEdges::ToOriginal (one round is peeled)
//! ```
//!
//! A value of the loop that is used behind it has two definitions afterwards: blocks behind the loop where both arrive get
//! parameters, found from the uses backwards (Braun et al., *Simple and Efficient Construction of Static Single Assignment
//! Form*, 2013).

use super::edit;
use rustc_hash::{FxHashMap, FxHashSet};
use surmise_ir::analysis::ControlFlow;
use surmise_ir::analysis::bit_set::BitSet;
use surmise_ir::entity::{Block, FrameStateId, Inst, Value};
use surmise_ir::function::{BlockData, Function};

/// Where the copy's back-edges go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackEdges {
    /// The copy is a loop of its own.
    ToCopy,
    /// The copy is one round, after which the loop goes on.
    ToOriginal,
}

/// Copies the loop of `blocks` (in reverse post-order, the header first) for the jumps to its header from the blocks of
/// `entering`, which are outside of it.
pub fn copy_loop(function: &mut Function, blocks: &[Block], entering: &[Block], back_edges: BackEdges) {
    let header = blocks[0];
    let mut copy = Copy::default();
    copy.make_blocks(function, blocks);
    for &block in blocks {
        copy.fill(function, block, header, back_edges);
    }
    for &from in entering {
        let Some(inst) = function.terminator(from) else { continue };
        for target in &mut function.insts[inst].targets {
            if target.block == header {
                target.block = copy.blocks[&header];
            }
        }
    }
    Repair::new(function, blocks, copy).run(function);
}

/// What stands for what in the copy.
#[derive(Default)]
struct Copy {
    blocks: FxHashMap<Block, Block>,
    values: FxHashMap<Value, Value>,
    insts: FxHashMap<Inst, Inst>,
    states: FxHashMap<FrameStateId, FrameStateId>,
}

impl Copy {
    fn make_blocks(&mut self, function: &mut Function, blocks: &[Block]) {
        let mut copies = Vec::with_capacity(blocks.len());
        for &block in blocks {
            let cold = function.blocks[block].cold;
            let copy = function.blocks.push(BlockData { cold, ..BlockData::default() });
            for param in function.blocks[block].params.clone() {
                let ty = function.ty(param);
                self.values.insert(param, function.add_param(copy, ty));
            }
            self.blocks.insert(block, copy);
            copies.push(copy);
        }
        let place =
            function.layout.iter().position(|&block| block == blocks[0]).unwrap_or(function.layout.len());
        function.layout.splice(place..place, copies);
    }

    fn state(&mut self, function: &mut Function, state: FrameStateId) -> FrameStateId {
        if let Some(&copy) = self.states.get(&state) {
            return copy;
        }
        let copy = edit::copy_state(function, state, &|value| self.value(value));
        self.states.insert(state, copy);
        copy
    }
    fn value(&self, value: Value) -> Value {
        self.values.get(&value).copied().unwrap_or(value)
    }

    /// Blocks are filled in reverse post-order: a definition has its copy before its uses have theirs.
    fn fill(&mut self, function: &mut Function, block: Block, header: Block, back_edges: BackEdges) {
        let mut insts = Vec::with_capacity(function.blocks[block].insts.len());
        for inst in function.blocks[block].insts.clone() {
            let mut data = function.insts[inst].clone();
            data.map_operands(|value| self.value(value));
            for target in &mut data.targets {
                let goes_round = target.block == header && back_edges == BackEdges::ToOriginal;
                if let (Some(&copy), false) = (self.blocks.get(&target.block), goes_round) {
                    target.block = copy;
                }
            }
            for proof in &mut data.proofs {
                *proof = self.insts.get(proof).copied().unwrap_or(*proof);
            }
            data.state = data.state.map(|state| self.state(function, state));
            data.after = data.after.map(|state| self.state(function, state));
            let result = data.result.map(|result| (result, function.ty(result)));
            let made = function.make_inst(data, result.map(|(_, ty)| ty));
            if let Some((result, _)) = result {
                self.values.insert(result, function.result(made));
            }
            self.insts.insert(inst, made);
            insts.push(made);
        }
        let copy = self.blocks[&block];
        function.blocks[copy].insts = insts;
    }
}

/// Gives uses behind the loop the definition that arrives there.
struct Repair {
    flow: ControlFlow,
    copy: Copy,
    inside: BitSet<Block>,
    inside_copy: FxHashSet<Block>,
    /// What a value is at the start of a block outside.
    arriving: FxHashMap<(Value, Block), Value>,
    states: FxHashMap<(FrameStateId, Block), FrameStateId>,
}

impl Repair {
    fn new(function: &Function, blocks: &[Block], copy: Copy) -> Repair {
        let mut inside = BitSet::new();
        for &block in blocks {
            inside.insert(block);
        }
        Repair {
            flow: ControlFlow::new(function),
            inside,
            inside_copy: copy.blocks.values().copied().collect(),
            copy,
            arriving: FxHashMap::default(),
            states: FxHashMap::default(),
        }
    }

    fn run(&mut self, function: &mut Function) {
        for block in function.layout.clone() {
            if self.inside.contains(block) || self.inside_copy.contains(&block) {
                continue;
            }
            for inst in function.blocks[block].insts.clone() {
                for index in 0..function.insts[inst].args.len() {
                    let value = function.insts[inst].args[index];
                    let value = self.arriving(function, value, block);
                    function.insts[inst].args[index] = value;
                }
                // Jumps to parameters that are added on the way may get longer.
                for target in 0..function.insts[inst].targets.len() {
                    for index in 0..function.insts[inst].targets[target].args.len() {
                        let value = function.insts[inst].targets[target].args[index];
                        let value = self.arriving(function, value, block);
                        function.insts[inst].targets[target].args[index] = value;
                    }
                }
                let (state, after) = (function.insts[inst].state, function.insts[inst].after);
                function.insts[inst].state = state.map(|state| self.state(function, state, block));
                function.insts[inst].after = after.map(|state| self.state(function, state, block));
            }
        }
    }

    fn state(&mut self, function: &mut Function, state: FrameStateId, block: Block) -> FrameStateId {
        if let Some(&known) = self.states.get(&(state, block)) {
            return known;
        }
        let values: Vec<Value> = function.state_values(state).collect();
        let mut map: FxHashMap<Value, Value> = FxHashMap::default();
        for value in values {
            let arrived = self.arriving(function, value, block);
            if arrived != value {
                map.insert(value, arrived);
            }
        }
        let mapped = if map.is_empty() {
            state
        } else {
            edit::copy_state(function, state, &|value| map.get(&value).copied().unwrap_or(value))
        };
        self.states.insert((state, block), mapped);
        mapped
    }

    /// What `value` is in a block outside of the loop and its copy. Every way to a use of a value of the loop leads through
    /// the loop or the copy, and the value is defined on all ways out of them that lead to the use: so it was in the loop.
    fn arriving(&mut self, function: &mut Function, value: Value, block: Block) -> Value {
        if !self.copy.values.contains_key(&value) {
            return value;
        }
        if let Some(&known) = self.arriving.get(&(value, block)) {
            return known;
        }
        let sources = self.flow.predecessors(block).to_vec();
        if let [only] = sources[..] {
            let arrived = self.leaving(function, value, only);
            self.arriving.insert((value, block), arrived);
            return arrived;
        }
        let ty = function.ty(value);
        let param = function.add_param(block, ty);
        self.arriving.insert((value, block), param);
        for source in sources {
            let arg = self.leaving(function, value, source);
            let Some(inst) = function.terminator(source) else { continue };
            for target in &mut function.insts[inst].targets {
                if target.block == block {
                    target.args.push(arg);
                }
            }
        }
        param
    }
    fn leaving(&mut self, function: &mut Function, value: Value, block: Block) -> Value {
        if self.inside.contains(block) {
            value
        } else if self.inside_copy.contains(&block) {
            self.copy.value(value)
        } else {
            self.arriving(function, value, block)
        }
    }
}
