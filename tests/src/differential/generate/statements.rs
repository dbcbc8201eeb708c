//! Statements: one of everything that is possible where it stands.

use super::{Generator, Kind};

impl Generator {
    /// A kind for a new variable.
    pub(super) fn some_kind(&mut self) -> Kind {
        use Kind::*;
        let object = if self.classes.is_empty() { Record } else { Object };
        *self.random.pick(&[Int, Int, Int, Float, Float, Text, Bool, Array, Array, Record, object, Any])
    }

    /// `local` with a value.
    pub(super) fn declare(&mut self) {
        let kind = self.some_kind();
        let value = self.of(kind, 2);
        let name = self.fresh("v");
        // Lua takes some of these for constants at compile time and leaves their names out of messages; here they are variables.
        let may_be_folded = value.contains(" and ") || value.contains(" or ");
        let is_constant = self.random.one_in(12) && !may_be_folded;
        self.line(&format!("local {name}{} = {value}", if is_constant { " <const>" } else { "" }));
        if is_constant {
            self.bind_constant(&name, kind);
        } else {
            self.bind(&name, kind);
        }
    }

    /// A statement of any sort.
    pub(super) fn statement(&mut self) {
        let has_room = self.room > 0 && self.nesting < 6 && self.rounds < super::ROUNDS;
        self.room = self.room.saturating_sub(1);
        match self.random.below(if has_room { 40 } else { 22 }) {
            0..=2 => self.declare(),
            3..=5 => self.assign(),
            6..=8 => self.update(),
            9..=11 => self.store(),
            12 => self.several(),
            13 if self.rounds < 60 => self.print(),
            14 => self.leave(),
            15 => {
                let call = self.called(1);
                let name = self.fresh("v");
                self.line(&format!("local {name} = {call}"));
                self.bind(&name, Kind::Any);
            }
            16 => self.aliases(),
            17 => self.one_line_branch(),
            18 => self.library_call(),
            19 if self.in_coroutine => {
                let value = self.any(1);
                self.line(&format!("coroutine.yield({value})"));
            }
            20 | 21 if self.counters.len() == 1 => self.rebind(),
            13..=21 => self.update(),
            22..=25 => self.counted_loop(),
            26 => self.other_loop(),
            27..=29 => self.branch(),
            30 => self.generic_loop(),
            31 | 32 => self.define_function(),
            33 | 34 => self.protected(),
            35 => self.closure_in_loop(),
            36 => self.iterate_array(),
            37 => self.coroutine_loop(),
            38 => self.closing_scope(),
            _ => self.phases(),
        }
    }

    /// A value of the variable's kind, now and then of another one.
    fn value_for(&mut self, kind: Kind) -> String {
        let kind = if self.random.one_in(12) { self.some_kind() } else { kind };
        let value = self.of(kind, 2);
        // Texts that grow in loops grow without end.
        if kind == Kind::Text && self.rounds > 1 { format!("({value}):sub(1, 40)") } else { value }
    }

    fn assign(&mut self) {
        let Some(target) = self.target(None) else { return self.declare() };
        let value = match target.kind {
            Kind::Function => return self.update(),
            kind => self.value_for(kind),
        };
        if self.random.one_in(6) {
            let condition = self.phase();
            self.line(&format!("if {condition} then {} = {value} end", target.name));
        } else {
            self.line(&format!("{} = {value}", target.name));
        }
    }

    /// `x = x + y`.
    pub(super) fn update(&mut self) {
        let kind = *self.random.pick(&[Kind::Int, Kind::Int, Kind::Float, Kind::Text, Kind::Any]);
        let Some(target) = self.target(Some(kind)) else { return self.declare() };
        let name = &target.name;
        match kind {
            Kind::Text => {
                let value = self.text(1);
                self.line(&format!("{name} = ({name} .. {value}):sub(-30)"));
            }
            Kind::Any => {
                let (phase, value) = (self.phase(), self.any(1));
                self.line(&format!("if {phase} then {name} = {value} end"));
            }
            _ => {
                let operator = match kind {
                    Kind::Int => self.one_of(&["+", "+", "+", "-", "*", "~", "&", "|", "//", "%"]),
                    _ => self.one_of(&["+", "+", "-", "*", "/", "^"]),
                };
                let value = match self.random.below(4) {
                    0 => self.of_random_number(1),
                    1 => self.element(),
                    2 => self.field(),
                    _ => self.of(kind, 1),
                };
                if self.random.one_in(4) {
                    self.line(&format!("{name} = {value} {operator} {name}"));
                } else {
                    self.line(&format!("{name} = {name} {operator} {value}"));
                }
            }
        }
    }

