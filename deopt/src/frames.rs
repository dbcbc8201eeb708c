//! Compiled frames on a native stack: finding them, and what they hold for the collector.
//!
//! The walk starts where control left compiled code last (the context's exit frame and stack pointers, or an entry record's for
//! older segments), follows saved frame pointers to the frame that `enter` called, and goes on at the entry record's own exit
//! pointers. Host frames lie between the segments; they are never looked at. See the drawing in [`crate::stubs`].
//!
//! A frame whose candidate was invalidated while it was in a call is *redirected*: when its callee returns, it goes to the call's
//! landing pad (see [`crate::deopt_all`]). Until then it is in the call like any other, and the walk says so: its return address
//! is the pad's, from which the call site is found.
//!
//! What is checked at each step, so that a broken stack stops the process instead of being walked: a return address is a known
//! call site, landing pad or deopt point, the frame has its candidate's size, and a segment ends at its entry record's frame.

use crate::code_map::Snapshot;
use crate::context::Context;
use crate::loaded::Candidate;
use crate::portable::activation;
use crate::stop::loud_stop;
use crate::stubs::{EntryRecord, enter_return_address};
use crate::table::RootKind;
use std::sync::Arc;
use surmise_ir::language::Encoding;

/// A collector-managed place, as reported to the host's collector, which may write it.
pub enum RootWord<'a> {
    /// An object pointer, of a value of type `ref`.
    Ref(&'a mut u64),
    /// A boxed value: one word in word encoding, tag and payload in pair encoding.
    Any(&'a mut [u64]),
}

/// What a frame is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameSite {
    /// It is in this call.
    Call(u32),
    /// It is leaving at this deopt point: it runs no further, its values are in a rebuild plan or in interpreter frames already.
    Exit(u32),
}

/// A compiled frame.
pub struct CompiledFrame<'a> {
    /// Whose code it runs.
    pub candidate: &'a Arc<Candidate>,
    /// What it is doing.
    pub site: FrameSite,
    /// When its call returns, it leaves to the interpreter.
    pub is_redirected: bool,
    /// Its frame pointer.
    pub frame_pointer: usize,
    /// Where the return address into it stands: the place to rewrite when it must not go on.
    pub return_slot: *mut usize,
}

/// The compiled frames of one native stack, newest first.
pub struct FrameWalk<'a> {
    map: &'a Snapshot,
    enter_return: usize,
    record: *const EntryRecord,
    frame_pointer: usize,
    return_slot: *mut usize,
    walked: usize,
    /// Where the last frame was: in a deep recursion the next one is at the same place.
    last: Option<Located<'a>>,
}

/// What a return address says of the frame that it leads into.
#[derive(Clone, Copy)]
struct Located<'a> {
    return_address: usize,
    candidate: &'a Arc<Candidate>,
    site: FrameSite,
    is_landing_pad: bool,
}

impl<'a> FrameWalk<'a> {
    /// A walk over the frames of a context.
    ///
    /// # Safety
    /// The context's thread is this one, or is stopped; it is at a safepoint: it left compiled code through a stub or through a
    /// call before which the exit pointers were stored. The stack does not change during the walk, except that return
    /// addresses may be rewritten behind it.
    pub unsafe fn new(context: *const Context, map: &'a Snapshot) -> FrameWalk<'a> {
        // SAFETY: the context is alive and stands still (the function's contract).
        let (record, frame_pointer, stack_pointer) = unsafe {
            ((*context).entry_record, (*context).exit_frame_pointer, (*context).exit_stack_pointer)
        };
        let mut walk = FrameWalk {
            map,
            enter_return: enter_return_address(),
            record: record.cast(),
            frame_pointer: 0,
            return_slot: std::ptr::null_mut(),
            walked: 0,
            last: None,
        };
        walk.start_segment(frame_pointer, stack_pointer);
        walk
    }

    fn start_segment(&mut self, frame_pointer: usize, stack_pointer: usize) {
        if !self.record.is_null() && frame_pointer == 0 {
            loud_stop(format_args!(
                "compiled code is active but did not record where it was left ({} frames walked): a function declared without \
                 effects reached a safepoint",
                self.walked
            ));
        }
        self.frame_pointer = frame_pointer;
        self.return_slot = stack_pointer.wrapping_sub(8) as *mut usize;
    }

    fn locate(&self, return_address: usize) -> Located<'a> {
        let Some(candidate) = self.map.find(return_address) else {
            loud_stop(format_args!(
                "return address {return_address:#x} belongs to no candidate ({} frames walked, frame pointer {:#x})",
                self.walked, self.frame_pointer
            ));
        };
        if candidate.is_portable() {
            // All its calls are made from one place: the frame says which it is in.
            return Located { return_address, candidate, site: FrameSite::Call(0), is_landing_pad: false };
        }
        let offset = return_address - candidate.start();
        if let Some(site) = candidate.site_at(offset as u32) {
            return Located { return_address, candidate, site, is_landing_pad: false };
        }
        let Some(site) = candidate.site_of_landing_pad(offset as u32) else {
            loud_stop(format_args!(
                "return address {return_address:#x} is at offset {offset:#x} of {candidate}, where there is neither a call site \
                 nor a landing pad or deopt point ({} frames walked)",
                self.walked
            ));
        };
        Located { return_address, candidate, site: FrameSite::Call(site), is_landing_pad: true }
    }
}

