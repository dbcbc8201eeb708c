//! The type log: what the interpreter saw, as events of sixteen bytes in a fixed ring that belongs to one thread.
//!
//! The interpreter logs only while a unit is *being logged* (see [`crate::config`]); each event names its unit and place, so
//! that a reader needs no simulated stack. Words in facts are ids of the host (shapes, units, functions), never addresses that
//! the collector may change.
//!
//! The ring is outside the guest heap and never grows; when it is full the owner flushes it to the service, and when the
//! service's queue is full the batch is dropped and counted.

use crate::snapshot::Snapshots;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use surmise_ir::entity::{KindId, Pc, Register};

/// The number of a unit in its isolate's service, dense from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct UnitIndex(pub u32);

/// Words of a fact.
pub type Words = SmallVec<[u32; 4]>;

/// One event: this is the table of log records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// The unit was called.
    Enter,
    /// The loop with this header went round.
    Loop(Pc),
    /// A register held a value of this kind when the unit was called (pc 0) or the loop with this header went round.
    RegisterKind(Pc, Register, KindId),
    /// An operation ran with operands of these kinds (up to three).
    Operands(Pc, SmallVec<[KindId; 3]>),
    /// An operation or call gave a value of this kind.
    Result(Pc, KindId),
    /// An operation or call did what its variant says, with these words (see the cases of the language).
    Fact(Pc, u8, Words),
    /// A conditional jump jumped, or did not.
    Branch(Pc, bool),
}

impl Event {
    /// The kinds that it names.
    pub fn kinds(&self) -> impl Iterator<Item = KindId> + '_ {
        let (one, many): (Option<KindId>, &[KindId]) = match self {
            Event::RegisterKind(_, _, kind) | Event::Result(_, kind) => (Some(*kind), &[]),
            Event::Operands(_, kinds) => (None, kinds),
            Event::Enter | Event::Loop(_) | Event::Fact(..) | Event::Branch(..) => (None, &[]),
        };
        one.into_iter().chain(many.iter().copied())
    }
}

/// How many events a ring holds: enough for one logged window of a usual unit, small enough (64 KiB) for the second-level cache.
pub const RING_EVENTS: usize = 4096;

const ENTER: u8 = 0;
const LOOP: u8 = 1;
const REGISTER_KIND: u8 = 2;
const OPERANDS: u8 = 3;
const RESULT: u8 = 4;
const FACT: u8 = 5;
const BRANCH: u8 = 6;
const WORDS: u8 = 7;

/// An event in the ring.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    tag: u8,
    small: u8,
    short: u16,
    unit: u32,
    pc: u32,
    word: u32,
}

/// A thread's ring.
#[derive(Debug)]
pub struct Log {
    records: Vec<Record>,
    /// Events that found no room, since the log was made.
    pub dropped: u64,
    /// What registers held in some of the runs that are logged, if that is recorded.
    pub snapshots: Snapshots,
}

impl Default for Log {
    fn default() -> Log {
        Log::new(Snapshots::default())
    }
}

