//! Execute on replay: what is right is found right, and what a wrong pass does is found, and the pass named.

use std::process::Command;
use surmise::compile::Job;
use surmise::ir::entity::{Block, FrameStateId, Inst};
use surmise::ir::function::{Function, Immediate};
use surmise::ir::generate::Random;
use surmise::ir::guard::GuardReason;
use surmise::ir::language::Language;
use surmise::ir::opcode::{IntCondition, Opcode};
use surmise::ir::text::print_function;
use surmise::passes::{self, Environment, Fuel, PIPELINE};
use surmise::replay::execute::{self, Executed, Versions};
use surmise::replay::{Recording, World, plan};
use surmise_tests::corpus::{PROGRAMS, files, read};
use surmise_tests::differential::generate;
use surmise_tests::random::Seeds;
use surmise_tests::remove_settings;

fn recordings() -> impl Iterator<Item = (&'static str, Recording)> {
    PROGRAMS.iter().map(|program| (*program, read(&files(program).0).expect("the corpus can be read")))
}

fn world(recording: &Recording) -> World {
    World::new(&recording.header, &[]).expect("the recorded settings can be read")
}

#[test]
fn the_corpus_executes_clean() {
    let (mut instructions, mut instructions_run, mut guards, mut guards_failed) = (0, 0, 0, 0);
    for (program, recording) in recordings() {
        let executed = execute::execute(&recording, &world(&recording), &|| ());
        assert_eq!(executed.len(), recording.planned().count());
        for Executed { serial, difference, not_run, runs, exits, impossible, .. } in &executed {
            if let Some(difference) = difference {
                panic!("{program}, candidate {serial}: {}: {}", difference.pass, difference.what);
            }
            assert_eq!(*not_run, None, "{program}, candidate {serial}");
            assert!(runs - impossible > 5 && *exits > 0, "{program}, candidate {serial} is hardly run");
        }
        let sum = |what: fn(&Executed) -> usize| executed.iter().map(what).sum::<usize>();
        instructions += sum(|executed| executed.instructions);
        instructions_run += sum(|executed| executed.instructions_run);
        guards += sum(|executed| executed.guards);
        guards_failed += sum(|executed| executed.guards_failed);
    }
    println!(
        "{instructions_run} of {instructions} instructions run, {guards_failed} of {guards} guards failed"
    );
    assert!(instructions_run * 100 >= instructions * 80 && guards_failed * 100 >= guards * 50);
}

