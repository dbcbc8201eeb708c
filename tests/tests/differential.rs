//! Random programs do the same in all modes; the runner that says so would notice if they did not.
//!
//! `cargo run --release -p surmise-tests --bin lua-differential -- --count 20000 --seed 1` tries more.

use std::path::Path;
use std::sync::Arc;
use surmise::compile::{Job, compile};
use surmise::config::Config;
use surmise::ir::entity::{OperationId, Register, UnitId};
use surmise::ir::frame_state::ResumePoint;
use surmise::ir::function::{Entry, Function, Immediate};
use surmise::ir::language::Language;
use surmise::unit::{LiftError, UnitSource};
use surmise_tests::differential::host::{Host, with_host};
use surmise_tests::differential::shrink::shrink;
use surmise_tests::differential::{Way, difference, generate, reference};
use surmise_tests::driver::{Plan, drive};

/// Programs that are tried here: some seconds.
const PROGRAMS: u64 = 120;

#[test]
fn random_programs_do_the_same_in_all_modes() {
    let plan = Plan {
        command: Path::new(env!("CARGO_BIN_EXE_lua-differential")),
        arguments: &["--worker".to_owned()],
        seeds: 1_000_000..1_000_000 + PROGRAMS,
        batch: 30,
        memory: None,
        jobs: 2,
        keeps_going: true,
    };
    let report = drive(&plan, &|_| {}).expect("workers work");
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(report.count("done") > PROGRAMS * 9 / 10, "most can be compared: {:?}", report.counts);
}

#[test]
fn programs_that_were_found_do_the_same_in_all_modes() {
    let mut differences = Vec::new();
    with_host(|host| {
        let mut ways = Way::all().expect("the modes can be read");
        for path in surmise_tests::programs("tests/programs/found") {
            host.memory.clear();
            let program = std::fs::read_to_string(&path).expect("programs can be read");
            let expected = reference(host, &program).expect("the interpreter runs");
            let expected = expected.unwrap_or_else(|| panic!("{} runs for too long", path.display()));
            for way in &mut ways {
                if let Some(difference) = way.compare(host, &program, &expected).expect("all modes run") {
                    differences.push(format!("{}, {}: {difference}", path.display(), way.name()));
                }
            }
        }
    })
    .expect("there is a host");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// A unit whose subtractions are lifted as additions.
struct Wrong(Arc<dyn UnitSource>);

impl UnitSource for Wrong {
    fn id(&self) -> UnitId {
        self.0.id()
    }
    fn name(&self) -> &str {
        self.0.name()
    }
    fn lift(&self, language: &Language, entry: Entry) -> Result<Function, LiftError> {
        let operation = |name: &str| -> OperationId { language.operation(name).expect("Lua has it") };
        let (subtract, add) = (operation("sub"), operation("add"));
        let mut function = self.0.lift(language, entry)?;
        for inst in function.insts.values_mut() {
            if let Immediate::Operation(operation, _) = &mut inst.immediate
                && *operation == subtract
            {
                *operation = add;
            }
        }
        Ok(function)
    }
    fn live_registers(&self, resume: ResumePoint) -> Option<Vec<Register>> {
        self.0.live_registers(resume)
    }
}

/// Whether a program shows that something compiles wrongly.
fn shows(host: &Host, program: &str, config: &Config) -> bool {
    let Ok(Some(expected)) = reference(host, program) else { return false };
    let ran = host.run(program, Some(config), None).expect("the program runs");
    difference(&expected, &ran).is_some()
}

/// The runner finds wrong code, and makes the program that shows it small.
#[test]
fn wrong_code_is_found_and_shrunk() {
    let (found, small) = with_host(|host| {
        host.compiler = Some(Arc::new(|job: &Job, language, config, target, asked| {
            let wrong = Job { unit: Arc::new(Wrong(job.unit.clone())), ..job.clone() };
            compile(&wrong, language, config, target, asked)
        }));
        // The portable backend takes the least time to compile.
        let Ok(Way::Mode(_, Some(config))) = Way::named("portable") else { panic!("there is such a mode") };
        let found = (1..200).map(|seed| generate::program(seed).text).find(|text| shows(host, text, &config));
        let found = found.expect("one of so many programs subtracts in hot code");
        let small = shrink(&found, 2000, |text| shows(host, text, &config));
        (found, small)
    })
    .expect("there is a host");
    let lines = small.lines().count();
    assert!(small.contains('-') && lines <= 12, "{} lines became {lines}:\n{small}", found.lines().count());
}
