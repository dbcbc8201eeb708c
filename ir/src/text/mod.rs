//! The text form of functions, frame states and languages.
//!
//! Text is what test cases, candidates' stories and bug reports are made of, and how a host's author writes its language.
//! Everything round-trips: printing what was parsed from a printed text gives the same text, entity numbers included, and the
//! parsed function equals the printed one but for entities that nothing refers to ([`Function::compacted`] drops those).
//! No input makes the parser panic; an error says where, what was found, and what would be right.
//!
//! # Functions
//!
//! ```text
//! function "sum" unit:00000000000000ab call registers 4 {
//!   slot0 = shape 12 0                                   // recipe class and two words
//!   frame1 = unit:00000000000000cd parent frame0 window 3 registers 2
//! block0:
//!   v0 = argument r0
//!   state0 = before @0 {r0: v0}                          // printed before the first instruction that carries it
//!   inst1: v1 = guard_kind int argument v0 [state0]      // `inst1:` only where a proof names the instruction
//!   v2 = unbox int v0 by inst1
//!   jump block1(v2)
//! block1(v3: i64) cold:
//!   state1 = after @3 {r0: v0, r1: v0} results v0 open r2 v3
//!   state2 = frame1 callee v0 before @2 {r0: v0} parent state1
//!   v4 = op add v0, v0 @3 [state0] after [state1]
//!   v5 = call_guest v4(v0, open v3) window r2 wants 1 @3 [state0] after [state1]
//!   guard_true bounds v6 [state0] site @9 by inst1       // moved here from @9
//!   v7 = guard_kind int result v1 [state0] pinned        // something was decided because it holds
//!   branch v6 -> block1(v3), block2
//!   ...
//! }
//! ```
//!
//! * Line ends matter inside a function: an instruction ends there or at `;`. Elsewhere they are spaces. `//` starts a comment.
//! * `unit:` may be left out (unit 0). Entries are `call`, `loop @pc` and `template`.
//! * A result's type follows from the instruction; it is only printed (`v2: f64 = iadd …`) where a function is wrong about it.
//! * Names that are no identifiers are written in quotes: `op "+" v0, v1 @4`.
//! * Floats are shortest decimals, `inf`, `-inf` and `nan:0x7ff8000000000000`.
//!
//! # Languages
//!
//! ```text
//! language lua pair
//! kind int tag 2 i64
//! kind nil tag 0
//! kind small word mask 1 pattern 1 shifted 1 i64         // word encoding; payloads: shifted n, offset, masked
//! aliases table.shape, table.array                       // optional: classes are also declared by their first use
//! layout Table {
//!   shape: raw at @Table.shape alias table.shape         // a name bound by the host, or a number
//!   array: ref at 24 alias table.array immutable
//! }
//! layout Buffer { element: any at 16 stride 16 alias buffer.element }
//! recipe shape: raw
//! extern lua_add(any, any) -> any window throws calls_guest allocates reads everything writes (table.array)
//! calls { closure closure; unit Closure.unit; entry Unit.entry; generic lua_call; closure_variant 0; unit_recipe unit; … }
//! barrier Header.flags mask 3 trigger 1 slow lua_barrier
//! operation add(any, any) -> any = lua_add {
//!   case (int, int) { v2 = iadd v0, v1; v3 = box int v2; return v3 }
//!   case (table, _) observed 0 (slot shape, integer) { … }
//! }
//! operation index(any, any) -> any observed = lua_index  // `observed`: a guess of the result's kind is worth it
//! intrinsic floor = 3 { case (float) { … } }
//! ```
//!
//! A name has to be declared above its use. In a template v0, v1, … are the operands (payloads where the pattern names a kind
//! with one), then the words of the observed fact.

mod error;
mod lexer;
mod parse_body;
mod parse_function;
mod parse_instruction;
mod parse_language;
mod parser;
mod print_function;
mod print_language;

pub use error::ParseError;
pub use print_function::{inst_text, print_function, state_text};
pub use print_language::print_language;
pub(crate) use print_language::template_parameters;

use crate::function::Function;
use crate::language::Language;
use parser::Parser;

/// Reads a language. `bind` gives the numbers of names such as `@Table.shape`.
pub fn parse_language(text: &str, bind: &dyn Fn(&str) -> Option<u32>) -> Result<Language, ParseError> {
    let mut parser = Parser::new(text, bind)?;
    let language = parse_language::language(&mut parser)?;
    parser.expect_end("a declaration (`kind`, `aliases`, `layout`, `recipe`, `extern`, `calls`, `barrier`, `operation`, `intrinsic`)")?;
    Ok(language)
}

/// Reads one function.
pub fn parse_function(text: &str, language: &Language) -> Result<Function, ParseError> {
    let mut parser = Parser::new(text, &|_| None)?;
    let function = parse_function::function(&mut parser, language)?;
    parser.expect_end("the end of the text")?;
    Ok(function)
}

/// Reads any number of functions.
pub fn parse_functions(text: &str, language: &Language) -> Result<Vec<Function>, ParseError> {
    let mut parser = Parser::new(text, &|_| None)?;
    let mut functions = Vec::new();
    while !parser.at_end() {
        functions.push(parse_function::function(&mut parser, language)?);
    }
    Ok(functions)
}

/// Reads a language and the functions that follow it: a test case in one piece.
pub fn parse_module(
    text: &str,
    bind: &dyn Fn(&str) -> Option<u32>,
) -> Result<(Language, Vec<Function>), ParseError> {
    let mut parser = Parser::new(text, bind)?;
    let language = parse_language::language(&mut parser)?;
    let mut functions = Vec::new();
    while !parser.at_end() {
        functions.push(parse_function::function(&mut parser, &language)?);
    }
    Ok((language, functions))
}

#[cfg(test)]
mod tests;
