//! A walk over everything reachable that checks what must hold at a safepoint. For tests and the stress setting.
//!
//! Checked: every pointer leads to a live object of the kind that its tag or field says; nothing is forwarded or marked; an
//! old object with a young reference is remembered, and behind a clean card there is none; counts fit capacities; tables
//! keep the promises of the module comment of `table`.

use std::collections::HashSet;

use super::{Heap, Roots, card_of};
use crate::object::{
    Buffer, Cell, FLAG_LISTED, FLAG_MARKED, FLAG_OLD, FLAG_REMEMBERED, Header, LuaClosure, LuaString,
    NativeFunction, ObjectKind, Table, Thread, Userdata,
};
use crate::table::HashPart;
use crate::value::{Tag, Value};

/// What a value of a tag must point to.
fn kind_of_tag(tag: u64) -> Option<ObjectKind> {
    const KINDS: [(Tag, ObjectKind); 7] = [
        (Tag::String, ObjectKind::String),
        (Tag::Table, ObjectKind::Table),
        (Tag::LuaClosure, ObjectKind::LuaClosure),
        (Tag::Native, ObjectKind::Native),
        (Tag::Userdata, ObjectKind::Userdata),
        (Tag::Thread, ObjectKind::Thread),
        (Tag::Cell, ObjectKind::Cell),
    ];
    KINDS.iter().find(|(t, _)| *t as u64 == tag).map(|(_, kind)| *kind)
}

struct Verifier<'a> {
    heap: &'a Heap,
    old: HashSet<*mut Header>,
    seen: HashSet<*mut Header>,
    stack: Vec<*mut Header>,
    error: Option<String>,
}

impl Heap {
    /// Checks everything that is reachable.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify_heap(&mut self, roots: &mut dyn Roots) -> Result<(), String> {
        let mut old = HashSet::new();
        self.old.each(&mut |object| {
            old.insert(object);
        });
        let mut found: Vec<Value> = Vec::new();
        collect_roots(self, roots, &mut found);
        let mut verifier = Verifier { heap: self, old, seen: HashSet::new(), stack: Vec::new(), error: None };
        for value in found {
            verifier.value(value, "a root");
        }
        while let Some(object) = verifier.stack.pop() {
            if verifier.error.is_some() {
                break;
            }
            // SAFETY: an object is put on the stack after its address and header were found to be good.
            unsafe { verifier.object(object) };
        }
        verifier.error.map_or(Ok(()), Err)
    }

    pub(super) fn verify_or_stop(&mut self, roots: &mut dyn Roots, when: &str) {
        if let Err(error) = self.verify_heap(roots) {
            panic!("the heap is broken {when}: {error}");
        }
    }
}

/// The roots as values: a visitor in a third mode.
fn collect_roots(heap: &mut Heap, roots: &mut dyn Roots, found: &mut Vec<Value>) {
    let mut visitor = super::Visitor::collecting(heap, found);
    roots.visit(&mut visitor);
    for place in 0..heap.finalizable.len() {
        found.push(value_of(heap.finalizable[place]));
    }
    for place in 0..heap.to_finalize.len() {
        found.push(value_of(heap.to_finalize[place]));
    }
}

/// An object as a value, by its kind.
pub(super) fn value_of(object: *mut Header) -> Value {
    // SAFETY: the caller says that it is an object; a wrong kind is found by the verifier.
    let kind = unsafe { (*object).kind };
    let tag = match kind {
        k if k == ObjectKind::String as u8 => Tag::String,
        k if k == ObjectKind::Table as u8 => Tag::Table,
        k if k == ObjectKind::LuaClosure as u8 => Tag::LuaClosure,
        k if k == ObjectKind::Native as u8 => Tag::Native,
        k if k == ObjectKind::Userdata as u8 => Tag::Userdata,
        k if k == ObjectKind::Thread as u8 => Tag::Thread,
        _ => Tag::Cell,
    };
    Value { tag: tag as u64, payload: object as u64 }
}

