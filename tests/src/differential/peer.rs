//! Debian's `lua5.4` as a process that runs one program after the other, each in an environment of its own.

use super::host::{Ending, Ran};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process. It ends when this is dropped.
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it.
    ///
    /// # Errors
    /// If there is no `lua5.4`, or it can't be talked to.
    pub fn start() -> Result<Peer, String> {
        let lua = crate::reference().ok_or("there is no lua5.4 here")?;
        let mut command = Command::new(lua);
        command.arg(concat!("-e", include_str!("peer.lua"))).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Peer { child, input, output: BufReader::new(output) }),
            _ => Err("lua5.4 has no standard streams".to_owned()),
        }
    }

    /// Runs a program.
    ///
    /// # Errors
    /// If the process has ended, or says what it should not.
    pub fn run(&mut self, program: &str) -> Result<Ran, String> {
        self.exchange(program).map_err(|error| format!("lua5.4: {error}"))
    }

    fn exchange(&mut self, program: &str) -> std::io::Result<Ran> {
        write!(self.input, "{}\n{program}", program.len())?;
        self.input.flush()?;
        let mut head = String::new();
        self.output.read_line(&mut head)?;
        let lengths: Vec<usize> = head.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [printed, ending] = lengths[..] else {
            return Err(std::io::Error::other(format!("no answer but '{head}'")));
        };
        let mut read = |length: usize| -> std::io::Result<String> {
            let mut bytes = vec![0; length];
            self.output.read_exact(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let output = read(printed)?;
        let ending = match read(ending)?.as_str() {
            "returned" => Ending::Returned,
            "invalid" => Ending::Invalid,
            text => Ending::Failed(text.trim_start_matches("failed:").to_owned()),
        };
        Ok(Ran { output, ending, rejections: Vec::new() })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
