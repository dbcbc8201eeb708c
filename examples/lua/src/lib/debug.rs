//! The `debug` library: what programs ask about their own frames, functions and metatables, and hooks.

use crate::bytecode::{Instruction, LocalInfo, Op, Prototype};
use crate::hooks::Mask;
use crate::levels::{Level, Levels};
use crate::lexer::chunk_display_name;
use crate::object::{Cell, LuaClosure, LuaString, NativeFunction, Table, Thread};
use crate::stack::FRAME_HOOK;
use crate::state::{Call, State, Throw};
use crate::table;
use crate::value::{Tag, Value};

/// Opens the library.
pub fn open(state: &mut State) {
    state.register_library(
        "debug",
        &[
            ("gethook", gethook),
            ("getinfo", getinfo),
            ("getlocal", getlocal),
            ("getmetatable", getmetatable),
            ("getregistry", getregistry),
            ("getupvalue", getupvalue),
            ("getuservalue", getuservalue),
            ("sethook", sethook),
            ("setlocal", setlocal),
            ("setmetatable", setmetatable),
            ("setupvalue", setupvalue),
            ("setuservalue", setuservalue),
            ("traceback", traceback),
            ("upvalueid", upvalueid),
            ("upvaluejoin", upvaluejoin),
        ],
    );
}

fn is_function(value: Value) -> bool {
    value.is(Tag::LuaClosure) || value.is(Tag::Native)
}

/// The prototype of a Lua function.
fn prototype_of(function: Value) -> Option<&'static Prototype> {
    // SAFETY: a closure's prototype lives as long as the state.
    function.is(Tag::LuaClosure).then(|| unsafe { &*(*function.as_closure()).prototype })
}

/// The coroutine that is the first argument, or the running one, and the call without it.
fn coroutine_argument(state: &State, call: Call) -> (*mut Thread, Call) {
    if call.arg(0).is(Tag::Thread) {
        (call.arg(0).as_thread(), Call { base: call.base.wrapping_add(1), count: call.count - 1 })
    } else {
        (state.runloop.thread, call)
    }
}

fn traceback(state: &mut State, outer: Call) -> Result<u32, Throw> {
    let (thread, call) = coroutine_argument(state, outer);
    let message = call.arg(0);
    let text = if message.is_nil() {
        None
    } else if message.is(Tag::String) || message.is_int() || message.is_float() {
        Some(LuaString::bytes(state.to_display_string(message)?))
    } else {
        return outer.return_one(message);
    };
    let is_own = thread == state.runloop.thread;
    let level = state.opt_int(call, 1, i64::from(is_own))?;
    let level = usize::try_from(level).unwrap_or(usize::MAX >> 1);
    let text = state.traceback_of(thread, text, level);
    let value = state.string_value(&text);
    outer.return_one(value)
}

/// The level that the first argument names, 0 is the running native function, and the one below it, if there is one.
fn level_argument(state: &mut State, thread: *mut Thread, call: Call) -> Result<Levels, Throw> {
    let number = state.check_int(call, 0)?;
    let Ok(number) = usize::try_from(number) else { return Ok(Levels::new()) };
    let levels = state.with_line_of(thread, |state| state.levels(number.saturating_add(2)));
    let mut levels = levels.unwrap_or_default();
    levels.drain(..number.min(levels.len()));
    Ok(levels)
}

