//! Loops, jumps, protected calls and to-be-closed variables.

use super::{Generator, Kind};

impl Generator {
    /// `for i = a, b, c`, whose rounds are known.
    pub(super) fn counted_loop(&mut self) {
        let rounds = self.round_count();
        let counter = self.fresh("i");
        let (head, rounds, is_float) = match self.random.below(12) {
            0 => (format!("{rounds}, 1, -1"), rounds, false),
            1 => (format!("1, {}, 3", rounds * 3), rounds, false),
            2 => (format!("1.0, {rounds}"), rounds, true),
            3 => (format!("0, 1, {}", 1.0 / rounds as f64), rounds, true),
            4 => (format!("math.maxinteger - {rounds}, math.maxinteger"), rounds, false),
            5 => (format!("math.mininteger, math.mininteger + {rounds}, 2"), rounds / 2, false),
            6 => (format!("-{rounds}, {rounds}, 2"), rounds, false),
            7 => (format!("1, {rounds} + 0.5"), rounds, false),
            8 => (format!("{}, 1", self.small()), 1, false),
            _ => (format!("1, {rounds}"), rounds, false),
        };
        self.line(&format!("for {counter} = {head} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind(&counter, if is_float { Kind::Float } else { Kind::Int });
            generator.loop_body(if is_float { None } else { Some(counter) });
        });
        self.line("end");
    }

    /// What a loop does in a round. A `goto` to its end jumps over what stands in a block.
    pub(super) fn loop_body(&mut self, counter: Option<String>) {
        let has_counter = counter.is_some();
        self.counters.extend(counter);
        let label = if self.random.one_in(5) { Some(self.fresh("l")) } else { None };
        if let Some(label) = &label {
            let condition = self.condition(1);
            self.line(&format!("if {condition} then goto {label} end"));
            self.line("do");
        }
        for _ in 0..1 + self.random.below(4) {
            self.statement();
        }
        if let Some(label) = label {
            self.line("end");
            self.line(&format!("::{label}::"));
        }
        if has_counter {
            self.counters.pop();
        }
    }

    /// `while`, `repeat`, and a loop made of `goto`, with counters of their own.
    pub(super) fn other_loop(&mut self) {
        let rounds = self.round_count();
        let counter = self.fresh("n");
        self.line(&format!("local {counter} = 0"));
        let end = match self.random.below(4) {
            0 => {
                let condition = self.condition(1);
                self.line(&format!("while {counter} < {rounds} and ({counter} < 3 or {condition}) do"));
                "end".to_owned()
            }
            1 => {
                self.line(&format!("while {counter} < {rounds} do"));
                "end".to_owned()
            }
            2 => {
                self.line("repeat");
                let condition = self.condition(1);
                format!("until {counter} >= {rounds} or ({counter} > 20 and {condition})")
            }
            _ => {
                let label = self.fresh("l");
                self.line(&format!("::{label}::"));
                self.line("do");
                format!("end if {counter} < {rounds} then goto {label} end")
            }
        };
        let is_real_loop = !end.contains("goto");
        self.in_rounds(rounds, |generator| {
            generator.in_loop &= is_real_loop;
            generator.line(&format!("{counter} = {counter} + 1"));
            generator.bind_constant(&counter, Kind::Int);
            generator.loop_body(Some(counter));
        });
        self.line(&end);
        self.line("do end");
    }

    pub(super) fn branch(&mut self) {
        let condition = self.condition(2);
        self.line(&format!("if {condition} then"));
        self.body(3);
        if self.random.one_in(4) {
            let condition = self.condition(2);
            self.line(&format!("elseif {condition} then"));
            self.body(2);
        }
        if self.random.one_in(2) {
            self.line("else");
            self.body(3);
        }
        self.line("end");
    }

    /// `break`, `error` or `return` under a condition that is rarely true.
    pub(super) fn leave(&mut self) {
        let condition = match (self.counters.last(), self.random.one_in(3)) {
            (Some(counter), false) => format!("{counter} == {}", 3 + self.random.below(40)),
            _ => format!("{} == {}", self.int(1), self.int(0)),
        };
        let way = match self.random.below(6) {
            0..=2 if self.in_loop => "break".to_owned(),
            3 => format!("error({{{}}})", self.int(0)),
            4 => format!("error({}, {})", self.text(0), self.random.below(3)),
            5 => format!("return {}, {}", self.int(1), self.text(0)),
            _ => return self.update(),
        };
        self.line(&format!("if {condition} then {way} end"));
    }

