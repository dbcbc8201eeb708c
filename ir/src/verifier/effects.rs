//! Rule 13: no effect between a resume point and what may return to it.
//!
//! # What is checked
//!
//! An *effect* is what running it twice, or not at all, could show: a store; an operation or extern that writes or runs guest
//! code; a guest call. (Barriers and stores to the window are none: the one is idempotent, the other only prepares a call.
//! Allocating is none. Errors are none: control does not come back.)
//!
//! On every path, in order:
//!
//! * An instruction that carries a state in `state` *mentions* its resume point `(frame, pc, when)` of the innermost frame, and
//!   so shows which bytecode instruction runs: resume points of other bytecode instructions are forgotten.
//! * An effect makes every resume point that was mentioned before it *stale*, and, for operations and guest calls, the one
//!   before their site. Then the instruction's state `after` is mentioned.
//! * An instruction that may leave (a guard, poll, `deoptimize`, operation or guest call: operations and calls because guards
//!   are made from their states) whose resume point is stale is a violation. `branch` is not held to this.
//! * A back-edge begins another round, in which every resume point is good again: nothing is carried along it. What stands before a
//!   loop may be a round of it that was peeled off, whose last test was folded, and with it the mention of that instruction: so entering a loop
//!   makes every resume point good again as well. A pass that unrolls loops further keeps a poll, or another mention of another
//!   instruction, between two rounds.
//!
//! The sets are united where paths meet, so a violation on one path is one.

use super::{Report, Rule};
use crate::analysis::{BitSet, ControlFlow};
use crate::entity::{Block, FrameId, FrameStateId, Pc};
use crate::frame_state::ResumePoint;
use crate::function::{Function, Immediate, InstData};
use crate::language::{Effects, Language, Reach};
use crate::opcode::{EffectClass, Opcode};
use cranelift_entity::{EntityRef, SecondaryMap, entity_impl};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

/// The number of a resume point.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place(u32);
entity_impl!(Place, "place");

/// The resume points of a function, numbered.
#[derive(Default)]
struct Places(IndexSet<(FrameId, ResumePoint), FxBuildHasher>);

impl Places {
    fn of(&mut self, frame: FrameId, resume: ResumePoint) -> Place {
        Place::new(self.0.insert_full((frame, resume)).0)
    }
    fn of_state(&mut self, function: &Function, state: FrameStateId) -> Place {
        let state = &function.states[state];
        self.of(state.frame, state.resume)
    }
    fn instruction(&self, place: Place) -> (FrameId, Pc) {
        let (frame, resume) = self.0[place.index()];
        (frame, resume.pc)
    }
}

/// What is known on the paths to a point.
#[derive(Clone, Default)]
struct Paths {
    /// Mentioned, with no effect since.
    good: BitSet<Place>,
    /// Mentioned, with an effect since.
    stale: BitSet<Place>,
}

impl Paths {
    fn mention(&mut self, places: &Places, place: Place) {
        let keep = |set: &BitSet<Place>| {
            set.iter().filter(|&other| places.instruction(other) == places.instruction(place)).collect()
        };
        self.good = keep(&self.good);
        self.stale = keep(&self.stale);
        if !self.stale.contains(place) {
            self.good.insert(place);
        }
    }
}

/// Whether running an instruction twice, or not at all, could show.
pub fn has_effect(language: &Language, data: &InstData) -> bool {
    let of = |effects: &Effects| effects.writes != Reach::Nothing || effects.calls_guest;
    match (data.opcode, data.immediate) {
        (Opcode::Store | Opcode::StoreElement, _) => true,
        (Opcode::CallGuest | Opcode::CallUnit, _) => true,
        (_, Immediate::Operation(id, _)) => {
            let fallback =
                language.operations.get(id).and_then(|operation| language.externs.get(operation.fallback));
            fallback.is_none_or(|fallback| of(&fallback.effects))
        }
        (_, Immediate::Extern(id)) => language.externs.get(id).is_none_or(|function| of(&function.effects)),
        _ => false,
    }
}

/// Whether an instruction may go on at its state's resume point, or guards that do may be made from it.
fn may_leave(opcode: Opcode) -> bool {
    match opcode.effect() {
        EffectClass::Guard => true,
        EffectClass::Call => opcode != Opcode::CallExtern,
        _ => opcode == Opcode::Deoptimize,
    }
}

pub(super) fn check(report: &mut Report, graph: &ControlFlow) {
    let function = report.function;
    let mut places = Places::default();
    let mut at_end: SecondaryMap<Block, Paths> = SecondaryMap::new();
    // Without back-edges the blocks have an order in which all predecessors are done.
    for block in graph.reverse_post_order() {
        let mut paths = Paths::default();
        let is_header = graph.predecessors(block).iter().any(|&from| graph.is_retreating(from, block));
        for &predecessor in graph.predecessors(block) {
            if !graph.is_retreating(predecessor, block) {
                paths.good.union_with(&at_end[predecessor].good);
                if !is_header {
                    paths.stale.union_with(&at_end[predecessor].stale);
                }
            }
        }
        for &inst in &function.blocks[block].insts {
            let data = &function.insts[inst];
            let place = data.state.map(|state| places.of_state(function, state));
            if let Some(place) = place {
                if may_leave(data.opcode) && paths.stale.contains(place) {
                    let (_, resume) = places.0[place.index()];
                    let message = format!("an effect lies between {resume} and here");
                    report.at_inst(Rule::Effects, block, inst, message);
                }
                paths.mention(&places, place);
            }
            if has_effect(report.language, data) {
                paths.stale.union_with(&std::mem::take(&mut paths.good));
                let site = match data.immediate {
                    Immediate::Operation(_, site) => Some(site),
                    Immediate::Call(info) => Some(info.site),
                    _ => None,
                };
                if let (Some(site), Some(state)) = (site, data.state) {
                    paths.stale.insert(places.of(function.states[state].frame, ResumePoint::before(site)));
                }
            }
            if let Some(after) = data.after {
                let place = places.of_state(function, after);
                paths.mention(&places, place);
            }
        }
        at_end[block] = paths;
    }
}
