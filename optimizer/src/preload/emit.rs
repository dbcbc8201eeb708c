//! Emit: from a recording to a preload file.
//!
//! The recording's decisions are made again, and of each unit's entry the candidate is compiled that was installed when the recording
//! ended: not those that gave way to better ones, and not those whose guesses failed.

use super::bind::{premises, slots};
use super::file::{self, Header, Key, PreloadedCandidate};
use crate::compile::{Asked, Job};
use crate::profile::Map;
use crate::record::event::Fate;
use crate::record::fingerprint;
use crate::replay::{self, Planned, Recording, World};
use rustc_hash::FxHashSet;
use surmise_ir::entity::UnitId;
use surmise_ir::function::Entry;
use surmise_ir::language::Recipe;

/// An entry that the file has nothing for.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Skipped {
    /// The unit.
    pub unit: String,
    /// Number of the candidate.
    pub serial: u64,
    /// Why.
    pub reason: String,
}

/// What becomes a file.
pub struct Emitted {
    header: Header,
    /// What a later process starts with.
    pub candidates: Vec<PreloadedCandidate>,
    /// What was installed, and is not in the file.
    pub skipped: Vec<Skipped>,
}

impl Emitted {
    /// The file's bytes, sealed.
    pub fn to_bytes(&self, key: Option<&Key>) -> Vec<u8> {
        file::write(self.header.clone(), &self.candidates, key)
    }
    /// Writes the file, sealed. Who reads it at the same time sees the old one or the new one.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, path: &std::path::Path, key: Option<&Key>) -> std::io::Result<usize> {
        let bytes = self.to_bytes(key);
        file::write_file(path, &bytes).map(|()| bytes.len())
    }
}

/// The candidates of a recording that a later process can start with, compiled on the threads of the current rayon pool. `done` is called
/// after each, on any thread.
pub fn emit(recording: &Recording, world: &World, done: &(dyn Fn() + Sync)) -> Emitted {
    let language = &recording.header.language;
    let mut emitted = Emitted {
        header: Header::new(language, &world.config, world.target.as_ref()),
        candidates: Vec::new(),
        skipped: Vec::new(),
    };
    let installed = last_installed(recording);
    for planned in installed.iter().filter(|planned| planned.preloaded) {
        let unit = recording.unit_name(planned.unit);
        let reason = "it came from a preload file: its knowledge is not in the recording".to_owned();
        emitted.skipped.push(Skipped { unit, serial: planned.serial, reason });
    }
    let wanted: FxHashSet<u64> = installed.iter().map(|planned| planned.serial).collect();
    let plan = replay::plan(recording, &world.config);
    let jobs: Vec<Job> = plan.jobs.into_iter().filter(|job| wanted.contains(&job.serial)).collect();
    let asked = Asked { story: false, trail: true };
    for replayed in replay::compile_all(&recording.header, world, jobs, asked, done) {
        let (job, compiled) = (replayed.job, replayed.compiled);
        let candidate = match (compiled.lifted, compiled.result) {
            (Some(lifted), Ok(image)) => Ok(PreloadedCandidate {
                unit: job.unit.id(),
                name: job.unit.name().to_owned(),
                entry: job.entry,
                lifted: fingerprint::of_lifted(&lifted),
                lifted_slots: lifted.slots.values().copied().collect(),
                image,
            }),
            (_, Err(rejection)) => Err(rejection.to_string()),
            (None, Ok(_)) => Err("there is no generic IR of it".to_owned()),
        };
        match candidate.and_then(with_origins) {
            Ok(candidate) => emitted.candidates.push(candidate),
            Err(reason) => {
                emitted.skipped.push(Skipped {
                    unit: job.unit.name().to_owned(),
                    serial: job.serial,
                    reason,
                });
            }
        }
    }
    emitted
}

/// The candidate, if what its slots hold can be found again elsewhere.
fn with_origins(candidate: PreloadedCandidate) -> Result<PreloadedCandidate, String> {
    let told = premises(&candidate.image).iter().flat_map(|premise| premise.recipes());
    let told: FxHashSet<Recipe> = told.chain(candidate.lifted_slots.iter().copied()).collect();
    match slots(&candidate.image).into_iter().find(|recipe| !told.contains(recipe)) {
        Some(recipe) => {
            Err(format!("nothing tells where a slot's recipe {} {:?} comes from", recipe.class, recipe.words))
        }
        None => Ok(candidate),
    }
}

/// The candidates that were installed at the recording's end, one for each entry.
fn last_installed(recording: &Recording) -> Vec<Planned> {
    let by_serial: Map<u64, Planned> = recording.planned().map(|planned| (planned.serial, planned)).collect();
    let mut installed: Map<(UnitId, Entry), Planned> = Map::default();
    for happened in &recording.fates {
        let Some(&planned) = by_serial.get(&happened.serial) else { continue };
        let Some(unit) = recording.units.get(&planned.unit) else { continue };
        let entry = (unit.id, planned.entry);
        match happened.fate {
            Fate::Installed => {
                installed.insert(entry, planned);
            }
            Fate::Retired | Fate::Invalidated
                if installed.get(&entry).is_some_and(|last| last.serial == happened.serial) =>
            {
                installed.swap_remove(&entry);
            }
            Fate::Retired | Fate::Invalidated | Fate::Outdated | Fate::NotInstallable => {}
        }
    }
    installed.into_values().collect()
}
