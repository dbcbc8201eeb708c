//! The one table of the programs.

use std::path::{Path, PathBuf};

/// A program in `programs/<name>.lua`, called as `<name>.lua [iterations [size [times]]]`. A size that
/// is not a number means the program's own default.
pub struct Program {
    pub name: &'static str,
    /// What it prints at the end, when run with its default size.
    pub result_line: &'static str,
    /// A size at which one iteration takes 1 to 10 ms in Lua 5.4, for runs of a chosen length.
    pub small_size: u32,
}

pub const PROGRAMS: &[Program] = &[
    Program { name: "richards", result_line: "richards: ok 23246", small_size: 1_000 },
    Program { name: "deltablue", result_line: "deltablue: ok 2626300", small_size: 100 },
    Program { name: "havlak", result_line: "havlak: ok 370222030", small_size: 6 },
    Program { name: "cd", result_line: "cd: ok 157", small_size: 20 },
    Program { name: "json", result_line: "json: ok 6344", small_size: 30 },
    Program { name: "nbody", result_line: "nbody: ok -0.169064514", small_size: 700 },
    Program { name: "mandelbrot", result_line: "mandelbrot: ok 189071", small_size: 50 },
    Program { name: "queens", result_line: "queens: ok 724", small_size: 8 },
    Program { name: "permute", result_line: "permute: ok 14313436", small_size: 7 },
    Program { name: "towers", result_line: "towers: ok 131071", small_size: 13 },
    Program { name: "sieve", result_line: "sieve: ok 41538", small_size: 70_000 },
    Program { name: "bounce", result_line: "bounce: ok 53213", small_size: 200 },
    Program { name: "list", result_line: "list: ok 7", small_size: 5 },
    Program { name: "storage", result_line: "storage: ok 89608", small_size: 7 },
    Program { name: "fannkuch", result_line: "fannkuch: ok 1616", small_size: 7 },
    Program { name: "spectralnorm", result_line: "spectralnorm: ok 1.274219991", small_size: 40 },
    Program { name: "binarytrees", result_line: "binarytrees: ok 135854", small_size: 7 },
    Program { name: "tokenizer", result_line: "tokenizer: ok 282648", small_size: 25 },
    Program { name: "shapes", result_line: "shapes: ok 1192 150 42943.164211454", small_size: 200 },
    Program { name: "phases", result_line: "phases: ok 282824450.968750000", small_size: 120 },
];

impl Program {
    pub fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(self.name).with_extension("lua")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn the_table_lists_the_files_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
        let files: BTreeSet<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let listed: BTreeSet<_> = PROGRAMS.iter().map(Program::path).collect();
        assert_eq!(files, listed);
    }

    #[test]
    fn result_lines_begin_with_the_name() {
        for program in PROGRAMS {
            assert!(program.result_line.starts_with(&format!("{}: ok ", program.name)), "{}", program.name);
        }
    }
}
