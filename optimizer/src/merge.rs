//! Merge: recordings of many processes become one, as if one process had seen it all.
//!
//! ```text
//!  recording ─events─▶ its profile, by unit ─┐
//!  recording ─events─▶ its profile, by unit ─┼─ same unit, same site, same fact: one ─▶ merged profile ─▶ recording
//!  recording ─events─▶ its profile, by unit ─┘
//! ```
//!
//! A merged recording has, in place of a log, what was learnt of each unit (`learnt`), and a request for each entry that had a
//! candidate to the end in some process. It can be replayed, shown, and above all emitted: what many processes learnt warms the next.
//!
//! Words of facts that name things of a process (recipes) mean nothing elsewhere. Two processes' names are joined by what was
//! seen: where the same site of the same unit has the same fact with the same integers, and no name stands for two things yet, they name the same.
//! A name that is joined wrongly makes a worse guess, never a wrong result: emitted candidates are bound to what the process that loads
//! them sees ([`crate::preload`]).
//!
//! What must hold:
//! * recordings are streamed: memory is bounded by units and their sites, not by events, nor by how many recordings there are;
//! * the result depends on the recordings and their order only.

use crate::log::{UnitIndex, Words};
use crate::plan::{Decision, Planner};
use crate::profile::{Counts, Map, SiteProfile, UnitProfile};
use crate::record::event::{self, Event, Fate, Header, Lifted};
use crate::record::{ReadError, Reader};
use crate::replay::Step;
use rustc_hash::{FxHashMap, FxHashSet};
use std::io::Read;
use surmise_ir::entity::UnitId;
use surmise_ir::function::{Entry, Function};
use surmise_ir::language::{Language, WordUse};
use thiserror::Error;

/// Why a recording can't be merged with those before it.
#[derive(Debug, Error)]
pub enum MergeError {
    /// It can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is of another language.
    #[error("its language is not that of the recordings before it")]
    Language,
}

/// What is known of one unit, from all recordings.
#[derive(Debug)]
struct MergedUnit {
    name: String,
    functions: Map<Entry, Result<Function, String>>,
    profile: UnitProfile,
    /// Entries that had a candidate to the end, and in how many recordings.
    installed: Map<Entry, u32>,
    /// The units that are inlined into it.
    inlined: Vec<UnitId>,
}

/// How a merge goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct MergeTotals {
    /// Recordings.
    pub recordings: usize,
    /// Log records in them.
    pub records: u64,
    /// Facts that were seen in several recordings, each counted once for each further one.
    pub joined: u64,
}

/// A merge under way.
#[derive(Default)]
pub struct Merge {
    header: Option<Header>,
    units: Map<UnitId, MergedUnit>,
    /// Next name of each class.
    next: FxHashMap<u32, u32>,
    totals: MergeTotals,
}

/// One recording, read.
struct One {
    units: Map<UnitIndex, event::Unit>,
    lifted: Vec<Lifted>,
    planner: Planner,
    planned: Map<u64, (UnitIndex, Entry)>,
    installed: Map<(UnitIndex, Entry), u64>,
    inlined: Vec<event::Inlined>,
    records: u64,
}

impl One {
    fn read(reader: &mut Reader<impl Read>) -> Result<One, ReadError> {
        let mut one = One {
            units: Map::default(),
            lifted: Vec::new(),
            planner: Planner::new(None),
            planned: Map::default(),
            installed: Map::default(),
            inlined: Vec::new(),
            records: 0,
        };
        let mut lifted = FxHashSet::default();
        while let Some(event) = reader.next_event()? {
            match event {
                Event::Unit(unit) => drop(one.units.insert(unit.unit, unit)),
                Event::Lifted(unit) if lifted.insert((unit.unit, unit.entry)) => one.lifted.push(*unit),
                Event::Inlined(inlined) => one.inlined.push(inlined),
                Event::Log(columns) => {
                    one.records += columns.len() as u64;
                    Step::Log(columns).tell(&mut one.planner);
                }
                Event::Failed(guess) => Step::Failed(guess).tell(&mut one.planner),
                Event::Broken(broken) => Step::Broken(broken).tell(&mut one.planner),
                Event::Learnt(learnt) => Step::Learnt(learnt).tell(&mut one.planner),
                Event::Request(event::Request {
                    unit, entry, decision: Decision::Planned(serial), ..
                })
                | Event::Preloaded(event::Preloaded { unit, entry, serial, .. }) => {
                    one.planned.insert(serial, (unit, entry));
                }
                Event::Happened(event::Happened { serial, fate }) => one.happened(serial, fate),
                _ => {}
            }
        }
        Ok(one)
    }
    fn happened(&mut self, serial: u64, fate: Fate) {
        let Some(&planned) = self.planned.get(&serial) else { return };
        match fate {
            Fate::Installed => drop(self.installed.insert(planned, serial)),
            Fate::Retired | Fate::Invalidated if self.installed.get(&planned) == Some(&serial) => {
                self.installed.swap_remove(&planned);
            }
            Fate::Retired | Fate::Invalidated | Fate::Outdated | Fate::NotInstallable => {}
        }
    }
}

