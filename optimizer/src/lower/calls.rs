//! Calls: externs, guest values, units, polls.
//!
//! What stands around a call depends on what the callee may do:
//!
//! | the callee may | before | the call | after |
//! |---|---|---|---|
//! | nothing of the below (a leaf) | | plain | |
//! | raise a guest error | frame recorded in the context (by the trampoline) | plain, with a call site | |
//! | allocate | frame recorded, roots stored to their homes | plain, with a call site | roots reloaded |
//! | run guest code | frame recorded, roots stored | with a landing pad | roots reloaded |
//! | be a unit or the poll stub | roots and arguments stored | with a landing pad | roots reloaded |
//!
//! A *landing pad* is where control comes back when the candidate was invalidated meanwhile: the return address was rewritten, or
//! the frame's mark was set, which code made for that tests behind the call. It gives the frame state after the call, with the
//! result registers, to the landing stub, and returns what that returns.

use super::Translator;
use super::error::LowerError;
use super::states::{ExitForm, LandingResults};
use super::tables::no_location;
use super::trampolines::Trampoline;
use super::values::Words;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, BlockArg, ExceptionTableData, ExceptionTableItem, InstBuilder, Signature, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use surmise_deopt::context::offsets;
use surmise_deopt::table::{ExitReason, FrameHeader};
use surmise_ir::entity::{ExternId, FrameStateId, Inst, Value};
use surmise_ir::function::{CallInfo, InstData, Wanted};
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;

/// Imported signatures, each once.
#[derive(Default)]
pub(super) struct Signatures {
    words: FxHashMap<(usize, usize), ir::SigRef>,
    externs: FxHashMap<ExternId, ir::SigRef>,
    trampolines: FxHashMap<(Trampoline, ir::SigRef), ir::FuncRef>,
}

impl Signatures {
    /// So many words to so many words.
    pub fn words(&mut self, builder: &mut FunctionBuilder, params: usize, results: usize) -> ir::SigRef {
        *self.words.entry((params, results)).or_insert_with(|| {
            let mut signature = Signature::new(CallConv::SystemV);
            signature.params.resize(params, AbiParam::new(types::I64));
            signature.returns.resize(results, AbiParam::new(types::I64));
            builder.import_signature(signature)
        })
    }
}

/// What is called.
#[derive(Clone, Copy)]
enum Callee {
    /// Machine code of a unit, at an address.
    Unit(ir::Value, ir::SigRef),
    /// A stub or an extern, by way of its trampoline.
    Function(ir::FuncRef),
}

/// How a call is made.
struct Call {
    callee: Callee,
    args: SmallVec<[ir::Value; 8]>,
    /// The state for the landing pad.
    landing: Option<(FrameStateId, ExitForm)>,
}

