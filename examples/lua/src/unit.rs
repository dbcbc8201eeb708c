//! What Surmise keeps per function, inside the prototype: the words that the run loop and machine code touch.
//!
//! Everything is `repr(C)` at a fixed offset. The run loop decrements `counter` at every function entry and every back-edge;
//! below zero it takes the cold path to [`crate::interpreter::hook`], which refills it. `entry` is where compiled code will
//! be entered; null means: interpret.

/// How often the counter of a unit may be decremented before the hook runs again: large enough for the hook to cost nothing
/// while nothing listens to it.
pub const COUNTER_IDLE: i32 = i32::MAX;

/// The optimizer's view of one function.
#[repr(C)]
pub struct UnitState {
    /// Decremented at function entries and back-edges; the hook runs when it falls below zero.
    pub counter: i32,
    /// Times the hook has run.
    pub hook_count: u32,
    /// Entry of the installed candidate, or null.
    pub entry: *const u8,
    /// The unit's number in this process, given out when its prototype is loaded.
    pub id: u32,
    /// `UNIT_*`.
    pub flags: u32,
    /// Candidates entered at a loop: pairs of back-edge pc and entry, ended by a null entry; or null.
    pub loop_entries: *const LoopEntry,
}

/// A candidate that is entered at a back-edge.
#[repr(C)]
pub struct LoopEntry {
    /// Index of the back-edge instruction.
    pub pc: u32,
    /// Zero.
    pub reserved: u32,
    /// The code.
    pub entry: *const u8,
}

impl UnitState {
    /// A unit that nobody watches yet.
    pub const fn new(id: u32) -> UnitState {
        UnitState {
            counter: COUNTER_IDLE,
            hook_count: 0,
            entry: std::ptr::null(),
            id,
            flags: 0,
            loop_entries: std::ptr::null(),
        }
    }
}
