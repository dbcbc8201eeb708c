//! Where instructions stand, and which definition comes before which use.

use super::Dominators;
use crate::entity::{Block, Inst, Value};
use crate::function::{Function, ValueDef};
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;

/// The block and the index in it of every instruction that is in a block of the layout.
#[derive(Clone, Debug)]
pub struct Positions {
    places: SecondaryMap<Inst, (PackedOption<Block>, u32)>,
}

impl Positions {
    /// The positions in a function.
    pub fn new(function: &Function) -> Positions {
        let mut places = SecondaryMap::with_capacity(function.insts.len());
        for &block in &function.layout {
            for (index, &inst) in function.blocks[block].insts.iter().enumerate() {
                places[inst] = (block.into(), index as u32);
            }
        }
        Positions { places }
    }
    /// The block that an instruction is in.
    pub fn block(&self, inst: Inst) -> Option<Block> {
        self.places[inst].0.expand()
    }
    /// Its index in its block.
    pub fn index(&self, inst: Inst) -> Option<usize> {
        self.block(inst).map(|_| self.places[inst].1 as usize)
    }
    /// Whether `a` has run whenever `b` runs. An instruction does not dominate itself.
    pub fn dominates(&self, dominators: &Dominators, a: Inst, b: Inst) -> bool {
        match (self.block(a), self.block(b)) {
            (Some(x), Some(y)) if x == y => self.places[a].1 < self.places[b].1,
            (Some(x), Some(y)) => dominators.dominates(x, y),
            _ => false,
        }
    }
    /// Whether `value` is defined whenever `inst` runs.
    pub fn defines_before(
        &self,
        function: &Function,
        dominators: &Dominators,
        value: Value,
        inst: Inst,
    ) -> bool {
        match function.values[value].def {
            ValueDef::Result(definition) => self.dominates(dominators, definition, inst),
            ValueDef::Param(block, _) => {
                self.block(inst).is_some_and(|user| block == user || dominators.dominates(block, user))
            }
            ValueDef::Removed => false,
        }
    }
}
