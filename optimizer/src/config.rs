//! The settings: one value, read once.
//!
//! [`Config::from_env`] reads the variables of [`SETTINGS`]; a variable that can't be read is an error that names it, what it
//! held and what it may hold. Nothing else in Surmise looks at the environment.

use crate::lower::Redirection;
use std::path::PathBuf;
use thiserror::Error;

/// How many calls of a unit, or rounds of its loops, go by before its types are logged. Classic programs settle their types in the first few
/// calls; a function called fewer times than this does not repay a compile of some hundred microseconds.
pub const CALLS_BEFORE_LOGGING: u32 = 60;
/// The same while there are candidates from a file: a unit that has one is looked at as soon as its types begin to settle.
pub const CALLS_BEFORE_BINDING: u32 = 3;
/// How many calls or rounds are logged in one window: short enough that logging, which slows the interpreter by a factor of about
/// two, stays below a tenth of a short program's time.
pub const LOGGED_RUNS: u32 = 12;
/// How many windows a unit is learnt in. The pause before each is twice as long as the one before it: together they reach over
/// some thousand rounds, which is what it takes to see the loops around the innermost one.
pub const WINDOWS: u32 = 5;
/// Failures of one guard before its candidate is thrown away: a guess that fails now and then is still worth having, one
/// that fails this often costs more than it brings.
pub const FAILURES_BEFORE_RETIREMENT: u32 = 8;
/// The same of a candidate from a file: it has proved itself, and what fails while a program starts is not what it was made for.
pub const FAILURES_OF_PRELOADED: u32 = 200;
/// How often one guess (a reason at a site) may bring down candidates before it is no longer made.
pub const RETIREMENTS_PER_GUESS: u32 = 2;
/// How often a site that was taken for never reached may be reached before a unit is compiled for all of its sites: the first such
/// site is often the way out of a loop that the log saw little of, and is known from then on.
pub const SURPRISES_PER_UNIT: u32 = 2;
/// How often a unit's candidates may be thrown away before the unit stays in the interpreter.
pub const RETIREMENTS_PER_UNIT: u32 = 12;
/// How often assumptions may break on which a unit rested before it is compiled without any: a program that goes on changing what looked
/// constant has its candidates rest on nothing, and keeps them.
pub const BREAKS_PER_UNIT: u32 = 8;
/// How often a host's deoptimizations of everything may take a unit's candidates before the unit stays in the interpreter. Each makes it
/// wait twice as long, up to some ten thousand calls, so this many are reached only by who asks all the time.
pub const INVALIDATIONS_PER_UNIT: u32 = 32;
/// Candidates of one unit and entry.
pub const CANDIDATES_PER_ENTRY: usize = 4;
/// Bytes of machine code in one process.
pub const CODE_BUDGET: usize = 64 << 20;
/// IR instructions beyond which a unit is not compiled: compile time and register pressure grow, gain does not.
pub const INSTRUCTIONS_PER_UNIT: usize = 20_000;

/// Which backend runs candidates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// Machine code.
    #[default]
    Native,
    /// The reference evaluator runs the optimized functions: slow and checked.
    Portable,
}

/// How many steps the passes of a compile may take together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fuel {
    /// The one candidate that this is for; all of them unless told.
    pub candidate: Option<u64>,
    /// The steps.
    pub steps: u64,
}

/// All settings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// No logging, no candidates.
    pub disabled: bool,
    /// Whoever fills a log waits until what it led to is installed.
    pub blocking: bool,
    /// Every threshold is one.
    pub no_delay: bool,
    /// Stop after this many candidates (for bisecting).
    pub limit: Option<u64>,
    /// Write every candidate's story here.
    pub log: Option<PathBuf>,
    /// Write a recording here.
    pub record: Option<PathBuf>,
    /// Of each unit and loop, record the arguments of so many runs that are logged.
    pub record_arguments: u32,
    /// Start with the candidates of this file.
    pub preload: Option<PathBuf>,
    /// Take only files that are sealed with the key in this file.
    pub preload_key: Option<PathBuf>,
    /// Which backend runs candidates.
    pub backend: Backend,
    /// Passes that are switched off, by name.
    pub disabled_passes: Vec<String>,
    /// How many steps all passes of a compile may take together (for bisecting).
    pub fuel: Option<Fuel>,
    /// Seed of everything that is chosen at random.
    pub seed: u64,
    /// Every n-th guard fails.
    pub deopt_every: Option<u32>,
    /// Everything is deoptimized at every n-th safepoint.
    pub deopt_all_every: Option<u32>,
    /// How deoptimization of everything keeps frames from going on.
    pub redirection: Redirection,
    /// Size of the host's nursery in bytes.
    pub nursery: Option<usize>,
}

