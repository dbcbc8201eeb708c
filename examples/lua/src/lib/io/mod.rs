//! The `io` library.
//!
//! A file is a userdata with a [`FileHandle`]. The functions have one upvalue: a table with the metatable of files, the default
//! input and the default output.

use std::cell::RefCell;
use std::rc::Rc;

use crate::object::{NativeFunction, Table};
use crate::state::{Call, NativeEntry, State, Throw};
use crate::table;
use crate::value::{Tag, Value};

mod functions;
mod methods;
mod read;
pub mod stream;

use stream::Stream;

/// The payload of a file.
pub struct FileHandle {
    /// The stream; none when the file was closed.
    stream: Option<Rc<RefCell<Stream>>>,
}

/// Places in the table that is the functions' upvalue.
const METATABLE: i64 = 1;
const INPUT: i64 = 2;
const OUTPUT: i64 = 3;

/// Makes the library and the files of the process.
pub fn open(state: &mut State) {
    let shared = state.new_table(3, 0);
    let metatable = state.new_table(0, 8);
    table::set_int(&mut state.heap, shared, METATABLE, Value::table(metatable));
    let methods = state.new_table(0, methods::FUNCTIONS.len() as u32);
    add_functions(state, methods, methods::FUNCTIONS, shared);
    state.set_named(metatable, "__index", Value::table(methods));
    add_functions(state, metatable, methods::METAMETHODS, shared);
    let name = state.string_value(b"FILE*");
    state.set_named(metatable, "__name", name);
    let library = state.register_library("io", &[]);
    add_functions(state, library, functions::FUNCTIONS, shared);
    for (descriptor, name, place) in
        [(0, "stdin", Some(INPUT)), (1, "stdout", Some(OUTPUT)), (2, "stderr", None)]
    {
        let file = new_file(state, metatable, Stream::standard(descriptor));
        state.set_named(library, name, file);
        if let Some(place) = place {
            table::set_int(&mut state.heap, shared, place, file);
        }
    }
}

fn add_functions(
    state: &mut State,
    to: *mut Table,
    functions: &[(&'static str, NativeEntry)],
    shared: *mut Table,
) {
    for (name, entry) in functions {
        let function = state.heap.new_native(*entry, name, 0, &[Value::table(shared)]);
        state.set_named(to, name, Value::native(function));
    }
}

/// The table that the library's functions share.
fn shared(call: Call) -> *mut Table {
    // SAFETY: the function is one of the library, and has this upvalue.
    unsafe { (*NativeFunction::upvalues(call.function().as_native())).as_table() }
}

/// A new file.
fn new_file(state: &mut State, metatable: *mut Table, stream: Stream) -> Value {
    let stream = Rc::new(RefCell::new(stream));
    state.libraries.streams.add(&stream);
    let handle = FileHandle { stream: Some(stream) };
    Value::userdata(state.heap.new_userdata(metatable, Box::new(handle)))
}

/// A new file with the library's metatable.
fn new_library_file(state: &mut State, call: Call, stream: Stream) -> Value {
    let metatable = table::get_int(shared(call), METATABLE).as_table();
    new_file(state, metatable, stream)
}

/// A value's file handle, if it has one.
#[inline]
fn handle_of<'a>(value: Value) -> Option<&'a mut FileHandle> {
    if !value.is(Tag::Userdata) {
        return None;
    }
    // SAFETY: the userdata is live, it is in an argument or in the shared table. No two of these references are used at the
    // same time: each lasts for a few lines of one native function that calls nothing in between.
    unsafe { (*value.as_userdata()).payload.as_mut()?.downcast_mut() }
}

/// The file handle in argument `i`.
fn check_handle<'a>(state: &mut State, call: Call, i: u32) -> Result<&'a mut FileHandle, Throw> {
    match handle_of(call.arg(i)) {
        Some(handle) => Ok(handle),
        None => Err(state.type_error(call, i, "FILE*")),
    }
}

/// The open file in argument `i`.
fn check_stream(state: &mut State, call: Call, i: u32) -> Result<Rc<RefCell<Stream>>, Throw> {
    match &check_handle(state, call, i)?.stream {
        Some(stream) => Ok(Rc::clone(stream)),
        None => Err(state.throw_message("attempt to use a closed file")),
    }
}

/// The default input or output, which must be open.
fn default_stream(state: &mut State, call: Call, place: i64) -> Result<Rc<RefCell<Stream>>, Throw> {
    let file = table::get_int(shared(call), place);
    match handle_of(file).and_then(|handle| handle.stream.clone()) {
        Some(stream) => Ok(stream),
        None => {
            let name = if place == INPUT { "input" } else { "output" };
            Err(state.throw_message(format!("default {name} file is closed")))
        }
    }
}
