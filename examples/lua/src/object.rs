//! The heap objects, as they lie in memory. Compiled code reads and writes the fields that `language.rs` declares, so every
//! object is `repr(C)` and starts with a [`Header`].
//!
//! ```text
//! Header      kind:u8 | flags:u8 | -:u16 | identity:u32            8 bytes; while evacuated: the new address | 1
//! Table       header | shape* | slots* | array* | array_length:u32 slot_capacity:u32 | hash* | metatable*
//! Buffer      header | capacity:u32 -:u32 | Value * capacity       property slots and array parts
//! LuaClosure  header | prototype* | upvalue_count:u32 -:u32 | Value * upvalue_count
//! Cell        header | Value                                       a captured variable that is assigned after its capture
//! LuaString   header | hash:u32 length:u32 | bytes.. 0             never moves (allocated old), short ones interned
//! ```
//!
//! Objects are allocated young in the copying nursery and move at most once, when they survive: into the old space, where
//! objects stay. Strings, native functions, userdata and threads are old from the start. Prototypes and shapes are no heap
//! objects and never move: prototypes are owned by the state and live as long as it does, shapes by the heap (a full
//! collection frees those whose metatable died).
//!
//! **The rule for pointers.** Code of this crate hands heap objects around as plain `*mut` pointers. Every such pointer is to
//! a live object of its type: objects are freed or moved only by a collection, collections happen only at safepoints, and
//! nobody keeps a pointer across one except where the collector finds it (a root) and updates it. Functions that take such
//! pointers rely on this and are therefore not marked `unsafe`.

#![allow(clippy::not_unsafe_ptr_arg_deref, reason = "the rule for pointers in this module's comment")]

use crate::bytecode::Prototype;
use crate::heap::ThreadPayload;
use crate::shape::Shape;
use crate::state::NativeEntry;
use crate::table::HashPart;
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
/// The object's metatable had `__gc` when it was set, and the finalizer was not called yet.
pub const FLAG_FINALIZER: u8 = 16;
/// (Tables with a carded array part, which never carry [`FLAG_REMEMBERED`]) The table is in the remembered list.
pub const FLAG_LISTED: u8 = 32;
/// (Tables) The table has a tree of shapes of its own, in which stores are noticed (`table/kept.rs`).
pub const FLAG_KEPT_FIELDS: u8 = 64;

/// (Tables, `extra`) The table of globals: allowed more properties than others before it becomes a dictionary.
pub const TABLE_GLOBALS: u16 = 1;
/// (Strings, `extra`) The string is interned.
pub const STRING_INTERNED: u16 = 1;
/// (Strings, `extra`) The hash field is valid.
pub const STRING_HASHED: u16 = 2;
/// (Buffers, `extra`) One byte per [`CARD_VALUES`] values follows the values: which of them may hold young pointers.
pub const BUFFER_CARDED: u16 = 1;
/// Values per card.
pub const CARD_VALUES: usize = 128;
/// Place in the list of young owners' old parts: none.
pub const NO_OWNER_INDEX: u32 = u32::MAX;

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
    /// `extra` holds `STRING_*`: two interned strings are equal exactly when their addresses are.
    pub header: Header,
    /// Hash of the bytes; for long strings computed on demand, [`STRING_HASHED`] says whether.
    pub hash: u32,
    /// Length in bytes.
    pub length: u32,
    // the bytes follow
}

