//! Merge: what many processes learnt, as one recording.

use std::path::{Path, PathBuf};
use std::process::Command;
use surmise::merge::{Merge, MergeError};
use surmise::preload::emit;
use surmise::record::{Event, Recorder};
use surmise::replay::{Recording, World, replay};
use surmise_tests::remove_settings;
use surmise_tests::scratch::Scratch;

const COMMAND: &str = env!("CARGO_BIN_EXE_lua-under-test");

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/programs").join(name).with_extension("lua")
}

/// What a run with these settings prints.
fn run(name: &str, settings: &[(&str, &Path)], flags: &[&str]) -> (String, String) {
    let mut command = Command::new(COMMAND);
    remove_settings(&mut command);
    let ran = command
        .args(flags)
        .arg(program(name))
        .arg("2")
        .envs(settings.iter().copied())
        .output()
        .expect("lua runs");
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
    (String::from_utf8_lossy(&ran.stdout).into_owned(), String::from_utf8_lossy(&ran.stderr).into_owned())
}

fn recorded(name: &str) -> Vec<u8> {
    let file = Scratch::new("one.surmise");
    run(name, &[("SURMISE_BLOCKING", Path::new("1")), ("SURMISE_RECORD", &file.0)], &[]);
    std::fs::read(&file.0).expect("it was written")
}

fn written(events: impl Iterator<Item = Event>) -> Vec<u8> {
    let file = Scratch::new("merged.surmise");
    let mut events = events;
    let recorder =
        Recorder::create(&file.0, events.next().expect("there is a header")).expect("there is room");
    events.for_each(|event| recorder.add(&event));
    drop(recorder);
    std::fs::read(&file.0).expect("it was written")
}

fn merged(recordings: &[&[u8]]) -> Vec<u8> {
    let mut merge = Merge::default();
    for recording in recordings {
        merge.add(*recording).expect("it was recorded just now");
    }
    assert_eq!(merge.totals().recordings, recordings.len());
    written(merge.events())
}

fn warm(name: &str, preload: &Path) -> (String, u64) {
    let settings = [("SURMISE_BLOCKING", Path::new("1")), ("SURMISE_PRELOAD", preload)];
    let (output, report) = run(name, &settings, &["--stats=json"]);
    let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
    (output, report["surmise"]["preload"]["bound"].as_u64().expect("there is a file"))
}

/// However many processes saw the same, it is one thing to know.
#[test]
fn the_same_many_times_is_no_more_than_once() {
    for name in ["phases", "richards"] {
        let one = recorded(name);
        let (alone, many) = (merged(&[&one]), merged(&[&one[..]; 12]));
        assert!(
            many.len() < alone.len() + alone.len() / 8,
            "{name}: {} bytes of {}",
            many.len(),
            alone.len()
        );
        let [alone, many] = [&alone, &many].map(|bytes| Recording::read(&bytes[..]).expect("it can be read"));
        assert_eq!(alone.units.len(), many.units.len());
        let planned = |recording: &Recording| recording.planned().collect::<Vec<_>>();
        assert!(!planned(&alone).is_empty());
        assert_eq!(planned(&alone), planned(&many));
        let world = World::new(&many.header, &[]).expect("the settings can be read");
        let outcome = replay(&many, &world, &|| ());
        assert!(outcome.differences.is_empty(), "{name}: {}", outcome.differences[0]);
        // The same facts under the same names: the same code, but for counts that decide which case comes first.
        let [alone, many] = [&alone, &many].map(|recording| emit(recording, &world, &|| ()).candidates.len());
        assert_eq!(alone, many);
    }
}

/// Processes of different programs, which share a language and nothing else: each of the next ones starts warm.
#[test]
fn a_fleet_warms_its_next_processes() {
    let names = ["richards", "phases", "list", "shapes"];
    let recordings: Vec<Vec<u8>> = names.iter().chain(&names).map(|name| recorded(name)).collect();
    let recordings: Vec<&[u8]> = recordings.iter().map(Vec::as_slice).collect();
    let merged = Recording::read(&merged(&recordings)[..]).expect("it can be read");
    let world = World::new(&merged.header, &[]).expect("the settings can be read");
    let emitted = emit(&merged, &world, &|| ());
    assert!(emitted.skipped.is_empty(), "{:?}", emitted.skipped);
    let file = Scratch::new("fleet.spesh");
    emitted.write(&file.0, None).expect("there is room");
    let mut bound = 0;
    for name in names {
        let (output, count) = warm(name, &file.0);
        assert_eq!(output, run(name, &[("SURMISE_DISABLE", Path::new("1"))], &[]).0, "{name}");
        assert!(count > 0, "{name}: nothing was bound");
        bound += count as usize;
    }
    println!("{bound} of {} candidates were bound", emitted.candidates.len());
    assert!(2 * bound > emitted.candidates.len());
}

#[test]
fn what_can_not_be_merged_is_left_out_whole() {
    let one = recorded("list");
    let mut merge = Merge::default();
    merge.add(&one[..]).expect("it was recorded just now");
    assert!(matches!(merge.add(&b"nothing"[..]), Err(MergeError::Read(_))));
    let mut damaged = one.clone();
    let at = damaged.len() - 20;
    damaged[at] ^= 1;
    assert!(matches!(merge.add(&damaged[..]), Err(MergeError::Read(_))));
    let mut other = Recording::read(&one[..]).expect("it can be read").header;
    other.language.name = "another".to_owned();
    let other = written([Event::Header(Box::new(other))].into_iter());
    assert!(matches!(merge.add(&other[..]), Err(MergeError::Language)));
    assert_eq!(merge.totals().recordings, 1);
    assert_eq!(written(merge.events()), merged(&[&one]));
}
