//! Shapes: which property lies in which slot, and whose metatable.
//!
//! ```text
//! root (no metatable) ── "x" ──▶ {x} ── "y" ──▶ {x,y}          one tree per metatable; a table's shape is a node
//!                       └─ "name" ──▶ {name}
//! ```
//!
//! A shape adds one key to its parent's. Keys along a line of shapes stand in one [`Properties`] list that they share: a shape
//! that counts `n` knows the first `n`. The metatable belongs to the shape: all tables of a shape have it, and
//! `setmetatable` moves a table to the tree of the other metatable.
//!
//! What must hold:
//! * keys of shapes are interned strings; a shape's `count`, keys and metatable never change (the metatable may *move*);
//! * a table in dictionary mode has the dictionary shape of its tree, which has no keys and says nothing about the table's;
//! * a shape is freed by full collections only: when its metatable died, or when there are too many shapes and no table, and
//!   no descendant, needs it. Whoever holds shapes weakly (field caches) is asked to let go first.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

use rustc_hash::FxHashMap;

use crate::object::{LuaString, Table};
use crate::string;

/// Properties that a table may have before it becomes a dictionary: above, the program computes its keys.
pub const MAXIMUM_PROPERTIES: u32 = 128;
/// The same for the table of globals, whose keys are nearly always written in the program.
pub const MAXIMUM_GLOBALS: u32 = 1024;
/// Different keys that may be added to one shape before it sends further tables to dictionary mode.
const MAXIMUM_CHILDREN: usize = 128;
/// Up to here keys are searched one by one, without hashing.
const LINEAR_SEARCH: u32 = 8;
/// Unused shapes are freed when there are more than this, and later when there are twice as many as the last time left.
const FIRST_PRUNE: usize = 8192;

/// The shape is its tree's dictionary shape.
pub const SHAPE_DICTIONARY: u32 = 1;
/// The shape is the root of its tree.
pub const SHAPE_ROOT: u32 = 2;
/// A table of this shape was reached by the current full collection.
pub const SHAPE_MARKED: u32 = 4;
/// The shape is about to be freed.
pub const SHAPE_DEAD: u32 = 8;
/// The tree of the table of globals: no limit to the children.
pub const SHAPE_GLOBALS: u32 = 16;
/// Compiled code compares the shape's address: it is kept as long as tables may have it, and the address is never used again.
pub const SHAPE_PINNED: u32 = 32;

/// Names, positions and metatable of a table's properties.
#[repr(C)]
pub struct Shape {
    /// Number, never used again.
    pub id: u32,
    /// How many properties.
    pub count: u32,
    /// `SHAPE_*`.
    pub flags: u32,
    /// Events (bits by [`crate::metamethod::Event`]) of which is known that a table of this shape has no such field.
    pub absent_events: u32,
    /// The metatable of tables of this shape, or null.
    pub metatable: *mut Table,
    properties: *mut Properties,
    /// The largest count among the shape and its descendants.
    pub deepest: u32,
    /// Zero.
    pub reserved: u32,
    /// The root of the tree.
    pub root: *mut Shape,
    /// The shape with one key less; null for roots and dictionary shapes.
    pub parent: *mut Shape,
    /// On a root: the dictionary shape of the tree, null as long as none was needed.
    dictionary: *mut Shape,
    first_key: *mut LuaString,
    first_child: *mut Shape,
    children: Option<Box<FxHashMap<*mut LuaString, *mut Shape>>>,
}

/// The keys of a line of shapes.
struct Properties {
    keys: Vec<*mut LuaString>,
    /// Open addressing over hashes of the keys: place in `keys` + 1. Empty until a search needs it.
    index: Vec<u32>,
    /// Shapes that use it.
    users: u32,
}

impl Properties {
    #[inline]
    fn find(&mut self, key: *mut LuaString) -> Option<u32> {
        if self.index.is_empty() {
            self.build_index();
        }
        let mask = self.index.len() - 1;
        let mut place = string::hash(key) as usize & mask;
        loop {
            let entry = self.index[place];
            if entry == 0 {
                return None;
            }
            if self.keys[entry as usize - 1] == key {
                return Some(entry - 1);
            }
            place = (place + 1) & mask;
        }
    }

    #[cold]
    fn build_index(&mut self) {
        self.index = vec![0; (self.keys.len() * 4).next_power_of_two()];
        for i in 0..self.keys.len() {
            self.enter(i);
        }
    }

    fn enter(&mut self, position: usize) {
        let mask = self.index.len() - 1;
        let mut place = string::hash(self.keys[position]) as usize & mask;
        while self.index[place] != 0 {
            place = (place + 1) & mask;
        }
        self.index[place] = position as u32 + 1;
    }

