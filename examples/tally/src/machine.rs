//! Step 1: the interpreter.
//!
//! A frame's registers stand in the machine's stack of values, with the called function just below; a callee's window begins at
//! its arguments, which are the topmost operands of its caller. Its result replaces the function that was called.
//!
//! What is here for Surmise alone is marked with its name: calls and back-edges are counted, which may lead into compiled code, and
//! what is to be logged is logged.

use crate::assemble::{Error, fail};
use crate::collector::Texts;
use crate::connect::Connection;
use crate::counters::Plugged;
use crate::program::{Binary, Function, Instruction, Op, Program};
use crate::value::{Kind, Text, Word};
use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use surmise::ir::entity::Pc;
use surmise::ir::function::Entry;

/// Values on the stack: a recursion some ten thousands deep.
const STACK_WORDS: usize = 1 << 18;

/// A function in execution.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its function's number.
    pub function: usize,
    /// Its first register.
    pub base: usize,
    /// Its next instruction, up to date while another frame runs.
    pub pc: usize,
}

/// What became of a call.
pub enum Called {
    /// It is over, with this result.
    Returned(Word),
    /// It goes on as the topmost frame.
    Frame,
}

/// A machine with a program.
pub struct Machine {
    /// Surmise, if it is plugged in. The first field: it is dropped before what it refers to.
    pub surmise: Option<Connection>,
    /// The program's functions.
    pub functions: Rc<[Box<Function>]>,
    /// The values. Compiled code writes them as well.
    pub stack: Vec<Cell<Word>>,
    /// The frames.
    pub frames: Vec<Frame>,
    /// The strings that the program made.
    pub texts: Texts,
    /// How many frames there were before the last ones that were rebuilt.
    pub rebuilt_above: usize,
    /// The error on its way through compiled code.
    pub error: Option<Error>,
    /// Where `print` prints.
    pub output: Box<dyn Write>,
}

impl Machine {
    /// A machine for a program.
    pub fn new(program: &Program, output: Box<dyn Write>) -> Machine {
        let function = |code: &std::sync::Arc<crate::program::Code>| {
            let texts = code.texts.iter().map(|text| Text::new(text.clone())).collect();
            let function = Box::new(Function { plugged: Plugged::default(), code: code.clone(), texts });
            function.plugged.unit.set(&raw const *function);
            function
        };
        Machine {
            surmise: None,
            functions: program.functions.iter().map(function).collect(),
            stack: vec![Cell::new(Word::NONE); STACK_WORDS],
            frames: Vec::new(),
            texts: Texts::default(),
            rebuilt_above: 0,
            error: None,
            output,
        }
    }

    /// Runs the program's `main`.
    pub fn run_main(&mut self) -> Result<Word, Error> {
        let functions = self.functions.clone();
        let main = functions.iter().position(|function| function.code.name == "main");
        let main = main.expect("the assembler has seen a function 'main'");
        self.set(0, Word::function(&functions[main]));
        match self.call(main, 1, 0)? {
            Called::Returned(result) => Ok(result),
            Called::Frame => self.run(0),
        }
    }

    /// A value of the stack.
    pub fn get(&self, index: usize) -> Word {
        self.stack[index].get()
    }
    /// Sets a value of the stack.
    pub fn set(&self, index: usize, value: Word) {
        self.stack[index].set(value);
    }

