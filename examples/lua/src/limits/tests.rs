//! No program gets past its limits.

use crate::heap::HeapSettings;
use crate::object::LuaString;
use crate::state::State;
use crate::value::{Tag, Value};

/// Runs a program with few steps and little memory; the state, and the error's message.
fn run(program: &str) -> (Box<State>, Option<String>) {
    let mut state = State::new(HeapSettings { memory_limit: 16 << 20, ..HeapSettings::default() });
    state.output_is_terminal = false;
    state.keep_output(10);
    state.open_inner_libraries();
    let globals = Value::table(state.globals);
    let chunk = state.load(program.as_bytes(), "=program", globals).expect("it is a program");
    state.limit_steps(Some(10_000));
    let result = state.call(Value::closure(chunk), &[], Some(0));
    let message = result.err().map(|_| {
        assert!(state.error_value.is(Tag::String));
        String::from_utf8_lossy(LuaString::bytes(state.error_value.as_string())).into_owned()
    });
    (state, message)
}

#[test]
fn steps_end_what_does_not_end_by_itself() {
    let endless = [
        "while true do end",
        "repeat pcall(function() while true do end end) until false",
        "while true do xpcall(error, function() while true do end end) end",
        "local f f = function() return f() end f()",
        "coroutine.wrap(function() while true do coroutine.wrap(function() repeat until false end)() end end)()",
        "local t <close> = setmetatable({}, {__close = function() repeat until false end}) while true do end",
        "setmetatable({}, {__gc = function() repeat until false end}) while true do local t = {} end",
        "for _ in string.gmatch(('a'):rep(99), ('a?'):rep(99) .. ('a'):rep(99)) do end",
        "return ('x'):rep(1e6):find('(x*)(x*)(x*)(x*)y')",
        "return ('x'):rep(1e6):find('x-y')",
        "table.move({}, 1, 1e12, 2)",
        "table.insert(setmetatable({}, {__len = function() return 1e15 end}), 1, 1)",
        "table.remove(setmetatable({}, {__len = function() return 1e15 end}), 1)",
        "table.concat(setmetatable({}, {__index = rawlen}), '', 1, 1e12)",
    ];
    for program in endless {
        let (state, message) = run(program);
        assert!(state.is_out_of_steps(), "{program}: {message:?}");
        assert!(message.is_some(), "{program}");
    }
}

#[test]
fn what_grows_is_an_error_in_time() {
    let growing = [
        "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1e5) .. i end",
        "return ('x'):rep(1e6):gsub('', ('y'):rep(1e6))",
        "return ('x'):rep(1e6):gsub('.+', ('%0'):rep(1e3))",
        "local t = {} for i = 1, 1000 do t[i] = '' end return table.concat(t, ('x'):rep(1e6))",
        "local s = ('x'):rep(1e6) return string.format(('%s'):rep(30), table.unpack({s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s}))",
        "assert(load(('x = 1 '):rep(1e6)))",
    ];
    for program in growing {
        let (_, message) = run(program);
        assert!(message.is_some_and(|message| message.contains("not enough memory")), "{program}");
    }
}

#[test]
fn what_is_short_runs_as_ever() {
    let (state, message) = run("print(#('a'):rep(3), pcall(error, 'e'))");
    assert_eq!((state.output.as_slice(), message), (&b"3\tfalse\te\n"[..], None));
    let (state, message) = run("for i = 1, 100 do print(i) end");
    assert_eq!((state.output.as_slice(), message), (&b"1\n2\n3\n4\n5\n"[..], None));
}

#[test]
fn the_world_outside_is_not_seen() {
    let names = "io, os, require, package, dofile, loadfile, debug.debug";
    let (_, message) = run(&format!(
        "assert(select('#', {names}) == 7) for i = 1, 7 do assert((select(i, {names})) == nil) end"
    ));
    assert_eq!(message, None);
}
