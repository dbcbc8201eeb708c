//! Messages of broken sources, as Lua 5.4 words them.

use surmise_lua::compiler::compile;
use surmise_lua::lexer::chunk_display_name;
use surmise_lua::lib::base::without_shell_line;

/// Sources and their messages; `OK` where there is none. Line ends are written as `\n`.
const MESSAGES: &str = include_str!("messages.txt");

#[test]
fn messages_are_those_of_lua() {
    let mut wrong = Vec::new();
    let mut lines = MESSAGES.lines();
    while let (Some(source), Some(expected)) = (lines.next(), lines.next()) {
        let source = source.replace("\\n", "\n");
        let found = match compile(source.as_bytes(), "=c") {
            Ok(_) => "OK".to_owned(),
            Err(error) => error.to_string().replace('\n', "\\n"),
        };
        if found != expected {
            wrong.push(format!("{source}\n  gives    {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn message(source: &str) -> String {
    compile(source.as_bytes(), "=c").err().map_or("OK".to_owned(), |error| error.to_string())
}

#[test]
fn nesting_is_limited() {
    for (open, middle, close, limit) in [
        ("(", "1", ")", 195),
        ("{", "", "}", 196),
        ("- ", "1", "", 195),
        ("a[", "1", "]", 195),
        ("a..", "1", "", 195),
        ("function() return ", "1", " end", 97),
    ] {
        let nested = |depth: usize| format!("x = {}{middle}{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(message(&nested(limit)), "OK", "{open} {limit}");
        assert_eq!(message(&nested(limit + 1)), "C stack overflow", "{open} {limit}");
        assert_eq!(message(&nested(100_000)), "C stack overflow", "{open}");
    }
    assert_eq!(message(&"do ".repeat(1_000_000)), "C stack overflow");
    assert_eq!(message(&"if x then ".repeat(1_000_000)), "C stack overflow");
}

#[test]
fn limits_are_those_of_lua() {
    let list =
        |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(message(&format!("local {}", list("x", 200))), "OK");
    assert_eq!(
        message(&format!("local {}", list("x", 201))),
        "c:1: too many local variables (limit is 200) in main function near <eof>"
    );
    assert_eq!(
        message(&format!("\nfunction f({}) end", list("x", 201))),
        "c:2: too many local variables (limit is 200) in function at line 2 near ')'"
    );
    assert_eq!(message(&format!("f({})", list("", 253))), "OK");
    assert_eq!(
        message(&format!("f({})", list("", 255))),
        "c:1: function or expression needs too many registers near '254'"
    );
    let upvalues = |count: usize| {
        format!(
            "local {}\nlocal function g() local {}\nreturn function() return {},{} end end",
            list("x", 150),
            list("y", count),
            list("x", 150).replace(',', "+"),
            list("y", count).replace(',', "+"),
        )
    };
    assert_eq!(message(&upvalues(105)), "OK");
    assert_eq!(
        message(&upvalues(106)),
        "c:3: too many upvalues (limit is 255) in function at line 3 near 'end'"
    );
}

#[test]
fn chunks_are_named() {
    let z = |count: usize| "z".repeat(count);
    for (name, shown) in [
        ("=abc".to_owned(), "abc".to_owned()),
        ("@file".to_owned(), "file".to_owned()),
        (format!("={}", z(100)), z(59)),
        (format!("@{}", z(59)), z(59)),
        (format!("@{}", z(60)), format!("...{}", z(56))),
        ("abc".to_owned(), "[string \"abc\"]".to_owned()),
        ("a\nb".to_owned(), "[string \"a...\"]".to_owned()),
        (String::new(), "[string \"\"]".to_owned()),
        (z(44), format!("[string \"{}\"]", z(44))),
        (z(45), format!("[string \"{}...\"]", z(45))),
        (z(100), format!("[string \"{}...\"]", z(45))),
    ] {
        assert_eq!(chunk_display_name(&name), shown);
    }
}

#[test]
fn files_alone_may_start_with_a_line_for_the_shell() {
    let first_error = |source: &[u8], name: &str| compile(source, name).err().map(|error| error.to_string());
    assert_eq!(first_error(b"#x", "=c").unwrap(), "c:1: unexpected symbol near '#'");
    assert_eq!(first_error(b"#x", "@f").unwrap(), "f:1: unexpected symbol near '#'");
    assert_eq!(without_shell_line(b"#!/usr/bin/lua\nx = 1".to_vec()), b"\nx = 1");
    assert_eq!(without_shell_line(b"\xEF\xBB\xBF# x".to_vec()), b"");
    assert_eq!(without_shell_line(b"\xEF\xBB\xBFx".to_vec()), b"x");
    assert_eq!(without_shell_line(b"# binary\n\x1bLua".to_vec()), b"\x1bLua");
}
