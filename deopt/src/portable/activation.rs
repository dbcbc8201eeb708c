//! The evaluator's side of a frame.

use super::code::PortableCode;
use super::frame::PortableFrame;
use crate::context::Context;
use crate::frames::{FrameSite, RootWord};
use crate::loaded::Candidate;
use crate::stop::loud_stop;
use std::ptr::null_mut;
use std::sync::Arc;
use surmise_ir::evaluate::{Call, Machine, RootMut, Settings};
use surmise_ir::language::Encoding;

/// What runs in a frame.
pub(crate) struct Activation {
    /// Refers to what the candidate holds: it is dropped before.
    pub machine: Machine<'static>,
    /// What the machine waits for, from when it stands still in a call until that has returned.
    pub waiting: Option<Call>,
    /// Where it stands still.
    pub site: FrameSite,
    /// The base of its effective slots.
    pub slots: *const u8,
    candidate: Arc<Candidate>,
    /// The next in the list.
    older: *mut Activation,
}

/// The activations of the frames above one entry record, from the newest on: a list, whose head is in the context. Frames end in the
/// order opposite to that of their beginning, on each native stack for itself.
impl Activation {
    /// Puts an activation on top of the list of its context.
    ///
    /// # Safety
    /// The context is alive and on its own thread.
    pub unsafe fn push(mut self, context: *mut Context) -> *mut Activation {
        // SAFETY: the function's contract.
        unsafe {
            self.older = (*context).activations.cast();
            let activation = Box::into_raw(Box::new(self));
            (*context).activations = activation.cast();
            activation
        }
    }
    /// Gives up the newest one, which has ended.
    ///
    /// # Safety
    /// As for [`Activation::push`]; nobody has a reference to it.
    pub unsafe fn pop(context: *mut Context) {
        // SAFETY: the list's members come from boxes, and each is taken from the list once.
        unsafe {
            let newest: Box<Activation> = Box::from_raw((*context).activations.cast());
            (*context).activations = newest.older.cast();
        }
    }
    /// Gives up those of frames that did not return: all that are left above an entry record that is gone.
    ///
    /// # Safety
    /// As for [`Activation::pop`]; none of the frames is left.
    pub unsafe fn give_up_all(context: *mut Context) {
        // SAFETY: handed on.
        unsafe {
            while !(*context).activations.is_null() {
                Activation::pop(context);
            }
        }
    }
}

impl Activation {
    /// An activation that stands before its first instruction.
    pub fn new(
        candidate: &Arc<Candidate>,
        window: *mut u8,
        slots: *const u8,
        forced_failures: u32,
    ) -> Activation {
        let candidate = candidate.clone();
        // SAFETY: the candidate and its language are in allocations of their own which live, unchanged, as long as the
        // activation has its share in the candidate; the machine, which alone has these references, is dropped before that.
        let (code, language) =
            unsafe { (&*std::ptr::from_ref(code_of(&candidate)), &*Arc::as_ptr(&candidate.language)) };
        let fail_every = Some(u64::from(forced_failures)).filter(|&every| every != 0);
        let settings = Settings { step_limit: None, fail_every };
        let machine = Machine::new(&code.function, &code.prepared, language, window as u64, settings);
        Activation { machine, waiting: None, site: FrameSite::Call(0), slots, candidate, older: null_mut() }
    }
    /// Its candidate.
    pub fn candidate(&self) -> &Arc<Candidate> {
        &self.candidate
    }
    /// Its code.
    pub fn code(&self) -> &PortableCode {
        code_of(&self.candidate)
    }
}

fn code_of(candidate: &Candidate) -> &PortableCode {
    match &candidate.portable {
        Some(code) => code,
        None => loud_stop(format_args!("{candidate} is run by the portable backend, but is machine code")),
    }
}

/// What a frame is doing.
///
/// # Safety
/// The frame pointer is of a frame of a portable candidate that stands still.
pub(crate) unsafe fn site(frame_pointer: usize) -> FrameSite {
    // SAFETY: a frame that was left has made its first step.
    unsafe { (*(*PortableFrame::below(frame_pointer)).activation).site }
}

/// Gives up the activation of a frame whose stack is abandoned. The list that it is in is not used any more.
///
/// # Safety
/// As for [`site`]; the frame does not run again.
pub(crate) unsafe fn give_up(frame_pointer: usize) {
    // SAFETY: activations come from boxes; each frame has its own, and is given up once.
    unsafe {
        let frame = PortableFrame::below(frame_pointer);
        let activation = std::mem::replace(&mut (*frame).activation, std::ptr::null_mut());
        if !activation.is_null() {
            drop(Box::from_raw(activation));
        }
    }
}

/// Reports the collector-managed values that a frame needs after its call.
///
/// # Safety
/// As for [`site`]; what is written is a valid value in the place of the old one.
pub(crate) unsafe fn visit_roots(frame_pointer: usize, visit: &mut dyn FnMut(RootWord<'_>)) {
    // SAFETY: as in `site`; nobody has a reference to an activation while host code runs.
    let activation = unsafe { &mut *(*PortableFrame::below(frame_pointer)).activation };
    let any_words = if activation.candidate.language.encoding == Encoding::Pair { 2 } else { 1 };
    activation.machine.visit_roots(&mut |root| match root {
        RootMut::Ref(word) => visit(RootWord::Ref(word)),
        RootMut::Any(boxed) => visit(RootWord::Any(&mut boxed[..any_words])),
    });
}
