//! `require` and the `package` table, as in PUC's `loadlib.c`. Modules in C can't be loaded: where one is found, that is an error.

use crate::lib::base::read_source;
use crate::object::{LuaString, NativeFunction, Table};
use crate::state::{Call, NativeEntry, State, Throw};
use crate::table;
use crate::value::{Tag, Value};

/// Where modules are looked for, unless `LUA_PATH` says otherwise.
const PATH: &str = "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;./?.lua;./?/init.lua";
/// Where modules in C are looked for, unless `LUA_CPATH` says otherwise.
const C_PATH: &str = "/usr/local/lib/lua/5.4/?.so;/usr/local/lib/lua/5.4/loadall.so;./?.so";
/// What PUC's Lua says when it was built without.
const NO_C_LIBRARIES: &str = "dynamic libraries not enabled; check your Lua installation";

/// Places in the window of `require`.
const LOADER: u32 = 1;
const LOADER_DATA: u32 = 2;
const SEARCHERS: u32 = 3;

/// Opens the library. `package.loaded` is the state's registry.
pub fn open(state: &mut State) {
    let package = state.register_library("package", &[("loadlib", loadlib), ("searchpath", searchpath)]);
    let loaded = Value::table(state.registry);
    state.set_named(package, "loaded", loaded);
    let preload = Value::table(state.new_table(0, 0));
    state.set_named(package, "preload", preload);
    set_path(state, package, "path", "LUA_PATH", PATH);
    set_path(state, package, "cpath", "LUA_CPATH", C_PATH);
    let config = state.string_value(b"/\n;\n?\n!\n-\n");
    state.set_named(package, "config", config);
    // The functions find what they need as their upvalue: programs may change the globals.
    let searchers = state.new_table(4, 0);
    let search: [(NativeEntry, Value); 4] = [
        (search_preload, preload),
        (search_lua, Value::table(package)),
        (search_c, Value::table(package)),
        (search_c_root, Value::table(package)),
    ];
    for (index, (entry, upvalue)) in search.into_iter().enumerate() {
        let searcher = Value::native(state.heap.new_native(entry, "searcher", 0, &[upvalue]));
        table::set_int(&mut state.heap, searchers, index as i64 + 1, searcher);
    }
    state.set_named(package, "searchers", Value::table(searchers));
    let require = state.heap.new_native(require, "require", 0, &[Value::table(package)]);
    let globals = state.globals;
    state.set_named(globals, "require", Value::native(require));
}

/// Sets a path from the environment, where `;;` stands for the usual one.
fn set_path(state: &mut State, package: *mut Table, field: &str, variable: &str, usual: &str) {
    let given = [format!("{variable}_5_4"), variable.to_string()]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|_| !state.libraries.ignores_environment);
    let path = match given.as_deref().map(|path| (path, path.split_once(";;"))) {
        None => usual.to_string(),
        Some((path, None)) => path.to_string(),
        Some((_, Some((before, behind)))) => {
            let parts = [before, usual, behind];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(";")
        }
    };
    let path = state.string_value(path.as_bytes());
    state.set_named(package, field, path);
}

/// The table that a function of this library has as its upvalue.
fn upvalue(call: Call) -> *mut Table {
    // SAFETY: called for functions that `open` has made with a table as their upvalue.
    unsafe { (*NativeFunction::upvalues(call.function().as_native())).as_table() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first readable file for a module, or the list of those that are not.
fn search(name: &str, path: &str, separator: &str, replacement: &str) -> Result<String, String> {
    let name = if separator.is_empty() { name.to_string() } else { name.replace(separator, replacement) };
    let mut tried = Vec::new();
    for template in path.split(';') {
        let file = template.replace('?', &name);
        if std::fs::File::open(&file).is_ok() {
            return Ok(file);
        }
        tried.push(format!("no file '{file}'"));
    }
    Err(tried.join("\n\t"))
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
            let tried = state.string_value(tried.as_bytes());
            call.return_two(Value::NIL, tried)
        }
    }
}

fn loadlib(state: &mut State, call: Call) -> Result<u32, Throw> {
    state.check_string(call, 0)?;
    state.check_string(call, 1)?;
    let message = state.string_value(NO_C_LIBRARIES.as_bytes());
    let when = state.string_value(b"absent");
    call.return_slice(&[Value::NIL, message, when])
}

fn search_preload(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = state.check_string(call, 0)?;
    let loader = table::get_string(upvalue(call), name);
    if loader.is_nil() {
        let name = text(LuaString::bytes(name));
        let tried = state.string_value(format!("no field package.preload['{name}']").as_bytes());
        return call.return_one(tried);
    }
    let data = state.string_value(b":preload:");
    call.return_two(loader, data)
}

