//! The standard library, and what native functions use to take their arguments: checks whose messages are PUC's.
//!
//! Argument numbers are zero-based here and one-based in messages.

use crate::heap::Heap;
use crate::metamethod::Event;
use crate::number;
use crate::object::{LuaString, Table};
use crate::state::{Call, NativeEntry, State, Throw};
use crate::value::{Tag, Value};

pub mod base;
pub mod collect;
pub mod coroutine;
pub mod debug;
pub mod io;
pub mod libraries;
pub mod math;
pub mod os;
pub mod package;
pub mod string;
pub mod system;
pub mod table;
pub mod utf8;
pub mod warn;

/// Bytes of output that are kept before they are written: a few pages.
const OUTPUT_BUFFER: usize = 32 << 10;

impl State {
    /// Throws "bad argument #i to 'f' (expected expected, got …)".
    #[cold]
    pub fn type_error(&mut self, call: Call, i: u32, expected: &str) -> Throw {
        let got = if call.is_none(i) { "no value".to_string() } else { self.type_name_of(call.arg(i)) };
        self.argument_error(call, i, &format!("{expected} expected, got {got}"))
    }

    /// Any value, but one must be given.
    #[inline]
    pub fn check_any(&mut self, call: Call, i: u32) -> Result<Value, Throw> {
        if call.is_none(i) {
            return Err(self.argument_error(call, i, "value expected"));
        }
        Ok(call.arg(i))
    }

    /// An integer, or a float or string that stands for one.
    #[inline]
    pub fn check_int(&mut self, call: Call, i: u32) -> Result<i64, Throw> {
        let value = call.arg(i);
        if value.is_int() {
            return Ok(value.as_int());
        }
        self.check_int_slow(call, i)
    }

    #[cold]
    fn check_int_slow(&mut self, call: Call, i: u32) -> Result<i64, Throw> {
        let value = call.arg(i);
        match number::to_number(value) {
            None => Err(self.type_error(call, i, "number")),
            Some(number) => match number::to_integer(number) {
                Some(int) => Ok(int),
                None => Err(self.argument_error(call, i, "number has no integer representation")),
            },
        }
    }

    /// A number as a float.
    #[inline]
    pub fn check_number(&mut self, call: Call, i: u32) -> Result<f64, Throw> {
        let value = call.arg(i);
        if value.is_float() {
            return Ok(value.as_float());
        }
        self.check_number_slow(call, i)
    }

    fn check_number_slow(&mut self, call: Call, i: u32) -> Result<f64, Throw> {
        match number::to_number(call.arg(i)) {
            None => Err(self.type_error(call, i, "number")),
            Some(number) if number.is_int() => Ok(number.as_int() as f64),
            Some(number) => Ok(number.as_float()),
        }
    }

    /// A number, as it is: integer or float (strings are converted).
    #[inline]
    pub fn check_numeric(&mut self, call: Call, i: u32) -> Result<Value, Throw> {
        match number::to_number(call.arg(i)) {
            None => Err(self.type_error(call, i, "number")),
            Some(number) => Ok(number),
        }
    }

    /// A string; a number is converted, also in its argument slot.
    #[inline]
    pub fn check_string(&mut self, call: Call, i: u32) -> Result<*mut LuaString, Throw> {
        let value = call.arg(i);
        if value.is(Tag::String) {
            return Ok(value.as_string());
        }
        self.check_string_slow(call, i)
    }

    fn check_string_slow(&mut self, call: Call, i: u32) -> Result<*mut LuaString, Throw> {
        let value = call.arg(i);
        if value.is_int() || value.is_float() {
            let object = self.number_to_string(value);
            call.set_arg(i, Value::string(object));
            return Ok(object);
        }
        Err(self.type_error(call, i, "string"))
    }

