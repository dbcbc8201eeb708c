//! Surmise, plugged into the Lua host.
//!
//! | file | what it does |
//! |---|---|
//! | `language.sir`, [`language`] | Lua as data for the optimizer |
//! | [`lifter`] | bytecode to generic IR |
//! | [`facts`] | the type log |
//! | [`externs`] | what compiled code calls |
//! | [`frames`] | frames rebuilt, resumed and called: the host's side of deoptimization |
//! | [`enter`] | from the interpreter into compiled code; what happens when a counter runs out |
//! | [`statistics`] | the report of `--stats` |
//! | `foresee` | facts of sites that were not reached yet, for preloaded candidates |
//! | [`names`] | ids for shapes and objects, so that logs and recipes hold no addresses |
//!
//! Everything here belongs to one [`Connection`] per state, which is absent when Surmise is switched off: then nothing but a
//! counter per unit remains of it.

use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;
use surmise::deopt::deopt_all::Assumption;
use surmise::deopt::isolate::Isolate;
use surmise::deopt::loaded::CodeSpace;
use surmise::deopt::runloop::Runloop;
use surmise::ir::entity::UnitId;
use surmise::log::UnitIndex;
use surmise::plug::Plug;
use surmise::service::Service;
use surmise::unit::UnitSource;

use crate::bytecode::Prototype;
use crate::lib::coroutine::{INTRINSIC_RESUME, INTRINSIC_YIELD};
use crate::object::LuaString;
use crate::state::State;
use crate::unit::UNKNOWN;
use crate::value::{Tag, Value};
use lifter::{Child, Constant, Snapshot};

pub mod enter;
pub mod externs;
pub mod facts;
mod foresee;
pub mod frames;
pub mod language;
pub mod lifter;
pub mod names;
pub mod statistics;

/// Library functions with cases in `language.sir`, or that compiled code calls in a way of its own: library (none: a global), name, number of the intrinsic there.
const INTRINSICS: &[(&str, &str, u32)] = &[
    ("math", "floor", 1),
    ("math", "ceil", 2),
    ("math", "sqrt", 3),
    ("math", "abs", 4),
    ("math", "max", 5),
    ("math", "min", 6),
    ("math", "sin", 7),
    ("math", "cos", 8),
    ("math", "exp", 9),
    ("string", "byte", 10),
    ("string", "sub", 11),
    ("coroutine", "yield", INTRINSIC_YIELD),
    ("coroutine", "resume", INTRINSIC_RESUME),
];

/// A state's connection to Surmise.
pub struct Connection {
    /// The optimizer's side.
    pub plug: Plug,
    /// Ids of shapes and objects.
    pub names: names::Names,
    /// For each claim that compiled code rests on, the assumption that stands for it.
    pub assumptions: FxHashMap<u32, Assumption>,
    /// The last logged instruction.
    pub pending: facts::Pending,
    /// By unit index.
    pub snapshots: Vec<Arc<Snapshot>>,
    /// By unit index: the prototype.
    pub prototypes: Vec<*mut Prototype>,
    /// The same by unit id.
    pub units: FxHashMap<UnitId, *mut Prototype>,
    /// How many units have equal content.
    pub copies: FxHashMap<UnitId, u64>,
    /// Nothing is compiled any more, and nothing compiled is entered.
    pub is_paused: bool,
    /// The service, when this state has one of its own.
    pub service: Option<Service>,
    /// What makes the units of chunks that are loaded from now on, if they are not the functions' snapshots.
    pub unit_maker: Option<UnitMaker>,
}

/// A function of a chunk.
pub struct ChunkFunction {
    /// The optimizer's copy.
    pub snapshot: Arc<Snapshot>,
    /// The functions inside it, by their numbers in the chunk.
    pub children: Vec<usize>,
}

/// Makes the units of a chunk's functions: for tests, which lift them in other ways. The chunk's own function comes first, each before
/// those inside it. A unit has the snapshot's id, and lifts to what does the same.
pub type UnitMaker = fn(&[ChunkFunction]) -> Vec<Arc<dyn UnitSource>>;

/// Why Surmise can't be plugged in.
#[derive(Debug)]
pub struct ConnectError(pub String);

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The service for Lua with the given settings.
///
/// # Errors
/// What the service says.
pub fn start_service(config: surmise::config::Config) -> Result<Service, ConnectError> {
    let language = language::language().map_err(|error| ConnectError(format!("language.sir: {error}")))?;
    Service::start(Arc::new(language), Arc::new(config)).map_err(|error| ConnectError(error.to_string()))
}

