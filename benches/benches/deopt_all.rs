//! Deoptimization of everything: what a request costs by frames, and when it concerns nothing; what going into native code costs; how
//! long a request waits for busy threads, and for isolates whose threads are away. And what code pays for being ready: calls with and
//! without landing pads.
//!
//! Rows that end in `_p99` are not means: they say within which time 99 of 100 requests are done.

#![allow(unsafe_code, reason = "compiled code is entered")]

#[path = "../../deopt/tests/native/assembler.rs"]
#[allow(dead_code, reason = "not every instruction is needed here")]
mod assembler;
#[path = "../../deopt/tests/native/host.rs"]
#[allow(dead_code, reason = "not every method is needed here")]
mod host;
#[path = "../../deopt/tests/native/units/mod.rs"]
#[allow(dead_code, reason = "not every unit is needed here")]
mod units;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use host::{INT, TestHost, int, language};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;
use surmise::compile::{Compiled, Job, compile, functions_behind};
use surmise::config::Config;
use surmise::lower::{LowerSettings, lower};
use surmise::service::{Compiler, Service};
use surmise_deopt::deopt_all::{Reason, Report, Request, Which};
use surmise_deopt::entry::EntryCell;
use surmise_deopt::host::{GuestResults, Thrown};
use surmise_deopt::isolate::Isolate;
use surmise_deopt::loaded::CodeSpace;
use surmise_deopt::runloop::{Outcome, Runloop};
use surmise_deopt::slots::SlotValue;
use surmise_ir::entity::UnitId;
use surmise_lua::heap::HeapSettings;
use surmise_lua::state::State;
use surmise_lua::value::Value;
use units::{METHODS, Method};

const EVERYTHING: Request = Request { which: Which::All, reason: Reason::Requested };
/// Room for ten thousand compiled frames in the portable backend, which are the largest.
const NATIVE_STACK: usize = 256 << 20;
/// Requests of which the slowest hundredth is left out.
const REQUESTS_PER_SAMPLE: usize = 200;

fn install(isolate: &Isolate, image: impl Into<surmise_deopt::candidate::Image>) {
    // SAFETY: the units are what they say; their slots hold integers.
    unsafe { isolate.install(image, &mut |_| Some(SlotValue::pair(INT, 7))) }.expect("it is installed");
}

/// A unit of an isolate that outlives the bench.
fn cell_of(isolate: &Isolate, unit: UnitId) -> &'static EntryCell {
    let cell: &'static EntryCell = Box::leak(Box::new(EntryCell::new()));
    // SAFETY: the cell lives for ever.
    unsafe { isolate.register_unit(unit, NonNull::from(cell)) };
    cell
}

/// Requests with a recursion of compiled frames on the stack, and what each reported.
struct Recursion {
    runloop: surmise_deopt::runloop::RunloopGuard<TestHost>,
    host: TestHost,
    cell: &'static EntryCell,
    method: Method,
    depth: usize,
}

