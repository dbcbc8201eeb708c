//! Profiles as filetests write them: one event a line.

use smallvec::SmallVec;
use surmise::ir::entity::{KindId, Pc, Register};
use surmise::ir::guard::GuardReason;
use surmise::ir::language::Language;
use surmise::log::Event;
use surmise::profile::UnitProfile;

/// Adds the event that a line says; `None` if it says none.
pub fn read_event(profile: &mut UnitProfile, line: &str, language: &Language) -> Option<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let pc = |word: &str| word.strip_prefix('@')?.parse().ok().map(Pc);
    let kind = |word: &str| language.kind(word);
    match words[..] {
        ["entered", count] => profile.entered = count.parse().ok()?,
        ["loop", header, count] => {
            profile.loops.insert(pc(header)?, count.parse().ok()?);
        }
        ["register", at, register, name] => {
            let register = Register(register.strip_prefix('r')?.parse().ok()?);
            profile.add(Event::RegisterKind(pc(at)?, register, kind(name)?));
        }
        ["operands", at, ref kinds @ ..] => {
            let kinds: Option<SmallVec<[KindId; 3]>> = kinds.iter().map(|name| kind(name)).collect();
            profile.add(Event::Operands(pc(at)?, kinds?));
        }
        ["result", at, name] => profile.add(Event::Result(pc(at)?, kind(name)?)),
        ["fact", at, variant, ..] => {
            let (_, list) = line.split_once('(')?;
            let words = list.trim_end_matches(')').split(',').map(str::trim).filter(|word| !word.is_empty());
            let words: Result<_, _> = words.map(str::parse).collect();
            profile.add(Event::Fact(pc(at)?, variant.parse().ok()?, words.ok()?));
        }
        ["jumped", at] => profile.add(Event::Branch(pc(at)?, true)),
        ["failed", at, reason] => {
            let reason = GuardReason::from_name(reason)?;
            for _ in 0..surmise::config::RETIREMENTS_PER_GUESS {
                profile.retire(pc(at)?, reason, 1);
            }
        }
        _ => return None,
    }
    Some(())
}
