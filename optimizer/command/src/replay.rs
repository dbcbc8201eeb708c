//! `surmise replay`: identical, or the first difference explained.

use crate::{Failure, open};
use serde::Serialize;
use similar::TextDiff;
use std::process::ExitCode;
use surmise::replay::{self, Explained, Recording, World};

#[derive(Serialize)]
struct Report {
    identical: bool,
    decisions: usize,
    compiles: usize,
    unfinished: usize,
    differences: Vec<String>,
    seconds: f64,
}

pub fn run(
    recording: &Recording,
    world: &World,
    pool: &rayon::ThreadPool,
    json: bool,
) -> Result<ExitCode, Failure> {
    let bar = open::progress(recording.compiles.len(), "compiling");
    let start = std::time::Instant::now();
    let outcome = pool.install(|| replay::replay(recording, world, &|| bar.inc(1)));
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let identical = outcome.differences.is_empty();
    let code = if identical { ExitCode::SUCCESS } else { ExitCode::from(1) };
    if json {
        open::print_json(&Report {
            identical,
            decisions: outcome.decisions,
            compiles: outcome.compared,
            unfinished: outcome.unfinished,
            differences: outcome.differences.iter().map(ToString::to_string).collect(),
            seconds,
        })?;
        return Ok(code);
    }
    let verdict = if identical { "identical" } else { "different" };
    say!(
        "{verdict}: {} decisions, {} compiles in {seconds:.2} s ({:.0} a second)",
        outcome.decisions,
        outcome.compared,
        outcome.compared as f64 / seconds.max(1e-9)
    );
    if outcome.unfinished > 0 {
        say!("{} compiles had not ended when the recording did", outcome.unfinished);
    }
    if !world.same_pipeline {
        say!("the passes of this Surmise are not those of the recording's ({})", recording.header.surmise);
    }
    if let Some(first) = outcome.differences.first() {
        say!("{} differences; the first:", outcome.differences.len());
        explain(&first.explain(recording, world));
    }
    Ok(code)
}

fn explain(explained: &Explained) {
    say!("{}", explained.summary);
    let Some((before, behind)) = &explained.texts else { return };
    say!("up to there all is as recorded. The IR before the pass, and behind it as it is now:");
    say!("{}", TextDiff::from_lines(before, behind).unified_diff().context_radius(3));
}
