//! Where mutants come from: the repository's programs, and random ones.

use crate::differential::generate;
use surmise::ir::generate::Random;

/// Folders with programs.
const FOLDERS: &[&str] =
    &["benches/programs", "tests/programs", "tests/failing", "examples/lua/tests/scripts"];

/// Texts of programs.
pub struct Sources(Vec<Vec<u8>>);

impl Sources {
    /// Reads all programs of the folders.
    ///
    /// # Errors
    /// If one can't be read.
    pub fn read() -> Result<Sources, String> {
        let paths = FOLDERS.iter().flat_map(|folder| crate::programs(folder));
        let texts =
            paths.map(|path| std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display())));
        texts.collect::<Result<Vec<_>, _>>().map(Sources)
    }

    /// All of a program.
    pub fn whole(&self, random: &mut Random) -> Vec<u8> {
        match random.below(3) {
            0 => generate::program(random.word()).text.into_bytes(),
            _ => self.0.get(random.below(self.0.len())).cloned().unwrap_or_default(),
        }
    }

    /// A run of lines of some program, at most so long; now and then of a random one.
    pub fn piece(&self, random: &mut Random, at_most: usize) -> Vec<u8> {
        if self.0.is_empty() || random.one_in(6) {
            let mut text = generate::program(random.word()).text.into_bytes();
            text.truncate(at_most);
            return text;
        }
        let text = random.pick(&self.0);
        let wanted = 200 + random.below(at_most - 200);
        let start = if random.one_in(3) { 0 } else { random.below(text.len()) };
        // From a line's start to a line's end.
        let start = text[..start].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let end = (start + wanted).min(text.len());
        let end = text[start..end].iter().rposition(|&byte| byte == b'\n').map_or(end, |at| start + at + 1);
        text[start..end].to_vec()
    }
}
