//! Step 6: the way back. Where a guess failed, frames are rebuilt, and go on in the interpreter.

use crate::machine::{Frame, Machine, check_room};
use crate::value::Word;
use surmise::deopt::host::{Activation, GuestResults, Host, Thrown};
use surmise::deopt::rebuild::{FrameImage, RebuildPlan};
use surmise::deopt::runloop::Runloop;
use surmise::ir::entity::UnitId;
use surmise::ir::frame_state::{ResumePoint, When};
use surmise::ir::language::Encoding;

impl Machine {
    fn number_of(&self, unit: UnitId) -> usize {
        let connection = self.surmise.as_ref().expect("compiled code runs while Surmise is plugged in");
        connection.units[&unit]
    }

    /// Makes one frame.
    fn commit_frame(&mut self, image: FrameImage<'_>) {
        let function = self.number_of(image.unit());
        let code = self.functions[function].code.clone();
        let base = self.index_of(image.window());
        if let Some(callee) = image.callee() {
            self.set(base - 1, Word(callee.word()));
        }
        for (register, value) in image.registers() {
            self.set(base + usize::from(register.0), Word(value.word()));
        }
        let ResumePoint { pc, when } = image.resume();
        let mut pc = pc.0 as usize;
        if when == When::After {
            pc += 1;
            // What an instruction gives is on top of the operands after it. A frame that waits for another one gets it later.
            let of_call = image.call_results().map(|results| results.first(Encoding::Word));
            if let Some(result) = image.results().next().or(of_call) {
                self.set(base + usize::from(code.top_at(pc)) - 1, Word(result.word()));
            }
        }
        self.frames.push(Frame { function, base, pc });
        self.watch(function);
    }
}

impl Host for Machine {
    /// All that can fail. Frames need no memory but a place in the list of frames.
    fn allocate_frames(&mut self, _: &Runloop<Self>, plan: &RebuildPlan) -> Result<(), Thrown> {
        self.frames.reserve(plan.frames().len());
        for image in plan.frames() {
            let function = &self.functions[self.number_of(image.unit())];
            let checked = check_room(function, self.index_of(image.window()));
            checked.map_err(|error| self.throw(error))?;
        }
        Ok(())
    }

    /// All that can't. The frames' windows are where they were; only registers that live in machine registers are missing.
    fn commit_frames(&mut self, plan: &RebuildPlan, _: Activation) {
        self.rebuilt_above = self.frames.len();
        for image in plan.frames().rev() {
            self.commit_frame(image);
        }
    }

    /// The frames were called by compiled code, which waits for the result.
    fn resume(&mut self, _: &Runloop<Self>) -> Result<GuestResults, Thrown> {
        let result = self.run(self.rebuilt_above);
        result.map(|result| GuestResults::word(result.0, 0)).map_err(|error| self.throw(error))
    }

    /// Compiled code calls a function that has no code.
    unsafe fn call_unit(
        &mut self,
        _: &Runloop<Self>,
        window: *mut u8,
        count: u64,
    ) -> Result<GuestResults, Thrown> {
        let result = self.call_from_compiled(self.index_of(window), count as usize);
        self.stress_point();
        result.map(|result| GuestResults::word(result.0, 0)).map_err(|error| self.throw(error))
    }

    /// Somebody asked for the machine while compiled code ran: there is something to install or to throw away.
    fn poll(&mut self, _: &Runloop<Self>) -> Result<(), Thrown> {
        self.serve();
        self.stress_point();
        Ok(())
    }
}
