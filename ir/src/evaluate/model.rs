//! A tiny world for tests: objects are maps from byte offsets to values, windows are maps too, and externs are closures.
//!
//! Everything is checked: loads of what was never stored, loads in another form than the store's, addresses inside no object.
//! What could be seen from outside is logged ([`ModelHost::events`]), so that two functions can be compared by what they do.

use super::datum::{Boxed, Datum};
use super::host::{Access, Call, Delivery, EvaluatorHost, ExternCall, GuestCall, Stop};
use super::machine::{Machine, RootMut};
use crate::entity::{Register, SlotId};
use crate::function::Wanted;
use crate::language::{Encoding, Language, MemoryType, Recipe};
use crate::types::Type;
use std::collections::{BTreeMap, BTreeSet};

/// What something outside can see of an evaluation.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A store: byte address and value.
    Store(u64, Datum),
    /// A call of an extern that is not pure: name and operands.
    Extern(String, Vec<Datum>),
    /// A guest call.
    Guest(GuestCall),
}

/// How an extern of the model works. `None` for its result is right where the extern has none.
pub type ExternFunction<'l> = Box<dyn FnMut(&mut Memory, &[Datum]) -> Result<Option<Datum>, Stop> + 'l>;
/// How guest calls work: the results.
pub type GuestFunction<'l> = Box<dyn FnMut(&mut Memory, &GuestCall) -> Result<Vec<Boxed>, Stop> + 'l>;

/// Distance between objects' addresses. Accesses further away than half of it are outside.
const SPACING: u64 = 1 << 20;

/// The objects.
#[derive(Clone, Default, Debug)]
pub struct Memory {
    objects: u64,
    cells: BTreeMap<u64, (MemoryType, Datum)>,
}

impl Memory {
    /// A new object without any field; its address.
    pub fn object(&mut self) -> u64 {
        self.objects += 1;
        self.objects * SPACING
    }
    /// The addresses of all objects.
    pub fn addresses(&self) -> impl Iterator<Item = u64> + use<> {
        (1..=self.objects).map(|number| number * SPACING)
    }
    /// Sets a field of an object, given by its full name, `Layout.field`.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn set(&mut self, language: &Language, object: u64, field: &str, index: Option<i64>, value: Datum) {
        let id = language.field(field).expect("the language has the field");
        let access = Access::new(id, &language.fields[id], object, index);
        self.store(&access, value).expect("the object exists");
    }
    /// Reads a field of an object.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn get(&self, language: &Language, object: u64, field: &str, index: Option<i64>) -> Option<Datum> {
        let id = language.field(field).expect("the language has the field");
        self.load(&Access::new(id, &language.fields[id], object, index)).ok()
    }
    fn check(&self, access: &Access) -> Result<(), Stop> {
        let is_object =
            access.base.is_multiple_of(SPACING) && (1..=self.objects).contains(&(access.base / SPACING));
        let distance = access.address.wrapping_sub(access.base) as i64;
        match is_object && distance.unsigned_abs() < SPACING / 2 {
            true => Ok(()),
            false => {
                Err(Stop::fault(format!("{:#x} from {:#x} is in no object", access.address, access.base)))
            }
        }
    }
    fn load(&self, access: &Access) -> Result<Datum, Stop> {
        self.check(access)?;
        match self.cells.get(&access.address) {
            Some(&(memory, value)) if memory == access.memory => Ok(value),
            found => Err(Stop::fault(format!(
                "at {:#x} there is {found:?}, not {:?}",
                access.address, access.memory
            ))),
        }
    }
    fn store(&mut self, access: &Access, value: Datum) -> Result<(), Stop> {
        self.check(access)?;
        let value = match (access.memory, value) {
            (MemoryType::U8, Datum::I64(value)) => Datum::I64(value & 0xff),
            (MemoryType::U16, Datum::I64(value)) => Datum::I64(value & 0xffff),
            (MemoryType::U32, Datum::I64(value)) => Datum::I64(value & 0xffff_ffff),
            (MemoryType::I32, Datum::I64(value)) => Datum::I64((value as i32).into()),
            (_, value) => value,
        };
        self.cells.insert(access.address, (access.memory, value));
        Ok(())
    }
}

