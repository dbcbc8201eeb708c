//! Sets of typed indices, one bit each.

use cranelift_entity::EntityRef;
use std::fmt;
use std::marker::PhantomData;

/// A set of typed indices. Grows as needed; equality ignores how far it has grown.
#[derive(Clone)]
pub struct BitSet<K> {
    words: Vec<u64>,
    key: PhantomData<K>,
}

impl<K: EntityRef> BitSet<K> {
    /// The empty set.
    pub fn new() -> Self {
        BitSet { words: Vec::new(), key: PhantomData }
    }
    /// The empty set with room for keys below `count`.
    pub fn with_capacity(count: usize) -> Self {
        BitSet { words: Vec::with_capacity(count.div_ceil(64)), key: PhantomData }
    }
    /// Adds a key; returns whether it is new.
    pub fn insert(&mut self, key: K) -> bool {
        let (word, bit) = (key.index() / 64, 1 << (key.index() % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        is_new
    }
    /// Removes a key; returns whether it was there.
    pub fn remove(&mut self, key: K) -> bool {
        let bit = 1 << (key.index() % 64);
        match self.words.get_mut(key.index() / 64) {
            Some(word) => {
                let was_there = *word & bit != 0;
                *word &= !bit;
                was_there
            }
            None => false,
        }
    }
    /// Whether a key is in the set.
    pub fn contains(&self, key: K) -> bool {
        self.words.get(key.index() / 64).is_some_and(|word| word & (1 << (key.index() % 64)) != 0)
    }
    /// Adds all keys of another set; returns whether any was new.
    pub fn union_with(&mut self, other: &Self) -> bool {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        let mut changed = false;
        for (mine, &theirs) in self.words.iter_mut().zip(&other.words) {
            changed |= theirs & !*mine != 0;
            *mine |= theirs;
        }
        changed
    }
    /// Removes all keys.
    pub fn clear(&mut self) {
        self.words.clear();
    }
    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
    /// The keys, ascending.
    pub fn iter(&self) -> impl Iterator<Item = K> + '_ {
        self.words
            .iter()
            .enumerate()
            .flat_map(|(index, &word)| bits(word).map(move |bit| K::new(index * 64 + bit)))
    }
}

/// The positions of the bits that are set, ascending.
pub(super) fn bits(word: u64) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(word), |&rest| Some(rest & rest.wrapping_sub(1)))
        .take_while(|&rest| rest != 0)
        .map(|rest| rest.trailing_zeros() as usize)
}

impl<K: EntityRef> Default for BitSet<K> {
    fn default() -> Self {
        BitSet::new()
    }
}
impl<K: EntityRef> PartialEq for BitSet<K> {
    fn eq(&self, other: &Self) -> bool {
        let common = self.words.len().min(other.words.len());
        self.words[..common] == other.words[..common]
            && self.words[common..].iter().chain(&other.words[common..]).all(|&word| word == 0)
    }
}
impl<K: EntityRef> Eq for BitSet<K> {}
impl<K: EntityRef + fmt::Debug> fmt::Debug for BitSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
impl<K: EntityRef> FromIterator<K> for BitSet<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut set = BitSet::new();
        set.extend(keys);
        set
    }
}
impl<K: EntityRef> Extend<K> for BitSet<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        for key in keys {
            self.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Value;

    #[test]
    fn behaves_as_a_set() {
        let keys = [0, 63, 64, 200, 3].map(Value::new);
        let mut set: BitSet<Value> = keys.into_iter().collect();
        assert_eq!(set.len(), 5);
        assert_eq!(set.iter().map(|key| key.index()).collect::<Vec<_>>(), [0, 3, 63, 64, 200]);
        assert!(set.remove(Value::new(200)) && !set.remove(Value::new(200)) && !set.remove(Value::new(9999)));
        assert_eq!(set, [0, 3, 63, 64].map(Value::new).into_iter().collect());
        assert!(
            !set.insert(Value::new(3)) && set.contains(Value::new(63)) && !set.contains(Value::new(5000))
        );
        let mut other = BitSet::new();
        assert!(other.union_with(&set) && !other.union_with(&set));
        assert_eq!(other, set);
    }
}
