//! The language *mini* and its world: what its externs do.

use super::objects::Objects;
use crate::entity::Pc;
use crate::evaluate::model::{Memory, ModelHost};
use crate::evaluate::{Boxed, Datum, GuestCall, Stop, boxing};
use crate::language::Language;
use crate::semantics::floor_div;
use crate::text::parse_language;
use std::cell::RefCell;
use std::rc::Rc;

/// The language of random programs.
pub fn language() -> Language {
    parse_language(include_str!("mini.sir"), &|_| None).unwrap_or_else(|error| panic!("mini.sir: {error}"))
}

pub(super) const NIL: Boxed = [0, 0];
const BOOL: u64 = 1;
const INT: u64 = 2;
const FLOAT: u64 = 3;
pub(super) const CELL: u64 = 4;
pub(super) const FUNCTION: u64 = 5;
pub(super) const LIST: u64 = 6;

pub(super) fn boolean(value: bool) -> Boxed {
    [BOOL, value.into()]
}
pub(super) fn int(value: i64) -> Boxed {
    [INT, value as u64]
}
pub(super) fn float(value: f64) -> Boxed {
    [FLOAT, value.to_bits()]
}

/// What a program did that can be seen from outside, in words.
pub type Observations = Rc<RefCell<Vec<String>>>;

/// The world that a program runs in.
pub struct World<'l> {
    /// Objects, windows and externs, for the evaluator.
    pub host: ModelHost<'l>,
    /// What was seen.
    pub observations: Observations,
    /// What the interpreter did, if it is to be kept: what a host's type log is made from.
    pub log: Option<Vec<Logged>>,
}

/// One operation that the interpreter did.
#[derive(Clone, PartialEq, Debug)]
pub struct Logged {
    /// The bytecode instruction.
    pub pc: Pc,
    /// Its operands (a call's arguments).
    pub operands: Vec<Boxed>,
    /// Its result.
    pub result: Option<Datum>,
}

/// A fresh world with these arguments in the window.
pub fn world<'l>(language: &'l Language, args: &[Boxed]) -> World<'l> {
    let observations = Observations::default();
    let mut host = ModelHost::new(language, args);
    for function in language.externs.values() {
        let (seen, name) = (observations.clone(), &function.name);
        let function =
            move |memory: &mut Memory, args: &[Datum]| extern_(language, name, memory, &seen, args);
        host.externs.insert(name.clone(), Box::new(function));
    }
    let seen = observations.clone();
    host.guest = Some(Box::new(move |memory: &mut Memory, call: &GuestCall| {
        Ok(vec![guest(language, &*memory, &seen, &call.args)])
    }));
    World { host, observations, log: None }
}

/// A value in words, objects with what they hold, no addresses.
pub fn describe(language: &Language, objects: &impl Objects, value: Boxed) -> String {
    describe_to(language, objects, value, 4)
}

