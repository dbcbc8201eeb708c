//! Mutants from seeds: half of them whole programs in which words were exchanged for others of their class, most of which still are programs;
//! half of them pieces in which anything may have happened.

use super::sources::Sources;
use surmise::ir::generate::Random;

/// The longest text that is made, apart from one long thing in it.
const LENGTH: usize = 4000;
/// The longest thing that is put in.
const LONG: usize = 200_000;
/// The deepest nesting that is put in.
const DEEP: usize = 20_000;

/// What nests: openers, and perhaps what closes them.
const NESTS: &[(&str, &str)] = &[
    ("(", ")"),
    ("{", "}"),
    ("{{},", "}"),
    ("do ", " end"),
    ("if x then ", " end"),
    ("while x do ", " end"),
    ("repeat ", " until x"),
    ("for i = 1, 2 do ", " end"),
    ("function() ", " end"),
    ("return function() ", " end"),
    ("local function f() ", " end"),
    ("a[", "]"),
    ("a(", ")"),
    ("-", ""),
    ("not ", ""),
    ("~", ""),
    ("a.", "b"),
    ("a:b()", ""),
    ("x = x .. ", "x"),
    ("x ^ ", "x"),
    ("x + ", "x"),
    ("x and ", "x"),
    ("a, ", "a = 1"),
    ("if x then elseif ", ""),
    ("else ", ""),
    ("::l::", ""),
    ("goto l ", ""),
    ("local a <close> = ", "nil"),
    ("[[", "]]"),
    ("[=", "["),
    ("--[", "["),
    ("'\\", "'"),
];

/// Words that stand for others.
const WORDS: &[&str] = &[
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
    "self",
    "_ENV",
    "_G",
    "<const>",
    "<close>",
    "0",
    "1",
    "-1",
    "0x10",
    "3.5",
    "1e308",
    "9223372036854775807",
    "0x7fffffffffffffff",
    "1e999",
    "''",
    "'s'",
    "[[l]]",
    "nil",
    "math.huge",
    "pcall",
    "error",
    "setmetatable",
    "string.rep",
    "coroutine.wrap",
    "coroutine.yield",
    "table.unpack",
    "load",
    "select",
    "collectgarbage",
    "debug.sethook",
    "debug.getinfo",
    "debug.traceback",
    "string.format",
    "next",
    "pairs",
    "goto continue",
    "::continue::",
    "\\",
    "\0",
    "\u{feff}",
    "#!",
    "--",
    "--[[",
    "]]",
    "'",
    "\"",
    "\n",
];

/// Makes mutants.
pub struct Mutator(Sources);

impl Mutator {
    /// From the repository's programs.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn new() -> Result<Mutator, String> {
        Sources::read().map(Mutator)
    }

    /// The mutant of a seed.
    pub fn mutant(&self, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed ^ 0x6D75_7461);
        if random.one_in(2) {
            // Most of these are still programs.
            let mut text = self.0.whole(&mut random);
            for _ in 0..1 + random.below(4) {
                exchange_words(&mut text, &mut random);
            }
            return text;
        }
        let mut text = self.0.piece(&mut random, LENGTH);
        for _ in 0..1 + random.below(3) {
            self.mutate(&mut text, &mut random);
        }
        text
    }

    fn mutate(&self, text: &mut Vec<u8>, random: &mut Random) {
        match random.below(16) {
            0 => text.truncate(random.below(text.len() + 1)),
            1 => {
                let start = random.below(text.len() + 1);
                text.drain(..start);
            }
            2 | 3 => {
                for _ in 0..1 + random.below(4) {
                    let at = random.below(text.len());
                    if let Some(byte) = text.get_mut(at) {
                        *byte = if random.one_in(2) {
                            random.word() as u8
                        } else {
                            *byte ^ (1 << random.below(8))
                        };
                    }
                }
            }
            4..=11 => shuffle_words(text, random),
            12 | 13 => {
                // The start of this one, the end of another.
                let other = self.0.piece(random, LENGTH);
                text.truncate(random.below(text.len() + 1));
                text.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            14 if random.one_in(8) => {
                let bomb = bomb(random);
                insert(text, random, &bomb);
            }
            _ if random.one_in(8) => {
                let long = long(random);
                insert(text, random, &long);
            }
            _ => shuffle_words(text, random),
        }
    }
}

fn insert(text: &mut Vec<u8>, random: &mut Random, what: &[u8]) {
    // Most places are between words.
    let mut at = random.below(text.len() + 1);
    while !random.one_in(20) && at < text.len() && !text[at].is_ascii_whitespace() {
        at += 1;
    }
    text.splice(at..at, what.iter().copied());
}

/// A length: mostly small, sometimes up to a limit.
fn length(random: &mut Random, limit: usize) -> usize {
    let limit = *random.pick(&[10, 200, 260, 2000, limit]);
    1 + random.below(limit)
}

