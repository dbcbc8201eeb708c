//! What operations, fields, tables, text and loops do.

use surmise::deopt::context::Context;

use super::harness::{Machine, call};
use crate::cache::FieldCache;
use crate::object::{Cell, LuaClosure, LuaString, Table};
use crate::value::{Tag, Value};

fn bytes(string: *mut LuaString) -> String {
    String::from_utf8_lossy(LuaString::bytes(string)).into_owned()
}

/// `name(x, y)` of two boxed values.
fn binary(machine: &mut Machine, name: &str, x: Value, y: Value) -> Result<Value, String> {
    let mut result = Value::NIL;
    let function = super::harness::address(name);
    machine.enter(|context, window| {
        // SAFETY: the functions that the tests name have this form.
        result = unsafe {
            let function: unsafe extern "C" fn(*mut Context, *mut Value, u64, u64, u64, u64) -> Value =
                std::mem::transmute(function);
            function(context, window, x.tag, x.payload, y.tag, y.payload)
        };
    })?;
    Ok(result)
}

#[test]
fn arithmetic_is_that_of_the_interpreter() {
    let mut machine = Machine::new();
    let values = [
        Value::int(7),
        Value::int(-2),
        Value::int(0),
        Value::int(i64::MIN),
        Value::float(2.5),
        Value::float(-0.0),
        Value::float(f64::INFINITY),
    ];
    use crate::metamethod::Event;
    let operations = [
        ("lua_add", Event::Add),
        ("lua_sub", Event::Sub),
        ("lua_mul", Event::Mul),
        ("lua_div", Event::Div),
        ("lua_mod", Event::Mod),
        ("lua_pow", Event::Pow),
        ("lua_floor_div", Event::FloorDiv),
        ("lua_bit_and", Event::BitAnd),
        ("lua_bit_or", Event::BitOr),
        ("lua_bit_xor", Event::BitXor),
        ("lua_shift_left", Event::ShiftLeft),
        ("lua_shift_right", Event::ShiftRight),
    ];
    for (name, event) in operations {
        for x in values {
            for y in values {
                let expected = match machine.state.arithmetic(event, x, y) {
                    Ok(value) => Ok(machine.show(value)),
                    Err(_) => Err(machine.error()),
                };
                let found = binary(&mut machine, name, x, y).map(|value| machine.show(value));
                assert_eq!(found, expected, "{name} of {} and {}", machine.show(x), machine.show(y));
            }
        }
    }
}

#[test]
fn metamethods_run_and_errors_leave() {
    let mut machine = Machine::new();
    let object = machine.run(
        "return setmetatable({}, {
            __add = function(a, b) return 'added' end,
            __lt = function(a, b) return true end,
            __concat = function(a, b) return 'joined' end,
            __len = function() return 11 end,
            __sub = function() error('no sub', 0) end,
        })",
    );
    let one = Value::int(1);
    let shown =
        |machine: &mut Machine, name, x, y| binary(machine, name, x, y).map(|value| machine.show(value));
    assert_eq!(shown(&mut machine, "lua_add", object, one), Ok("added".into()));
    assert_eq!(shown(&mut machine, "lua_concat", one, object), Ok("joined".into()));
    assert_eq!(shown(&mut machine, "lua_sub", object, one), Err("no sub".into()));
    let error = shown(&mut machine, "lua_mul", object, one).expect_err("there is no __mul");
    assert!(error.ends_with("attempt to perform arithmetic on a table value"), "{error}");
    let error = shown(&mut machine, "lua_get_index", one, one).expect_err("numbers have no fields");
    assert!(error.contains("attempt to index a number value"), "{error}");
    machine
        .enter(|context, window| {
            let less =
                call!("lua_less"(context, window, object.tag, object.payload, one.tag, one.payload) -> u64);
            assert_eq!(less, 1);
            let length = call!("lua_length"(context, window, object.tag, object.payload) -> Value);
            assert!(length.same_bits(Value::int(11)));
            let equal =
                call!("lua_equal"(context, window, one.tag, one.payload, one.tag, one.payload) -> u64);
            assert_eq!(equal, 1);
        })
        .expect("nothing fails");
}

