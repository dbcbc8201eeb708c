//! The heap objects, as they lie in memory. Compiled code reads and writes the fields that `language.rs` declares, so every
//! object is `repr(C)` and starts with a [`Header`].
//!
//! ```text
//! Header      kind:u8 | flags:u8 | -:u16 | identity:u32            8 bytes; while evacuated: the new address | 1
//! Table       header | shape* | slots* | array* | array_length:u32 slots_capacity:u32 | hash* | -      (see table.rs)
//! Buffer      header | capacity:u32 -:u32 | Value * capacity       property slots and array parts
//! LuaClosure  header | prototype* | upvalue_count:u32 -:u32 | Value * upvalue_count
//! Cell        header | Value                                       a captured variable that is assigned after its capture
//! LuaString   header | hash:u32 length:u32 | bytes.. 0             never moves (allocated old), short ones interned
//! ```
//!
//! Objects are allocated young in the copying nursery and move at most once, when they survive: into the old space, where
//! objects stay. Strings, prototypes and native functions are old from the start. Prototypes and shapes are no heap objects:
//! they are owned by the state, never move and live as long as it does.

use crate::bytecode::Prototype;
use crate::shape::Shape;
use crate::state::NativeEntry;
use crate::value::Value;

/// Which layout follows a header. The numbers are odd so that a header whose lowest bit is clear is none; an evacuated
/// object's header is its new address (multiple of 8, lowest bit clear).
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectKind {
    /// [`LuaString`].
    String = 1,
    /// [`Table`].
    Table = 3,
    /// [`LuaClosure`].
    LuaClosure = 5,
    /// [`NativeFunction`].
    Native = 7,
    /// [`Userdata`].
    Userdata = 9,
    /// [`Cell`].
    Cell = 11,
    /// [`Buffer`].
    Buffer = 13,
    /// The hash part of a table ([`crate::table::HashPart`]).
    HashPart = 15,
    /// A coroutine.
    Thread = 17,
}

/// The object is in the old space.
pub const FLAG_OLD: u8 = 1;
/// The object is in the remembered set: it is old and may point to young objects.
pub const FLAG_REMEMBERED: u8 = 2;
/// The object was reached by the current full collection.
pub const FLAG_MARKED: u8 = 4;
/// (Tables) The table is, or was, some table's metatable or `__index`: stores to it may matter to others.
pub const FLAG_CLASS_LIKE: u8 = 8;

/// The first eight bytes of every heap object.
#[repr(C)]
pub struct Header {
    /// An [`ObjectKind`].
    pub kind: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// Free for the kind's own use.
    pub extra: u16,
    /// Identity hash, assigned on first use as a hash key; 0 means none yet. It travels with the object.
    pub identity: u32,
}

/// A string: immutable bytes with a terminating zero that is not counted.
#[repr(C)]
pub struct LuaString {
    /// `extra` is 1 for interned strings: two interned strings are equal exactly when their addresses are.
    pub header: Header,
    /// Hash of the bytes (for long strings computed on demand, `extra` bit 1 says whether).
    pub hash: u32,
    /// Length in bytes.
    pub length: u32,
    // the bytes follow
}

/// A fixed-capacity array of values.
#[repr(C)]
pub struct Buffer {
    /// Header.
    pub header: Header,
    /// Number of values that follow; all of them are initialized.
    pub capacity: u32,
    /// Zero.
    pub reserved: u32,
    // the values follow, at offset 16
}

/// A table. Properties with string keys are described by the shape and live in `slots`; `1..=array_length` live in `array`;
/// everything else, and all string keys of a table in dictionary mode, in `hash`.
#[repr(C)]
pub struct Table {
    /// Header.
    pub header: Header,
    /// Names, positions and the metatable of the properties. Never null, never a heap object.
    pub shape: *mut Shape,
    /// Property values, by the positions that the shape gives; null as long as there are none.
    pub slots: *mut Buffer,
    /// The array part; null as long as there is none.
    pub array: *mut Buffer,
    /// How many elements of the array part are in use: `t[1..=array_length]`, none of them above this is in `array`.
    /// Elements inside may be nil.
    pub array_length: u32,
    /// Number of the table's properties in `slots` (equals the shape's count).
    pub slots_used: u32,
    /// The hash part; null as long as there is none.
    pub hash: *mut crate::table::HashPart,
    /// The metatable, or null. The shape knows it too: tables of one shape have the same metatable.
    pub metatable: *mut Table,
}

/// A closure over a Lua function. An upvalue is the captured value itself when the variable is never assigned after its
/// capture, else a [`Cell`]; the prototype says which.
#[repr(C)]
pub struct LuaClosure {
    /// Header.
    pub header: Header,
    /// The function. Never moves.
    pub prototype: *mut Prototype,
    /// How many upvalues follow.
    pub upvalue_count: u32,
    /// Zero.
    pub reserved: u32,
    // the upvalues follow, at offset 24
}

/// A captured variable that is assigned after its capture.
#[repr(C)]
pub struct Cell {
    /// Header.
    pub header: Header,
    /// The variable's value.
    pub value: Value,
}

/// A native function. Always old.
#[repr(C)]
pub struct NativeFunction {
    /// Header.
    pub header: Header,
    /// The code.
    pub entry: NativeEntry,
    /// Its name in error messages.
    pub name: &'static str,
    /// Number identifying well-known functions to the optimizer (0: none).
    pub intrinsic: u32,
    /// How many upvalues follow.
    pub upvalue_count: u32,
    // the upvalues follow
}

/// A native object, such as an open file.
#[repr(C)]
pub struct Userdata {
    /// Header.
    pub header: Header,
    /// Its metatable, or null.
    pub metatable: *mut Table,
    /// The payload, dropped when the userdata is collected.
    pub payload: Option<Box<dyn std::any::Any>>,
}
