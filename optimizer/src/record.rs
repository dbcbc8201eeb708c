//! Recordings: what the service saw and decided, as a file.
//!
//! A recording holds everything that the service's decisions rest on, in the order in which its one thread worked it off: the
//! language, the units as they were lifted, the log's events, the requests with what was decided, the guesses that failed, and
//! of every compile the fingerprints of what it gave. With that, [`crate::replay`] repeats each decision and each compile without
//! the interpreter, and says where it comes out differently.
//!
//! ```text
//!  service thread ──encode──▶ bounded queue ──▶ writer thread ──chunks──▶ file
//! ```
//!
//! What must hold:
//! * recording is *inert*: nothing that the service does depends on whether it is recorded;
//! * the file holds no path, no address, no time and no live object: names of units lose their folders ([`without_folders`]), and
//!   in blocking mode the same program gives the same events;
//! * what stands in the file up to its last whole chunk can be read, whenever and however the process ended;
//! * a disk that is full ends the recording, with one warning, and never the program;
//! * memory is bounded: when the writer falls behind, the service's thread waits for it, and then the log's bounded queue drops
//!   (and counts) what the service had no time for.
//!
//! | file | what it does |
//! |---|---|
//! | `codec` | bytes: the only place that knows how things are written |
//! | `event` | what a recording says |
//! | `writer` | the thread that writes |
//! | `reader` | from bytes to events, with errors that say where |
//! | `fingerprint` | hashes of functions, candidates and frames |

pub mod codec;
pub mod event;
pub mod fingerprint;
pub mod reader;
pub mod writer;

pub use event::{Compile, Event, Header, Lifted};
pub use reader::{ReadError, Reader};
pub use writer::{Progress, Recorder};

/// A unit's name without the folders of the paths in it: recordings travel.
pub fn without_folders(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    // A path ends where its file's name does; what is in front of it began after one of these.
    let is_border = |character: char| character.is_whitespace() || "<>\"'()[]@=,:".contains(character);
    for piece in name.split_inclusive(is_border) {
        let end = piece.trim_end_matches(is_border);
        let start = end.rfind(['/', '\\']).map_or(0, |at| at + 1);
        result.push_str(&piece[start..]);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_folders() {
        for (name, expected) in [
            ("function <@benches/programs/queens.lua:35>", "function <@queens.lua:35>"),
            ("main chunk of @/home/some/a.lua", "main chunk of @a.lua"),
            ("fib", "fib"),
            ("function <=stdin:1>", "function <=stdin:1>"),
            (r"function <@C:\work\x.lua:3>", "function <@C:x.lua:3>"),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(without_folders(name), expected);
        }
    }
}
