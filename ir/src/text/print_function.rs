//! Prints functions, instructions and frame states. Never fails, also not on functions that the verifier would refuse.

use super::lexer::is_identifier;
use crate::analysis::BitSet;
use crate::entity::{Block, FrameId, FrameStateId, Inst, UnitId};
use crate::frame_state::FrameState;
use crate::function::{BlockCall, Entry, Function, Immediate, InstData, Wanted};
use crate::language::{Language, Recipe};
use crate::opcode::Opcode;
use crate::premise::PremiseWord;
use cranelift_entity::{EntityRef, PrimaryMap};
use std::fmt::{self, Display, Formatter, Write};

/// A name, in quotes where it is no identifier.
pub(super) struct Name<'a>(pub &'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_identifier(self.0) { f.write_str(self.0) } else { write!(f, "{}", Quoted(self.0)) }
    }
}

/// A text in quotes.
pub(super) struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// A word: small ones in decimal, others in hexadecimal.
pub(super) struct Word(pub u64);

impl Display for Word {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 < 0x10000 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

struct Float(u64);

impl Display for Float {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let value = f64::from_bits(self.0);
        if value.is_nan() { write!(f, "nan:{:#x}", self.0) } else { write!(f, "{value:?}") }
    }
}

/// What `show` writes for each item, with commas between.
pub(super) fn commas<T>(
    f: &mut Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    mut show: impl FnMut(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        show(f, item)?;
    }
    Ok(())
}

/// The text of a function.
pub fn print_function(function: &Function, language: &Language) -> String {
    FunctionText { function, language }.to_string()
}

/// The text of one instruction, without its frame states' contents.
pub fn inst_text(function: &Function, language: &Language, inst: Inst) -> String {
    match function.insts.get(inst) {
        Some(data) => InstText { function, language, data }.to_string(),
        None => inst.to_string(),
    }
}

/// The text of one frame state, without the states around it: `state2 = before @3 {r0: v1}`.
pub fn state_text(function: &Function, state: FrameStateId) -> String {
    match function.states.get(state) {
        Some(data) => StateText(state, data).to_string(),
        None => state.to_string(),
    }
}

/// A name from one of the language's tables, or the entity itself if the table has no such row.
fn row<'a, K: EntityRef + Display, V>(
    f: &mut Formatter<'_>,
    table: &'a PrimaryMap<K, V>,
    key: K,
    name: impl FnOnce(&'a V) -> &'a str,
) -> fmt::Result {
    match table.get(key) {
        Some(row) => write!(f, "{}", Name(name(row))),
        None => write!(f, "?{key}"),
    }
}

/// A field's full name.
pub(super) struct FieldName<'a>(pub &'a Language, pub crate::entity::FieldId);

impl Display for FieldName<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.fields.get(self.1) {
            Some(field) => {
                row(f, &self.0.layouts, field.layout, |layout| &layout.name)?;
                write!(f, ".{}", Name(&field.name))
            }
            None => write!(f, "?{}", self.1),
        }
    }
}

/// What a slot holds or an assumption is about.
struct RecipeText<'a>(&'a Language, Recipe);

impl Display for RecipeText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let RecipeText(language, Recipe { class, words }) = *self;
        match language.recipes.get(class as usize) {
            Some(class) => write!(f, "{}", Name(&class.name))?,
            None => write!(f, "?{class}")?,
        }
        write!(f, " {} {}", Word(words[0]), Word(words[1]))
    }
}

struct FunctionText<'a> {
    function: &'a Function,
    language: &'a Language,
}

