//! Expressions of a wanted kind. All are put in parentheses by whoever nests them.

use super::{Generator, Kind};

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "10",
    "-1",
    "-2",
    "-7",
    "63",
    "64",
    "255",
    "math.maxinteger",
    "math.mininteger",
    "9007199254740993",
    "0x7fffffff",
    "-2147483648",
    "1 << 62",
    "math.maxinteger - 1",
    "math.mininteger + 1",
];
const FLOATS: &[&str] = &[
    "0.0",
    "-0.0",
    "0.5",
    "1.0",
    "-1.5",
    "2.25",
    "3.0",
    "1e15",
    "2^53",
    "-2^63",
    "2^63",
    "1e308",
    "math.huge",
    "-math.huge",
    "0/0",
    "1e-5",
    "100.75",
    "-7.0",
];
const TEXTS: &[&str] = &[
    "''",
    "'a'",
    "'b'",
    "'abc'",
    "'x=1'",
    "'10'",
    "'0x1F'",
    "' 7 '",
    "'1e2'",
    "'-3'",
    "'hello world'",
    "'z\\0z'",
    "'a long text, longer than forty characters'",
    "'5.0'",
    "'nan'",
];

impl Generator {
    /// Of any kind that is wanted.
    pub(super) fn of(&mut self, kind: Kind, depth: usize) -> String {
        match kind {
            Kind::Int => self.int(depth),
            Kind::Float => self.float(depth),
            Kind::Text => self.text(depth),
            Kind::Bool => self.condition(depth),
            Kind::Array => self.array(depth),
            Kind::Record => self.record(depth),
            Kind::Object => self.object(depth),
            Kind::Function => self.function_value(),
            Kind::Any => self.any(depth),
        }
    }

    /// A small integer, not zero.
    pub(super) fn small(&mut self) -> String {
        (1 + self.random.below(9)).to_string()
    }

    /// An integer.
    pub(super) fn int(&mut self, depth: usize) -> String {
        if self.random.one_in(30) {
            return self.any(depth);
        }
        let choice = if depth == 0 { self.random.below(4) } else { self.random.below(24) };
        match choice {
            0 => self.one_of(INTEGERS),
            1 => (self.random.below(100) as i64 - 20).to_string(),
            2 | 3 => self.variable(Kind::Int).unwrap_or_else(|| self.small()),
            4..=8 => {
                let operator = self.one_of(&["+", "+", "-", "-", "*"]);
                format!("({} {operator} {})", self.int(depth - 1), self.int(depth - 1))
            }
            9 => format!("({} // {})", self.int(depth - 1), self.small()),
            10 => format!("({} % {})", self.int(depth - 1), self.small()),
            11 => {
                let operator = self.one_of(&["//", "%"]);
                format!("({} {operator} {})", self.int(depth - 1), self.int(depth - 1))
            }
            12 => {
                let operator = self.one_of(&["&", "|", "~"]);
                format!("({} {operator} {})", self.int(depth - 1), self.int(depth - 1))
            }
            13 => {
                let operator = self.one_of(&["<<", ">>"]);
                format!("({} {operator} {})", self.int(depth - 1), self.int(0))
            }
            // A space: two of them would be a comment.
            14 => format!("(- {})", self.int(depth - 1)),
            15 => format!("(~{})", self.int(depth - 1)),
            16 => match self.random.below(3) {
                0 => format!("#{}", self.text(0)),
                1 => format!("#{}", self.array(0)),
                _ if self.is_variadic => "select('#', ...)".to_owned(),
                _ => format!("#{}", self.text(0)),
            },
            17 => self.element(),
            18 => self.field(),
            19 => {
                let function = self.one_of(&["math.max", "math.min"]);
                format!("{function}({}, {})", self.int(depth - 1), self.int(depth - 1))
            }
            20 => match self.random.below(5) {
                0 => format!("math.floor({})", self.float(depth - 1)),
                1 => format!("math.ceil({})", self.float(depth - 1)),
                2 => format!("math.abs({})", self.int(depth - 1)),
                3 => format!("(math.tointeger({}) or {})", self.float(depth - 1), self.int(0)),
                _ => format!("(string.byte({}, {}) or 0)", self.text(0), self.small()),
            },
            21 => format!(
                "({} and {} or {})",
                self.condition(depth - 1),
                self.int(depth - 1),
                self.int(depth - 1)
            ),
            22 => match self.variable(Kind::Object) {
                Some(object) => format!("{object}:get()"),
                None => self.small(),
            },
            _ => self.called(depth - 1),
        }
    }

