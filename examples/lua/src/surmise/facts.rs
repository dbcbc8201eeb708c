//! The type log of the interpreter: what an instruction is about to do, and what the one before it gave.
//!
//! While a unit is being logged the run loop calls [`log_instruction`] before each of its instructions. Operands, arguments and
//! facts about tables are taken from the registers then; results are taken from the destination register when the next
//! instruction of the frame comes up. Everything is out of line, and none of it runs when nothing is logged.

use surmise::ir::entity::Pc;
use surmise::ir::function::Entry;
use surmise::log::UnitIndex;

use super::Connection;
use super::foresee::{Found, follow};
use super::lifter::Snapshot;
use crate::bytecode::{Instruction, Op, Prototype};
use crate::cache::{self, CACHE_EVENT_KEY, CacheKind, FieldCache};
use crate::lib::coroutine::INTRINSIC_YIELD;
use crate::metamethod::Event;
use crate::object::{Buffer, FLAG_CLASS_LIKE, FLAG_KEPT_FIELDS, LuaString, TABLE_GLOBALS, Table};
use crate::shape::Shape;
use crate::stack::Frame;
use crate::state::State;
use crate::table;
use crate::value::{Tag, Value};

/// Fact variants; `language.sir` says what they mean.
pub mod variant {
    #![allow(missing_docs, reason = "language.sir lists them")]
    pub const CLOSURE: u8 = 0;
    pub const NATIVE: u8 = 1;
    pub const OWN: u8 = 2;
    pub const INHERITED: u8 = 3;
    pub const ADDED: u8 = 4;
    pub const ELEMENT_PRESENT: u8 = 5;
    pub const OWN_ABSENT_ABOVE: u8 = 6;
    pub const APPEND: u8 = 7;
    pub const NEXT: u8 = 8;
    pub const BY_TYPE: u8 = 9;
    pub const OWN_REPLACED: u8 = 10;
    pub const ABSENT: u8 = 11;
    pub const OWN_PRESENT: u8 = 12;
    pub const ELEMENT_PLAIN: u8 = 13;
    pub const ADDED_PLAIN: u8 = 14;
    pub const ELEMENT_STORED: u8 = 15;
    pub const ABSENT_PLAIN: u8 = 16;
    pub const WITHOUT_EQUAL: u8 = 17;
    pub const KEPT_CLOSURE: u8 = 20;
    pub const KEPT_NATIVE: u8 = 21;
    pub const KEPT_TABLE: u8 = 22;
    pub const INHERITED_CLOSURE: u8 = 23;
    pub const INHERITED_NATIVE: u8 = 24;
    pub const BY_TYPE_NATIVE: u8 = 25;
    /// Something that no case is for.
    pub const OTHER: u8 = 99;
}

/// What is to be logged when the instruction has run.
#[derive(Clone, Copy, Default)]
pub struct Pending {
    frame: usize,
    pc: u32,
    unit: u32,
    /// The register of the result, if it is worth logging.
    result: Option<u8>,
    /// A store that added a field: the shape before.
    added: Option<(u32, usize)>,
}

impl Pending {
    /// Nothing is to be logged.
    #[inline(always)]
    pub fn forget(&mut self) {
        if self.frame != 0 {
            *self = Pending::default();
        }
    }
}

/// Logs the instruction that is about to run in the current frame.
///
/// # Safety
/// `pc` points to an instruction of `prototype`, whose frame is the current one with its registers at `base`.
#[cold]
#[inline(never)]
pub unsafe fn log_instruction(
    state: &mut State,
    pc: *const Instruction,
    base: *mut Value,
    prototype: *mut Prototype,
) {
    let Some(mut connection) = state.surmise.take() else { return };
    // SAFETY: the function's contract; the connection is put back below.
    unsafe {
        let unit = UnitIndex((*prototype).unit.index);
        let index = pc.offset_from((*prototype).code.as_ptr()) as u32;
        let mut logger =
            Logger { heap: &mut state.heap, connection: &mut connection, unit, pc: index, base, prototype };
        let goes_round = logger.finish(state.runloop.frame, index);
        if index == 0 {
            logger.enter();
        }
        let snapshot = logger.connection.snapshots[unit.0 as usize].clone();
        if goes_round && snapshot.headers.contains(&index) {
            logger.round(&snapshot);
        }
        logger.instruction(
            *pc,
            state.runloop.frame,
            state.type_metatables[Tag::String as usize],
            state.runloop.open_top,
        );
    }
    state.surmise = Some(connection);
}

