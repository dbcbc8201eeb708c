//! Homes under a collector that moves everything, landing pads, polls.

use super::super::{LowerSettings, Redirection};
use super::languages::*;
use super::machine::{ANSWER, Machine, Two};
use surmise_deopt::context::Context;
use surmise_deopt::table::ExitReason;
use surmise_ir::entity::*;
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::function::*;
use surmise_ir::language::*;
use surmise_ir::opcode::*;
use surmise_ir::types::Type;

unsafe extern "C" fn collect(context: *mut Context) {
    Machine::of(context).safepoint();
}
unsafe extern "C" fn collect_any(context: *mut Context) -> Two {
    Machine::of(context).safepoint();
    Two(2, 99)
}
unsafe extern "C" fn collect_word(context: *mut Context) -> u64 {
    Machine::of(context).safepoint();
    (99 << 1) | 1
}
unsafe extern "C" fn collect_float(context: *mut Context) -> f64 {
    Machine::of(context).safepoint();
    2.5
}
unsafe extern "C" fn collect_bool(context: *mut Context) -> u64 {
    Machine::of(context).safepoint();
    1
}

fn field_of(language: &mut Language, memory: MemoryType, offset: i32) -> FieldId {
    let layout = language.layouts.push(Layout { name: "thing".to_owned(), fields: vec![] });
    language.fields.push(Field {
        layout,
        name: format!("field{offset}"),
        offset,
        memory,
        stride: 0,
        alias: AliasClass::from_u32(0),
        immutable: false,
    })
}

fn call(maker: &mut Maker, id: ExternId, after: Option<FrameStateId>) -> Inst {
    let mut data = InstData::new(Opcode::CallExtern, &[], Immediate::Extern(id));
    data.after = after;
    maker.add(data)
}

#[test]
fn roots_move_at_every_safepoint_of_a_loop() {
    for encoding in [Encoding::Pair, Encoding::Word] {
        let mut language = language(encoding);
        let id = extern_(&mut language, &[], None, allocating());
        let (first, second) = (
            field_of(&mut language, MemoryType::Full(Type::I64), 0),
            field_of(&mut language, MemoryType::Full(Type::I64), 8),
        );
        let mut maker = Maker::new(&language, 8);
        let a = maker.parameter("object", 0);
        let b = maker.argument(1);
        let n = maker.parameter("int", 2);
        let c = maker.parameter("object", 3);
        let zero = maker.int(0);
        let (entry, head) = (maker.block, maker.function.add_block());
        let (body, done) = (maker.function.add_block(), maker.function.add_block());
        let x = maker.function.add_param(head, Type::Any);
        let y = maker.function.add_param(head, Type::Ref);
        let sum = maker.function.add_param(head, Type::I64);
        let index = maker.function.add_param(head, Type::I64);
        maker.block = entry;
        maker.jump(head, &[b, a, zero, zero]);
        maker.block = head;
        let is_more = maker.value(Opcode::Icmp, &[index, n], Immediate::IntCondition(IntCondition::Less));
        maker.branch(is_more, (body, &[]), (done, &[]));
        maker.block = body;
        call(&mut maker, id, None);
        // A boxed object and an object, swapped each time; the boxed one is unboxed after the safepoint.
        let object = maker.unbox("object", x);
        let p = maker.value(Opcode::Load, &[object], Immediate::Field(first));
        let q = maker.value(Opcode::Load, &[y], Immediate::Field(second));
        let r = maker.value(Opcode::Load, &[c], Immediate::Field(first));
        let t = maker.op(Opcode::Isub, &[p, q]);
        let t = maker.op(Opcode::Imul, &[t, r]);
        call(&mut maker, id, None);
        let next_sum = maker.op(Opcode::Iadd, &[sum, t]);
        let one = maker.int(1);
        let next = maker.op(Opcode::Iadd, &[index, one]);
        let boxed_y = maker.boxed(y);
        let unboxed_x = maker.unbox("object", x);
        maker.jump(head, &[boxed_y, unboxed_x, next_sum, next]);
        maker.block = done;
        let result = maker.boxed(sum);
        maker.ret(&[result]);
        let mut machine = Machine::new(&maker);
        machine.set_extern(collect as *const u8);
        let (a, b, c) = (machine.object(100), machine.object(2000), machine.object(3));
        let args = [
            boxed(&language, "object", a),
            boxed(&language, "object", b),
            boxed(&language, "int", 10),
            boxed(&language, "object", c),
        ];
        let expected: i64 = (0..10).map(|i| 3 * if i % 2 == 0 { 2000 - 101 } else { 100 - 2001 }).sum();
        assert_eq!(machine.result(&args), boxed(&language, "int", expected as u64));
        assert_eq!(machine.moved, 3 * 20, "{encoding:?}");
    }
}