impl Log {
    /// An empty ring, with the snapshots that are to be taken.
    pub fn new(snapshots: Snapshots) -> Log {
        Log { records: Vec::with_capacity(RING_EVENTS), dropped: 0, snapshots }
    }
    /// Whether the ring should be flushed before the next burst of events.
    #[inline]
    pub fn is_nearly_full(&self) -> bool {
        self.records.len() + 64 > RING_EVENTS
    }
    /// Whether there is nothing to flush.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
    /// Takes the events out. The ring stays where it is, warm in the cache; what is taken is as large as it has to be.
    pub fn take(&mut self) -> Vec<Record> {
        let taken = self.records.to_vec();
        self.records.clear();
        taken
    }
    #[inline]
    fn push(&mut self, record: Record) {
        if self.records.len() < RING_EVENTS {
            self.records.push(record);
        } else {
            self.dropped += 1;
        }
    }
    /// [`Event::Enter`].
    #[inline]
    pub fn enter(&mut self, unit: UnitIndex) {
        self.push(Record { tag: ENTER, small: 0, short: 0, unit: unit.0, pc: 0, word: 0 });
    }
    /// [`Event::Loop`].
    #[inline]
    pub fn loop_(&mut self, unit: UnitIndex, header: u32) {
        self.push(Record { tag: LOOP, small: 0, short: 0, unit: unit.0, pc: header, word: 0 });
    }
    /// [`Event::RegisterKind`].
    #[inline]
    pub fn register_kind(&mut self, unit: UnitIndex, pc: u32, register: u16, kind: u8) {
        self.push(Record { tag: REGISTER_KIND, small: kind, short: register, unit: unit.0, pc, word: 0 });
    }
    /// [`Event::Operands`] of one operand.
    #[inline]
    pub fn operand(&mut self, unit: UnitIndex, pc: u32, kind: u8) {
        self.push(Record { tag: OPERANDS, small: 1, short: 0, unit: unit.0, pc, word: kind as u32 });
    }
    /// [`Event::Operands`] of two operands.
    #[inline]
    pub fn operands(&mut self, unit: UnitIndex, pc: u32, first: u8, second: u8) {
        self.push(Record {
            tag: OPERANDS,
            small: 2,
            short: 0,
            unit: unit.0,
            pc,
            word: first as u32 | (second as u32) << 8,
        });
    }
    /// [`Event::Operands`] of three operands.
    #[inline]
    pub fn operands3(&mut self, unit: UnitIndex, pc: u32, kinds: [u8; 3]) {
        let word = kinds[0] as u32 | (kinds[1] as u32) << 8 | (kinds[2] as u32) << 16;
        self.push(Record { tag: OPERANDS, small: 3, short: 0, unit: unit.0, pc, word });
    }
    /// [`Event::Result`].
    #[inline]
    pub fn result(&mut self, unit: UnitIndex, pc: u32, kind: u8) {
        self.push(Record { tag: RESULT, small: kind, short: 0, unit: unit.0, pc, word: 0 });
    }
    /// [`Event::Branch`].
    #[inline]
    pub fn branch(&mut self, unit: UnitIndex, pc: u32, jumped: bool) {
        self.push(Record { tag: BRANCH, small: jumped as u8, short: 0, unit: unit.0, pc, word: 0 });
    }
    /// [`Event::Fact`] with up to six words.
    pub fn fact(&mut self, unit: UnitIndex, pc: u32, variant: u8, words: &[u32]) {
        assert!(words.len() <= 6, "a fact has at most six words");
        let needed = 1 + words.len().saturating_sub(1).div_ceil(3);
        if self.records.len() + needed > RING_EVENTS {
            self.dropped += 1;
            return;
        }
        let word = words.first().copied().unwrap_or(0);
        self.push(Record { tag: FACT, small: variant, short: words.len() as u16, unit: unit.0, pc, word });
        for rest in words.get(1..).unwrap_or(&[]).chunks(3) {
            let at = |index: usize| rest.get(index).copied().unwrap_or(0);
            self.push(Record { tag: WORDS, small: 0, short: 0, unit: at(0), pc: at(1), word: at(2) });
        }
    }
}

/// A batch, field by field: neighbouring numbers are alike then, which compresses several times better than record by record.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Columns {
    tags: Vec<u8>,
    smalls: Vec<u8>,
    shorts: Vec<u16>,
    units: Vec<u32>,
    pcs: Vec<u32>,
    words: Vec<u32>,
}

impl Columns {
    /// The columns of a batch.
    pub fn new(records: &[Record]) -> Columns {
        Columns {
            tags: records.iter().map(|record| record.tag).collect(),
            smalls: records.iter().map(|record| record.small).collect(),
            shorts: records.iter().map(|record| record.short).collect(),
            units: records.iter().map(|record| record.unit).collect(),
            pcs: records.iter().map(|record| record.pc).collect(),
            words: records.iter().map(|record| record.word).collect(),
        }
    }
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.tags.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }
    /// The batch again.
    ///
    /// # Errors
    /// If the columns differ in length.
    pub fn records(&self) -> Result<Vec<Record>, LogError> {
        let count = self.tags.len();
        let lengths =
            [self.smalls.len(), self.shorts.len(), self.units.len(), self.pcs.len(), self.words.len()];
        if let Some(&shortest) = lengths.iter().find(|&&length| length != count) {
            return Err(LogError { index: shortest.min(count), reason: "the columns differ in length" });
        }
        Ok((0..count)
            .map(|i| Record {
                tag: self.tags[i],
                small: self.smalls[i],
                short: self.shorts[i],
                unit: self.units[i],
                pc: self.pcs[i],
                word: self.words[i],
            })
            .collect())
    }
}

