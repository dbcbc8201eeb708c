//! Recordings: they change nothing, they replay to the last byte, they are small, and damaged ones are refused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use surmise::compile::Asked;
use surmise::ir::generate::Random;
use surmise::record::codec::{CHUNK_HEADER, chunk, read_chunk};
use surmise::record::{Event, Reader};
use surmise::replay::execute::execute;
use surmise::replay::{Planned, Recording, World, compile_all, plan, replay};
use surmise_tests::corpus::{PROGRAMS, describe, files, read};
use surmise_tests::damage::damage;
use surmise_tests::random::Seeds;
use surmise_tests::scratch::Scratch;
use surmise_tests::{programs, remove_settings};

const COMMAND: &str = env!("CARGO_BIN_EXE_lua-under-test");

fn run(program: &Path, settings: &[(&str, &Path)], arguments: &[&str]) -> String {
    let mut command = Command::new(COMMAND);
    remove_settings(&mut command);
    let output =
        command.arg(program).args(arguments).envs(settings.iter().copied()).output().expect("lua runs");
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn on() -> &'static Path {
    Path::new("1")
}

fn recorded(program: &Path, settings: &[(&str, &Path)]) -> Vec<u8> {
    let file = Scratch::new("recorded.surmise");
    run(program, &[settings, &[("SURMISE_RECORD", &file.0)]].concat(), &["2"]);
    std::fs::read(&file.0).expect("the recording was written")
}

fn check_replay(name: &str, bytes: &[u8]) -> Recording {
    let recording = Recording::read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!recording.is_torn && recording.end.is_some(), "{name} did not end in order");
    let world = World::new(&recording.header, &[]).expect("the recorded settings can be read");
    let outcome = replay(&recording, &world, &|| ());
    assert!(outcome.differences.is_empty(), "{name}: {}", outcome.differences[0]);
    let is_blocking = recording.header.settings.iter().any(|(setting, _)| setting == "SURMISE_BLOCKING");
    assert!(outcome.unfinished == 0 || !is_blocking, "{name}: compiles did not end");
    recording
}

fn events(bytes: &[u8]) -> Vec<Event> {
    let mut reader = Reader::new(bytes).expect("it begins as a recording");
    std::iter::from_fn(|| reader.next_event().expect("it can be read")).collect()
}

/// Identical decisions, identical code, on the benchmark programs; and the same run gives the same recording.
#[test]
fn programs_replay_identically() {
    for program in programs("benches/programs") {
        let name = program.display().to_string();
        let blocking: &[(&str, &Path)] = &[("SURMISE_BLOCKING", on())];
        let bytes = recorded(&program, blocking);
        let recording = check_replay(&name, &bytes);
        assert!(!recording.compiles.is_empty(), "{name} compiles nothing");
        // Where chunks end depends on how fast the machine is; what is in them does not.
        assert!(
            events(&recorded(&program, blocking)) == events(&bytes),
            "{name}: the same run, and other events"
        );
        // As programs are run: compiles and deopts come when they come.
        check_replay(&name, &recorded(&program, &[]));

        // What one may pay for it.
        let units: std::collections::BTreeSet<_> = recording.planned().map(|planned| planned.unit).collect();
        let allowed = 4096 * units.len() + 2 * recording.logged_records();
        assert!(bytes.len() <= allowed, "{name}: {} bytes, {allowed} allowed", bytes.len());
        for folder in ["benches", "programs/", "/home", env!("CARGO_MANIFEST_DIR")] {
            let names = recording.units.values().find(|unit| unit.name.contains(folder));
            assert!(names.is_none(), "{name}: a path stands in the recording");
        }
    }
}

#[test]
fn stress_and_the_portable_backend_replay_identically() {
    let hard: &[(&str, &Path)] =
        &[("SURMISE_BLOCKING", on()), ("SURMISE_NODELAY", on()), ("SURMISE_DEOPT_EVERY", Path::new("3"))];
    let portable: &[(&str, &Path)] = &[
        ("SURMISE_BLOCKING", on()),
        ("SURMISE_BACKEND", Path::new("portable")),
        ("SURMISE_SEED", Path::new("7")),
    ];
    let bounded: &[(&str, &Path)] = &[
        ("SURMISE_BLOCKING", on()),
        ("SURMISE_FUEL", Path::new("40")),
        ("SURMISE_PASSES", Path::new("-hoist")),
    ];
    for settings in [hard, portable, bounded] {
        for name in ["list", "phases"] {
            let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/programs").join(name);
            let recording = check_replay(name, &recorded(&program.with_extension("lua"), settings));
            assert_eq!(recording.header.settings.len(), settings.len());
            assert!(!recording.compiles.is_empty());
        }
    }
}

