//! Rules 4 to 6: immediates, types, jump arguments.

use super::{Report, Rule};
use crate::entity::{Block, FieldId, Inst};
use crate::function::{CallInfo, Immediate, InstData};
use crate::language::Encoding;
use crate::opcode::{Opcode, OperandForm};
use crate::types::Type;
use smallvec::SmallVec;

pub(super) fn check(report: &mut Report) {
    for (block, inst, data) in report.insts() {
        if check_immediate(report, block, inst, data) {
            check_operands(report, block, inst, data);
            check_result(report, block, inst, data);
        }
        check_arguments(report, block, inst, data);
    }
}

fn check_immediate(report: &mut Report, block: Block, inst: Inst, data: &InstData) -> bool {
    let (form, expected) = (data.immediate.form(), data.opcode.immediate());
    if form != expected {
        report.at_inst(Rule::Immediates, block, inst, format!("the immediate is {form:?}, not {expected:?}"));
        return false;
    }
    if !report.function.immediate_exists(report.language, &data.immediate) {
        report.at_inst(
            Rule::Immediates,
            block,
            inst,
            format!("{:?} names what does not exist", data.immediate),
        );
        return false;
    }
    let is_guest_call = matches!(data.opcode, Opcode::CallGuest | Opcode::CallUnit);
    if is_guest_call && report.language.calls.is_none() {
        report.at_inst(Rule::Immediates, block, inst, "the language says nothing of guest calls");
    }
    let is_pair_access = matches!(data.opcode, Opcode::AnyTag | Opcode::AnyPayload);
    if is_pair_access && report.language.encoding != Encoding::Pair {
        report.at_inst(Rule::Immediates, block, inst, "boxed values of this language are no pairs");
    }
    true
}

/// What an operand may be.
#[derive(Clone, Copy)]
enum Expected {
    Exactly(Type),
    /// An object's address: `ref` or `raw`.
    Base,
    /// A value that the collector may have to know: `ref` or `any`.
    Stored,
    Anything,
}

impl Expected {
    fn allows(self, ty: Type) -> bool {
        match self {
            Expected::Exactly(expected) => ty == expected,
            Expected::Base => matches!(ty, Type::Ref | Type::Raw),
            Expected::Stored => ty.is_collected(),
            Expected::Anything => true,
        }
    }
    fn name(self) -> String {
        match self {
            Expected::Exactly(ty) => ty.to_string(),
            Expected::Base => "ref or raw".to_owned(),
            Expected::Stored => "ref or any".to_owned(),
            Expected::Anything => "any type".to_owned(),
        }
    }
}

fn check_operands(report: &mut Report, block: Block, inst: Inst, data: &InstData) {
    let expected = match data.opcode.operands() {
        OperandForm::Fixed(types) => types.iter().map(|&ty| Expected::Exactly(ty)).collect(),
        OperandForm::Special => special(report, block, inst, data),
    };
    if expected.len() != data.args.len() {
        let message = format!("{} operands instead of {}", data.args.len(), expected.len());
        report.at_inst(Rule::Types, block, inst, message);
        return;
    }
    for (&value, &expected) in data.args.iter().zip(&expected) {
        let ty = report.function.ty(value);
        if !expected.allows(ty) {
            let message = format!("operand {value} is of type {ty}, not {}", expected.name());
            report.at_inst(Rule::Types, block, inst, message);
        }
    }
}

type Operands = SmallVec<[Expected; 6]>;

fn exactly(types: &[Type]) -> Operands {
    types.iter().map(|&ty| Expected::Exactly(ty)).collect()
}

