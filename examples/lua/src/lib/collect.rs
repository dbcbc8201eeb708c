//! `collectgarbage`.

use crate::roots::Collection;
use crate::state::{Call, State, Throw};
use crate::value::Value;

const OPTIONS: &[&str] = &[
    "collect",
    "count",
    "step",
    "isrunning",
    "stop",
    "restart",
    "incremental",
    "generational",
    "setpause",
    "setstepmul",
];

/// Work of a step whose size the program left open.
const BASIC_STEP: usize = 16 << 10;

/// `collectgarbage(option, argument)`.
pub fn collectgarbage(state: &mut State, call: Call) -> Result<u32, Throw> {
    let option = state.check_option(call, 0, Some("collect"), OPTIONS)?;
    let argument = state.opt_int(call, 1, 0)?;
    if state.collector.is_finalizing {
        return call.return_one(Value::NIL);
    }
    let collector = &mut state.collector;
    let result = match OPTIONS[option] {
        "collect" => {
            collect_all(state)?;
            Value::int(0)
        }
        "step" => Value::bool(step(state, argument)?),
        "count" => Value::float(state.heap.used_bytes() as f64 / 1024.0),
        "isrunning" => Value::bool(!collector.is_stopped),
        "stop" => {
            collector.is_stopped = true;
            Value::int(0)
        }
        "restart" => {
            collector.is_stopped = false;
            Value::int(0)
        }
        mode @ ("incremental" | "generational") => {
            let was_generational = std::mem::replace(&mut collector.is_generational, mode == "generational");
            state.string_value(if was_generational { b"generational" } else { b"incremental" })
        }
        "setpause" => Value::int(std::mem::replace(&mut collector.pause, argument)),
        _ => Value::int(std::mem::replace(&mut collector.step_multiplier, argument)),
    };
    call.return_one(result)
}

fn collect_all(state: &mut State) -> Result<(), Throw> {
    state.collector.stepped_bytes = 0;
    let end = state.runloop.top();
    state.collect_now(end, Collection::Full)?;
    state.run_finalizers(end);
    Ok(())
}

/// A step of so many KB: this collector does its work at once, when steps have paid for all of it. Whether it has.
fn step(state: &mut State, kilobytes: i64) -> Result<bool, Throw> {
    let size = match usize::try_from(kilobytes) {
        Ok(0) | Err(_) => BASIC_STEP,
        Ok(size) => size.saturating_mul(1024),
    };
    state.collector.stepped_bytes = state.collector.stepped_bytes.saturating_add(size);
    if state.collector.stepped_bytes < state.heap.used_bytes() && !state.collector.is_generational {
        return Ok(false);
    }
    collect_all(state)?;
    Ok(true)
}
