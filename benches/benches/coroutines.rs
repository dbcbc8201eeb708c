//! Coroutines of the Lua host, and what is never changed: loops that live on switching, and on calls of globals and methods, each in
//! compiled code and in the interpreter. Times are for one round. What two switches cost with nothing else is `raw_switch`.

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;
use surmise::config::Config;
use surmise::deopt::stacks::{Coroutine, NativeStack, StackSize, switch};
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

/// Switches back as long as it runs.
unsafe fn switch_back(data: *mut u8, _: *mut u8) {
    // SAFETY: the coroutine is alive while it runs, and its link is the stack of who resumed it.
    unsafe {
        let (_, link) = Coroutine::park(data.cast());
        loop {
            switch(link, data);
        }
    }
}

/// There and back, by the link alone.
fn raw_switch(criterion: &mut Criterion) {
    let stack = NativeStack::map(StackSize { native: 64 << 10, room: 0 });
    let mut coroutine = Box::new(Coroutine::new(stack.expect("there is memory for a stack")));
    let this: *mut Coroutine = &raw mut *coroutine;
    // SAFETY: the coroutine outlives its body, which holds nothing that has to be dropped; the link is its own.
    unsafe {
        let handle = Coroutine::start(this, switch_back, this.cast()).expect("it is idle");
        let link = Coroutine::depart(this, handle).expect("it is suspended");
        switch(link, this.cast());
        criterion.bench_function("raw_switch", |bencher| bencher.iter(|| switch(link, this.cast())));
    }
}

fn coroutines(criterion: &mut Criterion) {
    raw_switch(criterion);
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
