//! Running a program on a native stack of its own.

use crate::assemble::Error;
use crate::lifter::units;
use crate::machine::Machine;
use crate::program::Program;
use std::io::Write;
use std::sync::Arc;
use surmise::config::Config;
use surmise::plug::PlugTotals;
use surmise::service::Totals;
use surmise::unit::UnitSource;

/// Room for compiled frames: deeper than the machine's stack of values allows.
const NATIVE_STACK: usize = 256 << 20;
/// What compiled code leaves for the interpreter and the runtime.
const NATIVE_RESERVE: usize = 4 << 20;

/// What Surmise did during a run.
#[derive(Debug)]
pub struct Statistics {
    /// The machine's side.
    pub plug: PlugTotals,
    /// The service's side.
    pub service: Totals,
    /// How many collections there were.
    pub collections: usize,
}

/// Runs a program, with Surmise if there are settings for it.
pub fn run(
    program: &Program,
    config: Option<Config>,
    output: Box<dyn Write + Send>,
) -> (Result<(), Error>, Option<Statistics>) {
    run_as(program, units(program), config, output)
}

/// The same, with other units of its functions: such as are lifted in another way.
pub fn run_as(
    program: &Program,
    units: Vec<Arc<dyn UnitSource>>,
    config: Option<Config>,
    output: Box<dyn Write + Send>,
) -> (Result<(), Error>, Option<Statistics>) {
    let program = program.clone();
    let work = move || {
        let mut machine = Machine::new(&program, output);
        if let Some(config) = config {
            let here = 0u8;
            let limit = (&raw const here) as usize - NATIVE_STACK + NATIVE_RESERVE;
            if let Err(error) = machine.connect(config, units, limit) {
                eprintln!("tally: runs without Surmise: {error}");
            }
        }
        let result = machine.run_main().map(drop);
        let statistics = machine.surmise.as_ref().map(|connection| Statistics {
            plug: connection.plug.totals(),
            service: connection.service.totals(),
            collections: machine.texts.collections,
        });
        (result, statistics)
    };
    let thread = std::thread::Builder::new().stack_size(NATIVE_STACK).spawn(work);
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(ended)) => ended,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => (Err(Error { line: 1, message: format!("no thread to run in: {error}") }), None),
    }
}