impl State {
    /// Plugs Surmise in. Prototypes whose counters run out become units.
    ///
    /// # Errors
    /// If there is no code for this machine, or no memory for code.
    pub fn connect(&mut self, service: Service) -> Result<(), ConnectError> {
        let error = |error: &dyn std::fmt::Display| ConnectError(error.to_string());
        let space = CodeSpace::new(surmise::config::CODE_BUDGET).map_err(|e| error(&e))?;
        let table = externs::table();
        // SAFETY: the functions are those that language.sir declares; a test compares the two.
        let isolate = unsafe { Isolate::new(&space, service.language(), &table) }.map_err(|e| error(&e))?;
        let guard = Runloop::<State>::register(&isolate).map_err(|e| error(&e))?;
        if let Some(every) = service.config().deopt_every {
            guard.set_forced_failure_countdown(every);
        }
        self.main_line.set_guard(guard);
        let plug = Plug::new(service.connect(), isolate);
        self.stressed = plug.is_stressed();
        self.surmise = Some(Box::new(Connection {
            plug,
            names: names::Names::default(),
            assumptions: FxHashMap::default(),
            pending: facts::Pending::default(),
            snapshots: Vec::new(),
            prototypes: Vec::new(),
            units: FxHashMap::default(),
            copies: FxHashMap::default(),
            is_paused: false,
            service: Some(service),
            unit_maker: None,
        }));
        for index in 0..self.prototypes.len() {
            let prototype: *mut Prototype = &mut *self.prototypes[index];
            self.watch_unit(prototype);
        }
        Ok(())
    }

    /// To be called before the process ends: stories and recordings are written to the end. Without them nobody needs what is being
    /// compiled, and the process does not wait for it.
    pub fn end_files_of_service(&mut self) {
        if let Some(connection) = &mut self.surmise
            && connection.plug.config().writes_files()
            && let Some(service) = &mut connection.service
        {
            service.stop();
        }
    }

    /// Gives the library functions of [`INTRINSICS`] their numbers: the libraries have been opened just now.
    pub fn number_intrinsics(&mut self) {
        for &(library, name, number) in INTRINSICS {
            let key = self.new_string(library.as_bytes());
            let library = crate::table::get_string(self.globals, key);
            if !library.is(Tag::Table) {
                continue;
            }
            let key = self.new_string(name.as_bytes());
            let function = crate::table::get_string(library.as_table(), key);
            if function.is(Tag::Native) {
                // SAFETY: a native function in a table is live.
                unsafe { (*function.as_native()).intrinsic = number };
            }
        }
    }

    /// Has the runs of a prototype counted, if Surmise is plugged in.
    pub fn watch_unit(&mut self, prototype: *mut Prototype) {
        let Some(connection) = self.surmise.as_ref().filter(|connection| !connection.is_paused) else {
            return;
        };
        // SAFETY: prototypes live as long as the state.
        unsafe { (*prototype).unit.counter = connection.plug.first_counter() };
    }
}

impl Connection {
    /// The unit that a prototype is. It becomes one when this is asked for first: most of what is loaded runs a few times at most.
    ///
    /// # Safety
    /// The prototype is the state's.
    pub unsafe fn unit_of(&mut self, prototype: *mut Prototype) -> UnitIndex {
        // SAFETY: prototypes live as long as the state, and their entry cells stay where they are.
        unsafe {
            if (*prototype).unit.index == UNKNOWN {
                let snapshot = self.snapshot_of(prototype);
                self.register(prototype, snapshot.clone(), snapshot);
            }
            UnitIndex((*prototype).unit.index)
        }
    }

    /// The optimizer's copy of a prototype that is about to become a unit.
    unsafe fn snapshot_of(&mut self, prototype: *mut Prototype) -> Arc<Snapshot> {
        // SAFETY: the function's contract is that of `unit_of`.
        let mut snapshot = snapshot(unsafe { &*prototype });
        // Equal functions in one place, as chunks that are loaded again and again have them, are told apart by their number.
        let copies = self.copies.entry(snapshot.id).or_default();
        if *copies > 0 {
            snapshot.id = UnitId(fnv(snapshot.id.0, &copies.to_le_bytes()));
        }
        *copies += 1;
        Arc::new(snapshot)
    }

    /// Makes a prototype a unit.
    ///
    /// # Safety
    /// As for [`Connection::unit_of`].
    unsafe fn register(
        &mut self,
        prototype: *mut Prototype,
        snapshot: Arc<Snapshot>,
        unit: Arc<dyn UnitSource>,
    ) {
        // SAFETY: handed on.
        unsafe {
            let cell = std::ptr::NonNull::from(&(*prototype).unit.entry);
            let (index, _) = self.plug.register(unit, cell, (*prototype).is_vararg);
            debug_assert_eq!(
                self.snapshots.len(),
                index.0 as usize,
                "a service for each state numbers densely"
            );
            self.units.insert(snapshot.id, prototype);
            self.snapshots.push(snapshot);
            self.prototypes.push(prototype);
            (*prototype).unit.index = index.0;
        }
    }

