//! Reads the blocks of a function or template, and puts the function together.

use super::ParseError;
use super::lexer::Token;
use super::parse_instruction::{ParsedInst, recipe};
use super::parser::{Mark, Parser};
use crate::analysis::BitSet;
use crate::entity::{Block, FrameId, FrameStateId, Inst, Pc, UnitId, Value};
use crate::frame_state::{FrameInfo, FrameState, ResumePoint, When};
use crate::function::{BlockData, Function, Immediate, InstData, ValueData, ValueDef};
use crate::language::Language;
use crate::opcode::Opcode;
use crate::premise::{Premise, PremiseWord};
use crate::types::Type;
use cranelift_entity::{EntityRef, PrimaryMap};
use smallvec::SmallVec;

/// A body that is being read. What is used before it is defined is checked at the end.
pub(super) struct Body<'l> {
    pub language: &'l Language,
    pub function: Function,
    /// The instructions of each block, in the order of the text.
    blocks: Vec<(Block, Vec<ParsedInst>)>,
    defined_values: BitSet<Value>,
    defined_blocks: BitSet<Block>,
    defined_states: BitSet<FrameStateId>,
    pub value_uses: Vec<(Value, Mark)>,
    pub block_uses: Vec<(Block, Mark)>,
    pub state_uses: Vec<(FrameStateId, Mark)>,
    pub proof_uses: Vec<(u32, Mark)>,
}

