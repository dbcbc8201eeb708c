//! What calls, iterators and variable arguments do.

use surmise::deopt::host::GuestResults;

use super::harness::{Machine, call, results_of};
use crate::value::{Tag, Value};

/// Calls a value with arguments, at the window's second slot.
fn guest_call(machine: &mut Machine, callee: Value, arguments: &[Value]) -> Result<Vec<Value>, String> {
    let mut results = Vec::new();
    let place = &mut results;
    machine.enter(|context, window| {
        let slot = window.wrapping_add(1);
        // SAFETY: the window is free.
        unsafe {
            window.write(Value::NIL);
            slot.write(callee);
            for (index, &argument) in arguments.iter().enumerate() {
                slot.add(1 + index).write(argument);
            }
        }
        let count = arguments.len() as u64;
        let found = call!("lua_call"(context, slot, count, -1i64) -> GuestResults);
        *place = results_of(found, slot);
    })?;
    Ok(results)
}

#[test]
fn any_value_can_be_called() {
    let mut machine = Machine::new();
    machine.run(
        "function none() end
         function three(a, b) return b, a, 'three' end
         function count(...) return select('#', ...), ... end
         callable = setmetatable({}, {__call = function(self, x) return type(self), x end})
         function fails() error('failed', 0) end",
    );
    let one = Value::int(1);
    let mut called = |name: &str, arguments: &[Value]| {
        let callee = machine.global(name);
        let results = guest_call(&mut machine, callee, arguments);
        results.map(|results| results.iter().map(|&value| machine.show(value)).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(called("none", &[]), Ok("".into()));
    assert_eq!(called("three", &[one]), Ok("nil 1 three".into()), "a parameter without argument is nil");
    assert_eq!(called("three", &[one, Value::TRUE, one]), Ok("true 1 three".into()));
    assert_eq!(called("count", &[one, Value::NIL]), Ok("2 1 nil".into()));
    assert_eq!(called("callable", &[one]), Ok("table 1".into()));
    assert_eq!(called("type", &[one]), Ok("number".into()));
    assert_eq!(called("fails", &[]), Err("failed".into()));
    assert_eq!(called("error", &[Value::TRUE]), Err("true".into()));
    let missing = called("missing", &[]).expect_err("nil can't be called");
    assert!(missing.contains("attempt to call a nil value"), "{missing}");
}

#[test]
fn protected_calls_catch_where_they_are() {
    let mut machine = Machine::new();
    machine.run(
        "function fails() error('failed', 0) end
         function deep() local ok, message = pcall(fails) return ok, message .. '!' end",
    );
    let mut called = |arguments: [&str; 2]| {
        let [callee, argument] = arguments.map(|name| machine.global(name));
        let results = guest_call(&mut machine, callee, &[argument]).expect("the error is caught");
        results.iter().map(|&value| machine.show(value)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(called(["pcall", "fails"]), "false failed");
    assert_eq!(called(["pcall", "error"]), "false nil", "a native that fails at once");
    assert_eq!(called(["pcall", "deep"]), "true false failed!");
    assert_eq!(called(["pcall", "type"]).split(' ').next(), Some("false"), "type needs an argument");
    assert!(machine.state.runloop.handlers.is_empty());
}

#[test]
fn iterators_are_stepped_and_called() {
    let mut machine = Machine::new();
    machine.run(
        "list = {'a', 'b'}
         function down(state, control) if control > 0 then return control - 1, state, 'third' end end
         step, _, start = ipairs(list)",
    );
    let next = |machine: &mut Machine, iterator: &str, over: Value, control: Value, wanted: usize| {
        let iterator = machine.global(iterator);
        let mut values = [Value::NIL; 4];
        machine.enter(|context, window| {
            for index in 0..8 {
                // SAFETY: the window is free.
                unsafe { window.add(index).write(Value::TRUE) };
            }
            values[0] = call!("lua_for_call"(
                context, window.wrapping_add(8), iterator.tag, iterator.payload, over.tag, over.payload,
                control.tag, control.payload, window, wanted as i64
            ) -> Value);
            for (index, value) in values.iter_mut().enumerate().take(wanted).skip(1) {
                // SAFETY: as many as are wanted stand there.
                *value = unsafe { window.add(index).read() };
            }
        })?;
        let shown: Vec<String> = values[..wanted].iter().map(|&value| machine.show(value)).collect();
        Ok::<String, String>(shown.join(" "))
    };
    let (int, nothing) = (Value::int, Value::NIL);
    assert_eq!(next(&mut machine, "down", int(5), int(2), 1), Ok("1".into()));
    assert_eq!(next(&mut machine, "down", int(5), int(2), 4), Ok("1 5 third nil".into()));
    assert_eq!(next(&mut machine, "down", int(5), int(0), 3), Ok("nil nil nil".into()));
    let error = next(&mut machine, "missing", nothing, nothing, 1).expect_err("nil is no iterator");
    assert!(error.contains("call a nil value"), "{error}");
    let list = machine.global("list");
    for (iterator, start) in [("next", nothing), ("step", int(0))] {
        assert_eq!(next(&mut machine, iterator, list, start, 2), Ok("1 a".into()));
        assert_eq!(next(&mut machine, iterator, list, int(1), 4), Ok("2 b nil nil".into()));
        assert_eq!(next(&mut machine, iterator, list, int(2), 2), Ok("nil nil".into()));
    }
    let error = next(&mut machine, "next", list, int(77), 1).expect_err("there is no such key");
    assert!(error.contains("'next'"), "{error}");
    machine
        .enter(|context, window| {
            let end = window.wrapping_add(3);
            let key = call!("lua_next"(context, end, list.as_table(), 0u64, 0u64, window) -> Value);
            assert!(key.same_bits(int(1)));
            // SAFETY: the value stands there.
            assert!(unsafe { window.add(1).read() }.is(Tag::String));
        })
        .expect("nothing fails");
}

#[test]
fn variable_arguments_are_copied() {
    let mut machine = Machine::new();
    let function = machine.run("return function(a, ...) for i = 1, 2 do print(...) end end");
    let arguments = [1, 2, 3, 4].map(Value::int);
    machine.with_variadic_frame(function, &arguments, |machine, base| {
        machine
            .enter(|context, window| {
                let to = window;
                let count = call!("lua_varargs"(context, window.wrapping_add(8), base, to, -1i64) -> i64);
                assert_eq!(count, 3);
                // SAFETY: they stand there.
                assert_eq!([0, 1, 2].map(|index| unsafe { to.add(index).read() }.as_int()), [2, 3, 4]);
                let count = call!("lua_varargs"(context, window.wrapping_add(8), base, to, 4i64) -> i64);
                assert_eq!(count, 4);
                // SAFETY: they stand there.
                assert!(unsafe { to.add(3).read() }.is_nil());
            })
            .expect("nothing fails");
    });
}