impl<'a> Iterator for FrameWalk<'a> {
    type Item = CompiledFrame<'a>;

    fn next(&mut self) -> Option<CompiledFrame<'a>> {
        loop {
            if self.record.is_null() {
                return None;
            }
            // SAFETY: the slot of the return address of a frame of this stack: 8 bytes below the exit stack pointer, or 8 bytes
            // above a compiled frame's frame pointer. The stack stands still.
            let return_address = unsafe { *self.return_slot };
            if return_address == self.enter_return {
                if self.frame_pointer != EntryRecord::frame_pointer(self.record) {
                    loud_stop(format_args!(
                        "a segment of compiled frames ends at frame pointer {:#x}, its entry record is at {:p} ({} frames walked)",
                        self.frame_pointer, self.record, self.walked
                    ));
                }
                // SAFETY: the newest entry record that was not walked yet; `enter` is still active, so it is intact.
                let (previous, frame_pointer, stack_pointer) = unsafe {
                    let record = &*self.record;
                    (record.previous, record.exit_frame_pointer, record.exit_stack_pointer)
                };
                self.record = previous;
                self.start_segment(frame_pointer, stack_pointer);
                continue;
            }
            let located = match self.last {
                Some(last) if last.return_address == return_address => last,
                _ => self.locate(return_address),
            };
            self.last = Some(located);
            let Located { candidate, site, .. } = located;
            let (frame_pointer, return_slot) = (self.frame_pointer, self.return_slot);
            let size = frame_pointer.wrapping_sub(return_slot as usize + 8);
            if size != candidate.frame_size as usize {
                loud_stop(format_args!(
                    "a frame of {candidate} has {size} bytes instead of {} ({} frames walked)",
                    candidate.frame_size, self.walked
                ));
            }
            self.walked += 1;
            let site = match candidate.is_portable() {
                // SAFETY: a frame of a portable candidate, which stands still.
                true => unsafe { activation::site(frame_pointer) },
                false => site,
            };
            let is_marked = candidate.mark_home.is_some_and(|home| {
                let mark = frame_pointer.wrapping_add_signed(home as isize * 8) as *const u64;
                // SAFETY: a home inside the frame (checked when the candidate was loaded), written at its entry.
                unsafe { *mark != 0 }
            });
            let is_redirected = located.is_landing_pad || is_marked;
            // SAFETY: a compiled frame's frame pointer: the saved frame pointer of its caller stands there, the return address
            // into its caller above it.
            self.frame_pointer = unsafe { *(frame_pointer as *const usize) };
            self.return_slot = (frame_pointer + 8) as *mut usize;
            return Some(CompiledFrame { candidate, site, is_redirected, frame_pointer, return_slot });
        }
    }
}

impl CompiledFrame<'_> {
    /// Whether a runloop entered it directly.
    ///
    /// # Safety
    /// The frame is still on the stack.
    pub unsafe fn is_entered(&self) -> bool {
        // SAFETY: the return address into its caller stands 8 bytes above its frame pointer.
        unsafe { *((self.frame_pointer + 8) as *const usize) == enter_return_address() }
    }

    /// Address of its first register on the guest stack.
    ///
    /// # Safety
    /// The frame is still on the stack.
    pub unsafe fn window(&self) -> *mut u8 {
        let home = self.frame_pointer.wrapping_add_signed(self.candidate.window_home as isize * 8);
        // SAFETY: a home inside the frame, written at its entry and never changed.
        unsafe { *(home as *const *mut u8) }
    }

    /// Reports the collector-managed values that the frame keeps in its homes during its call.
    ///
    /// # Safety
    /// As for [`FrameWalk::new`]; what is written is a valid value in the place of the old one.
    pub unsafe fn visit_roots(&self, visit: &mut dyn FnMut(RootWord<'_>)) {
        let FrameSite::Call(site) = self.site else { return };
        if self.candidate.is_portable() {
            // SAFETY: handed on.
            return unsafe { activation::visit_roots(self.frame_pointer, visit) };
        }
        let (from, to) = self.candidate.call_site(site).roots;
        let any_words = if self.candidate.language.encoding == Encoding::Pair { 2 } else { 1 };
        for root in &self.candidate.calls.roots[from as usize..to as usize] {
            let place = self.frame_pointer.wrapping_add_signed(root.offset as isize * 8) as *mut u64;
            match root.kind {
                // SAFETY: a home inside the frame (checked when the candidate was loaded), live during this call; no Rust
                // reference to compiled frames exists but this one.
                RootKind::Ref => visit(RootWord::Ref(unsafe { &mut *place })),
                RootKind::Any => {
                    // SAFETY: as above; a boxed pair's tag is at the lower address.
                    visit(RootWord::Any(unsafe { std::slice::from_raw_parts_mut(place, any_words) }))
                }
            }
        }
    }
}
