//! Homes: where collector-managed values stand in the frame while a safepoint is passed.
//!
//! A collector may move every object at a safepoint, so a `ref` or `any` value that is needed after one (or by the frame state
//! after it) is stored to its *home* before the call and read from there afterwards. This module finds, for each safepoint, the
//! values that live across it, and gives them homes in one stack slot:
//!
//! ```text
//! word 0      address of the window, stored once at entry
//! word 1      the context, stored once at entry, for the exits
//! word 2      argument count, stored once at entry (functions that ask for it)
//! words 2, 3… homes: one word for a ref or a boxed word, two (tag, payload) for a boxed pair
//! ```
//!
//! A poll is a call in a cold path, but a call: a value that lives across it in a machine register would have to be in one of the
//! few that calls keep, or in memory, also where the poll does nothing. So what a loop works with (numbers as well) is saved in
//! the polls' cold paths by the same means: stored to a home, and read from it afterwards.
//!
//! What has no home: a box. `box k x` is made again from its payload wherever it is used, so only the payload needs a home, and
//! only if it is a `ref`. Two values may share a home if no safepoint is passed by both.

use super::error::LowerError;
use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashMap;
use surmise_deopt::table::RootKind;
use surmise_ir::analysis::{BitSet, ControlFlow, Loop, LoopForest, entry};
use surmise_ir::entity::{Block, FrameStateId, Inst, Value};
use surmise_ir::function::{Function, Immediate, InstData};
use surmise_ir::language::{Encoding, Language};
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;

/// A value's home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Home {
    /// Its first word in the frame's slot.
    pub word: u32,
    /// What stands there; `None` for what the collector has nothing to do with.
    pub kind: Option<RootKind>,
    /// Number of the home; values that share the place share the number.
    pub number: u32,
}

/// Which values live across which safepoints, and where.
pub(super) struct Roots {
    homes: SecondaryMap<Value, Option<Home>>,
    /// For safepoints: range in `across`.
    ranges: SecondaryMap<Inst, (u32, u32)>,
    across: Vec<Value>,
    /// How many homes there are.
    pub home_count: u32,
    /// Size of the frame's slot in words.
    pub words: u32,
    /// Word of the argument count's home.
    pub argument_count: Option<u32>,
}

/// What the collector-managed part of a value is: the value itself, the payload of the box that it is, or nothing.
pub(super) fn collected(function: &Function, value: Value) -> Option<Value> {
    match function.ty(value) {
        Type::Ref => Some(value),
        Type::Any => match function.def_with(value, Opcode::Box) {
            Some(data) => data.args.first().copied().filter(|&payload| function.ty(payload) == Type::Ref),
            None => Some(value),
        },
        _ => None,
    }
}

/// The number that a value is, or that the box holds which it is. Constants are made again where they are needed.
fn number(function: &Function, value: Value) -> Option<Value> {
    let value = match function.def_with(value, Opcode::Box) {
        Some(data) => data.args.first().copied()?,
        None => value,
    };
    let is_number = matches!(function.ty(value), Type::I64 | Type::F64 | Type::I1 | Type::Raw);
    let is_constant = |inst: Inst| {
        let opcode = function.insts[inst].opcode;
        matches!(opcode, Opcode::Iconst | Opcode::Fconst | Opcode::Bconst | Opcode::RawConst)
    };
    (is_number && !function.def(value).is_some_and(is_constant)).then_some(value)
}

/// The numbers that each loop with polls of its own works with.
struct LoopNumbers(FxHashMap<Loop, BitSet<Value>>);

