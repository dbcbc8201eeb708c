//! Lowering: from optimized IR to a candidate image of machine code.
//!
//! The code generator is Cranelift; what it is good at (instruction selection, register allocation, local simplification) is left to
//! it. Here stands what it does not know: how values are boxed, how one leaves to the interpreter, and what a collector and
//! deoptimization of everything must find in a frame.
//!
//! What must hold:
//! * machine code reaches the world only through its context. It is position-independent: the one word that it reads relative
//!   to its own address is the candidate's number behind it, and the constants that the code generator puts there;
//! * the frame state of every exit is complete: each live word is in a place that the exit stub can read;
//! * at every safepoint the homes of all collector-managed values that are needed later are up to date, and nothing read before
//!   a safepoint from a collector-managed value is used after it other than through its home;
//! * no load moves above a guard.
//!
//! It deliberately decides nothing: which guards there are, what is inlined and what is loaded once is in the IR.
//!
//! | file | what it does |
//! |---|---|
//! | `target` | the machine, and the buffers of a thread |
//! | `roots`, `homes` | which values live across safepoints, their homes, and when those are up to date |
//! | `instructions` | one match over all instructions |
//! | `values`, `boxing`, `arithmetic`, `memory` | values, encodings, division, accesses |
//! | `guards`, `states` | guards, exits, frame states |
//! | `calls`, `results` | calls, landing pads, polls, results in all forms |
//! | `tables` | deopt table, call sites and roots |
//! | `dead_loads` | what was read and not used |
//! | `trampolines` | from the code to the runtime's stubs and the host's externs |
//! | `image` | code and tables become an image |
//! | `listing` | machine code as text |

mod arithmetic;
mod boxing;
mod calls;
mod dead_loads;
mod error;
mod guards;
mod homes;
mod image;
mod instructions;
mod listing;
mod memory;
mod results;
mod roots;
mod states;
mod tables;
mod target;
mod trampolines;
mod values;

#[cfg(test)]
mod tests;

pub use error::LowerError;
pub use target::Target;

use calls::Signatures;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, types};
use cranelift_codegen::isa::CallConv;
use cranelift_entity::SecondaryMap;
use cranelift_frontend::FunctionBuilder;
use homes::{HomeFlow, HomeState};
use memory::Regions;
use roots::Roots;
use rustc_hash::FxHashMap;
use surmise_deopt::candidate::CandidateImage;
use surmise_deopt::context::offsets;
use surmise_ir::analysis::{BitSet, ControlFlow, Dominators, LoopForest, entry};
use surmise_ir::entity::{Block, Inst, Value};
use surmise_ir::function::{Entry, Function, Immediate};
use surmise_ir::language::Language;
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;
use tables::Records;
use trampolines::CONTEXT_HOME;
use values::{Mapped, Words};

/// What lowering may be asked for besides code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LowerSettings {
    /// Guards count down and fail by force (`SURMISE_DEOPT_EVERY`).
    pub force_failures: bool,
    /// Whether a listing of the machine code is wanted.
    pub listing: bool,
    /// How a frame is kept from going on behind a call.
    pub redirection: Redirection,
    /// For measurements of what landing pads cost: calls have none. A request that meets such a frame ends the process.
    pub without_landing_pads: bool,
}

/// How deoptimization of everything keeps a frame from going on behind its call (see `surmise_deopt::deopt_all`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Redirection {
    /// Its return address is rewritten: the code knows nothing of it.
    #[default]
    ReturnAddress,
    /// The code looks at a mark in the frame behind each call: for targets whose return addresses can't be written.
    Mark,
}

/// A lowered function.
#[derive(Clone, PartialEq, Debug)]
pub struct Lowered {
    /// The candidate.
    pub image: CandidateImage,
    /// The machine code as text, with guards and calls named, if it was asked for.
    pub listing: Option<String>,
    /// Figures for reports.
    pub statistics: LowerStatistics,
}

/// Figures of one compile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LowerStatistics {
    /// Instructions of the IR.
    pub instructions: u32,
    /// Bytes of machine code, constants included.
    pub code_bytes: u32,
    /// Exits: guards and landing pads.
    pub exits: u32,
    /// Calls with a call site.
    pub calls: u32,
    /// Homes of collector-managed values.
    pub homes: u32,
}

/// Lowers an optimized function to a candidate image.
pub fn lower(
    function: &Function,
    language: &Language,
    settings: &LowerSettings,
    target: &Target,
) -> Result<Lowered, LowerError> {
    boxing::check_language(language)?;
    target::with_scratch(|scratch| {
        scratch.context.clear();
        // The code generator forgets to; without this, each function would leave its own in the thread's buffers for good.
        scratch.context.func.dfg.exception_tables.clear();
        scratch.context.func.signature = unit_signature();
        let made = Translator::translate(function, language, settings, target, scratch)?;
        image::compile(function, settings, target, scratch, made)
    })
}

