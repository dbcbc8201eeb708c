//! Field caches: property access with a constant key, at a site that has seen the table's shape before.
//!
//! ```text
//! GetField    table.shape == cache.shape                     own:        slots[slot]
//!             table.shape == cache.through  and, if the lookup left the table, epoch == heap.class_epoch:
//!                                            inherited:  holder.slots[slot], at any depth of the `__index` chain
//!                                            absent:     nil
//! SetField    table.shape == cache.shape                     own:        slots[slot] = value
//!             table.shape == cache.through                   add:        slots[slot] = value, shape = new_shape
//! a primitive's field (`("x"):rep`): tag and epoch           by type:    holder.slots[slot]
//! ```
//!
//! A lookup that leaves the receiver depends on other tables: metatables and `__index` holders. They are flagged
//! [`FLAG_CLASS_LIKE`]; whatever changes about a flagged table's keys, metamethods or metatable increments
//! [`Heap::class_epoch`], which voids all such caches at once. An own slot needs no epoch: the shape says all.
//!
//! What must hold of a valid cache:
//! * an inherited slot is not nil (it would have cost an epoch to become nil);
//! * `through` is not a dictionary's shape, which says nothing about keys;
//! * a holder that may be young is known to the heap, which forwards it.
//!
//! Behind the sites' own caches stands one for all, by shape and key ([`LookupCache`]): sites that see many shapes use it
//! instead of searching.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

#[cfg(test)]
mod tests;

use crate::heap::Heap;
use crate::metamethod::Event;
use crate::object::{Buffer, FLAG_CLASS_LIKE, Header, LuaString, Table};
use crate::shape::Shape;
use crate::table;
use crate::value::{Tag, Value};

/// What a cache knows.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheKind {
    /// Nothing.
    Empty,
    /// The property is the table's own. `epoch` says when it was last known what happens if the slot is nil, 0 means never.
    /// At a load: nothing else has the property either. At a store: no `__newindex` is in the way.
    Own,
    /// (Get) It is another table's, on the `__index` chain.
    Inherited,
    /// (Get) It is nowhere on the chain.
    Absent,
    /// (Get) It is absent, and the table has no metatable: valid in every epoch.
    AbsentPlain,
    /// (Set) It is added; there is a metatable, without `__newindex`.
    Add,
    /// (Set) It is added; there is no metatable: valid in every epoch.
    AddPlain,
    /// (Get) A primitive value's, found through the metatable of its type.
    ByType,
}

/// The key is the name of a metamethod (begins with `__`): storing to it always matters to others.
pub const CACHE_EVENT_KEY: u8 = 1;
/// The cache is on the heap's list of those with young holders.
const CACHE_LISTED: u8 = 2;

/// A site's cache.
#[repr(C)]
pub struct FieldCache {
    /// Tables of this shape have the property themselves, in `slot`. Null if the kind is not `Own`.
    pub shape: *mut Shape,
    /// The slot: in the table, the holder, or (added) the new shape.
    pub slot: u32,
    /// What is known.
    pub kind: CacheKind,
    /// `CACHE_*`.
    pub flags: u8,
    /// `ByType`: the tag.
    pub tag: u8,
    /// Misses that the lookup cache answered, up to a limit.
    pub misses: u8,
    /// The key.
    pub key: *mut LuaString,
    /// The receiver's shape for kinds other than `Own`; null if unused.
    pub through: *mut Shape,
    /// (`Add`, `AddPlain`) The shape with the property.
    pub new_shape: *mut Shape,
    /// (`Inherited`, `ByType`) The table that has the property.
    pub holder: *mut Table,
    /// The epoch in which all this was found.
    pub epoch: u64,
}

/// What a lookup found.
#[derive(Clone, Copy)]
pub enum Lookup {
    /// The value; nil if there is none and no metamethod either.
    Value(Value),
    /// `__index` of `receiver`'s metatable is `handler`, which is no table: to be called, or indexed with its own metamethods.
    Handler {
        /// The metamethod.
        handler: Value,
        /// The table on the chain that had it in its metatable: the handler's first argument.
        receiver: Value,
    },
    /// "'__index' chain too long; possibly a loop".
    ChainTooLong,
}

/// What a store did.
#[derive(Clone, Copy)]
pub enum Store {
    /// It is done.
    Done,
    /// `__newindex` of `receiver`'s metatable is `handler`, which is no table.
    Handler {
        /// The metamethod.
        handler: Value,
        /// The table on the chain that had it in its metatable.
        receiver: Value,
    },
    /// "'__newindex' chain too long; possibly a loop".
    ChainTooLong,
}

