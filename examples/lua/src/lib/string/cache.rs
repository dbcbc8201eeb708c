//! Compiled patterns, kept for the next call with the same pattern.

use std::rc::Rc;

use super::pattern::{Caret, Pattern};
use crate::object::LuaString;
use crate::string;

/// How many patterns are kept: programs have a few dozen at most, each place costs a pointer.
const PLACES: usize = 128;

/// A direct-mapped cache, addressed by a hash of the pattern: one per place.
pub struct PatternCache {
    places: Box<[Option<Entry>; PLACES]>,
    /// Number of the last entry.
    last: u32,
}

/// A pattern and the number that it got when it came: numbers are never used again.
struct Entry {
    pattern: Rc<Pattern>,
    number: u32,
}

/// Where a pattern was found: it is there again as long as no other took its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(u64);

impl Ticket {
    /// Of no pattern.
    pub const NONE: Ticket = Ticket(0);

    /// As an integer that the guest may keep.
    pub fn to_int(self) -> i64 {
        self.0 as i64
    }

    /// From what [`Ticket::to_int`] gave.
    pub fn from_int(int: i64) -> Ticket {
        Ticket(int as u64)
    }
}

impl Default for PatternCache {
    fn default() -> Self {
        PatternCache { places: Box::new([const { None }; PLACES]), last: 0 }
    }
}

impl PatternCache {
    /// The compiled form of a pattern.
    #[inline]
    pub fn get(&mut self, source: *mut LuaString, caret: Caret) -> Rc<Pattern> {
        self.get_with_ticket(source, caret).0
    }

    /// The same, and a ticket for the next time.
    #[inline]
    pub fn get_with_ticket(&mut self, source: *mut LuaString, caret: Caret) -> (Rc<Pattern>, Ticket) {
        let bytes = LuaString::bytes(source);
        // Few patterns start with a caret where it is no anchor.
        if caret == Caret::Literal && bytes.first() == Some(&b'^') {
            return (Rc::new(Pattern::compile(bytes, caret)), Ticket::NONE);
        }
        let place = string::hash(source) as usize % PLACES;
        match &self.places[place] {
            Some(entry) if string::same_bytes(&entry.pattern.source, bytes) => {
                (Rc::clone(&entry.pattern), Ticket(u64::from(entry.number) << 32 | place as u64))
            }
            _ => self.fill(place, bytes),
        }
    }

    /// The pattern that a ticket was given for.
    #[inline]
    pub fn again(&self, ticket: Ticket) -> Option<Rc<Pattern>> {
        let entry = self.places[ticket.0 as usize % PLACES].as_ref()?;
        (u64::from(entry.number) == ticket.0 >> 32).then(|| Rc::clone(&entry.pattern))
    }

    #[cold]
    fn fill(&mut self, place: usize, source: &[u8]) -> (Rc<Pattern>, Ticket) {
        let pattern = Rc::new(Pattern::compile(source, Caret::Anchor));
        match self.last.checked_add(1) {
            Some(number) => self.last = number,
            // Before numbers come again, whoever has a ticket must find nothing.
            None => *self = PatternCache { last: 1, ..PatternCache::default() },
        }
        self.places[place] = Some(Entry { pattern: Rc::clone(&pattern), number: self.last });
        (pattern, Ticket(u64::from(self.last) << 32 | place as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{Heap, HeapSettings};

    #[test]
    fn tickets_end_when_another_pattern_comes() {
        let mut heap = Heap::new(HeapSettings::default());
        let mut cache = PatternCache::default();
        let first = heap.intern(b"%a+");
        let (pattern, ticket) = cache.get_with_ticket(first, Caret::Anchor);
        assert!(Rc::ptr_eq(&pattern, &cache.get(first, Caret::Anchor)));
        assert!(Rc::ptr_eq(&pattern, &cache.again(ticket).unwrap()));
        assert!(cache.again(Ticket::NONE).is_none());
        assert!(cache.again(Ticket::from_int(ticket.to_int())).is_some());
        for i in 0..100 * PLACES {
            let other = heap.intern(format!("x{i}").as_bytes());
            cache.get(other, Caret::Anchor);
        }
        assert!(cache.again(ticket).is_none());
        assert_eq!(cache.get_with_ticket(heap.intern(b"^a"), Caret::Literal).1, Ticket::NONE);
    }
}
