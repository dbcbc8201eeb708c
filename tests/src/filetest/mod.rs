//! Filetests: IR in, passes, IR out, and what running it does, as text that people read and review.
//!
//! ```text
//! // What the test shows.
//! language mini                    (else Lua's; only functions in mini can be run)
//! test specialize, fold            (passes of the table, or `pipeline`; without this line the function stays as it is)
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
//! profile unit:00000000000000ab {  (of a unit whose code is inlined)
//!   entered 5
//! }
//! run int 5, cell nil              (values for the first registers, see `given`)
//! run int 5 | every 3              (every third guard fails)
//! run int 5 | invalidate 2         (the candidate is invalid after the second call or poll)
//! run int 5 | room 4               (the guest stack has room for so many registers)
//! function "f" call registers 3 { ... }
//! function "g" call registers 2 { ... }     (if there are more: each is spliced into all guest calls of the one before it)
//! ==>
//! function "f" ...                 (written by the bless command, as all that follows)
//! run int 5, cell nil
//!   sees 7
//!   leaves: kind at @3
//!     unit:0000000000000000 window 0 before @3 {r0: 5, r1: cell of nil}
//! ```
//!
//! A run happens twice, in the reference evaluator and as machine code through the real runtime, with all objects moved at every
//! safepoint; both have to do the same.
//!
//! `SURMISE_BLESS=1 cargo test -p surmise-tests --test filetests` rewrites what is expected.

mod given;
mod runs;

use runs::Run;
use std::path::Path;
use surmise::ir::entity::{Inst, UnitId};
use surmise::ir::function::Function;
use surmise::ir::language::Language;
use surmise::ir::opcode::Opcode;
use surmise::ir::splice::splice;
use surmise::ir::text;
use surmise::ir::verifier::{Stage, verify, violations_text};
use surmise::lower::{LowerSettings, Target, lower};
use surmise::passes::{Environment, Fuel, PASSES, PIPELINE, pass};
use surmise::profile::{Map, UnitProfile};
use surmise::profile_text::read_event;

/// The languages that filetests are written in.
pub struct Languages {
    /// Lua's.
    pub lua: Language,
    /// That of random programs.
    pub mini: Language,
}

impl Languages {
    /// Both of them.
    ///
    /// # Errors
    /// Why Lua's can't be read.
    pub fn new() -> Result<Languages, FiletestError> {
        let lua = surmise_lua::surmise::language::language();
        let lua = lua.map_err(|error| FiletestError(format!("language.sir: {error}")))?;
        Ok(Languages { lua, mini: surmise::ir::generate::language() })
    }
}

/// A file that is no filetest, and why.
#[derive(Debug)]
pub struct FiletestError(pub String);

impl std::fmt::Display for FiletestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of a filetest.
pub struct Filetest<'l> {
    language: &'l Language,
    head: String,
    passes: Vec<String>,
    profile: UnitProfile,
    inlined: Map<UnitId, UnitProfile>,
    runs: Vec<Run>,
    function: String,
    /// What the file says comes out.
    pub expected: String,
}

const ARROW: &str = "\n==>\n";

