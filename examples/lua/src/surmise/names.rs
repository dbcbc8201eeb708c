//! Ids for shapes and objects: what logs, recipes and recordings hold instead of addresses.

use rustc_hash::FxHashMap;

use crate::bytecode::Prototype;
use crate::heap::Heap;
use crate::object::Table;
use crate::shape::{SHAPE_PINNED, Shape};
use crate::state::{Call, State, Throw};
use crate::table;
use crate::value::{Tag, Value};

/// Fields of a table that no program has: fields of one that stands for a class are read by their places.
pub const STAND_IN_FIELDS: u32 = 64;

/// The ids of one state. Everything that has an id stays alive as long as the state.
#[derive(Default)]
pub struct Names {
    shapes: FxHashMap<u32, *mut Shape>,
    objects: Vec<Value>,
    stand_ins: StandIns,
}

/// Ids of shapes and objects that were made to be unlike all that a program has.
#[derive(Default)]
struct StandIns {
    shapes: Vec<u32>,
    objects: FxHashMap<(Tag, usize), u32>,
}

impl Names {
    /// The id of a shape. The shape is pinned: its address is compared by compiled code, so it must not be given to another.
    pub fn shape(&mut self, shape: *mut Shape) -> u32 {
        // SAFETY: a table's shape is live.
        let id = unsafe {
            (*shape).flags |= SHAPE_PINNED;
            (*shape).id
        };
        self.shapes.insert(id, shape);
        id
    }
    /// The shape with an id.
    pub fn shape_by_id(&self, id: u32) -> Option<*mut Shape> {
        self.shapes.get(&id).copied()
    }
    /// The id of an object. There are few: tables that others inherit from, and what globals, libraries and classes name.
    pub fn object(&mut self, object: Value) -> u32 {
        let known = self.objects.iter().position(|known| known.same_bits(object));
        known.unwrap_or_else(|| {
            self.objects.push(object);
            self.objects.len() - 1
        }) as u32
    }
    /// Whether an object has an id.
    pub fn is_known(&self, object: Value) -> bool {
        self.objects.iter().any(|known| known.same_bits(object))
    }
    /// The object with an id.
    pub fn object_by_id(&self, id: u32) -> Option<Value> {
        self.objects.get(id as usize).copied()
    }
    /// The objects, for the collector.
    pub fn objects_mut(&mut self) -> &mut [Value] {
        &mut self.objects
    }

    /// The id of a shape that no table has. Each number has another one.
    pub fn stand_in_shape(&mut self, heap: &mut Heap, number: usize) -> u32 {
        while self.stand_ins.shapes.len() <= number {
            let shape = heap.shapes.make_root(SHAPE_PINNED, std::ptr::null_mut());
            let id = self.shape(shape);
            self.stand_ins.shapes.push(id);
        }
        self.stand_ins.shapes[number]
    }
    /// The id of a closure (of some prototype), native function or table that no program has. Each number has another one.
    pub fn stand_in_object(
        &mut self,
        heap: &mut Heap,
        prototype: *mut Prototype,
        tag: Tag,
        number: usize,
    ) -> Option<u32> {
        if let Some(&id) = self.stand_ins.objects.get(&(tag, number)) {
            return Some(id);
        }
        let object = match tag {
            Tag::LuaClosure => Value::closure(heap.new_closure(prototype, 0)),
            Tag::Native => Value::native(heap.new_native(never_called, "?", 0, &[])),
            Tag::Table => Value::table(table_with_fields(heap)),
            _ => return None,
        };
        let id = self.object(object);
        self.stand_ins.objects.insert((tag, number), id);
        Some(id)
    }
}

fn table_with_fields(heap: &mut Heap) -> *mut Table {
    let table = heap.new_table(0, STAND_IN_FIELDS);
    for field in 0..STAND_IN_FIELDS {
        let key = heap.intern(field.to_string().as_bytes());
        table::set_string(heap, table, key, Value::TRUE);
    }
    table
}

fn never_called(state: &mut State, _call: Call) -> Result<u32, Throw> {
    Err(state.throw_message("a function was called that no program has"))
}
