//! Reads one instruction.

use super::ParseError;
use super::lexer::Token;
use super::parse_body::Body;
use super::parser::{Mark, Parser};
use crate::entity::{Block, FieldId, FrameStateId, Inst, KindId, SlotId, Value};
use crate::function::{BlockCall, CallInfo, Immediate, InstData, Wanted};
use crate::guard::GuardReason;
use crate::language::{Language, Recipe};
use crate::opcode::{FloatCondition, ImmediateForm, IntCondition, Opcode};
use crate::types::Type;
use cranelift_entity::EntityRef;
use smallvec::{SmallVec, smallvec};

/// An instruction as it was written.
pub(super) struct ParsedInst {
    pub mark: Mark,
    pub label: Option<(u32, Mark)>,
    pub result: Option<(Value, Option<Type>, Mark)>,
    pub data: InstData,
}

/// A kind by name.
pub(super) fn kind(parser: &mut Parser, language: &Language) -> Result<KindId, ParseError> {
    parser.known("a kind of the language", |name| language.kind(name))
}

/// A field by its full name.
pub(super) fn field(parser: &mut Parser, language: &Language) -> Result<FieldId, ParseError> {
    let layout = parser.known("a field's full name, `Layout.field`", |name| {
        language.layouts.iter().find(|(_, layout)| layout.name == name).map(|(id, _)| id)
    })?;
    parser.expect(".")?;
    parser.known(&format!("a field of `{}`", language.layouts[layout].name), |name| {
        language
            .fields
            .iter()
            .find(|(_, field)| field.layout == layout && field.name == name)
            .map(|(id, _)| id)
    })
}

/// An extern by name.
pub(super) fn extern_(
    parser: &mut Parser,
    language: &Language,
) -> Result<crate::entity::ExternId, ParseError> {
    parser.known("an extern of the language", |name| language.extern_(name))
}

/// What a slot holds or an assumption is about: `shape 12 0`.
pub(super) fn recipe(parser: &mut Parser, language: &Language) -> Result<Recipe, ParseError> {
    let class = parser.known("a recipe class of the language", |name| language.recipe_class(name))?;
    Ok(Recipe { class, words: [parser.word()?, parser.word()?] })
}

fn reason(parser: &mut Parser) -> Result<GuardReason, ParseError> {
    let names: Vec<_> = GuardReason::ALL.iter().map(|reason| reason.name()).collect();
    parser.known(&format!("a guard reason ({})", names.join(", ")), GuardReason::from_name)
}

