//! From the text of a program to its functions.
//!
//! ```text
//! # 1 + 2 + … + n
//! function sum n              # parameters are the first locals
//!     local total             # further ones hold nothing at first
//!     push 0
//!     set total
//! again:                      # a label
//!     get n
//!     jump_unless done
//!     …
//!     jump again
//! done:
//!     get total
//!     return
//! end
//! ```
//!
//! Instructions: `push 1`, `push "text"` (with `\n`, `\"`, `\\`), `push sum` (a function), `get`, `set`, `pop`, `add`, `sub`, `mul`,
//! `less`, `less_equal`, `equal`, `concat`, `length`, `jump`, `jump_if`, `jump_unless`, `call 2` (with so many arguments), `return`,
//! `print`. Every error names its line.

use crate::program::{Binary, Code, Instruction, Op, Program};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Something that is wrong with a program, before or while it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// Where.
    pub line: u32,
    /// What.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// An error as a result.
pub fn fail<T>(line: u32, message: impl Into<String>) -> Result<T, Error> {
    Err(Error { line, message: message.into() })
}

/// The lines of a text with something on them, without comments.
fn lines(source: &str) -> impl Iterator<Item = (u32, &str)> {
    let uncommented = |line: &'_ str| {
        let mut in_text = false;
        let mut escaped = false;
        let end = line.char_indices().find(|&(_, character)| {
            in_text ^= character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            character == '#' && !in_text
        });
        end.map_or(line.len(), |(end, _)| end)
    };
    let numbered = (1..).zip(source.lines());
    numbered
        .map(move |(number, line)| (number, line[..uncommented(line)].trim()))
        .filter(|line| !line.1.is_empty())
}

/// Reads a program.
pub fn assemble(source: &str) -> Result<Program, Error> {
    let mut names = HashMap::new();
    for (line, text) in lines(source) {
        if let Some(name) = text.strip_prefix("function ").and_then(|rest| rest.split_whitespace().next())
            && names.insert(name, names.len()).is_some()
        {
            return fail(line, format!("there is a function '{name}' already"));
        }
    }
    let mut functions = Vec::new();
    let mut rest = lines(source).peekable();
    while let Some((line, text)) = rest.next() {
        let Some(header) = text.strip_prefix("function ") else {
            return fail(line, format!("expected 'function', found '{text}'"));
        };
        let mut body = Vec::new();
        loop {
            match rest.next() {
                Some((_, "end")) => break,
                Some(next) => body.push(next),
                None => return fail(line, "this function has no 'end'"),
            }
        }
        functions.push(Arc::new(Assembler::new(functions.len(), line, header, &names)?.assemble(&body)?));
    }
    match functions.iter().find(|function| function.name == "main") {
        Some(main) if main.parameters == 0 => Ok(Program { functions }),
        Some(main) => fail(main.line, "'main' takes no parameters"),
        None => fail(1, "there is no function 'main'"),
    }
}

struct Assembler<'a> {
    functions: &'a HashMap<&'a str, usize>,
    locals: Vec<&'a str>,
    labels: HashMap<&'a str, usize>,
    code: Code,
}

impl<'a> Assembler<'a> {
    fn new(
        number: usize,
        line: u32,
        header: &'a str,
        functions: &'a HashMap<&'a str, usize>,
    ) -> Result<Self, Error> {
        let mut words = header.split_whitespace();
        let Some(name) = words.next() else { return fail(line, "expected a name after 'function'") };
        let code = Code {
            name: name.to_owned(),
            number,
            line,
            parameters: 0,
            locals: 0,
            registers: 0,
            instructions: Vec::new(),
            depths: Vec::new(),
            texts: Vec::new(),
        };
        let mut assembler = Assembler { functions, locals: Vec::new(), labels: HashMap::new(), code };
        assembler.declare(line, words)?;
        assembler.code.parameters = assembler.code.locals;
        Ok(assembler)
    }

    fn declare(&mut self, line: u32, names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        for name in names {
            if self.locals.contains(&name) {
                return fail(line, format!("there is a local '{name}' already"));
            }
            self.locals.push(name);
        }
        match u8::try_from(self.locals.len()) {
            Ok(count) => self.code.locals = count.into(),
            Err(_) => return fail(line, "more than 255 locals"),
        }
        Ok(())
    }

