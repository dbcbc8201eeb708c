//! Deoptimization of everything while a candidate is compiled, and from other threads at random, on real hosts. What strikes while
//! frames are rebuilt and candidates installed is in `deopt/tests/native/stress.rs`.
//!
//! `SEED=n cargo test --release -p surmise-tests --test stress` repeats what threads decide; a failure says its seed.
#![allow(unsafe_code, reason = "requests are unsafe: who asks is at a safepoint")]

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};
use surmise::compile::{Job, compile};
use surmise::config::Config;
use surmise::deopt::candidate::Image;
use surmise::deopt::isolate::Isolate;
use surmise::service::Compiler;
use surmise_tally::machine::Machine;
use surmise_tests::stress::lua::{self, ARGUMENTS, Lua, NAMES, with_stack};
use surmise_tests::stress::requester::{Desk, EVERYTHING};
use surmise_tests::stress::{Figures, WAYS, Way, seed};

/// Nothing here takes as long on any machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Settings under which compiles take their time: nobody waits for them.
fn in_the_background(way: Way) -> Config {
    Config { blocking: false, ..way.config() }
}

/// The thread that compiles asks for everything, in the middle of it: what was installed before goes, and its frames are left, but not
/// what is being compiled, which rests on nothing that has changed: it is installed.
#[test]
fn everything_is_deoptimized_during_a_compile() {
    const STRIKES: u64 = 4;
    let expected =
        std::thread::scope(|scope| with_stack(scope, lua::expected).join().expect("the interpreter"));
    for way in WAYS {
        let struck_isolate: Arc<OnceLock<Arc<Isolate>>> = Arc::default();
        let (strikes, frames) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        // Units that were being compiled at a strike.
        let struck: Arc<Mutex<Vec<surmise::ir::entity::UnitId>>> = Arc::default();
        let one_at_a_time = Mutex::new(());
        let (isolate, count, redirected, units) =
            (struck_isolate.clone(), strikes.clone(), frames.clone(), struck.clone());
        let compiler: Compiler = Arc::new(move |job: &Job, language, config, target, asked| {
            let compiled = compile(job, language, config, target, asked);
            let _turn = one_at_a_time.lock().expect("no compile panics");
            if count.load(Ordering::Relaxed) < STRIKES
                && compiled.result.is_ok()
                && let Some(isolate) = isolate.get()
            {
                // SAFETY: this thread has no runloop.
                let report = unsafe { isolate.deopt_all(EVERYTHING) };
                if report.candidates > 0 {
                    units.lock().expect("nobody panics with it").push(job.unit.id());
                    redirected.fetch_add(report.frames as u64, Ordering::Relaxed);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            compiled
        });
        let work = || {
            let mut lua = Lua::new(Some(in_the_background(way)), Some(compiler));
            let isolate = lua.isolate().expect("Surmise is plugged in");
            struck_isolate.get_or_init(|| isolate.clone());
            let is_installed = |isolate: &Isolate| {
                let struck = struck.lock().expect("nobody panics with it");
                let candidates = isolate.candidates();
                struck.iter().any(|unit| candidates.iter().any(|candidate| candidate.unit() == *unit))
            };
            let start = Instant::now();
            let mut round = 0;
            while strikes.load(Ordering::Relaxed) < STRIKES || !is_installed(&isolate) {
                let (program, argument) = (round % NAMES.len(), round / NAMES.len() % ARGUMENTS);
                let found = lua.run(NAMES[program], argument as i64);
                assert_eq!(found, expected[program][argument], "{}: {}", way.name, NAMES[program]);
                assert!(start.elapsed() < LIMIT, "{}: {strikes:?} strikes during compiles", way.name);
                round += 1;
            }
            println!("{}: {strikes:?} strikes during compiles, {frames:?} frames", way.name);
            lua.end(way.name);
        };
        std::thread::scope(|scope| with_stack(scope, work).join().expect("the programs run"));
    }
}

/// A compile is held up until the global that it rests on has been reassigned: what comes of it is not installed, and the unit is
/// learnt and compiled again, without it.
#[test]
fn what_a_candidate_rests_on_breaks_during_its_compile() {
    const ROUNDS: i64 = 20;
    for way in WAYS {
        let (tell, hear) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let (tell, wait) = (Mutex::new(Some(tell)), Mutex::new(wait));
        let compiler: Compiler = Arc::new(move |job: &Job, language, config, target, asked| {
            let compiled = compile(job, language, config, target, asked);
            let rests = match &compiled.result {
                Ok(Image::Native(image)) => !image.assumptions.is_empty(),
                Ok(Image::Portable(image)) => !image.assumptions.is_empty(),
                Err(_) => false,
            };
            if rests && let Some(tell) = tell.lock().expect("no compile panics").take() {
                tell.send(job.unit.id()).expect("the test listens");
                wait.lock().expect("no compile panics").recv().expect("the test goes on");
            }
            compiled
        });
        let work = move || {
            let mut lua = Lua::new(Some(in_the_background(way)), Some(compiler));
            let isolate = lua.isolate().expect("Surmise is plugged in");
            let start = Instant::now();
            let run = |lua: &mut Lua, expected: i64| {
                assert_eq!(lua.run("scaled", ROUNDS), expected.to_string(), "{}", way.name);
                assert!(start.elapsed() < LIMIT, "{}", way.name);
            };
            let sum = ROUNDS * (ROUNDS + 1) / 2;
            let unit = loop {
                run(&mut lua, sum + ROUNDS);
                if let Ok(unit) = hear.try_recv() {
                    break unit;
                }
            };
            let totals =
                |lua: &mut Lua| lua.state().surmise.as_ref().expect("it is plugged in").plug.totals();
            let before = totals(&mut lua);
            // While it is held up: the program goes on, before the break and after it.
            run(&mut lua, sum + ROUNDS);
            lua.run("redefine", 3);
            run(&mut lua, 3 * sum);
            let is_installed = || isolate.candidates().iter().any(|candidate| candidate.unit() == unit);
            assert!(!is_installed(), "{}: it is held up", way.name);
            go_on.send(()).expect("the compile waits");
            loop {
                run(&mut lua, 3 * sum);
                let now = totals(&mut lua);
                if now.not_installed + now.outdated > before.not_installed + before.outdated {
                    break;
                }
                assert!(!is_installed(), "{}: it rests on what has changed", way.name);
            }
            while !is_installed() {
                run(&mut lua, 3 * sum);
            }
            run(&mut lua, 3 * sum);
            lua.end(way.name);
        };
        std::thread::scope(|scope| with_stack(scope, work).join().expect("the program runs"));
    }
}

#[test]
fn lua_from_another_thread_at_random() {
    let (seed, requests) = (seed(), 3_000);
    let all: Vec<usize> = (0..NAMES.len()).collect();
    let expected =
        std::thread::scope(|scope| with_stack(scope, lua::expected).join().expect("the interpreter"));
    for way in WAYS {
        let desk: Arc<Desk> = Arc::default();
        let mut figures = Figures::default();
        std::thread::scope(|scope| {
            let asker = scope.spawn(|| desk.ask(seed));
            let runner = with_stack(scope, || lua::run_until(way, seed, requests, &desk, &expected, &all));
            let ran = runner.join();
            desk.is_over.store(true, Ordering::Relaxed);
            figures.add(asker.join().expect("who asks does not panic"));
            figures.add(ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        });
        println!("{}, SEED={seed}: {figures:?}", way.name);
        let Figures { requests: made, from_outside, frames, left, stays, .. } = figures;
        assert!(made >= requests && from_outside > 0 && made > from_outside, "SEED={seed}: {figures:?}");
        assert!(frames > 0 && left > 0 && stays > 0, "SEED={seed}: {figures:?}");
    }
}

/// Coroutines that nobody can resume any more are collected, with their stacks and the copies of code that these need, however often
/// their callers lose their code and are logged again: a log that named them kept each.
#[test]
fn coroutines_of_programs_that_are_struck_are_collected() {
    let expected =
        std::thread::scope(|scope| with_stack(scope, lua::expected).join().expect("the interpreter"));
    let generator = NAMES.iter().position(|name| *name == "generator").expect("it is a program");
    for way in WAYS {
        let run = || lua::run_until(way, seed(), 6_000, &Arc::default(), &expected, &[generator]);
        std::thread::scope(|scope| with_stack(scope, run).join().expect("nothing is left"));
    }
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics while writing").write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a Tally program prints and how it ends; with a desk on which its code may be deoptimized.
fn run_tally(source: &str, plugged: Option<(Way, &Desk)>) -> String {
    let program = surmise_tally::assemble::assemble(source).expect("it is a program");
    let output = Output::default();
    let mut machine = Machine::new(&program, Box::new(output.clone()));
    let mut seat = None;
    if let Some((way, desk)) = plugged {
        let here = 0u8;
        machine
            .connect(
                way.config(),
                surmise_tally::lifter::units(&program),
                &raw const here as usize - (128 << 20),
            )
            .expect("Surmise can be plugged in");
        let isolate = machine.surmise.as_ref().expect("it was plugged in just now").plug.isolate().clone();
        seat = Some(desk.add(&isolate));
    }
    let result = machine.run_main();
    if let (Some(seat), Some(connection)) = (seat, &machine.surmise) {
        // SAFETY: the program has ended.
        unsafe { connection.guard.leave() };
        seat.close();
        connection.guard.come_back();
    }
    let mut text =
        String::from_utf8_lossy(&output.0.lock().expect("nobody panics while writing")).into_owned();
    if let Err(error) = result {
        text += &format!("! {error}\n");
    }
    text
}

#[test]
fn tally_from_another_thread_at_random() {
    let seed = seed();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/tally");
    let mut programs: Vec<_> =
        std::fs::read_dir(folder).expect("the programs").map(|file| file.expect("a file").path()).collect();
    programs.sort();
    for way in WAYS {
        let desk = Desk::default();
        let figures = std::thread::scope(|scope| {
            let asker = scope.spawn(|| desk.ask(seed));
            let runner = with_stack(scope, || {
                let start = Instant::now();
                // Several times, if little strikes them.
                while desk.requests.load(Ordering::Relaxed) < 100 {
                    for file in &programs {
                        let source = std::fs::read_to_string(file).expect("a program");
                        let expected = run_tally(&source, None);
                        let found = run_tally(&source, Some((way, &desk)));
                        assert_eq!(found, expected, "{}, SEED={seed}: {file:?}", way.name);
                    }
                    assert!(start.elapsed() < LIMIT, "{}: nobody strikes", way.name);
                }
            });
            let ran = runner.join();
            desk.is_over.store(true, Ordering::Relaxed);
            let figures = asker.join().expect("who asks does not panic");
            ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            figures
        });
        println!("{}, SEED={seed}: {figures:?}", way.name);
        assert!(figures.requests >= 100 && figures.frames > 0, "{}, SEED={seed}: {figures:?}", way.name);
    }
}
