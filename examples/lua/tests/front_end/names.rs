//! Names of registers in messages.

use surmise_lua::bytecode::Op;
use surmise_lua::compiler::Function;
use surmise_lua::names::{called_name, register_name};

use crate::compiled;

/// Kind and name of what the last instruction with the operation works on, in the last function that has it.
fn name(source: &str, op: Op) -> String {
    fn find(function: &Function, op: Op) -> Option<String> {
        if let Some(found) = function.children.iter().rev().find_map(|child| find(child, op)) {
            return Some(found);
        }
        let pc = function.code.iter().rposition(|instruction| instruction.op == op)?;
        let instruction = function.code[pc];
        let register = if matches!(op, Op::GetField | Op::GetInt | Op::GetIndex) {
            instruction.b
        } else {
            instruction.a
        };
        let named = register_name(function, pc, register);
        Some(named.map_or("-".to_owned(), |(kind, name)| format!("{kind} {}", String::from_utf8_lossy(name))))
    }
    find(&compiled(source), op).expect("the operation occurs")
}

#[test]
fn values_are_named_by_where_they_come_from() {
    assert_eq!(name("f()", Op::Call), "global f");
    assert_eq!(name("local x; x()", Op::Call), "local x");
    assert_eq!(name("a.b.c()", Op::Call), "field c");
    assert_eq!(name("a.b:c()", Op::Call), "method c");
    assert_eq!(name("('x')()", Op::Call), "constant x");
    assert_eq!(name("local t = {} t[1]()", Op::Call), "field integer index");
    assert_eq!(name("local t, k = {} t[k]()", Op::Call), "field ?");
    assert_eq!(name("local a return function() a() end", Op::Call), "upvalue a");
    assert_eq!(name("local a return function() a = 1 a() end", Op::Call), "upvalue a");
    assert_eq!(name("local a local function f() a = 1 end a()", Op::Call), "local a");
    assert_eq!(name("local a return function() a.b() end", Op::Call), "field b");
    assert_eq!(name("local a return function() return a.b.c end", Op::GetField), "field b");
    assert_eq!(name("local _ENV = {} f()", Op::Call), "global f");
    assert_eq!(name("(a or b)()", Op::Call), "-");
    assert_eq!(name("(a + b)()", Op::Call), "-");
    assert_eq!(name("local x = a.b.c", Op::GetField), "field b");
    assert_eq!(name("a.b.c = 1", Op::SetFieldConstant), "field b");
    assert_eq!(name("local t = {} t[1].x = 1", Op::SetFieldConstant), "field integer index");
    assert_eq!(name("for i = 1, 2 do i() end", Op::Call), "local i");
    assert_eq!(name("for k, v in f do v() end", Op::Call), "local v");
}

#[test]
fn metamethods_are_named_by_their_events() {
    for (source, op, event) in [
        ("local a = ...; return a + 1", Op::AddInt, "metamethod add"),
        ("local a = ...; return a < 1", Op::LessInt, "metamethod lt"),
        ("local a = ...; return a .. a", Op::Concat, "metamethod concat"),
        ("local a = ...; return a.x", Op::GetField, "metamethod index"),
        ("local a = ...; a.x = a", Op::SetField, "metamethod newindex"),
        ("for a in b do end", Op::ForCall, "for iterator for iterator"),
        ("local a <close> = ...; return 1", Op::Return, "metamethod close"),
    ] {
        let function = compiled(source);
        let pc = function.code.iter().position(|instruction| instruction.op == op).unwrap();
        let (kind, name) = called_name(&function, pc).unwrap();
        assert_eq!(format!("{kind} {}", String::from_utf8_lossy(name)), event);
    }
}
