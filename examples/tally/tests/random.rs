//! Random programs behave the same in every mode.
//!
//! Programs end: their loops count, and what a call costs is known when it is written. Integers are kept small at assignments;
//! now and then a local changes its kind, or an operation fails, which ends the program with an error.

mod common;

use common::{modes, output};
use std::fmt::Write;

/// Locals of every function: integers `i0` to `i2`, strings `s0` and `s1`, anything `x0` and `x1`; `n0`, `n1` count loops.
const LOCALS: &str = "i1 i2 s0 s1 x1 n0 n1";
/// Instructions that a whole program may run, about.
const BUDGET: u64 = 300_000;

struct Generator {
    state: u64,
    text: String,
    labels: usize,
    /// How often what is written now is run in a call of its function.
    times: u64,
    /// Instructions that a call of the function runs, so far.
    cost: u64,
    /// The cost of a call of each function written before.
    costs: Vec<u64>,
    loops: usize,
}

impl Generator {
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 33) % limit
    }
    fn line(&mut self, line: impl std::fmt::Display) {
        self.cost += self.times;
        writeln!(self.text, "{line}").unwrap();
    }
    fn label(&mut self) -> String {
        self.labels += 1;
        format!("l{}", self.labels)
    }
    fn place(&mut self, label: &str) {
        writeln!(self.text, "{label}:").unwrap();
    }

    fn int(&mut self, depth: u64) {
        match self.below(if depth == 0 { 4 } else { 12 }) {
            0 | 1 => {
                let value = self.below(20) as i64 - 5;
                self.line(format_args!("push {value}"));
            }
            2 | 3 => {
                let local = self.below(3);
                self.line(format_args!("get i{local}"));
            }
            4..=7 => {
                self.int(depth - 1);
                self.int(depth - 1);
                let operation = ["add", "sub", "mul", "add"][self.below(4) as usize];
                self.line(operation);
            }
            8 => self.condition(depth - 1),
            9 => {
                self.string(depth - 1);
                self.line("length");
            }
            _ => self.call(depth),
        }
    }
    fn condition(&mut self, depth: u64) {
        let operation = ["less", "less_equal", "equal"][self.below(3) as usize];
        match self.below(8) {
            0 => {
                self.string(depth);
                self.string(depth);
            }
            1 => {
                self.line("get x0");
                self.line("get x1");
                if self.below(50) > 0 {
                    return self.line("equal");
                }
            }
            _ => {
                self.int(depth);
                self.int(depth);
            }
        }
        self.line(operation);
    }
    fn string(&mut self, depth: u64) {
        match self.below(if depth == 0 { 3 } else { 6 }) {
            0 => {
                let text = ["", "a", "bc", "xyz"][self.below(4) as usize];
                self.line(format_args!("push \"{text}\""));
            }
            1 | 2 => {
                let local = self.below(2);
                self.line(format_args!("get s{local}"));
            }
            3 => {
                self.line("push \"+\"");
                self.int(depth - 1);
                self.line("concat");
            }
            _ => {
                let local = ["s0", "s1", "x1", "i0"][self.below(4) as usize];
                self.line(format_args!("get {local}"));
                self.line("push \"-\"");
                self.line("concat");
            }
        }
    }
    /// A call, by name or through `x0`, of a function that is cheap enough here; else an integer.
    fn call(&mut self, depth: u64) {
        let budget = BUDGET / 20;
        let cheap: Vec<usize> =
            (0..self.costs.len()).filter(|&f| self.costs[f] * self.times < budget).collect();
        if cheap.is_empty() {
            return self.int(0);
        }
        let function = cheap[self.below(cheap.len() as u64) as usize];
        self.cost += self.costs[function] * self.times;
        self.line(format_args!("push f{function}"));
        self.int(depth.saturating_sub(1));
        if self.below(3) == 0 {
            self.line("get x1")
        } else {
            self.string(0)
        }
        self.line("call 2");
    }

    fn statement(&mut self, depth: u64) {
        match self.below(if depth == 0 { 9 } else { 14 }) {
            0..=3 => {
                let local = self.below(3);
                self.int(3);
                self.line(format_args!("set i{local}"));
                let small = self.label();
                for line in [&format!("get i{local}"), "push 100000", "less", &format!("jump_if {small}")] {
                    self.line(line);
                }
                self.line("push 7");
                self.line(format_args!("set i{local}"));
                self.place(&small);
                let large = self.label();
                for line in ["push -100000", &format!("get i{local}"), "less", &format!("jump_if {large}")] {
                    self.line(line);
                }
                self.line("push -7");
                self.line(format_args!("set i{local}"));
                self.place(&large);
            }
            4 | 5 => {
                let local = self.below(2);
                self.string(2);
                self.line(format_args!("set s{local}"));
                let short = self.label();
                for line in
                    [&format!("get s{local}"), "length", "push 40", "less", &format!("jump_if {short}")]
                {
                    self.line(line);
                }
                self.line("push \"cut\"");
                self.line(format_args!("set s{local}"));
                self.place(&short);
            }
            6 => {
                if self.below(2) == 0 {
                    self.int(1)
                } else {
                    self.string(1)
                }
                let local = self.below(2);
                self.line(format_args!("set x{local}"));
            }
            7 => {
                self.line("get i0");
                self.line("set x0");
                self.line("get i1");
                self.line("set x1");
            }
            8 => {
                if self.times > 200 {
                    return;
                }
                let local = ["i0", "s0", "x0", "x1"][self.below(4) as usize];
                self.line(format_args!("get {local}"));
                self.line("print");
            }
            9..=11 => {
                let (no, done) = (self.label(), self.label());
                self.condition(2);
                self.line(format_args!("jump_unless {no}"));
                self.statement(depth - 1);
                self.line(format_args!("jump {done}"));
                self.place(&no);
                self.statement(depth - 1);
                self.place(&done);
            }
            _ => self.count(depth),
        }
    }
    /// A loop of a few rounds.
    fn count(&mut self, depth: u64) {
        let rounds = 2 + self.below(12);
        if self.loops == 2 || self.times * rounds > BUDGET / 200 {
            return self.statement(0);
        }
        let counter = self.loops;
        let again = self.label();
        self.line("push 0");
        self.line(format_args!("set n{counter}"));
        self.place(&again);
        self.loops += 1;
        self.times *= rounds;
        for _ in 0..1 + self.below(3) {
            self.statement(depth - 1);
        }
        for line in
            [format!("get n{counter}"), "push 1".to_owned(), "add".to_owned(), format!("set n{counter}")]
        {
            self.line(line);
        }
        for line in [
            format!("get n{counter}"),
            format!("push {rounds}"),
            "less".to_owned(),
            format!("jump_if {again}"),
        ] {
            self.line(line);
        }
        self.times /= rounds;
        self.loops -= 1;
    }
    fn begin(&mut self) {
        for line in ["i1", "i2"] {
            self.line(format_args!("push 3\nset {line}"));
        }
        for line in ["s0", "s1", "x1"] {
            self.line(format_args!("push \"t\"\nset {line}"));
        }
    }
    fn program(mut self) -> String {
        for number in 0..1 + self.below(4) {
            writeln!(self.text, "function f{number} i0 x0\nlocal {LOCALS}").unwrap();
            self.cost = 0;
            self.begin();
            for _ in 0..1 + self.below(4) {
                self.statement(2);
            }
            if self.below(12) == 0 {
                self.string(1)
            } else {
                self.int(1)
            }
            self.text += "return\nend\n";
            self.costs.push(self.cost);
        }
        writeln!(
            self.text,
            "function main\nlocal round i0 x0 {LOCALS}\npush 0\nset round\npush 1\nset i0\npush 2\nset x0"
        )
        .unwrap();
        self.begin();
        self.text += "main:\n";
        self.cost = 0;
        self.times = 150;
        for _ in 0..2 + self.below(4) {
            self.statement(3);
        }
        self.text += "get i0\npush \":\"\nconcat\nget s0\nconcat\nget x0\nconcat\nprint\nget round\npush 1\nadd\nset round\nget round\npush 150\nless\njump_if main\n";
        for local in ["i0", "i1", "i2", "s0", "s1", "x0", "x1"] {
            writeln!(self.text, "get {local}\nprint").unwrap();
        }
        self.text += "push 0\nreturn\nend\n";
        self.text
    }
}

fn check(seed: u64) {
    let mut generator = Generator {
        state: seed,
        text: String::new(),
        labels: 0,
        times: 1,
        cost: 0,
        costs: Vec::new(),
        loops: 0,
    };
    generator.below(2);
    let source = generator.program();
    let (expected, _) = output(&source, None);
    for (mode, config) in modes() {
        let (text, statistics) = output(&source, Some(config));
        if text != expected {
            std::fs::write(std::env::temp_dir().join(format!("random-{seed}.tally")), &source).unwrap();
            panic!("seed {seed}, {mode}: printed\n{text}instead of\n{expected}");
        }
        let statistics = statistics.expect("Surmise is plugged in");
        assert!(statistics.service.rejected.is_empty(), "seed {seed}, {mode}: {statistics:#?}");
    }
}

#[test]
fn random_programs() {
    (0..40).for_each(check);
}

/// More of them: `cargo test --release -p surmise-tally --test random -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn many_random_programs() {
    (1000..4000).for_each(check);
}