fn getinfo(state: &mut State, outer: Call) -> Result<u32, Throw> {
    let (thread, call) = coroutine_argument(state, outer);
    let what = state.opt_bytes(call, 1, b"flnSrtu")?;
    if let Some(option) = what.iter().find(|c| !b"SlnrutLf".contains(c)) {
        let message = if *option == b'>' { "invalid option '>'" } else { "invalid option" };
        return Err(state.argument_error(call, 1, message));
    }
    let mut levels = Levels::new();
    let function = if is_function(call.arg(0)) {
        call.arg(0)
    } else {
        levels = level_argument(state, thread, call)?;
        match levels.first() {
            None => return outer.return_one(Value::NIL),
            Some(level) => level.function(),
        }
    };
    let info = state.new_table(0, 16);
    for option in what {
        match option {
            b'S' => add_source(state, info, function),
            b'l' => {
                let line = levels.first().and_then(Level::line).unwrap_or(-1);
                state.set_named(info, "currentline", Value::int(line));
            }
            b'n' => {
                let (kind, name) = match state.called_name(&levels, 0) {
                    Some((kind, name)) => (kind, state.string_value(name.as_bytes())),
                    None => ("", Value::NIL),
                };
                let kind = state.string_value(kind.as_bytes());
                state.set_named(info, "namewhat", kind);
                state.set_named(info, "name", name);
            }
            b'r' => {
                let is_told = levels.first().is_some_and(|level| state.is_hooked(level));
                let (first, count) = if is_told { state.runloop.hooks.transfer } else { (0, 0) };
                state.set_named(info, "ftransfer", Value::int(first as i64));
                state.set_named(info, "ntransfer", Value::int(count as i64));
            }
            b'u' => add_counts(state, info, function),
            b't' => {
                let is_tail = levels.first().is_some_and(Level::is_tail);
                state.set_named(info, "istailcall", Value::bool(is_tail));
            }
            b'L' => {
                if let Some(prototype) = prototype_of(function) {
                    let lines = state.new_table(0, 0);
                    // What prepares parameters belongs to no line of the body.
                    let prepares = |i: &&Instruction| i.op == Op::NewCell && i.a < prototype.parameter_count;
                    let first = prototype.code.iter().take_while(prepares).count();
                    // A function's end is a line of it, even if a `return` stands before.
                    let is_known = prototype.last_line > 0 && !prototype.lines.is_empty();
                    let end = is_known.then_some(&prototype.last_line);
                    for line in prototype.lines.iter().skip(first).chain(end) {
                        table::set_int(&mut state.heap, lines, i64::from(*line), Value::TRUE);
                    }
                    state.set_named(info, "activelines", Value::table(lines));
                }
            }
            _ => state.set_named(info, "func", function),
        }
    }
    outer.return_one(Value::table(info))
}

impl State {
    /// Whether the hook that is running was called for this level.
    fn is_hooked(&self, level: &Level) -> bool {
        // SAFETY: records up to the current one are valid.
        self.runloop.hooks.is_running
            && !level.record.is_null()
            && level.record < self.runloop.frame
            && unsafe { (*level.record.add(1)).flags } & FRAME_HOOK != 0
    }
}

fn add_source(state: &mut State, info: *mut Table, function: Value) {
    let (source, short, what, first, last) = match prototype_of(function) {
        None => ("=[C]".to_string(), "[C]".to_string(), "C", -1, -1),
        Some(prototype) => (
            prototype.source.to_string(),
            chunk_display_name(&prototype.source),
            if prototype.line_defined == 0 { "main" } else { "Lua" },
            i64::from(prototype.line_defined),
            i64::from(prototype.last_line),
        ),
    };
    for (name, text) in [("source", source.as_str()), ("short_src", &short), ("what", what)] {
        let value = state.string_value(text.as_bytes());
        state.set_named(info, name, value);
    }
    state.set_named(info, "linedefined", Value::int(first));
    state.set_named(info, "lastlinedefined", Value::int(last));
}

fn add_counts(state: &mut State, info: *mut Table, function: Value) {
    let (upvalues, parameters, is_vararg) = match prototype_of(function) {
        Some(prototype) => {
            (prototype.upvalues.len() as i64, i64::from(prototype.parameter_count), prototype.is_vararg)
        }
        // SAFETY: the value is a native function.
        None => (i64::from(unsafe { (*function.as_native()).upvalue_count }), 0, true),
    };
    state.set_named(info, "nups", Value::int(upvalues));
    state.set_named(info, "nparams", Value::int(parameters));
    state.set_named(info, "isvararg", Value::bool(is_vararg));
}

