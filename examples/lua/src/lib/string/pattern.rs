//! Lua patterns: compiled once, matched over bytes. Pure: no state, no heap objects.
//!
//! A pattern is a straight line of items without alternation, so nearly everything about it is known before matching: which
//! capture a parenthesis opens or closes, whether a back reference is valid, which set a class stands for. [`Pattern::compile`]
//! turns all this into [`Item`]s. What must hold is that errors appear when PUC's matcher would run into them, not before:
//! `find("x", "y[a")` finds nothing, and only `find("y", "y[a")` is an error. A malformed rest is therefore an item of its own,
//! [`Item::Malformed`], which throws when the match gets there.
//!
//! Matching backtracks by recursion, at most [`DEPTH`] deep. A capture needs no undoing: every successful path passes through
//! all items, so it writes each of its captures itself.

use std::mem::MaybeUninit;

/// Most captures of a pattern (`LUA_MAXCAPTURES`).
pub const CAPTURES: usize = 32;
/// Nesting of the matcher after which a pattern is "too complex" (`MAXCCALLS`).
const DEPTH: u32 = 200;

/// Bytes that make a pattern more than the text it is.
const SPECIALS: &[u8] = b"^$*+?.([%-";

/// What is wrong with a pattern. The texts are PUC's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatternError {
    /// `%` stands at the end.
    EndsWithPercent,
    /// A set is not closed.
    MissingBracket,
    /// `%b` without its two bytes.
    MissingBalanceArguments,
    /// `%f` without a set.
    MissingFrontierSet,
    /// More than [`CAPTURES`].
    TooManyCaptures,
    /// `)` without `(`.
    InvalidCapture,
    /// `(` without `)`.
    UnfinishedCapture,
    /// `%n` where capture n doesn't exist or is still open.
    InvalidCaptureIndex(i32),
    /// More than [`DEPTH`] nested choices.
    TooComplex,
    /// More tries than [`Matcher::within`] allowed.
    OutOfSteps,
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PatternError::EndsWithPercent => f.write_str("malformed pattern (ends with '%')"),
            PatternError::MissingBracket => f.write_str("malformed pattern (missing ']')"),
            PatternError::MissingBalanceArguments => {
                f.write_str("malformed pattern (missing arguments to '%b')")
            }
            PatternError::MissingFrontierSet => f.write_str("missing '[' after '%f' in pattern"),
            PatternError::TooManyCaptures => f.write_str("too many captures"),
            PatternError::InvalidCapture => f.write_str("invalid pattern capture"),
            PatternError::UnfinishedCapture => f.write_str("unfinished capture"),
            PatternError::InvalidCaptureIndex(index) => write!(f, "invalid capture index %{index}"),
            PatternError::TooComplex => f.write_str("pattern too complex"),
            PatternError::OutOfSteps => f.write_str("too many tries to match a pattern"),
        }
    }
}

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Set([u64; 4]);

impl Set {
    const EMPTY: Set = Set([0; 4]);

    /// The bytes for which a C locale predicate holds.
    const fn of(predicate: character::Class) -> Set {
        let mut set = Set::EMPTY;
        let mut c = 0u32;
        while c < 256 {
            if character::holds(predicate, c as u8) {
                set.0[(c >> 6) as usize] |= 1 << (c & 63);
            }
            c += 1;
        }
        set
    }

    /// Whether the byte is in the set.
    #[inline(always)]
    pub fn has(&self, c: u8) -> bool {
        self.0[(c >> 6) as usize] >> (c & 63) & 1 != 0
    }

    fn add(&mut self, c: u8) {
        self.0[(c >> 6) as usize] |= 1 << (c & 63);
    }

    fn add_set(&mut self, other: Set) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    fn complement(self) -> Set {
        Set(self.0.map(|word| !word))
    }

    /// The set that `%c` stands for; a byte that is no letter of a class stands for itself.
    fn class(letter: u8) -> Set {
        use character::Class;
        const SETS: [(u8, Set); 11] = [
            (b'a', Set::of(Class::Alphabetic)),
            (b'c', Set::of(Class::Control)),
            (b'd', Set::of(Class::Digit)),
            (b'g', Set::of(Class::Graphic)),
            (b'l', Set::of(Class::Lower)),
            (b'p', Set::of(Class::Punctuation)),
            (b's', Set::of(Class::Space)),
            (b'u', Set::of(Class::Upper)),
            (b'w', Set::of(Class::Alphanumeric)),
            (b'x', Set::of(Class::Hexadecimal)),
            (b'z', Set::of(Class::Zero)),
        ];
        let lower = letter.to_ascii_lowercase();
        match SETS.iter().find(|(name, _)| *name == lower) {
            Some((_, set)) if letter.is_ascii_uppercase() => set.complement(),
            Some((_, set)) => *set,
            None => {
                let mut set = Set::EMPTY;
                set.add(letter);
                set
            }
        }
    }
}

