//! A host for tests: a guest stack, entry cells, and methods that a test replaces.

use std::ptr::NonNull;
use std::sync::Arc;
use surmise_deopt::boxed::Boxed;
use surmise_deopt::candidate::{CandidateId, Image};
use surmise_deopt::context::Context;
use surmise_deopt::entry::EntryCell;
use surmise_deopt::host::{Activation, GuestResults, Host, Thrown};
use surmise_deopt::isolate::{Isolate, UnitEntries};
use surmise_deopt::loaded::CodeSpace;
use surmise_deopt::rebuild::RebuildPlan;
use surmise_deopt::runloop::{Outcome, Runloop, RunloopGuard, guarded};
use surmise_deopt::slots::SlotValue;
use surmise_ir::entity::{KindId, Pc, Register, UnitId};
use surmise_ir::frame_state::{ResumePoint, When};
use surmise_ir::language::Language;
use surmise_ir::text::parse_language;

/// Tags of the pair language; kinds have the same numbers.
pub const NIL: u64 = 0;
pub const BOOL: u64 = 1;
pub const INT: u64 = 2;
pub const FLOAT: u64 = 3;
pub const OBJECT: u64 = 4;

/// The only extern.
pub const CALLBACK: u32 = 0;

const LANGUAGE: &str = "language test pair
kind nil tag 0
kind bool tag 1 i1
kind int tag 2 i64
kind float tag 3 f64
kind object tag 4 ref
kind closure tag 5 ref
layout Holder { closure: ref at 0 alias holder.closure }
layout Closure { unit: raw at 0 alias closure.unit immutable }
layout Unit { entry: raw at 0 alias unit.entry }
recipe address: raw
recipe object: ref
recipe value: any
recipe assumption: raw
extern callback(i64) -> i64 throws calls_guest allocates reads everything writes everything
calls { closure closure; unit Closure.unit; entry Unit.entry; generic callback; closure_variant 0; unit_recipe address }";

pub fn language() -> Arc<Language> {
    Arc::new(parse_language(LANGUAGE, &|_| None).expect("it is a language"))
}

pub fn kind(number: u64) -> KindId {
    KindId::from_u32(number as u32)
}

/// A copy of what the host was given for one frame.
#[derive(Clone, PartialEq, Debug)]
pub struct Committed {
    pub unit: UnitId,
    pub resume: ResumePoint,
    pub window: *mut u8,
    pub callee: Option<Boxed>,
    pub registers: Vec<(Register, Boxed)>,
    pub results: Vec<Boxed>,
    pub call_results: Option<GuestResults>,
    pub open: Option<(Register, u64)>,
}

pub fn copy(plan: &RebuildPlan) -> Vec<Committed> {
    let frame = |frame: surmise_deopt::rebuild::FrameImage<'_>| Committed {
        unit: frame.unit(),
        resume: frame.resume(),
        window: frame.window(),
        callee: frame.callee(),
        registers: frame.registers().collect(),
        results: frame.results().collect(),
        call_results: frame.call_results(),
        open: frame.open(),
    };
    plan.frames().map(frame).collect()
}

pub fn resume_at(pc: u32, when: When) -> ResumePoint {
    ResumePoint { pc: Pc(pc), when }
}

type Allocate = Box<dyn FnMut(&mut TestHost, &Runloop<TestHost>, &RebuildPlan) -> Result<(), Thrown>>;
type Resume = Box<dyn FnMut(&mut TestHost, &Runloop<TestHost>) -> Result<GuestResults, Thrown>>;
type CallUnit =
    Box<dyn FnMut(&mut TestHost, &Runloop<TestHost>, *mut u8, u64) -> Result<GuestResults, Thrown>>;
pub type Callback = Box<dyn FnMut(&mut TestHost, &Runloop<TestHost>, u64) -> Result<u64, Thrown>>;
type Poll = Box<dyn FnMut(&mut TestHost, &Runloop<TestHost>) -> Result<(), Thrown>>;

pub struct TestHost {
    pub isolate: Arc<Isolate>,
    /// The guest stack, in words.
    pub stack: Box<[u64]>,
    pub committed: Vec<(Vec<Committed>, Activation)>,
    pub allocate: Option<Allocate>,
    pub resume: Option<Resume>,
    pub call_unit: Option<CallUnit>,
    pub callback: Option<Callback>,
    pub poll: Option<Poll>,
    pub panic_in_commit: bool,
    /// Reads committed frames without keeping them.
    pub only_read: bool,
    pub checksum: u64,
}

/// Takes a method out for the time of its call, so that it can have the whole host.
macro_rules! call_method {
    ($host:ident . $method:ident ($($argument:expr),*)) => {{
        let mut method = $host.$method.take().expect(concat!("the test expects no call of ", stringify!($method)));
        let result = method($host, $($argument),*);
        $host.$method.get_or_insert(method);
        result
    }};
}

