//! Makes preheaders: the place just before a loop, where invariant instructions can go.

use super::{ControlFlow, LoopForest};
use crate::analysis::loops::Loop;
use crate::entity::Block;
use crate::function::{BlockCall, Function, Immediate, InstData};
use crate::opcode::Opcode;
use smallvec::SmallVec;

/// The loop's preheader; a new block, through which all jumps from outside go, if there is none yet.
///
/// The new block has parameters of its own for the header's, so every block keeps its parameters. Control flow, dominators and
/// loops have to be computed again when a block was made, which is so when the returned flag is true.
pub fn ensure_preheader(
    function: &mut Function,
    graph: &ControlFlow,
    forest: &LoopForest,
    id: Loop,
) -> (Block, bool) {
    let info = &forest.loops[id];
    if let Some(preheader) = info.preheader {
        return (preheader, false);
    }
    let header = info.header;
    let types: SmallVec<[_; 4]> =
        function.blocks[header].params.iter().map(|&param| function.ty(param)).collect();
    let preheader = function.blocks.push(Default::default());
    let position = function.layout.iter().position(|&block| block == header).unwrap_or(function.layout.len());
    function.layout.insert(position, preheader);
    let params = types.into_iter().map(|ty| function.add_param(preheader, ty)).collect();
    let mut jump = InstData::new(Opcode::Jump, &[], Immediate::None);
    jump.targets.push(BlockCall { block: header, args: params });
    function.append(preheader, jump, None);
    for &outside in graph.predecessors(header) {
        if forest.contains(id, outside) {
            continue;
        }
        if let Some(inst) = function.terminator(outside) {
            for target in &mut function.insts[inst].targets {
                if target.block == header {
                    target.block = preheader;
                }
            }
        }
    }
    (preheader, true)
}