/// The character classes of the C locale.
mod character {
    #[derive(Clone, Copy)]
    pub enum Class {
        Alphabetic,
        Control,
        Digit,
        Graphic,
        Lower,
        Punctuation,
        Space,
        Upper,
        Alphanumeric,
        Hexadecimal,
        Zero,
    }

    pub const fn holds(class: Class, c: u8) -> bool {
        match class {
            Class::Alphabetic => c.is_ascii_alphabetic(),
            Class::Control => c.is_ascii_control(),
            Class::Digit => c.is_ascii_digit(),
            Class::Graphic => c.is_ascii_graphic(),
            Class::Lower => c.is_ascii_lowercase(),
            Class::Punctuation => c.is_ascii_punctuation(),
            Class::Space => matches!(c, b' ' | 9..=13),
            Class::Upper => c.is_ascii_uppercase(),
            Class::Alphanumeric => c.is_ascii_alphanumeric(),
            Class::Hexadecimal => c.is_ascii_hexdigit(),
            Class::Zero => c == 0,
        }
    }
}

/// What one byte of the subject is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Any,
    Byte(u8),
    Set(Set),
}

impl Class {
    #[inline(always)]
    fn has(&self, c: u8) -> bool {
        match self {
            Class::Any => true,
            Class::Byte(b) => *b == c,
            Class::Set(set) => set.has(c),
        }
    }

    /// How many bytes at the start of `text` are in the class.
    #[inline]
    fn span(&self, text: &[u8]) -> usize {
        let end = match self {
            Class::Any => None,
            Class::Byte(b) => text.iter().position(|c| c != b),
            Class::Set(set) => text.iter().position(|c| !set.has(*c)),
        };
        end.unwrap_or(text.len())
    }
}

/// One step of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Item {
    /// One byte of the class.
    One(Class),
    /// `class?`
    Optional(Class),
    /// `class*` (from 0) and `class+` (from 1): as many as possible.
    Greedy(Class, usize),
    /// `class-`: as few as possible.
    Lazy(Class),
    /// `(`: the capture starts here.
    Open(u8),
    /// `)`: the capture ends here.
    Close(u8),
    /// `()`: the position is captured.
    Position(u8),
    /// `%bxy`
    Balance(u8, u8),
    /// `%f[set]`
    Frontier(Set),
    /// `%1`: what the capture matched.
    Back(u8),
    /// `$` at the end of the pattern.
    End,
    /// End of the pattern: it has matched.
    Matched,
    /// The rest can't be read.
    Malformed(PatternError),
}

/// Whether a leading `^` ties a match to the start (everywhere but in `gmatch`, where it stands for itself).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caret {
    /// It is an anchor.
    Anchor,
    /// It is a byte like others.
    Literal,
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    /// What was compiled.
    pub source: Box<[u8]>,
    items: Vec<Item>,
    /// Whether it matches at the start only.
    pub anchored: bool,
    /// Whether `find` may look for the pattern's text itself.
    pub is_plain: bool,
    /// How many captures there are.
    pub capture_count: u32,
    /// Set of the bytes that a match can start with, if the first item says so.
    first: Option<Class>,
}

impl Pattern {
    /// Reads a pattern. Never fails: see the module's comment.
    pub fn compile(source: &[u8], caret: Caret) -> Pattern {
        let anchored = caret == Caret::Anchor && source.first() == Some(&b'^');
        let mut reader =
            Reader { source, at: usize::from(anchored), items: Vec::new(), open: Vec::new(), captures: 0 };
        if let Err(error) = reader.read() {
            reader.items.push(Item::Malformed(error));
        }
        let (items, capture_count) = (reader.items, reader.captures);
        let first = match items.iter().find(|item| !matches!(item, Item::Open(_) | Item::Position(_))) {
            Some(Item::One(class) | Item::Greedy(class, 1)) if *class != Class::Any => Some(*class),
            Some(Item::Balance(b, _)) => Some(Class::Byte(*b)),
            _ => None,
        };
        let is_plain = !source.iter().any(|c| SPECIALS.contains(c));
        Pattern { source: source.into(), items, anchored, is_plain, capture_count, first }
    }
}

