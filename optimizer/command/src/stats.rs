//! `surmise stats`: a recording in figures.

use crate::{Failure, open, table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use surmise::deopt::table::ExitReason;
use surmise::replay::Recording;

/// A guess of a candidate that failed.
#[derive(Serialize)]
pub struct Failed {
    /// The candidate.
    pub candidate: u64,
    /// The unit in whose bytecode the guess stands.
    pub unit: String,
    /// What was guessed, and where.
    pub reason: String,
    /// How often it failed.
    pub count: usize,
    /// How many different sets of frames took the compiled one's place.
    pub frames: usize,
}

/// A reason with its site, in words.
pub fn reason_text(reason: ExitReason) -> String {
    match reason {
        ExitReason::Guard(reason, pc) => format!("{reason} at {pc}"),
        ExitReason::Invalidated => "invalidated".to_owned(),
    }
}

/// The guesses that failed, the most frequent first.
pub fn guards_that_failed(recording: &Recording) -> Vec<Failed> {
    let mut found: BTreeMap<(u64, String), (usize, std::collections::BTreeSet<u64>, String)> =
        BTreeMap::new();
    let names: BTreeMap<u64, &str> =
        recording.units.values().map(|unit| (unit.id.0, unit.name.as_str())).collect();
    for deopt in &recording.deopts {
        let entry = found.entry((deopt.serial, reason_text(deopt.reason))).or_default();
        entry.0 += 1;
        entry.1.insert(deopt.frames);
        entry.2 = names.get(&deopt.unit.0).map_or_else(|| deopt.unit.to_string(), |name| (*name).to_owned());
    }
    let mut list: Vec<Failed> = found
        .into_iter()
        .map(|((candidate, reason), (count, frames, unit))| Failed {
            candidate,
            unit,
            reason,
            count,
            frames: frames.len(),
        })
        .collect();
    list.sort_by_key(|failed| std::cmp::Reverse(failed.count));
    list
}

#[derive(Serialize)]
struct UnitLine {
    unit: String,
    candidates: usize,
    thrown_away: usize,
    deopts: usize,
    guards: u32,
    code_bytes: u32,
    generic: u32,
}

#[derive(Serialize)]
struct Report {
    bytes: u64,
    units: usize,
    compiled_units: usize,
    log_records: usize,
    candidates: usize,
    rejected: usize,
    thrown_away: usize,
    deopts: usize,
    lost_deopts: u64,
    dropped_batches: u64,
    by_unit: Vec<UnitLine>,
    failed: Vec<Failed>,
}

fn report(recording: &Recording) -> Report {
    use surmise::record::event::Fate;
    let mut by_unit: BTreeMap<_, UnitLine> = BTreeMap::new();
    let mut unit_of = BTreeMap::new();
    for planned in recording.planned() {
        unit_of.insert(planned.serial, planned.unit);
        let line = by_unit.entry(planned.unit).or_insert_with(|| UnitLine {
            unit: recording.unit_name(planned.unit),
            candidates: 0,
            thrown_away: 0,
            deopts: 0,
            guards: 0,
            code_bytes: 0,
            generic: 0,
        });
        line.candidates += 1;
        let Some(compile) = recording.compiles.get(&planned.serial) else { continue };
        line.guards += compile.guards;
        line.generic += compile.generic;
        line.code_bytes += compile.result.as_ref().map_or(0, |candidate| candidate.code_bytes);
    }
    let retired: Vec<u64> =
        recording.fates.iter().filter(|happened| happened.fate == Fate::Retired).map(|h| h.serial).collect();
    let mut count = |serial: u64, add: fn(&mut UnitLine)| {
        if let Some(line) = unit_of.get(&serial).and_then(|unit| by_unit.get_mut(unit)) {
            add(line);
        }
    };
    retired.iter().for_each(|&serial| count(serial, |line| line.thrown_away += 1));
    recording.deopts.iter().for_each(|deopt| count(deopt.serial, |line| line.deopts += 1));
    let end = recording.end.unwrap_or_default();
    let mut lines: Vec<UnitLine> = by_unit.into_values().collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.deopts, line.code_bytes)));
    Report {
        bytes: recording.bytes,
        units: recording.units.len(),
        compiled_units: lines.len(),
        log_records: recording.logged_records(),
        candidates: unit_of.len(),
        rejected: recording.compiles.values().filter(|compile| compile.result.is_err()).count(),
        thrown_away: retired.len(),
        deopts: recording.deopts.len(),
        lost_deopts: end.lost_deopts,
        dropped_batches: end.dropped_batches,
        by_unit: lines,
        failed: guards_that_failed(recording),
    }
}

pub fn run(file: &Path, json: bool) -> Result<ExitCode, Failure> {
    let recording = open::recording(file)?;
    let report = report(&recording);
    if json {
        open::print_json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("{} units, {} of them compiled", report.units, report.compiled_units);
    say!(
        "{} candidates: {} rejected, {} thrown away",
        report.candidates,
        report.rejected,
        report.thrown_away
    );
    say!("{} log records, {} batches dropped", report.log_records, report.dropped_batches);
    say!("{} deopts, {} more not recorded", report.deopts, report.lost_deopts);
    say!("{} bytes of recording\n", report.bytes);
    let rows: Vec<Vec<String>> = report
        .by_unit
        .iter()
        .map(|line| {
            let numbers = [line.candidates, line.thrown_away, line.deopts];
            let sizes = [line.guards, line.generic, line.code_bytes];
            let mut row = vec![line.unit.clone()];
            row.extend(numbers.map(|number| number.to_string()));
            row.extend(sizes.map(|number| number.to_string()));
            row
        })
        .collect();
    table::print(&["unit", "candidates", "thrown away", "deopts", "guards", "generic", "code"], &rows);
    if !report.failed.is_empty() {
        say!("");
        let rows: Vec<Vec<String>> = report
            .failed
            .iter()
            .map(|failed| {
                vec![
                    failed.count.to_string(),
                    failed.reason.clone(),
                    failed.unit.clone(),
                    failed.candidate.to_string(),
                    failed.frames.to_string(),
                ]
            })
            .collect();
        table::print(&["failed", "guess", "in", "of candidate", "different frames"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}