/// The model host.
pub struct ModelHost<'l> {
    language: &'l Language,
    /// The objects.
    pub memory: Memory,
    /// Registers by address.
    pub registers: BTreeMap<u64, Boxed>,
    /// How many arguments were passed.
    pub argument_count: u64,
    /// What slots hold, by recipe; others hold a number made from their recipe.
    pub slots: BTreeMap<Recipe, Datum>,
    /// Assumptions that do not hold.
    pub broken: BTreeSet<Recipe>,
    /// Externs by name; others give a value made from their operands.
    pub externs: BTreeMap<String, ExternFunction<'l>>,
    /// Guest calls; without it they give a value made from their arguments.
    pub guest: Option<GuestFunction<'l>>,
    /// Invalidates the machine at the n-th call or poll from now (1 is the next).
    pub invalidate_at: Option<u64>,
    /// What could be seen.
    pub events: Vec<Event>,
    /// Objects whose barrier was run.
    pub barriers: Vec<u64>,
}

/// Where the model's only window starts.
pub const WINDOW: u64 = 0x4000_0000_0000;

impl<'l> ModelHost<'l> {
    /// An empty world, with these arguments in the window.
    pub fn new(language: &'l Language, args: &[Boxed]) -> ModelHost<'l> {
        let mut host = ModelHost {
            language,
            memory: Memory::default(),
            registers: BTreeMap::new(),
            argument_count: args.len() as u64,
            slots: BTreeMap::new(),
            broken: BTreeSet::new(),
            externs: BTreeMap::new(),
            guest: None,
            invalidate_at: None,
            events: Vec::new(),
            barriers: Vec::new(),
        };
        for (index, &arg) in args.iter().enumerate() {
            let address = host.address(WINDOW, index as i32);
            host.registers.insert(address, arg);
        }
        host
    }
    fn address(&self, window: u64, register: i32) -> u64 {
        window.wrapping_add_signed(i64::from(register) * i64::from(self.language.encoding.size()))
    }
    /// A value of a type made from some words: the same for the same words.
    fn made(&self, ty: Type, seed: u64, args: &[Datum]) -> Datum {
        let mut hash = seed;
        for arg in args {
            for word in arg.boxed().unwrap_or([arg.bits().unwrap_or(0), 0]) {
                hash = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
            }
        }
        match ty {
            Type::I64 => Datum::I64((hash % 1000) as i64 - 100),
            Type::F64 => Datum::F64(((hash % 4000) as f64 / 8.0).to_bits()),
            Type::I1 => Datum::I1(hash & 1 == 1),
            Type::Ref => Datum::Ref(hash % 7 * SPACING + SPACING),
            Type::Raw => Datum::Raw(hash % 5),
            Type::Any => Datum::Any(self.made_boxed(hash)),
        }
    }
    fn made_boxed(&self, hash: u64) -> Boxed {
        let kinds: Vec<_> = self.language.kinds.keys().collect();
        let Some(&kind) = kinds.get(hash as usize % kinds.len().max(1)) else { return [0, hash] };
        let payload = self.language.kinds[kind].payload.map(|ty| match ty {
            Type::Any => Datum::Raw(0),
            ty => self.made(ty, hash.rotate_left(31), &[]),
        });
        super::boxing::boxed(self.language, kind, payload).unwrap_or([0, 0])
    }
    fn extern_(&mut self, call: &ExternCall) -> Result<Option<Datum>, Stop> {
        let callee = &self.language.externs[call.id];
        if !callee.effects.is_pure() {
            self.events.push(Event::Extern(callee.name.clone(), call.args.clone()));
        }
        match self.externs.get_mut(&callee.name) {
            Some(function) => function(&mut self.memory, &call.args),
            None => Ok(callee.result.map(|ty| self.made(ty, u64::from(call.id.as_u32()) + 1, &call.args))),
        }
    }
    fn guest_call(&mut self, call: &GuestCall) -> Result<Delivery, Stop> {
        self.events.push(Event::Guest(call.clone()));
        let args: Vec<Datum> = call.args.iter().map(|&arg| Datum::Any(arg)).collect();
        let mut results = match &mut self.guest {
            Some(guest) => guest(&mut self.memory, call)?,
            None => vec![self.made(Type::Any, call.site.0.into(), &args).boxed().unwrap_or_default()],
        };
        let absent = super::boxing::absent(self.language).unwrap_or_default();
        if let Wanted::Fixed(wanted) = call.wanted {
            results.resize(wanted.into(), absent);
        }
        if call.wanted != Wanted::Fixed(1) {
            for (index, &result) in results.iter().enumerate() {
                let Register(register) = call.register;
                let address = self.address(call.window, i32::from(register) + index as i32);
                self.registers.insert(address, result);
            }
        }
        Ok(Delivery::Guest { first: results.first().copied(), count: results.len() as u64 })
    }
}

impl EvaluatorHost for ModelHost<'_> {
    fn load(&mut self, access: &Access) -> Result<Datum, Stop> {
        self.memory.load(access)
    }
    fn store(&mut self, access: &Access, value: Datum) -> Result<(), Stop> {
        self.events.push(Event::Store(access.address, value));
        self.memory.store(access, value)
    }
    fn barrier(&mut self, object: u64, _: Datum) -> Result<(), Stop> {
        self.barriers.push(object);
        Ok(())
    }
    fn holds(&mut self, recipe: &Recipe) -> bool {
        !self.broken.contains(recipe)
    }
    fn slot(&mut self, _: SlotId, recipe: &Recipe) -> Result<Datum, Stop> {
        if let Some(&held) = self.slots.get(recipe) {
            return Ok(held);
        }
        let class = self
            .language
            .recipes
            .get(recipe.class as usize)
            .ok_or_else(|| Stop::fault("no such recipe class"))?;
        Ok(self.made(class.ty, recipe.class.into(), &recipe.words.map(Datum::Raw)))
    }
    fn host_state(&mut self) -> u64 {
        SPACING
    }
    fn argument_count(&mut self, _: u64) -> Result<u64, Stop> {
        Ok(self.argument_count)
    }
    fn load_window(&mut self, window: u64, register: i32) -> Result<Boxed, Stop> {
        let address = self.address(window, register);
        let found = self.registers.get(&address).copied();
        found.ok_or_else(|| Stop::fault(format!("register {register} of the window was never set")))
    }
    fn store_window(&mut self, window: u64, register: i32, value: Boxed) -> Result<(), Stop> {
        let address = self.address(window, register);
        self.registers.insert(address, value);
        Ok(())
    }
    fn window_address(&mut self, window: u64, register: i32) -> u64 {
        self.address(window, register)
    }
    fn call_leaf(&mut self, call: &ExternCall) -> Result<Option<Datum>, Stop> {
        self.extern_(call)
    }
    fn call(&mut self, call: &Call, machine: &mut Machine<'_>) -> Result<Delivery, Stop> {
        // Nothing moves here, but every root has to be one.
        let (language, mut wrong) = (self.language, None);
        machine.visit_roots(&mut |root| match root {
            RootMut::Any(&mut value) if language.encoding == Encoding::Word && value[1] != 0 => {
                wrong = Some(value)
            }
            RootMut::Any(_) | RootMut::Ref(_) => {}
        });
        if let Some(value) = wrong {
            return Err(Stop::fault(format!("the root {value:?} is no boxed word")));
        }
        let delivery = match call {
            Call::Extern(call) => Delivery::Extern(self.extern_(call)?),
            Call::Guest(call) => self.guest_call(call)?,
            Call::Poll => Delivery::Poll,
        };
        let may_deoptimize = match call {
            Call::Extern(call) => language.externs[call.id].effects.may_deoptimize(),
            Call::Guest(_) | Call::Poll => true,
        };
        if may_deoptimize && let Some(left) = &mut self.invalidate_at {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.invalidate_at = None;
                machine.invalidate();
            }
        }
        Ok(delivery)
    }
}
