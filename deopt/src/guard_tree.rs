//! The guard tree: which of a unit's candidates fits the kinds of the arguments.
//!
//! A tree is data: it is built from what the candidates expect, prints, and parses. It tests one register for one kind at each
//! node; among the candidates that fit, the first in the order given to `build` wins.
//!
//! ```text
//! if r0 is kind1
//!   if r1 is kind1
//!     candidate4
//!   else
//!     candidate2
//! else
//!   none
//! ```

use crate::boxed::Boxed;
use crate::candidate::CandidateId;
use serde::{Deserialize, Serialize};
use std::fmt;
use surmise_ir::entity::{KindId, Register};
use surmise_ir::language::{Encoding, Language};
use thiserror::Error;

/// Which candidate to enter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum GuardTree {
    /// This one, or none.
    Leaf(Option<CandidateId>),
    /// It depends on the kind of an argument.
    Test {
        /// The argument's register.
        register: Register,
        /// The kind.
        kind: KindId,
        /// If it is of the kind.
        then: Box<GuardTree>,
        /// If it is not, or was not passed.
        otherwise: Box<GuardTree>,
    },
}

/// A candidate with what it expects.
pub type Expectation<'a> = (CandidateId, &'a [(Register, KindId)]);

impl GuardTree {
    /// The tree for these candidates, best first.
    pub fn build(candidates: &[Expectation<'_>]) -> GuardTree {
        GuardTree::build_with(candidates.to_vec(), &mut Vec::new())
    }
    /// `known`: the tests on the way here, with their outcomes.
    fn build_with(
        mut candidates: Vec<Expectation<'_>>,
        known: &mut Vec<(Register, KindId, bool)>,
    ) -> GuardTree {
        // A candidate is out if a test failed that it needs, or its register is known to be of another kind.
        candidates.retain(|(_, expects)| {
            expects.iter().all(|&(register, kind)| {
                known.iter().all(|&(r, k, holds)| r != register || if holds { k == kind } else { k != kind })
            })
        });
        let Some(&(best, expects)) = candidates.first() else { return GuardTree::Leaf(None) };
        let open = expects.iter().find(|&&(register, kind)| !known.contains(&(register, kind, true)));
        let Some(&(register, kind)) = open else { return GuardTree::Leaf(Some(best)) };
        let mut branch = |holds: bool| {
            known.push((register, kind, holds));
            let tree = GuardTree::build_with(candidates.clone(), known);
            known.pop();
            Box::new(tree)
        };
        GuardTree::Test { register, kind, then: branch(true), otherwise: branch(false) }
    }

    /// Chooses by the arguments.
    pub fn choose(
        &self,
        language: &Language,
        argument: impl Fn(Register) -> Option<Boxed>,
    ) -> Option<CandidateId> {
        let mut tree = self;
        loop {
            match tree {
                GuardTree::Leaf(candidate) => return *candidate,
                GuardTree::Test { register, kind, then, otherwise } => {
                    let holds =
                        argument(*register).is_some_and(|value| value.is_kind(language.kinds[*kind].form));
                    tree = if holds { then } else { otherwise };
                }
            }
        }
    }

    /// Chooses by the arguments in a window.
    ///
    /// # Safety
    /// `window` is the address of so many boxed values.
    pub unsafe fn choose_in(
        &self,
        language: &Language,
        window: *const u8,
        argument_count: u64,
    ) -> Option<CandidateId> {
        self.choose(language, |register| {
            (u64::from(register.0) < argument_count).then(|| {
                let words = window
                    .wrapping_add(register.0 as usize * language.encoding.size() as usize)
                    .cast::<u64>();
                // SAFETY: an argument that was passed stands there (the function's contract).
                unsafe {
                    match language.encoding {
                        Encoding::Pair => Boxed::pair(*words, *words.add(1)),
                        Encoding::Word => Boxed::from_word(*words),
                    }
                }
            })
        })
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = depth * 2;
        match self {
            GuardTree::Leaf(Some(candidate)) => writeln!(f, "{:indent$}{candidate}", ""),
            GuardTree::Leaf(None) => writeln!(f, "{:indent$}none", ""),
            GuardTree::Test { register, kind, then, otherwise } => {
                writeln!(f, "{:indent$}if {register} is {kind}", "")?;
                then.write(f, depth + 1)?;
                writeln!(f, "{:indent$}else", "")?;
                otherwise.write(f, depth + 1)
            }
        }
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Result<GuardTree, TreeError> {
        let mut lines =
            text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()).peekable();
        let tree = parse_tree(&mut lines, 0)?;
        match lines.next() {
            None => Ok(tree),
            Some((line, text)) => {
                Err(TreeError { line: line + 1, found: text.to_owned(), expected: "the end" })
            }
        }
    }
}

impl fmt::Display for GuardTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// A text that is no guard tree.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("guard tree, line {line}: expected {expected}, found '{found}'")]
pub struct TreeError {
    /// The line, from 1 on; 0 for the end of the text.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub expected: &'static str,
}

/// How deep a tree may be: more tests than a function has parameters make no sense.
const MAXIMUM_DEPTH: usize = 256;

fn parse_tree<'a>(
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
    depth: usize,
) -> Result<GuardTree, TreeError> {
    const FORMS: &str = "'if rN is kindN', 'candidateN' or 'none'";
    let (line, text) = lines.next().ok_or(TreeError { line: 0, found: String::new(), expected: FORMS })?;
    let error = |expected| TreeError { line: line + 1, found: text.to_owned(), expected };
    if text == "none" {
        return Ok(GuardTree::Leaf(None));
    }
    if let Some(number) = text.strip_prefix("candidate") {
        return number
            .parse()
            .map(|n| GuardTree::Leaf(Some(CandidateId(n))))
            .map_err(|_| error("a candidate's number"));
    }
    if depth == MAXIMUM_DEPTH {
        return Err(error("a tree of at most 256 levels"));
    }
    let test = text.strip_prefix("if r").and_then(|rest| rest.split_once(" is kind"));
    let (register, kind) = test.ok_or_else(|| error(FORMS))?;
    let register = register.parse().map(Register).map_err(|_| error("a register's number"))?;
    let kind =
        kind.parse::<u32>().ok().filter(|&kind| kind != u32::MAX).ok_or_else(|| error("a kind's number"))?;
    let then = Box::new(parse_tree(lines, depth + 1)?);
    match lines.next() {
        Some((_, "else")) => {}
        Some((line, found)) => {
            return Err(TreeError { line: line + 1, found: found.to_owned(), expected: "'else'" });
        }
        None => return Err(TreeError { line: 0, found: String::new(), expected: "'else'" }),
    }
    let otherwise = Box::new(parse_tree(lines, depth + 1)?);
    Ok(GuardTree::Test { register, kind: KindId::from_u32(kind), then, otherwise })
}

