//! The names and strings of one chunk, each stored once and known by a number from then on.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// A name or a string of the chunk. The lowest numbers are the reserved words, in the order of [`super::token::RESERVED`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Symbol(pub u32);

/// All symbols of a chunk: an open-addressed table over one buffer of bytes.
pub struct Symbols {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// Symbol number plus one, zero where free. The length is a power of two, at most half of it in use.
    table: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
    hash: u32,
}

const INITIAL_CAPACITY: usize = 512;

impl Symbols {
    /// An empty table.
    pub fn new() -> Symbols {
        Symbols { bytes: Vec::new(), spans: Vec::new(), table: vec![0; INITIAL_CAPACITY] }
    }

    /// The symbol of `text`, if there is one, or else its place in the table.
    fn find(&self, text: &[u8], hash: u32) -> Result<Symbol, usize> {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(number) = self.table[at].checked_sub(1) {
            let span = self.spans[number as usize];
            if span.hash == hash && self.text(span) == text {
                return Ok(Symbol(number));
            }
            at = (at + 1) & mask;
        }
        Err(at)
    }

    /// Whether `text` is a symbol.
    pub fn contains(&self, text: &[u8]) -> bool {
        self.find(text, hash(text)).is_ok()
    }

    /// The symbol of `text`, made if it is new.
    pub fn intern(&mut self, text: &[u8]) -> Symbol {
        let hash = hash(text);
        let at = match self.find(text, hash) {
            Ok(symbol) => return symbol,
            Err(at) => at,
        };
        let number = self.spans.len() as u32;
        self.spans.push(Span { start: self.bytes.len() as u32, length: text.len() as u32, hash });
        self.bytes.extend_from_slice(text);
        self.table[at] = number + 1;
        if self.spans.len() * 2 > self.table.len() {
            self.grow();
        }
        Symbol(number)
    }

    /// The bytes of a symbol.
    pub fn bytes(&self, symbol: Symbol) -> &[u8] {
        self.text(self.spans[symbol.0 as usize])
    }

    /// The text of a symbol that is a name, thus ASCII; anything else is shown as well as it can be.
    pub fn name(&self, symbol: Symbol) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(symbol))
    }

    fn text(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..][..span.length as usize]
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        let mut table = vec![0; mask + 1];
        for (number, span) in self.spans.iter().enumerate() {
            let mut at = span.hash as usize & mask;
            while table[at] != 0 {
                at = (at + 1) & mask;
            }
            table[at] = number as u32 + 1;
        }
        self.table = table;
    }
}

impl Default for Symbols {
    fn default() -> Self {
        Symbols::new()
    }
}

fn hash(text: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}
