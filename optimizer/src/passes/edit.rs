//! Small changes that several passes make.

use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;
use rustc_hash::FxHashMap;
use surmise_ir::analysis::bit_set::BitSet;
use surmise_ir::analysis::preheader::ensure_preheader;
use surmise_ir::analysis::{ControlFlow, Dominators, LoopForest};
use surmise_ir::entity::{Block, FrameStateId, Inst, UnitId, Value};
use surmise_ir::function::{Function, Immediate, InstData, ValueDef};
use surmise_ir::guard::GuardReason;
use surmise_ir::opcode::Opcode;

/// Values that are to be replaced by others, everywhere.
#[derive(Default)]
pub struct Replacements {
    by: SecondaryMap<Value, PackedOption<Value>>,
}

impl Replacements {
    /// Uses of `old` become uses of `new`.
    pub fn replace(&mut self, old: Value, new: Value) {
        let new = self.resolve(new);
        debug_assert_ne!(old, new, "a value can't replace itself");
        self.by[old] = new.into();
    }
    /// What a value is replaced by, or itself.
    pub fn resolve(&self, mut value: Value) -> Value {
        while let Some(next) = self.by.get(value).and_then(|next| next.expand()) {
            value = next;
        }
        value
    }
    /// Whether nothing is to be replaced.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }
    /// Replaces, in all instructions of all blocks and in all states.
    pub fn apply(&self, function: &mut Function) {
        if self.is_empty() {
            return;
        }
        for data in function.insts.values_mut() {
            data.map_operands(|value| self.resolve(value));
        }
        for state in function.states.values_mut() {
            state.map_values(|value| self.resolve(value));
        }
    }
}

/// Guards that went away, each with the guard that proves what it proved (or none: it was proved by constants).
#[derive(Default)]
pub struct ProofReplacements {
    map: FxHashMap<Inst, Option<Inst>>,
}

impl ProofReplacements {
    /// `old` is gone; `by` proves what it proved.
    pub fn replace(&mut self, old: Inst, by: Option<Inst>) {
        self.map.insert(old, by);
    }
    /// Renames proofs everywhere.
    pub fn apply(&self, function: &mut Function) {
        if self.map.is_empty() {
            return;
        }
        for data in function.insts.values_mut() {
            if data.proofs.is_empty() {
                continue;
            }
            let mut proofs = std::mem::take(&mut data.proofs);
            proofs.retain(|proof| {
                while let Some(&next) = self.map.get(proof) {
                    match next {
                        Some(next) => *proof = next,
                        None => return false,
                    }
                }
                true
            });
            proofs.sort_unstable();
            proofs.dedup();
            data.proofs = proofs;
        }
    }
}

/// Pins the guards that a payload comes from, through block parameters.
pub fn pin_guard(function: &mut Function, payload: Value) {
    let mut seen: BitSet<Value> = BitSet::new();
    let mut work = vec![payload];
    while let Some(value) = work.pop() {
        if !seen.insert(value) {
            continue;
        }
        match function.values[value].def {
            ValueDef::Result(inst) => {
                if function.insts[inst].opcode.is_guard() {
                    function.insts[inst].pinned = true;
                }
            }
            ValueDef::Param(block, position) => {
                for &from in &function.layout {
                    let Some(inst) = function.terminator(from) else { continue };
                    let targets = function.insts[inst].targets.iter().filter(|target| target.block == block);
                    work.extend(targets.filter_map(|target| target.args.get(position as usize).copied()));
                }
            }
            ValueDef::Removed => {}
        }
    }
}

/// Takes blocks that can't be reached out of the layout.
pub fn drop_unreachable(function: &mut Function) {
    let mut reached: BitSet<Block> = BitSet::new();
    let mut work = vec![function.entry_block()];
    while let Some(block) = work.pop() {
        if reached.insert(block) {
            work.extend(function.successors(block));
        }
    }
    let mut layout = std::mem::take(&mut function.layout);
    layout.retain(|&block| reached.contains(block));
    function.layout = layout;
}

/// A block with one way in needs no parameters: what is passed is the parameter.
pub fn pass_single_ways(function: &mut Function) {
    let mut predecessors: FxHashMap<Block, (usize, Inst, usize)> = Default::default();
    for &block in &function.layout {
        let Some(inst) = function.terminator(block) else { continue };
        for (index, target) in function.insts[inst].targets.iter().enumerate() {
            predecessors.entry(target.block).and_modify(|entry| entry.0 += 1).or_insert((1, inst, index));
        }
    }
    let mut replacements = Replacements::default();
    for block in function.layout.clone() {
        let Some(&(1, inst, index)) = predecessors.get(&block) else { continue };
        if function.blocks[block].params.is_empty() {
            continue;
        }
        let args = std::mem::take(&mut function.insts[inst].targets[index].args);
        let mut position = function.blocks[block].params.len();
        while position > 0 {
            position -= 1;
            let param = function.remove_param(block, position);
            let arg = replacements.resolve(args[position]);
            if arg != param {
                replacements.replace(param, arg);
            }
        }
    }
    replacements.apply(function);
}

/// Gives every loop a block of its own before its header. Returns what was computed for it, as it is now.
pub fn make_preheaders(function: &mut Function) -> (ControlFlow, Dominators, LoopForest) {
    loop {
        let flow = ControlFlow::new(function);
        let dominators = Dominators::new(&flow);
        let forest = LoopForest::new(&flow, &dominators);
        let entry = function.entry_block();
        let mut loops = forest.loops.iter().filter(|(_, info)| info.header != entry);
        if !loops.any(|(id, _)| ensure_preheader(function, &flow, &forest, id).1) {
            return (flow, dominators, forest);
        }
    }
}

/// A `deoptimize` with this state.
pub fn deoptimize(reason: GuardReason, state: FrameStateId) -> InstData {
    let mut data = InstData::new(Opcode::Deoptimize, &[], Immediate::Reason(reason));
    data.state = Some(state);
    data
}

/// The unit whose frame is on top in a state: the one whose log a guess there comes from.
pub fn unit_at(function: &Function, state: FrameStateId) -> UnitId {
    function.frames[function.states[state].frame].unit
}

/// A copy of a state, with its values mapped.
pub fn copy_state(
    function: &mut Function,
    state: FrameStateId,
    map: &impl Fn(Value) -> Value,
) -> FrameStateId {
    let mut data = function.states[state].clone();
    data.map_values(map);
    data.parent = data.parent.map(|parent| copy_state(function, parent, map));
    function.states.push(data)
}
