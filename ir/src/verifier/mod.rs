//! The verifier: what must hold of functions and languages. This list is the specification.
//!
//! Every violation is collected, each with the rule, the block, and the instruction's text. A function that violates rule 1 is
//! not looked at further. Blocks that can't be reached are held to rules 1, 2, 4, 5 and 6 only. The numbers in brackets are
//! those of the design's rules.
//!
//! # Functions
//!
//! 1. **Structure.** Blocks of the layout exist and are in it once; instructions exist and stand in one place; a result or
//!    parameter points back at its definition; entities that are referred to exist; the chains of frame states and of frames end.
//! 2. **Terminators.** Every block ends with a terminator and has no other. A jump has one target, a branch two, others none;
//!    only terminators have targets.
//! 3. **Entry.** There is an entry block; it has no parameters, and no jump leads to it. `argument` and `self_closure` are only
//!    in it, `argument_count` too and only in functions entered by call; `argument` names a register of the frame. So is
//!    `assume`, which names each assumption once.
//! 4. **Immediates.** An immediate has the form that the opcode table says, and names what the language and the function have:
//!    kinds, fields, externs, slots, operations, recipe classes (for assumptions of type `raw`). Guest calls need a call protocol; `any_tag` and `any_payload` need pair encoding.
//! 5. **Types.** Operands have the types of the opcode table, or of what the immediate names; a result is there exactly if the
//!    table says so, with the type that it says. Plain accesses name plain fields, element accesses element fields.
//! 6. **Jump arguments.** A jump passes as many values as its target has parameters, of their types.
//! 7. **Dominance** (design 3). An operand is defined before its use on every path. So are the values of frame states, at each
//!    instruction that carries the state: they can be evaluated whether or not the exit is taken. A call's result is not in
//!    its own *after* state.
//! 8. **Stages** [1, 8]. A generic function has no guard, no assumption, no proof, no `call_unit`: nothing that a log could make wrong.
//!    (`deoptimize` is no guess: it marks what the lifter leaves to the interpreter.) A lowerable function has only blocks that
//!    can be reached; its generic operations are lowered to calls of their fallbacks.
//! 9. **States where they are due.** Guards, polls, `deoptimize`, operations and guest calls carry a state in `state`; polls,
//!    operations and guest calls one *before*. Guest calls, and operations and externs that may run guest code, carry a state
//!    *after* in `after`. A `branch` may carry a state, operations and externs an *after* state that they don't need; no
//!    other instruction carries any. Only guards, and `deoptimize`s that were guards, have
//!    a `site` and are `pinned`; assumptions may be `pinned` as well.
//! 10. **Frames** (design 4). Frames form a tree with frame 0 as its root. A state of frame 0 has neither callee nor parent; a state of
//!     an inlined frame has a callee, and its parent is a state of the frame's parent, *after* the call, with no results.
//! 11. **Frame states** (design 4). Registers ascend, lie in the frame, and hold boxed values, as callee and results do; the length of
//!     an open run is an `i64`. Results are only in states *after*; states that calls carry as `after` have none.
//! 12. **Completeness** (design 2). A state maps every register that is live at its resume point (as far as the oracle knows the
//!     unit). Registers from the start of an open run on are in the window already.
//! 13. **Effects** (design 5). No effect lies between a resume point and an instruction that may return to it; see [`effects`] for
//!     what exactly is checked.
//! 14. **Provenance** (design 6). Proofs are guards and assumptions, which dominate what they prove, or branches, whose first way, with no other way
//!     to its target, dominates it. An `unbox` without proof is the lifter's word.
//! 15. **Window.** Window registers lie in the window, a call's with its arguments. `result_count` follows a call with open
//!     results in its block, with no other call between.
//!
//! Rule 7 of the design (a guard is there exactly as long as some fact depends on it) is the dead-code pass's to keep: which
//! guard also stands for "the operation had no other effect" can't be told from the function (but for those that are `pinned`).
//!
//! # Templates ([`verify_template`])
//!
//! 16. **Templates.** The first block's parameters are the operands and the fact's words; all ways end with `return` of the
//!     operation's result (an intrinsic's is `any`). Blocks can be reached and make no loops. No states, frames, slots, proofs,
//!     window registers, polls, operations or guest calls; no externs that may run guest code. Guards are in the first block only,
//!     and none comes after an effect.
//!
//! # Languages ([`verify_language`])
//!
//! 17. **Kinds.** Names differ. Forms fit the encoding; no boxed value is of two kinds. A word kind's pattern lies in its mask,
//!     and its way of unboxing loses no bit of its payload's type.
//! 18. **Layouts.** Names differ; fields are listed by their layout, once; alias classes exist.
//! 19. **Externs.** Names differ; alias classes exist.
//! 20. **Operations.** Names differ; the fallback exists and has the operation's signature. Intrinsics' numbers differ.
//! 21. **Cases.** As many patterns as operands; only `any` operands have kinds; words only with a variant; recipe classes exist,
//!     those of assumptions are of type `raw`.
//! 22. **Recipes.** Names differ; slots hold `raw`, `ref` or `any`.
//! 23. **Calls and barrier.** Kinds, fields, externs and recipe classes exist and have the types that the protocol says.

