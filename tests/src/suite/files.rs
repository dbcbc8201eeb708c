//! The files of the suite: how each is run.

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

/// A file of the suite.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// How it is run.
    pub run: Run,
    /// What it waits for: it does not pass yet.
    pub open: Option<&'static str>,
}

const fn file(name: &'static str) -> File {
    File { name, run: Run::Program, open: None }
}

const fn open(name: &'static str, open: &'static str) -> File {
    File { name, run: Run::Program, open: Some(open) }
}

/// `all.lua` runs it so.
const BIG: &str =
    "local f = coroutine.wrap(assert(loadfile('big.lua'))) assert(f() == 'b') assert(f() == 'a')";
const COROUTINES: &str = "coroutines";

/// All files, in the order in which `all.lua` runs them; then the others.
pub const FILES: &[File] = &[
    File {
        name: "main.lua",
        run: Run::Excluded("the stand-alone interpreter's own command-line tests"),
        open: None,
    },
    File {
        name: "gc.lua",
        run: Run::Excluded("open: without delay its line 454 still finds a coroutine that nothing refers to"),
        open: None,
    },
    open("db.lua", COROUTINES),
    file("calls.lua"),
    file("strings.lua"),
    file("literals.lua"),
    file("tpack.lua"),
    open("attrib.lua", COROUTINES),
    file("gengc.lua"),
    open("locals.lua", COROUTINES),
    file("constructs.lua"),
    file("code.lua"),
    File { name: "big.lua", run: Run::By(BIG), open: None },
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
    open("errors.lua", COROUTINES),
    file("math.lua"),
    file("sort.lua"),
    file("bitwise.lua"),
    file("verybig.lua"),
    open("files.lua", COROUTINES),
    file("bwcoercion.lua"),
    file("tracegc.lua"),
    File { name: "all.lua", run: Run::Excluded("runs the other files in one process"), open: None },
    File {
        name: "heavy.lua",
        run: Run::Excluded("no part of all.lua: strings and tables up to the memory's end"),
        open: None,
    },
];
