//! A Lua state that runs the programs of `programs.lua`, and is struck in them.
//!
//! `strike` draws from the thread's seed what it does: nothing; a request, with compiled frames of the program on the stack, on that of
//! a coroutine, below a callback; a stay in native code, in which requests of other threads redirect the frames; a poll. What a program
//! gives must be what it gives in the interpreter, where `strike` does nothing.

use super::requester::{Desk, EVERYTHING, Seat};
use super::{Figures, Way};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use surmise::config::Config;
use surmise::deopt::isolate::Isolate;
use surmise::deopt::runloop::Runloop;
use surmise::ir::generate::Random;
use surmise::service::{Compiler, Service};
use surmise_lua::heap::HeapSettings;
use surmise_lua::object::LuaString;
use surmise_lua::state::{Call, State, Throw};
use surmise_lua::table::get_string;
use surmise_lua::value::{Tag, Value};

/// The programs.
pub const PROGRAMS: &str = include_str!("programs.lua");
/// Their names: what a seed chooses from.
pub const NAMES: [&str; 18] = [
    "frames",
    "recursion",
    "loops",
    "generator",
    "parked",
    "resumed",
    "closed",
    "sorted",
    "replaced",
    "metamethods",
    "errors",
    "yields_through",
    "variable",
    "tail_calls",
    "kinds",
    "closures",
    "reassigned",
    "iterators",
];
/// Coroutines whose stacks a state keeps for the next ones, each with a runloop.
const POOLED: usize = 256;
/// Coroutines and candidates that dead registers may keep from being collected.
const HELD: usize = 50;

/// Arguments are below this.
pub const ARGUMENTS: usize = 16;

/// The native stack of a thread that runs programs; only what is touched is committed.
const STACK: usize = 256 << 20;
/// What of it is left to what runs on top of compiled code.
const RESERVE: usize = 64 << 20;

/// Who strikes on this thread.
struct Striker {
    random: Random,
    figures: Figures,
    desk: Arc<Desk>,
}

thread_local! {
    static STRIKER: RefCell<Option<Striker>> = const { RefCell::new(None) };
}

/// What a strike does.
#[derive(Clone, Copy)]
enum Deed {
    Nothing,
    Request,
    Stay(usize),
    Poll,
}

/// The native function `strike`.
fn strike(state: &mut State, call: Call) -> Result<u32, Throw> {
    let deed = STRIKER.with_borrow_mut(|striker| {
        let Some(Striker { random, .. }) = striker else { return Deed::Nothing };
        match random.below(8) {
            0..=4 => Deed::Request,
            5 => Deed::Stay(random.below(4)),
            6 => Deed::Poll,
            _ => Deed::Nothing,
        }
    });
    match deed {
        Deed::Nothing => {}
        Deed::Request => {
            let report = state.deopt_all(EVERYTHING);
            if report.candidates > 0 {
                note(|figures, desk| {
                    desk.requests.fetch_add(1, Ordering::Relaxed);
                    figures.requests += 1;
                    figures.frames += report.frames as u64;
                });
            }
        }
        Deed::Stay(turns) => {
            if let Some(guard) = &state.runloop.guard {
                // SAFETY: a native function, which compiled code calls as guest code; nothing is touched until it comes back.
                unsafe { guard.leave() };
                (0..turns).for_each(|_| std::thread::yield_now());
                guard.come_back();
                note(|figures, _| figures.stays += 1);
            }
        }
        Deed::Poll => {
            if state.runloop.guard.as_ref().is_some_and(|guard| guard.take_poll()) {
                state.serve();
            }
        }
    }
    call.return_none()
}

fn note(count: impl FnOnce(&mut Figures, &Desk)) {
    STRIKER.with_borrow_mut(|striker| {
        if let Some(Striker { figures, desk, .. }) = striker {
            count(figures, desk);
        }
    });
}

