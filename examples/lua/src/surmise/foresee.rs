//! Facts that the log has not seen yet: what it would say of a site if the instruction ran now.
//!
//! A preloaded candidate rests on facts of all its sites, also of those that are reached rarely. Of a global's name, or a shape that other sites
//! have seen, the fact can be told without running the instruction: it says what lies where, not what the program does. What is told
//! here is as true as what is logged, and ends as what is logged does: the same claims are made, the same tables flagged.

use smallvec::smallvec;
use surmise::log::Words;
use surmise::plug::Foreseen;

use super::facts::variant;
use super::names::{Names, STAND_IN_FIELDS};
use crate::bytecode::{Op, Prototype};
use crate::heap::Heap;
use crate::metamethod::Event;
use crate::object::{Buffer, FLAG_CLASS_LIKE, LuaString, TABLE_GLOBALS, Table};
use crate::table;
use crate::value::{Tag, Value};

/// How long a chain may be that is followed.
const LONGEST_CHAIN: usize = 16;

/// What a lookup along an `__index` chain leads to.
pub(super) enum Found {
    Nothing,
    Field { holder: *mut Table, slot: u32, value: Value },
}

/// Follows a chain as a lookup does that did not find the key in the receiver itself.
///
/// # Safety
/// The metatable is live and not null, the key is interned.
pub(super) unsafe fn follow(
    heap: &mut Heap,
    mut metatable: *mut Table,
    key: *mut LuaString,
) -> Option<Found> {
    // SAFETY: what a live table leads to is live.
    unsafe {
        for _ in 0..LONGEST_CHAIN {
            (*metatable).header.flags |= FLAG_CLASS_LIKE;
            let index = table::metamethod(heap, metatable, Event::Index);
            if index.is_nil() {
                return Some(Found::Nothing);
            }
            if !index.is(Tag::Table) {
                return None;
            }
            let holder = index.as_table();
            (*holder).header.flags |= FLAG_CLASS_LIKE;
            if (*(*holder).shape).is_dictionary() {
                return None;
            }
            if let Some(slot) = (*(*holder).shape).lookup(key) {
                let value = *Buffer::values((*holder).slots).add(slot as usize);
                if !value.is_nil() {
                    return Some(Found::Field { holder, slot, value });
                }
            }
            metatable = (*holder).metatable;
            if metatable.is_null() {
                return Some(Found::Nothing);
            }
        }
        None
    }
}

/// What can be told of a fact of this variant at a site, of which some words are known.
///
/// # Safety
/// The prototype is alive, and guest code could run.
pub unsafe fn foresee(
    heap: &mut Heap,
    names: &mut Names,
    tables: (*mut Table, *mut Table),
    prototype: *mut Prototype,
    pc: u32,
    expected: u8,
    known: &[Option<u32>],
) -> Foreseen {
    // SAFETY: handed on.
    match unsafe { fact(heap, names, tables, prototype, pc, expected, known) } {
        Some(words) => Foreseen::Holds(words),
        // Something is known of which the field in question is not as expected.
        None if words(expected).is_some() && known.first().is_some_and(Option::is_some) => Foreseen::Never,
        None => Foreseen::Unknown,
    }
}

