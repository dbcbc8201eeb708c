//! The differential runner: random programs do the same in the interpreter, in every mode, and in Lua itself.
//!
//! | file | what it does |
//! |---|---|
//! | [`generate`] | programs from seeds |
//! | [`tree`] | programs as trees |
//! | [`host`] | runs a program in this process |
//! | [`memory`] | remembers what was compiled: most of the time would go into compiling the same again in each mode |
//! | [`peer`] | runs programs in one process of Debian's `lua5.4` |
//! | [`worker`] | a process that tries seeds in all modes, and says where it is to [`crate::driver`] |
//! | [`mod@shrink`] | small programs from large ones |
//! | [`found`] | failures as files, which run as tests from then on |
//!
//! What is compared is what a program prints and the error that it ends with. The interpreter's run has a limit of steps: a program that
//! needs more is left out, as is one that overflows a stack, where Lua's limits are not ours.

pub mod found;
pub mod generate;
pub mod host;
pub mod memory;
pub mod peer;
pub mod shrink;
pub mod tree;
pub mod worker;

use crate::Mode;
use generate::Program;
use host::{Ending, Host, Ran};
use peer::Peer;
use std::borrow::Cow;
use surmise::config::Config;

const BLOCKING: (&str, &str) = ("SURMISE_BLOCKING", "1");
const NODELAY: (&str, &str) = ("SURMISE_NODELAY", "1");
const PORTABLE: (&str, &str) = ("SURMISE_BACKEND", "portable");
/// Where everything is thrown away again and again, the same is learnt and compiled again and again: a dozen times is enough.
const LIMIT: (&str, &str) = ("SURMISE_LIMIT", "12");

/// A mode without arguments.
const fn mode(name: &'static str, settings: &'static [(&'static str, &'static str)]) -> Mode {
    Mode { name, arguments: &[], settings }
}

/// All modes, their names fit for names of files.
pub const MODES: &[Mode] = &[
    Mode { name: "interpreter", arguments: &["--no-surmise"], settings: &[] },
    mode("default", &[]),
    mode("blocking", &[BLOCKING]),
    mode("nodelay", &[BLOCKING, NODELAY]),
    mode("every-2nd", &[BLOCKING, NODELAY, ("SURMISE_DEOPT_EVERY", "2")]),
    mode("every-3rd", &[BLOCKING, NODELAY, ("SURMISE_DEOPT_EVERY", "3")]),
    mode("every-7th", &[BLOCKING, NODELAY, ("SURMISE_DEOPT_EVERY", "7")]),
    mode("deopt-all-50", &[BLOCKING, NODELAY, ("SURMISE_DEOPT_ALL_EVERY", "50"), LIMIT]),
    mode("deopt-all-1", &[BLOCKING, NODELAY, ("SURMISE_DEOPT_ALL_EVERY", "1"), LIMIT]),
    mode("nursery", &[BLOCKING, NODELAY, ("SURMISE_NURSERY", "256")]),
    mode("portable", &[PORTABLE, BLOCKING, NODELAY]),
    mode(
        "portable-3rd",
        &[PORTABLE, BLOCKING, NODELAY, ("SURMISE_DEOPT_EVERY", "3"), ("SURMISE_NURSERY", "512")],
    ),
    mode(
        "marks",
        &[
            BLOCKING,
            NODELAY,
            ("SURMISE_DEOPT_ALL_EVERY", "3"),
            ("SURMISE_REDIRECTION", "mark"),
            ("SURMISE_NURSERY", "1024"),
            LIMIT,
        ],
    ),
    // A story is what makes compiles verify the function after each pass.
    mode("verified", &[BLOCKING, ("SURMISE_LOG", "/dev/null")]),
];
/// The name of the mode that is Debian's `lua5.4`.
pub const PEER: &str = "lua5.4";

/// Instructions that a program may run in the interpreter: some milliseconds.
const STEPS: u64 = 400_000;