/// `(context, window, argument count) -> (rax, rdx)`.
fn unit_signature() -> ir::Signature {
    let mut signature = ir::Signature::new(CallConv::SystemV);
    signature.params.resize(3, AbiParam::new(types::I64));
    signature.returns.resize(2, AbiParam::new(types::I64));
    signature
}

/// What the translation leaves besides the code generator's own form of the function.
struct Translated {
    records: Records,
    home_slot: ir::StackSlot,
    argument_count_home: Option<u32>,
    mark_home: Option<u32>,
    home_count: u32,
}

/// The name by which the code refers to the number word, relative to its own address; trampolines are the other names. All are
/// resolved within the image.
const NUMBER_WORD: ir::UserExternalName = ir::UserExternalName { namespace: 0, index: 0 };

/// A function in translation.
struct Translator<'a> {
    function: &'a Function,
    language: &'a Language,
    settings: &'a LowerSettings,
    builder: FunctionBuilder<'a>,
    values: SecondaryMap<Value, Mapped>,
    blocks: SecondaryMap<Block, Option<ir::Block>>,
    /// The instruction in translation, for errors.
    inst: Inst,
    context: ir::Value,
    window: ir::Value,
    argument_count: ir::Value,
    /// The base of the effective slots, in functions that read any.
    slots: Option<ir::Value>,
    roots: Roots,
    homes: HomeState,
    home_flow: HomeFlow,
    /// The address of the slot of homes: one instruction, from which each access makes an address of its own.
    home_base: ir::Value,
    mark_home: Option<u32>,
    regions: Regions,
    signatures: Signatures,
    records: Records,
    exit_block: Option<ir::Block>,
    room_check: Option<Inst>,
    /// The number of results that the call just before has left in the window.
    open_results: Option<ir::Value>,
    /// Boxed values that are unboxed as floats somewhere.
    float_uses: BitSet<Value>,
    /// Payloads of boxed pairs that were also read as floats.
    float_forms: FxHashMap<Value, ir::Value>,
}

impl<'a> Translator<'a> {
    fn unsupported(&self, what: impl std::fmt::Display) -> LowerError {
        LowerError::unsupported(self.inst, what)
    }

    fn translate(
        function: &'a Function,
        language: &'a Language,
        settings: &'a LowerSettings,
        target: &Target,
        scratch: &'a mut target::Scratch,
    ) -> Result<Translated, LowerError> {
        let graph = ControlFlow::new(function);
        let loops = LoopForest::new(&graph, &Dominators::new(&graph));
        let roots = Roots::new(function, language, &graph, &loops)?;
        let mut builder = FunctionBuilder::new(&mut scratch.context.func, &mut scratch.builder);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let &[context, window, argument_count] = builder.block_params(entry) else {
            unreachable!("the signature has three parameters")
        };
        // The mark stands behind the homes.
        let mark_home = (settings.redirection == Redirection::Mark).then_some(roots.words);
        let words = roots.words + u32::from(mark_home.is_some());
        let slot = ir::StackSlotData::new(ir::StackSlotKind::ExplicitSlot, 8 * words, 3);
        let home_slot = builder.create_sized_stack_slot(slot);
        let home_base = builder.ins().stack_addr(types::I64, home_slot, 0);
        let regions = Regions::new(builder.func);
        let argument_count_home = roots.argument_count;
        let home_count = roots.home_count;
        let mut this = Translator {
            function,
            language,
            settings,
            builder,
            values: SecondaryMap::with_capacity(function.values.len()),
            blocks: SecondaryMap::with_capacity(function.blocks.len()),
            inst: Inst::from_u32(0),
            context,
            window,
            argument_count,
            slots: None,
            homes: HomeState::default(),
            home_flow: HomeFlow::new(function, &graph, &loops, &roots),
            roots,
            home_base,
            mark_home,
            regions,
            signatures: Signatures::default(),
            records: Records::default(),
            exit_block: None,
            room_check: entry::room_check(function),
            open_results: None,
            float_uses: BitSet::new(),
            float_forms: FxHashMap::default(),
        };
        this.prologue(&graph);
        let result = this.fill_missing_arguments().and_then(|()| this.blocks(&graph));
        this.finish_exits();
        this.builder.seal_all_blocks();
        let Translator { builder, records, .. } = this;
        if let Err(error) = result {
            // An unfinished function can't be finalized; the frontend's buffers are emptied by their next use only if it is.
            scratch.builder = cranelift_frontend::FunctionBuilderContext::new();
            return Err(error);
        }
        builder.finalize(target.isa().frontend_config());
        dead_loads::remove(&mut scratch.context.func);
        Ok(Translated { records, home_slot, argument_count_home, mark_home, home_count })
    }