impl Body<'_> {
    /// Reads an instruction and whatever stands on its line.
    pub fn instruction(&mut self, parser: &mut Parser) -> Result<ParsedInst, ParseError> {
        let mark = parser.mark();
        let mut label = None;
        if parser.peek_entity("inst").is_some() {
            label = Some((parser.entity("inst", "an instruction's number")?, mark));
            parser.expect(":")?;
        }
        let mut result = None;
        if parser.peek_entity("v").is_some() {
            let mark = parser.mark();
            let value = Value::new(parser.entity("v", "a value")? as usize);
            let ty = if parser.eat(":") { Some(parser.ty()?) } else { None };
            parser.expect("=")?;
            result = Some((value, ty, mark));
        }
        let opcode = parser.known("an instruction", Opcode::from_name)?;
        let mut data = InstData::new(opcode, &[], Immediate::None);
        if opcode.immediate() == ImmediateForm::Call {
            self.call(parser, &mut data)?;
        } else {
            data.immediate = self.immediate(parser, opcode)?;
            self.operands(parser, &mut data.args)?;
        }
        if let Immediate::Operation(operation, _) = data.immediate {
            data.immediate = Immediate::Operation(operation, parser.pc()?);
        }
        self.rest(parser, &mut data)?;
        if parser.at_line_end() {
            return Ok(ParsedInst { mark, label, result, data });
        }
        parser.fail("the end of the line or `;`, or what may follow operands: `-> block1(…)`, `[state1]`, `after [state1]`, `site @1`, `pinned`, `by inst1`")
    }

    fn immediate(&mut self, parser: &mut Parser, opcode: Opcode) -> Result<Immediate, ParseError> {
        let language = self.language;
        Ok(match opcode.immediate() {
            ImmediateForm::None | ImmediateForm::Call => Immediate::None,
            ImmediateForm::Integer => Immediate::Integer(parser.word()? as i64),
            ImmediateForm::Float => Immediate::Float(parser.float()?),
            ImmediateForm::Boolean => {
                Immediate::Boolean(parser.known("`true` or `false`", |name| name.parse().ok())?)
            }
            ImmediateForm::Kind => Immediate::Kind(kind(parser, language)?),
            ImmediateForm::KindReason => Immediate::KindReason(kind(parser, language)?, reason(parser)?),
            ImmediateForm::Reason => Immediate::Reason(reason(parser)?),
            ImmediateForm::IntCondition => {
                let find = |name: &str| {
                    IntCondition::ALL.into_iter().find(|known| known.1 == name).map(|known| known.0)
                };
                let names = IntCondition::ALL.map(|known| known.1).join(", ");
                Immediate::IntCondition(parser.known(&format!("a comparison ({names})"), find)?)
            }
            ImmediateForm::FloatCondition => {
                let find = |name: &str| {
                    FloatCondition::ALL.into_iter().find(|known| known.1 == name).map(|known| known.0)
                };
                let names = FloatCondition::ALL.map(|known| known.1).join(", ");
                Immediate::FloatCondition(parser.known(&format!("a comparison ({names})"), find)?)
            }
            ImmediateForm::Field => Immediate::Field(field(parser, language)?),
            ImmediateForm::Extern => Immediate::Extern(extern_(parser, language)?),
            ImmediateForm::Slot => {
                let mark = parser.mark();
                let slot = SlotId::new(parser.entity("slot", "a spesh slot, such as `slot0`")? as usize);
                if !self.function.slots.is_valid(slot) {
                    return mark
                        .fail(format!("`{slot}`"), "a slot that is defined above (`slot0 = shape 12 0`)");
                }
                Immediate::Slot(slot)
            }
            ImmediateForm::Operation => {
                let operation =
                    parser.known("an operation of the language", |name| language.operation(name))?;
                // The site follows the operands.
                Immediate::Operation(operation, crate::entity::Pc(0))
            }
            ImmediateForm::Register => Immediate::Register(parser.register()?),
            ImmediateForm::Recipe => Immediate::Recipe(recipe(parser, language)?),
        })
    }

    fn operands<A: smallvec::Array<Item = Value>>(
        &mut self,
        parser: &mut Parser,
        args: &mut SmallVec<A>,
    ) -> Result<(), ParseError> {
        if parser.at_line_end() || parser.peek_entity("v").is_none() {
            return Ok(());
        }
        loop {
            args.push(self.value(parser)?);
            if !parser.eat(",") {
                return Ok(());
            }
        }
    }

    /// `v4(v0, open v3) window r2 wants 1 @3`
    fn call(&mut self, parser: &mut Parser, data: &mut InstData) -> Result<(), ParseError> {
        if parser.peek_entity("v").is_some() {
            data.args.push(self.value(parser)?);
        }
        parser.expect("(")?;
        let mut open_arguments = false;
        let args = parser.list(")", |parser| {
            if open_arguments {
                return parser.fail("`)` after the open argument");
            }
            open_arguments = parser.eat_word("open");
            if open_arguments && parser.at(")") { Ok(None) } else { self.value(parser).map(Some) }
        })?;
        data.args.extend(args.into_iter().flatten());
        parser.expect_word("window")?;
        let window = parser.register()?;
        parser.expect_word("wants")?;
        let wanted = match parser.eat_word("open") {
            true => Wanted::Open,
            false => Wanted::Fixed(parser.number("how many results are wanted (0 to 255), or `open`")?),
        };
        data.immediate = Immediate::Call(CallInfo { window, wanted, open_arguments, site: parser.pc()? });
        Ok(())
    }

    /// Targets, states, the guess's site, and proofs.
    fn rest(&mut self, parser: &mut Parser, data: &mut InstData) -> Result<(), ParseError> {
        let has_arrow = !parser.at_line_end() && parser.eat("->");
        if has_arrow || !parser.at_line_end() && parser.peek_entity("block").is_some() {
            loop {
                data.targets.push(self.target(parser)?);
                if !parser.eat(",") {
                    break;
                }
            }
        }
        if !parser.at_line_end() && parser.eat("[") {
            data.state = Some(self.state_use(parser)?);
            parser.expect("]")?;
        }
        if !parser.at_line_end() && parser.eat_word("after") {
            parser.expect("[")?;
            data.after = Some(self.state_use(parser)?);
            parser.expect("]")?;
        }
        if !parser.at_line_end() && parser.eat_word("site") {
            data.site = Some(parser.pc()?);
        }
        data.pinned = !parser.at_line_end() && parser.eat_word("pinned");
        if !parser.at_line_end() && parser.eat_word("by") {
            loop {
                let mark = parser.mark();
                let number =
                    parser.entity("inst", "the label of the instruction that proves it, such as `inst3`")?;
                self.proof_uses.push((number, mark));
                data.proofs.push(Inst::new(number as usize));
                if !parser.eat(",") {
                    break;
                }
            }
        }
        Ok(())
    }

    fn target(&mut self, parser: &mut Parser) -> Result<BlockCall, ParseError> {
        let mark = parser.mark();
        let block = Block::new(parser.entity("block", "a block, such as `block1`")? as usize);
        self.block_uses.push((block, mark));
        let mut args = smallvec![];
        if !parser.at_line_end() && parser.eat("(") {
            args.extend(parser.list(")", |parser| self.value(parser))?);
        }
        Ok(BlockCall { block, args })
    }

    fn state_use(&mut self, parser: &mut Parser) -> Result<FrameStateId, ParseError> {
        let mark = parser.mark();
        let state = FrameStateId::new(parser.entity("state", "a frame state, such as `state1`")? as usize);
        self.state_uses.push((state, mark));
        Ok(state)
    }

    /// A value that is used here.
    pub fn value(&mut self, parser: &mut Parser) -> Result<Value, ParseError> {
        let mark = parser.mark();
        if let Token::Symbol(_) | Token::Number(_) = parser.peek() {
            return parser.fail("a value, such as `v3` (constants are instructions: `v3 = iconst 1`)");
        }
        let value = Value::new(parser.entity("v", "a value, such as `v3`")? as usize);
        self.value_uses.push((value, mark));
        Ok(value)
    }
}
