//! Conversion specifications of `string.format`: `%-08.3f`. Pure.

/// Longest specification, without the percent sign.
const MAXIMUM: usize = 21;

/// One conversion specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Specification {
    /// `-`: padding goes behind.
    pub left: bool,
    /// `+`: a sign also for positive numbers.
    pub plus: bool,
    /// ` `: a space in the place of a plus.
    pub space: bool,
    /// `#`: the alternative form.
    pub alternative: bool,
    /// `0`: padding is zeros behind the sign.
    pub zero: bool,
    /// Least width.
    pub width: usize,
    /// Digits behind the point, or most bytes of a string.
    pub precision: Option<usize>,
}

/// A specification's text, as it stands in the format, and its conversion letter (0 at the end of the format).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raw<'a> {
    /// What stands between the percent sign and the letter.
    pub modifiers: &'a [u8],
    /// The letter.
    pub conversion: u8,
}

impl<'a> Raw<'a> {
    /// Reads a specification; `text` begins behind the percent sign. None: it is too long.
    #[inline]
    pub fn read(text: &'a [u8]) -> Option<Raw<'a>> {
        let is_modifier = |c: &u8| matches!(c, b'-' | b'+' | b' ' | b'#' | b'0'..=b'9' | b'.');
        let length = text.iter().position(|c| !is_modifier(c)).unwrap_or(text.len());
        if length + 1 > MAXIMUM {
            return None;
        }
        Some(Raw { modifiers: &text[..length], conversion: text.get(length).copied().unwrap_or(0) })
    }

    /// The text for an error message.
    pub fn text(&self) -> String {
        let mut text = format!("%{}", String::from_utf8_lossy(self.modifiers));
        if self.conversion != 0 {
            text.push(self.conversion as char);
        }
        text
    }

    /// What the modifiers mean, if they are some of `flags`, a width of at most two digits, and (where `takes_precision`) a
    /// precision of at most two.
    pub fn parse(&self, flags: &[u8], takes_precision: bool) -> Option<Specification> {
        let mut result = Specification::default();
        let mut rest = self.modifiers;
        while let Some((c, tail)) = rest.split_first()
            && flags.contains(c)
        {
            match c {
                b'-' => result.left = true,
                b'+' => result.plus = true,
                b' ' => result.space = true,
                b'#' => result.alternative = true,
                _ => result.zero = true,
            }
            rest = tail;
        }
        // A width does not start with a zero: that would be a flag that the conversion has not.
        if rest.first() != Some(&b'0') {
            result.width = two_digits(&mut rest);
            if takes_precision && let Some((b'.', tail)) = rest.split_first() {
                rest = tail;
                result.precision = Some(two_digits(&mut rest));
            }
        }
        rest.is_empty().then_some(result)
    }
}

/// Takes up to two digits off.
fn two_digits(rest: &mut &[u8]) -> usize {
    let count = rest.iter().take(2).take_while(|c| c.is_ascii_digit()).count();
    let value = rest[..count].iter().fold(0, |v, c| v * 10 + usize::from(c - b'0'));
    *rest = &rest[count..];
    value
}

impl Specification {
    /// The text of a sign or of what the flags put in its place.
    pub fn sign(&self, is_negative: bool) -> &'static [u8] {
        match (is_negative, self.plus, self.space) {
            (true, ..) => b"-",
            (_, true, _) => b"+",
            (_, _, true) => b" ",
            _ => b"",
        }
    }

    /// Pads what is in `out` from `start` on; zeros go behind the first `prefix` bytes.
    pub fn pad(&self, out: &mut Vec<u8>, start: usize, prefix: usize, with_zeros: bool) {
        let length = out.len() - start;
        if length >= self.width {
            return;
        }
        let missing = self.width - length;
        if self.left {
            out.resize(out.len() + missing, b' ');
            return;
        }
        let (at, byte) = if with_zeros { (start + prefix, b'0') } else { (start, b' ') };
        out.resize(out.len() + missing, byte);
        let end = out.len() - missing;
        out.copy_within(at..end, at + missing);
        out[at..at + missing].fill(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_parses() {
        let raw = Raw::read(b"-08.3f rest").unwrap();
        assert_eq!((raw.modifiers, raw.conversion), (&b"-08.3"[..], b'f'));
        let parsed = raw.parse(b"-+ #0", true).unwrap();
        assert_eq!(
            parsed,
            Specification { left: true, zero: true, width: 8, precision: Some(3), ..Default::default() }
        );
        assert_eq!(raw.parse(b"-", true), None);
        assert_eq!(Raw::read(b"123d").unwrap().parse(b"-", true), None);
        assert_eq!(Raw::read(b".123d").unwrap().parse(b"-", true), None);
        assert_eq!(Raw::read(b".3c").unwrap().parse(b"-", false), None);
        assert_eq!(Raw::read(b".f").unwrap().parse(b"-", true).unwrap().precision, Some(0));
        assert_eq!(Raw::read(b"10").unwrap().conversion, 0);
        assert_eq!(Raw::read(&[b'1'; 30]), None);
        assert_eq!(Raw::read(b"10").unwrap().text(), "%10");
    }

    #[test]
    fn pads() {
        let padded = |text: &[u8], left, zeros, prefix| {
            let mut out = b"<".to_vec();
            out.extend_from_slice(text);
            Specification { left, width: 5, ..Default::default() }.pad(&mut out, 1, prefix, zeros);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(padded(b"-1", false, true, 1), "<-0001");
        assert_eq!(padded(b"-1", false, false, 1), "<   -1");
        assert_eq!(padded(b"-1", true, true, 1), "<-1   ");
        assert_eq!(padded(b"123456", false, false, 0), "<123456");
    }
}
