//! Rules 17 to 23: languages.

use super::{Rule, Violation, verify_template};
use crate::entity::{ExternId, FieldId, KindId};
use crate::language::{
    Case, Encoding, Kind, KindForm, Language, MemoryType, OperandPattern, Reach, WordPayload, WordUse,
};
use crate::text::template_parameters;
use crate::types::Type;
use std::collections::BTreeSet;

/// All violations of rules 16 to 23 in a language.
pub fn verify_language(language: &Language) -> Vec<Violation> {
    let mut check = Check { language, violations: Vec::new() };
    check.kinds();
    check.layouts();
    check.recipes();
    check.externs();
    check.operations();
    check.protocols();
    check.violations
}

struct Check<'a> {
    language: &'a Language,
    violations: Vec<Violation>,
}

/// The first name that stands twice in a table.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|&name| !seen.insert(name))
}

impl<'a> Check<'a> {
    fn add(&mut self, rule: Rule, place: impl Into<String>, message: impl Into<String>) {
        self.violations.push(Violation { rule, block: None, place: place.into(), message: message.into() });
    }
    fn names(&mut self, rule: Rule, what: &str, names: impl Iterator<Item = &'a str>) {
        if let Some(name) = repeated(names) {
            self.add(rule, format!("{what} {name}"), "the name is taken already");
        }
    }

    fn kinds(&mut self) {
        let language = self.language;
        self.names(Rule::Kinds, "kind", language.kinds.values().map(|kind| kind.name.as_str()));
        for (id, kind) in &language.kinds {
            let place = format!("kind {}", kind.name);
            let is_pair = matches!(kind.form, KindForm::Tag(_));
            if is_pair != (language.encoding == Encoding::Pair) {
                self.add(Rule::Kinds, place.clone(), "its form is one of the other encoding");
            }
            if kind.payload == Some(Type::Any) {
                self.add(Rule::Kinds, place.clone(), "a payload is no boxed value");
            }
            if let Some(message) = wrong_word(kind) {
                self.add(Rule::Kinds, place.clone(), message);
            }
            for (other_id, other) in language.kinds.iter().filter(|&(other, _)| other > id) {
                if overlap(kind.form, other.form) {
                    let message =
                        format!("kind {} ({other_id}) recognizes the same boxed values", other.name);
                    self.add(Rule::Kinds, place.clone(), message);
                }
            }
        }
    }

    fn layouts(&mut self) {
        let language = self.language;
        self.names(Rule::Layouts, "layout", language.layouts.values().map(|layout| layout.name.as_str()));
        for (id, layout) in &language.layouts {
            let place = format!("layout {}", layout.name);
            let fields: Vec<_> = language.fields.iter().filter(|(_, field)| field.layout == id).collect();
            self.names(
                Rule::Layouts,
                &format!("field of {},", layout.name),
                fields.iter().map(|(_, field)| field.name.as_str()),
            );
            let listed: BTreeSet<FieldId> = layout.fields.iter().copied().collect();
            if listed != fields.iter().map(|(id, _)| *id).collect() || listed.len() != layout.fields.len() {
                self.add(Rule::Layouts, place.clone(), "its list is not that of its fields");
            }
        }
        for field in language.fields.values() {
            let place = format!("field {}", field.name);
            if !language.layouts.is_valid(field.layout) {
                self.add(Rule::Layouts, place.clone(), "its layout does not exist");
            }
            if !language.alias_classes.is_valid(field.alias) {
                self.add(Rule::Layouts, place.clone(), "its alias class does not exist");
            }
        }
    }

    fn recipes(&mut self) {
        let language = self.language;
        self.names(Rule::Recipes, "recipe", language.recipes.iter().map(|recipe| recipe.name.as_str()));
        for recipe in &language.recipes {
            if !matches!(recipe.ty, Type::Raw | Type::Ref | Type::Any) {
                self.add(
                    Rule::Recipes,
                    format!("recipe {}", recipe.name),
                    format!("a slot can't hold {}", recipe.ty),
                );
            }
        }
    }