impl Recursion {
    fn new(method: Method, frames: usize) -> Recursion {
        let (runloop, mut host) = TestHost::new();
        host.stack = vec![0; (frames + 16) * 4].into();
        let (cell, _) = host.unit(UnitId(1));
        Recursion { runloop, host, cell, method, depth: frames - 1 }
    }
    /// Goes down, asks there so many times, and leaves by an error.
    fn ask(&mut self, times: usize) -> Vec<Report> {
        let Recursion { runloop, host, cell, method, depth } = self;
        install(&host.isolate, units::recursive(*method, UnitId(1), cell));
        let (send, receive) = mpsc::channel();
        host.callback = Some(Box::new(move |host, _, _| {
            for _ in 0..times {
                // SAFETY: in a callback, by the only thread.
                let report = unsafe { host.isolate.deopt_all(EVERYTHING) };
                send.send(report).expect("somebody listens");
            }
            Err(Thrown)
        }));
        host.set(1, int(*depth as i64));
        assert_eq!(host.enter(runloop, cell, 1, 1), Outcome::Thrown);
        // SAFETY: no runloop is active.
        unsafe { host.isolate.reclaim() };
        receive.try_iter().collect()
    }
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deopt_all/frames");
    for method in METHODS {
        for frames in [10, 100, 1_000, 10_000] {
            let mut recursion = Recursion::new(method, frames);
            group.throughput(Throughput::Elements(frames as u64));
            group.bench_function(BenchmarkId::new(format!("{method:?}"), frames), |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| recursion.ask(1)[0].time).sum());
            });
            assert_eq!(recursion.ask(1)[0].frames, frames);
        }
    }
    group.finish();
    let mut recursion = Recursion::new(Method::Return, 10);
    criterion.bench_function("deopt_all/concerns_nothing", |bencher| {
        bencher.iter_custom(|rounds| {
            let reports = recursion.ask(rounds as usize + 1);
            assert_eq!(reports[1].candidates, 0);
            reports[1..].iter().map(|report| report.time).sum()
        });
    });
}

fn native_code(criterion: &mut Criterion) {
    let (runloop, _host) = TestHost::new();
    criterion.bench_function("deopt_all/into_native_code_and_back", |bencher| {
        bencher.iter(|| {
            // SAFETY: outside of compiled code.
            unsafe { runloop.leave() };
            runloop.come_back();
        });
    });
}

/// What all but the slowest hundredth took at most.
fn percentile_99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}

fn run_busily(isolate: Arc<Isolate>, cell: &'static EntryCell, is_over: &AtomicBool) {
    let (runloop, mut host) = TestHost::of(isolate);
    host.poll = Some(Box::new(|_, _| Ok(())));
    host.call_unit = Some(Box::new(|_, _, _, _| Ok(GuestResults::pair(INT as u32, 7, 0))));
    while !is_over.load(Ordering::Relaxed) {
        runloop.take_poll();
        if !cell.is_compiled() {
            std::thread::yield_now();
            continue;
        }
        host.set(1, int(20_000));
        assert_ne!(host.enter(&runloop, cell, 1, 1), Outcome::Thrown);
        host.committed.clear();
    }
}

fn busy_threads(criterion: &mut Criterion) {
    for threads in [1, 8] {
        let space = CodeSpace::new(1 << 20).expect("an arena");
        let isolate = TestHost::isolate(&space, &language());
        let cell = cell_of(&isolate, UnitId(1));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| run_busily(isolate.clone(), cell, &is_over));
            }
            while isolate.runloop_count() < threads {
                std::thread::yield_now();
            }
            let request = || {
                install(&isolate, units::busy(Method::Return, UnitId(1)));
                // They are to be in their loops by then.
                std::thread::sleep(Duration::from_micros(200));
                // SAFETY: this thread has no runloop here.
                let report = unsafe { isolate.deopt_all(EVERYTHING) };
                assert_eq!((report.candidates, report.runloops), (1, threads));
                report.time
            };
            samples(criterion, &format!("deopt_all/{threads}_busy_threads_p99"), request);
            is_over.store(true, Ordering::Relaxed);
        });
    }
}

fn isolates_away(criterion: &mut Criterion) {
    const ISOLATES: usize = 64;
    let space = CodeSpace::new(1 << 20).expect("an arena");
    let isolates: Vec<_> = (0..ISOLATES).map(|_| TestHost::isolate(&space, &language())).collect();
    for isolate in &isolates {
        cell_of(isolate, UnitId(1));
    }
    let (started, is_over) = (Barrier::new(ISOLATES + 1), Barrier::new(ISOLATES + 1));
    std::thread::scope(|scope| {
        for isolate in &isolates {
            scope.spawn(|| {
                let (runloop, _host): (_, TestHost) = TestHost::of(isolate.clone());
                let runloop: &Runloop<TestHost> = &runloop;
                // SAFETY: outside of compiled code.
                unsafe { runloop.leave() };
                started.wait();
                is_over.wait();
                runloop.come_back();
            });
        }
        started.wait();
        let request = || {
            isolates.iter().for_each(|isolate| install(isolate, units::busy(Method::Return, UnitId(1))));
            // SAFETY: this thread has no runloop here.
            let report = unsafe { space.deopt_everywhere(Reason::Requested) };
            assert_eq!(report.candidates, ISOLATES);
            report.time
        };
        samples(criterion, &format!("deopt_all/{ISOLATES}_isolates_away_p99"), request);
        is_over.wait();
    });
}

