//! Numbers as C's `printf` writes them: `%d %u %o %x %e %f %g %a`. Pure.
//!
//! The digits of `%e`, `%f` and `%g` are Rust's, which are exact and round half to even, as glibc's are.

use std::io::Write;

use super::specification::Specification;

/// Precision where none is given.
const PRECISION: usize = 6;

/// `%d` and `%i`.
pub fn write_signed(out: &mut Vec<u8>, specification: &Specification, value: i64) {
    write_digits(out, specification, specification.sign(value < 0), value.unsigned_abs(), 10, false);
}

/// `%u`, `%o`, `%x` and `%X`.
pub fn write_unsigned(out: &mut Vec<u8>, specification: &Specification, value: u64, conversion: u8) {
    let (base, prefix): (u64, &[u8]) = match conversion {
        b'o' => (8, b""),
        b'x' => (16, b"0x"),
        b'X' => (16, b"0X"),
        _ => (10, b""),
    };
    let prefix = if specification.alternative && value != 0 { prefix } else { b"" };
    let mut specification = *specification;
    if conversion == b'o' && specification.alternative {
        // The alternative form begins with a zero, which the precision may bring already.
        let digits = value.checked_ilog(8).map_or(0, |log| log as usize + 1);
        let precision = specification.precision.unwrap_or(usize::from(value == 0));
        if precision <= digits {
            specification.zero &= specification.precision.is_none();
            let zero_padded = specification.zero && !specification.left && specification.width > digits;
            if !zero_padded {
                specification.precision = Some(digits + 1);
            }
        }
    }
    write_digits(out, &specification, prefix, value, base, conversion == b'X');
}

fn write_digits(
    out: &mut Vec<u8>,
    specification: &Specification,
    prefix: &[u8],
    value: u64,
    base: u64,
    is_upper: bool,
) {
    let mut digits = [0u8; 24];
    let mut at = digits.len();
    let mut rest = value;
    while rest > 0 {
        at -= 1;
        let digit = (rest % base) as u8;
        digits[at] = match digit {
            0..=9 => b'0' + digit,
            _ if is_upper => b'A' + digit - 10,
            _ => b'a' + digit - 10,
        };
        rest /= base;
    }
    let digits = &digits[at..];
    let start = out.len();
    out.extend_from_slice(prefix);
    let least = specification.precision.unwrap_or(1);
    out.resize(out.len() + least.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits);
    // A precision switches the zero flag off.
    let with_zeros = specification.zero && specification.precision.is_none();
    specification.pad(out, start, prefix.len(), with_zeros);
}

/// `%a %e %f %g` and their upper-case forms.
pub fn write_float(out: &mut Vec<u8>, specification: &Specification, value: f64, conversion: u8) {
    let start = out.len();
    let sign = specification.sign(value.is_sign_negative());
    out.extend_from_slice(sign);
    let mut prefix = sign.len();
    let magnitude = value.abs();
    if !magnitude.is_finite() {
        out.extend_from_slice(if magnitude.is_nan() { b"nan" } else { b"inf" });
    } else {
        let precision = specification.precision;
        match conversion.to_ascii_lowercase() {
            b'f' => write_fixed(out, magnitude, precision.unwrap_or(PRECISION), specification.alternative),
            b'e' => {
                write_exponential(out, magnitude, precision.unwrap_or(PRECISION), specification.alternative)
            }
            b'g' => write_general(out, magnitude, precision.unwrap_or(PRECISION), specification.alternative),
            _ => {
                prefix += 2;
                write_hexadecimal(out, magnitude, precision, specification.alternative);
            }
        }
    }
    if conversion.is_ascii_uppercase() {
        out[start..].make_ascii_uppercase();
    }
    specification.pad(out, start, prefix, specification.zero && magnitude.is_finite());
}

fn write_fixed(out: &mut Vec<u8>, magnitude: f64, precision: usize, with_point: bool) {
    // Writing to a vector can't fail.
    let _ = write!(out, "{magnitude:.precision$}");
    if with_point && precision == 0 {
        out.push(b'.');
    }
}

