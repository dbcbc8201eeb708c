//! Every instruction without effects, with extreme operands, as arguments and as constants, against
//! their meaning in [`surmise_ir::semantics`].

use super::languages::*;
use super::machine::Machine;
use surmise_ir::function::*;
use surmise_ir::language::Encoding;
use surmise_ir::opcode::*;
use surmise_ir::semantics::{Constant, evaluate_pure};
use surmise_ir::types::Type;

const INTS: [i64; 19] = [
    0,
    1,
    -1,
    2,
    -2,
    3,
    -3,
    7,
    -7,
    10,
    -10,
    63,
    64,
    1 << 31,
    -(1 << 31),
    1 << 53,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
];
const FLOATS: [f64; 17] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -2.5,
    9.3e18,
    -9.3e18,
    1e300,
    -1e300,
    f64::MIN_POSITIVE,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    4503599627370497.5,
];

fn operands(ty: Type) -> Vec<u64> {
    match ty {
        Type::I64 => INTS.iter().map(|&int| int as u64).collect(),
        Type::F64 => FLOATS.iter().map(|float| float.to_bits()).collect(),
        Type::I1 => vec![0, 1],
        _ => vec![0, 0x1000, 0x7fff_ffff_f000],
    }
}
fn name_of(ty: Type) -> &'static str {
    ["int", "float", "bool", "object", "address"][Type::ALL.iter().position(|&t| t == ty).unwrap()]
}
fn constant(maker: &mut Maker, ty: Type, bits: u64) -> surmise_ir::entity::Value {
    match ty {
        Type::I64 => maker.int(bits as i64),
        Type::F64 => maker.value(Opcode::Fconst, &[], Immediate::Float(bits)),
        Type::I1 => maker.value(Opcode::Bconst, &[], Immediate::Boolean(bits != 0)),
        _ => maker.value(Opcode::RawConst, &[], Immediate::Integer(bits as i64)),
    }
}
fn same(ty: Type, a: u64, b: u64) -> bool {
    a == b || ty == Type::F64 && f64::from_bits(a).is_nan() && f64::from_bits(b).is_nan()
}

/// What the instruction gives, `None` where the operands are not allowed.
fn expected(opcode: Opcode, immediate: Immediate, types: &[Type], operands: &[u64]) -> Option<u64> {
    let operands: Vec<Constant> = types
        .iter()
        .zip(operands)
        .map(|(&ty, &bits)| match ty {
            Type::I64 => Constant::I64(bits as i64),
            Type::F64 => Constant::F64(bits),
            Type::I1 => Constant::I1(bits != 0),
            _ => Constant::Raw(bits),
        })
        .collect();
    Some(match evaluate_pure(opcode, immediate, &operands)? {
        Constant::I64(value) => value as u64,
        Constant::F64(bits) | Constant::Raw(bits) => bits,
        Constant::I1(truth) => u64::from(truth),
    })
}

/// All combinations of one operand of each list.
fn combinations(lists: &[Vec<u64>]) -> Vec<Vec<u64>> {
    lists.iter().fold(vec![vec![]], |starts, list| {
        let with_all = |start: &Vec<u64>| -> Vec<Vec<u64>> {
            list.iter().map(|&last| start.iter().copied().chain([last]).collect()).collect()
        };
        starts.iter().flat_map(with_all).collect()
    })
}

/// Runs an instruction on all combinations of operands: all of them arguments, the last one constant, and all constant, for what
/// the code generator folds must be the same.
fn check(opcode: Opcode, immediate: Immediate, types: &[Type]) {
    let all: Vec<Vec<u64>> = types.iter().map(|&ty| operands(ty)).collect();
    let mut checked = 0;
    for constant_count in 0..=types.len().min(2) {
        let argument_count = types.len() - constant_count;
        // With nothing but constants every combination is a compile: a part of them has to do.
        let step = if constant_count == 2 { 7 } else { 1 };
        for constants in combinations(&all[argument_count..]).into_iter().step_by(step) {
            let arguments: Vec<Vec<u64>> = combinations(&all[..argument_count])
                .into_iter()
                .filter(|arguments| {
                    expected(opcode, immediate, types, &[&arguments[..], &constants[..]].concat()).is_some()
                })
                .collect();
            if arguments.is_empty() {
                continue;
            }
            checked += arguments.len();
            check_with_constants(opcode, immediate, types, &arguments, &constants);
        }
    }
    assert!(checked > 0, "{} was checked", opcode.name());
}

