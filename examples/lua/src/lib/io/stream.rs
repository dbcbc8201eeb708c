//! Streams: files with a buffer, as C's `FILE` has them. No state, no heap objects.
//!
//! A stream has one buffer for both directions: input that was read ahead, or output not yet written. Before the direction
//! changes, input is given back to the file (its position goes back to where the reader is), and output is written.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Error, Read, Result, Seek, SeekFrom, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::{Child, ExitStatus};
use std::rc::{Rc, Weak};

/// Bytes of a buffer where the program does not say.
const BUFFER: usize = 16 << 10;
/// Longest numeral that `read("n")` takes.
const NUMERAL: usize = 200;

/// When output is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffering {
    /// At once.
    No,
    /// When a line ends.
    Line,
    /// When the buffer is full.
    Full,
}

/// What closing means.
#[derive(Debug)]
pub enum Owner {
    /// A file of ours: it is closed.
    File,
    /// The process's own stream: it stays open.
    Process,
    /// One end of a pipe to a child, for which is waited.
    Pipe(Child),
}

/// An open stream.
#[derive(Debug)]
pub struct Stream {
    /// Never dropped by itself: the process's streams must stay open.
    file: ManuallyDrop<File>,
    owner: Owner,
    /// Input read ahead (from `next` on), or output to be written.
    buffer: Vec<u8>,
    next: usize,
    is_writing: bool,
    can_write: bool,
    buffering: Buffering,
    capacity: usize,
    /// Whether this is standard output, which the state buffers since `print` writes there too.
    pub is_standard_output: bool,
}

/// Streams that may have output to be written when the program ends.
#[derive(Default)]
pub struct OpenStreams {
    streams: Vec<Weak<RefCell<Stream>>>,
}

impl OpenStreams {
    /// Makes a stream known.
    pub fn add(&mut self, stream: &Rc<RefCell<Stream>>) {
        if self.streams.len() == self.streams.capacity() {
            self.streams.retain(|stream| stream.strong_count() > 0);
        }
        self.streams.push(Rc::downgrade(stream));
    }

    /// Writes what is buffered.
    pub fn flush(&self) {
        for stream in self.streams.iter().filter_map(Weak::upgrade) {
            if let Ok(mut stream) = stream.try_borrow_mut() {
                // The program ends: there is nobody to tell.
                let _ = stream.flush();
            }
        }
    }
}

impl Stream {
    /// A stream over a file.
    pub fn new(file: File, owner: Owner) -> Stream {
        // SAFETY: asks for the flags of an open descriptor.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
        Stream {
            can_write: flags == -1 || flags & libc::O_ACCMODE != libc::O_RDONLY,
            file: ManuallyDrop::new(file),
            owner,
            buffer: Vec::new(),
            next: 0,
            is_writing: false,
            buffering: Buffering::Full,
            capacity: BUFFER,
            is_standard_output: false,
        }
    }

    /// One of the process's own streams: 0, 1 or 2.
    pub fn standard(descriptor: i32) -> Stream {
        // SAFETY: the descriptor is the process's own; nothing here closes it.
        let file = unsafe { File::from_raw_fd(descriptor) };
        let mut stream = Stream::new(file, Owner::Process);
        if descriptor == 2 {
            stream.buffering = Buffering::No;
        }
        stream.is_standard_output = descriptor == 1;
        stream
    }

    /// Whether it is one of the process's own.
    pub fn is_standard(&self) -> bool {
        matches!(self.owner, Owner::Process)
    }

    /// Whether it is a pipe.
    pub fn is_pipe(&self) -> bool {
        matches!(self.owner, Owner::Pipe(_))
    }

    /// How output is buffered.
    pub fn buffering(&self) -> Buffering {
        self.buffering
    }

    /// Sets how output is buffered.
    pub fn set_buffering(&mut self, buffering: Buffering, capacity: Option<usize>) -> Result<()> {
        self.flush()?;
        self.buffering = buffering;
        self.capacity = capacity.unwrap_or(BUFFER).clamp(1, 1 << 24);
        Ok(())
    }

    fn start_writing(&mut self) -> Result<()> {
        if !self.is_writing {
            if !self.can_write {
                return Err(bad_descriptor());
            }
            let ahead = self.buffer.len() - self.next;
            if ahead > 0 {
                self.file.seek(SeekFrom::Current(-(ahead as i64)))?;
            }
            self.buffer.clear();
            self.next = 0;
            self.is_writing = true;
        }
        Ok(())
    }

    fn start_reading(&mut self) -> Result<()> {
        if self.is_writing {
            self.flush()?;
            self.is_writing = false;
        }
        Ok(())
    }

    /// Writes, through the buffer.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.start_writing()?;
        if self.buffering == Buffering::No || (self.buffer.is_empty() && bytes.len() >= self.capacity) {
            return self.file.write_all(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        let is_due = self.buffer.len() >= self.capacity
            || (self.buffering == Buffering::Line && memchr::memrchr(b'\n', bytes).is_some());
        if is_due { self.flush() } else { Ok(()) }
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) -> Result<()> {
        if !self.is_writing || self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.buffer);
        self.buffer.clear();
        result
    }

