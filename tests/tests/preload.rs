//! Preload: processes that start with an earlier one's candidates compute the same, and what doesn't fit is refused by name.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use surmise::ir::generate::Random;
use surmise::preload::{Emitted, Header, Key, PreloadFile, PreloadedCandidate, emit, write};
use surmise::record::codec::{CHUNK_HEADER, chunk, read_chunk};
use surmise::replay::{Recording, World};
use surmise_tests::damage::damage;
use surmise_tests::differential::generate;
use surmise_tests::random::Seeds;
use surmise_tests::scratch::Scratch;
use surmise_tests::{programs, remove_settings};

const COMMAND: &str = env!("CARGO_BIN_EXE_lua-under-test");
const NATIVE: &[(&str, &str)] = &[("SURMISE_BLOCKING", "1")];
const PORTABLE: &[(&str, &str)] = &[("SURMISE_BLOCKING", "1"), ("SURMISE_BACKEND", "portable")];
const HARD: &[(&str, &str)] = &[("SURMISE_BLOCKING", "1"), ("SURMISE_DEOPT_EVERY", "3")];

struct Ran {
    output: String,
    errors: String,
    code: Option<i32>,
}

fn run(program: &Path, settings: &[(&str, &str)], flags: &[&str]) -> Ran {
    let mut command = Command::new(COMMAND);
    remove_settings(&mut command);
    let command = command.args(flags).arg(program).arg("2").envs(settings.iter().copied());
    let ran = command.output().expect("lua runs");
    Ran {
        output: String::from_utf8_lossy(&ran.stdout).into_owned(),
        errors: String::from_utf8_lossy(&ran.stderr).into_owned(),
        code: ran.status.code(),
    }
}

/// What a run of a program makes for later ones.
fn emitted(program: &Path, settings: &[(&str, &str)]) -> Emitted {
    let file = Scratch::new("preload.surmise");
    let record = file.0.to_str().expect("temporary files have plain names");
    let ran = run(program, &[settings, &[("SURMISE_RECORD", record)]].concat(), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.errors);
    let bytes = std::fs::read(&file.0).expect("the recording was written");
    let recording = Recording::read(&bytes[..]).expect("it can be read");
    let world = World::new(&recording.header, &[]).expect("the settings can be read");
    emit(&recording, &world, &|| ())
}

fn queens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/programs/queens.lua")
}

/// The figures of a run that starts with these bytes, and what it prints.
fn preloaded(program: &Path, settings: &[(&str, &str)], bytes: &[u8]) -> (serde_json::Value, Ran) {
    let file = Scratch::new("preload.spesh");
    std::fs::write(&file.0, bytes).expect("there is room");
    let preload = file.0.to_str().expect("temporary files have plain names");
    let ran = run(program, &[settings, &[("SURMISE_PRELOAD", preload)]].concat(), &["--stats=json"]);
    // The report is the last thing on stderr; on stdout stands what the program prints.
    let report = ran.errors.find('{').map_or(serde_json::Value::Null, |at| {
        serde_json::from_str(&ran.errors[at..]).unwrap_or_else(|error| panic!("{error}: {}", ran.errors))
    });
    (report["surmise"]["preload"].clone(), ran)
}

/// All programs, in both backends and with guards that fail on purpose, print what they print without a file; and most of what the file
/// has is bound.
#[test]
fn programs_that_start_warm_compute_the_same() {
    for (name, settings, all) in
        [("native", NATIVE, true), ("portable", PORTABLE, false), ("failing", HARD, false)]
    {
        let (mut in_files, mut bound) = (0, 0);
        for program in programs("benches/programs") {
            let stem = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if !all && !["list", "phases", "richards", "queens"].contains(&stem.as_str()) {
                continue;
            }
            let emitted = emitted(&program, settings);
            assert!(emitted.skipped.is_empty(), "{stem}: {:?}", emitted.skipped);
            let (figures, ran) = preloaded(&program, settings, &emitted.to_bytes(None));
            let expected = run(&program, &[("SURMISE_DISABLE", "1")], &[]);
            assert_eq!((ran.code, &ran.output), (Some(0), &expected.output), "{stem}: {}", ran.errors);
            assert!(figures["refused"].is_null(), "{stem}: {figures}");
            assert_eq!(figures["candidates"], emitted.candidates.len());
            in_files += emitted.candidates.len();
            bound += figures["bound"].as_u64().unwrap_or(0) as usize;
        }
        println!("{name}: {bound} of {in_files} candidates were bound");
        assert!(bound * 10 >= in_files * 7, "{name}: {bound} of {in_files} were bound");
    }
}

