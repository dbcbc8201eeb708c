//! The thread that writes a recording: events become records, records become chunks.
//!
//! Who records waits only when the writer is a queue's length behind. Chunks are closed when they are full, and when nothing came for
//! a moment, so that a process that dies takes little with it.

use super::codec::{CHUNK_LIMIT, CHUNK_TARGET, MAGIC, VERSION, chunk, put_record};
use super::event::{End, Event};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Records that may wait to be written; a log batch of 64 KiB is one.
const QUEUED_RECORDS: usize = 256;
/// A chunk is closed when nothing was added to it for so long.
const PATIENCE: Duration = Duration::from_millis(200);

/// How a recording goes, for statistics.
#[derive(Debug, Default)]
pub struct Progress {
    records: AtomicU64,
    bytes: AtomicU64,
    has_ended: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Progress {
    /// Records that were handed over.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
    /// Bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
    /// Why the recording ended early, if it did.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().expect("no holder of the failure panics").clone()
    }
}

/// A recording in the making. Dropping it closes the file.
pub struct Recorder {
    sender: Option<Sender<(u8, Vec<u8>)>>,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts a recording.
    ///
    /// # Errors
    /// If the file or the thread can't be made.
    pub fn create(path: &Path, header: Event) -> io::Result<Recorder> {
        let file = File::create(path)?;
        let name = path.display().to_string();
        Recorder::start(file, header, move |error| {
            eprintln!("surmise: the recording to {name} ends here: {error}; the program goes on");
        })
    }
    /// Starts a recording to anything. `warn` is told, once, if nothing more can be written.
    ///
    /// # Errors
    /// If the thread can't be made.
    pub fn start(
        sink: impl Write + Send + 'static,
        header: Event,
        warn: impl FnOnce(&io::Error) + Send + 'static,
    ) -> io::Result<Recorder> {
        let (sender, receiver) = bounded(QUEUED_RECORDS);
        let progress = Arc::new(Progress::default());
        let seen = progress.clone();
        let thread = std::thread::Builder::new().name("surmise record".to_owned()).spawn(move || {
            let mut writer = Writer { sink, raw: Vec::new(), progress: seen };
            if let Err(error) = writer.run(&receiver) {
                let progress = writer.progress;
                *progress.failure.lock().expect("no holder of the failure panics") = Some(error.to_string());
                progress.has_ended.store(true, Ordering::Relaxed);
                warn(&error);
            }
        })?;
        let recorder = Recorder { sender: Some(sender), progress, thread: Some(thread) };
        recorder.add(&header);
        Ok(recorder)
    }
    /// How it goes.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
    /// Adds an event.
    pub fn add(&self, event: &Event) {
        if self.progress.has_ended.load(Ordering::Relaxed) {
            return;
        }
        let mut bytes = event.encode();
        if bytes.len() >= CHUNK_LIMIT / 2 {
            // Only a lifted function can be as large as this. What becomes of it is still said.
            let Event::Lifted(lifted) = event else { return };
            let mut lifted = lifted.clone();
            lifted.function = Err(format!("{} bytes: too large to be recorded", bytes.len()));
            bytes = Event::Lifted(lifted).encode();
        }
        self.progress.records.fetch_add(1, Ordering::Relaxed);
        if let Some(sender) = &self.sender {
            // An error: the writer has ended, and has said why.
            let _ = sender.send((event.kind(), bytes));
        }
    }
    /// Writes what is left and closes the file.
    pub fn finish(self, end: End) {
        self.add(&Event::End(end));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has nothing to add: the program goes on without a recording.
            let _ = thread.join();
        }
    }
}

struct Writer<S> {
    sink: S,
    raw: Vec<u8>,
    progress: Arc<Progress>,
}

impl<S: Write> Writer<S> {
    fn run(&mut self, receiver: &Receiver<(u8, Vec<u8>)>) -> io::Result<()> {
        let start = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
        self.put(&start)?;
        loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok((kind, bytes)) => {
                    // A large record gets a chunk of its own.
                    if self.raw.len() + bytes.len() > CHUNK_TARGET {
                        self.close()?;
                    }
                    put_record(&mut self.raw, kind, &bytes);
                }
                Err(RecvTimeoutError::Timeout) => self.close()?,
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }
    fn close(&mut self) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let chunk = chunk(&self.raw);
        self.raw.clear();
        self.put(&chunk)
    }
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)?;
        self.sink.flush()?;
        self.progress.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}
