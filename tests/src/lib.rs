//! What the tests share: running Lua programs in the modes in which Surmise must not change what they print.
#![deny(unsafe_code)]

pub mod conformance;
pub mod corpus;
pub mod damage;
pub mod differential;
pub mod driver;
pub mod filetest;
pub mod inlined;
pub mod mutate;
pub mod native;
pub mod random;
pub mod scratch;
pub mod stress;
pub mod suite;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A way to run a program.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Its name.
    pub name: &'static str,
    /// Arguments before the program.
    pub arguments: &'static [&'static str],
    /// Settings.
    pub settings: &'static [(&'static str, &'static str)],
}

/// The interpreter alone: what the others are compared with.
pub const INTERPRETER: Mode = Mode { name: "interpreter", arguments: &["--no-surmise"], settings: &[] };

/// Lua itself, in which there are no modes.
pub const REFERENCE: Mode = Mode { name: "lua5.4", arguments: &[], settings: &[] };

/// Where Lua itself is installed, if it is.
pub fn reference() -> Option<PathBuf> {
    let works =
        |path: &Path| Command::new(path).arg("-v").output().is_ok_and(|output| output.status.success());
    Some(PathBuf::from("lua5.4")).filter(|path| works(path))
}

/// All other modes.
pub const MODES: &[Mode] = &[
    Mode { name: "default", arguments: &[], settings: &[] },
    Mode { name: "blocking", arguments: &[], settings: &[("SURMISE_BLOCKING", "1")] },
    Mode {
        name: "blocking+nodelay",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1")],
    },
    Mode {
        name: "every third guard fails",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_DEOPT_EVERY", "3")],
    },
    Mode {
        name: "everything deoptimized at every 50th safepoint",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_DEOPT_ALL_EVERY", "50")],
    },
    Mode {
        name: "the same by marks, tiny nursery",
        arguments: &[],
        settings: &[
            ("SURMISE_BLOCKING", "1"),
            ("SURMISE_NODELAY", "1"),
            ("SURMISE_DEOPT_ALL_EVERY", "50"),
            ("SURMISE_REDIRECTION", "mark"),
            ("SURMISE_NURSERY", "2048"),
        ],
    },
    Mode {
        name: "tiny nursery",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_NURSERY", "2048")],
    },
    Mode {
        name: "tiny nursery, every 7th guard fails",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_DEOPT_EVERY", "7"), ("SURMISE_NURSERY", "1024")],
    },
    Mode {
        name: "portable",
        arguments: &[],
        settings: &[("SURMISE_BACKEND", "portable"), ("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1")],
    },
    Mode {
        name: "portable, every third guard fails",
        arguments: &[],
        settings: &[
            ("SURMISE_BACKEND", "portable"),
            ("SURMISE_BLOCKING", "1"),
            ("SURMISE_NODELAY", "1"),
            ("SURMISE_DEOPT_EVERY", "3"),
        ],
    },
    Mode {
        name: "portable, tiny nursery",
        arguments: &[],
        settings: &[("SURMISE_BACKEND", "portable"), ("SURMISE_BLOCKING", "1"), ("SURMISE_NURSERY", "512")],
    },
];

/// Modes for small programs alone.
pub const SMALL_MODES: &[Mode] = &[
    Mode {
        name: "everything deoptimized at every safepoint",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_DEOPT_ALL_EVERY", "1")],
    },
    Mode {
        name: "everything deoptimized at every third safepoint, every third guard fails, tiny nursery",
        arguments: &[],
        settings: &[
            ("SURMISE_BLOCKING", "1"),
            ("SURMISE_NODELAY", "1"),
            ("SURMISE_DEOPT_ALL_EVERY", "3"),
            ("SURMISE_DEOPT_EVERY", "3"),
            ("SURMISE_NURSERY", "1024"),
        ],
    },
    Mode {
        name: "portable, everything deoptimized at every third safepoint, tiny nursery",
        arguments: &[],
        settings: &[
            ("SURMISE_BACKEND", "portable"),
            ("SURMISE_BLOCKING", "1"),
            ("SURMISE_NODELAY", "1"),
            ("SURMISE_DEOPT_ALL_EVERY", "3"),
            ("SURMISE_NURSERY", "512"),
        ],
    },
];

