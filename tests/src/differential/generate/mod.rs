//! Random Lua programs from seeds: they are valid, nearly all end soon, and they print what they compute.
//!
//! A program is a few *scenes*, each in a protected call whose outcome is printed. A scene declares variables of various kinds,
//! then does things with them in loops, and prints them. What is said of a variable's kind is only likely: statements that assign
//! something else, late in a loop, are what the programs are made for. So errors are normal, and their messages are part of what is compared.
//!
//! | file | what it makes |
//! |---|---|
//! | here | scopes, names, how hot code is; scenes |
//! | [`expressions`] | expressions of a wanted kind |
//! | [`statements`] | statements of all sorts |
//! | [`flow`] | loops, jumps, protected calls, to-be-closed variables |
//! | [`tables`] | arrays, records, aliases, growth, sorting |
//! | [`objects`] | classes, metamethods |
//! | [`functions`] | closures, variable arguments, recursion |
//! | [`coroutines`] | generators, yields across everything |
//! | [`numbers`] | integer and float edges |
//!
//! What must hold: no program prints what Lua does not define (the order of `pairs`, addresses, times), and loops are bounded where
//! they stand. Functions call only what was declared before them, so there is no recursion but that which counts down.
//! What it costs to run a program is estimated as it is made, and kept small.

mod coroutines;
mod expressions;
mod flow;
mod functions;
mod numbers;
mod objects;
mod statements;
mod tables;

use super::tree;
use surmise::ir::generate::Random;

/// What a variable most likely holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Int,
    Float,
    Text,
    Bool,
    /// A sequence, mostly of integers.
    Array,
    /// A table with the fields `x`, `y` and perhaps `z`.
    Record,
    /// An instance of one of the program's classes.
    Object,
    /// A function of up to two arguments.
    Function,
    Any,
}

#[derive(Clone, Debug)]
struct Variable {
    name: String,
    kind: Kind,
    /// Whether statements may assign it.
    is_assignable: bool,
    /// What a call costs, if it is a function.
    cost: u64,
}

/// Rounds that the loops around a statement may make together.
const ROUNDS: u64 = 600;
/// What all of a program may cost, in about a statement's time.
const COST: u64 = 20_000;

struct Generator {
    random: Random,
    text: String,
    variables: Vec<Variable>,
    /// Numeric loop variables in scope, innermost last: what phases are told by.
    counters: Vec<String>,
    names: usize,
    /// How often the current place runs.
    rounds: u64,
    /// What was spent.
    cost: u64,
    /// Blocks inside of blocks.
    nesting: usize,
    /// Statements that may still be made.
    room: usize,
    is_variadic: bool,
    /// Whether `break` and a `goto` to the end of the loop are possible.
    in_loop: bool,
    /// Whether it may yield.
    in_coroutine: bool,
    classes: Vec<String>,
    /// Functions that are globals.
    globals: Vec<String>,
    /// Whether arrays may have holes: then their lengths are any of several, as Lua pleases.
    with_holes: bool,
}

/// A program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Its text.
    pub text: String,
    /// Whether Lua says what it prints, to the last number. If not, only our own ways to run it have to agree.
    pub is_defined: bool,
}

/// The program of a seed.
pub fn program(seed: u64) -> Program {
    let mut generator = Generator {
        random: Random::new(seed),
        text: String::new(),
        variables: Vec::new(),
        counters: Vec::new(),
        names: 0,
        rounds: 1,
        cost: 0,
        nesting: 0,
        room: 0,
        is_variadic: false,
        in_loop: false,
        in_coroutine: false,
        classes: Vec::new(),
        globals: Vec::new(),
        with_holes: false,
    };
    generator.with_holes = generator.random.one_in(3);
    generator.program();
    let text = match tree::parse(&generator.text) {
        Ok(tree) => tree::print(&tree),
        // Not valid: Lua will say so, and whoever runs it.
        Err(_) => generator.text,
    };
    Program { text, is_defined: !generator.with_holes }
}

impl Generator {
    fn program(&mut self) {
        if self.random.one_in(2) {
            self.define_classes();
        }
        if self.random.one_in(2) {
            self.room = 5;
            self.define_function();
        }
        for _ in 0..1 + usize::from(self.random.one_in(4)) {
            self.scene();
        }
    }

    /// A protected call of a function that does things, and shows what came of it.
    fn scene(&mut self) {
        let mark = self.variables.len();
        // Small programs say as much for their time as large ones.
        self.room = if self.random.one_in(4) { 4 + self.random.below(8) } else { self.random.below(4) };
        let is_variadic = self.random.one_in(6);
        let outer = std::mem::replace(&mut self.is_variadic, is_variadic);
        let start = if is_variadic { "print(pcall(function(...)" } else { "print(pcall(function()" };
        self.line(start);
        for _ in 0..1 + self.random.below(4) {
            self.declare();
        }
        match self.random.below(12) {
            0 => self.phases(),
            1 => self.array_work(),
            2 => self.object_work(),
            3 => self.closure_work(),
            4 => self.vararg_work(),
            5 => self.coroutine_work(),
            6 => self.number_work(),
            7 => self.error_work(),
            8 => self.record_work(),
            9 => self.recursion(),
            10 => self.closing_work(),
            _ => self.text_work(),
        }
        while self.room > 0 {
            self.statement();
        }
        self.show_all(mark);
        self.variables.truncate(mark);
        if is_variadic {
            let arguments = [self.any(1), self.int(1), self.text(1)].join(", ");
            self.line(&format!("end, {arguments}))"));
        } else {
            self.line("end))");
        }
        self.is_variadic = outer;
    }

