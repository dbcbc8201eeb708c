//! Machine code as text: one instruction a line, with its offset; calls say which exit or call site they are.

use super::error::LowerError;
use super::tables::{Record, Records};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{CompiledCode, FinalizedMachExceptionHandler};
use std::collections::BTreeMap;
use std::fmt::Write;
use surmise_deopt::table::ExitReason;
use surmise_ir::function::Function;

/// The listing of a compiled function.
pub(super) fn listing(
    code: &CompiledCode,
    isa: &dyn TargetIsa,
    records: &Records,
    function: &Function,
) -> Result<String, LowerError> {
    let refuse = |error: &dyn std::fmt::Display| LowerError::Cranelift(format!("disassembly: {error}"));
    let (notes, pads) = notes(code, records);
    let disassembler = isa.to_capstone().map_err(|error| refuse(&error))?;
    let bytes = code.code_buffer();
    let instructions = disassembler.disasm_all(bytes, 0).map_err(|error| refuse(&error))?;
    let mut text = format!("; {}: {} bytes, constants included\n", function.name, bytes.len());
    for instruction in instructions.iter() {
        let offset = instruction.address() as u32;
        if pads.contains(&offset) {
            text.push_str("; landing pad\n");
        }
        let mnemonic = instruction.mnemonic().unwrap_or("?");
        let operands = instruction.op_str().unwrap_or("");
        let line = format!("{offset:6x}  {mnemonic:8} {operands}");
        match notes.get(&(offset + instruction.bytes().len() as u32)) {
            Some(note) => writeln!(text, "{line:48}; {note}"),
            None => writeln!(text, "{}", line.trim_end()),
        }
        .expect("writing to a string does not fail");
    }
    Ok(text)
}

/// By return offset, what the call there is; and the offsets of landing pads.
fn notes(code: &CompiledCode, records: &Records) -> (BTreeMap<u32, String>, Vec<u32>) {
    let mut notes = BTreeMap::new();
    let mut pads = Vec::new();
    let locations = code.buffer.get_srclocs_sorted();
    for site in code.buffer.call_sites() {
        let location =
            locations.iter().find(|location| location.start < site.ret_addr && site.ret_addr <= location.end);
        let note = match location.and_then(|location| records.at(location.loc)) {
            Some(Record::Exit { reason: ExitReason::Guard(reason, _), words }) => {
                format!("exit: {reason}, {} words of state", words.1 - words.0)
            }
            Some(Record::Exit { reason: ExitReason::Invalidated, words }) => {
                format!("exit: invalidated, {} words of state", words.1 - words.0)
            }
            Some(Record::Call { roots, .. }) => format!("call, {} roots", roots.1 - roots.0),
            None => "leaf call".to_owned(),
        };
        notes.insert(site.ret_addr, note);
        pads.extend(site.exception_handlers.iter().filter_map(|handler| match handler {
            FinalizedMachExceptionHandler::Default(offset) => Some(*offset),
            _ => None,
        }));
    }
    (notes, pads)
}
