//! Every filetest gives what it expects; every guard reason and every pass has one.

use std::path::{Path, PathBuf};
use surmise::ir::analysis::{ControlFlow, Dominators, LoopForest};
use surmise::ir::function::{Function, Immediate};
use surmise::ir::guard::GuardReason;
use surmise::passes::PASSES;
use surmise_tests::filetest::{Filetest, Languages, check};

/// All filetests of a folder and the folders in it.
fn filetests(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .flat_map(|path| if path.is_dir() { filetests(&path) } else { vec![path] })
        .collect();
    paths.sort();
    paths
}
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("filetests")
}

#[test]
fn filetests_give_what_they_expect() {
    let languages = Languages::new().expect("the languages are right");
    let bless = std::env::var_os("SURMISE_BLESS").is_some();
    let paths = filetests(&folder());
    assert!(!paths.is_empty(), "no filetests");
    let failures: Vec<String> = paths
        .iter()
        .filter_map(|path| check(path, &languages, bless).err())
        .map(|error| error.to_string())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} filetests fail:\n{}",
        failures.len(),
        paths.len(),
        failures.join("\n\n")
    );
}

/// Whether a guard of this reason stands in a loop.
fn guards_in_loop(function: &Function, reason: GuardReason) -> bool {
    let graph = ControlFlow::new(function);
    let loops = LoopForest::new(&graph, &Dominators::new(&graph));
    function.layout.iter().filter(|&&block| loops.innermost(block).is_some()).any(|&block| {
        function.blocks[block].insts.iter().any(|&inst| {
            let data = &function.insts[inst];
            data.opcode.is_guard()
                && matches!(data.immediate, Immediate::Reason(r) | Immediate::KindReason(_, r) if r == reason)
        })
    })
}

#[test]
fn a_guard_of_every_reason_fails_inside_a_loop() {
    let languages = Languages::new().expect("the languages are right");
    for &reason in GuardReason::ALL {
        let path = folder().join("guards").join(format!("{reason}.sir"));
        let source = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{reason} has no filetest, {}: {error}", path.display()));
        let test = Filetest::parse(&source, &languages).unwrap_or_else(|error| panic!("{reason}: {error}"));
        let function = test.function().unwrap_or_else(|error| panic!("{reason}: {error}"));
        assert!(guards_in_loop(&function, reason), "{reason}: the guard stands in no loop");
        let left = format!("  leaves: {reason} at @");
        assert!(test.expected.contains(&left), "{reason}: no run leaves for this reason");
        assert!(test.expected.contains("  returns "), "{reason}: no run in which the guard holds");
    }
}

#[test]
fn every_pass_has_a_filetest() {
    for pass in PASSES {
        let path = folder().join("passes").join(format!("{}.sir", pass.name));
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("pass {} has no filetest, {}: {error}", pass.name, path.display())
        });
        let named = format!("\ntest {}", pass.name);
        assert!(source.contains(&named), "{}: its first pass is not {}", path.display(), pass.name);
    }
}
