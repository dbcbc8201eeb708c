//! A Lua value: sixteen bytes, a tag and a payload (the *pair* encoding of `surmise-ir`).
//!
//! Lua 5.4 has 64-bit integers beside 64-bit floats. In a NaN-boxed word one of the two would have to live on the heap as
//! soon as it leaves 51 bits; a pair keeps both unboxed, and hands machine code the tag and the payload in a register each.
//!
//! What must hold:
//! * the tag word is exactly one of the constants of [`Tag`]; its upper 56 bits are zero;
//! * `nil` has payload 0 and a boolean has payload 0 or 1, so that values other than floats are raw-equal exactly when both
//!   words are equal;
//! * the payload of a collectable value is the address of a live [`crate::object::Header`].

use crate::object::{Cell, Header, LuaClosure, LuaString, NativeFunction, Table, Thread, Userdata};

/// What a value is. The order matters: falsy values are found among the tags `<= Bool`, numbers are `Int` and `Float`, and
/// everything from `String` on is a pointer to a heap object.
#[repr(u64)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Tag {
    /// `nil`, payload 0.
    Nil = 0,
    /// A boolean, payload 0 or 1.
    Bool = 1,
    /// A 64-bit signed integer.
    Int = 2,
    /// An IEEE double, payload is its bits.
    Float = 3,
    /// A raw address, compared by value.
    LightUserdata = 4,
    /// A string object.
    String = 5,
    /// A table object.
    Table = 6,
    /// A closure over a Lua function.
    LuaClosure = 7,
    /// A native function object.
    Native = 8,
    /// A userdata object.
    Userdata = 9,
    /// A coroutine.
    Thread = 10,
    /// A captured variable's box. Never visible to a program; lives in registers and upvalues only.
    Cell = 11,
}

/// The first tag whose payload is a heap pointer.
pub const FIRST_HEAP_TAG: u64 = Tag::String as u64;

/// One Lua value. `==` compares word for word, as [`Value::same_bits`]: not as Lua does.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// One of [`Tag`], as a full word, so that it is written, read and compared with one instruction.
    pub tag: u64,
    /// Integer, float bits, boolean, or address.
    pub payload: u64,
}

impl Value {
    /// `nil`.
    pub const NIL: Value = Value { tag: Tag::Nil as u64, payload: 0 };
    /// `false`.
    pub const FALSE: Value = Value { tag: Tag::Bool as u64, payload: 0 };
    /// `true`.
    pub const TRUE: Value = Value { tag: Tag::Bool as u64, payload: 1 };

    /// An integer.
    #[inline(always)]
    pub const fn int(value: i64) -> Value {
        Value { tag: Tag::Int as u64, payload: value as u64 }
    }
    /// A float.
    #[inline(always)]
    pub const fn float(value: f64) -> Value {
        Value { tag: Tag::Float as u64, payload: value.to_bits() }
    }
    /// A boolean.
    #[inline(always)]
    pub const fn bool(value: bool) -> Value {
        Value { tag: Tag::Bool as u64, payload: value as u64 }
    }
    /// A string.
    #[inline(always)]
    pub fn string(object: *mut LuaString) -> Value {
        Value { tag: Tag::String as u64, payload: object as u64 }
    }
    /// A table.
    #[inline(always)]
    pub fn table(object: *mut Table) -> Value {
        Value { tag: Tag::Table as u64, payload: object as u64 }
    }
    /// A Lua closure.
    #[inline(always)]
    pub fn closure(object: *mut LuaClosure) -> Value {
        Value { tag: Tag::LuaClosure as u64, payload: object as u64 }
    }
    /// A native function.
    #[inline(always)]
    pub fn native(object: *mut NativeFunction) -> Value {
        Value { tag: Tag::Native as u64, payload: object as u64 }
    }
    /// A userdata.
    #[inline(always)]
    pub fn userdata(object: *mut Userdata) -> Value {
        Value { tag: Tag::Userdata as u64, payload: object as u64 }
    }
    /// A coroutine.
    #[inline(always)]
    pub fn thread(object: *mut Thread) -> Value {
        Value { tag: Tag::Thread as u64, payload: object as u64 }
    }
    /// A captured variable's box.
    #[inline(always)]
    pub fn cell(object: *mut Cell) -> Value {
        Value { tag: Tag::Cell as u64, payload: object as u64 }
    }