/// The environment variables, with what they may hold and what they mean.
pub const SETTINGS: &[(&str, &str, &str)] = &[
    ("SURMISE_DISABLE", "0 or 1", "no logging, no candidates"),
    ("SURMISE_BLOCKING", "0 or 1", "whoever fills a log waits until what it led to is installed"),
    ("SURMISE_NODELAY", "0 or 1", "every threshold is one"),
    ("SURMISE_LIMIT", "a number", "stop after this many candidates"),
    ("SURMISE_LOG", "a file", "write every candidate's story there"),
    ("SURMISE_RECORD", "a file", "write what is seen and decided there, to be replayed"),
    (
        "SURMISE_RECORD_ARGUMENTS",
        "a number",
        "record the arguments of so many logged runs of each unit and loop, to execute the recording",
    ),
    ("SURMISE_PRELOAD", "a file", "start with the candidates that `surmise emit` wrote there"),
    ("SURMISE_PRELOAD_KEY", "a file", "take only files that are sealed with the key in this one"),
    ("SURMISE_BACKEND", "native or portable", "what runs candidates: machine code or the evaluator"),
    ("SURMISE_PASSES", "-name,-name,...", "passes to switch off"),
    (
        "SURMISE_FUEL",
        "steps, or candidate:steps",
        "steps that the passes of one compile, or of one candidate's, may take together",
    ),
    ("SURMISE_SEED", "a number", "seed of everything chosen at random"),
    ("SURMISE_DEOPT_EVERY", "a number from 1 on", "every n-th guard fails"),
    ("SURMISE_DEOPT_ALL_EVERY", "a number from 1 on", "every n-th safepoint deoptimizes everything"),
    (
        "SURMISE_REDIRECTION",
        "return or mark",
        "how that keeps frames from going on: by return addresses, or by marks",
    ),
    ("SURMISE_NURSERY", "bytes, 256 or more", "size of the host's nursery"),
];

/// A setting that can't be read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ConfigError {
    /// A variable of [`SETTINGS`] holds something else than it may.
    #[error("{variable}={found}: expected {expected}")]
    Value {
        /// The variable.
        variable: String,
        /// What it holds.
        found: String,
        /// What it may hold.
        expected: String,
    },
    /// A variable starts with `SURMISE_` and is none of [`SETTINGS`].
    #[error("{variable} is no setting of Surmise; there are {known}")]
    Unknown {
        /// The variable.
        variable: String,
        /// All settings.
        known: String,
    },
}

