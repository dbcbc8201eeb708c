//! Sources that are broken at random: whatever comes in, the front end answers with an error or with code that passes the
//! checker, and never panics.

use std::fs;
use std::path::Path;

use surmise_lua::compiler::compile;

use crate::check::check;

/// A small generator of random numbers (xorshift), so that every run is the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }
}

const WORDS: [&str; 72] = [
    "and",
    "break",
    "do",
    "else",
    "elseif",
    "end",
    "false",
    "for",
    "function",
    "goto",
    "if",
    "in",
    "local",
    "nil",
    "not",
    "or",
    "repeat",
    "return",
    "then",
    "true",
    "until",
    "while",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "#",
    "&",
    "~",
    "|",
    "<<",
    ">>",
    "//",
    "==",
    "~=",
    "<=",
    ">=",
    "<",
    ">",
    "=",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "::",
    ";",
    ":",
    ",",
    ".",
    "..",
    "...",
    "x",
    "y",
    "f",
    "<const>",
    "<close>",
    "1",
    "0x10",
    "3.5",
    "1e308",
    "'s'",
    "[[l]]",
    "goto l",
    "::l::",
    "self",
    "_ENV",
    "function() x = y end",
    "local x, y = 1",
];

fn sources() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/listings");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "lua"));
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Pieces of a source: words, numbers, spaces and single other characters.
fn pieces(source: &[u8]) -> Vec<&[u8]> {
    let class = |c: &u8| match c {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => 1,
        b' ' | b'\n' => 2,
        _ => 0,
    };
    source.chunk_by(|a, b| class(a) != 0 && class(a) == class(b)).collect()
}

fn mutated(source: &[u8], random: &mut Random) -> Vec<u8> {
    let mut text = source.to_vec();
    match random.below(4) {
        0 => text.truncate(random.below(source.len() + 1)),
        1 => {
            for _ in 0..=random.below(4) {
                let at = random.below(text.len());
                if let Some(byte) = text.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
        }
        _ => {
            let mut pieces = pieces(source);
            for _ in 0..=random.below(6) {
                let (at, other) = (random.below(pieces.len()), random.below(pieces.len()));
                if pieces.is_empty() {
                    break;
                }
                match random.below(4) {
                    0 => drop(pieces.remove(at)),
                    1 => pieces.insert(at, random.pick(&WORDS).as_bytes()),
                    2 => pieces[at] = random.pick(&WORDS).as_bytes(),
                    _ => pieces.swap(at, other),
                }
            }
            text = pieces.concat();
        }
    }
    text
}

fn try_source(source: &[u8]) -> bool {
    match compile(source, "=fuzz") {
        Ok(function) => {
            if let Err(error) = check(&function) {
                panic!("{error}\n{}", String::from_utf8_lossy(source));
            }
            true
        }
        Err(error) => {
            assert!(!error.message.is_empty());
            false
        }
    }
}

#[test]
fn broken_sources_are_errors() {
    let sources = sources();
    let mut random = Random(0x5EED_0001);
    let mut accepted = 0;
    for round in 0..10_000 {
        let source = mutated(&sources[round % sources.len()], &mut random);
        accepted += usize::from(try_source(&source));
    }
    assert!(accepted > 100, "most mutations should not break everything: {accepted}");
}

#[test]
fn random_words_are_errors() {
    let mut random = Random(0x5EED_0002);
    for _ in 0..20_000 {
        let count = random.below(40);
        let words: Vec<&str> = (0..count).map(|_| random.pick(&WORDS)).collect();
        try_source(words.join(" ").as_bytes());
    }
}

#[test]
fn random_bytes_are_errors() {
    let mut random = Random(0x5EED_0003);
    for _ in 0..20_000 {
        let count = random.below(60);
        let bytes: Vec<u8> = (0..count).map(|_| random.next() as u8).collect();
        try_source(&bytes);
    }
}

/// Programs that are right by construction, with much nesting of scopes, captures and ways out of loops.
#[test]
fn generated_programs_compile() {
    let mut random = Random(0x5EED_0004);
    for _ in 0..2_000 {
        let mut program = Program { random: &mut random, text: String::new(), loops: 0, vararg: true };
        program.block(4);
        let text = program.text;
        assert!(try_source(text.as_bytes()), "{}\n{text}", compile(text.as_bytes(), "=p").err().unwrap());
    }
}

struct Program<'r> {
    random: &'r mut Random,
    text: String,
    loops: usize,
    vararg: bool,
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "g"];

