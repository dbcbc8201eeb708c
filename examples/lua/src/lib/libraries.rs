//! What the libraries keep from call to call. None of it is seen by the collector: no heap pointers here.

use super::io::stream::OpenStreams;
use super::math::random::Generator;
use super::string::cache::PatternCache;
use crate::state::State;

/// The libraries' part of a state.
#[derive(Default)]
pub struct LibraryState {
    /// Patterns compiled lately.
    pub patterns: PatternCache,
    /// Of `math.random`.
    pub random: Generator,
    /// Files with unwritten output.
    pub streams: OpenStreams,
    /// Whether paths of modules are not taken from the environment.
    pub ignores_environment: bool,
}

/// Opens the libraries, apart from the basic functions and `package`.
pub fn open(state: &mut State) {
    super::coroutine::open(state);
    super::string::open(state);
    super::table::open(state);
    super::math::open(state);
    super::utf8::open(state);
    super::os::open(state);
    super::io::open(state);
}
