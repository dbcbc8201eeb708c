//! Candidates whose code is in memory, and the code space that they are in.
//!
//! A code space is one arena with its map and its numbers. Isolates share it: code is position-independent and reaches one
//! guest heap only through the effective slots of the isolate that runs it, so one copy serves all.

use crate::arena::{Arena, ArenaError, ArenaStatistics, Block};
use crate::candidate::{CandidateId, CandidateImage, Image, PortableImage};
use crate::check::{ImageError, check_image};
use crate::code_map::CodeMap;
use crate::frames::FrameSite;
use crate::isolate::Isolate;
use crate::portable::code::PortableCode;
use crate::portable::entry_code::entry_code;
use crate::portable::frame;
use crate::slots::EffectiveSlots;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::table::{CallSite, CallSites, DeoptTable, ExitReason, FrameHeader, TableFigures};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use surmise_ir::analysis::entry;
use surmise_ir::entity::{KindId, Register, UnitId};
use surmise_ir::function::Entry;
use surmise_ir::language::{Language, Recipe};
use thiserror::Error;

/// What is known of a candidate whose code is in the arena. It outlives the code: counters can be read after it is gone.
pub struct Candidate {
    pub(crate) id: CandidateId,
    pub(crate) name: String,
    pub(crate) unit: UnitId,
    pub(crate) entry: Entry,
    pub(crate) expects: SmallVec<[(Register, KindId); 4]>,
    pub(crate) start: usize,
    pub(crate) length: usize,
    pub(crate) frame_size: u32,
    pub(crate) window_home: i16,
    pub(crate) window_size: u16,
    pub(crate) argument_count_home: Option<i16>,
    pub(crate) mark_home: Option<i16>,
    pub(crate) slots: Vec<Recipe>,
    pub(crate) assumptions: Vec<Recipe>,
    pub(crate) deopt: DeoptTable,
    pub(crate) calls: CallSites,
    /// The landing pads with their call sites, by offset.
    pub(crate) landing_pads: Box<[(u32, u32)]>,
    /// What the portable backend runs; its entry code is in the arena like machine code.
    pub(crate) portable: Option<PortableCode>,
    pub(crate) language: Arc<Language>,
    /// How often each deopt point was taken: made when the first is, for most candidates are never left.
    pub(crate) deopts: OnceLock<Box<[AtomicU32]>>,
    /// How often any was.
    pub(crate) total: AtomicU32,
    /// At which total the observer wants to be told next.
    pub(crate) report_at: AtomicU32,
}

impl Candidate {
    /// Its number.
    pub fn id(&self) -> CandidateId {
        self.id
    }
    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its unit.
    pub fn unit(&self) -> UnitId {
        self.unit
    }
    /// How it is entered.
    pub fn entry(&self) -> Entry {
        self.entry
    }
    /// What it expects at its entry.
    pub fn expects(&self) -> &[(Register, KindId)] {
        &self.expects
    }
    /// Whether the portable backend runs it.
    pub fn is_portable(&self) -> bool {
        self.portable.is_some()
    }
    /// Address of its first byte, the entry point.
    pub fn start(&self) -> usize {
        self.start
    }
    /// Address behind its last byte.
    pub fn end(&self) -> usize {
        self.start + self.length
    }
    /// How many registers its window has on the guest stack.
    pub fn window_size(&self) -> usize {
        self.window_size as usize
    }
    /// What its slots hold.
    pub fn slots(&self) -> &[Recipe] {
        &self.slots
    }
    /// What it rests on.
    pub fn assumptions(&self) -> &[Recipe] {
        &self.assumptions
    }
    /// Its deopt points.
    pub fn deopt_table(&self) -> &DeoptTable {
        &self.deopt
    }
    /// Its calls.
    pub fn call_sites(&self) -> &CallSites {
        &self.calls
    }
    /// The language that its kinds are of.
    pub fn language(&self) -> &Arc<Language> {
        &self.language
    }
    /// How many deopt points it has.
    pub fn point_count(&self) -> usize {
        self.portable.as_ref().map_or(self.deopt.points.len(), |code| code.reasons.len())
    }
    /// Why it is left at a deopt point.
    pub(crate) fn reason(&self, point: u32) -> ExitReason {
        let point = point as usize;
        self.portable.as_ref().map_or_else(|| self.deopt.exit(point).reason, |code| code.reasons[point])
    }
    /// How often a deopt point was taken.
    pub fn deopt_count(&self, point: usize) -> u32 {
        self.deopts.get().map_or(0, |deopts| deopts[point].load(Ordering::Relaxed))
    }
    /// Counts that a deopt point was taken. Relaxed: the counters order nothing.
    pub(crate) fn count_deopt(&self, point: usize) {
        let none = || (0..self.point_count()).map(|_| AtomicU32::new(0)).collect();
        self.deopts.get_or_init(none)[point].fetch_add(1, Ordering::Relaxed);
    }
    /// How often it was left at any of its deopt points.
    pub fn total_deopts(&self) -> u32 {
        self.total.load(Ordering::Relaxed)
    }
    /// What its deopt table costs.
    pub fn table_figures(&self) -> TableFigures {
        self.deopt.figures(self.language.encoding)
    }
    /// Bytes of all its tables in memory: deopt table, call sites, roots.
    pub fn table_bytes(&self) -> usize {
        let figures = self.table_figures();
        figures.bytes
            + figures.shared_bytes
            + size_of_val(&self.calls.sites[..])
            + size_of_val(&self.calls.roots[..])
    }
    /// Which call site or deopt point returns to this offset of the code.
    pub(crate) fn site_at(&self, return_offset: u32) -> Option<FrameSite> {
        if let Ok(site) = self.calls.sites.binary_search_by_key(&return_offset, |site| site.return_offset) {
            return Some(FrameSite::Call(site as u32));
        }
        self.point_at(return_offset).map(FrameSite::Exit)
    }
    pub(crate) fn point_at(&self, return_offset: u32) -> Option<u32> {
        self.deopt
            .points
            .binary_search_by_key(&return_offset, |point| point.return_offset())
            .ok()
            .map(|point| point as u32)
    }
    /// Which call site has its landing pad at this offset of the code.
    pub(crate) fn site_of_landing_pad(&self, offset: u32) -> Option<u32> {
        let at = self.landing_pads.binary_search_by_key(&offset, |pad| pad.0).ok()?;
        Some(self.landing_pads[at].1)
    }
    /// The activations that a frame in this call stands for, innermost first: inlined ones have a header of their own. Empty for
    /// calls that nobody can ask about.
    pub fn activations_at(&self, site: u32) -> impl Iterator<Item = &FrameHeader> {
        let first = self.calls.sites[site as usize].origin;
        let headers = &self.deopt.headers;
        std::iter::successors(
            first.and_then(|first| headers.get(first as usize).map(|header| (first, header))),
            |&(n, header)| {
                if header.has_parent {
                    headers.get(n as usize + 1).map(|parent| (n + 1, parent))
                } else {
                    None
                }
            },
        )
        .map(|(_, header)| header)
    }
    pub(crate) fn call_site(&self, site: u32) -> &CallSite {
        &self.calls.sites[site as usize]
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} '{}' of {}", self.id, self.name, self.unit)
    }
}