    /// A string's bytes; they live as long as the string, which never moves: `'static` here means "as long as the argument
    /// slot keeps it".
    #[inline]
    pub fn check_bytes(&mut self, call: Call, i: u32) -> Result<&'static [u8], Throw> {
        let object = self.check_string(call, i)?;
        Ok(LuaString::bytes(object))
    }

    /// A table.
    #[inline]
    pub fn check_table(&mut self, call: Call, i: u32) -> Result<*mut Table, Throw> {
        let value = call.arg(i);
        if value.is(Tag::Table) {
            return Ok(value.as_table());
        }
        Err(self.type_error(call, i, "table"))
    }

    /// A Lua or native function.
    #[inline]
    pub fn check_function(&mut self, call: Call, i: u32) -> Result<Value, Throw> {
        let value = call.arg(i);
        if value.is(Tag::LuaClosure) || value.is(Tag::Native) {
            return Ok(value);
        }
        Err(self.type_error(call, i, "function"))
    }

    /// An integer, or `default` when absent or nil.
    #[inline]
    pub fn opt_int(&mut self, call: Call, i: u32, default: i64) -> Result<i64, Throw> {
        if call.is_none_or_nil(i) { Ok(default) } else { self.check_int(call, i) }
    }

    /// A float, or `default` when absent or nil.
    #[inline]
    pub fn opt_number(&mut self, call: Call, i: u32, default: f64) -> Result<f64, Throw> {
        if call.is_none_or_nil(i) { Ok(default) } else { self.check_number(call, i) }
    }

    /// A string's bytes, or `default` when absent or nil.
    #[inline]
    pub fn opt_bytes(&mut self, call: Call, i: u32, default: &'static [u8]) -> Result<&'static [u8], Throw> {
        if call.is_none_or_nil(i) { Ok(default) } else { self.check_bytes(call, i) }
    }

    /// One of the strings of `options`, or `default` when absent; its index.
    pub fn check_option(
        &mut self,
        call: Call,
        i: u32,
        default: Option<&'static str>,
        options: &[&str],
    ) -> Result<usize, Throw> {
        let bytes = match default {
            Some(default) => self.opt_bytes(call, i, default.as_bytes())?,
            None => self.check_bytes(call, i)?,
        };
        match options.iter().position(|option| option.as_bytes() == bytes) {
            Some(index) => Ok(index),
            None => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                Err(self.argument_error(call, i, &format!("invalid option '{text}'")))
            }
        }
    }

    /// Makes a table of native functions, as a global and in `package.loaded`; returns it for constants to be added.
    pub fn register_library(&mut self, name: &str, functions: &[(&'static str, NativeEntry)]) -> *mut Table {
        let library = self.heap.new_table(0, functions.len() as u32);
        self.add_functions(library, functions);
        let (globals, loaded) = (self.globals, self.registry);
        self.set_named(globals, name, Value::table(library));
        self.set_named(loaded, name, Value::table(library));
        library
    }

    /// Puts native functions into a table.
    pub fn add_functions(&mut self, table: *mut Table, functions: &[(&'static str, NativeEntry)]) {
        for (name, entry) in functions {
            let function = self.heap.new_native(*entry, name, 0, &[]);
            self.set_named(table, name, Value::native(function));
        }
    }

    /// Sets a field without metamethods.
    pub fn set_named(&mut self, table: *mut Table, name: &str, value: Value) {
        let key = self.heap.intern(name.as_bytes());
        crate::table::set_string(&mut self.heap, table, key, value);
    }
}

impl State {
    /// The text of a number, as `tostring` gives it.
    pub fn number_to_string(&mut self, number: Value) -> *mut LuaString {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        number::write(&mut text, number);
        let object = self.heap.intern(&text);
        self.scratch = text;
        object
    }

    /// What `tostring` gives: the value's `__tostring`, or a description.
    pub fn to_display_string(&mut self, value: Value) -> Result<*mut LuaString, Throw> {
        if value.is(Tag::String) {
            return Ok(value.as_string());
        }
        if value.is_int() || value.is_float() {
            return Ok(self.number_to_string(value));
        }
        let handler = self.metamethod(value, Event::ToString);
        if !handler.is_nil() {
            let text = self.call_one(handler, &[value])?;
            if text.is_int() || text.is_float() {
                return Ok(self.number_to_string(text));
            }
            if !text.is(Tag::String) {
                return Err(self.throw_message("'__tostring' must return a string"));
            }
            return Ok(text.as_string());
        }
        let text = if value.is_nil() {
            "nil".to_string()
        } else if value.is(Tag::Bool) {
            if value.payload != 0 { "true" } else { "false" }.to_string()
        } else {
            let address = self.heap.address_text(value).unwrap_or_default();
            format!("{}: {address}", self.type_name_of(value))
        };
        Ok(self.heap.intern(text.as_bytes()))
    }

    /// Opens all libraries.
    pub fn open_libraries(&mut self) {
        base::open(self);
        package::open(self);
        libraries::open(self);
        debug::open(self);
        self.number_intrinsics();
    }

    /// Writes to standard output, through a buffer.
    pub fn write_output(&mut self, bytes: &[u8]) {
        if let Some(at_most) = self.kept_output {
            let room = at_most.saturating_sub(self.output.len());
            return self.output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        self.output.extend_from_slice(bytes);
        if self.output.len() > OUTPUT_BUFFER {
            self.flush_output();
        }
    }

    /// A line is complete: shown at once if somebody is watching.
    pub fn end_of_line(&mut self) {
        if self.output_is_terminal {
            self.flush_output();
        }
    }

    /// Writes what is buffered; whether that worked.
    pub fn flush_output(&mut self) -> bool {
        use std::io::Write;
        if self.kept_output.is_some() {
            return true;
        }
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(&self.output).and_then(|()| stdout.flush());
        self.output.clear();
        written.is_ok()
    }
}

impl Heap {
    /// What stands for an object's address, for values that have one: objects move, so it is made of the identity hash.
    pub fn address_text(&mut self, value: Value) -> Option<String> {
        if value.is_heap() {
            Some(format!("0x5500{:08x}", self.identity(value.as_header())))
        } else if value.is(Tag::LightUserdata) {
            Some(format!("0x{:012x}", value.payload))
        } else {
            None
        }
    }
}
