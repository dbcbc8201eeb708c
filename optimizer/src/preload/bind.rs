//! Binding: which things of this process a preloaded candidate's slots are to hold.
//!
//! Recipes come from two places. What the lifter put into the generic IR (constants, caches) is found by lifting the unit here: equal
//! IR has the same slots in the same order. What the log said is found by its premises: each must fit a fact that was seen here at its
//! site, all of them together, so that a slot's recipe stands for one thing only, and two recipes for two. Assumptions need no such
//! order: the bound candidate rests on all those on which the facts rest.

use super::file::PreloadedCandidate;
use crate::profile::UnitProfile;
use crate::record::fingerprint;
use crate::unit::UnitSource;
use rustc_hash::{FxHashMap, FxHashSet};
use surmise_deopt::candidate::Image;
use surmise_ir::entity::{Inst, Pc, UnitId};
use surmise_ir::function::{Function, Immediate, InstData};
use surmise_ir::language::{Language, Recipe};
use surmise_ir::opcode::Opcode;
use surmise_ir::premise::{Premise, PremiseWord};
use thiserror::Error;

/// How often a fact is tried in one search: real sites have one or two each.
const TRIALS: u32 = 20_000;

/// A fact that a candidate rests on and that was not seen here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// The unit: the candidate's own, or one that is inlined into it.
    pub unit: UnitId,
    /// The site.
    pub pc: Pc,
    /// The fact's variant.
    pub variant: u8,
    /// Its words, as far as other sites tell what is named here what the candidate names there.
    pub known: Vec<Option<u32>>,
}

/// Why a candidate can't be bound.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Unbound {
    /// The unit can't be lifted here.
    #[error("content: the lifter says {0}")]
    Lift(String),
    /// It lifts to something else.
    #[error("content: the unit lifts to other code than the candidate was made from")]
    Content,
    /// Sites were not logged yet, or behave otherwise.
    #[error("premise: nothing like fact {} was seen at {}", .0[0].variant, .0[0].pc)]
    Unseen(Vec<Missing>),
    /// Each premise fits for itself, but not all together.
    #[error("premises: what was seen at {pc} is of other things than what was seen elsewhere")]
    Together {
        /// The site that did not fit any more.
        pc: Pc,
    },
    /// There is no room for another candidate: the settings limit them.
    #[error("limit: there are as many candidates as the settings allow")]
    Limit,
    /// A slot that neither the lifter nor a premise tells of.
    #[error("slots: nothing tells what {class} {number} is here")]
    Origin {
        /// The recipe's class.
        class: String,
        /// The first of its words.
        number: u64,
    },
}

/// The candidate's image with the recipes of this process.
///
/// # Errors
/// If it doesn't fit what was seen here, up to now.
pub fn bind<'p>(
    candidate: &PreloadedCandidate,
    unit: &dyn UnitSource,
    language: &Language,
    profile: impl Fn(UnitId) -> Option<&'p UnitProfile>,
) -> Result<Image, Unbound> {
    let lifted = unit.lift(language, candidate.entry).map_err(|error| Unbound::Lift(error.0))?;
    if fingerprint::of_lifted(&lifted) != candidate.lifted
        || lifted.slots.len() != candidate.lifted_slots.len()
    {
        return Err(Unbound::Content);
    }
    let mut search = Search { trials: TRIALS, ..Search::default() };
    for (&there, &here) in candidate.lifted_slots.iter().zip(lifted.slots.values()) {
        search.names.insert(there, here);
        search.taken.insert(here);
    }
    let mut unseen = Vec::new();
    for premise in premises(&candidate.image) {
        let profile = profile(premise.unit).map(|profile| profile.without_broken(language));
        let site = profile.as_ref().and_then(|profile| profile.site(premise.pc));
        let fits = |variant: u8, words: &[u32]| -> Option<Vec<PremiseWord>> {
            let is_same = variant == premise.variant && words.len() >= premise.words.len();
            let words = premise.words.iter().zip(words);
            is_same.then(|| words.map(|(there, &here)| there.seen_as(here)).collect())?
        };
        // The last ones first: others may rest on what holds no more.
        let facts = site.into_iter().flat_map(|site| site.facts.iter().rev());
        let facts: Vec<_> = facts.filter_map(|((variant, words), _)| fits(*variant, words)).collect();
        match facts.is_empty() {
            true => unseen.push(premise),
            false => search.sites.push(Site { premise, facts }),
        }
    }
    // What leaves no choice first.
    search.sites.sort_by_key(|site| site.facts.len());
    search.run()?;
    if !unseen.is_empty() {
        return Err(Unbound::Unseen(unseen.into_iter().map(|premise| search.missing(premise)).collect()));
    }
    rename(&candidate.image, language, &search)
}

/// What a candidate's image rests on.
pub(super) fn premises(image: &Image) -> &[Premise] {
    match image {
        Image::Native(image) => &image.premises,
        Image::Portable(image) => &image.function.premises,
    }
}

/// What the slots of an image hold.
pub(super) fn slots(image: &Image) -> Vec<Recipe> {
    match image {
        Image::Native(image) => image.slots.clone(),
        Image::Portable(image) => image.function.slots.values().copied().collect(),
    }
}

