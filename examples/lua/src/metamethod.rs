//! Metamethods: their names, and where a value's handler is found.

use crate::object::Table;
use crate::state::State;
use crate::table;
use crate::value::{Tag, Value};

/// An event that a metatable can handle.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it: `__index`, `__newindex`, …")]
pub enum Event {
    Index,
    NewIndex,
    Call,
    Add,
    Sub,
    Mul,
    Mod,
    Pow,
    Div,
    FloorDiv,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Negate,
    BitNot,
    Concat,
    Length,
    Equal,
    Less,
    LessEqual,
    Close,
    Collect,
    Mode,
    ToString,
    Name,
    Pairs,
    Metatable,
}

impl Event {
    /// How many events there are.
    pub const COUNT: usize = 29;

    /// The fields' names, in the order of the events.
    pub const NAMES: [&'static str; Event::COUNT] = [
        "__index",
        "__newindex",
        "__call",
        "__add",
        "__sub",
        "__mul",
        "__mod",
        "__pow",
        "__div",
        "__idiv",
        "__band",
        "__bor",
        "__bxor",
        "__shl",
        "__shr",
        "__unm",
        "__bnot",
        "__concat",
        "__len",
        "__eq",
        "__lt",
        "__le",
        "__close",
        "__gc",
        "__mode",
        "__tostring",
        "__name",
        "__pairs",
        "__metatable",
    ];

    /// The name without underscores, as messages and tracebacks give it.
    pub fn short_name(self) -> &'static str {
        &Event::NAMES[self as usize][2..]
    }
}

impl State {
    /// The metatable of a value, or null.
    #[inline]
    pub fn metatable_of(&self, value: Value) -> *mut Table {
        // SAFETY: the tag says what the payload points to.
        unsafe {
            if value.is(Tag::Table) {
                (*value.as_table()).metatable
            } else if value.is(Tag::Userdata) {
                (*value.as_userdata()).metatable
            } else {
                self.type_metatables[value.tag as usize]
            }
        }
    }

    /// Gives all values of a basic type a metatable, or null.
    pub fn set_type_metatable(&mut self, value: Value, metatable: *mut Table) {
        self.type_metatables[value.tag as usize] = metatable;
        // Types with two representations.
        for pair in [[Tag::Int, Tag::Float], [Tag::LuaClosure, Tag::Native]] {
            if pair.iter().any(|tag| value.is(*tag)) {
                for tag in pair {
                    self.type_metatables[tag as usize] = metatable;
                }
            }
        }
        // Cached lookups that went through the metatable of a type are void.
        self.heap.chains_changed();
    }

    /// A value's handler of an event, or nil.
    #[inline]
    pub fn metamethod(&self, value: Value, event: Event) -> Value {
        let metatable = self.metatable_of(value);
        if metatable.is_null() { Value::NIL } else { table::metamethod(&self.heap, metatable, event) }
    }
}
