//! From the interpreter into compiled code, and what happens when a unit's counter runs out.

use rustc_hash::FxHashMap;
use surmise::deopt::deopt_all::{Assumption, Reason, Report, Request, Which};
use surmise::deopt::host::GuestResults;
use surmise::deopt::isolate::{EntryPoint, Isolate};
use surmise::deopt::runloop::Outcome;
use surmise::deopt::slots::SlotValue;
use surmise::ir::entity::Pc;
use surmise::ir::function::Entry;
use surmise::ir::language::{Encoding, Recipe};
use surmise::log::{UnitIndex, Words};
use surmise::plug::{Foreseen, PlugHost};

use super::Connection;
use super::foresee::{foresee, stand_in};
use crate::bytecode::{Op, Prototype};
use crate::interpreter::call::{Entered, deliver, return_values};
use crate::interpreter::{Next, RELOAD, THROW};
use crate::state::{State, Throw};
use crate::unit::{COUNTER_IDLE, UNIT_LOGGED};
use crate::value::{Tag, Value};

/// What the plug needs of the host, without the connection itself.
struct Service<'a> {
    state: *mut State,
    names: &'a mut super::names::Names,
    prototypes: &'a [*mut Prototype],
    isolate: &'a Isolate,
    assumptions: &'a mut FxHashMap<u32, Assumption>,
}

impl PlugHost for Service<'_> {
    fn arm(&mut self, unit: UnitIndex, counter: i32, logging: bool) {
        let prototype = self.prototypes[unit.0 as usize];
        // SAFETY: prototypes live as long as the state.
        unsafe { set_logging(prototype, counter, logging) };
    }
    fn foresee(&mut self, unit: UnitIndex, pc: Pc, variant: u8, known: &[Option<u32>]) -> Foreseen {
        let Some(&prototype) = self.prototypes.get(unit.0 as usize) else { return Foreseen::Unknown };
        // SAFETY: the state is alive and at a safepoint; prototypes live as long as it does.
        unsafe {
            let state = &mut *self.state;
            let tables = (state.globals, state.type_metatables[Tag::String as usize]);
            foresee(&mut state.heap, self.names, tables, prototype, pc.0, variant, known)
        }
    }
    fn stand_in(&mut self, variant: u8, known: &[Option<u32>], number: usize) -> Option<Words> {
        let prototype = *self.prototypes.first()?;
        // SAFETY: as above.
        let heap = unsafe { &mut (*self.state).heap };
        stand_in(heap, self.names, prototype, variant, known, number)
    }
    fn resolve(&mut self, recipe: &Recipe) -> Option<SlotValue> {
        // SAFETY: the state is alive and at a safepoint; only its prototypes are read.
        let state = unsafe { &*self.state };
        let [first, second] = recipe.words.map(|word| word as usize);
        let prototype = |number: usize| state.prototypes.get(number);
        Some(match recipe.class {
            // The order of the recipe classes in language.sir.
            0 => SlotValue::word(prototype(first)?.constants.get(second)?.payload),
            1 => SlotValue::word(prototype(first)?.caches.get(second)?.key as u64),
            2 => SlotValue::word(std::ptr::from_ref(prototype(first)?.caches.get(second)?) as u64),
            3 => SlotValue::word(*prototype(first)?.children.get(second)? as u64),
            4 => SlotValue::word(std::ptr::from_ref(&**prototype(first)?) as u64),
            5 => SlotValue::word(self.names.shape_by_id(first as u32)? as u64),
            6 => SlotValue::word(self.names.object_by_id(first as u32)?.payload),
            7 if state.heap.claims.holds(first as u32) => {
                let assumption = self.assumptions.entry(first as u32);
                assumption.or_insert_with(|| self.isolate.assume()).as_slot_value()
            }
            _ => return None,
        })
    }
}

/// # Safety
/// The prototype is alive.
unsafe fn set_logging(prototype: *mut Prototype, counter: i32, logging: bool) {
    // SAFETY: the function's contract.
    let unit = unsafe { &mut (*prototype).unit };
    if logging {
        unit.flags |= UNIT_LOGGED;
        (unit.counter, unit.logged_turns) = (0, counter);
    } else {
        unit.flags &= !UNIT_LOGGED;
        unit.counter = counter;
    }
}

impl State {
    /// Runs something on the connection, with what the plug may ask of the host.
    fn with_connection<R>(
        &mut self,
        run: impl FnOnce(&mut surmise::plug::Plug, &mut dyn PlugHost) -> R,
    ) -> Option<R> {
        let state: *mut State = self;
        let connection: &mut Connection = self.surmise.as_mut()?;
        let isolate = connection.plug.isolate().clone();
        let Connection { plug, names, prototypes, assumptions, .. } = connection;
        let mut host = Service { state, names, prototypes, isolate: &isolate, assumptions };
        Some(run(plug, &mut host))
    }

