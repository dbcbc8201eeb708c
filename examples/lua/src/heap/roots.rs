//! How the interpreter shows the collector what it holds.

use std::any::Any;

use super::Heap;
use crate::bytecode::Prototype;
use crate::cache::FieldCache;
use crate::object::{
    Cell, FLAG_MARKED, Header, LuaClosure, LuaString, NativeFunction, Table, Thread, Userdata,
};
use crate::shape::{SHAPE_DEAD, Shape};
use crate::value::Value;

/// Whoever holds references into the heap from outside.
///
/// While a collection runs, an implementation must not touch the heap except through the visitor.
pub trait Roots {
    /// Offers every reference that keeps an object alive: stacks, registry, globals, error value, pinned values. Constants
    /// of prototypes are strings and numbers, which a minor collection neither moves nor frees: they may be offered to full
    /// collections only ([`Visitor::is_full`]).
    fn visit(&mut self, visitor: &mut Visitor);

    /// Full collections only, after marking: offers what does not keep alive. **Every field cache of every prototype must be
    /// offered** ([`WeakVisitor::prototype`]), and every other place that knows a shape.
    fn visit_weak(&mut self, visitor: &mut WeakVisitor);
}

/// What a coroutine object holds.
///
/// A coroutine's stacks are written without barriers while it runs. Whoever resumes one calls [`Heap::barrier`] for it, and
/// [`Roots::visit`] visits those that are running, or have resumed another, at every collection.
pub trait ThreadPayload: Any {
    /// Offers everything that the coroutine keeps alive.
    fn visit(&mut self, visitor: &mut Visitor);
}

/// Visits strong references. Each may be changed by the visit: the object may have moved.
pub struct Visitor {
    heap: *mut Heap,
    full: bool,
    /// Instead of visiting, write down here what there is (the verifier).
    found: *mut Vec<Value>,
}

macro_rules! visit_pointer {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(&mut self, pointer: &mut *mut $type) {
            *pointer = self.header(*pointer as *mut Header) as *mut $type;
        }
    )*};
}

impl Visitor {
    pub(super) fn new(heap: *mut Heap, full: bool) -> Visitor {
        Visitor { heap, full, found: std::ptr::null_mut() }
    }

    /// One that only writes down what it is offered.
    pub(super) fn collecting(heap: *mut Heap, found: *mut Vec<Value>) -> Visitor {
        Visitor { heap, full: true, found }
    }

    /// Whether this is a full collection, or a walk that is as thorough: nothing moves then.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// A value.
    #[inline(always)]
    pub fn value(&mut self, value: &mut Value) {
        self.range(value, 1);
    }

    /// `count` values in a row.
    #[inline]
    pub fn range(&mut self, start: *mut Value, count: usize) {
        // SAFETY: the heap outlives its visitor and is not used otherwise while that exists; the values are the caller's.
        unsafe {
            if !self.found.is_null() {
                (*self.found).extend_from_slice(std::slice::from_raw_parts(start, count));
                return;
            }
            let heap = &mut *self.heap;
            if self.full {
                heap.mark_range(start, count);
            } else {
                heap.forward_range(start, count);
            }
        }
    }

    #[inline]
    fn header(&mut self, object: *mut Header) -> *mut Header {
        if object.is_null() {
            return object;
        }
        // SAFETY: as in `range`.
        unsafe {
            if !self.found.is_null() {
                (*self.found).push(super::verify::value_of(object));
                return object;
            }
            let heap = &mut *self.heap;
            if self.full {
                heap.mark_object(object);
                object
            } else {
                heap.forward_object(object)
            }
        }
    }

    visit_pointer! {
        /// A table, or null.
        table: Table;
        /// A closure, or null.
        closure: LuaClosure;
        /// A native function, or null.
        native: NativeFunction;
        /// A userdata, or null.
        userdata: Userdata;
        /// A coroutine, or null.
        thread: Thread;
        /// A cell, or null.
        cell: Cell;
        /// A string, or null.
        string: LuaString;
    }

    /// A prototype's constants and cache keys (not those of its children).
    pub fn prototype(&mut self, prototype: *mut Prototype) {
        if !self.full {
            return;
        }
        // SAFETY: prototypes are live as long as the state is.
        unsafe {
            let constants = &mut (*prototype).constants;
            self.range(constants.as_mut_ptr(), constants.len());
            for cache in (*prototype).caches.iter_mut() {
                self.string(&mut cache.key);
            }
        }
    }
}

/// Visits weak references at the end of a full collection's mark phase.
#[non_exhaustive]
pub struct WeakVisitor {}

impl WeakVisitor {
    /// A field cache: cleared if it speaks of something that dies.
    #[inline]
    pub fn cache(&mut self, cache: &mut FieldCache) {
        if !self.is_shape_alive(cache.shape)
            || !self.is_shape_alive(cache.new_shape)
            || !self.is_alive(cache.holder as *mut Header)
        {
            cache.clear();
        }
    }

    /// All caches of a prototype (not those of its children).
    pub fn prototype(&mut self, prototype: *mut Prototype) {
        // SAFETY: prototypes are live as long as the state is.
        for cache in unsafe { (*prototype).caches.iter_mut() } {
            self.cache(cache);
        }
    }

    /// Whether an object survives. Null counts as surviving.
    #[inline]
    pub fn is_alive(&self, object: *mut Header) -> bool {
        // SAFETY: the caller's reference was valid before this collection; nothing is freed before the sweep.
        object.is_null() || unsafe { (*object).flags & FLAG_MARKED != 0 }
    }

    /// Whether a shape survives. Null counts as surviving. Who holds one that does not must let go of it.
    #[inline]
    pub fn is_shape_alive(&self, shape: *mut Shape) -> bool {
        // SAFETY: as above.
        shape.is_null() || unsafe { (*shape).flags & SHAPE_DEAD == 0 }
    }
}