/// The file of a module, found by way of a field of `package`; or the list of those that were tried.
fn find_file(
    state: &mut State,
    call: Call,
    name: &str,
    field: &str,
) -> Result<Result<String, String>, Throw> {
    let key = state.new_string(field.as_bytes());
    let path = table::get_string(upvalue(call), key);
    if !path.is(Tag::String) {
        return Err(state.throw_message(format!("'package.{field}' must be a string")));
    }
    Ok(search(name, &text(LuaString::bytes(path.as_string())), ".", "/"))
}

fn loading_error(state: &mut State, name: &str, file: &str, why: &str) -> Throw {
    state.throw_message(format!("error loading module '{name}' from file '{file}':\n\t{why}"))
}

fn search_lua(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = text(state.check_bytes(call, 0)?);
    let file = match find_file(state, call, &name, "path")? {
        Ok(file) => file,
        Err(tried) => {
            let tried = state.string_value(tried.as_bytes());
            return call.return_one(tried);
        }
    };
    let globals = Value::table(state.globals);
    let why = match read_source(Some(&file)) {
        Ok((source, chunk_name)) => match state.load(&source, &chunk_name, globals) {
            Ok(closure) => {
                let file = state.string_value(file.as_bytes());
                return call.return_two(Value::closure(closure), file);
            }
            Err(Throw) => {
                let error = state.error_value;
                text(LuaString::bytes(state.to_display_string(error)?))
            }
        },
        Err(message) => message,
    };
    Err(loading_error(state, &name, &file, &why))
}

fn search_c(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = text(state.check_bytes(call, 0)?);
    match find_file(state, call, &name, "cpath")? {
        Ok(file) => Err(loading_error(state, &name, &file, NO_C_LIBRARIES)),
        Err(tried) => {
            let tried = state.string_value(tried.as_bytes());
            call.return_one(tried)
        }
    }
}

/// A module in a package may be part of the package's library.
fn search_c_root(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = text(state.check_bytes(call, 0)?);
    let Some((root, _)) = name.split_once('.') else { return call.return_none() };
    match find_file(state, call, root, "cpath")? {
        Ok(file) => Err(loading_error(state, &name, &file, NO_C_LIBRARIES)),
        Err(tried) => {
            let tried = state.string_value(tried.as_bytes());
            call.return_one(tried)
        }
    }
}

/// Puts what loads a module, and the second argument that it gets, into the window of `require`.
fn find_loader(state: &mut State, call: Call) -> Result<(), Throw> {
    let key = state.new_string(b"searchers");
    let searchers = table::get_string(upvalue(call), key);
    if !searchers.is(Tag::Table) {
        return Err(state.throw_message("'package.searchers' must be a table"));
    }
    call.set_arg(SEARCHERS, searchers);
    let mut tried = String::new();
    for index in 1.. {
        let searcher = table::get_int(call.arg(SEARCHERS).as_table(), index);
        if searcher.is_nil() {
            break;
        }
        let found = state.call(searcher, &[call.arg(0)], Some(2))?;
        if found[0].is(Tag::LuaClosure) || found[0].is(Tag::Native) {
            call.set_arg(LOADER, found[0]);
            call.set_arg(LOADER_DATA, found[1]);
            return Ok(());
        }
        if found[0].is(Tag::String) || found[0].is_int() || found[0].is_float() {
            tried.push_str("\n\t");
            tried.push_str(&text(LuaString::bytes(state.to_display_string(found[0])?)));
        }
    }
    let name = text(LuaString::bytes(call.arg(0).as_string()));
    Err(state.throw_message(format!("module '{name}' not found:{tried}")))
}

fn require(state: &mut State, call: Call) -> Result<u32, Throw> {
    let name = state.check_string(call, 0)?;
    let loaded = table::get_string(state.registry, name);
    if !loaded.is_falsy() {
        return call.return_one(loaded);
    }
    let call = state.reserve(call, SEARCHERS + 1);
    find_loader(state, call)?;
    let result = state.call_one(call.arg(LOADER), &[call.arg(0), call.arg(LOADER_DATA)])?;
    let name = call.arg(0).as_string();
    let registry = state.registry;
    if !result.is_nil() {
        table::set_string(&mut state.heap, registry, name, result);
    } else if table::get_string(registry, name).is_nil() {
        table::set_string(&mut state.heap, registry, name, Value::TRUE);
    }
    let loaded = table::get_string(registry, name);
    call.return_two(loaded, call.arg(LOADER_DATA))
}