    fn externs(&mut self) {
        let language = self.language;
        self.names(Rule::Externs, "extern", language.externs.values().map(|function| function.name.as_str()));
        for function in language.externs.values() {
            for reach in [&function.effects.reads, &function.effects.writes] {
                if let Reach::Classes(classes) = reach
                    && classes.iter().any(|&class| !language.alias_classes.is_valid(class))
                {
                    self.add(
                        Rule::Externs,
                        format!("extern {}", function.name),
                        "an alias class does not exist",
                    );
                }
            }
        }
    }

    fn operations(&mut self) {
        let language = self.language;
        self.names(
            Rule::Operations,
            "operation",
            language.operations.values().map(|operation| operation.name.as_str()),
        );
        self.names(
            Rule::Operations,
            "intrinsic",
            language.intrinsics.iter().map(|intrinsic| intrinsic.name.as_str()),
        );
        for operation in language.operations.values() {
            let place = format!("operation {}", operation.name);
            match language.externs.get(operation.fallback) {
                None => self.add(Rule::Operations, place.clone(), "its fallback does not exist"),
                Some(fallback)
                    if fallback.params[..] != operation.params[..] || fallback.result != operation.result =>
                {
                    let message = format!("its fallback {} has another signature", fallback.name);
                    self.add(Rule::Operations, place.clone(), message);
                }
                Some(_) => {}
            }
            for (index, case) in operation.cases.iter().enumerate() {
                let place = format!("{place}, case {index}");
                if case.operands.len() != operation.params.len() {
                    self.add(
                        Rule::Cases,
                        place.clone(),
                        format!("{} patterns for {} operands", case.operands.len(), operation.params.len()),
                    );
                }
                self.case(&place, case, &operation.params, operation.result);
            }
        }
        let mut numbers = BTreeSet::new();
        for intrinsic in &language.intrinsics {
            let place = format!("intrinsic {}", intrinsic.name);
            if !numbers.insert(intrinsic.number) {
                self.add(
                    Rule::Operations,
                    place.clone(),
                    format!("another intrinsic has number {}", intrinsic.number),
                );
            }
            for (index, case) in intrinsic.cases.iter().enumerate() {
                let params = vec![Type::Any; case.operands.len()];
                self.case(&format!("{place}, case {index}"), case, &params, Some(Type::Any));
            }
        }
    }

    fn case(&mut self, place: &str, case: &Case, params: &[Type], result: Option<Type>) {
        let language = self.language;
        let before = self.violations.len();
        for (position, pattern) in case.operands.iter().enumerate() {
            let OperandPattern::Kind(kind) = *pattern else { continue };
            if !language.kinds.is_valid(kind) {
                self.add(Rule::Cases, place, format!("the kind of operand {position} does not exist"));
            }
            if params.get(position).is_some_and(|&ty| ty != Type::Any) {
                self.add(Rule::Cases, place, format!("operand {position} is not boxed, so it has no kind"));
            }
        }
        for word in &case.words {
            let (WordUse::Slot(class) | WordUse::Assumption(class)) = *word else { continue };
            let class = language.recipes.get(class as usize);
            if class.is_none() {
                self.add(Rule::Cases, place, "a word's recipe class does not exist");
            } else if matches!(word, WordUse::Assumption(_))
                && class.is_some_and(|class| class.ty != Type::Raw)
            {
                self.add(Rule::Cases, place, "the recipe class of an assumption is not of type raw");
            }
        }
        if case.variant.is_none() && !case.words.is_empty() {
            self.add(Rule::Cases, place, "words of a fact, but no variant of fact");
        }
        if self.violations.len() > before {
            return;
        }
        let params = template_parameters(language, case, params);
        for violation in verify_template(&case.template, language, &params, result) {
            let inst =
                if violation.place.is_empty() { String::new() } else { format!(", {}", violation.place) };
            self.violations.push(Violation { place: format!("{place}{inst}"), ..violation });
        }
    }