    /// Iterators of all sorts; what has no order is sorted.
    pub(super) fn generic_loop(&mut self) {
        let (key, value) = (self.fresh("k"), self.fresh("e"));
        let (values, kinds, rounds) = match self.random.below(6) {
            0 => (format!("ipairs({})", self.array(1)), (Kind::Int, Kind::Any), 4),
            1 => (format!("next, {{{}, {}}}", self.int(1), self.text(0)), (Kind::Int, Kind::Any), 2),
            2 => (format!("string.gmatch({}, '(.)(.?)')", self.text(1)), (Kind::Text, Kind::Text), 6),
            3 => {
                let (rounds, step) = (self.round_count(), self.of_random_number(0));
                let body = format!("if i < {rounds} then return i + 1, {step} end");
                (format!("function(s, i) {body} end, nil, 0"), (Kind::Int, Kind::Any), rounds)
            }
            4 => {
                // A closure that keeps its own state.
                let rounds = self.round_count();
                let state = self.fresh("n");
                self.line(&format!("local {state} = 0"));
                let body = format!(
                    "{state} = {state} + 1 if {state} <= {rounds} then return {state}, {state} * 0.5 end"
                );
                (format!("function() {body} end"), (Kind::Int, Kind::Float), rounds)
            }
            _ => {
                // The order of `pairs` is not Lua's to say: sums don't depend on it.
                let (sum, record) = (self.fresh("v"), self.record(1));
                self.line(&format!("local {sum} = 0"));
                self.line(&format!(
                    "for {key}, {value} in pairs({record}) do {sum} = {sum} + #{key} + (math.tointeger({value}) or 1) end"
                ));
                self.bind(&sum, Kind::Int);
                return;
            }
        };
        self.line(&format!("for {key}, {value} in {values} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind(&value, kinds.1);
            generator.bind_constant(&key, kinds.0);
            let counter = (kinds.0 == Kind::Int).then(|| key.clone());
            generator.loop_body(counter);
        });
        self.line("end");
    }

    /// Statements that may fail, and what is said of it.
    pub(super) fn protected(&mut self) {
        let (ok, value) = (self.fresh("ok"), self.fresh("v"));
        let handler = match self.random.below(4) {
            0 => Some("function(m) return type(m) == 'table' and m or 'handled: ' .. tostring(m) end"),
            1 => Some("tostring"),
            _ => None,
        };
        match handler {
            Some(handler) => {
                self.line(&format!("local {ok}, {value} = xpcall(function()"));
                self.protected_body();
                self.line(&format!("end, {handler})"));
            }
            None => {
                self.line(&format!("local {ok}, {value} = pcall(function()"));
                self.protected_body();
                self.line("end)");
            }
        }
        self.bind(&ok, Kind::Bool);
        if self.random.one_in(5) {
            self.line(&format!("if not {ok} and type({value}) == 'string' then error({value}, 0) end"));
        }
        if self.rounds < 40 && self.random.one_in(2) {
            self.line(&format!("print({ok}, type({value}) == 'table' and #{value} or {value})"));
        }
        self.bind(&value, Kind::Any);
    }
    fn protected_body(&mut self) {
        let rounds = self.rounds;
        let cost = self.in_function(false, |generator| {
            generator.rounds = rounds;
            for _ in 0..1 + generator.random.below(3) {
                generator.statement();
            }
            let result = generator.any(1);
            generator.line(&format!("do return {result} end"));
        });
        self.cost += cost;
    }

