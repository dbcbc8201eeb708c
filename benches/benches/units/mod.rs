//! What the benchmark programs would have compiled: the jobs that the service plans while they run at their small sizes.

use std::path::Path;
use std::sync::{Arc, Mutex};
use surmise::compile::Job;
use surmise::config::Config;
use surmise_lua::heap::HeapSettings;
use surmise_lua::state::State;
use surmise_lua::surmise::start_service;
use surmise_lua::value::Value;

/// Sizes at which an iteration takes some milliseconds, as in the table of the comparison.
const PROGRAMS: &[(&str, &str)] = &[
    ("richards", "1000"),
    ("deltablue", "100"),
    ("havlak", "6"),
    ("json", "30"),
    ("nbody", "700"),
    ("queens", "8"),
    ("permute", "7"),
    ("sieve", "70000"),
    ("bounce", "200"),
    ("storage", "7"),
    ("spectralnorm", "40"),
    ("tokenizer", "25"),
];

/// The jobs of all programs.
pub fn planned() -> Vec<Job> {
    PROGRAMS.iter().flat_map(|&(name, size)| planned_by(name, size)).collect()
}

fn planned_by(name: &str, size: &str) -> Vec<Job> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name).with_extension("lua");
    let source = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let jobs: Arc<Mutex<Vec<Job>>> = Arc::default();
    // Blocking: the same candidates are planned each time.
    let config = Config { blocking: true, ..Config::default() };
    let service = start_service(config).expect("there is code for this machine");
    let seen = jobs.clone();
    service.set_watcher(Box::new(move |job| {
        // The service cancels what is its own when it stops.
        let job = Job { cancelled: Arc::default(), ..job.clone() };
        seen.lock().expect("nobody panics").push(job);
    }));
    let mut state = State::new(HeapSettings::default());
    state.output_is_terminal = false;
    state.connect(service).expect("Surmise can be plugged in");
    state.open_libraries();
    let globals = Value::table(state.globals);
    let chunk = state.load(&source, &format!("@{name}.lua"), globals);
    let chunk = chunk.unwrap_or_else(|_| panic!("{name} has a syntax error"));
    let arguments = ["5", size].map(|text| state.string_value(text.as_bytes()));
    let result = state.call(Value::closure(chunk), &arguments, Some(0));
    assert!(result.is_ok(), "{name} failed");
    state.output.clear();
    drop(state);
    let jobs = std::mem::take(&mut *jobs.lock().expect("nobody panics"));
    assert!(!jobs.is_empty(), "{name} makes no unit hot");
    jobs
}
