//! From a file to events. A recording is untrusted: what is read is checked before anybody works with it.

use super::codec::{ChunkError, MAGIC, VERSION, read_chunk, take_record};
use super::event::{Event, Header};
use crate::profile::Map;
use std::io::{self, Read};
use surmise_ir::language::Language;
use surmise_ir::verifier::{self, Stage};
use thiserror::Error;

/// Why a recording can't be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It begins otherwise.
    #[error("this is no recording of Surmise: it does not begin as one")]
    Magic,
    /// It has another version.
    #[error("the recording has version {found}; this Surmise reads version {VERSION}")]
    Version {
        /// Which.
        found: u32,
    },
    /// A chunk is damaged.
    #[error("chunk {chunk}, at byte {offset}: {error}")]
    Chunk {
        /// Its number, from 0.
        chunk: usize,
        /// Where it begins in the file.
        offset: u64,
        /// What is wrong.
        error: ChunkError,
    },
    /// A record is not what its kind says.
    #[error("chunk {chunk}, record {record} ({kind}): {reason}")]
    Record {
        /// Number of the chunk, from 0.
        chunk: usize,
        /// Number of the record in the chunk, from 0.
        record: usize,
        /// The record's kind.
        kind: String,
        /// What is wrong.
        reason: String,
    },
    /// The file can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Counts what was read of a source.
struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

/// The events of a file, one after the other. Keeps one chunk in memory.
pub struct Reader<R> {
    source: Counted<R>,
    header: Header,
    content: Vec<u8>,
    at: usize,
    /// The chunk and the record that come next.
    chunk: usize,
    record: usize,
    is_torn: bool,
    skipped: Map<String, u64>,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If it is no recording, or one of another version, or damaged.
    pub fn new(source: R) -> Result<Reader<R>, ReadError> {
        let mut source = Counted { inner: source, read: 0 };
        let mut start = Vec::new();
        Read::by_ref(&mut source).take(12).read_to_end(&mut start)?;
        let (magic, version) = start.split_at_checked(MAGIC.len()).ok_or(ReadError::Magic)?;
        let version = <[u8; 4]>::try_from(version).map_err(|_| ReadError::Magic)?;
        if magic != MAGIC {
            return Err(ReadError::Magic);
        }
        let found = u32::from_le_bytes(version);
        if found != VERSION {
            return Err(ReadError::Version { found });
        }
        let header = Header {
            kinds: vec!["header".to_owned()],
            surmise: String::new(),
            pipeline: Vec::new(),
            target: None,
            settings: Vec::new(),
            language: Language::new("", surmise_ir::language::Encoding::Pair),
        };
        let skipped = Map::default();
        let mut reader = Reader {
            source,
            header,
            content: Vec::new(),
            at: 0,
            chunk: 0,
            record: 0,
            is_torn: false,
            skipped,
        };
        match reader.next_event()? {
            Some(Event::Header(header)) => {
                reader.header = *header;
                let violations = verifier::verify_language(&reader.header.language);
                match violations.first() {
                    Some(violation) => Err(reader.wrong("header", format!("language: {violation}"))),
                    None => Ok(reader),
                }
            }
            _ if reader.is_torn => Err(ReadError::Chunk { chunk: 0, offset: 12, error: ChunkError::Torn }),
            _ => Err(reader.wrong("?", "a recording begins with a header".to_owned())),
        }
    }
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// Whether the file ended within a chunk: the process died while it wrote.
    pub fn is_torn(&self) -> bool {
        self.is_torn
    }
    /// Kinds of records that are unknown here and were skipped, and how many.
    pub fn skipped(&self) -> &Map<String, u64> {
        &self.skipped
    }
    /// Bytes of the file that were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.source.read
    }
    /// The event that was read last is wrong for this reason.
    pub fn wrong(&self, kind: &str, reason: String) -> ReadError {
        ReadError::Record {
            chunk: self.chunk.saturating_sub(1),
            record: self.record.saturating_sub(1),
            kind: kind.to_owned(),
            reason,
        }
    }

    /// The next event; `None` at the end of what can be read.
    ///
    /// # Errors
    /// If the file is damaged, or says what can't be.
    pub fn next_event(&mut self) -> Result<Option<Event>, ReadError> {
        loop {
            while self.at == self.content.len() {
                let offset = self.source.read;
                match read_chunk(&mut self.source) {
                    Ok(None) => return Ok(None),
                    Ok(Some(content)) => {
                        self.content = content;
                        (self.at, self.record) = (0, 0);
                        self.chunk += 1;
                    }
                    Err(ChunkError::Torn) => {
                        self.is_torn = true;
                        return Ok(None);
                    }
                    Err(error) => return Err(ReadError::Chunk { chunk: self.chunk, offset, error }),
                }
            }
            let mut rest = &self.content[self.at..];
            let taken = take_record(&mut rest);
            self.record += 1;
            let (number, bytes) = taken.map_err(|error| self.wrong("?", error.to_string()))?;
            self.at = self.content.len() - rest.len();
            let Some(kind) = self.header.kinds.get(usize::from(number)) else {
                return Err(self.wrong("?", format!("kind {number} has no name in the header")));
            };
            match Event::decode(kind, bytes) {
                Some(Ok(event)) => {
                    self.check(kind, &event)?;
                    return Ok(Some(event));
                }
                Some(Err(error)) => return Err(self.wrong(kind, error.to_string())),
                None if kind.starts_with('~') => *self.skipped.entry(kind.clone()).or_default() += 1,
                None => return Err(self.wrong(kind, "this Surmise knows no such kind of record".to_owned())),
            }
        }
    }

    /// What the rest of Surmise takes for granted.
    fn check(&self, kind: &str, event: &Event) -> Result<(), ReadError> {
        let language = &self.header.language;
        match event {
            Event::Lifted(lifted) => {
                let Ok(function) = &lifted.function else { return Ok(()) };
                if function.entry != lifted.entry {
                    return Err(self.wrong(kind, "the function is entered otherwise".to_owned()));
                }
                match verifier::verify(function, language, Stage::Generic, None).first() {
                    Some(violation) => Err(self.wrong(kind, format!("function: {violation}"))),
                    None => Ok(()),
                }
            }
            Event::Arguments(arguments) => {
                let mut kinds = arguments.values.iter().map(|(_, argument)| argument.kind);
                match kinds.find(|&kind| !language.kinds.is_valid(kind)) {
                    Some(wrong) => {
                        Err(self.wrong(kind, format!("{wrong}, of {} kinds", language.kinds.len())))
                    }
                    None => Ok(()),
                }
            }
            Event::Log(columns) => {
                let kinds = language.kinds.len() as u32;
                // A batch that can't be read changes nothing; that is counted where it is replayed.
                let events =
                    columns.records().and_then(|records| crate::log::read(&records)).unwrap_or_default();
                match events.iter().find_map(|(_, event)| event.kinds().find(|kind| kind.as_u32() >= kinds)) {
                    Some(wrong) => Err(self.wrong(kind, format!("{wrong}, of {kinds} kinds"))),
                    None => Ok(()),
                }
            }
            Event::Learnt(learnt) => {
                let kinds = language.kinds.len() as u32;
                match learnt.profile.kinds().find(|kind| kind.as_u32() >= kinds) {
                    Some(wrong) => Err(self.wrong(kind, format!("{wrong}, of {kinds} kinds"))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
