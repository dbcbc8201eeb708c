//! What coroutines show to the collector. The running line of execution, and those of the coroutines that wait for it, are roots. A
//! suspended one's is kept alive by its coroutine object.
//!
//! Stacks are written without barriers. A coroutine object is remembered when it stops running, so its stacks are visited at the next
//! minor collection, and from then on only by full ones until it runs again.

use surmise::deopt::frames::RootWord;
use surmise::deopt::runloop::Runloop as CompiledRunloop;

use super::line::Line;
use super::Coroutine;
use crate::heap::{ThreadPayload, Visitor};
use crate::roots::is_part;
use crate::stale::clear_windows;
use crate::state::State;

/// Visits the compiled frames of one runloop.
///
/// # Safety
/// The runloop is at a safepoint, on this thread.
pub unsafe fn visit_compiled(runloop: &CompiledRunloop<State>, visitor: &mut Visitor) {
    // SAFETY: handed on; what a frame holds are values of this state.
    unsafe { visit_words(visitor, |visit| runloop.visit_roots(visit)) }
}

/// Visits what `walk` reports, twice: parts of tables have moved with their tables by then (compiled code keeps a part's table too).
///
/// # Safety
/// What is reported are values of the state that is being collected.
pub unsafe fn visit_words(visitor: &mut Visitor, walk: impl Fn(&mut dyn FnMut(RootWord<'_>))) {
    // SAFETY: as the function says. A word that is no part is an object's address, of which a table's stands for all.
    unsafe {
        walk(&mut |root| match root {
            RootWord::Ref(word) if !is_part(*word) => {
                visitor.table(&mut *std::ptr::from_mut(word).cast());
            }
            RootWord::Ref(_) => {}
            RootWord::Any(words) => visitor.value(&mut *words.as_mut_ptr().cast()),
        });
        walk(&mut |root| {
            if let RootWord::Ref(word) = root
                && !is_part(*word)
            {
                visitor.table(&mut *std::ptr::from_mut(word).cast());
            }
        });
    }
}

/// Visits a line of execution that does not run, and clears what is stale on its value stack.
///
/// # Safety
/// It stands at a call of a native function: all that is live is below the end of that one's window.
unsafe fn visit_line(line: &mut Line, visitor: &mut Visitor) {
    let end = line.top();
    // SAFETY: slots below the end hold valid values.
    unsafe {
        if let (true, Some(guard)) = (visitor.is_full(), &line.guard) {
            clear_windows(guard, &line.to_be_closed, usize::MAX);
        }
        let start = line.slots.start;
        visitor.range(start, end.offset_from(start) as usize);
        visitor.range(line.pins.as_mut_ptr(), line.pins.len());
        visitor.value(&mut line.hooks.function);
        if let Some(guard) = &line.guard {
            visit_compiled(guard, visitor);
        }
    }
    line.clear_sparsely(end);
    line.follow_limit();
}

impl ThreadPayload for Coroutine {
    fn visit(&mut self, visitor: &mut Visitor) {
        visitor.value(&mut self.function);
        if let Some(error) = &mut self.error {
            visitor.value(error);
        }
        if let Some(hook) = &mut self.last_hook {
            visitor.value(&mut hook.0);
        }
        // That of one that is active is a root.
        if !self.is_active()
            && let Some(fiber) = &mut self.fiber
        {
            // SAFETY: it has yielded, or an error has ended it: then no native frame is left, and the current frame is valid.
            unsafe { visit_line(&mut fiber.line, visitor) };
        }
    }
}

impl State {
    /// Visits the coroutines that are active, and the lines of execution that wait for the running one.
    ///
    /// # Safety
    /// This is a safepoint.
    pub unsafe fn visit_active_coroutines(&mut self, visitor: &mut Visitor) {
        visitor.thread(&mut self.coroutines.main);
        let mut line = self.runloop.as_ptr();
        // SAFETY: active coroutines are alive: those who have resumed them keep them. Those who wait are in a call of `resume`.
        unsafe {
            while !(*line).resumer.is_null() {
                visitor.thread(&mut (*line).thread);
                line = (*line).resumer;
                visit_line(&mut *line, visitor);
            }
        }
    }
}