/// The `n`-th local variable that is visible at an instruction.
fn nth_local(prototype: &Prototype, pc: usize, n: i64) -> Option<&LocalInfo> {
    let pc = pc as u32;
    let index = usize::try_from(n - 1).ok()?;
    prototype.locals.iter().filter(|local| local.start <= pc && pc < local.end).nth(index)
}

/// A local variable of an activation.
struct Local {
    name: String,
    /// Its slot, or the value in its cell.
    place: *mut Value,
    cell: Option<*mut Cell>,
}

/// The variable in a register: captured ones have their value in a cell.
///
/// # Safety
/// The register is one of a live frame's.
unsafe fn local_at(name: &str, register: *mut Value) -> Local {
    // SAFETY: the function's contract.
    let cell = unsafe { (*register).is(Tag::Cell).then(|| (*register).as_cell()) };
    // SAFETY: the cell is alive, since a register holds it.
    let place = cell.map_or(register, |cell| unsafe { &raw mut (*cell).value });
    Local { name: name.to_string(), place, cell }
}

/// A local variable of a level, numbered as `debug.getlocal` does: negative numbers are varargs.
fn find_local(state: &State, level: &Level, n: i64) -> Option<Local> {
    let unnamed = |name: &str, place| Some(Local { name: name.to_string(), place, cell: None });
    if level.is_compiled {
        return None;
    }
    let index = usize::try_from(n - 1).ok();
    // SAFETY: the record is valid, and so are its registers and varargs.
    unsafe {
        let frame = &*level.record;
        // Up to the next frame's function there are temporaries.
        let is_running = level.record == state.runloop.frame;
        let end = match level.prototype() {
            _ if !is_running => (*level.record.add(1)).base.sub(1 + (*level.record.add(1)).shift as usize),
            None => frame.top,
            Some(_) => frame.base,
        };
        let Some(prototype) = level.prototype() else {
            let place = level.base.add(index?);
            return if place < end { unnamed("(C temporary)", place) } else { None };
        };
        if n < 0 {
            let parameters = usize::from(prototype.parameter_count);
            let extra = (frame.shift as usize).saturating_sub(1 + parameters);
            let place = usize::try_from(n.checked_neg()?).ok()?;
            let first = frame.base.sub(frame.shift as usize).add(parameters);
            return if place <= extra { unnamed("(vararg)", first.add(place - 1)) } else { None };
        }
        if let Some(local) = nth_local(prototype, level.pc, n) {
            return Some(local_at(&local.name, frame.base.add(local.register as usize)));
        }
        let place = frame.base.add(index?);
        if place < end { Some(local_at("(temporary)", place)) } else { None }
    }
}

fn getlocal(state: &mut State, outer: Call) -> Result<u32, Throw> {
    let (thread, call) = coroutine_argument(state, outer);
    let n = state.check_int(call, 1)?;
    if is_function(call.arg(0)) {
        let name = prototype_of(call.arg(0))
            .and_then(|prototype| {
                nth_local(prototype, 0, n).filter(|_| n <= i64::from(prototype.parameter_count))
            })
            .map(|local| state.string_value(local.name.as_bytes()));
        return outer.return_one(name.unwrap_or(Value::NIL));
    }
    let levels = level_argument(state, thread, call)?;
    let Some(level) = levels.first() else {
        return Err(state.argument_error(call, 0, "level out of range"));
    };
    let found = state.with_line_of(thread, |state| find_local(state, level, n)).flatten();
    match found {
        None => outer.return_one(Value::NIL),
        Some(local) => {
            let name = state.string_value(local.name.as_bytes());
            // SAFETY: the place is a slot or a cell of a live frame.
            let value = unsafe { local.place.read() };
            outer.return_two(name, value)
        }
    }
}

