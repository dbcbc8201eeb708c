//! Hooks: the function that `debug.sethook` has called at calls, returns, new lines, and every so many instructions.
//!
//! A program that mentions `sethook` is interpreted (`State::interpret_only`), and while a hook is set the interpreter's observing loop
//! runs, which tells [`trace`] of each instruction. Events of Lua functions are told from the instruction and the one before;
//! events of native ones come from where they are called.

use crate::bytecode::{Instruction, Op};
use crate::heap::RELOAD_ONLY;
use crate::interpreter::Next;
use crate::stack::{FRAME_CLOSING, FRAME_FRESH, FRAME_HOOK, FRAME_TAIL, Frame};
use crate::state::{Call, State, Throw};
use crate::value::Value;

/// Which events a hook is called for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mask {
    /// Calls.
    pub call: bool,
    /// Returns.
    pub ret: bool,
    /// New lines.
    pub line: bool,
    /// Every so many instructions; 0: not.
    pub count: u32,
}

/// The instruction that was looked at last.
#[derive(Clone, Copy, Debug)]
struct Last {
    frame: *mut Frame,
    code: *const Instruction,
    index: usize,
    op: Op,
}

/// The hook of a state.
#[derive(Debug)]
pub struct Hooks {
    /// The function, or nil. A root.
    pub function: Value,
    /// When it is called.
    pub mask: Mask,
    /// Instructions until the next count event.
    left: u32,
    /// It is running: nothing is observed meanwhile.
    pub is_running: bool,
    last: Last,
    /// Of the call or return that is being told: place of the first value handed over among the locals, and how many.
    pub transfer: (usize, usize),
    /// The native whose return was told by itself. Forgotten at the next call that is told.
    told: *mut Frame,
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks {
            function: Value::NIL,
            mask: Mask::default(),
            left: 0,
            is_running: false,
            last: Last { frame: std::ptr::null_mut(), code: std::ptr::null(), index: 0, op: Op::Move },
            transfer: (0, 0),
            told: std::ptr::null_mut(),
        }
    }
}

impl Hooks {
    /// Whether there is something to call, and nothing is being called.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        !self.function.is_nil() && !self.is_running
    }
}

/// What a hook is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Call,
    TailCall,
    Return,
    Line(Option<u32>),
    Count,
}

impl State {
    /// Sets the hook, or none.
    pub fn set_hook(&mut self, function: Value, mask: Mask) {
        let is_set = mask != Mask::default() && !function.is_nil();
        self.runloop.hooks.function = if is_set { function } else { Value::NIL };
        self.runloop.hooks.mask = if is_set { mask } else { Mask::default() };
        self.runloop.hooks.left = mask.count;
        // The function that sets it is being left: no event is known of what it returns to.
        self.runloop.hooks.last.frame = std::ptr::null_mut();
        self.runloop.hooks.told = std::ptr::null_mut();
        if is_set {
            self.has_hooks = true;
            self.interpret_only();
        }
        self.choose_loop();
        self.heap.requested = RELOAD_ONLY;
    }

    /// Says whether all frames are observed, or only those of units that are being logged.
    pub fn choose_loop(&mut self) {
        self.all_observed = self.runloop.hooks.is_on() || self.steps_left.is_some();
    }

    /// Whether a run loop that has answered a request may not be the right one any more: a hook's may have been replaced by a
    /// collection's.
    #[inline]
    pub fn is_reload_due(&self, requested: u8) -> bool {
        requested == RELOAD_ONLY || self.runloop.hooks.is_on()
    }

    fn call_hook(&mut self, event: Event) -> Result<(), Throw> {
        let (name, line) = match event {
            Event::Call => ("call", None),
            Event::TailCall => ("tail call", None),
            Event::Return => ("return", None),
            Event::Line(line) => ("line", line),
            Event::Count => ("count", None),
        };
        let at = self.free_slots();
        self.check_stack(at, 8, "")?;
        let name = self.string_value(name.as_bytes());
        self.runloop.hooks.is_running = true;
        self.choose_loop();
        // SAFETY: there is room above everything that is in use.
        let result = unsafe {
            at.write(self.runloop.hooks.function);
            at.add(1).write(name);
            at.add(2).write(line.map_or(Value::NIL, |line| Value::int(i64::from(line))));
            self.call_at_as(at, 2, FRAME_FRESH | FRAME_HOOK)
        };
        self.runloop.hooks.is_running = false;
        self.choose_loop();
        result.map(|_| ())
    }

    /// Tells of a call of a native function, whose frame is the current one.
    ///
    /// # Errors
    /// Those of the hook.
    #[cold]
    pub fn hook_native_call(&mut self, arguments: u32) -> Result<(), Throw> {
        self.runloop.hooks.told = std::ptr::null_mut();
        if !self.runloop.hooks.is_on() || !self.runloop.hooks.mask.call {
            return Ok(());
        }
        self.runloop.hooks.transfer = (1, arguments as usize);
        self.call_hook(Event::Call)
    }

