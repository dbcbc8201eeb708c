//! Isolates: one guest heap with the candidates that run on it.
//!
//! An isolate knows its units (by their entry cells), its installed candidates with their slots, and its runloops. What compiled
//! code and other threads read without a lock is published by atomic stores; the rest is behind one lock, which is never held
//! while host code runs, except for the collector's visits.
//!
//! The life of a candidate in an isolate: *installed* (its slots are filled, its code stands in entry cells), then *retired*
//! (nobody enters it any more; frames may still be in it, so its slots stay roots), then *reclaimed* (no frame is left: its slots
//! are gone, and its code as well if no other isolate has a share). A retired candidate may be *invalid*: then its frames don't go
//! on in it, see [`crate::deopt_all`], where reclamation is too.

use crate::candidate::{CandidateId, Image};
use crate::code_map::Snapshot;
use crate::context::Context;
use crate::deopt_all::{Assumption, AssumptionError, Assumptions, Protocol};
use crate::entry::{EntryCell, interpret_entry};
use crate::events::DeoptObserver;
use crate::frames::{FrameWalk, RootWord};
use crate::guard_tree::{Expectation, GuardTree};
use crate::loaded::{Candidate, CodeSpace, LoadError, LoadedCandidate};
use crate::runloop::RunloopState;
use crate::slots::{EffectiveSlots, SlotArray, SlotValue};
use crate::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use surmise_ir::entity::{Pc, UnitId};
use surmise_ir::function::Entry;
use surmise_ir::language::{Language, Recipe};
use thiserror::Error;

/// Code to enter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryPoint {
    /// The candidate.
    pub candidate: CandidateId,
    /// Its first instruction.
    pub code: *const u8,
}

// SAFETY: an address and a number; entering it is what has conditions.
unsafe impl Send for EntryPoint {}
// SAFETY: as above.
unsafe impl Sync for EntryPoint {}

/// The candidates of one unit, as its runloops see them: published whole.
#[derive(Default)]
pub struct UnitEntries {
    published: ArcSwap<Published>,
}

#[derive(Default)]
struct Published {
    tree: Option<GuardTree>,
    calls: SmallVec<[EntryPoint; 2]>,
    loops: SmallVec<[(Pc, EntryPoint); 1]>,
}

impl UnitEntries {
    /// The candidate for a call with these arguments.
    ///
    /// # Safety
    /// `window` is the address of so many boxed values of the language.
    pub unsafe fn choose(
        &self,
        language: &Language,
        window: *const u8,
        argument_count: u64,
    ) -> Option<EntryPoint> {
        let published = self.published.load();
        // SAFETY: the function's contract.
        let candidate = unsafe { published.tree.as_ref()?.choose_in(language, window, argument_count) }?;
        published.calls.iter().find(|entry| entry.candidate == candidate).copied()
    }
    /// The candidate that goes on at a loop's header.
    pub fn loop_entry(&self, header: Pc) -> Option<EntryPoint> {
        self.published.load().loops.iter().find(|(pc, _)| *pc == header).map(|&(_, entry)| entry)
    }
    /// Whether the unit has any candidate.
    pub fn is_empty(&self) -> bool {
        let published = self.published.load();
        published.calls.is_empty() && published.loops.is_empty()
    }
    /// The tree that `choose` walks.
    pub fn tree(&self) -> Option<GuardTree> {
        self.published.load().tree.clone()
    }
}

#[derive(Clone, Copy, PartialEq)]
struct CellPointer(NonNull<EntryCell>);

// SAFETY: an entry cell is an atomic; whoever registers it keeps it alive until it is taken back.
unsafe impl Send for CellPointer {}

#[derive(Default)]
struct Unit {
    cells: SmallVec<[CellPointer; 1]>,
    entries: Arc<UnitEntries>,
    /// In the order of their installation.
    candidates: Vec<CandidateId>,
}

pub(crate) struct Installed {
    pub loaded: Arc<LoadedCandidate>,
    pub slots: Arc<SlotArray>,
    /// What it rests on.
    pub assumptions: SmallVec<[Assumption; 2]>,
}

pub(crate) struct RetiredCandidate {
    pub installed: Installed,
    /// Its frames don't go on in it.
    pub is_invalid: bool,
}

pub(crate) struct Contents {
    units: FxHashMap<UnitId, Unit>,
    pub installed: BTreeMap<CandidateId, Installed>,
    pub retired: Vec<RetiredCandidate>,
    /// Slots of installations in progress.
    filling: Vec<Arc<SlotArray>>,
    pub assumptions: Assumptions,
}