fn landing_pads(calls: &CallSites) -> Box<[(u32, u32)]> {
    let pads = calls.sites.iter().zip(0..).filter_map(|(site, number)| Some((site.landing_pad?, number)));
    let mut pads: Vec<(u32, u32)> = pads.collect();
    pads.sort_unstable();
    pads.into()
}

/// Why code can't be loaded.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LoadError {
    /// The image is no candidate of this language.
    #[error(transparent)]
    Malformed(#[from] ImageError),
    /// There is no memory for its code.
    #[error("candidate '{candidate}': {error}")]
    Memory {
        /// Its name.
        candidate: String,
        /// Why.
        error: ArenaError,
    },
    /// All candidate numbers are in use.
    #[error("candidate '{candidate}': {} candidates are loaded already", EffectiveSlots::CAPACITY)]
    TooMany {
        /// Its name.
        candidate: String,
    },
}

#[derive(Default)]
struct Numbers {
    next: u32,
    free: Vec<u32>,
}

/// One arena with its map and its numbers.
pub struct CodeSpace {
    arena: Arena,
    map: CodeMap,
    numbers: Mutex<Numbers>,
    /// The isolates that run its code.
    isolates: Mutex<Vec<Weak<Isolate>>>,
}

impl CodeSpace {
    /// A code space with room for this many bytes of code.
    pub fn new(budget: usize) -> Result<Arc<CodeSpace>, ArenaError> {
        let arena = Arena::new(budget)?;
        let (map, numbers) = (CodeMap::default(), Mutex::default());
        Ok(Arc::new(CodeSpace { arena, map, numbers, isolates: Mutex::default() }))
    }
    pub(crate) fn add_isolate(&self, isolate: &Arc<Isolate>) {
        let mut isolates = self.isolates.lock().unwrap_or_else(PoisonError::into_inner);
        isolates.retain(|isolate| isolate.strong_count() > 0);
        isolates.push(Arc::downgrade(isolate));
    }
    /// The isolates that run its code.
    pub fn isolates(&self) -> Vec<Arc<Isolate>> {
        let isolates = self.isolates.lock().unwrap_or_else(PoisonError::into_inner);
        isolates.iter().filter_map(Weak::upgrade).collect()
    }
    /// From addresses to candidates.
    pub fn map(&self) -> &CodeMap {
        &self.map
    }
    /// What the arena holds.
    pub fn statistics(&self) -> ArenaStatistics {
        self.arena.statistics()
    }

