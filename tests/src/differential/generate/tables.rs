//! Arrays that grow and have holes, records whose shapes change, aliases, and functions that call back.

use super::{Generator, Kind};

impl Generator {
    /// A store into a table.
    pub(super) fn store(&mut self) {
        match self.random.below(14) {
            0..=3 => {
                let Some(array) = self.variable(Kind::Array) else { return self.declare() };
                let value = self.element_value(3);
                let line = match self.random.below(7) {
                    0 | 1 => format!("{array}[#{array} + 1] = {value}"),
                    2 => format!("table.insert({array}, {value})"),
                    3 => format!("table.insert({array}, 1, {value}) table.remove({array})"),
                    4 => format!("table.remove({array})"),
                    _ if !self.with_holes => {
                        let key = self.counters.last().cloned().unwrap_or_else(|| "1".to_owned());
                        format!("if {array}[{key}] ~= nil then {array}[{key}] = {value} end")
                    }
                    _ => match self.counters.last() {
                        Some(counter) => format!("{array}[{counter}] = {value}"),
                        None => format!("{array}[{}] = {value}", self.small()),
                    },
                };
                self.line(&line);
            }
            4 if self.with_holes => {
                let Some(array) = self.variable(Kind::Array) else { return self.declare() };
                // Far away, of other kinds, through strings that look like numbers.
                let key = match self.random.below(6) {
                    0 => "-1".to_owned(),
                    1 => format!("{}.0", self.small()),
                    2 => "2^53".to_owned(),
                    3 => format!("'{}'", self.small()),
                    4 => "true".to_owned(),
                    _ => format!("({}) % 40", self.int(1)),
                };
                let value = self.any(1);
                self.line(&format!("{array}[{key}] = {value}"));
            }
            5..=8 => {
                let kind = if self.random.one_in(3) { Kind::Object } else { Kind::Record };
                let Some(record) = self.variable(kind) else { return self.declare() };
                let field = self.one_of(&["x", "x", "y"]);
                let line = match self.random.below(3) {
                    0 => format!("{record}.{field} = {}", self.int(2)),
                    1 => format!("{record}.{field} = {}", self.of_random_number(1)),
                    _ => format!("{record}.{field} = {record}.{field} + {}", self.of_random_number(1)),
                };
                self.line(&line);
            }
            9 => {
                // The shape changes late.
                let Some(record) = self.variable(Kind::Record) else { return self.declare() };
                let (phase, value) = (self.phase(), self.any(1));
                let change = match self.random.below(4) {
                    0 => format!("{record}.z = {value}"),
                    1 => format!("{record}['w' .. 1] = {value}"),
                    2 => format!("{record}.y = nil"),
                    _ => format!(
                        "setmetatable({record}, {{__index = function(_, k) return #tostring(k) end}})"
                    ),
                };
                self.line(&format!("if {phase} then {change} end"));
            }
            10 => {
                let Some(target) = self.target(Some(Kind::Record)) else { return self.declare() };
                let (phase, record) = (self.phase(), self.record(1));
                self.line(&format!("if {phase} then {} = {record} end", target.name));
            }
            11 if self.with_holes => {
                let (Some(array), value) = (self.variable(Kind::Array), self.int(1)) else {
                    return self.declare();
                };
                let key = self.random.below(5);
                self.line(&format!("rawset({array}, {key}, {value})"));
            }
            _ => {
                // Read, write, read: through two names of one table, perhaps.
                let (Some(a), Some(b)) = (self.variable(Kind::Record), self.variable(Kind::Record)) else {
                    return self.declare();
                };
                let value = self.int(1);
                let name = self.fresh("v");
                self.line(&format!("local {name} = {a}.x {b}.x = {value} {name} = {name} + {a}.x"));
                self.bind(&name, Kind::Int);
            }
        }
    }

    /// Another name for a table.
    pub(super) fn aliases(&mut self) {
        let kind = *self.random.pick(&[Kind::Array, Kind::Record, Kind::Object]);
        let Some(table) = self.variable(kind) else { return self.declare() };
        let name = self.fresh("v");
        match self.variable(kind) {
            Some(other) if self.random.one_in(2) => {
                let condition = self.condition(1);
                self.line(&format!("local {name} = {condition} and {table} or {other}"));
            }
            _ => self.line(&format!("local {name} = {table}")),
        }
        self.bind(&name, kind);
    }

