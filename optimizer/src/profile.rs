//! The profile: the log's events, joined per unit and site.
//!
//! It is plain data, in deterministic order, and the only thing that the planner and the specializer know of the program's
//! behaviour. A compile works from a snapshot of its unit's profile.

use crate::log::{Event, UnitIndex, Words};
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::borrow::Cow;
use surmise_ir::entity::{KindId, Pc, Register};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::{Language, Recipe, WordUse};

/// A map in order of insertion.
pub type Map<K, V> = IndexMap<K, V, FxBuildHasher>;

/// A thing that was counted: few different ones are usual, so a list does.
pub type Counts<T> = SmallVec<[(T, u32); 2]>;

/// How many different facts or kind tuples are kept of one site; what comes later only makes the site "too many".
pub(crate) const KEPT_PER_SITE: usize = 8;

fn count<T: PartialEq>(counts: &mut Counts<T>, thing: T) -> bool {
    if let Some((_, n)) = counts.iter_mut().find(|(known, _)| *known == thing) {
        *n = n.saturating_add(1);
        return true;
    }
    let room = counts.len() < KEPT_PER_SITE;
    if room {
        counts.push((thing, 1));
    }
    room
}

/// What was seen at one site.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SiteProfile {
    /// Kinds of the operands.
    pub operands: Counts<SmallVec<[KindId; 3]>>,
    /// Kinds of the result.
    pub results: Counts<KindId>,
    /// Facts.
    pub facts: Counts<(u8, Words)>,
    /// More different things were seen than are kept.
    pub overflowed: bool,
    /// How often a conditional jump jumped, and did not.
    pub jumped: u32,
    /// See `jumped`.
    pub not_jumped: u32,
    /// The site was taken for never reached, and was reached.
    pub surprised: bool,
}

impl SiteProfile {
    /// The only kind that operand number `index` was seen to have.
    pub fn operand_kind(&self, index: usize) -> Option<KindId> {
        let mut kinds = self.operands.iter().map(|(kinds, _)| kinds.get(index).copied());
        let first = kinds.next()??;
        (!self.overflowed && kinds.all(|kind| kind == Some(first))).then_some(first)
    }
    /// The only kind of result that was seen.
    pub fn result_kind(&self) -> Option<KindId> {
        match self.results[..] {
            [(kind, _)] => Some(kind),
            _ => None,
        }
    }
    /// The only fact that was seen.
    pub fn fact(&self) -> Option<&(u8, Words)> {
        match &self.facts[..] {
            [(fact, _)] if !self.overflowed => Some(fact),
            _ => None,
        }
    }
    /// Whether the site was reached while logged.
    pub fn was_reached(&self) -> bool {
        !self.operands.is_empty()
            || !self.results.is_empty()
            || !self.facts.is_empty()
            || self.jumped + self.not_jumped > 0
            || self.surprised
    }
}

/// What failed how often: the profile's memory of guesses that were wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Failures {
    /// How many candidates this guess brought down.
    pub retirements: u32,
    /// How often it failed altogether.
    pub failures: u64,
}

/// What is known of one unit.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UnitProfile {
    /// Logged calls.
    pub entered: u32,
    /// Logged rounds of loops, by header.
    pub loops: Map<Pc, u32>,
    /// Kinds of registers at the entry (pc 0) and at loop headers.
    pub registers: Map<(Pc, Register), Counts<KindId>>,
    /// Sites.
    pub sites: Map<Pc, SiteProfile>,
    /// Guesses that failed, by site and reason.
    pub failed: Map<(Pc, GuardReason), Failures>,
    /// Assumptions on which it rested and that have broken. What was seen while they held is not guessed again.
    pub broken: Vec<Recipe>,
    /// How many of its candidates were thrown away.
    pub retirements: u32,
    /// How often a site that was taken for never reached was reached.
    pub surprises: u32,
}

