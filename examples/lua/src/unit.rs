//! What Surmise keeps per function, inside the prototype: the words that the run loop and machine code touch.
//!
//! Everything is `repr(C)` at a fixed offset. The run loop decrements `counter` at every function entry and every back-edge;
//! below zero it takes the cold path to [`crate::interpreter::hook`], which refills it. `entry` is what compiled code calls, and
//! what the interpreter enters when it is compiled code.

use surmise::deopt::entry::EntryCell;

/// How often the counter of a unit may be decremented before the hook runs again, while nobody listens to it.
pub const COUNTER_IDLE: i32 = i32::MAX;

/// The number of a prototype that the service does not know: it has not run often enough.
pub const UNKNOWN: u32 = u32::MAX;

/// The unit is being logged.
pub const UNIT_LOGGED: u32 = 1;

/// The optimizer's view of one function.
#[repr(C)]
pub struct UnitState {
    /// Decremented at function entries and back-edges; the hook runs when it falls below zero.
    pub counter: i32,
    /// `UNIT_*`.
    pub flags: u32,
    /// The code that calls go to: a candidate's, or the stub that has the interpreter do it.
    pub entry: EntryCell,
    /// The prototype's number in its state, given out when it is loaded.
    pub id: u32,
    /// The unit's number in the service, or [`UNKNOWN`].
    pub index: u32,
    /// While the unit is logged: turns that are logged before the service is asked again. The counter runs out at each of them, which
    /// is how the run loop learns that it has to log.
    pub logged_turns: i32,
}

impl UnitState {
    /// A unit that nobody watches yet.
    pub fn new(id: u32) -> UnitState {
        UnitState {
            counter: COUNTER_IDLE,
            flags: 0,
            entry: EntryCell::new(),
            id,
            index: UNKNOWN,
            logged_turns: 0,
        }
    }
    /// Takes a call or round that is to be logged. False when the unit is not logged, or has been for long enough.
    pub fn take_logged_turn(&mut self) -> bool {
        let goes_on = self.flags & UNIT_LOGGED != 0 && self.logged_turns > 0;
        if goes_on {
            self.logged_turns -= 1;
            self.counter = 0;
        }
        goes_on
    }
}
