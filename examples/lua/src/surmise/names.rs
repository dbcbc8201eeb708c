//! Ids for shapes and objects: what logs, recipes and recordings hold instead of addresses.

use crate::shape::{SHAPE_PINNED, Shape};
use crate::value::Value;

/// The ids of one state. Everything that has an id stays alive as long as the state.
#[derive(Default)]
pub struct Names {
    shapes: rustc_hash::FxHashMap<u32, *mut Shape>,
    objects: Vec<Value>,
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
}
