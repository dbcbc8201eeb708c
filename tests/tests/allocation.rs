//! Damaged files don't make their readers ask for memory: no single allocation is larger than four times the file and the mebibyte up to
//! which lengths are believed before the bytes behind them have been read.
#![allow(unsafe_code, reason = "an allocator is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use surmise::ir::generate::Random;
use surmise::preload::{PreloadFile, emit};
use surmise::record::codec::{chunk, read_chunk};
use surmise::replay::{Recording, World};
use surmise_tests::damage::damage;
use surmise_tests::random::Seeds;

/// The system's allocator, with the size of the largest allocation since this was set to zero.
struct Largest(AtomicUsize);

#[global_allocator]
static LARGEST: Largest = Largest(AtomicUsize::new(0));

// SAFETY: all that is asked of it is handed on.
unsafe impl GlobalAlloc for Largest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Relaxed: one thread allocates and looks.
        self.0.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What lengths may cost before it turns out that there is less: serde's own bound.
const BELIEVED: usize = 1 << 20;

fn check(what: &str, bytes: &[u8], read: impl Fn(&[u8])) {
    LARGEST.0.store(0, Ordering::Relaxed);
    read(bytes);
    let (largest, limit) = (LARGEST.0.load(Ordering::Relaxed), 4 * bytes.len() + BELIEVED);
    assert!(largest <= limit, "{what}: {largest} bytes at once for a file of {} bytes", bytes.len());
}

/// Bytes in front of the first chunk: magic and version.
const START: usize = 12;

/// `bytes` are a file up to its last chunk, of which `finish` makes a whole one.
fn check_damaged(name: &str, bytes: &[u8], finish: impl Fn(Vec<u8>) -> Vec<u8>, read: impl Fn(&[u8])) {
    let check = |what: String, bytes: Vec<u8>| check(&format!("{name}, {what}"), &finish(bytes), &read);
    for length in (0..=bytes.len()).rev().step_by(97) {
        check(format!("cut at {length}"), bytes[..length].to_vec());
    }
    // The lengths in front of each chunk, at their extremes.
    let (mut rest, mut raws) = (&bytes[START..], Vec::new());
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        raws.push(read_chunk(&mut rest).expect("the file is whole").expect("there is one more"));
        for field in [at, at + 4] {
            for value in [0u32, 1, 1 << 16, 1 << 24, (1 << 24) + 1, u32::MAX / 2, u32::MAX] {
                let mut wrong = bytes.to_vec();
                wrong[field..field + 4].copy_from_slice(&value.to_le_bytes());
                check(format!("{value} at {field}"), wrong);
            }
        }
    }
    // Wrong content in right chunks.
    for seed in Seeds::from_env(300).range() {
        let mut random = Random::new(seed);
        let mut wrong = bytes[..START].to_vec();
        for raw in &raws {
            let mut raw = raw.clone();
            damage(&mut random, &mut raw);
            wrong.extend(chunk(&raw));
        }
        check(format!("RANDOM_FIRST={seed} RANDOM_SEEDS=1"), wrong);
    }
}

/// One test: tests of one process run on several threads, and would count each other's.
#[test]
fn no_length_is_believed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for name in ["bounce.surmise", "json.surmise"] {
        let bytes = std::fs::read(corpus.join(name)).expect("the corpus has it");
        let read = |bytes: &[u8]| drop(Recording::read(bytes));
        check_damaged(name, &bytes, |bytes| bytes, read);
        let recording = Recording::read(&bytes[..]).expect("it is whole");
        let world = World::new(&recording.header, &[]).expect("its settings are");
        let file = emit(&recording, &world, &|| ()).to_bytes(None);
        let language = &recording.header.language;
        let read = |bytes: &[u8]| {
            if let Ok(file) = PreloadFile::read(bytes.to_vec(), None) {
                file.candidates(language).for_each(drop);
            }
        };
        let seal = |mut bytes: Vec<u8>| {
            let seal = blake3::hash(&bytes);
            bytes.extend(seal.as_bytes());
            bytes
        };
        check_damaged(&format!("{name}, emitted"), &file[..file.len() - 32], seal, read);
    }
}
