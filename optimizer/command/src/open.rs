//! Files and settings of the command line, with progress on long work.

use crate::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::Path;
use surmise::replay::{Recording, World};

/// Reads a recording; says so if it ends early.
pub fn recording(path: &Path) -> Result<Recording, Failure> {
    let named = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| named(&error))?;
    let recording = Recording::read(std::io::BufReader::new(file)).map_err(|error| named(&error))?;
    if recording.is_torn {
        eprintln!("surmise: {}: ends within a chunk; what is in front of that is read", path.display());
    } else if recording.end.is_none() {
        eprintln!("surmise: {}: the process did not end in order", path.display());
    }
    for (kind, count) in &recording.skipped {
        eprintln!("surmise: {}: {count} records of kind {kind} are unknown here, skipped", path.display());
    }
    Ok(recording)
}

/// The world of a recording, with changed settings.
pub fn world(recording: &Recording, settings: &[String]) -> Result<World, Failure> {
    let changes: Vec<(String, String)> =
        settings.iter().map(|text| setting(text)).collect::<Result<_, _>>()?;
    Ok(World::new(&recording.header, &changes)?)
}

fn setting(text: &str) -> Result<(String, String), Failure> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(Failure(format!("--set {text}: expected NAME=VALUE")));
    };
    let name = name.to_ascii_uppercase();
    let name = if name.starts_with("SURMISE_") { name } else { format!("SURMISE_{name}") };
    Ok((name, value.to_owned()))
}

/// A bar for so many steps; silent if nobody looks.
pub fn progress(steps: usize, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    ProgressBar::new(steps as u64).with_message(what).with_style(style.expect("the template is right"))
}

/// Prints a line; ends the process if nobody reads it.
pub fn print_line(line: std::fmt::Arguments<'_>) {
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A recording, its world with changed settings, and so many threads to work in it.
pub fn replayed(
    file: &Path,
    threads: Option<usize>,
    settings: &[String],
) -> Result<(Recording, World, rayon::ThreadPool), Failure> {
    let recording = recording(file)?;
    let world = world(&recording, settings)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build()?;
    Ok((recording, world, pool))
}