fn rename(image: &Image, language: &Language, found: &Search<'_>) -> Result<Image, Unbound> {
    for recipe in slots(image) {
        if !found.names.contains_key(&recipe) {
            let class = language.recipes.get(recipe.class as usize);
            let class = class.map_or_else(|| format!("class {}", recipe.class), |class| class.name.clone());
            return Err(Unbound::Origin { class, number: recipe.words[0] });
        }
    }
    let mut image = image.clone();
    let rename = |recipe: &mut Recipe| *recipe = found.names[recipe];
    match &mut image {
        Image::Native(image) => {
            image.slots.iter_mut().for_each(rename);
            image.assumptions.clone_from(&found.assumptions);
            image.premises.clear();
        }
        Image::Portable(image) => {
            let function = &mut image.function;
            function.slots.values_mut().for_each(rename);
            function.premises.clear();
            rest_on(function, &found.assumptions);
            image.assumptions.clone_from(&found.assumptions);
        }
    }
    Ok(image)
}

/// Has a function rest on these assumptions and no others.
fn rest_on(function: &mut Function, assumptions: &[Recipe]) {
    let mut left = assumptions.iter();
    let (mut kept, mut dropped) = (None, Vec::new());
    for inst in function.assumption_insts().collect::<Vec<_>>() {
        match left.next() {
            Some(&recipe) => {
                function.insts[inst].immediate = Immediate::Recipe(recipe);
                kept = Some(inst);
            }
            // What it proves is proved by one that is left: together they stand for all that the log said.
            None => dropped.push(inst),
        }
    }
    let entry = function.entry_block();
    let more: Vec<Inst> = left
        .map(|&recipe| {
            let mut data = InstData::new(Opcode::Assume, &[], Immediate::Recipe(recipe));
            data.pinned = true;
            function.make_inst(data, None)
        })
        .collect();
    function.blocks[entry].insts.splice(0..0, more);
    function.blocks[entry].insts.retain(|inst| !dropped.contains(inst));
    for data in function.insts.values_mut() {
        for proof in &mut data.proofs {
            if dropped.contains(proof) {
                *proof = kept.expect("a fact that names an assumption fits one that does");
            }
        }
    }
}

struct Site<'a> {
    premise: &'a Premise,
    /// What was seen at its site and fits it for itself, in words of this process.
    facts: Vec<Vec<PremiseWord>>,
}

/// A search for one fact for each premise, so that slots' recipes of there stand for recipes of here one to one.
#[derive(Default)]
struct Search<'a> {
    sites: Vec<Site<'a>>,
    /// Slots' recipes of here by those of there.
    names: FxHashMap<Recipe, Recipe>,
    taken: FxHashSet<Recipe>,
    /// What the facts that were taken rest on, different ones.
    assumptions: Vec<Recipe>,
    trials: u32,
    /// How many sites fitted together at most.
    deepest: usize,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), Unbound> {
        let sites = std::mem::take(&mut self.sites);
        if self.fit(&sites, 0) {
            return Ok(());
        }
        Err(Unbound::Together { pc: sites[self.deepest.min(sites.len().saturating_sub(1))].premise.pc })
    }
    fn fit(&mut self, sites: &[Site<'_>], depth: usize) -> bool {
        self.deepest = self.deepest.max(depth);
        let Some(site) = sites.get(depth) else { return true };
        for fact in &site.facts {
            if self.trials == 0 {
                return false;
            }
            self.trials -= 1;
            let (mut added, assumed) = (Vec::new(), self.assumptions.len());
            if self.join(site.premise, fact, &mut added) && self.fit(sites, depth + 1) {
                return true;
            }
            self.assumptions.truncate(assumed);
            for there in added {
                if let Some(here) = self.names.remove(&there) {
                    self.taken.remove(&here);
                }
            }
        }
        false
    }
    fn missing(&self, premise: &Premise) -> Missing {
        let word = |word: &PremiseWord| match word {
            PremiseWord::Integer(word) => Some(*word),
            PremiseWord::Slot(there) => {
                self.names.get(there).and_then(|here| u32::try_from(here.words[0]).ok())
            }
            PremiseWord::Assumption(_) => None,
        };
        let known = premise.words.iter().map(word).collect();
        Missing { unit: premise.unit, pc: premise.pc, variant: premise.variant, known }
    }
    /// Takes a fact for a premise, if that goes with what was taken before.
    fn join(&mut self, premise: &Premise, fact: &[PremiseWord], added: &mut Vec<Recipe>) -> bool {
        premise.words.iter().zip(fact).all(|(&there, &here)| match (there, here) {
            (PremiseWord::Slot(there), PremiseWord::Slot(here)) => match self.names.get(&there) {
                Some(&known) => known == here,
                None => {
                    let is_free = self.taken.insert(here);
                    if is_free {
                        self.names.insert(there, here);
                        added.push(there);
                    }
                    is_free
                }
            },
            (PremiseWord::Assumption(_), PremiseWord::Assumption(here)) => {
                if !self.assumptions.contains(&here) {
                    self.assumptions.push(here);
                }
                true
            }
            (there, here) => there == here,
        })
    }
}
