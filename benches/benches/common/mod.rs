//! Functions in the language of random programs, ready to be entered as machine code.

use surmise::deopt::runloop::Outcome;
use surmise::ir::evaluate::Boxed;
use surmise::ir::evaluate::model::WINDOW;
use surmise::ir::function::Function;
use surmise::ir::generate;
use surmise::ir::language::Language;
use surmise::ir::text::parse_function;
use surmise_tests::native::{Installed, Native, RunSettings, fill_slots};

/// An integer.
pub fn int(value: i64) -> Boxed {
    [2, value as u64]
}

/// The language, a machine, and functions for it.
pub struct Bench {
    pub language: Language,
    native: Native,
}

impl Bench {
    pub fn new() -> Bench {
        let language = generate::language();
        let native = Native::new(&language).expect("machine code runs here");
        Bench { language, native }
    }
    pub fn function(&self, text: &str) -> Function {
        parse_function(text, &self.language).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
    /// Has `body` work with the function's machine code.
    pub fn with<R>(
        &mut self,
        text: &str,
        registers: &[Boxed],
        body: impl FnOnce(&mut Installed<'_>) -> R,
    ) -> R {
        let function = self.function(text);
        let language = self.language.clone();
        let mut world = generate::world(&language, &[]);
        for (register, &value) in registers.iter().enumerate() {
            world.host.registers.insert(WINDOW + 16 * register as u64, value);
        }
        world.host.argument_count = registers.len() as u64;
        fill_slots(&function, &language, &mut world);
        let settings = RunSettings::default();
        let lowered = self.native.lower(&function, settings).expect("the function can be lowered");
        let mut installed = self
            .native
            .install(&function, &lowered, &world, settings)
            .expect("the function can be installed");
        installed.be_quick();
        body(&mut installed)
    }
}

/// A run that has to return.
pub fn returns(installed: &mut Installed<'_>) -> [u64; 2] {
    match installed.enter() {
        Outcome::Returned(results) => results,
        other => panic!("{other:?} instead of results"),
    }
}