impl<'l> Filetest<'l> {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(source: &str, languages: &'l Languages) -> Result<Filetest<'l>, FiletestError> {
        let (input, expected) = source.split_once(ARROW).unwrap_or((source, ""));
        let start =
            input.find("\nfunction ").ok_or_else(|| FiletestError("there is no function".to_owned()))? + 1;
        let (head, function) = input.split_at(start);
        let mut passes = Vec::new();
        let mut profile = UnitProfile::default();
        let mut inlined: Map<UnitId, UnitProfile> = Map::default();
        let mut runs = Vec::new();
        let mut language = &languages.lua;
        // Of the function's own unit, or of another one.
        let mut in_profile = None;
        for (number, line) in head.lines().enumerate() {
            let line = line.trim();
            let wrong = |what: &str| FiletestError(format!("line {}: {what}: `{line}`", number + 1));
            match line {
                "" => {}
                "profile {" => in_profile = Some(None),
                "}" if in_profile.is_some() => in_profile = None,
                _ if line.starts_with("//") => {}
                _ if let Some(unit) = in_profile => {
                    let profile = match unit {
                        None => &mut profile,
                        Some(unit) => inlined.entry(unit).or_default(),
                    };
                    read_event(profile, line, language).ok_or_else(|| wrong("no event of a profile"))?
                }
                "language mini" => language = &languages.mini,
                "run" => runs.push(Run::parse("").map_err(|error| wrong(&error))?),
                _ => match line.split_once(' ') {
                    Some(("run", run)) => runs.push(Run::parse(run).map_err(|error| wrong(&error))?),
                    Some(("profile", unit)) => {
                        let number = unit.strip_prefix("unit:").and_then(|unit| unit.strip_suffix(" {"));
                        let number = number.and_then(|number| u64::from_str_radix(number, 16).ok());
                        in_profile = Some(Some(UnitId(number.ok_or_else(|| wrong("no unit"))?)));
                    }
                    Some(("test", list)) => {
                        passes.extend(list.split(',').map(|name| name.trim().to_owned()));
                    }
                    _ => return Err(wrong("expected `language mini`, `test`, `profile {` or `run`")),
                },
            }
        }
        if !runs.is_empty() && language.name != languages.mini.name {
            return Err(FiletestError("only functions in `language mini` can be run".to_owned()));
        }
        if let Some(unknown) =
            passes.iter().find(|name| *name != "pipeline" && !PASSES.iter().any(|pass| pass.name == **name))
        {
            return Err(FiletestError(format!("there is no pass `{unknown}`")));
        }
        if passes == ["pipeline"] {
            passes = PIPELINE.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        Ok(Filetest {
            language,
            head: head.to_owned(),
            passes,
            profile,
            inlined,
            runs,
            function: function.to_owned(),
            expected: expected.to_owned(),
        })
    }

    /// The function before any pass.
    ///
    /// # Errors
    /// Why it can't be read.
    pub fn function(&self) -> Result<Function, FiletestError> {
        let functions = text::parse_functions(&self.function, self.language);
        let mut functions = functions.map_err(|error| FiletestError(error.to_string()))?;
        let mut function = functions.pop().ok_or_else(|| FiletestError("there is no function".to_owned()))?;
        while let Some(mut caller) = functions.pop() {
            check_rules(&function, self.language, "as written")?;
            check_rules(&caller, self.language, "as written")?;
            let all = caller.layout.iter().flat_map(|&block| caller.blocks[block].insts.clone());
            let calls: Vec<Inst> =
                all.filter(|&inst| caller.insts[inst].opcode == Opcode::CallGuest).collect();
            for call in calls {
                splice(&mut caller, call, &function, self.language)
                    .map_err(|error| FiletestError(format!("{call}: {error}")))?;
            }
            let compacted = caller.compacted();
            let printed = text::print_function(&compacted, self.language);
            match text::parse_function(&printed, self.language) {
                Ok(parsed) if parsed == compacted => function = caller,
                Ok(_) => {
                    return Err(FiletestError(format!("what was spliced is read otherwise:\n{printed}")));
                }
                Err(error) => return Err(FiletestError(format!("what was spliced: {error}\n{printed}"))),
            }
        }
        Ok(function)
    }

    /// The function after the passes, with the verifier after each.
    fn after_passes(&self) -> Result<Function, FiletestError> {
        let language = self.language;
        let mut function = self.function()?;
        check_rules(&function, language, "as written")?;
        let mut fuel = Fuel::new(None);
        for name in &self.passes {
            let mut environment =
                Environment { language, profile: &self.profile, inlined: &self.inlined, fuel: &mut fuel };
            (pass(name).run)(&mut function, &mut environment);
            check_rules(&function, language, &format!("after {name}"))?;
        }
        Ok(function)
    }
    /// The machine code of the function after the passes, as text.
    ///
    /// # Errors
    /// As for [`Self::run`].
    pub fn listing(&self) -> Result<String, FiletestError> {
        let function = self.after_passes()?;
        let settings = LowerSettings { listing: true, ..LowerSettings::default() };
        let target = Target::host().map_err(|error| FiletestError(error.to_string()))?;
        let lowered = lower(&function, self.language, &settings, &target);
        let lowered = lowered.map_err(|error| FiletestError(error.to_string()))?;
        Ok(lowered.listing.unwrap_or_default())
    }
    /// Runs the passes, and then the function; returns what comes out as text.
    ///
    /// # Errors
    /// What the verifier finds, or what machine code does otherwise than the evaluator.
    pub fn run(&self) -> Result<String, FiletestError> {
        let language = self.language;
        let function = self.after_passes()?;
        let mut output = String::new();
        if !self.passes.is_empty() || self.runs.is_empty() {
            output = text::print_function(&function.compacted(), language);
        }
        for run in &self.runs {
            let told = run.run(&function, language).map_err(|error| {
                FiletestError(format!("{error}\n{}", text::print_function(&function, language)))
            })?;
            output.push_str(&told);
        }
        Ok(output)
    }

    /// The file with what came out as expectation.
    pub fn blessed(&self, output: &str) -> String {
        format!("{}{}{ARROW}{output}", self.head, self.function.trim_end())
    }
}

fn check_rules(function: &Function, language: &Language, when: &str) -> Result<(), FiletestError> {
    let violations = verify(function, language, Stage::Specialized, None);
    if violations.is_empty() {
        return Ok(());
    }
    let text = text::print_function(function, language);
    Err(FiletestError(format!("{when}:\n{}\n{text}", violations_text(&violations))))
}

/// Checks one file, or rewrites what it expects.
///
/// # Errors
/// What is wrong.
pub fn check(path: &Path, languages: &Languages, bless: bool) -> Result<(), FiletestError> {
    let io = |error: std::io::Error| FiletestError(format!("{}: {error}", path.display()));
    let source = std::fs::read_to_string(path).map_err(io)?;
    let located = |error: FiletestError| FiletestError(format!("{}: {error}", path.display()));
    let test = Filetest::parse(&source, languages).map_err(located)?;
    let output = test.run().map_err(located)?;
    if bless {
        return std::fs::write(path, test.blessed(&output)).map_err(io);
    }
    if output.trim_end() == test.expected.trim_end() {
        return Ok(());
    }
    Err(FiletestError(format!("{}: expected\n{}\ngot\n{output}", path.display(), test.expected)))
}
