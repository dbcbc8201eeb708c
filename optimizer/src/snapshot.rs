//! Snapshots of arguments: what parameters, and live registers at loop headers, held when a unit was logged.
//!
//! For recordings that shall be executed ([`crate::replay::execute`]); no decision rests on them. With `SURMISE_RECORD_ARGUMENTS=n` the
//! first n logged runs of each entry are taken down. Numbers are kept as they are. Of objects it is kept which are the same within one
//! snapshot: addresses never leave the process.

use crate::log::UnitIndex;
use crate::record::event::{Argument, Arguments};
use rustc_hash::FxHashMap;
use surmise_ir::entity::{KindId, Register};
use surmise_ir::evaluate::{Datum, boxing};
use surmise_ir::function::Entry;
use surmise_ir::language::{KindForm, Language};

/// A value as the host has it: its register, its kind, and its word.
type Held = (u16, u8, u64);

/// The snapshots of one isolate's thread, until they are flushed.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// How many are taken of each entry.
    wanted: u32,
    taken: FxHashMap<(UnitIndex, Entry), u32>,
    waiting: Vec<(UnitIndex, Entry, Vec<Held>)>,
}

impl Snapshots {
    /// Takes so many of each entry.
    pub fn new(wanted: u32) -> Snapshots {
        Snapshots { wanted, ..Snapshots::default() }
    }
    /// Begins a snapshot, if one is wanted. If so, the host [adds](Snapshots::add) the values, before anything can move.
    #[inline]
    pub fn begin(&mut self, unit: UnitIndex, entry: Entry) -> bool {
        self.wanted > 0 && self.begin_wanted(unit, entry)
    }
    #[cold]
    fn begin_wanted(&mut self, unit: UnitIndex, entry: Entry) -> bool {
        let taken = self.taken.entry((unit, entry)).or_default();
        let is_wanted = *taken < self.wanted;
        if is_wanted {
            *taken += 1;
            self.waiting.push((unit, entry, Vec::new()));
        }
        is_wanted
    }
    /// A value: its kind, and its payload word in pair encoding, the whole word in word encoding.
    pub fn add(&mut self, register: u16, kind: u8, word: u64) {
        if let Some((.., values)) = self.waiting.last_mut() {
            values.push((register, kind, word));
        }
    }
    /// Takes out what has been taken down.
    pub(crate) fn take(&mut self, language: &Language) -> Vec<Arguments> {
        let taken = std::mem::take(&mut self.waiting).into_iter();
        taken.map(|(unit, entry, values)| arguments(language, unit, entry, &values)).collect()
    }
}

fn arguments(language: &Language, unit: UnitIndex, entry: Entry, held: &[Held]) -> Arguments {
    let mut objects: Vec<u64> = Vec::new();
    let values = held.iter().filter_map(|&(register, kind, word)| {
        let kind = KindId::from_u32(kind.into());
        let boxed = match language.kinds.get(kind)?.form {
            KindForm::Tag(tag) => [tag, word],
            KindForm::Word { .. } => [word, 0],
        };
        let word = match boxing::unboxed(language, kind, boxed)? {
            None => 0,
            Some(Datum::Ref(address) | Datum::Raw(address)) if address != 0 => {
                let known = objects.iter().position(|&known| known == address);
                let number = known.unwrap_or_else(|| {
                    objects.push(address);
                    objects.len() - 1
                });
                number as u64 + 1
            }
            Some(number) => number.bits()?,
        };
        Some((Register(register), Argument { kind, word }))
    });
    Arguments { unit, entry, values: values.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use surmise_ir::entity::Pc;
    use surmise_ir::generate;

    #[test]
    fn objects_are_numbered_and_counted_by_identity() {
        let language = generate::language();
        let kind = |ty| {
            let kinds = language.kinds.iter();
            kinds.filter(|(_, kind)| kind.payload == Some(ty)).map(|(id, _)| id.as_u32() as u8).next()
        };
        let (int, object) = (
            kind(surmise_ir::types::Type::I64).expect("it has integers"),
            kind(surmise_ir::types::Type::Ref).expect("it has objects"),
        );
        let mut snapshots = Snapshots::new(1);
        let (unit, entry) = (UnitIndex(3), Entry::Loop(Pc(7)));
        assert!(snapshots.begin(unit, entry));
        for (register, kind, word) in
            [(0, object, 0x7000), (1, int, 42), (2, object, 0x8000), (5, object, 0x7000)]
        {
            snapshots.add(register, kind, word);
        }
        assert!(!snapshots.begin(unit, entry), "one was wanted");
        assert!(snapshots.begin(unit, Entry::Call), "of each entry");
        let taken = snapshots.take(&language);
        let words: Vec<(u16, u64)> =
            taken[0].values.iter().map(|&(register, argument)| (register.0, argument.word)).collect();
        assert_eq!(words, [(0, 1), (1, 42), (2, 2), (5, 1)]);
        assert_eq!(taken.len(), 2);
        assert!(snapshots.take(&language).is_empty());
        assert!(!Snapshots::default().begin(unit, entry));
    }
}
