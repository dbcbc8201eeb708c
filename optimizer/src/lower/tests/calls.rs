//! Calls of externs, guest values and units, in all forms of wanted results.

use super::languages::*;
use super::machine::{ANSWER, Machine, Two};
use surmise_deopt::context::Context;
use surmise_deopt::host::GuestResults;
use surmise_ir::entity::*;
use surmise_ir::frame_state::ResumePoint;
use surmise_ir::function::*;
use surmise_ir::language::*;
use surmise_ir::opcode::*;
use surmise_ir::types::Type;

unsafe extern "C" fn mixed(
    context: *mut Context,
    int: i64,
    float: f64,
    truth: u64,
    tag: u64,
    payload: u64,
    word: u64,
    last: i64,
) -> f64 {
    let machine = Machine::of(context);
    machine.log = vec![int as u64, float.to_bits(), truth, tag, payload, word, last as u64];
    float * 2.0
}
unsafe extern "C" fn windowed(context: *mut Context, window: *mut u64, int: u64) -> bool {
    let machine = Machine::of(context);
    let distance = (window as usize - machine.window() as usize) as u64;
    machine.log = vec![distance, int];
    int > 5
}

#[test]
fn externs_of_all_types() {
    let mut language = language(Encoding::Pair);
    use Type::*;
    let mixed_id = extern_(&mut language, &[I64, F64, I1, Any, Raw, I64], Some(F64), Effects::default());
    let windowed_id =
        extern_(&mut language, &[I64], Some(I1), Effects { throws: true, ..Effects::default() });
    language.externs[windowed_id].needs_window = true;
    let mut maker = Maker::new(&language, 9);
    let (int, float, truth) =
        (maker.parameter("int", 0), maker.parameter("float", 1), maker.parameter("bool", 2));
    let (any, word) = (maker.argument(3), maker.parameter("address", 4));
    let float =
        maker.value(Opcode::CallExtern, &[int, float, truth, any, word, int], Immediate::Extern(mixed_id));
    let truth = maker.value(Opcode::CallExtern, &[int], Immediate::Extern(windowed_id));
    let values = [maker.boxed(float), maker.boxed(truth)];
    maker.ret(&values);
    let mut machine = Machine::new(&maker);
    machine.set_extern(mixed as *const u8);
    machine.set_extern(windowed as *const u8);
    for (int, truth) in [(3, 0), (6, 1)] {
        machine.apply(&[
            vec![2, int],
            vec![3, 1.25f64.to_bits()],
            vec![1, 1],
            vec![5, 0x123],
            vec![6, 0x777],
        ]);
        assert_eq!(machine.log, [9 * 16, int]);
        assert_eq!((machine.register(-1), machine.register(0)), (vec![3, 2.5f64.to_bits()], vec![1, truth]));
    }
    // The leaf has no call site, the one that may throw has.
    assert_eq!(machine.lowered.image.calls.sites.len(), 1);
    assert!(machine.lowered.image.calls.sites[0].landing_pad.is_none());
}

/// What `machine.log` asks for: results are ints 10, 11, … The callee leaves them where the protocol says.
fn answer(context: *mut Context, first_result: *mut u64) -> Two {
    let machine = Machine::of(context);
    let count = machine.log[0];
    let words = machine.words();
    let language = machine.language.clone();
    if count != 1 {
        for index in 0..count {
            let value = boxed(&language, "int", 10 + index);
            for (word, bits) in value.iter().enumerate() {
                // SAFETY: inside the machine's stack.
                unsafe { *first_result.add(index as usize * words + word) = *bits };
            }
        }
    }
    let first = if count == 0 { boxed(&language, "nil", 0) } else { boxed(&language, "int", 10) };
    let results = match words {
        2 => GuestResults::pair(first[0] as u32, first[1], count as i32 - 1),
        _ => GuestResults::word(first[0], count as i64 - 1),
    };
    if machine.invalidate || machine.context.exit_frame_pointer != 0 {
        machine.safepoint();
    }
    Two(results.first, results.second)
}
unsafe extern "C" fn generic(context: *mut Context, place: *mut u64, count: u64, wanted: i64) -> Two {
    let machine = Machine::of(context);
    let words = machine.words();
    let offset = (place as usize - machine.window() as usize) / 8 / words;
    let args: Vec<u64> =
        // SAFETY: callee and arguments, inside the machine's stack.
        (0..(count as usize + 1) * words).map(|index| unsafe { *place.add(index) }).collect();
    machine.log.truncate(1);
    machine.log.extend([offset as u64, count, wanted as u64]);
    machine.log.extend(args);
    answer(context, place)
}
#[unsafe(naked)]
unsafe extern "C" fn unit_entry(context: *mut Context, window: *mut u64, count: u64) -> Two {
    core::arch::naked_asm!(
        "mov [rdi + {fp}], rbp",
        "lea rax, [rsp + 8]",
        "mov [rdi + {sp}], rax",
        "jmp {unit}",
        fp = const std::mem::offset_of!(Context, exit_frame_pointer),
        sp = const std::mem::offset_of!(Context, exit_stack_pointer),
        unit = sym unit,
    )
}
unsafe extern "C" fn unit(context: *mut Context, window: *mut u64, count: u64) -> Two {
    let machine = Machine::of(context);
    let words = machine.words();
    // SAFETY: inside the machine's stack.
    let place = unsafe { window.sub(words) };
    // SAFETY: nothing is asked for but what was checked above.
    unsafe { generic(context, place, count, 0) }
}

