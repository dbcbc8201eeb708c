//! The service's part in preloading: the file, and the candidates that are bound on its thread.

use super::{Delivery, Inbox, StartError, Worker};
use crate::config::Config;
use crate::log::UnitIndex;
use crate::lower::Target;
use crate::preload::{self, PreloadError, PreloadFile, Refuted, StandIn, Unbound};
use crate::record::event::{self, Event};
use crate::sync::Sender;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use std::sync::Arc;
use surmise_ir::function::Entry;
use surmise_ir::language::Language;

/// A wish for the candidate that a file has for an entry of a unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// How the candidate is entered.
    pub entry: Entry,
    /// For premises that nothing fits which was seen.
    pub stand_ins: Vec<StandIn>,
    /// What it is not bound with.
    pub refuted: Vec<Refuted>,
    /// It is not asked for again.
    pub is_last: bool,
    /// It takes the place of one with more stand-ins.
    pub replaces: bool,
}

pub(super) struct Bind {
    pub client: Arc<Inbox>,
    pub unit: UnitIndex,
    /// See [`super::Client::request`].
    pub knowledge: (u32, u32),
    pub wish: Wish,
    pub done: Option<Sender<()>>,
}

/// A preload file in figures.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct PreloadTotals {
    /// Candidates in the file.
    pub candidates: usize,
    /// Candidates that were bound to a unit.
    pub bound: u64,
    /// Candidates that were bound again, with fewer stand-ins.
    pub replaced: u64,
    /// Premises that had stand-ins, in all of these.
    pub stand_ins: u64,
    /// Candidates that were asked for and did not fit, by reason.
    pub unbound: IndexMap<String, u64, FxBuildHasher>,
    /// Why the file was refused, or the part of it behind the first damage.
    pub refused: Option<String>,
}

/// The preload file of the settings, and its figures. One that does not fit is refused, and the program runs on without it.
pub(super) fn open_preload(
    language: &Language,
    config: &Config,
    target: Option<&Target>,
) -> Result<(Option<PreloadFile>, Option<PreloadTotals>), StartError> {
    let Some(path) = config.preload.as_ref().filter(|_| !config.disabled) else { return Ok((None, None)) };
    let failed = |setting, path: &std::path::Path, error| StartError::Preload {
        setting,
        path: path.display().to_string(),
        error,
    };
    let key = config
        .preload_key
        .as_ref()
        .map(|path| preload::Key::read(path).map_err(|error| failed("SURMISE_PRELOAD_KEY", path, error)));
    let key = key.transpose()?;
    match PreloadFile::open(path, key.as_ref(), &preload::Header::new(language, config, target)) {
        Ok(file) => {
            let candidates = file.header().candidates.len();
            Ok((Some(file), Some(PreloadTotals { candidates, ..PreloadTotals::default() })))
        }
        Err(PreloadError::Io(error)) => Err(failed("SURMISE_PRELOAD", path, error)),
        Err(PreloadError::Refused(refused)) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            eprintln!("surmise: {name} is not preloaded: {refused}; the program goes on without it");
            Ok((None, Some(PreloadTotals { refused: Some(refused.to_string()), ..PreloadTotals::default() })))
        }
    }
}

impl Worker {
    pub(super) fn decode_preload(&mut self) {
        let Some(file) = self.preload.take() else { return };
        for candidate in file.candidates(&self.shared.language) {
            match candidate {
                Ok(candidate) => self.preloaded.add(candidate),
                Err(refused) => self.count_preload(|totals| totals.refused = Some(refused.to_string())),
            }
        }
    }

    pub(super) fn bind(&mut self, bind: Bind) {
        let Bind { client, unit: index, knowledge, wish, done } = bind;
        let Wish { entry, stand_ins, refuted, is_last, replaces } = wish;
        let unit = self.units.get(&index).cloned();
        if let Some((unit, candidate)) =
            unit.and_then(|unit| Some((unit.clone(), self.preloaded.candidate(unit.id(), entry)?.clone())))
        {
            let planner = &self.planner;
            let of_unit = |id| if id == unit.id() { planner.known(index) } else { planner.seen(index, id) };
            let bound =
                preload::bind(&candidate, &*unit, &self.shared.language, of_unit, &stand_ins, &refuted);
            let (mut serial, mut held_up) = (u64::MAX, 0);
            let result = match bound {
                Ok(bound) => match self.planner.preloaded(index, entry, knowledge) {
                    Some(number) => {
                        (serial, held_up) = (number, bound.stand_ins);
                        self.count_preload(|totals| {
                            *if replaces { &mut totals.replaced } else { &mut totals.bound } += 1;
                            totals.stand_ins += u64::from(held_up);
                        });
                        let event = event::Preloaded { unit: index, entry, knowledge, serial };
                        self.record(|| Event::Preloaded(event));
                        self.tell(&format!(
                            "=== candidate {serial}: {} as {entry:?}: preloaded, {held_up} stand-ins\n",
                            unit.name()
                        ));
                        Ok(Arc::new(bound.image))
                    }
                    None => Err(Unbound::Limit.into()),
                },
                Err(unbound) => {
                    if is_last {
                        self.count_preload(|totals| {
                            *totals.unbound.entry(unbound.to_string()).or_default() += 1
                        });
                        self.tell(&format!("=== {} as {entry:?}: not preloaded: {unbound}\n", unit.name()));
                    }
                    Err(unbound.into())
                }
            };
            let preloaded = Some(held_up);
            client.deliver(Delivery { unit: index, entry, knowledge, serial, result, preloaded });
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
    fn count_preload(&self, count: impl FnOnce(&mut PreloadTotals)) {
        let mut totals = self.shared.totals.lock().expect("no holder of the totals panics");
        count(totals.preload.get_or_insert_default());
    }
}