impl Merge {
    /// Adds a recording.
    ///
    /// # Errors
    /// If it is damaged, or of another language. Then nothing of it counts.
    pub fn add(&mut self, source: impl Read) -> Result<(), MergeError> {
        let mut reader = Reader::new(source)?;
        if self.header.as_ref().is_some_and(|header| header.language != reader.header().language) {
            return Err(MergeError::Language);
        }
        let mut one = One::read(&mut reader)?;
        let header = self.header.get_or_insert_with(|| reader.header().clone());
        let words = word_uses(&header.language);
        let language = header.language.clone();
        self.totals.recordings += 1;
        self.totals.records += one.records;
        for lifted in one.lifted {
            let Some(unit) = one.units.get(&lifted.unit) else { continue };
            let merged = self.units.entry(unit.id).or_insert_with(|| MergedUnit::new(&unit.name));
            merged.functions.entry(lifted.entry).or_insert(lifted.function);
        }
        let mut names =
            Names { next: &mut self.next, here: FxHashMap::default(), taken: FxHashSet::default() };
        let mut profiles: Vec<(UnitId, UnitProfile)> = Vec::new();
        for (index, unit) in &one.units {
            if let Some(profile) = one.planner.profile().unit(*index) {
                profiles.push((unit.id, profile.without_broken(&language).into_owned()));
                self.units.entry(unit.id).or_insert_with(|| MergedUnit::new(&unit.name));
            }
        }
        // First what can only be joined in one way, then the rest.
        for is_certain in [true, false] {
            for (id, profile) in &profiles {
                let known = &self.units[id].profile;
                for (pc, site) in &profile.sites {
                    let Some(known) = known.sites.get(pc) else { continue };
                    if is_certain == (site.facts.len() == 1 && known.facts.len() == 1) {
                        self.totals.joined += names.join(&words, site, known);
                    }
                }
            }
        }
        for (id, mut profile) in profiles {
            for site in profile.sites.values_mut() {
                for ((variant, fact), _) in &mut site.facts {
                    names.rename(&words, *variant, fact);
                }
            }
            let merged = &mut self.units[&id];
            add_profile(&mut merged.profile, profile, &words);
        }
        for event::Inlined { unit, units } in one.inlined {
            let Some(unit) = one.units.get(&unit) else { continue };
            let merged = self.units.entry(unit.id).or_insert_with(|| MergedUnit::new(&unit.name));
            let ids = units.iter().filter_map(|unit| Some(one.units.get(unit)?.id));
            let new: Vec<UnitId> = ids.filter(|id| !merged.inlined.contains(id)).collect();
            merged.inlined.extend(new);
        }
        for (index, entry) in one.installed.into_keys() {
            let Some(unit) = one.units.get(&index) else { continue };
            let merged = self.units.entry(unit.id).or_insert_with(|| MergedUnit::new(&unit.name));
            *merged.installed.entry(entry).or_default() += 1;
        }
        Ok(())
    }
    /// How it went so far.
    pub fn totals(&self) -> MergeTotals {
        self.totals
    }
    /// The merged recording's events; none if nothing was added.
    pub fn events(self) -> impl Iterator<Item = Event> {
        let mut serials = 0..;
        let header = self.header.map(|header| Header {
            kinds: event::KINDS.iter().map(|&kind| kind.to_owned()).collect(),
            surmise: env!("CARGO_PKG_VERSION").to_owned(),
            ..header
        });
        let mut named = Vec::new();
        let mut numbers: Map<UnitId, UnitIndex> = Map::default();
        for (number, (&id, merged)) in self.units.iter().enumerate() {
            let unit = UnitIndex(number as u32);
            numbers.insert(id, unit);
            named.push(Event::Unit(event::Unit { unit, id, name: merged.name.clone() }));
        }
        let units = self.units.into_iter().flat_map(move |(id, merged)| {
            let unit = numbers[&id];
            let inlined: Vec<UnitIndex> =
                merged.inlined.iter().filter_map(|id| numbers.get(id).copied()).collect();
            let inlined =
                (!inlined.is_empty()).then_some(Event::Inlined(event::Inlined { unit, units: inlined }));
            let mut events: Vec<Event> = inlined.into_iter().collect();
            let functions = merged.functions.into_iter();
            events.extend(
                functions.map(|(entry, function)| Event::Lifted(Box::new(Lifted { unit, entry, function }))),
            );
            events.push(Event::Learnt(Box::new(event::Learnt { unit, profile: merged.profile })));
            for entry in merged.installed.into_keys() {
                let Some(serial) = serials.next() else { break };
                let decision = Decision::Planned(serial);
                events.push(Event::Request(event::Request { unit, entry, knowledge: (0, 1), decision }));
                events.push(Event::Happened(event::Happened { serial, fate: Fate::Installed }));
            }
            events
        });
        let header = header.map(|header| Event::Header(Box::new(header)));
        header.into_iter().chain(named).chain(units).chain([Event::End(event::End::default())])
    }
}