fn bomb(random: &mut Random) -> Vec<u8> {
    let &(open, close) = random.pick(NESTS);
    let depth = length(random, DEEP);
    let mut bomb = open.repeat(depth).into_bytes();
    if random.one_in(2) {
        bomb.extend_from_slice(b" x ");
        bomb.extend_from_slice(close.repeat(depth).as_bytes());
    }
    bomb
}

/// A string, comment, name, number or list that is too long.
fn long(random: &mut Random) -> Vec<u8> {
    let many = length(random, LONG);
    let repeated = |text: &str| text.repeat(many.div_ceil(text.len()));
    let text = match random.below(16) {
        0 => format!("'{}'", repeated("s")),
        1 => format!("\"{}\"", repeated("\\x41\\u{7FFFFFFF}\\065\\z  ")),
        2 => format!("[==[{}]==]", repeated("line\r\n")),
        3 => format!("--[[{}]]", repeated("-- [[ ")),
        4 => format!("--{}\n", repeated("c")),
        5 => repeated("n"),
        6 => format!("0x{}", repeated("f")),
        7 => format!("0x.{}p{}", repeated("0"), repeated("9")),
        8 => format!("1{}", repeated("0")),
        9 => format!(".{}1e{}", repeated("0"), repeated("7")),
        10 => format!("{{{}}}", repeated("1,")),
        11 => format!("local a = {}", repeated("b, ")),
        12 => format!(" x = {} x", repeated("x + ")),
        13 => repeated("local v; "),
        14 => repeated("do local v = {} end "),
        _ => format!("f({})", repeated("nil,")),
    };
    text.into_bytes()
}

/// Words, spaces and signs of a text.
fn words(text: &[u8]) -> Vec<&[u8]> {
    let class = |c: &u8| match c {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => 1,
        b' ' | b'\n' => 2,
        _ => 0,
    };
    text.chunk_by(|a, b| class(a) != 0 && class(a) == class(b)).collect()
}

fn shuffle_words(text: &mut Vec<u8>, random: &mut Random) {
    let mut words = words(text);
    for _ in 0..1 + random.below(5) {
        if words.is_empty() {
            return;
        }
        let (at, other) = (random.below(words.len()), random.below(words.len()));
        match random.below(7) {
            0 => drop(words.remove(at)),
            1 => words.insert(at, random.pick(WORDS).as_bytes()),
            2 => words[at] = random.pick(WORDS).as_bytes(),
            3 => words.swap(at, other),
            4 => words[at] = words[other],
            5 => {
                // A run of words once more.
                let end = (at + 1 + random.below(12)).min(words.len());
                let run = words[at..end].to_vec();
                words.splice(other..other, run);
            }
            _ => {
                let end = (at + 1 + random.below(6)).min(words.len());
                words.drain(at..end);
            }
        }
    }
    *text = words.concat();
}

/// Puts another word of the same class in the place of some: a name for a name, a number for a number, an operator for an operator.
fn exchange_words(text: &mut Vec<u8>, random: &mut Random) {
    let mut words = words(text);
    let at = random.below(words.len());
    let Some(word) = words.get(at) else { return };
    let (class, extra) = class_of(word);
    if class == Class::Other {
        return;
    }
    let same: Vec<&[u8]> = words.iter().copied().filter(|other| class_of(other).0 == class).collect();
    words[at] = match random.one_in(3) {
        true => random.pick(extra).as_bytes(),
        false => same[random.below(same.len())],
    };
    *text = words.concat();
}

/// What a word can be exchanged for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Name,
    Number,
    Operator,
    Other,
}

const KEYWORDS: &str = " and break do else elseif end false for function goto if in local nil not or repeat return then true until while ";
const NAMES: &[&str] = &[
    "nil",
    "true",
    "_ENV",
    "_G",
    "string",
    "table",
    "print",
    "error",
    "pcall",
    "setmetatable",
    "load",
    "debug",
    "coroutine",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "1e308",
    "0x7fffffffffffffff",
    "9223372036854775807",
    "1e9",
    "100000000",
    "0.5",
    "200",
    "255",
    "256",
    "65536",
];
const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "%", "^", "<", ">", "|", "&", "~", "..", "==", "//", "<<", " and ", " or "];

/// A word's class, and what else there is of it.
fn class_of(word: &[u8]) -> (Class, &'static [&'static str]) {
    let is_keyword = || {
        KEYWORDS.as_bytes().windows(word.len() + 2).any(|window| {
            window[1..=word.len()] == *word && window[0] == b' ' && window[word.len() + 1] == b' '
        })
    };
    match word.first() {
        Some(b'0'..=b'9') => (Class::Number, NUMBERS),
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') if !is_keyword() => (Class::Name, NAMES),
        Some(b'+' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'|' | b'&') => (Class::Operator, OPERATORS),
        _ => (Class::Other, &[]),
    }
}
