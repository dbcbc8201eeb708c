//! The `math` library, with the functions of 5.3 that a usual build of 5.4 keeps (`pow`, `cosh`, `ldexp`, …).

use crate::number::float_to_integer;
use crate::state::{Call, State, Throw};
use crate::value::{Tag, Value};

pub mod random;

use random::Generator;

/// Makes the library.
pub fn open(state: &mut State) {
    let library = state.register_library(
        "math",
        &[
            ("abs", abs),
            ("acos", acos),
            ("asin", asin),
            ("atan", atan),
            ("atan2", atan),
            ("ceil", ceil),
            ("cos", cos),
            ("cosh", cosh),
            ("deg", deg),
            ("exp", exp),
            ("floor", floor),
            ("fmod", fmod),
            ("frexp", frexp),
            ("ldexp", ldexp),
            ("log", log),
            ("log10", log10),
            ("max", max),
            ("min", min),
            ("modf", modf),
            ("pow", pow),
            ("rad", rad),
            ("random", random),
            ("randomseed", randomseed),
            ("sin", sin),
            ("sinh", sinh),
            ("sqrt", sqrt),
            ("tan", tan),
            ("tanh", tanh),
            ("tointeger", tointeger),
            ("type", type_),
            ("ult", ult),
        ],
    );
    state.set_named(library, "pi", Value::float(std::f64::consts::PI));
    state.set_named(library, "huge", Value::float(f64::INFINITY));
    state.set_named(library, "maxinteger", Value::int(i64::MAX));
    state.set_named(library, "mininteger", Value::int(i64::MIN));
}

/// A float with an integral value: as an integer, if it is one.
#[inline]
fn integral(float: f64) -> Value {
    match float_to_integer(float) {
        Some(int) => Value::int(int),
        None => Value::float(float),
    }
}

macro_rules! float_functions {
    ($($name:ident = $compute:expr;)*) => {
        $(fn $name(state: &mut State, call: Call) -> Result<u32, Throw> {
            let compute: fn(f64) -> f64 = $compute;
            let value = state.check_number(call, 0)?;
            call.return_one(Value::float(compute(value)))
        })*
    };
}

float_functions! {
    acos = f64::acos;
    asin = f64::asin;
    cos = f64::cos;
    cosh = f64::cosh;
    deg = |x| x * (180.0 / std::f64::consts::PI);
    exp = f64::exp;
    log10 = f64::log10;
    rad = |x| x * (std::f64::consts::PI / 180.0);
    sin = f64::sin;
    sinh = f64::sinh;
    sqrt = f64::sqrt;
    tan = f64::tan;
    tanh = f64::tanh;
}

fn abs(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = call.arg(0);
    if value.is_int() {
        return call.return_one(Value::int(value.as_int().wrapping_abs()));
    }
    let value = state.check_number(call, 0)?;
    call.return_one(Value::float(value.abs()))
}

fn atan(state: &mut State, call: Call) -> Result<u32, Throw> {
    let y = state.check_number(call, 0)?;
    let x = state.opt_number(call, 1, 1.0)?;
    call.return_one(Value::float(y.atan2(x)))
}

fn ceil(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.arg(0).is_int() {
        return call.return_one(call.arg(0));
    }
    let value = state.check_number(call, 0)?;
    call.return_one(integral(value.ceil()))
}

fn floor(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.arg(0).is_int() {
        return call.return_one(call.arg(0));
    }
    let value = state.check_number(call, 0)?;
    call.return_one(integral(value.floor()))
}

fn fmod(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (a, b) = (call.arg(0), call.arg(1));
    if a.is_int() && b.is_int() {
        if b.as_int() == 0 {
            return Err(state.argument_error(call, 1, "zero"));
        }
        return call.return_one(Value::int(a.as_int().wrapping_rem(b.as_int())));
    }
    let (a, b) = (state.check_number(call, 0)?, state.check_number(call, 1)?);
    // SAFETY: a function of numbers. (Rust's `%` gives the same number, but not the sign of what is none.)
    let rest = unsafe { libc_fmod(a, b) };
    call.return_one(Value::float(rest))
}

unsafe extern "C" {
    #[link_name = "fmod"]
    fn libc_fmod(a: f64, b: f64) -> f64;
    #[link_name = "ldexp"]
    fn libc_ldexp(value: f64, exponent: i32) -> f64;
}