impl Translator<'_> {
    /// A trampoline, as a function with this signature.
    pub fn trampoline(&mut self, trampoline: Trampoline, signature: ir::SigRef) -> ir::FuncRef {
        if let Some(&known) = self.signatures.trampolines.get(&(trampoline, signature)) {
            return known;
        }
        let name = self.builder.func.declare_imported_user_function(trampoline.name());
        let function = self.builder.import_function(ir::ExtFuncData {
            name: ir::ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.signatures.trampolines.insert((trampoline, signature), function);
        function
    }
    /// Brings the homes of all values that live across a safepoint up to date.
    fn store_roots(&mut self, inst: Inst) -> Result<(), LowerError> {
        for index in 0..self.roots.across(inst).len() {
            let value = self.roots.across(inst)[index];
            let Some(home) = self.roots.home(value) else { continue };
            if self.homes.is_current(home, value) {
                continue;
            }
            let words = self.words(value)?;
            self.store_to_home(value, home, words);
        }
        Ok(())
    }
    /// Reads them again: the collector may have moved what they refer to. Tags don't change; after a poll, whose cold path is
    /// not to disturb the hot one, they stay where they are, else reading them again spares a place for them meanwhile.
    fn reload_roots(&mut self, inst: Inst) -> Result<(), LowerError> {
        let is_poll = self.function.insts[inst].opcode == Opcode::Poll;
        for index in 0..self.roots.across(inst).len() {
            let value = self.roots.across(inst)[index];
            let Some(home) = self.roots.home(value) else { continue };
            let words = match self.words(value)? {
                Words::One(word) => {
                    let ty = self.builder.func.dfg.value_type(word);
                    Words::One(self.load_home(ty, home.word))
                }
                Words::Pair(tag, _) => {
                    let tag = if is_poll { tag } else { self.load_home(types::I64, home.word) };
                    Words::Pair(tag, self.load_home(types::I64, home.word + 1))
                }
            };
            self.redefine(value, words);
        }
        Ok(())
    }
    fn call_location(&mut self, inst: Inst, gives_float: bool) -> ir::SourceLoc {
        let roots = &self.roots;
        let homes = roots
            .across(inst)
            .iter()
            .filter_map(|&value| roots.home(value))
            .filter_map(|home| home.kind.map(|kind| (home.word, kind)));
        let data = &self.function.insts[inst];
        let state = data.after.or(data.state);
        let origin = state.map(|state| FrameHeader::origin(self.function, state)).unwrap_or_default();
        self.records.call(homes, &origin, gives_float)
    }
    /// Makes a call that is not a leaf; goes on, with its results, in a new block if there is a landing pad.
    fn call(&mut self, inst: Inst, call: Call) -> Result<SmallVec<[ir::Value; 2]>, LowerError> {
        self.store_roots(inst)?;
        let gives_float =
            call.landing.is_some_and(|(_, form)| form == ExitForm::Call(LandingResults::Extern(Type::F64)));
        let location = self.call_location(inst, gives_float);
        let landing = call.landing.filter(|_| !self.settings.without_landing_pads);
        let Some((state, form)) = landing else {
            self.builder.set_srcloc(location);
            let inst_made = match call.callee {
                Callee::Unit(address, signature) => {
                    self.builder.ins().call_indirect(signature, address, &call.args)
                }
                Callee::Function(function) => self.builder.ins().call(function, &call.args),
            };
            self.builder.set_srcloc(no_location());
            let results = SmallVec::from_slice(self.builder.inst_results(inst_made));
            self.reload_roots(inst)?;
            return Ok(results);
        };
        let signature = match call.callee {
            Callee::Unit(_, signature) => signature,
            Callee::Function(function) => self.builder.func.dfg.ext_funcs[function].signature,
        };
        let result_types: SmallVec<[ir::Type; 2]> = self.builder.func.dfg.signatures[signature]
            .returns
            .iter()
            .map(|result| result.value_type)
            .collect();
        let (normal, pad) = (self.builder.create_block(), self.cold_block());
        let results: SmallVec<[ir::Value; 2]> =
            result_types.iter().map(|&ty| self.builder.append_block_param(normal, ty)).collect();
        let delivered = [types::I64; 2].map(|ty| self.builder.append_block_param(pad, ty));
        let dfg = &mut self.builder.func.dfg;
        let returned: SmallVec<[BlockArg; 2]> =
            (0..result_types.len() as u32).map(BlockArg::TryCallRet).collect();
        let normal_call = dfg.block_call(normal, &returned);
        let pad_call = dfg.block_call(pad, &[BlockArg::TryCallExn(0), BlockArg::TryCallExn(1)]);
        let table = ExceptionTableData::new(signature, normal_call, [ExceptionTableItem::Default(pad_call)]);
        let table = dfg.exception_tables.push(table);
        self.builder.set_srcloc(location);
        match call.callee {
            Callee::Unit(address, _) => self.builder.ins().try_call_indirect(address, &call.args, table),
            Callee::Function(function) => self.builder.ins().try_call(function, &call.args, table),
        };
        self.builder.set_srcloc(no_location());

        self.start_block(normal);
        let go_on = match self.mark_home {
            Some(mark) => self.leave_if_marked(mark, pad, &results),
            None => normal,
        };
        let homes = self.homes.clone();
        self.start_block(pad);
        let description = self.describe(state, form)?;
        self.call_exit_stub(Trampoline::Landing, &delivered, description, ExitReason::Invalidated);
        self.homes = homes;

        self.builder.switch_to_block(go_on);
        if go_on != normal {
            self.builder.seal_block(go_on);
        }
        self.reload_roots(inst)?;
        Ok(results)
    }
    /// Behind a call: goes to its landing pad, with its results, if the frame is marked; gives the block in which it goes on.
    fn leave_if_marked(&mut self, mark: u32, pad: ir::Block, results: &[ir::Value]) -> ir::Block {
        let mut words: SmallVec<[BlockArg; 2]> = SmallVec::new();
        for index in 0..2 {
            let word = match results.get(index) {
                Some(&value) if self.builder.func.dfg.value_type(value) == types::F64 => {
                    self.builder.ins().bitcast(types::I64, ir::MemFlagsData::new(), value)
                }
                Some(&value) => value,
                None => self.constant(0),
            };
            words.push(word.into());
        }
        let mark = self.load_home(types::I64, mark);
        let go_on = self.builder.create_block();
        self.builder.ins().brif(mark, pad, &words, go_on, &[]);
        go_on
    }

    fn extern_signature(&mut self, id: ExternId) -> ir::SigRef {
        if let Some(&signature) = self.signatures.externs.get(&id) {
            return signature;
        }
        let language = self.language;
        let declared = &language.externs[id];
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.push(AbiParam::new(types::I64));
        if declared.needs_window {
            signature.params.push(AbiParam::new(types::I64));
        }
        // A truth value travels as a whole word.
        let as_passed = |ty: ir::Type| AbiParam::new(if ty == types::I8 { types::I64 } else { ty });
        for &ty in &declared.params {
            signature.params.extend(self.machine_types(ty).into_iter().map(as_passed));
        }
        if let Some(ty) = declared.result {
            signature.returns.extend(self.machine_types(ty).into_iter().map(as_passed));
        }
        let signature = self.builder.import_signature(signature);
        self.signatures.externs.insert(id, signature);
        signature
    }
    /// Calls an extern of the language with the operands of an instruction.
    pub fn call_extern(&mut self, inst: Inst, data: &InstData, id: ExternId) -> Result<(), LowerError> {
        let language = self.language;
        let declared = &language.externs[id];
        if data.args.len() != declared.params.len() {
            return Err(self.unsupported(format!(
                "extern {} takes {} operands, not {}",
                declared.name,
                declared.params.len(),
                data.args.len()
            )));
        }
        let mut args: SmallVec<[ir::Value; 8]> = smallvec![self.context];
        if declared.needs_window {
            args.push(self.register_address(i32::from(self.function.window_size())));
        }
        for (&value, &ty) in data.args.iter().zip(&declared.params) {
            if self.function.ty(value) != ty {
                return Err(
                    self.unsupported(format!("extern {} takes {ty} where {value} is given", declared.name))
                );
            }
            match self.words(value)? {
                Words::One(word) if ty == Type::I1 => args.push(self.as_word(ty, word)),
                words => args.extend(words.list()),
            }
        }
        let signature = self.extern_signature(id);
        let effects = &declared.effects;
        let is_leaf = effects.is_leaf();
        let trampoline = if is_leaf { Trampoline::Leaf(id) } else { Trampoline::Extern(id) };
        let function = self.trampoline(trampoline, signature);
        let results = if is_leaf {
            let call = self.builder.ins().call(function, &args);
            SmallVec::from_slice(self.builder.inst_results(call))
        } else {
            let landing = if effects.may_deoptimize() {
                let state = data.after.ok_or(LowerError::MissingState { inst, when: "after" })?;
                let results = declared.result.map_or(LandingResults::None, LandingResults::Extern);
                Some((state, ExitForm::Call(results)))
            } else {
                None
            };
            self.call(inst, Call { callee: Callee::Function(function), args, landing })?
        };
        if let (Some(value), Some(ty)) = (data.result, declared.result) {
            let words = match (ty, &results[..]) {
                (Type::I1, &[word]) => Words::One(self.value_of_word(ty, word)),
                (_, &[tag, payload]) => Words::Pair(tag, payload),
                (_, &[word]) => Words::One(word),
                _ => {
                    return Err(
                        self.unsupported(format!("extern {} has an odd number of results", declared.name))
                    );
                }
            };
            self.define(value, words);
        }
        Ok(())
    }

    /// Puts callee and fixed arguments into the window and gives the argument count.
    fn store_arguments(
        &mut self,
        callee: Words,
        args: &[Value],
        info: CallInfo,
    ) -> Result<ir::Value, LowerError> {
        let (fixed, open) = match (info.open_arguments, args.split_last()) {
            (true, Some((&count, fixed))) => (fixed, Some(count)),
            (true, None) => {
                return Err(self.unsupported("a call with open arguments has to say how many there are"));
            }
            (false, _) => (args, None),
        };
        let position = i32::from(info.window.0);
        self.store_register(position, callee);
        for (index, &value) in fixed.iter().enumerate() {
            let words = self.words(value)?;
            self.store_register(position + 1 + index as i32, words);
        }
        match open {
            Some(count) => {
                let count = self.single(count)?;
                Ok(self.builder.ins().iadd_imm_s(count, fixed.len() as i64))
            }
            None => Ok(self.constant(fixed.len() as u64)),
        }
    }
    /// Calls any guest value through the host's generic call.
    pub fn call_guest(&mut self, inst: Inst, data: &InstData, info: CallInfo) -> Result<(), LowerError> {
        let language = self.language;
        let Some(protocol) = &language.calls else {
            return Err(LowerError::Language("it has no call protocol, but guest calls".to_owned()));
        };
        let state = data.after.ok_or(LowerError::MissingState { inst, when: "after" })?;
        let Some((&callee, args)) = data.args.split_first() else {
            return Err(self.unsupported("a guest call has to have a callee"));
        };
        let callee = self.words(callee)?;
        let count = self.store_arguments(callee, args, info)?;
        let base = self.window_address(info.window);
        let wanted = match info.wanted {
            Wanted::Fixed(count) => u64::from(count),
            Wanted::Open => -1i64 as u64,
        };
        let wanted = self.constant(wanted);
        let signature = self.signatures.words(&mut self.builder, 4, 2);
        let function = self.trampoline(Trampoline::Extern(protocol.generic), signature);
        let args = smallvec![self.context, base, count, wanted];
        let landing = Some((state, ExitForm::Call(LandingResults::Call)));
        let results = self.call(inst, Call { callee: Callee::Function(function), args, landing })?;
        self.receive(data, info, results[0], results[1])
    }
    /// Calls a closure through its unit's entry cell.
    pub fn call_unit(&mut self, inst: Inst, data: &InstData, info: CallInfo) -> Result<(), LowerError> {
        let language = self.language;
        let Some(protocol) = &language.calls else {
            return Err(LowerError::Language("it has no call protocol, but calls of units".to_owned()));
        };
        let state = data.after.ok_or(LowerError::MissingState { inst, when: "after" })?;
        let Some((&closure, args)) = data.args.split_first() else {
            return Err(self.unsupported("a call of a unit has to have a callee"));
        };
        let closure = self.single(closure)?;
        let callee = self.box_payload(protocol.closure, Some(closure))?;
        let count = self.store_arguments(callee, args, info)?;
        let unit = self.load_field(protocol.unit, closure).last();
        let function = self.load_field(protocol.entry, unit).last();
        let base = self.register_address(i32::from(info.window.0) + 1);
        let signature = self.signatures.words(&mut self.builder, 3, 2);
        let args = smallvec![self.context, base, count];
        let landing = Some((state, ExitForm::Call(LandingResults::Call)));
        let results = self.call(inst, Call { callee: Callee::Unit(function, signature), args, landing })?;
        self.receive(data, info, results[0], results[1])
    }

    /// A poll: one test in the hot path; all else, the homes included, in a cold block.
    pub fn poll(&mut self, inst: Inst, data: &InstData) -> Result<(), LowerError> {
        let state = self.state_before(data)?;
        let flag = self.load_context(types::I32, offsets::POLL);
        let is_due = self.builder.ins().icmp_imm_s(IntCC::NotEqual, flag, 0);
        let (slow, go_on) = (self.cold_block(), self.builder.create_block());
        self.builder.ins().brif(is_due, slow, &[], go_on, &[]);
        self.start_block(slow);
        let homes = self.homes.clone();
        let signature = self.signatures.words(&mut self.builder, 0, 0);
        let function = self.trampoline(Trampoline::Poll, signature);
        let landing = Some((state, ExitForm::Poll));
        self.call(inst, Call { callee: Callee::Function(function), args: smallvec![], landing })?;
        self.builder.set_cold_block(self.builder.current_block().expect("the call goes on in a block"));
        self.builder.ins().jump(go_on, &[]);
        // What only the cold path has stored is not in its home on the way here.
        self.homes = homes;
        self.start_block(go_on);
        Ok(())
    }
}
