//! Lua: a register holds the closure of one function of the chunk, whatever way was taken to it.
//!
//! Found by a walk over the bytecode of the chunk's functions, outer ones first: what a register holds before each instruction, as far
//! as that is a closure, and so what closures capture by value. Variables that are assigned again live in cells, of which nothing is known.
//! Programs that look into frames with `debug` have no compiled code, so nobody else writes registers.

use super::{Callees, Inlined};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use surmise::ir::analysis::registers::Bytecode;
use surmise::ir::entity::{Inst, Pc, UnitId};
use surmise::ir::function::{Function, Immediate};
use surmise::unit::UnitSource;
use surmise_lua::bytecode::{Op, UpvalueSource};
use surmise_lua::surmise::ChunkFunction;
use surmise_lua::surmise::lifter::{Registers, Snapshot};

/// The function of the chunk whose closure something is, by number.
type Known = Option<usize>;

/// By unit and call: the unit that is called.
#[derive(Default)]
struct Calls(HashMap<(UnitId, Pc), Arc<dyn UnitSource>>);

impl Callees for Calls {
    fn callee(&self, unit: UnitId, function: &Function, call: Inst) -> Option<Arc<dyn UnitSource>> {
        let Immediate::Call(info) = function.insts[call].immediate else { return None };
        self.0.get(&(unit, info.site)).cloned()
    }
}

/// The units of a chunk's functions, with what they are certain to call inlined.
pub fn units(chunk: &[ChunkFunction]) -> Vec<Arc<dyn UnitSource>> {
    let mut upvalues: Vec<Option<Vec<Known>>> = vec![None; chunk.len()];
    let mut calls = Calls::default();
    let mut called: Vec<HashSet<usize>> = vec![HashSet::new(); chunk.len()];
    for (number, function) in chunk.iter().enumerate() {
        let own = upvalues[number].take().unwrap_or_default();
        let mut walk = Walk { function, upvalues: &own, before: Vec::new() };
        walk.run();
        for (pc, callee) in walk.calls() {
            let unit: Arc<dyn UnitSource> = chunk[callee].snapshot.clone();
            calls.0.insert((function.snapshot.id(), Pc(pc)), unit);
            called[number].insert(callee);
        }
        for (child, known) in walk.captured() {
            // A function that is made in two places captures what both agree on.
            match &mut upvalues[child] {
                Some(others) => others.iter_mut().zip(known).for_each(|(other, known)| {
                    *other = other.filter(|_| *other == known);
                }),
                none => *none = Some(known),
            }
        }
    }
    let calls = Arc::new(calls);
    let inlined = |(number, function): (usize, &ChunkFunction)| -> Arc<dyn UnitSource> {
        let others = reached(&called, number)
            .into_iter()
            .map(|other| -> Arc<dyn UnitSource> { chunk[other].snapshot.clone() });
        Arc::new(Inlined::new(function.snapshot.clone(), calls.clone(), others.collect()))
    };
    chunk.iter().enumerate().map(inlined).collect()
}

/// The functions that a function may have inlined, but for itself.
fn reached(called: &[HashSet<usize>], from: usize) -> Vec<usize> {
    let (mut reached, mut work) = (Vec::new(), vec![from]);
    while let Some(number) = work.pop() {
        let mut callees: Vec<usize> = called[number].iter().copied().collect();
        callees.sort_unstable();
        for callee in callees {
            if callee != from && !reached.contains(&callee) {
                reached.push(callee);
                work.push(callee);
            }
        }
    }
    reached
}

/// A walk over a function's instructions.
struct Walk<'a> {
    function: &'a ChunkFunction,
    /// What its upvalues are.
    upvalues: &'a [Known],
    /// What the registers hold before each instruction that was reached.
    before: Vec<Option<Vec<Known>>>,
}

impl Walk<'_> {
    fn snapshot(&self) -> &Snapshot {
        &self.function.snapshot
    }

    fn run(&mut self) {
        let function = self.function;
        let snapshot = &function.snapshot;
        let bytecode = Registers {
            code: &snapshot.code,
            children: &snapshot.children,
            register_count: snapshot.register_count,
        };
        self.before = vec![None; snapshot.code.len()];
        if snapshot.code.is_empty() {
            return;
        }
        self.before[0] = Some(vec![None; snapshot.register_count.into()]);
        let mut work = vec![0];
        while let Some(pc) = work.pop() {
            let after = self.after(pc);
            bytecode.successors(Pc(pc as u32), &mut |next| {
                let next = next.0 as usize;
                let Some(known) = self.before.get_mut(next) else { return };
                let met = match &*known {
                    None => after.clone(),
                    Some(known) => known.iter().zip(&after).map(|(a, b)| a.filter(|_| a == b)).collect(),
                };
                if known.as_ref() != Some(&met) {
                    *known = Some(met);
                    work.push(next);
                }
            });
        }
    }

    /// What the registers hold after an instruction.
    fn after(&self, pc: usize) -> Vec<Known> {
        let mut after = self.before[pc].clone().unwrap_or_default();
        let i = self.snapshot().code[pc];
        let value = match i.op {
            Op::Closure => self.function.children.get(i.d as usize).copied(),
            Op::Move => after[usize::from(i.b)],
            Op::GetUpvalue => self.upvalues.get(usize::from(i.b)).copied().flatten(),
            _ => None,
        };
        // What an instruction writes begins at its first register. Many write one register, or none, the others what nothing behind them
        // is to find as it was.
        let writes_more = matches!(
            i.op,
            Op::Call | Op::TailCall | Op::VarArg | Op::SetList | Op::LoadNil | Op::GetMethod | Op::TestSet
        ) || matches!(
            i.op,
            Op::ForPrepare | Op::ForLoop | Op::ForCall | Op::ForGenericPrepare | Op::ForGenericLoop
        );
        let from = usize::from(i.a).min(after.len());
        let to = if writes_more { after.len() } else { after.len().min(from + 1) };
        after[from..to].fill(None);
        if value.is_some() {
            after[usize::from(i.a)] = value;
        }
        after
    }

    /// Calls of functions that are known.
    fn calls(&self) -> Vec<(u32, usize)> {
        let instructions = self.snapshot().code.iter().zip(&self.before).enumerate();
        let calls = instructions.filter(|(_, (i, _))| matches!(i.op, Op::Call | Op::TailCall));
        calls
            .filter_map(|(pc, (i, known))| {
                Some((pc as u32, known.as_ref()?.get(usize::from(i.a)).copied().flatten()?))
            })
            .collect()
    }

    /// What functions inside capture, each time they are made.
    fn captured(&self) -> Vec<(usize, Vec<Known>)> {
        let instructions = self.snapshot().code.iter().zip(&self.before);
        let made = instructions.filter(|(i, _)| i.op == Op::Closure).filter_map(|(i, known)| {
            let known = known.as_ref()?;
            let child = *self.function.children.get(i.d as usize)?;
            let sources = &self.snapshot().children.get(i.d as usize)?.upvalues;
            let upvalue = |source: &UpvalueSource| match *source {
                // The register of a variable that lives in a cell holds that: nothing is known of it.
                UpvalueSource::Register(register) => known.get(usize::from(register)).copied().flatten(),
                UpvalueSource::Upvalue(upvalue) => self.upvalues.get(usize::from(upvalue)).copied().flatten(),
                UpvalueSource::Itself => Some(child),
            };
            Some((child, sources.iter().map(upvalue).collect()))
        });
        made.collect()
    }
}