/// The decimal digits of a magnitude, `count` of them, and the exponent of the first.
struct Digits {
    text: [u8; 110],
    count: usize,
    exponent: i32,
}

impl Digits {
    fn new(magnitude: f64, count: usize) -> Digits {
        let mut text = [0u8; 110];
        let mut rest = &mut text[..];
        // At most 100 digits, point and exponent: they fit.
        let _ = write!(rest, "{magnitude:.*e}", count - 1);
        let written = 110 - rest.len();
        let e = text[..written].iter().rposition(|c| *c == b'e').unwrap_or(written);
        let exponent =
            std::str::from_utf8(&text[e + 1..written]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        // Take the point out.
        if count > 1 {
            text.copy_within(2..count + 1, 1);
        }
        Digits { text, count, exponent }
    }

    fn digits(&self) -> &[u8] {
        &self.text[..self.count]
    }
}

fn write_exponent(out: &mut Vec<u8>, exponent: i32) {
    let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
}

fn write_mantissa(out: &mut Vec<u8>, digits: &[u8], with_point: bool) {
    out.push(digits[0]);
    if digits.len() > 1 || with_point {
        out.push(b'.');
    }
    out.extend_from_slice(&digits[1..]);
}

fn write_exponential(out: &mut Vec<u8>, magnitude: f64, precision: usize, with_point: bool) {
    let digits = Digits::new(magnitude, precision + 1);
    write_mantissa(out, digits.digits(), with_point);
    write_exponent(out, digits.exponent);
}

/// `%g`: `precision` digits, without zeros at the end unless `alternative`.
fn write_general(out: &mut Vec<u8>, magnitude: f64, precision: usize, alternative: bool) {
    let precision = precision.max(1);
    let all = Digits::new(magnitude, precision);
    let mut digits = all.digits();
    if !alternative {
        let significant = digits.iter().rposition(|c| *c != b'0').map_or(1, |i| i + 1);
        digits = &digits[..significant];
    }
    if all.exponent < -4 || all.exponent >= precision as i32 {
        write_mantissa(out, digits, alternative);
        write_exponent(out, all.exponent);
    } else if all.exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-all.exponent - 1) as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        let whole = all.exponent as usize + 1;
        if digits.len() > whole {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        } else {
            out.extend_from_slice(digits);
            out.resize(out.len() + whole - digits.len(), b'0');
            if alternative {
                out.push(b'.');
            }
        }
    }
}

/// `%a`: `0x1.8p+1`. Subnormal numbers begin with `0x0.`, as in glibc.
fn write_hexadecimal(out: &mut Vec<u8>, magnitude: f64, precision: Option<usize>, with_point: bool) {
    const FRACTION_BITS: u32 = 52;
    const FRACTION_DIGITS: usize = 13;
    let bits = magnitude.to_bits();
    let biased = (bits >> FRACTION_BITS) as i32;
    let mut exponent = if biased == 0 { -1022 } else { biased - 1023 };
    let mut mantissa = bits & ((1 << FRACTION_BITS) - 1);
    if biased != 0 {
        mantissa |= 1 << FRACTION_BITS;
    }
    if bits == 0 {
        exponent = 0;
    }
    let digits = match precision {
        Some(precision) => {
            if precision < FRACTION_DIGITS {
                // Round half to even.
                let dropped = 4 * (FRACTION_DIGITS - precision) as u32;
                let (half, rest) = (1u64 << (dropped - 1), mantissa & ((1 << dropped) - 1));
                mantissa >>= dropped;
                if rest > half || (rest == half && mantissa & 1 != 0) {
                    mantissa += 1;
                }
                mantissa <<= dropped;
            }
            precision
        }
        None => FRACTION_DIGITS - (mantissa.trailing_zeros() as usize / 4).min(FRACTION_DIGITS),
    };
    let _ = write!(out, "0x{}", mantissa >> FRACTION_BITS);
    if digits > 0 || with_point {
        out.push(b'.');
    }
    for place in 0..digits {
        let digit =
            if place < FRACTION_DIGITS { mantissa >> (4 * (FRACTION_DIGITS - 1 - place)) & 15 } else { 0 };
        out.push(b"0123456789abcdef"[digit as usize]);
    }
    let _ = write!(out, "p{exponent:+}");
}

