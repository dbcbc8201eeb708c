//! Concatenation, and functions of `string` on strings.

use super::frame::{allocated, attempt, guest, keep_quietly, state_of};
use super::{Context, Value};
use crate::heap::Heap;
use crate::number;
use crate::object::LuaString;
use crate::state::{State, Throw};
use crate::value::Tag;

/// Strings up to this length are put together without asking whether there is room for them.
const SMALL: usize = 1 << 12;

fn is_text(value: Value) -> bool {
    value.is(Tag::String) || value.is_int() || value.is_float()
}

/// The concatenation of two strings, if it is small.
#[inline]
fn join_small(heap: &mut Heap, x: *mut LuaString, y: *mut LuaString) -> Option<*mut LuaString> {
    let (first, second) = (LuaString::bytes(x), LuaString::bytes(y));
    if second.is_empty() {
        return Some(x);
    }
    if first.is_empty() {
        return Some(y);
    }
    (first.len() + second.len() <= SMALL).then(|| heap.concatenate(&[first, second]))
}

/// Concatenates `count` values at `from`, which are temporaries: right to left, as many strings and numbers at once as stand
/// together.
///
/// # Safety
/// The values stand in a window that is a root.
unsafe fn concatenate(state: &mut State, from: *mut Value, count: usize) -> Result<Value, Throw> {
    // SAFETY: places below `count`. They are read anew after every call, which may have moved what they hold.
    unsafe {
        let mut left = count;
        while left > 1 {
            let (x, y) = (from.add(left - 2).read(), from.add(left - 1).read());
            if !is_text(x) || !is_text(y) {
                let value = state.concat_at(x, y, (left - 2) as u8)?;
                from.add(left - 2).write(value);
                left -= 1;
                continue;
            }
            let mut run = 2;
            while run < left && is_text(from.add(left - run - 1).read()) {
                run += 1;
            }
            let first = from.add(left - run);
            let text = state.concatenate_run(std::slice::from_raw_parts(first, run))?;
            first.write(Value::string(text));
            left -= run - 1;
        }
        Ok(from.read())
    }
}

/// Where `string.sub(s, from, to)` starts and ends in a string of a length, from zero, the end not included.
fn section(length: usize, from: i64, to: i64) -> (usize, usize) {
    let length = length as i64;
    let start = match from {
        1.. => from - 1,
        0 => 0,
        _ => (length + from).max(0),
    };
    let end = match to {
        0.. => to.min(length),
        _ => length.saturating_add(to) + 1,
    };
    if start < end { (start as usize, end as usize) } else { (0, 0) }
}

host_functions! {
    /// `x .. y`.
    fn lua_concat(context, window; x: any, y: any) -> any {
        if x.is(Tag::String)
            && y.is(Tag::String)
            && let Some(text) = join_small(&mut state_of(context).heap, x.as_string(), y.as_string())
        {
            return allocated(context, window, Value::string(text));
        }
        guest(context, window, |state| state.concat(x, y))
    }

    /// The concatenation of `count` values at `from`, which may be overwritten.
    fn lua_concat_many(context, window; from: raw Value, count: i64) -> any {
        guest(context, window, |state| concatenate(state, from, count as usize))
    }

    /// `x .. y` of strings.
    fn lua_concat_strings(context, window; x: ref LuaString, y: ref LuaString) -> ref LuaString {
        let text = match join_small(&mut state_of(context).heap, x, y) {
            Some(text) => allocated(context, window, Value::string(text)),
            None => attempt(context, window, |state| {
                let text = state.concat(Value::string(x), Value::string(y))?;
                keep_quietly(state, window, text)
            }),
        };
        text.as_string()
    }

    /// The decimal digits of an integer.
    fn lua_to_string_int(context, window; value: i64) -> ref LuaString {
        let state = state_of(context);
        state.scratch.clear();
        number::write_int(&mut state.scratch, value);
        let text = state.heap.intern(&state.scratch);
        allocated(context, window, Value::string(text)).as_string()
    }

    /// `string.sub(text, from, to)`.
    fn lua_string_sub(context, window; text: ref LuaString, from: i64, to: i64) -> ref LuaString {
        let bytes = LuaString::bytes(text);
        let (start, end) = section(bytes.len(), from, to);
        if end - start == bytes.len() {
            return text;
        }
        let part = state_of(context).heap.intern(&bytes[start..end]);
        allocated(context, window, Value::string(part)).as_string()
    }

    /// The byte at a place of a string, counted from zero, which is inside of it.
    fn lua_string_byte(_; text: ref LuaString, place: i64) -> i64 {
        debug_assert!((place as u64) < u64::from((*text).length), "compiled code checks the bounds");
        i64::from((text.add(1) as *const u8).add(place as usize).read())
    }
}

#[cfg(test)]
mod tests {
    use super::section;

    #[test]
    fn sections_are_those_of_string_sub() {
        let text = "hello";
        let expected = [
            (1, 5, "hello"),
            (2, -1, "ello"),
            (-3, -2, "ll"),
            (-100, 2, "he"),
            (0, 0, ""),
            (3, 2, ""),
            (4, 100, "lo"),
            (6, 7, ""),
            (i64::MIN, i64::MAX, "hello"),
            (i64::MAX, i64::MAX, ""),
            (1, i64::MIN, ""),
        ];
        for (from, to, part) in expected {
            let (start, end) = section(text.len(), from, to);
            assert_eq!(&text[start..end], part, "string.sub('hello', {from}, {to})");
        }
        assert_eq!(section(0, 1, -1), (0, 0));
    }
}
