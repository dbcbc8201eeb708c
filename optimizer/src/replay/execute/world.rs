//! A world for functions without their host: an oracle that answers whatever the evaluator asks.
//!
//! Every answer is drawn from the seed and the *question*: which object's field, since which effect; the result of which effect; a
//! pure function of which operands. So two functions that do the same are told the same, in whatever order they ask, and how often:
//! a load that was moved or dropped changes no other answer. What must hold:
//!
//! * memory keeps what is stored to it. An effect may change what it is declared to write: whether it changes a place is drawn
//!   from the effect's number and the place. Immutable fields never change;
//! * places of different alias classes are different places, and objects may be the same object: few identities are drawn often;
//! * pure externs are functions of their operands, and of what was written so far to what they read;
//! * a poll changes nothing. The window keeps what is put there up to the next effect, and holds anything behind it.
//!
//! An answer can be laid down beforehand ([`Answers`]): so a run is led past a guard.

use super::draw::{Draw, Question};
use crate::record::event::{Argument, Arguments};
use rustc_hash::FxHashMap;
use surmise_ir::entity::{AliasClass, ExternId, SlotId};
use surmise_ir::evaluate::{
    Access, Boxed, Call, Datum, Delivery, EvaluatorHost, ExternCall, GuestCall, Machine, RebuiltFrame, Stop,
    boxing,
};
use surmise_ir::function::Wanted;
use surmise_ir::language::{Language, MemoryType, Reach, Recipe};
use surmise_ir::types::Type;

/// Answers that are laid down: all others are drawn.
pub type Answers = FxHashMap<Question, Datum>;

/// The address of the window's first register.
const WINDOW: u64 = 0x4000_0000_0000;
/// The address of the host's own state.
const HOST_STATE: u64 = 0x5000_0000_0000;

/// What can be seen of a run from outside, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A store: the place and the value.
    Store(AliasClass, u64, Datum),
    /// A store to the window.
    StoreWindow(i32, Datum),
    /// The write barrier for a value that the collector manages.
    Barrier(u64, Datum),
    /// A call of an extern that is not pure.
    Extern(ExternId, Vec<Datum>),
    /// A guest call.
    Guest(GuestCall),
    /// A poll, with the frames that leaving there would give.
    Poll(Vec<RebuiltFrame>),
}

/// How a run begins.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Start {
    /// What registers of the window hold; others are drawn.
    pub registers: FxHashMap<i32, Boxed>,
    /// How many arguments were passed.
    pub argument_count: u64,
}

impl Start {
    /// From recorded arguments.
    pub fn recorded(arguments: &Arguments, language: &Language) -> Start {
        let registers = arguments.values.iter().filter_map(|&(register, Argument { kind, word })| {
            let payload = match language.kinds.get(kind)?.payload {
                None => None,
                Some(Type::Ref) => Some(Datum::Ref(super::draw::known_object(word))),
                Some(Type::Raw | Type::Any) if word == 0 => Some(Datum::Raw(0)),
                Some(Type::Raw | Type::Any) => Some(Datum::Raw(super::draw::known_object(word))),
                Some(ty) => Some(Datum::from_bits(ty, word)?),
            };
            Some((register.0.into(), boxing::boxed(language, kind, payload)?))
        });
        Start { registers: registers.collect(), argument_count: arguments.values.len() as u64 }
    }
}

/// What a world is made of: equal ones answer alike.
#[derive(Clone, Copy)]
pub struct Makings<'a> {
    /// The host's language.
    pub language: &'a Language,
    /// Draws what is not laid down.
    pub draw: Draw<'a>,
    /// What is laid down.
    pub answers: &'a Answers,
    /// How runs begin.
    pub start: &'a Start,
    /// This effect makes everything invalid, if it can.
    pub invalidates: Option<u64>,
    /// This effect raises a guest error, if it can.
    pub throws: Option<u64>,
}

#[derive(Clone, Copy)]
struct Stored {
    memory: MemoryType,
    value: Datum,
    /// Behind so many effects.
    at: u64,
}

