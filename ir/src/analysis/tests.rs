//! The analyses on functions given as text.

use super::*;
use crate::analysis::preheader::ensure_preheader;
use crate::entity::{Block, Inst, Value};
use crate::function::{BlockCall, Entry, Function, Immediate, InstData};
use crate::language::{Encoding, Language};
use crate::opcode::Opcode;
use crate::text::parse_function;
use smallvec::SmallVec;

const NESTED: &str = r#"
function "nested" call registers 2 {
block0:
  v0 = argument r0
  v1 = iconst 1
  jump block1(v1)
block1(v2: i64):
  jump block2(v2)
block2(v3: i64):
  state0 = before @4 {r0: v0}
  poll [state0]
  v4 = iadd v3, v1
  v5 = icmp lt v4, v3
  branch v5 -> block2(v4), block3
block3:
  v6 = icmp lt v4, v2
  branch v6 -> block1(v4), block4
block4:
  state1 = after @5 {r0: v0, r1: v0}
  v7 = call_guest v0() window r1 wants 1 @5 [state0] after [state1]
  return v7
block9:
  jump block1(v1)
}"#;

fn nested() -> Function {
    parse_function(NESTED, &Language::new("none", Encoding::Pair)).unwrap()
}
fn block(number: u32) -> Block {
    Block::from_u32(number)
}
fn numbers(blocks: impl IntoIterator<Item = Block>) -> Vec<u32> {
    blocks.into_iter().map(Block::as_u32).collect()
}

#[test]
fn orders_and_dominators() {
    let function = nested();
    let graph = ControlFlow::new(&function);
    assert_eq!(numbers(graph.reverse_post_order()), [0, 1, 2, 3, 4]);
    assert_eq!(numbers(graph.predecessors(block(1)).to_vec()), [0, 3]);
    assert!(!graph.is_reachable(block(9)) && graph.is_retreating(block(3), block(1)));
    let dominators = Dominators::new(&graph);
    assert!(dominators.dominates(block(1), block(4)) && dominators.dominates(block(2), block(2)));
    assert!(!dominators.dominates(block(2), block(1)) && !dominators.dominates(block(0), block(9)));
    assert_eq!(dominators.common(block(3), block(2)), Some(block(2)));
    assert_eq!(dominators.common(block(3), block(9)), None);
    assert_eq!(numbers(dominators.preorder().to_vec()), [0, 1, 2, 3, 4]);
    let positions = Positions::new(&function);
    let def = |value| function.def(Value::from_u32(value)).unwrap();
    assert!(
        positions.dominates(&dominators, def(4), def(5)) && !positions.dominates(&dominators, def(5), def(5))
    );
    assert!(positions.defines_before(&function, &dominators, Value::from_u32(3), def(4)));
    assert!(!positions.defines_before(&function, &dominators, Value::from_u32(6), def(4)));
}

/// Against petgraph's walk and dominators, on graphs with loops of every form: each block's jumps are the bits of a number.
#[test]
fn orders_and_dominators_are_petgraphs() {
    const BLOCKS: u32 = 7;
    let mut numbers = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..2000 {
        let mut function = Function::new("random", crate::entity::UnitId(0), Entry::Call, 0);
        for _ in 0..BLOCKS {
            function.add_block();
        }
        for number in 0..BLOCKS {
            numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = (numbers >> 33) as u32;
            let target =
                |bits: u32| BlockCall { block: block(1 + bits % (BLOCKS - 1)), args: SmallVec::new() };
            let opcode = [Opcode::Return, Opcode::Jump, Opcode::Branch, Opcode::Branch][(bits & 3) as usize];
            let mut data = InstData::new(opcode, &[], Immediate::None);
            data.targets = (0..(bits & 3).min(2)).map(|way| target(bits >> (4 + 8 * way))).collect();
            function.append(block(number), data, None);
        }
        let graph = ControlFlow::new(&function);
        let mut walk = petgraph::visit::DfsPostOrder::new(&graph, function.entry_block());
        let order: Vec<Block> = std::iter::from_fn(|| walk.next(&graph)).collect();
        assert_eq!(graph.post_order(), order);
        let (ours, theirs) = (
            Dominators::new(&graph),
            petgraph::algo::dominators::simple_fast(&graph, function.entry_block()),
        );
        for number in 0..BLOCKS {
            assert_eq!(ours.immediate(block(number)), theirs.immediate_dominator(block(number)));
        }
    }
}

