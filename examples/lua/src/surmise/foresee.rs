//! Facts that the log has not seen yet: what it would say of a site if the instruction ran now.
//!
//! A preloaded candidate rests on facts of all its sites, also of those that are reached rarely. Of a global's name, or a shape that other sites
//! have seen, the fact can be told without running the instruction: it says what lies where, not what the program does. What is told
//! here is as true as what is logged, and ends as what is logged does: the same claims are made, the same tables flagged.

use smallvec::smallvec;
use surmise::log::Words;

use super::facts::variant;
use super::names::Names;
use crate::bytecode::{Op, Prototype};
use crate::heap::Heap;
use crate::metamethod::Event;
use crate::object::{Buffer, FLAG_CLASS_LIKE, LuaString, TABLE_GLOBALS, Table};
use crate::table;
use crate::value::{Tag, Value};

/// How long a chain may be that is followed.
const LONGEST_CHAIN: usize = 16;

/// What a lookup along an `__index` chain leads to.
enum Found {
    Nothing,
    Field { holder: *mut Table, slot: u32, value: Value },
}

/// Follows a chain as a lookup does that did not find the key in the receiver itself.
///
/// # Safety
/// The metatable is live and not null, the key is interned.
unsafe fn follow(heap: &mut Heap, mut metatable: *mut Table, key: *mut LuaString) -> Option<Found> {
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

/// The rest of a fact of this variant at a site, of which some words are known; `None` if it can't be told, or would be another.
///
/// # Safety
/// The prototype is alive, and guest code could run.
pub unsafe fn foresee(
    heap: &mut Heap,
    names: &mut Names,
    globals: *mut Table,
    prototype: *mut Prototype,
    pc: u32,
    expected: u8,
    known: &[Option<u32>],
) -> Option<Words> {
    // SAFETY: the function's contract; shapes with names are pinned, objects with names are kept.
    unsafe {
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
        let first = known.first().copied().flatten();
        if matches!(expected, variant::KEPT_CLOSURE | variant::KEPT_NATIVE | variant::KEPT_TABLE) {
            let object = match first {
                Some(id) => names.object_by_id(id)?,
                None if i.op == Op::GetGlobal => Value::table(globals),
                None => return None,
            };
            return if is_store { None } else { kept(heap, names, object, key, expected) };
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
