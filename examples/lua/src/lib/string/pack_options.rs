//! The format strings of `string.pack`: reading options, sizes and alignment; and numbers as bytes. Pure.

/// Largest integer that can be packed, in bytes.
const MAXIMUM_INT: usize = 16;
/// Largest native alignment.
const MAXIMUM_ALIGNMENT: usize = 8;
/// Bytes of a Lua integer.
pub const INT_SIZE: usize = 8;
/// Sizes are read up to here; further digits are options of their own.
const MAXIMUM_SIZE: usize = i32::MAX as usize;

/// What an option stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A signed integer.
    Int,
    /// An unsigned integer.
    Unsigned,
    /// A float of four bytes.
    Single,
    /// A float of eight bytes.
    Double,
    /// A string of a fixed size.
    Fixed,
    /// A string behind its length.
    Counted,
    /// A string before a zero.
    ZeroTerminated,
    /// A byte of padding.
    Padding,
    /// Padding up to the alignment of the next option.
    Align,
    /// A setting: no data.
    Nothing,
}

/// One option, in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PackOption {
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes, without padding (of a counted string: that of the length).
    pub size: usize,
    /// Bytes of padding before it.
    pub padding: usize,
}

/// What is wrong with a format. The texts are PUC's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FormatError {
    /// An error of its own.
    Plain(Box<str>),
    /// An error of argument 1.
    Argument(&'static str),
}

/// Reads a format option by option.
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Whether numbers are little-endian at the moment.
    pub is_little: bool,
    alignment: usize,
}

impl<'a> Reader<'a> {
    /// At the start of a format.
    pub fn new(format: &'a [u8]) -> Reader<'a> {
        let end = format.iter().position(|c| *c == 0).unwrap_or(format.len());
        Reader { rest: &format[..end], is_little: cfg!(target_endian = "little"), alignment: 1 }
    }

    /// The next option, for data that has `total` bytes so far; None at the end.
    ///
    /// # Errors
    /// When the format is malformed.
    pub fn next(&mut self, total: usize) -> Result<Option<PackOption>, FormatError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (kind, size) = self.option()?;
        let mut alignment = size;
        if kind == Kind::Align {
            const INVALID: FormatError = FormatError::Argument("invalid next option for option 'X'");
            if self.rest.is_empty() {
                return Err(INVALID);
            }
            let (next, next_size) = self.option()?;
            if next == Kind::Fixed || next_size == 0 {
                return Err(INVALID);
            }
            alignment = next_size;
        }
        let mut padding = 0;
        if alignment > 1 && kind != Kind::Fixed {
            let alignment = alignment.min(self.alignment);
            if !alignment.is_power_of_two() {
                return Err(FormatError::Argument("format asks for alignment not power of 2"));
            }
            padding = total.wrapping_neg() & (alignment - 1);
        }
        Ok(Some(PackOption { kind, size, padding }))
    }

    /// Reads an option's letter and size.
    fn option(&mut self) -> Result<(Kind, usize), FormatError> {
        let (letter, rest) = self.rest.split_first().map_or((0, self.rest), |(c, rest)| (*c, rest));
        self.rest = rest;
        Ok(match letter {
            b'b' => (Kind::Int, 1),
            b'B' => (Kind::Unsigned, 1),
            b'h' => (Kind::Int, 2),
            b'H' => (Kind::Unsigned, 2),
            b'l' | b'j' => (Kind::Int, 8),
            b'L' | b'J' | b'T' => (Kind::Unsigned, 8),
            b'i' => (Kind::Int, self.limited_number(4)?),
            b'I' => (Kind::Unsigned, self.limited_number(4)?),
            b'f' => (Kind::Single, 4),
            b'd' | b'n' => (Kind::Double, 8),
            b's' => (Kind::Counted, self.limited_number(8)?),
            b'c' => match self.number() {
                Some(size) => (Kind::Fixed, size),
                None => {
                    return Err(FormatError::Plain("missing size for format option 'c'".into()));
                }
            },
            b'z' => (Kind::ZeroTerminated, 0),
            b'x' => (Kind::Padding, 1),
            b'X' => (Kind::Align, 0),
            b' ' => (Kind::Nothing, 0),
            b'<' => {
                self.is_little = true;
                (Kind::Nothing, 0)
            }
            b'>' => {
                self.is_little = false;
                (Kind::Nothing, 0)
            }
            b'=' => {
                self.is_little = cfg!(target_endian = "little");
                (Kind::Nothing, 0)
            }
            b'!' => {
                self.alignment = self.limited_number(MAXIMUM_ALIGNMENT)?;
                (Kind::Nothing, 0)
            }
            _ => {
                return Err(FormatError::Plain(format!("invalid format option '{}'", letter as char).into()));
            }
        })
    }