fn setlocal(state: &mut State, outer: Call) -> Result<u32, Throw> {
    let (thread, call) = coroutine_argument(state, outer);
    let n = state.check_int(call, 1)?;
    let levels = level_argument(state, thread, call)?;
    let Some(level) = levels.first() else {
        return Err(state.argument_error(call, 0, "level out of range"));
    };
    let value = state.check_any(call, 2)?;
    let found = state.with_line_of(thread, |state| find_local(state, level, n)).flatten();
    match found {
        None => outer.return_one(Value::NIL),
        Some(local) => {
            // What a suspended coroutine's stack holds is written behind the collector's back.
            state.heap.barrier(thread.cast());
            // SAFETY: the place is a slot of a live frame, or in a cell that one of its registers holds.
            unsafe { local.place.write(value) };
            if let Some(cell) = local.cell {
                state.heap.barrier_value(cell.cast(), value);
            }
            let name = state.string_value(local.name.as_bytes());
            outer.return_one(name)
        }
    }
}

/// Place and name of an upvalue.
fn find_upvalue(function: Value, n: i64) -> Option<(*mut Value, &'static str)> {
    let index = usize::try_from(n - 1).ok()?;
    // SAFETY: the index is checked against the function's count.
    unsafe {
        match prototype_of(function) {
            Some(prototype) => {
                let info = prototype.upvalues.get(index)?;
                Some((LuaClosure::upvalues(function.as_closure()).add(index), &info.name))
            }
            None => {
                let native = function.as_native();
                (index < (*native).upvalue_count as usize)
                    .then(|| (NativeFunction::upvalues(native).add(index), ""))
            }
        }
    }
}

fn getupvalue(state: &mut State, call: Call) -> Result<u32, Throw> {
    let n = state.check_int(call, 1)?;
    let function = state.check_function(call, 0)?;
    match find_upvalue(function, n) {
        None => call.return_none(),
        Some((place, name)) => {
            let name = state.string_value(name.as_bytes());
            // SAFETY: an upvalue of a live function, or the cell that it holds.
            let value = unsafe {
                let value = place.read();
                if value.is(Tag::Cell) { (*value.as_cell()).value } else { value }
            };
            call.return_two(name, value)
        }
    }
}

fn setupvalue(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 2)?;
    let n = state.check_int(call, 1)?;
    let function = state.check_function(call, 0)?;
    match find_upvalue(function, n) {
        None => call.return_none(),
        Some((place, name)) => {
            // SAFETY: an upvalue of a live function, or the cell that it holds.
            unsafe {
                let held = place.read();
                if held.is(Tag::Cell) {
                    (*held.as_cell()).value = value;
                    state.heap.barrier(held.as_header());
                } else {
                    place.write(value);
                    state.heap.barrier(function.as_header());
                }
            }
            let name = state.string_value(name.as_bytes());
            call.return_one(name)
        }
    }
}

/// What identifies an upvalue: its cell, or, for one captured by value, its place.
fn upvalueid(state: &mut State, call: Call) -> Result<u32, Throw> {
    let n = state.check_int(call, 1)?;
    let function = state.check_function(call, 0)?;
    let Some((place, _)) = find_upvalue(function, n) else { return call.return_one(Value::NIL) };
    // SAFETY: an upvalue of a live function.
    let held = unsafe { place.read() };
    // Addresses move; identities don't.
    let id = if held.is(Tag::Cell) {
        u64::from(state.heap.identity(held.as_header())) << 8
    } else {
        u64::from(state.heap.identity(function.as_header())) << 8 | n as u64
    };
    call.return_one(Value { tag: Tag::LightUserdata as u64, payload: id })
}

/// Makes an upvalue of one Lua function refer to that of another one. Both are cells if their chunks mention this function.
fn upvaluejoin(state: &mut State, call: Call) -> Result<u32, Throw> {
    let mut places = [std::ptr::null_mut(); 2];
    for (place, first) in places.iter_mut().zip([0, 2]) {
        let n = state.check_int(call, first + 1)?;
        let function = state.check_function(call, first)?;
        if !function.is(Tag::LuaClosure) {
            return Err(state.argument_error(call, first, "Lua function expected"));
        }
        *place = match find_upvalue(function, n) {
            Some((found, _)) => found,
            None => return Err(state.argument_error(call, first + 1, "invalid upvalue index")),
        };
    }
    let [to, from] = places;
    // SAFETY: upvalues of live functions. What is read from one by way of a cell is written as such only where a cell is expected.
    unsafe {
        let (held, joined) = (to.read(), from.read());
        let value = |value: Value| if value.is(Tag::Cell) { (*value.as_cell()).value } else { value };
        to.write(match (held.is(Tag::Cell), joined.is(Tag::Cell)) {
            (true, true) => joined,
            (true, false) => Value::cell(state.heap.new_cell(joined)),
            (false, _) => value(joined),
        });
    }
    state.heap.barrier(call.arg(0).as_header());
    call.return_none()
}

