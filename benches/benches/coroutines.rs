//! Coroutines of the Lua host, and what is never changed: loops that live on switching, and on calls of globals and methods, each in
//! compiled code and in the interpreter. Times are for one round.

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use surmise::config::Config;
use surmise_lua::heap::HeapSettings;
use surmise_lua::state::State;
use surmise_lua::surmise::start_service;
use surmise_lua::value::Value;

/// Each is a function of the number of rounds.
const LOOPS: &[(&str, &str)] = &[
    (
        "yield_and_resume",
        "local co = coroutine.wrap(function() local yield = coroutine.yield; while true do yield(1) end end)
         return function(n) local sum = 0; for i = 1, n do sum = sum + co() end return sum end",
    ),
    (
        "create_run_finish",
        "local create, resume = coroutine.create, coroutine.resume
         local function body(a) return a end
         return function(n) for i = 1, n do resume(create(body), i) end end",
    ),
    (
        "global_function",
        "function bench_scale(x) return x + 1 end
         return function(n) local x = 0; for i = 1, n do x = bench_scale(x) end return x end",
    ),
    (
        "library_function",
        "return function(n) local x = 0; for i = 1, n do x = x + math.max(i, 5) end return x end",
    ),
    (
        "method",
        "local Account = {}; Account.__index = Account
         function Account:deposit(v) self.balance = self.balance + v end
         local account = setmetatable({ balance = 0 }, Account)
         return function(n) for i = 1, n do account:deposit(1) end end",
    ),
];

/// Rounds before anything is measured: enough for all candidates.
const WARM_UP: i64 = 200_000;

fn measured(name: &str, source: &str, with_surmise: bool, criterion: &mut Criterion) {
    let mut state = State::new(HeapSettings::default());
    if with_surmise {
        let service = start_service(Config { blocking: true, ..Config::default() });
        state.connect(service.expect("there is code for this machine")).expect("Surmise can be plugged in");
    }
    state.open_libraries();
    let globals = Value::table(state.globals);
    let chunk = state.load(source.as_bytes(), "=bench", globals);
    let chunk = chunk.unwrap_or_else(|_| panic!("{name} has a syntax error"));
    let made = state.call(Value::closure(chunk), &[], Some(1)).unwrap_or_else(|_| panic!("{name} failed"));
    // The collector finds it there.
    state.runloop.pins.push(made[0]);
    let place = state.runloop.pins.len() - 1;
    let mut run = |rounds: i64| {
        let function = state.runloop.pins[place];
        assert!(state.call(function, &[Value::int(rounds)], Some(0)).is_ok(), "{name} failed");
    };
    run(WARM_UP);
    let way = if with_surmise { "compiled" } else { "interpreted" };
    criterion.bench_function(&format!("{name}/{way}"), |bencher| {
        bencher.iter_custom(|rounds| {
            let start = std::time::Instant::now();
            run(i64::try_from(rounds).expect("fewer rounds than that"));
            start.elapsed()
        });
    });
}

fn coroutines(criterion: &mut Criterion) {
    for &(name, source) in LOOPS {
        for with_surmise in [true, false] {
            measured(name, source, with_surmise, criterion);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(2));
    targets = coroutines
}
criterion_main!(benches);