/// `RANDOM_SEEDS` says how many.
#[test]
fn random_programs_execute_clean() {
    let lua = env!("CARGO_BIN_EXE_lua-under-test");
    let folder = std::env::temp_dir().join(format!("surmise-execute-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is room for temporary files");
    let (source, file) = (folder.join("program.lua"), folder.join("run.surmise"));
    let mut candidates = 0;
    // What captured variables hold that no run came to is what the first of these found out about.
    let found = [910_011, 910_036, 910_041, 910_058];
    for seed in found.into_iter().chain(Seeds::from_env(6).range()) {
        std::fs::write(&source, generate::program(seed).text).expect("there is room for temporary files");
        let mut command = Command::new(lua);
        remove_settings(&mut command);
        let settings =
            [("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_RECORD_ARGUMENTS", "1")];
        command.arg(&source).envs(settings).env("SURMISE_RECORD", &file);
        // Programs may fail: they are recorded all the same.
        command.output().expect("lua runs");
        let recording = read(&file).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        for executed in execute::execute(&recording, &world(&recording), &|| ()) {
            candidates += 1;
            let Some(difference) = executed.difference else { continue };
            panic!("seed {seed}, candidate {}: {}: {}", executed.serial, difference.pass, difference.what);
        }
    }
    assert!(candidates > 30, "{candidates} candidates");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

/// What a wrong pass might do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mistake {
    /// The operands of a difference or comparison in the wrong order.
    Operands,
    /// A constant that is one too large.
    Constant,
    /// A store that is gone.
    Store,
    /// A guard of an operation that is gone.
    Guard,
    /// A state in which a register holds what another should.
    State,
    /// A state that goes on at another instruction.
    Resume,
    /// A load that takes what an earlier load of the place gave, over a call.
    Forwarded,
    /// A jump that passes its values in the wrong order.
    Jump,
    /// A branch that goes the other way.
    Branch,
}

const MISTAKES: [Mistake; 9] = [
    Mistake::Operands,
    Mistake::Constant,
    Mistake::Store,
    Mistake::Guard,
    Mistake::State,
    Mistake::Resume,
    Mistake::Forwarded,
    Mistake::Jump,
    Mistake::Branch,
];

/// All instructions, with their blocks.
fn insts(function: &Function) -> Vec<(Block, Inst)> {
    let insts = |&block: &Block| function.blocks[block].insts.iter().map(move |&inst| (block, inst));
    function.layout.iter().flat_map(insts).collect()
}

/// States that instructions carry.
fn states(function: &Function) -> Vec<FrameStateId> {
    insts(function).iter().filter_map(|&(_, inst)| function.insts[inst].state).collect()
}

impl Mistake {
    /// Makes the mistake somewhere. False if there is no place for it.
    fn plant(self, function: &mut Function, random: &mut Random) -> bool {
        let fits: Vec<(Block, Inst)> =
            insts(function).into_iter().filter(|&(_, inst)| self.fits(function, inst)).collect();
        if fits.is_empty() {
            return false;
        }
        let (block, inst) = fits[random.below(fits.len())];
        let data = &mut function.insts[inst];
        match self {
            Mistake::Operands => data.args.swap(0, 1),
            Mistake::Constant => {
                let Immediate::Integer(value) = &mut data.immediate else { return false };
                *value = value.wrapping_add(1);
            }
            Mistake::Store | Mistake::Guard => {
                function.blocks[block].insts.retain(|&other| other != inst);
            }
            Mistake::Jump => data.targets[0].args.swap(0, 1),
            Mistake::Branch => data.targets.swap(0, 1),
            Mistake::State | Mistake::Resume => {
                let Some(state) = data.state else { return false };
                let mut changed = function.states[state].clone();
                if self == Mistake::Resume {
                    changed.resume.pc.0 += 1;
                } else {
                    let value = changed.registers[0].1;
                    changed.registers[0].1 = changed.registers[1].1;
                    changed.registers[1].1 = value;
                }
                let changed = function.states.push(changed);
                function.insts[inst].state = Some(changed);
            }
            Mistake::Forwarded => {
                let (args, immediate) = (data.args.clone(), data.immediate);
                let known = function.blocks[block].insts.iter().copied().take_while(|&other| other != inst);
                let earlier = known.into_iter().find(|&other| {
                    let other = &function.insts[other];
                    other.opcode == Opcode::Load && other.args == args && other.immediate == immediate
                });
                let Some(earlier) = earlier else { return false };
                let (old, new) = (function.result(inst), function.result(earlier));
                function.blocks[block].insts.retain(|&other| other != inst);
                for data in function.insts.values_mut() {
                    data.map_operands(|value| if value == old { new } else { value });
                }
                for state in states(function) {
                    function.states[state].map_values(|value| if value == old { new } else { value });
                }
            }
        }
        true
    }

    fn fits(self, function: &Function, inst: Inst) -> bool {
        let data = &function.insts[inst];
        match self {
            Mistake::Operands => match (data.opcode, data.immediate) {
                (Opcode::Isub | Opcode::Fsub | Opcode::Fdiv, _) => data.args[0] != data.args[1],
                (Opcode::Icmp, Immediate::IntCondition(condition)) => {
                    !matches!(condition, IntCondition::Equal | IntCondition::NotEqual)
                }
                _ => false,
            },
            Mistake::Constant => data.opcode == Opcode::Iconst,
            Mistake::Store => matches!(data.opcode, Opcode::Store | Opcode::StoreElement),
            Mistake::Guard => {
                let of_operation = !matches!(
                    data.immediate,
                    Immediate::KindReason(_, GuardReason::Argument | GuardReason::Result)
                );
                data.opcode.is_guard() && data.result.is_none() && of_operation
            }
            Mistake::State => data.state.is_some_and(|state| {
                let registers = &function.states[state].registers;
                registers.len() > 1 && registers[0].1 != registers[1].1
            }),
            Mistake::Resume => data.state.is_some(),
            Mistake::Forwarded => data.opcode == Opcode::Load,
            Mistake::Jump => {
                let args = data.targets.first().map_or(&[][..], |target| &target.args[..]);
                matches!(args, [first, second, ..] if first != second && function.ty(*first) == function.ty(*second))
            }
            Mistake::Branch => data.opcode == Opcode::Branch,
        }
    }
}

/// The versions of a candidate whose pass at this position makes a mistake.
fn planted(
    job: &Job,
    language: &Language,
    right: &Versions,
    position: usize,
    mistake: Mistake,
    random: &mut Random,
) -> Option<Versions> {
    let mut behind: Vec<(usize, Function)> =
        right.behind.iter().filter(|(step, _)| *step <= position).cloned().collect();
    let (step, mut function) = behind.pop()?;
    if step != position || !mistake.plant(&mut function, random) {
        return None;
    }
    behind.push((position, function.clone()));
    let mut fuel = Fuel::new(None);
    for (step, &(name, _)) in PIPELINE.iter().enumerate().skip(position + 1) {
        let mut environment =
            Environment { language, profile: &job.profile, inlined: &job.inlined, fuel: &mut fuel };
        (passes::pass(name).run)(&mut function, &mut environment);
        behind.push((step, function.clone()));
    }
    Some(Versions { lifted: right.lifted.clone(), behind })
}

/// Plants mistakes at random places behind a pass, in the candidates that `chosen` names. Gives how many were made, and those that
/// were not found.
fn plant_all(pass: &str, mistakes: &[Mistake], chosen: fn(u64) -> bool) -> (usize, Vec<String>) {
    let mut random = Random::new(7);
    let (mut made, mut missed) = (0, Vec::new());
    for (program, recording) in recordings() {
        let (world, language) = (world(&recording), &recording.header.language);
        for job in plan(&recording, &world.config).jobs.into_iter().filter(|job| chosen(job.serial)) {
            let right = Versions::new(&job, &world, language).expect("the corpus compiles");
            let mut steps = right.behind.iter().rev().map(|(step, _)| *step);
            let Some(position) = steps.find(|&step| PIPELINE[step].0 == pass) else { continue };
            for &mistake in mistakes {
                let versions = planted(&job, language, &right, position, mistake, &mut random);
                let Some(versions) = versions else { continue };
                made += 1;
                match execute::check(&job, &versions, language, &[]).difference {
                    Some(difference) => {
                        assert_eq!(difference.pass, pass, "{program} {} {mistake:?}", job.serial);
                        assert!(difference.before != difference.behind && !difference.what.is_empty());
                    }
                    None => {
                        let text = |versions: &Versions| {
                            let behind = versions.behind.iter().find(|(step, _)| *step == position);
                            behind.map(|(_, function)| print_function(function, language)).unwrap_or_default()
                        };
                        let (right, wrong) = (text(&right), text(&versions));
                        let mut lines =
                            right.lines().zip(wrong.lines()).filter(|(right, wrong)| right != wrong);
                        let change = lines.next();
                        missed.push(format!("{program} {} {mistake:?} {change:?}", job.serial));
                    }
                }
            }
        }
    }
    println!("behind {pass}: {} of {made} mistakes found; not found: {missed:#?}", made - missed.len());
    (made, missed)
}

/// Some mistakes change nothing that could be seen: a state whose registers hold the same anyway, a guard that another implies.
#[test]
fn planted_mistakes_are_found() {
    let (made, missed) = plant_all("dead_code", &MISTAKES, |serial| serial % 6 == 0);
    assert!(made > 80 && missed.len() * 3 <= made, "{} of {made}: {missed:#?}", missed.len());
}

/// What comes behind a mistake may hide it, but is never blamed for it.
#[test]
fn the_pass_that_makes_a_mistake_is_named() {
    let mistakes = [Mistake::Operands, Mistake::Resume, Mistake::Branch];
    for pass in ["hoist", "gvn", "unbox_params"] {
        let (made, missed) = plant_all(pass, &mistakes, |serial| serial % 4 == 1);
        assert!(made > 2 * missed.len(), "{pass}: {} of {made}: {missed:?}", missed.len());
    }
}