#[test]
fn dominators_of_a_diamond() {
    let text = r#"function "diamond" call registers 0 {
        block0: v0 = bconst true; branch v0 -> block1, block2
        block1: branch v0 -> block3, block4
        block2: jump block4
        block3: jump block4
        block4: jump block5
        block5: return
    }"#;
    let function = parse_function(text, &Language::new("none", Encoding::Pair)).unwrap();
    let graph = ControlFlow::new(&function);
    let dominators = Dominators::new(&graph);
    for a in 0..6 {
        for b in 0..6 {
            // The definition: without `a` there is no way to `b`.
            let mut reached = [false; 6];
            let mut work = if a == 0 { vec![] } else { vec![0] };
            while let Some(next) = work.pop() {
                if next != a && !std::mem::replace(&mut reached[next as usize], true) {
                    work.extend(numbers(graph.successors(block(next)).to_vec()));
                }
            }
            assert_eq!(dominators.dominates(block(a), block(b)), a == b || !reached[b as usize], "{a} {b}");
        }
    }
    assert_eq!(dominators.immediate(block(4)), Some(block(0)));
    assert_eq!(dominators.immediate(block(5)), Some(block(4)));
}

#[test]
fn loops_nest_and_get_preheaders() {
    let mut function = nested();
    let graph = ControlFlow::new(&function);
    let forest = LoopForest::new(&graph, &Dominators::new(&graph));
    assert_eq!(forest.loops.len(), 2);
    let (outer, inner) = (forest.headed_by(block(1)).unwrap(), forest.headed_by(block(2)).unwrap());
    assert_eq!(forest.loops[inner].parent, Some(outer));
    assert_eq!(numbers(forest.loops[outer].blocks.clone()), [1, 2, 3]);
    assert_eq!(forest.loops[outer].exits, [(block(3), block(4))]);
    assert_eq!(numbers(forest.loops[inner].back_edges.clone()), [2]);
    assert_eq!(forest.loops[outer].preheader, Some(block(0)));
    assert_eq!(forest.loops[inner].preheader, Some(block(1)));
    assert_eq!((forest.depth(block(2)), forest.depth(block(3)), forest.depth(block(4))), (2, 1, 0));
    assert!(
        forest.contains(outer, block(2))
            && !forest.contains(inner, block(3))
            && forest.irreducible.is_empty()
    );

    // Without a preheader: the entry branches to the header or past the loop.
    let entry = function.terminator(block(0)).unwrap();
    let jump = function.insts[entry].clone();
    function.insts[entry] =
        crate::function::InstData::new(crate::opcode::Opcode::Branch, &[], crate::function::Immediate::None);
    function.insts[entry].targets =
        [jump.targets[0].clone(), crate::function::BlockCall { block: block(9), args: Default::default() }]
            .into();
    let last = function.terminator(block(9)).unwrap();
    function.blocks[block(9)].insts.retain(|&inst| inst != last);
    let graph = ControlFlow::new(&function);
    let forest = LoopForest::new(&graph, &Dominators::new(&graph));
    let outer = forest.headed_by(block(1)).unwrap();
    assert_eq!(forest.loops[outer].preheader, None);
    let (preheader, is_new) = ensure_preheader(&mut function, &graph, &forest, outer);
    assert!(is_new);
    let graph = ControlFlow::new(&function);
    let forest = LoopForest::new(&graph, &Dominators::new(&graph));
    assert_eq!(forest.loops[forest.headed_by(block(1)).unwrap()].preheader, Some(preheader));
}

#[test]
fn liveness_counts_frame_states() {
    let function = nested();
    let graph = ControlFlow::new(&function);
    let liveness = Liveness::new(&function, &graph);
    let live = |set: &BitSet<Value>| set.iter().map(Value::as_u32).collect::<Vec<_>>();
    assert_eq!(live(liveness.live_in(block(1))), [0, 1]);
    assert_eq!(live(liveness.live_in(block(2))), [0, 1, 2]);
    assert_eq!(live(liveness.live_out(block(3))), [0, 1]);
    assert_eq!(live(liveness.live_in(block(4))), [0]);
    let call = function.def(Value::from_u32(7)).unwrap();
    let mut seen = Vec::new();
    liveness.walk_back(&function, block(4), |inst: Inst, after| {
        if inst == call {
            seen.push((live(after), live(&Liveness::across(&function, inst, after))));
        }
    });
    assert_eq!(seen, [(vec![7], vec![0])]);
    assert_eq!(live(&liveness.live_before(&function, block(4), call)), [0]);
}
