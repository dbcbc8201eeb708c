//! Frame states as words of the deopt table.
//!
//! A box in a state is resolved to its payload and kind, so boxes that only frame states use cost no code. Constants go to the
//! table of constants. Everything else is either in its home, or a context item of the exit's call: the code generator then says
//! where it has kept it.

use super::Translator;
use super::error::LowerError;
use super::tables::{Spot, StateWord};
use super::values::Words;
use cranelift_codegen::ir;
use surmise_deopt::table::{Boxing, FrameHeader};
use surmise_ir::entity::{FrameStateId, KindId, Register, Value};
use surmise_ir::function::Immediate;
use surmise_ir::opcode::Opcode;
use surmise_ir::types::Type;

/// What kind of exit a state is described for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ExitForm {
    /// A guard: values are where they are, or in a home that is up to date.
    Guard,
    /// A landing pad of a call: collector-managed values are in their homes. How the call's results come:
    Call(LandingResults),
    /// A landing pad of a poll: what has a home is there.
    Poll,
}

/// What the call that a landing pad belongs to has left in the result registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LandingResults {
    /// Nothing that the frame is to receive.
    None,
    /// A guest call's results, in machine form.
    Call,
    /// An extern's result of this type.
    Extern(Type),
}

/// A state in words, with the context items that it refers to.
#[derive(Default)]
pub(super) struct Description {
    pub words: Vec<StateWord>,
    pub items: Vec<ir::Value>,
}

impl Description {
    fn item(&mut self, value: ir::Value) -> Spot {
        let index = self.items.iter().position(|&item| item == value).unwrap_or_else(|| {
            self.items.push(value);
            self.items.len() - 1
        });
        Spot::Item(index as u32)
    }
    fn value(&mut self, register: Register, boxing: Boxing, spot: Spot) {
        self.words.push(StateWord::Value(register, boxing, spot));
    }
}

fn too_large(what: &'static str, found: usize) -> LowerError {
    LowerError::TooLarge { what, found, limit: u16::MAX as usize }
}