/// A way to run programs that is compared with the interpreter.
pub enum Way {
    /// A mode of the host.
    Mode(&'static str, Option<Config>),
    /// Debian's `lua5.4`.
    Peer(Peer),
}

impl Way {
    /// The way with a name, or why there is none.
    ///
    /// # Errors
    /// If there is no such mode, or no `lua5.4`.
    pub fn named(name: &str) -> Result<Way, String> {
        if name == PEER {
            return Ok(Way::Peer(Peer::start()?));
        }
        let names = || MODES.iter().map(|mode| mode.name).chain([PEER]).collect::<Vec<_>>().join(", ");
        let mode = MODES.iter().find(|mode| mode.name == name);
        let mode = mode.ok_or_else(|| format!("there is no mode '{name}'; there are {}", names()))?;
        let settings = mode.settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_variables(settings).map_err(|error| error.to_string())?;
        Ok(Way::Mode(mode.name, mode.arguments.is_empty().then_some(config)))
    }
    /// All ways that there are on this machine.
    ///
    /// # Errors
    /// If a mode's settings can't be read.
    pub fn all() -> Result<Vec<Way>, String> {
        let mut ways = MODES.iter().map(|mode| Way::named(mode.name)).collect::<Result<Vec<_>, _>>()?;
        ways.extend(Way::named(PEER).ok());
        Ok(ways)
    }
    /// Whether what it does with a program can be compared.
    pub fn takes(&self, program: &Program) -> bool {
        matches!(self, Way::Mode(..)) || program.is_defined
    }
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Way::Mode(name, _) => name,
            Way::Peer(_) => PEER,
        }
    }
    /// What a program does in this way that the interpreter does not do.
    ///
    /// # Errors
    /// As for [`Way::run`].
    pub fn compare(&mut self, host: &Host, program: &str, expected: &Ran) -> Result<Option<String>, String> {
        let found = self.run(host, program)?;
        Ok(match self {
            Way::Mode(..) => difference(expected, &found),
            Way::Peer(_) => difference_from_lua(expected, &found),
        })
    }
    /// Runs a program.
    ///
    /// # Errors
    /// What is wrong beyond anything that a program could do.
    pub fn run(&mut self, host: &Host, program: &str) -> Result<Ran, String> {
        match self {
            Way::Mode(_, config) => host.run(program, config.as_ref(), None),
            Way::Peer(peer) => peer.run(program),
        }
    }
}

/// What the interpreter says about a program; `None` if it is not fit to be compared.
///
/// # Errors
/// As for [`Way::run`].
pub fn reference(host: &Host, program: &str) -> Result<Option<Ran>, String> {
    let ran = host.run(program, None, Some(STEPS))?;
    let is_fit = ran.ending != Ending::OutOfSteps && ran.ending != Ending::Invalid && !overflows(&ran);
    Ok(is_fit.then_some(ran))
}

fn overflows(ran: &Ran) -> bool {
    let said = |text: &str| text.contains("stack overflow") || text.contains("step limit reached");
    let failed = matches!(&ran.ending, Ending::Failed(message) if said(message));
    failed || said(&ran.output)
}

/// What differs, in words, apart from what Lua does not define: addresses, and the sign of what is no number.
pub fn difference(expected: &Ran, found: &Ran) -> Option<String> {
    if let Some(rejection) = found.rejections.first() {
        return Some(format!("rejected: {rejection}"));
    }
    difference_of(expected, found, |text| defined(text).into_owned())
}

/// The same, with Lua itself on one side.
fn difference_from_lua(expected: &Ran, found: &Ran) -> Option<String> {
    difference_of(expected, found, |text| without_lines_of_division(&defined(text)))
}

/// What Lua releases before 5.4.6 get wrong: the line at which something was divided by zero.
fn without_lines_of_division(output: &str) -> String {
    let mut result = output.to_owned();
    for message in [": attempt to perform 'n%", ": attempt to divide by zero"] {
        let mut pieces: Vec<&str> = result.split(message).collect();
        let last = pieces.pop().unwrap_or_default();
        let before = pieces.iter().map(|piece| piece.trim_end_matches(|c: char| c.is_ascii_digit()));
        result = before.map(|piece| format!("{piece}?{message}")).collect::<String>() + last;
    }
    result
}

fn difference_of(expected: &Ran, found: &Ran, defined: impl Fn(&str) -> String) -> Option<String> {
    let (wanted, got) = (defined(&expected.output), defined(&found.output));
    if wanted != got {
        let line = wanted.lines().zip(got.lines()).take_while(|(a, b)| a == b).count();
        let at = |text: &str| text.lines().nth(line).unwrap_or("<end>").to_owned();
        return Some(format!(
            "line {} of the output: expected `{}`, got `{}`",
            line + 1,
            at(&wanted),
            at(&got)
        ));
    }
    let same = match (&expected.ending, &found.ending) {
        (Ending::Failed(wanted), Ending::Failed(got)) => defined(wanted) == defined(got),
        (wanted, got) => wanted == got,
    };
    (!same).then(|| format!("expected to end with {:?}, got {:?}", expected.ending, found.ending))
}

/// Output without what Lua leaves open.
pub fn defined(output: &str) -> Cow<'_, str> {
    if !output.contains("0x") && !output.contains("-nan") {
        return Cow::Borrowed(output);
    }
    let output = output.replace("-nan", "nan");
    let mut pieces = output.split("0x");
    let mut result = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_hexdigit).count();
        result.push_str("0x");
        result.push_str(if digits >= 8 { &piece[digits..] } else { piece });
    }
    Cow::Owned(result)
}