    /// What every activation does first: keeps its window's address for whoever rebuilds frames, and finds its slots.
    fn prologue(&mut self, graph: &ControlFlow) {
        self.store_home(0, self.window);
        self.store_home(CONTEXT_HOME, self.context);
        if let Some(word) = self.roots.argument_count {
            self.store_home(word, self.argument_count);
        }
        if let Some(word) = self.mark_home {
            let zero = self.constant(0);
            self.store_home(word, zero);
        }
        let mut reads_slots = false;
        for block in graph.reverse_post_order() {
            for &inst in &self.function.blocks[block].insts {
                let data = &self.function.insts[inst];
                match (data.opcode, data.immediate) {
                    (Opcode::Slot, _) => reads_slots = true,
                    (Opcode::Unbox, Immediate::Kind(kind))
                    | (Opcode::GuardKind, Immediate::KindReason(kind, _))
                        if self.language.kinds[kind].payload == Some(Type::F64) =>
                    {
                        self.float_uses.extend(data.args.iter().copied());
                    }
                    _ => {}
                }
            }
        }
        if reads_slots {
            let name = self.builder.func.declare_imported_user_function(NUMBER_WORD);
            let global = self.builder.create_global_value(ir::GlobalValueData::Symbol {
                name: ir::ExternalName::user(name),
                offset: 0.into(),
                colocated: true,
                tls: false,
            });
            let address = self.builder.ins().symbol_value(types::I64, global);
            let number = self.builder.ins().load(types::I64, self.regions.context, address, 0);
            let table = self.load_context(types::I64, offsets::EFFECTIVE_SLOTS);
            let distance = self.builder.ins().ishl_imm_u(number, 3);
            let entry = self.builder.ins().iadd(table, distance);
            self.slots = Some(self.builder.ins().load(types::I64, self.regions.context, entry, 0));
        }
    }

    /// Registers of arguments that were not passed get the absent value, out of line.
    fn fill_missing_arguments(&mut self) -> Result<(), LowerError> {
        let registers = self.function.insts.values().filter_map(|data| match (data.opcode, data.immediate) {
            (Opcode::Argument, Immediate::Register(register)) => Some(register.0),
            _ => None,
        });
        let Some(last) = registers.max().filter(|_| self.function.entry == Entry::Call) else {
            return Ok(());
        };
        let all = self.constant(u64::from(last) + 1);
        let is_short = self.builder.ins().icmp(IntCC::UnsignedLessThan, self.argument_count, all);
        let mut missing = self.cold_block();
        let go_on = self.builder.create_block();
        self.builder.ins().brif(is_short, missing, &[], go_on, &[]);
        for register in (0..=last).rev() {
            self.start_block(missing);
            let absent = self.absent()?;
            self.store_register(i32::from(register), absent);
            if register == 0 {
                self.builder.ins().jump(go_on, &[]);
            } else {
                missing = self.cold_block();
                let this = self.constant(u64::from(register));
                let is_first = self.builder.ins().icmp(IntCC::Equal, self.argument_count, this);
                self.builder.ins().brif(is_first, go_on, &[], missing, &[]);
            }
        }
        self.start_block(go_on);
        Ok(())
    }

    /// Translates all blocks, each after those that dominate it.
    fn blocks(&mut self, graph: &ControlFlow) -> Result<(), LowerError> {
        let function = self.function;
        // Jumps to a block that are still to come: once there are none it can be sealed.
        let mut jumps: SecondaryMap<Block, u32> = SecondaryMap::new();
        let order: Vec<Block> = graph.reverse_post_order().collect();
        for &block in &order {
            let made = self.builder.create_block();
            if function.blocks[block].cold {
                self.builder.set_cold_block(made);
            }
            for &param in &function.blocks[block].params {
                for ty in self.machine_types(function.ty(param)) {
                    self.builder.append_block_param(made, ty);
                }
            }
            self.blocks[block] = Some(made);
            for successor in function.successors(block) {
                jumps[successor] += 1;
            }
        }
        let made = |this: &Self, block: Block| this.blocks[block].expect("made above");
        let Some(entry) = graph.entry() else {
            return Err(self.unsupported("the function has no block"));
        };
        let entry_made = made(self, entry);
        if jumps[entry] > 0 {
            return Err(self.unsupported("the entry block is jumped to"));
        }
        self.builder.ins().jump(entry_made, &[]);
        self.builder.seal_block(entry_made);
        for &block in &order {
            self.builder.switch_to_block(made(self, block));
            self.homes = self.home_flow.at_start(block, &self.roots);
            self.open_results = None;
            let words = self.builder.block_params(made(self, block)).to_vec();
            let mut words = words.into_iter();
            for &param in &function.blocks[block].params {
                let is_pair = function.ty(param) == Type::Any && self.is_pair();
                let mut next = || words.next().expect("as many parameters were appended");
                let words = if is_pair { Words::Pair(next(), next()) } else { Words::One(next()) };
                self.define(param, words);
            }
            for &inst in &function.blocks[block].insts {
                self.instruction(inst)?;
            }
            for successor in function.successors(block) {
                jumps[successor] -= 1;
                if jumps[successor] == 0 {
                    self.builder.seal_block(made(self, successor));
                }
            }
        }
        Ok(())
    }
}