fn getmetatable(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    let metatable = state.metatable_of(value);
    call.return_one(if metatable.is_null() { Value::NIL } else { Value::table(metatable) })
}

fn setmetatable(state: &mut State, call: Call) -> Result<u32, Throw> {
    let metatable = call.arg(1);
    if call.is_none(1) || !(metatable.is_nil() || metatable.is(Tag::Table)) {
        return Err(state.type_error(call, 1, "nil or table"));
    }
    let metatable = if metatable.is_nil() { std::ptr::null_mut() } else { metatable.as_table() };
    let value = call.arg(0);
    if value.is(Tag::Table) {
        table::set_metatable(&mut state.heap, value.as_table(), metatable);
    } else if value.is(Tag::Userdata) {
        state.heap.set_userdata_metatable(value.as_userdata(), metatable);
    } else {
        state.set_type_metatable(value, metatable);
    }
    call.return_one(value)
}

/// A value that belongs to a userdata. Those of the libraries have none, as in PUC's Lua.
fn getuservalue(state: &mut State, call: Call) -> Result<u32, Throw> {
    state.opt_int(call, 1, 1)?;
    call.return_one(Value::NIL)
}

fn setuservalue(state: &mut State, call: Call) -> Result<u32, Throw> {
    state.opt_int(call, 2, 1)?;
    if !call.arg(0).is(Tag::Userdata) {
        return Err(state.type_error(call, 0, "userdata"));
    }
    state.check_any(call, 1)?;
    call.return_one(Value::NIL)
}

fn getregistry(state: &mut State, call: Call) -> Result<u32, Throw> {
    call.return_one(Value::table(state.registry))
}

/// `sethook(function, mask, count)`, or none; a coroutine before it is this one.
fn sethook(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (thread, _) = coroutine_argument(state, call);
    let first = u32::from(call.arg(0).is(Tag::Thread));
    if call.is_none_or_nil(first) {
        state.set_hook_of(thread, Value::NIL, Mask::default())?;
        return call.return_none();
    }
    let letters = state.check_bytes(call, first + 1)?;
    let function = state.check_function(call, first)?;
    let count = state.opt_int(call, first + 2, 0)?;
    let has = |letter: u8| letters.contains(&letter);
    let count = u32::try_from(count.max(0)).unwrap_or(u32::MAX);
    let mask = Mask { call: has(b'c'), ret: has(b'r'), line: has(b'l'), count };
    state.set_hook_of(thread, function, mask)?;
    add_hook_key(state);
    if thread == state.runloop.thread {
        state.hook_own_return(call)?;
    }
    call.return_none()
}

/// The table in which PUC keeps the hooks of its coroutines, which programs can see.
fn add_hook_key(state: &mut State) {
    let (hooks, weak) = (state.new_table(0, 0), state.new_table(0, 1));
    let mode = state.string_value(b"k");
    state.set_named(weak, "__mode", mode);
    table::set_metatable(&mut state.heap, hooks, weak);
    let registry = state.registry;
    state.set_named(registry, "_HOOKKEY", Value::table(hooks));
}

fn gethook(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (thread, _) = coroutine_argument(state, call);
    let (function, mask) = state.hook_of(thread);
    if function.is_nil() {
        return call.return_one(Value::NIL);
    }
    let letters = [(mask.call, b'c'), (mask.ret, b'r'), (mask.line, b'l')];
    let letters: Vec<u8> = letters.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| *letter).collect();
    let letters = state.string_value(&letters);
    call.return_slice(&[function, letters, Value::int(i64::from(mask.count))])
}
