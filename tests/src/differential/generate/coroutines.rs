//! Coroutines: generators in loops, yields across protected calls and metamethods, errors and closing.

use super::{Generator, Kind};

impl Generator {
    /// A loop over what a coroutine yields.
    pub(super) fn coroutine_loop(&mut self) {
        if self.rounds > 30 {
            return self.counted_loop();
        }
        let (key, value) = (self.fresh("k"), self.fresh("e"));
        let rounds = self.round_count().min(40);
        let counter = self.fresh("i");
        self.line(&format!("for {key}, {value} in coroutine.wrap(function()"));
        let outer_rounds = self.rounds;
        let cost = self.in_function(false, |generator| {
            generator.rounds = outer_rounds;
            let outer = std::mem::replace(&mut generator.in_coroutine, true);
            generator.line(&format!("for {counter} = 1, {rounds} do"));
            generator.in_rounds(rounds, |generator| {
                generator.bind_constant(&counter, Kind::Int);
                generator.counters.push(counter.clone());
                generator.statement();
                let value = generator.any(1);
                generator.line(&format!("coroutine.yield({counter}, {value})"));
                generator.counters.pop();
            });
            generator.line("end");
            generator.in_coroutine = outer;
        });
        self.cost += cost;
        self.line("end) do");
        self.in_rounds(rounds, |generator| {
            // A coroutine's own yields come as they are.
            generator.line(&format!("if math.type({key}) ~= 'integer' then break end"));
            generator.bind_constant(&key, Kind::Int);
            generator.bind(&value, Kind::Any);
            generator.loop_body(Some(key));
        });
        self.line("end");
    }

    /// A coroutine that is resumed step by step.
    pub(super) fn coroutine_work(&mut self) {
        let (thread, counter, sum) = (self.fresh("co"), self.fresh("i"), self.fresh("v"));
        let rounds = self.round_count().clamp(6, 60);
        self.line(&format!("local {sum} = 0"));
        self.bind(&sum, Kind::Int);
        self.line(&format!("local {thread} = coroutine.create(function(a, b)"));
        let outer = std::mem::replace(&mut self.in_coroutine, true);
        let cost = self.in_function(false, |generator| {
            generator.bind("a", Kind::Any);
            generator.bind("b", Kind::Any);
            let inner = generator.fresh("i");
            generator.line(&format!("for {inner} = 1, {rounds} do"));
            generator.in_rounds(rounds, |generator| {
                generator.bind_constant(&inner, Kind::Int);
                generator.counters.push(inner.clone());
                let step = generator.yield_in_some_way(&inner, &sum);
                generator.line(&step);
                generator.statement();
                generator.counters.pop();
            });
            generator.line("end");
            let (phase, result) = (generator.int(0), generator.any(1));
            generator.line(&format!("if {phase} == 3 then error('end') end return {result}"));
        });
        self.cost += cost;
        self.in_coroutine = outer;
        self.line("end)");
        self.line(&format!("for {counter} = 1, {rounds} + 2 do"));
        self.in_rounds(rounds, |generator| {
            generator.bind_constant(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            let value = generator.any(1);
            generator.line(&format!("local ok, p, q = coroutine.resume({thread}, {counter}, {value})"));
            generator.line(&format!("if ok then {sum} = {sum} + (math.tointeger(p) or 1) end"));
            generator.line(&format!(
                "if {counter} < 3 or not ok then print(ok, type(p) == 'table' and #p or p, math.type(q), coroutine.status({thread})) end"
            ));
            generator.line(&format!("if coroutine.status({thread}) == 'dead' then break end"));
            if generator.random.one_in(3) {
                generator.statement();
            }
            generator.counters.pop();
        });
        self.line("end");
        self.line(&format!("print(coroutine.close({thread}), coroutine.status({thread}))"));
    }

    fn yield_in_some_way(&mut self, counter: &str, sum: &str) -> String {
        let value = self.any(1);
        match self.random.below(10) {
            0 => format!("a, b = coroutine.yield({counter}, {value})"),
            1 => format!(
                "local ok, r = pcall(function() local x = coroutine.yield({counter}) if x == 5 then error('five') end return x end) {sum} = {sum} + (math.tointeger(r) or 1)"
            ),
            2 => format!(
                "local t = setmetatable({{}}, {{__index = function(_, k) return coroutine.yield(k) end}}) {sum} = {sum} + (math.tointeger(t[{counter}]) or 1)"
            ),
            3 => format!(
                "local t = setmetatable({{}}, {{__add = function(_, k) return (coroutine.yield(k)) end}}) a = t + {counter}"
            ),
            4 => format!(
                "local c <close> = setmetatable({{}}, {{__close = function() {sum} = {sum} + 1 coroutine.yield('closing') end}}) coroutine.yield({counter})"
            ),
            5 => format!(
                "for k in (function() local x = coroutine.yield({counter}) return math.type(x) == 'float' and x or nil end) do a = k break end"
            ),
            6 => "local ok, m = pcall(table.sort, {3, 1, 2}, function(x, y) coroutine.yield(x) return x < y end) b = m"
                .to_owned(),
            7 => format!(
                "local t = setmetatable({{}}, {{__lt = function() return coroutine.yield({counter}) == nil end}}) if t < t then {sum} = {sum} + 1 end"
            ),
            8 => format!("{sum} = {sum} + select('#', coroutine.yield({counter}, {value}))"),
            _ => format!(
                "b = coroutine.wrap(function(...) local x = coroutine.yield(...) return x, {counter} end)({value}) coroutine.yield({counter})"
            ),
        }
    }
}
