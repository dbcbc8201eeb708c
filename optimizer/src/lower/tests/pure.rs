//! Every instruction without effects, with extreme operands, as arguments and as constants, against plain Rust.

use super::languages::*;
use super::machine::Machine;
use surmise_ir::function::*;
use surmise_ir::language::Encoding;
use surmise_ir::opcode::*;
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

/// Runs an instruction on all combinations of operands. `expected` gives `None` where the operands are not allowed.
fn check(
    opcode: Opcode,
    immediate: Immediate,
    types: &[Type],
    result: Type,
    expected: impl Fn(&[u64]) -> Option<u64>,
) {
    let language = language(Encoding::Pair);
    let mut combinations: Vec<Vec<u64>> = vec![vec![]];
    for &ty in types {
        combinations = combinations
            .iter()
            .flat_map(|start| operands(ty).into_iter().map(move |last| [start.clone(), vec![last]].concat()))
            .collect();
    }
    let mut maker = Maker::new(&language, 4);
    let args: Vec<_> =
        types.iter().enumerate().map(|(index, &ty)| maker.parameter(name_of(ty), index as u16)).collect();
    let value = maker.value(opcode, &args, immediate);
    assert_eq!(maker.function.ty(value), result);
    let boxed_value = maker.boxed(value);
    maker.ret(&[boxed_value]);
    let mut machine = Machine::new(&maker);
    for combination in &combinations {
        let Some(expected) = expected(combination) else { continue };
        let args: Vec<_> =
            types.iter().zip(combination).map(|(&ty, &bits)| boxed(&language, name_of(ty), bits)).collect();
        let found = machine.result(&args);
        assert!(
            found[0] == boxed(&language, name_of(result), 0)[0] && same(result, found[1], expected),
            "{} {immediate:?} of {combination:x?}: {found:x?}, not {expected:x}\n{}",
            opcode.name(),
            machine.lowered.listing.as_ref().unwrap()
        );
    }
    // The last operand constant, and all of them: what the code generator folds must be the same.
    for constants in [1, types.len()] {
        let tested: Vec<_> = match constants {
            _ if types.is_empty() => vec![],
            1 => combinations.iter().take(operands(types[types.len() - 1]).len()).collect(),
            _ => combinations.iter().collect(),
        };
        for combination in tested {
            let mut maker = Maker::new(&language, 4);
            let first_constant = types.len() - constants;
            let args: Vec<_> = types
                .iter()
                .enumerate()
                .map(|(index, &ty)| match index < first_constant {
                    true => maker.parameter(name_of(ty), index as u16),
                    false => constant(&mut maker, ty, combination[index]),
                })
                .collect();
            let varied: Vec<Vec<u64>> = match (first_constant, types.first()) {
                (1, Some(&ty)) => operands(ty)
                    .into_iter()
                    .map(|bits| [vec![bits], combination[1..].to_vec()].concat())
                    .collect(),
                _ => vec![combination.clone()],
            };
            if !varied.iter().any(|combination| expected(combination).is_some()) {
                continue;
            }
            let value = maker.value(opcode, &args, immediate);
            let boxed_value = maker.boxed(value);
            maker.ret(&[boxed_value]);
            let mut machine = Machine::new(&maker);
            for combination in varied {
                let Some(expected) = expected(&combination) else { continue };
                let args: Vec<_> = types
                    .iter()
                    .zip(&combination)
                    .map(|(&ty, &bits)| boxed(&language, name_of(ty), bits))
                    .collect();
                let found = machine.result(&args);
                assert!(
                    same(result, found[1], expected),
                    "{} {immediate:?} of {combination:x?} with constants: {found:x?}, not {expected:x}\n{}",
                    opcode.name(),
                    machine.lowered.listing.as_ref().unwrap()
                );
            }
        }
    }
}

#[test]
fn integers() {
    use Type::{I1, I64};
    let binary = |opcode, f: fn(i64, i64) -> Option<i64>| {
        check(opcode, Immediate::None, &[I64, I64], I64, |v| f(v[0] as i64, v[1] as i64).map(|r| r as u64));
    };
    binary(Opcode::Iadd, |a, b| Some(a.wrapping_add(b)));
    binary(Opcode::Isub, |a, b| Some(a.wrapping_sub(b)));
    binary(Opcode::Imul, |a, b| Some(a.wrapping_mul(b)));
    binary(Opcode::Iand, |a, b| Some(a & b));
    binary(Opcode::Ior, |a, b| Some(a | b));
    binary(Opcode::Ixor, |a, b| Some(a ^ b));
    binary(Opcode::ShiftLeft, |a, b| Some(a.wrapping_shl(b as u32)));
    binary(Opcode::ShiftRight, |a, b| Some((a as u64).wrapping_shr(b as u32) as i64));
    binary(Opcode::ShiftRightSigned, |a, b| Some(a.wrapping_shr(b as u32)));
    let unary = |opcode, f: fn(i64) -> i64| {
        check(opcode, Immediate::None, &[I64], I64, |v| Some(f(v[0] as i64) as u64));
    };
    unary(Opcode::Ineg, i64::wrapping_neg);
    unary(Opcode::Inot, |a| !a);
    for (condition, _) in IntCondition::ALL {
        check(Opcode::Icmp, Immediate::IntCondition(condition), &[I64, I64], I1, |v| {
            Some(condition.holds(v[0] as i64, v[1] as i64) as u64)
        });
    }
}