/// A second class comes up late. The file's candidates know both; they are bound with stand-ins for what was not seen of it, and again
/// when it has come up: nothing is compiled.
const LATE: &str = "
local Square, Circle = {}, {}
Square.__index, Circle.__index = Square, Circle
function Square:area() return self.side * self.side end
function Circle:area() return self.radius * self.radius * 3 end
local square = setmetatable({ side = 2 }, Square)
local circle = setmetatable({ name = 'c', radius = 1 }, Circle)
local function sum(figures)
  local sum = 0
  for i = 1, #figures do sum = sum + figures[i]:area() end
  return sum
end
local total = 0
for phase = 1, 2 do
  local figures = { square, phase == 1 and square or circle, square }
  for i = 1, 3000 do total = total + sum(figures) end
end
print(total)
";

#[test]
fn what_was_not_seen_yet_has_stand_ins() {
    let program = Scratch::new("late.lua");
    std::fs::write(&program.0, LATE).expect("there is room");
    for settings in [NATIVE, PORTABLE] {
        let emitted = emitted(&program.0, settings);
        let (figures, ran) = preloaded(&program.0, settings, &emitted.to_bytes(None));
        assert_eq!((ran.code, ran.output.as_str()), (Some(0), "69000\n"), "{}", ran.errors);
        assert!(figures["stand_ins"].as_u64() > Some(0), "{figures}");
        assert!(figures["replaced"].as_u64() > Some(0), "{figures}");
        assert!(figures["unbound"].as_object().is_some_and(serde_json::Map::is_empty), "{figures}");
    }
}

/// A file for one program does nothing to another: no unit has its content.
#[test]
fn other_programs_are_left_alone() {
    let bytes = emitted(&queens(), NATIVE).to_bytes(None);
    let (figures, ran) = preloaded(&queens().with_file_name("list.lua"), NATIVE, &bytes);
    assert_eq!((ran.code, &figures["bound"]), (Some(0), &serde_json::json!(0)), "{figures}");
}

/// Changed where it matters, a program is compiled anew; what was not changed starts warm.
#[test]
fn changed_units_are_refused() {
    let text = std::fs::read_to_string(queens()).expect("it is there");
    let changed = Scratch::new("queens.lua");
    let bytes = emitted(&queens(), NATIVE).to_bytes(None);
    // Another file's name: nothing fits.
    std::fs::write(&changed.0, &text).expect("there is room");
    let (figures, _) = preloaded(&changed.0, NATIVE, &bytes);
    assert_eq!(figures["bound"], 0, "{figures}");
    // The same name elsewhere, and one function with another constant.
    let folder = Scratch::new("elsewhere");
    std::fs::create_dir(&folder.0).expect("there is room");
    let path = folder.0.join("queens.lua");
    let (before, behind) = ("queen_columns[i] = 0", "queen_columns[i] = 1 - 1");
    assert!(text.contains(before));
    std::fs::write(&path, text.replacen(before, behind, 1)).expect("there is room");
    let (figures, ran) = preloaded(&path, NATIVE, &bytes);
    std::fs::remove_dir_all(&folder.0).expect("it is ours");
    assert_eq!(ran.output, "queens: ok 724\n");
    assert!(figures["bound"].as_u64() > Some(0), "{figures}");
}

