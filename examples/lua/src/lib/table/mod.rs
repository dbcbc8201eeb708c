//! The `table` library.
//!
//! All functions respect `__index`, `__newindex` and `__len`, and take whatever has them. Most tables have none of them: an
//! element that is there, raw, needs no metamethod to be read or overwritten, and plain tables are worked on as arrays.

use crate::metamethod::Event;
use crate::number;
use crate::object::LuaString;
use crate::state::{Call, State, Throw};
use crate::table;
use crate::value::{Tag, Value};

mod sort;

/// Makes the library.
pub fn open(state: &mut State) {
    state.register_library(
        "table",
        &[
            ("concat", concat),
            ("insert", insert),
            ("move", move_),
            ("pack", pack),
            ("remove", remove),
            ("sort", sort::sort),
            ("unpack", unpack),
        ],
    );
}

const READ: &[Event] = &[Event::Index];
const WRITE: &[Event] = &[Event::NewIndex];
const READ_LENGTH: &[Event] = &[Event::Index, Event::Length];
const ALL: &[Event] = &[Event::Index, Event::NewIndex, Event::Length];

/// Argument `i` must be a table, or have a metatable with handlers for all of `events`.
#[inline]
fn check(state: &mut State, call: Call, i: u32, events: &[Event]) -> Result<(), Throw> {
    let value = call.arg(i);
    if value.is(Tag::Table) || events.iter().all(|event| !state.metamethod(value, *event).is_nil()) {
        return Ok(());
    }
    Err(state.type_error(call, i, "table"))
}

/// Whether argument `i` is a table without handlers for any of `events`.
#[inline]
fn is_plain(state: &State, call: Call, i: u32, events: &[Event]) -> bool {
    let value = call.arg(i);
    if !value.is(Tag::Table) {
        return false;
    }
    // SAFETY: the table is an argument.
    let has_metatable = unsafe { !(*value.as_table()).metatable.is_null() };
    !has_metatable || events.iter().all(|event| state.metamethod(value, *event).is_nil())
}

/// `#argument`, which must be an integer.
#[inline]
fn length(state: &mut State, call: Call, i: u32) -> Result<i64, Throw> {
    if is_plain(state, call, i, &[Event::Length]) {
        return Ok(table::length(call.arg(i).as_table()));
    }
    let length = state.length(call.arg(i))?;
    let as_int = if length.is_float() {
        number::float_to_integer(length.as_float())
    } else {
        length.is_int().then(|| length.as_int())
    };
    match as_int {
        Some(length) => Ok(length),
        None => Err(state.throw_message("object length is not an integer")),
    }
}

/// `argument[index]`.
#[inline]
fn get(state: &mut State, call: Call, i: u32, index: i64) -> Result<Value, Throw> {
    let value = call.arg(i);
    if value.is(Tag::Table) {
        let table = value.as_table();
        let element = table::get_int(table, index);
        // SAFETY: the table is an argument.
        if !element.is_nil() || unsafe { (*table).metatable.is_null() } {
            return Ok(element);
        }
    }
    state.index(value, Value::int(index))
}

/// `argument[index] = value`.
#[inline]
fn set(state: &mut State, call: Call, i: u32, index: i64, value: Value) -> Result<(), Throw> {
    let object = call.arg(i);
    if object.is(Tag::Table) {
        let table = object.as_table();
        // SAFETY: the table is an argument.
        if unsafe { (*table).metatable.is_null() } || !table::get_int(table, index).is_nil() {
            table::set_int(&mut state.heap, table, index, value);
            return Ok(());
        }
    }
    state.set_index(object, Value::int(index), value)
}

fn insert(state: &mut State, call: Call) -> Result<u32, Throw> {
    check(state, call, 0, ALL)?;
    let end = length(state, call, 0)?.wrapping_add(1);
    match call.count {
        2 => {
            set(state, call, 0, end, call.arg(1))?;
        }
        3 => {
            let position = state.check_int(call, 1)?;
            if (position as u64).wrapping_sub(1) >= end as u64 {
                return Err(state.argument_error(call, 1, "position out of bounds"));
            }
            let value = call.arg(2);
            if is_plain(state, call, 0, &[Event::Index, Event::NewIndex])
                && table::insert_element(&mut state.heap, call.arg(0).as_table(), position, value)
            {
                return call.return_none();
            }
            let mut index = end;
            while index > position {
                state.take_round()?;
                let moved = get(state, call, 0, index - 1)?;
                set(state, call, 0, index, moved)?;
                index -= 1;
            }
            set(state, call, 0, position, call.arg(2))?;
        }
        _ => return Err(state.throw_message("wrong number of arguments to 'insert'")),
    }
    call.return_none()
}

