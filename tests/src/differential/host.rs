//! Runs programs in this process, each in a state of its own.

use super::memory::Memory;
use std::sync::Arc;
use surmise::config::Config;
use surmise::ir::language::Language;
use surmise::service::{Compiler, Service};
use surmise_lua::heap::HeapSettings;
use surmise_lua::object::LuaString;
use surmise_lua::state::{State, Throw};
use surmise_lua::value::{Tag, Value};

/// The native stack of a thread that runs programs; only what is touched is committed.
const STACK: usize = 512 << 20;
/// What of it is left to what runs on top of compiled code.
const RESERVE: usize = 128 << 20;

/// What a program may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Instructions that it may run.
    pub steps: Option<u64>,
    /// Bytes that it may use.
    pub memory: usize,
    /// Bytes that it may print.
    pub output: usize,
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The program came to its end.
    Returned,
    /// With an error.
    Failed(String),
    /// It is no program; the message.
    Invalid,
    /// It ran for too long.
    OutOfSteps,
}

/// What a run gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// What it printed.
    pub output: String,
    /// How it ended.
    pub ending: Ending,
    /// Compiles that failed for no good reason.
    pub rejections: Vec<String>,
}

/// What runs have in common.
pub struct Host {
    language: Arc<Language>,
    /// Where the stack of the running thread ends, apart from the reserve.
    native_limit: usize,
    /// To be cleared before another program.
    pub memory: Memory,
    /// What compiles; the memory's compiler, if there is no other.
    pub compiler: Option<Compiler>,
}

/// Does something with a host, on a thread whose stack is large enough.
///
/// # Errors
/// If there is no such thread, or the language can't be read.
///
/// # Panics
/// If what is done panics.
pub fn with_host<R: Send>(run: impl FnOnce(&mut Host) -> R + Send) -> Result<R, String> {
    let language = surmise_lua::surmise::language::language().map_err(|error| error.to_string())?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
            let here = &raw const language as usize;
            let native_limit = here.saturating_sub(STACK - RESERVE);
            run(&mut Host {
                language: Arc::new(language),
                native_limit,
                memory: Memory::default(),
                compiler: None,
            })
        });
        let thread = thread.map_err(|error| error.to_string())?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

impl Host {
    /// Runs a program: with Surmise if there is a configuration, with a limit of steps if there is one.
    ///
    /// # Errors
    /// If Surmise can't be plugged in.
    pub fn run(&self, program: &str, config: Option<&Config>, steps: Option<u64>) -> Result<Ran, String> {
        self.run_bytes(program.as_bytes(), config, Limits { steps, memory: 256 << 20, output: 1 << 20 })
    }

    /// The same for any bytes, with limits of all sorts.
    ///
    /// # Errors
    /// As for [`Host::run`].
    pub fn run_bytes(&self, program: &[u8], config: Option<&Config>, limits: Limits) -> Result<Ran, String> {
        let mut settings = HeapSettings { memory_limit: limits.memory, ..HeapSettings::default() };
        if let Some(bytes) = config.and_then(|config| config.nursery) {
            settings.nursery_bytes = bytes;
        }
        let mut state = State::new(settings);
        state.runloop.native_limit = self.native_limit;
        state.output_is_terminal = false;
        state.keep_output(limits.output);
        if let Some(config) = config {
            let config = Arc::new(config.clone());
            let compiler = self.compiler.clone().unwrap_or_else(|| self.memory.compiler());
            let service = Service::start_with(self.language.clone(), config, compiler);
            let service = service.map_err(|error| error.to_string())?;
            state.connect(service).map_err(|error| error.to_string())?;
        }
        state.open_inner_libraries();
        let globals = Value::table(state.globals);
        let Ok(chunk) = state.load(program, "=program", globals) else {
            return Ok(Ran { output: String::new(), ending: Ending::Invalid, rejections: Vec::new() });
        };
        if limits.steps.is_some() {
            state.limit_steps(limits.steps);
        }
        let result = state.call(Value::closure(chunk), &[], Some(0));
        let ending = match result {
            _ if state.is_out_of_steps() => Ending::OutOfSteps,
            Ok(_) => Ending::Returned,
            Err(Throw) => {
                // As a protected call does: what is still to be closed may fail in its turn.
                state.close_pending(0);
                Ending::Failed(describe(&mut state))
            }
        };
        let output = String::from_utf8_lossy(&state.output).into_owned();
        Ok(Ran { output, ending, rejections: rejections(&mut state) })
    }
}

/// The error that has ended the program, as text.
fn describe(state: &mut State) -> String {
    let error = state.error_value;
    if error.is(Tag::String) {
        return String::from_utf8_lossy(LuaString::bytes(error.as_string())).into_owned();
    }
    format!("(error object is a {} value)", state.type_name_of(error))
}

/// Compiles that failed in a way that nobody wants: the verifier or the code generator said no, or something panicked.
fn rejections(state: &mut State) -> Vec<String> {
    let Some(connection) = &mut state.surmise else { return Vec::new() };
    let Some(service) = &mut connection.service else { return Vec::new() };
    // What was still being compiled is cancelled, or counted.
    service.stop();
    let rejected = service.totals().rejected.into_keys();
    rejected.filter(|reason| !reason.contains("are compiled") && reason != "cancelled").collect()
}
