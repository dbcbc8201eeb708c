//! Step 4: counters and the type log.
//!
//! Each function counts its calls and the rounds of its loops down. When the counter runs out, the plug says what to do: log the
//! next runs of the function, or enter compiled code. What is logged is kinds of values, by instruction; the profile joins it.

use crate::machine::Machine;
use crate::program::{Binary, Function, Op};
use crate::value::Word;
use std::cell::Cell;
use surmise::deopt::deopt_all::{Reason, Report, Request, Which};
use surmise::deopt::entry::EntryCell;
use surmise::deopt::slots::SlotValue;
use surmise::ir::function::Entry;
use surmise::ir::language::Recipe;
use surmise::log::UnitIndex;
use surmise::plug::PlugHost;

/// What Surmise adds to a function.
pub struct Plugged {
    /// The function itself: where compiled code finds the unit of what it calls.
    pub unit: Cell<*const Function>,
    /// Its machine code, or what stands for it.
    pub entry: EntryCell,
    /// Calls and back-edges until the plug is asked.
    pub counter: Cell<i32>,
    /// Whether its instructions are logged.
    pub logged: Cell<bool>,
}

impl Default for Plugged {
    fn default() -> Plugged {
        let unit = Cell::new(std::ptr::null());
        Plugged { unit, entry: EntryCell::new(), counter: Cell::new(i32::MAX), logged: Cell::new(false) }
    }
}

/// The variant of fact "this function was called", see `calls` in `tally.sir`.
const CALLED: u8 = 0;

/// What the plug asks of the machine.
struct Functions<'a>(&'a [Box<Function>]);

impl PlugHost for Functions<'_> {
    fn arm(&mut self, unit: UnitIndex, counter: i32, logging: bool) {
        let plugged = &self.0[unit.0 as usize].plugged;
        plugged.counter.set(counter);
        plugged.logged.set(logging);
    }
    fn resolve(&mut self, recipe: &Recipe) -> Option<SlotValue> {
        let function = self.0.get(recipe.words[0] as usize)?;
        Some(SlotValue::word(match recipe.class {
            // In the order of the recipe classes in tally.sir.
            0 => Word::text(function.texts.get(recipe.words[1] as usize)?).0,
            _ => std::ptr::from_ref(&**function) as u64,
        }))
    }
}

impl Machine {
    /// Installs what has been compiled, throws candidates away whose guesses failed, frees what is left.
    pub fn serve(&mut self) {
        let Some(connection) = &mut self.surmise else { return };
        connection.guard.take_poll();
        let mut functions = Functions(&self.functions);
        connection.plug.service(&mut functions);
        // SAFETY: the one runloop is here, and it reads addresses of code right before it enters it.
        unsafe { connection.plug.reclaim() };
    }

    /// A place where compiled code may find itself thrown away: with `SURMISE_DEOPT_ALL_EVERY`, now and then it is.
    pub fn stress_point(&mut self) {
        let Some(connection) = &mut self.surmise else { return };
        if connection.plug.is_stressed() {
            // SAFETY: as above; `tally_call`, polls, the interpreter and what it calls are all that get here.
            unsafe { connection.plug.safepoint(&mut Functions(&self.functions)) };
        }
    }

    /// Deoptimizes all compiled code of this machine. To be called where compiled code may find itself thrown away.
    pub fn deopt_all(&mut self) -> Report {
        let Some(connection) = &mut self.surmise else { return Report::default() };
        let request = Request { which: Which::All, reason: Reason::Requested };
        // SAFETY: the one runloop is here, and it reads addresses of code right before it enters it.
        unsafe { connection.plug.deopt_all(request, &mut Functions(&self.functions)) }
    }

    /// A guess about a function failed: what its rebuilt frame does next is logged.
    pub fn watch(&mut self, function: usize) {
        let Some(connection) = &mut self.surmise else { return };
        connection.plug.frames_left(UnitIndex(function as u32), &mut Functions(&self.functions));
    }

    /// Counts a call of a function, or a round of its loop, in a frame at `base`. Gives the code to go on with at the loop's
    /// header, if there is any.
    pub fn count(&mut self, function: &Function, at: Entry, base: usize) -> Option<*const u8> {
        let Plugged { counter, logged, .. } = &function.plugged;
        counter.set(counter.get().wrapping_sub(1));
        if self.surmise.as_ref()?.guard.is_polled() {
            self.serve();
            self.stress_point();
        }
        let connection = self.surmise.as_mut()?;
        let mut functions = Functions(&self.functions);
        let unit = UnitIndex(function.code.number as u32);
        let mut code = None;
        if counter.get() < 0 {
            let decision = connection.plug.fired(unit, at, &mut functions);
            functions.arm(unit, decision.counter, decision.logging);
            code = decision.enter.map(|entry| entry.code);
        }
        if logged.get() {
            let log = &mut connection.plug.log;
            let (pc, registers) = match at {
                Entry::Loop(header) => (header.0, function.code.top_at(header.0 as usize)),
                Entry::Call | Entry::Template => (0, function.code.parameters),
            };
            if let Entry::Loop(header) = at {
                log.loop_(unit, header.0)
            } else {
                log.enter(unit)
            }
            for register in 0..registers {
                let kind = self.stack[base + usize::from(register)].get().kind() as u8;
                log.register_kind(unit, pc, register, kind);
            }
            if log.snapshots.begin(unit, at) {
                for register in 0..registers {
                    let value = self.stack[base + usize::from(register)].get();
                    log.snapshots.add(register, value.kind() as u8, value.0);
                }
            }
        }
        code
    }

    /// Logs what an instruction is about to do, and what the one before it gave.
    #[cold]
    pub fn log(&mut self, function: &Function, pc: usize, base: usize) {
        let Some(connection) = &mut self.surmise else { return };
        let (log, unit, site) = (&mut connection.plug.log, UnitIndex(function.code.number as u32), pc as u32);
        let top = base + usize::from(function.code.top_at(pc));
        let operand = |n: usize| self.stack[top - n].get();
        let kind = |n: usize| operand(n).kind() as u8;
        // Behind a jump this may be the result of something else: what comes of it is no more than a guess.
        let before = pc.checked_sub(1).map(|before| function.code.instructions[before].op);
        if let Some(Op::Call(_) | Op::Binary(Binary::Concat)) = before {
            log.result(unit, site - 1, kind(1));
        }
        match function.code.instructions[pc].op {
            Op::Binary(_) => log.operands(unit, site, kind(2), kind(1)),
            Op::Length => log.operand(unit, site, kind(1)),
            op @ (Op::JumpIf(_) | Op::JumpUnless(_)) => {
                log.operand(unit, site, kind(1));
                log.branch(unit, site, operand(1).is_true() == matches!(op, Op::JumpIf(_)));
            }
            Op::Call(count) => {
                let callee = operand(usize::from(count) + 1);
                log.operand(unit, site, callee.kind() as u8);
                if let Ok(number) = crate::machine::callee(callee, 0) {
                    log.fact(unit, site, CALLED, &[number as u32]);
                }
            }
            _ => {}
        }
    }
}