    fn assemble(mut self, body: &[(u32, &'a str)]) -> Result<Code, Error> {
        let mut statements = Vec::new();
        for &(line, text) in body {
            if let Some(label) = text.strip_suffix(':') {
                if self.labels.insert(label, statements.len()).is_some() {
                    return fail(line, format!("there is a label '{label}' already"));
                }
            } else if let Some(names) = text.strip_prefix("local ") {
                self.declare(line, names.split_whitespace())?;
            } else {
                statements.push((line, text));
            }
        }
        for (line, text) in statements {
            let op = self.instruction(line, text)?;
            self.code.instructions.push(Instruction { op, line });
        }
        self.find_depths()?;
        Ok(self.code)
    }

    fn instruction(&mut self, line: u32, text: &'a str) -> Result<Op, Error> {
        let (mnemonic, operand) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let operand = operand.trim();
        let missing = |what: &str| Error { line, message: format!("{mnemonic}: {what} '{operand}'") };
        let local = || {
            let position = self.locals.iter().position(|&local| local == operand);
            position.map(|local| local as u16).ok_or_else(|| missing("there is no local"))
        };
        let label = || self.labels.get(operand).copied().ok_or_else(|| missing("there is no label"));
        let op = match mnemonic {
            "push" => return self.push(line, operand),
            "get" => Op::Get(local()?),
            "set" => Op::Set(local()?),
            "jump" => Op::Jump(label()?),
            "jump_if" => Op::JumpIf(label()?),
            "jump_unless" => Op::JumpUnless(label()?),
            "call" => {
                let count: Result<u8, _> = operand.parse();
                Op::Call(count.map_err(|_| missing("expected a number of arguments, not"))?.into())
            }
            _ if !operand.is_empty() => return Err(missing("unknown, or it takes no operand:")),
            "pop" => Op::Pop,
            "length" => Op::Length,
            "return" => Op::Return,
            "print" => Op::Print,
            _ => match Binary::ALL.into_iter().find(|binary| binary.name() == mnemonic) {
                Some(binary) => Op::Binary(binary),
                None => return fail(line, format!("there is no instruction '{mnemonic}'")),
            },
        };
        Ok(op)
    }

    fn push(&mut self, line: u32, operand: &str) -> Result<Op, Error> {
        if let Some(text) = operand.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            let mut characters = text.chars();
            let mut value = String::new();
            while let Some(character) = characters.next() {
                value.push(match (character, characters.clone().next()) {
                    ('\\', Some('n')) => characters.next().map_or('\n', |_| '\n'),
                    ('\\', Some(quoted @ ('"' | '\\'))) => characters.next().unwrap_or(quoted),
                    ('\\', _) => return fail(line, "a '\\' is followed by 'n', '\"' or '\\'"),
                    (other, _) => other,
                });
            }
            self.code.texts.push(value);
            return Ok(Op::PushText(self.code.texts.len() - 1));
        }
        if let Some(&function) = self.functions.get(operand) {
            return Ok(Op::PushFunction(function));
        }
        match operand.parse::<i64>().ok().and_then(crate::value::Word::checked_int) {
            Some(_) => Ok(Op::PushInt(operand.parse().unwrap_or_default())),
            None => fail(line, format!("push: '{operand}' is no integer of 63 bits, string or function")),
        }
    }

    /// How many operands there are before each instruction. The same on every way to it.
    fn find_depths(&mut self) -> Result<(), Error> {
        let code = &mut self.code;
        let Some(last) = code.instructions.last().copied() else {
            return fail(code.line, "this function is empty");
        };
        code.depths = vec![None; code.instructions.len()];
        let mut deepest = 0;
        let mut work = vec![(0, 0, code.line)];
        while let Some((pc, depth, from)) = work.pop() {
            let Some(&Instruction { op, line }) = code.instructions.get(pc) else {
                return fail(last.line, "the function's end is reached without 'return'");
            };
            match code.depths[pc] {
                Some(known) if known == depth => continue,
                Some(known) => {
                    return fail(
                        from,
                        format!("line {line} is reached with {depth} operands here, with {known} elsewhere"),
                    );
                }
                None => code.depths[pc] = Some(depth),
            }
            let (pops, pushes) = op.effect();
            let Some(rest) = depth.checked_sub(pops) else {
                return fail(line, format!("{pops} operands are popped, there are {depth}"));
            };
            let after = rest + pushes;
            deepest = deepest.max(after);
            work.extend(op.successors(pc).map(|next| (next, after, line)));
        }
        code.registers = code.locals + deepest;
        if code.registers > 10_000 {
            return fail(code.line, "more than 10000 operands");
        }
        Ok(())
    }
}