    /// Ends all compiled code: for programs that look into frames or follow their steps, which only interpreted ones allow.
    pub fn interpret_only(&mut self) {
        let Some(connection) = &mut self.surmise else { return };
        if std::mem::replace(&mut connection.is_paused, true) {
            return;
        }
        for prototype in &mut self.prototypes {
            prototype.unit.flags &= !UNIT_LOGGED;
            prototype.unit.counter = COUNTER_IDLE;
        }
        let isolate = connection.plug.isolate().clone();
        // SAFETY: chunks are loaded by the host, or by native functions, which compiled code calls as guest code.
        unsafe { isolate.deopt_all(Request { which: Which::All, reason: Reason::Requested }) };
    }

    /// Installs what has been delivered, throws failed candidates away, frees what no frame is left in.
    pub fn serve(&mut self) {
        if self.surmise.as_ref().is_some_and(|connection| connection.is_paused) {
            return;
        }
        self.with_connection(|plug, host| {
            plug.service(host);
            // SAFETY: this thread's runloop is the isolate's only one, and it is at a safepoint: code addresses are read from
            // cells right before they are entered.
            unsafe { plug.reclaim() };
        });
    }

    /// Deoptimizes all compiled code of this state that a request concerns, wherever its frames are.
    ///
    /// To be called where guest code could run: by natives, between calls from Rust.
    pub fn deopt_all(&mut self, request: Request) -> Report {
        // SAFETY: this thread's runloop is the isolate's only one. Compiled code calls nothing that gets here but functions that
        // may run guest code, and addresses of code are read right before they are entered.
        let report = self.with_connection(|plug, host| unsafe { plug.deopt_all(request, host) });
        report.unwrap_or_default()
    }

    /// A safepoint at which guest code could run. What rests on claims that have ended is deoptimized; under stress, everything is, at
    /// every so-many-th one.
    #[inline(always)]
    pub fn guest_point(&mut self) {
        self.end_claims();
        if self.stressed {
            self.stress();
        }
    }
    /// Deoptimizes what rests on claims that have ended.
    ///
    /// *Invariant:* no compiled code is entered, or returned to, between the end of a claim and this.
    #[inline(always)]
    pub fn end_claims(&mut self) {
        if self.heap.claims.have_ended() {
            self.invalidate_ended();
        }
    }
    #[cold]
    #[inline(never)]
    fn invalidate_ended(&mut self) {
        for number in self.heap.claims.take_ended() {
            let Some(connection) = &mut self.surmise else { return };
            // Without an assumption nothing rests on it.
            let Some(assumption) = connection.assumptions.remove(&number) else { continue };
            // SAFETY: as in `deopt_all`.
            let result = self.with_connection(|plug, host| unsafe { plug.invalidate(assumption, host) });
            debug_assert!(matches!(result, Some(Ok(_))), "the assumption is this isolate's");
        }
    }
    #[cold]
    #[inline(never)]
    fn stress(&mut self) {
        if self.surmise.as_ref().is_some_and(|connection| connection.is_paused) {
            return;
        }
        // SAFETY: as in `deopt_all`.
        self.with_connection(|plug, host| unsafe { plug.safepoint(host) });
    }

    /// Has what the current frame does next logged: it was rebuilt because a guess failed.
    ///
    /// # Safety
    /// The current frame is a Lua frame.
    pub unsafe fn watch_current_frame(&mut self) {
        let Some(connection) = &mut self.surmise else { return };
        // SAFETY: the function's contract.
        let unit = unsafe { connection.unit_of((*self.runloop.frame).prototype) };
        self.with_connection(|plug, host| plug.frames_left(unit, host));
    }

    /// Whether somebody asked for this runloop.
    #[inline]
    pub fn is_polled(&self) -> bool {
        self.runloop.guard.as_ref().is_some_and(|guard| guard.is_polled())
    }
}

/// A unit's counter fell below zero, or its loop is to be looked at: at a call (`pc` is the first instruction) or at a
/// back-edge (`pc` is the loop's header). The frame is the current one, complete, at `pc`.
///
/// # Safety
/// As for [`crate::interpreter::hook`].
pub unsafe fn counter_fired(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: handed on.
    unsafe {
        if (*(*state.runloop.frame).prototype).unit.take_logged_turn() {
            return RELOAD;
        }
        match decide(state, pc) {
            Some(Some(entry)) => enter_loop(state, entry.code, base),
            // The logging loop may have to take over, or to end.
            Some(None) => RELOAD,
            None => pc,
        }
    }
}

/// The same where a frame is pushed outside of the run loop: nothing is entered.
///
/// # Safety
/// As for [`counter_fired`].
pub unsafe fn counter_fired_at_call(state: &mut State, pc: Next) {
    // SAFETY: handed on.
    unsafe {
        if !(*(*state.runloop.frame).prototype).unit.take_logged_turn() {
            decide(state, pc);
        }
    }
}