impl Config {
    /// Reads the settings from the process's environment.
    pub fn from_env() -> Result<Config, ConfigError> {
        Config::from_variables(std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with("SURMISE_").then(|| (name, value.to_string_lossy().into_owned()))
        }))
    }

    /// Reads the settings from the given variables; names without `SURMISE_` are not allowed.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        for (variable, value) in variables {
            config.set(&variable, &value)?;
        }
        Ok(config)
    }

    fn set(&mut self, variable: &str, value: &str) -> Result<(), ConfigError> {
        let Some(&(_, expected, _)) = SETTINGS.iter().find(|setting| setting.0 == variable) else {
            let known = SETTINGS.iter().map(|setting| setting.0).collect::<Vec<_>>().join(", ");
            return Err(ConfigError::Unknown { variable: variable.to_owned(), known });
        };
        let wrong = || ConfigError::Value {
            variable: variable.to_owned(),
            found: value.to_owned(),
            expected: expected.to_owned(),
        };
        let flag = || match value {
            "1" => Ok(true),
            "0" | "" => Ok(false),
            _ => Err(wrong()),
        };
        let number = || value.parse::<u64>().map_err(|_| wrong());
        let every = || u32::try_from(number()?).ok().filter(|&every| every > 0).ok_or_else(wrong);
        match variable {
            "SURMISE_DISABLE" => self.disabled = flag()?,
            "SURMISE_BLOCKING" => self.blocking = flag()?,
            "SURMISE_NODELAY" => self.no_delay = flag()?,
            "SURMISE_LIMIT" => self.limit = Some(number()?),
            "SURMISE_LOG" => self.log = Some(PathBuf::from(value)),
            "SURMISE_RECORD" => self.record = Some(PathBuf::from(value)),
            "SURMISE_RECORD_ARGUMENTS" => {
                self.record_arguments = u32::try_from(number()?).map_err(|_| wrong())?;
            }
            "SURMISE_PRELOAD" => self.preload = Some(PathBuf::from(value)),
            "SURMISE_PRELOAD_KEY" => self.preload_key = Some(PathBuf::from(value)),
            "SURMISE_BACKEND" => {
                self.backend = match value {
                    "native" => Backend::Native,
                    "portable" => Backend::Portable,
                    _ => return Err(wrong()),
                }
            }
            "SURMISE_PASSES" => {
                for item in value.split(',').filter(|item| !item.is_empty()) {
                    let name = item.strip_prefix('-').ok_or_else(wrong)?;
                    if !crate::passes::PASSES.iter().any(|pass| pass.name == name && pass.optional) {
                        let names: Vec<_> = crate::passes::PASSES
                            .iter()
                            .filter(|pass| pass.optional)
                            .map(|pass| pass.name)
                            .collect();
                        return Err(ConfigError::Value {
                            variable: variable.to_owned(),
                            found: value.to_owned(),
                            expected: format!("a list of -name, where name is one of {}", names.join(", ")),
                        });
                    }
                    self.disabled_passes.push(name.to_owned());
                }
            }
            "SURMISE_FUEL" => {
                let parse = |text: &str| text.parse::<u64>().map_err(|_| wrong());
                let (candidate, steps) = match value.split_once(':') {
                    Some((candidate, steps)) => (Some(parse(candidate)?), steps),
                    None => (None, value),
                };
                self.fuel = Some(Fuel { candidate, steps: parse(steps)? });
            }
            "SURMISE_SEED" => self.seed = number()?,
            "SURMISE_DEOPT_EVERY" => self.deopt_every = Some(every()?),
            "SURMISE_DEOPT_ALL_EVERY" => self.deopt_all_every = Some(every()?),
            "SURMISE_REDIRECTION" => {
                self.redirection = match value {
                    "return" => Redirection::ReturnAddress,
                    "mark" => Redirection::Mark,
                    _ => return Err(wrong()),
                }
            }
            "SURMISE_NURSERY" => {
                let bytes =
                    usize::try_from(number()?).ok().filter(|&bytes| bytes >= 256).ok_or_else(wrong)?;
                self.nursery = Some(bytes);
            }
            _ => unreachable!("every variable of SETTINGS has an arm"),
        }
        Ok(())
    }

    /// How many steps the passes of this candidate's compile may take together.
    pub fn fuel_of(&self, candidate: u64) -> Option<u64> {
        let fuel = self.fuel?;
        fuel.candidate.is_none_or(|only| only == candidate).then_some(fuel.steps)
    }
    /// Whether the service writes files that have to be ended before the process is.
    pub fn writes_files(&self) -> bool {
        self.log.is_some() || self.record.is_some()
    }
    /// The settings that are not as they are by default, as variables that [`Config::from_variables`] reads. Files are left out: a
    /// recording is read elsewhere.
    pub fn variables(&self) -> Vec<(String, String)> {
        // Taken apart, so that no setting is forgotten.
        let Config {
            disabled,
            blocking,
            no_delay,
            limit,
            log: _,
            record: _,
            record_arguments,
            preload: _,
            preload_key: _,
            backend,
            disabled_passes,
            fuel,
            seed,
            deopt_every,
            deopt_all_every,
            redirection,
            nursery,
        } = self;
        let flag = |value: bool| value.then(|| "1".to_owned());
        let passes: Vec<String> = disabled_passes.iter().map(|name| format!("-{name}")).collect();
        let variables = [
            ("SURMISE_DISABLE", flag(*disabled)),
            ("SURMISE_BLOCKING", flag(*blocking)),
            ("SURMISE_NODELAY", flag(*no_delay)),
            ("SURMISE_LIMIT", limit.map(|limit| limit.to_string())),
            ("SURMISE_RECORD_ARGUMENTS", (*record_arguments != 0).then(|| record_arguments.to_string())),
            ("SURMISE_BACKEND", (*backend == Backend::Portable).then(|| "portable".to_owned())),
            ("SURMISE_PASSES", (!passes.is_empty()).then(|| passes.join(","))),
            (
                "SURMISE_FUEL",
                fuel.map(|Fuel { candidate, steps }| match candidate {
                    Some(candidate) => format!("{candidate}:{steps}"),
                    None => steps.to_string(),
                }),
            ),
            ("SURMISE_SEED", (*seed != 0).then(|| seed.to_string())),
            ("SURMISE_DEOPT_EVERY", deopt_every.map(|every| every.to_string())),
            ("SURMISE_DEOPT_ALL_EVERY", deopt_all_every.map(|every| every.to_string())),
            ("SURMISE_REDIRECTION", (*redirection == Redirection::Mark).then(|| "mark".to_owned())),
            ("SURMISE_NURSERY", nursery.map(|bytes| bytes.to_string())),
        ];
        variables.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Calls of a unit before its types are logged.
    pub fn calls_before_logging(&self) -> u32 {
        if self.no_delay { 1 } else { CALLS_BEFORE_LOGGING }
    }
    /// How many calls or rounds are logged in one window.
    pub fn logged_runs(&self) -> u32 {
        if self.no_delay { 1 } else { LOGGED_RUNS }
    }
    /// How many windows a unit is learnt in.
    pub fn windows(&self) -> u32 {
        if self.no_delay { 1 } else { WINDOWS }
    }
    /// Failures of one guard before its candidate is thrown away.
    pub fn failures_before_retirement(&self) -> u32 {
        if self.no_delay { 1 } else { FAILURES_BEFORE_RETIREMENT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Config, ConfigError> {
        Config::from_variables([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn every_setting_is_read() {
        for (name, value) in [
            ("SURMISE_DISABLE", "1"),
            ("SURMISE_BLOCKING", "1"),
            ("SURMISE_NODELAY", "1"),
            ("SURMISE_LIMIT", "3"),
            ("SURMISE_LOG", "story.txt"),
            ("SURMISE_RECORD", "run.surmise"),
            ("SURMISE_RECORD_ARGUMENTS", "3"),
            ("SURMISE_PRELOAD", "app.spesh"),
            ("SURMISE_PRELOAD_KEY", "app.key"),
            ("SURMISE_BACKEND", "portable"),
            ("SURMISE_PASSES", "-gvn"),
            ("SURMISE_FUEL", "100"),
            ("SURMISE_FUEL", "7:100"),
            ("SURMISE_SEED", "7"),
            ("SURMISE_DEOPT_EVERY", "3"),
            ("SURMISE_DEOPT_ALL_EVERY", "50"),
            ("SURMISE_REDIRECTION", "mark"),
            ("SURMISE_NURSERY", "512"),
        ] {
            let config = read(name, value).unwrap();
            assert_ne!(config, Config::default(), "{name}");
            // But for files, the settings can be written and read again.
            let files = [&config.log, &config.record, &config.preload, &config.preload_key];
            if files.into_iter().all(Option::is_none) {
                assert_eq!(config.variables(), [(name.to_owned(), value.to_owned())]);
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_it() {
        let error = read("SURMISE_DEOPT_EVERY", "0").unwrap_err();
        assert_eq!(error.to_string(), "SURMISE_DEOPT_EVERY=0: expected a number from 1 on");
        assert!(read("SURMISE_TYPO", "1").unwrap_err().to_string().contains("SURMISE_DISABLE"));
        assert!(read("SURMISE_PASSES", "-nonsense").unwrap_err().to_string().contains("gvn"));
        assert!(read("SURMISE_NURSERY", "100").is_err());
        assert!(read("SURMISE_DEOPT_ALL_EVERY", "0").is_err());
        assert!(read("SURMISE_REDIRECTION", "both").is_err());
        assert_eq!(
            read("SURMISE_BACKEND", "interpreted").unwrap_err().to_string(),
            "SURMISE_BACKEND=interpreted: expected native or portable"
        );
    }
}
