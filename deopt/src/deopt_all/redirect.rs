//! One native stack: the frames that stand in invalid candidates are redirected.
//!
//! A frame in a call goes on where its call returns to. Two ways to make that the call's landing pad:
//!
//! * the return address on the stack is overwritten with the pad's. Compiled code knows nothing of it and pays nothing;
//! * the frame's *mark* is set, a word of the frame, which code made for this looks at behind each of its calls. For targets whose
//!   return addresses can't be written (shadow stacks).
//!
//! Frames of the portable backend have a mark and no pad: the step after the call looks at it ([`crate::portable`]).
//!
//! A pad gives the results of the call, with the frame state after it, to the landing stub: from there it is a deopt like any other.
//!
//! What needs nothing:
//! * a frame that is leaving ([`FrameSite::Exit`]) runs nothing more than its return;
//! * a frame that was redirected before;
//! * a frame in a call without an exit record (an extern without effects) can't be met: such a call reaches no safepoint.
//!
//! A frame in a call without a landing pad (a function that was declared not to run guest code) can't be redirected. That a request
//! meets one means that the declaration is wrong, and ends the process: the frame would go on with what no longer holds.

use super::Retired;
use crate::candidate::CandidateId;
use crate::code_map::Snapshot;
use crate::context::Context;
use crate::frames::{CompiledFrame, FrameSite, FrameWalk};
use crate::loaded::Candidate;
use crate::stop::loud_stop;
use rustc_hash::FxHashSet;

/// What a visit of one native stack found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Visit {
    /// How many frames were redirected now.
    pub redirected: usize,
    /// Retired candidates in which frames are left: their code is still needed.
    pub left: FxHashSet<CandidateId>,
}

/// The old part of a native stack, in which every frame is redirected or leaving: what a visit may leave out.
///
/// A runloop's frames may stand on several native stacks, if a host switches stacks below it: then frames are not in the order of their
/// addresses, and nothing is left out.
///
/// Redirections are made by visits alone (others forget what is settled). So a redirected frame was there at the last visit, and nothing below it has changed since: if
/// it is in the settled part, it and all frames below it still are. A stack that is deep and visited often is walked down to there.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Frames with this frame pointer or a higher one, at the last visit.
    from: usize,
    /// Retired candidates that they may stand in: those of frames that are gone since are among them until the next whole walk.
    left: FxHashSet<CandidateId>,
    /// How many visits may leave the part out before the next whole walk.
    skips: usize,
    /// Frame pointer at which the last visit ended.
    walked_to: usize,
}

/// A whole walk once in so many visits as it has this many frames: what it costs is spread over visits that cost about as much.
const FRAMES_PER_SKIP: usize = 256;

impl Default for Settled {
    fn default() -> Settled {
        Settled { from: usize::MAX, left: FxHashSet::default(), skips: 0, walked_to: usize::MAX }
    }
}