#[test]
fn fields_go_through_the_sites_cache() {
    let mut machine = Machine::new();
    machine.run(
        "base = {name = 'base'}
         object = setmetatable({own = 1}, {__index = base})
         watched = setmetatable({}, {__index = function(t, k) return k .. '!' end,
                                     __newindex = function(t, k, v) rawset(t, k, v + 1) end})
         text = 'text'",
    );
    let field = |machine: &mut Machine, object: &str, name: &str| {
        let object = machine.global(object);
        let key = machine.text(name);
        let mut cache = FieldCache::new(key.as_string());
        let mut results = [Value::NIL; 2];
        let entered = machine.enter(|context, window| {
            for result in &mut results {
                *result = call!("lua_get_field"(
                    context, window, object.tag, object.payload, key.tag, key.payload, &raw mut cache
                ) -> Value);
            }
        });
        // The cache would be known to the heap's lists by now, if its holder were young.
        machine.state.collect(machine.state.runloop.top()).expect("there is memory");
        entered.map(|()| {
            assert!(results[0].same_bits(results[1]), "the second access gives what the first gave");
            machine.show(results[0])
        })
    };
    assert_eq!(field(&mut machine, "object", "own"), Ok("1".into()));
    assert_eq!(field(&mut machine, "object", "name"), Ok("base".into()));
    assert_eq!(field(&mut machine, "object", "absent"), Ok("nil".into()));
    assert_eq!(field(&mut machine, "watched", "no"), Ok("no!".into()));
    assert!(field(&mut machine, "text", "rep").expect("strings have methods").starts_with("function"));
    let error = field(&mut machine, "missing", "x").expect_err("nil has no fields");
    assert!(error.contains("attempt to index a nil value"), "{error}");

    let watched = machine.global("watched");
    let key = machine.text("fresh");
    let mut cache = FieldCache::new(key.as_string());
    machine
        .enter(|context, window| {
            for value in [Value::int(4), Value::int(9)] {
                call!("lua_set_field"(
                    context, window, watched.tag, watched.payload, key.tag, key.payload, &raw mut cache,
                    value.tag, value.payload
                ) -> ());
            }
        })
        .expect("nothing fails");
    let fresh = crate::table::get_string(watched.as_table(), key.as_string());
    assert!(fresh.same_bits(Value::int(9)), "the second store finds what the first one's metamethod stored");
}

#[test]
fn elements_are_read_and_stored() {
    let mut machine = Machine::under_stress();
    machine.run("list = {}");
    for index in 1..=100 {
        let list = machine.global("list");
        machine
            .enter(|context, window| {
                // The list stands in the window: it may move.
                let (register, end) = (window, window.wrapping_add(1));
                // SAFETY: the window is free.
                unsafe { register.write(list) };
                let value = Value::table(call!("lua_new_table"(context, end, 2i64, 1i64) -> *mut Table));
                // SAFETY: the collector has kept the register.
                let list = unsafe { register.read() };
                let key = Value::int(index);
                call!("lua_set_index"(
                    context, end, list.tag, list.payload, key.tag, key.payload, value.tag, value.payload
                ) -> ());
            })
            .expect("nothing fails");
    }
    assert_eq!(machine.run("return #list").as_int(), 100);
    assert!(machine.run("for i = 1, 100 do if type(list[i]) ~= 'table' then return i end end").is_nil());
    let list = machine.global("list");
    machine
        .enter(|context, window| {
            let key = Value::int(100);
            let value = call!("lua_get_index"(context, window, list.tag, list.payload, key.tag, key.payload) -> Value);
            assert!(value.is(Tag::Table));
            call!("lua_append"(context, window, list.as_table(), 101i64, key.tag, key.payload) -> ());
            assert_eq!(call!("lua_table_length"(context, list.as_table()) -> i64), 101);
        })
        .expect("nothing fails");
    let nil = Value::NIL;
    let error = machine
        .enter(|context, window| {
            call!("lua_set_index"(
                context, window, list.tag, list.payload, nil.tag, nil.payload, nil.tag, nil.payload
            ) -> ());
        })
        .expect_err("nil is no key");
    assert!(error.ends_with("table index is nil"), "{error}");
}

