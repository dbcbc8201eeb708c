//! Reads languages.

use super::ParseError;
use super::lexer::Token;
use super::parse_body::Body;
use super::parse_instruction::{extern_, field, kind};
use super::parser::Parser;
use super::print_language::template_parameters;
use crate::entity::{AliasClass, UnitId};
use crate::function::{Entry, Function};
use crate::language::{
    CallProtocol, Case, Effects, Encoding, Extern, Field, Intrinsic, Kind, KindForm, Language, Layout,
    MemoryType, NativeProtocol, OperandPattern, Operation, Reach, RecipeClass, WordPayload, WordUse,
    WriteBarrier,
};
use crate::types::Type;
use smallvec::SmallVec;

/// `language lua pair`, then declarations up to what is none.
pub(super) fn language(parser: &mut Parser) -> Result<Language, ParseError> {
    parser.expect_word("language")?;
    let name = parser.name("the language's name")?;
    let encoding = parser.known("`word` or `pair`", |name| match name {
        "word" => Some(Encoding::Word),
        "pair" => Some(Encoding::Pair),
        _ => None,
    })?;
    let mut language = Language::new(&name, encoding);
    loop {
        parser.skip_separators();
        let Token::Name(word) = *parser.peek() else { return Ok(language) };
        let declaration = match word {
            "kind" => declare_kind,
            "aliases" => declare_aliases,
            "layout" => declare_layout,
            "recipe" => declare_recipe,
            "extern" => declare_extern,
            "calls" => declare_calls,
            "barrier" => declare_barrier,
            "operation" => declare_operation,
            "intrinsic" => declare_intrinsic,
            _ => return Ok(language),
        };
        parser.step();
        declaration(parser, &mut language)?;
    }
}

/// A name that nothing in a table has yet.
fn new_name(parser: &mut Parser, what: &str, is_taken: impl Fn(&str) -> bool) -> Result<String, ParseError> {
    let mark = parser.mark();
    let name = parser.name(&format!("the name of {what}"))?;
    if is_taken(&name) {
        return mark.fail(
            format!("`{name}`, which is declared already"),
            format!("a name of its own for each of {what}"),
        );
    }
    Ok(name)
}

fn declare_kind(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    let name = new_name(parser, "a kind", |name| language.kind(name).is_some())?;
    let form = if parser.eat_word("tag") {
        KindForm::Tag(parser.word()?)
    } else if parser.eat_word("word") {
        parser.expect_word("mask")?;
        let mask = parser.word()?;
        parser.expect_word("pattern")?;
        let pattern = parser.word()?;
        let unbox = if parser.eat_word("shifted") {
            WordPayload::Shifted(parser.number("a number of bits, below 64")?)
        } else if parser.eat_word("offset") {
            WordPayload::Offset
        } else if parser.eat_word("masked") {
            WordPayload::Masked
        } else {
            WordPayload::None
        };
        KindForm::Word { mask, pattern, unbox }
    } else {
        return parser.fail("`tag 2` (pair encoding) or `word mask 1 pattern 1` (word encoding)");
    };
    let has_payload = matches!(parser.peek(), Token::Name(name) if Type::from_name(name).is_some());
    let payload = if has_payload { Some(parser.ty()?) } else { None };
    language.kinds.push(Kind { name, payload, form });
    Ok(())
}

/// An alias class's name: `table.shape` or quoted. Declares it if it is new.
fn alias(parser: &mut Parser, language: &mut Language) -> Result<AliasClass, ParseError> {
    let is_plain = matches!(parser.peek(), Token::Name(_));
    let mut name = parser.name("the name of an alias class")?;
    if is_plain && parser.eat(".") {
        name.push('.');
        name += &parser.name("the second part of the alias class's name")?;
    }
    let known = language.alias_classes.iter().find(|(_, known)| **known == name).map(|(id, _)| id);
    Ok(known.unwrap_or_else(|| language.alias_classes.push(name)))
}

fn declare_aliases(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    loop {
        alias(parser, language)?;
        if !parser.eat(",") {
            return Ok(());
        }
    }
}