    fn push(&mut self, key: *mut LuaString) {
        self.keys.push(key);
        if self.index.is_empty() {
            return;
        }
        if self.keys.len() * 2 > self.index.len() {
            self.build_index();
        } else {
            self.enter(self.keys.len() - 1);
        }
    }
}

impl Shape {
    /// The slot of a property. `key` must be interned.
    #[inline]
    pub fn lookup(&self, key: *mut LuaString) -> Option<u32> {
        debug_assert!(LuaString::is_interned(key));
        if self.count == 0 {
            return None;
        }
        // SAFETY: a shape with keys has a list, which lives as long as it does and has at least `count` keys.
        unsafe {
            if self.count <= LINEAR_SEARCH {
                let keys = (*self.properties).keys.as_ptr();
                return (0..self.count).find(|&slot| *keys.add(slot as usize) == key);
            }
            (*self.properties).find(key).filter(|&slot| slot < self.count)
        }
    }

    /// The key of a slot below `count`.
    #[inline]
    pub fn key(&self, slot: u32) -> *mut LuaString {
        debug_assert!(slot < self.count);
        // SAFETY: as in `lookup`.
        unsafe { *(*self.properties).keys.as_ptr().add(slot as usize) }
    }

    /// Whether this is a dictionary shape.
    #[inline(always)]
    pub fn is_dictionary(&self) -> bool {
        self.flags & SHAPE_DICTIONARY != 0
    }

    fn child(&self, key: *mut LuaString) -> Option<*mut Shape> {
        if self.first_key == key {
            return Some(self.first_child);
        }
        self.children.as_ref().and_then(|children| children.get(&key).copied())
    }

    fn child_count(&self) -> usize {
        !self.first_key.is_null() as usize + self.children.as_ref().map_or(0, |children| children.len())
    }
}

/// One step that `setmetatable` took, to be taken again without a search.
#[derive(Clone, Copy)]
struct Move {
    metatable: *mut Table,
    from: *mut Shape,
    to: *mut Shape,
}

const NO_MOVE: Move =
    Move { metatable: std::ptr::null_mut(), from: std::ptr::null_mut(), to: std::ptr::null_mut() };
/// Steps remembered; a program has few classes that are in construction at the same time.
const MOVES: usize = 64;

/// All shapes of a heap.
pub struct Shapes {
    /// Every shape, in the order of creation: parents before children.
    all: Vec<*mut Shape>,
    /// Roots by metatable.
    roots: FxHashMap<*mut Table, *mut Shape>,
    /// Roots whose metatable was young when they were made.
    young_roots: Vec<*mut Shape>,
    moves: [Move; MOVES],
    next_id: u32,
    prune_at: usize,
    /// Approximate bytes of all shapes.
    pub bytes: usize,
}

impl Shapes {
    /// No shapes.
    pub fn new() -> Shapes {
        Shapes {
            all: Vec::new(),
            roots: FxHashMap::default(),
            young_roots: Vec::new(),
            moves: [NO_MOVE; MOVES],
            next_id: 1,
            prune_at: FIRST_PRUNE,
            bytes: 0,
        }
    }

