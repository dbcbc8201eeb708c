//! What a plug does about deoptimization of everything: asks for it, and goes on with the units that it concerned.
//!
//! A unit whose candidate was invalidated is hot and well known: its entries ask for candidates again when they are next looked at. If
//! what it rested on has broken, the unit is learnt again first, and what was seen under that assumption is left out.
//! Under stress (`SURMISE_DEOPT_ALL_EVERY`) nothing has changed that candidates rest on, so they are installed again at once, as
//! fresh copies of their code.

use super::{Map, Phase, Plug, PlugHost};
use crate::log::UnitIndex;
use crate::record::event::Fate;
use std::sync::Arc;
use surmise_deopt::candidate::{CandidateId, Image};
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
    /// What is installed, to be installed again.
    images: rustc_hash::FxHashMap<CandidateId, Arc<Image>>,
}

impl Stress {
    pub(super) fn new(every: u32) -> Stress {
        Stress { every, left: every, images: Default::default() }
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
        self.note(&report, host);
        for (unit, recipe) in resting {
            for index in self.by_id.get(&unit).cloned().unwrap_or_default() {
                self.learn_without(index, recipe, host);
            }
        }
        Ok(report)
    }
    /// Has a unit learnt again, without what rests on an assumption that has broken.
    pub(super) fn learn_without(&mut self, unit: UnitIndex, recipe: Recipe, host: &mut dyn PlugHost) {
        self.client.broken(unit, recipe);
        let record = self.record(unit);
        record.breaks += 1;
        record.forget();
        let counter = self.cold_counter(0);
        host.arm(unit, counter, false);
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
        let first = self.first_index.unwrap_or(0);
        for index in 0..self.units.len() {
            let record = &mut self.units[index];
            let (kept, gone): (Map<Entry, _>, Map<Entry, _>) = std::mem::take(&mut record.installed)
                .into_iter()
                .partition(|(_, (candidate, _))| self.isolate.is_installed(*candidate));
            record.installed = kept;
            for (entry, (candidate, serial)) in gone {
                let image = self.stress.as_mut().and_then(|stress| stress.images.remove(&candidate));
                self.client.happened(serial, Fate::Invalidated);
                let again = image.and_then(|image| Some((self.install(image, serial, host).ok()?, serial)));
                let unit = UnitIndex(first + index as u32);
                let record = &mut self.units[index];
                match again {
                    Some(again) => drop(record.installed.insert(entry, again)),
                    None => {
                        if record.phases.get(&entry) == Some(&Phase::Installed) {
                            record.phases.shift_remove(&entry);
                        }
                        let counter = self.cold_counter(0);
                        host.arm(unit, counter, false);
                    }
                }
            }
        }
    }

    /// Installs an image in this isolate, as the candidate of this number in the order of planning.
    pub(super) fn install(
        &mut self,
        image: Arc<Image>,
        serial: u64,
        host: &mut dyn PlugHost,
    ) -> Result<CandidateId, InstallError> {
        let kept = self.stress.is_some().then(|| image.clone());
        let image = Arc::unwrap_or_clone(image);
        // SAFETY: the image comes from our own lowering for the isolate's language; this is the isolate's thread at a safepoint;
        // what the host resolves is of the recipe's type.
        let installed = unsafe { self.isolate.install(image, &mut |recipe| host.resolve(recipe)) };
        let candidate = installed?;
        if let (Some(stress), Some(image)) = (&mut self.stress, kept) {
            stress.images.insert(candidate, image);
        }
        self.client.happened(serial, Fate::Installed);
        self.observer.name(candidate, serial);
        Ok(candidate)
    }
}