/// The operands of the instructions whose immediate decides.
fn special(report: &mut Report, block: Block, inst: Inst, data: &InstData) -> Operands {
    let (function, language) = (report.function, report.language);
    match (data.opcode, data.immediate) {
        (Opcode::Select, _) => {
            let ty =
                data.args.get(1).map_or(Expected::Anything, |&value| Expected::Exactly(function.ty(value)));
            SmallVec::from_slice(&[Expected::Exactly(Type::I1), ty, ty])
        }
        (Opcode::Box, Immediate::Kind(kind)) => exactly(language.kinds[kind].payload.as_slice()),
        (Opcode::Load, Immediate::Field(field)) => {
            is_element_field(report, block, inst, field, false);
            SmallVec::from_slice(&[Expected::Base])
        }
        (Opcode::Store, Immediate::Field(field)) => {
            is_element_field(report, block, inst, field, false);
            let ty = language.fields[field].memory.value_type();
            SmallVec::from_slice(&[Expected::Base, Expected::Exactly(ty)])
        }
        (Opcode::LoadElement, Immediate::Field(field)) => {
            is_element_field(report, block, inst, field, true);
            SmallVec::from_slice(&[Expected::Base, Expected::Exactly(Type::I64)])
        }
        (Opcode::StoreElement, Immediate::Field(field)) => {
            is_element_field(report, block, inst, field, true);
            let ty = language.fields[field].memory.value_type();
            SmallVec::from_slice(&[Expected::Base, Expected::Exactly(Type::I64), Expected::Exactly(ty)])
        }
        (Opcode::Barrier, _) => SmallVec::from_slice(&[Expected::Exactly(Type::Ref), Expected::Stored]),
        (Opcode::Operation, Immediate::Operation(id, _)) => exactly(&language.operations[id].params),
        (Opcode::CallExtern, Immediate::Extern(id)) => exactly(&language.externs[id].params),
        (Opcode::CallGuest, Immediate::Call(info)) => guest_call(data, info, Type::Any),
        (Opcode::CallUnit, Immediate::Call(info)) => guest_call(data, info, Type::Ref),
        (Opcode::Return, _) => data.args.iter().map(|_| Expected::Exactly(Type::Any)).collect(),
        // Every opcode with special operands stands above; a new one is noticed by its first use.
        _ => {
            report.at_inst(Rule::Types, block, inst, "the verifier knows no rule for its operands");
            data.args.iter().map(|_| Expected::Anything).collect()
        }
    }
}

fn guest_call(data: &InstData, info: CallInfo, callee: Type) -> Operands {
    let count = data.args.len().max(1 + usize::from(info.open_arguments));
    let of = |position| match position {
        0 => callee,
        _ if info.open_arguments && position + 1 == count => Type::I64,
        _ => Type::Any,
    };
    (0..count).map(|position| Expected::Exactly(of(position))).collect()
}

fn is_element_field(report: &mut Report, block: Block, inst: Inst, field: FieldId, wanted: bool) {
    if (report.language.fields[field].stride != 0) != wanted {
        let message = if wanted { "the field has no elements" } else { "the field is one of elements" };
        report.at_inst(Rule::Types, block, inst, message);
    }
}

fn check_result(report: &mut Report, block: Block, inst: Inst, data: &InstData) {
    let Some(expected) = report.function.checked_result_type(report.language, data) else { return };
    let found = data.result.map(|value| report.function.ty(value));
    let name = |ty: Option<Type>| ty.map_or("no result".to_owned(), |ty| format!("a result of type {ty}"));
    if found != expected {
        report.at_inst(
            Rule::Types,
            block,
            inst,
            format!("it has {} instead of {}", name(found), name(expected)),
        );
    }
    if data.opcode == Opcode::Unbox && expected.is_none() {
        report.at_inst(Rule::Types, block, inst, "values of this kind have no payload");
    }
}

fn check_arguments(report: &mut Report, block: Block, inst: Inst, data: &InstData) {
    let function = report.function;
    for target in &data.targets {
        let params = &function.blocks[target.block].params;
        if params.len() != target.args.len() {
            let message = format!(
                "{} has {} parameters, {} values are passed",
                target.block,
                params.len(),
                target.args.len()
            );
            report.at_inst(Rule::JumpArguments, block, inst, message);
            continue;
        }
        for (&param, &value) in params.iter().zip(&target.args) {
            if function.ty(param) != function.ty(value) {
                let (expected, found) = (function.ty(param), function.ty(value));
                let message = format!("{value} of type {found} is passed for {param} of type {expected}");
                report.at_inst(Rule::JumpArguments, block, inst, message);
            }
        }
    }
}