impl MergedUnit {
    fn new(name: &str) -> MergedUnit {
        MergedUnit {
            name: name.to_owned(),
            functions: Map::default(),
            profile: UnitProfile::default(),
            installed: Map::default(),
            inlined: Vec::new(),
        }
    }
}

/// What the words of a variant's facts are, as far as the language uses them.
type WordUses = FxHashMap<u8, Vec<WordUse>>;

fn word_uses(language: &Language) -> WordUses {
    let mut uses = WordUses::default();
    let mut add = |variant: u8, words: &[WordUse]| {
        let known = uses.entry(variant).or_default();
        if words.len() > known.len() {
            *known = words.to_vec();
        }
    };
    let operations = language.operations.values().map(|operation| &operation.cases);
    let intrinsics = language.intrinsics.iter().map(|intrinsic| &intrinsic.cases);
    for case in operations.chain(intrinsics).flatten() {
        if let Some(variant) = case.variant {
            add(variant, &case.words);
        }
    }
    if let Some(calls) = &language.calls {
        add(calls.closure_variant, &[WordUse::Slot(calls.unit_recipe)]);
        if let Some(natives) = &calls.natives {
            add(natives.variant, &[WordUse::Slot(natives.recipe), WordUse::Integer]);
        }
    }
    uses
}

fn uses_of<'a>(words: &'a WordUses, variant: u8) -> impl Iterator<Item = WordUse> + use<'a> {
    let known = words.get(&variant).map_or(&[][..], Vec::as_slice);
    known.iter().copied().chain(std::iter::repeat(WordUse::Integer))
}

/// Whether two facts say the same but for what they name.
fn are_alike(words: &WordUses, (variant, fact): &(u8, Words), (other_variant, other): &(u8, Words)) -> bool {
    variant == other_variant
        && fact.len() == other.len()
        && uses_of(words, *variant).zip(fact.iter().zip(other)).all(
            |(word_use, (here, there))| match word_use {
                WordUse::Integer => here == there,
                WordUse::Slot(_) | WordUse::Assumption(_) => true,
            },
        )
}

/// From names of one recording to merged ones.
struct Names<'a> {
    next: &'a mut FxHashMap<u32, u32>,
    here: FxHashMap<(u32, u32), u32>,
    taken: FxHashSet<(u32, u32)>,
}