/// What a run printed and how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
    /// Exit code; `None` after a signal or when the time was up.
    pub code: Option<i32>,
}

/// Runs a program in a mode with the given command, for at most `limit`.
pub fn run(
    command: &Path,
    mode: Mode,
    program: &Path,
    arguments: &[&str],
    limit: Duration,
) -> std::io::Result<Ran> {
    let program = program.to_string_lossy();
    let arguments: Vec<&str> = std::iter::once(&*program).chain(arguments.iter().copied()).collect();
    run_with(command, mode, &arguments, None, limit)
}

/// A command that is not deaf to being hung up on. Under `nohup` that is inherited, and `files.lua` of the official tests has shells hang
/// up on themselves.
fn command_with_signals(command: &Path) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // Signal 1.
    if ignored & 1 == 0 {
        return Command::new(command);
    }
    let mut process = Command::new("env");
    process.arg("--default-signal=HUP").arg(command);
    process
}

/// Has a command start without the settings of this process.
pub fn remove_settings(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SURMISE_")) {
        command.env_remove(name);
    }
}

/// Runs a command with arguments in a mode, in a folder if one is given, for at most `limit`.
pub fn run_with(
    command: &Path,
    mode: Mode,
    arguments: &[&str],
    folder: Option<&Path>,
    limit: Duration,
) -> std::io::Result<Ran> {
    let mut process = command_with_signals(command);
    remove_settings(&mut process);
    process.args(mode.arguments).args(arguments).envs(mode.settings.iter().copied());
    if let Some(folder) = folder {
        process.current_dir(folder);
    }
    let mut child = process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // An input that is at its end, and that nobody can seek in: the official tests try.
    drop(child.stdin.take());
    let readers = (read_in_background(child.stdout.take()), read_in_background(child.stderr.take()));
    let start = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if start.elapsed() > limit => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let join = |reader: std::thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Ran {
        output: join(readers.0),
        errors: join(readers.1),
        code: status.and_then(|status| status.code()),
    })
}

fn read_in_background(
    stream: Option<impl std::io::Read + Send + 'static>,
) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error is still worth showing.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The Lua programs in a folder of the repository, in order.
pub fn programs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut programs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "lua"))
        .collect();
    programs.sort();
    programs
}

/// Runs every program in every one of these modes and lists what differs from the interpreter.
pub fn differences(
    command: &Path,
    modes: &[&[Mode]],
    programs: &[PathBuf],
    arguments: &[&str],
    limit: Duration,
) -> Vec<String> {
    let mut differences = Vec::new();
    for program in programs {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let expected = match run(command, INTERPRETER, program, arguments, limit) {
            Ok(expected) => expected,
            Err(error) => {
                differences.push(format!("{name}: can't run {}: {error}", command.display()));
                continue;
            }
        };
        for &mode in modes.iter().copied().flatten() {
            match run(command, mode, program, arguments, limit) {
                Ok(ran) if ran == expected => {}
                Ok(ran) => {
                    differences.push(format!("{name}, {}:\n{}", mode.name, difference(&expected, &ran)))
                }
                Err(error) => differences.push(format!("{name}, {}: {error}", mode.name)),
            }
        }
    }
    differences
}

/// What differs between two runs, in words.
pub fn difference(expected: &Ran, ran: &Ran) -> String {
    let mut text = String::new();
    if expected.code != ran.code {
        text += &format!("  exit code {:?}, expected {:?}\n", ran.code, expected.code);
    }
    for (name, expected, got) in
        [("output", &expected.output, &ran.output), ("errors", &expected.errors, &ran.errors)]
    {
        if expected == got {
            continue;
        }
        let line = expected.lines().zip(got.lines()).position(|(a, b)| a != b);
        let line = line.unwrap_or_else(|| expected.lines().count().min(got.lines().count()));
        let at = |text: &str| text.lines().nth(line).unwrap_or("<end>").to_owned();
        text += &format!("  {name}, line {}: expected `{}`, got `{}`\n", line + 1, at(expected), at(got));
    }
    text
}