/// The words of a fact, if it can be told and is the expected one.
///
/// # Safety
/// As for [`foresee`].
unsafe fn fact(
    heap: &mut Heap,
    names: &mut Names,
    (globals, strings): (*mut Table, *mut Table),
    prototype: *mut Prototype,
    pc: u32,
    expected: u8,
    known: &[Option<u32>],
) -> Option<Words> {
    // SAFETY: the function's contract; shapes with names are pinned, objects with names are kept.
    unsafe {
        let first = known.first().copied().flatten();
        if expected == variant::NATIVE {
            // Its number is the function's own, whoever calls it.
            let callee = names.object_by_id(first?).filter(|callee| callee.is(Tag::Native))?;
            return Some(smallvec![first?, (*callee.as_native()).intrinsic]);
        }
        let (code, caches) = (&(*prototype).code, &(*prototype).caches);
        let i = code.get(pc as usize)?;
        let is_store = match i.op {
            Op::GetGlobal | Op::GetUpvalueField | Op::GetField | Op::GetMethod => false,
            Op::SetField | Op::SetGlobal | Op::SetFieldConstant => true,
            _ => return None,
        };
        let key = caches.get(i.d as usize)?.key;
        if !LuaString::is_interned(key) {
            return None;
        }
        if matches!(expected, variant::KEPT_CLOSURE | variant::KEPT_NATIVE | variant::KEPT_TABLE) {
            let object = match first {
                Some(id) => names.object_by_id(id)?,
                None if i.op == Op::GetGlobal => Value::table(globals),
                None => return None,
            };
            return if is_store { None } else { kept(heap, names, object, key, expected) };
        }
        if matches!(expected, variant::BY_TYPE | variant::BY_TYPE_NATIVE) {
            return if is_store { None } else { by_type(heap, names, strings, key, expected) };
        }
        let id = first?;
        let shape = names.shape_by_id(id)?;
        if (*shape).is_dictionary() {
            return None;
        }
        let metatable = (*shape).metatable;
        let slot = (*shape).lookup(key);
        match (expected, slot) {
            (variant::OWN, Some(slot)) if metatable.is_null() => Some(smallvec![id, slot]),
            (variant::OWN_PRESENT, Some(slot)) if !is_store && !metatable.is_null() => {
                Some(smallvec![id, slot])
            }
            (variant::OWN_ABSENT_ABOVE, Some(slot)) if !metatable.is_null() && is_store => {
                (*metatable).header.flags |= FLAG_CLASS_LIKE;
                let is_free = table::metamethod(heap, metatable, Event::NewIndex).is_nil();
                let chains = heap.claims.chains().filter(|_| is_free)?;
                Some(smallvec![id, slot, chains])
            }
            (variant::OWN_ABSENT_ABOVE, Some(slot)) if !metatable.is_null() => {
                let Found::Nothing = follow(heap, metatable, key)? else { return None };
                Some(smallvec![id, slot, heap.claims.key(key)?, heap.claims.chains()?])
            }
            (variant::ABSENT_PLAIN, None) if metatable.is_null() && !is_store => Some(smallvec![id]),
            (variant::INHERITED | variant::INHERITED_CLOSURE | variant::INHERITED_NATIVE, None)
                if !metatable.is_null() && !is_store =>
            {
                let Found::Field { holder, slot, value } = follow(heap, metatable, key)? else { return None };
                inherited(heap, names, id, key, expected, (holder, slot, value))
            }
            _ => None,
        }
    }
}

/// A field that keeps its value.
///
/// # Safety
/// The object and the key are live.
unsafe fn kept(
    heap: &mut Heap,
    names: &mut Names,
    object: Value,
    key: *mut LuaString,
    expected: u8,
) -> Option<Words> {
    if !object.is(Tag::Table) {
        return None;
    }
    let table = object.as_table();
    // SAFETY: the caller's table is live, and has the slot.
    unsafe {
        if (*(*table).shape).is_dictionary() {
            return None;
        }
        let slot = (*(*table).shape).lookup(key)?;
        let value = *Buffer::values((*table).slots).add(slot as usize);
        let is_globals = (*table).header.extra & TABLE_GLOBALS != 0;
        let fits = match expected {
            variant::KEPT_CLOSURE => value.is(Tag::LuaClosure),
            variant::KEPT_NATIVE => value.is(Tag::Native),
            _ => value.is(Tag::Table) && is_globals,
        };
        if !fits || !is_globals && !names.is_known(object) {
            return None;
        }
        let claim = table::claim(heap, table, slot)?;
        Some(smallvec![names.object(object), names.object(value), claim])
    }
}