fn remove(state: &mut State, call: Call) -> Result<u32, Throw> {
    check(state, call, 0, ALL)?;
    let size = length(state, call, 0)?;
    let mut position = state.opt_int(call, 1, size)?;
    if call.count > 1 && position != size && (position as u64).wrapping_sub(1) > size as u64 {
        return Err(state.argument_error(call, 0, "position out of bounds"));
    }
    if is_plain(state, call, 0, &[Event::Index, Event::NewIndex])
        && let Some(removed) = table::remove_element(&mut state.heap, call.arg(0).as_table(), position)
    {
        return call.return_one(removed);
    }
    // The removed value lives in the window while the others move.
    let place = call.count;
    let window = state.reserve(call, place + 1);
    let removed = get(state, call, 0, position)?;
    window.set_arg(place, removed);
    while position < size {
        state.take_round()?;
        let moved = get(state, call, 0, position + 1)?;
        set(state, call, 0, position, moved)?;
        position += 1;
    }
    set(state, call, 0, position, Value::NIL)?;
    call.return_one(window.arg(place))
}

fn concat(state: &mut State, call: Call) -> Result<u32, Throw> {
    check(state, call, 0, READ_LENGTH)?;
    let size = length(state, call, 0)?;
    let separator = state.opt_bytes(call, 1, b"")?;
    let first = state.opt_int(call, 2, 1)?;
    let last = state.opt_int(call, 3, size)?;
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    let result = concat_all(state, call, separator, first, last, &mut out);
    let value = result.map(|()| state.string_value(&out));
    state.scratch = out;
    call.return_one(value?)
}

fn concat_all(
    state: &mut State,
    call: Call,
    separator: &[u8],
    first: i64,
    last: i64,
    out: &mut Vec<u8>,
) -> Result<(), Throw> {
    let mut index = first;
    while index <= last {
        state.take_round()?;
        state.check_room(out.len())?;
        let value = get(state, call, 0, index)?;
        if value.is(Tag::String) {
            out.extend_from_slice(LuaString::bytes(value.as_string()));
        } else if value.is_int() || value.is_float() {
            number::write(out, value);
        } else {
            let got = crate::error::type_name(value);
            let message = format!("invalid value ({got}) at index {index} in table for 'concat'");
            return Err(state.throw_message(message));
        }
        if out.len() > crate::string::MAXIMUM_LENGTH {
            return Err(state.throw_message("resulting string too large"));
        }
        if index == last {
            break;
        }
        out.extend_from_slice(separator);
        index += 1;
    }
    Ok(())
}

fn pack(state: &mut State, call: Call) -> Result<u32, Throw> {
    let packed = state.new_table(call.count, 1);
    table::set_list(&mut state.heap, packed, 1, call.base, call.count as usize);
    state.set_named(packed, "n", Value::int(i64::from(call.count)));
    call.return_one(Value::table(packed))
}

fn unpack(state: &mut State, call: Call) -> Result<u32, Throw> {
    let first = state.opt_int(call, 1, 1)?;
    let last = if call.is_none_or_nil(2) { length(state, call, 0)? } else { state.check_int(call, 2)? };
    if first > last {
        return call.return_none();
    }
    let count = (last as u64).wrapping_sub(first as u64);
    if count >= i32::MAX as u64
        || state.check_stack(call.base, (count + u64::from(call.count)) as usize + 2, "").is_err()
    {
        return Err(state.throw_message("too many results to unpack"));
    }
    let count = count as u32 + 1;
    if is_plain(state, call, 0, READ) {
        let source = call.arg(0).as_table();
        for i in 0..count {
            call.put_result(i, table::get_int(source, first + i64::from(i)));
        }
        return Ok(count);
    }
    // Getting an element may run code: the values are kept above the arguments, which must stay.
    let window = state.reserve(call, call.count + count);
    for i in 0..count {
        let value = get(state, call, 0, first + i64::from(i))?;
        window.set_arg(call.count + i, value);
    }
    for i in 0..count {
        call.put_result(i, window.arg(call.count + i));
    }
    Ok(count)
}

fn move_(state: &mut State, call: Call) -> Result<u32, Throw> {
    let first = state.check_int(call, 1)?;
    let last = state.check_int(call, 2)?;
    let to = state.check_int(call, 3)?;
    let target = if call.is_none_or_nil(4) { 0 } else { 4 };
    check(state, call, 0, READ)?;
    check(state, call, target, WRITE)?;
    if last >= first {
        if first <= 0 && last >= i64::MAX.wrapping_add(first) {
            return Err(state.argument_error(call, 2, "too many elements to move"));
        }
        let count = last - first + 1;
        if to > i64::MAX - count + 1 {
            return Err(state.argument_error(call, 3, "destination wrap around"));
        }
        let is_upward =
            to > last || to <= first || { target != 0 && !state.equals(call.arg(0), call.arg(target))? };
        for i in 0..count {
            state.take_round()?;
            let offset = if is_upward { i } else { count - 1 - i };
            let value = get(state, call, 0, first + offset)?;
            set(state, call, target, to + offset, value)?;
        }
    }
    call.return_one(call.arg(target))
}
