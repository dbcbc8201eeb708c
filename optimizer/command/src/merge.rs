//! `surmise merge`: one recording of many.

use crate::{Failure, open};
use serde::Serialize;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use surmise::merge::{Merge, MergeTotals};
use surmise::record::Recorder;

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    totals: MergeTotals,
    /// Recordings that could not be used, and why.
    left_out: Vec<(String, String)>,
}

/// The files that are meant: those named, and those named `*.surmise` in folders that are named, in order.
fn files(inputs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for input in inputs {
        let named = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", input.display()));
        if !input.is_dir() {
            files.push(input.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(input).map_err(|error| named(&error))? {
            let path = entry.map_err(|error| named(&error))?.path();
            if path.extension().is_some_and(|extension| extension == "surmise") {
                found.push(path);
            }
        }
        if found.is_empty() {
            return Err(named(&"there is no *.surmise in it"));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

pub fn run(inputs: &[PathBuf], output: &Path, json: bool) -> Result<ExitCode, Failure> {
    let files = files(inputs)?;
    let mut merge = Merge::default();
    let mut left_out = Vec::new();
    let bar = open::progress(files.len(), "merging");
    for path in &files {
        let added = File::open(path)
            .map_err(|error| error.to_string())
            .and_then(|file| merge.add(BufReader::new(file)).map_err(|error| error.to_string()));
        if let Err(reason) = added {
            left_out.push((path.display().to_string(), reason));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let totals = merge.totals();
    for (file, reason) in &left_out {
        eprintln!("surmise: {file}: left out: {reason}");
    }
    if totals.recordings == 0 {
        return Err(Failure("there is nothing to merge".to_owned()));
    }
    let named = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", output.display()));
    let mut events = merge.events();
    let header = events.next().expect("what was added had a header");
    let file = File::create(output).map_err(|error| named(&error))?;
    let recorder = Recorder::start(file, header, |_| ()).map_err(|error| named(&error))?;
    events.for_each(|event| recorder.add(&event));
    let progress = recorder.progress().clone();
    drop(recorder);
    if let Some(failure) = progress.failure() {
        return Err(named(&failure));
    }
    if json {
        open::print_json(&Report { totals, left_out })?;
        return Ok(ExitCode::SUCCESS);
    }
    let MergeTotals { recordings, records, joined } = totals;
    say!(
        "{}: {recordings} recordings, {records} log records, {joined} facts seen in several; {} bytes",
        output.display(),
        progress.bytes()
    );
    Ok(ExitCode::SUCCESS)
}