/// A row of 99th percentiles. A round of criterion's counts as long as all but the slowest hundredth of so many requests took at most.
fn samples(criterion: &mut Criterion, name: &str, mut request: impl FnMut() -> Duration) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let sample = percentile_99((0..REQUESTS_PER_SAMPLE).map(|_| request()).collect());
            sample * u32::try_from(rounds).unwrap_or(u32::MAX)
        });
    });
}

/// Calls all the time, and does little else.
const FIB: &str =
    "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib";
const FIB_ARGUMENT: i64 = 20;

/// Compiles as always, but for landing pads.
fn compiler(without_landing_pads: bool) -> Compiler {
    Arc::new(move |job: &Job, language, config, target, asked| {
        let compiled = compile(job, language, config, target, asked);
        let (lifted, mut versions) =
            functions_behind(job, language, config).expect("it was compiled just now");
        let function = versions.pop().map_or(lifted, |(_, function)| function);
        let settings = LowerSettings { without_landing_pads, ..LowerSettings::default() };
        let lowered = lower(&function, language, &settings, target.expect("machine code"));
        let image = lowered.expect("it was lowered just now").image;
        let pads = image.calls.sites.iter().filter(|site| site.landing_pad.is_some()).count();
        assert_eq!(pads == 0, without_landing_pads);
        Compiled { result: compiled.result.map(|_| image.into()), ..compiled }
    })
}

/// The same program with landing pads and without: their blocks are cold, calls are the same.
fn landing_pads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deopt_all/fib");
    for (name, without_landing_pads) in [("with_landing_pads", false), ("without_landing_pads", true)] {
        let language = surmise_lua::surmise::language::language().expect("Lua's language");
        let config = Config { blocking: true, ..Config::default() };
        let service =
            Service::start_with(Arc::new(language), Arc::new(config), compiler(without_landing_pads));
        let mut state = State::new(HeapSettings::default());
        state.connect(service.expect("there is code for this machine")).expect("Surmise can be plugged in");
        state.open_libraries();
        let globals = Value::table(state.globals);
        let Ok(chunk) = state.load(FIB.as_bytes(), "=fib", globals) else { panic!("fib has a syntax error") };
        let Ok(made) = state.call(Value::closure(chunk), &[], Some(1)) else { panic!("fib can't be made") };
        // The collector finds it there.
        state.runloop.pins.push(made[0]);
        let mut fib = || {
            let function = *state.runloop.pins.last().expect("it was pinned");
            let Ok(results) = state.call(function, &[Value::int(FIB_ARGUMENT)], Some(1)) else {
                panic!("fib failed")
            };
            assert_eq!(results[0].as_int(), 6765);
        };
        (0..100).for_each(|_| fib());
        group.bench_function(name, |bencher| bencher.iter(&mut fib));
    }
    group.finish();
}

fn quick() -> Criterion {
    let config = Criterion::default().sample_size(20);
    config.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = quick();
    targets = frames, native_code, busy_threads, isolates_away, landing_pads
}

/// As `criterion_main!`, on a thread whose stack is large enough.
fn main() {
    let work = || {
        benches();
        Criterion::default().configure_from_args().final_summary();
    };
    let thread = std::thread::Builder::new().stack_size(NATIVE_STACK).spawn(work);
    thread.expect("a thread").join().expect("the benches come to their end");
}
