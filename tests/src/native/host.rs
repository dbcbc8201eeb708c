//! A host that runs one function's machine code in the world of *mini*, through the runtime that real hosts use.
//!
//! At every safepoint each object moves. Polls are always asked for, so that every poll is a safepoint. The n-th safepoint at which
//! a candidate may become invalid can be made to deoptimize everything.

use super::heap::Heap;
use std::sync::Arc;
use surmise::deopt::deopt_all::{Reason, Request, Which};
use surmise::deopt::frames::RootWord;
use surmise::deopt::host::{Activation, GuestResults, Host, Thrown};
use surmise::deopt::rebuild::RebuildPlan;
use surmise::deopt::runloop::Runloop;
use surmise::deopt::table::ExitReason;
use surmise::ir::entity::FrameId;
use surmise::ir::evaluate::{Boxed, Datum, RebuiltFrame, Results, Stop};
use surmise::ir::generate::{Observations, extern_, guest};
use surmise::ir::language::{Encoding, Language};

/// The host. Compiled code reads the epoch through the address of the host's state: it has to be the first field.
#[repr(C)]
pub struct ModelMachine {
    /// The world's epoch.
    pub epoch: i64,
    /// The objects.
    pub heap: Heap,
    /// What was observed.
    pub observations: Observations,
    /// The language.
    pub language: Arc<Language>,
    /// For measurements: nothing moves, polls are not asked for, frames are not kept.
    pub is_quick: bool,
    /// Safepoints left until the candidate is invalid.
    pub invalidate_at: Option<u64>,
    /// The frames that were committed.
    pub committed: Option<(ExitReason, Vec<RebuiltFrame>)>,
    /// How many times frames were committed.
    pub exits: u64,
    /// What should never happen.
    pub fault: Option<String>,
}

/// Boxed values of the runtime as the evaluator writes them.
fn boxed(value: surmise::deopt::boxed::Boxed) -> Boxed {
    [value.tag(), value.payload()]
}

impl ModelMachine {
    /// Moves every object; the values in hand are roots too.
    fn collect(&mut self, runloop: &Runloop<ModelMachine>, in_hand: &mut [Boxed]) {
        if self.is_quick {
            return;
        }
        let isolate = runloop.isolate().clone();
        let mut moving = self.heap.start_moving();
        for value in in_hand {
            *value = moving.forward_value(*value);
        }
        // SAFETY: the only runloop is on this thread, in a function that compiled code called.
        unsafe {
            isolate.visit_roots(&mut |root| match root {
                RootWord::Ref(word) => *word = moving.forward(*word),
                RootWord::Any(words) => {
                    let [tag, payload] = words else { unreachable!("mini has pairs") };
                    [*tag, *payload] = moving.forward_value([*tag, *payload]);
                }
            });
        }
        moving.finish();
    }
    /// After a call in which the candidate may become invalid: makes it so when it is time.
    fn count_safepoint(&mut self, runloop: &Runloop<ModelMachine>) {
        if !self.is_quick {
            runloop.request_poll();
        }
        let Some(left) = &mut self.invalidate_at else { return };
        *left -= 1;
        if *left > 0 {
            return;
        }
        self.invalidate_at = None;
        let request = Request { which: Which::All, reason: Reason::Stress };
        // SAFETY: a safepoint: compiled code called a function that was declared to run guest code, or polled.
        let report = unsafe { runloop.isolate().deopt_all(request) };
        if report.frames != 1 {
            self.fault = Some(format!("one frame should have been redirected: {report}"));
        }
    }

