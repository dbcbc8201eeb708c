//! Two runs compared: of a base, and of what passes made of it, in equal worlds.

use super::run::{End, History, Limits, Ran, Subject, is_droppable};
use super::world::{Event, Makings, World};
use std::cell::OnceCell;
use std::fmt::Write as _;
use surmise_ir::evaluate::{Exit, LeaveReason, RebuiltFrame};
use surmise_ir::language::Language;

/// What a comparison says.
pub enum Verdict {
    /// They did the same, to the end.
    Same {
        /// Events that were compared.
        events: u64,
        /// The version left, and its frames were compared.
        left: bool,
    },
    /// They did the same as far as they can be compared.
    Partly {
        /// Events that were compared.
        events: u64,
    },
    /// The base can't be run in this world, or the world contradicts what its lifter knows: for this reason.
    Impossible(String),
    /// In these words.
    Different(String),
}

/// Whether a run ended because of an answer that it got.
pub fn has_left(ran: &Ran) -> bool {
    matches!(ran.end, End::Exit(Exit::Deoptimized { .. }) | End::Fault(_))
}

/// Two runs.
pub struct Pair<'a> {
    /// The host's language.
    pub language: &'a Language,
    /// The base and its run.
    pub base: (&'a Subject, &'a Ran),
    /// What was made of it, and its run.
    pub version: (&'a Subject, &'a Ran),
    /// The world of both.
    pub makings: Makings<'a>,
    /// How long the base was run.
    pub limits: Limits,
    /// The moments of the base's run, once they are asked for.
    pub history: &'a OnceCell<History>,
}

