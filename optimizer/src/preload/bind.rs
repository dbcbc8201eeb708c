//! Binding: which things of this process a preloaded candidate's slots are to hold.
//!
//! Recipes come from two places. What the lifter put into the generic IR (constants, caches) is found by lifting the unit here: equal
//! IR has the same slots in the same order. What the log said is found by its premises: each must fit a fact that was seen here at its
//! site, all of them together, so that a slot's recipe stands for one thing only, and two recipes for two. Assumptions need no such
//! order: the bound candidate rests on all those on which the facts rest.
//!
//! A premise that nothing seen here fits can be held up by a *stand-in*: words that name things which no value is, so that the guard in
//! front of all that rests on the premise fails, as any guard does for what nobody has seen. Such a candidate is right, and leaves
//! where its stand-ins are reached; then the log sees the site, and the candidate is bound again with one stand-in less.

use super::file::PreloadedCandidate;
use crate::log::Words;
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
const TRIALS: u32 = 5_000;
/// So many premises at most are left out by a search for the others; then each takes what is left for it.
const LEFT_OUT: usize = 3;

/// A fact that a candidate rests on and that was not seen here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// Its number among the candidate's premises.
    pub premise: usize,
    /// The unit: the candidate's own, or one that is inlined into it.
    pub unit: UnitId,
    /// The site.
    pub pc: Pc,
    /// The fact's variant.
    pub variant: u8,
    /// Its words, as far as other sites tell what is named here what the candidate names there.
    pub known: Vec<Option<u32>>,
}

/// What the host says can't be: where the candidate names the things in these words as they are known, the premise does not hold. Two
/// things of one kind were taken for each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refuted {
    /// Number of the premise.
    pub premise: usize,
    /// See [`Missing::known`].
    pub known: Vec<Option<u32>>,
}

/// What a premise rests on that nothing seen here fits: see the module comment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StandIn {
    /// Its number among the candidate's premises.
    pub premise: usize,
    /// All words of its fact. One of those that a guard compares is of no value that the guest can have.
    pub words: Words,
}

/// A candidate that is bound.
#[derive(Clone, Debug)]
pub struct Bound {
    /// With the recipes of this process.
    pub image: Image,
    /// How many of its premises have stand-ins.
    pub stand_ins: u32,
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

/// The candidate's image with the recipes of this process. Stand-ins are for premises that are missing without them; names under which a
/// premise was refuted are not given.
///
/// # Errors
/// If it doesn't fit what was seen here, up to now.
pub fn bind<'p>(
    candidate: &PreloadedCandidate,
    unit: &dyn UnitSource,
    language: &Language,
    profile: impl Fn(UnitId) -> Option<&'p UnitProfile>,
    stand_ins: &[StandIn],
    refuted: &[Refuted],
) -> Result<Bound, Unbound> {
    let lifted = unit.lift(language, candidate.entry).map_err(|error| Unbound::Lift(error.0))?;
    if fingerprint::of_lifted(&lifted) != candidate.lifted
        || lifted.slots.len() != candidate.lifted_slots.len()
    {
        return Err(Unbound::Content);
    }
    let mut search = Search::default();
    for (&there, &here) in candidate.lifted_slots.iter().zip(lifted.slots.values()) {
        search.names.insert(there, here);
        search.taken.insert(here);
    }
    search.refuted = refuted.iter().filter_map(|refuted| names_of(candidate, refuted)).collect();
    let sites = premises(&candidate.image).iter().enumerate().map(|(number, premise)| {
        let profile = profile(premise.unit).map(|profile| profile.without_broken(language));
        let site = profile.as_ref().and_then(|profile| profile.site(premise.pc));
        // The last ones first: others may rest on what holds no more.
        let facts = site.into_iter().flat_map(|site| site.facts.iter().rev());
        let facts = facts.filter(|((variant, _), _)| *variant == premise.variant);
        let facts = facts.filter_map(|((_, words), _)| seen_as(premise, words)).collect();
        Site { number, premise, facts }
    });
    let mut sites: Vec<Site<'_>> = sites.collect();
    // What leaves no choice first.
    sites.sort_by_key(|site| site.facts.len());
    search.run(&sites);
    let mut held_up = 0;
    let mut unseen = Vec::new();
    for site in std::mem::take(&mut search.left_out) {
        let stand_in = stand_ins.iter().find(|stand_in| stand_in.premise == site.number);
        let words = stand_in.and_then(|stand_in| seen_as(site.premise, &stand_in.words));
        match words.is_some_and(|words| search.hold_up(site.premise, &words)) {
            true => held_up += 1,
            false => unseen.push(site),
        }
    }
    if !unseen.is_empty() {
        return Err(Unbound::Unseen(unseen.iter().map(|site| search.missing(site)).collect()));
    }
    Ok(Bound { image: rename(&candidate.image, language, &search)?, stand_ins: held_up })
}

