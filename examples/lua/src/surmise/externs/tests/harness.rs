//! Compiled code's place, taken by a closure: it is entered through the real door and left by real errors.

use std::ptr::null_mut;
use std::sync::atomic::AtomicU32;

use surmise::deopt::context::Context;
use surmise::deopt::host::{GuestResults, Host};
use surmise::deopt::runloop::Runloop;
use surmise::deopt::stubs::{self, Status};

use crate::heap::HeapSettings;
use crate::object::LuaString;
use crate::stack::FRAME_FRESH;
use crate::state::{State, Throw};
use crate::surmise::externs::functions;
use crate::value::{Tag, Value};

/// What stands in for compiled code. It has nothing to drop: errors leave through it.
type Body<'a> = &'a mut dyn FnMut(*mut Context, *mut Value);

unsafe extern "C" fn stand_in(context: *mut Context, window: *mut Value, _count: u64) -> GuestResults {
    // SAFETY: `Machine::enter` put it there.
    unsafe { (**(*context).runtime.cast::<Body<'_>>())(context, window) };
    GuestResults::default()
}

unsafe extern "C" fn call_unit(
    context: *mut Context,
    window: *mut u8,
    count: u64,
    results: *mut GuestResults,
) -> u64 {
    // SAFETY: called by the stub, inside of `Machine::enter`.
    unsafe {
        let state = &mut *(*context).host_state.cast::<State>();
        match state.call_unit(&Runloop::from_context(context), window, count) {
            Ok(values) => {
                *results = values;
                Status::Returned as u64
            }
            Err(_) => Status::Thrown as u64,
        }
    }
}

/// A state, and functions to be called on it.
pub struct Machine {
    pub state: Box<State>,
}

impl Machine {
    pub fn new() -> Machine {
        Machine::with(HeapSettings::default())
    }
    /// A machine whose nursery is full after every few objects, and whose heap is verified around every collection.
    pub fn under_stress() -> Machine {
        Machine::with(HeapSettings { nursery_bytes: 256, stress: true, ..HeapSettings::default() })
    }
    fn with(settings: HeapSettings) -> Machine {
        let mut state = State::new(settings);
        state.open_libraries();
        // There is always a native function below compiled code.
        state.runloop.native_depth = 1;
        Machine { state }
    }

    /// Runs Lua code; its first result.
    pub fn run(&mut self, source: &str) -> Value {
        let globals = Value::table(self.state.globals);
        let chunk = self.state.load(source.as_bytes(), "=test", globals).expect("the test's code is right");
        self.state.call_one(Value::closure(chunk), &[]).unwrap_or_else(|Throw| panic!("{}", self.error()))
    }
    /// The global with this name.
    pub fn global(&mut self, name: &str) -> Value {
        let key = self.state.new_string(name.as_bytes());
        crate::table::get_string(self.state.globals, key)
    }
    pub fn text(&mut self, text: &str) -> Value {
        self.state.string_value(text.as_bytes())
    }
    /// The error on its way.
    pub fn error(&mut self) -> String {
        let value = self.state.error_value;
        self.show(value)
    }
    pub fn show(&mut self, value: Value) -> String {
        let text = self.state.to_display_string(value).expect("the value can be shown");
        String::from_utf8_lossy(LuaString::bytes(text)).into_owned()
    }

    /// Enters the body as if it were compiled code with its window at the top of the stack. A guest error is shown.
    pub fn enter(&mut self, mut body: impl FnMut(*mut Context, *mut Value)) -> Result<(), String> {
        let state: *mut State = &mut *self.state;
        let mut body: Body<'_> = &mut body;
        let mut context = Context {
            poll: AtomicU32::new(0),
            forced_failure_countdown: 0,
            exit_frame_pointer: 0,
            exit_stack_pointer: 0,
            effective_slots: std::ptr::null(),
            externs: std::ptr::null(),
            host_state: state.cast(),
            window_limit: null_mut(),
            native_limit: 0,
            entry_record: null_mut(),
            guard_exit: std::ptr::null(),
            landing_exit: std::ptr::null(),
            poll_stub: std::ptr::null(),
            runtime: (&raw mut body).cast(),
            portable_step: std::ptr::null(),
            activations: null_mut(),
            exit_results: [0; 2],
            call_unit: call_unit as *const u8,
        };
        let mut results = [0; 2];
        // SAFETY: the body's window is free; everything that the context is asked for is there.
        let status = unsafe {
            let (frame, depth) = ((&mut *state).runloop.frame, (&mut *state).runloop.native_depth);
            let window = (&mut *state).runloop.top().add(1);
            let status =
                stubs::enter(&mut context, stand_in as *const u8, window.cast(), 0, &raw mut results);
            assert_eq!((&mut *state).runloop.native_depth, depth, "the depth is what it was");
            if status == Status::Returned as u64 {
                assert_eq!((&mut *state).runloop.frame, frame, "the frames are what they were");
            }
            (&mut *state).runloop.frame = frame;
            status
        };
        if status == Status::Returned as u64 {
            return Ok(());
        }
        assert_eq!(status, Status::Thrown as u64);
        Err(self.error())
    }

    /// Pushes the frame of a variadic closure, as a loop-entered frame has one, and gives its registers to the work.
    pub fn with_variadic_frame(
        &mut self,
        function: Value,
        arguments: &[Value],
        work: impl FnOnce(&mut Machine, *mut Value),
    ) {
        // SAFETY: the slots above the top are free.
        unsafe {
            let frame = self.state.runloop.frame;
            let slot = self.state.runloop.top();
            slot.write(function);
            for (index, &argument) in arguments.iter().enumerate() {
                slot.add(1 + index).write(argument);
            }
            self.state.push_lua_frame(slot, arguments.len() as u32, FRAME_FRESH).expect("there is room");
            let base = (*self.state.runloop.frame).base;
            work(self, base);
            self.state.runloop.frame = frame;
        }
    }
}

/// The address of a function.
pub fn address(name: &str) -> *const u8 {
    functions().find(|function| function.name == name).unwrap_or_else(|| panic!("no function {name}")).address
}

/// Calls a function by name, with words as compiled code passes them.
macro_rules! call {
    ($name:literal ( $($word:expr),* ) -> $result:ty) => {
        // SAFETY: the test passes what the declaration says.
        unsafe {
            let function: unsafe extern "C" fn($(call!(@word $word)),*) -> $result =
                std::mem::transmute($crate::surmise::externs::tests::harness::address($name));
            function($($word),*)
        }
    };
    (@word $word:expr) => { _ };
}
pub(super) use call;

/// The results of a guest call that stand at `slot`.
pub fn results_of(results: GuestResults, slot: *mut Value) -> Vec<Value> {
    let count = ((results.first as i64 >> 32) + 1) as usize;
    if count == 1 {
        return vec![Value { tag: results.first & 0xffff_ffff, payload: results.second }];
    }
    if count == 0 {
        assert_eq!(results.first & 0xffff_ffff, Tag::Nil as u64, "no result reads as nil");
    }
    // SAFETY: so many results stand there.
    (0..count).map(|index| unsafe { slot.add(index).read() }).collect()
}
