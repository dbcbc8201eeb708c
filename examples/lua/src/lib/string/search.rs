//! `find`, `match`, `gmatch`, `gsub`: patterns at work on strings.

use std::rc::Rc;

use super::cache::Ticket;
use super::pattern::{Capture, Caret, Matcher, Pattern, PatternError};
use super::start_position;
use crate::error::type_name;
use crate::number;
use crate::object::{LuaString, NativeFunction};
use crate::state::{Call, State, Throw, Values};
use crate::string::same_bytes;
use crate::table;
use crate::value::{Tag, Value};

#[cold]
fn pattern_error(state: &mut State, error: PatternError) -> Throw {
    if error == PatternError::OutOfSteps {
        return state.out_of_steps();
    }
    state.throw_message(error.to_string())
}

/// Where something was found, start and end.
type Found = (usize, usize);

/// Capture `index` of a match, as a value; a pattern without captures has the whole match as its first.
#[inline]
fn capture(state: &mut State, matcher: &Matcher, index: usize, found: Found) -> Result<Value, Throw> {
    if index >= matcher.capture_count() {
        if index != 0 {
            return Err(pattern_error(state, PatternError::InvalidCaptureIndex(index as i32 + 1)));
        }
        return Ok(state.string_value(&matcher.subject()[found.0..found.1]));
    }
    match matcher.capture(index) {
        Capture::Text { start, end } => Ok(state.string_value(&matcher.subject()[start..end])),
        Capture::Position(position) => Ok(Value::int(position as i64)),
        Capture::Unfinished => Err(pattern_error(state, PatternError::UnfinishedCapture)),
    }
}

/// Makes all captures, or the whole match, results from number `from` on.
#[inline]
fn put_captures(
    state: &mut State,
    call: Call,
    from: u32,
    matcher: &Matcher,
    found: Found,
) -> Result<u32, Throw> {
    let count = matcher.capture_count().max(1) as u32;
    for i in 0..count {
        let value = capture(state, matcher, i as usize, found)?;
        call.put_result(from + i, value);
    }
    Ok(from + count)
}

/// What `find` and `match` begin with: subject, pattern, and where to start, unless that is behind the end.
#[inline]
#[allow(clippy::type_complexity, reason = "the text, the pattern, and where to start, for two callers")]
fn arguments(state: &mut State, call: Call) -> Result<(&'static [u8], *mut LuaString, Option<usize>), Throw> {
    let subject = state.check_bytes(call, 0)?;
    let pattern = state.check_string(call, 1)?;
    let start = start_position(state.opt_int(call, 2, 1)?, subject.len()) - 1;
    Ok((subject, pattern, (start <= subject.len()).then_some(start)))
}

pub(super) fn find(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (subject, source, start) = arguments(state, call)?;
    let Some(start) = start else { return call.return_one(Value::NIL) };
    if !call.arg(3).is_falsy() {
        return find_plain(call, subject, LuaString::bytes(source), start);
    }
    let pattern = state.libraries.patterns.get(source, Caret::Anchor);
    if pattern.is_plain {
        return find_plain(call, subject, &pattern.source, start);
    }
    let mut matcher = Matcher::new(subject, &pattern).within(state.steps_left);
    match matcher.find(start) {
        Ok(Some(found)) => {
            call.put_result(0, Value::int(found.0 as i64 + 1));
            call.put_result(1, Value::int(found.1 as i64));
            if pattern.capture_count == 0 { Ok(2) } else { put_captures(state, call, 2, &matcher, found) }
        }
        Ok(None) => call.return_one(Value::NIL),
        Err(error) => Err(pattern_error(state, error)),
    }
}

fn find_plain(call: Call, subject: &[u8], text: &[u8], start: usize) -> Result<u32, Throw> {
    match find_text(&subject[start..], text) {
        Some(place) => {
            let start = start + place;
            call.return_two(Value::int(start as i64 + 1), Value::int((start + text.len()) as i64))
        }
        None => call.return_one(Value::NIL),
    }
}

/// Where `text` is first found.
fn find_text(subject: &[u8], text: &[u8]) -> Option<usize> {
    /// Places with the right first byte that are tried one by one. More of them, and a searcher is worth its preparation.
    const TRIES: u32 = 16;
    let Some((first, rest)) = text.split_first() else { return Some(0) };
    let mut from = 0;
    for _ in 0..TRIES {
        let place = from + memchr::memchr(*first, &subject[from..])?;
        let end = place + text.len();
        if end <= subject.len() && same_bytes(&subject[place + 1..end], rest) {
            return Some(place);
        }
        from = place + 1;
    }
    memchr::memmem::find(&subject[from..], text).map(|place| from + place)
}

