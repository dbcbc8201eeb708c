//! Tally: a function that is pushed and called is certain to be called.

use super::{Callees, Inlined};
use std::sync::Arc;
use surmise::ir::entity::{Inst, UnitId};
use surmise::ir::function::{Function, Immediate};
use surmise::ir::language::Language;
use surmise::ir::opcode::Opcode;
use surmise::unit::UnitSource;
use surmise_tally::program::Program;

struct Functions {
    units: Vec<Arc<dyn UnitSource>>,
    /// The recipe class of functions.
    class: u32,
}

impl Callees for Functions {
    fn callee(&self, _: UnitId, function: &Function, call: Inst) -> Option<Arc<dyn UnitSource>> {
        // The operation `callee` makes sure that it is a function.
        let checked = function.def_with(function.insts[call].args[0], Opcode::Operation)?;
        let boxed = function.def_with(checked.args[0], Opcode::Box)?;
        let object = function.def_with(*boxed.args.first()?, Opcode::Slot)?;
        let Immediate::Slot(slot) = object.immediate else { return None };
        let recipe = function.slots[slot];
        let number = usize::try_from(recipe.words[0]).ok()?;
        (recipe.class == self.class).then(|| self.units.get(number).cloned())?
    }
}

/// The units of a program's functions, with what they are certain to call inlined.
pub fn units(program: &Program, language: &Language) -> Vec<Arc<dyn UnitSource>> {
    let units = surmise_tally::lifter::units(program);
    let class = language.recipe_class("function").expect("tally.sir declares it");
    let callees = Arc::new(Functions { units: units.clone(), class });
    let inlined = |unit: &Arc<dyn UnitSource>| -> Arc<dyn UnitSource> {
        let others = units.iter().filter(|other| other.id() != unit.id()).cloned().collect();
        Arc::new(Inlined::new(unit.clone(), callees.clone(), others))
    };
    units.iter().map(inlined).collect()
}
