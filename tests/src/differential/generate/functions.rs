//! Functions: closures that share variables, variable arguments, results that are adjusted, recursion that counts down.

use super::{Generator, Kind, Variable};

impl Generator {
    /// A value that can be called with up to two arguments.
    pub(super) fn function_value(&mut self) -> String {
        match self.random.below(5) {
            0 => self.one_of(&["math.abs", "type", "tostring", "math.type"]),
            1 => format!("function(a) return a, {} end", self.int(1)),
            _ => self.callable().unwrap_or_else(|| "function(...) return ... end".to_owned()),
        }
    }

    /// A local function of two parameters, perhaps variadic, that may use and change what is around it.
    pub(super) fn define_function(&mut self) {
        let name = self.fresh("f");
        let (a, b) = (self.fresh("a"), self.fresh("b"));
        let is_variadic = self.random.one_in(4);
        let rest = if is_variadic { ", ..." } else { "" };
        let is_global = self.random.one_in(3);
        let head = if is_global { "function" } else { "local function" };
        self.line(&format!("{head} {name}({a}, {b}{rest})"));
        let in_coroutine = std::mem::replace(&mut self.in_coroutine, false);
        let counters = std::mem::take(&mut self.counters);
        let cost = self.in_function(is_variadic, |generator| {
            generator.bind(&a, Kind::Int);
            let kind = *generator.random.pick(&[Kind::Int, Kind::Any]);
            generator.bind(&b, kind);
            generator.counters.push(format!("(math.tointeger({a}) or 5)"));
            for _ in 0..1 + generator.random.below(3) {
                generator.statement();
            }
            generator.counters.pop();
            let results = match generator.random.below(7) {
                0 => String::new(),
                1 => format!("{}, {}", generator.int(1), generator.any(0)),
                2 if is_variadic => "...".to_owned(),
                3 if is_variadic => format!("select('#', ...), {}", generator.int(0)),
                4 => match generator.callable() {
                    // A tail call.
                    Some(function) => format!("{function}({}, {a})", generator.int(0)),
                    None => generator.int(2),
                },
                5 => generator.of_random_number(2),
                _ => generator.int(2),
            };
            generator.line(&format!("return {results}"));
        });
        self.counters = counters;
        self.in_coroutine = in_coroutine;
        self.line("end");
        if is_global {
            self.globals.push(name.clone());
        }
        self.variables.push(Variable { name, kind: Kind::Function, is_assignable: false, cost: cost + 3 });
    }

    /// Changes what is usually never changed: a global function, a method, a metamethod, where methods are looked for, a library.
    pub(super) fn rebind(&mut self) {
        let phase = self.phase();
        let value = self.int(1);
        let class =
            if self.classes.is_empty() { None } else { Some(self.random.pick(&self.classes).clone()) };
        let change = match (self.random.below(7), class) {
            (0, Some(class)) => format!("{class}.get = function(self) return num(self.y) + {value} end"),
            (1, Some(class)) => format!("{class}.add = function(self, n) self.y = num(n) return self end"),
            (2, Some(class)) => format!("{class}.__index = {}", self.random.pick(&self.classes)),
            (3, Some(class)) => format!("{class}.__add = function(a, b) return {value} end"),
            (4, Some(class)) => format!("{class}.get = nil"),
            // Libraries are not ours alone in a process that runs many programs.
            (5, _) if self.with_holes => {
                let name = self.one_of(&["abs", "max", "floor", "type"]);
                format!("math.{name} = function(a) return a end")
            }
            _ => match self.globals.last().cloned() {
                Some(name) => format!("{name} = function(a, b) return {value}, a end"),
                None => return self.update(),
            },
        };
        self.line(&format!("if {phase} then {change} end"));
    }