impl LoopNumbers {
    fn new(function: &Function, graph: &ControlFlow, loops: &LoopForest) -> LoopNumbers {
        let mut numbers: FxHashMap<Loop, BitSet<Value>> = FxHashMap::default();
        for block in graph.reverse_post_order() {
            let has_poll =
                function.blocks[block].insts.iter().any(|&inst| function.insts[inst].opcode == Opcode::Poll);
            if let Some(innermost) = loops.innermost(block).filter(|_| has_poll) {
                numbers.entry(innermost).or_default();
            }
        }
        if numbers.is_empty() {
            return LoopNumbers(numbers);
        }
        for block in graph.reverse_post_order() {
            let Some(innermost) = loops.innermost(block) else { continue };
            for around in loops.around(innermost) {
                let Some(numbers) = numbers.get_mut(&around) else { continue };
                for &inst in &function.blocks[block].insts {
                    let data = &function.insts[inst];
                    if data.opcode != Opcode::Box {
                        numbers.extend(data.operands().filter_map(|value| number(function, value)));
                    }
                }
            }
        }
        LoopNumbers(numbers)
    }
    /// Whether a poll in a block saves a number.
    fn contains(&self, loops: &LoopForest, block: Block, value: Value) -> bool {
        let numbers = loops.innermost(block).and_then(|innermost| self.0.get(&innermost));
        numbers.is_some_and(|numbers| numbers.contains(value))
    }
}

/// Whether an instruction is a safepoint.
fn is_safepoint(language: &Language, data: &InstData) -> bool {
    match (data.opcode, data.immediate) {
        (Opcode::CallExtern, Immediate::Extern(id)) => language.externs[id].effects.is_safepoint(),
        (Opcode::Operation, Immediate::Operation(id, _)) => {
            language.externs[language.operations[id].fallback].effects.is_safepoint()
        }
        (Opcode::CallGuest | Opcode::CallUnit | Opcode::Poll, _) => true,
        _ => false,
    }
}

struct Liveness<'a> {
    function: &'a Function,
    live_in: SecondaryMap<Block, BitSet<Value>>,
}

impl Liveness<'_> {
    fn add(&self, value: Value, live: &mut BitSet<Value>) {
        let mut next = collected(self.function, value);
        // An object that was loaded from another may be a part of it, which a collector keeps and moves with its owner only:
        // the owner lives as long as the part does.
        while let Some(value) = next {
            live.insert(value);
            let owner =
                self.function.def_with(value, Opcode::Load).filter(|_| self.function.ty(value) == Type::Ref);
            next = owner.and_then(|load| collected(self.function, load.args[0]));
        }
        live.extend(number(self.function, value));
    }
    fn add_state(&self, state: Option<FrameStateId>, live: &mut BitSet<Value>) {
        if let Some(state) = state {
            for value in self.function.state_values(state) {
                self.add(value, live);
            }
        }
    }
    fn step_back(&self, inst: Inst, live: &mut BitSet<Value>) {
        let data = &self.function.insts[inst];
        // A box is no use of its payload by itself: its uses are.
        if data.opcode == Opcode::Box {
            return;
        }
        if let Some(result) = data.result {
            live.remove(result);
        }
        self.add_state(data.after, live);
        self.add_state(data.state, live);
        for value in data.operands() {
            self.add(value, live);
        }
    }
    fn live_out(&self, graph: &ControlFlow, block: Block, live: &mut BitSet<Value>) {
        live.clear();
        for &successor in graph.successors(block) {
            live.union_with(&self.live_in[successor]);
        }
    }
    fn compute(&mut self, graph: &ControlFlow) {
        let mut work: Vec<Block> = graph.reverse_post_order().collect();
        let mut waiting: BitSet<Block> = work.iter().copied().collect();
        let mut live = BitSet::with_capacity(self.function.values.len());
        while let Some(block) = work.pop() {
            waiting.remove(block);
            self.live_out(graph, block, &mut live);
            for &inst in self.function.blocks[block].insts.iter().rev() {
                self.step_back(inst, &mut live);
            }
            for &param in &self.function.blocks[block].params {
                live.remove(param);
            }
            if self.live_in[block].union_with(&live) {
                work.extend(graph.predecessors(block).iter().copied().filter(|&block| waiting.insert(block)));
            }
        }
    }
}

