//! The conformance suite of deoptimization of everything, for any host.
//!
//! A host is a [`Subject`]: it has a program for each named test that its language can express, and runs it in a [`Setting`]. Every
//! program is run at each depth of callbacks, in both backends, redirected in every way, with everything thrown away at every, or
//! every so-many-th, safepoint; it has to give what it gives in the interpreter, and compiled frames have to have been left by it.
//!
//! A host whose units have what they call inlined is a subject of its own: then inlined frames have to have been among those that were
//! left ([`Subject::INLINES`]).
//!
//! [`conformance!`](crate::conformance!) makes a test program of it, which prints the matrix.

use std::fmt::Write as _;

/// The orders of events that have to be right.
pub const TESTS: &[&str] = &[
    "top_after_a_callback",
    "returns_at_once",
    "fails_a_guard_next",
    "errors_through_it",
    "to_be_closed",
    "twice_and_nested",
    "results_of_every_kind",
    "tail_calls",
    "variable_arguments",
    "loop_entries",
    "deep_recursion",
    "coroutine_running",
    "coroutine_parked",
    "coroutine_being_resumed",
    "coroutine_being_closed",
    "coroutine_finished",
    "coroutine_never_resumed",
    "broken_assumptions",
    // For languages with less in them.
    "recursion",
    "calls",
    "kinds_that_change",
    "errors",
    "texts",
];
/// Through how many native functions guest code is called.
pub const DEPTHS: std::ops::RangeInclusive<u32> = 0..=3;

/// A way to run a program.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name, but for how often: a column of the matrix.
    pub name: &'static str,
    /// Run by the portable backend.
    pub is_portable: bool,
    /// Frames are redirected by their marks.
    pub by_marks: bool,
    /// Every so-many-th safepoint deoptimizes everything.
    pub every: u32,
    /// With the smallest nursery.
    pub collects_often: bool,
}

impl Setting {
    fn title(&self) -> String {
        format!("{}, {}", self.name, self.every)
    }
}

/// All ways, with everything thrown away at every so-many-th safepoint: the first number, or the second.
fn settings([often, seldom]: [u32; 2]) -> [Setting; 6] {
    let native = |by_marks, every, collects_often| Setting {
        name: if by_marks { "native, mark" } else { "native, return" },
        is_portable: false,
        by_marks,
        every,
        collects_often,
    };
    let portable = |every, collects_often| Setting {
        name: "portable",
        is_portable: true,
        by_marks: true,
        every,
        collects_often,
    };
    [
        native(false, often, false),
        native(false, seldom, true),
        native(true, often, true),
        native(true, seldom, false),
        portable(often, false),
        portable(seldom, true),
    ]
}

/// What a run gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What it printed, and how it ended.
    pub text: String,
    /// How many compiled frames were left because they were invalid.
    pub left: u64,
    /// How many inlined frames were rebuilt where compiled frames were left.
    pub inlined: u64,
}

/// A host under test.
pub trait Subject {
    /// Its name.
    const NAME: &'static str;
    /// Whether its units have what they call inlined.
    const INLINES: bool;
    /// Which safepoints throw everything away: every so-many-th, in two settings each.
    const EVERY: [u32; 2] = [1, 3];
    /// Its program for a test, if its language can express that.
    fn program(test: &str) -> Option<String>;
    /// Runs a program at a depth of callbacks; without a setting in the interpreter.
    ///
    /// # Errors
    /// Why it could not be run.
    fn run(program: &str, depth: u32, setting: Option<&Setting>) -> Result<Outcome, String>;
}

/// Runs the suite on a host. Returns the matrix, and what went wrong.
pub fn check<S: Subject>() -> (String, Vec<String>) {
    let inlined = if S::INLINES { " / inlined frames among what was rebuilt" } else { "" };
    let mut matrix = format!("{}: compiled frames left{inlined}, at callback depths 0 to 3\n", S::NAME);
    let mut failures = Vec::new();
    let _ = write!(matrix, "{:24}", "");
    let settings = settings(S::EVERY);
    for setting in &settings {
        let _ = write!(matrix, "{:>20}", setting.title());
    }
    matrix.push('\n');
    for test in TESTS {
        let Some(program) = S::program(test) else { continue };
        let _ = write!(matrix, "{test:24}");
        let expected: Vec<_> = DEPTHS.map(|depth| S::run(&program, depth, None)).collect();
        for setting in &settings {
            let (cell, problems) = check_cell::<S>(&program, &expected, setting);
            let _ = write!(matrix, "{cell:>20}");
            failures.extend(
                problems.iter().map(|problem| format!("{}, {test}, {}: {problem}", S::NAME, setting.title())),
            );
        }
        matrix.push('\n');
    }
    (matrix, failures)
}

fn check_cell<S: Subject>(
    program: &str,
    expected: &[Result<Outcome, String>],
    setting: &Setting,
) -> (String, Vec<String>) {
    let (mut left, mut inlined, mut problems) = (0, 0, Vec::new());
    for (depth, expected) in DEPTHS.zip(expected) {
        match (expected, S::run(program, depth, Some(setting))) {
            (Ok(expected), Ok(found)) if expected.text == found.text => {
                left += found.left;
                inlined += found.inlined;
            }
            (Ok(expected), Ok(found)) => {
                problems.push(format!("depth {depth}: expected {:?}, got {:?}", expected.text, found.text))
            }
            (Err(problem), _) => problems.push(format!("depth {depth}, interpreted: {problem}")),
            (_, Err(problem)) => problems.push(format!("depth {depth}: {problem}")),
        }
    }
    if problems.is_empty() && left == 0 {
        problems.push("no compiled frame was left: the test shows nothing".to_owned());
    }
    if problems.is_empty() && S::INLINES && inlined == 0 {
        problems.push("no inlined frame was rebuilt: the test shows nothing of those".to_owned());
    }
    let cell = match (problems.is_empty(), S::INLINES) {
        (false, _) => "WRONG".to_owned(),
        (true, false) => left.to_string(),
        (true, true) => format!("{left} / {inlined}"),
    };
    (cell, problems)
}

/// The main function of a test program that runs the suite on hosts.
#[macro_export]
macro_rules! conformance {
    ($($subject:ty),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            let mut failures = Vec::new();
            // An argument is the name of the only subject that is wanted.
            let wanted = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
            $(
                let name = <$subject as $crate::conformance::Subject>::NAME;
                if wanted.as_deref().is_none_or(|wanted| wanted == name) {
                    let (matrix, problems) = $crate::conformance::check::<$subject>();
                    println!("{matrix}");
                    failures.extend(problems);
                }
            )+
            for failure in &failures {
                println!("{failure}");
            }
            if failures.is_empty() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
        }
    };
}