fn refused(bytes: &[u8], settings: &[(&str, &str)]) -> String {
    let (figures, ran) = preloaded(&queens(), settings, bytes);
    assert_eq!((ran.code, ran.output.as_str()), (Some(0), "queens: ok 724\n"), "{}", ran.errors);
    let reason = figures["refused"].as_str().unwrap_or_else(|| panic!("not refused: {figures}"));
    let first = ran.errors.lines().next().unwrap_or("");
    assert!(first.contains(reason) && first.ends_with("the program goes on without it"), "{first}");
    reason.to_owned()
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let emitted = emitted(&queens(), NATIVE);
    let right = PreloadFile::read(emitted.to_bytes(None), None).expect("it was written just now");
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = right.header().clone();
        change(&mut header);
        write(header, &emitted.candidates, None)
    };
    for (bytes, settings, expected) in [
        (with(&|header| header.surmise = "0.0.1".to_owned()), NATIVE, "version: made by Surmise 0.0.1"),
        (with(&|header| header.build = "0".to_owned()), NATIVE, "build: made by build 0 of Surmise"),
        (with(&|header| header.language.1 = [0; 32]), NATIVE, "language: made for lua, in another form"),
        (
            with(&|header| header.target = Some(vec!["has_everything".to_owned()])),
            NATIVE,
            "target: its code needs has_everything",
        ),
        (with(&|_| ()), PORTABLE, "backend: made for the native backend"),
        (
            with(&|_| ()),
            HARD,
            "settings: made under the default settings, this process has SURMISE_DEOPT_EVERY=3",
        ),
        (b"no such file".to_vec(), NATIVE, "this is no preload file"),
        (Vec::new(), NATIVE, "this is no preload file"),
        (with(&|_| ())[..600].to_vec(), NATIVE, "chunk 0, at byte 12: the file ends within it"),
    ] {
        let reason = refused(&bytes, settings);
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[test]
fn seals() {
    let emitted = emitted(&queens(), NATIVE);
    let [key, other] =
        [b"a secret of 24 bytes ...", b"another one of 24 bytes."].map(|secret| Key::new(secret).unwrap());
    let (plain, sealed) = (emitted.to_bytes(None), emitted.to_bytes(Some(&key)));
    assert!(PreloadFile::read(sealed.clone(), Some(&key)).is_ok());
    assert!(PreloadFile::read(sealed.clone(), None).is_ok(), "who has no key trusts the file otherwise");
    for (bytes, key) in [(&sealed, &other), (&plain, &key)] {
        let error = PreloadFile::read(bytes.clone(), Some(key)).err().expect("another seal");
        assert!(error.to_string().starts_with("seal: "), "{error}");
    }
    // The whole way: settings, and a key that is too short.
    let file = Scratch::new("key");
    let path = file.0.to_str().expect("temporary files have plain names");
    std::fs::write(&file.0, b"a secret of 24 bytes ...").expect("there is room");
    let settings = [NATIVE, &[("SURMISE_PRELOAD_KEY", path)]].concat();
    assert!(preloaded(&queens(), &settings, &sealed).0["bound"].as_u64() > Some(0));
    assert!(refused(&plain, &settings).starts_with("seal: it was not made with the key"));
    std::fs::write(&file.0, b"short").expect("there is room");
    let (_, ran) = preloaded(&queens(), &settings, &sealed);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.errors.contains("SURMISE_PRELOAD_KEY=") && ran.errors.contains("at least 16"),
        "{}",
        ran.errors
    );
}

#[test]
fn a_missing_file_is_an_error_at_start() {
    let ran = run(&queens(), &[("SURMISE_PRELOAD", "/nowhere/app.spesh")], &[]);
    assert_eq!((ran.code, ran.output.as_str()), (Some(2), ""));
    assert!(ran.errors.contains("SURMISE_PRELOAD=/nowhere/app.spesh: "), "{}", ran.errors);
}

/// A recording of a warm run replays: what came from the file takes its number, and nothing else.
#[test]
fn warm_runs_replay_identically() {
    let bytes = emitted(&queens(), NATIVE).to_bytes(None);
    let file = Scratch::new("warm.surmise");
    let record = file.0.to_str().expect("temporary files have plain names");
    let (figures, _) = preloaded(&queens(), &[NATIVE, &[("SURMISE_RECORD", record)]].concat(), &bytes);
    let recording =
        Recording::read(&std::fs::read(&file.0).expect("it was written")[..]).expect("it can be read");
    let loaded = recording.planned().filter(|planned| planned.preloaded).count();
    assert!(loaded > 0 && figures["bound"] == loaded, "{figures}");
    let world = World::new(&recording.header, &[]).expect("the settings can be read");
    let outcome = surmise::replay::replay(&recording, &world, &|| ());
    assert!(outcome.differences.is_empty() && outcome.unfinished == 0, "{:?}", outcome.differences);
    // Nothing is emitted of what is not known.
    let again = emit(&recording, &world, &|| ());
    assert!(
        again.skipped.iter().all(|skipped| skipped.reason.contains("preload file")),
        "{:?}",
        again.skipped
    );
}