/// Redirects the frames of a context that stand in invalid candidates.
///
/// # Safety
/// As for [`FrameWalk::new`]; nobody else visits the stack. `settled` is what the last visit of the same native stack left there.
pub(crate) unsafe fn visit(
    context: *const Context,
    map: &Snapshot,
    retired: &Retired,
    settled: &mut Settled,
) -> Visit {
    let mut visit = Visit::default();
    let may_skip = settled.skips > 0;
    let mut walked = 0;
    settled.walked_to = usize::MAX;
    let mut from = usize::MAX;
    let (mut newer, mut is_in_order) = (0, true);
    // The last candidate and what is known of it: neighbours are often frames of one unit.
    let mut last: Option<(CandidateId, bool)> = None;
    // SAFETY: handed on.
    for frame in unsafe { FrameWalk::new(context, map) } {
        if may_skip && is_in_order && frame.is_redirected && frame.frame_pointer >= settled.from {
            settled.walked_to = frame.frame_pointer;
            break;
        }
        walked += 1;
        is_in_order &= newer < frame.frame_pointer;
        newer = frame.frame_pointer;
        let id = frame.candidate.id;
        let is_invalid = match last {
            Some((known, is_invalid)) if known == id => is_invalid,
            _ => {
                let state = retired.get(&id).copied();
                if state.is_some() {
                    visit.left.insert(id);
                }
                last = Some((id, state == Some(true)));
                state == Some(true)
            }
        };
        let mut is_settled = frame.is_redirected || matches!(frame.site, FrameSite::Exit(_));
        if is_invalid && !is_settled {
            redirect(&frame);
            visit.redirected += 1;
            is_settled = true;
        }
        from = if is_settled { from.min(frame.frame_pointer) } else { usize::MAX };
    }
    if settled.walked_to != usize::MAX {
        settled.from = from.min(settled.walked_to);
        settled.skips -= 1;
        visit.left.extend(settled.left.iter().filter(|id| retired.contains_key(id)));
    } else {
        settled.from = from;
        settled.skips = walked / FRAMES_PER_SKIP;
    }
    settled.left = visit.left.clone();
    if !is_in_order {
        *settled = Settled { walked_to: settled.walked_to, ..Settled::default() };
    }
    visit
}

/// Makes a frame leave when its call returns. Returns whether it is in a call.
fn redirect(frame: &CompiledFrame<'_>) -> bool {
    let FrameSite::Call(site) = frame.site else { return false };
    let candidate: &Candidate = frame.candidate;
    let Some(pad) = candidate.call_site(site).landing_pad else { unresolvable(candidate, site) };
    match candidate.mark_home {
        Some(home) => {
            let mark = frame.frame_pointer.wrapping_add_signed(home as isize * 8) as *mut u64;
            // SAFETY: a home inside the frame, which only the frame's own code and this function use; the stack stands still.
            unsafe { mark.write(1) }
        }
        // SAFETY: where the frame's callee finds its return address; the stack stands still. The pad is code of the frame's candidate,
        // made to be returned to from this very call.
        None => unsafe { frame.return_slot.write(candidate.start + pad as usize) },
    }
    true
}

/// Makes the newest frame leave when its call returns, whatever becomes of its candidate. Returns whether there is one in a call.
///
/// # Safety
/// As for [`visit`].
pub(crate) unsafe fn redirect_newest(context: *const Context, map: &Snapshot) -> bool {
    // SAFETY: handed on.
    let newest = unsafe { FrameWalk::new(context, map) }.next();
    newest.is_some_and(|frame| frame.is_redirected || redirect(&frame))
}

#[cold]
fn unresolvable(candidate: &Candidate, site: u32) -> ! {
    let offset = candidate.call_site(site).return_offset;
    let place = match candidate.activations_at(site).next() {
        Some(header) => format!("at {} of {}", header.pc, header.unit),
        None => "at an unknown place".to_owned(),
    };
    loud_stop(format_args!(
        "a frame of {candidate} can't be redirected: its call {site} (return offset {offset:#x}, {place}) has no landing pad, so \
         its callee was declared not to run guest code, but guest code asked for deoptimization in it"
    ))
}

/// Stops the process if a frame of an invalid candidate would go on in it, among those that the last visit walked.
///
/// # Safety
/// As for [`visit`].
pub(crate) unsafe fn check(context: *const Context, map: &Snapshot, retired: &Retired, settled: &Settled) {
    // SAFETY: handed on.
    for frame in unsafe { FrameWalk::new(context, map) } {
        if frame.frame_pointer >= settled.walked_to {
            break;
        }
        let candidate = frame.candidate;
        if retired.get(&candidate.id) == Some(&true)
            && !frame.is_redirected
            && let FrameSite::Call(site) = frame.site
        {
            loud_stop(format_args!(
                "after a deoptimization of everything a frame of {candidate} still goes on behind its call {site} (frame pointer {:#x})",
                frame.frame_pointer
            ));
        }
    }
}
