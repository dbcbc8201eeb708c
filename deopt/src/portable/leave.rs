//! A deopt: from the evaluator's frames to a rebuild plan, which the host reads as it reads those of machine code.

use crate::boxed::Boxed as Value;
use crate::host::GuestResults;
use crate::rebuild::{FrameRecord, RebuildPlan};
use surmise_ir::entity::Register;
use surmise_ir::evaluate::{Boxed, Datum, RebuiltFrame, Results, boxing};
use surmise_ir::language::{Encoding, Language};

/// A boxed value of the evaluator as one of the runtime.
pub(super) fn value(encoding: Encoding, [first, second]: Boxed) -> Value {
    match encoding {
        Encoding::Pair => Value::pair(first, second),
        Encoding::Word => Value::from_word(first),
    }
}

/// An extern's result as the interpreter's instruction receives it: an unboxed one is boxed as the first kind with such a payload.
fn boxed_result(language: &Language, result: Datum) -> Result<Boxed, String> {
    if let Datum::Any(boxed) = result {
        return Ok(boxed);
    }
    let kind = language.kinds.iter().find(|(_, kind)| kind.payload == Some(result.ty())).map(|(id, _)| id);
    kind.and_then(|kind| boxing::boxed(language, kind, Some(result)))
        .ok_or_else(|| format!("no kind has the payload {result:?}, which an interrupted extern gives"))
}

/// Adds the frames to a plan. `machine_results` are those of the guest call that the innermost one was in, if it was in one.
pub(super) fn fill(
    plan: &mut RebuildPlan,
    language: &Language,
    frames: &[RebuiltFrame],
    machine_results: GuestResults,
) -> Result<(), String> {
    let encoding = language.encoding;
    for frame in frames {
        let start = plan.value_count();
        for &(register, boxed) in &frame.registers {
            plan.push(register, value(encoding, boxed));
        }
        let registers = start..plan.value_count();
        let start = plan.value_count();
        let mut call_results = None;
        match &frame.results {
            Results::Values(values) => {
                for &boxed in values {
                    plan.push(Register(0), value(encoding, boxed));
                }
            }
            Results::Extern(None) => {}
            Results::Extern(Some(result)) => {
                plan.push(Register(0), value(encoding, boxed_result(language, *result)?));
            }
            Results::Guest { .. } => {
                plan.push(Register(0), machine_results.first(encoding));
                call_results = Some((start, machine_results.further(encoding) as u64));
            }
        }
        // The first result of a guest call is told apart from values that are simply there.
        let results = if call_results.is_some() { start + 1..start + 1 } else { start..plan.value_count() };
        let callee = frame.callee.map(|boxed| {
            plan.push(Register(0), value(encoding, boxed));
            plan.value_count() - 1
        });
        plan.frames.push(FrameRecord {
            unit: frame.unit,
            resume: frame.resume,
            window: frame.window,
            registers,
            results,
            callee,
            open: frame.open,
            call_results,
        });
    }
    Ok(())
}
