//! Every file in every mode.

use super::files::{FILES, File, Run};
use crate::{INTERPRETER, Mode, Ran, run_with};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The modes that take little time.
pub const QUICK: &[Mode] = &[
    INTERPRETER,
    Mode { name: "default", arguments: &[], settings: &[] },
    Mode {
        name: "nodelay",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1")],
    },
];

/// The others.
pub const FURTHER: &[Mode] = &[
    Mode { name: "deopt 2nd", arguments: &[], settings: NODELAY_AND_EVERY_2ND },
    Mode {
        name: "deopt 3rd",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_DEOPT_EVERY", "3")],
    },
    Mode {
        name: "deopt 7th",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_DEOPT_EVERY", "7")],
    },
    Mode {
        name: "deopt all",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_DEOPT_ALL_EVERY", "50")],
    },
    Mode {
        name: "nursery",
        arguments: &[],
        settings: &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_NURSERY", "256")],
    },
    Mode {
        name: "portable",
        arguments: &[],
        settings: &[("SURMISE_BACKEND", "portable"), ("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1")],
    },
];

const NODELAY_AND_EVERY_2ND: &[(&str, &str)] =
    &[("SURMISE_BLOCKING", "1"), ("SURMISE_NODELAY", "1"), ("SURMISE_DEOPT_EVERY", "2")];

/// How a file did in a mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It passed.
    Passed(Duration),
    /// It did not, and why as far as it said so.
    Failed(String),
    /// It was not run.
    Excluded(&'static str),
}

impl Verdict {
    /// What stands in the table.
    pub fn cell(&self) -> String {
        match self {
            Verdict::Passed(time) => format!("{:.2} s", time.as_secs_f64()),
            Verdict::Failed(_) => "FAILED".to_owned(),
            Verdict::Excluded(_) => "excluded".to_owned(),
        }
    }
}

/// What is run, and with what.
pub struct Setup<'a> {
    /// The `lua` command.
    pub command: &'a Path,
    /// The tests.
    pub folder: &'a Path,
    /// Where files may be written.
    pub scratch: &'a Path,
    /// For each file in each mode.
    pub limit: Duration,
}

impl Setup<'_> {
    /// Runs one file in one mode.
    pub fn check(&self, file: &File, mode: Mode) -> Verdict {
        let arguments: &[&str] = match file.run {
            Run::Excluded(reason) => return Verdict::Excluded(reason),
            Run::Program => &[file.name],
            Run::By(code) => &["-e", code],
        };
        let folder = match self.copy(file, mode) {
            Ok(folder) => folder,
            Err(error) => return Verdict::Failed(format!("no folder of its own: {error}")),
        };
        let start = Instant::now();
        let ran = run_with(self.command, mode, arguments, Some(&folder), self.limit);
        let time = start.elapsed();
        // What can't be removed is overwritten the next time.
        let _ = std::fs::remove_dir_all(&folder);
        match ran {
            Ok(Ran { code: Some(0), .. }) => Verdict::Passed(time),
            Ok(Ran { code: None, .. }) => Verdict::Failed(format!(
                "not finished after {} s, or ended by a signal",
                self.limit.as_secs()
            )),
            Ok(ran) => Verdict::Failed(ran.errors.lines().take(6).collect::<Vec<_>>().join("\n    ")),
            Err(error) => Verdict::Failed(error.to_string()),
        }
    }

    /// A copy of the tests for one run: some write files.
    fn copy(&self, file: &File, mode: Mode) -> std::io::Result<PathBuf> {
        let name = format!("{}-{}", file.name.trim_end_matches(".lua"), mode.name.replace(' ', "-"));
        let to = self.scratch.join(format!("{name}-{}", std::process::id()));
        copy_folder(self.folder, &to)?;
        if !file.without.is_empty() {
            let path = to.join(file.name);
            std::fs::write(
                &path,
                file.reduced(&std::fs::read(&path)?, mode.name).map_err(std::io::Error::other)?,
            )?;
        }
        Ok(to)
    }

    /// Runs the files whose names are asked for (all, if none is) in the given modes; `report` hears of each row.
    pub fn run(
        &self,
        names: &[String],
        modes: &[Mode],
        report: &mut dyn FnMut(&File, &[Verdict]),
    ) -> Vec<(File, Vec<Verdict>)> {
        let wanted = |file: &&File| names.is_empty() || names.iter().any(|name| name == file.name);
        let mut rows = Vec::new();
        for file in FILES.iter().filter(wanted) {
            let verdicts: Vec<Verdict> = modes.iter().map(|&mode| self.check(file, mode)).collect();
            report(file, &verdicts);
            rows.push((*file, verdicts));
        }
        rows
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The failures of a run, one paragraph each.
pub fn failures(rows: &[(File, Vec<Verdict>)], modes: &[Mode]) -> Vec<String> {
    let mut failures = Vec::new();
    for (file, verdicts) in rows {
        for (mode, verdict) in modes.iter().zip(verdicts) {
            if let Verdict::Failed(why) = verdict {
                failures.push(format!("{}, {}:\n    {why}", file.name, mode.name));
            }
        }
    }
    failures
}
