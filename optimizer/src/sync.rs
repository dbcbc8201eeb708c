//! The service's threads, locks and queues: well-kept crates', or a model checker's.
//!
//! `tests/model` builds these sources once more with the checker's in their place, where `service.rs` and `plug.rs` are what is checked.

#[cfg(not(feature = "shuttle"))]
mod chosen {
    pub use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
    pub use rayon::ThreadPool;
    pub use std::sync::Mutex;
    pub use std::sync::atomic::{AtomicU64, Ordering};
    pub use std::thread::{Builder, JoinHandle, yield_now};

    /// Threads for so many pieces of work at a time; `None` if they can't be started.
    pub fn pool(threads: usize) -> Option<ThreadPool> {
        let builder = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("surmise {number}"));
        builder.build().ok()
    }

    /// Waits for the next message of three queues, and makes one kind of them; `None` when nobody can send to one of them any more.
    pub fn first_of<A, B, C, M>(
        (first, of_first): (&Receiver<A>, fn(A) -> M),
        (second, of_second): (&Receiver<B>, fn(B) -> M),
        (third, of_third): (&Receiver<C>, fn(C) -> M),
    ) -> Option<M> {
        crossbeam_channel::select! {
            recv(first) -> message => message.ok().map(of_first),
            recv(second) -> message => message.ok().map(of_second),
            recv(third) -> message => message.ok().map(of_third),
        }
    }
}

#[cfg(feature = "shuttle")]
#[path = "../../tests/model/sync.rs"]
mod chosen;

pub use chosen::*;
