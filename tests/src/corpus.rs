//! The corpus: recordings of programs, kept in the repository, with what the optimizer makes of them as text.
//!
//! A recording's own fingerprints grow old with each change of the optimizer, and are meant to: what is compared is the text beside
//! it, so that a change shows as a difference that can be read. `cargo run --release -p surmise-tests --bin corpus -- --bless`
//! writes the texts anew; with `--record`, the recordings too.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use surmise::compile::Asked;
use surmise::replay::{Recording, World, compile_all, plan};

/// Programs of `benches/programs` that are recorded. Together they have all kinds of guards and loops.
pub const PROGRAMS: &[&str] =
    &["bounce", "json", "nbody", "phases", "queens", "richards", "sieve", "tokenizer"];

/// Where the corpus is.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// A recording's file and its text's.
pub fn files(program: &str) -> (PathBuf, PathBuf) {
    let path = folder().join(program);
    (path.with_extension("surmise"), path.with_extension("txt"))
}

/// Reads a recording of the corpus.
pub fn read(path: &Path) -> Result<Recording, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| named(&error))?;
    Recording::read(BufReader::new(file)).map_err(|error| named(&error))
}

/// What the optimizer makes of a recording: each decision and each candidate, in order.
pub fn describe(recording: &Recording) -> Result<String, String> {
    let world = World::new(&recording.header, &[]).map_err(|error| error.to_string())?;
    let plan = plan(recording, &world.config);
    let mut text = String::new();
    for difference in &plan.differences {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{difference}");
    }
    let asked = Asked { story: false, trail: true };
    for replayed in compile_all(&recording.header, &world, plan.jobs, asked, &|| ()) {
        let (job, compile) = (&replayed.job, &replayed.summary);
        let _ = writeln!(text, "{} {} as {}", job.serial, job.unit.name(), job.entry);
        let _ = match &compile.result {
            Err(rejection) => writeln!(text, "  rejected: {rejection}"),
            Ok(candidate) => writeln!(
                text,
                "  IR {} > {}, guards {}, generic {}, code {}, points {}, slots {}, IR hash {:016x}",
                compile.lifted,
                compile.optimized,
                compile.guards,
                compile.generic,
                candidate.code_bytes,
                candidate.points,
                candidate.slots,
                compile.trail.last().map_or(0, |&(_, fingerprint)| fingerprint),
            ),
        };
    }
    Ok(text)
}
