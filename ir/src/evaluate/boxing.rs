//! Boxing and unboxing, as a language's kinds say.

use super::datum::{Boxed, Datum};
use crate::entity::KindId;
use crate::language::{KindForm, Language, WordPayload};

/// Whether a boxed value is of a kind.
pub fn is_kind(language: &Language, kind: KindId, value: Boxed) -> bool {
    match language.kinds[kind].form {
        KindForm::Tag(tag) => value[0] == tag,
        KindForm::Word { mask, pattern, .. } => value[0] & mask == pattern,
    }
}

/// The kind of a boxed value, if it is of any.
pub fn kind_of(language: &Language, value: Boxed) -> Option<KindId> {
    language.kinds.keys().find(|&kind| is_kind(language, kind, value))
}

/// The absent value: what arguments that were not passed and results that are missing are. It is that of the first kind
/// without payload.
pub fn absent(language: &Language) -> Option<Boxed> {
    let kind = language.kinds.iter().find(|(_, kind)| kind.payload.is_none()).map(|(id, _)| id)?;
    boxed(language, kind, None)
}

/// The boxed value of a kind with this payload. `None` if the payload is not of the kind's type.
pub fn boxed(language: &Language, kind: KindId, payload: Option<Datum>) -> Option<Boxed> {
    let kind = &language.kinds[kind];
    if payload.map(Datum::ty) != kind.payload {
        return None;
    }
    let bits = match payload {
        Some(payload) => payload.bits()?,
        None => 0,
    };
    Some(match kind.form {
        KindForm::Tag(tag) => [tag, bits],
        KindForm::Word { pattern, unbox, .. } => [
            match unbox {
                WordPayload::None => pattern,
                WordPayload::Shifted(count) => bits.wrapping_shl(count.into()) | pattern,
                WordPayload::Offset => bits.wrapping_add(pattern),
                WordPayload::Masked => bits | pattern,
            },
            0,
        ],
    })
}

/// The payload of a boxed value: `None` if it is not of the kind or its payload is broken, `Some(None)` if the kind has no payload.
pub fn unboxed(language: &Language, kind: KindId, value: Boxed) -> Option<Option<Datum>> {
    if !is_kind(language, kind, value) {
        return None;
    }
    let kind = &language.kinds[kind];
    let Some(ty) = kind.payload else { return Some(None) };
    let bits = match kind.form {
        KindForm::Tag(_) => value[1],
        KindForm::Word { mask, pattern, unbox } => match unbox {
            WordPayload::None => return None,
            WordPayload::Shifted(count) => (value[0] as i64).wrapping_shr(count.into()) as u64,
            WordPayload::Offset => value[0].wrapping_sub(pattern),
            WordPayload::Masked => value[0] & !mask,
        },
    };
    Datum::from_bits(ty, bits).map(Some)
}