    /// Closures that share a variable, which changes while a loop runs.
    pub(super) fn closure_work(&mut self) {
        let (shared, set, get, counter) =
            (self.fresh("v"), self.fresh("f"), self.fresh("f"), self.fresh("i"));
        let start = self.of_random_number(1);
        self.line(&format!("local {shared} = {start}"));
        let step = match self.random.below(5) {
            0 => format!("{shared} = n"),
            1 => format!("{shared} = {shared} * 2 + (n or 0)"),
            2 => format!(
                "if n == {} then {shared} = {} else {shared} = n end",
                self.random.below(30),
                self.any(0)
            ),
            3 => format!("local old = {shared} {shared} = n return old"),
            _ => format!("{shared} = {shared} + n"),
        };
        self.line(&format!("local function {set}(n) {step} end"));
        self.line(&format!("local {get} = function() return {shared} end"));
        self.bind(&shared, Kind::Int);
        let made = self.fresh("made");
        self.line(&format!("local {made} = {{}}"));
        let rounds = self.round_count().max(8);
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let own = generator.fresh("v");
            let value = generator.int(1);
            generator.line(&format!("local {own} = {value}"));
            generator.bind(&own, Kind::Int);
            for _ in 0..2 + generator.random.below(3) {
                let line = match generator.random.below(8) {
                    0 => format!("{set}({counter})"),
                    1 => format!("{shared} = {shared} + 1"),
                    2 => format!("{own} = {own} + (tonumber({get}()) or 1)"),
                    3 => format!("{made}[#{made} + 1] = function(d) {own} = {own} + (d or 1) return {own}, {counter} end"),
                    4 => format!("{made}[math.min({counter} % 3, #{made}) + 1] = function() {shared} = {own} return {own} end"),
                    5 => format!("local x = {shared} {set}({counter} * 0.5) {own} = {own} + #tostring(x) + #tostring({shared})"),
                    6 => format!("if {made}[1] then {made}[1](1) end"),
                    _ => {
                        generator.statement();
                        continue;
                    }
                };
                generator.line(&line);
            }
            generator.counters.pop();
        });
        self.line("end");
        self.line(&format!("for i = 1, math.min(#{made}, 4) do print(i, {made}[i](), {made}[i](2)) end"));
        self.line(&format!("print({get}())"));
    }

    /// Closures made in a loop, called in another.
    pub(super) fn closure_in_loop(&mut self) {
        let (made, counter) = (self.fresh("made"), self.fresh("i"));
        let rounds = self.round_count().min(12);
        self.line(&format!("local {made} = {{}}"));
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let body = match generator.random.below(3) {
                0 => format!("{counter} = {counter} + (n or 1) return {counter}"),
                1 => format!("return n, {}", generator.int(1)),
                _ => match generator.target(Some(Kind::Int)) {
                    Some(target) => format!("{0} = {0} + {counter} return {0}", target.name),
                    None => format!("return {counter}"),
                },
            };
            generator.line(&format!("{made}[{counter}] = function(n) {body} end"));
            generator.counters.pop();
        });
        self.line("end");
        let sum = self.fresh("v");
        self.line(&format!("local {sum} = 0"));
        self.line(&format!("for j = 1, {rounds} * 2 do local r = {made}[j % {rounds} + 1](j) {sum} = {sum} + (tonumber(r) or 1) end"));
        self.spend(rounds * 10);
        self.bind(&sum, Kind::Int);
    }

    /// Variable arguments passed on, counted, packed, cut.
    pub(super) fn vararg_work(&mut self) {
        let (count, pass, sum) = (self.fresh("f"), self.fresh("f"), self.fresh("v"));
        self.line(&format!("local function {count}(...)"));
        let body = match self.random.below(5) {
            0 => "local n = select('#', ...) return n, ...",
            1 if self.with_holes => "local t = {...} return #t, t[1], t[3]",
            2 => "local a, b = ... if a == nil then return 0 end return 1, b, a",
            3 => {
                "local s = 0 for i = 1, select('#', ...) do local e = (select(i, ...)) s = s + (tonumber(e) or 1) end return s, ..."
            }
            _ => "local t = table.pack(...) t[2] = 7 return table.unpack(t, 1, t.n)",
        };
        self.line(body);
        self.line("end");
        let tail = match self.random.below(4) {
            0 => format!("return {count}(a, ...)"),
            1 => format!("return ({count}(a, ...))"),
            2 => format!("local x, y, z = {count}(..., a) return z, y, x"),
            _ => format!("if a == 3 then return {count}() end return {count}(...), {count}(a, ...)"),
        };
        self.line(&format!("local function {pass}(a, ...) {tail} end"));
        self.line(&format!("local {sum} = 0"));
        self.bind(&sum, Kind::Any);
        let (rounds, counter) = (self.round_count(), self.fresh("i"));
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind_constant(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let arguments: Vec<String> = (0..generator.random.below(5)).map(|_| generator.any(1)).collect();
            let arguments = if arguments.is_empty() { counter.clone() } else { arguments.join(", ") };
            let call = match generator.random.below(4) {
                0 => format!("{pass}({arguments})"),
                1 => format!("{pass}({pass}({arguments}))"),
                2 => format!("{count}({pass}({counter}, {arguments}), {counter})"),
                _ => format!("select(-1, {count}({arguments}))"),
            };
            generator.line(&format!("local p, q, r = {call}"));
            generator.line(&format!(
                "{sum} = {sum} + (tonumber(p) or 1) + (tonumber(q) or 2) + (tonumber(r) or 3) + select('#', {call})"
            ));
            generator.spend(20);
            generator.statement();
            generator.counters.pop();
        });
        self.line("end");
    }

    /// Recursion down to zero: with accumulators, in pairs, in the middle of expressions, in tail position.
    pub(super) fn recursion(&mut self) {
        let (name, other) = (self.fresh("f"), self.fresh("f"));
        let (depth, calls) = (5 + self.random.below(20), self.round_count().min(20));
        self.line(&format!("local {other}"));
        self.line(&format!("local function {name}(n, a)"));
        let before = match self.random.below(4) {
            0 => format!("if n == {} then a = {} end", self.random.below(depth), self.any(0)),
            1 => "a = a + n * 0.5".to_owned(),
            2 => "local t = {n, a}".to_owned(),
            _ => String::new(),
        };
        self.line("if n <= 0 then return a, n end");
        self.line(&before);
        let step = match self.random.below(6) {
            0 => format!("return {name}(n - 1, a)"),
            1 => format!("return n + (tonumber(({name}(n - 1, a))) or 1)"),
            2 => format!("return {other}(n - 1, a)"),
            3 => format!("local x, y = {name}(n - 1, a) return x, y"),
            4 => {
                format!("local ok, r = pcall({name}, n - 2, a) if n == 4 then error('four', 0) end return r")
            }
            _ => format!("local x = {name}(n - 2, a) return {name}(n // 4 - 1, x)"),
        };
        self.line(&step);
        self.line("end");
        let body = match self.random.below(3) {
            0 => format!("return {name}(n, (tonumber(a) or 0) + 1)"),
            1 => format!("return {name}(n - 1, a), a"),
            _ => format!("return ({name}(n, a))"),
        };
        self.line(&format!("{other} = function(n, a) {body} end"));
        let start = self.of_random_number(0);
        self.line(&format!("for i = 1, {calls} do"));
        let phase = format!("i % {} == 0", 2 + self.random.below(5));
        self.line(&format!("local ok, x, y = pcall({name}, {phase} and i or {depth}, {start})"));
        self.line(&format!("if i < 4 or i > {calls} - 2 then print(ok, x, y) end"));
        self.line("end");
        self.spend(calls * depth as u64 * 10);
    }
}
