//! Premises: what the log said at a site, and a function took for true.
//!
//! Words of facts that name things of one process (recipes) become slots and assumptions of the function; the others stand in its code
//! as constants. The premise keeps together what the fact said together. A process that loads the function instead of compiling it
//! looks at its own log: where the same fact was seen at the same site with the same integers, the things that it names there are
//! those that the function's slots are to hold.

use crate::entity::{Pc, UnitId};
use crate::language::{Recipe, WordUse};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// One word of a premise's fact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum PremiseWord {
    /// The word itself counts: it stands in the function's code.
    Integer(u32),
    /// The word names what a slot holds.
    Slot(Recipe),
    /// The word names what an assumption is about.
    Assumption(Recipe),
}

impl PremiseWord {
    /// A word of a fact that is used so.
    pub fn new(word_use: WordUse, word: u32) -> PremiseWord {
        match word_use {
            WordUse::Integer => PremiseWord::Integer(word),
            WordUse::Slot(class) => PremiseWord::Slot(recipe(class, word)),
            WordUse::Assumption(class) => PremiseWord::Assumption(recipe(class, word)),
        }
    }
    /// The recipe, if it is one.
    pub fn recipe(self) -> Option<Recipe> {
        match self {
            PremiseWord::Integer(_) => None,
            PremiseWord::Slot(recipe) | PremiseWord::Assumption(recipe) => Some(recipe),
        }
    }
    /// What stands in a fact that was seen elsewhere, in the place of this word; `None` if it can't.
    pub fn seen_as(self, word: u32) -> Option<PremiseWord> {
        match self {
            PremiseWord::Integer(known) => (known == word).then_some(self),
            PremiseWord::Slot(known) => Some(PremiseWord::Slot(recipe(known.class, word))),
            PremiseWord::Assumption(known) => Some(PremiseWord::Assumption(recipe(known.class, word))),
        }
    }
}

fn recipe(class: u32, word: u32) -> Recipe {
    Recipe { class, words: [u64::from(word), 0] }
}

/// A fact of the log that a function rests on, as far as it names things of the process.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Premise {
    /// The unit in whose bytecode the site stands.
    pub unit: UnitId,
    /// The site.
    pub pc: Pc,
    /// The fact's variant.
    pub variant: u8,
    /// The fact's words, as far as they are used.
    pub words: SmallVec<[PremiseWord; 4]>,
}

impl Premise {
    /// The recipes in its words.
    pub fn recipes(&self) -> impl Iterator<Item = Recipe> + '_ {
        self.words.iter().filter_map(|word| word.recipe())
    }
}