    /// Moves to another position; the new one, from the start.
    pub fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let mut to = to;
        if self.is_writing {
            self.flush()?;
        } else {
            let ahead = (self.buffer.len() - self.next) as i64;
            if let SeekFrom::Current(offset) = to {
                to = SeekFrom::Current(offset.wrapping_sub(ahead));
            }
        }
        let position = self.file.seek(to)?;
        self.buffer.clear();
        self.next = 0;
        Ok(position)
    }

    /// Reads more into the empty buffer; false at the end of the file.
    fn fill(&mut self) -> Result<bool> {
        self.start_reading()?;
        self.buffer.resize(self.capacity.max(BUFFER), 0);
        self.next = 0;
        loop {
            match self.file.read(&mut self.buffer) {
                Ok(count) => {
                    self.buffer.truncate(count);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.clear();
                    return Err(error);
                }
            }
        }
    }

    /// What is read ahead, at least a byte; nothing at the end of the file.
    #[inline]
    fn ahead(&mut self) -> Result<&[u8]> {
        if (self.is_writing || self.next == self.buffer.len()) && !self.fill()? {
            return Ok(&[]);
        }
        Ok(&self.buffer[self.next..])
    }

    /// Whether there is nothing more to read.
    pub fn is_at_end(&mut self) -> Result<bool> {
        Ok(self.ahead()?.is_empty())
    }

    /// Reads a line into `out`, with its end or without; false if there is none.
    pub fn read_line(&mut self, out: &mut Vec<u8>, with_end: bool) -> Result<bool> {
        let start = out.len();
        loop {
            let ahead = self.ahead()?;
            if ahead.is_empty() {
                return Ok(out.len() > start);
            }
            if let Some(length) = memchr::memchr(b'\n', ahead) {
                out.extend_from_slice(&ahead[..length + usize::from(with_end)]);
                self.next += length + 1;
                return Ok(true);
            }
            out.extend_from_slice(ahead);
            self.next = self.buffer.len();
        }
    }

    /// Reads up to `count` bytes into `out`; false if there is none.
    pub fn read_bytes(&mut self, out: &mut Vec<u8>, mut count: usize) -> Result<bool> {
        let start = out.len();
        while count > 0 {
            let ahead = self.ahead()?;
            if ahead.is_empty() {
                break;
            }
            let taken = ahead.len().min(count);
            out.extend_from_slice(&ahead[..taken]);
            self.next += taken;
            count -= taken;
        }
        Ok(out.len() > start)
    }

    /// Reads all the rest into `out`.
    pub fn read_all(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.start_reading()?;
        out.extend_from_slice(&self.buffer[self.next..]);
        self.buffer.clear();
        self.next = 0;
        self.file.read_to_end(out)?;
        Ok(())
    }

    /// Reads the longest text that could be the start of a numeral into `out`, after white space. What it spells is for the
    /// caller to find out.
    pub fn read_numeral(&mut self, out: &mut Vec<u8>) -> Result<()> {
        while self.peek()?.is_some_and(|c| matches!(c, b' ' | 9..=13)) {
            self.next += 1;
        }
        self.accept(out, b"+-")?;
        let mut is_hexadecimal = false;
        let mut digits = 0;
        if self.accept(out, b"0")? {
            if self.accept(out, b"xX")? {
                is_hexadecimal = true;
            } else {
                digits = 1;
            }
        }
        digits += self.accept_digits(out, is_hexadecimal)?;
        if self.accept(out, b".")? {
            digits += self.accept_digits(out, is_hexadecimal)?;
        }
        if digits > 0 && self.accept(out, if is_hexadecimal { b"pP" } else { b"eE" })? {
            self.accept(out, b"+-")?;
            self.accept_digits(out, false)?;
        }
        Ok(())
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        Ok(self.ahead()?.first().copied())
    }

    /// Takes the next byte if it is one of `set`. A numeral that grows too long is spoilt.
    fn accept(&mut self, out: &mut Vec<u8>, set: &[u8]) -> Result<bool> {
        self.accept_if(out, |c| set.contains(&c))
    }

    fn accept_if(&mut self, out: &mut Vec<u8>, is_wanted: impl Fn(u8) -> bool) -> Result<bool> {
        match self.peek()? {
            Some(c) if is_wanted(c) => {
                if out.len() >= NUMERAL {
                    out[0] = 0;
                    return Ok(false);
                }
                self.next += 1;
                out.push(c);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn accept_digits(&mut self, out: &mut Vec<u8>, is_hexadecimal: bool) -> Result<usize> {
        let is_digit = |c: u8| if is_hexadecimal { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        let mut count = 0;
        while self.accept_if(out, is_digit)? {
            count += 1;
        }
        Ok(count)
    }

    /// Writes what is buffered and closes. For a pipe, waits for the child.
    pub fn close(mut self) -> Result<Option<ExitStatus>> {
        let flushed = self.flush();
        let owner = std::mem::replace(&mut self.owner, Owner::Process);
        if !matches!(owner, Owner::Process) {
            // SAFETY: the file was not dropped before, and is not used or dropped again: the owner says `Process` now.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
        match owner {
            Owner::Pipe(mut child) => child.wait().map(Some),
            _ => flushed.map(|()| None),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // There is nobody to tell of an error.
        let _ = self.flush();
        if !matches!(self.owner, Owner::Process) {
            // SAFETY: `close` makes the owner `Process`; so the file was not dropped before, and this is its end.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
        if let Owner::Pipe(child) = &mut self.owner {
            let _ = child.wait();
        }
    }
}

/// The error of using the wrong direction.
pub fn bad_descriptor() -> Error {
    Error::from_raw_os_error(libc::EBADF)
}