/// The world of one run.
pub struct World<'a> {
    makings: Makings<'a>,
    cells: FxHashMap<(AliasClass, u64), Stored>,
    window: FxHashMap<i32, Boxed>,
    /// Number of the last effect.
    effects: u64,
    /// Effects that may write everything, and those that may write a class; ascending.
    wrote_everything: Vec<u64>,
    wrote_class: FxHashMap<AliasClass, Vec<u64>>,
    /// How often a class was written at all, by stores or effects; and anything.
    writes_of_class: FxHashMap<AliasClass, u64>,
    writes: u64,
    /// What could be seen.
    pub events: Vec<Event>,
    /// What was asked last, if its answer was drawn or laid down.
    pub asked: Option<Question>,
}

/// Kinds of questions.
mod about {
    pub const CELL: u64 = 1;
    pub const HIT: u64 = 2;
    pub const EFFECT: u64 = 3;
    pub const PURE: u64 = 4;
    pub const REGISTER: u64 = 5;
    pub const WINDOW: u64 = 6;
    pub const SLOT: u64 = 7;
    pub const COUNT: u64 = 8;
    pub const REREAD: u64 = 9;
}

impl<'a> World<'a> {
    /// A fresh world.
    pub fn new(makings: Makings<'a>) -> World<'a> {
        World {
            makings,
            cells: FxHashMap::default(),
            window: FxHashMap::default(),
            effects: 0,
            wrote_everything: Vec::new(),
            wrote_class: FxHashMap::default(),
            writes_of_class: FxHashMap::default(),
            writes: 0,
            events: Vec::new(),
            asked: None,
        }
    }
    /// The address of the window.
    pub const WINDOW: u64 = WINDOW;
    /// How many effects there were: calls that are not pure.
    pub fn effects(&self) -> u64 {
        self.effects
    }

    fn answer(&mut self, question: Question, ty: Type) -> Datum {
        self.asked = Some(question);
        match self.makings.answers.get(&question) {
            Some(&answer) if answer.ty() == ty => answer,
            _ => self.makings.draw.value(question, ty),
        }
    }

    /// The last effect behind `after` that changed a place.
    fn changed_at(&self, class: AliasClass, address: u64, after: u64) -> Option<u64> {
        let of_class = self.wrote_class.get(&class).map_or(&[][..], Vec::as_slice);
        let last = |effects: &[u64]| {
            let later = effects.iter().rev().take_while(|&&effect| effect > after);
            later.copied().find(|&effect| {
                let place = [about::HIT, effect, u64::from(class.as_u32()), address];
                self.makings.draw.is_hit(Question::new(&place))
            })
        };
        last(&self.wrote_everything).max(last(of_class))
    }

    fn wrote(&mut self, class: AliasClass) {
        *self.writes_of_class.entry(class).or_default() += 1;
        self.writes += 1;
    }

    fn cell(&mut self, access: &Access) -> Datum {
        let field = &self.makings.language.fields[access.field];
        let (class, address) = (field.alias, access.address);
        let stored = self.cells.get(&(class, address)).copied();
        let at = stored.map_or(0, |stored| stored.at);
        let changed = if field.immutable { None } else { self.changed_at(class, address, at) };
        let place = [u64::from(class.as_u32()), address, form(access.memory)];
        let question = match (changed, stored) {
            (None, Some(Stored { memory, value, .. })) => {
                if memory == access.memory {
                    self.asked = None;
                    return value;
                }
                // Read in another form than it was stored in.
                let [first, second] = words(value);
                Question::new(&[about::REREAD, place[0], place[1], place[2], first, second])
            }
            _ => Question::new(&[about::CELL, place[0], place[1], place[2], changed.unwrap_or(0)]),
        };
        let answer = self.answer(question, access.memory.value_type());
        truncated(access.memory, answer)
    }

    /// A call that is not pure: what it may write is another thing behind it. Returns its number.
    fn effect(&mut self, event: Event, writes: &Reach, throws: bool) -> Result<u64, Stop> {
        self.events.push(event);
        self.effects += 1;
        match writes {
            Reach::Nothing => {}
            Reach::Classes(classes) => {
                for &class in classes {
                    self.wrote_class.entry(class).or_default().push(self.effects);
                    self.wrote(class);
                }
            }
            Reach::Everything => {
                self.wrote_everything.push(self.effects);
                for count in self.writes_of_class.values_mut() {
                    *count += 1;
                }
                self.writes += 1;
            }
        }
        self.window.clear();
        if throws && self.makings.throws == Some(self.effects) {
            return Err(Stop::Throw);
        }
        Ok(self.effects)
    }

    fn extern_(&mut self, call: &ExternCall) -> Result<Option<Datum>, Stop> {
        let language = self.makings.language;
        let callee = &language.externs[call.id];
        let args: Vec<Datum> = call.args.iter().map(|&arg| canonical(language, arg)).collect();
        let question = if callee.effects.is_pure() {
            let written = match &callee.effects.reads {
                Reach::Nothing => 0,
                Reach::Everything => self.writes,
                Reach::Classes(classes) => {
                    let everything = self.wrote_everything.len() as u64;
                    let counts =
                        classes.iter().map(|class| self.writes_of_class.get(class).copied().unwrap_or(0));
                    counts.sum::<u64>() + everything
                }
            };
            let mut question = vec![about::PURE, u64::from(call.id.as_u32()), written];
            question.extend(args.iter().flat_map(|&arg| words(arg)));
            Question::new(&question)
        } else {
            let effects = &callee.effects;
            let writes = if effects.calls_guest { &Reach::Everything } else { &effects.writes };
            let throws = effects.throws || effects.calls_guest;
            let number = self.effect(Event::Extern(call.id, args), writes, throws)?;
            if callee.result == Some(Type::Ref) && effects.allocates {
                self.asked = None;
                return Ok(Some(Datum::Ref(super::draw::fresh_object(number))));
            }
            Question::new(&[about::EFFECT, number])
        };
        Ok(callee.result.map(|ty| self.answer(question, ty)))
    }

    fn guest(&mut self, call: &GuestCall) -> Result<Delivery, Stop> {
        let language = self.makings.language;
        let mut seen = call.clone();
        seen.callee = canonical(language, seen.callee);
        for arg in &mut seen.args {
            *arg = canonical_boxed(language, *arg);
        }
        let number = self.effect(Event::Guest(seen), &Reach::Everything, true)?;
        let question = Question::new(&[about::EFFECT, number]);
        let count = match call.wanted {
            Wanted::Fixed(count) => count.into(),
            Wanted::Open => self.makings.draw.count(question, 4),
        };
        let first = if call.wanted == Wanted::Fixed(1) {
            self.answer(question, Type::Any).boxed()
        } else if count > 0 {
            Some(self.load_window(call.window, call.register.0.into())?)
        } else {
            None
        };
        Ok(Delivery::Guest { first, count })
    }
}

impl EvaluatorHost for World<'_> {
    fn load(&mut self, access: &Access) -> Result<Datum, Stop> {
        Ok(self.cell(access))
    }
    fn store(&mut self, access: &Access, value: Datum) -> Result<(), Stop> {
        let field = &self.makings.language.fields[access.field];
        let value = truncated(access.memory, value);
        let seen = canonical(self.makings.language, value);
        self.events.push(Event::Store(field.alias, access.address, seen));
        let stored = Stored { memory: access.memory, value, at: self.effects };
        self.cells.insert((field.alias, access.address), stored);
        self.wrote(field.alias);
        Ok(())
    }
    fn barrier(&mut self, object: u64, value: Datum) -> Result<(), Stop> {
        let language = self.makings.language;
        let is_managed = match value {
            Datum::Any(boxed) => boxing::kind_of(language, boxed)
                .is_some_and(|kind| language.kinds[kind].payload == Some(Type::Ref)),
            value => value.ty() == Type::Ref,
        };
        if is_managed {
            self.events.push(Event::Barrier(object, value));
        }
        Ok(())
    }
    fn slot(&mut self, _: SlotId, recipe: &Recipe) -> Result<Datum, Stop> {
        let class = self.makings.language.recipes.get(recipe.class as usize);
        let class = class.ok_or_else(|| Stop::fault("no such recipe class"))?;
        let question = Question::new(&[about::SLOT, recipe.class.into(), recipe.words[0], recipe.words[1]]);
        self.asked = None;
        Ok(self.makings.draw.held(question, class.ty))
    }
    fn host_state(&mut self) -> u64 {
        HOST_STATE
    }
    fn argument_count(&mut self, _: u64) -> Result<u64, Stop> {
        let usual = self.makings.start.argument_count;
        if !self.makings.start.registers.is_empty() {
            return Ok(usual);
        }
        Ok(self.makings.draw.argument_count(Question::new(&[about::COUNT]), usual))
    }
    fn load_window(&mut self, _: u64, register: i32) -> Result<Boxed, Stop> {
        if let Some(&value) = self.window.get(&register) {
            self.asked = None;
            return Ok(value);
        }
        let answer = if self.effects > 0 {
            self.answer(Question::new(&[about::WINDOW, self.effects, register as u64]), Type::Any)
        } else if let Some(&value) = self.makings.start.registers.get(&register) {
            self.asked = None;
            return Ok(value);
        } else {
            let question = Question::new(&[about::REGISTER, register as u64]);
            self.asked = Some(question);
            match self.makings.answers.get(&question) {
                Some(&answer) => answer,
                None => self.makings.draw.register(question, register),
            }
        };
        answer.boxed().ok_or_else(|| Stop::fault("a register holds a boxed value"))
    }
    fn store_window(&mut self, _: u64, register: i32, value: Boxed) -> Result<(), Stop> {
        let seen = canonical_boxed(self.makings.language, value);
        self.events.push(Event::StoreWindow(register, Datum::Any(seen)));
        self.window.insert(register, value);
        self.writes += 1;
        Ok(())
    }
    fn window_address(&mut self, window: u64, register: i32) -> u64 {
        let size = i64::from(self.makings.language.encoding.size());
        window.wrapping_add_signed(i64::from(register) * size)
    }
    fn call_leaf(&mut self, call: &ExternCall) -> Result<Option<Datum>, Stop> {
        self.extern_(call)
    }
    fn call(&mut self, call: &Call, machine: &mut Machine<'_>) -> Result<Delivery, Stop> {
        let (delivery, may_deoptimize) = match call {
            Call::Extern(call) => {
                let callee = &self.makings.language.externs[call.id];
                (Delivery::Extern(self.extern_(call)?), callee.effects.may_deoptimize())
            }
            Call::Guest(call) => (self.guest(call)?, true),
            // Whoever drives the machine has noted it.
            Call::Poll => return Ok(Delivery::Poll),
        };
        if may_deoptimize && self.makings.invalidates == Some(self.effects) {
            machine.invalidate();
        }
        Ok(delivery)
    }
}

