//! The bytes of recordings and preload files: serde + bincode in framed, checksummed, compressed chunks.
//!
//! ```text
//! file    "SURMISE\0"  version u32  chunk*
//! chunk   stored u32  raw u32  checksum u32  bytes[stored]      checksum: CRC-32 of the two lengths and the bytes
//! bytes   deflate of: record*                                   raw: their length
//! record  kind u8  length LEB128  bytes[length]                 kind: position in the header's table of names
//! ```
//!
//! Numbers are little-endian. Every chunk can be read by itself; records do not straddle chunks. The first record of the file is
//! the header, kind 0, which names the kinds. A record of an unknown kind is skipped if its name begins with `~`, else refused.
//!
//! What must hold: nothing read from a file is believed before its checksum is; lengths are bounded by what is really there, so
//! that no field makes the reader allocate more than a few times the file (and one mebibyte).

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use thiserror::Error;

/// How files of this codec begin.
pub const MAGIC: [u8; 8] = *b"SURMISE\0";
/// The version of the form. Files of other versions are refused.
pub const VERSION: u32 = 2;
/// Bytes of a chunk before compression, beyond which it is closed: large enough to compress well, small enough to lose little.
pub const CHUNK_TARGET: usize = 64 << 10;
/// No chunk is larger than this before compression: the largest record is a unit of 20,000 instructions.
pub const CHUNK_LIMIT: usize = 16 << 20;
/// Bytes in front of a chunk's own.
pub const CHUNK_HEADER: usize = 12;
/// Deflate does not compress better than this.
const DEFLATE_LIMIT: usize = 1_032;

const FORM: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<CHUNK_LIMIT>,
> = bincode::config::standard().with_limit::<CHUNK_LIMIT>();

/// The bytes of a value. What is recorded has no maps with an order of their own: equal values have equal bytes.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // The limit is for what is read.
    bincode::serde::encode_to_vec(value, FORM.with_no_limit()).expect("what is recorded has a form in bytes")
}

/// Appends the bytes of a value.
pub fn encode_into<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    let written = bincode::serde::encode_into_std_write(value, bytes, FORM.with_no_limit());
    written.expect("what is recorded has a form in bytes");
}

/// Bytes that are no value of the type that is due.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// The value of bytes, all of them.
///
/// # Errors
/// If they are no such value, or if any are left.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bincode::serde::decode_from_slice(bytes, FORM) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(DecodeError(format!("{} bytes too many", bytes.len() - used))),
        Err(error) => Err(DecodeError(error.to_string())),
    }
}

/// Appends a record.
pub fn put_record(buffer: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    buffer.push(kind);
    let mut length = bytes.len();
    while length >= 0x80 {
        buffer.push(length as u8 | 0x80);
        length >>= 7;
    }
    buffer.push(length as u8);
    buffer.extend_from_slice(bytes);
}

