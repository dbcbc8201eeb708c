//! What calls pay for being ready to be deoptimized: nothing on the path that is taken as long as nobody asks. (The time is a row of
//! `cargo bench -p surmise-benches --bench deopt_all`.)

use std::sync::{Arc, Mutex};
use surmise::compile::{Job, compile, functions_behind};
use surmise::config::Config;
use surmise::lower::{LowerSettings, lower};
use surmise::service::{Compiler, Service};
use surmise_lua::heap::HeapSettings;
use surmise_lua::state::State;
use surmise_lua::value::Value;

const FIB: &str =
    "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(20)";

/// Instructions of a listing before the first cold exit. What is cold stands behind all that is not, and exits come last.
fn hot_instructions(listing: &str) -> usize {
    listing.lines().take_while(|line| !line.contains("exit:") && !line.contains("landing pad")).count()
}

#[test]
fn landing_pads_add_no_instruction_to_a_program_that_calls_all_the_time() {
    let counts: Arc<Mutex<Vec<[usize; 2]>>> = Arc::default();
    let all = counts.clone();
    let compiler: Compiler = Arc::new(move |job: &Job, language, config, target, asked| {
        let (lifted, mut versions) = functions_behind(job, language, config).expect("it can be lifted");
        let function = versions.pop().map_or(lifted, |(_, function)| function);
        let [with, without] = [false, true].map(|without_landing_pads| {
            let settings = LowerSettings { without_landing_pads, listing: true, ..LowerSettings::default() };
            lower(&function, language, &settings, target.expect("machine code")).expect("it can be lowered")
        });
        let pads = |image: &surmise::deopt::candidate::CandidateImage| {
            image.calls.sites.iter().filter(|site| site.landing_pad.is_some()).count()
        };
        assert!(pads(&with.image) >= 2 && pads(&without.image) == 0);
        let [with, without] = [with, without].map(|lowered| lowered.listing.expect("it was asked for"));
        assert!(!without.contains("landing pad") && with.contains("landing pad"));
        all.lock()
            .expect("no compile panics")
            .push([&with, &without].map(|listing| hot_instructions(listing)));
        compile(job, language, config, target, asked)
    });
    let language = surmise_lua::surmise::language::language().expect("Lua's language");
    let config = Config { blocking: true, ..Config::default() };
    let service = Service::start_with(Arc::new(language), Arc::new(config), compiler).expect("a service");
    let mut state = State::new(HeapSettings::default());
    state.connect(service).expect("Surmise can be plugged in");
    state.open_libraries();
    let globals = Value::table(state.globals);
    let Ok(chunk) = state.load(FIB.as_bytes(), "=fib", globals) else { panic!("a syntax error") };
    let Ok(results) = state.call(Value::closure(chunk), &[], Some(1)) else { panic!("fib failed") };
    assert_eq!(results[0].as_int(), 6765);
    let counts = counts.lock().expect("no compile panics");
    println!("instructions with landing pads and without: {counts:?}");
    assert!(!counts.is_empty(), "fib was not compiled");
    for &[with, without] in counts.iter() {
        // Within a hundredth.
        assert!(
            without > 50 && with.abs_diff(without) * 100 <= without,
            "{with} instructions instead of {without}"
        );
    }
}
