//! For each rule, texts that violate it and nothing else.

use super::*;
use crate::entity::{FieldId, FrameId, Pc, Value};
use crate::function::{Immediate, ValueDef};
use crate::language::{Encoding, Language};
use crate::opcode::Opcode;
use crate::text::{parse_function, parse_functions, parse_language};
use std::collections::BTreeSet;

const LANGUAGE: &str = include_str!("../../tests/sample_language.sir");
const FUNCTIONS: &str = include_str!("../../tests/sample_functions.sir");

fn bind(_: &str) -> Option<u32> {
    Some(2)
}
fn language() -> Language {
    parse_language(LANGUAGE, &bind).unwrap_or_else(|error| panic!("{error}"))
}

/// A function of two registers whose text after the entry's `v0 = argument r0` and a state before @0 is given.
fn function(language: &Language, body: &str) -> Function {
    let text = format!(
        "function \"f\" call registers 2 {{\n slot0 = shape 1 0\n frame1 = unit: 9 parent frame0 window 2 registers 1\n\
         block0:\n v0 = argument r0\n state0 = before @0 {{r0: v0}}\n state1 = after @0 {{r0: v0}}\n{body}\n}}"
    );
    parse_function(&text, language).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn violations(body: &str, stage: Stage) -> Vec<Violation> {
    let language = language();
    let live =
        |unit: UnitId, resume: ResumePoint| (unit.0 == 0 && resume.pc == Pc(7)).then(|| vec![Register(1)]);
    verify(&function(&language, body), &language, stage, Some(&live))
}

#[test]
fn a_loop_may_follow_a_round_of_itself() {
    // The test at the end of the round that was peeled off is gone.
    let round = "v1 = guard_kind table kind v0 [state0]; v2 = rawconst 0; store Table.shape v1, v2";
    let peeled = format!("{round}\njump block1\nblock1: poll [state0]; jump block1");
    assert_eq!(violations(&peeled, Stage::Specialized), []);
    let straight = format!("{round}\njump block1\nblock1: poll [state0]; return");
    assert!(
        violations(&straight, Stage::Specialized).iter().any(|violation| violation.rule == Rule::Effects)
    );
}

#[test]
fn sample_functions_are_right() {
    let language = language();
    for function in parse_functions(FUNCTIONS, &language).unwrap() {
        let found = verify(&function, &language, Stage::Lowerable, None);
        assert!(found.is_empty(), "{}:\n{}", function.name, violations_text(&found));
    }
    let found = verify_language(&language);
    assert!(found.is_empty(), "{}", violations_text(&found));
    let generic = &parse_functions(FUNCTIONS, &language).unwrap()[0];
    assert!(verify(generic, &language, Stage::Generic, None).is_empty());
}

#[test]
fn right_functions_stay_without_violations() {
    for body in RIGHT {
        let found = violations(body, Stage::Lowerable);
        assert!(found.is_empty(), "{body}\n{}", violations_text(&found));
    }
}

const RIGHT: &[&str] = &[
    "return v0",
    // An assumption proves what it dominates, and one that nothing names may be pinned.
    "inst1: assume shape 1 0; assume shape 2 0 pinned; v1 = unbox int v0 by inst1; return",
    // The same guard before each effect; another instruction's resume point after it.
    "v1 = guard_kind table kind v0 [state0]; v2 = rawconst 0; store Table.shape v1, v2\n\
     state2 = before @1 {r0: v0}; v3 = guard_kind int kind v0 [state2]; return v0",
    // The store belongs to @1, whose only mention comes before it: a loop of one instruction is no violation.
    "v1 = unbox table v0; v2 = rawconst 0; jump block1\n\
     block1: state2 = before @1 {r0: v0}; poll [state2]; store Table.shape v1, v2; jump block1",
    // A guess on a call's result goes on after the call.
    "v1 = op \"+\" v0, v0 @0 [state0] after [state1]; state2 = after @0 {r0: v0} results v1\n\
     v3 = guard_kind int result v1 [state2]; return v1",
    "state2 = after @1 {r0: v0}; state3 = frame1 callee v0 before @0 {r0: v0} parent state2\n\
     v1 = guard_kind int kind v0 [state3]; return",
    // Live registers that stand in an open run.
    "v1 = iconst 2; state2 = before @7 {} open r1 v1; poll [state2]; return",
];

/// `(rule, stage, text, a part of the message)`.
const WRONG: &[(Rule, Stage, &str, &str)] = &[
    (Rule::Terminators, Stage::Generic, "v1 = iconst 1", "does not end with a terminator"),
    (Rule::Terminators, Stage::Generic, "return v0; return v0", "in the middle"),
    (Rule::Terminators, Stage::Generic, "return v0\nblock1: jump block2\nblock2:", "empty"),
    (
        Rule::Terminators,
        Stage::Generic,
        "v1 = bconst true; branch v1 -> block1\nblock1: return",
        "1 targets instead of 2",
    ),
    (Rule::Entry, Stage::Generic, "jump block1\nblock1: jump block0", "a jump to the entry"),
    (Rule::Entry, Stage::Generic, "jump block1\nblock1: v1 = argument r1; return", "only the entry block"),
    (Rule::Entry, Stage::Generic, "v1 = argument r2; return", "2 registers"),
    (
        Rule::Entry,
        Stage::Specialized,
        "jump block1\nblock1: assume shape 1 0; return",
        "only the entry block",
    ),
    (
        Rule::Entry,
        Stage::Specialized,
        "assume shape 1 0; assume shape 1 1; assume shape 1 0; return",
        "named twice",
    ),
    (Rule::Immediates, Stage::Specialized, "assume constant 1 0; return", "does not exist"),
    (Rule::Stages, Stage::Generic, "assume shape 1 0; return", "a guess in a generic"),
    (Rule::Types, Stage::Generic, "v1 = iconst 1; v2 = fneg v1; return", "of type i64, not f64"),
    (
        Rule::Types,
        Stage::Generic,
        "v1 = iconst 1; v2: f64 = ineg v1; return",
        "a result of type f64 instead of",
    ),
    (Rule::Types, Stage::Generic, "iconst 1; return", "no result instead of"),
    (Rule::Types, Stage::Generic, "v1 = iconst 1; v2 = ineg v1, v1; return", "2 operands instead of 1"),
    (
        Rule::Types,
        Stage::Generic,
        "v1 = iconst 1; v2 = bconst true; v3 = select v2, v1, v0; return",
        "of type any, not i64",
    ),
    (Rule::Types, Stage::Generic, "v1 = box int; return", "0 operands instead of 1"),
    (Rule::Types, Stage::Generic, "v1 = load Table.shape v0; return", "not ref or raw"),
    (
        Rule::Types,
        Stage::Generic,
        "v1 = unbox table v0; v2 = load Buffer.element v1; return",
        "one of elements",
    ),
    (Rule::Types, Stage::Generic, "v1 = iconst 1; return v1", "of type i64, not any"),
    (Rule::Types, Stage::Generic, "unbox nil v0; return", "have no payload"),
    (
        Rule::Types,
        Stage::Generic,
        "v1 = iconst 1; v2 = op \"+\" v0, v1 @0 [state0] after [state1]; return",
        "of type i64, not any",
    ),
    (
        Rule::Types,
        Stage::Generic,
        "v1 = call_guest v0(open v0) window r0 wants 1 @0 [state0] after [state1]; return",
        "of type any, not i64",
    ),
    (Rule::JumpArguments, Stage::Generic, "jump block1\nblock1(v1: any): return", "1 parameters, 0 values"),
    (
        Rule::JumpArguments,
        Stage::Generic,
        "jump block1(v0)\nblock1(v1: i64): return",
        "of type any is passed for v1 of type i64",
    ),
    (Rule::Dominance, Stage::Generic, "v1 = ineg v2; v2 = iconst 1; return", "operand v2"),
    (
        Rule::Dominance,
        Stage::Generic,
        "v1 = bconst true; branch v1 -> block1, block2\nblock1: v2 = iconst 1; jump block2\nblock2: v3 = ineg v2; return",
        "operand v2",
    ),
    (
        Rule::Dominance,
        Stage::Generic,
        "state2 = before @0 {r0: v1}; poll [state2]; v1 = box nil; return",
        "v1 in state2",
    ),
    (
        Rule::Dominance,
        Stage::Generic,
        "state2 = after @0 {r0: v1}; v1 = op \"+\" v0, v0 @0 [state0] after [state2]; return",
        "v1 in state2",
    ),
    (Rule::Stages, Stage::Generic, "v1 = guard_kind int kind v0 [state0]; return", "a guess"),
    (Rule::Stages, Stage::Lowerable, "return\nblock1: return", "can't be reached"),
    (Rule::StatesDue, Stage::Specialized, "v1 = guard_kind int kind v0; return", "no state"),
    (Rule::StatesDue, Stage::Specialized, "poll [state1]; return", "not one before"),
    (Rule::StatesDue, Stage::Specialized, "v1 = iconst 1 [state0]; return", "never leaves"),
    (Rule::StatesDue, Stage::Specialized, "poll [state0] after [state1]; return", "never leaves with"),
    (Rule::StatesDue, Stage::Specialized, "v1 = op \"+\" v0, v0 @0 [state0]; return", "no state after"),
    (
        Rule::StatesDue,
        Stage::Specialized,
        "v1 = op \"+\" v0, v0 @0 [state0] after [state0]; return",
        "not one after",
    ),
    (Rule::StatesDue, Stage::Specialized, "v1 = call_extern add_slow v0, v0; return", "no state after"),
    (Rule::StatesDue, Stage::Specialized, "poll [state0] site @3; return", "only guards have"),
    (Rule::StatesDue, Stage::Specialized, "poll [state0] pinned; return", "only guards and assumptions"),
    (
        Rule::Frames,
        Stage::Specialized,
        "state2 = callee v0 before @0 {r0: v0}; poll [state2]; return",
        "in its window",
    ),
    (
        Rule::Frames,
        Stage::Specialized,
        "state2 = before @0 {r0: v0} parent state1; poll [state2]; return",
        "no frame is around",
    ),
    (
        Rule::Frames,
        Stage::Specialized,
        "state2 = frame1 callee v0 before @0 {}; poll [state2]; return",
        "is missing",
    ),
    (
        Rule::Frames,
        Stage::Specialized,
        "state2 = frame1 before @0 {} parent state1; poll [state2]; return",
        "needs its callee",
    ),
    (
        Rule::Frames,
        Stage::Specialized,
        "state2 = frame1 callee v0 before @0 {} parent state0; poll [state2]; return",
        "not after it",
    ),
    (
        Rule::Frames,
        Stage::Specialized,
        "state3 = after @0 {} results v0; state2 = frame1 callee v0 before @0 {} parent state3; poll [state2]; return",
        "has results",
    ),
    (
        Rule::States,
        Stage::Specialized,
        "v1 = iconst 1; state2 = before @0 {r0: v1}; poll [state2]; return",
        "not boxed",
    ),
    (
        Rule::States,
        Stage::Specialized,
        "state2 = before @0 {r1: v0, r0: v0}; poll [state2]; return",
        "don't ascend",
    ),
    (
        Rule::States,
        Stage::Specialized,
        "state2 = before @0 {r0: v0, r2: v0}; poll [state2]; return",
        "outside the frame",
    ),
    (
        Rule::States,
        Stage::Specialized,
        "state2 = before @0 {} open r1 v0; poll [state2]; return",
        "of type any",
    ),
    (
        Rule::States,
        Stage::Specialized,
        "state2 = before @0 {} results v0; poll [state2]; return",
        "results in a state before",
    ),
    (
        Rule::States,
        Stage::Specialized,
        "state2 = after @0 {} results v0; v1 = op \"+\" v0, v0 @0 [state0] after [state2]; return",
        "what it gives itself",
    ),
    (
        Rule::Completeness,
        Stage::Specialized,
        "state2 = before @7 {r0: v0}; poll [state2]; return",
        "r1 is live",
    ),
    (
        Rule::Effects,
        Stage::Specialized,
        "v1 = guard_kind table kind v0 [state0]; v2 = rawconst 0; store Table.shape v1, v2\nv3 = guard_kind int kind v0 [state0]; return",
        "between before @0 and here",
    ),
    (
        Rule::Effects,
        Stage::Specialized,
        "v1 = op \"+\" v0, v0 @0 [state0] after [state1]; v2 = guard_kind int kind v1 [state0]; return",
        "between before @0",
    ),
    (
        Rule::Effects,
        Stage::Specialized,
        "v1 = bconst true; v2 = rawconst 0; v3 = guard_kind table kind v0 [state0]; branch v1 -> block1, block2\nblock1: store Table.shape v3, v2; jump block2\nblock2: guard_true condition v1 [state0]; return",
        "between before @0",
    ),
    (
        Rule::Effects,
        Stage::Specialized,
        "v1 = op \"+\" v0, v0 @0 [state0] after [state1]; v2 = unbox table v0; v3 = rawconst 0; store Table.shape v2, v3\nv4 = guard_kind int kind v1 [state1]; return",
        "between after @0",
    ),
    (
        Rule::Provenance,
        Stage::Specialized,
        "inst9: v1 = iconst 1; v2 = unbox int v0 by inst9; return",
        "is neither a guard nor an assumption nor a branch",
    ),
    (
        Rule::Provenance,
        Stage::Specialized,
        "v1 = is_kind int v0; inst9: branch v1 -> block1, block2; block1: jump block2; block2: v2 = unbox int v0 by inst9; return",
        "the first way of the branch inst9",
    ),
    (
        Rule::Provenance,
        Stage::Specialized,
        "v1 = is_kind int v0; inst9: branch v1 -> block1, block2; block1: return; block2: v2 = unbox int v0 by inst9; return",
        "the first way of the branch inst9",
    ),
    (
        Rule::Provenance,
        Stage::Specialized,
        "v2 = unbox int v0 by inst9; inst9: v1 = guard_kind int kind v0 [state0]; return",
        "does not dominate",
    ),
    (Rule::Window, Stage::Specialized, "store_window r3 v0; return", "3 registers"),
    (
        Rule::Window,
        Stage::Specialized,
        "call_guest v0(v0, v0) window r1 wants 0 @0 [state0] after [state1]; return",
        "3 registers",
    ),
    (Rule::Window, Stage::Specialized, "v1 = result_count; return", "none with open results"),
    (
        Rule::Window,
        Stage::Specialized,
        "v2 = unbox table v0; call_guest v0() window r1 wants open @0 [state0] after [state1]; call_extern barrier_slow v2; v1 = result_count; return",
        "none with open results",
    ),
];

#[test]
fn each_rule_finds_what_breaks_it() {
    let mut surprises = String::new();
    for &(rule, stage, body, message) in WRONG {
        let mut found = violations(body, stage);
        found.dedup();
        let is_right = matches!(&found[..], [only] if only.rule == rule && only.message.contains(message));
        if !is_right {
            surprises += &format!("{body}\n  gives {}", violations_text(&found));
        }
    }
    assert!(surprises.is_empty(), "{surprises}");
}

fn break_function(change: impl FnOnce(&mut Function)) -> Vec<Violation> {
    let language = language();
    let mut broken =
        function(&language, "poll [state0]; v1 = iconst 1; jump block1(v1)\nblock1(v2: i64): return");
    change(&mut broken);
    verify(&broken, &language, Stage::Specialized, None)
}

#[test]
fn structure_and_immediates() {
    let is = |found: Vec<Violation>, rule: Rule, message: &str| {
        assert!(
            !found.is_empty() && found.iter().all(|violation| violation.rule == rule),
            "{}",
            violations_text(&found)
        );
        assert!(
            found.iter().any(|violation| violation.message.contains(message)),
            "{}",
            violations_text(&found)
        );
    };
    is(break_function(|function| function.layout.clear()), Rule::Entry, "no entry block");
    is(
        break_function(|function| function.layout.push(Block::from_u32(77))),
        Rule::Structure,
        "does not exist",
    );
    is(break_function(|function| function.layout.push(function.layout[0])), Rule::Structure, "twice");
    is(
        break_function(|function| function.values[Value::from_u32(2)].def = ValueDef::Removed),
        Rule::Structure,
        "defined as",
    );
    is(
        break_function(|function| {
            let inst = function.blocks[Block::from_u32(0)].insts[2];
            function.blocks[Block::from_u32(1)].insts.insert(0, inst);
        }),
        Rule::Structure,
        "two places",
    );
    is(
        break_function(|function| function.insts[Inst::from_u32(2)].result = Some(Value::from_u32(2))),
        Rule::Structure,
        "not recorded",
    );
    is(
        break_function(|function| function.insts[Inst::from_u32(3)].targets[0].args[0] = Value::from_u32(99)),
        Rule::Structure,
        "no definition",
    );
    is(break_function(|function| function.layout.truncate(1)), Rule::Structure, "not in the layout");
    is(
        break_function(|function| {
            let id = function.insts[Inst::from_u32(1)].state.unwrap();
            function.states[id].parent = Some(id);
        }),
        Rule::Structure,
        "longer than",
    );
    is(
        break_function(|function| function.frames[FrameId::from_u32(1)].parent = Some(FrameId::from_u32(1))),
        Rule::Structure,
        "not a frame before",
    );
    is(
        break_function(|function| function.insts[Inst::from_u32(1)].proofs.push(Inst::from_u32(99))),
        Rule::Structure,
        "does not exist",
    );
    is(
        break_function(|function| function.insts[Inst::from_u32(2)].immediate = Immediate::None),
        Rule::Immediates,
        "not Integer",
    );
    is(
        break_function(|function| {
            function.insts[Inst::from_u32(2)].opcode = Opcode::Load;
            function.insts[Inst::from_u32(2)].immediate = Immediate::Field(FieldId::from_u32(99));
        }),
        Rule::Immediates,
        "does not exist",
    );
    is(
        break_function(|function| {
            let param = function.add_param(Block::from_u32(0), crate::types::Type::Any);
            assert_eq!(function.ty(param), crate::types::Type::Any);
        }),
        Rule::Entry,
        "has parameters",
    );
    let plain = Language::new("plain", Encoding::Word);
    let text = "function \"f\" call registers 1 {\nblock0: v0 = argument r0; v1 = any_tag v0\nstate0 = before @0 {}; state1 = after @0 {}\n\
        call_guest v0() window r0 wants 0 @0 [state0] after [state1]; return }";
    let found = verify(&parse_function(text, &plain).unwrap(), &plain, Stage::Generic, None);
    assert_eq!(found.len(), 2);
    is(found, Rule::Immediates, "no pairs");
}

/// `(rule, what is added to the sample language, a part of the message)`.
const WRONG_LANGUAGES: &[(Rule, &str, &str)] = &[
    (Rule::Kinds, "kind late tag 4", "recognizes the same"),
    (Rule::Kinds, "kind late word mask 3 pattern 1", "other encoding"),
    (Rule::Kinds, "kind late tag 99 any", "no boxed value"),
    (Rule::Recipes, "recipe late: i64", "can't hold i64"),
    (Rule::Operations, "operation late(any) -> any = add_slow", "another signature"),
    (Rule::Operations, "intrinsic late = 3", "number 3"),
    (
        Rule::Cases,
        "operation late(any, any) -> any = add_slow { case (int) { v1 = box int v0; return v1 } }",
        "1 patterns for 2",
    ),
    (
        Rule::Cases,
        "operation late(raw, i64, i64) -> any = call_slow { case (int, _, _) { v3 = box nil; return v3 } }",
        "has no kind",
    ),
    (
        Rule::Cases,
        "operation late(any, any) -> any = add_slow { case (_, _) (integer) { return v0 } }",
        "no variant",
    ),
    (
        Rule::Cases,
        "operation late(any, any) -> any = add_slow { case (_, _) observed 1 (assume constant) { return v0 } }",
        "not of type raw",
    ),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (_) { assume shape 1 0; return v0 } }",
        "can't have this instruction",
    ),
    (Rule::Templates, "intrinsic late = 9 { case (int) { return v0 } }", "one value of type any"),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (_) { jump block1; block1: jump block1 } }",
        "a template makes no loops",
    ),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (_) { return v0; block1: return v0 } }",
        "nothing leads to this block",
    ),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (_) { v1 = is_kind nil v0; branch v1 -> block1, block2; block1: guard_true kind v1; return v0; block2: return v0 } }",
        "a guard stands in the first block",
    ),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (table) { v1 = rawconst 0; store Table.shape v0, v1; v2 = bconst true; guard_true shape v2; v3 = box nil; return v3 } }",
        "before any effect",
    ),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (_) { v1 = call_extern add_slow v0, v0; return v1 } }",
        "may run guest code",
    ),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (_) { store_window r0 v0; return v0 } }",
        "can't have this instruction",
    ),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (int) { block0(v0: any): return v0 } }",
        "parameters (any) instead of (i64)",
    ),
    (
        Rule::Templates,
        "intrinsic late = 9 { case (_) { state0 = before @0 {}; v1 = guard_kind int kind v0 [state0]; return v0 } }",
        "come when the case is inlined",
    ),
    (
        Rule::Types,
        "intrinsic late = 9 { case (int) { v1 = fneg v0; v2 = box float v1; return v2 } }",
        "of type i64, not f64",
    ),
    (Rule::Protocols, "barrier Table.shape mask 1 trigger 1 slow barrier_slow", "plain field"),
    (Rule::Protocols, "barrier Header.flags mask 1 trigger 1 slow new_table", "right signature"),
    (
        Rule::Protocols,
        "calls { closure int; unit Closure.unit; entry Unit.entry; generic call_slow; closure_variant 2; unit_recipe unit; native_variant 3; native_recipe native; native native }",
        "`closure` is not a kind",
    ),
];