    /// How many shapes there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn make(&mut self, flags: u32, metatable: *mut Table) -> *mut Shape {
        let shape = Box::into_raw(Box::new(Shape {
            id: self.next_id,
            count: 0,
            flags,
            deepest: 0,
            reserved: 0,
            absent_events: 0,
            metatable,
            properties: std::ptr::null_mut(),
            root: std::ptr::null_mut(),
            parent: std::ptr::null_mut(),
            dictionary: std::ptr::null_mut(),
            first_key: std::ptr::null_mut(),
            first_child: std::ptr::null_mut(),
            children: None,
        }));
        self.next_id += 1;
        self.all.push(shape);
        self.bytes += size_of::<Shape>() + 8;
        shape
    }

    /// A root that belongs to no metatable: of plain tables, or of the table of globals.
    pub fn make_root(&mut self, flags: u32, metatable: *mut Table) -> *mut Shape {
        let root = self.make(flags | SHAPE_ROOT, metatable);
        // SAFETY: just made.
        unsafe { (*root).root = root };
        root
    }

    /// The root of tables with this metatable (not null).
    pub fn root_of(&mut self, metatable: *mut Table, is_young: bool) -> *mut Shape {
        if let Some(&root) = self.roots.get(&metatable) {
            return root;
        }
        let root = self.make_root(0, metatable);
        self.roots.insert(metatable, root);
        if is_young {
            self.young_roots.push(root);
        }
        root
    }

    /// The dictionary shape of a shape's tree.
    pub fn dictionary_of(&mut self, shape: *mut Shape) -> *mut Shape {
        // SAFETY: shapes are live, and have live roots.
        unsafe {
            let root = (*shape).root;
            if (*root).dictionary.is_null() {
                let dictionary = self.make(SHAPE_DICTIONARY, (*root).metatable);
                (*dictionary).root = root;
                (*root).dictionary = dictionary;
            }
            (*root).dictionary
        }
    }

    /// The shape with one key more; null when the table should become a dictionary. `key` is interned and not in the shape.
    pub fn with_key(&mut self, shape: *mut Shape, key: *mut LuaString, limit: u32) -> *mut Shape {
        // SAFETY: shapes are live; a new shape is complete before it is entered.
        unsafe {
            if (*shape).count >= limit {
                return std::ptr::null_mut();
            }
            if let Some(child) = (*shape).child(key) {
                return child;
            }
            let of_globals = (*(*shape).root).flags & SHAPE_GLOBALS != 0;
            if (*shape).child_count() >= MAXIMUM_CHILDREN && !of_globals {
                return std::ptr::null_mut();
            }
            let child = self.make(0, (*shape).metatable);
            (*child).root = (*shape).root;
            (*child).parent = shape;
            (*child).count = (*shape).count + 1;
            (*child).properties = self.extend(shape, key);
            let mut ancestor = child;
            while !ancestor.is_null() && (*ancestor).deepest < (*child).count {
                (*ancestor).deepest = (*child).count;
                ancestor = (*ancestor).parent;
            }
            if (*shape).first_key.is_null() {
                (*shape).first_key = key;
                (*shape).first_child = child;
            } else {
                self.bytes += 32;
                (*shape).children.get_or_insert_default().insert(key, child);
            }
            child
        }
    }

    /// The list for a child of `shape`: the same if nobody has appended to it, else a copy.
    unsafe fn extend(&mut self, shape: *mut Shape, key: *mut LuaString) -> *mut Properties {
        // SAFETY: see `with_key`.
        unsafe {
            let count = (*shape).count as usize;
            let shared = (*shape).properties;
            if !shared.is_null() && (*shared).keys.len() == count {
                (*shared).users += 1;
                (*shared).push(key);
                self.bytes += 16;
                return shared;
            }
            let mut keys = Vec::with_capacity(count + 4);
            if count > 0 {
                keys.extend_from_slice(&(&(*shared).keys)[..count]);
            }
            keys.push(key);
            self.bytes += size_of::<Properties>() + keys.len() * 16;
            Box::into_raw(Box::new(Properties { keys, index: Vec::new(), users: 1 }))
        }
    }

    fn move_place(metatable: *mut Table, from: *mut Shape) -> usize {
        let mixed = (metatable as usize >> 3) ^ (from as usize >> 4);
        (mixed ^ mixed >> 6) % MOVES
    }

    /// Where tables of shape `from` go when they get `metatable`, if that was asked lately.
    #[inline]
    pub fn remembered_move(&self, metatable: *mut Table, from: *mut Shape) -> *mut Shape {
        let step = &self.moves[Shapes::move_place(metatable, from)];
        if step.metatable == metatable && step.from == from { step.to } else { std::ptr::null_mut() }
    }

    /// Remembers where tables of shape `from` go when they get `metatable`.
    pub fn remember_move(&mut self, metatable: *mut Table, from: *mut Shape, to: *mut Shape) {
        self.moves[Shapes::move_place(metatable, from)] = Move { metatable, from, to };
    }

    /// After a minor collection: metatables have moved to where `forwarded` says; null means dead.
    pub fn forward_metatables(&mut self, forwarded: impl Fn(*mut Table) -> *mut Table) {
        self.moves = [NO_MOVE; MOVES];
        let mut stack = Vec::new();
        for root in std::mem::take(&mut self.young_roots) {
            // SAFETY: shapes are live; the tree's pointers are to shapes of the same tree.
            unsafe {
                let before = (*root).metatable;
                let after = forwarded(before);
                self.roots.remove(&before);
                if after.is_null() {
                    // No table of this tree is left. The next full collection frees it, when caches can let go of it.
                    (*root).flags |= SHAPE_DEAD;
                } else {
                    self.roots.insert(after, root);
                }
                stack.push(root);
                while let Some(shape) = stack.pop() {
                    (*shape).metatable = after;
                    stack.extend([(*shape).first_child, (*shape).dictionary].iter().filter(|s| !s.is_null()));
                    if let Some(children) = &(*shape).children {
                        stack.extend(children.values());
                    }
                }
            }
        }
    }

    /// In a full collection, after marking: flags shapes as dead whose metatable died, or that nobody needs while there are
    /// too many.
    pub fn find_dead(&mut self, is_marked: impl Fn(*mut Table) -> bool) {
        let roots = &mut self.roots;
        // SAFETY: shapes are live until `free_dead`; parents and roots stand before their children in the list.
        unsafe {
            roots.retain(|&metatable, &mut root| {
                let alive = is_marked(metatable);
                if !alive {
                    (*root).flags |= SHAPE_DEAD;
                }
                alive
            });
            for &shape in &self.all {
                if (*(*shape).root).flags & SHAPE_DEAD != 0 {
                    (*shape).flags |= SHAPE_DEAD;
                }
            }
            if self.all.len() > self.prune_at {
                for &shape in self.all.iter().rev() {
                    if (*shape).flags & (SHAPE_MARKED | SHAPE_ROOT | SHAPE_DICTIONARY | SHAPE_PINNED) == 0 {
                        (*shape).flags |= SHAPE_DEAD;
                    } else if (*shape).flags & SHAPE_DEAD == 0 && !(*shape).parent.is_null() {
                        (*(*shape).parent).flags |= SHAPE_MARKED;
                    }
                }
            }
        }
    }

    /// In a full collection, after everybody let go of dead shapes: frees them, and visits the keys of the others.
    pub fn free_dead(&mut self, mut mark_key: impl FnMut(*mut LuaString)) {
        let all = std::mem::take(&mut self.all);
        let (dead, live): (Vec<_>, Vec<_>) =
            // SAFETY: shapes are live until they are freed below.
            all.into_iter().partition(|&shape| unsafe { (*shape).flags & SHAPE_DEAD != 0 });
        self.bytes = 0;
        // SAFETY: nobody but their parents knows the dead shapes any more; a dead shape's children are dead.
        unsafe {
            for &shape in &dead {
                let parent = (*shape).parent;
                if !parent.is_null() && (*parent).flags & SHAPE_DEAD == 0 {
                    if (*parent).first_child == shape {
                        (*parent).first_child = std::ptr::null_mut();
                        (*parent).first_key = std::ptr::null_mut();
                    } else if let Some(children) = &mut (*parent).children {
                        children.remove(&(*shape).key((*shape).count - 1));
                    }
                }
            }
            for shape in dead {
                Shapes::free(shape);
            }
            for &shape in &live {
                (*shape).flags &= !SHAPE_MARKED;
                self.bytes += size_of::<Shape>() + 8 + (*shape).child_count() * 32;
                let properties = (*shape).properties;
                // Keys behind the last live shape of a line must not be visited, nor kept: they may be dead strings.
                if !properties.is_null() {
                    mark_key((*shape).key((*shape).count - 1));
                    self.bytes += 16;
                }
            }
        }
        self.trim_keys(&live);
        self.prune_at = (live.len() * 2).max(FIRST_PRUNE);
        self.all = live;
    }

    /// Cuts lists of keys to the longest shape that uses them.
    fn trim_keys(&self, live: &[*mut Shape]) {
        let mut longest: FxHashMap<*mut Properties, u32> = FxHashMap::default();
        // SAFETY: the shapes are live, and so are their lists.
        unsafe {
            for &shape in live {
                let properties = (*shape).properties;
                if !properties.is_null() {
                    let longest = longest.entry(properties).or_default();
                    *longest = (*longest).max((*shape).count);
                }
            }
            for (properties, count) in longest {
                if (*properties).keys.len() > count as usize {
                    (*properties).keys.truncate(count as usize);
                    (*properties).index = Vec::new();
                }
            }
        }
    }

    unsafe fn free(shape: *mut Shape) {
        // SAFETY: the caller gives up the shape; its list goes with its last user.
        unsafe {
            let properties = (*shape).properties;
            if !properties.is_null() {
                (*properties).users -= 1;
                if (*properties).users == 0 {
                    drop(Box::from_raw(properties));
                }
            }
            // A pinned shape's memory stays with it for good.
            if (*shape).flags & SHAPE_PINNED == 0 {
                drop(Box::from_raw(shape));
            }
        }
    }

    /// Calls `visit` for every shape.
    pub fn each(&self, visit: &mut dyn FnMut(*mut Shape)) {
        for &shape in &self.all {
            visit(shape);
        }
    }
}

impl Default for Shapes {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Shapes {
    fn drop(&mut self) {
        for shape in std::mem::take(&mut self.all) {
            // SAFETY: nobody uses shapes after the heap.
            unsafe { Shapes::free(shape) };
        }
    }
}
