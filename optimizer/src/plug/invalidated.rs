//! What a plug does about deoptimization of everything: asks for it, and goes on with the units that it concerned.
//!
//! A unit whose candidate was invalidated is hot and well known: its entries ask for candidates again when they are next looked at. If
//! what it rested on has broken, the unit is learnt again first, and what was seen under that assumption is left out. Either makes it wait
//! longer each time, and has an end: a unit that rested on too much that broke is compiled without assumptions, one that was invalidated
//! too often by requests stays in the interpreter.
//! Under stress (`SURMISE_DEOPT_ALL_EVERY`) nothing has changed that candidates rest on, so they are installed again at once, as
//! fresh copies of their code.

use super::{Installed, Map, Origin, Phase, Plug, PlugHost};
use crate::log::UnitIndex;
use crate::record::event::Fate;
use std::sync::Arc;
use surmise_deopt::candidate::Image;
use surmise_deopt::deopt_all::{Assumption, AssumptionError, Reason, Report, Request, Which};
use surmise_deopt::isolate::InstallError;
use surmise_ir::function::Entry;
use surmise_ir::language::Recipe;

/// Polls between two looks for frames in thrown away candidates, at most: each look walks the stack.
const LONGEST_PAUSE: u32 = 1023;

/// Under stress, so many thrown away copies that are still needed make the next request wait as long again.
const COPIES_PER_DELAY: u32 = 64;

/// Deoptimization of everything at every so-many-th safepoint.
pub(super) struct Stress {
    every: u32,
    left: u32,
}

impl Stress {
    pub(super) fn new(every: u32) -> Stress {
        Stress { every, left: every }
    }
}

impl Plug {
    /// Deoptimizes everything in this isolate that the request concerns.
    ///
    /// # Safety
    /// As for [`surmise_deopt::isolate::Isolate::deopt_all`].
    pub unsafe fn deopt_all(&mut self, request: Request, host: &mut dyn PlugHost) -> Report {
        // SAFETY: handed on.
        let report = unsafe { self.isolate.deopt_all(request) };
        self.note(&report, host);
        report
    }
    /// What an assumption says does not hold any more; see [`surmise_deopt::isolate::Isolate::invalidate`].
    ///
    /// # Errors
    /// If it is another isolate's.
    ///
    /// # Safety
    /// As for [`Plug::deopt_all`].
    pub unsafe fn invalidate(
        &mut self,
        assumption: Assumption,
        host: &mut dyn PlugHost,
    ) -> Result<Report, AssumptionError> {
        let resting = self.isolate.resting_on(assumption)?;
        // SAFETY: handed on.
        let report = unsafe { self.isolate.invalidate(assumption) }?;
        for (unit, recipe) in resting {
            for index in self.by_id.get(&unit).cloned().unwrap_or_default() {
                self.learn_without(index, recipe, host);
            }
        }
        self.note(&report, host);
        Ok(report)
    }
    /// Has a unit learnt again, without what rests on an assumption that has broken.
    pub(super) fn learn_without(&mut self, unit: UnitIndex, recipe: Recipe, host: &mut dyn PlugHost) {
        self.client.broken(unit, recipe);
        self.totals.invalidated += 1;
        let record = self.record(unit);
        record.breaks += 1;
        record.forget();
        self.start_again(unit, host);
    }
    fn note(&mut self, report: &Report, host: &mut dyn PlugHost) {
        if report.candidates > 0 {
            self.totals.deopt_alls += 1;
            self.totals.redirected_frames += report.frames as u64;
            self.forget_invalidated(host);
        }
    }

    /// Whether the host is to call [`Plug::safepoint`].
    pub fn is_stressed(&self) -> bool {
        self.stress.is_some()
    }
    /// A safepoint. Under stress, each so-many-th one deoptimizes everything.
    ///
    /// # Safety
    /// As for [`Plug::deopt_all`].
    pub unsafe fn safepoint(&mut self, host: &mut dyn PlugHost) {
        let Some(stress) = &mut self.stress else { return };
        stress.left -= 1;
        if stress.left == 0 {
            // Frames of a deep recursion keep the copies of their code: the more there are, the more a request costs.
            let copies = u32::try_from(self.isolate.retired_count()).unwrap_or(u32::MAX);
            stress.left = stress.every.saturating_mul(1 + copies / COPIES_PER_DELAY);
            // SAFETY: handed on.
            unsafe { self.deopt_all(Request { which: Which::All, reason: Reason::Stress }, host) };
        }
        // Compiled code reaches its polls only if somebody asks.
        self.isolate.request_poll();
    }

    /// Gives up thrown away candidates in which no frame is left, at a poll. While frames are left, fewer and fewer polls look.
    ///
    /// # Safety
    /// As for [`Plug::deopt_all`].
    pub unsafe fn reclaim(&mut self) {
        if self.polls_before_reclaim > 0 {
            self.polls_before_reclaim -= 1;
            return;
        }
        // SAFETY: handed on.
        let reclaimed = unsafe { self.isolate.reclaim() };
        let is_in_vain = reclaimed.waiting > 0 && reclaimed.reclaimed == 0;
        self.reclaim_pause = if is_in_vain { (2 * self.reclaim_pause + 1).min(LONGEST_PAUSE) } else { 0 };
        self.polls_before_reclaim = self.reclaim_pause;
    }

    /// Takes notice of what other threads or other parts of the host have invalidated.
    pub(super) fn look_for_invalidated(&mut self, host: &mut dyn PlugHost) {
        if self.seen_generation != self.isolate.generation() {
            self.forget_invalidated(host);
        }
    }

    fn forget_invalidated(&mut self, host: &mut dyn PlugHost) {
        self.seen_generation = self.isolate.generation();
        let units: Vec<UnitIndex> = self.units.keys().copied().collect();
        for unit in units {
            let record = self.record(unit);
            let installed = std::mem::take(&mut record.installed);
            let (kept, gone): (Map<Entry, _>, Map<Entry, _>) =
                installed.into_iter().partition(|(_, known)| self.isolate.is_installed(&known.candidate));
            self.record(unit).installed = kept;
            let mut is_set_back = false;
            for (entry, Installed { origin, image, .. }) in gone {
                self.client.happened(origin.serial, Fate::Invalidated);
                let again = image.and_then(|image| self.install(image, origin, host).ok());
                let record = self.record(unit);
                match again {
                    Some(again) => drop(record.installed.insert(entry, again)),
                    None => {
                        if record.phases.get(&entry) == Some(&Phase::Installed) {
                            record.phases.shift_remove(&entry);
                            is_set_back = true;
                        }
                    }
                }
            }
            if is_set_back {
                self.totals.invalidated += 1;
                let record = self.record(unit);
                // What is known of it is as true as before: it asks again for the same.
                record.invalidations += 1;
                record.lessons += 1;
                self.start_again(unit, host);
            }
        }
    }

    /// Installs an image in this isolate.
    pub(super) fn install(
        &mut self,
        image: Arc<Image>,
        origin: Origin,
        host: &mut dyn PlugHost,
    ) -> Result<Installed, InstallError> {
        let kept = self.stress.is_some().then(|| image.clone());
        let image = Arc::unwrap_or_clone(image);
        // SAFETY: the image comes from our own lowering for the isolate's language; this is the isolate's thread at a safepoint;
        // what the host resolves is of the recipe's type.
        let installed = unsafe { self.isolate.install(image, &mut |recipe| host.resolve(recipe)) };
        let candidate = installed?;
        self.client.happened(origin.serial, Fate::Installed);
        self.observer.remember(candidate.id(), origin);
        Ok(Installed { candidate, origin, image: kept })
    }
}
