//! Preload: candidates of an earlier process, from a file, so that a process starts warm.
//!
//! ```text
//!  recording ──emit: plan, compile──▶ APP.spesh ──SURMISE_PRELOAD──▶ unit is called ──a window of its log──▶ bind ──▶ installed
//! ```
//!
//! Code and tables hold no address. What they do hold of the process that they were made in are *recipes*: numbers of shapes, objects,
//! claims, as that process gave them. A preloaded candidate is therefore never taken at its word, it is **bound**: the unit's first
//! calls are logged as ever, and each [premise](surmise_ir::premise) of the candidate must be found again among the facts of that log,
//! at the same site, with the same integers. What the facts name *here* then goes into the slots. So a loaded candidate rests on
//! nothing but what this process has seen itself, exactly as if it had been compiled here; what is saved is the rest of the learning,
//! and the compile. What was not seen yet is foreseen by the host, or has a [stand-in](StandIn) until it is seen.
//!
//! What must hold:
//! * a candidate is bound only to a unit of the same content: the hash of the unit, and that of the IR that it lifts to;
//! * what doesn't fit is refused with a named reason, counted, and compiled as if there were no file;
//! * a file is data until its seal, its version, its build, its language, its target and its settings have been compared. Behind that its
//!   code is trusted as that of a shared library is (see `docs/security.md`).
//!
//! | file | what it does |
//! |---|---|
//! | `file` | bytes: written, read, sealed, compared with this process |
//! | `bind` | which of this process's things a candidate's slots are to hold |
//! | `emit` | from a recording to a file |

mod bind;
mod emit;
mod file;

pub use bind::{Bound, Missing, Refuted, StandIn, Unbound, bind};
pub use emit::{Emitted, Skipped, emit};
pub use file::{Header, Key, PreloadError, PreloadFile, PreloadedCandidate, Refused, write};

use rustc_hash::FxHashMap;
use std::sync::Arc;
use surmise_ir::entity::UnitId;
use surmise_ir::function::Entry;

/// The build of Surmise that made code, or that loads it.
pub const BUILD: &str = env!("SURMISE_BUILD");

/// What a file has, by unit.
#[derive(Default)]
pub struct Preloaded {
    candidates: FxHashMap<UnitId, Vec<Arc<PreloadedCandidate>>>,
}

impl Preloaded {
    /// Adds a candidate. The last one of an entry counts.
    pub fn add(&mut self, candidate: PreloadedCandidate) {
        let known = self.candidates.entry(candidate.unit).or_default();
        known.retain(|known| known.entry != candidate.entry);
        known.push(Arc::new(candidate));
    }
    /// The candidate of a unit's entry.
    pub fn candidate(&self, unit: UnitId, entry: Entry) -> Option<&Arc<PreloadedCandidate>> {
        self.candidates.get(&unit)?.iter().find(|candidate| candidate.entry == entry)
    }
}
