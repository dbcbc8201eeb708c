//! Preload files as bytes: written, read, sealed, and compared with the process that is to load them.
//!
//! ```text
//! file    "SPESH\0\0\0"  version u32  chunk*  seal[32]          chunks and records: `record::codec`
//! seal    BLAKE3 of all that is in front of it; keyed, if the file was signed with a key
//! ```
//!
//! The first record is the header, the others are candidates.

use crate::config::Config;
use crate::lower::Target;
use crate::record::codec::{self, ChunkError};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use surmise_deopt::candidate::Image;
use surmise_deopt::check::{ImageError, check_image};
use surmise_ir::entity::UnitId;
use surmise_ir::function::Entry;
use surmise_ir::language::{Language, Recipe};
use surmise_ir::verifier::{self, Stage};
use thiserror::Error;

const MAGIC: [u8; 8] = *b"SPESH\0\0\0";
/// The version of the form. Files of other versions are refused.
pub const VERSION: u32 = 1;
const SEAL: usize = 32;
const HEADER: u8 = 0;
const CANDIDATE: u8 = 1;
/// The settings that code depends on.
const SETTINGS_OF_CODE: &[&str] =
    &["SURMISE_BACKEND", "SURMISE_PASSES", "SURMISE_FUEL", "SURMISE_DEOPT_EVERY", "SURMISE_REDIRECTION"];

/// What all candidates of a file have in common.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The version of Surmise that made the code.
    pub surmise: String,
    /// Its build: the hash of its sources.
    pub build: String,
    /// Name and hash of the host's language.
    pub language: (String, [u8; 32]),
    /// Features of machines that code was made for; none for the portable backend.
    pub target: Option<Vec<String>>,
    /// The settings that the code depends on, where they are not as by default.
    pub settings: Vec<(String, String)>,
    /// The seal was made with a key.
    pub keyed: bool,
    /// The candidates' units and entries.
    pub candidates: Vec<(UnitId, Entry)>,
}

impl Header {
    /// What code made for these settings, or for a process that has them, says of itself.
    pub fn new(language: &Language, config: &Config, target: Option<&Target>) -> Header {
        let mut settings = config.variables();
        settings.retain(|(name, _)| SETTINGS_OF_CODE.contains(&name.as_str()));
        Header {
            surmise: env!("CARGO_PKG_VERSION").to_owned(),
            build: super::BUILD.to_owned(),
            language: (language.name.clone(), *blake3::hash(&codec::encode(language)).as_bytes()),
            target: target.map(Target::features),
            settings,
            keyed: false,
            candidates: Vec::new(),
        }
    }
    /// Whether code of a file with this header can run in a process that would write `here`.
    fn check(&self, here: &Header) -> Result<(), Refused> {
        if self.surmise != here.surmise {
            return Err(Refused::Version { found: self.surmise.clone(), here: here.surmise.clone() });
        }
        if self.build != here.build {
            return Err(Refused::Build { found: self.build.clone(), here: here.build.clone() });
        }
        if self.language != here.language {
            return Err(Refused::Language { found: self.language.0.clone(), here: here.language.0.clone() });
        }
        match (&self.target, &here.target) {
            (None, None) => {}
            (Some(needed), Some(present)) => {
                let missing: Vec<&str> =
                    needed.iter().filter(|feature| !present.contains(feature)).map(String::as_str).collect();
                if !missing.is_empty() {
                    return Err(Refused::Target { missing: missing.join(", ") });
                }
            }
            (needed, _) => {
                let backend = |native| if native { "native" } else { "portable" };
                let (found, here) = (backend(needed.is_some()), backend(needed.is_none()));
                return Err(Refused::Backend { found, here });
            }
        }
        if self.settings != here.settings {
            let text = |settings: &[(String, String)]| match settings {
                [] => "the default settings".to_owned(),
                _ => settings
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join(" "),
            };
            return Err(Refused::Settings { found: text(&self.settings), here: text(&here.settings) });
        }
        Ok(())
    }
}

/// A candidate as it stands in a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PreloadedCandidate {
    /// Its unit.
    pub unit: UnitId,
    /// The unit's name, without folders.
    pub name: String,
    /// How it is entered.
    pub entry: Entry,
    /// Hash of the generic IR that it was made from, but for its name and its recipes' words.
    pub lifted: [u8; 32],
    /// What the slots of that IR held, by number.
    pub lifted_slots: Vec<Recipe>,
    /// Code and tables.
    pub image: Image,
}

