//! `surmise bisect`: which candidate, which step, which pass makes a program go wrong.
//!
//! First the fewest candidates with which the check fails are found (`SURMISE_LIMIT`), the last of which is the culprit; then the
//! fewest steps of its passes (`SURMISE_FUEL`). What that last step does to the IR is read off a replay of the recording.

use crate::{Failure, open};
use serde::Serialize;
use similar::TextDiff;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use surmise::compile::text_behind;
use surmise::passes::PIPELINE;
use surmise::replay::{self, Recording};

/// Steps that no compile takes.
const MOST_STEPS: u64 = 1 << 24;

#[derive(Serialize)]
struct Culprit {
    candidate: u64,
    unit: String,
    entry: String,
    /// With one step less, all is well; none if the candidate goes wrong without any: lifting or lowering is to blame.
    step: Option<u64>,
    pass: Option<String>,
    change: String,
}

/// The check, with the recording's settings.
struct Check<'a> {
    command: &'a [String],
    settings: &'a [(String, String)],
    runs: u32,
}

impl Check<'_> {
    /// Whether the program goes wrong with these settings.
    fn fails(&mut self, settings: &[(&str, String)]) -> Result<bool, Failure> {
        let mut process = Command::new(&self.command[0]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SURMISE_") {
                process.env_remove(name);
            }
        }
        let recorded = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let given = settings.iter().map(|(name, value)| (*name, value.as_str()));
        process.args(&self.command[1..]).env("SURMISE_BLOCKING", "1").envs(recorded).envs(given);
        let status = process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        self.runs += 1;
        let status = status.map_err(|error| Failure(format!("{}: {error}", self.command[0])))?;
        Ok(!status.success())
    }
    /// The smallest number in `good+1..=bad` for which it fails, given that it fails with `bad` and not with `good`.
    fn first_bad(
        &mut self,
        mut good: u64,
        mut bad: u64,
        settings: &dyn Fn(u64) -> Vec<(&'static str, String)>,
    ) -> Result<u64, Failure> {
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if self.fails(&settings(middle))? { bad = middle } else { good = middle }
        }
        Ok(bad)
    }
}

pub fn run(file: &Path, command: &[String], json: bool) -> Result<ExitCode, Failure> {
    let recording = open::recording(file)?;
    let mut check = Check { command, settings: &recording.header.settings, runs: 0 };
    if !check.fails(&[])? {
        return Err(Failure(
            "the check does not fail with the recorded settings, in blocking mode".to_owned(),
        ));
    }
    let limit = |count: u64| vec![("SURMISE_LIMIT", count.to_string())];
    if check.fails(&limit(0))? {
        return Err(Failure("the check fails without any candidate: no compile is to blame".to_owned()));
    }
    let planned = recording.planned().count() as u64;
    let count = check.first_bad(0, planned.max(1), &limit)?;
    let candidate = count - 1;
    let fuel = |steps: u64| {
        vec![("SURMISE_LIMIT", count.to_string()), ("SURMISE_FUEL", format!("{candidate}:{steps}"))]
    };
    let step = if check.fails(&fuel(0))? { None } else { Some(check.first_bad(0, MOST_STEPS, &fuel)?) };
    let culprit = describe(&recording, candidate, step)?;
    if json {
        open::print_json(&culprit)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!("after {} runs: candidate {candidate}, {} as {}", check.runs, culprit.unit, culprit.entry);
    match (culprit.step, &culprit.pass) {
        (Some(step), Some(pass)) => {
            say!("step {step} of its passes makes it go wrong, in {pass}:\n{}", culprit.change)
        }
        (Some(step), None) => {
            say!("step {step} of its passes makes it go wrong; in the recording it changes nothing")
        }
        (None, _) => say!("it goes wrong without any step of a pass: lifting or lowering is to blame"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The candidate, and what the step does to it.
fn describe(recording: &Recording, candidate: u64, step: Option<u64>) -> Result<Culprit, Failure> {
    let find = |fuel: Option<u64>| {
        let settings: Vec<String> =
            fuel.map(|steps| format!("FUEL={candidate}:{steps}")).into_iter().collect();
        let world = open::world(recording, &settings)?;
        let job = replay::plan(recording, &world.config).jobs.into_iter().find(|job| job.serial == candidate);
        let job = job.ok_or_else(|| Failure(format!("the recording has no candidate {candidate}")))?;
        Ok::<_, Failure>((world, job))
    };
    let (_, job) = find(None)?;
    let mut culprit = Culprit {
        candidate,
        unit: job.unit.name().to_owned(),
        entry: job.entry.to_string(),
        step,
        pass: None,
        change: String::new(),
    };
    let Some(step) = step else { return Ok(culprit) };
    let (with, without) = (find(Some(step))?, find(Some(step - 1))?);
    for (position, (name, _)) in PIPELINE.iter().enumerate() {
        let behind = |(world, job): &(replay::World, surmise::compile::Job)| {
            text_behind(job, &recording.header.language, &world.config, position + 1).unwrap_or_default()
        };
        let (with, without) = (behind(&with), behind(&without));
        if with != without {
            culprit.pass = Some((*name).to_owned());
            culprit.change =
                TextDiff::from_lines(&without, &with).unified_diff().context_radius(3).to_string();
            break;
        }
    }
    Ok(culprit)
}