    /// Whether the tag is `tag`.
    #[inline(always)]
    pub fn is(self, tag: Tag) -> bool {
        self.tag == tag as u64
    }
    /// Whether the value is `nil`.
    #[inline(always)]
    pub fn is_nil(self) -> bool {
        self.is(Tag::Nil)
    }
    /// Whether the value is an integer.
    #[inline(always)]
    pub fn is_int(self) -> bool {
        self.is(Tag::Int)
    }
    /// Whether the value is a float.
    #[inline(always)]
    pub fn is_float(self) -> bool {
        self.is(Tag::Float)
    }
    /// Whether the payload is the address of a heap object.
    #[inline(always)]
    pub fn is_heap(self) -> bool {
        self.tag >= FIRST_HEAP_TAG
    }
    /// Whether the value may be the address of a young object: strings never are. What a write barrier asks first.
    #[inline(always)]
    pub fn may_be_young(self) -> bool {
        self.tag > Tag::String as u64
    }
    /// Whether the value counts as false in a condition: `nil` and `false`.
    #[inline(always)]
    pub fn is_falsy(self) -> bool {
        self.tag <= Tag::Bool as u64 && self.payload == 0
    }
    /// The integer. The tag must be `Int`.
    #[inline(always)]
    pub fn as_int(self) -> i64 {
        debug_assert!(self.is_int());
        self.payload as i64
    }
    /// The float. The tag must be `Float`.
    #[inline(always)]
    pub fn as_float(self) -> f64 {
        debug_assert!(self.is_float());
        f64::from_bits(self.payload)
    }
    /// The string object. The tag must be `String`.
    #[inline(always)]
    pub fn as_string(self) -> *mut LuaString {
        debug_assert!(self.is(Tag::String));
        self.payload as *mut LuaString
    }
    /// The table object. The tag must be `Table`.
    #[inline(always)]
    pub fn as_table(self) -> *mut Table {
        debug_assert!(self.is(Tag::Table));
        self.payload as *mut Table
    }
    /// The closure object. The tag must be `LuaClosure`.
    #[inline(always)]
    pub fn as_closure(self) -> *mut LuaClosure {
        debug_assert!(self.is(Tag::LuaClosure));
        self.payload as *mut LuaClosure
    }
    /// The native function object. The tag must be `Native`.
    #[inline(always)]
    pub fn as_native(self) -> *mut NativeFunction {
        debug_assert!(self.is(Tag::Native));
        self.payload as *mut NativeFunction
    }
    /// The userdata object. The tag must be `Userdata`.
    #[inline(always)]
    pub fn as_userdata(self) -> *mut Userdata {
        debug_assert!(self.is(Tag::Userdata));
        self.payload as *mut Userdata
    }
    /// The coroutine. The tag must be `Thread`.
    #[inline(always)]
    pub fn as_thread(self) -> *mut Thread {
        debug_assert!(self.is(Tag::Thread));
        self.payload as *mut Thread
    }
    /// The box object. The tag must be `Cell`.
    #[inline(always)]
    pub fn as_cell(self) -> *mut Cell {
        debug_assert!(self.is(Tag::Cell));
        self.payload as *mut Cell
    }
    /// The object's header. The value must be a heap value.
    #[inline(always)]
    pub fn as_header(self) -> *mut Header {
        debug_assert!(self.is_heap());
        self.payload as *mut Header
    }
    /// Raw equality of values that are not both numbers of different kinds: `1 == 1.0` is for the caller.
    #[inline(always)]
    pub fn same_bits(self, other: Value) -> bool {
        self.tag == other.tag && self.payload == other.payload
    }
}

impl std::fmt::Debug for Value {
    /// Shows scalars as they are and objects by address; reads nothing behind it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.tag {
            t if t == Tag::Nil as u64 => formatter.write_str("nil"),
            t if t == Tag::Bool as u64 => write!(formatter, "{}", self.payload != 0),
            t if t == Tag::Int as u64 => write!(formatter, "{}", self.payload as i64),
            t if t == Tag::Float as u64 => write!(formatter, "{:?}", f64::from_bits(self.payload)),
            tag => write!(formatter, "{tag}@{:#x}", self.payload),
        }
    }
}
