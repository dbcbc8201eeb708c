//! Random functions and programs as machine code: they do what the reference evaluator does, step for step where guards fail, with
//! every object moved at every safepoint, and with candidates that become invalid in their calls.
//!
//! `RANDOM_SEEDS=20000 cargo test --release -p surmise-tests --test random_lowering` tries that many seeds, `RANDOM_FIRST=n` starts
//! at another one.

use surmise::ir::entity::Pc;
use surmise::ir::evaluate::model::WINDOW;
use surmise::ir::evaluate::{Boxed, Settings, evaluate};
use surmise::ir::function::{Entry, Function};
use surmise::ir::generate::{self, Code, Objects, Outcome, Random, Reach, Trial, World};
use surmise::ir::language::Language;
use surmise::ir::text::print_function;
use surmise::lower::{Lowered, Redirection};
use surmise::passes::{self, Environment, Fuel};
use surmise_tests::native::{Ending, Native, RunSettings, describe_ending, fill_slots, unbox_truth};
use surmise_tests::random::{Seeds, profile};

/// A world with three arguments: an integer, a float, and a cell that holds the integer.
fn world<'l>(language: &'l Language, function: &Function) -> World<'l> {
    let mut world = generate::world(language, &[]);
    let int: Boxed = [2, function.unit.0 % 7];
    let cell = world.host.memory.new_cell(language, int);
    for (register, value) in [int, [3, 2.5f64.to_bits()], [4, cell]].into_iter().enumerate() {
        world.host.registers.insert(WINDOW + 16 * register as u64, value);
    }
    world.host.argument_count = 3;
    fill_slots(function, language, &mut world);
    world
}

/// What a run did and how it ended.
fn seen(ending: &Ending, language: &Language, world: &World<'_>) -> String {
    format!(
        "{}{}",
        world.observations.borrow().join("\n"),
        describe_ending(ending, language, &world.host.memory)
    )
}

/// The ways to run a function: as it is, with guards that fail, with invalidation. What the evaluator says decides which of
/// them there are.
const RUNS: &[RunSettings] = &{
    const PLAIN: RunSettings = RunSettings {
        fail_every: None,
        invalidate_at: None,
        redirection: Redirection::ReturnAddress,
        window_limit: None,
    };
    const MARKED: RunSettings = RunSettings { redirection: Redirection::Mark, ..PLAIN };
    [
        PLAIN,
        RunSettings { invalidate_at: Some(1), ..PLAIN },
        RunSettings { invalidate_at: Some(2), ..PLAIN },
        RunSettings { invalidate_at: Some(5), ..PLAIN },
        RunSettings { fail_every: Some(1), ..PLAIN },
        RunSettings { fail_every: Some(2), ..PLAIN },
        RunSettings { fail_every: Some(5), ..PLAIN },
        RunSettings { fail_every: Some(11), ..PLAIN },
        MARKED,
        RunSettings { invalidate_at: Some(1), ..MARKED },
        RunSettings { invalidate_at: Some(3), ..MARKED },
        RunSettings { invalidate_at: Some(9), ..MARKED },
    ]
};

/// What is lowered for a run serves all runs that lowering can't tell from it.
#[derive(Default)]
struct MachineCode(Vec<((bool, Redirection), Lowered)>);

impl MachineCode {
    fn lowered(
        &mut self,
        native: &Native,
        function: &Function,
        run: RunSettings,
    ) -> Result<&Lowered, String> {
        let key = (run.fail_every.is_some(), run.redirection);
        let index = match self.0.iter().position(|(known, _)| *known == key) {
            Some(index) => index,
            None => {
                self.0.push((key, native.lower(function, run)?));
                self.0.len() - 1
            }
        };
        Ok(&self.0[index].1)
    }
}

/// Compares one function in all ways; what differs, in words. Counts returns, exits, invalidations.
fn difference(
    native: &mut Native,
    language: &Language,
    function: &Function,
    counts: &mut [u64; 3],
) -> Option<String> {
    let mut code = MachineCode::default();
    for &run in RUNS {
        let lowered = match code.lowered(native, function, run) {
            Ok(lowered) => lowered,
            Err(error) => return Some(error),
        };
        let mut model = world(language, function);
        model.host.invalidate_at = run.invalidate_at;
        let settings = Settings { fail_every: run.fail_every.map(u64::from), step_limit: None };
        let exit = match evaluate(function, language, WINDOW, settings, &mut model.host) {
            Ok(exit) => exit,
            Err(fault) => return Some(format!("{run:?}: {fault}")),
        };
        let expected =
            Ending::of_exit(exit, function, language).expect("the generator makes no open returns");
        match &expected {
            Ending::Left(surmise::deopt::table::ExitReason::Invalidated, _) => counts[2] += 1,
            Ending::Left(..) => counts[1] += 1,
            _ => counts[0] += 1,
        }
        let expected = seen(&expected, language, &model);
        let mut real = world(language, function);
        let found = match native.run(function, lowered, &mut real, run) {
            Ok(ending) => seen(&ending, language, &real),
            Err(error) => error,
        };
        if found != expected {
            return Some(format!("{run:?}\nevaluator:\n{expected}\nmachine code:\n{found}"));
        }
    }
    None
}