/// A method of strings, whose metatable is given.
///
/// # Safety
/// The metatable is live or null, and the key is interned.
unsafe fn by_type(
    heap: &mut Heap,
    names: &mut Names,
    strings: *mut Table,
    key: *mut LuaString,
    expected: u8,
) -> Option<Words> {
    if strings.is_null() {
        return None;
    }
    // SAFETY: the function's contract.
    let Found::Field { holder, slot, value } = (unsafe { follow(heap, strings, key)? }) else { return None };
    let (name, chains) = (heap.claims.key(key)?, heap.claims.chains()?);
    match expected {
        variant::BY_TYPE_NATIVE if value.is(Tag::Native) => {
            let claim = table::claim(heap, holder, slot)?;
            Some(smallvec![names.object(value), chains, claim])
        }
        variant::BY_TYPE => Some(smallvec![names.object(Value::table(holder)), slot, name, chains]),
        _ => None,
    }
}

/// A field of another table on the chain.
///
/// # Safety
/// The holder is live and has the slot, the key is interned.
unsafe fn inherited(
    heap: &mut Heap,
    names: &mut Names,
    shape: u32,
    key: *mut LuaString,
    expected: u8,
    (holder, slot, value): (*mut Table, u32, Value),
) -> Option<Words> {
    let (key, chains) = (heap.claims.key(key)?, heap.claims.chains()?);
    let wanted = match expected {
        variant::INHERITED_CLOSURE => Some(Tag::LuaClosure),
        variant::INHERITED_NATIVE => Some(Tag::Native),
        _ => None,
    };
    match wanted {
        Some(tag) if value.is(tag) => {
            let claim = table::claim(heap, holder, slot)?;
            Some(smallvec![shape, names.object(value), key, chains, claim])
        }
        Some(_) => None,
        None => Some(smallvec![shape, names.object(Value::table(holder)), slot, key, chains]),
    }
}

/// What a word of a fact names.
#[derive(Clone, Copy)]
enum Named {
    Shape,
    Object(Tag),
    /// A number that is known, if the fact is of use.
    Integer,
    Claim,
}

/// The words of the facts whose cases begin with a guard: the first word is what that compares.
fn words(fact: u8) -> Option<&'static [Named]> {
    use Named::{Claim, Integer, Object, Shape};
    Some(match fact {
        variant::NATIVE => &[Object(Tag::Native), Integer],
        variant::OWN | variant::OWN_REPLACED | variant::OWN_PRESENT => &[Shape, Integer],
        variant::OWN_ABSENT_ABOVE => &[Shape, Integer, Claim, Claim],
        variant::ABSENT => &[Shape, Claim, Claim],
        variant::ABSENT_PLAIN => &[Shape],
        variant::ADDED => &[Shape, Shape, Integer, Claim],
        variant::ADDED_PLAIN => &[Shape, Shape, Integer],
        variant::KEPT_CLOSURE => &[Object(Tag::Table), Object(Tag::LuaClosure), Claim],
        variant::KEPT_NATIVE => &[Object(Tag::Table), Object(Tag::Native), Claim],
        variant::KEPT_TABLE => &[Object(Tag::Table), Object(Tag::Table), Claim],
        variant::INHERITED => &[Shape, Object(Tag::Table), Integer, Claim, Claim],
        variant::INHERITED_CLOSURE => &[Shape, Object(Tag::LuaClosure), Claim, Claim, Claim],
        variant::INHERITED_NATIVE => &[Shape, Object(Tag::Native), Claim, Claim, Claim],
        _ => return None,
    })
}

/// A fact about shapes and objects that no program has: see `PlugHost::stand_in`.
pub fn stand_in(
    heap: &mut Heap,
    names: &mut Names,
    prototype: *mut Prototype,
    fact: u8,
    known: &[Option<u32>],
    number: usize,
) -> Option<Words> {
    let has_slot = |slot: &Option<u32>| slot.is_some_and(|slot| slot < STAND_IN_FIELDS);
    if known.first()?.is_some() || fact == variant::INHERITED && !known.get(2).is_some_and(has_slot) {
        return None;
    }
    let words = words(fact)?.iter().zip(known).enumerate();
    words
        .map(|(place, (named, known))| {
            known.or_else(|| match *named {
                // There are two shapes or tables in a fact at most.
                Named::Shape => Some(names.stand_in_shape(heap, 2 * number + place)),
                Named::Object(tag) => names.stand_in_object(heap, prototype, tag, 2 * number + place),
                Named::Integer => None,
                Named::Claim => heap.claims.chains(),
            })
        })
        .collect()
}
