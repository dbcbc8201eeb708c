//! Round trips, error messages, and mutated texts.

use super::*;
use crate::entity::*;
use crate::frame_state::*;
use crate::function::*;
use crate::opcode::Opcode;
use crate::types::Type;

const LANGUAGE: &str = include_str!("../../tests/sample_language.sir");
const FUNCTIONS: &str = include_str!("../../tests/sample_functions.sir");

fn bind(name: &str) -> Option<u32> {
    match name {
        "Table.shape" => Some(16),
        "Tag.int" => Some(2),
        _ => None,
    }
}

fn language() -> Language {
    parse_language(LANGUAGE, &bind).unwrap_or_else(|error| panic!("sample_language.sir: {error}"))
}

#[test]
fn a_language_round_trips() {
    let first = language();
    let text = print_language(&first);
    let second = parse_language(&text, &|_| None).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(print_language(&second), text);
    assert_eq!(first, second);
    assert_eq!(first.kinds[first.kind("int").unwrap()].form, crate::language::KindForm::Tag(2));
    assert_eq!(first.fields[first.field("Table.shape").unwrap()].offset, 16);
}

#[test]
fn functions_round_trip() {
    let language = language();
    let functions =
        parse_functions(FUNCTIONS, &language).unwrap_or_else(|error| panic!("sample_functions.sir: {error}"));
    assert!(functions.len() >= 3);
    assert!(functions.iter().any(|function| function.premises.len() == 2));
    for function in functions {
        let text = print_function(&function, &language);
        let again = parse_function(&text, &language).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(print_function(&again, &language), text);
        assert_eq!(again.compacted(), function.compacted());
        let compact = function.compacted();
        let text = print_function(&compact, &language);
        assert_eq!(compact, parse_function(&text, &language).unwrap());
        assert_eq!(compact.compacted(), compact);
    }
}

#[test]
fn dropped_entities_keep_the_numbers_of_the_rest() {
    let language = language();
    let mut function = Function::new("gaps \"quoted\"\n", UnitId(7), Entry::Loop(Pc(3)), 2);
    let block = function.add_block();
    let dropped = function.add_block();
    function.layout.pop();
    let param = function.add_param(dropped, Type::Any);
    function.values[param].def = ValueDef::Removed;
    let state = FrameState {
        frame: FrameId::from_u32(0),
        resume: ResumePoint::before(Pc(3)),
        callee: None,
        registers: vec![],
        results: Default::default(),
        open: None,
        parent: None,
    };
    function.states.push(state.clone());
    let state = function.states.push(state);
    let v1 = function.append(
        block,
        InstData::new(Opcode::Fconst, &[], Immediate::Float(f64::NAN.to_bits() | 1)),
        Some(Type::F64),
    );
    let mut poll = InstData::new(Opcode::Poll, &[], Immediate::None);
    poll.state = Some(state);
    poll.proofs.push(v1);
    function.append(block, poll, None);
    function.append(block, InstData::new(Opcode::Unreachable, &[], Immediate::None), None);
    let text = print_function(&function, &language);
    assert_eq!(
        text,
        "function \"gaps \\\"quoted\\\"\\u{a}\" unit:0000000000000007 loop @3 registers 2 {\nblock0:\n  \
         inst0: v1 = fconst nan:0x7ff8000000000001\n  state1 = before @3 {}\n  poll [state1] by inst0\n  unreachable\n}\n"
    );
    let again = parse_function(&text, &language).unwrap();
    assert_eq!(print_function(&again, &language), text);
    assert_eq!(again.compacted(), function.compacted());
    assert_eq!(function.compacted().states.len(), 1);
}