struct Reader<'a> {
    source: &'a [u8],
    at: usize,
    items: Vec<Item>,
    /// Captures that are not closed yet.
    open: Vec<u8>,
    captures: u32,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn read(&mut self) -> Result<(), PatternError> {
        while let Some(c) = self.peek(0) {
            match c {
                b'(' => {
                    if self.captures as usize >= CAPTURES {
                        return Err(PatternError::TooManyCaptures);
                    }
                    let index = self.captures as u8;
                    self.captures += 1;
                    if self.peek(1) == Some(b')') {
                        self.items.push(Item::Position(index));
                        self.at += 2;
                    } else {
                        self.items.push(Item::Open(index));
                        self.open.push(index);
                        self.at += 1;
                    }
                }
                b')' => {
                    let index = self.open.pop().ok_or(PatternError::InvalidCapture)?;
                    self.items.push(Item::Close(index));
                    self.at += 1;
                }
                b'$' if self.at + 1 == self.source.len() => {
                    self.items.push(Item::End);
                    self.at += 1;
                }
                b'%' if self.peek(1) == Some(b'b') => {
                    let (Some(begin), Some(end)) = (self.peek(2), self.peek(3)) else {
                        return Err(PatternError::MissingBalanceArguments);
                    };
                    self.items.push(Item::Balance(begin, end));
                    self.at += 4;
                }
                b'%' if self.peek(1) == Some(b'f') => {
                    self.at += 2;
                    if self.peek(0) != Some(b'[') {
                        return Err(PatternError::MissingFrontierSet);
                    }
                    let set = self.set()?;
                    self.items.push(Item::Frontier(set));
                }
                b'%' if self.peek(1).is_some_and(|d| d.is_ascii_digit()) => {
                    let index = i32::from(self.source[self.at + 1]) - i32::from(b'1');
                    if index < 0 || index as u32 >= self.captures || self.open.contains(&(index as u8)) {
                        return Err(PatternError::InvalidCaptureIndex(index + 1));
                    }
                    self.items.push(Item::Back(index as u8));
                    self.at += 2;
                }
                _ => self.single()?,
            }
        }
        // A capture that is still open is an error only for who asks for it.
        self.items.push(Item::Matched);
        Ok(())
    }

    /// A single-byte class and the quantifier behind it.
    fn single(&mut self) -> Result<(), PatternError> {
        let class = match self.source[self.at] {
            b'.' => {
                self.at += 1;
                Class::Any
            }
            b'%' => {
                let letter = self.peek(1).ok_or(PatternError::EndsWithPercent)?;
                self.at += 2;
                if letter.is_ascii_alphabetic() {
                    Class::Set(Set::class(letter))
                } else {
                    Class::Byte(letter)
                }
            }
            b'[' => Class::Set(self.set()?),
            c => {
                self.at += 1;
                Class::Byte(c)
            }
        };
        let item = match self.peek(0) {
            Some(b'?') => Item::Optional(class),
            Some(b'*') => Item::Greedy(class, 0),
            Some(b'+') => Item::Greedy(class, 1),
            Some(b'-') => Item::Lazy(class),
            _ => {
                self.items.push(Item::One(class));
                return Ok(());
            }
        };
        self.at += 1;
        self.items.push(item);
        Ok(())
    }

    /// `[…]`: the reader stands at the bracket, and behind the closing one afterwards.
    fn set(&mut self) -> Result<Set, PatternError> {
        let mut at = self.at + 1;
        let complement = self.source.get(at) == Some(&b'^');
        at += usize::from(complement);
        let start = at;
        // Find the end first: the first byte is never the closing bracket, an escaped one neither.
        loop {
            let c = *self.source.get(at).ok_or(PatternError::MissingBracket)?;
            at += 1;
            if c == b'%' && at < self.source.len() {
                at += 1;
            }
            if self.source.get(at) == Some(&b']') {
                break;
            }
        }
        let body = &self.source[start..at];
        self.at = at + 1;
        let mut set = Set::EMPTY;
        let mut i = 0;
        while i < body.len() {
            if body[i] == b'%' && i + 1 < body.len() {
                set.add_set(Set::class(body[i + 1]));
                i += 2;
            } else if i + 2 < body.len() && body[i + 1] == b'-' {
                for c in body[i]..=body[i + 2] {
                    set.add(c);
                }
                i += 3;
            } else {
                set.add(body[i]);
                i += 1;
            }
        }
        Ok(if complement { set.complement() } else { set })
    }
}