impl Host for TestHost {
    fn allocate_frames(&mut self, runloop: &Runloop<Self>, plan: &RebuildPlan) -> Result<(), Thrown> {
        if self.allocate.is_none() {
            return Ok(());
        }
        call_method!(self.allocate(runloop, plan))
    }
    fn commit_frames(&mut self, plan: &RebuildPlan, activation: Activation) {
        assert!(!self.panic_in_commit, "commit fails");
        if self.only_read {
            let values = plan.frames().flat_map(|frame| frame.registers());
            self.checksum = values.fold(self.checksum, |sum, (register, value)| {
                sum.wrapping_add(value.payload()).rotate_left(register.0.into())
            });
            return;
        }
        self.committed.push((copy(plan), activation));
    }
    fn resume(&mut self, runloop: &Runloop<Self>) -> Result<GuestResults, Thrown> {
        call_method!(self.resume(runloop))
    }
    unsafe fn call_unit(
        &mut self,
        runloop: &Runloop<Self>,
        window: *mut u8,
        argument_count: u64,
    ) -> Result<GuestResults, Thrown> {
        call_method!(self.call_unit(runloop, window, argument_count))
    }
    fn poll(&mut self, runloop: &Runloop<Self>) -> Result<(), Thrown> {
        call_method!(self.poll(runloop))
    }
}

/// The extern: gives the test control.
unsafe extern "C" fn callback(context: *mut Context, argument: u64) -> u64 {
    // SAFETY: called by compiled code with its context; nothing is left to drop outside of the closure.
    unsafe {
        guarded(context, || {
            let (runloop, host) =
                (Runloop::<TestHost>::from_context(context), Runloop::<TestHost>::host(context));
            call_method!(host.callback(&runloop, argument))
        })
    }
}

impl TestHost {
    pub fn new() -> (RunloopGuard<TestHost>, TestHost) {
        TestHost::with(language(), 1 << 20)
    }
    pub fn without_externs(language: Language) -> (RunloopGuard<TestHost>, TestHost) {
        let space = CodeSpace::new(1 << 20).expect("an arena");
        // SAFETY: there is no extern.
        TestHost::of(unsafe { Isolate::new(&space, &Arc::new(language), &[]) }.expect("an isolate"))
    }
    pub fn with(language: Arc<Language>, code_budget: usize) -> (RunloopGuard<TestHost>, TestHost) {
        let space = CodeSpace::new(code_budget).expect("an arena");
        TestHost::of(TestHost::isolate(&space, &language))
    }
    /// An isolate whose code is in a space, which others may share.
    pub fn isolate(space: &Arc<CodeSpace>, language: &Arc<Language>) -> Arc<Isolate> {
        // SAFETY: `callback` is as the language declares it.
        let isolate = unsafe { Isolate::new(space, language, &[("callback", callback as *const u8)]) };
        isolate.expect("all externs have addresses")
    }
    /// A further runloop of an isolate, on this thread.
    pub fn of(isolate: Arc<Isolate>) -> (RunloopGuard<TestHost>, TestHost) {
        let host = TestHost {
            isolate: isolate.clone(),
            stack: vec![0; 1 << 16].into(),
            committed: Vec::new(),
            allocate: None,
            resume: None,
            call_unit: None,
            callback: None,
            poll: None,
            panic_in_commit: false,
            only_read: false,
            checksum: 0,
        };
        (Runloop::register(&isolate).expect("native code is supported"), host)
    }
    /// A unit's cell, which is never freed.
    pub fn unit(&self, unit: UnitId) -> (&'static EntryCell, Arc<UnitEntries>) {
        let cell: &'static EntryCell = Box::leak(Box::new(EntryCell::new()));
        // SAFETY: the cell lives for ever.
        let entries = unsafe { self.isolate.register_unit(unit, NonNull::from(cell)) };
        (cell, entries)
    }
    pub fn install(&self, image: impl Into<Image>) -> CandidateId {
        // SAFETY: the tests' images are what they say.
        unsafe { self.isolate.install(image, &mut |_| Some(SlotValue::default())) }
            .expect("the image is installed")
            .id()
    }
    /// Address of a register of the guest stack.
    pub fn window(&mut self, register: usize) -> *mut u8 {
        (&raw mut self.stack[register * 2]).cast()
    }
    pub fn set(&mut self, register: usize, value: Boxed) {
        self.stack[register * 2] = value.tag();
        self.stack[register * 2 + 1] = value.payload();
    }
    /// Enters a cell's code with its window at a register.
    pub fn enter(
        &mut self,
        runloop: &Runloop<TestHost>,
        cell: &EntryCell,
        register: usize,
        arguments: u64,
    ) -> Outcome {
        let window = self.window(register);
        runloop.set_limits(self.stack.as_mut_ptr_range().end.cast(), 0);
        // SAFETY: the code was just read from the cell; the tests' code stays inside of the guest stack.
        unsafe { runloop.enter(self, cell.code(), window, arguments) }
    }
    /// The collector-managed words of everything, moved by adding to their payload.
    pub fn move_roots(&self, distance: u64) -> Vec<u64> {
        let mut seen = Vec::new();
        // SAFETY: the only runloop is on this thread, in a callback; tests put up with what the "move" does to values.
        unsafe {
            self.isolate.visit_roots(&mut |root| match root {
                surmise_deopt::frames::RootWord::Ref(word) => {
                    seen.push(*word);
                    *word = word.wrapping_add(distance);
                }
                surmise_deopt::frames::RootWord::Any(words) => {
                    let payload = words.last_mut().expect("a value has words");
                    seen.push(*payload);
                    *payload = payload.wrapping_add(distance);
                }
            })
        };
        seen
    }
}

pub fn int(value: i64) -> Boxed {
    Boxed::pair(INT, value as u64)
}

pub fn returned(value: Boxed) -> Outcome {
    Outcome::Returned([value.tag(), value.payload()])
}