#[test]
fn results_survive_the_collection_that_they_cause() {
    let mut machine = Machine::under_stress();
    let outer = machine.run("local a, b = {}, {} return function() return a, b end");
    let parent = outer.as_closure();
    // SAFETY: the closure is live; prototypes don't move.
    let prototype = unsafe { (*parent).prototype };
    machine.state.runloop.pins.push(outer);
    for _ in 0..50 {
        let outer = *machine.state.runloop.pins.last().expect("it was pushed");
        machine
            .enter(|context, window| {
                let cell = call!("lua_new_cell"(context, window, outer.tag, outer.payload) -> *mut Cell);
                let held = call!("lua_get_cell"(context, cell) -> Value);
                assert!(held.is(Tag::LuaClosure));
                call!("lua_set_cell"(context, cell, 2u64, 7u64) -> ());
                assert!(call!("lua_get_cell"(context, cell) -> Value).same_bits(Value::int(7)));
                // The closure captures the first two registers.
                let end = window.wrapping_add(2);
                for register in [window, window.wrapping_add(1)] {
                    let table = call!("lua_new_table"(context, register, 0i64, 3i64) -> *mut Table);
                    // SAFETY: the window is free.
                    unsafe { register.write(Value::table(table)) };
                }
                let closure =
                    call!("lua_new_closure"(context, end, held.as_closure(), prototype, window) -> *mut LuaClosure);
                for index in 0..2 {
                    let captured = call!("lua_get_upvalue"(context, closure, index) -> Value);
                    // SAFETY: the register was written above.
                    assert!(captured.same_bits(unsafe { window.add(index as usize).read() }));
                }
                let text = call!("lua_to_string_int"(context, window, -12345i64) -> *mut LuaString);
                assert_eq!(bytes(text), "-12345");
                let text = call!("lua_concat_strings"(context, window, text, text) -> *mut LuaString);
                assert_eq!(bytes(text), "-12345-12345");
                let part = call!("lua_string_sub"(context, window, text, -3i64, -2i64) -> *mut LuaString);
                assert_eq!(bytes(part), "34");
                assert_eq!(call!("lua_string_byte"(context, text, 0i64) -> i64), i64::from(b'-'));
                assert_eq!(call!("lua_less_string"(context, text, part) -> u64), 1);
                assert_eq!(call!("lua_equal_string"(context, text, part) -> u64), 0);
            })
            .expect("nothing fails");
    }
    assert!(machine.state.heap.statistics().minor_count > 10, "there were collections");
    assert_eq!(machine.state.runloop.pins.len(), 1);
}

#[test]
fn many_values_are_joined_from_the_right() {
    let mut machine = Machine::new();
    let object = machine.run(
        "return setmetatable({}, {__concat = function(a, b)
            return (type(a) == 'table' and '<' or a) .. (type(b) == 'table' and '>' or b)
        end})",
    );
    let (a, b) = (machine.text("a"), machine.text("b"));
    let mut joined = |values: &[Value]| {
        let mut result = Value::NIL;
        machine
            .enter(|context, window| {
                for (index, &value) in values.iter().enumerate() {
                    // SAFETY: the window is free.
                    unsafe { window.add(index).write(value) };
                }
                let count = values.len();
                result = call!("lua_concat_many"(context, window.wrapping_add(count), window, count as i64) -> Value);
            })
            .map(|()| machine.show(result))
    };
    assert_eq!(joined(&[a, Value::int(1), b, Value::float(2.0)]), Ok("a1b2.0".into()));
    assert_eq!(joined(&[a, b, object]), Ok("ab>".into()));
    assert_eq!(joined(&[object, a, b]), Ok("<ab".into()));
    assert_eq!(joined(&[a, object, b]), Ok("a<b".into()));
    assert!(joined(&[a, Value::NIL, b]).expect_err("nil is no text").contains("concatenate a nil value"));
}

