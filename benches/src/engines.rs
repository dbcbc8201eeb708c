//! The Lua engines that are compared: the reference host with and without Surmise, and its peers.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::error::HarnessError;

const HOST_BUILD_COMMAND: &str = if cfg!(debug_assertions) {
    "cargo build -p surmise-lua"
} else {
    "cargo build --release -p surmise-lua"
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineKind {
    /// The reference host, nothing plugged in.
    Interpreter,
    /// The reference host with Surmise plugged in.
    Surmise,
    /// PUC-Rio's interpreter, to which all others are compared.
    Lua,
    LuaJit,
    /// LuaJIT with its compiler off.
    LuaJitInterpreter,
}

impl EngineKind {
    /// The name as it stands in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interpreter => "interpreter",
            Self::Surmise => "surmise",
            Self::Lua => "lua5.4",
            Self::LuaJit => "luajit",
            Self::LuaJitInterpreter => "luajit -joff",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Interpreter => &["--no-surmise"],
            Self::LuaJitInterpreter => &["-joff"],
            Self::Surmise | Self::Lua | Self::LuaJit => &[],
        }
    }
}

#[derive(Clone)]
pub struct Engine {
    pub kind: EngineKind,
    pub version: String,
    executable: PathBuf,
    /// Environment variables.
    settings: Vec<(&'static str, OsString)>,
}

impl Engine {
    /// A command that runs the engine, to which a program and its arguments are still to be added.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(self.kind.arguments()).envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The engine with another setting of Surmise.
    pub fn with(mut self, setting: &'static str, value: impl Into<OsString>) -> Self {
        self.settings.push((setting, value.into()));
        self
    }
}

/// An engine without its executable, as results are written to a file.
#[derive(Serialize)]
pub struct EngineDescription<'engine> {
    name: &'static str,
    version: &'engine str,
}

impl<'engine> From<&'engine Engine> for EngineDescription<'engine> {
    fn from(engine: &'engine Engine) -> Self {
        Self { name: engine.kind.name(), version: &engine.version }
    }
}

/// The reference host, without and with Surmise, from the folder of the running executable.
pub fn host() -> Result<[Engine; 2], HarnessError> {
    let own = env::current_exe().map_err(HarnessError::CurrentExecutable)?;
    let executable = own.with_file_name(format!("lua{}", env::consts::EXE_SUFFIX));
    if !executable.is_file() {
        return Err(HarnessError::MissingHost { executable, build_command: HOST_BUILD_COMMAND });
    }
    let version = version_of(&executable).unwrap_or_else(|| "unknown version".to_owned());
    let engine = |kind| Engine {
        kind,
        version: version.clone(),
        executable: executable.clone(),
        settings: Vec::new(),
    };
    Ok([engine(EngineKind::Interpreter), engine(EngineKind::Surmise)])
}

/// The `surmise` command, from the folder of the running executable.
pub fn command() -> Result<PathBuf, HarnessError> {
    let own = env::current_exe().map_err(HarnessError::CurrentExecutable)?;
    let executable = own.with_file_name(format!("surmise{}", env::consts::EXE_SUFFIX));
    let build_command = "cargo build --release -p surmise-command";
    if executable.is_file() {
        Ok(executable)
    } else {
        Err(HarnessError::MissingHost { executable, build_command })
    }
}

/// The peers among `kinds` that are installed. One line says which are not.
pub fn installed_peers(kinds: &[EngineKind]) -> Vec<Engine> {
    let mut installed = Vec::new();
    let mut missing = Vec::new();
    for &kind in kinds {
        let executable = match kind {
            EngineKind::LuaJit | EngineKind::LuaJitInterpreter => "luajit",
            _ => "lua5.4",
        };
        match version_of(Path::new(executable)) {
            Some(version) => {
                installed.push(Engine { kind, version, executable: executable.into(), settings: Vec::new() })
            }
            None => missing.push(kind.name()),
        }
    }
    if !missing.is_empty() {
        println!("not installed, and left out: {}", missing.join(", "));
    }
    installed
}

/// What the executable says to `-v`, without the copyright notice. `None` if it can't be run.
fn version_of(executable: &Path) -> Option<String> {
    let output = Command::new(executable).arg("-v").stdin(Stdio::null()).output().ok()?;
    let printed = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(without_copyright(&String::from_utf8_lossy(&printed)))
}

fn without_copyright(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let version = line.split("Copyright").next().unwrap_or_default();
    version.trim_end_matches([' ', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_short() {
        assert_eq!(without_copyright("Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio\n"), "Lua 5.4.4");
        let luajit = "LuaJIT 2.1.0-beta3 -- Copyright (C) 2005-2022 Mike Pall. https://luajit.org/";
        assert_eq!(without_copyright(luajit), "LuaJIT 2.1.0-beta3");
        assert_eq!(without_copyright(""), "");
    }

    #[test]
    fn an_executable_that_does_not_exist_has_no_version() {
        assert_eq!(version_of(Path::new("surmise-no-such-engine")), None);
    }
}
