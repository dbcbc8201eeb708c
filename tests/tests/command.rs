//! The `lua` command: options, arguments, standard input, `#!` lines.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;

/// Runs the command in a folder with a program and a module, with a text as standard input; what it printed, and its exit code.
fn lua(arguments: &[&str], input: &str) -> (String, String, Option<i32>) {
    static FILES: Once = Once::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Once for all tests, which run side by side: a file that is being written is empty for a moment.
    FILES.call_once(|| {
        std::fs::write(folder.join("mod.lua"), "return { f = function() return 'called' end }").unwrap();
        let program = "#!/usr/bin/lua\nprint(arg[0], arg[1], arg[-1], ..., mod and mod.f())";
        std::fs::write(folder.join("prog.lua"), program).unwrap();
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_lua-under-test"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn options_run_in_order_before_the_program() {
    let (output, errors, code) =
        lua(&["-l", "mod", "-e", "print(1)", "-eprint(2)", "prog.lua", "a", "b"], "");
    assert_eq!((output.as_str(), code), ("1\n2\nprog.lua\ta\t-eprint(2)\ta\tcalled\n", Some(0)), "{errors}");
}

#[test]
fn libraries_may_have_other_names() {
    let (output, _, code) = lua(&["-l", "m=mod", "-e", "print(m.f(), mod)"], "");
    assert_eq!((output.as_str(), code), ("called\tnil\n", Some(0)));
}

#[test]
fn standard_input_is_a_program() {
    let (output, _, code) = lua(&["-", "x"], "print(..., arg[1])");
    assert_eq!((output.as_str(), code), ("x\tx\n", Some(0)));
    let (output, _, code) = lua(&[], "print(arg[0] ~= nil)");
    assert_eq!((output.as_str(), code), ("true\n", Some(0)));
}

#[test]
fn lines_are_read_one_by_one() {
    let (output, errors, code) =
        lua(&["-i"], "1 + 1\nx = 5\nfor i = 1, 2 do\nprint(i * x) end\nerror('e', 0)\nx\n");
    assert!(output.contains("> 2\n") && output.contains("5\n10\n") && output.contains("> 5\n"), "{output}");
    assert!(errors.starts_with("lua: e\nstack traceback:"), "{errors}");
    assert_eq!(code, Some(0));
}

#[test]
fn warnings_are_off_until_asked_for() {
    assert_eq!(lua(&["-e", "warn('careful')"], "").1, "");
    assert_eq!(lua(&["-W", "-e", "warn('care', 'ful')"], "").1, "Lua warning: careful\n");
    let finalizer = "setmetatable({}, { __gc = function() error('in vain', 0) end }) collectgarbage()";
    assert_eq!(lua(&["-W", "-e", finalizer], "").1, "Lua warning: error in __gc (in vain)\n");
}

#[test]
fn what_can_not_be_started_is_one_line_and_exit_2() {
    for arguments in [&["-x"][..], &["-e"], &["-l"], &["missing.lua"]] {
        let (output, errors, code) = lua(arguments, "");
        assert_eq!(
            (output.as_str(), errors.lines().count(), code),
            ("", 1, Some(2)),
            "{arguments:?}: {errors}"
        );
    }
}

#[test]
fn finalizers_run_at_the_end() {
    let code = "for i = 1, 3 do setmetatable({}, { __gc = function() print(i) end }) end";
    assert_eq!(lua(&["-e", code], "").0, "3\n2\n1\n");
    let code = "local t <close> = setmetatable({}, { __gc = function() print('gc') end, __close = print }) os.exit(3, true)";
    let (output, _, code) = lua(&["-e", code], "");
    assert_eq!(code, Some(3));
    assert!(output.ends_with("gc\n"), "{output}");
}