mod dominance;
pub mod effects;
mod language;
mod states;
mod structure;
mod template;
mod types;

pub use language::verify_language;
pub use template::verify_template;

use crate::analysis::{ControlFlow, Dominators, Positions};
use crate::entity::{Block, Inst, Register, UnitId};
use crate::frame_state::ResumePoint;
use crate::function::{Function, InstData};
use crate::language::Language;
use crate::text::inst_text;
use std::fmt;

/// How far a function has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// As a lifter made it: right for every input, without a guess.
    Generic,
    /// With guesses.
    Specialized,
    /// Ready to be lowered.
    Lowerable,
}

macro_rules! rules {
    ($($name:ident = $number:literal $title:literal;)*) => {
        /// A rule of the list in the module's documentation.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[allow(missing_docs)]
        pub enum Rule { $($name,)* }

        impl Rule {
            /// All rules in the order of the list.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];
            /// Its number in the list.
            pub fn number(self) -> u32 { match self { $(Rule::$name => $number,)* } }
            /// Its name in the list.
            pub fn title(self) -> &'static str { match self { $(Rule::$name => $title,)* } }
        }
    };
}

rules! {
    Structure = 1 "structure";
    Terminators = 2 "terminators";
    Entry = 3 "entry";
    Immediates = 4 "immediates";
    Types = 5 "types";
    JumpArguments = 6 "jump arguments";
    Dominance = 7 "dominance";
    Stages = 8 "stages";
    StatesDue = 9 "states where they are due";
    Frames = 10 "frames";
    States = 11 "frame states";
    Completeness = 12 "completeness";
    Effects = 13 "effects";
    Provenance = 14 "provenance";
    Window = 15 "window";
    Templates = 16 "templates";
    Kinds = 17 "kinds";
    Layouts = 18 "layouts";
    Externs = 19 "externs";
    Operations = 20 "operations";
    Cases = 21 "cases";
    Recipes = 22 "recipes";
    Protocols = 23 "calls and barrier";
}

/// A rule that does not hold somewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The block, if it is in one.
    pub block: Option<Block>,
    /// The text of the instruction, of the frame state, or of the declaration.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} ({})", self.rule.number(), self.rule.title())?;
        if let Some(block) = self.block {
            write!(f, ", {block}")?;
        }
        if !self.place.is_empty() {
            write!(f, ", `{}`", self.place)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Which registers are live at a resume point of a unit; `None` if the unit is not known.
pub type LiveOracle<'a> = &'a dyn Fn(UnitId, ResumePoint) -> Option<Vec<Register>>;

/// All violations of rules 1 to 15 in a function. With an oracle, rule 12 is checked as well.
pub fn verify(
    function: &Function,
    language: &Language,
    stage: Stage,
    live: Option<LiveOracle<'_>>,
) -> Vec<Violation> {
    let mut report = Report { function, language, violations: Vec::new() };
    structure::check(&mut report);
    if !report.violations.is_empty() {
        return report.violations;
    }
    let graph = ControlFlow::new(function);
    structure::check_blocks(&mut report, &graph, stage);
    types::check(&mut report);
    let dominators = Dominators::new(&graph);
    let positions = Positions::new(function);
    dominance::check(&mut report, &graph, &dominators, &positions);
    states::check(&mut report, &graph, stage, live);
    effects::check(&mut report, &graph);
    report.violations
}

/// The text of all violations, a line each.
pub fn violations_text(violations: &[Violation]) -> String {
    violations.iter().map(|violation| format!("{violation}\n")).collect()
}

/// A function under scrutiny and what was found.
struct Report<'a> {
    function: &'a Function,
    language: &'a Language,
    violations: Vec<Violation>,
}

impl<'a> Report<'a> {
    fn add(&mut self, rule: Rule, block: Option<Block>, place: String, message: impl Into<String>) {
        self.violations.push(Violation { rule, block, place, message: message.into() });
    }
    fn at_inst(&mut self, rule: Rule, block: Block, inst: Inst, message: impl Into<String>) {
        self.add(rule, Some(block), inst_text(self.function, self.language, inst), message);
    }
    /// All instructions of the layout with their blocks.
    fn insts(&self) -> impl Iterator<Item = (Block, Inst, &'a InstData)> + use<'a> {
        let function = self.function;
        function.layout.iter().filter_map(|&block| Some((block, function.blocks.get(block)?))).flat_map(
            move |(block, data)| {
                data.insts.iter().filter_map(move |&inst| Some((block, inst, function.insts.get(inst)?)))
            },
        )
    }
}

#[cfg(test)]
mod tests;