    /// Puts a candidate's code into memory; no isolate runs it yet. The code goes when the last owner drops what is returned.
    ///
    /// # Safety
    /// Machine code in the image is that of a candidate as [`crate::context`] describes it, and its tables are true. A function for
    /// the portable backend was optimized from its unit's code.
    pub unsafe fn load(
        self: &Arc<CodeSpace>,
        image: impl Into<Image>,
        language: &Arc<Language>,
    ) -> Result<Arc<LoadedCandidate>, LoadError> {
        let (mut code, number_offset, mut candidate) = match image.into() {
            Image::Native(image) => native(image, language)?,
            Image::Portable(image) => portable(image, language)?,
        };
        let number =
            self.take_number().ok_or_else(|| LoadError::TooMany { candidate: candidate.name.clone() })?;
        if let Some(offset) = number_offset {
            code[offset as usize..][..8].copy_from_slice(&u64::from(number).to_le_bytes());
        }
        let block = match self.arena.allocate(&code) {
            Ok(block) => block,
            Err(error) => {
                self.numbers().free.push(number);
                return Err(LoadError::Memory { candidate: candidate.name, error });
            }
        };
        candidate.id = CandidateId(number);
        candidate.start = block.address();
        let candidate = Arc::new(candidate);
        self.map.add(&candidate);
        Ok(Arc::new(LoadedCandidate { candidate, block: Some(block), space: self.clone() }))
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn take_number(&self) -> Option<u32> {
        let mut numbers = self.numbers();
        if let Some(number) = numbers.free.pop() {
            return Some(number);
        }
        let number = numbers.next;
        numbers.next += u32::from(number < EffectiveSlots::CAPACITY);
        (number < EffectiveSlots::CAPACITY).then_some(number)
    }
}

/// Code, where its number goes, and the candidate but for its number and its address.
type Prepared = (Vec<u8>, Option<u32>, Candidate);

fn native(image: CandidateImage, language: &Arc<Language>) -> Result<Prepared, ImageError> {
    check_image(&image, language)?;
    let candidate = Candidate {
        id: CandidateId(u32::MAX),
        name: image.name,
        unit: image.unit,
        entry: image.entry,
        expects: image.expects,
        start: 0,
        length: image.code.len(),
        frame_size: image.frame_size,
        window_home: image.window_home,
        window_size: image.window_size,
        argument_count_home: image.argument_count_home,
        mark_home: image.mark_home,
        landing_pads: landing_pads(&image.calls),
        slots: image.slots,
        assumptions: image.assumptions,
        deopts: OnceLock::new(),
        deopt: image.deopt,
        calls: image.calls,
        portable: None,
        language: language.clone(),
        total: AtomicU32::new(0),
        report_at: AtomicU32::new(1),
    };
    Ok((image.code, Some(image.number_offset), candidate))
}

fn portable(image: PortableImage, language: &Arc<Language>) -> Result<Prepared, ImageError> {
    let (code, headers, calls) = PortableCode::new(image.function, language)?;
    let function = &code.function;
    let counts_arguments = entry::counts_arguments(function);
    let candidate = Candidate {
        id: CandidateId(u32::MAX),
        name: function.name.clone(),
        unit: function.unit,
        entry: function.entry,
        expects: entry::expectations(function),
        start: 0,
        length: entry_code().len(),
        frame_size: frame::FRAME_SIZE,
        window_home: frame::WINDOW_HOME,
        window_size: function.window_size(),
        argument_count_home: counts_arguments.then_some(frame::ARGUMENT_COUNT_HOME),
        mark_home: Some(frame::MARK_HOME),
        // Frames are redirected by their marks.
        landing_pads: Box::default(),
        slots: function.slots.values().copied().collect(),
        assumptions: image.assumptions,
        deopts: OnceLock::new(),
        deopt: DeoptTable { headers, ..DeoptTable::default() },
        calls,
        portable: Some(code),
        language: language.clone(),
        total: AtomicU32::new(0),
        report_at: AtomicU32::new(1),
    };
    Ok((entry_code().to_vec(), None, candidate))
}

/// Ownership of a candidate's code. Each isolate that runs it has a share, until no frame of the isolate is left in it.
pub struct LoadedCandidate {
    candidate: Arc<Candidate>,
    /// `None` only while it is dropped.
    block: Option<Block>,
    space: Arc<CodeSpace>,
}

impl LoadedCandidate {
    /// What is known of it.
    pub fn candidate(&self) -> &Arc<Candidate> {
        &self.candidate
    }
    /// The space that it is in.
    pub fn space(&self) -> &Arc<CodeSpace> {
        &self.space
    }
}

impl Drop for LoadedCandidate {
    fn drop(&mut self) {
        // In this order: an address must not be found any more before its memory may become another candidate's.
        self.space.map.remove(&self.candidate);
        if let Some(block) = self.block.take() {
            self.space.arena.free(block);
        }
        self.space.numbers().free.push(self.candidate.id.0);
    }
}
