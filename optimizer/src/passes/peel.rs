//! Peel: loops get versions for ways in that don't fit the rounds.
//!
//! * A loop that is entered at its header by the interpreter (loop entry) while a loop around it enters it too has one header
//!   for both: nothing could be moved out of the inner one. The interpreter's way in gets a copy of the inner loop.
//! * `local sum = 0; for … do sum = sum + x end` with floats: the variable is an integer before the first round and a float
//!   in all others. Where the log says so, the first round is peeled: the rounds behind it see one kind.
//!
//! Runs on generic IR, before anything is specialized: each version is specialized for itself.

use super::Environment;
use super::copy_loop::{BackEdges, copy_loop};
use super::unbox_params::header_state;
use surmise_ir::analysis::bit_set::BitSet;
use surmise_ir::analysis::{ControlFlow, Dominators, LoopForest};
use surmise_ir::entity::{Block, FrameStateId, Inst, Value};
use surmise_ir::function::{Entry, Function, Immediate, ValueDef};
use surmise_ir::opcode::Opcode;

/// Loops with more generic instructions than this are not copied: the gain is a round's, the cost the whole copy's.
const INSTRUCTIONS_PER_LOOP: usize = 300;
/// Copies in one function: nested loops double with each.
const COPIES_PER_FUNCTION: usize = 6;

/// Runs the pass.
pub fn run(function: &mut Function, environment: &mut Environment<'_>) {
    super::edit::drop_unreachable(function);
    if matches!(function.entry, Entry::Loop(_)) {
        separate_loop_entry(function, environment);
    }
    for _ in 0..COPIES_PER_FUNCTION {
        let flow = ControlFlow::new(function);
        let dominators = Dominators::new(&flow);
        let forest = LoopForest::new(&flow, &dominators);
        let found = forest.loops.values().find_map(|info| {
            let entering: Vec<Block> = flow
                .predecessors(info.header)
                .iter()
                .copied()
                .filter(|from| !info.back_edges.contains(from))
                .collect();
            let fits = size(function, &info.blocks) <= INSTRUCTIONS_PER_LOOP;
            (fits && first_round_differs(function, environment, info.header, &entering))
                .then(|| (info.blocks.clone(), entering))
        });
        let Some((blocks, entering)) = found else { return };
        if !environment.fuel.step() {
            return;
        }
        copy_loop(function, &blocks, &entering, BackEdges::ToOriginal);
        // In the peeled round, what the loop variables start from is known.
        super::edit::pass_single_ways(function);
    }
}

fn size(function: &Function, blocks: &[Block]) -> usize {
    blocks.iter().map(|&block| function.blocks[block].insts.len()).sum()
}

/// Whether a loop variable has one known kind when the loop is entered, and was only seen with another one in later rounds.
fn first_round_differs(
    function: &Function,
    environment: &Environment<'_>,
    header: Block,
    entering: &[Block],
) -> bool {
    let Some(state) = header_state(function, header) else { return false };
    let Some(profile) = environment.profile_at(function, state) else { return false };
    let pc = function.states[state].resume.pc;
    function.states[state].registers.iter().any(|&(register, value)| {
        let ValueDef::Param(block, position) = function.values[value].def else { return false };
        if block != header {
            return false;
        }
        let Some(later) = profile.register_kind(pc, register) else { return false };
        environment.language.kinds[later].payload.is_some()
            && entering.iter().any(|&from| {
                passed(function, from, header, position as usize)
                    .and_then(|value| function.def_with(value, Opcode::Box))
                    .is_some_and(|data| data.immediate != Immediate::Kind(later))
            })
    })
}

/// What a block's only jump to `to` passes for a parameter.
fn passed(function: &Function, from: Block, to: Block, position: usize) -> Option<Value> {
    let inst = function.terminator(from)?;
    let mut targets = function.insts[inst].targets.iter().filter(|target| target.block == to);
    let value = targets.next()?.args.get(position).copied();
    if targets.next().is_some() { None } else { value }
}

/// Gives the interpreter's way into a loop that is inside of another one a copy of the inner loop.
///
/// All blocks are dominated by the inner header then, so the outer loop's own header heads no natural loop; it is known by its
/// poll. What comes back to the inner header only through such blocks is a way in from the outer loop, and no back-edge.
fn separate_loop_entry(function: &mut Function, environment: &mut Environment<'_>) {
    let flow = ControlFlow::new(function);
    let dominators = Dominators::new(&flow);
    let forest = LoopForest::new(&flow, &dominators);
    let Some(info) = flow
        .successors(function.entry_block())
        .first()
        .and_then(|&header| forest.headed_by(header))
        .map(|id| &forest.loops[id])
    else {
        return;
    };
    // Polls of inlined frames are those of their entries, too.
    let is_own_poll = |inst: Inst| {
        let data = &function.insts[inst];
        let own = |state: FrameStateId| function.states[state].parent.is_none();
        data.opcode == Opcode::Poll && data.state.is_some_and(own)
    };
    let is_lost_header = |block: Block| {
        block != info.header
            && forest.headed_by(block).is_none()
            && function.blocks[block].insts.iter().any(|&inst| is_own_poll(inst))
    };
    let mut whole: BitSet<Block> = BitSet::new();
    for &block in &info.blocks {
        whole.insert(block);
    }
    // From the header on, around the lost headers.
    let mut reached: BitSet<Block> = BitSet::new();
    let mut work = vec![info.header];
    while let Some(block) = work.pop() {
        if whole.contains(block) && !is_lost_header(block) && reached.insert(block) {
            work.extend_from_slice(flow.successors(block));
        }
    }
    let own: Vec<Block> = info.back_edges.iter().copied().filter(|&from| reached.contains(from)).collect();
    if own.is_empty() || own.len() == info.back_edges.len() {
        return;
    }
    let mut inner: BitSet<Block> = BitSet::new();
    inner.insert(info.header);
    let mut work = own;
    while let Some(block) = work.pop() {
        if inner.insert(block) {
            work.extend_from_slice(flow.predecessors(block));
        }
    }
    let blocks: Vec<Block> = info.blocks.iter().copied().filter(|&block| inner.contains(block)).collect();
    if size(function, &blocks) <= INSTRUCTIONS_PER_LOOP && environment.fuel.step() {
        copy_loop(function, &blocks, &[function.entry_block()], BackEdges::ToCopy);
    }
}