struct Logger<'a> {
    heap: &'a mut crate::heap::Heap,
    connection: &'a mut Connection,
    unit: UnitIndex,
    pc: u32,
    base: *mut Value,
    prototype: *mut Prototype,
}

impl Logger<'_> {
    unsafe fn value(&self, register: u8) -> Value {
        // SAFETY: registers named by an instruction lie in the window.
        unsafe { self.base.add(register as usize).read() }
    }
    unsafe fn kind(&self, register: u8) -> u8 {
        // SAFETY: as above.
        unsafe { self.value(register) }.tag as u8
    }
    fn fact(&mut self, variant: u8, words: &[u32]) {
        self.connection.plug.log.fact(self.unit, self.pc, variant, words);
    }
    fn operands(&mut self, first: u8, second: u8) {
        self.connection.plug.log.operands(self.unit, self.pc, first, second);
    }

    /// What the instruction before gave. Returns whether it may have been the end of a round: a loop's variables often are of
    /// other kinds when the loop begins, and the profile is about its rounds.
    unsafe fn finish(&mut self, frame: *mut Frame, index: u32) -> bool {
        let pending = std::mem::take(&mut self.connection.pending);
        let is_same_frame = pending.frame == frame as usize && pending.unit == self.unit.0;
        // SAFETY: the registers are this frame's; a call's results have arrived when the instruction behind it comes up.
        unsafe {
            if is_same_frame && pending.pc + 1 == index {
                if let Some(register) = pending.result {
                    let kind = self.kind(register);
                    self.connection.plug.log.result(self.unit, pending.pc, kind);
                }
                if let Some((cache, shape)) = pending.added {
                    self.added(pending.pc, cache, shape);
                }
            } else if index > 0 {
                let before = (&(*self.prototype).code)[index as usize - 1];
                if before.op == Op::Call && before.c == 2 && pending.frame > frame as usize {
                    let kind = self.kind(before.a);
                    self.connection.plug.log.result(self.unit, index - 1, kind);
                }
            }
        }
        !is_same_frame || pending.pc >= index
    }

    unsafe fn added(&mut self, pc: u32, cache: u32, shape: usize) {
        // SAFETY: caches live as long as their prototype.
        let cache = unsafe { &(&(*self.prototype).caches)[cache as usize] };
        // One from before the last change of a class says nothing of what happened now.
        let is_current = cache.kind == CacheKind::AddPlain || cache.epoch == self.heap.class_epoch;
        let words = match cache.kind {
            CacheKind::Add | CacheKind::AddPlain if cache.through as usize == shape && is_current => {
                let (from, to) = (self.shape(cache.through), self.shape(cache.new_shape));
                Some([from, to, cache.slot])
            }
            _ => None,
        };
        let log = &mut self.connection.plug.log;
        match (words, cache.kind) {
            (Some(words), CacheKind::AddPlain) => log.fact(self.unit, pc, variant::ADDED_PLAIN, &words),
            (Some([from, to, slot]), _) if let Some(chains) = self.heap.claims.chains() => {
                log.fact(self.unit, pc, variant::ADDED, &[from, to, slot, chains]);
            }
            _ => log.fact(self.unit, pc, variant::OTHER, &[]),
        }
    }

    fn shape(&mut self, shape: *mut Shape) -> u32 {
        self.connection.names.shape(shape)
    }

    unsafe fn enter(&mut self) {
        self.connection.plug.log.enter(self.unit);
        // SAFETY: parameters are the first registers.
        unsafe {
            for register in 0..(*self.prototype).parameter_count {
                let kind = self.kind(register);
                self.connection.plug.log.register_kind(self.unit, 0, register.into(), kind);
            }
            if self.connection.plug.log.snapshots.begin(self.unit, Entry::Call) {
                (0..(*self.prototype).parameter_count).for_each(|register| self.take_down(register));
            }
        }
    }

    /// Adds a register to the snapshot that has been begun.
    unsafe fn take_down(&mut self, register: u8) {
        // SAFETY: the callers' registers lie in the window.
        let value = unsafe { self.value(register) };
        self.connection.plug.log.snapshots.add(register.into(), value.tag as u8, value.payload);
    }

    /// A round of the loop whose header this is.
    unsafe fn round(&mut self, snapshot: &Snapshot) {
        self.connection.plug.log.loop_(self.unit, self.pc);
        for register in snapshot.live().before(Pc(self.pc)) {
            // SAFETY: live registers lie in the window.
            let kind = unsafe { self.kind(register.0 as u8) };
            self.connection.plug.log.register_kind(self.unit, self.pc, register.0, kind);
        }
        if self.connection.plug.log.snapshots.begin(self.unit, Entry::Loop(Pc(self.pc))) {
            for register in snapshot.live().before(Pc(self.pc)) {
                // SAFETY: as above.
                unsafe { self.take_down(register.0 as u8) };
            }
        }
    }

    unsafe fn instruction(
        &mut self,
        i: Instruction,
        frame: *mut Frame,
        strings: *mut Table,
        open_top: *mut Value,
    ) {
        use Op::*;
        let mut result = None;
        let mut added = None;
        // SAFETY: as in `log_instruction`.
        unsafe {
            match i.op {
                Add | Sub | Mul | Div | Mod | Pow | FloorDiv | BitAnd | BitOr | BitXor | ShiftLeft
                | ShiftRight => {
                    let (left, right) = (self.kind(i.b), self.kind(i.c));
                    self.operands(left, right);
                    result = Some(i.a);
                }
                AddConstant | SubConstant | MulConstant | DivConstant | ModConstant | FloorDivConstant
                | PowConstant | BitAndConstant | BitOrConstant | BitXorConstant => {
                    let constant = (&(*self.prototype).constants)[i.d as usize].tag as u8;
                    let value = self.kind(i.b);
                    if i.c != 0 {
                        self.operands(constant, value)
                    } else {
                        self.operands(value, constant)
                    }
                    result = Some(i.a);
                }
                AddInt | SubInt | ShiftLeftInt | ShiftRightInt => {
                    let value = self.kind(i.b);
                    if i.op == AddInt && i.c != 0 {
                        self.operands(Tag::Int as u8, value);
                    } else {
                        self.operands(value, Tag::Int as u8);
                    }
                    result = Some(i.a);
                }
                Negate | BitNot | Length => {
                    let kind = self.kind(i.b);
                    self.connection.plug.log.operand(self.unit, self.pc, kind);
                    if i.op == Length && kind == Tag::Table as u8 {
                        let plain = (*self.value(i.b).as_table()).metatable.is_null();
                        self.fact(if plain { variant::ELEMENT_PLAIN } else { variant::OTHER }, &[]);
                    }
                    result = Some(i.a);
                }
                Concat => {
                    if i.c == 2 {
                        let (left, right) = (self.kind(i.b), self.kind(i.b + 1));
                        self.operands(left, right);
                    }
                    result = Some(i.a);
                }
                Equal => self.equal(self.value(i.a), self.value(i.b)),
                Less | LessEqual => {
                    let (left, right) = (self.kind(i.a), self.kind(i.b));
                    self.operands(left, right);
                }
                EqualConstant => {
                    let right = (&(*self.prototype).constants)[i.b as usize].tag as u8;
                    let left = self.kind(i.a);
                    self.operands(left, right);
                }
                EqualInt | LessInt | LessEqualInt => {
                    let left = self.kind(i.a);
                    self.operands(left, constant_kind(i));
                }
                GreaterInt | GreaterEqualInt => {
                    let right = self.kind(i.a);
                    self.operands(constant_kind(i), right);
                }
                GetUpvalue | GetUpvalueCell | GetCell => result = Some(i.a),
                GetGlobal | GetUpvalueField => {
                    let table = *LuaUpvalues::of(self.base).add(i.b as usize);
                    self.get_field(table, i.d as u32, strings);
                    result = Some(i.a);
                }
                GetField | GetMethod => {
                    self.get_field(self.value(i.b), i.d as u32, strings);
                    result = Some(i.a);
                }
                SetGlobal => {
                    let table = *LuaUpvalues::of(self.base).add(i.b as usize);
                    added = self.set_field(table, i.d as u32, self.value(i.a));
                }
                SetField => added = self.set_field(self.value(i.a), i.d as u32, self.value(i.b)),
                SetFieldConstant => {
                    let constant = (&(*self.prototype).constants)[i.b as usize + 256 * i.c as usize];
                    added = self.set_field(self.value(i.a), i.d as u32, constant);
                }
                GetIndex => {
                    self.get_index(self.value(i.b), self.value(i.c));
                    result = Some(i.a);
                }
                GetInt => {
                    self.get_index(self.value(i.b), Value::int(i.d.into()));
                    result = Some(i.a);
                }
                SetIndex => self.set_index(self.value(i.a), self.value(i.b), self.value(i.c)),
                SetIndexConstant => {
                    let constant = (&(*self.prototype).constants)[i.d as usize];
                    self.set_index(self.value(i.a), self.value(i.b), constant);
                }
                SetInt => self.set_index(self.value(i.a), Value::int(i.d.into()), self.value(i.b)),
                Call | TailCall => {
                    self.call(i, open_top);
                    result = (i.op == Call && i.c == 2).then_some(i.a);
                }
                ForPrepare | ForLoop => {
                    let kinds = [self.kind(i.a), self.kind(i.a + 1), self.kind(i.a + 2)];
                    self.connection.plug.log.operands3(self.unit, self.pc, kinds);
                }
                ForCall => {
                    let kinds = [self.kind(i.a), self.kind(i.a + 1), self.kind(i.a + 2)];
                    self.connection.plug.log.operands3(self.unit, self.pc, kinds);
                    self.for_call(self.value(i.a), self.value(i.a + 1));
                    result = Some(i.a + 4);
                }
                _ => {}
            }
        }
        self.connection.pending =
            Pending { frame: frame as usize, pc: self.pc, unit: self.unit.0, result, added };
    }

    fn equal(&mut self, left: Value, right: Value) {
        self.operands(left.tag as u8, right.tag as u8);
        if left.is(Tag::Table) && right.is(Tag::Table) {
            let plain = |heap: &mut crate::heap::Heap, value: Value| {
                // SAFETY: a table in a register is live.
                let metatable = unsafe { (*value.as_table()).metatable };
                metatable.is_null() || table::metamethod(heap, metatable, Event::Equal).is_nil()
            };
            let both = plain(self.heap, left) && plain(self.heap, right);
            self.fact(if both { variant::WITHOUT_EQUAL } else { variant::OTHER }, &[]);
        }
    }

    unsafe fn cache(&self, index: u32) -> *mut FieldCache {
        // SAFETY: caches are the prototype's, which nobody borrows now.
        unsafe { (*self.prototype).caches.as_mut_ptr().add(index as usize) }
    }

    unsafe fn get_field(&mut self, object: Value, index: u32, strings: *mut Table) {
        self.operands(object.tag as u8, Tag::String as u8);
        // SAFETY: the site's cache, and a live object.
        unsafe {
            let cache = self.cache(index);
            if object.is(Tag::String) {
                cache::get_by_type(self.heap, cache, object.tag, strings);
                if cache::type_hit(self.heap, &*cache, object.tag).is_some() {
                    return self.by_type((*cache).holder, (*cache).slot, (*cache).key);
                }
                return self.fact(variant::OTHER, &[]);
            }
            if !object.is(Tag::Table) {
                return self.fact(variant::OTHER, &[]);
            }
            let table = object.as_table();
            let shape = (*table).shape;
            let key = (*cache).key;
            if (*shape).is_dictionary() || !LuaString::is_interned(key) {
                return self.fact(variant::OTHER, &[]);
            }
            if let Some(slot) = (*shape).lookup(key) {
                if self.kept(table, slot) {
                    return;
                }
                let id = self.shape(shape);
                if (*table).metatable.is_null() {
                    return self.fact(variant::OWN, &[id, slot]);
                }
                if self.absent_above(table, key)
                    && let Some([key, chains]) = self.chain_claims(key)
                {
                    return self.fact(variant::OWN_ABSENT_ABOVE, &[id, slot, key, chains]);
                }
                let present = !table::get_string(table, key).is_nil();
                return self.fact(if present { variant::OWN_PRESENT } else { variant::OTHER }, &[id, slot]);
            }
            if (*table).metatable.is_null() {
                let id = self.shape(shape);
                return self.fact(variant::ABSENT_PLAIN, &[id]);
            }
            match follow(self.heap, (*table).metatable, key) {
                Some(Found::Field { holder, slot, .. }) => self.inherited(shape, holder, slot, key),
                Some(Found::Nothing) => {
                    let id = self.shape(shape);
                    match self.chain_claims(key) {
                        Some([key, chains]) => self.fact(variant::ABSENT, &[id, key, chains]),
                        None => self.fact(variant::OTHER, &[]),
                    }
                }
                None => self.fact(variant::OTHER, &[]),
            }
        }
    }

    /// Reports an own field that keeps its value: a function of a library or class, or what globals name. Returns whether it is one.
    unsafe fn kept(&mut self, table: *mut Table, slot: u32) -> bool {
        // SAFETY: the caller's table is live and has the slot.
        unsafe {
            let is_globals = (*table).header.extra & TABLE_GLOBALS != 0;
            let value = *Buffer::values((*table).slots).add(slot as usize);
            let variant = match value.tag {
                tag if tag == Tag::LuaClosure as u64 => variant::KEPT_CLOSURE,
                tag if tag == Tag::Native as u64 => variant::KEPT_NATIVE,
                // What globals name is known by name; what that has in its fields may be any structure.
                tag if tag == Tag::Table as u64 && is_globals => variant::KEPT_TABLE,
                _ => return false,
            };
            let is_class_like = (*table).header.flags & FLAG_CLASS_LIKE != 0;
            if !is_globals && !is_class_like && !self.connection.names.is_known(Value::table(table)) {
                return false;
            }
            let Some(claim) = table::claim(self.heap, table, slot) else { return false };
            let table = self.connection.names.object(Value::table(table));
            let value = self.connection.names.object(value);
            self.fact(variant, &[table, value, claim]);
            true
        }
    }

    /// What a lookup rests on that went along an `__index` chain.
    fn chain_claims(&mut self, key: *mut LuaString) -> Option<[u32; 2]> {
        Some([self.heap.claims.key(key)?, self.heap.claims.chains()?])
    }

    /// Reports a field that another table has on the `__index` chain.
    unsafe fn inherited(&mut self, shape: *mut Shape, holder: *mut Table, slot: u32, key: *mut LuaString) {
        let Some([key, chains]) = self.chain_claims(key) else { return self.fact(variant::OTHER, &[]) };
        // SAFETY: the caller's holder is live and has the slot.
        let (value, claim) = unsafe {
            (*Buffer::values((*holder).slots).add(slot as usize), table::claim(self.heap, holder, slot))
        };
        let shape = self.shape(shape);
        let variant =
            if value.is(Tag::LuaClosure) { variant::INHERITED_CLOSURE } else { variant::INHERITED_NATIVE };
        match claim {
            Some(claim) if value.is(Tag::LuaClosure) || value.is(Tag::Native) => {
                let value = self.connection.names.object(value);
                self.fact(variant, &[shape, value, key, chains, claim]);
            }
            _ => {
                let holder = self.connection.names.object(Value::table(holder));
                self.fact(variant::INHERITED, &[shape, holder, slot, key, chains]);
            }
        }
    }

    /// Reports a method of a string.
    unsafe fn by_type(&mut self, holder: *mut Table, slot: u32, key: *mut LuaString) {
        let Some([key, chains]) = self.chain_claims(key) else { return self.fact(variant::OTHER, &[]) };
        // SAFETY: the caller's holder is live and has the slot.
        let (value, claim) = unsafe {
            (*Buffer::values((*holder).slots).add(slot as usize), table::claim(self.heap, holder, slot))
        };
        match claim {
            Some(claim) if value.is(Tag::Native) => {
                let value = self.connection.names.object(value);
                self.fact(variant::BY_TYPE_NATIVE, &[value, chains, claim]);
            }
            _ => {
                let holder = self.connection.names.object(Value::table(holder));
                self.fact(variant::BY_TYPE, &[holder, slot, key, chains]);
            }
        }
    }

    /// Whether no table on the `__index` chain of a table has the key. Flags the chain: changes to it change the epoch.
    unsafe fn absent_above(&mut self, table: *mut Table, key: *mut LuaString) -> bool {
        // SAFETY: all are live.
        unsafe {
            let metatable = (*table).metatable;
            (*metatable).header.flags |= FLAG_CLASS_LIKE;
            let index = table::metamethod(self.heap, metatable, Event::Index);
            if index.is_nil() {
                return true;
            }
            if !index.is(Tag::Table) {
                return false;
            }
            (*index.as_table()).header.flags |= FLAG_CLASS_LIKE;
            matches!(cache::get_uncached(self.heap, index.as_table(), key), cache::Lookup::Value(value) if value.is_nil())
        }
    }

    unsafe fn set_field(&mut self, object: Value, index: u32, value: Value) -> Option<(u32, usize)> {
        self.connection.plug.log.operands3(self.unit, self.pc, [object.tag as u8, Tag::String as u8, 0]);
        // SAFETY: the site's cache, and a live object.
        unsafe {
            let cache = self.cache(index);
            let key = (*cache).key;
            if !object.is(Tag::Table) {
                self.fact(variant::OTHER, &[]);
                return None;
            }
            let table = object.as_table();
            let shape = (*table).shape;
            if (*shape).is_dictionary()
                || !LuaString::is_interned(key)
                || (*cache).flags & CACHE_EVENT_KEY != 0
            {
                self.fact(variant::OTHER, &[]);
                return None;
            }
            let class_like = (*table).header.flags & FLAG_CLASS_LIKE != 0;
            let Some(slot) = (*shape).lookup(key) else {
                if class_like || value.is_nil() {
                    self.fact(variant::OTHER, &[]);
                    return None;
                }
                return Some((index, shape as usize));
            };
            if (*table).header.flags & FLAG_KEPT_FIELDS != 0 {
                // The store comes at once: what is learnt from it here may not come before.
                table::note_store(self.heap, table, slot);
            }
            let id = self.shape(shape);
            if class_like {
                let replaced = !value.is_nil() && !table::get_string(table, key).is_nil();
                self.fact(if replaced { variant::OWN_REPLACED } else { variant::OTHER }, &[id, slot]);
                return None;
            }
            let metatable = (*table).metatable;
            if metatable.is_null() {
                self.fact(variant::OWN, &[id, slot]);
                return None;
            }
            (*metatable).header.flags |= FLAG_CLASS_LIKE;
            let is_free = table::metamethod(self.heap, metatable, Event::NewIndex).is_nil();
            match self.heap.claims.chains().filter(|_| is_free) {
                Some(chains) => self.fact(variant::OWN_ABSENT_ABOVE, &[id, slot, chains]),
                None => self.fact(variant::OTHER, &[]),
            }
            None
        }
    }

    unsafe fn get_index(&mut self, object: Value, key: Value) {
        self.operands(object.tag as u8, key.tag as u8);
        if !object.is(Tag::Table) || !key.is_int() {
            return self.fact(variant::OTHER, &[]);
        }
        // SAFETY: a live table.
        unsafe {
            let table = object.as_table();
            let inside = (key.as_int() as u64).wrapping_sub(1) < u64::from((*table).array_length);
            let plain = (*table).metatable.is_null();
            let variant = match (inside, plain) {
                (true, true) => variant::ELEMENT_PLAIN,
                (true, false) if !table::get_int(table, key.as_int()).is_nil() => variant::ELEMENT_PRESENT,
                _ => variant::OTHER,
            };
            self.fact(variant, &[]);
        }
    }

    unsafe fn set_index(&mut self, object: Value, key: Value, value: Value) {
        self.connection.plug.log.operands3(
            self.unit,
            self.pc,
            [object.tag as u8, key.tag as u8, value.tag as u8],
        );
        if !object.is(Tag::Table) || !key.is_int() || value.is_nil() {
            return self.fact(variant::OTHER, &[]);
        }
        // SAFETY: a live table.
        unsafe {
            let table = object.as_table();
            let inside = (key.as_int() as u64).wrapping_sub(1) < u64::from((*table).array_length);
            let variant = match (inside, (*table).metatable.is_null()) {
                (true, true) => variant::ELEMENT_STORED,
                (false, true) => variant::APPEND,
                _ => variant::OTHER,
            };
            self.fact(variant, &[]);
        }
    }

    unsafe fn call(&mut self, i: Instruction, open_top: *mut Value) {
        // SAFETY: the call's values lie in the window, an open list's below its top.
        unsafe {
            let function = self.base.add(i.a as usize);
            let count = if i.b != 0 {
                i.b as usize - 1
            } else {
                (open_top.offset_from(function) as usize).saturating_sub(1)
            };
            let kinds: smallvec::SmallVec<[u8; 3]> =
                (0..count.min(3)).map(|n| (*function.add(1 + n)).tag as u8).collect();
            match kinds[..] {
                [] => {}
                [first] => self.connection.plug.log.operand(self.unit, self.pc, first),
                [first, second] => self.operands(first, second),
                _ => self.connection.plug.log.operands3(self.unit, self.pc, [kinds[0], kinds[1], kinds[2]]),
            }
            let callee = function.read();
            if callee.is(Tag::LuaClosure) {
                let number = (*(*callee.as_closure()).prototype).unit.id;
                self.fact(variant::CLOSURE, &[number]);
            } else if callee.is(Tag::Native)
                && (1..INTRINSIC_YIELD).contains(&(*callee.as_native()).intrinsic)
            {
                // Others are called like any value, and the functions that switch coroutines find their way by themselves. What has a
                // name lives as long as the state, and programs make iterators and wrapped coroutines without end.
                let object = self.connection.names.object(callee);
                self.fact(variant::NATIVE, &[object, (*callee.as_native()).intrinsic]);
            } else {
                self.fact(variant::OTHER, &[]);
            }
        }
    }

    unsafe fn for_call(&mut self, iterator: Value, state: Value) {
        let is_next = iterator.is(Tag::Native) && state.is(Tag::Table) && {
            // SAFETY: a live native function.
            unsafe { (*iterator.as_native()).intrinsic == crate::interpreter::loops::INTRINSIC_NEXT }
        };
        if is_next {
            let object = self.connection.names.object(iterator);
            self.fact(variant::NEXT, &[object]);
        } else {
            self.fact(variant::OTHER, &[]);
        }
    }
}

fn constant_kind(i: Instruction) -> u8 {
    if i.op != Op::EqualInt && i.c & 2 != 0 { Tag::Float as u8 } else { Tag::Int as u8 }
}

/// The upvalues of the closure that runs in a frame.
struct LuaUpvalues;

impl LuaUpvalues {
    unsafe fn of(base: *mut Value) -> *mut Value {
        // SAFETY: the frame's closure stands below its first register.
        unsafe { crate::interpreter::upvalue((*base.sub(1)).as_closure(), 0) }
    }
}
