//! `require` for Lua files, and the `package` table.

use crate::lib::base::read_source;
use crate::object::{LuaString, NativeFunction, Table};
use crate::state::{Call, State, Throw};
use crate::table;
use crate::value::{Tag, Value};

/// Where modules are looked for, unless `LUA_PATH` says otherwise.
const PATH: &str = "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;./?.lua;./?/init.lua";

/// Opens the library. `package.loaded` is the state's registry.
pub fn open(state: &mut State) {
    let package = state.register_library("package", &[("searchpath", searchpath)]);
    let loaded = Value::table(state.registry);
    state.set_named(package, "loaded", loaded);
    let preload = Value::table(state.new_table(0, 0));
    state.set_named(package, "preload", preload);
    let path = std::env::var("LUA_PATH").unwrap_or_else(|_| PATH.to_string());
    let path = state.string_value(path.replace(";;", &format!(";{PATH};")).as_bytes());
    state.set_named(package, "path", path);
    let no_path = state.string_value(b"");
    state.set_named(package, "cpath", no_path);
    let config = state.string_value(b"/\n;\n?\n!\n-\n");
    state.set_named(package, "config", config);
    // `require` finds the package table as its upvalue.
    let require = state.heap.new_native(require, "require", 0, &[Value::table(package)]);
    let globals = state.globals;
    state.set_named(globals, "require", Value::native(require));
}

fn named(state: &mut State, table: *mut Table, name: &str) -> Value {
    let key = state.new_string(name.as_bytes());
    table::get_string(table, key)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first readable file for a module, or the list of those that are not.
fn search(name: &str, path: &str, separator: &str, replacement: &str) -> Result<String, String> {
    let name = if separator.is_empty() { name.to_string() } else { name.replace(separator, replacement) };
    let mut tried = String::new();
    for template in path.split(';').filter(|template| !template.is_empty()) {
        let file = template.replace('?', &name);
        if std::fs::File::open(&file).is_ok() {
            return Ok(file);
        }
        tried.push_str(&format!("\n\tno file '{file}'"));
    }
    Err(tried)
}

fn searchpath(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = text(state.check_bytes(call, 0)?);
    let path = text(state.check_bytes(call, 1)?);
    let separator = text(state.opt_bytes(call, 2, b".")?);
    let replacement = text(state.opt_bytes(call, 3, b"/")?);
    match search(&name, &path, &separator, &replacement) {
        Ok(file) => {
            let file = state.string_value(file.as_bytes());
            call.return_one(file)
        }
        Err(tried) => {
            let tried = state.string_value(tried.trim_start_matches("\n\t").as_bytes());
            call.return_two(Value::NIL, tried)
        }
    }
}

/// Finds what loads a module, and the second argument that it gets.
fn find_loader(
    state: &mut State,
    package: *mut Table,
    name_object: *mut LuaString,
) -> Result<(Value, String), Throw> {
    let name = text(LuaString::bytes(name_object));
    let preload = named(state, package, "preload");
    if preload.is(Tag::Table) {
        let loader = table::get_string(preload.as_table(), name_object);
        if !loader.is_nil() {
            return Ok((loader, ":preload:".to_string()));
        }
    }
    let path = named(state, package, "path");
    if !path.is(Tag::String) {
        return Err(state.throw_message("'package.path' must be a string"));
    }
    let path = text(LuaString::bytes(path.as_string()));
    let file = match search(&name, &path, ".", "/") {
        Ok(file) => file,
        Err(tried) => {
            let message = format!("module '{name}' not found:\n\tno field package.preload['{name}']{tried}");
            return Err(state.throw_message(message));
        }
    };
    let globals = Value::table(state.globals);
    let error = match read_source(Some(&file)) {
        Ok((source, chunk_name)) => match state.load(&source, &chunk_name, globals) {
            Ok(closure) => return Ok((Value::closure(closure), file)),
            Err(Throw) => {
                let error = state.error_value;
                text(LuaString::bytes(state.to_display_string(error)?))
            }
        },
        Err(message) => message,
    };
    Err(state.throw_message(format!("error loading module '{name}' from file '{file}':\n\t{error}")))
}

fn require(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = state.check_string(call, 0)?;
    let loaded = table::get_string(state.registry, name);
    if !loaded.is_falsy() {
        return call.return_one(loaded);
    }
    // SAFETY: `require` is a native function, made with the package table as upvalue.
    let package = unsafe { (*NativeFunction::upvalues(call.function().as_native())).as_table() };
    let (loader, data) = find_loader(state, package, name)?;
    let data = state.string_value(data.as_bytes());
    let call = state.reserve(call, 2);
    call.set_arg(1, data);
    let result = state.call_one(loader, &[call.arg(0), data])?;
    let name = call.arg(0).as_string();
    let registry = state.registry;
    if !result.is_nil() {
        table::set_string(&mut state.heap, registry, name, result);
    } else if table::get_string(registry, name).is_nil() {
        table::set_string(&mut state.heap, registry, name, Value::TRUE);
    }
    let loaded = table::get_string(registry, name);
    call.return_two(loaded, call.arg(1))
}
