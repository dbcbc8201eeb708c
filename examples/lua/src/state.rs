//! The state of one Lua: heap, current runloop, globals, metatables of the basic types; and the interface of native functions.
//!
//! A native function is a [`NativeEntry`]. Its arguments are `call.base[0..call.count]`; it writes its results from
//! `call.base[-1]` on and returns their number. It may hold raw pointers to heap objects freely, since allocation never
//! collects; only [`State::call`] and what may call back into Lua does (everything with metamethods: `index`, `set_index`,
//! `equals`, `less_than`, `to_display_string`, …). Across those, values must lie in the argument window
//! ([`State::reserve`] makes it larger) and be read again.

#![allow(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the rule for pointers in the module comment of `object`"
)]

use std::io::IsTerminal;

use smallvec::SmallVec;

use crate::bytecode::Prototype;
use crate::coroutine::line::{MainLine, Running};
use crate::heap::{Heap, HeapSettings};
use crate::object::{LuaString, Table};
use crate::stack::{NATIVE_SLOTS, SLACK_SLOTS};
use crate::value::Value;

/// An error is on its way: its value is in [`State::error_value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throw;

/// The code of a native function.
pub type NativeEntry = fn(&mut State, Call) -> Result<u32, Throw>;

/// A native returns this number when it has changed the frames instead of returning: the run loop goes on with the current
/// frame.
pub const FRAMES_CHANGED: u32 = u32::MAX;

/// The values of a call.
pub type Values = SmallVec<[Value; 4]>;

/// A native function's window.
#[derive(Clone, Copy)]
pub struct Call {
    /// The first argument; the function itself is at `base[-1]`.
    pub base: *mut Value,
    /// Number of arguments.
    pub count: u32,
}

/// One Lua.
#[repr(C)]
pub struct State {
    /// The heap; first, since machine code allocates inline.
    pub heap: Heap,
    /// The line of execution that runs.
    pub runloop: Running,
    /// The error that [`Throw`] speaks of. A root.
    pub error_value: Value,
    /// Whether the message handler has seen `error_value`.
    pub error_handled: bool,
    /// Metatables of the types whose values have none of their own, by tag.
    pub type_metatables: [*mut Table; 12],
    /// The table of globals.
    pub globals: *mut Table,
    /// `package.loaded`; also holds what natives keep by name.
    pub registry: *mut Table,
    /// All prototypes ever loaded, by unit id.
    #[allow(clippy::vec_box, reason = "prototypes are pointed to and must not move")]
    pub prototypes: Vec<Box<Prototype>>,
    /// "not enough memory", made in time.
    pub memory_message: *mut LuaString,
    /// How many values the frame that ended a run loop returned.
    pub result_count: u32,
    /// What the libraries keep.
    pub libraries: crate::lib::libraries::LibraryState,
    /// Where text is put together.
    pub scratch: Vec<u8>,
    /// Standard output that was not written yet.
    pub output: Vec<u8>,
    /// Whether standard output is a terminal.
    pub output_is_terminal: bool,
    /// How much of the output is kept for an embedder, who asked for it.
    pub kept_output: Option<usize>,
    /// Instructions that may still run, if an embedder has limited them.
    pub steps_left: Option<u64>,
    /// Surmise, if it is plugged in.
    pub surmise: Option<Box<crate::surmise::Connection>>,
    /// What a program has set about the collector.
    pub collector: crate::finalizers::Collector,
    /// Warnings.
    pub warnings: crate::lib::warn::Warnings,
    /// Whether the observing run loop runs all frames, for a hook or a limit on steps, or only those of units that are being logged.
    pub all_observed: bool,
    /// Whether a line of execution may have a hook.
    pub has_hooks: bool,
    /// Whether everything is deoptimized at every so-many-th safepoint.
    pub stressed: bool,
    /// What coroutines share.
    pub coroutines: crate::coroutine::Coroutines,
    /// The main line of execution.
    pub(crate) main_line: MainLine,
}

impl Call {
    /// Argument `i`, counted from zero; nil when absent.
    #[inline(always)]
    pub fn arg(self, i: u32) -> Value {
        if i < self.count {
            // SAFETY: inside the window that the caller made.
            unsafe { self.base.add(i as usize).read() }
        } else {
            Value::NIL
        }
    }

    /// Whether argument `i` was not given at all.
    #[inline(always)]
    pub fn is_none(self, i: u32) -> bool {
        i >= self.count
    }

    /// Whether argument `i` was not given or is nil.
    #[inline(always)]
    pub fn is_none_or_nil(self, i: u32) -> bool {
        self.arg(i).is_nil()
    }

    /// Overwrites argument `i`, which must have been given (or reserved): a place that the collector knows.
    #[inline(always)]
    pub fn set_arg(self, i: u32, value: Value) {
        // SAFETY: the caller has at least `NATIVE_SLOTS` slots above its window, and `i` is inside it.
        unsafe { self.base.add(i as usize).write(value) }
    }