/// An address of a host's function.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct ExternAddress(pub *const u8);

// SAFETY: the address of a function, which every thread may call as its declaration says.
unsafe impl Send for ExternAddress {}
// SAFETY: as above.
unsafe impl Sync for ExternAddress {}

pub(crate) struct Registered {
    pub context: NonNull<Context>,
}

// SAFETY: the context is alive while it is registered (its guard's drop takes the lock to unregister it). Through this pointer
// other threads touch nothing but the atomic `poll`, unless its thread is stopped.
unsafe impl Send for Registered {}

/// One guest heap with its candidates.
pub struct Isolate {
    space: Arc<CodeSpace>,
    language: Arc<Language>,
    externs: Box<[ExternAddress]>,
    effective: EffectiveSlots,
    contents: Mutex<Contents>,
    runloops: Mutex<Vec<Registered>>,
    pub(crate) protocol: Protocol,
    observer: RwLock<Option<Arc<dyn DeoptObserver>>>,
}

/// Why an isolate can't be made.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum IsolateError {
    /// An extern of the language has no address.
    #[error("language '{language}': no address is given for extern '{name}'")]
    MissingExtern {
        /// The language.
        language: String,
        /// The extern.
        name: String,
    },
    /// An address is given for an extern that the language does not have.
    #[error("language '{language}' has no extern '{name}'")]
    UnknownExtern {
        /// The language.
        language: String,
        /// The name.
        name: String,
    },
}

/// Why a candidate can't be installed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum InstallError {
    /// Its code can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The host can't say what belongs into a slot.
    #[error(
        "candidate '{candidate}': nothing in this isolate is described by the recipe of slot {slot} ({recipe:?})"
    )]
    Unresolved {
        /// Its name.
        candidate: String,
        /// The slot's number.
        slot: usize,
        /// Its recipe.
        recipe: Recipe,
    },
    /// The host names no assumption, or none that holds, for a recipe of the candidate's.
    #[error("candidate '{candidate}' rests on {recipe:?}: {problem}")]
    Assumption {
        /// Its name.
        candidate: String,
        /// The recipe.
        recipe: Recipe,
        /// What is wrong with it.
        problem: NoAssumption,
    },
    /// The unit is not known here.
    #[error("candidate '{candidate}': {unit} is not registered in this isolate")]
    UnknownUnit {
        /// Its name.
        candidate: String,
        /// The unit.
        unit: UnitId,
    },
    /// It is installed already, or retired and not reclaimed yet, or made for another language or code space.
    #[error("{candidate} can't be installed: {problem}")]
    Refused {
        /// Which.
        candidate: CandidateId,
        /// Why.
        problem: &'static str,
    },
}

/// Why a candidate can't rest on what it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NoAssumption {
    /// The host knows nothing of the kind.
    #[error("nothing in this isolate is described by it")]
    Unresolved,
    /// What the host names can't be used.
    #[error(transparent)]
    Unusable(#[from] AssumptionError),
}

/// What `reclaim` did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reclaimed {
    /// Candidates of this isolate that are gone.
    pub reclaimed: usize,
    /// Retired candidates in which frames are left.
    pub waiting: usize,
}

