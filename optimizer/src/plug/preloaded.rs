//! What a plug does about candidates from a file: asks for them when a unit's log has grown, until they fit or the unit is learnt.
//!
//! ```text
//!  window closed ──bind──▶ fits: delivered, installed, the unit is learnt no more
//!                            │ does not fit
//!                            ├─ some of what is missing can be foreseen ──▶ logged, asked again at once
//!                            ├─ the rest can have stand-ins ──▶ asked with them at once
//!                            ├─ the host says that something can't be so ──▶ asked with other names for it at once
//!                            ├─ more windows are to come ──▶ asked again when the next one closes
//!                            └─ that was the last ──▶ compiled as if there were no file
//!
//!  more was logged of a unit whose candidate has stand-ins ──bind──▶ fits with fewer: takes the place of the other
//! ```

use super::{Foreseen, Knowledge, Plug, PlugHost};
use crate::compile::Rejection;
use crate::log::UnitIndex;
use crate::preload::{Missing, Refuted, StandIn, Unbound};
use crate::service::Wish;
use surmise_ir::function::Entry;

/// So often at most one asks for a unit whether stand-ins of its candidates can be replaced.
const REPLACEMENTS: u32 = 64;
/// So often at most one asks for a candidate again while the host tells more.
const ROUNDS: u32 = 16;

/// How far an entry has come for which a file has a candidate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// To be asked for when more was logged.
    Not,
    /// There will be an answer.
    Once(Question),
}

/// How a candidate was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Question {
    /// It is not asked for again.
    is_last: bool,
    /// What is missing has stand-ins: the host has told all that it knows.
    filled: bool,
    /// How often it was asked before.
    rounds: u32,
    /// One is installed, in which so many premises have stand-ins.
    instead_of: Option<u32>,
    /// With what it was asked for.
    refuted: Vec<Refuted>,
}

/// What the host says of missing premises.
enum Said {
    /// Some hold, and are logged now. What they name tells more of the others.
    Foreseen,
    /// All have stand-ins.
    Filled(Vec<StandIn>),
    /// These can't hold.
    Refuted(Vec<Refuted>),
    /// There is one that has to be waited for.
    Nothing,
}

impl Plug {
    /// Asks for the file's candidates for the unit: they come if they fit what the log has seen up to now.
    pub(super) fn bind_preloaded(&mut self, unit: UnitIndex, is_last: bool, host: &mut dyn PlugHost) {
        let preloaded = &self.record(unit).preloaded;
        let entries = preloaded.iter().filter(|(_, asked)| **asked == Asked::Not).map(|(&entry, _)| entry);
        for entry in entries.collect::<Vec<Entry>>() {
            self.ask(unit, entry, Question { is_last, ..Question::default() }, Vec::new(), host);
        }
    }
    /// Asks for the unit's candidates with stand-ins again: more was logged.
    pub(super) fn replace_stand_ins(&mut self, unit: UnitIndex, host: &mut dyn PlugHost) {
        let record = self.record(unit);
        let with_stand_ins: Vec<(Entry, u32)> = record
            .installed
            .iter()
            .filter(|(entry, _)| !record.preloaded.contains_key(*entry))
            .filter_map(|(&entry, installed)| Some((entry, installed.origin.preloaded.filter(|&n| n > 0)?)))
            .collect();
        if with_stand_ins.is_empty() || record.replacements >= REPLACEMENTS {
            return;
        }
        record.replacements += 1;
        record.lessons += 1;
        for (entry, stand_ins) in with_stand_ins {
            let question = Question { instead_of: Some(stand_ins), ..Question::default() };
            self.ask(unit, entry, question, Vec::new(), host);
        }
    }
    fn ask(
        &mut self,
        unit: UnitIndex,
        entry: Entry,
        question: Question,
        stand_ins: Vec<StandIn>,
        host: &mut dyn PlugHost,
    ) {
        self.tell_inlined(unit);
        let record = self.record(unit);
        let knowledge = record.knowledge();
        record.preloaded.insert(entry, Asked::Once(question.clone()));
        let Question { is_last, instead_of, refuted, .. } = question;
        let wish = Wish { entry, stand_ins, refuted, is_last, replaces: instead_of.is_some() };
        self.client.bind(unit, knowledge, wish);
        if self.config().blocking {
            self.service(host);
        }
    }

    /// The file's candidate for an entry does not fit what was logged of the unit up to when it was asked for.
    pub(super) fn go_on_without(
        &mut self,
        unit: UnitIndex,
        entry: Entry,
        asked: Option<Asked>,
        rejection: &Rejection,
        host: &mut dyn PlugHost,
    ) {
        let Some(Asked::Once(question)) = asked else { return };
        if !question.filled
            && question.rounds < ROUNDS
            && let Rejection::Unbound(Unbound::Unseen(missing)) = rejection
        {
            let question = Question { rounds: question.rounds + 1, ..question.clone() };
            match self.fill(unit, missing, host) {
                Said::Foreseen => return self.ask(unit, entry, question, Vec::new(), host),
                Said::Filled(stand_ins)
                    if question
                        .instead_of
                        .is_none_or(|older| (stand_ins.len() as u64) < u64::from(older)) =>
                {
                    let question = Question { filled: true, ..question };
                    return self.ask(unit, entry, question, stand_ins, host);
                }
                // The same again: other names don't help.
                Said::Refuted(refuted)
                    if !refuted.iter().any(|refuted| question.refuted.contains(refuted)) =>
                {
                    let refuted = question.refuted.iter().cloned().chain(refuted).collect();
                    return self.ask(unit, entry, Question { refuted, ..question }, Vec::new(), host);
                }
                Said::Filled(_) | Said::Refuted(_) | Said::Nothing => {}
            }
        }
        let Question { is_last, instead_of, .. } = question;
        if instead_of.is_some() {
            return;
        }
        let record = self.record(unit);
        let has_learnt = !matches!(record.knowledge, Knowledge::None | Knowledge::Learning { .. });
        if !is_last {
            record.preloaded.insert(entry, Asked::Not);
            if has_learnt {
                self.bind_preloaded(unit, true, host);
            }
        } else if has_learnt {
            self.request_waiting(unit, host);
        }
    }

    /// Logs facts that were not seen yet, as far as the host can tell them; if it can't tell any more, gets stand-ins for the others.
    fn fill(&mut self, unit: UnitIndex, missing: &[Missing], host: &mut dyn PlugHost) -> Said {
        let own = self.units[&unit].id;
        let (mut is_foreseen, mut refuted) = (false, Vec::new());
        for missing in missing {
            let Missing { premise, unit: id, pc, variant, ref known } = *missing;
            let inlined = || self.by_id.get(&id)?.first().copied();
            let Some(of) = (if id == own { Some(unit) } else { inlined() }) else { continue };
            match host.foresee(of, pc, variant, known) {
                Foreseen::Holds(words) => {
                    self.log.fact(of, pc.0, variant, &words);
                    is_foreseen = true;
                }
                Foreseen::Never => refuted.push(Refuted { premise, known: known.clone() }),
                Foreseen::Unknown => {}
            }
        }
        if is_foreseen {
            self.client.flush(&mut self.log);
            return Said::Foreseen;
        }
        if !refuted.is_empty() {
            return Said::Refuted(refuted);
        }
        let stand_ins = missing.iter().enumerate().map(|(number, missing)| {
            let words = host.stand_in(missing.variant, &missing.known, number)?;
            Some(StandIn { premise: missing.premise, words })
        });
        stand_ins.collect::<Option<_>>().map_or(Said::Nothing, Said::Filled)
    }
}
