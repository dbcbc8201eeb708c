//! The collector: strings that no root refers to are freed. Nothing moves.
//!
//! Roots are what the interpreter can reach (the stack up to the end of the topmost window) and what Surmise reports: values that
//! compiled frames keep in homes, frames being rebuilt, slots of candidates. Strings that functions push belong to them.

use crate::machine::Machine;
use crate::value::{Text, Word};
use std::collections::HashSet;
use surmise::deopt::frames::RootWord;

/// Bytes of strings between two collections, unless the settings say otherwise.
const BYTES_BETWEEN_COLLECTIONS: usize = 1 << 20;

/// The strings that a program made.
pub struct Texts {
    #[expect(clippy::vec_box, reason = "strings have addresses of their own, which values hold")]
    all: Vec<Box<Text>>,
    /// Bytes made since the last collection.
    fresh: usize,
    /// Bytes between two collections.
    pub limit: usize,
    /// How many collections there were.
    pub collections: usize,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts { all: Vec::new(), fresh: 0, limit: BYTES_BETWEEN_COLLECTIONS, collections: 0 }
    }
}

impl Machine {
    /// A new string. What it was made of need not be a root any more.
    pub fn make_text(&mut self, characters: String) -> Word {
        let text = Text::new(characters);
        let word = Word::text(&text);
        self.texts.fresh += size_of::<Text>() + text.characters.len();
        self.texts.all.push(text);
        if self.texts.fresh >= self.texts.limit {
            self.collect(word);
        }
        word
    }

    fn collect(&mut self, kept: Word) {
        let mut end = match self.frames.last() {
            Some(frame) => frame.base + usize::from(self.functions[frame.function].code.registers),
            None => 0,
        };
        let mut live = HashSet::from([kept.0]);
        if let Some(connection) = &self.surmise {
            // SAFETY: this thread's runloop, the only one, is in the interpreter or in a function that compiled code called. The
            // visitor writes nothing.
            unsafe {
                let compiled_end = connection.guard.window_end();
                if !compiled_end.is_null() {
                    end = end.max(self.index_of(compiled_end));
                }
                connection.plug.isolate().visit_roots(&mut |root| match root {
                    RootWord::Ref(word) => drop(live.insert(*word)),
                    RootWord::Any(words) => live.extend(words.iter().copied()),
                });
            }
        }
        live.extend(self.stack[..end].iter().map(|value| value.get().0));
        self.texts.all.retain(|text| live.contains(&Word::text(text).0));
        self.texts.fresh = 0;
        self.texts.collections += 1;
    }
}