#[cfg(test)]
mod tests {
    use super::super::specification::Raw;
    use super::*;

    fn float(format: &str, value: f64) -> String {
        let raw = Raw::read(format.as_bytes()).unwrap();
        let mut out = Vec::new();
        write_float(&mut out, &raw.parse(b"-+ #0", true).unwrap(), value, raw.conversion);
        String::from_utf8(out).unwrap()
    }

    fn int(format: &str, value: i64) -> String {
        let raw = Raw::read(format.as_bytes()).unwrap();
        let mut out = Vec::new();
        let specification = raw.parse(b"-+ #0", true).unwrap();
        match raw.conversion {
            b'd' => write_signed(&mut out, &specification, value),
            conversion => write_unsigned(&mut out, &specification, value as u64, conversion),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats() {
        for (format, value, expected) in [
            ("f", 1.5, "1.500000"),
            (".0f", 2.5, "2"),
            (".0f", 0.5, "0"),
            (".1f", 0.25, "0.2"),
            ("#.0f", 1.0, "1."),
            ("010.2f", -1.5, "-000001.50"),
            ("010f", f64::INFINITY, "       inf"),
            ("e", 0.0, "0.000000e+00"),
            (".0e", 15.0, "2e+01"),
            (".3e", 12345.0, "1.234e+04"),
            ("E", 1e-300, "1.000000E-300"),
            ("g", 100000.0, "100000"),
            ("g", 1e6, "1e+06"),
            ("g", 1e-5, "1e-05"),
            ("g", 0.0001, "0.0001"),
            (".0g", 123.0, "1e+02"),
            ("#g", 1.0, "1.00000"),
            ("#.3g", 1e10, "1.00e+10"),
            ("#.1g", 1.0, "1."),
            (".14g", 0.1, "0.1"),
            (".17g", 0.1, "0.10000000000000001"),
            ("a", 1.0, "0x1p+0"),
            ("A", 255.5, "0X1.FFP+7"),
            (".3a", 1.0, "0x1.000p+0"),
            ("10.1a", 3.1, "  0x1.9p+1"),
            (".0a", 1.5, "0x2p+0"),
            (".0a", 1.25, "0x1p+0"),
            ("a", 5e-324, "0x0.0000000000001p-1022"),
            (".2a", 5e-324, "0x0.00p-1022"),
            ("a", -0.0, "-0x0p+0"),
            ("010a", 1.0, "0x00001p+0"),
            ("+a", f64::INFINITY, "+inf"),
        ] {
            assert_eq!(float(format, value), expected, "%{format} of {value}");
        }
    }

    #[test]
    fn integers() {
        for (format, value, expected) in [
            ("d", i64::MIN, "-9223372036854775808"),
            ("5.3d", 7, "  007"),
            ("05.3d", 7, "  007"),
            (".0d", 0, ""),
            ("+d", 5, "+5"),
            (" d", 5, " 5"),
            ("-+8d", 5, "+5      "),
            ("x", -1, "ffffffffffffffff"),
            ("#X", 255, "0XFF"),
            ("#x", 0, "0"),
            ("#o", 0, "0"),
            ("#o", 8, "010"),
            ("#.5x", 255, "0x000ff"),
            ("#08x", 255, "0x0000ff"),
            ("#.3o", 8, "010"),
            ("#.2o", 8, "010"),
            ("u", -1, "18446744073709551615"),
        ] {
            assert_eq!(int(format, value), expected, "%{format} of {value}");
        }
    }
}