impl Pair<'_> {
    /// Compares.
    pub fn verdict(&self) -> Verdict {
        let (base, version) = (self.base.1, self.version.1);
        if let End::Fault(fault) = &base.end {
            return Verdict::Impossible(fault.to_string());
        }
        if let (End::Fault(fault), true) = (&version.end, version.is_contradicted) {
            return Verdict::Impossible(fault.to_string());
        }
        let count = base.events.len().min(version.events.len());
        if let Some(at) = (0..count).find(|&at| base.events[at] != version.events[at]) {
            return Verdict::Different(self.event_text(at));
        }
        let events = count as u64;
        let partly = Verdict::Partly { events };
        let same = |left| Verdict::Same { events, left };
        let stops_early = version.events.len() < base.events.len();
        let different = |what: &str| {
            Verdict::Different(format!(
                "{what}: behind {events} events the base {}, the other {}",
                if stops_early { "goes on".to_owned() } else { self.end_text(base) },
                self.end_text(version)
            ))
        };
        if let End::Fault(fault) = &version.end {
            return Verdict::Different(format!("a check of the evaluator fails: {fault}"));
        }
        if let End::Exit(Exit::Deoptimized { frames, .. }) = &version.end {
            return self.left(frames, events);
        }
        if stops_early {
            return match version.end {
                End::Cut => different("it does not come to its next effect"),
                _ => different("it ends too early"),
            };
        }
        match (&base.end, &version.end) {
            (End::Cut, _) => partly,
            (End::Exit(Exit::Deoptimized { reason, .. }), _) => {
                if is_droppable(&self.base.0.function, reason) { partly } else { different("it goes on") }
            }
            (End::Exit(expected), End::Exit(found)) if expected == found => {
                if version.events.len() == base.events.len() {
                    same(false)
                } else {
                    different("it does more")
                }
            }
            (_, End::Cut) => different("it does not end"),
            _ => different("it ends otherwise"),
        }
    }

    /// The version left with these frames.
    fn left(&self, frames: &[RebuiltFrame], events: u64) -> Verdict {
        let (subject, base) = self.base;
        let version = self.version.1;
        if let End::Exit(Exit::Deoptimized { frames: expected, .. }) = &base.end
            && expected == frames
            && version.effects == base.effects
        {
            return Verdict::Same { events, left: true };
        }
        let history = self
            .history
            .get_or_init(|| History::new(subject, self.language, World::new(self.makings), self.limits));
        if history.has(version.effects, frames) {
            return Verdict::Same { events, left: true };
        }
        let may_come = version.effects >= base.effects
            && match &base.end {
                End::Cut => true,
                End::Exit(Exit::Deoptimized { reason, .. }) => is_droppable(&subject.function, reason),
                _ => false,
            };
        if may_come {
            return Verdict::Partly { events };
        }
        let mut text =
            format!("it leaves with frames that the base never has behind {} effects", version.effects);
        if let End::Exit(Exit::Deoptimized { reason, .. }) = &version.end {
            // Writing to a string can't fail.
            let _ = write!(text, " ({})", self.reason_text(reason));
        }
        let expected = match (history.nearest(version.effects, frames), &base.end) {
            (Some(frames), _) => Some(frames),
            (None, End::Exit(Exit::Deoptimized { frames, .. })) => Some(&frames[..]),
            _ => None,
        };
        let _ = write!(text, "\n  rebuilt  {}", frames_text(frames));
        match expected {
            Some(frames) => {
                let _ = write!(text, "\n  the base {}", frames_text(frames));
            }
            None => text.push_str("\n  the base never comes to that resume point"),
        }
        Verdict::Different(text)
    }

    fn reason_text(&self, reason: &LeaveReason) -> String {
        match *reason {
            LeaveReason::Guard { inst, reason, .. } => {
                let text = surmise_ir::text::inst_text(&self.version.0.function, self.language, inst);
                format!("guard {reason}: {text}")
            }
            LeaveReason::Deoptimize(reason) => format!("deoptimize {reason}"),
            LeaveReason::Invalidated => "everything became invalid in a call".to_owned(),
        }
    }

    fn end_text(&self, ran: &Ran) -> String {
        match &ran.end {
            End::Exit(Exit::Returned(values)) => format!("returns {values:?}"),
            End::Exit(Exit::ReturnedOpen { register, count }) => {
                format!("returns {count} values from r{} on", register.0)
            }
            End::Exit(Exit::Deoptimized { frames, .. }) => format!("leaves with {}", frames_text(frames)),
            End::Exit(Exit::Thrown) => "ends with an error".to_owned(),
            End::Exit(Exit::OutOfSteps) | End::Cut => format!("goes on after {} instructions", ran.steps),
            End::Fault(fault) => format!("fails: {fault}"),
        }
    }

    fn event_text(&self, at: usize) -> String {
        let (base, version) = (&self.base.1.events[at], &self.version.1.events[at]);
        format!(
            "event {at} is another one\n  it  {}\n  the base {}",
            self.one_event(version),
            self.one_event(base)
        )
    }
    fn one_event(&self, event: &Event) -> String {
        match event {
            Event::Store(class, place, value) => {
                format!("stores {value:?} to {} at {place:#x}", self.language.alias_classes[*class])
            }
            Event::StoreWindow(register, value) => format!("puts {value:?} into r{register}"),
            Event::Barrier(object, value) => format!("has the barrier of {object:#x} for {value:?}"),
            Event::Extern(id, args) => format!("calls {} with {args:?}", self.language.externs[*id].name),
            Event::Guest(call) => {
                format!("calls {:?} at {} with {:?}", call.callee, call.site, call.args)
            }
            Event::Poll(frames) => format!("polls with {}", frames_text(frames)),
        }
    }
}

fn frames_text(frames: &[RebuiltFrame]) -> String {
    let frame = |frame: &RebuiltFrame| {
        let registers: Vec<String> = frame
            .registers
            .iter()
            .map(|(register, value)| format!("r{} = {:#x}:{:#x}", register.0, value[0], value[1]))
            .collect();
        format!("{} {{{}}} results {:?}", frame.resume, registers.join(", "), frame.results)
    };
    frames.iter().map(frame).collect::<Vec<_>>().join(", in ")
}