    /// Does what an extern does.
    pub fn extern_(
        &mut self,
        runloop: &Runloop<ModelMachine>,
        name: &str,
        args: &[Boxed],
    ) -> Result<Option<Datum>, Thrown> {
        let language = self.language.clone();
        let id = language.extern_(name).expect("the externs are those of the language");
        let effects = &language.externs[id].effects;
        let mut args = args.to_vec();
        if effects.is_safepoint() {
            self.collect(runloop, &mut args);
        }
        let args: Vec<Datum> = args.into_iter().map(Datum::Any).collect();
        let result = match extern_(&language, name, &mut self.heap, &self.observations, &args) {
            Ok(result) => result,
            Err(Stop::Throw) => return Err(Thrown),
            Err(Stop::Fault(fault)) => {
                self.fault = Some(fault);
                return Err(Thrown);
            }
        };
        if effects.may_deoptimize() {
            self.count_safepoint(runloop);
        }
        Ok(result)
    }
    /// Changes the epoch.
    pub fn change(&mut self, runloop: &Runloop<ModelMachine>, epoch: i64) -> Result<(), Thrown> {
        self.collect(runloop, &mut []);
        self.epoch = epoch;
        self.count_safepoint(runloop);
        Ok(())
    }
    /// Calls a guest value: all functions are alike.
    pub fn guest_call(
        &mut self,
        runloop: &Runloop<ModelMachine>,
        place: *mut u64,
        count: u64,
        wanted: i64,
    ) -> Result<GuestResults, Thrown> {
        // SAFETY: callee and arguments stand there, as compiled code has left them.
        let value = |index: usize| unsafe { [*place.add(2 * index), *place.add(2 * index + 1)] };
        let mut args: Vec<Boxed> = (1..=count as usize).map(value).collect();
        self.collect(runloop, &mut args);
        let result = guest(&self.language, &self.heap, &self.observations, &args);
        let results: &[Boxed] = if wanted == 0 { &[] } else { &[result] };
        self.count_safepoint(runloop);
        let [tag, payload] = results.first().copied().unwrap_or_default();
        Ok(GuestResults::pair(tag as u32, payload, results.len() as i32 - 1))
    }
}

impl Host for ModelMachine {
    fn allocate_frames(&mut self, runloop: &Runloop<Self>, _: &RebuildPlan) -> Result<(), Thrown> {
        self.collect(runloop, &mut []);
        Ok(())
    }
    fn commit_frames(&mut self, plan: &RebuildPlan, activation: Activation) {
        if activation == Activation::Called {
            self.fault = Some("compiled code calls no compiled code here".to_owned());
        }
        self.exits += 1;
        if self.is_quick {
            let values = plan.frames().flat_map(|frame| frame.registers());
            let sum = values.fold(0, |sum: u64, (_, value)| sum.wrapping_add(value.payload()));
            std::hint::black_box(sum);
            return;
        }
        let frames = plan.frames().enumerate().map(|(number, frame)| RebuiltFrame {
            frame: FrameId::from_u32(number as u32),
            unit: frame.unit(),
            window: frame.window_offset(),
            resume: frame.resume(),
            callee: frame.callee().map(boxed),
            registers: frame.registers().map(|(register, value)| (register, boxed(value))).collect(),
            open: frame.open(),
            results: match frame.call_results() {
                Some(results) => {
                    let count = results.count(Encoding::Pair);
                    let first = (count > 0).then(|| boxed(results.first(Encoding::Pair)));
                    Results::Guest { first, count }
                }
                None => Results::Values(frame.results().map(boxed).collect()),
            },
        });
        self.committed = Some((plan.reason(), frames.collect()));
    }
    fn resume(&mut self, _: &Runloop<Self>) -> Result<GuestResults, Thrown> {
        self.fault = Some("compiled code calls no compiled code here".to_owned());
        Err(Thrown)
    }
    unsafe fn call_unit(
        &mut self,
        runloop: &Runloop<Self>,
        window: *mut u8,
        argument_count: u64,
    ) -> Result<GuestResults, Thrown> {
        // The callee stands below its window.
        self.guest_call(runloop, window.cast::<u64>().wrapping_sub(2), argument_count, 1)
    }
    fn poll(&mut self, runloop: &Runloop<Self>) -> Result<(), Thrown> {
        self.collect(runloop, &mut []);
        self.count_safepoint(runloop);
        Ok(())
    }
}
