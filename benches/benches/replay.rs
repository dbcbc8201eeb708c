//! Replay of a recording of many small units: functions of a few instructions, each its own. What counts is how many compiles a second
//! the processors replay.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write as _;
use std::time::Duration;
use surmise::config::Config;
use surmise::replay::{Recording, World, replay};
use surmise_lua::heap::HeapSettings;
use surmise_lua::state::State;
use surmise_lua::surmise::start_service;
use surmise_lua::value::Value;

/// How many functions there are.
const FUNCTIONS: usize = 1000;

/// A program of many small functions, all of them hot.
fn program() -> String {
    let mut source = String::from("local sum = 0\n");
    for number in 0..FUNCTIONS {
        let body = match number % 4 {
            0 => "return a + b".to_owned(),
            1 => format!("if a < b then return a end return b * {number}"),
            2 => format!("local c = a * {number} return c - b"),
            _ => format!("return (a + b) * (a - {number})"),
        };
        // Writing to a string can't fail.
        let _ = writeln!(source, "F{number} = function(a, b) {body} end");
    }
    source.push_str("local function call(f) local s = 0 for i = 1, 40 do s = f(i, 3) end return s end\n");
    let _ = write!(
        source,
        "for round = 1, 60 do for i = 0, {} do sum = sum + call(_G['F' .. i]) end end",
        FUNCTIONS - 1
    );
    source
}

/// The recording of it.
fn recorded() -> Recording {
    let file = std::env::temp_dir().join(format!("surmise-bench-{}.surmise", std::process::id()));
    let config = Config { blocking: true, record: Some(file.clone()), ..Config::default() };
    let service = start_service(config).expect("there is code for this machine");
    let mut state = State::new(HeapSettings::default());
    state.output_is_terminal = false;
    state.connect(service).expect("Surmise can be plugged in");
    state.open_libraries();
    let globals = Value::table(state.globals);
    let chunk = state.load(program().as_bytes(), "@small.lua", globals);
    let chunk = chunk.unwrap_or_else(|_| panic!("the program has a syntax error"));
    assert!(state.call(Value::closure(chunk), &[], Some(0)).is_ok(), "the program failed");
    drop(state);
    let bytes = std::fs::read(&file).expect("the recording was written");
    std::fs::remove_file(&file).expect("it is ours");
    Recording::read(&bytes[..]).expect("the recording can be read")
}

fn small_compiles(criterion: &mut Criterion) {
    let recording = recorded();
    let world = World::new(&recording.header, &[]).expect("the recorded settings can be read");
    let once = || {
        let outcome = replay(&recording, &world, &|| ());
        assert!(outcome.differences.is_empty(), "{}", outcome.differences[0]);
        outcome.compared
    };
    let compiles = once();
    assert!(compiles >= FUNCTIONS, "not all functions are compiled");
    let mut group = criterion.benchmark_group("replay");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Elements(compiles as u64));
    group.bench_function("small_compiles", |bencher| bencher.iter(once));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started");
    group.bench_function("small_compiles_on_one_thread", |bencher| bencher.iter(|| pool.install(once)));
    group.finish();
    // On a busy machine threads wait; what one does in the time that it really runs is the steadier figure.
    if let Some(time) = pool.install(|| {
        let start = processor_time()?;
        once();
        Some(processor_time()?.saturating_sub(start))
    }) {
        println!("{:.0} compiles a second and processor", compiles as f64 / time.as_secs_f64());
    }
}

/// How long this thread has run, where the system says so.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

criterion_group!(benches, small_compiles);
criterion_main!(benches);
