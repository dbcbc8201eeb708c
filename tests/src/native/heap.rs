//! The objects of *mini* in memory that machine code reads, and a collector that moves every object at every safepoint.
//!
//! ```text
//! word 0   number of the form (low half) | flags (byte 4)
//! word 1   function: address of its unit
//! word 2   cell: tag of its value · list: length
//! word 3   cell: payload · list: shape
//! word 4…  list: elements, tag and payload each
//! ```
//!
//! An object that moved leaves numbers behind that are no addresses, and the memory stays until the heap goes: code that uses an
//! old address reads a wrong value, which a comparison finds, and does not crash.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use surmise::deopt::entry::EntryCell;
use surmise::ir::evaluate::Boxed;
use surmise::ir::generate::Objects;
use surmise::ir::language::Language;

const CELL: u64 = 4;
const FUNCTION: u64 = 5;
const LIST: u64 = 6;
/// What an object that moved away is full of: as a value it is an integer.
const LEFT: u64 = 2;
/// The flag that asks for the write barrier's slow path.
const BARRIER: u64 = 1 << 32;

/// What function objects share: compiled code finds the entry cell in it.
#[repr(C)]
pub struct Unit {
    /// Its number.
    pub number: u64,
    /// Code to call.
    pub entry: EntryCell,
}

/// An object: cells, since machine code reads and writes it too.
type Words = Box<[Cell<u64>]>;

/// The objects.
pub struct Heap {
    objects: HashMap<u64, Words>,
    left: Vec<Words>,
    units: Box<[Unit]>,
    functions: Vec<u64>,
    /// How many times an object was moved.
    pub moves: u64,
}

/// How many functions there are.
pub const FUNCTIONS: u64 = 8;

impl Default for Heap {
    fn default() -> Heap {
        let units: Box<[Unit]> =
            (0..FUNCTIONS).map(|number| Unit { number, entry: EntryCell::new() }).collect();
        let mut heap =
            Heap { objects: HashMap::new(), left: Vec::new(), units, functions: Vec::new(), moves: 0 };
        for number in 0..FUNCTIONS {
            let function = heap.add([FUNCTION, heap.unit(number)]);
            heap.functions.push(function);
        }
        heap
    }
}

impl Heap {
    /// The address of a unit.
    pub fn unit(&self, number: u64) -> u64 {
        std::ptr::from_ref(&self.units[(number % FUNCTIONS) as usize]) as u64
    }
    fn add(&mut self, words: impl IntoIterator<Item = u64>) -> u64 {
        let words: Words = words.into_iter().map(Cell::new).collect();
        let address = words.as_ptr() as u64;
        self.objects.insert(address, words);
        address
    }
    fn leave(&mut self, address: u64) -> Option<Vec<u64>> {
        let words = self.objects.remove(&address)?;
        let contents = words.iter().map(|word| word.replace(LEFT)).collect();
        self.left.push(words);
        Some(contents)
    }
    fn get(&self, address: u64, form: u64) -> Option<&[Cell<u64>]> {
        let words = self.objects.get(&address)?;
        (words[0].get() & 0xffff_ffff == form).then_some(words)
    }
    /// Takes the request for the barrier's slow path back.
    pub fn remember(&mut self, address: u64) {
        if let Some(words) = self.objects.get(&address) {
            words[0].set(words[0].get() & !BARRIER);
        }
    }
    /// Starts a collection: [`Moving::forward`] has to be called for every root.
    pub fn start_moving(&mut self) -> Moving<'_> {
        let mut moving = Moving { heap: self, forwarded: HashMap::new(), due: Vec::new() };
        for index in 0..moving.heap.functions.len() {
            let function = moving.heap.functions[index];
            moving.heap.functions[index] = moving.forward(function);
        }
        moving
    }
}

/// A collection in progress.
pub struct Moving<'h> {
    heap: &'h mut Heap,
    forwarded: HashMap<u64, u64>,
    due: Vec<u64>,
}

impl Moving<'_> {
    /// The new address of an object. What is none (a root that was moved before, for example) stays as it is.
    pub fn forward(&mut self, old: u64) -> u64 {
        if let Some(&new) = self.forwarded.get(&old) {
            return new;
        }
        let Some(words) = self.heap.leave(old) else { return old };
        let new = self.heap.add(words);
        self.heap.moves += 1;
        self.forwarded.insert(old, new);
        self.due.push(new);
        new
    }
    /// The value with its object's new address.
    pub fn forward_value(&mut self, value: Boxed) -> Boxed {
        match value {
            [kind @ (CELL | FUNCTION | LIST), address] => [kind, self.forward(address)],
            other => other,
        }
    }
    /// Moves what the moved objects refer to. Objects that nothing refers to are gone.
    pub fn finish(mut self) {
        while let Some(address) = self.due.pop() {
            let words: Vec<u64> = self.heap.objects[&address].iter().map(Cell::get).collect();
            let first = match words[0] & 0xffff_ffff {
                CELL => 2,
                LIST => 4,
                _ => words.len(),
            };
            for at in (first..words.len()).step_by(2) {
                let [tag, payload] = self.forward_value([words[at], words[at + 1]]);
                let moved = &self.heap.objects[&address];
                moved[at].set(tag);
                moved[at + 1].set(payload);
            }
        }
        let live: HashSet<u64> = self.forwarded.into_values().collect();
        let gone: Vec<u64> =
            self.heap.objects.keys().filter(|address| !live.contains(address)).copied().collect();
        for address in gone {
            self.heap.leave(address);
        }
    }
}

impl Objects for Heap {
    fn new_cell(&mut self, _: &Language, [tag, payload]: Boxed) -> u64 {
        // Every other cell has the write barrier's slow path to go.
        let flags = if self.moves.is_multiple_of(2) { BARRIER } else { 0 };
        self.add([CELL | flags, 0, tag, payload])
    }
    fn contents(&self, _: &Language, cell: u64) -> Option<Boxed> {
        let words = self.get(cell, CELL)?;
        Some([words[2].get(), words[3].get()])
    }
    fn set_contents(&mut self, _: &Language, cell: u64, contents: Boxed) {
        if let Some(words) = self.objects.get(&cell) {
            words[2].set(contents[0]);
            words[3].set(contents[1]);
        }
    }
    fn new_list(&mut self, _: &Language, shape: u64, elements: &[Boxed]) -> u64 {
        let mut words = vec![LIST, 0, elements.len() as u64, shape];
        words.extend(elements.iter().flatten());
        self.add(words)
    }
    fn list(&self, _: &Language, list: u64) -> Option<(u64, Vec<Boxed>)> {
        let words = self.get(list, LIST)?;
        let elements = words[4..].chunks_exact(2).map(|pair| [pair[0].get(), pair[1].get()]);
        Some((words[3].get(), elements.take(words[2].get() as usize).collect()))
    }
    fn set_element(&mut self, _: &Language, list: u64, index: usize, element: Boxed) {
        if let Some(words) = self.objects.get(&list) {
            words[4 + 2 * index].set(element[0]);
            words[5 + 2 * index].set(element[1]);
        }
    }
    fn new_function(&mut self, _: &Language, number: u64) -> u64 {
        self.functions[(number % FUNCTIONS) as usize]
    }
    fn function(&self, _: &Language, function: u64) -> Option<u64> {
        let unit = self.get(function, FUNCTION)?[1].get();
        self.units.iter().find(|&known| std::ptr::from_ref(known) as u64 == unit).map(|unit| unit.number)
    }
}