    /// Prints what the variables from `mark` on hold.
    fn show_all(&mut self, mark: usize) {
        let shown: Vec<Variable> = self.variables[mark..].to_vec();
        let parts: Vec<String> = shown.iter().map(|variable| self.shown(variable)).collect();
        for parts in parts.chunks(5) {
            let parts = parts.join(", ");
            self.line(&format!("print({parts})"));
        }
    }

    /// An expression that says what a variable holds, and has no address in it.
    fn shown(&mut self, variable: &Variable) -> String {
        let name = &variable.name;
        match variable.kind {
            Kind::Array => format!("#{name}, {name}[1], {name}[#{name}]"),
            Kind::Record => format!("{name}.x, {name}.y, {name}.z"),
            Kind::Object => format!("{name}.x, {name}:get()"),
            Kind::Function => format!("type({name})"),
            Kind::Any => {
                format!("type({name}) == 'table' and #{name} or type({name}) == 'function' and 'f' or {name}")
            }
            _ => name.clone(),
        }
    }

    // ---- text, names, scopes ----

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
        self.spend(1);
    }
    /// So much is done here, each time that it is run.
    fn spend(&mut self, cost: u64) {
        self.cost += self.rounds * cost;
    }
    fn fresh(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }
    fn bind(&mut self, name: &str, kind: Kind) {
        self.variables.push(Variable { name: name.to_owned(), kind, is_assignable: true, cost: 1 });
    }
    fn bind_constant(&mut self, name: &str, kind: Kind) {
        self.variables.push(Variable { name: name.to_owned(), kind, is_assignable: false, cost: 1 });
    }

    /// A variable of a kind.
    fn variable(&mut self, kind: Kind) -> Option<String> {
        let fitting: Vec<usize> =
            (0..self.variables.len()).filter(|&i| self.variables[i].kind == kind).collect();
        // Those declared last are used most: they belong to what is being made.
        let index = match fitting.len() {
            0 => return None,
            count if self.random.one_in(2) => fitting[count - 1 - self.random.below(count.min(3))],
            count => fitting[self.random.below(count)],
        };
        Some(self.variables[index].name.clone())
    }
    /// One that may be assigned.
    fn target(&mut self, kind: Option<Kind>) -> Option<Variable> {
        let fitting: Vec<Variable> = self
            .variables
            .iter()
            .filter(|variable| variable.is_assignable && kind.is_none_or(|kind| variable.kind == kind))
            .cloned()
            .collect();
        if fitting.is_empty() { None } else { Some(self.random.pick(&fitting).clone()) }
    }
    /// A function that can be called here without costing too much.
    fn callable(&mut self) -> Option<String> {
        let allowed = COST.saturating_sub(self.cost) / self.rounds;
        let fitting: Vec<Variable> = self
            .variables
            .iter()
            .filter(|variable| variable.kind == Kind::Function && variable.cost < allowed)
            .cloned()
            .collect();
        if fitting.is_empty() {
            return None;
        }
        let chosen = self.random.pick(&fitting).clone();
        self.spend(chosen.cost);
        Some(chosen.name)
    }

    /// Statements in a scope of their own, between lines that are written by others.
    fn scope(&mut self, inner: impl FnOnce(&mut Generator)) {
        let mark = self.variables.len();
        self.nesting += 1;
        inner(self);
        self.nesting -= 1;
        self.variables.truncate(mark);
    }
    /// A few statements in a scope of their own.
    fn body(&mut self, at_most: usize) {
        self.scope(|generator| {
            for _ in 0..1 + generator.random.below(at_most) {
                generator.statement();
            }
        });
    }
    /// The body of a loop that makes `rounds` rounds.
    fn in_rounds(&mut self, rounds: u64, inner: impl FnOnce(&mut Generator)) {
        let outer = (self.rounds, std::mem::replace(&mut self.in_loop, true));
        self.rounds *= rounds.max(1);
        self.scope(inner);
        (self.rounds, self.in_loop) = outer;
    }
    /// The body of a function: no loop around it is seen from inside, and it is not known how often it runs. Returns what a
    /// call costs.
    fn in_function(&mut self, is_variadic: bool, inner: impl FnOnce(&mut Generator)) -> u64 {
        let outer = (self.rounds, self.cost, self.in_loop, self.is_variadic);
        (self.rounds, self.cost, self.in_loop, self.is_variadic) = (1, 0, false, is_variadic);
        self.scope(inner);
        let cost = self.cost;
        (self.rounds, self.cost, self.in_loop, self.is_variadic) = outer;
        cost
    }
    /// How many rounds a loop makes here.
    fn round_count(&mut self) -> u64 {
        let left = (COST.saturating_sub(self.cost) / 4 / self.rounds).min(ROUNDS / self.rounds);
        let wanted = match self.random.below(8) {
            0 => 2,
            1..=4 => 8 + self.random.below(20) as u64,
            5 | 6 => 30 + self.random.below(30) as u64,
            // Hot without settings that make everything so.
            _ => 300,
        };
        wanted.min(left).max(2)
    }
    /// One of these texts.
    fn one_of(&mut self, texts: &[&str]) -> String {
        (*self.random.pick(texts)).to_owned()
    }
}
