//! Filetests: IR in, passes, IR out, as text that people read and review.
//!
//! ```text
//! // What the test shows.
//! test specialize, fold            (passes of the table, or `pipeline`)
//! profile {
//!   entered 5
//!   loop @3 40
//!   register @0 r0 int
//!   operands @3 int int
//!   result @4 float
//!   fact @5 2 (7, 1)
//!   jumped @6
//!   failed @3 kind
//! }
//! function "f" call registers 3 { ... }
//! ==>
//! function "f" ...                 (written by the bless command)
//! ```
//!
//! The language is Lua's. `SURMISE_BLESS=1 cargo test -p surmise-tests --test filetests` rewrites what is expected.

use smallvec::SmallVec;
use std::path::Path;
use surmise::ir::entity::{KindId, Pc, Register};
use surmise::ir::guard::GuardReason;
use surmise::ir::language::Language;
use surmise::ir::text;
use surmise::log::Event;
use surmise::passes::{Environment, Fuel, PIPELINE, pass};
use surmise::profile::UnitProfile;

/// A file that is no filetest, and why.
#[derive(Debug)]
pub struct FiletestError(pub String);

impl std::fmt::Display for FiletestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of a filetest.
pub struct Filetest {
    head: String,
    passes: Vec<String>,
    profile: UnitProfile,
    function: String,
    /// What the file says comes out.
    pub expected: String,
}

const ARROW: &str = "\n==>\n";

impl Filetest {
    /// Reads a file.
    pub fn parse(source: &str, language: &Language) -> Result<Filetest, FiletestError> {
        let (input, expected) = source.split_once(ARROW).unwrap_or((source, ""));
        let start =
            input.find("\nfunction ").ok_or_else(|| FiletestError("there is no function".to_owned()))? + 1;
        let (head, function) = input.split_at(start);
        let mut passes = Vec::new();
        let mut profile = UnitProfile::default();
        let mut in_profile = false;
        for (number, line) in head.lines().enumerate() {
            let line = line.trim();
            let wrong = |what: &str| FiletestError(format!("line {}: {what}: `{line}`", number + 1));
            match line {
                "" => {}
                "profile {" => in_profile = true,
                "}" if in_profile => in_profile = false,
                _ if line.starts_with("//") => {}
                _ if in_profile => {
                    read_event(&mut profile, line, language).ok_or_else(|| wrong("no event of a profile"))?
                }
                _ => {
                    let list =
                        line.strip_prefix("test ").ok_or_else(|| wrong("expected `test` or `profile {`"))?;
                    passes.extend(list.split(',').map(|name| name.trim().to_owned()));
                }
            }
        }
        if passes == ["pipeline"] {
            passes = PIPELINE.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        Ok(Filetest {
            head: head.to_owned(),
            passes,
            profile,
            function: function.to_owned(),
            expected: expected.to_owned(),
        })
    }

    /// Runs the passes, with the verifier after each; returns what comes out as text.
    pub fn run(&self, language: &Language) -> Result<String, FiletestError> {
        let mut function = text::parse_function(&self.function, language)
            .map_err(|error| FiletestError(error.to_string()))?;
        let mut fuel = Fuel::new(None);
        for name in &self.passes {
            let mut environment = Environment { language, profile: &self.profile, fuel: &mut fuel };
            (pass(name).run)(&mut function, &mut environment);
            let violations = surmise::ir::verifier::verify(
                &function,
                language,
                surmise::ir::verifier::Stage::Specialized,
                None,
            );
            if !violations.is_empty() {
                let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
                let text = text::print_function(&function, language);
                return Err(FiletestError(format!("after {name}:\n{}\n{text}", list.join("\n"))));
            }
        }
        Ok(text::print_function(&function.compacted(), language))
    }

    /// The file with what came out as expectation.
    pub fn blessed(&self, output: &str) -> String {
        format!("{}{}{ARROW}{output}", self.head, self.function.trim_end())
    }
}

fn read_event(profile: &mut UnitProfile, line: &str, language: &Language) -> Option<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let pc = |word: &str| word.strip_prefix('@')?.parse().ok().map(Pc);
    let kind = |word: &str| language.kind(word);
    match words[..] {
        ["entered", count] => profile.entered = count.parse().ok()?,
        ["loop", header, count] => {
            profile.loops.insert(pc(header)?, count.parse().ok()?);
        }
        ["register", at, register, name] => {
            let register = Register(register.strip_prefix('r')?.parse().ok()?);
            profile.add(Event::RegisterKind(pc(at)?, register, kind(name)?));
        }
        ["operands", at, ref kinds @ ..] => {
            let kinds: Option<SmallVec<[KindId; 3]>> = kinds.iter().map(|name| kind(name)).collect();
            profile.add(Event::Operands(pc(at)?, kinds?));
        }
        ["result", at, name] => profile.add(Event::Result(pc(at)?, kind(name)?)),
        ["fact", at, variant, ..] => {
            let (_, list) = line.split_once('(')?;
            let words = list.trim_end_matches(')').split(',').map(str::trim).filter(|word| !word.is_empty());
            let words: Result<_, _> = words.map(str::parse).collect();
            profile.add(Event::Fact(pc(at)?, variant.parse().ok()?, words.ok()?));
        }
        ["jumped", at] => profile.add(Event::Branch(pc(at)?, true)),
        ["failed", at, reason] => {
            let reason = GuardReason::from_name(reason)?;
            for _ in 0..surmise::config::RETIREMENTS_PER_GUESS {
                profile.retire(pc(at)?, reason, 1);
            }
        }
        _ => return None,
    }
    Some(())
}

/// Checks one file, or rewrites what it expects. Returns what is wrong.
pub fn check(path: &Path, language: &Language, bless: bool) -> Result<(), FiletestError> {
    let io = |error: std::io::Error| FiletestError(format!("{}: {error}", path.display()));
    let source = std::fs::read_to_string(path).map_err(io)?;
    let located = |error: FiletestError| FiletestError(format!("{}: {error}", path.display()));
    let test = Filetest::parse(&source, language).map_err(located)?;
    let output = test.run(language).map_err(located)?;
    if bless {
        return std::fs::write(path, test.blessed(&output)).map_err(io);
    }
    if output.trim_end() == test.expected.trim_end() {
        return Ok(());
    }
    Err(FiletestError(format!("{}: expected\n{}\ngot\n{output}", path.display(), test.expected)))
}