/// A call after which the candidate is invalid: the pad tells everything, whatever has moved.
#[test]
fn landing_pads_tell_the_state_after_a_call() {
    let settings = [Redirection::ReturnAddress, Redirection::Mark]
        .map(|redirection| LowerSettings { redirection, ..LowerSettings::default() });
    for (encoding, settings) in [Encoding::Pair, Encoding::Word]
        .into_iter()
        .flat_map(|encoding| settings.map(|settings| (encoding, settings)))
    {
        for (result, function) in [
            (None, collect as *const u8),
            (
                Some(Type::Any),
                if encoding == Encoding::Pair { collect_any as *const u8 } else { collect_word as *const u8 },
            ),
            (Some(Type::I1), collect_bool as *const u8),
            (Some(Type::F64), collect_float as *const u8),
        ] {
            let mut language = language(encoding);
            let id = extern_(&mut language, &[], result, calling());
            let mut maker = Maker::new(&language, 32);
            let object = maker.parameter("object", 0);
            let any = maker.argument(1);
            let int = maker.parameter("int", 2);
            let five = maker.int(5);
            let product = maker.op(Opcode::Imul, &[int, five]);
            let float = maker.op(Opcode::IntToFloat, &[product]);
            let truth =
                maker.value(Opcode::Icmp, &[product, int], Immediate::IntCondition(IntCondition::Greater));
            let values = [
                maker.boxed(object),
                any,
                maker.boxed(product),
                maker.boxed(float),
                maker.boxed(truth),
                maker.nil(),
            ];
            let after = maker.state(ResumePoint::after(Pc(3)), &values);
            let inst = call(&mut maker, id, Some(after));
            let result_value = maker.function.insts[inst].result;
            let mut returned = values.to_vec();
            match (result, result_value) {
                (Some(Type::I1 | Type::F64), Some(value)) => {
                    let value = maker.boxed(value);
                    returned.push(value);
                }
                (_, Some(value)) => returned.push(value),
                _ => {}
            }
            maker.ret(&returned);
            let mut machine = Machine::run_with(&maker, &settings);
            machine.set_extern(function);
            for invalidate in [false, true] {
                machine.invalidate = invalidate;
                machine.exits.clear();
                let (a, b) = (machine.object(100), machine.object(2000));
                let answer = machine.apply(&[
                    boxed(&language, "object", a),
                    boxed(&language, "object", b),
                    boxed(&language, "int", 7),
                ]);
                let expected_result = match result {
                    None => vec![],
                    Some(Type::Any) => vec![boxed(&language, "int", 99)],
                    Some(Type::F64) => vec![boxed(&language, "float", 2.5f64.to_bits())],
                    _ => vec![boxed(&language, "bool", 1)],
                };
                let (found, found_result): (Vec<Vec<u64>>, Vec<Vec<u64>>) = if invalidate {
                    assert_eq!(answer, ANSWER);
                    let exit = machine.only_exit();
                    assert_eq!((exit.header.pc, exit.header.call_results), (Pc(3), false));
                    assert_eq!(machine.exits[0].0, ExitReason::Invalidated);
                    (exit.registers.iter().map(|(_, value)| value.clone()).collect(), exit.results.clone())
                } else {
                    assert!(machine.exits.is_empty());
                    (
                        (0..6).map(|register| machine.register(register - 1)).collect(),
                        (6..returned.len() as i32).map(|register| machine.register(register - 1)).collect(),
                    )
                };
                assert_eq!(found_result, expected_result);
                assert_eq!(found[2], boxed(&language, "int", 35));
                assert_eq!(found[3], boxed(&language, "float", 35f64.to_bits()));
                assert_eq!(found[4], boxed(&language, "bool", 1));
                assert_eq!(found[5], boxed(&language, "nil", 0));
                for (found, old, first) in [(&found[0], a, 100), (&found[1], b, 2000)] {
                    assert_ne!(*found, boxed(&language, "object", old), "it has moved");
                    let address = if encoding == Encoding::Pair { found[1] } else { found[0] - 2 };
                    // SAFETY: the machine's heap keeps the object.
                    assert_eq!(unsafe { *(address as *const u64) }, first);
                }
            }
        }
    }
}