    fn number(&mut self) -> Option<usize> {
        let mut value = None;
        while let Some((digit @ b'0'..=b'9', rest)) = self.rest.split_first() {
            let so_far = value.unwrap_or(0);
            if so_far > (MAXIMUM_SIZE - 9) / 10 {
                break;
            }
            value = Some(so_far * 10 + usize::from(digit - b'0'));
            self.rest = rest;
        }
        value
    }

    fn limited_number(&mut self, default: usize) -> Result<usize, FormatError> {
        let value = self.number().unwrap_or(default);
        if (1..=MAXIMUM_INT).contains(&value) {
            Ok(value)
        } else {
            Err(FormatError::Plain(format!("integral size ({value}) out of limits [1,{MAXIMUM_INT}]").into()))
        }
    }
}

/// Appends an integer of `size` bytes; what is above eight bytes repeats the sign.
pub fn write_int(out: &mut Vec<u8>, value: i64, size: usize, is_little: bool, is_signed: bool) {
    let extension = if is_signed && value < 0 { 0xff } else { 0 };
    let start = out.len();
    out.extend_from_slice(&value.to_le_bytes()[..size.min(INT_SIZE)]);
    out.resize(start + size, extension);
    if !is_little {
        out[start..].reverse();
    }
}

/// Reads an integer of up to 16 bytes. None: it has more than 64 bits.
pub fn read_int(bytes: &[u8], is_little: bool, is_signed: bool) -> Option<i64> {
    let size = bytes.len();
    let byte = |i: usize| bytes[if is_little { i } else { size - 1 - i }];
    let low = size.min(INT_SIZE);
    let value = (0..low).rev().fold(0u64, |value, i| value << 8 | u64::from(byte(i)));
    if size < INT_SIZE {
        let unused = 64 - 8 * size as u32;
        return Some(if is_signed { (value as i64) << unused >> unused } else { value as i64 });
    }
    let extension = if is_signed && (value as i64) < 0 { 0xff } else { 0 };
    (low..size).all(|i| byte(i) == extension).then_some(value as i64)
}

/// Whether an integer can be written in `size` bytes.
pub fn fits(value: i64, size: usize, is_signed: bool) -> bool {
    if size >= INT_SIZE {
        true
    } else if is_signed {
        let limit = 1i64 << (size * 8 - 1);
        (-limit..limit).contains(&value)
    } else {
        (value as u64) < 1u64 << (size * 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(format: &str) -> Result<Vec<(Kind, usize, usize)>, FormatError> {
        let mut reader = Reader::new(format.as_bytes());
        let (mut total, mut all) = (0, Vec::new());
        while let Some(option) = reader.next(total)? {
            total += option.size + option.padding;
            all.push((option.kind, option.size, option.padding));
        }
        Ok(all)
    }

    #[test]
    fn reads() {
        assert_eq!(options("bi3"), Ok(vec![(Kind::Int, 1, 0), (Kind::Int, 3, 0)]));
        assert_eq!(
            options("!4 bi8"),
            Ok(vec![(Kind::Nothing, 0, 0), (Kind::Nothing, 0, 0), (Kind::Int, 1, 0), (Kind::Int, 8, 3)])
        );
        assert_eq!(options("!bXd").unwrap()[2], (Kind::Align, 0, 7));
        assert_eq!(options("i17"), Err(FormatError::Plain("integral size (17) out of limits [1,16]".into())));
        assert_eq!(options("!i3"), Err(FormatError::Argument("format asks for alignment not power of 2")));
        assert_eq!(options("X"), Err(FormatError::Argument("invalid next option for option 'X'")));
        assert_eq!(options("c"), Err(FormatError::Plain("missing size for format option 'c'".into())));
        assert_eq!(options("c2147483647"), Err(FormatError::Plain("invalid format option '7'".into())));
    }

    #[test]
    fn integers_round_trip() {
        for value in [0, 1, -1, 127, -128, 0x1234_5678, i64::MAX, i64::MIN] {
            for size in 1..=MAXIMUM_INT {
                for is_little in [false, true] {
                    if fits(value, size, true) {
                        let mut out = Vec::new();
                        write_int(&mut out, value, size, is_little, true);
                        assert_eq!(out.len(), size);
                        assert_eq!(read_int(&out, is_little, true), Some(value));
                    }
                }
            }
        }
        assert_eq!(read_int(&[0xff; 9], true, false), None);
        assert_eq!(read_int(&[0xff; 9], true, true), Some(-1));
    }
}
