//! From one stop of a machine to the next.

use super::activation::Activation;
use super::frame::{ARGUMENT_COUNT_HOME, CallBlock, PortableFrame};
use super::leave;
use super::world::World;
use crate::context::Context;
use crate::exit;
use crate::frames::FrameSite;
use crate::host::{Activation as Who, GuestResults};
use crate::runloop::RunloopState;
use crate::stop::loud_stop;
use crate::stubs::{Status, enter_return_address};
use std::fmt::Display;
use std::sync::Arc;
use surmise_ir::evaluate::{
    Boxed, Call, Datum, Delivery, EvaluatorHost, Exit, GuestCall, LeaveReason, Pause, RebuiltFrame, Stop,
    boxing,
};
use surmise_ir::function::Wanted;
use surmise_ir::language::{CallProtocol, Encoding};

/// What the entry code is told to do besides what [`Status`] says: to make the call that is laid out in its frame.
pub(crate) const MAKE_CALL: u64 = 4;

/// The Rust part of the step stub: runs a frame's machine until a call is due, or to its end.
///
/// # Safety
/// Called by the stub alone, for a frame of a portable candidate that stands on the stack with its homes stored; the exit pointers were
/// stored. The frame's call, if one was laid out, has returned.
pub(crate) unsafe extern "C" fn step(context: *mut Context, frame: *mut PortableFrame) -> u64 {
    // SAFETY: handed on.
    unsafe {
        if (*frame).activation.is_null() {
            begin(context, frame);
        } else {
            receive(frame);
        }
        loop {
            match run(frame) {
                Pause::Call(Call::Poll) => {
                    let status = exit::poll(context);
                    if status != Status::Returned as u64 {
                        return status;
                    }
                    deliver(frame, Delivery::Poll);
                }
                Pause::Call(call) => {
                    lay_out(frame, call);
                    return MAKE_CALL;
                }
                Pause::Exit(Exit::Returned(values)) => {
                    return_values(frame, &values);
                    return end(context);
                }
                Pause::Exit(Exit::ReturnedOpen { register, count }) => {
                    return_open(frame, register.0.into(), count);
                    return end(context);
                }
                Pause::Exit(Exit::Deoptimized { reason, frames }) => {
                    return deoptimize(context, frame, reason, &frames);
                }
                Pause::Exit(Exit::Thrown | Exit::OutOfSteps) => {
                    wrong(&*(*frame).activation, "it ended without a result")
                }
            }
        }
    }
}

/// A check that failed: candidate and instruction are in the message.
#[cold]
fn wrong(activation: &Activation, what: impl Display) -> ! {
    let candidate = activation.candidate();
    loud_stop(format_args!("{candidate}, run by the portable backend: {what}"))
}

#[cold]
fn stopped(activation: &Activation, stop: Stop) -> ! {
    match stop {
        Stop::Throw => {
            wrong(activation, activation.machine.fault("an error was thrown where there can be none"))
        }
        Stop::Fault(message) => wrong(activation, activation.machine.fault(message)),
    }
}

/// # Safety
/// As for [`step`], for a frame without activation.
unsafe fn begin(context: *mut Context, frame: *mut PortableFrame) {
    // SAFETY: the return address into the entry code stands 8 bytes below the exit stack pointer. The runtime state lives as long as
    // the context, and no reference into it is held.
    unsafe {
        let return_address = *(((*context).exit_stack_pointer - 8) as *const usize);
        let state = RunloopState::of(context);
        let isolate = &*Arc::as_ptr(&(*state).isolate);
        let map = isolate.space().map().snapshot();
        let Some(candidate) = map.find(return_address) else {
            loud_stop(format_args!("entry code at {return_address:#x} belongs to no candidate"));
        };
        let slots = isolate.effective_slots().get(candidate.id().0);
        if slots.is_null() {
            loud_stop(format_args!("{candidate} is entered, but must not run in this isolate"));
        }
        let activation = Activation::new(candidate, (*frame).window, slots, (*state).forced_failures);
        (*frame).activation = activation.push(context);
    }
}

/// Ends the newest activation, whose results are in its frame.
///
/// # Safety
/// As for [`step`].
unsafe fn end(context: *mut Context) -> u64 {
    // SAFETY: handed on; no reference to it is held.
    unsafe { Activation::pop(context) };
    Status::Returned as u64
}