    /// Tells of the return of `sethook` itself: whoever called it may not have known that there would be a hook.
    ///
    /// # Errors
    /// Those of the hook.
    pub fn hook_own_return(&mut self, call: Call) -> Result<(), Throw> {
        self.hook_native_return(call.function(), 0)?;
        self.runloop.hooks.told = self.runloop.frame;
        // The run loops of what was called may have seen that another one is wanted.
        if self.heap.requested == 0 {
            self.heap.requested = RELOAD_ONLY;
        }
        Ok(())
    }

    /// Tells of the return of a native function, with so many results from the slot on in which it was.
    ///
    /// # Errors
    /// Those of the hook.
    #[cold]
    pub fn hook_native_return(&mut self, function: Value, results: u32) -> Result<(), Throw> {
        let told = std::mem::replace(&mut self.runloop.hooks.told, std::ptr::null_mut());
        if told == self.runloop.frame || !self.runloop.hooks.is_on() || !self.runloop.hooks.mask.ret {
            return Ok(());
        }
        let results = results as usize;
        self.runloop.hooks.transfer = (1, results);
        // SAFETY: the current frame is the native's. Its results are to survive what the hook does, which sees the function in its
        // place, and them behind it; a native's window has room for one more.
        unsafe {
            let frame = &mut *self.runloop.frame;
            let (base, top) = (frame.base, frame.top);
            std::ptr::copy(base.sub(1), base, results);
            base.sub(1).write(function);
            frame.top = top.max(base.add(results));
            let result = self.call_hook(Event::Return);
            std::ptr::copy(base, base.sub(1), results);
            frame.top = top;
            result
        }
    }
}

/// Looks at the instruction at `pc`, which is about to run in the current frame.
///
/// # Errors
/// Those of the hook.
///
/// # Safety
/// The current frame is a Lua frame; `pc` is in its code.
#[cold]
#[inline(never)]
pub unsafe fn trace(state: &mut State, pc: Next) -> Result<(), Throw> {
    // SAFETY: the function's contract; prototypes live as long as the state.
    unsafe {
        let frame = state.runloop.frame;
        let prototype = &*(*frame).prototype;
        let code = prototype.code.as_ptr();
        let index = pc.offset_from(code) as usize;
        let i = *pc;
        // So levels find this instruction.
        (*frame).pc = pc.add(1);
        let last = std::mem::replace(&mut state.runloop.hooks.last, Last { frame, code, index, op: i.op });
        let goes_on = last.frame == frame && last.code == code;
        let is_entry = index == 0 && !(goes_on && last.op == Op::JumpBack);
        // The hook may set another one: the mask is read anew after each call.
        if is_entry && state.runloop.hooks.mask.call {
            state.runloop.hooks.transfer = (1, prototype.parameter_count as usize);
            let is_tail = (*frame).flags & FRAME_TAIL != 0;
            state.call_hook(if is_tail { Event::TailCall } else { Event::Call })?;
        }
        if state.runloop.hooks.mask.count > 0 {
            state.runloop.hooks.left = state.runloop.hooks.left.saturating_sub(1);
            if state.runloop.hooks.left == 0 {
                state.runloop.hooks.left = state.runloop.hooks.mask.count;
                state.call_hook(Event::Count)?;
            }
        }
        if state.runloop.hooks.mask.line {
            let line = prototype.lines.get(index).copied();
            let before = if goes_on { last.index } else { index.saturating_sub(1) };
            let is_new =
                is_entry || goes_on && index <= last.index || line != prototype.lines.get(before).copied();
            if is_new {
                state.call_hook(Event::Line(line))?;
            }
        }
        // One that closes variables runs again after each.
        let is_return = matches!(i.op, Op::Return | Op::ReturnNone | Op::ReturnOne);
        if state.runloop.hooks.mask.ret && is_return && !state.is_close_due((*frame).base) {
            let first = (*frame).base.add(i.a as usize);
            let count = match (i.op, i.b) {
                (Op::ReturnNone, _) => 0,
                (Op::ReturnOne, _) => 1,
                (_, 0) if (*frame).flags & FRAME_CLOSING != 0 => (*frame).top.offset_from(first) as usize,
                (_, 0) => state.runloop.open_top.offset_from(first) as usize,
                (_, count) => count as usize - 1,
            };
            state.runloop.hooks.transfer = (i.a as usize + 1, count);
            state.call_hook(Event::Return)?;
        }
        // The hook has had frames of its own at the same places.
        state.runloop.hooks.last = Last { frame, code, index, op: i.op };
    }
    Ok(())
}