    /// Errors of every sort, in a loop: caught, looked at, thrown again.
    pub(super) fn error_work(&mut self) {
        let (catch, log) = (self.fresh("catch"), self.fresh("log"));
        self.line(&format!("local {log} = {{}}"));
        self.line(&format!("local function {catch}(f, ...)"));
        self.line("local ok, e = pcall(f, ...)");
        self.line("if ok then return e end");
        self.line(&format!("{log}[#{log} + 1] = type(e) == 'table' and (e.code or 'table') or tostring(e)"));
        if self.random.one_in(3) {
            self.line(&format!("if #{log} % 11 == 7 then error(e, 0) end"));
        }
        self.line("return nil");
        self.line("end");
        let rounds = self.round_count().max(12);
        let counter = self.fresh("i");
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind_constant(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let parameter = generator.fresh("p");
            generator.line(&format!("local r = {catch}(function({parameter})"));
            generator.in_function(false, |generator| {
                generator.bind(&parameter, Kind::Int);
                let phase = generator.phase();
                let failure = match generator.random.below(10) {
                    0 => format!("error({{code = {parameter}}})"),
                    1 => "error()".to_owned(),
                    2 => format!("error('at ' .. {parameter}, 2)"),
                    3 => format!("local t = nil; t.x = {parameter}"),
                    4 => format!("return {parameter} + {{}}"),
                    5 => format!("return {parameter} < 'x'"),
                    6 => format!("return #{parameter}"),
                    7 => format!("return {parameter} & 1.5"),
                    8 => format!("return 1 // ({parameter} - {parameter})"),
                    _ => format!("assert(false, {parameter})"),
                };
                generator.line(&format!("if {phase} then {failure} end"));
                generator.statement();
                let result = generator.int(1);
                generator.line(&format!("return {result}"));
            });
            generator.line(&format!("end, {counter})"));
            generator.counters.pop();
            if let Some(target) = generator.target(Some(Kind::Int)) {
                generator.line(&format!("{0} = {0} + (math.tointeger(r) or 1)", target.name));
            }
        });
        self.line("end");
        self.line(&format!("print(#{log}, {log}[1], {log}[2], {log}[#{log}])"));
    }

    /// A to-be-closed variable around some statements, which may leave in any way.
    pub(super) fn closing_scope(&mut self) {
        let (name, trail) = (self.fresh("c"), self.fresh("v"));
        self.line(&format!("local {trail} = 0"));
        self.bind(&trail, Kind::Int);
        self.line("do");
        let extra = match self.random.below(4) {
            0 => format!("if {} then error('closing') end", self.phase()),
            _ => String::new(),
        };
        self.line(&format!(
            "local {name} <close> = setmetatable({{}}, {{__close = function(_, e) {trail} = {trail} + (e and 100 or 1) {extra} end}})"
        ));
        self.body(3);
        self.line("end");
    }

    /// Closing in loops that are left in the middle.
    pub(super) fn closing_work(&mut self) {
        let (order, new) = (self.fresh("order"), self.fresh("new"));
        self.line(&format!("local {order} = {{}}"));
        self.line(&format!("local function {new}(name)"));
        self.line(&format!(
            "return setmetatable({{}}, {{__close = function(_, e) {order}[#{order} + 1] = name .. (e and '!' or '') end}})"
        ));
        self.line("end");
        let rounds = self.round_count();
        let counter = self.fresh("i");
        let function = self.fresh("f");
        self.line(&format!("local function {function}({counter})"));
        self.in_function(false, |generator| {
            generator.bind(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            generator.line(&format!("for j = 1, 3 do local a <close> = {new}('a' .. {counter})"));
            let condition = generator.phase();
            let way = generator.one_of(&[
                "break",
                "return j, 'r'",
                "error('left')",
                "goto out",
                "return error({})",
            ]);
            generator.line(&format!("local b <close> = {new}('b') if {condition} and j == 2 then {way} end"));
            generator.line("end");
            generator.line("do end ::out::");
            let text = generator.text(1);
            generator.line(&format!("return 0, {text}"));
            generator.counters.pop();
        });
        self.line("end");
        self.line(&format!("local n = 0 for {counter} = 1, {rounds} do"));
        self.line(&format!("local ok, a, b = pcall({function}, {counter})"));
        self.line("if ok then n = n + a end");
        self.spend(rounds * 20);
        self.line("end");
        self.line(&format!("print(n, #{order}, {order}[1], {order}[2], {order}[#{order}])"));
    }
}
