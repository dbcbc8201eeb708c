//! Guards: what they test, what their exits tell, and how small they are.

use super::super::LowerSettings;
use super::languages::*;
use super::machine::{ANSWER, Machine};
use surmise_deopt::table::ExitReason;
use surmise_ir::entity::*;
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::function::*;
use surmise_ir::guard::GuardReason;
use surmise_ir::language::Encoding;
use surmise_ir::opcode::*;
use surmise_ir::types::Type;

/// A value of each type in turn, computed so that it can't be made again at the exit; with its boxed form.
fn live_value(maker: &mut Maker, index: usize, int: Value, seed: u64) -> (Value, Vec<u64>) {
    let language = maker.language.clone();
    let k = index as i64 + 2;
    let constant = maker.int(k);
    let product = maker.op(Opcode::Imul, &[int, constant]);
    let bits = seed.wrapping_mul(k as u64);
    match index % 6 {
        0 => (maker.boxed(product), boxed(&language, "int", bits)),
        1 => {
            let float = maker.op(Opcode::IntToFloat, &[product]);
            (maker.boxed(float), boxed(&language, "float", (bits as f64).to_bits()))
        }
        2 => {
            let truth =
                maker.value(Opcode::Icmp, &[product, int], Immediate::IntCondition(IntCondition::Greater));
            (maker.boxed(truth), boxed(&language, "bool", (bits > seed) as u64))
        }
        3 => {
            let constant = maker.int(k * 1000);
            (maker.boxed(constant), boxed(&language, "int", k as u64 * 1000))
        }
        4 => (maker.nil(), boxed(&language, "nil", 0)),
        _ => {
            // A boxed value that is not known to be anything.
            let (a, b) = (maker.boxed(product), maker.nil());
            let truth =
                maker.value(Opcode::Icmp, &[product, int], Immediate::IntCondition(IntCondition::Greater));
            (maker.op(Opcode::Select, &[truth, a, b]), boxed(&language, "int", bits))
        }
    }
}

#[test]
fn exits_tell_all_live_values() {
    for encoding in [Encoding::Pair, Encoding::Word] {
        for count in 1..=40 {
            let language = language(encoding);
            let mut maker = Maker::new(&language, 64);
            let int = maker.parameter("int", 0);
            let mut values = Vec::new();
            let mut expected = Vec::new();
            for index in 0..count {
                let (value, boxed) = live_value(&mut maker, index, int, 48);
                values.push(value);
                expected.push((index as u16, boxed));
            }
            let state = maker.state(ResumePoint::before(Pc(3)), &values);
            let limit = maker.int(100);
            let is_large =
                maker.value(Opcode::Icmp, &[int, limit], Immediate::IntCondition(IntCondition::Greater));
            maker.guard(Opcode::GuardTrue, is_large, state);
            // All values are needed behind the guard too.
            maker.ret(&values);
            let mut machine = Machine::new(&maker);
            assert_eq!(machine.apply(&[boxed(&language, "int", 48)]), ANSWER);
            let exit = machine.only_exit();
            assert_eq!(exit.registers, expected, "{encoding:?} {count}");
            assert_eq!((exit.header.unit, exit.header.pc), (UnitId(7), Pc(3)));
            assert_eq!(machine.exits[0].0, ExitReason::Guard(GuardReason::Condition, Pc(3)));
            machine.apply(&[boxed(&language, "int", 101)]);
            assert_eq!(machine.exits.len(), 1, "it holds now");
        }
    }
}

#[test]
fn many_floats_survive_exits_in_a_loop() {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 64);
    let start: Vec<Value> = (0..24).map(|index| maker.parameter("float", index)).collect();
    let limit = maker.parameter("int", 24);
    let zero = maker.int(0);
    let (entry, head) = (maker.block, maker.function.add_block());
    let floats: Vec<Value> = (0..24).map(|_| maker.function.add_param(head, Type::F64)).collect();
    let index = maker.function.add_param(head, Type::I64);
    maker.block = entry;
    maker.jump(head, &[start.clone(), vec![zero]].concat());
    maker.block = head;
    let boxes: Vec<Value> = floats.iter().map(|&float| maker.boxed(float)).collect();
    let state = maker.state(ResumePoint::before(Pc(9)), &boxes);
    let is_less = maker.value(Opcode::Icmp, &[index, limit], Immediate::IntCondition(IntCondition::Less));
    maker.guard(Opcode::GuardTrue, is_less, state);
    let next: Vec<Value> =
        (0..24).map(|index| maker.op(Opcode::Fadd, &[floats[index], floats[(index + 1) % 24]])).collect();
    let one = maker.int(1);
    let index = maker.op(Opcode::Iadd, &[index, one]);
    maker.jump(head, &[next, vec![index]].concat());
    let mut machine = Machine::new(&maker);
    let mut floats: Vec<f64> = (0..24).map(|index| index as f64 + 0.25).collect();
    let mut args: Vec<_> = floats.iter().map(|float| boxed(&language, "float", float.to_bits())).collect();
    args.push(boxed(&language, "int", 10));
    machine.apply(&args);
    for _ in 0..10 {
        floats = (0..24).map(|index| floats[index] + floats[(index + 1) % 24]).collect();
    }
    let expected: Vec<_> = floats.iter().map(|float| boxed(&language, "float", float.to_bits())).collect();
    let found: Vec<_> = machine.only_exit().registers.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(found, expected);
}

