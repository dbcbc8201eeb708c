//! `surmise why`: a unit's story in sentences.

use crate::{Failure, open, stats};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use surmise::log::UnitIndex;
use surmise::plan::{self, Decision, Planner};
use surmise::replay::{Recording, Step};

#[derive(Serialize)]
struct Story {
    unit: String,
    /// What happened, in order.
    events: Vec<String>,
    /// What is known of it at the end.
    verdict: String,
}

fn story(recording: &Recording, unit: UnitIndex) -> Story {
    let mut planner = Planner::new(None);
    let mut events = Vec::new();
    let mut requests = 0;
    let failed = stats::guards_that_failed(recording);
    for step in &recording.steps {
        step.tell(&mut planner);
        match step {
            Step::Failed(guess) if guess.unit == unit => events.push(format!(
                "the guess {} at {} failed {} times: all candidates that were made from the same knowledge are thrown away, \
                 and the unit is learnt again",
                guess.reason, guess.pc, guess.failures
            )),
            Step::Broken(broken) if broken.unit == unit => {
                let class = recording.header.language.recipes.get(broken.recipe.class as usize);
                events.push(format!(
                    "the assumption {} {} {} has broken: its candidates are thrown away, and the unit is learnt again",
                    class.map_or("?", |class| &class.name),
                    broken.recipe.words[0],
                    broken.recipe.words[1]
                ));
                if planner.profile().unit(unit).is_some_and(|profile| profile.assumes_nothing()) {
                    events.push(format!(
                        "  that was one of {} or more: from here on its candidates rest on no assumption",
                        surmise::config::BREAKS_PER_UNIT
                    ));
                }
            }
            Step::Request(request) if request.unit == unit => {
                requests += 1;
                let profile = planner.profile().unit(unit).cloned().unwrap_or_default();
                let reason = plan::why(&profile, request.entry);
                events.push(match request.decision {
                    Decision::Planned(serial) => {
                        let became = crate::show::fate(recording, serial);
                        let figures = recording.compiles.get(&serial).map_or_else(String::new, |compile| {
                            format!(
                                " ({} IR instructions, {} guards, {} operations left generic)",
                                compile.optimized, compile.guards, compile.generic
                            )
                        });
                        format!("candidate {serial} as {} for {reason}{figures}: {became}", request.entry)
                    }
                    Decision::Refused(refusal) => {
                        format!("asked for as {} for {reason}, and refused: {refusal}", request.entry)
                    }
                });
                let Decision::Planned(serial) = request.decision else { continue };
                let left = failed.iter().filter(|failed| failed.candidate == serial);
                events.extend(left.map(|failed| {
                    format!("  it was left {} times: {} in {}", failed.count, failed.reason, failed.unit)
                }));
            }
            Step::Preloaded(preloaded) if preloaded.unit == unit => {
                requests += 1;
                let became = crate::show::fate(recording, preloaded.serial);
                let left = recording.deopts_of(preloaded.serial);
                events.push(format!(
                    "candidate {} as {} came from a file: {became}, left {left} times",
                    preloaded.serial, preloaded.entry
                ));
            }
            Step::Inlined(..) | Step::Log(_) | Step::Failed(_) | Step::Broken(_) | Step::Request(_) | Step::Preloaded(_) => {}
            Step::Learnt(learnt) if learnt.unit == unit => {
                events.push("what is known of it was learnt by several processes".to_owned());
            }
            Step::Learnt(_) => {}
        }
    }
    let profile = planner.profile().unit(unit).cloned();
    let verdict = match (&profile, requests) {
        (None, _) => "it never became hot: nothing of it was logged".to_owned(),
        (Some(profile), 0) => format!(
            "it was logged ({} calls, {} rounds of loops), and the program ended before it was asked for",
            profile.entered,
            profile.loops.values().sum::<u32>()
        ),
        (Some(profile), _) => {
            let several =
                profile.sites.values().filter(|site| site.facts.len() + site.operands.len() > 2).count();
            format!(
                "{} sites were seen, {several} of them with several behaviours; {} of its guesses brought candidates down",
                profile.sites.len(),
                profile.failed.len()
            )
        }
    };
    Story { unit: recording.unit_name(unit), events, verdict }
}

pub fn run(file: &Path, name: &str, json: bool) -> Result<ExitCode, Failure> {
    let recording = open::recording(file)?;
    let chosen: Vec<UnitIndex> = recording
        .units
        .iter()
        .filter(|(_, unit)| unit.name.contains(name))
        .map(|(&index, _)| index)
        .collect();
    if chosen.is_empty() {
        return Err(Failure(format!(
            "no unit's name contains {name:?}; `surmise show` lists those that were compiled"
        )));
    }
    let stories: Vec<Story> = chosen.into_iter().map(|unit| story(&recording, unit)).collect();
    if json {
        open::print_json(&stories)?;
        return Ok(ExitCode::SUCCESS);
    }
    for story in stories {
        say!("{}", story.unit);
        for event in story.events {
            say!("  {event}");
        }
        say!("  {}\n", story.verdict);
    }
    Ok(ExitCode::SUCCESS)
}