#[test]
fn division() {
    fn floor_div(a: i64, b: i64) -> Option<i64> {
        (b != 0).then(|| (a as i128).div_euclid(b as i128) as i64).map(|_| {
            let (a, b) = (a as i128, b as i128);
            let quotient = a / b;
            (if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }) as i64
        })
    }
    fn floor_mod(a: i64, b: i64) -> Option<i64> {
        let quotient = floor_div(a, b)?;
        Some(a.wrapping_sub(quotient.wrapping_mul(b)))
    }
    assert_eq!((floor_div(-7, 2), floor_mod(-7, 2), floor_mod(7, -2)), (Some(-4), Some(1), Some(-1)));
    assert_eq!((floor_div(i64::MIN, -1), floor_mod(i64::MIN, -1)), (Some(i64::MIN), Some(0)));
    let types = [Type::I64, Type::I64];
    check(Opcode::FloorDiv, Immediate::None, &types, Type::I64, |v| {
        floor_div(v[0] as i64, v[1] as i64).map(|r| r as u64)
    });
    check(Opcode::FloorMod, Immediate::None, &types, Type::I64, |v| {
        floor_mod(v[0] as i64, v[1] as i64).map(|r| r as u64)
    });
}

#[test]
fn constant_divisors() {
    let language = language(Encoding::Pair);
    for divisor in INTS {
        if divisor == 0 {
            continue;
        }
        let mut maker = Maker::new(&language, 2);
        let a = maker.parameter("int", 0);
        let b = maker.int(divisor);
        let (quotient, remainder) =
            (maker.op(Opcode::FloorDiv, &[a, b]), maker.op(Opcode::FloorMod, &[a, b]));
        let product = maker.op(Opcode::Imul, &[quotient, b]);
        let sum = maker.op(Opcode::Iadd, &[product, remainder]);
        let (sum, remainder) = (maker.boxed(sum), maker.boxed(remainder));
        maker.ret(&[sum, remainder]);
        let mut machine = Machine::new(&maker);
        for dividend in INTS {
            machine.apply(&[boxed(&language, "int", dividend as u64)]);
            let remainder = machine.register(0)[1] as i64;
            assert_eq!(machine.register(-1)[1] as i64, dividend, "{dividend} by {divisor}");
            assert!(
                remainder == 0 || (remainder < 0) == (divisor < 0),
                "{dividend} % {divisor} = {remainder}"
            );
            assert!(
                remainder.unsigned_abs() < divisor.unsigned_abs(),
                "{dividend} % {divisor} = {remainder}"
            );
        }
    }
}

#[test]
fn floats() {
    use Type::{F64, I1, I64};
    let binary = |opcode, f: fn(f64, f64) -> f64| {
        check(opcode, Immediate::None, &[F64, F64], F64, |v| {
            Some(f(f64::from_bits(v[0]), f64::from_bits(v[1])).to_bits())
        });
    };
    binary(Opcode::Fadd, |a, b| a + b);
    binary(Opcode::Fsub, |a, b| a - b);
    binary(Opcode::Fmul, |a, b| a * b);
    binary(Opcode::Fdiv, |a, b| a / b);
    let unary = |opcode, f: fn(f64) -> f64| {
        check(opcode, Immediate::None, &[F64], F64, |v| Some(f(f64::from_bits(v[0])).to_bits()));
    };
    unary(Opcode::Fneg, |a| -a);
    unary(Opcode::Fabs, f64::abs);
    unary(Opcode::Fsqrt, f64::sqrt);
    unary(Opcode::Ffloor, f64::floor);
    unary(Opcode::Fceil, f64::ceil);
    for (condition, _) in FloatCondition::ALL {
        check(Opcode::Fcmp, Immediate::FloatCondition(condition), &[F64, F64], I1, |v| {
            Some(condition.holds(f64::from_bits(v[0]), f64::from_bits(v[1])) as u64)
        });
    }
    check(Opcode::IntToFloat, Immediate::None, &[I64], F64, |v| Some((v[0] as i64 as f64).to_bits()));
    check(Opcode::FloatToInt, Immediate::None, &[F64], I64, |v| Some(f64::from_bits(v[0]) as i64 as u64));
    check(Opcode::FloatBits, Immediate::None, &[F64], I64, |v| Some(v[0]));
    check(Opcode::BitsFloat, Immediate::None, &[I64], F64, |v| Some(v[0]));
}

#[test]
fn truth_values_and_words() {
    use Type::{F64, I1, I64, Raw, Ref};
    check(Opcode::Band, Immediate::None, &[I1, I1], I1, |v| Some(v[0] & v[1]));
    check(Opcode::Bor, Immediate::None, &[I1, I1], I1, |v| Some(v[0] | v[1]));
    check(Opcode::Bnot, Immediate::None, &[I1], I1, |v| Some(v[0] ^ 1));
    check(Opcode::BoolToInt, Immediate::None, &[I1], I64, |v| Some(v[0]));
    check(Opcode::RawEqual, Immediate::None, &[Raw, Raw], I1, |v| Some((v[0] == v[1]) as u64));
    for ty in [I64, F64, I1] {
        check(Opcode::Select, Immediate::None, &[I1, ty, ty], ty, |v| {
            Some(if v[0] != 0 { v[1] } else { v[2] })
        });
    }
    let _ = Ref;
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
