//! What the state shows to the collector.

use crate::coroutine::roots::{visit_compiled, visit_words};
use crate::heap::{OutOfMemory, Roots, Visitor, WeakVisitor};
use crate::object::ObjectKind;
use crate::stale::clear_windows;
use crate::state::{State, Throw};

/// Which collection is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Collection {
    /// What the heap has asked for.
    Requested,
    /// A minor one.
    Minor,
    /// A full one.
    Full,
}

/// The state's references, apart from its heap.
struct StateRoots(*mut State);

/// Whether an address is that of a part of a table that has not moved: those are kept and moved by their table alone.
///
/// # Safety
/// The address is null or an object's.
pub(crate) unsafe fn is_part(address: u64) -> bool {
    if address == 0 {
        return false;
    }
    // SAFETY: an object starts with its header, or, when it has moved, with its new address, whose lowest bit is clear.
    let word = unsafe { *(address as *const u64) };
    let kind = word as u8;
    word & 1 == 1 && (kind == ObjectKind::Buffer as u8 || kind == ObjectKind::HashPart as u8)
}

impl Roots for StateRoots {
    fn visit(&mut self, visitor: &mut Visitor) {
        // SAFETY: the collection holds the heap, this the other fields. All slots below `live_end` hold valid values, and the
        // prototypes live as long as the state.
        unsafe {
            let state = self.0;
            let runloop = &mut (*state).runloop;
            if let (true, Some(guard)) = (visitor.is_full(), &runloop.guard) {
                clear_windows(guard, &runloop.to_be_closed, usize::MAX);
            }
            let start = runloop.slots.start;
            visitor.range(start, runloop.live_end.offset_from(start) as usize);
            visitor.value(&mut (*state).error_value);
            visitor.value(&mut runloop.hooks.function);
            visitor.range(runloop.pins.as_mut_ptr(), runloop.pins.len());
            for metatable in &mut (*state).type_metatables {
                visitor.table(metatable);
            }
            visitor.table(&mut (*state).globals);
            visitor.table(&mut (*state).registry);
            if let Some(connection) = &mut (*state).surmise {
                let objects = connection.names.objects_mut();
                visitor.range(objects.as_mut_ptr(), objects.len());
                let isolate = connection.plug.isolate();
                visit_words(visitor, |visit| isolate.visit_slots(visit));
            }
            if let Some(guard) = &runloop.guard {
                visit_compiled(guard, visitor);
            }
            (*state).visit_active_coroutines(visitor);
            if visitor.is_full() {
                visitor.string(&mut (*state).memory_message);
                for prototype in &mut (*state).prototypes {
                    visitor.prototype(&mut **prototype);
                }
            }
        }
    }

    fn visit_weak(&mut self, visitor: &mut WeakVisitor) {
        // SAFETY: as in `visit`.
        for prototype in unsafe { &mut (*self.0).prototypes } {
            visitor.prototype(&mut **prototype);
        }
    }
}

impl State {
    /// Collects. The end of the live slots is in the runloop's `live_end`.
    ///
    /// # Errors
    /// "not enough memory", when the guest uses more than it may.
    pub fn collect_garbage(&mut self, collection: Collection) -> Result<(), Throw> {
        let mut roots = StateRoots(self);
        let result = match collection {
            Collection::Requested => self.heap.collect(&mut roots),
            Collection::Minor => {
                self.heap.collect_minor(&mut roots);
                Ok(())
            }
            Collection::Full => self.heap.collect_full(&mut roots),
        };
        match result {
            Ok(()) => Ok(()),
            Err(OutOfMemory) => Err(self.memory_error()),
        }
    }
}