    /// The called function object.
    #[inline(always)]
    pub fn function(self) -> Value {
        // SAFETY: the function's slot is below the first argument.
        unsafe { self.base.sub(1).read() }
    }

    /// Writes result `i`, counted from zero. From the second on, results overwrite arguments.
    #[inline(always)]
    pub fn put_result(self, i: u32, value: Value) {
        // SAFETY: results start at the function's slot; the caller has made sure that there is room.
        unsafe { self.base.sub(1).add(i as usize).write(value) }
    }

    /// Returns one value.
    #[inline(always)]
    pub fn return_one(self, value: Value) -> Result<u32, Throw> {
        // SAFETY: results start at the function's slot.
        unsafe { self.base.sub(1).write(value) };
        Ok(1)
    }

    /// Returns two values.
    #[inline(always)]
    pub fn return_two(self, first: Value, second: Value) -> Result<u32, Throw> {
        // SAFETY: results start at the function's slot; there is always room above a native's window.
        unsafe {
            self.base.sub(1).write(first);
            self.base.write(second);
        }
        Ok(2)
    }

    /// Returns nothing.
    #[inline(always)]
    pub fn return_none(self) -> Result<u32, Throw> {
        Ok(0)
    }

    /// Returns the values of a slice. For more than `NATIVE_SLOTS` values ask [`State::check_stack`] first.
    pub fn return_slice(self, values: &[Value]) -> Result<u32, Throw> {
        debug_assert!(values.len() <= NATIVE_SLOTS + self.count as usize || values.len() > SLACK_SLOTS);
        for (i, value) in values.iter().enumerate() {
            // SAFETY: results start at the function's slot; the caller has made sure that there is room.
            unsafe { self.base.sub(1).add(i).write(*value) };
        }
        Ok(values.len() as u32)
    }
}

impl State {
    /// A new state without libraries.
    pub fn new(settings: HeapSettings) -> Box<State> {
        let mut heap = Heap::new(settings);
        let globals = heap.new_globals_table();
        let registry = heap.new_table(0, 16);
        let memory_message = heap.intern(b"not enough memory");
        let main_line = MainLine::new();
        let mut state = Box::new(State {
            heap,
            runloop: main_line.running(),
            error_value: Value::NIL,
            error_handled: false,
            type_metatables: [std::ptr::null_mut(); 12],
            globals,
            registry,
            prototypes: Vec::new(),
            memory_message,
            result_count: 0,
            libraries: Default::default(),
            scratch: Vec::new(),
            surmise: None,
            collector: Default::default(),
            warnings: Default::default(),
            all_observed: false,
            has_hooks: false,
            stressed: false,
            coroutines: Default::default(),
            main_line,
            output: Vec::new(),
            output_is_terminal: std::io::stdout().is_terminal(),
            kept_output: None,
            steps_left: None,
        });
        state.make_main_coroutine();
        state
    }

    /// Makes sure that `count` values fit above `base`; else "stack overflow" with `message` behind it.
    pub fn check_stack(&mut self, base: *mut Value, count: usize, message: &str) -> Result<(), Throw> {
        // SAFETY: only compared; counts are checked before they could overflow an address.
        let end = unsafe { base.add(count.min(2 * crate::stack::STACK_SLOTS)) };
        if end <= self.runloop.limit || count <= NATIVE_SLOTS || self.runloop.raise_limit(end) {
            return Ok(());
        }
        Err(self.throw_message(if message.is_empty() {
            "stack overflow".to_string()
        } else {
            format!("stack overflow ({message})")
        }))
    }

    /// Enlarges a native's window to `count` slots (new ones are nil): places for values that must survive a call back into
    /// Lua. At most `NATIVE_SLOTS` more than the arguments.
    pub fn reserve(&mut self, call: Call, count: u32) -> Call {
        for i in call.count..count {
            // SAFETY: a native may use `NATIVE_SLOTS` above its window.
            unsafe { call.base.add(i as usize).write(Value::NIL) };
        }
        // SAFETY: the current frame is the calling native's.
        unsafe {
            let frame = &mut *self.runloop.frame;
            let end = call.base.add(count.max(call.count) as usize);
            if end > frame.top {
                frame.top = end;
            }
        }
        Call { base: call.base, count: count.max(call.count) }
    }

    /// A new string.
    #[inline]
    pub fn new_string(&mut self, bytes: &[u8]) -> *mut LuaString {
        self.heap.intern(bytes)
    }

    /// A new string as a value.
    #[inline]
    pub fn string_value(&mut self, bytes: &[u8]) -> Value {
        Value::string(self.heap.intern(bytes))
    }

    /// A new table with room for `array` elements and `properties` named ones.
    #[inline]
    pub fn new_table(&mut self, array: u32, properties: u32) -> *mut Table {
        self.heap.new_table(array, properties)
    }
}
