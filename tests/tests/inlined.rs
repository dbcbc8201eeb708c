//! Inlined frames in real programs: guesses that fail in them, below natives that call back, and recordings of such programs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use surmise::replay::{Recording, World, replay};
use surmise_tests::{INTERPRETER, Mode, run};

const LIMIT: Duration = Duration::from_secs(60);

/// `twice` is inlined into `half`, and that into `work`, which runs below natives. What comes out of the box as no integer makes a guess fail
/// when `half` has been handed an object, and has made another one.
const PROGRAM: &str = r#"
local function twice(x) return x + x end
local function half(box)
  local pair = { box }
  local x = box[1]
  pair[2] = x
  local sum = twice(x)
  box[1] = sum
  return pair[2] + pair[1][1]
end
local function work(x)
  local box = { x }
  local sum = half(box)
  return sum + box[1], box
end
-- The interpreter goes on with what it calls last: this.
local function call(x)
  local sum, box = work(x)
  return sum, box
end
local s, boxes = 0, {}
for i = 1, 4000 do
  local sum, box = below(depth, call, i > 3500 and i % 7 == 0 and i + 0.5 or i)
  s, boxes[i] = s + sum, box
end
for i = 1, 4000 do s = s + boxes[i][1] end
print(s)
"#;

fn program(name: &str) -> PathBuf {
    let prelude = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/lua/prelude.lua");
    let prelude = std::fs::read_to_string(prelude).expect("the prelude is there");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, prelude + PROGRAM).expect("the folder for tests' files can be written");
    file
}

/// Without delay, `work` would be compiled before anything is known of `half`.
fn settings(more: &[(&'static str, &'static str)]) -> &'static [(&'static str, &'static str)] {
    let small = [("SURMISE_BLOCKING", "1"), ("SURMISE_NURSERY", "512")];
    Vec::leak([&small[..], more].concat())
}

#[test]
fn a_guess_fails_in_an_inlined_frame_of_a_nested_runloop_with_the_smallest_nursery() {
    let file = program("inlined.lua");
    let lua = Path::new(env!("CARGO_BIN_EXE_lua-inlined"));
    let ways: [&[(&str, &str)]; 4] = [
        &[],
        &[("SURMISE_BACKEND", "portable")],
        &[("SURMISE_DEOPT_EVERY", "3")],
        &[("SURMISE_DEOPT_EVERY", "5"), ("SURMISE_DEOPT_ALL_EVERY", "70")],
    ];
    for depth in ["1", "2", "3"] {
        let expected = run(lua, INTERPRETER, &file, &[depth], LIMIT).expect("the interpreter runs it");
        assert_eq!(expected.code, Some(0), "{}", expected.errors);
        for way in ways {
            let mode = Mode { name: "inlined", arguments: &["--stats"], settings: settings(way) };
            let found = run(lua, mode, &file, &[depth], LIMIT).expect("it can be run");
            assert_eq!((found.code, &found.output), (Some(0), &expected.output), "depth {depth}, {way:?}");
            let mut rows = found.errors.lines();
            let failed = rows.find_map(|row| row.trim().strip_prefix("inlined frames, guards failed"));
            let failed: Option<u64> = failed.and_then(|count| count.trim().parse().ok());
            assert!(failed > Some(0), "depth {depth}, {way:?}: no guess failed in an inlined frame");
        }
    }
}

#[test]
fn recordings_of_inlined_units_replay_to_the_last_byte() {
    let file = program("recorded.lua");
    let recorded = file.with_extension("slog");
    let path: &'static str = Box::leak(recorded.display().to_string().into_boxed_str());
    let settings = settings(&[("SURMISE_RECORD", path)]);
    let mode = Mode { name: "recorded", arguments: &[], settings };
    let lua = Path::new(env!("CARGO_BIN_EXE_lua-inlined"));
    let ran = run(lua, mode, &file, &["1"], LIMIT).expect("it can be run");
    assert_eq!(ran.code, Some(0), "{}", ran.errors);
    let recording = Recording::read(File::open(&recorded).expect("there is a recording"));
    let recording = recording.unwrap_or_else(|error| panic!("{error}"));
    let frames = |unit: &surmise::replay::RecordedUnit| {
        unit.functions.values().flatten().map(|function| function.frames.len()).max()
    };
    assert!(
        recording.units.values().any(|unit| frames(unit) > Some(2)),
        "calls were inlined in inlined calls"
    );
    let world = World::new(&recording.header, &[]).expect("its machine is this one");
    let outcome = replay(&recording, &world, &|| {});
    assert!(outcome.compared > 0 && outcome.differences.is_empty(), "{:?}", outcome.differences);
}
