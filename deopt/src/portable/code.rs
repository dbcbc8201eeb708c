//! What is known of a portable candidate besides what is known of any: the function, made ready, and which of its instructions is which
//! deopt point and call site.
//!
//! Points and sites are numbered in the order of the function's instructions. There is no table of places: a frame state is evaluated.

use super::frame::{FLOAT_REGISTERS, INTEGER_REGISTERS, STACK_WORDS};
use crate::check::ImageError;
use crate::table::{CallSite, CallSites, ExitReason, FrameHeader};
use rustc_hash::FxHashMap;
use surmise_ir::entity::{ExternId, FrameStateId, Inst};
use surmise_ir::evaluate::{LeaveReason, Prepared};
use surmise_ir::function::{Function, Immediate, InstData};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::{Encoding, Language};
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;
use surmise_ir::verifier::{Stage, verify, violations_text};

/// A portable candidate's code.
pub(crate) struct PortableCode {
    pub function: Function,
    pub prepared: Prepared,
    /// By deopt point: why it is left there.
    pub reasons: Vec<ExitReason>,
    /// The point at which an activation leaves for want of room.
    room_point: Option<u32>,
    points: FxHashMap<Inst, u32>,
    sites: FxHashMap<Inst, u32>,
}

impl PortableCode {
    /// Checks an image and makes the tables that everybody asks a candidate for.
    pub(crate) fn new(
        function: Function,
        language: &Language,
    ) -> Result<(PortableCode, Vec<FrameHeader>, CallSites), ImageError> {
        check(&function, language)?;
        let prepared = Prepared::new(&function);
        let mut maker = Maker {
            function: &function,
            language,
            reasons: Vec::new(),
            headers: Vec::new(),
            calls: CallSites::default(),
            points: FxHashMap::default(),
            sites: FxHashMap::default(),
        };
        let room_point = prepared.room_check().and_then(|inst| {
            let pc = function.states[function.insts[inst].state?].resume.pc;
            Some(maker.point(ExitReason::Guard(GuardReason::Stack, pc)))
        });
        for &block in &function.layout {
            for &inst in &function.blocks[block].insts {
                maker.instruction(inst);
            }
        }
        let Maker { reasons, headers, calls, points, sites, .. } = maker;
        Ok((PortableCode { function, prepared, reasons, room_point, points, sites }, headers, calls))
    }
    /// The number of the deopt point at which a machine that stands at `inst` leaves.
    pub(crate) fn point(&self, inst: Inst, reason: LeaveReason) -> Option<u32> {
        match reason {
            LeaveReason::Guard { reason: GuardReason::Stack, .. }
                if self.prepared.room_check() == Some(inst) =>
            {
                self.room_point
            }
            _ => self.points.get(&inst).copied(),
        }
    }
    /// The number of the call site at which a machine stands still.
    pub(crate) fn site(&self, inst: Inst) -> Option<u32> {
        self.sites.get(&inst).copied()
    }
}

struct Maker<'a> {
    function: &'a Function,
    language: &'a Language,
    reasons: Vec<ExitReason>,
    headers: Vec<FrameHeader>,
    calls: CallSites,
    points: FxHashMap<Inst, u32>,
    sites: FxHashMap<Inst, u32>,
}

impl Maker<'_> {
    fn point(&mut self, reason: ExitReason) -> u32 {
        self.reasons.push(reason);
        self.reasons.len() as u32 - 1
    }
    fn instruction(&mut self, inst: Inst) {
        let data = &self.function.insts[inst];
        match (data.opcode, data.immediate) {
            (_, Immediate::KindReason(_, reason) | Immediate::Reason(reason)) => {
                let resume = data.state.map(|state| self.function.states[state].resume.pc);
                if let Some(site) = data.site.or(resume) {
                    let point = self.point(ExitReason::Guard(reason, site));
                    self.points.insert(inst, point);
                }
            }
            (Opcode::Poll, _) => self.call(inst, data.state),
            (Opcode::CallGuest | Opcode::CallUnit, _) => self.call(inst, data.after),
            _ => {
                if let Some(effects) =
                    called(self.language, data).map(|id| &self.language.externs[id].effects)
                    && !effects.is_leaf()
                {
                    self.call(inst, data.after.filter(|_| effects.may_deoptimize()));
                }
            }
        }
    }
    /// A call site; `landing` is the state with which the frame leaves if it was redirected meanwhile.
    fn call(&mut self, inst: Inst, landing: Option<FrameStateId>) {
        let data = &self.function.insts[inst];
        if landing.is_some() {
            let point = self.point(ExitReason::Invalidated);
            self.points.insert(inst, point);
        }
        let origin = data.after.or(data.state).map(|state| {
            let headers = FrameHeader::origin(self.function, state);
            let known = self.headers.windows(headers.len()).position(|run| *run == headers[..]);
            known.unwrap_or_else(|| {
                self.headers.extend_from_slice(&headers);
                self.headers.len() - headers.len()
            }) as u32
        });
        // There is one address to return to; the frame knows in which of its calls it is.
        let number = self.calls.sites.len() as u32;
        let landing_pad = landing.map(|_| number);
        self.calls.sites.push(CallSite { return_offset: number + 1, landing_pad, roots: (0, 0), origin });
        self.sites.insert(inst, number);
    }
}

/// The extern that an instruction calls.
fn called(language: &Language, data: &InstData) -> Option<ExternId> {
    match (data.opcode, data.immediate) {
        (Opcode::CallExtern, Immediate::Extern(id)) => Some(id),
        (Opcode::Operation, Immediate::Operation(id, _)) => Some(language.operations[id].fallback),
        _ => None,
    }
}

/// Whether an image can be run: it may come from a file.
fn check(function: &Function, language: &Language) -> Result<(), ImageError> {
    let error = |what, index, problem: String| {
        Err(ImageError { candidate: function.name.clone(), what, index, problem })
    };
    let violations = verify(function, language, Stage::Specialized, None);
    if !violations.is_empty() {
        return error("function", 0, violations_text(&violations));
    }
    for (index, recipe) in function.slots.values().enumerate() {
        let class = language.recipes.get(recipe.class as usize);
        if class.is_none_or(|class| !matches!(class.ty, Type::Raw | Type::Ref | Type::Any)) {
            return error("slot", index, format!("no recipe class {} for slots", recipe.class));
        }
    }
    for &inst in function.layout.iter().flat_map(|&block| &function.blocks[block].insts) {
        let data = &function.insts[inst];
        if let Some(id) = called(language, data)
            && let Err(words) = argument_words(language, id)
        {
            let name = &language.externs[id].name;
            return error("call", inst.as_u32() as usize, format!("{name} takes {words} words of arguments"));
        }
    }
    Ok(())
}

/// Whether the arguments of an extern find room in registers and in a frame; else how many words they are.
fn argument_words(language: &Language, id: ExternId) -> Result<(), usize> {
    let declared = &language.externs[id];
    let pair = usize::from(language.encoding == Encoding::Pair);
    let floats = declared.params.iter().filter(|&&ty| ty == Type::F64).count();
    let boxed = declared.params.iter().filter(|&&ty| ty == Type::Any).count();
    let integers = 1 + usize::from(declared.needs_window) + declared.params.len() - floats + boxed * pair;
    let on_stack = integers.saturating_sub(INTEGER_REGISTERS) + floats.saturating_sub(FLOAT_REGISTERS);
    if on_stack <= STACK_WORDS { Ok(()) } else { Err(integers + floats) }
}