#[test]
fn functions_do_as_machine_code_what_they_do_in_the_evaluator() {
    let language = generate::language();
    let mut native = Native::new(&language).expect("machine code runs here");
    let seeds = Seeds::from_env(400);
    let mut counts = [0; 3];
    for seed in seeds.range() {
        let size = 10 + seed as usize % 120;
        let make = |size| generate::random_function(&language, seed, size, Reach::Portable);
        let Some(mut wrong) = difference(&mut native, &language, &make(size), &mut counts) else { continue };
        // The smallest size at which this seed is wrong.
        let mut smallest = size;
        for size in 1..size {
            if let Some(found) = difference(&mut native, &language, &make(size), &mut counts) {
                (smallest, wrong) = (size, found);
                break;
            }
        }
        let text = print_function(&make(smallest), &language);
        panic!("seed {seed}, size {smallest}: {wrong}\n{text}");
    }
    let [returned, left, invalidated] = counts;
    println!("{seeds:?}: {returned} returned, {left} left at guards, {invalidated} left at landing pads");
    let enough = seeds.count / 4;
    assert!(returned > enough && left > enough && invalidated > enough, "{counts:?}");
}

#[test]
fn programs_do_as_machine_code_what_the_interpreter_does() {
    let language = generate::language();
    let mut native = Native::new(&language).expect("machine code runs here");
    let seeds = Seeds::from_env(200);
    let (mut runs, mut loops) = (0u64, 0u64);
    for seed in seeds.range() {
        let trial = Trial::random(seed, 8 + seed as usize % 60);
        let expected = trial.interpret(&language);
        let mut random = Random::new(seed ^ 0xF00D);
        let profile = profile(&language, &trial, &mut random);
        let mut entries = vec![Entry::Call];
        entries.extend(trial.program.loop_headers().into_iter().map(Entry::Loop));
        for entry in entries {
            let mut function = trial.program.lift(&language, entry);
            let mut fuel = Fuel::new(random.one_in(4).then(|| random.below(60) as u64));
            let mut environment = Environment {
                language: &language,
                profile: &profile,
                inlined: &surmise::profile::Map::default(),
                fuel: &mut fuel,
            };
            passes::run_pipeline(&mut function, &mut environment, &[], |_, _| {});
            let mut code = MachineCode::default();
            for &run in RUNS {
                let place = || format!("seed {seed}, {entry:?}, {run:?}");
                let lowered = match code.lowered(&native, &function, run) {
                    Ok(lowered) => lowered,
                    Err(error) => panic!("{}: {error}\n{}", place(), print_function(&function, &language)),
                };
                let execute = |world: &mut World<'_>| {
                    fill_slots(&function, &language, world);
                    let mut ending = native.run(&function, lowered, world, run)?;
                    let is_comparison =
                        |pc: Pc| matches!(trial.program.code.get(pc.0 as usize), Some(Code::JumpIf(..)));
                    unbox_truth(&mut ending, is_comparison);
                    Ok(ending.into_exit())
                };
                let outcome = match entry {
                    Entry::Loop(header) => trial.run_from_loop_by(&language, header, execute),
                    _ => trial.run_by(&language, execute).map(Some),
                };
                match outcome {
                    Ok(None) => continue,
                    Ok(Some(outcome)) if outcome == expected => {}
                    other => panic!("{}\n{}", place(), report(other, &expected, &function, &language)),
                }
                runs += 1;
                loops += u64::from(entry != Entry::Call);
            }
        }
    }
    println!("{seeds:?}: {runs} runs, {loops} of them entered at loops");
    assert!(runs >= seeds.count * RUNS.len() as u64 && loops > seeds.count, "{runs} {loops}");
}

fn report(
    found: Result<Option<Outcome>, String>,
    expected: &Outcome,
    function: &Function,
    language: &Language,
) -> String {
    format!("found {found:?}\nexpected {expected:?}\n{}", print_function(function, language))
}