/// Tables that a chain may go through, as PUC's `MAXTAGLOOP`.
const MAXIMUM_CHAIN: u32 = 2000;
/// A site that missed this often keeps what it has, except now and then.
const MANY_MISSES: u8 = 16;

impl FieldCache {
    /// An empty cache for a key.
    pub fn new(key: *mut LuaString) -> FieldCache {
        let is_event = !key.is_null() && LuaString::bytes(key).starts_with(b"__");
        FieldCache {
            shape: std::ptr::null_mut(),
            slot: 0,
            kind: CacheKind::Empty,
            flags: if is_event { CACHE_EVENT_KEY } else { 0 },
            tag: 0,
            misses: 0,
            key,
            through: std::ptr::null_mut(),
            new_shape: std::ptr::null_mut(),
            holder: std::ptr::null_mut(),
            epoch: 0,
        }
    }

    /// Forgets everything but the key.
    pub fn clear(&mut self) {
        self.kind = CacheKind::Empty;
        self.shape = std::ptr::null_mut();
        self.through = std::ptr::null_mut();
        self.new_shape = std::ptr::null_mut();
        self.holder = std::ptr::null_mut();
        self.epoch = 0;
    }

    /// Takes over what another cache knows.
    fn learn(&mut self, found: &Finding) {
        let own = found.kind == CacheKind::Own;
        self.shape = if own { found.receiver } else { std::ptr::null_mut() };
        self.through = if own { std::ptr::null_mut() } else { found.receiver };
        self.slot = found.slot;
        self.kind = found.kind;
        self.new_shape = found.new_shape;
        self.holder = found.holder;
        self.epoch = found.epoch;
    }

    fn finding(&self) -> Finding {
        Finding {
            receiver: if self.kind == CacheKind::Own { self.shape } else { self.through },
            slot: self.slot,
            kind: self.kind,
            new_shape: self.new_shape,
            holder: self.holder,
            epoch: self.epoch,
        }
    }

    /// After a minor collection: the holder has moved, or died (null).
    pub(crate) fn forward_holder(&mut self, forwarded: impl Fn(*mut Table) -> *mut Table) {
        self.flags &= !CACHE_LISTED;
        if !self.holder.is_null() {
            self.holder = forwarded(self.holder);
            if self.holder.is_null() {
                self.clear();
            }
        }
    }
}

/// What goes into a cache.
struct Finding {
    receiver: *mut Shape,
    slot: u32,
    kind: CacheKind,
    new_shape: *mut Shape,
    holder: *mut Table,
    epoch: u64,
}

impl Finding {
    fn new(kind: CacheKind, receiver: *mut Shape, slot: u32, epoch: u64) -> Finding {
        Finding { receiver, slot, kind, new_shape: std::ptr::null_mut(), holder: std::ptr::null_mut(), epoch }
    }
}

/// Entries of the lookup cache: enough for a program's pairs of shape and key at polymorphic sites, small enough to be
/// cleared without being noticed.
const LOOKUPS: usize = 1024;

/// The second level: what was found for a shape and a key, by any site.
pub struct LookupCache {
    entries: Box<[FieldCache]>,
    has_young: bool,
}

impl LookupCache {
    /// An empty one.
    pub fn new() -> LookupCache {
        LookupCache {
            entries: (0..LOOKUPS).map(|_| FieldCache::new(std::ptr::null_mut())).collect(),
            has_young: false,
        }
    }

    /// The entry for a shape and a key. Stores and loads use different ones.
    #[inline(always)]
    fn entry(&mut self, shape: *mut Shape, key: *mut LuaString, store: bool) -> &mut FieldCache {
        // SAFETY: both are live.
        let (id, hash) = unsafe { ((*shape).id, (*key).hash) };
        // An odd factor: shapes made one after the other have different places for the same key.
        let mixed = id.wrapping_mul(0x9E37_79B1).wrapping_add(hash) ^ store as u32;
        &mut self.entries[mixed as usize % LOOKUPS]
    }

    /// Forgets everything: a full collection is going to free shapes, keys and holders.
    pub fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.clear();
            entry.key = std::ptr::null_mut();
        }
        self.has_young = false;
    }

    /// After a minor collection: holders have moved, or died (null).
    pub fn forward_holders(&mut self, forwarded: impl Fn(*mut Table) -> *mut Table + Copy) {
        if std::mem::take(&mut self.has_young) {
            for entry in &mut self.entries {
                entry.forward_holder(forwarded);
            }
        }
    }
}

impl Default for LookupCache {
    fn default() -> Self {
        Self::new()
    }
}