/// The words of a fact, as the premise uses them; `None` if the fact has other integers.
fn seen_as(premise: &Premise, words: &[u32]) -> Option<Vec<PremiseWord>> {
    let is_whole = words.len() >= premise.words.len();
    let words = premise.words.iter().zip(words);
    is_whole.then(|| words.map(|(there, &here)| there.seen_as(here)).collect())?
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

/// What slots of there would stand for, were it so.
fn names_of(candidate: &PreloadedCandidate, refuted: &Refuted) -> Option<Vec<(Recipe, Recipe)>> {
    let premise = premises(&candidate.image).get(refuted.premise)?;
    let words = premise.words.iter().zip(&refuted.known);
    let names = words.filter_map(|(&there, known)| match (there, there.seen_as((*known)?)?) {
        (PremiseWord::Slot(there), PremiseWord::Slot(here)) => Some((there, here)),
        _ => None,
    });
    Some(names.collect())
}

#[derive(Clone)]
struct Site<'a> {
    /// Of the premise.
    number: usize,
    premise: &'a Premise,
    /// What was seen at its site and fits it for itself, in words of this process.
    facts: Vec<Vec<PremiseWord>>,
}

/// A search for one fact for each premise, so that slots' recipes of there stand for recipes of here one to one.
#[derive(Default)]
struct Search<'a> {
    /// Slots' recipes of here by those of there.
    names: FxHashMap<Recipe, Recipe>,
    taken: FxHashSet<Recipe>,
    /// Slots' recipes of there that stand-ins gave names to.
    vacant: FxHashSet<Recipe>,
    /// What the facts that were taken rest on, different ones.
    assumptions: Vec<Recipe>,
    /// Names that are wrong together.
    refuted: Vec<Vec<(Recipe, Recipe)>>,
    /// Premises that no fact was taken for.
    left_out: Vec<Site<'a>>,
    trials: u32,
}