/// Takes a record off the front: its kind and its bytes.
///
/// # Errors
/// If it ends before it should.
pub fn take_record<'a>(bytes: &mut &'a [u8]) -> Result<(u8, &'a [u8]), DecodeError> {
    let torn = || DecodeError("it ends within a record".to_owned());
    let (&kind, mut rest) = bytes.split_first().ok_or_else(torn)?;
    let mut length = 0usize;
    for shift in (0..).step_by(7) {
        let (&byte, behind) = rest.split_first().ok_or_else(torn)?;
        rest = behind;
        if shift > 28 {
            return Err(DecodeError("a record's length is too long".to_owned()));
        }
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    let (record, rest) = rest.split_at_checked(length).ok_or_else(torn)?;
    *bytes = rest;
    Ok((kind, record))
}

/// A chunk's bytes, header included.
pub fn chunk(raw: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![0; CHUNK_HEADER], Compression::default());
    encoder.write_all(raw).expect("a vector takes everything");
    let mut bytes = encoder.finish().expect("a vector takes everything");
    let stored = (bytes.len() - CHUNK_HEADER) as u32;
    bytes[..4].copy_from_slice(&stored.to_le_bytes());
    bytes[4..8].copy_from_slice(&(raw.len() as u32).to_le_bytes());
    let sum = checksum(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The checksum of a chunk with header.
fn checksum(chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chunk[..8]);
    hasher.update(&chunk[CHUNK_HEADER..]);
    hasher.finalize()
}

/// Why a chunk can't be had.
#[derive(Debug, Error)]
pub enum ChunkError {
    /// The file ends within the chunk: what a crash leaves behind.
    #[error("the file ends within it")]
    Torn,
    /// The field of this name holds what it can't.
    #[error("{field}: {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the next chunk; `None` at the file's end.
///
/// # Errors
/// If there is none that is whole.
pub fn read_chunk(source: &mut impl Read) -> Result<Option<Vec<u8>>, ChunkError> {
    let mut bytes = Vec::new();
    read_up_to(source, &mut bytes, CHUNK_HEADER)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() < CHUNK_HEADER {
        return Err(ChunkError::Torn);
    }
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (stored, raw, sum) = (number(0) as usize, number(4) as usize, number(8));
    let wrong = |field, reason: String| ChunkError::Field { field, reason };
    if stored > CHUNK_LIMIT {
        return Err(wrong("stored length", format!("{stored}, at most {CHUNK_LIMIT} is possible")));
    }
    if raw > CHUNK_LIMIT.min(stored.saturating_mul(DEFLATE_LIMIT)) {
        return Err(wrong("raw length", format!("{raw} bytes can't come of {stored}")));
    }
    read_up_to(source, &mut bytes, stored)?;
    if bytes.len() < CHUNK_HEADER + stored {
        return Err(ChunkError::Torn);
    }
    let found = checksum(&bytes);
    if found != sum {
        return Err(wrong("checksum", format!("{found:08x} where the file says {sum:08x}")));
    }
    let mut content = Vec::new();
    let inflated = DeflateDecoder::new(&bytes[CHUNK_HEADER..]).take(raw as u64 + 1).read_to_end(&mut content);
    inflated.map_err(|error| wrong("bytes", error.to_string()))?;
    if content.len() != raw {
        return Err(wrong("raw length", format!("{raw}, but there are {} bytes", content.len())));
    }
    Ok(Some(content))
}

/// Appends up to so many bytes. The buffer grows with what comes, not with what was announced.
fn read_up_to(source: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> io::Result<()> {
    source.take(count as u64).read_to_end(bytes).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_chunks_come_back() {
        let mut raw = Vec::new();
        let records = [(0u8, vec![]), (3, vec![1, 2, 3]), (200, vec![7; 300]), (1, vec![9; 70_000])];
        for (kind, bytes) in &records {
            put_record(&mut raw, *kind, bytes);
        }
        let chunk = chunk(&raw);
        assert!(chunk.len() < 500);
        let mut source = &chunk[..];
        let content = read_chunk(&mut source).unwrap().unwrap();
        let mut rest = &content[..];
        for (kind, bytes) in &records {
            assert_eq!(take_record(&mut rest).unwrap(), (*kind, &bytes[..]));
        }
        assert!(rest.is_empty());
        assert!(read_chunk(&mut source).unwrap().is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_noticed() {
        let chunk = chunk(b"some records, some records, and some more");
        for length in 1..chunk.len() {
            assert!(matches!(read_chunk(&mut &chunk[..length]), Err(ChunkError::Torn)), "{length}");
        }
        for bit in 0..chunk.len() * 8 {
            let mut flipped = chunk.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read_chunk(&mut &flipped[..]).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn torn_records_are_errors() {
        let mut raw = Vec::new();
        put_record(&mut raw, 1, &[5; 200]);
        for length in 0..raw.len() {
            assert!(take_record(&mut &raw[..length]).is_err(), "{length}");
        }
        assert!(take_record(&mut &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..]).is_err());
    }

    #[test]
    fn functions_come_back_with_every_number() {
        use surmise_ir::entity::{Block, Inst, Value};
        use surmise_ir::function::{Entry, Function, ValueDef};
        let language = surmise_ir::generate::language();
        for seed in 0..100 {
            let trial = surmise_ir::generate::Trial::random(seed, 40);
            let mut function = trial.program.lift(&language, Entry::Call);
            // What no pass leaves behind, but a file may hold.
            let (first, last) = (Value::from_u32(0), Value::from_u32(u32::MAX - 1));
            function.values[first].def = ValueDef::Removed;
            function.insts[Inst::from_u32(0)].result = Some(last);
            function.insts[Inst::from_u32(1)].args.push(last);
            function.layout.push(Block::from_u32(u32::MAX - 1));
            let bytes = encode(&function);
            assert_eq!(decode::<Function>(&bytes).unwrap(), function, "seed {seed}");
            for length in 0..bytes.len().min(300) {
                assert!(decode::<Function>(&bytes[..length]).is_err());
            }
        }
    }

    #[test]
    fn values_must_use_all_their_bytes() {
        let bytes = encode(&(1u32, "two".to_owned()));
        assert_eq!(decode::<(u32, String)>(&bytes).unwrap(), (1, "two".to_owned()));
        assert!(decode::<(u32, String)>(&[&bytes[..], &[0]].concat()).is_err());
        assert!(decode::<(u32, String)>(&bytes[..bytes.len() - 1]).is_err());
    }
}
