//! Prints languages.

use super::print_function::{BodyText, FieldName, Name, Word, commas};
use crate::entity::{FieldId, KindId};
use crate::function::Entry;
use crate::language::{
    Case, Encoding, Extern, KindForm, Language, OperandPattern, Operation, Reach, WordPayload, WordUse,
};
use crate::types::Type;
use smallvec::SmallVec;
use std::fmt::{self, Display, Formatter};

/// The text of a language.
pub fn print_language(language: &Language) -> String {
    LanguageText(language).to_string()
}

struct LanguageText<'a>(&'a Language);

impl Display for LanguageText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let language = self.0;
        let encoding = match language.encoding {
            Encoding::Word => "word",
            Encoding::Pair => "pair",
        };
        writeln!(f, "language {} {encoding}", Name(&language.name))?;
        self.kinds(f)?;
        if !language.alias_classes.is_empty() {
            f.write_str("aliases ")?;
            commas(f, language.alias_classes.values(), |f, name| write!(f, "{}", AliasName(name)))?;
            writeln!(f)?;
        }
        for layout in language.layouts.values() {
            writeln!(f, "layout {} {{", Name(&layout.name))?;
            for &field in &layout.fields {
                self.field(f, field)?;
            }
            writeln!(f, "}}")?;
        }
        for recipe in &language.recipes {
            writeln!(f, "recipe {}: {}", Name(&recipe.name), recipe.ty)?;
        }
        for function in language.externs.values() {
            self.extern_(f, function)?;
        }
        self.calls(f)?;
        if let Some(barrier) = &language.barrier {
            let (flags, slow) = (FieldName(language, barrier.flags), self.extern_name(barrier.slow));
            writeln!(
                f,
                "barrier {flags} mask {} trigger {} slow {slow}",
                Word(barrier.mask),
                Word(barrier.trigger)
            )?;
        }
        for operation in language.operations.values() {
            self.operation(f, operation)?;
        }
        for intrinsic in &language.intrinsics {
            write!(f, "intrinsic {} = {}", Name(&intrinsic.name), intrinsic.number)?;
            self.cases(f, &intrinsic.cases, &[])?;
        }
        Ok(())
    }
}

/// An alias class's name: identifiers with points between stay without quotes.
struct AliasName<'a>(&'a str);

impl Display for AliasName<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.split_once('.') {
            Some((first, second)) if [first, second].into_iter().all(super::lexer::is_identifier) => {
                f.write_str(self.0)
            }
            _ => write!(f, "{}", Name(self.0)),
        }
    }
}