fn check_with_constants(
    opcode: Opcode,
    immediate: Immediate,
    types: &[Type],
    arguments: &[Vec<u64>],
    constants: &[u64],
) {
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 4);
    let argument_count = types.len() - constants.len();
    let operands: Vec<_> = types
        .iter()
        .enumerate()
        .map(|(index, &ty)| match index.checked_sub(argument_count) {
            None => maker.parameter(name_of(ty), index as u16),
            Some(index) => constant(&mut maker, ty, constants[index]),
        })
        .collect();
    let value = maker.value(opcode, &operands, immediate);
    let result = maker.function.ty(value);
    let boxed_value = maker.boxed(value);
    maker.ret(&[boxed_value]);
    let mut machine = Machine::new(&maker);
    for arguments in arguments {
        let boxes: Vec<_> =
            types.iter().zip(arguments).map(|(&ty, &bits)| boxed(&language, name_of(ty), bits)).collect();
        let found = machine.result(&boxes);
        let expected = expected(opcode, immediate, types, &[&arguments[..], constants].concat()).unwrap();
        assert!(
            found[0] == boxed(&language, name_of(result), 0)[0] && same(result, found[1], expected),
            "{} {immediate:?} of {arguments:x?} and the constants {constants:x?}: {found:x?}, not {expected:x}\n{}",
            opcode.name(),
            machine.lowered.listing.as_ref().unwrap()
        );
    }
}

#[test]
fn every_pure_instruction_computes_what_it_means() {
    let mut checked = 0;
    for &opcode in Opcode::ALL {
        let OperandForm::Fixed(types) = opcode.operands() else { continue };
        let is_machine = |ty: Type| matches!(ty, Type::I64 | Type::F64 | Type::I1 | Type::Raw);
        if opcode.effect() != EffectClass::Pure || types.is_empty() || !types.iter().copied().all(is_machine)
        {
            continue;
        }
        checked += 1;
        match opcode.immediate() {
            ImmediateForm::None => check(opcode, Immediate::None, types),
            ImmediateForm::IntCondition => {
                for (condition, _) in IntCondition::ALL {
                    check(opcode, Immediate::IntCondition(condition), types);
                }
            }
            ImmediateForm::FloatCondition => {
                for (condition, _) in FloatCondition::ALL {
                    check(opcode, Immediate::FloatCondition(condition), types);
                }
            }
            form => {
                panic!("{} has an immediate of form {form:?}, which this test does not know", opcode.name())
            }
        }
    }
    assert!(checked > 30, "{checked} opcodes were checked");
    for ty in [Type::I64, Type::F64, Type::I1] {
        check(Opcode::Select, Immediate::None, &[Type::I1, ty, ty]);
    }
}

#[test]
fn boxed_values() {
    for encoding in [Encoding::Pair, Encoding::Word] {
        let language = language(encoding);
        let samples = [
            ("nil", 0),
            ("bool", 0),
            ("bool", 1),
            ("int", 5),
            ("int", -5i64 as u64),
            ("int", 1 << 40),
            ("float", 2.5f64.to_bits()),
            ("float", (-1024.0f64).to_bits()),
            ("object", 0x10_0000),
            ("address", 0x7fff_0000),
        ];
        for (name, payload) in samples {
            let value = boxed(&language, name, payload);
            // Unboxed and boxed again.
            let mut maker = Maker::new(&language, 4);
            let argument = maker.argument(0);
            let again = match language.kinds[kind(name)].payload {
                None => maker.nil(),
                Some(_) => {
                    let payload = maker.unbox(name, argument);
                    maker.boxed(payload)
                }
            };
            maker.ret(&[again]);
            assert_eq!(
                Machine::new(&maker).result(std::slice::from_ref(&value)),
                value,
                "{name} {payload:x}"
            );
            for (other, other_payload) in samples {
                let other_value = boxed(&language, other, other_payload);
                let mut maker = Maker::new(&language, 4);
                let (a, b) = (maker.argument(0), maker.argument(1));
                let is_kind = maker.value(Opcode::IsKind, &[a], Immediate::Kind(kind(other)));
                let is_equal = maker.op(Opcode::AnyEqual, &[a, b]);
                let chosen = maker.op(Opcode::Select, &[is_kind, a, b]);
                let (is_kind, is_equal) = (maker.boxed(is_kind), maker.boxed(is_equal));
                maker.ret(&[is_kind, is_equal, chosen]);
                let mut machine = Machine::new(&maker);
                machine.apply(&[value.clone(), other_value.clone()]);
                let truth = |truth: bool| boxed(&language, "bool", truth as u64);
                assert_eq!(machine.register(-1), truth(name == other), "{name} {other}");
                assert_eq!(machine.register(0), truth(value == other_value), "{name} {other}");
                assert_eq!(machine.register(1), if name == other { value.clone() } else { other_value });
            }
        }
    }
    let language = language(Encoding::Pair);
    let mut maker = Maker::new(&language, 2);
    let argument = maker.argument(0);
    let (tag, payload) = (maker.op(Opcode::AnyTag, &[argument]), maker.op(Opcode::AnyPayload, &[argument]));
    let (tag, payload) = (maker.boxed(tag), maker.boxed(payload));
    maker.ret(&[tag, payload]);
    let mut machine = Machine::new(&maker);
    machine.apply(&[vec![6, 77]]);
    assert_eq!((machine.register(-1), machine.register(0)), (vec![2, 6], vec![2, 77]));
}