/// Does something with a frame's activation and the world around it.
///
/// # Safety
/// As for [`step`]; nobody else has a reference to the activation, and no host code that could look for it runs meanwhile.
unsafe fn with<R>(frame: *mut PortableFrame, work: impl FnOnce(&mut Activation, &mut World<'_>) -> R) -> R {
    // SAFETY: handed on; the candidate lives as long as the activation, which is in use.
    unsafe {
        let activation = &mut *(*frame).activation;
        let language = activation.candidate().language.clone();
        let mut world = World { frame, slots: activation.slots, language: &language };
        work(activation, &mut world)
    }
}

/// Runs the machine until it stands still or ends.
///
/// # Safety
/// As for [`step`].
unsafe fn run(frame: *mut PortableFrame) -> Pause {
    // SAFETY: handed on. The machine calls leaves only: no other host code.
    unsafe {
        let context = (*frame).context;
        with(frame, |activation, world| {
            let every = u64::from((*RunloopState::of(context)).forced_failures);
            if every != 0 {
                activation.machine.set_guards(every - u64::from((*context).forced_failure_countdown));
            }
            let pause = match activation.machine.run(world) {
                Ok(pause) => pause,
                Err(fault) => wrong(activation, fault),
            };
            if every != 0 {
                // Never zero: what counts from here is the next failure.
                (*context).forced_failure_countdown = (every - activation.machine.guards() % every) as u32;
            }
            if let Pause::Call(_) = pause {
                let site = activation.machine.place().and_then(|inst| activation.code().site(inst));
                match site {
                    Some(site) => activation.site = FrameSite::Call(site),
                    None => wrong(
                        activation,
                        activation.machine.fault("it stands still where there is no call site"),
                    ),
                }
            }
            pause
        })
    }
}

/// Gives the machine what it waits for. If the frame was redirected meanwhile, the machine's next step is to leave.
///
/// # Safety
/// As for [`step`].
unsafe fn deliver(frame: *mut PortableFrame, delivery: Delivery) {
    // SAFETY: handed on.
    unsafe {
        with(frame, |activation, _| {
            if (*frame).mark != 0 {
                activation.machine.invalidate();
            }
            if let Err(fault) = activation.machine.deliver(delivery) {
                wrong(activation, fault);
            }
        });
    }
}

/// Puts a call into the frame, for the entry code to make.
///
/// # Safety
/// As for [`step`].
unsafe fn lay_out(frame: *mut PortableFrame, call: Call) {
    // SAFETY: handed on.
    unsafe {
        with(frame, |activation, world| {
            let block = match &call {
                Call::Extern(call) => Ok(world.call_block(call)),
                Call::Guest(call) => guest_call(world, call),
                Call::Poll => Err(Stop::fault("a poll is no call of the frame")),
            };
            match block {
                Ok(block) => (*frame).call = block,
                Err(stop) => stopped(activation, stop),
            }
            activation.waiting = Some(call);
        });
    }
}

fn protocol<'a>(world: &World<'a>) -> Result<&'a CallProtocol, Stop> {
    world.language.calls.as_ref().ok_or_else(|| Stop::fault("the language has no call protocol"))
}

/// Puts callee and arguments into the window, and gives the call of the unit's code or of the host's generic function.
fn guest_call(world: &mut World<'_>, call: &GuestCall) -> Result<CallBlock, Stop> {
    let protocol = protocol(world)?;
    let position = i32::from(call.register.0);
    let callee = match call.callee {
        Datum::Any(boxed) => boxed,
        closure => boxing::boxed(world.language, protocol.closure, Some(closure))
            .ok_or_else(|| Stop::fault(format!("{closure:?} is no closure")))?,
    };
    world.store_window(call.window, position, callee)?;
    for (index, &arg) in call.args.iter().enumerate() {
        world.store_window(call.window, position + 1 + index as i32, arg)?;
    }
    let count = call.args.len() as u64 + call.open_arguments.unwrap_or(0);
    if let Datum::Ref(closure) = call.callee {
        let word = |datum: Datum| datum.bits().ok_or_else(|| Stop::fault("a unit's address is boxed"));
        let unit = word(world.field(protocol.unit, closure)?)?;
        let entry = word(world.field(protocol.entry, unit)?)?;
        let window = world.window_address(call.window, position + 1);
        return Ok(world.call_words(entry as *const u8, &[window, count]));
    }
    let wanted = match call.wanted {
        Wanted::Fixed(count) => u64::from(count),
        Wanted::Open => -1i64 as u64,
    };
    let base = world.window_address(call.window, position);
    Ok(world.call_words(world.extern_address(protocol.generic), &[base, count, wanted]))
}

/// Brings the results of the frame's call to where they are wanted.
///
/// # Safety
/// As for [`step`].
unsafe fn receive(frame: *mut PortableFrame) {
    // SAFETY: handed on.
    unsafe {
        let delivery = with(frame, |activation, world| {
            let block = &(*frame).call;
            let delivery = match activation.waiting.take() {
                Some(Call::Extern(call)) => {
                    world.extern_result(call.id, block).map(Delivery::Extern).map_err(Stop::Fault)
                }
                Some(Call::Guest(call)) => {
                    let [first, second] = block.results;
                    receive_results(world, &call, GuestResults { first, second }, (*frame).mark != 0)
                }
                Some(Call::Poll) | None => Err(Stop::fault("it waits for no call")),
            };
            delivery.unwrap_or_else(|stop| stopped(activation, stop))
        });
        deliver(frame, delivery);
    }
}

