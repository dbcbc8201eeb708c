//! The serialized form of a function's tables: field by field, and numbers as distances.
//!
//! Row by row, a function is numbers that count up: each instruction has the next result, takes values of a little earlier, stands behind
//! the one before it. As columns of distances the same is mostly the same few bytes again and again, which compresses to a good
//! deal less. The form is exact: tables come back with every number as it was, entities that nothing uses included.
//!
//! What is read is untrusted: columns that differ in length are an error; numbers may be anything, which the verifier looks at.

use crate::entity::{Block, Inst, Pc, Value};
use crate::function::{BlockCall, BlockData, Immediate, InstData, ValueData, ValueDef};
use crate::opcode::Opcode;
use crate::types::Type;
use cranelift_entity::{EntityRef, PrimaryMap};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// Numbers that count up, as steps from the one before.
#[derive(Default)]
struct Steps {
    last: u32,
}

impl Steps {
    fn to(&mut self, number: u32) -> i32 {
        let step = number.wrapping_sub(self.last) as i32;
        self.last = number;
        step
    }
    fn by(&mut self, step: i32) -> u32 {
        self.last = self.last.wrapping_add(step as u32);
        self.last
    }
}

/// The entity of a number. No table is so long that its entities run out.
fn entity<E: EntityRef>(number: u32) -> E {
    E::new(number.min(u32::MAX - 1) as usize)
}

/// As many as there are instructions, but for `args`.
#[derive(Default, Serialize, Deserialize)]
struct InstColumns {
    opcodes: Vec<Opcode>,
    arg_counts: Vec<u32>,
    /// How far each operand lies before the newest result.
    args: Vec<i32>,
    immediates: Vec<Immediate>,
    results: Vec<Option<i32>>,
    states: Vec<Option<i32>>,
    afters: Vec<Option<i32>>,
    targets: Vec<SmallVec<[BlockCall; 2]>>,
    sites: Vec<Option<Pc>>,
    pinned: Vec<bool>,
    proofs: Vec<SmallVec<[Inst; 2]>>,
}

/// Instructions.
pub mod insts {
    use super::*;

    /// Writes the columns.
    pub fn serialize<S: Serializer>(
        insts: &PrimaryMap<Inst, InstData>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut columns = InstColumns::default();
        let (mut results, mut states, mut afters) = (Steps::default(), Steps::default(), Steps::default());
        for data in insts.values() {
            // Taken apart, so that no field is forgotten.
            let InstData { opcode, args, immediate, result, state, after, targets, site, pinned, proofs } =
                data;
            columns.opcodes.push(*opcode);
            columns.arg_counts.push(args.len() as u32);
            columns.args.extend(args.iter().map(|arg| results.last.wrapping_sub(arg.as_u32()) as i32));
            columns.immediates.push(*immediate);
            columns.results.push(result.map(|result| results.to(result.as_u32())));
            columns.states.push(state.map(|state| states.to(state.as_u32())));
            columns.afters.push(after.map(|after| afters.to(after.as_u32())));
            columns.targets.push(targets.clone());
            columns.sites.push(*site);
            columns.pinned.push(*pinned);
            columns.proofs.push(proofs.clone());
        }
        columns.serialize(serializer)
    }

    /// Reads the columns.
    ///
    /// # Errors
    /// If they differ in length.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PrimaryMap<Inst, InstData>, D::Error> {
        let columns = InstColumns::deserialize(deserializer)?;
        let count = columns.opcodes.len();
        let lengths = [
            columns.arg_counts.len(),
            columns.immediates.len(),
            columns.results.len(),
            columns.states.len(),
            columns.afters.len(),
            columns.targets.len(),
            columns.sites.len(),
            columns.pinned.len(),
            columns.proofs.len(),
        ];
        let args: u64 = columns.arg_counts.iter().map(|&count| u64::from(count)).sum();
        if lengths.iter().any(|&length| length != count) || args != columns.args.len() as u64 {
            return Err(D::Error::custom("the columns of instructions differ in length"));
        }
        let (mut results, mut states, mut afters) = (Steps::default(), Steps::default(), Steps::default());
        let mut insts = PrimaryMap::with_capacity(count);
        let mut rest = &columns.args[..];
        let wide = columns.targets.into_iter().zip(columns.proofs);
        for (index, (targets, proofs)) in wide.enumerate() {
            let (own, behind) = rest.split_at(columns.arg_counts[index] as usize);
            rest = behind;
            let newest = results.last;
            insts.push(InstData {
                opcode: columns.opcodes[index],
                args: own.iter().map(|&back| entity(newest.wrapping_sub(back as u32))).collect(),
                immediate: columns.immediates[index],
                result: columns.results[index].map(|step| entity(results.by(step))),
                state: columns.states[index].map(|step| entity(states.by(step))),
                after: columns.afters[index].map(|step| entity(afters.by(step))),
                targets,
                site: columns.sites[index],
                pinned: columns.pinned[index],
                proofs,
            });
        }
        Ok(insts)
    }
}