/// Why a file is not used. The process runs on without it.
#[derive(Debug, Error)]
pub enum Refused {
    /// It begins otherwise.
    #[error("this is no preload file of Surmise: it does not begin as one")]
    Magic,
    /// It has another form.
    #[error("the file's form has version {found}; this Surmise reads version {VERSION}")]
    Form {
        /// Which.
        found: u32,
    },
    /// Its seal is not that of its bytes, or not one of the key.
    #[error("seal: {0}")]
    Seal(&'static str),
    /// A chunk is damaged.
    #[error("chunk {chunk}, at byte {offset}: {error}")]
    Chunk {
        /// Its number, from 0.
        chunk: usize,
        /// Where it begins in the file.
        offset: usize,
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
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Another version of Surmise made it.
    #[error("version: made by Surmise {found}, this is {here}")]
    Version {
        /// The file's.
        found: String,
        /// This one.
        here: String,
    },
    /// Another build of Surmise made it.
    #[error("build: made by build {found} of Surmise, this is {here}")]
    Build {
        /// The file's.
        found: String,
        /// This one.
        here: String,
    },
    /// It is for another language, or another state of it.
    #[error("language: made for {found}, in another form than this host's {here}")]
    Language {
        /// The file's.
        found: String,
        /// The host's.
        here: String,
    },
    /// This machine can't run its code.
    #[error("target: its code needs {missing}, which this machine doesn't have")]
    Target {
        /// The features.
        missing: String,
    },
    /// It is for the other backend.
    #[error("backend: made for the {found} backend, this is the {here} one")]
    Backend {
        /// The file's.
        found: &'static str,
        /// The process's.
        here: &'static str,
    },
    /// Its code was made under other settings.
    #[error("settings: made under {found}, this process has {here}")]
    Settings {
        /// The file's.
        found: String,
        /// The process's.
        here: String,
    },
}

/// Why there is no preload file.
#[derive(Debug, Error)]
pub enum PreloadError {
    /// It can't be read: a setting is wrong.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not used.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// What files are signed with.
#[derive(Clone)]
pub struct Key([u8; 32]);

/// A secret is at least so many bytes long.
const SHORTEST_SECRET: usize = 16;

impl Key {
    /// The key of a secret: at least 16 bytes.
    ///
    /// # Errors
    /// If it is shorter.
    pub fn new(secret: &[u8]) -> Result<Key, String> {
        if secret.len() < SHORTEST_SECRET {
            return Err(format!("{} bytes are no key: at least {SHORTEST_SECRET}", secret.len()));
        }
        Ok(Key(blake3::derive_key("Surmise 2026-11 seal of preload files", secret)))
    }
    /// The key in a file.
    ///
    /// # Errors
    /// If it can't be read, or is too short.
    pub fn read(path: &Path) -> std::io::Result<Key> {
        Key::new(&std::fs::read(path)?)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

fn seal(bytes: &[u8], key: Option<&Key>) -> blake3::Hash {
    match key {
        Some(Key(key)) => blake3::keyed_hash(key, bytes),
        None => blake3::hash(bytes),
    }
}

/// The bytes of a file.
pub fn write(mut header: Header, candidates: &[PreloadedCandidate], key: Option<&Key>) -> Vec<u8> {
    header.keyed = key.is_some();
    header.candidates = candidates.iter().map(|candidate| (candidate.unit, candidate.entry)).collect();
    let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
    let mut raw = Vec::new();
    let records = std::iter::once((HEADER, codec::encode(&header)));
    let records = records.chain(candidates.iter().map(|candidate| (CANDIDATE, codec::encode(candidate))));
    for (kind, record) in records {
        if raw.len() + record.len() > codec::CHUNK_TARGET && !raw.is_empty() {
            bytes.extend(codec::chunk(&raw));
            raw.clear();
        }
        codec::put_record(&mut raw, kind, &record);
    }
    bytes.extend(codec::chunk(&raw));
    let seal = seal(&bytes, key);
    bytes.extend(seal.as_bytes());
    bytes
}

/// A file whose header fits this process. Its candidates are decoded when they are asked for.
pub struct PreloadFile {
    /// The chunks.
    bytes: Vec<u8>,
    header: Header,
}

impl PreloadFile {
    /// Reads a file, and compares it with the process: `here` is the header that it would write itself.
    ///
    /// # Errors
    /// If it can't be read, or is refused.
    pub fn open(path: &Path, key: Option<&Key>, here: &Header) -> Result<PreloadFile, PreloadError> {
        let file = PreloadFile::read(std::fs::read(path)?, key)?;
        file.header.check(here)?;
        Ok(file)
    }
    /// A file's bytes, compared with nothing but its seal.
    ///
    /// # Errors
    /// If it is damaged, or not sealed with the key.
    pub fn read(mut bytes: Vec<u8>, key: Option<&Key>) -> Result<PreloadFile, Refused> {
        let start = MAGIC.len() + 4;
        if bytes.len() < start || bytes[..MAGIC.len()] != MAGIC {
            return Err(Refused::Magic);
        }
        let found = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if found != VERSION {
            return Err(Refused::Form { found });
        }
        let Some(end) = bytes.len().checked_sub(SEAL).filter(|&end| end >= start) else {
            return Err(Refused::Seal("the file ends before it"));
        };
        let found = blake3::Hash::from_bytes(bytes[end..].try_into().expect("so many bytes are left"));
        let fits = seal(&bytes[..end], key) == found;
        if key.is_some() && !fits {
            return Err(Refused::Seal("it was not made with the key of SURMISE_PRELOAD_KEY"));
        }
        bytes.truncate(end);
        let mut file = PreloadFile { bytes, header: unread_header() };
        let header = file.records().next().unwrap_or(Err(Refused::Chunk {
            chunk: 0,
            offset: start,
            error: ChunkError::Torn,
        }))?;
        file.header = match header.content {
            Content::Header(header) => *header,
            Content::Candidate(_) => {
                return Err(header.place.wrong("candidate", "the file begins with a header"));
            }
        };
        // Without the key, a file that was sealed with one is as good as its chunks' checksums.
        if !fits && !file.header.keyed {
            return Err(Refused::Seal("the file's bytes have another one"));
        }
        Ok(file)
    }
    /// What all candidates have in common.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// The candidates, one after the other, up to the first that is damaged.
    pub fn candidates<'a>(
        &'a self,
        language: &'a Language,
    ) -> impl Iterator<Item = Result<PreloadedCandidate, Refused>> + 'a {
        self.records().skip(1).map(|record| {
            let Record { place, content } = record?;
            match content {
                Content::Header(_) => Err(place.wrong("header", "there is one already")),
                Content::Candidate(candidate) => match check(&candidate, language) {
                    Ok(()) => Ok(*candidate),
                    Err(reason) => Err(place.wrong("candidate", reason)),
                },
            }
        })
    }
    fn records(&self) -> Records<'_> {
        let start = MAGIC.len() + 4;
        Records { rest: &self.bytes[start..], offset: start, chunk: 0, content: Vec::new(), at: 0, record: 0 }
    }
}

fn unread_header() -> Header {
    Header {
        surmise: String::new(),
        build: String::new(),
        language: Default::default(),
        target: None,
        settings: Vec::new(),
        keyed: false,
        candidates: Vec::new(),
    }
}

/// What the rest of Surmise takes for granted of a candidate from a file.
fn check(candidate: &PreloadedCandidate, language: &Language) -> Result<(), String> {
    let (unit, entry) = match &candidate.image {
        Image::Native(image) => {
            check_image(image, language).map_err(|error: ImageError| error.to_string())?;
            (image.unit, image.entry)
        }
        Image::Portable(image) => {
            let violations = verifier::verify(&image.function, language, Stage::Specialized, None);
            if let Some(violation) = violations.first() {
                return Err(format!("function: {violation}"));
            }
            if !image.function.assumptions().eq(image.assumptions.iter().copied()) {
                return Err("the assumptions are not those of the function".to_owned());
            }
            (image.function.unit, image.function.entry)
        }
    };
    if (unit, entry) != (candidate.unit, candidate.entry) {
        return Err("the code is another unit's, or entered otherwise".to_owned());
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct RecordPlace {
    chunk: usize,
    record: usize,
}

impl RecordPlace {
    fn wrong(self, kind: &'static str, reason: impl Into<String>) -> Refused {
        Refused::Record { chunk: self.chunk, record: self.record, kind, reason: reason.into() }
    }
}

enum Content {
    Header(Box<Header>),
    Candidate(Box<PreloadedCandidate>),
}

struct Record {
    place: RecordPlace,
    content: Content,
}

/// The records of a file. Keeps one chunk in memory. Ends behind the first error.
struct Records<'a> {
    rest: &'a [u8],
    offset: usize,
    /// The chunk and the record that come next.
    chunk: usize,
    content: Vec<u8>,
    at: usize,
    record: usize,
}

impl Records<'_> {
    fn advance(&mut self) -> Result<Option<Record>, Refused> {
        while self.at == self.content.len() {
            let before = self.rest.len();
            let chunk = codec::read_chunk(&mut self.rest).map_err(|error| Refused::Chunk {
                chunk: self.chunk,
                offset: self.offset,
                error,
            })?;
            let Some(content) = chunk else { return Ok(None) };
            self.offset += before - self.rest.len();
            self.content = content;
            (self.at, self.record) = (0, 0);
            self.chunk += 1;
        }
        let place = RecordPlace { chunk: self.chunk - 1, record: self.record };
        let mut rest = &self.content[self.at..];
        let taken = codec::take_record(&mut rest);
        self.at = self.content.len() - rest.len();
        self.record += 1;
        let (kind, bytes) = taken.map_err(|error| place.wrong("?", error.to_string()))?;
        let content = match kind {
            HEADER => codec::decode(bytes).map(|header| Content::Header(Box::new(header))),
            CANDIDATE => codec::decode(bytes).map(|candidate| Content::Candidate(Box::new(candidate))),
            _ => return Err(place.wrong("?", format!("kind {kind} is unknown"))),
        };
        let name = if kind == HEADER { "header" } else { "candidate" };
        let content = content.map_err(|error| place.wrong(name, error.to_string()))?;
        Ok(Some(Record { place, content }))
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Refused>;
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if matches!(next, Some(Err(_))) {
            (self.rest, self.at) = (&[], self.content.len());
        }
        next
    }
}

/// Writes a file so that who reads it at the same time sees the old one or the new one.
///
/// # Errors
/// If it can't be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = Path::new(&name);
    let mut file = std::fs::File::create(beside)?;
    let written =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(beside);
    }
    written
}
