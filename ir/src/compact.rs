//! Renumbering: a function without what was dropped.

use crate::entity::{Block, FrameStateId, Inst, Value};
use crate::function::{Function, ValueDef};
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::{PackedOption, ReservedValue};

/// New numbers by old ones.
#[derive(Default)]
struct Numbers {
    blocks: SecondaryMap<Block, PackedOption<Block>>,
    insts: SecondaryMap<Inst, PackedOption<Inst>>,
    values: SecondaryMap<Value, PackedOption<Value>>,
    states: SecondaryMap<FrameStateId, PackedOption<FrameStateId>>,
}

impl Function {
    /// The same function with blocks, instructions, values and frame states numbered in the order of the layout, and without
    /// those that it no longer refers to. Frames and spesh slots keep their numbers.
    ///
    /// Two functions that differ only in numbers and dropped entities are equal after this. What a wrong function refers to
    /// without defining it becomes the reserved number.
    pub fn compacted(&self) -> Function {
        let mut compact = Function::new(&self.name, self.unit, self.entry, 0);
        compact.frames = self.frames.clone();
        compact.slots = self.slots.clone();
        compact.premises = self.premises.clone();
        let mut numbers = Numbers::default();
        for &block in &self.layout {
            numbers.blocks[block] = compact.blocks.push(Default::default()).into();
        }
        for (&old, new) in self.layout.iter().zip(compact.blocks.keys().collect::<Vec<_>>()) {
            compact.layout.push(new);
            compact.blocks[new].cold = self.blocks[old].cold;
            for (position, &param) in self.blocks[old].params.iter().enumerate() {
                let mut data = self.values[param];
                data.def = ValueDef::Param(new, position as u32);
                let number = compact.values.push(data);
                numbers.values[param] = number.into();
                compact.blocks[new].params.push(number);
            }
            for &inst in &self.blocks[old].insts {
                let number = compact.insts.push(self.insts[inst].clone());
                numbers.insts[inst] = number.into();
                compact.blocks[new].insts.push(number);
                if let Some(result) = self.insts[inst].result {
                    let mut data = self.values[result];
                    data.def = ValueDef::Result(number);
                    numbers.values[result] = compact.values.push(data).into();
                }
                for state in self.insts[inst].state.into_iter().chain(self.insts[inst].after) {
                    self.compact_state(state, &mut compact, &mut numbers);
                }
            }
        }
        numbers.rename(&mut compact);
        compact
    }

    fn compact_state(&self, innermost: FrameStateId, compact: &mut Function, numbers: &mut Numbers) {
        // Outermost first, so that parents have lower numbers.
        let new = |&state: &FrameStateId| numbers.states[state].is_none();
        let chain: Vec<_> = self.state_chain(innermost).take_while(new).take(self.states.len()).collect();
        for state in chain.into_iter().rev() {
            numbers.states[state] = compact.states.push(self.states[state].clone()).into();
        }
    }
}

impl Numbers {
    fn rename(&self, function: &mut Function) {
        let value = |value: Value| self.values[value].expand().unwrap_or(Value::reserved_value());
        let state =
            |state: FrameStateId| self.states[state].expand().unwrap_or(FrameStateId::reserved_value());
        for data in function.insts.values_mut() {
            data.map_operands(value);
            data.result = data.result.map(value);
            data.state = data.state.map(state);
            data.after = data.after.map(state);
            for target in &mut data.targets {
                target.block = self.blocks[target.block].expand().unwrap_or(Block::reserved_value());
            }
            for proof in &mut data.proofs {
                *proof = self.insts[*proof].expand().unwrap_or(Inst::reserved_value());
            }
        }
        for data in function.states.values_mut() {
            data.map_values(value);
            data.parent = data.parent.map(state);
        }
    }
}
