//! The activations of a program as it may see them itself: what messages, tracebacks and the `debug` library speak about.
//!
//! The interpreter has a record for each activation. Compiled frames have none; they are found on the native stack. The two lists
//! are merged by the places of the windows on the value stack, which is the order of the calls:
//!
//! ```text
//! records         | main | f ......... | native | h |
//! compiled frames                | g .. |             | k |      windows ascend from left to right
//! levels          | main | f     | g   | native | h   | k |      level 0 is k
//! ```
//!
//! A frame that entered compiled code at a loop has both: the compiled frame says where it is. The record that stands for a
//! compiled frame in a call (`FRAME_COMPILED`) is no activation. Compiled code keeps the frames of tail calls; the interpreter
//! replaces them, and so does this list: a program sees the same in every tier.

use smallvec::SmallVec;
use surmise::deopt::code_map::Snapshot;
use surmise::deopt::frames::{CompiledFrame, FrameSite, FrameWalk};

use crate::bytecode::{Op, Prototype};
use crate::stack::{FRAME_NATIVE, FRAME_TAIL, Frame};
use crate::state::State;
use crate::surmise::externs::frame::FRAME_COMPILED;
use crate::value::Value;

/// One activation of a function.
#[derive(Clone, Copy)]
pub struct Level {
    /// The interpreter's record; null for a compiled frame without one.
    pub record: *mut Frame,
    /// R0, or the first argument of a native function.
    pub base: *mut Value,
    /// The function; null for a native one.
    pub prototype: *mut Prototype,
    /// Lua: index of the instruction that it is at.
    pub pc: usize,
    /// `FRAME_*` of the record; a tail call's in any case.
    pub flags: u32,
    /// Whether it runs compiled code: what its registers hold is not in its window.
    pub is_compiled: bool,
    /// Whether it was inlined: its function is not in the window either.
    pub is_inlined: bool,
}

/// Levels, the running function's first.
pub type Levels = SmallVec<[Level; 4]>;

impl Level {
    /// Whether the function is a native one.
    pub fn is_native(&self) -> bool {
        self.prototype.is_null()
    }

    /// Whether it was called by a tail call.
    pub fn is_tail(&self) -> bool {
        self.flags & FRAME_TAIL != 0
    }

    /// The function's prototype, if it is a Lua function.
    pub fn prototype(&self) -> Option<&'static Prototype> {
        // SAFETY: null, or a prototype, which lives as long as the state.
        unsafe { self.prototype.as_ref() }
    }

    /// The function's slot: where the call was laid out.
    fn function_slot(&self) -> *mut Value {
        // SAFETY: the record is valid as long as its activation lasts.
        let shift = unsafe { self.record.as_ref() }.map_or(0, |record| record.shift as usize);
        self.base.wrapping_sub(1 + shift)
    }

    /// The function; nil for an inlined one.
    pub fn function(&self) -> Value {
        if self.is_inlined {
            return Value::NIL;
        }
        // SAFETY: the function stands below the window.
        unsafe { self.base.sub(1).read() }
    }

    /// The line that it is at, if it is a Lua function; -1 if that is not known.
    pub fn line(&self) -> Option<i64> {
        Some(self.prototype()?.lines.get(self.pc).map_or(-1, |&line| i64::from(line)))
    }

    /// Whether it replaced itself by `callee`, which was called at a slot, if that is the level above.
    fn is_replaced_by(&self, callee: &Level, called_at: *mut Value) -> bool {
        let Some(prototype) = self.prototype() else { return false };
        let Some(instruction) = prototype.code.get(self.pc) else { return false };
        self.is_compiled
            && instruction.op == Op::TailCall
            && !callee.is_native()
            && (callee.is_inlined || called_at == self.base.wrapping_add(instruction.a as usize))
    }
}