/// A batch of records that makes no sense: which record, and why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("type log, record {index}: {reason}")]
pub struct LogError {
    /// Position in the batch.
    pub index: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// Reads the events of a batch.
pub fn read(records: &[Record]) -> Result<Vec<(UnitIndex, Event)>, LogError> {
    let mut events = Vec::with_capacity(records.len());
    let mut index = 0;
    while index < records.len() {
        let record = records[index];
        let pc = Pc(record.pc);
        let kind = |number: u8| KindId::from_u32(number as u32);
        let event = match record.tag {
            ENTER => Event::Enter,
            LOOP => Event::Loop(pc),
            REGISTER_KIND => Event::RegisterKind(pc, Register(record.short), kind(record.small)),
            OPERANDS => {
                if record.small > 3 {
                    return Err(LogError { index, reason: "more than three operands" });
                }
                Event::Operands(pc, (0..record.small).map(|i| kind((record.word >> (8 * i)) as u8)).collect())
            }
            RESULT => Event::Result(pc, kind(record.small)),
            BRANCH => Event::Branch(pc, record.small != 0),
            FACT => {
                let count = record.short as usize;
                let more = count.saturating_sub(1).div_ceil(3);
                if count > 6 || index + more >= records.len() {
                    return Err(LogError { index, reason: "a fact's words are missing" });
                }
                let mut words = Words::new();
                if count > 0 {
                    words.push(record.word);
                }
                for rest in &records[index + 1..=index + more] {
                    if rest.tag != WORDS {
                        return Err(LogError { index, reason: "a fact's words are missing" });
                    }
                    words.extend([rest.unit, rest.pc, rest.word]);
                }
                words.truncate(count);
                index += more;
                Event::Fact(pc, record.small, words)
            }
            _ => return Err(LogError { index, reason: "unknown kind of record" }),
        };
        events.push((UnitIndex(record.unit), event));
        index += 1;
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    #[test]
    fn events_come_back_as_they_were_logged() {
        let mut log = Log::default();
        let unit = UnitIndex(7);
        log.enter(unit);
        log.register_kind(unit, 0, 3, 2);
        log.operands(unit, 5, 2, 3);
        log.fact(unit, 6, 1, &[10, 20, 30, 40, 50]);
        log.fact(unit, 6, 0, &[]);
        log.branch(unit, 9, true);
        let kind = KindId::from_u32;
        let expected = [
            Event::Enter,
            Event::RegisterKind(Pc(0), Register(3), kind(2)),
            Event::Operands(Pc(5), smallvec![kind(2), kind(3)]),
            Event::Fact(Pc(6), 1, smallvec![10, 20, 30, 40, 50]),
            Event::Fact(Pc(6), 0, smallvec![]),
            Event::Branch(Pc(9), true),
        ];
        let records = log.take();
        assert_eq!(Columns::new(&records).records().unwrap(), records);
        let events = read(&records).unwrap();
        assert_eq!(events, expected.map(|event| (unit, event)));
    }

    #[test]
    fn a_full_ring_drops_and_counts() {
        let mut log = Log::default();
        for _ in 0..RING_EVENTS + 5 {
            log.enter(UnitIndex(0));
        }
        assert_eq!(log.dropped, 5);
    }

    #[test]
    fn torn_facts_are_errors() {
        let mut log = Log::default();
        log.fact(UnitIndex(0), 1, 0, &[1, 2, 3]);
        let records = log.take();
        assert!(read(&records[..1]).is_err());
        assert!(read(&records[1..]).is_err());
    }
}
