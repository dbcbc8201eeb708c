//! Ten million deoptimizations of everything at random: over threads, coroutines and callbacks, in both backends, redirected in both ways.
//!
//! `cargo run --release -p surmise-tests --bin deopt-all-soak -- --requests 10000000 --seed 1`. Two kinds of worlds take turns:
//!
//! * threads of one isolate with units written by hand, which strike each other (`deopt/tests/native/random.rs`);
//! * Lua states on threads, whose programs strike in coroutines, callbacks, metamethods, on the way of errors, while another thread
//!   strikes them (`tests/src/stress`).
//!
//! Each call and each program gives what it gives in the interpreter. When a world ends, nothing may be left of it: blocks and bytes of code,
//! slots, candidates, retired ones. A failure ends the process and says the seed.

#[path = "../../../deopt/tests/native/assembler.rs"]
#[allow(dead_code, reason = "not every instruction is needed here")]
mod assembler;
#[path = "../../../deopt/tests/native/host.rs"]
#[allow(dead_code, reason = "not every method is needed here")]
mod host;
#[path = "../../../deopt/tests/native/random.rs"]
mod random;
#[path = "../../../deopt/tests/native/units/mod.rs"]
#[allow(dead_code, reason = "not every unit is needed here")]
mod units;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use surmise_tests::stress::lua::{self, with_stack};
use surmise_tests::stress::requester::Desk;
use surmise_tests::stress::{Figures, WAYS, Way};
use units::{METHODS, Method};

/// As in the `lua` command: compiles allocate a lot.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Deoptimizes everything at random, millions of times")]
struct Options {
    /// How many requests that concern something
    #[arg(long, default_value_t = 10_000_000)]
    requests: u64,
    /// What all decisions are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Requests between two looks at what is left, in each world.
const REQUESTS_PER_WORLD: u64 = 20_000;
/// Of a hundred requests, so many strike Lua, in each way.
const LUA_SHARE: u64 = 10;
/// And so many the units written by hand, by method: the portable backend takes its time.
const THREADS_SHARES: [u64; 3] = [30, 30, 10];
/// Programs of a Lua state.
const PROGRAMS: usize = 2;

/// The process's memory in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Threads of one isolate.
fn threads(method: Method, seed: u64, requests: u64) -> Figures {
    // One that is alone, two that strike each other, and those who only ask.
    let (threads, requesters) = [(1, 1), (2, 0), (3, 2), (1, 0)][seed as usize % 4];
    let plan = random::Plan { method, seed, threads, requesters, requests };
    let random::Figures { requests, from_outside, frames, left, calls, errors: _, stays } =
        random::run_world(plan);
    Figures { requests, from_outside, frames, left, runs: calls, stays, peak_code: 0 }
}

/// Two Lua states on threads of their own, and a third thread that strikes both.
fn lua_states(way: Way, seed: u64, requests: u64, expected: &[Vec<String>]) -> Figures {
    let (desk, mut figures) = (Arc::<Desk>::default(), Figures::default());
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| desk.ask(seed));
        let desk = &desk;
        let states = [2 * seed, 2 * seed + 1].map(|seed| {
            let programs = lua::choose(seed, PROGRAMS);
            with_stack(scope, move || lua::run_until(way, seed, requests, desk, expected, &programs))
        });
        let ran = states.map(std::thread::ScopedJoinHandle::join);
        desk.is_over.store(true, Ordering::Relaxed);
        figures.add(asker.join().expect("who asks does not panic"));
        for ran in ran {
            figures.add(ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    figures
}

fn main() {
    // The first message of a failure is what counts: other threads would go on.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        std::process::exit(1);
    }));
    let Options { requests, seed } = Options::parse();
    let start = Instant::now();
    let bar = ProgressBar::new(requests);
    let style = ProgressStyle::with_template(
        "{elapsed_precise} {wide_bar} {human_pos} of {human_len} requests {msg}",
    );
    bar.set_style(style.expect("the template is a constant"));
    let expected =
        std::thread::scope(|scope| with_stack(scope, lua::expected).join().expect("the interpreter"));
    let (mut all, mut worlds, mut first_resident) = (Figures::default(), 0, 0);
    for (name, share, world) in kinds(&expected) {
        let (kind_start, mut made) = (Instant::now(), Figures::default());
        let wanted = (requests * share).div_ceil(100);
        bar.set_message(name.clone());
        while made.requests < wanted {
            let figures = world(seed + worlds, REQUESTS_PER_WORLD.min(wanted - made.requests));
            made.add(figures);
            worlds += 1;
            bar.inc(figures.requests);
            if first_resident == 0 {
                first_resident = resident();
            }
        }
        bar.suspend(|| println!("{name}: {}, in {:.1?}", describe(&made), kind_start.elapsed()));
        all.add(made);
    }
    bar.finish_and_clear();
    println!(
        "SEED={seed}: {} in {worlds} worlds, nothing left of any; {} MiB resident after the first, {} MiB at the end; {:.1?}",
        describe(&all),
        first_resident >> 20,
        resident() >> 20,
        start.elapsed()
    );
}

type World<'a> = Box<dyn Fn(u64, u64) -> Figures + 'a>;

/// All kinds of worlds, with their shares of the requests.
fn kinds(expected: &[Vec<String>]) -> Vec<(String, u64, World<'_>)> {
    let mut kinds: Vec<(String, u64, World<'_>)> = Vec::new();
    for way in WAYS {
        let world: World<'_> = Box::new(move |seed, requests| lua_states(way, seed, requests, expected));
        kinds.push((format!("Lua, {}", way.name), LUA_SHARE, world));
    }
    for (method, share) in METHODS.into_iter().zip(THREADS_SHARES) {
        let world: World<'_> = Box::new(move |seed, requests| threads(method, seed, requests));
        kinds.push((format!("threads of one isolate, {method:?}"), share, world));
    }
    kinds
}

fn describe(figures: &Figures) -> String {
    let Figures { requests, from_outside, frames, left, runs, stays, peak_code } = figures;
    format!(
        "{requests} requests ({from_outside} by other threads), {frames} frames redirected, {left} of them went on in the interpreter, \
         {runs} results compared, {stays} stays in native code, at most {peak_code} bytes of code"
    )
}