/// A state with the programs.
pub struct Lua {
    state: Box<State>,
}

impl Lua {
    /// A state on this thread, whose stack [`with_stack`] has made; with Surmise if there are settings for it, compiled by whom one wants.
    ///
    /// # Panics
    /// If Surmise can't be plugged in, or the programs can't be loaded.
    pub fn new(config: Option<Config>, compiler: Option<Compiler>) -> Lua {
        let mut settings = HeapSettings::default();
        if let Some(bytes) = config.as_ref().and_then(|config| config.nursery) {
            settings.nursery_bytes = bytes;
        }
        let mut state = State::new(settings);
        let here = 0u8;
        state.runloop.native_limit = (&raw const here as usize).saturating_sub(STACK - RESERVE);
        if let Some(config) = config {
            let language = Arc::new(surmise_lua::surmise::language::language().expect("Lua's language"));
            let compiler = compiler.unwrap_or_else(|| Arc::new(surmise::compile::compile));
            let service = Service::start_with(language, Arc::new(config), compiler).expect("a service");
            state.connect(service).expect("Surmise can be plugged in");
        }
        state.open_libraries();
        state.add_functions(state.globals, &[("strike", strike)]);
        let globals = Value::table(state.globals);
        let Ok(chunk) = state.load(PROGRAMS.as_bytes(), "=programs", globals) else {
            panic!("the programs have a syntax error")
        };
        let Ok(made) = state.call(Value::closure(chunk), &[], Some(1)) else { panic!("the programs failed") };
        // The collector finds them there.
        state.runloop.pins.push(made[0]);
        Lua { state }
    }
    /// The state.
    pub fn state(&mut self) -> &mut State {
        &mut self.state
    }
    /// Its isolate.
    pub fn isolate(&self) -> Option<Arc<Isolate>> {
        self.state.surmise.as_ref().map(|connection| connection.plug.isolate().clone())
    }
    /// Frames that went on in the interpreter because they were invalid.
    pub fn left(&self) -> u64 {
        let totals = self.state.surmise.as_ref().map(|connection| connection.plug.totals());
        totals.map_or(0, |totals| *totals.deopts.last().unwrap_or(&0))
    }
    /// Ends requests of others.
    ///
    /// # Panics
    /// If a requester has.
    pub fn close(&mut self, seat: &Seat) {
        let Some(isolate) = self.isolate() else { return };
        // All runloops of the thread are away when one is; coroutines may have some though the main line has none.
        let guard = Runloop::<State>::register(&isolate).expect("Surmise is plugged in");
        // SAFETY: outside of compiled code.
        unsafe { guard.leave() };
        seat.close();
        guard.come_back();
    }
    /// Runs a program. What it gives, as text; an error is text too.
    ///
    /// # Panics
    /// If there is no such program.
    pub fn run(&mut self, name: &str, argument: i64) -> String {
        let state = &mut *self.state;
        let key = state.new_string(name.as_bytes());
        let function = get_string(state.runloop.pins[state.runloop.pins.len() - 1].as_table(), key);
        assert!(function.is(Tag::LuaClosure), "there is no program '{name}'");
        let value = match state.call(function, &[Value::int(argument)], Some(1)) {
            Ok(values) => values[0],
            Err(Throw) => return format!("error: {}", shown(state.error_value)),
        };
        shown(value)
    }
    /// Sees that nothing is left that should not be, with no program running: each block of code is an installed candidate's, or one's
    /// in which frames of parked coroutines are (what the type log has named lives as long as the state, a few coroutines among it).
    /// Then ends the state; nothing at all may be left. Returns the most bytes of code that there were.
    ///
    /// # Panics
    /// If something is left.
    pub fn end(mut self, place: &str) -> u64 {
        let Some(isolate) = self.isolate() else { return 0 };
        // Coroutines that nobody can resume any more keep their frames until they are collected.
        self.run("collect", 0);
        // SAFETY: no program runs.
        unsafe { isolate.reclaim() };
        let statistics = isolate.space().statistics();
        let owners = isolate.candidates().len() + isolate.retired_count();
        assert_eq!(statistics.blocks, owners, "{place}: blocks of code, and candidates");
        assert!(
            isolate.retired_count() < HELD && isolate.runloop_count() < POOLED + HELD,
            "{place}: {} retired candidates, {} runloops are left",
            isolate.retired_count(),
            isolate.runloop_count()
        );
        drop(self);
        // SAFETY: no runloop is left.
        unsafe { isolate.reclaim() };
        assert_eq!((isolate.retired_count(), isolate.runloop_count()), (0, 0), "{place}");
        let statistics = isolate.space().statistics();
        assert_eq!((statistics.blocks, statistics.used), (0, 0), "{place}: code is left");
        assert!(
            (0..1 << 12).all(|number| isolate.effective_slots().get(number).is_null()),
            "{place}: slots are left"
        );
        statistics.peak as u64
    }
}