    pub(super) fn iterate_array(&mut self) {
        let Some(array) = self.variable(Kind::Array) else { return self.counted_loop() };
        let (index, sum) = (self.fresh("i"), self.fresh("v"));
        let start = self.one_of_numbers();
        self.line(&format!("local {sum} = {start}"));
        self.bind(&sum, Kind::Int);
        let head = match self.random.below(4) {
            0 => format!("{index} = #{array}, 1, -1"),
            1 => format!("{index} in ipairs({array})"),
            _ => format!("{index} = 1, #{array}"),
        };
        self.line(&format!("for {head} do"));
        self.in_rounds(20, |generator| {
            generator.bind_constant(&index, Kind::Int);
            generator.counters.push(index.clone());
            if generator.random.one_in(3) {
                generator.line(&format!("local e = {array}[{index}]"));
                generator.line(&format!("if math.type(e) then {sum} = {sum} + e else {sum} = {sum} + 1 end"));
            } else {
                generator.line(&format!("{sum} = {sum} + (tonumber({array}[{index}]) or 1)"));
            }
            generator.statement();
            generator.counters.pop();
        });
        self.line("end");
    }
    fn one_of_numbers(&mut self) -> String {
        self.one_of(&["0", "0", "0.0", "1", "math.maxinteger"])
    }

