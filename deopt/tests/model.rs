//! The protocol's atomics under a model checker: every order in which two threads can run, and every value that the memory model
//! lets them read.
//!
//! The handshake is the crate's own source, with the checker's atomics. Entry cells, tickets and slots are a few lines each, which
//! follow `entry.rs` and `deopt_all/request.rs` store by store: what is not an atomic in them is a cell that the checker watches, and
//! reports when two threads touch it without an order between them.

mod sync {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub fn pause() {
        loom::thread::yield_now();
    }
}

#[path = "../src/deopt_all/handshake.rs"]
#[allow(dead_code, missing_docs, reason = "not every model uses every part")]
mod handshake;

use handshake::Handshake;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::thread;

/// Reads a watched cell.
fn read(cell: &UnsafeCell<u32>) -> u32 {
    // SAFETY: the checker stops the test if another thread may write the cell now.
    cell.with(|value| unsafe { *value })
}
/// Writes a watched cell.
fn write(cell: &UnsafeCell<u32>, new: u32) {
    // SAFETY: the checker stops the test if another thread may use the cell now.
    cell.with_mut(|value| unsafe { *value = new });
}

/// A runloop with a stack of one frame: it is redirected or not.
struct Runloop {
    handshake: Handshake,
    poll: AtomicU32,
    frame: UnsafeCell<u32>,
}

const RUNS: u32 = 1;
const REDIRECTED: u32 = 2;

/// An isolate with one candidate.
struct Isolate {
    /// 1: the candidate's code; 0: the interpreter.
    cell: AtomicU32,
    ticket: AtomicU64,
    /// Whether the candidate is invalid; published before the ticket.
    invalid: AtomicU32,
    /// What the code reads; given up when nobody can read it.
    slots: UnsafeCell<u32>,
    runloop: Runloop,
}

impl Isolate {
    fn new() -> Arc<Isolate> {
        Arc::new(Isolate {
            cell: AtomicU32::new(1),
            ticket: AtomicU64::new(0),
            invalid: AtomicU32::new(0),
            slots: UnsafeCell::new(7),
            runloop: Runloop {
                handshake: Handshake::new(0),
                poll: AtomicU32::new(0),
                frame: UnsafeCell::new(0),
            },
        })
    }
    /// Enters the candidate if the cell says so, and reads its slots.
    fn call(&self) -> bool {
        if self.cell.load(Ordering::Acquire) == 0 {
            return false;
        }
        write(&self.runloop.frame, RUNS);
        assert_eq!(read(&self.slots), 7, "slots are read after they were given up");
        true
    }
    /// A visit: what `redirect.rs` does.
    fn visit(&self, ticket: u64) {
        if self.invalid.load(Ordering::Acquire) == 1 && read(&self.runloop.frame) == RUNS {
            write(&self.runloop.frame, REDIRECTED);
        }
        self.runloop.handshake.answer(ticket);
    }
    /// A poll of the own thread. Returns whether its frame goes on.
    fn poll(&self) -> bool {
        if self.runloop.poll.swap(0, Ordering::Acquire) != 0 {
            let ticket = self.ticket.load(Ordering::Acquire);
            if !self.runloop.handshake.has_answered(ticket) {
                self.visit(ticket);
            }
        }
        read(&self.runloop.frame) == RUNS
    }
    /// The requester's side, from the first phase to the last.
    fn deopt_all(&self) {
        self.cell.store(0, Ordering::Release);
        self.invalid.store(1, Ordering::Release);
        let ticket = self.ticket.fetch_add(1, Ordering::Release) + 1;
        let handshake = &self.runloop.handshake;
        while !handshake.has_answered(ticket) {
            if handshake.try_claim() {
                self.visit(ticket);
                handshake.release();
            } else {
                self.runloop.poll.store(1, Ordering::Release);
                thread::yield_now();
            }
        }
        write(&self.slots, 0);
    }
}

/// Runs a model: at most so many switches of threads where none is needed, which finds what two or three ill-timed steps can break.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

#[test]
fn a_running_thread_answers_at_its_poll_before_slots_are_given_up() {
    model(|| {
        let isolate = Isolate::new();
        let requester = isolate.clone();
        let requester = thread::spawn(move || requester.deopt_all());
        if isolate.call() && isolate.poll() {
            // It goes on in the candidate: its slots are there.
            assert_eq!(read(&isolate.slots), 7);
        }
        // It goes away, unless it has answered.
        isolate.runloop.handshake.leave();
        requester.join().unwrap();
        isolate.runloop.handshake.come_back();
        assert!(!isolate.call(), "the candidate is entered after the request");
    });
}

#[test]
fn a_thread_that_is_away_is_visited_and_sees_it_when_it_comes_back() {
    model(|| {
        let isolate = Isolate::new();
        let requester = isolate.clone();
        let was_entered = isolate.call();
        isolate.runloop.handshake.leave();
        let requester = thread::spawn(move || requester.deopt_all());
        isolate.runloop.handshake.come_back();
        let goes_on = isolate.poll();
        if was_entered && goes_on {
            assert_eq!(read(&isolate.slots), 7);
        }
        isolate.runloop.handshake.leave();
        requester.join().unwrap();
        isolate.runloop.handshake.come_back();
        assert!(!isolate.poll(), "the frame goes on after the request");
    });
}

#[test]
fn a_blocked_thread_delays_nothing() {
    model(|| {
        let isolate = Isolate::new();
        assert!(isolate.call());
        isolate.runloop.handshake.leave();
        let requester = isolate.clone();
        let requester = thread::spawn(move || requester.deopt_all());
        // It does nothing at all meanwhile.
        requester.join().unwrap();
        isolate.runloop.handshake.come_back();
        assert!(!isolate.poll());
    });
}

#[test]
fn two_requesters_never_visit_at_once() {
    model(|| {
        let isolate = Isolate::new();
        isolate.runloop.handshake.leave();
        let claim = |isolate: Arc<Isolate>| {
            move || {
                if isolate.runloop.handshake.try_claim() {
                    write(&isolate.runloop.frame, read(&isolate.runloop.frame) + 1);
                    isolate.runloop.handshake.release();
                }
            }
        };
        let first = thread::spawn(claim(isolate.clone()));
        let second = thread::spawn(claim(isolate.clone()));
        isolate.runloop.handshake.come_back();
        write(&isolate.runloop.frame, read(&isolate.runloop.frame) + 1);
        first.join().unwrap();
        second.join().unwrap();
    });
}