/// The field, if the cache knows it. The fast path; [`get`] is the slow one.
#[inline(always)]
pub fn get_hit(heap: &Heap, cache: &FieldCache, table: *mut Table) -> Option<Value> {
    // SAFETY: the table is live; that a slot exists is what its shape's match says.
    unsafe {
        let shape = (*table).shape;
        if shape == cache.shape {
            let value = *Buffer::values((*table).slots).add(cache.slot as usize);
            if !value.is_nil() || (*table).metatable.is_null() || cache.epoch == heap.class_epoch {
                return Some(value);
            }
        } else if shape == cache.through {
            if cache.epoch == heap.class_epoch && cache.kind == CacheKind::Inherited {
                return Some(*Buffer::values((*cache.holder).slots).add(cache.slot as usize));
            }
            if cache.kind == CacheKind::AbsentPlain
                || cache.kind == CacheKind::Absent && cache.epoch == heap.class_epoch
            {
                return Some(Value::NIL);
            }
        }
        None
    }
}

/// `table[cache.key]`, through `__index` tables. Fills the cache, which must not move while it is in use.
#[inline(never)]
pub fn get(heap: &mut Heap, cache: *mut FieldCache, table: *mut Table) -> Lookup {
    // SAFETY: table and cache are live, and so is the cache's key.
    unsafe {
        let key = (*cache).key;
        let shape = (*table).shape;
        let cacheable = LuaString::is_interned(key) && !(*shape).is_dictionary();
        if cacheable {
            let entry: *mut FieldCache = heap.lookups.entry(shape, key, false);
            if (*entry).key == key
                && let Some(value) = get_hit(heap, &*entry, table)
            {
                settle(heap, cache, &(*entry).finding());
                return Lookup::Value(value);
            }
        }
        let (lookup, finding) = walk(heap, table, key, cacheable);
        if let Some(finding) = finding {
            record(heap, cache, shape, key, &finding, false);
        }
        lookup
    }
}

/// Fills a site's cache from the second level, unless the site has shown that it sees many shapes.
unsafe fn settle(heap: &mut Heap, cache: *mut FieldCache, finding: &Finding) {
    // SAFETY: the caller's cache is live.
    unsafe {
        (*cache).misses = (*cache).misses.wrapping_add(1);
        if (*cache).misses > MANY_MISSES {
            if (*cache).misses & 15 != 0 {
                return;
            }
            (*cache).misses = MANY_MISSES;
        }
        (*cache).learn(finding);
        heap.watch_holder(cache);
    }
}

/// Writes what was found to the site's cache and the second level.
unsafe fn record(
    heap: &mut Heap,
    cache: *mut FieldCache,
    shape: *mut Shape,
    key: *mut LuaString,
    finding: &Finding,
    store: bool,
) {
    // SAFETY: the caller's cache is live.
    unsafe {
        (*cache).learn(finding);
        heap.watch_holder(cache);
        let young = !finding.holder.is_null() && heap.is_young(finding.holder as u64);
        let entry = heap.lookups.entry(shape, key, store);
        entry.key = key;
        entry.flags = (*cache).flags & CACHE_EVENT_KEY;
        entry.learn(finding);
        heap.lookups.has_young |= young;
    }
}

/// Follows the `__index` chain of a table.
unsafe fn walk(
    heap: &mut Heap,
    table: *mut Table,
    key: *mut LuaString,
    cacheable: bool,
) -> (Lookup, Option<Finding>) {
    // SAFETY: the caller's table and key are live, and so is what they lead to.
    unsafe {
        let shape = (*table).shape;
        let found = |value| Lookup::Value(value);
        let own = if cacheable { (*shape).lookup(key) } else { None };
        if let Some(slot) = own {
            let value = *Buffer::values((*table).slots).add(slot as usize);
            if !value.is_nil() || (*table).metatable.is_null() {
                return (found(value), Some(Finding::new(CacheKind::Own, shape, slot, 0)));
            }
        } else {
            let value = table::get_string(table, key);
            if !value.is_nil() {
                return (found(value), None);
            }
        }
        let mut receiver = table;
        for _ in 0..MAXIMUM_CHAIN {
            let metatable = (*receiver).metatable;
            if metatable.is_null() {
                return (found(Value::NIL), cacheable.then(|| absent(heap, shape, own, receiver == table)));
            }
            (*metatable).header.flags |= FLAG_CLASS_LIKE;
            let index = table::metamethod(heap, metatable, Event::Index);
            if index.is_nil() {
                return (found(Value::NIL), cacheable.then(|| absent(heap, shape, own, false)));
            }
            if !index.is(Tag::Table) {
                return (Lookup::Handler { handler: index, receiver: Value::table(receiver) }, None);
            }
            receiver = index.as_table();
            (*receiver).header.flags |= FLAG_CLASS_LIKE;
            let slot = table::property(receiver, key);
            if !slot.is_null() && !(*slot).is_nil() {
                let place = slot.offset_from(Buffer::values((*receiver).slots)) as u32;
                let mut finding = Finding::new(CacheKind::Inherited, shape, place, heap.class_epoch);
                finding.holder = receiver;
                return (found(*slot), (cacheable && own.is_none()).then_some(finding));
            }
            if slot.is_null() {
                let value = table::get_string(receiver, key);
                if !value.is_nil() {
                    return (found(value), None);
                }
            }
        }
        (Lookup::ChainTooLong, None)
    }
}

