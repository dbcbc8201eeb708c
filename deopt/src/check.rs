//! Whether a candidate image is well formed: an image may come from a file. The rest of the crate indexes its tables freely.

use crate::candidate::CandidateImage;
use crate::stubs::is_saved_register;
use crate::table::{Boxing, Located, Place, RootKind};
use surmise_ir::entity::KindId;
use surmise_ir::language::{Encoding, Language};
use surmise_ir::types::Type;
use thiserror::Error;

/// What is wrong with an image.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("candidate '{candidate}' is malformed: {what} {index}: {problem}")]
pub struct ImageError {
    /// The candidate's name.
    pub candidate: String,
    /// Which table or field.
    pub what: &'static str,
    /// Which entry of it.
    pub index: usize,
    /// What is wrong.
    pub problem: String,
}

/// How deep frames can be inlined: far above any planner's limit, low enough to stop a state that names itself as its parent.
const MAXIMUM_FRAMES: usize = 256;

struct Checker<'a> {
    image: &'a CandidateImage,
    language: &'a Language,
}

/// Checks everything that the runtime relies on and that the image itself can tell.
pub fn check_image(image: &CandidateImage, language: &Language) -> Result<(), ImageError> {
    let checker = Checker { image, language };
    checker.header()?;
    checker.points()?;
    for (index, point) in image.deopt.points.iter().enumerate() {
        checker.state(index, point.state() as usize)?;
    }
    checker.calls()
}

