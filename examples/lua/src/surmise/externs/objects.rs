//! New tables, cells and closures; upvalues and cells of closures.

use super::frame::{allocated, state_of};
use super::{Context, Value};
use crate::bytecode::{Prototype, UpvalueSource};
use crate::heap::Heap;
use crate::object::{Cell, Header, LuaClosure, Table};

/// Makes a closure of a child of `parent`'s function, whose registers stand at `base`.
///
/// # Safety
/// The prototype is such a child; the registers that it captures are in the window.
unsafe fn make_closure(
    heap: &mut Heap,
    parent: *mut LuaClosure,
    prototype: *mut Prototype,
    base: *mut Value,
) -> *mut LuaClosure {
    // SAFETY: handed on; allocation never collects.
    unsafe {
        let infos = &(*prototype).upvalues;
        let closure = heap.new_closure(prototype, infos.len() as u32);
        let upvalues = LuaClosure::upvalues(closure);
        for (index, info) in infos.iter().enumerate() {
            upvalues.add(index).write(match info.source {
                UpvalueSource::Register(register) => base.add(register as usize).read(),
                UpvalueSource::Upvalue(index) => LuaClosure::upvalues(parent).add(index as usize).read(),
                UpvalueSource::Itself => Value::closure(closure),
            });
        }
        closure
    }
}

host_functions! {
    /// A table with room for so many elements and properties.
    fn lua_new_table(context, window; array: i64, properties: i64) -> ref Table {
        let object = state_of(context).heap.new_table(array as u32, properties as u32);
        allocated(context, window, Value::table(object)).as_table()
    }

    /// A cell.
    fn lua_new_cell(context, window; value: any) -> ref Cell {
        let cell = state_of(context).heap.new_cell(value);
        allocated(context, window, Value::cell(cell)).as_cell()
    }

    /// A closure of a child of the running function. Registers that it captures were stored to the window at `base`.
    fn lua_new_closure(
        context, window; parent: ref LuaClosure, prototype: raw Prototype, base: raw Value
    ) -> ref LuaClosure {
        let closure = make_closure(&mut state_of(context).heap, parent, prototype, base);
        allocated(context, window, Value::closure(closure)).as_closure()
    }

    /// An upvalue, as it is: a value or a cell.
    fn lua_get_upvalue(_; closure: ref LuaClosure, index: i64) -> any {
        LuaClosure::upvalues(closure).add(index as usize).read()
    }

    /// What a cell holds.
    fn lua_get_cell(_; cell: ref Cell) -> any {
        (*cell).value
    }

    /// Stores to a cell.
    fn lua_set_cell(context; cell: ref Cell, value: any) {
        (*cell).value = value;
        state_of(context).heap.barrier_value(cell as *mut Header, value);
    }
}