impl LanguageText<'_> {
    fn kinds(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for kind in self.0.kinds.values() {
            write!(f, "kind {}", Name(&kind.name))?;
            match kind.form {
                KindForm::Tag(tag) => write!(f, " tag {}", Word(tag))?,
                KindForm::Word { mask, pattern, unbox } => {
                    write!(f, " word mask {} pattern {}", Word(mask), Word(pattern))?;
                    match unbox {
                        WordPayload::None => {}
                        WordPayload::Shifted(count) => write!(f, " shifted {count}")?,
                        WordPayload::Offset => f.write_str(" offset")?,
                        WordPayload::Masked => f.write_str(" masked")?,
                    }
                }
            }
            match kind.payload {
                Some(ty) => writeln!(f, " {ty}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
    fn field(&self, f: &mut Formatter<'_>, id: FieldId) -> fmt::Result {
        let Some(field) = self.0.fields.get(id) else { return writeln!(f, "  ?{id}") };
        write!(f, "  {}: {} at {}", Name(&field.name), field.memory.name(), field.offset)?;
        if field.stride != 0 {
            write!(f, " stride {}", field.stride)?;
        }
        write!(f, " alias {}", self.alias_name(field.alias))?;
        writeln!(f, "{}", if field.immutable { " immutable" } else { "" })
    }
    fn alias_name(&self, alias: crate::entity::AliasClass) -> String {
        self.0
            .alias_classes
            .get(alias)
            .map_or_else(|| format!("?{alias}"), |name| AliasName(name).to_string())
    }
    fn extern_name(&self, id: crate::entity::ExternId) -> String {
        self.0.externs.get(id).map_or_else(|| format!("?{id}"), |function| Name(&function.name).to_string())
    }
    fn kind_name(&self, id: KindId) -> String {
        self.0.kinds.get(id).map_or_else(|| format!("?{id}"), |kind| Name(&kind.name).to_string())
    }
    fn recipe_name(&self, class: u32) -> String {
        self.0
            .recipes
            .get(class as usize)
            .map_or_else(|| format!("?{class}"), |class| Name(&class.name).to_string())
    }
    fn signature(&self, f: &mut Formatter<'_>, params: &[Type], result: Option<Type>) -> fmt::Result {
        f.write_str("(")?;
        commas(f, params, |f, ty| write!(f, "{ty}"))?;
        f.write_str(")")?;
        result.map_or(Ok(()), |ty| write!(f, " -> {ty}"))
    }
    fn extern_(&self, f: &mut Formatter<'_>, function: &Extern) -> fmt::Result {
        write!(f, "extern {}", Name(&function.name))?;
        self.signature(f, &function.params, function.result)?;
        let effects = &function.effects;
        let flags = [
            (function.needs_window, " window"),
            (effects.throws, " throws"),
            (effects.calls_guest, " calls_guest"),
            (effects.allocates, " allocates"),
        ];
        for (_, flag) in flags.into_iter().filter(|(is_set, _)| *is_set) {
            f.write_str(flag)?;
        }
        for (reach, name) in [(&effects.reads, "reads"), (&effects.writes, "writes")] {
            match reach {
                Reach::Nothing => {}
                Reach::Everything => write!(f, " {name} everything")?,
                Reach::Classes(classes) => {
                    write!(f, " {name} (")?;
                    commas(f, classes, |f, &class| f.write_str(&self.alias_name(class)))?;
                    f.write_str(")")?;
                }
            }
        }
        writeln!(f)
    }
    fn calls(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(calls) = &self.0.calls else { return Ok(()) };
        writeln!(f, "calls {{")?;
        writeln!(f, "  closure {}", self.kind_name(calls.closure))?;
        writeln!(f, "  unit {}", FieldName(self.0, calls.unit))?;
        writeln!(f, "  entry {}", FieldName(self.0, calls.entry))?;
        writeln!(f, "  generic {}", self.extern_name(calls.generic))?;
        writeln!(f, "  closure_variant {}", calls.closure_variant)?;
        writeln!(f, "  unit_recipe {}", self.recipe_name(calls.unit_recipe))?;
        if let Some(natives) = &calls.natives {
            writeln!(f, "  native_variant {}", natives.variant)?;
            writeln!(f, "  native_recipe {}", self.recipe_name(natives.recipe))?;
            writeln!(f, "  native {}", self.kind_name(natives.kind))?;
        }
        writeln!(f, "}}")
    }
    fn operation(&self, f: &mut Formatter<'_>, operation: &Operation) -> fmt::Result {
        write!(f, "operation {}", Name(&operation.name))?;
        self.signature(f, &operation.params, operation.result)?;
        if operation.result_is_observed {
            f.write_str(" observed")?;
        }
        write!(f, " = {}", self.extern_name(operation.fallback))?;
        self.cases(f, &operation.cases, &operation.params)
    }
    fn cases(&self, f: &mut Formatter<'_>, cases: &[Case], params: &[Type]) -> fmt::Result {
        if cases.is_empty() {
            return writeln!(f);
        }
        writeln!(f, " {{")?;
        for case in cases {
            f.write_str("  case (")?;
            commas(f, &case.operands, |f, pattern| match *pattern {
                OperandPattern::Anything => f.write_str("_"),
                OperandPattern::Kind(kind) => f.write_str(&self.kind_name(kind)),
            })?;
            f.write_str(")")?;
            if let Some(variant) = case.variant {
                write!(f, " observed {variant}")?;
            }
            if !case.words.is_empty() {
                f.write_str(" (")?;
                commas(f, &case.words, |f, word| match *word {
                    WordUse::Integer => f.write_str("integer"),
                    WordUse::Slot(class) => write!(f, "slot {}", self.recipe_name(class)),
                    WordUse::Assumption(class) => write!(f, "assume {}", self.recipe_name(class)),
                })?;
                f.write_str(")")?;
            }
            writeln!(f, " {{")?;
            let has_implied_header = has_implied_header(self.0, case, params);
            let body = BodyText {
                function: &case.template,
                language: self.0,
                indent: "  ",
                first_header: !has_implied_header,
            };
            writeln!(f, "{body}  }}")?;
        }
        writeln!(f, "}}")
    }
}

/// Whether the template's first block has the number and the parameters that a case without a block header gets.
fn has_implied_header(language: &Language, case: &Case, params: &[Type]) -> bool {
    let template = &case.template;
    let Some(&entry) = template.layout.first() else { return false };
    let block = &template.blocks[entry];
    let types = template_parameters(language, case, params);
    let fits = |(position, (&param, &ty)): (usize, (&crate::entity::Value, &Type))| {
        param.as_u32() == position as u32 && template.values.get(param).is_some_and(|value| value.ty == ty)
    };
    entry.as_u32() == 0
        && !block.cold
        && template.entry == Entry::Template
        && block.params.len() == types.len()
        && block.params.iter().zip(&types).enumerate().all(fits)
}

/// The types of a template's parameters: the operands (payloads where the pattern names a kind with one), then the words.
/// Operands without a type in `params` (an intrinsic's) are boxed.
pub(crate) fn template_parameters(language: &Language, case: &Case, params: &[Type]) -> SmallVec<[Type; 8]> {
    let operand = |(position, pattern): (usize, &OperandPattern)| {
        let ty = params.get(position).copied().unwrap_or(Type::Any);
        match *pattern {
            OperandPattern::Anything => ty,
            OperandPattern::Kind(kind) => {
                language.kinds.get(kind).and_then(|kind| kind.payload).unwrap_or(ty)
            }
        }
    };
    let word = |word: &WordUse| match *word {
        WordUse::Integer => Some(Type::I64),
        WordUse::Slot(class) => {
            Some(language.recipes.get(class as usize).map_or(Type::Raw, |class| class.ty))
        }
        WordUse::Assumption(_) => None,
    };
    case.operands.iter().enumerate().map(operand).chain(case.words.iter().filter_map(word)).collect()
}
