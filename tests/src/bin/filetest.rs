//! `filetest FILE...`: what filetests give, without comparing; with `--listing` their machine code too.

use std::process::ExitCode;
use surmise_tests::filetest::{Filetest, FiletestError, Languages};

fn show(path: &str, languages: &Languages, listing: bool) -> Result<(), FiletestError> {
    let source = std::fs::read_to_string(path).map_err(|error| FiletestError(error.to_string()))?;
    let test = Filetest::parse(&source, languages)?;
    if listing {
        println!("{}", test.listing()?);
    }
    print!("{}", test.run()?);
    Ok(())
}

fn main() -> ExitCode {
    let (options, paths): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    if paths.is_empty() || options.iter().any(|option| option != "--listing") {
        eprintln!("usage: filetest [--listing] FILE...");
        return ExitCode::from(2);
    }
    let languages = match Languages::new() {
        Ok(languages) => languages,
        Err(error) => {
            eprintln!("filetest: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for path in &paths {
        if let Err(error) = show(path, &languages, !options.is_empty()) {
            eprintln!("{path}: {error}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
