//! The objects of *mini*, wherever they are: in the evaluator's model, or in memory that machine code reads.

use super::language::{CELL, FUNCTION, LIST, NIL};
use crate::evaluate::model::Memory;
use crate::evaluate::{Boxed, Datum};
use crate::language::Language;
use std::collections::HashMap;

/// A place where objects are. Addresses are the place's own.
pub trait Objects {
    /// A new cell that holds this.
    fn new_cell(&mut self, language: &Language, contents: Boxed) -> u64;
    /// What a cell holds; `None` if there is no cell.
    fn contents(&self, language: &Language, cell: u64) -> Option<Boxed>;
    /// Changes what a cell holds.
    fn set_contents(&mut self, language: &Language, cell: u64, contents: Boxed);
    /// A new list of a shape.
    fn new_list(&mut self, language: &Language, shape: u64, elements: &[Boxed]) -> u64;
    /// A list's shape and elements; `None` if there is no list.
    fn list(&self, language: &Language, list: u64) -> Option<(u64, Vec<Boxed>)>;
    /// Changes an element of a list that has it.
    fn set_element(&mut self, language: &Language, list: u64, index: usize, element: Boxed);
    /// The function object with this number (the same one each time).
    fn new_function(&mut self, language: &Language, number: u64) -> u64;
    /// The number of a function object; `None` if there is none.
    fn function(&self, language: &Language, function: u64) -> Option<u64>;
}

/// In the model, functions have only numbers: their unit's. Only functions have a word at the unit's place.
impl Objects for Memory {
    fn new_cell(&mut self, language: &Language, contents: Boxed) -> u64 {
        let cell = self.object();
        self.set(language, cell, "Header.flags", None, Datum::I64(0));
        self.set_contents(language, cell, contents);
        cell
    }
    fn contents(&self, language: &Language, cell: u64) -> Option<Boxed> {
        self.get(language, cell, "Cell.value", None)?.boxed()
    }
    fn set_contents(&mut self, language: &Language, cell: u64, contents: Boxed) {
        self.set(language, cell, "Cell.value", None, Datum::Any(contents));
    }
    fn new_list(&mut self, language: &Language, shape: u64, elements: &[Boxed]) -> u64 {
        let list = self.object();
        self.set(language, list, "Header.flags", None, Datum::I64(0));
        self.set(language, list, "List.shape", None, Datum::Raw(shape));
        self.set(language, list, "List.length", None, Datum::I64(elements.len() as i64));
        for (index, &element) in elements.iter().enumerate() {
            self.set_element(language, list, index, element);
        }
        list
    }
    fn list(&self, language: &Language, list: u64) -> Option<(u64, Vec<Boxed>)> {
        let shape = self.get(language, list, "List.shape", None)?.bits()?;
        let length = self.get(language, list, "List.length", None)?.bits()? as i64;
        let element = |index| self.get(language, list, "List.element", Some(index))?.boxed();
        Some((shape, (0..length).map(element).collect::<Option<_>>()?))
    }
    fn set_element(&mut self, language: &Language, list: u64, index: usize, element: Boxed) {
        self.set(language, list, "List.element", Some(index as i64), Datum::Any(element));
    }
    fn new_function(&mut self, language: &Language, number: u64) -> u64 {
        let known = self.addresses().find(|&address| self.function(language, address) == Some(number));
        known.unwrap_or_else(|| {
            let function = self.object();
            self.set(language, function, "Function.unit", None, Datum::Raw(number));
            function
        })
    }
    fn function(&self, language: &Language, function: u64) -> Option<u64> {
        self.get(language, function, "Function.unit", None)?.bits()
    }
}

/// Copies values, with all that they refer to, from one place to another. What is one object there is one here.
pub struct Copier<'a, From, To> {
    language: &'a Language,
    from: &'a From,
    to: &'a mut To,
    copied: HashMap<u64, u64>,
}

impl<'a, From: Objects, To: Objects> Copier<'a, From, To> {
    /// A copier that has copied nothing yet.
    pub fn new(language: &'a Language, from: &'a From, to: &'a mut To) -> Self {
        Copier { language, from, to, copied: HashMap::new() }
    }
    /// Copies a value. An object of which the place knows nothing becomes nil.
    pub fn copy(&mut self, value: Boxed) -> Boxed {
        let [kind @ (CELL | FUNCTION | LIST), address] = value else { return value };
        if let Some(&known) = self.copied.get(&address) {
            return [kind, known];
        }
        let language = self.language;
        match kind {
            CELL => {
                let Some(contents) = self.from.contents(language, address) else { return NIL };
                // First the cell, then what it holds: that may be the cell itself.
                let cell = self.to.new_cell(language, NIL);
                self.copied.insert(address, cell);
                let contents = self.copy(contents);
                self.to.set_contents(language, cell, contents);
                [CELL, cell]
            }
            LIST => {
                let Some((shape, elements)) = self.from.list(language, address) else { return NIL };
                let list = self.to.new_list(language, shape, &vec![NIL; elements.len()]);
                self.copied.insert(address, list);
                for (index, element) in elements.into_iter().enumerate() {
                    let element = self.copy(element);
                    self.to.set_element(language, list, index, element);
                }
                [LIST, list]
            }
            _ => {
                let Some(number) = self.from.function(language, address) else { return NIL };
                let function = self.to.new_function(language, number);
                self.copied.insert(address, function);
                [FUNCTION, function]
            }
        }
    }
}