/// What to remember of a lookup that has found nothing: `own` is the receiver's slot, which is nil, if it has one.
fn absent(heap: &Heap, shape: *mut Shape, own: Option<u32>, is_plain: bool) -> Finding {
    let kind = match own {
        Some(_) => CacheKind::Own,
        None if is_plain => CacheKind::AbsentPlain,
        None => CacheKind::Absent,
    };
    Finding::new(kind, shape, own.unwrap_or(0), heap.class_epoch)
}

/// `table[key]` for any string key, through `__index` tables, without a cache.
pub fn get_uncached(heap: &mut Heap, table: *mut Table, key: *mut LuaString) -> Lookup {
    // SAFETY: both are live.
    unsafe { walk(heap, table, key, false).0 }
}

/// The field of a primitive value of a type, if the cache knows it.
#[inline(always)]
pub fn type_hit(heap: &Heap, cache: &FieldCache, tag: u64) -> Option<Value> {
    if cache.kind == CacheKind::ByType && cache.tag as u64 == tag && cache.epoch == heap.class_epoch {
        // SAFETY: in this epoch the holder still has the slot.
        return Some(unsafe { *Buffer::values((*cache.holder).slots).add(cache.slot as usize) });
    }
    None
}

/// The field of a primitive value, whose type has this metatable (not null). Whoever changes the metatable of a type
/// increments [`Heap::class_epoch`]. A `Handler`'s receiver is nil when it is the value itself.
#[inline(never)]
pub fn get_by_type(heap: &mut Heap, cache: *mut FieldCache, tag: u64, metatable: *mut Table) -> Lookup {
    // SAFETY: metatable and cache are live, and so is the cache's key.
    unsafe {
        (*metatable).header.flags |= FLAG_CLASS_LIKE;
        let index = table::metamethod(heap, metatable, Event::Index);
        if index.is_nil() {
            return Lookup::Handler { handler: Value::NIL, receiver: Value::NIL };
        }
        if !index.is(Tag::Table) {
            return Lookup::Handler { handler: index, receiver: Value::NIL };
        }
        let holder = index.as_table();
        let key = (*cache).key;
        let slot = table::property(holder, key);
        if slot.is_null() || (*slot).is_nil() {
            return walk(heap, holder, key, false).0;
        }
        (*holder).header.flags |= FLAG_CLASS_LIKE;
        let place = slot.offset_from(Buffer::values((*holder).slots)) as u32;
        let mut finding = Finding::new(CacheKind::ByType, std::ptr::null_mut(), place, heap.class_epoch);
        finding.holder = holder;
        (*cache).learn(&finding);
        (*cache).tag = tag as u8;
        heap.watch_holder(cache);
        Lookup::Value(*slot)
    }
}

/// Stores to the field, if the cache knows how; whether it did. The fast path; [`set`] is the slow one.
#[inline(always)]
pub fn set_hit(heap: &mut Heap, cache: &FieldCache, table: *mut Table, value: Value) -> bool {
    // SAFETY: the table is live; that a slot exists, or may be added, is what its shape's match says.
    unsafe {
        let shape = (*table).shape;
        if shape == cache.shape {
            let slot = Buffer::values((*table).slots).add(cache.slot as usize);
            if (*slot).is_nil() && !(*table).metatable.is_null() && cache.epoch != heap.class_epoch {
                return false;
            }
            if (*table).header.flags & FLAG_CLASS_LIKE != 0
                && (value.is_nil() || (*slot).is_nil() || cache.flags & CACHE_EVENT_KEY != 0)
            {
                return false;
            }
            *slot = value;
            heap.barrier_value(table as *mut Header, value);
            return true;
        }
        if shape == cache.through {
            if cache.slot >= (*table).slot_capacity
                || (cache.kind != CacheKind::AddPlain && cache.epoch != heap.class_epoch)
                || (*table).header.flags & FLAG_CLASS_LIKE != 0
            {
                return false;
            }
            *Buffer::values((*table).slots).add(cache.slot as usize) = value;
            (*table).shape = cache.new_shape;
            heap.barrier_value(table as *mut Header, value);
            return true;
        }
        false
    }
}