    /// A float.
    pub(super) fn float(&mut self, depth: usize) -> String {
        if self.random.one_in(30) {
            return self.any(depth);
        }
        let choice = if depth == 0 { self.random.below(4) } else { self.random.below(14) };
        match choice {
            0 => self.one_of(FLOATS),
            1 => format!("{}.{}", self.random.below(20), self.one_of(&["0", "25", "5"])),
            2 | 3 => self.variable(Kind::Float).unwrap_or_else(|| "0.5".to_owned()),
            4 | 5 => {
                let operator = self.one_of(&["+", "-", "*", "/"]);
                format!("({} {operator} {})", self.float(depth - 1), self.float(depth - 1))
            }
            6 => {
                let operator = self.one_of(&["+", "-", "*", "//", "%"]);
                format!("({} {operator} {})", self.float(depth - 1), self.int(depth - 1))
            }
            7 => {
                let operator = self.one_of(&["/", "+", "*", "^", "%", "//"]);
                format!("({} {operator} {})", self.int(depth - 1), self.float(depth - 1))
            }
            8 => format!("({} / {})", self.int(depth - 1), self.int(depth - 1)),
            9 => format!("(- {})", self.float(depth - 1)),
            10 => {
                let function = self.one_of(&["math.sqrt", "math.abs", "math.sin", "math.cos", "math.exp"]);
                format!("{function}({})", self.float(depth - 1))
            }
            11 => format!("math.max({}, {})", self.float(depth - 1), self.int(depth - 1)),
            12 => format!("math.fmod({}, {})", self.float(depth - 1), self.small()),
            _ => {
                format!("({} and {} or {})", self.condition(depth - 1), self.float(depth - 1), self.float(0))
            }
        }
    }

    /// A text of bounded length, if what it is made of is.
    pub(super) fn text(&mut self, depth: usize) -> String {
        if self.random.one_in(40) {
            return self.any(depth);
        }
        let choice = if depth == 0 { self.random.below(4) } else { self.random.below(14) };
        match choice {
            0 | 1 => format!("({})", self.one_of(TEXTS)),
            2 | 3 => self.variable(Kind::Text).unwrap_or_else(|| "('t')".to_owned()),
            4 => format!("({} .. {})", self.text(depth - 1), self.text(0)),
            5 => format!("({} .. {})", self.text(depth - 1), self.int(0)),
            6 => format!("({} .. {} .. {})", self.text(0), self.int(depth - 1), self.text(0)),
            7 => format!("string.sub({}, {}, {})", self.text(depth - 1), self.int(0), self.int(0)),
            8 => format!("{}:sub({})", self.text(0), self.small()),
            9 => {
                let method =
                    self.one_of(&["upper()", "lower()", "reverse()", "rep(2)", "rep(3, '-')", "sub(-2)"]);
                format!("{}:{method}", self.text(0))
            }
            10 => format!("tostring({})", self.int(depth - 1)),
            11 => {
                let (form, value) = match self.random.below(5) {
                    0 => ("%d", self.int(depth - 1)),
                    1 => ("%5.2f", self.float(0)),
                    2 => ("%s", self.text(0)),
                    3 => ("%x", self.int(0)),
                    _ => ("%g", self.float(0)),
                };
                format!("string.format('{form}', {value})")
            }
            12 => {
                let with = match self.random.below(4) {
                    0 => "'%1%1'".to_owned(),
                    1 => "{a = 'A', b = false, l = 1}".to_owned(),
                    2 => "function(c) return c:upper() end".to_owned(),
                    _ => "'-'".to_owned(),
                };
                format!(
                    "(string.gsub({}, '({})', {with}))",
                    self.text(0),
                    self.one_of(&["[abl]", "%w", "%d+", "."])
                )
            }
            _ => format!("string.char(65 + {} % 26)", self.int(0)),
        }
    }

    /// Something that is used as a condition.
    pub(super) fn condition(&mut self, depth: usize) -> String {
        let choice = if depth == 0 { self.random.below(3) } else { self.random.below(14) };
        match choice {
            0 => self.variable(Kind::Bool).unwrap_or_else(|| "true".to_owned()),
            1 | 2 => self.phase(),
            3..=5 => {
                let operator = self.comparison();
                format!("({} {operator} {})", self.int(depth - 1), self.int(depth - 1))
            }
            6 => {
                let operator = self.comparison();
                format!("({} {operator} {})", self.float(depth - 1), self.int(depth - 1))
            }
            7 => {
                let operator = self.comparison();
                format!("({} {operator} {})", self.text(depth - 1), self.text(depth - 1))
            }
            8 => {
                let operator = self.one_of(&["==", "~="]);
                format!("({} {operator} {})", self.any(depth - 1), self.any(depth - 1))
            }
            9 => format!("(not {})", self.condition(depth - 1)),
            10 => {
                let operator = self.one_of(&["and", "or"]);
                format!("({} {operator} {})", self.condition(depth - 1), self.condition(depth - 1))
            }
            11 => {
                let kind = self.one_of(&["integer", "float"]);
                format!("(math.type({}) == '{kind}')", self.any(depth - 1))
            }
            12 => {
                let kind = self.one_of(&["nil", "number", "table", "string", "function"]);
                format!("(type({}) == '{kind}')", self.any(depth - 1))
            }
            _ => format!("({} ~= nil)", self.element()),
        }
    }
    pub(super) fn comparison(&mut self) -> String {
        self.one_of(&["<", "<=", ">", ">=", "==", "~="])
    }