impl Display for FunctionText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let function = self.function;
        write!(f, "function {}", Quoted(&function.name))?;
        if function.unit != UnitId::default() {
            write!(f, " {}", function.unit)?;
        }
        match function.entry {
            Entry::Call => f.write_str(" call")?,
            Entry::Loop(pc) => write!(f, " loop {pc}")?,
            Entry::Template => f.write_str(" template")?,
        }
        let outermost = function.frames.get(FrameId::new(0));
        writeln!(f, " registers {} {{", outermost.map_or(0, |frame| frame.register_count))?;
        for (slot, &recipe) in &function.slots {
            writeln!(f, "  {slot} = {}", RecipeText(self.language, recipe))?;
        }
        for (id, frame) in &function.frames {
            if id.index() == 0 && frame.unit == function.unit && frame.parent.is_none() && frame.window == 0 {
                continue;
            }
            write!(f, "  {id} = {}", frame.unit)?;
            if let Some(parent) = frame.parent {
                write!(f, " parent {parent}")?;
            }
            writeln!(f, " window {} registers {}", frame.window, frame.register_count)?;
        }
        for premise in &function.premises {
            f.write_str("  premise ")?;
            if premise.unit != function.unit {
                write!(f, "{} ", premise.unit)?;
            }
            write!(f, "{} fact {} (", premise.pc, premise.variant)?;
            for (position, &word) in premise.words.iter().enumerate() {
                f.write_str(if position > 0 { ", " } else { "" })?;
                match word {
                    PremiseWord::Integer(word) => write!(f, "{word}")?,
                    PremiseWord::Slot(recipe) => RecipeText(self.language, recipe).fmt(f)?,
                    PremiseWord::Assumption(recipe) => {
                        write!(f, "assume {}", RecipeText(self.language, recipe))?;
                    }
                }
            }
            writeln!(f, ")")?;
        }
        BodyText { function, language: self.language, indent: "", first_header: true }.fmt(f)?;
        writeln!(f, "}}")
    }
}

/// The blocks of a function.
pub(super) struct BodyText<'a> {
    pub function: &'a Function,
    pub language: &'a Language,
    pub indent: &'a str,
    /// Whether the first block's header is written.
    pub first_header: bool,
}

impl Display for BodyText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let BodyText { function, language, indent, .. } = *self;
        let blocks =
            || function.layout.iter().filter_map(|&block| Some((block, function.blocks.get(block)?)));
        let insts =
            || blocks().flat_map(|(_, data)| data.insts.iter().filter_map(|&inst| function.insts.get(inst)));
        let named: BitSet<Inst> = insts().flat_map(|data| data.proofs.iter().copied()).collect();
        let mut printed = BitSet::new();
        for (position, (block, data)) in blocks().enumerate() {
            if position > 0 || self.first_header {
                writeln!(f, "{indent}{}", BlockHeader(function, block))?;
            }
            for &inst in &data.insts {
                let Some(data) = function.insts.get(inst) else { continue };
                for state in data.state.into_iter().chain(data.after) {
                    self.states(f, state, &mut printed)?;
                }
                write!(f, "{indent}  ")?;
                if named.contains(inst) {
                    write!(f, "{inst}: ")?;
                }
                writeln!(f, "{}", InstText { function, language, data })?;
            }
        }
        Ok(())
    }
}

impl BodyText<'_> {
    /// The states of a chain that are not printed yet, outermost first.
    fn states(
        &self,
        f: &mut Formatter<'_>,
        innermost: FrameStateId,
        printed: &mut BitSet<FrameStateId>,
    ) -> fmt::Result {
        let mut chain = Vec::new();
        let mut next = Some(innermost);
        while let Some(id) = next
            && let Some(state) = self.function.states.get(id)
            && printed.insert(id)
        {
            chain.push((id, state));
            next = state.parent;
        }
        for (id, state) in chain.into_iter().rev() {
            writeln!(f, "{}  {}", self.indent, StateText(id, state))?;
        }
        Ok(())
    }
}

struct BlockHeader<'a>(&'a Function, Block);

impl Display for BlockHeader<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let BlockHeader(function, block) = *self;
        let data = &function.blocks[block];
        write!(f, "{block}")?;
        if !data.params.is_empty() {
            f.write_str("(")?;
            commas(f, &data.params, |f, &param| match function.values.get(param) {
                Some(value) => write!(f, "{param}: {}", value.ty),
                None => write!(f, "{param}: ?"),
            })?;
            f.write_str(")")?;
        }
        f.write_str(if data.cold { " cold:" } else { ":" })
    }
}

struct StateText<'a>(FrameStateId, &'a FrameState);

impl Display for StateText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let StateText(id, state) = *self;
        write!(f, "{id} =")?;
        if state.frame.index() != 0 {
            write!(f, " {}", state.frame)?;
        }
        if let Some(callee) = state.callee {
            write!(f, " callee {callee}")?;
        }
        write!(f, " {} {{", state.resume)?;
        commas(f, &state.registers, |f, (register, value)| write!(f, "{register}: {value}"))?;
        f.write_str("}")?;
        if let Some((register, count)) = state.open {
            write!(f, " open {register} {count}")?;
        }
        if !state.results.is_empty() {
            f.write_str(" results ")?;
            commas(f, &state.results, |f, value| write!(f, "{value}"))?;
        }
        match state.parent {
            Some(parent) => write!(f, " parent {parent}"),
            None => Ok(()),
        }
    }
}