/// Mantissa in `[0.5, 1)` and exponent.
fn frexp(state: &mut State, call: Call) -> Result<u32, Throw> {
    const EXPONENT: u64 = 0x7FF << 52;
    let value = state.check_number(call, 0)?;
    if value == 0.0 || !value.is_finite() {
        return call.return_two(Value::float(value), Value::int(0));
    }
    // Subnormal numbers are brought into the normal range first.
    let (scaled, shift) = if value.is_normal() { (value, 0) } else { (value * 2f64.powi(64), 64) };
    let bits = scaled.to_bits();
    let exponent = (bits & EXPONENT) >> 52;
    let mantissa = f64::from_bits(bits & !EXPONENT | 1022 << 52);
    call.return_two(Value::float(mantissa), Value::int(exponent as i64 - 1022 - shift))
}

fn ldexp(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_number(call, 0)?;
    let exponent = state.check_int(call, 1)? as i32;
    // SAFETY: a function of numbers.
    let result = unsafe { libc_ldexp(value, exponent) };
    call.return_one(Value::float(result))
}

fn pow(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (base, exponent) = (state.check_number(call, 0)?, state.check_number(call, 1)?);
    call.return_one(Value::float(crate::number::power(base, exponent)))
}

fn log(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_number(call, 0)?;
    let result = if call.is_none_or_nil(1) {
        value.ln()
    } else {
        let base = state.check_number(call, 1)?;
        if base == 2.0 {
            value.log2()
        } else if base == 10.0 {
            value.log10()
        } else {
            value.ln() / base.ln()
        }
    };
    call.return_one(Value::float(result))
}

fn max(state: &mut State, call: Call) -> Result<u32, Throw> {
    extreme(state, call, |state, best, next| state.less_than(best, next))
}

fn min(state: &mut State, call: Call) -> Result<u32, Throw> {
    extreme(state, call, |state, best, next| state.less_than(next, best))
}

#[inline(always)]
fn extreme(
    state: &mut State,
    call: Call,
    is_better: impl Fn(&mut State, Value, Value) -> Result<bool, Throw>,
) -> Result<u32, Throw> {
    // Whatever can be compared is welcome, as in PUC; a comparison may run code that moves objects, so only places are kept.
    state.check_any(call, 0)?;
    let mut best = 0;
    for i in 1..call.count {
        if is_better(state, call.arg(best), call.arg(i))? {
            best = i;
        }
    }
    call.return_one(call.arg(best))
}

fn modf(state: &mut State, call: Call) -> Result<u32, Throw> {
    if call.arg(0).is_int() {
        return call.return_two(call.arg(0), Value::float(0.0));
    }
    let value = state.check_number(call, 0)?;
    let whole = value.trunc();
    let fraction = if value.is_infinite() { 0.0 } else { value - whole };
    call.return_two(integral(whole), Value::float(fraction))
}

fn random(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (low, high) = match call.count {
        0 => {
            let float = state.libraries.random.float();
            return call.return_one(Value::float(float));
        }
        1 => {
            let high = state.check_int(call, 0)?;
            if high == 0 {
                let bits = state.libraries.random.next_u64();
                return call.return_one(Value::int(bits as i64));
            }
            (1, high)
        }
        2 => (state.check_int(call, 0)?, state.check_int(call, 1)?),
        _ => return Err(state.throw_message("wrong number of arguments")),
    };
    if low > high {
        return Err(state.argument_error(call, call.count - 1, "interval is empty"));
    }
    let int = state.libraries.random.int(low, high);
    call.return_one(Value::int(int))
}

fn randomseed(state: &mut State, call: Call) -> Result<u32, Throw> {
    let [first, second] = if call.count == 0 {
        Generator::random_seed()
    } else {
        [state.check_int(call, 0)?, state.opt_int(call, 1, 0)?]
    };
    state.libraries.random = Generator::new(first, second);
    call.return_two(Value::int(first), Value::int(second))
}

fn tointeger(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    call.return_one(crate::number::to_integer(value).map_or(Value::NIL, Value::int))
}

fn type_(state: &mut State, call: Call) -> Result<u32, Throw> {
    let value = state.check_any(call, 0)?;
    let name: &[u8] = if value.is_int() {
        b"integer"
    } else if value.is(Tag::Float) {
        b"float"
    } else {
        return call.return_one(Value::NIL);
    };
    let name = state.string_value(name);
    call.return_one(name)
}

fn ult(state: &mut State, call: Call) -> Result<u32, Throw> {
    let (a, b) = (state.check_int(call, 0)?, state.check_int(call, 1)?);
    call.return_one(Value::bool((a as u64) < b as u64))
}
