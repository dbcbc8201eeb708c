//! To-be-closed variables.
//!
//! The list of those that are pending belongs to the runloop; what stands in it are slots. So a variable's value is in its slot
//! of the window from its mark on, in compiled code too, and whoever closes it, an interpreted frame or the search for an error's
//! handler among them, finds it there.

use super::frame::{attempt, guest, state_of};
use super::{Context, Value};

host_functions! {
    /// Marks the variable in `slot` as to be closed, unless its value is nil or false.
    fn lua_mark_to_be_closed(context, window; slot: raw Value, value: any) {
        slot.write(value);
        if !value.is_falsy() {
            attempt(context, window, |state| state.mark_to_be_closed(slot));
        }
    }

    /// Whether variables at or above `from` are to be closed.
    fn lua_is_close_due(context; from: raw Value) -> i1 {
        u64::from(state_of(context).is_close_due(from))
    }

    /// Closes the variables at or above `from`. `count` values at `open` are in use.
    fn lua_close(context, window; from: raw Value, open: raw Value, count: i64) {
        let end = open.add(count as usize).max(window);
        guest(context, end, |state| state.close_from(from).map(|()| Value::NIL));
    }
}
