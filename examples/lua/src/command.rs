//! The `lua` command, as a function.
//!
//! ```text
//! lua [options] [PROGRAM.lua | -] [arguments]
//!   -e CODE       runs CODE before the program, or instead of one
//!   -v            prints the version
//!   --no-surmise  interprets only
//!   --stats, --stats=json   reports at exit, on standard error
//! ```
//!
//! Exit code 1: the program failed. 2: it could not be started.

use std::process::ExitCode;

use surmise::config::Config;

use crate::heap::HeapSettings;
use crate::lib::base::read_source;
use crate::object::LuaString;
use crate::state::{Call, State, Throw};
use crate::surmise::start_service;
use crate::surmise::statistics::Form;
use crate::table;
use crate::value::{Tag, Value};

/// Room for nested run loops: 200 of them, through the deepest native functions, need a small part of it. Only what is touched
/// is committed.
const NATIVE_STACK: usize = 1 << 30;

/// The command line.
#[derive(Default)]
struct Options {
    chunks: Vec<String>,
    program: Option<String>,
    arguments: Vec<String>,
    show_version: bool,
    interprets_only: bool,
    statistics: Option<Form>,
}

/// What of the native stack is left to what runs on top of compiled code when that finds the stack full.
const NATIVE_RESERVE: usize = 256 << 20;

/// Runs the command with the process's arguments and environment.
pub fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => return refuse(&message),
    };
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return refuse(&error.to_string()),
    };
    let runner = std::thread::Builder::new().stack_size(NATIVE_STACK).spawn(move || run(&options, config));
    match runner {
        Ok(handle) => ExitCode::from(handle.join().unwrap_or(1)),
        Err(error) => refuse(&format!("cannot start: {error}")),
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("lua: {message}");
    ExitCode::from(2)
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-e" => {
                let chunk = arguments.next().ok_or("'-e' needs argument")?;
                options.chunks.push(chunk);
            }
            "-v" => options.show_version = true,
            "--no-surmise" => options.interprets_only = true,
            "--stats" => options.statistics = Some(Form::Table),
            "--stats=json" => options.statistics = Some(Form::Json),
            "--" => {
                options.program = arguments.next();
                break;
            }
            text if text.starts_with("-e") => options.chunks.push(text[2..].to_string()),
            text if text.starts_with('-') && text != "-" => {
                return Err(format!("unrecognized option '{text}'"));
            }
            _ => {
                options.program = Some(argument);
                break;
            }
        }
    }
    options.arguments = arguments.collect();
    Ok(options)
}

fn run(options: &Options, config: Config) -> u8 {
    let start = std::time::Instant::now();
    let mut settings = HeapSettings::default();
    if let Some(bytes) = config.nursery {
        settings.nursery_bytes = bytes;
    }
    let mut state = State::new(settings);
    let here = &raw const start as usize;
    state.native_limit = here.saturating_sub(NATIVE_STACK - NATIVE_RESERVE);
    if !options.interprets_only && !config.disabled {
        let plugged = start_service(config).and_then(|service| state.connect(service));
        if let Err(error) = plugged {
            eprintln!("lua: {error}");
            return 2;
        }
    }
    state.open_libraries();
    set_arguments(&mut state, options);
    if options.show_version {
        println!("Lua 5.4 (Surmise {})", env!("CARGO_PKG_VERSION"));
    }
    let mut code = 0;
    for chunk in &options.chunks {
        code = run_chunk(&mut state, chunk.as_bytes(), "=(command line)", &[]);
        if code != 0 {
            break;
        }
    }
    if code == 0 {
        let from_stdin = options.program.as_deref() == Some("-");
        let silent = options.program.is_none() && (!options.chunks.is_empty() || options.show_version);
        if !silent {
            let name = if from_stdin { None } else { options.program.as_deref() };
            match read_source(name) {
                Ok((source, chunk_name)) => {
                    code = run_chunk(&mut state, &source, &chunk_name, &options.arguments);
                }
                Err(message) => {
                    // What the system says about it is of no use to who mistyped a name.
                    let message = match name {
                        Some(name) if message.starts_with("cannot open") => format!("cannot open {name}"),
                        _ => message,
                    };
                    eprintln!("lua: {message}");
                    code = 2;
                }
            }
        }
    }
    state.close();
    state.flush_output();
    // Files that the program left open.
    state.libraries.streams.flush();
    if let Some(form) = options.statistics {
        eprint!("{}", state.statistics(start.elapsed(), form));
    }
    // Stories are written to the end. Without them nobody needs what is being compiled: the process does not wait for it.
    if let Some(connection) = &mut state.surmise
        && connection.plug.config().log.is_some()
        && let Some(service) = &mut connection.service
    {
        service.stop();
    }
    // The process ends: nothing is gained by freeing object by object.
    std::mem::forget(state);
    code
}

/// The global `arg`: the program's name at 0, its arguments from 1 on.
fn set_arguments(state: &mut State, options: &Options) {
    let arg = state.new_table(options.arguments.len() as u32, 0);
    let program = options.program.as_deref().unwrap_or("lua");
    let names = std::iter::once(program).chain(options.arguments.iter().map(String::as_str));
    for (i, text) in names.enumerate() {
        let value = state.string_value(text.as_bytes());
        table::set_int(&mut state.heap, arg, i as i64, value);
    }
    let globals = state.globals;
    state.set_named(globals, "arg", Value::table(arg));
}

/// Runs a chunk under a handler that adds a traceback; the exit code.
fn run_chunk(state: &mut State, source: &[u8], chunk_name: &str, arguments: &[String]) -> u8 {
    let globals = Value::table(state.globals);
    let closure = match state.load(source, chunk_name, globals) {
        Ok(closure) => closure,
        Err(Throw) => {
            let message = state.error_value;
            return report(state, message);
        }
    };
    let handler = state.heap.new_native(add_traceback, "handler", 0, &[]);
    let protected = state.heap.new_native(crate::handler::xpcall, "xpcall", 0, &[]);
    let mut values = vec![Value::closure(closure), Value::native(handler)];
    for argument in arguments {
        values.push(state.string_value(argument.as_bytes()));
    }
    match state.call(Value::native(protected), &values, Some(2)) {
        Ok(results) if !results[0].is_falsy() => 0,
        Ok(results) => report(state, results[1]),
        Err(Throw) => {
            let error = state.error_value;
            report(state, error)
        }
    }
}

/// Prints an error.
fn report(state: &mut State, error: Value) -> u8 {
    state.flush_output();
    let mut line = b"lua: ".to_vec();
    if error.is(Tag::String) {
        line.extend_from_slice(LuaString::bytes(error.as_string()));
    } else {
        line.extend_from_slice(format!("(error object is a {} value)", state.type_name_of(error)).as_bytes());
    }
    line.push(b'\n');
    use std::io::Write;
    // If standard error is gone, the exit code is all that is left to say.
    let _ = std::io::stderr().write_all(&line);
    1
}

/// The message handler: the error as text, with a traceback.
fn add_traceback(state: &mut State, call: Call) -> Result<u32, Throw> {
    let error = call.arg(0);
    let message = if error.is(Tag::String) || error.is_int() || error.is_float() {
        state.to_display_string(error)?
    } else if !state.metamethod(error, crate::metamethod::Event::ToString).is_nil() {
        let text = state.to_display_string(error)?;
        return call.return_one(Value::string(text));
    } else {
        let text = format!("(error object is a {} value)", state.type_name_of(error));
        state.new_string(text.as_bytes())
    };
    let text = state.traceback(Some(LuaString::bytes(message)), 1);
    let value = state.string_value(&text);
    call.return_one(value)
}