#[test]
fn polls_store_and_reload_in_their_cold_path() {
    let mut language = language(Encoding::Pair);
    let first = field_of(&mut language, MemoryType::Full(Type::I64), 0);
    let mut maker = Maker::new(&language, 8);
    let a = maker.parameter("object", 0);
    let n = maker.parameter("int", 1);
    let zero = maker.int(0);
    let (entry, head) = (maker.block, maker.function.add_block());
    let (body, done) = (maker.function.add_block(), maker.function.add_block());
    let sum = maker.function.add_param(head, Type::I64);
    let index = maker.function.add_param(head, Type::I64);
    maker.block = entry;
    maker.jump(head, &[zero, zero]);
    maker.block = head;
    let is_more = maker.value(Opcode::Icmp, &[index, n], Immediate::IntCondition(IntCondition::Less));
    maker.branch(is_more, (body, &[]), (done, &[]));
    maker.block = body;
    let values = [maker.boxed(a), maker.boxed(sum), maker.boxed(index)];
    let state = maker.state(ResumePoint::before(Pc(6)), &values);
    let mut poll = InstData::new(Opcode::Poll, &[], Immediate::None);
    poll.state = Some(state);
    maker.add(poll);
    let x = maker.value(Opcode::Load, &[a], Immediate::Field(first));
    let next_sum = maker.op(Opcode::Iadd, &[sum, x]);
    let one = maker.int(1);
    let next = maker.op(Opcode::Iadd, &[index, one]);
    maker.jump(head, &[next_sum, next]);
    maker.block = done;
    let result = maker.boxed(sum);
    maker.ret(&[result]);
    let mut machine = Machine::new(&maker);
    let a = machine.object(100);
    machine.context.poll = 1.into();
    assert_eq!(machine.result(&[vec![5, a], vec![2, 10]]), [2, 1000]);
    assert_eq!((machine.polls, machine.moved), (1, 1));
    assert_eq!(machine.result(&[vec![5, machine.stack[machine.base + 1]], vec![2, 0]]), [2, 0]);
    // Invalidated at the poll: the frame goes on before it.
    let a = machine.object(100);
    machine.context.poll = 1.into();
    machine.invalidate = true;
    assert_eq!(machine.apply(&[vec![5, a], vec![2, 10]]), ANSWER);
    let exit = machine.only_exit();
    assert_eq!(exit.header.pc, Pc(6));
    assert_ne!(exit.registers[0].1[1], a);
    assert_eq!(exit.registers[1..], [(1, vec![2, 0]), (2, vec![2, 0])]);
    assert!(exit.results.is_empty());
}