impl<'a> Search<'a> {
    /// Finds facts that go together, for all premises, or for all but few, or each takes what is left for it.
    fn run(&mut self, sites: &[Site<'a>]) {
        let (seen, unseen): (Vec<_>, Vec<_>) = sites.iter().partition(|site| !site.facts.is_empty());
        let is_found = (0..=LEFT_OUT.min(seen.len())).any(|left_out| {
            self.trials = TRIALS;
            self.fit(&seen, left_out)
        });
        if !is_found {
            for site in seen {
                if !site.facts.iter().any(|fact| self.take(site.premise, fact).is_some()) {
                    self.left_out.push(site.clone());
                }
            }
        }
        self.left_out.extend(unseen.into_iter().cloned());
    }
    /// Takes a fact for all premises but so many. Returns whether there are such, and takes nothing if not.
    fn fit(&mut self, sites: &[&Site<'a>], left_out: usize) -> bool {
        let Some((site, rest)) = sites.split_first() else { return true };
        for fact in &site.facts {
            if self.trials == 0 {
                return false;
            }
            self.trials -= 1;
            if let Some(taken) = self.take(site.premise, fact) {
                if self.fit(rest, left_out) {
                    return true;
                }
                self.give_back(taken);
            }
        }
        if left_out > 0 {
            self.left_out.push((*site).clone());
            if self.fit(rest, left_out - 1) {
                return true;
            }
            self.left_out.pop();
        }
        false
    }
    /// Takes a fact for a premise, if that goes with what was taken before.
    fn take(&mut self, premise: &Premise, fact: &[PremiseWord]) -> Option<Taken> {
        let mut taken = Taken { names: Vec::new(), assumptions: self.assumptions.len() };
        for (&there, &here) in premise.words.iter().zip(fact) {
            let goes = match (there, here) {
                (PremiseWord::Slot(there), PremiseWord::Slot(here)) => match self.names.get(&there) {
                    Some(&known) => known == here,
                    None if self.taken.insert(here) => {
                        self.names.insert(there, here);
                        taken.names.push(there);
                        true
                    }
                    None => false,
                },
                (PremiseWord::Assumption(_), PremiseWord::Assumption(here)) => {
                    self.rest_on(here);
                    true
                }
                (there, here) => there == here,
            };
            if !goes {
                self.give_back(taken);
                return None;
            }
        }
        let is_so = |names: &Vec<(Recipe, Recipe)>| {
            !names.is_empty() && names.iter().all(|(there, here)| self.names.get(there) == Some(here))
        };
        if self.refuted.iter().any(is_so) {
            self.give_back(taken);
            return None;
        }
        Some(taken)
    }
    fn give_back(&mut self, taken: Taken) {
        self.assumptions.truncate(taken.assumptions);
        for there in taken.names {
            if let Some(here) = self.names.remove(&there) {
                self.taken.remove(&here);
            }
        }
    }
    fn rest_on(&mut self, assumption: Recipe) {
        if !self.assumptions.contains(&assumption) {
            self.assumptions.push(assumption);
        }
    }
    /// Has a stand-in's words hold a premise up. A name that was given by the stand-in of another premise is kept. Returns whether all others are
    /// as the stand-in has them.
    fn hold_up(&mut self, premise: &Premise, stand_in: &[PremiseWord]) -> bool {
        let goes = |(there, here): (&PremiseWord, &PremiseWord)| match (there, here) {
            (PremiseWord::Slot(there), PremiseWord::Slot(here)) => match self.names.get(there) {
                Some(known) => known == here || self.vacant.contains(there),
                None => !self.taken.contains(here),
            },
            _ => true,
        };
        if !premise.words.iter().zip(stand_in).all(goes) {
            return false;
        }
        for (&there, &here) in premise.words.iter().zip(stand_in) {
            match (there, here) {
                (PremiseWord::Slot(there), PremiseWord::Slot(here)) if !self.names.contains_key(&there) => {
                    self.names.insert(there, here);
                    self.taken.insert(here);
                    self.vacant.insert(there);
                }
                (PremiseWord::Assumption(_), PremiseWord::Assumption(here)) => self.rest_on(here),
                _ => {}
            }
        }
        true
    }
    fn missing(&self, site: &Site<'_>) -> Missing {
        let word = |word: &PremiseWord| match word {
            PremiseWord::Integer(word) => Some(*word),
            PremiseWord::Slot(there) if self.vacant.contains(there) => None,
            PremiseWord::Slot(there) => {
                self.names.get(there).and_then(|here| u32::try_from(here.words[0]).ok())
            }
            PremiseWord::Assumption(_) => None,
        };
        let &Premise { unit, pc, variant, ref words } = site.premise;
        let known = words.iter().map(word).collect();
        Missing { premise: site.number, unit, pc, variant, known }
    }
}

/// What taking a fact changed.
struct Taken {
    /// Recipes of there that got names.
    names: Vec<Recipe>,
    /// How many assumptions there were before.
    assumptions: usize,
}