    /// Values whose kind changes after some rounds.
    pub(super) fn phases(&mut self) {
        let rounds = self.round_count().max(10);
        let (counter, sum, changing) = (self.fresh("i"), self.fresh("v"), self.fresh("v"));
        let first = self.of_random_number(1);
        let (start, then) = (self.one_of_numbers(), self.any(2));
        self.line(&format!("local {sum}, {changing} = {start}, {first}"));
        self.bind(&sum, Kind::Int);
        self.bind(&changing, Kind::Int);
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let operator = generator.one_of(&["+", "-", "*", "..", "//", "%", "|"]);
            let guarded = generator.random.one_in(2);
            let phase = generator.phase();
            let change = format!("if {phase} then {changing} = {then} end");
            let step = match (operator.as_str(), guarded) {
                ("..", _) => format!("{sum} = #({sum} .. {changing})"),
                (_, true) => format!("{sum} = {sum} {operator} (tonumber({changing}) or 3)"),
                _ => format!("{sum} = {sum} {operator} {changing}"),
            };
            if generator.random.one_in(2) {
                generator.line(&change);
                generator.line(&step);
            } else {
                generator.line(&step);
                generator.line(&change);
            }
            for _ in 0..generator.random.below(3) {
                generator.statement();
            }
            generator.counters.pop();
        });
        self.line("end");
    }

    /// Arrays filled, moved, sorted, emptied.
    pub(super) fn array_work(&mut self) {
        let rounds = self.round_count().max(10);
        let (array, counter) = (self.fresh("v"), self.fresh("i"));
        self.line(&format!("local {array} = {{}}"));
        self.bind_constant(&array, Kind::Array);
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind_constant(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let value = match generator.random.below(5) {
                0 => format!("({counter} * 7919) % 101"),
                1 => generator.any(2),
                2 => format!("{} and {counter} * 0.5 or {counter}", generator.phase()),
                _ => generator.int(2),
            };
            let value = if generator.with_holes { value } else { format!("({value} or 0)") };
            let place = match generator.random.below(4) {
                _ if !generator.with_holes => format!("#{array} + 1"),
                0 => format!("#{array} + 1"),
                1 => format!("{rounds} - {counter}"),
                _ => counter.clone(),
            };
            generator.line(&format!("{array}[{place}] = {value}"));
            generator.statement();
            generator.counters.pop();
        });
        self.line("end");
        self.line(&format!(
            "local numbers = {{}} for i = 1, #{array} do local e = {array}[i] if math.type(e) and e == e then numbers[#numbers + 1] = e end end"
        ));
        let comparison = match self.random.below(4) {
            0 => "",
            1 => ", function(a, b) return a > b end",
            2 => ", function(a, b) return a % 16 < b % 16 end",
            _ => ", function(a, b) return (a < b) end",
        };
        self.line(&format!("table.sort(numbers{comparison})"));
        self.line("print(#numbers, numbers[1], numbers[2], numbers[#numbers], table.concat(numbers, ' ', 1, math.min(#numbers, 12)))");
        self.spend(rounds * 10);
    }

    /// Records made at several places, with several shapes, used at one.
    pub(super) fn record_work(&mut self) {
        let rounds = self.round_count().max(10);
        let (records, counter, sum) = (self.fresh("records"), self.fresh("i"), self.fresh("v"));
        let shapes: Vec<String> = (0..2 + self.random.below(4)).map(|_| self.record_anew()).collect();
        self.line(&format!("local {records} = {{{}}}", shapes.join(", ")));
        let start = self.one_of_numbers();
        self.line(&format!("local {sum} = {start}"));
        self.bind(&sum, Kind::Int);
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind_constant(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let record = generator.fresh("r");
            let pick = match generator.random.below(3) {
                0 => format!("{counter} % #{records} + 1"),
                1 => format!("({counter} < 12) and 1 or {counter} % #{records} + 1"),
                _ => format!("{counter} // 10 % #{records} + 1"),
            };
            generator.line(&format!("local {record} = {records}[{pick}]"));
            generator.bind(&record, Kind::Record);
            generator.line(&format!("{sum} = {sum} + {record}.x"));
            generator.line(&format!("{record}.x = {record}.x + 1"));
            for _ in 0..1 + generator.random.below(3) {
                generator.store();
            }
            generator.counters.pop();
        });
        self.line("end");
        self.line(&format!("for i, r in ipairs({records}) do print(i, r.x, type(r.y), type(r.z)) end"));
    }
    fn record_anew(&mut self) -> String {
        let (x, y, z) = (self.int(0), self.of_random_number(0), self.any(0));
        match self.random.below(6) {
            0 => format!("{{y = {y}, x = {x}}}"),
            1 => format!("{{x = {y}}}"),
            2 => format!("{{z = {z}, x = {x}, y = {y}}}"),
            3 => format!("{{1, 2, x = {x}, y = {y}}}"),
            4 => format!("setmetatable({{y = {y}}}, {{__index = {{x = {x}}}}})"),
            _ => format!("{{x = {x}, y = {y}}}"),
        }
    }

    /// Texts put together and taken apart.
    pub(super) fn text_work(&mut self) {
        let rounds = self.round_count();
        let (text, counter, count) = (self.fresh("v"), self.fresh("i"), self.fresh("v"));
        let start = self.text(1);
        self.line(&format!("local {text}, {count} = {start}, 0"));
        self.bind(&text, Kind::Text);
        self.bind(&count, Kind::Int);
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind_constant(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let value = match generator.random.below(4) {
                0 => format!("{} and {} or {}", generator.phase(), generator.any(0), generator.text(0)),
                1 => counter.clone(),
                2 => generator.float(0),
                _ => generator.text(1),
            };
            let line = match generator.random.below(8) {
                0 => format!("{text} = ({text} .. {value}):sub(-20)"),
                1 => format!("{text} = ({value} .. {text}):sub(1, 20)"),
                2 => format!("{text} = ({text} .. {value} .. {counter}):sub(1, 15)"),
                3 => format!("{count} = {count} + (tonumber({value}) or #tostring({value}))"),
                4 => format!("{count} = {count} + {value}"),
                5 => format!("{text} = {text}:gsub('.', function(c) {count} = {count} + 1 return c ~= 'a' and c or 'b' end):sub(1, 9)"),
                6 => format!("{count} = {count} + (string.byte({text}, {counter} % 8) or 1)"),
                _ => format!("if {text} < tostring({value}) then {count} = {count} + 1 end"),
            };
            generator.line(&line);
            for _ in 0..generator.random.below(3) {
                generator.statement();
            }
            generator.counters.pop();
        });
        self.line("end");
    }
}
