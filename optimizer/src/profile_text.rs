//! Profiles as text, one event a line: what stories show, and what filetests are written in.
//!
//! ```text
//! entered 5
//! loop @1 40
//! register @0 r0 int times 5
//! operands @1 int float times 3
//! result @1 float times 3
//! fact @4 2 (17, 0) times 40
//! jumped @5 times 2
//! not_jumped @5 times 38
//! failed @4 shape times 2
//! broken shape 17 0
//! ```

use crate::log::Event;
use crate::profile::{Failures, UnitProfile};
use smallvec::SmallVec;
use std::fmt::{Display, Formatter, Result as FormatResult};
use surmise_ir::entity::{KindId, Pc, Register};
use surmise_ir::guard::GuardReason;
use surmise_ir::language::{Language, Recipe};

/// A profile that prints itself.
pub struct ProfileText<'a> {
    /// What to print.
    pub profile: &'a UnitProfile,
    /// The language that its kinds belong to.
    pub language: &'a Language,
}

impl Display for ProfileText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> FormatResult {
        let profile = self.profile;
        let name = |kind: KindId| self.language.kinds.get(kind).map_or("?", |kind| &kind.name);
        if profile.entered > 0 {
            writeln!(f, "entered {}", profile.entered)?;
        }
        for (header, rounds) in &profile.loops {
            writeln!(f, "loop {header} {rounds}")?;
        }
        for ((pc, register), kinds) in &profile.registers {
            for (kind, count) in kinds {
                writeln!(f, "register {pc} r{} {} times {count}", register.0, name(*kind))?;
            }
        }
        let mut sites: Vec<_> = profile.sites.iter().collect();
        sites.sort_by_key(|(pc, _)| **pc);
        for (pc, site) in sites {
            for (kinds, count) in &site.operands {
                let kinds: Vec<&str> = kinds.iter().map(|&kind| name(kind)).collect();
                writeln!(f, "operands {pc} {} times {count}", kinds.join(" "))?;
            }
            for (kind, count) in &site.results {
                writeln!(f, "result {pc} {} times {count}", name(*kind))?;
            }
            for ((variant, words), count) in &site.facts {
                let words: Vec<String> = words.iter().map(u32::to_string).collect();
                writeln!(f, "fact {pc} {variant} ({}) times {count}", words.join(", "))?;
            }
            for (what, count) in [("jumped", site.jumped), ("not_jumped", site.not_jumped)] {
                if count > 0 {
                    writeln!(f, "{what} {pc} times {count}")?;
                }
            }
        }
        for ((pc, reason), failures) in &profile.failed {
            writeln!(f, "failed {pc} {reason} times {}", failures.retirements)?;
        }
        for recipe in &profile.broken {
            let class = self.language.recipes.get(recipe.class as usize).map_or("?", |class| &class.name);
            writeln!(f, "broken {class} {} {}", recipe.words[0], recipe.words[1])?;
        }
        Ok(())
    }
}

/// Adds the event that a line says; `None` if it says none. Without `times`, it happened once (`failed`: so often that the guess
/// is no longer made).
pub fn read_event(profile: &mut UnitProfile, line: &str, language: &Language) -> Option<()> {
    let (line, times) = match line.rsplit_once(" times ") {
        Some((line, times)) => (line, Some(times.trim().parse::<u32>().ok()?)),
        None => (line, None),
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let pc = |word: &str| word.strip_prefix('@')?.parse().ok().map(Pc);
    let kind = |word: &str| language.kind(word);
    let event = match words[..] {
        ["entered", count] => {
            profile.entered = count.parse().ok()?;
            return Some(());
        }
        ["loop", header, count] => {
            profile.loops.insert(pc(header)?, count.parse().ok()?);
            return Some(());
        }
        ["failed", at, reason] => {
            let reason = GuardReason::from_name(reason)?;
            let retirements = times.unwrap_or(crate::config::RETIREMENTS_PER_GUESS);
            let failures = Failures { retirements, failures: u64::from(retirements) };
            profile.failed.insert((pc(at)?, reason), failures);
            return Some(());
        }
        ["broken", class, first, second] => {
            let words = [first.parse().ok()?, second.parse().ok()?];
            profile.break_assumption(Recipe { class: language.recipe_class(class)?, words });
            return Some(());
        }
        ["register", at, register, name] => {
            let register = Register(register.strip_prefix('r')?.parse().ok()?);
            Event::RegisterKind(pc(at)?, register, kind(name)?)
        }
        ["operands", at, ref kinds @ ..] => {
            let kinds: Option<SmallVec<[KindId; 3]>> = kinds.iter().map(|name| kind(name)).collect();
            Event::Operands(pc(at)?, kinds?)
        }
        ["result", at, name] => Event::Result(pc(at)?, kind(name)?),
        ["fact", at, variant, ..] => {
            let (_, list) = line.split_once('(')?;
            let words = list.trim_end_matches(')').split(',').map(str::trim).filter(|word| !word.is_empty());
            let words: Result<_, _> = words.map(str::parse).collect();
            Event::Fact(pc(at)?, variant.parse().ok()?, words.ok()?)
        }
        ["jumped", at] => Event::Branch(pc(at)?, true),
        ["not_jumped", at] => Event::Branch(pc(at)?, false),
        _ => return None,
    };
    for _ in 0..times.unwrap_or(1) {
        profile.add(event.clone());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let language = surmise_ir::generate::language();
        let text = "entered 5\nloop @1 40\nregister @0 r0 int times 5\noperands @1 int float times 3\nresult @1 float times 3\n\
                    fact @4 2 (17, 0) times 40\njumped @5 times 2\nnot_jumped @5 times 38\nfailed @4 shape times 2\n\
                    broken shape 17 0\n";
        let mut profile = UnitProfile::default();
        for line in text.lines() {
            read_event(&mut profile, line, &language).unwrap_or_else(|| panic!("{line}"));
        }
        assert_eq!(ProfileText { profile: &profile, language: &language }.to_string(), text);
        for wrong in [
            "entered",
            "loop 1 40",
            "register @0 x int",
            "fact @4",
            "failed @4 nonsense",
            "broken nonsense 1 0",
            "operands @1 nonsense",
        ] {
            assert_eq!(read_event(&mut profile, wrong, &language), None, "{wrong}");
        }
    }
}
