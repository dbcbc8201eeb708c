//! The conformance suite of deoptimization of everything on both hosts. `cargo test --release -p surmise-tests --test conformance` prints
//! the matrix.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use surmise::config::{Backend, Config};
use surmise::lower::Redirection;
use surmise_tests::conformance::{Outcome, Setting, Subject};
use surmise_tests::{Mode, run};

const LIMIT: Duration = Duration::from_secs(60);

fn program(host: &str, name: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance").join(host);
    std::fs::read_to_string(folder.join(name)).ok()
}

/// The Lua host, by its command.
struct Lua;

fn run_lua(program: &str, command: &str, depth: u32, setting: Option<&Setting>) -> Result<Outcome, String> {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("conformance.lua");
    std::fs::write(&file, program).map_err(|error| error.to_string())?;
    let every = setting.map_or(String::new(), |setting| setting.every.to_string());
    let mut settings =
        vec![("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_DEOPT_ALL_EVERY", leak(&every))];
    if let Some(setting) = setting {
        settings.push(("SURMISE_BACKEND", if setting.is_portable { "portable" } else { "native" }));
        settings.push(("SURMISE_REDIRECTION", if setting.by_marks { "mark" } else { "return" }));
        settings.extend(setting.collects_often.then_some(("SURMISE_NURSERY", "512")));
    }
    let mode = match setting {
        Some(_) => Mode { name: "", arguments: &["--stats"], settings: Vec::leak(settings) },
        None => surmise_tests::INTERPRETER,
    };
    let ran = run(Path::new(command), mode, &file, &[&depth.to_string()], LIMIT)
        .map_err(|error| error.to_string())?;
    let figure = |name: &str| {
        let rows = ran.errors.lines();
        rows.filter_map(|line| line.trim().strip_prefix(name)?.trim().parse().ok()).next().unwrap_or(0)
    };
    let text = format!("{}(exit code {:?})", ran.output, ran.code);
    Ok(Outcome { text, left: figure("invalidated"), inlined: figure("inlined frames, invalidated") })
}

impl Subject for Lua {
    const NAME: &'static str = "lua";
    const INLINES: bool = false;
    fn program(test: &str) -> Option<String> {
        Some(program("lua", "prelude.lua")? + &program("lua", &format!("{test}.lua"))?)
    }
    fn run(program: &str, depth: u32, setting: Option<&Setting>) -> Result<Outcome, String> {
        run_lua(program, env!("CARGO_BIN_EXE_lua-under-test"), depth, setting)
    }
}

/// Lua, with the functions inlined that are certain to be called.
struct InlinedLua;

impl Subject for InlinedLua {
    const NAME: &'static str = "lua, inlined";
    const INLINES: bool = true;
    fn program(test: &str) -> Option<String> {
        Lua::program(test)
    }
    fn run(program: &str, depth: u32, setting: Option<&Setting>) -> Result<Outcome, String> {
        run_lua(program, env!("CARGO_BIN_EXE_lua-inlined"), depth, setting)
    }
}

/// Settings of a mode live as long as the program.
fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// Tally, in this process. It has no natives that call back: the depths are alike.
struct Tally;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics while writing").write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn run_tally(program: &str, inlines: bool, setting: Option<&Setting>) -> Result<Outcome, String> {
    let program = surmise_tally::assemble::assemble(program).map_err(|error| error.to_string())?;
    let units = if inlines {
        let language = surmise_tally::language::language().map_err(|error| error.to_string())?;
        surmise_tests::inlined::tally::units(&program, &language)
    } else {
        surmise_tally::lifter::units(&program)
    };
    let config = setting.map(|setting| Config {
        blocking: true,
        no_delay: true,
        backend: if setting.is_portable { Backend::Portable } else { Backend::Native },
        redirection: if setting.by_marks { Redirection::Mark } else { Redirection::ReturnAddress },
        deopt_all_every: Some(setting.every),
        nursery: setting.collects_often.then_some(256),
        ..Config::default()
    });
    let output = Output::default();
    let (result, statistics) = surmise_tally::run::run_as(&program, units, config, Box::new(output.clone()));
    let mut text =
        String::from_utf8_lossy(&output.0.lock().expect("nobody panics while writing")).into_owned();
    if let Err(error) = result {
        text += &format!("! {error}\n");
    }
    let plug = statistics.map(|statistics| statistics.plug).unwrap_or_default();
    let left = *plug.deopts.last().expect("there is a count for what was invalidated");
    Ok(Outcome { text, left, inlined: plug.inlined_invalidated })
}

impl Subject for Tally {
    const NAME: &'static str = "tally";
    const INLINES: bool = false;
    fn program(test: &str) -> Option<String> {
        program("tally", &format!("{test}.tally"))
    }
    fn run(program: &str, _depth: u32, setting: Option<&Setting>) -> Result<Outcome, String> {
        run_tally(program, false, setting)
    }
}

/// Tally, with the functions inlined that are certain to be called.
struct InlinedTally;

impl Subject for InlinedTally {
    const NAME: &'static str = "tally, inlined";
    const INLINES: bool = true;
    // Often enough, code would be left where it is entered, before it gets to what is inlined.
    const EVERY: [u32; 2] = [5, 7];
    fn program(test: &str) -> Option<String> {
        Tally::program(test)
    }
    fn run(program: &str, _depth: u32, setting: Option<&Setting>) -> Result<Outcome, String> {
        run_tally(program, true, setting)
    }
}

surmise_tests::conformance!(Lua, InlinedLua, Tally, InlinedTally);