impl Program<'_> {
    fn add(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push(' ');
    }

    fn name(&mut self) {
        let name = self.random.pick(&NAMES);
        self.add(name);
    }

    fn block(&mut self, depth: usize) {
        for _ in 0..self.random.below(5) {
            self.statement(depth);
            self.add(";");
        }
        match self.random.below(8) {
            0 if self.loops > 0 => self.add("break"),
            1 => {
                self.add("return");
                self.expression(depth);
            }
            _ => {}
        }
    }

    fn statement(&mut self, depth: usize) {
        if depth == 0 {
            self.name();
            self.add("=");
            return self.expression(2);
        }
        match self.random.below(14) {
            0 | 1 => {
                self.add("local");
                self.name();
                self.add("=");
                self.expression(depth);
            }
            2 => {
                self.add("local closing <close> ,");
                self.name();
                self.add("= nil ,");
                self.expression(depth);
            }
            3 | 4 => {
                self.place(depth);
                self.add(",");
                self.place(depth);
                self.add("=");
                self.expression(depth);
                self.add(",");
                self.expression(depth);
            }
            5 => {
                self.add("local function");
                self.name();
                self.function(depth);
            }
            6 => {
                self.add("if");
                self.expression(depth);
                self.add("then");
                self.block(depth - 1);
                self.add("else");
                self.block(depth - 1);
                self.add("end");
            }
            7 => self.looping("while", depth),
            8 => self.looping("for", depth),
            9 => self.looping("in", depth),
            10 => self.looping("repeat", depth),
            11 => {
                self.add("do");
                self.block(depth - 1);
                self.add("end");
            }
            12 => {
                self.add("f (");
                self.expression(depth);
                self.add(")");
            }
            _ => {
                self.place(depth);
                self.add("=");
                self.expression(depth);
            }
        }
    }

    fn looping(&mut self, kind: &str, depth: usize) {
        self.loops += 1;
        match kind {
            "while" => {
                self.add("while");
                self.expression(depth);
                self.add("do");
            }
            "for" => {
                self.add("for");
                self.name();
                self.add("= 1 ,");
                self.expression(depth);
                self.add("do");
            }
            "in" => {
                self.add("for");
                self.name();
                self.add(",");
                self.name();
                self.add("in");
                self.expression(depth);
                self.add("do");
            }
            _ => self.add("repeat"),
        }
        if self.random.below(3) == 0 {
            self.add("if");
            self.expression(1);
            self.add("then goto continue end");
            self.add("do");
            self.block(depth - 1);
            self.add("end ::continue::");
        } else {
            self.block(depth - 1);
        }
        self.loops -= 1;
        if kind == "repeat" {
            self.add("until");
            self.expression(depth);
        } else {
            self.add("end");
        }
    }

    fn function(&mut self, depth: usize) {
        let (loops, vararg) = (std::mem::take(&mut self.loops), self.vararg);
        self.vararg = self.random.below(2) == 0;
        self.add(if self.vararg { "( a , ... )" } else { "( b , c )" });
        self.block(depth - 1);
        self.add("end");
        (self.loops, self.vararg) = (loops, vararg);
    }

    fn place(&mut self, depth: usize) {
        self.name();
        match self.random.below(4) {
            0 => self.add(". x"),
            1 => {
                self.add("[");
                self.expression(depth - 1);
                self.add("]");
            }
            _ => {}
        }
    }

    fn expression(&mut self, depth: usize) {
        if depth == 0 {
            return match self.random.below(5) {
                0 => self.add("1"),
                1 => self.add("nil"),
                2 if self.vararg => self.add("..."),
                _ => self.name(),
            };
        }
        match self.random.below(12) {
            0..=3 => {
                self.add("(");
                self.expression(depth - 1);
                self.add(")");
                let operator = self.random.pick(&[
                    "+", "-", "*", "..", "<", ">=", "==", "~=", "and", "or", "and", "or", "<<", "&", "//",
                    "^",
                ]);
                self.add(operator);
                self.expression(depth - 1);
            }
            4 => {
                self.add("not");
                self.expression(depth - 1);
            }
            5 => {
                self.add("f (");
                self.expression(depth - 1);
                self.add(",");
                self.expression(depth - 1);
                self.add(")");
            }
            6 => {
                self.add("{");
                self.expression(depth - 1);
                self.add(", x =");
                self.expression(depth - 1);
                self.add(",");
                self.expression(depth - 1);
                self.add("}");
            }
            7 => {
                self.add("function");
                self.function(depth);
            }
            8 => {
                self.name();
                self.add(": m (");
                self.expression(depth - 1);
                self.add(")");
            }
            _ => self.place(depth),
        }
    }
}
