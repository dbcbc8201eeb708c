//! `surmise replay --execute`: what the passes made of recorded units, run against what it was made of.

use crate::{Failure, open, table};
use serde::Serialize;
use similar::TextDiff;
use std::process::ExitCode;
use surmise::replay::execute::{self, Difference, Executed};
use surmise::replay::{Recording, World};

#[derive(Serialize)]
struct Report {
    right: bool,
    seconds: f64,
    candidates: Vec<Executed>,
}

pub fn run(
    recording: &Recording,
    world: &World,
    pool: &rayon::ThreadPool,
    json: bool,
) -> Result<ExitCode, Failure> {
    let bar = open::progress(recording.planned().count(), "executing");
    let start = std::time::Instant::now();
    let candidates = pool.install(|| execute::execute(recording, world, &|| bar.inc(1)));
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let first = candidates.iter().find_map(|executed| Some((executed, executed.difference.clone()?)));
    let code = if first.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) };
    if json {
        open::print_json(&Report { right: first.is_none(), seconds, candidates })?;
        return Ok(code);
    }
    let sum = |what: fn(&Executed) -> u64| candidates.iter().map(what).sum::<u64>();
    let run = candidates.iter().filter(|executed| executed.not_run.is_none()).count();
    say!(
        "{}: {run} candidates, {} runs, {} exits, {} events compared in {seconds:.2} s",
        if first.is_none() { "right" } else { "wrong" },
        sum(|executed| executed.runs),
        sum(|executed| executed.exits),
        sum(|executed| executed.events),
    );
    let rows: Vec<Vec<String>> = candidates.iter().map(row).collect();
    let heading = [
        "candidate",
        "unit",
        "entry",
        "recorded starts",
        "runs",
        "instructions",
        "guards",
        "exits",
        "events",
        "partly",
        "impossible",
        "",
    ];
    table::print(&heading, &rows);
    if let Some((executed, difference)) = first {
        explain(executed, &difference);
    }
    Ok(code)
}

fn row(executed: &Executed) -> Vec<String> {
    let remark = match (&executed.not_run, &executed.difference) {
        (Some(reason), _) => format!("not run: {reason}"),
        (None, Some(_)) => "wrong".to_owned(),
        (None, None) => executed.impossible_because.clone().unwrap_or_default(),
    };
    vec![
        executed.serial.to_string(),
        executed.unit.clone(),
        executed.entry.clone(),
        executed.recorded_starts.to_string(),
        executed.runs.to_string(),
        format!("{}/{}", executed.instructions_run, executed.instructions),
        format!("{}/{}", executed.guards_failed, executed.guards),
        executed.exits.to_string(),
        executed.events.to_string(),
        executed.partly.to_string(),
        executed.impossible.to_string(),
        remark,
    ]
}

fn explain(executed: &Executed, difference: &Difference) {
    let Difference { pass, position, seed, start, what, before, behind } = difference;
    let start = start.map_or("drawn arguments".to_owned(), |start| format!("recorded arguments {start}"));
    say!(
        "candidate {}, {} as {}: {pass} (number {position} of the pipeline) makes it go wrong, with {start}, seed {seed}:",
        executed.serial,
        executed.unit,
        executed.entry
    );
    say!("{what}");
    say!("The IR before the pass, and behind it:");
    say!("{}", TextDiff::from_lines(before, behind).unified_diff().context_radius(3));
}