struct InstText<'a> {
    function: &'a Function,
    language: &'a Language,
    data: &'a InstData,
}

impl Display for InstText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let InstText { function, language, data } = *self;
        if let Some(result) = data.result {
            write!(f, "{result}")?;
            let ty = function.values.get(result).map(|value| value.ty);
            if let Some(ty) = ty.filter(|&ty| function.checked_result_type(language, data) != Some(Some(ty)))
            {
                write!(f, ": {ty}")?;
            }
            f.write_str(" = ")?;
        }
        f.write_str(data.opcode.name())?;
        self.immediate(f)?;
        match data.immediate {
            Immediate::Call(_) => {}
            _ if data.args.is_empty() => {}
            _ => {
                f.write_str(" ")?;
                commas(f, &data.args, |f, value| write!(f, "{value}"))?;
            }
        }
        // A site stands behind the operands.
        if let Immediate::Operation(_, site) = data.immediate {
            write!(f, " {site}")?;
        }
        if !data.targets.is_empty() {
            f.write_str(if data.args.is_empty() { " " } else { " -> " })?;
            commas(f, &data.targets, target)?;
        }
        if let Some(state) = data.state {
            write!(f, " [{state}]")?;
        }
        if let Some(after) = data.after {
            write!(f, " after [{after}]")?;
        }
        if let Some(site) = data.site {
            write!(f, " site {site}")?;
        }
        if data.pinned {
            write!(f, " pinned")?;
        }
        if !data.proofs.is_empty() {
            f.write_str(" by ")?;
            commas(f, &data.proofs, |f, proof| write!(f, "{proof}"))?;
        }
        Ok(())
    }
}

fn target(f: &mut Formatter<'_>, target: &BlockCall) -> fmt::Result {
    write!(f, "{}", target.block)?;
    if target.args.is_empty() {
        return Ok(());
    }
    f.write_str("(")?;
    commas(f, &target.args, |f, value| write!(f, "{value}"))?;
    f.write_str(")")
}

impl InstText<'_> {
    fn immediate(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let InstText { language, data, .. } = *self;
        if !matches!(data.immediate, Immediate::None | Immediate::Call(_)) {
            f.write_str(" ")?;
        }
        match data.immediate {
            Immediate::None => Ok(()),
            Immediate::Integer(value) if data.opcode == Opcode::RawConst => {
                write!(f, "{}", Word(value as u64))
            }
            Immediate::Integer(value) => write!(f, "{value}"),
            Immediate::Float(bits) => write!(f, "{}", Float(bits)),
            Immediate::Boolean(value) => write!(f, "{value}"),
            Immediate::Kind(kind) => row(f, &language.kinds, kind, |kind| &kind.name),
            Immediate::KindReason(kind, reason) => {
                row(f, &language.kinds, kind, |kind| &kind.name)?;
                write!(f, " {reason}")
            }
            Immediate::Reason(reason) => write!(f, "{reason}"),
            Immediate::IntCondition(condition) => f.write_str(condition.name()),
            Immediate::FloatCondition(condition) => f.write_str(condition.name()),
            Immediate::Field(field) => write!(f, "{}", FieldName(language, field)),
            Immediate::Extern(id) => row(f, &language.externs, id, |function| &function.name),
            Immediate::Slot(slot) => write!(f, "{slot}"),
            Immediate::Operation(operation, _) => {
                row(f, &language.operations, operation, |operation| &operation.name)
            }
            Immediate::Register(register) => write!(f, "{register}"),
            Immediate::Recipe(recipe) => write!(f, "{}", RecipeText(language, recipe)),
            Immediate::Call(info) => {
                f.write_str(" ")?;
                let (callee, args) = match data.args.split_first() {
                    Some((callee, args)) => (Some(callee), args),
                    None => (None, &[][..]),
                };
                if let Some(callee) = callee {
                    write!(f, "{callee}")?;
                }
                f.write_str("(")?;
                let last = args.len().wrapping_sub(1);
                commas(f, args.iter().enumerate(), |f, (index, value)| {
                    f.write_str(if info.open_arguments && index == last { "open " } else { "" })?;
                    write!(f, "{value}")
                })?;
                if info.open_arguments && args.is_empty() {
                    f.write_str("open")?;
                }
                write!(f, ") window {} wants ", info.window)?;
                match info.wanted {
                    Wanted::Fixed(count) => write!(f, "{count}")?,
                    Wanted::Open => f.write_str("open")?,
                }
                write!(f, " {}", info.site)
            }
        }
    }
}