fn with_calls(encoding: Encoding) -> Language {
    let mut language = language(encoding);
    let generic = extern_(&mut language, &[], None, calling());
    let layout = language.layouts.push(Layout { name: "closure".to_owned(), fields: vec![] });
    let mut field = |name: &str, offset| {
        language.fields.push(Field {
            layout,
            name: name.to_owned(),
            offset,
            memory: MemoryType::Full(Type::Raw),
            stride: 0,
            alias: AliasClass::from_u32(0),
            immutable: true,
        })
    };
    let (unit, entry) = (field("unit", 8), field("entry", 24));
    language.calls = Some(CallProtocol {
        closure: kind("object"),
        unit,
        entry,
        generic,
        closure_variant: 0,
        unit_recipe: 0,
        natives: None,
    });
    language
}

#[test]
fn guest_calls_deliver_what_is_wanted() {
    for encoding in [Encoding::Pair, Encoding::Word] {
        let language = with_calls(encoding);
        for opcode in [Opcode::CallGuest, Opcode::CallUnit] {
            for wanted in
                [Wanted::Fixed(0), Wanted::Fixed(1), Wanted::Fixed(2), Wanted::Fixed(4), Wanted::Open]
            {
                for open_arguments in [false, true] {
                    one_call(&language, opcode, wanted, open_arguments);
                }
            }
        }
    }
}