fn shown(value: Value) -> String {
    if value.is(Tag::String) {
        return String::from_utf8_lossy(LuaString::bytes(value.as_string())).into_owned();
    }
    if value.is_int() { value.as_int().to_string() } else { format!("{:?} {:x}", value.tag, value.payload) }
}

/// Does something on a thread with a native stack that is large enough for compiled frames.
///
/// # Panics
/// If there is no such thread, or what is done panics.
pub fn with_stack<'scope, R: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    work: impl FnOnce() -> R + Send + 'scope,
) -> std::thread::ScopedJoinHandle<'scope, R> {
    std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread")
}

/// What each program gives for each argument in the interpreter, in the order of [`NAMES`].
pub fn expected() -> Vec<Vec<String>> {
    let mut lua = Lua::new(None, None);
    let run = |name: &&str| (0..ARGUMENTS).map(|argument| lua.run(name, argument as i64)).collect();
    NAMES.iter().map(run).collect()
}

/// So many programs, by their numbers. A request costs more the more candidates there are: few programs are struck more often.
pub fn choose(seed: u64, count: usize) -> Vec<usize> {
    let mut random = Random::new(seed);
    let mut chosen: Vec<usize> = (0..NAMES.len()).collect();
    while chosen.len() > count {
        chosen.swap_remove(random.below(chosen.len()));
    }
    chosen
}

/// Runs some of the programs at random, until so many requests were made, by this thread and others, since the desk was opened.
///
/// # Panics
/// If a program gives what it should not, or something is left of code or slots. The message has the seed.
pub fn run_until(
    way: Way,
    seed: u64,
    requests: u64,
    desk: &Arc<Desk>,
    expected: &[Vec<String>],
    programs: &[usize],
) -> Figures {
    let mut random = Random::new(seed);
    let nursery = random.one_in(2).then_some(1024);
    let mut lua = Lua::new(Some(Config { nursery, ..way.config() }), None);
    let isolate = lua.isolate().expect("Surmise is plugged in");
    let seat = desk.add(&isolate);
    let striker = Striker { random: Random::new(!seed), figures: Figures::default(), desk: desk.clone() };
    STRIKER.set(Some(striker));
    let mut runs = 0;
    while desk.requests.load(Ordering::Relaxed) < requests && !desk.is_over() {
        let (program, argument) = (*random.pick(programs), random.below(ARGUMENTS));
        let found = lua.run(NAMES[program], argument as i64);
        let name = NAMES[program];
        assert_eq!(found, expected[program][argument], "{}, SEED={seed}: {name} of {argument}", way.name);
        runs += 1;
    }
    lua.close(&seat);
    let Striker { mut figures, .. } = STRIKER.take().expect("it was set above");
    figures.runs = runs;
    figures.left = lua.left();
    figures.peak_code = lua.end(&format!("{}, SEED={seed}", way.name));
    figures
}