/// Asks the plug. `None`: nothing changes; else the run loop is to be chosen anew, or code is to be entered.
///
/// # Safety
/// As for [`counter_fired`].
unsafe fn decide(state: &mut State, pc: Next) -> Option<Option<EntryPoint>> {
    // SAFETY: the current frame is a Lua frame at `pc`.
    unsafe {
        let frame = state.runloop.frame;
        let prototype = (*frame).prototype;
        let index = pc.offset_from((*prototype).code.as_ptr()) as u32;
        let Some(connection) = state.surmise.as_mut().filter(|connection| !connection.is_paused) else {
            (*prototype).unit.counter = COUNTER_IDLE;
            return None;
        };
        let unit = connection.unit_of(prototype);
        let is_header = connection.snapshots[unit.0 as usize].headers.contains(&index);
        if !is_header && index != 0 {
            // Not a place that can be entered: look again at the next one.
            (*prototype).unit.counter = 0;
            return None;
        }
        if state.runloop.guard.as_ref().is_some_and(|guard| guard.take_poll()) {
            state.serve();
        }
        state.end_claims();
        let at = if is_header { Entry::Loop(Pc(index)) } else { Entry::Call };
        let decision = state.with_connection(|plug, host| {
            let decision = plug.fired(unit, at, host);
            host.arm(unit, decision.counter, decision.logging);
            decision
        })?;
        Some(decision.enter)
    }
}

/// Goes on with the current frame in compiled code, at a loop's header.
unsafe fn enter_loop(state: &mut State, code: *const u8, base: *mut Value) -> Next {
    // SAFETY: the code was read from the unit's entries just now; the window holds the frame's registers.
    unsafe {
        let runloop = state.registered().alias();
        state.runloop.follow_limit();
        let frame = state.runloop.frame;
        let count = 0;
        match runloop.enter(state, code, base.cast(), count) {
            Outcome::Returned(words) => {
                state.runloop.frame = frame;
                let (results, count) = results_in_place(words, base.sub(1));
                return_values(state, results, count)
            }
            Outcome::Resumed => RELOAD,
            Outcome::Thrown => THROW,
        }
    }
}

/// Puts a single result, which is in machine registers only, where results belong. Returns where they are and how many.
unsafe fn results_in_place(words: [u64; 2], to: *mut Value) -> (*mut Value, u32) {
    let results = GuestResults { first: words[0], second: words[1] };
    let count = results.count(Encoding::Pair) as u32;
    if count == 1 {
        // SAFETY: the function's slot.
        unsafe { to.write(Value { tag: words[0] & 0xffff_ffff, payload: words[1] }) };
    }
    (to, count)
}

/// `Call` of a closure whose unit has machine code.
///
/// # Safety
/// A [`crate::interpreter::Slow`] path: `pc` is behind a `Call`.
pub unsafe fn call_compiled(state: &mut State, pc: Next, base: *mut Value) -> Next {
    // SAFETY: the call is laid out in the window.
    unsafe {
        let i = &*pc.sub(1);
        debug_assert_eq!(i.op, Op::Call);
        let function = base.add(i.a as usize);
        let count = if i.b != 0 {
            u32::from(i.b) - 1
        } else {
            state.runloop.open_top.offset_from(function) as u32 - 1
        };
        (*state.runloop.frame).pc = pc;
        match enter_call(state, function, count, 0) {
            Outcome::Returned(words) => {
                let (results, count) = results_in_place(words, function);
                deliver(state, results, count, i32::from(i.c) - 1);
                pc
            }
            Outcome::Resumed => RELOAD,
            Outcome::Thrown => THROW,
        }
    }
}

/// [`State::enter`] for a closure whose unit has machine code.
///
/// # Safety
/// As for [`State::enter`].
pub unsafe fn enter_compiled(
    state: &mut State,
    function: *mut Value,
    count: u32,
    flags: u32,
) -> Result<Entered, Throw> {
    // SAFETY: promised by the caller.
    unsafe {
        match enter_call(state, function, count, flags) {
            Outcome::Returned(words) => Ok(Entered::Done(results_in_place(words, function).1)),
            Outcome::Resumed => Ok(Entered::Frame),
            Outcome::Thrown => Err(Throw),
        }
    }
}

/// Enters the machine code of the closure at `function`. Should its frame be rebuilt, it gets `flags`.
///
/// # Safety
/// The unit has machine code; `count` arguments stand behind the function.
pub unsafe fn enter_call(state: &mut State, function: *mut Value, count: u32, flags: u32) -> Outcome {
    // SAFETY: the function's contract. Missing parameters are absent values.
    unsafe {
        let prototype = (*(*function).as_closure()).prototype;
        state.end_claims();
        let window = function.add(1);
        let mut given = count as usize;
        while given < (*prototype).parameter_count as usize {
            window.add(given).write(Value::NIL);
            given += 1;
        }
        let code = (*prototype).unit.entry.code();
        let runloop = state.registered().alias();
        state.runloop.follow_limit();
        // What is entered inside of this has flags of its own: this one's are back when it is left.
        let outer_flags = std::mem::replace(&mut state.runloop.entered_flags, flags);
        let frame = state.runloop.frame;
        let outcome = runloop.enter(state, code, window.cast(), given as u64);
        state.runloop.entered_flags = outer_flags;
        if matches!(outcome, Outcome::Returned(_)) {
            state.runloop.frame = frame;
        }
        outcome
    }
}