impl Isolate {
    /// An isolate of a language, with the addresses of the language's externs by name.
    ///
    /// # Safety
    /// Each address is a function with the signature and no more effects than its declaration in the language says; it follows
    /// the rules of [`crate::runloop`] for functions that compiled code calls.
    pub unsafe fn new(
        space: &Arc<CodeSpace>,
        language: &Arc<Language>,
        externs: &[(&str, *const u8)],
    ) -> Result<Arc<Isolate>, IsolateError> {
        for &(name, _) in externs {
            if language.extern_(name).is_none() {
                return Err(IsolateError::UnknownExtern {
                    language: language.name.clone(),
                    name: name.to_owned(),
                });
            }
        }
        let address = |name: &str| externs.iter().find(|e| e.0 == name).map(|e| ExternAddress(e.1));
        let externs = (language.externs.values())
            .map(|declared| {
                let error = || IsolateError::MissingExtern {
                    language: language.name.clone(),
                    name: declared.name.clone(),
                };
                address(&declared.name).ok_or_else(error)
            })
            .collect::<Result<_, _>>()?;
        let isolate = Arc::new(Isolate {
            space: space.clone(),
            language: language.clone(),
            externs,
            effective: EffectiveSlots::new(),
            contents: Mutex::new(Contents {
                units: FxHashMap::default(),
                installed: BTreeMap::new(),
                retired: Vec::new(),
                filling: Vec::new(),
                assumptions: Assumptions::new(),
            }),
            runloops: Mutex::default(),
            protocol: Protocol::default(),
            observer: RwLock::new(None),
        });
        space.add_isolate(&isolate);
        Ok(isolate)
    }
    /// The code that it runs.
    pub fn space(&self) -> &Arc<CodeSpace> {
        &self.space
    }
    /// Its language.
    pub fn language(&self) -> &Arc<Language> {
        &self.language
    }
    /// What candidates read their slots through.
    pub fn effective_slots(&self) -> &EffectiveSlots {
        &self.effective
    }
    pub(crate) fn externs(&self) -> *const *const u8 {
        self.externs.as_ptr().cast()
    }
    /// Sets who is told of deopts.
    pub fn set_observer(&self, observer: Option<Arc<dyn DeoptObserver>>) {
        *self.observer.write().unwrap_or_else(PoisonError::into_inner) = observer;
    }
    pub(crate) fn observer(&self) -> Option<Arc<dyn DeoptObserver>> {
        self.observer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(crate) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn runloops(&self) -> MutexGuard<'_, Vec<Registered>> {
        self.runloops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a unit known, with the entry cell that its callers use. The same unit can have several cells (a script that was
    /// loaded twice); all are kept alike.
    ///
    /// # Safety
    /// The cell stays at its address until [`Isolate::unregister_unit`] was called with it.
    pub unsafe fn register_unit(&self, unit: UnitId, cell: NonNull<EntryCell>) -> Arc<UnitEntries> {
        let mut contents = self.contents();
        let Contents { units, installed, .. } = &mut *contents;
        let unit = units.entry(unit).or_default();
        if !unit.cells.contains(&CellPointer(cell)) {
            unit.cells.push(CellPointer(cell));
        }
        publish(unit, installed);
        unit.entries.clone()
    }
    /// Forgets a cell of a unit. Its candidates stay for its other cells; with the last cell the unit is forgotten and its
    /// candidates are retired.
    pub fn unregister_unit(&self, unit: UnitId, cell: NonNull<EntryCell>) {
        let mut contents = self.contents();
        let Some(known) = contents.units.get_mut(&unit) else { return };
        known.cells.retain(|other| other.0 != cell);
        if known.cells.is_empty() {
            for candidate in known.candidates.clone() {
                self.retire_in(&mut contents, candidate);
            }
            contents.units.remove(&unit);
            self.protocol.publish(&contents);
        }
    }

    /// Loads an image and installs it here. Numbers of candidates are used again: who remembers what was installed keeps the candidate.
    ///
    /// # Safety
    /// As for [`CodeSpace::load`] and [`Isolate::install_loaded`].
    pub unsafe fn install(
        &self,
        image: impl Into<Image>,
        resolver: &mut dyn FnMut(&Recipe) -> Option<SlotValue>,
    ) -> Result<Arc<Candidate>, InstallError> {
        let image = image.into();
        self.check_unit(image.name(), image.unit())?;
        // SAFETY: handed on.
        let loaded = unsafe { self.space.load(image, &self.language) }?;
        // SAFETY: handed on.
        unsafe { self.install_loaded(&loaded, resolver) }?;
        Ok(loaded.candidate().clone())
    }

    fn check_unit(&self, candidate: &str, unit: UnitId) -> Result<(), InstallError> {
        match self.contents().units.contains_key(&unit) {
            true => Ok(()),
            false => Err(InstallError::UnknownUnit { candidate: candidate.to_owned(), unit }),
        }
    }

    /// Installs a candidate whose code is in memory: fills its slots and publishes it. The resolver is the host: it may allocate,
    /// and the slots filled so far are roots meanwhile.
    ///
    /// # Safety
    /// The caller is a thread that may touch the isolate's heap now. What the resolver returns is of its recipe class's type.
    pub unsafe fn install_loaded(
        &self,
        loaded: &Arc<LoadedCandidate>,
        resolver: &mut dyn FnMut(&Recipe) -> Option<SlotValue>,
    ) -> Result<CandidateId, InstallError> {
        let candidate = loaded.candidate();
        let (id, unit) = (candidate.id(), candidate.unit());
        self.check_unit(candidate.name(), unit)?;
        let refuse = |problem| Err(InstallError::Refused { candidate: id, problem });
        if !Arc::ptr_eq(loaded.space(), &self.space) {
            return refuse("its code is in another code space");
        }
        if !Arc::ptr_eq(candidate.language(), &self.language) && **candidate.language() != *self.language {
            return refuse("it was made for another language");
        }
        let types = candidate.slots().iter().map(|recipe| self.language.recipes[recipe.class as usize].ty);
        let slots = Arc::new(SlotArray::new(self.language.encoding, types));
        {
            let mut contents = self.contents();
            let known = |retired: &RetiredCandidate| retired.installed.loaded.candidate().id() == id;
            if contents.installed.contains_key(&id) || contents.retired.iter().any(known) {
                return refuse("it is installed already, or frames are left in it");
            }
            contents.filling.push(slots.clone());
        }
        let mut unresolved = None;
        for (slot, recipe) in candidate.slots().iter().enumerate() {
            match resolver(recipe) {
                Some(value) => slots.fill(value),
                None => {
                    unresolved = Some((slot, *recipe));
                    break;
                }
            }
        }
        let named: Vec<(Recipe, Option<SlotValue>)> =
            candidate.assumptions().iter().map(|recipe| (*recipe, resolver(recipe))).collect();
        let mut contents = self.contents();
        contents.filling.retain(|other| !Arc::ptr_eq(other, &slots));
        if let Some((slot, recipe)) = unresolved {
            return Err(InstallError::Unresolved { candidate: candidate.name().to_owned(), slot, recipe });
        }
        let Contents { units, installed, assumptions, .. } = &mut *contents;
        // From here on nobody can break one of them before the candidate is known to rest on it.
        let mut rests_on: SmallVec<[Assumption; 2]> = SmallVec::new();
        for (recipe, value) in named {
            let assumption = value.ok_or(NoAssumption::Unresolved);
            let assumption = assumption.and_then(|value| Ok(assumptions.named(value)?));
            rests_on.push(assumption.map_err(|problem| InstallError::Assumption {
                candidate: candidate.name().to_owned(),
                recipe,
                problem,
            })?);
        }
        let Some(known) = units.get_mut(&unit) else {
            return Err(InstallError::UnknownUnit { candidate: candidate.name().to_owned(), unit });
        };
        self.effective.set(id.0, slots.base());
        assumptions.add(id, &rests_on);
        installed.insert(id, Installed { loaded: loaded.clone(), slots, assumptions: rests_on });
        known.candidates.push(id);
        publish(known, installed);
        Ok(id)
    }

    /// Stops new entries into a candidate. Frames that are in it go on; its code and slots stay until `reclaim` finds it empty.
    /// Returns whether it was installed.
    pub fn retire(&self, candidate: CandidateId) -> bool {
        let mut contents = self.contents();
        let is_retired = self.retire_in(&mut contents, candidate);
        self.protocol.publish(&contents);
        is_retired
    }
    /// The caller publishes what is retired.
    pub(crate) fn retire_in(&self, contents: &mut Contents, candidate: CandidateId) -> bool {
        let Contents { units, installed, retired, .. } = contents;
        let Some(gone) = installed.remove(&candidate) else { return false };
        if let Some(unit) = units.get_mut(&gone.loaded.candidate().unit()) {
            unit.candidates.retain(|&other| other != candidate);
            publish(unit, installed);
        }
        // Its effective slots stay: a thread may be about to enter it that has read its address.
        retired.push(RetiredCandidate { installed: gone, is_invalid: false });
        true
    }

    /// Reports every collector-managed value that this crate holds for the isolate: the spesh slots, and for each runloop the
    /// homes of its compiled frames and the values of frames being rebuilt. The visitor may write each.
    ///
    /// # Safety
    /// Every runloop of the isolate is at a safepoint: on this thread, or stopped. The visitor replaces values only by the same
    /// values after a move, and does not call back into the isolate.
    pub unsafe fn visit_roots(&self, visit: &mut dyn FnMut(RootWord<'_>)) {
        // SAFETY: handed on.
        unsafe { self.visit_slots(visit) };
        let map = self.space.map().snapshot();
        for runloop in self.runloops().iter() {
            // SAFETY: the function's contract.
            unsafe { visit_runloop(runloop.context.as_ptr(), &map, visit) };
        }
    }
    /// Reports the values in the candidates' slots. For hosts whose runloops are not all roots: coroutines that nobody can resume
    /// any more keep nothing alive. [`crate::runloop::Runloop::visit_roots`] reports those of one.
    ///
    /// # Safety
    /// As for [`Isolate::visit_roots`].
    pub unsafe fn visit_slots(&self, visit: &mut dyn FnMut(RootWord<'_>)) {
        let contents = self.contents();
        let installed = contents.installed.values();
        let retired = contents.retired.iter().map(|retired| &retired.installed);
        let slots = installed.chain(retired).map(|installed| &installed.slots);
        for slots in slots.chain(&contents.filling) {
            // SAFETY: the function's contract.
            unsafe { slots.visit_roots(visit) };
        }
    }

    /// Asks every runloop to poll at its next safepoint.
    pub fn request_poll(&self) {
        for runloop in self.runloops().iter() {
            // SAFETY: a registered context is alive, and `poll` is an atomic. Release: what the asker wrote before is seen by the
            // runloop, whose poll acquires.
            unsafe { (*runloop.context.as_ptr()).poll.store(1, Ordering::Release) };
        }
    }

    /// The candidates that are installed.
    pub fn candidates(&self) -> Vec<Arc<Candidate>> {
        self.contents().installed.values().map(|installed| installed.loaded.candidate().clone()).collect()
    }
    /// How many runloops are registered.
    pub fn runloop_count(&self) -> usize {
        self.runloops().len()
    }
    /// How many candidates are retired and not reclaimed.
    pub fn retired_count(&self) -> usize {
        self.contents().retired.len()
    }
    /// Whether a candidate is installed: this one, and not a later one that has its number.
    pub fn is_installed(&self, candidate: &Arc<Candidate>) -> bool {
        let contents = self.contents();
        let installed = contents.installed.get(&candidate.id());
        installed.is_some_and(|installed| Arc::ptr_eq(installed.loaded.candidate(), candidate))
    }
    /// The slots of an installed candidate.
    pub fn slots(&self, candidate: CandidateId) -> Option<Arc<SlotArray>> {
        self.contents().installed.get(&candidate).map(|installed| installed.slots.clone())
    }
}

/// # Safety
/// As for [`Isolate::visit_roots`], for one runloop.
pub(crate) unsafe fn visit_runloop(
    context: *mut Context,
    map: &Snapshot,
    visit: &mut dyn FnMut(RootWord<'_>),
) {
    // SAFETY: the runloop stands still (the function's contract).
    for frame in unsafe { FrameWalk::new(context, map) } {
        // SAFETY: as above.
        unsafe { frame.visit_roots(visit) };
    }
    // SAFETY: as above; its state is not borrowed while host code runs.
    unsafe { (*RunloopState::of(context)).rebuilds.visit_roots(visit) };
}

/// Publishes a unit's candidates: the most demanding first, later ones before earlier ones. Callers that go through a cell get
/// the only candidate there is (which checks its arguments itself), or the host's choice when there are several.
fn publish(unit: &mut Unit, installed: &BTreeMap<CandidateId, Installed>) {
    let mut calls: Vec<&Candidate> = Vec::new();
    let mut published = Published::default();
    for candidate in unit.candidates.iter().rev().map(|id| installed[id].loaded.candidate()) {
        let entry = EntryPoint { candidate: candidate.id(), code: candidate.start() as *const u8 };
        match candidate.entry() {
            Entry::Call => calls.push(candidate),
            Entry::Loop(pc) => published.loops.push((pc, entry)),
            Entry::Template => {}
        }
    }
    calls.sort_by_key(|candidate| std::cmp::Reverse(candidate.expects().len()));
    if !calls.is_empty() {
        let expectations: Vec<Expectation<'_>> = calls.iter().map(|c| (c.id(), c.expects())).collect();
        published.tree = Some(GuardTree::build(&expectations));
    }
    published.calls = (calls.iter())
        .map(|candidate| EntryPoint { candidate: candidate.id(), code: candidate.start() as *const u8 })
        .collect();
    let code = match published.calls[..] {
        [only] => only.code,
        _ => interpret_entry(),
    };
    unit.entries.published.store(Arc::new(published));
    for cell in &unit.cells {
        // SAFETY: the cell is alive until it is unregistered.
        unsafe { cell.0.as_ref() }.set(code);
    }
}