fn describe_to(language: &Language, objects: &impl Objects, value: Boxed, depth: u32) -> String {
    let Some(deeper) = depth.checked_sub(1) else { return "…".to_owned() };
    match value {
        [CELL, address] => {
            let contents = objects.contents(language, address).unwrap_or(NIL);
            format!("cell of {}", describe_to(language, objects, contents, deeper))
        }
        [LIST, address] => {
            let Some((shape, elements)) = objects.list(language, address) else {
                return "no list".to_owned();
            };
            let elements: Vec<String> =
                elements.iter().map(|&element| describe_to(language, objects, element, deeper)).collect();
            format!("list {shape} [{}]", elements.join(", "))
        }
        [FUNCTION, address] => match objects.function(language, address) {
            Some(number) => format!("function {number}"),
            None => "no function".to_owned(),
        },
        [INT, bits] => (bits as i64).to_string(),
        // The bits of a NaN are no promise.
        [FLOAT, bits] => format!("{:?}", f64::from_bits(bits)),
        [BOOL, bits] => (bits == 1).to_string(),
        [0, _] => "nil".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What a guest function answers: something that depends on its arguments, of a kind that varies.
pub fn guest(language: &Language, memory: &impl Objects, seen: &Observations, args: &[Boxed]) -> Boxed {
    let text: Vec<String> = args.iter().map(|&arg| describe(language, memory, arg)).collect();
    let hash = text
        .iter()
        .flat_map(|text| text.bytes())
        .fold(7u64, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte));
    seen.borrow_mut().push(format!("call ({})", text.join(", ")));
    match hash % 8 {
        0 => NIL,
        1 => boolean(hash & 16 != 0),
        2 => float((hash % 100) as f64 / 2.0),
        3 => args.first().copied().unwrap_or(NIL),
        _ => int((hash % 50) as i64),
    }
}

/// What an extern does, on the objects of any world. (What changes the world itself, `change` and `remember`, is the world's
/// own to do.)
///
/// # Errors
/// The language's one error, and faults for operands that it does not have.
pub fn extern_(
    language: &Language,
    name: &str,
    objects: &mut impl Objects,
    seen: &Observations,
    args: &[Datum],
) -> Result<Option<Datum>, Stop> {
    let boxed: Vec<Boxed> = args.iter().filter_map(|arg| arg.boxed()).collect();
    let any = |value: Boxed| Ok(Some(Datum::Any(value)));
    match (name, &boxed[..]) {
        ("slow_truthy", &[value]) => Ok(Some(Datum::I1(value != NIL && value != boolean(false)))),
        ("slow_less", &[[INT, a], [INT, b]]) => Ok(Some(Datum::I1((a as i64) < b as i64))),
        ("slow_less", &[a, b]) => match (number(a), number(b)) {
            (Some(a), Some(b)) => Ok(Some(Datum::I1(a < b))),
            _ => Ok(Some(Datum::I1(a[0] < b[0]))),
        },
        ("slow_get", &[[CELL, address]]) => any(objects.contents(language, address).unwrap_or(NIL)),
        ("slow_get", &[_]) => any(NIL),
        ("slow_set", &[[CELL, address], value]) => {
            objects.set_contents(language, address, value);
            Ok(None)
        }
        // The one error of the language.
        ("slow_set", _) => {
            seen.borrow_mut().push("error".to_owned());
            Err(Stop::Throw)
        }
        ("new_cell", &[value]) => Ok(Some(Datum::Ref(objects.new_cell(language, value)))),
        ("observe", &[value]) => {
            let text = describe(language, objects, value);
            seen.borrow_mut().push(text);
            Ok(None)
        }
        ("remember" | "change", _) => Ok(None),
        (_, &[a, b]) => any(arithmetic(name, a, b)),
        _ => Err(Stop::fault(format!("{name} can't be called with {args:?}"))),
    }
}

fn number(value: Boxed) -> Option<f64> {
    match value {
        [INT, bits] => Some(bits as i64 as f64),
        [FLOAT, bits] => Some(f64::from_bits(bits)),
        _ => None,
    }
}

/// Arithmetic is total: what has no sum is nil.
fn arithmetic(name: &str, a: Boxed, b: Boxed) -> Boxed {
    if let ([INT, a], [INT, b]) = (a, b) {
        let (a, b) = (a as i64, b as i64);
        return match name {
            "slow_add" => int(a.wrapping_add(b)),
            "slow_sub" => int(a.wrapping_sub(b)),
            "slow_mul" => int(a.wrapping_mul(b)),
            _ => floor_div(a, b).map_or(NIL, int),
        };
    }
    match (number(a), number(b)) {
        (Some(a), Some(b)) => float(match name {
            "slow_add" => a + b,
            "slow_sub" => a - b,
            "slow_mul" => a * b,
            _ => (a / b).floor(),
        }),
        _ => NIL,
    }
}

/// Whether a value is one of the language.
pub(super) fn is_value(language: &Language, value: Boxed) -> bool {
    boxing::kind_of(language, value).is_some()
}
