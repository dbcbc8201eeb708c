//! What a plug does about candidates from a file: asks for them when a unit's log has grown, until they fit or the unit is learnt.
//!
//! ```text
//!  window closed ──bind──▶ fits: delivered, installed, the unit is learnt no more
//!                            │ does not fit
//!                            ├─ what is missing can be foreseen ──▶ logged, asked once more at once
//!                            ├─ more windows are to come ──▶ asked again when the next one closes
//!                            └─ that was the last ──▶ compiled as if there were no file
//! ```

use super::{Knowledge, Plug, PlugHost};
use crate::compile::Rejection;
use crate::log::{UnitIndex, Words};
use crate::preload::{Missing, Unbound};
use surmise_ir::function::Entry;

/// How far an entry has come for which a file has a candidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// To be asked for when more was logged.
    Not,
    /// There will be an answer. The last one, or one after which it may be asked for again. What the log has not seen was foreseen
    /// already, as far as it could be.
    Once { is_last: bool, foreseen: bool },
}

impl Plug {
    /// Asks for the file's candidates for the unit: they come if they fit what the log has seen up to now.
    pub(super) fn bind_preloaded(&mut self, unit: UnitIndex, is_last: bool, host: &mut dyn PlugHost) {
        let preloaded = &self.record(unit).preloaded;
        let entries = preloaded.iter().filter(|(_, asked)| **asked == Asked::Not).map(|(&entry, _)| entry);
        let entries: Vec<Entry> = entries.collect();
        if !entries.is_empty() {
            self.ask(unit, entries, is_last, false, host);
        }
    }
    fn ask(
        &mut self,
        unit: UnitIndex,
        entries: Vec<Entry>,
        is_last: bool,
        foreseen: bool,
        host: &mut dyn PlugHost,
    ) {
        self.tell_inlined(unit);
        let record = self.record(unit);
        let knowledge = record.knowledge();
        record.preloaded.extend(entries.iter().map(|&entry| (entry, Asked::Once { is_last, foreseen })));
        self.client.bind(unit, entries, knowledge, is_last);
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
        if let Some(Asked::Once { is_last, foreseen: false }) = asked
            && let Rejection::Unbound(Unbound::Unseen(missing)) = rejection
            && self.foresee(unit, missing, host)
        {
            return self.ask(unit, vec![entry], is_last, true, host);
        }
        let record = self.record(unit);
        let has_learnt = !matches!(record.knowledge, Knowledge::None | Knowledge::Learning { .. });
        if !matches!(asked, Some(Asked::Once { is_last: true, .. })) {
            record.preloaded.insert(entry, Asked::Not);
            if has_learnt {
                self.bind_preloaded(unit, true, host);
            }
        } else if has_learnt {
            self.request_waiting(unit, host);
        }
    }

    /// Logs facts that were not seen yet, as far as the host can tell all of them. Returns whether it could.
    fn foresee(&mut self, unit: UnitIndex, missing: &[Missing], host: &mut dyn PlugHost) -> bool {
        let own = self.units[&unit].id;
        let facts: Option<Vec<(UnitIndex, Words)>> = missing
            .iter()
            .map(|missing| {
                let of = if missing.unit == own { unit } else { *self.by_id.get(&missing.unit)?.first()? };
                Some((of, host.foresee(of, missing.pc, missing.variant, &missing.known)?))
            })
            .collect();
        let Some(facts) = facts else { return false };
        for (missing, (of, words)) in missing.iter().zip(facts) {
            self.log.fact(of, missing.pc.0, missing.variant, &words);
        }
        self.client.flush(&mut self.log);
        true
    }
}
