//! A memory of what was compiled for one program: its modes see much the same, and compile much the same.

use std::sync::{Arc, Mutex};
use surmise::compile::{Asked, Compiled, Job, compile};
use surmise::config::Config;
use surmise::ir::entity::UnitId;
use surmise::ir::function::Entry;
use surmise::profile::UnitProfile;
use surmise::service::Compiler;

/// All that a compile depends on.
#[derive(PartialEq)]
struct Key {
    unit: UnitId,
    entry: Entry,
    profile: UnitProfile,
    /// What settings do to a candidate: the rest of them does nothing to it.
    settings: Config,
    asked: Asked,
}

/// What was compiled.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<(Key, Compiled)>>>);

impl Memory {
    /// Forgets everything: the next program has other units.
    pub fn clear(&self) {
        self.0.lock().expect("nobody panics with the memory").clear();
    }

    /// Compiles what it does not know.
    pub fn compiler(&self) -> Compiler {
        let memory = self.0.clone();
        Arc::new(move |job: &Job, language, config, target, asked| {
            let key = Key {
                unit: job.unit.id(),
                entry: job.entry,
                profile: job.profile.clone(),
                settings: Config {
                    // How often guards fail is the runtime's part, and so is all else that is left out here.
                    deopt_every: config.deopt_every.map(|_| 1),
                    redirection: config.redirection,
                    backend: config.backend,
                    fuel: config.fuel,
                    disabled_passes: config.disabled_passes.clone(),
                    ..Config::default()
                },
                asked,
            };
            let known = memory.lock().expect("nobody panics with the memory");
            if let Some((_, compiled)) = known.iter().find(|(known, _)| *known == key) {
                return compiled.clone();
            }
            drop(known);
            let compiled = compile(job, language, config, target, asked);
            memory.lock().expect("nobody panics with the memory").push((key, compiled.clone()));
            compiled
        })
    }
}