    fn protocols(&mut self) {
        let language = self.language;
        if let Some(calls) = &language.calls {
            self.kind("calls", "closure", calls.closure);
            self.field("calls", "unit", calls.unit, |memory| memory == MemoryType::Full(Type::Raw));
            self.field("calls", "entry", calls.entry, |memory| memory == MemoryType::Full(Type::Raw));
            self.extern_("calls", "generic", calls.generic, &[Type::Raw, Type::I64, Type::I64], |result| {
                result == Some(Type::Any)
            });
            self.recipe("calls", "unit_recipe", calls.unit_recipe, Type::Raw);
            if let Some(natives) = &calls.natives {
                self.kind("calls", "native", natives.kind);
                self.recipe("calls", "native_recipe", natives.recipe, Type::Ref);
            }
        }
        if let Some(barrier) = &language.barrier {
            self.field("barrier", "flags", barrier.flags, |memory| memory.value_type() == Type::I64);
            self.extern_("barrier", "slow", barrier.slow, &[Type::Ref], |_| true);
            let effects = language.externs.get(barrier.slow).map(|function| &function.effects);
            if effects.is_some_and(|effects| effects.allocates || effects.throws || effects.calls_guest) {
                self.add(
                    Rule::Protocols,
                    "barrier",
                    "the slow path may neither allocate nor throw nor call guest code",
                );
            }
        }
    }
    fn kind(&mut self, place: &str, what: &str, kind: KindId) {
        if self.language.kinds.get(kind).is_none_or(|kind| kind.payload != Some(Type::Ref)) {
            self.add(Rule::Protocols, place, format!("`{what}` is not a kind whose payload is a `ref`"));
        }
    }
    fn field(&mut self, place: &str, what: &str, field: FieldId, fits: impl Fn(MemoryType) -> bool) {
        if self.language.fields.get(field).is_none_or(|field| !fits(field.memory) || field.stride != 0) {
            self.add(Rule::Protocols, place, format!("`{what}` is not a plain field of the right type"));
        }
    }
    fn extern_(
        &mut self,
        place: &str,
        what: &str,
        id: ExternId,
        params: &[Type],
        fits: impl Fn(Option<Type>) -> bool,
    ) {
        if self
            .language
            .externs
            .get(id)
            .is_none_or(|function| function.params[..] != *params || !fits(function.result))
        {
            self.add(Rule::Protocols, place, format!("`{what}` is not an extern of the right signature"));
        }
    }
    fn recipe(&mut self, place: &str, what: &str, class: u32, ty: Type) {
        if self.language.recipes.get(class as usize).is_none_or(|recipe| recipe.ty != ty) {
            self.add(Rule::Protocols, place, format!("`{what}` is not a recipe class of type {ty}"));
        }
    }
}

/// Whether some boxed value is of both forms.
fn overlap(a: KindForm, b: KindForm) -> bool {
    match (a, b) {
        (KindForm::Tag(a), KindForm::Tag(b)) => a == b,
        (
            KindForm::Word { mask: a_mask, pattern: a, .. },
            KindForm::Word { mask: b_mask, pattern: b, .. },
        ) => {
            let common = a_mask & b_mask;
            a & common == b & common
        }
        _ => false,
    }
}

/// What is wrong with a word kind by itself.
fn wrong_word(kind: &Kind) -> Option<&'static str> {
    let KindForm::Word { mask, pattern, unbox } = kind.form else { return None };
    if pattern & !mask != 0 {
        return Some("the pattern has bits outside the mask");
    }
    match (unbox, kind.payload) {
        (WordPayload::None, Some(_)) => Some("it has a payload, but no way of unboxing"),
        (WordPayload::None, None) => None,
        (_, None) => Some("it has a way of unboxing, but no payload"),
        (WordPayload::Shifted(count), _) if count == 0 || count > 63 => {
            Some("a word is shifted by 1 to 63 bits")
        }
        (WordPayload::Shifted(count), _) if mask >> count != 0 => {
            Some("the shift leaves bits of the mask in the payload")
        }
        _ => None,
    }
}
