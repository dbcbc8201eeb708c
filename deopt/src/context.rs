//! The context: the one thing that compiled code can reach by address. Everything else it finds through it.
//!
//! A context belongs to one runloop of one thread. Compiled code receives its address as first argument and reads or writes
//! only the fields below, at fixed offsets ([`offsets`]).
//!
//! Machine signature of every compiled unit, on every entry (System V):
//!
//! ```text
//! fn(context: *mut Context, window: *mut u8, argument_count: u64) -> (first: rax, second: rdx)
//! ```
//!
//! `window` is the address of the frame's first register on the guest stack; the callee's boxed value stands just below it.
//! Result, pair encoding: rax is the tag of the first result in its low 32 bits and the number of further results, as a signed
//! number, in its high 32 bits (0 for one result, -1 for none, when rax's low half is the tag of the absent value); rdx is the
//! payload. Word encoding: rax is the first result, rdx the number of further results. All results but the first are only in
//! memory, from one register below `window` on; when their number is not one, the first is there too.

/// What compiled code reads and writes. `repr(C)`; only the owning thread writes it, except `poll`.
#[repr(C)]
pub struct Context {
    /// Not zero: somebody wants this runloop at its next poll. Set from other threads (relaxed; the poll's slow path acquires).
    pub poll: std::sync::atomic::AtomicU32,
    /// With forced failures on (`SURMISE_DEOPT_EVERY`): guards left until the next forced failure.
    pub forced_failure_countdown: u32,
    /// Frame pointer of the compiled frame that control left last (0: none since the entry).
    pub exit_frame_pointer: usize,
    /// Stack pointer of that frame at its call instruction: the return address stands 8 bytes below it.
    pub exit_stack_pointer: usize,
    /// By candidate number: the candidate's effective slots (array of 8- or 16-byte slots), or null: must not run here.
    pub effective_slots: *const *const u8,
    /// By extern number: the function's address.
    pub externs: *const *const u8,
    /// The host's own state.
    pub host_state: *mut u8,
    /// End of the guest stack: a frame whose window would end above it must not be entered.
    pub window_limit: *mut u8,
    /// Native stack addresses below this are the host's reserve.
    pub native_limit: usize,
    /// The newest entry record (see `stubs.rs`), null when no compiled frame is below this point.
    pub entry_record: *mut u8,
    /// Exit stub for failed guards: `(context)`. Returns nothing: the frame's results are in `exit_results`. See `stubs.rs`.
    pub guard_exit: *const u8,
    /// Exit stub for landing pads: `(context, first, second)` receives the call's results in their machine form. Returns nothing, too.
    pub landing_exit: *const u8,
    /// Poll stub: `(context)`; returns normally, or its caller's return address has been rewritten to the landing pad.
    pub poll_stub: *const u8,
    /// The runtime's side of the context (a `Box<RunloopState>`), opaque to machine code.
    pub runtime: *mut u8,
    /// What entry code of portable candidates calls for each step, see [`crate::portable`].
    pub portable_step: *const u8,
    /// The evaluator's side of the portable frames above the newest entry record, from the newest on (opaque). Like the record it
    /// belongs to a native stack.
    pub activations: *mut u8,
    /// What an exit stub leaves for the cold block that called it: the frame's results, for the code to return. They are here so
    /// that the code's many exits need not each have two values to hand on.
    pub exit_results: [u64; 2],
    /// The host's `call_unit`, called by the stub `interpret_entry`: `(context, window, argument_count, results) -> status`.
    pub call_unit: *const u8,
}

/// Byte offsets of the fields that machine code uses.
pub mod offsets {
    use super::Context;
    use std::mem::offset_of;
    /// [`Context::poll`].
    pub const POLL: i32 = offset_of!(Context, poll) as i32;
    /// [`Context::forced_failure_countdown`].
    pub const FORCED_FAILURE_COUNTDOWN: i32 = offset_of!(Context, forced_failure_countdown) as i32;
    /// [`Context::exit_frame_pointer`].
    pub const EXIT_FRAME_POINTER: i32 = offset_of!(Context, exit_frame_pointer) as i32;
    /// [`Context::exit_stack_pointer`].
    pub const EXIT_STACK_POINTER: i32 = offset_of!(Context, exit_stack_pointer) as i32;
    /// [`Context::effective_slots`].
    pub const EFFECTIVE_SLOTS: i32 = offset_of!(Context, effective_slots) as i32;
    /// [`Context::externs`].
    pub const EXTERNS: i32 = offset_of!(Context, externs) as i32;
    /// [`Context::host_state`].
    pub const HOST_STATE: i32 = offset_of!(Context, host_state) as i32;
    /// [`Context::window_limit`].
    pub const WINDOW_LIMIT: i32 = offset_of!(Context, window_limit) as i32;
    /// [`Context::native_limit`].
    pub const NATIVE_LIMIT: i32 = offset_of!(Context, native_limit) as i32;
    /// [`Context::guard_exit`].
    pub const GUARD_EXIT: i32 = offset_of!(Context, guard_exit) as i32;
    /// [`Context::landing_exit`].
    pub const LANDING_EXIT: i32 = offset_of!(Context, landing_exit) as i32;
    /// [`Context::exit_results`].
    pub const EXIT_RESULTS: i32 = offset_of!(Context, exit_results) as i32;
    /// [`Context::poll_stub`].
    pub const POLL_STUB: i32 = offset_of!(Context, poll_stub) as i32;
}
