//! The `lua` command, as a function.
//!
//! ```text
//! lua [options] [PROGRAM.lua | -] [arguments]
//!   -e CODE       runs CODE before the program, or instead of one
//!   -l NAME       requires the library NAME into the global NAME; -l g=NAME into the global g
//!   -i            goes on with lines from standard input afterwards
//!   -v            prints the version
//!   -E            ignores environment variables
//!   -W            turns warnings on
//!   --no-surmise  interprets only
//!   --stats, --stats=json   reports at exit, on standard error
//! ```
//!
//! As PUC's command: options run in the order in which they stand; `LUA_INIT_5_4` or `LUA_INIT` before them. On a terminal, lines are
//! typed with an editor that remembers them.
//!
//! Exit code 1: the program failed. 2: it could not be started.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use surmise::config::Config;

use crate::heap::HeapSettings;
use crate::lib::base::read_source;
use crate::object::LuaString;
use crate::state::{Call, State, Throw};
use crate::surmise::statistics::Form;
use crate::surmise::{UnitMaker, start_service};
use crate::table;
use crate::value::{Tag, Value};

/// Room for nested run loops: 200 of them, through the deepest native functions, need a small part of it. Only what is touched
/// is committed.
const NATIVE_STACK: usize = 1 << 30;

/// What an option has run before the program.
enum Step {
    Chunk(String),
    Library(String),
}

/// The command line.
#[derive(Default)]
struct Options {
    /// All words, the command's name first.
    words: Vec<String>,
    steps: Vec<Step>,
    program: Option<String>,
    arguments: Vec<String>,
    show_version: bool,
    is_interactive: bool,
    ignores_environment: bool,
    warns: bool,
    interprets_only: bool,
    statistics: Option<Form>,
}

/// What of the native stack is left to what runs on top of compiled code when that finds the stack full.
const NATIVE_RESERVE: usize = 256 << 20;

/// Runs the command with the process's arguments and environment.
pub fn main() -> ExitCode {
    main_with(None)
}

/// The same, with units that are made in another way.
pub fn main_with(unit_maker: Option<UnitMaker>) -> ExitCode {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let options = match parse(words) {
        Ok(options) => options,
        Err(message) => return refuse(&message),
    };
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return refuse(&error.to_string()),
    };
    let runner =
        std::thread::Builder::new().stack_size(NATIVE_STACK).spawn(move || run(&options, config, unit_maker));
    match runner {
        Ok(handle) => ExitCode::from(handle.join().unwrap_or(1)),
        Err(error) => refuse(&format!("cannot start: {error}")),
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("lua: {message}");
    ExitCode::from(2)
}

fn parse(words: Vec<String>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = words.iter().skip(1);
    while let Some(argument) = arguments.next() {
        // What an option needs stands behind it in the same word, or is the next one.
        let mut operand = |letter: &str| {
            let rest = &argument[letter.len()..];
            let next = if rest.is_empty() { arguments.next().cloned() } else { Some(rest.to_owned()) };
            next.filter(|text| !text.starts_with('-') || letter == "-e")
                .ok_or_else(|| format!("'{letter}' needs argument"))
        };
        match argument.as_str() {
            "-v" => options.show_version = true,
            "-i" => {
                options.is_interactive = true;
                options.show_version = true;
            }
            "-E" => options.ignores_environment = true,
            "-W" => options.warns = true,
            "--no-surmise" => options.interprets_only = true,
            "--stats" => options.statistics = Some(Form::Table),
            "--stats=json" => options.statistics = Some(Form::Json),
            "--" => {
                options.program = arguments.next().cloned();
                break;
            }
            text if text.starts_with("-e") => options.steps.push(Step::Chunk(operand("-e")?)),
            text if text.starts_with("-l") => options.steps.push(Step::Library(operand("-l")?)),
            text if text.starts_with('-') && text != "-" => {
                return Err(format!("unrecognized option '{text}'"));
            }
            _ => {
                options.program = Some(argument.clone());
                break;
            }
        }
    }
    options.arguments = arguments.cloned().collect();
    options.words = words;
    Ok(options)
}

fn run(options: &Options, config: Config, unit_maker: Option<UnitMaker>) -> u8 {
    let start = std::time::Instant::now();
    let mut settings = HeapSettings::default();
    if let Some(bytes) = config.nursery {
        settings.nursery_bytes = bytes;
    }
    let mut state = State::new(settings);
    let here = &raw const start as usize;
    state.runloop.native_limit = here.saturating_sub(NATIVE_STACK - NATIVE_RESERVE);
    if !options.interprets_only && !config.disabled {
        let plugged = start_service(config).and_then(|service| state.connect(service));
        if let Err(error) = plugged {
            eprintln!("lua: {error}");
            return 2;
        }
        if let Some(connection) = &mut state.surmise {
            connection.unit_maker = unit_maker;
        }
    }
    state.libraries.ignores_environment = options.ignores_environment;
    state.open_libraries();
    set_arguments(&mut state, options);
    if options.show_version {
        println!("Lua 5.4 (Surmise {})", env!("CARGO_PKG_VERSION"));
    }
    state.warnings.are_on = options.warns;
    let code = run_all(&mut state, options);
    state.close();
    state.flush_output();
    // Files that the program left open.
    state.libraries.streams.flush();
    if let Some(form) = options.statistics {
        eprint!("{}", state.statistics(start.elapsed(), form));
    }
    state.end_files_of_service();
    // The process ends: nothing is gained by freeing object by object.
    std::mem::forget(state);
    code
}

