//! The passes, in one visible table, and the pipeline that runs them.
//!
//! A pass is a function over a [`Function`] and an [`Environment`]. It asks [`Fuel::step`] before each change that it could
//! leave out; with fuel running out in the middle of a compile, a wrong result can be bisected to one step of one pass. In
//! checked builds the verifier runs after every pass. A pass may be switched off by name unless the rest relies on it.

pub mod copy_loop;
pub mod dead_code;
pub mod edit;
pub mod fold;
pub mod gvn;
pub mod hoist;
pub mod memory;
pub mod peel;
pub mod specialize;
pub mod unbox_params;

use crate::profile::{Map, UnitProfile};
use surmise_ir::entity::{FrameStateId, UnitId};
use surmise_ir::function::Function;
use surmise_ir::language::Language;

/// How many more steps the passes of a compile may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fuel {
    left: u64,
    /// Steps taken so far.
    pub used: u64,
}

impl Fuel {
    /// Fuel for `limit` steps, or without end.
    pub fn new(limit: Option<u64>) -> Fuel {
        Fuel { left: limit.unwrap_or(u64::MAX), used: 0 }
    }
    /// Takes one step, if there is fuel for it.
    pub fn step(&mut self) -> bool {
        let go = self.left > 0;
        if go {
            self.left -= 1;
            self.used += 1;
        }
        go
    }
}

/// What a pass works with.
pub struct Environment<'a> {
    /// The host's language.
    pub language: &'a Language,
    /// What the log saw of the unit.
    pub profile: &'a UnitProfile,
    /// What it saw of other units whose code is in the function.
    pub inlined: &'a Map<UnitId, UnitProfile>,
    /// Steps left.
    pub fuel: &'a mut Fuel,
}

impl<'a> Environment<'a> {
    /// What the log saw of the unit whose frame is on top in a state, if anything.
    pub fn profile_at(&self, function: &Function, state: FrameStateId) -> Option<&'a UnitProfile> {
        let unit = function.frames[function.states[state].frame].unit;
        if unit == function.unit { Some(self.profile) } else { self.inlined.get(&unit) }
    }
}

/// A pass.
pub struct Pass {
    /// Its name, for settings, stories and statistics.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&mut Function, &mut Environment<'_>),
    /// Whether it may be switched off.
    pub optional: bool,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
}

/// All passes.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "peel",
        run: peel::run,
        optional: true,
        purpose: "loops get versions for first rounds and ways in that differ from the other rounds",
    },
    Pass {
        name: "specialize",
        run: specialize::run,
        optional: true,
        purpose: "generic operations become their cases, with guards for what the log saw",
    },
    Pass {
        name: "settle",
        run: specialize::settle,
        optional: true,
        purpose: "operations that were left become the cases that are proved by now",
    },
    Pass {
        name: "fold",
        run: fold::run,
        optional: true,
        purpose: "constants, boxes of unboxed values, decided branches",
    },
    Pass {
        name: "unbox_params",
        run: unbox_params::run,
        optional: true,
        purpose: "block parameters that are always boxed from one kind carry the payload",
    },
    Pass {
        name: "gvn",
        run: gvn::run,
        optional: true,
        purpose: "equal pure instructions and guards on the same value merge",
    },
    Pass {
        name: "memory",
        run: memory::run,
        optional: true,
        purpose: "loads take what an earlier store or load gave",
    },
    Pass {
        name: "hoist",
        run: hoist::run,
        optional: true,
        purpose: "loop-invariant instructions, loads and guards leave the loop",
    },
    Pass {
        name: "dead_code",
        run: dead_code::run,
        optional: true,
        purpose: "what nothing needs goes, unneeded guesses included",
    },
];

/// The order in which passes run, and why.
pub const PIPELINE: &[(&str, &str)] = &[
    ("peel", "before specialize: each version of a loop is specialized for itself"),
    ("specialize", "everything behind it works on specialized code"),
    ("fold", "box and unbox pairs between neighbouring cases meet"),
    ("unbox_params", "needs the boxes in front of jumps that specialize left there"),
    ("fold", "guards on parameters that are now unboxed fold away"),
    ("settle", "the kinds of more operands are proved now"),
    ("fold", "as behind the first"),
    ("unbox_params", "as behind the first"),
    ("fold", "as behind the first"),
    (
        "gvn",
        "merges the guards and loads that neighbouring operations repeat; makes operands comparable for memory",
    ),
    ("memory", "after gvn: equal bases and indexes are the same value"),
    ("gvn", "guards on forwarded values merge"),
    ("memory", "what merged guards gave is now one base: a field of a field of the same object"),
    ("fold", "forwarded values meet their guards"),
    ("unbox_params", "forwarding can reveal boxes at jumps"),
    ("fold", "as above"),
    ("hoist", "after memory, so that only loads that must be there are moved"),
    ("gvn", "hoisted copies from several places of a loop merge"),
    ("memory", "as behind the first gvn"),
    ("fold", "as behind the first memory"),
    ("dead_code", "last: nothing after it would use what it removes"),
];

/// The pass with this name.
pub fn pass(name: &str) -> &'static Pass {
    &PASSES[index_of(name)]
}

fn index_of(name: &str) -> usize {
    PASSES.iter().position(|pass| pass.name == name).expect("the pipeline names passes of the table")
}

/// Runs steps of the pipeline, and knows which of them have nothing to do.
///
/// A pass leaves nothing to do for itself: if nothing has changed a function since the pass ran last, it need not run again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pipeline {
    /// How many runs have changed the function.
    changes: u32,
    /// By pass: what `changes` was behind its last run, plus one; zero before the first.
    left_at: [u32; PASSES.len()],
}

impl Pipeline {
    /// How many runs have changed the function, so far as that took fuel or made blocks.
    pub fn changes(&self) -> u32 {
        self.changes
    }
    /// Runs a step if it may have something to do; tells whether it ran. What a pass changes it takes fuel for, but for new blocks.
    pub fn step(&mut self, name: &str, function: &mut Function, environment: &mut Environment<'_>) -> bool {
        let pass = index_of(name);
        if self.left_at[pass] == self.changes + 1 {
            return false;
        }
        let before = (environment.fuel.used, function.blocks.len());
        (PASSES[pass].run)(function, environment);
        self.changes += u32::from((environment.fuel.used, function.blocks.len()) != before);
        self.left_at[pass] = self.changes + 1;
        true
    }
}

/// Runs the pipeline. `observe` is called after each pass that ran, with its name.
pub fn run_pipeline(
    function: &mut Function,
    environment: &mut Environment<'_>,
    disabled: &[String],
    mut observe: impl FnMut(&'static str, &Function),
) {
    let mut pipeline = Pipeline::default();
    for &(name, _) in PIPELINE {
        if !disabled.iter().any(|disabled| disabled == name) && pipeline.step(name, function, environment) {
            observe(name, function);
        }
    }
}