#[test]
fn kind_guards_in_both_encodings() {
    for encoding in [Encoding::Pair, Encoding::Word] {
        let language = language(encoding);
        for (name, payload) in
            [("int", 21), ("float", 1.5f64.to_bits()), ("bool", 1), ("object", 0x4000), ("nil", 0)]
        {
            for (opcode, fails) in [(Opcode::GuardKind, false), (Opcode::GuardNotKind, true)] {
                let mut maker = Maker::new(&language, 4);
                let argument = maker.argument(0);
                let state = maker.state(ResumePoint::before(Pc(0)), &[argument]);
                let immediate = Immediate::KindReason(kind(name), GuardReason::Argument);
                let mut data = InstData::new(opcode, &[argument], immediate);
                data.state = Some(state);
                let inst = maker.add(data);
                let result = maker.function.insts[inst].result;
                let again = match result {
                    Some(result) if maker.function.ty(result) != Type::Any => maker.boxed(result),
                    Some(result) => result,
                    None => argument,
                };
                maker.ret(&[again]);
                let mut machine = Machine::new(&maker);
                let (right, wrong) = (boxed(&language, name, payload), boxed(&language, "address", 64));
                for (value, fails) in [(right, fails), (wrong, !fails)] {
                    machine.exits.clear();
                    if fails {
                        assert_eq!(machine.apply(std::slice::from_ref(&value)), ANSWER);
                        assert_eq!(machine.only_exit().registers, [(0, value)]);
                        assert_eq!(machine.exits[0].0, ExitReason::Guard(GuardReason::Argument, Pc(0)));
                    } else {
                        assert_eq!(machine.result(std::slice::from_ref(&value)), value);
                        assert!(machine.exits.is_empty());
                    }
                }
                if opcode == Opcode::GuardKind {
                    assert_eq!(machine.lowered.image.expects[..], [(Register(0), kind(name))]);
                }
            }
        }
    }
}

#[test]
fn inlined_frames_open_runs_and_results() {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 8);
    let inner = maker.function.frames.push(surmise_ir::frame_state::FrameInfo {
        unit: UnitId(8),
        parent: Some(FrameId::from_u32(0)),
        window: 3,
        register_count: 20,
    });
    let (a, b) = (maker.argument(0), maker.parameter("int", 1));
    let boxed_b = maker.boxed(b);
    let outer = maker.state(ResumePoint::after(Pc(5)), &[a]);
    let innermost = maker.state(ResumePoint::after(Pc(2)), &[boxed_b, a]);
    let state = &mut maker.function.states[innermost];
    state.frame = inner;
    state.parent = Some(outer);
    state.callee = Some(a);
    state.results.push(boxed_b);
    state.open = Some((Register(6), b));
    maker.guard(Opcode::GuardFalse, b, innermost);
    // `b` is no truth value: the verifier would say so. What is not zero is true to the machine.
    maker.ret(&[a]);
    let mut machine = Machine::new(&maker);
    machine.apply(&[vec![5, 0x5550], vec![2, 13]]);
    let frames = &machine.exits[0].1;
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].registers, [(0, vec![2, 13]), (1, vec![5, 0x5550])]);
    assert_eq!((frames[0].results.clone(), frames[0].open), (vec![vec![2, 13]], Some(13)));
    assert_eq!((frames[0].callee.clone(), frames[0].header.window), (Some(vec![5, 0x5550]), 3));
    assert_eq!((frames[0].header.unit, frames[0].header.open), (UnitId(8), Some(Register(6))));
    assert_eq!(frames[1].registers, [(0, vec![5, 0x5550])]);
    assert_eq!((frames[1].header.pc, frames[1].header.has_parent), (Pc(5), false));
    assert_eq!(machine.lowered.image.window_size, 23);
}