impl Translator<'_> {
    /// Describes a state and the states around it. May emit code for the items: the current block is the exit's cold block.
    pub fn describe(&mut self, state: FrameStateId, form: ExitForm) -> Result<Description, LowerError> {
        let function = self.function;
        let mut description = Description::default();
        let mut is_innermost = true;
        for id in function.state_chain(state) {
            let state = &function.states[id];
            let header_at = description.words.len();
            description.words.push(StateWord::Header(0));
            for &(register, value) in &state.registers {
                self.describe_value(&mut description, register, value, form)?;
            }
            let register_entries = description.words.len() - header_at - 1;
            for &value in &state.results {
                self.describe_value(&mut description, Register(0), value, form)?;
            }
            let landing = match form {
                // With results of its own the bytecode instruction has no use for the call's.
                ExitForm::Call(results) if is_innermost && state.results.is_empty() => results,
                _ => LandingResults::None,
            };
            match landing {
                LandingResults::None => {}
                LandingResults::Call => self.describe_result(&mut description, Type::Any)?,
                LandingResults::Extern(ty) => self.describe_result(&mut description, ty)?,
            }
            let result_entries = description.words.len() - header_at - 1 - register_entries;
            if let Some((register, count)) = state.open {
                let spot = self.spot_of(&mut description, count, form)?;
                description.value(register, Boxing::Whole, spot);
            }
            if let Some(callee) = state.callee {
                self.describe_value(&mut description, Register(0), callee, form)?;
            }
            let frame = &function.frames[state.frame];
            let header = FrameHeader {
                unit: frame.unit,
                pc: state.resume.pc,
                when: state.resume.when,
                window: frame.window,
                register_entries: u16::try_from(register_entries)
                    .map_err(|_| too_large("register entries of a frame state", register_entries))?,
                result_entries: u16::try_from(result_entries)
                    .map_err(|_| too_large("results of a frame state", result_entries))?,
                call_results: landing == LandingResults::Call,
                open: state.open.map(|(register, _)| register),
                has_callee: state.callee.is_some(),
                has_parent: state.parent.is_some(),
            };
            description.words[header_at] = StateWord::Header(self.records.header(header));
            is_innermost = false;
        }
        Ok(description)
    }

    /// The bits of a constant.
    fn constant_bits(&self, value: Value) -> Option<u64> {
        let data = &self.function.insts[self.function.def(value)?];
        match (data.opcode, data.immediate) {
            (Opcode::Iconst | Opcode::RawConst, Immediate::Integer(constant)) => Some(constant as u64),
            (Opcode::Fconst, Immediate::Float(bits)) => Some(bits),
            (Opcode::Bconst, Immediate::Boolean(truth)) => Some(u64::from(truth)),
            _ => None,
        }
    }
    /// Where an unboxed value that is not collector-managed is.
    fn spot_of(
        &mut self,
        description: &mut Description,
        value: Value,
        form: ExitForm,
    ) -> Result<Spot, LowerError> {
        if let Some(bits) = self.constant_bits(value) {
            return Ok(Spot::Constant(self.records.constant(bits)?));
        }
        // Only a poll in a loop that works with the value has stored it.
        if let Some(home) = self.roots.home(value).filter(|_| form == ExitForm::Poll)
            && self.roots.across(self.inst).binary_search(&value).is_ok()
        {
            return Ok(Spot::Home(home.word));
        }
        // Floats stay floats: over a System V call they can only be spilled, and a spilled float's place is its bits. Truth
        // values stay bytes: whoever boxes them looks at the lowest bit.
        let word = self.single(value)?;
        Ok(description.item(word))
    }
    /// The home of a collector-managed value, if that is where it is to be found here.
    fn home_spot(&self, value: Value, form: ExitForm) -> Option<u32> {
        let home = self.roots.home(value)?;
        (form != ExitForm::Guard || self.homes.is_current(home, value)).then_some(home.word)
    }
    fn kind_number(kind: KindId) -> Result<u8, LowerError> {
        u8::try_from(kind.as_u32()).ok().filter(|&kind| kind < 62).ok_or(LowerError::TooLarge {
            what: "a kind's number in a frame state",
            found: kind.as_u32() as usize,
            limit: 61,
        })
    }
    fn describe_value(
        &mut self,
        description: &mut Description,
        register: Register,
        value: Value,
        form: ExitForm,
    ) -> Result<(), LowerError> {
        let function = self.function;
        let landing_without_home = |this: &Self| {
            this.unsupported(format!(
                "{value} is collector-managed and lives across the call, but has no home"
            ))
        };
        if let Some(data) = function.def_with(value, Opcode::Box)
            && let Immediate::Kind(kind) = data.immediate
        {
            let boxing = Boxing::Kind(Self::kind_number(kind)?);
            let spot = match data.args.first() {
                None => Spot::Constant(self.records.constant(0)?),
                Some(&payload) if function.ty(payload) == Type::Ref => match self.home_spot(payload, form) {
                    Some(word) => Spot::Home(word),
                    None if form == ExitForm::Guard => {
                        let word = self.single(payload)?;
                        description.item(word)
                    }
                    None => return Err(landing_without_home(self)),
                },
                Some(&payload) => self.spot_of(description, payload, form)?,
            };
            description.value(register, boxing, spot);
            return Ok(());
        }
        if function.ty(value) != Type::Any {
            return Err(self.unsupported(format!(
                "a frame state holds {value} of type {}; it has to be boxed",
                function.ty(value)
            )));
        }
        if let Some(word) = self.home_spot(value, form) {
            let boxing = if self.is_pair() { Boxing::Pair } else { Boxing::Whole };
            description.value(register, boxing, Spot::Home(word));
            return Ok(());
        }
        if form != ExitForm::Guard {
            return Err(landing_without_home(self));
        }
        match self.words(value)? {
            Words::One(word) => {
                let spot = description.item(word);
                description.value(register, Boxing::Whole, spot);
            }
            Words::Pair(tag, payload) => {
                for word in [tag, payload] {
                    let spot = description.item(word);
                    description.value(register, Boxing::Whole, spot);
                }
            }
        }
        Ok(())
    }
    /// The call's (first) result, which the interrupted frame has yet to receive. An unboxed one is boxed as the first kind with
    /// such a payload.
    fn describe_result(&mut self, description: &mut Description, ty: Type) -> Result<(), LowerError> {
        let register = Register(0);
        match ty {
            Type::Any => {
                let boxing = if self.is_pair() { Boxing::Pair } else { Boxing::Whole };
                description.value(register, boxing, Spot::Result(0));
            }
            _ => {
                let kinds = &self.language.kinds;
                let kind =
                    kinds.iter().find(|(_, kind)| kind.payload == Some(ty)).map(|(id, _)| id).ok_or_else(
                        || {
                            LowerError::Language(format!(
                                "no kind has a payload of type {ty}, which an interrupted extern returns"
                            ))
                        },
                    )?;
                description.value(register, Boxing::Kind(Self::kind_number(kind)?), Spot::Result(0));
            }
        }
        Ok(())
    }
}