#[cfg(test)]
mod tests {
    use super::*;
    use surmise_ir::language::{Kind, KindForm};
    use surmise_ir::types::Type;

    fn language() -> Language {
        let mut language = Language::new("test", Encoding::Pair);
        for (name, tag) in [("int", 1), ("float", 2), ("table", 3)] {
            let payload = Some(Type::I64);
            language.kinds.push(Kind { name: name.to_owned(), payload, form: KindForm::Tag(tag) });
        }
        language
    }

    #[test]
    fn the_tree_agrees_with_trying_the_candidates_in_order() {
        let language = language();
        let kinds = [0, 1, 2].map(KindId::from_u32);
        // Every pair of expectations over two registers, in every order of three candidates.
        let options: Vec<Vec<(Register, KindId)>> = std::iter::once(vec![])
            .chain(kinds.iter().map(|&k| vec![(Register(0), k)]))
            .chain(
                kinds
                    .iter()
                    .flat_map(|&a| kinds.iter().map(move |&b| vec![(Register(0), a), (Register(1), b)])),
            )
            .collect();
        for a in &options {
            for b in &options {
                for c in &options {
                    let candidates =
                        [(CandidateId(0), &a[..]), (CandidateId(1), &b[..]), (CandidateId(2), &c[..])];
                    let tree = GuardTree::build(&candidates);
                    assert_eq!(GuardTree::parse(&tree.to_string()).as_ref(), Ok(&tree));
                    for tags in [[1, 1], [1, 2], [2, 1], [2, 3], [3, 3], [9, 1]] {
                        for count in 0..=2 {
                            let window: Vec<u64> = tags.iter().flat_map(|&tag| [tag, 0]).collect();
                            let fits = |expects: &[(Register, KindId)]| {
                                expects.iter().all(|&(register, kind)| {
                                    (register.0 as u64) < count
                                        && tags[register.0 as usize] == kind.as_u32() as u64 + 1
                                })
                            };
                            let expected = candidates.iter().find(|c| fits(c.1)).map(|c| c.0);
                            // SAFETY: the window has two values.
                            let chosen = unsafe { tree.choose_in(&language, window.as_ptr().cast(), count) };
                            assert_eq!(chosen, expected, "{tree}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_texts_are_errors() {
        for text in [
            "",
            "candidate",
            "if r0 is kind1\n  none",
            "if r0 is kind1\n none\n none",
            "none\nnone",
            "if r70000 is kind0",
            "if r0 is kind4294967295",
        ] {
            assert!(GuardTree::parse(text).is_err(), "{text}");
        }
        let error = GuardTree::parse("if r0 is int").expect_err("kinds are numbers");
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
