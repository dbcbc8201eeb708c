//! What the optimizer's `sync` is under the model checker: the checker's threads and locks, and queues made of them that behave as
//! crossbeam's do.
//!
//! A queue whose receiver is gone drops what is in it, and sending to it fails; a queue without senders fails to be received from
//! once it is empty. Waiting threads are parked, so that the checker sees it when nobody will ever wake them.

use std::collections::VecDeque;
use std::sync::Arc;

pub use shuttle::sync::Mutex;
pub use shuttle::sync::atomic::{AtomicU64, Ordering};
pub use shuttle::thread::{Builder, JoinHandle, yield_now};
use shuttle::thread::{Thread, current, park};

struct State<T> {
    messages: VecDeque<T>,
    capacity: usize,
    senders: usize,
    has_receiver: bool,
    waiting: Vec<Thread>,
}

struct Queue<T>(Mutex<State<T>>);

impl<T> Queue<T> {
    /// Changes the state, and wakes who waits for a change of it.
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = self.0.lock().expect("no holder of a queue panics");
        let result = change(&mut state);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.iter().for_each(Thread::unpark);
        result
    }
    /// Has this thread woken at the next change.
    fn wait_for_change(&self) {
        self.0.lock().expect("no holder of a queue panics").waiting.push(current());
    }
}

/// The end of a queue that messages are put into.
pub struct Sender<T>(Arc<Queue<T>>);

/// The end that they are taken from.
pub struct Receiver<T>(Arc<Queue<T>>);

/// The other end is gone.
#[derive(Debug)]
pub struct Disconnected;

/// Why nothing was sent.
pub enum TrySendError<T> {
    /// There is no room.
    Full(T),
    /// The receiver is gone.
    Disconnected(T),
}

fn queue<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state =
        State { messages: VecDeque::new(), capacity, senders: 1, has_receiver: true, waiting: Vec::new() };
    let queue = Arc::new(Queue(Mutex::new(state)));
    (Sender(queue.clone()), Receiver(queue))
}

/// A queue without a limit.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    queue(usize::MAX)
}
/// A queue of so many messages.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    queue(capacity)
}

impl<T> Sender<T> {
    /// Puts a message into the queue, when there is room.
    ///
    /// # Errors
    /// If the receiver is gone; the message is as well.
    pub fn send(&self, message: T) -> Result<(), Disconnected> {
        let mut message = message;
        loop {
            match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(Disconnected),
                Err(TrySendError::Full(back)) => message = back,
            }
            yield_now();
        }
    }
    /// Puts a message into the queue.
    ///
    /// # Errors
    /// If there is no room, or no receiver.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.change(|state| {
            if !state.has_receiver {
                return Err(TrySendError::Disconnected(message));
            }
            if state.messages.len() >= state.capacity {
                return Err(TrySendError::Full(message));
            }
            state.messages.push_back(message);
            Ok(())
        })
    }
    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.0.change(|state| state.messages.len())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.change(|state| state.senders += 1);
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.change(|state| state.senders -= 1);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = self.0.change(|state| {
            state.has_receiver = false;
            std::mem::take(&mut state.messages)
        });
        // Behind the lock: messages hold senders of other queues.
        drop(left);
    }
}

impl<T> Receiver<T> {
    /// Takes a message, if there is one; `Err` when there is none, `Ok(None)` when there will be none.
    fn poll(&self) -> Result<Option<T>, ()> {
        let mut state = self.0.0.lock().expect("no holder of a queue panics");
        match state.messages.pop_front() {
            Some(message) => Ok(Some(message)),
            None if state.senders == 0 => Ok(None),
            None => Err(()),
        }
    }
    /// Takes a message, if there is one.
    ///
    /// # Errors
    /// If there is none.
    pub fn try_recv(&self) -> Result<T, Disconnected> {
        self.poll().ok().flatten().ok_or(Disconnected)
    }
    /// Waits for a message.
    ///
    /// # Errors
    /// When there will be none.
    pub fn recv(&self) -> Result<T, Disconnected> {
        loop {
            self.0.wait_for_change();
            match self.poll() {
                Ok(message) => return message.ok_or(Disconnected),
                Err(()) => park(),
            }
        }
    }
}

/// Waits for the next message of three queues, and makes one kind of them; `None` when nobody can send to one of them any more. When
/// several have messages, any may be the next.
pub fn first_of<A, B, C, M>(
    (first, of_first): (&Receiver<A>, fn(A) -> M),
    (second, of_second): (&Receiver<B>, fn(B) -> M),
    (third, of_third): (&Receiver<C>, fn(C) -> M),
) -> Option<M> {
    use shuttle::rand::{Rng, thread_rng};
    loop {
        first.0.wait_for_change();
        second.0.wait_for_change();
        third.0.wait_for_change();
        let start: usize = thread_rng().r#gen_range(0..3);
        for turn in 0..3 {
            let polled = match (start + turn) % 3 {
                0 => first.poll().map(|message| message.map(of_first)),
                1 => second.poll().map(|message| message.map(of_second)),
                _ => third.poll().map(|message| message.map(of_third)),
            };
            if let Ok(message) = polled {
                return message;
            }
        }
        park();
    }
}

/// Threads for pieces of work, a new one for each: any number of them runs at a time, in any order.
pub struct ThreadPool(());

/// Such threads.
pub fn pool(_threads: usize) -> Option<ThreadPool> {
    Some(ThreadPool(()))
}

impl ThreadPool {
    /// Has a piece of work done.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        shuttle::thread::spawn(work);
    }
}
