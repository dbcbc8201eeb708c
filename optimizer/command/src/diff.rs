//! `surmise diff`: candidates gained, lost and changed between two recordings, or between a recording and itself under other
//! settings; the heaviest first.

use crate::{Failure, open, table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use surmise::compile::Asked;
use surmise::record::event::Compile;
use surmise::replay::{self, Recording};

/// How many candidates a unit's entry had, and what the last of them was.
#[derive(Clone, Default, Serialize, PartialEq, Eq)]
struct Side {
    candidates: usize,
    optimized: u32,
    guards: u32,
    generic: u32,
    code_bytes: u32,
    deopts: usize,
    #[serde(skip)]
    fingerprint: [u8; 32],
}

impl Side {
    fn add(&mut self, compile: &Compile) {
        self.candidates += 1;
        self.optimized = compile.optimized;
        self.guards = compile.guards;
        self.generic = compile.generic;
        if let Ok(candidate) = &compile.result {
            self.code_bytes = candidate.code_bytes;
            self.fingerprint = candidate.fingerprint;
        }
    }
    /// What the last candidate is taken to cost a run: its instructions, generic operations counted as the calls that they are.
    fn cost(&self) -> i64 {
        i64::from(self.optimized) + 20 * i64::from(self.generic)
    }
}

type Sides = BTreeMap<(String, String), Side>;

/// The candidates of a recording as it is.
fn recorded(recording: &Recording) -> Sides {
    let mut sides = Sides::new();
    for planned in recording.planned() {
        let side = sides.entry((recording.unit_name(planned.unit), planned.entry.to_string())).or_default();
        if let Some(compile) = recording.compiles.get(&planned.serial) {
            side.add(compile);
        }
        side.deopts += recording.deopts_of(planned.serial);
    }
    sides
}

/// The candidates of a recording under other settings.
fn replayed(recording: &Recording, settings: &[String]) -> Result<Sides, Failure> {
    let world = open::world(recording, settings)?;
    let plan = replay::plan(recording, &world.config);
    let bar = open::progress(plan.jobs.len(), "compiling");
    let asked = Asked { story: false, trail: true };
    let compiled = replay::compile_all(&recording.header, &world, plan.jobs, asked, &|| bar.inc(1));
    bar.finish_and_clear();
    let mut sides = Sides::new();
    for replayed in compiled {
        let key = (replayed.job.unit.name().to_owned(), replayed.job.entry.to_string());
        sides.entry(key).or_default().add(&replayed.summary);
    }
    Ok(sides)
}

#[derive(Serialize)]
struct Change {
    unit: String,
    entry: String,
    change: &'static str,
    before: Option<Side>,
    after: Option<Side>,
    weight: i64,
}

pub fn run(file: &Path, other: Option<&Path>, settings: &[String], json: bool) -> Result<ExitCode, Failure> {
    let recording = open::recording(file)?;
    let before = recorded(&recording);
    let after = match other {
        Some(other) => {
            let other = open::recording(other)?;
            if settings.is_empty() { recorded(&other) } else { replayed(&other, settings)? }
        }
        None if settings.is_empty() => {
            return Err(Failure("one recording alone: say which settings differ, with --set".to_owned()));
        }
        None => replayed(&recording, settings)?,
    };
    let counts_deopts = settings.is_empty();
    let mut changes: Vec<Change> = Vec::new();
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
    for key in keys {
        let (old, new) = (before.get(&key), after.get(&key));
        let change = match (old, new) {
            (Some(_), None) => "lost",
            (None, Some(_)) => "gained",
            (Some(old), Some(new)) => {
                let same_deopts = !counts_deopts || old.deopts == new.deopts;
                if old.fingerprint == new.fingerprint && old.candidates == new.candidates && same_deopts {
                    continue;
                }
                "changed"
            }
            (None, None) => continue,
        };
        let cost = |side: Option<&Side>| side.map_or(0, Side::cost);
        let deopts = |side: Option<&Side>| side.map_or(0, |side| side.deopts as i64);
        let weight = (cost(new) - cost(old)).abs() + 100 * (deopts(new) - deopts(old)).abs();
        let (before, after) = (old.cloned(), new.cloned());
        changes.push(Change { unit: key.0, entry: key.1, change, before, after, weight });
    }
    changes.sort_by_key(|change| std::cmp::Reverse(change.weight));
    if json {
        open::print_json(&changes)?;
        return Ok(ExitCode::SUCCESS);
    }
    if changes.is_empty() {
        say!("the same {} candidates", before.len());
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = changes
        .into_iter()
        .map(|change| {
            let Change { unit, entry, change, before, after, .. } = change;
            let pair = |of: &dyn Fn(&Side) -> i64| {
                let text =
                    |side: &Option<Side>| side.as_ref().map_or("-".to_owned(), |side| of(side).to_string());
                format!("{} > {}", text(&before), text(&after))
            };
            let mut row = vec![change.to_owned(), unit, entry];
            row.push(pair(&|side| side.candidates as i64));
            row.push(pair(&|side| side.optimized.into()));
            row.push(pair(&|side| side.guards.into()));
            row.push(pair(&|side| side.code_bytes.into()));
            row.push(pair(&Side::cost));
            if counts_deopts {
                row.push(pair(&|side| side.deopts as i64));
            }
            row
        })
        .collect();
    let mut heading = vec!["", "unit", "entry", "candidates", "IR", "guards", "code", "estimated cost"];
    if counts_deopts {
        heading.push("deopts");
    }
    table::print(&heading, &rows);
    Ok(ExitCode::SUCCESS)
}