pub(super) fn match_(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (subject, source, start) = arguments(state, call)?;
    let Some(start) = start else { return call.return_one(Value::NIL) };
    let pattern = state.libraries.patterns.get(source, Caret::Anchor);
    let mut matcher = Matcher::new(subject, &pattern).within(state.steps_left);
    match matcher.find(start) {
        Ok(Some(found)) => put_captures(state, call, 0, &matcher, found),
        Ok(None) => call.return_one(Value::NIL),
        Err(error) => Err(pattern_error(state, error)),
    }
}

/// Upvalues of the iterator that `gmatch` returns.
const SUBJECT: usize = 0;
const PATTERN: usize = 1;
/// Where to go on, from zero.
const NEXT: usize = 2;
/// Where the last match ended, or -1: an empty match there is none.
const LAST: usize = 3;
/// The pattern's ticket in the cache.
const TICKET: usize = 4;

pub(super) fn gmatch(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (subject, source, start) = arguments(state, call)?;
    let start = start.unwrap_or(subject.len() + 1);
    let (_, ticket) = state.libraries.patterns.get_with_ticket(source, Caret::Literal);
    let upvalues =
        [call.arg(0), call.arg(1), Value::int(start as i64), Value::int(-1), Value::int(ticket.to_int())];
    let iterator = state.heap.new_native(gmatch_next, "for iterator", 0, &upvalues);
    call.return_one(Value::native(iterator))
}

fn gmatch_next(state: &mut State, call: Call) -> Result<u32, Throw> {
    let upvalues = NativeFunction::upvalues(call.function().as_native());
    // SAFETY: the function is an iterator made by `gmatch`, so these are its upvalues, and it keeps the strings alive: the
    // function's slot is overwritten only by results, after which the strings are not used any more.
    let (subject, source, next, last, ticket) = unsafe {
        (
            LuaString::bytes((*upvalues.add(SUBJECT)).as_string()),
            (*upvalues.add(PATTERN)).as_string(),
            (*upvalues.add(NEXT)).as_int() as usize,
            (*upvalues.add(LAST)).as_int(),
            Ticket::from_int((*upvalues.add(TICKET)).as_int()),
        )
    };
    let patterns = &mut state.libraries.patterns;
    let pattern = patterns.again(ticket).unwrap_or_else(|| patterns.get(source, Caret::Literal));
    let mut matcher = Matcher::new(subject, &pattern).within(state.steps_left);
    let mut from = next;
    while from <= subject.len() {
        match matcher.find(from) {
            Ok(Some(found)) if found.1 as i64 == last => from = found.0 + 1,
            Ok(Some(found)) => {
                // SAFETY: as above. Integers need no barrier.
                unsafe {
                    *upvalues.add(NEXT) = Value::int(found.1 as i64);
                    *upvalues.add(LAST) = Value::int(found.1 as i64);
                }
                return put_captures(state, call, 0, &matcher, found);
            }
            Ok(None) => break,
            Err(error) => return Err(pattern_error(state, error)),
        }
    }
    call.return_one(Value::NIL)
}