#[test]
fn each_rule_of_languages_finds_what_breaks_it() {
    for &(rule, addition, message) in WRONG_LANGUAGES {
        let text = format!("{LANGUAGE}\n{addition}");
        let language = parse_language(&text, &bind).unwrap_or_else(|error| panic!("{error}\n{addition}"));
        let found = verify_language(&language);
        assert!(
            found.iter().any(|violation| violation.rule == rule && violation.message.contains(message)),
            "{addition}\n{}",
            violations_text(&found)
        );
    }
    let mut broken = language();
    broken.layouts.values_mut().next().unwrap().fields.clear();
    broken.externs.values_mut().next().unwrap().effects.reads =
        crate::language::Reach::Classes([crate::entity::AliasClass::from_u32(99)].into_iter().collect());
    let rules: BTreeSet<Rule> = verify_language(&broken).iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, BTreeSet::from([Rule::Layouts, Rule::Externs]));
}

#[test]
fn every_rule_has_a_test_that_breaks_it() {
    let by_text = WRONG.iter().map(|wrong| wrong.0).chain(WRONG_LANGUAGES.iter().map(|wrong| wrong.0));
    let in_code = [Rule::Structure, Rule::Immediates, Rule::Layouts, Rule::Externs];
    let tested: BTreeSet<Rule> = by_text.chain(in_code).collect();
    assert_eq!(tested, Rule::ALL.iter().copied().collect());
    let text = include_str!("mod.rs");
    for rule in Rule::ALL {
        let listed = text.lines().any(|line| {
            line.strip_prefix(&format!("//! {}. **", rule.number()))
                .is_some_and(|rest| rest.to_lowercase().starts_with(rule.title()))
        });
        assert!(listed, "rule {} ({}) is not in the list", rule.number(), rule.title());
    }
}