fn form(memory: MemoryType) -> u64 {
    match memory {
        MemoryType::U8 => 0,
        MemoryType::U16 => 1,
        MemoryType::U32 => 2,
        MemoryType::I32 => 3,
        MemoryType::Full(ty) => 4 + ty as u64,
    }
}

/// What comes back of a value that was stored in this form.
fn truncated(memory: MemoryType, value: Datum) -> Datum {
    match (memory, value) {
        (MemoryType::U8, Datum::I64(value)) => Datum::I64(value & 0xff),
        (MemoryType::U16, Datum::I64(value)) => Datum::I64(value & 0xffff),
        (MemoryType::U32, Datum::I64(value)) => Datum::I64(value & 0xffff_ffff),
        (MemoryType::I32, Datum::I64(value)) => Datum::I64((value as i32).into()),
        (_, value) => value,
    }
}

fn words(value: Datum) -> [u64; 2] {
    value.boxed().unwrap_or([value.bits().unwrap_or(0), 0])
}

/// A value as it is compared: which of the many NaNs it is does not count, for machines differ in that.
pub fn canonical(language: &Language, value: Datum) -> Datum {
    match value {
        Datum::F64(bits) if f64::from_bits(bits).is_nan() => Datum::F64(f64::NAN.to_bits()),
        Datum::Any(boxed) => Datum::Any(canonical_boxed(language, boxed)),
        value => value,
    }
}

/// The same of a boxed value.
pub fn canonical_boxed(language: &Language, value: Boxed) -> Boxed {
    let Some(kind) = boxing::kind_of(language, value) else { return value };
    match boxing::unboxed(language, kind, value) {
        Some(Some(payload @ Datum::F64(_))) => {
            boxing::boxed(language, kind, Some(canonical(language, payload))).unwrap_or(value)
        }
        _ => value,
    }
}
