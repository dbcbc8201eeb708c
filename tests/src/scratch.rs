//! Temporary files of tests.

use std::path::PathBuf;

/// A file that is gone with its name.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A name that no other test uses at the same time.
    pub fn new(name: &str) -> Scratch {
        let (process, thread) = (std::process::id(), format!("{:?}", std::thread::current().id()));
        let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
        let file = format!("surmise-{process}-{thread}-{name}");
        Scratch(std::env::temp_dir().join(file))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(&self.0);
    }
}