impl Verifier<'_> {
    fn fail(&mut self, message: String) {
        self.error.get_or_insert(message);
    }

    fn value(&mut self, value: Value, place: &str) {
        if value.tag > Tag::Cell as u64 {
            return self.fail(format!("{place} has the tag {:#x}", value.tag));
        }
        let canonical = match value.tag {
            t if t == Tag::Nil as u64 => value.payload == 0,
            t if t == Tag::Bool as u64 => value.payload <= 1,
            _ => true,
        };
        if !canonical {
            return self.fail(format!("{place} has tag {} and payload {:#x}", value.tag, value.payload));
        }
        if let Some(kind) = kind_of_tag(value.tag) {
            self.reference(value.payload as *mut Header, kind, place);
        }
    }

    /// Checks address and header, and puts the object on the stack.
    fn reference(&mut self, object: *mut Header, kind: ObjectKind, place: &str) {
        if !self.is_object(object) {
            return self.fail(format!("{place} points to {object:p}, which is no object"));
        }
        // SAFETY: the address is an old object's, or inside the used part of the nursery.
        let (word, header) = unsafe { (*(object as *const u64), &*object) };
        if word & 1 == 0 {
            return self.fail(format!("{place} points to {object:p}, which was moved to {word:#x}"));
        }
        if header.kind != kind as u8 {
            return self.fail(format!("{place} points to {object:p} of kind {}, not {kind:?}", header.kind));
        }
        if header.flags & FLAG_MARKED != 0 {
            return self.fail(format!("{place} points to {object:p}, which is still marked"));
        }
        let is_old = header.flags & FLAG_OLD != 0;
        if is_old == self.heap.is_young(object as u64) {
            return self.fail(format!("{place} points to {object:p}, whose age is not where it lies"));
        }
        if self.seen.insert(object) {
            self.stack.push(object);
        }
    }

    fn is_object(&self, object: *mut Header) -> bool {
        let address = object as u64;
        if address & 7 != 0 {
            return false;
        }
        if self.heap.is_young(address) { address < self.heap.next as u64 } else { self.old.contains(&object) }
    }

    /// A field of an object: checks the value, and that the object is remembered if it has to be.
    fn field(&mut self, owner: *mut Header, value: Value, remembered: bool, place: &str) {
        self.value(value, place);
        // SAFETY: the owner was checked.
        let is_old = unsafe { (*owner).flags & FLAG_OLD != 0 };
        if value.is_heap() && is_old && self.heap.is_young(value.payload) && !remembered {
            self.fail(format!("{place} of {owner:p} is young, but the owner is not remembered"));
        }
    }

    unsafe fn object(&mut self, object: *mut Header) {
        // SAFETY: the caller has checked the object's header.
        unsafe {
            let flags = (*object).flags;
            let remembered = flags & (FLAG_REMEMBERED | FLAG_LISTED) != 0;
            if remembered && !self.heap.remembered.contains(&object) {
                return self.fail(format!("{object:p} has a remembered flag but is not on the list"));
            }
            match (*object).kind {
                k if k == ObjectKind::String as u8 => {
                    let string = object as *mut LuaString;
                    if *LuaString::bytes(string).as_ptr().add((*string).length as usize) != 0 {
                        self.fail(format!("the string {object:p} does not end with a zero"));
                    }
                }
                k if k == ObjectKind::Table as u8 => self.table(object as *mut Table, remembered),
                k if k == ObjectKind::LuaClosure as u8 => {
                    let closure = object as *mut LuaClosure;
                    for place in 0..(*closure).upvalue_count as usize {
                        let value = *LuaClosure::upvalues(closure).add(place);
                        self.field(object, value, remembered, "an upvalue");
                    }
                }
                k if k == ObjectKind::Native as u8 => {
                    let native = object as *mut NativeFunction;
                    for place in 0..(*native).upvalue_count as usize {
                        let value = *NativeFunction::upvalues(native).add(place);
                        self.field(object, value, remembered, "a native's upvalue");
                    }
                }
                k if k == ObjectKind::Cell as u8 => {
                    self.field(object, (*(object as *mut Cell)).value, remembered, "a cell's value");
                }
                k if k == ObjectKind::Userdata as u8 => {
                    let metatable = (*(object as *mut Userdata)).metatable;
                    if !metatable.is_null() {
                        self.field(object, Value::table(metatable), remembered, "a userdata's metatable");
                    }
                }
                k if k == ObjectKind::Thread as u8 => {
                    let mut found = Vec::new();
                    let heap = self.heap as *const Heap as *mut Heap;
                    if let Some(payload) = &mut (*(object as *mut Thread)).payload {
                        payload.visit(&mut super::Visitor::collecting(heap, &mut found));
                    }
                    for value in found {
                        self.field(object, value, remembered, "a coroutine's value");
                    }
                }
                kind => self.fail(format!("{object:p} has kind {kind}, which nothing points to")),
            }
        }
    }

    /// A part of a table: where it lies and how old it is.
    fn part(&mut self, table: *mut Table, part: *mut Header, kind: ObjectKind, place: &str) {
        if !self.is_object(part) {
            return self.fail(format!("{place} of {table:p} is at {part:p}, which is no object"));
        }
        // SAFETY: the address is an object's.
        unsafe {
            if (*part).kind != kind as u8 {
                return self.fail(format!("{place} of {table:p} has kind {}", (*part).kind));
            }
            if (*table).header.flags & FLAG_OLD != 0 && (*part).flags & FLAG_OLD == 0 {
                return self.fail(format!("{place} of {table:p} is young, the table is old"));
            }
        }
        if !self.seen.insert(part) {
            self.fail(format!("{place} of {table:p} belongs to another table too"));
        }
    }

    unsafe fn table(&mut self, table: *mut Table, remembered: bool) {
        let owner = table as *mut Header;
        // SAFETY: the caller has checked the table's header; parts are checked before they are read.
        unsafe {
            let shape = &*(*table).shape;
            if shape.metatable != (*table).metatable {
                return self.fail(format!("{table:p} has another metatable than its shape"));
            }
            if !(*table).metatable.is_null() {
                self.field(owner, Value::table((*table).metatable), remembered, "a metatable");
            }
            if shape.count > (*table).slot_capacity {
                return self.fail(format!("{table:p} has more properties than slots"));
            }
            if !(*table).slots.is_null() {
                self.part(table, (*table).slots as *mut Header, ObjectKind::Buffer, "the slots");
                if self.error.is_some() {
                    return;
                }
                for slot in 0..shape.count {
                    self.reference(shape.key(slot) as *mut Header, ObjectKind::String, "a shape's key");
                    let value = *Buffer::values((*table).slots).add(slot as usize);
                    self.field(owner, value, remembered, "a property");
                }
            }
            let array = (*table).array;
            if !array.is_null() {
                self.part(table, array as *mut Header, ObjectKind::Buffer, "the array part");
                if self.error.is_some() {
                    return;
                }
                let length = (*table).array_length as usize;
                if length > (*array).capacity as usize {
                    return self.fail(format!("{table:p} has more elements than room"));
                }
                let carded = Buffer::is_carded(array);
                if carded && (*table).header.flags & FLAG_REMEMBERED != 0 {
                    self.fail(format!("{table:p} has cards and is remembered as a whole"));
                }
                for place in 0..length {
                    let value = *Buffer::values(array).add(place);
                    let remembered =
                        remembered && (!carded || *Buffer::cards(array).add(card_of(place)) != 0);
                    self.field(owner, value, remembered, "an element");
                }
                if length > 0 && (*Buffer::values(array).add(length - 1)).is_nil() {
                    self.fail(format!("the last element of {table:p} is nil"));
                }
            } else if (*table).array_length != 0 {
                self.fail(format!("{table:p} has elements but no array part"));
            }
            let hash = (*table).hash;
            if !hash.is_null() {
                self.part(table, hash as *mut Header, ObjectKind::HashPart, "the hash part");
                if self.error.is_some() {
                    return;
                }
                for place in 0..(*hash).used as usize {
                    let entry = *HashPart::entries(hash).add(place);
                    self.field(owner, entry.key, remembered, "a key");
                    self.field(owner, entry.value, remembered, "a value");
                    let length = (*table).array_length as u64;
                    let beside = entry.key.payload.wrapping_sub(1);
                    if entry.key.is_int() && (beside < length || beside == length && !entry.value.is_nil()) {
                        self.fail(format!("{table:p} has the key {} in the hash part", entry.key.payload));
                    }
                }
            }
        }
    }
}
