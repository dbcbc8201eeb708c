//! The externs of *mini* as machine code calls them. What they do is in `surmise_ir::generate`; here is how they are called.

use super::host::ModelMachine;
use surmise::deopt::context::Context;
use surmise::deopt::host::Thrown;
use surmise::deopt::runloop::{Runloop, guarded};
use surmise::ir::evaluate::{Boxed, Datum};

/// A boxed value in the result registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Two(u64, u64);

/// Runs a body with the machine whose code is calling.
///
/// # Safety
/// Called by an extern that compiled code called with this context, as the last thing that it does.
unsafe fn body<R: Copy>(
    context: *mut Context,
    body: impl FnOnce(&mut ModelMachine, &Runloop<ModelMachine>) -> Result<R, Thrown>,
) -> R {
    // SAFETY: the context is the calling machine's; nothing is left to drop outside of the closure.
    unsafe {
        guarded(context, || {
            let runloop = Runloop::<ModelMachine>::from_context(context);
            body(Runloop::<ModelMachine>::host(context), &runloop)
        })
    }
}

/// What an extern gives.
unsafe fn datum(context: *mut Context, name: &str, args: &[Boxed]) -> Option<Datum> {
    // SAFETY: called by the functions below alone, as `body` asks.
    unsafe { body(context, |machine, runloop| machine.extern_(runloop, name, args)) }
}
unsafe fn any(context: *mut Context, name: &str, args: &[Boxed]) -> Two {
    // SAFETY: handed on.
    let [tag, payload] = unsafe { datum(context, name, args) }.and_then(Datum::boxed).unwrap_or_default();
    Two(tag, payload)
}
unsafe fn word(context: *mut Context, name: &str, args: &[Boxed]) -> u64 {
    // SAFETY: handed on.
    unsafe { datum(context, name, args) }.and_then(Datum::bits).unwrap_or_default()
}

macro_rules! externs {
    ($($name:ident: $form:ident / $count:tt;)*) => {
        $(externs!(@$form $count $name);)*
        /// The addresses of all externs, by name.
        pub fn addresses() -> Vec<(&'static str, *const u8)> {
            vec![
                $((stringify!($name), $name as *const u8),)*
                ("guest_call", guest_call as *const u8),
                ("remember", remember as *const u8),
                ("change", change as *const u8),
            ]
        }
    };
    (@any 2 $name:ident) => {
        unsafe extern "C" fn $name(context: *mut Context, a: u64, b: u64, c: u64, d: u64) -> Two {
            // SAFETY: compiled code calls it with its context.
            unsafe { any(context, stringify!($name), &[[a, b], [c, d]]) }
        }
    };
    (@any 1 $name:ident) => {
        unsafe extern "C" fn $name(context: *mut Context, a: u64, b: u64) -> Two {
            // SAFETY: as above.
            unsafe { any(context, stringify!($name), &[[a, b]]) }
        }
    };
    (@word 2 $name:ident) => {
        unsafe extern "C" fn $name(context: *mut Context, a: u64, b: u64, c: u64, d: u64) -> u64 {
            // SAFETY: as above.
            unsafe { word(context, stringify!($name), &[[a, b], [c, d]]) }
        }
    };
    (@word 1 $name:ident) => {
        unsafe extern "C" fn $name(context: *mut Context, a: u64, b: u64) -> u64 {
            // SAFETY: as above.
            unsafe { word(context, stringify!($name), &[[a, b]]) }
        }
    };
}

externs! {
    slow_add: any / 2;
    slow_sub: any / 2;
    slow_mul: any / 2;
    slow_div: any / 2;
    slow_less: word / 2;
    slow_truthy: word / 1;
    slow_get: any / 1;
    slow_set: word / 2;
    new_cell: word / 1;
    observe: word / 1;
}

/// The generic call: `place` is where the callee stands.
unsafe extern "C" fn guest_call(context: *mut Context, place: *mut u64, count: u64, wanted: i64) -> Two {
    // SAFETY: compiled code calls it with its context.
    unsafe {
        body(context, |machine, runloop| {
            let results = machine.guest_call(runloop, place, count, wanted)?;
            Ok(Two(results.first, results.second))
        })
    }
}
/// The barrier's slow path: a leaf, so nothing is walked and nothing fails.
unsafe extern "C" fn remember(context: *mut Context, object: u64) {
    // SAFETY: compiled code calls it with its context; the reference ends here.
    unsafe { Runloop::<ModelMachine>::host(context) }.heap.remember(object);
}
unsafe extern "C" fn change(context: *mut Context, epoch: i64) {
    // SAFETY: compiled code calls it with its context.
    unsafe { body(context, |machine, runloop| machine.change(runloop, epoch)) }
}
