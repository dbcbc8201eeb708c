//! `surmise show`: an overview, units, or one candidate with all that led to it.

use crate::{Failure, open, table};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use surmise::compile::Asked;
use surmise::plan;
use surmise::profile_text::ProfileText;
use surmise::record::event::{Compile, Fate};
use surmise::replay::{self, Planned, Recording};

/// A candidate in a line.
#[derive(Serialize)]
struct Line {
    candidate: u64,
    unit: String,
    entry: String,
    lifted: u32,
    optimized: u32,
    guards: u32,
    generic: u32,
    code_bytes: u32,
    deopts: usize,
    fate: String,
}

/// What became of a candidate, in words.
pub fn fate(recording: &Recording, serial: u64) -> String {
    let fates: Vec<&str> = recording.fates_of(serial).map(fate_name).collect();
    match (recording.compiles.get(&serial), fates.is_empty()) {
        (None, _) if recording.planned().any(|planned| planned.serial == serial && planned.preloaded) => {
            std::iter::once("preloaded").chain(fates).collect::<Vec<_>>().join(", ")
        }
        // Merged recordings say what was installed somewhere, and hold no compiles.
        (None, false) => fates.join(", "),
        (None, true) => "not compiled before the end".to_owned(),
        (Some(Compile { result: Err(rejection), .. }), _) => format!("rejected: {rejection}"),
        (Some(_), true) => "not delivered before the end".to_owned(),
        (Some(_), false) => fates.join(", "),
    }
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Installed => "installed",
        Fate::Outdated => "outdated",
        Fate::NotInstallable => "not installable",
        Fate::Retired => "thrown away",
        Fate::Invalidated => "invalidated",
    }
}

fn line(recording: &Recording, planned: Planned) -> Line {
    let compile = recording.compiles.get(&planned.serial);
    let figure = |of: fn(&Compile) -> u32| compile.map_or(0, of);
    Line {
        candidate: planned.serial,
        unit: recording.unit_name(planned.unit),
        entry: planned.entry.to_string(),
        lifted: figure(|compile| compile.lifted),
        optimized: figure(|compile| compile.optimized),
        guards: figure(|compile| compile.guards),
        generic: figure(|compile| compile.generic),
        code_bytes: figure(|compile| compile.result.as_ref().map_or(0, |candidate| candidate.code_bytes)),
        deopts: recording.deopts_of(planned.serial),
        fate: fate(recording, planned.serial),
    }
}

pub fn run(
    file: &Path,
    unit: Option<&str>,
    candidate: Option<u64>,
    settings: &[String],
    json: bool,
) -> Result<ExitCode, Failure> {
    let recording = open::recording(file)?;
    if let Some(serial) = candidate {
        return show_candidate(&recording, serial, settings, json);
    }
    let lines: Vec<Line> = recording
        .planned()
        .map(|planned| line(&recording, planned))
        .filter(|line| unit.is_none_or(|unit| line.unit.contains(unit)))
        .collect();
    if json {
        open::print_json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    if unit.is_none() {
        overview(&recording);
    }
    let heading =
        ["", "unit", "entry", "lifted", "IR", "guards", "generic", "code", "deopts", "what became of it"];
    let rows: Vec<Vec<String>> = lines
        .into_iter()
        .map(|line| {
            let numbers = [line.lifted, line.optimized, line.guards, line.generic, line.code_bytes];
            let mut row = vec![line.candidate.to_string(), line.unit, line.entry];
            row.extend(numbers.map(|number| number.to_string()));
            row.extend([line.deopts.to_string(), line.fate]);
            row
        })
        .collect();
    table::print(&heading, &rows);
    Ok(ExitCode::SUCCESS)
}

fn overview(recording: &Recording) {
    let header = &recording.header;
    let settings: Vec<String> =
        header.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    say!("language {}, recorded by Surmise {}", header.language.name, header.surmise);
    say!("settings: {}", if settings.is_empty() { "as by default".to_owned() } else { settings.join(" ") });
    match &header.target {
        Some(features) => say!("machine code, with {}", features.join(" ")),
        None => say!("the portable backend"),
    }
    say!(
        "{} bytes, {} units, {} log records, {} candidates planned, {} deopts\n",
        recording.bytes,
        recording.units.len(),
        recording.logged_records(),
        recording.planned().count(),
        recording.deopts.len()
    );
}

fn show_candidate(
    recording: &Recording,
    serial: u64,
    settings: &[String],
    json: bool,
) -> Result<ExitCode, Failure> {
    let world = open::world(recording, settings)?;
    let job = replay::plan(recording, &world.config).jobs.into_iter().find(|job| job.serial == serial);
    let Some(job) = job else {
        return Err(Failure(format!("there is no candidate {serial}; the last is {}", last(recording))));
    };
    let known = ProfileText { profile: &job.profile, language: &recording.header.language }.to_string();
    let reason = plan::why(&job.profile, job.entry);
    let asked = Asked { story: true, trail: false };
    let replayed = replay::compile_all(&recording.header, &world, vec![job], asked, &|| ()).remove(0);
    let story = replayed.compiled.story.unwrap_or_default();
    let title = format!("candidate {serial}: {} as {}", replayed.job.unit.name(), replayed.job.entry);
    if json {
        let value = serde_json::json!({
            "candidate": serial, "unit": replayed.job.unit.name(), "entry": replayed.job.entry.to_string(),
            "planned": reason, "known": known, "story": story, "became": fate(recording, serial),
        });
        open::print_json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("{title}\nplanned for {reason}\nbecame: {}\n\n{known}{story}", fate(recording, serial));
    let deopts: Vec<Vec<String>> = crate::stats::guards_that_failed(recording)
        .into_iter()
        .filter(|failed| failed.candidate == serial)
        .map(|failed| vec![failed.count.to_string(), failed.reason, failed.frames.to_string()])
        .collect();
    if !deopts.is_empty() {
        say!("left at:");
        table::print(&["times", "guess", "different frames"], &deopts);
    }
    Ok(ExitCode::SUCCESS)
}

fn last(recording: &Recording) -> String {
    recording.planned().last().map_or_else(|| "none".to_owned(), |planned| planned.serial.to_string())
}