/// The stories (each plan, the IR behind each pass, all machine code) are the same with a recording and without.
#[test]
fn recording_changes_nothing() {
    for program in programs("benches/programs") {
        let story = |recording: Option<&Path>| {
            let file = Scratch::new("story.txt");
            let mut settings: Vec<(&str, &Path)> = vec![("SURMISE_BLOCKING", on()), ("SURMISE_LOG", &file.0)];
            if let Some(path) = recording {
                settings.extend([("SURMISE_RECORD", path), ("SURMISE_RECORD_ARGUMENTS", Path::new("3"))]);
            }
            let output = run(&program, &settings, &["1"]);
            (output, std::fs::read(&file.0).expect("the story was written"))
        };
        let file = Scratch::new("inert.surmise");
        let (alone, with) = (story(None), story(Some(&file.0)));
        assert!(alone.1.len() > 1000, "{} has no story", program.display());
        assert!(alone == with, "{}: recorded, it is compiled otherwise", program.display());
        let recording = read(&file.0).expect("the recording can be read");
        let has_arguments = |planned: Planned| {
            recording.arguments.iter().any(|at| (at.unit, at.entry) == (planned.unit, planned.entry))
        };
        assert!(recording.planned().any(has_arguments), "{}: no arguments", program.display());
    }
}

/// What the optimizer makes of the corpus is what was reviewed.
#[test]
fn corpus() {
    let mut changed = Vec::new();
    for program in PROGRAMS {
        let (recording, expected) = files(program);
        let text = describe(&read(&recording).expect("a recording of the corpus can be read"));
        let expected = std::fs::read_to_string(&expected).expect("the corpus is whole");
        if text.as_ref() != Ok(&expected) {
            changed.push(*program);
        }
    }
    assert!(
        changed.is_empty(),
        "{changed:?} are compiled otherwise; `cargo run --release -p surmise-tests --bin corpus` shows how, \
         with --bless it becomes what is expected"
    );
}

/// The smallest recording of the corpus.
fn seed() -> Vec<u8> {
    let all = PROGRAMS.iter().map(|program| std::fs::read(files(program).0).expect("the corpus is whole"));
    all.min_by_key(Vec::len).expect("there is a corpus")
}

/// Reads, and if that goes well does with it what the command does. Returns whether it went well.
fn use_all(bytes: &[u8]) -> bool {
    let Ok(recording) = Recording::read(bytes) else { return false };
    let Ok(world) = World::new(&recording.header, &[]) else { return false };
    let jobs = plan(&recording, &world.config).jobs;
    for replayed in compile_all(&recording.header, &world, jobs, Asked { story: false, trail: true }, &|| ())
    {
        if let Err(surmise::compile::Rejection::Panic(text)) = replayed.compiled.result {
            panic!("a compile panicked: {text}");
        }
    }
    // Each runs a few thousand functions.
    if bytes.len().is_multiple_of(4) {
        execute(&recording, &world, &|| ());
    }
    true
}

#[test]
fn truncated_recordings_are_read_to_their_last_chunk_or_refused() {
    let bytes = seed();
    let whole = Recording::read(&bytes[..]).expect("the seed can be read");
    for length in 0..bytes.len() {
        if let Ok(recording) = Recording::read(&bytes[..length]) {
            assert!(recording.steps.len() <= whole.steps.len());
            assert!(recording.end.is_none(), "{length}: an end where there is none");
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    let bytes = seed();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // A length that grows makes the chunk end behind the file: that looks like a crash, and nothing behind is believed.
        if let Ok(recording) = Recording::read(&flipped[..]) {
            assert!(recording.is_torn, "bit {bit} is not noticed");
        }
    }
}

/// Chunks with right checksums and wrong content: what somebody writes who wants to do harm. `RANDOM_SEEDS` says how many.
#[test]
fn wrong_fields_are_errors_and_never_panics() {
    let bytes = seed();
    let (start, mut rest) = (&bytes[..12], &bytes[12..]);
    let mut raws = Vec::new();
    while let Some(raw) = read_chunk(&mut rest).expect("the seed is whole") {
        assert!(raw.len() > CHUNK_HEADER);
        raws.push(raw);
    }
    let seeds = Seeds::from_env(400);
    let mut went_well = 0;
    for seed in seeds.range() {
        let mut random = Random::new(seed);
        let mut changed = raws.clone();
        let chosen = random.below(raws.len());
        for _ in 0..1 + random.below(3) {
            damage(&mut random, &mut changed[chosen]);
        }
        let mut file = start.to_vec();
        changed.iter().for_each(|raw| file.extend(chunk(raw)));
        match catch_unwind(AssertUnwindSafe(|| use_all(&file))) {
            Ok(well) => went_well += usize::from(well),
            Err(_) => panic!("RANDOM_FIRST={seed} RANDOM_SEEDS=1 panics"),
        }
    }
    println!("{} damaged recordings, {went_well} of them still mean something", seeds.count);
}

/// A file that can't grow ends the recording with one warning, and not the program.
#[test]
fn a_full_disk_ends_the_recording_only() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        println!("skipped: there is no /dev/full here");
        return;
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/programs/queens.lua");
    let output = Command::new(COMMAND).arg(&program).env("SURMISE_RECORD", full).output().expect("lua runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("the recording to /dev/full ends here"), "{errors}");
}
