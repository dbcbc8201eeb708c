//! Memory: a load takes what an earlier store or load of the same place gave.
//!
//! A place is a field of a base value, with an index for elements. What is known flows down the dominator tree; on the way to
//! a block with several ways in, everything that any block between it and its immediate dominator may write is forgotten.
//! Two places are different when their alias classes differ, or when base and field are the same and the indexes are
//! different constants; otherwise a store to one forgets the other.
//!
//! A poll writes nothing: the host must not run guest code in one (it may collect; moved objects are the same objects).

use super::Environment;
use super::edit::Replacements;
use super::fold::constant_of;
use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashMap;
use surmise_ir::analysis::bit_set::BitSet;
use surmise_ir::analysis::{ControlFlow, Dominators};
use surmise_ir::entity::{AliasClass, Block, FieldId, Inst, Value};
use surmise_ir::function::{Function, Immediate};
use surmise_ir::language::{Language, Reach};
use surmise_ir::opcode::Opcode;
use surmise_ir::semantics::Constant;

/// A place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    field: FieldId,
    base: Value,
    index: Option<Value>,
}

/// What instructions may write.
#[derive(Clone, Default)]
pub(super) struct Written {
    /// Anything that is not immutable.
    pub everything: bool,
    /// Places of these classes.
    pub classes: BitSet<AliasClass>,
}

impl Written {
    /// Whether nothing is written.
    pub fn is_nothing(&self) -> bool {
        !self.everything && self.classes.is_empty()
    }
    /// Adds what another writes.
    pub fn add(&mut self, other: &Written) {
        self.everything |= other.everything;
        self.classes.union_with(&other.classes);
    }
    /// Whether a place of this field may be written.
    pub fn touches(&self, language: &Language, field: FieldId) -> bool {
        let field = &language.fields[field];
        !field.immutable && (self.everything || self.classes.contains(field.alias))
    }
}

/// What an instruction may write.
pub(super) fn written(function: &Function, language: &Language, inst: Inst, into: &mut Written) {
    let data = &function.insts[inst];
    match (data.opcode, data.immediate) {
        (Opcode::Store | Opcode::StoreElement, Immediate::Field(field)) => {
            into.classes.insert(language.fields[field].alias);
        }
        (Opcode::CallExtern, Immediate::Extern(id)) => match &language.externs[id].effects.writes {
            _ if language.externs[id].effects.calls_guest => into.everything = true,
            Reach::Nothing => {}
            Reach::Classes(classes) => {
                for &class in classes {
                    into.classes.insert(class);
                }
            }
            Reach::Everything => into.everything = true,
        },
        (Opcode::Operation, Immediate::Operation(id, _)) => {
            let effects = &language.externs[language.operations[id].fallback].effects;
            match &effects.writes {
                Reach::Nothing if !effects.calls_guest => {}
                Reach::Classes(classes) if !effects.calls_guest => {
                    for &class in classes {
                        into.classes.insert(class);
                    }
                }
                _ => into.everything = true,
            }
        }
        (Opcode::CallGuest | Opcode::CallUnit, _) => into.everything = true,
        _ => {}
    }
}

type Known = FxHashMap<Place, Value>;

/// Runs the pass.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    let flow = ControlFlow::new(function);
    let dominators = Dominators::new(&flow);
    let language = environment.language;
    let mut block_writes: SecondaryMap<Block, Written> = SecondaryMap::new();
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            written(function, language, inst, &mut block_writes[block]);
        }
    }
    let mut replacements = Replacements::default();
    let mut known_after: FxHashMap<Block, Known> = FxHashMap::default();
    for block in flow.reverse_post_order() {
        let mut known = dominators
            .immediate(block)
            .and_then(|parent| known_after.get(&parent).cloned())
            .unwrap_or_default();
        if let Some(parent) = dominators.immediate(block)
            && flow.predecessors(block) != [parent]
        {
            let between = writes_between(&flow, parent, block, &block_writes);
            known.retain(|place, _| !between.touches(language, place.field));
        }
        let insts = std::mem::take(&mut function.blocks[block].insts);
        let mut kept = Vec::with_capacity(insts.len());
        for inst in insts {
            if !visit(function, environment, inst, &mut known, &mut replacements) {
                kept.push(inst);
            }
        }
        function.blocks[block].insts = kept;
        known_after.insert(block, known);
    }
    replacements.apply(function);
}

/// What blocks on ways from `from` (exclusive) to `to` (exclusive, unless it is in a loop with itself) may write.
fn writes_between(
    flow: &ControlFlow,
    from: Block,
    to: Block,
    block_writes: &SecondaryMap<Block, Written>,
) -> Written {
    let mut written = Written::default();
    let mut seen: BitSet<Block> = BitSet::new();
    let mut work: Vec<Block> = flow.predecessors(to).to_vec();
    while let Some(block) = work.pop() {
        if block == from || !seen.insert(block) {
            continue;
        }
        written.add(&block_writes[block]);
        work.extend(flow.predecessors(block));
    }
    written
}

/// Looks at one instruction; returns whether it goes.
fn visit(
    function: &mut Function,
    environment: &mut Environment<'_>,
    inst: Inst,
    known: &mut Known,
    replacements: &mut Replacements,
) -> bool {
    let language = environment.language;
    let data = &function.insts[inst];
    let resolve = |value: Value| replacements.resolve(value);
    match (data.opcode, data.immediate) {
        (Opcode::Load | Opcode::LoadElement, Immediate::Field(field)) => {
            let place = Place {
                field,
                base: resolve(data.args[0]),
                index: data.args.get(1).map(|&index| resolve(index)),
            };
            let result = data.result.expect("a load has a result");
            match known.get(&place) {
                Some(&value) if environment.fuel.step() => {
                    replacements.replace(result, value);
                    return true;
                }
                Some(_) => {}
                None => {
                    known.insert(place, result);
                }
            }
        }
        (Opcode::Store | Opcode::StoreElement, Immediate::Field(field)) => {
            let index = (data.opcode == Opcode::StoreElement).then(|| resolve(data.args[1]));
            let place = Place { field, base: resolve(data.args[0]), index };
            let value = resolve(*data.args.last().expect("a store has a value"));
            let alias = language.fields[field].alias;
            let constant = |index: Option<Value>| index.and_then(|index| constant_of(function, index));
            known.retain(|other, _| {
                language.fields[other.field].alias != alias
                    || (other.field == place.field
                        && other.base == place.base
                        && differ(constant(other.index), constant(index)))
            });
            // A field that is narrower than the value would give back something else than was stored.
            if language.fields[field].memory == surmise_ir::language::MemoryType::Full(function.ty(value)) {
                known.insert(place, value);
            }
        }
        _ => {
            let mut writes = Written::default();
            written(function, language, inst, &mut writes);
            if !writes.is_nothing() {
                known.retain(|place, _| !writes.touches(language, place.field));
            }
        }
    }
    false
}

fn differ(a: Option<Constant>, b: Option<Constant>) -> bool {
    matches!((a, b), (Some(Constant::I64(a)), Some(Constant::I64(b))) if a != b)
}
