//! Classes with methods and metamethods, and call sites that see instances of several of them.

use super::{Generator, Kind};

/// Operators that classes may define: event, operator.
const OPERATORS: &[(&str, &str)] = &[
    ("__add", "+"),
    ("__sub", "-"),
    ("__mul", "*"),
    ("__div", "/"),
    ("__mod", "%"),
    ("__idiv", "//"),
    ("__pow", "^"),
    ("__band", "&"),
    ("__bor", "|"),
    ("__bxor", "~"),
    ("__shl", "<<"),
    ("__shr", ">>"),
    ("__concat", ".."),
];

impl Generator {
    /// One to three classes; all have the same methods.
    pub(super) fn define_classes(&mut self) {
        self.line("local function num(v) if type(v) == 'table' then v = v.x end return tonumber(v) or 1 end");
        self.variables.push(super::Variable {
            name: "num".to_owned(),
            kind: Kind::Function,
            is_assignable: false,
            cost: 5,
        });
        for _ in 0..1 + self.random.below(3) {
            let class = self.fresh("C");
            self.line(&format!("local {class} = {{}}"));
            match (self.random.below(4), self.classes.last().cloned()) {
                (0, _) => self.line(&format!("{class}.__index = function(t, k) return {class}[k] end")),
                (1 | 2, Some(base)) => {
                    self.line(&format!(
                        "{class}.__index = {class} setmetatable({class}, {{__index = {base}}})"
                    ));
                }
                _ => self.line(&format!("{class}.__index = {class}")),
            }
            let is_derived = self.text.ends_with("}})\n") || self.text.ends_with("})\n");
            let extra = self.one_of(&["", ", z = 1", ", 'first'"]);
            let fields = if self.random.one_in(2) { "x = x, y = y" } else { "y = y, x = x" };
            self.line(&format!(
                "function {class}.new(x, y) return setmetatable({{{fields}{extra}}}, {class}) end"
            ));
            // A derived class may leave methods to its base.
            if !is_derived || self.random.one_in(2) {
                let result = self.one_of(&["self.x", "self.y", "num(self.x) + 1", "num(self.y) * 2"]);
                self.line(&format!("function {class}:get() return {result} end"));
                let step =
                    self.one_of(&["self.x = num(self) + num(n)", "self.x = n", "self.x, self.y = self.y, n"]);
                self.line(&format!("function {class}:add(n) {step} return self end"));
                self.line(&format!("function {class}:call(f, ...) return f(self.x, ...) end"));
            }
            self.metamethods(&class);
            self.classes.push(class);
        }
    }

    fn metamethods(&mut self, class: &str) {
        for (event, operator) in OPERATORS {
            if !self.random.one_in(3) {
                continue;
            }
            let result = match self.random.below(4) {
                0 => format!("{class}.new(num(a), num(b))"),
                1 if !matches!(*operator, "&" | "|" | "~" | "<<" | ">>") => {
                    format!("num(a) {operator} num(b)")
                }
                2 => "num(a) - num(b)".to_owned(),
                _ => format!("{class}.new(num(a) + 1)"),
            };
            self.line(&format!("{class}.{event} = function(a, b) return {result} end"));
        }
        let others = [
            ("__unm", "function(a) return -num(a) end"),
            ("__bnot", "function(a) return 7 end"),
            ("__len", "function(a) return num(a.y) end"),
            ("__eq", "function(a, b) return num(a) == num(b) end"),
            ("__call", "function(self, a, b) return num(a) + num(self), b end"),
            ("__newindex", "function(t, k, v) rawset(t, k, v) end"),
            ("__tostring", "function(a) return 'C(' .. tostring(num(a)) .. ')' end"),
            ("__close", "function(a, e) a.x = num(a) + 1 end"),
        ];
        // Both or none: Lua is often built so that one stands in for the other.
        if self.random.one_in(2) {
            self.line(&format!("{class}.__lt = function(a, b) return num(a) < num(b) end"));
            self.line(&format!("{class}.__le = function(a, b) return num(a) <= num(b) end"));
        }
        for (event, body) in others {
            if self.random.one_in(2) {
                self.line(&format!("{class}.{event} = {body}"));
            }
        }
    }

    /// An instance of some class.
    pub(super) fn object(&mut self, depth: usize) -> String {
        if (depth == 0 || self.random.one_in(4))
            && let Some(object) = self.variable(Kind::Object)
        {
            return object;
        }
        if self.classes.is_empty() {
            return self.record(depth);
        }
        let class = self.random.pick(&self.classes).clone();
        format!("{class}.new({}, {})", self.of_random_number(0), self.int(0))
    }

    /// Instances of several classes at one site: methods, operators, comparisons, calls.
    pub(super) fn object_work(&mut self) {
        if self.classes.is_empty() {
            return self.record_work();
        }
        let (objects, counter, sum) = (self.fresh("objects"), self.fresh("i"), self.fresh("v"));
        let members: Vec<String> = (0..2 + self.random.below(4)).map(|_| self.object(1)).collect();
        self.line(&format!("local {objects} = {{{}}}", members.join(", ")));
        self.line(&format!("local {sum} = 0"));
        self.bind(&sum, Kind::Int);
        let rounds = self.round_count().max(10);
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind_constant(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let (object, other) = (generator.fresh("o"), generator.fresh("o"));
            let phase = generator.phase();
            generator
                .line(&format!("local {object} = {objects}[{phase} and 1 or {counter} % #{objects} + 1]"));
            generator.line(&format!("local {other} = {objects}[{counter} % #{objects} + 1]"));
            generator.bind_constant(&object, Kind::Object);
            generator.bind_constant(&other, Kind::Object);
            for _ in 0..2 + generator.random.below(3) {
                let line = generator.object_step(&sum, &object, &other);
                generator.line(&line);
            }
            generator.statement();
            generator.counters.pop();
        });
        self.line("end");
        self.line(&format!("for i, o in ipairs({objects}) do print(i, o.x, o.y) end"));
    }

    fn object_step(&mut self, sum: &str, object: &str, other: &str) -> String {
        let value = self.of_random_number(1);
        match self.random.below(11) {
            0 => format!("{sum} = {sum} + num({object}:get())"),
            1 => format!("{object}:add({value})"),
            2 => format!("{object}:add({value}):add({other})"),
            3 | 4 => {
                let (_, operator) = *self.random.pick(OPERATORS);
                let operands = match self.random.below(3) {
                    0 => format!("{object} {operator} {other}"),
                    1 => format!("{value} {operator} {object}"),
                    _ => format!("{object} {operator} {value}"),
                };
                format!(
                    "do local ok, r = pcall(function() return {operands} end) if ok then {sum} = num(r) else {sum} = {sum} + #r end end"
                )
            }
            5 => {
                let (_, operator) = *self.random.pick(OPERATORS);
                format!("{sum} = num({object} {operator} {other})")
            }
            6 => {
                let comparison = self.comparison();
                format!("if {object} {comparison} {other} then {sum} = {sum} + 1 end")
            }
            7 => format!(
                "{sum} = {sum} + num({object}:call(function(x, ...) return num(x) + select('#', ...) end, {value}, nil))"
            ),
            8 => format!("{sum} = {sum} + num({object}({value}))"),
            9 => format!("{object}.z = {value} {sum} = {sum} + num({other}.z)"),
            _ => {
                let operator = self.one_of(&["-", "~", "#"]);
                format!("{sum} = {sum} + num({operator}{object})")
            }
        }
    }
}
