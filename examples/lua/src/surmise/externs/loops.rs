//! Numeric `for`: what `ForPrepare` and `ForLoop` do, in pieces.
//!
//! The optimizer sees a loop's start as four operations on the same three operands. The first, `lua_for_runs`, raises what
//! there is to raise; the others only compute, and may be asked for more than is used when the loop does not run.

use super::frame::attempt;
use super::{Context, Value};
use crate::number;
use crate::state::{State, Throw};

/// One past the largest integer, as a float. The smallest is its negative.
const INTEGER_END: f64 = 9_223_372_036_854_775_808.0;

/// A loop that was started.
#[derive(Clone, Copy, Debug)]
struct Start {
    /// What the variable starts with.
    first: Value,
    /// Integers: the unsigned count of further iterations. Floats: the limit.
    limit: Value,
    /// What is added.
    step: Value,
    /// Whether there is an iteration at all.
    runs: bool,
}

/// Why a loop can't start.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// "'for' step is zero".
    StepIsZero,
    /// What is no number, and which value that is.
    NoNumber(&'static str, Value),
}

impl Start {
    fn new(start: Value, limit: Value, step: Value) -> Result<Start, Refusal> {
        if start.is_int() && step.is_int() {
            return Start::of_ints(start.as_int(), limit, step.as_int());
        }
        let float = |what, value| number::to_float(value).ok_or(Refusal::NoNumber(what, value));
        let last = float("limit", limit)?;
        let by = float("step", step)?;
        let first = float("initial value", start)?;
        if by == 0.0 {
            return Err(Refusal::StepIsZero);
        }
        // What is no number is never beyond the limit: such a loop runs once.
        let runs = !(if by > 0.0 { last < first } else { first < last });
        Ok(Start { first: Value::float(first), limit: Value::float(last), step: Value::float(by), runs })
    }

    fn of_ints(first: i64, limit: Value, by: i64) -> Result<Start, Refusal> {
        if by == 0 {
            return Err(Refusal::StepIsZero);
        }
        let Some(number) = number::to_number(limit) else { return Err(Refusal::NoNumber("limit", limit)) };
        let last = if number.is_int() { Some(number.as_int()) } else { last_int(number.as_float(), by) };
        let runs = last.is_some_and(|last| if by > 0 { first <= last } else { first >= last });
        let further = last.map_or(0, |last| further(first, last, by));
        Ok(Start { first: Value::int(first), limit: Value::int(further), step: Value::int(by), runs })
    }
}

/// The integer that a loop of integers with a float limit ends at. Beyond the integers it ends at their end, or does not begin.
fn last_int(limit: f64, by: i64) -> Option<i64> {
    if limit.is_nan() {
        None
    } else if limit >= INTEGER_END {
        (by > 0).then_some(i64::MAX)
    } else if limit < -INTEGER_END {
        (by < 0).then_some(i64::MIN)
    } else if by < 0 {
        Some(limit.ceil() as i64)
    } else {
        Some(limit.floor() as i64)
    }
}

/// How many iterations follow the first, of a loop that runs.
fn further(first: i64, last: i64, by: i64) -> i64 {
    let distance = if by > 0 { last.wrapping_sub(first) } else { first.wrapping_sub(last) } as u64;
    match by.unsigned_abs() {
        0 | 1 => distance as i64,
        by => (distance / by) as i64,
    }
}

fn raise(state: &mut State, refusal: Refusal) -> Throw {
    match refusal {
        Refusal::StepIsZero => state.runtime_error("'for' step is zero"),
        Refusal::NoNumber(what, value) => state.for_error(what, value),
    }
}