#[test]
fn metatables_are_set_as_by_the_library() {
    let mut machine = Machine::new();
    machine.run(
        "plain = {x = 1} meta = {__index = {y = 2}} closed = setmetatable({}, {__metatable = 'closed'})",
    );
    let [plain, meta, closed] = ["plain", "meta", "closed"].map(|name| machine.global(name));
    let mut set = |object: Value| {
        machine.enter(|context, window| {
            call!("lua_set_metatable"(context, window, object.as_table(), meta.as_table()) -> ());
        })
    };
    assert_eq!(set(plain), Ok(()));
    assert!(set(closed).expect_err("it is protected").ends_with("cannot change a protected metatable"));
    assert_eq!(machine.run("return plain.x + plain.y").as_int(), 3);
}

#[test]
fn fields_are_added_along_transitions() {
    let mut machine = Machine::new();
    machine.run("first = {a = 1} for i = 1, 20 do first['f' .. i] = i end");
    machine.run("second = {a = 1}");
    for index in 1..=20 {
        machine.run(&format!("model = {{a = 1}} for i = 1, {index} do model['f' .. i] = i end"));
        let (second, model) = (machine.global("second"), machine.global("model"));
        machine
            .enter(|context, window| {
                // SAFETY: the model is live.
                let shape = unsafe { (*model.as_table()).shape };
                call!("lua_add_field"(context, window, second.as_table(), shape, index, 2u64, index as u64) -> ());
            })
            .expect("nothing fails");
    }
    assert!(machine.run("for k, v in pairs(first) do if second[k] ~= v then return k end end").is_nil());
}

#[test]
fn numeric_loops_are_prepared() {
    let mut machine = Machine::new();
    let mut start = |values: [Value; 3]| {
        let [a, b, c] = values;
        let mut shown = Vec::new();
        let place = &mut shown;
        machine
            .enter(|context, window| {
                macro_rules! operation {
                    ($name:literal -> $result:ty) => {
                        call!($name(context, window, a.tag, a.payload, b.tag, b.payload, c.tag, c.payload) -> $result)
                    };
                }
                let runs = operation!("lua_for_runs" -> u64);
                let first = operation!("lua_for_first" -> Value);
                let limit = operation!("lua_for_limit" -> Value);
                let step = operation!("lua_for_step" -> Value);
                place.clear();
                place.extend([Value::bool(runs != 0), first, limit, step]);
            })
            .map(|()| shown.iter().map(|&value| machine.show(value)).collect::<Vec<_>>().join(" "))
    };
    let (int, float) = (Value::int, Value::float);
    assert_eq!(start([int(1), int(10), int(3)]), Ok("true 1 3 3".into()));
    assert_eq!(start([int(1), float(2.5), int(1)]), Ok("true 1 1 1".into()));
    assert_eq!(start([int(1), int(2), float(0.5)]), Ok("true 1.0 2.0 0.5".into()));
    assert!(start([int(2), int(1), int(1)]).expect("it starts").starts_with("false"));
    assert!(start([int(1), int(2), int(0)]).expect_err("zero").ends_with("'for' step is zero"));
    let limit = start([int(1), Value::NIL, int(1)]).expect_err("nil is no limit");
    assert!(limit.ends_with("bad 'for' limit (number expected, got nil)"), "{limit}");
}
