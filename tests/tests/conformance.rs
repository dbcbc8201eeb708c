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

impl Subject for Lua {
    const NAME: &'static str = "lua";
    fn program(test: &str) -> Option<String> {
        Some(program("lua", "prelude.lua")? + &program("lua", &format!("{test}.lua"))?)
    }
    fn run(program: &str, depth: u32, setting: Option<&Setting>) -> Result<Outcome, String> {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("conformance.lua");
        std::fs::write(&file, program).map_err(|error| error.to_string())?;
        let every = setting.map_or(String::new(), |setting| setting.every.to_string());
        let mut settings = vec![
            ("SURMISE_BLOCKING", "1"),
            ("SURMISE_NODELAY", "1"),
            ("SURMISE_DEOPT_ALL_EVERY", leak(&every)),
        ];
        if let Some(setting) = setting {
            settings.push(("SURMISE_BACKEND", if setting.is_portable { "portable" } else { "native" }));
            settings.push(("SURMISE_REDIRECTION", if setting.by_marks { "mark" } else { "return" }));
            settings.extend(setting.collects_often.then_some(("SURMISE_NURSERY", "512")));
        }
        let mode = match setting {
            Some(_) => Mode { name: "", arguments: &["--stats"], settings: Vec::leak(settings) },
            None => surmise_tests::INTERPRETER,
        };
        let command = Path::new(env!("CARGO_BIN_EXE_lua-under-test"));
        let ran =
            run(command, mode, &file, &[&depth.to_string()], LIMIT).map_err(|error| error.to_string())?;
        let left =
            ran.errors.lines().find_map(|line| line.trim().strip_prefix("invalidated")?.trim().parse().ok());
        Ok(Outcome { text: format!("{}(exit code {:?})", ran.output, ran.code), left: left.unwrap_or(0) })
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

impl Subject for Tally {
    const NAME: &'static str = "tally";
    fn program(test: &str) -> Option<String> {
        program("tally", &format!("{test}.tally"))
    }
    fn run(program: &str, _depth: u32, setting: Option<&Setting>) -> Result<Outcome, String> {
        let program = surmise_tally::assemble::assemble(program).map_err(|error| error.to_string())?;
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
        let (result, statistics) = surmise_tally::run::run(&program, config, Box::new(output.clone()));
        let mut text =
            String::from_utf8_lossy(&output.0.lock().expect("nobody panics while writing")).into_owned();
        if let Err(error) = result {
            text += &format!("! {error}\n");
        }
        let left = statistics.map_or(0, |statistics| *statistics.plug.deopts.last().unwrap_or(&0));
        Ok(Outcome { text, left })
    }
}

surmise_tests::conformance!(Lua, Tally);
