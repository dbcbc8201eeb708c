//! The machine that code is made for, and what a thread keeps between two compiles.

use super::error::LowerError;
use cranelift_codegen::isa::{self, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::FunctionBuilderContext;
use std::cell::RefCell;

/// The machine that code is made for. Made once, used by all compiles of all threads.
pub struct Target {
    isa: OwnedTargetIsa,
}

impl Target {
    /// This machine, with all its features. The code generator's own verifier runs in debug builds.
    pub fn host() -> Result<Target, LowerError> {
        Target::with_verifier(cfg!(debug_assertions))
    }
    /// This machine, with the code generator's own verifier on or off. It costs a third of the compile time.
    pub fn with_verifier(verify: bool) -> Result<Target, LowerError> {
        let builder = cranelift_native::builder().map_err(|error| LowerError::Target(error.to_string()))?;
        Target::new(builder, verify)
    }
    /// A machine of this architecture with exactly these features ([`Target::features`]): its code is not for this machine.
    pub fn with_features(features: &[String]) -> Result<Target, LowerError> {
        let refuse = |error: &dyn std::fmt::Display| LowerError::Target(error.to_string());
        let mut builder = cranelift_native::builder_with_options(false).map_err(|error| refuse(&error))?;
        for feature in features {
            builder.enable(feature).map_err(|error| refuse(&format_args!("feature {feature:?}: {error}")))?;
        }
        Target::new(builder, cfg!(debug_assertions))
    }
    /// Names of the features that code for this machine may use.
    pub fn features(&self) -> Vec<String> {
        let flags = self.isa.isa_flags();
        flags.iter().filter(|flag| flag.as_bool() == Some(true)).map(|flag| flag.name.to_owned()).collect()
    }
    fn new(builder: isa::Builder, verify: bool) -> Result<Target, LowerError> {
        let refuse = |error: &dyn std::fmt::Display| LowerError::Target(error.to_string());
        let mut flags = settings::builder();
        let verify = if verify { "true" } else { "false" };
        for (name, value) in [
            ("opt_level", "speed"),
            ("enable_verifier", verify),
            // Frames are walked by frame pointer.
            ("preserve_frame_pointers", "true"),
            // Calls go through the context; nothing is linked, so nothing goes through a global offset table either.
            ("is_pic", "false"),
            ("use_colocated_libcalls", "false"),
            ("enable_probestack", "false"),
            // Native unwinding never crosses compiled frames: errors leave by resetting the stack.
            ("unwind_info", "false"),
        ] {
            flags.set(name, value).map_err(|error| refuse(&error))?;
        }
        let isa = builder.finish(settings::Flags::new(flags)).map_err(|error| refuse(&error))?;
        if isa.name() != "x64" {
            return Err(LowerError::Target(format!("{} is not x86-64", isa.triple())));
        }
        Ok(Target { isa })
    }
    pub(super) fn isa(&self) -> &dyn TargetIsa {
        &*self.isa
    }
}

/// Buffers of the code generator, which a thread uses again and again.
pub(super) struct Scratch {
    pub context: cranelift_codegen::Context,
    pub builder: FunctionBuilderContext,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { context: cranelift_codegen::Context::new(), builder: FunctionBuilderContext::new() }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Runs a compile with the thread's buffers. They hold nothing that a later compile sees: both are emptied before their use.
pub(super) fn with_scratch<R>(run: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            // Taken out, so that a panic in the code generator leaves fresh buffers behind and not half-filled ones.
            let mut taken = std::mem::take(&mut *scratch);
            let result = run(&mut taken);
            *scratch = taken;
            result
        }
        Err(_) => run(&mut Scratch::default()),
    })
}