    /// Several variables at once; results that are cut off or missing.
    fn several(&mut self) {
        let (Some(a), Some(b)) = (self.target(None), self.target(None)) else { return self.declare() };
        if a.kind == Kind::Function || b.kind == Kind::Function {
            return self.declare();
        }
        let values = match self.random.below(5) {
            0 if a.name != b.name => format!("{}, {}", b.name, a.name),
            1 => match self.callable() {
                Some(function) => format!("{function}({}, {})", self.int(1), self.int(0)),
                None => format!("{}, {}", self.of(a.kind, 1), self.of(b.kind, 1)),
            },
            2 if self.is_variadic => "...".to_owned(),
            3 => format!("{}, {}, {}", self.of(a.kind, 1), self.of(b.kind, 1), self.any(0)),
            _ => format!("{}, {}", self.of(a.kind, 1), self.of(b.kind, 1)),
        };
        if a.name == b.name {
            return self.line(&format!("{} = {values}", a.name));
        }
        self.line(&format!("{}, {} = {values}", a.name, b.name));
    }

    pub(super) fn print(&mut self) {
        let kind = *self.random.pick(&[Kind::Int, Kind::Float, Kind::Text, Kind::Bool]);
        let value = self.of(kind, 2);
        // What a condition gives may be a table or a function.
        let value =
            if kind == Kind::Bool { format!("not {value}") } else { format!("math.type({value}), {value}") };
        match (kind, self.callable()) {
            (Kind::Text, _) => {
                let text = self.text(2);
                self.line(&format!("print({text})"));
            }
            (_, Some(function)) if self.random.one_in(3) => {
                let argument = self.int(1);
                self.line(&format!("print(select('#', {function}({argument})), {value})"));
            }
            _ => self.line(&format!("print({value})")),
        }
    }

    fn one_line_branch(&mut self) {
        let Some(target) = self.target(Some(Kind::Int)) else { return self.declare() };
        let (condition, one, other) = (self.condition(2), self.int(1), self.value_for(Kind::Int));
        self.line(&format!("if {condition} then {0} = {one} else {0} = {other} end", target.name));
    }

    /// Library functions with tables, callbacks, several results.
    fn library_call(&mut self) {
        let name = self.fresh("v");
        let array = self.array(1);
        let (value, kind) = match self.random.below(12) {
            0 => (format!("select({}, table.unpack({array}))", self.small()), Kind::Any),
            1 => (format!("table.pack(table.unpack({array}, 1, 3)).n"), Kind::Int),
            2 => (
                format!("table.concat({{{}, {}, {}}}, {})", self.int(1), self.text(0), self.float(0), "','"),
                Kind::Text,
            ),
            3 if self.with_holes => {
                (format!("table.move({array}, 1, 3, {}, {{}})", self.small()), Kind::Array)
            }
            4 => (format!("string.find({}, {})", self.text(1), self.text(0)), Kind::Any),
            5 => (format!("({}):match('^(%w)(.*)$')", self.text(1)), Kind::Any),
            6 => (format!("select('#', ({}):byte(1, -1))", self.text(1)), Kind::Int),
            7 => (format!("math.ult({}, {})", self.int(1), self.int(0)), Kind::Bool),
            8 => (format!("rawequal({}, {})", self.any(1), self.any(0)), Kind::Bool),
            9 => (format!("rawlen({array})"), Kind::Int),
            10 => (format!("next({{{}}})", self.int(1)), Kind::Int),
            _ => (format!("#table.pack(pcall(table.unpack, {array}, 1, {}))", self.small()), Kind::Int),
        };
        self.line(&format!("local {name} = {value}"));
        self.bind(&name, kind);
    }
}