/// What `gsub` puts in the place of a match.
#[derive(Clone, Copy)]
enum Replacement {
    /// A text without `%`.
    Text(&'static [u8]),
    /// A text with references to captures.
    Template(&'static [u8]),
    /// A table or function, in argument 2: it is asked.
    Ask,
}

pub(super) fn gsub(state: &mut State, call: Call) -> Result<u32, Throw> {
    let subject = state.check_bytes(call, 0)?;
    let source = state.check_string(call, 1)?;
    let replacement = call.arg(2);
    let limit = state.opt_int(call, 3, subject.len() as i64 + 1)?;
    let replacement =
        if replacement.is(Tag::Table) || replacement.is(Tag::LuaClosure) || replacement.is(Tag::Native) {
            Replacement::Ask
        } else if replacement.is(Tag::String) || replacement.is_int() || replacement.is_float() {
            let text = state.check_bytes(call, 2)?;
            if text.contains(&b'%') { Replacement::Template(text) } else { Replacement::Text(text) }
        } else {
            return Err(state.type_error(call, 2, "string/function/table"));
        };
    let pattern = state.libraries.patterns.get(source, Caret::Anchor);
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    let substituted = substitute(state, call, &pattern, subject, replacement, limit, &mut out);
    let result = substituted.map(|(count, is_changed)| {
        let value = if is_changed { state.string_value(&out) } else { call.arg(0) };
        (value, count)
    });
    state.scratch = out;
    let (value, count) = result?;
    call.return_two(value, Value::int(count))
}

/// The work of `gsub`: how many matches there were, and whether one was replaced; only then `out` is the result.
fn substitute(
    state: &mut State,
    call: Call,
    pattern: &Rc<Pattern>,
    subject: &'static [u8],
    replacement: Replacement,
    limit: i64,
    out: &mut Vec<u8>,
) -> Result<(i64, bool), Throw> {
    let mut matcher = Matcher::new(subject, pattern).within(state.steps_left);
    let (mut count, mut is_changed) = (0, false);
    // Up to `copied`, the subject is in `out` (or what replaced it).
    let (mut from, mut copied) = (0, 0);
    let mut last = None;
    while count < limit && from <= subject.len() {
        let found = match matcher.find(from) {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => return Err(pattern_error(state, error)),
        };
        if last == Some(found.1) {
            // An empty match where the last one ended.
            from = found.0 + 1;
        } else {
            count += 1;
            out.extend_from_slice(&subject[copied..found.0]);
            match replacement {
                Replacement::Text(text) => {
                    out.extend_from_slice(text);
                    is_changed = true;
                }
                Replacement::Template(text) => {
                    expand(state, &matcher, found, text, out)?;
                    is_changed = true;
                }
                Replacement::Ask => is_changed |= ask(state, call, &matcher, found, out)?,
            }
            state.check_room(out.len())?;
            from = found.1;
            copied = found.1;
            last = Some(found.1);
        }
        if pattern.anchored {
            break;
        }
    }
    out.extend_from_slice(&subject[copied..]);
    if out.len() > crate::string::MAXIMUM_LENGTH {
        return Err(state.throw_message("resulting string too large"));
    }
    Ok((count, is_changed))
}

/// Writes a replacement text with its references to captures.
fn expand(
    state: &mut State,
    matcher: &Matcher,
    found: Found,
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Throw> {
    let mut rest = text;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        state.check_room(out.len())?;
        out.extend_from_slice(&rest[..percent]);
        match rest.get(percent + 1) {
            Some(b'%') => out.push(b'%'),
            Some(b'0') => out.extend_from_slice(&matcher.subject()[found.0..found.1]),
            Some(digit @ b'1'..=b'9') => {
                let index = usize::from(digit - b'1');
                if index >= matcher.capture_count() {
                    if index != 0 {
                        let error = PatternError::InvalidCaptureIndex(index as i32 + 1);
                        return Err(pattern_error(state, error));
                    }
                    out.extend_from_slice(&matcher.subject()[found.0..found.1]);
                } else {
                    match matcher.capture(index) {
                        Capture::Text { start, end } => out.extend_from_slice(&matcher.subject()[start..end]),
                        Capture::Position(position) => number::write_int(out, position as i64),
                        Capture::Unfinished => {
                            return Err(pattern_error(state, PatternError::UnfinishedCapture));
                        }
                    }
                }
            }
            _ => return Err(state.throw_message("invalid use of '%' in replacement string")),
        }
        rest = &rest[percent + 2..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// Asks the table or function for a match's replacement; false if the match is to stay.
fn ask(
    state: &mut State,
    call: Call,
    matcher: &Matcher,
    found: Found,
    out: &mut Vec<u8>,
) -> Result<bool, Throw> {
    let answer = if call.arg(2).is(Tag::Table) {
        let key = capture(state, matcher, 0, found)?;
        let asked = call.arg(2).as_table();
        let value = table::get(asked, key);
        // SAFETY: the table is an argument.
        if value.is_nil() && unsafe { !(*asked).metatable.is_null() } {
            state.index(call.arg(2), key)?
        } else {
            value
        }
    } else if matcher.capture_count() <= 1 {
        let argument = capture(state, matcher, 0, found)?;
        state.call_one(call.arg(2), &[argument])?
    } else {
        let mut arguments = Values::new();
        for i in 0..matcher.capture_count() {
            arguments.push(capture(state, matcher, i, found)?);
        }
        state.call_one(call.arg(2), &arguments)?
    };
    if answer.is(Tag::String) {
        out.extend_from_slice(LuaString::bytes(answer.as_string()));
    } else if answer.is_int() || answer.is_float() {
        number::write(out, answer);
    } else if answer.is_falsy() {
        out.extend_from_slice(&matcher.subject()[found.0..found.1]);
        return Ok(false);
    } else {
        let message = format!("invalid replacement value (a {})", type_name(answer));
        return Err(state.throw_message(message));
    }
    Ok(true)
}
