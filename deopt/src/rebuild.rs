//! Frames being rebuilt: the exit buffer, and how the host reads it.
//!
//! At an exit every live value of the compiled frame is boxed into a [`RebuildPlan`]. From then until the host has committed the
//! frames the plan is the only place of these values, and it is a root: a collector that runs while the host allocates writes
//! the moved addresses into it, and the host sees them, since a plan is read value by value.
//!
//! Rebuilding can nest: what the host does to allocate may run guest code (a finalizer), which may fail a guard of its own.

use crate::boxed::Boxed;
use crate::candidate::CandidateId;
use crate::frames::RootWord;
use crate::host::GuestResults;
use crate::loaded::Candidate;
use crate::table::ExitReason;
use smallvec::SmallVec;
use std::cell::Cell;
use std::ops::Range;
use surmise_ir::entity::{Register, UnitId};
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::language::Encoding;

/// What is known of one frame, with its values as a range of the plan's: registers, then results, then the callee.
pub(crate) struct FrameRecord {
    pub unit: UnitId,
    pub resume: ResumePoint,
    pub window: u16,
    pub registers: Range<u32>,
    pub results: Range<u32>,
    pub callee: Option<u32>,
    pub open: Option<(Register, u64)>,
    /// The first result's value, and the number of further ones in the machine form's own type.
    pub call_results: Option<(u32, u64)>,
}

/// All frames that replace one compiled frame.
pub struct RebuildPlan {
    pub(crate) encoding: Encoding,
    pub(crate) candidate: CandidateId,
    pub(crate) point: u32,
    pub(crate) reason: ExitReason,
    pub(crate) window: *mut u8,
    pub(crate) argument_count: Option<u64>,
    pub(crate) frames: SmallVec<[FrameRecord; 4]>,
    /// Boxed values, each of one or two words. Cells, since the collector writes them while the host reads the plan.
    words: Vec<Cell<u64>>,
    /// The register of each value that is a register's.
    names: Vec<Register>,
}

impl RebuildPlan {
    fn new() -> RebuildPlan {
        RebuildPlan {
            encoding: Encoding::Pair,
            candidate: CandidateId(0),
            point: 0,
            reason: ExitReason::Invalidated,
            window: std::ptr::null_mut(),
            argument_count: None,
            frames: SmallVec::new(),
            words: Vec::new(),
            names: Vec::new(),
        }
    }
    fn stride(&self) -> usize {
        self.encoding.size() as usize / 8
    }
    /// Says what is left, and where.
    pub(crate) fn describe(
        &mut self,
        candidate: &Candidate,
        point: u32,
        window: *mut u8,
        argument_count: Option<u64>,
    ) {
        self.candidate = candidate.id;
        self.point = point;
        self.reason = candidate.reason(point);
        self.window = window;
        self.argument_count = argument_count;
    }
    /// How many values are in it.
    pub(crate) fn value_count(&self) -> u32 {
        self.names.len() as u32
    }
    /// Adds a value; `register` matters for registers' values only.
    pub(crate) fn push(&mut self, register: Register, value: Boxed) {
        self.names.push(register);
        self.words.push(Cell::new(value.tag()));
        if self.encoding == Encoding::Pair {
            self.words.push(Cell::new(value.payload()));
        }
    }
    /// Replaces a value, while the plan is filled.
    pub(crate) fn replace(&mut self, index: u32, value: Boxed) {
        let at = index as usize * self.stride();
        self.words[at].set(value.tag());
        if self.encoding == Encoding::Pair {
            self.words[at + 1].set(value.payload());
        }
    }
    fn value(&self, index: u32) -> Boxed {
        let at = index as usize * self.stride();
        match self.encoding {
            Encoding::Pair => Boxed::pair(self.words[at].get(), self.words[at + 1].get()),
            Encoding::Word => Boxed::from_word(self.words[at].get()),
        }
    }

    /// Which candidate was left.
    pub fn candidate(&self) -> CandidateId {
        self.candidate
    }
    /// At which of its deopt points.
    pub fn point(&self) -> u32 {
        self.point
    }
    /// Why.
    pub fn reason(&self) -> ExitReason {
        self.reason
    }
    /// Address of the outermost frame's first register on the guest stack. Its boxed callee stands just below.
    pub fn window(&self) -> *mut u8 {
        self.window
    }
    /// How many arguments the outermost frame was called with, where the candidate keeps it.
    pub fn argument_count(&self) -> Option<u64> {
        self.argument_count
    }
    /// The frames, innermost first. The last one is the outermost: the compiled frame's own unit.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = FrameImage<'_>> + ExactSizeIterator {
        self.frames.iter().map(move |record| FrameImage { plan: self, record })
    }
    /// Reports every value.
    ///
    /// # Safety
    /// Nothing reads the plan during the call.
    pub(crate) unsafe fn visit_roots(&self, visit: &mut dyn FnMut(RootWord<'_>)) {
        for value in self.words.chunks_exact(self.stride()) {
            let start = value.as_ptr() as *mut u64;
            // SAFETY: a `Cell<u64>` has the form of its content and may be written through a shared reference; nobody else reads
            // or writes the cells during the call.
            visit(RootWord::Any(unsafe { std::slice::from_raw_parts_mut(start, value.len()) }));
        }
    }
}

