//! Boxed values as words, and how payloads are boxed by the language's kinds.

use surmise_ir::language::{Kind, KindForm, WordPayload};
use surmise_ir::types::Type;

/// A boxed value of the host: tag and payload in pair encoding, one word in word encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Boxed {
    first: u64,
    second: u64,
}

impl Boxed {
    /// A value in pair encoding.
    pub const fn pair(tag: u64, payload: u64) -> Boxed {
        Boxed { first: tag, second: payload }
    }
    /// A value in word encoding.
    pub const fn from_word(word: u64) -> Boxed {
        Boxed { first: word, second: 0 }
    }
    /// The tag, in pair encoding.
    pub const fn tag(self) -> u64 {
        self.first
    }
    /// The payload, in pair encoding.
    pub const fn payload(self) -> u64 {
        self.second
    }
    /// The word, in word encoding.
    pub const fn word(self) -> u64 {
        self.first
    }
    /// Whether it is of the kind with this form.
    pub fn is_kind(self, form: KindForm) -> bool {
        match form {
            KindForm::Tag(tag) => self.first == tag,
            KindForm::Word { mask, pattern, .. } => self.first & mask == pattern,
        }
    }
}

/// The boxed value of a kind with this payload word. A float's payload is its bits; of a truth value only the lowest bit counts;
/// kinds without payload ignore it.
pub fn box_payload(kind: &Kind, word: u64) -> Boxed {
    let word = match kind.payload {
        None => 0,
        Some(Type::I1) => word & 1,
        Some(_) => word,
    };
    match kind.form {
        KindForm::Tag(tag) => Boxed::pair(tag, word),
        KindForm::Word { pattern, unbox, .. } => Boxed::from_word(match unbox {
            WordPayload::None => pattern,
            WordPayload::Shifted(bits) => word << bits | pattern,
            WordPayload::Offset => word.wrapping_add(pattern),
            WordPayload::Masked => word | pattern,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(payload: Option<Type>, form: KindForm) -> Kind {
        Kind { name: "k".to_owned(), payload, form }
    }
    fn word(mask: u64, pattern: u64, unbox: WordPayload) -> KindForm {
        KindForm::Word { mask, pattern, unbox }
    }

    #[test]
    fn payloads_are_boxed_by_kind() {
        for (kind, payload, boxed) in [
            (kind(Some(Type::I64), KindForm::Tag(3)), -5i64 as u64, Boxed::pair(3, -5i64 as u64)),
            (kind(Some(Type::I1), KindForm::Tag(1)), 0xff01, Boxed::pair(1, 1)),
            (kind(None, KindForm::Tag(0)), 77, Boxed::pair(0, 0)),
            (kind(Some(Type::I64), word(1, 1, WordPayload::Shifted(1))), 21, Boxed::from_word(43)),
            (kind(Some(Type::Ref), word(7, 2, WordPayload::Offset)), 0x1000, Boxed::from_word(0x1002)),
            (
                kind(Some(Type::Ref), word(0xffff << 48, 0x7ff8 << 48, WordPayload::Masked)),
                0x10,
                Boxed::from_word(0x7ff8_0000_0000_0010),
            ),
            (kind(None, word(!0, 6, WordPayload::None)), 9, Boxed::from_word(6)),
        ] {
            assert_eq!(box_payload(&kind, payload), boxed);
            assert!(boxed.is_kind(kind.form));
        }
    }
}