fn one_call(language: &Language, opcode: Opcode, wanted: Wanted, open_arguments: bool) {
    let mut maker = Maker::new(language, 16);
    let callee = maker.parameter("object", 0);
    let other = maker.argument(1);
    let int = maker.parameter("int", 2);
    let three = maker.int(3);
    let product = maker.op(Opcode::Imul, &[int, three]);
    let float = maker.op(Opcode::IntToFloat, &[product]);
    let mut args = vec![if opcode == Opcode::CallUnit { callee } else { maker.boxed(callee) }];
    args.push(maker.boxed(product));
    args.push(maker.boxed(float));
    if open_arguments {
        // Two more stand in the window behind the fixed ones.
        for register in [8, 9] {
            let data = InstData::new(Opcode::StoreWindow, &[other], Immediate::Register(Register(register)));
            maker.add(data);
        }
        args.push(maker.int(2));
    }
    let values = [other, maker.boxed(product), maker.boxed(float)];
    let after = maker.state(ResumePoint::after(Pc(11)), &values);
    let info = CallInfo { window: Register(5), wanted, open_arguments, site: Pc(11) };
    let mut data = InstData::new(opcode, &args, Immediate::Call(info));
    data.after = Some(after);
    let inst = maker.add(data);
    let mut returned = values.to_vec();
    match wanted {
        Wanted::Fixed(0) => {}
        Wanted::Fixed(1) => returned.push(maker.function.result(inst)),
        Wanted::Fixed(count) => {
            for index in 0..u16::from(count) {
                returned.push(maker.value(Opcode::LoadWindow, &[], Immediate::Register(Register(5 + index))));
            }
        }
        Wanted::Open => {
            let count = maker.op(Opcode::ResultCount, &[]);
            returned.push(maker.boxed(count));
            returned.push(maker.value(Opcode::LoadWindow, &[], Immediate::Register(Register(5))));
            returned.push(maker.value(Opcode::LoadWindow, &[], Immediate::Register(Register(6))));
        }
    }
    maker.ret(&returned);
    let mut machine = Machine::new(&maker);
    machine.set_extern(generic as *const u8);
    // The unit's entry cell, at offset 24 of the unit.
    let unit = machine.object(unit_entry as *const () as u64 - 3);
    for count in 0..6u64 {
        for invalidate in [false, true] {
            let closure = machine.object(unit - 1);
            let other = machine.object(500);
            machine.exits.clear();
            machine.invalidate = invalidate;
            machine.log = vec![count];
            machine.context.exit_frame_pointer = 0;
            for register in 3..16 {
                machine.set_register(register, &vec![0xbad; language.encoding.size() as usize / 8]);
            }
            let (closure, other) = (boxed(language, "object", closure), boxed(language, "object", other));
            let answer = machine.apply(&[closure.clone(), other.clone(), boxed(language, "int", 7)]);
            let what = format!("{opcode:?} {wanted:?} {open_arguments} {count} {invalidate}");
            // What the callee saw.
            let wanted_word = match (opcode, wanted) {
                (Opcode::CallUnit, _) => 0,
                (_, Wanted::Fixed(count)) => count as u64,
                (_, Wanted::Open) => -1i64 as u64,
            };
            let argument_count = if open_arguments { 4 } else { 2 };
            assert_eq!(machine.log[1..4], [5, argument_count, wanted_word], "{what}");
            let mut seen =
                vec![closure, boxed(language, "int", 21), boxed(language, "float", 21f64.to_bits())];
            if open_arguments {
                seen.extend([other.clone(), other.clone()]);
            }
            assert_eq!(machine.log[4..], seen.concat(), "{what}");
            let int = |index: u64| boxed(language, "int", 10 + index);
            let nil = boxed(language, "nil", 0);
            let first = if count == 0 { nil.clone() } else { int(0) };
            if invalidate {
                assert_eq!(answer, ANSWER, "{what}");
                let exit = machine.only_exit();
                assert!(exit.header.call_results && exit.results == [first], "{what}");
                assert_eq!(exit.registers[1].1, boxed(language, "int", 21), "{what}");
                assert_eq!(exit.registers[2].1, boxed(language, "float", 21f64.to_bits()), "{what}");
                assert_ne!(exit.registers[0].1, other, "{what}");
                continue;
            }
            assert!(machine.exits.is_empty());
            assert_eq!(machine.register(0), boxed(language, "int", 21), "{what}");
            let found: Vec<_> = (3..returned.len() as i32).map(|index| machine.register(index - 1)).collect();
            let expected = match wanted {
                Wanted::Fixed(0) => vec![],
                Wanted::Fixed(1) => vec![first],
                Wanted::Fixed(wanted) => (0..wanted as u64)
                    .map(|index| if index < count { int(index) } else { nil.clone() })
                    .collect(),
                Wanted::Open => {
                    let mut expected = vec![boxed(language, "int", count)];
                    expected.extend((0..count.min(2)).map(int));
                    expected
                }
            };
            assert_eq!(found[..expected.len()], expected[..], "{what}");
        }
    }
}

#[test]
fn results_in_machine_form() {
    for encoding in [Encoding::Pair, Encoding::Word] {
        let language = language(encoding);
        for count in 0..5u16 {
            let mut maker = Maker::new(&language, 8);
            let values: Vec<Value> = (0..count).map(|register| maker.argument(register)).collect();
            maker.ret(&values);
            check_results(&language, Machine::new(&maker), count, |machine, args| machine.apply(args));
            // As an open run from register 2 on.
            let mut maker = Maker::new(&language, 8);
            let count_value = maker.parameter("int", 0);
            maker.add(InstData::new(Opcode::ReturnOpen, &[count_value], Immediate::Register(Register(2))));
            check_results(&language, Machine::new(&maker), count, |machine, args| {
                let mut all = vec![boxed(&machine.language, "int", args.len() as u64), vec![0]];
                all.extend(args.iter().cloned());
                machine.apply(&all)
            });
        }
    }
}

fn check_results(
    language: &Language,
    mut machine: Box<Machine>,
    count: u16,
    run: impl Fn(&mut Machine, &[Vec<u64>]) -> Two,
) {
    let values: Vec<_> = (0..count).map(|index| boxed(language, "int", 40 + index as u64)).collect();
    let Two(first, second) = run(&mut machine, &values);
    let results = GuestResults { first, second };
    assert_eq!(results.count(language.encoding), count as u64);
    let first = results.first(language.encoding);
    let first = if language.encoding == Encoding::Pair {
        vec![first.tag(), first.payload()]
    } else {
        vec![first.word()]
    };
    assert_eq!(first, values.first().cloned().unwrap_or_else(|| boxed(language, "nil", 0)));
    if count != 1 {
        for (index, value) in values.iter().enumerate() {
            assert_eq!(machine.register(index as i32 - 1), *value);
        }
    }
}
