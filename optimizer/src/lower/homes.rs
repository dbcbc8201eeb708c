//! Which homes are up to date where.
//!
//! A value is stored to its home before a call only if it is not there yet: on a path with many calls it is stored once. What
//! lives across a call in a loop but comes from outside of the loop is stored where it is defined, so that the loop's calls find
//! it in its home. What is in its home wherever control comes from is found by a forward analysis over the blocks; the translation
//! then makes the same steps. A poll stores in its cold path alone, which changes nothing for the code behind it.
//!
//! That a home is up to date also serves guards: a failing guard's frame state names the home instead of keeping the value in a
//! register.

use super::roots::{Home, Roots};
use cranelift_entity::SecondaryMap;
use surmise_ir::analysis::{BitSet, ControlFlow, LoopForest};
use surmise_ir::entity::{Block, Value};
use surmise_ir::function::{Function, ValueDef};
use surmise_ir::opcode::Opcode;

/// Which homes are up to date at a place in the code: by number, the value whose current bits stand in the home.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct HomeState {
    holds: Vec<Option<Value>>,
}

impl HomeState {
    /// No home is up to date.
    fn new(count: u32) -> HomeState {
        HomeState { holds: vec![None; count as usize] }
    }
    /// Whether the home holds the value.
    pub fn is_current(&self, home: Home, value: Value) -> bool {
        self.holds[home.number as usize] == Some(value)
    }
    /// The value was stored to its home.
    pub fn stored(&mut self, home: Home, value: Value) {
        self.holds[home.number as usize] = Some(value);
    }
    /// The value was defined: whatever its home holds is not it.
    pub fn defined(&mut self, home: Home, value: Value) {
        if self.is_current(home, value) {
            self.holds[home.number as usize] = None;
        }
    }
    /// Control may also come from a place with this state. Returns whether anything changed.
    fn meet(&mut self, other: &HomeState) -> bool {
        let mut changed = false;
        for (mine, theirs) in self.holds.iter_mut().zip(&other.holds) {
            if mine.is_some() && mine != theirs {
                *mine = None;
                changed = true;
            }
        }
        changed
    }
}

/// The states at the starts of blocks, and which values are stored where they are defined.
#[derive(Default)]
pub(super) struct HomeFlow {
    stored_early: BitSet<Value>,
    at_start: SecondaryMap<Block, Option<HomeState>>,
}

impl HomeFlow {
    /// Finds them.
    pub fn new(function: &Function, graph: &ControlFlow, loops: &LoopForest, roots: &Roots) -> HomeFlow {
        let mut flow = HomeFlow::default();
        let Some(entry) = graph.entry().filter(|_| roots.home_count > 0) else { return flow };
        flow.find_early(function, graph, loops, roots);
        flow.at_start[entry] = Some(HomeState::new(roots.home_count));
        let mut work: Vec<Block> = vec![entry];
        let mut waiting: BitSet<Block> = work.iter().copied().collect();
        while let Some(block) = work.pop() {
            waiting.remove(block);
            let mut state = flow.at_start(block, roots);
            flow.step_over(function, roots, block, &mut state);
            for &successor in graph.successors(block) {
                let changed = match &mut flow.at_start[successor] {
                    Some(known) => known.meet(&state),
                    unknown => {
                        *unknown = Some(state.clone());
                        true
                    }
                };
                if changed && waiting.insert(successor) {
                    work.push(successor);
                }
            }
        }
        flow
    }
    /// The state at the start of a block, before its parameters are defined.
    pub fn at_start(&self, block: Block, roots: &Roots) -> HomeState {
        self.at_start[block].clone().unwrap_or_else(|| HomeState::new(roots.home_count))
    }
    /// Whether a value is stored where it is defined.
    pub fn is_stored_early(&self, value: Value) -> bool {
        self.stored_early.contains(value)
    }

    /// Values that live across a call in a loop that they are not defined in.
    fn find_early(&mut self, function: &Function, graph: &ControlFlow, loops: &LoopForest, roots: &Roots) {
        if graph.post_order().iter().all(|&block| loops.innermost(block).is_none()) {
            return;
        }
        let mut defined_in: SecondaryMap<Value, Option<Block>> = SecondaryMap::new();
        for &block in graph.post_order() {
            for &inst in &function.blocks[block].insts {
                if let Some(result) = function.insts[inst].result {
                    defined_in[result] = Some(block);
                }
            }
        }
        for &block in graph.post_order() {
            let Some(around) = loops.innermost(block).filter(|_| !function.blocks[block].cold) else {
                continue;
            };
            for &inst in &function.blocks[block].insts {
                if function.insts[inst].opcode == Opcode::Poll {
                    continue;
                }
                for &value in roots.across(inst) {
                    let definition = match function.values[value].def {
                        ValueDef::Param(block, _) => Some(block),
                        _ => defined_in[value],
                    };
                    if definition.is_some_and(|definition| !loops.contains(around, definition)) {
                        self.stored_early.insert(value);
                    }
                }
            }
        }
    }
    fn step_over(&self, function: &Function, roots: &Roots, block: Block, state: &mut HomeState) {
        let define = |value: Value, state: &mut HomeState| {
            if let Some(home) = roots.home(value) {
                state.defined(home, value);
                if self.is_stored_early(value) {
                    state.stored(home, value);
                }
            }
        };
        for &param in &function.blocks[block].params {
            define(param, state);
        }
        for &inst in &function.blocks[block].insts {
            let data = &function.insts[inst];
            if data.opcode != Opcode::Poll {
                for &value in roots.across(inst) {
                    if let Some(home) = roots.home(value) {
                        state.stored(home, value);
                    }
                }
            }
            if let Some(result) = data.result {
                define(result, state);
            }
        }
    }
}