impl UnitProfile {
    /// The site's profile, if anything was seen there.
    pub fn site(&self, pc: Pc) -> Option<&SiteProfile> {
        self.sites.get(&pc)
    }
    /// The only kind that a register was seen to hold at an entry.
    pub fn register_kind(&self, entry: Pc, register: Register) -> Option<KindId> {
        match self.registers.get(&(entry, register)).map(|counts| &counts[..]) {
            Some(&[(kind, _)]) => Some(kind),
            _ => None,
        }
    }
    /// All kinds that were seen anywhere.
    pub fn kinds(&self) -> impl Iterator<Item = KindId> + '_ {
        let registers = self.registers.values().flatten().map(|&(kind, _)| kind);
        let operands =
            self.sites.values().flat_map(|site| &site.operands).flat_map(|(kinds, _)| kinds.iter().copied());
        let results = self.sites.values().flat_map(|site| &site.results).map(|&(kind, _)| kind);
        registers.chain(operands).chain(results)
    }
    /// Whether this guess has failed too often to be made again.
    pub fn is_refused(&self, pc: Pc, reason: GuardReason) -> bool {
        let enough = match reason {
            // What is delivered to a rebuilt frame is not logged: the log would show the same as before.
            GuardReason::Result => 1,
            _ => crate::config::RETIREMENTS_PER_GUESS,
        };
        self.failed.get(&(pc, reason)).is_some_and(|failures| failures.retirements >= enough)
    }
    /// Whether what the log did not see is still taken for never reached.
    pub fn expects_no_surprise(&self) -> bool {
        self.surprises < crate::config::SURPRISES_PER_UNIT
    }
    /// Joins one event.
    pub fn add(&mut self, event: Event) {
        match event {
            Event::Enter => self.entered += 1,
            Event::Loop(header) => *self.loops.entry(header).or_default() += 1,
            Event::RegisterKind(pc, register, kind) => {
                count(self.registers.entry((pc, register)).or_default(), kind);
            }
            Event::Operands(pc, kinds) => {
                let site = self.sites.entry(pc).or_default();
                site.overflowed |= !count(&mut site.operands, kinds);
            }
            Event::Result(pc, kind) => {
                let site = self.sites.entry(pc).or_default();
                count(&mut site.results, kind);
            }
            Event::Fact(pc, variant, words) => {
                let site = self.sites.entry(pc).or_default();
                site.overflowed |= !count(&mut site.facts, (variant, words));
            }
            Event::Branch(pc, true) => self.sites.entry(pc).or_default().jumped += 1,
            Event::Branch(pc, false) => self.sites.entry(pc).or_default().not_jumped += 1,
        }
    }
    /// Notes that a guess failed so often that its candidate is thrown away. What was seen before is kept: with what is seen from
    /// here on, the site shows several behaviours, and no single one is guessed again.
    pub fn retire(&mut self, pc: Pc, reason: GuardReason, failures: u64) {
        let failed = self.failed.entry((pc, reason)).or_default();
        failed.retirements += 1;
        failed.failures += failures;
        self.retirements += 1;
        if reason == GuardReason::Branch {
            self.surprises += 1;
            self.sites.entry(pc).or_default().surprised = true;
        }
    }
}

impl UnitProfile {
    /// Notes that an assumption has broken on which the unit rested.
    pub fn break_assumption(&mut self, recipe: Recipe) {
        if !self.broken.contains(&recipe) {
            self.broken.push(recipe);
        }
    }
    /// Whether so many assumptions have broken that the unit is to rest on none.
    pub fn assumes_nothing(&self) -> bool {
        self.broken.len() >= crate::config::BREAKS_PER_UNIT as usize
    }
    /// The profile without the facts that rest on broken assumptions, or on any.
    pub fn without_broken(&self, language: &Language) -> Cow<'_, UnitProfile> {
        if self.broken.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut profile = self.clone();
        for site in profile.sites.values_mut() {
            let before = site.facts.len();
            site.facts.retain(|((variant, words), _)| {
                !assumptions(language, *variant, words)
                    .any(|recipe| self.assumes_nothing() || self.broken.contains(&recipe))
            });
            site.surprised |= site.facts.len() < before;
        }
        Cow::Owned(profile)
    }
}

/// What cases rest on that are for this fact.
fn assumptions<'a>(
    language: &'a Language,
    variant: u8,
    words: &'a Words,
) -> impl Iterator<Item = Recipe> + 'a {
    let operations = language.operations.values().map(|operation| &operation.cases);
    let intrinsics = language.intrinsics.iter().map(|intrinsic| &intrinsic.cases);
    let cases = operations.chain(intrinsics).flatten().filter(move |case| case.variant == Some(variant));
    cases.flat_map(move |case| {
        case.words.iter().zip(words).filter_map(|(word_use, &word)| match *word_use {
            WordUse::Assumption(class) => Some(Recipe { class, words: [u64::from(word), 0] }),
            WordUse::Integer | WordUse::Slot(_) => None,
        })
    })
}

/// What is known of all units.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Profile {
    units: Map<UnitIndex, UnitProfile>,
}

impl Profile {
    /// Joins a batch of events.
    pub fn add(&mut self, events: impl IntoIterator<Item = (UnitIndex, Event)>) {
        for (unit, event) in events {
            self.unit_mut(unit).add(event);
        }
    }
    /// A unit's profile.
    pub fn unit(&self, unit: UnitIndex) -> Option<&UnitProfile> {
        self.units.get(&unit)
    }
    /// A unit's profile, for changes.
    pub fn unit_mut(&mut self, unit: UnitIndex) -> &mut UnitProfile {
        self.units.entry(unit).or_default()
    }
}
