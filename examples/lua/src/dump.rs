//! Precompiled chunks: what `string.dump` gives and `load` takes.
//!
//! ```text
//! header     as PUC Lua 5.4 has it: signature, version, sizes, two numbers
//! own mark   what follows is no code of PUC's machine
//! length     of the rest, and a checksum of it
//! functions  a function's fields in the order of `Function`, those inside it in their place
//! ```
//!
//! A chunk that was damaged is an error. One that was made to look whole is not: like PUC Lua, this one trusts the code of
//! precompiled chunks, so programs that load what strangers send give `load` the mode `"t"`.

use crate::bytecode::{Instruction, LocalInfo, Op, Prototype, UpvalueInfo, UpvalueSource};
use crate::compiler::{Constant, Function};
use crate::names::Code;
use crate::object::LuaString;
use crate::parser::INSPECTS_FRAMES;
use crate::value::{Tag, Value};

/// What a precompiled chunk begins with.
pub const SIGNATURE: &[u8] = b"\x1bLua";
/// Version, format, bytes that text conversions damage, sizes of instructions, integers and floats.
const HEADER: &[u8] = b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n\x04\x08\x08";
/// The numbers behind it, by which other representations show.
const TEST_INT: i64 = 0x5678;
const TEST_FLOAT: f64 = 370.5;
/// What tells code of this machine from PUC's. Changes whenever the bytecode or this format does.
const MARK: &[u8] = b"surmise\x01";
/// Functions inside each other: as deep as the parser allows.
const MAX_DEPTH: u32 = 200;

/// Why a precompiled chunk can't be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DumpError {
    /// It ends too early.
    Truncated,
    /// It does not begin as such a chunk does.
    NoChunk,
    /// It was made by another version.
    Version,
    /// It is PUC's code, or that of another version of this machine.
    Foreign,
    /// Something in it is wrong.
    Corrupted,
}

impl std::fmt::Display for DumpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            DumpError::Truncated => "truncated chunk",
            DumpError::NoChunk => "not a binary chunk",
            DumpError::Version => "version mismatch",
            DumpError::Foreign => "code of another machine",
            DumpError::Corrupted => "corrupted chunk",
        })
    }
}

/// A function as a precompiled chunk. Stripped of what only messages and `debug` need, if that is wanted.
pub fn dump(prototype: &Prototype, strip: bool) -> Vec<u8> {
    let mut body = Writer { bytes: Vec::new(), strip };
    body.text(if strip { b"=?" } else { prototype.source.as_bytes() });
    body.function(prototype);
    let mut chunk = HEADER.to_vec();
    chunk.extend_from_slice(&TEST_INT.to_le_bytes());
    chunk.extend_from_slice(&TEST_FLOAT.to_le_bytes());
    chunk.extend_from_slice(MARK);
    chunk.extend_from_slice(&(body.bytes.len() as u64).to_le_bytes());
    chunk.extend_from_slice(&checksum(&body.bytes).to_le_bytes());
    chunk.extend_from_slice(&body.bytes);
    chunk
}

/// The function of a precompiled chunk, and the name of its source.
///
/// # Errors
/// What is wrong with the chunk.
pub fn undump(chunk: &[u8]) -> Result<(Function, String), DumpError> {
    let mut head = Reader { bytes: chunk, inspects_frames: false };
    for (place, &expected) in HEADER.iter().enumerate() {
        if head.byte()? != expected {
            return Err(match place {
                0..4 => DumpError::NoChunk,
                4 | 5 => DumpError::Version,
                _ => DumpError::Corrupted,
            });
        }
    }
    if head.take(8)? != TEST_INT.to_le_bytes() || head.take(8)? != TEST_FLOAT.to_le_bytes() {
        return Err(DumpError::Corrupted);
    }
    if head.take(MARK.len())? != MARK {
        return Err(DumpError::Foreign);
    }
    let length = usize::try_from(head.u64()?).map_err(|_| DumpError::Corrupted)?;
    let expected = head.u64()?;
    let mut body = Reader { bytes: head.take(length)?, inspects_frames: false };
    if checksum(body.bytes) != expected {
        return Err(DumpError::Corrupted);
    }
    let source = String::from_utf8_lossy(body.text()?).into_owned();
    let function = body.function(0)?;
    Ok((Function { inspects_frames: body.inspects_frames, ..function }, source))
}

/// The FNV-1a hash.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

struct Writer {
    bytes: Vec<u8>,
    strip: bool,
}