impl Names<'_> {
    /// Joins the names of facts of a site with those of facts that are known of it. Returns how many facts were joined.
    fn join(&mut self, words: &WordUses, site: &SiteProfile, known: &SiteProfile) -> u64 {
        let mut joined = 0;
        let mut used = vec![false; known.facts.len()];
        for (fact, _) in &site.facts {
            let fits = |(index, (other, _)): &(usize, &((u8, Words), u32))| {
                !used[*index] && are_alike(words, fact, other) && self.agree(words, fact, other)
            };
            let Some((index, (other, _))) = known.facts.iter().enumerate().find(fits) else { continue };
            used[index] = true;
            joined += 1;
            for (word_use, (&here, &merged)) in uses_of(words, fact.0).zip(fact.1.iter().zip(&other.1)) {
                if let WordUse::Slot(class) | WordUse::Assumption(class) = word_use {
                    self.here.insert((class, here), merged);
                    self.taken.insert((class, merged));
                }
            }
        }
        joined
    }
    /// Whether the facts may name the same: no slot's name stands for two things, and no two names for one. Assumptions have as many
    /// names as they were made times.
    fn agree(&self, words: &WordUses, fact: &(u8, Words), other: &(u8, Words)) -> bool {
        uses_of(words, fact.0).zip(fact.1.iter().zip(&other.1)).all(|(word_use, (&here, &merged))| {
            match word_use {
                WordUse::Slot(class) => match self.here.get(&(class, here)) {
                    Some(&known) => known == merged,
                    None => !self.taken.contains(&(class, merged)),
                },
                WordUse::Integer | WordUse::Assumption(_) => true,
            }
        })
    }
    fn rename(&mut self, words: &WordUses, variant: u8, fact: &mut Words) {
        for (word_use, word) in uses_of(words, variant).zip(fact) {
            if let WordUse::Slot(class) | WordUse::Assumption(class) = word_use {
                let next = self.next.entry(class).or_default();
                *word = *self.here.entry((class, *word)).or_insert_with(|| {
                    *next += 1;
                    *next - 1
                });
            }
        }
    }
}

fn add_counts<T: PartialEq + Clone>(
    to: &mut Counts<T>,
    from: Counts<T>,
    same: impl Fn(&T, &T) -> bool,
) -> bool {
    let mut all_kept = true;
    for (thing, count) in from {
        if let Some((_, known)) = to.iter_mut().find(|(known, _)| same(known, &thing)) {
            *known = known.saturating_add(count);
        } else if to.len() < crate::profile::KEPT_PER_SITE {
            to.push((thing, count));
        } else {
            all_kept = false;
        }
    }
    all_kept
}

/// Whether facts name the same things, whatever their assumptions are called.
fn name_the_same(
    words: &WordUses,
    (variant, fact): &(u8, Words),
    (other_variant, other): &(u8, Words),
) -> bool {
    variant == other_variant
        && fact.len() == other.len()
        && uses_of(words, *variant)
            .zip(fact.iter().zip(other))
            .all(|(word_use, (here, there))| matches!(word_use, WordUse::Assumption(_)) || here == there)
}

/// Adds what one recording says of a unit.
fn add_profile(to: &mut UnitProfile, from: UnitProfile, words: &WordUses) {
    // Taken apart, so that nothing is forgotten. Assumptions that have broken are nobody else's.
    let UnitProfile { entered, loops, registers, sites, failed, broken: _, retirements: _, surprises } = from;
    to.entered = to.entered.saturating_add(entered);
    to.surprises = to.surprises.max(surprises);
    for (header, rounds) in loops {
        let known = to.loops.entry(header).or_default();
        *known = known.saturating_add(rounds);
    }
    for (register, kinds) in registers {
        add_counts(to.registers.entry(register).or_default(), kinds, PartialEq::eq);
    }
    for (pc, site) in sites {
        let SiteProfile { operands, results, facts, overflowed, jumped, not_jumped, surprised } = site;
        let known = to.sites.entry(pc).or_default();
        known.overflowed |= overflowed;
        known.overflowed |= !add_counts(&mut known.operands, operands, PartialEq::eq);
        add_counts(&mut known.results, results, PartialEq::eq);
        known.overflowed |= !add_counts(&mut known.facts, facts, |a, b| name_the_same(words, a, b));
        known.jumped = known.jumped.saturating_add(jumped);
        known.not_jumped = known.not_jumped.saturating_add(not_jumped);
        known.surprised |= surprised;
    }
    for (guess, failures) in failed {
        let known = to.failed.entry(guess).or_default();
        // What failed in one process twice is not guessed; what failed in each once is.
        known.retirements = known.retirements.max(failures.retirements);
        known.failures = known.failures.saturating_add(failures.failures);
    }
}
