//! The language and the lifted functions hold to the rules of the verifier, after every pass as well.

use std::sync::Arc;
use surmise::ir::entity::Pc;
use surmise::ir::function::Entry;
use surmise::ir::verifier::{Stage, Violation, verify, verify_language};
use surmise::passes::{Environment, Fuel, run_pipeline};
use surmise::profile::{Map, UnitProfile};
use surmise::unit::UnitSource;
use surmise_tally::assemble::assemble;
use surmise_tally::language::{externs, language};
use surmise_tally::lifter::Unit;

const PROGRAMS: [&str; 5] = [
    include_str!("../programs/sum.tally"),
    include_str!("../programs/fibonacci.tally"),
    include_str!("../programs/text.tally"),
    include_str!("../programs/change.tally"),
    include_str!("../programs/overflow.tally"),
];

fn none(violations: &[Violation], what: &str) {
    let text: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(text.is_empty(), "{what}:\n{}", text.join("\n"));
}

#[test]
fn the_language_is_right() {
    let language = language().unwrap();
    none(&verify_language(&language), "tally.sir");
    let names: Vec<&str> = language.externs.values().map(|declared| declared.name.as_str()).collect();
    assert_eq!(externs().map(|(name, _)| name)[..], names);
}

#[test]
fn every_entry_of_every_function_is_lifted_to_right_code() {
    let language = language().unwrap();
    for source in PROGRAMS {
        for code in assemble(source).unwrap().functions {
            let unit = Arc::new(Unit::new(code.clone()));
            let back_edges = code.instructions.iter().enumerate().filter_map(|(pc, instruction)| {
                instruction
                    .op
                    .target()
                    .filter(|&target| target <= pc)
                    .map(|target| Entry::Loop(Pc(target as u32)))
            });
            for entry in back_edges.chain([Entry::Call]) {
                let mut function = unit.lift(&language, entry).unwrap();
                let live = |_, resume| unit.live_registers(resume);
                none(
                    &verify(&function, &language, Stage::Generic, Some(&live)),
                    &format!("{} {entry:?}", code.name),
                );
                let profile = UnitProfile::default();
                let mut fuel = Fuel::new(None);
                let mut environment = Environment {
                    language: &language,
                    profile: &profile,
                    inlined: &Map::default(),
                    fuel: &mut fuel,
                };
                run_pipeline(&mut function, &mut environment, &[], |pass, function| {
                    let violations = verify(function, &language, Stage::Specialized, Some(&live));
                    none(&violations, &format!("{} {entry:?} after {pass}", code.name));
                });
            }
        }
    }
}