#[test]
fn guards_fail_by_force() {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 4);
    let mut argument = maker.argument(0);
    for pc in 0..5 {
        let state = maker.state(ResumePoint::before(Pc(pc)), &[argument]);
        let int = maker.guard_kind("int", argument, state);
        let one = maker.int(1);
        let sum = maker.op(Opcode::Iadd, &[int, one]);
        argument = maker.boxed(sum);
    }
    maker.ret(&[argument]);
    let settings = LowerSettings { force_failures: true, ..LowerSettings::default() };
    let mut machine = Machine::run_with(&maker, &settings);
    machine.context.native_limit = 0;
    for countdown in 1..=5 {
        machine.exits.clear();
        machine.context.forced_failure_countdown = countdown;
        assert_eq!(machine.apply(&[vec![2, 10]]), ANSWER);
        assert_eq!(machine.only_exit().registers, [(0, vec![2, 9 + countdown as u64])]);
        assert_eq!(machine.only_exit().header.pc, Pc(countdown - 1));
    }
    machine.exits.clear();
    machine.context.forced_failure_countdown = 6;
    assert_eq!(machine.result(&[vec![2, 10]]), [2, 15]);
    assert_eq!(machine.context.forced_failure_countdown, 1);
}

#[test]
fn the_entry_checks_both_stacks() {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 10);
    let argument = maker.argument(0);
    let state = maker.state(ResumePoint::before(Pc(0)), &[argument]);
    let int = maker.guard_kind("int", argument, state);
    let result = maker.boxed(int);
    maker.ret(&[result]);
    let mut machine = Machine::new(&maker);
    let end = machine.window() as usize + 160;
    machine.context.window_limit = end as *mut u8;
    assert_eq!(machine.result(&[vec![2, 10]]), [2, 10]);
    machine.context.window_limit = (end - 1) as *mut u8;
    assert_eq!(machine.apply(&[vec![2, 10]]), ANSWER);
    assert_eq!(machine.exits[0].0, ExitReason::Guard(GuardReason::Stack, Pc(0)));
    assert_eq!(machine.only_exit().registers, [(0, vec![2, 10])]);
    machine.exits.clear();
    machine.context.window_limit = end as *mut u8;
    machine.context.native_limit = usize::MAX;
    assert_eq!(machine.apply(&[vec![2, 10]]), ANSWER);
    assert_eq!(machine.exits[0].0, ExitReason::Guard(GuardReason::Stack, Pc(0)));
}

#[test]
fn deoptimize_and_guard_results_after_an_instruction() {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 4);
    let argument = maker.argument(0);
    let state = maker.state(ResumePoint::before(Pc(1)), &[argument]);
    let mut data = InstData::new(Opcode::Deoptimize, &[], Immediate::Reason(GuardReason::Branch));
    data.state = Some(state);
    maker.add(data);
    let mut machine = Machine::new(&maker);
    assert_eq!(machine.apply(&[vec![3, 4]]), ANSWER);
    assert_eq!(machine.exits[0].0, ExitReason::Guard(GuardReason::Branch, Pc(1)));
    assert_eq!(machine.only_exit().registers, [(0, vec![3, 4])]);
}

/// A guard in a loop is one compare and one branch that is not taken.
#[test]
fn a_guard_is_a_compare_and_a_branch() {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 8);
    let field = value_field(&mut maker);
    let base = maker.parameter("object", 0);
    let zero = maker.int(0);
    let (entry, head) = (maker.block, maker.function.add_block());
    let sum = maker.function.add_param(head, Type::I64);
    maker.block = entry;
    maker.jump(head, &[zero]);
    maker.block = head;
    let object = maker.boxed(base);
    let boxed_sum = maker.boxed(sum);
    let state = maker.state(ResumePoint::before(Pc(4)), &[object, boxed_sum]);
    let mut poll = InstData::new(Opcode::Poll, &[], Immediate::None);
    poll.state = Some(state);
    maker.add(poll);
    let value = maker.value(Opcode::Load, &[base], Immediate::Field(field));
    let int = maker.guard_kind("int", value, state);
    let sum = maker.op(Opcode::Iadd, &[sum, int]);
    maker.jump(head, &[sum]);
    let machine = Machine::new(&maker);
    let listing = machine.lowered.listing.clone().unwrap();
    // From the loop's head to the jump back to it. The poll's flag and the tag are each loaded and compared.
    let lines: Vec<&str> = listing.lines().filter_map(|line| line.get(8..)).collect();
    let end = lines.iter().position(|line| line.starts_with("jmp")).unwrap();
    let mnemonics: Vec<&str> =
        lines[end - 8..=end].iter().map(|line| line.split_whitespace().next().unwrap_or("")).collect();
    assert_eq!(
        mnemonics,
        ["movl", "testl", "jne", "movq", "movq", "cmpq", "jne", "addq", "jmp"],
        "{listing}"
    );
    assert!(lines[end - 3].contains("$2, %"), "{listing}");
}

fn value_field(maker: &mut Maker) -> FieldId {
    use surmise_ir::language::*;
    let layout = maker.language.layouts.push(Layout { name: "thing".to_owned(), fields: vec![] });
    maker.language.fields.push(Field {
        layout,
        name: "value".to_owned(),
        offset: 16,
        memory: MemoryType::Full(Type::Any),
        stride: 0,
        alias: AliasClass::from_u32(0),
        immutable: false,
    })
}