impl<'l> Body<'l> {
    pub fn new(language: &'l Language, function: Function) -> Body<'l> {
        Body {
            language,
            function,
            blocks: Vec::new(),
            defined_values: BitSet::new(),
            defined_blocks: BitSet::new(),
            defined_states: BitSet::new(),
            value_uses: Vec::new(),
            block_uses: Vec::new(),
            state_uses: Vec::new(),
            proof_uses: Vec::new(),
        }
    }

    /// Reads up to the closing `}` and makes the function. With `implied`, instructions may come before any block header: they
    /// are in block 0, whose parameters v0, v1, … have these types.
    pub fn parse(mut self, parser: &mut Parser, implied: Option<&[Type]>) -> Result<Function, ParseError> {
        loop {
            parser.skip_separators();
            if parser.eat("}") {
                break;
            }
            if parser.peek_entity("block").is_some() {
                self.block_header(parser)?;
                continue;
            }
            let is_definition =
                ["state", "slot", "frame"].into_iter().find(|prefix| parser.peek_entity(prefix).is_some());
            let is_definition = is_definition.or_else(|| parser.at_word("premise").then_some("premise"));
            match is_definition {
                Some("slot" | "frame" | "premise") if implied.is_some() => {
                    return parser.fail("an instruction: templates have no slots (words of facts are parameters) and no frames");
                }
                Some("state") => self.state(parser)?,
                Some("slot") => self.slot(parser)?,
                Some("premise") => self.premise(parser)?,
                Some(_) => self.frame(parser)?,
                None => {
                    if self.blocks.is_empty() {
                        self.implied_header(parser, implied)?;
                    }
                    let inst = self.instruction(parser)?;
                    if let Some((value, _, mark)) = inst.result {
                        self.define_value(value, mark)?;
                    }
                    if let Some((_, insts)) = self.blocks.last_mut() {
                        insts.push(inst);
                    }
                    continue;
                }
            }
            if !parser.at_line_end() {
                return parser.fail("the end of the line or `;`");
            }
        }
        self.finish()
    }

    fn define_value(&mut self, value: Value, mark: Mark) -> Result<(), ParseError> {
        match self.defined_values.insert(value) {
            true => Ok(()),
            false => mark.fail(format!("`{value}`, which is defined already"), "a value's only definition"),
        }
    }

    fn implied_header(&mut self, parser: &Parser, implied: Option<&[Type]>) -> Result<(), ParseError> {
        let Some(types) = implied else {
            return parser.fail("a block's header, such as `block0:`, or an instruction in a block");
        };
        let block = Block::new(0);
        let params = types.iter().enumerate().map(|(position, &ty)| (Value::new(position), ty)).collect();
        self.add_block(block, params, parser.mark())
    }
    fn block_header(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        let mark = parser.mark();
        let block = Block::new(parser.entity("block", "a block")? as usize);
        let mut params = Vec::new();
        if parser.eat("(") {
            params = parser.list(")", |parser| {
                let value = Value::new(parser.entity("v", "a block parameter, such as `v3: any`")? as usize);
                parser.expect(":")?;
                Ok((value, parser.ty()?))
            })?;
        }
        let cold = parser.eat_word("cold");
        if !parser.eat(":") {
            return parser.fail(
                "`:` (a block's header is `block1(v2: any) cold:`, parameters and `cold` being optional)",
            );
        }
        self.add_block(block, params, mark)?;
        self.function.blocks[block].cold = cold;
        Ok(())
    }
    fn add_block(&mut self, block: Block, params: Vec<(Value, Type)>, mark: Mark) -> Result<(), ParseError> {
        if !self.defined_blocks.insert(block) {
            return mark.fail(format!("`{block}`, which is defined already"), "a block's only header");
        }
        fill(&mut self.function.blocks, block.index(), BlockData::default);
        self.function.layout.push(block);
        for (position, &(value, ty)) in params.iter().enumerate() {
            self.define_value(value, mark)?;
            self.set_value(value, ValueData { ty, def: ValueDef::Param(block, position as u32) });
            self.function.blocks[block].params.push(value);
        }
        self.blocks.push((block, Vec::new()));
        Ok(())
    }
    fn set_value(&mut self, value: Value, data: ValueData) {
        fill(&mut self.function.values, value.index(), || ValueData {
            ty: Type::I64,
            def: ValueDef::Removed,
        });
        self.function.values[value] = data;
    }

    /// `slot0 = shape 12 0`
    fn slot(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        let mark = parser.mark();
        let number = parser.entity("slot", "a slot")?;
        if number as usize != self.function.slots.len() {
            return mark.fail(
                format!("`slot{number}`"),
                format!("`slot{}`: slots are numbered in order", self.function.slots.len()),
            );
        }
        parser.expect("=")?;
        let recipe = recipe(parser, self.language)?;
        self.function.slots.push(recipe);
        Ok(())
    }

    /// `premise @12 fact 3 (shape 12 0, 4, assume claim 7 0)`
    fn premise(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        parser.expect_word("premise")?;
        let mark = parser.mark();
        let unit = parser.unit()?.unwrap_or(self.function.unit);
        let pc = parser.pc()?;
        parser.expect_word("fact")?;
        let variant = parser.number("a fact's variant, below 256")?;
        parser.expect("(")?;
        let language = self.language;
        let words = parser.list(")", |parser| {
            if matches!(parser.peek(), Token::Number(_)) {
                return parser.number("a word of 32 bits").map(PremiseWord::Integer);
            }
            let form = if parser.eat_word("assume") { PremiseWord::Assumption } else { PremiseWord::Slot };
            recipe(parser, language).map(form)
        })?;
        let premise = Premise { unit, pc, variant, words: words.into() };
        if self.function.premises.contains(&premise) {
            return mark.fail("a premise that stands above", "each premise once");
        }
        self.function.premises.push(premise);
        Ok(())
    }

    /// `frame1 = unit:… parent frame0 window 3 registers 2`
    fn frame(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        let mark = parser.mark();
        let number = parser.entity("frame", "a frame")? as usize;
        let next = self.function.frames.len();
        if number != next && (number != 0 || next != 1) {
            return mark
                .fail(format!("`frame{number}`"), format!("`frame{next}`: frames are numbered in order"));
        }
        parser.expect("=")?;
        let unit = parser.unit()?.unwrap_or(UnitId::default());
        let mut parent = None;
        if parser.eat_word("parent") {
            parent = Some(self.frame_use(parser)?).filter(|_| number > 0);
        }
        parser.expect_word("window")?;
        let window = parser.number("a position in registers, below 65536")?;
        parser.expect_word("registers")?;
        let info = FrameInfo {
            unit,
            parent,
            window,
            register_count: parser.number("a number of registers, below 65536")?,
        };
        if number == 0 {
            self.function.frames[FrameId::new(0)] = info;
        } else {
            self.function.frames.push(info);
        }
        Ok(())
    }
    fn frame_use(&mut self, parser: &mut Parser) -> Result<FrameId, ParseError> {
        let mark = parser.mark();
        let frame = FrameId::new(parser.entity("frame", "a frame, such as `frame0`")? as usize);
        match self.function.frames.is_valid(frame) {
            true => Ok(frame),
            false => mark.fail(format!("`{frame}`"), "a frame that is defined above"),
        }
    }

    /// `state2 = frame1 callee v0 before @2 {r0: v0} open r2 v3 results v0 parent state1`
    fn state(&mut self, parser: &mut Parser) -> Result<(), ParseError> {
        let mark = parser.mark();
        let id = FrameStateId::new(parser.entity("state", "a frame state")? as usize);
        if self.defined_states.contains(id) {
            return mark.fail(format!("`{id}`, which is defined already"), "a frame state's only definition");
        }
        parser.expect("=")?;
        let frame = match parser.peek_entity("frame") {
            Some(_) => self.frame_use(parser)?,
            None => FrameId::new(0),
        };
        let callee = if parser.eat_word("callee") { Some(self.value(parser)?) } else { None };
        let when = parser.known("`before` or `after`", |name| match name {
            "before" => Some(When::Before),
            "after" => Some(When::After),
            _ => None,
        })?;
        let resume = ResumePoint { pc: parser.pc()?, when };
        parser.expect("{")?;
        let registers = parser.list("}", |parser| {
            let register = parser.register()?;
            parser.expect(":")?;
            Ok((register, self.value(parser)?))
        })?;
        let mut state = FrameState {
            frame,
            resume,
            callee,
            registers,
            results: SmallVec::new(),
            open: None,
            parent: None,
        };
        if parser.eat_word("open") {
            state.open = Some((parser.register()?, self.value(parser)?));
        }
        if parser.eat_word("results") {
            state.results.push(self.value(parser)?);
            while parser.eat(",") {
                state.results.push(self.value(parser)?);
            }
        }
        if parser.eat_word("parent") {
            let mark = parser.mark();
            let parent =
                FrameStateId::new(parser.entity("state", "a frame state, such as `state1`")? as usize);
            if !self.defined_states.contains(parent) {
                return mark.fail(format!("`{parent}`"), "a frame state that is defined above");
            }
            state.parent = Some(parent);
        }
        self.defined_states.insert(id);
        fill(&mut self.function.states, id.index(), dropped_state);
        self.function.states[id] = state;
        Ok(())
    }

    fn finish(mut self) -> Result<Function, ParseError> {
        for &(value, mark) in &self.value_uses {
            if !self.defined_values.contains(value) {
                return mark.fail(format!("`{value}`, which nothing defines"), "a value with a definition");
            }
        }
        for &(block, mark) in &self.block_uses {
            if !self.defined_blocks.contains(block) {
                return mark.fail(format!("`{block}`, which has no header"), "a block of this function");
            }
        }
        for &(state, mark) in &self.state_uses {
            if !self.defined_states.contains(state) {
                return mark
                    .fail(format!("`{state}`, which nothing defines"), "a frame state with a definition");
            }
        }
        let labels = self.labels()?;
        let mut next = 0;
        let mut untyped = Vec::new();
        for (block, insts) in std::mem::take(&mut self.blocks) {
            for parsed in insts {
                let number = match parsed.label {
                    Some((number, _)) => number,
                    None => {
                        while labels.contains(Inst::from_u32(next)) {
                            next += 1;
                        }
                        next += 1;
                        next - 1
                    }
                };
                let inst = Inst::from_u32(number);
                fill(&mut self.function.insts, inst.index(), dropped_inst);
                self.function.blocks[block].insts.push(inst);
                let ParsedInst { mut data, result, mark, .. } = parsed;
                if let Some((value, ty, _)) = result {
                    data.result = Some(value);
                    let ty = ty.or_else(|| self.result_type(&data));
                    // The type of a `select` is known once that of its operands is.
                    self.set_value(
                        value,
                        ValueData { ty: ty.unwrap_or(Type::I64), def: ValueDef::Result(inst) },
                    );
                    if ty.is_none() {
                        untyped.push((value, mark));
                    }
                }
                self.function.insts[inst] = data;
            }
        }
        self.type_selects(untyped)?;
        Ok(self.function)
    }
    /// The instructions that have labels.
    fn labels(&self) -> Result<BitSet<Inst>, ParseError> {
        let mut labels = BitSet::new();
        for (number, mark) in self.blocks.iter().flat_map(|(_, insts)| insts).filter_map(|inst| inst.label) {
            if !labels.insert(Inst::from_u32(number)) {
                return mark.fail(
                    format!("`inst{number}`, which is a label already"),
                    "a label of its own for each instruction",
                );
            }
        }
        for &(number, mark) in &self.proof_uses {
            if !labels.contains(Inst::from_u32(number)) {
                return mark.fail(
                    format!("`inst{number}`"),
                    format!("an instruction with the label `inst{number}:`"),
                );
            }
        }
        Ok(labels)
    }
    fn result_type(&self, data: &InstData) -> Option<Type> {
        if data.opcode == Opcode::Select { None } else { self.function.result_type(self.language, data) }
    }
    fn type_selects(&mut self, mut untyped: Vec<(Value, Mark)>) -> Result<(), ParseError> {
        // A chain of selects is typed from its start on; each round types at least one.
        loop {
            let waiting: BitSet<Value> = untyped.iter().map(|&(value, _)| value).collect();
            let before = untyped.len();
            untyped.retain(|&(value, _)| {
                let source = self.function.def_with(value, Opcode::Select).and_then(|data| data.args.get(1));
                match source {
                    Some(&source) if !waiting.contains(source) => {
                        self.function.values[value].ty = self.function.values[source].ty;
                        false
                    }
                    _ => true,
                }
            });
            match untyped[..] {
                [] => return Ok(()),
                [(value, mark), ..] if untyped.len() == before => {
                    let expected = "an instruction with a result, or its type: `v1: i64 = …`";
                    return mark
                        .fail(format!("a result, `{value}`, of an instruction that gives none"), expected);
                }
                _ => {}
            }
        }
    }
}

/// Makes a table long enough for an entry. The gaps are entries that nothing refers to.
fn fill<K: EntityRef, V>(table: &mut PrimaryMap<K, V>, index: usize, dropped: impl Fn() -> V) {
    while table.len() <= index {
        table.push(dropped());
    }
}
fn dropped_state() -> FrameState {
    FrameState {
        frame: FrameId::new(0),
        resume: ResumePoint::before(Pc(0)),
        callee: None,
        registers: Vec::new(),
        results: SmallVec::new(),
        open: None,
        parent: None,
    }
}
fn dropped_inst() -> InstData {
    InstData::new(Opcode::Unreachable, &[], Immediate::None)
}
