//! Boxing and unboxing, in both encodings.
//!
//! A boxed pair is a tag and a payload: to box is to put a constant beside the payload, to unbox is to take the payload. A boxed
//! word is told by a mask and a pattern and computed as its kind says.

use super::Translator;
use super::error::LowerError;
use super::values::Words;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder};
use surmise_ir::entity::{KindId, Value};
use surmise_ir::language::{Encoding, KindForm, Language, WordPayload};
use surmise_ir::types::Type;

/// What machine code takes for granted of a language.
pub(super) fn check_language(language: &Language) -> Result<(), LowerError> {
    for kind in language.kinds.values() {
        match (language.encoding, kind.form) {
            (Encoding::Pair, KindForm::Tag(tag)) if u32::try_from(tag).is_ok() => {}
            (Encoding::Pair, KindForm::Tag(tag)) => {
                return Err(LowerError::Language(format!(
                    "kind {} has the tag {tag:#x}; tags have to fit in 32 bits, since they share a register with the result count",
                    kind.name
                )));
            }
            (Encoding::Word, KindForm::Word { .. }) => {}
            (encoding, form) => {
                return Err(LowerError::Language(format!(
                    "kind {} has the form {form:?} in {encoding:?} encoding",
                    kind.name
                )));
            }
        }
    }
    Ok(())
}

/// The language's absent value, what a missing result is: the first kind without payload. Gives its words as constants.
pub(super) fn absent(language: &Language) -> Result<(u64, u64), LowerError> {
    let kind = language.kinds.values().find(|kind| kind.payload.is_none()).ok_or_else(|| {
        LowerError::Language("there is no kind without payload, which missing results would be".to_owned())
    })?;
    Ok(match kind.form {
        KindForm::Tag(tag) => (tag, 0),
        KindForm::Word { pattern, .. } => (pattern, pattern),
    })
}

impl Translator<'_> {
    /// The boxed value of a kind with this payload.
    pub fn box_payload(&mut self, kind: KindId, payload: Option<ir::Value>) -> Result<Words, LowerError> {
        let language = self.language;
        let kind = &language.kinds[kind];
        let word = match (kind.payload, payload) {
            (Some(ty), Some(payload)) => Some(self.as_word(ty, payload)),
            _ => None,
        };
        Ok(match kind.form {
            KindForm::Tag(tag) => {
                let payload = word.unwrap_or_else(|| self.constant(0));
                Words::Pair(self.constant(tag), payload)
            }
            KindForm::Word { pattern, unbox, .. } => Words::One(match (unbox, word) {
                (WordPayload::None, _) | (_, None) => self.constant(pattern),
                (WordPayload::Shifted(count), Some(word)) => {
                    let shifted = self.builder.ins().ishl_imm_u(word, i64::from(count));
                    self.builder.ins().bor_imm_s(shifted, pattern as i64)
                }
                (WordPayload::Offset, Some(word)) => self.builder.ins().iadd_imm_s(word, pattern as i64),
                (WordPayload::Masked, Some(word)) => self.builder.ins().bor_imm_s(word, pattern as i64),
            }),
        })
    }
    /// Whether a boxed value is of a kind.
    pub fn is_kind(&mut self, value: Value, kind: KindId) -> Result<ir::Value, LowerError> {
        self.compare_kind(IntCC::Equal, value, kind)
    }
    /// Compares a boxed value's tag bits with those of a kind.
    pub fn compare_kind(
        &mut self,
        condition: IntCC,
        value: Value,
        kind: KindId,
    ) -> Result<ir::Value, LowerError> {
        let words = self.words(value)?;
        Ok(match (self.language.kinds[kind].form, words) {
            (KindForm::Tag(constant), Words::Pair(tag, _)) => {
                self.builder.ins().icmp_imm_s(condition, tag, constant as i64)
            }
            (KindForm::Word { mask, pattern, .. }, Words::One(word)) => {
                let bits =
                    if mask == u64::MAX { word } else { self.builder.ins().band_imm_s(word, mask as i64) };
                self.builder.ins().icmp_imm_s(condition, bits, pattern as i64)
            }
            _ => {
                return Err(self.unsupported(format!("{value} is no boxed value of the language's encoding")));
            }
        })
    }
    /// The payload of a boxed value of a kind; `None` for kinds without payload.
    pub fn unbox(&mut self, value: Value, kind: KindId) -> Result<Option<ir::Value>, LowerError> {
        let language = self.language;
        let Some(ty) = language.kinds[kind].payload else { return Ok(None) };
        if ty == Type::F64
            && let Some(&float) = self.float_forms.get(&value)
        {
            return Ok(Some(float));
        }
        let words = self.words(value)?;
        let word = match (language.kinds[kind].form, words) {
            (KindForm::Tag(_), Words::Pair(_, payload)) => payload,
            (KindForm::Word { mask, pattern, unbox }, Words::One(word)) => match unbox {
                WordPayload::None => word,
                WordPayload::Shifted(count) => self.builder.ins().sshr_imm_u(word, i64::from(count)),
                WordPayload::Offset => self.builder.ins().iadd_imm_s(word, (pattern as i64).wrapping_neg()),
                WordPayload::Masked => self.builder.ins().band_imm_s(word, !mask as i64),
            },
            _ => {
                return Err(self.unsupported(format!("{value} is no boxed value of the language's encoding")));
            }
        };
        Ok(Some(self.value_of_word(ty, word)))
    }
}
