//! Errors say which line, and say the same in compiled code.

mod common;

use common::{modes, output};
use surmise_tally::assemble::assemble;

/// Makes calls of `body` hot, then calls it with something else. `body` has a parameter `value` and may use `line 5` on.
fn hot(parameters: &str, body: &str, first: &str, then: &str, arguments: usize) -> String {
    format!(
        "function body {parameters}\n{body}\nend\n\
         function main\nlocal round\npush 0\nset round\n\
         again:\npush body\n{first}\npop\nget round\npush 1\nadd\nset round\nget round\npush 500\nless\njump_if again\n\
         push body\n{then}\ncall {arguments}\nprint\npush 0\nreturn\nend\n"
    )
}

fn check(source: &str, expected: &str) {
    assert_eq!(output(source, None).0, expected, "interpreted:\n{source}");
    for (mode, config) in modes() {
        assert_eq!(output(source, Some(config)).0, expected, "{mode}:\n{source}");
    }
}

#[test]
fn operations_name_their_line() {
    let add = hot("value", "get value\npush 1\nadd\nreturn", "push 5\ncall 1", "push \"five\"", 1);
    check(&add, "! line 4: add of values of kinds String and Int\n");
    let most = (1i64 << 62) - 1;
    let add = hot("value", "get value\npush 1\nadd\nreturn", "push 5\ncall 1", &format!("push {most}"), 1);
    check(&add, "! line 4: add: the result does not fit into 63 bits\n");
    let length = hot("value", "get value\nlength\nreturn", "push \"abc\"\ncall 1", "push 5", 1);
    check(&length, "! line 3: length of a value of kind Int\n");
    let call = hot(
        "value",
        "get value\npush 1\ncall 1\nreturn\nend\nfunction one value\nget value\nreturn",
        "push one\ncall 1",
        "push 5",
        1,
    );
    check(&call, "! line 4: call of a value of kind Int\n");
}

#[test]
fn missing_arguments_are_none_and_others_are_dropped() {
    // `other` is a parameter, `local` is not; the fourth argument would stand in its register.
    let body = "local local\nget value\nprint\nget other\nprint\nget local\nprint\npush 0\nreturn";
    let hot = |arguments: &str, count| hot("value other", body, "push 5\npush 6\ncall 2", arguments, count);
    let usual = "5\n6\nnone\n".repeat(500);
    check(&hot("", 0), &format!("{usual}none\nnone\nnone\n0\n"));
    check(&hot("push 1", 1), &format!("{usual}1\nnone\nnone\n0\n"));
    check(&hot("push 1\npush 2\npush 3", 3), &format!("{usual}1\n2\nnone\n0\n"));
}

#[test]
fn endless_recursion_ends_with_an_error() {
    let source = "function down number\npush down\nget number\npush 1\nadd\ncall 1\npush 1\nadd\nreturn\nend\n\
                  function main\npush down\npush 0\ncall 1\nreturn\nend\n";
    check(source, "! line 1: stack overflow in 'down'\n");
    // A loop on the way, so that interpreter and compiled code take turns.
    let source = "function down number\nagain:\nget number\npush 3\nless\njump_if next\npush down\nget number\npush 1\nadd\ncall 1\nreturn\n\
                  next:\nget number\npush 1\nadd\nset number\njump again\nend\n\
                  function main\npush down\npush 0\ncall 1\nreturn\nend\n";
    check(source, "! line 1: stack overflow in 'down'\n");
}

#[test]
fn a_call_site_with_many_callees() {
    let functions: String =
        (0..12).map(|n| format!("function f{n} value\nget value\npush {n}\nadd\nreturn\nend\n")).collect();
    let calls: String =
        (0..12).map(|n| format!("push apply\npush f{n}\nget total\ncall 2\nset total\n")).collect();
    let source = format!(
        "{functions}function apply function value\nget function\nget value\ncall 1\nreturn\nend\n\
         function main\nlocal round total\npush 0\nset round\npush 0\nset total\n\
         again:\n{calls}get round\npush 1\nadd\nset round\nget round\npush 500\nless\njump_if again\n\
         get total\nprint\npush 0\nreturn\nend\n"
    );
    check(&source, "33000\n");
}

#[test]
fn broken_programs_say_where() {
    let main = |body: &str| format!("function main\n{body}\nend\n");
    for (source, message) in [
        (String::new(), "line 1: there is no function 'main'"),
        (main("get x"), "line 2: get: there is no local 'x'"),
        (main("push 1\nadd\nreturn"), "line 3: 2 operands are popped, there are 1"),
        (main("push 1\npush 2\nfrobnicate"), "line 4: there is no instruction 'frobnicate'"),
        (main("push 1"), "line 2: the function's end is reached without 'return'"),
        (main("jump there"), "line 2: jump: there is no label 'there'"),
        (
            main("push 4611686018427387904\nreturn"),
            "line 2: push: '4611686018427387904' is no integer of 63 bits, string or function",
        ),
        (main("push \"a\\q\"\nreturn"), "line 2: a '\\' is followed by 'n', '\"' or '\\'"),
        (
            main("again:\npush 1\njump again"),
            "line 4: line 3 is reached with 1 operands here, with 0 elsewhere",
        ),
        (main("call many"), "line 2: call: expected a number of arguments, not 'many'"),
        (main("pop 3"), "line 2: pop: unknown, or it takes no operand: '3'"),
        ("print".to_owned(), "line 1: expected 'function', found 'print'"),
        ("function main\npush 1".to_owned(), "line 1: this function has no 'end'"),
        ("function main x x\nend".to_owned(), "line 1: there is a local 'x' already"),
        ("function main x\nget x\nreturn\nend".to_owned(), "line 1: 'main' takes no parameters"),
        (main(""), "line 1: this function is empty"),
    ] {
        assert_eq!(assemble(&source).unwrap_err().to_string(), message, "{source}");
    }
    assert_eq!(
        output("function main\npush \"a#\\\"b\\n\\\\\" # comment\nprint\npush 0\nreturn\nend", None).0,
        "a#\"b\n\\\n"
    );
}
