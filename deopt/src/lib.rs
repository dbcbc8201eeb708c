//! Candidates, spesh slots, runloops, and the ways back into the interpreter.
//!
//! All `unsafe` frame work of Surmise lives here; no code generator is known here. The optimizer hands over a
//! [`candidate::CandidateImage`]; this crate installs it, lets the host enter it, and gets the host's frames back when a guess
//! fails.
//!
//! ```text
//!  host runloop ──enter──▶ compiled frame ──call──▶ compiled frame ──extern call──▶ host
//!       ▲                        │                        │ guard fails
//!       │                        │                        ▼
//!       │                        │              exit stub: registers saved, point found, values read
//!       │                        │                        │ rebuild: allocate, then commit
//!       │                        │                        ▼
//!       │                        └──result──◀── host.resume(): a nested runloop runs the frame to its end
//!       └── Outcome::Resumed: when the frame was entered directly by a runloop, that runloop itself goes on with the frame
//! ```

pub mod candidate;
pub mod context;
pub mod frames;
pub mod slots;
pub mod table;