host_functions! {
    /// Whether the loop runs at all.
    fn lua_for_runs(context, window; start: any, limit: any, step: any) -> i1 {
        match Start::new(start, limit, step) {
            Ok(start) => u64::from(start.runs),
            Err(refusal) => attempt(context, window, |state| Err(raise(state, refusal))),
        }
    }

    /// What the loop's variable starts with.
    fn lua_for_first(_, _window; start: any, limit: any, step: any) -> any {
        Start::new(start, limit, step).map_or(Value::NIL, |start| start.first)
    }

    /// The limit: of a loop of integers the unsigned count of further iterations.
    fn lua_for_limit(_, _window; start: any, limit: any, step: any) -> any {
        Start::new(start, limit, step).map_or(Value::NIL, |start| start.limit)
    }

    /// The step.
    fn lua_for_step(_, _window; start: any, limit: any, step: any) -> any {
        Start::new(start, limit, step).map_or(Value::NIL, |start| start.step)
    }

    /// How many iterations follow the first, of a loop of integers that runs.
    fn lua_for_count(_; start: i64, limit: i64, step: i64) -> i64 {
        further(start, limit, step)
    }

    /// Whether there is another iteration.
    fn lua_for_goes_on(_; index: any, limit: any, step: any) -> i1 {
        if index.is_int() {
            return u64::from(limit.payload != 0);
        }
        let (step, limit) = (step.as_float(), limit.as_float());
        let next = index.as_float() + step;
        u64::from(if step > 0.0 { next <= limit } else { limit <= next })
    }

    /// The index of the next iteration.
    fn lua_for_next(_; index: any, step: any) -> any {
        if index.is_int() {
            Value::int(index.as_int().wrapping_add(step.as_int()))
        } else {
            Value::float(index.as_float() + step.as_float())
        }
    }

    /// The limit after the next iteration has begun.
    fn lua_for_rest(_; index: any, limit: any) -> any {
        if index.is_int() { Value::int(limit.as_int().wrapping_sub(1)) } else { limit }
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusal, Start};
    use crate::value::Value;

    /// How many iterations a loop has, at most eight.
    fn iterations(start: Value, limit: Value, step: Value) -> u64 {
        let start = Start::new(start, limit, step).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        if !start.runs {
            return 0;
        }
        if start.first.is_int() {
            return start.limit.payload.saturating_add(1);
        }
        let (mut count, mut index) = (0, start.first.as_float());
        let (limit, step) = (start.limit.as_float(), start.step.as_float());
        while count < 8 && if step > 0.0 { index <= limit } else { limit <= index } {
            count += 1;
            index += step;
        }
        count
    }

    #[test]
    fn loops_run_as_often_as_in_lua() {
        let int = Value::int;
        let float = Value::float;
        let cases = [
            (int(1), int(3), int(1), 3),
            (int(1), int(10), int(3), 4),
            (int(3), int(1), int(-1), 3),
            (int(1), int(0), int(1), 0),
            (int(1), float(3.7), int(1), 3),
            (int(-1), float(-3.7), int(-1), 3),
            (int(1), float(f64::NAN), int(1), 0),
            (int(i64::MAX - 1), float(f64::INFINITY), int(1), 2),
            (int(1), float(f64::INFINITY), int(-1), 0),
            (int(i64::MIN + 1), float(f64::NEG_INFINITY), int(-1), 2),
            (int(i64::MIN), int(i64::MAX), int(1), u64::MAX),
            (int(i64::MIN), int(i64::MAX), int(i64::MAX), 3),
            (int(i64::MAX), int(i64::MIN), int(i64::MIN), 2),
            (float(1.0), int(3), int(1), 3),
            (int(1), int(2), float(0.5), 3),
            (float(1.0), float(0.0), float(0.25), 0),
        ];
        for (start, limit, step, count) in cases {
            assert_eq!(
                iterations(start, limit, step),
                count,
                "for {:x?}",
                [start, limit, step].map(|value| (value.tag, value.payload))
            );
        }
    }

    #[test]
    fn what_can_not_start_is_named() {
        let zero = Start::new(Value::int(1), Value::int(2), Value::int(0));
        assert!(matches!(zero, Err(Refusal::StepIsZero)));
        let zero = Start::new(Value::float(1.0), Value::int(2), Value::int(0));
        assert!(matches!(zero, Err(Refusal::StepIsZero)));
        let limit = Start::new(Value::NIL, Value::NIL, Value::int(0));
        assert!(matches!(limit, Err(Refusal::NoNumber("limit", _))));
        let first = Start::new(Value::NIL, Value::int(1), Value::int(0));
        assert!(matches!(first, Err(Refusal::NoNumber("initial value", _))));
    }
}