    /// Has the functions of a chunk become units at once, if somebody makes them in a way of his own.
    ///
    /// # Safety
    /// As for [`Connection::unit_of`], for the chunk's own function, which was loaded just now.
    pub unsafe fn register_chunk(&mut self, prototype: *mut Prototype) {
        let Some(make) = self.unit_maker else { return };
        let (mut prototypes, mut functions) = (vec![prototype], Vec::new());
        while let Some(&prototype) = prototypes.get(functions.len()) {
            // SAFETY: handed on; children live as long.
            let (snapshot, children) = unsafe { (self.snapshot_of(prototype), &(*prototype).children) };
            let first = prototypes.len();
            prototypes.extend_from_slice(children);
            functions.push(ChunkFunction { snapshot, children: (first..prototypes.len()).collect() });
        }
        let units = make(&functions);
        for ((prototype, function), unit) in prototypes.into_iter().zip(functions).zip(units) {
            // SAFETY: handed on.
            unsafe { self.register(prototype, function.snapshot, unit) };
        }
    }
}

/// The copy of a prototype that the optimizer works from.
pub fn snapshot(prototype: &Prototype) -> Snapshot {
    let child = |&child: &*mut Prototype| {
        // SAFETY: children live as long as the state.
        let upvalues = unsafe { &(*child).upvalues };
        Child { upvalues: upvalues.iter().map(|upvalue| upvalue.source).collect() }
    };
    let children: Vec<Child> = prototype.children.iter().map(child).collect();
    let code = prototype.code.to_vec();
    let name = if prototype.line_defined == 0 {
        format!("main chunk of {}", prototype.source)
    } else {
        format!("function <{}:{}>", prototype.source, prototype.line_defined)
    };
    Snapshot {
        id: unit_id(prototype),
        name,
        number: prototype.unit.id,
        live: OnceLock::new(),
        headers: lifter::loop_headers(&code),
        code,
        constants: prototype.constants.iter().map(|&constant| lifted_constant(constant)).collect(),
        cache_count: prototype.caches.len() as u32,
        children,
        upvalue_is_cell: prototype.upvalues.iter().map(|upvalue| upvalue.is_cell).collect(),
        parameter_count: prototype.parameter_count,
        is_vararg: prototype.is_vararg,
        register_count: prototype.register_count,
    }
}

fn lifted_constant(constant: Value) -> Constant {
    if constant.is_nil() {
        Constant::Nil
    } else if constant.is(Tag::Bool) {
        Constant::Bool(constant.payload != 0)
    } else if constant.is_int() {
        Constant::Int(constant.as_int())
    } else if constant.is_float() {
        Constant::Float(constant.payload)
    } else if LuaString::is_interned(constant.as_string()) {
        Constant::ShortString
    } else {
        Constant::LongString
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// The FNV-1a hash of bytes, behind those that gave `hash`.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A hash of what the unit is: its code, constants, keys and upvalues, those of its functions, its file's name and its line. Equal in
/// each process that loads it, wherever the file is.
fn unit_id(prototype: &Prototype) -> UnitId {
    let mut hash = FNV_START;
    let mut add = |bytes: &[u8]| hash = fnv(hash, bytes);
    for i in &prototype.code {
        add(&[i.op as u8, i.a, i.b, i.c]);
        add(&i.d.to_le_bytes());
    }
    for constant in &prototype.constants {
        add(&constant.tag.to_le_bytes());
        if constant.is(Tag::String) {
            let bytes = LuaString::bytes(constant.as_string());
            add(&bytes.len().to_le_bytes());
            add(bytes);
        } else {
            add(&constant.payload.to_le_bytes());
        }
    }
    for cache in &prototype.caches {
        let bytes = LuaString::bytes(cache.key);
        add(&bytes.len().to_le_bytes());
        add(bytes);
    }
    for child in &prototype.children {
        // SAFETY: children live as long as the state.
        for upvalue in unsafe { &(**child).upvalues } {
            add(format!("{upvalue:?}").as_bytes());
        }
        add(&[0xff]);
    }
    for upvalue in &prototype.upvalues {
        add(format!("{upvalue:?}").as_bytes());
    }
    add(&[prototype.parameter_count, prototype.is_vararg as u8, prototype.register_count]);
    // A file is named by `@` and its path.
    add(prototype.source.rsplit(['/', '\\']).next().unwrap_or_default().as_bytes());
    add(&prototype.line_defined.to_le_bytes());
    UnitId(hash)
}