fn declare_layout(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    let name =
        new_name(parser, "a layout", |name| language.layouts.values().any(|layout| layout.name == name))?;
    let id = language.layouts.push(Layout { name, fields: Vec::new() });
    parser.expect("{")?;
    loop {
        parser.skip_separators();
        if parser.eat("}") {
            return Ok(());
        }
        let is_taken =
            |name: &str| language.fields.values().any(|field| field.layout == id && field.name == name);
        let name = new_name(parser, "a field", is_taken)?;
        parser.expect(":")?;
        let memory = parser.known(
            "a memory type (u8, u16, u32, i32, i64, f64, i1, ref, raw or any)",
            MemoryType::from_name,
        )?;
        parser.expect_word("at")?;
        let offset = parser.number("a distance in bytes, of 32 bits")?;
        let stride =
            if parser.eat_word("stride") { parser.number("a distance in bytes, of 32 bits")? } else { 0 };
        parser.expect_word("alias")?;
        let alias = alias(parser, language)?;
        let immutable = parser.eat_word("immutable");
        if !parser.at_line_end() {
            return parser.fail(
                "the end of the line or `;` (a field is `name: type at 8 stride 16 alias class immutable`)",
            );
        }
        let field =
            language.fields.push(Field { layout: id, name, offset, memory, stride, alias, immutable });
        language.layouts[id].fields.push(field);
    }
}

fn declare_recipe(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    let name = new_name(parser, "a recipe class", |name| language.recipe_class(name).is_some())?;
    parser.expect(":")?;
    let ty = parser.ty()?;
    language.recipes.push(RecipeClass { name, ty });
    Ok(())
}

/// `(any, i64) -> any`
fn signature<A: smallvec::Array<Item = Type>>(
    parser: &mut Parser,
) -> Result<(SmallVec<A>, Option<Type>), ParseError> {
    parser.expect("(")?;
    let params = parser.list(")", |parser| parser.ty())?;
    let result = if parser.eat("->") { Some(parser.ty()?) } else { None };
    Ok((SmallVec::from_vec(params), result))
}

fn declare_extern(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    let name = new_name(parser, "an extern", |name| language.extern_(name).is_some())?;
    let (params, result) = signature(parser)?;
    let mut function = Extern { name, params, result, needs_window: false, effects: Effects::default() };
    loop {
        let effects = &mut function.effects;
        if parser.eat_word("window") {
            function.needs_window = true;
        } else if parser.eat_word("throws") {
            effects.throws = true;
        } else if parser.eat_word("calls_guest") {
            effects.calls_guest = true;
        } else if parser.eat_word("allocates") {
            effects.allocates = true;
        } else if parser.eat_word("reads") {
            effects.reads = reach(parser, language)?;
        } else if parser.eat_word("writes") {
            effects.writes = reach(parser, language)?;
        } else {
            break;
        }
    }
    language.externs.push(function);
    Ok(())
}

fn reach(parser: &mut Parser, language: &mut Language) -> Result<Reach, ParseError> {
    if parser.eat_word("everything") {
        return Ok(Reach::Everything);
    }
    if !parser.eat("(") {
        return parser.fail("`everything` or a list of alias classes, `(table.shape, table.array)`");
    }
    Ok(Reach::Classes(SmallVec::from_vec(parser.list(")", |parser| alias(parser, language))?)))
}

fn recipe_class(parser: &mut Parser, language: &Language) -> Result<u32, ParseError> {
    parser.known("a recipe class that is declared above", |name| language.recipe_class(name))
}

fn declare_calls(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    parser.expect("{")?;
    fn line<T>(
        parser: &mut Parser,
        word: &str,
        read: impl FnOnce(&mut Parser) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        parser.skip_separators();
        parser.expect_word(word)?;
        read(parser)
    }
    let language_ = &*language;
    let mut calls = CallProtocol {
        closure: line(parser, "closure", |parser| kind(parser, language_))?,
        unit: line(parser, "unit", |parser| field(parser, language_))?,
        entry: line(parser, "entry", |parser| field(parser, language_))?,
        generic: line(parser, "generic", |parser| extern_(parser, language_))?,
        closure_variant: line(parser, "closure_variant", |parser| {
            parser.number("a fact variant, below 256")
        })?,
        unit_recipe: line(parser, "unit_recipe", |parser| recipe_class(parser, language_))?,
        natives: None,
    };
    parser.skip_separators();
    if parser.at_word("native_variant") {
        calls.natives = Some(NativeProtocol {
            variant: line(parser, "native_variant", |parser| parser.number("a fact variant, below 256"))?,
            recipe: line(parser, "native_recipe", |parser| recipe_class(parser, language_))?,
            kind: line(parser, "native", |parser| kind(parser, language_))?,
        });
        parser.skip_separators();
    }
    parser.expect("}")?;
    language.calls = Some(calls);
    Ok(())
}