    /// A condition that changes once or now and then in a loop.
    pub(super) fn phase(&mut self) -> String {
        let Some(counter) = self.counters.last().cloned() else {
            return self.one_of(&["true", "false"]);
        };
        let counter = if self.random.one_in(4) { self.random.pick(&self.counters).clone() } else { counter };
        let number = 1 + self.random.below(30);
        match self.random.below(5) {
            0 => format!("({counter} < {number})"),
            1 => format!("({counter} == {number})"),
            2 => format!("({counter} % {} == 0)", 2 + self.random.below(12)),
            3 => format!("({counter} & {} ~= 0)", self.random.pick(&[1, 2, 4, 8])),
            _ => format!("({counter} > {number})"),
        }
    }

    /// Anything.
    pub(super) fn any(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 8 } else { 13 }) {
            0 => "nil".to_owned(),
            1 => self.int(0),
            2 => self.float(0),
            3 => self.text(0),
            4 | 5 => self.variable(Kind::Any).unwrap_or_else(|| self.int(0)),
            6 => self.element(),
            7 => self.one_of(&["true", "false"]),
            8 => format!("({} and {} or {})", self.phase(), self.any(depth - 1), self.any(depth - 1)),
            9 => self.called(depth - 1),
            10 if self.is_variadic => self.one_of(&["(...)", "(select(2, ...))", "(select(-1, ...))"]),
            11 => format!("(tonumber({}) or {})", self.text(0), self.any(0)),
            _ => self.field(),
        }
    }

    /// An element of an array.
    pub(super) fn element(&mut self) -> String {
        let Some(array) = self.variable(Kind::Array) else { return self.small() };
        match self.random.below(6) {
            0 => format!("{array}[#{array}]"),
            1 => format!("{array}[{}]", self.int(0)),
            2 => format!("{array}[1]"),
            3 => format!("{array}[{}.0]", self.small()),
            _ => match self.counters.last() {
                Some(counter) => format!("{array}[{counter}]"),
                None => format!("{array}[{}]", self.small()),
            },
        }
    }
    /// A field of a record or an object.
    pub(super) fn field(&mut self) -> String {
        let kind = if self.random.one_in(3) { Kind::Object } else { Kind::Record };
        match self.variable(kind) {
            Some(record) => format!("{record}.{}", self.one_of(&["x", "x", "y", "y", "z"])),
            None => self.int(0),
        }
    }
    /// A call of a function, its first result.
    pub(super) fn called(&mut self, depth: usize) -> String {
        let Some(function) = self.callable() else { return self.int(0) };
        match self.random.below(4) {
            0 => format!("({function}({}))", self.any(depth)),
            1 => format!("({function}({}, {}, {}))", self.int(depth), self.int(0), self.any(0)),
            _ => format!("{function}({}, {})", self.int(depth), self.int(0)),
        }
    }
    /// A table that is used as a sequence.
    pub(super) fn array(&mut self, depth: usize) -> String {
        if (depth == 0 || self.random.one_in(3))
            && let Some(array) = self.variable(Kind::Array)
        {
            return array;
        }
        match self.random.below(6) {
            0 => "{}".to_owned(),
            1 => format!("{{{}, 0.5, {}}}", self.one_of(FLOATS), self.one_of(FLOATS)),
            2 => {
                let (a, b, n) = (self.element_value(0), self.element_value(0), self.int(0));
                format!("{{{a}, {b}, n = {n}}}")
            }
            3 if self.is_variadic && self.with_holes => "{...}".to_owned(),
            4 => {
                let (a, b, c) = (self.int(0), self.text(0), self.element_value(0));
                format!("table.pack({a} or 0, {b} or 1, {c})")
            }
            _ => {
                let count = 1 + self.random.below(5);
                let elements: Vec<String> = (0..count).map(|_| self.element_value(3)).collect();
                format!("{{{}}}", elements.join(", "))
            }
        }
    }
    /// What is put into an array: mostly an integer; without `rarity`, anything. It is nil only if arrays may have holes.
    pub(super) fn element_value(&mut self, rarity: usize) -> String {
        let is_int = rarity > 0 && !self.random.one_in(2 * rarity);
        let value = if is_int { self.int(rarity.min(1)) } else { self.any(1) };
        if self.with_holes { value } else { format!("({value} or 0)") }
    }
    /// A table with fields, in one order or another.
    pub(super) fn record(&mut self, depth: usize) -> String {
        if (depth == 0 || self.random.one_in(4))
            && let Some(record) = self.variable(Kind::Record)
        {
            return record;
        }
        let (x, y) = (self.int(depth.min(1)), self.of_random_number(0));
        match self.random.below(5) {
            0 => format!("{{y = {y}, x = {x}}}"),
            1 => format!("{{x = {x}, y = {y}, z = {}}}", self.any(0)),
            2 => format!("{{x = {y}, y = {x}}}"),
            _ => format!("{{x = {x}, y = {y}}}"),
        }
    }
    /// An integer or a float.
    pub(super) fn of_random_number(&mut self, depth: usize) -> String {
        if self.random.one_in(3) { self.float(depth) } else { self.int(depth) }
    }
}
