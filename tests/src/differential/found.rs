//! Failures: asked about in a process of their own, shrunk, and kept as files.

use super::shrink::shrink;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a program fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Class {
    /// It does something else than in the interpreter.
    Differs(String),
    /// The process ends.
    Dies(String),
    /// It does not come to its end.
    Hangs,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Class::Differs(what) => f.write_str(what),
            Class::Dies(how) => write!(f, "the process died: {how}"),
            Class::Hangs => f.write_str("it does not end"),
        }
    }
}

impl Class {
    /// Whether a smaller program that fails like this shows the same.
    fn is_like(&self, other: &Class) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The program's seed.
    pub seed: u64,
    /// Where it fails.
    pub way: String,
    /// How, as far as that is known.
    pub class: Option<Class>,
    /// The program, as small as it could be made.
    pub program: String,
}

/// How long a program may take when it is asked about alone.
const ALONE: Duration = Duration::from_secs(8);
/// How often a program that hangs is asked about: each answer takes its time.
const HANGING_ATTEMPTS: usize = 60;
/// How often others are.
const ATTEMPTS: usize = 4000;
/// What the checking process answers with.
pub const DIFFERS: u8 = 10;

/// Asks a process of its own about a program; `None`: nothing is wrong with it, or nothing can be said.
///
/// # Errors
/// If there can be no such process.
pub fn ask(command: &Path, program: &str, way: &str) -> Result<Option<Class>, String> {
    let error = |error: std::io::Error| error.to_string();
    let mut child = Command::new(command)
        .args(["--check", way])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(error)?;
    if let Some(mut input) = child.stdin.take() {
        // If it has died by now, its end says so.
        let _ = input.write_all(program.as_bytes());
    }
    let (start, mut pause) = (Instant::now(), Duration::from_micros(500));
    let status = loop {
        match child.try_wait().map_err(error)? {
            Some(status) => break status,
            None if start.elapsed() > ALONE => {
                child.kill().map_err(error)?;
                child.wait().map_err(error)?;
                return Ok(Some(Class::Hangs));
            }
            None => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        // An answer that can't be read is one without words.
        let _ = std::io::Read::read_to_string(&mut output, &mut said);
    }
    Ok(match status.code() {
        Some(0) => None,
        Some(code) if code == i32::from(DIFFERS) => Some(Class::Differs(said.trim().to_owned())),
        _ => Some(Class::Dies(status.to_string())),
    })
}

impl Failure {
    /// Makes the program as small as it gets.
    ///
    /// # Errors
    /// As for [`ask`].
    pub fn shrink(&mut self, command: &Path) -> Result<(), String> {
        self.class = ask(command, &self.program, &self.way)?;
        let Some(class) = self.class.clone() else { return Ok(()) };
        let attempts = if class == Class::Hangs { HANGING_ATTEMPTS } else { ATTEMPTS };
        let way = self.way.clone();
        self.program = shrink(&self.program, attempts, |text| {
            let answer = ask(command, text, &way).ok().flatten();
            answer.is_some_and(|found| found.is_like(&class))
        });
        // What the small one says, rather than the large one.
        self.class = ask(command, &self.program, &self.way)?.or(Some(class));
        Ok(())
    }

    /// Keeps the program as a file of a folder.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn store(&self, folder: &Path) -> Result<PathBuf, String> {
        let way = self.way.replace('.', "");
        let path = folder.join(format!("{}-{way}.lua", self.seed));
        let what = match &self.class {
            Some(class) => class.to_string(),
            None => "it failed, but not alone".to_owned(),
        };
        let what: String = what.lines().next().unwrap_or_default().chars().take(140).collect();
        let text = format!("-- {}: {what}\n{}", self.way, self.program);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}
