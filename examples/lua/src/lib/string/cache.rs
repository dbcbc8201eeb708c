//! Compiled patterns, kept for the next call with the same pattern.

use std::rc::Rc;

use super::pattern::{Caret, Pattern};

/// How many patterns are kept: programs have a few dozen at most, each place costs a pointer.
const PLACES: usize = 128;

/// A direct-mapped cache, addressed by a hash of the pattern: one per place.
pub struct PatternCache {
    places: Box<[Option<Rc<Pattern>>; PLACES]>,
}

impl Default for PatternCache {
    fn default() -> Self {
        PatternCache { places: Box::new([const { None }; PLACES]) }
    }
}

impl PatternCache {
    /// The compiled form of a pattern.
    #[inline]
    pub fn get(&mut self, source: &[u8], caret: Caret) -> Rc<Pattern> {
        // Few patterns start with a caret where it is no anchor.
        if caret == Caret::Literal && source.first() == Some(&b'^') {
            return Rc::new(Pattern::compile(source, caret));
        }
        let place = &mut self.places[crate::string::hash_bytes(source) as usize % PLACES];
        if let Some(pattern) = place
            && *pattern.source == *source
        {
            return Rc::clone(pattern);
        }
        PatternCache::fill(place, source)
    }

    #[cold]
    fn fill(place: &mut Option<Rc<Pattern>>, source: &[u8]) -> Rc<Pattern> {
        let pattern = Rc::new(Pattern::compile(source, Caret::Anchor));
        *place = Some(Rc::clone(&pattern));
        pattern
    }
}
