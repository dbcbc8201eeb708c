//! Plugging in: a service, an isolate, a runloop and a plug for a machine.

use crate::language::{externs, language};
use crate::machine::Machine;
use std::collections::HashMap;
use std::fmt::Display;
use std::ptr::NonNull;
use std::sync::Arc;
use surmise::config::{CODE_BUDGET, Config};
use surmise::deopt::isolate::Isolate;
use surmise::deopt::loaded::CodeSpace;
use surmise::deopt::runloop::{Runloop, RunloopGuard};
use surmise::ir::entity::UnitId;
use surmise::plug::Plug;
use surmise::service::Service;
use surmise::unit::UnitSource;

/// A machine's connection to Surmise. Its parts are dropped in this order.
pub struct Connection {
    /// Counters, log and candidates.
    pub plug: Plug,
    /// The registration of the machine's one runloop.
    pub guard: RunloopGuard<Machine>,
    /// The numbers of units' functions.
    pub units: HashMap<UnitId, usize>,
    /// The optimizer.
    pub service: Service,
}

impl Machine {
    /// Plugs Surmise in, which lifts the machine's functions from these units. Compiled code leaves the native stack alone below
    /// `native_limit`.
    pub fn connect(
        &mut self,
        config: Config,
        units: Vec<Arc<dyn UnitSource>>,
        native_limit: usize,
    ) -> Result<(), String> {
        let text = |error: &dyn Display| error.to_string();
        let language = language().map_err(|error| format!("tally.sir: {error}"))?;
        let service = Service::start(Arc::new(language), Arc::new(config)).map_err(|error| text(&error))?;
        let space = CodeSpace::new(CODE_BUDGET).map_err(|error| text(&error))?;
        // SAFETY: the functions are as tally.sir declares them.
        let isolate =
            unsafe { Isolate::new(&space, service.language(), &externs()) }.map_err(|error| text(&error))?;
        let guard = Runloop::register(&isolate).map_err(|error| text(&error))?;
        guard.set_limits(self.address_of(self.stack.len()), native_limit);
        guard.set_forced_failure_countdown(service.config().deopt_every.unwrap_or(0));
        if let Some(bytes) = service.config().nursery {
            self.texts.limit = bytes;
        }
        let mut plug = Plug::new(service.connect(), isolate);
        let mut numbers = HashMap::new();
        for (function, unit) in self.functions.iter().zip(units) {
            numbers.insert(unit.id(), function.code.number);
            // SAFETY: functions never move and outlive the connection.
            let (index, counter) =
                unsafe { plug.register(unit, NonNull::from(&function.plugged.entry), false) };
            assert_eq!(index.0 as usize, function.code.number, "units are numbered as they are registered");
            function.plugged.counter.set(counter);
        }
        self.surmise = Some(Connection { plug, guard, units: numbers, service });
        Ok(())
    }

    /// Address of a value on the stack.
    pub fn address_of(&self, index: usize) -> *mut u8 {
        self.stack.as_ptr().wrapping_add(index) as *mut u8
    }
    /// Index of the value at an address of the stack.
    pub fn index_of(&self, address: *mut u8) -> usize {
        (address as usize - self.stack.as_ptr() as usize) / size_of::<u64>()
    }
}