#[test]
fn errors_say_where_what_and_what_would_be_right() {
    let language = language();
    let in_block =
        |line: &str| format!("function \"f\" call registers 2 {{\nblock0:\n  {line}\n  unreachable\n}}\n");
    let cases = [
        ("v0 = iconst x", "3:15: found `x`, expected an integer of 64 bits"),
        (
            "v0 = iconst 0x1ffffffffffffffff",
            "3:15: found `0x1ffffffffffffffff`, expected an integer of 64 bits",
        ),
        ("v0 = frobnicate", "3:8: found `frobnicate`, expected an instruction"),
        ("v0 = iadd v1, v1", "3:13: found `v1`, which nothing defines, expected a value with a definition"),
        ("jump block7", "3:8: found `block7`, which has no header, expected a block of this function"),
        ("v0 = box nothing v1", "3:12: found `nothing`, expected a kind of the language"),
        (
            "poll [state4]",
            "3:9: found `state4`, which nothing defines, expected a frame state with a definition",
        ),
        ("poll by inst3", "3:11: found `inst3`, expected an instruction with the label `inst3:`"),
        ("v9999999 = iconst 1", "3:3: found `v9999999`, expected a number below 65"),
        (
            "v0 = poll",
            "3:3: found a result, `v0`, of an instruction that gives none, expected an instruction with a result",
        ),
        ("v0 = load Table.nothing v0", "3:19: found `nothing`, expected a field of `Table`"),
        ("return 5", "3:10: found `5`, expected the end of the line"),
        ("store_window r70000 v0", "3:16: found `r70000`, expected a register's number below 65536"),
        (
            "state0 = before @1 {} parent state0",
            "3:32: found `state0`, expected a frame state that is defined above",
        ),
        ("v0 = fconst 1.5.5", "3:15: found `1.5.5`, expected a float"),
        ("v0 = slot slot0", "3:13: found `slot0`, expected a slot that is defined above"),
        ("v0 = iconst \"", "3:15: found a quoted text without an end, expected a closing `\"`"),
        ("v0 = iconst 1 # note", "3:17: found the character '#', expected a name, a number"),
        (
            "v0 = iconst 1; v0 = iconst 2",
            "3:18: found `v0`, which is defined already, expected a value's only definition",
        ),
    ];
    for (line, message) in cases {
        let error = parse_function(&in_block(line), &language).expect_err(line).to_string();
        assert!(error.starts_with(message), "{line}\n  gives {error}\n  not   {message}");
    }
    let error = parse_language("language x pair\nkind int tag @Tag.none i64", &bind).unwrap_err().to_string();
    assert!(error.starts_with("2:14: found `@Tag.none`") && error.contains("not bound"), "{error}");
    let error =
        parse_language("language x pair\nkind int tag 1\nkind int tag 2", &bind).unwrap_err().to_string();
    assert!(error.starts_with("3:6: found `int`, which is declared already"), "{error}");
}

/// A small generator of numbers: enough to damage texts in the same way each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

fn damaged(text: &str, numbers: &mut Numbers) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    const INSERTED: &[char] = &[
        '{', '}', '(', ')', '[', ']', ',', ':', ';', '.', '"', '@', '-', '>', '=', '0', '9', 'x', 'v', '\\',
        '\n', 'é', '\u{0}',
    ];
    for _ in 0..1 + numbers.below(4) {
        let (at, other) = (numbers.below(chars.len()), numbers.below(chars.len()));
        match numbers.below(12) {
            0 => drop(chars.remove(at)),
            1 => chars.insert(at, INSERTED[numbers.below(INSERTED.len())]),
            2 => chars.swap(at, other),
            3 => chars[at] = INSERTED[numbers.below(INSERTED.len())],
            4 => chars.truncate(at.max(20)),
            5..=9 => {
                // Another digit is often another function that is right.
                if let Some(digit) = chars[at..].iter().position(char::is_ascii_digit) {
                    chars[at + digit] = ['0', '1', '2', '3'][numbers.below(4)];
                }
            }
            _ => {
                let piece: Vec<char> = chars[at..].iter().take(1 + numbers.below(30)).copied().collect();
                chars.splice(other..other, piece);
            }
        }
    }
    chars.into_iter().collect()
}

#[test]
fn damaged_texts_are_errors_or_round_trip() {
    let language = language();
    let functions: Vec<_> = parse_functions(FUNCTIONS, &language)
        .unwrap()
        .iter()
        .map(|function| print_function(function, &language))
        .collect();
    let (mut good, mut bad) = (0, 0);
    for seed in 0..4000 {
        let mut numbers = Numbers(seed);
        let text = damaged(&functions[seed as usize % functions.len()], &mut numbers);
        match parse_function(&text, &language) {
            Ok(function) => {
                good += 1;
                let text = print_function(&function, &language);
                let again = parse_function(&text, &language)
                    .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
                assert_eq!(print_function(&again, &language), text, "seed {seed}");
                assert_eq!(again.compacted(), function.compacted(), "seed {seed}");
            }
            Err(error) => {
                bad += 1;
                assert!(!error.expected.is_empty() && error.line > 0 && error.column > 0);
            }
        }
        if seed % 4 == 0
            && let Ok(damaged) = parse_language(&damaged(LANGUAGE, &mut numbers), &bind)
        {
            let text = print_language(&damaged);
            let again = parse_language(&text, &|_| None)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
            assert_eq!(print_language(&again), text, "seed {seed}");
        }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}