/// The level of an interpreter's record.
///
/// # Safety
/// The record is valid.
unsafe fn recorded(record: *mut Frame) -> Level {
    // SAFETY: the function's contract; a Lua frame's pc lies in its prototype's code.
    unsafe {
        let frame = &*record;
        let is_native = frame.flags & FRAME_NATIVE != 0;
        let pc = if is_native {
            0
        } else {
            let at = frame.pc.offset_from((*frame.prototype).code.as_ptr());
            (at as usize).saturating_sub(1)
        };
        Level {
            record,
            base: frame.base,
            prototype: if is_native { std::ptr::null_mut() } else { frame.prototype },
            pc,
            flags: frame.flags,
            is_compiled: false,
            is_inlined: false,
        }
    }
}

/// Compiled activations, newest first, those inlined into a frame before it.
struct Compiled<'a> {
    state: &'a State,
    walk: Option<FrameWalk<'a>>,
    /// Of the frame that the walk is at, those not given yet: the outermost first.
    activations: SmallVec<[Level; 4]>,
}

impl<'a> Compiled<'a> {
    fn new(state: &'a State, map: Option<&'a Snapshot>) -> Compiled<'a> {
        let walk = state.runloop.guard.as_ref().zip(map).map(|(guard, map)| {
            // SAFETY: this thread is the runloop's; compiled code was left through a stub or a call which recorded where: it
            // does so before everything that can throw or call.
            unsafe { FrameWalk::new(guard.context(), map) }
        });
        Compiled { state, walk, activations: SmallVec::new() }
    }

    fn activations_of(&mut self, frame: &CompiledFrame<'_>, site: u32) {
        // SAFETY: the walk has met the frame just now.
        let window: *mut Value = unsafe { frame.window() }.cast();
        for header in frame.candidate.activations_at(site) {
            self.activations.push(Level {
                record: std::ptr::null_mut(),
                base: window.wrapping_add(header.window as usize),
                prototype: self.state.prototype_of(header.unit),
                pc: header.pc.0 as usize,
                flags: 0,
                is_compiled: true,
                is_inlined: header.has_parent,
            });
        }
        self.activations.reverse();
    }
}

impl Iterator for Compiled<'_> {
    type Item = Level;

    fn next(&mut self) -> Option<Level> {
        loop {
            if let Some(level) = self.activations.pop() {
                return Some(level);
            }
            let frame = self.walk.as_mut()?.next()?;
            // One that is leaving is in the interpreter's records already.
            if let FrameSite::Call(site) = frame.site {
                self.activations_of(&frame, site);
            }
        }
    }
}

impl State {
    /// The first levels, the running function's first; at most `count`.
    pub fn levels(&self, count: usize) -> Levels {
        let mut levels = Levels::new();
        let mut record = self.runloop.frame;
        let first = self.runloop.frames.start;
        let map = self.surmise.as_ref().map(|connection| connection.plug.isolate().space().map().snapshot());
        let mut compiled = Compiled::new(self, map.as_ref()).peekable();
        // A level is complete when the next one is known not to have replaced itself by it. Where it was called: with those that
        // it replaced.
        let mut latest: Option<(Level, *mut Value)> = None;
        // SAFETY: records from the first, which is no function's, to the current one are valid.
        unsafe {
            while levels.len() < count {
                while record > first && (*record).flags & FRAME_COMPILED != 0 {
                    record = record.sub(1);
                }
                let has_record = record > first;
                let level = match compiled.peek().copied() {
                    Some(mut level) if !has_record || level.base >= (*record).base => {
                        compiled.next();
                        if has_record && level.base == (*record).base {
                            level.record = record;
                            level.flags = (*record).flags;
                            record = record.sub(1);
                        }
                        level
                    }
                    _ if has_record => {
                        record = record.sub(1);
                        recorded(record.add(1))
                    }
                    _ => break,
                };
                match &mut latest {
                    Some((callee, called_at)) if level.is_replaced_by(callee, *called_at) => {
                        callee.flags |= FRAME_TAIL;
                        *called_at = level.function_slot();
                    }
                    _ => {
                        levels.extend(latest.replace((level, level.function_slot())).map(|(level, _)| level))
                    }
                }
            }
        }
        if levels.len() < count {
            levels.extend(latest.map(|(level, _)| level));
        }
        levels
    }

    /// The level of a number: 0 is the running function.
    pub fn level(&self, number: usize) -> Option<Level> {
        self.levels(number.checked_add(1)?).get(number).copied()
    }
}