/// The results of a guest call. A frame that leaves receives them as they are.
fn receive_results(
    world: &mut World<'_>,
    call: &GuestCall,
    results: GuestResults,
    is_leaving: bool,
) -> Result<Delivery, Stop> {
    let encoding = world.language.encoding;
    let value = results.first(encoding);
    let first: Boxed = match encoding {
        Encoding::Pair => [value.tag(), value.payload()],
        Encoding::Word => [value.word(), 0],
    };
    let mut count = results.count(encoding);
    let position = i32::from(call.register.0);
    match call.wanted {
        _ if is_leaving => {}
        Wanted::Fixed(0 | 1) => {}
        Wanted::Fixed(wanted) => {
            if count != u64::from(wanted) {
                // A single result is in no memory yet; for any other count this changes nothing.
                world.store_window(call.window, position, first)?;
                let absent = boxing::absent(world.language)
                    .ok_or_else(|| Stop::fault("the language has no absent value"))?;
                for index in (1..i32::from(wanted)).filter(|&index| index as u64 >= count) {
                    world.store_window(call.window, position + index, absent)?;
                }
            }
            count = wanted.into();
        }
        // Likewise harmless unless there is exactly one; without any the register is free.
        Wanted::Open => world.store_window(call.window, position, first)?,
    }
    Ok(Delivery::Guest { first: Some(first), count })
}

/// # Safety
/// As for [`step`].
unsafe fn return_values(frame: *mut PortableFrame, values: &[Datum]) {
    // SAFETY: handed on.
    unsafe {
        with(frame, |activation, world| {
            let values: Option<Vec<Boxed>> = values.iter().map(|value| value.boxed()).collect();
            let Some(values) = values else { wrong(activation, "a result is not boxed") };
            let stored = if values.len() == 1 { &[][..] } else { &values[..] };
            for (index, &value) in stored.iter().enumerate() {
                if let Err(stop) = world.store_window((*frame).window as u64, index as i32 - 1, value) {
                    stopped(activation, stop);
                }
            }
            (*frame).call.results = machine_results(activation, world, values.first(), values.len() as u64);
        });
    }
}

/// # Safety
/// As for [`step`].
unsafe fn return_open(frame: *mut PortableFrame, register: i32, count: u64) {
    // SAFETY: handed on.
    unsafe {
        with(frame, |activation, world| {
            let window = (*frame).window as u64;
            let mut first = None;
            // Upwards: the target lies below the source.
            for index in 0..count as i32 {
                let moved = world
                    .load_window(window, register + index)
                    .and_then(|value| world.store_window(window, index - 1, value).map(|()| value));
                match moved {
                    Ok(value) => first = first.or(Some(value)),
                    Err(stop) => stopped(activation, stop),
                }
            }
            (*frame).call.results = machine_results(activation, world, first.as_ref(), count);
        });
    }
}

/// So many results in machine form.
fn machine_results(
    activation: &Activation,
    world: &World<'_>,
    first: Option<&Boxed>,
    count: u64,
) -> [u64; 2] {
    let first = first.copied().or_else(|| boxing::absent(world.language));
    let Some([first, second]) = first else { wrong(activation, "the language has no absent value") };
    let further = count as i64 - 1;
    let results = match world.language.encoding {
        Encoding::Pair => GuestResults::pair(first as u32, second, further as i32),
        Encoding::Word => GuestResults::word(first, further),
    };
    [results.first, results.second]
}

/// Leaves with these frames. From here on the frame runs no more than its return.
///
/// # Safety
/// As for [`step`].
unsafe fn deoptimize(
    context: *mut Context,
    frame: *mut PortableFrame,
    reason: LeaveReason,
    frames: &[RebuiltFrame],
) -> u64 {
    // SAFETY: handed on. The return address into the caller stands above the saved frame pointer. The candidate is kept by a share of
    // its own: no reference to the activation lives on.
    unsafe {
        let (candidate, point) = with(frame, |activation, _| {
            let inst = activation.machine.place();
            let Some(point) = inst.and_then(|inst| activation.code().point(inst, reason)) else {
                wrong(activation, activation.machine.fault("it leaves where there is no deopt point"));
            };
            activation.site = FrameSite::Exit(point);
            (activation.candidate().clone(), point)
        });
        let [first, second] = (*frame).call.results;
        let frame_pointer = PortableFrame::pointer(frame);
        let who = match *((frame_pointer + 8) as *const usize) == enter_return_address() {
            true => Who::Entered,
            false => Who::Called,
        };
        let argument_count = candidate.argument_count_home.map(|home| {
            debug_assert_eq!(home, ARGUMENT_COUNT_HOME);
            (*frame).argument_count
        });
        let (status, results) = exit::rebuild(context, candidate, who, |plan, candidate| {
            plan.describe(candidate, point, (*frame).window, argument_count);
            let filled = leave::fill(plan, &candidate.language, frames, GuestResults { first, second });
            if let Err(message) = filled {
                loud_stop(format_args!("{candidate}, deopt point {point}: {message}"));
            }
        });
        if status == Status::Returned as u64 {
            (*frame).call.results = [results.first, results.second];
            end(context);
        }
        status
    }
}
