//! What all activations of a function have in common.

use crate::analysis::entry::room_check;
use crate::analysis::{BitSet, ControlFlow, Liveness};
use crate::entity::{Inst, Value};
use crate::function::Function;
use crate::opcode::{EffectClass, Opcode};
use crate::types::Type;
use cranelift_entity::SecondaryMap;

/// What is found out about a function once, for all [`super::Machine`]s that run it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// By instruction that may stand still: the values that are needed while it does.
    needed: SecondaryMap<Inst, Option<BitSet<Value>>>,
    room_check: Option<Inst>,
}

impl Prepared {
    /// Looks at a function. It must not change afterwards.
    pub fn new(function: &Function) -> Prepared {
        let graph = ControlFlow::new(function);
        let liveness = Liveness::new(function, &graph);
        let mut needed = SecondaryMap::new();
        for block in graph.reverse_post_order() {
            liveness.walk_back(function, block, |inst, after| {
                let data = &function.insts[inst];
                if data.opcode.effect() == EffectClass::Call {
                    let mut live = Liveness::across(function, inst, after);
                    if data.opcode == Opcode::Poll {
                        // It leaves with its state before.
                        live.extend(data.state.into_iter().flat_map(|state| function.state_values(state)));
                    }
                    add_owners(function, &mut live);
                    needed[inst] = Some(live);
                }
            });
        }
        Prepared { needed, room_check: room_check(function) }
    }
    /// The values that are needed while an instruction stands still; `None` if it never does.
    pub fn needed(&self, inst: Inst) -> Option<&BitSet<Value>> {
        self.needed[inst].as_ref()
    }
    /// The instruction before which there has to be room for the activation.
    pub fn room_check(&self) -> Option<Inst> {
        self.room_check
    }
}

/// An object that was loaded from another may be a part of it, which a collector keeps and moves with its owner only: the owner is
/// needed as long as the part is.
fn add_owners(function: &Function, live: &mut BitSet<Value>) {
    let mut work: Vec<Value> = live.iter().collect();
    while let Some(value) = work.pop() {
        if function.ty(value) == Type::Ref
            && let Some(load) = function.def_with(value, Opcode::Load)
            && live.insert(load.args[0])
        {
            work.push(load.args[0]);
        }
    }
}