/// What a capture holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capture {
    /// A part of the subject.
    Text {
        /// Where it starts.
        start: usize,
        /// Where it ends.
        end: usize,
    },
    /// A one-based position.
    Position(usize),
    /// Nothing: it was never closed, [`PatternError::UnfinishedCapture`].
    Unfinished,
}

const NO_MATCH: usize = usize::MAX;
const FAILED: usize = usize::MAX - 1;
const IS_POSITION: u32 = u32::MAX;
const IS_OPEN: u32 = u32::MAX - 1;

/// A match in progress: one subject and one pattern, and the captures of the last success.
pub struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a Pattern,
    /// Start and end of each capture; the end may be `IS_POSITION` or `IS_OPEN`. Those of the pattern are written on the way to
    /// every success, and before anything refers to them.
    captures: [MaybeUninit<(u32, u32)>; CAPTURES],
    /// Whether there was a success.
    has_matched: bool,
    error: PatternError,
    /// Tries that may still be made.
    steps: u64,
}

/// Bytes that count as one try where a class is looked for in a row.
const BYTES_PER_STEP: u64 = 64;

impl<'a> Matcher<'a> {
    /// A matcher. The subject must be shorter than 4 GiB, as all strings are.
    #[inline]
    pub fn new(subject: &'a [u8], pattern: &'a Pattern) -> Matcher<'a> {
        debug_assert!(subject.len() < IS_OPEN as usize);
        Matcher {
            subject,
            pattern,
            captures: [const { MaybeUninit::uninit() }; CAPTURES],
            has_matched: false,
            error: PatternError::TooComplex,
            steps: u64::MAX,
        }
    }

    /// With so many tries at most, if there is a limit: a short pattern can take longer than the world has existed.
    #[inline]
    pub fn within(self, steps: Option<u64>) -> Matcher<'a> {
        Matcher { steps: steps.unwrap_or(u64::MAX), ..self }
    }

    /// Looks for the first match that starts at `from` or later (at `from` only, when the pattern is anchored): start and end.
    #[inline]
    pub fn find(&mut self, from: usize) -> Result<Option<(usize, usize)>, PatternError> {
        let mut start = from;
        loop {
            if let (Some(first), false) = (&self.pattern.first, self.pattern.anchored) {
                let rest = &self.subject[start..];
                let skip = match first {
                    Class::Byte(b) => memchr::memchr(*b, rest),
                    class => rest.iter().position(|c| class.has(*c)),
                };
                match skip {
                    Some(skip) => start += skip,
                    // The match is still tried at the end, where a malformed item may wait.
                    None => start = self.subject.len(),
                }
            }
            if let Some(end) = self.match_at(start)? {
                return Ok(Some((start, end)));
            }
            start += 1;
            if start > self.subject.len() || self.pattern.anchored {
                return Ok(None);
            }
        }
    }

    /// The end of the match that starts exactly at `start`.
    #[inline]
    pub fn match_at(&mut self, start: usize) -> Result<Option<usize>, PatternError> {
        match self.run(start, 0, DEPTH) {
            NO_MATCH => Ok(None),
            FAILED => Err(self.error),
            end => {
                self.has_matched = true;
                Ok(Some(end))
            }
        }
    }

    /// Capture `index` of the last match.
    #[inline]
    pub fn capture(&self, index: usize) -> Capture {
        assert!(self.has_matched && index < self.capture_count());
        let (start, end) = self.read(index);
        match end {
            IS_POSITION => Capture::Position(start as usize + 1),
            IS_OPEN => Capture::Unfinished,
            _ => Capture::Text { start: start as usize, end: end as usize },
        }
    }

    /// How many captures there are.
    #[inline]
    pub fn capture_count(&self) -> usize {
        self.pattern.capture_count as usize
    }

    /// What is searched.
    #[inline]
    pub fn subject(&self) -> &'a [u8] {
        self.subject
    }

    /// A capture of the pattern that was written before.
    #[inline]
    fn read(&self, index: usize) -> (u32, u32) {
        // SAFETY: asked for after a success, by the end of a capture, or by a back reference, which is only compiled behind its
        // capture. All come after the item that writes it.
        unsafe { self.captures[index].assume_init() }
    }

    fn fail(&mut self, error: PatternError) -> usize {
        self.error = error;
        FAILED
    }

    /// Matches the items from `item` on at `at`; the end of the match, `NO_MATCH` or `FAILED`.
    fn run(&mut self, mut at: usize, mut item: usize, mut depth: u32) -> usize {
        let (subject, items) = (self.subject, self.pattern.items.as_slice());
        if depth == 0 {
            return self.fail(PatternError::TooComplex);
        }
        if self.steps == 0 {
            return self.fail(PatternError::OutOfSteps);
        }
        self.steps -= 1;
        depth -= 1;
        loop {
            match &items[item] {
                Item::One(class) => {
                    if at >= subject.len() || !class.has(subject[at]) {
                        return NO_MATCH;
                    }
                    at += 1;
                }
                Item::Greedy(class, least) => return self.greedy(class, *least, at, item + 1, depth),
                Item::Lazy(class) => return self.lazy(class, at, item + 1, depth),
                Item::Optional(class) => {
                    if at < subject.len() && class.has(subject[at]) {
                        let end = self.run(at + 1, item + 1, depth);
                        if end != NO_MATCH {
                            return end;
                        }
                    }
                }
                Item::Open(index) | Item::Position(index) => {
                    let is_position = matches!(items[item], Item::Position(_));
                    let end = if is_position { IS_POSITION } else { IS_OPEN };
                    self.captures[*index as usize].write((at as u32, end));
                    if depth == 0 {
                        return self.fail(PatternError::TooComplex);
                    }
                    depth -= 1;
                }
                Item::Close(index) => {
                    let start = self.read(*index as usize).0;
                    self.captures[*index as usize].write((start, at as u32));
                    if depth == 0 {
                        return self.fail(PatternError::TooComplex);
                    }
                    depth -= 1;
                }
                Item::Balance(begin, end) => match balanced(subject, at, *begin, *end) {
                    Some(end) => at = end,
                    None => return NO_MATCH,
                },
                Item::Frontier(set) => {
                    let before = if at == 0 { 0 } else { subject[at - 1] };
                    let after = subject.get(at).copied().unwrap_or(0);
                    if set.has(before) || !set.has(after) {
                        return NO_MATCH;
                    }
                }
                Item::Back(index) => {
                    let (start, end) = self.read(*index as usize);
                    if end == IS_POSITION {
                        return NO_MATCH;
                    }
                    let text = &subject[start as usize..end as usize];
                    if !subject[at..].starts_with(text) {
                        return NO_MATCH;
                    }
                    at += text.len();
                }
                Item::End => {
                    if at != subject.len() {
                        return NO_MATCH;
                    }
                }
                Item::Matched => return at,
                Item::Malformed(error) => {
                    let error = *error;
                    return self.fail(error);
                }
            }
            item += 1;
        }
    }

    fn greedy(&mut self, class: &Class, least: usize, at: usize, next: usize, depth: u32) -> usize {
        let subject = self.subject;
        let mut count = class.span(&subject[at..]);
        self.steps = self.steps.saturating_sub(count as u64 / BYTES_PER_STEP);
        if count < least {
            return NO_MATCH;
        }
        // Where the rest starts with a given byte, the ends that another byte follows need no try.
        let follower = match &self.pattern.items[next] {
            Item::One(Class::Byte(b)) if depth > 0 => Some(*b),
            Item::Matched if depth > 0 => return at + count,
            _ => None,
        };
        loop {
            if follower.is_none() || subject.get(at + count).copied() == follower {
                let end = self.run(at + count, next, depth);
                if end != NO_MATCH {
                    return end;
                }
            }
            if count <= least {
                return NO_MATCH;
            }
            count -= 1;
        }
    }

    fn lazy(&mut self, class: &Class, mut at: usize, next: usize, depth: u32) -> usize {
        let subject = self.subject;
        let follower = match &self.pattern.items[next] {
            Item::One(Class::Byte(b)) if depth > 0 => Some(*b),
            _ => None,
        };
        loop {
            if follower.is_none() || subject.get(at).copied() == follower {
                let end = self.run(at, next, depth);
                if end != NO_MATCH {
                    return end;
                }
            }
            if at >= subject.len() || !class.has(subject[at]) {
                return NO_MATCH;
            }
            if self.steps == 0 {
                return self.fail(PatternError::OutOfSteps);
            }
            self.steps -= 1;
            at += 1;
        }
    }
}

