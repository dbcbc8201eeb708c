//! What is printed reads as the same tree, and runs as the same program.

use super::{parse, print};

/// Reads and prints, twice: the second time nothing changes.
fn printed(text: &str) -> String {
    let tree = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let printed = print(&tree);
    assert_eq!(parse(&printed).as_ref(), Ok(&tree), "{printed}");
    printed
}

#[test]
fn every_program_round_trips() {
    for folder in ["benches/programs", "tests/programs", "tests/failing"] {
        for path in crate::programs(folder) {
            let text = std::fs::read(&path).expect("programs can be read");
            printed(&String::from_utf8_lossy(&text));
        }
    }
}

#[test]
fn operators_bind_as_in_lua() {
    assert_eq!(
        printed("x = 1 + 2 * 3 ^ -4 ^ 5 .. 'a' .. 'b'"),
        "x = (1 + (2 * (3 ^ (-(4 ^ 5))))) .. ('a' .. 'b')\n"
    );
    assert_eq!(printed("x = not a == b and c or d < e"), "x = (((not a) == b) and c) or (d < e)\n");
    assert_eq!(printed("x = a - b - c"), "x = (a - b) - c\n");
}

#[test]
fn values_stay_as_many_as_they_were() {
    assert_eq!(printed("x = {(f()), f(), (...)}"), "x = {(f()), f(), (...)}\n");
    assert_eq!(printed("x = (a + b).c; (f or g)(1)"), "x = (a + b).c\n;(f or g)(1)\n");
    assert_eq!(printed("x = t[ [[k]] ]"), "x = t[ [[k]]]\n");
}

#[test]
fn what_is_wrong_is_said() {
    assert_eq!(parse("x = = 1").unwrap_err().to_string(), "line 1: expected a name, found '='");
    assert_eq!(parse("if x then\nx = [[").unwrap_err().to_string(), "line 2: unfinished string");
    assert!(parse(&"(".repeat(100_000)).is_err());
}
