//! Values out of numbers: what the oracle answers when nothing is laid down.
//!
//! Small numbers, few objects, and the kinds that the log saw come often: so that operands meet, loops end, and guards mostly pass.
//! Extremes come now and then.

use crate::profile::UnitProfile;
use surmise_ir::entity::{KindId, Pc, Register};
use surmise_ir::evaluate::{Boxed, Datum, boxing};
use surmise_ir::language::Language;
use surmise_ir::types::Type;

/// A question that a world is asked, by its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Question(u64);

impl Question {
    /// The question of these words.
    pub fn new(words: &[u64]) -> Question {
        Question(words.iter().fold(0x5345_4544, |hash, &word| mixed(hash ^ word)))
    }
}

/// A finalizer of the splitmix family: every bit of the result depends on every bit of the word.
fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

/// The address of an object. Far below what any encoding takes for tags.
fn object(number: u64) -> u64 {
    0x10_0000 + number * 0x100
}

/// The object that an effect allocated: it is no other.
pub fn fresh_object(effect: u64) -> u64 {
    object((1 << 30) + (effect & 0x0FFF_FFFF))
}

/// The object of this number in a snapshot.
pub fn known_object(number: u64) -> u64 {
    object((1 << 33) + (number & 0xFFFF_FFFF))
}

/// Some object of a kind.
pub fn object_of_kind(kind: KindId) -> u64 {
    object(u64::from(kind.as_u32()) * 64 + 1)
}

/// How many different objects of a kind come up by chance.
const OBJECTS_PER_KIND: u64 = 6;

/// Draws values for one unit.
#[derive(Clone, Copy)]
pub struct Draw<'a> {
    language: &'a Language,
    /// What was seen of the unit.
    profile: &'a UnitProfile,
    /// Where register kinds were seen: the entry's pc.
    entry: Pc,
    /// Kinds that were seen at all.
    seen: &'a [KindId],
    seed: u64,
}

impl<'a> Draw<'a> {
    /// Draws from this seed, for a unit of which this was seen.
    pub fn new(
        language: &'a Language,
        profile: &'a UnitProfile,
        entry: Pc,
        seen: &'a [KindId],
        seed: u64,
    ) -> Draw<'a> {
        Draw { language, profile, entry, seen, seed }
    }
    fn hash(&self, question: Question) -> u64 {
        mixed(question.0 ^ mixed(self.seed))
    }
    /// Whether an effect changes a place that it may write. Some worlds change a lot, some hardly anything.
    pub fn is_hit(&self, question: Question) -> bool {
        let one_in = [16, 2, 64, u64::MAX][(self.seed % 4) as usize];
        self.hash(question).is_multiple_of(one_in)
    }
    /// A number below `end`.
    pub fn count(&self, question: Question, end: u64) -> u64 {
        self.hash(question) % end.max(1)
    }
    /// How many arguments are passed: mostly as many as usual.
    pub fn argument_count(&self, question: Question, usual: u64) -> u64 {
        let hash = self.hash(question);
        if hash.is_multiple_of(8) { (hash >> 8) % (usual + 3) } else { usual }
    }
    /// What a slot holds: for each recipe something else.
    pub fn held(&self, question: Question, ty: Type) -> Datum {
        let word = object((1 << 31) + (mixed(question.0) & 0x3FFF_FFFF));
        match ty {
            Type::Ref => Datum::Ref(word),
            Type::Raw => Datum::Raw(word),
            ty => self.value(question, ty),
        }
    }
    /// What a register holds at the entry.
    pub fn register(&self, question: Question, register: i32) -> Datum {
        let hash = self.hash(question);
        let register = u16::try_from(register).ok().map(Register);
        let counts = register.and_then(|register| self.profile.registers.get(&(self.entry, register)));
        let total: u64 = counts.map_or(0, |counts| counts.iter().map(|&(_, count)| u64::from(count)).sum());
        let mut left = (hash >> 3) % total.max(1);
        let mut kind = None;
        for &(known, count) in counts.into_iter().flatten() {
            if left < u64::from(count) {
                kind = Some(known);
                break;
            }
            left -= u64::from(count);
        }
        match kind {
            Some(kind) if !hash.is_multiple_of(8) => Datum::Any(self.boxed(kind, hash)),
            _ => self.value(question, Type::Any),
        }
    }
    /// A value of a type.
    pub fn value(&self, question: Question, ty: Type) -> Datum {
        let hash = self.hash(question);
        match ty {
            Type::I64 => Datum::I64(integer(hash)),
            Type::F64 => Datum::F64(float(hash).to_bits()),
            Type::I1 => Datum::I1(hash & 16 != 0),
            // Mostly an object of its own, as parts of objects are.
            Type::Ref if hash & 3 != 0 => Datum::Ref(object((1 << 32) + (mixed(question.0) & 0x3FFF_FFFF))),
            Type::Ref => Datum::Ref(object((1 << 20) + (hash >> 8) % 8)),
            Type::Raw if hash & 1 != 0 => Datum::Raw(0),
            Type::Raw => Datum::Raw(object((1 << 21) + (hash >> 8) % 4)),
            Type::Any => {
                let number = |count: usize| (hash >> 8) as usize % count.max(1);
                let seen = self.seen.get(number(self.seen.len())).filter(|_| hash & 7 != 0).copied();
                let all = self.language.kinds.keys().nth(number(self.language.kinds.len()));
                seen.or(all).map_or(Datum::Any([0, 0]), |kind| Datum::Any(self.boxed(kind, hash)))
            }
        }
    }
    /// A boxed value of a kind.
    pub fn boxed(&self, kind: KindId, hash: u64) -> Boxed {
        let payload = self.language.kinds[kind].payload.map(|ty| match ty {
            Type::Ref => Datum::Ref(object_of_kind(kind) + 0x100 * ((hash >> 20) % OBJECTS_PER_KIND)),
            Type::Raw | Type::Any => Datum::Raw(object((1 << 21) + (hash >> 20) % 4)),
            ty => self.value(Question(hash >> 5), ty),
        });
        let boxed = boxing::boxed(self.language, kind, payload).unwrap_or([0, 0]);
        // Some encodings have no room for large numbers.
        match boxing::is_kind(self.language, kind, boxed) {
            true => boxed,
            false => payload
                .and_then(|payload| boxing::boxed(self.language, kind, Datum::from_bits(payload.ty(), 0)))
                .unwrap_or(boxed),
        }
    }
}

fn integer(hash: u64) -> i64 {
    const EXTREMES: [i64; 8] = [i64::MAX, i64::MIN, -1, 1 << 53, 255, 256, 1 << 31, 0];
    match hash % 16 {
        0 => EXTREMES[(hash >> 8) as usize % EXTREMES.len()],
        1 => -((hash >> 8) as i64 & 15),
        2..6 => (hash >> 8) as i64 & 3,
        _ => ((hash >> 8) % 12) as i64,
    }
}

fn float(hash: u64) -> f64 {
    const EXTREMES: [f64; 8] =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, 1e-300, 9_007_199_254_740_993.0, 0.1];
    match hash % 16 {
        0 => EXTREMES[(hash >> 8) as usize % EXTREMES.len()],
        1..8 => ((hash >> 8) % 12) as f64,
        _ => ((hash >> 8) % 256) as f64 / 8.0 - 16.0,
    }
}