/// The end of the balanced text that starts at `at`.
fn balanced(subject: &[u8], at: usize, begin: u8, end: u8) -> Option<usize> {
    if *subject.get(at)? != begin {
        return None;
    }
    let mut depth = 1;
    for (i, c) in subject.iter().enumerate().skip(at + 1) {
        if *c == end {
            depth -= 1;
            if depth == 0 {
                return Some(i + 1);
            }
        } else if *c == begin {
            depth += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(subject: &str, pattern: &str) -> Result<Option<(usize, usize)>, PatternError> {
        let pattern = Pattern::compile(pattern.as_bytes(), Caret::Anchor);
        Matcher::new(subject.as_bytes(), &pattern).find(0)
    }

    fn first_capture(subject: &str, pattern: &str) -> Option<Capture> {
        let pattern = Pattern::compile(pattern.as_bytes(), Caret::Anchor);
        let mut matcher = Matcher::new(subject.as_bytes(), &pattern);
        matcher.find(0).unwrap().map(|_| matcher.capture(0))
    }

    #[test]
    fn quantifiers() {
        assert_eq!(find("aaab", "a*b"), Ok(Some((0, 4))));
        assert_eq!(find("aaab", "a-b"), Ok(Some((0, 4))));
        assert_eq!(find("xaab", "a+"), Ok(Some((1, 3))));
        assert_eq!(find("xb", "a?b"), Ok(Some((1, 2))));
        assert_eq!(find("aab", "^a-"), Ok(Some((0, 0))));
        assert_eq!(find("aab", "b$"), Ok(Some((2, 3))));
        assert_eq!(find("aab", "a$"), Ok(None));
        assert_eq!(find("a$b", "$b"), Ok(Some((1, 3))));
    }

    #[test]
    fn classes_and_sets() {
        assert_eq!(find("  x1_", "%w+"), Ok(Some((2, 4))));
        assert_eq!(find("  x1_", "[%w_]+"), Ok(Some((2, 5))));
        assert_eq!(find("]-", "[]-]+"), Ok(Some((0, 2))));
        assert_eq!(find("ab^", "[^a]+"), Ok(Some((1, 3))));
        assert_eq!(find("5", "[0-9]"), Ok(Some((0, 1))));
        assert_eq!(find("-", "[a-]"), Ok(Some((0, 1))));
        assert_eq!(find("]", "[a%]]"), Ok(Some((0, 1))));
        assert_eq!(find("\0", "%z"), Ok(Some((0, 1))));
    }

    #[test]
    fn captures_balance_frontier() {
        assert_eq!(first_capture("key = value", "(%w+)%s*="), Some(Capture::Text { start: 0, end: 3 }));
        assert_eq!(first_capture("hello", "l()"), Some(Capture::Position(4)));
        assert_eq!(find("f(a(b)c)d", "%b()"), Ok(Some((1, 8))));
        assert_eq!(find("THE (quick) fox", "%f[%a]%a+%f[%A]"), Ok(Some((0, 3))));
        assert_eq!(find("say 'it'", "(['\"])it%1"), Ok(Some((4, 8))));
    }

    #[test]
    fn errors_appear_when_reached() {
        assert_eq!(find("x", "y[a"), Ok(None));
        assert_eq!(find("y", "y[a"), Err(PatternError::MissingBracket));
        assert_eq!(find("a", "a%"), Err(PatternError::EndsWithPercent));
        assert_eq!(find("a", "(a"), Ok(Some((0, 1))));
        assert_eq!(first_capture("a", "(a"), Some(Capture::Unfinished));
        assert_eq!(find("a", "a)."), Err(PatternError::InvalidCapture));
        assert_eq!(find("a", "%1"), Err(PatternError::InvalidCaptureIndex(1)));
        assert_eq!(find("a", "(%1)"), Err(PatternError::InvalidCaptureIndex(1)));
        assert_eq!(find("a", "%f"), Err(PatternError::MissingFrontierSet));
        assert_eq!(find("a", "%bx"), Err(PatternError::MissingBalanceArguments));
        let deep = "a?".repeat(200);
        assert_eq!(find(&"a".repeat(300), &deep), Err(PatternError::TooComplex));
        assert_eq!(find("a", &"(a".repeat(33)), Ok(None));
        assert_eq!(find(&"a".repeat(40), &"(a".repeat(33)), Err(PatternError::TooManyCaptures));
    }
}