/// Runs what the command line says, in its order; the exit code.
fn run_all(state: &mut State, options: &Options) -> u8 {
    if !options.ignores_environment {
        let init =
            ["LUA_INIT_5_4", "LUA_INIT"].iter().find_map(|name| Some((name, std::env::var(name).ok()?)));
        let code = match init {
            None => 0,
            Some((_, text)) if text.starts_with('@') => run_file(state, Some(&text[1..]), &[]),
            Some((name, text)) => run_chunk(state, text.as_bytes(), &format!("={name}"), &[]),
        };
        if code != 0 {
            return code;
        }
    }
    for step in &options.steps {
        let code = match step {
            Step::Chunk(chunk) => run_chunk(state, chunk.as_bytes(), "=(command line)", &[]),
            Step::Library(name) => require(state, name),
        };
        if code != 0 {
            return code;
        }
    }
    if let Some(program) = &options.program {
        let code = run_file(state, Some(program.as_str()).filter(|name| *name != "-"), &options.arguments);
        if code != 0 {
            return code;
        }
    }
    let has_nothing_to_do = options.program.is_none() && options.steps.is_empty() && !options.show_version;
    if options.is_interactive || has_nothing_to_do && std::io::stdin().is_terminal() {
        read_lines(state);
    } else if has_nothing_to_do {
        return run_file(state, None, &[]);
    }
    0
}

/// Runs a file, or standard input.
fn run_file(state: &mut State, name: Option<&str>, arguments: &[String]) -> u8 {
    match read_source(name) {
        Ok((source, chunk_name)) => run_chunk(state, &source, &chunk_name, arguments),
        Err(message) => {
            // What the system says about it is of no use to who mistyped a name.
            let message = match name {
                Some(name) if message.starts_with("cannot open") => format!("cannot open {name}"),
                _ => message,
            };
            eprintln!("lua: {message}");
            2
        }
    }
}

/// `-l name` or `-l global=name`: what `require` gives becomes a global. Without a name for it, a version behind a `-` is no part
/// of that.
fn require(state: &mut State, text: &str) -> u8 {
    let (global, module) = match text.split_once('=') {
        Some((global, module)) => (global, module),
        None => (text.split_once('-').map_or(text, |(name, _)| name), text),
    };
    let code = "local global, module = ... _G[global] = require(module)";
    run_chunk(state, code.as_bytes(), "=(command line)", &[global.to_owned(), module.to_owned()])
}

/// Runs lines from standard input, one by one; the value of an expression is printed. A line that is not complete is continued.
fn read_lines(state: &mut State) {
    let mut lines = Lines::new();
    let mut pending = String::new();
    loop {
        state.flush_output();
        let Some(line) = lines.next(if pending.is_empty() { "> " } else { ">> " }) else { break };
        pending.push_str(&line);
        let as_expression = format!("return {}", pending.trim_end());
        let environment = Value::table(state.globals);
        let source = if state.load(as_expression.as_bytes(), "=stdin", environment).is_ok() {
            format!(
                "local function show(...) if select('#', ...) > 0 then print(...) end end show((function(...) {as_expression}\nend)())"
            )
        } else {
            if state.load(pending.as_bytes(), "=stdin", environment).is_err() {
                let error = state.error_value;
                let is_incomplete =
                    error.is(Tag::String) && LuaString::bytes(error.as_string()).ends_with(b"<eof>");
                if is_incomplete {
                    continue;
                }
            }
            std::mem::take(&mut pending)
        };
        pending.clear();
        run_chunk(state, source.as_bytes(), "=stdin", &[]);
    }
    println!();
}

/// The lines that somebody types, with a line editor on a terminal.
enum Lines {
    Typed(Box<rustyline::DefaultEditor>),
    Plain,
}

impl Lines {
    fn new() -> Lines {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let editor = is_terminal.then(rustyline::DefaultEditor::new);
        match editor {
            Some(Ok(editor)) => Lines::Typed(Box::new(editor)),
            // Without an editor one can still type.
            _ => Lines::Plain,
        }
    }
    /// The next line with its end; `None` at the end of all.
    fn next(&mut self, prompt: &str) -> Option<String> {
        match self {
            Lines::Typed(editor) => {
                let line = editor.readline(prompt).ok()?;
                // A history that is full is no reason to stop.
                let _ = editor.add_history_entry(&line);
                Some(line + "\n")
            }
            Lines::Plain => {
                print!("{prompt}");
                // A prompt that can't be shown is no reason to stop.
                let _ = std::io::stdout().flush();
                let mut line = String::new();
                matches!(std::io::stdin().read_line(&mut line), Ok(1..)).then_some(line)
            }
        }
    }
}

/// The global `arg`: the program's name at 0, its arguments from 1 on, what stands before it below.
fn set_arguments(state: &mut State, options: &Options) {
    let arg = state.new_table(options.arguments.len() as u32, 0);
    let first = match options.program {
        Some(_) => options.words.len() - options.arguments.len() - 1,
        None => 0,
    };
    for (i, text) in options.words.iter().enumerate() {
        let value = state.string_value(text.as_bytes());
        table::set_int(&mut state.heap, arg, i as i64 - first as i64, value);
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