/// A fixed-capacity array of values, owned by exactly one table.
#[repr(C)]
pub struct Buffer {
    /// Header.
    pub header: Header,
    /// Room for how many values. Only those that the table uses are initialized: `shape.count` property slots,
    /// `array_length` array elements.
    pub capacity: u32,
    /// Place in the heap's list of old buffers whose owner is still young, or [`NO_OWNER_INDEX`].
    pub owner_index: u32,
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
    /// Room in `slots`. In use are as many as the shape counts.
    pub slot_capacity: u32,
    /// The hash part; null as long as there is none.
    pub hash: *mut HashPart,
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

/// A coroutine. Always old; remembered while it may run (see [`crate::heap::ThreadPayload`]).
#[repr(C)]
pub struct Thread {
    /// Header.
    pub header: Header,
    /// Its stacks and all that belongs to it; dropped when the thread is collected.
    pub payload: Option<Box<dyn ThreadPayload>>,
}

/// A header as one word, for one store.
#[inline(always)]
pub const fn header_word(kind: ObjectKind, flags: u8) -> u64 {
    kind as u64 | (flags as u64) << 8
}

impl LuaString {
    /// The bytes, without the terminating zero. They live as long as the string does.
    #[inline(always)]
    pub fn bytes<'a>(this: *const LuaString) -> &'a [u8] {
        // SAFETY: `this` is a live string (module comment); `length` bytes follow its fields.
        unsafe { std::slice::from_raw_parts(this.add(1) as *const u8, (*this).length as usize) }
    }
    /// Whether the string is interned, that is, short.
    #[inline(always)]
    pub fn is_interned(this: *const LuaString) -> bool {
        // SAFETY: `this` is a live string.
        unsafe { (*this).header.extra & STRING_INTERNED != 0 }
    }
}

impl Buffer {
    /// The first value.
    #[inline(always)]
    pub fn values(this: *mut Buffer) -> *mut Value {
        this.wrapping_add(1) as *mut Value
    }
    /// How many cards follow `capacity` values.
    pub const fn card_count(capacity: u32) -> usize {
        (capacity as usize).div_ceil(CARD_VALUES).next_multiple_of(8)
    }
    /// The first card. The buffer must be carded.
    #[inline(always)]
    pub fn cards(this: *mut Buffer) -> *mut u8 {
        // SAFETY: `this` is a live buffer; the cards lie behind its values.
        unsafe { Buffer::values(this).wrapping_add((*this).capacity as usize) as *mut u8 }
    }
    /// Whether `this` is a buffer with cards; null is none.
    #[inline(always)]
    pub fn is_carded(this: *const Buffer) -> bool {
        // SAFETY: `this` is null or a live buffer.
        unsafe { !this.is_null() && (*this).header.extra & BUFFER_CARDED != 0 }
    }
    /// Bytes that a buffer occupies.
    #[inline(always)]
    pub const fn size(capacity: u32, carded: bool) -> usize {
        size_of::<Buffer>()
            + capacity as usize * size_of::<Value>()
            + if carded { Buffer::card_count(capacity) } else { 0 }
    }
}

impl LuaClosure {
    /// The first upvalue.
    #[inline(always)]
    pub fn upvalues(this: *mut LuaClosure) -> *mut Value {
        this.wrapping_add(1) as *mut Value
    }
}

impl NativeFunction {
    /// The first upvalue. Whoever assigns one calls the write barrier.
    #[inline(always)]
    pub fn upvalues(this: *mut NativeFunction) -> *mut Value {
        this.wrapping_add(1) as *mut Value
    }
}

/// Bytes that an object occupies.
pub fn object_size(object: *const Header) -> usize {
    // SAFETY: `object` is a live object, so its kind says which struct it is.
    unsafe {
        match (*object).kind {
            k if k == ObjectKind::String as u8 => {
                string_size((*(object as *const LuaString)).length as usize)
            }
            k if k == ObjectKind::Table as u8 => size_of::<Table>(),
            k if k == ObjectKind::LuaClosure as u8 => {
                closure_size((*(object as *const LuaClosure)).upvalue_count as usize)
            }
            k if k == ObjectKind::Native as u8 => {
                native_size((*(object as *const NativeFunction)).upvalue_count as usize)
            }
            k if k == ObjectKind::Userdata as u8 => size_of::<Userdata>(),
            k if k == ObjectKind::Cell as u8 => size_of::<Cell>(),
            k if k == ObjectKind::Buffer as u8 => {
                let buffer = object as *const Buffer;
                Buffer::size((*buffer).capacity, Buffer::is_carded(buffer))
            }
            k if k == ObjectKind::HashPart as u8 => HashPart::size((*(object as *const HashPart)).capacity),
            k if k == ObjectKind::Thread as u8 => size_of::<Thread>(),
            kind => unreachable!("no object of kind {kind} at {object:p}"),
        }
    }
}

/// Bytes of a string object with `length` bytes of text.
#[inline(always)]
pub const fn string_size(length: usize) -> usize {
    (size_of::<LuaString>() + length + 1).next_multiple_of(8)
}
/// Bytes of a closure with `count` upvalues.
#[inline(always)]
pub const fn closure_size(count: usize) -> usize {
    size_of::<LuaClosure>() + count * size_of::<Value>()
}
/// Bytes of a native function with `count` upvalues.
pub const fn native_size(count: usize) -> usize {
    size_of::<NativeFunction>() + count * size_of::<Value>()
}
