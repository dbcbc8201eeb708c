//! Integer and float edges, in loops that cross them.

use super::{Generator, Kind};

impl Generator {
    /// A loop whose numbers leave their range, their kind, or both.
    pub(super) fn number_work(&mut self) {
        let rounds = self.round_count().max(10);
        let (counter, n) = (self.fresh("i"), self.fresh("v"));
        let start = self.one_of(&[
            "math.maxinteger - 5",
            "math.mininteger + 5",
            "2^53 - 3",
            "9007199254740990",
            "1",
            "-1",
            "0.1",
            "1 << 60",
            "'10'",
            "-0.0",
        ]);
        let (q, r) = (self.fresh("v"), self.fresh("v"));
        self.line(&format!("local {n}, {q}, {r} = {start}, 0, 0"));
        for name in [&n, &q, &r] {
            self.bind(name, Kind::Int);
        }
        self.line(&format!("for {counter} = 1, {rounds} do"));
        self.in_rounds(rounds, |generator| {
            generator.bind_constant(&counter, Kind::Int);
            generator.counters.push(counter.clone());
            for _ in 0..2 + generator.random.below(3) {
                let small = generator.small();
                let line = match generator.random.below(16) {
                    0 => format!("{n} = {n} + {small}"),
                    1 => format!("{n} = {n} * {small}"),
                    2 => format!("{n} = {n} - {counter}"),
                    3 => format!("{q}, {r} = {n} // {small}, {n} % {small}"),
                    4 => format!("{q}, {r} = {n} // -{small}, {n} % -{small}"),
                    5 => format!("{q} = {n} // ({counter} - 7)"),
                    6 => format!("{q} = {counter} << ({counter} * 3 % 80 - 8)"),
                    7 => format!("{q} = {n} >> {counter}"),
                    8 => format!("if {n} < 2^53 then {q} = {q} + 1 elseif {n} <= 9007199254740993 then {r} = {r} + 1 end"),
                    9 => format!("if {} then {n} = {n} + 0.5 end", generator.phase()),
                    10 => format!("{n} = math.tointeger({n}) or {counter}"),
                    11 => format!("{q} = math.floor({n} / {small})"),
                    12 => format!("{r} = ({n} == {n} + 0.0) and {r} + 1 or {r} - 1"),
                    13 => format!("{r} = {r} ~ {n}"),
                    14 => format!("{q} = -{n} {n} = {q}"),
                    _ => format!("{r} = math.fmod({n}, {counter} % 5 + 1)"),
                };
                generator.line(&line);
            }
            if generator.rounds < 12 || generator.random.one_in(3) {
                let phase = generator.phase();
                generator.line(&format!("if {phase} and {counter} < 20 then print({n}, {q}, {r}) end"));
            }
            generator.statement();
            generator.counters.pop();
        });
        self.line("end");
    }
}