fn declare_barrier(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    let flags = field(parser, language)?;
    parser.expect_word("mask")?;
    let mask = parser.word()?;
    parser.expect_word("trigger")?;
    let trigger = parser.word()?;
    parser.expect_word("slow")?;
    let slow = extern_(parser, language)?;
    language.barrier = Some(WriteBarrier { flags, mask, trigger, slow });
    Ok(())
}

fn declare_operation(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    let name = new_name(parser, "an operation", |name| language.operation(name).is_some())?;
    let (params, result) = signature(parser)?;
    let result_is_observed = parser.eat_word("observed");
    parser.expect("=")?;
    let fallback = extern_(parser, language)?;
    let cases = cases(parser, language, &name, &params)?;
    language.operations.push(Operation { name, params, result, result_is_observed, cases, fallback });
    Ok(())
}

fn declare_intrinsic(parser: &mut Parser, language: &mut Language) -> Result<(), ParseError> {
    let is_taken = |name: &str| language.intrinsics.iter().any(|intrinsic| intrinsic.name == name);
    let name = new_name(parser, "an intrinsic", is_taken)?;
    parser.expect("=")?;
    let number = parser.number("the number under which the log reports it, of 32 bits")?;
    let cases = cases(parser, language, &name, &[])?;
    language.intrinsics.push(Intrinsic { name, number, cases });
    Ok(())
}

/// `{ case … case … }`, or nothing.
fn cases(
    parser: &mut Parser,
    language: &Language,
    owner: &str,
    params: &[Type],
) -> Result<Vec<Case>, ParseError> {
    let mut cases = Vec::new();
    if !parser.eat("{") {
        return Ok(cases);
    }
    loop {
        parser.skip_separators();
        if parser.eat("}") {
            return Ok(cases);
        }
        if !parser.eat_word("case") {
            return parser.fail("`case` or `}`");
        }
        let name = format!("{owner}.{}", cases.len());
        cases.push(case(parser, language, &name, params)?);
    }
}

/// `(table, _) observed 0 (slot shape, integer) { … }`
fn case(parser: &mut Parser, language: &Language, name: &str, params: &[Type]) -> Result<Case, ParseError> {
    parser.expect("(")?;
    let operands = parser.list(")", |parser| match parser.eat_word("_") {
        true => Ok(OperandPattern::Anything),
        false => kind(parser, language).map(OperandPattern::Kind),
    })?;
    let variant =
        if parser.eat_word("observed") { Some(parser.number("a fact variant, below 256")?) } else { None };
    let mut words = Vec::new();
    if parser.eat("(") {
        words = parser.list(")", |parser| {
            if parser.eat_word("integer") {
                return Ok(WordUse::Integer);
            }
            if parser.eat_word("assume") {
                return recipe_class(parser, language).map(WordUse::Assumption);
            }
            if !parser.eat_word("slot") {
                return parser
                    .fail("how a word of the fact is used: `integer`, `slot class` or `assume class`");
            }
            recipe_class(parser, language).map(WordUse::Slot)
        })?;
    }
    parser.expect("{")?;
    let template = Function::new(name, UnitId::default(), Entry::Template, 0);
    let mut case = Case { operands: operands.into(), variant, words: words.into(), template };
    let types = template_parameters(language, &case, params);
    let template =
        std::mem::replace(&mut case.template, Function::new("", UnitId::default(), Entry::Template, 0));
    case.template = Body::new(language, template).parse(parser, Some(&types))?;
    Ok(case)
}
