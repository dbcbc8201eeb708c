//! Units that are lifted with the code of what they call in them, so that real programs have inlined frames.
//!
//! This is no policy: whatever is certain to be called is inlined, to a depth, however large and cold it is. What is certain is told by
//! the host's [`Callees`]. The optimizer gets functions in which the calls are gone, with frame states whose parents are the
//! callers' (`surmise::ir::splice`).

pub mod lua;
pub mod tally;

use std::sync::Arc;
use surmise::ir::entity::{Inst, Register, UnitId};
use surmise::ir::frame_state::ResumePoint;
use surmise::ir::function::{Entry, Function};
use surmise::ir::language::Language;
use surmise::ir::opcode::Opcode;
use surmise::ir::splice::splice;
use surmise::unit::{LiftError, UnitSource};

/// How many calls deep code is inlined: frames of four units in one.
const DEPTH: usize = 3;
/// What has more instructions is not inlined into any further.
const LARGEST: usize = 2_000;

/// What a unit is certain to call.
pub trait Callees: Send + Sync {
    /// The unit, with the callees that it has for its part, which a guest call of a unit's function calls, whenever it is reached.
    /// `function` is what the unit is lifted to, without anything inlined.
    fn callee(&self, unit: UnitId, function: &Function, call: Inst) -> Option<Arc<dyn UnitSource>>;
}

/// A unit with what it calls inlined.
pub struct Inlined {
    unit: Arc<dyn UnitSource>,
    callees: Arc<dyn Callees>,
    /// All units whose code may be in it.
    others: Vec<Arc<dyn UnitSource>>,
}

impl Inlined {
    /// The unit, in which code of these others may be inlined.
    pub fn new(
        unit: Arc<dyn UnitSource>,
        callees: Arc<dyn Callees>,
        others: Vec<Arc<dyn UnitSource>>,
    ) -> Inlined {
        Inlined { unit, callees, others }
    }
    /// What a unit is lifted to, with code inlined so many calls deep.
    fn lift_to(
        &self,
        unit: &dyn UnitSource,
        language: &Language,
        entry: Entry,
        depth: usize,
    ) -> Result<Function, LiftError> {
        let mut function = unit.lift(language, entry)?;
        let own = function.clone();
        let calls = own.layout.iter().flat_map(|&block| &own.blocks[block].insts).copied();
        for call in calls.filter(|&inst| own.insts[inst].opcode == Opcode::CallGuest) {
            let Some(callee) = self.callees.callee(unit.id(), &own, call).filter(|_| depth > 0) else {
                continue;
            };
            // What can't be lifted, or not be spliced, stays a call.
            if let Ok(callee) = self.lift_to(&*callee, language, Entry::Call, depth - 1)
                && function.inst_count() + callee.inst_count() <= LARGEST
            {
                let _ = splice(&mut function, call, &callee, language);
            }
        }
        Ok(function)
    }
}

impl UnitSource for Inlined {
    fn id(&self) -> UnitId {
        self.unit.id()
    }
    fn name(&self) -> &str {
        self.unit.name()
    }
    fn live_registers(&self, resume: ResumePoint) -> Option<Vec<Register>> {
        self.unit.live_registers(resume)
    }
    fn lift(&self, language: &Language, entry: Entry) -> Result<Function, LiftError> {
        self.lift_to(&*self.unit, language, entry, DEPTH)
    }
    fn inlined(&self) -> &[Arc<dyn UnitSource>] {
        &self.others
    }
}
