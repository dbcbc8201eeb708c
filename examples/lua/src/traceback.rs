//! Tracebacks, and the names of functions in them, in the words of PUC Lua.

use std::fmt::Write;

use crate::levels::Level;
use crate::lexer::chunk_display_name;
use crate::object::{LuaString, Thread};
use crate::state::State;
use crate::table;
use crate::value::{Tag, Value};

/// The first and last levels that a long traceback shows.
const TRACEBACK_FIRST: usize = 10;
const TRACEBACK_LAST: usize = 11;

impl State {
    /// The traceback of a coroutine, as of [`State::traceback`].
    pub fn traceback_of(
        &mut self,
        thread: *mut Thread,
        message: Option<&[u8]>,
        first_level: usize,
    ) -> Vec<u8> {
        let shown = self.with_line_of(thread, |state| state.traceback(message, first_level));
        shown.unwrap_or_else(|| self.traceback_of_levels(&[], message, 0))
    }

    /// The traceback from a level on, behind `message` if there is one.
    pub fn traceback(&self, message: Option<&[u8]>, first_level: usize) -> Vec<u8> {
        self.traceback_of_levels(&self.levels(usize::MAX), message, first_level)
    }

    fn traceback_of_levels(&self, levels: &[Level], message: Option<&[u8]>, first_level: usize) -> Vec<u8> {
        let mut out = String::new();
        let mut number = first_level;
        let skip = levels.len().saturating_sub(first_level) > 1 + TRACEBACK_FIRST + TRACEBACK_LAST;
        while let Some(level) = levels.get(number) {
            if skip && number == first_level + TRACEBACK_FIRST {
                let skipped = levels.len() - number - TRACEBACK_LAST;
                // As it is said in PUC: without the one at which it is said.
                let _ = write!(out, "\n\t...\t(skipping {} levels)", skipped - 1);
                number += skipped;
                continue;
            }
            match level.prototype().zip(level.line()) {
                Some((prototype, line)) => {
                    let source = chunk_display_name(&prototype.source);
                    let _ = match line {
                        1.. => write!(out, "\n\t{source}:{line}: in "),
                        _ => write!(out, "\n\t{source}: in "),
                    };
                }
                None => out.push_str("\n\t[C]: in "),
            }
            self.describe_function(levels, number, &mut out);
            if level.is_tail() {
                out.push_str("\n\t(...tail calls...)");
            }
            number += 1;
        }
        let mut text = Vec::new();
        if let Some(message) = message {
            text.extend_from_slice(message);
            text.push(b'\n');
        }
        text.extend_from_slice(b"stack traceback:");
        text.extend_from_slice(out.as_bytes());
        text
    }

    fn describe_function(&self, levels: &[Level], number: usize, out: &mut String) {
        let level = &levels[number];
        if let Some(name) = self.global_function_name(level) {
            let _ = write!(out, "function '{name}'");
        } else if let Some((kind, name)) = self.called_name(levels, number) {
            let _ = write!(out, "{kind} '{name}'");
        } else {
            match level.prototype() {
                None => out.push('?'),
                Some(prototype) if prototype.line_defined == 0 => out.push_str("main chunk"),
                Some(prototype) => {
                    let source = chunk_display_name(&prototype.source);
                    let _ = write!(out, "function <{source}:{}>", prototype.line_defined);
                }
            }
        }
    }

    /// The name under which a loaded module has the function of a level: `string.rep`, or without prefix for globals.
    pub fn global_function_name(&self, level: &Level) -> Option<String> {
        let function = level.function();
        let is_it = |value: Value| {
            if level.is_inlined {
                // SAFETY: a closure in a table is alive.
                value.is(Tag::LuaClosure) && unsafe { (*value.as_closure()).prototype } == level.prototype
            } else {
                value.same_bits(function)
            }
        };
        let text = |v: Value| String::from_utf8_lossy(LuaString::bytes(v.as_string())).into_owned();
        let mut module = Value::NIL;
        while let Ok(Some((name, content))) = table::next(self.registry, module) {
            module = name;
            if !name.is(Tag::String) || !content.is(Tag::Table) {
                continue;
            }
            let mut key = Value::NIL;
            while let Ok(Some((field, value))) = table::next(content.as_table(), key) {
                key = field;
                if field.is(Tag::String) && is_it(value) {
                    let (module, field) = (text(name), text(field));
                    return Some(if module == "_G" { field } else { format!("{module}.{field}") });
                }
            }
        }
        None
    }
}