/// `table[cache.key] = value`, through `__newindex` tables. Fills the cache, which must not move while it is in use.
#[inline(never)]
pub fn set(heap: &mut Heap, cache: *mut FieldCache, table: *mut Table, value: Value) -> Store {
    // SAFETY: table and cache are live, and so is the cache's key.
    unsafe {
        let key = (*cache).key;
        let shape = (*table).shape;
        if shape == (*cache).through && (*cache).slot >= (*table).slot_capacity {
            // Only the room is missing.
            table::grow_slots(heap, table);
            if set_hit(heap, &*cache, table, value) {
                return Store::Done;
            }
        }
        let cacheable = LuaString::is_interned(key) && !(*shape).is_dictionary();
        if cacheable {
            let entry: *mut FieldCache = heap.lookups.entry(shape, key, true);
            if (*entry).key == key {
                if shape == (*entry).through && (*entry).slot >= (*table).slot_capacity {
                    table::grow_slots(heap, table);
                }
                if set_hit(heap, &*entry, table, value) {
                    settle(heap, cache, &(*entry).finding());
                    return Store::Done;
                }
            }
        }
        let (store, finding) = walk_store(heap, table, key, value, cacheable);
        if let Some(finding) = finding {
            record(heap, cache, shape, key, &finding, true);
        }
        store
    }
}

/// `table[key] = value` for any string key, through `__newindex` tables, without a cache.
pub fn set_uncached(heap: &mut Heap, table: *mut Table, key: *mut LuaString, value: Value) -> Store {
    // SAFETY: both are live.
    unsafe { walk_store(heap, table, key, value, false).0 }
}

/// Follows the `__newindex` chain of a table.
unsafe fn walk_store(
    heap: &mut Heap,
    table: *mut Table,
    key: *mut LuaString,
    value: Value,
    cacheable: bool,
) -> (Store, Option<Finding>) {
    // SAFETY: the caller's table and key are live, and so is what they lead to.
    unsafe {
        let mut receiver = table;
        for _ in 0..MAXIMUM_CHAIN {
            let metatable = (*receiver).metatable;
            let mut free = metatable.is_null();
            if !free {
                (*metatable).header.flags |= FLAG_CLASS_LIKE;
                let handler = table::metamethod(heap, metatable, Event::NewIndex);
                free = handler.is_nil() || !table::get_string(receiver, key).is_nil();
                if !free {
                    if !handler.is(Tag::Table) {
                        return (Store::Handler { handler, receiver: Value::table(receiver) }, None);
                    }
                    receiver = handler.as_table();
                    continue;
                }
            }
            let before = (*receiver).shape;
            if !cacheable || receiver != table {
                table::set_string(heap, receiver, key, value);
                return (Store::Done, None);
            }
            if value.is_nil() {
                table::clear_property(heap, table, key);
            } else {
                table::set_string(heap, table, key, value);
            }
            let after = (*table).shape;
            if before == after {
                let Some(slot) = (*before).lookup(key) else { return (Store::Done, None) };
                let mut finding = Finding::new(CacheKind::Own, before, slot, 0);
                if !metatable.is_null() && table::metamethod(heap, metatable, Event::NewIndex).is_nil() {
                    finding.epoch = heap.class_epoch;
                }
                return (Store::Done, Some(finding));
            }
            if (*after).is_dictionary() {
                return (Store::Done, None);
            }
            let kind = if metatable.is_null() { CacheKind::AddPlain } else { CacheKind::Add };
            let mut finding = Finding::new(kind, before, (*after).count - 1, heap.class_epoch);
            finding.new_shape = after;
            return (Store::Done, Some(finding));
        }
        (Store::ChainTooLong, None)
    }
}

impl Heap {
    /// Has a cache's holder forwarded by the next minor collection if it is young.
    unsafe fn watch_holder(&mut self, cache: *mut FieldCache) {
        // SAFETY: the caller's cache is live, and stays where it is.
        unsafe {
            let holder = (*cache).holder;
            if !holder.is_null() && (*cache).flags & CACHE_LISTED == 0 && self.is_young(holder as u64) {
                (*cache).flags |= CACHE_LISTED;
                self.young_caches.push(cache);
            }
        }
    }
}