    /// Runs the topmost frame, and what it calls, until so many frames are left. Gives the result of the last one that returned.
    pub fn run(&mut self, until: usize) -> Result<Word, Error> {
        let functions = self.functions.clone();
        'frames: loop {
            let Frame { function, base, mut pc } = *self.frames.last().expect("there is a frame to run");
            let function = &*functions[function];
            let mut top = base + usize::from(function.code.top_at(pc));
            let result = loop {
                let Instruction { op, line } = function.code.instructions[pc];
                if function.plugged.logged.get() {
                    self.log(function, pc, base); // Surmise
                }
                pc += 1;
                match op {
                    Op::PushInt(value) => self.push(&mut top, Word::int(value)),
                    Op::PushText(text) => self.push(&mut top, Word::text(&function.texts[text])),
                    Op::PushFunction(other) => self.push(&mut top, Word::function(&functions[other])),
                    Op::Get(local) => self.push(&mut top, self.get(base + usize::from(local))),
                    Op::Set(local) => self.set(base + usize::from(local), self.pop(&mut top)),
                    Op::Pop => top -= 1,
                    Op::Binary(binary) => {
                        let right = self.pop(&mut top);
                        let left = self.pop(&mut top);
                        let result = self.binary(binary, left, right, line)?;
                        self.push(&mut top, result);
                    }
                    Op::Length => {
                        let text = self.pop(&mut top);
                        self.push(&mut top, length(text, line)?);
                    }
                    Op::Jump(target) | Op::JumpIf(target) | Op::JumpUnless(target) => {
                        let jumps = match op {
                            Op::JumpIf(_) => self.pop(&mut top).is_true(),
                            Op::JumpUnless(_) => !self.pop(&mut top).is_true(),
                            _ => true,
                        };
                        if !jumps {
                            continue;
                        }
                        let header = Entry::Loop(Pc(target as u32));
                        if target < pc
                            && let Some(code) = self.count(function, header, base)
                        {
                            // Surmise: compiled code goes on with this frame.
                            self.frames.pop();
                            // SAFETY: the plug gave the code for this header, and the window is as the interpreter left it.
                            match unsafe { self.enter(code, base, 0) }? {
                                Called::Returned(result) => break result,
                                Called::Frame => continue 'frames,
                            }
                        }
                        pc = target;
                    }
                    Op::Call(count) => {
                        let place = top - usize::from(count) - 1;
                        let called = callee(self.get(place), line)?;
                        self.frames.last_mut().expect("this one").pc = pc;
                        match self.call(called, place + 1, count.into())? {
                            Called::Returned(result) => self.set(place, result),
                            Called::Frame => continue 'frames,
                        }
                        top = place + 1;
                    }
                    Op::Return => {
                        self.frames.pop();
                        break self.pop(&mut top);
                    }
                    Op::Print => self.print(self.pop(&mut top)),
                }
            };
            if self.frames.len() == until {
                return Ok(result);
            }
            self.set(base - 1, result);
        }
    }

    fn push(&self, top: &mut usize, value: Word) {
        self.set(*top, value);
        *top += 1;
    }
    fn pop(&self, top: &mut usize) -> Word {
        *top -= 1;
        self.get(*top)
    }

    /// Begins a call. The arguments stand at `window`, the function just below.
    pub fn call(&mut self, function: usize, window: usize, count: usize) -> Result<Called, Error> {
        let functions = self.functions.clone();
        let function = &*functions[function];
        self.count(function, Entry::Call, window); // Surmise
        if function.plugged.entry.is_compiled() {
            // Surmise. SAFETY: the function's own code, which wants its arguments in the window.
            return unsafe { self.enter(function.plugged.entry.code(), window, count) };
        }
        check_room(function, window)?;
        // Missing arguments are `none`, and so are the other locals; arguments that are too many are dropped.
        for local in count.min(function.code.parameters.into())..function.code.locals.into() {
            self.set(window + local, Word::NONE);
        }
        self.frames.push(Frame { function: function.code.number, base: window, pc: 0 });
        Ok(Called::Frame)
    }

    /// What a binary operation gives.
    pub fn binary(&mut self, binary: Binary, left: Word, right: Word, line: u32) -> Result<Word, Error> {
        use Binary::*;
        let int = |value: Option<i64>| match value.and_then(Word::checked_int) {
            Some(word) => Ok(word),
            None => fail(line, format!("{}: the result does not fit into 63 bits", binary.name())),
        };
        let truth = |value: bool| Ok(Word::int(value.into()));
        match (binary, left.kind(), right.kind()) {
            (Concat, Kind::Int | Kind::String, Kind::Int | Kind::String) => {
                Ok(self.make_text(display(left) + &display(right)))
            }
            (Equal, Kind::String, Kind::String) => truth(display(left) == display(right)),
            (Equal, ..) => truth(left == right),
            (Less, Kind::String, Kind::String) => truth(display(left) < display(right)),
            (LessEqual, Kind::String, Kind::String) => truth(display(left) <= display(right)),
            (Less, Kind::Int, Kind::Int) => truth(left.as_int() < right.as_int()),
            (LessEqual, Kind::Int, Kind::Int) => truth(left.as_int() <= right.as_int()),
            (Add, Kind::Int, Kind::Int) => int(left.as_int().checked_add(right.as_int())),
            (Sub, Kind::Int, Kind::Int) => int(left.as_int().checked_sub(right.as_int())),
            (Mul, Kind::Int, Kind::Int) => int(left.as_int().checked_mul(right.as_int())),
            (_, left, right) => {
                fail(line, format!("{} of values of kinds {left:?} and {right:?}", binary.name()))
            }
        }
    }

    /// Prints a value.
    pub fn print(&mut self, value: Word) {
        // Nobody is left to tell when the output is gone.
        let _ = writeln!(self.output, "{}", display(value));
    }
}

/// The number of the function that is to be called.
pub fn callee(callee: Word, line: u32) -> Result<usize, Error> {
    match callee.kind() {
        // SAFETY: functions live as long as the machine.
        Kind::Function => Ok(unsafe { callee.as_function() }.code.number),
        other => fail(line, format!("call of a value of kind {other:?}")),
    }
}

/// How many bytes a string has.
pub fn length(text: Word, line: u32) -> Result<Word, Error> {
    match text.kind() {
        // SAFETY: a string that was popped just now; nothing has been allocated since.
        Kind::String => Ok(Word::int(unsafe { text.as_text() }.length)),
        other => fail(line, format!("length of a value of kind {other:?}")),
    }
}

/// A value as it is printed.
fn display(value: Word) -> String {
    match value.kind() {
        Kind::Int => value.as_int().to_string(),
        // SAFETY: strings are displayed while they are operands: the collector has not run since they were popped.
        Kind::String => unsafe { value.as_text() }.characters.to_string(),
        // SAFETY: functions live as long as the machine.
        Kind::Function => format!("function {}", unsafe { value.as_function() }.code.name),
        Kind::None => "none".to_owned(),
    }
}

/// Whether there is room on the stack for a function's registers.
pub fn check_room(function: &Function, window: usize) -> Result<(), Error> {
    let code = &function.code;
    if window + usize::from(code.registers) > STACK_WORDS {
        return fail(code.line, format!("stack overflow in '{}'", code.name));
    }
    Ok(())
}
