//! The files of the suite: how each is run, and what of them is not.

/// How a file is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Run {
    /// As a program.
    Program,
    /// By this code, for files that their own `all.lua` does not simply run.
    By(&'static str),
    /// Not at all.
    Excluded(&'static str),
}

/// Lines of a file that are not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The first line.
    pub first: usize,
    /// The last line.
    pub last: usize,
    /// How the first line begins, so that another version of the file is noticed.
    pub begins: &'static str,
    /// The one mode in which they are left out; all of them unless told.
    pub mode: Option<&'static str>,
    /// Why.
    pub reason: &'static str,
}

/// A file of the suite.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// How it is run.
    pub run: Run,
    /// What is left out.
    pub without: &'static [Part],
}

impl File {
    /// The file's text without the lines that are left out in a mode; the others keep their numbers.
    ///
    /// # Errors
    /// When a part is not where it was.
    pub fn reduced(&self, source: &[u8], mode: &str) -> Result<Vec<u8>, String> {
        let mut lines: Vec<&[u8]> = source.split(|byte| *byte == b'\n').collect();
        for part in self.without.iter().filter(|part| part.mode.is_none_or(|only| only == mode)) {
            let begins =
                lines.get(part.first - 1).is_some_and(|line| line.starts_with(part.begins.as_bytes()));
            if !begins || part.last > lines.len() || part.last < part.first {
                return Err(format!(
                    "{}: line {} does not begin with {:?}",
                    self.name, part.first, part.begins
                ));
            }
            lines[part.first - 1..part.last].fill(b"");
        }
        Ok(lines.join(&b'\n'))
    }
}

const fn file(name: &'static str) -> File {
    File { name, run: Run::Program, without: &[] }
}

const fn excluded(name: &'static str, reason: &'static str) -> File {
    File { name, run: Run::Excluded(reason), without: &[] }
}

/// `all.lua` runs it so.
const BIG: &str =
    "local f = coroutine.wrap(assert(loadfile('big.lua'))) assert(f() == 'b') assert(f() == 'a')";

/// An object is to live as long as a variable that nobody reads any more. The manual (2.5) promises that only of what may still be
/// accessed, and compiled code keeps no more than that: with collections at every turn, the object is finalized before its finalizer is set.
const UNREAD_VARIABLE: Part = Part {
    first: 445,
    last: 454,
    begins: "local u = setmetatable({}, {__gc = true})",
    mode: Some("nursery"),
    reason: "expects a variable that is not read any more to keep its object",
};

/// All files, in the order in which `all.lua` runs them; then the others.
pub const FILES: &[File] = &[
    excluded("main.lua", "the stand-alone interpreter's own command-line tests"),
    File { name: "gc.lua", run: Run::Program, without: &[UNREAD_VARIABLE] },
    file("db.lua"),
    file("calls.lua"),
    file("strings.lua"),
    file("literals.lua"),
    file("tpack.lua"),
    file("attrib.lua"),
    file("gengc.lua"),
    file("locals.lua"),
    file("constructs.lua"),
    file("code.lua"),
    File { name: "big.lua", run: Run::By(BIG), without: &[] },
    file("cstack.lua"),
    file("nextvar.lua"),
    file("pm.lua"),
    file("utf8.lua"),
    file("api.lua"),
    file("events.lua"),
    file("vararg.lua"),
    file("closure.lua"),
    file("coroutine.lua"),
    file("goto.lua"),
    file("errors.lua"),
    file("math.lua"),
    file("sort.lua"),
    file("bitwise.lua"),
    file("verybig.lua"),
    file("files.lua"),
    file("bwcoercion.lua"),
    file("tracegc.lua"),
    excluded("all.lua", "runs the other files in one process"),
    excluded("heavy.lua", "no part of all.lua: strings and tables up to the memory's end"),
];