/// Where a value comes from.
#[derive(Serialize, Deserialize)]
enum Def {
    /// The result of an instruction: steps from the last one that had one.
    Result(i32),
    Param(Block, u32),
    Removed,
}

#[derive(Default, Serialize, Deserialize)]
struct ValueColumns {
    types: Vec<Type>,
    defs: Vec<Def>,
}

/// Values.
pub mod values {
    use super::*;

    /// Writes the columns.
    pub fn serialize<S: Serializer>(
        values: &PrimaryMap<Value, ValueData>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut insts = Steps::default();
        let defs = values.values().map(|data| match data.def {
            ValueDef::Result(inst) => Def::Result(insts.to(inst.as_u32())),
            ValueDef::Param(block, position) => Def::Param(block, position),
            ValueDef::Removed => Def::Removed,
        });
        let columns =
            ValueColumns { types: values.values().map(|data| data.ty).collect(), defs: defs.collect() };
        columns.serialize(serializer)
    }

    /// Reads the columns.
    ///
    /// # Errors
    /// If they differ in length.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PrimaryMap<Value, ValueData>, D::Error> {
        let ValueColumns { types, defs } = ValueColumns::deserialize(deserializer)?;
        if types.len() != defs.len() {
            return Err(D::Error::custom("the columns of values differ in length"));
        }
        let mut insts = Steps::default();
        let rows = types.into_iter().zip(defs).map(|(ty, def)| {
            let def = match def {
                Def::Result(step) => ValueDef::Result(entity(insts.by(step))),
                Def::Param(block, position) => ValueDef::Param(block, position),
                Def::Removed => ValueDef::Removed,
            };
            ValueData { ty, def }
        });
        Ok(rows.collect())
    }
}

/// A block: its parameters and instructions as steps from those before, in whatever block.
#[derive(Serialize, Deserialize)]
struct BlockSteps {
    params: SmallVec<[i32; 4]>,
    insts: Vec<i32>,
    cold: bool,
}

/// Blocks.
pub mod blocks {
    use super::*;

    /// Writes the steps.
    pub fn serialize<S: Serializer>(
        blocks: &PrimaryMap<Block, BlockData>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let (mut values, mut insts) = (Steps::default(), Steps::default());
        let rows = blocks.values().map(|BlockData { params, insts: own, cold }| BlockSteps {
            params: params.iter().map(|param| values.to(param.as_u32())).collect(),
            insts: own.iter().map(|inst| insts.to(inst.as_u32())).collect(),
            cold: *cold,
        });
        rows.collect::<Vec<_>>().serialize(serializer)
    }

    /// Reads the steps.
    ///
    /// # Errors
    /// If there are none.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PrimaryMap<Block, BlockData>, D::Error> {
        let (mut values, mut insts) = (Steps::default(), Steps::default());
        let rows = Vec::<BlockSteps>::deserialize(deserializer)?.into_iter();
        let rows = rows.map(|BlockSteps { params, insts: own, cold }| BlockData {
            params: params.into_iter().map(|step| entity(values.by(step))).collect(),
            insts: own.into_iter().map(|step| entity(insts.by(step))).collect(),
            cold,
        });
        Ok(rows.collect())
    }
}

/// Lists of entities that mostly count up.
pub mod steps {
    use super::*;

    /// Writes the steps.
    pub fn serialize<S: Serializer, E: EntityRef>(list: &[E], serializer: S) -> Result<S::Ok, S::Error> {
        let mut steps = Steps::default();
        let rows: Vec<i32> = list.iter().map(|entity| steps.to(entity.index() as u32)).collect();
        rows.serialize(serializer)
    }
    /// Reads the steps.
    ///
    /// # Errors
    /// If there are none.
    pub fn deserialize<'de, D: Deserializer<'de>, E: EntityRef>(deserializer: D) -> Result<Vec<E>, D::Error> {
        let mut steps = Steps::default();
        let rows = Vec::<i32>::deserialize(deserializer)?.into_iter();
        Ok(rows.map(|step| entity(steps.by(step))).collect())
    }
}
