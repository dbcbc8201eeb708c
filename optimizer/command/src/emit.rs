//! `surmise emit`: from a recording to a file with which later processes start.

use crate::{Failure, open};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use surmise::preload::{self, Key, Skipped};

#[derive(Serialize)]
struct Report {
    candidates: usize,
    skipped: Vec<Skipped>,
    bytes: usize,
    keyed: bool,
}

pub fn run(
    file: &Path,
    output: &Path,
    key: Option<&Path>,
    settings: &[String],
    json: bool,
) -> Result<ExitCode, Failure> {
    let named = |path: &Path, error: &dyn std::fmt::Display| Failure(format!("{}: {error}", path.display()));
    let key = key.map(|path| Key::read(path).map_err(|error| named(path, &error))).transpose()?;
    let recording = open::recording(file)?;
    let world = open::world(&recording, settings)?;
    let bar = open::progress(recording.compiles.len(), "compiling");
    let emitted = preload::emit(&recording, &world, &|| bar.inc(1));
    bar.finish_and_clear();
    let bytes = emitted.write(output, key.as_ref()).map_err(|error| named(output, &error))?;
    let candidates = emitted.candidates.len();
    if json {
        open::print_json(&Report { candidates, skipped: emitted.skipped, bytes, keyed: key.is_some() })?;
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "{}: {candidates} candidates, {bytes} bytes{}",
        output.display(),
        if key.is_some() { ", sealed" } else { "" }
    );
    for Skipped { unit, serial, reason } in &emitted.skipped {
        say!("left out: candidate {serial}, {unit}: {reason}");
    }
    Ok(ExitCode::SUCCESS)
}
