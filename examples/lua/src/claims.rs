//! Claims: what has not changed for a while, so that compiled code may take it for granted.
//!
//! ```text
//! chains      no class-like table has changed its metatable or a field `__…`, no type its metatable
//! key K       no class-like table has got or lost a field K          (class-like: looked through on an `__index` chain)
//! field K, T  T.K still has the value that it had                    (T has a tree of shapes of its own, see `table/kept.rs`)
//! ```
//!
//! A claim has a number as long as it holds. Who changes what it is about ends it; its number then stands in [`Claims::ended`],
//! until whoever has compiled code that rests on it has taken notice: before any of that code runs again.
//!
//! What must hold:
//! * a number is never used again: a claim that is made anew has another one;
//! * everything ends: a field's claim can be made once, the others [`MOST_TIMES`] times, so that programs that keep changing their
//!   classes don't keep compiling.
//!
//! Nothing here knows of compiled code. Without any, no claims are made.

use rustc_hash::FxHashMap;

use crate::object::LuaString;
use crate::shape::Shape;

/// How often a claim about chains, or about one key, is made: a program that defines its classes while it runs breaks some.
const MOST_TIMES: u32 = 4;
/// Tables that get a tree of shapes of their own, at most: libraries, classes, and the table of globals are few.
const MOST_TREES: usize = 256;

/// A claim that may be made again when it has ended.
#[derive(Clone, Copy, Default)]
struct Renewable {
    number: Option<u32>,
    made: u32,
}

/// What is known of a field of a table with a tree of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    /// It was not stored to since the table has its tree.
    Kept,
    /// The same, and there is a claim.
    Claimed(u32),
    /// It was stored to: no claim can be made.
    Changed,
}

/// All claims of a heap.
#[derive(Default)]
pub struct Claims {
    /// By number: whether it holds.
    holds: Vec<bool>,
    chains: Renewable,
    keys: FxHashMap<*mut LuaString, Renewable>,
    /// By root: what is known of the fields of the one table in its tree, by slot. Those behind the end are kept.
    fields: FxHashMap<*mut Shape, Vec<Field>>,
    /// Numbers of claims that have ended and that nobody has taken notice of.
    ended: Vec<u32>,
}

impl Claims {
    fn make(&mut self) -> u32 {
        self.holds.push(true);
        self.holds.len() as u32 - 1
    }
    fn end(&mut self, number: u32) {
        self.holds[number as usize] = false;
        self.ended.push(number);
    }
    /// Whether a claim still holds.
    pub fn holds(&self, number: u32) -> bool {
        self.holds.get(number as usize).copied().unwrap_or(false)
    }
    /// Whether claims have ended that nobody has taken notice of.
    #[inline(always)]
    pub fn have_ended(&self) -> bool {
        !self.ended.is_empty()
    }
    /// The claims that have ended since this was asked last.
    pub fn take_ended(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.ended)
    }

    fn renew(&mut self, claim: Renewable) -> Renewable {
        if claim.number.is_some() || claim.made == MOST_TIMES {
            return claim;
        }
        Renewable { number: Some(self.make()), made: claim.made + 1 }
    }
    /// The claim about chains, unless it has ended too often.
    pub fn chains(&mut self) -> Option<u32> {
        self.chains = self.renew(self.chains);
        self.chains.number
    }
    /// The claim about an interned key, unless it has ended too often.
    pub fn key(&mut self, key: *mut LuaString) -> Option<u32> {
        let claim = self.keys.get(&key).copied().unwrap_or_default();
        let claim = self.renew(claim);
        self.keys.insert(key, claim);
        claim.number
    }
    /// The claim about a field, unless it was stored to.
    pub fn field(&mut self, root: *mut Shape, slot: u32) -> Option<u32> {
        match self.field_state(root, slot) {
            Field::Claimed(number) => Some(number),
            Field::Changed => None,
            Field::Kept => {
                let number = self.make();
                self.set_field_state(root, slot, Field::Claimed(number));
                Some(number)
            }
        }
    }
    fn field_state(&self, root: *mut Shape, slot: u32) -> Field {
        match self.fields.get(&root) {
            Some(fields) => fields.get(slot as usize).copied().unwrap_or(Field::Kept),
            None => Field::Changed,
        }
    }
    fn set_field_state(&mut self, root: *mut Shape, slot: u32, state: Field) {
        if let Some(fields) = self.fields.get_mut(&root) {
            if fields.len() <= slot as usize {
                fields.resize(slot as usize + 1, Field::Kept);
            }
            fields[slot as usize] = state;
        }
    }

    /// Chains of `__index` may lead elsewhere from here on.
    pub fn chains_changed(&mut self) {
        if let Some(number) = self.chains.number.take() {
            self.end(number);
        }
    }
    /// A class-like table has got or lost a field with this key.
    pub fn key_changed(&mut self, key: *mut LuaString) {
        if let Some(number) = self.keys.get_mut(&key).and_then(|claim| claim.number.take()) {
            self.end(number);
        }
    }
    /// A field of the table with this tree is stored to.
    #[cold]
    pub fn field_changed(&mut self, root: *mut Shape, slot: u32) {
        let before = self.field_state(root, slot);
        self.set_field_state(root, slot, Field::Changed);
        if let Field::Claimed(number) = before {
            self.end(number);
        }
    }

    /// Whether another table may get a tree of its own.
    pub fn has_room(&self) -> bool {
        self.fields.len() < MOST_TREES
    }
    /// A table has got a tree of its own.
    pub fn tree_made(&mut self, root: *mut Shape) {
        self.fields.insert(root, Vec::new());
    }
    /// The table with this tree leaves it: nothing is known of its fields any more.
    pub fn tree_left(&mut self, root: *mut Shape) {
        // It keeps its place: who makes and leaves trees for ever comes to an end.
        for field in self.fields.insert(root, Vec::new()).unwrap_or_default() {
            if let Field::Claimed(number) = field {
                self.end(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(number: usize) -> *mut Shape {
        std::ptr::without_provenance_mut(16 * number)
    }

    #[test]
    fn a_fields_claim_ends_once_and_for_all() {
        let mut claims = Claims::default();
        assert_eq!(claims.field(shape(1), 0), None, "a table without a tree of its own");
        claims.tree_made(shape(1));
        let number = claims.field(shape(1), 3).unwrap();
        assert_eq!(claims.field(shape(1), 3), Some(number));
        assert_ne!(claims.field(shape(1), 2), Some(number));
        claims.field_changed(shape(1), 3);
        assert!(!claims.holds(number));
        assert_eq!(claims.field(shape(1), 3), None);
        assert_eq!(claims.take_ended(), [number]);
        assert!(!claims.have_ended());
        let other = claims.field(shape(1), 2).unwrap();
        assert!(claims.holds(other));
        claims.tree_left(shape(1));
        assert!(!claims.holds(other));
    }

    #[test]
    fn chains_and_keys_are_claimed_a_few_times() {
        let mut claims = Claims::default();
        let key = std::ptr::without_provenance_mut(64);
        let mut numbers = Vec::new();
        while let Some(number) = claims.key(key) {
            assert_eq!(claims.key(key), Some(number));
            numbers.push(number);
            claims.key_changed(key);
            claims.key_changed(key);
        }
        assert_eq!(numbers.len(), MOST_TIMES as usize);
        assert_eq!(claims.take_ended(), numbers);
        let chains = claims.chains().unwrap();
        claims.key_changed(key);
        assert!(claims.holds(chains));
        claims.chains_changed();
        assert!(!claims.holds(chains) && claims.chains() != Some(chains));
    }
}