impl Writer {
    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
    fn text(&mut self, text: &[u8]) {
        self.u32(text.len() as u32);
        self.bytes.extend_from_slice(text);
    }
    fn constant(&mut self, value: Value) {
        self.bytes.push(value.tag as u8);
        match value {
            value if value.is(Tag::String) => self.text(LuaString::bytes(value.as_string())),
            value => self.u64(value.payload),
        }
    }
    fn function(&mut self, prototype: &Prototype) {
        let flags = [prototype.parameter_count, u8::from(prototype.is_vararg), prototype.register_count];
        self.bytes.extend_from_slice(&flags);
        self.u32(prototype.line_defined);
        self.u32(prototype.last_line);
        self.u32(prototype.code.len() as u32);
        for i in &prototype.code {
            self.bytes.extend_from_slice(&[i.op as u8, i.a, i.b, i.c]);
            self.u32(i.d as u32);
        }
        self.u32(prototype.constants.len() as u32);
        for &constant in &prototype.constants {
            self.constant(constant);
        }
        self.u32(prototype.caches.len() as u32);
        for cache in 0..prototype.caches.len() {
            self.text(prototype.cache_key(cache));
        }
        self.u32(prototype.upvalues.len() as u32);
        for upvalue in &prototype.upvalues {
            let (kind, number) = match upvalue.source {
                UpvalueSource::Register(register) => (0, register),
                UpvalueSource::Upvalue(index) => (1, index),
                UpvalueSource::Itself => (2, 0),
            };
            self.bytes.extend_from_slice(&[kind, number, u8::from(upvalue.is_cell)]);
            self.text(if self.strip { b"(no name)" } else { upvalue.name.as_bytes() });
        }
        let (lines, locals): (&[u32], &[LocalInfo]) =
            if self.strip { (&[], &[]) } else { (&prototype.lines, &prototype.locals) };
        self.u32(lines.len() as u32);
        for &line in lines {
            self.u32(line);
        }
        self.u32(locals.len() as u32);
        for local in locals {
            self.text(local.name.as_bytes());
            self.bytes.extend_from_slice(&[local.register, u8::from(local.is_cell)]);
            self.u32(local.start);
            self.u32(local.end);
        }
        self.u32(prototype.children.len() as u32);
        for &child in &prototype.children {
            // SAFETY: children live as long as the state.
            self.function(unsafe { &*child });
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// As of [`Function`].
    inspects_frames: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DumpError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(DumpError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }
    fn byte(&mut self) -> Result<u8, DumpError> {
        Ok(self.take(1)?[0])
    }
    fn u32(&mut self) -> Result<u32, DumpError> {
        let bytes = self.take(4)?.try_into().map_err(|_| DumpError::Truncated)?;
        Ok(u32::from_le_bytes(bytes))
    }
    fn u64(&mut self) -> Result<u64, DumpError> {
        let bytes = self.take(8)?.try_into().map_err(|_| DumpError::Truncated)?;
        Ok(u64::from_le_bytes(bytes))
    }
    fn text(&mut self) -> Result<&'a [u8], DumpError> {
        let length = self.u32()?;
        self.take(length as usize)
    }
    fn name(&mut self) -> Result<Box<str>, DumpError> {
        Ok(String::from_utf8_lossy(self.text()?).into())
    }
    /// So many things; memory is not asked for before they are there.
    fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, DumpError>,
    ) -> Result<Vec<T>, DumpError> {
        let count = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }
    fn instruction(&mut self) -> Result<Instruction, DumpError> {
        let &[op, a, b, c] = self.take(4)? else { return Err(DumpError::Truncated) };
        let op = Op::from_number(op).ok_or(DumpError::Corrupted)?;
        Ok(Instruction { op, a, b, c, d: self.u32()? as i32 })
    }
    fn constant(&mut self) -> Result<Constant, DumpError> {
        Ok(match u64::from(self.byte()?) {
            tag if tag == Tag::String as u64 => self.text_constant()?,
            tag if tag == Tag::Nil as u64 => self.u64().map(|_| Constant::Nil)?,
            tag if tag == Tag::Bool as u64 => Constant::Bool(self.u64()? != 0),
            tag if tag == Tag::Int as u64 => Constant::Int(self.u64()? as i64),
            tag if tag == Tag::Float as u64 => Constant::Float(f64::from_bits(self.u64()?)),
            _ => return Err(DumpError::Corrupted),
        })
    }
    fn text_constant(&mut self) -> Result<Constant, DumpError> {
        let text = self.text()?;
        self.inspects_frames |= INSPECTS_FRAMES.contains(&text);
        Ok(Constant::String(text.into()))
    }
    fn upvalue(&mut self) -> Result<UpvalueInfo, DumpError> {
        let &[kind, number, is_cell] = self.take(3)? else { return Err(DumpError::Truncated) };
        let source = match kind {
            0 => UpvalueSource::Register(number),
            1 => UpvalueSource::Upvalue(number),
            2 => UpvalueSource::Itself,
            _ => return Err(DumpError::Corrupted),
        };
        Ok(UpvalueInfo { name: self.name()?, source, is_cell: is_cell != 0 })
    }
    fn local(&mut self) -> Result<LocalInfo, DumpError> {
        let name = self.name()?;
        let (register, is_cell) = (self.byte()?, self.byte()? != 0);
        Ok(LocalInfo { name, register, is_cell, start: self.u32()?, end: self.u32()? })
    }
    fn function(&mut self, depth: u32) -> Result<Function, DumpError> {
        if depth > MAX_DEPTH {
            return Err(DumpError::Corrupted);
        }
        let &[parameter_count, is_vararg, register_count] = self.take(3)? else {
            return Err(DumpError::Truncated);
        };
        let (line_defined, last_line) = (self.u32()?, self.u32()?);
        let code = self.list(Reader::instruction)?;
        let mut constants = self.list(Reader::constant)?;
        let keys = self.list(Reader::text_constant)?;
        // Keys of caches are constants to the compiler; here they come separately.
        let first = constants.len() as u32;
        let caches = (first..first + keys.len() as u32).collect();
        constants.extend(keys);
        let upvalues = self.list(Reader::upvalue)?;
        let lines = self.list(Reader::u32)?;
        let locals = self.list(Reader::local)?;
        let children = self.list(|reader| reader.function(depth + 1))?;
        Ok(Function {
            code,
            constants,
            caches,
            children,
            upvalues,
            parameter_count,
            is_vararg: is_vararg != 0,
            register_count,
            line_defined,
            last_line,
            lines,
            locals,
            inspects_frames: false,
        })
    }
}