/// A guard behind a call: a value that is in its home need not be anywhere else.
#[test]
fn guards_behind_calls_find_values_in_homes() {
    let mut language = language(Encoding::Pair);
    let id = extern_(&mut language, &[], None, allocating());
    let mut maker = Maker::new(&language, 32);
    let values: Vec<Value> = (0..12).map(|register| maker.argument(register)).collect();
    let condition = maker.parameter("bool", 12);
    call(&mut maker, id, None);
    let state = maker.state(ResumePoint::before(Pc(1)), &values);
    maker.guard(Opcode::GuardTrue, condition, state);
    call(&mut maker, id, None);
    let state = maker.state(ResumePoint::before(Pc(2)), &values);
    maker.guard(Opcode::GuardFalse, condition, state);
    maker.ret(&[]);
    let mut machine = Machine::new(&maker);
    machine.set_extern(collect as *const u8);
    for truth in [0, 1] {
        machine.exits.clear();
        let mut args: Vec<_> = (0..12u64).map(|index| vec![5, machine.object(index * 10)]).collect();
        args.push(vec![1, truth]);
        machine.apply(&args);
        let exit = machine.only_exit();
        assert_eq!(exit.header.pc, Pc(1 + truth as u32));
        for (index, (register, value)) in exit.registers.iter().enumerate() {
            // SAFETY: the machine's heap keeps the object.
            let first = unsafe { *(value[1] as *const u64) };
            assert_eq!((*register as usize, first), (index, index as u64 * 10));
        }
    }
    let listing = machine.lowered.listing.as_ref().unwrap();
    let is_store = |line: &&str| line.contains("movq     %") && line.ends_with("(%rsp)");
    let stores = listing.lines().filter(is_store).count();
    assert!(
        (24..56).contains(&stores),
        "{stores} stores: homes are stored once, not before each call\n{listing}"
    );
}

/// What a loop works with is saved where the poll is due, and so in registers where it is not.
#[test]
fn numbers_survive_polls_in_loops() {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 8);
    let n = maker.parameter("int", 0);
    let step = maker.parameter("float", 1);
    let is_up = maker.parameter("bool", 2);
    let zero = maker.int(0);
    let start = maker.value(Opcode::Fconst, &[], Immediate::Float(0.5f64.to_bits()));
    let (entry, head) = (maker.block, maker.function.add_block());
    let (body, done) = (maker.function.add_block(), maker.function.add_block());
    let sum = maker.function.add_param(head, Type::F64);
    let index = maker.function.add_param(head, Type::I64);
    maker.block = entry;
    maker.jump(head, &[start, zero]);
    maker.block = head;
    let is_more = maker.value(Opcode::Icmp, &[index, n], Immediate::IntCondition(IntCondition::Less));
    maker.branch(is_more, (body, &[]), (done, &[]));
    maker.block = body;
    let values =
        [maker.boxed(sum), maker.boxed(index), maker.boxed(step), maker.boxed(is_up), maker.boxed(n)];
    let state = maker.state(ResumePoint::before(Pc(6)), &values);
    let mut poll = InstData::new(Opcode::Poll, &[], Immediate::None);
    poll.state = Some(state);
    maker.add(poll);
    let less = maker.op(Opcode::Fneg, &[step]);
    let change = maker.op(Opcode::Select, &[is_up, step, less]);
    let next_sum = maker.op(Opcode::Fadd, &[sum, change]);
    let one = maker.int(1);
    let next = maker.op(Opcode::Iadd, &[index, one]);
    maker.jump(head, &[next_sum, next]);
    maker.block = done;
    let result = maker.boxed(sum);
    maker.ret(&[result]);
    let mut machine = Machine::new(&maker);
    let float = |value: f64| vec![3, value.to_bits()];
    for (is_up, expected) in [(1, 10.5), (0, -9.5)] {
        let args = [vec![2, 10], float(1.0), vec![1, is_up]];
        assert_eq!(machine.result(&args), float(expected));
        machine.context.poll = 1.into();
        assert_eq!(machine.result(&args), float(expected));
        machine.context.poll = 1.into();
        machine.invalidate = true;
        machine.exits.clear();
        assert_eq!(machine.apply(&args), ANSWER);
        let found: Vec<_> = machine.only_exit().registers.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(found, [float(0.5), vec![2, 0], float(1.0), vec![1, is_up], vec![2, 10]]);
        machine.invalidate = false;
    }
    assert_eq!(machine.polls, 4);
    // Nothing in the loop is in memory but the flag that the poll looks at.
    let listing = machine.lowered.listing.as_ref().unwrap();
    let lines: Vec<&str> = listing.lines().collect();
    let end = lines.iter().position(|line| line.contains("jmp ")).unwrap();
    let start = lines[..end].iter().rposition(|line| line.contains("testl ")).unwrap();
    assert!(lines[start..end].iter().all(|line| !line.contains("(%rsp)")), "{listing}");
}