#[test]
fn every_truncation_and_every_flipped_bit_is_an_error() {
    let bytes = emitted(&queens().with_file_name("list.lua"), NATIVE).to_bytes(None);
    assert!(PreloadFile::read(bytes.clone(), None).is_ok());
    for length in 0..bytes.len() {
        assert!(PreloadFile::read(bytes[..length].to_vec(), None).is_err(), "{length}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(PreloadFile::read(flipped, None).is_err(), "bit {bit}");
    }
}

/// Reads all, and binds what there is; runs none of it. Returns whether it went well.
fn use_all(recording: &Recording, bytes: Vec<u8>) -> bool {
    let Ok(file) = PreloadFile::read(bytes, None) else { return false };
    let language = &recording.header.language;
    let candidates: Result<Vec<PreloadedCandidate>, _> = file.candidates(language).collect();
    let Ok(candidates) = candidates else { return false };
    for candidate in &candidates {
        for unit in recording.units.values() {
            let _ = surmise::preload::bind(candidate, &**unit, language, |_| None, &[], &[]);
        }
    }
    true
}

/// Files with right seals and wrong content: what somebody writes who wants to do harm. `RANDOM_SEEDS` says how many.
#[test]
fn wrong_fields_are_errors_and_never_panics() {
    for settings in [NATIVE, PORTABLE] {
        let file = Scratch::new("wrong.surmise");
        let record = file.0.to_str().expect("temporary files have plain names");
        run(&queens().with_file_name("list.lua"), &[settings, &[("SURMISE_RECORD", record)]].concat(), &[]);
        let recording =
            Recording::read(&std::fs::read(&file.0).expect("it was written")[..]).expect("it can be read");
        let world = World::new(&recording.header, &[]).expect("the settings can be read");
        let bytes = emit(&recording, &world, &|| ()).to_bytes(None);
        let (start, mut rest) = (&bytes[..12], &bytes[12..bytes.len() - 32]);
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
            let seal = blake3::hash(&file);
            file.extend(seal.as_bytes());
            match catch_unwind(AssertUnwindSafe(|| use_all(&recording, file))) {
                Ok(well) => went_well += u64::from(well),
                Err(_) => panic!("RANDOM_FIRST={seed} RANDOM_SEEDS=1 panics"),
            }
        }
        println!("{} damaged files, {went_well} of them still mean something", seeds.count);
    }
}

/// Random programs, recorded with every threshold at one and started again with what that gave: they print and end as interpreted ones do.
/// `RANDOM_SEEDS` says how many.
#[test]
fn random_programs_start_warm() {
    let eager: &[(&str, &str)] = &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1")];
    let lazy: &[(&str, &str)] = &[("SURMISE_BLOCKING", "1")];
    // The name is part of what units are.
    let (folder, record, preload) =
        (Scratch::new("random"), Scratch::new("r.surmise"), Scratch::new("r.spesh"));
    std::fs::create_dir_all(&folder.0).expect("there is room for temporary files");
    let source = folder.0.join("program.lua");
    let (mut in_files, mut bound) = (0, 0);
    for seed in Seeds::from_env(20).range() {
        std::fs::write(&source, generate::program(seed).text).expect("there is room for temporary files");
        let path =
            |scratch: &Scratch| scratch.0.to_str().expect("temporary files have plain names").to_owned();
        let expected = run(&source, &[("SURMISE_DISABLE", "1")], &[]);
        for settings in [eager, lazy] {
            run(&source, &[settings, &[("SURMISE_RECORD", &path(&record))]].concat(), &[]);
            let bytes = std::fs::read(&record.0).expect("the recording was written");
            let recording = Recording::read(&bytes[..]).expect("it can be read");
            let world = World::new(&recording.header, &[]).expect("the settings can be read");
            let emitted = emit(&recording, &world, &|| ());
            emitted.write(&preload.0, None).expect("there is room for temporary files");
            in_files += emitted.candidates.len();
            for settings in [eager, lazy, &[("SURMISE_BLOCKING", "1"), ("SURMISE_NURSERY", "512")]] {
                let preload = path(&preload);
                let settings = [settings, &[("SURMISE_PRELOAD", &preload)]].concat();
                let warm = run(&source, &settings, &[]);
                assert_eq!(
                    (warm.code, &warm.output, &warm.errors),
                    (expected.code, &expected.output, &expected.errors),
                    "RANDOM_FIRST={seed} RANDOM_SEEDS=1, {settings:?}"
                );
            }
            let again = Scratch::new("warm.surmise");
            run(
                &source,
                &[eager, &[("SURMISE_PRELOAD", &path(&preload)), ("SURMISE_RECORD", &path(&again))]].concat(),
                &[],
            );
            let bytes = std::fs::read(&again.0).expect("the recording was written");
            let recording = Recording::read(&bytes[..]).expect("it can be read");
            bound += recording.planned().filter(|planned| planned.preloaded).count();
        }
    }
    std::fs::remove_dir_all(&folder.0).expect("it is ours");
    println!("{bound} of {in_files} candidates were bound");
    assert!(bound > 0);
}
