//! What tests with random programs share: how many, and what a log of them would have shown.

use smallvec::SmallVec;
use surmise::ir::entity::{KindId, Pc, Register};
use surmise::ir::evaluate::{Boxed, Datum, boxing};
use surmise::ir::generate::{self, Code, Frame, Random, Trial};
use surmise::ir::language::Language;
use surmise::log::Event;
use surmise::profile::UnitProfile;

/// Which seeds a test tries: `RANDOM_SEEDS` many from `RANDOM_FIRST` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seeds {
    /// The first one.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Seeds {
    /// Those that the environment asks for; else so many from 0 on.
    ///
    /// # Panics
    /// If a variable holds no number.
    pub fn from_env(usual: u64) -> Seeds {
        let number = |name: &str, usual| match std::env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")),
            Err(_) => usual,
        };
        Seeds { first: number("RANDOM_FIRST", 0), count: number("RANDOM_SEEDS", usual) }
    }
    /// All of them.
    pub fn range(self) -> std::ops::Range<u64> {
        self.first..self.first + self.count
    }
}

/// What a log of a run would have shown, with some lies: guesses are only guesses.
pub fn profile(language: &Language, trial: &Trial, random: &mut Random) -> UnitProfile {
    let kinds: Vec<KindId> =
        ["int", "float", "bool", "cell"].iter().filter_map(|name| language.kind(name)).collect();
    let lies = random.one_in(3);
    let mut kind = |value: Boxed| match boxing::kind_of(language, value) {
        Some(kind) if !(lies && random.one_in(6)) => kind,
        _ => *random.pick(&kinds),
    };
    let mut profile = UnitProfile::default();
    profile.add(Event::Enter);
    for (index, &arg) in trial.args.iter().enumerate() {
        profile.add(Event::RegisterKind(Pc(0), Register(index as u16), kind(arg)));
    }
    let mut world = generate::world(language, &trial.args);
    world.log = Some(Vec::new());
    let mut frame = Frame::new(&trial.program, &trial.args);
    generate::interpret(&trial.program, language, &mut world, &mut frame, None, 1_000_000);
    let log = world.log.unwrap_or_default();
    let kept = if lies { log.len() / 2 } else { log.len() };
    for logged in &log[..kept] {
        let mut operands: SmallVec<[KindId; 3]> = logged.operands.iter().map(|&value| kind(value)).collect();
        // No log says that a value is of two kinds at once.
        if let [a, b] = logged.operands[..]
            && a == b
        {
            operands[1] = operands[0];
        }
        profile.add(Event::Operands(logged.pc, operands));
        if let Some(result) = logged.result.and_then(|result| result.boxed()) {
            profile.add(Event::Result(logged.pc, kind(result)));
        }
        if matches!(trial.program.code[logged.pc.0 as usize], Code::JumpIf(..)) {
            let jumped = logged.result == Some(Datum::I1(true));
            profile.add(Event::Branch(logged.pc, jumped));
        }
    }
    for header in trial.program.loop_headers() {
        profile.add(Event::Loop(header));
    }
    profile
}
