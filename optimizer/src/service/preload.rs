//! The service's part in preloading: the file, and the candidates that are bound on its thread.

use super::{Delivery, Inbox, StartError, Worker};
use crate::config::Config;
use crate::log::UnitIndex;
use crate::lower::Target;
use crate::preload::{self, PreloadError, PreloadFile, Unbound};
use crate::record::event::{self, Event};
use crate::sync::Sender;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use std::sync::Arc;
use surmise_ir::function::Entry;
use surmise_ir::language::Language;

/// A wish for the candidates that a file has for entries of a unit.
pub(super) struct Bind {
    pub client: Arc<Inbox>,
    pub unit: UnitIndex,
    pub entries: Vec<Entry>,
    /// See [`super::Client::request`].
    pub knowledge: (u32, u32),
    /// They are not asked for again.
    pub is_last: bool,
    pub done: Option<Sender<()>>,
}

/// A preload file in figures.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct PreloadTotals {
    /// Candidates in the file.
    pub candidates: usize,
    /// Candidates that were bound to a unit.
    pub bound: u64,
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
        let Bind { client, unit: index, entries, knowledge, is_last, done } = bind;
        let Some(unit) = self.units.get(&index).cloned() else { return };
        for entry in entries {
            let Some(candidate) = self.preloaded.candidate(unit.id(), entry).cloned() else { continue };
            let planner = &self.planner;
            let of_unit = |id| if id == unit.id() { planner.known(index) } else { planner.seen(index, id) };
            let bound = preload::bind(&candidate, &*unit, &self.shared.language, of_unit);
            let mut serial = u64::MAX;
            let result = match bound {
                Ok(image) => match self.planner.preloaded(index, entry, knowledge) {
                    Some(number) => {
                        serial = number;
                        self.count_preload(|totals| totals.bound += 1);
                        let event = event::Preloaded { unit: index, entry, knowledge, serial };
                        self.record(|| Event::Preloaded(event));
                        self.tell(&format!(
                            "=== candidate {serial}: {} as {entry:?}: preloaded\n",
                            unit.name()
                        ));
                        Ok(Arc::new(image))
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
            client.deliver(Delivery { unit: index, entry, knowledge, serial, result, preloaded: true });
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