/// One interpreter frame to be made.
#[derive(Clone, Copy)]
pub struct FrameImage<'a> {
    plan: &'a RebuildPlan,
    record: &'a FrameRecord,
}

impl<'a> FrameImage<'a> {
    /// Its unit.
    pub fn unit(&self) -> UnitId {
        self.record.unit
    }
    /// Where it goes on.
    pub fn resume(&self) -> ResumePoint {
        self.record.resume
    }
    /// Position of its window in the outermost frame's window, in registers.
    pub fn window_offset(&self) -> u16 {
        self.record.window
    }
    /// Address of its first register on the guest stack.
    pub fn window(&self) -> *mut u8 {
        self.plan.window.wrapping_add(self.record.window as usize * self.plan.encoding.size() as usize)
    }
    /// Its boxed callee; `None` for the outermost frame, whose callee stands below its window already.
    pub fn callee(&self) -> Option<Boxed> {
        self.record.callee.map(|index| self.plan.value(index))
    }
    /// What its live registers hold.
    pub fn registers(&self) -> impl ExactSizeIterator<Item = (Register, Boxed)> + use<'a> {
        let plan = self.plan;
        self.record.registers.clone().map(move |index| (plan.names[index as usize], plan.value(index)))
    }
    /// Results of its bytecode instruction that it has yet to receive. None if they are those of a guest call, see
    /// [`FrameImage::call_results`].
    pub fn results(&self) -> impl ExactSizeIterator<Item = Boxed> + use<'a> {
        let plan = self.plan;
        self.record.results.clone().map(move |index| plan.value(index))
    }
    /// The results of the guest call that it was in, in machine form (a frame that was invalidated during a call): the first one is
    /// here, and if their number is not one, all are in the window as well, as after any guest call.
    pub fn call_results(&self) -> Option<GuestResults> {
        let (index, further) = self.record.call_results?;
        let first = self.plan.value(index);
        Some(match self.plan.encoding {
            Encoding::Pair => GuestResults::pair(first.tag() as u32, first.payload(), further as i32),
            Encoding::Word => GuestResults::word(first.word(), further as i64),
        })
    }
    /// The open run of values in its window: where it starts, and its length.
    pub fn open(&self) -> Option<(Register, u64)> {
        self.record.open
    }
}

/// The rebuilds in progress on one native stack, innermost last, with their buffers kept for the next exits.
///
/// Plans are held by raw pointers: the host reads one while further ones are pushed.
#[derive(Default)]
pub(crate) struct RebuildStack {
    plans: Vec<*mut RebuildPlan>,
    depth: usize,
}

impl RebuildStack {
    /// A fresh plan on top. It stays at its address until it is popped.
    pub(crate) fn push(&mut self, encoding: Encoding) -> *mut RebuildPlan {
        if self.depth == self.plans.len() {
            self.plans.push(Box::into_raw(Box::new(RebuildPlan::new())));
        }
        let plan = self.plans[self.depth];
        self.depth += 1;
        // SAFETY: plans come from boxes and are freed by `drop` alone; one at or above the depth has no reader.
        let fresh = unsafe { &mut *plan };
        fresh.encoding = encoding;
        fresh.frames.clear();
        fresh.words.clear();
        fresh.names.clear();
        plan
    }
    /// Gives up the plan on top.
    pub(crate) fn pop(&mut self) {
        self.depth -= 1;
    }
    /// Gives up all plans: the stack whose frames were being rebuilt is abandoned.
    pub(crate) fn abandon(&mut self) {
        self.depth = 0;
    }
    /// How many rebuilds are in progress.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }
    /// Reports the values of all plans in use.
    ///
    /// # Safety
    /// Nothing reads a plan during the call.
    pub(crate) unsafe fn visit_roots(&self, visit: &mut dyn FnMut(RootWord<'_>)) {
        for &plan in &self.plans[..self.depth] {
            // SAFETY: a live plan (see `push`); the rest is the caller's promise.
            unsafe { (*plan).visit_roots(visit) };
        }
    }
}

impl Drop for RebuildStack {
    fn drop(&mut self) {
        for plan in self.plans.drain(..) {
            // SAFETY: made by `Box::into_raw` in `push`, freed only here.
            drop(unsafe { Box::from_raw(plan) });
        }
    }
}