/// Texts in which anything may be wrong: the verifier finds it without a panic.
#[test]
fn damaged_functions_do_not_panic() {
    let language = language();
    let functions: Vec<Function> = parse_functions(FUNCTIONS, &language).unwrap();
    let mut found = 0;
    for seed in 0..3000u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % limit.max(1)
        };
        let mut function = functions[seed as usize % functions.len()].clone();
        for _ in 0..1 + below(4) {
            let inst = Inst::from_u32(below(function.insts.len()) as u32);
            let other = Inst::from_u32(below(function.insts.len()) as u32);
            let value = Value::from_u32(below(function.values.len() + 2) as u32);
            match below(10) {
                0 => function.insts[inst].opcode = Opcode::ALL[below(Opcode::ALL.len())],
                1 => function.insts[inst].args.push(value),
                2 => drop(function.insts[inst].args.pop()),
                3 => function.insts[inst].immediate = function.insts[other].immediate,
                4 => function.insts[inst].state = function.insts[other].state,
                5 => function.insts[inst].after = function.insts[other].state,
                6 => function.insts[inst].result = Some(value),
                7 => function.insts[inst].proofs.push(other),
                8 => function.insts[inst].targets = function.insts[other].targets.clone(),
                _ => {
                    let block = function.layout[below(function.layout.len())];
                    function.blocks[block].insts.rotate_left(1);
                }
            }
        }
        found += usize::from(!verify(&function, &language, Stage::Specialized, None).is_empty());
        let text = crate::text::print_function(&function, &language);
        assert!(!text.is_empty());
    }
    assert!(found > 2000);
}