impl Roots {
    /// Finds the safepoints of a function and what lives across them.
    pub fn new(
        function: &Function,
        language: &Language,
        graph: &ControlFlow,
        loops: &LoopForest,
    ) -> Result<Roots, LowerError> {
        let counts_arguments = entry::counts_arguments(function);
        let mut roots = Roots {
            homes: SecondaryMap::new(),
            ranges: SecondaryMap::new(),
            across: Vec::new(),
            home_count: 0,
            words: if counts_arguments { 3 } else { 2 },
            argument_count: counts_arguments.then_some(2),
        };
        let blocks_with_safepoints: Vec<Block> = graph
            .reverse_post_order()
            .filter(|&block| {
                function.blocks[block].insts.iter().any(|&inst| is_safepoint(language, &function.insts[inst]))
            })
            .collect();
        if blocks_with_safepoints.is_empty() {
            return Ok(roots);
        }
        let mut liveness = Liveness { function, live_in: SecondaryMap::new() };
        liveness.compute(graph);
        let numbers = LoopNumbers::new(function, graph, loops);
        let mut live = BitSet::new();
        for block in blocks_with_safepoints {
            liveness.live_out(graph, block, &mut live);
            for &inst in function.blocks[block].insts.iter().rev() {
                let data = &function.insts[inst];
                if is_safepoint(language, data) {
                    let mut across = live.clone();
                    if let Some(result) = data.result {
                        across.remove(result);
                    }
                    // A poll's landing pad goes on before it; a call's after it.
                    let pad = if data.opcode == Opcode::Poll { data.state } else { data.after };
                    liveness.add_state(pad, &mut across);
                    let start = roots.across.len() as u32;
                    let is_poll = data.opcode == Opcode::Poll;
                    roots.across.extend(across.iter().filter(|&value| {
                        function.ty(value).is_collected() || is_poll && numbers.contains(loops, block, value)
                    }));
                    roots.ranges[inst] = (start, roots.across.len() as u32);
                }
                liveness.step_back(inst, &mut live);
            }
        }
        roots.give_homes(function, language, graph);
        // Places are 16-bit; the frame holds spilled values besides.
        if roots.words > 4096 {
            return Err(LowerError::TooLarge {
                what: "homes of one frame",
                found: roots.words as usize,
                limit: 4096,
            });
        }
        Ok(roots)
    }

    fn give_homes(&mut self, function: &Function, language: &Language, graph: &ControlFlow) {
        let mut points: SecondaryMap<Value, Vec<u32>> = SecondaryMap::new();
        let mut order = Vec::new();
        let mut count = 0;
        for block in graph.reverse_post_order() {
            for &inst in &function.blocks[block].insts {
                for &value in self.across(inst) {
                    if points[value].is_empty() {
                        order.push(value);
                    }
                    points[value].push(count);
                }
                count += u32::from(!self.across(inst).is_empty());
            }
        }
        let mut taken: Vec<(Home, Vec<u64>)> = Vec::new();
        for value in order {
            let kind = match function.ty(value) {
                Type::Ref => Some(RootKind::Ref),
                Type::Any => Some(RootKind::Any),
                _ => None,
            };
            let is_free = |taken: &Vec<u64>| {
                points[value].iter().all(|&point| taken[point as usize / 64] >> (point % 64) & 1 == 0)
            };
            let index = taken
                .iter()
                .position(|(home, points)| home.kind == kind && is_free(points))
                .unwrap_or_else(|| {
                    let home = Home { word: self.words, kind, number: taken.len() as u32 };
                    self.words += if kind == Some(RootKind::Any) && language.encoding == Encoding::Pair {
                        2
                    } else {
                        1
                    };
                    taken.push((home, vec![0; count as usize / 64 + 1]));
                    taken.len() - 1
                });
            for &point in &points[value] {
                taken[index].1[point as usize / 64] |= 1 << (point % 64);
            }
            self.homes[value] = Some(taken[index].0);
        }
        self.home_count = taken.len() as u32;
    }

    /// The values that live across a safepoint, ascending: those that the collector manages; across a poll also the numbers that
    /// its loop works with.
    pub fn across(&self, inst: Inst) -> &[Value] {
        let (start, end) = self.ranges[inst];
        &self.across[start as usize..end as usize]
    }
    /// A value's home, if it has one.
    pub fn home(&self, value: Value) -> Option<Home> {
        self.homes[value]
    }
}
