//! What `language.sir` declares and what there is must be the same.

use std::collections::BTreeMap;

use crate::surmise::externs::functions;

/// Name and form of a declaration: `(any, raw) -> any window`.
type Declared<'a> = BTreeMap<&'a str, (Vec<&'a str>, Option<&'a str>, bool)>;

fn declared() -> Declared<'static> {
    let lines = crate::surmise::language::SOURCE.lines();
    lines
        .filter_map(|line| line.strip_prefix("extern "))
        .map(|line| {
            let (name, rest) = line.split_once('(').expect("a list of operands follows the name");
            let (operands, rest) = rest.split_once(')').expect("the list ends");
            let operands = operands.split(',').map(str::trim).filter(|operand| !operand.is_empty()).collect();
            let mut words = rest.split_whitespace().peekable();
            let result = words.next_if_eq(&"->").and_then(|_| words.next());
            (name.trim(), (operands, result, words.any(|word| word == "window")))
        })
        .collect()
}

#[test]
fn there_is_a_function_for_each_declaration() {
    let mut declared = declared();
    assert!(!declared.is_empty());
    for function in functions() {
        let (operands, result, window) = declared.remove(function.name).unwrap_or_else(|| {
            panic!("language.sir does not declare {}, or it is listed twice", function.name)
        });
        assert_eq!(function.parameters, operands, "operands of {}", function.name);
        assert_eq!(function.result, result, "result of {}", function.name);
        assert_eq!(function.needs_window, window, "window of {}", function.name);
    }
    assert!(declared.is_empty(), "without function: {:?}", declared.keys());
}