impl Checker<'_> {
    fn error(&self, what: &'static str, index: usize, problem: impl Into<String>) -> ImageError {
        ImageError { candidate: self.image.name.clone(), what, index, problem: problem.into() }
    }

    fn header(&self) -> Result<(), ImageError> {
        let (image, length) = (self.image, self.image.code.len());
        let number = image.number_offset as usize;
        if length > u32::MAX as usize
            || !number.is_multiple_of(8)
            || number.checked_add(8).is_none_or(|end| end > length)
        {
            return Err(self.error(
                "number offset",
                number,
                format!("no aligned word in {length} bytes of code"),
            ));
        }
        for (what, home) in [
            ("window home", Some(image.window_home)),
            ("argument count home", image.argument_count_home),
            ("mark home", image.mark_home),
        ] {
            if let Some(home) = home
                && !self.in_frame(home, 1)
            {
                return Err(self.error(what, 0, format!("word {home} is outside of the frame")));
            }
        }
        for (index, assumption) in image.assumptions.iter().enumerate() {
            let class = self.language.recipes.get(assumption.class as usize);
            if class.is_none_or(|class| class.ty != Type::Raw) {
                let problem = format!("no recipe class {} of type raw", assumption.class);
                return Err(self.error("assumption", index, problem));
            }
        }
        for (index, slot) in image.slots.iter().enumerate() {
            let class = self.language.recipes.get(slot.class as usize);
            if class.is_none_or(|class| !matches!(class.ty, Type::Raw | Type::Ref | Type::Any)) {
                return Err(self.error("slot", index, format!("no recipe class {} for slots", slot.class)));
            }
        }
        for (index, &(_, kind)) in image.expects.iter().enumerate() {
            if !self.language.kinds.is_valid(kind) {
                return Err(self.error("expected kind", index, format!("{kind} is not in the language")));
            }
        }
        Ok(())
    }

    /// Whether words from `offset` on lie below the frame pointer and inside the frame.
    fn in_frame(&self, offset: i16, words: i64) -> bool {
        offset as i64 + words <= 0 && offset as i64 * -8 <= self.image.frame_size as i64
    }

    fn points(&self) -> Result<(), ImageError> {
        let table = &self.image.deopt;
        let mut last = 0;
        for (index, point) in table.points.iter().enumerate() {
            let return_offset = point.return_offset();
            if return_offset <= last || return_offset as usize > self.image.code.len() {
                return Err(self.error(
                    "deopt point",
                    index,
                    "its return offset is out of order or outside of the code",
                ));
            }
            if usize::from(point.exit()) >= table.exits.len() {
                return Err(self.error("deopt point", index, format!("no exit {}", point.exit())));
            }
            last = return_offset;
        }
        Ok(())
    }

    fn state(&self, point: usize, mut at: usize) -> Result<(), ImageError> {
        let table = &self.image.deopt;
        let mut number = table.exits[usize::from(table.points[point].exit())].header;
        for _ in 0..MAXIMUM_FRAMES {
            let header = table.headers.get(number as usize);
            let header = header.ok_or_else(|| {
                self.error("deopt point", point, format!("there is no frame header {number}"))
            })?;
            let size = if self.language.encoding == Encoding::Pair { 2 } else { 1 };
            let values = [header.register_entries as usize, header.result_entries as usize];
            let results = at + header.register_entries as usize;
            let is_pair =
                |at: usize| table.states.get(at).is_some_and(|&word| Located(word).boxing() == Boxing::Pair);
            let one_value = if is_pair(results) { 1 } else { size };
            if header.call_results && header.result_entries as usize != one_value {
                return Err(self.error(
                    "deopt point",
                    point,
                    "a guest call's results are not one boxed value",
                ));
            }
            for count in values {
                self.values(point, at, count)?;
                at += count;
            }
            if header.open.is_some() {
                let entry = self.entry(point, at)?;
                if entry.boxing() != Boxing::Whole {
                    return Err(self.error("deopt point", point, "the length of an open run is boxed"));
                }
                at += 1;
            }
            if header.has_callee {
                let entry = self.entry(point, at)?;
                let count = if entry.boxing() == Boxing::Whole { size } else { 1 };
                self.values(point, at, count)?;
                at += count;
            }
            if !header.has_parent {
                return Ok(());
            }
            let parent = table.states.get(at);
            number = *parent.ok_or_else(|| self.error("deopt point", point, "its state ends too early"))?;
            at += 1;
        }
        Err(self.error("deopt point", point, format!("more than {MAXIMUM_FRAMES} frames")))
    }

    fn entry(&self, point: usize, at: usize) -> Result<Located, ImageError> {
        let word = self.image.deopt.states.get(at);
        let entry =
            Located(*word.ok_or_else(|| self.error("deopt point", point, "its state ends too early"))?);
        let is_pair = entry.boxing() == Boxing::Pair;
        let problem = match entry.place() {
            _ if is_pair && self.language.encoding == Encoding::Word => {
                "there are no pairs in word encoding".to_owned()
            }
            Place::Register(_) | Place::Constant(_) if is_pair => {
                "a pair's words are in the frame or in the results".to_owned()
            }
            Place::Frame(offset) if !self.in_frame(offset, if is_pair { 2 } else { 1 }) => {
                format!("word {offset} is outside of the frame")
            }
            Place::Register(number) if !is_saved_register(number) => format!("register {number} is not kept"),
            Place::Constant(index) if index as usize >= self.image.deopt.constants.len() => {
                format!("no constant {index}")
            }
            Place::Result(number) if number > if is_pair { 0 } else { 1 } => {
                format!("no result word {number}")
            }
            _ => match entry.boxing() {
                Boxing::Kind(kind) if !self.language.kinds.is_valid(KindId::from_u32(kind as u32)) => {
                    format!("no kind {kind}")
                }
                _ => return Ok(entry),
            },
        };
        Err(self.error("deopt point", point, problem))
    }

    /// A run of entries that are boxed values: whole pairs come in twos.
    fn values(&self, point: usize, start: usize, count: usize) -> Result<(), ImageError> {
        let mut at = start;
        while at < start + count {
            let first = self.entry(point, at)?;
            at += 1;
            if first.boxing() == Boxing::Whole && self.language.encoding == Encoding::Pair {
                let second = (at < start + count).then(|| self.entry(point, at)).transpose()?;
                if second.is_none_or(|s| s.boxing() != Boxing::Whole || s.register() != first.register()) {
                    return Err(self.error(
                        "deopt point",
                        point,
                        format!("the pair of {} has one half", first.register()),
                    ));
                }
                at += 1;
            }
        }
        Ok(())
    }

    /// A landing pad as a return address says which call it belongs to: so it is no other call's, and no other return address.
    fn landing_pads(&self) -> Result<(), ImageError> {
        let calls = &self.image.calls;
        let mut pads: Vec<(u32, usize)> = (calls.sites.iter().enumerate())
            .filter_map(|(index, site)| Some((site.landing_pad?, index)))
            .collect();
        pads.sort_unstable();
        if let Some(pair) = pads.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(self.error("call site", pair[1].1, "its landing pad is another call's too"));
        }
        for (pad, index) in pads {
            let is_call = calls.sites.binary_search_by_key(&pad, |site| site.return_offset).is_ok();
            let is_point =
                self.image.deopt.points.binary_search_by_key(&pad, |point| point.return_offset()).is_ok();
            if pad == 0 || is_call || is_point {
                return Err(self.error(
                    "call site",
                    index,
                    "its landing pad is the entry or a return address",
                ));
            }
        }
        Ok(())
    }

    fn calls(&self) -> Result<(), ImageError> {
        let calls = &self.image.calls;
        let length = self.image.code.len();
        let mut last = 0;
        for (index, site) in calls.sites.iter().enumerate() {
            if site.return_offset <= last || site.return_offset as usize > length {
                return Err(self.error(
                    "call site",
                    index,
                    "its return offset is out of order or outside of the code",
                ));
            }
            last = site.return_offset;
            if self.image.deopt.points.binary_search_by_key(&last, |point| point.return_offset()).is_ok() {
                return Err(self.error("call site", index, "its return offset is a deopt point's too"));
            }
            if site.landing_pad.is_some_and(|pad| pad as usize >= length) {
                return Err(self.error("call site", index, "its landing pad is outside of the code"));
            }
            if site.roots.0 > site.roots.1 || site.roots.1 as usize > calls.roots.len() {
                return Err(self.error("call site", index, "its roots are outside of the table"));
            }
        }
        self.landing_pads()?;
        for (index, root) in calls.roots.iter().enumerate() {
            let words = match (root.kind, self.language.encoding) {
                (RootKind::Any, Encoding::Pair) => 2,
                _ => 1,
            };
            if !self.in_frame(root.offset, words) {
                return Err(self.error(
                    "root",
                    index,
                    format!("word {} is outside of the frame", root.offset),
                ));
            }
        }
        Ok(())
    }
}
